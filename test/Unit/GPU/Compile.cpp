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
#include "llvm/Object/ELFObjectFile.h"
#include "llvm/Support/Endian.h"
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
  for (auto [name, table] :
       {std::pair("xf.tensor_maps", &maps), {"xf.workspace", &workspace}, {"xf.grid_sum", &gridSum}})
    if (auto array = function->getAttrOfType<ArrayAttr>(name))
      for (auto row : array.getAsRange<DenseI64ArrayAttr>())
        table->push_back({row[0], row[1], row[2]});
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

std::string makePTX(const std::string &text, const std::string &gpu) {
  OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(text, &context());
  FailureOr<std::string> made = failure();
  if (module)
    made = xf::emitPTX(*module, gpu, "kernel");
  EXPECT_TRUE(succeeded(made)) << text;
  return succeeded(made) ? *made : "";
}

std::string CompiledKernel::seeded(const std::string &from, const std::string &to) const {
  std::string result = ptx;
  size_t at = result.find(from);
  EXPECT_NE(at, result.npos) << from;
  for (; at != result.npos; at = result.find(from, at + to.size()))
    result.replace(at, from.size(), to);
  return result;
}

std::string CompiledKernel::wrongFor(const std::string &gpu, std::vector<uint16_t> *operations) const {
  const std::string &assembler = xf::findAssembler(gpu).path;
  if (assembler.empty())
    return "there is no ptxas on PATH or in /usr/local/cuda/bin: tools/dev test fetches one";
  llvm::SmallString<128> names[3]; // PTX, code, what is said
  for (auto &name : names)
    EXPECT_FALSE(llvm::sys::fs::createTemporaryFile("xf", "ptxas", name));
  llvm::scope_exit remover([&] {
    for (StringRef name : names)
      llvm::sys::fs::remove(name);
  });
  std::error_code code;
  llvm::raw_fd_ostream(names[0], code) << ptx;
  std::optional<StringRef> streams[] = {StringRef(), StringRef(names[2]), StringRef(names[2])};
  int status = llvm::sys::ExecuteAndWait(assembler, {assembler, "-arch=" + gpu, "-v", names[0], "-o", names[1]},
                                         std::nullopt, streams);
  auto said = llvm::MemoryBuffer::getFile(names[2]);
  StringRef text = said ? (*said)->getBuffer() : "ptxas said nothing";
  if (status != 0 || text.contains("warning") || text.contains("(C75") ||
      !text.contains(" 0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads"))
    return text.str();
  if (!operations)
    return "";
  auto binary = llvm::MemoryBuffer::getFile(names[1], /*IsText=*/false, /*RequiresNullTerminator=*/false);
  auto object = llvm::cantFail(llvm::object::ObjectFile::createELFObjectFile((*binary)->getMemBufferRef()));
  for (llvm::object::SectionRef section : object->sections())
    if (llvm::cantFail(section.getName()).starts_with(".text."))
      for (StringRef bytes = llvm::cantFail(section.getContents()); bytes.size() >= 16; bytes = bytes.drop_front(16))
        operations->push_back(llvm::support::endian::read16le(bytes.data()) & 0xfff);
  return "";
}
