//===- Interpreter.h - runs a module in double precision --------*- C++ -*-===//
// The meaning of the ops, executable: every stage from `input` to `outline` can be run and compared with the compiled
// code. Ops are evaluated as their definitions say, one after another, with no thought for speed.
//===----------------------------------------------------------------------===//
#ifndef XF_REFERENCE_INTERPRETER_H
#define XF_REFERENCE_INTERPRETER_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "xf/Dialect/XF/IR/XF.h"
#include "xf/Reference/Tensor.h"
#include "xf/Runtime/Safetensors.h"
#include <functional>
#include <map>

namespace mlir::xf::reference {

/// What outlives a call: the values of the parameters and the moments of Adam.
struct ModelState {
  using Tensors = std::map<std::string, Tensor, std::less<>>;
  Tensors parameters, gradients, firstMoments, secondMoments;

  /// As the initialisers say; the same values as a compiled model's, before they are rounded.
  static ::xf::runtime::Expected<ModelState> initialize(ModuleOp module, uint64_t seed);
  /// From a file of weights, or of training with its moments (zeros where there are none).
  static ::xf::runtime::Expected<ModelState> load(ModuleOp module, const ::xf::runtime::Safetensors &file);
};

/// A file's tensor as doubles or integers.
Tensor fromView(const ::xf::runtime::TensorView &view);

/// What is wrong with a tensor for an argument of this type; "" where nothing is.
std::string mismatch(const std::string &name, Type type, const Tensor &tensor);

/// Writes tensors as F64 and I64.
::xf::runtime::Expected<void> writeTensors(const std::string &path, ArrayRef<std::pair<std::string, Tensor>> tensors);

class Interpreter {
public:
  /// Sees every op with its results as they are computed.
  using Probe = std::function<void(Operation *, ArrayRef<Tensor>)>;

  Interpreter(ModuleOp module, ModelState &state) : symbols(module), state(state) {}
  void setProbe(Probe newProbe) { probe = std::move(newProbe); }

  /// Calls a function. What fails has been reported at the op.
  FailureOr<SmallVector<Tensor>> run(func::FuncOp function, ArrayRef<Tensor> arguments);
  /// While a function runs: the ops that called, the outermost first.
  ArrayRef<Operation *> callStack() const { return callers; }
  func::FuncOp lookup(StringRef name) { return symbols.lookup<func::FuncOp>(name); }

private:
  friend class Frame;
  SymbolTable symbols;
  ModelState &state;
  Probe probe;
  SmallVector<Operation *> callers;
};

} // namespace mlir::xf::reference

#endif // XF_REFERENCE_INTERPRETER_H
