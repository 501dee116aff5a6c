//===- Embedding.td - tokens and positions to vectors ----------*- tablegen -*-===//
#ifndef XF_EMBEDDING_TD
#define XF_EMBEDDING_TD
include "xf/Dialect/XF/IR/XFBase.td"

def XF_EmbeddingOp : XF_Primitive<"embedding", "Row", [XF_Differentiable, XF_OwnReads, XF_OwnFactors, XF_OwnRequirements]> {
  let summary = "rows of a table, scaled";
  let description = [{
    `result[t, :] = scale * table[ids[t], :]` (paper, 3.4: scale sqrt(d_model)).

    | operand | shape |
    |---|---|
    | ids | tokens |
    | table | vocabulary x features, or as xf.pack gives it |
    | result | tokens x features |

    Of a packed table, which may be one that a product reads too, `rows` says how many rows it has.

    - C1: result is tokens x features. C2: scale is finite. C3: a packed table is ceil(rows / 32) x features x 32, or of i8 ceil(rows / 32) x (features + 2 ceil(features / 32)) x 32; another one has no `rows`.

    ```mlir
    %e = xf.embedding %ids, %table scale(22.6274) : (tensor<?xi32>, tensor<37000x512xf32>) -> tensor<?x512xf32>
    ```

    ```mlir
    %e = xf.embedding %ids, %p rows(37000) : (tensor<?xi32>, tensor<1157x544x32xi8>) -> tensor<?x512xf32>
    ```
  }];
  let arguments = (ins XF_Ids:$ids, XF_Weight:$table, DefaultValuedAttr<F32Attr, "1.0f">:$scale, OptionalAttr<I64Attr>:$rows);
  let results = (outs XF_Matrix:$result);
  let flops = [{ extent.elements(getResult()) }];
  let assemblyFormat = "$ids `,` $table (`scale` `(` $scale^ `)`)? (`rows` `(` $rows^ `)`)? attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
  let extraDeclaration = [{
    bool isPacked() { return ::llvm::cast<::mlir::RankedTensorType>(getTable().getType()).getRank() == 3; }
    bool isQuantized() { return ::llvm::cast<::mlir::RankedTensorType>(getTable().getType()).getElementType().isInteger(8); }
  }];
  let extraDefinition = [{
    // What products read is as narrow here.
    bool $cppClass::isFactor(unsigned operand) { return operand == 1 && isPacked(); }
    ::mlir::AffineExpr $cppClass::getElementsRead(unsigned operand, const ::mlir::xf::Extents &extent) {
      return extent.elements(operand == 1 ? getResult() : (*this)->getOperand(operand));
    }
    ::llvm::SmallVector<::mlir::xf::Requirement> $cppClass::getRequirements() {
      auto panels = ::llvm::cast<::mlir::RankedTensorType>(getTable().getType()).getDimSize(0);
      return {{RequirementKind::Below, getIds(), getTable(), 0, isPacked() ? static_cast<int64_t>(*getRows()) - panels : 0}};
    }
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

def XF_RotaryAnglesOp : XF_Primitive<"rotary_angles", "Elementwise", [XF_OwnStatistics]> {
  let summary = "cosines and sines of rotary positions";
  let description = [{
    By what angles xf.rotary turns the pairs of features of a head of D features: `result[t, i] = cos(p[t] f[i])`, `result[t, D/2 + i] = sin(p[t] f[i])` for `i < D/2`, with `f[i] = theta^(-2i/D)` (Su et al. 2021). They are f32 at any precision, and right for positions up to 2^24.

    `factor(s)` divides the frequencies by s, which puts s times as many positions where a model has learnt them. With `original(n, low, high)` it does so for wavelengths `2 pi / f` above `n / low`, not for those below `n / high`,
    and in part between them: `f (1 - m) / s + f m` with `m = (n f / (2 pi) - low) / (high - low)` (Llama 3, which had learnt n positions).

    - C1: result is tokens x features, which are even and at least 2. C2: theta and factor are finite and greater than 0, and turn no pair by more than 2 pi a position: neither a theta^(-2i/D) nor its quotient by factor is more. C3: `original` has at least 1 position, and 0 < low < high, finite.

    ```mlir
    %angles = xf.rotary_angles %positions theta(10000.0) : (tensor<?xi32>) -> tensor<?x64xf32>
    ```

    ```mlir
    %angles = xf.rotary_angles %positions theta(500000.0) factor(8.0) original(8192, 1.0, 4.0) : (tensor<?xi32>) -> tensor<?x128xf32>
    ```
  }];
  let arguments = (ins XF_Ids:$positions, F64Attr:$theta, DefaultValuedAttr<F64Attr, "1.0">:$factor, OptionalAttr<I64Attr>:$original, OptionalAttr<F64Attr>:$low, OptionalAttr<F64Attr>:$high);
  let results = (outs XF_Matrix:$result);
  let flops = [{ 2 * extent.elements(getResult()) }];
  let assemblyFormat = [{
    $positions `theta` `(` $theta `)` (`factor` `(` $factor^ `)`)? (`original` `(` $original^ `,` $low `,` $high `)`)? attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
  let extraDeclaration = [{
    /// f[i] for i < D/2.
    ::llvm::SmallVector<double> getFrequencies();
  }];
  let extraDefinition = [{
    bool $cppClass::isStatistic(unsigned) { return true; }
  }];
}

def XF_RotaryOp : XF_Primitive<"rotary", "Row", [XF_Differentiable, TypesMatchWith<"result has x's type", "x", "result", "$_self">]> {
  let summary = "rotary positions: pairs of features turned by angles";
  let description = [{
    For every head of D features and `c < D/2`, with the cosines and sines of xf.rotary_angles (Su et al. 2021; pairs are D/2 apart, as in Llama):
    `result[c] = x[c] cos[c] - x[c + D/2] sin[c]`, `result[c + D/2] = x[c + D/2] cos[c] + x[c] sin[c]`. `inverse` turns back: sines count as negative, as in the gradient. Angles have no gradient.

    | operand | shape |
    |---|---|
    | x | tokens x (heads * D) |
    | angles | tokens x D |

    - C1: heads divides x's features, and those of a head are even. C2: angles has x's rows and the features of a head.

    ```mlir
    %y = xf.rotary %x, %angles heads(8) : tensor<?x512xf32>, tensor<?x64xf32>
    ```

    ```mlir
    %dx = xf.rotary %dy, %angles heads(8) inverse : tensor<?x512xf32>, tensor<?x64xf32>
    ```
  }];
  let arguments = (ins XF_Matrix:$x, XF_Matrix:$angles, I64Attr:$heads, UnitAttr:$inverse);
  let results = (outs XF_Matrix:$result);
  let flops = [{ 3 * extent.elements(getX()) }];
  let assemblyFormat = "$x `,` $angles `heads` `(` $heads `)` (`inverse` $inverse^)? attr-dict `:` type($x) `,` type($angles)";
  let hasVerifier = 1;
  let backward = [{
    return {RotaryOp::create(builder, loc, getX().getType(), cotangents[0], getAngles(), getHeads(), !getInverse()), ::mlir::Value()};
  }];
}
#endif
