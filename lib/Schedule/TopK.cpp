//===- TopK.cpp - schedule of finding a row's likeliest tokens ------------===//
// A projection's epilogue leaves a block's largest logit and sum of powers while its logits are in cache; of the logits
// themselves, only the blocks that hold a row's likeliest tokens are read again.
//===----------------------------------------------------------------------===//
#include "xf/Schedule/Elementwise.h"

namespace mlir::xf {

void emitBlockStatistics(Emitter &e, BlockStatisticsOp op, Value logits, Value row, Value columnBegin,
                         int64_t columns) {
  Value maxima = e.placeOf(op.getMaxima()), sums = e.placeOf(op.getSums());
  Value none = e.splat(-std::numeric_limits<float>::infinity());
  auto block = [&](Value begin, int64_t count) {
    // Unrolled where vectors are wide: of a loop over few the end would be most.
    int64_t width = e.registers.width;
    auto reduce = [&](Value initial, vector::CombiningKind kind, function_ref<Value(Value)> term) {
      auto take = [&](Value column, int64_t valid, Value carried) {
        Value x = term(e.loadVector(logits, {row, e.add(begin, column)}, valid));
        if (valid < width)
          x = e.select(e.partialMask(valid), x, initial);
        return kind == vector::CombiningKind::ADD ? e.add(carried, x) : e.maximum(x, carried);
      };
      Value lanes = initial;
      if (BlockStatisticsOp::columns > 4 * width)
        lanes = e.columnsReduce(count, initial, [&](Value column, int64_t valid, ValueRange carried) {
          return SmallVector<Value>{take(column, valid, carried[0])};
        })[0];
      else
        for (int64_t column = 0; column < count; column += width)
          lanes = take(e.index(column), std::min(width, count - column), lanes);
      return e.reduce(kind, lanes);
    };
    Value most = reduce(none, vector::CombiningKind::MAXNUMF, [](Value x) { return x; });
    Value mostOfAll = e.splat(most);
    Value sum =
        reduce(e.splat(0), vector::CombiningKind::ADD, [&](Value x) { return emitExp(e, e.sub(x, mostOfAll)); });
    Value index = e.make<arith::DivSIOp>(begin, e.index(BlockStatisticsOp::columns));
    e.onFirstLane([&] {
      for (auto [number, place] : {std::pair(most, maxima), {sum, sums}})
        if (place)
          e.store(number, place, {row, index});
    });
  };
  int64_t full = columns / BlockStatisticsOp::columns * BlockStatisticsOp::columns;
  e.loop(e.index(0), e.index(full), BlockStatisticsOp::columns,
         [&](Value begin) { block(e.add(columnBegin, begin), BlockStatisticsOp::columns); });
  if (full < columns)
    block(e.add(columnBegin, e.index(full)), columns - full);
}

Value emitLogSumExp(Emitter &e, TopKOp op, Value row) {
  Value maxima = e.placeOf(op.getMaxima()), sums = e.placeOf(op.getSums());
  int64_t blocks = op.getMaxima().getType().getDimSize(1);
  Value zero = e.splat(0), none = e.splat(-std::numeric_limits<float>::infinity());
  auto overBlocks = [&](Value initial, function_ref<Value(Value column, int64_t lanes, Value carried)> body) {
    return e.columnsReduce(blocks, initial, [&](Value column, int64_t lanes, ValueRange carried) {
      Value next = body(column, lanes, carried[0]);
      return SmallVector<Value>{lanes < e.registers.width ? e.select(e.partialMask(lanes), next, carried[0]) : next};
    })[0];
  };
  Value most = e.reduce(vector::CombiningKind::MAXNUMF, overBlocks(none, [&](Value column, int64_t lanes, Value most) {
                          return e.maximum(e.loadVector(maxima, {row, column}, lanes), most);
                        }));
  Value total = e.reduce(vector::CombiningKind::ADD, overBlocks(zero, [&](Value column, int64_t lanes, Value sum) {
                           Value power = emitExp(e, e.sub(e.loadVector(maxima, {row, column}, lanes), e.splat(most)));
                           return e.fma(e.loadVector(sums, {row, column}, lanes), power, sum);
                         }));
  Value logSumExp = e.add(most, emitOnNumber(e, emitLog, total));
  if (Value place = e.placeOf(op.getLogSumExp()))
    e.onFirstLane([&] { e.store(logSumExp, place, row); });
  return logSumExp;
}

/// Keeps the likeliest tokens so far in the result's row, best first; a token goes in behind those that are no less
/// likely.
static void emitTopK(Emitter &e, TopKOp op, Value row) {
  Value logits = e.placeOf(op.getLogits()), maxima = e.placeOf(op.getMaxima()), values = e.placeOf(op.getValues()),
        tokens = e.placeOf(op.getTokens());
  int64_t vocabulary = op.getLogits().getType().getDimSize(1), blocks = op.getMaxima().getType().getDimSize(1);
  Value logSumExp = emitLogSumExp(e, op, row);
  Value count = e.dim(e.placeOf(op.getRanks()), 0), last = e.sub(count, e.index(1));
  auto clear = [&] {
    e.loop(e.index(0), count, 1, [&](Value rank) {
      e.store(e.f32(-std::numeric_limits<float>::infinity()), values, {row, rank});
      e.store(e.i32(-1), tokens, {row, rank});
    });
  };
  auto isAmongThem = [&](Value logit) {
    return e.compare(arith::CmpFPredicate::OGT, logit, e.load(values, {row, last}));
  };
  auto insert = [&](Value logit, Value token) {
    e.loop(e.index(0), count, 1, ValueRange{logit, token}, [&](Value rank, ValueRange carried) {
      Value logitHere = e.load(values, {row, rank}), tokenHere = e.load(tokens, {row, rank});
      // From its place on all move by one: of equal ones that were displaced none passes another.
      Value isBetter = e.compare(arith::CmpFPredicate::OGT, logit, logitHere);
      e.store(e.select(isBetter, carried[0], logitHere), values, {row, rank});
      e.store(e.select(isBetter, carried[1], tokenHere), tokens, {row, rank});
      return SmallVector<Value>{e.select(isBetter, logitHere, carried[0]), e.select(isBetter, tokenHere, carried[1])};
    });
  };
  clear();
  e.when(e.compare(arith::CmpIPredicate::sgt, count, e.index(0)), [&] {
    // Of the blocks' largest logits so many are among the likeliest tokens that no block below them holds another
    // one.
    e.loop(e.index(0), e.index(blocks), 1, [&](Value block) {
      Value largest = e.load(maxima, {row, block});
      e.when(isAmongThem(largest), [&] { insert(largest, e.toI32(block)); });
    });
    Value least = e.load(values, {row, last});
    e.loop(e.index(0), count, 1, [&](Value rank) {
      Value begin = e.mul(e.toIndex(e.load(tokens, {row, rank})), e.index(BlockStatisticsOp::columns));
      for (int64_t column = 0; column < BlockStatisticsOp::columns; column += 16)
        e.prefetch(logits, {row, e.add(begin, e.index(column))});
    });
    clear();
    e.loop(e.index(0), e.index(blocks), 1, [&](Value block) {
      Value isVisited = e.compare(arith::CmpFPredicate::OGE, e.load(maxima, {row, block}), least);
      e.when(isVisited, [&] {
        Value begin = e.mul(block, e.index(BlockStatisticsOp::columns)),
              end = e.min(e.add(begin, e.index(BlockStatisticsOp::columns)), e.index(vocabulary));
        e.loop(begin, end, 1, [&](Value token) {
          Value logit = e.load(logits, {row, token});
          e.when(isAmongThem(logit), [&] { insert(logit, e.toI32(token)); });
        });
      });
    });
  });
  e.loop(e.index(0), count, 1,
         [&](Value rank) { e.store(e.sub(e.load(values, {row, rank}), logSumExp), values, {row, rank}); });
}

LogicalResult scheduleTopK(func::FuncOp kernel, const RegisterFile &registers) {
  Operation *root = &kernel.getBody().front().front();
  Emitter e(kernel, registers);
  auto topK = dyn_cast<TopKOp>(root);
  constexpr int64_t rowsPerTile = 4;
  auto logits = cast<BlockArgument>(root->getOperand(0));
  Value place = e.placeOf(logits), begin = e.mul(e.tile(), e.index(rowsPerTile)),
        end = e.min(e.add(begin, e.index(rowsPerTile)), e.dim(place, 0));
  e.loop(begin, end, 1, [&](Value row) {
    if (topK)
      emitTopK(e, topK, row);
    else
      emitBlockStatistics(e, cast<BlockStatisticsOp>(root), place, row, e.index(0),
                          cast<RankedTensorType>(logits.getType()).getDimSize(1));
  });
  e.finish({{static_cast<int64_t>(logits.getArgNumber()), 0, 0, rowsPerTile}});
  return success();
}
} // namespace mlir::xf
