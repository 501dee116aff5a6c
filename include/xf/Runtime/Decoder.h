//===- Decoder.h - Encoding once, decoding token by token ------------------------------===//
// Runs `encode` on a batch of sources, where the model has them, and `decode` on the hypotheses over them, and
// keeps the cached keys and values. Hypotheses name their parents of the step before; no cache row moves when beams are
// reordered, each hypothesis has the list of its rows.
//===----------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_DECODER_H
#define XF_RUNTIME_DECODER_H

#include "xf/Runtime/Session.h"
#include "xf/Runtime/Tensor.h"
#include "xf/Runtime/Text/Search.h"

namespace xf::runtime {

class Decoder final : public Stepper {
public:
  Decoder(Session &session, const ModelState &model);

  /// Encodes a batch of sources; all hypotheses of the batch before are gone.
  Expected<void> encode(std::span<const std::vector<int32_t>> sources);

  /// Forgets all hypotheses; of a language model, whose first step needs nothing else.
  void restart();

  /// Log probabilities of the next token, a row a hypothesis; valid until the next call.
  Expected<std::span<const float>> step(std::span<const Hypothesis> hypotheses) override;

  int64_t vocabulary() const override { return vocabularySize; }

private:
  Expected<void> growCaches(int64_t rows);
  int32_t freeCacheRow();

  Session &session;
  const ModelState &model;
  const Function &decodeFunction;
  int64_t vocabularySize = 0;
  std::vector<OwnedTensor> memory, caches;
  std::vector<int32_t> sourceOffsets;
  int64_t capacity = 0;                     // rows of the caches
  std::vector<std::vector<int32_t>> cached; // cache rows of each hypothesis of the last step
  std::vector<bool> used;                   // cache rows that one of them holds
  int32_t nextFree = 0;
  std::vector<float> logProbabilities;
};

} // namespace xf::runtime

#endif // XF_RUNTIME_DECODER_H
