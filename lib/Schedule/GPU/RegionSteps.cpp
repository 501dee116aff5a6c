//===- RegionSteps.cpp - steps that a score region leaves -----------------===//
#include "RegionSteps.h"

namespace mlir::xf {

Value RegionSteps::mayHaveScores(Rows rows, Value begin, Value end) const {
  auto boundsOf = [&](Value first, Value last, bool areQueries) {
    if (areQueries && shift)
      std::tie(first, last) = std::pair(e.add(first, shift), e.add(last, shift));
    return ScoreRegion::Bounds{first, last};
  };
  ScoreRegion::Bounds ofRows = boundsOf(rows.first, rows.last, !areKeys),
                      ofColumns = boundsOf(begin, e.sub(end, e.like(end, 1)), areKeys);
  return areKeys ? region.mayHaveScores(ofColumns, ofRows) : region.mayHaveScores(ofRows, ofColumns);
}

Value RegionSteps::search(Rows rows, Value begin, Value end, bool fromEnd) const {
  // Twice as many columns are asked about where all are masked, and half of them where not: of what a window is far
  // from little is looked at.
  Value from = fromEnd ? end : begin, one = e.like(from, 1);
  Value found = e.loopWhile(
      {from, e.like(from, size)},
      [&](ValueRange now) {
        Value isLeft = fromEnd ? e.compare(arith::CmpIPredicate::sgt, now[0], begin)
                               : e.compare(arith::CmpIPredicate::slt, now[0], end);
        Value isLooking = e.compare(arith::CmpIPredicate::sge, now[1], e.like(from, size));
        return e.make<arith::AndIOp>(isLeft, isLooking);
      },
      [&](ValueRange now) {
        Value at = now[0], width = now[1], past = fromEnd ? e.sub(at, width) : e.add(at, width);
        Value may = fromEnd ? mayHaveScores(rows, e.make<arith::MaxSIOp>(past, begin), at)
                            : mayHaveScores(rows, at, e.min(past, end));
        return SmallVector<Value>{e.select(may, at, past),
                                  e.select(may, e.make<arith::ShRUIOp>(width, one), e.make<arith::ShLIOp>(width, one))};
      })[0];
  return fromEnd ? Value(e.make<arith::MaxSIOp>(found, begin)) : e.min(found, end);
}
} // namespace mlir::xf
