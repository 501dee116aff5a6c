//===- Measure.h - Loss of a model on a dataset ------------------------------------------------===//
// Shared by the validation of `train` and by `evaluate`: without dropout and without smoothing.
//===-----------------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_COMMANDS_MEASURE_H
#define XF_RUNTIME_COMMANDS_MEASURE_H

#include "Dataset.h"

namespace xf::runtime {

struct CorpusLoss {
  double total = 0; // negative log likelihood of all labels, ends included
  int64_t predicted = 0;
  int64_t tokens = 0; // read, of all sides
  double seconds = 0;
  double perToken() const { return predicted ? total / double(predicted) : 0; }
};

Expected<CorpusLoss> measureLoss(Session &session, const Function &loss, const ModelState &model,
                                 const Dataset &dataset, int64_t batchTokens);

} // namespace xf::runtime

#endif // XF_RUNTIME_COMMANDS_MEASURE_H
