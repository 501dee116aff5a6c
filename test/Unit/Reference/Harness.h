//===- Harness.h - modules from text, differentiated and run -------------------===//
// What the tests of the reference interpreter and of differentiation share.
//===----------------------------------------------------------------------------===//
#ifndef XF_TEST_REFERENCE_HARNESS_H
#define XF_TEST_REFERENCE_HARNESS_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "xf/Autodiff/Passes.h"
#include "xf/Reference/Interpreter.h"
#include <gtest/gtest.h>
#include <random>

namespace mlir::xf::test {

using reference::ModelState;
using reference::Tensor;
using Tensors = std::map<std::string, Tensor, std::less<>>;

/// A module and the state of its parameters. Errors fail the test that is running, with MLIR's diagnostics.
class Module {
public:
  explicit Module(const std::string &text);

  /// Runs the stage autodiff.
  void differentiate(const mlir::xf::Recompute &recompute = mlir::xf::Recompute::None);
  /// Runs passes by name.
  void transform(const std::string &pipeline);
  /// Fills the parameters with normal values, in place of their initialisers.
  void randomize(uint64_t seed);
  /// Calls a function with inputs by xf.name; returns its results so.
  Tensors run(llvm::StringRef function, const Tensors &inputs);

  mlir::ModuleOp operator*() { return *module; }
  ModelState state;

private:
  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
};

Tensor integers(std::vector<int64_t> values);
/// Offsets of sequences of these lengths.
Tensor offsets(const std::vector<int64_t> &lengths);

/// |a - b| / max(|b|, 1e-6) in the Euclidean norm.
double distance(const Tensor &a, const Tensor &b);

} // namespace mlir::xf::test

#endif // XF_TEST_REFERENCE_HARNESS_H
