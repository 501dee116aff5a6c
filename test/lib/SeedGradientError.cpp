//===- SeedGradientError.cpp - a wrong derivative, to be found ------------===//
// The pass test-xf-seed-gradient-error: doubles the first result of every op of one kind. What checks gradients has to
// notice.
//===----------------------------------------------------------------------===//
#include "TestPasses.h"
#include "xf/Dialect/XF/IR/XF.h"

using namespace mlir;

namespace {
struct SeedGradientErrorPass : PassWrapper<SeedGradientErrorPass, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(SeedGradientErrorPass)

  SeedGradientErrorPass() = default;
  SeedGradientErrorPass(const SeedGradientErrorPass &other) : PassWrapper(other) {}
  StringRef getArgument() const final { return "test-xf-seed-gradient-error"; }
  StringRef getDescription() const final { return "make the derivative of one kind of op wrong"; }

  void runOnOperation() final {
    bool found = false;
    getOperation().walk([&](Operation *op) {
      if (op->getName().getStringRef() != opName)
        return;
      OpBuilder builder(op->getContext());
      builder.setInsertionPointAfter(op);
      Value result = op->getResult(0);
      auto doubled = xf::AddOp::create(builder, op->getLoc(), result.getType(), result, result);
      result.replaceAllUsesExcept(doubled, doubled);
      found = true;
    });
    if (!found) {
      getOperation().emitError() << "no op '" << opName << "' whose result could be made wrong";
      signalPassFailure();
    }
  }

  Option<std::string> opName{*this, "op", llvm::cl::desc("The op"), llvm::cl::init("xf.layer_norm_backward")};
};
} // namespace

void mlir::xf::test::registerTestPasses() {
  PassRegistration<SeedGradientErrorPass>();
  registerFailOnPass();
}
