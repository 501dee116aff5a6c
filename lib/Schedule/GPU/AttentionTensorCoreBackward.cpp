//===- AttentionTensorCoreBackward.cpp - its backward on tensor cores -----===//
// FlashAttention-2 (Dao 2023), in two halves that each compute probabilities again from log_sum_exp: a block first sums
// the gradient of its queries over their keys, then those of its keys and values over their queries, with scores
// transposed, so that every sum is one warp's and no block adds to another's. A causal mask leaves late queries and
// early keys most, which are those of one block in turn. Sums leave few registers: the schedule says how to save some.
// Where heads share keys, the second half of a block is of a head of keys, and goes through the queries of all of
// these.
//===----------------------------------------------------------------------===//
#include "AttentionTensorCore.h"
#include <cmath>

namespace mlir::xf {
namespace {
class Backward {
public:
  Backward(Emitter &e, AttentionBackwardOp op)
      : e(e), op(op), core(e), schedule(e.schedule<TensorCoreAttentionScheduleAttr>()), heads(op.getHeads()),
        sharers(sharersOf(op)), cotangent(matrixOf(op.getCotangent())), query(matrixOf(op.getQuery())),
        key(matrixOf(op.getKey(), sharers)), value(matrixOf(op.getValue(), sharers)),
        forward(matrixOf(op.getForwardResult())), logSumExp(e.placeOf(op.getLogSumExp())),
        keySteps(llvm::divideCeil(key.features, 16)), valueSteps(llvm::divideCeil(value.features, 16)),
        together(std::max(key.features, value.features) > 64 ? 2 : 4), masks(e, op),
        dropout(e, op.getRandom(), op.getSite(), op.getRate()),
        region(e, op.getScore(), op.getCaptures(), headOf(e, heads)), copied(e, key.features, value.features),
        scale(op.getScale().convertToDouble()), kept(dropout ? 1 / (1 - dropout.rate.convertToDouble()) : 1),
        isScaled(region || scale <= 0), factor(M_LOG2E * (isScaled ? 1 : scale)),
        queryOffsets(e.placeOf(op.getQueryOffsets())), keyOffsets(e.placeOf(op.getKeyOffsets())),
        statistics(e.allocateShared({copied.stages, 2, CopiedRows::step})), isTight(schedule.getTight()),
        inTurn(schedule.getInTurn()), heldSteps(std::min<int64_t>(valueSteps, std::max<int64_t>(12 - keySteps, 4))),
        keptBits(dropout ? e.allocateShared({copied.stages, 2 * drawn, CopiedRows::step / 32}, e.b.getI32Type())
                         : Value()) {
    if (heldSteps < valueSteps)
      rest.emplace(e, CopiedRows::step, value.features - heldSteps * 16);
  }

  void emit(Value dQuery, Value dKey, Value dValue) {
    constexpr int64_t rowsPerBlock = tensorCoreWarps * 16;
    Value queries = e.toI32(e.dim(e.placeOf(op.getQuery()), 0)), keys = e.toI32(e.dim(e.placeOf(op.getKey()), 0));
    auto blocksOf = [&](Value rows) {
      return e.make<arith::DivUIOp>(e.add(rows, e.i32(rowsPerBlock - 1)), e.i32(rowsPerBlock));
    };
    // One block at least, for keys without queries; late ones begin first.
    Value blocks = blocksOf(e.add(queries, e.i32(1))),
          number = e.sub(e.sub(blocks, e.i32(1)), e.toI32(e.splitTile({e.index(heads)})[0]));
    e.when(e.compare(arith::CmpIPredicate::slt, e.mul(number, e.i32(rowsPerBlock)), queries), [&] {
      RowBlock block(e, core, number, queries, 1);
      block.isTight = isTight;
      emitQueries(block, HeadMatrix(e, dQuery, heads));
    });
    auto emitKeysOf = [&](Value number) {
      RowBlock block(e, core, number, keys, 1);
      block.isTight = isTight;
      HeadMatrix keyGradient(e, dKey, heads, sharers), valueGradient(e, dValue, heads, sharers);
      if (inTurn) {
        emitKeys(block, nullptr, &valueGradient);
        shared = shared ? e.sub(shared, e.i32(sharers)) : Value();
        emitKeys(block, &keyGradient, nullptr);
      } else {
        emitKeys(block, &keyGradient, &valueGradient);
      }
    };
    if (sharers == 1) {
      auto loop = scf::ForOp::create(e.b, e.loc, number, blocksOf(keys), blocks);
      OpBuilder::InsertionGuard guard(e.b);
      e.b.setInsertionPoint(loop.getBody()->getTerminator());
      emitKeysOf(loop.getInductionVar());
      return;
    }
    forSharedKeys(e, blocksOf(keys), blocks, heads, sharers, {}, [&](Value number, ValueRange) {
      shared = number;
      emitKeysOf(e.make<arith::DivUIOp>(number, e.i32(heads)));
      return SmallVector<Value>{shared};
    });
  }

private:
  static constexpr int64_t columns = CopiedRows::step / 8; // of 8
  static constexpr int64_t drawn = 64;                     // keys for which dropout draws together

  HeadMatrix matrixOf(Value tensor, int64_t sharers = 1) { return HeadMatrix(e, e.placeOf(tensor), heads, sharers); }
  void emitQueries(RowBlock &block, HeadMatrix dQuery);
  /// The gradients of both, or of one of them.
  void emitKeys(RowBlock &block, const HeadMatrix *dKey, const HeadMatrix *dValue);
  /// For the heads that share the block's keys, in their order, of which each is `head` then.
  SmallVector<Value> forHeads(ValueRange initial, function_ref<SmallVector<Value>(ValueRange)> body);
  /// By a number of a group its head of keys; null where each head has its own.
  Value keyHeadOf(Value number) {
    return number ? e.make<arith::DivUIOp>(e.make<arith::RemUIOp>(number, e.i32(heads)), e.i32(sharers)) : Value();
  }
  /// Of the queries (i32).
  Value headNow() { return head ? head : e.toI32(headOf(e, heads)); }
  void copyStatistics(Value row, Value count, Value stage, bool withCorrections);
  /// For every step: the ten rounds' keys would take registers from the products.
  ProbabilityDropout dropoutReadAnew() { return {e, op.getRandom(), op.getSite(), op.getRate()}; }
  void drawKeeps(Value firstKey, Value row, Value stage);

  SmallVector<Fragment> loadLefts(RowBlock &block, const HeadMatrix &matrix, int64_t steps) {
    SmallVector<Fragment> result;
    for (int64_t k = 0; k < steps; ++k)
      result.push_back(core.loadLeft(matrix, {block.rows[0].number, block.rows[1].number},
                                     {block.rows[0].inside, block.rows[1].inside}, k * 16));
    return result;
  }
  /// Rows of the block: what a warp has of them in registers, and where it reads the rest, in `rest`.
  struct HeldRows {
    SmallVector<Fragment> fragments;
    Value place;
  };
  HeldRows hold(RowBlock &block, const HeadMatrix &matrix, int64_t steps) {
    HeldRows held{loadLefts(block, matrix, steps), {}};
    if (steps < valueSteps) {
      core.waitForCopies(); // of those of the rows before, where they had no step
      e.syncBlock();        // others may still read them
      core.copyRows(matrix.from(steps * 16), block.begin, e.sub(block.end, block.begin), *rest);
      core.commitCopies(); // what comes next waits for all copies
      held.place = core.placeOfLeftAt(*rest, e.mul(e.toI32(e.warp()), e.i32(16)));
    }
    return held;
  }
  /// The products of rows (`left`, and what comes after it at `leftPlace`) and those of a tile that columns `first` ..
  /// first + together * 8 are.
  SmallVector<Fragment> scoresOf(ArrayRef<Fragment> left, const SharedRows &rows, Value place, int64_t first,
                                 Value leftPlace = {}) {
    SmallVector<Fragment> scores(together, core.zeros());
    int64_t held = left.size(), steps = llvm::divideCeil(rows.features, 16);
    for (int64_t k = 0; k < steps; ++k) {
      Fragment fragment = k < held ? left[k] : core.load(*rest, leftPlace, 0, (k - held) * 16, /*transposed=*/false);
      for (int64_t n = 0; n < together; n += 2) {
        Fragment right = core.load(rows, place, (first + n) * 8, k * 16, /*transposed=*/false);
        core.multiply(scores[n], fragment, right[0], right[1]);
        core.multiply(scores[n + 1], fragment, right[2], right[3]);
      }
    }
    return scores;
  }
  /// sums += scores times the tile's rows that their columns are.
  void accumulate(MutableArrayRef<Fragment> sums, ArrayRef<Fragment> scores, const SharedRows &rows, Value place,
                  int64_t first) {
    for (int64_t k = 0; k < together / 2; ++k) {
      Fragment left = core.leftOf(scores[2 * k], scores[2 * k + 1]);
      for (size_t n = 0; n < sums.size(); n += 2) {
        Fragment right = core.load(rows, place, first * 8 + k * 16, n * 8, /*transposed=*/true);
        core.multiply(sums[n], left, right[0], right[1]);
        core.multiply(sums[n + 1], left, right[2], right[3]);
      }
    }
  }
  /// A row's log_sum_exp in powers of two, with the other sign.
  Value shiftOf(Value row, Value inside) {
    return e.where(inside, e.b.getF32Type(),
                   [&] { return e.mul(e.load(logSumExp, {e.toIndex(row), e.toIndex(headNow())}), e.f32(-M_LOG2E)); });
  }
  /// What a score has become, to be multiplied by `factor`, and the derivative where there is a region, whose query is
  /// set.
  std::pair<Value, Value> scoreOf(Value product, Value keyNumber) {
    Value scaled = isScaled ? e.mul(product, e.f32(scale)) : product;
    if (!region)
      return {scaled, Value()};
    SmallVector<Value> yielded = region.applyTo(scaled, keyNumber);
    return {yielded[0], yielded[1]};
  }
  Value probabilityOf(Value score, Value shift) { return core.exp2(e.fma(score, e.f32(factor), shift)); }
  void store(RowBlock &block, const HeadMatrix &matrix, ArrayRef<Fragment> sums, double factor) {
    Anew anew(block, isTight);
    for (auto [number, row] : llvm::enumerate(block.rows))
      for (auto [n, sum] : llvm::enumerate(sums))
        core.storePair(matrix, row.number, row.inside, n * 8, e.mul(sum[number * 2], e.f32(factor)),
                       e.mul(sum[number * 2 + 1], e.f32(factor)));
  }
  /// The scores where a mask is needed, -inf where a row does not see a column.
  void maskWhere(Value needsMask, RowBlock &block, SmallVector<Fragment> &scores, Value column, int64_t first) {
    scores = fragmentsOf(e.choose(
        needsMask,
        [&] {
          SmallVector<Fragment> result = scores;
          for (auto [n, score] : llvm::enumerate(result))
            for (int64_t i = 0; i < 4; ++i)
              score[i] = block.masked(score[i], i / 2, column, (first + n) * 8 + i % 2);
          return flattened(result);
        },
        [&] { return flattened(scores); }));
  }

  Emitter &e;
  AttentionBackwardOp op;
  TensorCore core;
  TensorCoreAttentionScheduleAttr schedule;
  int64_t heads, sharers; // of the queries, and how many of them share one of keys and values
  Value head;             // of queries, where that is not the block's
  Value shared;           // the number that forSharers has
  HeadMatrix cotangent, query, key, value, forward;
  Value logSumExp;
  int64_t keySteps, valueSteps, together; // columns of 8 whose scores are computed together
  AttentionMasks masks;
  ProbabilityDropout dropout;
  ScoreRegion region;
  CopiedRows copied; // keys and values, then queries and cotangents
  double scale, kept;
  bool isScaled; // before a mask is looked at, which leaves -inf
  double factor; // that makes powers of two of scores
  Value queryOffsets, keyOffsets;
  Value statistics; // of queries: log_sum_exp in powers of two, and D, as in emitQueries
  // Whether sums and what they are made of leave few registers: what depends on the thread's number is computed where
  // it is used then, and what dropout keeps are bits.
  bool isTight;
  // Whether the gradients of values and of keys are summed one after the other: registers don't hold both of the widest
  // heads besides dropout's bits, what a region computes, or numbers that are copied singly.
  bool inTurn;
  int64_t heldSteps; // of values, and in turn of cotangents: those that a warp has in registers
  std::optional<SharedRows> rest;
  Value keptBits; // of keys: a bit a query that dropout keeps
};

void Backward::emitQueries(RowBlock &block, HeadMatrix dQuery) {
  SmallVector<Fragment> queries = loadLefts(block, query, keySteps);
  HeldRows cotangents = hold(block, cotangent, inTurn ? heldSteps : valueSteps);
  // What is kept of probabilities and their gradients is multiplied by 1 / (1 - rate) at the end, so D is divided by
  // it.
  SmallVector<Value> shifts, corrections;
  for (auto [number, row] : llvm::enumerate(block.rows)) {
    shifts.push_back(shiftOf(row.number, row.inside));
    corrections.push_back(e.mul(block.correctionOf(number, cotangent, forward), e.f32(1 / kept)));
  }
  SmallVector<Fragment> zeros(keySteps * 2, core.zeros());
  auto step = [&](const Sequence &sequence, Value keyBegin, Value stage, Value needsMask, ValueRange carried) {
    SmallVector<Fragment> gradient = fragmentsOf(carried);
    Value firstKey = e.add(keyBegin, core.pair);
    Value keyPlace = core.placeOfRight(copied.first, /*transposed=*/false, stage),
          keyPlaceTransposed = core.placeOfRight(copied.first, /*transposed=*/true, stage),
          valuePlace = core.placeOfRight(copied.second, /*transposed=*/false, stage);
    SmallVector<SmallVector<Value>> keeps; // of each row
    SmallVector<Value> bits;
    for (const RowBlock::Row &row : dropout ? ArrayRef(block.rows) : ArrayRef<RowBlock::Row>()) {
      ProbabilityDropout again = isTight ? dropoutReadAnew() : dropout;
      Value philoxRow = e.add(e.mul(row.number, e.i32(heads)), headNow());
      keeps.push_back(keepsOfStep(e, core, again, philoxRow, keyBegin));
      if (isTight)
        bits.push_back(core.bitsOf(keeps.back()));
    }
    auto isKept = [&](int64_t number, int64_t i) { return isTight ? core.isSet(bits[number], i) : keeps[number][i]; };
    for (int64_t first = 0; first < columns; first += together) {
      SmallVector<Fragment> scores = scoresOf(queries, copied.first, keyPlace, first), derivatives = scores;
      for (auto [number, row] : llvm::enumerate(block.rows)) {
        if (region)
          region.setQuery(e.toIndex(sequence.positionOf(e, e.sub(row.number, sequence.queryStart))));
        for (int64_t n = 0; n < together; ++n)
          for (int64_t c = 0; c < 2; ++c) {
            int64_t i = number * 2 + c;
            std::tie(scores[n][i], derivatives[n][i]) =
                scoreOf(scores[n][i], e.add(firstKey, e.i32((first + n) * 8 + c)));
          }
      }
      maskWhere(needsMask, block, scores, firstKey, first);
      SmallVector<Fragment> differences =
          scoresOf(cotangents.fragments, copied.second, valuePlace, first, cotangents.place);
      for (auto [number, row] : llvm::enumerate(block.rows)) {
        for (int64_t n = 0; n < together; ++n)
          for (int64_t c = 0; c < 2; ++c) {
            int64_t i = number * 2 + c;
            Value p = probabilityOf(scores[n][i], shifts[number]), dP = differences[n][i];
            if (dropout)
              dP = e.select(isKept(number, (first + n) * 2 + c), dP, e.f32(0));
            Value difference = e.mul(p, e.sub(dP, corrections[number]));
            differences[n][i] = region ? region.timesDerivative(difference, derivatives[n][i], p) : difference;
          }
      }
      accumulate(gradient, differences, copied.first, keyPlaceTransposed, first);
    }
    return flattened(gradient);
  };
  SmallVector<Value> results =
      block.forKeys(queryOffsets, keyOffsets, masks, region, key, value, copied, flattened(zeros), step);
  store(block, dQuery, fragmentsOf(results), scale * kept);
}

/// Of a step's queries, for all threads. Two threads share a row's features.
void Backward::copyStatistics(Value row, Value count, Value stage, bool withCorrections) {
  static_assert(tensorCoreWarps * 32 == 2 * CopiedRows::step, "two threads a row");
  Value thread = e.toI32(e.thread()), inStep = e.make<arith::DivUIOp>(thread, e.i32(2)),
        half = e.make<arith::RemUIOp>(thread, e.i32(2));
  Value inside = e.compare(arith::CmpIPredicate::slt, inStep, count), from = e.add(row, inStep);
  Value shift = shiftOf(from, inside), correction = shift;
  if (withCorrections) {
    correction = core.partOfDot(cotangent, forward, from, inside, half);
    correction = e.mul(e.add(correction, e.fromPartner(correction, 1)), e.f32(1 / kept));
  }
  Value isFirst = e.compare(arith::CmpIPredicate::eq, half, e.i32(0));
  e.store(e.select(isFirst, shift, correction), statistics,
          {stage ? e.toIndex(stage) : e.index(0), e.toIndex(half), e.toIndex(inStep)});
}

/// Of a step's queries and the block's keys, from the group of 64 on that `firstKey` is in: which probabilities dropout
/// keeps. A counter's four words are of keys 16 apart; a thread draws for a query, and a warp's words are a key's bits.
void Backward::drawKeeps(Value firstKey, Value row, Value stage) {
  static_assert(tensorCoreWarps == 2 * CopiedRows::step / 32, "two warps for 32 queries");
  constexpr int64_t words = 4, together = 2, counters = drawn / words / 2;
  ProbabilityDropout dropout = dropoutReadAnew();
  Value warp = e.toI32(e.warp()), lane = e.laneNumbers();
  Value part = e.make<arith::DivUIOp>(warp, e.i32(2)),
        firstCounter = e.mul(e.make<arith::RemUIOp>(warp, e.i32(2)), e.i32(counters));
  Value query = e.add(e.add(row, e.mul(part, e.i32(32))), lane);
  Value philoxRow = e.add(e.mul(query, e.i32(heads)), headNow());
  Value inGroup = e.make<arith::AndIOp>(firstKey, e.i32(drawn - 1));
  Value column = e.make<arith::ShRSIOp>(e.sub(firstKey, inGroup), e.i32(2));
  // What a thread stores is of the key that its lane says.
  Value ownKey = e.add(e.make<arith::DivUIOp>(lane, e.i32(words)),
                       e.mul(e.make<arith::RemUIOp>(lane, e.i32(words)), e.i32(drawn / words)));
  Value isAligned = e.compare(arith::CmpIPredicate::eq, inGroup, e.i32(0));
  Value end = e.select(isAligned, e.i32(counters), e.i32(2 * counters));
  e.loop(e.i32(0), end, together, [&](Value turn) {
    // Its counters in the first group, then those in the second.
    Value group = e.make<arith::DivUIOp>(turn, e.i32(counters)),
          counter = e.add(firstCounter, e.make<arith::RemUIOp>(turn, e.i32(counters)));
    Value bits;
    for (int64_t i = 0; i < together; ++i) {
      Value number = e.add(e.add(column, e.mul(group, e.i32(drawn / words))), e.add(counter, e.i32(i)));
      for (auto [w, word] : llvm::enumerate(dropout.philox->evaluate(philoxRow, number))) {
        Value kept = e.ballot(dropout.philox->keeps(word, dropout.rate));
        Value isOwn = e.compare(arith::CmpIPredicate::eq, lane, e.i32(i * words + w));
        bits = bits ? e.select(isOwn, kept, bits) : kept;
      }
    }
    e.when(e.compare(arith::CmpIPredicate::slt, lane, e.i32(together * words)), [&] {
      Value key = e.add(e.add(e.mul(group, e.i32(drawn)), counter), ownKey);
      e.store(bits, keptBits, {stage ? e.toIndex(stage) : e.index(0), e.toIndex(key), e.toIndex(part)});
    });
  });
}

SmallVector<Value> Backward::forHeads(ValueRange initial, function_ref<SmallVector<Value>(ValueRange)> body) {
  if (sharers == 1)
    return body(initial);
  return forSharers(e, shared, sharers, initial, [&](Value number, ValueRange carried) {
    head = e.make<arith::RemUIOp>(number, e.i32(heads));
    for (HeadMatrix *matrix : {&cotangent, &query, &forward})
      *matrix = matrix->of(head);
    if (region)
      region.setHead(e.toIndex(head));
    return body(carried);
  });
}

void Backward::emitKeys(RowBlock &block, const HeadMatrix *dKey, const HeadMatrix *dValue) {
  Value keyHead = keyHeadOf(shared);
  SmallVector<Fragment> keys = loadLefts(block, key.of(keyHead), keySteps);
  HeldRows held = dKey ? hold(block, value.of(keyHead), heldSteps) : HeldRows();
  int64_t keySums = dKey ? keySteps * 2 : 0, valueSums = dValue ? valueSteps * 2 : 0;
  SmallVector<Fragment> zeros(keySums + valueSums, core.zeros());
  auto addHead = [&](ValueRange sums) {
    return block.forSequences(
        keyOffsets, queryOffsets, keyOffsets, sums, [&](const Sequence &sequence, ValueRange carried) {
          return block.forColumns(
              sequence, masks, region, /*areKeys=*/true, copied, carried,
              [&](Value queryBegin, Value stage) {
                Value row = e.add(sequence.queryStart, queryBegin), count = e.sub(sequence.queryCount, queryBegin);
                core.copyRows(query, row, count, copied.first, stage);
                core.copyRows(cotangent, row, count, copied.second, stage);
                copyStatistics(row, count, stage, dKey);
                if (dropout)
                  drawKeeps(e.sub(block.begin, sequence.keyStart), row, stage);
              },
              [&](Value queryBegin, Value stage, Value needsMask, ValueRange carried) {
                SmallVector<Fragment> gradients = fragmentsOf(carried);
                MutableArrayRef<Fragment> keyGradient = MutableArrayRef(gradients).take_front(keySums),
                                          valueGradient = MutableArrayRef(gradients).drop_front(keySums);
                Value firstQuery = e.add(queryBegin, core.pair);
                Value queryPlace = core.placeOfRight(copied.first, /*transposed=*/false, stage),
                      queryPlaceTransposed = core.placeOfRight(copied.first, /*transposed=*/true, stage),
                      cotangentPlace = core.placeOfRight(copied.second, /*transposed=*/false, stage),
                      cotangentPlaceTransposed = core.placeOfRight(copied.second, /*transposed=*/true, stage);
                Value stageIndex = stage ? e.toIndex(stage) : e.index(0), pairIndex = e.toIndex(core.pair);
                for (int64_t first = 0; first < columns; first += together) {
                  SmallVector<Fragment> scores = scoresOf(keys, copied.first, queryPlace, first), derivatives = scores;
                  SmallVector<Value> keyNumbers;
                  for (RowBlock::Row &row : block.rows)
                    keyNumbers.push_back(e.sub(row.number, sequence.keyStart));
                  SmallVector<Value> bits; // of a row those of the thread's queries
                  for (Value key : dropout ? ArrayRef(keyNumbers) : ArrayRef<Value>()) {
                    Value firstKey = e.sub(block.begin, sequence.keyStart);
                    Value at = e.sub(key, e.make<arith::AndIOp>(firstKey, e.i32(-drawn)));
                    Value all = e.load(keptBits, {stageIndex, e.toIndex(at), e.index(first * 8 / 32)});
                    bits.push_back(e.make<arith::ShRUIOp>(all, core.pair));
                  }
                  auto queryOf = [&](int64_t n, int64_t c) { return e.add(firstQuery, e.i32((first + n) * 8 + c)); };
                  for (int64_t n = 0; n < together; ++n)
                    for (int64_t c = 0; c < 2; ++c) {
                      if (region)
                        region.setQuery(e.toIndex(sequence.positionOf(e, queryOf(n, c))));
                      Value length;
                      if (masks.lengths) {
                        Value last = e.sub(sequence.queryCount, e.i32(1));
                        length =
                            e.load(masks.lengths, e.toIndex(e.add(sequence.queryStart, e.min(queryOf(n, c), last))));
                      }
                      for (int64_t number = 0; number < 2; ++number) {
                        int64_t i = number * 2 + c;
                        std::tie(scores[n][i], derivatives[n][i]) = scoreOf(scores[n][i], keyNumbers[number]);
                        if (length)
                          scores[n][i] = e.select(e.compare(arith::CmpIPredicate::slt, keyNumbers[number], length),
                                                  scores[n][i], e.f32(-std::numeric_limits<float>::infinity()));
                      }
                    }
                  maskWhere(needsMask, block, scores, firstQuery, first);
                  SmallVector<Fragment> differences(together, core.zeros());
                  if (dKey)
                    differences = scoresOf(held.fragments, copied.second, cotangentPlace, first, held.place);
                  for (int64_t n = 0; n < together; ++n)
                    for (int64_t c = 0; c < 2; ++c) {
                      Value at = e.add(pairIndex, e.index((first + n) * 8 + c));
                      Value shift = e.load(statistics, {stageIndex, e.index(0), at}),
                            correction = e.load(statistics, {stageIndex, e.index(1), at});
                      for (int64_t number = 0; number < 2; ++number) {
                        int64_t i = number * 2 + c;
                        Value p = probabilityOf(scores[n][i], shift), dP = differences[n][i];
                        scores[n][i] = p;
                        if (dropout) {
                          Value keep = core.isSet(bits[number], (first + n) * 8 % 32 + c);
                          scores[n][i] = e.select(keep, p, e.f32(0));
                          dP = e.select(keep, dP, e.f32(0));
                        }
                        Value difference = e.mul(p, e.sub(dP, correction));
                        differences[n][i] =
                            region ? region.timesDerivative(difference, derivatives[n][i], p) : difference;
                      }
                    }
                  if (dValue)
                    accumulate(valueGradient, scores, copied.second, cotangentPlaceTransposed, first);
                  if (dKey)
                    accumulate(keyGradient, differences, copied.first, queryPlaceTransposed, first);
                }
                return flattened(gradients);
              });
        });
  };
  SmallVector<Fragment> gradients = fragmentsOf(forHeads(flattened(zeros), addHead));
  keyHead = shared ? keyHeadOf(e.sub(shared, e.i32(1))) : Value();
  if (dKey)
    store(block, dKey->of(keyHead), ArrayRef(gradients).take_front(keySums), scale * kept);
  if (dValue)
    store(block, dValue->of(keyHead), ArrayRef(gradients).drop_front(keySums), kept);
}
} // namespace

void emitAttentionBackwardTensorCore(Emitter &e, AttentionBackwardOp op) {
  unsigned first = e.kernel.getNumArguments();
  Backward(e, op).emit(e.function.getArgument(first), e.function.getArgument(first + 1),
                       e.function.getArgument(first + 2));
  e.finish({{static_cast<int64_t>(cast<BlockArgument>(op.getQuery()).getArgNumber()), 0, 1, tensorCoreWarps * 16},
            {-1, static_cast<int64_t>(op.getHeads()), 0, 1}});
}
} // namespace mlir::xf
