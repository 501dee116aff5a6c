//===- xf-opt.cpp - passes and stages on a module -------------------------===//
// mlir-opt for xf: every pass and every stage pipeline (xf-stage-NAME) by name.
//===----------------------------------------------------------------------===//
#include "xf/InitAll.h"
#include "mlir/IR/DialectRegistry.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  mlir::xf::registerAllDialects(registry);
  mlir::xf::registerAllPasses();
  return mlir::asMainReturnCode(mlir::MlirOptMain(argc, argv, "xf optimizer driver\n", registry));
}
