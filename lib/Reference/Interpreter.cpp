//===- Interpreter.cpp - runs a module in double precision ----------------===//
// Calls, constants and the checks that families share. Shapes and ids come from files: what doesn't fit is an error at
// the op.
//===----------------------------------------------------------------------===//
#include "Frame.h"
#include "llvm/ADT/ScopeExit.h"

using namespace mlir;
using namespace mlir::xf;
using namespace mlir::xf::reference;

//===-- Checks --------------------------------------------------------------===//
LogicalResult reference::expectIds(Operation *op, StringRef what, const Tensor &ids, int64_t count, StringRef ofWhat) {
  for (int64_t i = 0; i < ids.elements(); ++i)
    if (ids.integer(i) < 0 || ids.integer(i) >= count)
      return op->emitError() << "expected '" << what << "' to be at least 0 and less than " << ofWhat << " (" << count
                             << "), but got " << ids.integer(i) << " at " << i;
  return success();
}

LogicalResult reference::expectOffsets(Operation *op, StringRef what, const Tensor &offsets, int64_t rows) {
  for (int64_t i = 0; i < offsets.elements(); ++i)
    if (offsets.integer(i) < (i ? offsets.integer(i - 1) : 0) || offsets.integer(i) > rows)
      return op->emitError() << "expected '" << what << "' to rise from 0 to at most the number of tokens (" << rows
                             << "), but got " << offsets.integer(i) << " at " << i;
  return success();
}

LogicalResult reference::expectRows(Operation *op, StringRef what, const Tensor &tensor, int64_t rows,
                                    StringRef whose) {
  if (tensor.rows() == rows)
    return success();
  return op->emitError() << "expected '" << what << "' to have as many rows as " << whose << " (" << rows
                         << "), but got " << tensor.rows();
}

//===-- Structure -----------------------------------------------------------===//
static LogicalResult evaluate(arith::ConstantOp op, Frame &frame) {
  if (auto integer = dyn_cast<IntegerAttr>(op.getValue())) {
    frame.set(op, Tensor::integers({}, integer.getInt()));
    return success();
  }
  auto elements = dyn_cast<DenseElementsAttr>(op.getValue());
  if (!elements)
    return op.emitError() << "expected a constant integer or tensor, but got " << op.getValue();
  if (isa<FloatType>(elements.getElementType())) {
    Tensor tensor = Tensor::reals(elements.getType().getShape().vec());
    for (auto [index, value] : llvm::enumerate(elements.getValues<APFloat>()))
      tensor[index] = value.convertToDouble();
    frame.set(op, tensor);
  } else {
    Tensor tensor = Tensor::integers(elements.getType().getShape().vec());
    for (auto [index, value] : llvm::enumerate(elements.getValues<APInt>()))
      tensor.integer(index) = value.getSExtValue();
    frame.set(op, tensor);
  }
  return success();
}

static LogicalResult evaluate(arith::AddIOp op, Frame &frame) {
  frame.set(op, Tensor::integers({}, frame[op.getLhs()].integer(0) + frame[op.getRhs()].integer(0)));
  return success();
}

static LogicalResult evaluate(GetParamOp op, Frame &frame) {
  frame.set(op, frame.state().parameters[op.getName().str()]);
  return success();
}

static LogicalResult evaluate(GetGradientOp op, Frame &frame) {
  frame.set(op, frame.state().gradients[op.getName().str()]);
  return success();
}

static LogicalResult evaluate(GetPreparedOp op, Frame &frame) {
  Tensor weight = frame.state().parameters[op.getName().str()];
  auto type = cast<RankedTensorType>(op.getType());
  if (type.getRank() == 3)
    weight = type.getElementType().isInteger(8) ? reference::quantize(weight) : reference::pack(weight);
  frame.set(op, type.getElementType().isBF16() ? reference::rounded(weight, type.getElementType()) : weight);
  return success();
}
static LogicalResult evaluate(SetPreparedOp, Frame &) { return success(); } // made anew where it is read

static LogicalResult setResults(Operation *op, FailureOr<SmallVector<Tensor>> results, Frame &frame) {
  if (failed(results))
    return failure();
  for (auto [value, tensor] : llvm::zip(op->getResults(), *results))
    frame.set(value, tensor);
  return success();
}

/// Copies `rows` rows from row `source` of one tensor to row `target` of another.
static void copyRows(const Tensor &from, int64_t source, const Tensor &to, int64_t target, int64_t rows) {
  int64_t width = to.rows() ? to.elements() / to.rows() : 0;
  for (int64_t i = 0; i < rows * width; ++i)
    if (to.isReal())
      to[target * width + i] = from[source * width + i];
    else
      to.integer(target * width + i) = from.integer(source * width + i);
}

static LogicalResult evaluate(ChunkedOp op, Frame &frame) {
  auto withRows = [](const Tensor &like, Type type, int64_t rows) {
    Tensor::Shape shape = cast<RankedTensorType>(type).getShape().vec();
    shape[0] = rows;
    return like.isReal() ? Tensor::reals(shape) : Tensor::integers(shape);
  };
  Block &block = op.getBody().front();
  int64_t total = frame[op.getTensors().front()].rows();
  SmallVector<Tensor> results, sums = llvm::map_to_vector(op.getInto(), [&](Value value) { return frame[value]; });
  for (Type type : op.getRowResults().getTypes())
    results.push_back(
        withRows(cast<RankedTensorType>(type).getElementType().isInteger() ? Tensor::integers({}) : Tensor::reals({}),
                 type, total));
  for (int64_t begin = 0; begin < total; begin += op.getRows()) {
    int64_t rows = std::min<int64_t>(op.getRows(), total - begin);
    unsigned number = 0;
    for (Value value : op.getTensors()) {
      if (failed(reference::expectRows(op, "of", frame[value], total, "its first tensor")))
        return failure();
      Tensor chunk = withRows(frame[value], value.getType(), rows);
      copyRows(frame[value], begin, chunk, 0, rows);
      frame.set(block.getArgument(number++), chunk);
    }
    for (const Tensor &sum : sums)
      frame.set(block.getArgument(number++), sum);
    FailureOr<SmallVector<Tensor>> yielded = frame.run(block);
    if (failed(yielded))
      return failure();
    for (auto [result, chunk] : llvm::zip_first(results, *yielded))
      copyRows(chunk, 0, result, begin, rows);
    sums.assign(yielded->begin() + results.size(), yielded->end());
  }
  llvm::append_range(results, sums);
  for (auto [value, tensor] : llvm::zip(op.getResults(), results))
    frame.set(value, tensor);
  return success();
}

FailureOr<SmallVector<Tensor>> Frame::call(Operation *op, StringRef callee, ValueRange operands) {
  auto function = interpreter.lookup(callee);
  if (!function || function.isExternal())
    return op->emitError() << "expected '" << callee << "' to be a function of the module, with a body";
  interpreter.callers.push_back(op);
  llvm::scope_exit leave([&] { interpreter.callers.pop_back(); });
  if (llvm::any_of(interpreter.callers,
                   [&](Operation *caller) { return caller->getParentOfType<func::FuncOp>() == function; }))
    return function.emitError() << "layer '" << function.getName() << "' applies itself";
  return interpreter.run(function, llvm::map_to_vector(operands, [&](Value operand) { return (*this)[operand]; }));
}

LogicalResult Frame::evaluate(Operation *op) {
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case<arith::ConstantOp, arith::AddIOp, GetParamOp, GetGradientOp, GetPreparedOp, SetPreparedOp, ChunkedOp>(
          [&](auto op) { return ::evaluate(op, *this); })
      .Case<func::CallOp>([&](auto op) { return setResults(op, call(op, op.getCallee(), op.getOperands()), *this); })
      .Case<DispatchOp>([&](auto op) { return setResults(op, call(op, op.getKernel(), op.getOperands()), *this); })
      .Case<GroupOp>([&](auto op) { return setResults(op, run(op.getBody().front()), *this); })
      .Case<EmbeddingOp, EmbeddingBackwardOp, PositionIdsOp, SinusoidalOp, RotaryAnglesOp, RotaryOp, LinearOp, PackOp,
            MatmulOp, ColumnSumOp, AddOp, MultiplyOp, CastOp, ReshapeOp, ReluOp, GeluOp, GeluTanhOp, SiluOp,
            ReluBackwardOp, GeluBackwardOp, GeluTanhBackwardOp, SiluBackwardOp, TanhOp, TanhBackwardOp, DropoutOp,
            LayerNormOp, LayerNormBackwardOp, LayerNormParameterBackwardOp, AttentionOp, AttentionBackwardOp,
            AttentionWeightsOp, CachedAttentionOp, CacheWriteOp, CrossEntropyOp, CrossEntropyBackwardOp, MeanOp,
            MeanBackwardOp, LogSoftmaxOp, BlockStatisticsOp, TopKOp, GlobalNormOp, LearningRateOp, AdamOp>(
          [&](auto op) { return reference::evaluate(op, *this); })
      .Default([](Operation *op) {
        return op->emitError()
               << "the interpreter can't run op '" << op->getName()
               << "'; it supports the primitive ops, that is the stages 'input', 'autodiff', 'fuse' and 'outline'";
      });
}

FailureOr<SmallVector<Tensor>> Frame::run(Block &block) {
  for (Operation &op : block.without_terminator()) {
    if (failed(evaluate(&op)))
      return failure();
    if (interpreter.probe)
      interpreter.probe(&op, llvm::map_to_vector(op.getResults(), [&](Value result) { return (*this)[result]; }));
  }
  return llvm::map_to_vector(block.getTerminator()->getOperands(), [&](Value operand) { return (*this)[operand]; });
}

FailureOr<SmallVector<Tensor>> Interpreter::run(func::FuncOp function, ArrayRef<Tensor> arguments) {
  if (!function.getBody().hasOneBlock())
    return function.emitError() << "the interpreter can't run '" << function.getName()
                                << "'; it supports functions of one block";
  Frame frame(*this);
  for (auto [value, tensor] : llvm::zip(function.getArguments(), arguments))
    frame.set(value, tensor);
  return frame.run(function.getBody().front());
}
