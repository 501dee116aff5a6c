//===- DeviceTest.cpp - The driver's rules, and who has which values ------------------===//
// On the driver without a GPU (test/lib/GPU), which does what it is asked for as late as may be: what would go wrong on
// a GPU some day goes wrong here every time. Each test has a process, and a driver, of its own.
//===--------------------------------------------------------------------------------===//
#include "xf/Runtime/Arena.h"
#include "xf/Runtime/DeviceRunner.h"

#include <cstring>
#include <gtest/gtest.h>

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
  }
  /// What the driver said, with nothing left open.
  std::string said() {
    device.reset();
    return testing::internal::GetCapturedStderr();
  }
};
} // namespace

TEST_F(DeviceTest, CopiesPinnedMemoryWhenItGetsThere) {
  Device::Pinned in(*device), out(*device);
  ASSERT_TRUE(in.reserve(64) && out.reserve(64));
  std::strcpy(in.data(), "first");
  std::strcpy(out.data(), "nothing");
  char pageable[64] = "kept";
  ASSERT_TRUE(device->copyIn(device->data(), in.data(), 64));
  ASSERT_TRUE(device->copyIn(device->data() + 64, pageable, 64));
  std::strcpy(in.data(), "second"), std::strcpy(pageable, "changed");
  ASSERT_TRUE(device->copyOut(out.data(), device->data(), 64));
  EXPECT_STREQ(out.data(), "nothing"); // nobody has waited
  ASSERT_TRUE(device->wait());
  EXPECT_STREQ(out.data(), "second");
  ASSERT_TRUE(device->copyOut(pageable, device->data() + 64, 64));
  EXPECT_STREQ(pageable, "kept");
}

TEST_F(DeviceTest, LosesTheGPUToACopyOutOfBounds) {
  char data[64] = {};
  ASSERT_TRUE(device->copyIn(device->data() + 1000, data, 64)); // seen when it is done
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
    ASSERT_TRUE(device->copyIn(device->data(), pinned.data(), 64));
  }
  EXPECT_FALSE(device->wait());
  EXPECT_NE(said().find("pinned memory is freed while it is copied"), std::string::npos);
}

TEST_F(DeviceTest, SeesAGraphDestroyedWhileItRuns) {
  {
    Expected<Device::Graph> graph = device->makeGraph({});
    ASSERT_TRUE(graph) << graph.error().message;
    ASSERT_TRUE(device->launch(*graph) && device->wait());
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
