//===- Linear.cpp - matrix products and sums of columns as linalg ---------===//
#include "TensorBuilder.h"

namespace mlir::xf {

Results lower(LinearOp op, TensorBuilder &b) {
  Value start = b.empty(op);
  start = op.getBias() ? b.map(matrix(start), perColumn(op.getBias()), [](ArrayRef<Number> v) { return v[0]; })
                       : b.filled(start, 0);
  return {b.contract(matrix(start), {op.getX(), {0, 2}}, {op.getWeight(), {1, 2}})};
}

Results lower(MatmulOp op, TensorBuilder &b) {
  Value start = op.getInto() ? op.getInto() : b.filled(b.empty(op), 0);
  SmallVector<unsigned> a = {0, 2}, c = {2, 1};
  if (op.getTransposeA())
    std::swap(a[0], a[1]);
  if (op.getTransposeB())
    std::swap(c[0], c[1]);
  return {b.contract(matrix(start), {op.getA(), a}, {op.getB(), c})};
}

Results lower(ColumnSumOp op, TensorBuilder &b) {
  return {b.reduce(perColumn(b.filled(b.empty(op), 0)), matrix(op.getX()),
                   [](ArrayRef<Number> v, Number sum) { return sum + v[0]; })};
}
} // namespace mlir::xf
