//===- Attention.cpp - The command `attention` ------------------------------------------------===//
// What each head of each layer looks at while the model translates a sentence: a page of heat maps a
// layer, as SVG that needs nothing else, and the numbers as safetensors.
//===-----------------------------------------------------------------------------------------===//
#include "Commands.h"
#include "Translator.h"

#include <fmt/format.h>

using namespace xf::runtime;

namespace {
struct AttentionOptions {
  std::string model, input, output;
};

/// One layer's weights [heads, queries, keys] and the tokens they stand for.
struct AttentionMap {
  std::string name;
  const float *weights;
  int64_t heads;
  const std::vector<std::string> &queries, &keys;
};
} // namespace

static std::string escaped(const std::string &text) {
  std::string result;
  for (char c : text)
    switch (c) {
    case '<':
      result += "&lt;";
      break;
    case '>':
      result += "&gt;";
      break;
    case '&':
      result += "&amp;";
      break;
    default:
      if (static_cast<unsigned char>(c) >= 0x20)
        result += c;
    }
  return result;
}

/// Light to dark blue; the ends are those of ColorBrewer's "Blues".
static std::string color(float weight) {
  float w = std::min(std::max(weight, 0.0f), 1.0f);
  auto mix = [&](int light, int dark) { return int(float(light) + w * float(dark - light) + 0.5f); };
  return fmt::format("#{:02x}{:02x}{:02x}", mix(247, 8), mix(251, 48), mix(255, 107));
}

/// All heads of a layer side by side, four a row: queries down, keys across.
static std::string drawMap(const AttentionMap &map) {
  constexpr int64_t cell = 18, label = 96, gap = 24, title = 48, headsPerRow = 4;
  int64_t queries = int64_t(map.queries.size()), keys = int64_t(map.keys.size());
  int64_t headWidth = label + keys * cell + gap, headHeight = label + queries * cell + gap;
  int64_t columns = std::min(map.heads, headsPerRow), rows = (map.heads + headsPerRow - 1) / headsPerRow;
  int64_t width = columns * headWidth + gap, height = title + rows * headHeight;
  std::string svg =
      fmt::format("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" "
                  "font-family=\"sans-serif\" font-size=\"11\">\n"
                  "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
                  "<text x=\"{2}\" y=\"24\" font-size=\"16\">{3}</text>\n",
                  width, height, gap, escaped(map.name));
  for (int64_t head = 0; head < map.heads; ++head) {
    int64_t x = gap + head % headsPerRow * headWidth + label, y = title + head / headsPerRow * headHeight + label;
    svg +=
        fmt::format("<g transform=\"translate({} {})\">\n<text x=\"{}\" y=\"-8\" text-anchor=\"end\">head {}</text>\n",
                    x, y, -6, head);
    for (int64_t key = 0; key < keys; ++key)
      svg += fmt::format("<text transform=\"translate({} -6) rotate(-60)\">{}</text>\n", key * cell + 12,
                         escaped(map.keys[key]));
    for (int64_t query = 0; query < queries; ++query) {
      svg += fmt::format("<text x=\"-6\" y=\"{}\" text-anchor=\"end\">{}</text>\n", query * cell + 13,
                         escaped(map.queries[query]));
      for (int64_t key = 0; key < keys; ++key) {
        float weight = map.weights[(head * queries + query) * keys + key];
        svg += fmt::format(
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{}\"><title>{} → {}: {:.3f}</title></rect>\n",
            key * cell, query * cell, cell - 1, cell - 1, color(weight), escaped(map.queries[query]),
            escaped(map.keys[key]), weight);
      }
    }
    svg += "</g>\n";
  }
  return svg + "</svg>\n";
}

static Expected<int> attention(Session &session, const AttentionOptions &options) {
  if (Expected<void> writable = makeWritableFolder(options.output); !writable)
    return writable.error();
  Expected<Vocabularies> vocabularies = openVocabularies(session);
  if (!vocabularies)
    return vocabularies.error();
  Expected<ModelState> model = session.loadModel(options.model);
  if (!model)
    return model.error();
  if (Expected<void> valid = checkLine(options.input, "--input"); !valid)
    return valid.error();
  Expected<std::vector<int32_t>> source = vocabularies->source.encode(options.input);
  if (!source)
    return userError("--input: " + source.error().message);
  if (source->empty())
    return userError("expected --input to be a sentence, but it has no tokens");
  source->push_back(vocabularies->source.eos());
  Translator translator(session, *model, *vocabularies);
  auto translated = translator.translate(std::span(&*source, 1), {});
  if (!translated)
    return translated.error();
  std::vector<int32_t> target = (*translated)[0][0].ids;
  fmt::print("{}\n", vocabularies->target.decode(target));
  target.insert(target.begin(), vocabularies->target.bos());

  std::vector<std::string> sourceTokens, targetTokens;
  for (int32_t id : *source)
    sourceTokens.push_back(vocabularies->source.piece(id));
  for (int32_t id : target)
    targetTokens.push_back(vocabularies->target.piece(id));

  const Function &function = *session.program.function("attention");
  std::vector<int32_t> sourceOffsets = {0, int32_t(source->size())}, targetOffsets = {0, int32_t(target.size())};
  auto list = [](std::string_view name, std::vector<int32_t> &values) {
    return TensorView{name, ElementType::I32, {int64_t(values.size())}, values.data()};
  };
  std::vector<TensorView> inputs = {list("source_ids", *source), list("source_offsets", sourceOffsets),
                                    list("target_ids", target), list("target_offsets", targetOffsets)};
  Expected<std::vector<int64_t>> dims = session.executor().bind(function, inputs);
  if (!dims)
    return dims.error();
  std::vector<OwnedTensor> outputs;
  for (const TensorType &type : function.outputs)
    outputs.emplace_back(type.name, type.type, type.shapeAt(*dims));
  std::vector<TensorView> views = viewsOf(outputs);
  if (Expected<void> ran = session.executor().run(function, inputs, views, model->arenas()); !ran)
    return ran.error();
  for (const TensorView &view : views) {
    if (view.shape.size() != 3 || view.type != ElementType::F32)
      continue;
    // encoder.N.attention, decoder.N.attention, decoder.N.cross_attention
    bool cross = view.name.ends_with("cross_attention"), encoder = view.name.starts_with("encoder.");
    const auto &queries = encoder ? sourceTokens : targetTokens, &keys = encoder || cross ? sourceTokens : targetTokens;
    std::string name(view.name);
    std::string svg = drawMap({name, static_cast<const float *>(view.data), view.shape[0], queries, keys});
    if (Expected<void> written = writeFile(options.output + "/" + name + ".svg", svg); !written)
      return written.error();
  }
  if (Expected<void> written = writeSafetensors(options.output + "/attention.safetensors", views); !written)
    return written.error();
  return 0;
}

void xf::runtime::addAttention(CLI::App &app, Session &session, Action &action) {
  auto options = std::make_shared<AttentionOptions>();
  CLI::App *command = app.add_subcommand("attention", "Draw what each head attends to while a sentence is translated");
  addModelOption(*command, session, options->model);
  command->add_option("--input", options->input, "A sentence to translate")->required();
  command->add_option("--output", options->output, "Folder for the heat maps (SVG) and the numbers (.safetensors)")
      ->required();
  addExecutionOptions(*command, session);
  command->callback(
      [&session, &action, options] { action = [&session, options] { return attention(session, *options); }; });
}
