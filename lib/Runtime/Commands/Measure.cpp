//===- Measure.cpp - Loss of a model on a dataset ----------------------------------------------===//
// Batches in the order of the dataset, each made ready while a GPU computes the one before; the sum in double and in a
// fixed order.
//===-----------------------------------------------------------------------------------------===//
#include "Measure.h"

#include <chrono>

using namespace xf::runtime;

Expected<CorpusLoss> xf::runtime::measureLoss(Session &session, const Function &loss, const ModelState &model,
                                              const Dataset &dataset, int64_t batchTokens) {
  CorpusLoss result;
  auto start = std::chrono::steady_clock::now();
  BatchPlan plan = dataset.inOrder({.tokens = batchTokens});
  Batch batch;
  std::vector<float> nll; // of the call that is ready
  auto prepare = [&](size_t index) -> Expected<void> {
    batch = dataset.pack(plan[index]);
    nll.resize(batch.predicted);
    std::vector<TensorView> outputs = {{"token_nll", ElementType::F32, {int64_t(nll.size())}, nll.data()}};
    return session.executor().prepare(loss, batch.views(), outputs, model.arenas());
  };
  for (size_t index = 0; index < plan.size(); ++index) {
    if (index == 0)
      if (Expected<void> prepared = prepare(0); !prepared)
        return prepared.error();
    if (Expected<void> started = session.executor().start(); !started)
      return started.error();
    // A GPU computes this one meanwhile.
    std::vector<float> running = std::exchange(nll, {});
    result.predicted += batch.predicted;
    result.tokens += batch.tokens;
    if (index + 1 < plan.size())
      if (Expected<void> prepared = prepare(index + 1); !prepared)
        return prepared.error();
    if (Expected<void> finished = session.executor().finish(); !finished)
      return finished.error();
    for (float each : running)
      result.total += each;
  }
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}
