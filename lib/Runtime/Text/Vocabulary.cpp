//===- Vocabulary.cpp - Text to token ids and back ------------------------------------===//
// The kinds behind the interface, and some of them; which a file is, its first bytes say.
//===----------------------------------------------------------------------------------===//
#include "xf/Runtime/Text/Vocabulary.h"
#include "VocabularyFile.h"
#include "xf/Runtime/Files.h"
#include "xf/Runtime/Text/Unicode.h"

#include <fmt/format.h>
#include <limits>
#include <sentencepiece_processor.h>
#include <unordered_map>

using namespace xf::runtime;

static constexpr std::string_view specialTokens[] = {"<unk>", "<s>", "</s>"};

std::string_view xf::runtime::plainReason(std::string_view message) {
  // "FILE.cc(LINE) [CONDITION] reason", where the reason may be missing.
  if (size_t end = message.rfind("] "); end != message.npos)
    return message.substr(end + 2);
  return message;
}

std::vector<std::string> xf::runtime::tokenizeWords(std::string_view line, bool lowercase) {
  std::string lower = lowercase ? toLower(line) : std::string();
  std::vector<std::string_view> words = splitWords(lowercase ? lower : line);
  return {words.begin(), words.end()};
}

namespace {
struct SentencePieceModel final : Vocabulary::Model {
  sentencepiece::SentencePieceProcessor processor;

  Expected<std::vector<int32_t>> encode(std::string_view line) const override {
    std::vector<int32_t> ids;
    if (auto status = processor.Encode({line.data(), line.size()}, &ids); !status.ok())
      return internalError(fmt::format("SentencePiece can't encode a line: {}", plainReason(status.message())));
    return ids;
  }
  std::string decode(std::span<const int32_t> ids) const override {
    std::vector<int> known(ids.begin(), ids.end());
    for (int &id : known)
      id = id < 0 || id >= size ? unknown : id;
    std::string text;
    return processor.Decode(known, &text).ok() ? text : std::string();
  }
  std::string piece(int32_t id) const override { return processor.IdToPiece(id); }
};

struct WordModel final : Vocabulary::Model {
  std::vector<std::string> tokens;
  std::unordered_map<std::string_view, int32_t> idOf; // views into `tokens`
  bool lowercase = true, split = false;               // split: text comes so

  Expected<std::vector<int32_t>> encode(std::string_view line) const override {
    std::vector<int32_t> ids;
    auto add = [&](std::string_view token) {
      auto found = idOf.find(token);
      ids.push_back(found == idOf.end() ? unknown : found->second);
    };
    if (split)
      for (std::string_view token : splitWhiteSpace(line))
        add(token);
    else
      for (const std::string &token : tokenizeWords(line, lowercase))
        add(token);
    return ids;
  }
  std::string decode(std::span<const int32_t> ids) const override {
    std::string text;
    for (int32_t id : ids) {
      text += text.empty() ? "" : " ";
      text += tokens[id < 0 || id >= size ? unknown : id];
    }
    return text;
  }
  std::string piece(int32_t id) const override { return tokens[id]; }
};

struct IdsModel final : Vocabulary::Model {
  Expected<std::vector<int32_t>> encode(std::string_view line) const override {
    std::vector<int32_t> ids;
    for (std::string_view word : splitWhiteSpace(line)) {
      std::optional<int64_t> id = parseNumber(word);
      if (!id)
        return userError(
            fmt::format("expected token ids, as the model has no vocabulary, but got '{}'", word.substr(0, 40)));
      if (*id < 0 || *id >= size)
        return userError(fmt::format("expected token ids from 0 to {}, but got {}", size - 1, *id));
      ids.push_back(int32_t(*id));
    }
    return ids;
  }
  std::string decode(std::span<const int32_t> ids) const override {
    std::string text;
    for (int32_t id : ids)
      text += fmt::format("{}{}", text.empty() ? "" : " ", id);
    return text;
  }
  std::string piece(int32_t id) const override { return std::to_string(id); }
};
} // namespace

Vocabulary Vocabulary::ids(int64_t size) {
  auto model = std::make_shared<IdsModel>();
  model->size = size;
  model->unknown = -1; // ids are what they are
  return Vocabulary(model);
}

/// Fills `model` from a word vocabulary's text, or says what is wrong with it.
static Expected<void> parseWords(VocabularyFile &file, WordModel &model) {
  const std::string &name = file.name;
  std::optional<int64_t> lowercase = file.field("lowercase"), count = file.field("tokens");
  if (file.header.size() != 5 || (file.kind() != "word" && file.kind() != "split") || !lowercase || *lowercase < 0 ||
      *lowercase > 1 || !count || *count < 0)
    return userError(fmt::format("vocabulary '{}': expected its first line to be "
                                 "'xf-vocabulary 1 word|split lowercase=0|1 tokens=N'",
                                 name));
  model.lowercase = *lowercase;
  model.split = file.kind() == "split";
  while (!file.rest.empty()) {
    Expected<std::string_view> token = file.line();
    if (!token)
      return token.error();
    if (token->empty() || findInvalidUtf8(*token))
      return file.wrong("expected a token in UTF-8");
    model.tokens.emplace_back(*token);
  }
  model.size = int64_t(model.tokens.size());
  if (model.size != *count)
    return userError(fmt::format("vocabulary '{}': expected {} tokens, but got {}", name, *count, model.size));
  for (size_t i = 0; i < std::size(specialTokens) && !model.split; ++i)
    if (i >= model.tokens.size() || model.tokens[i] != specialTokens[i])
      return userError(fmt::format("vocabulary '{}', line {}: expected '{}'", name, i + 2, specialTokens[i]));
  for (int32_t id = 0; id < model.size; ++id)
    if (!model.idOf.try_emplace(model.tokens[id], id).second)
      return userError(fmt::format("vocabulary '{}', line {}: '{}' occurs twice", name, id + 2, model.tokens[id]));
  if (model.split)
    for (auto [id, special] : {std::pair(&model.unknown, specialTokens[0]), std::pair(&model.bos, specialTokens[1]),
                               std::pair(&model.eos, specialTokens[2])}) {
      auto found = model.idOf.find(special);
      if (found == model.idOf.end() && id != &model.unknown)
        return userError(fmt::format("vocabulary '{}': expected '{}' among its tokens", name, special));
      *id = found == model.idOf.end() ? 0 : found->second;
    }
  for (std::string_view special : specialTokens) // text that spells one is text
    model.idOf.erase(special);
  return {};
}

Expected<void> xf::runtime::loadSentencePiece(std::span<const char> bytes, const std::string &name,
                                              sentencepiece::SentencePieceProcessor &processor) {
  if (bytes.size() > size_t(std::numeric_limits<int32_t>::max()))
    return userError(fmt::format("vocabulary '{}': expected at most 2 GiB", name));
  sentencepiece::SetMinLogLevel(3); // its own messages would go to stderr: ours say the same
  auto corrupt = [&](std::string_view reason) {
    return userError(fmt::format("vocabulary '{}' is neither a SentencePiece model nor a vocabulary of xf's, "
                                 "or it is truncated or corrupt{}{}",
                                 name, reason.empty() ? "" : ": ", reason));
  };
  try {
    auto status = processor.LoadFromSerializedProto({bytes.data(), bytes.size()});
    if (!status.ok())
      return corrupt(plainReason(status.message()));
  } catch (const std::exception &problem) { // its tries throw where tokens are not what they can be
    return corrupt(problem.what());
  }
  return {};
}

static Expected<void> parseSentencePiece(std::span<const char> bytes, const std::string &name,
                                         SentencePieceModel &model) {
  if (Expected<void> loaded = loadSentencePiece(bytes, name, model.processor); !loaded)
    return loaded;
  model.size = model.processor.GetPieceSize();
  model.unknown = model.processor.unk_id();
  model.bos = model.processor.bos_id();
  model.eos = model.processor.eos_id();
  auto inside = [&](int32_t id) { return id >= 0 && id < model.size; };
  if (!inside(model.unknown) || !inside(model.bos) || !inside(model.eos))
    return userError(
        fmt::format("vocabulary '{}': expected tokens for unknown, begin and end of sentence (unk_id, bos_id, eos_id), "
                    "but got the ids {}, {}, {}",
                    name, model.unknown, model.bos, model.eos));
  return {};
}

Expected<Vocabulary> Vocabulary::parse(std::span<const char> bytes, const std::string &name) {
  std::string_view text(bytes.data(), bytes.size());
  if (text.empty())
    return userError(fmt::format("vocabulary '{}' is empty", name));
  if (text.starts_with(VocabularyFile::magic)) {
    VocabularyFile file;
    if (Expected<void> opened = file.open(text, name); !opened)
      return opened.error();
    auto *parse = file.kind() == "word-pieces"     ? parseWordPieces
                  : file.kind() == "byte-pairs"    ? parseBytePairs
                  : file.kind() == "listed-pieces" ? parseListedPieces
                                                   : nullptr;
    if (parse) {
      auto model = parse(file);
      return model ? Expected<Vocabulary>(Vocabulary(*model)) : model.error();
    }
    auto model = std::make_shared<WordModel>();
    if (Expected<void> done = parseWords(file, *model); !done)
      return done.error();
    return Vocabulary(model);
  }
  auto model = std::make_shared<SentencePieceModel>();
  if (Expected<void> done = parseSentencePiece(bytes, name, *model); !done)
    return done.error();
  return Vocabulary(model);
}

Vocabulary::Vocabulary(std::shared_ptr<const Model> model)
    : model(std::move(model)), begin(this->model->bos), endMarks{this->model->eos} {}

Expected<void> Vocabulary::setMarks(std::optional<int64_t> bos, std::span<const int64_t> eos) {
  std::vector<int64_t> marks(eos.begin(), eos.end());
  marks.push_back(bos.value_or(0));
  for (int64_t id : marks)
    if (id < 0 || id > std::numeric_limits<int32_t>::max())
      return userError(fmt::format("expected a mark to be a token, but got {}", id));
  begin = bos ? int32_t(*bos) : begin;
  if (!eos.empty())
    endMarks.assign(eos.begin(), eos.end());
  return {};
}

Expected<Vocabulary> Vocabulary::load(const std::string &path) {
  Expected<MappedFile> file = MappedFile::open(path);
  if (!file)
    return file.error();
  return parse(file->data(), path);
}

std::string xf::runtime::writeSplitVocabulary(std::span<const std::string_view> tokens) {
  std::string text = fmt::format("{}1 split lowercase=0 tokens={}\n", VocabularyFile::magic, tokens.size());
  for (std::string_view token : tokens)
    text += fmt::format("{}\n", token);
  return text;
}

std::string xf::runtime::writeWordVocabulary(std::span<const std::string> words, bool lowercase) {
  std::string text = fmt::format("{}1 word lowercase={} tokens={}\n", VocabularyFile::magic, int(lowercase),
                                 words.size() + std::size(specialTokens));
  for (std::string_view token : specialTokens)
    text += fmt::format("{}\n", token);
  for (const std::string &word : words)
    text += fmt::format("{}\n", word);
  return text;
}
