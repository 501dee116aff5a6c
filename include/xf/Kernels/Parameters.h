//===- Parameters.h - where parameters lie in the flat arenas ---*- C++ -*-===//
// Master parameters, gradients and both moments are flat arrays with equal offsets: the clip norm is one reduction,
// Adam one kernel.
//===----------------------------------------------------------------------===//
#ifndef XF_KERNELS_PARAMETERS_H
#define XF_KERNELS_PARAMETERS_H

#include "xf/Dialect/XF/IR/XF.h"
#include "llvm/ADT/StringMap.h"

namespace mlir::xf {
struct ParameterLayout {
  static constexpr int64_t alignment = 16;   // elements: one cache line
  static constexpr int64_t blockSize = 1024; // elements: what the kernels over arenas take as a row

  /// Lays out the xf.param ops of `module` in their order.
  explicit ParameterLayout(ModuleOp module) {
    for (ParamOp param : module.getOps<ParamOp>()) {
      offsets[param.getSymName()] = elements;
      elements += llvm::alignTo(cast<RankedTensorType>(param.getType()).getNumElements(), alignment);
    }
    elements = llvm::alignTo(elements, blockSize);
    module.walk([&](SetPreparedOp set) {
      preparedOffsets[set.getName()] = preparedElements;
      preparedElements += llvm::alignTo(
          llvm::divideCeil(bytesOf(memoryOf(cast<RankedTensorType>(set.getValue().getType()))), 4), alignment);
    });
  }
  int64_t offsetOf(StringRef name) const { return offsets.lookup(name); }
  /// Where the prepared form of a parameter lies, in an arena of its own that is measured in f32; until stage `plan`.
  int64_t preparedOffsetOf(StringRef name) const { return preparedOffsets.lookup(name); }

  llvm::StringMap<int64_t> offsets, preparedOffsets;
  int64_t preparedElements = 0;
  int64_t elements = 0; // of the whole arena, padding included
};
} // namespace mlir::xf

#endif
