//===- FailOn.cpp - a pass that fails where it is told to -----------------===//
// The pass test-xf-fail-on: reports an error at, or crashes on, ops of one kind. Reproducers and what reduces them are
// tested with it.
//===----------------------------------------------------------------------===//
#include "TestPasses.h"
#include "mlir/IR/BuiltinOps.h"

using namespace mlir;

namespace {
struct FailOnPass : PassWrapper<FailOnPass, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(FailOnPass)

  FailOnPass() = default;
  FailOnPass(const FailOnPass &other) : PassWrapper(other) {}
  StringRef getArgument() const final { return "test-xf-fail-on"; }
  StringRef getDescription() const final { return "fail, or crash, where there is an op of one kind"; }

  void runOnOperation() final {
    getOperation().walk([&](Operation *op) {
      if (op->getName().getStringRef() != opName)
        return;
      if (crash)
        __builtin_trap();
      op->emitError() << "an op that fails";
      signalPassFailure();
    });
  }

  Option<std::string> opName{*this, "op", llvm::cl::desc("The op")};
  Option<bool> crash{*this, "crash", llvm::cl::desc("Crash instead"), llvm::cl::init(false)};
};
} // namespace

void mlir::xf::test::registerFailOnPass() { PassRegistration<FailOnPass>(); }
