//===- xf-lsp-server.cpp - language server for .mlir files with xf --------===//
// Completion, hover and diagnostics in an editor; a thin main over MLIR's server.
//===----------------------------------------------------------------------===//
#include "mlir/IR/DialectRegistry.h"
#include "mlir/Tools/mlir-lsp-server/MlirLspServerMain.h"
#include "xf/InitAll.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  mlir::xf::registerAllDialects(registry);
  return failed(mlir::MlirLspServerMain(argc, argv, registry));
}
