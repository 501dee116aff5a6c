//===- Warp.h - the threads that run together ----------------------------*- C++ -*-===//
// Registers of a warp, and every thread's way to memory, with all that can be wrong with it; for the handlers of
// instructions.
//===--------------------------------------------------------------------------------===//
#ifndef XF_TEST_GPU_WARP_H
#define XF_TEST_GPU_WARP_H

#include "Emulator.h"

#include <array>
#include <functional>

namespace xf::gpu {
constexpr uint32_t all = ~0u;
constexpr int width = 32;
constexpr size_t lineBytes = width * 8;

/// Which times of the block's warps have passed, for whoever knows this: a warp's accesses until then come before.
struct Times {
  std::vector<uint32_t> known;
  uint32_t acquired = 0; // which of Block::acquired is known
  void join(const Times &other) {
    known.resize(std::max(known.size(), other.known.size()));
    for (size_t i = 0; i < other.known.size(); ++i)
      known[i] = std::max(known[i], other.known[i]);
    acquired = std::max(acquired, other.acquired);
  }
  bool have(uint32_t warp, uint32_t time) const { return warp < known.size() && known[warp] >= time; }
};

/// What a thread's release gives to those that acquire: all that it knows, and of its own warp's last accesses its own.
struct Release {
  Times times;
  uint32_t thread = 0;
  bool has(const Access &access) const {
    uint32_t warp = access.thread / 32;
    return times.have(warp, access.time) &&
           (warp != thread / 32 || access.time < times.known[warp] || access.thread == thread);
  }
};

/// bar.sync and bar.arrive of one number.
struct NamedBarrier {
  uint32_t threads = 0, arrived = 0; // that are expected, that came
  std::vector<struct Warp *> waiting;
  Times times, before; // of those that came, and of those that met here before
};

struct Block {
  const Kernel &kernel;
  Memory &memory;
  Region &shared;
  uint32_t launch, number, blocks, threads;
  bool isBackwards;
  const std::vector<uint64_t> &parameters;
  using Releases = std::map<uint32_t, Release>; // by block
  std::map<uint64_t, Releases> &released;       // at each counter
  std::vector<Releases> acquired{1};            // by this block, each with those before it
  std::array<NamedBarrier, 16> barriers = {};
  uint64_t changes = 0;                       // that may let a waiting warp go on
  std::shared_ptr<struct Hopper> hopper = {}; // what Hopper.cpp keeps of it
};

/// Threads of a warp that go one way, up to where they meet the others.
struct Group {
  size_t next; // operation
  uint32_t mask;
  size_t until;
};

/// A thread's asynchronous copy into shared memory, until it has arrived.
struct Copy {
  int lane;
  uint64_t to;
  uint32_t size;
  std::array<uint8_t, 16> bytes;
  const Operation *op;
};

struct Warp {
  Block &block;
  uint32_t number;
  std::vector<uint8_t> registers;
  std::vector<Group> groups; // a stack
  Times times;               // its own one is that of what it does now
  enum {
    Running,
    Paused,
    AtBarrier,
    WithOthers
  } state = Running; // Paused: to try again; WithOthers: waits for its warpgroup
  const Operation *waitsAt = nullptr;
  std::array<std::vector<uint32_t>, width> fences; // when each thread has made one for the copy engine
  // Of each line, in kernels with products of warpgroups: whether one that is not done has it, as accumulator or left
  // operand, and whether something else has read or written it since the last fence.
  enum : uint8_t { Accumulates = 1, IsRead = 2 };
  std::vector<uint8_t> inFlight, touched;
  std::vector<std::vector<Copy>> copies{1}; // groups of them, the last one open
  // What each thread saw the last time where it looks for what another block releases: an address, and a number.
  std::map<std::pair<const Operation *, int>, std::pair<uint64_t, uint32_t>> seen;
  // Threads that have acquired something, or waited for copies in memory, since their last fence for those.
  uint32_t unfenced = 0, unreleased = 0;

  Warp(Block &block, uint32_t number)
      : block(block), number(number), registers(block.kernel.constants), groups{{0, all, block.kernel.code.size()}} {
    registers.resize(block.kernel.lines * lineBytes, 0xff); // what no one has written is no number
    if (block.kernel.hasGroupProducts)
      inFlight.resize(block.kernel.lines), touched.resize(block.kernel.lines, 1);
    times.known.resize(block.threads / width);
    times.known[number] = 1;
  }
  /// What it has done is known to whoever takes `to`, and what it does next comes later.
  void giveTimes(Times &to) {
    to.join(times);
    ++times.known[number];
    ++block.changes;
  }
  void wait(const Operation &op, decltype(state) as) {
    state = as;
    waitsAt = &op;
  }
  template <typename T> T *line(int number) { return reinterpret_cast<T *>(registers.data() + number * lineBytes); }

  [[noreturn]] void fault(const Operation &op, const std::string &what, int lane = -1) {
    throw Fault(block.kernel.name + ", line " + std::to_string(op.line) + ", block " + std::to_string(block.number) +
                ", warp " + std::to_string(number) + (lane < 0 ? "" : ", lane " + std::to_string(lane)) + ": " + what);
  }

  /// The bytes of one thread's access, after all that can be wrong with it.
  uint8_t *access(const Operation &op, int lane, uint64_t address, bool write) {
    uint64_t size = uint64_t(op.bytes) * op.count;
    if (address % size != 0)
      fault(op, "misaligned access of " + std::to_string(size) + " bytes at " + std::to_string(address), lane);
    Region *region = &block.shared;
    if (!op.shared) {
      try {
        region = &block.memory.find(address, size, write ? "store" : "load");
      } catch (const Fault &wrong) {
        fault(op, wrong.what(), lane);
      }
    } else if (!region->holds(address, size)) {
      fault(op, std::string(write ? "store" : "load") + " out of bounds of shared memory", lane);
    }
    note(op, lane, *region, address, size, write);
    return region->at(address);
  }

  /// Looks for what is wrong with an access to words of a region, and notes it there. `engine`: what was known when the
  /// copy engine was asked for it, or, to all four warps, tensor cores (`together`); null for a thread's own.
  void note(const Operation &op, int lane, Region &region, uint64_t address, uint64_t size, bool write,
            const Times *engine = nullptr, bool together = false) {
    const Times &view = engine ? *engine : times;
    // The engine reads memory for its thread as of when it was asked to.
    Access now{block.launch, block.number, engine && !together ? view.known[number] : times.known[number],
               number * width + lane};
    auto isBefore = [&](const Access &access, uint32_t time) { // what that thread did at that time
      uint32_t warp = access.thread / width;
      if (together || warp != number)
        return view.have(warp, time);
      return access.thread == now.thread || time < now.time;
    };
    auto conflicts = [&](const Access &before) {
      if (before.launch != now.launch)
        return false;
      if (before.block == now.block)
        return !isBefore(before, before.time);
      const Block::Releases &known = block.acquired[view.acquired];
      auto release = known.find(before.block);
      return release == known.end() || !release->second.has(before);
    };
    for (uint64_t i = 0; i < size; i += Region::unit) {
      Region::Word &word = region.words[(address + i - region.address) / Region::unit];
      if (!write && !word.written)
        fault(op, "load of memory that was never written, at " + std::to_string(address + i), lane);
      if (word.isArriving)
        fault(op,
              std::string(write ? "store to" : "load of") +
                  " memory that an asynchronous copy is not known to have written yet",
              lane);
      if (write && word.isLeaving)
        fault(op, "store to memory that a copy is not known to have read yet", lane);
      if (word.isBarrier)
        fault(op, "an access to a barrier's own memory", lane);
      if (op.isConstant)
        word.constantIn = now.launch;
      if (word.constantIn == now.launch && (write || word.writer.launch == now.launch))
        fault(op, "memory that is loaded as what no one writes is written", lane);
      for (const Access *before : {&word.writer, &word.reader, &word.otherReader})
        if ((write || before == &word.writer) && conflicts(*before))
          fault(op,
                std::string(write ? "store" : "load") + " races with thread " + std::to_string(before->thread) +
                    "'s access to the same word",
                lane);
      auto isUnseen = [&](const Access &before, uint32_t fences) {
        if (!engine || before.launch != now.launch || before.block != now.block || fences == 0)
          return false;
        const std::vector<uint32_t> &made = fencesOf(before.thread);
        return made.size() < fences || !isBefore(before, made[fences - 1]);
      };
      if (isUnseen(word.writer, word.fences))
        fault(op,
              std::string(write ? "a copy over" : "a copy or product of") + " what thread " +
                  std::to_string(word.writer.thread) + " wrote without a fence after",
              lane);
      for (auto [before, fences] :
           {std::pair(&word.reader, word.readerFences), {&word.otherReader, word.otherReaderFences}})
        if (write && isUnseen(*before, fences))
          fault(op, "a copy over what thread " + std::to_string(before->thread) + " read without a fence after", lane);
      if (write) {
        word.writer = now;
        word.written = true;
        word.fences = engine ? 0 : uint32_t(fences[lane].size() + 1);
      } else if (word.reader.thread != now.thread || word.reader.block != now.block ||
                 word.reader.launch != now.launch) {
        word.otherReader = word.reader, word.otherReaderFences = word.readerFences;
        word.reader = now, word.readerFences = engine ? 0 : uint32_t(fences[lane].size() + 1);
      } else {
        word.reader = now, word.readerFences = engine ? 0 : uint32_t(fences[lane].size() + 1);
      }
    }
  }
  /// When a thread of the block has made fences for the copy engine.
  const std::vector<uint32_t> &fencesOf(uint32_t thread);
};

template <typename F> void forLanes(uint32_t mask, F f) {
  if (mask == all) {
    for (int lane = 0; lane < width; ++lane)
      f(lane);
    return;
  }
  for (int lane = 0; lane < width; ++lane)
    if (mask >> lane & 1)
      f(lane);
}

/// Of these `run` knows what they do.
void branch(Warp &, const Operation &, uint32_t);
void finish(Warp &, const Operation &, uint32_t);
/// The handler of an instruction of Instructions.cpp, null where it knows none of this name.
Handler findHandler(const std::string &name);
/// The handler of an instruction of Mma.cpp, null where it knows none of this name; `op` gets what the name says of it.
Handler findMatrixHandler(const std::string &name, Operation &op);
/// The handler of an instruction of Hopper.cpp, whose operands are in order in `operands`; null where it is none.
Handler findHopperHandler(const std::string &name);
/// Before a block starts, when nothing else goes on (whether that changed something), and when it has ended.
void startHopper(Block &block, std::vector<Warp> &warps);
bool goOn(Block &block);
void finishHopper(Block &block);
} // namespace xf::gpu

#endif // XF_TEST_GPU_WARP_H
