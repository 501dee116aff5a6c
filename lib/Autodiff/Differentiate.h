//===- Differentiate.h - reverse-mode differentiation -----------*- C++ -*-===//
// The engine of xf-autodiff. It works on a function that holds its forward and, behind the return, its backward; entry
// points keep this order, and a layer is split in two there.
//===----------------------------------------------------------------------===//
#ifndef XF_LIB_AUTODIFF_DIFFERENTIATE_H
#define XF_LIB_AUTODIFF_DIFFERENTIATE_H

#include "Cut.h"
#include "mlir/IR/SymbolTable.h"
#include "xf/Autodiff/Passes.h"
#include <map>

namespace mlir::xf {

/// A differentiated layer. `fwd` takes the layer's arguments and returns its results, then the saved values.
struct Derivative {
  func::FuncOp fwd, bwd;
  SmallVector<unsigned> arguments; // of the layer, that bwd takes first
  SmallVector<unsigned> results;   // of fwd, that it takes next; last come the cotangents of the layer's results
  SmallVector<unsigned> gradients; // the arguments whose cotangents bwd returns
};

class Differentiator {
public:
  Differentiator(ModuleOp module, const Recompute &recompute) : symbols(module), recompute(recompute) {}

  /// Appends the backward of `body` behind its return, `ret`. `seeds` has the cotangent of each returned value or null;
  /// `sources` are the values whose cotangents are wanted. Returns those; null where the source does not reach a seed.
  FailureOr<SmallVector<Value>> appendBackward(Block &body, func::ReturnOp ret, ArrayRef<Value> seeds,
                                               ArrayRef<Value> sources);

  SymbolTable symbols;

private:
  /// Layer, active arguments, results with a cotangent, price of what is saved.
  using Key = std::tuple<Operation *, std::vector<bool>, std::vector<bool>, double>;

  FailureOr<SmallVector<Value>> buildBackward(OpBuilder &builder, Operation *op, ArrayRef<Value> incoming,
                                              ArrayRef<bool> wanted);
  FailureOr<const Derivative *> differentiate(func::CallOp call, ArrayRef<bool> active, ArrayRef<bool> seeded);
  FailureOr<Derivative> makeDerivative(func::FuncOp layer, ArrayRef<bool> active, ArrayRef<bool> seeded);
  void split(func::FuncOp layer, func::ReturnOp ret, Derivative &derivative);
  double priceOf(func::CallOp call) const;

  Recompute recompute;
  std::optional<double> price;                          // of the layer that is being differentiated
  std::map<Key, std::optional<Derivative>> derivatives; // nothing while it is being made
};

/// Erases ops without a use. Between `input` and `fuse` a call has no effect but its results.
void eraseUnused(Block &body);

} // namespace mlir::xf

#endif // XF_LIB_AUTODIFF_DIFFERENTIATE_H
