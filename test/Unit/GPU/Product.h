//===- Product.h - a product's kernel on a GPU -----------------------------------------===//
// Kept apart from the compiler, whose headers know no exceptions.
//===--------------------------------------------------------------------------------===//
#ifndef XF_TEST_UNIT_GPU_PRODUCT_H
#define XF_TEST_UNIT_GPU_PRODUCT_H

#include <cstdint>
#include <string>
#include <vector>

/// relu(A B + bias + into), of which `hasOther` leaves what stands where another matrix, of the result's type, is above
/// 0, of bf16 (isTF32: f32 that is rounded), in f32 or bf16, by a kernel of these launch facts.
struct Product {
  int64_t m, n, k;
  bool transposeA = false, transposeB = false, hasBias = false, hasInto = false, hasRelu = false, hasOther = false,
       isNarrow = false, isTF32 = false, isPacked = false; // B, in panels of 32 columns
  int64_t columns = 64, shared = 0, blocks = 1; // of a tile; bytes; launched, as many as there are tiles where 0
  int maps = 0;                                 // tensor maps: of A and B, of the result, and of the other matrix
  int64_t rows = 128;                           // of a tile
  double tolerance = 0;                         // if not what the numbers' type allows

  /// The kernel's module, with rows, or of a gradient (transposeA) sums, that are as many as the launch says.
  std::string module(const std::string &schedule) const;

  /// What is wrong with it: a fault of the GPU, or an element that is off by more than 1e-2 of what it is made of
  /// (or `tolerance`);
  /// "" where nothing is. `given`: gets the result.
  std::string run(const std::string &ptx, std::vector<float> *given = nullptr) const;
};

#endif // XF_TEST_UNIT_GPU_PRODUCT_H
