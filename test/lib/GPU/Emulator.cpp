//===- Emulator.cpp - PTX, run on the CPU -------------------------------------------===//
// A block's warps run in turns, each up to its next barrier. Threads of a warp that went different ways go one after
// another, and on together from the branch's immediate post-dominator.
//===--------------------------------------------------------------------------------===//
#include "Warp.h"

#include <algorithm>

namespace xf::gpu {
//===-- Memory ------------------------------------------------------------------------===//
void Region::setWritten(uint64_t place, uint64_t size) {
  for (uint64_t word = (place - address) / unit; word < (place + size - address + unit - 1) / unit; ++word) {
    words[word] = {};
    words[word].written = true;
  }
}

uint64_t Memory::allocate(uint64_t bytes) {
  uint64_t address = next;
  next += (bytes + 255) / 256 * 256 + 4096;
  live.emplace(address, std::make_unique<Region>(address, bytes));
  return address;
}

void Memory::release(uint64_t address) {
  auto it = live.find(address);
  if (it == live.end())
    throw Fault("free of " + std::to_string(address) + ", where no allocation begins");
  freed[address] = it->second->bytes.size();
  live.erase(it);
}

Region &Memory::find(uint64_t address, uint64_t size, const std::string &what) {
  if (auto it = live.upper_bound(address); it != live.begin())
    if (Region &region = *std::prev(it)->second; region.holds(address, size))
      return region;
  auto old = freed.upper_bound(address);
  bool wasFreed = old != freed.begin() && address < std::prev(old)->first + std::prev(old)->second;
  throw Fault(what + ": " + std::to_string(size) + " bytes at " + std::to_string(address) +
              (wasFreed ? " are freed memory" : " are out of bounds"));
}

uint64_t Memory::inUse() const {
  uint64_t bytes = 0;
  for (auto &[address, region] : live)
    bytes += region->bytes.size();
  return bytes;
}

namespace {
void run(Warp &w) {
  const std::vector<Operation> &code = w.block.kernel.code;
  if (w.state == Warp::Paused)
    w.state = Warp::Running;
  while (!w.groups.empty() && w.state == Warp::Running) {
    Group &group = w.groups.back();
    if (group.mask == 0 || group.next == group.until) {
      if (group.mask != 0 && w.groups.size() == 1)
        throw Fault(w.block.kernel.name + ": a thread runs past the last instruction");
      w.groups.pop_back();
      continue;
    }
    const Operation &op = code[group.next++];
    uint32_t mask = group.mask;
    if (op.guard >= 0) {
      const uint32_t *guard = w.line<uint32_t>(op.guard);
      for (int i = 0; i < width; ++i)
        if ((guard[i] != 0) == op.guardIsNot)
          mask &= ~(1u << i);
    }
    if (op.handler == branch) {
      if (mask == group.mask) {
        group.next = op.offset;
      } else if (mask) {
        Group others{group.next, group.mask & ~mask, op.meets}, these{size_t(op.offset), mask, op.meets};
        group.next = op.meets; // where all go on
        if (group.next == group.until)
          w.groups.pop_back();
        w.groups.insert(w.groups.end(), {others, these});
      }
    } else if (op.handler == finish) {
      for (Group &each : w.groups)
        each.mask &= ~mask;
    } else if (mask) {
      if (!w.inFlight.empty() && !op.isGroupProduct) {
        auto touch = [&](int line) {
          if (line < 0)
            return;
          if (w.inFlight[line])
            w.fault(op, "an accumulator is read or written before a product of it is known to be done");
          w.touched[line] = 1;
        };
        std::ranges::for_each(op.to, touch);
        std::ranges::for_each(op.from, touch);
        for (const Operation::Operand &operand : op.operands)
          touch(operand.line);
      }
      op.handler(w, op, mask);
    }
  }
}
} // namespace

void launch(const Kernel &kernel, uint32_t blocks, uint32_t threads, const std::vector<uint64_t> &parameters,
            Memory &memory, uint64_t sharedBytes, bool isBackwards) {
  static uint32_t launches = 0;
  ++launches;
  if (parameters.size() != kernel.parameters.size())
    throw Fault(kernel.name + ": expected " + std::to_string(kernel.parameters.size()) + " parameters, but got " +
                std::to_string(parameters.size()));
  if (threads != kernel.threads || threads % width != 0)
    throw Fault(kernel.name + ": expected blocks of " + std::to_string(kernel.threads) + " threads, but got " +
                std::to_string(threads));
  if (kernel.sharedBytes + sharedBytes > mostShared(kernel.architecture))
    throw Fault(kernel.name + ": " + std::to_string(kernel.sharedBytes + sharedBytes) + " bytes of shared memory, of " +
                std::to_string(mostShared(kernel.architecture)));
  std::map<uint64_t, Block::Releases> released;
  Region shared(sharedBegin, kernel.sharedBytes + sharedBytes); // of one block after another
  for (uint32_t turn = 0; turn < blocks; ++turn) {
    uint32_t number = isBackwards ? blocks - 1 - turn : turn;
    std::ranges::fill(shared.words, Region::Word());
    Block block{kernel, memory, shared, launches, number, blocks, threads, isBackwards, parameters, released};
    std::vector<Warp> warps;
    for (uint32_t w = 0; w < threads / width; ++w)
      warps.emplace_back(block, w);
    startHopper(block, warps);
    std::vector<Warp *> inTurn;
    for (Warp &warp : warps)
      inTurn.push_back(&warp);
    if (isBackwards)
      std::ranges::reverse(inTurn);
    for (bool live = true; live;) {
      live = false;
      uint64_t before = block.changes;
      for (Warp *warp : inTurn) {
        if (warp->state <= Warp::Paused && !warp->groups.empty())
          run(*warp);
        live |= !warp->groups.empty();
      }
      if (!live || block.changes != before || goOn(block))
        continue;
      for (Warp &warp : warps)
        if (!warp.groups.empty())
          warp.fault(*warp.waitsAt, warp.state == Warp::AtBarrier ? "a barrier that only some warps reach"
                                                                  : "waits for ever: a deadlock of the block");
    }
    finishHopper(block);
  }
}
} // namespace xf::gpu
