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
  Kernel(Attention attention, bool isBackward, const std::string &text)
      : CompiledKernel(text), attention(std::move(attention)), isBackward(isBackward) {
    this->attention.shared = shared;
    this->attention.maps = maps;
  }
  Attention attention;
  bool isBackward;

  std::string run(const std::string &ptx) { return isBackward ? attention.backward(ptx) : attention.forward(ptx); }
  /// On sequences of these lengths.
  std::string run(std::vector<int64_t> queryCounts, std::vector<int64_t> keyCounts) {
    attention.queryCounts = std::move(queryCounts);
    attention.keyCounts = std::move(keyCounts);
    return run(ptx);
  }
};

std::string attributes(const Attention &a) {
  return formatv("heads({0}) scale({1:f4}) {2}", a.heads, a.scale, a.causal ? "causal" : "").str();
}

Kernel forwardOf(Attention a) {
  return {a, false,
          formatv("!k = tensor<?x{0}xbf16>\n!v = tensor<?x{1}xbf16>\n!i = tensor<?xi32>\n!s = tensor<?x{2}xf32>\n"
                  "func.func private @attention(%q: !k, %k: !k, %v: !v, %qo: !i, %ko: !i) -> (!v, !s) "
                  "attributes {{xf.kernel = #xf<kernel attention>} {{\n"
                  "  %o, %s = xf.attention %q, %k, %v offsets(%qo, %ko) {3} : (!k, !k, !v, !i, !i) -> (!v, !s)\n"
                  "  return %o, %s : !v, !s\n}",
                  a.heads * a.features, a.heads * a.valueFeatures, a.heads, attributes(a))
              .str()};
}

Kernel backwardOf(Attention a) {
  return {a, true,
          formatv("!k = tensor<?x{0}xbf16>\n!v = tensor<?x{1}xbf16>\n!i = tensor<?xi32>\n!s = tensor<?x{2}xf32>\n"
                  "func.func private @attention(%do: !v, %q: !k, %k: !k, %v: !v, %o: !v, %s: !s, %qo: !i, %ko: !i) "
                  "-> (!k, !k, !v) attributes {{xf.kernel = #xf<kernel attention_backward>} {{\n"
                  "  %dq, %dk, %dv = xf.attention_backward %do, %q, %k, %v, %o, %s offsets(%qo, %ko) {3} "
                  ": (!v, !k, !k, !v, !v, !s, !i, !i) -> (!k, !k, !v)\n  return %dq, %dk, %dv : !k, !k, !v\n}",
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

// Lengths, one after another: less than a warpgroup's rows and a step of columns, and more than a block's.
TEST(WarpgroupAttention, EveryLength) {
  for (bool causal : {false, true}) {
    Kernel forward = forwardOf(attention(64, causal)), backward = backwardOf(attention(64, causal));
    EXPECT_TRUE(StringRef(forward.ptx).contains("wgmma") && StringRef(backward.ptx).contains("wgmma"));
    for (int64_t n = 1; n <= 129; ++n) {
      EXPECT_EQ(forward.run({causal ? n : 1 + n % 2 * 64}, {n + n % 3 * 128}), "") << n << " " << causal;
      EXPECT_EQ(backward.run({n + n % 2 * 64}, {n + n % 3 * 64}), "") << n << " " << causal;
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
        for (bool isBackward : {false, true}) {
          if (isBackward && (features > 64 || valueFeatures > 64))
            continue; // by mma.sync
          Kernel kernel = isBackward ? backwardOf(problem) : forwardOf(problem);
          for (auto [queries, keys] : {std::pair(128, 128), {300, 300}, {65, 400}, {200, 70}})
            EXPECT_EQ(kernel.run({queries}, {keys}), "")
                << features << " " << valueFeatures << " " << causal << " " << queries << " x " << keys;
        }
      }
}

// Sequences of any lengths side by side: blocks that have rows of several, sequences without rows, queries that see no
// key. Each gives the bits that it gives alone.
TEST(WarpgroupAttention, Packed) {
  std::vector<int64_t> queryCounts{1, 30, 0, 64, 150, 7, 20, 300, 5}, keyCounts{1, 30, 40, 64, 150, 0, 140, 10, 260};
  for (int64_t features : {64, 128})
    for (bool causal : {false, true})
      for (bool isBackward : {false, true}) {
        if (isBackward && features > 64)
          continue; // by mma.sync
        Kernel kernel =
            isBackward ? backwardOf(attention(features, causal, 2)) : forwardOf(attention(features, causal, 2));
        ASSERT_EQ(kernel.run(queryCounts, keyCounts), "") << features << " " << causal << " " << isBackward;
        std::vector<Attention::Result> together = kernel.attention.results;
        for (size_t s = 0; s < queryCounts.size(); ++s) {
          EXPECT_EQ(kernel.run({queryCounts[s]}, {keyCounts[s]}), "");
          for (auto [all, alone] : zip_equal(together, kernel.attention.results)) {
            EXPECT_TRUE(std::equal(alone.bits.begin(), alone.bits.end(), all.bits.begin() + all.firstOf[s]))
                << features << " " << causal << " " << isBackward << " " << queryCounts[s] << " x " << keyCounts[s];
          }
        }
      }
}

// What is changed in the PTX of a kernel that is right.
TEST(WarpgroupAttention, FindsWhatIsWrong) {
  Kernel forward = forwardOf(attention(128, /*causal=*/false)), backward = backwardOf(attention(64, /*causal=*/true));
  auto expectFound = [](Kernel &kernel, StringRef from, StringRef to, std::initializer_list<StringRef> parts) {
    std::string found = kernel.run(kernel.seeded(from.str(), to.str()));
    EXPECT_TRUE(any_of(parts, [&](StringRef part) { return StringRef(found).contains(part); }))
        << from.str() << ": " << found;
  };
  ASSERT_EQ(forward.run({100, 30}, {700, 300}), "");
  ASSERT_EQ(backward.run({300, 30}, {300, 300}), "");
  // No waiting for a stage to be full, and to be empty: the try succeeds at once.
  expectFound(forward, "@P1 bra.uni DONE;", "bra.uni DONE;", {"more arrive at a barrier", "races"});
  // Nobody says that a stage was read.
  expectFound(forward, "mbarrier.arrive.shared.b64", "//", {"deadlock"});
  // The last product, or the next scores, are not waited for.
  expectFound(forward, "wgmma.wait_group.sync.aligned 0;", "", {"accumulator"});
  expectFound(forward, "wgmma.wait_group.sync.aligned 1;", "wgmma.wait_group.sync.aligned 2;", {"accumulator"});
  for (StringRef pending : {"0", "1"})
    expectFound(backward, ("wgmma.wait_group.sync.aligned " + pending + ";").str(),
                ("wgmma.wait_group.sync.aligned " + Twine(pending == "0" ? 1 : 2) + ";").str(), {"accumulator"});
  // A warp writes results over queries that another's product may still read; a copy leaves before all have written.
  expectFound(forward, "bar.sync \t%", "// %", {"races", "without a fence"});
  expectFound(forward, "fence.proxy.async.shared::cta;", "", {"without a fence"});
  // Statistics are read before others have written them, and a stage is released before all have read it.
  expectFound(backward, "bar.sync \t%", "// %", {"races"});
  // The next sixteen of k are 32 bytes further along a row, and 2048 bytes where k runs along columns.
  expectFound(forward, ", 4611686293305360386;", ", 4611686293305360388;", {"not"});
  expectFound(forward, ", 4611686293372403840;", ", 4611686293372403776;", {"not"});
}
