//===- BlockMatmulTest.cpp - products on plain cores -------------------------------------===//
// The compiler's kernels of f32 at tails of both sizes of blocks, in all forms: rows that four numbers divide, which
// are read and written so, and others.
//===--------------------------------------------------------------------------------===//
#include "Compile.h"
#include "llvm/ADT/StringExtras.h"
#include <gtest/gtest.h>

using namespace llvm;

namespace {
ProductKernel compile(Product product, int64_t side) {
  product.isTF32 = true; // in memory
  product.tolerance = 1e-6;
  product.blocks = 0;
  product.rows = product.columns = side;
  return {CompiledKernel(product.module("#xf.block_schedule<side = " + std::to_string(side) + ">"), "sm_80"), product};
}

constexpr bool yes = true, no = false;
constexpr int64_t sides[] = {64, 128};
} // namespace

TEST(BlockMatmul, EveryNumberOfRows) {
  for (int64_t side : sides)
    for (int64_t n : {44, 45}) {
      ProductKernel kernel = compile({.m = 0, .n = n, .k = n, .transposeB = yes, .hasBias = yes, .hasRelu = yes}, side);
      for (int64_t m = 1; m <= side; ++m) {
        kernel.product.m = m + (m % 5 == 0) * side;
        EXPECT_EQ(kernel.run(), "") << kernel.product.m << " rows of blocks of " << side;
      }
    }
}

// Sums, of none to more than two turns, as a gradient has them.
TEST(BlockMatmul, EveryLengthOfSums) {
  for (int64_t m : {68, 67}) {
    ProductKernel kernel = compile({.m = m, .n = 68, .k = 0, .transposeA = yes, .hasInto = yes}, 64);
    for (int64_t k = 0; k <= 35; ++k) {
      kernel.product.k = k;
      EXPECT_EQ(kernel.run(), "") << "sums of " << k;
    }
  }
}

// Columns, and k or, of a gradient, rows: their numbers are known to the compiler.
TEST(BlockMatmul, EveryNumberOfColumns) {
  for (int64_t n = 1; n <= 64; ++n)
    for (auto [transposeA, transposeB] : {std::pair(no, no), {no, yes}, {yes, no}}) {
      int64_t side = n % 3 ? 64 : 128;
      ProductKernel kernel = compile({.m = transposeA ? 65 - n : 66,
                                      .n = n + (n % 7 == 0) * side,
                                      .k = transposeA ? 2 * n - 1 : n,
                                      .transposeA = transposeA,
                                      .transposeB = transposeB,
                                      .hasBias = transposeB && n % 2 == 0,
                                      .hasInto = transposeA && n % 2 == 0},
                                     side);
      EXPECT_EQ(kernel.run(), "") << n << transposeA << transposeB;
    }
}

TEST(BlockMatmul, PackedWeights) {
  for (int64_t n : {1, 31, 32, 100, 160}) {
    ProductKernel kernel = compile({.m = 70, .n = n, .k = 33, .hasBias = n > 32, .isPacked = yes}, n > 64 ? 128 : 64);
    EXPECT_EQ(kernel.run(), "") << n;
  }
}

// Bits are those of a row alone, in blocks of both sizes.
TEST(BlockMatmul, RowsDoNotDependOnOthers) {
  std::vector<float> alone, among;
  for (int64_t side : sides) {
    ProductKernel kernel = compile({.m = 150, .n = 72, .k = 200, .transposeB = yes}, side);
    EXPECT_EQ(kernel.product.run(kernel.compiled.ptx, &among), "");
    if (alone.empty()) {
      kernel.product.m = 1;
      EXPECT_EQ(kernel.product.run(kernel.compiled.ptx, &alone), "");
    }
    ASSERT_EQ(alone.size(), 72u);
    EXPECT_TRUE(std::equal(alone.begin(), alone.end(), among.begin())) << side;
  }
}

// The one barrier of a turn, and the second of the two places in shared memory.
TEST(BlockMatmul, FindsWhatIsWrong) {
  if (!isEmulated())
    GTEST_SKIP() << "is for the emulated GPU";
  ProductKernel kernel = compile({.m = 70, .n = 72, .k = 70, .transposeB = yes}, 64);
  ASSERT_EQ(kernel.run(), "");
  std::string barrier = kernel.product.run(kernel.compiled.seeded("bar.sync \t0;", ""));
  EXPECT_TRUE(barrier.find("races") != barrier.npos || barrier.find("never written") != barrier.npos) << barrier;
}

TEST(BlockMatmul, StaysInRegisters) {
  for (auto [transposeA, transposeB] : {std::pair(no, no), {no, yes}, {yes, no}})
    for (int64_t n : {512, 511})
      for (std::string gpu : {"sm_80", "sm_90a"}) {
        ProductKernel kernel = compile({.m = n,
                                        .n = n,
                                        .k = n,
                                        .transposeA = transposeA,
                                        .transposeB = transposeB,
                                        .hasBias = transposeB,
                                        .hasInto = transposeA,
                                        .hasRelu = yes},
                                       128);
        EXPECT_EQ(kernel.compiled.wrongFor(gpu), "") << n << transposeA << transposeB;
      }
}
