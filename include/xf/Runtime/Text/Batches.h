//===- Batches.h - Which sentences meet in a batch, and its tensors ------------------===//
// Plans an epoch's batches as a function of seed and epoch alone, so that a resumed run continues with
// the cursor (epoch, index), and packs sentences one behind the other, without padding.
//===----------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_TEXT_BATCHES_H
#define XF_RUNTIME_TEXT_BATCHES_H

#include "xf/Runtime/Text/Corpus.h"

namespace xf::runtime {

/// How much goes into a batch: so many sentences where that is given, else at most so many tokens on the
/// side that has more of them (marks counted). A pair that is longer alone is a batch alone.
struct BatchRecipe {
  int64_t tokens = 0;
  int64_t sentences = 0;
};

using BatchPlan = std::vector<std::vector<int64_t>>;

/// All pairs once, neighbours in length together.
BatchPlan batchesByLength(const SentencePairs &pairs, BatchRecipe recipe);

/// All pairs once, shuffled by seed and epoch. With a number of sentences, batches are drawn at random; with
/// a number of tokens, pairs of like length meet: a shuffled pool is sorted, cut, and its batches shuffled.
BatchPlan shuffledBatches(const SentencePairs &pairs, BatchRecipe recipe, uint64_t seed, int64_t epoch);

/// A random order of 0 to size-1.
std::vector<int64_t> shuffledOrder(int64_t size, uint64_t seed, int64_t epoch);

/// The inputs of a sequence-to-sequence model: decoder inputs start with BOS, labels end with EOS.
struct PackedPairs {
  std::vector<int32_t> sourceIds, sourceOffsets{0}, targetIds, targetOffsets{0}, labels;
  int64_t tokens() const { return int64_t(sourceIds.size() + targetIds.size()); }
};
PackedPairs packPairs(const SentencePairs &pairs, std::span<const int64_t> indices, const Vocabulary &target);

/// The inputs of a language model: windows of a text, each label the token after.
struct PackedWindows {
  std::vector<int32_t> ids, offsets{0}, labels;
};

/// Starts of windows of `context` tokens that tile a stream, shuffled; the first starts at a random offset
/// below `context`, so that windows differ between epochs. The stream's rest before and after is left out.
std::vector<int64_t> shuffledWindows(int64_t streamSize, int64_t context, uint64_t seed, int64_t epoch);

/// Starts of windows that cover a stream in order, for evaluation; the last may be shorter.
std::vector<int64_t> allWindows(int64_t streamSize, int64_t context);

PackedWindows packWindows(std::span<const int32_t> stream, std::span<const int64_t> starts, int64_t context);

} // namespace xf::runtime

#endif // XF_RUNTIME_TEXT_BATCHES_H
