//===- Pack.cpp - schedule of weights in the order of products ------------===//
// A panel a tile: rows of the weight become columns, a block of width x width at a time, transposed in registers. Where
// it is quantized, the rows' largest numbers are found before.
//===----------------------------------------------------------------------===//
#include "xf/Schedule/Pack.h"
#include "mlir/Dialect/Math/IR/Math.h"

namespace mlir::xf {

Value viewAsScales(Emitter &e, Value packed) {
  int64_t bytes = cast<MemRefType>(packed.getType()).getNumElements();
  Value flat = memref::ReinterpretCastOp::create(e.b, e.loc, MemRefType::get({bytes}, e.b.getI8Type()), packed,
                                                 /*offset=*/int64_t(0), /*sizes=*/ArrayRef<int64_t>{bytes},
                                                 /*strides=*/ArrayRef<int64_t>{1});
  return memref::ViewOp::create(e.b, e.loc, MemRefType::get({bytes / 4}, e.b.getF32Type()), flat, e.index(0),
                                ValueRange());
}

Value scalesOfPanel(Emitter &e, Value packed, Value panel) {
  auto type = cast<MemRefType>(packed.getType());
  return e.mul(panel, e.index(type.getDimSize(1) * type.getDimSize(2) / 4));
}

Value loadRowOfPacked(Emitter &e, Value packed, Value row, Value column, int64_t count) {
  auto type = cast<MemRefType>(packed.getType());
  bool isQuantized = type.getElementType().isInteger(8);
  Value panel = e.make<arith::DivUIOp>(row, e.index(PackOp::columns)),
        line = e.make<arith::RemUIOp>(row, e.index(PackOp::columns)),
        first = isQuantized ? e.add(column, e.index(PackOp::scaleRows)) : column;
  Value numbers;
  if (e.registers.isGPU()) {
    SmallVector<Value> share;
    Value begin = e.mul(e.lane(), e.index(e.registers.perThread));
    for (int64_t i = 0; i < e.registers.perThread; ++i) {
      Value place = e.add(begin, e.index(i));
      SmallVector<Value> at{panel, e.add(first, place), line};
      share.push_back(count < e.registers.width
                          ? e.loadWhere(e.compare(arith::CmpIPredicate::slt, place, e.index(count)), packed, at)
                          : e.load(packed, at));
    }
    auto vector = dyn_cast<VectorType>(e.vectorType(e.b.getF32Type()));
    numbers = vector ? vector::FromElementsOp::create(e.b, e.loc, vector, share).getResult() : share.front();
  } else {
    auto vector = cast<VectorType>(e.vectorType(type.getElementType()));
    Value nothing = arith::ConstantOp::create(e.b, e.loc, e.b.getZeroAttr(vector));
    Value places = e.mul(e.laneNumbers(), e.splatI32(PackOp::columns));
    numbers = e.widen(vector::GatherOp::create(e.b, e.loc, vector, packed, ValueRange{panel, first, line}, places,
                                               e.partialMask(count), nothing));
  }
  if (!isQuantized)
    return numbers;
  return e.mul(numbers, e.splat(e.load(viewAsScales(e, packed), e.add(scalesOfPanel(e, packed, panel), line))));
}

LogicalResult schedulePack(func::FuncOp kernel, const RegisterFile &registers) {
  auto pack = cast<PackOp>(kernel.getBody().front().front());
  Emitter e(kernel, registers);
  Value weight = e.placeOf(pack.getWeight()), packed = e.placeOf(pack.getResult());
  int64_t width = registers.width, out = pack.getWeight().getType().getDimSize(0),
          in = pack.getWeight().getType().getDimSize(1), rest = out % PackOp::columns;
  Value first = e.mul(e.tile(), e.index(PackOp::columns));
  bool quantizes = pack.isQuantized();
  Value scales = quantizes ? viewAsScales(e, packed) : Value(),
        firstScale = quantizes ? scalesOfPanel(e, packed, e.tile()) : Value();
  auto scaleRow = [&](int64_t row) {
    Value most = e.splat(0), from = e.add(first, e.index(row));
    auto larger = [&](Value most, Value k, int64_t ks) {
      Value magnitude = math::AbsFOp::create(e.b, e.loc, e.loadVector(weight, {from, k}, ks));
      return e.make<arith::MaximumFOp>(most, magnitude); // NaN, if any is
    };
    int64_t full = in / width * width;
    most = e.loop(e.index(0), e.index(full), width, most,
                  [&](Value k, ValueRange carried) { return SmallVector<Value>{larger(carried[0], k, width)}; })[0];
    if (full < in)
      most = larger(most, e.index(full), in - full);
    Value largest = vector::ReductionOp::create(e.b, e.loc, vector::CombiningKind::MAXIMUMF, most);
    e.store(e.div(largest, e.f32(127)), scales, e.add(firstScale, e.index(row)));
  };
  auto store = [&](Value line, Value k, int64_t column) {
    if (!quantizes)
      return e.storeVector(line, packed, {e.tile(), k, e.index(column)}, width);
    Value scale = e.loadVector(scales, e.add(firstScale, e.index(column)), width);
    // Of a row with a number that is none, the scale is none, and so is what products make of it.
    Value isNumber = e.make<arith::AndIOp>(
        e.compare(arith::CmpFPredicate::OGT, scale, e.splat(0)),
        e.compare(arith::CmpFPredicate::OLT, scale, e.splat(std::numeric_limits<float>::infinity())));
    Value scaled = e.minimum(e.splat(127), e.maximum(e.splat(-127), e.div(line, scale)));
    Value rounded = math::RoundEvenOp::create(e.b, e.loc, e.select(isNumber, scaled, e.splat(0)));
    Value bytes = arith::FPToSIOp::create(e.b, e.loc, VectorType::get({width}, e.b.getI8Type()), rounded);
    vector::StoreOp::create(e.b, e.loc, bytes, packed,
                            ValueRange{e.tile(), e.add(k, e.index(PackOp::scaleRows)), e.index(column)});
  };
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
        store(lines[i], e.add(k, e.index(i)), begin);
    }
  };
  auto panel = [&](int64_t rows) {
    for (int64_t row = 0; quantizes && row < PackOp::columns; ++row)
      if (row < rows)
        scaleRow(row);
      else
        e.store(e.f32(0), scales, e.add(firstScale, e.index(row)));
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
