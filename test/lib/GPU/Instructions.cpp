//===- Instructions.cpp - what instructions do ----------------------------===//
// The handlers of what any GPU has, but for products (Mma.cpp) and Hopper's own (Hopper.cpp), by their names in PTX.
//===--------------------------------------------------------------------------------===//
#include "Warp.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

namespace xf::gpu {
void branch(Warp &, const Operation &, uint32_t) {}
void finish(Warp &, const Operation &, uint32_t) {}

namespace {
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

template <typename T> void loadParameter(Warp &w, const Operation &op, uint32_t mask) {
  T value = T(w.block.parameters[op.offset]);
  forLanes(mask, [&](int i) { w.line<T>(op.to[0])[i] = value; });
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
/// Of each thread those that have the same number.
void match(Warp &w, const Operation &op, uint32_t mask) {
  if (mask != all)
    w.fault(op, "a match that only some threads of the warp take part in");
  uint32_t values[width];
  std::memcpy(values, w.line<uint32_t>(op.from[0]), sizeof(values));
  forLanes(mask, [&](int i) {
    uint32_t bits = 0;
    for (int other = 0; other < width; ++other)
      bits |= uint32_t(values[other] == values[i]) << other;
    w.line<uint32_t>(op.to[0])[i] = bits;
  });
}
/// Takes what others have given at an address, for what the thread does from here on.
void acquire(Warp &w, uint64_t address, int lane) {
  w.unfenced |= 1u << lane;
  Block::Releases known = w.block.acquired[w.times.acquired];
  for (auto &[block, release] : w.block.released[address])
    known[block].times.join(release.times), known[block].thread = release.thread;
  w.times.acquired = uint32_t(w.block.acquired.size());
  w.block.acquired.push_back(std::move(known));
}
/// Gives what the thread knows to be done, of other blocks too, to those that acquire there: with what others have
/// given there where it only changes (`joins`) the number that is there.
void release(Warp &w, uint64_t address, int lane, bool joins) {
  Block::Releases &released = w.block.released[address];
  if (!joins)
    released.clear();
  for (auto &[block, known] : w.block.acquired[w.times.acquired])
    if (block != w.block.number)
      released[block].times.join(known.times), released[block].thread = known.thread;
  Release &own = released[w.block.number];
  own.thread = w.number * width + lane;
  w.giveTimes(own.times);
}
/// A number that several blocks look at, and how; each thread by itself.
template <typename F> void onCounters(Warp &w, const Operation &op, uint32_t mask, const char *what, F f) {
  forLanes(mask, [&](int i) {
    uint64_t address = w.line<uint64_t>(op.from[0])[i];
    if (address % 4)
      w.fault(op, "a number at " + std::to_string(address) + ", which is misaligned", i);
    f(i, address, w.block.memory.find(address, 4, what).at(address));
  });
}
/// Counts round; gives and takes.
void countRound(Warp &w, const Operation &op, uint32_t mask) {
  onCounters(w, op, mask, "atom", [&](int i, uint64_t address, uint8_t *place) {
    uint32_t number, last = w.line<uint32_t>(op.from[1])[i];
    std::memcpy(&number, place, 4);
    uint32_t next = number >= last ? 0 : number + 1;
    std::memcpy(place, &next, 4);
    w.line<uint32_t>(op.to[0])[i] = number;
    acquire(w, address, i);
    release(w, address, i, /*joins=*/true);
  });
}
void loadAcquire(Warp &w, const Operation &op, uint32_t mask) {
  bool pauses = false;
  onCounters(w, op, mask, "ld.acquire", [&](int i, uint64_t address, uint8_t *place) {
    uint32_t number;
    std::memcpy(&number, place, 4);
    w.line<uint32_t>(op.to[0])[i] = number;
    acquire(w, address, i);
    // The second time it sees the same it is waiting: blocks run one after another, so that what comes next can only be
    // what others of its own block do.
    auto [seen, isNew] = w.seen.try_emplace({&op, i}, address, number);
    pauses |= !isNew && seen->second == std::pair(address, number);
    seen->second = {address, number};
  });
  if (pauses)
    w.wait(op, Warp::Paused);
}
template <bool adds> void storeRelease(Warp &w, const Operation &op, uint32_t mask) {
  onCounters(w, op, mask, adds ? "red.release" : "st.release", [&](int i, uint64_t address, uint8_t *place) {
    uint32_t number = 0, operand = w.line<uint32_t>(op.from[1])[i];
    if (adds)
      std::memcpy(&number, place, 4);
    number += operand;
    std::memcpy(place, &number, 4);
    if (w.unreleased >> i & 1)
      w.fault(op, "a release of what was copied to memory without a fence", i);
    release(w, address, i, /*joins=*/adds);
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
/// mov.b64 x, {low, high}
void join(Warp &w, const Operation &op, uint32_t mask) {
  forLanes(mask, [&](int i) {
    uint64_t high = w.line<uint32_t>(op.from[1])[i];
    w.line<uint64_t>(op.to[0])[i] = high << 32 | w.line<uint32_t>(op.from[0])[i];
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
  // Who comes without having been there the last time might as well have come then.
  for (uint32_t warp = 0; warp < barrier.before.known.size(); ++warp)
    if (!w.times.have(warp, barrier.before.known[warp]))
      w.fault(op,
              "barrier " + std::to_string(number) + ", where warp " + std::to_string(warp) + " may still meet others");
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
  Times met = std::move(barrier.times);
  barrier = {};
  barrier.before = std::move(met);
}

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

/// A result that is off by as much as the manual allows, this way or that: `error` relative to it.
float inexact(float result, float x, float error) {
  bool isMore = std::popcount(std::bit_cast<uint32_t>(x)) % 2;
  return result * (isMore ? 1 + error : 1 - error);
}
float exp2(float x) { return x == 0 ? 1 : flushed(inexact(std::exp2(flushed(x)), x, 0x1p-22f)); }
float log2(float x) {
  float exact = std::log2(flushed(x));
  return x > 0.5f && x < 2 ? exact + inexact(0x1p-23f, x, 1) : inexact(exact, x, 0x1p-22f); // 0 or all of it
}

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
  // Without .rn ptxas might make one fma of two: a result's bits would be its choice.
  table["add.rn." + type] = binary<T, T, XF_FUNCTION2(x + y)>;
  table["sub.rn." + type] = binary<T, T, XF_FUNCTION2(x - y)>;
  table["mul.rn." + type] = binary<T, T, XF_FUNCTION2(x * y)>;
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
  if constexpr (std::is_signed_v<T>)
    table["abs." + type] = unary<T, T, XF_FUNCTION(x < 0 ? -x : x)>;
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

using Pair = std::array<float, 2>;
template <auto function, typename... Pairs> uint64_t both(Pairs... pairs) {
  auto of = [&](int half) { return function(std::bit_cast<Pair>(pairs)[half]...); };
  return std::bit_cast<uint64_t>(Pair{of(0), of(1)});
}
float widened(uint32_t bits) { return std::bit_cast<float>(bits << 16); }
/// Blackwell's: of two numbers in a register of 64 bits, and of bf16 that is widened first.
void addBlackwells(std::map<std::string, Handler> &table) {
  table["add.rn.f32x2"] = binary<uint64_t, uint64_t, XF_FUNCTION2(both<XF_FUNCTION2(x + y)>(x, y))>;
  table["sub.rn.f32x2"] = binary<uint64_t, uint64_t, XF_FUNCTION2(both<XF_FUNCTION2(x - y)>(x, y))>;
  table["mul.rn.f32x2"] = binary<uint64_t, uint64_t, XF_FUNCTION2(both<XF_FUNCTION2(x * y)>(x, y))>;
  table["fma.rn.f32x2"] = ternary<uint64_t, uint64_t, [](auto x, auto y, auto z) {
    return both<[](float a, float b, float c) { return std::fma(a, b, c); }>(x, y, z);
  }>;
  table["add.rn.f32.bf16"] = binary<float, uint32_t, XF_FUNCTION2(widened(x) + std::bit_cast<float>(y))>;
  table["sub.rn.f32.bf16"] = binary<float, uint32_t, XF_FUNCTION2(widened(x) - std::bit_cast<float>(y))>;
  table["fma.rn.f32.bf16"] = ternary<float, uint32_t, [](auto x, auto y, auto z) {
    return std::fma(widened(x), widened(y), std::bit_cast<float>(z));
  }>;
}

std::map<std::string, Handler> makeTable() {
  std::map<std::string, Handler> t;
  addFloats<float>(t, "f32");
  addFloats<double>(t, "f64");
  addBlackwells(t);
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
  t["ex2.approx.ftz.f32"] = unary<float, float, exp2>;
  t["lg2.approx.ftz.f32"] = unary<float, float, log2>;
  t["rcp.approx.ftz.f32"] = unary<float, float, XF_FUNCTION(flushed(inexact(1 / flushed(x), x, 0x1p-23f)))>;
  t["rcp.approx.f32"] = unary<float, float, XF_FUNCTION(inexact(1 / x, x, 0x1p-23f))>;
  // By numbers from 2^126 on zero, as their inverse is.
  t["div.approx.f32"] =
      binary<float, float,
             XF_FUNCTION2(std::fabs(y) > 0x1p126f && std::isfinite(y) ? x * 0 : inexact(x / y, y, 0x1p-22f))>;
  t["popc.b32"] = unary<uint32_t, uint32_t, XF_FUNCTION(uint32_t(std::popcount(x)))>;
  // Registers of 16 bits are the low half of a number.
  for (std::string wide : {"u32", "u64"})
    t["cvt.u16." + wide] = wide == "u32" ? Handler(unary<uint32_t, uint32_t, XF_FUNCTION(x & 0xffff)>)
                                         : unary<uint32_t, uint64_t, XF_FUNCTION(uint32_t(x & 0xffff))>;
  t["cvt.f32.bf16"] = unary<float, uint32_t, XF_FUNCTION(widened(x))>;
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
  for (std::string type : {"s16", "u16"}) {
    t["add." + type] = binary<uint32_t, uint32_t, XF_FUNCTION2(uint32_t(x + y & 0xffff))>;
    t["sub." + type] = binary<uint32_t, uint32_t, XF_FUNCTION2(uint32_t(x - y & 0xffff))>;
    t["mul.lo." + type] = binary<uint32_t, uint32_t, XF_FUNCTION2(uint32_t(x * y & 0xffff))>;
  }
  t["div.u16"] = t["div.u32"];
  t["rem.u16"] = t["rem.u32"];
  t["min.u16"] = t["min.u32"];
  t["max.u16"] = t["max.u32"];
  t["min.s16"] = binary<uint32_t, uint32_t, XF_FUNCTION2(uint32_t(int16_t(x) < int16_t(y) ? x : y))>;
  t["max.s16"] = binary<uint32_t, uint32_t, XF_FUNCTION2(uint32_t(int16_t(x) > int16_t(y) ? x : y))>;
  t["shl.b16"] = binary<uint32_t, uint32_t, XF_FUNCTION2(y < 16 ? uint32_t(x << y & 0xffff) : 0u)>;
  t["xor.b16"] = t["xor.b32"];
  for (std::string comparison : {"eq", "ne", "lt", "le", "gt", "ge"}) // of numbers without a sign
    t["setp." + comparison + ".u16"] = t["setp." + comparison + ".u32"];
  addComparisons<Bfloat, true>(t, "bf16");
  t["max.relu.s32"] = binary<int32_t, int32_t, XF_FUNCTION2(std::max(std::max(x, y), 0))>;
  t["min.relu.s32"] = binary<int32_t, int32_t, XF_FUNCTION2(std::max(std::min(x, y), 0))>;
  t["mul.hi.u16"] = binary<uint32_t, uint32_t, XF_FUNCTION2(uint32_t((x & 0xffff) * (y & 0xffff) >> 16))>;
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
  // What is no function of a thread's numbers alone.
  t["bra"] = t["bra.uni"] = branch;
  t["ret"] = finish;
  t["bar.sync"] = t["barrier.sync"] = t["bar.arrive"] = barrier;
  t["bar.warp.sync"] = syncWarp;
  t["shfl.sync.idx.b32"] = t["shfl.sync.bfly.b32"] = shuffle;
  t["vote.sync.ballot.b32"] = ballot;
  t["match.any.sync.b32"] = match;
  t["atom.acq_rel.gpu.inc.u32"] = countRound;
  t["ld.acquire.gpu.global.u32"] = loadAcquire;
  t["st.release.gpu.global.u32"] = storeRelease<false>;
  t["red.release.gpu.global.add.u32"] = storeRelease<true>;
  t["ld"] = load;
  t["st"] = store;
  t["ld.param.b64"] = loadParameter<uint64_t>;
  t["ld.param.b32"] = loadParameter<uint32_t>;
  t["mov.u32 of %tid.x"] = readSpecial<0>;
  t["mov.u32 of %ctaid.x"] = readSpecial<1>;
  t["mov.u32 of %ntid.x"] = readSpecial<2>;
  t["mov.u32 of %nctaid.x"] = readSpecial<3>;
  t["mov.b64 to words"] = split;
  t["mov.b64 of words"] = join;
  t["mov.b32 to halves"] = splitHalves<uint32_t>;
  t["mov.b64 to halves"] = splitHalves<uint64_t>;
  t["mov.b32 of halves"] = joinHalves<uint32_t>;
  t["mov.b64 of halves"] = joinHalves<uint64_t>;
  return t;
}
} // namespace

Handler findHandler(const std::string &name) {
  static const std::map<std::string, Handler> table = makeTable();
  auto it = table.find(name);
  return it == table.end() ? nullptr : it->second;
}
} // namespace xf::gpu
