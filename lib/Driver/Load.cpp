//===- Load.cpp - compiled kernels in this process ------------------------===//
#include "xf/Driver/Load.h"
#include "xf/Target/Target.h"
#include "llvm/ExecutionEngine/Orc/ExecutionUtils.h"

namespace mlir::xf {

llvm::Expected<llvm::orc::JITDylib &> loadArchive(llvm::orc::LLJIT &jit, llvm::StringRef name,
                                                  llvm::StringRef content) {
  llvm::Expected<llvm::orc::JITDylib &> library = jit.createJITDylib(name.str());
  if (!library)
    return library.takeError();
  auto archive = llvm::orc::StaticLibraryDefinitionGenerator::Create(
      jit.getObjLinkingLayer(), llvm::MemoryBuffer::getMemBufferCopy(content, name));
  if (!archive)
    return archive.takeError();
  library->addGenerator(std::move(*archive));
  return *library;
}

template <typename Pointer>
static llvm::Expected<Pointer> find(llvm::orc::LLJIT &jit, llvm::orc::JITDylib &library, const std::string &symbol) {
  auto found = jit.getExecutionSession().lookup({{&library, llvm::orc::JITDylibLookupFlags::MatchAllSymbols}},
                                                jit.mangleAndIntern(symbol));
  if (!found)
    return found.takeError();
  return found->getAddress().toPtr<Pointer>();
}

llvm::Expected<::xf::runtime::KernelFunction> findKernel(llvm::orc::LLJIT &jit, llvm::orc::JITDylib &library,
                                                         llvm::StringRef kernel) {
  return find<::xf::runtime::KernelFunction>(jit, library, (kernel + ".entry").str());
}

llvm::Expected<const XfImage *> findImage(llvm::orc::LLJIT &jit, llvm::orc::JITDylib &library, llvm::StringRef kernel) {
  return find<const XfImage *>(jit, library, imageName(kernel));
}
} // namespace mlir::xf
