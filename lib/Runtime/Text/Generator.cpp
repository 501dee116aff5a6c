//===- Generator.cpp - A text that a language model goes on with --------------------===//
// The model reads a prompt many tokens at a time, and then its own, one by one.
//===----------------------------------------------------------------------------------===//
#include "xf/Runtime/Text/Generator.h"
#include "xf/Runtime/MemoryCheck.h"
#include "xf/Runtime/Text/Corpus.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

using namespace xf::runtime;

namespace {
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
      rows.push_back({0, rows.empty() ? lastRow : Hypothesis::rowBefore, token, /*isAsked=*/false});
    rows.back().isAsked = rows.size() == tokens.size(); // of a prompt's last token alone
    Expected<Predictions> predictions = decoder.step(rows, std::max<int64_t>(listed, 1));
    if (!predictions)
      return predictions.error();
    last = *predictions;
    lastRow = int32_t(rows.size()) - 1;
    tokens = tokens.subspan(rows.size());
  }
  if (!std::isfinite(last.logSumExp.back()))
    return userError("the model's probabilities are not numbers; are its weights finite?");
  if (listed)
    return sampleListed(last.values.first(last.count), last.tokens.first(last.count), sampling, step);
  logits.resize(decoder.vocabulary());
  if (Expected<void> got = decoder.logits(0, logits); !got)
    return got.error();
  return sampleToken(logits, sampling, step);
}

GeneratorOptions GeneratorOptions::of(const Program &program) {
  GeneratorOptions options;
  SamplingOptions &sampling = options.sampling;
  sampling.temperature = program.model.value("temperature", sampling.temperature);
  sampling.topK = program.model.value("top_k", sampling.topK);
  sampling.topP = program.model.value("top_p", sampling.topP);
  return options;
}

Expected<std::vector<int32_t>> xf::runtime::encodePrompt(std::string_view prompt, const Vocabulary &vocabulary,
                                                         TextForm form, const std::string &place) {
  std::vector<int32_t> tokens;
  if (form.begins || prompt.empty()) // there is nothing else to go on with
    tokens.push_back(vocabulary.bos());
  while (true) {
    size_t end = form.isWhole ? prompt.npos : prompt.find('\n');
    std::string_view line = prompt.substr(0, end);
    if (Expected<void> valid = checkLine(line, place); !valid)
      return valid.error();
    Expected<std::vector<int32_t>> ids = vocabulary.encode(line);
    if (!ids)
      return userError(place + ": " + ids.error().message);
    tokens.insert(tokens.end(), ids->begin(), ids->end());
    if (end == prompt.npos)
      break;
    tokens.push_back(vocabulary.eos());
    prompt.remove_prefix(end + 1);
  }
  if (tokens.empty()) // of text that is nothing
    tokens.push_back(vocabulary.bos());
  return tokens;
}

namespace {
/// Gives a text that grows by tokens, line by line.
class LineGiver {
public:
  LineGiver(const Vocabulary &vocabulary, TextForm form, const std::function<Expected<void>(std::string)> &give)
      : vocabulary(vocabulary), form(form), give(give) {}

  Expected<void> take(int32_t token);
  Expected<void> finish();

private:
  const Vocabulary &vocabulary;
  TextForm form;
  const std::function<Expected<void>(std::string)> &give;
  std::vector<int32_t> tokens; // of a whole text all, else of the line
  size_t given = 0;            // bytes of a whole text
};
} // namespace

Expected<void> LineGiver::take(int32_t token) {
  if (!form.isWhole && token == vocabulary.eos())
    return give(vocabulary.decode(std::exchange(tokens, {})));
  tokens.push_back(token);
  std::string piece = form.isWhole ? vocabulary.piece(token) : "";
  if (piece.find('\n') == piece.npos && piece != "<0x0A>")
    return {};
  // What a token is depends on those before it.
  std::string text = vocabulary.decode(tokens);
  for (size_t end; (end = text.find('\n', given)) != text.npos; given = end + 1)
    if (Expected<void> done = give(text.substr(given, end - given)); !done)
      return done;
  return {};
}

Expected<void> LineGiver::finish() {
  if (tokens.empty())
    return {};
  std::string rest = vocabulary.decode(tokens);
  rest.erase(0, given);
  return rest.empty() && form.isWhole ? Expected<void>() : give(rest);
}

Expected<void> xf::runtime::generateText(Session &session, const ModelState &model, const Vocabulary &vocabulary,
                                         std::vector<int32_t> prompt, const GeneratorOptions &options,
                                         const std::function<Expected<void>(std::string)> &give) {
  Reader reader(session, model, options.sampling);
  TextForm form = TextForm::of(session.program);
  LineGiver giver(vocabulary, form, give);
  for (int32_t token : prompt)
    if (Expected<void> given = giver.take(token); !given)
      return given.error();
  std::vector<int32_t> next = std::move(prompt);
  for (int64_t step = 0; step < options.maxLength; ++step) {
    Expected<int32_t> token = reader.read(next, uint64_t(step));
    if (!token)
      return token.error();
    if (form.isWhole && vocabulary.ends(*token))
      break;
    if (Expected<void> given = giver.take(*token); !given)
      return given.error();
    next = {*token};
  }
  return giver.finish();
}
