//===- CheckInput.cpp - what the stage `input` promises -------------------===//
#include "mlir/Transforms/Passes.h"
#include "xf/Dialect/XF/IR/Size.h"
#include "xf/Dialect/XF/IR/XF.h"
#include "xf/Dialect/XF/Transforms/Passes.h"

namespace mlir::xf {
#define GEN_PASS_DEF_CHECKINPUTPASS
#include "xf/Dialect/XF/Transforms/Passes.h.inc"
namespace {
/// Kernels are made for a number of features, and for any number of rows.
bool hasKnownFeatures(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return !tensor || tensor.getNumDynamicDims() == (tensor.getRank() > 0 && tensor.isDynamicDim(0) ? 1 : 0);
}

/// Kernels go where integers say; what comes from outside is looked at before, and nothing else is.
bool isLookedAt(Value integers, bool canNumberRows) {
  auto op = integers.getDefiningOp<KernelOpInterface>();
  return isa<BlockArgument>(integers) || (canNumberRows && op && op.getNumberedSequences());
}

struct CheckInputPass : impl::CheckInputPassBase<CheckInputPass> {
  void checkFeatures(func::FuncOp function) {
    for (BlockArgument argument : function.getArguments())
      if (!hasKnownFeatures(argument.getType())) {
        auto name = function.getArgAttrOfType<StringAttr>(argument.getArgNumber(), "xf.name");
        function.emitError() << "expected the features of '"
                             << (name ? name.getValue().str() : "argument " + std::to_string(argument.getArgNumber()))
                             << "' of '" << function.getName() << "' to be known at stage 'input', but got "
                             << argument.getType();
        signalPassFailure();
      }
    for (Operation &op : function.getOps())
      for (Type type : op.getResultTypes())
        if (!hasKnownFeatures(type) && !isa<AttentionWeightsOp, TopKOp>(op)) {
          op.emitOpError() << "expected the features of its result to be known at stage 'input', but got " << type;
          signalPassFailure();
        }
  }

  void checkIntegers(func::FuncOp function) {
    auto check = [&](Operation &op, Value integers, bool canNumberRows) {
      if (isLookedAt(integers, canNumberRows))
        return;
      op.emitOpError() << "expected integers that say where something is to come from outside, or of xf.position_ids";
      signalPassFailure();
    };
    for (Operation &op : function.getOps()) {
      if (isa<func::CallOp>(op))
        for (Value operand : op.getOperands())
          if (getElementTypeOrSelf(operand.getType()).isInteger(32))
            check(op, operand, true);
      if (auto kernelOp = dyn_cast<KernelOpInterface>(op))
        for (const Requirement &requirement : kernelOp.getRequirements())
          if (requirement.kind != RequirementKind::Rows)
            check(op, requirement.tensor, requirement.kind == RequirementKind::Below);
    }
  }

  void runOnOperation() override {
    int64_t elements = 0;
    for (auto param : getOperation().getOps<ParamOp>()) {
      int64_t own = cast<RankedTensorType>(param.getType()).getNumElements();
      if (own == 0) {
        param.emitError() << "expected the parameter '" << param.getSymName() << "' to have elements, but got "
                          << param.getType();
        return signalPassFailure();
      }
      elements += own;
      if (elements > largestSize) {
        param.emitError() << "expected the model's parameters to have at most " << largestSize
                          << " elements in all, but with '" << param.getSymName() << "' they have " << elements;
        return signalPassFailure();
      }
    }
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (!function.isExternal()) {
        checkFeatures(function);
        checkIntegers(function);
      }
    getOperation().walk([&](Operation *op) {
      if (!isa_and_nonnull<XFDialect>(op->getDialect()) ||
          isa<ParamOp, GetGradientOp, GetPreparedOp, SetPreparedOp, YieldOp, ReshapeOp, KernelOpInterface>(op))
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

void buildInputStage(OpPassManager &pm, WeightForm weights, bool areNarrow) {
  pm.addPass(createCheckModelPass());
  pm.addPass(createResolvePass());
  pm.addPass(createDeriveEntriesPass());
  pm.addPass(createPrepareWeightsPass({weights, areNarrow}));
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  pm.addPass(createSymbolDCEPass());
  pm.addPass(createCheckInputPass());
}
} // namespace mlir::xf
