//===- WarpgroupAttentionBackward.cpp - its backward on warpgroups --------===//
// In two halves like the form of mma.sync (AttentionTensorCoreBackward.cpp), so that no block adds to another's sums:
// first a block's rows are queries, then they are keys, with scores transposed; the latter twice where a schedule sums
// the gradients of values and keys in turn. Either way a step's probabilities and their gradients are the left operands
// of its last products as they lie in registers.
//===----------------------------------------------------------------------===//
#include "WarpgroupAttention.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include <cmath>

namespace mlir::xf {
namespace {
class Backward {
public:
  Backward(Emitter &e, AttentionBackwardOp op)
      : e(e), op(op), core(e), schedule(e.schedule<WarpgroupAttentionScheduleAttr>()), heads(op.getHeads()),
        head(headOf(e, heads)), features(featuresOf(op.getQuery())), valueFeatures(featuresOf(op.getValue())),
        masks(e, op), dropout(e, op.getRandom(), op.getSite(), op.getRate()), scale(op.getScale().convertToDouble()),
        region(e, op.getScore(), op.getCaptures(), head), isWide(std::max(features, valueFeatures) > 64),
        isTight(isWide || schedule.getInTurn()), productScale(scale * (region ? region.takeScoreFactor() : M_LOG2E)),
        kept(dropout ? 1 / (1 - dropout.rate.convertToDouble()) : 1), cotangent(e.placeOf(op.getCotangent())),
        query(e.placeOf(op.getQuery())), key(e.placeOf(op.getKey())), value(e.placeOf(op.getValue())),
        forward(e.placeOf(op.getForwardResult())), logSumExp(e.placeOf(op.getLogSumExp())),
        queryOffsets(e.placeOf(op.getQueryOffsets())), keyOffsets(e.placeOf(op.getKeyOffsets())),
        own(e, 1, WarpgroupRows::blockRows, features), ownValues(e, 1, WarpgroupRows::blockRows, valueFeatures),
        others(e, schedule.getStages(), step, features), otherValues(e, schedule.getStages(), step, valueFeatures),
        results(e, schedule.getStages(), step, valueFeatures) {
    for (auto [matrix, width, blocks, steps] : {std::tuple(query, features, &queryBlocks, &querySteps),
                                                {cotangent, valueFeatures, &cotangentBlocks, &cotangentSteps},
                                                {key, features, &keyBlocks, &keySteps},
                                                {value, valueFeatures, &valueBlocks, &valueSteps}}) {
      *blocks = boxesOf(e, matrix, WarpgroupRows::blockRows, width);
      *steps = boxesOf(e, matrix, step, width);
    }
    resultSteps = boxesOf(e, forward, step, valueFeatures);
    unsigned first = e.kernel.getNumArguments();
    for (auto [map, width] :
         {std::pair(&queryGradient, features), {&keyGradient, features}, {&valueGradient, valueFeatures}})
      *map = boxesOf(e, e.function.getArgument(first++), WarpgroupRows::groupRows, width);
    statistics = allocate({WarpgroupRows::groups * 2, 2, step}, e.b.getF32Type());
    if (masks.lengths)
      lengths = allocate({WarpgroupRows::groups * 2, 2, step}, e.b.getI32Type());
    if (dropout)
      keeps = allocate({WarpgroupRows::groups * 2, 2, 2, step}, e.b.getI32Type());
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
  /// The gradients of keys, of values, or of both.
  Value emitKeys(WarpgroupRows &rows, bool computes, Value turn, Value ownTurn, bool ofKeys, bool ofValues);
  /// Fills the rings of a step's rows by maps of them. Gives the turn that comes next.
  Values fill(WarpgroupRows &rows, const ColumnSteps &steps, Value firstRow,
              ArrayRef<std::pair<TileRing *, Value>> rings);
  void shareStatistics(WarpgroupRows &rows, const Sequence &sequence, Value number, Value turn, Value place,
                       bool withCorrections);
  /// Of a row of an array for all columns of a step, two of the thread's: those of its elements 4 n and more.
  Values pairOf(Value array, ArrayRef<Value> row, int64_t n);
  Value placeOf(WarpgroupRows &rows, Value turn);
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
  void store(WarpgroupRows rows, TileRing &ring, Value turn, Value accumulator, double factor, Value map,
             int64_t features);
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
  Value queryBlocks, cotangentBlocks, keyBlocks, valueBlocks, querySteps, cotangentSteps, keySteps, valueSteps,
      resultSteps, queryGradient, keyGradient, valueGradient; // maps
  TileRing own, ownValues;      // the block's queries and their cotangents, then keys and values
  TileRing others, otherValues; // the steps' keys and values, then queries and cotangents
  TileRing results;             // and the forward's results
  // Twice a warpgroup: of a step's queries negative log_sum_exp, and D; the keys that they see; and what dropout keeps
  // (see shareKeeps).
  Value statistics, lengths, keeps;
};

void Backward::emit(bool computes) {
  // A causal mask leaves late queries and early keys most, which are those of one block in turn; late ones begin first.
  constexpr int64_t blockRows = WarpgroupRows::blockRows;
  Value queries = e.toI32(e.dim(query, 0)), keys = e.toI32(e.dim(key, 0));
  auto blocksOf = [&](Value rows) {
    return e.make<arith::DivUIOp>(e.add(rows, e.i32(blockRows - 1)), e.i32(blockRows));
  };
  // One block at least, for keys without queries.
  Value blocks = blocksOf(e.add(queries, e.i32(1))),
        number = e.sub(e.sub(blocks, e.i32(1)), e.make<arith::DivUIOp>(e.toI32(e.tile()), e.i32(heads)));
  head = headOf(e, heads);
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
  auto loop = scf::ForOp::create(e.b, e.loc, number, blocksOf(keys), blocks, turns);
  OpBuilder::InsertionGuard guard(e.b);
  e.b.setInsertionPointToEnd(loop.getBody());
  WarpgroupRows rows(e, core, loop.getInductionVar(), keys, computes);
  setFew(rows);
  Values next(loop.getRegionIterArgs());
  auto emit = [&](bool ofKeys, bool ofValues) {
    results.firstTurn = e.sub(next[0], next[2]);
    Value turn = emitKeys(rows, computes, next[0], next[1], ofKeys, ofValues);
    next = {turn, e.add(next[1], e.i32(1)), ofKeys ? e.sub(turn, results.firstTurn) : next[2]};
  };
  if (schedule.getInTurn()) {
    emit(false, true);
    emit(true, false);
  } else {
    emit(true, true);
  }
  scf::YieldOp::create(e.b, e.loc, next);
}

Backward::Values Backward::fill(WarpgroupRows &rows, const ColumnSteps &steps, Value firstRow,
                                ArrayRef<std::pair<TileRing *, Value>> rings) {
  Step at = steps.first();
  rows.forSteps(steps, at, steps.end, {}, [&](Step now, ValueRange) {
    Value row = e.add(firstRow, e.mul(now.number, e.i32(step)));
    for (auto [ring, map] : rings)
      ring->fill(map, row, columnOf(ring->type.getColumns()), steps.turnOf(e, now));
    return Values();
  });
  return {steps.turnOf(e, at)};
}

void Backward::store(WarpgroupRows rows, TileRing &ring, Value turn, Value accumulator, double factor, Value map,
                     int64_t features) {
  Anew anew(rows, isTight);
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
    return rows.forSteps(queryOffsets, keyOffsets, masks, region, /*areKeys=*/false, step, zero,
                         [&](const Sequence &sequence, const ColumnSteps &steps, ValueRange) {
                           return fill(rows, steps, sequence.keyStart,
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
  store(rows, own, zero, results[1], scale, queryGradient, features);
  ownValues.release(zero);
  return results[0];
}

/// Where a warpgroup's threads share numbers in a turn. What others still read is of the turn before.
Value Backward::placeOf(WarpgroupRows &rows, Value turn) {
  Value parity = e.make<arith::AndIOp>(turn, e.i32(1));
  return e.toIndex(e.add(e.mul(rows.group, e.i32(2)), parity));
}

/// Draws for a step's queries and the warpgroup's keys what dropout keeps. A counter's four words are of keys 16 apart,
/// so of four warps; to draw for each score by itself would be four times the work, and that more than all products
/// are. Of a query, sixteen counters that begin at a multiple of 64 keys are a row of two numbers: four bits, one a
/// word, for each of eight counters. The warpgroup's keys begin anywhere in the sequence, and are of one or two rows.
void Backward::shareKeeps(ProbabilityDropout dropout, WarpgroupRows &rows, const Sequence &sequence, Value number,
                          Value place) {
  Value thread = rows.thread(), query = e.make<arith::DivUIOp>(thread, e.i32(2)),
        half = e.make<arith::RemUIOp>(thread, e.i32(2));
  Value row = e.add(e.add(sequence.queryStart, e.mul(number, e.i32(step))), query);
  row = e.add(e.mul(row, e.i32(heads)), e.toI32(head));
  Value first = e.sub(rows.groupBegin, sequence.keyStart), group = e.make<arith::ShRSIOp>(first, e.i32(6));
  auto max = [&](Value x, Value y) -> Value { return e.make<arith::MaxSIOp>(x, y); };
  Value end = e.min(e.add(first, e.i32(WarpgroupRows::groupRows)), sequence.keyCount);
  e.loop(max(group, e.i32(0)), e.make<arith::ShRSIOp>(e.add(end, e.i32(63)), e.i32(6)), 1, [&](Value each) {
    Value counter = e.add(e.mul(each, e.i32(16)), e.mul(half, e.i32(8))), bits = e.i32(0);
    for (int64_t i = 0; i < 8; ++i)
      for (auto [w, word] : llvm::enumerate(dropout.philox->evaluate(row, e.add(counter, e.i32(i)))))
        bits = e.make<arith::OrIOp>(bits, e.select(dropout.philox->keeps(word, dropout.rate),
                                                   e.i32(int32_t(uint32_t(1) << (4 * i + int64_t(w)))), e.i32(0)));
    e.store(bits, keeps, {place, e.toIndex(e.sub(each, group)), e.toIndex(half), e.toIndex(query)});
  });
}

Backward::KeptKey Backward::keptKeyOf(WarpgroupRows &rows, const Sequence &sequence, Value place, int64_t number) {
  Value first = e.sub(rows.groupBegin, sequence.keyStart), group = e.make<arith::ShRSIOp>(first, e.i32(6));
  // Of rows of other sequences, which don't count, the nearest key's.
  Value key = e.sub(rows.rows[number].number, sequence.keyStart);
  key = e.make<arith::MaxSIOp>(e.min(key, e.sub(sequence.keyCount, e.i32(1))), e.i32(0));
  auto bitsOf = [&](int64_t shift, int64_t mask) -> Value {
    return e.make<arith::AndIOp>(e.make<arith::ShRUIOp>(key, e.i32(shift)), e.i32(mask));
  };
  Value own = e.sub(e.make<arith::ShRUIOp>(key, e.i32(6)), group);
  Value bit = e.make<arith::ShLIOp>(e.i32(1), e.add(e.mul(bitsOf(0, 7), e.i32(4)), bitsOf(4, 3)));
  return {{place, e.toIndex(own), e.toIndex(bitsOf(3, 1))}, bit};
}

/// Of a step's queries log_sum_exp and D, of the warpgroup's threads two a row, for all of them. There is no branch,
/// since products are on their way.
void Backward::shareStatistics(WarpgroupRows &rows, const Sequence &sequence, Value number, Value turn, Value place,
                               bool withCorrections) {
  constexpr int64_t piece = 8;
  Value thread = rows.thread(), row = e.make<arith::DivUIOp>(thread, e.i32(2)),
        half = e.make<arith::RemUIOp>(thread, e.i32(2));
  Value inStep = e.toIndex(row), query = e.add(e.mul(number, e.i32(step)), row);
  Value last = e.sub(sequence.queryCount, e.i32(1)), isQuery = e.compare(arith::CmpIPredicate::sle, query, last);
  Value sum = e.load(logSumExp, {e.toIndex(e.add(sequence.queryStart, e.min(query, last))), head});
  sum = e.select(isQuery, e.mul(sum, e.f32(-M_LOG2E)), e.f32(-std::numeric_limits<float>::infinity()));
  Value begin = e.mul(half, e.i32(valueFeatures / 2)), correction = e.f32(0), otherValue, result;
  if (withCorrections)
    otherValue = otherValues.tile(turn), result = results.await(turn);
  // A few at a time, for the registers that they take.
  SmallVector<Type> pieces(2, VectorType::get(piece, e.b.getBF16Type()));
  for (int64_t columns = 0; withCorrections && columns < valueFeatures / 2; columns += 2 * piece) {
    Value column = e.toIndex(e.add(begin, e.i32(columns)));
    auto cotangents = xfg::ReadOp::create(e.b, e.loc, pieces, otherValue, inStep, column),
         forwards = xfg::ReadOp::create(e.b, e.loc, pieces, result, inStep, column);
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
  correction = e.select(isQuery, correction, e.f32(0));
  Value isFirst = e.compare(arith::CmpIPredicate::eq, half, e.i32(0));
  e.store(e.select(isFirst, sum, correction), statistics, {place, e.toIndex(half), inStep});
  if (lengths) // twice the same
    e.store(e.load(masks.lengths, e.toIndex(e.add(sequence.queryStart, e.min(query, last)))), lengths,
            {place, e.toIndex(half), inStep});
  if (withCorrections)
    xfg::FenceCopiesOp::create(e.b, e.loc); // what was read here is written by copies next
  rows.meet();
  if (withCorrections)
    results.release(turn);
}

Backward::Values Backward::pairOf(Value array, ArrayRef<Value> row, int64_t n) {
  Values at(row);
  at.push_back(e.toIndex(e.add(core.pair, e.i32(n * 8))));
  auto type = VectorType::get(2, cast<MemRefType>(array.getType()).getElementType());
  Value pair =
      vector::LoadOp::create(e.b, e.loc, type, array, at, /*nontemporal=*/false, llvm::Align(sizeof(float) * 2));
  return {vector::ExtractOp::create(e.b, e.loc, pair, 0), vector::ExtractOp::create(e.b, e.loc, pair, 1)};
}

Value Backward::emitKeys(WarpgroupRows &rows, bool computes, Value turn, Value ownTurn, bool ofKeys, bool ofValues) {
  if (!computes) {
    own.fill(keyBlocks, rows.begin, columnOf(features), ownTurn);
    ownValues.fill(valueBlocks, rows.begin, columnOf(valueFeatures), ownTurn);
    return rows.forSteps(queryOffsets, keyOffsets, masks, region, /*areKeys=*/true, step, turn,
                         [&](const Sequence &sequence, const ColumnSteps &steps, ValueRange) {
                           SmallVector<std::pair<TileRing *, Value>> rings{{&others, querySteps},
                                                                           {&otherValues, cotangentSteps}};
                           if (ofKeys)
                             rings.push_back({&results, resultSteps});
                           return fill(rows, steps, sequence.queryStart, rings);
                         })[0];
  }
  Value ownTile = own.await(ownTurn), ownValueTile = ownValues.await(ownTurn);
  auto stepOf = [&](WarpgroupRows rows, const Sequence &sequence, const ColumnSteps &steps, Step at,
                    ValueRange gradients, bool needsMask) {
    Anew anew(rows, isTight);
    at = anewWhereTight(at);
    Value number = at.number, left = rows.own(ownTile, 0, features),
          leftValue = rows.own(ownValueTile, 0, valueFeatures), now = steps.turnOf(e, at), place = placeOf(rows, now);
    if (dropout)
      shareKeeps(dropoutOfStep(), rows, sequence, number, place);
    Value right = others.await(now);
    Value product = beginProduct(e, left, right, step, Value(), /*transposeB=*/true);
    Value rightValue = otherValues.await(now);
    auto beginProductOfValues = [&] {
      return beginProduct(e, leftValue, rightValue, step, Value(), /*transposeB=*/true);
    };
    bool isLate = isWide && ofValues; // the product of values
    Value productOfValues = ofKeys && !isLate ? beginProductOfValues() : Value();
    shareStatistics(rows, sequence, number, now, place, ofKeys);
    Values scores = elementsOf(e, awaitProduct(e, productOfValues ? 1 : 0, product)), derivatives(scores.size());
    if (!ofKeys)
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
    // What is read for the columns comes as late as it can, for the registers that it takes.
    for (int64_t n = 0; n < step / 8; ++n) {
      Values sums = pairOf(statistics, {place, e.index(0)}, n), ends;
      if (lengths)
        ends = pairOf(lengths, {place, e.index(0)}, n);
      for (int64_t i = 4 * n; i < 4 * n + 4; ++i) {
        if (lengths) {
          Value key = e.sub(rows.rows[WarpgroupRows::rowOf(i)].number, sequence.keyStart);
          scores[i] = e.select(e.compare(arith::CmpIPredicate::slt, key, ends[i % 2]), scores[i],
                               e.f32(-std::numeric_limits<float>::infinity()));
        }
        scores[i] = probability(scores[i], sums[i % 2]);
      }
    }
    if (ofKeys && isLate)
      productOfValues = beginProductOfValues();
    SmallVector<KeptKey> keys;
    for (int64_t own = 0; dropout && own < 2; ++own)
      keys.push_back(keptKeyOf(rows, sequence, place, own));
    Values differences(scores.size());
    if (ofKeys)
      differences = elementsOf(e, awaitProduct(e, 0, productOfValues));
    if (!ofValues)
      otherValues.release(now);
    for (int64_t n = 0; n < step / 8; ++n) {
      Values corrections(2), words[2];
      if (ofKeys)
        corrections = pairOf(statistics, {place, e.index(1)}, n);
      for (auto [key, word] : llvm::zip(keys, words))
        word = pairOf(keeps, key.row, n);
      for (int64_t i = 4 * n; i < 4 * n + 4; ++i) {
        int64_t own = WarpgroupRows::rowOf(i);
        Value keep;
        if (dropout)
          keep = e.compare(arith::CmpIPredicate::ne, e.make<arith::AndIOp>(words[own][i % 2], keys[own].bit), e.i32(0));
        if (ofKeys)
          differences[i] = gradientOf(scores[i], differences[i], keep, corrections[i % 2]);
        if (ofKeys && region)
          differences[i] = region.timesDerivative(differences[i], derivatives[i], scores[i]);
        if (keep)
          scores[i] = e.select(keep, scores[i], e.f32(0));
      }
    }
    Values next(gradients);
    if (ofValues)
      next.back() =
          beginProduct(e, fragmentOf(e, scores), rightValue, valueFeatures, next.back(), /*transposeB=*/false);
    if (ofKeys)
      next[0] = beginProduct(e, fragmentOf(e, differences), right, features, next[0], /*transposeB=*/false);
    if (ofValues) {
      next.back() = awaitProduct(e, ofKeys ? 1 : 0, next.back());
      otherValues.release(now);
    }
    if (ofKeys) {
      next[0] = awaitProduct(e, 0, next[0]);
      others.release(now);
    }
    return next;
  };
  Values initial{turn};
  SmallVector<TileRing *> rings{&others, &otherValues};
  if (ofKeys) {
    initial.push_back(zeros(features));
    rings.push_back(&results);
  }
  if (ofValues)
    initial.push_back(zeros(valueFeatures));
  Values sums =
      rows.forSteps(queryOffsets, keyOffsets, masks, region, /*areKeys=*/true, step, initial,
                    [&](const Sequence &sequence, const ColumnSteps &steps, ValueRange carried) {
                      return rows.forOwn(steps, rings, carried, [&](Step &at) {
                        // Queries past the sequence's end have a log_sum_exp by which they vanish.
                        return rows.forMasked(steps, at, /*masksBegin=*/true, /*masksEnd=*/masks.window.has_value(),
                                              carried, [&](Step now, bool needsMask, ValueRange carried) {
                                                return stepOf(rows, sequence, steps, now, carried, needsMask);
                                              });
                      });
                    });
  // All of the warpgroup have waited for both tiles once one is stored: of keys that no query sees nothing else tells.
  if (ofKeys)
    store(rows, own, ownTurn, sums[1], scale, keyGradient, features);
  if (ofValues)
    store(rows, ownValues, ownTurn, sums.back(), kept, valueGradient, valueFeatures);
  if (!ofKeys)
    own.release(ownTurn);
  if (!ofValues)
    ownValues.release(ownTurn);
  return sums[0];
}
} // namespace

void emitWarpgroupAttentionBackward(Emitter &e, AttentionBackwardOp op) {
  Backward(e, op).emit();
  divideByOneInstruction(e);
  e.finish({{static_cast<int64_t>(cast<BlockArgument>(op.getQuery()).getArgNumber()), 0, 1, WarpgroupRows::blockRows},
            {-1, static_cast<int64_t>(op.getHeads()), 0, 1}});
}
} // namespace mlir::xf
