//===- Elementwise.h - values of a chain of ops along a row -----*- C++ -*-===//
// Rows and matmul epilogues evaluate ops at one place of a row, some vectors at a time; values stay in registers unless
// a later pass over the row needs them.
//===----------------------------------------------------------------------===//
#ifndef XF_SCHEDULE_ELEMENTWISE_H
#define XF_SCHEDULE_ELEMENTWISE_H

#include "xf/Schedule/Emitter.h"

namespace mlir::xf {

/// Evaluates ops of a kernel's body at (row, column .. column + lanes).
class Evaluator {
public:
  explicit Evaluator(Emitter &e) : e(e) {}

  /// Memory that holds a value of the body: a matrix, or (rowLocal) one row of it.
  void setMemory(Value tensor, Value memref, bool rowLocal) { memory[tensor] = {memref, rowLocal, {}, {}}; }
  /// Memory of one row of it that goes on with zeros up to a thread's share.
  void setPaddedRow(Value tensor, Value memref) { memory[tensor] = {memref, true, {}, {}, /*isPadded=*/true}; }
  /// Memory of a tile of it, whose first element is at (row, column).
  void setTile(Value tensor, Value memref, Value row, Value column) { memory[tensor] = {memref, false, row, column}; }
  Value memoryOf(Value tensor) const { return memory.lookup(tensor).memref; }
  bool hasMemory(Value tensor) const { return memory.count(tensor) != 0; }
  /// Numbers that a row op has computed of the whole row, for its last, elementwise pass.
  void setRowNumbers(Operation *op, ArrayRef<Value> numbers) { rowNumbers[op] = SmallVector<Value>(numbers); }
  /// The number of this row in a result that has one a row.
  void setNumber(Value tensor, Value number) { numbers[tensor] = number; }

  /// A value of this place that is known already.
  void set(Value tensor, ArrayRef<Value> vectors) { computed[tensor] = SmallVector<Value>(vectors); }

  /// Moves to another place; forgets what was computed. Sets up random numbers where `ops` need them.
  void moveTo(Value row, Value column, ArrayRef<int64_t> lanes);
  /// The vectors of a value at this place: computed before at this place, or loaded.
  FailureOr<SmallVector<Value>> get(Value tensor);
  /// One element, which lies in memory, of this row.
  Value element(Value tensor, Value atColumn) {
    return e.load(memory.lookup(tensor).memref, at(memory.lookup(tensor), atColumn));
  }
  /// Computes `op` at this place.
  LogicalResult compute(Operation *op);
  /// Adds what this row has at this place to the sums of `part`.
  LogicalResult addTo(LayerNormParameterBackwardOp sums, Value part);
  /// Writes a value of this place to its memory.
  void store(Value tensor);
  /// Writes a value of this place to a matrix.
  void storeTo(Value tensor, Value matrix);

private:
  struct Memory {
    Value memref;
    bool rowLocal;
    Value tileRow, tileColumn; // null where it is the whole matrix
    bool isPadded = false;
  };
  SmallVector<Value> at(const Memory &place, Value atColumn);
  Value column(int64_t vector) { return e.add(firstColumn, e.index(vector * e.registers.width)); }
  /// One number a row, of this row, on all lanes.
  Value rowNumber(Value tensor) {
    Value computedHere = numbers.lookup(tensor);
    return e.splat(computedHere ? computedHere : e.load(memory.lookup(tensor).memref, row));
  }
  /// One number a column.
  Value columnNumber(Value tensor, int64_t vector) {
    return e.loadVector(memory.lookup(tensor).memref, column(vector), lanes[vector]);
  }
  /// Sines, or cosines, of a position and the frequencies in the op's tables.
  FailureOr<SmallVector<Value>> waves(Operation *op, Value positions, int64_t first);
  /// Vectors of x beside those half a head away, in memory, turned.
  FailureOr<SmallVector<Value>> turned(RotaryOp op);
  FailureOr<SmallVector<Value>> map(ValueRange operands, function_ref<Value(ArrayRef<Value>, int64_t)> function);

  Emitter &e;
  DenseMap<Value, Memory> memory;
  DenseMap<Operation *, SmallVector<Value>> rowNumbers;
  DenseMap<Value, Value> numbers;
  DenseMap<Value, SmallVector<Value>> computed;
  Value row, firstColumn;
  SmallVector<int64_t> lanes;
};

/// Whether vectors of `share` columns never hold both halves of a head.
inline bool holdsHalves(RotaryOp op, int64_t share) { return op.getAngles().getType().getDimSize(1) / 2 % share == 0; }

/// Elements of a row of the matrices that a kernel on rows works on; 0 where there are none.
int64_t columnsOfRows(Block &body);

/// Whether a kernel on rows begins with what depends on whole rows.
bool takesSums(Block &body);

/// Matrices of a kernel on rows whose rows a GPU's block copies into shared memory before it sums them; none where
/// something else is better.
SmallVector<BlockArgument> copiedRows(Block &body);

/// The sums of parts of the rows that a kernel on rows leaves beside its rows; null where there are none.
LayerNormParameterBackwardOp sumsOfParts(Block &body);

/// Vectors to take at a time: dropout draws 64 columns at once.
int64_t unrollFor(ArrayRef<Operation *> ops, const RegisterFile &registers);

/// The blocks of `columns` columns of a row of logits from `columnBegin` on, a multiple of the blocks' width.
void emitBlockStatistics(Emitter &e, BlockStatisticsOp op, Value logits, Value row, Value columnBegin, int64_t columns);

/// The logarithm of the sum of a row's exponentials, from its blocks' statistics; also written where it is wanted.
Value emitLogSumExp(Emitter &e, TopKOp op, Value row);

/// The ops that follow a product, over the block of it that has just been written: to its place `c`, or, where
/// `isTile`, to memory of this block alone, from which the result is stored too.
LogicalResult emitEpilogue(Emitter &e, ArrayRef<Operation *> ops, Value product, Value c, bool isTile, Value rowBegin,
                           Value rowEnd, Value columnBegin, int64_t columns, int64_t columnsPerTile);
} // namespace mlir::xf

#endif
