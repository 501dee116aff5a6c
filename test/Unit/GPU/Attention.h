//===- Attention.h - attention's kernels on a GPU --------------------------------------===//
// Kept apart from the compiler, whose headers know no exceptions.
//===--------------------------------------------------------------------------------===//
#ifndef XF_TEST_UNIT_GPU_ATTENTION_H
#define XF_TEST_UNIT_GPU_ATTENTION_H

#include <array>
#include <cstdint>
#include <string>
#include <vector>

/// Attention of bf16 over a batch of sequences, by kernels of these launch facts.
struct Attention {
  std::vector<int64_t> queryCounts, keyCounts; // of sequences
  int64_t heads, features, valueFeatures;
  bool causal;
  float scale;
  int64_t sharers = 1;    // heads of the queries that have one of keys and values
  bool hasRegion = false; // 4 tanh(x / 4) + (key - query) / 20 of a score x
  bool isOfHead = false;  // x + head key / 100
  bool isUneven = false;  // x (1 + 1 / (query + 1) + 1 / (key + 1)), the query's number being that of its key
  /// Which scores a region leaves, and masks the others: those of keys up to 40 away, of no later keys, of keys in
  /// every other block of 128. The kernel may not pass over them where that is said by comparisons of floats.
  enum { All, Window, Causal, Blocks } left = All;
  bool isHidden = false;
  int64_t window = -1;               // none
  std::vector<int32_t> lengths = {}; // of queries: the keys that each sees at most; kernels take them after the offsets
  // Dropout of probabilities: where `rate` is more than 0, kernels take (seed, step) then, and a site.
  double rate = 0;
  int64_t seed = 0x123456789, step = 7, site = 3;
  std::array<int64_t, 2> noQueries = {}, noKeys = {}; // rows first .. end of the batch that are no numbers
  int64_t shared = 0, blockRows = 128;
  std::vector<std::array<int64_t, 3>> maps = {};                    // operand, rows and columns of its boxes
  std::vector<std::array<int64_t, 3>> workspace = {}, gridSum = {}; // terms (CompiledKernel)

  /// What a kernel wrote: bits of bf16, and where those of each sequence begin.
  struct Result {
    std::vector<uint16_t> bits;
    std::vector<int64_t> firstOf;
  };
  std::vector<Result> results = {};

  /// What is wrong with it: a fault of the GPU, or an element that is off by more than 1e-2 of what it is made of;
  /// "" where nothing is. Rows of a sequence are those that it has in any batch.
  std::string forward(const std::string &ptx);
  std::string backward(const std::string &ptx);
};

#endif // XF_TEST_UNIT_GPU_ATTENTION_H
