//===- Passes.td - from scheduled kernels to LLVM --------------*- tablegen -*-===//
#ifndef XF_TARGET_PASSES_TD
#define XF_TARGET_PASSES_TD
include "mlir/Pass/PassBase.td"

def EmitEntriesPass : Pass<"xf-emit-entries", "::mlir::ModuleOp"> {
  let summary = "give kernels that are compiled by themselves their entry functions";
  let description = [{
    Writes an entry function of the runtime's signature for every kernel of the module. The table that xf-emit-program makes, in a module where they are only declared, names these functions.
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
}

def EmitGPUEntriesPass : Pass<"xf-emit-gpu-entries", "::mlir::ModuleOp"> {
  let summary = "give a kernel scheduled for a GPU the function that is launched";
  let description = [{
    Writes the function that a GPU is asked to run, `xf_kernel(pointers..., extents..., scalars...)`, into the module of one kernel.
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
}

def EmitProgramPass : Pass<"xf-emit-program", "::mlir::ModuleOp"> {
  let summary = "replace entry points by the program's description and kernel table";
  let description = [{
    Writes the description of docs/Program.md as the global `xf_program_json`, an entry function of the runtime's signature for every kernel that is dispatched, and the table `xf_kernels` of them. A kernel that is only declared was compiled by itself: its entry function is declared. Entry points and xf.param ops are erased: after this
    the module holds kernels alone.
  }];
  let options = [Option<"cpu", "cpu", "std::string", "\"native\"", "processor that the description names">,
                 Option<"gpu", "gpu", "std::string", "\"\"", "GPU that the kernels are for, as sm_80; none: they are the processor's">];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
}
#endif
