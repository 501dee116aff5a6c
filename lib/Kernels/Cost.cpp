//===- Cost.cpp - what a kernel computes and moves ------------------------===//
#include "xf/Kernels/Cost.h"

namespace mlir::xf {

FailureOr<std::pair<unsigned, unsigned>> traceExtent(Value value, unsigned dim) {
  while (Operation *op = value.getDefiningOp()) {
    auto kernelOp = dyn_cast<KernelOpInterface>(op);
    if (!kernelOp)
      return op->emitOpError() << "expected an op of a kernel where an extent comes from", failure();
    auto [operand, operandDim] = kernelOp.getExtentSource(cast<OpResult>(value).getResultNumber(), dim);
    value = op->getOperand(operand);
    dim = operandDim;
  }
  return std::pair(cast<BlockArgument>(value).getArgNumber(), dim);
}

FailureOr<Cost> costOf(func::FuncOp kernel, function_ref<AffineExpr(unsigned, unsigned)> extent) {
  AffineExpr zero = getAffineConstantExpr(0, kernel.getContext());
  bool traced = true;
  auto dynamic = [&](Value value, unsigned dim) {
    FailureOr<std::pair<unsigned, unsigned>> source = traceExtent(value, dim);
    traced &= succeeded(source);
    return succeeded(source) ? extent(source->first, source->second) : zero;
  };
  Extents extents{dynamic};
  Cost cost{zero, zero};
  auto addBytes = [&](Value tensor, AffineExpr elements) {
    unsigned bits = cast<RankedTensorType>(tensor.getType()).getElementTypeBitWidth();
    cost.bytes = cost.bytes + elements * (bits / 8);
  };
  Block &body = kernel.getBody().front();
  // What is read and written is of the type of memory, and as much as the op inside of the casts takes and gives.
  auto inMemory = [](Value value) {
    auto cast = value.getDefiningOp<CastOp>();
    return cast && isa<BlockArgument>(cast.getX()) ? cast.getX() : value;
  };
  auto computed = [](Value value) {
    auto cast = value.getDefiningOp<CastOp>();
    return cast && !isa<BlockArgument>(cast.getX()) ? cast.getX() : value;
  };
  DenseSet<Value> read;
  for (Operation &op : body.without_terminator()) {
    if (isa<CastOp>(op) && !llvm::is_contained(body.getTerminator()->getOperands(), op.getResult(0)))
      continue;
    auto kernelOp = dyn_cast<KernelOpInterface>(op);
    if (!kernelOp)
      continue; // a constant
    cost.flops = cost.flops + kernelOp.getFlops(extents);
    for (auto [number, value] : llvm::enumerate(op.getOperands()))
      if (Value operand = inMemory(value);
          isa<BlockArgument>(operand) && isa<RankedTensorType>(operand.getType()) && read.insert(operand).second)
        addBytes(operand, kernelOp.getElementsRead(number, extents));
  }
  for (Value result : body.getTerminator()->getOperands()) {
    Value value = computed(result);
    auto op = value.getDefiningOp<KernelOpInterface>();
    addBytes(result,
             op ? op.getElementsWritten(cast<OpResult>(value).getResultNumber(), extents) : extents.elements(result));
  }
  if (!traced)
    return failure();
  return cost;
}
} // namespace mlir::xf
