//===- AccumulateGradients.cpp - sums of gradients in one buffer ----------===//
// The pass xf-accumulate-gradients: xf.add(x, product) becomes `product into x`.
//===----------------------------------------------------------------------===//
#include "xf/Autodiff/Passes.h"

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

struct AccumulateGradientsPass : xf::impl::AccumulateGradientsPassBase<AccumulateGradientsPass> {
  void runOnOperation() final {
    getOperation().walk([](AddOp add) {
      // The later of two products is added to the earlier.
      Value sum = add.getA(), term = add.getB();
      Operation *a = sum.getDefiningOp(), *b = term.getDefiningOp();
      if (a && b && a->getBlock() == b->getBlock() && b->isBeforeInBlock(a))
        std::swap(sum, term);
      for (auto [x, product] : {std::pair(sum, term), std::pair(term, sum)})
        if (accumulate<MatmulOp>(add, x, product) || accumulate<EmbeddingBackwardOp>(add, x, product))
          return;
    });
  }
};
} // namespace
