//===- Measure.cpp - Loss of a model on sentence pairs -----------------------------------------===//
// Batches in order of length; the sum in double and in a fixed order.
//===-----------------------------------------------------------------------------------------===//
#include "Measure.h"

#include <chrono>

using namespace xf::runtime;

Expected<CorpusLoss> xf::runtime::measureLoss(Session &session, const ModelState &model, const SentencePairs &pairs,
                                              const Vocabulary &target, int64_t batchTokens) {
  const Function &loss = *session.program.function("loss");
  CorpusLoss result;
  auto start = std::chrono::steady_clock::now();
  for (const std::vector<int64_t> &indices : batchesByLength(pairs, {.tokens = batchTokens})) {
    PackedPairs batch = packPairs(pairs, indices, target);
    std::vector<float> nll(batch.labels.size());
    std::vector<TensorView> outputs = {{"token_nll", ElementType::F32, {int64_t(nll.size())}, nll.data()}};
    if (Expected<void> ran = session.executor().run(loss, viewsOf(batch), outputs, model.arenas()); !ran)
      return ran.error();
    for (float each : nll)
      result.total += each;
    result.targetTokens += nll.size();
    result.tokens += batch.tokens();
  }
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}
