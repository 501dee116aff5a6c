//===- Translator.h - A trained model that translates -------------------------------------------===//
// Vocabularies, parameters and search together; used by `translate`, `evaluate`, `attention` and libraries. Sources go
// in and their translations come out in the same order; in between they share a batch that each leaves when it is done,
// and the next one enters.
//===-------------------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_TEXT_TRANSLATOR_H
#define XF_RUNTIME_TEXT_TRANSLATOR_H

#include "xf/Runtime/Decoder.h"
#include "xf/Runtime/Text/Vocabularies.h"

#include <deque>

namespace xf::runtime {

class Translator {
public:
  /// Session and model are not owned and outlive the translator. `batchSize`: sentences of a batch; 0: as many as have
  /// `usualRows` hypotheses.
  Translator(Session &session, const ModelState &model, const Vocabularies &vocabularies, SearchOptions options,
             int64_t batchSize = 0);

  /// How this program's model searches where nothing else is said: with keys `beam`, `length_penalty`, `extra_length`,
  /// `max_length`, `search`, `suppress_tokens`, `renormalize`.
  static SearchOptions defaults(const Program &program);

  /// Rows of a step that fill the matrix kernels.
  static constexpr int64_t usualRows = 256;

  /// Sources that can be put in now without waiting long for their turn.
  int64_t room() const { return std::max<int64_t>(batchSize - int64_t(queue.size()), 0); }
  /// A source with its marks, and what its translations start with; a source of no other token has the empty one.
  void put(std::vector<int32_t> source, std::vector<int32_t> prefix = {});
  /// One step of whatever is here.
  Expected<void> step();
  /// Whether nothing is left to do.
  bool isIdle() const { return queue.empty() && encoded.empty() && search.sentences() == 0; }
  /// The next source's translations, best first, once they are there; none where the model's probabilities are not
  /// numbers, of which `notNumbers` tells.
  std::optional<std::vector<SearchResult>> take();
  static Error notNumbers(const std::string &place);

  /// All of these sources' translations; `prefixes`: none, or one a source. `unit`: what messages count.
  Expected<std::vector<std::vector<SearchResult>>> translate(std::span<const std::vector<int32_t>> sources,
                                                             std::span<const std::vector<int32_t>> prefixes = {},
                                                             std::string_view unit = "sentence");

private:
  struct Waiting {
    size_t index; // of the results
    std::vector<int32_t> source, prefix;
    int32_t number = -1; // of the decoder, once it is encoded
  };
  Expected<void> encodeNext();

  int64_t batchSize, marks; // marks: of a source
  Decoder decoder;
  Search search;
  std::deque<Waiting> queue, encoded;
  std::vector<size_t> indices;                                  // of those that are translated, by the decoder's number
  std::deque<std::optional<std::vector<SearchResult>>> results; // of the sources from `taken` on
  size_t taken = 0;
};

} // namespace xf::runtime

#endif // XF_RUNTIME_TEXT_TRANSLATOR_H
