//===- AttentionBlocks.cpp - what attention's two passes share ------------===//
#include "xf/Schedule/AttentionBlocks.h"

namespace mlir::xf {

std::pair<Value, Value> rowsOf(Emitter &e, Value offsets, Value number) {
  Value start = e.load(offsets, number);
  return {start, e.sub(e.load(offsets, e.add(number, e.index(1))), start)};
}

FailureOr<AttentionBackwardOp> backwardOf(func::FuncOp kernel) {
  Block &body = kernel.getBody().front();
  auto op = cast<AttentionBackwardOp>(body.front());
  if (llvm::equal(body.getTerminator()->getOperands(), op->getResults()))
    return op;
  return op.emitOpError() << "has no schedule where not all of its results are returned, in their order: stage "
                             "'schedule' sums in them";
}

KeyRange AttentionMasks::visible(Emitter &e, Value i, Value queryStart, Value queryCount, Value keyCount) const {
  KeyRange keys{{}, keyCount};
  auto atLeastNone = [&](Value count) { return e.make<arith::MaxSIOp>(count, e.like(count, 0)); };
  if (causal) {
    // Query i sees keys j <= i + (keys - queries).
    Value limit = e.add(e.add(i, e.like(i, 1)), e.sub(keyCount, queryCount));
    keys.end = atLeastNone(e.min(limit, keyCount));
  }
  if (window) {
    Value position = e.add(i, e.sub(keyCount, queryCount));
    keys.begin = atLeastNone(e.sub(position, e.like(i, *window)));
    if (!causal)
      keys.end = atLeastNone(e.min(e.add(position, e.like(i, *window + 1)), keyCount));
  }
  if (lengths) {
    Value length = e.load(lengths, e.toIndex(e.add(queryStart, i)));
    keys.end = e.min(keys.end, atLeastNone(e.castTo(i.getType(), length)));
  }
  return keys;
}

KeyRange AttentionMasks::seeing(Emitter &e, Value j, Value queryCount, Value keyCount) const {
  KeyRange queries{{}, queryCount};
  Value own = e.add(j, e.sub(queryCount, keyCount)); // which stands at the key, if there is one
  auto atLeastNone = [&](Value count) { return e.make<arith::MaxSIOp>(count, e.like(count, 0)); };
  if (causal)
    queries.begin = atLeastNone(own);
  if (window) {
    queries.end = atLeastNone(e.min(e.add(own, e.like(own, *window + 1)), queryCount));
    if (!causal)
      queries.begin = atLeastNone(e.sub(own, e.like(own, *window)));
  }
  return queries;
}

AttentionTask::AttentionTask(Emitter &e, Value sequence, Value head, Value keyHead, Value queryOffsets,
                             Value keyOffsets, const AttentionMasks &masks)
    : e(e), queriesPerBlock(e.schedule<AttentionScheduleAttr>().getQueries()),
      keysPerBlock(e.schedule<AttentionScheduleAttr>().getKeys()), panel(vectors * e.registers.width), masks(masks),
      head(head), keyHead(keyHead) {
  for (auto [offsets, start, count] :
       {std::tuple(queryOffsets, &queryStart, &queryCount), {keyOffsets, &keyStart, &keyCount}}) {
    auto [first, rows] = rowsOf(e, offsets, sequence);
    *start = e.toIndex(first);
    *count = e.toIndex(rows);
  }
  Value isShort = e.compare(arith::CmpIPredicate::sle, e.add(queryCount, keyCount), e.index(256));
  headsAhead = e.select(isShort, e.index(1), e.index(0));
}

void AttentionTask::prefetchNextHead(Value matrix, Value head, Value row, Value c, int64_t features) {
  Value next = e.add(column(head, c, features), e.mul(headsAhead, e.index(features)));
  e.prefetch(matrix, {row, next});
}

KeyRange AttentionTask::visibleKeys(Value begin, Value end) {
  if (!masks.lengths) // Each query sees from and up to no earlier a key than the one before.
    return {masks.window ? visibleKeys(begin).begin : Value(), visibleKeys(e.sub(end, e.index(1))).end};
  AttentionMasks others = masks;
  others.lengths = {};
  KeyRange keys = others.visible(e, begin, queryStart, queryCount, keyCount);
  keys.end = e.loop(begin, end, 1, e.index(0), [&](Value i, ValueRange most) {
    return SmallVector<Value>{e.make<arith::MaxSIOp>(most[0], visibleKeys(i).end)};
  })[0];
  return keys;
}

KeyRange AttentionTask::inBlock(KeyRange keys, Value keyBegin, Value count) {
  if (!masks)
    return {{}, count};
  auto inside = [&](Value key) { return e.make<arith::MaxSIOp>(e.min(e.sub(key, keyBegin), count), e.index(0)); };
  Value end = inside(keys.end); // which lengths may put before the beginning of a window
  return {keys.begin ? e.min(inside(keys.begin), end) : Value(), end};
}

Value AttentionTask::mayHaveScores(ScoreRegion &region, Value begin, Value end, KeyRange keys, Value keyBegin) {
  Value one = e.index(1), firstKey = keys.begin ? e.add(keyBegin, keys.begin) : keyBegin;
  return region.mayHaveScores({position(begin), e.sub(position(end), one)},
                              {firstKey, e.sub(e.add(keyBegin, keys.end), one)});
}

Value AttentionTask::startOf(KeyRange keys, int64_t step) {
  if (!keys.begin || step == 1)
    return keys.begin ? keys.begin : e.index(0);
  return e.sub(keys.begin, e.make<arith::RemSIOp>(keys.begin, e.index(step)));
}

Value AttentionTask::laneMask(Value column, KeyRange keys) {
  Value lanes = e.laneNumbers();
  auto past = [&](Value key) { return e.splat(e.toI32(e.sub(key, column))); };
  Value inside = e.compare(arith::CmpIPredicate::slt, lanes, past(keys.end));
  if (keys.begin)
    inside = e.make<arith::AndIOp>(inside, e.compare(arith::CmpIPredicate::sge, lanes, past(keys.begin)));
  return inside;
}

Value AttentionTask::allocateScores() {
  // A step of 64 may begin at any vector; and rows that are no power of two apart spread over the sets of a cache.
  return e.allocate({queriesPerBlock, keysPerBlock + 64});
}

void AttentionTask::packTransposed(Value matrix, int64_t features, Value rowBegin, Value count, Value buffer,
                                   double factor) {
  int64_t width = e.registers.width;
  Value last = e.sub(count, e.index(1)), panels = e.ceilDiv(count, panel);
  e.loop(e.index(0), e.mul(panels, e.index(vectors)), 1, [&](Value vector) {
    Value panel = e.make<arith::DivSIOp>(vector, e.index(vectors)),
          offset = e.mul(e.make<arith::RemSIOp>(vector, e.index(vectors)), e.index(width));
    Value firstRow = e.mul(vector, e.index(width));
    SmallVector<Value> rows;
    for (int64_t lane = 0; lane < width; ++lane)
      rows.push_back(e.add(rowBegin, e.min(e.add(firstRow, e.index(lane)), last)));
    auto block = [&](Value c, int64_t lanes) {
      SmallVector<Value> lines;
      for (Value row : rows) {
        prefetchNextHead(matrix, keyHead, row, c, features);
        lines.push_back(e.loadVector(matrix, {row, column(keyHead, c, features)}, lanes));
      }
      lines = e.transpose(lines);
      for (int64_t i = 0; i < lanes; ++i)
        e.storeVector(factor == 1 ? lines[i] : e.mul(lines[i], e.splat(factor)), buffer,
                      {panel, e.add(c, e.index(i)), offset}, width);
    };
    int64_t full = features / width * width;
    if (full > 0)
      e.loop(e.index(0), e.index(full), width, [&](Value c) { block(c, width); });
    if (full < features)
      block(e.index(full), features - full);
  });
}

void AttentionTask::copyRows(Value matrix, Value head, int64_t features, Value rowBegin, Value count, Value buffer) {
  int64_t width = e.registers.width;
  e.loop(e.index(0), count, 1, [&](Value row) {
    Value from = e.add(rowBegin, row);
    for (int64_t c = 0; c < features; c += width) {
      prefetchNextHead(matrix, head, from, e.index(c), features);
      e.storeVector(e.loadVector(matrix, {from, column(head, e.index(c), features)}, std::min(width, features - c)),
                    buffer, {row, e.index(c)}, width);
    }
  });
}

void AttentionTask::scoreProduct(Value copied, int64_t features, Value rowBegin, Value rows, Value packed,
                                 KeyRange keys, Value scores) {
  int64_t width = e.registers.width;
  Value firstPanel = keys.begin ? e.make<arith::DivSIOp>(keys.begin, e.index(panel)) : e.index(0);
  e.loop(firstPanel, e.ceilDiv(keys.end, panel), 1, [&](Value index) {
    Value firstKey = e.mul(index, e.index(panel));
    emitTiles(e, e.index(0), rows, e.index(0), e.index(features),
              {rowsOfTile(e.registers), vectors, [&](Value, int64_t) { return e.splat(0); },
               [&](Value first, int64_t r, Value c) {
                 return e.load(copied, {e.add(rowBegin, e.add(first, e.index(r))), c});
               },
               [&](Value c, int64_t v) { return e.loadVector(packed, {index, c, e.index(v * width)}, width); },
               [&](Value r, int64_t v, Value sum) {
                 e.storeVector(sum, scores, {r, e.add(firstKey, e.index(v * width))}, width);
               }});
  });
}

void AttentionTask::accumulate(Value sums, Value sumHead, Value sumStart, KeyRange rows, Value copied, KeyRange ks,
                               int64_t features, function_ref<Value(Value, Value)> a, Value isFirst) {
  int64_t width = e.registers.width;
  e.columns(features, vectors, [&](Value c, ArrayRef<int64_t> lanes) {
    auto own = [&](int64_t v) { return e.add(c, e.index(v * width)); };
    auto at = [&](Value row, int64_t v) {
      return SmallVector<Value>{e.add(sumStart, row), sumHead ? column(sumHead, own(v), features) : own(v)};
    };
    emitTiles(e, startOf(rows, 1), rows.end, startOf(ks, 1), ks.end,
              {rowsOfTile(e.registers), static_cast<int64_t>(lanes.size()),
               [&](Value row, int64_t v) {
                 Value sum = e.loadVector(sums, at(row, v), lanes[v]);
                 return isFirst ? e.select(isFirst, e.splat(0), sum) : sum;
               },
               [&](Value first, int64_t r, Value k) { return a(e.add(first, e.index(r)), k); },
               [&](Value k, int64_t v) { return e.loadVector(copied, {k, own(v)}, width); },
               [&](Value row, int64_t v, Value sum) { e.storeVector(sum, sums, at(row, v), lanes[v]); }});
  });
}

SmallVector<Value> AttentionTask::overKeys(KeyRange keys, int64_t step, ValueRange initial,
                                           function_ref<SmallVector<Value>(Value, bool, ValueRange)> body) {
  if (keys.begin)
    return e.loop(startOf(keys, step), keys.end, step, initial,
                  [&](Value key, ValueRange carried) { return body(key, true, carried); });
  Value visible = keys.end, full = e.sub(visible, e.make<arith::RemSIOp>(visible, e.index(step)));
  SmallVector<Value> carried =
      e.loop(e.index(0), full, step, initial, [&](Value key, ValueRange carried) { return body(key, false, carried); });
  return e.loop(full, visible, step, carried, [&](Value key, ValueRange carried) { return body(key, true, carried); });
}

void AttentionTask::clearRest(KeyRange visible, int64_t step, KeyRange keys, Value scores, Value row) {
  int64_t width = e.registers.width;
  auto clear = [&](Value begin, Value end) {
    e.loop(begin, end, width, [&](Value key) { e.storeVector(e.splat(0), scores, {row, key}, width); });
  };
  if (visible.begin)
    clear(startOf(keys, width), e.min(startOf(visible, step), keys.end));
  clear(e.mul(e.ceilDiv(visible.end, step), e.index(step)), keys.end);
}

ProbabilityDropout::ProbabilityDropout(Emitter &e, Value random, Value site, const APFloat &rate) : e(e), rate(rate) {
  if (random && !rate.isZero())
    philox.emplace(e, e.placeOf(random), e.placeOf(site));
}

SmallVector<Value> ProbabilityDropout::keeps(Value row, Value column) {
  SmallVector<Value> result;
  for (Value word : philox->words(row, column, 64 / e.registers.width))
    result.push_back(philox->keeps(word, rate));
  return result;
}

Value ProbabilityDropout::apply(Value keep, Value value) {
  return e.select(keep, e.mul(value, e.splat(1 / (1 - rate.convertToDouble()))), e.splat(0));
}
} // namespace mlir::xf
