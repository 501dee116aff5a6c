//===- Run.cpp - The command `run FUNCTION` ----------------------------------------------===//
// Calls one public function on tensors from a file. `gradients` gives `grad.NAME`, which functions that start from
// gradients take; `train_step` takes a checkpoint and gives the next.
//===--------------------------------------------------------------------------------===//
#include "Commands.h"
#include "xf/Runtime/Checkpoint.h"

#include <algorithm>
#include <fmt/format.h>

using namespace xf::runtime;

namespace {
struct RunOptions {
  std::string function, model, input, output;
  Hyper hyper;
  uint64_t seed = 1;
  bool draw = false; // parameters from the seed, for there are no weights to take
  int repeat = 0;
};
} // namespace

/// Copies the function's inputs out of the file; tensors that it has no use for are named.
static Expected<std::vector<OwnedTensor>> readInputs(const Function &function, const Safetensors &file) {
  std::vector<OwnedTensor> inputs;
  for (const TensorView &tensor : file.tensors()) {
    if (function.usesGradients && tensor.name.starts_with(gradientPrefix))
      continue; // see ModelState::loadGradients
    std::optional<size_t> index = function.input(tensor.name);
    if (!index) {
      std::vector<std::string_view> names;
      for (const TensorType &input : function.inputs)
        names.push_back(input.name);
      return userError(fmt::format("'{}' has no input '{}' (in '{}'); its inputs are {}", function.name, tensor.name,
                                   file.path(), fmt::join(names, ", ")));
    }
    Expected<OwnedTensor> copy = OwnedTensor::copy(tensor, function.inputs[*index].type);
    if (!copy)
      return copy.error();
    inputs.push_back(std::move(*copy));
  }
  return inputs;
}

/// The state and progress that `--model` holds: a checkpoint, or weights before their first step.
static Expected<Progress> loadState(const Session &session, const RunOptions &options, ModelState &state) {
  if (options.draw) {
    if (Expected<void> drawn = state.initialize(session.program, options.seed); !drawn)
      return drawn.error();
    Progress progress;
    progress.seed = options.seed;
    progress.hyper = options.hyper;
    return progress;
  }
  Expected<Safetensors> file = session.openModel(options.model);
  if (!file)
    return file.error();
  Progress fresh;
  fresh.seed = options.seed;
  Expected<Progress> progress = loadState(session.program, *file, state, std::move(fresh));
  if (progress)
    progress->hyper = options.hyper;
  return progress;
}

/// Of `--model` or drawn, what a call of the function reads.
static Expected<void> loadParameters(Session &session, const Function &function, const RunOptions &options,
                                     const ModelState &state) {
  const Program &program = session.program;
  const Function *functions[] = {&function};
  if (options.draw)
    return session.load(state, functions,
                        [&](size_t parameter, float *to) { drawParameter(program, parameter, options.seed, to); });
  Expected<Safetensors> weights = session.openModel(options.model);
  return weights ? session.load(state, functions, *weights) : weights.error();
}

/// Whether --memory has room for a call; a smaller one would have fewer tokens, and of its sequences as many as then.
static Expected<void> checkRoom(Session &session, const Function &function, const std::vector<int64_t> &dims) {
  int64_t tokens = dims.empty() ? 1 : *std::max_element(dims.begin(), dims.end());
  auto needs = [&](int64_t count) {
    std::vector<int64_t> scaled = dims;
    for (int64_t &dim : scaled)
      dim = (dim * count + tokens - 1) / tokens;
    function.setChunks(scaled);
    Needs needed = needsOf(session.program, std::vector<Call>{{&function, scaled}}, session.teamSize());
    needed.arraysHere = 0; // they are loaded
    return needed;
  };
  return checkMemory(session, fmt::format("'{}' with {} tokens a side", function.name, tokens), tokens, needs,
                     [](int64_t count) { return fmt::format("a batch of {}", count); });
}

static Expected<int> run(Session &session, const RunOptions &options) {
  const Program &program = session.program;
  const Function *function = program.function(options.function);
  if (!function) {
    std::vector<std::string_view> names;
    for (const Function &each : program.functions)
      names.push_back(each.name);
    return userError(fmt::format("no function '{}'; this executable has {}", options.function, fmt::join(names, ", ")));
  }
  Expected<Safetensors> file = Safetensors::open(options.input);
  if (!file)
    return file.error();
  Expected<std::vector<OwnedTensor>> inputs = readInputs(*function, *file);
  if (!inputs)
    return inputs.error();

  Expected<ModelState> state = ModelState::allocate(
      program,
      {.gradients = function->usesGradients, .moments = function->usesMoments, .prepared = function->usesPrepared});
  if (!state)
    return state.error();
  if (function->usesGradients)
    if (Expected<void> loaded = state->loadGradients(program, *file); !loaded)
      return loaded.error();
  Progress progress;
  if (function->usesMoments) {
    Expected<Progress> loaded = loadState(session, options, *state);
    if (!loaded)
      return loaded.error();
    progress = std::move(*loaded);
  } else if (function->usesParameters) {
    if (Expected<void> loaded = loadParameters(session, *function, options, *state); !loaded)
      return loaded.error();
  }
  // What a training step needs besides its batch follows from the checkpoint and the options.
  int64_t *stepInput = nullptr; // counts on where the file does not say which step it is
  if (function->input("random") && !file->find("random")) {
    OwnedTensor random("random", ElementType::I64, {2});
    random.as<int64_t>()[0] = int64_t(progress.seed);
    stepInput = random.as<int64_t>() + 1;
    inputs->push_back(random);
  }
  if (function->input("hyper") && !file->find("hyper")) {
    OwnedTensor hyper("hyper", ElementType::F32, {8});
    auto values = options.hyper.values();
    std::copy(values.begin(), values.end(), hyper.as<float>());
    inputs->push_back(hyper);
  }

  std::vector<TensorView> views = viewsOf(*inputs);
  Expected<std::vector<int64_t>> dims = session.executor().bind(*function, views);
  if (!dims)
    return dims.error();
  if (Expected<void> valid = checkRequirements(*function, views, *dims); !valid)
    return valid.error();
  if (session.memory)
    if (Expected<void> fits = checkRoom(session, *function, *dims); !fits)
      return fits.error();
  std::vector<OwnedTensor> outputs;
  for (const TensorType &type : function->outputs)
    outputs.emplace_back(type.name, type.type, type.shapeAt(*dims));
  std::vector<TensorView> results = viewsOf(outputs);
  auto call = [&]() -> Expected<void> {
    ++progress.step;
    if (stepInput)
      *stepInput = progress.step;
    return session.executor().run(*function, views, results, state->arenas());
  };
  if (Expected<void> ran = options.repeat ? measure(session, options.repeat, call) : call(); !ran)
    return ran.error();

  if (options.output.empty())
    return 0;
  for (const TensorView &view : views)
    if (function->writesInput(*function->input(view.name))) // a result as much as the outputs are
      results.push_back(view);
  for (const TensorView &result : results)
    if (result.shape.empty() && result.type == ElementType::F32) {
      std::string number = fmt::format("{} {:.9g}\n", result.name, *static_cast<float *>(result.data));
      options.output == "-" ? writeNote(number) : writeResults(number);
    }
  std::vector<std::string> names;
  names.reserve(program.parameters.size());
  if (function->usesMoments) {
    Expected<std::vector<TensorView>> trained = state->trainingViews(program, names);
    if (!trained)
      return trained.error();
    Safetensors::Metadata metadata = session.identity();
    metadata.merge(progress.metadata());
    Expected<void> saved = writeSafetensors(options.output, *trained, metadata);
    return saved ? Expected<int>(0) : saved.error();
  }
  if (function->usesGradients) {
    Expected<const float *> gradients = state->arenas().gradients.read();
    if (!gradients)
      return gradients.error();
    for (const Parameter &parameter : program.parameters)
      results.push_back(
          parameterView(parameter, *gradients, names.emplace_back(std::string(gradientPrefix) + parameter.name)));
  }
  Expected<void> saved = writeSafetensors(options.output, results);
  return saved ? Expected<int>(0) : saved.error();
}

void xf::runtime::addRun(CLI::App &app, Session &session, Action &action) {
  auto options = std::make_shared<RunOptions>();
  options->hyper = defaultHyper(session.program);
  CLI::App *command = app.add_subcommand("run", "Call one function on tensors");
  command->add_option("FUNCTION", options->function, "One of the functions that `info` lists")->required();
  command->add_option("--input", options->input, "The function's inputs (.safetensors)")->required();
  command->add_option("--output", options->output, "Where its outputs go (.safetensors); only --repeat does without");
  addModelOption(*command, session, options->model);
  addHyperOptions(*command, options->hyper);
  command
      ->add_option("--seed", options->seed,
                   "Seed of dropout where --model is not a checkpoint; without any model, of the parameters too")
      ->check(nonNegativeNumber());
  command->add_option("--repeat", options->repeat, "Time this many calls after two that warm up")
      ->check(CLI::Range(1, 1000000));
  addExecutionOptions(*command, session);
  command->callback([&session, &action, options, command] {
    if (options->output.empty() && !options->repeat)
      throw CLI::RequiredError("--output");
    options->draw = options->model.empty() && !session.blob("weights") && command->count("--seed") > 0;
    action = [&session, options] { return run(session, *options); };
  });
}
