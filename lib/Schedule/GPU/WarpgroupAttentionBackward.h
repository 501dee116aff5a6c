//===- WarpgroupAttentionBackward.h - its backward on warpgroups -*- C++ -*-===//
// What its two forms share: a step that computes scores again, with keys as rows, and what the gradients of keys and
// values are products of. The gradient of queries has a half of the kernel for itself (WarpgroupAttentionHalves.cpp),
// or blocks add to it in turn (WarpgroupAttentionOrdered.cpp).
//===----------------------------------------------------------------------===//
#ifndef XF_LIB_SCHEDULE_GPU_WARPGROUPATTENTIONBACKWARD_H
#define XF_LIB_SCHEDULE_GPU_WARPGROUPATTENTIONBACKWARD_H

#include "WarpgroupAttention.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include <cmath>

namespace mlir::xf {

class WarpgroupBackward {
protected:
  static constexpr int64_t step = 64; // columns
  using Values = SmallVector<Value>;

  WarpgroupBackward(Emitter &e, AttentionBackwardOp op, Value head);
  virtual ~WarpgroupBackward() = default;

  /// Which gradients a step adds to, and by what tiles of the block's own.
  struct KeyTiles {
    Value keys, values;
    bool ofKeys = true, ofValues = true;
  };
  /// A step of the block's keys with queries; gradients are those of keys and then of values, or one of the two.
  Values stepOfKeys(WarpgroupRows rows, const Sequence &sequence, const ColumnSteps &steps, Step at,
                    const KeyTiles &tiles, ValueRange gradients, bool needsMask);
  /// Its end: adds the products of probabilities with cotangents, and of their gradients with queries.
  virtual Values addProducts(WarpgroupRows &rows, Value turn, const KeyTiles &tiles, ArrayRef<Value> probabilities,
                             ArrayRef<Value> differences, ValueRange gradients) = 0;
  /// Of a step's queries negative log_sum_exp in powers of two and D, for all of a warpgroup.
  virtual void shareStatistics(WarpgroupRows &rows, const Sequence &sequence, Value number, Value turn, Value place,
                               bool withCorrections) = 0;
  /// The head where that is a number in a register, from which it is computed again; null where it is the block's.
  virtual Value headAnew() { return {}; }
  /// A thread's query of those of a step, whether it is one of the sequence, and which of two numbers it is to share.
  struct SharedQuery {
    Value inStep, row, isQuery, half;
  };
  SharedQuery sharedQueryOf(WarpgroupRows &rows, const Sequence &sequence, Value number);
  /// Leaves its number there, and how many keys it sees (null: loaded here).
  void share(const SharedQuery &query, Value place, Value number, Value length = {});

  /// Fills the rings of a step's rows by maps of them, with a head of theirs. Gives the turn that comes next.
  Values fill(WarpgroupRows &rows, const ColumnSteps &steps, Value firstRow, Value head,
              ArrayRef<std::pair<TileRing *, Value>> rings);
  /// Where a warpgroup's threads share numbers in a turn. What others still read is of the turn before.
  Value placeOf(WarpgroupRows &rows, Value turn);
  /// Of a row of an array for all columns of a step, two of the thread's: those of its elements 4 n and more.
  Values pairOf(Value array, ArrayRef<Value> row, int64_t n);
  void shareKeeps(ProbabilityDropout dropout, WarpgroupRows &rows, const Sequence &sequence, Value number, Value place);
  /// Where the bits of a thread's key are that shareKeeps has left for a column, and which it is.
  struct KeptKey {
    Values row;
    Value bit;
  };
  KeptKey keptKeyOf(WarpgroupRows &rows, const Sequence &sequence, Value place, int64_t number);
  /// The gradient of scores, but for their scale, of probabilities and what their products' gradients are.
  Value gradientOf(Value probability, Value difference, Value keep, Value correction) {
    if (keep)
      difference = e.mul(e.select(keep, difference, e.f32(0)), e.f32(kept));
    return e.mul(probability, e.sub(difference, correction));
  }
  Value allocate(ArrayRef<int64_t> shape, Type element) {
    auto space = e.b.getI64IntegerAttr(static_cast<int64_t>(NVVM::NVVMMemorySpace::Shared));
    auto type = MemRefType::get(shape, element, AffineMap(), space);
    return xfg::CreateMemoryOp::create(e.b, e.loc, type, e.allocateDynamic(type.getNumElements() * 4));
  }
  Value columnOf(Value head, int64_t features) { return e.mul(e.toI32(head), e.i32(features)); }
  /// Takes a product to a score in powers of two, and gives the derivative: where there is a region, whose query is
  /// set.
  Value applyRegion(Value &product, Value key) {
    SmallVector<Value> yielded = region.applyTo(e.mul(product, e.f32(productScale)), key, M_LOG2E);
    product = yielded[0];
    return yielded[1];
  }
  /// Of a score, or without a region a product, and its query's negative log_sum_exp in powers of two.
  Value probability(Value score, Value negativeSum) {
    return core.exp2(region ? e.add(score, negativeSum) : e.fma(score, e.f32(productScale), negativeSum));
  }
  /// Where registers are few, for a step: ten rounds' keys would be in them.
  ProbabilityDropout dropoutOfStep() {
    return isTight ? ProbabilityDropout(e, op.getRandom(), op.getSite(), op.getRate()) : dropout;
  }
  Step anewWhereTight(Step step) {
    if (isTight)
      step = {e.anew(step.number), step.turn ? e.anew(step.turn) : Value()};
    return step;
  }
  void setFew(WarpgroupRows &rows) { // registers
    rows.isTight = isTight;
    rows.masksAll = isWide && dropout && region;
  }
  Value zeros(int64_t features) { return accumulatorOf(e, Values(features / 2, e.f32(0))); }

  Emitter &e;
  AttentionBackwardOp op;
  TensorCore core;
  WarpgroupAttentionScheduleAttr schedule;
  int64_t heads;
  Value head;
  int64_t features, valueFeatures;
  AttentionMasks masks;
  ProbabilityDropout dropout;
  double scale;
  ScoreRegion region;
  bool isWide;               // two sums of 128 features leave registers for one product of scores at a time
  bool isTight;              // what is computed of the thread's number and a step's own is of the step alone
  double productScale, kept; // of a product before a region, or without one so that it is a power of two
  Value cotangent, query, key, value, forward, logSumExp, queryOffsets, keyOffsets;
  Value keyBlocks, valueBlocks, querySteps, cotangentSteps, keyGradient, valueGradient; // maps
  TileRing own, ownValues;                                                              // the block's keys and values
  TileRing others, otherValues; // the steps' queries and cotangents
  // Twice a warpgroup: of a step's queries negative log_sum_exp, and D; the keys that they see; and what dropout keeps
  // (see shareKeeps).
  Value statistics, lengths, keeps;
};

} // namespace mlir::xf

#endif
