//===- WarpgroupAttention.cpp - attention's forward on warpgroups ---------===//
// FlashAttention-3 (Shah et al. 2024): keys and values pass through rings that the copy engine fills. While the
// product of a step's probabilities with its values is on its way, the next step's scores become probabilities.
//===----------------------------------------------------------------------===//
#include "WarpgroupAttention.h"
#include <cmath>

namespace mlir::xf {
namespace {
class Forward {
public:
  Forward(Emitter &e, AttentionOp op)
      : e(e), op(op), core(e), schedule(e.schedule<WarpgroupAttentionScheduleAttr>()), columns(schedule.getColumns()),
        heads(op.getHeads()), sharers(sharersOf(op)), tile(e.splitTile({e.index(heads)})), head(tile[1]),
        query(e.placeOf(op.getQuery())), result(e.placeOf(op.getResult())), features(op.getKeyFeatures()),
        valueFeatures(op.getValueFeatures()), masks(e, op), dropout(e, op.getRandom(), op.getSite(), op.getRate()),
        region(e, op.getScore(), op.getCaptures(), head),
        productScale(op.getScale().convertToDouble() * (region ? region.takeScoreFactor() : 1)),
        factor(region ? 1 : productScale * M_LOG2E), queryMap(boxesOf(e, query, WarpgroupRows::blockRows, features)),
        keyMap(boxesOf(e, e.placeOf(op.getKey()), columns, features)),
        valueMap(boxesOf(e, e.placeOf(op.getValue()), columns, valueFeatures)),
        queries(e, 1, WarpgroupRows::blockRows, std::max(features, valueFeatures)),
        keys(e, schedule.getStages(), columns, features), values(e, schedule.getStages(), columns, valueFeatures) {
    if (result)
      resultMap = boxesOf(e, result, WarpgroupRows::groupRows, valueFeatures);
  }

  void emit();

private:
  struct State {
    Value outputs;                     // an accumulator
    std::array<Value, 2> maxima, sums; // of the thread's rows; its part of the sum
    SmallVector<Value> flat() const { return {outputs, maxima[0], maxima[1], sums[0], sums[1]}; }
    static State of(ValueRange values) { return {values[0], {values[1], values[2]}, {values[3], values[4]}}; }
  };
  Value columnOf(int64_t features) { return e.mul(e.toI32(head), e.i32(features)); }
  Value columnOfKeys(int64_t features) {
    return sharers == 1 ? columnOf(features)
                        : e.mul(e.make<arith::DivUIOp>(e.toI32(head), e.i32(sharers)), e.i32(features));
  }
  SmallVector<Value> forSteps(WarpgroupRows &block, ValueRange initial, WarpgroupRows::Body body) {
    SmallVector<Value> carried{e.i32(0)};
    llvm::append_range(carried, initial);
    carried = block.forSteps(e.placeOf(op.getQueryOffsets()), e.placeOf(op.getKeyOffsets()), masks, region,
                             /*areKeys=*/false, columns, carried, body);
    return SmallVector<Value>(llvm::drop_begin(carried));
  }
  void copy(WarpgroupRows &block);
  /// While one warpgroup's products are on their way the other computes probabilities: each begins its own when the
  /// other has begun. All go through the same steps then.
  bool takesTurns() const { return !region && !masks.lengths; }
  void awaitTurn(WarpgroupRows &block) { passTurn(block.group, /*arrives=*/false); }
  void giveTurn(WarpgroupRows &block) { passTurn(e.sub(e.i32(1), block.group), /*arrives=*/true); }
  void passTurn(Value group, bool arrives) {
    constexpr int64_t first = 1 + WarpgroupRows::groups; // behind those of WarpgroupRows::meet
    xfg::BarrierOp::create(e.b, e.loc, e.toIndex(e.add(group, e.i32(first))),
                           WarpgroupRows::groups * WarpgroupRows::groupThreads, arrives);
  }
  State attend(WarpgroupRows &block, const Sequence &sequence, const ColumnSteps &steps, Step &at, State state);
  /// Takes products to scores, in powers of two where there is a region.
  void applyRegion(WarpgroupRows &block, const Sequence &sequence, SmallVector<Value> &scores, Value firstColumn);
  /// Takes scores to probabilities, and the state but for its outputs on; what those are to be multiplied by.
  std::array<Value, 2> update(SmallVector<Value> &scores, State &state);
  void scale(State &state, std::array<Value, 2> factors);
  /// Zeros for the probabilities that dropout doesn't keep.
  void drop(WarpgroupRows &block, SmallVector<Value> &probabilities, Value firstColumn);
  void store(WarpgroupRows &block, const State &state);

  Emitter &e;
  AttentionOp op;
  TensorCore core;
  WarpgroupAttentionScheduleAttr schedule;
  int64_t columns, heads, sharers; // `sharers` of the queries' heads have one of keys and values
  SmallVector<Value> tile;
  Value head, query, result;
  int64_t features, valueFeatures;
  AttentionMasks masks;
  ProbabilityDropout dropout;
  ScoreRegion region;
  double productScale, factor; // of products before a region; of scores, so that they are powers of two
  Value queryMap, keyMap, valueMap, resultMap;
  TileRing queries, keys, values;
};

void Forward::emit() {
  e.syncBlock();
  // Late queries see most under a causal mask, and begin first.
  Value total = e.dim(query, 0), blocks = e.ceilDiv(total, WarpgroupRows::blockRows),
        number = e.sub(e.sub(blocks, e.index(1)), tile[0]);
  auto roles = xfg::RolesOp::create(e.b, e.loc, 24, 240);
  {
    OpBuilder::InsertionGuard guard(e.b);
    e.b.createBlock(&roles.getProducer());
    WarpgroupRows block(e, core, number, total, /*computes=*/false);
    copy(block);
    e.b.createBlock(&roles.getConsumers());
    WarpgroupRows rows(e, core, number, total, /*computes=*/true);
    State state;
    state.outputs = accumulatorOf(e, SmallVector<Value>(valueFeatures / 2, e.f32(0)));
    state.maxima.fill(e.f32(-std::numeric_limits<float>::infinity()));
    state.sums.fill(e.f32(0));
    queries.await(e.i32(0));
    auto isGroup = [&](int64_t number) { return e.compare(arith::CmpIPredicate::eq, rows.group, e.i32(number)); };
    if (takesTurns()) {
      rows.isTogether = true;
      e.when(isGroup(1), [&] { giveTurn(rows); });
    }
    state = State::of(
        forSteps(rows, state.flat(), [&](const Sequence &sequence, const ColumnSteps &steps, ValueRange carried) {
          return rows.forOwn(steps, {&keys, &values}, carried,
                             [&](Step &at) { return attend(rows, sequence, steps, at, State::of(carried)).flat(); });
        }));
    if (takesTurns())
      e.when(isGroup(0), [&] { awaitTurn(rows); });
    store(rows, state);
  }
  divideByOneInstruction(e);
  e.finish({{static_cast<int64_t>(cast<BlockArgument>(op.getQuery()).getArgNumber()), 0, 0, WarpgroupRows::blockRows},
            {-1, heads, 0, 1}});
}

void Forward::copy(WarpgroupRows &block) {
  queries.fill(queryMap, block.begin, columnOf(features), e.i32(0));
  forSteps(block, {}, [&](const Sequence &sequence, const ColumnSteps &steps, ValueRange) {
    Step at = steps.first();
    block.forSteps(steps, at, steps.end, {}, [&](Step step, ValueRange) {
      Value now = steps.turnOf(e, step), row = e.add(sequence.keyStart, e.mul(step.number, e.i32(columns)));
      keys.fill(keyMap, row, columnOfKeys(features), now);
      values.fill(valueMap, row, columnOfKeys(valueFeatures), now);
      return SmallVector<Value>();
    });
    return SmallVector<Value>{steps.turnOf(e, at)};
  });
}

std::array<Value, 2> Forward::update(SmallVector<Value> &scores, State &state) {
  std::array<Value, 2> corrections;
  for (int64_t number : {0, 1}) {
    SmallVector<Value> row;
    for (auto [i, score] : llvm::enumerate(scores))
      if (WarpgroupRows::rowOf(i) == number)
        row.push_back(score);
    corrections[number] = nextProbabilities(e, core, row, state.maxima[number], state.sums[number], factor);
    for (auto [i, p] : llvm::enumerate(row))
      scores[i / 2 * 4 + number * 2 + i % 2] = p;
  }
  return corrections;
}

void Forward::scale(State &state, std::array<Value, 2> factors) {
  SmallVector<Value> outputs = elementsOf(e, state.outputs);
  for (auto [i, output] : llvm::enumerate(outputs))
    output = e.mul(output, factors[WarpgroupRows::rowOf(i)]);
  state.outputs = accumulatorOf(e, outputs);
}

void Forward::applyRegion(WarpgroupRows &block, const Sequence &sequence, SmallVector<Value> &scores,
                          Value firstColumn) {
  for (int64_t number = 0; region && number < 2; ++number) {
    region.setQuery(e.toIndex(sequence.positionOf(e, e.sub(block.rows[number].number, sequence.queryStart))));
    for (auto [i, score] : llvm::enumerate(scores))
      if (WarpgroupRows::rowOf(i) == number)
        score = region.applyTo(e.mul(score, e.f32(productScale)), block.columnOf(firstColumn, i), M_LOG2E)[0];
  }
}

void Forward::drop(WarpgroupRows &block, SmallVector<Value> &probabilities, Value firstColumn) {
  if (dropout)
    for (auto [p, keep] : llvm::zip_equal(probabilities, block.keeps(dropout, head, heads, firstColumn, columns)))
      p = e.select(keep, p, e.f32(0));
}

/// The order of instructions is what keeps tensor cores busy, and ptxas from waiting for each product.
Forward::State Forward::attend(WarpgroupRows &block, const Sequence &sequence, const ColumnSteps &steps, Step &at,
                               State state) {
  auto turnOf = [&](Step step) { return steps.turnOf(e, step); };
  auto beginScores = [&](Value now) {
    Value key = keys.await(now);
    return beginProduct(e, block.own(queries.tile(e.i32(0)), 0, features), key, columns, Value(), /*transposeB=*/true);
  };
  auto beginOutputs = [&](Value probabilities, Value now) {
    Value value = values.await(now);
    return beginProduct(e, probabilities, value, valueFeatures, state.outputs, /*transposeB=*/false);
  };
  auto firstColumn = [&](Step step) { return e.mul(step.number, e.i32(columns)); };

  Step first = at;
  Value one = e.i32(1);
  SmallVector<Value> scores = elementsOf(e, awaitProduct(e, 0, beginScores(turnOf(first))));
  keys.release(turnOf(first));
  applyRegion(block, sequence, scores, firstColumn(first));
  block.mask(scores, firstColumn(first));
  std::array<Value, 2> corrections = update(scores, state);
  drop(block, scores, firstColumn(first));
  scale(state, corrections);
  Value probabilities = fragmentOf(e, scores);

  SmallVector<Value> initial = state.flat();
  initial.push_back(probabilities);
  at = steps.after(e, first);
  SmallVector<Value> carried = block.forMasked(steps, at, /*masksBegin=*/masks.window.has_value(), /*masksEnd=*/true,
                                               initial, [&](Step step, bool needsMask, ValueRange carried) {
                                                 Value now = turnOf(step), before = e.sub(now, one);
                                                 state = State::of(carried);
                                                 if (takesTurns())
                                                   awaitTurn(block);
                                                 Value product = beginScores(now);
                                                 state.outputs = beginOutputs(carried.back(), before);
                                                 if (takesTurns())
                                                   giveTurn(block);
                                                 SmallVector<Value> scores = elementsOf(e, awaitProduct(e, 1, product));
                                                 keys.release(now);
                                                 applyRegion(block, sequence, scores, firstColumn(step));
                                                 if (needsMask)
                                                   block.mask(scores, firstColumn(step));
                                                 std::array<Value, 2> corrections = update(scores, state);
                                                 drop(block, scores, firstColumn(step));
                                                 xfg::PinOp::create(e.b, e.loc, e.add(state.sums[0], state.sums[1]));
                                                 state.outputs = awaitProduct(e, 0, state.outputs);
                                                 values.release(before);
                                                 Value probabilities = fragmentOf(e, scores);
                                                 scale(state, corrections);
                                                 SmallVector<Value> next = state.flat();
                                                 next.push_back(probabilities);
                                                 return next;
                                               });
  probabilities = carried.pop_back_val();
  state = State::of(carried);
  Value last = e.sub(turnOf(at), one);
  state.outputs = awaitProduct(e, 0, beginOutputs(probabilities, last));
  values.release(last);
  return state;
}

void Forward::store(WarpgroupRows &block, const State &state) {
  SmallVector<Value> outputs = elementsOf(e, state.outputs);
  std::array<Value, 2> totals, inverses;
  double kept = dropout ? 1 / (1 - dropout.rate.convertToDouble()) : 1;
  for (int64_t number : {0, 1}) {
    Value total = totals[number] = core.sumOfRow(state.sums[number]);
    // Of a query that sees no key zeros.
    Value sees = e.compare(arith::CmpFPredicate::UGT, total, e.f32(0));
    inverses[number] = e.select(sees, e.div(e.f32(kept), total), e.f32(0));
  }
  for (auto [i, output] : llvm::enumerate(outputs))
    output = e.mul(output, inverses[WarpgroupRows::rowOf(i)]);
  if (result)
    block.store(outputs, queries.tile(e.i32(0)), resultMap, columnOf(valueFeatures));
  if (Value logSumExp = e.placeOf(op.getLogSumExp()))
    for (int64_t number : {0, 1})
      block.storeLogSumExp(number, state.maxima[number], totals[number], factor, logSumExp, head);
}
} // namespace

void emitWarpgroupAttention(Emitter &e, AttentionOp op) { Forward(e, op).emit(); }
} // namespace mlir::xf
