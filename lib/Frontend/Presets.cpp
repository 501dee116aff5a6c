//===- Presets.cpp - the paper's models by name ---------------------------===//
// A preset is a set of keys; its module is written as text, so that what --print-input shows is what is compiled.
//===----------------------------------------------------------------------===//
#include "xf/Frontend/Frontend.h"
#include "llvm/ADT/APFloat.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/FormatVariadic.h"
#include <limits>
#include <map>

namespace mlir::xf {
namespace {

struct Preset {
  const char *name, *description, *keys; // what differs from the paper's base
};
constexpr Preset presets[] = {
    {"transformer-base", "the paper's base model: 6+6 layers, d_model 512 (Vaswani et al. 2017, table 3)", ""},
    {"transformer-big", "the paper's big model: 6+6 layers, d_model 1024 (table 3)",
     "d_model=1024,d_ff=4096,heads=16,dropout=0.3"},
    {"transformer-multi30k", "for small corpora of words: 3+3 layers, d_model 256, vocabularies apart",
     "layers=3,d_model=256,d_ff=512,source_vocabulary=7853,target_vocabulary=5893,tied=false,bias=all,smoothing=0"},
    {"transformer-tiny", "the demo: 2+2 layers, d_model 128, trains in a minute",
     "layers=2,d_model=128,heads=4,d_ff=256,vocabulary=100,tied=false,bias=all,dropout=0,smoothing=0"},
};

/// A key, its value in the paper's base model, and what it may be: numbers from `least`, or one of `choices`.
struct Key {
  const char *name, *base;
  enum { Integer, Rate, Choice } type;
  int64_t least;
  const char *choices;
};
constexpr Key keys[] = {
    {"layers", "6", Key::Integer, 0, ""},
    {"d_model", "512", Key::Integer, 1, ""},
    {"heads", "8", Key::Integer, 1, ""},
    {"d_k", "", Key::Integer, 1, ""},
    {"d_v", "", Key::Integer, 1, ""},
    {"d_ff", "2048", Key::Integer, 1, ""},
    {"vocabulary", "37000", Key::Integer, 3, ""},
    {"source_vocabulary", "", Key::Integer, 3, ""},
    {"target_vocabulary", "", Key::Integer, 3, ""},
    {"tied", "true", Key::Choice, 0, "true|false"},
    {"bias", "feed_forward", Key::Choice, 0, "none|feed_forward|all"},
    {"positions", "sinusoidal", Key::Choice, 0, "sinusoidal|sinusoidal_halves|learned"},
    {"max_positions", "1024", Key::Integer, 1, ""},
    {"norm", "post", Key::Choice, 0, "post"},
    {"activation", "relu", Key::Choice, 0, "relu|gelu"},
    {"dropout", "0.1", Key::Rate, 0, ""},
    {"attention_dropout", "0.0", Key::Rate, 0, ""},
    {"activation_dropout", "0.0", Key::Rate, 0, ""},
    {"smoothing", "0.1", Key::Rate, 0, ""},
    {"window", "none", Key::Choice, 0, "none"},
};

template <typename Range> std::string nearest(StringRef name, const Range &candidates) {
  std::string best;
  unsigned distance = std::numeric_limits<unsigned>::max();
  for (const auto &candidate : candidates)
    if (unsigned d = name.edit_distance(candidate.name); d < distance) {
      distance = d;
      best = candidate.name;
    }
  return best;
}

/// A rate as MLIR reads numbers, however it was given (1e-3, +.5, 0x1p-2): digits, a point, digits.
std::string decimal(double rate) {
  SmallVector<char> digits;
  llvm::APFloat(rate).toString(digits, /*FormatPrecision=*/0, /*FormatMaxPadding=*/400);
  std::string text(digits.begin(), digits.end());
  return StringRef(text).contains('.') ? text : text + ".0";
}

class Configuration {
public:
  static llvm::Expected<Configuration> parse(StringRef specification) {
    Configuration result;
    SmallVector<StringRef> parts;
    specification.split(parts, ',');
    result.presetName = parts.front().str();
    const Preset *preset = llvm::find_if(presets, [&](const Preset &p) { return parts.front() == p.name; });
    if (preset == std::end(presets))
      return llvm::createStringError("unknown preset '" + parts.front().str() + "'; did you mean '" +
                                     nearest(parts.front(), presets) + "'? --list-presets lists them");
    for (const Key &key : keys)
      result.values[key.name] = key.base;
    SmallVector<StringRef> own;
    StringRef(preset->keys).split(own, ',', -1, /*KeepEmpty=*/false);
    for (StringRef part : own)
      if (llvm::Error error = result.set(part))
        return std::move(error);
    for (StringRef part : ArrayRef(parts).drop_front())
      if (llvm::Error error = result.set(part))
        return std::move(error);
    return result.finish();
  }

  int64_t number(StringRef key) const { return std::stoll(values.at(key.str())); }
  const std::string &text(StringRef key) const { return values.at(key.str()); }
  bool is(StringRef key, StringRef value) const { return values.at(key.str()) == value; }
  std::string presetName;
  std::map<std::string, std::string> values;

private:
  llvm::Error set(StringRef assignment) {
    auto [name, value] = assignment.split('=');
    const Key *key = llvm::find_if(keys, [&](const Key &k) { return name == k.name; });
    if (key == std::end(keys))
      return llvm::createStringError("unknown key '" + name.str() + "' of preset '" + presetName + "'; did you mean '" +
                                     nearest(name, keys) + "'?");
    auto wrong = [&](const std::string &expected) {
      return llvm::createStringError("expected key '" + name.str() + "' to be " + expected + ", but got '" +
                                     value.str() + "'");
    };
    int64_t integer;
    double rate;
    SmallVector<StringRef> choices;
    StringRef(key->choices).split(choices, '|');
    switch (key->type) {
    case Key::Integer:
      if (value.getAsInteger(10, integer) || integer < key->least || integer > 10'000'000)
        return wrong("a number from " + std::to_string(key->least) + " to 10000000");
      break;
    case Key::Rate:
      if (value.getAsDouble(rate) || !(rate >= 0 && static_cast<float>(rate) < 1))
        return wrong("at least 0 and less than 1");
      values[name.str()] = decimal(static_cast<float>(rate) == 0 ? 0 : rate);
      return llvm::Error::success();
    case Key::Choice:
      if (!llvm::is_contained(choices, value))
        return wrong(choices.size() == 1 ? "'" + choices[0].str() + "' (the only one supported)"
                                         : "one of " + llvm::join(choices, ", "));
    }
    values[name.str()] = value.str();
    return llvm::Error::success();
  }

  llvm::Expected<Configuration> finish() {
    for (const char *vocabulary : {"source_vocabulary", "target_vocabulary"})
      if (values[vocabulary].empty())
        values[vocabulary] = values["vocabulary"];
    if (is("tied", "true") && !is("source_vocabulary", text("target_vocabulary")))
      return llvm::createStringError(
          "expected equal vocabularies for tied embeddings, but got source_vocabulary=" + text("source_vocabulary") +
          " and target_vocabulary=" + text("target_vocabulary") + "; tied=false gives each its own");
    int64_t width = number("d_model"), heads = number("heads");
    for (const char *head : {"d_k", "d_v"})
      if (values[head].empty()) {
        if (width % heads != 0)
          return llvm::createStringError(
              llvm::formatv("expected d_model ({0}) to be a multiple of heads ({1}), or {2} to be given", width, heads,
                            head)
                  .str());
        values[head] = std::to_string(width / heads);
      }
    if (is("positions", "sinusoidal_halves") && (width % 2 != 0 || width < 4))
      return llvm::createStringError(
          "expected d_model to be even and at least 4 for sinusoidal positions in halves, but got " +
          std::to_string(width));
    return *this;
  }
};

/// Writes the module of a sequence-to-sequence Transformer.
class Writer {
public:
  explicit Writer(const Configuration &c) : c(c), x(llvm::formatv("tensor<?x{0}xf32>", c.number("d_model")).str()) {}

  std::string write() {
    line("// " + c.presetName + ": sequence to sequence, post-norm (Vaswani et al. 2017)");
    line("module @" + llvm::join(llvm::split(c.presetName, '-'), "_") +
         " attributes {xf.kind = \"sequence_to_sequence\", xf.config = {" + configuration() + "}} {");
    if (c.number("layers") > 0) {
      writeEncoderLayer();
      writeDecoderLayer();
    }
    writeModel();
    line("}");
    return text;
  }

private:
  void line(const llvm::Twine &content) { text += content.str() + "\n"; }

  std::string configuration() {
    std::vector<std::string> entries{"preset = \"" + c.presetName + "\""};
    for (const Key &key : keys) {
      const std::string &value = c.text(key.name);
      bool boolean = value == "true" || value == "false";
      std::string attribute = key.type == Key::Integer ? value + " : i64"
                              : key.type == Key::Rate  ? value + " : f64"
                              : boolean                ? value
                                                       : "\"" + value + "\"";
      entries.push_back(std::string(key.name) + " = " + attribute);
    }
    return llvm::join(entries, ", ");
  }

  std::string dropout(StringRef key = "dropout") { return c.is(key, "0.0") ? "" : " dropout(" + c.text(key) + ")"; }

  std::string attention(StringRef name, StringRef query, StringRef key, StringRef queryOffsets, StringRef keyOffsets,
                        bool causal) {
    return llvm::formatv("xf.multi_head_attention \"{0}\" ({1}, {2}, {2}) offsets({3}, {4}) heads({5}) head_dims({6}, "
                         "{7}){8}{9}{10} : ({11}, {11}, {11}, {12}, {12}) -> {11}",
                         name, query, key, queryOffsets, keyOffsets, c.number("heads"), c.number("d_k"),
                         c.number("d_v"), causal ? " causal" : "", c.is("bias", "all") ? " bias" : "",
                         dropout("attention_dropout"), x, ids)
        .str();
  }
  std::string addNorm(StringRef name, StringRef before, StringRef sublayer) {
    return llvm::formatv("xf.add_norm \"{0}\" ({1}, {2}){3} : ({4}, {4}) -> {4}", name, before, sublayer, dropout(), x)
        .str();
  }
  std::string feedForward(StringRef input) {
    return llvm::formatv("xf.feed_forward \"feed_forward\" ({0}) hidden({1}) {2}{3}{4} : ({5}) -> {5}", input,
                         c.number("d_ff"), c.text("activation"), c.is("bias", "none") ? "" : " bias",
                         dropout("activation_dropout"), x)
        .str();
  }

  void writeEncoderLayer() {
    line("  // Self-attention and feed-forward, each LayerNorm(x + Dropout(Sublayer(x)))");
    line("  func.func private @encoder_layer(%x: " + x + ", %offsets: " + ids + ") -> " + x + " {");
    line("    %a = " + attention("attention", "%x", "%x", "%offsets", "%offsets", false));
    line("    %b = " + addNorm("attention_norm", "%x", "%a"));
    line("    %f = " + feedForward("%b"));
    line("    %y = " + addNorm("feed_forward_norm", "%b", "%f"));
    line("    return %y : " + x);
    line("  }");
  }

  void writeDecoderLayer() {
    line("  func.func private @decoder_layer(%x: " + x + ", %memory: " + x + ", %offsets: " + ids +
         ", %memory_offsets: " + ids + ") -> " + x + " {");
    line("    %a = " + attention("attention", "%x", "%x", "%offsets", "%offsets", true));
    line("    %b = " + addNorm("attention_norm", "%x", "%a"));
    line("    %c = " + attention("cross_attention", "%b", "%memory", "%offsets", "%memory_offsets", false));
    line("    %d = " + addNorm("cross_attention_norm", "%b", "%c"));
    line("    %f = " + feedForward("%d"));
    line("    %y = " + addNorm("feed_forward_norm", "%d", "%f"));
    line("    return %y : " + x);
    line("  }");
  }

  std::string embed(StringRef side, StringRef tokens, StringRef offsets) {
    bool tied = c.is("tied", "true");
    std::string positions = c.text("positions");
    if (positions == "learned")
      positions += llvm::formatv(", \"{0}_positions\", {1}", side, c.number("max_positions")).str();
    // Tables of their own begin like every other matrix; one that is the projection too begins small.
    StringRef init = tied ? "" : " init(xavier_uniform)";
    return llvm::formatv("xf.embed \"{0}\" ({1}, {2}) vocabulary({3}) positions({4}){5}{6} : ({7}, {7}) -> {8}",
                         tied ? "embedding" : (side + "_embedding").str(), tokens, offsets,
                         c.text((side + "_vocabulary").str()), positions, init, dropout(), ids, x)
        .str();
  }

  void writeModel() {
    auto argument = [&](StringRef name, StringRef dim) {
      return llvm::formatv("%{0}: {1} {{xf.name = \"{0}\", xf.dims = [\"{2}\"]}", name, ids, dim).str();
    };
    std::string logits = llvm::formatv("tensor<?x{0}xf32>", c.text("target_vocabulary")).str(), rows = "tensor<?xf32>";
    line("  func.func @model(" + argument("source_ids", "source_tokens") + ",");
    line("                   " + argument("source_offsets", "source_offsets") + ",");
    line("                   " + argument("target_ids", "target_tokens") + ",");
    line("                   " + argument("target_offsets", "target_offsets") + ",");
    line("                   " + argument("labels", "target_tokens") + ")");
    line("      -> (tensor<f32> {xf.name = \"loss\"}, " + rows + " {xf.name = \"token_nll\"}) attributes {xf.entry} {");
    line("    %x0 = " + embed("source", "%source_ids", "%source_offsets"));
    int64_t layers = c.number("layers");
    for (int64_t i = 0; i < layers; ++i)
      line(llvm::formatv(
               "    %x{0} = xf.apply @encoder_layer as \"encoder.{1}\" (%x{1}, %source_offsets) : ({2}, {3}) -> {2}",
               i + 1, i, x, ids)
               .str());
    line("    %y0 = " + embed("target", "%target_ids", "%target_offsets"));
    for (int64_t i = 0; i < layers; ++i)
      line(llvm::formatv("    %y{0} = xf.apply @decoder_layer as \"decoder.{1}\" (%y{1}, %x{2}, %target_offsets, "
                         "%source_offsets) : ({3}, {3}, {4}, {4}) -> {3}",
                         i + 1, i, layers, x, ids)
               .str());
    bool tied = c.is("tied", "true");
    line(llvm::formatv("    %logits = xf.project \"{0}\" (%y{1}){2} : ({3}) -> {4}", tied ? "embedding" : "projection",
                       layers, !tied && c.is("bias", "all") ? " bias" : "", x, logits)
             .str());
    line(llvm::formatv("    %token_loss, %token_nll, %log_sum_exp = xf.cross_entropy %logits, %labels smoothing({0}) "
                       ": ({1}, {2}) -> ({3}, {3}, {3})",
                       c.text("smoothing"), logits, ids, rows)
             .str());
    line("    %loss = xf.mean %token_loss : (" + rows + ") -> tensor<f32>");
    line("    return %loss, %token_nll : tensor<f32>, " + rows);
    line("  }");
  }

  const Configuration &c;
  std::string x, ids = "tensor<?xi32>", text;
};
} // namespace

llvm::Expected<std::string> presetText(StringRef specification) {
  llvm::Expected<Configuration> configuration = Configuration::parse(specification);
  if (!configuration)
    return configuration.takeError();
  return Writer(*configuration).write();
}

std::string listPresets() {
  std::string text;
  for (const Preset &preset : presets)
    text += llvm::formatv("{0,-22} {1}\n", preset.name, preset.description).str();
  text += "keys:";
  for (const Key &key : keys)
    text += " " + std::string(key.name);
  return text + "\n";
}
} // namespace mlir::xf
