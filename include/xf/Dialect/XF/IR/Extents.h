//===- Extents.h - extents of a kernel's tensors, as expressions -*- C++ -*-===//
// In what the cost of an op (KernelOpInterface) is given: expressions in the dimensions of whatever the kernel is part
// of.
//===----------------------------------------------------------------------===//
#ifndef XF_DIALECT_XF_IR_EXTENTS_H
#define XF_DIALECT_XF_IR_EXTENTS_H

#include "mlir/IR/AffineExpr.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Value.h"

namespace mlir::xf {
struct Extents {
  /// A dynamic extent.
  function_ref<AffineExpr(Value tensor, unsigned dim)> dynamic;

  AffineExpr operator()(Value tensor, unsigned dim) const {
    auto type = cast<ShapedType>(tensor.getType());
    return type.isDynamicDim(dim) ? dynamic(tensor, dim)
                                  : getAffineConstantExpr(type.getDimSize(dim), tensor.getContext());
  }
  AffineExpr elements(Value tensor) const {
    AffineExpr product = getAffineConstantExpr(1, tensor.getContext());
    for (int64_t dim = 0; dim < cast<ShapedType>(tensor.getType()).getRank(); ++dim)
      product = product * (*this)(tensor, dim);
    return product;
  }
  /// Of at least one tensor together.
  AffineExpr elements(ValueRange tensors) const {
    AffineExpr sum = elements(tensors.front());
    for (Value tensor : tensors.drop_front())
      sum = sum + elements(tensor);
    return sum;
  }
};
} // namespace mlir::xf

#endif
