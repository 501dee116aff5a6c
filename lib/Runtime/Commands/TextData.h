//===- TextData.h - Text as this executable's model reads it ----------------------------------===//
// Between the text library and the commands: the executable's vocabularies, files read with notes on
// what was left out, and batches as inputs of a function.
//===-----------------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_COMMANDS_TEXTDATA_H
#define XF_RUNTIME_COMMANDS_TEXTDATA_H

#include "xf/Runtime/Session.h"
#include "xf/Runtime/Text/Batches.h"

namespace xf::runtime {

struct Vocabularies {
  Vocabulary source, target;
};
/// The embedded ones; token ids where there is none.
Expected<Vocabularies> openVocabularies(const Session &session);

/// Reads pairs and says on stderr what was left out.
Expected<SentencePairs> readPairsWithNote(const Session &session, const Vocabularies &vocabularies,
                                          const std::string &source, const std::string &target, int64_t maxTokens);

std::vector<TensorView> viewsOf(PackedPairs &batch);

} // namespace xf::runtime

#endif // XF_RUNTIME_COMMANDS_TEXTDATA_H
