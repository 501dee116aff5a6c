//===- xf-opt.cpp - passes and stages on a module -------------------------===//
// mlir-opt for xf: every pass and every stage pipeline (xf-stage-NAME) by name.
//===----------------------------------------------------------------------===//
#include "mlir/IR/DialectRegistry.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "xf/InitAll.h"

/// Defined in test/lib, which is not on the include path of the tools.
namespace mlir::xf::test {
void registerTestPasses();
}

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  mlir::xf::registerAllDialects(registry);
  mlir::xf::registerAllPasses();
  mlir::xf::test::registerTestPasses();
  return mlir::asMainReturnCode(mlir::MlirOptMain(argc, argv, "xf optimizer driver\n", registry));
}
