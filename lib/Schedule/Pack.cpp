//===- Pack.cpp - schedule of weights in the order of products ------------===//
// A panel a tile: rows of the weight become columns, a block of width x width at a time, transposed in registers.
//===----------------------------------------------------------------------===//
#include "xf/Schedule/Emitter.h"

namespace mlir::xf {

LogicalResult schedulePack(func::FuncOp kernel, const RegisterFile &registers) {
  auto pack = cast<PackOp>(kernel.getBody().front().front());
  Emitter e(kernel, registers);
  Value weight = e.placeOf(pack.getWeight()), packed = e.placeOf(pack.getResult());
  int64_t width = registers.width, out = pack.getWeight().getType().getDimSize(0),
          in = pack.getWeight().getType().getDimSize(1), rest = out % PackOp::columns;
  Value first = e.mul(e.tile(), e.index(PackOp::columns));
  auto block = [&](int64_t rows, Value k, int64_t ks) {
    for (int64_t begin = 0; begin < PackOp::columns; begin += width) {
      // Meanwhile the next panel comes from memory, in the order in which it lies there: that a prefetcher follows.
      Value turn = e.add(e.mul(e.make<arith::DivSIOp>(k, e.index(width)), e.index(PackOp::columns / width)),
                         e.index(begin / width)),
            position = e.mul(turn, e.index(width * width));
      for (int64_t ahead = 0; ahead < width * width; ahead += 16)
        e.prefetch(weight, {e.add(first, e.index(PackOp::columns)), e.add(position, e.index(ahead))});
      SmallVector<Value> lines;
      for (int64_t row = begin; row < begin + width; ++row)
        lines.push_back(row < rows ? e.loadVector(weight, {e.add(first, e.index(row)), k}, ks) : e.splat(0));
      lines = e.transpose(lines);
      for (int64_t i = 0; i < ks; ++i)
        e.storeVector(lines[i], packed, {e.tile(), e.add(k, e.index(i)), e.index(begin)}, width);
    }
  };
  auto panel = [&](int64_t rows) {
    int64_t full = in / width * width;
    e.loop(e.index(0), e.index(full), width, [&](Value k) { block(rows, k, width); });
    if (full < in)
      block(rows, e.index(full), in - full);
  };
  Value isFull = e.compare(arith::CmpIPredicate::sle, first, e.index(out - PackOp::columns));
  e.when(isFull, [&] { panel(PackOp::columns); });
  if (rest)
    e.when(e.compare(arith::CmpIPredicate::eq, first, e.index(out - rest)), [&] { panel(rest); });
  e.finish({{-1, out, 0, PackOp::columns}});
  return success();
}
} // namespace mlir::xf
