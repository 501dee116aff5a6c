//===- BytePairs.cpp - GPT-2's kind of vocabularies -----------------------------------===//
// Text is cut into pieces by rule, and the bytes of each are joined, two neighbours at a time, in the order in which
// the joins were learned (Sennrich et al. 2016; of bytes Radford et al. 2019). The rules are regular expressions
// elsewhere; here each is a few lines over Unicode's categories. Of SentencePiece's kind (cut=none) a text is one
// piece, whose characters are joined, and whose spaces are U+2581.
//===----------------------------------------------------------------------------------===//
#include "VocabularyFile.h"
#include "xf/Runtime/Text/Unicode.h"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <queue>
#include <unordered_map>

using namespace xf::runtime;

namespace {
struct Cutter {
  bool modern = false; // after GPT-2: lines end pieces, and a word takes any character before it along
  int64_t digits = 0;  // of a number that stay together; 0: all
  bool apart = false;  // numbers are cut off before all else, digit by digit

  /// Bytes of the first piece of a text that is not empty.
  size_t first(std::string_view text) const;
  /// Bytes up to the first number, or of its first digit.
  size_t part(std::string_view text) const;

private:
  static size_t contraction(std::string_view text, bool anyCase);
};

/// Where a space comes before text: nowhere; where it does not start with one; as well, but at the start of all alone;
/// everywhere.
enum class Prefix { None, Missing, First, Always };

struct BytePairModel final : Vocabulary::Model {
  struct Merge {
    int32_t rank, result;
  };
  std::vector<std::string> tokens;
  std::vector<char> kinds;                            // of tokens: = of the text, + added, * a mark, - none
  std::unordered_map<std::string_view, int32_t> idOf; // views into `tokens`
  std::unordered_map<uint64_t, Merge> merges;         // by both ids
  std::array<int32_t, 256> ofByte;                    // -1: none
  int32_t ofOthers = -1;                              // of bytes that have none; -1: they are left out
  bool joinsOthers = false;                           // a run of them is one token
  SpelledTokens added;
  Cutter cutter;
  bool composes = false, wholeFirst = false, ofCharacters = false;
  Prefix prefix = Prefix::None;

  static uint64_t key(int32_t left, int32_t right) { return uint64_t(uint32_t(left)) << 32 | uint32_t(right); }

  Expected<std::vector<int32_t>> encode(std::string_view line) const override;
  std::string decode(std::span<const int32_t> ids) const override;
  std::string piece(int32_t id) const override;

private:
  std::vector<int32_t> symbolsOf(std::string_view piece) const;
  void encodePiece(std::string_view piece, std::vector<int32_t> &ids) const;
};
} // namespace

static constexpr std::string_view spaceMark = "\u2581"; // what spaces are in tokens of characters

static std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string result;
  for (size_t end; (end = text.find(from)) != text.npos; text.remove_prefix(end + from.size()))
    result.append(text.substr(0, end)) += to;
  return result += text;
}

/// Bytes of the characters at the start of `text` that are of a kind.
template <typename Kind> static size_t run(std::string_view text, Kind isOfKind, int64_t most = 0) {
  size_t end = 0;
  for (int64_t count = 0; end < text.size() && (most == 0 || count < most); ++count) {
    Character c = firstCharacter(text.substr(end));
    if (!isOfKind(c))
      break;
    end += c.bytes;
  }
  return end;
}
static bool isLetter(const Character &c) { return c.isLetter(); }
static bool isNumber(const Character &c) { return c.isNumber(); }
static bool isSpace(const Character &c) { return c.isSpace(); }
static bool isElse(const Character &c) { return !c.isLetter() && !c.isNumber() && !c.isSpace(); }
static bool isLineEnd(const Character &c) { return c.value == '\r' || c.value == '\n'; }

/// 's, 't, 're, 've, 'm, 'll, 'd
size_t Cutter::contraction(std::string_view text, bool anyCase) {
  if (text[0] != '\'')
    return 0;
  for (std::string_view ending : {"s", "t", "re", "ve", "m", "ll", "d"}) {
    std::string_view here = text.substr(1, ending.size());
    if (std::equal(here.begin(), here.end(), ending.begin(), ending.end(),
                   [&](char a, char b) { return a == b || (anyCase && a >= 'A' && a <= 'Z' && a - 'A' + 'a' == b); }))
      return 1 + ending.size();
  }
  return 0;
}

size_t Cutter::part(std::string_view text) const {
  if (!apart)
    return text.size();
  size_t end = run(text, [](const Character &c) { return !c.isNumber(); });
  return end ? end : firstCharacter(text).bytes;
}

size_t Cutter::first(std::string_view text) const {
  if (size_t end = contraction(text, modern))
    return end;
  Character c = firstCharacter(text);
  size_t space = text[0] == ' ' ? 1 : 0;
  // A word, with what stands before it.
  size_t before = modern ? (isLineEnd(c) || c.isLetter() || c.isNumber() ? 0 : c.bytes) : space;
  if (size_t end = run(text.substr(before), isLetter))
    return before + end;
  // A number.
  if (size_t end = run(text.substr(modern ? 0 : space), isNumber, digits))
    return (modern ? 0 : space) + end;
  if (size_t end = run(text.substr(space), isElse)) {
    end += space;
    return end + (modern ? run(text.substr(end), isLineEnd) : 0);
  }
  // White space: up to the end of a line, or before the last character that belongs to what follows.
  size_t end = run(text, isSpace);
  if (modern)
    if (size_t last = text.substr(0, end).find_last_of("\r\n"); last != text.npos)
      return last + 1;
  if (end < text.size()) {
    size_t last = end - 1;
    while ((uint8_t(text[last]) & 0xC0) == 0x80)
      --last;
    if (last > 0)
      return last;
  }
  return end;
}

/// What a piece is before its first join: bytes, or characters, and bytes of those that are no tokens.
std::vector<int32_t> BytePairModel::symbolsOf(std::string_view piece) const {
  std::vector<int32_t> symbols;
  bool followsOther = false;
  auto addByte = [&](char byte) {
    int32_t id = ofByte[uint8_t(byte)];
    bool isOther = id < 0;
    if (isOther)
      id = joinsOthers && followsOther ? -1 : ofOthers;
    followsOther = isOther;
    if (id >= 0)
      symbols.push_back(id);
  };
  while (!piece.empty()) {
    std::string_view next = piece.substr(0, ofCharacters ? firstCharacter(piece).bytes : 1);
    auto found = ofCharacters ? idOf.find(next) : idOf.end();
    if (found != idOf.end())
      symbols.push_back(found->second);
    else
      for (char byte : next)
        addByte(byte);
    piece.remove_prefix(next.size());
  }
  return symbols;
}

void BytePairModel::encodePiece(std::string_view piece, std::vector<int32_t> &ids) const {
  if (auto whole = idOf.find(piece); wholeFirst && whole != idOf.end()) {
    ids.push_back(whole->second);
    return;
  }
  struct Symbol {
    int32_t id;
    int64_t before, after;
  };
  struct Join {
    int32_t rank;
    int64_t left, right;
    int32_t leftId, rightId; // when it was found
    bool operator<(const Join &other) const {
      return std::pair(rank, left) > std::pair(other.rank, other.left); // the first one on top
    }
  };
  std::vector<int32_t> first = symbolsOf(piece);
  int64_t count = int64_t(first.size());
  std::vector<Symbol> symbols;
  std::priority_queue<Join> joins;
  for (int64_t i = 0; i < count; ++i)
    symbols.push_back({first[i], i - 1, i + 1 < count ? i + 1 : -1});
  auto consider = [&](int64_t left, int64_t right) {
    if (left < 0 || right < 0)
      return;
    auto merge = merges.find(key(symbols[left].id, symbols[right].id));
    if (merge != merges.end())
      joins.push({merge->second.rank, left, right, symbols[left].id, symbols[right].id});
  };
  for (int64_t i = 0; i + 1 < count; ++i)
    consider(i, i + 1);
  constexpr int32_t gone = -1;
  while (!joins.empty()) {
    Join join = joins.top();
    joins.pop();
    Symbol &left = symbols[join.left], &right = symbols[join.right];
    if (left.id != join.leftId || right.id != join.rightId || left.after != join.right)
      continue;
    left.id = merges.at(key(left.id, right.id)).result;
    left.after = right.after;
    right.id = gone;
    if (left.after >= 0)
      symbols[left.after].before = join.left;
    consider(left.before, join.left);
    consider(join.left, left.after);
  }
  for (int64_t i = 0; i >= 0 && i < count; i = symbols[i].after)
    ids.push_back(symbols[i].id);
}

Expected<std::vector<int32_t>> BytePairModel::encode(std::string_view line) const {
  std::vector<int32_t> ids;
  added.split(line, [&](int32_t id, std::string_view part) {
    if (id >= 0) {
      ids.push_back(id);
      return;
    }
    std::string text = composes ? composed(part) : std::string(part);
    std::string_view space = ofCharacters ? spaceMark : " ";
    if (ofCharacters)
      text = replaced(text, " ", spaceMark);
    bool isMissing = !text.starts_with(space) && (prefix != Prefix::First || part.data() == line.data());
    if (prefix == Prefix::Always || (prefix != Prefix::None && isMissing))
      text.insert(0, space);
    if (ofCharacters)
      return encodePiece(text, ids);
    for (std::string_view all = text; !all.empty();) {
      std::string_view rest = all.substr(0, cutter.part(all));
      all.remove_prefix(rest.size());
      while (!rest.empty()) {
        size_t bytes = cutter.first(rest);
        encodePiece(rest.substr(0, bytes), ids);
        rest.remove_prefix(bytes);
      }
    }
  });
  return ids;
}

/// The byte of the token "<0x0A>".
static int byteOf(std::string_view token) {
  int byte = -1;
  if (token.size() == 6 && token.starts_with("<0x") && token.ends_with('>'))
    std::from_chars(token.data() + 3, token.data() + 5, byte, 16);
  return byte;
}

/// Text whose bytes that are not UTF-8 are U+FFFD.
static std::string asText(std::string_view bytes) {
  std::string text;
  while (!bytes.empty()) {
    Character c = firstCharacter(bytes);
    text += c.valid ? bytes.substr(0, c.bytes) : "\uFFFD";
    bytes.remove_prefix(c.bytes);
  }
  return text;
}

std::string BytePairModel::decode(std::span<const int32_t> ids) const {
  std::string bytes;
  for (int32_t id : ids)
    if (id >= 0 && id < size && kinds[id] == '#')
      bytes += char(byteOf(tokens[id]));
    else if (id >= 0 && id < size && kinds[id] != '*')
      bytes += ofCharacters ? replaced(tokens[id], spaceMark, " ") : tokens[id];
  if (ofCharacters && prefix != Prefix::None && bytes.starts_with(' '))
    bytes.erase(0, 1);
  return asText(bytes);
}

std::string BytePairModel::piece(int32_t id) const { return id < 0 ? "" : asText(tokens[id]); }

Expected<std::shared_ptr<Vocabulary::Model>> xf::runtime::parseBytePairs(VocabularyFile &file) {
  auto model = std::make_shared<BytePairModel>();
  std::optional<int64_t> digits = file.field("digits"), apart = file.field("apart"), composes = file.field("compose"),
                         whole = file.field("whole"), space = file.field("space"), bos = file.field("bos"),
                         eos = file.field("eos"), count = file.field("tokens"), merges = file.field("merges");
  std::string_view cut = file.text("cut");
  if (!digits || !apart || !composes || !whole || !space || !bos || !eos || !count || !merges || *digits < 0 ||
      *count < 0 || *count > INT32_MAX || *merges < 0 || *merges > INT32_MAX || *space < 0 || *space > 3 ||
      (cut != "gpt2" && cut != "modern" && cut != "none"))
    return file.wrong("expected cut=gpt2|modern|none digits=N apart=0|1 compose=0|1 whole=0|1 space=0|1|2|3 bos=ID "
                      "eos=ID tokens=N merges=M");
  model->ofCharacters = cut == "none";
  model->cutter = {cut == "modern", *digits, *apart != 0};
  model->composes = *composes;
  model->wholeFirst = *whole;
  model->prefix = static_cast<Prefix>(*space);
  model->unknown = -1; // nothing is
  if (std::optional<int64_t> others = file.field("others")) {
    if (*others < 0 || *others >= *count)
      return file.wrong(fmt::format("expected others to be a token's id, but got {}", *others));
    model->ofOthers = int32_t(*others);
    model->joinsOthers = file.field("join_others").value_or(0);
  }
  for (auto [name, id, to] : {std::tuple("bos", *bos, &model->bos), std::tuple("eos", *eos, &model->eos)}) {
    if (id < 0 || id >= *count)
      return file.wrong(fmt::format("expected {} to be a token's id, but got {}", name, id));
    *to = int32_t(id);
  }
  for (int64_t i = 0; i < *count; ++i) {
    Expected<std::string_view> line = file.line();
    if (!line)
      return line.error();
    char kind = line->empty() ? 0 : line->front();
    if (std::string_view("=+*-#").find(kind) == std::string_view::npos || (kind != '-' && line->size() < 2) ||
        (kind == '#' && byteOf(line->substr(1)) < 0))
      return file.wrong("expected '=', '+' or '*' and a token, '#' and a byte, or '-'");
    model->kinds.push_back(kind);
    model->tokens.push_back(unescapeToken(line->substr(1)));
  }
  model->size = *count;
  model->ofByte.fill(-1);
  for (int32_t id = 0; id < model->size; ++id) {
    const std::string &token = model->tokens[id];
    if (model->kinds[id] == '#')
      model->ofByte[byteOf(token)] = id;
    else if (model->kinds[id] == '=')
      model->idOf.try_emplace(token, id);
    else if (model->kinds[id] != '-')
      model->added.add(token, id);
    if (model->kinds[id] == '=' && !model->ofCharacters && token.size() == 1)
      model->ofByte[uint8_t(token[0])] = id;
  }
  // Tokens of characters stand on those of bytes; where bytes are cut, those that were in no text may have none.
  auto missing = std::ranges::find(model->ofByte, -1);
  if (std::ranges::count(model->ofByte, -1) == 256 || (model->ofCharacters && missing != model->ofByte.end()))
    return userError(fmt::format("vocabulary '{}': expected a token for every byte, but there is none for 0x{:02x}",
                                 file.name, missing - model->ofByte.begin()));
  for (int64_t rank = 0; rank < *merges; ++rank) {
    Expected<std::string_view> line = file.line();
    if (!line)
      return line.error();
    size_t gap = std::min(line->find(' '), line->size());
    std::optional<int64_t> left = parseNumber(line->substr(0, gap)),
                           right = parseNumber(line->substr(std::min(gap + 1, line->size())));
    if (!left || !right || *left < 0 || *right < 0 || *left >= *count || *right >= *count)
      return file.wrong("expected the ids of two tokens");
    auto joined = model->idOf.find(model->tokens[*left] + model->tokens[*right]);
    if (joined == model->idOf.end())
      return file.wrong(fmt::format("expected what '{}' and '{}' make to be a token", asText(model->tokens[*left]),
                                    asText(model->tokens[*right])));
    model->merges.try_emplace(BytePairModel::key(int32_t(*left), int32_t(*right)),
                              BytePairModel::Merge{int32_t(rank), joined->second});
  }
  if (!file.rest.empty())
    return file.wrong(fmt::format("expected the end after {} tokens and {} merges", *count, *merges));
  return std::shared_ptr<Vocabulary::Model>(model);
}
