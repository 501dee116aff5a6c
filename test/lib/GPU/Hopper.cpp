//===- Hopper.cpp - the copy engine, its barriers, and products of warpgroups -------===//
// mbarrier, cp.async.bulk.tensor and wgmma by the PTX manual's words, as late as it allows: a copy arrives when nothing
// else can go on, a product reads its operands when it is waited for. So a wait or a fence that is missing shows, as
// a race, as memory that was never written, as a register that is touched too early, or as a block that stands still.
//===--------------------------------------------------------------------------------===//
#include "Warp.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <utility>

namespace xf::gpu {
namespace {
constexpr uint32_t groupWarps = 4, pieceBytes = 16;

struct Mbarrier {
  uint32_t expected = 0, pending = 0, phases = 0; // complete ones
  int64_t bytes = 0;                              // that are still to arrive
  Times times, known;                             // of those who arrived in this phase, and in those before
  Access maker;
  uint32_t fence = 0; // when its maker has made one for the copy engine after it
  struct Waiter {
    uint32_t phases = 0, time = 0; // that it knows to be complete, and when it saw that
  };
  std::map<uint32_t, Waiter> waiters; // by warp
};

/// A copy of a box, or (without a map) of bytes in a run: who asked for it, what was known to that thread, and between
/// which places.
struct BoxCopy {
  Warp *warp;
  int lane;
  const Operation *op;
  Times times;
  const TensorMap *map;
  int64_t column, row;
  uint64_t shared, barrier;
  uint64_t run = 0, count = 0;     // where a run begins in memory, and how many bytes it has
  bool adds = false;               // numbers of f32 to those that are there
  std::vector<uint8_t> bytes = {}; // that were read, of a copy to memory
};
/// A thread's copies to memory that it waits for together; once they are read their shared memory is free.
struct Stores {
  std::vector<BoxCopy> copies;
  bool areRead = false;
};

struct Product {
  const Operation *op;
  uint64_t a, b; // descriptors; `a` of an operand in shared memory
  bool accumulates;
  Times times; // that all four warps know, where it begins
  std::array<uint32_t, groupWarps> begin;
};
/// A product that is done: who knows that a warp has waited for it knows that all four had begun it.
struct Meeting {
  std::array<uint32_t, groupWarps> begin, end; // in the warps' times
};
} // namespace

struct Hopper {
  std::vector<Warp> *warps;
  std::map<uint64_t, Mbarrier> barriers;
  std::deque<BoxCopy> loads;
  std::map<uint32_t, std::deque<Stores>> stores;                  // a thread's, the last ones open
  std::map<uint32_t, std::vector<std::vector<Product>>> products; // a warpgroup's
  std::map<uint32_t, std::vector<Meeting>> meetings;              // likewise
  std::map<uint32_t, uint32_t> registers;                         // that warpgroups have asked for
};

const std::vector<uint32_t> &Warp::fencesOf(uint32_t thread) {
  return (*block.hopper->warps)[thread / width].fences[thread % width];
}

namespace {
uint64_t valueOf(Warp &w, const Operation &op, size_t number, int lane) {
  const Operation::Operand &operand = op.operands.at(number);
  return (operand.isWide ? w.line<uint64_t>(operand.line)[lane] : w.line<uint32_t>(operand.line)[lane]) +
         operand.offset;
}

float ofBfloat(uint16_t half) {
  uint32_t bits = uint32_t(half) << 16;
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

//===-- Barriers --------------------------------------------------------------------===//
constexpr uint32_t mostArrivals = (1 << 20) - 1; // and bytes

Mbarrier &barrierAt(Warp &w, const Operation &op, uint64_t address, int lane) {
  auto it = w.block.hopper->barriers.find(address);
  if (it == w.block.hopper->barriers.end())
    w.fault(op, "no barrier was made at " + std::to_string(address));
  Access maker = it->second.maker;
  uint32_t warp = maker.thread / width;
  if (warp == w.number ? maker.thread % width != uint32_t(lane) && maker.time == w.times.known[warp]
                       : !w.times.have(warp, maker.time))
    w.fault(op, "a barrier that this thread doesn't know to be made", lane);
  return it->second;
}
/// Whether what a warp did is known by these times, or by a product that it was in.
bool isKnown(Block &block, const Times &times, uint32_t warp, uint32_t time) {
  if (times.have(warp, time))
    return true;
  const std::vector<Meeting> &meetings = block.hopper->meetings[warp / groupWarps];
  auto first = std::ranges::lower_bound(meetings, time, {},
                                        [&](const Meeting &meeting) { return meeting.begin[warp % groupWarps]; });
  for (uint32_t i = 0; first != meetings.end() && i < groupWarps; ++i)
    if (times.have(warp / groupWarps * groupWarps + i, first->end[i]))
      return true;
  return false;
}
void turn(Warp &w, const Operation &op, Mbarrier &barrier) {
  if (barrier.pending > 0 || barrier.bytes != 0)
    return;
  // A wait by parity can't tell this phase from the one after the next.
  for (auto &[warp, waiter] : barrier.waiters)
    if (waiter.phases == barrier.phases && !isKnown(w.block, barrier.times, warp, waiter.time))
      w.fault(op, "a barrier's phase is complete while warp " + std::to_string(warp) +
                      " may still wait for the one before");
  ++barrier.phases;
  barrier.pending = barrier.expected;
  barrier.known.join(barrier.times);
  ++w.block.changes;
}
void initialise(Warp &w, const Operation &op, uint32_t mask) { // [barrier], arrivals
  forLanes(mask, [&](int lane) {
    uint64_t address = valueOf(w, op, 0, lane), arrivals = valueOf(w, op, 1, lane);
    if (address % 8 || !w.block.shared.holds(address, 8) || arrivals == 0 || arrivals > mostArrivals)
      w.fault(op, "a barrier of " + std::to_string(arrivals) + " at " + std::to_string(address), lane);
    w.note(op, lane, w.block.shared, address, 8, /*write=*/true); // where there is one this is a fault
    for (uint64_t i = 0; i < 8; i += Region::unit)
      w.block.shared.words[(address + i - w.block.shared.address) / Region::unit].isBarrier = true;
    Mbarrier barrier;
    barrier.expected = barrier.pending = uint32_t(arrivals);
    barrier.maker = {w.block.launch, w.block.number, w.times.known[w.number], w.number * width + lane};
    w.block.hopper->barriers[address] = barrier;
  });
}
/// What the thread has made is there for the copy engine, once others know of this.
void fenceBarriers(Warp &w, const Operation &, uint32_t mask) {
  for (auto &[address, barrier] : w.block.hopper->barriers)
    if (barrier.maker.thread / width == w.number && (mask >> barrier.maker.thread % width & 1) && !barrier.fence)
      barrier.fence = w.times.known[w.number];
}
void arriveAt(Warp &w, const Operation &op, int lane, uint64_t address, int64_t bytes) {
  Mbarrier &barrier = barrierAt(w, op, address, lane);
  if (barrier.pending == 0)
    w.fault(op, "more arrive at a barrier than the " + std::to_string(barrier.expected) + " that it expects", lane);
  barrier.bytes += bytes;
  if (barrier.bytes > mostArrivals)
    w.fault(op, "a barrier that expects " + std::to_string(barrier.bytes) + " bytes", lane);
  --barrier.pending;
  w.giveTimes(barrier.times);
  turn(w, op, barrier);
}
void arrive(Warp &w, const Operation &op, uint32_t mask) { // state, [barrier]
  forLanes(mask, [&](int lane) { arriveAt(w, op, lane, valueOf(w, op, 1, lane), 0); });
}
void expect(Warp &w, const Operation &op, uint32_t mask) { // state, [barrier], bytes
  forLanes(mask, [&](int lane) { arriveAt(w, op, lane, valueOf(w, op, 1, lane), int64_t(valueOf(w, op, 2, lane))); });
}
void tryWait(Warp &w, const Operation &op, uint32_t mask) { // done, [barrier], parity, nanoseconds
  bool pauses = false;
  forLanes(mask, [&](int lane) {
    Mbarrier &barrier = barrierAt(w, op, valueOf(w, op, 1, lane), lane);
    Mbarrier::Waiter &waiter = barrier.waiters[w.number];
    uint64_t parity = valueOf(w, op, 2, lane);
    if (parity > 1)
      w.fault(op, "a wait for parity " + std::to_string(parity), lane);
    if (waiter.phases % 2 == parity && barrier.phases > waiter.phases + 1)
      w.fault(op, "a wait for a phase of a barrier after which another one is complete", lane);
    bool done = barrier.phases % 2 != parity;
    w.line<uint32_t>(op.operands[0].line)[lane] = done;
    pauses |= !done;
    if (done) {
      waiter = {barrier.phases, w.times.known[w.number]};
      w.times.join(barrier.known);
    }
  });
  if (pauses)
    w.wait(op, Warp::Paused);
}

//===-- Copies of boxes -------------------------------------------------------------===//
/// Of a swizzle, by its bytes: 16 of a row change places with others of it, by what 128 bytes it is; after so many rows
/// of 128 as there are places they repeat.
uint32_t rowBytes(const TensorMap &map) { return map.boxColumns * map.elementBytes; }
uint64_t swizzled(uint64_t address, uint64_t bytes) { return address ^ (address >> 7 & (bytes / pieceBytes - 1)) << 4; }
uint64_t repeatBytes(uint64_t bytes) { return bytes / pieceBytes * 128; }

const TensorMap *mapAt(Warp &w, const Operation &op, uint64_t address, int lane) {
  const Kernel &kernel = w.block.kernel;
  if (address == 0 || address > kernel.parameters.size() || !kernel.parameters[address - 1].isMap)
    w.fault(op, "no tensor map is at " + std::to_string(address), lane);
  auto *map = reinterpret_cast<const TensorMap *>(w.block.parameters[address - 1]);
  if (map->mark != TensorMap::known || (rowBytes(*map) != 128 && rowBytes(*map) != 64) || map->address % 16 ||
      map->pitch % 16)
    w.fault(op, "a tensor map of no boxes with rows of 64 or 128 bytes", lane);
  return map;
}
uint64_t bytesOf(const BoxCopy &copy) {
  return copy.map ? uint64_t(copy.map->boxRows) * rowBytes(*copy.map) : copy.count;
}

/// Calls f(address in shared memory, address in memory, bytes) for pieces of a box; 0 where they are outside.
template <typename F> void forPieces(const BoxCopy &copy, F f) {
  if (!copy.map) {
    for (uint64_t at = 0; at < copy.count; at += pieceBytes)
      f(copy.shared + at, copy.run + at, uint64_t(pieceBytes));
    return;
  }
  const TensorMap &map = *copy.map;
  for (int64_t row = 0; row < map.boxRows; ++row)
    for (int64_t piece = 0; piece < rowBytes(map) / pieceBytes; ++piece) {
      int64_t inRow = copy.row + row, first = copy.column + piece * pieceBytes / map.elementBytes;
      int64_t count = std::clamp<int64_t>(int64_t(map.columns) - first, 0, pieceBytes / map.elementBytes);
      bool inside = inRow >= 0 && inRow < int64_t(map.rows) && first >= 0 && count > 0;
      f(swizzled(copy.shared + row * rowBytes(map) + piece * pieceBytes, rowBytes(map)),
        inside ? map.address + inRow * map.pitch + first * map.elementBytes : 0, inside ? count * map.elementBytes : 0);
    }
}

BoxCopy boxCopy(Warp &w, const Operation &op, int lane, size_t map, uint64_t shared, uint64_t barrier) {
  BoxCopy copy{&w,
               lane,
               &op,
               w.times,
               mapAt(w, op, valueOf(w, op, map, lane), lane),
               int32_t(valueOf(w, op, map + 1, lane)),
               int32_t(valueOf(w, op, map + 2, lane)),
               shared,
               barrier};
  if (shared % repeatBytes(rowBytes(*copy.map)) || !w.block.shared.holds(shared, bytesOf(copy)))
    w.fault(op, "a box at " + std::to_string(shared) + " of shared memory, misaligned or out of bounds", lane);
  return copy;
}
/// Notes whether the words of its tile are arriving, or leaving.
void setMoving(Warp &w, const BoxCopy &copy, bool Region::Word::*way, bool isMoving) {
  for (uint64_t i = 0; i < bytesOf(copy); i += Region::unit)
    w.block.shared.words[(copy.shared + i - w.block.shared.address) / Region::unit].*way = isMoving;
}
void copyIn(Warp &w, const Operation &op, uint32_t mask) { // [to], [map, {column, row}], [barrier]
  forLanes(mask, [&](int lane) {
    BoxCopy copy = boxCopy(w, op, lane, 1, valueOf(w, op, 0, lane), valueOf(w, op, 4, lane));
    const Mbarrier &barrier = barrierAt(w, op, copy.barrier, lane);
    uint32_t maker = barrier.maker.thread;
    if (!barrier.fence || (maker != w.number * width + lane && !w.times.have(maker / width, barrier.fence)))
      w.fault(op, "a copy to a barrier that was made without a fence after", lane);
    w.note(op, lane, w.block.shared, copy.shared, bytesOf(copy), /*write=*/true, &copy.times);
    setMoving(w, copy, &Region::Word::isArriving, true);
    ++w.times.known[w.number]; // what the warp does next comes later, once it has waited
    w.block.hopper->loads.push_back(copy);
  });
}
void deliver(Block &block, const BoxCopy &copy) {
  Warp &w = *copy.warp;
  setMoving(w, copy, &Region::Word::isArriving, false);
  forPieces(copy, [&](uint64_t shared, uint64_t address, uint64_t bytes) {
    uint8_t *to = block.shared.at(shared);
    std::memset(to, 0, pieceBytes);
    if (bytes == 0)
      return;
    Region &region = block.memory.find(address, bytes, "copy");
    w.note(*copy.op, copy.lane, region, address, bytes, /*write=*/false, &copy.times);
    std::memcpy(to, region.at(address), bytes);
  });
  Mbarrier &barrier = barrierAt(w, *copy.op, copy.barrier, copy.lane);
  barrier.bytes -= int64_t(bytesOf(copy));
  barrier.times.join(copy.times);
  ++block.changes;
  turn(w, *copy.op, barrier);
}

std::deque<Stores> &storesOf(Warp &w, int lane) {
  auto &groups = w.block.hopper->stores[w.number * width + lane];
  if (groups.empty())
    groups.emplace_back();
  return groups;
}
/// Of the memory that a copy writes: `f(place among the copy's bytes, region, address, bytes)`.
template <typename F> void forWritten(const BoxCopy &copy, F f) {
  uint64_t place = 0;
  forPieces(copy, [&](uint64_t shared, uint64_t address, uint64_t bytes) {
    if (bytes > 0)
      f(place, copy.warp->block.memory.find(address, bytes, "copy"), address, bytes);
    place += pieceBytes;
  });
}
void beginCopyOut(Warp &w, const Operation &op, int lane, const BoxCopy &copy) {
  w.note(op, lane, w.block.shared, copy.shared, bytesOf(copy), /*write=*/false, &copy.times);
  setMoving(w, copy, &Region::Word::isLeaving, true);
  forWritten(copy, [&](uint64_t, Region &region, uint64_t address, uint64_t bytes) {
    if (copy.adds)
      w.note(op, lane, region, address, bytes, /*write=*/false, &copy.times);
    w.note(op, lane, region, address, bytes, /*write=*/true, &copy.times);
    for (uint64_t i = 0; i < bytes; i += Region::unit)
      region.words[(address + i - region.address) / Region::unit].isArriving = true;
  });
  storesOf(w, lane).back().copies.push_back(copy);
}
template <bool adds> void copyOut(Warp &w, const Operation &op, uint32_t mask) { // [map, {column, row}], [from]
  forLanes(mask, [&](int lane) {
    BoxCopy copy = boxCopy(w, op, lane, 0, valueOf(w, op, 3, lane), 0);
    copy.adds = adds;
    if (adds && copy.map->elementBytes != 4)
      w.fault(op, "numbers that are not of f32 are added", lane);
    beginCopyOut(w, op, lane, copy);
  });
}
template <bool adds> void copyRunOut(Warp &w, const Operation &op, uint32_t mask) { // [to], [from], bytes
  forLanes(mask, [&](int lane) {
    BoxCopy copy{&w, lane, &op, w.times, nullptr, 0, 0, valueOf(w, op, 1, lane), 0};
    if (w.unfenced >> lane & 1)
      w.fault(op, "a copy to memory after an acquire without a fence", lane);
    copy.run = valueOf(w, op, 0, lane), copy.count = valueOf(w, op, 2, lane), copy.adds = adds;
    if (copy.shared % pieceBytes || copy.run % pieceBytes || copy.count % pieceBytes ||
        !w.block.shared.holds(copy.shared, copy.count))
      w.fault(op,
              "a copy of " + std::to_string(copy.count) + " bytes at " + std::to_string(copy.shared) +
                  " of shared memory to " + std::to_string(copy.run) + ", misaligned or out of bounds",
              lane);
    beginCopyOut(w, op, lane, copy);
  });
}
void commitStores(Warp &w, const Operation &, uint32_t mask) {
  forLanes(mask, [&](int lane) { storesOf(w, lane).emplace_back(); });
}
void read(Stores &stores) {
  if (std::exchange(stores.areRead, true))
    return;
  for (BoxCopy &copy : stores.copies) {
    Warp &w = *copy.warp;
    setMoving(w, copy, &Region::Word::isLeaving, false);
    // Until now: who writes there has to know of this.
    w.note(*copy.op, copy.lane, w.block.shared, copy.shared, bytesOf(copy), /*write=*/false, &w.times);
    forPieces(copy, [&](uint64_t shared, uint64_t, uint64_t) {
      const uint8_t *from = w.block.shared.at(shared);
      copy.bytes.insert(copy.bytes.end(), from, from + pieceBytes);
    });
  }
}
void write(const Stores &stores) {
  for (const BoxCopy &copy : stores.copies)
    forWritten(copy, [&](uint64_t place, Region &region, uint64_t address, uint64_t bytes) {
      for (uint64_t i = 0; i < bytes; i += Region::unit)
        region.words[(address + i - region.address) / Region::unit].isArriving = false;
      // Until now: who reads or writes there has to know of this.
      copy.warp->note(*copy.op, copy.lane, region, address, bytes, /*write=*/true, &copy.warp->times);
      const uint8_t *from = copy.bytes.data() + place;
      for (uint64_t i = 0; copy.adds && i < bytes; i += 4) {
        float sum, addend;
        std::memcpy(&sum, region.at(address + i), 4), std::memcpy(&addend, from + i, 4);
        sum += addend;
        std::memcpy(region.at(address + i), &sum, 4);
      }
      if (!copy.adds)
        std::memcpy(region.at(address), from, bytes);
    });
}
/// `isWritten`: waits until what was copied is in memory, and not only for its tiles.
template <bool isWritten> void waitStores(Warp &w, const Operation &op, uint32_t mask) { // pending
  forLanes(mask, [&](int lane) {
    auto &groups = storesOf(w, lane);
    size_t most = valueOf(w, op, 0, lane);
    for (size_t i = 0; i + 1 + most < groups.size(); ++i)
      read(groups[i]);
    for (; isWritten && groups.size() - 1 > most; groups.pop_front()) {
      write(groups.front());
      w.unreleased |= 1u << lane;
    }
  });
}
void fenceMemory(Warp &w, const Operation &, uint32_t mask) { w.unfenced &= ~mask, w.unreleased &= ~mask; }
void fenceProxy(Warp &w, const Operation &op, uint32_t mask) {
  forLanes(mask, [&](int lane) { w.fences[lane].push_back(w.times.known[w.number]); });
  fenceBarriers(w, op, mask);
}

/// [row's address], {four pairs}: the rows of four matrices of 8 x 8, whose addresses eight threads give each.
void storeMatrices(Warp &w, const Operation &op, uint32_t mask) {
  if (mask != all)
    w.fault(op, "an instruction of the warp that only some of its threads reach");
  Operation access = op;
  access.bytes = pieceBytes, access.count = 1, access.shared = true;
  for (int row = 0; row < width; ++row) {
    uint8_t *to = w.access(access, row, valueOf(w, op, 0, row), true);
    for (int pair = 0; pair < 4; ++pair) {
      auto value = uint32_t(valueOf(w, op, 1 + row / 8, row % 8 * 4 + pair));
      std::memcpy(to + pair * 4, &value, 4);
    }
  }
}

void elect(Warp &w, const Operation &op, uint32_t mask) { // thread, is it, mask
  if (mask != all || uint32_t(valueOf(w, op, 2, 0)) != all)
    w.fault(op, "an election that only some threads of the warp take part in");
  int elected = w.block.isBackwards ? width - 1 : 0; // anyone
  forLanes(mask, [&](int lane) { w.line<uint32_t>(op.operands[1].line)[lane] = lane == elected; });
  if (op.operands[0].line >= 0)
    forLanes(mask, [&](int lane) { w.line<uint32_t>(op.operands[0].line)[lane] = elected; });
}

//===-- What the four warps of a group do together ------------------------------------===//
using Together = void (*)(Warp *warps, const Operation &op);
template <Together function> void together(Warp &w, const Operation &op, uint32_t mask) {
  if (mask != all)
    w.fault(op, "an instruction of the warpgroup that only some threads of the warp reach");
  w.wait(op, Warp::WithOthers);
  std::vector<Warp> &warps = *w.block.hopper->warps;
  uint32_t first = w.number / groupWarps * groupWarps;
  if (first + groupWarps > warps.size())
    w.fault(op, "expected a warpgroup of four warps");
  for (uint32_t i = first; i < first + groupWarps; ++i)
    if (warps[i].state != Warp::WithOthers)
      return;
  for (uint32_t i = first; i < first + groupWarps; ++i) {
    if (warps[i].waitsAt != &op)
      w.fault(op, "another warp of the group is at line " + std::to_string(warps[i].waitsAt->line));
    warps[i].state = Warp::Running;
  }
  function(&warps[first], op);
  ++w.block.changes;
}

std::vector<std::vector<Product>> &productsOf(Warp *warps) {
  auto &groups = warps->block.hopper->products[warps->number / groupWarps];
  if (groups.empty())
    groups.emplace_back();
  return groups;
}

/// The operands after the accumulator: descriptors of A and B, predicate, two signs and which are transposed, 7 in all;
/// with A in registers 9. An accumulator's registers are a multiple of 4.
struct ProductOperands {
  explicit ProductOperands(const Operation &op)
      : inRegisters(op.operands.size() % 4 == 1), registers(op.operands.size() - (inRegisters ? 9 : 7)),
        b(registers + (inRegisters ? 4 : 1)), columns(int(registers) * 2) {}
  bool inRegisters;
  size_t registers, b;
  int columns;
};

void setInFlight(Warp *warps, const Operation &op, bool inFlight) {
  ProductOperands operands(op);
  for (uint32_t i = 0; i < groupWarps; ++i)
    for (size_t part = 0; part < operands.registers + (operands.inRegisters ? 4 : 0); ++part)
      warps[i].inFlight[op.operands[part].line] = !inFlight                   ? 0
                                                  : part < operands.registers ? Warp::Accumulates
                                                                              : Warp::IsRead;
}

void beginProduct(Warp *warps, const Operation &op) {
  ProductOperands operands(op);
  if (operands.columns % 8 || operands.columns < 8 || operands.columns > 256)
    warps->fault(op, "a product of " + std::to_string(operands.columns) + " columns");
  auto uniform = [&](size_t number) {
    uint64_t value = valueOf(*warps, op, number, 0);
    for (uint32_t i = 0; i < groupWarps; ++i)
      for (int lane = 0; lane < width; ++lane)
        if (valueOf(warps[i], op, number, lane) != value)
          warps[i].fault(op, "operands of a warpgroup's product that differ between threads", lane);
    return value;
  };
  Product product{&op,
                  operands.inRegisters ? 0 : uniform(operands.registers),
                  uniform(operands.b),
                  uniform(operands.b + 1) != 0,
                  warps->times,
                  {}};
  for (uint32_t i = 0; i < groupWarps; ++i) {
    Warp &w = warps[i];
    for (size_t part = 0; part < operands.registers + (operands.inRegisters ? 4 : 0); ++part) {
      int line = op.operands[part].line;
      if (w.touched[line])
        w.fault(op, "a product of registers that were read or written after the last wgmma.fence");
      // Sums may go on; what else a product has in hand is not there.
      if (w.inFlight[line] == (part < operands.registers ? Warp::IsRead : Warp::Accumulates))
        w.fault(op, "an accumulator is read or written before a product of it is known to be done");
    }
    for (uint32_t warp = 0; warp < product.times.known.size(); ++warp)
      product.times.known[warp] =
          warp < w.times.known.size() ? std::min(product.times.known[warp], w.times.known[warp]) : 0;
    product.times.acquired = std::min(product.times.acquired, w.times.acquired);
    product.begin[i] = w.times.known[w.number]++;
  }
  productsOf(warps).back().push_back(std::move(product));
  setInFlight(warps, op, true);
}
void commitProducts(Warp *warps, const Operation &) { productsOf(warps).emplace_back(); }

/// count x 16 elements of a matrix in shared memory, by its descriptor.
std::vector<float> readMatrix(Warp &w, const Operation &op, const Times &times, uint64_t descriptor, int count,
                              bool transposed) {
  uint64_t begin = (descriptor & 0x3fff) << 4, panel = (descriptor >> 16 & 0x3fff) << 4,
           eight = (descriptor >> 32 & 0x3fff) << 4;
  constexpr uint64_t unused = 0x3ffe'c000'c000'c000; // a base that is elsewhere in the swizzle among them
  uint64_t kind = descriptor >> 62, rowBytes = kind == 1 ? 128 : 64, repeat = repeatBytes(rowBytes);
  int columns = int(rowBytes) / 2;
  if (kind == 0 || kind == 3 || (descriptor & unused))
    w.fault(op, "a descriptor that is not of a matrix swizzled by 128 bytes or 64");
  // Where bits of the place in eight rows are, there begins no matrix: k goes on by 32 bytes of a row, or by 16 rows.
  if (begin % repeat >= (transposed ? 1 : rowBytes) || begin % 32 || eight % repeat ||
      (transposed && count > columns && panel % repeat))
    w.fault(op, "a descriptor of a matrix that is not aligned: begins at " + std::to_string(begin) +
                    ", eight rows are " + std::to_string(eight) + " bytes and " + std::to_string(columns) +
                    " columns " + std::to_string(panel));
  std::vector<float> matrix(size_t(count) * 16);
  auto piece = [&](uint64_t address, auto place) {
    address = swizzled(address, rowBytes);
    if (!w.block.shared.holds(address, pieceBytes))
      w.fault(op, "a product's operand out of bounds of shared memory");
    w.note(op, 0, w.block.shared, address, pieceBytes, /*write=*/false, &times, /*together=*/true);
    uint16_t elements[8];
    std::memcpy(elements, w.block.shared.at(address), sizeof(elements));
    for (int i = 0; i < 8; ++i)
      matrix[place(i)] = ofBfloat(elements[i]);
  };
  if (!transposed) // k runs along rows
    for (int i = 0; i < count; ++i)
      for (int k = 0; k < 16; k += 8)
        piece(begin + uint64_t(i / 8) * eight + uint64_t(i % 8) * rowBytes + uint64_t(k) * 2,
              [&](int part) { return i * 16 + k + part; });
  else
    for (int k = 0; k < 16; ++k)
      for (int i = 0; i < count; i += 8)
        piece(begin + uint64_t(i / columns) * panel + uint64_t(k / 8) * eight + uint64_t(k % 8) * rowBytes +
                  uint64_t(i % columns) * 2,
              [&](int part) { return (i + part) * 16 + k; });
  return matrix;
}

void finishProduct(Warp *warps, const Product &product) {
  const Operation &op = *product.op;
  ProductOperands operands(op);
  auto flag = [&](size_t number) { return valueOf(*warps, op, number, 0) != 0; };
  std::vector<float> a(64 * 16);
  // Row and column of part `part` of a thread's registers, two to a row of eight columns.
  auto rowOf = [](uint32_t warp, int lane, int part) { return int(warp) * 16 + lane / 4 + part / 2 % 2 * 8; };
  auto columnOf = [](int lane, int part) { return part / 4 * 8 + lane % 4 * 2 + part % 2; };
  if (operands.inRegisters) {
    for (uint32_t i = 0; i < groupWarps; ++i)
      for (int lane = 0; lane < width; ++lane)
        for (int part = 0; part < 8; ++part) {
          uint32_t pair = warps[i].line<uint32_t>(op.operands[operands.registers + part / 2].line)[lane];
          a[rowOf(i, lane, part) * 16 + columnOf(lane, part)] = ofBfloat(uint16_t(pair >> part % 2 * 16));
        }
  } else {
    a = readMatrix(*warps, op, product.times, product.a, 64, flag(operands.b + 4));
  }
  std::vector<float> b = readMatrix(*warps, op, product.times, product.b, operands.columns,
                                    flag(operands.b + (operands.inRegisters ? 4 : 5)));
  setInFlight(warps, op, false);
  Meeting meeting{product.begin, {}};
  for (uint32_t i = 0; i < groupWarps; ++i)
    meeting.end[i] = warps[i].times.known[warps[i].number];
  warps->block.hopper->meetings[warps->number / groupWarps].push_back(meeting);
  for (uint32_t i = 0; i < groupWarps; ++i)
    for (size_t part = 0; part < operands.registers; ++part) {
      float *sums = warps[i].line<float>(op.operands[part].line);
      for (int lane = 0; lane < width; ++lane) {
        const float *row = &a[size_t(rowOf(i, lane, int(part))) * 16],
                    *column = &b[size_t(columnOf(lane, int(part))) * 16];
        float sum = product.accumulates ? sums[lane] : 0;
        for (int k = 0; k < 16; ++k)
          sum += row[k] * column[k];
        sums[lane] = sum;
      }
    }
}
void waitProducts(Warp *warps, const Operation &op) { // pending
  // The registers that a wait names pass through it.
  auto &groups = productsOf(warps);
  for (size_t most = valueOf(*warps, op, 0, 0); groups.size() - 1 > most; groups.erase(groups.begin()))
    for (const Product &product : groups.front())
      finishProduct(warps, product);
  // Accumulators of products that are still on the way are not there yet, whatever else was done with them.
  for (auto &group : groups)
    for (const Product &product : group)
      setInFlight(warps, *product.op, true);
}
void orderRegisters(Warp *warps, const Operation &) {
  for (uint32_t i = 0; i < groupWarps; ++i)
    std::ranges::fill(warps[i].touched, 0);
}
template <bool increases> void setRegisters(Warp *warps, const Operation &op) {
  Block &block = warps->block;
  if (block.kernel.blocks == 0)
    warps->fault(op, "registers are given on in a kernel that does not say how many a thread has");
  // What a block is launched with: as many for each thread, a multiple of 8.
  uint32_t given = 65536 / (block.threads * block.kernel.blocks) / 8 * 8;
  auto &registers = block.hopper->registers;
  for (uint32_t group = 0; group < block.threads / width / groupWarps; ++group)
    registers.try_emplace(group, given);
  uint32_t &own = registers[warps->number / groupWarps], count = uint32_t(valueOf(*warps, op, 0, 0));
  if (count % 8 || count < 24 || count > 256 || (increases ? count < own : count > own))
    warps->fault(op, "a warpgroup of " + std::to_string(own) + " registers a thread asks for " + std::to_string(count));
  own = count;
  // An increase waits until others have given as many, and for those that never do.
  bool areSet = true;
  uint32_t sum = 0;
  for (auto &[group, each] : registers) {
    areSet &= each != given;
    sum += each * groupWarps * width;
  }
  if (areSet && sum > given * block.threads)
    warps->fault(op, "warpgroups that ask for " + std::to_string(sum) + " registers, of " +
                         std::to_string(given * block.threads));
}
} // namespace

Handler findHopperHandler(const std::string &name) {
  static const std::map<std::string, Handler> table{
      {"mbarrier.init.shared.b64", initialise},
      {"mbarrier.arrive.shared.b64", arrive},
      {"mbarrier.arrive.expect_tx.shared.b64", expect},
      {"mbarrier.try_wait.parity.shared.b64", tryWait},
      {"fence.mbarrier_init.release.cluster", fenceBarriers},
      {"cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes", copyIn},
      {"cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group", copyOut<false>},
      {"cp.reduce.async.bulk.tensor.2d.global.shared::cta.add.tile.bulk_group", copyOut<true>},
      {"cp.async.bulk.global.shared::cta.bulk_group", copyRunOut<false>},
      {"cp.reduce.async.bulk.global.shared::cta.bulk_group.add.f32", copyRunOut<true>},
      {"cp.async.bulk.commit_group", commitStores},
      {"cp.async.bulk.wait_group.read", waitStores<false>},
      {"cp.async.bulk.wait_group", waitStores<true>},
      {"fence.proxy.async.shared::cta", fenceProxy},
      {"fence.proxy.async.global", fenceMemory},
      {"stmatrix.sync.aligned.m8n8.x4.shared.b16", storeMatrices},
      {"elect.sync", elect},
      {"wgmma.fence.sync.aligned", together<orderRegisters>},
      {"wgmma.commit_group.sync.aligned", together<commitProducts>},
      {"wgmma.wait_group.sync.aligned", together<waitProducts>},
      {"setmaxnreg.inc.sync.aligned.u32", together<setRegisters<true>>},
      {"setmaxnreg.dec.sync.aligned.u32", together<setRegisters<false>>},
  };
  if (name.starts_with("wgmma.mma_async.sync.aligned.m64n") && name.ends_with("k16.f32.bf16.bf16"))
    return together<beginProduct>;
  auto it = table.find(name);
  return it == table.end() ? nullptr : it->second;
}

void startHopper(Block &block, std::vector<Warp> &warps) {
  block.hopper = std::make_shared<Hopper>();
  block.hopper->warps = &warps;
}

bool goOn(Block &block) {
  auto &loads = block.hopper->loads;
  if (loads.empty())
    return false;
  auto next = block.isBackwards ? std::prev(loads.end()) : loads.begin();
  BoxCopy copy = *next;
  loads.erase(next);
  deliver(block, copy);
  return true;
}

void finishHopper(Block &block) {
  auto fail = [&](const Operation &op, const char *what) {
    throw Fault(block.kernel.name + ", line " + std::to_string(op.line) + ", block " + std::to_string(block.number) +
                ": " + what);
  };
  if (!block.hopper->loads.empty())
    fail(*block.hopper->loads.front().op, "the block ends while a copy is on its way");
  for (auto &[thread, groups] : block.hopper->stores)
    for (const Stores &group : groups) {
      if (!group.copies.empty() && !group.areRead)
        fail(*group.copies.front().op, "the block ends before a copy is known to have read its shared memory");
      write(group);
    }
  for (auto &[number, groups] : block.hopper->products)
    for (auto &group : groups)
      if (!group.empty())
        fail(*group.front().op, "the block ends before a product is known to be done");
}
} // namespace xf::gpu
