//===- Norm.cpp - layer normalisation as linalg ---------------------------===//
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
  Moments(TensorBuilder &b, Value x, APFloat epsilon) {
    Type type = getElementTypeOrSelf(x.getType());
    mean = meanRows(b, x, matrix(x), [](ArrayRef<Number> v) { return v[0]; });
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
  Moments row(b, x, op.getEpsilon());
  return {b.map(matrix(b.empty(op)),
                {matrix(x), perRow(row.mean), perRow(row.reciprocalDeviation), perColumn(op.getWeight()),
                 perColumn(op.getBias())},
                [](ArrayRef<Number> v) { return (v[0] - v[1]) * v[2] * v[3] + v[4]; })};
}

Results lower(LayerNormBackwardOp op, TensorBuilder &b) {
  Value x = op.getX();
  Moments row(b, x, op.getEpsilon());
  SmallVector<Indexed> inputs = {matrix(op.getCotangent()), matrix(x), perColumn(op.getWeight()), perRow(row.mean),
                                 perRow(row.reciprocalDeviation)};
  auto g = [](ArrayRef<Number> v) { return v[0] * v[2]; };
  auto h = [](ArrayRef<Number> v) { return (v[1] - v[3]) * v[4]; };
  Value meanG = meanRows(b, x, inputs, g);
  Value meanGH = meanRows(b, x, inputs, [&](ArrayRef<Number> v) { return g(v) * h(v); });
  inputs.append({perRow(meanG), perRow(meanGH)});
  Value result =
      b.map(matrix(b.empty(op)), inputs, [&](ArrayRef<Number> v) { return v[4] * (g(v) - v[5] - h(v) * v[6]); });
  return {result, row.mean, row.reciprocalDeviation};
}

/// Sums of parts of the rows, as loops over parts, columns and all rows.
static Results lowerParts(LayerNormParameterBackwardOp op, TensorBuilder &b) {
  SmallVector<unsigned> rowAndColumn{2, 1};
  SmallVector<Indexed> inputs = {{op.getCotangent(), rowAndColumn},
                                 {op.getX(), rowAndColumn},
                                 {op.getMean(), {2}},
                                 {op.getReciprocalDeviation(), {2}}};
  Number rows = b.number(tensor::DimOp::create(b, op.getX(), 0));
  rows = maximum((rows + (op.getParts() - 1)) / op.getParts(), 1);
  auto sums = [&](unsigned result, TensorBuilder::Body term) {
    return b.reduce(matrix(b.filled(b.empty(op, result), 0)), inputs, [&](ArrayRef<Number> v, Number sum) {
      return sum + select(b.index(2) / rows == b.index(0), term(v), 0);
    });
  };
  return {sums(0, [](ArrayRef<Number> v) { return v[0] * ((v[1] - v[2]) * v[3]); }),
          sums(1, [](ArrayRef<Number> v) { return v[0]; })};
}

Results lower(LayerNormParameterBackwardOp op, TensorBuilder &b) {
  if (op.getParts())
    return lowerParts(op, b);
  Value weight = b.reduce(
      perColumn(b.filled(b.empty(op, 0), 0)),
      {matrix(op.getCotangent()), matrix(op.getX()), perRow(op.getMean()), perRow(op.getReciprocalDeviation())},
      [](ArrayRef<Number> v, Number sum) { return sum + v[0] * ((v[1] - v[2]) * v[3]); });
  Value bias = b.reduce(perColumn(b.filled(b.empty(op, 1), 0)), matrix(op.getCotangent()),
                        [](ArrayRef<Number> v, Number sum) { return sum + v[0]; });
  return {weight, bias};
}
} // namespace mlir::xf
