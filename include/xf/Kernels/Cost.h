//===- Cost.h - what a kernel computes and moves ----------------*- C++ -*-===//
// Sums over the ops of a kernel before `schedule`, and where the extents of its values come from.
//===----------------------------------------------------------------------===//
#ifndef XF_KERNELS_COST_H
#define XF_KERNELS_COST_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "xf/Dialect/XF/IR/XF.h"

namespace mlir::xf {
/// The (argument, dimension) of a kernel that the dynamic extent `dim` of `value` equals.
FailureOr<std::pair<unsigned, unsigned>> traceExtent(Value value, unsigned dim);

struct Cost {
  AffineExpr flops;
  AffineExpr bytes; // each operand read once, as far as it is used, and each result written once
};

/// The cost of one call, given the dynamic extents of the kernel's arguments.
FailureOr<Cost> costOf(func::FuncOp kernel, function_ref<AffineExpr(unsigned argument, unsigned dim)> extent);
} // namespace mlir::xf

#endif
