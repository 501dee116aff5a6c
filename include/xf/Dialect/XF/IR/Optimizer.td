//===- Optimizer.td - clipping, learning rate, Adam ------------*- tablegen -*-===//
#ifndef XF_OPTIMIZER_TD
#define XF_OPTIMIZER_TD
include "xf/Dialect/XF/IR/XFBase.td"

def XF_GlobalNormOp : XF_Primitive<"global_norm", "Optimizer"> {
  let summary = "Euclidean norm of all gradients together";
  let description = [{
    `result = sqrt(sum of squares of every element of every gradient)`, summed over the flat gradient arena in blocks of 1,024 elements and then over the blocks, in order.

    ```mlir
    %n = xf.global_norm %g0, %g1 : (tensor<512x512xf32>, tensor<512xf32>) -> tensor<f32>
    ```
  }];
  let arguments = (ins Variadic<AnyRankedTensor>:$gradients);
  let results = (outs XF_Scalar:$result);
  let flops = [{ 2 * extent.elements(getGradients()) }];
  let assemblyFormat = "$gradients attr-dict `:` functional-type(operands, results)";
}

def XF_LearningRateOp : XF_Primitive<"learning_rate", "Scalar"> {
  let summary = "the learning rate of a step";
  let description = [{
    With step = random[1] from 1, rate = hyper[0], warmup = hyper[1], for hyper[2]:

    | | schedule | learning rate |
    |---|---|---|
    | 0 | constant | `rate * min(1, step / warmup)` |
    | 1 | noam (paper, equation 3) | `rate * d_model^-0.5 * min(step^-0.5, step * warmup^-1.5)` |
    | 2 | rsqrt (tensor2tensor's constant * linear_warmup * rsqrt_decay) | `rate * min(step^-0.5, step * warmup^-1.5)` |
    | 3 | inverse_sqrt (fairseq; tensor2tensor's rsqrt_normalized_decay) | `rate * warmup^0.5 * min(step^-0.5, step * warmup^-1.5)`: rate is its peak |

    Without warm-up (0) it falls, or stays, from the first step.

    - C1: random has 2 elements, hyper 8.

    ```mlir
    %lr = xf.learning_rate %random, %hyper d_model(512) : (tensor<2xi64>, tensor<8xf32>) -> tensor<f32>
    ```
  }];
  let arguments = (ins XF_Random:$random, XF_Hyper:$hyper, I64Attr:$d_model);
  let results = (outs XF_Scalar:$result);
  let flops = [{ 5 * extent.elements(getResult()) }];
  let assemblyFormat = "$random `,` $hyper `d_model` `(` $d_model `)` attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def XF_AdamOp : XF_Op<"adam", [MemoryEffects<[MemRead, MemWrite]>, DeclareOpInterfaceMethods<SymbolUserOpInterface>, DeclareOpInterfaceMethods<XF_KernelOpInterface>]> {
  let summary = "clips and takes a step of Adam, in place";
  let description = [{
    With clip = hyper[3], beta1 = hyper[4], beta2 = hyper[5], epsilon = hyper[6], decay = hyper[7], t = random[1]:
    `g' = g * (clip > 0 ? min(1, clip / norm) : 1)`, `m = beta1 m + (1 - beta1) g'`, `v = beta2 v + (1 - beta2) g'^2`,
    `p -= lr (m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon) + decay p)` (Kingma & Ba 2014; decay as in AdamW). Nothing changes where norm is not finite.

    - C1: a gradient for every parameter, of its type. C2: random has 2 elements, hyper 8.

    ```mlir
    xf.adam %g0, %g1 parameters [@w, @b] norm(%n) learning_rate(%lr) state(%random, %hyper)
      : tensor<512x512xf32>, tensor<512xf32>, tensor<f32>, tensor<f32>, tensor<2xi64>, tensor<8xf32>
    ```
  }];
  let arguments = (ins Variadic<AnyRankedTensor>:$gradients, TypedArrayAttrBase<FlatSymbolRefAttr, "parameters">:$parameters, XF_Scalar:$norm, XF_Scalar:$learning_rate, XF_Random:$random, XF_Hyper:$hyper);
  let assemblyFormat = "$gradients `parameters` $parameters `norm` `(` $norm `)` `learning_rate` `(` $learning_rate `)` `state` `(` $random `,` $hyper `)` attr-dict `:` type(operands)";
  let hasVerifier = 1;
  let extraClassDefinition = [{
    ::mlir::xf::KernelKind $cppClass::getKernelKind() { return ::mlir::xf::KernelKind::Optimizer; }
    ::mlir::AffineExpr $cppClass::getFlops(const ::mlir::xf::Extents &extent) { return 17 * extent.elements(getGradients()); }
  }];
}
#endif
