//===- Norm.cpp - layer and RMS normalisation as linalg -------------------===//
#include "TensorBuilder.h"

namespace mlir::xf {
namespace {
/// Sums over the columns of each row of functions of matrices.
Value sumRows(TensorBuilder &b, Value like, ArrayRef<Indexed> inputs, TensorBuilder::Body body) {
  Value zeros = b.filled(b.empty({{like, 0}}, getElementTypeOrSelf(like.getType())), 0);
  return b.reduce(perRow(zeros), inputs, [&](ArrayRef<Number> v, Number sum) { return sum + body(v); });
}
Value meanRows(TensorBuilder &b, Value like, ArrayRef<Indexed> inputs, TensorBuilder::Body body) {
  Value sums = sumRows(b, like, inputs, body);
  Type type = getElementTypeOrSelf(like.getType());
  return b.map(perRow(b.empty({{like, 0}}, type)), perRow(sums),
               [&](ArrayRef<Number> sum) { return sum[0] / b.extent(like, 1, type); });
}

struct Moments {
  Moments(TensorBuilder &b, Value x, APFloat epsilon, bool rms) {
    Type type = getElementTypeOrSelf(x.getType());
    mean =
        rms ? b.filled(b.empty({{x, 0}}, type), 0) : meanRows(b, x, matrix(x), [](ArrayRef<Number> v) { return v[0]; });
    Value variance =
        meanRows(b, x, {matrix(x), perRow(mean)}, [](ArrayRef<Number> v) { return (v[0] - v[1]) * (v[0] - v[1]); });
    reciprocalDeviation = b.map(perRow(b.empty({{x, 0}}, type)), perRow(variance), [&](ArrayRef<Number> v) {
      return b.constant(type, 1) / sqrt(v[0] + epsilon.convertToDouble());
    });
  }
  Value mean, reciprocalDeviation;
};
} // namespace

Results lower(LayerNormOp op, TensorBuilder &b) {
  Value x = op.getX();
  Moments row(b, x, op.getEpsilon(), op.getRms());
  SmallVector<Indexed> inputs = {matrix(x), perRow(row.mean), perRow(row.reciprocalDeviation),
                                 perColumn(op.getWeight())};
  if (op.getBias())
    inputs.push_back(perColumn(op.getBias()));
  return {b.map(matrix(b.empty(op)), inputs, [](ArrayRef<Number> v) {
    Number normalized = (v[0] - v[1]) * v[2] * v[3];
    return v.size() > 4 ? normalized + v[4] : normalized;
  })};
}

Results lower(LayerNormBackwardOp op, TensorBuilder &b) {
  Value x = op.getX();
  Moments row(b, x, op.getEpsilon(), op.getRms());
  SmallVector<Indexed> inputs = {matrix(op.getCotangent()), matrix(x), perColumn(op.getWeight()), perRow(row.mean),
                                 perRow(row.reciprocalDeviation)};
  auto g = [](ArrayRef<Number> v) { return v[0] * v[2]; };
  auto h = [](ArrayRef<Number> v) { return (v[1] - v[3]) * v[4]; };
  Value meanG = op.getRms() ? row.mean : meanRows(b, x, inputs, g);
  Value meanGH = meanRows(b, x, inputs, [&](ArrayRef<Number> v) { return g(v) * h(v); });
  inputs.append({perRow(meanG), perRow(meanGH)});
  Value result =
      b.map(matrix(b.empty(op)), inputs, [&](ArrayRef<Number> v) { return v[4] * (g(v) - v[5] - h(v) * v[6]); });
  return op.getRms() ? Results{result, row.reciprocalDeviation} : Results{result, row.mean, row.reciprocalDeviation};
}

/// The gradients of weight and bias, as sums of what the row has at a place: of (cotangent, x, 1 / deviation, mean).
static Results lowerSums(LayerNormParameterBackwardOp op,
                         function_ref<Value(unsigned result, TensorBuilder::Body term)> sum) {
  Results results{sum(0, [](ArrayRef<Number> v) { return v[0] * ((v.size() > 3 ? v[1] - v[3] : v[1]) * v[2]); })};
  if (op.getBias())
    results.push_back(sum(1, [](ArrayRef<Number> v) { return v[0]; }));
  return results;
}

/// Sums of parts of the rows, as loops over parts, columns and all rows.
static Results lowerParts(LayerNormParameterBackwardOp op, TensorBuilder &b) {
  SmallVector<unsigned> rowAndColumn{2, 1};
  SmallVector<Indexed> inputs = {
      {op.getCotangent(), rowAndColumn}, {op.getX(), rowAndColumn}, {op.getReciprocalDeviation(), {2}}};
  if (op.getMean())
    inputs.push_back({op.getMean(), {2}});
  Number rows = b.number(tensor::DimOp::create(b, op.getX(), 0));
  rows = maximum((rows + (op.getParts() - 1)) / op.getParts(), 1);
  return lowerSums(op, [&](unsigned result, TensorBuilder::Body term) {
    return b.reduce(matrix(b.filled(b.empty(op, result), 0)), inputs, [&](ArrayRef<Number> v, Number sum) {
      return sum + select(b.index(2) / rows == b.index(0), term(v), 0);
    });
  });
}

Results lower(LayerNormParameterBackwardOp op, TensorBuilder &b) {
  if (op.getParts())
    return lowerParts(op, b);
  SmallVector<Indexed> inputs = {matrix(op.getCotangent()), matrix(op.getX()), perRow(op.getReciprocalDeviation())};
  if (op.getMean())
    inputs.push_back(perRow(op.getMean()));
  return lowerSums(op, [&](unsigned result, TensorBuilder::Body term) {
    return b.reduce(perColumn(b.filled(b.empty(op, result), 0)), inputs,
                    [&](ArrayRef<Number> v, Number sum) { return sum + term(v); });
  });
}
} // namespace mlir::xf
