//===- Frontend.h - where models come from ----------------------*- C++ -*-===//
// Files, presets, folders of Hugging Face's; all give the same kind of module, of composite ops, that a person could
// have written.
//===----------------------------------------------------------------------===//
#ifndef XF_FRONTEND_FRONTEND_H
#define XF_FRONTEND_FRONTEND_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "xf/Dialect/XF/IR/Configuration.h"
#include "llvm/Support/Error.h"

namespace mlir::xf {

/// Loads FILE.mlir, FILE.mlirbc, `-` (standard input) or `preset:NAME[,key=value...]`. Prints what is wrong and returns
/// null.
OwningOpRef<ModuleOp> loadModel(StringRef input, MLIRContext &context);

/// The module of a text; `name` is what messages call it.
OwningOpRef<ModuleOp> parseModel(StringRef text, StringRef name, MLIRContext &context);

/// A model by the keys of presets, as another source gives them.
struct ModelKeys {
  std::string name;         // of the module: letters, digits and _
  std::string origin;       // what messages say the keys are of
  std::string architecture; // what the source calls it
  ModelKind kind;
  std::vector<std::string> keys; // "layers=6"
};
llvm::Expected<std::string> modelText(const ModelKeys &model);

/// The text of a preset (`NAME[,key=value...]`), or what is wrong with it.
llvm::Expected<std::string> presetText(StringRef specification);

/// Name and description of every preset, a line each.
std::string listPresets();
} // namespace mlir::xf

#endif
