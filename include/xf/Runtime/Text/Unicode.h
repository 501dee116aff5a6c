//===- Unicode.h - UTF-8, lower case and words ----------------------------------------===//
// The little of Unicode that text commands need. Tables come from tools/scripts/generate-unicode.py, so
// an executable carries kilobytes of them and no library.
//===----------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_TEXT_UNICODE_H
#define XF_RUNTIME_TEXT_UNICODE_H

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace xf::runtime {

/// Offset of the first byte that is not well-formed UTF-8 (overlong forms and surrogates are not).
std::optional<size_t> findInvalidUtf8(std::string_view text);

/// Lower case, code point by code point. Bytes that are not UTF-8 stay.
std::string toLower(std::string_view text);

/// A character at the start of `text`, which is not empty. A byte that is not UTF-8 is one of its own, of no kind.
struct Character {
  uint32_t value;
  size_t bytes;
  bool valid;

  // By Unicode's general categories: L, N, P; Cc, Cf and Co; Mn.
  bool isLetter() const;
  bool isNumber() const;
  bool isPunctuation() const;
  bool isControl() const;
  bool isNonSpacingMark() const;
  /// Unicode's property White_Space.
  bool isSpace() const;
};
Character firstCharacter(std::string_view text);
void appendCharacter(std::string &text, uint32_t value);

/// Unicode's normal forms: characters taken apart as far as they go (NFD), and put together again (NFC).
std::string decomposed(std::string_view text);
std::string composed(std::string_view text);

/// The bytes of the first character of `text`, which is not empty, and the columns it takes: 2 where it is as wide as
/// it is high, 0 where it joins the one before it.
struct CharacterWidth {
  size_t bytes;
  int columns;
};
CharacterWidth widthOfFirst(std::string_view text);

/// The matches of \w+|[^\w\s] (Python's `re`), as views into `text`.
std::vector<std::string_view> splitWords(std::string_view text);

/// The pieces between runs of white space (Python's str.split()).
std::vector<std::string_view> splitWhiteSpace(std::string_view text);

} // namespace xf::runtime

#endif // XF_RUNTIME_TEXT_UNICODE_H
