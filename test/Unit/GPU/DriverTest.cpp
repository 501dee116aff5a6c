//===- DriverTest.cpp - what the emulated driver refuses --------------------------------===//
// Arguments that a GPU's driver takes, and beside them those that it doesn't: whoever calls it is right on the emulated
// one too.
//===--------------------------------------------------------------------------------===//
#include <array>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <gtest/gtest.h>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

extern "C" {
int cuInit(unsigned);
int cuDevicePrimaryCtxRetain(void **, int);
int cuDevicePrimaryCtxRelease_v2(int);
int cuCtxPushCurrent_v2(void *);
int cuMemAlloc_v2(unsigned long long *, size_t);
int cuMemFree_v2(unsigned long long);
int cuMemcpyHtoDAsync_v2(unsigned long long, const void *, size_t, void *);
int cuMemcpyDtoHAsync_v2(void *, unsigned long long, size_t, void *);
int cuStreamSynchronize(void *);
int cuModuleLoadData(void **, const void *);
int cuModuleUnload(void *);
int cuModuleGetFunction(void **, void *, const char *);
int cuFuncSetAttribute(void *, int, int);
int cuStreamCreate(void **, unsigned);
int cuLaunchKernel(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **,
                   void **);
int cuTensorMapEncodeTiled(void *, int, uint32_t, unsigned long long, const uint64_t *, const uint64_t *,
                           const uint32_t *, const uint32_t *, int, int, int, int);
}

namespace {
enum Result {
  success = 0,
  invalidValue = 1,
  outOfMemory = 2,
  notInitialized = 3,
  invalidImage = 200,
  invalidContext = 201,
  noBinary = 209,
  unsupportedPTX = 222,
  illegalAddress = 700
};

class Driver : public testing::Test {
protected:
  void *context = nullptr, *stream = nullptr;
  void SetUp() override {
    for (const char *name : {"XF_GPU_ARCHITECTURE", "XF_GPU_DRIVER", "XF_GPU_FAIL"})
      unsetenv(name);
    ASSERT_EQ(cuInit(0), success);
    ASSERT_EQ(cuDevicePrimaryCtxRetain(&context, 0), success);
    ASSERT_EQ(cuCtxPushCurrent_v2(context), success);
    ASSERT_EQ(cuStreamCreate(&stream, 1), success);
  }
  void TearDown() override { cuDevicePrimaryCtxRelease_v2(0); }

  static std::string module(const std::string &target, const std::string &version, int parameters = 1,
                            const std::string &shared = "") {
    std::string text = ".version " + version + "\n.target " + target + "\n.visible .entry kernel(\n";
    for (int i = 0; i < parameters; ++i)
      text += ".param .u64 kernel_param_" + std::to_string(i) + (i + 1 < parameters ? ",\n" : "\n");
    return text + ")\n.reqntid 32, 1, 1\n{\n" + shared + "ret;\n}\n";
  }
  static int load(const std::string &text) {
    void *loaded = nullptr;
    int result = cuModuleLoadData(&loaded, text.c_str());
    return result == success ? cuModuleUnload(loaded) : result;
  }
  static void *functionOf(const std::string &text) {
    void *loaded = nullptr, *function = nullptr;
    EXPECT_EQ(cuModuleLoadData(&loaded, text.c_str()), success);
    EXPECT_EQ(cuModuleGetFunction(&function, loaded, "kernel"), success);
    return function;
  }
};
} // namespace

TEST_F(Driver, CopiesAsLateAsMayBe) {
  unsigned long long address = 0;
  ASSERT_EQ(cuMemAlloc_v2(&address, 4), success);
  int there = 1, here = 0;
  ASSERT_EQ(cuMemcpyHtoDAsync_v2(address, &there, 4, stream), success);
  ASSERT_EQ(cuMemcpyDtoHAsync_v2(&here, address, 4, stream), success);
  there = 2;
  EXPECT_EQ(here, 0);
  ASSERT_EQ(cuStreamSynchronize(stream), success);
  EXPECT_EQ(here, 2);
  cuMemFree_v2(address);
}

TEST_F(Driver, FailsWhereItIsTold) {
  unsigned long long address = 0;
  auto results = [&](const char *plan) {
    setenv("XF_GPU_FAIL", plan, 1);
    std::vector<int> results;
    for (int i = 0; i < 3; ++i) {
      results.push_back(cuMemAlloc_v2(&address, 4));
      if (results.back() == success)
        EXPECT_EQ(cuMemFree_v2(address), success);
    }
    return results;
  };
  EXPECT_EQ(results("cuMemAlloc:2:2"), (std::vector<int>{success, outOfMemory, success}));
  EXPECT_EQ(results("cuMemAlloc:1:2+"), (std::vector<int>{success, invalidValue, invalidValue}));
  EXPECT_EQ(results("cuMemAllocHost:2:1"), (std::vector<int>{success, success, success}));
  EXPECT_EQ(results("cuMemAlloc:700:2"),
            (std::vector<int>{success, illegalAddress, illegalAddress})); // nothing works now
}

TEST_F(Driver, WorksInNoProcessThatWasForked) {
  pid_t child = fork();
  if (child == 0) {
    int count = 0;
    unsigned long long address = 0;
    for (int result : {cuInit(0), cuDevicePrimaryCtxRetain(&context, 0), cuCtxPushCurrent_v2(context),
                       cuMemAlloc_v2(&address, 4), cuStreamSynchronize(stream)})
      count += result == notInitialized;
    _exit(count);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 5);
}

TEST_F(Driver, AsksEachThreadForItsContext) {
  auto elsewhere = [&](bool says) {
    int result = -1;
    std::thread([&] {
      if (says)
        cuCtxPushCurrent_v2(context);
      unsigned long long address = 0;
      result = cuMemAlloc_v2(&address, 256);
      if (result == success)
        cuMemFree_v2(address);
    }).join();
    return result;
  };
  EXPECT_EQ(elsewhere(false), invalidContext);
  EXPECT_EQ(elsewhere(true), success);
  // One that is gone is meant by nobody, whoever has another one.
  cuDevicePrimaryCtxRelease_v2(0);
  ASSERT_EQ(cuDevicePrimaryCtxRetain(&context, 0), success);
  unsigned long long address = 0;
  EXPECT_EQ(cuMemAlloc_v2(&address, 256), invalidContext);
}

TEST_F(Driver, LoadsWhatIsForItsArchitectureAndVersion) {
  EXPECT_EQ(load(module("sm_80", "7.8")), success);
  EXPECT_EQ(load(module("sm_90a", "8.0")), success);
  EXPECT_EQ(load(module("sm_90a", "9.9")), unsupportedPTX);
  setenv("XF_GPU_DRIVER", "11080", 1);
  EXPECT_EQ(load(module("sm_80", "7.8")), success);
  EXPECT_EQ(load(module("sm_90a", "8.0")), unsupportedPTX);
  EXPECT_EQ(load("\177ELF"), invalidImage);
  unsetenv("XF_GPU_DRIVER");
  EXPECT_EQ(load("\177ELF"), noBinary);
  setenv("XF_GPU_ARCHITECTURE", "100", 1);
  EXPECT_EQ(load(module("sm_90", "8.0")), success);
  EXPECT_EQ(load(module("sm_90a", "8.0")), noBinary);
  setenv("XF_GPU_ARCHITECTURE", "80", 1);
  EXPECT_EQ(load(module("sm_86", "7.8")), noBinary);
}

TEST_F(Driver, LaunchesWhatCanBe) {
  std::vector<uint64_t> numbers(600);
  std::vector<void *> parameters;
  for (uint64_t &number : numbers)
    parameters.push_back(&number);
  auto launch = [&](void *function, std::array<unsigned, 6> grid, unsigned shared = 0) {
    return cuLaunchKernel(function, grid[0], grid[1], grid[2], grid[3], grid[4], grid[5], shared, stream,
                          parameters.data(), nullptr);
  };
  void *function = functionOf(module("sm_80", "7.8"));
  EXPECT_EQ(launch(function, {7, 1, 1, 32, 1, 1}), success);
  EXPECT_EQ(launch(function, {0, 1, 1, 32, 1, 1}), invalidValue);
  EXPECT_EQ(launch(function, {1u << 31, 1, 1, 32, 1, 1}), invalidValue);
  EXPECT_EQ(launch(function, {1, 1, 1, 1025, 1, 1}), invalidValue);
  // More shared memory than the launch may have has to be asked for, and is as much as the GPU has.
  constexpr int mostShared = 8;
  EXPECT_EQ(launch(function, {1, 1, 1, 32, 1, 1}, 50000), invalidValue);
  for (auto [architecture, most] :
       {std::pair("80", 163 << 10), {"86", 99 << 10}, {"89", 99 << 10}, {"120", 99 << 10}, {"90", 227 << 10}}) {
    setenv("XF_GPU_ARCHITECTURE", architecture, 1);
    EXPECT_EQ(cuFuncSetAttribute(function, mostShared, most), success);
    EXPECT_EQ(launch(function, {1, 1, 1, 32, 1, 1}, unsigned(most)), success);
    EXPECT_EQ(cuFuncSetAttribute(function, mostShared, most + 1), invalidValue);
    void *other = functionOf(module("sm_80", "7.8", 1, ".shared .align 16 .b8 own[16];\n"));
    EXPECT_EQ(cuFuncSetAttribute(other, mostShared, most), invalidValue); // with its own
  }
  // Parameters are at most 4 KiB.
  EXPECT_EQ(launch(functionOf(module("sm_80", "7.8", 512)), {1, 1, 1, 32, 1, 1}), success);
  EXPECT_EQ(launch(functionOf(module("sm_80", "7.8", 513)), {1, 1, 1, 32, 1, 1}), invalidValue);
}

TEST_F(Driver, DescribesMatricesThatBoxesCanBeCopiedOf) {
  struct Map {
    uint64_t address = 4096, columns = 100, rows = 30, pitch = 208;
    uint32_t boxColumns = 64, boxRows = 64, step = 1;
    int swizzle = 3, type = 9;
    size_t shift = 0;
  };
  auto encode = [](const std::function<void(Map &)> &change) {
    Map map;
    change(map);
    alignas(64) static std::array<char, 256> bits;
    uint64_t extents[] = {map.columns, map.rows};
    uint32_t box[] = {map.boxColumns, map.boxRows}, steps[] = {map.step, 1};
    return cuTensorMapEncodeTiled(bits.data() + map.shift, map.type, 2, map.address, extents, &map.pitch, box, steps, 0,
                                  map.swizzle, 3, 0);
  };
  EXPECT_EQ(encode([](Map &) {}), success);
  EXPECT_EQ(encode([](Map &map) { map.shift = 32; }), invalidValue);
  EXPECT_EQ(encode([](Map &map) { map.address += 8; }), invalidValue);
  EXPECT_EQ(encode([](Map &map) { map.pitch = 200; }), invalidValue);
  EXPECT_EQ(encode([](Map &map) { map.pitch = 192; }), invalidValue); // rows are longer
  EXPECT_EQ(encode([](Map &map) { map.pitch = uint64_t(1) << 40; }), invalidValue);
  EXPECT_EQ(encode([](Map &map) { map.rows = 0; }), invalidValue);
  EXPECT_EQ(encode([](Map &map) { map.rows = uint64_t(1) << 32; }), invalidValue);
  EXPECT_EQ(encode([](Map &map) { map.boxRows = 256; }), success);
  EXPECT_EQ(encode([](Map &map) { map.boxRows = 257; }), invalidValue);
  EXPECT_EQ(encode([](Map &map) { map.boxRows = 0; }), invalidValue);
  EXPECT_EQ(encode([](Map &map) { map.boxColumns = 72; }), invalidValue); // more than is swizzled
  EXPECT_EQ(encode([](Map &map) { map.boxColumns = 60; }), invalidValue); // no multiple of 16 bytes
  EXPECT_EQ(encode([](Map &map) { map.type = 7, map.pitch = 400, map.boxColumns = 32; }), success); // of f32
  EXPECT_EQ(encode([](Map &map) { map.type = 7, map.boxColumns = 32; }), invalidValue);
  EXPECT_EQ(encode([](Map &map) { map.type = 7, map.pitch = 400; }), invalidValue);
  EXPECT_EQ(encode([](Map &map) { map.step = 2; }), invalidValue);    // which xf doesn't use
  EXPECT_EQ(encode([](Map &map) { map.swizzle = 1; }), invalidValue); // likewise
}
