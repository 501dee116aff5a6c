//===- Linear.td - matrix products and their gradients ---------*- tablegen -*-===//
#ifndef XF_LINEAR_TD
#define XF_LINEAR_TD
include "xf/Dialect/XF/IR/XFBase.td"

def XF_LinearOp : XF_Primitive<"linear", "Matmul", [XF_Differentiable, XF_OwnFactors]> {
  let summary = "y = x W^T + b";
  let description = [{
    | operand | shape |
    |---|---|
    | x | tokens x in |
    | weight | out x in, or as xf.pack gives it |
    | bias | out |
    | result | tokens x out |

    - C1: x and weight agree on `in`. C2: bias has `out` elements. C3: result is tokens x out. C4: a packed weight is ceil(out / 32) x in x 32, or of i8 ceil(out / 32) x (in + 2 ceil(in / 32)) x 32.

    ```mlir
    %y = xf.linear %x, %w bias %b : (tensor<?x512xf32>, tensor<2048x512xf32>, tensor<2048xf32>) -> tensor<?x2048xf32>
    ```
  }];
  let arguments = (ins XF_Matrix:$x, XF_Weight:$weight, Optional<XF_Vector>:$bias);
  let results = (outs XF_Matrix:$result);
  let flops = [{ 2 * extent.elements(getX()) * extent(getResult(), 1) }];
  let assemblyFormat = "$x `,` $weight (`bias` $bias^)? attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
  let builders = [OpBuilder<(ins "::mlir::Value":$x, "::mlir::Value":$weight, "::mlir::Value":$bias)>];
  let extraDeclaration = [{
    bool isPacked() { return ::llvm::cast<::mlir::RankedTensorType>(getWeight().getType()).getRank() == 3; }
    bool isQuantized() { return ::llvm::cast<::mlir::RankedTensorType>(getWeight().getType()).getElementType().isInteger(8); }
  }];
  let extraDefinition = [{ bool $cppClass::isFactor(unsigned operand) { return operand < 2; } }];
  let backward = [{
    ::llvm::SmallVector<::mlir::Value> grads(getNumOperands());
    ::mlir::Value dy = cotangents[0];
    if (active[0])
      grads[0] = MatmulOp::create(builder, loc, getX().getType(), dy, getWeight(), ::mlir::Value(), false, false);
    if (active[1])
      grads[1] = MatmulOp::create(builder, loc, getWeight().getType(), dy, getX(), ::mlir::Value(), true, false);
    if (getBias() && active[2])
      grads[2] = ColumnSumOp::create(builder, loc, getBias().getType(), dy);
    return grads;
  }];
}

def XF_PackOp : XF_Primitive<"pack", "Pack"> {
  let summary = "a weight in the order in which products read it";
  let description = [{
    `result[p, k, c] = weight[32 p + c, k]`, and zero where there is no such row: panels of 32 columns of W^T, each of which a product reads from beginning to end (Goto & van de Geijn 2008).

    Of i8, a weight is quantized: 32 numbers of a row, k from 32 g on, have the scale `s = max over those k of |weight[r, k]| / 127`, in bf16, and in place of weight[r, k] stands `q = weight[r, k] / s`, rounded to the nearest integer from -127 to 127, of two the even one (0 where s is).
    Before each 32 rows of a panel come two with their 32 scales. A product multiplies by `q s`, so that what differs from a product by the weight itself is at most s / 2 an element, where s is a normal number.

    - C1: result is ceil(out / 32) x in x 32, or of i8 ceil(out / 32) x (in + 2 ceil(in / 32)) x 32.

    ```mlir
    %p = xf.pack %w : (tensor<2048x512xf32>) -> tensor<64x512x32xf32>
    ```
  }];
  let arguments = (ins XF_Matrix:$weight);
  let results = (outs XF_PackedWeight:$result);
  let flops = [{ 0 * extent.elements(getWeight()) }];
  let assemblyFormat = "$weight attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
  let extraDeclaration = [{
    static constexpr int64_t columns = 32; // of a panel: two of the widest vectors
    static constexpr int64_t group = 32;    // of i8: the numbers of a row that share a scale
    static constexpr int64_t scaleRows = 2; // of i8: those of a panel that a group's scales take
    /// Of elements of that type; null: of weight's own.
    static ::mlir::RankedTensorType packedType(::mlir::RankedTensorType weight, ::mlir::Type element = {});
    bool isQuantized() { return getResult().getType().getElementType().isInteger(8); }
  }];
}

def XF_MatmulOp : XF_Primitive<"matmul", "Matmul", [DeclareOpInterfaceMethods<XF_KernelOpInterface, ["getInPlaceOperand", "isFactor", "getRequirements"]>]> {
  let summary = "a general matrix product";
  let description = [{
    `result = into + op(a) op(b)`, op transposing where asked; `into` is zero where absent. Sums over the contracted extent run in increasing order in one
    chain an element (blocked by a constant), whatever the number of threads.

    - C1: op(a) is m x k, op(b) k x n, result (and into) m x n.

    ```mlir
    %dw = xf.matmul %dy, %x transpose_a : (tensor<?x2048xf32>, tensor<?x512xf32>) -> tensor<2048x512xf32>
    ```
  }];
  let arguments = (ins XF_Matrix:$a, XF_Matrix:$b, Optional<XF_Matrix>:$into, UnitAttr:$transpose_a, UnitAttr:$transpose_b);
  let results = (outs XF_Matrix:$result);
  let flops = [{ 2 * extent.elements(getA()) * extent(getB(), getTransposeB() ? 0 : 1) }];
  let assemblyFormat = "$a `,` $b (`into` $into^)? (`transpose_a` $transpose_a^)? (`transpose_b` $transpose_b^)? attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
  let extraDefinition = [{
    int $cppClass::getInPlaceOperand(unsigned) { return getInto() ? 2 : -1; }
    bool $cppClass::isFactor(unsigned operand) { return operand < 2; }
    ::llvm::SmallVector<::mlir::xf::Requirement> $cppClass::getRequirements() {
      ::llvm::SmallVector<::mlir::xf::Requirement> required; // of k, and of m
      if (!getTransposeB())
        required.push_back({RequirementKind::Rows, getB(), getA(), getTransposeA() ? 0u : 1u});
      else if (getTransposeA())
        required.push_back({RequirementKind::Rows, getA(), getB(), 1});
      if (getInto())
        required.push_back({RequirementKind::Rows, getInto(), getA(), getTransposeA() ? 1u : 0u});
      return required;
    }
  }];
}

def XF_ColumnSumOp : XF_Primitive<"column_sum", "Column"> {
  let summary = "sum over tokens: the gradient of a bias";
  let description = [{
    `result[c] = sum over t, in increasing t, of x[t, c]`, c the number of an element where result is no vector.

    - C1: result has as many elements as x features.

    ```mlir
    %db = xf.column_sum %dy : (tensor<?x2048xf32>) -> tensor<2048xf32>
    ```
  }];
  let arguments = (ins XF_Matrix:$x);
  let results = (outs StaticShapeTensorOf<[XF_Float]>:$result);
  let flops = [{ extent.elements(getX()) }];
  let assemblyFormat = "$x attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}
#endif
