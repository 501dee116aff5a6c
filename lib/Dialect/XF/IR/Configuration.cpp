//===- Configuration.cpp - what a module says of its model ----------------===//
#include "xf/Dialect/XF/IR/Configuration.h"
#include "llvm/ADT/StringExtras.h"
#include <cmath>

namespace mlir::xf {

StringRef nameOf(ModelKind kind) {
  switch (kind) {
  case Pairs:
    return "sequence_to_sequence";
  case Language:
    return "language_model";
  case Classifier:
    return "classifier";
  default:
    return "encoder";
  }
}

std::optional<ModelKind> parseModelKind(StringRef name) {
  for (ModelKind kind : {Pairs, Language, Encoder, Classifier})
    if (nameOf(kind) == name)
      return kind;
  return std::nullopt;
}

using Key = ConfigurationKey;
static constexpr Key keys[] = {
    {"layers", AnyKind, "6", Key::Integer, 0, ""},
    {"decoder_layers", Pairs, "", Key::Integer, 0, ""},
    {"d_model", AnyKind, "512", Key::Integer, 1, ""},
    {"heads", AnyKind, "8", Key::Integer, 1, ""},
    {"key_value_heads", AnyKind, "", Key::Integer, 1, ""},
    {"d_k", AnyKind, "", Key::Integer, 1, ""},
    {"d_v", AnyKind, "", Key::Integer, 1, ""},
    {"d_ff", AnyKind, "2048", Key::Integer, 1, ""},
    {"vocabulary", AnyKind, "37000", Key::Integer, 3, ""},
    {"source_vocabulary", Pairs, "", Key::Integer, 3, ""},
    {"target_vocabulary", Pairs, "", Key::Integer, 3, ""},
    {"tied", Pairs | Language, "true", Key::Choice, 0, "true|false|embeddings|target"},
    {"scale_embedding", AnyKind, "true", Key::Choice, 0, "true|false"},
    {"init", AnyKind, "xavier", Key::Choice, 0, "xavier|torch"},
    {"embedding_norm", Encoder | Classifier, "true", Key::Choice, 0, "true|false"},
    {"bias", AnyKind, "feed_forward", Key::Choice, 0, "none|feed_forward|attention|all"},
    {"projection_bias", Pairs | Language, "", Key::Choice, 0, "true|false"},
    {"positions", AnyKind, "sinusoidal", Key::Choice, 0,
     "sinusoidal|sinusoidal_halves|learned|alibi|relative|rotary|none"},
    {"max_positions", AnyKind, "1024", Key::Integer, 1, ""},
    {"max_distance", AnyKind, "128", Key::Integer, 1, ""},
    {"rope_theta", AnyKind, "10000.0", Key::Number, 0, ""},
    {"rope_factor", AnyKind, "1.0", Key::Number, 0, ""},
    {"rope_original_positions", AnyKind, "none", Key::Integer, 1, "none"},
    {"rope_low_factor", AnyKind, "1.0", Key::Number, 0, ""},
    {"rope_high_factor", AnyKind, "4.0", Key::Number, 0, ""},
    {"first_position", AnyKind, "0", Key::Integer, 0, ""},
    {"source_end", Pairs, "true", Key::Choice, 0, "true|false"},
    {"norm", AnyKind, "post", Key::Choice, 0, "post|pre"},
    {"normalization", AnyKind, "layer", Key::Choice, 0, "layer|rms"},
    {"norm_epsilon", AnyKind, "1.0e-05", Key::Rate, 0, ""},
    {"qk_norm", AnyKind, "false", Key::Choice, 0, "true|false"},
    {"activation", AnyKind, "relu", Key::Choice, 0, "relu|gelu|gelu_tanh|silu"},
    {"gated", AnyKind, "false", Key::Choice, 0, "true|false"},
    {"dropout", Pairs | Language | Classifier, "0.1", Key::Rate, 0, ""},
    {"attention_dropout", Pairs | Language | Classifier, "0.0", Key::Rate, 0, ""},
    {"activation_dropout", Pairs | Language | Classifier, "0.0", Key::Rate, 0, ""},
    {"smoothing", Pairs | Language | Classifier, "0.1", Key::Rate, 0, ""},
    {"window", AnyKind, "none", Key::Integer, 0, "none"},
    {"soft_cap", AnyKind, "0.0", Key::Number, 0, ""},
    {"learning_rate", Pairs | Language | Classifier, "1.0", Key::Number, 0, ""},
    {"schedule", Pairs | Language | Classifier, "noam", Key::Choice, 0, "noam|constant|rsqrt|inverse_sqrt"},
    {"warmup", Pairs | Language | Classifier, "4000", Key::Integer, 0, ""},
    {"clip_norm", Pairs | Language | Classifier, "0.0", Key::Number, 0, ""},
    {"beta1", Pairs | Language | Classifier, "0.9", Key::Rate, 0, ""},
    {"beta2", Pairs | Language | Classifier, "0.98", Key::Rate, 0, ""},
    {"epsilon", Pairs | Language | Classifier, "1.0e-09", Key::Number, 0, ""},
    {"weight_decay", Pairs | Language | Classifier, "0.0", Key::Number, 0, ""},
    {"beam", Pairs, "4", Key::Integer, 1, ""},
    {"length_penalty", Pairs, "0.6", Key::Number, 0, ""},
    {"extra_length", Pairs, "50", Key::Integer, 0, ""},
    {"max_length", Pairs, "", Key::Integer, 1, ""},
    {"search", Pairs, "", Key::Choice, 0, "paper|transformers"},
    {"suppress_tokens", Pairs, "", Key::Tokens, 0, ""},
    {"renormalize", Pairs, "", Key::Choice, 0, "true|false"},
    {"classes", Classifier, "2", Key::Integer, 2, ""},
    {"pooling", Encoder | Classifier, "mean", Key::Choice, 0, "mean|first"},
    {"pooler", Classifier, "none", Key::Choice, 0, "none|relu|tanh"},
    {"max_tokens", Encoder | Classifier, "none", Key::Integer, 1, "none"},
    {"unit_length", Encoder, "true", Key::Choice, 0, "true|false"},
    {"temperature", Language, "", Key::Number, 0, ""},
    {"top_k", Language, "", Key::Integer, 0, ""},
    {"top_p", Language, "", Key::Rate, 0, ""},
    {"text", Language, "lines", Key::Choice, 0, "lines|whole"},
    {"begins", Language, "true", Key::Choice, 0, "true|false"},
    {"begin_token", AnyKind, "", Key::Integer, 0, ""},
    {"end_tokens", AnyKind, "", Key::Tokens, 0, ""},
};
ArrayRef<Key> configurationKeys() { return keys; }

/// The largest integer that a key may be. A module says each layer, and the deepest known have a thousand.
static int64_t mostOf(const Key &key) { return StringRef(key.name).ends_with("layers") ? 1'000 : 10'000'000; }

static SmallVector<StringRef> wordsOf(const Key &key) {
  SmallVector<StringRef> words;
  StringRef(key.choices).split(words, '|', -1, /*KeepEmpty=*/false);
  return words;
}

static bool admitsReal(const Key &key, double value) {
  // As f32, in which a step takes it.
  float single = static_cast<float>(value);
  return value >= 0 && (key.type == Key::Rate ? single < 1 : std::isfinite(single));
}

std::string Key::expected() const {
  std::string words = llvm::join(wordsOf(*this), ", ");
  switch (type) {
  case Integer:
    return "a number from " + std::to_string(least) + " to " + std::to_string(mostOf(*this)) +
           (words.empty() ? "" : ", or " + words);
  case Number:
    return "a number that is not negative";
  case Rate:
    return "at least 0 and less than 1";
  case Choice:
    return "one of " + words;
  case Tokens:
    return "token ids with + between them";
  }
  return "";
}

bool Key::admits(StringRef text) const {
  if (llvm::is_contained(wordsOf(*this), text))
    return true;
  int64_t integer;
  double real;
  if (type == Tokens)
    return llvm::all_of(llvm::split(text, '+'), [&](StringRef id) {
      return !id.getAsInteger(10, integer) && integer >= least && integer <= mostOf(*this);
    });
  if (type == Integer)
    return !text.getAsInteger(10, integer) && integer >= least && integer <= mostOf(*this);
  return (type == Number || type == Rate) && !text.getAsDouble(real) && admitsReal(*this, real);
}

bool Key::admits(Attribute value) const {
  if (auto word = dyn_cast<StringAttr>(value))
    return llvm::is_contained(wordsOf(*this), word.getValue());
  if (auto boolean = dyn_cast<BoolAttr>(value))
    return llvm::is_contained(wordsOf(*this), boolean.getValue() ? "true" : "false");
  if (auto integer = dyn_cast<IntegerAttr>(value))
    return type != Choice && type != Tokens && admits(llvm::toString(integer.getValue(), 10, /*Signed=*/true));
  if (auto ids = dyn_cast<DenseI64ArrayAttr>(value))
    return type == Tokens && !ids.empty() &&
           llvm::all_of(ids.asArrayRef(), [&](int64_t id) { return id >= least && id <= mostOf(*this); });
  auto real = dyn_cast<FloatAttr>(value);
  return real && (type == Number || type == Rate) && admitsReal(*this, real.getValueAsDouble());
}
} // namespace mlir::xf
