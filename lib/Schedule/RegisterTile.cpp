//===- RegisterTile.cpp - products in registers ---------------------------===//
#include "xf/Schedule/RegisterTile.h"

namespace mlir::xf {

static void emitTile(Emitter &e, int64_t count, Value row, Value kBegin, Value kEnd, const TileProduct &product) {
  SmallVector<Value> rows, initial;
  for (int64_t r = 0; r < count; ++r) {
    rows.push_back(e.add(row, e.index(r)));
    for (int64_t v = 0; v < product.vectors; ++v)
      initial.push_back(product.initial(rows[r], v));
  }
  auto sumUp = [&](Value begin, Value end, ValueRange initial) {
    return e.loop(begin, end, 1, initial, [&](Value k, ValueRange carried) {
      SmallVector<Value> next, b;
      if (product.ahead)
        product.ahead(row, k);
      for (int64_t v = 0; v < product.vectors; ++v)
        b.push_back(product.b(k, v));
      for (int64_t r = 0; r < count; ++r) {
        Value a = e.splat(product.a(row, r, k));
        for (int64_t v = 0; v < product.vectors; ++v)
          next.push_back(e.fma(a, b[v], carried[r * product.vectors + v]));
      }
      return next;
    });
  };
  auto sumUpGroups = [&] {
    return e.loop(kBegin, kEnd, PackOp::group, initial, [&](Value begin, ValueRange carried) {
      product.beginGroup(begin);
      SmallVector<Value> zeros(initial.size(), e.splat(0));
      SmallVector<Value> sums = sumUp(begin, e.min(e.add(begin, e.index(PackOp::group)), kEnd), zeros), scales;
      for (int64_t v = 0; v < product.vectors; ++v)
        scales.push_back(product.scale(v));
      for (auto [i, sum] : llvm::enumerate(sums))
        sum = e.fma(sum, scales[i % product.vectors], carried[i]);
      return sums;
    });
  };
  SmallVector<Value> sums = product.scale ? sumUpGroups() : sumUp(kBegin, kEnd, initial);
  for (int64_t r = 0; r < count; ++r)
    for (int64_t v = 0; v < product.vectors; ++v)
      product.store(rows[r], v, sums[r * product.vectors + v]);
}

void emitTiles(Emitter &e, Value rowBegin, Value rowEnd, Value kBegin, Value kEnd, const TileProduct &product) {
  Value remaining = e.make<arith::RemSIOp>(e.sub(rowEnd, rowBegin), e.index(product.rows));
  Value row = e.sub(rowEnd, remaining);
  e.loop(rowBegin, row, product.rows, [&](Value row) { emitTile(e, product.rows, row, kBegin, kEnd, product); });
  // Halves, as often as bits of what remains are set: a tile for each number of rows would be five times the code.
  for (int64_t count = llvm::bit_floor(static_cast<uint64_t>(product.rows - 1)); count > 0; count /= 2) {
    Value bit = e.make<arith::AndIOp>(remaining, e.index(count));
    e.when(e.compare(arith::CmpIPredicate::ne, bit, e.index(0)),
           [&] { emitTile(e, count, row, kBegin, kEnd, product); });
    row = e.add(row, bit);
  }
}
} // namespace mlir::xf
