//===- ScoreRegion.cpp - a score region in a kernel -----------------------===//
#include "xf/Schedule/ScoreRegion.h"
#include "llvm/ADT/TypeSwitch.h"

namespace mlir::xf {

ScoreRegion::ScoreRegion(Emitter &e, Region &region, ValueRange captures, Value head) : e(e) {
  if (region.empty())
    return;
  block = &region.front();
  for (Value capture : captures)
    memory.push_back(e.placeOf(capture));
  for (auto [argument, level] :
       {std::pair(ScoreValue, OfKey), {ScoreHead, OfHead}, {ScoreQuery, OfQuery}, {ScoreKey, OfKey}})
    levels[block->getArgument(argument)] = level;
  for (Operation &op : block->without_terminator()) {
    Level level = OfHead;
    for (Value operand : op.getOperands())
      level = std::max(level, levelOf(operand)); // captured tensors are of no level
    levelsOfOps[&op] = isa<AddGradientOp>(op) ? OfKey : level;
    for (Value result : op.getResults())
      levels[result] = level;
  }
  scalars[block->getArgument(ScoreHead)] = head;
  emit(OfHead);
}

/// Of a multiplication by a constant: the other operand and the constant; or null.
static std::pair<Value, double> factorOf(Operation *op) {
  if (auto product = dyn_cast_or_null<arith::MulFOp>(op))
    for (auto [value, other] : {std::pair(product.getLhs(), product.getRhs()), {product.getRhs(), product.getLhs()}}) {
      APFloat factor(0.0);
      if (matchPattern(other, m_ConstantFloat(&factor)))
        return {value, factor.convertToFloat()};
    }
  return {nullptr, 1};
}

double ScoreRegion::takeScoreFactor() {
  BlockArgument score = block->getArgument(ScoreValue);
  auto [value, factor] = factorOf(score.hasOneUse() ? *score.user_begin() : nullptr);
  if (value == score)
    taken = *score.user_begin();
  return taken ? factor : 1;
}

bool ScoreRegion::mayMask() const {
  return llvm::any_of(block->without_terminator(), [](Operation &op) {
    APFloat constant(0.0);
    if (matchPattern(&op, m_ConstantFloat(&constant)))
      return !constant.isFinite() || std::fabs(constant.convertToFloat()) > 1e6f;
    return !isa<arith::ConstantOp, arith::AddIOp, arith::SubIOp, arith::MulIOp, arith::IndexCastOp, arith::SIToFPOp,
                arith::AddFOp, arith::SubFOp, arith::MulFOp, arith::NegFOp, math::AbsFOp, math::TanhOp, math::Exp2Op>(
        op);
  });
}

void ScoreRegion::setQuery(Value position) {
  scalars[block->getArgument(ScoreQuery)] = position;
  emit(OfQuery);
}

SmallVector<Value> ScoreRegion::applyTo(Value scores, Value keys, double factor) {
  vectors.clear();
  added.clear();
  vectors[taken ? taken->getResult(0) : Value(block->getArgument(ScoreValue))] = scores;
  vectors[block->getArgument(ScoreKey)] = keys;
  emit(OfKey);
  SmallVector<Value> yielded =
      llvm::map_to_vector(block->getTerminator()->getOperands(), [&](Value value) { return vectorOf(value); });
  if (factor != 1) { // a constant that the region ends with joins it
    Operation *op = block->getTerminator()->getOperand(0).getDefiningOp();
    auto [value, last] = factorOf(op != taken ? op : nullptr);
    yielded[0] = e.mul(value ? vectorOf(value) : yielded[0], e.splat(factor * last));
  }
  return yielded;
}

void ScoreRegion::emit(Level level) {
  for (Operation &op : block->without_terminator())
    if (levelsOfOps.lookup(&op) == level)
      level == OfKey ? emitVector(&op) : emitScalar(&op);
}

Value ScoreRegion::vectorOf(Value value) {
  Value &vector = vectors[value];
  if (!vector) {
    Value scalar = scalars.lookup(value);
    vector = e.splat(scalar.getType().isIndex() ? e.toI32(scalar) : scalar);
  }
  return vector;
}

Value ScoreRegion::memoryOf(Value capture) const {
  return memory[cast<BlockArgument>(capture).getArgNumber() - ScoreCaptures];
}

Value ScoreRegion::elementAt(RankedTensorType type, ValueRange indices, bool asVector) {
  Value element = asVector ? e.splatI32(0) : e.index(0);
  auto number = [&](int64_t value) { return asVector ? e.splatI32(value) : e.index(value); };
  for (auto [dimension, index] : llvm::enumerate(indices)) {
    Value at = asVector ? vectorOf(index) : scalars.lookup(index);
    at = e.make<arith::MaxSIOp>(e.min(at, number(type.getDimSize(dimension) - 1)), number(0));
    element = e.add(e.mul(element, number(type.getDimSize(dimension))), at);
  }
  return element;
}

/// One of our functions for an op of math, or null.
static Value (*functionOf(Operation *op))(Emitter &, Value) {
  return llvm::TypeSwitch<Operation *, Value (*)(Emitter &, Value)>(op)
      .Case([](math::ExpOp) { return emitExp; })
      .Case([](math::Exp2Op) { return emitExp2; })
      .Case([](math::LogOp) { return emitLog; })
      .Case([](math::TanhOp) { return emitTanh; })
      .Default([](Operation *) { return nullptr; });
}

void ScoreRegion::emitScalar(Operation *op) {
  Value &result = scalars[op->getResult(0)];
  if (auto read = dyn_cast<tensor::ExtractOp>(op)) {
    RankedTensorType type = read.getTensor().getType();
    SmallVector<Value> at;
    for (auto [dimension, index] : llvm::enumerate(read.getIndices()))
      at.push_back(
          e.make<arith::MaxSIOp>(e.min(scalars.lookup(index), e.index(type.getDimSize(dimension) - 1)), e.index(0)));
    result = e.load(memoryOf(read.getTensor()), at);
    return;
  }
  if (auto function = functionOf(op)) {
    result = emitOnNumber(e, function, scalars.lookup(op->getOperand(0)));
    return;
  }
  IRMapping mapping;
  for (Value operand : op->getOperands())
    mapping.map(operand, scalars.lookup(operand));
  result = e.b.clone(*op, mapping)->getResult(0);
}

void ScoreRegion::emitVector(Operation *op) {
  if (op == taken)
    return;
  if (auto add = dyn_cast<AddGradientOp>(op)) {
    bool asVector = llvm::any_of(add.getIndices(), [&](Value index) { return levelOf(index) == OfKey; });
    added.push_back({cast<BlockArgument>(add.getCapture()).getArgNumber() - ScoreCaptures,
                     elementAt(add.getCapture().getType(), add.getIndices(), asVector), vectorOf(add.getDerivative())});
    return;
  }
  Type element = op->getResult(0).getType();
  Type type = e.vectorType(element.isIndex() ? e.b.getI32Type() : element);
  Value result;
  if (auto read = dyn_cast<tensor::ExtractOp>(op)) {
    result = e.gather(memoryOf(read.getTensor()),
                      elementAt(read.getTensor().getType(), read.getIndices(), /*asVector=*/true));
  } else if (auto function = functionOf(op)) {
    result = function(e, vectorOf(op->getOperand(0)));
  } else if (isa<arith::IndexCastOp>(op)) {
    result = vectorOf(op->getOperand(0)); // both are of i32
  } else {
    OperationState state(e.loc, op->getName());
    for (Value operand : op->getOperands())
      state.addOperands(vectorOf(operand));
    state.addTypes(type);
    state.propertiesAttr = op->getPropertiesAsAttribute();
    state.addAttributes(op->getDiscardableAttrDictionary().getValue());
    result = e.b.create(state)->getResult(0);
  }
  vectors[op->getResult(0)] = result;
}
} // namespace mlir::xf
