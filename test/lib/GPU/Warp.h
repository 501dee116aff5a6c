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

struct Block {
  const Kernel &kernel;
  Memory &memory;
  Region shared;
  uint32_t launch, number, threads, interval = 1;
  const std::vector<uint64_t> &parameters;
  std::vector<bool> &released;  // the blocks that have given what they wrote to those that ask
  std::vector<bool> known = {}; // of them, those whose writes this one has asked for
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
  uint32_t syncs = 0;        // of the warp alone, since the block's barrier
  bool atBarrier = false;
  std::vector<std::vector<Copy>> copies{1}; // groups of them, the last one open

  Warp(Block &block, uint32_t number)
      : block(block), number(number), registers(block.kernel.constants), groups{{0, all, block.kernel.code.size()}} {
    registers.resize(block.kernel.lines * lineBytes);
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
    Access now{block.launch, block.number, block.interval << 12 | syncs, number * width + lane};
    auto conflicts = [&](const Access &before) {
      if (before.launch != now.launch || (before.block == now.block && before.thread == now.thread))
        return false;
      if (before.block != now.block)
        return before.block >= block.known.size() || !block.known[before.block];
      bool sameWarp = before.thread / width == now.thread / width;
      return before.interval >> 12 == now.interval >> 12 && (!sameWarp || before.interval == now.interval);
    };
    for (uint64_t i = 0; i < size; i += 4) {
      Region::Word &word = region->words[(address + i - region->address) / 4];
      if (!write && !word.written)
        fault(op, "load of memory that was never written, at " + std::to_string(address + i), lane);
      if (word.isArriving)
        fault(op,
              std::string(write ? "store to" : "load of") +
                  " memory that an asynchronous copy is not known to have written yet",
              lane);
      if (conflicts(word.writer) || (write && (conflicts(word.reader) || conflicts(word.otherReader))))
        fault(op,
              std::string(write ? "store" : "load") + " races with thread " + std::to_string(word.writer.thread) +
                  "'s access to the same word",
              lane);
      if (write) {
        word.writer = now;
        word.written = true;
      } else if (word.reader.thread != now.thread || word.reader.block != now.block ||
                 word.reader.launch != now.launch) {
        word.otherReader = word.reader;
        word.reader = now;
      } else {
        word.reader = now;
      }
    }
    return region->at(address);
  }
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

/// The handler of an instruction of Mma.cpp, null where it knows none of this name; `op` gets what the name says of it.
Handler findMatrixHandler(const std::string &name, Operation &op);
} // namespace xf::gpu

#endif // XF_TEST_GPU_WARP_H
