//===- HuggingFace.cpp - models of others ---------------------------------===//
// The files of a folder: weights, marks, how texts are drawn and vectors pooled, and the vocabulary.
//===----------------------------------------------------------------------===//
#include "xf/Frontend/HuggingFace.h"
#include "HuggingFaceMarian.h"
#include "HuggingFaceReader.h"
#include "OtherFormats.h"
#include "xf/Runtime/Text/ImportVocabulary.h"
#include "xf/Runtime/Text/Vocabulary.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Path.h"
#include <map>

namespace runtime = xf::runtime;
using runtime::Expected;

namespace mlir::xf {
using Json = Settings::Json;

Expected<void> HuggingFaceReader::findWeights() {
  std::string index = "model.safetensors.index.json";
  std::map<std::string, std::string> places; // of tensors, as the index has them
  if (!given.empty()) {
    model.weights = {given};
  } else if (exists("model.safetensors")) {
    model.weights = {pathOf("model.safetensors")};
  } else if (exists(index)) {
    Expected<Settings> shards = Settings::read(pathOf(index));
    if (!shards)
      return shards.error();
    Settings map = shards->object("weight_map");
    if (map.empty())
      return runtime::userError("'" + shards->path() + "': expected 'weight_map' to name a file for every tensor");
    for (const std::string &tensor : map.keys()) {
      std::string file = map.text(tensor, "");
      if (Expected<void> fine = map.check(); !fine)
        return fine;
      if (file.empty() || llvm::sys::path::filename(file) != file)
        return runtime::userError("'" + shards->path() + "': expected '" + tensor +
                                  "' to be in a file of the folder, but got '" + file + "'");
      places[tensor] = pathOf(file);
      if (!llvm::is_contained(model.weights, pathOf(file)))
        model.weights.push_back(pathOf(file));
    }
  } else if (std::string what = otherWeights(folder); !what.empty()) {
    model.warnings.push_back(what);
  }
  for (const std::string &path : model.weights) {
    if (std::string what = otherFormatOf(path); !what.empty())
      return runtime::userError("expected weights, but '" + path + "' is " + what);
    if (!llvm::sys::fs::exists(path) && !places.empty())
      return runtime::userError(llvm::formatv("'{0}' names '{1}', which is missing ({2} files in all); download it too",
                                              pathOf(index), llvm::sys::path::filename(path), model.weights.size())
                                    .str());
    Expected<runtime::Safetensors> file = runtime::Safetensors::open(path);
    if (!file)
      return file.error();
    for (const runtime::TensorView &tensor : file->tensors()) {
      names.theirs.emplace_back(tensor.name);
      if (auto place = places.find(names.theirs.back()); place != places.end() && place->second == path)
        places.erase(place);
    }
  }
  if (!places.empty())
    return runtime::userError(llvm::formatv("'{0}': expected '{1}' to be in '{2}', but it is not", pathOf(index),
                                            places.begin()->first, places.begin()->second)
                                  .str());
  return {};
}

/// Which tokens begin and end a text.
Expected<void> HuggingFaceReader::readMarks() {
  Expected<Settings> generation = optional("generation_config.json");
  if (!generation)
    return generation.error();
  Expected<Settings> tokenizer = optional("tokenizer_config.json");
  if (!tokenizer)
    return tokenizer.error();
  if (model.model.kind == Pairs) {
    Settings &search = exists("generation_config.json") ? *generation : *config;
    readMarianSearch(search, *config, [&](Settings &from, const char *key, const char *theirs, std::string value) {
      takeFrom(from, key, theirs, std::move(value));
    });
    Expected<void> fine = search.check();
    return fine ? config->check() : fine;
  }
  if (model.model.kind != Language)
    return {};
  auto ids = [&](const char *key) { // what generation says goes before what the model says
    std::vector<int64_t> found = generation->numbers(key);
    return found.empty() ? config->numbers(key) : found;
  };
  std::vector<int64_t> begins = ids("bos_token_id"), ends = ids("eos_token_id");
  bool isGpt2 = family == "gpt2";
  // A tokenizer of LLaMA's begins a text with its mark, if it does not say otherwise; those of GPT-2's kind do not.
  // What a tokenizer.json does goes before what the settings say, as in transformers.
  bool marks = tokenizer->flag("add_bos_token",
                               !isGpt2 && !begins.empty() && (exists("tokenizer.model") || exists("vocab.tsv")));
  if (exists("tokenizer.json")) {
    Expected<Settings> json = Settings::read(pathOf("tokenizer.json"));
    if (!json)
      return json.error();
    marks = json->beginsTexts().value_or(marks);
  }
  set("begins", marks ? "true" : "false");
  set("text", "whole");
  if (!begins.empty())
    take("begin_token", "bos_token_id", std::to_string(begins.front()));
  if (!ends.empty())
    take("end_tokens", "eos_token_id",
         llvm::join(llvm::map_range(ends, [](int64_t id) { return std::to_string(id); }), "+"));
  // How it draws, if it does; what changes probabilities otherwise is not supported.
  if (generation->flag("do_sample", false)) {
    auto takeReal = [&](const char *key) {
      std::optional<double> value = generation->real(key, 1.0);
      if (value && (*value <= 0 || (*value > 1 && StringRef(key) == "top_p")))
        generation->fail(key, StringRef(key) == "top_p" ? "to be above 0 and at most 1" : "to be above 0",
                         llvm::formatv("{0}", *value).str());
      else if (value && *value != 1)
        set(key, llvm::formatv("{0:e9}", *value).str());
    };
    takeReal("temperature");
    takeReal("top_p");
    if (std::optional<int64_t> most = generation->number("top_k", 0); most && *most > 0)
      set("top_k", std::to_string(*most));
  }
  for (auto [key, value] : {std::pair("repetition_penalty", 1.0), {"no_repeat_ngram_size", 0.0}, {"min_p", 0.0}})
    if (std::optional<double> given = generation->real(key, value); given && *given != value)
      model.warnings.push_back(
          llvm::formatv("'{0}': '{1}' ({2}) is not applied: 'generate' draws by temperature, top-k "
                        "and top-p alone",
                        generation->path(), key, Json(*given).dump()));
  for (Settings *each : {&*generation, &*tokenizer, &*config})
    if (Expected<void> fine = each->check(); !fine)
      return fine;
  return {};
}

/// What sentence-transformers make of the states of a text.
Expected<void> HuggingFaceReader::readPooling() {
  if (model.model.kind != Encoder)
    return {};
  std::string pooling = "1_Pooling/config.json";
  Expected<Settings> settings = optional(pooling);
  if (!settings)
    return settings.error();
  if (exists(pooling)) {
    // Of newer ones one key says it, as a word or a list of it.
    std::vector<std::string> modes;
    bool isNew = settings->has("pooling_mode");
    if (isNew)
      modes = settings->isList("pooling_mode") ? settings->texts("pooling_mode")
                                               : std::vector{settings->text("pooling_mode", "")};
    bool mean = settings->flag("pooling_mode_mean_tokens", false),
         first = settings->flag("pooling_mode_cls_token", false);
    for (const char *other : {"pooling_mode_max_tokens", "pooling_mode_mean_sqrt_len_tokens",
                              "pooling_mode_weightedmean_tokens", "pooling_mode_lasttoken"})
      settings->only(other, false);
    if (Expected<void> fine = settings->check(); !fine)
      return fine;
    if (isNew) {
      mean = modes == std::vector<std::string>{"mean"};
      first = modes == std::vector<std::string>{"cls"};
      if (mean == first)
        return runtime::userError("'" + settings->path() + "': expected 'pooling_mode' to be mean or cls, but got " +
                                  (modes.empty() ? "none" : llvm::join(modes, ", ")));
    }
    if (mean == first)
      return runtime::userError("'" + settings->path() +
                                "': expected either 'pooling_mode_mean_tokens' or 'pooling_mode_cls_token', but got " +
                                (mean ? "both" : "none"));
    set("pooling", first ? "first" : "mean");
  }
  Expected<Settings> sentences = optional("sentence_bert_config.json");
  if (!sentences)
    return sentences.error();
  std::optional<int64_t> most = sentences->has("max_seq_length") ? sentences->number("max_seq_length") : std::nullopt;
  if (most && *most < 1)
    sentences->fail("max_seq_length", "to be at least 1", std::to_string(*most));
  if (Expected<void> fine = sentences->check(); !fine)
    return fine;
  Expected<Settings> tokenizer = optional("tokenizer_config.json");
  if (!tokenizer)
    return tokenizer.error();
  // Newer ones keep it here; where there is no limit it is a number beyond all.
  if (std::optional<double> limit = tokenizer->real("model_max_length", 0.0);
      !most && exists("modules.json") && limit && *limit >= 1 && *limit < 1e6)
    most = int64_t(*limit);
  if (Expected<void> fine = tokenizer->check(); !fine)
    return fine;
  if (most)
    set("max_tokens", std::to_string(*most));
  if (!exists("modules.json"))
    return {};
  Expected<Settings> modules = Settings::read(pathOf("modules.json"));
  if (!modules)
    return modules.error();
  bool normalizes = false;
  for (const std::string &type : modules->all("type")) {
    StringRef name = StringRef(type).rsplit('.').second;
    normalizes |= name == "Normalize";
    if (name != "Transformer" && name != "Pooling" && name != "Normalize")
      return runtime::userError("'" + modules->path() + "': module '" + type +
                                "' is not supported; supported are Transformer, Pooling, Normalize");
  }
  set("unit_length", normalizes ? "true" : "false");
  return {};
}

/// XLM-RoBERTa's tokens, which encoders of BERT's kind for many languages have too.
static constexpr const char *fairseqPieces = "sentencepiece.bpe.model";

Expected<std::string> HuggingFaceReader::importCandidate(const std::string &name) {
  auto content = [&](StringRef name) -> Expected<std::string> {
    auto file = runtime::MappedFile::open(pathOf(name));
    return file ? Expected<std::string>(std::string(file->data().begin(), file->data().end())) : file.error();
  };
  if (std::string what = otherFormatOf(pathOf(name)); !what.empty())
    return runtime::userError("expected a vocabulary, but '" + pathOf(name) + "' is " + what);
  Expected<std::string> bytes = content(name);
  if (!bytes)
    return bytes;
  if (name == "vocab.txt") {
    Expected<Settings> settings = optional("tokenizer_config.json");
    if (!settings)
      return settings.error();
    runtime::WordPieceOptions options;
    options.lowercase = settings->flag("do_lower_case", true);
    options.stripAccents = settings->flag("strip_accents", options.lowercase);
    options.splitsChinese = settings->flag("tokenize_chinese_chars", true);
    if (Expected<void> fine = settings->check(); !fine)
      return fine.error();
    return runtime::importWordPiece(*bytes, options, pathOf(name));
  }
  if (name == fairseqPieces)
    return runtime::importFairseqPieces(*bytes, pathOf(name));
  if (name == "vocab.json") {
    Expected<std::string> merges = content("merges.txt");
    return merges ? runtime::importBytePairs(*bytes, *merges, pathOf(name)) : merges;
  }
  return runtime::importVocabulary(*bytes, pathOf(name));
}

Expected<void> HuggingFaceReader::readVocabulary() {
  if (model.model.kind == Pairs && hasMarianVocabulary(folder)) {
    Expected<Settings> tokenizer = optional("tokenizer_config.json");
    return tokenizer ? readMarianVocabularies(folder, *tokenizer, *config, model) : tokenizer.error();
  }
  std::vector<std::string> candidates = {"tokenizer.json", "tokenizer.model"};
  if (model.model.kind & (Encoder | Classifier))
    candidates.insert(candidates.end(), {fairseqPieces, "vocab.txt"});
  if (exists("merges.txt"))
    candidates.push_back("vocab.json");
  candidates.push_back("vocab.tsv");
  std::string reasons;
  for (const std::string &name : candidates) {
    if (!exists(name))
      continue;
    Expected<std::string> bytes = importCandidate(name);
    Expected<runtime::Vocabulary> vocabulary =
        bytes ? runtime::Vocabulary::parse(*bytes, pathOf(name)) : Expected<runtime::Vocabulary>(bytes.error());
    if (vocabulary) {
      model.vocabularies.push_back({"vocabulary", std::move(*bytes), pathOf(name), vocabulary->size()});
      model.notes.push_back(llvm::formatv("vocabulary: '{0}', {1} tokens", pathOf(name), vocabulary->size()));
      return {};
    }
    reasons += "\n  " + vocabulary.error().message;
  }
  model.warnings.push_back("'" + folder +
                           "' has no vocabulary that is understood: text commands read and write token "
                           "ids; --vocab=FILE gives one" +
                           reasons);
  return {};
}

Expected<HuggingFaceModel> HuggingFaceReader::read(bool withVocabulary) {
  Expected<Settings> settings = Settings::read(pathOf("config.json"));
  if (!settings)
    return settings.error();
  config = std::move(*settings);
  llvm::SmallString<128> real;
  if (llvm::sys::fs::real_path(folder, real))
    real = folder;
  for (char c : llvm::sys::path::filename(real))
    model.model.name += llvm::isAlnum(c) ? c : '_';
  if (model.model.name.empty() || llvm::isDigit(model.model.name.front()))
    model.model.name = "model_" + model.model.name;
  model.model.origin = "'" + config->path() + "'";
  for (auto part : {&HuggingFaceReader::findWeights, &HuggingFaceReader::readFamily, &HuggingFaceReader::readMarks,
                    &HuggingFaceReader::readPooling})
    if (Expected<void> done = (this->*part)(); !done)
      return done.error();
  if (withVocabulary)
    if (Expected<void> done = readVocabulary(); !done)
      return done.error();
  // What xf has written has its own names.
  if (!names.has("embedding.weight") && !names.has("source_embedding.weight"))
    model.map = {names.rules.dump(), model.model.architecture};
  model.notes.insert(model.notes.begin(), "'" + folder + "' (" + model.model.architecture +
                                              ") is taken as: " + llvm::join(model.model.keys, ","));
  for (const std::string &path : model.weights)
    model.notes.push_back("weights: '" + path + "'");
  if (std::vector<std::string> rest = config->unused(); !rest.empty())
    model.notes.push_back("keys of '" + config->path() + "' that change nothing here: " + llvm::join(rest, ", "));
  return std::move(model);
}

bool isHuggingFace(StringRef input) {
  return llvm::sys::fs::is_directory(input) && llvm::sys::fs::exists(input + "/config.json");
}

Expected<HuggingFaceModel> readHuggingFace(const std::string &folder, const std::string &weights, bool withVocabulary) {
  std::string path = folder;
  while (path.size() > 1 && path.back() == '/')
    path.pop_back();
  return HuggingFaceReader(path, weights).read(withVocabulary);
}
} // namespace mlir::xf
