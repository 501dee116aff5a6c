//===- Train.cpp - The command `train` -------------------------------------------------------===//
// The training loop: what can fail is checked before it starts, every step is one call of `train_step`,
// and a run that is stopped anywhere goes on from its newest checkpoint to the same bits.
//===-----------------------------------------------------------------------------------------===//
#include "Classes.h"
#include "Display.h"
#include "Frozen.h"
#include "Measure.h"
#include "TrainingLog.h"
#include "xf/Runtime/Checkpoint.h"

#include <chrono>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <fmt/format.h>

using namespace xf::runtime;
using nlohmann::json;
using Clock = std::chrono::steady_clock;

namespace {
struct TrainOptions {
  DatasetOptions data, validation;
  std::string output, model;
  std::vector<std::string> freeze;
  int64_t accumulate = 1;
  int64_t epochs = 0, steps = 0, batchTokens = 4096, batchSize = 0;
  int64_t checkpointSteps = 1000, keep = 5, logSteps = 50, patience = 0, validSteps = 0;
  Hyper hyper;
  uint64_t seed = 1;
  bool resume = false;
  CLI::App *command = nullptr; // knows which options were given

  bool given(const std::string &name) const { return command->count(name) > 0; }
  BatchRecipe recipe() const { return {batchSize ? 0 : batchTokens, batchSize}; }
};

/// Validation takes no more memory than training.
BatchRecipe validationRecipe(BatchRecipe training) {
  constexpr int64_t tokens = 4096;
  return {training.tokens ? std::min(training.tokens, tokens) : tokens, 0};
}

/// How fast this process was over some steps.
struct Pace {
  int64_t tokens = 0;
  Clock::time_point start = Clock::now();
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start).count(); }
  double tokensPerSecond() const { return double(tokens) / std::max(seconds(), 1e-9); }
};

/// The batches of a step, and how many steps come before it.
struct Step {
  int64_t before = 0;
  std::vector<Batch> batches;
  int64_t tokens = 0;
  double labels = 0;
};
using Parts = std::span<const std::vector<int64_t>>; // of a step: which sentences or windows each batch has

class Training {
public:
  Training(Session &session, const TrainOptions &options)
      : session(session), program(session.program), options(options) {
    progress.frozen = options.freeze;
    std::erase(progress.frozen, "none"); // thaws what a run had frozen
  }

  Expected<int> run();

private:
  Safetensors::Metadata identity() const;
  Expected<void> readData();
  std::vector<Call> largestCalls(int64_t count) const;
  Expected<void> checkMemory();
  Expected<void> startOrResume();
  Error otherData(const json &saved) const;
  Expected<void> chooseFunction();
  Expected<void> takeStep(Parts parts, Parts following);
  Expected<void> compute(Step &step, Parts following);
  Expected<void> prepare(Step &step, size_t part);
  Step pack(Parts parts, int64_t before) const;
  std::vector<TensorView> inputsOf(Step &step, size_t part);
  Expected<void> validate(json &record);
  Expected<void> conclude(json record);
  Expected<void> endEpoch();
  Expected<void> validateWithin();
  Expected<void> keepModel();
  Error notFinite(Step &step);
  Expected<void> checkpoint(bool isPassing = false);
  std::string keptState() const;
  Error ending(const Error &error) const { return {error.message + keptState(), error.exitCode}; }
  TrainingGlance glance() const {
    return {progress.step,      expectedSteps,
            progress.epoch + 1, progress.intervalLoss.value(),
            learningRate,       interval.tokensPerSecond()};
  }

  Session &session;
  const Program &program;
  const TrainOptions &options;
  const Function *function = nullptr; // that computes gradients: train_step, or accumulate where a step has two halves
  const Function *update = nullptr;   // the other half
  FrozenParameters frozen;
  Display display;
  std::unique_ptr<Dataset> data, validation; // the latter if it was given
  std::vector<std::string> classes;          // a classifier's, by name
  ModelState state;
  Progress progress;
  TrainingLog log;
  int64_t expectedSteps = 0;                  // in all: epochs have about as many
  int64_t savedStep = -1, savedEnd = -1;      // of the newest checkpoint: its step, and whose end it knows of
  int64_t passingStep = -1;                   // of one that is there because a run was stopped, and goes with the next
  float loss = 0, norm = 0, learningRate = 0; // of the last step
  Step upcoming;                              // packed while the one before it ran; no batches: there is none
  std::array<int64_t, 2> random{};            // inputs of the next call
  std::array<float, 8> hyper{};
  float weight = 1;
  Pace interval, epoch;
};
} // namespace

/// What weights of this run say of their model.
Safetensors::Metadata Training::identity() const {
  Safetensors::Metadata metadata = session.identity();
  if (!classes.empty())
    metadata[classesEntry] = classNamesText(classes);
  return metadata;
}

Expected<void> Training::readData() {
  Expected<std::vector<std::string>> known = knownClasses(session, options.output, options.model);
  if (!known)
    return known.error();
  classes = std::move(*known);
  auto read = [&](DatasetOptions files, std::unique_ptr<Dataset> &into) -> Expected<void> {
    files.classes = classes;
    Expected<std::unique_ptr<Dataset>> dataset = openDataset(session, files);
    if (!dataset)
      return dataset.error();
    into = std::move(*dataset);
    classes = into->classes();
    return {};
  };
  if (Expected<void> done = read(options.data, data); !done || !options.validation.given())
    return done;
  DatasetOptions files = options.validation;
  files.length = options.data.length;
  return read(files, validation);
}

/// The calls that take the most memory where batches have `count` tokens, or sentences or windows.
std::vector<Call> Training::largestCalls(int64_t count) const {
  BatchRecipe recipe = options.batchSize ? BatchRecipe{0, count} : BatchRecipe{count, 0};
  std::vector<Call> calls;
  auto add = [&](const Dataset &dataset, const Function &called, BatchRecipe recipe) {
    std::vector<int64_t> dims = dataset.largest(recipe).dims(called);
    called.setChunks(dims);
    calls.push_back({&called, std::move(dims)});
  };
  add(*data, *function, recipe);
  if (update)
    calls.push_back({update, std::vector<int64_t>(update->dims.size(), 0)});
  if (validation)
    add(*validation, *program.function("loss"), validationRecipe(recipe));
  return calls;
}

/// The batch that takes the most memory has to fit, before anything is computed.
Expected<void> Training::checkMemory() {
  auto needs = [&](int64_t count) {
    Needs needed = needsOf(program, largestCalls(count), session.teamSize());
    (program.gpu.empty() ? needed.arrays : needed.arraysHere) += frozen.bytes();
    return needed;
  };
  auto option = [&](int64_t count) {
    return fmt::format("--batch-{}={}", options.batchSize ? "size" : "tokens", count);
  };
  int64_t count = options.batchSize ? options.batchSize : options.batchTokens;
  return xf::runtime::checkMemory(session, "training with " + option(count), count, needs, option);
}

/// That a run can't go on with data or batches other than those that it began with.
Error Training::otherData(const json &saved) const {
  std::string expected, got;
  auto add = [](std::string &list, const std::string &key, const json &data) {
    std::string name = key;
    std::replace(name.begin(), name.end(), '_', '-');
    std::string value = data.value(key, json(0)).dump();
    bool isCount = key == "pairs" || key == "tokens" || key == "texts" || key == "classes";
    list += (list.empty() ? "" : ", ") + (isCount        ? value + " " + name
                                          : value == "0" ? "no --" + name
                                                         : fmt::format("--{}={}", name, value));
  };
  for (const json *all : {&saved, &std::as_const(progress.data)})
    for (const auto &[key, value] : all->items()) {
      bool isSeen = all != &saved && saved.contains(key);
      if (key == "checksum" || isSeen || (progress.data.contains(key) && progress.data[key] == value))
        continue;
      add(expected, key, saved);
      add(got, key, progress.data);
    }
  if (expected.empty())
    return userError(fmt::format("expected the text and vocabularies of the run in '{}', but got as many others; pass "
                                 "the run's own, or another --output",
                                 options.output));
  return userError(fmt::format("expected the data and batches of the run in '{}' ({}), but got {}; pass the run's own, "
                               "or another --output",
                               options.output, expected, got));
}

Expected<void> Training::startOrResume() {
  Expected<ModelState> allocated = ModelState::allocate(program, {.gradients = true, .moments = true});
  if (!allocated)
    return allocated.error();
  state = std::move(*allocated);
  progress.seed = options.seed;
  progress.hyper = options.hyper;
  progress.data = data->description();
  progress.data["batch_tokens"] = options.recipe().tokens;
  progress.data["batch_size"] = options.recipe().sentences;
  if (options.accumulate > 1)
    progress.data["accumulate"] = options.accumulate;

  std::vector<std::string> rejected;
  Expected<std::optional<Safetensors>> newest = newestCheckpoint(options.output, rejected);
  if (!newest)
    return newest.error();
  std::string model = options.output + "/model.safetensors";
  bool isFound = newest->has_value(), hasModel = std::filesystem::exists(model);
  if (!options.resume && (isFound || !rejected.empty()))
    return userError(
        fmt::format("'{}' already holds the checkpoints of a run; pass --resume to go on with it, or another "
                    "--output",
                    options.output));
  if (!isFound && !rejected.empty())
    return userError(fmt::format("'{}' holds no whole checkpoint to go on from: {}; remove what is broken, or pass "
                                 "another --output",
                                 options.output, fmt::join(rejected, "; ")));
  if (!isFound && hasModel)
    return userError(fmt::format("'{}' holds the model of a run, and no checkpoint to go on from; pass another "
                                 "--output, or --model={} to start from its weights",
                                 options.output, options.output));
  for (const std::string &reason : rejected)
    display.message("warning: " + reason);
  if (!isFound) {
    if (options.resume)
      display.message(fmt::format("'{}' holds no checkpoint, training starts at step 0", options.output));
    if (options.model.empty() && !session.blob("weights"))
      return state.initialize(program, options.seed);
    Expected<Safetensors> weights = session.openModel(options.model);
    if (!weights)
      return weights.error();
    if (!isHeadless(session, *weights))
      return state.loadParameters(program, *weights);
    display.message(fmt::format("'{}' holds an encoder alone: its classifier starts at random", weights->path()));
    return loadHeadless(program, *weights, options.seed, state);
  }
  // A whole file of another model is the user's mistake, and no older one would do.
  if (std::vector<std::string> others = session.differences(**newest); !others.empty())
    return userError(fmt::format("the run in '{}' has a model of {}; compile that one, or pass another --output",
                                 options.output, fmt::join(others, ", ")));
  Expected<Progress> loaded = Progress::parse(**newest);
  if (loaded)
    loaded = loadState(program, **newest, state, {});
  if (!loaded)
    return loaded.error();
  Progress saved = std::move(*loaded);
  if (saved.data.empty()) // a library's, which has no text: it goes on with this one
    saved.data = progress.data;
  if (!saved.data.contains("checksum")) // of an older version
    saved.data["checksum"] = progress.data["checksum"];
  if (saved.data != progress.data)
    return otherData(saved.data);
  if (options.given("--seed") && saved.seed != options.seed)
    return userError(
        fmt::format("expected --seed of the run in '{}' ({}), but got {}", options.output, saved.seed, options.seed));
  // Settings that were not given again are those of the run.
  Hyper settings = saved.hyper;
  forEachHyper(settings, options.hyper, [&](const char *name, auto &setting, const auto &given) {
    if (options.given(hyperOption(name)))
      setting = given;
  });
  std::vector<std::string> patterns = options.given("--freeze") ? progress.frozen : saved.frozen;
  progress = std::move(saved);
  progress.hyper = settings;
  progress.frozen = std::move(patterns);
  savedStep = progress.step;
  savedEnd = progress.ended;
  if (progress.step % options.checkpointSteps != 0 && progress.ended != progress.step)
    passingStep = progress.step;
  if (options.given("--model"))
    display.message(fmt::format("warning: --model={} is not read: the run has weights already", options.model));
  display.message(fmt::format("{} {} at step {}", rejected.empty() ? "resuming" : "falling back to",
                              checkpointPath(options.output, progress.step), progress.step));
  // A run may have been stopped between a checkpoint and the model of the same step.
  return progress.best == progress.step && progress.best > 0 ? keepModel() : Expected<void>();
}

/// What a function needs besides the batch is the step's, or where a step has several batches the part's.
std::vector<TensorView> Training::inputsOf(Step &step, size_t part) {
  std::vector<TensorView> inputs = step.batches[part].views();
  random = {int64_t(progress.seed), step.before * options.accumulate + int64_t(part) + 1};
  hyper = progress.hyper.values();
  weight = float(double(step.batches[part].predicted) / std::max(step.labels, 1.0));
  inputs.push_back({"random", ElementType::I64, {2}, random.data()});
  inputs.push_back({"hyper", ElementType::F32, {int64_t(hyper.size())}, hyper.data()});
  inputs.push_back({"weight", ElementType::F32, {}, &weight});
  return inputs;
}

/// What a run that ends here leaves behind.
std::string Training::keptState() const {
  return savedStep < 0 ? "; no checkpoint was written before"
                       : fmt::format("; the state of step {} is kept in '{}', and --resume goes on from it", savedStep,
                                     checkpointPath(options.output, savedStep));
}

Error Training::notFinite(Step &step) {
  std::string message = fmt::format("the loss is not finite at step {}", progress.step + 1);
  // A step whose norm is not finite changed nothing, so it can be walked again with open eyes.
  if (!std::isfinite(norm)) {
    Expected<void> cleared = state.arenas().gradients.clear();
    for (size_t part = 0; cleared && part < step.batches.size(); ++part) {
      Expected<std::optional<NonFinite>> found =
          session.executor().findNonFinite(*function, inputsOf(step, part), state.arenas());
      if (!found || !*found)
        continue;
      message += fmt::format(": the first tensor that was not finite is '{}', written by '{}'", (*found)->tensor,
                             (*found)->label);
      break;
    }
    if (Expected<void> saved = checkpoint(/*isPassing=*/true); !saved)
      return userError(message + "; " + saved.error().message);
  }
  if (savedStep >= 0)
    message += fmt::format("; the state before it is kept in '{}'", checkpointPath(options.output, savedStep));
  return userError(message);
}

/// A step has two halves where it sums over several batches, or some of the gradients are not to be used.
Expected<void> Training::chooseFunction() {
  Expected<FrozenParameters> matched = FrozenParameters::match(program, progress.frozen);
  if (!matched)
    return matched.error();
  frozen = std::move(*matched);
  bool whole = options.accumulate == 1 && frozen.empty();
  function = program.function(whole ? "train_step" : "accumulate");
  update = whole ? nullptr : program.function("update");
  if (!function || (!whole && !update))
    return userError("--accumulate and --freeze need the functions 'accumulate' and 'update', which this executable "
                     "was compiled without");
  return {};
}

Step Training::pack(Parts parts, int64_t before) const {
  Step step{before, {}};
  for (const std::vector<int64_t> &indices : parts) {
    step.batches.push_back(data->pack(indices));
    step.tokens += step.batches.back().tokens;
    step.labels += double(step.batches.back().predicted);
  }
  return step;
}

/// Makes the call for one of the step's batches ready.
Expected<void> Training::prepare(Step &step, size_t part) {
  std::vector<TensorView> outputs = {{"loss", ElementType::F32, {}, &loss},
                                     {"gradient_norm", ElementType::F32, {}, &norm},
                                     {"learning_rate", ElementType::F32, {}, &learningRate}};
  return session.executor().prepare(*function, inputsOf(step, part), outputs, state.arenas());
}

/// All calls of a step whose first is ready. While a GPU computes one of them, the next is made ready, and after the
/// last that of the step that follows. The loss and its gradient are means over the labels of all batches together.
Expected<void> Training::compute(Step &step, Parts following) {
  Executor &executor = session.executor();
  double mean = 0;
  if (update)
    if (Expected<void> cleared = state.arenas().gradients.clear(); !cleared)
      return cleared;
  for (size_t part = 0; part < step.batches.size(); ++part) {
    double share = step.batches.size() == 1 ? 1 : double(step.batches[part].predicted) / std::max(step.labels, 1.0);
    if (Expected<void> started = executor.start(); !started)
      return started;
    bool isLast = part + 1 == step.batches.size();
    if (isLast)
      upcoming = pack(following, step.before + 1);
    if (!isLast || (!update && !upcoming.batches.empty()))
      if (Expected<void> prepared = isLast ? prepare(upcoming, 0) : prepare(step, part + 1); !prepared)
        return prepared;
    if (Expected<void> finished = executor.finish(); !finished)
      return finished;
    mean += double(loss) * share;
  }
  loss = float(mean);
  if (!update)
    return {};
  if (Expected<void> kept = frozen.keep(state.arenas()); !kept)
    return kept;
  std::vector<TensorView> outputs = {{"gradient_norm", ElementType::F32, {}, &norm},
                                     {"learning_rate", ElementType::F32, {}, &learningRate}};
  std::vector<TensorView> inputs = inputsOf(step, 0);
  random[1] = step.before + 1; // the optimizer counts steps
  if (Expected<void> ran = executor.run(*update, inputs, outputs, state.arenas()); !ran)
    return ran;
  if (Expected<void> restored = frozen.restore(state.arenas()); !restored)
    return restored;
  return upcoming.batches.empty() ? Expected<void>() : prepare(upcoming, 0);
}

Expected<void> Training::takeStep(Parts parts, Parts following) {
  Expected<void> ran;
  if (upcoming.batches.empty()) {
    upcoming = pack(parts, progress.step);
    ran = prepare(upcoming, 0);
  }
  Step step = std::exchange(upcoming, {});
  if (ran)
    ran = compute(step, following);
  if (!ran)
    return ending(ran.error());
  if (!std::isfinite(loss) || !std::isfinite(norm))
    return notFinite(step);
  ++progress.step;
  progress.batch += int64_t(step.batches.size());
  for (StepMean *mean : {&progress.intervalLoss, &progress.epochLoss})
    mean->add(loss);
  for (Pace *pace : {&interval, &epoch})
    pace->tokens += step.tokens;
  display.draw(glance());
  if (progress.step % options.logSteps == 0) {
    display.interval(glance());
    Expected<void> logged = log.append({{"kind", "interval"},
                                        {"step", progress.step},
                                        {"epoch", progress.epoch + 1},
                                        {"loss", progress.intervalLoss.value()},
                                        {"gradient_norm", norm},
                                        {"learning_rate", learningRate},
                                        {"tokens_per_s", interval.tokensPerSecond()},
                                        {"seconds", interval.seconds()}});
    if (!logged)
      return logged;
    progress.intervalLoss = {};
    interval = {};
  }
  return {};
}

/// `isPassing`: a run that is never stopped has none of this step, so that it pushes no other out.
Expected<void> Training::checkpoint(bool isPassing) {
  if (savedStep == progress.step && savedEnd == progress.ended)
    return {};
  int64_t before = std::exchange(passingStep, isPassing ? progress.step : -1);
  Expected<void> saved =
      saveCheckpoint(options.output, program, state, progress, options.keep + isPassing + (before >= 0), identity());
  if (!saved)
    return ending(saved.error());
  std::error_code ignored; // it does no harm
  if (before >= 0 && before != progress.step)
    std::filesystem::remove(checkpointPath(options.output, before), ignored);
  savedStep = progress.step;
  savedEnd = progress.ended;
  return {};
}

/// Makes the state the run's model.
Expected<void> Training::keepModel() {
  Expected<std::vector<TensorView>> views = state.parameterViews(program);
  if (!views)
    return views.error();
  Safetensors::Metadata metadata = identity();
  metadata["xf.step"] = std::to_string(progress.step);
  Expected<void> written = writeSafetensors(options.output + "/model.safetensors", *views, metadata);
  return written ? written : ending(written.error());
}

/// Measures on the validation set whether the model is the best so far; without one the last is the best.
Expected<void> Training::validate(json &record) {
  bool best = true;
  if (validation) {
    Expected<CorpusLoss> measured = measureLoss(session, *session.program.function("loss"), state, *validation,
                                                validationRecipe(options.recipe()).tokens);
    if (!measured)
      return measured.error();
    best = measured->perToken() < progress.bestLoss;
    if (best)
      progress.bestLoss = measured->perToken();
    progress.sinceBest = best ? 0 : progress.sinceBest + 1;
    record["validation_loss"] = measured->perToken();
    if (!measured->accuracy.classes.empty())
      record["validation_accuracy"] = measured->accuracy.share();
    record["best"] = best;
  }
  if (best)
    progress.best = progress.step;
  return {};
}

/// What an epoch ends with, and a validation within one: its record, a checkpoint, and the model where it is the best.
Expected<void> Training::conclude(json record) {
  record["step"] = progress.step;
  if (Expected<void> validated = validate(record); !validated)
    return ending(validated.error());
  std::string text = fmt::format("epoch {}  step {}  loss {:.4f}", record["epoch"].get<int64_t>(), progress.step,
                                 record["loss"].get<double>());
  if (record.contains("validation_loss"))
    text += fmt::format("  validation loss {:.4f}{}", record["validation_loss"].get<double>(),
                        record["best"].get<bool>() ? " (best)" : "");
  if (record.contains("validation_accuracy"))
    text += fmt::format("  accuracy {:.2f}%", 100 * record["validation_accuracy"].get<double>());
  display.message(fmt::format("{}  {:.1f} s", text, epoch.seconds()));
  if (Expected<void> logged = log.append(record); !logged)
    return logged;
  progress.ended = progress.step;
  Expected<void> saved = checkpoint();
  return saved && progress.best == progress.step ? keepModel() : saved;
}

Expected<void> Training::endEpoch() {
  json record = {{"kind", "epoch"},
                 {"epoch", progress.epoch + (progress.batch ? 1 : 0)},
                 {"loss", progress.epochLoss.value()},
                 {"tokens_per_s", epoch.tokensPerSecond()},
                 {"seconds", epoch.seconds()}};
  progress.epochLoss = progress.intervalLoss = {};
  Expected<void> concluded = conclude(std::move(record));
  epoch = interval = {};
  return concluded;
}

/// Is no part of the time that training takes.
Expected<void> Training::validateWithin() {
  Clock::time_point start = Clock::now();
  Expected<void> concluded =
      conclude({{"kind", "validation"}, {"epoch", progress.epoch + 1}, {"loss", progress.epochLoss.value()}});
  for (Pace *pace : {&interval, &epoch})
    pace->start += Clock::now() - start;
  return concluded;
}

Expected<int> Training::run() {
  if (options.patience && !options.validation.given())
    return userError("--patience asks for a validation loss, but there is no validation text");
  if (options.validSteps && !options.validation.given())
    return userError("--valid-steps asks for a validation loss, but there is no validation text");
  if (options.validation.given() && !program.function("loss"))
    return userError("validating needs the function 'loss', which this executable was compiled without; "
                     "--functions=train compiles it too");
  int64_t checkpointBytes = 3 * program.parameterElements * int64_t(sizeof(float));
  Expected<ResultFolder> folder = ResultFolder::make(options.output, 2 * checkpointBytes);
  if (!folder)
    return folder.error();
  Expected<FolderLock> lock = FolderLock::take(options.output);
  if (!lock)
    return lock.error();
  // What is frozen a run that goes on may know better.
  for (auto stage : {&Training::readData, &Training::chooseFunction, &Training::checkMemory, &Training::startOrResume,
                     &Training::chooseFunction})
    if (Expected<void> done = (this->*stage)(); !done)
      return done.error();
  Expected<TrainingLog> opened = TrainingLog::open(options.output + "/log.jsonl", progress.step, progress.ended);
  if (!opened)
    return opened.error();
  log = std::move(*opened);

  Interrupt interrupt;
  std::signal(SIGPIPE, SIG_IGN); // who reads the progress may go, the training stays
  auto batches = data->shuffled(options.recipe(), progress.seed, progress.epoch);
  auto isWhole = [&] { return progress.batch == int64_t(batches.size()); };
  int64_t maxSteps = options.steps ? options.steps : INT64_MAX;
  int64_t maxEpochs = options.epochs ? options.epochs : options.steps ? INT64_MAX : 10;
  expectedSteps = maxSteps;
  if (maxEpochs < INT64_MAX)
    expectedSteps = std::min(maxSteps, maxEpochs * ((int64_t(batches.size()) - 1) / options.accumulate + 1));
  if (double(expectedSteps) <= progress.hyper.warmup && !options.given("--warmup"))
    display.message(fmt::format(
        "warning: the run's {} within the warm-up of {:.0f}, in which the learning rate is small; "
        "--warmup=N makes it shorter",
        expectedSteps == 1 ? "1 step ends" : fmt::format("{} steps end", expectedSteps), progress.hyper.warmup));
  if (Expected<void> room = session.executor().reserve(
          largestCalls(options.batchSize ? options.batchSize : options.batchTokens), state.arenas());
      !room)
    return room.error();
  epoch = interval = {};
  display.draw(glance());
  auto partsAt = [&](int64_t batch) {
    Parts rest = Parts(batches).subspan(std::min<size_t>(batch, batches.size()));
    return rest.first(std::min<size_t>(rest.size(), options.accumulate));
  };
  auto validatesAt = [&](int64_t step) { return options.validSteps && step % options.validSteps == 0; };
  auto isPatient = [&] { return !options.patience || progress.sinceBest < options.patience; };
  auto isDone = [&] { return progress.epoch >= maxEpochs || progress.step >= maxSteps || !isPatient(); };
  // A run may have been stopped behind its last step, and before what belongs to its end.
  while (!isDone() || progress.ended != progress.step) {
    while (!isDone() && !isWhole() && !Interrupt::seen()) {
      int64_t after = progress.batch + options.accumulate;
      bool isAlone = progress.step + 1 >= maxSteps || validatesAt(progress.step + 1);
      Parts following = isAlone ? Parts() : partsAt(after);
      if (Expected<void> taken = takeStep(partsAt(progress.batch), following); !taken)
        return taken.error();
      // The end of an epoch validates, and writes a checkpoint with the result.
      if (isWhole() || isDone())
        break;
      if (validatesAt(progress.step))
        if (Expected<void> validated = validateWithin(); !validated)
          return validated.error();
      if (progress.step % options.checkpointSteps == 0)
        if (Expected<void> saved = checkpoint(); !saved)
          return saved.error();
    }
    if (int signal = Interrupt::seen()) {
      if (Expected<void> saved = checkpoint(/*isPassing=*/true); !saved)
        return saved.error();
      display.message(fmt::format("interrupted: the state is in '{}', --resume goes on from it",
                                  checkpointPath(options.output, savedStep)));
      return 128 + signal;
    }
    if (isWhole()) {
      ++progress.epoch;
      progress.batch = 0;
      batches = data->shuffled(options.recipe(), progress.seed, progress.epoch);
    }
    if (progress.ended != progress.step) // else it was validated within the epoch, and patience came to its end
      if (Expected<void> ended = endEpoch(); !ended)
        return ended.error();
  }
  if (!isPatient())
    display.message(fmt::format("stopped: the validation loss was {} times no better than {:.4f}", progress.sinceBest,
                                progress.bestLoss));
  display.message(fmt::format("trained {} step{}; the model is '{}/model.safetensors'", progress.step,
                              progress.step == 1 ? "" : "s", options.output));
  return 0;
}

void xf::runtime::addTrain(CLI::App &app, Session &session, Action &action) {
  auto options = std::make_shared<TrainOptions>();
  CLI::App *command = app.add_subcommand("train", "Train on text");
  options->command = command;
  options->hyper = defaultHyper(session.program);
  addDatasetOptions(*command, session, options->data, &options->validation);
  command->add_option("--output", options->output, "The run's folder: checkpoints, log, best model")->required();
  command->add_option("--epochs", options->epochs, "Passes over the data")->default_str("10")->check(positiveNumber());
  command->add_option("--steps", options->steps, "Steps in all, counted from the start of the run")
      ->default_str("none")
      ->check(positiveNumber());
  CLI::Option *tokens =
      command->add_option("--batch-tokens", options->batchTokens, "Tokens of a batch, on the longer side")
          ->check(positiveNumber());
  command->add_option("--batch-size", options->batchSize, "Sentences or windows of a batch, instead of tokens")
      ->default_str("none")
      ->check(positiveNumber())
      ->excludes(tokens);
  command
      ->add_option("--accumulate", options->accumulate,
                   "Batches whose gradients a step sums, as if they were one, in the memory of one")
      ->check(positiveNumber());
  command
      ->add_option("--freeze", options->freeze,
                   "Parameters that stay as they are: names, or patterns with * and ?, separated by commas; none thaws "
                   "those of a run that is resumed")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->default_str("none");
  command->add_option("--model", options->model, "Weights to start from: a run's folder or a file (.safetensors)")
      ->default_str(session.blob("weights") ? "the embedded weights" : "drawn from the seed");
  addHyperOptions(*command, options->hyper);
  command
      ->add_option("--patience", options->patience,
                   "Stop when the validation loss was no better than before this many times in a row; 0: never")
      ->check(nonNegativeNumber());
  command
      ->add_option("--valid-steps", options->validSteps,
                   "Steps from validation to validation within an epoch, whose end has one too")
      ->default_str("none")
      ->check(positiveNumber());
  command->add_option("--checkpoint-steps", options->checkpointSteps, "Steps from checkpoint to checkpoint")
      ->check(positiveNumber());
  command->add_option("--keep", options->keep, "Checkpoints that are kept, the newest")->check(positiveNumber());
  command->add_option("--log-steps", options->logSteps, "Steps from record to record in log.jsonl")
      ->check(positiveNumber());
  command->add_option("--seed", options->seed, "Seed of initial values, dropout and the order of the data")
      ->check(nonNegativeNumber());
  command->add_flag("--resume", options->resume, "Go on from the newest whole checkpoint in --output");
  addExecutionOptions(*command, session);
  command->callback(
      [&session, &action, options] { action = [&session, options] { return Training(session, *options).run(); }; });
}
