//===- Attention.td - scaled dot-product attention -------------*- tablegen -*-===//
#ifndef XF_ATTENTION_TD
#define XF_ATTENTION_TD
include "xf/Dialect/XF/IR/XFBase.td"

def XF_AttentionOp : XF_Primitive<"attention", "Attention", [XF_Differentiable, AttrSizedOperandSegments]> {
  let summary = "softmax(scale Q K^T) V for every sequence and head of a packed batch";
  let description = [{
    Paper, 3.2.1. For sequence b and head h, with Q, K, V the rows offsets[b] .. offsets[b+1] and the h-th block of features:
    `S = scale Q K^T`, `result = softmax(S) V`, `log_sum_exp[t, h] = log sum_j exp S[t, j]`. Dropout, where given, zeroes probabilities: row
    t * heads + h, column j within the sequence.

    Masks, any of them together: query i of a sequence stands at key p = i + (keys - queries). With `causal` it sees keys j <= p, with `window(r)` keys p - r <= j <= p + r (the paper's restricted
    self-attention), with `lengths` the first `lengths[t]` keys of its sequence (fewer than none are none, more than all are all). Blocks that masks empty are not visited. A query that sees no key gives 0 and log_sum_exp +inf (so that the
    backward's probabilities vanish), and no gradient. Documents that share a text are sequences of their own in the offsets.

    | operand | shape |
    |---|---|
    | query | query tokens x (heads * d_k) |
    | key | key tokens x (heads * d_k) |
    | value | key tokens x (heads * d_v) |
    | query_offsets, key_offsets | B+1 |
    | lengths | query tokens |
    | result | query tokens x (heads * d_v) |
    | log_sum_exp | query tokens x heads |

    - C1: heads divides the widths. C2: query and key agree on heads * d_k. C3: key and value have as many rows.
    - C4: result is query tokens x value's features, log_sum_exp query tokens x heads. C5: dropout has random and site, and 0 <= rate < 1.
    - C6: window is from 0 to 2^30. C7: lengths has a number a query token.

    ```mlir
    %o, %lse = xf.attention %q, %k, %v offsets(%qo, %ko) heads(8) scale(0.125) causal
      : (tensor<?x512xf32>, tensor<?x512xf32>, tensor<?x512xf32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?x512xf32>, tensor<?x8xf32>)
    ```
  }];
  let arguments = (ins XF_Matrix:$query, XF_Matrix:$key, XF_Matrix:$value, XF_Offsets:$query_offsets, XF_Offsets:$key_offsets,
                       Optional<XF_Ids>:$lengths, Optional<XF_Random>:$random, Optional<I64>:$site, I64Attr:$heads, F32Attr:$scale, UnitAttr:$causal, OptionalAttr<I64Attr>:$window,
                       DefaultValuedAttr<F32Attr, "0.0f">:$rate);
  let results = (outs XF_Matrix:$result, XF_Matrix:$log_sum_exp);
  let flops = [{ scorePairs(getQuery(), getKey(), getQueryOffsets(), getCausal(), getWindow(), extent) *
           (2 * (extent(getQuery(), 1) + extent(getValue(), 1)) + 4 * getHeads()) }];
  let assemblyFormat = [{
    $query `,` $key `,` $value `offsets` `(` $query_offsets `,` $key_offsets `)` `heads` `(` $heads `)` `scale` `(` $scale `)` (`causal` $causal^)? (`window` `(` $window^ `)`)?
    (`lengths` `(` $lengths^ `)`)? (`dropout` `(` $rate^ `,` $random `,` $site `)`)? attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
  let backward = [{
    auto back = AttentionBackwardOp::create(builder, loc, ::mlir::TypeRange{getQuery().getType(), getKey().getType(), getValue().getType()}, cotangents[0], getQuery(), getKey(), getValue(),
                                            getResult(), getLogSumExp(), getQueryOffsets(), getKeyOffsets(), getLengths(), getRandom(), getSite(), getHeadsAttr(), getScaleAttr(), getCausalAttr(), getWindowAttr(), getRateAttr());
    ::llvm::SmallVector<::mlir::Value> grads(getNumOperands());
    for (unsigned i = 0; i < 3; ++i)
      grads[i] = back.getResult(i);
    return grads;
  }];
}

def XF_AttentionBackwardOp : XF_Primitive<"attention_backward", "AttentionBackward", [AttrSizedOperandSegments, XF_OwnExtents]> {
  let summary = "gradients of attention by query, key and value";
  let description = [{
    FlashAttention-2 (Dao 2023): `D = rowsum(cotangent * result)`, `P = exp(S - log_sum_exp)`, `dV = (M P)^T dO`, `dS = P (M dO V^T - D)`, `dQ = scale dS K`,
    `dK = scale dS^T Q`, M the dropout mask with its scale; masks as in xf.attention. Probabilities are computed again; a sequence's sums run in a fixed order.

    - C1: the operands and masks agree as in xf.attention, and cotangent has result's type. C2: the results have the types of query, key and value.

    ```mlir
    %dq, %dk, %dv = xf.attention_backward %do, %q, %k, %v, %o, %lse offsets(%qo, %ko) heads(8) scale(0.125) causal
      : (tensor<?x512xf32>, tensor<?x512xf32>, tensor<?x512xf32>, tensor<?x512xf32>, tensor<?x512xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>)
      -> (tensor<?x512xf32>, tensor<?x512xf32>, tensor<?x512xf32>)
    ```
  }];
  let arguments = (ins XF_Matrix:$cotangent, XF_Matrix:$query, XF_Matrix:$key, XF_Matrix:$value, XF_Matrix:$forward_result, XF_Matrix:$log_sum_exp,
                       XF_Offsets:$query_offsets, XF_Offsets:$key_offsets, Optional<XF_Ids>:$lengths, Optional<XF_Random>:$random, Optional<I64>:$site, I64Attr:$heads, F32Attr:$scale,
                       UnitAttr:$causal, OptionalAttr<I64Attr>:$window, DefaultValuedAttr<F32Attr, "0.0f">:$rate);
  let results = (outs XF_Matrix:$query_gradient, XF_Matrix:$key_gradient, XF_Matrix:$value_gradient);
  let flops = [{ scorePairs(getQuery(), getKey(), getQueryOffsets(), getCausal(), getWindow(), extent) *
           (6 * extent(getQuery(), 1) + 4 * extent(getValue(), 1) + 4 * getHeads()) + 2 * extent.elements(getForwardResult()) }];
  let assemblyFormat = [{
    $cotangent `,` $query `,` $key `,` $value `,` $forward_result `,` $log_sum_exp `offsets` `(` $query_offsets `,` $key_offsets `)` `heads` `(` $heads `)` `scale` `(` $scale `)`
    (`causal` $causal^)? (`window` `(` $window^ `)`)? (`lengths` `(` $lengths^ `)`)? (`dropout` `(` $rate^ `,` $random `,` $site `)`)? attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
  let extraDefinition = [{
    ::std::pair<unsigned, unsigned> $cppClass::getExtentSource(unsigned result, unsigned dim) { return {result + 1, dim}; }
  }];
}

def XF_AttentionWeightsOp : XF_Primitive<"attention_weights", "Attention", [XF_OwnExtents]> {
  let summary = "the probabilities of one sequence's attention, to look at";
  let description = [{
    `result[h] = softmax(scale Q_h K_h^T)` (masks as in xf.attention) for a batch of one sequence.

    - C1: query, key, heads and masks agree as in xf.attention. C2: result is heads x query tokens x key tokens.

    ```mlir
    %p = xf.attention_weights %q, %k heads(8) scale(0.125) : (tensor<?x512xf32>, tensor<?x512xf32>) -> tensor<8x?x?xf32>
    ```
  }];
  let arguments = (ins XF_Matrix:$query, XF_Matrix:$key, Optional<XF_Ids>:$lengths, I64Attr:$heads, F32Attr:$scale, UnitAttr:$causal, OptionalAttr<I64Attr>:$window);
  let results = (outs 3DTensorOf<[AnyFloat]>:$result);
  let flops = [{ scorePairs(getQuery(), getKey(), ::mlir::Value(), getCausal(), getWindow(), extent) *
           (2 * extent(getQuery(), 1) + 4 * getHeads()) }];
  let assemblyFormat = [{
    $query `,` $key `heads` `(` $heads `)` `scale` `(` $scale `)` (`causal` $causal^)? (`window` `(` $window^ `)`)? (`lengths` `(` $lengths^ `)`)? attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
  let extraDefinition = [{
    ::std::pair<unsigned, unsigned> $cppClass::getExtentSource(unsigned, unsigned dim) { return {dim - 1, 0}; }
  }];
}

def XF_CachedAttentionOp : XF_Primitive<"cached_attention", "Attention", [XF_OwnReads]> {
  let summary = "attention of single queries over listed rows of a cache: one step of decoding";
  let description = [{
    Query r (one token of one hypothesis) attends to the rows `rows[row_offsets[r]] .. rows[row_offsets[r+1] - 1]` of key and value, so beams are reordered by writing other
    lists. It stands at the last of them: with `window(r)` it sees that one and the r before. Without any row the result is 0.

    - C1: heads divides the widths, query and key agree. C2: result is queries x value's features. C3: key and value have as many rows. C4: window is from 0 to 2^30.

    ```mlir
    %o = xf.cached_attention %q, %keys, %values rows(%rows, %row_offsets) heads(8) scale(0.125)
      : (tensor<?x512xf32>, tensor<?x512xf32>, tensor<?x512xf32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x512xf32>
    ```
  }];
  let arguments = (ins XF_Matrix:$query, XF_Matrix:$key, XF_Matrix:$value, XF_Ids:$rows, XF_Offsets:$row_offsets, I64Attr:$heads, F32Attr:$scale, OptionalAttr<I64Attr>:$window);
  let results = (outs XF_Matrix:$result);
  let flops = [{ rowsSeen(extent) * (2 * (extent(getQuery(), 1) + extent(getValue(), 1)) + 4 * getHeads()) }];
  let assemblyFormat = [{
    $query `,` $key `,` $value `rows` `(` $rows `,` $row_offsets `)` `heads` `(` $heads `)` `scale` `(` $scale `)` (`window` `(` $window^ `)`)? attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
  let extraDeclaration = [{
    /// Of the caches, in the cost: all that are listed, or a window a query.
    ::mlir::AffineExpr rowsSeen(const ::mlir::xf::Extents &extent);
  }];
  let extraDefinition = [{
    ::mlir::AffineExpr $cppClass::rowsSeen(const ::mlir::xf::Extents &extent) {
      return getWindow() ? extent(getQuery(), 0) * (*getWindow() + 1) : extent(getRows(), 0);
    }
    ::mlir::AffineExpr $cppClass::getElementsRead(unsigned operand, const ::mlir::xf::Extents &extent) {
      if (operand != 1 && operand != 2)
        return extent.elements((*this)->getOperand(operand));
      return rowsSeen(extent) * extent((*this)->getOperand(operand), 1);
    }
  }];
}

def XF_CacheWriteOp : XF_Primitive<"cache_write", "Scatter", [DeclareOpInterfaceMethods<XF_KernelOpInterface, ["getInPlaceOperand", "getElementsRead", "getElementsWritten"]>]> {
  let summary = "writes rows of a cache, in place";
  let description = [{
    `result = cache, but result[slots[r], :] = x[r, :]`. Slots are distinct. The plan lets result share cache's memory.

    - C1: x and cache have the same features, slots a number a row of x, result cache's type.

    ```mlir
    %c = xf.cache_write %cache, %x slots(%slots) : (tensor<?x512xf32>, tensor<?x512xf32>, tensor<?xi32>) -> tensor<?x512xf32>
    ```
  }];
  let arguments = (ins XF_Matrix:$cache, XF_Matrix:$x, XF_Ids:$slots);
  let results = (outs XF_Matrix:$result);
  let flops = [{ 0 * extent.elements(getX()) }];
  let assemblyFormat = "$cache `,` $x `slots` `(` $slots `)` attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
  let extraDefinition = [{
    int $cppClass::getInPlaceOperand(unsigned) { return 0; }
    ::mlir::AffineExpr $cppClass::getElementsRead(unsigned operand, const ::mlir::xf::Extents &extent) {
      return (operand == 0 ? 0 : 1) * extent.elements((*this)->getOperand(operand));
    }
    ::mlir::AffineExpr $cppClass::getElementsWritten(unsigned, const ::mlir::xf::Extents &extent) { return extent.elements(getX()); }
  }];
}
#endif
