//===- Scatter.cpp - schedule of scattered rows for GPUs ------------------===//
// The gradient of an embedding: a block has some rows of the table, lists the tokens of these in their order, and adds
// each row's tokens: a warp does where they are few, and all warps, each a fixed share of the list, where a word is as
// frequent as a comma. What a row adds, and in which order, is known from the ids alone.
//===----------------------------------------------------------------------===//
#include "xf/Schedule/Columns.h"
#include <numeric>

namespace mlir::xf {
namespace {
constexpr int64_t rowsPerBlock = 32, tokenBits = 12, tokensAtOnce = 1 << tokenBits, columnVectors = 4, fewTokens = 64;

class SegmentSum {
public:
  SegmentSum(Emitter &e, EmbeddingBackwardOp op)
      : e(e), cotangent(e.placeOf(op.getCotangent())), ids(e.placeOf(op.getIds())),
        table(e.function.getArgument(e.kernel.getNumArguments())),
        columns(cast<MemRefType>(table.getType()).getDimSize(1)),
        vocabulary(cast<MemRefType>(table.getType()).getDimSize(0)), width(e.registers.width), warps(e.registers.warps),
        scale(e.splat(op.getScale().convertToDouble())), firstRow(e.mul(e.tile(), e.index(rowsPerBlock))) {
    Type i32 = e.b.getI32Type();
    list = e.allocateShared({tokensAtOnce}, i32);
    ofWarps = e.allocateShared({warps}, i32);
    ofRows = e.allocateShared({rowsPerBlock}, i32);
    partials = e.allocateShared({warps, columnVectors * width});
  }

  void emit(bool hasInto) {
    if (!hasInto) { // else the plan makes it the same memory
      forRows([&](Value, Value row) {
        e.columns(columns, columnVectors, [&](Value column, ArrayRef<int64_t> lanes) {
          for (auto [v, count] : llvm::enumerate(lanes))
            e.storeVector(e.splat(0), table, {row, at(column, v)}, count);
        });
      });
      e.syncBlock();
    }
    e.loop(e.index(0), e.dim(cotangent, 0), tokensAtOnce, [&](Value firstToken) {
      Value entries = makeList(firstToken);
      forRows([&](Value number, Value row) {
        Value count = countOf(entries, number);
        e.onFirstLane([&] { e.store(count, ofRows, number); });
        Value isFew = e.compare(arith::CmpIPredicate::sle, count, e.i32(fewTokens));
        Value isSome = e.compare(arith::CmpIPredicate::sgt, count, e.i32(0));
        e.when(e.make<arith::AndIOp>(isFew, isSome), [&] {
          e.columns(columns, columnVectors, [&](Value column, ArrayRef<int64_t> lanes) {
            addTo(row, column, lanes, sumOf(entries, number, firstToken, e.index(0), e.index(32), column, lanes));
          });
        });
      });
      e.syncBlock();
      e.loop(e.index(0), endOfRows(), 1, [&](Value number) {
        e.when(e.compare(arith::CmpIPredicate::sgt, e.load(ofRows, number), e.i32(fewTokens)),
               [&] { addByBlock(entries, number, firstToken); });
      });
      e.syncBlock();
    });
  }

private:
  Value at(Value column, int64_t vector) { return e.add(column, e.index(vector * width)); }

  Value endOfRows() { return e.min(e.index(rowsPerBlock), e.sub(e.index(vocabulary), firstRow)); }

  /// body(number in the block, row of the table) for the rows of this warp.
  void forRows(function_ref<void(Value, Value)> body) {
    e.loop(e.warp(), endOfRows(), warps, [&](Value number) { body(number, e.add(firstRow, number)); });
  }

  /// Lists the tokens of this block's rows, in order; gives how many they are.
  Value makeList(Value firstToken) {
    int64_t mine = tokensAtOnce / warps, turns = mine / RegisterFile::warpThreads;
    Value begin = e.add(firstToken, e.mul(e.warp(), e.index(mine))), tokens = e.dim(cotangent, 0);
    auto isBelow = [&](Value x, Value end) { return e.compare(arith::CmpIPredicate::ult, x, end); };
    auto tokenOf = [&](int64_t turn) {
      return e.add(e.add(begin, e.index(turn * RegisterFile::warpThreads)), e.lane());
    };
    auto rowOf = [&](Value token) { return e.sub(e.toIndex(e.load(ids, token)), firstRow); };
    SmallVector<Value> found;
    Value count = e.i32(0);
    for (int64_t turn = 0; turn < turns; ++turn) {
      Value token = tokenOf(turn);
      auto isOurs = scf::IfOp::create(e.b, e.loc, TypeRange(e.b.getI1Type()), isBelow(token, tokens), true);
      {
        OpBuilder::InsertionGuard guard(e.b);
        e.b.setInsertionPointToStart(isOurs.thenBlock());
        scf::YieldOp::create(e.b, e.loc, isBelow(rowOf(token), e.index(rowsPerBlock)));
        e.b.setInsertionPointToStart(isOurs.elseBlock());
        Value no = arith::ConstantOp::create(e.b, e.loc, e.b.getBoolAttr(false));
        scf::YieldOp::create(e.b, e.loc, no);
      }
      found.push_back(e.ballot(isOurs.getResult(0)));
      count = e.add(count, e.populationOf(found.back()));
    }
    e.onFirstLane([&] { e.store(count, ofWarps, e.warp()); });
    e.syncBlock();
    Value total = e.i32(0), position = e.i32(0);
    for (int64_t warp = 0; warp < warps; ++warp) {
      Value other = e.load(ofWarps, e.index(warp));
      total = e.add(total, other);
      Value isBefore = e.compare(arith::CmpIPredicate::ult, e.index(warp), e.warp());
      position = e.add(position, e.select(isBefore, other, e.i32(0)));
    }
    Value bit = e.make<arith::ShLIOp>(e.i32(1), e.toI32(e.lane())), before = e.sub(bit, e.i32(1));
    for (int64_t turn = 0; turn < turns; ++turn) {
      Value token = tokenOf(turn), mineHere = e.make<arith::AndIOp>(found[turn], bit);
      e.when(e.compare(arith::CmpIPredicate::ne, mineHere, e.i32(0)), [&] {
        Value number = e.toI32(rowOf(token)), inList = e.toI32(e.sub(token, firstToken));
        Value entry = e.make<arith::OrIOp>(e.make<arith::ShLIOp>(number, e.i32(tokenBits)), inList);
        Value rank = e.populationOf(e.make<arith::AndIOp>(found[turn], before));
        e.store(entry, list, e.toIndex(e.add(position, rank)));
      });
      position = e.add(position, e.populationOf(found[turn]));
    }
    e.syncBlock();
    return e.toIndex(total);
  }

  /// The entry (row and token) of this thread among the 32 from `first` on, and which of them are of the row `number`.
  std::pair<Value, Value> entriesAt(Value entries, Value first, Value number) {
    Value place = e.add(first, e.lane());
    auto entry = scf::IfOp::create(e.b, e.loc, TypeRange(e.b.getI32Type()),
                                   e.compare(arith::CmpIPredicate::slt, place, entries), true);
    {
      OpBuilder::InsertionGuard guard(e.b);
      e.b.setInsertionPointToStart(entry.thenBlock());
      scf::YieldOp::create(e.b, e.loc, e.load(list, place));
      e.b.setInsertionPointToStart(entry.elseBlock());
      scf::YieldOp::create(e.b, e.loc, e.i32(-1));
    }
    Value row = e.make<arith::ShRSIOp>(entry.getResult(0), e.i32(tokenBits));
    return {entry.getResult(0), e.ballot(e.compare(arith::CmpIPredicate::eq, row, e.toI32(number)))};
  }

  Value countOf(Value entries, Value number) {
    return e.loop(e.index(0), entries, RegisterFile::warpThreads, e.i32(0), [&](Value first, ValueRange count) {
      return SmallVector<Value>{e.add(count[0], e.populationOf(entriesAt(entries, first, number).second))};
    })[0];
  }

  /// The sum over the row's tokens among the list's 32 from `begin`, `begin + step`, ... on.
  SmallVector<Value> sumOf(Value entries, Value number, Value firstToken, Value begin, Value step, Value column,
                           ArrayRef<int64_t> lanes) {
    constexpr int64_t atOnce = 4; // loads that are under way together
    SmallVector<Value> zeros(lanes.size(), e.splat(0));
    auto groups = scf::ForOp::create(e.b, e.loc, begin, entries, step, zeros);
    OpBuilder::InsertionGuard guard(e.b);
    e.b.setInsertionPointToEnd(groups.getBody());
    auto [entry, bits] = entriesAt(entries, groups.getInductionVar(), number);
    SmallVector<Value> carried{bits};
    llvm::append_range(carried, groups.getRegionIterArgs());
    Value own = entry;
    carried = e.loop(e.index(0), e.toIndex(e.populationOf(bits)), atOnce, carried, [&](Value, ValueRange values) {
      Value rest = values[0];
      SmallVector<Value> sums(values.drop_front()), loaded;
      for (int64_t i = 0; i < atOnce; ++i) {
        Value isThere = e.compare(arith::CmpIPredicate::ne, rest, e.i32(0)), lane = e.lowestBit(rest);
        Value inList = e.make<arith::AndIOp>(e.fromLane(own, lane), e.i32(tokensAtOnce - 1));
        Value token = e.add(firstToken, e.toIndex(inList));
        for (auto [v, count] : llvm::enumerate(lanes))
          loaded.push_back(e.loadVectorWhere(isThere, cotangent, {token, at(column, v)}, count));
        rest = e.withoutLowestBit(rest);
      }
      for (auto [i, value] : llvm::enumerate(loaded))
        sums[i % lanes.size()] = e.fma(value, scale, sums[i % lanes.size()]);
      sums.insert(sums.begin(), rest);
      return sums;
    });
    scf::YieldOp::create(e.b, e.loc, ArrayRef(carried).drop_front());
    return SmallVector<Value>(groups.getResults());
  }

  void addTo(Value row, Value column, ArrayRef<int64_t> lanes, ValueRange sums) {
    for (auto [v, count] : llvm::enumerate(lanes))
      e.storeVector(e.add(e.loadVector(table, {row, at(column, v)}, count), sums[v]), table, {row, at(column, v)},
                    count);
  }

  void addByBlock(Value entries, Value number, Value firstToken) {
    Value row = e.add(firstRow, number), threads = e.index(RegisterFile::warpThreads);
    e.columns(columns, columnVectors, [&](Value column, ArrayRef<int64_t> lanes) {
      SmallVector<Value> mine = sumOf(entries, number, firstToken, e.mul(e.warp(), threads),
                                      e.index(warps * RegisterFile::warpThreads), column, lanes);
      for (auto [v, sum] : llvm::enumerate(mine))
        e.storeVector(sum, partials, {e.warp(), e.index(v * width)}, width);
      e.syncBlock();
      e.elements(e.index(0), e.index(std::accumulate(lanes.begin(), lanes.end(), int64_t(0))), [&](Value i) {
        Value place = e.add(column, i), sum = e.load(table, {row, place});
        for (int64_t warp = 0; warp < warps; ++warp)
          sum = e.add(sum, e.load(partials, {e.index(warp), i}));
        e.store(sum, table, {row, place});
      });
      e.syncBlock();
    });
  }

  Emitter &e;
  Value cotangent, ids, table;
  int64_t columns, vocabulary, width, warps;
  Value scale, firstRow, list, ofWarps, ofRows, partials;
};
} // namespace

LogicalResult scheduleScatterGPU(func::FuncOp kernel, RegisterFile block) {
  Operation *root = &kernel.getBody().front().front();
  auto matrix = cast<RankedTensorType>(kernel.getResultTypes().front());
  block.perThread = matrix.getRank() == 2 && matrix.getDimSize(1) % 4 == 0 ? 4 : 1;
  block.width = RegisterFile::warpThreads * block.perThread;
  Emitter e(kernel, block);
  if (auto write = dyn_cast<CacheWriteOp>(root)) {
    Value x = e.placeOf(write.getX()), cache = e.function.getArgument(kernel.getNumArguments()),
          slots = e.placeOf(write.getSlots());
    Value begin = e.mul(e.tile(), e.index(block.warps)), end = e.min(e.add(begin, e.index(block.warps)), e.dim(x, 0));
    e.rows(begin, end, [&](Value row) {
      Value slot = e.toIndex(e.load(slots, row));
      e.columns(matrix.getDimSize(1), 4, [&](Value column, ArrayRef<int64_t> lanes) {
        for (auto [v, count] : llvm::enumerate(lanes)) {
          Value place = e.add(column, e.index(v * block.width));
          e.storeVector(e.loadVector(x, {row, place}, count), cache, {slot, place}, count);
        }
      });
    });
    e.finish({{static_cast<int64_t>(cast<BlockArgument>(write.getX()).getArgNumber()), 0, 0, block.warps}});
    return success();
  }
  auto embedding = dyn_cast<EmbeddingBackwardOp>(root);
  if (!embedding)
    return noSchedule(e, root);
  SegmentSum(e, embedding).emit(/*hasInto=*/embedding.getInto() != nullptr);
  e.finish({{-1, matrix.getDimSize(0), 0, rowsPerBlock}});
  return success();
}
} // namespace mlir::xf
