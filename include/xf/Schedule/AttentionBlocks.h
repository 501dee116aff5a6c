//===- AttentionBlocks.h - what attention's two passes share ----*- C++ -*-===//
// One task is one head of one sequence: its rows of the packed batch, blocks of keys packed for the score product,
// masks, dropout.
//===----------------------------------------------------------------------===//
#ifndef XF_SCHEDULE_ATTENTIONBLOCKS_H
#define XF_SCHEDULE_ATTENTIONBLOCKS_H

#include "xf/Schedule/RegisterTile.h"

namespace mlir::xf {

/// One (sequence, head) of a packed batch.
struct AttentionTask {
  static constexpr int64_t keysPerBlock = 128, rows = 6, vectors = 2;

  AttentionTask(Emitter &e, Value queryOffsets, Value keyOffsets, int64_t heads, bool causal);

  /// How many keys of the sequence query `i` (of the sequence) sees.
  Value visibleKeys(Value i);
  /// The keys from `keyBegin` that query i sees, at most a block of them, at least none.
  Value visibleInBlock(Value i, Value keyBegin);
  /// Columns of head `head` of width `features`: column(c) = head * features + c.
  Value column(Value c, int64_t features) { return e.add(e.mul(head, e.index(features)), c); }

  /// Packs rows `keyBegin` .. keyBegin + count of `matrix` (rows of the sequence from keyStart) transposed: panels x
  /// features x panel; lanes past the last key are zero.
  void packTransposed(Value matrix, int64_t features, Value keyBegin, Value count, Value buffer);
  /// block[i - rowBegin][j] = sum over c of rows(i, c) * packed(c, j), for queries rowBegin .. rowEnd of the sequence
  /// and `count` keys, panels rounded up.
  void scoreProduct(Value matrix, int64_t features, Value rowBegin, Value rowEnd, Value packed, Value count,
                    Value block);

  Value panelsOf(Value count) { return e.ceilDiv(count, vectors * e.registers.width); }
  /// Keys at a time in a pass along a row: one vector, or with dropout the 64 that are drawn together.
  int64_t stepWidth(bool dropout) const { return dropout ? 64 : e.registers.width; }
  /// i1 lanes: column + lane < count.
  Value laneMask(Value column, Value count);

  Emitter &e;
  int64_t heads;
  bool causal;
  Value head, queryStart, queryCount, keyStart, keyCount;
};

/// Dropout of probabilities: keeps(row, column) for 64 columns of the sequence; factor is 1 / (1 - rate).
struct ProbabilityDropout {
  Emitter &e;
  std::optional<Philox> philox;
  APFloat rate;
  /// For each vector of the 64 columns from `column`: where probabilities are kept.
  SmallVector<Value> keeps(Value row, Value column);
  Value factor() { return e.splat(1.0 / (1.0 - rate.convertToDouble())); }
};
} // namespace mlir::xf

#endif
