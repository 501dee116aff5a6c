//===- Columns.cpp - schedule of sums over rows, and of scattered rows ----===//
// A tile is a range of columns that one worker takes through all rows in their order: no partial sums, no atomics, the
// same bits whatever the number of threads.
//===----------------------------------------------------------------------===//
#include "xf/Schedule/Columns.h"

namespace mlir::xf {
namespace {
constexpr int64_t mostColumnsOfTile = 64;

/// Columns of a tile with `sums` of each column in registers: as many as half of the registers hold.
int64_t columnsOfTile(const RegisterFile &registers, int64_t sums) {
  return std::min(registers.count / (2 * sums) * registers.width, mostColumnsOfTile);
}

Value at(Emitter &e, Value column, int64_t vector) { return e.add(column, e.index(vector * e.registers.width)); }

} // namespace

void forTileVectors(Emitter &e, Value tile, int64_t columns, int64_t columnsPerTile,
                    function_ref<void(Value column, ArrayRef<int64_t> lanes)> body) {
  Value begin = e.mul(tile, e.index(columnsPerTile));
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

/// Memory of any static shape, or null, as a row of its elements.
Value inOneRow(Emitter &e, Value memory) {
  auto type = memory ? cast<MemRefType>(memory.getType()) : MemRefType();
  if (!memory || type.getRank() == 1)
    return memory;
  int64_t elements = type.getNumElements();
  return memref::ReinterpretCastOp::create(e.b, e.loc, MemRefType::get({elements}, type.getElementType()), memory,
                                           /*offset=*/0, ArrayRef<int64_t>{elements}, ArrayRef<int64_t>{1});
}

ColumnSums::ColumnSums(Emitter &e)
    : e(e), root(&e.kernel.getBody().front().front()), norm(dyn_cast<LayerNormParameterBackwardOp>(root)),
      matrix(e.placeOf(root->getOperand(0))), columns(cast<MemRefType>(matrix.getType()).getDimSize(1)),
      count(root->getNumResults()) {}

SmallVector<Value> ColumnSums::loadRow(Value row, Value column, ArrayRef<int64_t> lanes, Value condition) {
  SmallVector<Value> loaded;
  auto loadVectors = [&](Value from) {
    for (auto [v, count] : llvm::enumerate(lanes)) {
      SmallVector<Value> place{row, at(e, column, v)};
      loaded.push_back(condition ? e.loadVectorWhere(condition, from, place, count) : e.loadVector(from, place, count));
    }
  };
  loadVectors(matrix);
  if (norm) {
    loadVectors(e.placeOf(norm.getX()));
    for (Value number : {Value(norm.getMean()), Value(norm.getReciprocalDeviation())})
      if (Value from = number ? e.placeOf(number) : Value())
        loaded.push_back(condition ? e.loadWhere(condition, from, row) : e.load(from, row));
  }
  return loaded;
}

SmallVector<Value> ColumnSums::addRow(ArrayRef<Value> loaded, ValueRange sums) {
  int64_t vectors = sums.size() / count;
  SmallVector<Value> next;
  if (count == 2 || !norm)
    for (int64_t v = 0; v < vectors; ++v)
      next.push_back(e.add(sums[v], loaded[v]));
  if (norm) {
    Value r = e.splat(loaded.back()), mean = norm.getMean() ? e.splat(loaded.drop_back().back()) : Value();
    for (int64_t v = 0; v < vectors; ++v) {
      Value x = loaded[vectors + v], h = e.mul(mean ? e.sub(x, mean) : x, r);
      next.push_back(e.fma(loaded[v], h, sums[sums.size() - vectors + v]));
    }
  }
  return next;
}

void ColumnSums::store(int64_t sum, Value column, ArrayRef<int64_t> lanes, ValueRange vectors) {
  Value tensor = root->getResult(count - 1 - sum); // a norm's bias, where it has one, before its weight
  if (Value place = inOneRow(e, e.placeOf(tensor)))
    for (auto [v, vector] : llvm::enumerate(vectors))
      e.storeVector(vector, place, at(e, column, v), lanes[v]);
}

LogicalResult scheduleColumns(func::FuncOp kernel, const RegisterFile &registers) {
  Emitter e(kernel, registers);
  ColumnSums sums(e);
  int64_t columnsPerTile = columnsOfTile(registers, sums.count);
  forTileVectors(e, e.tile(), sums.columns, columnsPerTile, [&](Value column, ArrayRef<int64_t> lanes) {
    SmallVector<Value> zeros(sums.count * lanes.size(), e.splat(0));
    SmallVector<Value> total = e.loop(e.index(0), e.dim(sums.matrix, 0), 1, zeros, [&](Value row, ValueRange carried) {
      return sums.addRow(sums.loadRow(row, column, lanes), carried);
    });
    for (int64_t sum = 0; sum < sums.count; ++sum)
      sums.store(sum, column, lanes, ArrayRef(total).slice(sum * lanes.size(), lanes.size()));
  });
  e.finish({{-1, sums.columns, 0, columnsPerTile}});
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
  auto embedding = cast<EmbeddingBackwardOp>(root);
  Value cotangent = e.placeOf(embedding.getCotangent()), ids = e.placeOf(embedding.getIds()),
        table = e.function.getArgument(kernel.getNumArguments());
  int64_t columns = cast<MemRefType>(table.getType()).getDimSize(1);
  Value scale = e.splat(embedding.getScale().convertToDouble());
  forTileVectors(e, e.tile(), columns, mostColumnsOfTile, [&](Value column, ArrayRef<int64_t> lanes) {
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
