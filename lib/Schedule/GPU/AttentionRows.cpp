//===- AttentionRows.cpp - rows of scores and the columns that they see ---===//
#include "AttentionTensorCore.h"
#include <cmath>

namespace mlir::xf {

CopiedRows::CopiedRows(Emitter &e, int64_t features0, int64_t features1)
    : CopiedRows(e, features0, features1,
                 2 * (SharedRows::bytes(step, features0) + SharedRows::bytes(step, features1)) <= (46 << 10) ? 2 : 1) {}

Value nextProbabilities(Emitter &e, TensorCore &core, MutableArrayRef<Value> scores, Value &maximum, Value &sum,
                        double factor) {
  Value before = maximum, here = scores[0], none = e.f32(-std::numeric_limits<float>::infinity());
  for (Value score : scores.drop_front())
    here = e.make<arith::MaxNumFOp>(here, score);
  maximum = e.make<arith::MaxNumFOp>(maximum, core.maximumOfRow(here));
  // Where a row has seen no key yet, so that nothing is infinity less infinity.
  Value origin = e.select(e.compare(arith::CmpFPredicate::OEQ, maximum, none), e.f32(0), maximum);
  Value shift = e.mul(origin, e.f32(-factor));
  // Not as one fma, by which the same maximum would not always give 1: a row's bits don't depend on steps that it
  // doesn't see.
  Value correction = core.exp2(e.add(e.mul(before, e.f32(factor)), shift));
  for (Value &score : scores)
    score = core.exp2(e.fma(score, e.f32(factor), shift));
  SmallVector<Value> sums(scores.begin(), scores.end());
  for (size_t count = sums.size(); count > 1; count = (count + 1) / 2)
    for (size_t i = 0; i < count / 2; ++i)
      sums[i] = e.add(sums[i], sums[count - 1 - i]);
  sum = e.fma(sum, correction, sums[0]);
  return correction;
}

SmallVector<Value> keepsOfStep(Emitter &e, TensorCore &core, ProbabilityDropout &dropout, Value row, Value column) {
  static_assert(CopiedRows::step == 64, "a counter's four words are of columns 16 apart: all of a thread's");
  SmallVector<Value> keeps(CopiedRows::step / 4);
  Value counter = e.add(e.make<arith::DivUIOp>(column, e.i32(4)), core.pair);
  for (int64_t i = 0; i < 4; ++i)
    for (auto [w, word] : llvm::enumerate(dropout.philox->evaluate(row, e.add(counter, e.i32(i / 2 * 8 + i % 2)))))
      keeps[w * 4 + i] = dropout.philox->keeps(word, dropout.rate);
  return keeps;
}

void forSharedKeys(Emitter &e, Value keyBlocks, Value blocks, int64_t heads, int64_t sharers, ValueRange initial,
                   Emitter::LoopBody body) {
  SmallVector<Value> state{e.mul(e.toI32(e.tile()), e.i32(sharers))};
  llvm::append_range(state, initial);
  Value end = e.mul(keyBlocks, e.i32(heads)), ofGrid = e.mul(blocks, e.i32(heads)),
        ofOthers = e.mul(e.sub(ofGrid, e.i32(1)), e.i32(sharers));
  e.loopWhile(
      state, [&](ValueRange now) { return e.compare(arith::CmpIPredicate::slt, now[0], end); },
      [&](ValueRange now) {
        SmallVector<Value> next = body(now[0], now.drop_front());
        next[0] = e.add(next[0], ofOthers);
        return next;
      });
}

SmallVector<Value> forSharers(Emitter &e, Value &number, int64_t sharers, ValueRange initial, Emitter::LoopBody body) {
  SmallVector<Value> state{number};
  llvm::append_range(state, initial);
  SmallVector<Type> types(ValueRange(state).getTypes());
  SmallVector<Location> locations(types.size(), e.loc);
  auto loop = scf::WhileOp::create(e.b, e.loc, types, state);
  OpBuilder::InsertionGuard guard(e.b);
  Block *block = e.b.createBlock(&loop.getBefore(), {}, types, locations);
  number = block->getArgument(0);
  SmallVector<Value> next = body(number, ValueRange(block->getArguments()).drop_front());
  next.insert(next.begin(), e.add(number, e.i32(1)));
  Value ofGroup = e.make<arith::RemUIOp>(next[0], e.i32(sharers));
  scf::ConditionOp::create(e.b, e.loc, e.compare(arith::CmpIPredicate::ne, ofGroup, e.i32(0)), next);
  Block *again = e.b.createBlock(&loop.getAfter(), {}, types, locations);
  scf::YieldOp::create(e.b, e.loc, again->getArguments());
  number = loop.getResult(0);
  return SmallVector<Value>(loop.getResults().drop_front());
}

RowBlock::RowBlock(Emitter &e, TensorCore &core, Value number, Value total, int64_t tiles, int64_t otherWarps,
                   Value first)
    : e(e), core(core), size((e.registers.warps - otherWarps) * tiles * 16), tiles(tiles), otherWarps(otherWarps) {
  begin = e.mul(e.toI32(number), e.i32(size));
  if (first)
    begin = e.add(first, begin);
  end = e.min(e.add(begin, e.i32(size)), e.toI32(total));
  findRows();
}

void RowBlock::findRows() {
  Value warp = e.sub(e.toI32(e.warp()), e.i32(otherWarps));
  Value first = e.add(e.add(begin, e.mul(warp, e.i32(tiles * 16))), core.group);
  rows.resize(2 * tiles);
  for (auto [i, row] : llvm::enumerate(rows)) {
    row.number = e.add(first, e.i32(static_cast<int64_t>(i) * 8));
    row.inside = e.compare(arith::CmpIPredicate::slt, row.number, end);
  }
}

/// The last sequence that begins at row `row` or before: the one that has it.
static Value sequenceOf(Emitter &e, Value offsets, Value row) {
  using Values = SmallVector<Value>;
  return e.loopWhile(
      {e.i32(0), e.sub(e.toI32(e.dim(offsets, 0)), e.i32(2))},
      [&](ValueRange range) { return e.compare(arith::CmpIPredicate::slt, range[0], range[1]); },
      [&](ValueRange range) {
        Value middle = e.make<arith::ShRSIOp>(e.add(e.add(range[0], range[1]), e.i32(1)), e.i32(1));
        Value isBefore = e.compare(arith::CmpIPredicate::sle, e.load(offsets, e.toIndex(middle)), row);
        return Values{e.select(isBefore, middle, range[0]), e.select(isBefore, range[1], e.sub(middle, e.i32(1)))};
      })[0];
}

SmallVector<Value> RowBlock::forSequences(Value offsets, Value queryOffsets, Value keyOffsets, ValueRange initial,
                                          function_ref<SmallVector<Value>(const Sequence &, ValueRange)> body) {
  SmallVector<Value> carried{uniform(sequenceOf(e, offsets, begin))};
  llvm::append_range(carried, initial);
  auto isOfBlock = [&](ValueRange carried) {
    Value start = uniform(e.load(offsets, e.toIndex(carried[0])));
    return e.compare(arith::CmpIPredicate::slt, start, end);
  };
  SmallVector<Value> results = e.loopWhile(carried, isOfBlock, [&](ValueRange carried) {
    Value s = e.toIndex(carried[0]);
    auto [queryStart, queryCount] = rowsOf(e, queryOffsets, s);
    auto [keyStart, keyCount] = rowsOf(e, keyOffsets, s);
    SmallVector<Value> next{e.add(carried[0], e.i32(1))};
    llvm::append_range(next, body({queryStart, queryCount, keyStart, keyCount}, carried.drop_front()));
    return next;
  });
  results.erase(results.begin());
  return results;
}

Value RowBlock::correctionOf(int64_t number, const HeadMatrix &cotangent, const HeadMatrix &forward) {
  const Row &row = rows[number];
  Value correction = e.f32(0);
  for (int64_t column = 0; column < static_cast<int64_t>(llvm::alignTo(cotangent.features, 16)); column += 8) {
    std::array<Value, 2> x = core.loadPair(cotangent, row.number, row.inside, column),
                         y = core.loadPair(forward, row.number, row.inside, column);
    correction = e.fma(x[0], y[0], e.fma(x[1], y[1], correction));
  }
  return core.sumOfRow(correction);
}

void RowBlock::storeLogSumExp(int64_t number, Value maximum, Value total, double factor, Value memory, Value head) {
  const Row &row = rows[number];
  Value sum = e.mul(e.fma(maximum, e.f32(factor), core.log2(total)), e.f32(M_LN2));
  // +inf of a query that sees no key, so that the backward's probabilities vanish.
  Value sees = e.compare(arith::CmpFPredicate::UGT, total, e.f32(0));
  Value isFirst = e.compare(arith::CmpIPredicate::eq, core.pair, e.i32(0));
  e.when(e.make<arith::AndIOp>(row.inside, isFirst), [&] {
    e.store(e.select(sees, sum, e.f32(std::numeric_limits<float>::infinity())), memory, {e.toIndex(row.number), head});
  });
}

KeyRange RowBlock::columnsOf(Value row, Value start, Value count, Columns columns) {
  // A row of another sequence sees none, and the sequence's first one is asked for in its place.
  Value i = e.sub(row, start);
  Value isOfSequence = e.make<arith::AndIOp>(e.compare(arith::CmpIPredicate::sge, i, e.i32(0)),
                                             e.compare(arith::CmpIPredicate::slt, i, count));
  KeyRange range = columns(e.select(isOfSequence, i, e.i32(0)));
  range.end = e.select(isOfSequence, range.end, e.i32(0));
  if (range.begin)
    range.begin = e.select(isOfSequence, range.begin, e.i32(std::numeric_limits<int32_t>::max()));
  return range;
}

void RowBlock::setColumns(Value start, Value count, Columns columns) {
  for (Row &row : rows) {
    KeyRange range = columnsOf(row.number, start, count, columns);
    row.begin = range.begin;
    row.end = range.end;
  }
}

Value RowBlock::ofWarp(Value value, bool largest) {
  for (int64_t bits = e.registers.width / 2; bits > 0; bits /= 2) {
    Value other = e.fromPartner(value, bits);
    value = largest ? e.make<arith::MaxSIOp>(value, other) : e.min(value, other);
  }
  return value;
}

SmallVector<Value> RowBlock::forColumns(const Sequence &sequence, const AttentionMasks &masks, ScoreRegion &region,
                                        bool areKeys, const CopiedRows &copied, ValueRange initial,
                                        function_ref<void(Value, Value)> copy,
                                        function_ref<SmallVector<Value>(Value, Value, Value, ValueRange)> body) {
  constexpr int64_t step = CopiedRows::step;
  Value start = areKeys ? sequence.keyStart : sequence.queryStart,
        count = areKeys ? sequence.keyCount : sequence.queryCount;
  auto columns = [&](Value i) { return sequence.columnsOf(e, masks, i, areKeys); };
  struct Extremes {
    Value leastBegin, mostBegin, leastEnd, mostEnd;
  };
  auto extremesOf = [&](ArrayRef<KeyRange> ranges) {
    Extremes result;
    auto combine = [&](Value &value, Value with, bool largest) {
      value = !value ? with : largest ? e.make<arith::MaxSIOp>(value, with) : e.min(value, with);
    };
    for (const KeyRange &range : ranges) {
      combine(result.leastEnd, range.end, false);
      combine(result.mostEnd, range.end, true);
      if (range.begin) {
        combine(result.leastBegin, range.begin, false);
        combine(result.mostBegin, range.begin, true);
      }
    }
    for (auto [value, largest] : {std::pair(&result.leastBegin, false),
                                  {&result.mostBegin, true},
                                  {&result.leastEnd, false},
                                  {&result.mostEnd, true}})
      if (*value)
        *value = ofWarp(*value, largest);
    return result;
  };
  SmallVector<KeyRange> own, all;
  setColumns(start, count, columns);
  for (Row &row : rows)
    own.push_back({row.begin, row.end});
  for (int64_t i = 0; i < size; i += e.registers.width)
    all.push_back(columnsOf(e.add(begin, e.add(e.laneNumbers(), e.i32(i))), start, count, columns));
  Extremes ofRows = extremesOf(own), ofBlock = extremesOf(all);

  Value first = ofBlock.leastBegin ? e.make<arith::AndIOp>(ofBlock.leastBegin, e.i32(-step)) : e.i32(0);
  RegionSteps regionSteps(e, region, areKeys, sequence.shift(e), step);
  auto nextFrom = [&](Value column) {
    return regionSteps ? regionSteps.next(rowsWithin(begin, end, start, count), column, ofBlock.mostEnd) : column;
  };
  first = nextFrom(first);
  auto beginCopy = [&](Value column, Value stage) {
    {
      Anew anew(*this, isTight);
      copy(column, stage);
    }
    core.commitCopies();
  };
  auto isLeft = [&](Value column) { return e.compare(arith::CmpIPredicate::slt, column, ofBlock.mostEnd); };
  auto copyIf = [&](Value column, Value stage) { e.when(isLeft(column), [&] { beginCopy(column, stage); }); };
  auto useStep = [&](Value column, Value stage, Value next, Value nextStage, ValueRange carried) {
    if (copied.stages == 2) {
      core.waitForCopies();
      e.syncBlock();
      copyIf(next, nextStage);
    } else {
      e.syncBlock();
      beginCopy(column, {});
      core.waitForCopies();
      e.syncBlock();
      stage = {};
    }
    Value past = e.add(column, e.i32(step));
    Value isSeen = e.compare(arith::CmpIPredicate::sgt, ofRows.mostEnd, column),
          needsMask = e.compare(arith::CmpIPredicate::slt, ofRows.leastEnd, past);
    if (ofRows.leastBegin) {
      isSeen = e.make<arith::AndIOp>(isSeen, e.compare(arith::CmpIPredicate::slt, ofRows.leastBegin, past));
      needsMask = e.make<arith::OrIOp>(needsMask, e.compare(arith::CmpIPredicate::sgt, ofRows.mostBegin, column));
    }
    if (regionSteps && !isTight) {
      Value from = e.add(begin, e.mul(e.toI32(e.warp()), e.i32(tiles * 16)));
      Value to = e.min(e.add(from, e.i32(tiles * 16)), end);
      isSeen =
          e.make<arith::AndIOp>(isSeen, regionSteps.mayHaveScores(rowsWithin(from, to, start, count), column, past));
    }
    return e.choose(
        isSeen, [&] { return body(column, stage, needsMask, carried); }, [&] { return SmallVector<Value>(carried); });
  };
  auto stageOf = [&](Value column) {
    return e.make<arith::AndIOp>(e.make<arith::DivUIOp>(column, e.i32(step)), e.i32(1));
  };
  Value firstStage = regionSteps ? e.i32(0) : stageOf(first);
  if (copied.stages == 2) {
    e.syncBlock(); // others may still read what the sequence before has left
    copyIf(first, firstStage);
  }
  if (!regionSteps)
    return e.loop(first, ofBlock.mostEnd, step, initial, [&](Value column, ValueRange carried) {
      Value next = e.add(column, e.i32(step));
      return useStep(column, stageOf(column), next, stageOf(next), carried);
    });
  SmallVector<Value> state{first, firstStage};
  llvm::append_range(state, initial);
  state = e.loopWhile(
      state, [&](ValueRange now) { return isLeft(now[0]); },
      [&](ValueRange now) {
        SmallVector<Value> next{nextFrom(e.add(now[0], e.i32(step))), e.sub(e.i32(1), now[1])};
        llvm::append_range(next, useStep(now[0], now[1], next[0], next[1], now.drop_front(2)));
        return next;
      });
  return SmallVector<Value>(llvm::drop_begin(state, 2));
}

SmallVector<Value>
RowBlock::forKeys(Value queryOffsets, Value keyOffsets, const AttentionMasks &masks, ScoreRegion &region,
                  const HeadMatrix &key, const HeadMatrix &value, const CopiedRows &copied, ValueRange initial,
                  function_ref<SmallVector<Value>(const Sequence &, Value, Value, Value, ValueRange)> body) {
  return forSequences(
      queryOffsets, queryOffsets, keyOffsets, initial, [&](const Sequence &sequence, ValueRange carried) {
        return forColumns(
            sequence, masks, region, /*areKeys=*/false, copied, carried,
            [&](Value keyBegin, Value stage) {
              Value row = e.add(sequence.keyStart, keyBegin), count = e.sub(sequence.keyCount, keyBegin);
              core.copyRows(key, row, count, copied.first, stage);
              core.copyRows(value, row, count, copied.second, stage);
            },
            [&](Value keyBegin, Value stage, Value needsMask, ValueRange carried) {
              return body(sequence, keyBegin, stage, needsMask, carried);
            });
      });
}

Value RowBlock::masked(Value score, int64_t number, Value column, int64_t offset) {
  const Row &row = rows[number];
  Value isSeen = e.compare(arith::CmpIPredicate::sgt, e.sub(row.end, column), e.i32(offset));
  if (row.begin)
    isSeen =
        e.make<arith::AndIOp>(isSeen, e.compare(arith::CmpIPredicate::sle, e.sub(row.begin, column), e.i32(offset)));
  return e.select(isSeen, score, e.f32(-std::numeric_limits<float>::infinity()));
}
} // namespace mlir::xf
