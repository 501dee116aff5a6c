//===- Product.h - a product's kernel on the emulated GPU --------------------------------===//
// Kept apart from the compiler, whose headers know no exceptions.
//===--------------------------------------------------------------------------------===//
#ifndef XF_TEST_UNIT_GPU_PRODUCT_H
#define XF_TEST_UNIT_GPU_PRODUCT_H

#include <cstdint>
#include <string>

/// relu(A B + bias + into) of bf16, in f32 or bf16, by a kernel of these launch facts.
struct Product {
  int64_t m, n, k;
  bool transposeA = false, transposeB = false, hasBias = false, hasInto = false, hasRelu = false, isNarrow = false;
  int64_t columns = 64, shared = 0, blocks = 1; // of a tile; bytes; launched
  bool mapsResult = false;

  /// What is wrong with it: a fault of the emulator, or an element that is off by more than 1e-2 of what it is made of;
  /// "" where nothing is.
  std::string run(const std::string &ptx) const;
};

#endif // XF_TEST_UNIT_GPU_PRODUCT_H
