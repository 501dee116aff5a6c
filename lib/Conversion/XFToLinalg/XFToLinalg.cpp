//===- XFToLinalg.cpp - primitive ops as linalg on tensors ----------------===//
// Not on the way to an executable: the whole module for upstream's tools, and a second opinion on our own schedules.
//===----------------------------------------------------------------------===//
#include "TensorBuilder.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "xf/Conversion/Passes.h"
#include "llvm/ADT/TypeSwitch.h"

namespace mlir::xf {
#define GEN_PASS_DEF_CONVERTXFTOLINALGPASS
#include "xf/Conversion/Passes.h.inc"
namespace {

struct ConvertXFToLinalgPass : impl::ConvertXFToLinalgPassBase<ConvertXFToLinalgPass> {
  void runOnOperation() override {
    SmallVector<Operation *> ops;
    getOperation()->walk([&](Operation *op) {
      if (isa<KernelOpInterface, ReshapeOp>(op))
        ops.push_back(op);
    });
    for (Operation *op : ops) {
      TensorBuilder b(op->getLoc(), op);
      Results results =
          llvm::TypeSwitch<Operation *, Results>(op)
              .Case<AddOp, MultiplyOp, CastOp, ReshapeOp, ReluOp, GeluOp, GeluTanhOp, SiluOp, ReluBackwardOp,
                    GeluBackwardOp, GeluTanhBackwardOp, SiluBackwardOp, TanhOp, TanhBackwardOp, DropoutOp, SinusoidalOp,
                    RotaryAnglesOp, RotaryOp, EmbeddingOp, EmbeddingBackwardOp, PositionIdsOp, LinearOp, PackOp,
                    MatmulOp, ColumnSumOp, LayerNormOp, LayerNormBackwardOp, LayerNormParameterBackwardOp,
                    CrossEntropyOp, CrossEntropyBackwardOp, MeanOp, MeanBackwardOp, LogSoftmaxOp, BlockStatisticsOp,
                    TopKOp, LearningRateOp, AttentionOp, AttentionBackwardOp, AttentionWeightsOp, CachedAttentionOp,
                    CacheWriteOp>([&](auto known) { return lower(known, b); })
              .Default(Results());
      if (results.empty())
        continue; // the optimizer's ops name parameters, not tensors
      op->replaceAllUsesWith(results);
      op->erase();
    }
  }
};
} // namespace
} // namespace mlir::xf
