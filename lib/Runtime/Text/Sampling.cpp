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

int32_t xf::runtime::sampleListed(std::span<const float> values, std::span<const int32_t> tokens,
                                  const SamplingOptions &options, uint64_t step) {
  if (options.temperature == 0)
    return tokens.front();
  // Weights relative to the likeliest token, so that no temperature overflows.
  double most = *std::max_element(values.begin(), values.end());
  std::vector<double> sums(tokens.size());
  double sum = 0;
  for (size_t i = 0; i < tokens.size(); ++i)
    sums[i] = sum += std::exp((double(values[i]) - most) / options.temperature);
  if (options.topP < 1)
    sum = *std::lower_bound(sums.begin(), sums.end() - 1, options.topP * sum);
  double drawn = drawUniform(options.seed, step) * sum;
  return tokens[std::upper_bound(sums.begin(), sums.end() - 1, drawn) - sums.begin()];
}

int32_t xf::runtime::sampleToken(std::span<const float> logits, const SamplingOptions &options, uint64_t step) {
  std::vector<int32_t> tokens(logits.size());
  std::iota(tokens.begin(), tokens.end(), 0);
  if (int64_t kept = options.listed(int64_t(logits.size())); kept || options.topP < 1) {
    size_t count = kept ? size_t(kept) : tokens.size();
    std::partial_sort(tokens.begin(), tokens.begin() + count, tokens.end(),
                      [&](int32_t a, int32_t b) { return std::pair(-logits[a], a) < std::pair(-logits[b], b); });
    tokens.resize(count);
  }
  std::vector<float> values;
  for (int32_t token : tokens)
    values.push_back(logits[token]);
  return sampleListed(values, tokens, options, step);
}
