//===- OnGPUTest.cpp - what tests of kernels see of what a kernel does wrong --------------===//
// On the emulated GPU, which looks for it, and on one that doesn't: by what is in its memory.
//===--------------------------------------------------------------------------------===//
#include "Device.h"

#include <gmock/gmock.h>

using namespace xf::gpu;

/// What is wrong with a kernel of 32 threads, each of which gets the address of 32 words in %rd1, that of its own in
/// %rd2, its number in %r1, and in %p1 whether that is 0; or with the `read` words that it has to write.
static std::string wrongOf(const std::string &body, int64_t read = 32) {
  Device device;
  uint64_t words = device.allocate(32 * 4 - 16); // it makes room for 16 bytes more
  try {
    device.run(".version 7.8\n.target sm_80\n.address_size 64\n.visible .entry xf_kernel(\n\t.param .u64 .ptr .align 1 "
               "xf_kernel_param_0\n)\n.reqntid 32, 1, 1\n{\n.reg .b64 %rd<4>;\n.reg .b32 %r<4>;\n.reg .pred %p<2>;\n"
               "ld.param.b64 %rd1, [xf_kernel_param_0];\nmov.u32 %r1, %tid.x;\nmul.wide.u32 %rd2, %r1, 4;\n"
               "add.s64 %rd2, %rd1, %rd2;\nsetp.eq.s32 %p1, %r1, 0;\n" +
                   body + "ret;\n}\n",
               /*blocks=*/1, {words}, {}, /*shared=*/0);
    device.read(words, 1, read, /*isNarrow=*/false);
  } catch (const Fault &fault) {
    return fault.what();
  }
  return "";
}

TEST(OnGPU, NothingIsWrong) { EXPECT_EQ(wrongOf("st.global.b32 [%rd2], %r1;\n"), ""); }

TEST(OnGPU, ResultsThatAreLeftOut) {
  EXPECT_THAT(wrongOf("@%p1 st.global.b32 [%rd1], %r1;\n"), testing::HasSubstr("(0, 1) of a result is not written"));
}

TEST(OnGPU, WritesBesideResults) {
  for (const char *beside : {"+-4", "+128", "+4000"})
    EXPECT_THAT(wrongOf("@%p1 st.global.b32 [%rd1" + std::string(beside) + "], %r1;\n", 0),
                testing::HasSubstr("out of bounds"))
        << beside;
}
