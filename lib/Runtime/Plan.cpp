//===- Plan.cpp - Offsets in one arena for slots with lifetimes --------------------===//
// Greedy placement in three orders; the first that meets the lower bound ends the search, which is
// what happens for almost every real program.
//===--------------------------------------------------------------------------------===//
#include "xf/Runtime/Plan.h"

#include <algorithm>
#include <numeric>

using namespace xf::runtime;

static int64_t alignedBytes(const Interval &interval) {
  int64_t bytes = std::max<int64_t>(interval.bytes, 0);
  return (bytes + arenaAlignment - 1) / arenaAlignment * arenaAlignment;
}

int64_t xf::runtime::arenaLowerBound(std::span<const Interval> intervals) {
  int64_t dispatches = 0;
  for (const Interval &interval : intervals)
    dispatches = std::max(dispatches, interval.last + 1);
  std::vector<int64_t> change(dispatches + 1, 0);
  for (const Interval &interval : intervals) {
    change[interval.first] += alignedBytes(interval);
    change[interval.last + 1] -= alignedBytes(interval);
  }
  int64_t alive = 0, most = 0;
  for (int64_t delta : change)
    most = std::max(most, alive += delta);
  return most;
}

namespace {
struct Placed {
  int64_t begin, end; // bytes in the arena
  int64_t first, last;
};
} // namespace

/// First fit: walks what is already placed from the bottom of the arena and takes the first gap that is wide enough.
static ArenaPlan placeInOrder(std::span<const Interval> intervals, const std::vector<size_t> &order) {
  ArenaPlan plan;
  plan.offsets.assign(intervals.size(), 0);
  std::vector<Placed> placed; // by begin
  placed.reserve(intervals.size());
  for (size_t index : order) {
    const Interval &interval = intervals[index];
    int64_t bytes = alignedBytes(interval);
    if (bytes == 0)
      continue;
    int64_t offset = 0;
    auto it = placed.begin();
    for (; it != placed.end(); ++it) {
      if (it->last < interval.first || interval.last < it->first)
        continue;
      if (it->begin >= offset + bytes)
        break;
      offset = std::max(offset, it->end);
    }
    plan.offsets[index] = offset;
    plan.totalBytes = std::max(plan.totalBytes, offset + bytes);
    auto position =
        std::upper_bound(placed.begin(), it, offset, [](int64_t o, const Placed &p) { return o < p.begin; });
    placed.insert(position, {offset, offset + bytes, interval.first, interval.last});
  }
  return plan;
}

ArenaPlan xf::runtime::planArena(std::span<const Interval> intervals) {
  auto lifetime = [&](size_t i) { return intervals[i].last - intervals[i].first + 1; };
  std::vector<size_t> order(intervals.size());
  int64_t bound = arenaLowerBound(intervals);
  ArenaPlan best;
  // Keys to sort by, largest first; equal ones in the order of the list.
  auto tryOrder = [&](auto key) {
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(),
              [&](size_t a, size_t b) { return std::pair(key(b), a) < std::pair(key(a), b); });
    ArenaPlan plan = placeInOrder(intervals, order);
    if (best.offsets.empty() || plan.totalBytes < best.totalBytes)
      best = std::move(plan);
    return best.totalBytes == bound;
  };
  if (tryOrder([&](size_t i) { return intervals[i].bytes; }) ||
      tryOrder([&](size_t i) { return intervals[i].bytes * lifetime(i); }))
    return best;
  tryOrder([&](size_t i) { return -intervals[i].first; });
  return best;
}
