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

  /// Rows that xf.reshape cuts are nobody's but the function's: what others see has a row a token.
  void checkReshapes(func::FuncOp function) {
    DenseMap<Value, int64_t> pieces; // of which a row is now; of others it is one
    auto piecesOf = [&](Value value) { return pieces.lookup_or(value, 1); };
    auto fail = [&](Operation &op) {
      signalPassFailure();
      return op.emitOpError();
    };
    for (Operation &op : function.getOps()) {
      if (isa<func::CallOp, func::ReturnOp>(op))
        for (Value operand : op.getOperands())
          if (piecesOf(operand) != 1)
            fail(op) << "expected rows that no xf.reshape has cut, or that another has put together again, but got "
                     << piecesOf(operand) << " of each";
      if (auto reshape = dyn_cast<ReshapeOp>(op); reshape && reshape.getType().isDynamicDim(0)) {
        auto [more, fewer] = reshape.getRatio();
        int64_t given = piecesOf(reshape.getX());
        if (given * more % fewer)
          fail(op) << "expected rows that another xf.reshape of '" << function.getName() << "' has cut, for " << fewer
                   << " become one here, but got " << (given == 1 ? "whole ones" : std::to_string(given) + " of each");
        pieces[reshape] = std::max<int64_t>(given * more / fewer, 1);
      }
      auto kernelOp = dyn_cast<KernelOpInterface>(op);
      if (!kernelOp)
        continue;
      for (const Requirement &requirement : kernelOp.getRequirements())
        if (requirement.dim == 0 && piecesOf(requirement.tensor) != piecesOf(requirement.of))
          fail(op) << "expected operands whose rows are cut alike by xf.reshape, but got "
                   << piecesOf(requirement.tensor) << " and " << piecesOf(requirement.of) << " of each";
      for (OpResult result : op.getResults())
        if (auto type = dyn_cast<RankedTensorType>(result.getType());
            type && type.getRank() > 0 && type.isDynamicDim(0))
          if (auto [operand, dim] = kernelOp.getExtentSource(result.getResultNumber(), 0); dim == 0)
            pieces[result] = piecesOf(op.getOperand(operand));
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
        checkReshapes(function);
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
