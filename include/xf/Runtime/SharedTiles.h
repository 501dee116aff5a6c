//===- SharedTiles.h - Who computes which tiles of a step ------------------------------===//
// Each worker has a share of its own, so that the rows and columns it computes from step to step stay in its cache and
// what a range packs once is packed by one worker; who is done helps with what others have left.
//===--------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_SHAREDTILES_H
#define XF_RUNTIME_SHAREDTILES_H

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <vector>

namespace xf::runtime {

class SharedTiles {
public:
  struct Range {
    int64_t begin, end;
    bool empty() const { return begin >= end; }
  };

  explicit SharedTiles(int workers) : shares(workers) {}

  /// Begins a step; nobody else may be taking.
  void reset() {
    for (Share &share : shares)
      share.taken.store(0, std::memory_order_relaxed);
  }

  /// Some of the step's `tiles` for `worker`, of its own share while there are; empty once all are taken.
  Range take(int worker, int64_t tiles) {
    int64_t workers = int64_t(shares.size());
    for (int64_t i = 0; i < workers; ++i) {
      int64_t owner = (worker + i) % workers, begin = owner * tiles / workers,
              size = (owner + 1) * tiles / workers - begin;
      std::atomic<int64_t> &taken = shares[owner].taken;
      int64_t first = taken.load(std::memory_order_relaxed);
      while (first < size) {
        // Of one's own nearly all at once and then the rest, for each range packs anew; all where it is few, which no
        // eighth would even out. Of what may be wanted by two, halves.
        int64_t rest = size - first, some = std::max<int64_t>(1, rest / 2);
        if (i == 0)
          some = workers > 1 && first == 0 && size >= few ? rest - rest / 8 : rest;
        if (taken.compare_exchange_weak(first, first + some, std::memory_order_relaxed))
          return {begin + first, begin + first + some};
      }
    }
    return {0, 0};
  }

private:
  static constexpr int64_t few = 16;
  struct alignas(64) Share { // a cache line each
    std::atomic<int64_t> taken{0};
  };
  std::vector<Share> shares;
};

} // namespace xf::runtime

#endif // XF_RUNTIME_SHAREDTILES_H
