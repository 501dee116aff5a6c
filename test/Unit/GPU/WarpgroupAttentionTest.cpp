//===- WarpgroupAttentionTest.cpp - attention on Hopper's tensor cores -------------------===//
// The compiler's kernels on lengths around their tiles and on packed batches, and what is seen of a barrier or a stride
// that is wrong.
//===--------------------------------------------------------------------------------===//
#include "Attention.h"
#include "Compile.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace llvm;

namespace {
struct Kernel : CompiledKernel {
  Kernel(Attention attention, bool isBackward, const std::string &text)
      : CompiledKernel(text), attention(std::move(attention)), isBackward(isBackward) {
    this->attention.shared = shared;
    this->attention.maps = maps;
    this->attention.workspace = workspace;
    this->attention.gridSum = gridSum;
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
  /// Its PTX without waiting at those barriers where so many threads meet and whose number a register has.
  std::string withoutMeetings(int64_t threads) const {
    std::string result, end = formatv(", {0};", threads).str();
    SmallVector<StringRef> lines;
    StringRef(ptx).split(lines, '\n');
    size_t kept = 0;
    for (StringRef line : lines)
      if (!line.contains("bar.sync \t%") || !line.ends_with(end))
        ++kept, result += (line + "\n").str();
    EXPECT_LT(kept, lines.size()) << "no barrier of " << threads << " threads";
    return result;
  }
};

/// What attention and its backward have in common: their last arguments, what is said of them, and their types.
struct Common {
  std::string arguments = "%qo: !i, %ko: !i", attributes, types = "!i, !i", declarations;
  Common(const Attention &a, bool isBackward)
      : attributes(formatv("heads({0}) {1}scale({2:f4}) {3}", a.heads,
                           a.sharers > 1 ? formatv("key_value_heads({0}) ", a.heads / a.sharers).str() : "", a.scale,
                           a.causal ? "causal" : "")
                       .str()),
        declarations(formatv("!i = tensor<?xi32>\n!s = tensor<?x{0}xf32>\n", a.heads).str()) {
    int64_t keyHeads = a.heads / a.sharers;
    for (auto [name, columns] : {std::pair("q", a.heads * a.features),
                                 {"k", keyHeads * a.features},
                                 {"v", keyHeads * a.valueFeatures},
                                 {"o", a.heads * a.valueFeatures}})
      declarations += formatv("!{0} = tensor<?x{1}xf32>\n!{0}b = tensor<?x{1}xbf16>\n", name, columns).str();
    if (a.window >= 0)
      attributes += formatv(" window({0})", a.window).str();
    if (!a.lengths.empty()) {
      arguments += ", %lengths: !i";
      attributes += " lengths(%lengths)";
      types += ", !i";
    }
    if (a.rate > 0) {
      arguments += ", %random: tensor<2xi64>, %site: i64";
      attributes += formatv(" dropout({0:f4}, %random, %site)", a.rate).str();
      types += ", tensor<2xi64>, i64";
    }
    if (a.hasRegion || a.isUneven || a.isOfHead || a.left != Attention::All)
      attributes +=
          " score() {\n  ^bb0(%x: f32, %head: index, %query: index, %key: index):" + regionOf(a, isBackward) + "\n  }";
  }

  static std::string regionOf(const Attention &a, bool isBackward) {
    std::string result = "%x", derivative = "%one", text = R"(
    %one = arith.constant 1.0 : f32)";
    if (a.hasRegion) {
      result = "%bent", derivative = "%slant";
      text += R"(
    %four = arith.constant 4.0 : f32
    %quarter = arith.constant 0.25 : f32
    %slope = arith.constant 0.05 : f32
    %y = arith.mulf %x, %quarter : f32
    %t = math.tanh %y : f32
    %capped = arith.mulf %t, %four : f32
    %away = arith.subi %key, %query : index
    %number = arith.index_cast %away : index to i32
    %distance = arith.sitofp %number : i32 to f32
    %bias = arith.mulf %distance, %slope : f32
    %bent = arith.addf %capped, %bias : f32
    %square = arith.mulf %t, %t : f32
    %slant = arith.subf %one, %square : f32)";
    }
    int64_t names = 0;
    auto define = [&](const std::string &what) {
      text += formatv("\n    %n{0} = {1}", names, what).str();
      return formatv("%n{0}", names++).str();
    };
    auto constant = [&](int64_t number) { return define(formatv("arith.constant {0} : index", number)); };
    auto plus = [&](const std::string &x, int64_t number) {
      return define(formatv("arith.addi {0}, {1} : index", x, constant(number)));
    };
    auto isAtMost = [&](std::string x, std::string y) {
      if (!a.isHidden)
        return define(formatv("arith.cmpi sle, {0}, {1} : index", x, y));
      for (std::string *number : {&x, &y}) {
        *number = define(formatv("arith.index_cast {0} : index to i32", *number));
        *number = define(formatv("arith.sitofp {0} : i32 to f32", *number));
      }
      return define(formatv("arith.cmpf ole, {0}, {1} : f32", x, y));
    };
    auto join = [&](StringRef op, const std::string &x, const std::string &y) {
      return define(formatv("arith.{0} {1}, {2} : i1", op, x, y));
    };
    if (a.isUneven) {
      std::string sum = "%one";
      for (const char *number : {"%query", "%key"}) {
        std::string next = define(formatv("arith.index_cast {0} : index to i32", plus(number, 1)));
        next = define(formatv("arith.sitofp {0} : i32 to f32", next));
        next = define(formatv("arith.divf %one, {0} : f32", next));
        sum = define(formatv("arith.addf {0}, {1} : f32", sum, next));
      }
      result = define(formatv("arith.mulf {0}, %x : f32", sum));
      derivative = define(formatv("arith.mulf {0}, %one : f32", sum));
    }
    if (a.isOfHead) {
      auto number = [&](const char *of) {
        return define(
            formatv("arith.sitofp {0} : i32 to f32", define(formatv("arith.index_cast {0} : index to i32", of))));
      };
      std::string slope =
          define(formatv("arith.mulf {0}, {1} : f32", number("%head"), define("arith.constant 0.01 : f32")));
      std::string bias = define(formatv("arith.mulf {0}, {1} : f32", slope, number("%key")));
      result = define(formatv("arith.addf {0}, {1} : f32", result, bias));
    }
    std::string isLeft;
    if (a.left == Attention::Window)
      isLeft = join("andi", isAtMost("%key", plus("%query", 40)), isAtMost("%query", plus("%key", 40)));
    else if (a.left == Attention::Causal)
      isLeft = isAtMost("%key", "%query");
    for (int64_t begin = 0; a.left == Attention::Blocks && begin < 1024; begin += 256) {
      std::string isIn = join("andi", isAtMost(constant(begin), "%key"), isAtMost("%key", constant(begin + 127)));
      isLeft = begin == 0 ? isIn : join("ori", isLeft, isIn);
    }
    for (auto [value, otherwise] : {std::pair(&result, "0xFF800000"), {&derivative, "0.0"}})
      if (a.left != Attention::All) {
        std::string other = define(formatv("arith.constant {0} : f32", otherwise));
        *value = define(formatv("arith.select {0}, {1}, {2} : f32", isLeft, *value, other));
      }
    std::string yielded = isBackward ? result + ", " + derivative + " : f32, f32" : result + " : f32";
    return text + "\n    xf.yield " + yielded;
  }
};

/// As the compiler makes kernels: of bf16 in memory, and f32 at work.
Kernel forwardOf(Attention a) {
  Common common(a, /*isBackward=*/false);
  return {a, false,
          formatv("{0}func.func private @attention(%q: !qb, %k: !kb, %v: !vb, {1}) -> (!ob, !s) "
                  "attributes {{xf.kernel = #xf<kernel attention>} {{\n"
                  "  %qf = xf.cast %q : !qb to !q\n  %kf = xf.cast %k : !kb to !k\n  %vf = xf.cast %v : !vb to !v\n"
                  "  %o, %s = xf.attention %qf, %kf, %vf offsets(%qo, %ko) {2} : (!q, !k, !v, {3}) -> (!o, !s)\n"
                  "  %ob = xf.cast %o : !o to !ob\n  return %ob, %s : !ob, !s\n}",
                  common.declarations, common.arguments, common.attributes, common.types)
              .str()};
}

Kernel backwardOf(Attention a, const std::string &schedule = "") {
  Common common(a, /*isBackward=*/true);
  std::string form = schedule.empty() ? "" : ", xf.schedule = " + schedule;
  return {a, true,
          formatv("{0}func.func private @attention(%do: !ob, %q: !qb, %k: !kb, %v: !vb, %o: !ob, %s: !s, {1}) "
                  "-> (!qb, !kb, !vb) attributes {{xf.kernel = #xf<kernel attention_backward>{4}} {{\n"
                  "  %dof = xf.cast %do : !ob to !o\n  %qf = xf.cast %q : !qb to !q\n  %kf = xf.cast %k : !kb to !k\n"
                  "  %vf = xf.cast %v : !vb to !v\n  %of = xf.cast %o : !ob to !o\n"
                  "  %dq, %dk, %dv = xf.attention_backward %dof, %qf, %kf, %vf, %of, %s offsets(%qo, %ko) {2} "
                  ": (!o, !q, !k, !v, !o, !s, {3}) -> (!q, !k, !v)\n"
                  "  %dqb = xf.cast %dq : !q to !qb\n  %dkb = xf.cast %dk : !k to !kb\n"
                  "  %dvb = xf.cast %dv : !v to !vb\n  return %dqb, %dkb, %dvb : !qb, !kb, !vb\n}",
                  common.declarations, common.arguments, common.attributes, common.types, form)
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

// All widths of heads, those of whole panels in both places; of two heads that share keys, too.
TEST(WarpgroupAttention, EveryWidth) {
  for (auto [features, valueFeatures] : {std::pair(32, 32), {64, 64}, {64, 128}, {96, 96}, {128, 64}, {128, 128}})
    for (bool causal : {false, true}) {
      Attention problem = attention(features, causal, 2);
      problem.valueFeatures = valueFeatures;
      problem.sharers = causal ? 2 : 1;
      for (bool isBackward : {false, true}) {
        Kernel kernel = isBackward ? backwardOf(problem) : forwardOf(problem);
        EXPECT_TRUE(StringRef(kernel.ptx).contains("wgmma"));
        for (auto [queries, keys] : {std::pair(200, 300), {65, 70}})
          EXPECT_EQ(kernel.run({queries}, {keys}), "")
              << features << " " << valueFeatures << " " << causal << " " << queries << " x " << keys;
      }
    }
}

// Sequences of any lengths side by side: blocks that have rows of several, sequences without rows, queries that see no
// key. Each gives the bits that it gives alone.
TEST(WarpgroupAttention, Packed) {
  std::vector<int64_t> queryCounts{1, 30, 0, 64, 150, 7, 20, 300, 5}, keyCounts{1, 30, 40, 64, 150, 0, 140, 10, 260};
  for (int64_t features : {32, 64, 128})
    for (bool causal : {false, true})
      for (bool isBackward : {false, true}) {
        Attention problem = attention(features, causal, 2);
        problem.sharers = causal ? 1 : 2;
        Kernel kernel = isBackward ? backwardOf(problem) : forwardOf(problem);
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

// Windows and lengths, of blocks that have rows of several sequences. Lengths are in no order, and may be none or more
// than there are.
TEST(WarpgroupAttention, Ranges) {
  std::vector<int64_t> queryCounts{1, 30, 0, 65, 128, 7, 200}, keyCounts{1, 30, 40, 64, 70, 0, 260};
  for (bool causal : {false, true})
    for (int64_t window : {-1, 0, 70})
      for (bool hasLengths : {false, true}) {
        if (window < 0 && !hasLengths)
          continue;
        Attention problem = attention(64, causal);
        problem.window = window;
        for (int64_t row = 0; hasLengths && row < 431; ++row)
          problem.lengths.push_back(int32_t(row * 37 % 280 - 10));
        for (bool isBackward : {false, true}) {
          Kernel kernel = isBackward ? backwardOf(problem) : forwardOf(problem);
          EXPECT_EQ(kernel.run(queryCounts, keyCounts), "") << causal << " " << window << " " << hasLengths;
        }
      }
}

// Dropout draws what docs/Program.md says, wherever a warpgroup's keys begin in their sequence.
TEST(WarpgroupAttention, Dropout) {
  for (bool causal : {false, true})
    for (int64_t features : {64, 128}) {
      Attention problem = attention(features, causal, 2);
      problem.rate = 0.3;
      problem.sharers = causal == (features == 64) ? 2 : 1;
      for (bool isBackward : {false, true}) {
        Kernel kernel = isBackward ? backwardOf(problem) : forwardOf(problem);
        EXPECT_EQ(kernel.run({1, 30, 0, 65, 128, 7, 200}, {1, 30, 40, 64, 70, 0, 260}), "") << features << causal;
        // Blocks of keys that no query sees, which have no steps.
        EXPECT_EQ(kernel.run({0, 20}, {300, 30}), "") << features << causal;
      }
    }
}

// A region that bends scores and adds to them by the distance; in wide heads with dropout and lengths, for which
// gradients are summed in turn, and in the widest with a window too.
TEST(WarpgroupAttention, Region) {
  for (int64_t features : {32, 64, 96, 128})
    for (bool causal : {false, true})
      for (bool isBackward : {false, true}) {
        Attention problem = attention(features, causal, 2);
        problem.hasRegion = true;
        problem.sharers = causal == (features % 64 == 0) ? 2 : 1;
        if (features != 64) {
          problem.rate = 0.3;
          for (int64_t row = 0; row < 301; ++row)
            problem.lengths.push_back(int32_t(row * 37 % 280 - 10));
        }
        if (features == 128)
          problem.window = 70;
        Kernel kernel = isBackward ? backwardOf(problem) : forwardOf(problem);
        EXPECT_TRUE(StringRef(kernel.ptx).contains("wgmma"));
        EXPECT_EQ(kernel.run({1, 30, 0, 65, 128, 7, 70}, {1, 30, 40, 64, 70, 0, 260}), "")
            << features << causal << isBackward;
      }
}

// Groups of three heads that share keys, with a region that asks for the head. Where queries are few, a block has
// several blocks of keys, of one head and of the other.
TEST(WarpgroupAttention, SharedKeys) {
  for (int64_t features : {64, 128})
    for (bool isBackward : {false, true}) {
      Attention problem = attention(features, /*causal=*/features == 64, 6);
      problem.sharers = 3;
      problem.isOfHead = true;
      problem.rate = features == 64 ? 0 : 0.3;
      Kernel kernel = isBackward ? backwardOf(problem) : forwardOf(problem);
      EXPECT_TRUE(StringRef(kernel.ptx).contains("wgmma"));
      for (auto [queries, keys] : std::vector<std::pair<std::vector<int64_t>, std::vector<int64_t>>>{
               {{1, 30, 0, 65, 140}, {1, 30, 40, 64, 140}}, {{0, 5}, {500, 7}}, {{0}, {1}}})
        EXPECT_EQ(kernel.run(queries, keys), "") << features << " " << isBackward << " " << keys[0];
    }
}

// A region that is infinite, with its derivative, where a block counts rows of other sequences: before the first query,
// and before the first key.
TEST(WarpgroupAttention, RegionsThatDivide) {
  for (auto [features, causal] : {std::pair(32, true), {64, false}, {128, false}})
    for (bool isBackward : {false, true}) {
      Attention problem = attention(features, causal);
      problem.isUneven = true;
      Kernel kernel = isBackward ? backwardOf(problem) : forwardOf(problem);
      EXPECT_TRUE(StringRef(kernel.ptx).contains("wgmma"));
      EXPECT_EQ(kernel.run({1, 30, 0, 65, 7}, {1, 30, 40, 65, 9}), "") << features << causal << isBackward;
    }
}

// Regions that mask blocks: a window, later keys, blocks in between. Each gives the bits that it gives where no block
// is passed over.
TEST(WarpgroupAttention, RegionsThatMask) {
  for (auto [left, features] :
       {std::pair(Attention::Window, 64), {Attention::Window, 128}, {Attention::Causal, 128}, {Attention::Blocks, 64}})
    for (bool isBackward : {false, true}) {
      Attention problem = attention(features, /*causal=*/false);
      problem.left = left;
      problem.hasRegion = features == 64;
      for (int64_t row = 0; row < 431 && features == 128; ++row)
        problem.lengths.push_back(int32_t(row * 37 % 700 - 10));
      std::vector<Attention::Result> results[2];
      for (bool isHidden : {false, true}) {
        problem.isHidden = isHidden;
        Kernel kernel = isBackward ? backwardOf(problem) : forwardOf(problem);
        EXPECT_TRUE(StringRef(kernel.ptx).contains("wgmma"));
        EXPECT_EQ(kernel.run({1, 30, 0, 65, 128, 7, 200}, {1, 30, 40, 64, 570, 0, 660}), "")
            << left << " " << features << " " << isBackward << " " << isHidden;
        results[isHidden] = kernel.attention.results;
      }
      for (auto [passing, visiting] : zip_equal(results[0], results[1]))
        EXPECT_EQ(passing.bits, visiting.bits) << left << " " << features << " " << isBackward;
    }
}

// What is in steps that a region masks is never looked at: what is no number there leaves no trace, but where nobody
// can say that they are masked.
TEST(WarpgroupAttention, PassesOverWhatRegionsMask) {
  for (auto left : {Attention::Window, Attention::Causal, Attention::Blocks})
    for (bool isBackward : {false, true})
      for (bool isHidden : {false, true}) {
        if (left == Attention::Causal && !isBackward)
          continue; // a query's scores are masked, whatever they are
        Attention problem = attention(64, /*causal=*/false);
        problem.left = left;
        problem.isHidden = isHidden;
        std::vector<int64_t> queries{400}, keys{400};
        if (left == Attention::Window) // queries stand at keys from 336 on
          queries = {64}, problem.noKeys = {0, 256};
        else if (left == Attention::Causal) // the last 64 queries see any keys
          keys = {64}, problem.noQueries = {0, 256};
        else
          problem.noKeys = {128, 256};
        Kernel kernel = isBackward ? backwardOf(problem) : forwardOf(problem);
        EXPECT_EQ(kernel.run(queries, keys).empty(), !isHidden) << left << " " << isBackward << " " << isHidden;
      }
}

// Of machine code: no number in local memory and no product that waits for another, and, forward, nothing that waits
// for memory, and a step's exponentials between the product of the step before and its wait, which ptxas would rather
// move behind it.
TEST(WarpgroupAttention, Assembles) {
  Attention causal = attention(64, /*causal=*/true, 8), wide = attention(128, /*causal=*/true, 8), all = causal,
            bent = causal;
  wide.sharers = all.sharers = 4;
  causal.rate = wide.rate = all.rate = 0.1;
  all.window = 100;
  all.lengths = {1};
  bent.hasRegion = true;
  for (const Attention &problem : {causal, wide, all, bent}) {
    Attention backward = problem; // with as much as is chosen for it
    if (problem.features == 128 || problem.window >= 0)
      backward.rate = 0;
    EXPECT_EQ(backwardOf(backward).wrongFor("sm_90a"), "");
    std::vector<uint16_t> operations;
    EXPECT_EQ(forwardOf(problem).wrongFor("sm_90a", &operations), "");
    constexpr uint16_t productOfRegisters = 0xdf0, exponential = 0x308, waitForProducts = 0x9c5, waitForMemory = 0x992;
    int64_t steps = 0;
    auto begin = operations.begin(), end = operations.end();
    for (; begin != end; begin = std::find(std::next(begin), end, productOfRegisters)) {
      auto scores = std::find(begin, end, waitForProducts); // then the step's exponentials, up to the product's wait
      auto outputs = scores == end ? end : std::find(std::next(scores), end, waitForProducts);
      bool isLast = std::find(std::next(begin), outputs, productOfRegisters) == outputs;
      steps += isLast && std::count(scores, outputs, exponential) >= 64;
    }
    EXPECT_EQ(steps, problem.window < 0 ? 2 : 3);
    auto last = std::find(operations.rbegin(), operations.rend(), productOfRegisters).base();
    EXPECT_EQ(std::count(operations.begin(), last, waitForMemory), 0);
  }
}

// What is changed in the PTX of a kernel that is right.
TEST(WarpgroupAttention, FindsWhatIsWrong) {
  if (!isEmulated())
    GTEST_SKIP() << "is for the emulated GPU";
  Kernel forward = forwardOf(attention(128, /*causal=*/false)), backward = backwardOf(attention(64, /*causal=*/true));
  auto expectFound = [](Kernel &kernel, StringRef from, StringRef to, std::initializer_list<StringRef> parts) {
    std::string found = kernel.run(kernel.seeded(from.str(), to.str()));
    EXPECT_TRUE(any_of(parts, [&](StringRef part) { return StringRef(found).contains(part); }))
        << from.str() << ": " << found;
  };
  ASSERT_EQ(forward.run({100, 30}, {700, 300}), "");
  ASSERT_EQ(backward.run({300, 30}, {300, 300}), "");
  Attention dropped = attention(128, /*causal=*/false, 2);
  dropped.rate = 0.1;
  dropped.sharers = 2;
  Kernel narrow = forwardOf(attention(32, /*causal=*/false)), inTurn = backwardOf(dropped);
  ASSERT_EQ(narrow.run({100, 30}, {700, 300}), "");
  ASSERT_EQ(inTurn.run({100, 30}, {200, 70}), "");
  // No waiting for a stage to be full, and to be empty: the try succeeds at once.
  expectFound(forward, "@P1 bra.uni DONE;", "bra.uni DONE;", {"more arrive at a barrier", "races"});
  // Nobody says that a stage was read.
  expectFound(forward, "mbarrier.arrive.shared.b64", "//", {"deadlock"});
  // The last product, or the next scores, are not waited for.
  expectFound(forward, "wgmma.wait_group.sync.aligned 0;", "", {"accumulator"});
  expectFound(forward, "wgmma.wait_group.sync.aligned 1;", "wgmma.wait_group.sync.aligned 2;", {"accumulator"});
  expectFound(forward, "wgmma.fence.sync.aligned;", "", {"after the last wgmma.fence"});
  for (StringRef pending : {"0", "1"})
    expectFound(backward, ("wgmma.wait_group.sync.aligned " + pending + ";").str(),
                ("wgmma.wait_group.sync.aligned " + Twine(pending == "0" ? 1 : 2) + ";").str(), {"accumulator"});
  expectFound(forward, "fence.proxy.async.shared::cta;", "", {"without a fence"});
  // The next sixteen of k are 32 bytes further along a row, and 2048 bytes where k runs along columns; in units of 16.
  expectFound(forward, ", 2;\nmov.b64 rd_b", ", 4;\nmov.b64 rd_b", {"not"});
  expectFound(forward, ", 128;\nmov.b64 rd_b", ", 64;\nmov.b64 rd_b", {"not"});
  // Panels of 32 columns: the next 16 of k are as far, but further where k runs along columns.
  expectFound(narrow, ", 2;\nmov.b64 rd_b", ", 4;\nmov.b64 rd_b", {"not"});
  expectFound(narrow, ", 64;\nmov.b64 rd_b", ", 128;\nmov.b64 rd_b", {"not"});
  // Gradients in turn, of keys that two heads share: keys and values are filled again for the second time through the
  // queries.
  expectFound(inTurn, "mbarrier.arrive.shared.b64", "//", {"deadlock"});
  expectFound(inTurn, "bar.sync \t%", "// %", {"races"});
  // Tiles that the threads have read themselves are filled again.
  expectFound(backward, "fence.proxy.async.shared::cta;", "", {"read without a fence", "wrote without a fence"});
  // Where a warpgroup has no rows, its first warp goes ahead of what the others have seen.
  expectFound(backward, "bar.sync \t%", "// %", {"may still wait", "races"});
  // A warp writes results over queries that another's product may still read; a copy leaves before all have written.
  ASSERT_EQ(forward.run({128}, {300}), "");
  auto expectFoundOf = [](Kernel &kernel, int64_t threads, std::initializer_list<StringRef> parts) {
    std::string found = kernel.run(kernel.withoutMeetings(threads));
    EXPECT_TRUE(any_of(parts, [&](StringRef part) { return StringRef(found).contains(part); })) << threads << found;
  };
  expectFoundOf(forward, 128, {"races", "without a fence"});
  // Warpgroups tell each other whose turn it is, but don't wait for it.
  expectFoundOf(forward, 256, {"may still meet"});
  // Statistics are read before others have written them, and a stage is released before all have read it.
  Kernel all = backwardOf(attention(64, /*causal=*/false));
  ASSERT_EQ(all.run({128}, {128}), "");
  expectFound(all, "bar.sync \t%", "// %", {"races"});
}

//===-- The backward whose blocks add to the gradients of queries in order ----------------===//
namespace {
Kernel orderedOf(const Attention &attention) {
  return backwardOf(attention, "#xf.warpgroup_attention_schedule<columns = 64, stages = 2, ordered = true>");
}
} // namespace

// Lengths around a step's queries and a block's keys; of two heads that share keys, too.
TEST(OrderedBackward, EveryLength) {
  for (int64_t sharers : {1, 2})
    for (bool causal : {false, true}) {
      Attention problem = attention(64, causal, sharers);
      problem.sharers = sharers;
      Kernel kernel = orderedOf(problem);
      // What is left over of a tile is of either length.
      for (int64_t n = causal == (sharers == 1) ? 1 : 2; n <= 129; n += 2 * sharers)
        EXPECT_EQ(kernel.run({n / 2 + n % 3 * 64}, {n + n % 5 / 4 * 128}), "") << n << " " << causal << " " << sharers;
    }
}

// All widths of heads, and what ptxas has to say.
TEST(OrderedBackward, EveryWidth) {
  for (auto [features, valueFeatures] : {std::pair(32, 32), {64, 64}, {64, 128}, {96, 96}, {128, 64}, {128, 128}})
    for (bool causal : {false, true})
      for (int64_t sharers : {1, 2}) {
        Attention problem = attention(features, causal, 2);
        problem.valueFeatures = valueFeatures;
        problem.sharers = sharers;
        Kernel kernel = orderedOf(problem);
        EXPECT_EQ(kernel.wrongFor("sm_90a"), "") << features << " " << valueFeatures << " " << causal << " " << sharers;
        for (auto [queries, keys] : {std::pair(200, 300), {65, 70}, {300, 100}})
          EXPECT_EQ(kernel.run({queries}, {keys}), "")
              << features << " " << valueFeatures << " " << causal << " " << sharers << " " << queries << " x " << keys;
      }
}

// A sequence gives the bits that it gives alone, wherever it begins; with three heads to one of keys, too.
TEST(OrderedBackward, Packed) {
  std::vector<int64_t> queryCounts{1, 30, 0, 64, 150, 7, 20, 300, 5}, keyCounts{1, 30, 40, 64, 150, 0, 140, 10, 260};
  for (auto [features, causal, sharers] : {std::tuple(64, true, 1), {64, false, 3}, {128, false, 2}}) {
    Attention problem = attention(features, causal, sharers == 3 ? 3 : 2);
    problem.sharers = sharers;
    Kernel kernel = orderedOf(problem);
    ASSERT_EQ(kernel.run(queryCounts, keyCounts), "") << features << " " << causal << " " << sharers;
    std::vector<Attention::Result> together = kernel.attention.results;
    for (size_t s = 0; s < queryCounts.size(); ++s) {
      EXPECT_EQ(kernel.run({queryCounts[s]}, {keyCounts[s]}), "");
      for (auto [all, alone] : zip_equal(together, kernel.attention.results))
        EXPECT_TRUE(std::equal(alone.bits.begin(), alone.bits.end(), all.bits.begin() + all.firstOf[s]))
            << features << " " << causal << " " << sharers << " " << queryCounts[s] << " x " << keyCounts[s];
    }
  }
}

// Windows, lengths, dropout and a region, and all of them; each with heads that share keys and with others, and a
// region that asks for the head.
TEST(OrderedBackward, Masks) {
  std::vector<int64_t> queryCounts{1, 30, 0, 65, 7, 200}, keyCounts{1, 30, 40, 70, 0, 360};
  for (int64_t features : {64, 128})
    for (bool causal : {false, true})
      for (int which = 0; which < 5; ++which) {
        Attention problem = attention(features, causal, 2);
        if (causal != (features == 64))
          problem.sharers = 2;
        problem.isOfHead = problem.sharers == 2 && which == 3;
        if (which == 0 || which == 4)
          problem.window = 70;
        for (int64_t row = 0; (which == 1 || which == 4) && row < 431; ++row)
          problem.lengths.push_back(int32_t(row * 37 % 480 - 10));
        problem.rate = which == 2 || which == 4 ? 0.3 : 0;
        problem.hasRegion = which >= 3 && !problem.isOfHead;
        Kernel kernel = orderedOf(problem);
        EXPECT_EQ(kernel.run(queryCounts, keyCounts), "") << features << " " << causal << " " << which;
      }
}

// What is changed in the PTX of kernels that are right, one of them of three heads that share keys.
TEST(OrderedBackward, FindsWhatIsWrong) {
  if (!isEmulated())
    GTEST_SKIP() << "is for the emulated GPU";
  for (int64_t sharers : {1, 3}) {
    Attention problem = attention(64, /*causal=*/true, sharers);
    problem.sharers = sharers;
    Kernel kernel = orderedOf(problem);
    ASSERT_EQ(kernel.run({300, 30}, {300, 300}), "");
    auto expectFound = [&](StringRef from, StringRef to, std::initializer_list<StringRef> parts) {
      std::string found = kernel.run(kernel.seeded(from.str(), to.str()));
      EXPECT_TRUE(any_of(parts, [&](StringRef part) { return StringRef(found).contains(part); }))
          << from.str() << ": " << found;
    };
    // Sums that are released before they are in memory, or not at all, or that nobody waits for.
    expectFound("cp.async.bulk.wait_group ", "cp.async.bulk.wait_group.read ", {"races"});
    expectFound("st.release.gpu.global.u32", "// ", {"deadlock"});
    expectFound("red.release.gpu.global.add.u32", "// ", {"deadlock"});
    expectFound("fence.proxy.async.global;", "", {"without a fence"});
    expectFound("fence.proxy.async.shared::cta;", "", {"without a fence"});
    // The first adds to what nobody has written.
    expectFound("cp.async.bulk.global.shared::cta.bulk_group",
                "cp.reduce.async.bulk.global.shared::cta.bulk_group.add.f32", {"never written"});
    // Later ones write over what others have added.
    expectFound("cp.reduce.async.bulk.global.shared::cta.bulk_group.add.f32",
                "cp.async.bulk.global.shared::cta.bulk_group", {"query's gradient"});
    // What a head's first step is to share, and what a warpgroup left of a step, others read before it is there.
    EXPECT_THAT(kernel.run(kernel.withoutMeetings(128)), testing::HasSubstr("races"));
    // Slots of sums: the writer and warpgroups don't wait for each other.
    EXPECT_THAT(kernel.run(kernel.withoutMeetings(288)), testing::HasSubstr("never written"));
  }
}
