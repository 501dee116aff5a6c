//===- Translate.cpp - The command `translate` --------------------------------------------------===//
// A filter: sentences from stdin, their translations to stdout, line by line and in order. Lines are
// taken in chunks, and sentences of like length are translated together.
//===-------------------------------------------------------------------------------------------===//
#include "Commands.h"
#include "Translator.h"

#include <algorithm>
#include <fmt/format.h>

using namespace xf::runtime;

namespace {
struct TranslateOptions {
  std::string model;
  SearchOptions search = {.beam = 4, .nBest = 1, .lengthPenalty = 0.6};
  int64_t batchSize = 0;
  bool scores = false;
  int repeat = 0;
};
} // namespace

/// Prints a chunk's translations; a sentence of several has its line's number before each.
static void print(const Vocabularies &vocabularies, const TranslateOptions &options, int64_t firstLine,
                  const std::vector<std::vector<SearchResult>> &translations) {
  for (size_t i = 0; i < translations.size(); ++i)
    for (const SearchResult &result : translations[i]) {
      if (options.search.nBest > 1)
        fmt::print("{}\t", firstLine + int64_t(i));
      if (options.scores)
        fmt::print("{:.4f}\t", result.score);
      fmt::print("{}\n", vocabularies.target.decode(result.ids));
    }
  std::fflush(stdout);
}

static Expected<int> translate(Session &session, const TranslateOptions &options) {
  if (options.search.nBest > options.search.beam)
    return userError(fmt::format("expected --n-best to be at most --beam ({}), but got {}", options.search.beam,
                                 options.search.nBest));
  Expected<Vocabularies> vocabularies = openVocabularies(session);
  if (!vocabularies)
    return vocabularies.error();
  Expected<ModelState> model = session.loadModel(options.model);
  if (!model)
    return model.error();
  Translator translator(session, *model, *vocabularies);

  int64_t longest = session.longestSource(); // one of its tokens is a mark
  LineReader lines(vocabularies->source, longest ? std::max<int64_t>(longest - 1, 1) : 0, LineReader::Skip);
  while (true) {
    Expected<std::vector<std::vector<int32_t>>> sources = lines.next();
    if (!sources)
      return sources.error();
    if (sources->empty())
      break;
    for (std::vector<int32_t> &source : *sources)
      source.push_back(vocabularies->source.eos());
    int64_t rows = options.batchSize ? options.batchSize * options.search.beam : Translator::usualRows;
    if (options.repeat) {
      auto call = [&]() -> Expected<void> {
        auto translations = translator.translate(*sources, options.search, rows);
        return translations ? Expected<void>() : translations.error();
      };
      if (Expected<void> ran = measure(options.repeat, call); !ran)
        return ran.error();
      continue;
    }
    auto translations = translator.translate(*sources, options.search, rows);
    if (!translations)
      return translations.error();
    print(*vocabularies, options, lines.count() - int64_t(sources->size()) + 1, *translations);
  }
  if (auto note = lines.describeTooLong())
    fmt::print(stderr, "{}; their translations are empty\n", *note);
  return 0;
}

void xf::runtime::addTranslate(CLI::App &app, Session &session, Action &action) {
  auto options = std::make_shared<TranslateOptions>();
  CLI::App *command = app.add_subcommand("translate", "Translate lines from stdin to stdout");
  addModelOption(*command, session, options->model);
  command->add_option("--beam", options->search.beam, "Hypotheses that are followed; 1: greedy")
      ->check(CLI::Range(1, 1000));
  command
      ->add_option("--length-penalty", options->search.lengthPenalty,
                   "The power of a translation's length that its score is divided by")
      ->check(nonNegativeNumber());
  command->add_option("--max-length", options->search.maxLength, "Tokens of a translation")
      ->default_str("those of the source and 50")
      ->check(positiveNumber());
  command->add_option("--min-length", options->search.minLength, "Tokens before which a translation does not end")
      ->default_str("0")
      ->check(positiveNumber());
  command->add_option("--batch-size", options->batchSize, "Sentences that are translated together")
      ->default_str(fmt::format("{} / beam", Translator::usualRows))
      ->check(positiveNumber());
  command->add_option("--n-best", options->search.nBest, "Translations of each line, each after the line's number")
      ->check(positiveNumber());
  command->add_flag("--scores", options->scores, "Print each translation's score before it");
  command->add_option("--repeat", options->repeat, "Print no translations, but how long this many times take")
      ->check(positiveNumber());
  addExecutionOptions(*command, session);
  command->callback(
      [&session, &action, options] { action = [&session, options] { return translate(session, *options); }; });
}
