//===- Search.h - Greedy and beam search ----------------------------------------------===//
// Finds likely outputs of a model that it knows only as a Stepper. The hypotheses of all sentences are rows of one
// step; sentences that are done leave the batch, and others may enter it. A sentence's result does not depend on the
// others.
//===----------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_TEXT_SEARCH_H
#define XF_RUNTIME_TEXT_SEARCH_H

#include "xf/Runtime/Error.h"

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace xf::runtime {

/// A hypothesis at one step: which sentence it translates, which row of the step before it continues (-1 at
/// the first; rowBefore: the row before it in this step), the token it reads, and whether the one after it is asked
/// for.
struct Hypothesis {
  static constexpr int32_t rowBefore = -2;
  int32_t sentence;
  int32_t parent;
  int32_t token;
  bool isAsked = true;
};

/// What a model says of the token after each hypothesis that asks for it, a row.
struct Predictions {
  int64_t count = 0;                // of the likeliest tokens that are listed
  std::span<const float> logSumExp; // one a row
  std::span<const float> values;    // log probabilities of the likeliest tokens, count a row, best first, of equal
  std::span<const int32_t> tokens;  // ones the lower token; past the vocabulary -1
};

/// What search asks of a model.
class Stepper {
public:
  virtual ~Stepper() = default;
  /// `count`: how many of the likeliest tokens to list. Valid until the next call.
  virtual Expected<Predictions> step(std::span<const Hypothesis> hypotheses, int64_t count) = 0;
  /// What the last step said of any one token, of a row of its predictions.
  virtual Expected<float> logit(int64_t row, int32_t token) = 0;
  virtual int64_t vocabulary() const = 0;
};

struct SearchOptions {
  int32_t bos = 1, eos = 2;
  int64_t beam = 1;         // 1: greedy
  int64_t nBest = 1;        // at most `beam`
  double lengthPenalty = 0; // the alpha of ((5 + length) / 6)^alpha
  int64_t minLength = 0;    // tokens before which EOS is not taken
  int64_t maxLength = 0;    // tokens without EOS; 0: the source's length + extraLength
  int64_t extraLength = 50; // (the paper, 6.1)
  int64_t positions = 0;    // that the model has for BOS and the tokens; 0: any number
  /// As `generate` of Hugging Face's transformers has it: the score's divisor is length^alpha; an end is taken where it
  /// is among a step's `beam` best continuations; it goes on until there are `beam` outputs and the likeliest
  /// hypothesis, by its length of now, is not better than any of them; EOS costs nothing where nothing else may come.
  bool isTransformers = false;
  std::vector<int32_t> suppressed = {}; // tokens that are never taken
  bool renormalizes = false;            // probabilities are those of the others
};

struct SearchResult {
  std::vector<int32_t> ids;  // without BOS and EOS
  double logProbability = 0; // natural, summed over ids and EOS
  double score = 0; // logProbability / ((5 + length) / 6)^alpha, EOS counted (Wu et al. 2016), or / length^alpha
};

class Search {
public:
  /// Neither is checked before the first sentence enters; the stepper is not owned.
  Search(Stepper &stepper, const SearchOptions &options);
  ~Search();

  /// Lets a sentence take part from the next step on, under the number by which the stepper knows it. `prefix`: tokens
  /// that its outputs start with.
  Expected<void> enter(int32_t sentence, int64_t sourceLength, std::span<const int32_t> prefix = {});

  /// Sentences that take part.
  int64_t sentences() const;

  struct Done {
    int32_t sentence;
    std::vector<SearchResult> results; // best first; equal scores by the hypothesis that was first, then the lower
                                       // token. None: what the model says of this sentence is not numbers
  };
  /// Extends every hypothesis by a token, and gives the sentences that this ends.
  Expected<std::vector<Done>> step();

private:
  class Beam;

  Stepper &stepper;
  SearchOptions options;
  std::vector<std::unique_ptr<Beam>> beams;
  std::vector<Hypothesis> rows;
};

} // namespace xf::runtime

#endif // XF_RUNTIME_TEXT_SEARCH_H
