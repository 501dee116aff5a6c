//===- Driver.cpp - a libcuda.so.1 without a GPU ------------------------------------===//
// The driver's functions that xf's runtime calls, on an emulated GPU: kernels are run by Emulator.cpp, and every
// argument, bound and lifetime is checked. What is wrong is written to stderr, and returned as the error of a launch.
// XF_GPU_ARCHITECTURE (90), XF_GPU_MEMORY (bytes), XF_GPU_DRIVER (13000) and XF_GPU_COUNT (1) set what it says it is.
//===--------------------------------------------------------------------------------===//
#include "Emulator.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <set>

using namespace xf::gpu;

namespace {
enum Result {
  success = 0,
  invalidValue = 1,
  outOfMemory = 2,
  notInitialized = 3,
  invalidContext = 201,
  noBinary = 209,
  invalidHandle = 400,
  notFound = 500,
  launchFailed = 719
};

long setting(const char *name, long otherwise) {
  const char *text = std::getenv(name);
  return text ? std::atol(text) : otherwise;
}

struct Module {
  Kernel kernel;
};

Memory memory;
std::set<Module *> modules;
bool initialized = false, current = false;
int contexts = 0, streams = 0;
bool lost = false; // after a fault every call fails, as on a GPU

int fail(int result, const std::string &what) {
  std::fprintf(stderr, "emulated GPU: %s\n", what.c_str());
  return result;
}

/// Runs `body` where there is a context; a Fault is the GPU's end.
int inContext(const char *name, const std::function<int()> &body) {
  if (!initialized)
    return fail(notInitialized, std::string(name) + " before cuInit");
  if (!current)
    return fail(invalidContext, std::string(name) + " without a context");
  if (lost)
    return launchFailed;
  try {
    return body();
  } catch (const Fault &fault) {
    lost = true;
    return fail(launchFailed, std::string(name) + ": " + fault.what());
  }
}
char streamPlace, contextPlace; // what handles point to
bool isStream(void *stream) { return stream == &streamPlace && streams > 0; }
} // namespace

#define XF_EXPORT extern "C" __attribute__((visibility("default"))) int

XF_EXPORT cuInit(unsigned flags) {
  initialized = flags == 0;
  return initialized ? success : invalidValue;
}
XF_EXPORT cuDriverGetVersion(int *version) { return *version = int(setting("XF_GPU_DRIVER", 13000)), success; }
XF_EXPORT cuGetErrorString(int error, const char **text) {
  *text = error == launchFailed  ? "unspecified launch failure"
          : error == outOfMemory ? "out of memory"
                                 : "emulated error";
  return success;
}
XF_EXPORT cuDeviceGetCount(int *count) { return *count = int(setting("XF_GPU_COUNT", 1)), success; }
XF_EXPORT cuDeviceGet(int *device, int ordinal) {
  if (ordinal != 0)
    return invalidValue;
  return *device = 0, success;
}
XF_EXPORT cuDeviceGetName(char *name, int length, int) {
  std::snprintf(name, size_t(length), "emulated GPU");
  return success;
}
XF_EXPORT cuDeviceGetAttribute(int *value, int attribute, int) {
  int architecture = int(setting("XF_GPU_ARCHITECTURE", 90));
  if (attribute != 75 && attribute != 76)
    return fail(invalidValue, "attribute " + std::to_string(attribute));
  *value = attribute == 75 ? architecture / 10 : architecture % 10;
  return success;
}
XF_EXPORT cuDevicePrimaryCtxRetain(void **context, int device) {
  if (!initialized || device != 0)
    return notInitialized;
  ++contexts;
  *context = &contextPlace;
  return success;
}
XF_EXPORT cuDevicePrimaryCtxRelease_v2(int) {
  if (--contexts == 0) {
    if (memory.inUse() && std::getenv("XF_GPU_LEAKS"))
      fail(invalidValue, "memory is left at the end");
    current = false;
  }
  return contexts < 0 ? fail(invalidContext, "a context is released twice") : success;
}
XF_EXPORT cuCtxSetCurrent(void *context) {
  current = context == &contextPlace && contexts > 0;
  return current ? success : fail(invalidContext, "cuCtxSetCurrent of no context");
}
static size_t total() { return size_t(setting("XF_GPU_MEMORY", long(1) << 30)); }
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
    *address = memory.allocate(bytes);
    return success;
  });
}
XF_EXPORT cuMemFree_v2(unsigned long long address) {
  return inContext("cuMemFree", [&] { return memory.release(address), success; });
}
XF_EXPORT cuMemcpyHtoDAsync_v2(unsigned long long to, const void *from, size_t bytes, void *stream) {
  return inContext("cuMemcpyHtoD", [&]() -> int {
    if (!isStream(stream) || !from)
      return fail(invalidHandle, "cuMemcpyHtoD without stream or memory");
    Region &region = memory.find(to, bytes, "copy");
    std::memcpy(region.at(to), from, bytes);
    region.setWritten(to, bytes);
    return success;
  });
}
XF_EXPORT cuMemcpyDtoHAsync_v2(void *to, unsigned long long from, size_t bytes, void *stream) {
  return inContext("cuMemcpyDtoH", [&]() -> int {
    if (!isStream(stream) || !to)
      return fail(invalidHandle, "cuMemcpyDtoH without stream or memory");
    std::memcpy(to, memory.find(from, bytes, "copy").at(from), bytes);
    return success;
  });
}
XF_EXPORT cuMemsetD8Async(unsigned long long to, unsigned char value, size_t bytes, void *stream) {
  return inContext("cuMemsetD8", [&]() -> int {
    if (!isStream(stream))
      return fail(invalidHandle, "cuMemsetD8 without stream");
    Region &region = memory.find(to, bytes, "set");
    std::memset(region.at(to), value, bytes);
    region.setWritten(to, bytes);
    return success;
  });
}
XF_EXPORT cuStreamCreate(void **stream, unsigned) {
  return inContext("cuStreamCreate", [&] { return ++streams, *stream = &streamPlace, success; });
}
XF_EXPORT cuStreamDestroy_v2(void *stream) {
  return inContext("cuStreamDestroy", [&] { return isStream(stream) ? (--streams, success) : invalidHandle; });
}
XF_EXPORT cuStreamSynchronize(void *stream) {
  return inContext("cuStreamSynchronize", [&] { return isStream(stream) ? success : invalidHandle; });
}
XF_EXPORT cuModuleLoadData(void **module, const void *image) {
  return inContext("cuModuleLoadData", [&]() -> int {
    if (std::memcmp(image, "\177ELF", 4) == 0)
      return fail(noBinary, "machine code can't be emulated");
    auto loaded = new Module{parse(static_cast<const char *>(image), memory)};
    modules.insert(loaded);
    *module = loaded;
    return success;
  });
}
XF_EXPORT cuModuleUnload(void *module) {
  return inContext("cuModuleUnload", [&]() -> int {
    if (!modules.erase(static_cast<Module *>(module)))
      return fail(invalidHandle, "cuModuleUnload of no module");
    delete static_cast<Module *>(module);
    return success;
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
XF_EXPORT cuLaunchKernel(void *function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX,
                         unsigned blockY, unsigned blockZ, unsigned shared, void *stream, void **parameters,
                         void **extra) {
  return inContext("cuLaunchKernel", [&]() -> int {
    auto *module = static_cast<Module *>(function);
    if (!modules.count(module) || !isStream(stream))
      return fail(invalidHandle, "cuLaunchKernel without function or stream");
    if (gridX == 0 || gridX > 0x7fffffff || gridY != 1 || gridZ != 1 || blockX == 0 || blockX > 1024 || blockY != 1 ||
        blockZ != 1 || shared != 0 || extra)
      return fail(invalidValue, "cuLaunchKernel of a grid that can't be");
    std::vector<uint64_t> values;
    for (size_t i = 0; i < module->kernel.parameters.size(); ++i)
      values.push_back(*static_cast<uint64_t *>(parameters[i]));
    launch(module->kernel, gridX, blockX, values, memory);
    return success;
  });
}
