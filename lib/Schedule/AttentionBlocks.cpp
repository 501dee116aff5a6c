//===- AttentionBlocks.cpp - what attention's two passes share ------------===//
#include "xf/Schedule/AttentionBlocks.h"

namespace mlir::xf {

AttentionTask::AttentionTask(Emitter &e, Value queryOffsets, Value keyOffsets, int64_t heads, bool causal)
    : e(e), heads(heads), causal(causal) {
  SmallVector<Value> tile = e.splitTile({e.index(heads)});
  head = tile[1];
  auto range = [&](Value offsets, Value &start, Value &count) {
    start = e.toIndex(e.load(offsets, tile[0]));
    count = e.sub(e.toIndex(e.load(offsets, e.add(tile[0], e.index(1)))), start);
  };
  range(queryOffsets, queryStart, queryCount);
  range(keyOffsets, keyStart, keyCount);
}

Value AttentionTask::visibleKeys(Value i) {
  if (!causal)
    return keyCount;
  // Query i sees keys j <= i + (keys - queries).
  Value limit = e.add(e.add(i, e.index(1)), e.sub(keyCount, queryCount));
  return e.make<arith::MaxSIOp>(e.min(limit, keyCount), e.index(0));
}

Value AttentionTask::visibleInBlock(Value i, Value keyBegin) {
  return e.make<arith::MaxSIOp>(e.min(e.sub(visibleKeys(i), keyBegin), e.index(keysPerBlock)), e.index(0));
}

Value AttentionTask::laneMask(Value column, Value count) {
  SmallVector<int32_t> numbers;
  for (int32_t lane = 0; lane < e.registers.width; ++lane)
    numbers.push_back(lane);
  Value lanes = arith::ConstantOp::create(e.b, e.loc, e.b.getI32VectorAttr(numbers));
  return e.compare(arith::CmpIPredicate::slt, lanes, e.splat(e.toI32(e.sub(count, column))));
}

void AttentionTask::packTransposed(Value matrix, int64_t features, Value keyBegin, Value count, Value buffer) {
  int64_t width = e.registers.width;
  Value firstRow = e.add(keyStart, keyBegin), last = e.sub(count, e.index(1));
  e.loop(e.index(0), e.mul(panelsOf(count), e.index(vectors)), 1, [&](Value vector) {
    Value panel = e.make<arith::DivSIOp>(vector, e.index(vectors)),
          offset = e.mul(e.make<arith::RemSIOp>(vector, e.index(vectors)), e.index(width));
    Value firstKey = e.mul(vector, e.index(width));
    // Lanes past the last key read the last key again: they are masked wherever they could count.
    SmallVector<Value> keys;
    for (int64_t lane = 0; lane < width; ++lane)
      keys.push_back(e.add(firstRow, e.min(e.add(firstKey, e.index(lane)), last)));
    auto block = [&](Value c, int64_t lanes) {
      SmallVector<Value> lines;
      for (Value key : keys)
        lines.push_back(e.loadVector(matrix, {key, column(c, features)}, lanes));
      lines = e.transpose(lines);
      for (int64_t i = 0; i < lanes; ++i)
        e.storeVector(lines[i], buffer, {panel, e.add(c, e.index(i)), offset}, width);
    };
    int64_t full = features / width * width;
    if (full > 0)
      e.loop(e.index(0), e.index(full), width, [&](Value c) { block(c, width); });
    if (full < features)
      block(e.index(full), features - full);
  });
}

void AttentionTask::scoreProduct(Value matrix, int64_t features, Value rowBegin, Value rowEnd, Value packed,
                                 Value count, Value block) {
  int64_t width = e.registers.width;
  e.loop(e.index(0), panelsOf(count), 1, [&](Value panel) {
    Value firstKey = e.mul(panel, e.index(vectors * width));
    emitTiles(e, rowBegin, rowEnd, e.index(0), e.index(features),
              {rows, vectors, [&](Value, int64_t) { return e.splat(0); },
               [&](Value i, Value c) { return e.load(matrix, {e.add(queryStart, i), column(c, features)}); },
               [&](Value c, int64_t v) { return e.loadVector(packed, {panel, c, e.index(v * width)}, width); },
               [&](Value i, int64_t v, Value sum) {
                 e.storeVector(sum, block, {e.sub(i, rowBegin), e.add(firstKey, e.index(v * width))}, width);
               }});
  });
}

SmallVector<Value> ProbabilityDropout::keeps(Value row, Value column) {
  SmallVector<Value> result;
  for (Value word : philox->words(row, column))
    result.push_back(philox->keeps(word, rate));
  return result;
}
} // namespace mlir::xf
