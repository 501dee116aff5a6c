//===- ScoreRegion.cpp - a score region in double precision ---------------===//
#include "ScoreRegion.h"
#include "llvm/ADT/TypeSwitch.h"
#include <cmath>

using namespace mlir;
using namespace mlir::xf;
using namespace mlir::xf::reference;

namespace {
/// A value of the region: of one of the two, by its type.
struct Number {
  double real = 0;
  int64_t integer = 0;
};

bool compare(arith::CmpFPredicate predicate, double x, double y) {
  return arith::applyCmpPredicate(predicate, APFloat(x), APFloat(y));
}
bool compare(arith::CmpIPredicate predicate, int64_t x, int64_t y) {
  return arith::applyCmpPredicate(predicate, APInt(64, x, true), APInt(64, y, true));
}
/// IEEE 754's maximum: what is no number stays, and 0 is larger than -0.
double larger(double x, double y) { return llvm::maximum(APFloat(x), APFloat(y)).convertToDouble(); }

Number evaluate(Operation *op, ArrayRef<Number> x) {
  auto real = [](double value) { return Number{value, 0}; };
  auto integer = [](int64_t value) { return Number{0, value}; };
  return llvm::TypeSwitch<Operation *, Number>(op)
      .Case([&](arith::ConstantOp constant) {
        if (auto attribute = dyn_cast<FloatAttr>(constant.getValue()))
          return real(attribute.getValueAsDouble());
        APInt value = cast<IntegerAttr>(constant.getValue()).getValue();
        return integer(value.getBitWidth() == 1 ? value.getZExtValue() : value.getSExtValue());
      })
      .Case([&](arith::AddFOp) { return real(x[0].real + x[1].real); })
      .Case([&](arith::SubFOp) { return real(x[0].real - x[1].real); })
      .Case([&](arith::MulFOp) { return real(x[0].real * x[1].real); })
      .Case([&](arith::DivFOp) { return real(x[0].real / x[1].real); })
      .Case([&](arith::NegFOp) { return real(-x[0].real); })
      .Case([&](arith::MaximumFOp) { return real(larger(x[0].real, x[1].real)); })
      .Case([&](arith::MinimumFOp) { return real(-larger(-x[0].real, -x[1].real)); })
      .Case([&](arith::CmpFOp cmp) { return integer(compare(cmp.getPredicate(), x[0].real, x[1].real)); })
      .Case([&](arith::SelectOp) { return x[0].integer ? x[1] : x[2]; })
      .Case([&](arith::AddIOp) { return integer(x[0].integer + x[1].integer); })
      .Case([&](arith::SubIOp) { return integer(x[0].integer - x[1].integer); })
      .Case([&](arith::MulIOp) { return integer(x[0].integer * x[1].integer); })
      .Case([&](arith::MaxSIOp) { return integer(std::max(x[0].integer, x[1].integer)); })
      .Case([&](arith::MinSIOp) { return integer(std::min(x[0].integer, x[1].integer)); })
      .Case([&](arith::CmpIOp cmp) { return integer(compare(cmp.getPredicate(), x[0].integer, x[1].integer)); })
      .Case([&](arith::AndIOp) { return integer(x[0].integer & x[1].integer); })
      .Case([&](arith::OrIOp) { return integer(x[0].integer | x[1].integer); })
      .Case([&](arith::XOrIOp) { return integer(x[0].integer ^ x[1].integer); })
      .Case([&](arith::IndexCastOp) { return x[0]; })
      .Case([&](arith::SIToFPOp) { return real(double(x[0].integer)); })
      .Case([&](arith::FPToSIOp) {
        double nearest = std::clamp(x[0].real, -2147483648.0, 2147483647.0);
        return integer(std::isnan(nearest) ? 0 : int64_t(nearest));
      })
      .Case([&](math::AbsFOp) { return real(std::abs(x[0].real)); })
      .Case([&](math::ExpOp) { return real(std::exp(x[0].real)); })
      .Case([&](math::Exp2Op) { return real(std::exp2(x[0].real)); })
      .Case([&](math::LogOp) { return real(std::log(x[0].real)); })
      .Case([&](math::TanhOp) { return real(std::tanh(x[0].real)); });
}
} // namespace

ScoreRegion::ScoreRegion(Region &region, ValueRange captures, const Frame &frame)
    : block(region.empty() ? nullptr : &region.front()) {
  for (Value capture : captures)
    captured.push_back(frame[capture]);
}

ScoreRegion::Result ScoreRegion::apply(double score, int64_t head, int64_t query, int64_t key, Add add) const {
  if (!block)
    return {score, 1};
  llvm::DenseMap<Value, Number> values;
  values[block->getArgument(ScoreValue)].real = score;
  for (auto [argument, index] : {std::pair(ScoreHead, head), {ScoreQuery, query}, {ScoreKey, key}})
    values[block->getArgument(argument)].integer = index;
  auto captureOf = [](Value tensor) { return cast<BlockArgument>(tensor).getArgNumber() - ScoreCaptures; };
  // The number of an element; where an index lies outside, of the nearest.
  auto elementOf = [&](Value tensor, ValueRange indices) {
    int64_t element = 0;
    for (auto [extent, index] : llvm::zip(captured[captureOf(tensor)].shape(), indices))
      element = element * extent + std::clamp<int64_t>(values[index].integer, 0, extent - 1);
    return element;
  };
  for (Operation &op : block->without_terminator()) {
    if (auto read = dyn_cast<tensor::ExtractOp>(op)) {
      const Tensor &tensor = captured[captureOf(read.getTensor())];
      int64_t element = elementOf(read.getTensor(), read.getIndices());
      values[read] = tensor.isReal() ? Number{tensor[element], 0} : Number{0, tensor.integer(element)};
    } else if (auto gradient = dyn_cast<AddGradientOp>(op)) {
      if (add)
        add(captureOf(gradient.getCapture()), elementOf(gradient.getCapture(), gradient.getIndices()),
            values[gradient.getDerivative()].real);
    } else {
      SmallVector<Number> operands = llvm::map_to_vector(op.getOperands(), [&](Value value) { return values[value]; });
      values[op.getResult(0)] = evaluate(&op, operands);
    }
  }
  Operation *yield = block->getTerminator();
  return {values[yield->getOperand(0)].real, yield->getNumOperands() > 1 ? values[yield->getOperand(1)].real : 1};
}
