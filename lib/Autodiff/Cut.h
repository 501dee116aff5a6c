//===- Cut.h - what a layer's backward computes again -----------*- C++ -*-===//
// Where a layer's forward is cut: what crosses is saved, what lies behind the cut is computed again. A minimum cut
// weighs bytes against operations, and is exact.
//===----------------------------------------------------------------------===//
#ifndef XF_LIB_AUTODIFF_CUT_H
#define XF_LIB_AUTODIFF_CUT_H

#include "mlir/IR/SymbolTable.h"
#include "xf/Autodiff/Passes.h"
#include "llvm/ADT/DenseSet.h"

namespace mlir::xf {

/// Of a layer's forward before `ret`, the ops that its backward behind `ret` runs again: the choice that costs least,
/// where a byte that is saved costs `price` operations.
llvm::DenseSet<Operation *> chooseRepeated(func::ReturnOp ret, double price, const Recompute &batch,
                                           SymbolTable &symbols);

} // namespace mlir::xf

#endif // XF_LIB_AUTODIFF_CUT_H
