//===- CheckAutodiff.cpp - what the stage `autodiff` promises -------------===//
// The pass xf-check-autodiff: the entry points are there, whole, and in the order of the parameters.
//===----------------------------------------------------------------------===//
#include "xf/Autodiff/Passes.h"

namespace mlir::xf {
#define GEN_PASS_DEF_CHECKAUTODIFFPASS
#include "xf/Autodiff/Passes.h.inc"
} // namespace mlir::xf

using namespace mlir;
using namespace mlir::xf;

namespace {
/// @gradients and @accumulate give the loss, then a gradient of every parameter.
LogicalResult checkGradients(func::FuncOp function, MutableArrayRef<ParamOp> params) {
  if (function.getNumResults() != params.size() + 1)
    return function.emitError() << "expected '" << function.getName() << "' to return the loss and " << params.size()
                                << " gradients, but got " << function.getNumResults() << " results";
  for (auto [index, param] : llvm::enumerate(params))
    if (function.getResultTypes()[index + 1] != param.getType())
      return function.emitError() << "expected the gradient of '" << param.getSymName() << "' to be " << param.getType()
                                  << ", but got " << function.getResultTypes()[index + 1];
  return success();
}

/// @train_step and @update take one step on every parameter.
LogicalResult checkTrainStep(func::FuncOp function, MutableArrayRef<ParamOp> params) {
  auto steps = llvm::to_vector(function.getOps<AdamOp>());
  if (steps.size() != 1 || steps.front().getGradients().size() != params.size())
    return function.emitError() << "expected '" << function.getName() << "' to take one step of Adam on "
                                << params.size() << " parameters";
  return success();
}

struct CheckAutodiffPass : xf::impl::CheckAutodiffPassBase<CheckAutodiffPass> {
  void runOnOperation() final {
    SymbolTable symbols(getOperation());
    auto params = llvm::to_vector(getOperation().getOps<ParamOp>());
    if (Operation *model = symbols.lookup("model")) {
      model->emitError() << "expected 'model' to have become 'train_step'";
      return signalPassFailure();
    }
    for (auto [names, check] : {std::pair(std::pair("gradients", "accumulate"), &checkGradients),
                                std::pair(std::pair("train_step", "update"), &checkTrainStep)})
      for (const char *name : {names.first, names.second})
        if (auto function = symbols.lookup<func::FuncOp>(name); function && failed(check(function, params)))
          signalPassFailure();
  }
};
} // namespace
