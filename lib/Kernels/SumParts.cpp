//===- SumParts.cpp - gradients of a norm beside its rows -----------------===//
// Stage `fuse`, for processors: what a norm's backward has in cache needs no second kernel to read it.
//===----------------------------------------------------------------------===//
#include "xf/Kernels/Passes.h"

namespace mlir::xf {
#define GEN_PASS_DEF_SUMPARTSPASS
#include "xf/Kernels/Passes.h.inc"
namespace {

struct SumPartsPass : impl::SumPartsPassBase<SumPartsPass> {
  using SumPartsPassBase::SumPartsPassBase;
  void runOnOperation() override {
    SmallVector<LayerNormParameterBackwardOp> found;
    getOperation().walk([&](LayerNormParameterBackwardOp op) {
      auto rows = op.getReciprocalDeviation().getDefiningOp<LayerNormBackwardOp>();
      if (!op.getParts() && rows && rows->getBlock() == op->getBlock() && rows.getX() == op.getX() &&
          rows.getCotangent() == op.getCotangent() && rows.getMean() == op.getMean())
        found.push_back(op);
    });
    for (LayerNormParameterBackwardOp op : found)
      rewrite(op);
  }

  void rewrite(LayerNormParameterBackwardOp op) {
    OpBuilder builder(op);
    auto vector = cast<RankedTensorType>(op.getWeight().getType());
    auto type = RankedTensorType::get({parts, vector.getDimSize(0)}, vector.getElementType());
    SmallVector<Type> types(op->getNumResults(), type);
    auto sums = LayerNormParameterBackwardOp::create(builder, builder.getUnknownLoc(), types, op.getCotangent(),
                                                     op.getX(), op.getMean(), op.getReciprocalDeviation());
    for (auto [whole, part] : llvm::zip(op->getResults(), sums->getResults()))
      whole.replaceAllUsesWith(ColumnSumOp::create(builder, op.getLoc(), vector, part));
    op.erase();
  }
};
} // namespace
} // namespace mlir::xf
