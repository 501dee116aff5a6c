//===- Inline.h - a function without calls -----------------------*- C++ -*-===//
// Derived entry points rewrite what they compute op by op, through all layers.
//===----------------------------------------------------------------------===//
#ifndef XF_LIB_DIALECT_XF_TRANSFORMS_INLINE_H
#define XF_LIB_DIALECT_XF_TRANSFORMS_INLINE_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "xf/Dialect/XF/IR/XF.h"

namespace mlir::xf {
/// Replaces every call by its callee's body; locations keep the path of names.
void inlineCalls(func::FuncOp function, SymbolTable &symbols);
} // namespace mlir::xf

#endif
