//===- AttentionTensorCoreBackward.cpp - its backward on tensor cores -----===//
// FlashAttention-2 (Dao 2023), in two halves that each compute probabilities again from log_sum_exp: a block first sums
// the gradient of its queries over their keys, then those of its keys and values over their queries, with scores
// transposed, so that every sum is one warp's and no block adds to another's. A causal mask leaves late queries and
// early keys most, which are those of one block in turn.
//===----------------------------------------------------------------------===//
#include "AttentionTensorCore.h"
#include <cmath>

namespace mlir::xf {
namespace {
class Backward {
public:
  Backward(Emitter &e, AttentionBackwardOp op)
      : e(e), op(op), core(e), heads(op.getHeads()), tile(e.splitTile({e.index(heads)})), head(tile[1]),
        cotangent(matrixOf(op.getCotangent())), query(matrixOf(op.getQuery())), key(matrixOf(op.getKey())),
        value(matrixOf(op.getValue())), forward(matrixOf(op.getForwardResult())),
        logSumExp(e.placeOf(op.getLogSumExp())), keySteps(llvm::divideCeil(key.features, 16)),
        valueSteps(llvm::divideCeil(value.features, 16)), together(std::max(key.features, value.features) > 64 ? 2 : 4),
        masks(e, op), dropout(e, op.getRandom(), op.getSite(), op.getRate()),
        region(e, op.getScore(), op.getCaptures(), head), copied(e, key.features, value.features),
        scale(op.getScale().convertToDouble()), kept(dropout ? 1 / (1 - dropout.rate.convertToDouble()) : 1),
        queryOffsets(e.placeOf(op.getQueryOffsets())), keyOffsets(e.placeOf(op.getKeyOffsets())),
        statistics(e.allocateShared({copied.stages, 2, CopiedRows::step})) {}

  void emit(Value dQuery, Value dKey, Value dValue) {
    constexpr int64_t rowsPerBlock = tensorCoreWarps * 16;
    Value queries = e.dim(e.placeOf(op.getQuery()), 0), keys = e.dim(e.placeOf(op.getKey()), 0);
    // One block at least, for keys without queries; late ones begin first.
    Value blocks = e.ceilDiv(e.add(queries, e.index(1)), rowsPerBlock),
          number = e.sub(e.sub(blocks, e.index(1)), tile[0]);
    e.when(e.compare(arith::CmpIPredicate::slt, e.mul(number, e.index(rowsPerBlock)), queries), [&] {
      RowBlock block(e, core, number, queries, 1);
      emitQueries(block, HeadMatrix(e, dQuery, head, heads));
    });
    Value keyBlocks = e.ceilDiv(keys, rowsPerBlock);
    auto loop = scf::ForOp::create(e.b, e.loc, number, keyBlocks, blocks);
    OpBuilder::InsertionGuard guard(e.b);
    e.b.setInsertionPoint(loop.getBody()->getTerminator());
    RowBlock block(e, core, loop.getInductionVar(), keys, 1);
    emitKeys(block, HeadMatrix(e, dKey, head, heads), HeadMatrix(e, dValue, head, heads));
  }

private:
  static constexpr int64_t columns = CopiedRows::step / 8; // of 8

  HeadMatrix matrixOf(Value tensor) { return HeadMatrix(e, e.placeOf(tensor), head, heads); }
  void emitQueries(RowBlock &block, HeadMatrix dQuery);
  void emitKeys(RowBlock &block, HeadMatrix dKey, HeadMatrix dValue);
  void copyStatistics(Value row, Value count, Value stage);

  SmallVector<Fragment> loadLefts(RowBlock &block, const HeadMatrix &matrix, int64_t steps) {
    SmallVector<Fragment> result;
    for (int64_t k = 0; k < steps; ++k)
      result.push_back(core.loadLeft(matrix, {block.rows[0].number, block.rows[1].number},
                                     {block.rows[0].inside, block.rows[1].inside}, k * 16));
    return result;
  }
  /// The products of rows (`left`) and those of a tile that columns `first` .. first + together * 8 are.
  SmallVector<Fragment> scoresOf(ArrayRef<Fragment> left, const SharedRows &rows, Value place, int64_t first) {
    SmallVector<Fragment> scores(together, core.zeros());
    for (int64_t n = 0; n < together; n += 2)
      for (auto [k, fragment] : llvm::enumerate(left)) {
        Fragment right = core.load(rows, place, (first + n) * 8, k * 16, /*transposed=*/false);
        core.multiply(scores[n], fragment, right[0], right[1]);
        core.multiply(scores[n + 1], fragment, right[2], right[3]);
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
  /// A row's log_sum_exp in powers of two.
  Value sumOf(Value row, Value inside) {
    return e.where(inside, e.b.getF32Type(),
                   [&] { return e.mul(e.load(logSumExp, {e.toIndex(row), head}), e.f32(M_LOG2E)); });
  }
  /// What a score has become, in powers of two, and the derivative where there is a region, whose query is set.
  std::pair<Value, Value> scoreOf(Value product, Value keyNumber) {
    if (!region)
      return {e.mul(product, e.f32(scale * M_LOG2E)), Value()};
    SmallVector<Value> yielded = region.applyTo(e.mul(product, e.f32(scale)), keyNumber);
    return {e.mul(yielded[0], e.f32(M_LOG2E)), yielded[1]};
  }
  void store(RowBlock &block, const HeadMatrix &matrix, ArrayRef<Fragment> sums, double factor) {
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
  int64_t heads;
  SmallVector<Value> tile;
  Value head;
  HeadMatrix cotangent, query, key, value, forward;
  Value logSumExp;
  int64_t keySteps, valueSteps, together; // columns of 8 whose scores are computed together
  AttentionMasks masks;
  ProbabilityDropout dropout;
  ScoreRegion region;
  CopiedRows copied; // keys and values, then queries and cotangents
  double scale, kept;
  Value queryOffsets, keyOffsets;
  Value statistics; // of queries: log_sum_exp in powers of two, and D
};

void Backward::emitQueries(RowBlock &block, HeadMatrix dQuery) {
  SmallVector<Fragment> queries = loadLefts(block, query, keySteps),
                        cotangents = loadLefts(block, cotangent, valueSteps);
  // Of a row: log_sum_exp in powers of two, and D.
  SmallVector<Value> sums, corrections;
  for (auto [number, row] : llvm::enumerate(block.rows)) {
    sums.push_back(sumOf(row.number, row.inside));
    corrections.push_back(block.correctionOf(number, cotangent, forward));
  }
  SmallVector<Fragment> zeros(keySteps * 2, core.zeros());
  SmallVector<Value> results = block.forSequences(
      queryOffsets, queryOffsets, keyOffsets, flattened(zeros), [&](const Sequence &sequence, ValueRange carried) {
        return block.forColumns(
            sequence.queryStart, sequence.queryCount,
            [&](Value i) { return masks.visible(e, i, sequence.queryStart, sequence.queryCount, sequence.keyCount); },
            copied, carried,
            [&](Value keyBegin, Value stage) {
              Value row = e.add(sequence.keyStart, keyBegin), count = e.sub(sequence.keyCount, keyBegin);
              core.copyRows(key, row, count, copied.first, stage);
              core.copyRows(value, row, count, copied.second, stage);
            },
            [&](Value keyBegin, Value stage, Value needsMask, ValueRange carried) {
              SmallVector<Fragment> gradient = fragmentsOf(carried);
              Value firstKey = e.add(keyBegin, core.pair);
              Value keyPlace = core.placeOfRight(copied.first, /*transposed=*/false, stage),
                    keyPlaceTransposed = core.placeOfRight(copied.first, /*transposed=*/true, stage),
                    valuePlace = core.placeOfRight(copied.second, /*transposed=*/false, stage);
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
                SmallVector<Fragment> differences = scoresOf(cotangents, copied.second, valuePlace, first);
                for (auto [number, row] : llvm::enumerate(block.rows)) {
                  std::array<std::array<Value, 4>, 4> words;
                  if (dropout) {
                    // A counter's four words are of columns 16 apart.
                    Value philoxRow = e.add(e.mul(row.number, e.i32(heads)), e.toI32(head));
                    Value counter = e.add(e.make<arith::DivUIOp>(keyBegin, e.i32(4)), core.pair);
                    for (int64_t i = 0; i < 4; ++i)
                      words[i] = dropout.philox->evaluate(philoxRow, e.add(counter, e.i32(i / 2 * 8 + i % 2)));
                  }
                  for (int64_t n = 0; n < together; ++n)
                    for (int64_t c = 0; c < 2; ++c) {
                      int64_t i = number * 2 + c, column = first + n;
                      Value p = core.exp2(e.sub(scores[n][i], sums[number])), dP = differences[n][i];
                      if (dropout)
                        dP = e.select(dropout.philox->keeps(words[column % 2 * 2 + c][column / 2], dropout.rate),
                                      e.mul(dP, e.f32(kept)), e.f32(0));
                      Value difference = e.mul(p, e.sub(dP, corrections[number]));
                      differences[n][i] = region ? e.mul(difference, derivatives[n][i]) : difference;
                    }
                }
                accumulate(gradient, differences, copied.first, keyPlaceTransposed, first);
              }
              return flattened(gradient);
            });
      });
  store(block, dQuery, fragmentsOf(results), scale);
}

/// Of a step's queries: log_sum_exp and D, for all threads. Two threads share a row's features.
void Backward::copyStatistics(Value row, Value count, Value stage) {
  static_assert(tensorCoreWarps * 32 == 2 * CopiedRows::step, "two threads a row");
  Value thread = e.toI32(e.thread()), inStep = e.make<arith::DivUIOp>(thread, e.i32(2)),
        half = e.make<arith::RemUIOp>(thread, e.i32(2));
  Value inside = e.compare(arith::CmpIPredicate::slt, inStep, count), from = e.add(row, inStep);
  Value correction = core.partOfDot(cotangent, forward, from, inside, half);
  correction = e.add(correction, e.fromPartner(correction, 1));
  Value sum = sumOf(from, inside);
  Value isFirst = e.compare(arith::CmpIPredicate::eq, half, e.i32(0));
  e.store(e.select(isFirst, sum, correction), statistics,
          {stage ? e.toIndex(stage) : e.index(0), e.toIndex(half), e.toIndex(inStep)});
}

void Backward::emitKeys(RowBlock &block, HeadMatrix dKey, HeadMatrix dValue) {
  SmallVector<Fragment> keys = loadLefts(block, key, keySteps), values = loadLefts(block, value, valueSteps);
  SmallVector<Fragment> zeros(keySteps * 2 + valueSteps * 2, core.zeros());
  SmallVector<Value> results = block.forSequences(
      keyOffsets, queryOffsets, keyOffsets, flattened(zeros), [&](const Sequence &sequence, ValueRange carried) {
        return block.forColumns(
            sequence.keyStart, sequence.keyCount,
            [&](Value j) { return masks.seeing(e, j, sequence.queryCount, sequence.keyCount); }, copied, carried,
            [&](Value queryBegin, Value stage) {
              Value row = e.add(sequence.queryStart, queryBegin), count = e.sub(sequence.queryCount, queryBegin);
              core.copyRows(query, row, count, copied.first, stage);
              core.copyRows(cotangent, row, count, copied.second, stage);
              copyStatistics(row, count, stage);
            },
            [&](Value queryBegin, Value stage, Value needsMask, ValueRange carried) {
              SmallVector<Fragment> gradients = fragmentsOf(carried);
              MutableArrayRef<Fragment> keyGradient = MutableArrayRef(gradients).take_front(keySteps * 2),
                                        valueGradient = MutableArrayRef(gradients).drop_front(keySteps * 2);
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
                auto queryOf = [&](int64_t n, int64_t c) { return e.add(firstQuery, e.i32((first + n) * 8 + c)); };
                for (int64_t n = 0; n < together; ++n)
                  for (int64_t c = 0; c < 2; ++c) {
                    if (region)
                      region.setQuery(e.toIndex(sequence.positionOf(e, queryOf(n, c))));
                    Value length;
                    if (masks.lengths) {
                      Value last = e.sub(sequence.queryCount, e.i32(1));
                      length = e.load(masks.lengths, e.toIndex(e.add(sequence.queryStart, e.min(queryOf(n, c), last))));
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
                SmallVector<Fragment> differences = scoresOf(values, copied.second, cotangentPlace, first);
                for (int64_t n = 0; n < together; ++n)
                  for (int64_t c = 0; c < 2; ++c) {
                    Value at = e.add(pairIndex, e.index((first + n) * 8 + c));
                    Value sum = e.load(statistics, {stageIndex, e.index(0), at}),
                          correction = e.load(statistics, {stageIndex, e.index(1), at});
                    for (int64_t number = 0; number < 2; ++number) {
                      int64_t i = number * 2 + c;
                      Value p = core.exp2(e.sub(scores[n][i], sum)), dP = differences[n][i];
                      scores[n][i] = p;
                      if (dropout) {
                        Value row =
                            e.add(e.mul(e.add(sequence.queryStart, queryOf(n, c)), e.i32(heads)), e.toI32(head));
                        Value keep = dropout.keep(row, keyNumbers[number]);
                        scores[n][i] = e.select(keep, p, e.f32(0));
                        dP = e.select(keep, e.mul(dP, e.f32(kept)), e.f32(0));
                      }
                      Value difference = e.mul(p, e.sub(dP, correction));
                      differences[n][i] = region ? e.mul(difference, derivatives[n][i]) : difference;
                    }
                  }
                accumulate(valueGradient, scores, copied.second, cotangentPlaceTransposed, first);
                accumulate(keyGradient, differences, copied.first, queryPlaceTransposed, first);
              }
              return flattened(gradients);
            });
      });
  SmallVector<Fragment> gradients = fragmentsOf(results);
  store(block, dKey, ArrayRef(gradients).take_front(keySteps * 2), scale);
  store(block, dValue, ArrayRef(gradients).drop_front(keySteps * 2), kept);
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
