//===- MemoryFile.cpp - what lies between, under a path -------------------===//
#include "xf/Target/MemoryFile.h"
#include "llvm/Support/raw_ostream.h"
#include <sys/mman.h>
#include <unistd.h>

namespace mlir::xf {
llvm::Expected<MemoryFile> MemoryFile::create(StringRef content) {
  MemoryFile file(memfd_create("xf", MFD_CLOEXEC));
  std::error_code code;
  if (file.descriptor < 0)
    code = std::error_code(errno, std::generic_category());
  else {
    llvm::raw_fd_ostream stream(file.descriptor, /*shouldClose=*/false, /*unbuffered=*/true);
    stream << content;
    code = stream.error();
    stream.clear_error(); // or its destructor would end the process
  }
  if (code)
    return llvm::createStringError(code, "can't keep a file in memory: " + code.message());
  return file;
}

MemoryFile::~MemoryFile() {
  if (descriptor >= 0)
    close(descriptor);
}
} // namespace mlir::xf
