//===- Embedding.cpp - reference: tokens and positions to vectors ---------===//
#include "Frame.h"
#include <cmath>

using namespace mlir;
using namespace mlir::xf;
using namespace mlir::xf::reference;

LogicalResult reference::evaluate(EmbeddingOp op, Frame &frame) {
  const Tensor &ids = frame[op.getIds()];
  Tensor table = frame[op.getTable()];
  if (op.isPacked())
    table =
        unpacked(table, op.isQuantized(), static_cast<int64_t>(*op.getRows()), op.getResult().getType().getDimSize(1));
  if (failed(expectIds(op, "ids", ids, table.rows(), "the rows of 'table'")))
    return failure();
  Tensor result = Tensor::reals({ids.rows(), table.columns()});
  double scale = op.getScale().convertToDouble();
  for (int64_t t = 0; t < ids.rows(); ++t)
    for (int64_t c = 0; c < table.columns(); ++c)
      result(t, c) = scale * table(ids.integer(t), c);
  frame.set(op.getResult(), result);
  return success();
}

LogicalResult reference::evaluate(EmbeddingBackwardOp op, Frame &frame) {
  const Tensor &cotangent = frame[op.getCotangent()], &ids = frame[op.getIds()], *into = frame.find(op.getInto());
  int64_t vocabulary = op.getResult().getType().getDimSize(0);
  if (failed(expectIds(op, "ids", ids, vocabulary, "the rows of the result")) ||
      failed(expectRows(op, "cotangent", cotangent, ids.rows(), "'ids'")))
    return failure();
  Tensor result = into ? into->copy() : Tensor::reals({vocabulary, cotangent.columns()});
  double scale = op.getScale().convertToDouble();
  for (int64_t t = 0; t < ids.rows(); ++t)
    for (int64_t c = 0; c < cotangent.columns(); ++c)
      result(ids.integer(t), c) += scale * cotangent(t, c);
  frame.set(op.getResult(), result);
  return success();
}

LogicalResult reference::evaluate(PositionIdsOp op, Frame &frame) {
  const Tensor &ids = frame[op.getIds()], &offsets = frame[op.getOffsets()];
  if (failed(expectOffsets(op, "offsets", offsets, ids.rows())))
    return failure();
  Tensor result = Tensor::integers({ids.rows()});
  for (int64_t b = 0; b + 1 < offsets.rows(); ++b)
    for (int64_t t = offsets.integer(b); t < offsets.integer(b + 1); ++t)
      result.integer(t) = t - offsets.integer(b);
  frame.set(op.getResult(), result);
  return success();
}

LogicalResult reference::evaluate(SinusoidalOp op, Frame &frame) {
  const Tensor &positions = frame[op.getPositions()];
  int64_t features = op.getResult().getType().getDimSize(1), half = features / 2;
  Tensor result = Tensor::reals({positions.rows(), features});
  for (int64_t t = 0; t < positions.rows(); ++t)
    for (int64_t c = 0; c < features; ++c) {
      int64_t i = op.getHalves() ? c % half : c / 2;
      double exponent = op.getHalves() ? double(i) / double(half - 1) : 2.0 * double(i) / double(features);
      double angle = double(positions.integer(t) + int64_t(op.getFirst())) / std::pow(10000.0, exponent);
      bool isSine = op.getHalves() ? c < half : c % 2 == 0;
      result(t, c) = isSine ? std::sin(angle) : std::cos(angle);
    }
  frame.set(op.getResult(), result);
  return success();
}

LogicalResult reference::evaluate(RotaryAnglesOp op, Frame &frame) {
  const Tensor &positions = frame[op.getPositions()];
  SmallVector<double> frequencies = op.getFrequencies();
  auto half = static_cast<int64_t>(frequencies.size());
  Tensor result = Tensor::reals({positions.rows(), 2 * half});
  for (int64_t t = 0; t < positions.rows(); ++t)
    for (int64_t i = 0; i < half; ++i) {
      double angle = double(positions.integer(t)) * frequencies[i];
      result(t, i) = std::cos(angle);
      result(t, half + i) = std::sin(angle);
    }
  frame.set(op.getResult(), result);
  return success();
}

LogicalResult reference::evaluate(RotaryOp op, Frame &frame) {
  const Tensor &x = frame[op.getX()], &angles = frame[op.getAngles()];
  if (failed(expectRows(op, "angles", angles, x.rows(), "'x'")))
    return failure();
  int64_t features = angles.columns(), half = features / 2;
  Tensor result = Tensor::reals(x.shape());
  for (int64_t t = 0; t < x.rows(); ++t)
    for (int64_t begin = 0; begin < x.columns(); begin += features)
      for (int64_t i = 0; i < half; ++i) {
        double cosine = angles(t, i), sine = op.getInverse() ? -angles(t, half + i) : angles(t, half + i);
        double first = x(t, begin + i), second = x(t, begin + half + i);
        result(t, begin + i) = first * cosine - second * sine;
        result(t, begin + half + i) = second * cosine + first * sine;
      }
  frame.set(op.getResult(), result);
  return success();
}
