//===- ImportVocabulary.cpp - Vocabularies of others ----------------------------------===//
// JSON and rows of tokens become xf's own files, or a SentencePiece model. What a tokeniser does that these can't say
// is an error that names it.
//===----------------------------------------------------------------------------------===//
#include "xf/Runtime/Text/ImportVocabulary.h"
#include "VocabularyFile.h"
#include "xf/Runtime/Json.h"
#include "xf/Runtime/Text/Unicode.h"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <limits>
#include <map>
#include <unordered_map>

using namespace xf::runtime;
using nlohmann::json;

//===-- SentencePiece ---------------------------------------------------------------===//
namespace {
/// Messages of protocol buffers: a key of number and wire type before each field.
struct Message {
  std::string bytes;

  void number(int field, uint64_t value) {
    varint(uint64_t(field) << 3);
    varint(value);
  }
  void real(int field, float value) {
    varint(uint64_t(field) << 3 | 5);
    bytes.append(reinterpret_cast<const char *>(&value), sizeof(value));
  }
  void text(int field, std::string_view value) {
    varint(uint64_t(field) << 3 | 2);
    varint(value.size());
    bytes += value;
  }

private:
  void varint(uint64_t value) {
    for (; value >= 128; value >>= 7)
      bytes += char(value | 128);
    bytes += char(value);
  }
};

/// As sentencepiece_model.proto numbers them.
enum class PieceType { Normal = 1, Unknown = 2, Control = 3, Byte = 6 };
struct Piece {
  std::string text;
  float score;
  PieceType type;
};
} // namespace

/// A model of joins by score, of text with a space before it and bytes for what is no token.
static std::string writeSentencePiece(std::span<const Piece> pieces) {
  Message model;
  for (const Piece &piece : pieces) {
    Message each;
    each.text(1, piece.text);
    each.real(2, piece.score);
    each.number(3, uint64_t(piece.type));
    model.text(1, each.bytes);
  }
  Message trainer;
  trainer.number(3, 2); // BPE
  trainer.number(4, pieces.size());
  trainer.number(35, 1); // byte_fallback
  model.text(2, trainer.bytes);
  Message normalizer;
  normalizer.text(1, "identity");
  normalizer.number(3, 1); // add_dummy_prefix
  normalizer.number(4, 0); // remove_extra_whitespaces
  normalizer.number(5, 1); // escape_whitespaces
  model.text(3, normalizer.bytes);
  return model.bytes;
}

static bool isByteToken(std::string_view token) {
  return token.size() == 6 && token.starts_with("<0x") && token.ends_with('>') && std::isxdigit(uint8_t(token[3])) &&
         std::isxdigit(uint8_t(token[4]));
}

/// Rows of id, token and score.
static Expected<std::string> importScores(std::string_view text, const std::string &name) {
  std::vector<Piece> pieces;
  while (!text.empty()) {
    size_t end = std::min(text.find('\n'), text.size());
    std::string_view row = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    auto wrong = [&](std::string_view problem) {
      return userError(fmt::format("vocabulary '{}', line {}: {}", name, pieces.size() + 1, problem));
    };
    size_t first = row.find('\t'), second = row.rfind('\t');
    if (first == row.npos || second == first)
      return wrong("expected an id, a token as a JSON string and a score, with tabs between them");
    if (parseNumber(row.substr(0, first)) != int64_t(pieces.size()))
      return wrong(
          fmt::format("expected the id {}, but got '{}'", pieces.size(), row.substr(0, std::min<size_t>(first, 40))));
    json token = parseJson(row.substr(first + 1, second - first - 1));
    std::string score(row.substr(second + 1));
    char *scoreEnd = nullptr;
    float value = std::strtof(score.c_str(), &scoreEnd);
    if (!token.is_string() || score.empty() || *scoreEnd)
      return wrong("expected a token as a JSON string and a score");
    Piece piece{token.get<std::string>(), value, PieceType::Normal};
    constexpr std::string_view marks[] = {"<unk>", "<s>", "</s>"}; // known by their places
    if (size_t id = pieces.size(); id < std::size(marks)) {
      piece.text = marks[id];
      piece.type = id == 0 ? PieceType::Unknown : PieceType::Control;
    } else if (isByteToken(piece.text)) {
      piece.type = PieceType::Byte;
    } else {
      std::string escaped;
      for (char c : piece.text)
        escaped += c == ' ' ? "\u2581" : std::string(1, c);
      piece.text = std::move(escaped);
    }
    pieces.push_back(std::move(piece));
  }
  return writeSentencePiece(pieces);
}

//===-- BPE of bytes ----------------------------------------------------------------===//
/// The bytes that GPT-2's spelling of a token stands for: printable ones are themselves, the others follow U+0100.
static std::optional<std::string> spelledBytes(std::string_view spelling) {
  static const std::map<uint32_t, char> byteOf = [] {
    std::map<uint32_t, char> bytes;
    uint32_t next = 256;
    for (uint32_t byte = 0; byte < 256; ++byte) {
      bool isPrintable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
      bytes[isPrintable ? byte : next++] = char(byte);
    }
    return bytes;
  }();
  std::string bytes;
  while (!spelling.empty()) {
    Character c = firstCharacter(spelling);
    auto found = byteOf.find(c.value);
    if (!c.valid || found == byteOf.end())
      return std::nullopt;
    bytes += found->second;
    spelling.remove_prefix(c.bytes);
  }
  return bytes;
}

namespace {
struct BytePairs {
  std::string name;
  std::string cut = "gpt2";
  int digits = 0;
  bool apart = false, composes = false, wholeFirst = false, ofCharacters = false;
  int prefix = 0; // a space: in no place, where there is none, at the start of all where there is none, in every place
  std::optional<int64_t> others{};                          // the token of bytes that have none
  bool joinsOthers = false;                                 // a run of them is one
  std::map<int64_t, std::pair<char, std::string>> tokens{}; // kind and bytes by id
  std::unordered_map<std::string, int64_t> idOf{};          // by spelling
  std::vector<std::pair<int64_t, int64_t>> merges{};

  Error wrong(std::string_view problem) const { return userError(fmt::format("vocabulary '{}': {}", name, problem)); }

  Expected<void> addTokens(const json &vocabulary);
  Expected<void> addMerge(const std::string &left, const std::string &right);
  Expected<std::string> write() const;
};
} // namespace

/// Tokens that texts begin or end with, by what they are usually called.
static constexpr std::string_view beginMarks[] = {"<|begin_of_text|>", "<s>", "<|startoftext|>", "<|endoftext|>"};
static constexpr std::string_view endMarks[] = {"<|end_of_text|>", "</s>", "<|endoftext|>", "<|im_end|>"};

Expected<void> BytePairs::addTokens(const json &vocabulary) {
  if (!vocabulary.is_object() || vocabulary.empty())
    return wrong("expected an object of tokens and their ids");
  for (const auto &[spelling, id] : vocabulary.items()) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() > 10'000'000)
      return wrong(fmt::format("expected '{}' to have an id", spelling));
    bool isMark = std::ranges::count(beginMarks, spelling) || std::ranges::count(endMarks, spelling);
    std::optional<std::string> bytes = isMark || ofCharacters ? std::nullopt : spelledBytes(spelling);
    auto token = bytes ? std::pair('=', *bytes) : std::pair(isMark ? '*' : '+', spelling);
    if (ofCharacters && !isMark)
      token.first = isByteToken(spelling) ? '#' : '=';
    if (auto [other, isNew] = tokens.try_emplace(id.get<int64_t>(), token); !isNew)
      return wrong(fmt::format("the id {} is given to two tokens", id.get<int64_t>()));
    idOf[spelling] = id.get<int64_t>();
  }
  return {};
}

Expected<void> BytePairs::addMerge(const std::string &left, const std::string &right) {
  auto first = idOf.find(left), second = idOf.find(right);
  if (first == idOf.end() || second == idOf.end())
    return wrong(fmt::format("expected '{}', which is joined, to be a token", first == idOf.end() ? left : right));
  merges.emplace_back(first->second, second->second);
  return {};
}

Expected<std::string> BytePairs::write() const {
  auto find = [&](auto &marks) -> std::optional<int64_t> {
    for (std::string_view mark : marks)
      for (const auto &[id, token] : tokens)
        if (token.first == '*' && token.second == mark)
          return id;
    for (const auto &[id, token] : tokens)
      if (token.first == '*')
        return id;
    return std::nullopt;
  };
  std::optional<int64_t> bos = find(beginMarks), eos = find(endMarks);
  if (!bos || !eos)
    return wrong("expected a special token that ends a text, such as <|endoftext|>");
  int64_t count = tokens.empty() ? 0 : tokens.rbegin()->first + 1;
  std::string text = fmt::format(
      "{}1 byte-pairs cut={} digits={} apart={} compose={} whole={} space={} bos={} eos={} tokens={} merges={}{}\n",
      VocabularyFile::magic, cut, digits, int(apart), int(composes), int(wholeFirst), prefix, *bos, *eos, count,
      merges.size(), others ? fmt::format(" others={} join_others={}", *others, int(joinsOthers)) : "");
  for (int64_t id = 0; id < count; ++id) {
    auto token = tokens.find(id);
    text += token == tokens.end() ? "-" : token->second.first + escapeToken(token->second.second);
    text += '\n';
  }
  for (auto [left, right] : merges)
    text += fmt::format("{} {}\n", left, right);
  return text;
}

Expected<std::string> xf::runtime::importBytePairs(std::string_view vocabulary, std::string_view merges,
                                                   const std::string &name) {
  BytePairs pairs{name};
  if (Expected<void> added = pairs.addTokens(parseJson(vocabulary)); !added)
    return added.error();
  for (bool isFirst = true; !merges.empty(); isFirst = false) {
    size_t end = std::min(merges.find('\n'), merges.size());
    std::string line(merges.substr(0, end));
    merges.remove_prefix(std::min(end + 1, merges.size()));
    if (line.ends_with('\r'))
      line.pop_back();
    if (line.empty() || (isFirst && line.starts_with("#version")))
      continue;
    size_t gap = line.find(' ');
    if (gap == line.npos)
      return pairs.wrong(fmt::format("expected two tokens to join, but got '{}'", line));
    if (Expected<void> added = pairs.addMerge(line.substr(0, gap), line.substr(gap + 1)); !added)
      return added.error();
  }
  return pairs.write();
}

//===-- tokenizer.json --------------------------------------------------------------===//
/// How pieces are cut, by the expressions that are known: GPT-2's, Llama 3's, Qwen 2's.
static bool setCut(std::string_view expression, BytePairs &pairs) {
  constexpr std::string_view gpt2 = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
  constexpr std::string_view start = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})";
  constexpr std::string_view end = R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  if (expression == gpt2)
    return true;
  if (!expression.starts_with(start) || !expression.ends_with(end) || expression.size() < start.size() + end.size())
    return false;
  std::string_view many = expression.substr(start.size(), expression.size() - start.size() - end.size());
  pairs.cut = "modern";
  pairs.digits = many == "{1,3}" ? 3 : 1;
  return many.empty() || many == "{1,3}";
}

/// The members of a sequence of steps, or the one step.
static std::vector<json> stepsOf(const json &step, const char *members) {
  if (!step.is_object())
    return {};
  if (step.value("type", "") == "Sequence" && step.contains(members) && step[members].is_array())
    return step[members].get<std::vector<json>>();
  return {step};
}

static std::string typeOf(const json &step) {
  return step.is_object() && step.contains("type") && step["type"].is_string() ? step["type"].get<std::string>()
                                                                               : "none";
}

static bool flagOf(const json &step, const char *key, bool fallback) {
  return step.is_object() && step.contains(key) && step[key].is_boolean() ? step[key].get<bool>() : fallback;
}

namespace {
/// A token that stands in text as it is spelled.
struct AddedToken {
  int64_t id;
  std::string text;
  bool isSpecial;
  bool isNormalized; // text is looked through once it is normalized
};
} // namespace

static Expected<std::vector<AddedToken>> addedTokens(const json &file, const std::string &name) {
  auto wrong = [&](std::string_view problem) { return userError(fmt::format("vocabulary '{}': {}", name, problem)); };
  std::vector<AddedToken> tokens;
  for (const json &token : file.value("added_tokens", json::array())) {
    if (!token.is_object() || !token.contains("content") || !token["content"].is_string() || !token.contains("id") ||
        !token["id"].is_number_unsigned() || token["id"].get<uint64_t>() > 10'000'000)
      return wrong("expected added tokens to have a 'content' and an 'id'");
    for (const char *key : {"lstrip", "rstrip", "single_word"})
      if (flagOf(token, key, false))
        return wrong(
            fmt::format("'{}' of the added token '{}' is not supported", key, token["content"].get<std::string>()));
    bool isSpecial = flagOf(token, "special", false);
    tokens.push_back({token["id"].get<int64_t>(), token["content"].get<std::string>(), isSpecial,
                      flagOf(token, "normalized", !isSpecial)});
  }
  return tokens;
}

/// What comes before joins of characters, as SentencePiece has it: spaces are U+2581, and one comes before the text.
static Expected<void> setSpaces(const json &file, BytePairs &pairs) {
  constexpr std::string_view space = "\u2581";
  bool isReplaced = false;
  for (const json &step : stepsOf(file.value("normalizer", json()), "normalizers")) {
    const json &pattern = step.is_object() && step.contains("pattern") ? step["pattern"] : json();
    if (typeOf(step) == "Prepend" && step.value("prepend", "") == space)
      pairs.prefix = 3;
    else if (typeOf(step) == "Replace" && pattern.is_object() && pattern.value("String", "") == " " &&
             step.value("content", "") == space)
      isReplaced = true;
    else
      return pairs.wrong(
          fmt::format("normalizer {} is not supported before BPE of characters; supported are Prepend of "
                      "'{}', and Replace of spaces by it",
                      step.dump(), space));
  }
  for (const json &step : stepsOf(file.value("pre_tokenizer", json()), "pretokenizers")) {
    if (typeOf(step) != "Metaspace" || step.value("replacement", space) != space || flagOf(step, "split", true))
      return pairs.wrong(fmt::format(
          "pre-tokenizer {} is not supported before BPE of characters; supported is Metaspace that does not split",
          step.dump()));
    std::string scheme = step.value("prepend_scheme", flagOf(step, "add_prefix_space", true) ? "always" : "never");
    pairs.prefix = scheme == "always" ? 1 : scheme == "first" ? 2 : pairs.prefix;
    isReplaced = true;
  }
  if (!isReplaced)
    return pairs.wrong(fmt::format("expected spaces to become '{}' before BPE of characters", space));
  return {};
}

/// What comes before joins of bytes.
static Expected<void> setPieces(const json &file, BytePairs &pairs) {
  for (const json &step : stepsOf(file.value("normalizer", json()), "normalizers")) {
    if (typeOf(step) != "NFC")
      return pairs.wrong(fmt::format("normalizer '{}' is not supported; supported are none and NFC", typeOf(step)));
    pairs.composes = true;
  }
  bool isOfBytes = false, isCut = false;
  for (const json &step : stepsOf(file.value("pre_tokenizer", json()), "pretokenizers")) {
    if (typeOf(step) == "ByteLevel") {
      isOfBytes = true;
      pairs.prefix = flagOf(step, "add_prefix_space", true);
      isCut |= flagOf(step, "use_regex", true);
      continue;
    }
    if (typeOf(step) == "Digits" && flagOf(step, "individual_digits", false)) {
      pairs.apart = true;
      continue;
    }
    const json &pattern = step.is_object() && step.contains("pattern") ? step["pattern"] : json();
    std::string expression = pattern.is_object() ? pattern.value("Regex", "") : "";
    if (typeOf(step) != "Split" || !setCut(expression, pairs))
      return pairs.wrong(
          fmt::format("pre-tokenizer '{}' of the expression '{}' is not supported; supported are ByteLevel, "
                      "single Digits, and the expressions of GPT-2, Llama 3 and Qwen 2",
                      typeOf(step), expression));
    isCut = true;
  }
  if (!isOfBytes || !isCut)
    return pairs.wrong("expected a pre-tokenizer of type ByteLevel, but there is none");
  return {};
}

static Expected<std::string> importBytePairs(const json &file, const std::string &name) {
  BytePairs pairs{name};
  const json &model = file["model"];
  for (const char *key : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (model.contains(key) && model[key].is_string() && !model[key].get<std::string>().empty())
      return pairs.wrong(fmt::format("expected no '{}', but got '{}'", key, model[key].get<std::string>()));
  pairs.ofCharacters = flagOf(model, "byte_fallback", false);
  if (pairs.ofCharacters)
    pairs.cut = "none";
  pairs.wholeFirst = flagOf(model, "ignore_merges", false);
  if (Expected<void> set = pairs.ofCharacters ? setSpaces(file, pairs) : setPieces(file, pairs); !set)
    return set.error();
  Expected<std::vector<AddedToken>> added = addedTokens(file, name);
  if (!added)
    return added.error();
  if (Expected<void> added = pairs.addTokens(model.value("vocab", json())); !added)
    return added.error();
  for (const AddedToken &token : *added)
    pairs.tokens[token.id] = {token.isSpecial ? '*' : '+', token.text};
  if (std::string unknown = model.contains("unk_token") && model["unk_token"].is_string() ? model["unk_token"] : "";
      !unknown.empty() && !pairs.ofCharacters) {
    if (auto found = pairs.idOf.find(unknown); found != pairs.idOf.end())
      pairs.others = found->second;
    pairs.joinsOthers = flagOf(model, "fuse_unk", false);
  }
  if (!model.contains("merges") || !model["merges"].is_array())
    return pairs.wrong("expected a list of 'merges'");
  for (const json &merge : model["merges"]) {
    std::string left, right; // "a b" or ["a", "b"]
    if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      left = merge[0], right = merge[1];
    } else if (merge.is_string()) {
      left = merge.get<std::string>();
      size_t gap = std::min(left.find(' '), left.size());
      right = left.substr(std::min(gap + 1, left.size()));
      left.resize(gap);
    }
    if (Expected<void> added = pairs.addMerge(left, right); !added)
      return added.error();
  }
  return pairs.write();
}

/// `added`: none where the marks are those that BERT has.
static std::string writeWordPieces(std::span<const std::string> tokens, const WordPieceOptions &options,
                                   std::span<const AddedToken> added = {}) {
  std::string text =
      fmt::format("{}1 word-pieces lowercase={} strip_accents={} split_chinese={} tokens={}{}\n", VocabularyFile::magic,
                  int(options.lowercase), int(options.stripAccents), int(options.splitsChinese), tokens.size(),
                  added.empty() ? "" : fmt::format(" added={}", added.size()));
  for (const std::string &token : tokens)
    text += escapeToken(token) + '\n';
  for (const AddedToken &token : added)
    text += fmt::format("{}{} {}\n", token.isNormalized ? '+' : '*', token.id, escapeToken(token.text));
  return text;
}

Expected<std::string> xf::runtime::importWordPiece(std::string_view text, const WordPieceOptions &options,
                                                   const std::string &) {
  std::vector<std::string> tokens;
  while (!text.empty()) {
    size_t end = std::min(text.find('\n'), text.size());
    std::string_view token = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (token.ends_with('\r'))
      token.remove_suffix(1);
    tokens.emplace_back(token);
  }
  return writeWordPieces(tokens, options);
}

static Expected<std::string> importWordPiece(const json &file, const std::string &name) {
  auto wrong = [&](std::string_view problem) { return userError(fmt::format("vocabulary '{}': {}", name, problem)); };
  const json &model = file["model"], normalizer = file.value("normalizer", json());
  if (std::string prefix = model.value("continuing_subword_prefix", "##"); prefix != "##")
    return wrong(fmt::format("expected 'continuing_subword_prefix' to be ##, but got '{}'", prefix));
  std::string cutter = typeOf(file.value("pre_tokenizer", json()));
  if (typeOf(normalizer) != "BertNormalizer" || cutter != "BertPreTokenizer")
    return wrong(fmt::format("expected BertNormalizer and BertPreTokenizer before WordPiece, but got {} and {}",
                             typeOf(normalizer), cutter));
  WordPieceOptions options;
  options.lowercase = flagOf(normalizer, "lowercase", true);
  options.stripAccents = flagOf(normalizer, "strip_accents", options.lowercase);
  options.splitsChinese = flagOf(normalizer, "handle_chinese_chars", true);
  const json vocabulary = model.value("vocab", json());
  if (!vocabulary.is_object() || vocabulary.empty())
    return wrong("expected an object of tokens and their ids");
  std::vector<std::string> tokens(vocabulary.size());
  for (const auto &[token, id] : vocabulary.items()) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() >= tokens.size())
      return wrong(fmt::format("expected '{}' to have an id below {}", token, tokens.size()));
    tokens[id.get<size_t>()] = token;
  }
  Expected<std::vector<AddedToken>> added = addedTokens(file, name);
  if (!added)
    return added.error();
  for (const AddedToken &token : *added) {
    tokens.resize(std::max(tokens.size(), size_t(token.id) + 1));
    tokens[size_t(token.id)] = token.text;
  }
  return writeWordPieces(tokens, options, *added);
}

Expected<std::string> xf::runtime::importVocabulary(std::string_view bytes, const std::string &name) {
  if (bytes.starts_with("0\t"))
    return importScores(bytes, name);
  if (!bytes.starts_with('{'))
    return std::string(bytes);
  json file = parseJson(bytes);
  auto wrong = [&](std::string_view problem) { return userError(fmt::format("vocabulary '{}': {}", name, problem)); };
  if (!file.is_object() || !file.contains("model") || !file["model"].is_object())
    return wrong("expected the JSON of a tokenizer.json, with a 'model'");
  std::string type = typeOf(file["model"]);
  if (type == "none" && file["model"].contains("merges")) // of before models had types
    type = "BPE";
  try {
    if (type == "BPE")
      return ::importBytePairs(file, name);
    if (type == "WordPiece")
      return ::importWordPiece(file, name);
  } catch (const json::exception &problem) { // a value of another type than all such files have
    return wrong(problem.what());
  }
  return wrong(fmt::format("a model of type {} is not supported; supported are BPE and WordPiece", type));
}
