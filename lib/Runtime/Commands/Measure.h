//===- Measure.h - Loss of a model on sentence pairs -------------------------------------------===//
// Shared by the validation of `train` and by `evaluate`: without dropout and without smoothing.
//===-----------------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_COMMANDS_MEASURE_H
#define XF_RUNTIME_COMMANDS_MEASURE_H

#include "TextData.h"

namespace xf::runtime {

struct CorpusLoss {
  double total = 0; // negative log likelihood of all target tokens, ends included
  int64_t targetTokens = 0;
  int64_t tokens = 0; // of both sides
  double seconds = 0;
  double perToken() const { return targetTokens ? total / double(targetTokens) : 0; }
};

Expected<CorpusLoss> measureLoss(Session &session, const ModelState &model, const SentencePairs &pairs,
                                 const Vocabulary &target, int64_t batchTokens);

} // namespace xf::runtime

#endif // XF_RUNTIME_COMMANDS_MEASURE_H
