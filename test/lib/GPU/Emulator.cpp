//===- Emulator.cpp - PTX, run on the CPU -------------------------------------------===//
// A block's warps run in turns, each up to its next barrier. Threads of a warp that went different ways go one after
// another, and on together from the branch's immediate post-dominator.
//===--------------------------------------------------------------------------------===//
#include "Warp.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <utility>

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
//===-- Instructions ------------------------------------------------------------------===//
template <typename To, typename From, auto function> void unary(Warp &w, const Operation &op, uint32_t mask) {
  To *to = w.line<To>(op.to[0]);
  const From *x = w.line<From>(op.from[0]);
  forLanes(mask, [&](int i) { to[i] = function(x[i]); });
}
template <typename To, typename From, auto function> void binary(Warp &w, const Operation &op, uint32_t mask) {
  To *to = w.line<To>(op.to[0]);
  const From *x = w.line<From>(op.from[0]), *y = w.line<From>(op.from[1]);
  forLanes(mask, [&](int i) { to[i] = function(x[i], y[i]); });
}
template <typename To, typename From, auto function> void ternary(Warp &w, const Operation &op, uint32_t mask) {
  To *to = w.line<To>(op.to[0]);
  const From *x = w.line<From>(op.from[0]), *y = w.line<From>(op.from[1]);
  const To *z = w.line<To>(op.from[2]);
  forLanes(mask, [&](int i) { to[i] = function(x[i], y[i], z[i]); });
}
template <typename T> void shift(Warp &w, const Operation &op, uint32_t mask) { // isSigned: to the left
  T *to = w.line<T>(op.to[0]);
  const T *x = w.line<T>(op.from[0]);
  const uint32_t *by = w.line<uint32_t>(op.from[1]);
  constexpr uint32_t bits = sizeof(T) * 8;
  forLanes(mask, [&](int i) {
    T past = op.isSigned || std::is_unsigned_v<T> ? T(0) : x[i] >> (bits - 1);
    to[i] = by[i] >= bits ? past : op.isSigned ? T(std::make_unsigned_t<T>(x[i]) << by[i]) : T(x[i] >> by[i]);
  });
}
/// The bits of x from `first` on.
template <typename T> void extract(Warp &w, const Operation &op, uint32_t mask) {
  T *to = w.line<T>(op.to[0]);
  const T *x = w.line<T>(op.from[0]);
  const uint32_t *first = w.line<uint32_t>(op.from[1]), *count = w.line<uint32_t>(op.from[2]);
  constexpr uint32_t bits = sizeof(T) * 8;
  forLanes(mask, [&](int i) {
    T rest = first[i] >= bits ? T(0) : x[i] >> first[i];
    to[i] = count[i] >= bits ? rest : rest & ((T(1) << count[i]) - 1);
  });
}
/// The same with the sign of what is taken.
void extractSigned(Warp &w, const Operation &op, uint32_t mask) {
  extract<uint32_t>(w, op, mask);
  const uint32_t *count = w.line<uint32_t>(op.from[2]);
  forLanes(mask, [&](int i) {
    uint32_t &x = w.line<uint32_t>(op.to[0])[i];
    if (count[i] > 0 && count[i] < 32)
      x = uint32_t(int32_t(x << (32 - count[i])) >> (32 - count[i]));
  });
}
template <typename T> void select(Warp &w, const Operation &op, uint32_t mask) {
  T *to = w.line<T>(op.to[0]);
  const T *x = w.line<T>(op.from[0]), *y = w.line<T>(op.from[1]);
  const uint32_t *condition = w.line<uint32_t>(op.from[2]);
  forLanes(mask, [&](int i) { to[i] = condition[i] ? x[i] : y[i]; });
}

void loadParameter(Warp &w, const Operation &op, uint32_t mask) {
  uint64_t value = w.block.parameters[op.offset];
  forLanes(mask, [&](int i) { w.line<uint64_t>(op.to[0])[i] = value; });
}
void load(Warp &w, const Operation &op, uint32_t mask) {
  forLanes(mask, [&](int i) {
    uint64_t address = (op.from[0] < 0 ? 0 : w.line<uint64_t>(op.from[0])[i]) + op.offset;
    const uint8_t *bytes = w.access(op, i, address, false);
    for (int v = 0; v < op.count; ++v) {
      uint64_t value = 0;
      std::memcpy(&value, bytes + v * op.bytes, op.bytes);
      if (op.isSigned && op.bytes == 4)
        value = int64_t(int32_t(value));
      if (op.isWide)
        w.line<uint64_t>(op.to[v])[i] = value;
      else
        w.line<uint32_t>(op.to[v])[i] = uint32_t(value);
    }
  });
}
void store(Warp &w, const Operation &op, uint32_t mask) {
  forLanes(mask, [&](int i) {
    uint64_t address = (op.from[0] < 0 ? 0 : w.line<uint64_t>(op.from[0])[i]) + op.offset;
    uint8_t *bytes = w.access(op, i, address, true);
    for (int v = 0; v < op.count; ++v) {
      uint64_t value = op.isWide ? w.line<uint64_t>(op.to[v])[i] : w.line<uint32_t>(op.to[v])[i];
      std::memcpy(bytes + v * op.bytes, &value, op.bytes);
    }
  });
}
void shuffle(Warp &w, const Operation &op, uint32_t mask) { // isSigned: idx, else bfly
  if (mask != all)
    w.fault(op, "a shuffle that only some threads of the warp reach");
  uint32_t values[width];
  std::memcpy(values, w.line<uint32_t>(op.from[0]), sizeof(values));
  const uint32_t *lane = w.line<uint32_t>(op.from[1]);
  for (int i = 0; i < width; ++i) {
    uint32_t source = op.isSigned ? lane[i] : i ^ lane[i];
    if (source >= width)
      w.fault(op, "a shuffle from lane " + std::to_string(source), i);
    w.line<uint32_t>(op.to[0])[i] = values[source];
  }
}
void ballot(Warp &w, const Operation &op, uint32_t mask) {
  if (mask != all)
    w.fault(op, "a vote that only some threads of the warp take part in");
  const uint32_t *condition = w.line<uint32_t>(op.from[0]);
  uint32_t bits = 0;
  for (int i = 0; i < width; ++i)
    bits |= uint32_t(condition[i] != 0) << i;
  forLanes(mask, [&](int i) { w.line<uint32_t>(op.to[0])[i] = bits; });
}
/// Counts round; gives what the block has written to those that count later, and takes what those before have.
void countRound(Warp &w, const Operation &op, uint32_t mask) {
  forLanes(mask, [&](int i) {
    uint64_t address = w.line<uint64_t>(op.from[0])[i];
    Region &region = w.block.memory.find(address, 4, "atom");
    uint32_t number, last = w.line<uint32_t>(op.from[1])[i];
    std::memcpy(&number, region.at(address), 4);
    uint32_t next = number >= last ? 0 : number + 1;
    std::memcpy(region.at(address), &next, 4);
    w.line<uint32_t>(op.to[0])[i] = number;
    w.block.released[w.block.number] = true;
    w.block.known = w.block.released;
  });
}
void syncWarp(Warp &w, const Operation &op, uint32_t mask) {
  if (mask != all)
    w.fault(op, "a barrier of the warp that only some of its threads reach");
  ++w.times.known[w.number];
}
/// mov.b64 {low, high}, x: either may be `_`, for what is not wanted.
void split(Warp &w, const Operation &op, uint32_t mask) {
  forLanes(mask, [&](int i) {
    uint64_t value = w.line<uint64_t>(op.from[0])[i];
    for (int half : {0, 1})
      if (op.to[half] >= 0)
        w.line<uint32_t>(op.to[half])[i] = uint32_t(value >> 32 * half);
  });
}
/// mov {low, ..., high}, x of halves of 32 bits, likewise, or quarters of 64; and mov to, {low, ..., high}.
template <typename T> void splitHalves(Warp &w, const Operation &op, uint32_t mask) {
  forLanes(mask, [&](int i) {
    for (size_t part = 0; part < sizeof(T) / 2; ++part)
      if (op.to[part] >= 0)
        w.line<uint32_t>(op.to[part])[i] = w.line<T>(op.from[0])[i] >> 16 * part & 0xffff;
  });
}
template <typename T> void joinHalves(Warp &w, const Operation &op, uint32_t mask) {
  forLanes(mask, [&](int i) {
    T value = 0;
    for (size_t part = 0; part < sizeof(T) / 2; ++part)
      value |= T(w.line<uint32_t>(op.from[part])[i]) << 16 * part;
    w.line<T>(op.to[0])[i] = value;
  });
}
/// bar.sync and bar.arrive: number, threads (0: all). isSigned: goes on at once.
void barrier(Warp &w, const Operation &op, uint32_t mask) {
  if (mask != all)
    w.fault(op, "a barrier that only some threads of the warp reach");
  uint32_t number = w.line<uint32_t>(op.from[0])[0],
           threads = op.from[1] < 0 ? w.block.threads : w.line<uint32_t>(op.from[1])[0];
  if (number >= w.block.barriers.size() || threads == 0 || threads > w.block.threads || threads % width)
    w.fault(op, "barrier " + std::to_string(number) + " of " + std::to_string(threads) + " threads");
  NamedBarrier &barrier = w.block.barriers[number];
  if (barrier.arrived && barrier.threads != threads)
    w.fault(op, "expected " + std::to_string(barrier.threads) + " threads at barrier " + std::to_string(number) +
                    ", but got " + std::to_string(threads));
  barrier.threads = threads;
  barrier.arrived += width;
  w.giveTimes(barrier.times);
  if (!op.isSigned) {
    w.wait(op, Warp::AtBarrier);
    barrier.waiting.push_back(&w);
  }
  if (barrier.arrived < threads)
    return;
  for (Warp *waiting : barrier.waiting) {
    waiting->times.join(barrier.times);
    waiting->state = Warp::Running;
  }
  barrier = {};
}
void branch(Warp &, const Operation &, uint32_t) {} // known by their handlers
void finish(Warp &, const Operation &, uint32_t) {}

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
      if (!w.isInFlight.empty())
        for (const int *lines : {op.to, op.from})
          for (const int *line = lines; line != lines + (lines == op.to ? std::size(op.to) : std::size(op.from));
               ++line)
            if (*line >= 0 && w.isInFlight[*line])
              w.fault(op, "an accumulator is read or written before a product of it is known to be done");
      op.handler(w, op, mask);
    }
  }
}

/// Sets where the ways of each branch meet: its immediate post-dominator, the end of the code where there is none.
/// Cooper, Harvey and Kennedy's algorithm on the operations, backwards.
void findMeetings(std::vector<Operation> &code) {
  size_t end = code.size();
  auto successors = [&](size_t i) -> std::vector<size_t> {
    const Operation &op = code[i];
    if (op.handler == finish && op.guard < 0)
      return {end};
    if (op.handler == finish)
      return {i + 1, end};
    if (op.handler != branch)
      return {i + 1};
    return op.guard < 0 ? std::vector<size_t>{size_t(op.offset)} : std::vector<size_t>{i + 1, size_t(op.offset)};
  };
  std::vector<std::vector<size_t>> predecessors(end + 1);
  for (size_t i = 0; i < end; ++i)
    for (size_t next : successors(i))
      predecessors[next].push_back(i);
  // An order in which what comes later is known first.
  constexpr size_t unknown = ~size_t(0);
  std::vector<size_t> number(end + 1, unknown), order;
  std::vector<std::pair<size_t, size_t>> stack{{end, 0}};
  std::vector<bool> seen(end + 1);
  seen[end] = true;
  while (!stack.empty()) {
    auto &[at, turn] = stack.back();
    if (turn < predecessors[at].size()) {
      size_t next = predecessors[at][turn++];
      if (!seen[next]) {
        seen[next] = true;
        stack.push_back({next, 0});
      }
    } else {
      number[at] = order.size();
      order.push_back(at);
      stack.pop_back();
    }
  }
  std::vector<size_t> meets(end + 1, unknown);
  meets[end] = end;
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t i = order.size() - 1; i-- > 0;) { // but for the end
      size_t at = order[i], common = unknown;
      for (size_t next : successors(at)) {
        if (meets[next] == unknown)
          continue;
        if (common == unknown)
          common = next;
        for (size_t other = next; common != other;)
          if (number[common] < number[other])
            common = meets[common];
          else
            other = meets[other];
      }
      changed |= meets[at] != common;
      meets[at] = common;
    }
  }
  for (size_t i = 0; i < end; ++i)
    code[i].meets = meets[i] == unknown ? end : meets[i];
}
} // namespace

void launch(const Kernel &kernel, uint32_t blocks, uint32_t threads, const std::vector<uint64_t> &parameters,
            Memory &memory, uint64_t sharedBytes) {
  static uint32_t launches = 0;
  ++launches;
  if (parameters.size() != kernel.parameters.size())
    throw Fault(kernel.name + ": expected " + std::to_string(kernel.parameters.size()) + " parameters, but got " +
                std::to_string(parameters.size()));
  if (threads != kernel.threads || threads % width != 0)
    throw Fault(kernel.name + ": expected blocks of " + std::to_string(kernel.threads) + " threads, but got " +
                std::to_string(threads));
  std::vector<bool> released(blocks);
  for (uint32_t number = 0; number < blocks; ++number) {
    Block block{kernel,     memory,  Region(0, kernel.sharedBytes + sharedBytes), launches, number, blocks, threads,
                parameters, released};
    std::vector<Warp> warps;
    for (uint32_t w = 0; w < threads / width; ++w)
      warps.emplace_back(block, w);
    startHopper(block, warps);
    for (bool live = true; live;) {
      live = false;
      uint64_t before = block.changes;
      for (Warp &warp : warps) {
        if (warp.state <= Warp::Paused && !warp.groups.empty())
          run(warp);
        live |= !warp.groups.empty();
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

//===-- Reading -----------------------------------------------------------------------===//
// Special registers are lines that a warp's start can't know; they are set by these.
namespace {
template <int special> void readSpecial(Warp &w, const Operation &op, uint32_t mask) {
  forLanes(mask, [&](int i) {
    w.line<uint32_t>(op.to[0])[i] = special == 0   ? w.number * width + i
                                    : special == 1 ? w.block.number
                                    : special == 2 ? w.block.threads
                                                   : w.block.blocks;
  });
}

#define XF_FUNCTION(...) [](auto x) { return __VA_ARGS__; }
#define XF_FUNCTION2(...) [](auto x, auto y) { return __VA_ARGS__; }

template <typename To> To saturate(double x) {
  if (std::isnan(x))
    return 0;
  double low = double(std::numeric_limits<To>::min()), high = double(std::numeric_limits<To>::max());
  return x <= low ? std::numeric_limits<To>::min() : x >= high ? std::numeric_limits<To>::max() : To(x);
}

/// Without numbers below the normal ones.
float flushed(float x) { return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.0f, x) : x; }

/// A number of bf16 in a register.
struct Bfloat {
  uint32_t bits;
  operator float() const { return std::bit_cast<float>(bits << 16); }
};
template <typename T, bool isFloat>
void addComparisons(std::map<std::string, Handler> &table, const std::string &type) {
  table["setp.eq." + type] = binary<uint32_t, T, XF_FUNCTION2(uint32_t(x == y))>;
  table["setp.lt." + type] = binary<uint32_t, T, XF_FUNCTION2(uint32_t(x < y))>;
  table["setp.le." + type] = binary<uint32_t, T, XF_FUNCTION2(uint32_t(x <= y))>;
  table["setp.gt." + type] = binary<uint32_t, T, XF_FUNCTION2(uint32_t(x > y))>;
  table["setp.ge." + type] = binary<uint32_t, T, XF_FUNCTION2(uint32_t(x >= y))>;
  table["setp.ne." + type] = binary<uint32_t, T, XF_FUNCTION2(uint32_t(x < y || x > y))>; // ordered
  if constexpr (isFloat) {
    table["setp.neu." + type] = binary<uint32_t, T, XF_FUNCTION2(uint32_t(!(x == y)))>;
    table["setp.equ." + type] = binary<uint32_t, T, XF_FUNCTION2(uint32_t(!(x < y || x > y)))>;
    table["setp.ltu." + type] = binary<uint32_t, T, XF_FUNCTION2(uint32_t(!(x >= y)))>;
    table["setp.leu." + type] = binary<uint32_t, T, XF_FUNCTION2(uint32_t(!(x > y)))>;
    table["setp.gtu." + type] = binary<uint32_t, T, XF_FUNCTION2(uint32_t(!(x <= y)))>;
    table["setp.geu." + type] = binary<uint32_t, T, XF_FUNCTION2(uint32_t(!(x < y)))>;
  }
}
template <typename T> void addFloats(std::map<std::string, Handler> &table, const std::string &type) {
  for (std::string rounding : {".rn.", "."}) {
    table["add" + rounding + type] = binary<T, T, XF_FUNCTION2(x + y)>;
    table["sub" + rounding + type] = binary<T, T, XF_FUNCTION2(x - y)>;
    table["mul" + rounding + type] = binary<T, T, XF_FUNCTION2(x * y)>;
  }
  table["div.rn." + type] = binary<T, T, XF_FUNCTION2(x / y)>;
  table["min." + type] = binary<T, T, XF_FUNCTION2(std::fmin(x, y))>;
  table["max." + type] = binary<T, T, XF_FUNCTION2(std::fmax(x, y))>;
  table["fma.rn." + type] = ternary<T, T, [](auto x, auto y, auto z) { return std::fma(x, y, z); }>;
  table["min.NaN." + type] = binary<T, T, XF_FUNCTION2(x < y || std::isnan(x) ? x : y)>;
  table["max.NaN." + type] = binary<T, T, XF_FUNCTION2(x > y || std::isnan(x) ? x : y)>;
  table["neg." + type] = unary<T, T, XF_FUNCTION(-x)>;
  table["abs." + type] = unary<T, T, XF_FUNCTION(std::fabs(x))>;
  table["rcp.rn." + type] = unary<T, T, XF_FUNCTION(1 / x)>;
  table["sqrt.rn." + type] = unary<T, T, XF_FUNCTION(std::sqrt(x))>;
  table["cvt.rni." + type + "." + type] = unary<T, T, XF_FUNCTION(std::nearbyint(x))>;
  addComparisons<T, true>(table, type);
}
template <typename T> void addIntegers(std::map<std::string, Handler> &table, const std::string &type) {
  using U = std::make_unsigned_t<T>;
  table["add." + type] = binary<U, U, XF_FUNCTION2(x + y)>;
  table["sub." + type] = binary<U, U, XF_FUNCTION2(x - y)>;
  table["mul.lo." + type] = binary<U, U, XF_FUNCTION2(x * y)>;
  table["mad.lo." + type] = ternary<U, U, [](auto x, auto y, auto z) { return x * y + z; }>;
  table["min." + type] = binary<T, T, XF_FUNCTION2(std::min(x, y))>;
  table["max." + type] = binary<T, T, XF_FUNCTION2(std::max(x, y))>;
  table["neg." + type] = unary<U, U, XF_FUNCTION(U(0) - x)>;
  table["shr." + type] = shift<T>;
  addComparisons<T, false>(table, type);
  // By zero, where hardware gives any number.
  table["div." + type] = binary<T, T, XF_FUNCTION2(y == 0 ? T(-1) : T(x / y))>;
  table["rem." + type] = binary<T, T, XF_FUNCTION2(y == 0 ? x : T(x % y))>;
}
template <typename T> void addBits(std::map<std::string, Handler> &table, const std::string &type) {
  table["and." + type] = binary<T, T, XF_FUNCTION2(x & y)>;
  table["or." + type] = binary<T, T, XF_FUNCTION2(x | y)>;
  table["xor." + type] = binary<T, T, XF_FUNCTION2(x ^ y)>;
  table["not." + type] = unary<T, T, XF_FUNCTION(T(~x))>;
  table["mov." + type] = unary<T, T, XF_FUNCTION(x)>;
  addComparisons<T, false>(table, type);
}

const std::map<std::string, Handler> &handlers() {
  static const auto table = [] {
    std::map<std::string, Handler> t;
    addFloats<float>(t, "f32");
    addFloats<double>(t, "f64");
    addIntegers<int32_t>(t, "s32");
    addIntegers<uint32_t>(t, "u32");
    addIntegers<int64_t>(t, "s64");
    addIntegers<uint64_t>(t, "u64");
    addBits<uint32_t>(t, "b32");
    addBits<uint64_t>(t, "b64");
    for (std::string type : {"f32", "u32", "s32"})
      t["mov." + type] = t["mov.b32"];
    for (std::string type : {"f64", "u64", "s64"})
      t["mov." + type] = t["mov.b64"];
    t["cvta.to.global.u64"] = t["cvta.global.u64"] = t["cvta.param.u64"] = t["cvta.shared.u64"] =
        t["cvta.to.shared::cluster.u64"] = t["mov.b64"]; // one address space, and a cluster of one block
    t["mov.b16"] = t["mov.b32"];
    t["shl.b32"] = shift<uint32_t>;
    t["shl.b64"] = shift<uint64_t>;
    t["and.pred"] = binary<uint32_t, uint32_t, XF_FUNCTION2(x & y)>;
    t["or.pred"] = binary<uint32_t, uint32_t, XF_FUNCTION2(x | y)>;
    t["xor.pred"] = binary<uint32_t, uint32_t, XF_FUNCTION2(x ^ y)>;
    t["not.pred"] = unary<uint32_t, uint32_t, XF_FUNCTION(uint32_t(!x))>;
    t["mov.pred"] = unary<uint32_t, uint32_t, XF_FUNCTION(uint32_t(x != 0))>;
    t["mul.wide.u32"] = binary<uint64_t, uint32_t, XF_FUNCTION2(uint64_t(x) * y)>;
    t["mul.wide.s32"] = binary<int64_t, int32_t, XF_FUNCTION2(int64_t(x) * y)>;
    t["mad.wide.u32"] = ternary<uint64_t, uint32_t, [](auto x, auto y, auto z) { return uint64_t(x) * y + z; }>;
    t["mad.wide.s32"] = ternary<int64_t, int32_t, [](auto x, auto y, auto z) { return int64_t(x) * y + z; }>;
    t["ex2.approx.ftz.f32"] = unary<float, float, XF_FUNCTION(flushed(std::exp2(flushed(x))))>;
    t["lg2.approx.ftz.f32"] = unary<float, float, XF_FUNCTION(std::log2(flushed(x)))>;
    t["rcp.approx.ftz.f32"] = unary<float, float, XF_FUNCTION(flushed(1 / flushed(x)))>;
    t["popc.b32"] = unary<uint32_t, uint32_t, XF_FUNCTION(uint32_t(std::popcount(x)))>;
    // Registers of 16 bits are the low half of a number.
    for (std::string wide : {"u32", "u64"})
      t["cvt.u16." + wide] = wide == "u32" ? Handler(unary<uint32_t, uint32_t, XF_FUNCTION(x & 0xffff)>)
                                           : unary<uint32_t, uint64_t, XF_FUNCTION(uint32_t(x & 0xffff))>;
    t["cvt.f32.bf16"] = unary<float, uint32_t, XF_FUNCTION(std::bit_cast<float>(x << 16))>;
    t["cvt.u32.u16"] = t["mov.b16"] = t["mov.u16"] = t["mov.b32"];
    t["cvt.u64.u16"] = unary<uint64_t, uint32_t, XF_FUNCTION(uint64_t(x & 0xffff))>;
    t["and.b16"] = t["and.b32"];
    t["selp.b16"] = select<uint32_t>;
    t["or.b16"] = t["or.b32"];
    t["mul.wide.u16"] = t["mul.lo.u32"];
    t["shr.u16"] = t["shr.u32"];
    t["bfe.s32"] = extractSigned;
    t["bfe.u32"] = extract<uint32_t>;
    t["bfe.u64"] = extract<uint64_t>;
    t["cvt.u16.u64"] = unary<uint32_t, uint64_t, XF_FUNCTION(uint32_t(x & 0xffff))>;
    t["add.s16"] = binary<uint32_t, uint32_t, XF_FUNCTION2(uint32_t(x + y & 0xffff))>;
    addComparisons<Bfloat, true>(t, "bf16");
    t["min.relu.s32"] = binary<int32_t, int32_t, XF_FUNCTION2(std::max(std::min(x, y), 0))>;
    t["mul.hi.u32"] = binary<uint32_t, uint32_t, XF_FUNCTION2(uint32_t(uint64_t(x) * y >> 32))>;
    t["mul.hi.u64"] = binary<uint64_t, uint64_t, XF_FUNCTION2(uint64_t((unsigned __int128)x * y >> 64))>;
    t["mul.hi.s64"] = binary<int64_t, int64_t, XF_FUNCTION2(int64_t((__int128)x * y >> 64))>;
    for (std::string type : {"f32", "b32", "u32", "s32"})
      t["selp." + type] = select<uint32_t>;
    for (std::string type : {"f64", "b64", "u64", "s64"})
      t["selp." + type] = select<uint64_t>;
    t["cvt.u64.u32"] = unary<uint64_t, uint32_t, XF_FUNCTION(uint64_t(x))>;
    t["cvt.s64.s32"] = unary<int64_t, int32_t, XF_FUNCTION(int64_t(x))>;
    t["cvt.s64.s32 of 64 bits"] = unary<int64_t, int64_t, XF_FUNCTION(int64_t(int32_t(x)))>;
    t["cvt.u32.u64"] = unary<uint32_t, uint64_t, XF_FUNCTION(uint32_t(x))>;
    t["cvt.rn.f32.s32"] = unary<float, int32_t, XF_FUNCTION(float(x))>;
    t["cvt.rn.f32.u32"] = unary<float, uint32_t, XF_FUNCTION(float(x))>;
    t["cvt.rn.f32.s64"] = unary<float, int64_t, XF_FUNCTION(float(x))>;
    t["cvt.rn.f32.u64"] = unary<float, uint64_t, XF_FUNCTION(float(x))>;
    t["cvt.rn.f64.s64"] = unary<double, int64_t, XF_FUNCTION(double(x))>;
    t["cvt.rn.f64.u64"] = unary<double, uint64_t, XF_FUNCTION(double(x))>;
    t["cvt.f64.f32"] = unary<double, float, XF_FUNCTION(double(x))>;
    t["cvt.rn.f32.f64"] = unary<float, double, XF_FUNCTION(float(x))>;
    t["cvt.rzi.s32.f32"] = unary<int32_t, float, XF_FUNCTION(saturate<int32_t>(std::trunc(x)))>;
    return t;
  }();
  return table;
}

class Reader {
public:
  Reader(std::string_view text, Memory &memory) : text(text), memory(memory) {}

  Kernel read() {
    bool inBody = false, inParameters = false;
    std::string instruction;
    for (int number = 1; !text.empty(); ++number) {
      size_t end = text.find('\n');
      std::string line(text.substr(0, end));
      text = end == text.npos ? "" : text.substr(end + 1);
      if (size_t comment = line.find("//"); comment != line.npos)
        line.resize(comment);
      line.erase(0, std::min(line.find_first_not_of(" \t"), line.size()));
      while (!line.empty() && std::isspace(static_cast<unsigned char>(line.back())))
        line.pop_back();
      current = number;
      if (line.empty())
        continue;
      if (line.starts_with(".visible .entry")) {
        if (!kernel.name.empty())
          fail("expected one entry in a module");
        kernel.name = line.substr(16, line.find('(') - 16);
        inParameters = line.back() != ')';
      } else if (inParameters) {
        if (line == ")")
          inParameters = false;
        else if (line.starts_with(".param .u64"))
          kernel.parameters.push_back({line.substr(line.rfind(' ') + 1, line.find(',') - line.rfind(' ') - 1), false});
        else if (size_t size = line.find("[128]"); line.starts_with(".param .align 64 .b8 ") && size != line.npos) {
          kernel.parameters.push_back({line.substr(21, size - 21), true});
          symbols[kernel.parameters.back().name] = kernel.parameters.size(); // where tensor maps are looked for
        } else
          fail("unknown parameter '" + line + "'");
      } else if (line.starts_with(".reqntid")) {
        kernel.threads = std::stoul(line.substr(9));
      } else if (line == "{" || line == "}") {
        depth += line == "{" ? 1 : -1;
        inBody = depth > 0;
        scope += line == "{";
      } else if (line.starts_with(".shared") || line.starts_with(".global") || line.starts_with(".extern .shared")) {
        addData(line);
      } else if (line.starts_with(".reg .pred") && depth > 1) { // of inline PTX
        std::string name =
            line.substr(line.find_first_not_of(" \t", 10), line.find(';') - line.find_first_not_of(" \t", 10));
        locals[name] = "%" + name + "." + std::to_string(scope);
      } else if (line.starts_with(".minnctapersm") || line.starts_with(".reg") || line.starts_with(".version") ||
                 line.starts_with(".target") || line.starts_with(".address_size") || line.starts_with(".pragma")) {
      } else if (line.back() == ':') {
        labels[scoped(line.substr(0, line.size() - 1))] = kernel.code.size();
      } else if (inBody) { // of one or more lines
        instruction += (instruction.empty() ? "" : " ") + line;
        if (instruction.back() != ';')
          continue;
        instruction.pop_back();
        addInstruction(std::exchange(instruction, ""));
      } else {
        fail("unknown line '" + line + "'");
      }
    }
    if (kernel.name.empty())
      fail("expected an entry");
    if (!dynamicShared.empty() && kernel.sharedBytes % 1024)
      fail("expected dynamic shared memory alone, or after a multiple of 1024 bytes");
    for (auto &[operation, label] : branches) {
      if (!labels.count(label))
        fail("unknown label '" + label + "'");
      kernel.code[operation].offset = labels[label];
    }
    findMeetings(kernel.code);
    // Lines of constants come first; the others follow them.
    kernel.constants.resize(constants.size() * lineBytes);
    for (size_t i = 0; i < constants.size(); ++i)
      for (int lane = 0; lane < width; ++lane)
        if (constants[i].second)
          reinterpret_cast<uint64_t *>(kernel.constants.data() + i * lineBytes)[lane] = constants[i].first;
        else
          reinterpret_cast<uint32_t *>(kernel.constants.data() + i * lineBytes)[lane] = uint32_t(constants[i].first);
    kernel.lines = constants.size() + registers.size();
    auto place = [&](int &line) {
      if (line >= 0)
        line = line % 2 ? int(constants.size()) + line / 2 : line / 2;
    };
    for (Operation &op : kernel.code) {
      place(op.guard);
      std::ranges::for_each(op.to, place);
      std::ranges::for_each(op.from, place);
      for (Operation::Operand &operand : op.operands)
        place(operand.line);
    }
    return std::move(kernel);
  }

private:
  [[noreturn]] void fail(const std::string &what) { throw Fault("PTX, line " + std::to_string(current) + ": " + what); }

  // ".shared .align 16 .b8 NAME[BYTES];", ".global .align 64 .b8 NAME[BYTES] = {...};", and of one number, which is
  // zero,
  // ".global .align 16 .u32 NAME;"
  void addData(const std::string &line) {
    size_t type = line.find(".b8 "), open = line.find('['), close = line.find(']'), number = line.find("32 ");
    bool isNumber = number != line.npos && open == line.npos && line.find('=') == line.npos;
    if (!isNumber && (type == line.npos || open == line.npos))
      fail("unknown data '" + line.substr(0, 80) + "'");
    size_t begin = isNumber ? number + 3 : type + 4;
    std::string name = line.substr(begin, std::min(open, line.find(';')) - begin);
    if (line.starts_with(".extern")) { // what the launch adds, after all others, be they declared later
      dynamicShared = name;
      symbols[name] = kernel.sharedBytes;
      return;
    }
    uint64_t bytes = isNumber ? 4 : std::stoull(line.substr(open + 1));
    if (line.starts_with(".shared")) {
      kernel.sharedBytes = (kernel.sharedBytes + 15) / 16 * 16;
      symbols[name] = kernel.sharedBytes;
      kernel.sharedBytes += bytes;
      if (!dynamicShared.empty())
        symbols[dynamicShared] = kernel.sharedBytes;
      return;
    }
    uint64_t address = symbols[name] = memory.allocate(bytes);
    Region &region = memory.find(address, bytes, "data");
    region.setWritten(address, bytes);
    const char *next = line.c_str() + close + 1;
    uint64_t i = 0;
    for (; *next && *next != '{'; ++next)
      ;
    while (*next && i < bytes && *next != '}') {
      char *after;
      region.bytes[i++] = uint8_t(std::strtoul(next + 1, &after, 0));
      next = after;
    }
  }

  /// Lines are numbered twice: even for constants, odd for registers, until all are known.
  int constant(uint64_t value, bool wide) {
    auto [it, isNew] = constantNumbers.try_emplace({value, wide}, constants.size());
    if (isNew)
      constants.push_back({value, wide});
    return it->second * 2;
  }
  int line(const std::string &operand, bool wide) {
    if (operand.starts_with("%"))
      return registers.try_emplace(operand, registers.size()).first->second * 2 + 1;
    if (operand.starts_with("0f"))
      return constant(std::stoul(operand.substr(2), nullptr, 16), false);
    if (operand.starts_with("0d"))
      return constant(std::stoull(operand.substr(2), nullptr, 16), true);
    if (auto symbol = symbols.find(operand); symbol != symbols.end())
      return constant(symbol->second, wide);
    if (auto local = locals.find(operand); local != locals.end())
      return line(local->second, wide);
    if (operand.empty() || (!std::isdigit(static_cast<unsigned char>(operand[0])) && operand[0] != '-'))
      fail("unknown operand '" + operand + "'");
    return constant(operand[0] == '-' ? uint64_t(std::stoll(operand, nullptr, 0)) : std::stoull(operand, nullptr, 0),
                    wide);
  }
  static bool isWide(const std::string &name) { return name.starts_with("%rd") || name.starts_with("%fd"); }

  void addInstruction(std::string line) {
    Operation op;
    op.line = current;
    if (line[0] == '@') {
      op.guardIsNot = line[1] == '!';
      size_t space = line.find(' ');
      op.guard = this->line(line.substr(op.guardIsNot ? 2 : 1, space - (op.guardIsNot ? 2 : 1)), false);
      line.erase(0, line.find_first_not_of(" \t", space));
    }
    size_t space = line.find_first_of(" \t");
    std::string name = line.substr(0, space);
    std::vector<std::string> operands;
    std::string word;
    for (char c : space == line.npos ? "" : line.substr(space)) {
      if (c == ',' || c == '|') {
        operands.push_back(std::move(word));
        word.clear();
      } else if (!std::strchr(" \t{}", c)) {
        word += c;
      }
    }
    if (!word.empty())
      operands.push_back(word);

    if (name == "bra" || name == "bra.uni") {
      op.handler = branch;
      branches.push_back({kernel.code.size(), scoped(operands.at(0))});
    } else if (name == "ret") {
      op.handler = finish;
    } else if (name == "bar.sync" || name == "barrier.sync" || name == "bar.arrive") {
      op.handler = barrier;
      op.isSigned = name == "bar.arrive";
      if (operands.empty() || operands.size() > 2)
        fail("unknown barrier '" + line + "'");
      for (size_t i = 0; i < operands.size(); ++i)
        op.from[i] = this->line(operands[i], false);
    } else if (name == "bar.warp.sync") {
      op.handler = syncWarp;
      if (operands != std::vector<std::string>{"-1"})
        fail("unknown barrier '" + line + "'");
    } else if (name == "shfl.sync.idx.b32" || name == "shfl.sync.bfly.b32") {
      op.handler = shuffle;
      op.isSigned = name == "shfl.sync.idx.b32";
      if (operands.size() != 5 || operands[3] != "31" || operands[4] != "-1")
        fail("unknown shuffle '" + line + "'");
      op.to[0] = this->line(operands[0], false);
      op.from[0] = this->line(operands[1], false);
      op.from[1] = this->line(operands[2], false);
    } else if (name == "vote.sync.ballot.b32") {
      op.handler = ballot;
      if (operands.size() != 3 || operands[2] != "-1")
        fail("unknown vote '" + line + "'");
      op.to[0] = this->line(operands[0], false);
      op.from[0] = this->line(operands[1], false);
    } else if (name == "atom.acq_rel.gpu.inc.u32" && operands.size() == 3) {
      op.handler = countRound;
      op.to[0] = this->line(operands[0], false);
      op.from[0] = this->line(operands[1].substr(1, operands[1].size() - 2), true);
      op.from[1] = this->line(operands[2], false);
    } else if ((name == "mov.b32" && operands.size() == 3) || (name == "mov.b64" && operands.size() == 5)) {
      bool isSplit = line.find('{') < line.find(','), wide = name == "mov.b64";
      op.handler = isSplit ? wide ? splitHalves<uint64_t> : splitHalves<uint32_t>
                   : wide  ? joinHalves<uint64_t>
                           : joinHalves<uint32_t>;
      int parts = wide ? 4 : 2;
      for (int part = 0; part < parts; ++part) {
        const std::string &operand = operands[part + (isSplit ? 0 : 1)];
        (isSplit ? op.to : op.from)[part] = operand == "_" ? -1 : this->line(operand, false);
      }
      (isSplit ? op.from : op.to)[0] = this->line(operands[isSplit ? parts : 0], wide);
    } else if (name == "mov.b64" && operands.size() == 3) {
      op.handler = split;
      for (int half : {0, 1})
        op.to[half] = operands[half] == "_" ? -1 : this->line(operands[half], false);
      op.from[0] = this->line(operands[2], true);
    } else if (name.starts_with("ld.") || name.starts_with("st.")) {
      addAccess(op, name, operands);
    } else if (name == "mov.u32" && operands.size() == 2 && !operands[1].empty() &&
               operands[1].find('.') != line.npos) {
      op.handler = operands[1] == "%tid.x"      ? readSpecial<0>
                   : operands[1] == "%ctaid.x"  ? readSpecial<1>
                   : operands[1] == "%ntid.x"   ? readSpecial<2>
                   : operands[1] == "%nctaid.x" ? readSpecial<3>
                                                : nullptr;
      op.to[0] = this->line(operands[0], false);
      if (!op.handler)
        fail("unknown register '" + operands[1] + "'");
    } else if (Handler handler = findHopperHandler(name)) {
      op.handler = handler;
      op.count = name.starts_with("wgmma.mma_async.sync.aligned.m64n") ? 1 : 0;
      addHopperOperands(op, operands);
    } else if (Handler handler = findMatrixHandler(name, op)) {
      op.handler = handler;
      addMatrixOperands(op, operands);
    } else {
      std::string type = name.substr(name.rfind('.') + 1);
      bool wide = type.ends_with("64");
      if (!wide && name.starts_with("cvt") && isWide(operands.at(1))) // of a part of a register
        wide = true, name += " of 64 bits";
      auto it = handlers().find(name);
      if (it == handlers().end())
        fail("unknown instruction '" + name + "'");
      op.handler = it->second;
      op.isSigned = name.starts_with("shl"); // the way of a shift
      op.to[0] = this->line(operands.at(0), wide);
      for (size_t i = 1; i < operands.size(); ++i) {
        bool isAmount =
            (i == 2 && (name.starts_with("shl") || name.starts_with("shr"))) || (i > 1 && name.starts_with("bfe"));
        bool isSum = i == 3 && name.starts_with("mad.wide");
        op.from[i - 1] = this->line(operands[i], isAmount ? false : isSum || wide);
      }
    }
    kernel.code.push_back(op);
  }

  /// All in their order; an address is a register, or a symbol, and an offset.
  void addHopperOperands(Operation &op, const std::vector<std::string> &operands) {
    for (std::string operand : operands) {
      std::erase_if(operand, [](char c) { return c == '[' || c == ']'; });
      size_t plus = operand.find('+');
      int64_t offset = plus == operand.npos ? 0 : std::stoll(operand.substr(plus + 1));
      operand.resize(std::min(plus, operand.size()));
      bool wide = isWide(operand) || symbols.count(operand);
      op.operands.push_back({operand == "_" ? -1 : line(operand, wide), wide, offset});
    }
  }

  /// A label of inline PTX, which every piece of it may have again.
  std::string scoped(const std::string &label) const { return depth > 1 ? label + "." + std::to_string(scope) : label; }

  /// Registers of 32 bits and addresses in their order: results first, of which `op.count` says how many.
  void addMatrixOperands(Operation &op, const std::vector<std::string> &operands) {
    if (operands.size() < op.count || operands.size() > op.count + std::size(op.from))
      fail("unknown operands of an instruction for matrices");
    for (size_t i = 0; i < operands.size(); ++i) {
      int &place = i < op.count ? op.to[i] : op.from[i - op.count];
      if (operands[i][0] != '[') {
        place = operands[i] == "_" ? -1 : line(operands[i], false); // a result that is not wanted
        continue;
      }
      std::string address = operands[i].substr(1, operands[i].size() - 2);
      size_t plus = address.find('+');
      int64_t offset = plus == address.npos ? 0 : std::stoll(address.substr(plus + 1));
      (i == op.count ? op.offset : op.sourceOffset) = offset;
      place = line(address.substr(0, plus), true);
    }
  }

  void addAccess(Operation &op, const std::string &name, std::vector<std::string> operands) {
    bool isLoad = name[0] == 'l';
    std::string type = name.substr(name.rfind('.') + 1);
    std::string rest = name.substr(3, name.rfind('.') - 3); // space, and what else
    op.bytes = type.ends_with("64") ? 8 : type.ends_with("32") ? 4 : type.ends_with("16") ? 2 : 0;
    op.isSigned = type[0] == 's';
    for (auto [text, count] : {std::pair(".v2", 2), {".v4", 4}})
      if (rest.ends_with(text)) {
        op.count = count;
        rest.resize(rest.size() - 3);
      }
    if (rest.ends_with(".nc") && isLoad)
      rest.resize(rest.size() - 3);
    op.shared = rest == "shared";
    if (op.bytes == 0 || operands.size() != size_t(op.count) + 1 ||
        (rest != "global" && rest != "shared" && !(rest == "param" && isLoad)))
      fail("unknown instruction '" + name + "'");
    if (!isLoad)
      std::rotate(operands.begin(), operands.begin() + 1, operands.end());
    std::string address = operands.back();
    address = address.substr(1, address.size() - 2);
    for (int i = 0; i < op.count; ++i)
      op.to[i] = line(operands[i], op.bytes == 8);
    op.isWide = operands[0][0] == '%' ? isWide(operands[0]) : op.bytes == 8;
    op.handler = isLoad ? load : store;
    if (rest == "param") {
      auto it = std::ranges::find(kernel.parameters, address, &Kernel::Parameter::name);
      if (it == kernel.parameters.end() || it->isMap || op.bytes != 8)
        fail("unknown parameter '" + address + "'");
      op.handler = loadParameter;
      op.offset = it - kernel.parameters.begin();
      return;
    }
    size_t plus = address.find('+');
    if (plus != address.npos)
      op.offset = std::stoll(address.substr(plus + 1));
    op.from[0] = line(address.substr(0, plus), true);
  }

  std::string_view text;
  Memory &memory;
  Kernel kernel;
  int current = 0, depth = 0, scope = 0; // of the line, its braces, and how many were opened before
  std::map<std::string, std::string> locals;
  std::map<std::string, uint64_t> symbols;
  std::string dynamicShared; // its symbol
  std::map<std::string, size_t> labels;
  std::map<std::string, int> registers;
  std::map<std::pair<uint64_t, bool>, int> constantNumbers;
  std::vector<std::pair<uint64_t, bool>> constants;
  std::vector<std::pair<size_t, std::string>> branches;
};
} // namespace

Kernel parse(std::string_view ptx, Memory &memory) { return Reader(ptx, memory).read(); }
} // namespace xf::gpu
