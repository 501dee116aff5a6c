//===- Passes.td - xf to upstream's dialects -------------------*- tablegen -*-===//
#ifndef XF_CONVERSION_PASSES_TD
#define XF_CONVERSION_PASSES_TD
include "mlir/Pass/PassBase.td"

def ConvertXFToLinalgPass : Pass<"convert-xf-to-linalg"> {
  let summary = "write primitive ops as linalg on tensors";
  let description = [{
    Every primitive op but xf.global_norm and xf.adam becomes linalg.generic ops on tensors (and scf.for where rows are
    written in the order of a list), in the words of its definition: for upstream's tools, and to compare our schedules
    with. Attention takes its plain form here, with all scores of the batch in memory. Random numbers are those of
    docs/Program.md.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect", "::mlir::math::MathDialect",
                           "::mlir::scf::SCFDialect", "::mlir::tensor::TensorDialect"];
}
#endif
