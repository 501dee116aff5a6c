//===- Passes.h - differentiation -------------------------------*- C++ -*-===//
// The passes of the stage `autodiff`, described in Passes.td.
//===----------------------------------------------------------------------===//
#ifndef XF_AUTODIFF_PASSES_H
#define XF_AUTODIFF_PASSES_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"
#include "xf/Dialect/XF/IR/XF.h"

namespace mlir::xf {

/// What the backward of a layer computes again instead of keeping it from the forward.
enum class Recompute { None, Full };

#define GEN_PASS_DECL
#include "xf/Autodiff/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "xf/Autodiff/Passes.h.inc"

/// The stage: differentiates, accumulates, removes functions that nothing calls any more, and checks the result.
void buildAutodiffPipeline(OpPassManager &manager, Recompute recompute);

} // namespace mlir::xf

#endif // XF_AUTODIFF_PASSES_H
