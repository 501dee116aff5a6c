//===- Passes.h - kernels to loops and vectors ------------------*- C++ -*-===//
#ifndef XF_SCHEDULE_PASSES_H
#define XF_SCHEDULE_PASSES_H

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Pass/Pass.h"

namespace mlir::xf {
#define GEN_PASS_DECL
#include "xf/Schedule/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "xf/Schedule/Passes.h.inc"
} // namespace mlir::xf

#endif
