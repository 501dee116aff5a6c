//===- WarpgroupRows.cpp - rows of scores of warpgroups, and their rings --===//
#include "WarpgroupAttention.h"

namespace mlir::xf {

WarpgroupRows::WarpgroupRows(Emitter &e, TensorCore &core, Value number, Value total, bool computes)
    : RowBlock(e, core, number, total, /*tiles=*/1, /*otherWarps=*/groupThreads / 32) {
  isWhole = computes;
  findGroup();
}

void WarpgroupRows::findGroup() {
  group = uniform(e.sub(e.make<arith::DivUIOp>(e.toI32(e.thread()), e.i32(groupThreads)), e.i32(1)));
  groupBegin = e.add(begin, e.mul(group, e.i32(groupRows)));
}
void WarpgroupRows::findRows() {
  RowBlock::findRows();
  findGroup();
}
void WarpgroupRows::take(const WarpgroupRows &other) {
  RowBlock::take(other);
  group = other.group, groupBegin = other.groupBegin;
}

ColumnSteps WarpgroupRows::stepsOf(Value start, Value count, Columns columns, int64_t size) {
  Value zero = e.i32(0);
  auto max = [&](Value x, Value y) -> Value { return e.make<arith::MaxSIOp>(x, y); };
  auto isNoMore = [&](Value x, Value y) { return e.compare(arith::CmpIPredicate::sle, x, y); };
  auto floor = [&](Value column) -> Value { return e.make<arith::DivUIOp>(column, e.i32(size)); };
  auto ceil = [&](Value column) { return floor(e.add(column, e.i32(size - 1))); };
  struct Ranges {
    Value begin, end, allBegin, allEnd; // what some of the rows see, and what all do
  };
  auto rangesOf = [&](Value rowBegin, Value rowEnd) {
    Value first = max(e.sub(rowBegin, start), zero), last = e.sub(e.min(e.sub(rowEnd, start), count), e.i32(1));
    Value isAny = isNoMore(first, last);
    Value isWhole = e.make<arith::AndIOp>(isNoMore(start, rowBegin), isNoMore(rowEnd, e.add(start, count)));
    KeyRange atFirst = columns(first), atLast = columns(last);
    auto beginOf = [&](const KeyRange &range) { return range.begin ? range.begin : zero; };
    Value none = e.i32(std::numeric_limits<int32_t>::max() - static_cast<int32_t>(size));
    return Ranges{beginOf(atFirst), e.select(isAny, atLast.end, zero), e.select(isWhole, beginOf(atLast), none),
                  e.select(isWhole, atFirst.end, zero)};
  };
  auto clamp = [&](Value x, Value least, Value most) { return e.min(max(x, least), most); };
  Ranges all = rangesOf(begin, end), ours = rangesOf(groupBegin, e.add(groupBegin, e.i32(groupRows)));
  ColumnSteps steps;
  steps.begin = uniform(floor(e.min(all.begin, all.end)));
  steps.end = uniform(e.select(isNoMore(all.end, all.begin), steps.begin, ceil(all.end)));
  steps.ownBegin = uniform(clamp(floor(e.min(ours.begin, ours.end)), steps.begin, steps.end));
  Value isNone = isNoMore(ours.end, ours.begin);
  steps.ownEnd = uniform(e.select(isNone, steps.ownBegin, clamp(ceil(ours.end), steps.ownBegin, steps.end)));
  steps.clearBegin = uniform(clamp(ceil(ours.allBegin), steps.ownBegin, steps.ownEnd));
  steps.clearEnd = uniform(clamp(floor(ours.allEnd), steps.ownBegin, steps.ownEnd));
  return steps;
}

void WarpgroupRows::narrow(ColumnSteps &steps, Value start, Value count, Columns columns, int64_t size) {
  Value most, least;
  for (int64_t i = 0; i < groupRows; i += e.registers.width) {
    Value end = columnsOf(e.add(e.add(groupBegin, e.i32(i)), e.laneNumbers()), start, count, columns).end;
    most = most ? Value(e.make<arith::MaxSIOp>(most, end)) : end;
    least = least ? e.min(least, end) : end;
  }
  Value last = e.make<arith::DivUIOp>(e.add(ofWarp(most, /*largest=*/true), e.i32(size - 1)), e.i32(size)),
        clear = e.make<arith::DivUIOp>(ofWarp(least, /*largest=*/false), e.i32(size));
  auto bound = [&](Value &step, Value by) { step = uniform(e.make<arith::MaxSIOp>(e.min(step, by), steps.ownBegin)); };
  bound(steps.ownEnd, last);
  bound(steps.clearEnd, clear);
  bound(steps.clearBegin, last);
}

SmallVector<Value> WarpgroupRows::forSteps(Value queryOffsets, Value keyOffsets, const AttentionMasks &masks,
                                           bool areKeys, int64_t size, ValueRange initial, Body body) {
  return forSequences(areKeys ? keyOffsets : queryOffsets, queryOffsets, keyOffsets, initial,
                      [&](const Sequence &sequence, ValueRange carried) {
                        Value start = areKeys ? sequence.keyStart : sequence.queryStart,
                              count = areKeys ? sequence.keyCount : sequence.queryCount;
                        AttentionMasks ordered = masks; // those by which later rows see later columns
                        ordered.lengths = {};
                        auto columnsBy = [&](const AttentionMasks &by, Value i) {
                          return areKeys
                                     ? by.seeing(e, i, sequence.queryCount, sequence.keyCount)
                                     : by.visible(e, i, sequence.queryStart, sequence.queryCount, sequence.keyCount);
                        };
                        auto columns = [&](Value i) { return columnsBy(masks, i); };
                        Anew anew(*this, isWhole && isTight);
                        if (isWhole)
                          setColumns(start, count, columns);
                        ColumnSteps steps = stepsOf(start, count, [&](Value i) { return columnsBy(ordered, i); }, size);
                        // One thread that copies would look at every row's length: it copies what there is.
                        if (isWhole && masks.lengths && !areKeys)
                          narrow(steps, start, count, columns, size);
                        steps.turn = carried[0];
                        SmallVector<Value> next = body(sequence, steps, carried.drop_front());
                        next.insert(next.begin(), steps.turnOf(e, steps.end));
                        return next;
                      });
}

SmallVector<Value> WarpgroupRows::forOwn(const ColumnSteps &steps, ArrayRef<TileRing *> rings, ValueRange initial,
                                         function_ref<SmallVector<Value>()> body) {
  auto skip = [&](Value begin, Value end) {
    e.loop(begin, end, 1, [&](Value step) {
      Value turn = steps.turnOf(e, step);
      for (TileRing *ring : rings)
        ring->await(turn);
      // A warp that is late could not tell this turn from the one after the next, by parity: no product keeps warps
      // together here.
      meet();
      for (TileRing *ring : rings)
        ring->release(turn);
    });
  };
  skip(steps.begin, steps.ownBegin);
  SmallVector<Value> next = e.choose(e.compare(arith::CmpIPredicate::slt, steps.ownBegin, steps.ownEnd), body,
                                     [&] { return SmallVector<Value>(initial); });
  skip(steps.ownEnd, steps.end);
  return next;
}

SmallVector<Value> WarpgroupRows::forMasked(const ColumnSteps &steps, Value first, bool masksBegin, bool masksEnd,
                                            ValueRange initial, StepBody body) {
  auto max = [&](Value x, Value y) -> Value { return e.make<arith::MaxSIOp>(x, y); };
  SmallVector<Value> carried(initial);
  auto loop = [&](Value begin, Value end, bool needsMask) {
    carried =
        e.loop(begin, end, 1, carried, [&](Value step, ValueRange carried) { return body(step, needsMask, carried); });
  };
  Value begin = masksBegin ? max(first, steps.clearBegin) : first,
        end = masksEnd ? max(begin, steps.clearEnd) : steps.ownEnd;
  if (masksBegin)
    loop(first, begin, true);
  loop(begin, end, false);
  if (masksEnd)
    loop(end, steps.ownEnd, true);
  return carried;
}

void WarpgroupRows::meet() { xfg::BarrierOp::create(e.b, e.loc, e.toIndex(e.add(group, e.i32(1))), groupThreads); }
void WarpgroupRows::mask(MutableArrayRef<Value> elements, Value firstColumn) {
  Value column = e.add(firstColumn, core.pair);
  for (auto [i, element] : llvm::enumerate(elements))
    element = masked(element, rowOf(i), column, i / 4 * 8 + i % 2);
}

SmallVector<Value> WarpgroupRows::keeps(ProbabilityDropout &dropout, Value head, int64_t heads, Value firstColumn,
                                        int64_t columns) {
  SmallVector<Value> keeps(columns / 2);
  for (int64_t number : {0, 1}) {
    Value row = e.add(e.mul(rows[number].number, e.i32(heads)), e.toI32(head));
    for (int64_t begin = 0; begin < columns; begin += CopiedRows::step)
      for (auto [i, keep] : llvm::enumerate(keepsOfStep(e, core, dropout, row, e.add(firstColumn, e.i32(begin)))))
        keeps[(begin / 8 + static_cast<int64_t>(i) / 2) * 4 + number * 2 + static_cast<int64_t>(i) % 2] = keep;
  }
  return keeps;
}

Value WarpgroupRows::own(Value tile, int64_t column, int64_t columns) {
  auto type = cast<xfg::TileType>(tile.getType());
  auto part = xfg::TileType::get(e.b.getContext(), groupRows, columns, type.getElementType(), type.getPanel());
  return xfg::SubtileOp::create(e.b, e.loc, part, tile, e.toIndex(e.mul(group, e.i32(groupRows))), e.index(column));
}

void WarpgroupRows::store(ArrayRef<Value> elements, Value tile, Value map, Value column) {
  int64_t columns = elements.size() * 2, panel = xfg::TileType::panelOf(columns);
  meet(); // products of other warps may still read the tile
  for (int64_t at = 0; at < columns; at += panel)
    xfg::WriteOp::create(e.b, e.loc, elements.slice(at / 2, panel / 2), own(tile, at, panel));
  xfg::FenceCopiesOp::create(e.b, e.loc);
  meet();
  e.when(e.compare(arith::CmpIPredicate::eq, thread(), e.i32(0)), [&] {
    xfg::CopyOutOp::create(e.b, e.loc, own(tile, 0, columns), map, e.toIndex(groupBegin), e.toIndex(column));
    xfg::WaitCopiesOp::create(e.b, e.loc, 0);
  });
}

TileRing::TileRing(Emitter &e, int64_t stages, int64_t rows, int64_t columns)
    : type(xfg::TileType::get(e.b.getBF16Type(), rows, columns)), e(e) {
  auto ringType = xfg::RingType::get(e.b.getContext(), stages, {type});
  ring = xfg::CreateRingOp::create(e.b, e.loc, ringType, e.allocateDynamic(ringType.getBytes()), WarpgroupRows::groups);
}

void TileRing::fill(Value map, Value row, Value column, Value turn) {
  xfg::AcquireOp::create(e.b, e.loc, ring, indexOf(turn));
  xfg::CopyInOp::create(e.b, e.loc, map, e.toIndex(row), e.toIndex(column), ring, indexOf(turn), 0);
}
Value TileRing::tile(Value turn) { return xfg::StageOp::create(e.b, e.loc, type, ring, indexOf(turn), 0); }
Value TileRing::await(Value turn) {
  xfg::AwaitOp::create(e.b, e.loc, ring, indexOf(turn));
  return tile(turn);
}
void TileRing::release(Value turn) { xfg::ReleaseOp::create(e.b, e.loc, ring, indexOf(turn)); }

Value boxesOf(Emitter &e, Value memory, int64_t rows, int64_t features) {
  return e.tensorMap(memory, rows, xfg::TileType::panelOf(features));
}

Value beginProduct(Emitter &e, Value a, Value b, int64_t columns, Value sums, bool transposeB) {
  auto type = xfg::AccumulatorType::get(e.b.getContext(), WarpgroupRows::groupRows, columns, e.b.getF32Type());
  Value adds;
  if (!sums) {
    sums = xfg::UndefinedOp::create(e.b, e.loc, type);
    adds = arith::ConstantIntOp::create(e.b, e.loc, 0, 1);
  }
  xfg::FenceOp::create(e.b, e.loc);
  Value result = xfg::MmaOp::create(e.b, e.loc, type, a, b, sums, adds, /*transposeA=*/false, transposeB);
  xfg::CommitOp::create(e.b, e.loc);
  return result;
}
Value awaitProduct(Emitter &e, int64_t pending, Value accumulator) {
  return xfg::WaitOp::create(e.b, e.loc, TypeRange(accumulator.getType()), pending, accumulator).getResult(0);
}
SmallVector<Value> elementsOf(Emitter &e, Value accumulator) {
  return SmallVector<Value>(xfg::ElementsOp::create(e.b, e.loc, accumulator).getResults());
}
Value accumulatorOf(Emitter &e, ValueRange elements) {
  auto type =
      xfg::AccumulatorType::get(e.b.getContext(), WarpgroupRows::groupRows, elements.size() * 2, e.b.getF32Type());
  return xfg::AccumulatorOp::create(e.b, e.loc, type, elements);
}
Value fragmentOf(Emitter &e, ValueRange elements) {
  auto type =
      xfg::FragmentType::get(e.b.getContext(), WarpgroupRows::groupRows, elements.size() * 2, e.b.getBF16Type());
  return xfg::FragmentOp::create(e.b, e.loc, type, elements);
}
void divideByOneInstruction(Emitter &e) {
  e.function.walk([](arith::DivFOp op) { op.setFastmath(arith::FastMathFlags::afn); });
}
} // namespace mlir::xf
