//===- Columns.cpp - schedule of sums over rows, and of scattered rows ----===//
// A tile is a range of columns that one worker takes through all rows in their order: no partial sums, no atomics, the
// same bits whatever the number of threads.
//===----------------------------------------------------------------------===//
#include "xf/Schedule/Emitter.h"

namespace mlir::xf {
namespace {
constexpr int64_t mostColumnsOfTile = 64;

/// Columns of a tile with `sums` of each column in registers: as many as half of the registers hold.
int64_t columnsOfTile(const RegisterFile &registers, int64_t sums) {
  return std::min(registers.count / (2 * sums) * registers.width, mostColumnsOfTile);
}

/// Runs `body(column, lanes)` for the vectors of this tile of `columns` columns.
void forTileVectors(Emitter &e, int64_t columns, int64_t columnsPerTile,
                    function_ref<void(Value column, ArrayRef<int64_t> lanes)> body) {
  Value begin = e.mul(e.tile(), e.index(columnsPerTile));
  int64_t remainder = columns % columnsPerTile, width = e.registers.width;
  auto lanesOf = [&](int64_t count) {
    SmallVector<int64_t> lanes;
    for (; count > 0; count -= width)
      lanes.push_back(std::min(count, width));
    return lanes;
  };
  if (remainder == 0)
    return body(begin, lanesOf(columnsPerTile));
  if (columns < columnsPerTile)
    return body(begin, lanesOf(columns));
  auto branch = scf::IfOp::create(e.b, e.loc, e.compare(arith::CmpIPredicate::eq, begin, e.index(columns - remainder)),
                                  /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(e.b);
  e.b.setInsertionPointToStart(branch.thenBlock());
  body(begin, lanesOf(remainder));
  e.b.setInsertionPointToStart(branch.elseBlock());
  body(begin, lanesOf(columnsPerTile));
}

Value at(Emitter &e, Value column, int64_t vector) { return e.add(column, e.index(vector * e.registers.width)); }

/// Memory of any static shape, or null, as a row of its elements.
Value inOneRow(Emitter &e, Value memory) {
  auto type = memory ? cast<MemRefType>(memory.getType()) : MemRefType();
  if (!memory || type.getRank() == 1)
    return memory;
  int64_t elements = type.getNumElements();
  return memref::ReinterpretCastOp::create(e.b, e.loc, MemRefType::get({elements}, type.getElementType()), memory,
                                           /*offset=*/0, ArrayRef<int64_t>{elements}, ArrayRef<int64_t>{1});
}

LogicalResult noSchedule(Emitter &e, Operation *op) {
  LogicalResult result = op->emitOpError() << "has no schedule: stage 'schedule' can't compute it";
  e.function.erase();
  return result;
}
} // namespace

LogicalResult scheduleColumns(func::FuncOp kernel, const RegisterFile &registers) {
  Operation *root = &kernel.getBody().front().front();
  Emitter e(kernel, registers);
  if (!isa<ColumnSumOp, LayerNormParameterBackwardOp>(root) ||
      root->getNextNode() != kernel.getBody().front().getTerminator())
    return noSchedule(e, root);
  Value matrix = e.placeOf(root->getOperand(0));
  int64_t columns = cast<MemRefType>(matrix.getType()).getDimSize(1);
  auto norm = dyn_cast<LayerNormParameterBackwardOp>(root);
  int64_t sumsOfColumn = norm ? 2 : 1, columnsPerTile = columnsOfTile(registers, sumsOfColumn);
  forTileVectors(e, columns, columnsPerTile, [&](Value column, ArrayRef<int64_t> lanes) {
    int64_t count = lanes.size();
    SmallVector<Value> zeros(sumsOfColumn * count, e.splat(0));
    SmallVector<Value> sums = e.loop(e.index(0), e.dim(matrix, 0), 1, zeros, [&](Value row, ValueRange carried) {
      SmallVector<Value> next(carried);
      Value mean, r;
      if (norm) {
        mean = e.splat(e.load(e.placeOf(norm.getMean()), row));
        r = e.splat(e.load(e.placeOf(norm.getReciprocalDeviation()), row));
      }
      for (int64_t v = 0; v < count; ++v) {
        Value g = e.loadVector(matrix, {row, at(e, column, v)}, lanes[v]);
        next[v] = e.add(carried[v], g);
        if (norm) {
          Value h = e.mul(e.sub(e.loadVector(e.placeOf(norm.getX()), {row, at(e, column, v)}, lanes[v]), mean), r);
          next[count + v] = e.fma(g, h, carried[count + v]);
        }
      }
      return next;
    });
    auto write = [&](Value tensor, int64_t first) {
      if (Value place = inOneRow(e, e.placeOf(tensor)))
        for (int64_t v = 0; v < count; ++v)
          e.storeVector(sums[first + v], place, at(e, column, v), lanes[v]);
    };
    if (norm)
      write(norm.getWeight(), count);
    write(norm ? Value(norm.getBias()) : root->getResult(0), 0);
  });
  e.finish({{-1, columns, 0, columnsPerTile}});
  return success();
}

LogicalResult scheduleScatter(func::FuncOp kernel, const RegisterFile &registers) {
  Operation *root = &kernel.getBody().front().front();
  Emitter e(kernel, registers);
  if (auto write = dyn_cast<CacheWriteOp>(root)) {
    Value x = e.placeOf(write.getX()), cache = e.function.getArgument(kernel.getNumArguments()),
          slots = e.placeOf(write.getSlots());
    int64_t columns = cast<MemRefType>(x.getType()).getDimSize(1);
    e.loop(e.index(0), e.dim(x, 0), 1, [&](Value row) {
      Value slot = e.toIndex(e.load(slots, row));
      e.columns(columns, 2, [&](Value column, ArrayRef<int64_t> lanes) {
        for (auto [v, count] : llvm::enumerate(lanes))
          e.storeVector(e.loadVector(x, {row, at(e, column, v)}, count), cache, {slot, at(e, column, v)}, count);
      });
    });
    e.finish({});
    return success();
  }
  auto embedding = dyn_cast<EmbeddingBackwardOp>(root);
  if (!embedding)
    return noSchedule(e, root);
  Value cotangent = e.placeOf(embedding.getCotangent()), ids = e.placeOf(embedding.getIds()),
        table = e.function.getArgument(kernel.getNumArguments());
  int64_t columns = cast<MemRefType>(table.getType()).getDimSize(1);
  Value scale = e.splat(embedding.getScale().convertToDouble());
  forTileVectors(e, columns, mostColumnsOfTile, [&](Value column, ArrayRef<int64_t> lanes) {
    auto forVectors = [&](function_ref<void(Value, int64_t)> body) {
      for (auto [v, count] : llvm::enumerate(lanes))
        body(at(e, column, v), count);
    };
    if (!embedding.getInto()) // which the plan makes the same memory
      e.loop(e.index(0), e.dim(table, 0), 1, [&](Value row) {
        forVectors([&](Value c, int64_t count) { e.storeVector(e.splat(0), table, {row, c}, count); });
      });
    e.loop(e.index(0), e.dim(cotangent, 0), 1, [&](Value token) {
      Value id = e.toIndex(e.load(ids, token));
      forVectors([&](Value c, int64_t count) {
        e.storeVector(e.fma(e.loadVector(cotangent, {token, c}, count), scale, e.loadVector(table, {id, c}, count)),
                      table, {id, c}, count);
      });
    });
  });
  e.finish({{-1, columns, 0, mostColumnsOfTile}});
  return success();
}
} // namespace mlir::xf
