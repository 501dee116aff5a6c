//===- WarpgroupAttentionHalves.cpp - backward in two halves --------------===//
// Like the form of mma.sync (AttentionTensorCoreBackward.cpp), so that no block adds to another's sums: first a block's
// rows are queries, then they are keys, with scores transposed; the latter twice where a schedule sums the gradients of
// values and keys in turn. Where heads share keys, the second half of a block is of a head of keys, and goes through
// the queries of all of these.
//===----------------------------------------------------------------------===//
#include "WarpgroupAttentionBackward.h"

namespace mlir::xf {
namespace {
class Halves : public WarpgroupBackward {
public:
  Halves(Emitter &e, AttentionBackwardOp op)
      : WarpgroupBackward(e, op, headOf(e, op.getHeads())), sharers(sharersOf(op)),
        results(e, schedule.getStages(), step, valueFeatures) {
    queryBlocks = boxesOf(e, query, WarpgroupRows::blockRows, features);
    cotangentBlocks = boxesOf(e, cotangent, WarpgroupRows::blockRows, valueFeatures);
    keySteps = boxesOf(e, key, step, features);
    valueSteps = boxesOf(e, value, step, valueFeatures);
    resultSteps = boxesOf(e, forward, step, valueFeatures);
    queryGradient = boxesOf(e, e.function.getArgument(e.kernel.getNumArguments()), WarpgroupRows::groupRows, features);
  }

  void emit() {
    e.syncBlock();
    auto roles = xfg::RolesOp::create(e.b, e.loc, 40, 232);
    OpBuilder::InsertionGuard guard(e.b);
    for (auto [region, computes] : {std::pair(&roles.getProducer(), false), {&roles.getConsumers(), true}}) {
      e.b.createBlock(region);
      emit(computes);
    }
  }

private:
  void emit(bool computes);
  Value emitQueries(WarpgroupRows &rows, bool computes);
  /// For the heads that share the block's keys, in their order, of which each is `head` then.
  Values forHeads(ValueRange initial, function_ref<Values(ValueRange)> body);
  Value keyHeadOf(Value number);
  Value headAnew() override;
  /// The gradients of keys and values of a block: all turns after it.
  Values emitKeys(Value number, Value keys, bool computes, ValueRange turns);
  /// The gradients of keys, of values, or of both.
  Value emitKeys(WarpgroupRows &rows, bool computes, Value turn, Value ownTurn, bool ofKeys, bool ofValues);
  void shareStatistics(WarpgroupRows &rows, const Sequence &sequence, Value number, Value turn, Value place,
                       bool withCorrections) override;
  Values addProducts(WarpgroupRows &rows, Value turn, const KeyTiles &tiles, ArrayRef<Value> probabilities,
                     ArrayRef<Value> differences, ValueRange gradients) override;
  void store(WarpgroupRows rows, TileRing &ring, Value turn, Value accumulator, double factor, Value map, Value head,
             int64_t features);

  int64_t sharers; // heads of queries that share one of keys and values
  Value keyHead;   // that the block's queries read
  Value shared;    // the number that forSharers has
  Value queryBlocks, cotangentBlocks, keySteps, valueSteps, resultSteps, queryGradient; // maps
  TileRing results; // the forward's, of the steps' queries
};

void Halves::emit(bool computes) {
  // A causal mask leaves late queries and early keys most, which are those of one block in turn; late ones begin first.
  constexpr int64_t blockRows = WarpgroupRows::blockRows;
  Value queries = e.toI32(e.dim(query, 0)), keys = e.toI32(e.dim(key, 0));
  auto blocksOf = [&](Value rows) {
    return e.make<arith::DivUIOp>(e.add(rows, e.i32(blockRows - 1)), e.i32(blockRows));
  };
  // One block at least, for keys without queries.
  Value blocks = blocksOf(e.add(queries, e.i32(1))),
        number = e.sub(e.sub(blocks, e.i32(1)), e.make<arith::DivUIOp>(e.toI32(e.tile()), e.i32(heads)));
  head = keyHead = headOf(e, heads);
  if (sharers > 1) {
    keyHead = e.make<arith::DivUIOp>(e.toI32(head), e.i32(sharers));
    if (region) // which the other side may have set
      region.setHead(head);
  }
  Value hasQueries = e.compare(arith::CmpIPredicate::slt, e.mul(number, e.i32(blockRows)), queries);
  Values turns = e.choose(
      hasQueries,
      [&] {
        WarpgroupRows rows(e, core, number, queries, computes);
        setFew(rows);
        return Values{emitQueries(rows, computes), e.i32(1)};
      },
      [&] { return Values{e.i32(0), e.i32(0)}; });
  turns.push_back(e.i32(0)); // of the results' ring, whose turns are fewer
  if (sharers == 1) {
    auto loop = scf::ForOp::create(e.b, e.loc, number, blocksOf(keys), blocks, turns);
    OpBuilder::InsertionGuard guard(e.b);
    e.b.setInsertionPointToEnd(loop.getBody());
    Values next = emitKeys(loop.getInductionVar(), keys, computes, loop.getRegionIterArgs());
    scf::YieldOp::create(e.b, e.loc, next);
    return;
  }
  forSharedKeys(e, blocksOf(keys), blocks, heads, sharers, turns, [&](Value number, ValueRange turns) {
    shared = number;
    Values next = emitKeys(e.make<arith::DivUIOp>(number, e.i32(heads)), keys, computes, turns);
    next.insert(next.begin(), std::exchange(shared, Value()));
    return next;
  });
}

Halves::Values Halves::emitKeys(Value number, Value keys, bool computes, ValueRange turns) {
  WarpgroupRows rows(e, core, number, keys, computes);
  setFew(rows);
  Values next(turns);
  auto emit = [&](bool ofKeys, bool ofValues) {
    results.firstTurn = e.sub(next[0], next[2]);
    Value turn = emitKeys(rows, computes, next[0], next[1], ofKeys, ofValues);
    next = {turn, e.add(next[1], e.i32(1)), ofKeys ? e.sub(turn, results.firstTurn) : next[2]};
  };
  if (schedule.getInTurn()) {
    emit(false, true);
    shared = shared ? e.sub(shared, e.i32(sharers)) : Value();
    emit(true, false);
  } else {
    emit(true, true);
  }
  return next;
}

void Halves::store(WarpgroupRows rows, TileRing &ring, Value turn, Value accumulator, double factor, Value map,
                   Value head, int64_t features) {
  Anew anew(rows, isTight);
  Values elements = elementsOf(e, accumulator);
  for (Value &element : elements)
    element = e.mul(element, e.f32(factor));
  rows.store(elements, ring.tile(turn), map, columnOf(head, features));
  ring.release(turn);
}

Value Halves::emitQueries(WarpgroupRows &rows, bool computes) {
  Value zero = e.i32(0);
  if (!computes) {
    own.fill(queryBlocks, rows.begin, columnOf(head, features), zero);
    ownValues.fill(cotangentBlocks, rows.begin, columnOf(head, valueFeatures), zero);
    return rows.forSteps(queryOffsets, keyOffsets, masks, region, /*areKeys=*/false, step, zero,
                         [&](const Sequence &sequence, const ColumnSteps &steps, ValueRange) {
                           return fill(rows, steps, sequence.keyStart, keyHead,
                                       {{&others, keySteps}, {&otherValues, valueSteps}});
                         })[0];
  }
  HeadMatrix cotangents(e, cotangent, heads), forwards(e, forward, heads);
  std::array<Value, 2> sums, corrections;
  for (int64_t number : {0, 1}) {
    const RowBlock::Row &row = rows.rows[number];
    sums[number] = e.where(row.inside, e.b.getF32Type(),
                           [&] { return e.mul(e.load(logSumExp, {e.toIndex(row.number), head}), e.f32(-M_LOG2E)); });
    corrections[number] = rows.correctionOf(number, cotangents, forwards);
  }
  Value ownTile = own.await(zero), ownValueTile = ownValues.await(zero);
  auto stepOf = [&](WarpgroupRows rows, const Sequence &sequence, const ColumnSteps &steps, Step at, Value sum,
                    bool needsMask) {
    Anew anew(rows, isTight);
    at = anewWhereTight(at);
    Value number = at.number, left = rows.own(ownTile, 0, features),
          leftValue = rows.own(ownValueTile, 0, valueFeatures), now = steps.turnOf(e, at);
    Value right = others.await(now);
    Value product = beginProduct(e, left, right, step, Value(), /*transposeB=*/true);
    Value rightValue = otherValues.await(now);
    Value productOfValues = beginProduct(e, leftValue, rightValue, step, Value(), /*transposeB=*/true);
    Values scores = elementsOf(e, awaitProduct(e, 1, product));
    Values derivatives(scores.size());
    for (int64_t own = 0; region && own < 2; ++own) {
      region.setQuery(e.toIndex(sequence.positionOf(e, e.sub(rows.rows[own].number, sequence.queryStart))));
      for (auto [i, score] : llvm::enumerate(scores))
        if (WarpgroupRows::rowOf(i) == own)
          derivatives[i] = applyRegion(score, rows.columnOf(e.mul(number, e.i32(step)), i));
    }
    if (needsMask)
      rows.mask(scores, e.mul(number, e.i32(step)));
    for (auto [i, score] : llvm::enumerate(scores)) {
      score = probability(score, sums[WarpgroupRows::rowOf(i)]);
      if (region) // nothing else needs the probability
        score = region.timesDerivative(score, derivatives[i], score);
    }
    ProbabilityDropout dropout = dropoutOfStep();
    Values kept = dropout ? rows.keeps(dropout, head, heads, e.mul(number, e.i32(step)), step) : Values(step / 2);
    if (dropout && isTight) {
      Value bits = core.bitsOf(kept);
      for (auto [i, keep] : llvm::enumerate(kept))
        keep = core.isSet(bits, static_cast<int64_t>(i));
    }
    Values differences = elementsOf(e, awaitProduct(e, 0, productOfValues));
    otherValues.release(now);
    for (auto [i, difference] : llvm::enumerate(differences))
      difference = gradientOf(scores[i], difference, kept[i], corrections[WarpgroupRows::rowOf(i)]);
    sum = beginProduct(e, fragmentOf(e, differences), right, features, sum, /*transposeB=*/false);
    sum = awaitProduct(e, 0, sum);
    others.release(now);
    return sum;
  };
  Values results = rows.forSteps(
      queryOffsets, keyOffsets, masks, region, /*areKeys=*/false, step, {zero, zeros(features)},
      [&](const Sequence &sequence, const ColumnSteps &steps, ValueRange carried) {
        return rows.forOwn(steps, {&others, &otherValues}, carried, [&](Step &at) {
          return rows.forMasked(steps, at, /*masksBegin=*/masks.window.has_value(), /*masksEnd=*/true, carried,
                                [&](Step now, bool needsMask, ValueRange carried) {
                                  return Values{stepOf(rows, sequence, steps, now, carried[0], needsMask)};
                                });
        });
      });
  store(rows, own, zero, results[1], scale, queryGradient, head, features);
  ownValues.release(zero);
  return results[0];
}

/// Of a step's queries log_sum_exp and D, of the warpgroup's threads two a row, for all of them. There is no branch,
/// since products are on their way.
void Halves::shareStatistics(WarpgroupRows &rows, const Sequence &sequence, Value number, Value turn, Value place,
                             bool withCorrections) {
  constexpr int64_t piece = 8;
  SharedQuery query = sharedQueryOf(rows, sequence, number);
  Value sum = e.load(logSumExp, {query.row, head});
  sum = e.select(query.isQuery, e.mul(sum, e.f32(-M_LOG2E)), e.f32(-std::numeric_limits<float>::infinity()));
  Value begin = e.mul(query.half, e.i32(valueFeatures / 2)), correction = e.f32(0), otherValue, result;
  if (withCorrections)
    otherValue = otherValues.tile(turn), result = results.await(turn);
  // A few at a time, for the registers that they take.
  SmallVector<Type> pieces(2, VectorType::get(piece, e.b.getBF16Type()));
  for (int64_t columns = 0; withCorrections && columns < valueFeatures / 2; columns += 2 * piece) {
    Value column = e.toIndex(e.add(begin, e.i32(columns)));
    auto cotangents = xfg::ReadOp::create(e.b, e.loc, pieces, otherValue, query.inStep, column),
         forwards = xfg::ReadOp::create(e.b, e.loc, pieces, result, query.inStep, column);
    for (auto [x, y] : llvm::zip_equal(cotangents.getResults(), forwards.getResults()))
      for (int64_t pair = 0; pair < piece / 2; ++pair) {
        auto elements = [&](Value vector) {
          auto pairs = VectorType::get(piece / 2, e.b.getI32Type());
          Value bits = vector::BitCastOp::create(e.b, e.loc, pairs, vector);
          return core.widened(vector::ExtractOp::create(e.b, e.loc, bits, pair));
        };
        std::array<Value, 2> a = elements(x), b = elements(y);
        correction = e.fma(a[0], b[0], e.fma(a[1], b[1], correction));
      }
  }
  correction = e.add(correction, e.fromPartner(correction, 1));
  correction = e.select(query.isQuery, correction, e.f32(0));
  Value isFirst = e.compare(arith::CmpIPredicate::eq, query.half, e.i32(0));
  share(query, place, e.select(isFirst, sum, correction));
  if (withCorrections)
    xfg::FenceCopiesOp::create(e.b, e.loc); // what was read here is written by copies next
  rows.meet();
  if (withCorrections)
    results.release(turn);
}

Halves::Values Halves::addProducts(WarpgroupRows &, Value turn, const KeyTiles &tiles, ArrayRef<Value> probabilities,
                                   ArrayRef<Value> differences, ValueRange gradients) {
  Values next(gradients);
  if (tiles.ofValues)
    next.back() = beginProduct(e, fragmentOf(e, probabilities), otherValues.tile(turn), valueFeatures, next.back(),
                               /*transposeB=*/false);
  if (tiles.ofKeys)
    next[0] = beginProduct(e, fragmentOf(e, differences), others.tile(turn), features, next[0], /*transposeB=*/false);
  if (tiles.ofValues) {
    next.back() = awaitProduct(e, tiles.ofKeys ? 1 : 0, next.back());
    otherValues.release(turn);
  }
  if (tiles.ofKeys) {
    next[0] = awaitProduct(e, 0, next[0]);
    others.release(turn);
  }
  return next;
}

Halves::Values Halves::forHeads(ValueRange initial, function_ref<Values(ValueRange)> body) {
  if (sharers == 1)
    return body(initial);
  return forSharers(e, shared, sharers, initial, [&](Value, ValueRange carried) {
    head = e.toIndex(e.make<arith::RemUIOp>(shared, e.i32(heads)));
    if (region)
      region.setHead(head);
    return body(carried);
  });
}

Value Halves::headAnew() {
  return shared && isTight ? e.toIndex(e.make<arith::RemUIOp>(e.anew(shared), e.i32(heads))) : Value();
}

/// Of a group of heads the one of keys, by a number of it.
Value Halves::keyHeadOf(Value number) {
  return e.make<arith::DivUIOp>(e.make<arith::RemUIOp>(number, e.i32(heads)), e.i32(sharers));
}

Value Halves::emitKeys(WarpgroupRows &rows, bool computes, Value turn, Value ownTurn, bool ofKeys, bool ofValues) {
  if (shared)
    keyHead = keyHeadOf(shared);
  if (!computes) {
    own.fill(keyBlocks, rows.begin, columnOf(keyHead, features), ownTurn);
    ownValues.fill(valueBlocks, rows.begin, columnOf(keyHead, valueFeatures), ownTurn);
    SmallVector<std::pair<TileRing *, Value>> rings{{&others, querySteps}, {&otherValues, cotangentSteps}};
    if (ofKeys)
      rings.push_back({&results, resultSteps});
    return forHeads(turn, [&](ValueRange turn) {
      return rows.forSteps(queryOffsets, keyOffsets, masks, region, /*areKeys=*/true, step, turn,
                           [&](const Sequence &sequence, const ColumnSteps &steps, ValueRange) {
                             return fill(rows, steps, sequence.queryStart, head, rings);
                           });
    })[0];
  }
  Value ownTile = own.await(ownTurn), ownValueTile = ownValues.await(ownTurn);
  KeyTiles tiles{ownTile, ownValueTile, ofKeys, ofValues};
  Values initial{turn};
  SmallVector<TileRing *> rings{&others, &otherValues};
  if (ofKeys) {
    initial.push_back(zeros(features));
    rings.push_back(&results);
  }
  if (ofValues)
    initial.push_back(zeros(valueFeatures));
  Values sums = forHeads(initial, [&](ValueRange initial) {
    return rows.forSteps(queryOffsets, keyOffsets, masks, region, /*areKeys=*/true, step, initial,
                         [&](const Sequence &sequence, const ColumnSteps &steps, ValueRange carried) {
                           return rows.forOwn(steps, rings, carried, [&](Step &at) {
                             // Queries past the sequence's end have a log_sum_exp by which they vanish.
                             return rows.forMasked(
                                 steps, at, /*masksBegin=*/true, /*masksEnd=*/masks.window.has_value(), carried,
                                 [&](Step now, bool needsMask, ValueRange carried) {
                                   return stepOfKeys(rows, sequence, steps, now, tiles, carried, needsMask);
                                 });
                           });
                         });
  });
  if (shared)
    keyHead = keyHeadOf(e.sub(shared, e.i32(1)));
  // All of the warpgroup have waited for both tiles once one is stored: of keys that no query sees nothing else tells.
  if (ofKeys)
    store(rows, own, ownTurn, sums[1], scale, keyGradient, keyHead, features);
  if (ofValues)
    store(rows, ownValues, ownTurn, sums.back(), kept, valueGradient, keyHead, valueFeatures);
  if (!ofKeys)
    own.release(ownTurn);
  if (!ofValues)
    ownValues.release(ownTurn);
  return sums[0];
}
} // namespace

void emitWarpgroupAttentionHalves(Emitter &e, AttentionBackwardOp op) {
  Halves(e, op).emit();
  divideByOneInstruction(e);
  e.finish({{static_cast<int64_t>(cast<BlockArgument>(op.getQuery()).getArgNumber()), 0, 1, WarpgroupRows::blockRows},
            {-1, static_cast<int64_t>(op.getHeads()), 0, 1}});
}
} // namespace mlir::xf
