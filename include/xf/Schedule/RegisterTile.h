//===- RegisterTile.h - products in registers -------------------*- C++ -*-===//
// The inner loop of every product: rows x vectors of accumulators carried over k, one broadcast a row and one vector
// load a column each step.
//===----------------------------------------------------------------------===//
#ifndef XF_SCHEDULE_REGISTERTILE_H
#define XF_SCHEDULE_REGISTERTILE_H

#include "xf/Schedule/Emitter.h"

namespace mlir::xf {

/// Rows of a tile of two vectors: as many sums as leave registers for a row of B and a broadcast.
inline int64_t rowsOfTile(const RegisterFile &registers) { return registers.count >= 32 ? 12 : 6; }

/// What a product reads and writes, by row (index; of A, its number in the tile that begins at `first`), k (index) and
/// number of vector.
struct TileProduct {
  int64_t rows, vectors; // of a full tile
  function_ref<Value(Value row, int64_t vector)> initial;
  function_ref<Value(Value first, int64_t row, Value k)> a; // a number
  function_ref<Value(Value k, int64_t vector)> b;           // a vector
  function_ref<void(Value row, int64_t vector, Value sum)> store;
  function_ref<void(Value row, Value k)> ahead = nullptr; // what each k of the tile from `row` on asks for
  // Where b is of groups of PackOp::group, whose products are added up and then scaled: of the one that begins at k.
  function_ref<void(Value k)> beginGroup = nullptr;
  function_ref<Value(int64_t vector)> scale = nullptr;
};

/// Computes rows rowBegin .. rowEnd over kBegin .. kEnd: full tiles, then smaller ones for the rows that remain.
void emitTiles(Emitter &e, Value rowBegin, Value rowEnd, Value kBegin, Value kEnd, const TileProduct &product);
} // namespace mlir::xf

#endif
