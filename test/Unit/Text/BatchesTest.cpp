//===- BatchesTest.cpp - Batches as a function of seed and epoch ----------------------===//
// Every plan holds every pair once, within its budget, and is the same whenever it is asked for.
//===----------------------------------------------------------------------------------===//
#include "xf/Runtime/Text/Batches.h"
#include "xf/Runtime/Philox.h"

#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>

using namespace xf::runtime;
using testing::ElementsAre;

/// Pairs of 1 to 17 source tokens (EOS among them) and 0 to 12 target tokens.
static SentencePairs makePairs(int64_t count) {
  SentencePairs pairs;
  for (int64_t i = 0; i < count; ++i) {
    pairs.source.emplace_back(1 + i * 7 % 17, int32_t(i));
    pairs.target.emplace_back(i * 5 % 13, int32_t(i));
  }
  return pairs;
}

static void expectEachOnce(const BatchPlan &plan, int64_t count) {
  std::vector<int64_t> all;
  for (const std::vector<int64_t> &batch : plan) {
    EXPECT_FALSE(batch.empty());
    all.insert(all.end(), batch.begin(), batch.end());
  }
  std::sort(all.begin(), all.end());
  ASSERT_EQ(int64_t(all.size()), count);
  for (int64_t i = 0; i < count; ++i)
    EXPECT_EQ(all[i], i);
}

static int64_t tokensOf(const SentencePairs &pairs, const std::vector<int64_t> &batch) {
  int64_t source = 0, target = 0;
  for (int64_t pair : batch) {
    source += int64_t(pairs.source[pair].size());
    target += int64_t(pairs.target[pair].size()) + 1;
  }
  return std::max(source, target);
}

// kat_vectors of Random123 1.14 (philox4x32, 10 rounds).
TEST(Philox, KnownAnswers) {
  EXPECT_THAT(philox({0, 0, 0, 0}, {0, 0}), ElementsAre(0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8));
  EXPECT_THAT(philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
              ElementsAre(0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd));
  EXPECT_THAT(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
              ElementsAre(0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1));
}

TEST(Batches, BySentencesHoldEveryPairOnce) {
  SentencePairs pairs = makePairs(100);
  BatchPlan plan = shuffledBatches(pairs, {.sentences = 8}, 1, 0);
  expectEachOnce(plan, 100);
  ASSERT_EQ(plan.size(), 13u);
  for (size_t i = 0; i + 1 < plan.size(); ++i)
    EXPECT_EQ(plan[i].size(), 8u);
  EXPECT_EQ(plan.back().size(), 4u);
}

TEST(Batches, ByTokensStayWithinTheBudget) {
  SentencePairs pairs = makePairs(2000);
  for (const BatchPlan &plan : {shuffledBatches(pairs, {.tokens = 50}, 1, 0), batchesByLength(pairs, {.tokens = 50})}) {
    expectEachOnce(plan, 2000);
    for (const std::vector<int64_t> &batch : plan)
      EXPECT_LE(tokensOf(pairs, batch), 50);
  }
}

TEST(Batches, ByTokensBringLikeLengthsTogether) {
  SentencePairs pairs = makePairs(2000);
  for (const std::vector<int64_t> &batch : shuffledBatches(pairs, {.tokens = 50}, 1, 0)) {
    auto [least, most] = std::ranges::minmax(batch, {}, [&](int64_t pair) { return pairs.target[pair].size(); });
    EXPECT_LE(pairs.target[most].size() - pairs.target[least].size(), 8u);
  }
}

TEST(Batches, AnOverlongPairIsABatchAlone) {
  SentencePairs pairs = makePairs(4);
  pairs.target[2].resize(100);
  BatchPlan plan = batchesByLength(pairs, {.tokens = 40});
  expectEachOnce(plan, 4);
  EXPECT_THAT(plan.back(), ElementsAre(2));
}

TEST(Batches, FollowFromSeedAndEpoch) {
  SentencePairs pairs = makePairs(300);
  for (BatchRecipe recipe : {BatchRecipe{.tokens = 60}, BatchRecipe{.sentences = 8}}) {
    BatchPlan plan = shuffledBatches(pairs, recipe, 7, 3);
    EXPECT_EQ(plan, shuffledBatches(pairs, recipe, 7, 3));
    EXPECT_NE(plan, shuffledBatches(pairs, recipe, 7, 4));
    EXPECT_NE(plan, shuffledBatches(pairs, recipe, 8, 3));
    EXPECT_NE(plan, shuffledBatches(pairs, recipe, 7 + (uint64_t(1) << 32), 3));
  }
}

TEST(Batches, OrdersAreUniform) {
  // 6 orders of 3, 6,000 draws: 1,000 each, give or take 5 standard deviations (29).
  std::map<std::vector<int64_t>, int> counts;
  for (int64_t epoch = 0; epoch < 6000; ++epoch)
    ++counts[shuffledOrder(3, 42, epoch)];
  ASSERT_EQ(counts.size(), 6u);
  for (const auto &[order, count] : counts)
    EXPECT_NEAR(count, 1000, 145);
}

TEST(Batches, PackPairs) {
  SentencePairs pairs;
  pairs.source = {{5, 6, 2}, {2}, {7, 2}};
  pairs.target = {{8}, {9, 10}, {}};
  int64_t indices[] = {2, 0, 1};
  PackedPairs packed = packPairs(pairs, indices, Vocabulary::ids(20));
  EXPECT_THAT(packed.sourceIds, ElementsAre(7, 2, 5, 6, 2, 2));
  EXPECT_THAT(packed.sourceOffsets, ElementsAre(0, 2, 5, 6));
  EXPECT_THAT(packed.targetIds, ElementsAre(1, 1, 8, 1, 9, 10));
  EXPECT_THAT(packed.labels, ElementsAre(2, 8, 2, 9, 10, 2));
  EXPECT_THAT(packed.targetOffsets, ElementsAre(0, 1, 3, 6));
  EXPECT_EQ(packed.tokens(), 12);
}

TEST(Windows, ShuffledOnesTileTheStream) {
  std::set<int64_t> offsets;
  for (int64_t epoch = 0; epoch < 50; ++epoch) {
    std::vector<int64_t> starts = shuffledWindows(103, 10, 1, epoch);
    std::sort(starts.begin(), starts.end());
    offsets.insert(starts[0]);
    EXPECT_LT(starts[0], 10);
    for (size_t i = 1; i < starts.size(); ++i)
      EXPECT_EQ(starts[i], starts[i - 1] + 10);
    EXPECT_LT(starts.back() + 10, 103);
    EXPECT_GE(starts.back() + 20, 103);
  }
  EXPECT_EQ(offsets.size(), 10u);
  EXPECT_EQ(shuffledWindows(103, 10, 1, 5), shuffledWindows(103, 10, 1, 5));
  EXPECT_THAT(shuffledWindows(11, 10, 1, 0), ElementsAre(0));
  EXPECT_THAT(shuffledWindows(10, 10, 1, 0), ElementsAre());
}

TEST(Windows, OfEvaluationCoverEveryLabelOnce) {
  std::vector<int32_t> stream = {1, 5, 6, 7, 2};
  std::vector<int64_t> starts = allWindows(5, 3);
  EXPECT_THAT(starts, ElementsAre(0, 3));
  PackedWindows packed = packWindows(stream, starts, 3);
  EXPECT_THAT(packed.ids, ElementsAre(1, 5, 6, 7));
  EXPECT_THAT(packed.labels, ElementsAre(5, 6, 7, 2));
  EXPECT_THAT(packed.offsets, ElementsAre(0, 3, 4));
}
