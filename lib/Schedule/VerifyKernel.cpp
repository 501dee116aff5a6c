//===- VerifyKernel.cpp - whether a kernel is one that schedules know -----===//
// Kernels come from stage `outline`, or out of a file that a person changed: schedules rely on what is checked here.
//===----------------------------------------------------------------------===//
#include "xf/Schedule/Choices.h"
#include "xf/Schedule/Emitter.h"

namespace mlir::xf {
LogicalResult verifyKernel(func::FuncOp kernel) {
  KernelKind kind = cast<KernelKindAttr>(kernel->getAttr("xf.kernel")).getValue();
  if (kind == KernelKind::Optimizer) // comes with its schedule, or is refused for want of one
    return success();
  auto expected = [&](const Twine &what) {
    return kernel.emitOpError() << "expected kernel '" << kernel.getName() << "' of kind '" << stringifyKernelKind(kind)
                                << "' to " << what;
  };
  if (!kernel.getBody().hasOneBlock())
    return expected("have a body of one block");
  auto isTensor = llvm::IsaPred<RankedTensorType>;
  if (!llvm::all_of(kernel.getArgumentTypes(), [&](Type type) { return isTensor(type) || type.isInteger(64); }) ||
      !llvm::all_of(kernel.getResultTypes(), isTensor) || kernel.getNumResults() == 0)
    return expected("take tensors and i64, and to give tensors");
  Block &body = kernel.getBody().front();
  unsigned own = 0;
  bool hasMany = kind == KernelKind::Elementwise || kind == KernelKind::Row;
  for (Operation &op : body.without_terminator()) {
    if (auto cast = dyn_cast<CastOp>(op); cast && kind != KernelKind::Elementwise && isTakenOut(cast))
      continue;
    auto kernelOp = dyn_cast<KernelOpInterface>(op);
    bool isOwn = kernelOp && kernelOp.getKernelKind() == kind, isRow = kind == KernelKind::Row;
    own += isOwn;
    bool isPart =
        kernelOp && kernelOp.getKernelKind() == KernelKind::Elementwise && (isRow || kind == KernelKind::Matmul);
    if (!isOwn && !isPart && !(kind == KernelKind::Matmul && isa<BlockStatisticsOp>(op)))
      return expected("have no '" + op.getName().getStringRef() + "'");
    if (own == 0 && !hasMany)
      return expected("begin with its op, but got '" + op.getName().getStringRef() + "'");
    if (auto rotary = dyn_cast<RotaryOp>(op)) { // of which it reads other columns than it is about to write
      auto isArgument = [&](Value value) {
        for (auto cast = value.getDefiningOp<CastOp>(); cast && isTakenOut(cast); cast = value.getDefiningOp<CastOp>())
          value = cast.getX();
        auto argument = dyn_cast<BlockArgument>(value);
        return argument && llvm::none_of(llvm::seq(kernel.getNumResults()), [&](unsigned result) {
                 auto place = kernel.getResultAttrOfType<IntegerAttr>(result, "xf.in_place");
                 return place && place.getInt() == argument.getArgNumber();
               });
      };
      if (!isArgument(rotary.getX()) || !isArgument(rotary.getAngles()))
        return expected("be given what 'xf.rotary' takes, in memory that it does not write");
    }
    if (kind == KernelKind::TopK && llvm::any_of(op.getResults(), [](Value result) { return result.use_empty(); }))
      return expected("return every result of '" + op.getName().getStringRef() + "', which computes in their memory");
  }
  if (own == 0 || (own > 1 && !hasMany))
    return expected(Twine(hasMany ? "have ops of its kind" : "have one op of its kind") + ", but got " + Twine(own));
  for (Value result : body.getTerminator()->getOperands())
    if (!isa_and_nonnull<KernelOpInterface>(result.getDefiningOp()))
      return expected("compute what it returns");
  return success();
}
} // namespace mlir::xf
