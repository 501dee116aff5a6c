//===- WarpgroupRows.cpp - rows of scores of warpgroups, and their rings --===//
#include "WarpgroupAttention.h"

namespace mlir::xf {

WarpgroupRows::WarpgroupRows(Emitter &e, TensorCore &core, Value number, Value total, bool computes, Value first)
    : RowBlock(e, core, number, total, /*tiles=*/1, /*otherWarps=*/groupThreads / 32, first) {
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

/// Of two steps by which columns are counted: the one that column `column` is in, and the first from it on.
static Value stepAt(Emitter &e, Value column, int64_t size) { return e.make<arith::DivUIOp>(column, e.i32(size)); }
static Value stepFrom(Emitter &e, Value column, int64_t size) {
  return stepAt(e, e.add(column, e.i32(size - 1)), size);
}
static Value isNoMore(Emitter &e, Value x, Value y) { return e.compare(arith::CmpIPredicate::sle, x, y); }

WarpgroupRows::Ranges WarpgroupRows::rangesOf(Value rowBegin, Value rowEnd, Value start, Value count, Columns columns,
                                              int64_t size) {
  Value zero = e.i32(0), first = e.make<arith::MaxSIOp>(e.sub(rowBegin, start), zero),
        last = e.sub(e.min(e.sub(rowEnd, start), count), e.i32(1));
  Value isAny = isNoMore(e, first, last);
  Value isWhole = e.make<arith::AndIOp>(isNoMore(e, start, rowBegin), isNoMore(e, rowEnd, e.add(start, count)));
  KeyRange atFirst = columns(first), atLast = columns(last);
  auto beginOf = [&](const KeyRange &range) { return range.begin ? range.begin : zero; };
  Value none = e.i32(std::numeric_limits<int32_t>::max() - static_cast<int32_t>(size));
  return Ranges{beginOf(atFirst), e.select(isAny, atLast.end, zero), e.select(isWhole, beginOf(atLast), none),
                e.select(isWhole, atFirst.end, zero)};
}

ColumnSteps WarpgroupRows::stepsOf(Value start, Value count, Columns columns, int64_t size) {
  auto floor = [&](Value column) { return stepAt(e, column, size); };
  auto ceil = [&](Value column) { return stepFrom(e, column, size); };
  auto clamp = [&](Value x, Value least, Value most) { return e.min(e.make<arith::MaxSIOp>(x, least), most); };
  Ranges all = rangesOf(begin, end, start, count, columns, size),
         ours = rangesOf(groupBegin, e.add(groupBegin, e.i32(groupRows)), start, count, columns, size);
  ColumnSteps steps;
  steps.begin = steps.ownBegin = uniform(floor(e.min(all.begin, all.end)));
  steps.end = steps.ownEnd = uniform(e.select(isNoMore(e, all.end, all.begin), steps.begin, ceil(all.end)));
  if (!isTogether) {
    steps.ownBegin = uniform(clamp(floor(e.min(ours.begin, ours.end)), steps.begin, steps.end));
    steps.ownEnd = uniform(
        e.select(isNoMore(e, ours.end, ours.begin), steps.ownBegin, clamp(ceil(ours.end), steps.ownBegin, steps.end)));
  }
  steps.clearBegin = uniform(clamp(ceil(ours.allBegin), steps.ownBegin, steps.ownEnd));
  steps.clearEnd = uniform(clamp(floor(ours.allEnd), steps.ownBegin, steps.ownEnd));
  return steps;
}

std::pair<Value, Value> WarpgroupRows::stepsOfNext(const Sequence &sequence, const AttentionMasks &masks, bool areKeys,
                                                   int64_t size) {
  AttentionMasks ordered = masks;
  ordered.lengths = {};
  Ranges next = rangesOf(
      e.add(begin, e.i32(blockRows)), e.add(begin, e.i32(2 * blockRows)),
      areKeys ? sequence.keyStart : sequence.queryStart, areKeys ? sequence.keyCount : sequence.queryCount,
      [&](Value i) { return sequence.columnsOf(e, ordered, i, areKeys); }, size);
  Value first = stepAt(e, e.min(next.begin, next.end), size);
  return {first, e.select(isNoMore(e, next.end, next.begin), first, stepFrom(e, next.end, size))};
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

void WarpgroupRows::narrow(ColumnSteps &steps, Value start, Value count, const RegionSteps &region, int64_t size) {
  auto columnOf = [=, this](Value number) { return e.mul(number, e.i32(size)); };
  auto numberOf = [=, this](Value column) { return uniform(e.make<arith::DivUIOp>(column, e.i32(size))); };
  steps.nextFrom = [=, this, last = steps.end](Value number) {
    return numberOf(region.next(rowsWithin(begin, end, start, count), columnOf(number), columnOf(last)));
  };
  steps.begin = steps.nextFrom(steps.begin);
  if (!isWhole)
    return;
  RegionSteps::Rows own = rowsWithin(groupBegin, e.add(groupBegin, e.i32(groupRows)), start, count);
  Value from = columnOf(e.make<arith::MaxSIOp>(steps.ownBegin, steps.begin)), to = columnOf(steps.ownEnd);
  from = region.next(own, from, to);
  steps.ownBegin = numberOf(from);
  steps.ownEnd = numberOf(region.endOf(own, from, to));
  for (Value *clear : {&steps.clearBegin, &steps.clearEnd})
    *clear = e.min(*clear, steps.ownEnd);
}

ColumnSteps WarpgroupRows::stepsOf(const Sequence &sequence, const AttentionMasks &masks, ScoreRegion &region,
                                   bool areKeys, int64_t size) {
  Value start = areKeys ? sequence.keyStart : sequence.queryStart,
        count = areKeys ? sequence.keyCount : sequence.queryCount;
  AttentionMasks ordered = masks; // those by which later rows see later columns
  ordered.lengths = {};
  auto columns = [&](Value i) { return sequence.columnsOf(e, masks, i, areKeys); };
  if (isWhole)
    setColumns(start, count, columns);
  ColumnSteps steps = stepsOf(start, count, [&](Value i) { return sequence.columnsOf(e, ordered, i, areKeys); }, size);
  // One thread that copies would look at every row's length: it copies what there is.
  if (isWhole && masks.lengths && !areKeys)
    narrow(steps, start, count, columns, size);
  if (RegionSteps left(e, region, areKeys, sequence.shift(e), size); left && !isTogether)
    narrow(steps, start, count, left, size);
  steps.turn = e.i32(0);
  return steps;
}

SmallVector<Value> WarpgroupRows::forSteps(Value queryOffsets, Value keyOffsets, const AttentionMasks &masks,
                                           ScoreRegion &region, bool areKeys, int64_t size, ValueRange initial,
                                           Body body) {
  return forSequences(areKeys ? keyOffsets : queryOffsets, queryOffsets, keyOffsets, initial,
                      [&](const Sequence &sequence, ValueRange carried) {
                        Anew anew(*this, isWhole && isTight);
                        ColumnSteps steps = stepsOf(sequence, masks, region, areKeys, size);
                        steps.turn = carried[0];
                        return body(sequence, steps, carried.drop_front());
                      });
}

SmallVector<Value> WarpgroupRows::forSteps(const ColumnSteps &steps, Step &at, Value end, ValueRange initial,
                                           StepBody body) {
  if (!steps.nextFrom) {
    Value begin = std::exchange(at.number, end);
    return e.loop(begin, end, 1, initial,
                  [&](Value number, ValueRange carried) { return body({number, {}}, carried); });
  }
  SmallVector<Value> state{at.number, at.turn};
  llvm::append_range(state, initial);
  state = e.loopWhile(
      state, [&](ValueRange now) { return e.compare(arith::CmpIPredicate::slt, now[0], end); },
      [&](ValueRange now) {
        Step step{now[0], now[1]};
        SmallVector<Value> carried = body(step, now.drop_front(2));
        step = steps.after(e, step);
        SmallVector<Value> next{step.number, step.turn};
        llvm::append_range(next, carried);
        return next;
      });
  at = {state[0], state[1]};
  return SmallVector<Value>(llvm::drop_begin(state, 2));
}

SmallVector<Value> WarpgroupRows::forOwn(const ColumnSteps &steps, ArrayRef<TileRing *> rings, ValueRange initial,
                                         function_ref<SmallVector<Value>(Step &)> body) {
  Step at = steps.first();
  auto skip = [&](Value end) {
    forSteps(steps, at, end, {}, [&](Step step, ValueRange) {
      Value turn = steps.turnOf(e, step);
      for (TileRing *ring : rings)
        ring->await(turn);
      // A warp that is late could not tell this turn from the one after the next, by parity: no product keeps warps
      // together here.
      meet();
      for (TileRing *ring : rings)
        ring->release(turn);
      return SmallVector<Value>();
    });
  };
  skip(steps.ownBegin);
  auto withStep = [&](Step step, ValueRange values) {
    SmallVector<Value> all;
    if (steps.nextFrom)
      all = {step.number, step.turn};
    llvm::append_range(all, values);
    return all;
  };
  SmallVector<Value> values = e.choose(
      e.compare(arith::CmpIPredicate::slt, at.number, steps.ownEnd),
      [&] {
        Step next = at;
        SmallVector<Value> values = body(next);
        return withStep(next, values);
      },
      [&] { return withStep(at, initial); });
  at = steps.nextFrom ? Step{values[0], values[1]} : Step{steps.ownEnd, {}};
  skip(steps.end);
  SmallVector<Value> next{steps.turnOf(e, at)};
  llvm::append_range(next, ValueRange(values).take_back(initial.size()));
  return next;
}

SmallVector<Value> WarpgroupRows::forMasked(const ColumnSteps &steps, Step &at, bool masksBegin, bool masksEnd,
                                            ValueRange initial, MaskedStepBody body) {
  auto max = [&](Value x, Value y) -> Value { return e.make<arith::MaxSIOp>(x, y); };
  SmallVector<Value> carried(initial);
  auto loop = [&](Value end, bool needsMask) {
    carried = forSteps(steps, at, end, carried,
                       [&](Step step, ValueRange carried) { return body(step, needsMask, carried); });
  };
  if (masksBegin && !masksAll)
    loop(max(at.number, steps.clearBegin), true);
  if (!masksAll)
    loop(masksEnd ? max(at.number, steps.clearEnd) : steps.ownEnd, false);
  if (masksEnd || masksAll)
    loop(steps.ownEnd, true);
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

void WarpgroupRows::store(ArrayRef<Value> elements, Value matrix, Value column) {
  for (int64_t number : {0, 1})
    e.when(rows[number].inside, [&] {
      for (size_t i = 2 * number; i < elements.size(); i += 4) {
        Value pair =
            vector::FromElementsOp::create(e.b, e.loc, VectorType::get(2, e.b.getF32Type()), elements.slice(i, 2));
        vector::StoreOp::create(e.b, e.loc, e.narrow(pair), matrix,
                                ValueRange{e.toIndex(rows[number].number), e.toIndex(columnOf(column, i))},
                                /*nontemporal=*/false, llvm::Align(4));
      }
    });
}

TileRing::TileRing(Emitter &e, int64_t stages, int64_t rows, int64_t columns)
    : type(xfg::TileType::get(e.b.getBF16Type(), rows, columns)), e(e) {
  auto ringType = xfg::RingType::get(e.b.getContext(), stages, {type});
  ring = xfg::CreateRingOp::create(e.b, e.loc, ringType, e.allocateDynamic(ringType.getBytes()), WarpgroupRows::groups);
}

void TileRing::fill(Value map, Value row, Value column, Value turn) {
  xfg::AcquireOp::create(e.b, e.loc, ring, indexOf(turn), IntegerAttr());
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
