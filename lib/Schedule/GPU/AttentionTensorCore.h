//===- AttentionTensorCore.h - attention on tensor cores --------*- C++ -*-===//
// What its two passes share. A block takes as many rows of the packed batch, whose sequences they may be, and goes
// through the other side's rows of each of those sequences (keys for queries, queries for keys: the columns of scores)
// in steps that begin at the sequence's start. Rows of other sequences see none of them, and that changes no bit of
// theirs; but for an infinity or no number, as that times 0 is none. All numbers of rows and columns are i32.
//===----------------------------------------------------------------------===//
#ifndef XF_LIB_SCHEDULE_GPU_ATTENTIONTENSORCORE_H
#define XF_LIB_SCHEDULE_GPU_ATTENTIONTENSORCORE_H

#include "RegionSteps.h"
#include "TensorCore.h"
#include "xf/Schedule/AttentionBlocks.h"

namespace mlir::xf {

/// Warps of a block there.
constexpr int64_t tensorCoreWarps = 4, warpgroupWarps = 12;
/// The schedules; the kernel is finished then.
void emitAttentionTensorCore(Emitter &e, AttentionOp op);
void emitAttentionBackwardTensorCore(Emitter &e, AttentionBackwardOp op);

/// The forms for Hopper's warpgroups.
void emitWarpgroupAttention(Emitter &e, AttentionOp op);
void emitWarpgroupAttentionHalves(Emitter &e, AttentionBackwardOp op);
void emitWarpgroupAttentionOrdered(Emitter &e, AttentionBackwardOp op);
/// f32 that it takes while it runs.
SmallVector<ExtentTerm> workspaceInOrder(AttentionBackwardOp op);

/// Takes a row's scores, of which a thread has some, to probabilities: scores times `factor` are powers of two. The
/// row's maximum and the thread's part of its sum go on; what was summed before is to be multiplied by the result.
Value nextProbabilities(Emitter &e, TensorCore &core, MutableArrayRef<Value> scores, Value &maximum, Value &sum,
                        double factor);

/// Which probabilities of a row (Philox's) dropout keeps in the step of columns from `column` on: of the thread's
/// column n * 8 + pair + c number 2 n + c.
SmallVector<Value> keepsOfStep(Emitter &e, TensorCore &core, ProbabilityDropout &dropout, Value row, Value column);

/// Of a batch: rows start .. start + count.
struct Sequence {
  Value queryStart, queryCount, keyStart, keyCount;
  /// The key that query i of the sequence stands at.
  Value positionOf(Emitter &e, Value query) const { return e.add(query, shift(e)); }
  Value shift(Emitter &e) const { return e.sub(keyCount, queryCount); }
  /// The keys that query i sees, or the queries that see key i (`areKeys`).
  KeyRange columnsOf(Emitter &e, const AttentionMasks &masks, Value i, bool areKeys) const {
    return areKeys ? masks.seeing(e, i, queryCount, keyCount) : masks.visible(e, i, queryStart, queryCount, keyCount);
  }
};

/// For the blocks of keys, of `keyBlocks`, and groups of heads that share them, which are a block's of a grid of
/// `blocks` x heads: far more work than a block of queries, so that those blocks that start first have one each, early
/// keys first. body(number, carried) begins with forSharers' number of the group, and gives first the one after it.
void forSharedKeys(Emitter &e, Value keyBlocks, Value blocks, int64_t heads, int64_t sharers, ValueRange initial,
                   Emitter::LoopBody body);
/// For each of the `sharers` heads of queries that share one of keys, in their order: body(number, carried). Numbers
/// (i32) are of a block of keys and a head, number * heads + head, and go on from `number`, the group's first; it is
/// the one after them then. Of the loop's end no register has anything meanwhile.
SmallVector<Value> forSharers(Emitter &e, Value &number, int64_t sharers, ValueRange initial, Emitter::LoopBody body);

/// What is copied ahead: rows of two matrices from shared memory, `step` of them at a time.
struct CopiedRows {
  static constexpr int64_t step = 64;

  /// As many stages as fit, of one and two.
  CopiedRows(Emitter &e, int64_t features0, int64_t features1);
  CopiedRows(Emitter &e, int64_t features0, int64_t features1, int64_t stages)
      : first(e, step, features0, stages), second(e, step, features1, stages), stages(stages) {}

  SharedRows first, second;
  int64_t stages;
};

/// The rows of the scores that a block has.
class RowBlock {
public:
  /// Rows begin .. begin + warps * 16 * tiles of those before `total`; `number` (an index) is the block's among those
  /// from row `first` on (null for 0). The first `otherWarps` of the block have none.
  RowBlock(Emitter &e, TensorCore &core, Value number, Value total, int64_t tiles, int64_t otherWarps = 0,
           Value first = {});
  /// Sets `rows` by the thread's number.
  void findRows();

  /// A thread's row: number i is row `group` or (odd i) group + 8 of fragment i / 2.
  struct Row {
    Value number, inside;       // in the batch, and whether it is one of it
    Value begin = {}, end = {}; // the columns that it sees; begin is null where it is 0
  };
  SmallVector<Row> rows;
  Value begin, end;
  bool isTight = false; // whether what follows from the thread's number is computed where it is used
  /// Of a row what the backward takes from its probabilities' gradients: D = sum of dP P = sum of the result times its
  /// cotangent.
  Value correctionOf(int64_t number, const HeadMatrix &cotangent, const HeadMatrix &forward);
  /// Once all of its rows are done. Of a row, by the sum of all its threads.
  void storeLogSumExp(int64_t number, Value maximum, Value total, double factor, Value memory, Value head);

  /// Columns of the rows of one sequence: begin is null where it is 0 for all.
  using Columns = function_ref<KeyRange(Value row)>;
  /// For each sequence that has some of the rows (of which there is one), by the offsets of those.
  SmallVector<Value> forSequences(Value offsets, Value queryOffsets, Value keyOffsets, ValueRange initial,
                                  function_ref<SmallVector<Value>(const Sequence &, ValueRange)> body);
  /// Sets begin and end of the thread's rows to what they see of a sequence whose rows are start .. start + count.
  void setColumns(Value start, Value count, Columns columns);
  /// For all steps of columns that some of the rows see, and that the region doesn't mask whole for them, of a sequence
  /// whose queries or keys (`areKeys`) they are: `copy(column, stage)` begins to copy a step's rows, `body(column,
  /// stage, needs mask, carried)` uses them in warps that have such rows.
  SmallVector<Value> forColumns(const Sequence &sequence, const AttentionMasks &masks, ScoreRegion &region,
                                bool areKeys, const CopiedRows &copied, ValueRange initial,
                                function_ref<void(Value, Value)> copy,
                                function_ref<SmallVector<Value>(Value, Value, Value, ValueRange)> body);
  /// That for queries, which go through the keys and values of their sequences:
  /// `body(sequence, key, stage, needs mask, carried)`.
  SmallVector<Value> forKeys(Value queryOffsets, Value keyOffsets, const AttentionMasks &masks, ScoreRegion &region,
                             const HeadMatrix &key, const HeadMatrix &value, const CopiedRows &copied,
                             ValueRange initial,
                             function_ref<SmallVector<Value>(const Sequence &, Value, Value, Value, ValueRange)> body);
  /// The score, or -inf where row `number` does not see column + offset; `column` has the thread's `pair` in it.
  Value masked(Value score, int64_t number, Value column, int64_t offset);
  /// Takes from another what findRows has found.
  void take(const RowBlock &other) { rows = other.rows; }

protected:
  template <typename Block> friend class Anew;
  /// An i32 that is the same in all threads of a warp, known as such where whole warps run this.
  Value uniform(Value number) { return isWhole ? e.fromLane(number, e.i32(0)) : number; }
  /// None of a row of another sequence.
  KeyRange columnsOf(Value row, Value start, Value count, Columns columns);
  /// Of a sequence's rows start .. start + count those of rows from .. to.
  RegionSteps::Rows rowsWithin(Value from, Value to, Value start, Value count) {
    return {e.make<arith::MaxSIOp>(e.sub(from, start), e.i32(0)), e.sub(e.min(e.sub(to, start), count), e.i32(1))};
  }
  Value ofWarp(Value value, bool largest);
  bool isWhole = false;
  Emitter &e;
  TensorCore &core;

private:
  int64_t size, tiles, otherWarps;
};

/// While it lives, and where it is wanted: what follows from the numbers of thread and block (the emitter's, the core's
/// columns, the block's rows, its head) is computed of ones that are read anew, and takes no register outside.
template <typename Block> class Anew {
public:
  explicit Anew(Block &block, bool isWanted = true)
      : block(block), before(block), group(block.core.group), pair(block.core.pair), isWanted(isWanted) {
    if (!isWanted)
      return;
    numbers = block.e.readNumbersAnew();
    block.core.findThread();
    block.findRows();
  }
  ~Anew() {
    if (!isWanted)
      return;
    block.e.setNumbers(numbers);
    std::tie(block.core.group, block.core.pair) = std::tie(group, pair);
    block.take(before);
  }
  Anew(const Anew &) = delete;

private:
  Block &block;
  Block before;
  Value group, pair;
  Emitter::Numbers numbers;
  bool isWanted;
};

/// Whether tensor cores can compute its scores.
bool isForTensorCores(func::FuncOp kernel, AttentionBackwardOp op);
} // namespace mlir::xf

#endif
