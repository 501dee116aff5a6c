//===- Kernels.h - each kernel compiled by itself ---------------*- C++ -*-===//
// After stage `plan` a kernel needs nothing of the rest of its program: it goes through schedule, target and code
// generation alone, in contexts of its own, on any of several threads, or comes out of the cache.
//===----------------------------------------------------------------------===//
#ifndef XF_DRIVER_KERNELS_H
#define XF_DRIVER_KERNELS_H

#include "xf/Driver/KernelCache.h"
#include "xf/Pipelines/Stages.h"
#include "xf/Target/Target.h"

namespace mlir::xf {

struct KernelOptions {
  StageOptions stages;
  CPU cpu;
  std::optional<KernelCache> cache;
  unsigned threads = 0; // 0: as many as this process may use cores
};

/// What --timing prints of the kernels; seconds are sums over threads.
struct KernelTimes {
  unsigned hits = 0, misses = 0, threads = 0;
  unsigned again = 0; // kernels that were made anew since ptxas found too few registers for them
  double schedule = 0, target = 0, codegen = 0;
};

/// Compiles the kernels of a module before stage `next` (schedule, target or link), leaves their declarations in their
/// places, with grid and scratch memory, and makes the archive of their objects: the same bytes for any number
/// of threads. Where this fails, the first kernel that can't be compiled has said why; the result is the stage that it
/// did not pass.
std::optional<Stage> compileKernels(ModuleOp module, Stage next, const KernelOptions &options, std::string &archive,
                                    KernelTimes &times);

/// Sets `xf.schedule` of kernels for a GPU that have several forms, before stage `schedule`, to the one that
/// compileKernels finds: with as many registers as ptxas, where there is one, has room for. A stage that failed.
std::optional<Stage> settleForms(ModuleOp module, const KernelOptions &options);
} // namespace mlir::xf

#endif
