//===- Norm.cpp - reference: layer and RMS normalisation ------------------===//
#include "Frame.h"
#include <cmath>

using namespace mlir;
using namespace mlir::xf;
using namespace mlir::xf::reference;

namespace {
/// Mean (with `rms` 0) and 1 / sqrt(variance + epsilon) of every row.
struct RowStatistics {
  Tensor mean, reciprocalDeviation;
  RowStatistics(const Tensor &x, double epsilon, bool rms)
      : mean(Tensor::reals({x.rows()})), reciprocalDeviation(Tensor::reals({x.rows()})) {
    auto features = double(x.columns());
    for (int64_t t = 0; t < x.rows(); ++t) {
      double variance = 0;
      for (int64_t c = 0; c < x.columns() && !rms; ++c)
        mean[t] += x(t, c) / features;
      for (int64_t c = 0; c < x.columns(); ++c)
        variance += (x(t, c) - mean[t]) * (x(t, c) - mean[t]) / features;
      reciprocalDeviation[t] = 1 / std::sqrt(variance + epsilon);
    }
  }
};
} // namespace

LogicalResult reference::evaluate(LayerNormOp op, Frame &frame) {
  const Tensor &x = frame[op.getX()], &weight = frame[op.getWeight()], *bias = frame.find(op.getBias());
  RowStatistics row(x, op.getEpsilon().convertToDouble(), op.getRms());
  Tensor result = Tensor::reals(x.shape());
  for (int64_t t = 0; t < x.rows(); ++t)
    for (int64_t c = 0; c < x.columns(); ++c)
      result(t, c) = (x(t, c) - row.mean[t]) * row.reciprocalDeviation[t] * weight[c] + (bias ? (*bias)[c] : 0);
  frame.set(op.getResult(), result);
  return success();
}

LogicalResult reference::evaluate(LayerNormBackwardOp op, Frame &frame) {
  const Tensor &cotangent = frame[op.getCotangent()], &x = frame[op.getX()], &weight = frame[op.getWeight()];
  if (failed(expectRows(op, "cotangent", cotangent, x.rows(), "'x'")))
    return failure();
  RowStatistics row(x, op.getEpsilon().convertToDouble(), op.getRms());
  Tensor result = Tensor::reals(x.shape());
  auto features = double(x.columns());
  for (int64_t t = 0; t < x.rows(); ++t) {
    auto normalized = [&](int64_t c) { return (x(t, c) - row.mean[t]) * row.reciprocalDeviation[t]; };
    double mean = 0, projection = 0;
    for (int64_t c = 0; c < x.columns(); ++c) {
      mean += op.getRms() ? 0 : cotangent(t, c) * weight[c] / features;
      projection += cotangent(t, c) * weight[c] * normalized(c) / features;
    }
    for (int64_t c = 0; c < x.columns(); ++c)
      result(t, c) = row.reciprocalDeviation[t] * (cotangent(t, c) * weight[c] - mean - normalized(c) * projection);
  }
  frame.set(op.getResult(), result);
  if (op.getMean())
    frame.set(op.getMean(), row.mean);
  frame.set(op.getReciprocalDeviation(), row.reciprocalDeviation);
  return success();
}

LogicalResult reference::evaluate(LayerNormParameterBackwardOp op, Frame &frame) {
  const Tensor &cotangent = frame[op.getCotangent()], &x = frame[op.getX()];
  const Tensor *mean = frame.find(op.getMean()), &reciprocalDeviation = frame[op.getReciprocalDeviation()];
  if (failed(expectRows(op, "x", x, cotangent.rows(), "'cotangent'")))
    return failure();
  // Sums of all rows are one part.
  int64_t parts = std::max<int64_t>(op.getParts(), 1), rows = std::max<int64_t>((x.rows() + parts - 1) / parts, 1);
  auto shape = op.getParts() ? std::vector<int64_t>{parts, x.columns()} : std::vector<int64_t>{x.columns()};
  Tensor weight = Tensor::reals(shape), bias = Tensor::reals(shape);
  for (int64_t t = 0; t < x.rows(); ++t)
    for (int64_t c = 0; c < x.columns(); ++c) {
      int64_t at = t / rows * x.columns() + c;
      weight[at] += cotangent(t, c) * (x(t, c) - (mean ? (*mean)[t] : 0)) * reciprocalDeviation[t];
      bias[at] += cotangent(t, c);
    }
  frame.set(op.getWeight(), weight);
  if (op.getBias())
    frame.set(op.getBias(), bias);
  return success();
}
