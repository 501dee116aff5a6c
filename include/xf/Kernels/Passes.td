//===- Passes.td - from primitive ops to planned kernels -------*- tablegen -*-===//
#ifndef XF_KERNELS_PASSES_TD
#define XF_KERNELS_PASSES_TD
include "mlir/Pass/PassBase.td"

def ChunkLogitsPass : Pass<"xf-chunk-logits", "::mlir::ModuleOp"> {
  let summary = "compute the logits of a loss some rows at a time";
  let description = [{
    Moves a projection, the cross-entropy of its result, and what their backward makes of the logits' gradient into an xf.chunked, whose logits take no more than `bytes`. What lies between a loss and its
    backward goes: one kernel computes both. Nothing changes where something else uses the logits. The gradient of a weight is summed over the chunks in the order in which it would be anyway: its bits stay.
  }];
  let options = [Option<"bytes", "bytes", "int64_t", "64 << 20", "the most that the logits of a chunk take">];
  let dependentDialects = ["::mlir::arith::ArithDialect"];
}

def SumPartsPass : Pass<"xf-sum-parts", "::mlir::ModuleOp"> {
  let summary = "sum a norm's gradients where its rows are";
  let description = [{
    The gradients of a norm's weight and bias become sums of `parts` parts of the rows, which `xf-fuse` then leaves in the kernel of the rows' own gradient, and an xf.column_sum over the parts. Parts are cut by the number of rows
    alone. A GPU sums columns in parts already, and has many more of them.
  }];
  let options = [Option<"parts", "parts", "int64_t", "64", "parts of the rows">];
}

def SplitCapturedGradientsPass : Pass<"xf-split-captured-gradients", "::mlir::ModuleOp"> {
  let summary = "give attention's gradients of captured tensors a kernel of their own";
  let description = [{
    For GPUs. An xf.attention_backward with gradients of captured tensors becomes two: one without, whose forms go through rows of the batch that may be of several sequences, and one whose other results nothing uses, which goes through the
    queries of a sequence and a head in turn.
  }];
}

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

def PrecisionPass : Pass<"xf-precision", "::mlir::ModuleOp"> {
  let summary = "hand bf16 from kernel to kernel";
  let description = [{
    Last pass of stage `outline` with `--precision=bf16`. Matrices of the batch's rows that one kernel writes and others read (activations and their gradients, logits) become bf16, and so do the weights and inputs that products and attention multiply: an
    xf.dispatch of a cast gives them, once in an entry point, before the first kernel that reads each (`prepare` keeps weights for predictions). Such a kernel has xf.cast directly after its arguments and directly before its results, and f32 between. Parameters, their gradients and
    moments, losses, numbers of a row (log_sum_exp, means), sums for a parameter, and the operands and results of entry points stay f32, but for those that calls hand each other (`xf.kept`: the memory of a source and decoding's caches).
  }];
}

def PlanPass : Pass<"xf-plan", "::mlir::ModuleOp"> {
  let summary = "give every value its memory and every entry point its list of dispatches";
  let description = [{
    Takes entry points without calls (`inline` comes before it). Lays the parameters out in one flat arena, pins gradients to the gradient arena, gives each remaining value a slot with the interval of dispatches in which it is alive,
    and rewrites the function to xf.buffer and xf.dispatch on memrefs. In-place operands (`into`, caches) share their result's buffer; where the operand is needed later a copy is made. The optimizer becomes kernels over the arenas.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect", "::mlir::math::MathDialect", "::mlir::vector::VectorDialect"];
}

def FindRequirementsPass : Pass<"xf-find-requirements", "::mlir::ModuleOp"> {
  let summary = "say what entry points take to be so of their inputs";
  let description = [{
    Last pass of stage `plan`. What kernels take to be so of the integers and rows they get becomes a list of an entry point's inputs, `xf.requirements`: which are numbers of a table's rows, which the starts of sequences, which have as
    many rows as another, and how long sequences may be where their rows are numbered to look positions up.
  }];
}
#endif
