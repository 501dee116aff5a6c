//===- Unicode.cpp - UTF-8, lower case and words --------------------------------------===//
// Binary search in generated ranges.
//===----------------------------------------------------------------------------------===//
#include "xf/Runtime/Text/Unicode.h"

#include <algorithm>
#include <iterator>

using namespace xf::runtime;

namespace {
struct Range {
  uint32_t first, last;
};
struct LowerCase {
  uint32_t first, last, stride;
  int32_t difference;
};
#include "UnicodeTables.inc"

struct CodePoint {
  uint32_t value;
  size_t length; // in bytes
  bool valid;
};
} // namespace

/// The row whose interval holds `c`, if any.
template <typename Row, size_t N> static const Row *find(const Row (&table)[N], uint32_t c) {
  const Row *row =
      std::upper_bound(std::begin(table), std::end(table), c, [](uint32_t c, const Row &row) { return c < row.first; });
  return row != std::begin(table) && c <= row[-1].last ? row - 1 : nullptr;
}

/// The code point at the start of `text`, which is not empty; an invalid byte stands for itself.
static CodePoint decode(std::string_view text) {
  auto byte = [&](size_t i) { return uint8_t(text[i]); };
  uint32_t lead = byte(0);
  if (lead < 0x80)
    return {lead, 1, true};
  size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length)
    return {lead, 1, false};
  uint32_t value = lead & (0xFF >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80)
      return {lead, 1, false};
    value = value << 6 | (byte(i) & 0x3F);
  }
  static constexpr uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
  bool surrogate = value >= 0xD800 && value < 0xE000;
  if (value < smallest[length] || value > 0x10FFFF || surrogate)
    return {lead, 1, false};
  return {value, length, true};
}

static void append(std::string &text, uint32_t c) {
  if (c < 0x80) {
    text += char(c);
  } else if (c < 0x800) {
    text += {char(0xC0 | c >> 6), char(0x80 | (c & 0x3F))};
  } else if (c < 0x10000) {
    text += {char(0xE0 | c >> 12), char(0x80 | (c >> 6 & 0x3F)), char(0x80 | (c & 0x3F))};
  } else {
    text +=
        {char(0xF0 | c >> 18), char(0x80 | (c >> 12 & 0x3F)), char(0x80 | (c >> 6 & 0x3F)), char(0x80 | (c & 0x3F))};
  }
}

std::optional<size_t> xf::runtime::findInvalidUtf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    CodePoint c = decode(text.substr(at));
    if (!c.valid)
      return at;
    at += c.length;
  }
  return std::nullopt;
}

std::string xf::runtime::toLower(std::string_view text) {
  std::string lower;
  lower.reserve(text.size());
  while (!text.empty()) {
    CodePoint c = decode(text);
    const LowerCase *row = c.valid ? find(lowerCase, c.value) : nullptr;
    if (row && (c.value - row->first) % row->stride == 0)
      append(lower, c.value + row->difference);
    else
      lower += text.substr(0, c.length);
    text.remove_prefix(c.length);
  }
  return lower;
}

CharacterWidth xf::runtime::widthOfFirst(std::string_view text) {
  CodePoint c = decode(text);
  return {c.length, !c.valid ? 1 : find(combining, c.value) ? 0 : find(wide, c.value) ? 2 : 1};
}

/// Splits at white space, and, if asked, around every character that is no word character.
static std::vector<std::string_view> split(std::string_view text, bool atPunctuation) {
  std::vector<std::string_view> pieces;
  bool open = false; // whether the last piece may grow
  for (size_t at = 0; at < text.size();) {
    CodePoint c = decode(text.substr(at));
    std::string_view here = text.substr(at, c.length);
    at += c.length;
    if (c.valid && find(whiteSpace, c.value)) {
      open = false;
      continue;
    }
    bool grows = !atPunctuation || (c.valid && find(wordCharacters, c.value));
    if (open && grows)
      pieces.back() = {pieces.back().data(), pieces.back().size() + here.size()};
    else
      pieces.push_back(here);
    open = grows;
  }
  return pieces;
}

std::vector<std::string_view> xf::runtime::splitWords(std::string_view text) { return split(text, true); }
std::vector<std::string_view> xf::runtime::splitWhiteSpace(std::string_view text) { return split(text, false); }
