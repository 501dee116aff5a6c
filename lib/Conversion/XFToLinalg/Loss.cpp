//===- Loss.cpp - cross-entropy, probabilities, learning rate as linalg ---===//
#include "TensorBuilder.h"
#include <cmath>

namespace mlir::xf {
namespace {
/// log sum_v exp x[t, v] of every row, measured from the row's maximum.
struct LogSumExp {
  LogSumExp(TensorBuilder &b, Value x) {
    Type type = getElementTypeOrSelf(x.getType());
    auto rows = [&] { return b.empty({{x, 0}}, type); };
    most = b.reduce(perRow(b.filled(rows(), -std::numeric_limits<double>::infinity())), matrix(x),
                    [](ArrayRef<Number> v, Number most) { return maximum(v[0], most); });
    Value sum = b.reduce(perRow(b.filled(rows(), 0)), {matrix(x), perRow(most)},
                         [](ArrayRef<Number> v, Number sum) { return sum + exp(v[0] - v[1]); });
    fromMost = b.map(perRow(rows()), perRow(sum), [](ArrayRef<Number> v) { return log(v[0]); });
    value = b.map(perRow(rows()), {perRow(most), perRow(fromMost)}, [](ArrayRef<Number> v) { return v[0] + v[1]; });
  }
  Value most, fromMost, value;
};
} // namespace

Results lower(CrossEntropyOp op, TensorBuilder &b) {
  Value logits = op.getLogits();
  Type type = getElementTypeOrSelf(logits.getType());
  double smoothing = op.getSmoothing().convertToDouble();
  LogSumExp row(b, logits);
  Value nll =
      b.map(perRow(b.empty(op, 1)), {perRow(op.getLabels()), perRow(row.most), perRow(row.fromMost)},
            [&](ArrayRef<Number> v) { return v[2] - (b.element(logits, {b.index(0), v[0].toInteger(0)}) - v[1]); });
  // -1/V sum_v log p[v] = log sum exp - mean of the logits
  Value zeros = b.filled(b.empty({{logits, 0}}, type), 0);
  Value distance = b.reduce(perRow(zeros), {matrix(logits), perRow(row.most)},
                            [](ArrayRef<Number> v, Number sum) { return sum + (v[0] - v[1]); });
  Value loss =
      b.map(perRow(b.empty(op, 0)), {perRow(nll), perRow(row.fromMost), perRow(distance)}, [&](ArrayRef<Number> v) {
        return v[0] * (1 - smoothing) + (v[1] - v[2] / b.extent(logits, 1, type)) * smoothing;
      });
  return {loss, nll, row.value};
}

Results lower(CrossEntropyBackwardOp op, TensorBuilder &b) {
  double smoothing = op.getSmoothing().convertToDouble();
  return {b.map(matrix(b.empty(op)),
                {perRow(op.getCotangent()), matrix(op.getLogits()), perRow(op.getLabels()), perRow(op.getLogSumExp())},
                [&](ArrayRef<Number> v) {
                  Type type = v[1].type();
                  Number target = select(b.index(1).toInteger(32) == v[2], b.constant(type, 1 - smoothing), 0) +
                                  b.constant(type, smoothing) / b.extent(op.getLogits(), 1, type);
                  return v[0] * (exp(v[1] - v[3]) - target);
                })};
}

Results lower(LogSoftmaxOp op, TensorBuilder &b) {
  LogSumExp row(b, op.getLogits());
  return {b.map(matrix(b.empty(op)), {matrix(op.getLogits()), perRow(row.most), perRow(row.fromMost)},
                [](ArrayRef<Number> v) { return v[0] - v[1] - v[2]; })};
}

// Loops: token t, block of columns, column v.
Results lower(BlockStatisticsOp op, TensorBuilder &b) {
  Indexed logits{op.getLogits(), {0, 2}};
  auto here = [&] { return b.index(2) / double(BlockStatisticsOp::columns) == b.index(1); };
  Value none = b.filled(b.empty(op, 0), -std::numeric_limits<double>::infinity());
  Value maxima = b.reduce(matrix(none), logits,
                          [&](ArrayRef<Number> v, Number most) { return select(here(), maximum(v[0], most), most); });
  Value sums = b.reduce(matrix(b.filled(b.empty(op, 1), 0)), {logits, matrix(maxima)},
                        [&](ArrayRef<Number> v, Number sum) { return select(here(), sum + exp(v[0] - v[1]), sum); });
  return {maxima, sums};
}

// Loops: token t, rank i or column v, column w.
Results lower(TopKOp op, TensorBuilder &b) {
  Value logits = op.getLogits();
  LogSumExp row(b, logits);
  auto last = [](Value x) { return Indexed{x, {0, 2}}; };
  Value zeros = b.filled(b.empty({{logits, 0}, {logits, 1}}, b.getI32Type()), 0);
  Value rank = b.reduce(matrix(zeros), {matrix(logits), last(logits)}, [&](ArrayRef<Number> v, Number rank) {
    Number isBefore = select(b.index(2) < b.index(1), rank + 1, rank);
    return select(v[1] > v[0], rank + 1, select(v[1] == v[0], isBefore, rank));
  });
  auto isHere = [&](Number rank) { return rank == b.index(1).toInteger(32); };
  Value none = b.filled(b.empty(op, 0), -std::numeric_limits<double>::infinity());
  Value values = b.reduce(matrix(none), {last(logits), last(rank), perRow(row.value)},
                          [&](ArrayRef<Number> v, Number value) { return select(isHere(v[1]), v[0] - v[2], value); });
  Value tokens = b.reduce(matrix(b.filled(b.empty(op, 1), -1)), last(rank), [&](ArrayRef<Number> v, Number token) {
    return select(isHere(v[0]), b.index(2).toInteger(32), token);
  });
  return {values, tokens, row.value};
}

Results lower(MeanOp op, TensorBuilder &b) {
  Type type = getElementTypeOrSelf(op.getType());
  Value sum = b.reduce({b.filled(b.empty(op), 0), {}}, perRow(op.getX()),
                       [](ArrayRef<Number> v, Number sum) { return sum + v[0]; });
  return {b.map({b.empty(op), {}}, {{sum, {}}},
                [&](ArrayRef<Number> v) { return v[0] / maximum(b.extent(op.getX(), 0, type), 1); })};
}

Results lower(MeanBackwardOp op, TensorBuilder &b) {
  Type type = getElementTypeOrSelf(op.getType());
  return {b.map(perRow(b.empty(op)), {{op.getCotangent(), {}}},
                [&](ArrayRef<Number> v) { return v[0] / b.extent(op.getLike(), 0, type); })};
}

Results lower(LearningRateOp op, TensorBuilder &b) {
  return {b.map({b.empty(op), {}}, {}, [&](ArrayRef<Number>) {
    auto setting = [&](int64_t i) { return b.element(op.getHyper(), b.constant(b.getIndexType(), i)); };
    Number rate = setting(0), warmup = setting(1), one = b.constant(rate.type(), 1);
    Number step = b.element(op.getRandom(), b.constant(b.getIndexType(), 1)).toFloat(rate.type());
    Number warms = warmup > 0, divisor = select(warms, warmup, 1);
    Number schedule = setting(2), width = b.constant(rate.type(), std::pow(op.getDModel(), -0.5));
    Number scale = select(schedule == 1, width, select(schedule == 3, sqrt(divisor), one));
    Number falling = rate * scale * minimum(one / sqrt(step), step / (divisor * sqrt(divisor)));
    Number constant = rate * select(warms, minimum(step / divisor, 1), 1);
    return select(schedule == 0, constant, falling);
  })};
}
} // namespace mlir::xf
