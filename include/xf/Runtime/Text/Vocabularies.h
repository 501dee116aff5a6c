//===- Vocabularies.h - The vocabularies of a compiled model ------------------------===//
// Those that were embedded, checked against the model's sizes when they are opened: ids index its embeddings.
//===----------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_TEXT_VOCABULARIES_H
#define XF_RUNTIME_TEXT_VOCABULARIES_H

#include "xf/Runtime/Session.h"
#include "xf/Runtime/Text/Vocabulary.h"

namespace xf::runtime {

struct Vocabularies {
  Vocabulary source, target;
  bool sourceEnds = true;    // whether a source has an end mark: the model's key `source_end`
  int64_t longestSource = 0; // tokens it can have besides; 0: any number

  /// What the model reads for a source of these tokens.
  std::vector<int32_t> markSource(std::vector<int32_t> ids) const {
    if (sourceEnds)
      ids.push_back(source.eos());
    return ids;
  }
  /// How many of a source's tokens are marks.
  int64_t sourceMarks() const { return sourceEnds ? 1 : 0; }
};
/// The embedded ones; token ids where there is none.
Expected<Vocabularies> openVocabularies(const Session &session);
/// That of a model with one alone.
Expected<Vocabulary> openVocabulary(const Session &session);

} // namespace xf::runtime

#endif // XF_RUNTIME_TEXT_VOCABULARIES_H
