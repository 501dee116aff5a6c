//===- Attention.cpp - The command `attention` ------------------------------------------------===//
// What each head of each layer looks at while the model translates a sentence: a page of heat maps, and the numbers as
// safetensors.
//===-----------------------------------------------------------------------------------------===//
#include "Commands.h"
#include "HeatMaps.h"
#include "xf/Runtime/Text/Corpus.h"
#include "xf/Runtime/Text/Translator.h"

#include <fmt/format.h>

using namespace xf::runtime;

namespace {
struct AttentionOptions {
  std::string model, input, output;
};
} // namespace

static Expected<int> attention(Session &session, const AttentionOptions &options) {
  Expected<ResultFolder> folder = ResultFolder::make(options.output);
  if (!folder)
    return folder.error();
  Expected<Vocabularies> vocabularies = openVocabularies(session);
  if (!vocabularies)
    return vocabularies.error();
  Expected<ModelState> model = session.loadModel(options.model, {"encode", "decode", "attention"});
  if (!model)
    return model.error();
  if (Expected<void> valid = checkLine(options.input, "--input"); !valid)
    return valid.error();
  Expected<std::vector<int32_t>> source = vocabularies->source.encode(options.input);
  if (!source)
    return userError("--input: " + source.error().message);
  if (source->empty())
    return userError("expected --input to be a sentence, but it has no tokens");
  *source = vocabularies->markSource(std::move(*source));
  Translator translator(session, *model, *vocabularies, {});
  auto translated = translator.translate(std::span(&*source, 1));
  if (!translated)
    return translated.error();
  std::vector<int32_t> target = (*translated)[0][0].ids;
  std::string translation = vocabularies->target.decode(target);
  printResult("{}\n", translation);
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
  if (Expected<void> allowed = checkAllowed(
          session, fmt::format("what {} tokens attend to for {}", source->size(), target.size()), {&function, *dims});
      !allowed)
    return allowed.error();
  std::vector<OwnedTensor> outputs;
  for (const TensorType &type : function.outputs)
    outputs.emplace_back(type.name, type.type, type.shapeAt(*dims));
  std::vector<TensorView> views = viewsOf(outputs);
  if (Expected<void> ran = session.executor().run(function, inputs, views, model->arenas()); !ran)
    return ran.error();
  // encoder.N.attention, then decoder.N.attention, then decoder.N.cross_attention
  std::vector<HeatMap> maps;
  auto add = [&](std::string_view begin, std::string_view end, const auto &queries, const auto &keys) {
    for (const TensorView &view : views)
      if (view.shape.size() == 3 && view.type == ElementType::F32 && view.name.starts_with(begin) &&
          view.name.ends_with(end))
        maps.push_back({std::string(view.name), static_cast<const float *>(view.data), view.shape[0], queries, keys});
  };
  add("encoder.", ".attention", sourceTokens, sourceTokens);
  add("decoder.", ".attention", targetTokens, targetTokens);
  add("decoder.", ".cross_attention", targetTokens, sourceTokens);
  std::string title = fmt::format("{} → {}", options.input, translation);
  std::string page = options.output + "/attention.svg";
  bool isNew = !std::filesystem::exists(page);
  if (Expected<void> written = writeFile(page, drawHeatMaps(title, maps)); !written)
    return written.error();
  if (Expected<void> written = writeSafetensors(options.output + "/attention.safetensors", views); !written) {
    std::error_code ignored;
    if (isNew)
      std::filesystem::remove(page, ignored);
    return written.error();
  }
  return 0;
}

void xf::runtime::addAttention(CLI::App &app, Session &session, Action &action) {
  auto options = std::make_shared<AttentionOptions>();
  CLI::App *command = app.add_subcommand("attention", "Draw what each head attends to while a sentence is translated");
  addModelOption(*command, session, options->model);
  command->add_option("--input", options->input, "A sentence to translate")->required();
  command
      ->add_option("--output", options->output,
                   "Folder for the heat maps (attention.svg) and their numbers (attention.safetensors)")
      ->required();
  addExecutionOptions(*command, session);
  command->callback(
      [&session, &action, options] { action = [&session, options] { return attention(session, *options); }; });
}
