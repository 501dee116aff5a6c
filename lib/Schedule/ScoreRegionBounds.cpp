//===- ScoreRegionBounds.cpp - blocks of scores that a region masks -------===//
// Interval arithmetic on a score region, as scalar code: of a block's first and last queries and keys it follows
// whether all of its scores are -inf, so that a kernel need not visit it. A sliding window written as a region is one.
//===----------------------------------------------------------------------===//
#include "xf/Schedule/ScoreRegion.h"
#include "llvm/ADT/TypeSwitch.h"

namespace mlir::xf {
namespace {
using Bounds = ScoreRegion::Bounds;

class Interval {
public:
  /// `known` gives numbers of the head alone, which are there, or null.
  Interval(Emitter &e, Block &block, function_ref<Value(Value)> known, Bounds queries, Bounds keys)
      : e(e), known(known), type(queries.least.getType()) {
    bounds[block.getArgument(ScoreQuery)] = queries;
    bounds[block.getArgument(ScoreKey)] = keys;
  }

  /// Whether a score may be other than -inf: i1, or null where nothing is known of it.
  Value mayBeScore(Value score) {
    Operation *op = score.getDefiningOp();
    APFloat constant(0.0);
    if (!op)
      return {};
    auto of = [&](unsigned operand) { return mayBeScore(op->getOperand(operand)); };
    return llvm::TypeSwitch<Operation *, Value>(op)
        .Case([&](arith::ConstantOp) -> Value {
          bool isMasked =
              matchPattern(op, m_ConstantFloat(&constant)) && constant.isInfinity() && constant.isNegative();
          return isMasked ? truth(false) : Value();
        })
        .Case([&](arith::SelectOp select) {
          Truth condition = truthOf(select.getCondition());
          return either(both(condition.mayHold, of(1)), both(condition.mayFail, of(2)));
        })
        .Case<arith::AddFOp, arith::MinimumFOp>([&](auto) { return both(of(0), of(1)); })
        .Case([&](arith::SubFOp) { return of(0); })
        .Case([&](arith::MaximumFOp) { return either(of(0), of(1)); })
        .Default([](Operation *) { return Value(); });
  }

private:
  /// What a condition may be for some of the scores: i1, or null for what it may.
  struct Truth {
    Value mayHold, mayFail;
  };

  Value truth(bool value) { return arith::ConstantOp::create(e.b, e.loc, e.b.getBoolAttr(value)); }
  Value both(Value x, Value y) { return x && y ? e.make<arith::AndIOp>(x, y) : x ? x : y; }
  Value either(Value x, Value y) { return x && y ? e.make<arith::OrIOp>(x, y) : Value(); }
  Value compare(arith::CmpIPredicate predicate, Value x, Value y) { return e.compare(predicate, x, y); }
  Value max(Value x, Value y) { return e.make<arith::MaxSIOp>(x, y); }

  Truth truthOf(Value condition) {
    if (Value value = known(condition))
      return {value, e.make<arith::XOrIOp>(value, truth(true))};
    Operation *op = condition.getDefiningOp();
    auto of = [&](unsigned operand) { return truthOf(op->getOperand(operand)); };
    return llvm::TypeSwitch<Operation *, Truth>(op)
        .Case([&](arith::AndIOp) {
          Truth x = of(0), y = of(1);
          return Truth{both(x.mayHold, y.mayHold), either(x.mayFail, y.mayFail)};
        })
        .Case([&](arith::OrIOp) {
          Truth x = of(0), y = of(1);
          return Truth{either(x.mayHold, y.mayHold), both(x.mayFail, y.mayFail)};
        })
        .Case([&](arith::XOrIOp) {
          for (unsigned operand : {0, 1})
            if (matchPattern(op->getOperand(1 - operand), m_One())) {
              Truth x = of(operand);
              return Truth{x.mayFail, x.mayHold};
            }
          return Truth();
        })
        .Case([&](arith::CmpIOp compared) { return truthOf(compared); })
        .Default([](Operation *) { return Truth(); });
  }

  Truth truthOf(arith::CmpIOp op) {
    std::optional<Bounds> x = boundsOf(op.getLhs()), y = boundsOf(op.getRhs());
    if (!x || !y)
      return {};
    using Predicate = arith::CmpIPredicate;
    auto isLess = [&](Value a, Value b) { return compare(Predicate::slt, a, b); };
    auto isAtMost = [&](Value a, Value b) { return compare(Predicate::sle, a, b); };
    Truth isEqual{both(isAtMost(x->least, y->most), isAtMost(y->least, x->most)),
                  either(compare(Predicate::ne, x->least, y->most), compare(Predicate::ne, x->most, y->least))};
    switch (op.getPredicate()) {
    case Predicate::slt:
      return {isLess(x->least, y->most), isAtMost(y->least, x->most)};
    case Predicate::sle:
      return {isAtMost(x->least, y->most), isLess(y->least, x->most)};
    case Predicate::sgt:
      return {isLess(y->least, x->most), isAtMost(x->least, y->most)};
    case Predicate::sge:
      return {isAtMost(y->least, x->most), isLess(x->least, y->most)};
    case Predicate::eq:
      return isEqual;
    case Predicate::ne:
      return {isEqual.mayFail, isEqual.mayHold};
    default: // of numbers without a sign
      return {};
    }
  }

  std::optional<Bounds> boundsOf(Value number) {
    auto it = bounds.find(number);
    if (it == bounds.end())
      it = bounds.try_emplace(number, computeBounds(number)).first;
    return it->second;
  }

  std::optional<Bounds> computeBounds(Value number) {
    if (Value value = known(number)) {
      value = e.castTo(type, value);
      return Bounds{value, value};
    }
    Operation *op = number.getDefiningOp();
    if (!op)
      return std::nullopt;
    if (isa<arith::IndexCastOp>(op))
      return boundsOf(op->getOperand(0));
    if (!isa<arith::AddIOp, arith::SubIOp, arith::MulIOp, arith::MaxSIOp, arith::MinSIOp, arith::SelectOp>(op))
      return std::nullopt;
    unsigned first = op->getNumOperands() - 2;
    std::optional<Bounds> x = boundsOf(op->getOperand(first)), y = boundsOf(op->getOperand(first + 1));
    if (!x || !y)
      return std::nullopt;
    return llvm::TypeSwitch<Operation *, std::optional<Bounds>>(op)
        .Case([&](arith::AddIOp) { return Bounds{e.add(x->least, y->least), e.add(x->most, y->most)}; })
        .Case([&](arith::SubIOp) { return Bounds{e.sub(x->least, y->most), e.sub(x->most, y->least)}; })
        .Case([&](arith::MulIOp) {
          auto product = [&](Value p, Value q) { return e.mul(e.toIndex(p), e.toIndex(q)); };
          Value a = product(x->least, y->least), b = product(x->least, y->most), c = product(x->most, y->least),
                d = product(x->most, y->most);
          // Vectors of i32 wrap around.
          Value lowest = e.index(std::numeric_limits<int32_t>::min()),
                highest = e.index(std::numeric_limits<int32_t>::max());
          Value least = e.min(e.min(a, b), e.min(c, d)), most = max(max(a, b), max(c, d));
          Value wraps = e.make<arith::OrIOp>(compare(arith::CmpIPredicate::slt, least, lowest),
                                             compare(arith::CmpIPredicate::sgt, most, highest));
          return Bounds{e.castTo(type, e.select(wraps, lowest, least)), e.castTo(type, e.select(wraps, highest, most))};
        })
        .Case([&](arith::MaxSIOp) { return Bounds{max(x->least, y->least), max(x->most, y->most)}; })
        .Case([&](arith::MinSIOp) { return Bounds{e.min(x->least, y->least), e.min(x->most, y->most)}; })
        .Case([&](arith::SelectOp) { return Bounds{e.min(x->least, y->least), max(x->most, y->most)}; });
  }

  Emitter &e;
  function_ref<Value(Value)> known;
  Type type; // of bounds
  DenseMap<Value, std::optional<Bounds>> bounds;
};
} // namespace

Value ScoreRegion::mayHaveScores(Bounds queries, Bounds keys) {
  auto known = [&](Value value) { return levelOf(value) == OfHead ? scalars.lookup(value) : Value(); };
  return Interval(e, *block, known, queries, keys).mayBeScore(block->getTerminator()->getOperand(0));
}
} // namespace mlir::xf
