//===- ProductEpilogue.h - tiles of products, and what follows --*- C++ -*-===//
// A kernel's elementwise ops on sums as tensor cores leave them in registers, by the formulas of every other target: a
// vector of 32 columns is one number in each thread, of the columns that the thread happens to have.
//===----------------------------------------------------------------------===//
#ifndef XF_LIB_SCHEDULE_GPU_PRODUCTEPILOGUE_H
#define XF_LIB_SCHEDULE_GPU_PRODUCTEPILOGUE_H

#include "xf/Schedule/Elementwise.h"
#include "llvm/ADT/MapVector.h"

namespace mlir::xf {

class ProductEpilogue {
public:
  /// Of the product that begins a kernel: to be made where all threads of the warps are that have its sums.
  ProductEpilogue(Emitter &e, Operation *root);

  Value rows() const { return m; }
  int64_t columns() const { return n; }
  /// A result that `compute` gives, in place of storing it; where it `adds` what it gives is the product alone.
  void keep(unsigned result, bool adds) {
    kept[result] = true;
    if (adds)
      initial = nullptr;
  }
  /// Whether a result is in memory where the product is to be added to it, and nothing else.
  bool isAddedTo(unsigned result) const;
  /// Adds the initial values to a warp's sums, 16 rows from `rowBegin` on and a multiple of `unit` columns, computes
  /// the ops, and stores results: element 4 j + 2 half + p is that of row lane / 4 + 8 half, column 8 j + 2 (lane mod
  /// 4) + p.
  void emit(Value rowBegin, Value columnBegin, ValueRange elements);
  /// The matrices of bf16 that the ops read at their place, or that the product is added to: by which value of the body
  /// they are known, and their memory.
  SmallVector<std::pair<Value, Value>> matrices() const;
  /// What such a matrix has where the next unit is computed, in the order of the sums: nothing is loaded for it then.
  void give(Value operand, ValueRange elements) { known[operand] = SmallVector<Value>(elements); }
  /// Loads a bias for a unit of so many columns, before the unit's turn: nobody waits for it then. Does nothing where
  /// there is no such unit, or no bias of pairs.
  void loadBias(int64_t number, Value columnBegin, int64_t columns);
  /// The same in parts. `unit` columns after others, of which the result has `count`, known now, or none; their sums.
  /// `begin` is called for those too that it has none of.
  void forUnits(Value columnBegin, ValueRange elements, function_ref<void(int64_t number)> begin,
                function_ref<void(int64_t number, Value column, int64_t count, ValueRange sums)> body);
  /// Of each result that is kept the elements, in the order of the sums.
  SmallVector<SmallVector<Value>> compute(int64_t number, Value rowBegin, Value column, int64_t count, ValueRange sums);
  /// The statistics of logits that these blocks of threads have stored: rows x columns from (rowBegin, columnBegin) on.
  void emitStatistics(Value rowBegin, int64_t rows, Value columnBegin, int64_t columns);
  /// Elements of a row of which dropout draws at once, and of which a thread has 16.
  static constexpr int64_t unit = 64;

  LogicalResult status = success();

private:
  Value isBelow(Value x, Value end) { return e.compare(arith::CmpIPredicate::slt, x, end); }
  bool readsRows() const;
  SmallVector<Value> computeRow(int64_t number, Value row, Value column, int64_t count, ValueRange elements,
                                int64_t half);
  void store(ArrayRef<Value> numbers, Value memory, Value row, Value column, Value end);

  Emitter &e;
  Evaluator evaluator;
  Operation *root;
  SmallVector<Operation *> ops;
  SmallVector<BlockStatisticsOp> statistics;
  SmallVector<bool> kept;                           // by results
  llvm::MapVector<Value, SmallVector<Value>> known; // of matrices, the next unit's
  DenseMap<int64_t, SmallVector<Value>> bias;       // by units, two neighbours each that this thread has
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
