//===- Phase.h - Steps that no worker waits between -------------------------------------===//
// Workers meet after a step only where a later one depends on it. The executor cuts a function's steps into phases of
// which none touches what another one writes: weights' gradients beside the gradient that goes on, queries beside keys.
//===--------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_PHASE_H
#define XF_RUNTIME_PHASE_H

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

namespace xf::runtime {

class Phase {
public:
  static constexpr size_t longest = 32; // each of its steps has tile counters of its own

  size_t steps() const { return count; }

  /// Takes a step in if it depends on none here, and none on it. `places` are its operands' bytes, `writes` which of
  /// them it writes. Steps that are `alone`, of one tile, are all worker 0's, in their order: they may depend on each
  /// other.
  bool admits(std::span<const std::span<char>> places, std::span<const int64_t> writes, bool alone) {
    if (count == longest)
      return false;
    std::vector<Access> added;
    for (std::span<char> place : places)
      added.push_back({place.data(), place.data() + place.size(), false, alone});
    for (int64_t write : writes)
      added[write].writes = true;
    for (const Access &here : accesses)
      for (const Access &access : added)
        if (here.conflicts(access))
          return false;
    accesses.insert(accesses.end(), added.begin(), added.end());
    ++count;
    return true;
  }

private:
  struct Access {
    const char *begin, *end;
    bool writes, alone;
    bool conflicts(const Access &other) const {
      return (writes || other.writes) && !(alone && other.alone) &&
             std::max(begin, other.begin) < std::min(end, other.end);
    }
  };

  size_t count = 0;
  std::vector<Access> accesses;
};

} // namespace xf::runtime

#endif // XF_RUNTIME_PHASE_H
