//===- Batches.cpp - Which sentences meet in a batch, and its tensors ----------------===//
// Every random choice is Philox of (what it is for, epoch, index) under the seed.
//===----------------------------------------------------------------------------------===//
#include "xf/Runtime/Text/Batches.h"
#include "xf/Runtime/Philox.h"

#include <algorithm>
#include <numeric>
#include <tuple>

using namespace xf::runtime;

/// Pairs that are sorted together in a shuffled epoch, in batches' worth: enough for like lengths to meet, few enough
/// for their company to differ between epochs.
static constexpr int64_t poolBatches = 64;

/// What a stream of random numbers is for; the fourth word of the counter.
enum class Draw : uint32_t { Order = 0x6f726472, Batches = 0x62746368, Offset = 0x6f666673 };

/// A number below `bound`, uniform to 2^-64.
static int64_t drawBelow(int64_t bound, uint64_t seed, int64_t epoch, int64_t index, Draw draw) {
  std::array<uint32_t, 4> words =
      philox({uint32_t(index), uint32_t(uint64_t(index) >> 32), uint32_t(epoch), uint32_t(draw)},
             {uint32_t(seed), uint32_t(seed >> 32)});
  uint64_t word = uint64_t(words[1]) << 32 | words[0];
  // The high 64 bits of word * bound, by halves.
  uint64_t low = (word & 0xFFFFFFFF) * uint64_t(bound), high = (word >> 32) * uint64_t(bound);
  return int64_t((high + (low >> 32)) >> 32);
}

template <typename T> static void shuffle(std::vector<T> &items, uint64_t seed, int64_t epoch, Draw draw) {
  for (int64_t i = int64_t(items.size()) - 1; i > 0; --i) // Fisher and Yates
    std::swap(items[i], items[drawBelow(i + 1, seed, epoch, i, draw)]);
}

std::vector<int64_t> xf::runtime::shuffledOrder(int64_t size, uint64_t seed, int64_t epoch) {
  std::vector<int64_t> order(size);
  std::iota(order.begin(), order.end(), 0);
  shuffle(order, seed, epoch, Draw::Order);
  return order;
}

static void sortByLength(std::span<int64_t> order, const SentencePairs &pairs) {
  std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return std::tuple(pairs.target[a].size(), pairs.source[a].size(), a) <
           std::tuple(pairs.target[b].size(), pairs.source[b].size(), b);
  });
}

/// Cuts an order into batches, each as large as the recipe allows, and adds them to `plan`.
static void cut(std::span<const int64_t> order, const SentencePairs &pairs, BatchRecipe recipe, BatchPlan &plan) {
  int64_t source = 0, target = 0;
  bool open = false;
  for (int64_t pair : order) {
    source += int64_t(pairs.source[pair].size());
    target += int64_t(pairs.target[pair].size()) + 1; // the mark
    bool fits = open && (recipe.sentences > 0 ? int64_t(plan.back().size()) < recipe.sentences
                                              : std::max(source, target) <= recipe.tokens);
    if (!fits) {
      plan.emplace_back();
      source = int64_t(pairs.source[pair].size());
      target = int64_t(pairs.target[pair].size()) + 1;
    }
    plan.back().push_back(pair);
    open = true;
  }
}

BatchPlan xf::runtime::batchesByLength(const SentencePairs &pairs, BatchRecipe recipe) {
  std::vector<int64_t> order(pairs.size());
  std::iota(order.begin(), order.end(), 0);
  sortByLength(order, pairs);
  BatchPlan plan;
  cut(order, pairs, recipe, plan);
  return plan;
}

BatchPlan xf::runtime::shuffledBatches(const SentencePairs &pairs, BatchRecipe recipe, uint64_t seed, int64_t epoch) {
  std::vector<int64_t> order = shuffledOrder(pairs.size(), seed, epoch);
  BatchPlan plan;
  if (recipe.sentences > 0) {
    cut(order, pairs, recipe, plan);
    return plan;
  }
  std::span<int64_t> rest = order;
  while (!rest.empty()) {
    size_t count = 0;
    for (int64_t tokens = 0; count < rest.size() && tokens < recipe.tokens * poolBatches; ++count)
      tokens += int64_t(std::max(pairs.source[rest[count]].size(), pairs.target[rest[count]].size() + 1));
    count = std::max<size_t>(count, 1);
    sortByLength(rest.first(count), pairs);
    cut(rest.first(count), pairs, recipe, plan);
    rest = rest.subspan(count);
  }
  shuffle(plan, seed, epoch, Draw::Batches);
  return plan;
}

PackedPairs xf::runtime::packPairs(const SentencePairs &pairs, std::span<const int64_t> indices,
                                   const Vocabulary &target) {
  PackedPairs packed;
  auto append = [](std::vector<int32_t> &ids, const std::vector<int32_t> &sentence) {
    ids.insert(ids.end(), sentence.begin(), sentence.end());
  };
  // Exactly as much memory as was planned for them.
  size_t sourceTokens = 0, targetTokens = indices.size(); // of these a mark each
  for (int64_t pair : indices) {
    sourceTokens += pairs.source[pair].size();
    targetTokens += pairs.target[pair].size();
  }
  packed.sourceIds.reserve(sourceTokens);
  packed.targetIds.reserve(targetTokens);
  packed.labels.reserve(targetTokens);
  for (std::vector<int32_t> *offsets : {&packed.sourceOffsets, &packed.targetOffsets})
    offsets->reserve(indices.size() + 1);
  for (int64_t pair : indices) {
    append(packed.sourceIds, pairs.source[pair]);
    packed.sourceOffsets.push_back(int32_t(packed.sourceIds.size()));
    packed.targetIds.push_back(target.bos());
    append(packed.targetIds, pairs.target[pair]);
    append(packed.labels, pairs.target[pair]);
    packed.labels.push_back(target.eos());
    packed.targetOffsets.push_back(int32_t(packed.targetIds.size()));
  }
  return packed;
}

std::vector<int64_t> xf::runtime::shuffledWindows(int64_t streamSize, int64_t context, uint64_t seed, int64_t epoch) {
  // Each window needs the token after it; a stream of few tokens leaves little choice of an offset.
  int64_t choices = std::clamp<int64_t>(streamSize - context, 1, context);
  std::vector<int64_t> starts;
  for (int64_t at = drawBelow(choices, seed, epoch, 0, Draw::Offset); at + context < streamSize; at += context)
    starts.push_back(at);
  shuffle(starts, seed, epoch, Draw::Order);
  return starts;
}

std::vector<int64_t> xf::runtime::allWindows(int64_t streamSize, int64_t context) {
  std::vector<int64_t> starts;
  for (int64_t at = 0; at + 1 < streamSize; at += context)
    starts.push_back(at);
  return starts;
}

PackedWindows xf::runtime::packWindows(std::span<const int32_t> stream, std::span<const int64_t> starts,
                                       int64_t context) {
  PackedWindows packed;
  packed.ids.reserve(int64_t(starts.size()) * context);
  packed.labels.reserve(int64_t(starts.size()) * context);
  packed.offsets.reserve(starts.size() + 1);
  for (int64_t start : starts) {
    int64_t length = std::min<int64_t>(context, int64_t(stream.size()) - 1 - start);
    std::span<const int32_t> ids = stream.subspan(start, length), labels = stream.subspan(start + 1, length);
    packed.ids.insert(packed.ids.end(), ids.begin(), ids.end());
    packed.labels.insert(packed.labels.end(), labels.begin(), labels.end());
    packed.offsets.push_back(int32_t(packed.ids.size()));
  }
  return packed;
}
