//===- Tensor.cpp - Tensors in memory ----------------------------------------------------===//
// Sizes, and copies that narrow 64-bit ids.
//===------------------------------------------------------------------------------------===//
#include "xf/Runtime/Tensor.h"

#include <cstring>
#include <fmt/format.h>
#include <numeric>

using namespace xf::runtime;

int64_t TensorView::elements() const {
  return std::accumulate(shape.begin(), shape.end(), int64_t(1), std::multiplies<>());
}

std::string xf::runtime::formatShape(std::span<const int64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape.begin(), shape.end(), ", "));
}

OwnedTensor::OwnedTensor(std::string name, ElementType type, std::vector<int64_t> shape)
    : label(std::move(name)), type(type), shape(std::move(shape)) {
  Expected<Pages> pages = Pages::allocate(std::max<int64_t>(TensorView{label, type, this->shape}.bytes(), 1));
  if (!pages)
    throw std::bad_alloc();
  storage = std::make_shared<Pages>(std::move(*pages));
}

Expected<OwnedTensor> OwnedTensor::copy(const TensorView &tensor, ElementType to) {
  bool narrow = tensor.type == ElementType::I64 && to == ElementType::I32;
  OwnedTensor result(std::string(tensor.name), narrow ? to : tensor.type, tensor.shape);
  if (!narrow) {
    std::memcpy(result.as<char>(), tensor.data, tensor.bytes());
    return result;
  }
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    int64_t value;
    std::memcpy(&value, static_cast<const char *>(tensor.data) + i * 8, 8);
    if (value != int32_t(value))
      return userError(fmt::format("value {} of '{}' at index {} does not fit 32 bits", value, tensor.name, i));
    result.as<int32_t>()[i] = int32_t(value);
  }
  return result;
}

std::vector<TensorView> xf::runtime::viewsOf(std::span<const OwnedTensor> tensors) {
  std::vector<TensorView> views;
  for (const OwnedTensor &tensor : tensors)
    views.push_back(tensor.view());
  return views;
}
