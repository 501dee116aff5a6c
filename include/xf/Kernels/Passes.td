//===- Passes.td - from primitive ops to planned kernels -------*- tablegen -*-===//
#ifndef XF_KERNELS_PASSES_TD
#define XF_KERNELS_PASSES_TD
include "mlir/Pass/PassBase.td"

def FusePass : Pass<"xf-fuse", "::mlir::ModuleOp"> {
  let summary = "wrap primitive ops into groups, one a kernel";
  let description = [{
    Walks every function once, in order. An elementwise op joins the group that produced its operand: a matrix product's (it becomes an epilogue on the tile in registers or cache) or
    a chain of row and elementwise ops. A row op joins a chain. A group may take an op in only if nothing between the two uses the group's results. Every other op becomes a group of its own.
    Afterwards every primitive op is in an xf.group, except those of the optimizer, which work on whole arenas.
  }];
}

def OutlinePass : Pass<"xf-outline", "::mlir::ModuleOp"> {
  let summary = "turn groups into kernels and dispatches";
  let description = [{
    Every xf.group becomes a private function with attribute xf.kernel, equal bodies one function, and an xf.dispatch in its place. Results with dynamic extents carry `xf.extents`: for every dynamic extent the
    (argument, dimension) it equals.
  }];
}

#endif
