//===- Device.cpp - A GPU, through NVIDIA's driver ----------------------------------------===//
// The functions of the driver's interface that are used, declared here: nothing of CUDA is needed to build xf or to
// start an executable.
//===--------------------------------------------------------------------------------===//
#include "xf/Runtime/Device.h"
#include "xf/Runtime/Memory.h"

#include <dlfcn.h>
#include <fmt/format.h>

using namespace xf::runtime;

namespace {
using Result = int; // CUresult: 0 is success
constexpr Result outOfMemory = 2;
constexpr int capabilityMajor = 75, capabilityMinor = 76; // CUdevice_attribute
using Address = unsigned long long;                       // CUdeviceptr
using Handle = void *;                                    // contexts, streams, modules, functions

/// Each is named as in the driver's library, without "cu".
struct Driver {
  Result (*Init)(unsigned flags);
  Result (*DriverGetVersion)(int *version);
  Result (*GetErrorString)(Result error, const char **text);
  Result (*DeviceGetCount)(int *count);
  Result (*DeviceGet)(int *device, int ordinal);
  Result (*DeviceGetName)(char *name, int length, int device);
  Result (*DeviceGetAttribute)(int *value, int attribute, int device);
  Result (*DevicePrimaryCtxRetain)(Handle *context, int device);
  Result (*DevicePrimaryCtxRelease_v2)(int device);
  Result (*CtxSetCurrent)(Handle context);
  Result (*MemGetInfo_v2)(size_t *free, size_t *total);
  Result (*MemAlloc_v2)(Address *address, size_t bytes);
  Result (*MemFree_v2)(Address address);
  Result (*MemcpyHtoDAsync_v2)(Address to, const void *from, size_t bytes, Handle stream);
  Result (*MemcpyDtoHAsync_v2)(void *to, Address from, size_t bytes, Handle stream);
  Result (*MemsetD8Async)(Address to, unsigned char value, size_t bytes, Handle stream);
  Result (*StreamCreate)(Handle *stream, unsigned flags);
  Result (*StreamDestroy_v2)(Handle stream);
  Result (*StreamSynchronize)(Handle stream);
  Result (*ModuleLoadData)(Handle *module, const void *image);
  Result (*ModuleUnload)(Handle module);
  Result (*ModuleGetFunction)(Handle *function, Handle module, const char *name);
  Result (*LaunchKernel)(Handle function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX,
                         unsigned blockY, unsigned blockZ, unsigned shared, Handle stream, void **parameters,
                         void **extra);
};

constexpr const char *library = "libcuda.so.1";
constexpr const char *otherwise = "; compile with --target=cpu to run on the processor";

Expected<Driver> loadDriver() {
  void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  if (!handle)
    return userError(fmt::format(
        "this executable runs on an NVIDIA GPU, but the driver's library can't be loaded: {}{}", dlerror(), otherwise));
  Driver driver;
  const char *missing = nullptr;
  auto find = [&](auto &function, const char *name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(handle, name));
    if (!function && !missing)
      missing = name;
  };
#define XF_FIND(name) find(driver.name, "cu" #name);
  XF_FIND(Init)
  XF_FIND(DriverGetVersion)
  XF_FIND(GetErrorString)
  XF_FIND(DeviceGetCount)
  XF_FIND(DeviceGet)
  XF_FIND(DeviceGetName)
  XF_FIND(DeviceGetAttribute)
  XF_FIND(DevicePrimaryCtxRetain)
  XF_FIND(DevicePrimaryCtxRelease_v2)
  XF_FIND(CtxSetCurrent)
  XF_FIND(MemGetInfo_v2)
  XF_FIND(MemAlloc_v2)
  XF_FIND(MemFree_v2)
  XF_FIND(MemcpyHtoDAsync_v2)
  XF_FIND(MemcpyDtoHAsync_v2)
  XF_FIND(MemsetD8Async)
  XF_FIND(StreamCreate)
  XF_FIND(StreamDestroy_v2)
  XF_FIND(StreamSynchronize)
  XF_FIND(ModuleLoadData)
  XF_FIND(ModuleUnload)
  XF_FIND(ModuleGetFunction)
  XF_FIND(LaunchKernel)
#undef XF_FIND
  if (missing)
    return userError(fmt::format(
        "the NVIDIA driver is too old: {} has no {}; CUDA 11.8's (520) or a newer one is needed", library, missing));
  return driver;
}
} // namespace

struct Device::State {
  Driver driver{};
  int device = 0;
  std::string name;
  Handle stream = nullptr;
  bool hasContext = false;
  std::vector<Handle> modules, functions;
  std::vector<unsigned> threads;
  std::vector<std::string> kernels;
  Address memory = 0;
  int64_t bytes = 0;

  Expected<void> check(Result result, const std::string &what) const {
    if (result == 0)
      return {};
    const char *text = nullptr;
    if (driver.GetErrorString(result, &text) != 0 || !text)
      text = "unknown error";
    return userError(
        fmt::format("GPU {}: can't {}: {} (CUDA error {})", name.empty() ? "0" : "'" + name + "'", what, text, result));
  }

  Expected<void> start(const Program &program, std::span<const XfImage *const> images);
};

/// "sm_80" as 80.
static int numberOf(const std::string &architecture) { return std::atoi(architecture.c_str() + 3); }

Expected<void> Device::State::start(const Program &program, std::span<const XfImage *const> images) {
  Expected<Driver> loaded = loadDriver();
  if (!loaded)
    return loaded.error();
  driver = *loaded;
  if (Expected<void> ok = check(driver.Init(0), "start the driver"); !ok)
    return ok;
  int version = 0, count = 0, major = 0, minor = 0;
  if (Expected<void> ok = check(driver.DriverGetVersion(&version), "ask for the driver's version"); !ok)
    return ok;
  if (version < 11080)
    return userError(fmt::format("the NVIDIA driver is too old: expected CUDA 11.8's or a newer one, but got {}.{}'s",
                                 version / 1000, version % 1000 / 10));
  if (Expected<void> ok = check(driver.DeviceGetCount(&count), "count GPUs"); !ok)
    return ok;
  if (count == 0)
    return userError(fmt::format("this executable runs on an NVIDIA GPU, but the driver knows none{}", otherwise));
  char text[128] = "";
  if (Expected<void> ok = check(driver.DeviceGet(&device, 0), "be opened"); !ok)
    return ok;
  if (Expected<void> ok = check(driver.DeviceGetName(text, sizeof(text), device), "be named"); !ok)
    return ok;
  name = text;
  for (auto [attribute, value] : {std::pair(capabilityMajor, &major), {capabilityMinor, &minor}})
    if (Expected<void> ok = check(driver.DeviceGetAttribute(value, attribute, device), "tell its architecture"); !ok)
      return ok;
  int wanted = numberOf(program.gpu), have = major * 10 + minor;
  if (have < wanted)
    return userError(
        fmt::format("this executable was compiled for {} and newer GPUs, but '{}' is sm_{}", program.gpu, name, have));
  Handle context = nullptr;
  if (Expected<void> ok = check(driver.DevicePrimaryCtxRetain(&context, device), "make a context"); !ok)
    return ok;
  hasContext = true;
  if (Expected<void> ok = check(driver.CtxSetCurrent(context), "use a context"); !ok)
    return ok;
  if (Expected<void> ok = check(driver.StreamCreate(&stream, /*CU_STREAM_NON_BLOCKING*/ 1), "make a stream"); !ok)
    return ok;
  for (size_t i = 0; i < images.size(); ++i) {
    // Machine code is for GPUs of its own generation, from its own number on.
    const XfImage &image = *images[i];
    bool takesCode = image.codeSize > 0 && have / 10 == wanted / 10;
    const Kernel &kernel = program.kernels[i];
    if (Expected<void> ok = check(driver.ModuleLoadData(&modules.emplace_back(), takesCode ? image.code : image.ptx),
                                  "load kernel '" + kernel.name + "'");
        !ok) {
      modules.pop_back();
      return ok;
    }
    if (Expected<void> ok = check(driver.ModuleGetFunction(&functions.emplace_back(), modules.back(), "xf_kernel"),
                                  "find kernel '" + kernel.name + "'");
        !ok)
      return ok;
    threads.push_back(kernel.threads);
    kernels.push_back(kernel.name);
  }
  return {};
}

Device::Device(std::unique_ptr<State> state) : state(std::move(state)) {}

Expected<std::unique_ptr<Device>> Device::open(const Program &program, std::span<const XfImage *const> images) {
  std::unique_ptr<Device> device(new Device(std::make_unique<State>()));
  if (Expected<void> started = device->state->start(program, images); !started)
    return started.error();
  return device;
}

Device::~Device() {
  // After a fault of the GPU each of these fails, and nothing is left to be done about it.
  if (state->memory)
    state->driver.MemFree_v2(state->memory);
  for (Handle module : state->modules)
    state->driver.ModuleUnload(module);
  if (state->stream)
    state->driver.StreamDestroy_v2(state->stream);
  if (state->hasContext)
    state->driver.DevicePrimaryCtxRelease_v2(state->device);
}

char *Device::data() const { return reinterpret_cast<char *>(state->memory); }

Expected<void> Device::reserve(int64_t bytes, const std::string &what) {
  if (bytes <= state->bytes)
    return {};
  if (state->memory) { // first: the old and the new need not fit together
    Address old = std::exchange(state->memory, 0);
    state->bytes = 0;
    if (Expected<void> ok = state->check(state->driver.MemFree_v2(old), "free memory"); !ok)
      return ok;
  }
  Result result = state->driver.MemAlloc_v2(&state->memory, bytes);
  if (result == outOfMemory) {
    state->memory = 0;
    size_t free = 0, total = 0;
    if (Expected<void> ok = state->check(state->driver.MemGetInfo_v2(&free, &total), "tell its memory"); !ok)
      return ok;
    return userError(fmt::format("not enough memory: {} needs {} on GPU '{}' for these inputs, and {} of {} is free",
                                 what, mebibytes(bytes), state->name, mebibytes(int64_t(free)),
                                 mebibytes(int64_t(total))));
  }
  if (Expected<void> ok = state->check(result, "allocate " + mebibytes(bytes)); !ok)
    return ok;
  state->bytes = bytes;
  return {};
}

static Address addressOf(const char *pointer) { return reinterpret_cast<uintptr_t>(pointer); }

Expected<void> Device::copyIn(char *to, const void *from, int64_t bytes) {
  if (bytes == 0)
    return {};
  return state->check(state->driver.MemcpyHtoDAsync_v2(addressOf(to), from, bytes, state->stream), "copy to it");
}

Expected<void> Device::copyOut(void *to, const char *from, int64_t bytes) {
  if (bytes == 0)
    return {};
  if (Expected<void> ok =
          state->check(state->driver.MemcpyDtoHAsync_v2(to, addressOf(from), bytes, state->stream), "copy from it");
      !ok)
    return ok;
  return wait();
}

Expected<void> Device::clear(char *to, int64_t bytes) {
  if (bytes == 0)
    return {};
  return state->check(state->driver.MemsetD8Async(addressOf(to), 0, bytes, state->stream), "clear its memory");
}

Expected<void> Device::launch(int64_t kernel, int64_t blocks, void **parameters) {
  return state->check(state->driver.LaunchKernel(state->functions[kernel], unsigned(blocks), 1, 1,
                                                 state->threads[kernel], 1, 1, 0, state->stream, parameters, nullptr),
                      "run kernel '" + state->kernels[kernel] + "'");
}

Expected<void> Device::wait() { return state->check(state->driver.StreamSynchronize(state->stream), "compute"); }
