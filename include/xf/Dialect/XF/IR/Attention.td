//===- Attention.td - scaled dot-product attention -------------*- tablegen -*-===//
#ifndef XF_ATTENTION_TD
#define XF_ATTENTION_TD
include "xf/Dialect/XF/IR/XFBase.td"

/// What ops with heads say of them, for query heads that share those of keys and values.
defvar XF_HeadsOfKeys = [{
    /// The heads of key and value: head h of the query, and of the result, reads head h / (getHeads() / this).
    int64_t getKeyValueHeadCount() { return getKeyValueHeads().value_or(getHeads()); }
    /// d_k: the features of a head of query and key.
    int64_t getKeyFeatures() { return ::llvm::cast<::mlir::RankedTensorType>(getQuery().getType()).getDimSize(1) / static_cast<int64_t>(getHeads()); }
}];
defvar XF_HeadsOfValues = XF_HeadsOfKeys # [{
    /// d_v: the features of a head of value and result.
    int64_t getValueFeatures() { return ::llvm::cast<::mlir::RankedTensorType>(getValue().getType()).getDimSize(1) / getKeyValueHeadCount(); }
}];

def XF_AttentionOp : XF_Primitive<"attention", "Attention", [XF_Differentiable, AttrSizedOperandSegments, IsolatedFromAbove, XF_OwnFactors, XF_OwnStatistics, XF_OwnRequirements]> {
  let summary = "softmax(scale Q K^T) V for every sequence and head of a packed batch";
  let description = [{
    Paper, 3.2.1. For sequence b and head h, with Q, K, V the rows offsets[b] .. offsets[b+1] and the h-th block of features:
    `S = scale Q K^T`, `result = softmax(S) V`, `log_sum_exp[t, h] = log sum_j exp S[t, j]`. Dropout, where given, zeroes probabilities: row
    t * heads + h, column j within the sequence.

    With `key_value_heads(K)` keys and values have K heads, each of which heads / K heads of the query share (grouped queries, Ainslie et al. 2023; with 1 Shazeer 2019): head h reads head h / (heads / K) of them. Without, K is heads.

    Masks, any of them together: query i of a sequence stands at key p = i + (keys - queries). With `causal` it sees keys j <= p, with `window(r)` keys p - r <= j <= p + r (the paper's restricted
    self-attention), with `lengths` the first `lengths[t]` keys of its sequence (fewer than none are none, more than all are all). Blocks that masks empty are not visited. A query that sees no key gives 0 and log_sum_exp +inf (so that the
    backward's probabilities vanish), and no gradient. Documents that share a text are sequences of their own in the offsets.

    A score region changes a score before the softmax: from the score, the numbers of the head and of the key that the query stands at, that of the key, and captured tensors. It is scalar code: arithmetic of arith, of
    math absf, exp, exp2, log and tanh, and reads of captured tensors by tensor.extract, where an index that lies outside is that of the nearest element. A score of -inf (or from -1e30 down, as torch's least number) is masked, and adds nothing to any gradient, whatever the derivative is there. Numbers such as -1e9 mask keys beside others; of a query whose keys all have one, gradients are wrong, as log_sum_exp in f32 can't tell how many there are. Kernels visit no block that a region masks whole, where that follows from comparisons of numbers (of the head, the query, the key). The derivative, also by captured tensors that are
    parameters, is derived. ALiBi, relative positions, soft caps are such regions; whole modules with T5's buckets, with documents and with a prefix that all see are in `test/Examples`.

    | operand | shape |
    |---|---|
    | query | query tokens x (heads * d_k) |
    | key | key tokens x (K * d_k) |
    | value | key tokens x (K * d_v) |
    | query_offsets, key_offsets | B+1 |
    | lengths | query tokens |
    | captures | any, static |
    | result | query tokens x (heads * d_v) |
    | log_sum_exp | query tokens x heads |

    - C1: K divides heads, heads query's width, and K key's and value's, and scale is finite. C2: query and key agree on d_k. C3: key and value have as many rows.
    - C4: result is query tokens x (heads * d_v), log_sum_exp query tokens x heads. C5: dropout has random and site, and 0 <= rate < 1.
    - C6: window is from 0 to 2^30. C7: lengths has a number a query token.
    - C8: captured tensors come with a score region; they are of query's element type or i32, of static extents that are not 0, with at most 2^28 elements.
    - C9: the region takes the score, head, query and key (indices), and the captured tensors; it yields the score. C10: it is made of the ops above.

    ```mlir
    %y, %sum = xf.attention %q, %k, %v offsets(%qo, %ko) heads(8) scale(0.125) causal score(%bias) {
    ^bb0(%score: f32, %head: index, %query: index, %key: index, %table: tensor<8x129xf32>):
      %distance = arith.subi %query, %key : index
      %b = tensor.extract %table[%head, %distance] : tensor<8x129xf32>
      %biased = arith.addf %score, %b : f32
      xf.yield %biased : f32
    } : (tensor<?x512xf32>, tensor<?x512xf32>, tensor<?x512xf32>, tensor<?xi32>, tensor<?xi32>, tensor<8x129xf32>) -> (tensor<?x512xf32>, tensor<?x8xf32>)
    ```

    ```mlir
    %o, %lse = xf.attention %q, %k, %v offsets(%qo, %ko) heads(8) scale(0.125) causal
      : (tensor<?x512xf32>, tensor<?x512xf32>, tensor<?x512xf32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?x512xf32>, tensor<?x8xf32>)
    ```

    ```mlir
    %o, %lse = xf.attention %q, %k, %v offsets(%qo, %ko) heads(8) key_value_heads(2) scale(0.125) causal
      : (tensor<?x512xf32>, tensor<?x128xf32>, tensor<?x128xf32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?x512xf32>, tensor<?x8xf32>)
    ```
  }];
  let arguments = (ins XF_Matrix:$query, XF_Matrix:$key, XF_Matrix:$value, XF_Offsets:$query_offsets, XF_Offsets:$key_offsets,
                       Optional<XF_Ids>:$lengths, Optional<XF_Random>:$random, Optional<I64>:$site, Variadic<AnyRankedTensor>:$captures, I64Attr:$heads, OptionalAttr<I64Attr>:$key_value_heads, F32Attr:$scale, UnitAttr:$causal,
                       OptionalAttr<I64Attr>:$window, DefaultValuedAttr<F32Attr, "0.0f">:$rate);
  let regions = (region MaxSizedRegion<1>:$score);
  let hasRegionVerifier = 1;
  let results = (outs XF_Matrix:$result, XF_Matrix:$log_sum_exp);
  let flops = [{ scorePairs(getQuery(), getKey(), getQueryOffsets(), getCausal(), getWindow(), extent) *
           (2 * (extent(getQuery(), 1) + extent(getResult(), 1)) + (4 + scoreFlops(getScore())) * getHeads()) }];
  let assemblyFormat = [{
    $query `,` $key `,` $value `offsets` `(` $query_offsets `,` $key_offsets `)` `heads` `(` $heads `)` (`key_value_heads` `(` $key_value_heads^ `)`)? `scale` `(` $scale `)` (`causal` $causal^)? (`window` `(` $window^ `)`)?
    (`lengths` `(` $lengths^ `)`)? (`dropout` `(` $rate^ `,` $random `,` $site `)`)? attr-dict `` custom<Score>($captures, $score) `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
  let extraDeclaration = XF_HeadsOfValues;
  let extraDefinition = [{
    bool $cppClass::isFactor(unsigned operand) { return operand < 3; }
    ::llvm::SmallVector<::mlir::xf::Requirement> $cppClass::getRequirements() { return attentionRequirements(*this); }
    bool $cppClass::isStatistic(unsigned result) { return result == 1; }
  }];
  let backward = [{
    ::mlir::Region derivative;
    buildScoreDerivative(getScore(), derivative, active.take_back(getCaptures().size()));
    ::llvm::SmallVector<::mlir::Type> types{getQuery().getType(), getKey().getType(), getValue().getType()};
    ::llvm::SmallVector<unsigned> trained = capturesWithGradients(derivative);
    for (unsigned capture : trained)
      types.push_back(AttentionBackwardOp::capturedGradientType(derivative, getCaptures(), capture, getQueryOffsets(), getHeads()));
    auto back = AttentionBackwardOp::create(builder, loc, types, cotangents[0], getQuery(), getKey(), getValue(), getResult(), getLogSumExp(), getQueryOffsets(), getKeyOffsets(), getLengths(), getRandom(), getSite(),
                                            getCaptures(), getHeadsAttr(), getKeyValueHeadsAttr(), getScaleAttr(), getCausalAttr(), getWindowAttr(), getRateAttr());
    back.getScore().takeBody(derivative);
    ::llvm::SmallVector<::mlir::Value> grads(getNumOperands());
    for (unsigned i = 0; i < 3; ++i)
      grads[i] = back.getResult(i);
    unsigned firstCapture = getNumOperands() - getCaptures().size();
    for (auto [capture, sums] : ::llvm::zip(trained, back.getCapturedGradients())) {
      auto type = ::llvm::cast<::mlir::RankedTensorType>(getCaptures()[capture].getType());
      ::mlir::Value sum = sums; // over sequences, and then over the heads that share it
      if (!isOfHeads(back.getScore(), capture, getHeads()))
        sum = ColumnSumOp::create(builder, loc, ::mlir::RankedTensorType::get({static_cast<int64_t>(getHeads()), type.getNumElements()}, type.getElementType()), sum);
      grads[firstCapture + capture] = ColumnSumOp::create(builder, loc, type, sum);
    }
    return grads;
  }];
}

def XF_AttentionBackwardOp : XF_Primitive<"attention_backward", "AttentionBackward", [AttrSizedOperandSegments, IsolatedFromAbove, XF_OwnExtents, XF_OwnFactors, XF_OwnStatistics, XF_OwnRequirements]> {
  let summary = "gradients of attention by query, key, value and captured tensors";
  let description = [{
    FlashAttention-2 (Dao 2023): `D = rowsum(cotangent * result)`, `P = exp(S - log_sum_exp)`, `dV = (M P)^T dO`, `dS = P (M dO V^T - D)`, `dQ = scale dS K`,
    `dK = scale dS^T Q`, M the dropout mask with its scale; masks and `key_value_heads` as in xf.attention, where dK and dV are the sums over the heads that share one. Probabilities are computed again; a sequence's sums run in a fixed order.

    A score region yields the score and its derivative f' by the score before it, so that S is what it makes of scale Q K^T, and `dQ = scale (f' dS) K`, dK likewise. It also says what is added to
    gradients of captured tensors (xf.add_gradient): dS times a derivative. Row b of a captured gradient has the sums of sequence b, in the order of the tensor's elements; one row follows that is zero.
    A tensor whose first extent is heads, and that is named at the region's head alone there, has each of its sums from one head. Any other is shared by heads: of it a row has all elements for the first head, then all for the next.

    - C1: the operands, masks and captured tensors agree as in xf.attention, and cotangent has result's type. C2: the results have the types of query, key and value, then of (B+1) x elements, or (heads * elements) of one that heads share, for each captured tensor that xf.add_gradient names, in their order.
    - C3: the region takes what that of xf.attention does, and yields the score and its derivative.

    ```mlir
    %dq, %dk, %dv = xf.attention_backward %do, %q, %k, %v, %o, %lse offsets(%qo, %ko) heads(8) scale(0.125) causal
      : (tensor<?x512xf32>, tensor<?x512xf32>, tensor<?x512xf32>, tensor<?x512xf32>, tensor<?x512xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>)
      -> (tensor<?x512xf32>, tensor<?x512xf32>, tensor<?x512xf32>)
    ```
  }];
  let arguments = (ins XF_Matrix:$cotangent, XF_Matrix:$query, XF_Matrix:$key, XF_Matrix:$value, XF_Matrix:$forward_result, XF_Matrix:$log_sum_exp,
                       XF_Offsets:$query_offsets, XF_Offsets:$key_offsets, Optional<XF_Ids>:$lengths, Optional<XF_Random>:$random, Optional<I64>:$site, Variadic<AnyRankedTensor>:$captures, I64Attr:$heads, OptionalAttr<I64Attr>:$key_value_heads, F32Attr:$scale,
                       UnitAttr:$causal, OptionalAttr<I64Attr>:$window, DefaultValuedAttr<F32Attr, "0.0f">:$rate);
  let results = (outs XF_Matrix:$query_gradient, XF_Matrix:$key_gradient, XF_Matrix:$value_gradient, Variadic<XF_Matrix>:$captured_gradients);
  let regions = (region MaxSizedRegion<1>:$score);
  let hasRegionVerifier = 1;
  let flops = [{ scorePairs(getQuery(), getKey(), getQueryOffsets(), getCausal(), getWindow(), extent) *
           ((isOfCapturesAlone() ? 2 * (extent(getQuery(), 1) + extent(getForwardResult(), 1)) : 6 * extent(getQuery(), 1) + 4 * extent(getForwardResult(), 1)) +
            (4 + scoreFlops(getScore())) * getHeads()) + 2 * extent.elements(getForwardResult()) }];
  let assemblyFormat = [{
    $cotangent `,` $query `,` $key `,` $value `,` $forward_result `,` $log_sum_exp `offsets` `(` $query_offsets `,` $key_offsets `)` `heads` `(` $heads `)` (`key_value_heads` `(` $key_value_heads^ `)`)? `scale` `(` $scale `)`
    (`causal` $causal^)? (`window` `(` $window^ `)`)? (`lengths` `(` $lengths^ `)`)? (`dropout` `(` $rate^ `,` $random `,` $site `)`)? attr-dict `` custom<Score>($captures, $score) `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
  let extraDeclaration = XF_HeadsOfValues # [{
    /// Whether none but gradients of captured tensors are used.
    bool isOfCapturesAlone();
    /// The type of the sums for a captured tensor, by its number.
    static ::mlir::RankedTensorType capturedGradientType(::mlir::Region &derivative, ::mlir::ValueRange captures, unsigned capture, ::mlir::Value queryOffsets, int64_t heads);
  }];
  let extraDefinition = [{
    bool $cppClass::isOfCapturesAlone() {
      return !getCapturedGradients().empty() && ::llvm::all_of(::llvm::ArrayRef<::mlir::Value>{getQueryGradient(), getKeyGradient(), getValueGradient()}, [](::mlir::Value gradient) { return gradient.use_empty(); });
    }
    ::mlir::RankedTensorType $cppClass::capturedGradientType(::mlir::Region &derivative, ::mlir::ValueRange captures, unsigned capture, ::mlir::Value queryOffsets, int64_t heads) {
      auto type = ::llvm::cast<::mlir::RankedTensorType>(captures[capture].getType());
      int64_t parts = isOfHeads(derivative, capture, heads) ? 1 : heads;
      return ::mlir::RankedTensorType::get({::llvm::cast<::mlir::RankedTensorType>(queryOffsets.getType()).getDimSize(0), parts * type.getNumElements()}, type.getElementType());
    }
    ::std::pair<unsigned, unsigned> $cppClass::getExtentSource(unsigned result, unsigned dim) {
      return {result < 3 ? result + 1 : getODSOperandIndexAndLength(6).first, dim};
    }
    bool $cppClass::isFactor(unsigned operand) { return operand < 5; }
    ::llvm::SmallVector<::mlir::xf::Requirement> $cppClass::getRequirements() {
      ::llvm::SmallVector<::mlir::xf::Requirement> required = attentionRequirements(*this);
      for (::mlir::Value rows : {getCotangent(), getForwardResult(), getLogSumExp()})
        required.push_back({RequirementKind::Rows, rows, getQuery()});
      return required;
    }
    bool $cppClass::isStatistic(unsigned result) { return result >= 3; }
  }];
}

def XF_AddGradientOp : XF_Op<"add_gradient", [ParentOneOf<["AttentionBackwardOp"]>, TypesMatchWith<"the derivative is an element of the tensor", "capture", "derivative",
                                                                                                  "::llvm::cast<::mlir::RankedTensorType>($_self).getElementType()">]> {
  let summary = "adds to the gradient of a captured tensor, in the score region of xf.attention_backward";
  let description = [{
    The score's cotangent times `derivative` goes to the element that was read; made where a region is differentiated, from tensor.extract.

    - C1: an index for each of the tensor's extents.

    ```mlir
    xf.add_gradient %one at %table[%head, %distance] : tensor<8x129xf32>
    ```
  }];
  let arguments = (ins XF_Float:$derivative, RankedTensorOf<[XF_Float]>:$capture, Variadic<Index>:$indices);
  let assemblyFormat = "$derivative `at` $capture `[` $indices `]` attr-dict `:` type($capture)";
  let hasVerifier = 1;
}

def XF_AttentionWeightsOp : XF_Primitive<"attention_weights", "Attention", [AttrSizedOperandSegments, IsolatedFromAbove, XF_OwnExtents, XF_OwnRequirements]> {
  let summary = "the probabilities of one sequence's attention, to look at";
  let description = [{
    `result[h] = softmax(scale Q_h K_h^T)` (masks, `key_value_heads` and score region as in xf.attention) for a batch of one sequence.

    - C1: query, key, heads and masks agree as in xf.attention. C2: result is heads x query tokens x key tokens. C3: the score region is as in xf.attention.

    ```mlir
    %p = xf.attention_weights %q, %k heads(8) scale(0.125) : (tensor<?x512xf32>, tensor<?x512xf32>) -> tensor<8x?x?xf32>
    ```
  }];
  let arguments = (ins XF_Matrix:$query, XF_Matrix:$key, Optional<XF_Ids>:$lengths, Variadic<AnyRankedTensor>:$captures, I64Attr:$heads, OptionalAttr<I64Attr>:$key_value_heads, F32Attr:$scale, UnitAttr:$causal, OptionalAttr<I64Attr>:$window);
  let regions = (region MaxSizedRegion<1>:$score);
  let hasRegionVerifier = 1;
  let results = (outs 3DTensorOf<[XF_Float]>:$result);
  let flops = [{ scorePairs(getQuery(), getKey(), ::mlir::Value(), getCausal(), getWindow(), extent) *
           (2 * extent(getQuery(), 1) + (4 + scoreFlops(getScore())) * getHeads()) }];
  let assemblyFormat = [{
    $query `,` $key `heads` `(` $heads `)` (`key_value_heads` `(` $key_value_heads^ `)`)? `scale` `(` $scale `)` (`causal` $causal^)? (`window` `(` $window^ `)`)? (`lengths` `(` $lengths^ `)`)? attr-dict
    `` custom<Score>($captures, $score) `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
  let extraDeclaration = XF_HeadsOfKeys;
  let extraDefinition = [{
    ::std::pair<unsigned, unsigned> $cppClass::getExtentSource(unsigned, unsigned dim) { return {dim - 1, 0}; }
    ::llvm::SmallVector<::mlir::xf::Requirement> $cppClass::getRequirements() {
      if (getLengths())
        return {{RequirementKind::Rows, getLengths(), getQuery()}};
      return {};
    }
  }];
}

def XF_CachedAttentionOp : XF_Primitive<"cached_attention", "Attention", [IsolatedFromAbove, XF_OwnReads, XF_OwnRequirements]> {
  let summary = "attention of single queries over listed rows of a cache: one step of decoding";
  let description = [{
    Query r (one token of one hypothesis) attends to the rows `rows[row_offsets[r]] .. rows[row_offsets[r+1] - 1]` of key and value, so beams are reordered by writing other
    lists. It stands at the last of them: with `window(r)` it sees that one and the r before, and for a score region (as in xf.attention) the number of a key is its place in the list, the query's that of the last. Without any row the result is 0. `key_value_heads` is as in xf.attention.

    - C1: heads divide the widths, query and key agree, scale is finite, as in xf.attention. C2: result is queries x (heads * d_v). C3: key and value have as many rows. C4: window is from 0 to 2^30. C5: the score region is as in xf.attention.

    ```mlir
    %o = xf.cached_attention %q, %keys, %values rows(%rows, %row_offsets) heads(8) scale(0.125)
      : (tensor<?x512xf32>, tensor<?x512xf32>, tensor<?x512xf32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x512xf32>
    ```
  }];
  let arguments = (ins XF_Matrix:$query, XF_Matrix:$key, XF_Matrix:$value, XF_Ids:$rows, XF_Offsets:$row_offsets, Variadic<AnyRankedTensor>:$captures, I64Attr:$heads, OptionalAttr<I64Attr>:$key_value_heads, F32Attr:$scale,
                       OptionalAttr<I64Attr>:$window);
  let regions = (region MaxSizedRegion<1>:$score);
  let hasRegionVerifier = 1;
  let results = (outs XF_Matrix:$result);
  let flops = [{ rowsSeen(extent) * (2 * (extent(getQuery(), 1) + extent(getResult(), 1)) + (4 + scoreFlops(getScore())) * getHeads()) }];
  let assemblyFormat = [{
    $query `,` $key `,` $value `rows` `(` $rows `,` $row_offsets `)` `heads` `(` $heads `)` (`key_value_heads` `(` $key_value_heads^ `)`)? `scale` `(` $scale `)` (`window` `(` $window^ `)`)? attr-dict
    `` custom<Score>($captures, $score) `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
  let extraDeclaration = XF_HeadsOfValues # [{
    /// Of the caches, in the cost: all that are listed, or a window a query.
    ::mlir::AffineExpr rowsSeen(const ::mlir::xf::Extents &extent);
  }];
  let extraDefinition = [{
    ::llvm::SmallVector<::mlir::xf::Requirement> $cppClass::getRequirements() {
      return {{RequirementKind::Rows, getValue(), getKey()},
              {RequirementKind::Rows, getRowOffsets(), getQuery(), 0, 1},
              {RequirementKind::Starts, getRowOffsets(), getRows()},
              {RequirementKind::Below, getRows(), getKey()}};
    }
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

def XF_CacheWriteOp : XF_Primitive<"cache_write", "Scatter", [DeclareOpInterfaceMethods<XF_KernelOpInterface, ["getInPlaceOperand", "getElementsRead", "getElementsWritten", "getRequirements"]>]> {
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
    ::llvm::SmallVector<::mlir::xf::Requirement> $cppClass::getRequirements() {
      return {{RequirementKind::Rows, getSlots(), getX()}, {RequirementKind::Below, getSlots(), getCache()}};
    }
    ::mlir::AffineExpr $cppClass::getElementsRead(unsigned operand, const ::mlir::xf::Extents &extent) {
      return (operand == 0 ? 0 : 1) * extent.elements((*this)->getOperand(operand));
    }
    ::mlir::AffineExpr $cppClass::getElementsWritten(unsigned, const ::mlir::xf::Extents &extent) { return extent.elements(getX()); }
  }];
}
#endif
