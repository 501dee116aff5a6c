//===- Passes.td - the stage `input` ---------------------------*- tablegen -*-===//
#ifndef XF_TRANSFORMS_PASSES_TD
#define XF_TRANSFORMS_PASSES_TD
include "mlir/Pass/PassBase.td"

def CheckModelPass : Pass<"xf-check-model", "::mlir::ModuleOp"> {
  let summary = "check what a person wrote";
  let description = [{
    What the stage `input` starts from: `xf.kind` and the keys of `xf.config` are known and within their ranges; the names of derived entry points are free; functions are of one block, of ops of the dialect, calls of layers with bodies and
    constants of one value; layers do not apply themselves; tensors are of f32, i32 or i64 and of extents from 1 on; arguments and results of an entry point have names of their own.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::func::FuncDialect"];
}

def ResolvePass : Pass<"xf-resolve", "::mlir::ModuleOp"> {
  let summary = "decompose composite ops, declare their parameters, turn xf.apply into calls";
  let description = [{
    Composite ops become primitive ones. The parameters they name are module-level `xf.param` ops where an entry point uses them; in a layer they are further arguments, which every
    application passes under its own prefix. Layers that draw random numbers take `%random` and `%site` first; sites are numbered so that no two dropouts of the model share one.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::func::FuncDialect"];
}

def DeriveEntriesPass : Pass<"xf-derive-entries", "::mlir::ModuleOp"> {
  let summary = "derive evaluation and decoding from the model";
  let description = [{
    From `@model`, once it is resolved: `@loss`, the same without dropout; of a sequence-to-sequence or language model also `@attention` (the weights of every attention), and where what it predicts attends causally `@encode` (what depends on the source alone, if there is one) and
    `@decode` (the rest, for one new token a hypothesis, on a cache of keys and values). Prediction is never written by hand.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::func::FuncDialect"];
}

def PrepareWeightsPass : Pass<"xf-prepare-weights", "::mlir::ModuleOp"> {
  let summary = "pack the weights of predictions once";
  let description = [{
    Where `@encode`, `@decode` and `@classify` multiply by a parameter, they read its packed form instead (xf.get_prepared), and `@prepare` computes it (xf.pack, xf.set_prepared), of the largest first. They look tokens up in it, too; in a table of no product's they do where its numbers become narrower. They are inlined: their layers no longer read
    what those of the training do. With `form=kept` what is kept is the weight as it is, of which a later stage makes a copy of another type, and tables are looked up as they are; with `form=int8` it is quantized, and `@quantized_loss` is `@loss` with weights so.
  }];
  let options = [Option<"form", "form", "::mlir::xf::WeightForm", "::mlir::xf::WeightForm::Packed", "how weights are kept", [{::llvm::cl::values(
                        clEnumValN(::mlir::xf::WeightForm::Kept, "kept", "as they are"),
                        clEnumValN(::mlir::xf::WeightForm::Packed, "packed", "in panels, as products on processors read them"),
                        clEnumValN(::mlir::xf::WeightForm::Int8, "int8", "in panels of i8, with a scale for 32 numbers"))}]>,
                 Option<"areNarrow", "narrow", "bool", "false", "a later stage makes packed weights bf16: tables that are only looked up are packed too">];
  let dependentDialects = ["::mlir::func::FuncDialect"];
}

def CheckInputPass : Pass<"xf-check-input", "::mlir::ModuleOp"> {
  let summary = "check what the stage `input` promises";
  let description = [{
    Every op of the dialect is a primitive one, an xf.param, or what reads and keeps parameters, gradients and prepared weights; xf.get_param occurs in entry points alone. Tensors have any number of rows, but a known number of features.
    Integers that say where something is come from outside, where they are looked at, or are of xf.position_ids.
    All parameters together are of a size that no later number overflows of.
  }];
}
#endif
