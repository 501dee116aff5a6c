//===- Pack.cpp - schedule of weights in the order of products ------------===//
// A panel a tile: rows of the weight become columns, a block of width x width at a time, transposed in registers. Where
// it is quantized, the largest numbers of its groups are found before.
//===----------------------------------------------------------------------===//
#include "xf/Schedule/Pack.h"
#include "mlir/Dialect/Math/IR/Math.h"

namespace mlir::xf {

Scales::Scales(Emitter &e, Value packed) : e(e) {
  auto type = cast<MemRefType>(packed.getType());
  int64_t bytes = type.getNumElements();
  Value flat = memref::ReinterpretCastOp::create(e.b, e.loc, MemRefType::get({bytes}, e.b.getI8Type()), packed,
                                                 /*offset=*/int64_t(0), /*sizes=*/ArrayRef<int64_t>{bytes},
                                                 /*strides=*/ArrayRef<int64_t>{1});
  numbers = memref::ViewOp::create(e.b, e.loc, MemRefType::get({bytes / 2}, e.b.getBF16Type()), flat, e.index(0),
                                   ValueRange());
  panelSize = type.getDimSize(1) * type.getDimSize(2) / 2;
}

Value Scales::place(Value panel, Value group, Value column) const {
  constexpr int64_t groupSize = (PackOp::group + PackOp::scaleRows) * PackOp::columns / 2;
  return e.add(e.add(e.mul(panel, e.index(panelSize)), e.mul(group, e.index(groupSize))), column);
}

Value rowOfQuantized(Emitter &e, Value group, Value k) {
  return e.add(e.mul(e.add(group, e.index(1)), e.index(PackOp::scaleRows)), k);
}

Value loadRowOfPacked(Emitter &e, Value packed, Value row, Value column, int64_t count) {
  auto type = cast<MemRefType>(packed.getType());
  bool isQuantized = type.getElementType().isInteger(8);
  Value panel = e.make<arith::DivUIOp>(row, e.index(PackOp::columns)),
        line = e.make<arith::RemUIOp>(row, e.index(PackOp::columns));
  // All of a vector is in one group: both begin at multiples of a power of two, and no vector is longer.
  Value group = isQuantized ? e.make<arith::DivUIOp>(column, e.index(PackOp::group)) : Value(),
        first = isQuantized ? rowOfQuantized(e, group, column) : column;
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
  Scales scales(e, packed);
  return e.mul(numbers, e.splat(e.load(scales.numbers, scales.place(panel, group, line))));
}

LogicalResult schedulePack(func::FuncOp kernel, const RegisterFile &registers) {
  auto pack = cast<PackOp>(kernel.getBody().front().front());
  Emitter e(kernel, registers);
  Value weight = e.placeOf(pack.getWeight()), packed = e.placeOf(pack.getResult());
  int64_t width = registers.width, out = pack.getWeight().getType().getDimSize(0),
          in = pack.getWeight().getType().getDimSize(1), rest = out % PackOp::columns;
  Value first = e.mul(e.tile(), e.index(PackOp::columns));
  bool quantizes = pack.isQuantized();
  std::optional<Scales> scales;
  if (quantizes)
    scales.emplace(e, packed);
  // The scale of `count` numbers of a row, from the group's first on.
  auto scaleGroup = [&](Value group, int64_t row, int64_t count) {
    Value most = e.splat(0), from = e.add(first, e.index(row)), begin = e.mul(group, e.index(PackOp::group));
    for (int64_t k = 0; k < count; k += width) {
      Value numbers = e.loadVector(weight, {from, e.add(begin, e.index(k))}, std::min(width, count - k));
      most = e.make<arith::MaximumFOp>(most, math::AbsFOp::create(e.b, e.loc, numbers)); // NaN, if any is
    }
    Value largest = vector::ReductionOp::create(e.b, e.loc, vector::CombiningKind::MAXIMUMF, most);
    e.store(e.div(largest, e.f32(127)), scales->numbers, scales->place(e.tile(), group, e.index(row)));
  };
  auto scaleRows = [&](int64_t rows) {
    auto scaleGroups = [&](Value group, int64_t count) {
      for (int64_t row = 0; row < PackOp::columns; ++row)
        if (row < rows)
          scaleGroup(group, row, count);
        else
          e.store(e.f32(0), scales->numbers, scales->place(e.tile(), group, e.index(row)));
    };
    int64_t full = in / PackOp::group, rest = in % PackOp::group;
    e.loop(e.index(0), e.index(full), 1, [&](Value group) { scaleGroups(group, PackOp::group); });
    if (rest)
      scaleGroups(e.index(full), rest);
  };
  auto store = [&](Value line, Value k, int64_t column) {
    if (!quantizes)
      return e.storeVector(line, packed, {e.tile(), k, e.index(column)}, width);
    Value group = e.make<arith::DivUIOp>(k, e.index(PackOp::group)),
          scale = e.loadVector(scales->numbers, scales->place(e.tile(), group, e.index(column)), width);
    // Of a group with a number that is none, the scale is none, and so is what products make of it.
    Value isNumber = e.make<arith::AndIOp>(
        e.compare(arith::CmpFPredicate::OGT, scale, e.splat(0)),
        e.compare(arith::CmpFPredicate::OLT, scale, e.splat(std::numeric_limits<float>::infinity())));
    Value scaled = e.minimum(e.splat(127), e.maximum(e.splat(-127), e.div(line, scale)));
    Value rounded = math::RoundEvenOp::create(e.b, e.loc, e.select(isNumber, scaled, e.splat(0)));
    Value bytes = arith::FPToSIOp::create(e.b, e.loc, VectorType::get({width}, e.b.getI8Type()), rounded);
    vector::StoreOp::create(e.b, e.loc, bytes, packed,
                            ValueRange{e.tile(), rowOfQuantized(e, group, k), e.index(column)});
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
    if (quantizes)
      scaleRows(rows);
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
