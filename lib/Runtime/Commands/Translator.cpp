//===- Translator.cpp - A trained model that translates ----------------------------------------===//
// Batches sources of like length, so that hypotheses end at about the same step.
//===-------------------------------------------------------------------------------------------===//
#include "Translator.h"

#include <algorithm>
#include <numeric>

using namespace xf::runtime;

Expected<std::vector<std::vector<SearchResult>>> Translator::translate(std::span<const std::vector<int32_t>> sources,
                                                                       SearchOptions options, int64_t rows) {
  constexpr size_t batchTokens = 4096;
  options.bos = vocabularies.target.bos();
  options.eos = vocabularies.target.eos();
  int64_t positions = session.longestTarget();
  std::vector<size_t> order(sources.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return std::pair(sources[a].size(), a) < std::pair(sources[b].size(), b); });
  std::vector<std::vector<SearchResult>> results(sources.size());
  for (size_t begin = 0; begin < order.size();) {
    std::vector<std::vector<int32_t>> batch;
    std::vector<int64_t> lengths;
    size_t tokens = 0, end = begin;
    for (; end < order.size(); ++end) {
      const std::vector<int32_t> &source = sources[order[end]];
      if (source.size() <= 1) { // EOS alone
        results[order[end]].emplace_back();
        if (batch.empty())
          begin = end + 1;
        continue;
      }
      if (!batch.empty() && (tokens + source.size() > batchTokens || int64_t(batch.size() + 1) * options.beam > rows))
        break;
      tokens += source.size();
      batch.push_back(source);
      lengths.push_back(int64_t(source.size()) - 1);
    }
    if (batch.empty())
      break;
    if (Expected<void> encoded = decoder.encode(batch); !encoded)
      return encoded.error();
    SearchOptions limited = options;
    // The begin mark takes the first position.
    if (positions && (!limited.maxLength || limited.maxLength >= positions))
      limited.maxLength = positions - 1;
    auto found = search(decoder, lengths, limited);
    if (!found)
      return found.error();
    for (size_t i = begin; i < end; ++i)
      results[order[i]] = std::move((*found)[i - begin]);
    begin = end;
  }
  return results;
}
