//===- Executor.cpp - Runs the functions of a program -------------------------------===//
// Binding, preparing (every pointer and extent a dispatch needs, computed once a call), and the walk.
//===--------------------------------------------------------------------------------===//
#include "xf/Runtime/Executor.h"
#include "xf/Runtime/Needs.h"
#include "xf/Runtime/Phase.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <fmt/format.h>
#include <numeric>

using namespace xf::runtime;

Executor::Executor(const Program &program, std::span<const KernelFunction> kernels, Team &team,
                   std::span<const XfImage *const> images, int64_t allowed)
    : program(program), kernels(kernels), images(images), allowed(allowed), team(team),
      scratchBytes(runtime::scratchBytes(program)) {}

static const TensorView *find(std::span<const TensorView> tensors, std::string_view name) {
  for (const TensorView &tensor : tensors)
    if (tensor.name == name)
      return &tensor;
  return nullptr;
}

/// What a function expects of a tensor, with the dims' names: "i32 [source_tokens, 512]".
static std::string describe(const TensorType &type, const Function &function) {
  std::vector<std::string> extents;
  for (const Extent &extent : type.shape)
    extents.push_back(extent.dim < 0 ? std::to_string(extent.size) : function.dims[extent.dim]);
  return fmt::format("{} [{}]", name(type.type), fmt::join(extents, ", "));
}

Expected<std::vector<int64_t>> Executor::bind(const Function &function, std::span<const TensorView> inputs) const {
  std::vector<int64_t> bound(function.dims.size(), -1);
  std::vector<const TensorType *> boundBy(function.dims.size(), nullptr);
  for (const TensorType &type : function.inputs) {
    const TensorView *tensor = find(inputs, type.name);
    if (!tensor)
      return userError(fmt::format("'{}' needs the input '{}' ({}), which is missing", function.name, type.name,
                                   describe(type, function)));
    if (tensor->type != type.type || tensor->shape.size() != type.shape.size())
      return userError(fmt::format("expected input '{}' of '{}' to be {}, but got {} {}", type.name, function.name,
                                   describe(type, function), name(tensor->type), formatShape(tensor->shape)));
    for (size_t axis = 0; axis < type.shape.size(); ++axis) {
      Extent extent = type.shape[axis];
      int64_t size = tensor->shape[axis];
      if (extent.dim < 0) {
        if (size != extent.size)
          return userError(fmt::format("expected extent {} of input '{}' of '{}' to be {}, but got {}", axis, type.name,
                                       function.name, extent.size, size));
      } else if (!boundBy[extent.dim]) {
        bound[extent.dim] = size;
        boundBy[extent.dim] = &type;
      } else if (bound[extent.dim] != size) {
        return userError(fmt::format("expected '{}' of input '{}' to match '{}' ({}), but got {}",
                                     function.dims[extent.dim], type.name, boundBy[extent.dim]->name, bound[extent.dim],
                                     size));
      }
    }
  }
  function.setChunks(bound);
  return bound;
}

const ArenaPlan &Executor::plan(const Function &function, std::span<const int64_t> at) {
  // Steps of a search differ in the rows of caches alone, which no slot has.
  std::pair key(&function, std::vector<int64_t>());
  for (const Slot &slot : function.slots)
    key.second.push_back(slot.bytes.at(at));
  auto found = plans.find(key);
  if (found != plans.end())
    return found->second;
  // Windows of a text are all alike; batches of sentences never are, and must not pile up.
  if (plans.size() >= 16)
    plans.clear();
  return plans.emplace(std::move(key), planFunction(function, at)).first->second;
}

Expected<void> Executor::prepare(const Function &function, std::span<const TensorView> inputs,
                                 std::span<const TensorView> outputs, const ModelArenas &model) {
  Expected<std::vector<int64_t>> bound = bind(function, inputs);
  if (!bound)
    return bound.error();
  if ((function.usesGradients && model.gradients.isEmpty()) ||
      (function.usesParameters && model.parameters.isEmpty()) ||
      (function.usesMoments && (model.firstMoments.isEmpty() || model.secondMoments.isEmpty())) ||
      (function.usesPrepared && model.prepared.isEmpty()))
    return internalError(fmt::format("'{}' was called without the arrays it works on", function.name));
  // Those of the function, in order; an output nobody asks for has no data.
  std::vector<TensorView> ordered, wanted;
  for (const TensorType &type : function.inputs)
    ordered.push_back(*find(inputs, type.name));
  for (const TensorType &type : function.outputs) {
    TensorView expected{type.name, type.type, type.shapeAt(*bound)};
    const TensorView *tensor = find(outputs, type.name);
    if (tensor && (tensor->shape != expected.shape || tensor->type != type.type))
      return internalError(fmt::format("output '{}' of '{}' is {} {}, but got room for {} {}", type.name, function.name,
                                       name(type.type), formatShape(expected.shape), name(tensor->type),
                                       formatShape(tensor->shape)));
    wanted.push_back(tensor ? *tensor : expected);
  }
  ready = {&function, std::move(*bound)};
  if (!isForDevice())
    return prepareTeam(ordered, wanted, model);
  if (Expected<void> opened = open(); !opened)
    return opened;
  return runner->prepare(function, ready.dims, ordered, wanted, model);
}

Expected<void> Executor::open() {
  if (!isForDevice() || runner)
    return {};
  Expected<std::unique_ptr<DeviceRunner>> opened = DeviceRunner::open(program, images);
  if (!opened)
    return opened.error();
  runner = std::move(*opened);
  runner->device().allow(allowed);
  return {};
}

Expected<void> Executor::reserve(std::span<const Call> calls, const ModelArenas &model) {
  if (!isForDevice())
    return {};
  Expected<void> opened = open();
  return opened ? runner->reserve(calls, model) : opened;
}

Expected<void> Executor::prepareTeam(std::span<const TensorView> inputs, std::span<const TensorView> outputs,
                                     const ModelArenas &model) {
  const Function &function = *ready.function;
  const ArenaPlan &layout = plan(function, ready.dims);
  if (layout.totalBytes > arena.size() && layout.totalBytes > arena.size() + runtime::availableMemory())
    return userError(fmt::format("not enough memory: '{}' needs {} for these inputs, and {} is available",
                                 function.name, formatBytes(layout.totalBytes),
                                 formatBytes(arena.size() + runtime::availableMemory())));
  if (Expected<void> room = arena.reserve(layout.totalBytes); !room)
    return room.error();
  if (Expected<void> room = scratch.reserve(scratchSize()); !room)
    return room.error();

  auto here = [](const Arena &arena) { return reinterpret_cast<char *>(arena.here()); };
  Places places{arena.data(),
                {},
                {},
                {{Space::Parameter, here(model.parameters)},
                 {Space::Gradient, here(model.gradients)},
                 {Space::FirstMoment, here(model.firstMoments)},
                 {Space::SecondMoment, here(model.secondMoments)},
                 {Space::Prepared, here(model.prepared)}}};
  for (const TensorView &input : inputs)
    places.inputs.push_back(static_cast<char *>(input.data));
  // Outputs nobody asks for. Not shared: a later dispatch may read an output of this one.
  auto roomOf = [](const TensorView &output) {
    return output.data ? 0 : (output.bytes() + arenaAlignment - 1) / arenaAlignment * arenaAlignment;
  };
  int64_t unwantedBytes = 0;
  for (const TensorView &output : outputs)
    unwantedBytes += roomOf(output);
  if (Expected<void> room = unwanted.reserve(unwantedBytes); !room)
    return room.error();
  char *next = unwanted.data();
  for (const TensorView &output : outputs) {
    places.outputs.push_back(output.data ? static_cast<char *>(output.data) : next);
    next += roomOf(output);
  }
  outputPlaces = places.outputs;
  own.layOut(function, ready.dims, layout, places);

  meetings.clear();
  Phase phase;
  std::vector<std::span<char>> operands;
  for (const Walk::Step &step : own.steps) {
    operands.clear();
    for (size_t i = 0; i < step.dispatch->operands.size(); ++i)
      operands.emplace_back(static_cast<char *>(own.pointers[step.buffers + i]), own.bytes[step.buffers + i]);
    if (!phase.admits(operands, step.dispatch->writes, step.tiles == 1)) {
      meetings.back().meets = true;
      phase = {};
      phase.admits(operands, step.dispatch->writes, step.tiles == 1);
    }
    if (tiles.size() < phase.steps())
      tiles.emplace_back(team.size());
    meetings.push_back({phase.steps() - 1, false});
  }
  return {};
}

Expected<void> Executor::execute(const std::function<void(size_t)> &observe) {
  running = ready;
  if (isForDevice()) {
    Expected<void> started = runner->start(observe, false);
    return started ? runner->finish() : started;
  }
  executeByTeam(observe);
  return {};
}

void Executor::executeByTeam(const std::function<void(size_t)> &observe) {
  auto reset = [&] {
    for (SharedTiles &shared : tiles)
      shared.reset();
  };
  reset();
  // A call of small steps is worker 0's alone, and it must not wait for others where steps are too many for one phase.
  const std::vector<Walk::Step> &steps = own.steps;
  bool alone =
      !observe && std::all_of(steps.begin(), steps.end(), [](const Walk::Step &step) { return step.tiles == 1; });
  auto walk = [&](int worker) {
    void *mine = scratch.data() + worker * scratchBytes;
    for (size_t index = 0; index < steps.size(); ++index) {
      const Walk::Step &step = steps[index];
      KernelFunction kernel = kernels[step.dispatch->kernel];
      void *const *buffers = own.pointers.data() + step.buffers;
      const int64_t *extent = own.extents.data() + step.dims;
      const int64_t *scalars = step.dispatch->scalars.data();
      if (scratchBytes > 0) // what a kernel remembers from range to range
        std::memset(mine, 0, sizeof(int64_t));
      if (step.tiles == 1) {
        if (worker == 0)
          kernel(buffers, extent, scalars, 0, 1, mine);
      } else {
        for (SharedTiles::Range range; !(range = tiles[meetings[index].inPhase].take(worker, step.tiles)).empty();)
          kernel(buffers, extent, scalars, range.begin, range.end, mine);
      }
      if ((meetings[index].meets && !alone) || observe)
        team.barrier([&] {
          reset();
          if (observe)
            observe(index + 1);
        });
    }
  };
  if (observe)
    observe(0);
  if (alone)
    walk(0);
  else
    team.run(walk);
}

Expected<void> Executor::start() {
  running = ready;
  if (isForDevice())
    return runner->start(nullptr, profileReport != nullptr);
  if (!profileReport) {
    executeByTeam(nullptr);
    return {};
  }
  using Clock = std::chrono::steady_clock;
  std::vector<double> seconds(own.steps.size());
  Clock::time_point last;
  executeByTeam([&](size_t done) {
    Clock::time_point now = Clock::now();
    if (done > 0)
      seconds[done - 1] = std::chrono::duration<double>(now - last).count();
    last = now;
  });
  addToProfile(own.steps, seconds); // the next call may be laid out before this one is finished
  return {};
}

Expected<void> Executor::finish() {
  if (!isForDevice())
    return {};
  if (Expected<void> finished = runner->finish(); !finished || !profileReport)
    return finished;
  Expected<std::vector<double>> seconds = runner->secondsOfSteps();
  if (!seconds)
    return seconds.error();
  addToProfile(runner->walkOfRunning().steps, *seconds);
  return {};
}

void Executor::addToProfile(std::span<const Walk::Step> steps, std::span<const double> seconds) {
  // The steps of a loop's chunks are one of the report.
  std::map<const Dispatch *, double> byDispatch;
  for (size_t index = 0; index < steps.size(); ++index)
    byDispatch[steps[index].dispatch] += seconds[index];
  for (auto [dispatch, time] : byDispatch)
    profileReport->add(*running.function, *dispatch, running.dims, time);
}

Expected<void> Executor::run(const Function &function, std::span<const TensorView> inputs,
                             std::span<const TensorView> outputs, const ModelArenas &model) {
  if (Expected<void> prepared = prepare(function, inputs, outputs, model); !prepared)
    return prepared;
  Expected<void> started = start();
  return started ? finish() : started;
}

Expected<void> Executor::readOutput(std::string_view name, int64_t offset, int64_t bytes, void *to) {
  size_t output = *running.function->output(name);
  if (isForDevice())
    return runner->readOutput(output, offset, bytes, to);
  std::memcpy(to, outputPlaces[output] + offset, bytes);
  return {};
}

Expected<MachineLimits> Executor::limits() {
  if (!isForDevice())
    return measureLimits(team);
  if (Expected<void> opened = open(); !opened)
    return opened.error();
  const Device::Facts &facts = runner->device().facts();
  std::string precision = program.options.value("precision", "f32");
  double flops = precision == "bf16" ? facts.tensorFlops : precision == "tf32" ? facts.tensorFlops / 2 : facts.flops;
  return MachineLimits{.flops = flops, .bytes = facts.bytes, .gpu = facts.name};
}

Expected<int64_t> Executor::availableMemory() {
  if (!isForDevice())
    return runtime::availableMemory();
  Expected<void> opened = open();
  return opened ? runner->device().availableMemory() : opened.error();
}

Expected<void> Executor::observe(const Function &function, std::span<const TensorView> inputs,
                                 std::span<const TensorView> outputs, const ModelArenas &model,
                                 const std::function<void(const Operands &, bool done)> &observer) {
  if (Expected<void> prepared = prepare(function, inputs, outputs, model); !prepared)
    return prepared;
  const Walk &steps = walk();
  std::vector<std::vector<char>> copies;
  Expected<void> copied;
  auto show = [&](size_t index, bool done) {
    if (index >= steps.steps.size() || !copied)
      return;
    const Walk::Step &step = steps.steps[index];
    size_t count = step.dispatch->operands.size();
    std::vector<void *> buffers(steps.pointers.begin() + step.buffers, steps.pointers.begin() + step.buffers + count);
    if (isForDevice()) {
      copies.resize(count);
      for (size_t i = 0; i < count && copied; ++i) {
        copies[i].resize(steps.bytes[step.buffers + i]);
        copied = runner->device().copyOut(
            copies[i].data(), static_cast<char *>(std::exchange(buffers[i], copies[i].data())), copies[i].size());
      }
    }
    if (copied)
      observer({*step.dispatch, buffers, std::span(steps.extents).subspan(step.dims, step.dispatch->dims.size())},
               done);
  };
  Expected<void> executed = execute([&](size_t done) {
    if (done > 0)
      show(done - 1, true);
    show(done, false);
  });
  return copied ? executed : copied;
}

/// The parameter that owns element `offset` of the flat arrays.
static const Parameter *parameterAt(const Program &program, int64_t offset) {
  for (const Parameter &parameter : program.parameters)
    if (offset >= parameter.offset && offset < parameter.offset + parameter.elements())
      return &parameter;
  return nullptr;
}

Expected<std::optional<NonFinite>> Executor::findNonFinite(const Function &function, std::span<const TensorView> inputs,
                                                           const ModelArenas &model) {
  // All outputs have room of their own here: they are looked at too.
  Expected<std::vector<int64_t>> bound = bind(function, inputs);
  if (!bound)
    return bound.error();
  std::vector<std::vector<char>> storage;
  std::vector<TensorView> outputs;
  for (const TensorType &type : function.outputs) {
    outputs.push_back({type.name, type.type, type.shapeAt(*bound)});
    storage.emplace_back(outputs.back().bytes());
    outputs.back().data = storage.back().data();
  }
  if (Expected<void> prepared = prepare(function, inputs, outputs, model); !prepared)
    return prepared.error();

  const ArenaPlan &layout = runner ? runner->plan() : plan(function, ready.dims);
  char *slots = runner ? runner->slots() : arena.data();
  const std::vector<Walk::Step> &steps = walk().steps;
  const std::vector<void *> &pointers = walk().pointers;
  const std::vector<size_t> &bytes = walk().bytes;
  auto slotBytes = [&](int64_t slot) { return function.slots[slot].bytes.at(ready.dims); };
  // Both work on a GPU's memory too; what goes wrong there is found by the next launch.
  std::vector<char> fetched;
  auto valuesAt = [&](const void *data, int64_t bytes) {
    if (!isForDevice())
      return data;
    fetched.resize(bytes);
    (void)bool(runner->device().copyOut(fetched.data(), static_cast<const char *>(data), fetched.size()));
    return static_cast<const void *>(fetched.data());
  };
  auto clear = [&](char *data, int64_t bytes) {
    if (isForDevice())
      (void)bool(runner->device().clear(data, bytes));
    else
      std::memset(data, 0, bytes);
  };
  // What a dispatch writes only a part of must not show the bytes of a dead slot: a slot is cleared when its life
  // begins.
  size_t cleared = 0;
  std::vector<size_t> byFirst(function.slots.size());
  std::iota(byFirst.begin(), byFirst.end(), 0);
  std::sort(byFirst.begin(), byFirst.end(),
            [&](size_t a, size_t b) { return function.slots[a].first < function.slots[b].first; });
  auto clearUntil = [&](int64_t dispatch) {
    for (; cleared < byFirst.size() && function.slots[byFirst[cleared]].first <= dispatch; ++cleared)
      clear(slots + layout.offsets[byFirst[cleared]], slotBytes(byFirst[cleared]));
  };

  std::optional<NonFinite> first;
  auto look = [&](const Dispatch &dispatch, const std::string &tensor, const void *data, int64_t bytes,
                  ElementType type) {
    if (type != ElementType::F32 && type != ElementType::BF16)
      return;
    const void *values = valuesAt(data, bytes);
    auto isFinite = [&](int64_t i) { // no exponent of ones alone
      return type == ElementType::F32 ? std::isfinite(static_cast<const float *>(values)[i])
                                      : ~static_cast<const uint16_t *>(values)[i] & 0x7f80;
    };
    for (int64_t i = 0; i < bytes / byteWidth(type); ++i)
      if (!isFinite(i)) {
        first = NonFinite{dispatch.label, tensor};
        return;
      }
  };
  auto lookAt = [&](const Walk::Step &step) {
    const Dispatch &dispatch = *step.dispatch;
    for (int64_t write : dispatch.writes) {
      if (first)
        break;
      Operand operand = dispatch.operands[write];
      const void *data = pointers[step.buffers + write];
      int64_t size = bytes[step.buffers + write];
      if (operand.space == Space::Slot) {
        const Slot &slot = function.slots[operand.index];
        look(dispatch, slot.name, data, size, slot.type);
      } else if (operand.space == Space::Output) {
        const TensorView &output = outputs[operand.index];
        look(dispatch, std::string(output.name), data, size, output.type);
      } else if (operand.space == Space::Gradient) {
        if (const Parameter *parameter = parameterAt(program, operand.index))
          look(dispatch, "grad." + parameter->name, data,
               4 * (parameter->offset + parameter->elements() - operand.index), ElementType::F32);
      }
    }
  };
  Expected<void> executed = execute([&](size_t done) {
    if (done > 0)
      lookAt(steps[done - 1]);
    if (done < steps.size())
      clearUntil(steps[done].number);
  });
  if (!executed)
    return executed.error();
  return first;
}
