//===- ChunkLogits.cpp - a loss without all of its logits -----------------===//
// First pass of stage `fuse`. Logits and their gradient are the largest tensors of a model with a large vocabulary, and
// each row of them is used for a moment.
//===----------------------------------------------------------------------===//
#include "xf/Kernels/Passes.h"

namespace mlir::xf {
#define GEN_PASS_DEF_CHUNKLOGITSPASS
#include "xf/Kernels/Passes.h.inc"
namespace {

/// A projection, its loss, and the backward of both where there is one.
class LossOfLogits {
public:
  explicit LossOfLogits(CrossEntropyOp loss) : loss(loss), projection(loss.getLogits().getDefiningOp<LinearOp>()) {}

  bool match() {
    if (!projection || projection->getBlock() != loss->getBlock())
      return false;
    for (Operation *user : projection->getUsers()) {
      if (user == loss)
        continue;
      auto candidate = dyn_cast<CrossEntropyBackwardOp>(user);
      if (!candidate || backward || candidate.getLogits() != projection.getResult() ||
          candidate.getLogSumExp() != loss.getLogSumExp() || candidate.getLabels() != loss.getLabels())
        return false;
      backward = candidate;
    }
    // Of the forward's own results the backward may use the logarithm alone.
    if (!backward)
      return true;
    Value gradient = backward.getResult();
    for (Operation *user : gradient.getUsers()) {
      auto product = dyn_cast<MatmulOp>(user);
      bool weight = product && product.getTransposeA() && !product.getTransposeB() && product.getA() == gradient &&
                    product.getB() == projection.getX();
      bool input = product && !product.getTransposeA() && product.getA() == gradient && !product.getInto() &&
                   product.getB() != gradient;
      if (!weight && !input && !isa<ColumnSumOp>(user))
        return false;
      gradients.push_back(user);
    }
    llvm::sort(gradients, [](Operation *a, Operation *b) { return a->isBeforeInBlock(b); });
    return reachCotangent() && llvm::all_of(gradients, [&](Operation *op) { return takesNothingLater(op); });
  }

  void rewrite(int64_t rows) {
    OpBuilder builder(loss);
    if (auto mean = backward ? backward.getCotangent().getDefiningOp<MeanBackwardOp>() : MeanBackwardOp()) {
      // A mean's backward asks for the number of rows alone.
      mean.getLikeMutable().assign(loss.getLabels());
      if (!isBefore(mean.getCotangent()))
        mean.getCotangent().getDefiningOp()->moveBefore(loss);
      mean->moveBefore(loss);
    }
    SmallVector<Operation *> ops{projection, loss};
    if (backward)
      ops.push_back(backward);
    llvm::append_range(ops, gradients);

    SmallVector<Value> tensors{projection.getX(), loss.getLabels()}, sums, rowResults(loss.getResults()), sumResults;
    if (backward)
      tensors.push_back(backward.getCotangent());
    for (Operation *op : gradients) {
      Value result = op->getResult(0);
      if (auto product = dyn_cast<MatmulOp>(op); product && !product.getTransposeA()) {
        rowResults.push_back(result);
        continue;
      }
      auto type = cast<RankedTensorType>(result.getType());
      auto product = dyn_cast<MatmulOp>(op);
      sums.push_back(product && product.getInto()
                         ? product.getInto()
                         : arith::ConstantOp::create(builder, op->getLoc(),
                                                     DenseElementsAttr::get(type, builder.getF32FloatAttr(0)))
                               .getResult());
      sumResults.push_back(result);
    }
    llvm::erase_if(rowResults, [&](Value value) {
      return llvm::all_of(value.getUsers(), [&](Operation *user) { return llvm::is_contained(ops, user); });
    });

    SmallVector<Value> old(rowResults);
    llvm::append_range(old, sumResults);
    auto chunked = ChunkedOp::create(builder, loss.getLoc(), ValueRange(old).getTypes(),
                                     builder.getI64IntegerAttr(rows), tensors, sums);
    SmallVector<Type> types(ValueRange(tensors).getTypes());
    llvm::append_range(types, ValueRange(sums).getTypes());
    Block *body =
        builder.createBlock(&chunked.getBody(), {}, types, SmallVector<Location>(types.size(), loss.getLoc()));

    IRMapping mapping;
    mapping.map(tensors, body->getArguments().take_front(tensors.size()));
    SmallVector<Value> sumsSoFar(body->getArguments().drop_front(tensors.size()));
    SmallVector<Value> next;
    for (Operation *op : ops) {
      Operation *clone = builder.clone(*op, mapping);
      if (!llvm::is_contained(gradients, op) || !llvm::is_contained(sumResults, op->getResult(0)))
        continue;
      Value sum = sumsSoFar[next.size()];
      if (auto product = dyn_cast<MatmulOp>(clone)) {
        product.getIntoMutable().assign(sum);
        next.push_back(product.getResult());
      } else {
        next.push_back(AddOp::create(builder, op->getLoc(), sum, clone->getResult(0)));
      }
    }
    SmallVector<Value> yielded = llvm::map_to_vector(rowResults, [&](Value value) { return mapping.lookup(value); });
    llvm::append_range(yielded, next);
    YieldOp::create(builder, loss.getLoc(), yielded);
    for (auto [value, result] : llvm::zip(old, chunked.getResults()))
      value.replaceAllUsesWith(result);
    for (Operation *op : llvm::reverse(ops))
      op->erase();
  }

private:
  bool isBefore(Value value) {
    Operation *op = value.getDefiningOp();
    return !op || op->getBlock() != loss->getBlock() || op->isBeforeInBlock(loss);
  }

  /// Whether the gradient of the loss is known before it, or can be: it is the same for all rows.
  bool reachCotangent() {
    if (isBefore(backward.getCotangent()))
      return true;
    auto mean = backward.getCotangent().getDefiningOp<MeanBackwardOp>();
    return mean && mean->hasOneUse() &&
           (isBefore(mean.getCotangent()) || mean.getCotangent().getDefiningOp<arith::ConstantOp>());
  }

  bool takesNothingLater(Operation *op) {
    return llvm::all_of(op->getOperands(),
                        [&](Value operand) { return operand == backward.getResult() || isBefore(operand); });
  }

  CrossEntropyOp loss;
  LinearOp projection;
  CrossEntropyBackwardOp backward;
  SmallVector<Operation *> gradients;
};

struct ChunkLogitsPass : impl::ChunkLogitsPassBase<ChunkLogitsPass> {
  using ChunkLogitsPassBase::ChunkLogitsPassBase;

  void runOnOperation() override {
    constexpr int64_t fewest = 16;
    SmallVector<CrossEntropyOp> losses;
    getOperation().walk([&](CrossEntropyOp op) {
      if (!isa<ChunkedOp>(op->getParentOp()))
        losses.push_back(op);
    });
    for (CrossEntropyOp loss : losses) {
      auto logits = loss.getLogits().getType();
      int64_t rows = std::max(fewest, bytes / 4 / std::max<int64_t>(logits.getDimSize(1), 1) / fewest * fewest);
      if (!logits.isDynamicDim(0) || logits.isDynamicDim(1))
        continue;
      if (LossOfLogits found(loss); found.match())
        found.rewrite(rows);
    }
  }
};
} // namespace
} // namespace mlir::xf
