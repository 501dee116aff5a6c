//===- WarpgroupAttentionTest.cpp - attention on Hopper's tensor cores, emulated -----------===//
// The compiler's kernels on lengths around their tiles and on packed batches, and what is seen of a barrier or a stride
// that is wrong.
//===--------------------------------------------------------------------------------===//
#include "Attention.h"
#include "Compile.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include <gtest/gtest.h>

using namespace llvm;

namespace {
struct Kernel : CompiledKernel {
  Kernel(Attention attention, const std::string &text) : CompiledKernel(text), attention(std::move(attention)) {
    this->attention.shared = shared;
    this->attention.maps = maps;
  }
  Attention attention;
};

std::string attributes(const Attention &a) {
  return formatv("heads({0}) scale({1:f4}) {2}", a.heads, a.scale, a.causal ? "causal" : "").str();
}

Kernel forwardOf(Attention a) {
  return {a, formatv("!k = tensor<?x{0}xbf16>\n!v = tensor<?x{1}xbf16>\n!i = tensor<?xi32>\n!s = tensor<?x{2}xf32>\n"
                     "func.func private @attention(%q: !k, %k: !k, %v: !v, %qo: !i, %ko: !i) -> (!v, !s) "
                     "attributes {{xf.kernel = #xf<kernel attention>} {{\n"
                     "  %o, %s = xf.attention %q, %k, %v offsets(%qo, %ko) {3} : (!k, !k, !v, !i, !i) -> (!v, !s)\n"
                     "  return %o, %s : !v, !s\n}",
                     a.heads * a.features, a.heads * a.valueFeatures, a.heads, attributes(a))
                 .str()};
}

Attention attention(int64_t features, bool causal, int64_t heads = 1) {
  return {.queryCounts = {},
          .keyCounts = {},
          .heads = heads,
          .features = features,
          .valueFeatures = features,
          .causal = causal,
          .scale = 0.25};
}
} // namespace

// Lengths, one after another: less than a warpgroup's rows and a step of keys, and more than a block's.
TEST(WarpgroupAttention, EveryLength) {
  for (bool causal : {false, true}) {
    Kernel kernel = forwardOf(attention(64, causal));
    for (int64_t n = 1; n <= 129; ++n) {
      kernel.attention.queryCounts = {causal ? n : 1 + n % 2 * 64};
      kernel.attention.keyCounts = {n + n % 3 * 128};
      EXPECT_EQ(kernel.attention.forward(kernel.ptx), "")
          << kernel.attention.queryCounts[0] << " x " << kernel.attention.keyCounts[0] << " " << causal;
    }
  }
}

// Both widths of heads, in both places.
TEST(WarpgroupAttention, EveryWidth) {
  for (int64_t features : {64, 128})
    for (int64_t valueFeatures : {64, 128})
      for (bool causal : {false, true}) {
        Attention problem = attention(features, causal, 2);
        problem.valueFeatures = valueFeatures;
        Kernel kernel = forwardOf(problem);
        for (auto [queries, keys] : {std::pair(128, 128), {300, 300}, {65, 400}, {200, 70}}) {
          kernel.attention.queryCounts = {queries};
          kernel.attention.keyCounts = {keys};
          EXPECT_EQ(kernel.attention.forward(kernel.ptx), "")
              << features << " " << valueFeatures << " " << causal << " " << queries << " x " << keys;
        }
      }
}

// Sequences of any lengths side by side: blocks that have rows of several, sequences without rows, queries that see no
// key. Each gives the bits that it gives alone.
TEST(WarpgroupAttention, Packed) {
  std::vector<int64_t> queryCounts{1, 30, 0, 64, 150, 7, 20, 300, 5}, keyCounts{1, 30, 40, 64, 150, 0, 140, 10, 260};
  for (int64_t features : {64, 128})
    for (bool causal : {false, true}) {
      Kernel kernel = forwardOf(attention(features, causal, 2));
      kernel.attention.queryCounts = queryCounts;
      kernel.attention.keyCounts = keyCounts;
      ASSERT_EQ(kernel.attention.forward(kernel.ptx), "") << features << " " << causal;
      ArrayRef<uint16_t> rest = kernel.attention.results;
      std::vector<uint16_t> together = rest;
      rest = together;
      for (auto [queries, keys] : zip(queryCounts, keyCounts)) {
        kernel.attention.queryCounts = {queries};
        kernel.attention.keyCounts = {keys};
        EXPECT_EQ(kernel.attention.forward(kernel.ptx), "");
        EXPECT_TRUE(rest.take_front(kernel.attention.results.size()) == ArrayRef(kernel.attention.results))
            << features << " " << causal << " " << queries << " x " << keys;
        rest = rest.drop_front(kernel.attention.results.size());
      }
    }
}

// What is changed in the PTX of a kernel that is right.
TEST(WarpgroupAttention, FindsWhatIsWrong) {
  Kernel kernel = forwardOf(attention(128, /*causal=*/false));
  kernel.attention.queryCounts = {100, 30};
  kernel.attention.keyCounts = {700, 300};
  ASSERT_EQ(kernel.attention.forward(kernel.ptx), "");
  auto expectFound = [&](StringRef from, StringRef to, std::initializer_list<StringRef> parts) {
    std::string found = kernel.attention.forward(kernel.seeded(from.str(), to.str()));
    EXPECT_TRUE(any_of(parts, [&](StringRef part) { return StringRef(found).contains(part); }))
        << from.str() << ": " << found;
  };
  // No waiting for a stage to be full, and to be empty: the try succeeds at once.
  expectFound("@P1 bra.uni DONE;", "bra.uni DONE;", {"more arrive at a barrier", "races"});
  // Nobody says that a stage was read.
  expectFound("mbarrier.arrive.shared.b64", "//", {"deadlock"});
  // The last product, or the next scores, are not waited for.
  expectFound("wgmma.wait_group.sync.aligned 0;", "", {"accumulator"});
  expectFound("wgmma.wait_group.sync.aligned 1;", "wgmma.wait_group.sync.aligned 2;", {"accumulator"});
  // A warp writes results over queries that another's product may still read; a copy leaves before all have written.
  expectFound("bar.sync \t%", "// %", {"races", "without a fence"});
  expectFound("fence.proxy.async.shared::cta;", "", {"without a fence"});
  // The next sixteen of k are 32 bytes further along a row, and 2048 bytes where k runs along columns.
  expectFound(", 4611686293305360386;", ", 4611686293305360388;", {"not"});
  expectFound(", 4611686293372403840;", ", 4611686293372403776;", {"not"});
}
