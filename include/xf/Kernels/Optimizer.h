//===- Optimizer.h - kernels over the flat arenas ---------------*- C++ -*-===//
// Clipping and Adam see parameters, gradients and moments as one memref<blocks x 1024 x f32> each. Created by `plan`,
// which alone knows that arena, in the form that the other kernels take after `schedule`.
//===----------------------------------------------------------------------===//
#ifndef XF_KERNELS_OPTIMIZER_H
#define XF_KERNELS_OPTIMIZER_H

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace mlir::xf {
/// (gradients) -> sums: memref<blocks x f32>, the sum of squares of each block.
func::FuncOp buildSquaredSumsKernel(OpBuilder &builder, Location loc, int64_t blocks);
/// (sums) -> norm: memref<f32>, the root of their sum.
func::FuncOp buildNormKernel(OpBuilder &builder, Location loc, int64_t blocks);
/// (parameters, gradients, first moments, second moments, norm, learning rate, random, hyper) -> parameters and both
/// moments, in place: xf.adam's formula.
func::FuncOp buildAdamKernel(OpBuilder &builder, Location loc, int64_t blocks);
} // namespace mlir::xf

#endif
