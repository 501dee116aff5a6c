//===- TensorBuilder.h - formulas on tensors --------------------*- C++ -*-===//
// Writes linalg.generic ops so that a lowering reads like the op's formula: numbers with operators, tensors with the
// loops that index them.
//===----------------------------------------------------------------------===//
#ifndef XF_LIB_CONVERSION_XFTOLINALG_TENSORBUILDER_H
#define XF_LIB_CONVERSION_XFTOLINALG_TENSORBUILDER_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "xf/Dialect/XF/IR/XF.h"

namespace mlir::xf {

/// A number in a body: a value, or a literal that takes the type of the number it meets.
class Number {
public:
  Number(double literal) : literal(literal) {}
  Number(ImplicitLocOpBuilder &b, Value value) : b(&b), value(value) {}
  Value get() const { return value; }
  Type type() const { return value.getType(); }
  ImplicitLocOpBuilder &builder() const { return *b; }

  /// This number where `other` gives the type.
  Number as(const Number &other) const;
  /// A float of `type`, from a float, an integer or an index.
  Number toFloat(Type type) const;
  /// An integer of `width` bits (or an index, for 0), from an integer or an index.
  Number toInteger(unsigned width) const;

private:
  ImplicitLocOpBuilder *b = nullptr;
  Value value;
  double literal = 0;
};

template <typename FloatOp, typename IntegerOp> Number binary(Number x, Number y) {
  x = x.as(y), y = y.as(x);
  if (isa<FloatType>(x.type()))
    return {x.builder(), FloatOp::create(x.builder(), x.get(), y.get())};
  return {x.builder(), IntegerOp::create(x.builder(), x.get(), y.get())};
}
template <typename OpT> Number unary(Number x) { return {x.builder(), OpT::create(x.builder(), x.get())}; }
Number compare(arith::CmpFPredicate floats, arith::CmpIPredicate integers, Number x, Number y);

inline Number operator+(Number x, Number y) { return binary<arith::AddFOp, arith::AddIOp>(x, y); }
inline Number operator-(Number x, Number y) { return binary<arith::SubFOp, arith::SubIOp>(x, y); }
inline Number operator*(Number x, Number y) { return binary<arith::MulFOp, arith::MulIOp>(x, y); }
inline Number operator/(Number x, Number y) { return binary<arith::DivFOp, arith::DivSIOp>(x, y); }
inline Number maximum(Number x, Number y) { return binary<arith::MaximumFOp, arith::MaxSIOp>(x, y); }
inline Number minimum(Number x, Number y) { return binary<arith::MinimumFOp, arith::MinSIOp>(x, y); }
inline Number exp(Number x) { return unary<math::ExpOp>(x); }
inline Number log(Number x) { return unary<math::LogOp>(x); }
inline Number sqrt(Number x) { return unary<math::SqrtOp>(x); }
inline Number operator>(Number x, Number y) {
  return compare(arith::CmpFPredicate::OGT, arith::CmpIPredicate::sgt, x, y);
}
inline Number operator<(Number x, Number y) { return y > x; }
inline Number operator<=(Number x, Number y) {
  return compare(arith::CmpFPredicate::OLE, arith::CmpIPredicate::sle, x, y);
}
inline Number operator==(Number x, Number y) {
  return compare(arith::CmpFPredicate::OEQ, arith::CmpIPredicate::eq, x, y);
}
inline Number operator&(Number x, Number y) { return binary<arith::AddFOp, arith::AndIOp>(x, y); }
Number select(Number condition, Number x, Number y);

/// A tensor indexed by loops: {x, {0, 1}} is x[i0, i1].
struct Indexed {
  Value tensor;
  SmallVector<unsigned> loops;
};
inline Indexed matrix(Value x) { return {x, {0, 1}}; }
inline Indexed perRow(Value x) { return {x, {0}}; }
inline Indexed perColumn(Value x) { return {x, {1}}; }
/// A tensor of any rank, element by element.
Indexed elements(Value x);

class TensorBuilder : public ImplicitLocOpBuilder {
public:
  using ImplicitLocOpBuilder::ImplicitLocOpBuilder;

  Number number(Value value) { return {*this, value}; }
  /// The extent of a dimension as a float.
  Number extent(Value tensor, unsigned dimension, Type type);
  /// Loop `loop`'s index, in a body.
  Number index(unsigned loop) { return number(linalg::IndexOp::create(*this, loop)); }
  Number element(Value tensor, ArrayRef<Number> at);
  Number constant(Type type, double value) { return Number(value).as(number(zero(type))); }

  /// A tensor to be filled, of the extents that `op` says result `result` has.
  Value empty(Operation *op, unsigned result = 0);
  /// A tensor to be filled, with extents of other tensors.
  Value empty(ArrayRef<std::pair<Value, unsigned>> extents, Type element);
  Value filled(Value tensor, double value);

  using Body = function_ref<Number(ArrayRef<Number> inputs)>;
  using Reduction = function_ref<Number(ArrayRef<Number> inputs, Number accumulator)>;
  /// output[...] = body(inputs[...])
  Value map(Indexed output, ArrayRef<Indexed> inputs, Body body);
  /// output[...] = body(inputs[...], output[...]) over the loops that do not index the output, in order; it starts as
  /// it is.
  Value reduce(Indexed output, ArrayRef<Indexed> inputs, Reduction body);
  /// Sums of products of two tensors.
  Value contract(Indexed output, Indexed x, Indexed y) {
    return reduce(output, {x, y}, [](ArrayRef<Number> v, Number sum) { return sum + v[0] * v[1]; });
  }

private:
  Value zero(Type type) { return arith::ConstantOp::create(*this, getZeroAttr(type)); }
  Value generic(Indexed output, ArrayRef<Indexed> inputs, function_ref<Number(ArrayRef<Number>)> body);
};

/// Dropout's factor of the element (row, column): 1 / (1 - rate), or 0. `random` is the tensor (seed, step).
struct Dropout {
  Dropout(TensorBuilder &b, Value random, Value site, APFloat rate);
  /// In a body.
  Number factor(Number row, Number column, Type type) const;

private:
  Number keyLow, keyHigh, step, site;
  double rate;
};

//===-- The lowerings, by family ------------------------------------------===//
using Results = SmallVector<Value>;
Results lower(AddOp op, TensorBuilder &b);
Results lower(MultiplyOp op, TensorBuilder &b);
Results lower(CastOp op, TensorBuilder &b);
Results lower(ReshapeOp op, TensorBuilder &b);
Results lower(ReluOp op, TensorBuilder &b);
Results lower(GeluOp op, TensorBuilder &b);
Results lower(GeluTanhOp op, TensorBuilder &b);
Results lower(SiluOp op, TensorBuilder &b);
Results lower(ReluBackwardOp op, TensorBuilder &b);
Results lower(GeluBackwardOp op, TensorBuilder &b);
Results lower(GeluTanhBackwardOp op, TensorBuilder &b);
Results lower(SiluBackwardOp op, TensorBuilder &b);
Results lower(TanhOp op, TensorBuilder &b);
Results lower(TanhBackwardOp op, TensorBuilder &b);
/// Element (row, k) of the weight that xf.pack was given, or where it is quantized, nearly.
Number elementOfPacked(TensorBuilder &b, Value packed, const Number &row, const Number &k);

Results lower(DropoutOp op, TensorBuilder &b);
Results lower(SinusoidalOp op, TensorBuilder &b);
Results lower(RotaryAnglesOp op, TensorBuilder &b);
Results lower(RotaryOp op, TensorBuilder &b);
Results lower(EmbeddingOp op, TensorBuilder &b);
Results lower(EmbeddingBackwardOp op, TensorBuilder &b);
Results lower(PositionIdsOp op, TensorBuilder &b);
Results lower(LinearOp op, TensorBuilder &b);
Results lower(PackOp op, TensorBuilder &b);
Results lower(MatmulOp op, TensorBuilder &b);
Results lower(ColumnSumOp op, TensorBuilder &b);
Results lower(LayerNormOp op, TensorBuilder &b);
Results lower(LayerNormBackwardOp op, TensorBuilder &b);
Results lower(LayerNormParameterBackwardOp op, TensorBuilder &b);
Results lower(CrossEntropyOp op, TensorBuilder &b);
Results lower(CrossEntropyBackwardOp op, TensorBuilder &b);
Results lower(MeanOp op, TensorBuilder &b);
Results lower(MeanBackwardOp op, TensorBuilder &b);
Results lower(LogSoftmaxOp op, TensorBuilder &b);
Results lower(BlockStatisticsOp op, TensorBuilder &b);
Results lower(TopKOp op, TensorBuilder &b);
Results lower(LearningRateOp op, TensorBuilder &b);
Results lower(AttentionOp op, TensorBuilder &b);
Results lower(AttentionBackwardOp op, TensorBuilder &b);
Results lower(AttentionWeightsOp op, TensorBuilder &b);
Results lower(CachedAttentionOp op, TensorBuilder &b);
Results lower(CacheWriteOp op, TensorBuilder &b);

} // namespace mlir::xf

#endif
