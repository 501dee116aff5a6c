//===- Planned.cpp - sizes in a planned module ----------------------------===//
#include "xf/Kernels/Planned.h"
#include "xf/Runtime/Plan.h"
#include "xf/Runtime/Report.h"

namespace mlir::xf {
namespace runtime = ::xf::runtime;

SmallVector<int64_t> dimsOfBatch(func::FuncOp entry, int64_t tokens, int64_t sequences) {
  runtime::Function function;
  for (auto name : entry->getAttrOfType<ArrayAttr>("xf.dims").getAsValueRange<StringAttr>())
    function.dims.push_back(name.str());
  if (auto loops = entry->getAttrOfType<ArrayAttr>("xf.loops"))
    for (auto loop : loops.getAsRange<DenseI64ArrayAttr>())
      function.loops.push_back({static_cast<int>(loop[0]), static_cast<int>(loop[1]), loop[2], loop[3], loop[4]});
  std::vector<int64_t> dims = runtime::dimsOfBatch(function, tokens, sequences);
  return SmallVector<int64_t>(dims.begin(), dims.end());
}

int64_t extentAt(Value buffer, unsigned dim, ArrayRef<int64_t> dims) {
  auto type = cast<MemRefType>(buffer.getType());
  if (!type.isDynamicDim(dim))
    return type.getDimSize(dim);
  auto affine = cast<DenseI64ArrayAttr>((*buffer.getDefiningOp<BufferOp>().getExtents())[type.getDynamicDimIndex(dim)]);
  int64_t value = affine[0];
  for (auto [coefficient, size] : llvm::zip(affine.asArrayRef().drop_front(), dims))
    value += coefficient * size;
  return value;
}

int64_t elementsAt(Value buffer, ArrayRef<int64_t> dims) {
  int64_t elements = 1;
  for (auto [dim, extent] : llvm::enumerate(extentsWithGaps(cast<MemRefType>(buffer.getType()))))
    elements *= ShapedType::isDynamic(extent) ? extentAt(buffer, dim, dims) : extent;
  return elements;
}

int64_t workspaceAt(func::FuncOp entry, ArrayRef<int64_t> dims) {
  std::vector<runtime::Interval> intervals;
  for (auto buffer : entry.getBody().front().getOps<BufferOp>())
    if (buffer.isSlot())
      intervals.push_back({elementsAt(buffer, dims) * cast<MemRefType>(buffer.getType()).getElementTypeBitWidth() / 8,
                           (*buffer.getLive())[0], (*buffer.getLive())[1]});
  return runtime::planArena(intervals).totalBytes;
}
} // namespace mlir::xf
