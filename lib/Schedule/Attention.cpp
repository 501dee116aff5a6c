//===- Attention.cpp - schedule of attention's forward --------------------===//
// FlashAttention (Dao et al. 2022): for a block of queries, running maximum and sum over blocks of keys; scores never
// leave a worker's cache. A task is one head of one sequence, so nothing depends on what else is in the batch.
//===----------------------------------------------------------------------===//
#include "xf/Schedule/AttentionBlocks.h"
#include <cmath>

namespace mlir::xf {
namespace {
void emit(Emitter &e, AttentionOp op) {
  SmallVector<Value> tile = e.splitTile({e.index(static_cast<int64_t>(op.getHeads()))});
  AttentionTask task(e, tile[0], tile[1], keyHeadOf(e, op, tile[1]), e.placeOf(op.getQueryOffsets()),
                     e.placeOf(op.getKeyOffsets()), AttentionMasks(e, op));
  // A block of keys is packed once for a turn of queries.
  int64_t queriesPerTurn = e.schedule<AttentionScheduleAttr>().getTurn();
  int64_t width = e.registers.width, heads = op.getHeads();
  int64_t dK = op.getKeyFeatures(), dV = op.getValueFeatures();
  Value packedKeys = task.allocateTransposed(dK), values = task.allocateRows(task.keysPerBlock, dV),
        queries = task.allocateRows(queriesPerTurn, dK), scores = task.allocateScores(),
        sums = e.allocate({queriesPerTurn, (dV + width - 1) / width * width});
  // Of each query's scores so far: the largest, and the sum of their powers relative to it.
  Value maxima = e.allocate({queriesPerTurn}), totals = e.allocate({queriesPerTurn});
  Value query = e.placeOf(op.getQuery()), key = e.placeOf(op.getKey()), value = e.placeOf(op.getValue());
  Value result = e.placeOf(op.getResult()), logSumExp = e.placeOf(op.getLogSumExp());
  ProbabilityDropout dropout(e, op.getRandom(), op.getSite(), op.getRate());
  int64_t step = task.stepWidth(static_cast<bool>(dropout));
  ScoreRegion region(e, op.getScore(), op.getCaptures(), task.head);
  double scoreFactor = region ? region.takeScoreFactor() : M_LOG2E;
  bool skips = region && region.masksBlocks();

  e.loop(e.index(0), task.queryCount, queriesPerTurn, [&](Value turnBegin) {
    Value turnEnd = e.min(e.add(turnBegin, e.index(queriesPerTurn)), task.queryCount);
    Value turn = e.sub(turnEnd, turnBegin);
    task.copyRows(query, task.head, dK, e.add(task.queryStart, turnBegin), turn, queries);
    e.loop(e.index(0), turn, 1, [&](Value r) {
      e.store(e.f32(-1e30), maxima, r);
      e.store(e.f32(0), totals, r);
    });
    // Blocks of keys that no query of the turn sees are not visited.
    KeyRange turnKeys = task.visibleKeys(turnBegin, turnEnd);
    Value keyLimit = turnKeys.end, firstBlock = task.startOf(turnKeys, task.keysPerBlock);
    e.loop(firstBlock, keyLimit, task.keysPerBlock, [&](Value keyBegin) {
      Value keysHere = e.min(e.sub(keyLimit, keyBegin), e.index(task.keysPerBlock));
      Value isFirst = e.compare(arith::CmpIPredicate::eq, keyBegin, firstBlock),
            keyRow = e.add(task.keyStart, keyBegin);
      /// The turn's first block of keys sets the sums to zero.
      auto whereScores = [&](Value isSeen, Value begin, Value end, KeyRange keys, function_ref<void()> body) {
        if (skips) {
          Value may = task.mayHaveScores(region, begin, end, keys, keyBegin);
          isSeen = isSeen ? e.make<arith::AndIOp>(isSeen, may) : may;
        }
        isSeen ? e.when(e.make<arith::OrIOp>(isSeen, isFirst), body) : body();
      };
      auto keyBlock = [&] {
        task.packTransposed(key, dK, keyRow, keysHere, packedKeys, op.getScale().convertToDouble() * scoreFactor);
        task.copyRows(value, task.keyHead, dV, keyRow, keysHere, values);
        e.loop(turnBegin, turnEnd, task.queriesPerBlock, [&](Value queryBegin) {
          Value queryEnd = e.min(e.add(queryBegin, e.index(task.queriesPerBlock)), turnEnd);
          KeyRange keys = task.inBlock(task.visibleKeys(queryBegin, queryEnd), keyBegin, keysHere);
          auto block = [&] {
            Value first = e.sub(queryBegin, turnBegin);
            task.scoreProduct(queries, dK, first, e.sub(queryEnd, queryBegin), packedKeys, keys, scores);
            e.loop(queryBegin, queryEnd, 1, [&](Value i) {
              KeyRange visible = task.inBlock(task.visibleKeys(i), keyBegin, keys.end);
              Value r = e.sub(i, queryBegin), slot = e.add(first, r);
              if (region)
                region.setQuery(task.position(i));
              Value blockMax =
                  task.overKeys(visible, width, e.splat(-1e30), [&](Value j, bool masked, ValueRange carried) {
                    Value s = e.loadVector(scores, {r, j}, width);
                    if (region) {
                      s = region.apply(s, e.add(keyBegin, j), M_LOG2E)[0];
                      e.storeVector(s, scores, {r, j}, width);
                    }
                    if (masked)
                      s = e.select(task.laneMask(j, visible), s, e.splat(-1e30));
                    return SmallVector<Value>{e.maximum(carried[0], s)};
                  })[0];
              Value before = e.load(maxima, slot);
              Value now = e.maximum(before, e.reduce(vector::CombiningKind::MAXNUMF, blockMax));
              Value correction = emitExp2(e, e.splat(e.sub(before, now)));
              Value total = task.overKeys(visible, step, e.splat(0), [&](Value j, bool masked, ValueRange carried) {
                SmallVector<Value> keeps;
                if (dropout)
                  keeps = dropout.keeps(e.add(e.mul(e.add(task.queryStart, i), e.index(heads)), task.head),
                                        e.add(keyBegin, j));
                Value sum = carried[0];
                for (int64_t v = 0; v < step / width; ++v) {
                  Value at = e.add(j, e.index(v * width));
                  Value s = e.loadVector(scores, {r, at}, width), p = emitExp2(e, e.sub(s, e.splat(now)));
                  if (region && region.mayMask())
                    p = e.select(region.isScore(s), p, e.splat(0));
                  if (masked)
                    p = e.select(task.laneMask(at, visible), p, e.splat(0));
                  sum = e.add(sum, p);
                  e.storeVector(dropout ? dropout.apply(keeps[v], p) : p, scores, {r, at}, width);
                }
                return SmallVector<Value>{sum};
              })[0];
              if (task.masks)
                task.clearRest(visible, step, keys, scores, r);
              Value factor = e.firstLane(correction);
              e.store(now, maxima, slot);
              e.store(e.fma(e.load(totals, slot), factor, e.reduce(vector::CombiningKind::ADD, total)), totals, slot);
              e.when(e.compare(arith::CmpIPredicate::sgt, keyBegin, firstBlock), [&] {
                e.columns(llvm::alignTo(dV, width), 1, [&](Value c, ArrayRef<int64_t>) {
                  e.storeVector(e.mul(e.loadVector(sums, {slot, c}, width), correction), sums, {slot, c}, width);
                });
              });
            });
            task.accumulate(
                sums, {}, first, {{}, e.sub(queryEnd, queryBegin)}, values, keys, dV,
                [&](Value r, Value j) { return e.load(scores, {r, j}); }, isFirst);
          };
          whereScores(task.masks.window || task.masks.causal ? task.isAny(keys) : Value(), queryBegin, queryEnd, keys,
                      block);
        });
      };
      whereScores({}, turnBegin, turnEnd, {{}, keysHere}, keyBlock);
    });
    e.loop(turnBegin, turnEnd, 1, [&](Value i) {
      Value r = e.sub(i, turnBegin), row = e.add(task.queryStart, i), total = e.load(totals, r);
      // A query that sees no key: zeros, and +inf so that the backward's probabilities vanish.
      Value sees = e.compare(arith::CmpFPredicate::UGT, total, e.f32(0));
      Value inverse = e.splat(e.div(e.f32(1), total));
      if (result)
        e.columns(dV, 1, [&](Value c, ArrayRef<int64_t> lanes) {
          Value average = e.mul(e.loadVector(sums, {r, c}, width), inverse);
          e.storeVector(e.select(sees, average, e.splat(0)), result, {row, task.column(task.head, c, dV)}, lanes[0]);
        });
      if (logSumExp) {
        Value sum = e.fma(e.load(maxima, r), e.f32(M_LN2), emitOnNumber(e, emitLog, total));
        e.store(e.select(sees, sum, e.f32(std::numeric_limits<float>::infinity())), logSumExp, {row, task.head});
      }
    });
  });
  e.finish(
      {{static_cast<int64_t>(cast<BlockArgument>(op.getQueryOffsets()).getArgNumber()), 0, -1, 1}, {-1, heads, 0, 1}});
}

/// A few queries over listed rows: keys are gathered, a vector of scores at a time. Heads that share one of keys and
/// values take turns at a few rows of it, which the first of them has brought into the first cache.
/// Products of a vector of keys are added up together: one by one, adding up the lanes takes longer than multiplying.
void emit(Emitter &e, CachedAttentionOp op) {
  int64_t width = e.registers.width, keyHeads = op.getKeyValueHeadCount(), shared = op.getHeads() / keyHeads;
  int64_t dK = op.getKeyFeatures(), dV = op.getValueFeatures();
  SmallVector<Value> tile = e.splitTile({e.index(keyHeads)});
  Value row = tile[0], keyHead = tile[1], rows = e.placeOf(op.getRows()), offsets = e.placeOf(op.getRowOffsets());
  Value query = e.placeOf(op.getQuery()), key = e.placeOf(op.getKey()), value = e.placeOf(op.getValue()),
        result = e.placeOf(op.getResult());
  Value begin = e.toIndex(e.load(offsets, row)), end = e.toIndex(e.load(offsets, e.add(row, e.index(1))));
  Value seen = begin;
  if (std::optional<int64_t> window = op.getWindow())
    seen = e.make<arith::MaxSIOp>(begin, e.sub(end, e.index(*window + 1)));
  Value scores = e.allocate({width});
  auto lanesOf = [&](int64_t features) {
    SmallVector<int64_t> lanes;
    for (int64_t rest = features; rest > 0; rest -= width)
      lanes.push_back(std::min(rest, width));
    return lanes;
  };
  SmallVector<int64_t> kLanes = lanesOf(dK), vLanes = lanesOf(dV);
  auto column = [&](Value head, int64_t features, int64_t v) {
    return e.add(e.mul(head, e.index(features)), e.index(v * width));
  };
  Value scale = e.splat(op.getScale().convertToDouble());
  auto queriesOf = [&](Value head) {
    SmallVector<Value> queries;
    for (auto [v, lanes] : llvm::enumerate(kLanes))
      queries.push_back(e.mul(e.loadVector(query, {row, column(head, dK, v)}, lanes), scale));
    return queries;
  };
  // Rows lie anywhere in memory. The next task is the same row's next head, or the first one of the row that follows,
  // whose list follows too.
  Value lastHead = e.compare(arith::CmpIPredicate::eq, keyHead, e.index(keyHeads - 1)),
        nextHead = e.select(lastHead, e.index(0), e.add(keyHead, e.index(1)));
  constexpr int64_t line = 16;
  auto prefetchNext = [&](Value first, Value count) {
    if (dK < line && dV < line) // the next head's lie in what has been read
      return;
    Value from = e.select(lastHead, e.add(first, e.sub(end, begin)), first);
    e.loop(e.index(0), e.min(count, e.sub(e.dim(rows, 0), from)), 1, [&](Value j) {
      Value nextRow = e.toIndex(e.load(rows, e.add(from, j)));
      for (auto [memory, features] : {std::pair(key, dK), std::pair(value, dV)})
        for (int64_t c = 0; c < features; c += line)
          e.prefetch(memory, {nextRow, e.add(e.mul(nextHead, e.index(features)), e.index(c))});
    });
  };
  Value laneNumbers = e.laneNumbers(), firstHead = shared == 1 ? keyHead : e.mul(keyHead, e.index(shared));
  ScoreRegion region(e, op.getScore(), op.getCaptures(), firstHead);
  /// What a head has seen so far: the largest score, the sum of the powers relative to it, that of their values.
  SmallVector<Value> initial{e.f32(-1e30), e.f32(0)};
  initial.append(vLanes.size(), e.splat(0));
  auto overRows = [&](ArrayRef<Value> queries, Value from, Value to, ValueRange state) {
    return e.loop(from, to, width, state, [&](Value first, ValueRange carried) {
      Value count = e.min(e.sub(end, first), e.index(width)),
            isFull = e.compare(arith::CmpIPredicate::eq, count, e.index(width));
      /// Products of the query and the j-th key, each lane's of some features.
      auto products = [&](Value j) {
        Value keyRow = e.toIndex(e.load(rows, e.add(first, j)));
        Value dot = e.splat(0);
        for (auto [v, lanes] : llvm::enumerate(kLanes))
          dot = e.fma(queries[v], e.loadVector(key, {keyRow, column(keyHead, dK, v)}, lanes), dot);
        return dot;
      };
      auto ofBlock = [&] {
        SmallVector<Value> lines;
        for (int64_t j = 0; j < width; ++j)
          lines.push_back(products(e.index(j)));
        return SmallVector<Value>{e.reduceLines(lines)};
      };
      auto oneByOne = [&] {
        e.loop(e.index(0), count, 1,
               [&](Value j) { e.store(e.reduce(vector::CombiningKind::ADD, products(j)), scores, j); });
        return SmallVector<Value>{e.loadVector(scores, e.index(0), width)};
      };
      if (shared == 1)
        prefetchNext(first, count);
      Value valid = e.compare(arith::CmpIPredicate::slt, laneNumbers, e.splat(e.toI32(count)));
      Value s = e.choose(isFull, ofBlock, oneByOne)[0];
      if (region) {
        s = region.apply(s, e.sub(first, begin))[0];
        valid = e.make<arith::AndIOp>(valid, region.isScore(s));
      }
      s = e.select(valid, s, e.splat(-1e30));
      Value now = e.maximum(carried[0], e.reduce(vector::CombiningKind::MAXNUMF, s));
      Value p = e.select(valid, emitExp(e, e.sub(s, e.splat(now))), e.splat(0));
      Value correction = emitExp(e, e.splat(e.sub(carried[0], now)));
      Value firstLane = e.firstLane(correction);
      e.storeVector(p, scores, e.index(0), width);
      SmallVector<Value> scaled{now, e.add(e.mul(carried[1], firstLane), e.reduce(vector::CombiningKind::ADD, p))},
          outputs;
      for (Value output : carried.drop_front(2))
        outputs.push_back(e.mul(output, correction));
      auto addValue = [&](Value j, ValueRange partial) {
        Value valueRow = e.toIndex(e.load(rows, e.add(first, j))), weight = e.splat(e.load(scores, j));
        SmallVector<Value> next;
        for (auto [v, lanes] : llvm::enumerate(vLanes))
          next.push_back(e.fma(weight, e.loadVector(value, {valueRow, column(keyHead, dV, v)}, lanes), partial[v]));
        return next;
      };
      auto valuesOfBlock = [&] {
        SmallVector<Value> sums = outputs;
        for (int64_t j = 0; j < width; ++j)
          sums = addValue(e.index(j), sums);
        return sums;
      };
      llvm::append_range(
          scaled, e.choose(isFull, valuesOfBlock, [&] { return e.loop(e.index(0), count, 1, outputs, addValue); }));
      return scaled;
    });
  };
  auto setHead = [&](Value head) {
    if (!region)
      return;
    if (head != firstHead)
      region.setHead(head);
    region.setQuery(e.sub(e.sub(end, begin), e.index(1)));
  };
  auto finish = [&](Value head, ValueRange state) {
    Value total = state[1];
    Value inverse =
        e.splat(e.select(e.compare(arith::CmpFPredicate::UGT, total, e.f32(0)), e.div(e.f32(1), total), e.f32(0)));
    for (auto [v, lanes] : llvm::enumerate(vLanes))
      e.storeVector(e.mul(state[2 + v], inverse), result, {row, column(head, dV, v)}, lanes);
  };
  if (shared == 1) {
    setHead(keyHead);
    finish(keyHead, overRows(queriesOf(keyHead), seen, end, initial));
  } else {
    int64_t vectors = vLanes.size();
    Value numbers = e.allocate({shared, 2}), sums = e.allocate({shared, vectors * width});
    auto stateOf = [&](Value member) {
      SmallVector<Value> state{e.load(numbers, {member, e.index(0)}), e.load(numbers, {member, e.index(1)})};
      for (int64_t v = 0; v < vectors; ++v)
        state.push_back(e.loadVector(sums, {member, e.index(v * width)}, width));
      return state;
    };
    auto keep = [&](Value member, ValueRange state) {
      for (int64_t i : {0, 1})
        e.store(state[i], numbers, {member, e.index(i)});
      for (int64_t v = 0; v < vectors; ++v)
        e.storeVector(state[2 + v], sums, {member, e.index(v * width)}, width);
    };
    auto forHeads = [&](function_ref<void(Value head, Value member)> body) {
      e.loop(e.index(0), e.index(shared), 1, [&](Value member) { body(e.add(firstHead, member), member); });
    };
    forHeads([&](Value, Value member) { keep(member, initial); });
    constexpr int64_t step = 32; // rows, of every vector's width a multiple
    e.loop(seen, end, step, [&](Value from) {
      Value to = e.min(e.add(from, e.index(step)), end);
      prefetchNext(from, e.sub(to, from));
      forHeads([&](Value head, Value member) {
        setHead(head);
        keep(member, overRows(queriesOf(head), from, to, stateOf(member)));
      });
    });
    forHeads([&](Value head, Value member) { finish(head, stateOf(member)); });
  }
  e.finish({{static_cast<int64_t>(cast<BlockArgument>(op.getQuery()).getArgNumber()), 0, 0, 1}, {-1, keyHeads, 0, 1}});
}

/// To look at: plain loops, a task for each head.
void emit(Emitter &e, AttentionWeightsOp op) {
  int64_t dK = op.getKeyFeatures();
  Value query = e.placeOf(op.getQuery()), key = e.placeOf(op.getKey()), result = e.placeOf(op.getResult()),
        head = e.tile(), keyHead = keyHeadOf(e, op, head);
  Value queries = e.dim(query, 0), keys = e.dim(key, 0), scale = e.f32(op.getScale().convertToDouble());
  AttentionMasks masks(e, op);
  ScoreRegion region(e, op.getScore(), op.getCaptures(), head);
  e.loop(e.index(0), queries, 1, [&](Value i) {
    if (region)
      region.setQuery(e.add(i, e.sub(keys, queries)));
    auto [first, end] = masks.visible(e, i, e.index(0), queries, keys);
    Value begin = first ? first : e.index(0), visible = end;
    e.loop(e.index(0), keys, 1, [&](Value j) { e.store(e.f32(0), result, {head, i, j}); });
    Value most = e.loop(begin, visible, 1, e.f32(-1e30), [&](Value j, ValueRange carried) {
      Value dot = e.loop(e.index(0), e.index(dK), 1, e.f32(0), [&](Value c, ValueRange sum) {
        Value q = e.load(query, {i, e.add(e.mul(head, e.index(dK)), c)}),
              k = e.load(key, {j, e.add(e.mul(keyHead, e.index(dK)), c)});
        return SmallVector<Value>{e.fma(q, k, sum[0])};
      })[0];
      dot = e.mul(dot, scale);
      if (region)
        dot = vector::ExtractOp::create(e.b, e.loc, region.apply(e.splat(dot), j)[0], 0);
      e.store(dot, result, {head, i, j});
      return SmallVector<Value>{e.maximum(carried[0], dot)};
    })[0];
    Value total = e.loop(begin, visible, 1, e.f32(0), [&](Value j, ValueRange carried) {
      Value s = e.load(result, {head, i, j}), p = emitOnNumber(e, emitExp, e.sub(s, most));
      if (region)
        p = e.select(e.compare(arith::CmpFPredicate::UGT, s, e.f32(-1e30)), p, e.f32(0));
      e.store(p, result, {head, i, j});
      return SmallVector<Value>{e.add(carried[0], p)};
    })[0];
    if (region) // which may have masked all
      total = e.select(e.compare(arith::CmpFPredicate::UGT, total, e.f32(0)), total, e.f32(1));
    e.loop(begin, visible, 1,
           [&](Value j) { e.store(e.div(e.load(result, {head, i, j}), total), result, {head, i, j}); });
  });
  e.finish({{-1, static_cast<int64_t>(op.getHeads()), 0, 1}});
}
} // namespace

LogicalResult scheduleAttention(func::FuncOp kernel, const RegisterFile &registers) {
  scheduleForward(kernel, registers, [](Emitter &e, auto op) { emit(e, op); });
  return success();
}
} // namespace mlir::xf
