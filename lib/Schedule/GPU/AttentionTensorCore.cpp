//===- AttentionTensorCore.cpp - attention's forward on tensor cores ------===//
// FlashAttention-2 (Dao 2023). A warp has 16 or 32 queries of a head in registers, with running maximum, sum and
// outputs; keys and values pass through shared memory, 64 at a time, copied ahead while the ones before are used.
// Probabilities go from the sums of one product to the left matrix of the next without leaving their registers.
//===----------------------------------------------------------------------===//
#include "AttentionTensorCore.h"
#include <cmath>

namespace mlir::xf {

namespace {
class Forward {
public:
  Forward(Emitter &e, AttentionOp op)
      : e(e), op(op), core(e), heads(op.getHeads()), query(e, e.placeOf(op.getQuery()), heads),
        key(e, e.placeOf(op.getKey()), heads, sharersOf(op)), value(e, e.placeOf(op.getValue()), heads, sharersOf(op)),
        keySteps(llvm::divideCeil(key.features, 16)), valueSteps(llvm::divideCeil(value.features, 16)),
        rowTiles(e.schedule<TensorCoreAttentionScheduleAttr>().getRows() / 16),
        isTight(e.schedule<TensorCoreAttentionScheduleAttr>().getTight()), masks(e, op),
        dropout(e, op.getRandom(), op.getSite(), op.getRate()),
        region(e, op.getScore(), op.getCaptures(), headOf(e, heads)), copied(e, key.features, value.features) {
    // Scores are powers of two with this factor.
    isScaled = region || op.getScale().convertToDouble() <= 0;
    factor = isScaled ? 1 : op.getScale().convertToDouble() * M_LOG2E;
  }

  void emit();

private:
  struct State { // of all fragments of a warp
    SmallVector<Fragment> outputs;
    SmallVector<Value> maxima, sums; // of rows; a thread's part of the sum
  };
  SmallVector<Value> flatten(const State &state);
  State unflatten(ValueRange values);
  Fragment &outputOf(State &state, int64_t tile, int64_t column) {
    return state.outputs[tile * valueSteps * 2 + column];
  }
  void step(RowBlock &block, State &state, const Sequence &sequence, Value keyBegin, Value stage, Value needsMask);
  void store(RowBlock &block, const State &state);

  Emitter &e;
  AttentionOp op;
  TensorCore core;
  int64_t heads;
  HeadMatrix query, key, value;
  int64_t keySteps, valueSteps;
  int64_t rowTiles; // fragments of 16 queries that a warp has
  bool isTight;
  AttentionMasks masks;
  ProbabilityDropout dropout;
  ScoreRegion region;
  CopiedRows copied;
  bool isScaled;
  double factor;
  SmallVector<Fragment> queries; // of a fragment all steps of 16 features
};

SmallVector<Value> Forward::flatten(const State &state) {
  SmallVector<Value> values = flattened(state.outputs);
  llvm::append_range(values, state.maxima);
  llvm::append_range(values, state.sums);
  return values;
}
Forward::State Forward::unflatten(ValueRange values) {
  int64_t outputs = rowTiles * valueSteps * 2 * 4, rows = rowTiles * 2;
  return {fragmentsOf(values.take_front(outputs)), SmallVector<Value>(values.slice(outputs, rows)),
          SmallVector<Value>(values.drop_front(outputs + rows))};
}

void Forward::emit() {
  // Late queries see most under a causal mask, and begin first.
  int64_t rowsPerBlock = e.registers.warps * rowTiles * 16;
  Value total = e.dim(e.placeOf(op.getQuery()), 0), blocks = e.ceilDiv(total, rowsPerBlock);
  RowBlock block(e, core, e.sub(e.sub(blocks, e.index(1)), e.splitTile({e.index(heads)})[0]), total, rowTiles);
  block.isTight = isTight;
  for (int64_t i = 0; i < rowTiles; ++i)
    for (int64_t k = 0; k < keySteps; ++k)
      queries.push_back(core.loadLeft(query, {block.rows[2 * i].number, block.rows[2 * i + 1].number},
                                      {block.rows[2 * i].inside, block.rows[2 * i + 1].inside}, k * 16));
  State state;
  state.outputs.assign(rowTiles * valueSteps * 2, core.zeros());
  state.maxima.assign(rowTiles * 2, e.f32(-std::numeric_limits<float>::infinity()));
  state.sums.assign(rowTiles * 2, e.f32(0));
  SmallVector<Value> results = block.forKeys(
      e.placeOf(op.getQueryOffsets()), e.placeOf(op.getKeyOffsets()), masks, region, key, value, copied, flatten(state),
      [&](const Sequence &sequence, Value keyBegin, Value stage, Value needsMask, ValueRange carried) {
        State state = unflatten(carried);
        step(block, state, sequence, keyBegin, stage, needsMask);
        return flatten(state);
      });
  store(block, unflatten(results));
  e.finish({{static_cast<int64_t>(cast<BlockArgument>(op.getQuery()).getArgNumber()), 0, 0, rowsPerBlock},
            {-1, heads, 0, 1}});
}

void Forward::step(RowBlock &block, State &state, const Sequence &sequence, Value keyBegin, Value stage,
                   Value needsMask) {
  constexpr int64_t columns = CopiedRows::step / 8;
  Value firstKey = e.add(keyBegin, core.pair);
  // S = Q K^T
  SmallVector<Fragment> scores(rowTiles * columns, core.zeros());
  /// Of a row of the block.
  auto score = [&](int64_t number, int64_t n, int64_t c) -> Value & {
    return scores[number / 2 * columns + n][number % 2 * 2 + c];
  };
  Value place = core.placeOfRight(copied.first, /*transposed=*/false, stage);
  for (int64_t n = 0; n < columns; n += 2)
    for (int64_t k = 0; k < keySteps; ++k) {
      Fragment right = core.load(copied.first, place, n * 8, k * 16, /*transposed=*/false);
      for (int64_t tile = 0; tile < rowTiles; ++tile)
        for (int64_t half = 0; half < 2; ++half)
          core.multiply(scores[tile * columns + n + half], queries[tile * keySteps + k], right[2 * half],
                        right[2 * half + 1]);
    }
  int64_t rowCount = block.rows.size();
  for (int64_t number = 0; number < rowCount && isScaled; ++number) {
    if (region)
      region.setQuery(e.toIndex(sequence.positionOf(e, e.sub(block.rows[number].number, sequence.queryStart))));
    for (int64_t n = 0; n < columns; ++n)
      for (int64_t c = 0; c < 2; ++c) {
        Value &s = score(number, n, c), scaled = e.mul(s, e.f32(op.getScale().convertToDouble()));
        s = e.mul(region ? region.applyTo(scaled, e.add(firstKey, e.i32(n * 8 + c)))[0] : scaled, e.f32(M_LOG2E));
      }
  }
  scores = fragmentsOf(e.choose(
      needsMask,
      [&] {
        SmallVector<Fragment> before = scores;
        for (int64_t number = 0; number < rowCount; ++number)
          for (int64_t n = 0; n < columns; ++n)
            for (int64_t c = 0; c < 2; ++c)
              score(number, n, c) = block.masked(score(number, n, c), number, firstKey, n * 8 + c);
        return flattened(std::exchange(scores, before));
      },
      [&] { return flattened(scores); }));

  for (int64_t number = 0; number < rowCount; ++number) {
    SmallVector<Value> row;
    for (int64_t i = 0; i < columns * 2; ++i)
      row.push_back(score(number, i / 2, i % 2));
    Value correction = nextProbabilities(e, core, row, state.maxima[number], state.sums[number], factor);
    for (auto [i, p] : llvm::enumerate(row))
      score(number, i / 2, i % 2) = p;
    for (int64_t n = 0; n < valueSteps * 2; ++n)
      for (int64_t c = 0; c < 2; ++c) {
        Value &output = outputOf(state, number / 2, n)[number % 2 * 2 + c];
        output = e.mul(output, correction);
      }
    if (dropout) {
      Value row = e.add(e.mul(block.rows[number].number, e.i32(heads)), e.toI32(headOf(e, heads)));
      ProbabilityDropout again = isTight ? ProbabilityDropout(e, op.getRandom(), op.getSite(), op.getRate()) : dropout;
      for (auto [i, keep] : llvm::enumerate(keepsOfStep(e, core, again, row, keyBegin))) {
        Value &p = score(number, i / 2, i % 2);
        p = e.select(keep, p, e.f32(0));
      }
    }
  }
  // O += P V
  place = core.placeOfRight(copied.second, /*transposed=*/true, stage);
  for (int64_t k = 0; k < columns / 2; ++k) {
    SmallVector<Fragment> left;
    for (int64_t tile = 0; tile < rowTiles; ++tile)
      left.push_back(core.leftOf(scores[tile * columns + 2 * k], scores[tile * columns + 2 * k + 1]));
    for (int64_t n = 0; n < valueSteps; ++n) {
      Fragment right = core.load(copied.second, place, k * 16, n * 16, /*transposed=*/true);
      for (int64_t tile = 0; tile < rowTiles; ++tile)
        for (int64_t half = 0; half < 2; ++half)
          core.multiply(outputOf(state, tile, 2 * n + half), left[tile], right[2 * half], right[2 * half + 1]);
    }
  }
}

void Forward::store(RowBlock &block, const State &state) {
  std::optional<HeadMatrix> result;
  if (Value place = e.placeOf(op.getResult()))
    result.emplace(e, place, heads);
  Value logSumExp = e.placeOf(op.getLogSumExp());
  double kept = dropout ? 1 / (1 - dropout.rate.convertToDouble()) : 1;
  Anew anew(block, isTight);
  for (auto [number, row] : llvm::enumerate(block.rows)) {
    Value total = core.sumOfRow(state.sums[number]);
    // Of a query that sees no key zeros.
    Value sees = e.compare(arith::CmpFPredicate::UGT, total, e.f32(0));
    Value inverse = e.select(sees, e.div(e.f32(kept), total), e.f32(0));
    for (int64_t n = 0; result && n < valueSteps * 2; ++n) {
      const Fragment &output = state.outputs[number / 2 * valueSteps * 2 + n];
      core.storePair(*result, row.number, row.inside, n * 8, e.mul(output[number % 2 * 2], inverse),
                     e.mul(output[number % 2 * 2 + 1], inverse));
    }
    if (logSumExp)
      block.storeLogSumExp(number, state.maxima[number], total, factor, logSumExp, headOf(e, heads));
  }
}
} // namespace

void emitAttentionTensorCore(Emitter &e, AttentionOp op) { Forward(e, op).emit(); }
} // namespace mlir::xf
