//===- Optimizer.cpp - reference: clipping, learning rate, Adam -----------===//
#include "Frame.h"
#include <cmath>

using namespace mlir;
using namespace mlir::xf;
using namespace mlir::xf::reference;

LogicalResult reference::evaluate(GlobalNormOp op, Frame &frame) {
  double sum = 0;
  for (Value gradient : op.getGradients())
    for (int64_t i = 0; i < frame[gradient].elements(); ++i)
      sum += frame[gradient][i] * frame[gradient][i];
  frame.set(op.getResult(), Tensor::reals({}, std::sqrt(sum)));
  return success();
}

LogicalResult reference::evaluate(LearningRateOp op, Frame &frame) {
  const Tensor &hyper = frame[op.getHyper()];
  auto step = double(frame[op.getRandom()].integer(1));
  double rate = hyper[0], warmup = hyper[1];
  switch (int schedule = int(hyper[2])) {
  case 0:
    rate *= warmup > 0 ? std::min(1.0, step / warmup) : 1;
    break;
  default:
    rate *= std::min(std::pow(step, -0.5), step * std::pow(warmup, -1.5)) *
            (schedule == 1   ? std::pow(double(op.getDModel()), -0.5)
             : schedule == 3 ? std::sqrt(std::max(warmup, 1.0))
                             : 1);
  }
  frame.set(op.getResult(), Tensor::reals({}, rate));
  return success();
}

LogicalResult reference::evaluate(AdamOp op, Frame &frame) {
  const Tensor &hyper = frame[op.getHyper()];
  double norm = frame[op.getNorm()].scalar(), rate = frame[op.getLearningRate()].scalar();
  double clip = hyper[3], beta1 = hyper[4], beta2 = hyper[5], epsilon = hyper[6], decay = hyper[7];
  auto step = double(frame[op.getRandom()].integer(1));
  if (!std::isfinite(norm))
    return success();
  double factor = clip > 0 ? std::min(1.0, clip / norm) : 1;
  for (auto [gradient, name] : llvm::zip(op.getGradients(), op.getParameters().getAsRange<FlatSymbolRefAttr>())) {
    std::string key = name.getValue().str();
    // The values a caller may have read stay as they are.
    Tensor parameter = frame.state().parameters[key].copy(), first = frame.state().firstMoments[key].copy(),
           second = frame.state().secondMoments[key].copy();
    for (int64_t i = 0; i < parameter.elements(); ++i) {
      double g = frame[gradient][i] * factor;
      first[i] = beta1 * first[i] + (1 - beta1) * g;
      second[i] = beta2 * second[i] + (1 - beta2) * g * g;
      double corrected = first[i] / (1 - std::pow(beta1, step)),
             deviation = std::sqrt(second[i] / (1 - std::pow(beta2, step)));
      parameter[i] -= rate * (corrected / (deviation + epsilon) + decay * parameter[i]);
    }
    frame.state().parameters[key] = parameter;
    frame.state().firstMoments[key] = first;
    frame.state().secondMoments[key] = second;
  }
  return success();
}
