//===- Attention.h - what attention's two passes share on GPUs --*- C++ -*-===//
// A block is one head of one sequence: its rows of the packed batch. Scores are in units of log 2, so that
// probabilities are powers of two.
//===----------------------------------------------------------------------===//
#ifndef XF_LIB_SCHEDULE_GPU_ATTENTION_H
#define XF_LIB_SCHEDULE_GPU_ATTENTION_H

#include "RegionSteps.h"
#include "xf/Schedule/AttentionBlocks.h"

namespace mlir::xf {

/// The block that computes a kernel in the form that was chosen.
RegisterFile blockOfAttention(func::FuncOp kernel, RegisterFile block);

struct AttentionBlock {
  static constexpr int64_t step = 64; // keys for which dropout draws at once

  /// In a tile (sequence, head); `sharers` heads of queries share one of keys and values.
  AttentionBlock(Emitter &e, ArrayRef<Value> tile, Value queryOffsets, Value keyOffsets, int64_t heads,
                 int64_t sharers);
  /// Without a sequence: of a head alone.
  AttentionBlock(Emitter &e, int64_t heads, int64_t sharers, Value head);

  /// The key that query i stands at.
  Value position(Value i) { return e.add(i, e.sub(keyCount, queryCount)); }
  /// Whose columns are meant: those of the head, or of the one of keys and values that it reads.
  enum Side { OfQueries, OfKeys };
  /// Columns of the head of width `features`.
  Value column(Value c, int64_t features, Side side) {
    return e.add(e.mul(side == OfKeys ? keyHead : head, e.index(features)), c);
  }
  /// Whether `key` is one of `keys`.
  Value isIn(Value key, KeyRange keys) {
    Value below = e.compare(arith::CmpIPredicate::slt, key, keys.end);
    return keys.begin ? e.make<arith::AndIOp>(below, e.compare(arith::CmpIPredicate::sge, key, keys.begin)) : below;
  }
  /// condition ? value() : otherwise, computing it only there.
  Value where(Value condition, Value otherwise, function_ref<Value()> value) {
    using Values = SmallVector<Value>;
    return e.choose(condition, [&] { return Values{value()}; }, [&] { return Values{otherwise}; })[0];
  }
  /// The head's product of a row of x, which is a side of queries, and a row of y: each thread's own.
  Value dot(Value x, Value xRow, Value y, Value yRow, int64_t features, Side ySide);
  /// sums + lanes `begin` .. `end` of `weights` times the rows `rowOf(lane)` of `matrix`; the sums are vectors over the
  /// head's features.
  SmallVector<Value> accumulate(ValueRange sums, Value weights, Value begin, Value end, Value matrix, Side side,
                                function_ref<Value(Value)> rowOf, int64_t features);
  /// The vectors of `features`: body(number, lanes).
  void forVectors(int64_t features, function_ref<void(int64_t, int64_t)> body);

  /// For steps of `step` columns that the region doesn't mask whole for a row: queries (`areQueries`) for a key, or
  /// keys for a query, which is given by the key that it stands at.
  SmallVector<Value> forColumns(ScoreRegion &region, bool areQueries, Value row, Value begin, Value end, int64_t step,
                                ValueRange initial, Emitter::LoopBody body);

  /// Of a loop over features, or over what is summed, where registers are few: neither LLVM nor ptxas unrolls it.
  SmallVector<Value> loop(Value begin, Value end, int64_t step, ValueRange initial, Emitter::LoopBody body);

  Emitter &e;
  bool isTight = false;
  int64_t heads, sharers;
  Value head, keyHead, queryStart, queryCount, keyStart, keyCount;
};
} // namespace mlir::xf

#endif
