//===- Passes.h - differentiation -------------------------------*- C++ -*-===//
// The passes of the stage `autodiff`, described in Passes.td.
//===----------------------------------------------------------------------===//
#ifndef XF_AUTODIFF_PASSES_H
#define XF_AUTODIFF_PASSES_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"
#include "xf/Dialect/XF/IR/XF.h"

namespace mlir::xf {

/// What the backward of a layer computes again instead of keeping it from the forward: as much as costs less than
/// `price` operations for each byte that is not kept.
struct Recompute {
  double price = 0;
  int64_t layers = -1; // so many, from the first on, pay the price, the others a quarter of it; -1: all
  int64_t tokens = 4096, sequences = 163; // of the batch for which operations and bytes are counted

  static const Recompute None, Full;
};
inline const Recompute Recompute::None{}, Recompute::Full{1e15};

#define GEN_PASS_DECL
#include "xf/Autodiff/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "xf/Autodiff/Passes.h.inc"

/// The stage: differentiates, accumulates, removes functions that nothing calls any more, and checks the result.
void buildAutodiffPipeline(OpPassManager &manager, const Recompute &recompute);

} // namespace mlir::xf

#endif // XF_AUTODIFF_PASSES_H
