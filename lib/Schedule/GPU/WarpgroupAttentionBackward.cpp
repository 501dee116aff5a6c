//===- WarpgroupAttentionBackward.cpp - its backward on warpgroups --------===//
// A step with keys as rows. Its probabilities and their gradients are left operands of its last products as they lie in
// registers.
//===----------------------------------------------------------------------===//
#include "WarpgroupAttentionBackward.h"
#include "llvm/Support/SaveAndRestore.h"

namespace mlir::xf {

WarpgroupBackward::WarpgroupBackward(Emitter &e, AttentionBackwardOp op, Value head)
    : e(e), op(op), core(e), schedule(e.schedule<WarpgroupAttentionScheduleAttr>()), heads(op.getHeads()), head(head),
      features(op.getKeyFeatures()), valueFeatures(op.getValueFeatures()), masks(e, op),
      dropout(e, op.getRandom(), op.getSite(), op.getRate()), scale(op.getScale().convertToDouble()),
      region(e, op.getScore(), op.getCaptures(), head), isWide(std::max(features, valueFeatures) > 64),
      isTight(isWide || schedule.getInTurn()), productScale(scale * (region ? region.takeScoreFactor() : M_LOG2E)),
      kept(dropout ? 1 / (1 - dropout.rate.convertToDouble()) : 1), cotangent(e.placeOf(op.getCotangent())),
      query(e.placeOf(op.getQuery())), key(e.placeOf(op.getKey())), value(e.placeOf(op.getValue())),
      forward(e.placeOf(op.getForwardResult())), logSumExp(e.placeOf(op.getLogSumExp())),
      queryOffsets(e.placeOf(op.getQueryOffsets())), keyOffsets(e.placeOf(op.getKeyOffsets())),
      own(e, 1, WarpgroupRows::blockRows, features), ownValues(e, 1, WarpgroupRows::blockRows, valueFeatures),
      others(e, schedule.getStages(), step, features), otherValues(e, schedule.getStages(), step, valueFeatures) {
  keyBlocks = boxesOf(e, key, WarpgroupRows::blockRows, features);
  valueBlocks = boxesOf(e, value, WarpgroupRows::blockRows, valueFeatures);
  querySteps = boxesOf(e, query, step, features);
  cotangentSteps = boxesOf(e, cotangent, step, valueFeatures);
  unsigned first = e.kernel.getNumArguments();
  keyGradient = boxesOf(e, e.function.getArgument(first + 1), WarpgroupRows::groupRows, features);
  valueGradient = boxesOf(e, e.function.getArgument(first + 2), WarpgroupRows::groupRows, valueFeatures);
  statistics = allocate({WarpgroupRows::groups * 2, 2, step}, e.b.getF32Type());
  if (masks.lengths)
    lengths = allocate({WarpgroupRows::groups * 2, 2, step}, e.b.getI32Type());
  if (dropout)
    keeps = allocate({WarpgroupRows::groups * 2, 2, 2, step}, e.b.getI32Type());
}

WarpgroupBackward::Values WarpgroupBackward::fill(WarpgroupRows &rows, const ColumnSteps &steps, Value firstRow,
                                                  Value head, ArrayRef<std::pair<TileRing *, Value>> rings) {
  Step at = steps.first();
  rows.forSteps(steps, at, steps.end, {}, [&](Step now, ValueRange) {
    Value row = e.add(firstRow, e.mul(now.number, e.i32(step)));
    for (auto [ring, map] : rings)
      ring->fill(map, row, columnOf(head, ring->type.getColumns()), steps.turnOf(e, now));
    return Values();
  });
  return {steps.turnOf(e, at)};
}

Value WarpgroupBackward::placeOf(WarpgroupRows &rows, Value turn) {
  Value parity = e.make<arith::AndIOp>(turn, e.i32(1));
  return e.toIndex(e.add(e.mul(rows.group, e.i32(2)), parity));
}

/// Draws for a step's queries and the warpgroup's keys what dropout keeps. A counter's four words are of keys 16 apart,
/// so of four warps; to draw for each score by itself would be four times the work, and that more than all products
/// are. Of a query, sixteen counters that begin at a multiple of 64 keys are a row of two numbers: four bits, one a
/// word, for each of eight counters. The warpgroup's keys begin anywhere in the sequence, and are of one or two rows.
void WarpgroupBackward::shareKeeps(ProbabilityDropout dropout, WarpgroupRows &rows, const Sequence &sequence,
                                   Value number, Value place) {
  Value thread = rows.thread(), query = e.make<arith::DivUIOp>(thread, e.i32(2)),
        half = e.make<arith::RemUIOp>(thread, e.i32(2));
  Value row = e.add(e.add(sequence.queryStart, e.mul(number, e.i32(step))), query);
  row = e.add(e.mul(row, e.i32(heads)), e.toI32(head));
  Value first = e.sub(rows.groupBegin, sequence.keyStart), group = e.make<arith::ShRSIOp>(first, e.i32(6));
  auto max = [&](Value x, Value y) -> Value { return e.make<arith::MaxSIOp>(x, y); };
  Value end = e.min(e.add(first, e.i32(WarpgroupRows::groupRows)), sequence.keyCount), begin = max(group, e.i32(0));
  end = max(e.make<arith::ShRSIOp>(e.add(end, e.i32(63)), e.i32(6)), e.add(begin, e.i32(1)));
  e.loop(begin, end, 1, [&](Value each) {
    Value counter = e.add(e.mul(each, e.i32(16)), e.mul(half, e.i32(8))), bits = e.i32(0);
    for (int64_t i = 0; i < 8; ++i)
      for (auto [w, word] : llvm::enumerate(dropout.philox->evaluate(row, e.add(counter, e.i32(i)))))
        bits = e.make<arith::OrIOp>(bits, e.select(dropout.philox->keeps(word, dropout.rate),
                                                   e.i32(int32_t(uint32_t(1) << (4 * i + int64_t(w)))), e.i32(0)));
    e.store(bits, keeps, {place, e.toIndex(e.sub(each, group)), e.toIndex(half), e.toIndex(query)});
  });
}

WarpgroupBackward::KeptKey WarpgroupBackward::keptKeyOf(WarpgroupRows &rows, const Sequence &sequence, Value place,
                                                        int64_t number) {
  Value first = e.sub(rows.groupBegin, sequence.keyStart), group = e.make<arith::ShRSIOp>(first, e.i32(6));
  // Of rows of other sequences, which don't count, the nearest key's, or the warpgroup's first where it has none.
  Value key = e.sub(rows.rows[number].number, sequence.keyStart);
  key = e.make<arith::MaxSIOp>(e.min(key, e.sub(sequence.keyCount, e.i32(1))), e.make<arith::MaxSIOp>(first, e.i32(0)));
  auto bitsOf = [&](int64_t shift, int64_t mask) -> Value {
    return e.make<arith::AndIOp>(e.make<arith::ShRUIOp>(key, e.i32(shift)), e.i32(mask));
  };
  Value own = e.sub(e.make<arith::ShRUIOp>(key, e.i32(6)), group);
  Value bit = e.make<arith::ShLIOp>(e.i32(1), e.add(e.mul(bitsOf(0, 7), e.i32(4)), bitsOf(4, 3)));
  return {{place, e.toIndex(own), e.toIndex(bitsOf(3, 1))}, bit};
}

WarpgroupBackward::SharedQuery WarpgroupBackward::sharedQueryOf(WarpgroupRows &rows, const Sequence &sequence,
                                                                Value number) {
  Value thread = rows.thread(), row = e.make<arith::DivUIOp>(thread, e.i32(2)),
        half = e.make<arith::RemUIOp>(thread, e.i32(2));
  Value query = e.add(e.mul(number, e.i32(step)), row), last = e.sub(sequence.queryCount, e.i32(1));
  return {e.toIndex(row), e.toIndex(e.add(sequence.queryStart, e.min(query, last))),
          e.compare(arith::CmpIPredicate::sle, query, last), half};
}
void WarpgroupBackward::share(const SharedQuery &query, Value place, Value number, Value length) {
  e.store(number, statistics, {place, e.toIndex(query.half), query.inStep});
  if (lengths) // twice the same
    e.store(length ? length : e.load(masks.lengths, query.row), lengths, {place, e.toIndex(query.half), query.inStep});
}

WarpgroupBackward::Values WarpgroupBackward::pairOf(Value array, ArrayRef<Value> row, int64_t n) {
  Values at(row);
  at.push_back(e.toIndex(e.add(core.pair, e.i32(n * 8))));
  auto type = VectorType::get(2, cast<MemRefType>(array.getType()).getElementType());
  Value pair =
      vector::LoadOp::create(e.b, e.loc, type, array, at, /*nontemporal=*/false, llvm::Align(sizeof(float) * 2));
  return {vector::ExtractOp::create(e.b, e.loc, pair, 0), vector::ExtractOp::create(e.b, e.loc, pair, 1)};
}

WarpgroupBackward::Values WarpgroupBackward::stepOfKeys(WarpgroupRows rows, const Sequence &sequence,
                                                        const ColumnSteps &steps, Step at, const KeyTiles &tiles,
                                                        ValueRange gradients, bool needsMask) {
  Anew anew(rows, isTight);
  at = anewWhereTight(at);
  Value own = headAnew();
  llvm::SaveAndRestore restoresHead(head, own ? own : head);
  Value number = at.number, left = rows.own(tiles.keys, 0, features),
        leftValue = rows.own(tiles.values, 0, valueFeatures), now = steps.turnOf(e, at), place = placeOf(rows, now);
  if (dropout)
    shareKeeps(dropoutOfStep(), rows, sequence, number, place);
  Value right = others.await(now);
  Value product = beginProduct(e, left, right, step, Value(), /*transposeB=*/true);
  Value rightValue = otherValues.await(now);
  auto beginProductOfValues = [&] {
    return beginProduct(e, leftValue, rightValue, step, Value(), /*transposeB=*/true);
  };
  bool isLate = isWide && tiles.ofValues; // the product of values
  Value productOfValues = tiles.ofKeys && !isLate ? beginProductOfValues() : Value();
  shareStatistics(rows, sequence, number, now, place, tiles.ofKeys);
  // What is read for the columns comes while products are on their way; or as late as it can, where registers are few.
  bool readsEarly = !isTight && !dropout && !region && !lengths;
  auto readPairs = [&](int64_t kind) {
    SmallVector<Values> pairs;
    for (int64_t n = 0; n < step / 8; ++n)
      pairs.push_back(pairOf(statistics, {place, e.index(kind)}, n));
    return pairs;
  };
  SmallVector<Values> sums, corrections;
  if (readsEarly) {
    sums = readPairs(0);
    if (tiles.ofKeys)
      corrections = readPairs(1);
  }
  Values scores = elementsOf(e, awaitProduct(e, productOfValues ? 1 : 0, product)), derivatives(scores.size());
  if (!tiles.ofKeys)
    others.release(now);
  for (size_t i = 0; region && i < scores.size(); ++i) {
    if (WarpgroupRows::rowOf(i) == 0) // whose neighbour in the other row is of the same query
      for (int64_t own : {0, 1}) {
        if (own == 0)
          region.setQuery(e.toIndex(sequence.positionOf(e, rows.columnOf(e.mul(number, e.i32(step)), i))));
        size_t at = i + 2 * own;
        derivatives[at] = applyRegion(scores[at], e.sub(rows.rows[own].number, sequence.keyStart));
      }
  }
  if (needsMask)
    rows.mask(scores, e.mul(number, e.i32(step)));
  for (int64_t n = 0; n < step / 8; ++n) {
    Values sum = readsEarly ? sums[n] : pairOf(statistics, {place, e.index(0)}, n), ends;
    if (lengths)
      ends = pairOf(lengths, {place, e.index(0)}, n);
    for (int64_t i = 4 * n; i < 4 * n + 4; ++i) {
      if (lengths) {
        Value key = e.sub(rows.rows[WarpgroupRows::rowOf(i)].number, sequence.keyStart);
        scores[i] = e.select(e.compare(arith::CmpIPredicate::slt, key, ends[i % 2]), scores[i],
                             e.f32(-std::numeric_limits<float>::infinity()));
      }
      scores[i] = probability(scores[i], sum[i % 2]);
    }
  }
  if (tiles.ofKeys && isLate)
    productOfValues = beginProductOfValues();
  SmallVector<KeptKey> keys;
  for (int64_t own = 0; dropout && own < 2; ++own)
    keys.push_back(keptKeyOf(rows, sequence, place, own));
  Values differences(scores.size());
  if (tiles.ofKeys)
    differences = elementsOf(e, awaitProduct(e, 0, productOfValues));
  if (!tiles.ofValues)
    otherValues.release(now);
  for (int64_t n = 0; n < step / 8; ++n) {
    Values correction(2), words[2];
    if (tiles.ofKeys)
      correction = readsEarly ? corrections[n] : pairOf(statistics, {place, e.index(1)}, n);
    for (auto [key, word] : llvm::zip(keys, words))
      word = pairOf(keeps, key.row, n);
    for (int64_t i = 4 * n; i < 4 * n + 4; ++i) {
      int64_t own = WarpgroupRows::rowOf(i);
      Value keep;
      if (dropout)
        keep = e.compare(arith::CmpIPredicate::ne, e.make<arith::AndIOp>(words[own][i % 2], keys[own].bit), e.i32(0));
      if (tiles.ofKeys)
        differences[i] = gradientOf(scores[i], differences[i], keep, correction[i % 2]);
      if (tiles.ofKeys && region)
        differences[i] = region.timesDerivative(differences[i], derivatives[i], scores[i]);
      if (keep)
        scores[i] = e.select(keep, scores[i], e.f32(0));
    }
  }
  return addProducts(rows, now, tiles, scores, differences, gradients);
}
} // namespace mlir::xf
