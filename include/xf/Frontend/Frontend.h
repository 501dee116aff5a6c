//===- Frontend.h - where models come from ----------------------*- C++ -*-===//
// Files and presets; all give the same kind of module, of composite ops, that a person could have written.
//===----------------------------------------------------------------------===//
#ifndef XF_FRONTEND_FRONTEND_H
#define XF_FRONTEND_FRONTEND_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/Support/Error.h"

namespace mlir::xf {

/// Loads FILE.mlir, FILE.mlirbc, `-` (standard input) or `preset:NAME[,key=value...]`. Prints what is wrong and returns
/// null.
OwningOpRef<ModuleOp> loadModel(StringRef input, MLIRContext &context);

/// The text of a preset (`NAME[,key=value...]`), or what is wrong with it.
llvm::Expected<std::string> presetText(StringRef specification);

/// Name and description of every preset, a line each.
std::string listPresets();
} // namespace mlir::xf

#endif
