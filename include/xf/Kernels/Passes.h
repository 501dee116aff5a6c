//===- Passes.h - from primitive ops to planned kernels --------*- C++ -*-===//
// The stages fuse, outline and plan.
//===----------------------------------------------------------------------===//
#ifndef XF_KERNELS_PASSES_H
#define XF_KERNELS_PASSES_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"
#include "xf/Dialect/XF/IR/XF.h"

namespace mlir::xf {
#define GEN_PASS_DECL
#include "xf/Kernels/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "xf/Kernels/Passes.h.inc"

/// A kernel that casts, and does nothing else.
func::FuncOp buildCastKernel(StringRef name, RankedTensorType from, RankedTensorType to);
} // namespace mlir::xf

#endif
