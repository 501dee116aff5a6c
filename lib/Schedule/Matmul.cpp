//===- Matmul.cpp - schedule of matrix products ---------------------------===//
// Goto & van de Geijn's blocking: a block of B packed into panels of register-tile width, a register tile of C carried
// by the loop over k, A read in place by broadcast loads (its strides are constants). Each element of the result is one
// chain of fused multiply-adds over increasing k (of a quantized weight one a group, and one over groups), whatever the
// tile, the number of rows or of threads. Bias and accumulation are the tile's initial value; the elementwise ops of
// the kernel follow on the block while it is in cache. A result of bf16 is summed in scratch memory, a block of rows
// at a time.
//===----------------------------------------------------------------------===//
#include "xf/Schedule/Elementwise.h"
#include "xf/Schedule/Pack.h"
#include "xf/Schedule/RegisterTile.h"

namespace mlir::xf {
namespace {

/// C (m x n) = initial + A (m x k) B (k x n), each of A and B as it lies in memory.
struct Product {
  Value a, b, c; // memrefs
  Value initial; // null, a bias of n elements, or a matrix like C
  bool transposeA, transposeB;
  int64_t n;              // static; m and k may be dynamic
  bool packed = false;    // B is as xf.pack gives it
  bool quantized = false; // and of i8
  bool inScratch = false; // C is memory of a block, whose first row is `firstRow`
  Value firstRow = {}, firstColumn = {};
  SmallVector<Value> read = {}, written = {}; // matrices like C: what the epilogue reads, and the kernel's results

  SmallVector<Value> placeOfC(Emitter &e, Value row, Value column) const {
    return inScratch ? SmallVector<Value>{e.sub(row, firstRow), e.sub(column, firstColumn)}
                     : SmallVector<Value>{row, column};
  }
};

class MatmulSchedule {
public:
  MatmulSchedule(Emitter &e, const Product &p) : e(e), p(p) {
    auto choices = e.schedule<MatmulScheduleAttr>();
    vectors = 2;
    rows = choices.getRegisterRows();
    rowsPerTile = choices.getRows();
    columnsPerTile = choices.getColumns();
    rowsPerBlock = choices.getBlockRows();
    depth = p.quantized ? llvm::alignTo(choices.getDepth(), PackOp::group) : choices.getDepth();
    panel = vectors * e.registers.width;
    auto aType = cast<MemRefType>(p.a.getType());
    staticM = aType.getDimSize(p.transposeA ? 1 : 0);
    staticK = aType.getDimSize(p.transposeA ? 0 : 1);
    copiesA = choices.getCopyA();
    if (!p.packed)
      kept = e.remembered();
  }

  /// Of `count` rows alone, by a packed weight: a panel of it at once. Its numbers are read in the order in which they
  /// lie in memory, and there are as many chains of sums as a multiply-add takes cycles.
  bool takesWholePanels() const { return p.packed && panel < PackOp::columns && columnsPerTile % PackOp::columns == 0; }
  void withWholePanels(int64_t count, function_ref<void()> emit) {
    auto kept = std::make_tuple(panel, vectors, rows, rowsPerBlock, copiesA);
    std::tie(panel, vectors, rows, rowsPerBlock, copiesA) =
        std::make_tuple(PackOp::columns, PackOp::columns / e.registers.width, count, count, false);
    emit();
    std::tie(panel, vectors, rows, rowsPerBlock, copiesA) = kept;
  }

  int64_t tileRows() const { return rowsPerTile; }
  int64_t tileColumns() const { return columnsPerTile; }

  using Finish = function_ref<void(Value rowBegin, Value rowEnd, Value columnBegin)>;
  /// The product over rows rowBegin .. rowEnd of one tile of columns; `finish` takes each block of rows that is done
  /// while it is in cache.
  void emit(Value rowBegin, Value rowEnd, Value columnBegin, Finish finish) {
    if (!p.inScratch)
      return emitRows(rowBegin, rowEnd, columnBegin, finish);
    p.c = e.allocate({rowsPerBlock, columnsPerTile});
    p.firstColumn = columnBegin;
    e.loop(rowBegin, rowEnd, rowsPerBlock, [&](Value row) {
      p.firstRow = row;
      emitRows(row, e.min(e.add(row, e.index(rowsPerBlock)), rowEnd), columnBegin, finish);
    });
  }

  Value c() const { return p.c; }

  /// The product of a few rows over all columns columnBegin .. columnEnd: limited by reading B, which is read once and
  /// not packed.
  void emitFewRows(int64_t count, Value columnBegin, Value columnEnd) {
    p.transposeB ? fewRowsTransposed(count, columnBegin, columnEnd) : fewRowsDirect(count, columnBegin, columnEnd);
  }
  bool takesFewRows() const {
    return !p.packed && !p.inScratch && ShapedType::isDynamic(staticM) && !ShapedType::isDynamic(staticK) &&
           staticK > 0;
  }

private:
  void emitRows(Value rowBegin, Value rowEnd, Value columnBegin, Finish finish) {
    int64_t panels = llvm::divideCeil(columnsPerTile, panel);
    Value buffer = p.packed ? p.b : e.allocate({panels, depth, panel});
    widened = p.quantized && rows > 2 ? e.allocate({depth, panel}) : Value();
    if (copiesA)
      copy = p.transposeA ? e.allocate({llvm::divideCeilSigned(rowsPerBlock, rows),
                                        depth + llvm::divideCeilSigned(e.registers.width, rows), rows})
                          : e.allocate({rowsPerBlock, depth + padding});
    // Full panels of this tile, and whether the one past the last full panel of the matrix is here too.
    Value columnEnd = e.min(e.add(columnBegin, e.index(columnsPerTile)), e.index(p.n));
    fullPanels = e.make<arith::DivSIOp>(e.sub(columnEnd, columnBegin), e.index(panel));
    partial = p.n % panel;
    hasPartial = partial ? e.compare(arith::CmpIPredicate::eq, columnEnd, e.index(p.n)) : Value();
    auto block = [&](Value kBegin, Value kEnd, function_ref<void(Value, Value)> done) {
      if (!p.packed)
        packUnlessKept(columnBegin, kBegin, kEnd, buffer);
      e.loop(rowBegin, rowEnd, rowsPerBlock, [&](Value row) {
        Value end = e.min(e.add(row, e.index(rowsPerBlock)), rowEnd);
        emitBlock(row, end, columnBegin, buffer, kBegin, kEnd);
        done(row, end);
      });
    };
    if (staticK == depth)
      return block(e.index(0), e.index(depth), [&](Value row, Value end) { finish(row, end, columnBegin); });
    // Several blocks of k, each but the first adding to the result; or none.
    Value k = e.dim(p.a, p.transposeA ? 0 : 1);
    if (ShapedType::isDynamic(staticK) || staticK == 0)
      e.when(e.compare(arith::CmpIPredicate::eq, k, e.index(0)), [&] {
        initialise(rowBegin, rowEnd, columnBegin, columnEnd);
        finish(rowBegin, rowEnd, columnBegin);
      });
    e.loop(e.index(0), k, depth, [&](Value kBegin) {
      isFirstBlock = e.compare(arith::CmpIPredicate::eq, kBegin, e.index(0));
      Value kEnd = e.min(e.add(kBegin, e.index(depth)), k);
      isLastBlock = e.compare(arith::CmpIPredicate::eq, kEnd, k);
      block(kBegin, kEnd, [&](Value row, Value end) { e.when(isLastBlock, [&] { finish(row, end, columnBegin); }); });
    });
  }

  /// Runs `body(panel, valid columns of it)` for the panels of this tile.
  void forPanels(function_ref<void(Value index, int64_t valid)> body) {
    e.loop(e.index(0), fullPanels, 1, [&](Value index) { body(index, panel); });
    if (hasPartial)
      e.when(hasPartial, [&] { body(fullPanels, partial); });
  }
  int64_t lanes(int64_t valid, int64_t vector) const {
    return std::clamp<int64_t>(valid - vector * e.registers.width, 0, e.registers.width);
  }
  /// A vector of the initial value: zero, a bias, or a matrix that is added to.
  Value initialVector(Value row, Value column, int64_t count) {
    if (!p.initial || count == 0)
      return e.splat(0);
    if (cast<MemRefType>(p.initial.getType()).getRank() == 1)
      return e.loadVector(p.initial, column, count);
    return e.loadVector(p.initial, {row, column}, count);
  }
  /// What a block of k adds to: the initial value, or what the blocks before it gave.
  Value sumSoFar(Value row, Value column, int64_t count) {
    Value initial = initialVector(row, column, count);
    if (!isFirstBlock || count == 0)
      return initial;
    return e.select(isFirstBlock, initial, e.loadVector(p.c, p.placeOfC(e, row, column), count));
  }

  /// While a tile is added up, what its rows are written to comes from memory, and what an epilogue reads with them:
  /// rows lie so far apart that no prefetcher follows. Where sums begin with what is there, that is the next panel's.
  void askForRow(Value row, Value column) {
    bool isReadAtOnce = p.initial && cast<MemRefType>(p.initial.getType()).getRank() == 2;
    if (isReadAtOnce)
      column = e.add(column, e.index(panel));
    for (int64_t at = 0; at < panel; at += lineOfFloats) {
      SmallVector<Value> place{row, e.add(column, e.index(at))};
      if (isReadAtOnce)
        e.prefetch(p.initial, place);
      for (Value matrix : p.read)
        e.prefetch(matrix, place);
      for (Value matrix : p.written)
        e.prefetch(matrix, place, /*write=*/true);
    }
  }

  /// While a block of rows meets its first panels, the next block's rows of A come from memory: those of a tile lie one
  /// after another, and each panel asks for a part of them, by the k of its loop. Later panels ask for what they load.
  void askForNextRows(Value index, Value row, Value k) {
    if (copiesA || staticK != depth)
      return; // a copy asks for itself; and a part of long rows is long enough for a prefetcher
    int64_t parts = std::min(rows, llvm::divideCeilSigned(columnsPerTile, panel));
    while (rows % parts != 0)
      --parts;
    Value asks = e.compare(arith::CmpIPredicate::slt, index, e.index(parts)), step = e.index(rows / parts);
    Value begin = e.select(asks, e.mul(index, e.index(staticK * (rows / parts))), e.index(0));
    e.prefetch(p.a, {e.select(asks, e.add(row, e.index(rowsPerBlock)), row), e.add(begin, e.mul(k, step))});
  }

  void initialise(Value rowBegin, Value rowEnd, Value columnBegin, Value columnEnd) {
    e.loop(rowBegin, rowEnd, 1, [&](Value row) {
      forPanels([&](Value index, int64_t valid) {
        Value column = e.add(columnBegin, e.mul(index, e.index(panel)));
        for (int64_t v = 0; v < vectors; ++v)
          if (int64_t count = lanes(valid, v)) {
            Value at = e.add(column, e.index(v * e.registers.width));
            e.storeVector(initialVector(row, at, count), p.c, p.placeOfC(e, row, at), count);
          }
      });
    });
  }

  //===-- Packing -----------------------------------------------------------===//
  /// A range that goes on in the columns of the worker's last one finds them packed, if all of k is one block.
  void packUnlessKept(Value columnBegin, Value kBegin, Value kEnd, Value buffer) {
    Value isWhole = e.compare(arith::CmpIPredicate::eq, e.sub(kEnd, kBegin), e.dim(p.a, p.transposeA ? 0 : 1)),
          name = e.select(isWhole, e.add(columnBegin, e.index(1)), e.index(0)),
          isOther = e.compare(arith::CmpIPredicate::ne, e.load(kept, e.index(0)), name);
    e.when(e.make<arith::OrIOp>(isOther, e.compare(arith::CmpIPredicate::eq, name, e.index(0))), [&] {
      pack(columnBegin, kBegin, kEnd, buffer);
      e.store(name, kept, e.index(0));
    });
  }

  void pack(Value columnBegin, Value kBegin, Value kEnd, Value buffer) {
    if (!p.transposeB)
      return packRows(columnBegin, kBegin, kEnd, buffer);
    forPanels([&](Value index, int64_t valid) {
      packTransposed(e.add(columnBegin, e.mul(index, e.index(panel))), valid, kBegin, kEnd, index, buffer);
    });
  }

  /// B is k x n: rows are copied, each through all panels; columns past the end become zeros.
  void packRows(Value columnBegin, Value kBegin, Value kEnd, Value buffer) {
    e.loop(kBegin, kEnd, 1, [&](Value k) {
      Value ahead = e.add(k, e.index(rowsAhead)); // rows lie on pages of their own, where no prefetcher follows
      forPanels([&](Value index, int64_t valid) {
        Value column = e.add(columnBegin, e.mul(index, e.index(panel)));
        for (int64_t v = 0; v < vectors; ++v) {
          int64_t count = lanes(valid, v);
          Value at = e.add(column, e.index(v * e.registers.width));
          e.prefetch(p.b, {ahead, at});
          e.storeVector(count == 0 ? e.splat(0) : e.loadVector(p.b, {k, at}, count), buffer,
                        {index, e.sub(k, kBegin), e.index(v * e.registers.width)}, e.registers.width);
        }
      });
    });
  }

  /// B is n x k: blocks of width x width are transposed in registers.
  void packTransposed(Value column, int64_t valid, Value kBegin, Value kEnd, Value index, Value buffer) {
    int64_t width = e.registers.width, tail = ShapedType::isDynamic(staticK) ? 0 : staticK % width;
    auto block = [&](Value k, int64_t count) {
      for (int64_t v = 0; v < vectors; ++v) {
        // Meanwhile the next panel comes from memory, in the order in which it lies there: that a prefetcher follows.
        Value turn =
                  e.add(e.mul(e.make<arith::DivSIOp>(e.sub(k, kBegin), e.index(width)), e.index(vectors)), e.index(v)),
              position = e.mul(turn, e.index(width * width)),
              nextRow = e.add(e.add(column, e.index(panel)), e.make<arith::DivSIOp>(position, e.index(depth))),
              nextK = e.add(kBegin, e.make<arith::RemSIOp>(position, e.index(depth)));
        constexpr int64_t line = 16;
        for (int64_t ahead = 0; ahead < width * width; ahead += line)
          e.prefetch(p.b, {nextRow, e.add(nextK, e.index(ahead))});
        SmallVector<Value> lines;
        for (int64_t row = 0; row < width; ++row)
          lines.push_back(v * width + row < valid
                              ? e.loadVector(p.b, {e.add(column, e.index(v * width + row)), k}, count)
                              : e.splat(0));
        lines = e.transpose(lines);
        for (int64_t i = 0; i < count; ++i)
          e.storeVector(lines[i], buffer, {index, e.add(e.sub(k, kBegin), e.index(i)), e.index(v * width)}, width);
      }
    };
    Value kFull = kEnd;
    if (tail > 0)
      kFull = e.sub(kEnd, e.make<arith::RemSIOp>(e.sub(kEnd, kBegin), e.index(width)));
    e.loop(kBegin, kFull, width, [&](Value k) { block(k, width); });
    if (tail > 0)
      e.when(e.compare(arith::CmpIPredicate::slt, kFull, kEnd), [&] { block(kFull, tail); });
  }

  /// Copies a block of A as it lies: its own rows, a power of two apart, would share few sets of the caches.
  void copyBlock(Value rowBegin, Value rowEnd, Value kBegin, Value kEnd) {
    int64_t width = e.registers.width;
    Value full = e.sub(kEnd, e.make<arith::RemSIOp>(e.sub(kEnd, kBegin), e.index(width)));
    e.loop(rowBegin, rowEnd, 1, [&](Value row) {
      Value to = e.sub(row, rowBegin);
      Value ahead = e.add(row, e.index(rowsAhead)); // rows lie on pages of their own, where no prefetcher follows
      e.loop(kBegin, full, width, [&](Value k) {
        e.prefetch(p.a, {ahead, k});
        e.storeVector(e.loadVector(p.a, {row, k}, width), copy, {to, e.sub(k, kBegin)}, width);
      });
      e.loop(full, kEnd, 1, [&](Value k) { e.store(e.load(p.a, {row, k}), copy, {to, e.sub(k, kBegin)}); });
    });
  }

  /// Packs a block of a transposed A into the rows of register tiles, so that a tile reads its numbers in the order in
  /// which they lie. What a tile's last vector holds of the next tile is overwritten by the next k, and lies in the
  /// copy's padding after the last.
  void packTilesOfA(Value rowBegin, Value rowEnd, Value kBegin, Value kEnd) {
    int64_t width = e.registers.width, span = llvm::alignTo(rows, width);
    Value count = e.sub(rowEnd, rowBegin), readable = e.sub(e.sub(e.dim(p.a, 1), rowBegin), e.index(span - rows));
    Value fullTiles = e.make<arith::DivSIOp>(e.make<arith::MaxSIOp>(e.min(count, readable), e.index(0)), e.index(rows));
    e.loop(kBegin, kEnd, 1, [&](Value k) {
      Value to = e.sub(k, kBegin), ahead = e.add(k, e.index(rowsAhead));
      e.loop(e.index(0), fullTiles, 1, [&](Value tile) {
        Value row = e.add(rowBegin, e.mul(tile, e.index(rows)));
        e.prefetch(p.a, {ahead, row});
        for (int64_t i = 0; i < rows; i += width)
          e.storeVector(e.loadVector(p.a, {k, e.add(row, e.index(i))}, width), copy, {tile, to, e.index(i)}, width);
      });
      e.loop(e.mul(fullTiles, e.index(rows)), count, 1, [&](Value row) {
        auto [tile, place] = placeInTiles(row);
        e.store(e.load(p.a, {k, e.add(rowBegin, row)}), copy, {tile, to, place});
      });
    });
  }
  std::pair<Value, Value> placeInTiles(Value row) {
    return {e.make<arith::DivUIOp>(row, e.index(rows)), e.make<arith::RemUIOp>(row, e.index(rows))};
  }

  //===-- Register tiles ----------------------------------------------------===//
  void emitBlock(Value rowBegin, Value rowEnd, Value columnBegin, Value buffer, Value kBegin, Value kEnd) {
    if (copiesA)
      p.transposeA ? packTilesOfA(rowBegin, rowEnd, kBegin, kEnd) : copyBlock(rowBegin, rowEnd, kBegin, kEnd);
    auto a = [&](Value first, int64_t number, Value k) {
      auto row = [&](Value first) { return e.add(first, e.index(number)); };
      if (copiesA && p.transposeA) {
        auto [tile, place] = placeInTiles(e.sub(first, rowBegin));
        return e.load(copy, {tile, e.sub(k, kBegin), row(place)});
      }
      if (copiesA)
        return e.load(copy, {row(e.sub(first, rowBegin)), e.sub(k, kBegin)});
      return e.load(p.a, p.transposeA ? ValueRange{k, row(first)} : ValueRange{row(first), k});
    };
    forPanels([&](Value index, int64_t valid) {
      Value column = e.add(columnBegin, e.mul(index, e.index(panel)));
      auto columnOf = [&](int64_t vector) { return e.add(column, e.index(vector * e.registers.width)); };
      // A panel of ours is one of xf.pack's, or a part of one.
      Value packedPanel, packedColumn;
      if (p.packed) {
        packedPanel = e.make<arith::DivSIOp>(column, e.index(PackOp::columns));
        packedColumn = e.make<arith::RemSIOp>(column, e.index(PackOp::columns));
      }
      auto packedLane = [&](int64_t v) { return e.add(packedColumn, e.index(v * e.registers.width)); };
      // The rows of a quantized panel are those of a group, and its scales before.
      std::optional<Scales> scales;
      if (p.quantized)
        scales.emplace(e, p.b);
      Value group;
      auto packedRow = [&](Value k) { return p.quantized ? rowOfQuantized(e, group, k) : k; };
      auto beginGroup = [&](Value k) { group = e.make<arith::DivUIOp>(k, e.index(PackOp::group)); };
      auto scale = [&](int64_t v) {
        return e.loadVector(scales->numbers, scales->place(packedPanel, group, packedLane(v)), e.registers.width);
      };
      auto initial = [&](Value row, int64_t v) {
        if (v == 0)
          askForRow(row, column);
        return sumSoFar(row, columnOf(v), lanes(valid, v));
      };
      auto b = [&](Value k, int64_t v) -> Value {
        if (!p.packed)
          return e.loadVector(buffer, {index, e.sub(k, kBegin), e.index(v * e.registers.width)}, e.registers.width);
        return e.loadVector(buffer, {packedPanel, packedRow(k), packedLane(v)}, e.registers.width);
      };
      auto store = [&](Value row, int64_t v, Value sum) {
        if (int64_t count = lanes(valid, v))
          e.storeVector(sum, p.c, p.placeOfC(e, row, columnOf(v)), count);
      };
      // A packed weight is read from memory by the first tile of rows alone: that tile and the next ask for the panel
      // that follows. The others ask for what they load anyway, which costs nothing; asking for that panel again takes
      // a load from the second cache each time.
      auto ahead = [&](Value row, Value k) {
        if (!p.packed)
          return askForNextRows(index, row, k);
        Value tile = e.make<arith::DivSIOp>(e.sub(row, rowBegin), e.index(rows));
        Value asks = e.compare(arith::CmpIPredicate::slt, tile, e.index(2));
        Value ahead = e.select(asks, e.add(packedPanel, e.index(1)), packedPanel);
        e.prefetch(p.b, {ahead, packedRow(k), e.select(asks, e.mul(tile, e.index(16)), packedColumn)});
      };
      TileProduct tiles{rows, vectors, initial, a, b, store, ahead};
      if (!p.quantized)
        return emitTiles(e, rowBegin, rowEnd, kBegin, kEnd, tiles);
      tiles.beginGroup = beginGroup, tiles.scale = scale;
      if (!widened)
        return emitTiles(e, rowBegin, rowEnd, kBegin, kEnd, tiles);
      // Where several tiles of rows take a panel, its integers become numbers once.
      constexpr int64_t tilesAtLeast = 3;
      Value isWorthIt = e.compare(arith::CmpIPredicate::sge, e.sub(rowEnd, rowBegin), e.index(tilesAtLeast * rows));
      e.switchOn(
          e.select(isWorthIt, e.index(1), e.index(0)), 2,
          [&](int64_t) {
            auto place = [&](Value k, int64_t v) {
              return SmallVector<Value>{e.sub(k, kBegin), e.index(v * e.registers.width)};
            };
            e.loop(kBegin, kEnd, PackOp::group, [&](Value begin) {
              beginGroup(begin);
              e.loop(begin, e.min(e.add(begin, e.index(PackOp::group)), kEnd), 1, [&](Value k) {
                for (int64_t v = 0; v < vectors; ++v)
                  e.storeVector(b(k, v), widened, place(k, v), e.registers.width);
              });
            });
            auto wide = [&](Value k, int64_t v) { return e.loadVector(widened, place(k, v), e.registers.width); };
            TileProduct ofWidened = tiles;
            ofWidened.b = wide;
            ofWidened.ahead = nullptr;
            emitTiles(e, rowBegin, rowEnd, kBegin, kEnd, ofWidened);
          },
          [&] { emitTiles(e, rowBegin, rowEnd, kBegin, kEnd, tiles); });
    });
  }

  //===-- Few rows ----------------------------------------------------------===//
  /// Runs `body(column, lanes)` for the vectors of columns begin .. end, where end is a multiple of the width or n.
  void forVectors(Value begin, Value end, function_ref<void(Value column, int64_t lanes)> body) {
    int64_t width = e.registers.width, rest = p.n % width;
    Value full = rest ? e.min(end, e.index(p.n - rest)) : end;
    e.loop(begin, full, width, [&](Value column) { body(column, width); });
    if (rest)
      e.when(e.compare(arith::CmpIPredicate::sgt, end, e.index(p.n - rest)), [&] { body(e.index(p.n - rest), rest); });
  }

  /// B is k x n: some of its rows at a time are added to sums that stay in L1.
  void fewRowsDirect(int64_t count, Value columnBegin, Value columnEnd) {
    // Memory is read fastest along several rows at once, and far along each; as many as leave registers for their
    // factors.
    constexpr int64_t columnsPerSweep = 4096;
    int64_t ksPerSweep = count * 8 <= e.registers.count / 2 ? 8 : 4;
    e.loop(columnBegin, columnEnd, columnsPerSweep, [&](Value begin) {
      Value end = e.min(e.add(begin, e.index(columnsPerSweep)), columnEnd);
      auto sweep = [&](Value k, int64_t ks, bool first) {
        SmallVector<Value> a;
        for (int64_t row = 0; row < count; ++row)
          for (int64_t i = 0; i < ks; ++i)
            a.push_back(e.splat(e.load(p.a, {e.index(row), e.add(k, e.index(i))})));
        forVectors(begin, end, [&](Value column, int64_t lanes) {
          SmallVector<Value> b;
          for (int64_t i = 0; i < ks; ++i)
            b.push_back(e.loadVector(p.b, {e.add(k, e.index(i)), column}, lanes));
          for (int64_t row = 0; row < count; ++row) {
            Value sum =
                first ? initialVector(e.index(row), column, lanes) : e.loadVector(p.c, {e.index(row), column}, lanes);
            for (int64_t i = 0; i < ks; ++i)
              sum = e.fma(a[row * ks + i], b[i], sum);
            e.storeVector(sum, p.c, {e.index(row), column}, lanes);
          }
        });
      };
      int64_t ks = std::min(staticK, ksPerSweep), full = staticK / ks * ks;
      sweep(e.index(0), ks, true);
      e.loop(e.index(ks), e.index(full), ks, [&](Value k) { sweep(k, ks, false); });
      if (full < staticK)
        sweep(e.index(full), staticK - full, false);
    });
  }

  /// B is n x k: blocks of width x width are transposed in registers and used at once.
  void fewRowsTransposed(int64_t count, Value columnBegin, Value columnEnd) {
    int64_t width = e.registers.width;
    forVectors(columnBegin, columnEnd, [&](Value column, int64_t lanes) {
      auto block = [&](Value k, int64_t ks, ValueRange sums) {
        SmallVector<Value> lines, next(sums);
        for (int64_t i = 0; i < width; ++i)
          lines.push_back(i < lanes ? e.loadVector(p.b, {e.add(column, e.index(i)), k}, ks) : e.splat(0));
        lines = e.transpose(lines);
        for (int64_t i = 0; i < ks; ++i)
          for (int64_t row = 0; row < count; ++row)
            next[row] = e.fma(e.splat(e.load(p.a, {e.index(row), e.add(k, e.index(i))})), lines[i], next[row]);
        return next;
      };
      SmallVector<Value> sums;
      for (int64_t row = 0; row < count; ++row)
        sums.push_back(initialVector(e.index(row), column, lanes));
      int64_t full = staticK / width * width;
      if (full > 0)
        sums = e.loop(e.index(0), e.index(full), width, sums,
                      [&](Value k, ValueRange carried) { return block(k, width, carried); });
      if (full < staticK)
        sums = block(e.index(full), staticK - full, sums);
      for (int64_t row = 0; row < count; ++row)
        e.storeVector(sums[row], p.c, {e.index(row), column}, lanes);
    });
  }

  Emitter &e;
  Product p;
  static constexpr int64_t padding = 16, rowsAhead = 8, lineOfFloats = 16;
  int64_t vectors, rows, panel, staticM, staticK, depth, columnsPerTile, rowsPerTile, rowsPerBlock, partial;
  bool copiesA;
  Value fullPanels, hasPartial, copy, widened, isFirstBlock, isLastBlock, kept;
};
} // namespace

LogicalResult scheduleMatmul(func::FuncOp kernel, const RegisterFile &registers) {
  Block &body = kernel.getBody().front();
  Operation *root = &body.front();
  Emitter e(kernel, registers, /*wholeRange=*/true);
  Product p{};
  if (auto linear = dyn_cast<LinearOp>(root)) {
    p = {e.placeOf(linear.getX()),
         e.placeOf(linear.getWeight()),
         {},
         linear.getBias() ? e.placeOf(linear.getBias()) : Value(),
         false,
         true,
         0,
         linear.isPacked(),
         linear.isQuantized()};
  } else {
    auto matmul = cast<MatmulOp>(root);
    p = {e.placeOf(matmul.getA()),
         e.placeOf(matmul.getB()),
         {},
         matmul.getInto() ? e.placeOf(matmul.getInto()) : Value(),
         matmul.getTransposeA(),
         matmul.getTransposeB(),
         0};
  }
  Value result = root->getResult(0);
  p.n = cast<RankedTensorType>(result.getType()).getDimSize(1);
  // A product that only its epilogue uses is written where the epilogue's result goes, and read back from there.
  p.c = e.placeOf(result);
  int64_t place = -1;
  for (unsigned i = 0; i < kernel.getNumResults(); ++i)
    if (place < 0 && (!p.c || body.getTerminator()->getOperand(i) == result))
      place = kernel.getNumArguments() + i;
  if (!p.c)
    p.c = e.function.getArgument(place);
  Value m = e.dim(p.c, 0);
  p.inScratch = Emitter::isNarrow(p.c);
  SmallVector<Operation *> epilogue;
  auto isLikeC = [&](Value matrix) {
    auto type = dyn_cast<MemRefType>(matrix.getType());
    return type && type.getRank() == 2 && type.getDimSize(1) == p.n;
  };
  for (Operation &op : llvm::drop_begin(body.without_terminator())) {
    epilogue.push_back(&op);
    for (Value operand : op.getOperands())
      if (isa<BlockArgument>(operand))
        if (Value matrix = e.placeOf(operand); isLikeC(matrix) && !llvm::is_contained(p.read, matrix))
          p.read.push_back(matrix);
  }
  for (unsigned i = 0; i < kernel.getNumResults(); ++i)
    if (Value matrix = e.function.getArgument(kernel.getNumArguments() + i); isLikeC(matrix))
      p.written.push_back(matrix);
  MatmulSchedule schedule(e, p);
  // Rows vary fastest: the tiles of a range that share their columns share the packed block of B.
  Value rowTiles = e.ceilDiv(m, schedule.tileRows());
  LogicalResult status = success();
  auto forColumns = [&](function_ref<void(Value rowBegin, Value rowEnd, Value columnBegin)> body) {
    e.loop(e.make<arith::DivSIOp>(e.tileBegin(), rowTiles), e.make<arith::CeilDivSIOp>(e.tileEnd(), rowTiles), 1,
           [&](Value columnTile) {
             Value first = e.mul(columnTile, rowTiles);
             auto rowOf = [&](Value tile) {
               Value rowTile = e.make<arith::MaxSIOp>(e.min(e.sub(tile, first), rowTiles), e.index(0));
               return e.min(e.mul(rowTile, e.index(schedule.tileRows())), m);
             };
             body(rowOf(e.tileBegin()), rowOf(e.tileEnd()), e.mul(columnTile, e.index(schedule.tileColumns())));
           });
  };
  auto finishColumns = [&](Value rowBegin, Value rowEnd, Value columnBegin) {
    if ((p.inScratch || !epilogue.empty()) && succeeded(status))
      status = emitEpilogue(e, epilogue, result, schedule.c(), p.inScratch, rowBegin, rowEnd, columnBegin, p.n,
                            schedule.tileColumns());
  };
  auto anyRows = [&] {
    forColumns([&](Value rowBegin, Value rowEnd, Value columnBegin) {
      schedule.emit(rowBegin, rowEnd, columnBegin, finishColumns);
    });
  };
  if (schedule.takesFewRows()) {
    constexpr int64_t few = 4;
    Value columnsEach = e.index(schedule.tileColumns());
    e.switchOn(
        e.min(m, e.index(few + 1)), few + 1,
        [&](int64_t count) {
          schedule.emitFewRows(count, e.mul(e.tileBegin(), columnsEach),
                               e.min(e.mul(e.tileEnd(), columnsEach), e.index(p.n)));
          forColumns(finishColumns);
        },
        anyRows);
  } else if (schedule.takesWholePanels()) {
    constexpr int64_t few = 2;
    e.switchOn(
        e.min(m, e.index(few + 1)), few + 1, [&](int64_t count) { schedule.withWholePanels(count, anyRows); }, anyRows);
  } else {
    anyRows();
  }
  if (failed(status))
    return e.function.erase(), failure();
  e.finish({{-1, p.n, 0, schedule.tileColumns()}, {place, 0, 0, schedule.tileRows()}});
  return success();
}
} // namespace mlir::xf
