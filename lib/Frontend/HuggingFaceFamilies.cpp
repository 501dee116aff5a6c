//===- HuggingFaceFamilies.cpp - architectures of others ------------------===//
// One function a family reads its keys and says what its tensors are here. Keys that no function asks for do not change
// what is computed, as far as is known; -v names them.
//===----------------------------------------------------------------------===//
#include "HuggingFaceMarian.h"
#include "HuggingFaceReader.h"
#include "xf/Runtime/Memory.h"
#include "llvm/Support/FormatVariadic.h"

namespace runtime = xf::runtime;
using runtime::Expected;

namespace mlir::xf {
using Json = Settings::Json;

/// What Hugging Face's names of functions are here.
constexpr std::pair<const char *, const char *> activations[] = {
    {"relu", "relu"},           {"gelu", "gelu"}, {"gelu_new", "gelu_tanh"}, {"gelu_pytorch_tanh", "gelu_tanh"},
    {"gelu_fast", "gelu_tanh"}, {"silu", "silu"}, {"swish", "silu"}};

//===-- Keys ------------------------------------------------------------------===//
void HuggingFaceReader::takeFrom(Settings &settings, const char *name, const std::string &theirs, std::string value) {
  for (const ConfigurationKey &key : configurationKeys())
    if (StringRef(key.name) == name && !key.admits(StringRef(value)))
      return settings.fail(theirs, "to be " + key.expected(), value);
  set(name, value);
}

void HuggingFaceReader::number(const char *key, const std::string &theirs, std::optional<int64_t> fallback) {
  if (std::optional<int64_t> value = config->number(theirs, fallback))
    take(key, theirs, std::to_string(*value));
}

void HuggingFaceReader::real(const char *key, const std::string &theirs, std::optional<double> fallback) {
  if (std::optional<double> value = config->real(theirs, fallback))
    take(key, theirs, llvm::formatv("{0:e9}", *value).str());
}

void HuggingFaceReader::activation(const std::string &theirs, const std::string &fallback) {
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

void HuggingFaceReader::tie(bool fallback) {
  bool tied = config->flag("tie_word_embeddings", fallback);
  set("tied", tied ? "true" : "false");
  if (tied)
    names.leaveOut("lm_head.weight"); // kept twice
  else
    names.rule("lm_head.weight", "projection.weight");
}

//===-- Families --------------------------------------------------------------===//
void HuggingFaceReader::readGpt2() {
  model.model.kind = Language;
  number("layers", "n_layer");
  number("d_model", "n_embd");
  number("heads", "n_head");
  std::optional<int64_t> width = config->number("n_embd");
  number("d_ff", "n_inner", config->check() ? 4 * *width : 0); // a width that is none may be anything
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

void HuggingFaceReader::leaveOutHeads(ArrayRef<const char *> heads) {
  for (const char *head : heads)
    if (names.any(head)) {
      names.leaveOut(head);
      model.warnings.push_back(llvm::formatv("left out '{0}*': an encoder gives the states of its last layer", head));
    }
}

/// What BERT, RoBERTa and DistilBERT have alike; whether classes come after the encoder. The row of a text's first
/// token in the table of positions is `firstPosition`.
bool HuggingFaceReader::readBertStem(const std::string &prefix, int64_t firstPosition) {
  bool classifies = StringRef(model.model.architecture).ends_with("ForSequenceClassification");
  model.model.kind = classifies ? Classifier : Encoder;
  number("vocabulary", "vocab_size");
  if (std::optional<int64_t> rows = config->number("max_position_embeddings", 512); rows && *rows <= firstPosition)
    config->fail("max_position_embeddings", "to be more than " + std::to_string(firstPosition), std::to_string(*rows));
  else if (rows)
    take("max_positions", "max_position_embeddings", std::to_string(*rows - firstPosition));
  for (const char *key : {"norm=post", "positions=learned", "bias=all", "embedding_norm=true", "scale_embedding=false"})
    model.model.keys.push_back(key);
  names.leaveOut(prefix + "embeddings.position_ids");
  names.rule(prefix + "embeddings.word_embeddings.weight", "embedding.weight");
  std::string positions = prefix + "embeddings.position_embeddings.weight";
  if (firstPosition)
    names.rule(positions, Json{{"to", "positions.weight"}, {"first_row", firstPosition}});
  else
    names.rule(positions, "positions.weight");
  return classifies;
}

void HuggingFaceReader::readBert() {
  // RoBERTa's positions count from behind the number of the token that fills batches up; it has no table for those
  // tokens themselves.
  bool isRoberta = family.ends_with("roberta"); // or xlm-roberta
  std::optional<int64_t> padding = isRoberta ? config->number("pad_token_id", 1) : std::nullopt;
  if (padding && *padding < 0)
    return config->fail("pad_token_id", "to be a token", std::to_string(*padding));
  std::string prefix = isRoberta ? "roberta." : "bert.";
  std::string p = names.any(prefix) ? prefix : "", layer = p + "encoder.layer.{n}.";
  bool classifies = readBertStem(p, padding.value_or(-1) + 1);
  number("layers", "num_hidden_layers");
  number("d_model", "hidden_size");
  number("heads", "num_attention_heads");
  number("d_ff", "intermediate_size");
  activation("hidden_act", "gelu");
  real("norm_epsilon", "layer_norm_eps", 1e-12);
  config->only("position_embedding_type", "absolute");
  config->only("is_decoder", false);
  config->only("add_cross_attention", false);

  if (classifies) {
    readHead("tanh", isRoberta ? "classifier.dense" : p + "pooler.dense");
    if (isRoberta)
      names.rule("classifier.out_proj.{kind}", "classifier.{kind}");
    real("dropout", "hidden_dropout_prob", 0.1);
    real("attention_dropout", "attention_probs_dropout_prob", 0.1);
    tune();
  } else {
    leaveOutHeads({"cls.", "lm_head.", "classifier.", "qa_outputs."});
    names.leaveOut(p + "pooler.");
  }
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

void HuggingFaceReader::readDistilBert() {
  std::string p = names.any("distilbert.") ? "distilbert." : "", layer = p + "transformer.layer.{n}.";
  bool classifies = readBertStem(p);
  number("layers", "n_layers");
  number("d_model", "dim");
  number("heads", "n_heads");
  number("d_ff", "hidden_dim");
  activation("activation", "gelu");
  set("norm_epsilon", "1e-12");

  if (classifies) {
    readHead("relu", "pre_classifier");
    real("dropout", "dropout", 0.1);
    real("attention_dropout", "attention_dropout", 0.1);
    tune();
  } else {
    leaveOutHeads({"vocab_", "pre_classifier.", "classifier.", "qa_outputs."});
  }
  names.rule(p + "embeddings.LayerNorm.{kind}", "embedding_norm.{kind}");
  names.rule(layer + "sa_layer_norm.{kind}", "encoder.{n}.attention_norm.{kind}");
  names.rule(layer + "output_layer_norm.{kind}", "encoder.{n}.feed_forward_norm.{kind}");
  for (auto [theirs, ours] : {std::pair("q", "query"), {"k", "key"}, {"v", "value"}, {"out", "output"}})
    names.rule(layer + "attention." + theirs + "_lin.{kind}", std::string("encoder.{n}.attention.") + ours + ".{kind}");
  names.rule(layer + "ffn.lin1.{kind}", "encoder.{n}.feed_forward.in.{kind}");
  names.rule(layer + "ffn.lin2.{kind}", "encoder.{n}.feed_forward.out.{kind}");
}

/// The classes of the first token's state, after a layer of it: how many there are, and what they are called.
void HuggingFaceReader::readHead(StringRef activation, const std::string &pooler) {
  set("pooling", "first");
  set("pooler", activation.str());
  set("smoothing", "0");
  names.rule(pooler + ".{kind}", "classifier.pooler.{kind}");
  config->only("problem_type", "single_label_classification");
  Settings byNumber = config->object("id2label");
  int64_t count = byNumber.empty() ? config->number("num_labels", 2).value_or(2) : int64_t(byNumber.keys().size());
  if (count < 2)
    return config->fail(byNumber.empty() ? "num_labels" : "id2label", "to have two classes at least",
                        std::to_string(count));
  set("classes", std::to_string(count));
  for (int64_t i = 0; i < count && !byNumber.empty(); ++i) {
    std::string name = byNumber.text(std::to_string(i), "");
    if (name.empty() || StringRef(name).find_first_of("\t\r\n") != StringRef::npos)
      byNumber.fail(std::to_string(i), "to be the name of a class, in a line",
                    name.empty() ? "none" : Json(name).dump());
    else if (llvm::is_contained(model.classes, name))
      byNumber.fail(std::to_string(i), "to be another name than the others", name);
    model.classes.push_back(name);
  }
  config->adopt(byNumber);
}

/// How tokens know their places, and how far back they see.
void HuggingFaceReader::readRotary(bool isMistral, bool isQwen) {
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

void HuggingFaceReader::readLlama() {
  bool isQwen2 = family == "qwen2", isQwen3 = family == "qwen3", isQwen = isQwen2 || isQwen3;
  model.model.kind = Language;
  number("layers", "num_hidden_layers");
  number("d_model", "hidden_size");
  number("heads", "num_attention_heads");
  number("key_value_heads", "num_key_value_heads", config->number("num_attention_heads").value_or(0));
  if (config->has("head_dim") || isQwen3)
    for (const char *key : {"d_k", "d_v"})
      number(key, "head_dim", isQwen3 ? std::optional<int64_t>(128) : std::nullopt);
  number("d_ff", "intermediate_size");
  number("vocabulary", "vocab_size");
  activation("hidden_act", "silu");
  real("norm_epsilon", "rms_norm_eps", 1e-6);
  if (config->has("max_position_embeddings")) // no more than what it was trained on
    number("max_positions", "max_position_embeddings");
  real("attention_dropout", "attention_dropout", 0.0);
  if (!config->check()) // what follows counts layers
    return;
  readRotary(family == "mistral", isQwen);
  config->only("mlp_bias", false);
  config->only("pretraining_tp", 1);
  bool biased = !isQwen2 && config->flag("attention_bias", false);
  set("bias", isQwen2 || biased ? "attention" : "none");
  if (isQwen3)
    set("qk_norm", "true");
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
  for (auto [theirs, ours] : {std::pair("q", "query"), {"k", "key"}})
    if (isQwen3)
      names.rule(layer + "self_attn." + theirs + "_norm.weight",
                 std::string("decoder.{n}.attention.") + ours + "_norm.weight");
  if (isQwen2) // its outputs have none
    for (int64_t i = 0, layers = config->number("num_hidden_layers").value_or(0); i < layers; ++i)
      model.zeros.push_back(llvm::formatv("decoder.{0}.attention.output.bias", i));
}

/// Weights that others have made small.
Expected<void> HuggingFaceReader::refuseQuantized() {
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

void HuggingFaceReader::readMarian() {
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
  int64_t positions = *config->number("max_position_embeddings", 1024), width = *config->number("d_model");
  for (auto [side, ours] : {std::pair("encoder", "source_"), {"decoder", "target_"}}) {
    if (names.has(llvm::formatv("model.{0}.embed_positions.weight", side).str()))
      continue;
    if (int64_t available = runtime::availableMemory(); positions * width > available / int64_t(sizeof(float)))
      return config->fail("max_position_embeddings",
                          "to make a table of width " + std::to_string(width) + " that fits in memory (" +
                              runtime::formatBytes(available) + ")",
                          std::to_string(positions));
    model.tables.push_back(sinusoids(std::string(ours) + "positions.weight", positions, width));
  }
}

Expected<void> HuggingFaceReader::readFamily() {
  struct Family {
    const char *type;
    std::vector<StringRef> architectures;
    void (HuggingFaceReader::*read)();
  };
  const Family families[] = {
      {"gpt2", {"GPT2LMHeadModel"}, &HuggingFaceReader::readGpt2},
      {"bert",
       {"BertModel", "BertForMaskedLM", "BertForPreTraining", "BertForSequenceClassification"},
       &HuggingFaceReader::readBert},
      {"roberta",
       {"RobertaModel", "RobertaForMaskedLM", "RobertaForSequenceClassification"},
       &HuggingFaceReader::readBert},
      {"xlm-roberta",
       {"XLMRobertaModel", "XLMRobertaForMaskedLM", "XLMRobertaForSequenceClassification"},
       &HuggingFaceReader::readBert},
      {"distilbert",
       {"DistilBertModel", "DistilBertForMaskedLM", "DistilBertForSequenceClassification"},
       &HuggingFaceReader::readDistilBert},
      {"llama", {"LlamaForCausalLM"}, &HuggingFaceReader::readLlama},
      {"mistral", {"MistralForCausalLM"}, &HuggingFaceReader::readLlama},
      {"qwen2", {"Qwen2ForCausalLM"}, &HuggingFaceReader::readLlama},
      {"qwen3", {"Qwen3ForCausalLM"}, &HuggingFaceReader::readLlama},
      {"marian", {"MarianMTModel"}, &HuggingFaceReader::readMarian},
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
    this->family = family.type;
    config->only("is_encoder_decoder", this->family == "marian");
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
} // namespace mlir::xf
