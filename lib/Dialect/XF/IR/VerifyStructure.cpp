//===- VerifyStructure.cpp - the constraints of what holds a model --------===//
// Of parameters, calls, dispatches, buffers and chunks; those of what is computed are in Verify.cpp.
//===----------------------------------------------------------------------===//
#include "Verify.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "xf/Dialect/XF/IR/Size.h"

using namespace mlir;
using namespace mlir::xf;

LogicalResult ParamOp::verify() {
  auto type = cast<RankedTensorType>(getType());
  if (!type.hasStaticShape() || !type.getElementType().isF32()) // C1
    return emitOpError() << "expected a tensor of f32 with static shape, but got " << type;
  if (!llvm::is_contained(type.getShape(), 0) && !hasGoodSize(type)) // C2
    return emitOpError() << "expected extents up to " << largestExtent << " and at most " << largestSize
                         << " elements, but got " << type;
  if (failed(expectFinite(*this, "the value of its initial distribution", getValue()))) // C3
    return failure();
  bool isScaled = getInit() != InitKind::Zeros && getInit() != InitKind::Ones;
  if (isScaled && getValue().isNegative())
    return emitOpError() << "expected '" << stringifyInitKind(getInit()) << "' to be given a number that is not "
                         << "negative, but got " << llvm::formatv("{0}", getValue().convertToDouble()).str();
  return success();
}

/// The result is of the type of the parameter `name`.
template <typename Op> static LogicalResult verifyOfParameter(Op op, SymbolTableCollection &symbols) {
  auto param = symbols.lookupNearestSymbolFrom<ParamOp>(op, op.getNameAttr());
  if (!param) // C1
    return op.emitOpError() << "expected '" << op.getName() << "' to be a parameter of the module";
  if (param.getType() == op.getType())
    return success();
  InFlightDiagnostic diagnostic = op.emitOpError()
                                  << "expected parameter '" << op.getName() << "' to be " << typeString(param.getType())
                                  << ", but it is used as " << typeString(op.getType());
  diagnostic.attachNote(param.getLoc()) << "declared here";
  return diagnostic;
}
LogicalResult GetParamOp::verifySymbolUses(SymbolTableCollection &symbols) { return verifyOfParameter(*this, symbols); }
LogicalResult GetGradientOp::verifySymbolUses(SymbolTableCollection &symbols) {
  return verifyOfParameter(*this, symbols);
}

/// `prepared` is a form of the parameter `name`, of any precision.
template <typename Op>
static LogicalResult verifyPrepared(Op op, SymbolTableCollection &symbols, RankedTensorType prepared) {
  auto param = symbols.lookupNearestSymbolFrom<ParamOp>(op, op.getNameAttr());
  if (!param) // C1
    return op.emitOpError() << "expected '" << op.getName() << "' to be a parameter of the module";
  auto type = cast<RankedTensorType>(param.getType());
  if (type.getRank() == 2 && (type.getShape() == prepared.getShape() ||
                              PackOp::packedType(type, prepared.getElementType()).getShape() == prepared.getShape()))
    return success();
  InFlightDiagnostic diagnostic = op.emitOpError() << "expected a form of parameter '" << op.getName() << "' of shape "
                                                   << shapeString(type) << ", but got " << shapeString(prepared);
  diagnostic.attachNote(param.getLoc()) << "declared here";
  return diagnostic;
}
LogicalResult SetPreparedOp::verifySymbolUses(SymbolTableCollection &symbols) {
  return verifyPrepared(*this, symbols, cast<RankedTensorType>(getValue().getType()));
}
LogicalResult GetPreparedOp::verifySymbolUses(SymbolTableCollection &symbols) {
  return verifyPrepared(*this, symbols, cast<RankedTensorType>(getType()));
}

static LogicalResult verifyCallTypes(Operation *op, StringRef what, func::FuncOp callee, TypeRange operands,
                                     TypeRange results) {
  FunctionType type = callee.getFunctionType();
  auto withNote = [&](InFlightDiagnostic diagnostic) {
    diagnostic.attachNote(callee.getLoc()) << what << " defined here";
    return failure();
  };
  auto check = [&](TypeRange actual, TypeRange expected, StringRef kind) -> LogicalResult {
    if (actual.size() != expected.size())
      return withNote(op->emitOpError() << "expected " << expected.size() << " " << kind << "s for " << what << " '"
                                        << callee.getName() << "', but got " << actual.size());
    for (auto [index, pair] : llvm::enumerate(llvm::zip(actual, expected)))
      if (std::get<0>(pair) != std::get<1>(pair))
        return withNote(op->emitOpError()
                        << "expected " << kind << " " << index << " of " << what << " '" << callee.getName()
                        << "' to be " << std::get<1>(pair) << ", but got " << std::get<0>(pair));
    return success();
  };
  if (failed(check(operands, type.getInputs(), "operand")))
    return failure();
  return check(results, type.getResults(), "result");
}

LogicalResult ApplyOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto layer = symbols.lookupNearestSymbolFrom<func::FuncOp>(*this, getLayerAttr());
  if (!layer) // C1
    return emitOpError() << "expected '" << getLayer() << "' to be a layer function of the module";
  return verifyCallTypes(*this, "layer", layer, getOperandTypes(), getResultTypes());
}

LogicalResult DispatchOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto kernel = symbols.lookupNearestSymbolFrom<func::FuncOp>(*this, getKernelAttr());
  if (!kernel || !kernel->hasAttr("xf.kernel")) // C1
    return emitOpError() << "expected '" << getKernel() << "' to be a kernel of the module";
  if (FlatSymbolRefAttr otherwise = getOtherwiseAttr()) {
    auto other = symbols.lookupNearestSymbolFrom<func::FuncOp>(*this, otherwise);
    if (!other || other->getAttr("xf.kernel") != kernel->getAttr("xf.kernel"))
      return emitOpError() << "expected '" << *getOtherwise() << "' to be a kernel of the module, of the kind that '"
                           << getKernel() << "' has";
  }
  // After `plan` the dispatch speaks of buffers and after `schedule` the kernel of tiles: only the tensor form has
  // equal types.
  if (getWrites() || llvm::any_of(getOperandTypes(), llvm::IsaPred<MemRefType>))
    return success();
  return verifyCallTypes(*this, "kernel", kernel, getOperandTypes(), getResultTypes());
}

LogicalResult DispatchOp::verify() {
  for (int32_t write : getWrites().value_or(ArrayRef<int32_t>()))
    if (write < 0 || write >= static_cast<int64_t>(getNumOperands())) // C2
      return emitOpError() << "expected 'writes' to be numbers of its " << getNumOperands() << " operands, but got "
                           << write;
  for (Value operand : getOperands())
    if (isa<MemRefType>(operand.getType()) && !operand.getDefiningOp<BufferOp>()) // C3
      return emitOpError() << "expected memory from xf.buffer, but got an operand of " << operand.getType();
  if (!getOtherwise() && !getWhere())
    return success();
  auto function = (*this)->getParentOfType<func::FuncOp>();
  auto dims = function ? function->getAttrOfType<ArrayAttr>("xf.dims") : ArrayAttr();
  if (!getOtherwise() || !getWhere() || !dims) // C4
    return emitOpError() << "expected 'otherwise' and 'where' together, in a function with 'xf.dims'";
  if (getWhere()->size() != dims.size() + 1)
    return emitOpError() << "expected 'where' to be a form of " << dims.size() + 1 << " numbers, one more than '"
                         << function.getName() << "' has dimensions, but got " << getWhere()->size();
  return success();
}

LogicalResult BufferOp::verify() {
  if (static_cast<int64_t>(getIndex()) < 0) // C1
    return emitOpError() << "expected 'index' to be at least 0, but got " << static_cast<int64_t>(getIndex());
  auto extents = getExtents() ? getExtents()->getAsRange<DenseI64ArrayAttr>()
                              : ArrayAttr::get(getContext(), {}).getAsRange<DenseI64ArrayAttr>();
  int64_t count = llvm::range_size(extents), dynamic = cast<MemRefType>(getType()).getNumDynamicDims();
  if (count != dynamic) // C2
    return emitOpError() << "expected 'extents' to have a form for each of " << dynamic << " dynamic extents, but got "
                         << count;
  auto function = (*this)->getParentOfType<func::FuncOp>();
  if (auto dims = function ? function->getAttrOfType<ArrayAttr>("xf.dims") : ArrayAttr())
    for (DenseI64ArrayAttr form : extents)
      if (form.size() != static_cast<int64_t>(dims.size()) + 1)
        return emitOpError() << "expected 'extents' to be forms of " << dims.size() + 1 << " numbers, one more than '"
                             << function.getName() << "' has dimensions, but got " << form.size();
  if (getKind() == BufferKind::Slot && (!getLive() || getLive()->size() != 2)) // C3
    return emitOpError() << "expected 'live' to be the first and the last dispatch that touch a slot";
  return success();
}

LogicalResult ChunkedOp::verifyRegions() {
  if (getRows() < 16 || getRows() % 16) // C1
    return emitOpError() << "expected 'rows' to be a multiple of 16, but got " << getRows();
  auto areRows = [&](StringRef what, TypeRange types) -> LogicalResult {
    for (auto [index, type] : llvm::enumerate(types))
      if (auto tensor = cast<RankedTensorType>(type);
          tensor.getRank() < 1 || !tensor.isDynamicDim(0) || tensor.getNumDynamicDims() != 1)
        return emitOpError() << "expected " << what << " " << index
                             << " to have a dynamic number of rows and other extents static, but got " << type;
    return success();
  };
  if (getTensors().empty()) // C2
    return emitOpError() << "expected at least one tensor in 'of'";
  if (failed(areRows("tensor", getTensors().getTypes())))
    return failure();
  auto sameTypes = [&](StringRef what, TypeRange expected, TypeRange actual) -> LogicalResult {
    if (expected == actual)
      return success();
    return emitOpError() << "expected its body to " << what << " " << expected << ", but got " << actual;
  };
  SmallVector<Type> arguments(getTensors().getTypes());
  llvm::append_range(arguments, getInto().getTypes());
  Block &block = getBody().front();
  if (failed(sameTypes("take", arguments, block.getArgumentTypes()))) // C3
    return failure();
  if (failed(sameTypes("yield", getResultTypes(), block.getTerminator()->getOperandTypes()))) // C4
    return failure();
  if (getNumResults() < getInto().size())
    return emitOpError() << "expected at least as many results as 'into' has tensors, " << getInto().size()
                         << ", but got " << getNumResults();
  if (failed(sameTypes("end with the sums", getInto().getTypes(), getSums().getTypes())))
    return failure();
  return areRows("result", getRowResults().getTypes());
}
