//===- Vocabulary.h - Text to token ids and back --------------------------------------===//
// One interface over SentencePiece models, xf's own vocabularies, and plain token ids where a model has no vocabulary.
// A vocabulary is one file, `V.model`, that is also embedded in executables; ImportVocabulary.h makes some of others'.
//
// A word vocabulary is text: the line `xf-vocabulary 1 word lowercase=1 tokens=N`, then N lines of a token
// each, ids from 0: `<unk>`, `<s>`, `</s>` and the words. Its tokens are the matches of \w+|[^\w\s]. The kind `split`
// in place of `word` is a list that another project made: text comes split at white space, `<s>` and `</s>` may have
// any ids, and what is unknown is `<unk>`, or 0 where the list has none. `word-pieces` are BERT's (WordPieces.cpp),
// `byte-pairs` GPT-2's and its successors' (BytePairs.cpp), `listed-pieces` Marian's and XLM-RoBERTa's
// (ListedPieces.cpp).
//===----------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_TEXT_VOCABULARY_H
#define XF_RUNTIME_TEXT_VOCABULARY_H

#include "xf/Runtime/Error.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace xf::runtime {

class Vocabulary {
public:
  static Expected<Vocabulary> load(const std::string &path);
  /// From a file's bytes; `name` is what messages call it.
  static Expected<Vocabulary> parse(std::span<const char> bytes, const std::string &name);
  /// Ids 0 to size-1 written as numbers; BOS is 1, EOS is 2.
  static Vocabulary ids(int64_t size);

  /// The ids of a line, without BOS and EOS. Only a vocabulary of ids can refuse.
  Expected<std::vector<int32_t>> encode(std::string_view line) const { return model->encode(line); }
  /// The text of ids; marks print nothing, ids outside the vocabulary print as the unknown token. Here, so that a
  /// library without vocabularies, which never calls it, has no SentencePiece in it.
  std::string decode(std::span<const int32_t> ids) const {
    std::vector<int32_t> text;
    for (int32_t id : ids)
      if (id != begin && !ends(id))
        text.push_back(id);
    return model->decode(text);
  }

  int64_t size() const { return model->size; }
  int32_t bos() const { return begin; }
  int32_t eos() const { return endMarks.front(); }
  /// Whether a text ends with this token: EOS, or another one of a model that knows several.
  bool ends(int32_t id) const { return std::find(endMarks.begin(), endMarks.end(), id) != endMarks.end(); }
  /// What the model says of its marks, in place of what the vocabulary does; the first of `eos` is EOS.
  Expected<void> setMarks(std::optional<int64_t> bos, std::span<const int64_t> eos);
  int32_t unknown() const { return model->unknown; }
  /// The token as the vocabulary spells it; of an id outside the vocabulary, which a model's table may have, the
  /// unknown one.
  std::string piece(int32_t id) const { return model->piece(id >= 0 && id < model->size ? id : model->unknown); }

  struct Model {
    int64_t size = 0;
    int32_t unknown = 0, bos = 1, eos = 2;
    virtual ~Model() = default;
    virtual Expected<std::vector<int32_t>> encode(std::string_view line) const = 0;
    virtual std::string decode(std::span<const int32_t> ids) const = 0;
    virtual std::string piece(int32_t id) const = 0;
  };

private:
  explicit Vocabulary(std::shared_ptr<const Model> model);
  std::shared_ptr<const Model> model;
  int32_t begin;
  std::vector<int32_t> endMarks;
};

/// A word vocabulary's file. `words` come without the three special tokens.
std::string writeWordVocabulary(std::span<const std::string> words, bool lowercase);

/// The file of a list of tokens, ids from 0, which text comes split into; what is wrong with it, reading it tells.
std::string writeSplitVocabulary(std::span<const std::string_view> tokens);

/// The tokens of a line as a word vocabulary sees them.
std::vector<std::string> tokenizeWords(std::string_view line, bool lowercase);

/// SentencePiece's message without the place in its sources; empty where it gives no reason but that.
std::string_view plainReason(std::string_view message);

} // namespace xf::runtime

#endif // XF_RUNTIME_TEXT_VOCABULARY_H
