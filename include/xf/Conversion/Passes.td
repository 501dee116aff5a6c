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

def ConvertXFGToNVVMPass : Pass<"convert-xfg-to-nvvm", "::mlir::ModuleOp"> {
  let summary = "write xfg ops as nvvm ops and PTX";
  let description = [{
    Tiles and rings become addresses in dynamic shared memory, the module's `xf_shared`; tensor maps pointers, as which kernels have them as arguments; accumulators structures of a thread's elements, so that scf.for carries them in registers. Products with their
    left operand in registers, which nvvm has no op for, and those without are the same inline PTX; so are waits for products, through which the registers pass.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::LLVM::LLVMDialect", "::mlir::memref::MemRefDialect", "::mlir::NVVM::NVVMDialect", "::mlir::scf::SCFDialect"];
}
#endif
