//===- Sampling.h - Drawing the next token ---------------------------------------------===//
// Temperature, top-k (Fan et al. 2018) and top-p (Holtzman et al. 2020) over a model's logits. The draw is
// Philox of seed and step: no state, and the same token at any number of threads.
//===----------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_TEXT_SAMPLING_H
#define XF_RUNTIME_TEXT_SAMPLING_H

#include <cstdint>
#include <span>

namespace xf::runtime {

struct SamplingOptions {
  double temperature = 1; // 0: the likeliest token
  int64_t topK = 0;       // draw among so many likeliest tokens; 0: all
  double topP = 1;        // and among the fewest of them whose probabilities sum up to this
  uint64_t seed = 1;

  /// How many of the likeliest tokens are all that a draw looks at; 0: every token of the vocabulary.
  int64_t listed(int64_t vocabulary) const { return temperature == 0 ? 1 : topK < vocabulary ? topK : 0; }
};

/// The token drawn at `step`. `logits` are log probabilities but for one number added to all; equal ones are ordered by
/// token.
int32_t sampleToken(std::span<const float> logits, const SamplingOptions &options, uint64_t step);

/// As `sampleToken`, of the tokens that it looks at, the likeliest first, with their logits or log probabilities.
int32_t sampleListed(std::span<const float> values, std::span<const int32_t> tokens, const SamplingOptions &options,
                     uint64_t step);

} // namespace xf::runtime

#endif // XF_RUNTIME_TEXT_SAMPLING_H
