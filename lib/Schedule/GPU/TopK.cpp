//===- TopK.cpp - schedule of finding a row's likeliest tokens for GPUs ---===//
// A warp takes a row. Each rank is a search for the largest after the one before: among the blocks' maxima first, to
// know how large the likeliest are at least, and then among the logits of the blocks that hold one as large.
//===----------------------------------------------------------------------===//
#include "xf/Schedule/Elementwise.h"

namespace mlir::xf {
namespace {
/// A logit and its number; of equal logits the lower number comes first.
struct Candidate {
  Value logit, number; // f32, i32
};

class Search {
public:
  /// For the best after `before`.
  Search(Emitter &e, ValueRange before) : e(e), before{before[0], before[1]} {}

  static SmallVector<Value> none(Emitter &e) { return {e.f32(-std::numeric_limits<float>::infinity()), e.i32(-1)}; }
  static SmallVector<Value> first(Emitter &e) { return {e.f32(std::numeric_limits<float>::infinity()), e.i32(-1)}; }

  /// The better of `best` and a candidate with a higher number.
  SmallVector<Value> take(ValueRange best, const Candidate &next) {
    Value isLess = e.compare(arith::CmpFPredicate::OLT, next.logit, before.logit),
          isEqual = e.compare(arith::CmpFPredicate::OEQ, next.logit, before.logit),
          isHigher = e.compare(arith::CmpIPredicate::sgt, next.number, before.number);
    Value isAfter = e.make<arith::OrIOp>(isLess, e.make<arith::AndIOp>(isEqual, isHigher));
    Value isBetter = e.make<arith::AndIOp>(isAfter, e.compare(arith::CmpFPredicate::OGT, next.logit, best[0]));
    return {e.select(isBetter, next.logit, best[0]), e.select(isBetter, next.number, best[1])};
  }

  /// The best of all threads', which all have then.
  SmallVector<Value> ofWarp(ValueRange mine) {
    SmallVector<Value> best(mine);
    for (int64_t distance = RegisterFile::warpThreads / 2; distance > 0; distance /= 2) {
      Value lane = e.make<arith::XOrIOp>(e.toI32(e.lane()), e.i32(distance));
      Value logit = e.fromLane(best[0], lane), number = e.fromLane(best[1], lane);
      Value isMore = e.compare(arith::CmpFPredicate::OGT, logit, best[0]),
            isEqual = e.compare(arith::CmpFPredicate::OEQ, logit, best[0]),
            isLower = e.compare(arith::CmpIPredicate::ult, number, best[1]);
      Value isBetter = e.make<arith::OrIOp>(isMore, e.make<arith::AndIOp>(isEqual, isLower));
      best = {e.select(isBetter, logit, best[0]), e.select(isBetter, number, best[1])};
    }
    return best;
  }

private:
  Emitter &e;
  Candidate before;
};

void emitTopKOfWarp(Emitter &e, TopKOp op, Value row) {
  Value logits = e.placeOf(op.getLogits()), maxima = e.placeOf(op.getMaxima()), values = e.placeOf(op.getValues()),
        tokens = e.placeOf(op.getTokens());
  int64_t vocabulary = op.getLogits().getType().getDimSize(1), blocks = op.getMaxima().getType().getDimSize(1);
  constexpr int64_t threads = RegisterFile::warpThreads;
  Value logSumExp = emitLogSumExp(e, op, row), count = e.dim(e.placeOf(op.getRanks()), 0);
  // As many of the blocks' largest logits are among the likeliest tokens as let no block below them hold another one.
  Value least = e.loop(e.index(0), count, 1, Search::first(e), [&](Value, ValueRange before) {
    Search search(e, before);
    return search.ofWarp(e.loop(e.lane(), e.index(blocks), threads, Search::none(e), [&](Value block, ValueRange best) {
      return search.take(best, {e.load(maxima, {row, block}), e.toI32(block)});
    }));
  })[0];
  e.loop(e.index(0), count, 1, Search::first(e), [&](Value rank, ValueRange before) {
    Search search(e, before);
    SmallVector<Value> best =
        e.loop(e.index(0), e.index(blocks), threads, Search::none(e), [&](Value first, ValueRange carried) {
          Value block = e.add(first, e.lane()), isThere = e.compare(arith::CmpIPredicate::slt, block, e.index(blocks));
          Value largest = e.select(isThere, e.loadWhere(isThere, maxima, {row, block}), Search::none(e)[0]);
          Value isVisited = e.compare(arith::CmpFPredicate::OGE, largest, least);
          SmallVector<Value> state{e.ballot(e.make<arith::AndIOp>(isThere, isVisited))};
          llvm::append_range(state, carried);
          Value visits = e.toIndex(e.populationOf(state[0]));
          state = e.loop(e.index(0), visits, 1, state, [&](Value, ValueRange values) {
            Value visited = e.add(first, e.toIndex(e.lowestBit(values[0])));
            SmallVector<Value> next(values.drop_front());
            for (int64_t column = 0; column < BlockStatisticsOp::columns; column += threads) {
              Value token =
                  e.add(e.mul(visited, e.index(BlockStatisticsOp::columns)), e.add(e.lane(), e.index(column)));
              Value isToken = e.compare(arith::CmpIPredicate::slt, token, e.index(vocabulary));
              Value logit = e.select(isToken, e.loadWhere(isToken, logits, {row, token}), Search::none(e)[0]);
              next = search.take(next, {logit, e.toI32(token)});
            }
            next.insert(next.begin(), e.withoutLowestBit(values[0]));
            return next;
          });
          return SmallVector<Value>(ArrayRef(state).drop_front());
        });
    best = search.ofWarp(best);
    e.onFirstLane([&] {
      e.store(e.sub(best[0], logSumExp), values, {row, rank});
      e.store(best[1], tokens, {row, rank});
    });
    return best;
  });
}
} // namespace

LogicalResult scheduleTopKGPU(func::FuncOp kernel, RegisterFile block) {
  Operation *root = &kernel.getBody().front().front();
  Emitter e(kernel, block);
  auto topK = dyn_cast<TopKOp>(root);
  auto logits = cast<BlockArgument>(root->getOperand(0));
  Value place = e.placeOf(logits), begin = e.mul(e.tile(), e.index(block.warps)),
        end = e.min(e.add(begin, e.index(block.warps)), e.dim(place, 0));
  e.rows(begin, end, [&](Value row) {
    if (topK)
      emitTopKOfWarp(e, topK, row);
    else
      emitBlockStatistics(e, cast<BlockStatisticsOp>(root), place, row, e.index(0),
                          cast<RankedTensorType>(logits.getType()).getDimSize(1));
  });
  e.finish({{static_cast<int64_t>(logits.getArgNumber()), 0, 0, block.warps}});
  return success();
}
} // namespace mlir::xf
