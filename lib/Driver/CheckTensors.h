//===- CheckTensors.h - tensors that --check compares -----------*- C++ -*-===//
// How far one is from another, in words too, and those of a compiled function's memory.
//===----------------------------------------------------------------------===//
#ifndef XF_LIB_DRIVER_CHECKTENSORS_H
#define XF_LIB_DRIVER_CHECKTENSORS_H

#include "mlir/IR/BuiltinTypes.h"
#include "xf/Reference/Interpreter.h"
#include "xf/Runtime/Tensor.h"

namespace mlir::xf {

/// The largest absolute value.
double largest(const reference::Tensor &tensor);

/// Where two tensors of one form differ most.
struct Difference {
  double most = 0;
  int64_t at = 0;

  Difference(const reference::Tensor &expected, const reference::Tensor &actual);
};

/// Whether values that are rounded to bf16 on their way have lost what they were.
bool isFar(const reference::Tensor &expected, const reference::Tensor &actual, bool hasCotangents);

bool sameForm(const reference::Tensor &a, const reference::Tensor &b);

/// Where they differ most, and by how much.
std::string describe(const reference::Tensor &expected, const reference::Tensor &actual);

/// A matrix of so many columns, without what lies between rows.
reference::Tensor withoutGaps(const ::xf::runtime::TensorView &memory, int64_t columns);

/// A tensor of a compiled function's memory. `dims`: its dynamic extents, which are passed.
reference::Tensor fromMemory(RankedTensorType type, void *data, const int64_t *&dims);

/// Memory for an input of a compiled function; of bf16 with what lies between rows.
::xf::runtime::OwnedTensor toMemory(const ::xf::runtime::TensorType &input, const reference::Tensor &tensor);

/// How large the terms of a sum were, by where the sum lies: one that cancels is as exact as they are, and so is what
/// is made of it.
class Terms {
public:
  double of(const ::xf::runtime::Operand &operand) const;
  void set(const ::xf::runtime::Operand &operand, double most) { sizes[placeOf(operand)] = most; }

private:
  using Place = std::tuple<::xf::runtime::Space, int64_t, int64_t>;
  static Place placeOf(const ::xf::runtime::Operand &operand) { return {operand.space, operand.index, operand.offset}; }
  std::map<Place, double> sizes;
};

} // namespace mlir::xf

#endif // XF_LIB_DRIVER_CHECKTENSORS_H
