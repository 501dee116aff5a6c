//===- Memory.h - how tensors lie in memory ---------------------*- C++ -*-===//
// Row-major, and without gaps but for one rule: rows of a matrix of bf16 begin at multiples of 16 bytes, which is what
// a GPU's copies and tensor cores take. Only kernels see bf16, so nobody else has to know.
//===----------------------------------------------------------------------===//
#ifndef XF_DIALECT_XF_IR_MEMORY_H
#define XF_DIALECT_XF_IR_MEMORY_H

#include "mlir/IR/BuiltinTypes.h"

namespace mlir::xf {
MemRefType memoryOf(RankedTensorType tensor);
/// Elements from the beginning of a matrix's row to that of the next; of other memory its last extent.
int64_t pitchOf(MemRefType type);
/// Whether there is something between rows.
inline bool hasGaps(MemRefType type) { return !type.getLayout().isIdentity(); }
/// The extents of what memory takes, gaps included.
SmallVector<int64_t> extentsWithGaps(MemRefType type);
/// Of memory of static shape.
int64_t bytesOf(MemRefType type);
} // namespace mlir::xf

#endif
