//===- Frame.h - one call in the reference interpreter ----------*- C++ -*-===//
// The values of a function's body while it runs, and the evaluation of the ops, a family a file.
//===----------------------------------------------------------------------===//
#ifndef XF_LIB_REFERENCE_FRAME_H
#define XF_LIB_REFERENCE_FRAME_H

#include "xf/Reference/Interpreter.h"

namespace mlir::xf::reference {

class Frame {
public:
  Frame(Interpreter &interpreter) : interpreter(interpreter) {}

  const Tensor &operator[](Value value) const { return values.find(value)->second; }
  /// An operand that may be absent.
  const Tensor *find(Value value) const { return value ? &(*this)[value] : nullptr; }
  void set(Value value, Tensor tensor) { values[value] = std::move(tensor); }
  ModelState &state() { return interpreter.state; }

  /// Evaluates a block up to its terminator and returns the terminator's operands.
  FailureOr<SmallVector<Tensor>> run(Block &block);
  FailureOr<SmallVector<Tensor>> call(Operation *op, StringRef callee, ValueRange operands);

private:
  LogicalResult evaluate(Operation *op);

  Interpreter &interpreter;
  DenseMap<Value, Tensor> values;
};

LogicalResult evaluate(EmbeddingOp op, Frame &frame);
LogicalResult evaluate(EmbeddingBackwardOp op, Frame &frame);
LogicalResult evaluate(PositionIdsOp op, Frame &frame);
LogicalResult evaluate(SinusoidalOp op, Frame &frame);
LogicalResult evaluate(RotaryAnglesOp op, Frame &frame);
LogicalResult evaluate(RotaryOp op, Frame &frame);
LogicalResult evaluate(LinearOp op, Frame &frame);
LogicalResult evaluate(PackOp op, Frame &frame);
LogicalResult evaluate(MatmulOp op, Frame &frame);
LogicalResult evaluate(ColumnSumOp op, Frame &frame);
LogicalResult evaluate(AddOp op, Frame &frame);
LogicalResult evaluate(MultiplyOp op, Frame &frame);
LogicalResult evaluate(CastOp op, Frame &frame);
LogicalResult evaluate(ReshapeOp op, Frame &frame);
LogicalResult evaluate(ReluOp op, Frame &frame);
LogicalResult evaluate(GeluOp op, Frame &frame);
LogicalResult evaluate(GeluTanhOp op, Frame &frame);
LogicalResult evaluate(SiluOp op, Frame &frame);
LogicalResult evaluate(ReluBackwardOp op, Frame &frame);
LogicalResult evaluate(GeluBackwardOp op, Frame &frame);
LogicalResult evaluate(GeluTanhBackwardOp op, Frame &frame);
LogicalResult evaluate(SiluBackwardOp op, Frame &frame);
LogicalResult evaluate(TanhOp op, Frame &frame);
LogicalResult evaluate(TanhBackwardOp op, Frame &frame);
LogicalResult evaluate(DropoutOp op, Frame &frame);
LogicalResult evaluate(LayerNormOp op, Frame &frame);
LogicalResult evaluate(LayerNormBackwardOp op, Frame &frame);
LogicalResult evaluate(LayerNormParameterBackwardOp op, Frame &frame);
LogicalResult evaluate(AttentionOp op, Frame &frame);
LogicalResult evaluate(AttentionBackwardOp op, Frame &frame);
LogicalResult evaluate(AttentionWeightsOp op, Frame &frame);
LogicalResult evaluate(CachedAttentionOp op, Frame &frame);
LogicalResult evaluate(CacheWriteOp op, Frame &frame);
LogicalResult evaluate(CrossEntropyOp op, Frame &frame);
LogicalResult evaluate(CrossEntropyBackwardOp op, Frame &frame);
LogicalResult evaluate(MeanOp op, Frame &frame);
LogicalResult evaluate(MeanBackwardOp op, Frame &frame);
LogicalResult evaluate(LogSoftmaxOp op, Frame &frame);
LogicalResult evaluate(BlockStatisticsOp op, Frame &frame);
LogicalResult evaluate(TopKOp op, Frame &frame);
LogicalResult evaluate(GlobalNormOp op, Frame &frame);
LogicalResult evaluate(LearningRateOp op, Frame &frame);
LogicalResult evaluate(AdamOp op, Frame &frame);

//===-- What the families share ---------------------------------------------===//
/// The factor of an element under dropout: 0 or 1 / (1 - rate).
double dropoutFactor(const Tensor &random, int64_t site, double rate, int64_t row, int64_t column);
/// What dropout leaves of x: nothing where the factor is 0, be x a number or none.
inline double dropped(double x, double factor) { return factor == 0 ? 0 : x * factor; }

/// The nearest numbers that a type has.
double rounded(double x, const llvm::fltSemantics &semantics);
Tensor rounded(const Tensor &tensor, Type element);

/// A weight as xf.pack orders it.
Tensor pack(const Tensor &weight);
Tensor quantize(const Tensor &weight);
/// The weight, of out x in, that was given to one of the two, or nearly.
Tensor unpacked(const Tensor &packed, bool isQuantized, int64_t out, int64_t in);

/// log sum exp of `count` values; -inf of none.
double logSumExp(llvm::function_ref<double(int64_t)> value, int64_t count);

/// Every one of `ids` is in [0, count).
LogicalResult expectIds(Operation *op, StringRef what, const Tensor &ids, int64_t count, StringRef ofWhat);
/// `offsets` rise, from 0 to at most `rows`.
LogicalResult expectOffsets(Operation *op, StringRef what, const Tensor &offsets, int64_t rows);
LogicalResult expectRows(Operation *op, StringRef what, const Tensor &tensor, int64_t rows, StringRef whose);

/// Applies `function` to the elements of tensors of one shape.
template <typename Function, typename... Tensors>
Tensor elementwise(Function function, const Tensor &first, const Tensors &...others) {
  Tensor result = Tensor::reals(first.shape());
  for (int64_t i = 0; i < first.elements(); ++i)
    result[i] = function(first[i], others[i]...);
  return result;
}

} // namespace mlir::xf::reference

#endif // XF_LIB_REFERENCE_FRAME_H
