//===- Scatter.cpp - schedule of scattered rows for GPUs ------------------===//
// The gradient of an embedding: a block has some columns of some rows of the table, far apart, since frequent words
// have neighbouring numbers. Its warps list the tokens of these rows, each those of a part of the batch, and sort them
// by row, in the batch's order; then each adds a share of the rows that have few tokens, and all together, each a share
// of its tokens, a row that has many. What a row adds, and in which order, follows from its own tokens, and where there
// are more than are listed at a time from the ids.
//===----------------------------------------------------------------------===//
#include "xf/Schedule/Choices.h"
#include "xf/Schedule/Columns.h"
#include <numeric>

namespace mlir::xf {
namespace {
constexpr int64_t warpThreads = RegisterFile::warpThreads;
constexpr int64_t rowBits = 8, mostRows = 1 << rowBits, fewestRows = 4, wantedBlocks = 256; // rows of a block
constexpr int64_t listed = 384;                                                             // tokens of a warp's list
constexpr int64_t idsOfThread = 4, idsAtOnce = 2 * idsOfThread * warpThreads; // a load's, and those under way together
constexpr int64_t rowsAtOnce = 4, tokensAtOnce = 12;                          // loads that are under way together
constexpr int64_t fewTokens = warpThreads / 2;

/// How many blocks share a table's rows: a power of two, by which they are dealt. One alone could not tell the numbers
/// that are none.
int64_t blocksOf(int64_t vocabulary, int64_t parts) {
  auto blocksFor = [&](int64_t rows) { return int64_t(llvm::PowerOf2Ceil(llvm::divideCeil(vocabulary, rows))); };
  int64_t wanted = llvm::bit_floor(static_cast<uint64_t>(std::max<int64_t>(wantedBlocks / parts, 1)));
  return std::max({blocksFor(mostRows), std::min(wanted, blocksFor(fewestRows)), int64_t(2)});
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
        scale(e.splat(op.getScale().convertToDouble())), tile(e.splitTile({e.index(parts)})), lane(e.toI32(e.lane())),
        warp(e.toI32(e.warp())), block(e.toI32(tile[0])),
        lanesBefore(e.sub(e.make<arith::ShLIOp>(e.i32(1), lane), e.i32(1))) {
    Type i32 = e.b.getI32Type();
    lists = e.allocateShared({warps, listed}, i32);
    list = e.allocateShared({warps * listed}, i32);
    cursors = e.allocateShared({warps, mostRows}, i32);
    ofRows = e.allocateShared({mostRows}, i32);
    sums = e.allocateShared({warps}, i32);
    rests = e.allocateShared({warps}, i32);
    partials = e.allocateShared({warps, columnVectors * width});
    e.setLeastBlocks(2);
  }

  SmallVector<GridEntry> grid() { return {{-1, blocks, 0, 1}, {-1, columns, 0, columnVectors * width}}; }

  void emit(bool hasInto) {
    Value tokens = e.dim(cotangent, 0), step = e.index(idsOfThread * warpThreads);
    Value share = e.mul(e.ceilDiv(tokens, warps * idsOfThread * warpThreads), step), begin = e.mul(e.warp(), share);
    Value first = e.toI32(e.min(begin, tokens)), last = e.toI32(e.min(e.add(begin, share), tokens));
    auto boolean = [&](bool value) {
      return arith::ConstantOp::create(e.b, e.loc, e.b.getBoolAttr(value)).getResult();
    };
    // Once, but where a warp finds more tokens than it lists at a time.
    e.loopWhile(
        {first, boolean(true), boolean(!hasInto)}, [](ValueRange carried) { return carried[1]; },
        [&](ValueRange carried) {
          isNew = carried[2];
          auto [next, count] = listTokens(carried[0], last);
          auto [few, all, isMore] = sortByRow(count, isLess(next, last));
          if (!hasInto)
            e.when(isNew, [&] { clearOthers(); });
          addOfFew(few);
          addOfMany(few, all);
          e.syncBlock();
          return SmallVector<Value>{next, isMore, boolean(false)};
        });
  }

private:
  Value at(Value column, int64_t vector) { return e.add(column, e.index(vector * width)); }
  Value both(Value x, Value y) { return e.make<arith::AndIOp>(x, y); }
  Value either(Value x, Value y) { return e.make<arith::OrIOp>(x, y); }
  Value isLess(Value x, Value y) { return e.compare(arith::CmpIPredicate::slt, x, y); }
  Value isEqual(Value x, Value y) { return e.compare(arith::CmpIPredicate::eq, x, y); }
  Value isOther(Value x, Value y) { return e.compare(arith::CmpIPredicate::ne, x, y); }
  Value shiftRight(Value x, int64_t bits) { return e.make<arith::ShRUIOp>(x, e.i32(bits)); }
  Value lowBits(Value x, int64_t bits) { return both(x, e.i32((int64_t(1) << bits) - 1)); }
  Value divide(Value x, int64_t by) { return e.make<arith::DivUIOp>(e.add(x, e.i32(by - 1)), e.i32(by)); }

  /// An entry of a list is a token, one of 2^24, and its row's number in the block.
  Value tokenOf(Value entry) { return e.toIndex(shiftRight(entry, rowBits)); }
  Value numberOf(Value entry) { return lowBits(entry, rowBits); }
  Value entryAt(Value place) { return e.load(list, e.toIndex(place)); }
  Value rowOf(Value number) { return e.add(e.mul(e.toIndex(number), e.index(blocks)), tile[0]); }
  /// The block's columns.
  void forColumns(function_ref<void(Value column, ArrayRef<int64_t> lanes)> body) {
    forTileVectors(e, tile[1], columns, columnVectors * width, body);
  }
  /// What the table has, and zeros where it is new.
  Value loadOld(Value condition, ValueRange place, int64_t count) {
    Value isOld = e.make<arith::XOrIOp>(isNew, arith::ConstantOp::create(e.b, e.loc, e.b.getBoolAttr(true)));
    return e.loadVectorWhere(both(condition, isOld), table, place, count);
  }
  void storeRow(Value row, Value column, ArrayRef<int64_t> lanes, ArrayRef<Value> vectors) {
    for (auto [v, count] : llvm::enumerate(lanes))
      e.storeVector(vectors[v], table, {row, at(column, v)}, count);
  }

  /// The thread's ids from `place` on; what no row of the block has where there are no more.
  SmallVector<Value> idsAt(Value place, Value last) {
    using Values = SmallVector<Value>;
    auto numbers = llvm::seq(idsOfThread);
    auto whole = [&] {
      auto type = VectorType::get({idsOfThread}, e.b.getI32Type());
      Value loaded = vector::LoadOp::create(e.b, e.loc, type, ids, e.toIndex(place), false, llvm::Align(16));
      auto number = [&](int64_t i) -> Value { return vector::ExtractOp::create(e.b, e.loc, loaded, i); };
      return Values(llvm::map_range(numbers, number));
    };
    auto rest = [&] {
      auto number = [&](int64_t i) {
        Value here = e.add(place, e.i32(i));
        return e.choose(
            isLess(here, last), [&] { return Values{e.load(ids, e.toIndex(here))}; },
            [&] { return Values{e.make<arith::XOrIOp>(block, e.i32(1))}; })[0];
      };
      return Values(llvm::map_range(numbers, number));
    };
    return e.choose(isLess(e.add(place, e.i32(idsOfThread - 1)), last), whole, rest);
  }

  /// Lists the tokens of this block's rows among those from `first` to `last`, in order, as far as there is room; gives
  /// how far, and how many.
  std::pair<Value, Value> listTokens(Value first, Value last) {
    SmallVector<Value> end = e.loopWhile(
        {first, e.i32(0)},
        [&](ValueRange carried) {
          return both(isLess(carried[0], last), isLess(carried[1], e.i32(listed - idsAtOnce + 1)));
        },
        [&](ValueRange carried) {
          SmallVector<Value> places;
          SmallVector<SmallVector<Value>> found;
          for (int64_t i = 0; i < idsAtOnce; i += idsOfThread * warpThreads) {
            places.push_back(e.add(carried[0], e.add(e.mul(lane, e.i32(idsOfThread)), e.i32(i))));
            found.push_back(idsAt(places.back(), last));
          }
          Value count = carried[1];
          for (auto [place, numbers] : llvm::zip(places, found))
            count = append(place, numbers, count);
          return SmallVector<Value>{e.add(carried[0], e.i32(idsAtOnce)), count};
        });
    return {end[0], end[1]};
  }

  /// Appends those of the warp's tokens, neighbours in each thread, that are of a row of the block; gives the list's
  /// length.
  Value append(Value token, ArrayRef<Value> numbers, Value length) {
    SmallVector<Value> isOurs;
    for (Value id : numbers)
      isOurs.push_back(isEqual(both(id, e.i32(blocks - 1)), block));
    Value isAny =
        llvm::accumulate(ArrayRef(isOurs).drop_front(), isOurs[0], [&](Value x, Value y) { return either(x, y); });
    using Values = SmallVector<Value>;
    return e.choose(
        isOther(e.ballot(isAny), e.i32(0)),
        [&] {
          Value place = length, end = length;
          for (Value condition : isOurs) {
            Value bits = e.ballot(condition);
            place = e.add(place, e.populationOf(both(bits, lanesBefore)));
            end = e.add(end, e.populationOf(bits));
          }
          for (auto [i, id] : llvm::enumerate(numbers)) {
            e.when(isOurs[i], [&, id = id, i = i] {
              Value here = e.make<arith::ShLIOp>(e.add(token, e.i32(i)), e.i32(rowBits));
              e.store(either(here, shiftRight(id, llvm::Log2_64(blocks))), lists, {e.warp(), e.toIndex(place)});
            });
            place = e.add(place, e.select(isOurs[i], e.i32(1), e.i32(0)));
          }
          return Values{end};
        },
        [&] { return Values{length}; })[0];
  }

  /// body(entry, place) for those of the warp's list, of which each row's come to places one after the other, beginning
  /// where the warp's cursor of the row is, which moves on.
  void moveCursors(Value count, function_ref<void(Value entry, Value place)> body) {
    e.loop(e.i32(0), count, warpThreads, [&](Value begin) {
      Value i = e.add(begin, lane), isThere = isLess(i, count);
      SmallVector<Value> found = e.choose(
          isThere,
          [&] {
            Value entry = e.load(lists, {e.warp(), e.toIndex(i)}), number = numberOf(entry);
            return SmallVector<Value>{entry, number, e.load(cursors, {e.warp(), e.toIndex(number)})};
          },
          [&] { return SmallVector<Value>{e.i32(0), e.i32(mostRows), e.i32(0)}; });
      e.syncWarp();
      Value peers = e.peersOf(found[1]), before = e.populationOf(both(peers, lanesBefore));
      e.when(isThere, [&] {
        body(found[0], e.add(found[2], before));
        e.when(isEqual(before, e.i32(0)),
               [&] { e.store(e.add(found[2], e.populationOf(peers)), cursors, {e.warp(), e.toIndex(found[1])}); });
      });
      e.syncWarp();
    });
  }

  /// Makes one list of those of the warps, by row, and in it first the rows that have few tokens; gives where these end
  /// and where all do, and whether any warp has more to list.
  std::tuple<Value, Value, Value> sortByRow(Value count, Value hasMore) {
    for (int64_t i = 0; i < mostRows; i += warpThreads)
      e.store(e.i32(0), cursors, {e.warp(), e.add(e.lane(), e.index(i))});
    e.syncWarp();
    moveCursors(count, [](Value, Value) {}); // counts
    e.onFirstLane([&] { e.store(e.select(hasMore, e.i32(1), e.i32(0)), rests, e.warp()); });
    e.syncBlock();
    auto [few, all] = setCursors();
    e.syncBlock();
    moveCursors(count, [&](Value entry, Value place) { e.store(entry, list, e.toIndex(place)); });
    Value isMore = e.i32(0);
    for (int64_t other = 0; other < warps; ++other)
      isMore = either(isMore, e.load(rests, e.index(other)));
    e.syncBlock();
    return {few, all, isOther(isMore, e.i32(0))};
  }

  /// From how many tokens each warp has of each row to where they begin in the list; a thread does a row.
  std::pair<Value, Value> setCursors() {
    constexpr int64_t half = 16; // bits of a sum: one counts tokens of rows with few, the other of those with many
    SmallVector<Value> counts;
    Value total = e.i32(0), row = e.thread();
    for (int64_t other = 0; other < warps; ++other) {
      counts.push_back(e.load(cursors, {e.index(other), row}));
      total = e.add(total, counts.back());
    }
    e.store(total, ofRows, row);
    Value isMany = isLess(e.i32(fewTokens), total);
    total = e.select(isMany, e.make<arith::ShLIOp>(total, e.i32(half)), total);
    Value upTo = total;
    for (int64_t distance = 1; distance < warpThreads; distance *= 2) {
      Value other = lowBits(e.sub(lane, e.i32(distance)), llvm::Log2_64(warpThreads));
      upTo = e.add(upTo, e.select(isLess(lane, e.i32(distance)), e.i32(0), e.fromLane(upTo, other)));
    }
    e.when(isEqual(lane, e.i32(warpThreads - 1)), [&] { e.store(upTo, sums, e.warp()); });
    e.syncBlock();
    Value begin = e.sub(upTo, total), all = e.i32(0);
    for (int64_t other = 0; other < warps; ++other) {
      Value sum = e.load(sums, e.index(other));
      begin = e.add(begin, e.select(isLess(e.i32(other), warp), sum, e.i32(0)));
      all = e.add(all, sum);
    }
    Value few = lowBits(all, half);
    begin = e.select(isMany, e.add(few, shiftRight(begin, half)), lowBits(begin, half));
    for (int64_t other = 0; other < warps; ++other) {
      e.store(begin, cursors, {e.index(other), row});
      begin = e.add(begin, counts[other]);
    }
    return {few, e.add(few, shiftRight(all, half))};
  }

  /// Zeros for rows without a token, and for those that have many, to which the block adds what its warps have.
  void clearOthers() {
    e.loop(e.warp(), e.index(rows), warps, [&](Value number) {
      Value row = rowOf(number);
      Value besidesOne = e.sub(e.load(ofRows, number), e.i32(1)); // of no token the largest number
      Value isCleared = e.compare(arith::CmpIPredicate::uge, besidesOne, e.i32(fewTokens));
      e.when(both(isLess(row, e.index(vocabulary)), isCleared), [&] {
        forColumns([&](Value column, ArrayRef<int64_t> lanes) {
          storeRow(row, column, lanes, SmallVector<Value>(lanes.size(), e.splat(0)));
        });
      });
    });
  }

  /// The first `few` of the list. A warp's share of them begins with the first row that begins there, and so does the
  /// next warp's, both within `fewTokens`.
  void addOfFew(Value few) {
    Value share = divide(few, warps), upper = shiftRight(lane, llvm::Log2_64(fewTokens));
    auto shareOf = [&](Value number) { return e.mul(number, share); };
    Value place = e.min(e.add(shareOf(e.add(warp, upper)), lowBits(lane, llvm::Log2_64(fewTokens))), few);
    using Values = SmallVector<Value>;
    Value begins = e.choose(
        both(isLess(e.i32(0), place), isLess(place, few)),
        [&] { return Values{isOther(numberOf(entryAt(place)), numberOf(entryAt(e.sub(place, e.i32(1)))))}; },
        [&] { return Values{isEqual(e.i32(0), e.i32(0))}; })[0];
    Value bits = e.ballot(begins);
    Value begin = e.min(e.add(shareOf(warp), e.lowestBit(lowBits(bits, fewTokens))), few);
    Value end = e.min(e.add(shareOf(e.add(warp, e.i32(1))), e.lowestBit(shiftRight(bits, fewTokens))), few);
    forColumns([&](Value column, ArrayRef<int64_t> lanes) {
      SmallVector<Value> initial{e.i32(-1)};
      initial.append(lanes.size(), e.splat(0));
      e.loop(begin, end, rowsAtOnce, initial, [&](Value first, ValueRange carried) {
        SmallVector<Value> entries, numbers{carried[0]}, isThere, isFirst, isLast, old, loaded;
        SmallVector<Value> sums(carried.drop_front());
        for (int64_t i = 0; i <= rowsAtOnce; ++i) {
          Value here = e.add(first, e.i32(i));
          entries.push_back(entryAt(e.min(here, e.sub(end, e.i32(1)))));
          isThere.push_back(isLess(here, end));
          numbers.push_back(numberOf(entries.back()));
        }
        for (int64_t i = 0; i < rowsAtOnce; ++i) {
          isFirst.push_back(isOther(numbers[i], numbers[i + 1]));
          isLast.push_back(either(e.make<arith::XOrIOp>(isThere[i], isThere[i + 1]),
                                  both(isThere[i], isOther(numbers[i + 1], numbers[i + 2]))));
          for (auto [v, count] : llvm::enumerate(lanes)) {
            loaded.push_back(e.loadVectorWhere(isThere[i], cotangent, {tokenOf(entries[i]), at(column, v)}, count));
            old.push_back(loadOld(both(isThere[i], isFirst[i]), {rowOf(numbers[i + 1]), at(column, v)}, count));
          }
        }
        for (int64_t i = 0; i < rowsAtOnce; ++i) {
          for (unsigned v = 0; v < lanes.size(); ++v) {
            int64_t k = i * lanes.size() + v;
            sums[v] = e.fma(loaded[k], scale, e.select(isFirst[i], old[k], sums[v]));
          }
          e.when(isLast[i], [&] { storeRow(rowOf(numbers[i + 1]), column, lanes, sums); });
        }
        sums.insert(sums.begin(), numbers[rowsAtOnce]);
        return sums;
      });
    });
  }

  /// The rows that have many, which are the rest of the list.
  void addOfMany(Value few, Value all) {
    e.loopWhile(
        {few}, [&](ValueRange carried) { return isLess(carried[0], all); },
        [&](ValueRange carried) {
          Value number = numberOf(entryAt(carried[0])), count = e.load(ofRows, e.toIndex(number));
          addByBlock(carried[0], count, rowOf(number));
          return SmallVector<Value>{e.add(carried[0], count)};
        });
  }

  void addByBlock(Value first, Value count, Value row) {
    Value share = divide(count, warps), begin = e.mul(warp, share), end = e.min(e.add(begin, share), count);
    forColumns([&](Value column, ArrayRef<int64_t> lanes) {
      SmallVector<Value> zeros(lanes.size(), e.splat(0));
      SmallVector<Value> mine = e.loop(begin, end, tokensAtOnce, zeros, [&](Value place, ValueRange before) {
        SmallVector<Value> sums(before), loaded;
        for (int64_t i = 0; i < tokensAtOnce; ++i) {
          Value here = e.add(place, e.i32(i)), entry = entryAt(e.add(first, e.min(here, e.sub(end, e.i32(1)))));
          for (auto [v, count] : llvm::enumerate(lanes))
            loaded.push_back(e.loadVectorWhere(isLess(here, end), cotangent, {tokenOf(entry), at(column, v)}, count));
        }
        for (auto [i, value] : llvm::enumerate(loaded))
          sums[i % lanes.size()] = e.fma(value, scale, sums[i % lanes.size()]);
        return sums;
      });
      for (auto [v, sum] : llvm::enumerate(mine))
        e.storeVector(sum, partials, {e.warp(), e.index(v * width)}, width);
      e.syncBlock();
      e.elements(e.index(0), e.index(std::accumulate(lanes.begin(), lanes.end(), int64_t(0))), [&](Value i) {
        Value place = e.add(column, i), sum = e.load(table, {row, place});
        for (int64_t other = 0; other < warps; ++other)
          sum = e.add(sum, e.load(partials, {e.index(other), i}));
        e.store(sum, table, {row, place});
      });
      e.syncBlock();
    });
  }

  Emitter &e;
  Value cotangent, ids, table;
  int64_t columns, vocabulary, width, warps, columnVectors, parts, blocks, rows;
  Value scale;
  SmallVector<Value> tile;              // the block's number among those of rows, and among those of columns
  Value lane, warp, block, lanesBefore; // numbers of 32 bits
  Value isNew;                          // whether nothing has been added to the table yet, and it holds no sum
  Value lists, list, cursors, ofRows, sums, rests, partials;
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
