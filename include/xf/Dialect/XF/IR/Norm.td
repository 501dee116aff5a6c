//===- Norm.td - layer and RMS normalisation -------------------*- tablegen -*-===//
#ifndef XF_NORM_TD
#define XF_NORM_TD
include "xf/Dialect/XF/IR/XFBase.td"

def XF_LayerNormOp : XF_Primitive<"layer_norm", "Row", [XF_Differentiable]> {
  let summary = "layer normalisation over features, or RMS normalisation";
  let description = [{
    `result[t, :] = (x[t, :] - mean) / sqrt(variance + epsilon) * weight + bias`, mean and (biased) variance over the features of row t
    (Ba, Kiros, Hinton 2016). With `rms` the mean is taken to be 0, and there is no bias: `result[t, :] = x[t, :] / sqrt(mean of x[t, :]^2 + epsilon) * weight` (Zhang, Sennrich 2019).

    - C1: weight and bias have x's features. C2: epsilon is finite and not negative. C3: there is a bias, or `rms`.

    ```mlir
    %y = xf.layer_norm %x, %weight, %bias epsilon(1.0e-5) : (tensor<?x512xf32>, tensor<512xf32>, tensor<512xf32>) -> tensor<?x512xf32>
    ```

    ```mlir
    %y = xf.layer_norm %x, %weight rms epsilon(1.0e-6) : (tensor<?x512xf32>, tensor<512xf32>) -> tensor<?x512xf32>
    ```
  }];
  let arguments = (ins XF_Matrix:$x, XF_Vector:$weight, Optional<XF_Vector>:$bias, UnitAttr:$rms, DefaultValuedAttr<F32Attr, "1.0e-5f">:$epsilon);
  let results = (outs XF_Matrix:$result);
  let flops = [{ (getRms() ? 4 : 8) * extent.elements(getX()) }];
  let assemblyFormat = "$x `,` $weight (`,` $bias^)? (`rms` $rms^)? (`epsilon` `(` $epsilon^ `)`)? attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
  let backward = [{
    ::llvm::SmallVector<::mlir::Value> grads(getNumOperands());
    ::mlir::Type rows = ::mlir::RankedTensorType::get({getX().getType().getDimSize(0)}, getX().getType().getElementType()), none;
    auto back = LayerNormBackwardOp::create(builder, loc, getX().getType(), getRms() ? none : rows, rows, cotangents[0], getX(), getWeight(), getRmsAttr(), getEpsilonAttr());
    grads[0] = back.getResult();
    if (::llvm::is_contained(active.drop_front(), true)) {
      auto params = LayerNormParameterBackwardOp::create(builder, loc, getWeight().getType(), getRms() ? none : getBias().getType(), cotangents[0], getX(), back.getMean(), back.getReciprocalDeviation());
      ::llvm::copy(params->getResults(), grads.begin() + 1);
    }
    return grads;
  }];
}

def XF_LayerNormBackwardOp : XF_Primitive<"layer_norm_backward", "Row"> {
  let summary = "gradient of layer_norm by its operand";
  let description = [{
    With h = (x - mean) * r, r = 1 / sqrt(variance + epsilon), g = cotangent * weight: `result = r (g - mean(g) - h mean(g h))`. The row's mean and r come out
    too, for the gradients of weight and bias. With `rms`, as in xf.layer_norm, both means are 0: `result = r (g - h mean(g h))`, and no mean comes out.

    - C1: cotangent and result have x's type, weight its features, mean and reciprocal_deviation a number a row. C2: there is a mean, or `rms`.

    ```mlir
    %dx, %mean, %r = xf.layer_norm_backward %dy, %x, %weight epsilon(1.0e-5)
      : (tensor<?x512xf32>, tensor<?x512xf32>, tensor<512xf32>) -> (tensor<?x512xf32>, tensor<?xf32>, tensor<?xf32>)
    ```
  }];
  let arguments = (ins XF_Matrix:$cotangent, XF_Matrix:$x, XF_Vector:$weight, UnitAttr:$rms, DefaultValuedAttr<F32Attr, "1.0e-5f">:$epsilon);
  let results = (outs XF_Matrix:$result, Optional<XF_Rows>:$mean, XF_Rows:$reciprocal_deviation);
  let flops = [{ (getRms() ? 10 : 14) * extent.elements(getX()) }];
  let assemblyFormat = "$cotangent `,` $x `,` $weight (`rms` $rms^)? (`epsilon` `(` $epsilon^ `)`)? attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def XF_LayerNormParameterBackwardOp : XF_Primitive<"layer_norm_parameter_backward", "Column"> {
  let summary = "gradients of layer_norm by weight and bias";
  let description = [{
    `weight[c] = sum over t of cotangent[t, c] (x[t, c] - mean[t]) r[t]`, `bias[c] = sum over t of cotangent[t, c]`, both in increasing t. Where weight and bias are
    matrices, each of their P rows has the sums of a part of the T tokens: row p those of tokens p n to (p + 1) n - 1, n = ceil(T / P). Then it is an op of rows, as far as they go together.
    Without mean, as of an RMS norm, that is 0, and there is no bias.

    - C1: x has cotangent's type; mean and reciprocal_deviation have a number a row; weight and bias have the features, or parts x features. C2: there are a mean and a bias, or neither.

    ```mlir
    %dw, %db = xf.layer_norm_parameter_backward %dy, %x, %mean, %r
      : (tensor<?x512xf32>, tensor<?x512xf32>, tensor<?xf32>, tensor<?xf32>) -> (tensor<512xf32>, tensor<512xf32>)
    ```
  }];
  let arguments = (ins XF_Matrix:$cotangent, XF_Matrix:$x, Optional<XF_Rows>:$mean, XF_Rows:$reciprocal_deviation);
  let results = (outs XF_Activations:$weight, Optional<XF_Activations>:$bias);
  let kernelKind = [{ getParts() ? ::mlir::xf::KernelKind::Row : ::mlir::xf::KernelKind::Column }];
  let extraDeclaration = [{
    /// The number of parts that are summed by themselves; 0 where all tokens are.
    int64_t getParts() {
      auto type = ::llvm::cast<::mlir::RankedTensorType>(getWeight().getType());
      return type.getRank() == 2 ? type.getDimSize(0) : 0;
    }
  }];
  let flops = [{ (getMean() ? 5 : 3) * extent.elements(getX()) }];
  let assemblyFormat = "operands attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}
#endif
