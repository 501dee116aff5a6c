//===- Embedding.td - tokens and positions to vectors ----------*- tablegen -*-===//
#ifndef XF_EMBEDDING_TD
#define XF_EMBEDDING_TD
include "xf/Dialect/XF/IR/XFBase.td"

def XF_EmbeddingOp : XF_Primitive<"embedding", "Row", [XF_Differentiable, XF_OwnReads, XF_OwnRequirements]> {
  let summary = "rows of a table, scaled";
  let description = [{
    `result[t, :] = scale * table[ids[t], :]` (paper, 3.4: scale sqrt(d_model)).

    | operand | shape |
    |---|---|
    | ids | tokens |
    | table | vocabulary x features |
    | result | tokens x features |

    - C1: result is tokens x features. C2: scale is finite.

    ```mlir
    %e = xf.embedding %ids, %table scale(22.6274) : (tensor<?xi32>, tensor<37000x512xf32>) -> tensor<?x512xf32>
    ```
  }];
  let arguments = (ins XF_Ids:$ids, XF_Matrix:$table, DefaultValuedAttr<F32Attr, "1.0f">:$scale);
  let results = (outs XF_Matrix:$result);
  let flops = [{ extent.elements(getResult()) }];
  let assemblyFormat = "$ids `,` $table (`scale` `(` $scale^ `)`)? attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
  let extraDefinition = [{
    ::mlir::AffineExpr $cppClass::getElementsRead(unsigned operand, const ::mlir::xf::Extents &extent) {
      return extent.elements(operand == 1 ? getResult() : (*this)->getOperand(operand));
    }
    ::llvm::SmallVector<::mlir::xf::Requirement> $cppClass::getRequirements() { return {{RequirementKind::Below, getIds(), getTable()}}; }
  }];
  let backward = [{
    ::llvm::SmallVector<::mlir::Value> grads(2);
    if (active[1])
      grads[1] = EmbeddingBackwardOp::create(builder, loc, getTable().getType(), cotangents[0], getIds(), ::mlir::Value(), getScaleAttr());
    return grads;
  }];
}

def XF_EmbeddingBackwardOp : XF_Primitive<"embedding_backward", "Scatter", [XF_OwnExtents, DeclareOpInterfaceMethods<XF_KernelOpInterface, ["getInPlaceOperand", "getElementsRead", "getElementsWritten", "getRequirements"]>]> {
  let summary = "gradient of a table: sums of the rows with equal ids";
  let description = [{
    `result[v, :] = into[v, :] + scale * sum over t with ids[t] = v, in increasing t, of cotangent[t, :]`. Sums run in token order for every v, so
    the result does not depend on the number of threads. Without `into` the sum starts at zero.

    - C1: cotangent is tokens x features, result vocabulary x features, `into` of result's type.
    - C2: without `into` the vocabulary is static.

    ```mlir
    %g = xf.embedding_backward %dy, %ids scale(22.6274) : (tensor<?x512xf32>, tensor<?xi32>) -> tensor<37000x512xf32>
    ```
  }];
  let arguments = (ins XF_Matrix:$cotangent, XF_Ids:$ids, Optional<XF_Matrix>:$into, DefaultValuedAttr<F32Attr, "1.0f">:$scale);
  let results = (outs XF_Matrix:$result);
  let flops = [{ 2 * extent.elements(getCotangent()) }];
  let assemblyFormat = "$cotangent `,` $ids (`into` $into^)? (`scale` `(` $scale^ `)`)? attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
  let extraDefinition = [{
    int $cppClass::getInPlaceOperand(unsigned) { return getInto() ? 2 : -1; }
    ::std::pair<unsigned, unsigned> $cppClass::getExtentSource(unsigned, unsigned dim) { return {2, dim}; }
    ::llvm::SmallVector<::mlir::xf::Requirement> $cppClass::getRequirements() {
      return {{RequirementKind::Below, getIds(), getResult()}, {RequirementKind::Rows, getIds(), getCotangent()}};
    }
    // Of `into` only the rows of tokens are touched, at most one a token.
    ::mlir::AffineExpr $cppClass::getElementsRead(unsigned operand, const ::mlir::xf::Extents &extent) {
      return extent.elements(operand == 2 ? getCotangent() : (*this)->getOperand(operand));
    }
    ::mlir::AffineExpr $cppClass::getElementsWritten(unsigned, const ::mlir::xf::Extents &extent) {
      return extent.elements(getInto() ? getCotangent() : getResult());
    }
  }];
}

def XF_PositionIdsOp : XF_Primitive<"position_ids", "Scalar", [XF_OwnRequirements, DeclareOpInterfaceMethods<XF_KernelOpInterface, ["getNumberedSequences"]>]> {
  let summary = "each packed token's index in its sequence";
  let description = [{
    `result[t] = t - offsets[b]` for the b with offsets[b] <= t < offsets[b+1]. `ids` gives the number of tokens.

    ```mlir
    %p = xf.position_ids %ids, %offsets : (tensor<?xi32>, tensor<?xi32>) -> tensor<?xi32>
    ```
  }];
  let arguments = (ins XF_Ids:$ids, XF_Offsets:$offsets);
  let results = (outs XF_Ids:$result);
  let flops = [{ 0 * extent.elements(getResult()) }];
  let assemblyFormat = "$ids `,` $offsets attr-dict `:` functional-type(operands, results)";
  let extraDefinition = [{
    ::llvm::SmallVector<::mlir::xf::Requirement> $cppClass::getRequirements() { return {{RequirementKind::Starts, getOffsets(), getIds()}}; }
    ::mlir::Value $cppClass::getNumberedSequences() { return getOffsets(); }
  }];
}

def XF_SinusoidalOp : XF_Primitive<"sinusoidal", "Elementwise"> {
  let summary = "sinusoidal positions";
  let description = [{
    Interleaved (paper, 3.5): `result[t, 2i] = sin(p[t] / 10000^(2i/d))`, `result[t, 2i+1] = cos(p[t] / 10000^(2i/d))`.
    `halves` (tensor2tensor): `[sin | cos]`, `i < d/2`, with `10000^(i / (d/2 - 1))` for the divisor. `first(n)` is added to every p[t] (OpenNMT counts from 1).

    - C1: result is tokens x features; with `halves` features is even and at least 4.

    ```mlir
    %s = xf.sinusoidal %positions : (tensor<?xi32>) -> tensor<?x512xf32>
    ```
  }];
  let arguments = (ins XF_Ids:$positions, UnitAttr:$halves, DefaultValuedAttr<I64Attr, "0">:$first);
  let results = (outs XF_Matrix:$result);
  let flops = [{ 2 * extent.elements(getResult()) }];
  let assemblyFormat = "$positions (`halves` $halves^)? (`first` `(` $first^ `)`)? attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}
#endif
