//===- TensorCoreMatmul.cpp - products by mma.sync ------------------------===//
// For every GPU from sm_80 on: products of bf16, and of f32 rounded to tf32. Blocks of A and B of 64 bytes of k come to
// a ring in shared memory by asynchronous copies, zeros beyond their ends; each warp multiplies 16 to 64 rows by 64
// columns of them, reading the next step's fragments while it multiplies this one's. The kernel's elementwise ops are
// computed on the sums in registers (ProductEpilogue.h). An element's sum is the same chain of instructions over
// increasing k, whatever tile it is in.
//===----------------------------------------------------------------------===//
#include "ProductEpilogue.h"
#include "TensorCore.h"
#include "xf/Schedule/Choices.h"

#include <numeric>

namespace mlir::xf {
namespace {
constexpr int64_t warp = 32, warpColumns = ProductEpilogue::unit;
/// Bytes of k that one instruction takes of each row, that a block in the ring has, and that are copied at once.
constexpr int64_t stepBytes = 32, depthBytes = 64, chunkBytes = 16;
/// What a block may have without being asked for more than the smallest GPUs give to two of them.
constexpr int64_t sharedBytes = 48 << 10;

/// Four warps share a tile. Of 128 x 128 a thread has so many sums that two blocks fill a processor's registers.
constexpr int64_t warps = 4;
int64_t warpRowsOf(TensorCoreScheduleAttr schedule) {
  return schedule.getRows() * schedule.getColumns() / (warps * warpColumns);
}
int64_t stageBytesOf(int64_t rows, int64_t columns) { return (rows + columns) * depthBytes; }

/// One of the factors: where its elements are, and where its blocks lie in a stage of the ring.
class Factor {
public:
  /// `begin` and `end` (i32): the first of `count` rows (of A) or columns (of B) of the tile, and how many there are in
  /// all; `k` (i32) how many numbers each sum has. Blocks lie `place` bytes after a stage's beginning.
  Factor(Emitter &e, TensorCore &core, Value memory, bool depthIsRow, bool isPacked, int64_t count, Value begin,
         Value end, Value k, Value ring, int64_t place)
      : e(e), core(core), depthIsRow(depthIsRow) {
    auto type = cast<MemRefType>(memory.getType());
    elementBytes = type.getElementTypeBitWidth() / 8;
    depth = depthBytes / elementBytes;
    rows = depthIsRow ? depth : count;
    rowBytes = depthIsRow ? count * elementBytes : depthBytes;
    pitch = (isPacked ? PackOp::columns : pitchOf(type)) * elementBytes;
    shared = core.at(ring, place);
    setUpCopies(memory, isPacked, begin, end, k);
  }

  /// Where the thread's copies of the first block come from; of each next one `advance` bytes further.
  Value source;
  int64_t advance() const { return depthIsRow ? depth * pitch : depthBytes; }
  /// Begins to copy block number `block` (i32) from where the thread's part of it is to a stage.
  void copy(Value from, Value block, Value stage) {
    Value to = core.at(shared, stage), kBegin = e.mul(block, e.i32(depth));
    for (int64_t turn = 0; turn < turns; ++turn) {
      Value row = e.add(firstRow, e.i32(turn * rowsOfTurn)), bytes;
      if (depthIsRow) {
        Value isThere = e.compare(arith::CmpIPredicate::slt, e.add(kBegin, row), depthEnd);
        bytes = e.select(isThere, bytesThere[0], e.i32(0));
      } else { // of whole units there are all bytes or none
        Value left = e.sub(bytesThere[turn], e.mul(block, e.i32(depthBytes)));
        bytes = hasWholeUnits
                    ? e.select(e.compare(arith::CmpIPredicate::sgt, left, e.i32(0)), e.i32(unitBytes), e.i32(0))
                    : clamped(left);
      }
      core.copy(core.at(to, placeOf(row, firstUnit)), core.at(from, turn * rowsOfTurn * pitch), unitBytes, bytes);
    }
  }

  /// The fragments of step `step` of a block: of A from row `first` (i32) of the tile on `count` left ones, or of B
  /// from a column on the right ones of as many pairs of 8 columns.
  SmallVector<Fragment> fragments(bool isLeft, Value first, int64_t count, int64_t step, Value stage) {
    Value from = core.at(shared, stage), lane = e.laneNumbers();
    auto part = [&](int64_t by, int64_t of) -> Value {
      return e.make<arith::RemUIOp>(e.make<arith::DivUIOp>(lane, e.i32(by)), e.i32(of));
    };
    SmallVector<Fragment> result;
    if (depthIsRow && elementBytes == 4) { // no instruction transposes f32
      Value kLane = part(1, 4), own = e.add(first, part(4, 8));
      for (int64_t i = 0; i < count; ++i) {
        Fragment fragment;
        for (int64_t number = 0; number < 4; ++number) {
          // The left one's second number is 8 rows below, its third 4 of k further; the right one's the other way.
          int64_t beside = isLeft ? number % 2 : number / 2, further = isLeft ? number / 2 : number % 2;
          Value at = e.add(own, e.i32(i * 16 + beside * 8));
          Value place = e.add(placeOf(kLane, e.make<arith::DivUIOp>(at, e.i32(chunkBytes / 4)), chunkBytes),
                              e.mul(e.make<arith::RemUIOp>(at, e.i32(chunkBytes / 4)), e.i32(4)));
          fragment[number] = LLVM::LoadOp::create(
              e.b, e.loc, e.b.getI32Type(), core.at(core.at(from, place), (step * 8 + further * 4) * rowBytes), 4);
        }
        result.push_back(fragment);
      }
      return result;
    }
    // Eight threads give the rows of a block of 8 x 16 bytes: below each other in the fragment, then beside; or, where
    // that is how the four registers of two right ones are, beside first.
    bool belowFirst = isLeft != depthIsRow;
    Value row = e.add(part(1, 8), e.mul(part(belowFirst ? 8 : 16, 2), e.i32(8))), chunk = part(belowFirst ? 16 : 8, 2);
    for (int64_t i = 0; i < count; ++i) {
      Value place;
      int64_t further = 0;
      if (depthIsRow) {
        Value firstChunk = e.make<arith::DivUIOp>(first, e.i32(chunkBytes / elementBytes));
        place = placeOf(row, e.add(e.add(firstChunk, e.i32(i * 2)), chunk), chunkBytes);
        further = step * stepBytes / elementBytes * rowBytes;
      } else {
        place = placeOf(e.add(first, row), e.add(chunk, e.i32(step * 2)), chunkBytes);
        further = i * 16 * rowBytes;
      }
      result.push_back(core.loadMatrices(core.at(core.at(from, place), further), /*transposed=*/depthIsRow));
    }
    return result;
  }

private:
  /// Of a row of the block the place of a unit of `bytes`, which lies in another chunk of 16 bytes than it has by its
  /// number: so that the eight rows that are read together lie in different banks.
  Value placeOf(Value row, Value unit, int64_t bytes) {
    auto bits = [&](int64_t from, int64_t mask) {
      return e.make<arith::AndIOp>(e.make<arith::ShRUIOp>(row, e.i32(from)), e.i32(mask));
    };
    Value chunk = e.make<arith::DivUIOp>(unit, e.i32(chunkBytes / bytes)), other;
    if (!depthIsRow)
      other = bits(1, 3); // two rows are as long as all banks
    else if (elementBytes == 2)
      other = bits(0, 7);
    else // threads read numbers: of four rows, two chunks each
      other = e.mul(bits(0, 3), e.i32(2));
    Value place = e.add(e.mul(row, e.i32(rowBytes)), e.mul(e.make<arith::XOrIOp>(chunk, other), e.i32(chunkBytes)));
    Value rest = e.make<arith::RemUIOp>(unit, e.i32(chunkBytes / bytes));
    return bytes == chunkBytes ? place : e.add(place, e.mul(rest, e.i32(bytes)));
  }
  Value placeOf(Value row, Value unit) { return placeOf(row, unit, unitBytes); }
  Value clamped(Value bytes) {
    return e.make<arith::MaxSIOp>(e.make<arith::MinSIOp>(bytes, e.i32(unitBytes)), e.i32(0));
  }

  /// A thread copies the same unit of every so many rows.
  void setUpCopies(Value memory, bool isPacked, Value begin, Value end, Value k) {
    unitBytes = std::gcd(pitch, chunkBytes);
    int64_t unitsOfRow = rowBytes / unitBytes, threads = e.registers.threads();
    rowsOfTurn = threads / unitsOfRow;
    turns = rows / rowsOfTurn;
    assert(turns * rowsOfTurn * unitsOfRow == rows * unitsOfRow && rowsOfTurn > 0 && "threads share a block");
    Value thread = e.toI32(e.thread());
    firstRow = e.make<arith::DivUIOp>(thread, e.i32(unitsOfRow));
    firstUnit = e.make<arith::RemUIOp>(thread, e.i32(unitsOfRow));
    Value first = e.mul(firstUnit, e.i32(unitBytes / elementBytes)); // element of the row of the block
    depthEnd = k;
    Value row = firstRow, column = first;
    if (depthIsRow) {
      column = e.add(begin, first);
      bytesThere.push_back(clamped(e.mul(e.sub(end, column), e.i32(elementBytes))));
    } else {
      row = e.add(begin, firstRow);
      Value bytes = e.mul(e.sub(k, first), e.i32(elementBytes));
      for (int64_t turn = 0; turn < turns; ++turn) {
        Value isRow = e.compare(arith::CmpIPredicate::slt, e.add(row, e.i32(turn * rowsOfTurn)), end);
        bytesThere.push_back(e.select(isRow, bytes, e.i32(0)));
      }
    }
    std::optional<int64_t> known = getConstantIntValue(k);
    hasWholeUnits = known && *known * elementBytes % unitBytes == 0;
    Value start = pointerOf(e, memory, NVVM::NVVMMemorySpace::Global), element;
    if (isPacked) { // panels of 32 columns, k rows each
      Value inPanel = e.make<arith::RemUIOp>(column, e.i32(PackOp::columns)),
            panel = e.make<arith::DivUIOp>(column, e.i32(PackOp::columns));
      Value panelRow = e.add(e.mul(e.toIndex(panel), e.toIndex(k)), e.toIndex(row));
      element = e.add(e.mul(panelRow, e.index(PackOp::columns)), e.toIndex(inPanel));
    } else {
      element = e.add(e.mul(e.toIndex(row), e.index(pitch / elementBytes)), e.toIndex(column));
    }
    Value bytes = arith::IndexCastOp::create(e.b, e.loc, e.b.getI64Type(), e.mul(element, e.index(elementBytes)));
    source = core.at(start, bytes);
  }

  Emitter &e;
  TensorCore &core;
  bool depthIsRow, hasWholeUnits; // element (k, i) lies at [k, i], not at [i, k]
  int64_t elementBytes, depth, rows, rowBytes, pitch;
  int64_t unitBytes, turns, rowsOfTurn;
  Value shared, firstRow, firstUnit, depthEnd;
  SmallVector<Value> bytesThere;
};

class TensorCoreMatmul {
public:
  TensorCoreMatmul(Emitter &e, TensorCoreScheduleAttr schedule, bool isTF32)
      : e(e), core(e), schedule(schedule), isTF32(isTF32), warpRows(warpRowsOf(schedule)) {
    Value number = e.toI32(e.warp()), rowWarps = e.i32(schedule.getRows() / warpRows);
    warpRow = e.mul(e.make<arith::RemUIOp>(number, rowWarps), e.i32(warpRows));
    warpColumn = e.mul(e.make<arith::DivUIOp>(number, rowWarps), e.i32(warpColumns));
  }

  struct Operand {
    Value memory;
    bool depthIsRow, isPacked;
  };
  /// Of the tile whose first row and column these are (i32), of m x n: the sums of the warp's rows, 16 after 16.
  SmallVector<SmallVector<Value>> emit(const Operand &left, const Operand &right, Value rowBegin, Value m,
                                       Value columnBegin, int64_t n, Value k) {
    int64_t stages = schedule.getStages(), bytes = stageBytesOf(schedule.getRows(), schedule.getColumns());
    Value ring = pointerOf(e, e.allocateShared({stages * bytes / 4}), NVVM::NVVMMemorySpace::Shared);
    Factor a(e, core, left.memory, left.depthIsRow, left.isPacked, schedule.getRows(), rowBegin, m, k, ring, 0);
    Factor b(e, core, right.memory, right.depthIsRow, right.isPacked, schedule.getColumns(), columnBegin, e.i32(n), k,
             ring, schedule.getRows() * depthBytes);
    auto copy = [&](Value fromA, Value fromB, Value block, Value stage) {
      a.copy(fromA, block, stage);
      b.copy(fromB, block, stage);
      core.commitCopies();
    };
    // All but one of the last copies may be on their way when one is waited for.
    auto await = [&] {
      core.waitForCopies(stages - 2);
      e.syncBlock();
    };
    auto load = [&](int64_t step, Value stage) {
      SmallVector<Fragment> fragments = a.fragments(/*isLeft=*/true, warpRow, warpRows / 16, step, stage);
      llvm::append_range(fragments, b.fragments(/*isLeft=*/false, warpColumn, warpColumns / 16, step, stage));
      return fragments;
    };
    for (int64_t stage = 0; stage < stages - 1; ++stage)
      copy(core.at(a.source, stage * a.advance()), core.at(b.source, stage * b.advance()), e.i32(stage),
           e.i32(stage * bytes));
    await();

    // Carried: where the block is whose copy begins now, and where it goes, which is where the one before was; where
    // the block to multiply is; its first fragments; the sums.
    constexpr int64_t steps = depthBytes / stepBytes;
    int64_t blocks = warpRows / 16, fragments = blocks + warpColumns / 16;
    SmallVector<Value> carried{core.at(a.source, (stages - 1) * a.advance()),
                               core.at(b.source, (stages - 1) * b.advance()), e.i32((stages - 1) * bytes), e.i32(0)};
    llvm::append_range(carried, flattened(load(0, e.i32(0))));
    carried.append(blocks * warpColumns / 2, e.f32(0));
    int64_t depth = depthBytes / (isTF32 ? 4 : 2);
    Value count = e.make<arith::DivUIOp>(e.add(k, e.i32(depth - 1)), e.i32(depth));
    carried = e.loop(e.i32(0), count, 1, carried, [&](Value block, ValueRange values) {
      Value fromA = values[0], fromB = values[1], last = values[2], now = values[3];
      SmallVector<Fragment> next = fragmentsOf(values.slice(4, fragments * 4)),
                            sums = fragmentsOf(values.drop_front(4 + fragments * 4));
      copy(fromA, fromB, e.add(block, e.i32(stages - 1)), last);
      Value end = e.add(now, e.i32(bytes)),
            after = e.select(e.compare(arith::CmpIPredicate::eq, end, e.i32(stages * bytes)), e.i32(0), end);
      for (int64_t step = 0; step < steps; ++step) {
        SmallVector<Fragment> current = next;
        if (step + 1 == steps)
          await();
        next = load((step + 1) % steps, step + 1 == steps ? after : now);
        multiply(current, blocks, sums);
      }
      SmallVector<Value> results{core.at(fromA, a.advance()), core.at(fromB, b.advance()), now, after};
      llvm::append_range(results, flattened(next));
      llvm::append_range(results, flattened(sums));
      return results;
    });
    core.waitForCopies();
    SmallVector<SmallVector<Value>> result;
    ValueRange sums = ValueRange(carried).drop_front(4 + fragments * 4);
    for (int64_t i = 0; i < blocks; ++i)
      result.push_back(SmallVector<Value>(sums.slice(i * warpColumns / 2, warpColumns / 2)));
    return result;
  }

  Value warpRow, warpColumn; // i32, of the warp in the tile

private:
  /// sums += left ones, of which there are `blocks`, by the others; eight sums of 16 x 8 for each left one.
  void multiply(SmallVector<Fragment> factors, int64_t blocks, SmallVector<Fragment> &sums) {
    if (isTF32)
      for (Fragment &factor : factors)
        for (Value &number : factor)
          number = core.toTF32(number);
    ArrayRef<Fragment> left = ArrayRef<Fragment>(factors).take_front(blocks),
                       right = ArrayRef(factors).drop_front(blocks);
    for (int64_t j = 0; j < warpColumns / 8; ++j)
      for (int64_t i = 0; i < blocks; ++i) {
        const Fragment &two = right[j / 2];
        core.multiply(sums[i * (warpColumns / 8) + j], left[i], two[j % 2 * 2], two[j % 2 * 2 + 1], isTF32);
      }
  }

  Emitter &e;
  TensorCore core;
  TensorCoreScheduleAttr schedule;
  bool isTF32;
  int64_t warpRows;
};
} // namespace

LogicalResult scheduleTensorCoreMatmul(func::FuncOp kernel, const RegisterFile &target) {
  auto schedule = cast<TensorCoreScheduleAttr>(kernel->getAttr("xf.schedule"));
  RegisterFile registers = target;
  registers.width = warp;
  registers.perThread = 1;
  registers.warps = warps;
  Operation *root = &kernel.getBody().front().front();
  auto linear = dyn_cast<LinearOp>(root);
  auto matmul = dyn_cast<MatmulOp>(root);
  Emitter e(kernel, registers);
  Value a = e.placeOf(root->getOperand(0)), b = e.placeOf(root->getOperand(1));
  bool isPacked = linear && linear.isPacked(), transposeA = matmul && matmul.getTransposeA(),
       transposeB = linear || matmul.getTransposeB();
  ProductEpilogue epilogue(e, root);
  TensorCoreMatmul product(e, schedule, !Emitter::isNarrow(a));
  int64_t rows = schedule.getRows(), columns = schedule.getColumns(), n = epilogue.columns();
  Value m = e.toI32(epilogue.rows());
  auto [row, column] = placeInBands(e, e.tile(), e.ceilDiv(epilogue.rows(), rows), llvm::divideCeil(n, columns));
  Value rowBegin = e.mul(e.toI32(row), e.i32(rows)), columnBegin = e.mul(e.toI32(column), e.i32(columns));
  Value k = e.toI32(e.dim(a, transposeA ? 0 : 1));
  if (int64_t known = cast<MemRefType>(a.getType()).getDimSize(transposeA ? 0 : 1); !ShapedType::isDynamic(known))
    k = e.i32(known);
  SmallVector<SmallVector<Value>> sums =
      product.emit({a, transposeA, false}, {b, !transposeB || isPacked, isPacked}, rowBegin, m, columnBegin, n, k);
  for (auto [i, elements] : llvm::enumerate(sums))
    epilogue.emit(e.toIndex(e.add(e.add(rowBegin, product.warpRow), e.i32(i * 16))),
                  e.toIndex(e.add(columnBegin, product.warpColumn)), elements);
  epilogue.emitStatistics(e.toIndex(rowBegin), rows, e.toIndex(columnBegin), columns);
  if (failed(epilogue.status))
    return e.function.erase(), failure();
  e.finish({{kernel.getNumArguments(), 0, 0, rows}, {-1, n, 0, columns}});
  return success();
}

Attribute chooseTensorCoreMatmul(func::FuncOp kernel, bool takesF32) {
  Operation *root = rootOf(kernel);
  auto linear = dyn_cast<LinearOp>(root);
  if ((!linear && !isa<MatmulOp>(root)) || !isEpilogueOf(root, /*takesStatistics=*/true))
    return {};
  SmallVector<Type> elements;
  for (Value operand : root->getOperands().take_front(2)) {
    auto cast = operand.getDefiningOp<CastOp>();
    auto argument = dyn_cast<BlockArgument>(cast ? cast.getX() : operand);
    auto type = argument ? dyn_cast<RankedTensorType>(kernel.getArgumentTypes()[argument.getArgNumber()]) : nullptr;
    if (!type || type.isDynamicDim(type.getRank() - 1) || type.getShape().back() == 0)
      return {};
    elements.push_back(type.getElementType());
  }
  if (elements[0] != elements[1] || !(elements[0].isBF16() || (elements[0].isF32() && takesF32)))
    return {};
  auto result = cast<RankedTensorType>(root->getResult(0).getType());
  if (result.isDynamicDim(1) || result.getDimSize(1) == 0)
    return {};
  // Waves of blocks over the processors of a large GPU, each as long as the tile's products and what it reads. Batches
  // that are packed have some thousand rows, more or fewer, so that their last wave is any.
  constexpr int64_t processors = 108, usualRows = 4096, edge = 32;
  int64_t m = result.isDynamicDim(0) ? usualRows : std::max<int64_t>(result.getDimSize(0), 1), n = result.getDimSize(1);
  double least = 0;
  std::pair<int64_t, int64_t> best;
  for (auto [rows, columns] : {std::pair<int64_t, int64_t>(128, 128), {128, 64}, {64, 64}}) {
    int64_t tiles = llvm::divideCeil(m, rows) * llvm::divideCeil(n, columns);
    double waves = result.isDynamicDim(0) ? std::max(double(tiles) / processors, 1.0)
                                          : double(llvm::divideCeil(tiles, processors));
    double cost = waves * double(rows * columns + edge * (rows + columns));
    if (least == 0 || cost < least)
      least = cost, best = {rows, columns};
  }
  auto [rows, columns] = best;
  return TensorCoreScheduleAttr::get(kernel.getContext(), rows, columns,
                                     std::min<int64_t>(sharedBytes / stageBytesOf(rows, columns), 4));
}
} // namespace mlir::xf
