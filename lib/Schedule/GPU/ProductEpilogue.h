//===- ProductEpilogue.h - tiles of products, and what follows --*- C++ -*-===//
// A kernel's elementwise ops on sums as tensor cores leave them in registers, by the formulas of every other target: a
// vector of 32 columns is one number in each thread, of the columns that the thread happens to have.
//===----------------------------------------------------------------------===//
#ifndef XF_LIB_SCHEDULE_GPU_PRODUCTEPILOGUE_H
#define XF_LIB_SCHEDULE_GPU_PRODUCTEPILOGUE_H

#include "xf/Schedule/Elementwise.h"

namespace mlir::xf {

class ProductEpilogue {
public:
  /// Of the product that begins a kernel: to be made where all threads of the warps are that have its sums.
  ProductEpilogue(Emitter &e, Operation *root);

  Value rows() const { return m; }
  int64_t columns() const { return n; }
  /// A result that `compute` gives, in place of storing it.
  void keep(unsigned result) { kept[result] = true; }
  /// Adds the initial values to a warp's sums, 16 rows from `rowBegin` on and a multiple of `unit` columns, computes
  /// the ops, and stores results: element 4 j + 2 half + p is that of row lane / 4 + 8 half, column 8 j + 2 (lane mod
  /// 4) + p.
  void emit(Value rowBegin, Value columnBegin, ValueRange elements);
  /// The same in parts. `unit` columns after others, of which the result has `count`, known now, or none; their sums:
  void forUnits(Value columnBegin, ValueRange elements,
                function_ref<void(int64_t number, Value column, int64_t count, ValueRange sums)> body);
  /// Of each result that is kept the elements, in the order of the sums.
  SmallVector<SmallVector<Value>> compute(Value rowBegin, Value column, int64_t count, ValueRange sums);
  /// The statistics of logits that these blocks of threads have stored: rows x columns from (rowBegin, columnBegin) on.
  void emitStatistics(Value rowBegin, int64_t rows, Value columnBegin, int64_t columns);
  /// Elements of a row of which dropout draws at once, and of which a thread has 16.
  static constexpr int64_t unit = 64;

  LogicalResult status = success();

private:
  Value isBelow(Value x, Value end) { return e.compare(arith::CmpIPredicate::slt, x, end); }
  SmallVector<Value> computeRow(Value row, Value column, int64_t count, ValueRange elements, int64_t half);
  void store(ArrayRef<Value> numbers, Value memory, Value row, Value column, Value end);

  Emitter &e;
  Evaluator evaluator;
  Operation *root;
  SmallVector<Operation *> ops;
  SmallVector<BlockStatisticsOp> statistics;
  SmallVector<bool> kept; // by results
  Value initial, m, lane;
  int64_t n;
};

/// The row and column (indices) of a result's tile with this number: some rows vary fastest, then columns, then rows.
/// Of the tiles that are computed at a time, one or two to a processor, rows and columns are so about as many, and
/// least is read for them.
std::pair<Value, Value> placeInBands(Emitter &e, Value number, Value rowTiles, int64_t columnTiles);
/// Quotient and rest of indices, in 32 bits: a division of 64 branches, and a branch between products of warpgroups and
/// the wait for them makes ptxas wait before.
std::pair<Value, Value> divided(Emitter &e, Value x, Value y);

/// Whether it can compute all that follows the product `root`: elementwise ops, and where `takesStatistics` those of
/// logits.
bool isEpilogueOf(Operation *root, bool takesStatistics);
} // namespace mlir::xf

#endif
