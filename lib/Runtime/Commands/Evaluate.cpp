//===- Evaluate.cpp - The command `evaluate` ----------------------------------------------------===//
// Loss per token and perplexity of given text; where the model translates, BLEU of its own translations; where it
// classifies, how many texts it does rightly.
//===-------------------------------------------------------------------------------------------===//
#include "Classes.h"
#include "Measure.h"
#include "xf/Runtime/Needs.h"
#include "xf/Runtime/Text/Bleu.h"
#include "xf/Runtime/Text/Translator.h"

#include <chrono>
#include <cmath>
#include <fmt/format.h>

using namespace xf::runtime;

namespace {
struct EvaluateOptions {
  std::string model, tokenizer = "13a";
  DatasetOptions data;
  SearchOptions search;
  int64_t batchTokens = 4096;
  bool lowercase = false;
};
} // namespace

/// Where predictions read rounded weights, so does what is said of the model.
static const Function &lossOf(const Session &session) {
  const Function *quantized = session.program.function("quantized_loss");
  return quantized ? *quantized : *session.program.function("loss");
}

/// Translates all sources and compares with the reference lines.
static Expected<void> printBleu(Session &session, const ModelState &model, const EvaluateOptions &options) {
  Expected<Vocabularies> vocabularies = openVocabularies(session);
  if (!vocabularies)
    return vocabularies.error();
  Expected<Lines> sources = Lines::read(options.data.source), references = Lines::read(options.data.target);
  if (!sources)
    return sources.error();
  if (!references)
    return references.error();
  std::vector<std::vector<int32_t>> encoded;
  for (std::string_view line : sources->lines) {
    Expected<std::vector<int32_t>> ids =
        line.size() > maxLineBytes ? std::vector<int32_t>() : vocabularies->source.encode(line);
    if (!ids)
      return ids.error();
    if (int64_t longest = session.longestSource();
        longest && int64_t(ids->size()) + vocabularies->sourceMarks() > longest)
      ids->clear();
    encoded.push_back(vocabularies->markSource(std::move(*ids)));
  }
  auto start = std::chrono::steady_clock::now();
  Translator translator(session, model, *vocabularies, options.search);
  auto translations = translator.translate(encoded);
  if (!translations)
    return translations.error();
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  Bleu bleu(options.tokenizer == "none" ? BleuTokenizer::None : BleuTokenizer::V13a, options.lowercase);
  int64_t tokens = 0;
  for (size_t i = 0; i < encoded.size(); ++i) {
    const std::vector<int32_t> &ids = (*translations)[i].front().ids;
    tokens += int64_t(ids.size()) + 1;
    bleu.add(vocabularies->target.decode(ids), references->lines[i]);
  }
  BleuScore score = bleu.score();
  printResult(
      "BLEU               {:.2f} ({:.1f}/{:.1f}/{:.1f}/{:.1f}, brevity penalty {:.3f}, tokenizer {}{}, beam {})\n",
      score.score, score.precision[0], score.precision[1], score.precision[2], score.precision[3], score.brevityPenalty,
      options.tokenizer, options.lowercase ? ", lower-cased" : "", options.search.beam);
  printResult("tokens per second  {:.0f} translating\n", double(tokens) / seconds);
  return {};
}

static Expected<void> checkMemory(Session &session, const Dataset &dataset, int64_t batchTokens) {
  const Function &loss = lossOf(session);
  auto needs = [&](int64_t count) {
    std::vector<int64_t> dims = dataset.largest({.tokens = count}).dims(loss);
    loss.setChunks(dims);
    std::vector<Call> calls = {{&loss, std::move(dims)}};
    if (session.translates()) // after that, of one sentence at least
      for (const char *name : {"encode", "decode"}) {
        const Function &function = *session.program.function(name);
        calls.push_back({&function, dimsOfBatch(function, 1, 1)});
      }
    return needsOf(session.program, calls, session.teamSize());
  };
  auto option = [](int64_t count) { return fmt::format("--batch-tokens={}", count); };
  return checkMemory(session, "evaluating with " + option(batchTokens), batchTokens, needs, option);
}

/// Names what a loss that is not finite comes from.
static Expected<void> findNotFinite(Session &session, const ModelState &model, const Dataset &dataset,
                                    int64_t batchTokens) {
  for (const std::vector<int64_t> &indices : dataset.inOrder({.tokens = batchTokens})) {
    Batch batch = dataset.pack(indices);
    Expected<std::optional<NonFinite>> found =
        session.executor().findNonFinite(lossOf(session), batch.views(), model.arenas());
    if (!found)
      return found.error();
    if (*found)
      return userError(fmt::format("the loss is not finite: the first tensor that was not finite is '{}', written by "
                                   "'{}'; are the model's weights finite?",
                                   (*found)->tensor, (*found)->label));
  }
  return userError("the loss is not finite");
}

static void printAccuracy(const Accuracy &accuracy, const std::vector<std::string> &names) {
  printResult("accuracy           {:.2f}% ({} of {})\n", 100 * accuracy.share(), accuracy.right, accuracy.texts);
  for (size_t i = 0; i < accuracy.classes.size(); ++i) {
    const ClassCounts &counts = accuracy.classes[i];
    printResult("  {:<16} {} of {} right, {} others taken for it\n", names[i], counts.right, counts.labelled,
                counts.found - counts.right);
  }
}

static Expected<int> evaluate(Session &session, EvaluateOptions options) {
  if (session.program.kind == "classifier") {
    Expected<std::vector<std::string>> names = classNames(session, options.model);
    if (!names)
      return names.error();
    options.data.classes = std::move(*names);
  }
  Expected<std::unique_ptr<Dataset>> dataset = openDataset(session, options.data);
  if (!dataset)
    return dataset.error();
  if (Expected<void> fits = checkMemory(session, **dataset, options.batchTokens); !fits)
    return fits.error();
  std::string_view measured = lossOf(session).name;
  Expected<ModelState> model = session.translates() ? session.loadModel(options.model, {measured, "encode", "decode"})
                                                    : session.loadModel(options.model, {measured});
  if (!model)
    return model.error();
  Expected<CorpusLoss> loss = measureLoss(session, lossOf(session), *model, **dataset, options.batchTokens);
  if (!loss)
    return loss.error();
  if (!std::isfinite(loss->total))
    if (Expected<void> found = findNotFinite(session, *model, **dataset, options.batchTokens); !found)
      return found.error();
  if (auto quantized = session.program.options.find("quantize"); quantized != session.program.options.end())
    say("the loss is of weights as {}\n", quantized->get<std::string>());
  if (session.program.kind == "classifier") {
    printResult("loss per text      {:.4f}\n", loss->perToken());
  } else {
    printResult("loss per token     {:.4f}\n", loss->perToken());
    printResult("perplexity         {:.2f}\n", std::exp(loss->perToken()));
  }
  printResult("tokens per second  {:.0f} reading\n", double(loss->tokens) / loss->seconds);
  if (!loss->accuracy.classes.empty())
    printAccuracy(loss->accuracy, (*dataset)->classes());
  if (session.translates())
    if (Expected<void> printed = printBleu(session, *model, options); !printed)
      return printed.error();
  return 0;
}

void xf::runtime::addEvaluate(CLI::App &app, Session &session, Action &action) {
  auto options = std::make_shared<EvaluateOptions>();
  options->search = Translator::defaults(session.program);
  options->search.beam = 1;
  CLI::App *command = app.add_subcommand("evaluate", "Measure a model on text");
  addModelOption(*command, session, options->model);
  addDatasetOptions(*command, session, options->data);
  command->add_option("--batch-tokens", options->batchTokens, "Tokens of a batch, on the longer side")
      ->check(positiveNumber());
  if (session.translates()) {
    command->add_option("--beam", options->search.beam, "Hypotheses followed for BLEU; 1: greedy")
        ->check(CLI::Range(1, 1000));
    command->add_option("--length-penalty", options->search.lengthPenalty, "As of translate, where --beam is above 1")
        ->check(nonNegativeNumber());
    command->add_option("--bleu-tokenizer", options->tokenizer, "How BLEU splits lines, as in sacreBLEU")
        ->check(CLI::IsMember({"13a", "none"}));
    command->add_flag("--lowercase", options->lowercase, "Compare lower-cased");
  }
  addExecutionOptions(*command, session);
  command->callback(
      [&session, &action, options] { action = [&session, options] { return evaluate(session, *options); }; });
}
