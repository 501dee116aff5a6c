//===- Measure.cpp - Loss of a model on a dataset ----------------------------------------------===//
// Batches in the order of the dataset; the sum in double and in a fixed order.
//===-----------------------------------------------------------------------------------------===//
#include "Measure.h"

#include <chrono>

using namespace xf::runtime;

Expected<CorpusLoss> xf::runtime::measureLoss(Session &session, const ModelState &model, const Dataset &dataset,
                                              int64_t batchTokens) {
  const Function &loss = *session.program.function("loss");
  CorpusLoss result;
  auto start = std::chrono::steady_clock::now();
  for (const std::vector<int64_t> &indices : dataset.inOrder({.tokens = batchTokens})) {
    Batch batch = dataset.pack(indices);
    std::vector<float> nll(batch.predicted);
    std::vector<TensorView> outputs = {{"token_nll", ElementType::F32, {int64_t(nll.size())}, nll.data()}};
    if (Expected<void> ran = session.executor().run(loss, batch.views(), outputs, model.arenas()); !ran)
      return ran.error();
    for (float each : nll)
      result.total += each;
    result.predicted += batch.predicted;
    result.tokens += batch.tokens;
  }
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}
