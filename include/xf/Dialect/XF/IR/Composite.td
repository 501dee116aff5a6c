//===- Composite.td - the paper's and d2l's own words ----------*- tablegen -*-===//
// Sublayers that declare their parameters under a name. The stage `input` decomposes them into the primitive ops; nothing later sees them.
//===----------------------------------------------------------------------===//
#ifndef XF_COMPOSITE_TD
#define XF_COMPOSITE_TD
include "xf/Dialect/XF/IR/XFBase.td"

class XF_Composite<string mnemonic, list<Trait> traits = []> : XF_Op<mnemonic, !listconcat([XF_CompositeOpInterface], traits)> { let hasVerifier = 1; }

def XF_EmbedOp : XF_Composite<"embed"> {
  let summary = "embeddings times sqrt(d_model), plus positions, then dropout";
  let description = [{
    Paper, 3.4, 3.5 and 5.4; `scale` where the embeddings are multiplied by another number (GPT-2, BERT: 1). Declares `name.weight` (vocabulary x features), and with learned positions `positions_name.weight` (max_positions x features); both
    normal with deviation features^-0.5, or as `init` says. Two ops of one name share the table. Sinusoidal positions count from `first`.

    - C1: result has a row a token. C2: learned positions have positions_name and max_positions. C3: `first` goes with sinusoidal positions. C4: vocabulary and max_positions are from 1 to 2^31 - 1. C5: scale is finite.

    ```mlir
    %x = xf.embed "embedding" (%ids, %offsets) vocabulary(37000) positions(sinusoidal) dropout(0.1) : (tensor<?xi32>, tensor<?xi32>) -> tensor<?x512xf32>
    ```
  }];
  let arguments = (ins StrAttr:$name, XF_Ids:$ids, XF_Offsets:$offsets, I64Attr:$vocabulary, XF_PositionKindAttr:$positions, OptionalAttr<StrAttr>:$positions_name,
                       OptionalAttr<I64Attr>:$max_positions, DefaultValuedAttr<I64Attr, "0">:$first, OptionalAttr<F32Attr>:$scale, DefaultValuedAttr<XF_InitKindAttr, "::mlir::xf::InitKind::Normal">:$init,
                       DefaultValuedAttr<F32Attr, "0.0f">:$dropout);
  let results = (outs XF_Matrix:$result);
  let assemblyFormat = [{
    $name `(` $ids `,` $offsets `)` `vocabulary` `(` $vocabulary `)` `positions` `(` $positions (`,` $positions_name^ `,` $max_positions)? `)` (`first` `(` $first^ `)`)? (`scale` `(` $scale^ `)`)? (`init` `(` $init^ `)`)? (`dropout` `(` $dropout^ `)`)?
    attr-dict `:` functional-type(operands, results)
  }];
}

def XF_MultiHeadAttentionOp : XF_Composite<"multi_head_attention", [AttrSizedOperandSegments, IsolatedFromAbove]> {
  let summary = "multi-head attention";
  let description = [{
    Paper, 3.2.2: `Concat(head_1, ..., head_h) W^O`, `head_i = Attention(Q W_i^Q, K W_i^K, V W_i^V)`, scale 1 / sqrt(d_k). Declares `name.query`, `name.key`, `name.value`, `name.output`,
    each `.weight` and with `bias` also `.bias`. Masks, `key_value_heads` (K; without, heads) and the score region are those of xf.attention: the projections of key and value are to K * d_k and K * d_v features.
    `rotary` turns queries and keys by angles as xf.rotary does; those of keys are the queries', as tokens of one sequence.
    `qk_norm` normalises every head of the queries and of the keys as xf.layer_norm does its rows, with `rms` or without, before they are turned (Henry et al. 2020; Dehghani et al. 2023). It declares `name.query_norm` and `name.key_norm`,
    each `.weight` and without `rms` also `.bias`, of d_k numbers for all heads.

    - C1: key and value have as many rows. C2: heads, key_value_heads, d_k, d_v and the products of heads are from 1 to 2^31 - 1, and key_value_heads divides heads. C3: result has query's rows. C4: window is from 0 to 2^30. C5: lengths has a number a query token. C6: the score region is as in xf.attention.
    - C7: angles has query's rows and d_k features, which are even, and queries and keys are in the same sequences (one value of offsets). C8: `rms` and epsilon go with `qk_norm`, and epsilon is finite and not negative.

    ```mlir
    %a = xf.multi_head_attention "attention" (%x, %x, %x) offsets(%o, %o) heads(8) head_dims(64, 64) causal
      : (tensor<?x512xf32>, tensor<?x512xf32>, tensor<?x512xf32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x512xf32>
    ```
  }];
  let arguments = (ins StrAttr:$name, XF_Matrix:$query, XF_Matrix:$key, XF_Matrix:$value, XF_Offsets:$query_offsets, XF_Offsets:$key_offsets, Optional<XF_Ids>:$lengths, Optional<XF_Matrix>:$angles, Variadic<AnyRankedTensor>:$captures, I64Attr:$heads, OptionalAttr<I64Attr>:$key_value_heads, I64Attr:$d_k, I64Attr:$d_v,
                       UnitAttr:$causal, OptionalAttr<I64Attr>:$window, UnitAttr:$qk_norm, UnitAttr:$rms, DefaultValuedAttr<F32Attr, "1.0e-5f">:$epsilon, UnitAttr:$bias, DefaultValuedAttr<F32Attr, "0.0f">:$dropout);
  let regions = (region MaxSizedRegion<1>:$score);
  let hasRegionVerifier = 1;
  let results = (outs XF_Matrix:$result);
  let assemblyFormat = [{
    $name `(` $query `,` $key `,` $value `)` `offsets` `(` $query_offsets `,` $key_offsets `)` `heads` `(` $heads `)` (`key_value_heads` `(` $key_value_heads^ `)`)? `head_dims` `(` $d_k `,` $d_v `)` (`causal` $causal^)? (`window` `(` $window^ `)`)?
    (`lengths` `(` $lengths^ `)`)? (`rotary` `(` $angles^ `)`)? (`qk_norm` $qk_norm^)? (`rms` $rms^)? (`epsilon` `(` $epsilon^ `)`)? (`bias` $bias^)? (`dropout` `(` $dropout^ `)`)? attr-dict `` custom<Score>($captures, $score) `:` functional-type(operands, results)
  }];
}

def XF_FeedForwardOp : XF_Composite<"feed_forward"> {
  let summary = "position-wise feed-forward network";
  let description = [{
    Paper, 3.3: `activation(x W_1 + b_1) W_2 + b_2`, dropout between where given (tensor2tensor). Declares `name.in.weight`, `name.out.weight`, and with `bias` `name.in.bias`, `name.out.bias`.
    `gated` has `activation(x W_gate) * (x W_1)` for the activation (Shazeer 2020, "GLU Variants"; Llama's is that of silu), of which `name.gate.weight`, with `bias` `name.gate.bias`, is one more.

    - C1: hidden is from 1 to 2^31 - 1. C2: result has x's type.

    ```mlir
    %f = xf.feed_forward "feed_forward" (%x) hidden(2048) relu bias : (tensor<?x512xf32>) -> tensor<?x512xf32>
    ```

    ```mlir
    %f = xf.feed_forward "feed_forward" (%x) hidden(1408) silu gated : (tensor<?x512xf32>) -> tensor<?x512xf32>
    ```
  }];
  let arguments = (ins StrAttr:$name, XF_Matrix:$x, I64Attr:$hidden, XF_ActivationKindAttr:$activation, UnitAttr:$gated, UnitAttr:$bias, DefaultValuedAttr<F32Attr, "0.0f">:$dropout);
  let results = (outs XF_Matrix:$result);
  let assemblyFormat = [{
    $name `(` $x `)` `hidden` `(` $hidden `)` $activation (`gated` $gated^)? (`bias` $bias^)? (`dropout` `(` $dropout^ `)`)? attr-dict `:` functional-type(operands, results)
  }];
}

def XF_AddNormOp : XF_Composite<"add_norm"> {
  let summary = "LayerNorm(x + Dropout(Sublayer(x)))";
  let description = [{
    Paper, 3.1 and 5.4; d2l's AddNorm. Declares `name.weight` (ones) and `name.bias` (zeros); with `rms`, which normalises as in xf.layer_norm, the weight alone.

    - C1: x, sublayer and result have one type. C2: epsilon is finite and not negative.

    ```mlir
    %y = xf.add_norm "attention_norm" (%x, %a) dropout(0.1) : (tensor<?x512xf32>, tensor<?x512xf32>) -> tensor<?x512xf32>
    ```
  }];
  let arguments = (ins StrAttr:$name, XF_Matrix:$x, XF_Matrix:$sublayer, DefaultValuedAttr<F32Attr, "0.0f">:$dropout, UnitAttr:$rms, DefaultValuedAttr<F32Attr, "1.0e-5f">:$epsilon);
  let results = (outs XF_Matrix:$result);
  let assemblyFormat = "$name `(` $x `,` $sublayer `)` (`dropout` `(` $dropout^ `)`)? (`rms` $rms^)? (`epsilon` `(` $epsilon^ `)`)? attr-dict `:` functional-type(operands, results)";
}

def XF_NormOp : XF_Composite<"norm"> {
  let summary = "LayerNorm(x)";
  let description = [{
    The norm before a sublayer (pre-norm), after the last layer, or after the embedding. Declares `name.weight` (ones) and `name.bias` (zeros); with `rms`, which normalises as in xf.layer_norm, the weight alone.

    - C1: x and result have one type. C2: epsilon is finite and not negative.

    ```mlir
    %n = xf.norm "attention_norm" (%x) : (tensor<?x512xf32>) -> tensor<?x512xf32>
    ```
  }];
  let arguments = (ins StrAttr:$name, XF_Matrix:$x, UnitAttr:$rms, DefaultValuedAttr<F32Attr, "1.0e-5f">:$epsilon);
  let results = (outs XF_Matrix:$result);
  let assemblyFormat = "$name `(` $x `)` (`rms` $rms^)? (`epsilon` `(` $epsilon^ `)`)? attr-dict `:` functional-type(operands, results)";
}

def XF_ResidualOp : XF_Composite<"residual"> {
  let summary = "x + Dropout(Sublayer(LayerNorm(x)))";
  let description = [{
    The end of a sublayer that has its norm before it (tensor2tensor; GPT-2). Declares no parameters; `name` is the dropout's.

    - C1: x, sublayer and result have one type.

    ```mlir
    %y = xf.residual "attention_residual" (%x, %a) dropout(0.1) : (tensor<?x512xf32>, tensor<?x512xf32>) -> tensor<?x512xf32>
    ```
  }];
  let arguments = (ins StrAttr:$name, XF_Matrix:$x, XF_Matrix:$sublayer, DefaultValuedAttr<F32Attr, "0.0f">:$dropout);
  let results = (outs XF_Matrix:$result);
  let assemblyFormat = "$name `(` $x `,` $sublayer `)` (`dropout` `(` $dropout^ `)`)? attr-dict `:` functional-type(operands, results)";
}

def XF_ProjectOp : XF_Composite<"project"> {
  let summary = "a named linear map, or the pre-softmax one";
  let description = [{
    `x W^T (+ b)`. Declares `name.weight` (features x in), shared with an xf.embed of the same name (paper, 3.4), and with `bias` `name.bias`.

    - C1: result has x's rows.

    ```mlir
    %logits = xf.project "embedding" (%x) : (tensor<?x512xf32>) -> tensor<?x37000xf32>
    ```
  }];
  let arguments = (ins StrAttr:$name, XF_Matrix:$x, UnitAttr:$bias);
  let results = (outs XF_Matrix:$result);
  let assemblyFormat = "$name `(` $x `)` (`bias` $bias^)? attr-dict `:` functional-type(operands, results)";
}
#endif
