//===- Reproducer.h - what was being compiled when it failed ----*- C++ -*-===//
// MLIR's own reproducers: a module with the passes that it was given, which `xf-opt --run-reproducer` runs again and
// `xf-reduce` makes small.
//===----------------------------------------------------------------------===//
#ifndef XF_DRIVER_REPRODUCER_H
#define XF_DRIVER_REPRODUCER_H

#include "xf/Pipelines/Stages.h"

namespace mlir::xf {
class Reproducer {
public:
  /// Has `pm` survive the crash of a pass, and write a file where a pass crashes or fails.
  explicit Reproducer(PassManager &pm);

  /// Who is told of the file: the path, or "" where nothing went wrong since the last call.
  std::string takePath() { return std::exchange(*path, ""); }

private:
  std::shared_ptr<std::string> path = std::make_shared<std::string>();
};

/// "the module and its passes are in 'F': xf-opt --run-reproducer F runs them, xf-reduce F makes the module small".
std::string describeReproducer(StringRef path);

/// Ends the process as a defect of xf, and touches no module on the way out.
[[noreturn]] void leaveAfterCrash(Stage stage, StringRef reproducer);
} // namespace mlir::xf

#endif
