//===- Elementwise.cpp - residual, activations, dropout as linalg ---------===//
#include "TensorBuilder.h"
#include <cmath>

namespace mlir::xf {
namespace {
/// The normal distribution function and density.
Number distribution(Number x) { return (unary<math::ErfOp>(x * M_SQRT1_2) + 1) * 0.5; }
Number density(Number x) { return exp(x * x * -0.5) * (M_2_SQRTPI * M_SQRT1_2 * 0.5); }
constexpr double rootOf2ByPi = M_2_SQRTPI * M_SQRT1_2;
/// The hyperbolic tangent in gelu_tanh.
Number tanhOf(Number x) { return unary<math::TanhOp>((x * x * x * 0.044715 + x) * rootOf2ByPi); }
Number logistic(Number x) { return Number(1) / (exp(x * -1) + 1); }

template <typename OpT> Results lowerElements(OpT op, TensorBuilder &b, TensorBuilder::Body body) {
  SmallVector<Indexed> inputs = llvm::map_to_vector(op->getOperands(), elements);
  return {b.map(elements(b.empty(op)), inputs, body)};
}
} // namespace

Results lower(AddOp op, TensorBuilder &b) {
  return lowerElements(op, b, [](ArrayRef<Number> v) { return v[0] + v[1]; });
}

Results lower(MultiplyOp op, TensorBuilder &b) {
  return lowerElements(op, b, [](ArrayRef<Number> v) { return v[0] * v[1]; });
}

Results lower(CastOp op, TensorBuilder &b) {
  return lowerElements(op, b, [&](ArrayRef<Number> v) { return v[0].toFloat(op.getType().getElementType()); });
}

/// Rows cut into rows, or put together: by way of a tensor whose second dimension counts them.
Results lower(ReshapeOp op, TensorBuilder &b) {
  using Dims = ReassociationIndices;
  auto [more, fewer] = op.getRatio();
  RankedTensorType from = op.getX().getType(), to = op.getType();
  bool cuts = more > 1;
  int64_t rows = (cuts ? from : to).getDimSize(0), pieces = std::max(more, fewer),
          width = std::min(from.getDimSize(1), to.getDimSize(1));
  auto between = RankedTensorType::get({rows, pieces, width}, from.getElementType());
  OpFoldResult count = b.getIndexAttr(rows);
  if (ShapedType::isDynamic(rows))
    count = (b.number(tensor::DimOp::create(b, op.getX(), 0)) / fewer).get();
  SmallVector<Dims> byRow{{0}, {1, 2}}, byPiece{{0, 1}, {2}};
  Value expanded = tensor::ExpandShapeOp::create(b, op.getLoc(), between, op.getX(), cuts ? byRow : byPiece,
                                                 {count, b.getIndexAttr(pieces), b.getIndexAttr(width)});
  return {tensor::CollapseShapeOp::create(b, op.getLoc(), to, expanded, cuts ? byPiece : byRow).getResult()};
}

Results lower(ReluOp op, TensorBuilder &b) {
  return lowerElements(op, b, [](ArrayRef<Number> v) { return maximum(v[0], 0); });
}

Results lower(GeluTanhOp op, TensorBuilder &b) {
  return lowerElements(op, b, [](ArrayRef<Number> v) { return v[0] * (tanhOf(v[0]) + 1) * 0.5; });
}

Results lower(SiluOp op, TensorBuilder &b) {
  return lowerElements(op, b, [](ArrayRef<Number> v) { return v[0] * logistic(v[0]); });
}

Results lower(ReluBackwardOp op, TensorBuilder &b) {
  return lowerElements(op, b, [](ArrayRef<Number> v) { return select(v[1] > 0, v[0], 0); });
}

Results lower(GeluOp op, TensorBuilder &b) {
  return lowerElements(op, b, [](ArrayRef<Number> v) { return v[0] * distribution(v[0]); });
}

Results lower(GeluBackwardOp op, TensorBuilder &b) {
  return lowerElements(op, b, [](ArrayRef<Number> v) { return v[0] * (distribution(v[1]) + v[1] * density(v[1])); });
}

Results lower(GeluTanhBackwardOp op, TensorBuilder &b) {
  return lowerElements(op, b, [](ArrayRef<Number> v) {
    Number x = v[1], t = tanhOf(x), slope = (x * x * (3 * 0.044715) + 1) * rootOf2ByPi;
    return v[0] * (t + 1 + x * (t * t * -1 + 1) * slope) * 0.5;
  });
}

Results lower(SiluBackwardOp op, TensorBuilder &b) {
  return lowerElements(op, b, [](ArrayRef<Number> v) {
    Number s = logistic(v[1]);
    return v[0] * s * (v[1] * (s * -1 + 1) + 1);
  });
}

Results lower(TanhOp op, TensorBuilder &b) {
  return lowerElements(op, b, [](ArrayRef<Number> v) { return unary<math::TanhOp>(v[0]); });
}

Results lower(TanhBackwardOp op, TensorBuilder &b) {
  return lowerElements(op, b, [](ArrayRef<Number> v) { return v[0] * (v[1] * v[1] * -1 + 1); });
}

Results lower(DropoutOp op, TensorBuilder &b) {
  Dropout dropout(b, op.getRandom(), op.getSite(), op.getRate());
  return {b.map(matrix(b.empty(op)), matrix(op.getX()),
                [&](ArrayRef<Number> v) { return v[0] * dropout.factor(b.index(0), b.index(1), v[0].type()); })};
}
} // namespace mlir::xf
