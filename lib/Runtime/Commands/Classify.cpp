//===- Classify.cpp - The command `classify` ----------------------------------------------------===//
// A filter: lines from stdin, to stdout the name of each line's likeliest class, or of several.
//===-------------------------------------------------------------------------------------------===//
#include "Classes.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <numeric>

using namespace xf::runtime;

namespace {
struct ClassifyOptions {
  std::string model;
  int64_t best = 1;
  bool scores = false;
};
} // namespace

/// The classes' log probabilities of every text, in their order; texts of like length are computed together.
static Expected<std::vector<std::vector<float>>> classifyAll(Session &session, const ModelState &model,
                                                             std::span<const std::vector<int32_t>> texts) {
  const Function &function = *session.program.function("classify");
  std::vector<std::vector<float>> all(texts.size());
  for (const std::vector<size_t> &indices : batchesOfTexts(texts)) {
    std::vector<std::span<const int32_t>> chosen;
    for (size_t index : indices)
      chosen.push_back(texts[index]);
    Batch batch = packTexts(chosen);
    std::string what = fmt::format("classifying {} lines of {} tokens together", chosen.size(), batch.tokens);
    std::vector<int64_t> dims = batch.dims(function);
    function.setChunks(dims);
    if (Expected<void> allowed = checkAllowed(session, what, {&function, std::move(dims)}); !allowed)
      return allowed.error();
    int64_t classes = classCount(session);
    std::vector<float> values(indices.size() * classes);
    std::vector<TensorView> outputs = {
        {"log_probabilities", ElementType::F32, {int64_t(indices.size()), classes}, values.data()}};
    if (Expected<void> ran = session.executor().run(function, batch.views(), outputs, model.arenas()); !ran)
      return ran.error();
    for (size_t i = 0; i < indices.size(); ++i) {
      auto row = values.begin() + int64_t(i) * classes;
      all[indices[i]].assign(row, row + classes);
    }
  }
  return all;
}

static void printClasses(const std::vector<float> &values, const std::vector<std::string> &names,
                         const ClassifyOptions &options) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return values[a] != values[b] ? values[a] > values[b] : a < b; });
  std::string line;
  for (size_t i = 0; i < std::min<size_t>(order.size(), options.best); ++i) {
    line += (i ? "\t" : "") + names[order[i]];
    if (options.scores)
      line += fmt::format("\t{:.6f}", std::exp(double(values[order[i]])));
  }
  printResult("{}\n", line);
}

static Expected<int> classifyLines(Session &session, const ClassifyOptions &options) {
  Expected<Vocabulary> vocabulary = openVocabulary(session);
  if (!vocabulary)
    return vocabulary.error();
  Expected<ModelState> model = session.loadModel(options.model, {"classify"});
  if (!model)
    return model.error();
  Expected<std::vector<std::string>> names = classNames(session, options.model);
  if (!names)
    return names.error();
  return answerLines(session, *vocabulary, [&](Texts texts) -> Expected<void> {
    Expected<std::vector<std::vector<float>>> all = classifyAll(session, *model, texts);
    if (!all)
      return all.error();
    for (const std::vector<float> &values : *all) {
      if (std::ranges::any_of(values, [](float value) { return std::isnan(value); }))
        return userError("the probabilities of classes are no numbers; are the model's weights finite?");
      printClasses(values, *names, options);
    }
    return {};
  });
}

void xf::runtime::addClassify(CLI::App &app, Session &session, Action &action) {
  auto options = std::make_shared<ClassifyOptions>();
  CLI::App *command = app.add_subcommand("classify", "Print the class of every line of stdin, a name a line");
  addModelOption(*command, session, options->model);
  command->add_option("--n-best", options->best, "Classes of a line, the likeliest first, with tabs between them")
      ->check(positiveNumber());
  command->add_flag("--scores", options->scores, "Print behind each class, after a tab, how probable it is");
  addExecutionOptions(*command, session);
  command->callback(
      [&session, &action, options] { action = [&session, options] { return classifyLines(session, *options); }; });
}
