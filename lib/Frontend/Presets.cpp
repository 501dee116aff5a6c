//===- Presets.cpp - the paper's models by name ---------------------------===//
// A preset is a set of keys; its module is written as text, so that what --print-input shows is what is compiled.
//===----------------------------------------------------------------------===//
#include "xf/Dialect/XF/IR/Configuration.h"
#include "xf/Frontend/Frontend.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include <charconv>
#include <map>

namespace mlir::xf {
namespace {

using Key = ConfigurationKey;

struct Preset {
  const char *name, *description;
  ModelKind kind;
  const char *keys; // what differs from the kind's own
};
constexpr Preset presets[] = {
    {"transformer-base", "the paper's base model: 6+6 layers, d_model 512 (Vaswani et al. 2017, table 3)", Pairs, ""},
    {"transformer-big", "the paper's big model: 6+6 layers, d_model 1024 (table 3)", Pairs,
     "d_model=1024,d_ff=4096,heads=16,dropout=0.3"},
    {"transformer-big-en-fr", "the paper's big model as trained on English-French, with dropout 0.1 (5.4)", Pairs,
     "d_model=1024,d_ff=4096,heads=16,dropout=0.1,vocabulary=32000"},
    {"transformer-base-a1", "base, row (A) of table 3: 1 head, d_k = d_v = 512", Pairs, "heads=1"},
    {"transformer-base-a2", "base, row (A): 4 heads, d_k = d_v = 128", Pairs, "heads=4"},
    {"transformer-base-a3", "base, row (A): 16 heads, d_k = d_v = 32", Pairs, "heads=16"},
    {"transformer-base-a4", "base, row (A): 32 heads, d_k = d_v = 16", Pairs, "heads=32"},
    {"transformer-base-b1", "base, row (B): d_k 16", Pairs, "d_k=16"},
    {"transformer-base-b2", "base, row (B): d_k 32", Pairs, "d_k=32"},
    {"transformer-base-c1", "base, row (C): 2+2 layers", Pairs, "layers=2"},
    {"transformer-base-c2", "base, row (C): 4+4 layers", Pairs, "layers=4"},
    {"transformer-base-c3", "base, row (C): 8+8 layers", Pairs, "layers=8"},
    {"transformer-base-c4", "base, row (C): d_model 256, d_k = d_v = 32", Pairs, "d_model=256"},
    {"transformer-base-c5", "base, row (C): d_model 1024, d_k = d_v = 128", Pairs, "d_model=1024"},
    {"transformer-base-c6", "base, row (C): d_ff 1024", Pairs, "d_ff=1024"},
    {"transformer-base-c7", "base, row (C): d_ff 4096", Pairs, "d_ff=4096"},
    {"transformer-base-d1", "base, row (D): no dropout", Pairs, "dropout=0"},
    {"transformer-base-d2", "base, row (D): dropout 0.2", Pairs, "dropout=0.2"},
    {"transformer-base-d3", "base, row (D): no label smoothing", Pairs, "smoothing=0"},
    {"transformer-base-d4", "base, row (D): label smoothing 0.2", Pairs, "smoothing=0.2"},
    {"transformer-base-e", "base, row (E): learned positions", Pairs, "positions=learned"},
    {"transformer-parsing", "the paper's constituency parser: 4+4 layers, d_model 1024 (6.3)", Pairs,
     "layers=4,d_model=1024,dropout=0.2,attention_dropout=0.2,vocabulary=16000,tied=false,warmup=16000,"
     "beam=21,length_penalty=0.3,extra_length=300"},
    {"transformer-t2t-v3", "tensor2tensor's transformer_base_v3: pre-norm, dropout in attention and feed-forward",
     Pairs,
     "norm=pre,norm_epsilon=1e-6,positions=sinusoidal_halves,attention_dropout=0.1,activation_dropout=0.1,"
     "learning_rate=2,warmup=8000,beta2=0.997"},
    {"transformer-d2l", "the model of d2l.ai's chapter: 2+2 layers, d_model 256, vocabularies apart", Pairs,
     "layers=2,d_model=256,d_ff=64,heads=4,dropout=0.2,attention_dropout=0.2,smoothing=0,tied=false,"
     "projection_bias=true,init=torch,vocabulary=200,learning_rate=0.001,schedule=constant,warmup=0,clip_norm=1,beta2="
     "0.999,"
     "epsilon=1e-8"},
    {"transformer-multi30k", "for small corpora of words: 3+3 layers, d_model 256, vocabularies apart", Pairs,
     "layers=3,d_model=256,d_ff=512,source_vocabulary=7853,target_vocabulary=5893,tied=false,bias=all,smoothing=0"},
    {"transformer-tiny", "the demo: 2+2 layers, d_model 128, trains in a minute", Pairs,
     "layers=2,d_model=128,heads=4,d_ff=256,vocabulary=100,tied=false,bias=all,dropout=0,smoothing=0"},
    {"transformer-char-lm", "a language model of characters: 4 layers, d_model 128, context 64", Language,
     "layers=4,d_model=128,heads=4,d_ff=512,vocabulary=65,max_positions=64,dropout=0,"
     "learning_rate=0.5,warmup=200,clip_norm=1"},
    {"gpt2-small", "a language model of GPT-2's smallest shape: 12 layers, d_model 768 (Radford et al. 2019)", Language,
     "layers=12,d_model=768,heads=12,d_ff=3072,vocabulary=50257,attention_dropout=0.1"},
    {"llama-110m", "a language model of Llama's kind: 12 layers, d_model 768 (Touvron et al. 2023)", Language,
     "layers=12,d_model=768,heads=12,d_ff=2048,vocabulary=32000,positions=rotary,normalization=rms,activation=silu,"
     "gated=true,bias=none,dropout=0"},
    {"transformer-encoder", "vectors of sentences, of MiniLM's shape: 6 layers, d_model 384 (Wang et al. 2020)",
     Encoder, "layers=6,d_model=384,heads=12,d_ff=1536,vocabulary=30522,max_positions=512"},
    {"transformer-classifier", "classes of texts by an encoder: 2 layers, d_model 128, trains in minutes", Classifier,
     "layers=2,d_model=128,heads=4,d_ff=512,vocabulary=8000,max_positions=512"},
};

/// What a kind of model is called, and the keys in which it differs from the paper's.
struct KindOf {
  const char *title, *keys;
};
KindOf kindOf(ModelKind kind) {
  if (kind == Pairs)
    return {"sequence to sequence", ""};
  if (kind == Encoder) // BERT's
    return {"encoder", "positions=learned,scale_embedding=false,bias=all,activation=gelu,norm_epsilon=1e-12"};
  if (kind == Classifier)
    return {"classifier", "positions=learned,scale_embedding=false,bias=all,activation=gelu,norm_epsilon=1e-12,"
                          "smoothing=0,learning_rate=0.001,schedule=constant,warmup=100,clip_norm=1"};
  return {"language model", // GPT-2's
          "norm=pre,positions=learned,scale_embedding=false,bias=all,activation=gelu,smoothing=0"};
}

/// What other projects call a key.
constexpr std::pair<const char *, const char *> otherNames[] = {
    {"hidden_size", "d_model"},
    {"num_hiddens", "d_model"},
    {"n_embd", "d_model"},
    {"num_layers", "layers"},
    {"num_hidden_layers", "layers"},
    {"num_blks", "layers"},
    {"n_layer", "layers"},
    {"num_heads", "heads"},
    {"num_attention_heads", "heads"},
    {"n_head", "heads"},
    {"nhead", "heads"},
    {"num_key_value_heads", "key_value_heads"},
    {"num_kv_heads", "key_value_heads"},
    {"n_kv_heads", "key_value_heads"},
    {"num_query_groups", "key_value_heads"},
    {"intermediate_size", "d_ff"},
    {"dim_feedforward", "d_ff"},
    {"ffn_num_hiddens", "d_ff"},
    {"filter_size", "d_ff"},
    {"n_inner", "d_ff"},
    {"vocab_size", "vocabulary"},
    {"label_smoothing", "smoothing"},
    {"layer_norm_eps", "norm_epsilon"},
    {"layer_norm_epsilon", "norm_epsilon"},
    {"rms_norm_eps", "norm_epsilon"},
    {"norm_type", "normalization"},
    {"qk_layernorm", "qk_norm"},
    {"use_qk_norm", "qk_norm"},
    {"hidden_act", "activation"},
    {"activation_function", "activation"},
    {"rotary_emb_base", "rope_theta"},
    {"rope_scaling", "rope_factor"},
    {"original_max_position_embeddings", "rope_original_positions"},
    {"low_freq_factor", "rope_low_factor"},
    {"high_freq_factor", "rope_high_factor"},
    {"norm_first", "norm"},
    {"max_position_embeddings", "max_positions"},
    {"n_positions", "max_positions"},
    {"hidden_dropout_prob", "dropout"},
    {"lr", "learning_rate"},
};

/// What may have been meant by a name that is none of the candidates; else all of them.
template <typename Range> std::string meant(StringRef name, const Range &candidates) {
  SmallVector<StringRef> names = llvm::map_to_vector(candidates, [](const auto &each) { return StringRef(each.name); });
  auto other = llvm::find_if(otherNames, [&](const auto &pair) { return name == pair.first; });
  StringRef best = *llvm::min_element(
      names, [&](StringRef a, StringRef b) { return name.edit_distance(a) < name.edit_distance(b); });
  if (other != std::end(otherNames) && llvm::is_contained(names, StringRef(other->second)))
    best = other->second;
  else if (2 * name.edit_distance(best) > name.size())
    return "expected one of " + llvm::join(names, ", ");
  return ("did you mean '" + best + "'?").str();
}

/// A rate as MLIR reads numbers, however it was given (1e-3, +.5, 0x1p-2): digits, a point, digits, an exponent if that
/// is shorter.
std::string decimal(double rate) {
  char digits[32];
  std::string text(digits, std::to_chars(std::begin(digits), std::end(digits), rate).ptr);
  size_t exponent = std::min(text.find('e'), text.size());
  return StringRef(text).contains('.') ? text : text.insert(exponent, ".0");
}

/// The keys of a preset, or of another source of models.
class Configuration {
public:
  static llvm::Expected<Configuration> parse(StringRef specification) {
    auto [name, given] = specification.split(',');
    const Preset *preset = llvm::find_if(presets, [&](const Preset &p) { return name == p.name; });
    if (preset == std::end(presets))
      return llvm::createStringError("unknown preset '" + name.str() + "'; " + meant(name, presets));
    Configuration result(preset->kind, preset->name, "preset '" + name.str() + "'", {"preset", preset->name});
    if (llvm::Error error = result.setAll(preset->keys))
      return std::move(error);
    if (specification.size() > name.size())
      if (llvm::Error error = result.setAll(given))
        return std::move(error);
    return result.finish();
  }
  static llvm::Expected<Configuration> of(const ModelKeys &model) {
    Configuration result(model.kind, model.name, model.origin, {"hugging_face", model.architecture});
    for (const std::string &key : model.keys)
      if (llvm::Error error = result.set(key))
        return std::move(error);
    return result.finish();
  }

  int64_t number(StringRef key) const { return std::stoll(values.at(key.str())); }
  const std::string &text(StringRef key) const { return values.at(key.str()); }
  bool is(StringRef key, StringRef value) const { return values.at(key.str()) == value; }
  ModelKind kind;
  std::string name, origin;                     // of the module; what messages say the keys are of
  std::pair<std::string, std::string> madeFrom; // what the module's keys say of it
  std::vector<Key> known;                       // of this kind of model
  std::map<std::string, std::string> values;

private:
  Configuration(ModelKind kind, std::string name, std::string origin, std::pair<std::string, std::string> madeFrom)
      : kind(kind), name(std::move(name)), origin(std::move(origin)), madeFrom(std::move(madeFrom)) {
    for (const Key &key : configurationKeys())
      if (key.kinds & kind)
        known.push_back(key);
    for (const Key &key : known)
      values[key.name] = key.base;
    llvm::cantFail(setAll(kindOf(kind).keys));
  }

  llvm::Error setAll(StringRef assignments) {
    SmallVector<StringRef> parts;
    if (!assignments.empty())
      assignments.split(parts, ',');
    for (StringRef part : parts)
      if (llvm::Error error = set(part))
        return error;
    return llvm::Error::success();
  }
  llvm::Error set(StringRef assignment) {
    auto [name, value] = assignment.split('=');
    auto key = llvm::find_if(known, [&](const Key &k) { return name == k.name; });
    if (key == known.end())
      return llvm::createStringError("unknown key '" + name.str() + "' of " + origin + "; " + meant(name, known));
    if (!key->admits(value))
      return llvm::createStringError("expected key '" + name.str() + "' to be " + key->expected() + ", but got '" +
                                     value.str() + "'");
    double real;
    bool isReal = key->type == Key::Number || key->type == Key::Rate;
    if (!isReal || value.getAsDouble(real))
      values[name.str()] = value.str();
    else
      values[name.str()] = decimal(key->type == Key::Rate && static_cast<float>(real) == 0 ? 0 : real);
    return llvm::Error::success();
  }

  llvm::Error checkRotary() {
    if (number("d_k") % 2 != 0)
      return llvm::createStringError("expected d_k to be even for rotary positions, but got " + text("d_k"));
    for (const char *key : {"rope_theta", "rope_factor"})
      if (!(std::stod(text(key)) > 0))
        return llvm::createStringError(
            llvm::formatv("expected {0} to be greater than 0, but got {1}", key, text(key)).str());
    double low = std::stod(text("rope_low_factor")), high = std::stod(text("rope_high_factor"));
    if (is("rope_original_positions", "none") || (low > 0 && low < high))
      return llvm::Error::success();
    return llvm::createStringError("expected rope_low_factor to be greater than 0 and less than rope_high_factor (" +
                                   text("rope_high_factor") + "), but got " + text("rope_low_factor"));
  }

  llvm::Expected<Configuration> finish() {
    for (const char *vocabulary : {"source_vocabulary", "target_vocabulary"})
      if (auto it = values.find(vocabulary); it != values.end() && it->second.empty())
        it->second = values["vocabulary"];
    if (kind == Language && !is("tied", "true") && !is("tied", "false"))
      return llvm::createStringError("expected tied to be true or false in a language model, which has one embedding, "
                                     "but got " +
                                     text("tied"));
    if (kind == Pairs && (is("tied", "true") || is("tied", "embeddings")) &&
        !is("source_vocabulary", text("target_vocabulary")))
      return llvm::createStringError(
          "expected equal vocabularies for tied embeddings, but got source_vocabulary=" + text("source_vocabulary") +
          " and target_vocabulary=" + text("target_vocabulary") + "; tied=false gives each its own");
    // The output has one where all layers do, if its weight is its own.
    if (auto bias = values.find("projection_bias"); bias != values.end() && bias->second.empty())
      bias->second = is("bias", "all") && (is("tied", "false") || is("tied", "embeddings")) ? "true" : "false";
    if (number("first_position") != 0 && !StringRef(text("positions")).starts_with("sinusoidal"))
      return llvm::createStringError("expected positions that count from first_position=" + text("first_position") +
                                     " to be sinusoidal, but got positions=" + text("positions"));
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
    if (values["key_value_heads"].empty())
      values["key_value_heads"] = std::to_string(heads);
    if (heads % number("key_value_heads") != 0)
      return llvm::createStringError("expected key_value_heads to divide heads (" + std::to_string(heads) +
                                     "), but got " + text("key_value_heads"));
    if (is("positions", "sinusoidal_halves") && (width % 2 != 0 || width < 4))
      return llvm::createStringError(
          "expected d_model to be even and at least 4 for sinusoidal positions in halves, but got " +
          std::to_string(width));
    if (is("positions", "rotary"))
      if (llvm::Error error = checkRotary())
        return std::move(error);
    return *this;
  }
};

/// Writes the module of a Transformer.
class Writer {
public:
  explicit Writer(const Configuration &c)
      : c(c), x(llvm::formatv("tensor<?x{0}xf32>", c.number("d_model")).str()), preNorm(c.is("norm", "pre")) {}

  std::string write() {
    KindOf kind = kindOf(c.kind);
    line("// " + c.name + ": " + kind.title + (preNorm ? ", pre-norm" : ", post-norm") +
         (c.kind == Pairs ? " (Vaswani et al. 2017)" : ""));
    line("module @" + llvm::join(llvm::split(c.name, '-'), "_") + " attributes {xf.kind = \"" + nameOf(c.kind).str() +
         "\", xf.config = {" + configuration() + "}} {");
    for (const char *side : {"encoder", "decoder"})
      if ((StringRef(side) == "encoder" ? c.kind != Language : c.kind & (Pairs | Language)) &&
          layersOf(side) > int64_t(endsInFirst()))
        writeLayer(side);
    if (endsInFirst())
      writeLastLayer();
    writeModel();
    line("}");
    return text;
  }

private:
  void line(const llvm::Twine &content) { text += content.str() + "\n"; }

  std::string configuration() {
    std::vector<std::string> entries{c.madeFrom.first + " = \"" + c.madeFrom.second + "\""};
    for (const Key &key : c.known) {
      const std::string &value = c.text(key.name);
      if (value.empty())
        continue;
      bool boolean = value == "true" || value == "false";
      bool word = llvm::is_contained(llvm::split(key.choices, '|'), value);
      std::string attribute = key.type == Key::Integer && !word ? value + " : i64"
                              : key.type == Key::Tokens
                                  ? "array<i64: " + llvm::join(llvm::split(value, '+'), ", ") + ">"
                              : key.type == Key::Rate || key.type == Key::Number ? value + " : f64"
                              : boolean                                          ? value
                                                                                 : "\"" + value + "\"";
      entries.push_back(std::string(key.name) + " = " + attribute);
    }
    return llvm::join(entries, ", ");
  }

  std::string dropout(StringRef key = "dropout") {
    return c.kind == Encoder || c.is(key, "0.0") ? "" : " dropout(" + c.text(key) + ")"; // an encoder does not train
  }
  /// A decoder has as many as the encoder, where nothing else is said.
  int64_t layersOf(StringRef side) {
    bool isOwn = side == "decoder" && c.kind == Pairs && !c.is("decoder_layers", "");
    return c.number(isOwn ? "decoder_layers" : "layers");
  }
  bool rms() { return c.is("normalization", "rms"); }
  /// Of a norm: which one, and its epsilon.
  std::string epsilon() {
    return std::string(rms() ? " rms" : "") +
           (c.is("norm_epsilon", "1.0e-05") ? "" : " epsilon(" + c.text("norm_epsilon") + ")");
  }

  /// What tokens see of their own sequence, and by which angles they do.
  std::string selfMasks(bool causal) {
    return std::string(causal ? " causal" : "") + (c.is("window", "none") ? "" : " window(" + c.text("window") + ")") +
           (rotary() ? " rotary(%angles)" : "");
  }
  bool relative() { return c.is("positions", "relative"); }
  bool rotary() { return c.is("positions", "rotary"); }
  /// What all layers of a side are given beside its tokens' states, and of which type; "" where there is nothing.
  std::pair<std::string, std::string> sharedOf(bool causal) {
    if (relative())
      return {"biases", biases(causal)};
    return {rotary() ? "angles" : "", llvm::formatv("tensor<?x{0}xf32>", c.number("d_k")).str()};
  }
  bool shares(bool causal) { return !sharedOf(causal).first.empty(); }
  /// The biases of a side's distances: as far back as they go, and where tokens see ahead, as far ahead.
  std::string biases(bool causal) {
    return llvm::formatv("tensor<{0}x{1}xf32>", c.number("heads"), c.number("max_distance") * (causal ? 1 : 2) + 1)
        .str();
  }
  /// The score region of an attention, where any key asks for one: to other sequences there is no distance.
  std::string score(bool self, bool causal) {
    bool caps = !c.is("soft_cap", "0.0"), alibi = self && c.is("positions", "alibi"), biased = self && relative();
    if (!caps && !alibi && !biased)
      return "";
    std::string lines, score = "%score";
    auto add = [&](const llvm::Twine &text) { lines += "      " + text.str() + "\n"; };
    auto digits = [](double value) {
      std::string text;
      llvm::raw_string_ostream(text) << llvm::format("%.9e", value);
      return text;
    };
    if (caps) { // Gemma 2
      add("%cap = arith.constant " + c.text("soft_cap") + " : f32");
      add("%inverse = arith.constant " + digits(1 / std::stod(c.text("soft_cap"))) + " : f32");
      add("%ratio = arith.mulf %score, %inverse : f32");
      add("%bounded = math.tanh %ratio : f32");
      add("%capped = arith.mulf %bounded, %cap : f32");
      score = "%capped";
    }
    if (alibi || biased)
      add("%distance = arith.subi %key, %query : index");
    if (alibi) {
      // Press et al. 2022: 2^(-8 (head + 1) / heads) for powers of two; with other numbers of heads the rest takes
      // every other slope of the next power.
      int64_t heads = c.number("heads"), power = llvm::bit_floor(static_cast<uint64_t>(heads));
      add("%h = arith.index_cast %head : index to i32");
      add("%number = arith.sitofp %h : i32 to f32");
      add("%step = arith.constant " + digits(-8.0 / power) + " : f32");
      add("%product = arith.mulf %number, %step : f32");
      add("%exponent = arith.addf %product, %step : f32");
      if (power == heads) {
        add("%slope = math.exp2 %exponent : f32");
      } else {
        add(llvm::formatv("%rest = arith.constant {0} : f32", digits((8.0 * power - 4) / power)).str());
        add("%shifted = arith.addf %product, %rest : f32");
        add(llvm::formatv("%power = arith.constant {0} : index", power).str());
        add("%isRegular = arith.cmpi slt, %head, %power : index");
        add("%chosen = arith.select %isRegular, %exponent, %shifted : f32");
        add("%slope = math.exp2 %chosen : f32");
      }
      add("%d = arith.index_cast %distance : index to i32");
      add("%real = arith.sitofp %d : i32 to f32");
      add("%far = math.absf %real : f32");
      add("%bias = arith.mulf %far, %slope : f32");
      add("%biased = arith.subf " + score + ", %bias : f32");
      score = "%biased";
    }
    if (biased) {
      add(llvm::formatv("%farthest = arith.constant {0} : index", c.number("max_distance")).str());
      add("%place = arith.addi %distance, %farthest : index");
      add("%bias = tensor.extract %biases[%head, %place] : " + biases(causal));
      add("%biased = arith.addf " + score + ", %bias : f32");
      score = "%biased";
    }
    return std::string(" score") + (biased ? "(%biases)" : "") +
           " {\n    ^bb0(%score: f32, %head: index, %query: index, %key: index" +
           (biased ? ", %biases: " + biases(causal) : "") + "):\n" + lines + "      xf.yield " + score +
           " : f32\n    }";
  }
  /// Where they are not as many as heads.
  std::string keyValueHeads() {
    return c.number("key_value_heads") == c.number("heads") ? ""
                                                            : " key_value_heads(" + c.text("key_value_heads") + ")";
  }
  bool hasBias(StringRef sublayer) { return c.is("bias", "all") || c.is("bias", sublayer); }
  std::string attention(StringRef name, StringRef query, StringRef key, StringRef keyOffsets, bool self, bool causal) {
    return llvm::formatv("xf.multi_head_attention \"{0}\" ({1}, {2}, {2}) offsets(%offsets, {3}) heads({4}){14} "
                         "head_dims({5}, {6}){7}{15}{8}{9}{12} : ({10}, {10}, {10}, {11}, {11}{13}) -> {10}",
                         name, query, key, keyOffsets, c.number("heads"), c.number("d_k"), c.number("d_v"),
                         self ? selfMasks(causal) : "", hasBias("attention") ? " bias" : "",
                         dropout("attention_dropout"), x, ids, score(self, causal),
                         self && shares(causal) ? ", " + sharedOf(causal).second : "", keyValueHeads(),
                         c.is("qk_norm", "true") ? " qk_norm" + epsilon() : "")
        .str();
  }
  std::string feedForward(StringRef input) {
    return llvm::formatv("xf.feed_forward \"feed_forward\" ({0}) hidden({1}) {2}{6}{3}{4} : ({5}) -> {5}", input,
                         c.number("d_ff"), c.text("activation"), hasBias("feed_forward") ? " bias" : "",
                         dropout("activation_dropout"), x, c.is("gated", "true") ? " gated" : "")
        .str();
  }
  std::string norm(StringRef name, StringRef input) {
    return llvm::formatv("xf.norm \"{0}\" ({1}){2} : ({3}) -> {3}", name, input, epsilon(), x).str();
  }

  /// `sublayer` of the layer's input, or of its norm, and what makes the sublayer's output of both. Values are named by
  /// a letter each.
  void writeSublayer(StringRef name, char input, char sublayer, char output,
                     function_ref<std::string(StringRef)> operation) {
    std::string from = std::string("%") + input;
    if (preNorm) {
      std::string normed = from + "n";
      line("    " + normed + " = " + norm((name + "_norm").str(), from));
      line(llvm::Twine("    %") + llvm::Twine(sublayer) + " = " + operation(normed));
    } else {
      line(llvm::Twine("    %") + llvm::Twine(sublayer) + " = " + operation(from));
    }
    line(llvm::formatv("    %{0} = xf.{1} \"{2}_{3}\" ({4}, %{5}){6}{7} : ({8}, {8}) -> {8}", output,
                       preNorm ? "residual" : "add_norm", name, preNorm ? "residual" : "norm", from, sublayer,
                       dropout(), preNorm ? "" : epsilon(), x)
             .str());
  }

  /// Where a text's first token alone is looked at, the last layer is computed of that one, unless what it sees depends
  /// on where it stands: a query without the others counts as the last of its text.
  bool endsInFirst() {
    bool isPlaced = !c.is("window", "none") || rotary() || relative() || c.is("positions", "alibi");
    return c.kind == Classifier && c.is("pooling", "first") && !isPlaced && layersOf("encoder");
  }

  void writeLastLayer() {
    line("  // The last layer, of each text's first token, which attends to all of them");
    line("  func.func private @last_encoder_layer(%x: " + x + ", %texts: " + x + ", %offsets: " + ids +
         ", %text_offsets: " + ids + ") -> " + x + " {");
    std::string key = preNorm ? "%textsn" : "%texts";
    if (preNorm)
      line("    " + key + " = " + norm("attention_norm", "%texts"));
    writeSublayer("attention", 'x', 'a', 'b', [&](StringRef input) {
      return attention("attention", input, key, "%text_offsets", /*self=*/true, /*causal=*/false);
    });
    writeSublayer("feed_forward", 'b', 'f', 'y', [&](StringRef input) { return feedForward(input); });
    line("    return %y : " + x);
    line("  }");
  }

  void writeLayer(StringRef side) {
    bool causal = side == "decoder", cross = causal && c.kind == Pairs;
    auto [name, type] = sharedOf(causal);
    if (relative())
      line("  xf.param @" + side + ".relative_bias.weight : " + biases(causal) + " zeros(0.0)");
    std::string norm = rms() ? "RMSNorm" : "LayerNorm";
    if (!cross)
      line(llvm::Twine("  // Self-attention and feed-forward, each ") +
           (preNorm ? "x + Dropout(Sublayer(" + norm + "(x)))" : norm + "(x + Dropout(Sublayer(x)))"));
    line("  func.func private @" + side + "_layer(%x: " + x + (cross ? ", %memory: " + x : "") + ", %offsets: " + ids +
         (cross ? ", %memory_offsets: " + ids : "") + (shares(causal) ? ", %" + name + ": " + type : "") + ") -> " + x +
         " {");
    writeSublayer("attention", 'x', 'a', 'b',
                  [&](StringRef input) { return attention("attention", input, input, "%offsets", true, causal); });
    if (cross)
      writeSublayer("cross_attention", 'b', 'c', 'd', [&](StringRef input) {
        return attention("cross_attention", input, "%memory", "%memory_offsets", false, false);
      });
    writeSublayer("feed_forward", cross ? 'd' : 'b', 'f', 'y', [&](StringRef input) { return feedForward(input); });
    line("    return %y : " + x);
    line("  }");
  }

  /// The embedding of one side's tokens; `side`: what the names of that side start with.
  std::string embed(const std::string &side) {
    bool shared = c.kind != Pairs || c.is("tied", "true") || c.is("tied", "embeddings");
    bool projects = c.kind != Pairs || c.is("tied", "true") || (side == "target_" && c.is("tied", "target"));
    bool scaled = c.is("scale_embedding", "true");
    std::string positions = c.text("positions");
    if (positions == "alibi" || positions == "relative" || positions == "rotary") // of attention
      positions = "none";
    if (positions == "learned")
      positions += llvm::formatv(", \"{0}positions\", {1}", side, c.number("max_positions")).str();
    // Tables of their own begin like every other matrix; one that is the projection too, or is not scaled, begins
    // small.
    std::string first = c.is("first_position", "0") ? "" : " first(" + c.text("first_position") + ")";
    return llvm::formatv(
               "xf.embed \"{0}embedding\" (%{1}ids, %{1}offsets) vocabulary({2}) positions({3}){4}{5}{6}{7} : "
               "({8}, {8}) -> {9}",
               shared ? "" : side, side, c.text(side + "vocabulary"), positions, first, scaled ? "" : " scale(1.0)",
               scaled && !projects && c.is("init", "xavier") ? " init(xavier_uniform)" : "", dropout(), ids, x)
        .str();
  }

  /// The angles of one side's tokens, once for all of its layers.
  void writeAngles(const std::string &side, const std::string &value, const std::string &type) {
    line(
        llvm::formatv("    {0}_of = xf.position_ids %{1}ids, %{1}offsets : ({2}, {2}) -> {2}", value, side, ids).str());
    line(llvm::formatv("    {0} = xf.rotary_angles {0}_of theta({1}){2}{3} : ({4}) -> {5}", value, c.text("rope_theta"),
                       c.is("rope_factor", "1.0") ? "" : " factor(" + c.text("rope_factor") + ")",
                       c.is("rope_original_positions", "none")
                           ? ""
                           : " original(" + c.text("rope_original_positions") + ", " + c.text("rope_low_factor") +
                                 ", " + c.text("rope_high_factor") + ")",
                       ids, type)
             .str());
  }

  /// One side's embedding, layers and final norm; returns the value of its states.
  std::string writeStack(const std::string &layer, const std::string &side, const std::string &value,
                         const std::string &memory = "") {
    std::string first = value + "0";
    if (c.kind & (Encoder | Classifier) && c.is("embedding_norm", "true")) {
      line("    %embedded = " + embed(side));
      line("    " + first + " = " + norm("embedding_norm", "%embedded"));
    } else {
      line("    " + first + " = " + embed(side));
    }
    int64_t layers = layersOf(layer);
    auto [shared, sharedType] = sharedOf(layer == "decoder");
    if (!shared.empty() && layers > 0) {
      shared = ", %" + layer + "_" + shared;
      if (relative())
        line("    " + shared.substr(2) + " = xf.get_param @" + layer + ".relative_bias.weight : " + sharedType);
      else
        writeAngles(side, shared.substr(2), sharedType);
      sharedType = ", " + sharedType;
    }
    bool endsInFirst = this->endsInFirst();
    for (int64_t i = 0; i < layers - endsInFirst; ++i)
      line(llvm::formatv("    {0}{1} = xf.apply @{2}_layer as \"{2}.{3}\" ({0}{3}{4}, %{5}offsets{6}{11}) : ({7}{8}, "
                         "{9}{10}{12}) -> {7}",
                         value, i + 1, layer, i, memory.empty() ? "" : ", " + memory, side,
                         memory.empty() ? "" : ", %source_offsets", x, memory.empty() ? "" : ", " + x, ids,
                         memory.empty() ? "" : ", " + ids, shared, shared.empty() ? "" : sharedType)
               .str());
    std::string states = value + std::to_string(layers);
    if (endsInFirst) {
      std::string texts = value + std::to_string(layers - 1);
      line(llvm::formatv("    {0} = xf.apply @last_encoder_layer as \"encoder.{1}\" ({2}, {3}, %query_offsets, "
                         "%offsets) : ({4}, {4}, {5}, {5}) -> {4}",
                         states, layers - 1, writePooling(texts), texts, x, ids)
               .str());
    }
    if (!preNorm)
      return states;
    line("    " + value + " = " + norm(layer + ".norm", states));
    return value;
  }

  /// A row a sequence of its tokens' states, as attention gives it to a query that has no say in it: with a scale of 0
  /// all scores are 0, so that tokens count alike, or the first alone counts. (What the query is does not matter; the
  /// classifier's matrix has rows of the right width.)
  std::string writePooling(const std::string &states) {
    int64_t heads = c.number("d_model") % c.number("heads") == 0 ? c.number("heads") : 1;
    bool first = c.is("pooling", "first");
    line(llvm::formatv("    %rows = xf.embed \"classifier\" (%queries, %query_offsets) vocabulary({0}) positions(none) "
                       "scale(1.0) : ({1}, {1}) -> {2}",
                       c.text("classes"), ids, x)
             .str());
    line(llvm::formatv("    %pooled, %pooled_sum = xf.attention %rows, {0}, {0} offsets(%query_offsets, %offsets) "
                       "heads({1}) scale(0.0){2} : ({3}, {3}, {3}, {4}, {4}) -> ({3}, tensor<?x{1}xf32>)",
                       states, heads,
                       first ? " score {\n    ^bb0(%score: f32, %head: index, %query: index, %key: index):\n"
                               "      %first = arith.constant 0 : index\n"
                               "      %none = arith.constant 0xFF800000 : f32\n"
                               "      %is_first = arith.cmpi eq, %key, %first : index\n"
                               "      %kept = arith.select %is_first, %score, %none : f32\n"
                               "      xf.yield %kept : f32\n    }"
                             : "",
                       x, ids)
             .str());
    return "%pooled";
  }

  /// What was pooled, or a layer of it, as BERT (tanh) and DistilBERT (relu) have one before their classes.
  std::string writePooler(const std::string &pooled) {
    std::string activation = c.text("pooler");
    if (activation == "none")
      return pooled;
    line(llvm::formatv("    %dense = xf.project \"classifier.pooler\" ({0}) bias : ({1}) -> {1}", pooled, x).str());
    line("    %active = xf." + activation + " %dense : " + x);
    return "%active";
  }

  void writeModel() {
    std::vector<std::string> arguments;
    auto argument = [&](const std::string &name, const std::string &dim) {
      arguments.push_back(llvm::formatv("%{0}: {1} {{xf.name = \"{0}\", xf.dims = [\"{2}\"]}", name, ids, dim).str());
    };
    std::string target = c.kind == Pairs ? "target_" : "", rows = "tensor<?xf32>";
    if (c.kind == Pairs) {
      argument("source_ids", "source_tokens");
      argument("source_offsets", "source_offsets");
    }
    argument(target + "ids", target + "tokens");
    argument(target + "offsets", target + "offsets");
    if (c.kind == Classifier) {
      argument("queries", "sequences");
      argument("query_offsets", "offsets");
      argument("labels", "sequences");
    } else if (c.kind != Encoder) {
      argument("labels", target + "tokens");
    }
    std::string head = c.kind == Encoder ? "  func.func @encode(" : "  func.func @model(";
    line(head + llvm::join(arguments, ",\n" + std::string(head.size(), ' ')) + ")");
    if (c.kind == Encoder) {
      line("      -> (" + x + " {xf.name = \"states\"}) attributes {xf.entry} {");
      std::string states = writeStack("encoder", "", "%x");
      line("    return " + states + " : " + x);
      line("  }");
      return;
    }
    line("      -> (tensor<f32> {xf.name = \"loss\"}, " + rows + " {xf.name = \"token_nll\"}) attributes {xf.entry} {");
    std::string memory = c.kind == Pairs ? writeStack("encoder", "source_", "%x") : "";
    std::string states = c.kind == Classifier ? writeStack("encoder", "", "%x")
                                              : writeStack("decoder", target, c.kind == Pairs ? "%y" : "%x", memory);
    if (c.kind == Classifier)
      states = writePooler(endsInFirst() ? states : writePooling(states));
    std::string width = c.text(c.kind == Classifier ? "classes" : target + "vocabulary");
    std::string logits = llvm::formatv("tensor<?x{0}xf32>", width).str();
    const char *matrix = c.kind == Classifier     ? "classifier"
                         : c.is("tied", "true")   ? "embedding"
                         : c.is("tied", "target") ? "target_embedding"
                                                  : "projection";
    line(llvm::formatv("    %logits = xf.project \"{0}\" ({1}){2} : ({3}) -> {4}", matrix, states,
                       c.kind == Classifier || c.is("projection_bias", "true") ? " bias" : "", x, logits)
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
  bool preNorm;
};
} // namespace

llvm::Expected<std::string> presetText(StringRef specification) {
  llvm::Expected<Configuration> configuration = Configuration::parse(specification);
  if (!configuration)
    return configuration.takeError();
  return Writer(*configuration).write();
}

llvm::Expected<std::string> modelText(const ModelKeys &model) {
  llvm::Expected<Configuration> configuration = Configuration::of(model);
  if (!configuration)
    return configuration.takeError();
  return Writer(*configuration).write();
}

std::string listPresets() {
  std::string text;
  for (const Preset &preset : presets)
    text += llvm::formatv("{0,-22} {1}\n", preset.name, preset.description).str();
  text += "keys:";
  for (const Key &key : configurationKeys())
    text += " " + std::string(key.name);
  return text + "\n";
}
} // namespace mlir::xf
