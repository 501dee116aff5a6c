//===- Linear.cpp - matrix products and sums of columns as linalg ---------===//
#include "TensorBuilder.h"

namespace mlir::xf {

/// The scales of a weight's rows: the largest of their numbers over 127.
static Value scalesOfRows(TensorBuilder &b, Value weight) {
  Value most = b.reduce(perRow(b.filled(b.empty({{weight, 0}}, b.getF32Type()), 0)), matrix(weight),
                        [](ArrayRef<Number> v, Number most) { return maximum(most, unary<math::AbsFOp>(v[0])); });
  return b.map(perRow(b.empty({{weight, 0}}, b.getF32Type())), perRow(most),
               [](ArrayRef<Number> v) { return v[0] / 127; });
}

/// Panels that begin with their columns' scales, byte by byte.
static Results quantize(PackOp op, TensorBuilder &b) {
  int64_t out = op.getWeight().getType().getDimSize(0);
  Value scales = scalesOfRows(b, op.getWeight());
  return {b.map(elements(b.empty(op)), {}, [&](ArrayRef<Number>) {
    Number panel = b.index(0) * PackOp::columns, line = b.index(1), row = panel + b.index(2);
    Number isInside = row < out, scale = b.element(scales, {minimum(row, out - 1)});
    Number weight = b.element(op.getWeight(), {minimum(row, out - 1), maximum(line - PackOp::scaleRows, 0)});
    Number rounded =
        unary<math::RoundEvenOp>(maximum(minimum(select(scale == 0, 0, weight / scale), Number(127)), Number(-127)));
    Number quantized = b.number(arith::FPToSIOp::create(b, b.getI8Type(), rounded.get()));
    // Byte `place` of the panel's scales: of number place / 4.
    Number place = line * PackOp::columns + b.index(2), of = panel + place / 4;
    Number bits =
        b.number(arith::BitcastOp::create(b, b.getI32Type(), b.element(scales, {minimum(of, out - 1)}).get()));
    Number shift = (binary<arith::AddFOp, arith::RemSIOp>(place, 4) * 8).toInteger(32);
    Number byte =
        b.number(arith::TruncIOp::create(b, b.getI8Type(), arith::ShRSIOp::create(b, bits.get(), shift.get())));
    Number zero = b.number(arith::ConstantOp::create(b, b.getI8IntegerAttr(0)));
    return select(line < PackOp::scaleRows, select(of < out, byte, zero), select(isInside, quantized, zero));
  })};
}

Results lower(PackOp op, TensorBuilder &b) {
  if (op.isQuantized())
    return quantize(op, b);
  int64_t out = op.getWeight().getType().getDimSize(0);
  return {b.map(elements(b.empty(op)), {}, [&](ArrayRef<Number>) {
    Number row = b.index(0) * PackOp::columns + b.index(2);
    Number there = b.element(op.getWeight(), {minimum(row, out - 1), b.index(1)});
    return select(row < out, there, Number(0).as(there));
  })};
}

Number elementOfPacked(TensorBuilder &b, Value packed, const Number &row, const Number &k) {
  auto remainder = [](const Number &x, int64_t by) { return binary<arith::AddFOp, arith::RemSIOp>(x, by); };
  Number panel = row / PackOp::columns, column = remainder(row, PackOp::columns);
  if (!cast<RankedTensorType>(packed.getType()).getElementType().isInteger(8))
    return b.element(packed, {panel, k, column});
  Number quantized = b.element(packed, {panel, k + PackOp::scaleRows, column});
  Number bits = b.number(arith::ConstantOp::create(b, b.getI32IntegerAttr(0)));
  for (int64_t byte = 0; byte < 4; ++byte) {
    Number place = column * 4 + byte;
    Number part = b.number(arith::ExtUIOp::create(
        b, b.getI32Type(),
        b.element(packed, {panel, place / PackOp::columns, remainder(place, PackOp::columns)}).get()));
    bits = b.number(arith::OrIOp::create(
        b, bits.get(),
        arith::ShLIOp::create(b, part.get(), arith::ConstantOp::create(b, b.getI32IntegerAttr(8 * byte)))));
  }
  Number scale = b.number(arith::BitcastOp::create(b, b.getF32Type(), bits.get()));
  return quantized.toFloat(b.getF32Type()) * scale;
}

/// A packed weight as the matrix it was made of, or where it is quantized, nearly.
static Value unpack(LinearOp op, TensorBuilder &b) {
  Type type = op.getX().getType().getElementType();
  Value empty = tensor::EmptyOp::create(b, {op.getResult().getType().getDimSize(1), op.getX().getType().getDimSize(1)},
                                        op.isQuantized() ? b.getF32Type() : type);
  return b.map(matrix(empty), {},
               [&](ArrayRef<Number>) { return elementOfPacked(b, op.getWeight(), b.index(0), b.index(1)); });
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
