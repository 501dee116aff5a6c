//===- Sampling.cpp - Drawing the next token -------------------------------------------===//
// The candidates are sorted only where top-k or top-p ask for it.
//===----------------------------------------------------------------------------------===//
#include "xf/Runtime/Text/Sampling.h"
#include "xf/Runtime/Philox.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

using namespace xf::runtime;

/// Uniform in [0, 1), of 53 bits.
static double drawUniform(uint64_t seed, uint64_t step) {
  std::array<uint32_t, 4> words = philox({uint32_t(step), uint32_t(step >> 32), 0, 0x73616d70 /* 'samp' */},
                                         {uint32_t(seed), uint32_t(seed >> 32)});
  return double((uint64_t(words[1]) << 32 | words[0]) >> 11) * 0x1p-53;
}

int32_t xf::runtime::sampleToken(std::span<const float> logits, const SamplingOptions &options, uint64_t step) {
  auto likeliest = std::max_element(logits.begin(), logits.end());
  if (options.temperature == 0)
    return int32_t(likeliest - logits.begin());
  std::vector<int32_t> tokens(logits.size());
  std::iota(tokens.begin(), tokens.end(), 0);
  bool cut = options.topK > 0 && options.topK < int64_t(tokens.size());
  size_t kept = cut ? size_t(options.topK) : tokens.size();
  if (cut || options.topP < 1) {
    std::partial_sort(tokens.begin(), tokens.begin() + kept, tokens.end(),
                      [&](int32_t a, int32_t b) { return std::pair(-logits[a], a) < std::pair(-logits[b], b); });
    tokens.resize(kept);
  }
  // Weights relative to the likeliest token, so that no temperature overflows.
  std::vector<double> sums(tokens.size());
  double sum = 0;
  for (size_t i = 0; i < tokens.size(); ++i)
    sums[i] = sum += std::exp((double(logits[tokens[i]]) - *likeliest) / options.temperature);
  if (options.topP < 1)
    sum = *std::lower_bound(sums.begin(), sums.end() - 1, options.topP * sum);
  double drawn = drawUniform(options.seed, step) * sum;
  return tokens[std::upper_bound(sums.begin(), sums.end() - 1, drawn) - sums.begin()];
}
