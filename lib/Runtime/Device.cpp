//===- Device.cpp - A GPU, through NVIDIA's driver ----------------------------------------===//
// The functions of the driver's interface that are used, declared here: nothing of CUDA is needed to build xf or to
// start an executable.
//===--------------------------------------------------------------------------------===//
#include "xf/Runtime/Device.h"
#include "xf/Runtime/Memory.h"
#include "xf/Runtime/Needs.h"

#include <cstdlib>
#include <dlfcn.h>
#include <fmt/format.h>

using namespace xf::runtime;

namespace {
using Result = int; // CUresult: 0 is success
constexpr Result outOfMemory = 2, notInitialized = 3, noDevice = 100;

/// Faults of a kernel, after which nothing works any more: illegal addresses and instructions, asserts, the hardware's
/// stack, misaligned accesses, and what has no name (but not a launch that took too long for a display's GPU).
bool isFault(Result error) {
  constexpr Result illegalAddress = 700, assertion = 710, hardwareStack = 714, launchFailed = 719;
  return error == illegalAddress || error == assertion || (error >= hardwareStack && error <= launchFailed);
}
/// Whether the GPU, or this process's use of it, is gone.
bool isLost(Result error) {
  constexpr Result uncorrectable = 214, linkFailed = 220, contained = 226, timeout = 702, unknown = 999;
  return isFault(error) || error == uncorrectable || error == linkFailed || error == contained || error == timeout ||
         error == unknown;
}
/// Whether we asked for what can't be, or a kernel did.
bool isOurs(Result error) {
  constexpr Result invalidValue = 1, invalidHandle = 400, notFound = 500, tooManyResources = 701;
  return isFault(error) || error == invalidValue || error == invalidHandle || error == notFound ||
         error == tooManyResources;
}

enum Attribute {  // CUdevice_attribute
  clockRate = 13, // in kHz, as the other
  multiprocessors = 16,
  memoryClockRate = 36,
  memoryBusWidth = 37,
  capabilityMajor = 75,
  capabilityMinor = 76
};
using Address = unsigned long long; // CUdeviceptr
using Handle = void *;              // contexts, streams, modules, functions, graphs, events

struct NodeParameters { // CUDA_KERNEL_NODE_PARAMS_v1
  Handle function;
  unsigned gridX, gridY, gridZ, blockX, blockY, blockZ, shared;
  void **parameters, **extra;
};

/// The driver's functions, each named as in its library, without "cu"; all but the last are in CUDA 11.8's.
#define XF_DRIVER(F)                                                                                                   \
  F(Init, unsigned flags)                                                                                              \
  F(DriverGetVersion, int *version)                                                                                    \
  F(GetErrorString, Result error, const char **text)                                                                   \
  F(DeviceGetCount, int *count)                                                                                        \
  F(DeviceGet, int *device, int ordinal)                                                                               \
  F(DeviceGetName, char *name, int length, int device)                                                                 \
  F(DeviceGetAttribute, int *value, int attribute, int device)                                                         \
  F(DeviceTotalMem_v2, size_t *bytes, int device)                                                                      \
  F(DevicePrimaryCtxRetain, Handle *context, int device)                                                               \
  F(DevicePrimaryCtxRelease_v2, int device)                                                                            \
  F(CtxPushCurrent_v2, Handle context)                                                                                 \
  F(CtxPopCurrent_v2, Handle *context)                                                                                 \
  F(MemGetInfo_v2, size_t *free, size_t *total)                                                                        \
  F(MemAlloc_v2, Address *address, size_t bytes)                                                                       \
  F(MemFree_v2, Address address)                                                                                       \
  F(MemHostAlloc, void **address, size_t bytes, unsigned flags)                                                        \
  F(MemFreeHost, void *address)                                                                                        \
  F(MemcpyHtoDAsync_v2, Address to, const void *from, size_t bytes, Handle stream)                                     \
  F(MemcpyDtoHAsync_v2, void *to, Address from, size_t bytes, Handle stream)                                           \
  F(MemsetD8Async, Address to, unsigned char value, size_t bytes, Handle stream)                                       \
  F(StreamCreate, Handle *stream, unsigned flags)                                                                      \
  F(StreamDestroy_v2, Handle stream)                                                                                   \
  F(StreamSynchronize, Handle stream)                                                                                  \
  F(GraphCreate, Handle *graph, unsigned flags)                                                                        \
  F(GraphAddKernelNode, Handle *node, Handle graph, const Handle *after, size_t count, const NodeParameters *kernel)   \
  F(GraphInstantiateWithFlags, Handle *executable, Handle graph, unsigned long long flags)                             \
  F(GraphDestroy, Handle graph)                                                                                        \
  F(GraphExecDestroy, Handle executable)                                                                               \
  F(GraphLaunch, Handle executable, Handle stream)                                                                     \
  F(EventCreate, Handle *event, unsigned flags)                                                                        \
  F(EventDestroy_v2, Handle event)                                                                                     \
  F(EventRecord, Handle event, Handle stream)                                                                          \
  F(EventElapsedTime, float *milliseconds, Handle start, Handle end)                                                   \
  F(ModuleLoadData, Handle *module, const void *image)                                                                 \
  F(ModuleUnload, Handle module)                                                                                       \
  F(ModuleGetFunction, Handle *function, Handle module, const char *name)                                              \
  F(FuncSetAttribute, Handle function, int attribute, int value)                                                       \
  F(LaunchKernel, Handle function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX, unsigned blockY,   \
    unsigned blockZ, unsigned shared, Handle stream, void **parameters, void **extra)                                  \
  F(TensorMapEncodeTiled, void *map, int type, uint32_t rank, Address address, const uint64_t *extents,                \
    const uint64_t *pitches, const uint32_t *box, const uint32_t *steps, int interleave, int swizzle, int promotion,   \
    int outside)

struct Driver {
#define XF_MEMBER(name, ...) Result (*name)(__VA_ARGS__) = nullptr;
  XF_DRIVER(XF_MEMBER)
#undef XF_MEMBER
};

constexpr const char *library = "libcuda.so.1";

Expected<Driver> loadDriver() {
  void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  if (!handle)
    return userError(fmt::format("the driver's library can't be loaded: {}", dlerror()));
  Driver driver;
  const char *missing = nullptr;
  auto find = [&](auto &function, const char *name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(handle, name));
    if (!function && !missing)
      missing = name;
  };
#define XF_FIND(name, ...) find(driver.name, "cu" #name);
  XF_DRIVER(XF_FIND)
#undef XF_FIND
  if (missing && missing != std::string_view("cuTensorMapEncodeTiled")) // which few programs need
    return userError(fmt::format(
        "the NVIDIA driver is too old: {} has no {}; it has to be 520 (CUDA 11.8) or a newer one", library, missing));
  return driver;
}
} // namespace

/// What to do without a GPU.
static std::string onProcessor(const Program &program) {
  return fmt::format("{} to run on the processor", !program.hasTwin    ? "compile with --target=cpu"
                                                   : program.isLibrary ? "open it on the device 'cpu'"
                                                                       : "pass --device=cpu");
}

struct Device::State {
  Driver driver{};
  int device = 0, count = 0, version = 0; // 12040: the driver's, for CUDA 12.4
  Facts facts;
  Handle context = nullptr, stream = nullptr;
  std::vector<Handle> modules, functions, events;
  const Program *program = nullptr;
  bool isLoaded = false;
  int64_t processors = 0;
  Address memory = 0;
  int64_t bytes = 0, allowed = 0;
  mutable Result failure = 0; // since the GPU is lost each call fails with the same

  /// Calls a function of the driver with the GPU's context current, and then puts back what was: a library is called on
  /// any thread of its program, which may have another context there, for other work.
  template <typename... Parameters>
  Result call(Result (*Driver::*function)(Parameters...), std::type_identity_t<Parameters>... arguments) const {
    if (Result entered = driver.CtxPushCurrent_v2(context))
      return entered;
    Result result = (driver.*function)(arguments...);
    Handle left;
    driver.CtxPopCurrent_v2(&left);
    return result;
  }
  /// `what` and its arguments say what the GPU was to do.
  template <typename... Args>
  Expected<void> check(Result result, fmt::format_string<Args...> what, Args &&...args) const {
    if (result == 0)
      return {};
    std::string asked = fmt::format(what, std::forward<Args>(args)...);
    if (result == outOfMemory && program)
      return tooFull(asked);
    const char *text = nullptr;
    if (driver.GetErrorString(result, &text) != 0 || !text)
      text = "unknown error";
    std::string message = fmt::format("GPU {}: can't {}: {} (CUDA error {})",
                                      facts.name.empty() ? "0" : "'" + facts.name + "'", asked, text, result);
    if (isLost(result) && std::exchange(failure, result) == result)
      message += "; it is lost since an earlier call, with what it held: go on in a new process, from what was saved";
    return isOurs(result) ? internalError(message) : userError(message);
  }

  Error tooOld(const char *needed) const {
    return userError(fmt::format("the NVIDIA driver is too old: it is for CUDA {}.{}, and has to be {} or a newer one",
                                 version / 1000, version % 1000 / 10, needed));
  }
  Expected<void> copyIn(char *to, const void *from, int64_t bytes) const;
  Expected<void> copyOut(void *to, const char *from, int64_t bytes) const;
  /// How a kernel is launched, by itself or in a graph.
  NodeParameters launchOf(int64_t kernel, int64_t tiles, void *const *parameters) const;
  Expected<void> find();
  Expected<int64_t> availableMemory() const;
  /// That there is less than is `needed`.
  Error notEnough(const std::string &needed) const;
  /// That there was too little for what the driver was `asked`, which needs memory of which no plan knows.
  Error tooFull(const std::string &asked) const;
  /// Where the one GPU that is taken won't do: "; CUDA_VISIBLE_DEVICES=N takes another one".
  std::string another() const { return count > 1 ? "; CUDA_VISIBLE_DEVICES=N takes another one" : ""; }
  Expected<void> load(const Program &program, std::span<const XfImage *const> images);
};

Expected<void> Device::State::find() {
  Expected<Driver> loaded = loadDriver();
  if (!loaded)
    return loaded.error();
  driver = *loaded;
  auto findsNone = [] {
    const char *visible = std::getenv("CUDA_VISIBLE_DEVICES");
    return userError("the driver finds none" +
                     (visible ? fmt::format(" (CUDA_VISIBLE_DEVICES is '{}')", visible) : std::string()));
  };
  Result started = driver.Init(0);
  if (started == noDevice)
    return findsNone();
  if (started == notInitialized)
    return userError("its driver works in no process that was forked from one that uses it (CUDA error 3): start this "
                     "one by spawn or exec");
  if (Expected<void> ok = check(started, "start the driver"); !ok)
    return ok;
  if (Expected<void> ok = check(driver.DriverGetVersion(&version), "ask for the driver's version"); !ok)
    return ok;
  if (version < 11080)
    return tooOld("520 (CUDA 11.8)");
  if (Expected<void> ok = check(driver.DeviceGetCount(&count), "count GPUs"); !ok)
    return ok;
  if (count == 0)
    return findsNone();
  char text[128] = "";
  if (Expected<void> ok = check(driver.DeviceGet(&device, 0), "be opened"); !ok)
    return ok;
  if (Expected<void> ok = check(driver.DeviceGetName(text, sizeof(text), device), "be named"); !ok)
    return ok;
  facts.name = text;
  size_t total = 0;
  if (Expected<void> ok = check(driver.DeviceTotalMem_v2(&total, device), "tell its memory"); !ok)
    return ok;
  facts.memory = int64_t(total);
  std::map<Attribute, int> values;
  for (Attribute attribute :
       {capabilityMajor, capabilityMinor, multiprocessors, clockRate, memoryClockRate, memoryBusWidth})
    if (Expected<void> ok = check(driver.DeviceGetAttribute(&values[attribute], attribute, device), "tell attribute {}",
                                  int(attribute));
        !ok)
      return ok;
  int capability = 10 * values[capabilityMajor] + values[capabilityMinor];
  facts.architecture = fmt::format("sm_{}", capability);
  processors = values[multiprocessors];
  // Of a multiprocessor in a clock: multiply-adds in f32, and of matrices in bf16.
  double cycles = double(values[multiprocessors]) * values[clockRate] * 1e3;
  facts.flops = cycles * 2 * (capability == 80 ? 64 : 128);
  int products = capability == 80 ? 1024 : capability / 10 == 9 ? 2048 : capability / 10 == 10 ? 4096 : 512;
  facts.tensorFlops = cycles * 2 * products;
  facts.bytes = 2.0 * values[memoryClockRate] * 1e3 * values[memoryBusWidth] / 8; // at both edges of its clock
  return {};
}

/// "sm_80" as 80.
static int numberOf(const std::string &architecture) { return std::atoi(architecture.c_str() + 3); }

Expected<void> Device::State::load(const Program &loaded, std::span<const XfImage *const> images) {
  program = &loaded;
  int wanted = numberOf(program->gpu), have = numberOf(facts.architecture);
  constexpr int oldest = 80; // that kernels are compiled for
  // An "a" is for instructions that no other architecture has.
  bool isForOne = program->gpu.ends_with("a");
  if (isForOne && have != wanted)
    return userError(fmt::format("this {} was compiled for {}, whose code runs on no other GPU, but '{}' is {}; {}{}",
                                 program->form(), program->gpu, facts.name, facts.architecture,
                                 have < oldest ? onProcessor(*program) : "compile with --gpu=sm_80 for both",
                                 another()));
  if (have < wanted)
    return userError(fmt::format("this {} was compiled for {} and newer GPUs, but '{}' is {}; {}{}", program->form(),
                                 program->gpu, facts.name, facts.architecture,
                                 have < oldest ? onProcessor(*program) : "compile with --gpu=sm_80", another()));
  if (isForOne && version < 12000) // whose PTX came with it
    return tooOld("525 (CUDA 12.0)");
  if (wanted >= 100 && version < 12080)
    return tooOld("570 (CUDA 12.8)");
  if (Result made = driver.DevicePrimaryCtxRetain(&context, device)) {
    context = nullptr;
    Error error = check(made, "make a context").error();
    return made == outOfMemory ? error : Error{error.message + another(), error.exitCode};
  }
  if (Expected<void> ok = check(call(&Driver::StreamCreate, &stream, /*CU_STREAM_NON_BLOCKING*/ 1), "make a stream");
      !ok)
    return ok;
  for (size_t i = 0; i < images.size(); ++i) {
    // Machine code is for GPUs of its own generation, from its own number on.
    const XfImage &image = *images[i];
    bool takesCode = image.codeSize > 0 && have / 10 == wanted / 10;
    const std::string &name = program->kernels[i].name;
    Handle &module = modules.emplace_back();
    Result loadedAs = takesCode ? call(&Driver::ModuleLoadData, &module, image.code) : 0;
    // Code that is not for this GPU, or of a newer assembler than the driver knows.
    if (!takesCode || (loadedAs != 0 && loadedAs != outOfMemory))
      loadedAs = call(&Driver::ModuleLoadData, &module, image.ptx);
    if (loadedAs != 0)
      modules.pop_back();
    if (Expected<void> ok = check(loadedAs, "load kernel '{}'", name); !ok)
      return ok;
    if (Expected<void> ok =
            check(call(&Driver::ModuleGetFunction, &functions.emplace_back(), modules.back(), "xf_kernel"),
                  "find kernel '{}'", name);
        !ok)
      return ok;
    const Launch &launch = program->kernels[i].launch;
    constexpr int mostDynamicShared = 8; // CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
    if (launch.shared > 0)
      if (Expected<void> ok =
              check(call(&Driver::FuncSetAttribute, functions.back(), mostDynamicShared, int(launch.shared)),
                    "give kernel '{}' {} bytes of shared memory", name, launch.shared);
          !ok)
        return ok;
  }
  isLoaded = true;
  return {};
}

Device::Device(std::unique_ptr<State> state) : state(std::move(state)) {}

static Error elsewhere(const Program &program, const Error &error) {
  return {fmt::format("this {} runs on an NVIDIA GPU, but {}; {}", program.form(), error.message, onProcessor(program)),
          error.exitCode};
}

Expected<std::unique_ptr<Device>> Device::open(const Program &program, std::span<const XfImage *const> images) {
  std::unique_ptr<Device> device(new Device(std::make_unique<State>()));
  if (Expected<void> found = device->state->find(); !found)
    return elsewhere(program, found.error());
  if (Expected<void> loaded = device->state->load(program, images); !loaded)
    return loaded.error();
  return device;
}

Expected<Device::Facts> Device::find() {
  State state;
  if (Expected<void> found = state.find(); !found)
    return found.error();
  return state.facts;
}

Device::~Device() {
  // After a fault of the GPU each of these fails, and nothing is left to be done about it.
  for (Handle event : state->events)
    state->call(&Driver::EventDestroy_v2, event);
  if (state->memory)
    state->call(&Driver::MemFree_v2, state->memory);
  for (Handle module : state->modules)
    state->call(&Driver::ModuleUnload, module);
  if (state->stream)
    state->call(&Driver::StreamDestroy_v2, state->stream);
  if (state->context)
    state->driver.DevicePrimaryCtxRelease_v2(state->device);
}

const Device::Facts &Device::facts() const { return state->facts; }
char *Device::data() const { return reinterpret_cast<char *>(state->memory); }
int64_t Device::size() const { return state->bytes; }
void Device::allow(int64_t bytes) { state->allowed = bytes; }

Expected<int64_t> Device::availableMemory() const { return state->availableMemory(); }

Expected<int64_t> Device::State::availableMemory() const {
  size_t free = 0, total = 0;
  if (Expected<void> ok = check(call(&Driver::MemGetInfo_v2, &free, &total), "tell its memory"); !ok)
    return ok.error();
  return int64_t(free) + bytes;
}

Error Device::State::notEnough(const std::string &needed) const {
  size_t free = 0, total = 0;
  if (context) // or there was too little for one
    if (Result told = call(&Driver::MemGetInfo_v2, &free, &total); told && told != outOfMemory)
      return check(told, "tell its memory").error();
  return userError(fmt::format("not enough memory: {}, and {} of {} is free{}", needed, formatBytes(int64_t(free)),
                               formatBytes(facts.memory), another()));
}

Error Device::State::tooFull(const std::string &asked) const {
  std::string own = formatBytes(ownBytes(*program) + bytes);
  return notEnough(isLoaded ? fmt::format("to {} GPU '{}' needs some besides the {} that are planned (smaller batches "
                                          "need less)",
                                          asked, facts.name, own)
                            : fmt::format("the kernels need {} of their own, besides their code, on GPU '{}' (what "
                                          "else runs there may leave some when it ends)",
                                          own, facts.name));
}

Expected<void> Device::reserve(int64_t bytes, const std::string &what) {
  if (bytes <= state->bytes)
    return {};
  std::string needed = fmt::format("{} needs {} on GPU '{}' for these inputs (smaller batches need less)", what,
                                   formatBytes(bytes), state->facts.name);
  if (state->allowed && bytes + ownBytes(*state->program) > state->allowed)
    return userError(fmt::format("not enough memory: {}, and {} is allowed (--memory), {} of them the kernels' own",
                                 needed, formatBytes(state->allowed), formatBytes(ownBytes(*state->program))));
  if (state->memory) { // first: the old and the new need not fit together
    Address old = std::exchange(state->memory, 0);
    state->bytes = 0;
    if (Expected<void> ok = state->check(state->call(&Driver::MemFree_v2, old), "free memory"); !ok)
      return ok;
  }
  Result result = state->call(&Driver::MemAlloc_v2, &state->memory, bytes);
  if (result == outOfMemory) {
    state->memory = 0;
    return state->notEnough(needed);
  }
  if (Expected<void> ok = state->check(result, "allocate {}", formatBytes(bytes)); !ok)
    return ok;
  state->bytes = bytes;
  return {};
}

static Address addressOf(const char *pointer) { return reinterpret_cast<uintptr_t>(pointer); }

Device::Pinned::~Pinned() {
  if (begin)
    device.state->call(&Driver::MemFreeHost, begin);
}

Expected<void> Device::Pinned::reserve(int64_t wanted) {
  if (wanted <= bytes)
    return {};
  const State &state = *device.state;
  bytes = 0;
  if (void *old = std::exchange(begin, nullptr))
    if (Expected<void> ok = state.check(state.call(&Driver::MemFreeHost, old), "free pinned memory"); !ok)
      return ok;
  void *made = nullptr;
  Result result = state.call(&Driver::MemHostAlloc, &made, wanted, 0);
  if (result == outOfMemory)
    return userError(fmt::format("not enough memory: {} of this machine's can't be pinned for the GPU to copy from and "
                                 "to (smaller batches need less), and {} is available",
                                 formatBytes(wanted), formatBytes(runtime::availableMemory())));
  if (Expected<void> ok = state.check(result, "pin {}", formatBytes(wanted)); !ok)
    return ok;
  begin = static_cast<char *>(made);
  bytes = wanted;
  return {};
}

Expected<void> Device::State::copyIn(char *to, const void *from, int64_t bytes) const {
  if (bytes == 0)
    return {};
  return check(call(&Driver::MemcpyHtoDAsync_v2, addressOf(to), from, bytes, stream), "copy to it");
}

Expected<void> Device::State::copyOut(void *to, const char *from, int64_t bytes) const {
  if (bytes == 0)
    return {};
  return check(call(&Driver::MemcpyDtoHAsync_v2, to, addressOf(from), bytes, stream), "copy from it");
}

Expected<void> Device::copyIn(char *to, const void *from, int64_t bytes) {
  Expected<void> asked = state->copyIn(to, from, bytes);
  return asked ? wait() : asked;
}

Expected<void> Device::copyOut(void *to, const char *from, int64_t bytes) {
  Expected<void> asked = state->copyOut(to, from, bytes);
  return asked ? wait() : asked;
}

Expected<void> Device::copyIn(char *to, const Pinned &from, int64_t bytes) {
  return state->copyIn(to, from.data(), bytes);
}

Expected<void> Device::copyOut(const Pinned &to, int64_t offset, const char *from, int64_t bytes) {
  return state->copyOut(to.data() + offset, from, bytes);
}

Expected<void> Device::clear(char *to, int64_t bytes) {
  if (bytes == 0)
    return {};
  return state->check(state->call(&Driver::MemsetD8Async, addressOf(to), 0, bytes, state->stream), "clear its memory");
}

Expected<std::vector<Device::TensorMap>> Device::makeMaps(int64_t kernel, void *const *pointers,
                                                          const int64_t *dims) const {
  const Kernel &facts = state->program->kernels[kernel];
  std::vector<TensorMap> maps;
  for (const BoxedMatrix &matrix : facts.launch.maps) {
    // One without rows has no boxes that are asked for.
    auto extentOf = [&](int64_t extent) {
      return uint64_t(std::max<int64_t>(extent < 0 ? dims[-1 - extent] : extent, 1));
    };
    uint64_t extents[] = {extentOf(matrix.columns), extentOf(matrix.rows)}, pitch = uint64_t(matrix.rowBytes);
    uint32_t box[] = {uint32_t(matrix.boxColumns), uint32_t(matrix.boxRows)}, steps[] = {1, 1};
    // CU_TENSOR_MAP_DATA_TYPE_..., _SWIZZLE_64B or 128B, _L2_PROMOTION_
    constexpr int f32 = 7, bf16 = 9, none = 0, by256Bytes = 3;
    int type = matrix.elementBytes == 4 ? f32 : bf16, swizzle = matrix.boxColumns * matrix.elementBytes == 128 ? 3 : 2;
    Result made = state->call(&Driver::TensorMapEncodeTiled, &maps.emplace_back(), type, 2,
                              addressOf(static_cast<char *>(pointers[matrix.operand])), extents, &pitch, box, steps,
                              none, swizzle, by256Bytes, none);
    if (Expected<void> ok = state->check(made, "describe operand {} of kernel '{}', {} x {}", matrix.operand,
                                         facts.name, extents[1], extents[0]);
        !ok)
      return ok.error();
  }
  return maps;
}

NodeParameters Device::State::launchOf(int64_t kernel, int64_t tiles, void *const *parameters) const {
  const Launch &launch = program->kernels[kernel].launch;
  int64_t blocks = launch.blocksPerProcessor ? std::min(tiles, launch.blocksPerProcessor * processors) : tiles;
  return {functions[kernel],
          unsigned(blocks),
          1,
          1,
          unsigned(launch.threads),
          1,
          1,
          unsigned(launch.shared),
          const_cast<void **>(parameters),
          nullptr};
}

Expected<void> Device::launch(int64_t kernel, int64_t tiles, void *const *parameters) {
  NodeParameters node = state->launchOf(kernel, tiles, parameters);
  return state->check(state->call(&Driver::LaunchKernel, node.function, node.gridX, node.gridY, node.gridZ, node.blockX,
                                  node.blockY, node.blockZ, node.shared, state->stream, node.parameters, node.extra),
                      "run kernel '{}'", state->program->kernels[kernel].name);
}

Expected<void> Device::wait() {
  return state->check(state->call(&Driver::StreamSynchronize, state->stream), "compute");
}

Device::Graph::~Graph() {
  if (handle)
    device->state->call(&Driver::GraphExecDestroy, handle);
}

Expected<Device::Graph> Device::makeGraph(std::span<const Node> nodes) {
  Handle graph = nullptr;
  if (Expected<void> ok = state->check(state->call(&Driver::GraphCreate, &graph, 0), "make a graph"); !ok)
    return ok.error();
  std::vector<Handle> handles(nodes.size()), after;
  Expected<void> made;
  for (size_t i = 0; i < nodes.size() && made; ++i) {
    const Node &node = nodes[i];
    after.clear();
    for (size_t each : node.after)
      after.push_back(handles[each]);
    NodeParameters parameters = state->launchOf(node.kernel, node.tiles, node.parameters);
    made = state->check(
        state->call(&Driver::GraphAddKernelNode, &handles[i], graph, after.data(), after.size(), &parameters),
        "put kernel '{}' into a graph", state->program->kernels[node.kernel].name);
  }
  Graph result;
  result.device = this;
  if (made)
    if (Result status = state->call(&Driver::GraphInstantiateWithFlags, &result.handle, graph, 0);
        status != outOfMemory)
      made = state->check(status, "make a graph of {} kernels", nodes.size());
  state->call(&Driver::GraphDestroy, graph);
  return made ? Expected<Graph>(std::move(result)) : made.error();
}

bool Device::isSingle(int64_t kernel) const { return state->program->kernels[kernel].launch.ownBytes > 0; }

Expected<bool> Device::launch(const Graph &graph) {
  Result launched = state->call(&Driver::GraphLaunch, graph.handle, state->stream);
  if (launched == outOfMemory)
    return false;
  Expected<void> ok = state->check(launched, "run a graph");
  return ok ? Expected<bool>(true) : ok.error();
}

Expected<void> Device::mark(size_t index) {
  while (state->events.size() <= index) {
    Handle event = nullptr;
    if (Expected<void> ok = state->check(state->call(&Driver::EventCreate, &event, 0), "make an event"); !ok)
      return ok;
    state->events.push_back(event);
  }
  return state->check(state->call(&Driver::EventRecord, state->events[index], state->stream), "note a time");
}

Expected<std::vector<double>> Device::secondsBetween(size_t count) {
  if (Expected<void> done = wait(); !done)
    return done.error();
  std::vector<double> seconds(count);
  for (size_t i = 0; i < count; ++i) {
    float milliseconds = 0;
    Handle from = state->events[i], to = state->events[i + 1];
    if (Expected<void> ok =
            state->check(state->call(&Driver::EventElapsedTime, &milliseconds, from, to), "tell a time");
        !ok)
      return ok.error();
    seconds[i] = double(milliseconds) * 1e-3;
  }
  return seconds;
}
