//===- HopperEmulatorTest.cpp - what is asked of the copy engine and of warpgroups, one rule after another --===//
// Short kernels that are right, and of each what is found when one thing is missing: the PTX manual's rules that a
// machine breaks silently.
//===--------------------------------------------------------------------------------===//
#include "Device.h"
#include "Emulator.h"

#include <gmock/gmock.h>

using namespace xf::gpu;
using testing::HasSubstr;

namespace {
constexpr int boxRows = 8, boxColumns = 64, rows = 16; // of the matrix in memory

/// A kernel on a matrix of 16 x 64 of bf16, of which it has the address (%rd1; %rd3 for the thread's own word) and a
/// map (%rd2). %r1 is the thread, %p1 whether it is not the first, %rd5 its own word of shared memory.
std::string moduleOf(const std::string &body, const std::string &directives) {
  return ".version 8.0\n.target sm_90a\n.address_size 64\n.extern .shared .align 1024 .b8 xf_shared[];\n"
         ".visible .entry test(\n\t.param .u64 .ptr .align 1 test_param_0,\n\t.param .align 64 .b8 "
         "test_param_1[128]\n)\n" +
         directives +
         "{\nld.param.b64 %rd1, [test_param_0];\nmov.b64 %rd2, test_param_1;\nmov.u32 %r1, %tid.x;\n"
         "mul.wide.u32 %rd4, %r1, 4;\nadd.s64 %rd3, %rd1, %rd4;\nmov.b64 %rd5, xf_shared;\n"
         "add.s64 %rd5, %rd5, %rd4;\nsetp.ne.s32 %p1, %r1, 0;\nmov.b32 %r2, 0;\n" +
         body + "ret;\n}\n";
}

/// What is wrong with it; "" where nothing is.
struct Result {
  std::string wrong;
  std::vector<uint32_t> words; // of the matrix
};
Result runIn(const std::string &body, int threads, const std::string &directives = ".minnctapersm 1\n",
             uint64_t shared = 16384, uint32_t blocks = 1, bool isNarrow = true) {
  Memory memory;
  uint64_t bytes = rows * boxColumns * 2, address = memory.allocate(bytes);
  Region &region = memory.find(address, bytes, "test");
  for (uint32_t i = 0; i < bytes / 4; ++i)
    std::memcpy(region.at(address + 4 * i), &i, 4);
  region.setWritten(address, bytes);
  int columns = isNarrow ? boxColumns : boxColumns / 2;
  TensorMap map = mapOf(address, rows, columns, boxRows, columns, isNarrow);
  Result result;
  try {
    Kernel kernel = parse(moduleOf(body, ".reqntid " + std::to_string(threads) + ", 1, 1\n" + directives), memory);
    launch(kernel, blocks, uint32_t(threads), {address, reinterpret_cast<uint64_t>(&map)}, memory, shared);
  } catch (const Fault &fault) {
    result.wrong = fault.what();
  }
  result.words.resize(bytes / 4);
  std::memcpy(result.words.data(), region.at(address), bytes);
  return result;
}
std::string run(const std::string &body, int threads = 128) { return runIn(body, threads).wrong; }

/// The body without a part of it, or with another in its place.
std::string without(std::string body, const std::string &part, const std::string &instead = "") {
  size_t at = body.find(part);
  EXPECT_NE(at, body.npos) << part;
  return at == body.npos ? body : body.replace(at, part.size(), instead);
}

std::string onFirst(const std::string &label, const std::string &body) {
  return "@%p1 bra " + label + ";\n" + body + label + ":\n";
}
const std::string barrierFence = "fence.mbarrier_init.release.cluster;\n", meet = "bar.sync 0;\n",
                  proxyFence = "fence.proxy.async.shared::cta;\n";
/// A barrier of one arrival behind the first 8 KiB.
const std::string make =
    onFirst("MADE", "mov.b32 %r10, 1;\nmbarrier.init.shared.b64 [xf_shared+8192], %r10;\n" + barrierFence) + meet;
std::string ask(const std::string &label, int bytes = 1024, const std::string &to = "xf_shared") {
  return onFirst(label, "mov.b32 %r11, " + std::to_string(bytes) +
                            ";\nmbarrier.arrive.expect_tx.shared.b64 %rd10, [xf_shared+8192], %r11;\n"
                            "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [" +
                            to + "], [%rd2, {%r2, %r2}], [xf_shared+8192];\n");
}
std::string await(const std::string &label, int parity) {
  return "mov.b32 %r12, " + std::to_string(parity) + ";\n" + label +
         ":\nmbarrier.try_wait.parity.shared.b64 %p2, [xf_shared+8192], %r12, 1000;\n@!%p2 bra " + label + ";\n";
}
const std::string arrive = "mbarrier.arrive.shared.b64 %rd10, [xf_shared+8192];\n",
                  readWord = "ld.shared.b32 %r3, [%rd5];\n", writeWord = "st.shared.b32 [%rd5], %r1;\n";
} // namespace

TEST(HopperEmulator, Barriers) {
  const std::string body = make + ask("ASKED") + await("AGAIN", 0) + readWord;
  ASSERT_EQ(run(body), "");
  EXPECT_THAT(run(make + ask("ASKED") + meet + readWord), HasSubstr("is not known to have written yet"));
  EXPECT_THAT(run(without(body, barrierFence)), HasSubstr("a barrier that was made without a fence after"));
  EXPECT_THAT(run(without(body, meet)), HasSubstr("doesn't know to be made"));
  EXPECT_THAT(run(make + ask("ASKED", 512) + await("AGAIN", 0)), HasSubstr("deadlock"));
  EXPECT_THAT(run(make + ask("ASKED", 1 << 20) + await("AGAIN", 0)), HasSubstr("expects 1048576 bytes"));
  EXPECT_THAT(run(body + "ld.shared.b32 %r4, [xf_shared+8192];\n"), HasSubstr("a barrier's own memory"));
  EXPECT_THAT(run(body + "mbarrier.init.shared.b64 [xf_shared+8192], %r10;\n"), HasSubstr("a barrier's own memory"));
  EXPECT_THAT(run(make + ask("ASKED", 1024, "xf_shared+512") + await("AGAIN", 0)), HasSubstr("misaligned"));
  EXPECT_THAT(run(make + await("AGAIN", 2)), HasSubstr("parity 2"));
}

// A thread that waits by parity has to have seen a phase before the next one is complete.
TEST(HopperEmulator, PhasesOfBarriers) {
  const std::string first = make + onFirst("FIRST", arrive) + await("AGAIN", 0),
                    second = "setp.ne.s32 %p5, %r1, 127;\n@%p5 bra SECOND;\n" + arrive + "SECOND:\n" + await("ANEW", 1);
  ASSERT_EQ(run(first + meet + second), "");
  EXPECT_THAT(run(first + second), HasSubstr("may still wait for the one before"));
  EXPECT_THAT(run(make + onFirst("FIRST", arrive + arrive) + meet + await("AGAIN", 0)),
              HasSubstr("after which another one is complete"));
}

// What threads write, or read, where the copy engine writes or reads after them.
TEST(HopperEmulator, FencesForTheCopyEngine) {
  const std::string before = make + writeWord, after = meet + ask("ASKED") + await("AGAIN", 0) + readWord;
  ASSERT_EQ(run(before + proxyFence + after), "");
  EXPECT_THAT(run(before + after), HasSubstr("without a fence after"));
  // By one thread for all, and too late.
  EXPECT_THAT(run(before + onFirst("FENCED", proxyFence) + after), HasSubstr("without a fence after"));
  EXPECT_THAT(run(before + onFirst("FENCED", meet + proxyFence) + after), HasSubstr("only some"));
  EXPECT_THAT(run(before + meet + proxyFence + without(after, meet)), HasSubstr("without a fence after"));
}

TEST(HopperEmulator, CopiesToMemory) {
  const std::string begin = writeWord + "st.shared.b32 [%rd5+512], %r1;\n",
                    ask = "cp.async.bulk.tensor.2d.global."
                          "shared::cta.tile.bulk_group [%rd2, {%r2, %r2}], [xf_shared];\ncp.async.bulk.commit_group;\n",
                    free = "cp.async.bulk.wait_group.read 0;\n", done = "cp.async.bulk.wait_group 0;\n",
                    get = "ld.global.b32 %r3, [%rd1];\n";
  auto body = [&](const std::string &wait) { return begin + proxyFence + meet + onFirst("ASKED", ask + wait); };
  Result result = runIn(body(free), 128);
  ASSERT_EQ(result.wrong, "");
  // Row 0 is not swizzled; of row 1 pieces of 16 bytes change places in pairs.
  EXPECT_EQ(result.words[5], 5u);
  EXPECT_EQ(result.words[32 + 5], 32u + (5 ^ 4));
  // Numbers of f32 are added: here those that are as small as words.
  std::string adds = without(without(body(free), "cp.async.bulk.tensor", "cp.reduce.async.bulk.tensor"),
                             "shared::cta.tile", "shared::cta.add.tile");
  result = runIn(adds, 128, ".minnctapersm 1\n", 16384, 1, /*isNarrow=*/false);
  ASSERT_EQ(result.wrong, "");
  EXPECT_EQ(result.words[5], 5u + 5);
  EXPECT_EQ(result.words[32 + 5], (32u + 5) + (32u + (5 ^ 4)));
  EXPECT_THAT(run(adds), HasSubstr("numbers that are not of f32 are added"));
  EXPECT_THAT(run(without(body(free), proxyFence)), HasSubstr("without a fence after"));
  EXPECT_THAT(run(begin + onFirst("FENCED", proxyFence) + meet + onFirst("ASKED", ask + free)),
              HasSubstr("without a fence after"));
  EXPECT_THAT(run(body("")), HasSubstr("the block ends before"));
  EXPECT_THAT(run(without(body(free), "cp.async.bulk.commit_group;\n")), HasSubstr("the block ends before"));
  // The tile is written again: by the thread that waited, by others after a barrier, and by others at once.
  EXPECT_EQ(run(body(free) + meet + writeWord), "");
  EXPECT_THAT(run(body(free) + writeWord), HasSubstr("races"));
  EXPECT_THAT(run(body("") + meet + writeWord), HasSubstr("is not known to have read yet"));
  // The tile is free before memory is written.
  EXPECT_EQ(run(body(done + get)), "");
  EXPECT_THAT(run(body(free + get)), HasSubstr("is not known to have written yet"));
  EXPECT_EQ(run(body(free + done) + meet + get), "");
  EXPECT_THAT(run(body(free) + meet + get), HasSubstr("is not known to have written yet"));
  EXPECT_THAT(run(body(free + done) + get), HasSubstr("races"));
}

TEST(HopperEmulator, Registers) {
  auto set = [](const std::string &first, const std::string &others) {
    return "setp.lt.s32 %p2, %r1, 128;\n@%p2 bra FIRST;\nsetmaxnreg." + others + ";\nbra END;\nFIRST:\nsetmaxnreg." +
           first + ";\nEND:\n";
  };
  const std::string dec = "dec.sync.aligned.u32 ", inc = "inc.sync.aligned.u32 ",
                    right = set(dec + "24", inc + "240"); // 168 at first
  auto directives = [](const std::string &blocks) { return blocks.empty() ? "" : ".minnctapersm " + blocks + "\n"; };
  auto of = [&](const std::string &body, const std::string &blocks = "1") {
    return runIn(body, 384, directives(blocks)).wrong;
  };
  ASSERT_EQ(of(right), "");
  EXPECT_THAT(of(right, ""), HasSubstr("does not say how many a thread has"));
  EXPECT_THAT(of(right, "2"), HasSubstr("warpgroups that ask for 64512 registers, of 30720"));
  EXPECT_THAT(of(set(dec + "32", inc + "240")), HasSubstr("warpgroups that ask for 65536 registers, of 64512"));
  EXPECT_THAT(of(set(dec + "20", inc + "240")), HasSubstr("asks for 20"));
  EXPECT_THAT(of(set(dec + "24", inc + "236")), HasSubstr("asks for 236"));
  EXPECT_THAT(of(set(dec + "176", inc + "240")), HasSubstr("168 registers a thread asks for 176"));
  EXPECT_THAT(of(set(dec + "24", inc + "160")), HasSubstr("168 registers a thread asks for 160"));
  EXPECT_THAT(of("setp.lt.s32 %p2, %r1, 64;\n@%p2 bra END;\nsetmaxnreg.dec.sync.aligned.u32 24;\nEND:\n"),
              HasSubstr("deadlock"));
}

// A product of 64 x 16 zeros and 16 x 8 others.
TEST(HopperEmulator, Products) {
  auto descriptor = [](const std::string &name, uint64_t begin, uint64_t more = 0) {
    return "mov.b64 " + name + ", " +
           std::to_string(((sharedBegin + begin) >> 4 | uint64_t(1) << 16 | uint64_t(64) << 32 | uint64_t(1) << 62) +
                          more) +
           ";\n";
  };
  std::string clear = "mov.b32 %r20, 0;\n", zeros = "st.shared.v4.b32 [%rd6";
  const std::string a = descriptor("%rd20", 0), b = descriptor("%rd21", 8192), fence = "wgmma.fence.sync.aligned;\n",
                    sums = "{%r30, %r31, %r32, %r33}",
                    product = "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 " + sums +
                              ", %rd20, %rd21, %p3, 1, 1, 0, 0;\n",
                    commit = "wgmma.commit_group.sync.aligned;\n", wait = "wgmma.wait_group.sync.aligned 0;\n",
                    use = "add.rn.f32 %r34, %r30, %r31;\n";
  std::string body = clear + "mul.wide.u32 %rd6, %r1, 16;\nmov.b64 %rd7, xf_shared;\nadd.s64 %rd6, %rd6, %rd7;\n";
  for (int at = 0; at < 16384; at += 2048)
    body += "st.shared.v4.b32 [%rd6+" + std::to_string(at) + "], {%r20, %r20, %r20, %r20};\n";
  for (int i = 30; i < 34; ++i)
    body += "mov.b32 %r" + std::to_string(i) + ", 0;\n";
  body += "setp.ne.s32 %p3, %r20, 0;\n" + a + b + proxyFence + meet + fence + product + commit + wait + use;
  ASSERT_EQ(run(body), "");
  EXPECT_THAT(run(without(body, proxyFence)), HasSubstr("wrote without a fence after"));
  EXPECT_THAT(run(without(body, proxyFence, onFirst("FENCED", proxyFence))), HasSubstr("wrote without a fence after"));
  EXPECT_THAT(run(without(body, meet)), testing::AnyOf(HasSubstr("races"), HasSubstr("without a fence")));
  // Registers are ordered by a fence, and there after a wait.
  EXPECT_THAT(run(without(body, fence)), HasSubstr("after the last wgmma.fence"));
  EXPECT_THAT(run(without(body, fence, fence + "mov.b32 %r31, 0;\n")), HasSubstr("after the last wgmma.fence"));
  EXPECT_THAT(run(without(body, product, product + commit + wait + use + product)),
              HasSubstr("after the last wgmma.fence"));
  EXPECT_EQ(run(without(body, product, product + product)), ""); // of one shape
  EXPECT_THAT(run(without(body, wait)), HasSubstr("before a product of it is known to be done"));
  EXPECT_THAT(run(without(body, commit)), HasSubstr("before a product of it is known to be done"));
  EXPECT_THAT(
      run(without(body, wait, "stmatrix.sync.aligned.m8n8.x4.shared.b16 [%rd6], {%r30, %r31, %r32, %r33};\n" + wait)),
      HasSubstr("before a product of it is known to be done"));
  EXPECT_THAT(run(without(body, wait + use)), HasSubstr("the block ends before a product"));
  // The memory that it reads is written when it is known to have been read.
  EXPECT_THAT(run(without(body, wait, writeWord + proxyFence + wait)), HasSubstr("races"));
  EXPECT_EQ(run(body + meet + writeWord), "");
  EXPECT_THAT(run(body + writeWord), HasSubstr("races"));
  // All of a warpgroup's threads, with the same operands.
  EXPECT_THAT(run(without(body, fence, "setp.gt.s32 %p4, %r1, 3;\n@%p4 bra END;\n" + fence) + "END:\n"),
              HasSubstr("only some threads of the warp"));
  EXPECT_THAT(run(without(body, fence, "setp.gt.s32 %p4, %r1, 31;\n@%p4 bra END;\n" + fence) + "END:\n"),
              HasSubstr("deadlock"));
  EXPECT_THAT(run(without(body, a, "cvt.u64.u32 %rd20, %r1;\n")), HasSubstr("differ between threads"));
  // Matrices begin at multiples of eight rows, in 128 bytes' swizzle.
  EXPECT_THAT(run(without(body, a, descriptor("%rd20", 128))), HasSubstr("not aligned"));
  EXPECT_THAT(run(without(body, a, descriptor("%rd20", 16))), HasSubstr("not aligned"));
  EXPECT_EQ(run(without(body, a, descriptor("%rd20", 32))), "");
  EXPECT_THAT(run(without(body, a, descriptor("%rd20", 0, uint64_t(8) << 32))), HasSubstr("not aligned"));
  EXPECT_THAT(run(without(body, a, descriptor("%rd20", 0, uint64_t(1) << 49))), HasSubstr("swizzled by 128 bytes"));
  EXPECT_THAT(run(without(body, a, descriptor("%rd20", 0, uint64_t(2) << 62))), HasSubstr("swizzled by 128 bytes"));
  EXPECT_THAT(run(without(body, a, descriptor("%rd20", 16384))), HasSubstr("out of bounds"));
}

// Blocks that add to the same sums one after another: each waits for the one before.
TEST(HopperEmulator, SumsInOrder) {
  const std::string number = "mov.b32 %r4, 1065353216;\nst.shared.v4.b32 [xf_shared], {%r4, %r4, %r4, %r4};\n",
                    await = "SPIN:\nld.acquire.gpu.global.u32 %r6, [%rd8];\nsetp.ne.s32 %p2, %r6, %r5;\n"
                            "@%p2 bra SPIN;\n",
                    fence = "fence.proxy.async.global;\n",
                    copy = "cp.reduce.async.bulk.global.shared::cta.bulk_group.add.f32 [%rd1], [xf_shared], 16;\n"
                           "cp.async.bulk.commit_group;\n",
                    wait = "cp.async.bulk.wait_group 0;\n",
                    release = "add.s32 %r5, %r5, 1;\nst.release.gpu.global.u32 [%rd8], %r5;\n";
  const std::string prefix = "add.s64 %rd8, %rd1, 256;\nmov.u32 %r5, %ctaid.x;\nadd.s32 %r5, %r5, 64;\n",
                    body = prefix + onFirst("END", number + proxyFence + await + fence + copy + wait + fence + release);
  auto of = [](const std::string &body) { return runIn(body, 32, ".minnctapersm 1\n", 16384, 3); };
  Result right = of(body);
  ASSERT_EQ(right.wrong, "");
  EXPECT_EQ(right.words[0], 0x40400000u); // 3
  EXPECT_EQ(right.words[64], 67u);
  // Nobody waits, or releases too early, or says something else.
  EXPECT_THAT(of(without(body, await)).wrong, HasSubstr("races"));
  EXPECT_THAT(of(without(body, wait + fence, "cp.async.bulk.wait_group.read 0;\n" + fence)).wrong, HasSubstr("races"));
  EXPECT_THAT(of(without(body, release)).wrong, HasSubstr("deadlock"));
  EXPECT_THAT(of(without(body, "%r5, 64;", "%r5, 65;")).wrong, HasSubstr("deadlock"));
  // The order is that of blocks' numbers.
  EXPECT_THAT(of(without(body, prefix, prefix + "mov.b32 %r7, 130;\nsub.s32 %r5, %r7, %r5;\n")).wrong,
              HasSubstr("deadlock"));
  EXPECT_THAT(of(without(body, fence + copy, copy)).wrong, HasSubstr("after an acquire without a fence"));
  EXPECT_THAT(of(without(body, fence + release, release)).wrong, HasSubstr("copied to memory without a fence"));
  EXPECT_THAT(of(without(body, proxyFence)).wrong, HasSubstr("wrote without a fence after"));
  EXPECT_THAT(of(without(body, "[xf_shared], 16;", "[xf_shared], 8;")).wrong, HasSubstr("misaligned"));
}

TEST(HopperEmulator, Launches) {
  EXPECT_EQ(runIn("", 128, "", 227 << 10).wrong, "");
  EXPECT_THAT(runIn("", 128, "", (227 << 10) + 16).wrong, HasSubstr("bytes of shared memory"));
  EXPECT_THAT(run("setp.gt.s32 %p2, %r1, 3;\n@%p2 bra END;\nelect.sync %r3|%p3, -1;\nEND:\n"),
              HasSubstr("only some threads"));
  // What no one has written is no number.
  EXPECT_EQ(runIn("add.rn.f32 %r8, %r9, %r9;\nst.global.b32 [%rd3], %r8;\n", 128).words[7] & 0x7fc00000, 0x7fc00000u);
}
