//===- Cut.cpp - what a layer's backward computes again -------------------===//
// Each value of the forward is needed by the backward or not, and each op is repeated or not: a needed value whose op
// is not repeated is saved. Costs are of pairs of such choices, so the best of all is a minimum cut.
//===----------------------------------------------------------------------===//
#include "Cut.h"
#include <limits>
#include <queue>

using namespace mlir;
using namespace mlir::xf;

namespace {
constexpr double unbounded = std::numeric_limits<double>::infinity();

/// A flow network: node 0 is the source, node 1 the sink.
class Network {
public:
  int addNode() { return edgesOf.emplace_back(), static_cast<int>(edgesOf.size()) - 1; }
  void addEdge(int from, int to, double capacity) {
    edgesOf[from].push_back(static_cast<int>(edges.size()));
    edges.push_back({to, capacity});
    edgesOf[to].push_back(static_cast<int>(edges.size()));
    edges.push_back({from, 0});
  }

  /// The nodes on the source's side of a minimum cut, as few as there can be: the shortest path that has room is filled
  /// until there is none (Edmonds and Karp).
  std::vector<bool> cut() {
    while (true) {
      std::vector<int> reachedBy(edgesOf.size(), -1);
      std::vector<bool> reached(edgesOf.size(), false);
      reached[source] = true;
      std::queue<int> queue({source});
      for (; !queue.empty() && !reached[sink]; queue.pop())
        for (int edge : edgesOf[queue.front()])
          if (int to = edges[edge].to; edges[edge].room > 0 && !reached[to]) {
            reached[to] = true;
            reachedBy[to] = edge;
            queue.push(to);
          }
      if (!reached[sink])
        return reached;
      double flow = unbounded;
      for (int node = sink; node != source; node = edges[reachedBy[node] ^ 1].to)
        flow = std::min(flow, edges[reachedBy[node]].room);
      for (int node = sink; node != source; node = edges[reachedBy[node] ^ 1].to) {
        edges[reachedBy[node]].room -= flow;
        edges[reachedBy[node] ^ 1].room += flow;
      }
    }
  }

  static constexpr int source = 0, sink = 1;

private:
  struct Edge {
    int to;
    double room;
  };
  std::vector<Edge> edges; // each one's reverse beside it
  std::vector<std::vector<int>> edgesOf = std::vector<std::vector<int>>(2);
};

/// Extents, operations and bytes of a layer's forward for one batch.
class Costs {
public:
  Costs(const Recompute &batch, SymbolTable &symbols) : batch(batch), symbols(symbols) {}

  double bytes(Value value) {
    auto type = dyn_cast<RankedTensorType>(value.getType());
    return type ? numberOf(extents.elements(value)) * type.getElementTypeBitWidth() / 8 : 0;
  }

  /// Running an op once more: its operations, and those that could be done while its results go to memory.
  double repeat(Operation *op) {
    constexpr double operationsPerByte = 10; // what a core computes while it moves one
    double cost = 0;
    if (auto kernelOp = dyn_cast<KernelOpInterface>(op))
      cost = numberOf(kernelOp.getFlops(extents));
    if (auto call = dyn_cast<func::CallOp>(op))
      if (auto callee = symbols.lookup<func::FuncOp>(call.getCallee()))
        for (Operation &inner : callee.getBody().front())
          cost += repeat(&inner);
    for (Value result : op->getResults())
      cost += operationsPerByte * bytes(result);
    return cost;
  }

private:
  static double numberOf(AffineExpr expression) {
    auto constant = dyn_cast<AffineConstantExpr>(expression);
    return constant ? static_cast<double>(constant.getValue()) : 0;
  }

  /// A layer's lists of integers are offsets of sequences; its other tensors have a row a token.
  AffineExpr dynamicExtent(Value value, unsigned dim) {
    int64_t more = 1, fewer = 1; // rows than the layer is given
    while (value.getDefiningOp()) {
      if (auto reshape = value.getDefiningOp<ReshapeOp>()) {
        more *= reshape.getRatio().first;
        fewer *= reshape.getRatio().second;
        value = reshape.getX();
        continue;
      }
      auto op = value.getDefiningOp<KernelOpInterface>();
      if (!op)
        break;
      auto [operand, operandDim] = op.getExtentSource(cast<OpResult>(value).getResultNumber(), dim);
      value = op->getOperand(operand);
      dim = operandDim;
    }
    bool isOffsets = cast<RankedTensorType>(value.getType()).getElementType().isInteger(32);
    return getAffineConstantExpr((isOffsets ? batch.sequences + 1 : batch.tokens) * more / fewer, value.getContext());
  }

  const Recompute &batch;
  SymbolTable &symbols;
  std::function<AffineExpr(Value, unsigned)> dynamic = [this](Value value, unsigned dim) {
    return dynamicExtent(value, dim);
  };
  Extents extents{dynamic};
};

/// Cheaper to compute again than to save, or, as a scalar, not to be saved at all.
bool isAlwaysRepeated(Operation *op) {
  return isa<arith::ConstantOp, ReshapeOp>(op) || llvm::none_of(op->getResultTypes(), llvm::IsaPred<ShapedType>);
}
} // namespace

llvm::DenseSet<Operation *> mlir::xf::chooseRepeated(func::ReturnOp ret, double price, const Recompute &batch,
                                                     SymbolTable &symbols) {
  Costs costs(batch, symbols);
  Network network;
  llvm::DenseMap<Operation *, int> repeated; // an op's node is the source's where it is repeated
  llvm::DenseMap<Value, int> needed;         // a value's, where the backward or an op that is repeated uses it
  auto isForward = [&](Operation *op) { return op && op->getBlock() == ret->getBlock() && op->isBeforeInBlock(ret); };
  auto nodeOf = [&](Value value) {
    auto [entry, isNew] = needed.try_emplace(value, 0);
    if (isNew)
      entry->second = network.addNode();
    return entry->second;
  };
  for (Operation &op : llvm::make_range(ret->getBlock()->begin(), Block::iterator(ret))) {
    int node = repeated[&op] = network.addNode();
    network.addEdge(node, Network::sink, isAlwaysRepeated(&op) ? 0 : costs.repeat(&op));
    for (Value operand : op.getOperands())
      if (isForward(operand.getDefiningOp()))
        network.addEdge(node, nodeOf(operand), unbounded);
    for (Value result : op.getResults()) {
      // What the layer returns is somebody's already.
      bool isReturned = llvm::is_contained(ret.getOperands(), result);
      network.addEdge(nodeOf(result), node,
                      isAlwaysRepeated(&op) ? unbounded
                      : isReturned          ? 0
                                            : price * costs.bytes(result));
    }
  }
  for (Operation &op : llvm::make_range(std::next(Block::iterator(ret)), ret->getBlock()->end()))
    for (Value operand : op.getOperands())
      if (isForward(operand.getDefiningOp()))
        network.addEdge(Network::source, nodeOf(operand), unbounded);
  std::vector<bool> sourceSide = network.cut();
  llvm::DenseSet<Operation *> result;
  for (auto [op, node] : repeated)
    if (sourceSide[node])
      result.insert(op);
  return result;
}
