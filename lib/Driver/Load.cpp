//===- Load.cpp - compiled kernels in this process ------------------------===//
#include "xf/Driver/Load.h"
#include "llvm/ExecutionEngine/Orc/ExecutionUtils.h"

namespace mlir::xf {

llvm::Expected<llvm::orc::JITDylib &> loadArchive(llvm::orc::LLJIT &jit, llvm::StringRef name, llvm::StringRef path) {
  llvm::Expected<llvm::orc::JITDylib &> library = jit.createJITDylib(name.str());
  if (!library)
    return library.takeError();
  auto archive = llvm::orc::StaticLibraryDefinitionGenerator::Load(jit.getObjLinkingLayer(), path.str().c_str());
  if (!archive)
    return archive.takeError();
  library->addGenerator(std::move(*archive));
  return *library;
}

llvm::Expected<::xf::runtime::KernelFunction> findKernel(llvm::orc::LLJIT &jit, llvm::orc::JITDylib &library,
                                                         llvm::StringRef kernel) {
  auto symbol = jit.getExecutionSession().lookup({{&library, llvm::orc::JITDylibLookupFlags::MatchAllSymbols}},
                                                 jit.mangleAndIntern((kernel + ".entry").str()));
  if (!symbol)
    return symbol.takeError();
  return symbol->getAddress().toPtr<::xf::runtime::KernelFunction>();
}
} // namespace mlir::xf
