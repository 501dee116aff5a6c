//===- Embedding.cpp - tables of vectors, positions, caches as linalg -----===//
// A list says where rows are read (tensor.extract) or written: those are taken in the list's order.
//===----------------------------------------------------------------------===//
#include "TensorBuilder.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include <cmath>

namespace mlir::xf {
namespace {
/// For every row r of `rows`, in order: result[places[r], :] = body(rows[r, :], result[places[r], :]), of `into`.
Value writeRows(TensorBuilder &b, Value into, Value places, Value rows,
                function_ref<Value(Value row, Value old)> body) {
  Value begin = arith::ConstantIndexOp::create(b, 0), step = arith::ConstantIndexOp::create(b, 1);
  Value end = tensor::DimOp::create(b, places, 0);
  auto loop = scf::ForOp::create(b, begin, end, step, into);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  Value r = loop.getInductionVar(), result = loop.getRegionIterArg(0);
  OpFoldResult one = b.getIndexAttr(1), columns = tensor::getMixedSize(b, b.getLoc(), into, 1);
  SmallVector<OpFoldResult> sizes = {one, columns}, strides = {one, one};
  auto slice = [&](Value tensor, Value row) -> Value {
    return tensor::ExtractSliceOp::create(b, tensor, ArrayRef<OpFoldResult>{row, b.getIndexAttr(0)}, sizes, strides);
  };
  Value place = b.element(places, b.number(r)).toInteger(0).get();
  Value next = body(slice(rows, r), slice(result, place));
  Value inserted =
      tensor::InsertSliceOp::create(b, next, result, ArrayRef<OpFoldResult>{place, b.getIndexAttr(0)}, sizes, strides);
  scf::YieldOp::create(b, inserted);
  return loop.getResult(0);
}
} // namespace

Results lower(EmbeddingOp op, TensorBuilder &b) {
  return {b.map(matrix(b.empty(op)), perRow(op.getIds()), [&](ArrayRef<Number> id) {
    Number row = id[0].toInteger(0), k = b.index(1);
    return (op.isPacked() ? elementOfPacked(b, op.getTable(), row, k) : b.element(op.getTable(), {row, k})) *
           op.getScale().convertToDouble();
  })};
}

Results lower(EmbeddingBackwardOp op, TensorBuilder &b) {
  Value into = op.getInto() ? op.getInto() : b.filled(b.empty(op), 0);
  double scale = op.getScale().convertToDouble();
  return {writeRows(b, into, op.getIds(), op.getCotangent(), [&](Value row, Value old) {
    return b.reduce(matrix(old), matrix(row), [&](ArrayRef<Number> v, Number sum) { return sum + v[0] * scale; });
  })};
}

Results lower(CacheWriteOp op, TensorBuilder &b) {
  return {writeRows(b, op.getCache(), op.getSlots(), op.getX(), [](Value row, Value) { return row; })};
}

Results lower(PositionIdsOp op, TensorBuilder &b) {
  // The latest start that is not after the token.
  Value starts = b.reduce(perRow(b.filled(b.empty(op), 0)), perColumn(op.getOffsets()),
                          [&](ArrayRef<Number> offset, Number latest) {
                            return select(offset[0] <= b.index(0).toInteger(32), maximum(latest, offset[0]), latest);
                          });
  return {b.map(perRow(b.empty(op)), perRow(starts),
                [&](ArrayRef<Number> start) { return b.index(0).toInteger(32) - start[0]; })};
}

Results lower(SinusoidalOp op, TensorBuilder &b) {
  Type f64 = b.getF64Type(), type = getElementTypeOrSelf(op.getType());
  return {b.map(matrix(b.empty(op)), perRow(op.getPositions()), [&](ArrayRef<Number> position) {
    Number column = b.index(1).toInteger(64);
    int64_t features = cast<RankedTensorType>(op.getType()).getDimSize(1);
    Number isSine = op.getHalves() ? column < features / 2 : (column & 1) == 0;
    Number pair = op.getHalves() ? binary<arith::AddFOp, arith::RemSIOp>(column, features / 2) : column - (column & 1);
    double divisor = op.getHalves() ? features / 2 - 1 : features;
    Number angle = (position[0] + static_cast<int64_t>(op.getFirst())).toFloat(f64) *
                   exp(pair.toFloat(f64) * (-std::log(10000.0) / divisor));
    return select(isSine, unary<math::SinOp>(angle), unary<math::CosOp>(angle)).toFloat(type);
  })};
}

Results lower(RotaryAnglesOp op, TensorBuilder &b) {
  Type f64 = b.getF64Type(), type = getElementTypeOrSelf(op.getType());
  SmallVector<double> frequencies = op.getFrequencies();
  auto half = static_cast<int64_t>(frequencies.size());
  Value table = arith::ConstantOp::create(
      b, DenseElementsAttr::get(RankedTensorType::get({half}, f64), ArrayRef<double>(frequencies)));
  return {b.map(matrix(b.empty(op)), perRow(op.getPositions()), [&](ArrayRef<Number> position) {
    Number column = b.index(1), isCosine = column < half;
    Number angle = position[0].toFloat(f64) * b.element(table, {select(isCosine, column, column - half)});
    return select(isCosine, unary<math::CosOp>(angle), unary<math::SinOp>(angle)).toFloat(type);
  })};
}

Results lower(RotaryOp op, TensorBuilder &b) {
  int64_t features = cast<RankedTensorType>(op.getAngles().getType()).getDimSize(1), half = features / 2;
  Type type = getElementTypeOrSelf(op.getType());
  return {b.map(matrix(b.empty(op)), matrix(op.getX()), [&](ArrayRef<Number> x) {
    Number row = b.index(0), column = b.index(1);
    Number place = binary<arith::AddFOp, arith::RemSIOp>(column, features), isFirst = place < half;
    Number pair = select(isFirst, place, place - half);
    Number other = b.element(op.getX(), {row, select(isFirst, column + half, column - half)});
    Number cosine = b.element(op.getAngles(), {row, pair}).toFloat(type),
           sine = b.element(op.getAngles(), {row, pair + half}).toFloat(type);
    Number sign = b.constant(type, op.getInverse() ? -1 : 1);
    return x[0] * cosine + other * sine * select(isFirst, sign * -1, sign);
  })};
}
} // namespace mlir::xf
