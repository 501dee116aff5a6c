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
  ArrayRef<int64_t> form = buffer.getDefiningOp<BufferOp>().getExtentForm(dim);
  int64_t value = form[0];
  for (auto [coefficient, size] : llvm::zip(form.drop_front(), dims))
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
  // What kernels take while they run, as far as it is known before they are scheduled.
  SymbolTable symbols(entry->getParentOfType<ModuleOp>());
  for (auto [number, dispatch] : llvm::enumerate(entry.getBody().front().getOps<DispatchOp>()))
    for (StringRef kernel : {dispatch.getKernel(), dispatch.getOtherwise().value_or("")})
      if (auto *function = symbols.lookup(kernel); function && function->hasAttr("xf.workspace")) {
        int64_t elements = 0;
        for (auto term : function->getAttrOfType<ArrayAttr>("xf.workspace").getAsRange<DenseI64ArrayAttr>())
          elements += term[2] * (term[0] < 0 ? 1 : extentAt(dispatch->getOperand(term[0]), term[1], dims));
        int64_t at = static_cast<int64_t>(number);
        intervals.push_back({elements * int64_t(sizeof(float)), at, at});
      }
  for (auto buffer : entry.getBody().front().getOps<BufferOp>())
    if (buffer.isSlot())
      intervals.push_back({elementsAt(buffer, dims) * cast<MemRefType>(buffer.getType()).getElementTypeBitWidth() / 8,
                           (*buffer.getLive())[0], (*buffer.getLive())[1]});
  return runtime::planArena(intervals).totalBytes;
}
} // namespace mlir::xf
