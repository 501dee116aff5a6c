//===- AccumulateGradients.cpp - sums of gradients in one buffer ----------===//
// The pass xf-accumulate-gradients: xf.add(x, product) becomes `product into x`.
//===----------------------------------------------------------------------===//
#include "xf/Autodiff/Passes.h"
#include "llvm/ADT/TypeSwitch.h"

namespace mlir::xf {
#define GEN_PASS_DEF_ACCUMULATEGRADIENTSPASS
#include "xf/Autodiff/Passes.h.inc"
} // namespace mlir::xf

using namespace mlir;
using namespace mlir::xf;

namespace {
/// The product that can start from a sum so far: it has no `into` yet, and only `add` uses it.
template <typename OpT> OpT asProduct(Value value) {
  auto product = value.getDefiningOp<OpT>();
  return product && product->hasOneUse() && !product.getInto() ? product : OpT();
}

template <typename OpT> bool accumulate(AddOp add, Value sum, Value term) {
  auto product = asProduct<OpT>(term);
  // Only a value that ends here may be updated in place, and not an argument, which is the caller's.
  if (!product || !sum.hasOneUse() || !sum.getDefiningOp())
    return false;
  product->moveBefore(add);
  product.getIntoMutable().assign(sum);
  add.replaceAllUsesWith(product.getResult());
  add.erase();
  return true;
}

/// The first of a chain of products, each added to the one before, of which `value` is the last; null where something
/// else began it, or is to see a sum on the way.
Operation *firstProduct(Value value) {
  while (true) {
    Operation *product = value.getDefiningOp();
    if (!product || !isa<MatmulOp, EmbeddingBackwardOp>(product) || !product->hasOneUse())
      return nullptr;
    Value into = llvm::TypeSwitch<Operation *, Value>(product).Case<MatmulOp, EmbeddingBackwardOp>(
        [](auto op) { return op.getInto(); });
    if (!into)
      return product;
    value = into;
  }
}

/// A gradient that starts from earlier batches' does so with its first product.
bool startFromEarlier(AddOp add, GetGradientOp earlier) {
  Value gradient = add.getA() == earlier.getResult() ? add.getB() : add.getA();
  Operation *first = firstProduct(gradient);
  if (!first || !earlier->hasOneUse() || first->getBlock() != add->getBlock())
    return false;
  earlier->moveBefore(&first->getBlock()->front());
  llvm::TypeSwitch<Operation *>(first).Case<MatmulOp, EmbeddingBackwardOp>(
      [&](auto op) { op.getIntoMutable().assign(earlier.getResult()); });
  add.replaceAllUsesWith(gradient);
  add.erase();
  return true;
}

struct AccumulateGradientsPass : xf::impl::AccumulateGradientsPassBase<AccumulateGradientsPass> {
  void runOnOperation() final {
    getOperation().walk([](AddOp add) {
      // The later of two products is added to the earlier.
      Value sum = add.getA(), term = add.getB();
      Operation *a = sum.getDefiningOp(), *b = term.getDefiningOp();
      if (a && b && a->getBlock() == b->getBlock() && b->isBeforeInBlock(a))
        std::swap(sum, term);
      for (Value operand : {sum, term})
        if (auto earlier = operand.getDefiningOp<GetGradientOp>(); earlier && startFromEarlier(add, earlier))
          return;
      for (auto [x, product] : {std::pair(sum, term), std::pair(term, sum)})
        if (accumulate<MatmulOp>(add, x, product) || accumulate<EmbeddingBackwardOp>(add, x, product))
          return;
    });
  }
};
} // namespace
