//===- Linear.cpp - reference: matrix products ----------------------------===//
#include "Frame.h"
#include <array>
#include <bit>
#include <cmath>

using namespace mlir;
using namespace mlir::xf;
using namespace mlir::xf::reference;

/// into + op(a) op(b).
static Tensor multiply(const Tensor &a, bool transposeA, const Tensor &b, bool transposeB, Tensor into) {
  int64_t depth = transposeA ? a.rows() : a.columns();
  for (int64_t i = 0; i < into.rows(); ++i)
    for (int64_t j = 0; j < into.columns(); ++j)
      for (int64_t k = 0; k < depth; ++k)
        into(i, j) += (transposeA ? a(k, i) : a(i, k)) * (transposeB ? b(j, k) : b(k, j));
  return into;
}

Tensor reference::pack(const Tensor &weight) {
  constexpr int64_t columns = PackOp::columns;
  int64_t panels = llvm::divideCeil(weight.rows(), columns), in = weight.columns();
  Tensor packed = Tensor::reals({panels, in, columns});
  for (int64_t row = 0; row < weight.rows(); ++row)
    for (int64_t k = 0; k < in; ++k)
      packed[(row / columns * in + k) * columns + row % columns] = weight(row, k);
  return packed;
}

/// Where a packed weight of i8 has a number, and the first byte of its group's scale.
struct PlaceOfQuantized {
  int64_t number, scale;

  PlaceOfQuantized(int64_t in, int64_t row, int64_t k) {
    constexpr int64_t columns = PackOp::columns;
    int64_t groups = llvm::divideCeilSigned(in, PackOp::group), group = k / PackOp::group, column = row % columns;
    int64_t panel = row / columns * (in + groups * PackOp::scaleRows) * columns;
    number = panel + (k + (group + 1) * PackOp::scaleRows) * columns + column;
    scale = panel + group * (PackOp::group + PackOp::scaleRows) * columns + 2 * column;
  }
};

/// As xf.pack quantizes, in f32, so that it is the same integers: bytes, of which those before each group of a panel's
/// rows are its scales, of bf16.
Tensor reference::quantize(const Tensor &weight) {
  int64_t in = weight.columns(), groups = llvm::divideCeilSigned(in, PackOp::group);
  Tensor packed = Tensor::integers(
      {llvm::divideCeilSigned(weight.rows(), PackOp::columns), in + groups * PackOp::scaleRows, PackOp::columns});
  for (int64_t row = 0; row < weight.rows(); ++row)
    for (int64_t begin = 0; begin < in; begin += PackOp::group) {
      int64_t end = std::min(begin + PackOp::group, in);
      float most = 0;
      for (int64_t k = begin; k < end; ++k)
        if (float magnitude = std::abs(static_cast<float>(weight(row, k))); !std::isnan(most) && !(magnitude <= most))
          most = magnitude; // NaN, if any is
      auto scale = static_cast<float>(rounded(most / 127, APFloat::BFloat()));
      uint32_t bits = std::bit_cast<uint32_t>(scale);
      int64_t place = PlaceOfQuantized(in, row, begin).scale;
      packed.integer(place) = static_cast<int8_t>(bits >> 16);
      packed.integer(place + 1) = static_cast<int8_t>(bits >> 24);
      for (int64_t k = begin; scale > 0 && std::isfinite(scale) && k < end; ++k)
        packed.integer(PlaceOfQuantized(in, row, k).number) = static_cast<int64_t>(
            std::clamp(std::nearbyint(static_cast<float>(weight(row, k)) / scale), -127.0f, 127.0f));
    }
  return packed;
}

static Tensor dequantize(const Tensor &packed, int64_t out, int64_t in) {
  Tensor weight = Tensor::reals({out, in});
  for (int64_t row = 0; row < out; ++row)
    for (int64_t k = 0; k < in; ++k) {
      PlaceOfQuantized place(in, row, k);
      uint32_t low = static_cast<uint8_t>(packed.integer(place.scale)),
               high = static_cast<uint8_t>(packed.integer(place.scale + 1));
      weight(row, k) = static_cast<double>(packed.integer(place.number)) * std::bit_cast<float>(low << 16 | high << 24);
    }
  return weight;
}

static Tensor unpack(const Tensor &packed, int64_t out, int64_t in) {
  constexpr int64_t columns = PackOp::columns;
  Tensor weight = Tensor::reals({out, in});
  for (int64_t row = 0; row < out; ++row)
    for (int64_t k = 0; k < in; ++k)
      weight(row, k) = packed[(row / columns * in + k) * columns + row % columns];
  return weight;
}

Tensor reference::unpacked(const Tensor &packed, bool isQuantized, int64_t out, int64_t in) {
  return isQuantized ? dequantize(packed, out, in) : unpack(packed, out, in);
}

LogicalResult reference::evaluate(PackOp op, Frame &frame) {
  const Tensor &weight = frame[op.getWeight()];
  frame.set(op.getResult(), op.isQuantized() ? quantize(weight) : pack(weight));
  return success();
}

LogicalResult reference::evaluate(LinearOp op, Frame &frame) {
  const Tensor &x = frame[op.getX()], *bias = frame.find(op.getBias());
  Tensor weight = frame[op.getWeight()];
  if (op.isPacked())
    weight = unpacked(weight, op.isQuantized(), op.getResult().getType().getDimSize(1), x.columns());
  Tensor result = Tensor::reals({x.rows(), weight.rows()});
  for (int64_t i = 0; bias && i < result.elements(); ++i)
    result[i] = (*bias)[i % weight.rows()];
  frame.set(op.getResult(), multiply(x, false, weight, true, result));
  return success();
}

LogicalResult reference::evaluate(MatmulOp op, Frame &frame) {
  const Tensor &a = frame[op.getA()], &b = frame[op.getB()], *into = frame.find(op.getInto());
  int64_t depth = op.getTransposeA() ? a.rows() : a.columns();
  if ((op.getTransposeB() ? b.columns() : b.rows()) != depth)
    return op.emitError() << "expected 'b' to match the contracted extent of 'a' (" << depth << "), but got "
                          << (op.getTransposeB() ? b.columns() : b.rows());
  Tensor result =
      into ? into->copy()
           : Tensor::reals({op.getTransposeA() ? a.columns() : a.rows(), op.getTransposeB() ? b.rows() : b.columns()});
  frame.set(op.getResult(), multiply(a, op.getTransposeA(), b, op.getTransposeB(), result));
  return success();
}

LogicalResult reference::evaluate(ColumnSumOp op, Frame &frame) {
  const Tensor &x = frame[op.getX()];
  Tensor result = Tensor::reals(op.getResult().getType().getShape().vec());
  for (int64_t t = 0; t < x.rows(); ++t)
    for (int64_t c = 0; c < x.columns(); ++c)
      result[c] += x(t, c);
  frame.set(op.getResult(), result);
  return success();
}
