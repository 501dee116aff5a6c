//===- AttentionBlocks.h - what attention's two passes share ----*- C++ -*-===//
// One task is one head of one sequence, or the heads that share a head of keys and values: its rows of the packed
// batch, blocks of keys packed for the products, masks, dropout. Scores are in units of log 2, so that probabilities
// are powers of two.
//===----------------------------------------------------------------------===//
#ifndef XF_SCHEDULE_ATTENTIONBLOCKS_H
#define XF_SCHEDULE_ATTENTIONBLOCKS_H

#include "xf/Schedule/RegisterTile.h"
#include "xf/Schedule/ScoreRegion.h"
#include "llvm/ADT/TypeSwitch.h"

namespace mlir::xf {

/// Keys begin .. end, none where that is no rise; begin is null where they are the first.
struct KeyRange {
  Value begin, end;
};

/// Sequence `number`'s rows of a packed batch: the first one, and how many (i32).
std::pair<Value, Value> rowsOf(Emitter &e, Value offsets, Value number);

/// Schedules a kernel that is one op of attention forward by `emit(emitter, op)`.
template <typename Emit> void scheduleForward(func::FuncOp kernel, const RegisterFile &registers, Emit emit) {
  Emitter e(kernel, registers);
  llvm::TypeSwitch<Operation *>(&kernel.getBody().front().front())
      .Case<AttentionOp, CachedAttentionOp, AttentionWeightsOp>([&](auto op) { emit(e, op); });
}

/// The op of a kernel that is attention's backward, with every result there: the schedules sum in them.
FailureOr<AttentionBackwardOp> backwardOf(func::FuncOp kernel);

/// Which keys a query sees, as the attributes and operands of an op say.
struct AttentionMasks {
  template <typename OpT>
  AttentionMasks(Emitter &e, OpT op)
      : causal(op.getCausal()), window(op.getWindow()),
        lengths(op.getLengths() ? e.placeOf(op.getLengths()) : Value()) {}
  explicit operator bool() const { return causal || window || lengths; }

  /// The keys, of `keyCount`, that query i of a sequence (row queryStart + i) sees; all indices or all i32.
  KeyRange visible(Emitter &e, Value i, Value queryStart, Value queryCount, Value keyCount) const;

  /// The queries, of `queryCount`, that see key j of a sequence: those of them that have the length, where there are
  /// lengths.
  KeyRange seeing(Emitter &e, Value j, Value queryCount, Value keyCount) const;

  bool causal;
  std::optional<int64_t> window;
  Value lengths; // or null
};

/// How many heads of the queries share one of keys and values.
template <typename OpT> int64_t sharersOf(OpT op) {
  return static_cast<int64_t>(op.getHeads()) / op.getKeyValueHeadCount();
}

/// The head of keys and values that head `head` of the query reads.
template <typename OpT> Value keyHeadOf(Emitter &e, OpT op, Value head) {
  return sharersOf(op) == 1 ? head : e.make<arith::DivSIOp>(head, e.index(sharersOf(op)));
}

/// One (sequence, head) of a packed batch. What has columns of a head is said with it: `head` of queries and results,
/// `keyHead` of keys and values.
struct AttentionTask {
  static constexpr int64_t vectors = 2; // of a register tile

  /// Where the task goes through heads that share one, `head` is set for each.
  AttentionTask(Emitter &e, Value sequence, Value head, Value keyHead, Value queryOffsets, Value keyOffsets,
                const AttentionMasks &masks);

  /// The key that query i stands at.
  Value position(Value i) { return e.add(i, e.sub(keyCount, queryCount)); }
  /// The keys of the sequence that query `i` (of the sequence) sees.
  KeyRange visibleKeys(Value i) { return masks.visible(e, i, queryStart, queryCount, keyCount); }
  /// No fewer than those that any of the queries `begin` .. `end` sees.
  KeyRange visibleKeys(Value begin, Value end);
  /// Of keys of the sequence those in the block of `count` from `keyBegin`, counted from there.
  KeyRange inBlock(KeyRange keys, Value keyBegin, Value count);
  /// Whether there are any.
  Value isAny(KeyRange keys) { return e.compare(arith::CmpIPredicate::sgt, keys.end, startOf(keys, 1)); }
  /// Whether a region leaves any score of queries `begin` .. `end` with `keys` of the block from `keyBegin`, where it
  /// masks blocks.
  Value mayHaveScores(ScoreRegion &region, Value begin, Value end, KeyRange keys, Value keyBegin);
  /// The key to start at where keys are taken by `step`.
  Value startOf(KeyRange keys, int64_t step);
  /// Columns of a head of width `features`: column(head, c) = head * features + c.
  Value column(Value head, Value c, int64_t features) { return e.add(e.mul(head, e.index(features)), c); }

  /// Asks for the vector at `c` that the next head's task will read in this row: heads lie side by side, and
  /// where sequences are short each task would begin by waiting for memory.
  void prefetchNextHead(Value matrix, Value head, Value row, Value c, int64_t features);

  /// Scratch for a block of scores, for keys packed by packTransposed, and for `count` rows copied by copyRows.
  Value allocateScores();
  Value allocateTransposed(int64_t features) { return e.allocate({keysPerBlock / panel, features, panel}); }
  Value allocateRows(int64_t count, int64_t features) {
    // An odd number of cache lines a row spreads the rows over all sets; in place they would share few.
    return e.allocate({count, ((features + 15) / 16 / 2 * 2 + 1) * 16});
  }
  /// Packs `count` rows of keys or values from `rowBegin`, times `factor`, transposed: panels of rows x features x
  /// panel; rows past the end repeat the last.
  void packTransposed(Value matrix, int64_t features, Value rowBegin, Value count, Value buffer, double factor = 1);
  /// Copies those of `matrix` as they lie.
  void copyRows(Value matrix, Value head, int64_t features, Value rowBegin, Value count, Value buffer);
  /// scores[r][j] = sum over c of copied[rowBegin + r][c] packed[c][j], for `rows` rows and the panels that have
  /// `keys`.
  void scoreProduct(Value copied, int64_t features, Value rowBegin, Value rows, Value packed, KeyRange keys,
                    Value scores);
  /// sums[sumStart + r, :] of `sumHead`, or all of what is scratch where that is null, += sum over k of a(r, k)
  /// copied[k, :], for rows `rows` and k in `ks`. Where `isFirst` (a bool, or null for never) the sums begin at zero.
  void accumulate(Value sums, Value sumHead, Value sumStart, KeyRange rows, Value copied, KeyRange ks, int64_t features,
                  function_ref<Value(Value row, Value k)> a, Value isFirst);

  /// Runs `body(key, masked, carried)` over the keys `visible` of a block, `step` at a time: unmasked where all of a
  /// step are known to be visible.
  SmallVector<Value> overKeys(KeyRange visible, int64_t step, ValueRange initial,
                              function_ref<SmallVector<Value>(Value key, bool masked, ValueRange carried)> body);
  /// Zeros in row `row` of `scores` for those of the block's `keys` that no step of `visible` covers.
  void clearRest(KeyRange visible, int64_t step, KeyRange keys, Value scores, Value row);

  /// Keys at a time in a pass along a row: one vector, or with dropout the 64 that are drawn together.
  int64_t stepWidth(bool dropout) const { return dropout ? 64 : e.registers.width; }
  /// i1 lanes: whether key column + lane is in `keys`.
  Value laneMask(Value column, KeyRange keys);

  Emitter &e;
  int64_t queriesPerBlock, keysPerBlock; // of the block of scores
  int64_t panel;
  AttentionMasks masks;
  Value head, keyHead, queryStart, queryCount, keyStart, keyCount;

private:
  Value headsAhead; // 1 where sequences are short, else 0
};

/// Dropout of probabilities.
struct ProbabilityDropout {
  ProbabilityDropout(Emitter &e, Value random, Value site, const APFloat &rate);
  explicit operator bool() const { return philox.has_value(); }
  /// For each vector of the 64 columns from `column` (of the sequence): where probabilities are kept.
  SmallVector<Value> keeps(Value row, Value column);
  /// On a GPU: whether each thread's own element is kept.
  Value keep(Value row, Value column) { return philox->keeps(philox->word(row, column), rate); }
  /// kept ? value / (1 - rate) : 0
  Value apply(Value keep, Value value);

  Emitter &e;
  std::optional<Philox> philox;
  APFloat rate;
};
} // namespace mlir::xf

#endif
