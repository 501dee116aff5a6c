//===- Compile.cpp - one kernel, as PTX ---------------------------------------------------===//
#include "Compile.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "xf/Conversion/Passes.h"
#include "xf/Dialect/XF/IR/XF.h"
#include "xf/InitAll.h"
#include "xf/Schedule/Passes.h"
#include "xf/Target/Target.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Program.h"
#include <gtest/gtest.h>

using namespace mlir;

static MLIRContext &context() {
  static MLIRContext *context = [] {
    DialectRegistry registry;
    xf::registerAllDialects(registry);
    return new MLIRContext(registry, MLIRContext::Threading::DISABLED);
  }();
  return *context;
}

CompiledKernel::CompiledKernel(const std::string &text, const std::string &gpu, bool usesTF32) {
  OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(text, &context());
  PassManager passes(&context());
  passes.addPass(xf::createScheduleGPUPass({gpu, usesTF32}));
  if (!module || failed(passes.run(*module))) {
    ADD_FAILURE() << text;
    return;
  }
  auto function = *module->getOps<func::FuncOp>().begin();
  if (auto bytes = function->getAttrOfType<IntegerAttr>("xf.shared"))
    shared = bytes.getInt();
  if (auto array = function->getAttrOfType<ArrayAttr>("xf.tensor_maps"))
    for (auto map : array.getAsRange<DenseI64ArrayAttr>())
      maps.push_back({map[0], map[1], map[2]});
  PassManager lowering(&context());
  lowering.addPass(xf::createConvertXFGToNVVMPass());
  lowering.addPass(xf::createEmitGPUEntriesPass());
  xf::buildLowerToLLVM(lowering);
  FailureOr<std::string> made = failure();
  if (succeeded(lowering.run(*module)))
    made = xf::emitPTX(*module, gpu, "kernel");
  if (failed(made))
    ADD_FAILURE() << "no PTX of " << text;
  else
    ptx = *made;
}

std::string CompiledKernel::seeded(const std::string &from, const std::string &to) const {
  std::string result = ptx;
  size_t at = result.find(from);
  EXPECT_NE(at, result.npos) << from;
  for (; at != result.npos; at = result.find(from, at + to.size()))
    result.replace(at, from.size(), to);
  return result;
}

std::string CompiledKernel::wrongFor(const std::string &gpu) const {
  if (xf::findAssembler().path.empty())
    return "";
  llvm::SmallString<128> source, said;
  int file;
  if (llvm::sys::fs::createTemporaryFile("xf", "ptx", file, source) ||
      llvm::sys::fs::createTemporaryFile("xf", "txt", said))
    return "no temporary file";
  llvm::scope_exit remover([&] {
    llvm::sys::fs::remove(source);
    llvm::sys::fs::remove(said);
  });
  llvm::raw_fd_ostream(file, /*shouldClose=*/true) << ptx;
  std::string path = xf::findAssembler().path, architecture = "-arch=" + gpu;
  int code = llvm::sys::ExecuteAndWait(path, {path, architecture, "-v", source, "-o", "/dev/null"}, std::nullopt,
                                       {StringRef(), said.str(), said.str()});
  auto text = llvm::MemoryBuffer::getFile(said);
  std::string all = text ? (*text)->getBuffer().str() : "ptxas said nothing";
  bool isRight = code == 0 && all.find("warning") == all.npos &&
                 all.find(" 0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads") != all.npos;
  return isRight ? "" : all;
}
