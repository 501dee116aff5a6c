//===- TensorCore.h - products of a warp, in registers ----------*- C++ -*-===//
// mma.sync of bf16 with sums in f32, on fragments of 16 x 16 (the left matrix), 16 x 8 (the right one, and the sums),
// and tiles of bf16 rows in shared memory that fragments come from. Of each fragment a thread has rows `group` and
// group + 8, columns pair and pair + 1 (and 8 further); of the right one it has those transposed. Of f32, rounded to
// tf32, 8 lie where 16 of bf16 do: a thread has column pair / 2 and the one 4 further.
//===----------------------------------------------------------------------===//
#ifndef XF_LIB_SCHEDULE_GPU_TENSORCORE_H
#define XF_LIB_SCHEDULE_GPU_TENSORCORE_H

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "xf/Schedule/Emitter.h"

namespace mlir::xf {

/// Registers of a thread: 4 of pairs of bf16 (i32) of a left fragment, or 4 sums (f32).
using Fragment = std::array<Value, 4>;

/// Where a memref's elements begin.
Value pointerOf(Emitter &e, Value memory, NVVM::NVVMMemorySpace space);

/// The registers of fragments in their order, and back.
SmallVector<Value> flattened(ArrayRef<Fragment> fragments);
SmallVector<Fragment> fragmentsOf(ValueRange values);

/// The head that a block has, of a grid whose last extent is their number.
inline Value headOf(Emitter &e, int64_t heads) {
  return e.toIndex(e.make<arith::RemUIOp>(e.toI32(e.tile()), e.i32(heads)));
}

/// Columns of the block's head in a packed batch in memory, where as many of the heads as share one there have the
/// same.
struct HeadMatrix {
  HeadMatrix(Emitter &e, Value memory, int64_t heads, int64_t sharers = 1);

  int64_t heads, sharers;
  Value head;                    // of those in memory (i32), if it is not the block's
  int64_t perHead, first, pitch; // columns of a head, which of them is the first here, and from row to row
  int64_t features;              // of them, those here
  Type element;                  // bf16 or f32
  Value memory;                  // where the rows begin
  /// Where in a row (i32).
  Value begin(Emitter &e) const { return e.add(e.mul(headThere(e), e.i32(perHead)), e.i32(first)); }
  /// Whether 16 bytes may be copied at once, and elements read and written in pairs.
  bool hasVectors() const { return element.isBF16() && pitch % 8 == 0 && features % 8 == 0; }
  bool hasPairs() const { return pitch % 2 == 0 && features % 2 == 0; }
  /// The head's features from an even number of them on.
  HeadMatrix from(int64_t column) const;
  /// Those of a head (i32) of memory's.
  HeadMatrix of(Value head) const;

private:
  Value headThere(Emitter &e) const;
};

/// Rows of bf16 in shared memory, `features` long and zeros after them up to a multiple of 16. Rows begin an odd number
/// of 16 bytes apart, so that eight of them lie in different banks.
struct SharedRows {
  SharedRows(Emitter &e, int64_t rows, int64_t features, int64_t stages = 1);
  static int64_t bytes(int64_t rows, int64_t features) { return rows * pitchOf(features); }
  static int64_t pitchOf(int64_t features) { return static_cast<int64_t>(llvm::alignTo(features, 16)) * 2 + 16; }

  int64_t rows, features, pitch;
  Value pointer;
};

class TensorCore {
public:
  explicit TensorCore(Emitter &e);

  //===-- Fragments -------------------------------------------------------===//
  Value group, pair; // i32: the thread's first row, and its first column
  void findThread(); // sets them by the emitter's
  /// sums += left (right0, right1)
  void multiply(Fragment &sums, const Fragment &left, Value right0, Value right1, bool isTF32 = false);
  /// Of the bits of an f32 (i32) those of the nearest tf32, of two the one away from zero.
  Value toTF32(Value bits);
  /// The left fragment of sums of 16 x 16, rounded.
  Fragment leftOf(const Fragment &columns0, const Fragment &columns8);
  Value pack(Value low, Value high);
  Fragment zeros() { return {e.f32(0), e.f32(0), e.f32(0), e.f32(0)}; }
  /// Sum or maximum of a row, whose columns four threads have.
  Value sumOfRow(Value x) {
    return ofRow(x, [&](Value a, Value b) { return e.add(a, b); });
  }
  Value maximumOfRow(Value x) {
    return ofRow(x, [&](Value a, Value b) { return e.make<arith::MaxNumFOp>(a, b); });
  }
  /// Conditions as bits of an i32, which compilers don't take apart again; and one of them.
  Value bitsOf(ArrayRef<Value> conditions);
  Value isSet(Value bits, int64_t number) {
    return e.compare(arith::CmpIPredicate::ne, e.make<arith::AndIOp>(bits, e.i32(int64_t(1) << number)), e.i32(0));
  }
  Value exp2(Value x) { return approximate("llvm.nvvm.ex2.approx.ftz.f", x); }
  Value log2(Value x) { return approximate("llvm.nvvm.lg2.approx.ftz.f", x); }

  /// Of a tile in `stage` (i32, null for the first), where a thread reads fragments: left ones, or right ones whose
  /// columns are the tile's rows (`transposed`: whose rows they are).
  Value placeOfLeft(const SharedRows &tile, Value stage = {});
  /// That where fragments begin at `row` (i32).
  Value placeOfLeftAt(const SharedRows &tile, Value row);
  Value placeOfRight(const SharedRows &tile, bool transposed, Value stage = {});
  /// Reads the left fragment, or two right ones side by side (which is 16 columns), at a row and column of the tile.
  Fragment load(const SharedRows &tile, Value place, int64_t row, int64_t column, bool transposed);
  /// Four blocks of 8 rows of 16 bytes, of which eight threads after eight have the addresses.
  Fragment loadMatrices(Value address, bool transposed);

  //===-- Memory ----------------------------------------------------------===//
  /// Numbers of rows are i32. The left fragment of two rows of a head at `column`; zeros past its features and where
  /// the i1 of a row does not hold.
  Fragment loadLeft(const HeadMatrix &matrix, std::array<Value, 2> rows, std::array<Value, 2> inside, int64_t column);
  /// Two neighbours from `column` on (a number, and the thread's `pair`) of one row, as f32.
  std::array<Value, 2> loadPair(const HeadMatrix &matrix, Value row, Value inside, int64_t column);
  void storePair(const HeadMatrix &matrix, Value row, Value inside, int64_t column, Value x, Value y);
  /// Of the product of a row of x and one of y the part of one of two threads (`half`, of 0 and 1), as f32.
  Value partOfDot(const HeadMatrix &x, const HeadMatrix &y, Value row, Value inside, Value half);
  /// Begins to copy rows `row` .. row + count of a head to the tile, zeros after them: all threads of the block.
  /// Written when a thread has waited, seen by others after a barrier.
  void copyRows(const HeadMatrix &matrix, Value row, Value count, const SharedRows &tile, Value stage = {});
  /// Begins to copy `bytes`, of which `count` (i32) are there and the others zeros.
  void copy(Value to, Value from, int64_t bytes, Value count);
  void commitCopies();
  /// Until no more than `pending` of the last commits are on their way.
  void waitForCopies(int64_t pending = 0);

  /// A pair of bf16 (i32) as f32.
  std::array<Value, 2> widened(Value pair);
  Value at(Value pointer, Value bytes);
  Value at(Value pointer, int64_t bytes);

private:
  Value ofRow(Value x, function_ref<Value(Value, Value)> combine);
  Value approximate(StringRef function, Value x);
  Value stageOffset(const SharedRows &tile, Value stage, Value offset);
  /// The address of element [row, begin + column].
  Value addressOf(const HeadMatrix &matrix, Value row, Value column);
  Value loadBits(const HeadMatrix &matrix, Value row, Value inside, Value column);

  Emitter &e;
};
} // namespace mlir::xf

#endif
