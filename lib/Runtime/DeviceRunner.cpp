//===- DeviceRunner.cpp - Calls on a GPU -------------------------------------------------===//
// The layout of its memory, what is copied when, and graphs.
//===------------------------------------------------------------------------------------===//
#include "xf/Runtime/DeviceRunner.h"
#include "xf/Runtime/Order.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <set>

using namespace xf::runtime;

static constexpr int64_t alignment = 256; // what the driver aligns allocations to

static int64_t aligned(int64_t bytes, int64_t to) { return (bytes + to - 1) / to * to; }

CallRoom::CallRoom(const Function &function, std::span<const int64_t> dims, int64_t slotBytes,
                   std::span<const TensorView> inputViews, std::span<const TensorView> outputViews) {
  auto place = [&](const std::vector<TensorType> &types, std::span<const TensorView> views,
                   std::vector<int64_t> &offsets) {
    for (size_t i = 0; i < types.size(); ++i) {
      bool stays = !views.empty() && views[i].arena;
      offsets.push_back(stays ? -1 : bytes);
      bytes += stays ? 0 : aligned(types[i].bytesAt(dims), arenaAlignment);
    }
  };
  place(function.inputs, inputViews, inputs);
  inputBytes = bytes;
  place(function.outputs, outputViews, outputs);
  slotsBegin = aligned(bytes, alignment);
  bytes = aligned(slotsBegin + slotBytes, alignment);
}

int64_t xf::runtime::arenaBytesOnDevice(const Program &program, std::span<const Function *const> functions) {
  auto any = [&](bool Function::*uses) {
    return std::any_of(functions.begin(), functions.end(), [&](const Function *each) { return each->*uses; });
  };
  int64_t array = aligned(4 * program.parameterElements, alignment);
  return array * (any(&Function::usesParameters) + any(&Function::usesGradients) + 2 * any(&Function::usesMoments)) +
         (any(&Function::usesPrepared) ? aligned(4 * program.preparedElements, alignment) : 0);
}

struct DeviceRunner::Shape {
  Shape(const Function &function, std::span<const int64_t> dims, std::vector<char *> places, ArenaPlan plan,
        CallRoom room)
      : function(function), dims(dims.begin(), dims.end()), places(std::move(places)), plan(std::move(plan)),
        room(std::move(room)) {}

  const Function &function;
  std::vector<int64_t> dims;
  std::vector<char *> places; // of the arenas
  ArenaPlan plan;
  CallRoom room;
  Walk walk;
  std::vector<void *> parameters;                   // of all launches
  std::vector<std::vector<Device::TensorMap>> maps; // of each launch
  std::vector<size_t> firstParameter;
  char *begin = nullptr; // of the call's room
  Device::Graph graph;
  bool takesGraph = true; // the GPU has memory for one
  int64_t calls = 0, lastUse = 0;

  Expected<void> layOut(const Places &places, const Device &device);
};

/// Pointers to pointers, extents, scalars and tensor maps, in the order in which kernels take them.
Expected<void> DeviceRunner::Shape::layOut(const Places &at, const Device &device) {
  walk.layOut(function, dims, plan, at);
  for (const Walk::Step &step : walk.steps) {
    firstParameter.push_back(parameters.size());
    for (size_t i = 0; i < step.dispatch->operands.size(); ++i)
      parameters.push_back(&walk.pointers[step.buffers + i]);
    for (size_t i = 0; i < step.dispatch->dims.size(); ++i)
      parameters.push_back(&walk.extents[step.dims + i]);
    for (const int64_t &scalar : step.dispatch->scalars)
      parameters.push_back(const_cast<int64_t *>(&scalar));
    auto made = device.makeMaps(step.dispatch->kernel, &walk.pointers[step.buffers], walk.extents.data() + step.dims);
    if (!made)
      return made.error();
    for (Device::TensorMap &map : maps.emplace_back(std::move(*made)))
      parameters.push_back(&map);
  }
  return {};
}

DeviceRunner::DeviceRunner(std::unique_ptr<Device> device) : gpu(std::move(device)) {
  for (InFlight *call : {&ready, &running})
    call->room = std::make_unique<Device::Pinned>(*gpu);
}

Expected<std::unique_ptr<DeviceRunner>> DeviceRunner::open(const Program &program,
                                                           std::span<const XfImage *const> images) {
  Expected<std::unique_ptr<Device>> opened = Device::open(program, images);
  if (!opened)
    return opened.error();
  return std::unique_ptr<DeviceRunner>(new DeviceRunner(std::move(*opened)));
}

DeviceRunner::~DeviceRunner() {
  // A call that failed half-way may have left work behind that uses what is now freed.
  (void)bool(gpu->wait());
  // Who still has arenas wants their values; those of a GPU that is lost nobody can have.
  ready.arenas.clear();
  for (const std::weak_ptr<Arena::Content> &resident : residents)
    if (std::shared_ptr<Arena::Content> arena = resident.lock(); arena && !arena->leave())
      arena->forget();
}

/// Each arena that a function works on, and whether it writes there.
static std::vector<std::pair<Arena, bool>> arenasOf(const Function &function, const ModelArenas &model,
                                                    std::span<const TensorView> inputs,
                                                    std::span<const TensorView> outputs) {
  std::set<std::pair<Space, int64_t>> used, written; // flat arrays are one each
  for (const Dispatch &dispatch : function.dispatches)
    for (size_t i = 0; i < dispatch.operands.size(); ++i) {
      const Operand &operand = dispatch.operands[i];
      bool isTensor = operand.space == Space::Input || operand.space == Space::Output;
      std::pair place(operand.space, isTensor ? operand.index : 0);
      used.insert(place);
      if (std::find(dispatch.writes.begin(), dispatch.writes.end(), int64_t(i)) != dispatch.writes.end())
        written.insert(place);
    }
  std::vector<std::pair<Arena, bool>> arenas;
  for (auto [space, arena] : {std::pair(Space::Parameter, &model.parameters),
                              {Space::Gradient, &model.gradients},
                              {Space::FirstMoment, &model.firstMoments},
                              {Space::SecondMoment, &model.secondMoments},
                              {Space::Prepared, &model.prepared}})
    if (used.count({space, 0}))
      arenas.push_back({*arena, written.count({space, 0}) > 0});
  for (auto [space, views] : {std::pair(Space::Input, inputs), {Space::Output, outputs}})
    for (size_t i = 0; i < views.size(); ++i)
      if (views[i].arena)
        arenas.push_back({*views[i].arena, space == Space::Output || written.count({space, i}) > 0});
  return arenas;
}

Expected<void> DeviceRunner::makeRoom(std::span<const std::pair<Arena, bool>> arenas, int64_t callBytes,
                                      const std::string &what) {
  bool fits = callsBegin + callBytes <= gpu->size() &&
              std::all_of(arenas.begin(), arenas.end(), [&](const auto &each) { return each.first.content->there; });
  if (fits)
    return {};
  // All that has a place gives it up, and then gets a new one.
  if (Expected<void> done = gpu->wait(); !done)
    return done;
  std::vector<std::shared_ptr<Arena::Content>> all;
  for (const std::weak_ptr<Arena::Content> &resident : residents)
    if (std::shared_ptr<Arena::Content> arena = resident.lock()) {
      if (Expected<void> left = arena->leave(); !left)
        return left;
      all.push_back(std::move(arena));
    }
  for (const auto &[arena, writes] : arenas)
    if (std::find(all.begin(), all.end(), arena.content) == all.end())
      all.push_back(arena.content);
  shapes.clear();
  residents.assign(all.begin(), all.end());
  int64_t had = gpu->size() - callsBegin, roomy = std::max(callBytes, had);
  if (had > 0 && callBytes > had)
    roomy += roomy / 2; // the next steps of a search will be larger too
  callsBegin = 0;
  for (const std::shared_ptr<Arena::Content> &arena : all)
    callsBegin += aligned(arena->pages.size(), alignment);
  if (!gpu->reserve(callsBegin + roomy, what))
    if (Expected<void> room = gpu->reserve(callsBegin + callBytes, what); !room)
      return room;
  char *place = gpu->data();
  for (const std::shared_ptr<Arena::Content> &arena : all) {
    arena->enter(*gpu, place);
    place += aligned(arena->pages.size(), alignment);
  }
  return {};
}

Expected<void> DeviceRunner::reserve(std::span<const Call> calls, const ModelArenas &model) {
  std::vector<std::pair<Arena, bool>> arenas;
  int64_t bytes = 0;
  std::string what;
  for (const auto &[function, dims] : calls) {
    for (auto &each : arenasOf(*function, model, {}, {}))
      arenas.push_back(std::move(each));
    int64_t room = CallRoom(*function, dims, workspaceBytes(*function, dims)).bytes;
    if (room > bytes)
      what = "'" + function->name + "'";
    bytes = std::max(bytes, room);
  }
  return makeRoom(arenas, bytes, what);
}

Expected<void> DeviceRunner::prepare(const Function &function, std::span<const int64_t> dims,
                                     std::span<const TensorView> inputs, std::span<const TensorView> outputs,
                                     const ModelArenas &model) {
  ready.shape = nullptr;
  ready.arenas = arenasOf(function, model, inputs, outputs);
  // Tensors of the call that are part of arenas lie at some distance from their beginnings.
  auto placeIn = [](const TensorView &view) {
    return view.arena->content->there + (static_cast<char *>(view.data) - view.arena->content->pages.data());
  };
  auto keyOf = [&] {
    std::vector<char *> places;
    for (const auto &[arena, writes] : ready.arenas)
      places.push_back(arena.content->there);
    for (std::span<const TensorView> views : {inputs, outputs})
      for (const TensorView &view : views)
        if (view.arena)
          places.push_back(placeIn(view));
    return places;
  };
  // A call on arrays that have no place yet is a new one.
  bool hasPlaces = std::all_of(ready.arenas.begin(), ready.arenas.end(),
                               [](const auto &each) { return each.first.content->there != nullptr; });
  std::vector<char *> key = hasPlaces ? keyOf() : std::vector<char *>();
  auto found = std::find_if(shapes.begin(), shapes.end(), [&](const std::shared_ptr<Shape> &shape) {
    return &shape->function == &function && std::equal(dims.begin(), dims.end(), shape->dims.begin()) && hasPlaces &&
           shape->places == key;
  });
  if (found != shapes.end()) {
    ready.shape = *found;
  } else {
    ArenaPlan plan = planFunction(function, dims);
    CallRoom room(function, dims, plan.totalBytes, inputs, outputs);
    if (Expected<void> made = makeRoom(ready.arenas, room.bytes, "'" + function.name + "'"); !made)
      return made;
    // Windows of a text and steps of a search are often alike; batches hardly ever are, and must not pile up.
    constexpr size_t most = 16;
    if (shapes.size() >= most)
      shapes.erase(std::min_element(shapes.begin(), shapes.end(),
                                    [](const auto &a, const auto &b) { return a->lastUse < b->lastUse; }));
    ready.shape = shapes.emplace_back(new Shape(function, dims, keyOf(), std::move(plan), std::move(room)));
    Shape &shape = *ready.shape;
    shape.begin = gpu->data() + callsBegin;
    Places places;
    places.slots = shape.begin + shape.room.slotsBegin;
    for (size_t i = 0; i < inputs.size(); ++i)
      places.inputs.push_back(inputs[i].arena ? placeIn(inputs[i]) : shape.begin + shape.room.inputs[i]);
    for (size_t i = 0; i < outputs.size(); ++i)
      places.outputs.push_back(outputs[i].arena ? placeIn(outputs[i]) : shape.begin + shape.room.outputs[i]);
    for (auto [space, arena] : {std::pair(Space::Parameter, &model.parameters),
                                {Space::Gradient, &model.gradients},
                                {Space::FirstMoment, &model.firstMoments},
                                {Space::SecondMoment, &model.secondMoments},
                                {Space::Prepared, &model.prepared}})
      places.arenas[space] = arena->content->there;
    if (Expected<void> laidOut = shape.layOut(places, *gpu); !laidOut) {
      shapes.pop_back();
      return laidOut;
    }
  }
  ready.shape->lastUse = ++calls;

  const CallRoom &room = ready.shape->room;
  if (Expected<void> pinned = ready.room->reserve(room.slotsBegin); !pinned)
    return pinned;
  ready.results.clear();
  for (size_t i = 0; i < inputs.size(); ++i) {
    const TensorView &input = inputs[i];
    if (input.arena || input.bytes() == 0)
      continue;
    std::memcpy(ready.room->data() + room.inputs[i], input.data, input.bytes());
    if (function.writesInput(i))
      ready.results.push_back({input.data, room.inputs[i], input.bytes()});
  }
  for (size_t i = 0; i < outputs.size(); ++i)
    if (!outputs[i].arena && outputs[i].data && outputs[i].bytes() > 0)
      ready.results.push_back({outputs[i].data, room.outputs[i], outputs[i].bytes()});
  // To make a graph takes longer than to launch it all once, but now there may be time.
  return isRunning || ready.shape->calls > 0 ? makeGraph(*ready.shape) : Expected<void>();
}

const Walk &DeviceRunner::walk() const { return ready.shape->walk; }
const Walk &DeviceRunner::walkOfRunning() const { return running.shape->walk; }
const ArenaPlan &DeviceRunner::plan() const { return ready.shape->plan; }
char *DeviceRunner::slots() const { return ready.shape->begin + ready.shape->room.slotsBegin; }

Expected<void> DeviceRunner::launchAll(const Shape &shape, const std::function<void(size_t)> &observe, bool timed) {
  if (timed)
    if (Expected<void> marked = gpu->mark(0); !marked)
      return marked;
  if (observe)
    observe(0);
  for (size_t index = 0; index < shape.walk.steps.size(); ++index) {
    const Walk::Step &step = shape.walk.steps[index];
    if (Expected<void> launched =
            gpu->launch(step.dispatch->kernel, step.tiles, shape.parameters.data() + shape.firstParameter[index]);
        !launched)
      return launched;
    if (timed)
      if (Expected<void> marked = gpu->mark(index + 1); !marked)
        return marked;
    if (observe)
      observe(index + 1);
  }
  return {};
}

Expected<void> DeviceRunner::makeGraph(Shape &shape) {
  // For measurements: none, or one after another.
  const char *variable = std::getenv("XF_GRAPHS");
  std::string_view setting = variable ? variable : "";
  if (shape.graph || !shape.takesGraph || setting == "none")
    return {};
  std::vector<std::vector<size_t>> order = orderOf(shape.walk, [&](int64_t kernel) { return gpu->isSingle(kernel); });
  std::vector<Device::Node> nodes;
  for (size_t i = 0; i < shape.walk.steps.size(); ++i) {
    const Walk::Step &step = shape.walk.steps[i];
    if (setting == "chain")
      order[i] = i ? std::vector<size_t>{i - 1} : std::vector<size_t>();
    nodes.push_back(
        {step.dispatch->kernel, step.tiles, shape.parameters.data() + shape.firstParameter[i], std::move(order[i])});
  }
  Expected<Device::Graph> graph = gpu->makeGraph(nodes);
  if (!graph)
    return graph.error();
  shape.graph = std::move(*graph);
  shape.takesGraph = bool(shape.graph);
  return {};
}

Expected<void> DeviceRunner::start(const std::function<void(size_t)> &observe, bool timed) {
  Expected<void> asked = ask(observe, timed);
  isRunning = bool(asked);
  if (!asked) // what was asked for before it failed uses memory of the call
    (void)bool(gpu->wait());
  return asked;
}

Expected<void> DeviceRunner::ask(const std::function<void(size_t)> &observe, bool timed) {
  // The other one's memory here is that of the next call: it is free, for its call is finished.
  std::swap(ready.room, running.room);
  running.shape = ready.shape;
  running.results = std::move(ready.results);
  Shape &shape = *running.shape;
  for (const auto &[arena, writes] : std::exchange(ready.arenas, {}))
    if (Expected<void> there = arena.content->use(writes); !there)
      return there;
  if (Expected<void> copied = gpu->copyIn(shape.begin, *running.room, shape.room.inputBytes); !copied)
    return copied;
  ++shape.calls;
  Expected<bool> asGraph = false;
  if (shape.graph && !observe && !timed) {
    asGraph = gpu->launch(shape.graph);
    if (!asGraph)
      return asGraph.error();
    shape.takesGraph = *asGraph;
    if (!*asGraph)
      shape.graph = {};
  }
  if (!*asGraph)
    if (Expected<void> launched = launchAll(shape, observe, timed); !launched)
      return launched;
  // Neighbours are copied together.
  for (size_t i = 0; i < running.results.size();) {
    int64_t begin = running.results[i].offset, end = begin;
    for (; i < running.results.size() && running.results[i].offset <= aligned(end, arenaAlignment); ++i)
      end = running.results[i].offset + running.results[i].bytes;
    if (Expected<void> copied = gpu->copyOut(*running.room, begin, shape.begin + begin, end - begin); !copied)
      return copied;
  }
  return {};
}

Expected<void> DeviceRunner::finish() {
  isRunning = false;
  if (Expected<void> done = gpu->wait(); !done)
    return done;
  for (const InFlight::Result &result : running.results)
    std::memcpy(result.to, running.room->data() + result.offset, result.bytes);
  return {};
}

Expected<void> DeviceRunner::readOutput(size_t output, int64_t offset, int64_t bytes, void *to) {
  const Shape &shape = *running.shape;
  return gpu->copyOut(to, shape.begin + shape.room.outputs[output] + offset, bytes);
}

Expected<std::vector<double>> DeviceRunner::secondsOfSteps() {
  return gpu->secondsBetween(running.shape->walk.steps.size());
}
