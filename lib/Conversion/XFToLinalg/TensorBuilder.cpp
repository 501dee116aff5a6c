//===- TensorBuilder.cpp - formulas on tensors ----------------------------===//
#include "TensorBuilder.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include <cmath>

namespace mlir::xf {

Number Number::as(const Number &other) const {
  if (value)
    return *this;
  Type type = other.type();
  TypedAttr attribute = isa<FloatType>(type) ? TypedAttr(FloatAttr::get(type, literal))
                                             : TypedAttr(IntegerAttr::get(type, static_cast<int64_t>(literal)));
  return {*other.b, arith::ConstantOp::create(*other.b, attribute)};
}

Number Number::toFloat(Type to) const {
  if (auto from = dyn_cast<FloatType>(type())) {
    if (from == to)
      return *this;
    if (from.getWidth() < cast<FloatType>(to).getWidth())
      return {*b, arith::ExtFOp::create(*b, to, value)};
    return {*b, arith::TruncFOp::create(*b, to, value)};
  }
  Number integer = type().isIndex() ? toInteger(64) : *this;
  return {*b, arith::SIToFPOp::create(*b, to, integer.get())};
}

Number Number::toInteger(unsigned width) const {
  Type to = width ? Type(b->getIntegerType(width)) : Type(b->getIndexType());
  if (type() == to)
    return *this;
  if (type().isIndex() || to.isIndex())
    return {*b, arith::IndexCastOp::create(*b, to, value)};
  if (type().getIntOrFloatBitWidth() < width)
    return {*b, arith::ExtSIOp::create(*b, to, value)};
  return {*b, arith::TruncIOp::create(*b, to, value)};
}

Number compare(arith::CmpFPredicate floats, arith::CmpIPredicate integers, Number x, Number y) {
  x = x.as(y), y = y.as(x);
  if (isa<FloatType>(x.type()))
    return {x.builder(), arith::CmpFOp::create(x.builder(), floats, x.get(), y.get())};
  return {x.builder(), arith::CmpIOp::create(x.builder(), integers, x.get(), y.get())};
}

Number select(Number condition, Number x, Number y) {
  x = x.as(y), y = y.as(x);
  return {x.builder(), arith::SelectOp::create(x.builder(), condition.get(), x.get(), y.get())};
}

Indexed elements(Value x) {
  int64_t rank = cast<RankedTensorType>(x.getType()).getRank();
  return {x, llvm::to_vector(llvm::seq<unsigned>(0, rank))};
}

Number TensorBuilder::extent(Value tensor, unsigned dimension, Type type) {
  return number(tensor::DimOp::create(*this, tensor, dimension)).toFloat(type);
}

Number TensorBuilder::element(Value tensor, ArrayRef<Number> at) {
  SmallVector<Value> indices = llvm::map_to_vector(at, [](const Number &i) { return i.get(); });
  return number(tensor::ExtractOp::create(*this, tensor, indices));
}

Value TensorBuilder::empty(Operation *op, unsigned result) {
  auto type = cast<RankedTensorType>(op->getResult(result).getType());
  SmallVector<Value> extents;
  for (int64_t dimension = 0; dimension < type.getRank(); ++dimension)
    if (type.isDynamicDim(dimension)) {
      auto [operand, source] = cast<KernelOpInterface>(op).getExtentSource(result, dimension);
      extents.push_back(tensor::DimOp::create(*this, op->getOperand(operand), source));
    }
  return tensor::EmptyOp::create(*this, type, extents);
}

Value TensorBuilder::empty(ArrayRef<std::pair<Value, unsigned>> extents, Type element) {
  SmallVector<OpFoldResult> sizes;
  for (auto [tensor, dimension] : extents)
    sizes.push_back(tensor::getMixedSize(*this, getLoc(), tensor, dimension));
  return tensor::EmptyOp::create(*this, sizes, element);
}

Value TensorBuilder::filled(Value tensor, double value) {
  Number number = constant(getElementTypeOrSelf(tensor.getType()), value);
  return linalg::FillOp::create(*this, number.get(), tensor).getResult(0);
}

Value TensorBuilder::map(Indexed output, ArrayRef<Indexed> inputs, Body body) {
  return generic(output, inputs, [&](ArrayRef<Number> arguments) { return body(arguments.drop_back()); });
}

Value TensorBuilder::reduce(Indexed output, ArrayRef<Indexed> inputs, Reduction body) {
  return generic(output, inputs,
                 [&](ArrayRef<Number> arguments) { return body(arguments.drop_back(), arguments.back()); });
}

Value TensorBuilder::generic(Indexed output, ArrayRef<Indexed> inputs, function_ref<Number(ArrayRef<Number>)> body) {
  SmallVector<Indexed> operands(inputs);
  operands.push_back(output);
  unsigned loops = 0;
  for (const Indexed &operand : operands)
    for (unsigned loop : operand.loops)
      loops = std::max(loops, loop + 1);
  SmallVector<AffineMap> maps;
  SmallVector<Value> tensors;
  for (const Indexed &operand : operands) {
    SmallVector<AffineExpr> indices =
        llvm::map_to_vector(operand.loops, [&](unsigned loop) { return getAffineDimExpr(loop); });
    maps.push_back(AffineMap::get(loops, 0, indices, getContext()));
    tensors.push_back(operand.tensor);
  }
  SmallVector<utils::IteratorType> iterators(loops, utils::IteratorType::reduction);
  for (unsigned loop : output.loops)
    iterators[loop] = utils::IteratorType::parallel;
  auto op = linalg::GenericOp::create(*this, output.tensor.getType(), ArrayRef(tensors).drop_back(), output.tensor,
                                      maps, iterators);
  OpBuilder::InsertionGuard guard(*this);
  Block *block = createBlock(&op.getRegion());
  for (Value tensor : tensors)
    block->addArgument(getElementTypeOrSelf(tensor.getType()), getLoc());
  SmallVector<Number> arguments = llvm::map_to_vector(block->getArguments(), [&](Value x) { return number(x); });
  linalg::YieldOp::create(*this, body(arguments).as(Number(*this, block->getArguments().back())).get());
  return op.getResult(0);
}

//===-- Dropout -----------------------------------------------------------===//
Dropout::Dropout(TensorBuilder &b, Value random, Value site, APFloat rate)
    : keyLow(0), keyHigh(0), step(0), site(b.number(site).toInteger(32)), rate(rate.convertToDouble()) {
  Number at0 = b.constant(b.getIndexType(), 0), at1 = b.constant(b.getIndexType(), 1);
  Number seed = b.element(random, at0);
  keyLow = seed.toInteger(32);
  keyHigh = binary<arith::AddFOp, arith::ShRUIOp>(seed, 32).toInteger(32);
  step = b.element(random, at1).toInteger(32);
}

Number Dropout::factor(Number row, Number column, Type type) const {
  ImplicitLocOpBuilder &b = row.builder();
  auto word = [&](uint32_t value) -> Number {
    return {b, arith::ConstantOp::create(b, b.getI32IntegerAttr(static_cast<int32_t>(value)))};
  };
  auto exclusiveOr = [](Number x, Number y) { return binary<arith::AddFOp, arith::XOrIOp>(x, y); };
  column = column.toInteger(32);
  Number lane = column & 15;
  Number block = binary<arith::AddFOp, arith::ShRUIOp>(column, 6);
  // Philox 4x32-10 (Salmon et al. 2011). The rounds stay a loop: unrolled, they are slow to compile.
  Number begin = Number(0).as(row), rounds = Number(10).as(row), one = Number(1).as(row);
  SmallVector<Value> start;
  for (Number x : {step, site, row.toInteger(32), block * 16 + lane, keyLow, keyHigh})
    start.push_back(x.get());
  auto loop = scf::ForOp::create(b, begin.get(), rounds.get(), one.get(), start);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    auto carried = [&](unsigned i) -> Number { return {b, loop.getRegionIterArg(i)}; };
    auto product0 = arith::MulUIExtendedOp::create(b, carried(0).get(), word(0xD2511F53).get());
    auto product1 = arith::MulUIExtendedOp::create(b, carried(2).get(), word(0xCD9E8D57).get());
    Number first = exclusiveOr(exclusiveOr({b, product1.getHigh()}, carried(1)), carried(4));
    Number third = exclusiveOr(exclusiveOr({b, product0.getHigh()}, carried(3)), carried(5));
    scf::YieldOp::create(b, ValueRange{first.get(), product1.getLow(), third.get(), product0.getLow(),
                                       (carried(4) + word(0x9E3779B9)).get(), (carried(5) + word(0xBB67AE85)).get()});
  }
  auto counter = [&](unsigned i) -> Number { return {b, loop.getResult(i)}; };
  Number which = binary<arith::AddFOp, arith::ShRUIOp>(column, 4) & 3;
  Number drawn =
      select(which == 0, counter(0), select(which == 1, counter(1), select(which == 2, counter(2), counter(3))));
  // An integer is at least rate * 2^32 where it is at least the next integer.
  Number bound = word(static_cast<uint32_t>(std::ceil(rate * 4294967296.0)));
  Number keeps = {b, arith::CmpIOp::create(b, arith::CmpIPredicate::uge, drawn.get(), bound.get())};
  Number scale = {b, arith::ConstantOp::create(b, FloatAttr::get(type, 1 / (1 - rate)))};
  return select(keeps, scale, 0);
}
} // namespace mlir::xf
