//===- WarpgroupAttention.h - attention on Hopper's tensor cores -*- C++ -*-===//
// What its two passes share: rows of the packed batch as those of mma.sync have them (AttentionTensorCore.h), 64 of
// each of two warpgroups, and rings that a third one fills. Both sides go through the same steps, and count them. All
// numbers of rows, columns and turns are i32.
//===----------------------------------------------------------------------===//
#ifndef XF_LIB_SCHEDULE_GPU_WARPGROUPATTENTION_H
#define XF_LIB_SCHEDULE_GPU_WARPGROUPATTENTION_H

#include "AttentionTensorCore.h"
#include "xf/Dialect/XFG/IR/XFG.h"

namespace mlir::xf {

/// A step of columns of a sequence by its number, and which turn of the rings it is: null where that follows from it.
struct Step {
  Value number, turn;
};

/// Steps of columns of a sequence, by their numbers; the first of them is turn `turn` of the rings.
struct ColumnSteps {
  Value begin, end;       // those that some row of the block sees
  Value ownBegin, ownEnd; // of these, those that some row of the warpgroup sees
  /// Of these, where no mask is needed for the columns that come before those that a row sees, or after: from the one
  /// on, and up to the other.
  Value clearBegin, clearEnd;
  Value turn = {};
  /// Where a score region masks blocks, the first step from one on of which it leaves something to the block's rows;
  /// elsewhere each is.
  std::function<Value(Value)> nextFrom = {};

  Step first() const { return {begin, nextFrom ? turn : Value()}; }
  Step after(Emitter &e, Step step) const {
    Value next = e.add(step.number, e.i32(1));
    return nextFrom ? Step{nextFrom(next), e.add(step.turn, e.i32(1))} : Step{next, {}};
  }
  Value turnOf(Emitter &e, Step step) const { return step.turn ? step.turn : e.add(turn, e.sub(step.number, begin)); }
};
class TileRing;

class WarpgroupRows : public RowBlock {
public:
  static constexpr int64_t groups = 2, groupThreads = 128, groupRows = 64, blockRows = groups * groupRows;
  static_assert((groups + 1) * groupThreads == warpgroupWarps * 32);

  /// `computes`: for a warpgroup that does, or else for threads that copy. Rows are as those of RowBlock.
  WarpgroupRows(Emitter &e, TensorCore &core, Value number, Value total, bool computes, Value first = {});

  bool isTogether = false; // whether both warpgroups go through all steps of the block
  bool masksAll = false;   // whether one loop has all steps, where registers don't hold the bounds of three
  Value group, groupBegin; // the warpgroup's number among those that compute, and its first row

  /// For each sequence that has some of the rows, which are queries or keys, its steps of `size` columns. The values
  /// carried begin with the turn of the rings.
  using Body = function_ref<SmallVector<Value>(const Sequence &, const ColumnSteps &, ValueRange)>;
  SmallVector<Value> forSteps(Value queryOffsets, Value keyOffsets, const AttentionMasks &masks, ScoreRegion &region,
                              bool areKeys, int64_t size, ValueRange initial, Body body);
  /// Those of one sequence, counted from turn 0 on; the thread's rows know then what they see.
  ColumnSteps stepsOf(const Sequence &sequence, const AttentionMasks &masks, ScoreRegion &region, bool areKeys,
                      int64_t size);
  /// Begin and end of the steps that some row of the next block sees.
  std::pair<Value, Value> stepsOfNext(const Sequence &sequence, const AttentionMasks &masks, bool areKeys,
                                      int64_t size);
  /// The steps from `at` on and before `end`; `at` is the one after them then. `body(step, carried)`.
  using StepBody = function_ref<SmallVector<Value>(Step, ValueRange)>;
  SmallVector<Value> forSteps(const ColumnSteps &steps, Step &at, Value end, ValueRange initial, StepBody body);
  /// Those that are the warpgroup's, as loops of those that need a mask and of those that don't: of one side there may
  /// be none (`masksBegin`, `masksEnd`). `body(step, needs mask, carried)`.
  using MaskedStepBody = function_ref<SmallVector<Value>(Step, bool, ValueRange)>;
  SmallVector<Value> forMasked(const ColumnSteps &steps, Step &at, bool masksBegin, bool masksEnd, ValueRange initial,
                               MaskedStepBody body);
  /// Of the steps of a sequence the warpgroup's: `body` if there are any, with the first of them and what is carried
  /// but for the turn. Of the others it says that it has read them.
  SmallVector<Value> forOwn(const ColumnSteps &steps, ArrayRef<TileRing *> rings, ValueRange initial,
                            function_ref<SmallVector<Value>(Step &)> body);
  /// The score where the thread's row `number` sees the column, which element `i` of its accumulator is in a step.
  void mask(MutableArrayRef<Value> elements, Value firstColumn);
  /// Of the elements of an accumulator, in a step whose first column is a multiple of 64: whether dropout keeps each.
  SmallVector<Value> keeps(ProbabilityDropout &dropout, Value head, int64_t heads, Value firstColumn, int64_t columns);
  /// Writes elements of an accumulator over the warpgroup's rows of a tile, and has them copied to a matrix; the tile
  /// is free afterwards.
  void store(ArrayRef<Value> elements, Value tile, Value map, Value column);
  /// Writes those of rows that are the block's to a matrix, each thread its own.
  void store(ArrayRef<Value> elements, Value matrix, Value column);
  /// The column that element `i` of its accumulator is of.
  Value columnOf(Value firstColumn, int64_t i) {
    return e.add(firstColumn, e.add(core.pair, e.i32(i / 4 * 8 + i % 2)));
  }
  /// The row of a thread's two that element `i` of an accumulator is of.
  static int64_t rowOf(int64_t i) { return i / 2 % 2; }
  /// The warpgroup's rows of a tile that has the block's.
  Value own(Value tile, int64_t column, int64_t columns);
  /// A barrier of the warpgroup's threads; and their numbers.
  void meet();
  Value thread() { return e.make<arith::RemUIOp>(e.toI32(e.thread()), e.i32(groupThreads)); }
  /// As those of RowBlock.
  void findRows();
  void take(const WarpgroupRows &other);

private:
  template <typename Block> friend class Anew;
  void findGroup();
  /// What some of some rows see of a sequence's columns, and what all do.
  struct Ranges {
    Value begin, end, allBegin, allEnd;
  };
  Ranges rangesOf(Value rowBegin, Value rowEnd, Value start, Value count, Columns columns, int64_t size);
  /// If no row sees columns before those of a row before it.
  ColumnSteps stepsOf(Value start, Value count, Columns columns, int64_t size);
  /// Bounds the warpgroup's own by what its rows see, whatever their order.
  void narrow(ColumnSteps &steps, Value start, Value count, Columns columns, int64_t size);
  /// Bounds all, and the warpgroup's own, by what a region leaves of them.
  void narrow(ColumnSteps &steps, Value start, Value count, const RegionSteps &region, int64_t size);
};

/// A ring whose stages have one tile each.
class TileRing {
public:
  TileRing(Emitter &e, int64_t stages, int64_t rows, int64_t columns);

  void fill(Value map, Value row, Value column, Value turn);
  Value await(Value turn); // the tile
  Value tile(Value turn);
  void release(Value turn);

  xfg::TileType type;
  Value firstTurn; // that the others are counted from, null for 0

private:
  Value indexOf(Value turn) { return e.toIndex(firstTurn ? e.sub(turn, firstTurn) : turn); }
  Emitter &e;
  Value ring;
};

/// How the copy engine finds boxes of `rows` of a matrix whose heads have so many features.
Value boxesOf(Emitter &e, Value memory, int64_t rows, int64_t features);

/// The product of a and b, begun and committed, on top of `sums`; alone where that is null.
Value beginProduct(Emitter &e, Value a, Value b, int64_t columns, Value sums, bool transposeB);
/// Waits for all but the last `pending` products; elements of the accumulator.
Value awaitProduct(Emitter &e, int64_t pending, Value accumulator);
SmallVector<Value> elementsOf(Emitter &e, Value accumulator);
Value accumulatorOf(Emitter &e, ValueRange elements);
Value fragmentOf(Emitter &e, ValueRange elements);
/// Divisions of numbers become those that are good to two units in the last place: exact ones branch, and no branch may
/// come between a product and its wait.
void divideByOneInstruction(Emitter &e);

} // namespace mlir::xf

#endif
