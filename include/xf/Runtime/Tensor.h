//===- Tensor.h - Tensors in memory ------------------------------------------------------===//
// Views that name what lies somewhere, and tensors of our own: what goes into functions and comes out.
//===------------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_TENSOR_H
#define XF_RUNTIME_TENSOR_H

#include "xf/Runtime/Arena.h"
#include "xf/Runtime/Program.h"

#include <memory>

namespace xf::runtime {

/// A named tensor somewhere in memory.
struct TensorView {
  std::string_view name;
  ElementType type = ElementType::F32;
  std::vector<int64_t> shape;
  void *data = nullptr;
  const Arena *arena = nullptr; // that it is part of, and stays in

  int64_t elements() const;
  int64_t bytes() const { return elements() * byteWidth(type); }
};

std::string formatShape(std::span<const int64_t> shape);

/// A tensor with memory of its own, aligned to a cache line. Copies share it.
class OwnedTensor {
public:
  OwnedTensor(std::string name, ElementType type, std::vector<int64_t> shape);
  /// A copy; i64 is narrowed where `as` is i32, an error where a value does not fit.
  static Expected<OwnedTensor> copy(const TensorView &tensor, ElementType as);

  TensorView view() const { return {label, type, shape, storage->data()}; }
  template <typename T> T *as() const { return storage->as<T>(); }

private:
  std::string label;
  ElementType type;
  std::vector<int64_t> shape;
  std::shared_ptr<Pages> storage;
};
std::vector<TensorView> viewsOf(std::span<const OwnedTensor> tensors);

} // namespace xf::runtime

#endif // XF_RUNTIME_TENSOR_H
