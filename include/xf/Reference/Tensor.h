//===- Tensor.h - the reference interpreter's values ------------*- C++ -*-===//
// A tensor of doubles or of integers. Copies share their elements: an op writes only to tensors that it has made.
//===----------------------------------------------------------------------===//
#ifndef XF_REFERENCE_TENSOR_H
#define XF_REFERENCE_TENSOR_H

#include <cstdint>
#include <memory>
#include <numeric>
#include <vector>

namespace mlir::xf::reference {

class Tensor {
public:
  using Shape = std::vector<int64_t>;

  Tensor() = default;
  static Tensor reals(Shape shape, double fill = 0) { return {std::move(shape), fill, true}; }
  static Tensor integers(Shape shape, int64_t fill = 0) { return {std::move(shape), double(fill), false}; }

  const Shape &shape() const { return extents; }
  int64_t rows() const { return extents[0]; }
  int64_t columns() const { return extents[1]; }
  int64_t elements() const { return std::accumulate(extents.begin(), extents.end(), int64_t(1), std::multiplies<>()); }
  bool isReal() const { return doubles != nullptr; }

  double &operator[](int64_t i) const { return (*doubles)[i]; }
  double &operator()(int64_t row, int64_t column) const { return (*doubles)[row * extents[1] + column]; }
  int64_t &integer(int64_t i) const { return (*ints)[i]; }
  double scalar() const { return (*doubles)[0]; }

  /// The same values in elements of its own.
  Tensor copy() const {
    Tensor result = *this;
    if (doubles)
      result.doubles = std::make_shared<std::vector<double>>(*doubles);
    if (ints)
      result.ints = std::make_shared<std::vector<int64_t>>(*ints);
    return result;
  }

private:
  Tensor(Shape shape, double fill, bool real) : extents(std::move(shape)) {
    if (real)
      doubles = std::make_shared<std::vector<double>>(elements(), fill);
    else
      ints = std::make_shared<std::vector<int64_t>>(elements(), int64_t(fill));
  }

  Shape extents;
  std::shared_ptr<std::vector<double>> doubles;
  std::shared_ptr<std::vector<int64_t>> ints;
};

} // namespace mlir::xf::reference

#endif // XF_REFERENCE_TENSOR_H
