//===- AttentionBackward.cpp - schedule of attention's backward -----------===//
// FlashAttention-2 (Dao 2023) on one head of keys of one sequence: for a block of keys, over the heads that share it
// and their blocks of queries, scores and probabilities are computed again from log_sum_exp. All three gradients are
// sums of this task alone, taken in the order of the heads and blocks, accumulated in the results themselves; where
// they are bf16 those of a block of keys are summed in scratch memory, and that of queries is rounded after every
// block.
//===----------------------------------------------------------------------===//
#include "xf/Schedule/AttentionBlocks.h"
#include <cmath>

namespace mlir::xf {
namespace {
/// What a task adds to the gradients of captured tensors: the rows of its sequence, and there the part of its head,
/// which of a tensor that heads share is all of it.
class CapturedGradients {
public:
  CapturedGradients(Emitter &e, AttentionBackwardOp op, Value sequence)
      : e(e), sequence(sequence), numbers(capturesWithGradients(op.getScore())) {
    for (unsigned i = 0; i < numbers.size(); ++i) {
      places.push_back(e.function.getArgument(e.kernel.getNumArguments() + 3 + i));
      isShared.push_back(!isOfHeads(op.getScore(), numbers[i], op.getHeads()));
      partSizes.push_back(cast<MemRefType>(places[i].getType()).getDimSize(1) / op.getHeads());
    }
  }

  /// What follows is of another head.
  void setHead(Value other) { head = other; }

  void clear() {
    for (auto [place, size] : llvm::zip(places, partSizes)) {
      Value begin = e.mul(head, e.index(size));
      e.columns(size, 1, [&](Value c, ArrayRef<int64_t> lanes) {
        e.storeVector(e.splat(0), place, {sequence, e.add(begin, c)}, lanes[0]);
      });
    }
  }

  /// Adds for a vector of keys, one after another, given the cotangents of their scores: of those that are scores.
  void add(ArrayRef<ScoreRegion::Addition> additions, Value cotangents, function_ref<Value(Value)> ofScores) {
    for (const ScoreRegion::Addition &addition : additions) {
      int64_t number = llvm::find(numbers, addition.capture) - numbers.begin();
      Value place = places[number], values = ofScores(e.mul(cotangents, addition.derivative));
      auto addTo = [&](Value element, Value value) {
        if (isShared[number])
          element = e.add(e.mul(head, e.index(partSizes[number])), element);
        SmallVector<Value> at{sequence, element};
        e.store(e.add(e.load(place, at), value), place, at);
      };
      if (addition.element.getType().isIndex()) {
        addTo(addition.element, e.reduce(vector::CombiningKind::ADD, values));
        continue;
      }
      auto elementOf = [&](int64_t lane) -> Value {
        return vector::ExtractOp::create(e.b, e.loc, addition.element, lane);
      };
      // Distances past the last one share an element: one sum, where each would wait for the one before.
      Value isFirst = e.compare(arith::CmpIPredicate::eq, addition.element, e.splat(elementOf(0)));
      Value isOne = vector::ReductionOp::create(e.b, e.loc, vector::CombiningKind::AND, isFirst);
      auto branch = scf::IfOp::create(e.b, e.loc, isOne, /*withElseRegion=*/true);
      OpBuilder::InsertionGuard guard(e.b);
      e.b.setInsertionPointToStart(branch.thenBlock());
      addTo(e.toIndex(elementOf(0)), e.reduce(vector::CombiningKind::ADD, values));
      e.b.setInsertionPointToStart(branch.elseBlock());
      for (int64_t lane = 0; lane < e.registers.width; ++lane)
        addTo(e.toIndex(elementOf(lane)), vector::ExtractOp::create(e.b, e.loc, values, lane));
    }
  }

private:
  Emitter &e;
  Value sequence, head;
  SmallVector<unsigned> numbers; // of the captured tensors
  SmallVector<Value> places;
  SmallVector<bool> isShared;
  SmallVector<int64_t> partSizes; // elements of a head
};

/// Calls `body(head, number in the group)` for the heads of the query that share `keyHead`; the number is null where
/// there is one.
void forHeads(Emitter &e, AttentionBackwardOp op, Value keyHead, function_ref<void(Value, Value)> body) {
  int64_t heads = op.getHeads(), shared = heads / op.getKeyValueHeadCount();
  if (shared == 1)
    return body(keyHead, {});
  Value first = e.mul(keyHead, e.index(shared));
  e.loop(e.index(0), e.index(shared), 1, [&](Value number) { body(e.add(first, number), number); });
}

void emitTask(Emitter &e, AttentionBackwardOp op, ArrayRef<Value> tile, CapturedGradients &captured) {
  int64_t heads = op.getHeads(), shared = heads / op.getKeyValueHeadCount();
  Value firstHead = shared == 1 ? tile[1] : e.mul(tile[1], e.index(shared));
  AttentionTask task(e, tile[0], firstHead, tile[1], e.placeOf(op.getQueryOffsets()), e.placeOf(op.getKeyOffsets()),
                     AttentionMasks(e, op));
  int64_t queriesPerBlock = task.queriesPerBlock, keysPerBlock = task.keysPerBlock;
  int64_t width = e.registers.width, dK = op.getKeyFeatures(), dV = op.getValueFeatures();
  Value transposedKeys = task.allocateTransposed(dK), transposedValues = task.allocateTransposed(dV),
        keys = task.allocateRows(keysPerBlock, dK), queries = task.allocateRows(queriesPerBlock, dK),
        cotangents = task.allocateRows(queriesPerBlock, dV);
  // P (with dropout) and dS (with the scale): what the three products contract with.
  Value probabilities = task.allocateScores(), differences = task.allocateScores(),
        corrections = e.allocate({queriesPerBlock});
  Value cotangent = e.placeOf(op.getCotangent()), query = e.placeOf(op.getQuery()), key = e.placeOf(op.getKey()),
        value = e.placeOf(op.getValue());
  Value forward = e.placeOf(op.getForwardResult()), logSumExp = e.placeOf(op.getLogSumExp());
  unsigned firstResult = e.kernel.getNumArguments();
  Value dQuery = e.function.getArgument(firstResult), dKey = e.function.getArgument(firstResult + 1),
        dValue = e.function.getArgument(firstResult + 2);
  auto sumsOf = [&](Value gradient, int64_t features) {
    return Emitter::isNarrow(gradient) ? task.allocateRows(keysPerBlock, features) : gradient;
  };
  Value keySums = sumsOf(dKey, dK), valueSums = sumsOf(dValue, dV);
  ProbabilityDropout dropout(e, op.getRandom(), op.getSite(), op.getRate());
  int64_t step = task.stepWidth(static_cast<bool>(dropout));
  double scaleNumber = op.getScale().convertToDouble();
  Value scale = e.splat(scaleNumber);
  // A region is of scores as they are, and between its cotangents and the scale is its derivative.
  ScoreRegion region(e, op.getScore(), op.getCaptures(), task.head);
  double scoreFactor = region ? region.takeScoreFactor() : M_LOG2E;
  bool mayMask = region && region.mayMask(), skips = region && region.masksBlocks();

  // What no block writes is zero: all where the sequence has none of the others, and with masks what is not visible.
  auto clear = [&](Value matrix, Value head, Value start, Value count, int64_t features) {
    e.loop(e.index(0), count, 1, [&](Value i) {
      e.columns(features, 1, [&](Value c, ArrayRef<int64_t> lanes) {
        e.storeVector(e.splat(0), matrix, {e.add(start, i), task.column(head, c, features)}, lanes[0]);
      });
    });
  };
  auto isZero = [&](Value index) { return e.compare(arith::CmpIPredicate::eq, index, e.index(0)); };
  auto clearKeys = [&] {
    clear(dKey, task.keyHead, task.keyStart, task.keyCount, dK);
    clear(dValue, task.keyHead, task.keyStart, task.keyCount, dV);
  };
  task.masks || skips ? clearKeys() : e.when(isZero(task.queryCount), clearKeys);
  e.when(isZero(task.keyCount), [&] {
    forHeads(e, op, task.keyHead,
             [&](Value head, Value) { clear(dQuery, head, task.queryStart, task.queryCount, dK); });
  });

  e.loop(e.index(0), task.keyCount, keysPerBlock, [&](Value keyBegin) {
    Value keysHere = e.min(e.sub(task.keyCount, keyBegin), e.index(keysPerBlock)),
          keyRow = e.add(task.keyStart, keyBegin);
    task.packTransposed(key, dK, keyRow, keysHere, transposedKeys, scaleNumber * scoreFactor);
    task.packTransposed(value, dV, keyRow, keysHere, transposedValues);
    task.copyRows(key, task.keyHead, dK, keyRow, keysHere, keys);
    auto forSums =
        [&](function_ref<void(Value sums, Value gradient, Value row, Value c, int64_t lanes, int64_t features)> body) {
          for (auto [gradient, sums, features] : {std::tuple(dKey, keySums, dK), {dValue, valueSums, dV}})
            if (sums != gradient)
              e.loop(e.index(0), keysHere, 1, [&](Value row) {
                e.columns(features, 1,
                          [&](Value c, ArrayRef<int64_t> lanes) { body(sums, gradient, row, c, lanes[0], features); });
              });
        };
    forSums([&](Value sums, Value, Value row, Value c, int64_t lanes, int64_t) {
      e.storeVector(e.splat(0), sums, {row, c}, lanes);
    });
    forHeads(e, op, task.keyHead, [&](Value head, Value number) {
      task.head = head;
      captured.setHead(head);
      if (region && number)
        region.setHead(head);
      e.loop(e.index(0), task.queryCount, queriesPerBlock, [&](Value queryBegin) {
        Value queryEnd = e.min(e.add(queryBegin, e.index(queriesPerBlock)), task.queryCount);
        Value firstKeys = isZero(keyBegin), firstQueries = task.masks || skips ? Value() : isZero(queryBegin);
        if (firstQueries && number)
          firstQueries = e.make<arith::AndIOp>(firstQueries, isZero(number));
        KeyRange seen = task.inBlock(task.visibleKeys(queryBegin, queryEnd), keyBegin, keysHere);
        auto block = [&] {
          Value rows = e.sub(queryEnd, queryBegin), queryRow = e.add(task.queryStart, queryBegin);
          KeyRange allRows{{}, rows};
          task.copyRows(query, task.head, dK, queryRow, rows, queries);
          task.copyRows(cotangent, task.head, dV, queryRow, rows, cotangents);
          task.scoreProduct(queries, dK, e.index(0), rows, transposedKeys, seen, probabilities);
          task.scoreProduct(cotangents, dV, e.index(0), rows, transposedValues, seen, differences);
          // dS = P (dP - D) with D = sum of dP P = sum of the result times its cotangent.
          e.loop(e.index(0), rows, 1, [&](Value r) {
            Value row = e.add(queryRow, r), products = e.splat(0);
            for (int64_t c = 0; c < dV; c += width) {
              SmallVector<Value> at{row, task.column(task.head, e.index(c), dV)};
              int64_t lanes = std::min(width, dV - c);
              task.prefetchNextHead(forward, task.head, row, e.index(c), dV);
              products = e.fma(e.loadVector(cotangent, at, lanes), e.loadVector(forward, at, lanes), products);
            }
            e.store(e.mul(e.reduce(vector::CombiningKind::ADD, products), e.f32(region ? -1 : -scaleNumber)),
                    corrections, r);
          });
          e.loop(queryBegin, queryEnd, 1, [&](Value i) {
            Value r = e.sub(i, queryBegin), row = e.add(task.queryStart, i);
            KeyRange visible = task.inBlock(task.visibleKeys(i), keyBegin, seen.end);
            Value sum = e.splat(e.mul(e.load(logSumExp, {row, task.head}), e.f32(M_LOG2E)));
            Value d = e.splat(e.load(corrections, r));
            if (region)
              region.setQuery(task.position(i));
            task.overKeys(visible, step, ValueRange(), [&](Value j, bool masked, ValueRange) {
              SmallVector<Value> keeps;
              if (dropout)
                keeps = dropout.keeps(e.add(e.mul(row, e.index(heads)), task.head), e.add(keyBegin, j));
              for (int64_t v = 0; v < step / width; ++v) {
                Value at = e.add(j, e.index(v * width));
                Value s = e.loadVector(probabilities, {r, at}, width), isScore, derivative;
                if (region) {
                  SmallVector<Value> yielded = region.apply(s, e.add(keyBegin, at), M_LOG2E);
                  s = yielded[0];
                  derivative = yielded[1];
                }
                Value p = emitExp2(e, e.sub(s, sum));
                // Lanes past the last key are read by sums over lanes alone; those past the last visible one by
                // products.
                if (mayMask)
                  isScore = region.isScore(s);
                if (masked && (region || task.masks)) {
                  Value seen = task.laneMask(at, visible);
                  isScore = isScore ? e.make<arith::AndIOp>(isScore, seen) : seen;
                }
                if (isScore)
                  p = e.select(isScore, p, e.splat(0));
                Value dp = e.loadVector(differences, {r, at}, width);
                if (dropout)
                  dp = dropout.apply(keeps[v], dp);
                e.storeVector(dropout ? dropout.apply(keeps[v], p) : p, probabilities, {r, at}, width);
                if (region) {
                  // Elsewhere a derivative may be infinite, which no factor of zero undoes.
                  auto ofScores = [&](Value x) { return isScore ? e.select(isScore, x, e.splat(0)) : x; };
                  Value ofScore = e.mul(p, e.add(dp, d));
                  captured.add(region.additions(), ofScore, ofScores);
                  e.storeVector(ofScores(e.mul(ofScore, e.mul(derivative, scale))), differences, {r, at}, width);
                } else {
                  e.storeVector(e.mul(p, e.fma(dp, scale, d)), differences, {r, at}, width);
                }
              }
              return SmallVector<Value>();
            });
            if (task.masks)
              for (Value block : {probabilities, differences})
                task.clearRest(visible, step, seen, block, r);
          });
          auto accumulate = [&](Value gradient, Value sums, Value copied, int64_t features, Value factors) {
            bool inScratch = sums != gradient;
            task.accumulate(
                sums, inScratch ? Value() : task.keyHead, inScratch ? e.index(0) : keyRow, seen, copied, allRows,
                features, [&](Value j, Value i) { return e.load(factors, {i, j}); },
                inScratch ? Value() : firstQueries);
          };
          accumulate(dValue, valueSums, cotangents, dV, probabilities);
          accumulate(dKey, keySums, queries, dK, differences);
          task.accumulate(
              dQuery, task.head, queryRow, allRows, keys, seen, dK,
              [&](Value i, Value j) { return e.load(differences, {i, j}); }, firstKeys);
        };
        // What the first block of keys adds nothing to it sets to zero.
        Value isSeen = task.masks ? task.isAny(seen) : Value();
        if (skips) {
          Value may = task.mayHaveScores(region, queryBegin, queryEnd, seen, keyBegin);
          isSeen = isSeen ? e.make<arith::AndIOp>(isSeen, may) : may;
        }
        isSeen ? e.when(e.make<arith::OrIOp>(isSeen, firstKeys), block) : block();
      });
    });
    forSums([&](Value sums, Value gradient, Value row, Value c, int64_t lanes, int64_t features) {
      SmallVector<Value> to{e.add(keyRow, row), task.column(task.keyHead, c, features)};
      e.storeVector(e.loadVector(sums, {row, c}, lanes), gradient, to, lanes);
    });
  });
}

void emitBackward(Emitter &e, AttentionBackwardOp op) {
  int64_t keyHeads = op.getKeyValueHeadCount();
  SmallVector<Value> tile = e.splitTile({e.index(keyHeads)});
  CapturedGradients captured(e, op, tile[0]);
  bool more = !op.getCapturedGradients().empty(); // whose last row is of no sequence
  if (more) {
    forHeads(e, op, tile[1], [&](Value head, Value) {
      captured.setHead(head);
      captured.clear();
    });
    Value sequences = e.sub(e.dim(e.placeOf(op.getQueryOffsets()), 0), e.index(1));
    e.when(e.compare(arith::CmpIPredicate::slt, tile[0], sequences), [&] { emitTask(e, op, tile, captured); });
  } else {
    emitTask(e, op, tile, captured);
  }
  e.finish({{static_cast<int64_t>(cast<BlockArgument>(op.getQueryOffsets()).getArgNumber()), 0, more ? 0 : -1, 1},
            {-1, keyHeads, 0, 1}});
}
} // namespace

LogicalResult scheduleAttentionBackward(func::FuncOp kernel, const RegisterFile &registers) {
  FailureOr<AttentionBackwardOp> op = backwardOf(kernel);
  if (failed(op))
    return failure();
  Emitter e(kernel, registers);
  emitBackward(e, *op);
  return success();
}
} // namespace mlir::xf
