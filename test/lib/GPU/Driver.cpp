//===- Driver.cpp - a libcuda.so.1 without a GPU ------------------------------------===//
// The driver's functions that xf's runtime calls, on an emulated GPU: kernels are run by Emulator.cpp, and every
// argument, bound and lifetime is checked. Threads take turns, each with its own stack of contexts. What is asked for
// is done as late as may be, when someone waits for it, so that who does not wait reads what is old. What is wrong is
// written to stderr, and is an error from then on. XF_GPU_ARCHITECTURE (90), XF_GPU_MEMORY (bytes), XF_GPU_DRIVER
// (13000), XF_GPU_COUNT (1) and XF_GPU_MEMORY_CLOCK (kHz) set what it says it is; XF_GPU_LOSE_AFTER is how many
// launches it lives for; XF_GPU_FAIL=NAME:ERROR:N makes the N-th call of a function, counted from when this was set,
// fail (N+: and all after it); and XF_GPU_LOG=1 counts what was asked for at the end.
//===--------------------------------------------------------------------------------===//
#include "Emulator.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <unistd.h>
#include <utility>

using namespace xf::gpu;

namespace {
enum Result {
  success = 0,
  invalidValue = 1,
  outOfMemory = 2,
  notInitialized = 3,
  deinitialized = 4,
  noDevice = 100,
  invalidImage = 200,
  invalidContext = 201,
  noBinary = 209,
  uncorrectable = 214,
  unsupportedPTX = 222,
  invalidHandle = 400,
  notFound = 500,
  notReady = 600,
  launchFailed = 719
};

long setting(const char *name, long otherwise) {
  const char *text = std::getenv(name);
  return text ? std::atol(text) : otherwise;
}

uint32_t architecture() { return uint32_t(setting("XF_GPU_ARCHITECTURE", 90)); }
long driverVersion() { return setting("XF_GPU_DRIVER", 13000); }

struct Module {
  Kernel kernel;
  int mostShared = 48 << 10; // bytes that a launch may add
};

/// Something a stream is to do.
struct Work {
  const char *name;
  std::function<void()> body;
  const void *pinned = nullptr; // the block that it copies from or to
  const void *graph = nullptr;  // that it is part of
};
struct Graph {
  std::vector<Work> nodes;
  std::vector<std::vector<size_t>> after; // of each node, who comes before it
};

struct Event {
  bool pending = false, done = false;
  std::chrono::steady_clock::time_point time;
};

Memory memory;
std::set<Module *> modules;
std::set<Graph *> graphs, executables;
std::set<Event *> events;
std::set<uint64_t> allocations;
std::map<const char *, size_t> pinned; // begin, bytes
pid_t process = 0;                     // that called cuInit: the driver works in none that is forked from it
bool unloaded = false;                 // at the end of the process
std::recursive_mutex lock;
int retained = 0, streams = 0;
/// Contexts are numbers, and none is made twice.
using Context = uintptr_t;
Context lastContext = 0, primary = 0;
std::set<Context> others;                     // which programs have made
thread_local std::array<Context, 16> current; // of this thread; it is there as long as the thread calls, until the end
thread_local size_t depth = 0;                // of them, of which the last one counts
Context currentContext() { return depth ? current[depth - 1] : 0; }
int lost = success; // after a fault every call fails with the same, as on a GPU
std::deque<Work> pending;
long launches = 0, replays = 0, copies = 0, bytesHome = 0, calls = 0;
size_t mostInUse = 0;

int fail(int result, const std::string &what) {
  std::fprintf(stderr, "emulated GPU: %s\n", what.c_str());
  return result;
}

/// Whether the driver can be called at all.
int usable(const char *name) {
  if (unloaded)
    return deinitialized;
  if (process == 0)
    return fail(notInitialized, std::string(name) + " before cuInit");
  return process == getpid() ? success : notInitialized;
}

/// What a call of this name fails with because the environment says so.
int asked(const std::string &name) {
  static std::string plan;
  static long count = 0;
  const char *text = std::getenv("XF_GPU_FAIL");
  if (plan != (text ? text : ""))
    plan = text ? text : "", count = 0;
  if (!plan.starts_with(name + ":"))
    return success;
  char *rest = nullptr;
  long error = std::strtol(plan.c_str() + name.size() + 1, &rest, 10), from = std::atol(rest + (*rest == ':'));
  return ++count == from || (count > from && plan.ends_with("+")) ? int(error) : success;
}

/// After errors of these kinds no call works.
bool isFault(int error) { return error == uncorrectable || (error >= 700 && error < 720 && error != 701); }

/// Runs `body` where the primary context is current; a Fault is the GPU's end.
int guarded(const char *name, const std::function<int()> &body) {
  if (retained == 0 || currentContext() != primary)
    return fail(invalidContext, std::string(name) + " on a thread without a context, or with another one");
  if (lost)
    return lost;
  try {
    return body();
  } catch (const Fault &fault) {
    if (!lost)
      lost = launchFailed;
    return fail(lost, std::string(name) + ": " + fault.what());
  }
}

/// A call of the driver.
int inContext(const char *name, const std::function<int()> &body) {
  if (int result = usable(name))
    return result;
  std::lock_guard guard(lock);
  ++calls;
  int error = asked(name);
  if (!lost && isFault(error))
    lost = error;
  return error ? error : guarded(name, body);
}

/// Does what the stream has to do.
int flush() {
  while (!pending.empty()) {
    Work work = std::move(pending.front());
    pending.pop_front();
    if (int result = guarded(work.name, [&] { return work.body(), success; }))
      return result;
  }
  return success;
}

int enqueue(Work work) { return pending.push_back(std::move(work)), success; }

/// The pinned block that holds the bytes; part of one is a Fault.
const void *pinnedBlock(const void *at, size_t bytes) {
  auto *begin = static_cast<const char *>(at);
  auto it = pinned.upper_bound(begin);
  if (it == pinned.begin() || begin >= std::prev(it)->first + std::prev(it)->second)
    return nullptr;
  --it;
  if (begin + bytes > it->first + it->second)
    throw Fault("a copy of " + std::to_string(bytes) + " bytes reaches behind pinned memory");
  return it->first;
}

char streamPlace; // what handles point to
bool isStream(void *stream) { return stream == &streamPlace && streams > 0; }
} // namespace

#define XF_EXPORT extern "C" __attribute__((visibility("default"))) int

XF_EXPORT cuInit(unsigned flags) {
  if (process && process != getpid())
    return notInitialized;
  if (flags != 0)
    return invalidValue;
  if (setting("XF_GPU_COUNT", 1) == 0)
    return noDevice;
  std::lock_guard guard(lock);
  if (!process)
    std::atexit([] { unloaded = true; });
  process = getpid();
  return asked("cuInit");
}
XF_EXPORT cuDriverGetVersion(int *version) { return *version = int(driverVersion()), success; }
XF_EXPORT cuGetErrorString(int error, const char **text) {
  static const std::map<int, const char *> texts = {{outOfMemory, "out of memory"},
                                                    {uncorrectable, "uncorrectable ECC error encountered"},
                                                    {launchFailed, "unspecified launch failure"}};
  auto found = texts.find(error);
  *text = found == texts.end() ? "emulated error" : found->second;
  return success;
}
XF_EXPORT cuDeviceGetCount(int *count) {
  *count = int(setting("XF_GPU_COUNT", 1));
  return usable("cuDeviceGetCount");
}
XF_EXPORT cuDeviceGet(int *device, int ordinal) {
  *device = 0;
  return ordinal == 0 ? usable("cuDeviceGet") : invalidValue;
}
XF_EXPORT cuDeviceGetName(char *name, int length, int) {
  std::snprintf(name, size_t(length), "emulated GPU");
  return usable("cuDeviceGetName");
}
XF_EXPORT cuDeviceGetAttribute(int *value, int attribute, int) {
  if (int result = usable("cuDeviceGetAttribute"))
    return result;
  // Multiprocessors and clocks of no GPU that there is.
  const std::map<int, int> values = {{13, 1000000},
                                     {16, 100},
                                     {36, int(setting("XF_GPU_MEMORY_CLOCK", 1000000))},
                                     {37, 4000},
                                     {75, architecture() / 10},
                                     {76, architecture() % 10}};
  auto found = values.find(attribute);
  if (found == values.end())
    return fail(invalidValue, "attribute " + std::to_string(attribute));
  *value = found->second;
  return success;
}
static size_t total() { return size_t(setting("XF_GPU_MEMORY", long(1) << 30)); }
XF_EXPORT cuDeviceTotalMem_v2(size_t *bytes, int) { return *bytes = total(), usable("cuDeviceTotalMem"); }
XF_EXPORT cuDevicePrimaryCtxRetain(void **context, int device) {
  if (int result = usable("cuDevicePrimaryCtxRetain"))
    return result;
  std::lock_guard guard(lock);
  if (device != 0)
    return invalidValue;
  if (int error = asked("cuDevicePrimaryCtxRetain"))
    return error;
  if (retained++ == 0)
    primary = ++lastContext;
  *context = reinterpret_cast<void *>(primary);
  return success;
}
/// What a context had goes with it.
static void freeAll() {
  pending.clear();
  for (Module *module : modules)
    delete module;
  for (std::set<Graph *> *list : {&graphs, &executables}) {
    for (Graph *graph : *list)
      delete graph;
    list->clear();
  }
  for (Event *event : events)
    delete event;
  for (auto [begin, bytes] : pinned)
    std::free(const_cast<char *>(begin));
  modules.clear(), events.clear(), pinned.clear();
}
XF_EXPORT cuDevicePrimaryCtxRelease_v2(int) {
  if (int result = usable("cuDevicePrimaryCtxRelease"))
    return result;
  std::lock_guard guard(lock);
  if (--retained == 0) {
    primary = 0;
    for (auto [what, count] : {std::pair("allocations", allocations.size()),
                               {"blocks of pinned memory", pinned.size()},
                               {"modules", modules.size()},
                               {"graphs", graphs.size() + executables.size()},
                               {"events", events.size()},
                               {"streams", size_t(streams)}})
      if (count > 0 && !lost)
        fail(invalidValue, std::to_string(count) + " " + what + " are left at the end");
    if (setting("XF_GPU_LOG", 0))
      std::fprintf(
          stderr, "emulated GPU: %ld launches, %ld graphs, %ld copies (%ld bytes home), %ld calls, at most %zu bytes\n",
          launches, replays, copies, bytesHome, calls, mostInUse);
    freeAll();
  }
  return retained < 0 ? fail(invalidContext, "a context is released twice") : success;
}
XF_EXPORT cuCtxPushCurrent_v2(void *context) {
  if (int result = usable("cuCtxPushCurrent"))
    return result;
  std::lock_guard guard(lock);
  auto number = reinterpret_cast<Context>(context);
  if (number == 0 || (number != primary && !others.count(number)))
    return fail(invalidContext, "cuCtxPushCurrent of no context");
  return current.at(depth++) = number, success;
}
XF_EXPORT cuCtxPopCurrent_v2(void **context) {
  if (int result = usable("cuCtxPopCurrent"))
    return result;
  if (depth == 0)
    return fail(invalidContext, "cuCtxPopCurrent without a context");
  return *context = reinterpret_cast<void *>(current[--depth]), success;
}
/// xf needs no other context; a program that it is linked into may have one.
XF_EXPORT cuCtxCreate_v2(void **context, unsigned, int) {
  std::lock_guard guard(lock);
  others.insert(++lastContext);
  *context = reinterpret_cast<void *>(lastContext);
  return current.at(depth++) = lastContext, success;
}
XF_EXPORT cuCtxGetCurrent(void **context) { return *context = reinterpret_cast<void *>(currentContext()), success; }
XF_EXPORT cuMemGetInfo_v2(size_t *free, size_t *all) {
  return inContext("cuMemGetInfo", [&] {
    *all = total();
    *free = total() - memory.inUse();
    return success;
  });
}
XF_EXPORT cuMemAlloc_v2(unsigned long long *address, size_t bytes) {
  return inContext("cuMemAlloc", [&]() -> int {
    if (bytes == 0)
      return fail(invalidValue, "cuMemAlloc of 0 bytes");
    if (memory.inUse() + bytes > total())
      return outOfMemory;
    allocations.insert(*address = memory.allocate(bytes));
    mostInUse = std::max(mostInUse, size_t(memory.inUse()));
    return success;
  });
}
XF_EXPORT cuMemFree_v2(unsigned long long address) {
  return inContext("cuMemFree", [&]() -> int {
    if (int result = flush()) // it waits for the GPU
      return result;
    allocations.erase(address);
    return memory.release(address), success;
  });
}
XF_EXPORT cuMemHostAlloc(void **address, size_t bytes, unsigned flags) {
  return inContext("cuMemHostAlloc", [&]() -> int {
    if (bytes == 0 || flags != 0)
      return fail(invalidValue, "cuMemHostAlloc of " + std::to_string(bytes) + " bytes");
    *address = std::aligned_alloc(64, (bytes + 63) / 64 * 64);
    std::memset(*address, 0xa5, bytes);
    pinned[static_cast<char *>(*address)] = bytes;
    return success;
  });
}
XF_EXPORT cuMemFreeHost(void *address) {
  return inContext("cuMemFreeHost", [&]() -> int {
    for (const Work &work : pending)
      if (work.pinned == address)
        throw Fault("pinned memory is freed while it is copied");
    if (!pinned.erase(static_cast<char *>(address)))
      return fail(invalidValue, "cuMemFreeHost of what is not pinned");
    return std::free(address), success;
  });
}
XF_EXPORT cuMemcpyHtoDAsync_v2(unsigned long long to, const void *from, size_t bytes, void *stream) {
  return inContext("cuMemcpyHtoD", [&]() -> int {
    if (!isStream(stream) || !from || bytes == 0)
      return fail(invalidHandle, "cuMemcpyHtoD without stream, memory or bytes");
    // Of memory that is not pinned too: drivers mostly read and write that at once, but no manual says so.
    auto copy = [=] {
      Region &region = memory.find(to, bytes, "copy");
      std::memcpy(region.at(to), from, bytes);
      region.setWritten(to, bytes);
    };
    ++copies;
    return enqueue({"cuMemcpyHtoD", copy, pinnedBlock(from, bytes)});
  });
}
XF_EXPORT cuMemcpyDtoHAsync_v2(void *to, unsigned long long from, size_t bytes, void *stream) {
  return inContext("cuMemcpyDtoH", [&]() -> int {
    if (!isStream(stream) || !to || bytes == 0)
      return fail(invalidHandle, "cuMemcpyDtoH without stream, memory or bytes");
    auto copy = [=] { std::memcpy(to, memory.find(from, bytes, "copy").at(from), bytes); };
    ++copies;
    bytesHome += long(bytes);
    return enqueue({"cuMemcpyDtoH", copy, pinnedBlock(to, bytes)});
  });
}
XF_EXPORT cuMemsetD8Async(unsigned long long to, unsigned char value, size_t bytes, void *stream) {
  return inContext("cuMemsetD8", [&]() -> int {
    if (!isStream(stream))
      return fail(invalidHandle, "cuMemsetD8 without stream");
    return enqueue({"cuMemsetD8", [=] {
                      Region &region = memory.find(to, bytes, "set");
                      std::memset(region.at(to), value, bytes);
                      region.setWritten(to, bytes);
                    }});
  });
}
XF_EXPORT cuStreamCreate(void **stream, unsigned) {
  return inContext("cuStreamCreate", [&] { return ++streams, *stream = &streamPlace, success; });
}
XF_EXPORT cuStreamDestroy_v2(void *stream) {
  return inContext("cuStreamDestroy", [&] { return isStream(stream) ? (--streams, success) : invalidHandle; });
}
XF_EXPORT cuStreamSynchronize(void *stream) {
  return inContext("cuStreamSynchronize", [&]() -> int { return isStream(stream) ? flush() : invalidHandle; });
}
XF_EXPORT cuGraphCreate(void **graph, unsigned flags) {
  return inContext("cuGraphCreate", [&]() -> int {
    if (flags != 0)
      return fail(invalidValue, "cuGraphCreate with flags");
    graphs.insert(static_cast<Graph *>(*graph = new Graph()));
    return success;
  });
}
XF_EXPORT cuGraphInstantiateWithFlags(void **executable, void *graph, unsigned long long flags) {
  return inContext("cuGraphInstantiate", [&]() -> int {
    if (!graphs.count(static_cast<Graph *>(graph)) || flags != 0)
      return fail(invalidHandle, "cuGraphInstantiate of no graph");
    executables.insert(static_cast<Graph *>(*executable = new Graph(*static_cast<Graph *>(graph))));
    return success;
  });
}
XF_EXPORT cuGraphDestroy(void *graph) {
  return inContext("cuGraphDestroy", [&]() -> int {
    if (!graphs.erase(static_cast<Graph *>(graph)))
      return fail(invalidHandle, "cuGraphDestroy of no graph");
    return delete static_cast<Graph *>(graph), success;
  });
}
XF_EXPORT cuGraphExecDestroy(void *executable) {
  return inContext("cuGraphExecDestroy", [&]() -> int {
    for (const Work &work : pending)
      if (work.graph == executable)
        throw Fault("a graph is destroyed while it runs");
    if (!executables.erase(static_cast<Graph *>(executable)))
      return fail(invalidHandle, "cuGraphExecDestroy of no graph");
    return delete static_cast<Graph *>(executable), success;
  });
}
XF_EXPORT cuGraphLaunch(void *executable, void *stream) {
  return inContext("cuGraphLaunch", [&]() -> int {
    if (!executables.count(static_cast<Graph *>(executable)) || !isStream(stream))
      return fail(invalidHandle, "cuGraphLaunch without graph or stream");
    ++replays;
    enqueue({"cuGraphLaunch", [] {}, nullptr, executable});
    // In an order that is allowed, and as far as may be from the one in which the nodes were made.
    const Graph &graph = *static_cast<Graph *>(executable);
    std::vector<bool> done(graph.nodes.size());
    for (size_t count = 0; count < done.size(); ++count)
      for (size_t i = done.size(); i-- > 0;)
        if (!done[i] && std::all_of(graph.after[i].begin(), graph.after[i].end(), [&](size_t j) { return done[j]; })) {
          Work work = graph.nodes[i];
          work.graph = executable;
          enqueue(std::move(work));
          done[i] = true;
          break;
        }
    return success;
  });
}
XF_EXPORT cuEventCreate(void **event, unsigned flags) {
  return inContext("cuEventCreate", [&]() -> int {
    if (flags != 0)
      return fail(invalidValue, "cuEventCreate without times");
    events.insert(static_cast<Event *>(*event = new Event()));
    return success;
  });
}
XF_EXPORT cuEventDestroy_v2(void *event) {
  return inContext("cuEventDestroy", [&]() -> int {
    auto *destroyed = static_cast<Event *>(event);
    if (!events.erase(destroyed) || destroyed->pending)
      return fail(invalidHandle, "cuEventDestroy of no event, or one that is waited for");
    return delete destroyed, success;
  });
}
XF_EXPORT cuEventRecord(void *event, void *stream) {
  return inContext("cuEventRecord", [&]() -> int {
    auto *recorded = static_cast<Event *>(event);
    if (!events.count(recorded) || !isStream(stream))
      return fail(invalidHandle, "cuEventRecord without event or stream");
    recorded->pending = true;
    return enqueue({"cuEventRecord", [=] { *recorded = {false, true, std::chrono::steady_clock::now()}; }});
  });
}
XF_EXPORT cuEventElapsedTime(float *milliseconds, void *start, void *end) {
  return inContext("cuEventElapsedTime", [&]() -> int {
    for (void *event : {start, end})
      if (!events.count(static_cast<Event *>(event)) || !static_cast<Event *>(event)->done)
        return fail(invalidHandle, "cuEventElapsedTime of an event that was not recorded");
    auto *from = static_cast<Event *>(start), *to = static_cast<Event *>(end);
    if (from->pending || to->pending)
      return notReady;
    *milliseconds = std::chrono::duration<float, std::milli>(to->time - from->time).count();
    return success;
  });
}
static void unload(Module *module) {
  for (uint64_t address : module->kernel.data)
    memory.release(address);
  delete module;
}
XF_EXPORT cuModuleLoadData(void **module, const void *image) {
  return inContext("cuModuleLoadData", [&]() -> int {
    if (std::memcmp(image, "\177ELF", 4) == 0) // machine code can't be emulated
      return driverVersion() < 13000 ? invalidImage : noBinary;
    auto loaded = new Module{parse(static_cast<const char *>(image), memory)};
    const Kernel &kernel = loaded->kernel;
    // What the first driver of each version of CUDA reads.
    const std::map<uint32_t, long> drivers = {{78, 11080}, {80, 12000}, {87, 12080}};
    if (auto first = drivers.find(kernel.version); first == drivers.end() || driverVersion() < first->second)
      return unload(loaded), unsupportedPTX;
    if (kernel.isForOneArchitecture ? architecture() != kernel.architecture : architecture() < kernel.architecture)
      return unload(loaded), noBinary;
    if (memory.inUse() > total())
      return unload(loaded), outOfMemory;
    mostInUse = std::max(mostInUse, size_t(memory.inUse()));
    modules.insert(loaded);
    *module = loaded;
    return success;
  });
}
XF_EXPORT cuModuleUnload(void *module) {
  return inContext("cuModuleUnload", [&]() -> int {
    if (!modules.erase(static_cast<Module *>(module)))
      return fail(invalidHandle, "cuModuleUnload of no module");
    return unload(static_cast<Module *>(module)), success;
  });
}
XF_EXPORT cuModuleGetFunction(void **function, void *module, const char *name) {
  return inContext("cuModuleGetFunction", [&]() -> int {
    auto *loaded = static_cast<Module *>(module);
    if (!modules.count(loaded) || loaded->kernel.name != name)
      return fail(notFound, std::string("no function '") + name + "'");
    *function = module;
    return success;
  });
}
XF_EXPORT cuFuncSetAttribute(void *function, int attribute, int value) {
  return inContext("cuFuncSetAttribute", [&]() -> int {
    auto *module = static_cast<Module *>(function);
    if (!modules.count(module) || attribute != 8 || value < 0 ||
        module->kernel.sharedBytes + uint64_t(value) > mostShared(architecture()))
      return fail(invalidValue, "cuFuncSetAttribute " + std::to_string(attribute) + " to " + std::to_string(value));
    return module->mostShared = value, success;
  });
}
XF_EXPORT cuTensorMapEncodeTiled(void *map, int type, uint32_t rank, unsigned long long address,
                                 const uint64_t *extents, const uint64_t *pitches, const uint32_t *box,
                                 const uint32_t *steps, int interleave, int swizzle, int promotion, int outside) {
  return inContext("cuTensorMapEncodeTiled", [&]() -> int {
    auto refuse = [](const std::string &what) { return fail(invalidValue, "cuTensorMapEncodeTiled of " + what); };
    if (reinterpret_cast<uintptr_t>(map) % 64 || address % 16)
      return refuse("a map or a matrix that is misaligned");
    constexpr int f32 = 7, bf16 = 9, by64Bytes = 2, by128Bytes = 3;
    uint32_t elementBytes = type == f32 ? 4 : 2;
    if ((type != bf16 && type != f32) || rank != 2 || (swizzle != by64Bytes && swizzle != by128Bytes) || interleave ||
        outside || promotion < 0 || promotion > 3)
      return refuse("what is not emulated: type " + std::to_string(type) + ", rank " + std::to_string(rank));
    if (pitches[0] % 16 || pitches[0] >> 40 || pitches[0] < extents[0] * elementBytes)
      return refuse("rows of " + std::to_string(pitches[0]) + " bytes");
    for (uint32_t i = 0; i < rank; ++i)
      if (extents[i] == 0 || extents[i] >> 32 || box[i] == 0 || box[i] > 256 || steps[i] != 1)
        return refuse("extent " + std::to_string(extents[i]) + " by boxes of " + std::to_string(box[i]));
    uint32_t rowBytes = box[0] * elementBytes;
    if (rowBytes != (swizzle == by128Bytes ? 128 : 64)) // of shorter ones the emulator knows nothing
      return refuse("boxes with rows of " + std::to_string(rowBytes) + " bytes, swizzled by " +
                    (swizzle == by128Bytes ? "128" : "64"));
    *static_cast<TensorMap *>(map) = {TensorMap::known, box[0],     box[1],     elementBytes,
                                      address,          extents[0], extents[1], pitches[0]};
    return success;
  });
}
/// What a launch does, or nothing where its arguments are wrong.
static std::optional<Work> launchOf(void *function, std::array<unsigned, 6> grid, unsigned shared, void **parameters,
                                    void **extra) {
  auto *module = static_cast<Module *>(function);
  auto [gridX, gridY, gridZ, blockX, blockY, blockZ] = grid;
  if (!modules.count(module) || gridX == 0 || gridX > 0x7fffffff || gridY != 1 || gridZ != 1 || blockX == 0 ||
      blockX > 1024 || blockY != 1 || blockZ != 1 || int(shared) > module->mostShared || extra)
    return std::nullopt;
  uint64_t bytes = 0;
  for (const Kernel::Parameter &parameter : module->kernel.parameters)
    bytes += parameter.isMap ? 128 : 8;
  if (bytes > 4096)
    return std::nullopt;
  std::vector<uint64_t> values;
  std::vector<TensorMap> maps;
  for (size_t i = 0; i < module->kernel.parameters.size(); ++i)
    if (module->kernel.parameters[i].isMap)
      maps.push_back(*static_cast<TensorMap *>(parameters[i]));
    else
      values.push_back(*static_cast<uint64_t *>(parameters[i]));
  return Work{"cuLaunchKernel", [=, values = std::move(values), maps = std::move(maps)] {
                static const long life = setting("XF_GPU_LOSE_AFTER", -1);
                if (!modules.count(module))
                  throw Fault("a module is unloaded before its kernel ran");
                if (life >= 0 && launches >= life) {
                  lost = uncorrectable;
                  throw Fault("lost");
                }
                ++launches;
                std::vector<uint64_t> all = values; // maps come last
                for (const TensorMap &map : maps)
                  all.push_back(reinterpret_cast<uint64_t>(&map));
                launch(module->kernel, gridX, blockX, all, memory, shared, /*isBackwards=*/launches % 2);
              }};
}
XF_EXPORT cuLaunchKernel(void *function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX,
                         unsigned blockY, unsigned blockZ, unsigned shared, void *stream, void **parameters,
                         void **extra) {
  return inContext("cuLaunchKernel", [&]() -> int {
    auto work = launchOf(function, {gridX, gridY, gridZ, blockX, blockY, blockZ}, shared, parameters, extra);
    if (!work || !isStream(stream))
      return fail(invalidValue, "cuLaunchKernel of a function or grid that can't be");
    return enqueue(std::move(*work));
  });
}
namespace {
struct NodeParameters {
  void *function;
  unsigned gridX, gridY, gridZ, blockX, blockY, blockZ, shared;
  void **parameters, **extra;
};
} // namespace
/// A node is its number, from 1 on.
XF_EXPORT cuGraphAddKernelNode(void **node, void *graph, void *const *after, size_t count,
                               const NodeParameters *kernel) {
  return inContext("cuGraphAddKernelNode", [&]() -> int {
    auto *into = static_cast<Graph *>(graph);
    if (!graphs.count(into))
      return fail(invalidHandle, "cuGraphAddKernelNode without a graph");
    auto work = launchOf(kernel->function,
                         {kernel->gridX, kernel->gridY, kernel->gridZ, kernel->blockX, kernel->blockY, kernel->blockZ},
                         kernel->shared, kernel->parameters, kernel->extra);
    std::vector<size_t> before;
    for (size_t i = 0; i < count; ++i)
      before.push_back(reinterpret_cast<uintptr_t>(after[i]) - 1);
    if (!work || std::any_of(before.begin(), before.end(), [&](size_t i) { return i >= into->nodes.size(); }))
      return fail(invalidValue, "cuGraphAddKernelNode of what can't be");
    into->nodes.push_back(std::move(*work));
    into->after.push_back(std::move(before));
    *node = reinterpret_cast<void *>(into->nodes.size());
    return success;
  });
}
