//===- EmulatorTest.cpp - what the emulated GPU computes, and what it refuses -----------===//
#include "Emulator.h"

#include <cstring>
#include <gmock/gmock.h>

using namespace xf::gpu;

namespace {
/// A module of one kernel on one pointer, with 64 words of shared memory.
std::string moduleOf(const std::string &body, int threads = 64) {
  return ".version 7.8\n.target sm_80\n.address_size 64\n.visible .entry test(\n\t.param .u64 .ptr .align 1 "
         "test_param_0\n)\n"
         ".reqntid " +
         std::to_string(threads) +
         ", 1, 1\n{\n.shared .align 16 .b8 words[256];\n"
         "ld.param.b64 %rd1, [test_param_0];\nmov.u32 %r1, %tid.x;\nmul.wide.u32 %rd2, %r1, 4;\n"
         "add.s64 %rd3, %rd1, %rd2;\nmov.b64 %rd4, words;\nadd.s64 %rd5, %rd4, %rd2;\nxor.b32 %r2, %r1, 32;\n"
         "mul.wide.u32 %rd6, %r2, 4;\nadd.s64 %rd6, %rd4, %rd6;\n" +
         body + "ret;\n}\n";
}

/// What is wrong with it; "" where nothing is. `words` of memory are written, of which the kernel has the address.
std::string run(const std::string &body, std::vector<uint32_t> &words, uint32_t blocks = 1) {
  Memory memory;
  try {
    Kernel kernel = parse(moduleOf(body), memory);
    uint64_t bytes = words.size() * 4, address = memory.allocate(bytes);
    Region &region = memory.find(address, bytes, "test");
    std::memcpy(region.at(address), words.data(), bytes);
    region.setWritten(address, bytes);
    launch(kernel, blocks, 64, {address}, memory);
    std::memcpy(words.data(), region.at(address), bytes);
    return "";
  } catch (const Fault &fault) {
    return fault.what();
  }
}
std::string run(const std::string &body, uint32_t blocks = 1) {
  std::vector<uint32_t> words(64);
  return run(body, words, blocks);
}
} // namespace

TEST(Emulator, ExchangesThroughSharedMemory) {
  std::vector<uint32_t> words(64);
  EXPECT_EQ(
      run("st.shared.b32 [%rd5], %r1;\nbar.sync 0;\nld.shared.b32 %r3, [%rd6];\nst.global.b32 [%rd3], %r3;\n", words),
      "");
  for (uint32_t i = 0; i < 64; ++i)
    EXPECT_EQ(words[i], i ^ 32);
}

TEST(Emulator, MeetsAgainAfterBranches) {
  std::vector<uint32_t> words(64);
  EXPECT_EQ(run("mov.b32 %r3, 0;\nand.b32 %r5, %r1, 7;\nAGAIN:\nadd.s32 %r3, %r3, 1;\nsetp.le.s32 %p1, %r3, %r5;\n@%p1 "
                "bra AGAIN;\n"
                "shfl.sync.bfly.b32 %r4, %r3, 1, 31, -1;\nst.global.b32 [%rd3], %r4;\n",
                words),
            "");
  for (uint32_t i = 0; i < 64; ++i)
    EXPECT_EQ(words[i], ((i ^ 1) & 7) + 1);
}

TEST(Emulator, FindsWhatIsWrong) {
  using testing::HasSubstr;
  EXPECT_THAT(run("st.shared.b32 [%rd5], %r1;\nld.shared.b32 %r3, [%rd6];\n"),
              HasSubstr("written")); // or a race, in turn
  EXPECT_THAT(run("st.shared.b32 [%rd5], %r1;\nbar.sync 0;\nld.shared.b32 %r3, [%rd6];\nst.shared.b32 [%rd5], %r3;\n"),
              HasSubstr("races"));
  EXPECT_THAT(run("st.global.b32 [%rd1], %r1;\n"), HasSubstr("races"));
  EXPECT_THAT(run("st.global.b32 [%rd3], %r1;\n", 2), HasSubstr("races")); // of two blocks
  EXPECT_THAT(run("st.global.b32 [%rd3+4], %r1;\n"), HasSubstr("lane 31: store: 4 bytes at"));
  EXPECT_THAT(run("ld.global.b32 %r3, [%rd3+2];\n"), HasSubstr("misaligned"));
  EXPECT_THAT(run("ld.global.v4.b32 {%r3, %r4, %r5, %r6}, [%rd3];\n"), HasSubstr("misaligned"));
  EXPECT_THAT(run("ld.shared.b32 %r3, [%rd5];\n"), HasSubstr("never written"));
  EXPECT_THAT(run("st.shared.b32 [%rd5+252], %r1;\n"), HasSubstr("out of bounds of shared memory"));
  EXPECT_THAT(run("setp.lt.s32 %p1, %r1, 7;\n@%p1 bra PAST;\nbar.sync 0;\nPAST:\n"), HasSubstr("only some threads"));
  EXPECT_THAT(run("setp.lt.s32 %p1, %r1, 32;\n@%p1 bra PAST;\nbar.sync 0;\nPAST:\n"), HasSubstr("only some warps"));
  EXPECT_THAT(run("setp.lt.s32 %p1, %r1, 7;\n@%p1 shfl.sync.bfly.b32 %r3, %r1, 1, 31, -1;\n"),
              HasSubstr("only some threads"));
  EXPECT_THAT(run("ex2.approx.f32 %r3, %r1;\n"), HasSubstr("unknown instruction 'ex2.approx.f32'"));
}

TEST(Emulator, RemembersWhatWasFreed) {
  Memory memory;
  uint64_t address = memory.allocate(64);
  memory.release(address);
  EXPECT_THROW(
      {
        try {
          memory.find(address + 8, 4, "load");
        } catch (const Fault &fault) {
          EXPECT_THAT(fault.what(), testing::HasSubstr("freed memory"));
          throw;
        }
      },
      Fault);
}
