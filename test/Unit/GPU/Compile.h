//===- Compile.h - one kernel, as PTX -----------------------------------------------------===//
#ifndef XF_TEST_UNIT_GPU_COMPILE_H
#define XF_TEST_UNIT_GPU_COMPILE_H

#include "Product.h"

#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

/// Whether kernels run on the emulated GPU, which sees what is wrong with them where hardware would not.
inline bool isEmulated() { return !std::getenv("XF_TEST_GPU"); }

/// PTX of a module's one kernel, and its launch facts; no PTX, and a failure of the test, where it can't be compiled.
struct CompiledKernel {
  std::string ptx;
  int64_t shared = 0;
  std::vector<std::array<int64_t, 3>> maps = {}; // operand, rows and columns of its boxes
  // Sums of terms: an operand (-1: one), its dimension, and how many times. Of memory that it takes, and of its grid.
  std::vector<std::array<int64_t, 3>> workspace = {}, gridSum = {};

  explicit CompiledKernel(const std::string &module, const std::string &gpu = "sm_90a", bool usesTF32 = false);
  /// The PTX with `from` replaced everywhere.
  std::string seeded(const std::string &from, const std::string &to) const;
  /// What ptxas finds wrong with it for this GPU: an error, a warning, or registers in local memory, or that there is
  /// no ptxas; "" where nothing is. `operations`: gets of each instruction the low 12 bits, which say what it does.
  std::string wrongFor(const std::string &gpu, std::vector<uint16_t> *operations = nullptr) const;
};

/// The PTX of a module in LLVM's dialect.
std::string makePTX(const std::string &module, const std::string &gpu);

/// A product and the kernel that is compiled of it.
struct ProductKernel {
  CompiledKernel compiled;
  Product product;
  std::string run() const { return product.run(compiled.ptx); }
};

#endif // XF_TEST_UNIT_GPU_COMPILE_H
