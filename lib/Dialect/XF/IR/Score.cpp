//===- Score.cpp - score regions of attention -----------------------------===//
// Reverse mode on scalars: a region is straight code, so the derivative is one walk back from what it yields.
//===----------------------------------------------------------------------===//
#include "xf/Dialect/XF/IR/Score.h"
#include "mlir/IR/IRMapping.h"
#include "xf/Dialect/XF/IR/Size.h"
#include "llvm/ADT/TypeSwitch.h"
#include <cmath>

namespace mlir::xf {

//===-- Verification --------------------------------------------------------===//
static bool isScoreOp(Operation *op) {
  return isa<arith::ConstantOp, arith::AddFOp, arith::SubFOp, arith::MulFOp, arith::DivFOp, arith::NegFOp,
             arith::MaximumFOp, arith::MinimumFOp, arith::CmpFOp, arith::SelectOp, arith::AddIOp, arith::SubIOp,
             arith::MulIOp, arith::MaxSIOp, arith::MinSIOp, arith::CmpIOp, arith::AndIOp, arith::OrIOp, arith::XOrIOp,
             arith::IndexCastOp, arith::SIToFPOp, arith::FPToSIOp, math::AbsFOp, math::ExpOp, math::Exp2Op, math::LogOp,
             math::TanhOp, tensor::ExtractOp, AddGradientOp, YieldOp>(op);
}

/// Gradients have as many elements for every head of every sequence.
static constexpr int64_t largestCapture = 1 << 28;

LogicalResult verifyScore(Operation *op, Region &score, ValueRange captures, Type element, unsigned results) {
  if (score.empty())
    return captures.empty() ? success() : op->emitOpError() << "expected captured tensors to have a score region";
  for (auto [index, capture] : llvm::enumerate(captures)) {
    auto type = cast<RankedTensorType>(capture.getType());
    if (!type.hasStaticShape() || !hasGoodSize(type) || type.getNumElements() > largestCapture ||
        (type.getElementType() != element && !type.getElementType().isInteger(32)))
      return op->emitOpError() << "expected captured tensor " << index << " to be of " << element
                               << " or i32, with static extents that are not 0 and at most " << largestCapture
                               << " elements, but got " << type;
  }
  Block &block = score.front();
  SmallVector<Type> expected{element};
  expected.append(3, IndexType::get(op->getContext()));
  llvm::append_range(expected, captures.getTypes());
  if (TypeRange(expected) != block.getArgumentTypes())
    return op->emitOpError()
           << "expected its score region to take (score, head, query, key, captured tensors) of types " << expected
           << ", but got " << block.getArgumentTypes();
  auto yield = dyn_cast<YieldOp>(block.getTerminator());
  if (!yield || yield->getOperandTypes() != TypeRange(SmallVector<Type>(results, element)))
    return op->emitOpError() << "expected its score region to end in xf.yield of " << results << " x " << element
                             << (results == 1 ? ", the score" : ", the score and its derivative");
  for (Operation &inner : block) {
    bool isKnown = isScoreOp(&inner) && (results > 1 || !isa<AddGradientOp>(inner));
    for (Type type : inner.getResultTypes())
      isKnown &= type == element || type.isIndex() || type.isInteger(32) || type.isInteger(1);
    if (auto extract = dyn_cast<tensor::ExtractOp>(inner))
      isKnown &= isa<BlockArgument>(extract.getTensor());
    IntegerAttr number; // kernels have indices of i32
    if (inner.getNumResults() == 1 && inner.getResult(0).getType().isIndex() &&
        matchPattern(&inner, m_Constant(&number)) && !number.getValue().isSignedIntN(32))
      return inner.emitOpError()
             << "can't stand in a score region: that counts from -2147483648 to 2147483647, but got "
             << number.getInt();
    if (isKnown)
      continue;
    InFlightDiagnostic diagnostic = inner.emitOpError()
                                    << "can't stand in a score region: that takes numbers of " << element
                                    << ", i32, index and i1; arith's constant, addf, subf, mulf, divf, negf, maximumf, "
                                       "minimumf, cmpf, select, addi, "
                                       "subi, muli, maxsi, minsi, cmpi, andi, ori, xori, index_cast, sitofp and "
                                       "fptosi; math's absf, exp, exp2, log "
                                       "and tanh; and tensor.extract of what is captured";
    diagnostic.attachNote(op->getLoc()) << "the score region of this op";
    return failure();
  }
  return success();
}

SmallVector<unsigned> capturesWithGradients(Region &derivative) {
  SmallVector<unsigned> numbers;
  derivative.walk([&](AddGradientOp add) {
    numbers.push_back(cast<BlockArgument>(add.getCapture()).getArgNumber() - ScoreCaptures);
  });
  llvm::sort(numbers);
  numbers.erase(llvm::unique(numbers), numbers.end());
  return numbers;
}

bool isOfHeads(Region &derivative, unsigned capture, int64_t heads) {
  Block &block = derivative.front();
  return llvm::all_of(block.getOps<AddGradientOp>(), [&](AddGradientOp add) {
    return add.getCapture() != block.getArgument(ScoreCaptures + capture) ||
           (!add.getIndices().empty() && add.getIndices().front() == block.getArgument(ScoreHead) &&
            add.getCapture().getType().getDimSize(0) == heads);
  });
}

int64_t scoreFlops(Region &score) {
  int64_t count = 0;
  score.walk([&](Operation *op) {
    count += !isa<arith::ConstantOp, tensor::ExtractOp>(op) && op->getNumResults() == 1 &&
             isa<FloatType>(op->getResult(0).getType());
  });
  return count;
}

//===-- Derivative ----------------------------------------------------------===//
namespace {
class Differentiation {
public:
  Differentiation(Block &block, ArrayRef<bool> active)
      : block(block), b(block.getTerminator()), loc(block.getTerminator()->getLoc()) {
    depends.insert(block.getArgument(ScoreValue));
    for (auto [number, isActive] : llvm::enumerate(active))
      if (isActive)
        depends.insert(block.getArgument(ScoreCaptures + number));
    for (Operation &op : block)
      if (op.getNumResults() == 1 && isa<FloatType>(op.getResult(0).getType()) &&
          llvm::any_of(op.getOperands(), [&](Value operand) { return depends.contains(operand); }))
        depends.insert(op.getResult(0));
  }

  void run() {
    Operation *yield = block.getTerminator();
    Value score = yield->getOperand(0);
    SmallVector<Operation *> forward =
        llvm::map_to_vector(block.without_terminator(), [](Operation &op) { return &op; });
    if (depends.contains(score))
      cotangents[score] = constant(score.getType(), 1);
    for (Operation *op : llvm::reverse(forward))
      if (op->getNumResults() == 1)
        if (Value cotangent = cotangents.lookup(op->getResult(0)))
          propagate(op, cotangent);
    Value byScore = cotangents.lookup(block.getArgument(ScoreValue));
    yield->insertOperands(1, byScore ? byScore : constant(score.getType(), 0));
  }

private:
  Value constant(Type type, double value) { return arith::ConstantOp::create(b, loc, b.getFloatAttr(type, value)); }
  Value multiply(Value x, Value cotangent) { return b.createOrFold<arith::MulFOp>(loc, x, cotangent); }
  Value negate(Value x) { return arith::NegFOp::create(b, loc, x); }

  /// Adds to an operand's cotangent; `make` is called where it has any.
  void add(Value operand, function_ref<Value()> make) {
    if (!depends.contains(operand))
      return;
    Value &cotangent = cotangents[operand], contribution = make();
    cotangent = cotangent ? arith::AddFOp::create(b, loc, cotangent, contribution).getResult() : contribution;
  }
  /// The one of two operands that a result is equal to gets its cotangent.
  void choose(Value condition, Value x, Value y, Value cotangent) {
    Value zero = constant(cotangent.getType(), 0);
    add(x, [&] { return arith::SelectOp::create(b, loc, condition, cotangent, zero); });
    add(y, [&] { return arith::SelectOp::create(b, loc, condition, zero, cotangent); });
  }

  void propagate(Operation *op, Value cotangent) {
    auto operand = [&](unsigned i) { return op->getOperand(i); };
    Value result = op->getResult(0);
    auto compare = [&](arith::CmpFPredicate predicate, Value x, Value y) {
      return arith::CmpFOp::create(b, loc, predicate, x, y);
    };
    llvm::TypeSwitch<Operation *>(op)
        .Case([&](arith::AddFOp) {
          add(operand(0), [&] { return cotangent; });
          add(operand(1), [&] { return cotangent; });
        })
        .Case([&](arith::SubFOp) {
          add(operand(0), [&] { return cotangent; });
          add(operand(1), [&] { return negate(cotangent); });
        })
        .Case([&](arith::MulFOp) {
          add(operand(0), [&] { return multiply(operand(1), cotangent); });
          add(operand(1), [&] { return multiply(operand(0), cotangent); });
        })
        .Case([&](arith::DivFOp) {
          add(operand(0), [&] { return arith::DivFOp::create(b, loc, cotangent, operand(1)); });
          add(operand(1),
              [&] { return negate(arith::DivFOp::create(b, loc, multiply(result, cotangent), operand(1))); });
        })
        .Case([&](arith::NegFOp) { add(operand(0), [&] { return negate(cotangent); }); })
        .Case([&](arith::SelectOp) { choose(operand(0), operand(1), operand(2), cotangent); })
        .Case([&](arith::MaximumFOp) {
          choose(compare(arith::CmpFPredicate::OGE, operand(0), operand(1)), operand(0), operand(1), cotangent);
        })
        .Case([&](arith::MinimumFOp) {
          choose(compare(arith::CmpFPredicate::OLE, operand(0), operand(1)), operand(0), operand(1), cotangent);
        })
        .Case([&](math::ExpOp) { add(operand(0), [&] { return multiply(result, cotangent); }); })
        .Case([&](math::Exp2Op) {
          add(operand(0), [&] { return multiply(multiply(result, constant(result.getType(), M_LN2)), cotangent); });
        })
        .Case(
            [&](math::LogOp) { add(operand(0), [&] { return arith::DivFOp::create(b, loc, cotangent, operand(0)); }); })
        .Case([&](math::TanhOp) {
          add(operand(0), [&] {
            Value square = arith::MulFOp::create(b, loc, result, result);
            return multiply(arith::SubFOp::create(b, loc, constant(result.getType(), 1), square), cotangent);
          });
        })
        .Case([&](math::AbsFOp) {
          add(operand(0), [&] {
            Value negative = compare(arith::CmpFPredicate::OLT, operand(0), constant(result.getType(), 0));
            return arith::SelectOp::create(b, loc, negative, negate(cotangent), cotangent);
          });
        })
        .Case([&](tensor::ExtractOp read) {
          AddGradientOp::create(b, loc, cotangent, read.getTensor(), read.getIndices());
        });
  }

  Block &block;
  OpBuilder b;
  Location loc;
  llvm::DenseSet<Value> depends; // on the score, or on captured tensors that are active
  llvm::DenseMap<Value, Value> cotangents;
};
} // namespace

void buildScoreDerivative(Region &score, Region &derivative, ArrayRef<bool> active) {
  if (score.empty())
    return;
  IRMapping mapping;
  score.cloneInto(&derivative, mapping);
  Differentiation(derivative.front(), active).run();
}
} // namespace mlir::xf
