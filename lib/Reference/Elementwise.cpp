//===- Elementwise.cpp - reference: residuals, activations, dropout -------===//
#include "Frame.h"
#include "xf/Runtime/Philox.h"
#include <cmath>
#include <numbers>

using namespace mlir;
using namespace mlir::xf;
using namespace mlir::xf::reference;

static double normalDistribution(double x) { return (1 + std::erf(x / std::numbers::sqrt2)) / 2; }
static double normalDensity(double x) { return std::exp(-x * x / 2) * std::numbers::inv_sqrtpi / std::numbers::sqrt2; }

LogicalResult reference::evaluate(AddOp op, Frame &frame) {
  const Tensor &a = frame[op.getA()], &b = frame[op.getB()];
  if (a.shape() != b.shape())
    return op.emitError() << "expected 'b' to have " << a.elements() << " elements as 'a', but got " << b.elements();
  frame.set(op.getResult(), elementwise(std::plus<>(), a, b));
  return success();
}

LogicalResult reference::evaluate(MultiplyOp op, Frame &frame) {
  const Tensor &a = frame[op.getA()], &b = frame[op.getB()];
  if (a.shape() != b.shape())
    return op.emitError() << "expected 'b' to have " << a.elements() << " elements as 'a', but got " << b.elements();
  frame.set(op.getResult(), elementwise(std::multiplies<>(), a, b));
  return success();
}

double reference::rounded(double x, const llvm::fltSemantics &semantics) {
  APFloat number(x);
  bool loses;
  number.convert(semantics, APFloat::rmNearestTiesToEven, &loses);
  return number.convertToDouble();
}

Tensor reference::rounded(const Tensor &tensor, Type element) {
  return elementwise([&](double x) { return rounded(x, cast<FloatType>(element).getFloatSemantics()); }, tensor);
}

LogicalResult reference::evaluate(CastOp op, Frame &frame) {
  frame.set(op.getResult(), rounded(frame[op.getX()], op.getType().getElementType()));
  return success();
}

LogicalResult reference::evaluate(ReshapeOp op, Frame &frame) {
  const Tensor &x = frame[op.getX()];
  auto [more, fewer] = op.getRatio();
  if (x.rows() % fewer)
    return op.emitError() << "expected rows of 'x' by " << fewer << ", which become one, but got " << x.rows();
  Tensor result = Tensor::reals({x.rows() / fewer * more, op.getType().getDimSize(1)});
  for (int64_t i = 0; i < x.elements(); ++i)
    result[i] = x[i];
  frame.set(op.getResult(), result);
  return success();
}

LogicalResult reference::evaluate(ReluOp op, Frame &frame) {
  frame.set(op.getResult(), elementwise([](double x) { return x < 0 ? 0 : x; }, frame[op.getX()]));
  return success();
}

LogicalResult reference::evaluate(GeluOp op, Frame &frame) {
  frame.set(op.getResult(), elementwise([](double x) { return x * normalDistribution(x); }, frame[op.getX()]));
  return success();
}

/// What tanh is of in gelu_tanh.
static double cubic(double x) { return std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x); }

LogicalResult reference::evaluate(GeluTanhOp op, Frame &frame) {
  frame.set(op.getResult(), elementwise([](double x) { return x / 2 * (1 + std::tanh(cubic(x))); }, frame[op.getX()]));
  return success();
}

LogicalResult reference::evaluate(SiluOp op, Frame &frame) {
  frame.set(op.getResult(), elementwise([](double x) { return x / (1 + std::exp(-x)); }, frame[op.getX()]));
  return success();
}

LogicalResult reference::evaluate(ReluBackwardOp op, Frame &frame) {
  frame.set(op.getResult(), elementwise([](double dy, double y) { return y > 0 ? dy : 0; }, frame[op.getCotangent()],
                                        frame[op.getSaved()]));
  return success();
}

LogicalResult reference::evaluate(GeluBackwardOp op, Frame &frame) {
  auto derivative = [](double dy, double x) { return dy * (normalDistribution(x) + x * normalDensity(x)); };
  frame.set(op.getResult(), elementwise(derivative, frame[op.getCotangent()], frame[op.getSaved()]));
  return success();
}

LogicalResult reference::evaluate(GeluTanhBackwardOp op, Frame &frame) {
  auto derivative = [](double dy, double x) {
    double slope = std::sqrt(2 / std::numbers::pi) * (1 + 3 * 0.044715 * x * x), t = std::tanh(cubic(x));
    return dy * ((1 + t) / 2 + x / 2 * (1 - t * t) * slope);
  };
  frame.set(op.getResult(), elementwise(derivative, frame[op.getCotangent()], frame[op.getSaved()]));
  return success();
}

LogicalResult reference::evaluate(SiluBackwardOp op, Frame &frame) {
  auto derivative = [](double dy, double x) {
    double s = 1 / (1 + std::exp(-x));
    return dy * s * (1 + x * (1 - s));
  };
  frame.set(op.getResult(), elementwise(derivative, frame[op.getCotangent()], frame[op.getSaved()]));
  return success();
}

LogicalResult reference::evaluate(TanhOp op, Frame &frame) {
  frame.set(op.getResult(), elementwise([](double x) { return std::tanh(x); }, frame[op.getX()]));
  return success();
}

LogicalResult reference::evaluate(TanhBackwardOp op, Frame &frame) {
  frame.set(op.getResult(), elementwise([](double dy, double y) { return dy * (1 - y * y); }, frame[op.getCotangent()],
                                        frame[op.getSaved()]));
  return success();
}

double reference::dropoutFactor(const Tensor &random, int64_t site, double rate, int64_t row, int64_t column) {
  auto seed = static_cast<uint64_t>(random.integer(0)), step = static_cast<uint64_t>(random.integer(1));
  std::array<uint32_t, 4> counter = {uint32_t(step), uint32_t(site), uint32_t(row),
                                     uint32_t(column / 64 * 16 + column % 16)};
  uint32_t word = ::xf::runtime::philox(counter, {uint32_t(seed), uint32_t(seed >> 32)})[column % 64 / 16];
  return word >= rate * 0x1p32 ? 1 / (1 - rate) : 0;
}

LogicalResult reference::evaluate(DropoutOp op, Frame &frame) {
  const Tensor &x = frame[op.getX()], &random = frame[op.getRandom()];
  int64_t site = frame[op.getSite()].integer(0);
  Tensor result = Tensor::reals(x.shape());
  for (int64_t t = 0; t < x.rows(); ++t)
    for (int64_t c = 0; c < x.columns(); ++c)
      result(t, c) = dropped(x(t, c), dropoutFactor(random, site, op.getRate().convertToDouble(), t, c));
  frame.set(op.getResult(), result);
  return success();
}
