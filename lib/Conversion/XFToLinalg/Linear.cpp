//===- Linear.cpp - matrix products and sums of columns as linalg ---------===//
#include "TensorBuilder.h"

namespace mlir::xf {

static Number remainder(const Number &x, int64_t by) { return binary<arith::AddFOp, arith::RemSIOp>(x, by); }

static Number bitcast(TensorBuilder &b, Type type, const Number &x) {
  return b.number(arith::BitcastOp::create(b, type, x.get()));
}

/// The scale of the group of 32 numbers in which number k of a row is: the largest of them over 127, in bf16, whose
/// bits are the upper half of the result's. Rounded as an integer: for truncf LLVM calls a function.
static Number bitsOfScale(TensorBuilder &b, Value weight, const Number &row, const Number &k) {
  int64_t in = cast<RankedTensorType>(weight.getType()).getDimSize(1);
  Number begin = k / PackOp::group * PackOp::group, most = 0;
  for (int64_t i = 0; i < PackOp::group; ++i)
    most = maximum(most, unary<math::AbsFOp>(b.element(weight, {row, minimum(begin + i, in - 1)})));
  Number bits = minimum(bitcast(b, b.getI32Type(), most / 127), 0x7fc00000), upper = bits / 0x10000;
  return (bits + 0x7fff + remainder(upper, 2)) / 0x10000 * 0x10000;
}

/// Panels in which each group of rows comes after its columns' scales, byte by byte.
static Results quantize(PackOp op, TensorBuilder &b) {
  constexpr int64_t rows = PackOp::group + PackOp::scaleRows;
  int64_t out = op.getWeight().getType().getDimSize(0), in = op.getWeight().getType().getDimSize(1);
  return {b.map(elements(b.empty(op)), {}, [&](ArrayRef<Number>) {
    Number panel = b.index(0) * PackOp::columns, group = b.index(1) / rows, line = remainder(b.index(1), rows);
    Number row = panel + b.index(2), k = group * PackOp::group + maximum(line - PackOp::scaleRows, 0);
    auto bits = [&](const Number &row) { return bitsOfScale(b, op.getWeight(), minimum(row, out - 1), k); };
    Number own = bitcast(b, b.getF32Type(), bits(row));
    Number weight = b.element(op.getWeight(), {minimum(row, out - 1), minimum(k, in - 1)});
    Number rounded =
        unary<math::RoundEvenOp>(maximum(minimum(select(own == 0, 0, weight / own), Number(127)), Number(-127)));
    Number quantized = b.number(arith::FPToSIOp::create(b, b.getI8Type(), rounded.get()));
    // Byte `place` of the group's scales: of number place / 2.
    Number place = line * PackOp::columns + b.index(2), of = panel + place / 2;
    Value shift = (remainder(place, 2) * 8 + 16).toInteger(32).get();
    Number byte = b.number(arith::TruncIOp::create(b, b.getI8Type(), arith::ShRUIOp::create(b, bits(of).get(), shift)));
    Number zero = b.number(arith::ConstantOp::create(b, b.getI8IntegerAttr(0)));
    return select(line < PackOp::scaleRows, select(of < out, byte, zero), select(row < out, quantized, zero));
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
  Number panel = row / PackOp::columns, column = remainder(row, PackOp::columns);
  if (!cast<RankedTensorType>(packed.getType()).getElementType().isInteger(8))
    return b.element(packed, {panel, k, column});
  Number group = k / PackOp::group, first = group * (PackOp::group + PackOp::scaleRows);
  Number quantized = b.element(packed, {panel, k + (group + 1) * PackOp::scaleRows, column});
  Value bits = arith::ConstantOp::create(b, b.getI32IntegerAttr(0)); // of the scale as f32
  for (int64_t byte = 0; byte < 2; ++byte) {
    Number place = column * 2 + byte;
    Value part = arith::ExtUIOp::create(
        b, b.getI32Type(),
        b.element(packed, {panel, first + place / PackOp::columns, remainder(place, PackOp::columns)}).get());
    Value shift = arith::ConstantOp::create(b, b.getI32IntegerAttr(16 + 8 * byte));
    bits = arith::OrIOp::create(b, bits, arith::ShLIOp::create(b, part, shift));
  }
  return quantized.toFloat(b.getF32Type()) * bitcast(b, b.getF32Type(), b.number(bits));
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
