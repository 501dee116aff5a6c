//===- Translator.h - A trained model that translates -------------------------------------------===//
// Vocabularies, parameters and search together; used by `translate`, `evaluate` and `attention`.
//===-------------------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_COMMANDS_TRANSLATOR_H
#define XF_RUNTIME_COMMANDS_TRANSLATOR_H

#include "TextData.h"
#include "xf/Runtime/Decoder.h"

namespace xf::runtime {

class Translator {
public:
  /// Neither is owned, both outlive the translator.
  Translator(Session &session, const ModelState &model, Vocabularies vocabularies)
      : session(session), vocabularies(std::move(vocabularies)), decoder(session, model) {}

  /// Rows of a step that fill the matrix kernels.
  static constexpr int64_t usualRows = 256;

  /// The best translations of each source, which ends in EOS. Sources are batched by length, as many as have `rows`
  /// hypotheses; results come in the order of the sources. A source of no tokens has the empty translation.
  Expected<std::vector<std::vector<SearchResult>>> translate(std::span<const std::vector<int32_t>> sources,
                                                             SearchOptions options, int64_t rows = usualRows);

private:
  Session &session;
  Vocabularies vocabularies;
  Decoder decoder;
};

} // namespace xf::runtime

#endif // XF_RUNTIME_COMMANDS_TRANSLATOR_H
