//===- Job.h - what a command line asks for ---------------------*- C++ -*-===//
// Options as values, checked against each other before anything is read.
//===----------------------------------------------------------------------===//
#ifndef XF_DRIVER_JOB_H
#define XF_DRIVER_JOB_H

#include "xf/Driver/Compile.h"
#include "xf/Pipelines/Stages.h"
#include "xf/Target/Target.h"

namespace mlir::xf {
struct Job {
  Stage from = Stage::input, to = Stage::link;
  OutputKind kind = OutputKind::Executable;
  CPU cpu;
  StageOptions stages;                      // with the GPU, where kernels are for one
  bool forBoth = false;                     // two programs, of which the one for the GPU is made first
  int64_t fitBytes = 0, recomputeBytes = 0; // 0: not asked for

  bool isForGPU() const { return !stages.gpu.empty(); }
  /// The batch that --report, --tune and --recompute are about.
  int64_t tokens() const { return stages.recompute.tokens; }
  int64_t sequences() const { return stages.recompute.sequences; }
};

/// Errors are of what the user wrote: an option that is unknown or doesn't go with another, a file that can't be
/// written.
llvm::Expected<Job> parseJob(const ::xf::CompileOptions &options);
} // namespace mlir::xf

#endif
