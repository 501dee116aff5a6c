//===- SplitCapturedGradients.cpp - those of captured tensors apart -------===//
// Stage `fuse`, for GPUs: attention's backward has forms that know no gradients of what a score region captures.
//===----------------------------------------------------------------------===//
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "xf/Dialect/XF/IR/Score.h"
#include "xf/Kernels/Passes.h"

namespace mlir::xf {
#define GEN_PASS_DEF_SPLITCAPTUREDGRADIENTSPASS
#include "xf/Kernels/Passes.h.inc"
namespace {

struct SplitCapturedGradientsPass : impl::SplitCapturedGradientsPassBase<SplitCapturedGradientsPass> {
  void runOnOperation() override {
    SmallVector<AttentionBackwardOp> found;
    getOperation().walk([&](AttentionBackwardOp op) {
      bool isInKernel = op->getParentOfType<func::FuncOp>()->hasAttr("xf.kernel");
      if (!op.getCapturedGradients().empty() && !op.isOfCapturesAlone() && !isInKernel)
        found.push_back(op);
    });
    for (AttentionBackwardOp op : found)
      split(op);
  }

  void split(AttentionBackwardOp op) {
    OpBuilder builder(op);
    OperationState state(op.getLoc(), op->getName(), op->getOperands(), TypeRange(op->getResultTypes()).take_front(3));
    state.propertiesAttr = op->getPropertiesAsAttribute();
    IRMapping mapping;
    op.getScore().cloneInto(state.addRegion(), mapping);
    auto others = cast<AttentionBackwardOp>(builder.create(state));
    // What was computed for the captured tensors' gradients goes with them.
    for (Operation &inner : llvm::make_early_inc_range(llvm::reverse(others.getScore().front())))
      if (isa<AddGradientOp>(inner) || isOpTriviallyDead(&inner))
        inner.erase();
    for (auto [before, now] : llvm::zip(op->getResults(), others->getResults()))
      before.replaceAllUsesWith(now);
  }
};
} // namespace
} // namespace mlir::xf
