//===- Functions.h - what of a model is compiled ----------------*- C++ -*-===//
// xf-compile --functions: commands of the executable, or entry points by name.
//===----------------------------------------------------------------------===//
#ifndef XF_DRIVER_FUNCTIONS_H
#define XF_DRIVER_FUNCTIONS_H

#include "xf/Dialect/XF/IR/XF.h"
#include "llvm/Support/Error.h"

namespace mlir::xf {
/// Removes the entry points that none of `functions` needs or is better with; of none named, none is removed. The error
/// is the user's: the model has not what was asked for.
llvm::Error selectFunctions(ModuleOp module, ArrayRef<std::string> functions);
} // namespace mlir::xf

#endif
