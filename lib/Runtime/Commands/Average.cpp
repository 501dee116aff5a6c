//===- Average.cpp - The command `average` ---------------------------------------------------===//
// The mean of a run's last checkpoints, which the paper translates with (section 6.1). Sums in double, from
// the oldest to the newest, a parameter at a time.
//===-----------------------------------------------------------------------------------------===//
#include "Classes.h"
#include "xf/Runtime/Checkpoint.h"

#include <filesystem>
#include <fmt/format.h>

using namespace xf::runtime;

namespace {
struct AverageOptions {
  std::vector<std::string> inputs;
  std::string output;
  int64_t last = 5;
};
} // namespace

/// The files meant, a run's from the oldest to the newest.
static Expected<std::vector<std::string>> filesOf(const AverageOptions &options) {
  std::vector<std::string> files;
  for (const std::string &input : options.inputs) {
    std::error_code ignored;
    if (!std::filesystem::is_directory(input, ignored)) {
      files.push_back(input);
      continue;
    }
    std::vector<int64_t> steps = checkpointSteps(input);
    if (int64_t(steps.size()) < options.last)
      return userError(fmt::format("expected '{}' to have {} checkpoints, but it has {}; --last=N averages fewer, and "
                                   "train's --keep and --checkpoint-steps say how many there are",
                                   input, options.last, steps.size()));
    for (int64_t i = options.last; i-- > 0;)
      files.push_back(checkpointPath(input, steps[i]));
  }
  return files;
}

static Expected<int> average(const Session &session, const AverageOptions &options) {
  const Program &program = session.program;
  Expected<std::vector<std::string>> names = filesOf(options);
  if (!names)
    return names.error();
  std::vector<Safetensors> files;
  for (const std::string &name : *names) {
    Expected<Safetensors> file = Safetensors::open(name);
    if (!file)
      return file.error();
    if (Expected<void> same = checkParameters(program.name, program.parameters, *file); !same)
      return same.error();
    files.push_back(std::move(*file));
  }
  Expected<ModelState> state = ModelState::allocate(program, {});
  if (!state)
    return state.error();
  Expected<float *> values = state->arenas().parameters.change();
  if (!values)
    return values.error();
  std::vector<double> sum;
  std::vector<float> read;
  for (const Parameter &parameter : program.parameters) {
    sum.assign(parameter.elements(), 0);
    read.resize(sum.size());
    for (const Safetensors &file : files) {
      file.moveReals(*file.find(parameter.name), read.data());
      for (size_t i = 0; i < sum.size(); ++i)
        sum[i] += read[i];
    }
    float *mean = *values + parameter.offset;
    for (size_t i = 0; i < sum.size(); ++i)
      mean[i] = float(sum[i] / double(files.size()));
  }
  Expected<std::vector<TensorView>> views = state->parameterViews(program);
  if (!views)
    return views.error();
  Safetensors::Metadata metadata = session.identity();
  if (auto classes = files.front().metadata().find(classesEntry); classes != files.front().metadata().end())
    metadata.insert(*classes);
  metadata["xf.average"] = fmt::format("{}", fmt::join(*names, "\n"));
  if (Expected<void> written = writeSafetensors(options.output, *views, metadata); !written)
    return written.error();
  say("averaged {} checkpoints into '{}'\n", files.size(), options.output);
  return 0;
}

void xf::runtime::addAverage(CLI::App &app, Session &session, Action &action) {
  auto options = std::make_shared<AverageOptions>();
  CLI::App *command = app.add_subcommand("average", "Write the mean of checkpoints as a file of weights");
  command
      ->add_option("inputs", options->inputs,
                   "A run's folder, for its last checkpoints, or files of checkpoints or weights")
      ->required();
  command->add_option("--last", options->last, "Checkpoints of a run's folder, the newest")->check(positiveNumber());
  command->add_option("--output", options->output, "The file to write (.safetensors)")->required();
  command->callback(
      [&session, &action, options] { action = [&session, options] { return average(session, *options); }; });
}
