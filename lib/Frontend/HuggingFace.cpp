//===- HuggingFace.cpp - models of others ---------------------------------===//
// One function a family reads its keys and says what its tensors are here. Keys that no function asks for do not change
// what is computed, as far as is known; -v names them.
//===----------------------------------------------------------------------===//
#include "xf/Frontend/HuggingFace.h"
#include "HuggingFaceMarian.h"
#include "HuggingFaceSettings.h"
#include "OtherFormats.h"
#include "xf/Runtime/Text/ImportVocabulary.h"
#include "xf/Runtime/Text/Vocabulary.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Path.h"
#include <map>

namespace runtime = xf::runtime;
using runtime::Expected;

namespace mlir::xf {
namespace {
using Json = nlohmann::ordered_json;

/// What Hugging Face's names of functions are here.
constexpr std::pair<const char *, const char *> activations[] = {
    {"relu", "relu"},           {"gelu", "gelu"}, {"gelu_new", "gelu_tanh"}, {"gelu_pytorch_tanh", "gelu_tanh"},
    {"gelu_fast", "gelu_tanh"}, {"silu", "silu"}, {"swish", "silu"}};

/// The names of a folder's tensors, and what becomes of them.
struct Names {
  std::vector<std::string> theirs;
  Json rules = Json::object();

  bool any(StringRef start) const {
    return llvm::any_of(theirs, [&](const std::string &name) { return StringRef(name).starts_with(start); });
  }
  bool has(StringRef name) const { return llvm::is_contained(theirs, name); }
  void rule(const std::string &name, Json to) { rules[name] = std::move(to); }
  /// Leaves out what starts so.
  void leaveOut(StringRef start) {
    for (const std::string &name : theirs)
      if (StringRef(name).starts_with(start))
        rules[name] = nullptr;
  }
  void leaveOutEnding(StringRef end) {
    for (const std::string &name : theirs)
      if (StringRef(name).ends_with(end))
        rules[name] = nullptr;
  }
};

class Reader {
public:
  Reader(const std::string &folder, const std::string &weights) : folder(folder), given(weights) {}

  Expected<HuggingFaceModel> read(bool withVocabulary);

private:
  Expected<void> findWeights();
  Expected<void> readFamily();
  Expected<void> refuseQuantized();
  void readGpt2();
  void readBert();
  void readLlama();
  void readRotary(bool isMistral, bool isQwen);
  void readMarian();
  Expected<void> readMarks();
  Expected<void> readPooling();
  Expected<void> readVocabulary();
  Expected<std::string> importCandidate(const std::string &name);

  std::string pathOf(StringRef name) const { return (folder + "/" + name).str(); }
  bool exists(StringRef name) const { return llvm::sys::fs::is_regular_file(pathOf(name)); }
  /// A file that need not be there: then an empty object.
  Expected<Settings> optional(StringRef name) const {
    return exists(name) ? Settings::read(pathOf(name)) : Settings(pathOf(name), Json::object());
  }

  void set(const std::string &key, const std::string &value) { model.model.keys.push_back(key + "=" + value); }
  /// Takes the value of a key in a range that the model's own key has.
  void take(const char *key, const std::string &theirs, std::string value) {
    takeFrom(*config, key, theirs, std::move(value));
  }
  void takeFrom(Settings &settings, const char *key, const std::string &theirs, std::string value);
  void number(const char *key, const std::string &theirs, std::optional<int64_t> fallback = std::nullopt);
  void real(const char *key, const std::string &theirs, std::optional<double> fallback = std::nullopt);
  void activation(const std::string &theirs, const std::string &fallback);
  void tie(bool fallback);
  /// What training goes on with: small steps, as from weights that are good already.
  void tune() {
    for (const char *key :
         {"learning_rate=5e-5", "schedule=constant", "warmup=0", "clip_norm=1", "beta2=0.999", "epsilon=1e-8"})
      model.model.keys.push_back(key);
  }

  std::string folder, given;
  HuggingFaceModel model;
  std::optional<Settings> config;
  Names names;
};
} // namespace

//===-- Keys ------------------------------------------------------------------===//
void Reader::takeFrom(Settings &settings, const char *name, const std::string &theirs, std::string value) {
  for (const ConfigurationKey &key : configurationKeys())
    if (StringRef(key.name) == name && !key.admits(StringRef(value)))
      return settings.fail(theirs, "to be " + key.expected(), value);
  set(name, value);
}

void Reader::number(const char *key, const std::string &theirs, std::optional<int64_t> fallback) {
  if (std::optional<int64_t> value = config->number(theirs, fallback))
    take(key, theirs, std::to_string(*value));
}

void Reader::real(const char *key, const std::string &theirs, std::optional<double> fallback) {
  if (std::optional<double> value = config->real(theirs, fallback))
    take(key, theirs, llvm::formatv("{0:e9}", *value).str());
}

void Reader::activation(const std::string &theirs, const std::string &fallback) {
  std::string name = config->text(theirs, fallback);
  const auto *known = llvm::find_if(activations, [&](const auto &each) { return name == each.first; });
  SmallVector<StringRef> supported;
  for (const ConfigurationKey &key : configurationKeys())
    for (auto [name, here] : activations)
      if (StringRef(key.name) == "activation" && key.admits(StringRef(here)))
        supported.push_back(name);
  if (known == std::end(activations) || !llvm::is_contained(supported, StringRef(name)))
    return config->fail(theirs, "to be one of " + llvm::join(supported, ", "), name);
  set("activation", known->second);
}

void Reader::tie(bool fallback) {
  bool tied = config->flag("tie_word_embeddings", fallback);
  set("tied", tied ? "true" : "false");
  if (tied)
    names.leaveOut("lm_head.weight"); // kept twice
  else
    names.rule("lm_head.weight", "projection.weight");
}

//===-- Families --------------------------------------------------------------===//
void Reader::readGpt2() {
  model.model.kind = Language;
  number("layers", "n_layer");
  number("d_model", "n_embd");
  number("heads", "n_head");
  std::optional<int64_t> width = config->number("n_embd");
  number("d_ff", "n_inner", width ? 4 * *width : 0);
  number("vocabulary", "vocab_size");
  number("max_positions", "n_positions", 1024);
  activation("activation_function", "gelu_new");
  real("norm_epsilon", "layer_norm_epsilon", 1e-5);
  real("dropout", "resid_pdrop", 0.1);
  real("attention_dropout", "attn_pdrop", 0.1);
  std::optional<double> residual = config->real("resid_pdrop", 0.1), embedding = config->real("embd_pdrop", 0.1);
  if (residual && embedding && *residual != *embedding)
    model.warnings.push_back(
        llvm::formatv("'{0}': 'embd_pdrop' ({1}) is not 'resid_pdrop' ({2}); training drops the latter in both",
                      config->path(), Json(*embedding).dump(), Json(*residual).dump())
            .str());
  config->only("scale_attn_weights", true);
  config->only("scale_attn_by_inverse_layer_idx", false);
  config->only("add_cross_attention", false);
  for (const char *key :
       {"norm=pre", "positions=learned", "bias=all", "projection_bias=false", "scale_embedding=false"})
    model.model.keys.push_back(key);
  tune();

  std::string p = names.any("transformer.") ? "transformer." : "", layer = p + "h.{n}.";
  tie(true);
  names.leaveOutEnding(".attn.bias"); // the causal mask
  names.leaveOutEnding(".attn.masked_bias");
  names.rule(p + "wte.weight", "embedding.weight");
  names.rule(p + "wpe.weight", "positions.weight");
  names.rule(p + "ln_f.{kind}", "decoder.norm.{kind}");
  names.rule(layer + "ln_1.{kind}", "decoder.{n}.attention_norm.{kind}");
  names.rule(layer + "ln_2.{kind}", "decoder.{n}.feed_forward_norm.{kind}");
  // Weights are (in, out).
  auto linear = [&](const std::string &theirs, const std::vector<std::string> &ours) {
    for (const char *kind : {".weight", ".bias"}) {
      Json to = Json::array();
      for (const std::string &name : ours)
        to.push_back("decoder.{n}." + name + kind);
      if (StringRef(kind) == ".weight")
        to = Json{{"to", to}, {"transposed", true}};
      names.rule(layer + theirs + kind, to);
    }
  };
  linear("attn.c_attn", {"attention.query", "attention.key", "attention.value"});
  linear("attn.c_proj", {"attention.output"});
  linear("mlp.c_fc", {"feed_forward.in"});
  linear("mlp.c_proj", {"feed_forward.out"});
}

void Reader::readBert() {
  model.model.kind = Encoder;
  number("layers", "num_hidden_layers");
  number("d_model", "hidden_size");
  number("heads", "num_attention_heads");
  number("d_ff", "intermediate_size");
  number("vocabulary", "vocab_size");
  number("max_positions", "max_position_embeddings", 512);
  activation("hidden_act", "gelu");
  real("norm_epsilon", "layer_norm_eps", 1e-12);
  config->only("position_embedding_type", "absolute");
  config->only("is_decoder", false);
  config->only("add_cross_attention", false);
  for (const char *key : {"norm=post", "positions=learned", "bias=all", "embedding_norm=true", "scale_embedding=false"})
    model.model.keys.push_back(key);

  std::string p = names.any("bert.") ? "bert." : "", layer = p + "encoder.layer.{n}.";
  for (const char *head : {"cls.", "classifier.", "qa_outputs."})
    if (names.any(head)) {
      names.leaveOut(head);
      model.warnings.push_back(llvm::formatv("left out '{0}*': an encoder gives the states of its last layer", head));
    }
  names.leaveOut(p + "pooler.");
  names.leaveOut(p + "embeddings.position_ids");
  names.rule(p + "embeddings.word_embeddings.weight", "embedding.weight");
  names.rule(p + "embeddings.position_embeddings.weight", "positions.weight");
  // Every token of a text alone is of type 0; whose row any of the sum's tables may hold.
  std::string types = p + "embeddings.token_type_embeddings.weight";
  if (names.has(types))
    names.rule(types, Json{{"to", "positions.weight"}, {"add_row", 0}});
  auto norm = [&](const std::string &theirs, const std::string &ours) {
    bool old = names.has(p + "embeddings.LayerNorm.gamma");
    names.rule(theirs + (old ? ".gamma" : ".weight"), ours + ".weight");
    names.rule(theirs + (old ? ".beta" : ".bias"), ours + ".bias");
  };
  norm(p + "embeddings.LayerNorm", "embedding_norm");
  norm(layer + "attention.output.LayerNorm", "encoder.{n}.attention_norm");
  norm(layer + "output.LayerNorm", "encoder.{n}.feed_forward_norm");
  names.rule(layer + "attention.self.{part}.{kind}", "encoder.{n}.attention.{part}.{kind}");
  names.rule(layer + "attention.output.dense.{kind}", "encoder.{n}.attention.output.{kind}");
  names.rule(layer + "intermediate.dense.{kind}", "encoder.{n}.feed_forward.in.{kind}");
  names.rule(layer + "output.dense.{kind}", "encoder.{n}.feed_forward.out.{kind}");
}

/// How tokens know their places, and how far back they see.
void Reader::readRotary(bool isMistral, bool isQwen) {
  set("positions", "rotary");
  // Newer files have one object of base and scaling.
  Settings rotary = config->object(config->has("rope_parameters") ? "rope_parameters" : "rope_scaling");
  Settings &from = rotary.has("rope_theta") ? rotary : *config;
  if (std::optional<double> theta = from.real("rope_theta", 10000.0))
    take("rope_theta", "rope_theta", llvm::formatv("{0:e9}", *theta).str());
  std::string type = rotary.text(rotary.has("rope_type") ? "rope_type" : "type", "default"); // the older name
  auto takeReal = [&](const char *key, const char *theirs) {
    if (std::optional<double> value = rotary.real(theirs))
      set(key, llvm::formatv("{0:e9}", *value).str());
  };
  if (type == "linear" || type == "llama3") {
    takeReal("rope_factor", "factor");
    if (type == "llama3") {
      takeReal("rope_low_factor", "low_freq_factor");
      takeReal("rope_high_factor", "high_freq_factor");
      if (std::optional<int64_t> positions = rotary.number("original_max_position_embeddings"))
        set("rope_original_positions", std::to_string(*positions));
    }
  } else if (type != "default") {
    rotary.fail("rope_type", "to be one of default, linear, llama3", type);
  }
  rotary.only("partial_rotary_factor", 1.0);
  config->adopt(rotary);
  config->only("partial_rotary_factor", 1.0);

  // Mistral's layers look back so far, and a file without the key leaves it as it was in the first one; Qwen's do from
  // a layer on.
  std::optional<int64_t> window;
  if (isMistral)
    window = config->has("sliding_window") || config->isNull("sliding_window")
                 ? config->number("sliding_window", int64_t(0))
                 : int64_t(4096);
  std::vector<std::string> types = config->texts("layer_types");
  if (isQwen && config->flag("use_sliding_window", false)) {
    int64_t layers = config->number("num_hidden_layers").value_or(0),
            full = config->number("max_window_layers", 28).value_or(0);
    for (int64_t i = int64_t(types.size()); i < layers; ++i) // older files have no list
      types.push_back(i < full ? "full_attention" : "sliding_attention");
    if (llvm::is_contained(types, "sliding_attention"))
      window = config->number("sliding_window", 4096);
  }
  if (window && *window < 1 && config->has("sliding_window"))
    config->fail("sliding_window", "to be at least 1", std::to_string(*window));
  else if (window && *window > 0)
    set("window", std::to_string(*window - 1)); // theirs counts the token itself
  bool isWindowed = window && *window > 0;
  for (const std::string &type : types)
    if (type != (isWindowed ? "sliding_attention" : "full_attention"))
      config->fail("layer_types",
                   isWindowed ? "to be sliding_attention in all layers" : "to be full_attention in all layers", type);
}

void Reader::readLlama() {
  std::string type = config->text("model_type", "llama");
  bool isQwen = type == "qwen2";
  model.model.kind = Language;
  number("layers", "num_hidden_layers");
  number("d_model", "hidden_size");
  number("heads", "num_attention_heads");
  number("key_value_heads", "num_key_value_heads", config->number("num_attention_heads").value_or(0));
  if (config->has("head_dim"))
    for (const char *key : {"d_k", "d_v"})
      number(key, "head_dim");
  number("d_ff", "intermediate_size");
  number("vocabulary", "vocab_size");
  activation("hidden_act", "silu");
  real("norm_epsilon", "rms_norm_eps", 1e-6);
  real("attention_dropout", "attention_dropout", 0.0);
  readRotary(type == "mistral", isQwen);
  config->only("mlp_bias", false);
  config->only("pretraining_tp", 1);
  bool biased = !isQwen && config->flag("attention_bias", false);
  set("bias", isQwen || biased ? "attention" : "none");
  for (const char *key :
       {"norm=pre", "normalization=rms", "gated=true", "projection_bias=false", "scale_embedding=false", "dropout=0"})
    model.model.keys.push_back(key);
  tune();

  tie(false);
  std::string p = names.any("model.") ? "model." : "", layer = p + "layers.{n}.";
  names.leaveOutEnding(".rotary_emb.inv_freq");
  names.rule(p + "embed_tokens.weight", "embedding.weight");
  names.rule(p + "norm.weight", "decoder.norm.weight");
  names.rule(layer + "input_layernorm.weight", "decoder.{n}.attention_norm.weight");
  names.rule(layer + "post_attention_layernorm.weight", "decoder.{n}.feed_forward_norm.weight");
  for (auto [theirs, ours] : {std::pair("q", "query"), {"k", "key"}, {"v", "value"}, {"o", "output"}})
    names.rule(layer + "self_attn." + theirs + "_proj.{kind}",
               std::string("decoder.{n}.attention.") + ours + ".{kind}");
  for (auto [theirs, ours] : {std::pair("gate", "gate"), {"up", "in"}, {"down", "out"}})
    names.rule(layer + "mlp." + theirs + "_proj.weight", std::string("decoder.{n}.feed_forward.") + ours + ".weight");
  if (isQwen) // its outputs have none
    for (int64_t i = 0, layers = config->number("num_hidden_layers").value_or(0); i < layers; ++i)
      model.zeros.push_back(llvm::formatv("decoder.{0}.attention.output.bias", i));
}

/// Weights that others have made small.
Expected<void> Reader::refuseQuantized() {
  std::string file = config->path(), method;
  if (config->has("quantization_config")) {
    Settings how = config->object("quantization_config");
    method = how.text("quant_method", how.flag("load_in_4bit", false) || how.flag("load_in_8bit", false)
                                          ? "bitsandbytes"
                                          : "a method that it does not name");
    config->adopt(how);
  }
  for (auto [name, of] : {std::pair("quantize_config.json", "gptq"), {"quant_config.json", "awq"}})
    if (method.empty() && exists(name)) {
      file = pathOf(name);
      method = of;
    }
  if (Expected<void> fine = config->check(); !fine || method.empty())
    return fine;
  return runtime::userError("'" + file + "': weights quantized by " + method +
                            " are not supported; give the folder that they were made of, with weights in F32, BF16 or "
                            "F16 (--quantize=int8 makes them small here)");
}

void Reader::readMarian() {
  model.model.kind = Pairs;
  number("layers", "encoder_layers");
  number("decoder_layers", "decoder_layers");
  number("d_model", "d_model");
  number("heads", "encoder_attention_heads");
  number("d_ff", "encoder_ffn_dim");
  for (const char *key : {"attention_heads", "ffn_dim"})
    if (std::optional<int64_t> encoders = config->number(std::string("encoder_") + key))
      config->only(std::string("decoder_") + key, *encoders); // one value for both
  std::optional<int64_t> vocabulary = config->number("vocab_size");
  number("source_vocabulary", "vocab_size");
  number("target_vocabulary", "decoder_vocab_size", vocabulary);
  number("max_positions", "max_position_embeddings", 1024);
  activation("activation_function", "gelu");
  real("dropout", "dropout", 0.1);
  real("attention_dropout", "attention_dropout", 0.0);
  real("activation_dropout", "activation_dropout", 0.0);
  set("scale_embedding", config->flag("scale_embedding", false) ? "true" : "false");
  // Of Marian's own settings, which old folders keep too.
  config->only("normalize_before", false);
  config->only("normalize_embedding", false);
  config->only("add_final_layer_norm", false);
  config->only("static_position_embeddings", true);
  for (const char *key : {"norm=post", "positions=learned", "bias=all", "smoothing=0"})
    model.model.keys.push_back(key);
  tune();

  set("tied", mapMarian(*config, names.theirs, names.rules));
  bool hasBias = names.theirs.empty() || names.has("final_logits_bias") || names.has("embedding.bias") ||
                 names.has("target_embedding.bias") || names.has("projection.bias");
  set("projection_bias", hasBias ? "true" : "false");
  if (!hasBias)
    names.rules.erase("final_logits_bias");
  if (Expected<void> fine = config->check(); !fine)
    return;
  for (auto [side, ours] : {std::pair("encoder", "source_"), {"decoder", "target_"}})
    if (!names.has(llvm::formatv("model.{0}.embed_positions.weight", side).str()))
      model.tables.push_back(sinusoids(std::string(ours) + "positions.weight",
                                       *config->number("max_position_embeddings", 1024), *config->number("d_model")));
}

Expected<void> Reader::readFamily() {
  struct Family {
    const char *type;
    std::vector<StringRef> architectures;
    void (Reader::*read)();
  };
  const Family families[] = {
      {"gpt2", {"GPT2LMHeadModel"}, &Reader::readGpt2},
      {"bert", {"BertModel", "BertForMaskedLM", "BertForPreTraining"}, &Reader::readBert},
      {"llama", {"LlamaForCausalLM"}, &Reader::readLlama},
      {"mistral", {"MistralForCausalLM"}, &Reader::readLlama},
      {"qwen2", {"Qwen2ForCausalLM"}, &Reader::readLlama},
      {"marian", {"MarianMTModel"}, &Reader::readMarian},
  };
  std::vector<std::string> architectures = config->texts("architectures");
  std::string type = config->text("model_type", "");
  if (Expected<void> fine = config->check(); !fine)
    return fine;
  std::string supported;
  for (const Family &family : families) {
    supported += (supported.empty() ? "" : ", ") + llvm::join(family.architectures, ", ");
    bool isIt = architectures.empty() ? type == family.type
                                      : llvm::is_contained(family.architectures, StringRef(architectures.front()));
    if (!isIt)
      continue;
    model.model.architecture = architectures.empty() ? family.architectures.front().str() : architectures.front();
    if (!type.empty() && type != family.type) {
      config->fail("model_type", "to be " + std::string(family.type) + " for " + model.model.architecture, type);
      return config->check();
    }
    if (Expected<void> fine = refuseQuantized(); !fine)
      return fine;
    config->only("is_encoder_decoder", StringRef(family.type) == "marian");
    (this->*family.read)();
    return config->check();
  }
  return runtime::userError(
      llvm::formatv("'{0}': {1} is not supported; supported are {2}", config->path(),
                    architectures.empty() ? type.empty() ? std::string("a model of no 'architectures' or 'model_type'")
                                                         : "model type '" + type + "'"
                                          : "architecture '" + architectures.front() + "'",
                    supported)
          .str());
}

//===-- Files -----------------------------------------------------------------===//
Expected<void> Reader::findWeights() {
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
Expected<void> Reader::readMarks() {
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
  bool isGpt2 = config->text("model_type", "") == "gpt2";
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
Expected<void> Reader::readPooling() {
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

Expected<std::string> Reader::importCandidate(const std::string &name) {
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
  if (name == "vocab.json") {
    Expected<std::string> merges = content("merges.txt");
    return merges ? runtime::importBytePairs(*bytes, *merges, pathOf(name)) : merges;
  }
  return runtime::importVocabulary(*bytes, pathOf(name));
}

Expected<void> Reader::readVocabulary() {
  if (model.model.kind == Pairs && hasMarianVocabulary(folder)) {
    Expected<Settings> tokenizer = optional("tokenizer_config.json");
    return tokenizer ? readMarianVocabularies(folder, *tokenizer, *config, model) : tokenizer.error();
  }
  std::vector<std::string> candidates = {"tokenizer.json", "tokenizer.model"};
  if (model.model.kind == Encoder)
    candidates.emplace_back("vocab.txt");
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

Expected<HuggingFaceModel> Reader::read(bool withVocabulary) {
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
  for (auto part : {&Reader::findWeights, &Reader::readFamily, &Reader::readMarks, &Reader::readPooling})
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
  return Reader(path, weights).read(withVocabulary);
}
} // namespace mlir::xf
