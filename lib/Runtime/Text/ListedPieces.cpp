//===- ListedPieces.cpp - SentencePiece's pieces under the ids of a list --------------===//
// Marian's vocabularies: a SentencePiece model of each language takes text apart and joins it, and a list that both
// languages may share has the ids. XLM-RoBERTa's: one model's pieces, in its order, behind other marks. The file has
// the list's tokens, a line each, and behind them the model's bytes; `bos` is the id of a mark that texts begin with.
//===----------------------------------------------------------------------------------===//
#include "VocabularyFile.h"
#include "xf/Runtime/Json.h"
#include "xf/Runtime/Text/ImportVocabulary.h"
#include "xf/Runtime/Text/Unicode.h"

#include <fmt/format.h>
#include <sentencepiece_processor.h>
#include <unordered_map>

using namespace xf::runtime;
using nlohmann::json;

namespace {
constexpr std::string_view unknownToken = "<unk>", endToken = "</s>", padToken = "<pad>", beginToken = "<s>",
                           maskToken = "<mask>";

struct ListedPieces final : Vocabulary::Model {
  sentencepiece::SentencePieceProcessor processor;
  std::vector<std::string> tokens;
  std::unordered_map<std::string_view, int32_t> idOf; // views into `tokens`
  SpelledTokens spelled;                              // that are no text
  int32_t pad = -1;
  bool hasLanguages = true; // whose tokens a text may begin with

  int32_t find(std::string_view token) const {
    auto found = idOf.find(token);
    return found == idOf.end() ? unknown : found->second;
  }

  Expected<std::vector<int32_t>> encode(std::string_view line) const override {
    std::vector<int32_t> ids;
    std::optional<Error> failed;
    spelled.split(line, [&](int32_t id, std::string_view text) {
      if (id >= 0) {
        ids.push_back(id);
        return;
      }
      // The language to translate to, >>fr<<, is a token whatever the model makes of it.
      size_t end = hasLanguages && text.starts_with(">>") ? text.find("<<") : text.npos;
      if (end != text.npos) {
        ids.push_back(find(text.substr(0, end + 2)));
        text.remove_prefix(end + 2);
      }
      std::vector<std::string> pieces;
      if (auto status = processor.Encode({text.data(), text.size()}, &pieces); !status.ok())
        failed = internalError(fmt::format("SentencePiece can't encode a line: {}", plainReason(status.message())));
      for (const std::string &piece : pieces)
        ids.push_back(find(piece));
    });
    return failed ? Expected<std::vector<int32_t>>(*failed) : ids;
  }

  std::string decode(std::span<const int32_t> ids) const override {
    std::vector<std::string> pieces;
    for (int32_t id : ids)
      if (id >= 0 && id < size && id != unknown && id != eos && id != pad && (hasLanguages || id != bos))
        pieces.push_back(tokens[id]);
    std::string text;
    if (!processor.Decode(pieces, &text).ok())
      return "";
    constexpr std::string_view mark = "\u2581"; // of a space, in pieces that the model does not know
    for (size_t at = text.find(mark); at != text.npos; at = text.find(mark, at))
      text.replace(at, mark.size(), " ");
    size_t begin = text.find_first_not_of(' '), end = text.find_last_not_of(' ');
    return begin == text.npos ? "" : text.substr(begin, end + 1 - begin);
  }

  std::string piece(int32_t id) const override { return tokens[id]; }
};
} // namespace

Expected<std::shared_ptr<Vocabulary::Model>> xf::runtime::parseListedPieces(VocabularyFile &file) {
  std::optional<int64_t> count = file.field("tokens");
  std::optional<int64_t> bos = file.field("bos");
  if (file.header.size() != (bos ? 5 : 4) || !count || *count < 1 || (bos && (*bos < 0 || *bos >= *count)))
    return userError(fmt::format("vocabulary '{}': expected its first line to be 'xf-vocabulary 1 listed-pieces "
                                 "tokens=N', and bos=ID behind it where a token begins texts",
                                 file.name));
  auto model = std::make_shared<ListedPieces>();
  for (int64_t i = 0; i < *count; ++i) {
    Expected<std::string_view> token = file.line();
    if (!token)
      return token.error();
    model->tokens.push_back(unescapeToken(*token));
  }
  model->size = *count;
  for (int32_t id = 0; id < model->size; ++id)
    if (!model->idOf.try_emplace(model->tokens[id], id).second)
      return userError(
          fmt::format("vocabulary '{}', line {}: '{}' occurs twice", file.name, id + 2, model->tokens[id]));
  for (auto [id, token] : {std::pair(&model->unknown, unknownToken), std::pair(&model->eos, endToken)}) {
    auto found = model->idOf.find(token);
    if (found == model->idOf.end())
      return userError(fmt::format("vocabulary '{}': expected '{}' among its tokens", file.name, token));
    *id = found->second;
  }
  if (auto found = model->idOf.find(padToken); found != model->idOf.end())
    model->pad = found->second;
  model->bos = bos ? int32_t(*bos) : model->pad >= 0 ? model->pad : model->eos; // outputs begin with it
  model->hasLanguages = !bos;
  if (bos)
    for (std::string_view token : {beginToken, maskToken})
      if (auto found = model->idOf.find(token); found != model->idOf.end())
        model->spelled.add(std::string(token), found->second);
  for (auto [id, token] : {std::pair(model->unknown, unknownToken), {model->eos, endToken}, {model->pad, padToken}})
    if (id >= 0)
      model->spelled.add(token, id);
  std::string_view bytes = file.rest;
  if (Expected<void> loaded = loadSentencePiece({bytes.data(), bytes.size()}, file.name, model->processor); !loaded)
    return loaded.error();
  return std::shared_ptr<Vocabulary::Model>(std::move(model));
}

Expected<std::string> xf::runtime::importListedPieces(std::string_view list, std::string_view pieces,
                                                      const std::string &name) {
  auto wrong = [&](std::string_view problem) { return userError(fmt::format("vocabulary '{}': {}", name, problem)); };
  json ids = parseJson(list);
  if (!ids.is_object() || ids.empty())
    return wrong("expected an object of tokens and their ids");
  std::vector<const std::string *> tokens(ids.size());
  for (auto token = ids.begin(); token != ids.end(); ++token) {
    if (!token->is_number_unsigned() || token->get<uint64_t>() >= tokens.size())
      return wrong(fmt::format("expected '{}' to have an id below {}, the number of tokens, but got {}", token.key(),
                               tokens.size(), token->dump()));
    const std::string *&place = tokens[token->get<size_t>()];
    if (place)
      return wrong(fmt::format("the id {} is given to '{}' and to '{}'", token->dump(), *place, token.key()));
    place = &token.key();
  }
  std::string file = fmt::format("{}1 listed-pieces tokens={}\n", VocabularyFile::magic, tokens.size());
  for (const std::string *token : tokens)
    file += escapeToken(*token) + '\n';
  return file.append(pieces);
}

Expected<std::string> xf::runtime::importFairseqPieces(std::string_view pieces, const std::string &name) {
  sentencepiece::SentencePieceProcessor processor;
  if (Expected<void> loaded = loadSentencePiece({pieces.data(), pieces.size()}, name, processor); !loaded)
    return loaded.error();
  constexpr std::string_view theirs[] = {unknownToken, beginToken, endToken};
  int count = processor.GetPieceSize();
  for (int i = 0; i < int(std::size(theirs)); ++i)
    if (i >= count || processor.IdToPiece(i) != theirs[i])
      return userError(
          fmt::format("vocabulary '{}': expected its pieces to begin with {}, as XLM-RoBERTa's do, but got "
                      "'{}' for number {}",
                      name, fmt::join(theirs, ", "), i < count ? processor.IdToPiece(i) : "none", i));
  std::vector<std::string> tokens{std::string(beginToken), std::string(padToken), std::string(endToken),
                                  std::string(unknownToken)};
  for (int i = int(std::size(theirs)); i < count; ++i)
    tokens.push_back(processor.IdToPiece(i));
  tokens.emplace_back(maskToken);
  std::string file = fmt::format("{}1 listed-pieces tokens={} bos=0\n", VocabularyFile::magic, tokens.size());
  for (const std::string &token : tokens)
    file += escapeToken(token) + '\n';
  return file.append(pieces);
}
