//===- TensorCoreMatmulTest.cpp - products by mma.sync -----------------------------------===//
// The compiler's kernels of bf16 and tf32 at every tail of a tile, in all three forms; what is seen of a barrier or a
// layout that is wrong; and that ptxas keeps everything in registers.
//===--------------------------------------------------------------------------------===//
#include "Compile.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include <gtest/gtest.h>

using namespace llvm;

namespace {
ProductKernel compile(Product product, const std::string &gpu = "sm_80") {
  product.blocks = 0;
  int64_t stages = std::min<int64_t>((48 << 10) / (64 * (product.rows + product.columns)), 4);
  std::string schedule = formatv("#xf.tensor_core_schedule<rows = {0}, columns = {1}, stages = {2}>", product.rows,
                                 product.columns, stages);
  return {CompiledKernel(product.module(schedule), gpu, product.isTF32), product};
}

constexpr bool yes = true, no = false;
constexpr std::pair<int64_t, int64_t> tiles[] = {{128, 128}, {128, 64}, {64, 128}, {64, 64}};
} // namespace

// Rows, one after another, of every tile.
TEST(TensorCoreMatmul, EveryNumberOfRows) {
  for (auto [rows, columns] : tiles)
    for (bool isTF32 : {no, yes}) {
      ProductKernel kernel = compile({.m = 0,
                                      .n = 72,
                                      .k = 45,
                                      .transposeB = yes,
                                      .hasBias = yes,
                                      .hasRelu = yes,
                                      .isNarrow = !isTF32,
                                      .isTF32 = isTF32,
                                      .columns = columns,
                                      .rows = rows});
      for (int64_t m = 1; m <= rows; m += isTF32 ? 3 : 1) {
        kernel.product.m = m + (m % 5 == 0) * rows;
        EXPECT_EQ(kernel.run(), "") << kernel.product.m << " rows of tiles of " << rows << " x " << columns;
      }
    }
}

// Sums, of none to more than all stages, as a gradient has them.
TEST(TensorCoreMatmul, EveryLengthOfSums) {
  for (bool isTF32 : {no, yes}) {
    ProductKernel kernel =
        compile({.m = 68, .n = 64, .k = 0, .transposeA = yes, .hasInto = yes, .isTF32 = isTF32, .rows = 64});
    for (int64_t k = 0; k <= 33; ++k) {
      kernel.product.k = k + (k % 4) * 32;
      EXPECT_EQ(kernel.run(), "") << "sums of " << kernel.product.k;
    }
  }
}

// Columns, and k or, of a gradient, rows: their numbers are known to the compiler.
TEST(TensorCoreMatmul, EveryNumberOfColumns) {
  for (int64_t n = 1; n <= 64; ++n)
    for (auto [transposeA, transposeB] : {std::pair(no, no), {no, yes}, {yes, no}})
      for (bool isTF32 : {no, yes}) {
        if (isTF32 && n % 3 != 1)
          continue;
        ProductKernel kernel = compile({.m = transposeA ? 65 - n : 66,
                                        .n = n + (n % 7 == 0) * 64,
                                        .k = transposeA ? 2 * n - 1 : n,
                                        .transposeA = transposeA,
                                        .transposeB = transposeB,
                                        .hasBias = transposeB && n % 2 == 0,
                                        .isNarrow = n % 3 == 0,
                                        .isTF32 = isTF32,
                                        .rows = 64});
        EXPECT_EQ(kernel.run(), "") << n << (isTF32 ? " of tf32" : "") << transposeA << transposeB;
      }
}

TEST(TensorCoreMatmul, EveryTile) {
  for (auto [rows, columns] : tiles)
    for (int64_t n : {columns - 8, columns + 35})
      for (auto [transposeA, transposeB] : {std::pair(no, no), {no, yes}, {yes, no}})
        for (bool isTF32 : {no, yes}) {
          ProductKernel kernel = compile({.m = transposeA ? n - 1 : 150,
                                          .n = n,
                                          .k = transposeA ? 77 : 136,
                                          .transposeA = transposeA,
                                          .transposeB = transposeB,
                                          .hasRelu = n % 2 == 0,
                                          .isNarrow = columns == 128,
                                          .isTF32 = isTF32,
                                          .columns = columns,
                                          .rows = rows});
          EXPECT_EQ(kernel.run(), "") << rows << " x " << columns << ": " << n << (isTF32 ? " of tf32" : "")
                                      << transposeA << transposeB;
        }
}

// More rows than one band of tiles has, and a last band of fewer.
TEST(TensorCoreMatmul, BandsOfRows) {
  ProductKernel kernel = compile({.m = 64 * 17 + 1, .n = 130, .k = 24, .transposeB = yes, .isNarrow = yes, .rows = 64});
  EXPECT_EQ(kernel.run(), "");
}

TEST(TensorCoreMatmul, PackedWeights) {
  for (int64_t n : {1, 31, 32, 100, 160})
    for (bool isTF32 : {no, yes}) {
      ProductKernel kernel = compile({.m = 70,
                                      .n = n,
                                      .k = n % 2 ? 33 : 40,
                                      .hasBias = n > 32,
                                      .isTF32 = isTF32,
                                      .isPacked = yes,
                                      .columns = n > 64 ? 128 : 64});
      EXPECT_EQ(kernel.run(), "") << n << (isTF32 ? " of tf32" : "");
    }
}

// A row's bits are those that it has alone, in tiles of any size.
TEST(TensorCoreMatmul, RowsDoNotDependOnOthers) {
  for (bool isTF32 : {no, yes}) {
    std::vector<float> alone, among;
    for (auto [rows, columns] : tiles) {
      ProductKernel kernel =
          compile({.m = 150, .n = 72, .k = 200, .transposeB = yes, .isTF32 = isTF32, .columns = columns, .rows = rows});
      EXPECT_EQ(kernel.product.run(kernel.compiled.ptx, &among), "");
      if (alone.empty()) {
        kernel.product.m = 1;
        EXPECT_EQ(kernel.product.run(kernel.compiled.ptx, &alone), "");
      }
      ASSERT_EQ(alone.size(), 72u);
      EXPECT_TRUE(std::equal(alone.begin(), alone.end(), among.begin())) << rows << " x " << columns;
    }
  }
}

// What is changed in the PTX of a kernel that is right.
TEST(TensorCoreMatmul, FindsWhatIsWrong) {
  if (!isEmulated())
    GTEST_SKIP() << "is for the emulated GPU";
  for (bool isTF32 : {no, yes}) {
    ProductKernel kernel = compile({.m = 200, .n = 72, .k = 200, .transposeB = yes, .isTF32 = isTF32, .columns = 128});
    ASSERT_EQ(kernel.run(), "");
    auto seeded = [&](const std::string &from, const std::string &to) {
      return kernel.product.run(kernel.compiled.seeded(from, to));
    };
    auto contains = [](const std::string &text, std::initializer_list<StringRef> parts) {
      return llvm::any_of(parts, [&](StringRef part) { return StringRef(text).contains(part); });
    };
    // Others' copies are not waited for, nor that they have read what is copied over.
    std::string barrier = seeded("bar.sync \t0;", "");
    EXPECT_TRUE(contains(barrier, {"races", "is not known to have written", "never written"})) << barrier;
    // One more copy may be on its way; a copy is in no group.
    std::string wait = seeded("cp.async.wait_group \t1;", "cp.async.wait_group \t2;");
    EXPECT_TRUE(contains(wait, {"is not known to have written"})) << wait;
    std::string commit = seeded("cp.async.commit_group;", "");
    EXPECT_TRUE(contains(commit, {"is not known to have written"})) << commit;
  }
  ProductKernel tf32 = compile({.m = 20, .n = 72, .k = 20, .transposeB = yes, .isTF32 = yes});
  std::string unrounded = tf32.product.run(tf32.compiled.seeded("cvt.rna.tf32.f32", "mov.b32"));
  EXPECT_NE(unrounded.find("not rounded to tf32"), unrounded.npos) << unrounded;
}

TEST(TensorCoreMatmul, StaysInRegisters) {
  for (auto [transposeA, transposeB] : {std::pair(no, no), {no, yes}, {yes, no}})
    for (bool isTF32 : {no, yes}) {
      ProductKernel kernel = compile({.m = 512,
                                      .n = 512,
                                      .k = 512,
                                      .transposeA = transposeA,
                                      .transposeB = transposeB,
                                      .hasBias = transposeB,
                                      .hasInto = transposeA,
                                      .hasRelu = yes,
                                      .isNarrow = !isTF32 && !transposeA,
                                      .isTF32 = isTF32,
                                      .columns = 128});
      EXPECT_EQ(kernel.compiled.wrongFor("sm_80"), "");
      if (transposeB)
        for (std::string gpu : {"sm_86", "sm_89", "sm_90"})
          EXPECT_EQ(kernel.compiled.wrongFor(gpu), "");
    }
}
