//===- Elementwise.td - residual, activations, dropout ---------*- tablegen -*-===//
#ifndef XF_ELEMENTWISE_TD
#define XF_ELEMENTWISE_TD
include "xf/Dialect/XF/IR/XFBase.td"

def XF_AddOp : XF_Primitive<"add", "Elementwise", [XF_Differentiable, SameOperandsAndResultType, Commutative]> {
  let summary = "a residual connection, or a sum of gradients";
  let description = [{
    `result = a + b`.
    - C1: one type throughout.

    ```mlir
    %y = xf.add %x, %sublayer : tensor<?x512xf32>
    ```
  }];
  let arguments = (ins XF_Activations:$a, XF_Activations:$b);
  let results = (outs XF_Activations:$result);
  let flops = [{ extent.elements(getResult()) }];
  let assemblyFormat = "$a `,` $b attr-dict `:` type($result)";
  let backward = [{ return {cotangents[0], cotangents[0]}; }];
}

def XF_MultiplyOp : XF_Primitive<"multiply", "Elementwise", [XF_Differentiable, SameOperandsAndResultType, Commutative]> {
  let summary = "a gate: product element by element";
  let description = [{
    `result = a b`.
    - C1: one type throughout.

    ```mlir
    %y = xf.multiply %gate, %x : tensor<?x512xf32>
    ```
  }];
  let arguments = (ins XF_Activations:$a, XF_Activations:$b);
  let results = (outs XF_Activations:$result);
  let flops = [{ extent.elements(getResult()) }];
  let assemblyFormat = "$a `,` $b attr-dict `:` type($result)";
  let backward = [{
    ::llvm::SmallVector<::mlir::Value> grads(2);
    for (unsigned i : {0, 1})
      if (active[i])
        grads[i] = MultiplyOp::create(builder, loc, getType(), cotangents[0], getOperand(1 - i));
    return grads;
  }];
}

def XF_CastOp : XF_Primitive<"cast", "Elementwise", [XF_Differentiable]> {
  let summary = "the same numbers in memory of another type";
  let description = [{
    `result = x`, rounded to the nearest, of two the even one, where the type is bf16; NaN stays NaN. What is computed is f32 throughout: with `--precision=bf16` a kernel begins with the casts of what it reads and ends with those
    of what it gives, and schedules take them for the type of memory.

    - C1: x and result have one shape. C2: one of them holds f32, the other bf16.

    ```mlir
    %y = xf.cast %x : tensor<?x512xf32> to tensor<?x512xbf16>
    ```
  }];
  let arguments = (ins XF_Activations:$x);
  let results = (outs XF_Activations:$result);
  let flops = [{ 0 * extent.elements(getX()) }];
  let assemblyFormat = "$x attr-dict `:` type($x) `to` type($result)";
  let hasFolder = 1;
  let hasVerifier = 1;
  let backward = [{ return {CastOp::create(builder, loc, getX().getType(), cotangents[0])}; }];
}

def XF_ReshapeOp : XF_Op<"reshape", [Pure, XF_Differentiable]> {
  let summary = "the same numbers in rows of another width";
  let description = [{
    Row after row, as they lie in memory: the heads of a token, `tokens x (heads * D)`, as rows of their own, `(tokens * heads) x D`, and back. What works on rows then works on each head. It computes nothing: it is in no kernel, and from `plan` on both are one buffer.

    - C1: one width divides the other. C2: x and result have one element type. C3: both have a known number of rows, and as many elements, or neither has one.

    ```mlir
    %heads = xf.reshape %x : tensor<?x512xf32> to tensor<?x64xf32>
    ```
  }];
  let arguments = (ins XF_Matrix:$x);
  let results = (outs XF_Matrix:$result);
  let assemblyFormat = "$x attr-dict `:` type($x) `to` type($result)";
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// How many rows one of x becomes, and how many of x become one: either is 1.
    ::std::pair<int64_t, int64_t> getRatio();
  }];
  let extraClassDefinition = [{
    ::llvm::SmallVector<::mlir::Value> $cppClass::buildBackward(::mlir::OpBuilder &builder, ::mlir::ValueRange cotangents, ::llvm::ArrayRef<bool>) {
      return {ReshapeOp::create(builder, getLoc(), getX().getType(), cotangents[0])};
    }
    ::std::pair<int64_t, int64_t> $cppClass::getRatio() {
      int64_t from = getX().getType().getDimSize(1), to = getType().getDimSize(1);
      return {::std::max<int64_t>(from / to, 1), ::std::max<int64_t>(to / from, 1)};
    }
  }];
}

class XF_Activation<string mnemonic, code rule> : XF_Primitive<mnemonic, "Elementwise", [XF_Differentiable, SameOperandsAndResultType]> {
  let arguments = (ins XF_Activations:$x);
  let results = (outs XF_Activations:$result);
  let assemblyFormat = "$x attr-dict `:` type($result)";
  let backward = rule;
}
def XF_ReluOp : XF_Activation<"relu", [{
    return {ReluBackwardOp::create(builder, loc, getX().getType(), cotangents[0], getResult())};
  }]> {
  let summary = "max(0, x)";
  let description = [{
    `result = max(0, x)`.
    - C1: one type throughout.

    ```mlir
    %h = xf.relu %x : tensor<?x2048xf32>
    ```
  }];
  let flops = [{ extent.elements(getResult()) }];
}
def XF_GeluOp : XF_Activation<"gelu", [{
    return {GeluBackwardOp::create(builder, loc, getX().getType(), cotangents[0], getX())};
  }]> {
  let summary = "x times the normal distribution function of x";
  let description = [{
    `result = x / 2 (1 + erf(x / sqrt 2))` (Hendrycks & Gimpel 2016).
    - C1: one type throughout.

    ```mlir
    %h = xf.gelu %x : tensor<?x2048xf32>
    ```
  }];
  let flops = [{ 5 * extent.elements(getResult()) }];
}

def XF_GeluTanhOp : XF_Activation<"gelu_tanh", [{
    return {GeluTanhBackwardOp::create(builder, loc, getX().getType(), cotangents[0], getX())};
  }]> {
  let summary = "gelu by a hyperbolic tangent";
  let description = [{
    `result = x / 2 (1 + tanh u)`, `u = sqrt(2 / pi) (x + 0.044715 x^3)` (Hendrycks & Gimpel 2016; GPT-2, Gemma).
    - C1: one type throughout.

    ```mlir
    %h = xf.gelu_tanh %x : tensor<?x2048xf32>
    ```
  }];
  let flops = [{ 8 * extent.elements(getResult()) }];
}
def XF_SiluOp : XF_Activation<"silu", [{
    return {SiluBackwardOp::create(builder, loc, getX().getType(), cotangents[0], getX())};
  }]> {
  let summary = "x times the logistic function of x";
  let description = [{
    `result = x / (1 + exp(-x))` (Elfwing, Uchibe, Doya 2018), also called swish.
    - C1: one type throughout.

    ```mlir
    %h = xf.silu %x : tensor<?x2048xf32>
    ```
  }];
  let flops = [{ 4 * extent.elements(getResult()) }];
}

def XF_TanhOp : XF_Activation<"tanh", [{
    return {TanhBackwardOp::create(builder, loc, getX().getType(), cotangents[0], getResult())};
  }]> {
  let summary = "hyperbolic tangent";
  let description = [{
    `result = tanh x` (the pooler of Devlin et al. 2018).
    - C1: one type throughout.

    ```mlir
    %h = xf.tanh %x : tensor<?x768xf32>
    ```
  }];
  let flops = [{ 8 * extent.elements(getResult()) }];
}

class XF_ActivationBackward<string mnemonic> : XF_Primitive<mnemonic, "Elementwise", [SameOperandsAndResultType]> {
  let arguments = (ins XF_Activations:$cotangent, XF_Activations:$saved);
  let results = (outs XF_Activations:$result);
  let assemblyFormat = "$cotangent `,` $saved attr-dict `:` type($result)";
}
def XF_ReluBackwardOp : XF_ActivationBackward<"relu_backward"> {
  let summary = "gradient of relu from its result";
  let description = [{
    `result = saved > 0 ? cotangent : 0`, where saved is relu's result.
    - C1: one type throughout.

    ```mlir
    %dx = xf.relu_backward %dy, %y : tensor<?x2048xf32>
    ```
  }];
  let flops = [{ extent.elements(getResult()) }];
}
def XF_GeluBackwardOp : XF_ActivationBackward<"gelu_backward"> {
  let summary = "gradient of gelu from its operand";
  let description = [{
    `result = cotangent (Phi(x) + x phi(x))`, where saved is gelu's operand x, Phi and phi the normal distribution function and density.
    - C1: one type throughout.

    ```mlir
    %dx = xf.gelu_backward %dy, %x : tensor<?x2048xf32>
    ```
  }];
  let flops = [{ 11 * extent.elements(getResult()) }];
}

def XF_GeluTanhBackwardOp : XF_ActivationBackward<"gelu_tanh_backward"> {
  let summary = "gradient of gelu_tanh from its operand";
  let description = [{
    `result = cotangent ((1 + tanh u) / 2 + x / 2 (1 - tanh^2 u) u')`, where saved is gelu_tanh's operand x, `u = sqrt(2 / pi) (x + 0.044715 x^3)` and u' its derivative.
    - C1: one type throughout.

    ```mlir
    %dx = xf.gelu_tanh_backward %dy, %x : tensor<?x2048xf32>
    ```
  }];
  let flops = [{ 16 * extent.elements(getResult()) }];
}
def XF_SiluBackwardOp : XF_ActivationBackward<"silu_backward"> {
  let summary = "gradient of silu from its operand";
  let description = [{
    `result = cotangent s (1 + x (1 - s))`, where saved is silu's operand x, and `s = 1 / (1 + exp(-x))`.
    - C1: one type throughout.

    ```mlir
    %dx = xf.silu_backward %dy, %x : tensor<?x2048xf32>
    ```
  }];
  let flops = [{ 8 * extent.elements(getResult()) }];
}
def XF_TanhBackwardOp : XF_ActivationBackward<"tanh_backward"> {
  let summary = "gradient of tanh from its result";
  let description = [{
    `result = cotangent (1 - saved^2)`, where saved is tanh's result.
    - C1: one type throughout.

    ```mlir
    %dx = xf.tanh_backward %dy, %y : tensor<?x768xf32>
    ```
  }];
  let flops = [{ 3 * extent.elements(getResult()) }];
}

def XF_DropoutOp : XF_Primitive<"dropout", "Elementwise", [XF_Differentiable, TypesMatchWith<"result has x's type", "x", "result", "$_self">]> {
  let summary = "zeroes elements at random, scales the others";
  let description = [{
    `result[r, c] = u(r, c) >= rate ? x[r, c] / (1 - rate) : 0`; u is Philox 4x32-10 of (seed, step, site, r, c) as docs/Program.md defines it, so
    that tiles and threads do not matter and the backward draws the same numbers again instead of storing them.

    | operand | shape |
    |---|---|
    | x | tokens x features |
    | random | 2: seed, step |
    | site | i64: a number of its own for every dropout of the model |

    - C1: 0 <= rate < 1.

    ```mlir
    %y = xf.dropout %x, %random, %site rate(0.1) : tensor<?x512xf32>, tensor<2xi64>
    ```
  }];
  let arguments = (ins XF_Matrix:$x, XF_Random:$random, I64:$site, F32Attr:$rate);
  let results = (outs XF_Matrix:$result);
  let flops = [{ extent.elements(getResult()) }];
  let assemblyFormat = "$x `,` $random `,` $site `rate` `(` $rate `)` attr-dict `:` type($x) `,` type($random)";
  let hasVerifier = 1;
  let backward = [{
    ::llvm::SmallVector<::mlir::Value> grads(3);
    grads[0] = DropoutOp::create(builder, loc, cotangents[0].getType(), cotangents[0], getRandom(), getSite(), getRateAttr());
    return grads;
  }];
}
#endif
