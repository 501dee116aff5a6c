//===- Loss.td - cross-entropy and probabilities ---------------*- tablegen -*-===//
#ifndef XF_LOSS_TD
#define XF_LOSS_TD
include "xf/Dialect/XF/IR/XFBase.td"

def XF_CrossEntropyOp : XF_Primitive<"cross_entropy", "Row", [XF_Differentiable, XF_OwnRequirements]> {
  let summary = "label-smoothed cross-entropy of every token";
  let description = [{
    With log p = log softmax(logits[t, :]) over V entries: `token_loss[t] = -(1 - smoothing) log p[label] - smoothing / V sum_v log p[v]` (paper, 5.4), `token_nll[t] = -log p[label]`,
    `log_sum_exp[t]` of the row.

    - C1: labels and the results have a number a row of logits. C2: 0 <= smoothing < 1.

    ```mlir
    %loss, %nll, %lse = xf.cross_entropy %logits, %labels smoothing(0.1) : (tensor<?x37000xf32>, tensor<?xi32>) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
    ```
  }];
  let arguments = (ins XF_Matrix:$logits, XF_Ids:$labels, DefaultValuedAttr<F32Attr, "0.0f">:$smoothing);
  let results = (outs XF_Rows:$token_loss, XF_Rows:$token_nll, XF_Rows:$log_sum_exp);
  let flops = [{ 5 * extent.elements(getLogits()) }];
  let assemblyFormat = "$logits `,` $labels (`smoothing` `(` $smoothing^ `)`)? attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
  let extraDefinition = [{
    ::llvm::SmallVector<::mlir::xf::Requirement> $cppClass::getRequirements() {
      return {{RequirementKind::Rows, getLabels(), getLogits()}, {RequirementKind::Below, getLabels(), getLogits(), 1}};
    }
  }];
  let backward = [{
    ::llvm::SmallVector<::mlir::Value> grads(2);
    if (!active[0])
      return grads;
    if (cotangents[0])
      grads[0] = CrossEntropyBackwardOp::create(builder, loc, getLogits().getType(), cotangents[0], getLogits(), getLabels(), getLogSumExp(), getSmoothingAttr());
    if (cotangents[1]) { // token_nll is token_loss without smoothing
      ::mlir::Value nll = CrossEntropyBackwardOp::create(builder, loc, getLogits().getType(), cotangents[1], getLogits(), getLabels(), getLogSumExp(), builder.getF32FloatAttr(0));
      grads[0] = grads[0] ? ::mlir::Value(AddOp::create(builder, loc, nll.getType(), grads[0], nll)) : nll;
    }
    return grads;
  }];
}

def XF_CrossEntropyBackwardOp : XF_Primitive<"cross_entropy_backward", "Row", [XF_OwnExtents, DeclareOpInterfaceMethods<XF_KernelOpInterface, ["getInPlaceOperand", "getRequirements"]>]> {
  let summary = "gradient of cross_entropy's token_loss by the logits";
  let description = [{
    `result[t, v] = cotangent[t] (exp(logits[t, v] - log_sum_exp[t]) - (1 - smoothing) [v = label] - smoothing / V)`.

    - C1: result has logits' type, the others a number a row.

    ```mlir
    %dlogits = xf.cross_entropy_backward %dloss, %logits, %labels, %lse smoothing(0.1)
      : (tensor<?xf32>, tensor<?x37000xf32>, tensor<?xi32>, tensor<?xf32>) -> tensor<?x37000xf32>
    ```
  }];
  let arguments = (ins XF_Rows:$cotangent, XF_Matrix:$logits, XF_Ids:$labels, XF_Rows:$log_sum_exp, DefaultValuedAttr<F32Attr, "0.0f">:$smoothing);
  let results = (outs XF_Matrix:$result);
  let flops = [{ 4 * extent.elements(getLogits()) }];
  let assemblyFormat = "$cotangent `,` $logits `,` $labels `,` $log_sum_exp (`smoothing` `(` $smoothing^ `)`)? attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
  let extraDefinition = [{
    ::std::pair<unsigned, unsigned> $cppClass::getExtentSource(unsigned, unsigned dim) { return {1, dim}; }
    ::llvm::SmallVector<::mlir::xf::Requirement> $cppClass::getRequirements() {
      ::llvm::SmallVector<::mlir::xf::Requirement> required = requireEqualRows(*this);
      required.push_back({RequirementKind::Below, getLabels(), getLogits(), 1});
      return required;
    }
    // The gradient replaces the logits, row by row, where nothing in the kernel reads them afterwards.
    int $cppClass::getInPlaceOperand(unsigned) {
      for (::mlir::Operation *user : getLogits().getUsers())
        if (user != *this && (user->getBlock() != (*this)->getBlock() || (*this)->isBeforeInBlock(user)))
          return -1;
      return 1;
    }
  }];
}

def XF_MeanOp : XF_Primitive<"mean", "Scalar", [XF_Differentiable]> {
  let summary = "mean over tokens";
  let description = [{
    `result = (sum over t, in increasing t, of x[t]) / tokens`; 0 for no tokens.

    ```mlir
    %loss = xf.mean %token_loss : (tensor<?xf32>) -> tensor<f32>
    ```
  }];
  let arguments = (ins XF_Rows:$x);
  let results = (outs XF_Scalar:$result);
  let flops = [{ extent.elements(getX()) }];
  let assemblyFormat = "$x attr-dict `:` functional-type(operands, results)";
  let backward = [{ return {MeanBackwardOp::create(builder, loc, getX().getType(), cotangents[0], getX())}; }];
}

def XF_MeanBackwardOp : XF_Primitive<"mean_backward", "Scalar", [XF_OwnExtents]> {
  let summary = "gradient of mean";
  let description = [{
    `result[t] = cotangent / tokens`. `like` gives the number of tokens.

    ```mlir
    %dx = xf.mean_backward %dy, %x : (tensor<f32>, tensor<?xf32>) -> tensor<?xf32>
    ```
  }];
  let arguments = (ins XF_Scalar:$cotangent, AnyTypeOf<[XF_Rows, XF_Ids]>:$like);
  let results = (outs XF_Rows:$result);
  let flops = [{ extent.elements(getResult()) }];
  let assemblyFormat = "$cotangent `,` $like attr-dict `:` functional-type(operands, results)";
  let extraDefinition = [{ ::std::pair<unsigned, unsigned> $cppClass::getExtentSource(unsigned, unsigned) { return {1, 0}; } }];
}

def XF_LogSoftmaxOp : XF_Primitive<"log_softmax", "Row", [SameOperandsAndResultType]> {
  let summary = "log probabilities of every row";
  let description = [{
    `result[t, v] = logits[t, v] - log sum_w exp logits[t, w]`.
    - C1: one type throughout.

    ```mlir
    %p = xf.log_softmax %logits : tensor<?x37000xf32>
    ```
  }];
  let arguments = (ins XF_Matrix:$logits);
  let results = (outs XF_Matrix:$result);
  let flops = [{ 5 * extent.elements(getLogits()) }];
  let assemblyFormat = "$logits attr-dict `:` type($result)";
}

def XF_BlockStatisticsOp : XF_Primitive<"block_statistics", "TopK", [XF_OwnStatistics]> {
  let summary = "of every 64 logits of a row the largest, and the sum of their exponentials";
  let description = [{
    `maxima[t, b] = max of logits[t, v]`, `sums[t, b] = sum of exp(logits[t, v] - maxima[t, b])` over v = 64 b .. 64 b + 63, as far as there are logits. A projection computes them while its result is in
    cache: what xf.top_k needs to read few of the logits again.

    - C1: maxima and sums are tokens x ceil(vocabulary / 64).

    ```mlir
    %m, %s = xf.block_statistics %logits : (tensor<?x32000xf32>) -> (tensor<?x500xf32>, tensor<?x500xf32>)
    ```
  }];
  let arguments = (ins XF_Matrix:$logits);
  let results = (outs XF_Matrix:$maxima, XF_Matrix:$sums);
  let flops = [{ 4 * extent.elements(getLogits()) }];
  let assemblyFormat = "$logits attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
  let extraDeclaration = [{
    static constexpr int64_t columns = 64; // of a block
    static ::mlir::RankedTensorType statisticsType(::mlir::RankedTensorType logits);
  }];
  let extraDefinition = [{ bool $cppClass::isStatistic(unsigned) { return true; } }];
}

def XF_TopKOp : XF_Primitive<"top_k", "TopK", [XF_OwnExtents, XF_OwnReads, XF_OwnStatistics, XF_OwnRequirements]> {
  let summary = "the likeliest tokens of every row, for decoding";
  let description = [{
    `log_sum_exp[t] = log sum_v exp logits[t, v]`; `tokens[t, i]` is the token of the i-th largest of row t's logits, the lower one of equal ones first, and
    `values[t, i] = logits[t, tokens[t, i]] - log_sum_exp[t]`. There are as many as `ranks` has entries, whatever they are; those past the vocabulary are token -1 of value -inf. A logit that is no number is not among
    them, but makes log_sum_exp none.

    - C1: maxima and sums are as xf.block_statistics gives them of logits. C2: values and tokens are tokens x ranks, log_sum_exp a number a token.

    ```mlir
    %values, %tokens, %lse = xf.top_k %logits, %m, %s ranks(%ranks)
      : (tensor<?x32000xf32>, tensor<?x500xf32>, tensor<?x500xf32>, tensor<?xi32>) -> (tensor<?x?xf32>, tensor<?x?xi32>, tensor<?xf32>)
    ```
  }];
  let arguments = (ins XF_Matrix:$logits, XF_Matrix:$maxima, XF_Matrix:$sums, XF_Ids:$ranks);
  let results = (outs XF_Matrix:$values, 2DTensorOf<[I32]>:$tokens, XF_Rows:$log_sum_exp);
  let flops = [{ 4 * extent.elements(getMaxima()) }];
  let assemblyFormat = "$logits `,` $maxima `,` $sums `ranks` `(` $ranks `)` attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
  let extraDefinition = [{
    ::std::pair<unsigned, unsigned> $cppClass::getExtentSource(unsigned, unsigned dim) { return {dim == 0 ? 0 : 3, 0}; }
    ::llvm::SmallVector<::mlir::xf::Requirement> $cppClass::getRequirements() {
      return {{RequirementKind::Rows, getMaxima(), getLogits()}, {RequirementKind::Rows, getSums(), getLogits()}};
    }
    bool $cppClass::isStatistic(unsigned) { return true; }
    ::mlir::AffineExpr $cppClass::getElementsRead(unsigned operand, const ::mlir::xf::Extents &extent) {
      if (operand == 0) // a block for each
        return extent(getLogits(), 0) * extent(getRanks(), 0) * BlockStatisticsOp::columns;
      return extent.elements((*this)->getOperand(operand));
    }
  }];
}
#endif
