//===- Common.cpp - What several commands share ----------------------------------------===//
// Shared options, tensors of this process, and the check of indices that kernels rely on.
//===--------------------------------------------------------------------------------===//
#include "Commands.h"
#include "xf/Runtime/Checkpoint.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

using namespace xf::runtime;

bool xf::runtime::translates(const Program &program) {
  return program.kind == "sequence_to_sequence" && program.function("encode") && program.function("decode");
}

bool xf::runtime::generates(const Program &program) {
  return program.kind == "language_model" && program.function("decode");
}

/// CLI11's own say "not in range 0.000000 to 17976931348623...".
static CLI::Validator number(const char *what, bool (*fine)(double)) {
  auto check = [=](std::string &text) {
    double value;
    bool read = CLI::detail::lexical_cast(text, value) && std::isfinite(value);
    return read && fine(value) ? std::string() : fmt::format("expected {}, but got '{}'", what, text);
  };
  return {check, "NUMBER"};
}

CLI::Validator xf::runtime::positiveNumber() {
  return number("a positive number", [](double value) { return value > 0; });
}

CLI::Validator xf::runtime::nonNegativeNumber() {
  return number("a number that is not negative", [](double value) { return value >= 0; });
}

CLI::Validator xf::runtime::numberBelowOne() {
  return number("a number from 0 to below 1", [](double value) { return value >= 0 && value < 1; });
}

CLI::Validator xf::runtime::share() {
  return number("a number above 0 and at most 1", [](double value) { return value > 0 && value <= 1; });
}

void xf::runtime::addExecutionOptions(CLI::App &command, Session &session) {
  command.add_option("--threads", session.threads, "Threads that compute; results are the same at any number")
      ->default_str("one a core")
      ->check(CLI::Range(1, 1024));
  command
      .add_flag("--profile", session.profile,
                "Print each kernel's work, time and share of this machine's limits to stderr, or write them as a page")
      ->transform([](const std::string &file) { return file == "true" ? "-" : file; }) // "true": no file is named
      ->option_text("[=F.html]");
}

void xf::runtime::addModelOption(CLI::App &command, const Session &session, std::string &model) {
  CLI::Option *option = command.add_option("--model", model, "A run's folder or a file of weights (.safetensors)");
  if (session.blob("weights"))
    option->default_str("the embedded weights");
}

std::string xf::runtime::hyperOption(std::string name) {
  std::replace(name.begin(), name.end(), '_', '-');
  return "--" + name;
}

void xf::runtime::addHyperOptions(CLI::App &command, Hyper &hyper) {
  struct Text {
    const char *help;
    CLI::Validator check;
  };
  const std::map<std::string, Text> texts = {
      {"learning_rate",
       {"Learning rate: the peak (constant, inverse_sqrt), or a factor on 1/sqrt(step) (rsqrt), and on 1/sqrt(d_model) "
        "too (noam)",
        positiveNumber()}},
      {"schedule",
       {"After the warm-up: constant; else falling with the square root of the step",
        CLI::IsMember(std::vector<std::string>(scheduleNames.begin(), scheduleNames.end()))}},
      {"warmup", {"Steps in which the rate rises, evenly, from 0; 0: none", nonNegativeNumber()}},
      {"clip_norm", {"Largest norm of all gradients together; 0: no limit", nonNegativeNumber()}},
      {"beta1", {"Adam: decay of the first moment", numberBelowOne()}},
      {"beta2", {"Adam: decay of the second moment", numberBelowOne()}},
      {"epsilon", {"Adam: added to the root of the second moment", nonNegativeNumber()}},
      {"weight_decay", {"Adam: decay of the parameters themselves", nonNegativeNumber()}}};
  forEachHyper(hyper, hyper, [&](const char *name, auto &setting, const auto &) {
    const Text &text = texts.at(name);
    command.add_option(hyperOption(name), setting, text.help)->check(text.check);
  });
}

static const TensorView *find(std::span<const TensorView> tensors, std::string_view name) {
  for (const TensorView &tensor : tensors)
    if (tensor.name == name)
      return &tensor;
  return nullptr;
}

static Expected<void> checkRange(const TensorView &tensor, int64_t limit, std::string_view of) {
  const int32_t *values = static_cast<const int32_t *>(tensor.data);
  for (int64_t i = 0; i < tensor.elements(); ++i)
    if (values[i] < 0 || values[i] >= limit)
      return userError(fmt::format("expected '{}' at index {} to be below {} ({}), but got {}", tensor.name, i, limit,
                                   of, values[i]));
  return {};
}

static Expected<void> checkOffsets(const TensorView &offsets, const TensorView &rows) {
  const int32_t *values = static_cast<const int32_t *>(offsets.data);
  int64_t count = offsets.elements();
  if (count == 0 || values[0] != 0)
    return userError(fmt::format("expected '{}' to start with 0", offsets.name));
  for (int64_t i = 1; i < count; ++i)
    if (values[i] < values[i - 1])
      return userError(fmt::format("expected '{}' not to decrease, but got {} after {} at index {}", offsets.name,
                                   values[i], values[i - 1], i));
  if (values[count - 1] != rows.shape[0])
    return userError(fmt::format("expected '{}' to end with the length of '{}' ({}), but got {}", offsets.name,
                                 rows.name, rows.shape[0], values[count - 1]));
  return {};
}

Expected<void> xf::runtime::validateIndices(const Session &session, const Function &function,
                                            std::span<const TensorView> inputs) {
  // What a list of integers points into: offsets into the rows of another tensor, ids into a vocabulary.
  struct Rule {
    std::string_view name, into;
  };
  constexpr Rule offsets[] = {{"source_offsets", "source_ids"},
                              {"target_offsets", "target_ids"},
                              {"offsets", "ids"},
                              {"memory_offsets", "memory_rows"},
                              {"cache_offsets", "cache_rows"}};
  constexpr Rule rows[] = {{"memory_rows", "memory.0"}, {"cache_rows", "cache.0"}, {"cache_slots", "cache.0"}};
  constexpr Rule ids[] = {{"source_ids", "source"}, {"target_ids", "target"}, {"labels", "target"}, {"ids", "target"}};
  auto given = [&](std::string_view name) { return function.input(name) ? find(inputs, name) : nullptr; };
  for (Rule rule : offsets)
    if (const TensorView *list = given(rule.name), *into = given(rule.into); list && into)
      if (Expected<void> checked = checkOffsets(*list, *into); !checked)
        return checked;
  for (Rule rule : rows)
    if (const TensorView *list = given(rule.name), *into = given(rule.into); list && into)
      if (Expected<void> checked = checkRange(*list, into->shape[0], fmt::format("the rows of '{}'", into->name));
          !checked)
        return checked;
  for (Rule rule : ids)
    if (const TensorView *list = given(rule.name))
      if (int64_t size = session.vocabularySize(rule.into))
        if (Expected<void> checked = checkRange(*list, size, fmt::format("the {} vocabulary", rule.into)); !checked)
          return checked;
  const TensorView *source = given("source_offsets"), *target = given("target_offsets");
  if (source && target && source->shape != target->shape)
    return userError(
        fmt::format("expected as many sequences in 'target_offsets' as in 'source_offsets' ({}), but got {}",
                    source->shape[0] - 1, target->shape[0] - 1));
  if (const TensorView *positions = given("positions"); positions && session.longestTarget())
    if (Expected<void> checked = checkRange(*positions, session.longestTarget(), "the learned positions"); !checked)
      return checked;
  for (auto [offsets, longest] :
       {std::pair(source, session.longestSource()), std::pair(target, session.longestTarget()),
        std::pair(given("offsets"), session.longestTarget())}) {
    if (!offsets || !longest)
      continue;
    const int32_t *values = static_cast<const int32_t *>(offsets->data);
    for (int64_t i = 0; i + 1 < offsets->shape[0]; ++i)
      if (values[i + 1] - values[i] > longest)
        return userError(fmt::format("expected sequences of '{}' to have at most as many tokens as there are learned "
                                     "positions ({}), but sequence {} has {}",
                                     offsets->name, longest, i, values[i + 1] - values[i]));
  }
  return {};
}
