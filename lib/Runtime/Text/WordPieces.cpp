//===- WordPieces.cpp - BERT's vocabularies -------------------------------------------===//
// Text is cleaned, lower-cased and rid of accents, words are split off at white space and punctuation, and each is
// taken apart into the longest pieces there are, from the left (Devlin et al. 2019). What is inside of a word starts
// with ##.
//===----------------------------------------------------------------------------------===//
#include "VocabularyFile.h"
#include "xf/Runtime/Text/Unicode.h"

#include <algorithm>
#include <fmt/format.h>
#include <unordered_map>

using namespace xf::runtime;

namespace {
struct WordPieceModel final : Vocabulary::Model {
  std::vector<std::string> tokens;
  std::unordered_map<std::string_view, int32_t> idOf; // views into `tokens`
  SpelledTokens marks, words;                         // in text as it comes, and once it is normalized
  bool lowercase = true, stripAccents = true, splitsChinese = true;

  Expected<std::vector<int32_t>> encode(std::string_view line) const override {
    std::vector<int32_t> ids;
    marks.split(line, [&](int32_t mark, std::string_view text) {
      if (mark >= 0)
        ids.push_back(mark);
      else
        words.split(normalize(text), [&](int32_t word, std::string_view rest) {
          if (word >= 0)
            ids.push_back(word);
          else
            encodeText(rest, ids);
        });
    });
    return ids;
  }
  std::string decode(std::span<const int32_t> ids) const override {
    std::string text;
    for (int32_t id : ids) {
      std::string_view token = tokens[id < 0 || id >= size ? unknown : id];
      bool isInside = token.starts_with("##") && !text.empty();
      text += isInside || text.empty() ? "" : " ";
      text += token.substr(isInside ? 2 : 0);
    }
    return text;
  }
  std::string piece(int32_t id) const override { return tokens[id]; }

  std::string normalize(std::string_view text) const;

private:
  void encodeText(std::string_view text, std::vector<int32_t> &ids) const;
  void encodeWord(std::string_view word, std::vector<int32_t> &ids) const;
};
} // namespace

static bool isChinese(uint32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) ||
         (c >= 0x2A700 && c <= 0x2CEAF) || (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

/// Symbols of ASCII, too.
static bool splitsWords(const Character &c) {
  return c.isPunctuation() || (c.value > 32 && c.value < 127 && !c.isLetter() && !c.isNumber());
}

std::string WordPieceModel::normalize(std::string_view text) const {
  std::string clean;
  for (; !text.empty(); text.remove_prefix(firstCharacter(text).bytes)) {
    Character c = firstCharacter(text);
    bool isBreak = c.value == '\t' || c.value == '\n' || c.value == '\r';
    if (!c.valid || c.value == 0xFFFD || (c.isControl() && !isBreak))
      continue;
    bool isAlone = splitsChinese && isChinese(c.value);
    clean += isAlone ? " " : "";
    if (c.isSpace())
      clean += ' ';
    else
      appendCharacter(clean, c.value);
    clean += isAlone ? " " : "";
  }
  if (stripAccents) {
    std::string plain;
    std::string apart = decomposed(clean);
    for (std::string_view rest = apart; !rest.empty();) {
      Character c = firstCharacter(rest);
      if (!c.isNonSpacingMark())
        plain += rest.substr(0, c.bytes);
      rest.remove_prefix(c.bytes);
    }
    clean = std::move(plain);
  }
  if (!lowercase)
    return clean;
  // The one letter whose lower case is two characters.
  size_t at = 0;
  while ((at = clean.find("\u0130", at)) != clean.npos)
    clean.replace(at, 2, "i\u0307");
  return toLower(clean);
}

void WordPieceModel::encodeText(std::string_view text, std::vector<int32_t> &ids) const {
  for (std::string_view word : splitWhiteSpace(text)) {
    size_t begin = 0;
    for (size_t at = 0; at < word.size();) {
      Character c = firstCharacter(word.substr(at));
      if (splitsWords(c)) {
        if (at > begin)
          encodeWord(word.substr(begin, at - begin), ids);
        encodeWord(word.substr(at, c.bytes), ids);
        begin = at + c.bytes;
      }
      at += c.bytes;
    }
    if (begin < word.size())
      encodeWord(word.substr(begin), ids);
  }
}

void WordPieceModel::encodeWord(std::string_view word, std::vector<int32_t> &ids) const {
  constexpr int64_t longest = 100; // characters; longer ones are no words
  auto isStart = [](char c) { return (uint8_t(c) & 0xC0) != 0x80; };
  if (std::count_if(word.begin(), word.end(), isStart) > longest) {
    ids.push_back(unknown);
    return;
  }
  size_t before = ids.size();
  for (size_t begin = 0; begin < word.size();) {
    std::string piece = begin ? "##" : "";
    size_t mark = piece.size(), end = word.size();
    piece += word.substr(begin);
    auto found = idOf.find(piece);
    while (found == idOf.end() && end > begin + 1) {
      --end;
      if (!isStart(word[end]))
        continue;
      piece.resize(mark + end - begin);
      found = idOf.find(piece);
    }
    if (found == idOf.end()) { // of a word, all or nothing
      ids.resize(before);
      ids.push_back(unknown);
      return;
    }
    ids.push_back(found->second);
    begin = end;
  }
}

Expected<std::shared_ptr<Vocabulary::Model>> xf::runtime::parseWordPieces(VocabularyFile &file) {
  auto model = std::make_shared<WordPieceModel>();
  std::optional<int64_t> lowercase = file.field("lowercase"), accents = file.field("strip_accents"),
                         chinese = file.field("split_chinese"), count = file.field("tokens");
  if (!lowercase || !accents || !chinese || !count || *count < 0)
    return file.wrong("expected lowercase=0|1 strip_accents=0|1 split_chinese=0|1 tokens=N");
  model->lowercase = *lowercase;
  model->stripAccents = *accents;
  model->splitsChinese = *chinese;
  for (int64_t i = 0; i < *count; ++i) {
    Expected<std::string_view> line = file.line();
    if (!line)
      return line.error();
    model->tokens.push_back(unescapeToken(*line));
    if (findInvalidUtf8(model->tokens.back()))
      return file.wrong("expected a token in UTF-8");
  }
  model->size = *count;
  std::optional<int64_t> added = file.field("added");
  for (int64_t i = 0; i < added.value_or(0); ++i) {
    Expected<std::string_view> line = file.line();
    if (!line)
      return line.error();
    size_t gap = std::min(line->find(' '), line->size());
    std::optional<int64_t> id = parseNumber(line->substr(std::min<size_t>(1, gap), gap - std::min<size_t>(1, gap)));
    if ((!line->starts_with('*') && !line->starts_with('+')) || !id || *id < 0 || *id >= *count ||
        gap + 1 >= line->size())
      return file.wrong("expected '*' or '+', a token's id, and how it is spelled");
    std::string text = unescapeToken(line->substr(gap + 1));
    if (line->starts_with('*'))
      model->marks.add(text, int32_t(*id));
    else
      model->words.add(model->normalize(text), int32_t(*id));
  }
  if (!file.rest.empty())
    return file.wrong(fmt::format("expected the end after {} tokens", *count));
  for (int32_t id = 0; id < model->size; ++id)
    model->idOf[model->tokens[id]] = id; // of equal ones the last
  for (auto [name, id] :
       {std::pair("[UNK]", &model->unknown), std::pair("[CLS]", &model->bos), std::pair("[SEP]", &model->eos)}) {
    auto found = model->idOf.find(name);
    if (found == model->idOf.end())
      return userError(fmt::format("vocabulary '{}': expected '{}' among its tokens", file.name, name));
    *id = found->second;
  }
  for (std::string_view mark : {"[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"})
    if (auto found = model->idOf.find(mark); found != model->idOf.end() && !added)
      model->marks.add(mark, found->second);
  return std::shared_ptr<Vocabulary::Model>(model);
}
