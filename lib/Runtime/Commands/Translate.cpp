//===- Translate.cpp - The command `translate` --------------------------------------------------===//
// A filter: sentences from stdin, their translations to stdout, line by line and in order, each as soon as it and
// those before it are done. Lines are taken as they come.
//===-------------------------------------------------------------------------------------------===//
#include "Commands.h"
#include "LineReader.h"
#include "xf/Runtime/Text/Translator.h"

#include <algorithm>
#include <fmt/format.h>

using namespace xf::runtime;

namespace {
struct TranslateOptions {
  std::string model;
  SearchOptions search;
  std::string prefix;
  int64_t batchSize = 0;
  bool scores = false, prefixColumn = false;
  int repeat = 0;
};
} // namespace

/// The translations of a line; each of several has the line's number before it.
static void printTranslations(const Vocabularies &vocabularies, const TranslateOptions &options, int64_t line,
                              const std::vector<SearchResult> &translations) {
  for (const SearchResult &result : translations) {
    if (options.search.nBest > 1)
      printResult("{}\t", line);
    if (options.scores)
      printResult("{:.4f}\t", result.score);
    printResult("{}\n", vocabularies.target.decode(result.ids));
  }
}

/// Times the translation of all lines.
static Expected<void> repeat(Session &session, Translator &translator, LineReader &lines,
                             const Vocabularies &vocabularies, int times) {
  std::vector<std::vector<int32_t>> sources, prefixes;
  while (!lines.atEnd()) {
    Expected<std::vector<std::vector<int32_t>>> read = lines.next();
    if (!read)
      return read.error();
    for (std::vector<int32_t> &source : *read)
      sources.push_back(vocabularies.markSource(std::move(source)));
    prefixes.insert(prefixes.end(), lines.behindTabs().begin(), lines.behindTabs().end());
  }
  return measure(session, times, [&]() -> Expected<void> {
    auto translations = translator.translate(sources, prefixes);
    return translations ? Expected<void>() : translations.error();
  });
}

static Expected<int> translate(Session &session, const TranslateOptions &options) {
  if (options.search.nBest > options.search.beam)
    return userError(fmt::format("expected --n-best to be at most --beam ({}), but got {}", options.search.beam,
                                 options.search.nBest));
  Expected<Vocabularies> vocabularies = openVocabularies(session);
  if (!vocabularies)
    return vocabularies.error();
  Expected<ModelState> model = session.loadModel(options.model, {"encode", "decode"});
  if (!model)
    return model.error();
  Translator translator(session, *model, *vocabularies, options.search, options.batchSize);

  LineReader lines(vocabularies->source, vocabularies->longestSource, LineEncoder::Skip,
                   options.prefixColumn ? &vocabularies->target : nullptr);
  Expected<std::vector<int32_t>> prefix = vocabularies->target.encode(options.prefix);
  if (!prefix)
    return userError("--prefix: " + prefix.error().message);
  if (options.repeat) {
    Expected<void> measured = repeat(session, translator, lines, *vocabularies, options.repeat);
    return measured ? Expected<int>(0) : measured.error();
  }
  int64_t line = 0;
  std::optional<Error> broken; // a line that ends the input; those before it are translated first
  while (true) {
    bool more = !lines.atEnd() && !broken;
    if (more && translator.room() > 0) {
      Expected<std::vector<std::vector<int32_t>>> sources = lines.next(translator.room(), translator.isIdle());
      if (auto note = lines.describeUnknown())
        say("standard input: {}\n", *note);
      if (!sources)
        broken = sources.error();
      else
        for (size_t i = 0; i < sources->size(); ++i)
          translator.put(vocabularies->markSource(std::move((*sources)[i])),
                         options.prefixColumn ? lines.behindTabs()[i] : *prefix);
    } else if (!more && translator.isIdle()) {
      break;
    }
    if (Expected<void> stepped = translator.step(); !stepped)
      return stepped.error();
    while (auto translations = translator.take()) {
      printTranslations(*vocabularies, options, ++line, *translations);
      if (translations->empty())
        return Translator::notNumbers(fmt::format("standard input, line {}", line));
    }
    if (Expected<void> flushed = flushResults(); !flushed)
      return flushed.error();
  }
  if (broken)
    return *broken;
  if (auto note = lines.describeTooLong())
    say("{}; their translations are empty\n", *note);
  return 0;
}

void xf::runtime::addTranslate(CLI::App &app, Session &session, Action &action) {
  auto options = std::make_shared<TranslateOptions>();
  options->search = Translator::defaults(session.program);
  CLI::App *command = app.add_subcommand("translate", "Translate lines from stdin to stdout");
  addModelOption(*command, session, options->model);
  command->add_option("--beam", options->search.beam, "Hypotheses that are followed; 1: greedy")
      ->check(CLI::Range(1, 1000));
  command
      ->add_option("--length-penalty", options->search.lengthPenalty,
                   "The power of a translation's length that its score is divided by")
      ->check(nonNegativeNumber());
  command->add_option("--max-length", options->search.maxLength, "Tokens of a translation")
      ->default_str(options->search.maxLength ? std::to_string(options->search.maxLength)
                                              : fmt::format("those of the source and {}", options->search.extraLength))
      ->check(positiveNumber());
  command->add_option("--min-length", options->search.minLength, "Tokens before which a translation does not end")
      ->default_str("0")
      ->check(positiveNumber());
  CLI::Option *prefix =
      command->add_option("--prefix", options->prefix, "Tokens that every translation starts with, and is scored with");
  command->add_flag("--prefix-column", options->prefixColumn, "Take a prefix of its own from behind each line's tab")
      ->excludes(prefix);
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
