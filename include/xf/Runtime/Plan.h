//===- Plan.h - Offsets in one arena for slots with lifetimes ----------------------===//
// Every temporary of a function call is an interval of dispatches and a size; the planner gives
// each an offset so that those alive at the same time do not overlap. Pure and free of the rest of
// the runtime: the compiler links it too, to answer `--fit` and to report workspace bytes.
//===--------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_PLAN_H
#define XF_RUNTIME_PLAN_H

#include <cstdint>
#include <span>
#include <vector>

namespace xf::runtime {

inline constexpr int64_t arenaAlignment = 64;

/// A temporary: its bytes, and the first and last dispatch that touch it (inclusive).
struct Interval {
  int64_t bytes;
  int64_t first;
  int64_t last;
};

struct ArenaPlan {
  std::vector<int64_t> offsets; // one an interval, 64-byte aligned
  int64_t totalBytes = 0;
};

/// Places all intervals: the best of three greedy orders (by size, by size times lifetime, by first use), each giving
/// every interval the lowest offset free during its lifetime. Never more than the sum of the sizes.
ArenaPlan planArena(std::span<const Interval> intervals);

/// The most bytes alive at any one dispatch: no plan can need less.
int64_t arenaLowerBound(std::span<const Interval> intervals);

} // namespace xf::runtime

#endif // XF_RUNTIME_PLAN_H
