//===- SamplingTest.cpp - Draws against their distribution ------------------------------===//
// Frequencies over many steps, what top-k and top-p leave, and the edges.
//===----------------------------------------------------------------------------------===//
#include "xf/Runtime/Text/Sampling.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>
#include <map>
#include <vector>

using namespace xf::runtime;
using testing::ElementsAre;
using testing::Key;

namespace {
const std::vector<float> fiveTokens = {std::log(0.05f), std::log(0.4f), std::log(0.1f), std::log(0.25f),
                                       std::log(0.2f)};

std::map<int32_t, double> frequencies(const std::vector<float> &logProbabilities, const SamplingOptions &options,
                                      int64_t draws = 20000) {
  std::map<int32_t, double> counts;
  for (int64_t step = 0; step < draws; ++step)
    counts[sampleToken(logProbabilities, options, step)] += 1.0 / double(draws);
  return counts;
}

TEST(Sampling, FollowsTheProbabilities) {
  auto found = frequencies(fiveTokens, {});
  for (int32_t token = 0; token < 5; ++token)
    EXPECT_NEAR(found[token], std::exp(fiveTokens[token]), 0.01) << token;
}

TEST(Sampling, TemperatureSharpensAndFlattens) {
  double sum = 0;
  for (float each : fiveTokens)
    sum += std::exp(2 * each);
  auto cold = frequencies(fiveTokens, {.temperature = 0.5});
  EXPECT_NEAR(cold[1], 0.16 / sum, 0.01);
  auto hot = frequencies(fiveTokens, {.temperature = 1e6});
  for (int32_t token = 0; token < 5; ++token)
    EXPECT_NEAR(hot[token], 0.2, 0.01) << token;
  EXPECT_THAT(frequencies(fiveTokens, {.temperature = 0}), ElementsAre(Key(1)));
  EXPECT_THAT(frequencies(fiveTokens, {.temperature = 1e-300}), ElementsAre(Key(1)));
}

TEST(Sampling, TopKKeepsTheLikeliest) {
  auto found = frequencies(fiveTokens, {.topK = 2});
  EXPECT_THAT(found, ElementsAre(Key(1), Key(3)));
  EXPECT_NEAR(found[1], 0.4 / 0.65, 0.01);
  EXPECT_THAT(frequencies(fiveTokens, {.topK = 1}), ElementsAre(Key(1)));
  EXPECT_EQ(frequencies(fiveTokens, {.topK = 99}), frequencies(fiveTokens, {}));
}

TEST(Sampling, TopPKeepsTheFewestThatSumUp) {
  auto found = frequencies(fiveTokens, {.topP = 0.6});
  EXPECT_THAT(found, ElementsAre(Key(1), Key(3)));
  EXPECT_NEAR(found[3], 0.25 / 0.65, 0.01);
  EXPECT_THAT(frequencies(fiveTokens, {.topP = 0.7}), ElementsAre(Key(1), Key(3), Key(4)));
  EXPECT_THAT(frequencies(fiveTokens, {.topP = 1e-9}), ElementsAre(Key(1)));
  // Of the three that top-k keeps, .4 / .85 and .25 / .85 sum up to .6.
  EXPECT_THAT(frequencies(fiveTokens, {.topK = 3, .topP = 0.6}), ElementsAre(Key(1), Key(3)));
}

TEST(Sampling, SeedAndStepDecide) {
  auto draws = [](uint64_t seed) {
    std::vector<int32_t> tokens;
    for (int64_t step = 0; step < 50; ++step)
      tokens.push_back(sampleToken(fiveTokens, {.seed = seed}, step));
    return tokens;
  };
  EXPECT_EQ(draws(7), draws(7));
  EXPECT_NE(draws(7), draws(8));
  EXPECT_NE(draws(7), draws(uint64_t(7) << 32));
}

TEST(Sampling, EqualAndImpossibleTokens) {
  constexpr float never = -std::numeric_limits<float>::infinity();
  EXPECT_EQ(sampleToken(std::vector<float>{never, -1, -1, never}, {.temperature = 0}, 0), 1);
  EXPECT_THAT(frequencies({never, -1, -1, never}, {}), ElementsAre(Key(1), Key(2)));
  EXPECT_THAT(frequencies({never, -1, -1, never}, {.topK = 1}), ElementsAre(Key(1)));
  EXPECT_EQ(sampleToken(std::vector<float>{0}, {}, 0), 0);
}
} // namespace
