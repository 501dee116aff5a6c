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
struct CombiningClass {
  uint32_t first, last, order;
};
struct Decomposition {
  uint32_t composed, first, second;
  bool composes; // again

  bool operator<(uint32_t c) const { return composed < c; }
};
#include "UnicodeTables.inc"
} // namespace

/// The row whose interval holds `c`, if any.
template <typename Row, size_t N> static const Row *find(const Row (&table)[N], uint32_t c) {
  const Row *row =
      std::upper_bound(std::begin(table), std::end(table), c, [](uint32_t c, const Row &row) { return c < row.first; });
  return row != std::begin(table) && c <= row[-1].last ? row - 1 : nullptr;
}

Character xf::runtime::firstCharacter(std::string_view text) {
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

void xf::runtime::appendCharacter(std::string &text, uint32_t c) {
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

bool Character::isLetter() const { return valid && find(letters, value); }
bool Character::isNumber() const { return valid && find(numbers, value); }
bool Character::isPunctuation() const { return valid && find(punctuation, value); }
bool Character::isControl() const { return valid && find(controls, value); }
bool Character::isNonSpacingMark() const { return valid && find(nonSpacingMarks, value); }
bool Character::isSpace() const { // Python has four separators more
  return valid && find(whiteSpace, value) && !(value >= 0x1C && value <= 0x1F);
}

std::optional<size_t> xf::runtime::findInvalidUtf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    Character c = firstCharacter(text.substr(at));
    if (!c.valid)
      return at;
    at += c.bytes;
  }
  return std::nullopt;
}

std::string xf::runtime::toLower(std::string_view text) {
  std::string lower;
  lower.reserve(text.size());
  while (!text.empty()) {
    Character c = firstCharacter(text);
    const LowerCase *row = c.valid ? find(lowerCase, c.value) : nullptr;
    if (row && (c.value - row->first) % row->stride == 0)
      appendCharacter(lower, c.value + row->difference);
    else
      lower += text.substr(0, c.bytes);
    text.remove_prefix(c.bytes);
  }
  return lower;
}

static constexpr uint32_t hangul = 0xAC00, hangulEnd = 0xD7A4, leading = 0x1100, vowel = 0x1161, trailing = 0x11A7;
static constexpr uint32_t leadings = 19, vowels = 21, trailings = 28; // of these, one stands for none

/// Appends what `c` is made of.
static void decompose(std::u32string &text, uint32_t c) {
  if (c >= hangul && c < hangulEnd) {
    uint32_t index = c - hangul;
    text += {char32_t(leading + index / (vowels * trailings)), char32_t(vowel + index / trailings % vowels)};
    if (index % trailings)
      text += char32_t(trailing + index % trailings);
    return;
  }
  const Decomposition *row = std::lower_bound(std::begin(decompositions), std::end(decompositions), c);
  if (row == std::end(decompositions) || row->composed != c) {
    text += char32_t(c);
    return;
  }
  decompose(text, row->first);
  if (row->second)
    decompose(text, row->second);
}

/// What two characters make, or 0.
static uint32_t compose(uint32_t first, uint32_t second) {
  if (first - leading < leadings && second - vowel < vowels)
    return hangul + ((first - leading) * vowels + second - vowel) * trailings;
  if (first >= hangul && first < hangulEnd && (first - hangul) % trailings == 0 &&
      second - trailing - 1 < trailings - 1)
    return first + second - trailing;
  static const std::vector<const Decomposition *> byParts = [] {
    std::vector<const Decomposition *> rows;
    for (const Decomposition &row : decompositions)
      if (row.composes && row.second)
        rows.push_back(&row);
    std::sort(rows.begin(), rows.end(), [](const Decomposition *a, const Decomposition *b) {
      return std::pair(a->first, a->second) < std::pair(b->first, b->second);
    });
    return rows;
  }();
  auto row = std::lower_bound(byParts.begin(), byParts.end(), std::pair(first, second),
                              [](const Decomposition *row, const std::pair<uint32_t, uint32_t> &parts) {
                                return std::pair(row->first, row->second) < parts;
                              });
  return row != byParts.end() && (*row)->first == first && (*row)->second == second ? (*row)->composed : 0;
}

static uint32_t combiningClass(uint32_t c) {
  const CombiningClass *row = find(combiningClasses, c);
  return row ? row->order : 0;
}

/// Taken apart, with the marks of a character in their order. Bytes that are not UTF-8 are above all characters.
static std::u32string decomposedCharacters(std::string_view text) {
  constexpr uint32_t invalid = 0x110000;
  std::u32string characters;
  while (!text.empty()) {
    Character c = firstCharacter(text);
    if (c.valid)
      decompose(characters, c.value);
    else
      characters += char32_t(invalid + c.value);
    text.remove_prefix(c.bytes);
  }
  for (auto mark = characters.begin(); mark != characters.end();) {
    auto end = std::find_if(mark, characters.end(), [](uint32_t c) { return combiningClass(c) == 0; });
    std::vector<std::pair<uint64_t, uint32_t>> marks; // equal ones in the order of the text
    for (auto each = mark; each != end; ++each)
      marks.emplace_back(uint64_t(combiningClass(*each)) << 32 | uint64_t(each - mark), *each);
    std::sort(marks.begin(), marks.end());
    std::transform(marks.begin(), marks.end(), mark, [](const auto &each) { return char32_t(each.second); });
    mark = end == characters.end() ? end : end + 1;
  }
  return characters;
}

static std::string toUtf8(std::u32string_view characters) {
  std::string text;
  for (uint32_t c : characters)
    if (c < 0x110000)
      appendCharacter(text, c);
    else
      text += char(c - 0x110000);
  return text;
}

std::string xf::runtime::decomposed(std::string_view text) { return toUtf8(decomposedCharacters(text)); }

std::string xf::runtime::composed(std::string_view text) {
  if (std::all_of(text.begin(), text.end(), [](char c) { return uint8_t(c) < 0x80; }))
    return std::string(text);
  std::u32string characters = decomposedCharacters(text), result;
  size_t starter = 0; // the last character that others may join
  uint32_t last = 0;  // the class of what came after it and stayed
  bool hasStarter = false;
  for (uint32_t c : characters) {
    uint32_t order = combiningClass(c);
    bool isNext = hasStarter && result.size() == starter + 1;
    if (hasStarter && (isNext || (last < order && last != 0)))
      if (uint32_t both = compose(result[starter], c)) {
        result[starter] = char32_t(both);
        continue;
      }
    if (order == 0) {
      starter = result.size();
      hasStarter = true;
    }
    last = order;
    result += char32_t(c);
  }
  return toUtf8(result);
}

CharacterWidth xf::runtime::widthOfFirst(std::string_view text) {
  Character c = firstCharacter(text);
  return {c.bytes, !c.valid ? 1 : find(combining, c.value) ? 0 : find(wide, c.value) ? 2 : 1};
}

/// Splits at white space, and, if asked, around every character that is no word character.
static std::vector<std::string_view> split(std::string_view text, bool atPunctuation) {
  std::vector<std::string_view> pieces;
  bool open = false; // whether the last piece may grow
  for (size_t at = 0; at < text.size();) {
    Character c = firstCharacter(text.substr(at));
    std::string_view here = text.substr(at, c.bytes);
    at += c.bytes;
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
