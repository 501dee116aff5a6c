//===- Fuse.cpp - which ops share a kernel --------------------------------===//
// Stage `fuse`. One walk in program order; a group grows downwards, to the position of its latest op, or where that
// can't be, takes the op up.
//===----------------------------------------------------------------------===//
#include "xf/Kernels/Passes.h"

namespace mlir::xf {
#define GEN_PASS_DEF_FUSEPASS
#include "xf/Kernels/Passes.h.inc"

namespace {
struct Group {
  KernelKind kind;
  Operation *root;
  SmallVector<Operation *> ops; // in program order
};

class Fuser {
public:
  explicit Fuser(Block &block) : block(block) {}

  void run() {
    for (Operation &op : llvm::make_early_inc_range(block))
      if (auto kernelOp = dyn_cast<KernelOpInterface>(op);
          kernelOp && kernelOp.getKernelKind() != KernelKind::Optimizer)
        place(&op, kernelOp.getKernelKind());
    for (std::unique_ptr<Group> &group : groups)
      if (!group->ops.empty())
        wrap(*group);
  }

private:
  void place(Operation *op, KernelKind kind) {
    Group *home = nullptr;
    if (kind == KernelKind::Elementwise || kind == KernelKind::Row || isa<BlockStatisticsOp>(op))
      for (Value operand : op->getOperands()) {
        auto it = groupOf.find(operand.getDefiningOp());
        if (it == groupOf.end() || it->second == home || !mayJoin(op, kind, operand, *it->second))
          continue;
        if (!home)
          home = it->second;
        else if (isChain(*home) && isChain(*it->second))
          home = merge(home, it->second);
        else if (!isChain(*it->second) && it->second->ops.back()->isBeforeInBlock(home->ops.back()) == false &&
                 !isChain(*home))
          home = it->second; // of two products the later one: its tile is the one still in cache
      }
    if (!home) {
      groups.push_back(std::make_unique<Group>(Group{kind, op, {}}));
      home = groups.back().get();
    }
    home->ops.push_back(op);
    groupOf[op] = home;
    if (kind == KernelKind::Row && isChain(*home) && home->kind != KernelKind::Row) {
      home->kind = KernelKind::Row;
      home->root = op;
    }
  }

  static bool isChain(const Group &group) {
    return group.kind == KernelKind::Row || group.kind == KernelKind::Elementwise;
  }

  /// Whether `op`, which uses `operand` of `group`, can be computed where the group's results are still in cache.
  bool mayJoin(Operation *op, KernelKind kind, Value operand, const Group &group) {
    if (isa<RotaryOp>(op)) // it reads other columns too: from memory
      return false;
    auto embedding = dyn_cast<EmbeddingOp>(op);
    if (embedding && embedding.getTable() == operand) // other rows
      return false;
    if (isa<BlockStatisticsOp>(op)) { // it sees blocks of the product
      if (group.kind != KernelKind::Matmul)
        return false;
    } else if (!isChain(group)) {
      if (group.kind != KernelKind::Matmul || kind != KernelKind::Elementwise)
        return false;
      // An epilogue sees a tile: everything it reads has the product's shape.
      for (Value other : op->getOperands())
        if (auto type = dyn_cast<RankedTensorType>(other.getType());
            type && type != operand.getType() && !type.getElementType().isInteger(64))
          return false;
      for (Type type : op->getResultTypes())
        if (type != operand.getType())
          return false;
    }
    // The group moves down to `op`, where nobody in between waits for it; else `op` moves up.
    for (Operation *member : group.ops)
      for (Operation *user : member->getUsers())
        if (Operation *inBlock = block.findAncestorOpInBlock(*user);
            inBlock && inBlock != op && groupOf.lookup(inBlock) != &group && inBlock->isBeforeInBlock(op))
          return moveUp(op, group);
    return true;
  }

  /// Moves an op of a chain to the end of that, if all it takes is known there.
  bool moveUp(Operation *op, const Group &group) {
    Operation *last = group.ops.back();
    if (!isChain(group) || llvm::any_of(op->getOperands(), [&](Value operand) {
          Operation *source = operand.getDefiningOp();
          return source && last->isBeforeInBlock(source);
        }))
      return false;
    op->moveAfter(last);
    return true;
  }

  Group *merge(Group *into, Group *other) {
    for (Operation *op : other->ops)
      groupOf[op] = into;
    llvm::append_range(into->ops, other->ops);
    llvm::sort(into->ops, [](Operation *a, Operation *b) { return a->isBeforeInBlock(b); });
    other->ops.clear();
    if (other->kind == KernelKind::Row && into->kind != KernelKind::Row) {
      into->kind = KernelKind::Row;
      into->root = other->root;
    }
    return into;
  }

  void wrap(const Group &group) {
    Operation *last = group.ops.back();
    DenseSet<Operation *> members(group.ops.begin(), group.ops.end());
    SmallVector<Value> escaping;
    for (Operation *op : group.ops)
      for (Value result : op->getResults())
        if (llvm::any_of(result.getUsers(), [&](Operation *user) { return !members.contains(user); }))
          escaping.push_back(result);

    OpBuilder builder(last);
    std::string label = labelOf(group.root->getLoc());
    if (label.empty())
      label = group.root->getName().stripDialect().str();
    auto wrapper = GroupOp::create(builder, group.root->getLoc(), ValueRange(escaping).getTypes(), group.kind, label);
    Block *body = builder.createBlock(&wrapper.getBody());
    for (auto [value, result] : llvm::zip(escaping, wrapper.getResults()))
      value.replaceUsesWithIf(result, [&](OpOperand &use) { return !members.contains(use.getOwner()); });
    for (Operation *op : group.ops)
      op->moveBefore(body, body->end());
    builder.setInsertionPointToEnd(body);
    YieldOp::create(builder, wrapper.getLoc(), escaping);
  }

  Block &block;
  std::vector<std::unique_ptr<Group>> groups;
  DenseMap<Operation *, Group *> groupOf;
};

struct FusePass : impl::FusePassBase<FusePass> {
  void runOnOperation() override {
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (!function.isExternal() && !function->hasAttr("xf.kernel"))
        for (Block &block : function.getBody()) {
          block.walk([](ChunkedOp chunked) { Fuser(chunked.getBody().front()).run(); });
          Fuser(block).run();
        }
    WalkResult result = getOperation().walk([&](Operation *op) {
      auto kernelOp = dyn_cast<KernelOpInterface>(op);
      if (!kernelOp || kernelOp.getKernelKind() == KernelKind::Optimizer || isa<GroupOp>(op->getParentOp()) ||
          op->getParentOfType<func::FuncOp>()->hasAttr("xf.kernel"))
        return WalkResult::advance();
      op->emitOpError() << "expected to be in a group after stage 'fuse'";
      return WalkResult::interrupt();
    });
    if (result.wasInterrupted())
      signalPassFailure();
  }
};
} // namespace
} // namespace mlir::xf
