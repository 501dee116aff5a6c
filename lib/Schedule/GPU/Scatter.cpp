//===- Scatter.cpp - schedule of scattered rows for GPUs ------------------===//
// The gradient of an embedding: a block has some columns of some rows of the table, far apart, since frequent words
// have neighbouring numbers. Its warps list the tokens of these rows, each those of a part of the batch, and add them:
// a warp does where a row's are few, and all warps, each a fixed share of the list, where they are many. What a row
// adds, and in which order, is known from the ids alone.
//===----------------------------------------------------------------------===//
#include "xf/Schedule/Choices.h"
#include "xf/Schedule/Columns.h"
#include <numeric>

namespace mlir::xf {
namespace {
constexpr int64_t warpThreads = RegisterFile::warpThreads;
constexpr int64_t rowBits = 7, mostRows = 1 << rowBits, fewestRows = 4, wantedBlocks = 512; // rows of a block
constexpr int64_t listed = 512;                                                             // tokens of a warp's list
constexpr int64_t idsAtOnce = 8, tokensAtOnce = 6; // loads that are under way together
constexpr int64_t fewTokens = 16;

/// How many blocks share a table's rows: a power of two, by which they are dealt.
int64_t blocksOf(int64_t vocabulary, int64_t parts) {
  auto blocksFor = [&](int64_t rows) { return int64_t(llvm::PowerOf2Ceil(llvm::divideCeil(vocabulary, rows))); };
  int64_t wanted = llvm::bit_floor(static_cast<uint64_t>(std::max<int64_t>(wantedBlocks / parts, 1)));
  return std::max({blocksFor(mostRows), std::min(wanted, blocksFor(fewestRows)), int64_t(1)});
}

class SegmentSum {
public:
  SegmentSum(Emitter &e, EmbeddingBackwardOp op)
      : e(e), cotangent(e.placeOf(op.getCotangent())), ids(e.placeOf(op.getIds())),
        table(e.function.getArgument(e.kernel.getNumArguments())),
        columns(cast<MemRefType>(table.getType()).getDimSize(1)),
        vocabulary(cast<MemRefType>(table.getType()).getDimSize(0)), width(e.registers.width), warps(e.registers.warps),
        columnVectors(e.registers.perThread == 8 ? 1 : 2), parts(llvm::divideCeil(columns, columnVectors * width)),
        blocks(blocksOf(vocabulary, parts)), rows(llvm::divideCeil(vocabulary, blocks)),
        scale(e.splat(op.getScale().convertToDouble())), tile(e.splitTile({e.index(parts)})) {
    Type i32 = e.b.getI32Type();
    lists = e.allocateShared({warps, listed}, i32);
    list = e.allocateShared({warps * listed}, i32);
    counts = e.allocateShared({warps}, i32);
    rests = e.allocateShared({warps}, i32);
    ofRows = e.allocateShared({rows}, i32);
    partials = e.allocateShared({warps, columnVectors * width});
  }

  SmallVector<GridEntry> grid() { return {{-1, blocks, 0, 1}, {-1, columns, 0, columnVectors * width}}; }

  void emit(bool hasInto) {
    if (!hasInto) { // else the plan makes it the same memory
      forRows([&](Value, Value row) {
        forColumns([&](Value column, ArrayRef<int64_t> lanes) {
          for (auto [v, count] : llvm::enumerate(lanes))
            e.storeVector(e.splat(0), table, {row, at(column, v)}, count);
        });
      });
      e.syncBlock();
    }
    Value tokens = e.dim(cotangent, 0), share = e.ceilDiv(tokens, warps), begin = e.mul(e.warp(), share);
    Value first = e.toI32(e.min(begin, tokens)), last = e.toI32(e.min(e.add(begin, share), tokens));
    Value isTrue = arith::ConstantOp::create(e.b, e.loc, e.b.getBoolAttr(true));
    // Once, but where a warp finds more tokens than it lists at a time.
    e.loopWhile(
        {first, isTrue}, [](ValueRange carried) { return carried[1]; },
        [&](ValueRange carried) {
          Value next = makeLists(carried[0], last);
          auto [entries, isMore] = joinLists(isLess(next, last));
          addAll(entries);
          e.syncBlock();
          return SmallVector<Value>{next, isMore};
        });
  }

private:
  Value at(Value column, int64_t vector) { return e.add(column, e.index(vector * width)); }
  Value both(Value x, Value y) { return e.make<arith::AndIOp>(x, y); }
  Value isLess(Value x, Value y) { return e.compare(arith::CmpIPredicate::slt, x, y); }
  Value isEqual(Value x, Value y) { return e.compare(arith::CmpIPredicate::eq, x, y); }

  /// body(number in the block, row of the table) for the rows of this warp.
  void forRows(function_ref<void(Value, Value)> body) {
    e.loop(e.warp(), e.index(rows), warps, [&](Value number) {
      Value row = rowOf(number);
      e.when(isLess(row, e.index(vocabulary)), [&] { body(number, row); });
    });
  }
  Value rowOf(Value number) { return e.add(e.mul(number, e.index(blocks)), tile[0]); }
  /// The block's columns.
  void forColumns(function_ref<void(Value column, ArrayRef<int64_t> lanes)> body) {
    forTileVectors(e, tile[1], columns, columnVectors * width, body);
  }

  /// A number, or -1 where there is none.
  Value numberWhere(Value condition, Value memory, Value place) {
    auto number = scf::IfOp::create(e.b, e.loc, TypeRange(e.b.getI32Type()), condition, true);
    OpBuilder::InsertionGuard guard(e.b);
    e.b.setInsertionPointToStart(number.thenBlock());
    Value loaded = e.load(memory, place);
    scf::YieldOp::create(e.b, e.loc, loaded);
    e.b.setInsertionPointToStart(number.elseBlock());
    Value none = e.i32(-1);
    scf::YieldOp::create(e.b, e.loc, none);
    return number.getResult(0);
  }

  /// Lists the tokens of this block's rows among those from `first` to `last`, in order, as far as there is room; gives
  /// how far. An entry is the token and the row's number in the block.
  Value makeLists(Value first, Value last) {
    constexpr int64_t step = idsAtOnce * warpThreads;
    Value lane = e.toI32(e.lane()), before = e.sub(e.make<arith::ShLIOp>(e.i32(1), lane), e.i32(1));
    SmallVector<Value> end = e.loopWhile(
        {first, e.i32(0)},
        [&](ValueRange carried) {
          return both(isLess(carried[0], last), isLess(carried[1], e.i32(listed - step + 1)));
        },
        [&](ValueRange carried) {
          Value count = carried[1];
          SmallVector<Value> found, places;
          for (int64_t i = 0; i < idsAtOnce; ++i) {
            places.push_back(e.add(carried[0], e.add(lane, e.i32(i * warpThreads))));
            found.push_back(numberWhere(isLess(places[i], last), ids, e.toIndex(places[i])));
          }
          for (auto [id, token] : llvm::zip(found, places)) {
            // -1 is nobody's: the tile's number is below `blocks`, and the rest tells a row.
            Value isOurs = both(isEqual(both(id, e.i32(blocks - 1)), e.toI32(tile[0])),
                                e.compare(arith::CmpIPredicate::sge, id, e.i32(0)));
            Value bits = e.ballot(isOurs), place = e.add(count, e.populationOf(both(bits, before)));
            e.when(isOurs, [&] {
              Value number = e.make<arith::ShRUIOp>(id, e.i32(llvm::Log2_64(blocks)));
              Value entry = e.make<arith::OrIOp>(e.make<arith::ShLIOp>(token, e.i32(rowBits)), number);
              e.store(entry, lists, {e.warp(), e.toIndex(place)});
            });
            count = e.add(count, e.populationOf(bits));
          }
          return SmallVector<Value>{e.add(carried[0], e.i32(step)), count};
        });
    e.onFirstLane([&] { e.store(end[1], counts, e.warp()); });
    return end[0];
  }

  /// Makes one list of those of the warps; gives its length, and whether any warp has more to list.
  std::pair<Value, Value> joinLists(Value hasMore) {
    Value more = e.select(hasMore, e.i32(1), e.i32(0));
    e.onFirstLane([&] { e.store(more, rests, e.warp()); });
    e.syncBlock();
    Value total = e.i32(0), position = e.i32(0), isMore = e.i32(0);
    for (int64_t warp = 0; warp < warps; ++warp) {
      Value other = e.load(counts, e.index(warp));
      total = e.add(total, other);
      isMore = e.make<arith::OrIOp>(isMore, e.load(rests, e.index(warp)));
      Value isBefore = e.compare(arith::CmpIPredicate::ult, e.index(warp), e.warp());
      position = e.add(position, e.select(isBefore, other, e.i32(0)));
    }
    e.loop(e.lane(), e.toIndex(e.load(counts, e.warp())), warpThreads,
           [&](Value i) { e.store(e.load(lists, {e.warp(), i}), list, e.add(e.toIndex(position), i)); });
    e.syncBlock();
    return {e.toIndex(total), e.compare(arith::CmpIPredicate::ne, isMore, e.i32(0))};
  }

  void addAll(Value entries) {
    countRows(entries);
    forRows([&](Value number, Value row) {
      Value count = e.load(ofRows, number);
      Value isSome = e.compare(arith::CmpIPredicate::sgt, count, e.i32(0));
      e.when(both(isSome, e.compare(arith::CmpIPredicate::sle, count, e.i32(fewTokens))), [&] {
        forColumns([&](Value column, ArrayRef<int64_t> lanes) {
          SmallVector<Value> sums =
              sumOf(entries, number, e.index(0), warpThreads, column, lanes,
                    [&](int64_t v, int64_t count) { return e.loadVector(table, {row, at(column, v)}, count); });
          for (auto [v, count] : llvm::enumerate(lanes))
            e.storeVector(sums[v], table, {row, at(column, v)}, count);
        });
      });
    });
    e.syncBlock();
    e.loop(e.index(0), e.index(rows), 1, [&](Value number) {
      Value row = rowOf(number);
      e.when(isLess(row, e.index(vocabulary)), [&] {
        e.when(e.compare(arith::CmpIPredicate::sgt, e.load(ofRows, number), e.i32(fewTokens)),
               [&] { addByBlock(entries, number, row); });
      });
    });
  }

  /// The entry of this thread among the 32 from `first` on, and whether there is one; and whether it is of a row.
  std::pair<Value, Value> entryAt(Value entries, Value first) {
    Value place = e.add(first, e.lane()), isThere = isLess(place, entries);
    return {numberWhere(isThere, list, place), isThere};
  }
  Value isOf(Value entry, Value isThere, Value number) {
    return both(isThere, isEqual(both(entry, e.i32(mostRows - 1)), e.toI32(number)));
  }

  /// Counts the entries of each of the warp's rows.
  void countRows(Value entries) {
    SmallVector<Value> none(llvm::divideCeil(rows, warps), e.i32(0));
    auto numberAt = [&](int64_t i) { return e.add(e.warp(), e.index(i * warps)); };
    SmallVector<Value> found = e.loop(e.index(0), entries, warpThreads, none, [&](Value first, ValueRange counts) {
      SmallVector<Value> next;
      auto [entry, isThere] = entryAt(entries, first);
      for (auto [i, count] : llvm::enumerate(counts))
        next.push_back(e.add(count, e.populationOf(e.ballot(isOf(entry, isThere, numberAt(i))))));
      return next;
    });
    for (auto [i, count] : llvm::enumerate(found))
      e.when(both(isEqual(e.lane(), e.index(0)), isLess(numberAt(i), e.index(rows))),
             [&, count = count, i = i] { e.store(count, ofRows, numberAt(i)); });
    e.syncWarp();
  }

  /// What `initial` gives, and the sum over the row's tokens among the list's 32 from `begin`, `begin + step`, ... on.
  SmallVector<Value> sumOf(Value entries, Value number, Value begin, int64_t step, Value column,
                           ArrayRef<int64_t> lanes, function_ref<Value(int64_t v, int64_t count)> initial) {
    SmallVector<Value> start;
    for (auto [v, count] : llvm::enumerate(lanes))
      start.push_back(initial(v, count));
    return e.loop(begin, entries, step, start, [&](Value first, ValueRange before) {
      auto [entry, isThere] = entryAt(entries, first);
      Value own = entry, bits = e.ballot(isOf(entry, isThere, number));
      SmallVector<Value> carried{bits};
      llvm::append_range(carried, before);
      Value turns = e.toIndex(e.populationOf(bits));
      carried = e.loop(e.index(0), turns, tokensAtOnce, carried, [&](Value, ValueRange values) {
        Value rest = values[0];
        SmallVector<Value> sums(values.drop_front()), loaded;
        for (int64_t i = 0; i < tokensAtOnce; ++i) {
          Value isThere = e.compare(arith::CmpIPredicate::ne, rest, e.i32(0)), lane = e.lowestBit(rest);
          Value token = e.toIndex(e.make<arith::ShRUIOp>(e.fromLane(own, lane), e.i32(rowBits)));
          for (auto [v, count] : llvm::enumerate(lanes))
            loaded.push_back(e.loadVectorWhere(isThere, cotangent, {token, at(column, v)}, count));
          rest = e.withoutLowestBit(rest);
        }
        for (auto [i, value] : llvm::enumerate(loaded))
          sums[i % lanes.size()] = e.fma(value, scale, sums[i % lanes.size()]);
        sums.insert(sums.begin(), rest);
        return sums;
      });
      return SmallVector<Value>(ArrayRef(carried).drop_front());
    });
  }

  void addByBlock(Value entries, Value number, Value row) {
    forColumns([&](Value column, ArrayRef<int64_t> lanes) {
      SmallVector<Value> mine = sumOf(entries, number, e.mul(e.warp(), e.index(warpThreads)), warps * warpThreads,
                                      column, lanes, [&](int64_t, int64_t) { return e.splat(0); });
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
  int64_t columns, vocabulary, width, warps, columnVectors, parts, blocks, rows;
  Value scale;
  SmallVector<Value> tile; // the block's number among those of rows, and among those of columns
  Value lists, list, counts, rests, ofRows, partials;
};
} // namespace

LogicalResult scheduleScatterGPU(func::FuncOp kernel, RegisterFile block) {
  Operation *root = &kernel.getBody().front().front();
  auto matrix = cast<RankedTensorType>(kernel.getResultTypes().front());
  block.perThread = 1;
  if (matrix.getRank() == 2 && (matrix.getElementType().isBF16() || matrix.getDimSize(1) % 4 == 0)) {
    SmallVector<Type> read; // a gradient's table is read where it has tokens alone
    for (BlockArgument argument : kernel.getArguments())
      if (auto embedding = dyn_cast<EmbeddingBackwardOp>(root); !embedding || argument == embedding.getCotangent())
        read.push_back(kernel.getArgumentTypes()[argument.getArgNumber()]);
    block.perThread = shareOfThread(read, matrix.getDimSize(1));
  }
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
  auto embedding = cast<EmbeddingBackwardOp>(root);
  SegmentSum sum(e, embedding);
  sum.emit(/*hasInto=*/embedding.getInto() != nullptr);
  e.finish(sum.grid());
  return success();
}
} // namespace mlir::xf
