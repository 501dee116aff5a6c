//===- CrashTest.cpp - a pass that crashes is told of as one --------------===//
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/Pass.h"
#include "xf/Driver/Diagnostics.h"
#include "xf/Driver/Reproducer.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include <gmock/gmock.h>

using namespace mlir;
using ::testing::HasSubstr;
using ::testing::Not;

namespace {
struct EndingPass : PassWrapper<EndingPass, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(EndingPass)
  explicit EndingPass(bool crashes = false) : crashes(crashes) {}
  StringRef getArgument() const final { return "ending"; }
  void runOnOperation() final {
    if (crashes)
      __builtin_trap();
    getOperation().emitError() << "a mistake";
    signalPassFailure();
  }
  bool crashes;
};

/// Runs the pass as xf-compile runs a stage.
struct Compiled {
  explicit Compiled(bool crashes) {
    llvm::raw_string_ostream stream(text);
    xf::DiagnosticPrinter printer(context, stream);
    OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>("module {}", &context, "a-model.mlir");
    PassManager pm(&context);
    pm.addPass(std::make_unique<EndingPass>(crashes));
    xf::Reproducer reproducer(pm);
    failed = mlir::failed(pm.run(*module));
    crashed = printer.crashed();
    path = reproducer.takePath();
    if (auto file = llvm::MemoryBuffer::getFile(path))
      reproduced = (*file)->getBuffer().str();
    llvm::sys::fs::remove(path);
  }
  MLIRContext context;
  std::string text, path, reproduced;
  bool failed, crashed;
};

/// A folder of the test's own for temporary files.
struct TemporaryFolder {
  TemporaryFolder() {
    EXPECT_FALSE(llvm::sys::fs::createUniqueDirectory("xf-crash-test", path));
    setenv("TMPDIR", path.c_str(), 1);
  }
  ~TemporaryFolder() {
    unsetenv("TMPDIR");
    llvm::sys::fs::remove_directories(path);
  }
  int64_t files() {
    int64_t count = 0;
    std::error_code code;
    for (llvm::sys::fs::directory_iterator file(path, code), end; !code && file != end; file.increment(code))
      ++count;
    return count;
  }
  llvm::SmallString<128> path;
};

TEST(Crash, OfAPassIsSurvivedAndKnown) {
  TemporaryFolder folder;
  Compiled run(/*crashes=*/true);
  EXPECT_TRUE(run.failed);
  EXPECT_TRUE(run.crashed);
  EXPECT_EQ(run.text, ""); // the driver says it, not MLIR
  EXPECT_THAT(run.reproduced, HasSubstr("ending"));
  EXPECT_EQ(folder.files(), 0); // the one that is told of, read and removed
}

TEST(Crash, IsNotWhatAFailureIs) {
  Compiled run(/*crashes=*/false);
  EXPECT_TRUE(run.failed);
  EXPECT_FALSE(run.crashed);
  EXPECT_THAT(run.text, HasSubstr("a-model.mlir:1:1: error: a mistake"));
  EXPECT_THAT(run.text, Not(HasSubstr("Failures have been detected")));
  EXPECT_THAT(run.reproduced, HasSubstr("ending"));
}

TEST(CrashDeathTest, EndsAsADefectOfOurs) {
  EXPECT_EXIT(xf::leaveAfterCrash(xf::Stage::plan, "/a/reproducer.mlir"), ::testing::ExitedWithCode(2),
              "xf-compile: error: stage 'plan' crashed: a defect of xf, not of your input\n"
              "xf-compile: note: the module and its passes are in '/a/reproducer.mlir'");
}
} // namespace
