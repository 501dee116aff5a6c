//===- Memory.cpp - how tensors lie in memory -----------------------------===//
#include "xf/Dialect/XF/IR/Memory.h"
#include "llvm/Support/MathExtras.h"

namespace mlir::xf {

MemRefType memoryOf(RankedTensorType tensor) {
  constexpr int64_t rowBytes = 16;
  Type element = tensor.getElementType();
  if (tensor.getRank() == 2 && element.isBF16() && !tensor.isDynamicDim(1)) {
    int64_t columns = tensor.getDimSize(1), pitch = llvm::alignTo(columns, rowBytes / 2);
    if (pitch != columns)
      return MemRefType::get(tensor.getShape(), element,
                             StridedLayoutAttr::get(tensor.getContext(), /*offset=*/0, {pitch, 1}));
  }
  return MemRefType::get(tensor.getShape(), element);
}

int64_t pitchOf(MemRefType type) {
  if (auto layout = dyn_cast<StridedLayoutAttr>(type.getLayout()))
    return layout.getStrides()[0];
  return type.getRank() ? type.getShape().back() : 1;
}

SmallVector<int64_t> extentsWithGaps(MemRefType type) {
  SmallVector<int64_t> extents(type.getShape());
  if (!extents.empty())
    extents.back() = pitchOf(type);
  return extents;
}

int64_t bytesOf(MemRefType type) {
  return ShapedType::getNumElements(extentsWithGaps(type)) * type.getElementTypeBitWidth() / 8;
}
} // namespace mlir::xf
