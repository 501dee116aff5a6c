//===- HuggingFaceMarian.cpp - what Marian's folders have alone -----------===//
// Of Junczys-Dowmunt et al. 2018, as MarianMTModel and MarianTokenizer keep it: the paper's model with biases.
//===----------------------------------------------------------------------===//
#include "HuggingFaceMarian.h"
#include "xf/Runtime/Text/ImportVocabulary.h"
#include "xf/Runtime/Text/Vocabulary.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include <cmath>

namespace runtime = xf::runtime;
using runtime::Expected;

namespace mlir::xf {
using Json = Settings::Json;

//===-- Tensors ---------------------------------------------------------------===//
std::string mapMarian(Settings &config, ArrayRef<std::string> theirs, Json &rules) {
  const std::string shared = "model.shared.weight", encoder = "model.encoder.embed_tokens.weight",
                    decoder = "model.decoder.embed_tokens.weight", head = "lm_head.weight";
  auto has = [&](const std::string &name) { return llvm::is_contained(theirs, name); };
  // Of tensors that are one, a file keeps any; the others are left out.
  auto one = [&](std::initializer_list<std::string> names, const char *ours) {
    const std::string *kept = llvm::find_if(names, has);
    rules[kept == names.end() ? *names.begin() : *kept] = ours;
    for (const std::string &name : names)
      if (has(name) && !rules.contains(name))
        rules[name] = nullptr;
  };
  bool tiesHead = config.flag("tie_word_embeddings", true),
       shares = config.flag("share_encoder_decoder_embeddings", true);
  std::string tied = tiesHead                                    ? shares ? "true" : "target"
                     : !shares || (has(encoder) && has(decoder)) ? "false"
                                                                 : "embeddings";
  if (tied == "true") {
    one({shared, encoder, decoder, head}, "embedding.weight");
  } else if (tied == "embeddings") {
    one({shared, encoder, decoder}, "embedding.weight");
  } else {
    one({encoder}, "source_embedding.weight");
    tied == "target" ? one({decoder, head}, "target_embedding.weight") : one({decoder}, "target_embedding.weight");
    if (has(shared))
      rules[shared] = nullptr;
  }
  std::string matrix = tied == "true" ? "embedding" : tied == "target" ? "target_embedding" : "projection";
  if (matrix == "projection")
    rules[head] = "projection.weight";
  rules["final_logits_bias"] = Json{{"to", matrix + ".bias"}, {"row", 0}};
  for (auto [side, ours] : {std::pair("encoder", "source_"), {"decoder", "target_"}})
    if (std::string name = llvm::formatv("model.{0}.embed_positions.weight", side); has(name))
      rules[name] = std::string(ours) + "positions.weight";
  std::string layer = "model.{side}.layers.{n}.", to = "{side}.{n}.";
  for (auto [theirs, ours] : {std::pair("self_attn", "attention"), {"encoder_attn", "cross_attention"}}) {
    for (auto [part, name] :
         {std::pair("q_proj", "query"), {"k_proj", "key"}, {"v_proj", "value"}, {"out_proj", "output"}})
      rules[layer + theirs + "." + part + ".{kind}"] = to + ours + "." + name + ".{kind}";
    rules[layer + theirs + "_layer_norm.{kind}"] = to + ours + "_norm.{kind}";
  }
  for (auto [theirs, ours] :
       {std::pair("fc1", "feed_forward.in"), {"fc2", "feed_forward.out"}, {"final_layer_norm", "feed_forward_norm"}})
    rules[layer + theirs + ".{kind}"] = to + ours + ".{kind}";
  return tied;
}

runtime::OwnedTensor sinusoids(const std::string &name, int64_t positions, int64_t width) {
  runtime::OwnedTensor table(name, runtime::ElementType::F32, {positions, width});
  for (int64_t position = 0; position < positions; ++position)
    for (int64_t i = 0; i < width; ++i) {
      double angle = position / std::pow(10000.0, 2.0 * (i / 2) / width);
      int64_t place = i % 2 == 0 ? i / 2 : (width + 1) / 2 + i / 2;
      table.as<float>()[position * width + place] = float(i % 2 == 0 ? std::sin(angle) : std::cos(angle));
    }
  return table;
}

//===-- Search ----------------------------------------------------------------===//
void readMarianSearch(Settings &generation, Settings &config,
                      function_ref<void(Settings &, const char *, const char *, std::string)> take) {
  auto number = [&](const char *key, const char *theirs, std::optional<int64_t> fallback = std::nullopt) {
    if (fallback || generation.has(theirs))
      if (std::optional<int64_t> value = generation.number(theirs, fallback))
        take(generation, key, theirs, std::to_string(*value));
  };
  take(generation, "search", "num_beams", "transformers");
  number("beam", "num_beams", 1);
  if (std::optional<double> penalty = generation.real("length_penalty", 1.0))
    take(generation, "length_penalty", "length_penalty", llvm::formatv("{0:e9}", *penalty).str());

  Settings &begins = generation.has("decoder_start_token_id") ? generation : config;
  if (std::optional<int64_t> begin = begins.number("decoder_start_token_id"))
    take(begins, "begin_token", "decoder_start_token_id", std::to_string(*begin));
  Settings &ends = generation.has("eos_token_id") ? generation : config;
  std::vector<int64_t> end = ends.numbers("eos_token_id");
  if (end.size() != 1)
    return ends.fail("eos_token_id", "to be one token", end.empty() ? "none" : std::to_string(end.size()));
  take(ends, "end_tokens", "eos_token_id", std::to_string(end.front()));
  generation.only("forced_eos_token_id", end.front());

  // Theirs counts the token that begins, and the one that ends where that is put there.
  int64_t marks = generation.has("forced_eos_token_id") ? 2 : 1;
  const char *longest = generation.has("max_new_tokens") ? "max_new_tokens" : "max_length";
  if (generation.has(longest))
    if (std::optional<int64_t> most = generation.number(longest))
      take(generation, "max_length", longest,
           std::to_string(std::max<int64_t>(*most, 0) - marks + (longest[4] == 'n')));

  std::vector<int64_t> never = generation.numbers("suppress_tokens");
  for (const std::vector<int64_t> &words : generation.sequences("bad_words_ids")) {
    if (words.size() != 1)
      generation.fail("bad_words_ids", "to be of one token each", "one of " + std::to_string(words.size()));
    else if (words.front() != end.front()) // which transformers takes all the same
      never.push_back(words.front());
  }
  llvm::sort(never);
  never.erase(llvm::unique(never), never.end());
  if (!never.empty())
    take(generation, "suppress_tokens", "bad_words_ids",
         llvm::join(llvm::map_range(never, [](int64_t id) { return std::to_string(id); }), "+"));
  if (generation.flag("renormalize_logits", false))
    take(generation, "renormalize", "renormalize_logits", "true");

  // What else would change what is found.
  for (auto [key, value] : std::initializer_list<std::pair<const char *, Json>>{{"early_stopping", false},
                                                                                {"do_sample", false},
                                                                                {"num_beam_groups", 1},
                                                                                {"num_return_sequences", 1},
                                                                                {"min_length", 0},
                                                                                {"repetition_penalty", 1.0},
                                                                                {"encoder_repetition_penalty", 1.0},
                                                                                {"no_repeat_ngram_size", 0},
                                                                                {"encoder_no_repeat_ngram_size", 0},
                                                                                {"diversity_penalty", 0.0}})
    generation.only(key, value);
  for (const char *key : {"min_new_tokens", "forced_bos_token_id", "begin_suppress_tokens", "sequence_bias",
                          "exponential_decay_length_penalty", "penalty_alpha", "guidance_scale", "stop_strings",
                          "force_words_ids", "constraints"})
    generation.refuse(key, "leave it out, and translations are searched for without it");
}

//===-- Vocabularies ----------------------------------------------------------===//
static constexpr const char *vocabularyFiles[] = {"source.spm", "target.spm", "vocab.json"};

bool hasMarianVocabulary(const std::string &folder) {
  return llvm::any_of(vocabularyFiles, [&](const char *name) { return llvm::sys::fs::exists(folder + "/" + name); });
}

Expected<void> readMarianVocabularies(const std::string &folder, Settings &tokenizer, Settings &config,
                                      HuggingFaceModel &model) {
  bool apart = tokenizer.flag("separate_vocabs", false);
  for (auto [key, token] : {std::pair("unk_token", "<unk>"), {"eos_token", "</s>"}, {"pad_token", "<pad>"}})
    tokenizer.only(key, token);
  if (Settings kept = tokenizer.object("sp_model_kwargs"); !kept.empty())
    tokenizer.refuse("sp_model_kwargs", "pieces are taken as the SentencePiece model alone says");
  if (Expected<void> fine = tokenizer.check(); !fine)
    return fine;
  std::vector<int64_t> ends = config.numbers("eos_token_id");
  for (auto [key, pieces, list] : {std::tuple("source_vocabulary", "source.spm", "vocab.json"),
                                   {"target_vocabulary", "target.spm", apart ? "target_vocab.json" : "vocab.json"}}) {
    std::string listPath = folder + "/" + list, piecesPath = folder + "/" + pieces;
    auto listFile = runtime::MappedFile::open(listPath), piecesFile = runtime::MappedFile::open(piecesPath);
    for (auto *file : {&listFile, &piecesFile})
      if (!*file)
        return file->error();
    auto text = [](const runtime::MappedFile &file) {
      return std::string_view(file.data().data(), file.data().size());
    };
    auto bytes = runtime::importListedPieces(text(*listFile), text(*piecesFile), listPath);
    if (!bytes)
      return bytes.error();
    std::string name = llvm::formatv("{0}' with '{1}", listPath, piecesPath);
    auto vocabulary = runtime::Vocabulary::parse(*bytes, name);
    if (!vocabulary)
      return vocabulary.error();
    if (!ends.empty() && vocabulary->eos() != ends.front())
      return runtime::userError("'" + listPath + "': expected '</s>' to have the id of 'eos_token_id' in '" +
                                config.path() + "' (" + std::to_string(ends.front()) + "), but got " +
                                std::to_string(vocabulary->eos()));
    model.notes.push_back(llvm::formatv("{0}: '{1}', {2} tokens", key, name, vocabulary->size()));
    model.vocabularies.push_back({key, std::move(*bytes), listPath, vocabulary->size()});
  }
  return {};
}
} // namespace mlir::xf
