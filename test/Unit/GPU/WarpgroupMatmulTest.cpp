//===- WarpgroupMatmulTest.cpp - products on Hopper's tensor cores -----------------------===//
// The compiler's kernels at every tail of a tile, in all three forms; and what is seen of a barrier or a layout that is
// wrong.
//===--------------------------------------------------------------------------------===//
#include "Compile.h"
#include "Product.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include <gtest/gtest.h>

using namespace llvm;

namespace {
struct Kernel {
  std::string ptx;
  Product product;
};

/// The code of a product whose rows, or of a gradient (transposeA) whose sums, are as many as the launch says.
CompiledKernel compiledFor(const Product &product, int64_t parts) {
  constexpr int stages = 3, blocks = 1;
  return CompiledKernel(
      product.module(formatv("#xf.warpgroup_schedule<columns = {0}, stages = {1}, blocks = {2}, parts = {3}>",
                             product.columns, stages, blocks, parts)));
}

Kernel compile(Product product, int64_t parts = 1) {
  CompiledKernel compiled = compiledFor(product, parts);
  Kernel kernel{compiled.ptx, product};
  kernel.product.shared = compiled.shared;
  kernel.product.maps = int(compiled.maps.size());
  return kernel;
}

constexpr bool yes = true, no = false;
} // namespace

// Rows, one after another: less than a tile, and more than one, by blocks that take several; beside a bias, a matrix
// and one that the result takes the place of.
TEST(WarpgroupMatmul, EveryNumberOfRows) {
  const Product product{.m = 0, .n = 72, .k = 80, .transposeB = yes, .hasRelu = yes, .isNarrow = yes, .blocks = 3};
  Product other = product, into = product;
  other.hasBias = other.hasOther = yes;
  into.hasInto = into.hasOther = yes;
  std::vector<Kernel> kernels{compile(other), compile(into)};
  for (int64_t m = 1; m <= 129; ++m) {
    Kernel &kernel = kernels[m % 2];
    kernel.product.m = m + (m % 3) * 256;
    EXPECT_EQ(kernel.product.run(kernel.ptx), "") << kernel.product.m << " rows";
  }
}

// Sums, of none to more than all stages, that the copy engine adds to what memory has; or, where an op follows,
// threads.
TEST(WarpgroupMatmul, EveryLengthOfSums) {
  for (bool hasRelu : {no, yes}) {
    Kernel kernel = compile({.m = 136, .n = 64, .k = 0, .transposeA = yes, .hasInto = yes, .hasRelu = hasRelu});
    EXPECT_EQ(StringRef(kernel.ptx).contains("cp.reduce.async.bulk"), !hasRelu);
    for (int64_t k = 0; k <= 65; k += hasRelu ? 5 : 1) {
      kernel.product.k = k + (k % 4) * 64;
      EXPECT_EQ(kernel.product.run(kernel.ptx), "") << "sums of " << kernel.product.k;
    }
  }
}

// Sums in parts, some of which may have nothing to add; by fewer blocks than there are parts, and by more.
TEST(WarpgroupMatmul, PartsOfSums) {
  for (int64_t parts : {2, 8}) {
    Kernel kernel = compile({.m = 136, .n = 72, .k = 0, .transposeA = yes, .hasInto = yes}, parts);
    for (int64_t k : {0, 1, 64, 65, 128, 200, 333, 640})
      for (int64_t blocks : {1, 3, 20}) {
        kernel.product.k = k;
        kernel.product.blocks = blocks;
        EXPECT_EQ(kernel.product.run(kernel.ptx), "") << parts << " parts of " << k << " by " << blocks << " blocks";
      }
  }
}

TEST(WarpgroupMatmul, EveryNumberOfColumns) {
  for (int64_t n = 1; n <= 65; ++n) {
    Kernel kernel = compile({.m = 70,
                             .n = n,
                             .k = 24,
                             .transposeB = yes,
                             .hasBias = n % 2 == 0,
                             .hasOther = n % 5 < 2,
                             .isNarrow = n % 3 == 0,
                             .blocks = 2});
    EXPECT_EQ(kernel.product.run(kernel.ptx), "") << n << " columns";
  }
}

// Wide tiles, and their tails: what is loaded beside the last columns is zero, what is beside them is not stored.
TEST(WarpgroupMatmul, EveryTile) {
  for (int64_t columns : {64, 128, 192, 256})
    for (int64_t n : {columns, columns - 8, columns + 8, columns + 72})
      for (bool transposeB : {no, yes}) {
        Kernel kernel = compile({.m = 150,
                                 .n = n,
                                 .k = 136,
                                 .transposeB = transposeB,
                                 .hasRelu = n % 3 == 0,
                                 .hasOther = n % 3 == 1,
                                 .isNarrow = transposeB == (n % 3 == 0),
                                 .columns = columns,
                                 .blocks = 3});
        EXPECT_EQ(kernel.product.run(kernel.ptx), "") << columns << " " << n << " " << transposeB;
      }
}

// More rows than one band of tiles has, and a last band of fewer.
TEST(WarpgroupMatmul, BandsOfRows) {
  Kernel kernel =
      compile({.m = 128 * 17 + 1, .n = 130, .k = 24, .transposeB = yes, .isNarrow = yes, .columns = 64, .blocks = 7});
  EXPECT_EQ(kernel.product.run(kernel.ptx), "");
}

// Widths that no 16 bytes divide: rows have gaps between them, which nothing reads.
TEST(WarpgroupMatmul, RowsWithGaps) {
  for (int64_t width : {1, 7, 9, 63, 100, 129})
    for (auto [transposeA, transposeB] : {std::pair(no, no), {no, yes}, {yes, no}}) {
      Kernel kernel = compile({.m = transposeA ? width : 70,
                               .n = width + 2,
                               .k = transposeA ? 77 : width,
                               .transposeA = transposeA,
                               .transposeB = transposeB,
                               .isNarrow = transposeB,
                               .blocks = 2});
      EXPECT_EQ(kernel.product.run(kernel.ptx), "") << width << " " << transposeA << " " << transposeB;
    }
}

// Of machine code: no number in local memory, no product that waits for another, and between the first and the last of
// a loop nothing that waits for memory; whatever follows the sums, in the largest tiles.
TEST(WarpgroupMatmul, Assembles) {
  const Product base{.m = 512, .n = 520, .k = 512, .columns = 256};
  std::vector<std::pair<Product, int64_t>> products; // and parts
  for (auto [transposeA, transposeB] : {std::pair(no, no), {no, yes}, {yes, no}}) {
    Product product = base;
    product.transposeA = transposeA, product.transposeB = transposeB;
    product.hasBias = transposeB, product.hasRelu = yes, product.isNarrow = !transposeA;
    products.push_back({product, 1});
    product.hasOther = !transposeA, product.hasInto = transposeA;
    products.push_back({product, 1});
    product.hasOther = product.hasRelu = no, product.isNarrow = no;
    products.push_back({product, 1});
  }
  Product product = products.back().first;
  product.columns = 128;
  products.push_back({product, 8});
  for (auto &[product, parts] : products) {
    std::vector<uint16_t> operations;
    EXPECT_EQ(compiledFor(product, parts).wrongFor("sm_90a", &operations), "");
    constexpr uint16_t multiply = 0x9f0, waitForMemory = 0x992; // HGMMA, MEMBAR
    auto first = find(operations, multiply);
    ASSERT_NE(first, operations.end());
    auto last = std::find(operations.rbegin(), operations.rend(), multiply).base();
    EXPECT_EQ(std::count(first, last, multiply), 2 * 4); // the first step of a sum's, and those of the loop
    EXPECT_EQ(std::count(first, last, waitForMemory), 0);
  }
}

// What is changed in the PTX of a kernel that is right.
TEST(WarpgroupMatmul, FindsWhatIsWrong) {
  if (!isEmulated())
    GTEST_SKIP() << "is for the emulated GPU";
  Kernel kernel = compile({.m = 200, .n = 72, .k = 400, .transposeB = yes, .isNarrow = yes});
  ASSERT_EQ(kernel.product.run(kernel.ptx), "");
  auto seeded = [&](StringRef from, StringRef to) {
    std::string ptx = kernel.ptx;
    size_t at = ptx.find(from.str());
    EXPECT_NE(at, ptx.npos) << from.str();
    for (; at != ptx.npos; at = ptx.find(from.str(), at + to.size()))
      ptx.replace(at, from.size(), to.str());
    return kernel.product.run(ptx);
  };
  auto contains = [](const std::string &text, std::initializer_list<StringRef> parts) {
    return llvm::any_of(parts, [&](StringRef part) { return StringRef(text).contains(part); });
  };
  // No waiting for a stage to be full, and to be empty: the try succeeds at once.
  std::string unwaited = seeded("@P1 bra.uni DONE;", "bra.uni DONE;");
  EXPECT_TRUE(contains(unwaited, {"more arrive at a barrier"})) << unwaited;
  // Nobody says that a stage was read, or each says it twice.
  std::string unreleased = seeded("mbarrier.arrive.shared.b64", "//");
  EXPECT_TRUE(contains(unreleased, {"deadlock"})) << unreleased;
  // Products are not waited for.
  std::string pending = seeded("wgmma.wait_group.sync.aligned 0;", "");
  EXPECT_TRUE(contains(pending, {"accumulator"})) << pending;
  // One that is released is still being read.
  std::string early = seeded("wgmma.wait_group.sync.aligned \t1;", "wgmma.wait_group.sync.aligned \t2;");
  EXPECT_TRUE(contains(early, {"races", "not known to have written"})) << early;
  // Results are on their way to memory: their tile is not known to have been read when it is written again, or when the
  // block ends; the copy engine does not see what was written, or it was not written yet.
  std::string unread = seeded("cp.async.bulk.wait_group.read \t0;", "");
  EXPECT_TRUE(contains(unread, {"is not known to have read"})) << unread;
  std::string unseen = seeded("fence.proxy.async.shared::cta;", "");
  EXPECT_TRUE(contains(unseen, {"without a fence after"})) << unseen;
  StringRef ptx = kernel.ptx;
  std::string unmet = seeded(ptx.substr(ptx.find("bar.sync \t%r")).split('\n').first, "");
  EXPECT_TRUE(contains(unmet, {"races", "is not known to have read", "without a fence after"})) << unmet;
  // Fewer bytes are waited for than are copied.
  std::string bytes = seeded("24576;", "16384;");
  EXPECT_TRUE(contains(bytes, {"races", "never written", "deadlock", "is not"})) << bytes;
  // Eight rows are 1024 bytes: 512, or no swizzle. And the next 16 of k are 32 bytes.
  std::string stride = seeded("1073741888", "1073741856");
  EXPECT_TRUE(contains(stride, {"not", "out of bounds"})) << stride;
  std::string swizzle = seeded("1073741888", "64");
  EXPECT_TRUE(contains(swizzle, {"descriptor"})) << swizzle;
}

// Between two branches by the same condition LLVM would have one for each way, of which some threads take one.
TEST(WarpgroupMatmul, StaysInOnePlace) {
  std::string ptx = makePTX(R"(
llvm.func @kernel(%at: !llvm.ptr<1>, %x: f32) -> () attributes {nvvm.kernel} {
  %zero = llvm.mlir.constant(0 : i32) : i32
  %thread = nvvm.read.ptx.sreg.tid.x : i32
  %isFirst = llvm.icmp "eq" %thread, %zero : i32
  llvm.cond_br %isFirst, ^before, ^meet
^before:
  llvm.store volatile %x, %at : f32, !llvm.ptr<1>
  llvm.br ^meet
^meet:
  %y = llvm.inline_asm has_side_effects "wgmma.wait_group.sync.aligned 0;", "=f,0" %x : (f32) -> f32
  llvm.cond_br %isFirst, ^after, ^end
^after:
  llvm.store volatile %y, %at : f32, !llvm.ptr<1>
  llvm.br ^end
^end:
  llvm.return
})",
                            "sm_90a");
  EXPECT_EQ(StringRef(ptx).count("wgmma.wait_group"), 1u) << ptx;
}
