//===- KernelCache.h - kernels compiled before ------------------*- C++ -*-===//
// The machine code of kernels in the user's cache folder ($XDG_CACHE_HOME/xf/kernels), named by all that it depends on.
// Compilers may share it at any time: entries are written beside and renamed, and one that is not whole is none. Where
// the folder can't be written nothing is kept, and nobody is told.
//===----------------------------------------------------------------------===//
#ifndef XF_DRIVER_KERNELCACHE_H
#define XF_DRIVER_KERNELCACHE_H

#include "mlir/Support/LLVM.h"
#include <optional>
#include <string>

namespace mlir::xf {

/// What compiling one kernel gives.
struct CompiledKernel {
  std::string facts;  // what its launch needs: a dictionary of attributes, as MLIR prints it
  std::string object; // an ELF file
};

class KernelCache {
public:
  /// The cache in `folder` for what `compiler` makes: a name that no other build of the compiler has.
  KernelCache(std::string folder, std::string compiler, uint64_t maxBytes)
      : folder(std::move(folder)), compiler(std::move(compiler)), maxBytes(maxBytes) {}

  /// The cache of this user and this compiler; none where either can't be told.
  static std::optional<KernelCache> open(uint64_t maxBytes);

  /// The key of what `parts` determine: a SHA-256 of them and of the compiler.
  std::string key(ArrayRef<StringRef> parts) const;

  /// The kernel that was compiled from what `key` names; it counts as used now.
  std::optional<CompiledKernel> find(StringRef key) const;
  void insert(StringRef key, const CompiledKernel &kernel) const;

  /// Removes the entries that were not used for longest until the others fit.
  void prune() const;

private:
  std::string pathOf(StringRef key) const;

  std::string folder, compiler;
  uint64_t maxBytes;
};
} // namespace mlir::xf

#endif
