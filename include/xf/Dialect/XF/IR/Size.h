//===- Size.h - how large tensors may be ------------------------*- C++ -*-===//
// Bounds within which no product of extents, and no number of bytes, overflows later on.
//===----------------------------------------------------------------------===//
#ifndef XF_DIALECT_XF_IR_SIZE_H
#define XF_DIALECT_XF_IR_SIZE_H

#include "mlir/IR/BuiltinTypes.h"

namespace mlir::xf {
constexpr int64_t largestExtent = std::numeric_limits<int32_t>::max(); // places in a tensor are i32
constexpr int64_t largestSize = int64_t(1) << 40;                      // elements: 4 TiB of f32

/// Of the extents that are known, whether each is from 1 to largestExtent, and their product at most largestSize.
inline bool hasGoodSize(RankedTensorType type) {
  int64_t elements = 1;
  for (int64_t extent : type.getShape()) {
    if (ShapedType::isDynamic(extent))
      continue;
    if (extent < 1 || extent > largestExtent || extent > largestSize / elements)
      return false;
    elements *= extent;
  }
  return true;
}
} // namespace mlir::xf

#endif
