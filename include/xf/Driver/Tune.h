//===- Tune.h - schedules measured on this machine --------------*- C++ -*-===//
// A file of schedules: for kernels, named by what they compute, the choices that took the least time on one processor.
//===----------------------------------------------------------------------===//
#ifndef XF_DRIVER_TUNE_H
#define XF_DRIVER_TUNE_H

#include "xf/Driver/Kernels.h"

namespace mlir::xf {

/// Runs every kernel of a module after `plan` with its default schedule and with those beside it, on random values and
/// on `threads` threads, at the extents that a batch gives it, and writes the best ones to `path`.
llvm::Error tuneSchedules(ModuleOp module, const KernelOptions &options, int64_t tokens, int64_t sequences,
                          StringRef path);

/// How many of a file's schedules a module had kernels for.
struct AppliedSchedules {
  size_t used = 0, unknown = 0;
};

/// Gives the kernels of a module after `plan` their schedules of the file `path`.
llvm::Expected<AppliedSchedules> applySchedules(ModuleOp module, const CPU &cpu, StringRef path);
} // namespace mlir::xf

#endif
