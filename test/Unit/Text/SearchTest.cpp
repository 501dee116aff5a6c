//===- SearchTest.cpp - Search against enumeration ------------------------------------===//
// The model is a hash of all tokens so far, so a hypothesis with a wrong parent gets wrong numbers.
//===----------------------------------------------------------------------------------===//
#include "xf/Runtime/Text/Search.h"
#include "xf/Runtime/Philox.h"

#include <algorithm>
#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>
#include <numeric>

using namespace xf::runtime;
using testing::ElementsAre;
using testing::HasSubstr;
using Ids = std::vector<int32_t>;

namespace {
constexpr int32_t bos = 1, eos = 2;

/// Log probabilities of the token after `history`, in sentence `seed`.
std::vector<float> hashModel(uint32_t seed, const Ids &history, int64_t vocabulary) {
  std::array<uint32_t, 4> state{};
  for (int32_t token : history)
    state = philox({state[0], state[1], state[2], uint32_t(token)}, {seed, 0});
  std::vector<float> logits(vocabulary);
  double sum = 0;
  for (int64_t i = 0; i < vocabulary; ++i) {
    logits[i] = float(philox({state[0], state[1], state[2], uint32_t(i)}, {seed, 1})[0]) / float(1u << 30);
    sum += std::exp(double(logits[i]));
  }
  for (float &logit : logits)
    logit -= float(std::log(sum));
  return logits;
}

class ToyModel : public Stepper {
public:
  ToyModel(int64_t vocabulary, std::vector<uint32_t> seeds) : size(vocabulary), seeds(std::move(seeds)) {}

  int64_t vocabulary() const override { return size; }
  Expected<Predictions> step(std::span<const Hypothesis> rows, int64_t count) override {
    std::vector<Ids> next;
    logits.clear(), sums.clear(), values.clear(), tokens.clear();
    for (Hypothesis row : rows) {
      Ids history = row.parent < 0 ? Ids() : histories.at(row.parent);
      if (row.parent < 0)
        EXPECT_EQ(row.token, bos);
      history.push_back(row.token);
      std::vector<float> probabilities = distribution(seeds.at(row.sentence), history);
      list(probabilities, count);
      next.push_back(std::move(history));
    }
    histories = std::move(next);
    rowsOfSteps.push_back(rows.size());
    return Predictions{count, sums, values, tokens};
  }
  Expected<float> logit(int64_t row, int32_t token) override { return logits[row * size + token]; }
  virtual std::vector<float> distribution(uint32_t seed, const Ids &history) const {
    return hashModel(seed, history, size);
  }

  std::vector<size_t> rowsOfSteps;

protected:
  int64_t size;
  float added = 0; // to log probabilities, in logits

private:
  std::vector<uint32_t> seeds;
  /// Log probabilities as logits that a number was added to.
  void list(const std::vector<float> &probabilities, int64_t count) {
    sums.push_back(added);
    for (float probability : probabilities) {
      logits.push_back(probability + added);
      if (std::isnan(probability))
        sums.back() = probability;
    }
    Ids order(size);
    std::iota(order.begin(), order.end(), 0);
    std::ranges::sort(order, {}, [&](int32_t token) { return std::pair(-probabilities[token], token); });
    for (int64_t rank = 0; rank < count; ++rank) {
      tokens.push_back(rank < size ? order[rank] : -1);
      values.push_back(rank < size ? probabilities[order[rank]] : -std::numeric_limits<float>::infinity());
    }
  }

  std::vector<Ids> histories;
  std::vector<float> logits, sums, values;
  Ids tokens;
};

double penalized(double logProbability, size_t length, double alpha) {
  return logProbability / std::pow((5.0 + double(length)) / 6.0, alpha);
}

/// Every sequence of at most `maxLength` tokens, with its scores.
void enumerate(uint32_t seed, int64_t vocabulary, size_t maxLength, double alpha, Ids ids, double logProbability,
               std::vector<SearchResult> &all) {
  Ids history{bos};
  history.insert(history.end(), ids.begin(), ids.end());
  std::vector<float> next = hashModel(seed, history, vocabulary);
  double end = logProbability + double(next[eos]);
  all.push_back({ids, end, penalized(end, ids.size() + 1, alpha)});
  if (ids.size() == maxLength)
    return;
  for (int32_t token = 0; token < vocabulary; ++token) {
    if (token == eos)
      continue;
    Ids longer = ids;
    longer.push_back(token);
    enumerate(seed, vocabulary, maxLength, alpha, longer, logProbability + double(next[token]), all);
  }
}

/// All sentences' results; at most `together` of them take part in a step.
Expected<std::vector<std::vector<SearchResult>>> searchAll(Stepper &model, std::span<const int64_t> lengths,
                                                           const SearchOptions &options, std::vector<Ids> prefixes = {},
                                                           size_t together = 1000) {
  std::vector<std::vector<SearchResult>> results(lengths.size());
  prefixes.resize(lengths.size());
  Search search(model, options);
  for (size_t next = 0; next < lengths.size() || search.sentences();) {
    for (; next < lengths.size() && size_t(search.sentences()) < together; ++next)
      if (Expected<void> entered = search.enter(int32_t(next), lengths[next], prefixes[next]); !entered)
        return entered.error();
    Expected<std::vector<Search::Done>> done = search.step();
    if (!done)
      return done.error();
    for (Search::Done &sentence : *done)
      results[sentence.sentence] = std::move(sentence.results);
  }
  return results;
}

std::vector<std::vector<SearchResult>> run(Stepper &model, std::vector<int64_t> lengths, const SearchOptions &options,
                                           std::vector<Ids> prefixes = {}, size_t together = 1000) {
  auto results = searchAll(model, lengths, options, prefixes, together);
  EXPECT_TRUE(results) << results.error().message;
  return results ? *results : std::vector<std::vector<SearchResult>>();
}

std::string errorOf(Stepper &model, const SearchOptions &options, std::vector<Ids> prefixes = {}) {
  int64_t lengths[] = {3};
  auto results = searchAll(model, lengths, options, prefixes);
  return results ? "none" : results.error().message;
}
} // namespace

TEST(Search, AWideBeamFindsWhatEnumerationFinds) {
  for (double alpha : {0.0, 0.6, 1.0, -0.5, 3.0})
    for (uint32_t seed = 0; seed < 20; ++seed) {
      SCOPED_TRACE(testing::Message() << "alpha " << alpha << ", seed " << seed);
      std::vector<SearchResult> all;
      enumerate(seed, 4, 4, alpha, {}, 0, all);
      std::sort(all.begin(), all.end(), [](const auto &a, const auto &b) { return a.score > b.score; });
      ToyModel model(4, {seed});
      auto results = run(model, {3}, {.beam = 256, .nBest = 10, .lengthPenalty = alpha, .maxLength = 4});
      ASSERT_EQ(results[0].size(), 10u);
      for (size_t i = 0; i < 10; ++i) {
        EXPECT_EQ(results[0][i].ids, all[i].ids);
        EXPECT_NEAR(results[0][i].score, all[i].score, 1e-9);
        EXPECT_NEAR(results[0][i].logProbability, all[i].logProbability, 1e-9);
      }
    }
}

TEST(Search, GreedyTakesTheLikeliestTokenUntilTheEnd) {
  for (uint32_t seed = 0; seed < 20; ++seed) {
    Ids history{bos};
    double sum = 0;
    for (int32_t best = bos; best != eos && history.size() < 200; history.push_back(best)) {
      std::vector<float> next = hashModel(seed, history, 9);
      best = int32_t(std::ranges::max_element(next) - next.begin());
      sum += double(next[best]);
    }
    ASSERT_EQ(history.back(), eos);
    ToyModel model(9, {seed});
    auto results = run(model, {200}, {});
    EXPECT_EQ(results[0][0].ids, Ids(history.begin() + 1, history.end() - 1));
    EXPECT_NEAR(results[0][0].score, sum, 1e-9);
  }
}

TEST(Search, ResultsDoNotDependOnTheBatch) {
  std::vector<uint32_t> seeds;
  std::vector<int64_t> lengths;
  for (uint32_t i = 0; i < 64; ++i) {
    seeds.push_back(i * i % 101);
    lengths.push_back(1 + i * 7 % 11);
  }
  for (SearchOptions options : {SearchOptions{}, SearchOptions{.beam = 4, .nBest = 4, .lengthPenalty = 0.6}}) {
    ToyModel together(9, seeds), inTurns(9, seeds);
    auto all = run(together, lengths, options), turns = run(inTurns, lengths, options, {}, 5);
    for (size_t i = 0; i < seeds.size(); ++i) {
      ToyModel alone(9, {seeds[i]});
      auto one = run(alone, {lengths[i]}, options);
      for (const auto *many : {&all, &turns}) {
        ASSERT_EQ(one[0].size(), (*many)[i].size());
        for (size_t n = 0; n < one[0].size(); ++n) {
          EXPECT_EQ(one[0][n].ids, (*many)[i][n].ids);
          EXPECT_EQ(one[0][n].score, (*many)[i][n].score); // the same bits
        }
      }
    }
    // Sentences that are done leave, and others take their places at once.
    EXPECT_GT(together.rowsOfSteps[1], together.rowsOfSteps.back());
    if (options.beam == 1)
      for (size_t step = 0; step < inTurns.rowsOfSteps.size() / 2; ++step)
        EXPECT_EQ(inTurns.rowsOfSteps[step], 5u);
    EXPECT_EQ(*std::ranges::max_element(inTurns.rowsOfSteps), size_t(5 * options.beam));
  }
}

TEST(Search, ABeamIsBetterThanGreedyAndSorted) {
  for (uint32_t seed = 0; seed < 30; ++seed) {
    ToyModel greedy(9, {seed}), wide(9, {seed});
    auto one = run(greedy, {5}, {.maxLength = 8});
    auto four = run(wide, {5}, {.beam = 64, .nBest = 64, .maxLength = 8});
    EXPECT_GE(four[0][0].score, one[0][0].score);
    EXPECT_TRUE(std::ranges::is_sorted(four[0], std::ranges::greater(), &SearchResult::score));
    std::vector<Ids> distinct;
    for (const SearchResult &result : four[0])
      distinct.push_back(result.ids);
    std::sort(distinct.begin(), distinct.end());
    EXPECT_EQ(std::unique(distinct.begin(), distinct.end()), distinct.end());
  }
}

namespace {
/// Never ends by itself.
struct Endless : ToyModel {
  Endless() : ToyModel(5, {0}) { added = 2; }
  std::vector<float> distribution(uint32_t, const Ids &) const override { return {-3, -3, -9, -1, -3}; }
};
/// Ends of one and two tokens look good; a long one is better once its length counts.
struct Tempting : ToyModel {
  Tempting() : ToyModel(4, {0}) {}
  std::vector<float> distribution(uint32_t, const Ids &history) const override {
    if (history.back() == 0)
      return {-9, -9, -9, -9};
    float end = history.size() == 1 ? -1 : history.size() == 2 ? -0.5f : history.size() == 11 ? 0 : -9;
    float on = history.size() == 1 ? -1.1f : history.size() == 2 ? -0.9f : 0;
    return {-9, -9, end, on};
  }
};
/// All tokens are as likely.
struct Even : ToyModel {
  Even() : ToyModel(5, {0}) {}
  std::vector<float> distribution(uint32_t, const Ids &) const override { return std::vector<float>(5, -1); }
};
struct Broken : ToyModel {
  Broken() : ToyModel(5, {0}) {}
  std::vector<float> distribution(uint32_t, const Ids &) const override { return {-1, -1, std::nanf(""), -1, -1}; }
};
struct Failing : ToyModel {
  Failing() : ToyModel(5, {0}) {}
  Expected<Predictions> step(std::span<const Hypothesis>, int64_t) override { return internalError("no step"); }
};
} // namespace

TEST(Search, EndsAtTheGreatestLength) {
  Endless model;
  auto results = run(model, {3}, {.maxLength = 4});
  EXPECT_THAT(results[0][0].ids, ElementsAre(3, 3, 3, 3));
  EXPECT_NEAR(results[0][0].logProbability, -4 - 9, 1e-12); // and EOS, counted
  Endless other;
  EXPECT_EQ(run(other, {3}, {.beam = 2})[0][0].ids.size(), 53u);
  // Positions that there are end it before, and only then.
  Endless few, many;
  EXPECT_EQ(run(few, {3}, {.positions = 8})[0][0].ids.size(), 7u);
  EXPECT_EQ(run(many, {3}, {.positions = 100})[0][0].ids.size(), 53u);
  Endless forced;
  EXPECT_EQ(errorOf(forced, {.positions = 3}, {{3, 3, 3}}),
            "expected a prefix of at most 2 tokens, for which the model has positions, but got 3");
}

TEST(Search, StopsOnlyWhereNothingBetterCanCome) {
  Tempting model;
  auto results = run(model, {3}, {.beam = 2, .nBest = 2, .lengthPenalty = 1, .maxLength = 10});
  EXPECT_THAT(results[0][0].ids, ElementsAre(3, 3, 3, 3, 3, 3, 3, 3, 3, 3));
  EXPECT_NEAR(results[0][0].score, (-1.1 - 0.9) / (16.0 / 6), 1e-6);
}

TEST(Search, StopsOnceNothingBetterCanCome) {
  for (int64_t nBest : {1, 2}) { // without a penalty, log probabilities only fall
    Tempting model;
    run(model, {3}, {.beam = 2, .nBest = nBest, .maxLength = 10});
    EXPECT_EQ(model.rowsOfSteps.size(), size_t(nBest));
  }
}

TEST(Search, GreedyStopsAtTheFirstEnd) {
  Tempting model;
  auto results = run(model, {3}, {.lengthPenalty = 1, .maxLength = 10});
  EXPECT_THAT(results[0][0].ids, ElementsAre());
  EXPECT_EQ(model.rowsOfSteps.size(), 1u);
}

TEST(Search, DoesNotEndBeforeTheLeastLength) {
  Tempting greedy;
  EXPECT_THAT(run(greedy, {3}, {.minLength = 1, .maxLength = 10})[0][0].ids, ElementsAre(3));
  Tempting wide;
  auto results = run(wide, {3}, {.beam = 2, .nBest = 2, .minLength = 4, .maxLength = 10});
  for (const SearchResult &result : results[0])
    EXPECT_GE(result.ids.size(), 4u);
  Tempting wrong;
  EXPECT_EQ(errorOf(wrong, {.minLength = 5, .maxLength = 4}),
            "expected the least length to be at most the greatest (4), but got 5");
}

TEST(Search, FindsTheBestOfManyBlocks) {
  // 1,000 tokens are several blocks; the best are spread over them and tie across two.
  struct Wide : ToyModel {
    Wide() : ToyModel(1000, {0}) {}
    std::vector<float> distribution(uint32_t, const Ids &) const override {
      std::vector<float> row(1000, -20);
      row[999] = row[300] = -1;
      row[257] = -2;
      row[2] = -3; // EOS
      return row;
    }
  };
  Wide model;
  auto results = run(model, {3}, {.beam = 3, .nBest = 3, .maxLength = 1});
  EXPECT_THAT(results[0][0].ids, ElementsAre(300));
  EXPECT_THAT(results[0][1].ids, ElementsAre(999));
  EXPECT_THAT(results[0][2].ids, ElementsAre(257));
}

TEST(Search, EndsAsTransformersDoes) {
  // Ends are likelier than tokens at 1 and 2, but the second end's score is the better by its length: -1.6 / 2.
  Tempting model;
  auto results = run(model, {3}, {.beam = 2, .nBest = 2, .lengthPenalty = 1, .maxLength = 10, .isTransformers = true});
  // Two outputs, and at length 2 the hypothesis with -2.0 / 2 is not better than the worse of them, -1: it stops,
  // though a long one would score -2.0 / 11.
  EXPECT_EQ(model.rowsOfSteps.size(), 2u);
  EXPECT_THAT(results[0][0].ids, ElementsAre(3));
  EXPECT_NEAR(results[0][0].score, (-1.1 - 0.5) / 2, 1e-6);
  EXPECT_THAT(results[0][1].ids, ElementsAre());
  EXPECT_NEAR(results[0][1].score, -1, 1e-6);
  Tempting one; // as many outputs are compared, however many are asked for
  auto best = run(one, {3}, {.beam = 2, .lengthPenalty = 1, .maxLength = 10, .isTransformers = true});
  ASSERT_EQ(best[0].size(), 1u);
  EXPECT_THAT(best[0][0].ids, ElementsAre(3));
  Endless endless; // the end that is put there costs nothing
  auto longest = run(endless, {3}, {.beam = 2, .lengthPenalty = 1, .maxLength = 4, .isTransformers = true});
  EXPECT_THAT(longest[0][0].ids, ElementsAre(3, 3, 3, 3));
  EXPECT_NEAR(longest[0][0].logProbability, -4, 1e-6);
  EXPECT_NEAR(longest[0][0].score, -4.0 / 5, 1e-6);
  struct Late : ToyModel { // after the first token an end is third: among the four best continuations, but not the two
    Late() : ToyModel(5, {0}) {}
    std::vector<float> distribution(uint32_t, const Ids &history) const override {
      if (history.size() == 1)
        return {-1, -1.1f, -9, -9, -9};
      if (history.size() == 2)
        return {history.back() == 0 ? -0.5f : -9, -9, history.back() == 0 ? -0.1f : -0.45f, -9, -9};
      return {-9, -9, -3, -9, -9};
    }
  };
  Late late, paper;
  auto without = run(late, {3}, {.beam = 2, .nBest = 2, .maxLength = 5, .isTransformers = true});
  EXPECT_THAT(without[0][0].ids, ElementsAre(0));
  EXPECT_THAT(without[0][1].ids, ElementsAre(0, 0));
  auto with = run(paper, {3}, {.beam = 2, .nBest = 2, .maxLength = 5});
  EXPECT_THAT(with[0][0].ids, ElementsAre(0));
  EXPECT_THAT(with[0][1].ids, ElementsAre(1));
}

TEST(Search, SuppressedTokensAreNeverTaken) {
  for (bool renormalizes : {false, true}) {
    ToyModel model(7, {5});
    auto results =
        run(model, {3}, {.beam = 4, .nBest = 4, .maxLength = 3, .suppressed = {0, 4}, .renormalizes = renormalizes});
    ASSERT_EQ(results[0].size(), 4u);
    for (const SearchResult &result : results[0]) {
      double expected = 0;
      Ids history{bos};
      for (size_t i = 0; i <= result.ids.size(); ++i) {
        int32_t token = i < result.ids.size() ? result.ids[i] : eos;
        EXPECT_THAT(Ids({0, 4}), testing::Not(testing::Contains(token)));
        std::vector<float> next = hashModel(5, history, 7);
        double allowed = 1 - std::exp(double(next[0])) - std::exp(double(next[4]));
        expected += double(next[token]) - (renormalizes ? std::log(allowed) : 0);
        history.push_back(token);
      }
      EXPECT_NEAR(result.logProbability, expected, 1e-5);
    }
  }
  Even even;
  EXPECT_THAT(run(even, {3}, {.maxLength = 2, .suppressed = {0, 1}})[0][0].ids, ElementsAre());
  EXPECT_THAT(run(even, {3}, {.minLength = 1, .maxLength = 1, .suppressed = {0, 1}})[0][0].ids, ElementsAre(3));
  EXPECT_EQ(errorOf(even, {.suppressed = {5}}), "expected tokens that are never taken below 5, but got 5");
}

TEST(Search, TiesGoToTheLowerIndex) {
  Even model;
  EXPECT_THAT(run(model, {3}, {.maxLength = 3})[0][0].ids, ElementsAre(0, 0, 0));
  Even wide;
  auto results = run(wide, {3}, {.beam = 3, .nBest = 3, .maxLength = 3});
  EXPECT_THAT(results[0][0].ids, ElementsAre()); // EOS at once has the highest sum
}

TEST(Search, PrefixesAreForced) {
  ToyModel model(9, {4, 4});
  auto results = run(model, {5, 5}, {.beam = 4}, {{7, 3}, {}});
  ASSERT_GE(results[0][0].ids.size(), 2u);
  EXPECT_THAT(Ids(results[0][0].ids.begin(), results[0][0].ids.begin() + 2), ElementsAre(7, 3));
  ToyModel free(9, {4});
  EXPECT_EQ(results[1][0].ids, run(free, {5}, {.beam = 4})[0][0].ids);
  // Its log probabilities count.
  Endless endless;
  auto forced = run(endless, {3}, {.maxLength = 1}, {{0, 0}});
  EXPECT_THAT(forced[0][0].ids, ElementsAre(0, 0));
  EXPECT_NEAR(forced[0][0].logProbability, -3 - 3 - 9, 1e-12);
}

TEST(Search, SaysWhatIsWrong) {
  ToyModel model(9, {4});
  EXPECT_EQ(errorOf(model, {.beam = 0}), "expected a beam from 1 to 1024, but got 0");
  EXPECT_EQ(errorOf(model, {.beam = 1025}), "expected a beam from 1 to 1024, but got 1025");
  EXPECT_EQ(errorOf(model, {.beam = 2, .nBest = 3}),
            "expected at least 1 and at most as many outputs as the beam (2), but got 3");
  EXPECT_EQ(errorOf(model, {}, {{9}}), "expected tokens of a prefix below 9, but got 9");
  Broken broken;
  EXPECT_THAT(run(broken, {3}, {})[0], testing::IsEmpty()); // not numbers
  Failing failing;
  EXPECT_EQ(errorOf(failing, {}), "no step");
}
