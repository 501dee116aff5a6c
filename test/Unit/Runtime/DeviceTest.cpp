//===- DeviceTest.cpp - The driver's rules, and who has which values ------------------===//
// On the driver without a GPU (test/lib/GPU), which does what it is asked for as late as may be: what would go wrong on
// a GPU some day goes wrong here every time. Each test has a process, and a driver, of its own.
//===--------------------------------------------------------------------------------===//
#include "xf/Runtime/Arena.h"
#include "xf/Runtime/DeviceRunner.h"

#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>
#include <iostream>

using namespace xf::runtime;

namespace {
struct DeviceTest : testing::Test {
  Program program;
  std::unique_ptr<Device> device;

  void SetUp() override {
    program.gpu = "sm_80";
    Expected<std::unique_ptr<Device>> opened = Device::open(program, {});
    ASSERT_TRUE(opened) << opened.error().message;
    device = std::move(*opened);
    ASSERT_TRUE(device->reserve(1024, "a test"));
    testing::internal::CaptureStderr();
    isCaptured = true;
  }
  void TearDown() override {
    unsetenv("XF_GPU_FAIL");
    if (isCaptured) // GoogleTest's file of it is removed by who reads it
      std::cerr << said();
  }
  /// What the driver said, with nothing left open.
  std::string said() {
    device.reset();
    isCaptured = false;
    return testing::internal::GetCapturedStderr();
  }
  bool isCaptured = false;
};

/// From now on: "cuMemAlloc:2:3", as in test/lib/GPU/Driver.cpp.
void failOn(const char *call) { setenv("XF_GPU_FAIL", call, 1); }

/// A function that works on parameters, and one that works on gradients too.
struct ArenaTest : testing::Test {
  static constexpr int64_t count = 64;
  Program program;
  ModelArenas model;
  std::unique_ptr<DeviceRunner> runner;

  void SetUp() override {
    program.gpu = "sm_80";
    for (const char *name : {"first", "second"}) {
      Function &function = program.functions.emplace_back();
      function.name = name;
      Dispatch &dispatch = function.dispatches.emplace_back();
      dispatch.operands = {{Space::Parameter, 0, count}};
    }
    program.functions[1].dispatches[0].operands.push_back({Space::Gradient, 0, count});
    Expected<std::unique_ptr<DeviceRunner>> opened = DeviceRunner::open(program, {});
    ASSERT_TRUE(opened) << opened.error().message;
    runner = std::move(*opened);
    for (Arena *arena : {&model.parameters, &model.gradients})
      ASSERT_TRUE(arena->reserve(count * sizeof(float)));
    // What is here is older than what is there.
    Expected<float *> here = model.parameters.change();
    ASSERT_TRUE(here);
    std::fill_n(*here, count, 1.0f);
    ASSERT_TRUE(reserve(0));
    ASSERT_TRUE(model.parameters.clear());
    ASSERT_EQ(model.parameters.here()[0], 1);
  }
  void TearDown() override { unsetenv("XF_GPU_FAIL"); }
  Expected<void> reserve(size_t function) {
    Call call{&program.functions[function], {}};
    return runner->reserve({&call, 1}, model);
  }
};
} // namespace

TEST_F(DeviceTest, CopiesPinnedMemoryWhenItGetsThere) {
  Device::Pinned in(*device), out(*device);
  ASSERT_TRUE(in.reserve(64) && out.reserve(64));
  std::strcpy(in.data(), "first");
  std::strcpy(out.data(), "nothing");
  char pageable[64] = "kept";
  ASSERT_TRUE(device->copyIn(device->data(), in, 64));
  std::strcpy(in.data(), "second");
  ASSERT_TRUE(device->copyOut(out, 0, device->data(), 64));
  EXPECT_STREQ(out.data(), "nothing"); // nobody has waited
  ASSERT_TRUE(device->wait());
  EXPECT_STREQ(out.data(), "second");
  ASSERT_TRUE(device->copyIn(device->data() + 64, pageable, 64)); // which waits
  std::strcpy(pageable, "changed");
  ASSERT_TRUE(device->copyOut(pageable, device->data() + 64, 64));
  EXPECT_STREQ(pageable, "kept");
}

TEST_F(ArenaTest, KeepsItsPlaceWhereItDoesNotComeHome) {
  failOn("cuMemcpyDtoH:2:1");
  Expected<void> moved = reserve(1);
  ASSERT_FALSE(moved); // gradients have no place yet, so all must move
  EXPECT_EQ(moved.error().message,
            "not enough memory: to copy from it GPU 'emulated GPU' needs some besides the 0.0 MiB "
            "that are planned (smaller batches need less), and 1024.0 MiB of 1024.0 MiB is free");
  Expected<const float *> values = model.parameters.read();
  ASSERT_TRUE(values) << values.error().message;
  EXPECT_EQ((*values)[0], 0);
  ASSERT_TRUE(reserve(1));
}

TEST_F(ArenaTest, IsAtHomeWhenTheCopyIsDone) {
  failOn("cuStreamSynchronize:999:1");
  EXPECT_FALSE(model.parameters.read());
  Expected<const float *> values = model.parameters.read();
  ASSERT_TRUE(values) << values.error().message;
  EXPECT_EQ((*values)[0], 0);
}

TEST_F(ArenaTest, IsThereWhenTheCopyIsDone) {
  Expected<const float *> values = model.parameters.read();
  ASSERT_TRUE(values);
  const float two = 2, three = 3;
  failOn("cuMemcpyHtoD:999:1");
  EXPECT_FALSE(model.parameters.set(0, 1, &two));
  EXPECT_EQ(**model.parameters.read(), 0);
  ASSERT_TRUE(model.parameters.set(0, 1, &three));
  EXPECT_EQ(**model.parameters.read(), 3);
}

TEST_F(ArenaTest, IsRefusedWhereTheGPUIsLost) {
  failOn("cuStreamSynchronize:719:1");
  for (int i = 0; i < 2; ++i) {
    Expected<const float *> values = model.parameters.read();
    ASSERT_FALSE(values);
    EXPECT_EQ(values.error().exitCode, 2); // a fault is a kernel's
    EXPECT_EQ(values.error().message.find("lost since an earlier call") != std::string::npos, i > 0);
  }
}

namespace {
struct Wrong {
  int error, exitCode;
  bool isLost;
};
struct WrongTest : DeviceTest, testing::WithParamInterface<Wrong> {};
} // namespace

TEST_P(WrongTest, IsOursOrNot) {
  auto [error, exitCode, isLost] = GetParam();
  failOn(("cuStreamSynchronize:" + std::to_string(error) + ":1+").c_str());
  for (int i = 0; i < 2; ++i) {
    Expected<void> done = device->wait();
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().exitCode, exitCode) << done.error().message;
    EXPECT_EQ(done.error().message.find("lost since an earlier call") != std::string::npos, isLost && i > 0)
        << done.error().message;
  }
}
INSTANTIATE_TEST_SUITE_P(Arguments, WrongTest,
                         testing::Values(Wrong{1, 2, false}, Wrong{400, 2, false}, Wrong{701, 2, false}));
INSTANTIATE_TEST_SUITE_P(Kernels, WrongTest,
                         testing::Values(Wrong{700, 2, true}, Wrong{710, 2, true}, Wrong{714, 2, true},
                                         Wrong{715, 2, true}, Wrong{716, 2, true}, Wrong{717, 2, true},
                                         Wrong{718, 2, true}, Wrong{719, 2, true}));
INSTANTIATE_TEST_SUITE_P(Machine, WrongTest,
                         testing::Values(Wrong{2, 1, false}, Wrong{46, 1, false}, Wrong{201, 1, false},
                                         Wrong{214, 1, true}, Wrong{702, 1, true}, Wrong{802, 1, false},
                                         Wrong{999, 1, true}));

TEST_F(DeviceTest, LosesTheGPUToAnAccessOutOfBounds) {
  ASSERT_TRUE(device->clear(device->data() + 1000, 64)); // seen when it is done
  Expected<void> done = device->wait();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().message, "GPU 'emulated GPU': can't compute: unspecified launch failure (CUDA error 719)");
  EXPECT_FALSE(device->clear(device->data(), 4)); // and nothing works from then on
  EXPECT_NE(said().find("64 bytes at"), std::string::npos);
}

TEST_F(DeviceTest, SeesWhatIsUsedAfterItWasFreed) {
  char *old = device->data();
  ASSERT_TRUE(device->reserve(4096, "a test"));
  ASSERT_NE(device->data(), old);
  ASSERT_TRUE(device->clear(old, 4));
  EXPECT_FALSE(device->wait());
  EXPECT_NE(said().find("are freed memory"), std::string::npos);
}

TEST_F(DeviceTest, SeesPinnedMemoryFreedWhileItIsCopied) {
  {
    Device::Pinned pinned(*device);
    ASSERT_TRUE(pinned.reserve(64));
    ASSERT_TRUE(device->copyIn(device->data(), pinned, 64));
  }
  EXPECT_FALSE(device->wait());
  EXPECT_NE(said().find("pinned memory is freed while it is copied"), std::string::npos);
}

TEST_F(DeviceTest, SeesAGraphDestroyedWhileItRuns) {
  {
    Expected<Device::Graph> graph = device->makeGraph({});
    ASSERT_TRUE(graph) << graph.error().message;
    Expected<bool> launched = device->launch(*graph);
    ASSERT_TRUE(launched && *launched && device->wait());
    ASSERT_TRUE(device->launch(*graph));
  } // not waited for
  EXPECT_FALSE(device->wait());
  EXPECT_NE(said().find("a graph is destroyed while it runs"), std::string::npos);
}

TEST_F(DeviceTest, SaysWhatIsLeftAtTheEnd) {
  static auto *left = new Device::Pinned(*device);
  ASSERT_TRUE(left->reserve(64));
  EXPECT_NE(said().find("1 blocks of pinned memory are left at the end"), std::string::npos);
}
