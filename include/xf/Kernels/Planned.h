//===- Planned.h - sizes in a planned module --------------------*- C++ -*-===//
// What an entry point after stage `plan` says of its memory, for the dimensions of one batch.
//===----------------------------------------------------------------------===//
#ifndef XF_KERNELS_PLANNED_H
#define XF_KERNELS_PLANNED_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "xf/Dialect/XF/IR/XF.h"

namespace mlir::xf {
/// The dimensions of `entry` for a batch of so many tokens a side in so many sequences.
SmallVector<int64_t> dimsOfBatch(func::FuncOp entry, int64_t tokens, int64_t sequences);

/// An extent of a buffer, and all of them multiplied.
int64_t extentAt(Value buffer, unsigned dim, ArrayRef<int64_t> dims);
int64_t elementsAt(Value buffer, ArrayRef<int64_t> dims);

/// Bytes of the arena that the temporaries of `entry` take.
int64_t workspaceAt(func::FuncOp entry, ArrayRef<int64_t> dims);
} // namespace mlir::xf

#endif
