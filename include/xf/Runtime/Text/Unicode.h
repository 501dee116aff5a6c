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
