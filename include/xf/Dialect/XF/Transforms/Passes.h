//===- Passes.h - the stage `input` -----------------------------*- C++ -*-===//
#ifndef XF_DIALECT_XF_TRANSFORMS_PASSES_H
#define XF_DIALECT_XF_TRANSFORMS_PASSES_H

#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassManager.h"

namespace mlir::xf {
/// How predictions read the weights of products, and tables of tokens: as they are, of which a later stage may make a
/// copy of another type; in panels, as products on processors read them; or in panels of i8 (xf.pack).
enum class WeightForm { Kept, Packed, Int8 };

#define GEN_PASS_DECL
#include "xf/Dialect/XF/Transforms/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "xf/Dialect/XF/Transforms/Passes.h.inc"

/// The stage: a model of composite ops to primitive ops and entry points (docs/Stages.md). Packed weights that
/// `areNarrow` will be bf16.
void buildInputStage(OpPassManager &pm, WeightForm weights = WeightForm::Packed, bool areNarrow = false);
} // namespace mlir::xf

#endif
