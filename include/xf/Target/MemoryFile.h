//===- MemoryFile.h - what lies between, under a path -----------*- C++ -*-===//
// lld takes paths. A file in memory has one, in this process, that no full disk, no other program and no end of this
// one can get at.
//===----------------------------------------------------------------------===//
#ifndef XF_TARGET_MEMORYFILE_H
#define XF_TARGET_MEMORYFILE_H

#include "mlir/Support/LLVM.h"
#include "llvm/Support/Error.h"
#include <utility>

namespace mlir::xf {
class MemoryFile {
public:
  static llvm::Expected<MemoryFile> create(StringRef content);
  MemoryFile(MemoryFile &&other) : descriptor(std::exchange(other.descriptor, -1)) {}
  ~MemoryFile();

  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor); }

private:
  explicit MemoryFile(int descriptor) : descriptor(descriptor) {}
  int descriptor;
};
} // namespace mlir::xf

#endif
