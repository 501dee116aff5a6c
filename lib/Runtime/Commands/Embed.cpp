//===- Embed.cpp - The command `embed` ----------------------------------------------------------===//
// A filter: lines from stdin, a vector a line to stdout: the encoder's states of the line's tokens, pooled
// and of length 1, so that a product of two is the cosine of their angle.
//===-------------------------------------------------------------------------------------------===//
#include "Classes.h"
#include "xf/Runtime/Text/Vocabularies.h"

#include <cmath>
#include <fmt/format.h>

using namespace xf::runtime;

namespace {
struct EmbedOptions {
  std::string model, pooling = "mean";
  bool raw = false;
};

using Vectors = std::vector<std::vector<float>>;

class Embedder {
public:
  Embedder(Session &session, const ModelState &model, const EmbedOptions &options)
      : session(session), model(model), options(options), function(*session.program.function("encode")) {}

  /// A vector a text, in their order; texts of like length are computed together.
  Expected<Vectors> embed(std::span<const std::vector<int32_t>> texts);

private:
  Expected<void> embedBatch(std::span<const std::vector<int32_t>> texts, std::span<const size_t> indices,
                            Vectors &vectors);
  std::vector<float> pool(const float *states, int64_t tokens, int64_t width) const;

  Session &session;
  const ModelState &model;
  const EmbedOptions &options;
  const Function &function;
};
} // namespace

std::vector<float> Embedder::pool(const float *states, int64_t tokens, int64_t width) const {
  std::vector<float> vector(width);
  double square = 0;
  for (int64_t i = 0; i < width; ++i) {
    double sum = states[i];
    if (options.pooling == "mean") {
      for (int64_t token = 1; token < tokens; ++token)
        sum += states[token * width + i];
      sum /= double(tokens);
    }
    vector[i] = float(sum);
    square += sum * sum;
  }
  if (!options.raw && square > 0)
    for (float &value : vector)
      value = float(value / std::sqrt(square));
  return vector;
}

Expected<void> Embedder::embedBatch(std::span<const std::vector<int32_t>> texts, std::span<const size_t> indices,
                                    Vectors &vectors) {
  std::vector<int32_t> ids, offsets{0};
  for (size_t index : indices) {
    ids.insert(ids.end(), texts[index].begin(), texts[index].end());
    offsets.push_back(int32_t(ids.size()));
  }
  std::vector<TensorView> inputs = {{"ids", ElementType::I32, {int64_t(ids.size())}, ids.data()},
                                    {"offsets", ElementType::I32, {int64_t(offsets.size())}, offsets.data()}};
  Expected<std::vector<int64_t>> dims = session.executor().bind(function, inputs);
  if (!dims)
    return dims.error();
  std::string what = fmt::format("embedding {} lines of {} tokens together", indices.size(), ids.size());
  if (Expected<void> allowed = checkAllowed(session, what, {&function, *dims}); !allowed)
    return allowed;
  int64_t width = function.outputs[*function.output("states")].shape.back().size;
  OwnedTensor states("states", ElementType::F32, {int64_t(ids.size()), width});
  if (Expected<void> ran = session.executor().run(function, inputs, viewsOf(std::span(&states, 1)), model.arenas());
      !ran)
    return ran;
  for (size_t i = 0; i < indices.size(); ++i)
    vectors[indices[i]] = pool(states.as<float>() + offsets[i] * width, offsets[i + 1] - offsets[i], width);
  return {};
}

Expected<Vectors> Embedder::embed(std::span<const std::vector<int32_t>> texts) {
  Vectors vectors(texts.size());
  for (const std::vector<size_t> &batch : batchesOfTexts(texts))
    if (Expected<void> done = embedBatch(texts, batch, vectors); !done)
      return done.error();
  return vectors;
}

static Expected<int> embed(Session &session, const EmbedOptions &options) {
  Expected<Vocabulary> vocabulary = openVocabulary(session);
  if (!vocabulary)
    return vocabulary.error();
  Expected<ModelState> model = session.loadModel(options.model, {"encode"});
  if (!model)
    return model.error();
  Embedder embedder(session, *model, options);
  return answerLines(session, *vocabulary, [&](Texts texts) -> Expected<void> {
    Expected<Vectors> vectors = embedder.embed(texts);
    if (!vectors)
      return vectors.error();
    for (const std::vector<float> &vector : *vectors)
      printResult("{}\n", fmt::join(vector, " "));
    return {};
  });
}

void xf::runtime::addEmbed(CLI::App &app, Session &session, Action &action) {
  auto options = std::make_shared<EmbedOptions>();
  options->pooling = session.program.model.value("pooling", options->pooling);
  options->raw = !session.program.model.value("unit_length", true);
  CLI::App *command = app.add_subcommand("embed", "Turn lines from stdin into vectors on stdout, a line each");
  addModelOption(*command, session, options->model);
  command
      ->add_option("--pooling", options->pooling,
                   "What a line's vector is made of: the mean of its tokens' states, or the first's")
      ->capture_default_str()
      ->check(CLI::IsMember({"mean", "first"}));
  command->add_flag(
      "--raw,!--unit-length", options->raw,
      "Leave the vectors' lengths as they are, instead of 1; or make them 1, where the model leaves them");
  addExecutionOptions(*command, session);
  command->callback(
      [&session, &action, options] { action = [&session, options] { return embed(session, *options); }; });
}
