//===- Generate.cpp - The command `generate` ----------------------------------------------------===//
// Goes on with a text, token by token, and prints it line by line as it comes.
//===-------------------------------------------------------------------------------------------===//
#include "Commands.h"
#include "TextData.h"
#include "xf/Runtime/Decoder.h"
#include "xf/Runtime/Text/Corpus.h"
#include "xf/Runtime/Text/Sampling.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

using namespace xf::runtime;

namespace {
struct GenerateOptions {
  std::string model, prompt;
  int64_t maxLength = 256;
  SamplingOptions sampling;
};

/// A text that a model reads as it grows.
class Reader {
public:
  Reader(Session &session, const ModelState &model, const SamplingOptions &sampling)
      : decoder(session, model), sampling(sampling), longest(session.longestTarget()),
        listed(sampling.listed(decoder.vocabulary())) {
    if (listed > mostListed)
      listed = 0;
    decoder.admit = [this, &session](const Call &call) {
      return checkAllowed(session, fmt::format("going on with a text of {} tokens", context.size()), call);
    };
  }

  /// Reads on, and draws the token after as number `step`.
  Expected<int32_t> read(std::span<const int32_t> tokens, uint64_t step);

private:
  static constexpr int64_t mostListed = 1024; // of more, all logits are as good
  Decoder decoder;
  SamplingOptions sampling;
  int64_t longest; // positions there are; 0: any number
  int64_t listed;  // tokens that the model lists for a draw; 0: it looks at all logits
  std::vector<float> logits;
  std::vector<int32_t> context;
  int32_t lastRow = -1; // of the decoder's last step
};
} // namespace

Expected<int32_t> Reader::read(std::span<const int32_t> tokens, uint64_t step) {
  constexpr size_t rowsAtOnce = 64; // enough to fill the matrix kernels
  context.insert(context.end(), tokens.begin(), tokens.end());
  if (longest && int64_t(context.size()) > longest) { // full: go on with its newer half
    context.erase(context.begin(), context.end() - std::max<int64_t>(longest / 2, 1));
    decoder.restart();
    lastRow = -1;
    tokens = context;
  }
  Predictions last;
  while (!tokens.empty()) {
    std::vector<Hypothesis> rows;
    for (int32_t token : tokens.first(std::min(tokens.size(), rowsAtOnce)))
      rows.push_back({0, rows.empty() ? lastRow : Hypothesis::rowBefore, token});
    Expected<Predictions> predictions = decoder.step(rows, std::max<int64_t>(listed, 1));
    if (!predictions)
      return predictions.error();
    if (!std::isfinite(predictions->logSumExp.back()))
      return userError("the model's probabilities are not numbers; are its weights finite?");
    last = *predictions;
    lastRow = int32_t(rows.size()) - 1;
    tokens = tokens.subspan(rows.size());
  }
  if (listed) {
    size_t begin = size_t(lastRow * last.count);
    return sampleListed(last.values.subspan(begin, last.count), last.tokens.subspan(begin, last.count), sampling, step);
  }
  logits.resize(decoder.vocabulary());
  if (Expected<void> got = decoder.logits(lastRow, logits); !got)
    return got.error();
  return sampleToken(logits, sampling, step);
}

/// A begin mark and the prompt, with an end mark after every line but the last, which goes on.
static Expected<std::vector<int32_t>> encodePrompt(std::string_view prompt, const Vocabulary &vocabulary) {
  std::vector<int32_t> tokens{vocabulary.bos()};
  while (true) {
    size_t end = prompt.find('\n');
    std::string_view line = prompt.substr(0, end);
    if (Expected<void> valid = checkLine(line, "--prompt"); !valid)
      return valid.error();
    Expected<std::vector<int32_t>> ids = vocabulary.encode(line);
    if (!ids)
      return userError("--prompt: " + ids.error().message);
    tokens.insert(tokens.end(), ids->begin(), ids->end());
    if (end == prompt.npos)
      return tokens;
    tokens.push_back(vocabulary.eos());
    prompt.remove_prefix(end + 1);
  }
}

static Expected<int> generate(Session &session, const GenerateOptions &options) {
  Expected<Vocabulary> vocabulary = openVocabulary(session);
  if (!vocabulary)
    return vocabulary.error();
  Expected<std::vector<int32_t>> prompt = encodePrompt(options.prompt, *vocabulary);
  if (!prompt)
    return prompt.error();
  Expected<ModelState> model = session.loadModel(options.model);
  if (!model)
    return model.error();
  Reader reader(session, *model, options.sampling);
  std::vector<int32_t> line; // not printed yet
  auto take = [&](int32_t token) -> Expected<void> {
    if (token != vocabulary->eos()) {
      line.push_back(token);
      return {};
    }
    printResult("{}\n", vocabulary->decode(line));
    line.clear();
    return flushResults();
  };
  for (int32_t token : *prompt)
    if (Expected<void> printed = take(token); !printed)
      return printed.error();
  std::vector<int32_t> next = *prompt;
  for (int64_t step = 0; step < options.maxLength; ++step) {
    Expected<int32_t> token = reader.read(next, uint64_t(step));
    if (!token)
      return token.error();
    if (Expected<void> printed = take(*token); !printed)
      return printed.error();
    next = {*token};
  }
  if (!line.empty())
    printResult("{}\n", vocabulary->decode(line));
  return 0;
}

void xf::runtime::addGenerate(CLI::App &app, Session &session, Action &action) {
  auto options = std::make_shared<GenerateOptions>();
  CLI::App *command = app.add_subcommand("generate", "Go on with a text");
  addModelOption(*command, session, options->model);
  command->add_option("--prompt", options->prompt, "The text to go on with")->default_str("none");
  command
      ->add_option("--max-length", options->maxLength,
                   "Tokens to generate; where the model's positions end it goes on with the newer half of what it sees")
      ->check(positiveNumber());
  command
      ->add_option("--temperature", options->sampling.temperature,
                   "Above 1: more surprising, below: less; 0: always the likeliest token")
      ->check(nonNegativeNumber());
  command->add_option("--top-k", options->sampling.topK, "Draw among so many likeliest tokens; 0: all")
      ->check(nonNegativeNumber());
  command
      ->add_option("--top-p", options->sampling.topP,
                   "Draw among the likeliest tokens whose probabilities sum up to this")
      ->check(share());
  command->add_option("--seed", options->sampling.seed, "Seed of the draws")->check(nonNegativeNumber());
  addExecutionOptions(*command, session);
  command->callback(
      [&session, &action, options] { action = [&session, options] { return generate(session, *options); }; });
}
