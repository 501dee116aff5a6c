//===- Loss.cpp - reference: cross-entropy and probabilities --------------===//
#include "Frame.h"
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

using namespace mlir;
using namespace mlir::xf;
using namespace mlir::xf::reference;

double reference::logSumExp(llvm::function_ref<double(int64_t)> value, int64_t count) {
  double maximum = -std::numeric_limits<double>::infinity(), sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    if (std::isnan(value(i)))
      return value(i);
    maximum = std::max(maximum, value(i));
  }
  if (!std::isfinite(maximum))
    return maximum;
  for (int64_t i = 0; i < count; ++i)
    sum += std::exp(value(i) - maximum);
  return maximum + std::log(sum);
}

static double rowLogSumExp(const Tensor &logits, int64_t t) {
  return logSumExp([&](int64_t v) { return logits(t, v); }, logits.columns());
}

static LogicalResult verifyLabels(Operation *op, const Tensor &labels, const Tensor &logits) {
  if (failed(expectRows(op, "labels", labels, logits.rows(), "'logits'")))
    return failure();
  return expectIds(op, "labels", labels, logits.columns(), "the features of 'logits'");
}

LogicalResult reference::evaluate(CrossEntropyOp op, Frame &frame) {
  const Tensor &logits = frame[op.getLogits()], &labels = frame[op.getLabels()];
  if (failed(verifyLabels(op, labels, logits)))
    return failure();
  double smoothing = op.getSmoothing().convertToDouble();
  Tensor loss = Tensor::reals({logits.rows()}), nll = loss.copy(), lse = loss.copy();
  for (int64_t t = 0; t < logits.rows(); ++t) {
    lse[t] = rowLogSumExp(logits, t);
    nll[t] = lse[t] - logits(t, labels.integer(t));
    loss[t] = (1 - smoothing) * nll[t];
    for (int64_t v = 0; v < logits.columns(); ++v)
      loss[t] += smoothing / double(logits.columns()) * (lse[t] - logits(t, v));
  }
  frame.set(op.getTokenLoss(), loss);
  frame.set(op.getTokenNll(), nll);
  frame.set(op.getLogSumExp(), lse);
  return success();
}

LogicalResult reference::evaluate(CrossEntropyBackwardOp op, Frame &frame) {
  const Tensor &cotangent = frame[op.getCotangent()], &logits = frame[op.getLogits()], &labels = frame[op.getLabels()],
               &lse = frame[op.getLogSumExp()];
  if (failed(verifyLabels(op, labels, logits)) ||
      failed(expectRows(op, "cotangent", cotangent, logits.rows(), "'logits'")))
    return failure();
  double smoothing = op.getSmoothing().convertToDouble();
  Tensor result = Tensor::reals(logits.shape());
  for (int64_t t = 0; t < logits.rows(); ++t)
    for (int64_t v = 0; v < logits.columns(); ++v)
      result(t, v) = cotangent[t] * (std::exp(logits(t, v) - lse[t]) - (v == labels.integer(t) ? 1 - smoothing : 0) -
                                     smoothing / double(logits.columns()));
  frame.set(op.getResult(), result);
  return success();
}

LogicalResult reference::evaluate(MeanOp op, Frame &frame) {
  const Tensor &x = frame[op.getX()];
  Tensor result = Tensor::reals({});
  for (int64_t t = 0; t < x.rows(); ++t)
    result[0] += x[t] / double(x.rows());
  frame.set(op.getResult(), result);
  return success();
}

LogicalResult reference::evaluate(MeanBackwardOp op, Frame &frame) {
  const Tensor &like = frame[op.getLike()];
  frame.set(op.getResult(), Tensor::reals(like.shape(), frame[op.getCotangent()].scalar() / double(like.rows())));
  return success();
}

LogicalResult reference::evaluate(LogSoftmaxOp op, Frame &frame) {
  const Tensor &logits = frame[op.getLogits()];
  Tensor result = Tensor::reals(logits.shape());
  for (int64_t t = 0; t < logits.rows(); ++t)
    for (int64_t v = 0; v < logits.columns(); ++v)
      result(t, v) = logits(t, v) - rowLogSumExp(logits, t);
  frame.set(op.getResult(), result);
  return success();
}

LogicalResult reference::evaluate(BlockStatisticsOp op, Frame &frame) {
  const Tensor &logits = frame[op.getLogits()];
  int64_t width = BlockStatisticsOp::columns, blocks = llvm::divideCeil(logits.columns(), width);
  Tensor maxima = Tensor::reals({logits.rows(), blocks}, -std::numeric_limits<double>::infinity()),
         sums = Tensor::reals({logits.rows(), blocks});
  for (int64_t t = 0; t < logits.rows(); ++t) {
    for (int64_t v = 0; v < logits.columns(); ++v)
      maxima(t, v / width) = std::max(maxima(t, v / width), logits(t, v));
    for (int64_t v = 0; v < logits.columns(); ++v)
      sums(t, v / width) += std::exp(logits(t, v) - maxima(t, v / width));
  }
  frame.set(op.getMaxima(), maxima);
  frame.set(op.getSums(), sums);
  return success();
}

LogicalResult reference::evaluate(TopKOp op, Frame &frame) {
  const Tensor &logits = frame[op.getLogits()];
  int64_t count = frame[op.getRanks()].elements();
  Tensor values = Tensor::reals({logits.rows(), count}, -std::numeric_limits<double>::infinity()),
         tokens = Tensor::integers({logits.rows(), count}, -1), lse = Tensor::reals({logits.rows()});
  for (int64_t t = 0; t < logits.rows(); ++t) {
    lse[t] = rowLogSumExp(logits, t);
    std::vector<int64_t> order(logits.columns());
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(),
              [&](int64_t a, int64_t b) { return std::pair(-logits(t, a), a) < std::pair(-logits(t, b), b); });
    for (int64_t i = 0; i < std::min(count, logits.columns()); ++i) {
      tokens.integer(t * count + i) = order[i];
      values(t, i) = logits(t, order[i]) - lse[t];
    }
  }
  frame.set(op.getValues(), values);
  frame.set(op.getTokens(), tokens);
  frame.set(op.getLogSumExp(), lse);
  return success();
}
