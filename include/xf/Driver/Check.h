//===- Check.h - the module after every stage on the same inputs -*- C++ -*-===//
// xf-compile --check=DIR. A stage may change how a value is computed and not what it is: each is run by the
// interpreter, in double precision, or compiled, and its values are compared with those of the stage before under the
// names that the model gives them.
//===----------------------------------------------------------------------===//
#ifndef XF_DRIVER_CHECK_H
#define XF_DRIVER_CHECK_H

#include "xf/Driver/Kernels.h"
#include "xf/Reference/Interpreter.h"

namespace mlir::xf {

/// A value that a function computed: what the model calls it, and the op; no op where a kernel's result is meant.
struct RecordedValue {
  std::string label, op;
  reference::Tensor value;
};

class StageChecker {
public:
  /// Files go to `folder`, and inputs come from there if it has them. `isNarrow`: some values become bf16 at `outline`.
  StageChecker(std::string folder, bool isNarrow) : folder(std::move(folder)), isNarrow(isNarrow) {}

  struct Failure {
    int exitCode;
    std::string message;
  };
  using Result = std::optional<Failure>;

  /// Reads the inputs of the entry points of a module after `input`, or makes them up; and so the weights, where no
  /// file of them is given.
  Result prepare(ModuleOp module, const std::string &weights);

  /// Interprets a module after `stage` and compares with the stage before. Says on stdout what agrees.
  Result interpret(ModuleOp module, Stage stage);

  /// Compiles the kernels of a module after `plan`, or those of `scheduled` (after `schedule`) if it is there, and runs
  /// them as an executable would: on this processor, or a GPU.
  Result runCompiled(ModuleOp planned, ModuleOp scheduled, const KernelOptions &options);

private:
  using Tensors = std::map<std::string, reference::Tensor>;
  /// What an entry point computed, in order; its results last.
  using Trace = std::vector<RecordedValue>;

  Result load(const std::string &path);
  FailureOr<Trace> trace(ModuleOp module, func::FuncOp entry);
  Result compare(const std::string &entry, const Trace &before, const Trace &after, Stage stage, int64_t &compared);
  Result checkGradients(ModuleOp module);
  Result checkFunction(ModuleOp planned, const ::xf::runtime::Function &function, class CompiledProgram &compiled);
  Result checkSlope(ModuleOp module, const std::string &loss, const std::string &function, Tensors derived);
  FailureOr<double> lossOf(ModuleOp module, StringRef function, reference::ModelState &state);
  reference::ModelState loadState(ModuleOp module) const;
  Result report(const std::string &message, ArrayRef<std::pair<std::string, reference::Tensor>> tensors) const;
  SmallVector<reference::Tensor> argumentsOf(func::FuncOp entry) const;

  std::string folder, weights;
  bool isNarrow;
  std::map<std::string, Tensors> inputs; // by entry point and argument
  std::map<std::string, Trace> before;   // by entry point, of the last stage that was interpreted
  Stage stageBefore = Stage::input;
  OwningOpRef<ModuleOp> training; // before gradients are derived, where the model trains
};
} // namespace mlir::xf

#endif
