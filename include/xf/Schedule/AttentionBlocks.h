//===- AttentionBlocks.h - what attention's two passes share ----*- C++ -*-===//
// One task is one head of one sequence: its rows of the packed batch, blocks of keys packed for the products, masks,
// dropout. Scores are in units of log 2, so that probabilities are powers of two.
//===----------------------------------------------------------------------===//
#ifndef XF_SCHEDULE_ATTENTIONBLOCKS_H
#define XF_SCHEDULE_ATTENTIONBLOCKS_H

#include "xf/Schedule/RegisterTile.h"

namespace mlir::xf {

/// One (sequence, head) of a packed batch.
struct AttentionTask {
  static constexpr int64_t vectors = 2; // of a register tile

  AttentionTask(Emitter &e, Value queryOffsets, Value keyOffsets, int64_t heads, bool causal);

  /// How many keys of the sequence query `i` (of the sequence) sees.
  Value visibleKeys(Value i);
  /// The keys from `keyBegin` that query i sees, at most `count` of them, at least none.
  Value visibleInBlock(Value i, Value keyBegin, Value count);
  /// Columns of head `head` of width `features`: column(c) = head * features + c.
  Value column(Value c, int64_t features) { return e.add(e.mul(head, e.index(features)), c); }

  /// Asks for the vector at `c` that the next head's task will read in this row: heads lie side by side, and
  /// where sequences are short each task would begin by waiting for memory.
  void prefetchNextHead(Value matrix, Value row, Value c, int64_t features);

  /// Scratch for a block of scores, for keys packed by packTransposed, and for `count` rows copied by copyRows.
  Value allocateScores();
  Value allocateTransposed(int64_t features) { return e.allocate({keysPerBlock / panel, features, panel}); }
  Value allocateRows(int64_t count, int64_t features) {
    // An odd number of cache lines a row spreads the rows over all sets; in place they would share few.
    return e.allocate({count, ((features + 15) / 16 / 2 * 2 + 1) * 16});
  }
  /// Packs `count` rows of `matrix` from `rowBegin`, times `factor`, transposed: panels of rows x features x panel;
  /// rows past the end repeat the last.
  void packTransposed(Value matrix, int64_t features, Value rowBegin, Value count, Value buffer, double factor = 1);
  /// Copies them as they lie.
  void copyRows(Value matrix, int64_t features, Value rowBegin, Value count, Value buffer);
  /// scores[r][j] = sum over c of copied[rowBegin + r][c] packed[c][j], for `rows` rows and `count` keys, panels
  /// rounded up.
  void scoreProduct(Value copied, int64_t features, Value rowBegin, Value rows, Value packed, Value count,
                    Value scores);
  /// sums[sumStart + r, :] of this head += sum over k < kEnd of a(r, k) copied[k, :]. Where
  /// `isFirst` (a bool, or null for never) the sums begin at zero.
  void accumulate(Value sums, Value sumStart, Value rowEnd, Value copied, Value kEnd, int64_t features,
                  function_ref<Value(Value row, Value k)> a, Value isFirst, bool sumsAreScratch = false);

  /// Runs `body(key, masked, carried)` over the first `visible` keys of a block, `step` at a time: unmasked while all
  /// of a step are visible.
  SmallVector<Value> overKeys(Value visible, int64_t step, ValueRange initial,
                              function_ref<SmallVector<Value>(Value key, bool masked, ValueRange carried)> body);
  /// Zeros in row `row` of `scores` for the keys from the step after `visible` to `count`.
  void clearBeyond(Value visible, int64_t step, Value count, Value scores, Value row);

  /// Keys at a time in a pass along a row: one vector, or with dropout the 64 that are drawn together.
  int64_t stepWidth(bool dropout) const { return dropout ? 64 : e.registers.width; }
  /// i1 lanes: column + lane < count.
  Value laneMask(Value column, Value count);

  Emitter &e;
  int64_t queriesPerBlock, keysPerBlock; // of the block of scores
  int64_t heads, panel;
  bool causal;
  Value head, queryStart, queryCount, keyStart, keyCount;

private:
  Value headsAhead; // 1 where sequences are short, else 0
};

/// Dropout of probabilities.
struct ProbabilityDropout {
  ProbabilityDropout(Emitter &e, Value random, Value site, const APFloat &rate);
  explicit operator bool() const { return philox.has_value(); }
  /// For each vector of the 64 columns from `column` (of the sequence): where probabilities are kept.
  SmallVector<Value> keeps(Value row, Value column);
  /// kept ? value / (1 - rate) : 0
  Value apply(Value keep, Value value);

  Emitter &e;
  std::optional<Philox> philox;
  APFloat rate;
};
} // namespace mlir::xf

#endif
