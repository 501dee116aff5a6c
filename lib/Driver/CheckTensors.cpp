//===- CheckTensors.cpp - tensors that --check compares -------------------===//
// Differences are as they are; by what one is measured, and how large it may be, is said where stages are compared.
//===----------------------------------------------------------------------===//
#include "CheckTensors.h"
#include "xf/Dialect/XF/IR/Memory.h"
#include "llvm/ADT/APFloat.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/FormatVariadic.h"
#include <cmath>

namespace mlir::xf {
namespace runtime = ::xf::runtime;
using reference::Tensor;

double largest(const Tensor &tensor) {
  double most = 0;
  for (int64_t i = 0; i < tensor.elements(); ++i)
    most = std::max(most, std::abs(tensor.isReal() ? tensor[i] : static_cast<double>(tensor.integer(i))));
  return most;
}

Difference::Difference(const Tensor &expected, const Tensor &actual) {
  for (int64_t i = 0; i < expected.elements(); ++i) {
    double difference = expected.isReal() ? std::abs(expected[i] - actual[i])
                                          : static_cast<double>(expected.integer(i) != actual.integer(i));
    // Not a number where there should be one differs; where both are it does not.
    if (std::isnan(difference))
      difference = std::isnan(expected[i]) == std::isnan(actual[i]) || expected[i] == actual[i]
                       ? 0
                       : std::numeric_limits<double>::infinity();
    if (difference > most) {
      most = difference;
      at = i;
    }
  }
}

/// All elements are measured together. Where there are cotangents it is mildly: a relu lets one through or not by a
/// sign, so one in some hundred is another. A loss is an average.
bool isFar(const Tensor &expected, const Tensor &actual, bool hasCotangents) {
  double difference = 0, norm = 0;
  for (int64_t i = 0; expected.isReal() && i < expected.elements(); ++i)
    if (std::isfinite(expected[i]) || expected[i] != actual[i]) {
      difference += (expected[i] - actual[i]) * (expected[i] - actual[i]);
      norm += expected[i] * expected[i];
    }
  constexpr double nothing = 1e-6; // squared: what rounding leaves of a sum that is 0, as the gradient of a key's bias
  return norm > nothing * expected.elements() && !(std::sqrt(difference / norm) <= (expected.shape().empty() ? 2e-2
                                                                                    : hasCotangents          ? 0.3
                                                                                                             : 3e-2));
}

bool sameForm(const Tensor &a, const Tensor &b) { return a.shape() == b.shape() && a.isReal() == b.isReal(); }

static std::string placeOf(const Tensor &tensor, int64_t index) {
  std::vector<int64_t> place(tensor.shape().size());
  for (size_t dim = place.size(); dim-- > 0; index /= std::max<int64_t>(tensor.shape()[dim], 1))
    place[dim] = index % std::max<int64_t>(tensor.shape()[dim], 1);
  return runtime::formatShape(place);
}

std::string describe(const Tensor &expected, const Tensor &actual) {
  Difference difference(expected, actual);
  auto number = [&](const Tensor &tensor) {
    return tensor.isReal() ? llvm::formatv("{0}", llvm::format("%.7g", tensor[difference.at])).str()
                           : std::to_string(tensor.integer(difference.at));
  };
  return llvm::formatv(
      "at {0} of {1} it is {2} where {3} was expected, which differs most: by {4} of the largest value",
      placeOf(expected, difference.at), runtime::formatShape(expected.shape()), number(actual), number(expected),
      llvm::format("%.2g", difference.most / std::max(largest(expected), 1e-30)));
}

Tensor withoutGaps(const runtime::TensorView &memory, int64_t columns) {
  int64_t bytes = runtime::byteWidth(memory.type), width = columns * bytes, pitch = memory.shape[1] * bytes;
  std::vector<char> rows(memory.shape[0] * width);
  for (int64_t row = 0; row < memory.shape[0]; ++row)
    std::memcpy(rows.data() + row * width, static_cast<char *>(memory.data) + row * pitch, width);
  return reference::fromView({"", memory.type, {memory.shape[0], columns}, rows.data()});
}

Tensor fromMemory(RankedTensorType type, void *data, const int64_t *&dims) {
  std::vector<int64_t> shape;
  for (int64_t size : type.getShape())
    shape.push_back(ShapedType::isDynamic(size) ? *dims++ : size);
  runtime::ElementType element = type.getElementType().isF32()         ? runtime::ElementType::F32
                                 : type.getElementType().isBF16()      ? runtime::ElementType::BF16
                                 : type.getElementType().isInteger(8)  ? runtime::ElementType::I8
                                 : type.getElementType().isInteger(32) ? runtime::ElementType::I32
                                                                       : runtime::ElementType::I64;
  if (MemRefType memory = memoryOf(type); hasGaps(memory))
    return withoutGaps({"", element, {shape[0], pitchOf(memory)}, data}, shape[1]);
  return reference::fromView({"", element, shape, data});
}

static uint16_t bitsOfBF16(double value) {
  llvm::APFloat number(value);
  bool loses;
  number.convert(llvm::APFloat::BFloat(), llvm::APFloat::rmNearestTiesToEven, &loses);
  return static_cast<uint16_t>(number.bitcastToAPInt().getZExtValue());
}

runtime::OwnedTensor toMemory(const runtime::TensorType &input, const Tensor &tensor) {
  runtime::ElementType type = input.type;
  std::vector<int64_t> shape = tensor.shape();
  int64_t columns = shape.empty() ? 1 : shape.back(), pitch = columns;
  if (!shape.empty() && input.shape.back().dim < 0)
    shape.back() = pitch = input.shape.back().size;
  runtime::OwnedTensor result(input.name, type, shape);
  for (int64_t i = 0; i < tensor.elements(); ++i)
    switch (type) {
    case runtime::ElementType::F32:
      result.as<float>()[i] = static_cast<float>(tensor[i]);
      break;
    case runtime::ElementType::BF16:
      result.as<uint16_t>()[i / columns * pitch + i % columns] = bitsOfBF16(tensor[i]);
      break;
    case runtime::ElementType::I32:
      result.as<int32_t>()[i] = static_cast<int32_t>(tensor.integer(i));
      break;
    default:
      result.as<int64_t>()[i] = tensor.integer(i);
    }
  return result;
}

double Terms::of(const runtime::Operand &operand) const {
  auto end = operand;
  end.index += std::max<int64_t>(operand.elements, 1); // of an array of the model, what lies in the part of it
  double most = 0;
  for (auto it = sizes.lower_bound(placeOf(operand)); it != sizes.end() && it->first < placeOf(end); ++it)
    if (std::get<2>(it->first) == operand.offset)
      most = std::max(most, it->second);
  return most;
}

} // namespace mlir::xf
