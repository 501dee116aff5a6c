//===- Gradcheck.cpp - The command `gradcheck` ----------------------------------------------===//
// Compares the compiled `gradients` with central differences of the compiled `loss`, one parameter at a
// time along two directions: the gradient itself (where the slope stands out of rounding, so that a wrong
// scale shows) and random signs (which see the parts of a gradient that are missing).
//===--------------------------------------------------------------------------------===//
#include "Commands.h"
#include "xf/Runtime/Philox.h"

#include <array>
#include <cmath>
#include <fmt/format.h>
#include <numeric>

using namespace xf::runtime;

namespace {
struct GradcheckOptions {
  std::string function = "loss", model;
  uint64_t seed = 1;
};

/// How one kind of direction is walked. `changes`: steps that change the loss by so much; large ones meet curvature and
/// the kinks of ReLU, small ones rounding. Along random signs every element moves, so more kinks are met.
struct Walk {
  double tolerance; // relative
  std::array<double, 4> changes;
};
constexpr Walk alongGradient = {2e-2, {0.003, 0.001, 0.01, 0.0003}},
               alongSigns = {5e-2, {0.001, 0.0003, 0.0001, 0.003}};

/// Rounding of a loss in f32, relative: its own last bit and the sums under it.
constexpr double lossNoise = 8e-7;

/// The slope by both ways along one direction.
struct Slope {
  double analytic = 0, difference = 0;
  double expected = 0; // what a slope along such a direction usually is
  double floor = 0;    // what rounding of the loss makes of none
  double tolerance = 0;
  double excess() const { return std::abs(analytic - difference) - floor; }
  double relative() const {
    double size = std::max({std::abs(analytic), std::abs(difference), expected});
    return size > 0 ? std::max(excess(), 0.0) / size : 0;
  }
  bool agrees() const { return std::isfinite(difference) && relative() <= tolerance; }
};

class Gradcheck {
public:
  Gradcheck(Session &session, ModelState &state, std::vector<TensorView> batch)
      : session(session), state(state), batch(std::move(batch)), loss(*session.program.function("loss")) {}

  Expected<int> run();

private:
  Expected<double> lossNow();
  Expected<Slope> slopeAlong(const Parameter &parameter, std::span<const float> direction, double expected,
                             const Walk &walk);

  Session &session;
  ModelState &state;
  std::vector<TensorView> batch;
  const Function &loss;
  double baseLoss = 0;
};
} // namespace

/// A few sequences, of lengths that meet every branch of a kernel, and random ids: whatever the function requires of
/// its inputs.
static Expected<std::vector<OwnedTensor>> randomBatch(Session &session, const Function &function, uint64_t seed) {
  std::array<int64_t, 4> lengths[2] = {{5, 1, 7, 3}, {4, 6, 1, 9}}; // of what is predicted, and of a source
  auto sideOf = [](const TensorType &input) { return size_t(input.name.starts_with("source")); };
  const std::vector<int64_t> noDims(function.dims.size());
  std::vector<bool> isStarts(function.inputs.size());
  for (const Requirement &requirement : function.requirements) {
    isStarts[requirement.input] = isStarts[requirement.input] || requirement.kind == Requirement::Starts;
    if (requirement.kind == Requirement::Longest)
      for (int64_t &length : lengths[sideOf(function.inputs[requirement.input])])
        length = std::min(length, requirement.size.at(noDims));
  }
  std::vector<OwnedTensor> tensors;
  for (size_t index = 0; index < function.inputs.size(); ++index) {
    const TensorType &input = function.inputs[index];
    if (input.type != ElementType::I32 || input.shape.size() != 1 || input.shape[0].dim < 0)
      return userError(fmt::format("'{}' can't be checked: there is nothing to make up for its input '{}'",
                                   function.name, input.name));
    std::span<const int64_t> length = lengths[sideOf(input)];
    tensors.emplace_back(input.name, input.type,
                         std::vector{isStarts[index] ? int64_t(length.size()) + 1
                                                     : std::accumulate(length.begin(), length.end(), int64_t(0))});
  }
  std::vector<TensorView> views = viewsOf(tensors);
  Expected<std::vector<int64_t>> dims = session.executor().bind(function, views);
  if (!dims)
    return dims.error();
  for (size_t index = 0; index < function.inputs.size(); ++index) {
    std::span<const int64_t> length = lengths[sideOf(function.inputs[index])];
    int64_t below = 10; // numbers that nothing is read by
    for (const Requirement &requirement : function.requirements)
      if (requirement.kind == Requirement::Below && requirement.input == index)
        below = std::max<int64_t>(requirement.size.at(*dims), 1);
    int32_t *values = tensors[index].as<int32_t>();
    for (int64_t i = 0; i < views[index].elements(); ++i)
      values[i] = isStarts[index] ? int32_t(i ? values[i - 1] + length[i - 1] : 0)
                                  : int32_t(philox({uint32_t(i), uint32_t(index), 0, 0x62617463 /* 'batc' */},
                                                   {uint32_t(seed), uint32_t(seed >> 32)})[0] %
                                            uint64_t(below));
  }
  if (Expected<void> valid = checkRequirements(function, views, *dims); !valid)
    return userError(fmt::format("'{}' can't be checked with what is made up for its inputs: {}", function.name,
                                 valid.error().message));
  const Function &gradients = *session.program.function("gradients");
  Expected<std::vector<int64_t>> itsDims = session.executor().bind(gradients, views);
  if (!itsDims)
    return itsDims.error();
  if (Expected<void> allowed = checkAllowed(session, "checking derivatives", {&gradients, *itsDims}); !allowed)
    return allowed.error();
  return tensors;
}

Expected<double> Gradcheck::lossNow() {
  float value = 0;
  // Without smoothing the loss is the mean of the tokens', summed here in double: less rounding to see through.
  std::optional<size_t> tokens = loss.output("token_nll");
  auto smoothing = session.program.model.find("smoothing");
  bool plain = tokens && smoothing != session.program.model.end() && *smoothing == 0;
  Expected<std::vector<int64_t>> dims = session.executor().bind(loss, batch);
  if (!dims)
    return dims.error();
  std::vector<float> nll;
  std::vector<TensorView> outputs = {{"loss", ElementType::F32, {}, &value}};
  if (plain) {
    nll.resize(loss.outputs[*tokens].shapeAt(*dims)[0]);
    outputs.push_back({"token_nll", ElementType::F32, {int64_t(nll.size())}, nll.data()});
  }
  if (Expected<void> ran = session.executor().run(loss, batch, outputs, state.arenas()); !ran)
    return ran.error();
  if (!plain)
    return double(value);
  double sum = 0;
  for (float each : nll)
    sum += each;
  return sum / double(nll.size());
}

Expected<Slope> Gradcheck::slopeAlong(const Parameter &parameter, std::span<const float> direction, double expected,
                                      const Walk &walk) {
  int64_t count = parameter.elements();
  Expected<const float *> parameters = state.arenas().parameters.read(), gradients = state.arenas().gradients.read();
  if (!parameters || !gradients)
    return (parameters ? gradients : parameters).error();
  const float *values = *parameters + parameter.offset, *gradient = *gradients + parameter.offset;
  std::vector<float> before(values, values + count);
  double analytic = 0, square = 0;
  for (int64_t i = 0; i < count; ++i) {
    analytic += double(gradient[i]) * direction[i];
    square += double(before[i]) * before[i];
  }
  // No element moves by much more than a third of the parameter's usual size.
  double largest = 0.3 * std::max(std::sqrt(square), 0.02 * std::sqrt(double(count)));
  Slope best;
  for (double change : walk.changes) {
    double step = expected > 0 ? std::min(largest, change / std::max(std::abs(analytic), expected)) : largest;
    double losses[2], moved[2];
    for (int side : {0, 1}) {
      moved[side] = 0;
      Expected<float *> changed = state.arenas().parameters.change();
      if (!changed)
        return changed.error();
      float *values = *changed + parameter.offset;
      for (int64_t i = 0; i < count; ++i) {
        values[i] = float(before[i] + (side ? step : -step) * direction[i]);
        moved[side] += (double(values[i]) - before[i]) * direction[i]; // what rounding left of the step
      }
      Expected<double> now = lossNow();
      changed = state.arenas().parameters.change();
      if (!now || !changed)
        return now ? changed.error() : now.error();
      std::copy(before.begin(), before.end(), *changed + parameter.offset);
      losses[side] = *now;
    }
    double distance = moved[1] - moved[0];
    Slope slope{analytic, (losses[1] - losses[0]) / distance, expected,
                lossNoise * std::max(1.0, std::abs(baseLoss)) / distance, walk.tolerance};
    if (change == walk.changes.front() || slope.relative() < best.relative())
      best = slope;
    if (best.agrees())
      break;
  }
  return best;
}

Expected<int> Gradcheck::run() {
  float value;
  Expected<void> ran =
      session.executor().run(*session.program.function("gradients"), batch,
                             std::vector<TensorView>{{"loss", ElementType::F32, {}, &value}}, state.arenas());
  if (!ran)
    return ran.error();
  Expected<double> base = lossNow();
  if (!base)
    return base.error();
  baseLoss = *base;
  bool sameLoss = std::abs(value - baseLoss) <= 1e-5 * std::max(1.0, std::abs(baseLoss));
  if (!sameLoss)
    printResult("expected 'loss' of 'gradients' to match that of 'loss' ({:.7g}), but got {:.7g}\n", baseLoss, value);
  size_t agreed = 0;
  printResult("{:<56} {:>12} {:>13} {:>13} {:>15}\n", "parameter", "|gradient|", "analytic", "difference",
              "beyond rounding");
  const auto &parameters = session.program.parameters;
  for (size_t index = 0; index < parameters.size(); ++index) {
    const Parameter &parameter = parameters[index];
    Expected<const float *> gradients = state.arenas().gradients.read();
    if (!gradients)
      return gradients.error();
    const float *gradient = *gradients + parameter.offset;
    std::vector<float> own(gradient, gradient + parameter.elements()), signs(own.size());
    double norm = 0;
    for (float each : own)
      norm += double(each) * each;
    norm = std::sqrt(norm);
    for (size_t i = 0; i < own.size(); ++i) {
      own[i] = norm > 0 ? float(own[i] / norm) : 0;
      uint32_t word = philox({uint32_t(i / 128), uint32_t(index), 0, 0x7369676e /* 'sign' */}, {1, 0})[i / 32 % 4];
      signs[i] = float((word >> (i % 32) & 1 ? 1 : -1) / std::sqrt(double(own.size())));
    }
    Expected<Slope> worst = slopeAlong(parameter, signs, norm / std::sqrt(double(own.size())), alongSigns);
    if (norm > 0 && worst) {
      Expected<Slope> along = slopeAlong(parameter, own, norm, alongGradient);
      if (!along || along->relative() / along->tolerance > worst->relative() / worst->tolerance)
        worst = std::move(along);
    }
    if (!worst)
      return worst.error();
    agreed += worst->agrees();
    printResult("{:<56} {:>12.4e} {:>13.5e} {:>13.5e} {:>15.1e}{}\n", parameter.name, norm, worst->analytic,
                worst->difference, worst->relative(), worst->agrees() ? "" : "  differs");
  }
  printResult("gradcheck: {} of {} parameters agree with differences of the loss\n", agreed, parameters.size());
  return sameLoss && agreed == parameters.size() ? 0 : 1;
}

static Expected<int> gradcheck(Session &session, const GradcheckOptions &options) {
  if (options.function != "loss")
    return userError(fmt::format("'{}' can't be checked: 'loss' is the function with derivatives", options.function));
  if (std::string precision = session.program.options.value("precision", "f32"); precision != "f32")
    return userError(fmt::format("what {} rounds is more than the differences of a loss that are looked at; compile "
                                 "with --precision=f32 to check derivatives, and look at rounding by xf-compile "
                                 "--check",
                                 precision));
  Expected<ModelState> state = ModelState::allocate(session.program, {.gradients = true});
  if (!state)
    return state.error();
  if (options.model.empty()) {
    if (Expected<void> drawn = state->initialize(session.program, options.seed); !drawn)
      return drawn.error();
  } else {
    Expected<Safetensors> file = session.openModel(options.model);
    if (!file)
      return file.error();
    if (Expected<void> loaded = state->loadParameters(session.program, *file); !loaded)
      return loaded.error();
  }
  Expected<std::vector<OwnedTensor>> tensors = randomBatch(session, *session.program.function("loss"), options.seed);
  if (!tensors)
    return tensors.error();
  return Gradcheck(session, *state, viewsOf(*tensors)).run();
}

void xf::runtime::addGradcheck(CLI::App &app, Session &session, Action &action) {
  auto options = std::make_shared<GradcheckOptions>();
  CLI::App *command =
      app.add_subcommand("gradcheck", "Compare the compiled derivatives with differences, per parameter");
  command->add_option("FUNCTION", options->function, "The function whose derivatives are checked");
  command->add_option("--model", options->model, "Parameters to check at; default: initial values from --seed");
  command->add_option("--seed", options->seed, "Seed of the initial values and of the batch")
      ->check(nonNegativeNumber());
  addExecutionOptions(*command, session);
  command->callback(
      [&session, &action, options] { action = [&session, options] { return gradcheck(session, *options); }; });
}
