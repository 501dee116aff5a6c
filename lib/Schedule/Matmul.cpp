//===- Matmul.cpp - schedule of matrix products ---------------------------===//
// Goto & van de Geijn's blocking: a block of B packed into panels of register-tile width, a register tile of C carried
// by the loop over k, A read in place by broadcast loads (its strides are constants). Each element of the result is one
// chain of fused multiply-adds over increasing k, whatever the tile, the number of rows or of threads. Bias and
// accumulation are the tile's initial value; the elementwise ops of the kernel follow on the block while it is in
// cache.
//===----------------------------------------------------------------------===//
#include "xf/Schedule/Elementwise.h"
#include "xf/Schedule/RegisterTile.h"

namespace mlir::xf {
namespace {

/// C (m x n) = initial + A (m x k) B (k x n), each of A and B as it lies in memory.
struct Product {
  Value a, b, c; // memrefs
  Value initial; // null, a bias of n elements, or a matrix like C
  bool transposeA, transposeB;
  int64_t n; // static; m and k may be dynamic
};

class MatmulSchedule {
public:
  MatmulSchedule(Emitter &e, const Product &p) : e(e), p(p) {
    vectors = 2;
    rows = e.registers.count >= 32 ? 12 : 6;
    panel = vectors * e.registers.width;
    auto aType = cast<MemRefType>(p.a.getType());
    staticM = aType.getDimSize(p.transposeA ? 1 : 0);
    staticK = aType.getDimSize(p.transposeA ? 0 : 1);
    // A block of B (depth x columns) stays in L2 while the rows of a tile pass over it, a panel of it in L1.
    depth = 256;
    columnsPerTile = balanced(p.n, 256, p.n > 256 ? 64 : panel); // dropout draws 64 columns at once
    rowsPerTile = ShapedType::isDynamic(staticM) ? 10 * rows : balanced(staticM, 20 * rows, rows);
  }

  int64_t tileRows() const { return rowsPerTile; }
  int64_t tileColumns() const { return columnsPerTile; }

  void emit(Value rowBegin, Value rowEnd, Value columnBegin) {
    int64_t panels = llvm::divideCeil(columnsPerTile, panel);
    Value buffer = e.allocate({panels, depth, panel});
    // Full panels of this tile, and whether the one past the last full panel of the matrix is here too.
    Value columnEnd = e.min(e.add(columnBegin, e.index(columnsPerTile)), e.index(p.n));
    fullPanels = e.make<arith::DivSIOp>(e.sub(columnEnd, columnBegin), e.index(panel));
    if (int64_t rest = p.n % panel) {
      partial = rest;
      hasPartial = e.compare(arith::CmpIPredicate::eq, columnEnd, e.index(p.n));
    }
    if (!ShapedType::isDynamic(staticK) && staticK <= depth) {
      pack(columnBegin, e.index(0), e.index(staticK), buffer);
      emitBlock(rowBegin, rowEnd, columnBegin, buffer, e.index(0), e.index(staticK), p.initial);
      return;
    }
    // Several blocks of k, or none: the result begins as the initial value and every block adds to it.
    initialise(rowBegin, rowEnd, columnBegin, columnEnd);
    Value k = e.dim(p.a, p.transposeA ? 0 : 1);
    e.loop(e.index(0), k, depth, [&](Value kBegin) {
      Value kEnd = e.min(e.add(kBegin, e.index(depth)), k);
      pack(columnBegin, kBegin, kEnd, buffer);
      emitBlock(rowBegin, rowEnd, columnBegin, buffer, kBegin, kEnd, p.c);
    });
  }

private:
  /// The multiple of `unit` that cuts `extent` into equal tiles no larger than `most`.
  static int64_t balanced(int64_t extent, int64_t most, int64_t unit) {
    int64_t tiles = std::max<int64_t>(1, llvm::divideCeil(extent, most));
    return std::max(unit,
                    static_cast<int64_t>(llvm::alignTo(llvm::divideCeil(std::max<int64_t>(extent, 1), tiles), unit)));
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
  Value initialVector(Value from, Value row, Value column, int64_t count) {
    if (!from || count == 0)
      return e.splat(0);
    if (cast<MemRefType>(from.getType()).getRank() == 1)
      return e.loadVector(from, column, count);
    return e.loadVector(from, {row, column}, count);
  }

  void initialise(Value rowBegin, Value rowEnd, Value columnBegin, Value columnEnd) {
    e.loop(rowBegin, rowEnd, 1, [&](Value row) {
      forPanels([&](Value index, int64_t valid) {
        Value column = e.add(columnBegin, e.mul(index, e.index(panel)));
        for (int64_t v = 0; v < vectors; ++v)
          if (int64_t count = lanes(valid, v)) {
            Value at = e.add(column, e.index(v * e.registers.width));
            e.storeVector(initialVector(p.initial, row, at, count), p.c, {row, at}, count);
          }
      });
    });
  }

  //===-- Packing -----------------------------------------------------------===//
  void pack(Value columnBegin, Value kBegin, Value kEnd, Value buffer) {
    forPanels([&](Value index, int64_t valid) {
      Value column = e.add(columnBegin, e.mul(index, e.index(panel)));
      p.transposeB ? packTransposed(column, valid, kBegin, kEnd, index, buffer)
                   : packRows(column, valid, kBegin, kEnd, index, buffer);
    });
  }

  /// B is k x n: rows are copied; columns past the end become zeros.
  void packRows(Value column, int64_t valid, Value kBegin, Value kEnd, Value index, Value buffer) {
    e.loop(kBegin, kEnd, 1, [&](Value k) {
      for (int64_t v = 0; v < vectors; ++v) {
        int64_t lanes = std::clamp<int64_t>(valid - v * e.registers.width, 0, e.registers.width);
        Value value =
            lanes == 0 ? e.splat(0) : e.loadVector(p.b, {k, e.add(column, e.index(v * e.registers.width))}, lanes);
        e.storeVector(value, buffer, {index, e.sub(k, kBegin), e.index(v * e.registers.width)}, e.registers.width);
      }
    });
  }

  /// B is n x k: blocks of width x width are transposed in registers.
  void packTransposed(Value column, int64_t valid, Value kBegin, Value kEnd, Value index, Value buffer) {
    int64_t width = e.registers.width, tail = ShapedType::isDynamic(staticK) ? 0 : staticK % width;
    auto block = [&](Value k, int64_t count) {
      for (int64_t v = 0; v < vectors; ++v) {
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

  //===-- Register tiles ----------------------------------------------------===//
  void emitBlock(Value rowBegin, Value rowEnd, Value columnBegin, Value buffer, Value kBegin, Value kEnd, Value from) {
    forPanels([&](Value index, int64_t valid) {
      Value column = e.add(columnBegin, e.mul(index, e.index(panel)));
      auto columnOf = [&](int64_t vector) { return e.add(column, e.index(vector * e.registers.width)); };
      emitTiles(
          e, rowBegin, rowEnd, kBegin, kEnd,
          {rows, vectors, [&](Value row, int64_t v) { return initialVector(from, row, columnOf(v), lanes(valid, v)); },
           [&](Value row, Value k) { return p.transposeA ? e.load(p.a, {k, row}) : e.load(p.a, {row, k}); },
           [&](Value k, int64_t v) {
             return e.loadVector(buffer, {index, e.sub(k, kBegin), e.index(v * e.registers.width)}, e.registers.width);
           },
           [&](Value row, int64_t v, Value sum) {
             if (int64_t count = lanes(valid, v))
               e.storeVector(sum, p.c, {row, columnOf(v)}, count);
           }});
    });
  }

  Emitter &e;
  Product p;
  int64_t vectors, rows, panel, staticM, staticK, depth, columnsPerTile, rowsPerTile, partial = 0;
  Value fullPanels, hasPartial;
};
} // namespace

LogicalResult scheduleMatmul(func::FuncOp kernel, const RegisterFile &registers) {
  Block &body = kernel.getBody().front();
  Operation *root = &body.front();
  Emitter e(kernel, registers);
  Product p{};
  if (auto linear = dyn_cast<LinearOp>(root)) {
    p = {e.placeOf(linear.getX()),
         e.placeOf(linear.getWeight()),
         {},
         linear.getBias() ? e.placeOf(linear.getBias()) : Value(),
         false,
         true,
         0};
  } else if (auto matmul = dyn_cast<MatmulOp>(root)) {
    p = {e.placeOf(matmul.getA()),
         e.placeOf(matmul.getB()),
         {},
         matmul.getInto() ? e.placeOf(matmul.getInto()) : Value(),
         matmul.getTransposeA(),
         matmul.getTransposeB(),
         0};
  } else {
    e.function.erase();
    return root->emitOpError() << "can't begin a matmul kernel: stage 'schedule' takes xf.linear and xf.matmul";
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
  MatmulSchedule schedule(e, p);
  int64_t columnTiles = llvm::divideCeil(p.n, schedule.tileColumns());
  SmallVector<Value> tile = e.splitTile({e.index(columnTiles)});
  Value m = e.dim(p.c, 0), rowBegin = e.mul(tile[0], e.index(schedule.tileRows())),
        rowEnd = e.min(e.add(rowBegin, e.index(schedule.tileRows())), m);
  Value columnBegin = e.mul(tile[1], e.index(schedule.tileColumns()));
  schedule.emit(rowBegin, rowEnd, columnBegin);

  SmallVector<Operation *> epilogue;
  for (Operation &op : llvm::drop_begin(body.without_terminator()))
    epilogue.push_back(&op);
  if (!epilogue.empty() &&
      failed(emitEpilogue(e, epilogue, result, p.c, rowBegin, rowEnd, columnBegin, p.n, schedule.tileColumns())))
    return e.function.erase(), failure();
  e.finish({{place, 0, 0, schedule.tileRows()}, {-1, p.n, 0, schedule.tileColumns()}});
  return success();
}
} // namespace mlir::xf
