//===- Passes.h - the stage `input` -----------------------------*- C++ -*-===//
#ifndef XF_DIALECT_XF_TRANSFORMS_PASSES_H
#define XF_DIALECT_XF_TRANSFORMS_PASSES_H

#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassManager.h"

namespace mlir::xf {
#define GEN_PASS_DECL
#include "xf/Dialect/XF/Transforms/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "xf/Dialect/XF/Transforms/Passes.h.inc"

/// The stage: a model of composite ops to primitive ops and entry points (docs/Stages.md). Weights of predictions are
/// packed, or only kept apart.
void buildInputStage(OpPassManager &pm, bool packsWeights = true);
} // namespace mlir::xf

#endif
