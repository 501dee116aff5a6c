//===- WarpgroupAttentionBackward.cpp - its backward on warpgroups --------===//
// In two halves like the form of mma.sync (AttentionTensorCoreBackward.cpp), so that no block adds to another's sums:
// first a block's rows are queries, then they are keys, with scores transposed. Either way a step's probabilities and
// their gradients are the left operands of its last products as they lie in registers.
//===----------------------------------------------------------------------===//
#include "WarpgroupAttention.h"
#include <cmath>

namespace mlir::xf {
namespace {
class Backward {
public:
  Backward(Emitter &e, AttentionBackwardOp op)
      : e(e), op(op), core(e), schedule(e.schedule<WarpgroupAttentionScheduleAttr>()), heads(op.getHeads()),
        tile(e.splitTile({e.index(heads)})), head(tile[1]), features(featuresOf(op.getQuery())),
        valueFeatures(featuresOf(op.getValue())), masks(e, op), scale(op.getScale().convertToDouble()),
        cotangent(e.placeOf(op.getCotangent())), query(e.placeOf(op.getQuery())), key(e.placeOf(op.getKey())),
        value(e.placeOf(op.getValue())), forward(e.placeOf(op.getForwardResult())),
        logSumExp(e.placeOf(op.getLogSumExp())), queryOffsets(e.placeOf(op.getQueryOffsets())),
        keyOffsets(e.placeOf(op.getKeyOffsets())), own(e, 1, WarpgroupRows::blockRows, features),
        ownValues(e, 1, WarpgroupRows::blockRows, valueFeatures), others(e, schedule.getStages(), step, features),
        otherValues(e, schedule.getStages(), step, valueFeatures),
        results(e, schedule.getStages(), step, valueFeatures) {
    for (auto [matrix, blocks, steps] : {std::tuple(query, &queryBlocks, &querySteps),
                                         {cotangent, &cotangentBlocks, &cotangentSteps},
                                         {key, &keyBlocks, &keySteps},
                                         {value, &valueBlocks, &valueSteps}}) {
      *blocks = e.tensorMap(matrix, WarpgroupRows::blockRows, 64);
      *steps = e.tensorMap(matrix, step, 64);
    }
    resultSteps = e.tensorMap(forward, step, 64);
    unsigned first = e.kernel.getNumArguments();
    for (Value *map : {&queryGradient, &keyGradient, &valueGradient})
      *map = e.tensorMap(e.function.getArgument(first++), WarpgroupRows::groupRows, 64);
    statistics = e.allocateShared({WarpgroupRows::groups * 2, 2, step});
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
  static constexpr int64_t step = 64; // columns
  using Values = SmallVector<Value>;

  int64_t featuresOf(Value matrix) { return cast<RankedTensorType>(matrix.getType()).getDimSize(1) / heads; }
  Value columnOf(int64_t features) { return e.mul(e.toI32(head), e.i32(features)); }
  void emit(bool computes);
  Value emitQueries(WarpgroupRows &rows, bool computes);
  Value emitKeys(WarpgroupRows &rows, bool computes, Value turn, Value ownTurn);
  /// Fills the rings of a step's rows by maps of them.
  void fill(const ColumnSteps &steps, Value firstRow, ArrayRef<std::pair<TileRing *, Value>> rings);
  Value shareStatistics(WarpgroupRows &rows, const Sequence &sequence, Value number, Value turn);
  Values statisticsOf(Value place, int64_t kind);
  void store(WarpgroupRows &rows, TileRing &ring, Value turn, Value accumulator, double factor, Value map,
             int64_t features);
  /// Of a score and its row's negative log_sum_exp, the latter in powers of two.
  Value probability(Value score, Value negativeSum) {
    return core.exp2(e.fma(score, e.f32(scale * M_LOG2E), negativeSum));
  }
  Value zeros(int64_t features) { return accumulatorOf(e, Values(features / 2, e.f32(0))); }

  Emitter &e;
  AttentionBackwardOp op;
  TensorCore core;
  WarpgroupAttentionScheduleAttr schedule;
  int64_t heads;
  Values tile;
  Value head;
  int64_t features, valueFeatures;
  AttentionMasks masks;
  double scale;
  Value cotangent, query, key, value, forward, logSumExp, queryOffsets, keyOffsets;
  Value queryBlocks, cotangentBlocks, keyBlocks, valueBlocks, querySteps, cotangentSteps, keySteps, valueSteps,
      resultSteps, queryGradient, keyGradient, valueGradient; // maps
  TileRing own, ownValues;      // the block's queries and their cotangents, then keys and values
  TileRing others, otherValues; // the steps' keys and values, then queries and cotangents
  TileRing results;             // and the forward's results
  Value statistics;             // of a step's queries, twice a warpgroup: negative log_sum_exp, and D
};

void Backward::emit(bool computes) {
  // A causal mask leaves late queries and early keys most, which are those of one block in turn; late ones begin first.
  constexpr int64_t blockRows = WarpgroupRows::blockRows;
  Value queries = e.dim(query, 0), keys = e.dim(key, 0);
  // One block at least, for keys without queries.
  Value blocks = e.ceilDiv(e.add(queries, e.index(1)), blockRows), number = e.sub(e.sub(blocks, e.index(1)), tile[0]);
  Value hasQueries = e.compare(arith::CmpIPredicate::slt, e.mul(number, e.index(blockRows)), queries);
  Values turns = e.choose(
      hasQueries,
      [&] {
        WarpgroupRows rows(e, core, number, queries, computes);
        return Values{emitQueries(rows, computes), e.i32(1)};
      },
      [&] { return Values{e.i32(0), e.i32(0)}; });
  results.firstTurn = turns[0];
  auto loop = scf::ForOp::create(e.b, e.loc, number, e.ceilDiv(keys, blockRows), blocks, turns);
  OpBuilder::InsertionGuard guard(e.b);
  e.b.setInsertionPointToEnd(loop.getBody());
  WarpgroupRows rows(e, core, loop.getInductionVar(), keys, computes);
  Value turn = emitKeys(rows, computes, loop.getRegionIterArg(0), loop.getRegionIterArg(1));
  scf::YieldOp::create(e.b, e.loc, ValueRange{turn, e.add(loop.getRegionIterArg(1), e.i32(1))});
}

void Backward::fill(const ColumnSteps &steps, Value firstRow, ArrayRef<std::pair<TileRing *, Value>> rings) {
  e.loop(steps.begin, steps.end, 1, [&](Value number) {
    Value row = e.add(firstRow, e.mul(number, e.i32(step)));
    for (auto [ring, map] : rings)
      ring->fill(map, row, columnOf(ring->type.getColumns()), steps.turnOf(e, number));
  });
}

void Backward::store(WarpgroupRows &rows, TileRing &ring, Value turn, Value accumulator, double factor, Value map,
                     int64_t features) {
  Values elements = elementsOf(e, accumulator);
  for (Value &element : elements)
    element = e.mul(element, e.f32(factor));
  rows.store(elements, ring.tile(turn), map, columnOf(features));
  ring.release(turn);
}

Value Backward::emitQueries(WarpgroupRows &rows, bool computes) {
  Value zero = e.i32(0);
  if (!computes) {
    own.fill(queryBlocks, rows.begin, columnOf(features), zero);
    ownValues.fill(cotangentBlocks, rows.begin, columnOf(valueFeatures), zero);
    return rows.forSteps(queryOffsets, keyOffsets, masks, /*areKeys=*/false, step, zero,
                         [&](const Sequence &sequence, const ColumnSteps &steps, ValueRange) {
                           fill(steps, sequence.keyStart, {{&others, keySteps}, {&otherValues, valueSteps}});
                           return Values();
                         })[0];
  }
  HeadMatrix cotangents(e, cotangent, head, heads), forwards(e, forward, head, heads);
  std::array<Value, 2> sums, corrections;
  for (int64_t number : {0, 1}) {
    const RowBlock::Row &row = rows.rows[number];
    sums[number] = e.where(row.inside, e.b.getF32Type(),
                           [&] { return e.mul(e.load(logSumExp, {e.toIndex(row.number), head}), e.f32(-M_LOG2E)); });
    corrections[number] = rows.correctionOf(number, cotangents, forwards);
  }
  Value left = rows.own(own.await(zero), 0, features), leftValue = rows.own(ownValues.await(zero), 0, valueFeatures);
  auto stepOf = [&](const ColumnSteps &steps, Value number, Value sum, bool needsMask) {
    Value now = steps.turnOf(e, number);
    Value right = others.await(now);
    Value product = beginProduct(e, left, right, step, Value(), /*transposeB=*/true);
    Value rightValue = otherValues.await(now);
    Value productOfValues = beginProduct(e, leftValue, rightValue, step, Value(), /*transposeB=*/true);
    Values scores = elementsOf(e, awaitProduct(e, 1, product));
    if (needsMask)
      rows.mask(scores, e.mul(number, e.i32(step)));
    for (auto [i, score] : llvm::enumerate(scores))
      score = probability(score, sums[WarpgroupRows::rowOf(i)]);
    Values differences = elementsOf(e, awaitProduct(e, 0, productOfValues));
    otherValues.release(now);
    for (auto [i, difference] : llvm::enumerate(differences))
      difference = e.mul(scores[i], e.sub(difference, corrections[WarpgroupRows::rowOf(i)]));
    sum = beginProduct(e, fragmentOf(e, differences), right, features, sum, /*transposeB=*/false);
    sum = awaitProduct(e, 0, sum);
    others.release(now);
    return sum;
  };
  Values results =
      rows.forSteps(queryOffsets, keyOffsets, masks, /*areKeys=*/false, step, {zero, zeros(features)},
                    [&](const Sequence &, const ColumnSteps &steps, ValueRange carried) {
                      return rows.forOwn(steps, {&others, &otherValues}, carried, [&] {
                        Values sum(carried);
                        for (auto [begin, end, needsMask] :
                             {std::tuple(steps.ownBegin, steps.clearEnd, false), {steps.clearEnd, steps.ownEnd, true}})
                          sum = e.loop(begin, end, 1, sum, [&](Value number, ValueRange carried) {
                            return Values{stepOf(steps, number, carried[0], needsMask)};
                          });
                        return sum;
                      });
                    });
  store(rows, own, zero, results[1], scale, queryGradient, features);
  ownValues.release(zero);
  return results[0];
}

/// Of a step's queries log_sum_exp and D, of the warpgroup's threads two a row, for all of them; where they are. There
/// is no branch, since products are on their way.
Value Backward::shareStatistics(WarpgroupRows &rows, const Sequence &sequence, Value number, Value turn) {
  constexpr int64_t piece = 8;
  Value thread = rows.thread(), row = e.make<arith::DivUIOp>(thread, e.i32(2)),
        half = e.make<arith::RemUIOp>(thread, e.i32(2));
  Value inStep = e.toIndex(row), query = e.add(e.mul(number, e.i32(step)), row);
  Value last = e.sub(sequence.queryCount, e.i32(1)), isQuery = e.compare(arith::CmpIPredicate::sle, query, last);
  Value sum = e.load(logSumExp, {e.toIndex(e.add(sequence.queryStart, e.min(query, last))), head});
  sum = e.select(isQuery, e.mul(sum, e.f32(-M_LOG2E)), e.f32(-std::numeric_limits<float>::infinity()));
  Value column = e.toIndex(e.mul(half, e.i32(valueFeatures / 2))), correction = e.f32(0);
  SmallVector<Type> pieces(valueFeatures / 2 / piece, VectorType::get(piece, e.b.getBF16Type()));
  auto cotangents = xfg::ReadOp::create(e.b, e.loc, pieces, otherValues.tile(turn), inStep, column),
       forwards = xfg::ReadOp::create(e.b, e.loc, pieces, results.await(turn), inStep, column);
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
  correction = e.add(correction, e.fromPartner(correction, 1));
  correction = e.select(isQuery, correction, e.f32(0));
  // What others still read is of the turn before.
  Value parity = e.make<arith::AndIOp>(e.sub(turn, results.firstTurn), e.i32(1));
  Value place = e.toIndex(e.add(e.mul(rows.group, e.i32(2)), parity));
  Value isFirst = e.compare(arith::CmpIPredicate::eq, half, e.i32(0));
  e.store(e.select(isFirst, sum, correction), statistics, {place, e.toIndex(half), inStep});
  rows.meet();
  results.release(turn);
  return place;
}

/// The ones (0) or the others (1) of a thread's columns.
SmallVector<Value> Backward::statisticsOf(Value place, int64_t kind) {
  Values values;
  for (int64_t column = 0; column < step; column += 8) {
    Value at = e.toIndex(e.add(core.pair, e.i32(column)));
    Value pair = vector::LoadOp::create(e.b, e.loc, VectorType::get(2, e.b.getF32Type()), statistics,
                                        ValueRange{place, e.index(kind), at}, /*nontemporal=*/false, llvm::Align(8));
    for (int64_t i : {0, 1})
      values.push_back(vector::ExtractOp::create(e.b, e.loc, pair, i));
  }
  return values;
}

Value Backward::emitKeys(WarpgroupRows &rows, bool computes, Value turn, Value ownTurn) {
  if (!computes) {
    own.fill(keyBlocks, rows.begin, columnOf(features), ownTurn);
    ownValues.fill(valueBlocks, rows.begin, columnOf(valueFeatures), ownTurn);
    return rows.forSteps(queryOffsets, keyOffsets, masks, /*areKeys=*/true, step, turn,
                         [&](const Sequence &sequence, const ColumnSteps &steps, ValueRange) {
                           fill(steps, sequence.queryStart,
                                {{&others, querySteps}, {&otherValues, cotangentSteps}, {&results, resultSteps}});
                           return Values();
                         })[0];
  }
  Value left = rows.own(own.await(ownTurn), 0, features),
        leftValue = rows.own(ownValues.await(ownTurn), 0, valueFeatures);
  auto stepOf = [&](const Sequence &sequence, const ColumnSteps &steps, Value number, ValueRange gradients,
                    bool needsMask) {
    Value now = steps.turnOf(e, number);
    Value right = others.await(now);
    Value product = beginProduct(e, left, right, step, Value(), /*transposeB=*/true);
    Value rightValue = otherValues.await(now);
    Value productOfValues = beginProduct(e, leftValue, rightValue, step, Value(), /*transposeB=*/true);
    Value place = shareStatistics(rows, sequence, number, now);
    /// Of an accumulator's element the number in its thread's columns.
    auto columnOf = [](int64_t i) { return i / 4 * 2 + i % 2; };
    Values sums = statisticsOf(place, 0), scores = elementsOf(e, awaitProduct(e, 1, product));
    if (needsMask)
      rows.mask(scores, e.mul(number, e.i32(step)));
    for (auto [i, score] : llvm::enumerate(scores))
      score = probability(score, sums[columnOf(i)]);
    // Not before, for the registers that they take.
    Values differences = elementsOf(e, awaitProduct(e, 0, productOfValues)), corrections = statisticsOf(place, 1);
    for (auto [i, difference] : llvm::enumerate(differences))
      difference = e.mul(scores[i], e.sub(difference, corrections[columnOf(i)]));
    Value ofValues =
        beginProduct(e, fragmentOf(e, scores), rightValue, valueFeatures, gradients[1], /*transposeB=*/false);
    Value ofKeys = beginProduct(e, fragmentOf(e, differences), right, features, gradients[0], /*transposeB=*/false);
    ofValues = awaitProduct(e, 1, ofValues);
    otherValues.release(now);
    ofKeys = awaitProduct(e, 0, ofKeys);
    others.release(now);
    return Values{ofKeys, ofValues};
  };
  Values sums = rows.forSteps(
      queryOffsets, keyOffsets, masks, /*areKeys=*/true, step, {turn, zeros(features), zeros(valueFeatures)},
      [&](const Sequence &sequence, const ColumnSteps &steps, ValueRange carried) {
        return rows.forOwn(steps, {&others, &otherValues, &results}, carried, [&] {
          Values sums(carried);
          // Those past the sequence's end have a log_sum_exp by which they vanish.
          for (auto [begin, end, needsMask] :
               {std::tuple(steps.ownBegin, steps.clearBegin, true), {steps.clearBegin, steps.ownEnd, false}})
            sums = e.loop(begin, end, 1, sums, [&](Value number, ValueRange carried) {
              return stepOf(sequence, steps, number, carried, needsMask);
            });
          return sums;
        });
      });
  store(rows, own, ownTurn, sums[1], scale, keyGradient, features);
  store(rows, ownValues, ownTurn, sums[2], 1, valueGradient, valueFeatures);
  return sums[0];
}
} // namespace

void emitWarpgroupAttentionBackward(Emitter &e, AttentionBackwardOp op) {
  Backward(e, op).emit();
  e.finish({{static_cast<int64_t>(cast<BlockArgument>(op.getQuery()).getArgNumber()), 0, 1, WarpgroupRows::blockRows},
            {-1, static_cast<int64_t>(op.getHeads()), 0, 1}});
}
} // namespace mlir::xf
