//===- ScoreRegion.h - a score region in a kernel ---------------*- C++ -*-===//
// The region of attention on a vector of keys. What depends on the head or the query alone is computed once for it.
//===----------------------------------------------------------------------===//
#ifndef XF_SCHEDULE_SCOREREGION_H
#define XF_SCHEDULE_SCOREREGION_H

#include "xf/Dialect/XF/IR/Score.h"
#include "xf/Schedule/Emitter.h"

namespace mlir::xf {
class ScoreRegion {
public:
  /// Of an op of the kernel that is emitted; `head` is an index, of the first head where there are more.
  ScoreRegion(Emitter &e, Region &region, ValueRange captures, Value head);
  /// Whether there is one; without it nothing else may be called.
  explicit operator bool() const { return block; }

  /// Takes a constant that the region multiplies the score by before all else out of it: the caller multiplies the
  /// product of query and key by it, with the scale. 1 where there is none.
  double takeScoreFactor();

  /// Whether it can mask a key, which a score of -inf does: not where it only calculates with finite numbers.
  bool mayMask() const;

  /// The least and the most that numbers of a block are (indices, or i32), the latter among them.
  struct Bounds {
    Value least, most;
  };
  /// Whether there may be a score that is not masked (by -inf) among those of queries that stand at such keys and of
  /// such keys, as far as their numbers and the head tell: i1, or null where they don't.
  Value mayHaveScores(Bounds queries, Bounds keys);
  /// Whether they ever tell.
  bool masksBlocks() { return mayHaveScores({e.index(0), e.index(0)}, {e.index(0), e.index(0)}) != nullptr; }

  /// For another head.
  void setHead(Value head);
  /// For the query that stands at key `position`.
  void setQuery(Value position);
  /// What the region yields, of the scores of `width` keys from `key` (an index) on: a vector, or with the derivative
  /// two. The first one times `factor`.
  SmallVector<Value> apply(Value scores, Value key, double factor = 1) {
    return applyTo(scores, e.add(e.splat(e.toI32(key)), e.laneNumbers()), factor);
  }
  /// Of the scores of any keys, of which `keys` has the numbers (i32).
  SmallVector<Value> applyTo(Value scores, Value keys, double factor = 1);

  /// Whether a score is one, and not masked by a region's -inf: i1 lanes.
  Value isScore(Value score) { return e.compare(arith::CmpFPredicate::UGT, score, e.splat(-1e30)); }

  /// x times a derivative: 0 where the probability is, of pairs that are masked or don't see each other, whatever the
  /// derivative is there.
  Value timesDerivative(Value x, Value derivative, Value probability);

  /// What the last call of apply adds to the gradients of captured tensors.
  struct Addition {
    unsigned capture;
    Value element;    // number in the tensor: an index where it is one for all keys, else a vector of i32
    Value derivative; // a vector
  };
  ArrayRef<Addition> additions() const { return added; }

private:
  /// What a value depends on: the head alone (or nothing), the query too, or the key or the score too.
  enum Level : unsigned { OfHead, OfQuery, OfKey };
  void emit(Level level);
  void emitScalar(Operation *op);
  void emitVector(Operation *op);
  Level levelOf(Value value) const { return levels.lookup(value); }
  /// An operand as a vector; indices are of i32.
  Value vectorOf(Value value);
  /// The number of an element, the nearest where an index lies outside: a scalar, or where `asVector` a vector.
  Value elementAt(RankedTensorType type, ValueRange indices, bool asVector);
  Value memoryOf(Value capture) const;
  /// Whether the derivative by the score may be no number, or infinite, of a score that is neither.
  bool mayDerivativeBeInfinite() const;

  Emitter &e;
  Block *block = nullptr;
  Operation *taken = nullptr; // a multiplication, by takeScoreFactor
  SmallVector<Value> memory;  // of the captured tensors
  DenseMap<Value, Level> levels;
  DenseMap<Operation *, Level> levelsOfOps;
  DenseMap<Value, Value> scalars, vectors;
  SmallVector<Addition> added;
};
} // namespace mlir::xf

#endif
