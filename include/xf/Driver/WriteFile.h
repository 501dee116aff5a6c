//===- WriteFile.h - files that appear whole or not at all ------*- C++ -*-===//
#ifndef XF_DRIVER_WRITEFILE_H
#define XF_DRIVER_WRITEFILE_H

#include "mlir/Support/LLVM.h"
#include "llvm/Support/Error.h"

namespace mlir::xf {
/// Writes `path` beside and renames; what was there before stays until then, and where it fails or this process ends.
llvm::Error writeFile(StringRef path, function_ref<void(raw_ostream &)> write, bool isExecutable = false);
/// Hands on what was written to standard output so far.
llvm::Error flushOutput();
} // namespace mlir::xf

#endif
