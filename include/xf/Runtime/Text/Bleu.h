//===- Bleu.h - Corpus BLEU ------------------------------------------------------------===//
// BLEU (Papineni et al. 2002) with one reference, as sacreBLEU (Post 2018) computes it: 4-grams, exponential
// smoothing, tokenizer `13a` or `none`.
//===----------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_TEXT_BLEU_H
#define XF_RUNTIME_TEXT_BLEU_H

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace xf::runtime {

enum class BleuTokenizer { None, V13a };

struct BleuScore {
  double score = 0;                  // 0 to 100
  std::array<double, 4> precision{}; // in percent, smoothed
  double brevityPenalty = 0;
  int64_t hypothesisLength = 0, referenceLength = 0;
};

/// Counts sentence by sentence; the score is that of the whole corpus.
class Bleu {
public:
  explicit Bleu(BleuTokenizer tokenizer = BleuTokenizer::V13a, bool lowercase = false)
      : tokenizer(tokenizer), lowercase(lowercase) {}

  void add(std::string_view hypothesis, std::string_view reference);
  BleuScore score() const;

private:
  BleuTokenizer tokenizer;
  bool lowercase;
  std::array<int64_t, 4> matches{}, totals{};
  int64_t hypothesisLength = 0, referenceLength = 0;
};

/// A line as the mteval-v13a script splits it: tokens joined by single spaces.
std::string tokenize13a(std::string_view line);

} // namespace xf::runtime

#endif // XF_RUNTIME_TEXT_BLEU_H
