//===- Generator.h - A text that a language model goes on with ----------------------===//
// Token by token, each drawn from what the model says of the text so far. Used by `generate`, and by libraries.
//===----------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_TEXT_GENERATOR_H
#define XF_RUNTIME_TEXT_GENERATOR_H

#include "xf/Runtime/Decoder.h"
#include "xf/Runtime/Text/Corpus.h"
#include "xf/Runtime/Text/Sampling.h"
#include "xf/Runtime/Text/Vocabulary.h"

namespace xf::runtime {

struct GeneratorOptions {
  int64_t maxLength = 256; // tokens besides the prompt's
  SamplingOptions sampling;

  /// How this program's model draws where nothing else is said: with keys `temperature`, `top_k`, `top_p`.
  static GeneratorOptions of(const Program &program);
};

/// A begin mark and the prompt; where texts are lines, with an end mark after every one but the last, which goes on.
/// `place` is what messages start with.
Expected<std::vector<int32_t>> encodePrompt(std::string_view prompt, const Vocabulary &vocabulary, TextForm form,
                                            const std::string &place);

/// Goes on with a prompt, and gives its text and what was generated, line by line; the last one may not be at its end.
/// A whole text ends at an end mark.
Expected<void> generateText(Session &session, const ModelState &model, const Vocabulary &vocabulary,
                            std::vector<int32_t> prompt, const GeneratorOptions &options,
                            const std::function<Expected<void>(std::string)> &give);

} // namespace xf::runtime

#endif // XF_RUNTIME_TEXT_GENERATOR_H
