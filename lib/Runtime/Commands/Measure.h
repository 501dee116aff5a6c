//===- Measure.h - Loss of a model on a dataset ------------------------------------------------===//
// Shared by the validation of `train` and by `evaluate`: without dropout and without smoothing. Of a classifier it is
// also how many texts were found to be of their class.
//===-----------------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_COMMANDS_MEASURE_H
#define XF_RUNTIME_COMMANDS_MEASURE_H

#include "Dataset.h"

namespace xf::runtime {

/// Of every class, how many texts are of it, how many were found to be, and how many of these rightly.
struct ClassCounts {
  int64_t labelled = 0, found = 0, right = 0;
};
struct Accuracy {
  std::vector<ClassCounts> classes;
  int64_t texts = 0, right = 0;
  double share() const { return texts ? double(right) / double(texts) : 0; }

  /// Counts texts by their classes' log probabilities, a row each; of equal ones the first is what was found.
  void add(std::span<const int32_t> labels, std::span<const float> logProbabilities);
};

struct CorpusLoss {
  double total = 0; // negative log likelihood of all labels, ends included
  int64_t predicted = 0;
  int64_t tokens = 0; // read, of all sides
  double seconds = 0;
  Accuracy accuracy; // without classes where the model tells none apart
  double perToken() const { return predicted ? total / double(predicted) : 0; }
};

Expected<CorpusLoss> measureLoss(Session &session, const Function &loss, const ModelState &model,
                                 const Dataset &dataset, int64_t batchTokens);

} // namespace xf::runtime

#endif // XF_RUNTIME_COMMANDS_MEASURE_H
