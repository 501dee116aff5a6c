//===- Columns.h - sums over rows -------------------------------*- C++ -*-===//
// What the schedules of sums over columns have in common: the sums' formulas, and tiles of columns.
//===----------------------------------------------------------------------===//
#ifndef XF_SCHEDULE_COLUMNS_H
#define XF_SCHEDULE_COLUMNS_H

#include "xf/Schedule/Emitter.h"

namespace mlir::xf {

/// Runs `body(column, lanes)` for the vectors of the tile number `tile` of `columns` columns.
void forTileVectors(Emitter &e, Value tile, int64_t columns, int64_t columnsPerTile,
                    function_ref<void(Value column, ArrayRef<int64_t> lanes)> body);

/// Memory of any static shape, or null, as a row of its elements.
Value inOneRow(Emitter &e, Value memory);

/// The one op of a kernel of kind `column`.
struct ColumnSums {
  explicit ColumnSums(Emitter &e);
  /// What the sums of the columns from `column` on need of a row; zeros where a `condition` doesn't hold (GPUs only).
  SmallVector<Value> loadRow(Value row, Value column, ArrayRef<int64_t> lanes, Value condition = {});
  /// Adds it to the sums: `count` times a vector for each of `lanes`.
  SmallVector<Value> addRow(ArrayRef<Value> loaded, ValueRange sums);
  /// Writes the vectors of one of the `count` sums.
  void store(int64_t sum, Value column, ArrayRef<int64_t> lanes, ValueRange vectors);

  Emitter &e;
  Operation *root;
  LayerNormParameterBackwardOp norm; // or null
  Value matrix;                      // whose rows are summed
  int64_t columns, count;
};
} // namespace mlir::xf

#endif
