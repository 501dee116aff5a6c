//===- Passes.td - kernels to loops and vectors ----------------*- tablegen -*-===//
#ifndef XF_SCHEDULE_PASSES_TD
#define XF_SCHEDULE_PASSES_TD
include "mlir/Pass/PassBase.td"

class XF_SchedulePass<string argument> : Pass<argument, "::mlir::ModuleOp"> {
  let options = [
    Option<"vectorWidth", "vector-width", "unsigned", "8", "f32 in a vector register: 4, 8 or 16">,
    Option<"registers", "registers", "unsigned", "16", "vector registers">,
    Option<"l1", "l1", "unsigned", "32 << 10", "bytes of a core's first cache of data">,
    Option<"l2", "l2", "unsigned", "1 << 20", "bytes of its second cache">
  ];
}

def ChooseSchedulesPass : XF_SchedulePass<"xf-choose-schedules"> {
  let summary = "choose a schedule for every kernel";
  let description = [{
    Gives every kernel whose kind leaves a choice the attribute `xf.schedule`, from its extents and the target's registers and caches. One that is there already stays, and is checked.
  }];
}

def ScheduleCPUPass : XF_SchedulePass<"xf-schedule-cpu"> {
  let summary = "apply a schedule to every kernel";
  let description = [{
    Rewrites every kernel on tensors into its form on memrefs: `(inputs, outputs, %begin: index, %end: index, %scratch: memref<?xi8>)` of scf, vector, memref, arith and math, with its grid of tiles (`xf.grid`) and the scratch memory of a
    worker (`xf.scratch`). Tiles follow from shapes and from the target alone, never from the number of threads. A kernel without the attribute `xf.schedule` gets what xf-choose-schedules would choose. Kernels that have a grid already are left as they are.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect"];
}

def AddLongFormsPass : Pass<"xf-add-long-forms", "::mlir::ModuleOp"> {
  let summary = "give dispatches a second kernel for long sequences";
  let description = [{
    Of a kernel whose fastest form for a GPU depends on how long a batch's sequences are, a copy gets the attribute `xf.long`, by which the form for long ones is the first that it may have, and every dispatch of it names the copy: `or @copy where` the rows are more than so many for each sequence. After xf-plan; a kernel that has `xf.schedule` already is left as it is.
  }];
  let options = [
    Option<"gpu", "gpu", "std::string", "\"sm_80\"", "the oldest GPU that kernels are for; those for sm_90a run on no other">
  ];
}

def ScheduleGPUPass : Pass<"xf-schedule-gpu", "::mlir::ModuleOp"> {
  let summary = "apply a schedule for a GPU to every kernel";
  let description = [{
    Rewrites every kernel on tensors into what the threads of a block do: `(inputs, outputs)` of scf, vector, memref, arith, math, xfg and nvvm. A tile of `xf.grid` is the work of one block of `xf.threads` threads; a vector of the schedules for CPUs is one number, four or eight in each
    of the threads of a warp, or of the block. Shared memory is what module-level memref.global ops in its address space hold. A kernel that has `xf.threads` already is left as it is.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect", "::mlir::LLVM::LLVMDialect", "::mlir::NVVM::NVVMDialect", "::mlir::xfg::XFGDialect"];
  let options = [
    Option<"gpu", "gpu", "std::string", "\"sm_80\"", "the oldest GPU that kernels are for; those for sm_90a run on no other">,
    Option<"tf32", "tf32", "bool", "false", "products of f32 may round their factors to tf32">
  ];
}
#endif
