//===- RegionSteps.h - steps that a score region leaves ---------*- C++ -*-===//
// Where a score region masks blocks of scores (ScoreRegionBounds.cpp), attention's kernels for GPUs look for the next
// step of columns that it leaves something of: all threads that go through the same steps by the same numbers.
//===----------------------------------------------------------------------===//
#ifndef XF_LIB_SCHEDULE_GPU_REGIONSTEPS_H
#define XF_LIB_SCHEDULE_GPU_REGIONSTEPS_H

#include "xf/Schedule/ScoreRegion.h"

namespace mlir::xf {

/// Of one sequence: rows are its queries and columns its keys, or the other way (`areKeys`). A query stands at the key
/// of its number and `shift` (null for 0).
class RegionSteps {
public:
  /// `size` is a power of two. It is false where the region masks no blocks, or there is none.
  RegionSteps(Emitter &e, ScoreRegion &region, bool areKeys, Value shift, int64_t size)
      : e(e), region(region), areKeys(areKeys), shift(shift), size(size), passes(region && region.masksBlocks()) {}
  explicit operator bool() const { return passes; }

  /// The latter is among them; all numbers are indices or all i32.
  struct Rows {
    Value first, last;
  };
  /// Whether the rows may have a score in the columns begin .. end.
  Value mayHaveScores(Rows rows, Value begin, Value end) const;
  /// Of steps of `size` columns from `begin` on the first in which the rows may have a score; `end` where there is
  /// none.
  Value next(Rows rows, Value begin, Value end) const { return search(rows, begin, end, /*fromEnd=*/false); }
  /// The end of the last of those; `begin` where there is none.
  Value endOf(Rows rows, Value begin, Value end) const { return search(rows, begin, end, /*fromEnd=*/true); }

private:
  Value search(Rows rows, Value begin, Value end, bool fromEnd) const;

  Emitter &e;
  ScoreRegion &region;
  bool areKeys;
  Value shift;
  int64_t size;
  bool passes;
};

} // namespace mlir::xf

#endif
