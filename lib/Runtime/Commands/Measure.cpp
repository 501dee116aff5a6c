//===- Measure.cpp - Loss of a model on a dataset ----------------------------------------------===//
// Batches in the order of the dataset, each made ready while a GPU computes the one before; the sum in double and in a
// fixed order.
//===-----------------------------------------------------------------------------------------===//
#include "Measure.h"

#include <algorithm>
#include <chrono>

using namespace xf::runtime;

void Accuracy::add(std::span<const int32_t> labels, std::span<const float> logProbabilities) {
  for (size_t i = 0; i < labels.size(); ++i) {
    std::span<const float> row = logProbabilities.subspan(i * classes.size(), classes.size());
    int64_t best = std::ranges::max_element(row) - row.begin();
    bool isRight = best == labels[i];
    ++classes[labels[i]].labelled;
    ++classes[best].found;
    classes[best].right += isRight;
    right += isRight;
  }
  texts += int64_t(labels.size());
}

Expected<CorpusLoss> xf::runtime::measureLoss(Session &session, const Function &loss, const ModelState &model,
                                              const Dataset &dataset, int64_t batchTokens) {
  CorpusLoss result;
  auto start = std::chrono::steady_clock::now();
  BatchPlan plan = dataset.inOrder({.tokens = batchTokens});
  Batch batch;
  struct Outputs {
    std::vector<float> nll, logProbabilities;
    std::vector<int32_t> labels;
  } ready; // of the call that is
  std::optional<size_t> classes = loss.output("log_probabilities");
  if (classes)
    result.accuracy.classes.resize(loss.outputs[*classes].shape.back().size);
  auto prepare = [&](size_t index) -> Expected<void> {
    batch = dataset.pack(plan[index]);
    ready.nll.resize(batch.predicted);
    std::vector<TensorView> outputs = {{"token_nll", ElementType::F32, {batch.predicted}, ready.nll.data()}};
    if (classes) {
      ready.labels = batch.lists.back().second;
      int64_t count = int64_t(result.accuracy.classes.size());
      ready.logProbabilities.resize(batch.predicted * count);
      outputs.push_back(
          {"log_probabilities", ElementType::F32, {batch.predicted, count}, ready.logProbabilities.data()});
    }
    return session.executor().prepare(loss, batch.views(), outputs, model.arenas());
  };
  for (size_t index = 0; index < plan.size(); ++index) {
    if (index == 0)
      if (Expected<void> prepared = prepare(0); !prepared)
        return prepared.error();
    if (Expected<void> started = session.executor().start(); !started)
      return started.error();
    // A GPU computes this one meanwhile.
    Outputs running = std::exchange(ready, {});
    result.predicted += batch.predicted;
    result.tokens += batch.tokens;
    if (index + 1 < plan.size())
      if (Expected<void> prepared = prepare(index + 1); !prepared)
        return prepared.error();
    if (Expected<void> finished = session.executor().finish(); !finished)
      return finished.error();
    for (float each : running.nll)
      result.total += each;
    result.accuracy.add(running.labels, running.logProbabilities);
  }
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}
