//===- Passes.h - xf to upstream's dialects --------------------*- C++ -*-===//
#ifndef XF_CONVERSION_PASSES_H
#define XF_CONVERSION_PASSES_H

#include "mlir/Pass/Pass.h"

namespace mlir::xf {
#define GEN_PASS_DECL
#include "xf/Conversion/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "xf/Conversion/Passes.h.inc"
} // namespace mlir::xf

#endif
