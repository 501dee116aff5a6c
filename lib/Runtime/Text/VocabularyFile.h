//===- VocabularyFile.h - xf's own vocabulary files -----------------------------------===//
// Text: a first line of fields, then a line a token. Shared by the kinds of vocabularies.
//===----------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_TEXT_VOCABULARYFILE_H
#define XF_RUNTIME_TEXT_VOCABULARYFILE_H

#include "xf/Runtime/Text/Vocabulary.h"

#include <array>
#include <functional>
#include <optional>

namespace sentencepiece {
class SentencePieceProcessor;
}

namespace xf::runtime {

/// `text` as a whole number, if it is one.
std::optional<int64_t> parseNumber(std::string_view text);

/// The file's first line, and the rest of it.
struct VocabularyFile {
  std::string name; // what messages call it
  std::vector<std::string_view> header;
  std::string_view rest;
  int64_t lines = 1; // that were read

  static constexpr std::string_view magic = "xf-vocabulary ";
  Expected<void> open(std::string_view text, const std::string &name);
  /// The kind: word, split, word-pieces, byte-pairs, listed-pieces.
  std::string_view kind() const { return header[2]; }
  /// The number of "key=3" in the first line.
  std::optional<int64_t> field(std::string_view key) const;
  std::string_view text(std::string_view key) const;
  /// The next line.
  Expected<std::string_view> line();
  Error wrong(std::string_view problem) const;
};

/// A token on a line of its own, and back.
std::string escapeToken(std::string_view token);
std::string unescapeToken(std::string_view line);

/// Tokens that stand in text as they are spelled, before it is taken apart: the longest at the first place.
class SpelledTokens {
public:
  void add(std::string_view token, int32_t id);
  /// Calls with the parts of a text in their order: a token's id, or -1 and the text between them.
  void split(std::string_view text, const std::function<void(int32_t, std::string_view)> &part) const;

private:
  std::array<std::vector<std::pair<std::string, int32_t>>, 256> byFirst; // longer ones first
};

Expected<std::shared_ptr<Vocabulary::Model>> parseWordPieces(VocabularyFile &file);
Expected<std::shared_ptr<Vocabulary::Model>> parseBytePairs(VocabularyFile &file);
Expected<std::shared_ptr<Vocabulary::Model>> parseListedPieces(VocabularyFile &file);

/// A SentencePiece model from its bytes.
Expected<void> loadSentencePiece(std::span<const char> bytes, const std::string &name,
                                 sentencepiece::SentencePieceProcessor &processor);

} // namespace xf::runtime

#endif // XF_RUNTIME_TEXT_VOCABULARYFILE_H
