//===- CheckInput.cpp - what the stage `input` promises -------------------===//
#include "mlir/Transforms/Passes.h"
#include "xf/Dialect/XF/IR/XF.h"
#include "xf/Dialect/XF/Transforms/Passes.h"

namespace mlir::xf {
#define GEN_PASS_DEF_CHECKINPUTPASS
#include "xf/Dialect/XF/Transforms/Passes.h.inc"
namespace {
struct CheckInputPass : impl::CheckInputPassBase<CheckInputPass> {
  void runOnOperation() override {
    getOperation().walk([&](Operation *op) {
      if (!isa_and_nonnull<XFDialect>(op->getDialect()) ||
          isa<ParamOp, GetGradientOp, GetPreparedOp, SetPreparedOp, YieldOp, KernelOpInterface>(op))
        return;
      if (auto get = dyn_cast<GetParamOp>(op)) {
        if (!get->getParentOfType<func::FuncOp>()->hasAttr("xf.entry")) {
          op->emitOpError() << "expected in an entry point: a layer names its parameters in composite ops, or takes "
                               "them as arguments";
          signalPassFailure();
        }
        return;
      }
      op->emitOpError() << "can't stay after stage 'input': that leaves primitive ops";
      signalPassFailure();
    });
  }
};
} // namespace

void buildInputStage(OpPassManager &pm, bool packsWeights) {
  pm.addPass(createResolvePass());
  pm.addPass(createDeriveEntriesPass());
  pm.addPass(createPrepareWeightsPass({packsWeights}));
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  pm.addPass(createSymbolDCEPass());
  pm.addPass(createCheckInputPass());
}
} // namespace mlir::xf
