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
#include <set>

using namespace xf::runtime;

Executor::Executor(const Program &program, std::span<const KernelFunction> kernels, Team &team,
                   std::span<const XfImage *const> images)
    : program(program), kernels(kernels), images(images), team(team), scratchBytes(runtime::scratchBytes(program)) {}

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

ArenaPlan xf::runtime::planFunction(const Function &function, std::span<const int64_t> at) {
  std::vector<Interval> intervals;
  intervals.reserve(function.slots.size());
  for (const Slot &slot : function.slots)
    intervals.push_back({slot.bytes.at(at), slot.first, slot.last});
  return planArena(intervals);
}

const ArenaPlan &Executor::plan(const Function &function, std::span<const int64_t> at) {
  std::pair key(&function, std::vector<int64_t>(at.begin(), at.end()));
  auto found = plans.find(key);
  if (found != plans.end())
    return found->second;
  // Windows of a text are all alike; the steps of a search never are, and must not pile up.
  if (plans.size() >= 16)
    plans.clear();
  return plans.emplace(std::move(key), planFunction(function, at)).first->second;
}

static int64_t tileCount(const Dispatch &dispatch, std::span<const int64_t> dims) {
  int64_t tiles = 1;
  for (const GridAxis &axis : dispatch.grid)
    tiles *= (axis.extent.at(dims) + axis.tile - 1) / axis.tile;
  return tiles;
}

Expected<void> Executor::prepare(const Function &function, std::span<const TensorView> inputs,
                                 std::span<const TensorView> outputs, const ModelArenas &model) {
  Expected<std::vector<int64_t>> bound = bind(function, inputs);
  if (!bound)
    return bound.error();
  dims = std::move(*bound);
  if ((function.usesGradients && !model.gradients) || (function.usesParameters && !model.parameters) ||
      (function.usesMoments && !(model.firstMoments && model.secondMoments)) ||
      (function.usesPrepared && !model.prepared))
    return internalError(fmt::format("'{}' was called without the arrays it works on", function.name));

  const ArenaPlan &layout = plan(function, dims);
  if (!isForDevice() && layout.totalBytes > arena.size() && layout.totalBytes > arena.size() + availableMemory())
    return userError(fmt::format("not enough memory: '{}' needs {} for these inputs, and {} is available",
                                 function.name, mebibytes(layout.totalBytes),
                                 mebibytes(arena.size() + availableMemory())));
  if (Expected<void> room = arena.reserve(isForDevice() ? 0 : layout.totalBytes); !room)
    return room.error();
  if (Expected<void> room = scratch.reserve(scratchSize()); !room)
    return room.error();

  places = {arena.data(),
            {},
            {},
            {{Space::Parameter, reinterpret_cast<char *>(model.parameters)},
             {Space::Gradient, reinterpret_cast<char *>(model.gradients)},
             {Space::FirstMoment, reinterpret_cast<char *>(model.firstMoments)},
             {Space::SecondMoment, reinterpret_cast<char *>(model.secondMoments)},
             {Space::Prepared, reinterpret_cast<char *>(model.prepared)}}};
  std::vector<char *> &inputData = places.inputs, &outputData = places.outputs;
  for (const TensorType &type : function.inputs)
    inputData.push_back(static_cast<char *>(find(inputs, type.name)->data));
  std::vector<std::pair<size_t, int64_t>> unwantedOffsets; // by output
  int64_t unwantedBytes = 0;
  for (const TensorType &type : function.outputs) {
    std::vector<int64_t> shape = type.shapeAt(dims);
    const TensorView *tensor = find(outputs, type.name);
    if (tensor && (tensor->shape != shape || tensor->type != type.type))
      return internalError(fmt::format("output '{}' of '{}' is {} {}, but got room for {} {}", type.name, function.name,
                                       name(type.type), formatShape(shape), name(tensor->type),
                                       formatShape(tensor->shape)));
    outputData.push_back(tensor ? static_cast<char *>(tensor->data) : nullptr);
    if (!tensor) {
      int64_t bytes = TensorView{type.name, type.type, shape}.bytes();
      unwantedOffsets.push_back({outputData.size() - 1, unwantedBytes});
      unwantedBytes += (bytes + arenaAlignment - 1) / arenaAlignment * arenaAlignment;
    }
  }
  // Not shared: a later dispatch may read an output of this one.
  if (Expected<void> room = unwanted.reserve(unwantedBytes); !room)
    return room.error();
  for (auto [output, offset] : unwantedOffsets)
    outputData[output] = unwanted.data() + offset;
  if (isForDevice())
    if (Expected<void> ready = prepareDevice(function, layout, model); !ready)
      return ready;

  /// The memory of an operand.
  auto place = [&](const Operand &operand) -> std::span<char> {
    auto tensor = [&](char *data, const TensorType &type) {
      return std::span(data, TensorView{type.name, type.type, type.shapeAt(dims)}.bytes());
    };
    switch (operand.space) {
    case Space::Slot:
      return {places.slots + layout.offsets[operand.index], size_t(function.slots[operand.index].bytes.at(dims))};
    case Space::Input:
      return tensor(places.inputs[operand.index], function.inputs[operand.index]);
    case Space::Output:
      return tensor(places.outputs[operand.index], function.outputs[operand.index]);
    default:
      return {places.arenas[operand.space] + operand.index * sizeof(float), operand.elements * sizeof(float)};
    }
  };
  steps.clear();
  pointers.clear();
  bytes.clear();
  extents.clear();
  Phase phase;
  /// One dispatch, on the rows from `row` on of what it sees a chunk of.
  auto addStep = [&](const Dispatch &dispatch, std::span<const int64_t> dims, int64_t row, int64_t rows) {
    int64_t count = tileCount(dispatch, dims);
    if (count <= 0)
      return;
    size_t first = pointers.size();
    std::vector<std::span<char>> places;
    for (size_t i = 0; i < dispatch.operands.size(); ++i) {
      std::span<char> bytes = place(dispatch.operands[i]);
      if (int64_t width = dispatch.chunkBytes[i])
        bytes = bytes.subspan(row * width, rows * width);
      places.push_back(bytes);
      pointers.push_back(bytes.data());
      this->bytes.push_back(bytes.size());
    }
    if (!phase.admits(places, dispatch.writes, count == 1)) {
      steps.back().meets = true;
      phase = {};
      phase.admits(places, dispatch.writes, count == 1);
    }
    if (tiles.size() < phase.steps())
      tiles.emplace_back(team.size());
    steps.push_back({&dispatch, kernels[dispatch.kernel], first, extents.size(), count, phase.steps() - 1, false});
    for (const Affine &dim : dispatch.dims)
      extents.push_back(dim.at(dims));
  };
  auto loop = function.loops.begin();
  for (size_t i = 0; i < function.dispatches.size();) {
    if (loop == function.loops.end() || int64_t(i) < loop->begin) {
      addStep(function.dispatches[i++], dims, 0, 0);
      continue;
    }
    std::vector<int64_t> inChunk = dims;
    int64_t total = dims[loop->of], chunk = dims[loop->dim];
    for (int64_t row = 0; row < total; row += chunk) {
      inChunk[loop->dim] = std::min(chunk, total - row);
      for (int64_t d = loop->begin; d < loop->end; ++d)
        addStep(function.dispatches[d], inChunk, row, inChunk[loop->dim]);
    }
    i = loop++->end;
  }
  return {};
}

Expected<void> Executor::prepareDevice(const Function &function, const ArenaPlan &layout, const ModelArenas &model) {
  if (!device) {
    Expected<std::unique_ptr<Device>> opened = Device::open(program, images);
    if (!opened)
      return opened.error();
    device = std::move(*opened);
  }
  std::set<std::pair<Space, int64_t>> written; // arenas are one each
  for (const Dispatch &dispatch : function.dispatches)
    for (int64_t write : dispatch.writes) {
      const Operand &operand = dispatch.operands[write];
      bool isTensor = operand.space == Space::Input || operand.space == Space::Output;
      written.insert({operand.space, isTensor ? operand.index : 0});
    }
  mirrors.clear();
  constexpr int64_t alignment = 256; // what the driver aligns allocations to
  int64_t end = (layout.totalBytes + alignment - 1) / alignment * alignment;
  auto add = [&](char *&place, int64_t bytes, bool in, bool out) {
    mirrors.push_back({place, reinterpret_cast<char *>(end), bytes, in, out});
    place = reinterpret_cast<char *>(end); // from where the allocation will begin
    end += (bytes + alignment - 1) / alignment * alignment;
  };
  auto bytesOf = [&](const TensorType &type) { return TensorView{type.name, type.type, type.shapeAt(dims)}.bytes(); };
  for (size_t i = 0; i < function.inputs.size(); ++i)
    add(places.inputs[i], bytesOf(function.inputs[i]), true, written.count({Space::Input, i}));
  for (size_t i = 0; i < function.outputs.size(); ++i)
    add(places.outputs[i], bytesOf(function.outputs[i]), false, true);
  for (auto [space, isUsed] : {std::pair(Space::Parameter, function.usesParameters),
                               {Space::Gradient, function.usesGradients},
                               {Space::FirstMoment, function.usesMoments},
                               {Space::SecondMoment, function.usesMoments},
                               {Space::Prepared, function.usesPrepared}})
    if (isUsed)
      add(places.arenas[space], 4 * (space == Space::Prepared ? program.preparedElements : program.parameterElements),
          true, written.count({space, 0}));
  if (Expected<void> room = device->reserve(end, "'" + function.name + "'"); !room)
    return room;
  char *base = device->data();
  auto move = [&](char *&place) { place = base + reinterpret_cast<uintptr_t>(place); };
  for (std::vector<char *> *list : {&places.inputs, &places.outputs})
    for (char *&place : *list)
      move(place);
  for (auto &[space, place] : places.arenas)
    move(place);
  for (Mirror &mirror : mirrors)
    move(mirror.device);
  places.slots = base;
  return {};
}

Expected<void> Executor::execute(const std::function<void(size_t)> &observe) {
  if (isForDevice())
    return executeOnDevice(observe);
  executeByTeam(observe);
  return {};
}

Expected<void> Executor::executeOnDevice(const std::function<void(size_t)> &observe) {
  for (const Mirror &mirror : mirrors)
    if (mirror.in)
      if (Expected<void> copied = device->copyIn(mirror.device, mirror.host, mirror.bytes); !copied)
        return copied;
  std::vector<void *> parameters;
  for (size_t index = 0; index < steps.size(); ++index) {
    const Step &step = steps[index];
    const Dispatch &dispatch = *step.dispatch;
    parameters.clear();
    for (size_t i = 0; i < dispatch.operands.size(); ++i)
      parameters.push_back(&pointers[step.buffers + i]);
    for (size_t i = 0; i < dispatch.dims.size(); ++i)
      parameters.push_back(&extents[step.dims + i]);
    for (const int64_t &scalar : dispatch.scalars)
      parameters.push_back(const_cast<int64_t *>(&scalar));
    if (Expected<void> launched = device->launch(dispatch.kernel, step.tiles, parameters.data()); !launched)
      return launched;
    if (observe)
      observe(index);
  }
  for (const Mirror &mirror : mirrors)
    if (mirror.out)
      if (Expected<void> copied = device->copyOut(mirror.host, mirror.device, mirror.bytes); !copied)
        return copied;
  return device->wait();
}

void Executor::executeByTeam(const std::function<void(size_t)> &observe) {
  auto reset = [&] {
    for (SharedTiles &shared : tiles)
      shared.reset();
  };
  reset();
  // A call of small steps is worker 0's alone, and it must not wait for others where steps are too many for one phase.
  bool alone = !observe && std::all_of(steps.begin(), steps.end(), [](const Step &step) { return step.tiles == 1; });
  auto walk = [&](int worker) {
    void *mine = scratch.data() + worker * scratchBytes;
    for (size_t index = 0; index < steps.size(); ++index) {
      const Step &step = steps[index];
      void *const *buffers = pointers.data() + step.buffers;
      const int64_t *extent = extents.data() + step.dims;
      const int64_t *scalars = step.dispatch->scalars.data();
      if (step.tiles == 1) {
        if (worker == 0)
          step.kernel(buffers, extent, scalars, 0, 1, mine);
      } else {
        for (SharedTiles::Range range; !(range = tiles[step.inPhase].take(worker, step.tiles)).empty();)
          step.kernel(buffers, extent, scalars, range.begin, range.end, mine);
      }
      if ((step.meets && !alone) || observe)
        team.barrier([&] {
          reset();
          if (observe)
            observe(index);
        });
    }
  };
  if (alone)
    walk(0);
  else
    team.run(walk);
}

Expected<void> Executor::run(const Function &function, std::span<const TensorView> inputs,
                             std::span<const TensorView> outputs, const ModelArenas &model) {
  if (Expected<void> prepared = prepare(function, inputs, outputs, model); !prepared)
    return prepared;
  if (!profileReport)
    return execute(nullptr);
  using Clock = std::chrono::steady_clock;
  std::vector<double> seconds(steps.size());
  Clock::time_point last = Clock::now();
  Expected<void> executed = execute([&](size_t index) {
    Clock::time_point now = Clock::now();
    seconds[index] = std::chrono::duration<double>(now - last).count();
    last = now;
  });
  if (!executed)
    return executed;
  // The steps of a loop's chunks are one of the report.
  std::map<const Dispatch *, double> byDispatch;
  for (size_t index = 0; index < steps.size(); ++index)
    byDispatch[steps[index].dispatch] += seconds[index];
  for (auto [dispatch, time] : byDispatch)
    profileReport->add(function, *dispatch, dims, time);
  return {};
}

Expected<void> Executor::observe(const Function &function, std::span<const TensorView> inputs,
                                 std::span<const TensorView> outputs, const ModelArenas &model,
                                 const std::function<void(const Operands &, bool done)> &observer) {
  if (Expected<void> prepared = prepare(function, inputs, outputs, model); !prepared)
    return prepared;
  auto show = [&](size_t index, bool done) {
    if (index < steps.size()) {
      const Step &step = steps[index];
      observer({*step.dispatch, std::span(pointers).subspan(step.buffers, step.dispatch->operands.size()),
                std::span(extents).subspan(step.dims, step.dispatch->dims.size())},
               done);
    }
  };
  show(0, false);
  execute([&](size_t index) {
    show(index, true);
    show(index + 1, false);
  });
  return {};
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

  const ArenaPlan &layout = plan(function, dims);
  auto slotBytes = [&](int64_t slot) { return function.slots[slot].bytes.at(dims); };
  // Both work on a GPU's memory too; what goes wrong there is found by the next launch.
  std::vector<char> fetched;
  auto valuesAt = [&](const void *data, int64_t elements) {
    if (!isForDevice())
      return static_cast<const float *>(data);
    fetched.resize(elements * sizeof(float));
    (void)bool(device->copyOut(fetched.data(), static_cast<const char *>(data), fetched.size()));
    return reinterpret_cast<const float *>(fetched.data());
  };
  auto clear = [&](char *data, int64_t bytes) {
    if (isForDevice())
      (void)bool(device->clear(data, bytes));
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
      clear(places.slots + layout.offsets[byFirst[cleared]], slotBytes(byFirst[cleared]));
  };
  auto dispatchOf = [&](size_t step) { return steps[step].dispatch - function.dispatches.data(); };
  if (!steps.empty())
    clearUntil(dispatchOf(0));

  std::optional<NonFinite> first;
  auto look = [&](const Dispatch &dispatch, const std::string &tensor, const void *data, int64_t elements) {
    const float *values = valuesAt(data, elements);
    for (int64_t i = 0; i < elements; ++i)
      if (!std::isfinite(values[i])) {
        first = NonFinite{dispatch.label, tensor};
        return;
      }
  };
  Expected<void> executed = execute([&](size_t index) {
    const Dispatch &dispatch = *steps[index].dispatch;
    for (int64_t write : dispatch.writes) {
      if (first)
        break;
      Operand operand = dispatch.operands[write];
      const void *data = pointers[steps[index].buffers + write];
      int64_t size = bytes[steps[index].buffers + write];
      if (operand.space == Space::Slot) {
        const Slot &slot = function.slots[operand.index];
        if (slot.type == ElementType::F32)
          look(dispatch, slot.name, data, size / 4);
      } else if (operand.space == Space::Output) {
        const TensorView &output = outputs[operand.index];
        if (output.type == ElementType::F32)
          look(dispatch, std::string(output.name), data, size / 4);
      } else if (operand.space == Space::Gradient) {
        if (const Parameter *parameter = parameterAt(program, operand.index))
          look(dispatch, "grad." + parameter->name, data, parameter->offset + parameter->elements() - operand.index);
      }
    }
    if (index + 1 < steps.size())
      clearUntil(dispatchOf(index + 1));
  });
  if (!executed)
    return executed.error();
  return first;
}
