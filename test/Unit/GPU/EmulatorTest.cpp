//===- EmulatorTest.cpp - what the emulated GPU computes, and what it refuses ------------===//
#include "Emulator.h"

#include <bit>
#include <cstring>
#include <gmock/gmock.h>
#include <limits>

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
std::string run(const std::string &body, std::vector<uint32_t> &words, uint32_t blocks = 1, bool isBackwards = false) {
  Memory memory;
  try {
    Kernel kernel = parse(moduleOf(body), memory);
    uint64_t bytes = words.size() * 4, address = memory.allocate(bytes);
    Region &region = memory.find(address, bytes, "test");
    std::memcpy(region.at(address), words.data(), bytes);
    region.setWritten(address, bytes);
    launch(kernel, blocks, 64, {address}, memory, 0, isBackwards);
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

// x, -2x in one register; their squares less them.
TEST(Emulator, ComputesPairs) {
  std::vector<uint32_t> words(64);
  EXPECT_EQ(run("cvt.rn.f32.u32 %r3, %r1;\nmul.rn.f32 %r4, %r3, 0fC0000000;\nmov.b64 %rd7, {%r3, %r4};\n"
                "mul.rn.f32x2 %rd8, %rd7, %rd7;\nsub.rn.f32x2 %rd8, %rd8, %rd7;\nadd.rn.f32x2 %rd8, %rd8, %rd7;\n"
                "sub.rn.f32x2 %rd10, %rd7, %rd7;\nsub.rn.f32x2 %rd10, %rd10, %rd7;\n"
                "fma.rn.f32x2 %rd9, %rd7, %rd7, %rd10;\nadd.rn.f32x2 %rd9, %rd9, %rd8;\n"
                "mov.b64 {%r5, %r6}, %rd9;\nadd.rn.f32 %r7, %r5, %r6;\nst.global.b32 [%rd3], %r7;\n",
                words),
            "");
  for (uint32_t i = 0; i < 64; ++i) { // twice the squares of i and 2i, less i and -2i
    float x = float(i);
    EXPECT_EQ(std::bit_cast<float>(words[i]), 2 * (x * x + 4 * x * x) + x);
  }
}

// 1.5 in bf16, and numbers in f32.
TEST(Emulator, WidensOperands) {
  std::vector<uint32_t> words(64);
  EXPECT_EQ(run("cvt.rn.f32.u32 %r3, %r1;\nmov.b16 %rs1, 0x3FC0;\nadd.rn.f32.bf16 %r4, %rs1, %r3;\n"
                "sub.rn.f32.bf16 %r5, %rs1, %r4;\nfma.rn.f32.bf16 %r6, %rs1, %rs1, %r5;\nst.global.b32 [%rd3], %r6;\n",
                words),
            "");
  for (uint32_t i = 0; i < 64; ++i)
    EXPECT_EQ(std::bit_cast<float>(words[i]), 2.25f - float(i));
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

// The last of some blocks reads what the others have written: after counting, and not without.
TEST(Emulator, KnowsWhatBlocksGiveOn) {
  std::vector<uint32_t> words(64);
  std::string write = "mov.u32 %r3, %ctaid.x;\nmul.wide.u32 %rd7, %r3, 64;\nadd.s64 %rd7, %rd1, %rd7;\n"
                      "setp.ne.s32 %p1, %r1, 0;\n@%p1 bra END;\nadd.s32 %r4, %r3, 5;\nst.global.b32 [%rd7], %r4;\n",
              count = "add.s64 %rd8, %rd1, 192;\natom.acq_rel.gpu.inc.u32 %r5, [%rd8], 2;\nsetp.ne.s32 %p2, %r5, 2;\n"
                      "@%p2 bra END;\n",
              read = "ld.global.b32 %r6, [%rd1];\nld.global.b32 %r7, [%rd1+64];\nadd.s32 %r6, %r6, %r7;\n"
                     "st.global.b32 [%rd1+4], %r6;\n";
  EXPECT_EQ(run(write + count + read + "END:\n", words, 3), "");
  EXPECT_EQ(words[1], 11u);
  EXPECT_EQ(words[48], 0u); // again
  EXPECT_THAT(run(write + read + "END:\n", words, 3), testing::HasSubstr("races"));
}

// Who counts first is no rule's: blocks and warps in turn, or the last ones first.
TEST(Emulator, RunsInEitherOrder) {
  const std::string body = "add.s64 %rd8, %rd1, 252;\nand.b32 %r4, %r1, 31;\nsetp.ne.s32 %p1, %r4, 0;\n@%p1 bra END;\n"
                           "atom.acq_rel.gpu.inc.u32 %r5, [%rd8], 100;\nmov.u32 %r3, %ctaid.x;\n"
                           "shl.b32 %r3, %r3, 3;\ncvt.u64.u32 %rd7, %r3;\nadd.s64 %rd7, %rd7, %rd1;\n"
                           "shr.u32 %r6, %r1, 5;\nmul.wide.u32 %rd9, %r6, 4;\nadd.s64 %rd7, %rd7, %rd9;\n"
                           "st.global.b32 [%rd7], %r5;\nEND:\n";
  for (bool isBackwards : {false, true}) {
    std::vector<uint32_t> words(64);
    ASSERT_EQ(run(body, words, 2, isBackwards), "");
    for (uint32_t i = 0; i < 4; ++i) // warp i % 2 of block i / 2
      EXPECT_EQ(words[i], isBackwards ? 3 - i : i);
  }
}

// A count gives on what its own thread knows to be written, and nothing of others.
TEST(Emulator, GivesOnWhatIsKnown) {
  using testing::HasSubstr;
  // Thread 1, or one of the second warp, writes what the last block's first thread reads.
  auto kernel = [](const std::string &writer, const std::string &meet) {
    return "mov.u32 %r3, %ctaid.x;\nmul.wide.u32 %rd7, %r3, 64;\nadd.s64 %rd7, %rd1, %rd7;\nsetp.ne.s32 %p1, %r1, " +
           writer + ";\n@%p1 bra WRITTEN;\nst.global.b32 [%rd7], %r3;\nWRITTEN:\n" + meet +
           "setp.ne.s32 %p2, %r1, 0;\n@%p2 bra END;\nadd.s64 %rd8, %rd1, 192;\n"
           "atom.acq_rel.gpu.inc.u32 %r5, [%rd8], 2;\nsetp.ne.s32 %p3, %r5, 2;\n@%p3 bra END;\n"
           "ld.global.b32 %r6, [%rd1];\nEND:\n";
  };
  EXPECT_EQ(run(kernel("1", "bar.warp.sync -1;\n"), 3), "");
  EXPECT_EQ(run(kernel("33", "bar.sync 0;\n"), 3), "");
  EXPECT_THAT(run(kernel("1", ""), 3), HasSubstr("races"));
  EXPECT_THAT(run(kernel("33", "bar.warp.sync -1;\n"), 3), HasSubstr("races"));
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
  // Two warps, one after another, at a barrier of 32 threads: they might as well meet each other.
  EXPECT_THAT(run("bar.sync 1, 32;\n"), HasSubstr("may still meet others"));
  // What is loaded as a constant is one.
  const std::string constant = "ld.global.nc.b32 %r3, [%rd3];\n", change = "st.global.b32 [%rd3], %r1;\n";
  EXPECT_EQ(run(constant), "");
  EXPECT_THAT(run(constant + change), HasSubstr("as what no one writes"));
  EXPECT_THAT(run(change + constant), HasSubstr("as what no one writes"));
  EXPECT_EQ(run("mul.rn.f32 %r3, %r1, %r1;\n"), "");
  EXPECT_THAT(run("mul.f32 %r3, %r1, %r1;\n"), HasSubstr("unknown instruction 'mul.f32'")); // may become part of an fma
  EXPECT_THAT(run("sin.approx.f32 %r3, %r1;\n"), HasSubstr("unknown instruction 'sin.approx.f32'"));
}

// Words 0 .. 63 of memory come to shared memory later, 16 bytes a thread, and no more than the four that are wanted.
TEST(Emulator, CopiesArriveWhenTheyAreWaitedFor) {
  using testing::HasSubstr;
  const std::string copy = "shl.b32 %r6, %r1, 4;\nand.b32 %r6, %r6, 255;\ncvt.u64.u32 %rd7, %r6;\n"
                           "add.s64 %rd8, %rd1, %rd7;\nadd.s64 %rd9, %rd4, %rd7;\nsetp.ge.s32 %p1, %r1, 16;\n"
                           "@%p1 bra PAST;\ncp.async.cg.shared.global [%rd9], [%rd8], 16, 4;\nPAST:\n",
                    commit = "cp.async.commit_group;\n", wait = "cp.async.wait_group \t0;\n", barrier = "bar.sync 0;\n",
                    load = "ld.shared.b32 %r3, [%rd6];\n", store = barrier + "st.global.b32 [%rd3], %r3;\n";
  std::vector<uint32_t> words(64);
  for (uint32_t i = 0; i < 64; ++i)
    words[i] = i + 1;
  EXPECT_EQ(run(copy + commit + wait + barrier + load + store, words), "");
  for (uint32_t i = 0; i < 64; ++i)
    EXPECT_EQ(words[i], i % 4 ? 0 : (i ^ 32) + 1);
  const char *early = "an asynchronous copy is not known to have written yet";
  EXPECT_THAT(run(copy + commit + barrier + load), HasSubstr(early));
  EXPECT_THAT(run(copy + wait + barrier + load), HasSubstr(early)); // in no group
  EXPECT_THAT(run(copy + commit + "cp.async.wait_group 1;\n" + barrier + load), HasSubstr(early));
  EXPECT_THAT(run(copy + commit + wait + load), HasSubstr("races"));
  EXPECT_THAT(run("st.shared.b32 [%rd5], %r1;\n" + copy), HasSubstr("races"));
  // 16 bytes at a time where the nearer cache is passed by; from where as many begin, be there any to copy or not.
  auto asks = [](const std::string &what) { return run("mov.b32 %r7, 0;\ncp.async." + what + ";\n"); };
  EXPECT_THAT(asks("cg.shared.global [%rd4], [%rd1], 8"), HasSubstr("a copy of 8 of 8 bytes"));
  EXPECT_THAT(asks("ca.shared.global [%rd4], [%rd1], 2"), HasSubstr("a copy of 2 of 2 bytes"));
  EXPECT_THAT(asks("ca.shared.global [%rd4], [%rd1+4], 8, %r7"), HasSubstr("misaligned copy of 8 bytes"));
  EXPECT_THAT(asks("ca.shared.global [%rd4+4], [%rd1], 8"), HasSubstr("misaligned access of 8 bytes"));
}

// A is the numbers 1, 2, 3, ... by rows of 16, B has ones where k = column + 3.
TEST(Emulator, MultipliesMatrices) {
  auto bfloat = [](float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    return bits >> 16;
  };
  std::vector<uint32_t> words(256);
  for (uint32_t i = 0; i < 128; ++i) // A, then B's columns
    words[i] = bfloat(2 * i + 1) | bfloat(2 * i + 2) << 16;
  for (uint32_t column = 0; column < 8; ++column)
    words[128 + column * 8 + (column + 3) / 2] = bfloat(1) << (column + 3) % 2 * 16;
  // Rows of A lie 32 bytes apart, those of 16 threads, then their second halves; and columns of B.
  for (bool transposed : {false, true}) {
    std::string load = transposed ? ".trans" : "";
    std::vector<uint32_t> result = words;
    ASSERT_EQ(run(".shared .align 16 .b8 all[1024];\nmov.b64 %rd10, all;\nsetp.ge.s32 %p1, %r1, 32;\n@%p1 bra END;\n"
                  "mul.wide.u32 %rd11, %r1, 16;\nadd.s64 %rd12, %rd1, %rd11;\nadd.s64 %rd13, %rd10, %rd11;\n"
                  "cp.async.cg.shared.global [%rd13], [%rd12], 16;\n"
                  "cp.async.cg.shared.global [%rd13+512], [%rd12+512], 16, 16;\ncp.async.commit_group;\n"
                  "cp.async.wait_group 0;\nbar.warp.sync -1;\n"
                  "and.b32 %r7, %r1, 15;\nshr.u32 %r8, %r1, 4;\nmul.wide.u32 %rd14, %r7, 32;\n"
                  "mad.wide.u32 %rd14, %r8, 16, %rd14;\nadd.s64 %rd14, %rd10, %rd14;\n"
                  "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r10, %r11, %r12, %r13}, [%rd14];\n"
                  "and.b32 %r7, %r1, 7;\nshr.u32 %r8, %r1, 3;\nand.b32 %r8, %r8, 1;\nmul.wide.u32 %rd15, %r7, 32;\n"
                  "mad.wide.u32 %rd15, %r8, 16, %rd15;\nadd.s64 %rd15, %rd10, %rd15;\n"
                  "ldmatrix.sync.aligned.m8n8.x2" +
                      load +
                      ".shared.b16 {%r14, %r15}, [%rd15+512];\n"
                      "mov.b32 %r16, 0f3F800000;\n"
                      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32\n {%r20, %r21, %r22, %r23},\n"
                      "{%r10, %r11, %r12, %r13},\n{%r14, %r15},\n{%r16, %r16, %r16, %r16};\n"
                      "st.global.v4.b32 [%rd12], {%r20, %r21, %r22, %r23};\nEND:\n",
                  result),
              "");
    for (uint32_t t = 0; t < 32; ++t)
      for (uint32_t part = 0; part < 4; ++part) {
        uint32_t row = t / 4 + part / 2 * 8, column = t % 4 * 2 + part % 2, k = column + 3;
        float value, expected = 1;
        std::memcpy(&value, &result[t * 4 + part], 4);
        // Transposed, a block of eight has its ones where column = k + 3, in the other block column + 3 = k + 8.
        for (uint32_t i = 0; i < 16; ++i)
          expected += (transposed ? i % 8 + 3 == column + i / 8 * 8 : i == k) ? row * 16 + i + 1 : 0;
        EXPECT_EQ(value, expected) << "row " << row << ", column " << column << (transposed ? ", transposed" : "");
      }
  }
}

// Approximations are off by what the manual allows, but for what it promises.
TEST(Emulator, Approximates) {
  auto of = [](const std::string &operation, float x) {
    std::vector<uint32_t> words(64);
    std::memcpy(words.data(), &x, 4);
    EXPECT_EQ(run("ld.global.b32 %r3, [%rd1];\n" + operation +
                      " %r4, %r3;\nsetp.ne.s32 %p1, %r1, 0;\nbar.sync 0;\n"
                      "@%p1 bra END;\nst.global.b32 [%rd1], %r4;\nEND:\n",
                  words),
              "");
    float result;
    std::memcpy(&result, words.data(), 4);
    return result;
  };
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(of("ex2.approx.ftz.f32", 0.f), 1.f);
  EXPECT_EQ(of("ex2.approx.ftz.f32", -0.f), 1.f);
  EXPECT_EQ(of("ex2.approx.ftz.f32", -infinity), 0.f);
  EXPECT_EQ(of("ex2.approx.ftz.f32", -127.f), 0.f); // a number below the normal ones
  EXPECT_NE(of("ex2.approx.ftz.f32", 3.f), 8.f);
  EXPECT_NEAR(of("ex2.approx.ftz.f32", 3.f), 8.f, 8 * 0x1p-21);
  EXPECT_EQ(of("lg2.approx.ftz.f32", 0.f), -infinity);
  EXPECT_NEAR(of("lg2.approx.ftz.f32", 8.f), 3.f, 3 * 0x1p-21);
  EXPECT_EQ(of("rcp.approx.ftz.f32", 0x1p127f), 0.f);
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
