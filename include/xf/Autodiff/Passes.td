//===- Passes.td - differentiation -----------------------------*- tablegen -*-===//
// The passes of the stage `autodiff`. Rules stand beside the ops, as the `backward` code of their definitions.
//===----------------------------------------------------------------------===//
#ifndef XF_AUTODIFF_PASSES_TD
#define XF_AUTODIFF_PASSES_TD
include "mlir/Pass/PassBase.td"

def AutodiffPass : Pass<"xf-autodiff", "::mlir::ModuleOp"> {
  let summary = "derive gradients and the training step by reverse-mode differentiation";
  let description = [{
    Before: the form after `input`. Makes `@gradients` of `@loss`, and of `@model` `@train_step` and its halves for steps of several batches, `@accumulate` and
    `@update`, where those are, and erases `@model`.
    A layer is differentiated once, as a function: `@LAYER.fwd` gives its results and what the backward needs, `@LAYER.bwd` takes
    that and the cotangents of the results. Where a layer is used with other arguments or results on the way from a parameter to
    the loss it gets another pair, numbered.

    The backward runs in reverse program order, each op's rule as soon as the cotangents of its results are complete. What no rule
    asks for is not computed, zeros are never made, and of the forward only the values that a backward uses are saved.
    Of these it computes again instead what costs less than `price` operations a byte, by a minimum cut of the layer's forward:
    with 0 nothing, with a very high price all, so that a layer saves nothing but its operands. All give the same bits.
  }];
  let options = [
    Option<"price", "price", "double", "0", "Operations that computing again may cost for each byte that is not kept">,
    Option<"layers", "layers", "int64_t", "-1", "How many layers, from the first on, pay the price; the others pay a quarter of it (-1: all pay it)">,
    Option<"tokens", "tokens", "int64_t", "4096", "Tokens of the batch for which operations and bytes are counted">,
    Option<"sequences", "sequences", "int64_t", "163", "Sequences of that batch">];
  let dependentDialects = ["::mlir::xf::XFDialect", "::mlir::func::FuncDialect"];
}

def AccumulateGradientsPass : Pass<"xf-accumulate-gradients", "::mlir::ModuleOp"> {
  let summary = "add products and sums of rows to the gradient that is there already";
  let description = [{
    `xf.add(x, product)` becomes `product into x` where product is an xf.matmul or xf.embedding_backward and both are used
    nowhere else: the contributions of a tied parameter, or to the input of several projections, meet in one buffer.
  }];
  let dependentDialects = ["::mlir::xf::XFDialect"];
}

def CheckAutodiffPass : Pass<"xf-check-autodiff", "::mlir::ModuleOp"> {
  let summary = "check what the stage `autodiff` promises";
  let description = [{
    `@model` is gone, `@gradients` and `@accumulate` give a gradient of every parameter's type in order of declaration, and
    `@train_step` and `@update` take one step of Adam on all of them.
  }];
}
#endif
