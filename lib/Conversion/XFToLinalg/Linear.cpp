//===- Linear.cpp - matrix products and sums of columns as linalg ---------===//
#include "TensorBuilder.h"

namespace mlir::xf {

Results lower(PackOp op, TensorBuilder &b) {
  int64_t out = op.getWeight().getType().getDimSize(0);
  return {b.map(elements(b.empty(op)), {}, [&](ArrayRef<Number>) {
    Number row = b.index(0) * PackOp::columns + b.index(2);
    Number there = b.element(op.getWeight(), {minimum(row, out - 1), b.index(1)});
    return select(row < out, there, Number(0).as(there));
  })};
}

/// A packed weight as the matrix it was made of.
static Value unpack(LinearOp op, TensorBuilder &b) {
  auto type = op.getWeight().getType();
  Value empty =
      tensor::EmptyOp::create(b, {op.getResult().getType().getDimSize(1), type.getDimSize(1)}, type.getElementType());
  return b.map(matrix(empty), {}, [&](ArrayRef<Number>) {
    Number row = b.index(0);
    return b.element(op.getWeight(),
                     {row / PackOp::columns, b.index(1), binary<arith::AddFOp, arith::RemSIOp>(row, PackOp::columns)});
  });
}

Results lower(LinearOp op, TensorBuilder &b) {
  Value weight = op.isPacked() ? unpack(op, b) : Value(op.getWeight());
  Value start = b.empty(op);
  start = op.getBias() ? b.map(matrix(start), perColumn(op.getBias()), [](ArrayRef<Number> v) { return v[0]; })
                       : b.filled(start, 0);
  return {b.contract(matrix(start), {op.getX(), {0, 2}}, {weight, {1, 2}})};
}

Results lower(MatmulOp op, TensorBuilder &b) {
  Value start = op.getInto() ? op.getInto() : b.filled(b.empty(op), 0);
  SmallVector<unsigned> a = {0, 2}, c = {2, 1};
  if (op.getTransposeA())
    std::swap(a[0], a[1]);
  if (op.getTransposeB())
    std::swap(c[0], c[1]);
  return {b.contract(matrix(start), {op.getA(), a}, {op.getB(), c})};
}

Results lower(ColumnSumOp op, TensorBuilder &b) {
  RankedTensorType type = op.getResult().getType();
  Value sums = b.reduce(perColumn(b.filled(b.empty({{op.getX(), 1}}, type.getElementType()), 0)), matrix(op.getX()),
                        [](ArrayRef<Number> v, Number sum) { return sum + v[0]; });
  if (type.getRank() == 1)
    return {sums};
  SmallVector<int64_t> shape(type.getShape());
  auto extents = arith::ConstantOp::create(b, b.getIndexTensorAttr(shape));
  return {tensor::ReshapeOp::create(b, type, sums, extents)};
}
} // namespace mlir::xf
