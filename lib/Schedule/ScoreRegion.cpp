//===- ScoreRegion.cpp - a score region in a kernel -----------------------===//
#include "xf/Schedule/ScoreRegion.h"
#include "llvm/ADT/TypeSwitch.h"
#include <cmath>

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
  setHead(head);
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

bool ScoreRegion::mayDerivativeBeInfinite() const {
  SmallVector<Value> values{block->getTerminator()->getOperand(1)};
  for (size_t next = 0; next < values.size(); ++next) {
    Operation *op = values[next].getDefiningOp();
    if (!op)
      continue;
    APFloat number(0.0);
    bool isFinite = isa<arith::ConstantOp>(op) ? matchPattern(op, m_ConstantFloat(&number)) && number.isFinite()
                    : isa<arith::DivFOp>(op)
                        ? matchPattern(op->getOperand(1), m_ConstantFloat(&number)) && number.isNormal()
                        : !isa<math::ExpOp, math::Exp2Op, math::LogOp, tensor::ExtractOp>(op);
    if (!isFinite)
      return true;
    for (Value operand : op->getOperands())
      if (isa<FloatType>(operand.getType()) && !llvm::is_contained(values, operand))
        values.push_back(operand);
  }
  return false;
}

Value ScoreRegion::timesDerivative(Value x, Value derivative, Value probability) {
  Value product = e.mul(x, derivative);
  if (!mayDerivativeBeInfinite())
    return product;
  return e.select(e.compare(arith::CmpFPredicate::UNE, probability, e.f32(0)), product, e.f32(0));
}

void ScoreRegion::setHead(Value head) {
  scalars[block->getArgument(ScoreHead)] = head;
  emit(OfHead);
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

/// Those of Functions.cpp are of the numbers that kernels' own sums are of.
static Value emitAnyExp(Emitter &e, Value x) {
  Value result = emitExp(e, x);
  if (e.registers.isGPU())
    return result;
  auto isLess = [&](Value y, Value z) { return e.compare(arith::CmpFPredicate::OLT, y, z); };
  result = e.select(isLess(e.splat(88.72), x), e.splat(std::numeric_limits<float>::infinity()), result);
  return e.select(isLess(x, e.splat(-87.33654)), e.splat(0), result);
}
static Value emitAnyExp2(Emitter &e, Value x) { return emitExp2(e, e.minimum(e.splat(128), x)); }
static Value emitAnyLog(Emitter &e, Value x) {
  Value isSmall = e.compare(arith::CmpFPredicate::OLT, x, e.splat(0x1p-126)); // 2^25 times it is a normal number
  Value log = emitLog(e, e.select(isSmall, e.mul(x, e.splat(0x1p25)), x));
  log = e.select(isSmall, e.sub(log, e.splat(25 * M_LN2)), log);
  Value isZero = e.compare(arith::CmpFPredicate::OEQ, x, e.splat(0)),
        isNone = e.compare(arith::CmpFPredicate::OLT, x, e.splat(0));
  log = e.select(isZero, e.splat(-std::numeric_limits<float>::infinity()), log);
  return e.select(isNone, e.splat(std::numeric_limits<float>::quiet_NaN()), log);
}

/// As x86 doesn't: the nearest i32, and 0 where x is no number.
static Value emitToI32(Emitter &e, Value x) {
  Value size = math::AbsFOp::create(e.b, e.loc, x),
        isInside = e.compare(arith::CmpFPredicate::OLT, size, e.splat(0x1p31)),
        inside = e.select(isInside, x, e.splat(0));
  Value integer = arith::FPToSIOp::create(e.b, e.loc, e.vectorType(e.b.getI32Type()), inside);
  auto isAtLeast = [&](Value y, Value z) { return e.compare(arith::CmpFPredicate::OGE, y, z); };
  integer = e.select(isAtLeast(x, e.splat(0x1p31)), e.splatI32(std::numeric_limits<int32_t>::max()), integer);
  return e.select(isAtLeast(e.splat(-0x1p31), x), e.splatI32(std::numeric_limits<int32_t>::min()), integer);
}

/// One of our functions for an op, or null.
static Value (*functionOf(Operation *op))(Emitter &, Value) {
  return llvm::TypeSwitch<Operation *, Value (*)(Emitter &, Value)>(op)
      .Case([](math::ExpOp) { return emitAnyExp; })
      .Case([](math::Exp2Op) { return emitAnyExp2; })
      .Case([](math::LogOp) { return emitAnyLog; })
      .Case([](math::TanhOp) { return emitTanh; })
      .Case([](arith::FPToSIOp op) { return op.getType().isInteger(32) ? emitToI32 : nullptr; })
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
