//===- Differentiate.cpp - reverse-mode differentiation -------------------===//
// Functions are differentiated, not inlined. What a layer's backward needs of its forward follows from the backward
// itself: it is built first, behind a copy of the forward, and where the two are cut apart the values that cross are
// saved.
//===----------------------------------------------------------------------===//
#include "Differentiate.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/SaveAndRestore.h"

using namespace mlir;
using namespace mlir::xf;

namespace {
/// Which values depend on the sources: only through these do cotangents flow.
llvm::DenseSet<Value> findActive(Block &body, ArrayRef<Value> sources) {
  llvm::DenseSet<Value> active(sources.begin(), sources.end());
  for (Operation &op : body)
    if (llvm::any_of(op.getOperands(), [&](Value operand) { return active.contains(operand); }))
      for (Value result : op.getResults())
        if (auto type = dyn_cast<RankedTensorType>(result.getType()); type && isa<FloatType>(type.getElementType()))
          active.insert(result);
  return active;
}

/// Cotangents as they grow: contributions in the order in which the backward finds them.
class Cotangents {
public:
  void add(OpBuilder &builder, Location loc, Value value, Value contribution) {
    Value &cotangent = cotangents[value];
    cotangent =
        cotangent ? Value(AddOp::create(builder, loc, cotangent.getType(), cotangent, contribution)) : contribution;
  }
  /// A value's cotangent is complete when its op is reached, and kept no longer.
  Value take(Value value) {
    Value cotangent = cotangents.lookup(value);
    cotangents.erase(value);
    return cotangent;
  }

private:
  llvm::DenseMap<Value, Value> cotangents;
};

/// The statistics that forward ops hand to their own backward lead to no loss, and no loss is led to by angles.
LogicalResult checkRule(Operation *op, ArrayRef<Value> cotangents, ArrayRef<bool> wanted) {
  if (isa<RotaryOp>(op) && wanted[1])
    return op->emitError() << "operand 'angles' of op '" << op->getName()
                           << "' has no derivative; stage 'autodiff' supports angles of positions, that is of "
                              "xf.rotary_angles, and not of parameters";
  bool reached = false;
  if (isa<AttentionOp>(op))
    reached = cotangents[1] != Value();
  if (isa<CrossEntropyOp>(op))
    reached = cotangents[2] != Value();
  if (reached)
    return op->emitError() << "result 'log_sum_exp' of op '" << op->getName()
                           << "' has no derivative; stage 'autodiff' supports losses of its other results";
  return success();
}

} // namespace

void mlir::xf::eraseUnused(Block &body) {
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(body)))
    if (op.use_empty() && !op.hasTrait<OpTrait::IsTerminator>() && (isPure(&op) || isa<func::CallOp>(op)))
      op.erase();
}

FailureOr<SmallVector<Value>> Differentiator::appendBackward(Block &body, func::ReturnOp ret, ArrayRef<Value> seeds,
                                                             ArrayRef<Value> sources) {
  OpBuilder builder = OpBuilder::atBlockEnd(&body);
  llvm::DenseSet<Value> active = findActive(body, sources);
  auto isActive = [&](Value value) { return active.contains(value); };
  Cotangents cotangents;
  for (auto [seed, result] : llvm::zip(seeds, ret.getOperands()))
    if (seed && isActive(result))
      cotangents.add(builder, ret.getLoc(), result, seed);

  SmallVector<Operation *> forward;
  for (Operation &op : llvm::make_range(body.begin(), Block::iterator(ret)))
    forward.push_back(&op);
  for (Operation *op : llvm::reverse(forward)) {
    // A source is an operand of the backward, not a result of it: its cotangent grows to the end.
    if (llvm::any_of(op->getResults(), [&](Value result) { return llvm::is_contained(sources, result); }))
      continue;
    SmallVector<Value> incoming =
        llvm::map_to_vector(op->getResults(), [&](Value result) { return cotangents.take(result); });
    if (llvm::none_of(incoming, [](Value cotangent) { return static_cast<bool>(cotangent); }))
      continue;
    SmallVector<Value> operands(op->getOperands());
    SmallVector<bool> wanted = llvm::map_to_vector(operands, isActive);
    FailureOr<SmallVector<Value>> outgoing = buildBackward(builder, op, incoming, wanted);
    if (failed(outgoing))
      return failure();
    for (auto [operand, cotangent, isWanted] : llvm::zip(operands, *outgoing, wanted))
      if (cotangent && isWanted)
        cotangents.add(builder, cotangent.getLoc(), operand, cotangent);
  }
  return llvm::map_to_vector(sources, [&](Value source) { return cotangents.take(source); });
}

FailureOr<SmallVector<Value>> Differentiator::buildBackward(OpBuilder &builder, Operation *op, ArrayRef<Value> incoming,
                                                            ArrayRef<bool> wanted) {
  if (failed(checkRule(op, incoming, wanted)))
    return failure();
  if (auto differentiable = dyn_cast<DifferentiableOpInterface>(op))
    return differentiable.buildBackward(builder, incoming, wanted);
  auto call = dyn_cast<func::CallOp>(op);
  if (!call)
    return op->emitError() << "op '" << op->getName()
                           << "' has no derivative; stage 'autodiff' supports calls of layer functions and the ops "
                              "with a differentiation rule, such as xf.linear and xf.attention";

  SmallVector<bool> seeded =
      llvm::map_to_vector(incoming, [](Value cotangent) { return static_cast<bool>(cotangent); });
  FailureOr<const Derivative *> derivative = differentiate(call, wanted, seeded);
  if (failed(derivative))
    return failure();
  OpBuilder forwardBuilder(call);
  auto fwd = func::CallOp::create(forwardBuilder, call.getLoc(), (*derivative)->fwd, call.getOperands());
  SmallVector<Value> inputs, outgoing(call.getNumOperands());
  for (unsigned i : (*derivative)->arguments)
    inputs.push_back(call.getOperand(i));
  for (unsigned i : (*derivative)->results)
    inputs.push_back(fwd.getResult(i));
  llvm::copy_if(incoming, std::back_inserter(inputs), [](Value cotangent) { return static_cast<bool>(cotangent); });
  auto bwd = func::CallOp::create(builder, call.getLoc(), (*derivative)->bwd, inputs);
  for (auto [result, argument] : llvm::zip(bwd.getResults(), (*derivative)->gradients))
    outgoing[argument] = result;
  call->replaceAllUsesWith(fwd.getResults().take_front(call.getNumResults()));
  call.erase();
  return outgoing;
}

FailureOr<const Derivative *> Differentiator::differentiate(func::CallOp call, ArrayRef<bool> active,
                                                            ArrayRef<bool> seeded) {
  auto layer = symbols.lookup<func::FuncOp>(call.getCallee());
  if (!layer || !layer.getBody().hasOneBlock())
    return call.emitError() << "'" << call.getCallee()
                            << "' is not a function of one block; stage 'autodiff' supports straight-line layers";
  double callPrice = priceOf(call);
  auto [entry, isNew] = derivatives.try_emplace(Key(layer, std::vector<bool>(active.begin(), active.end()),
                                                    std::vector<bool>(seeded.begin(), seeded.end()), callPrice));
  if (isNew) {
    llvm::SaveAndRestore inLayer(price, std::optional(callPrice));
    FailureOr<Derivative> derivative = makeDerivative(layer, active, seeded);
    if (failed(derivative))
      return failure();
    entry->second = *derivative;
  }
  if (!entry->second)
    return call.emitError() << "'" << call.getCallee()
                            << "' calls itself; stage 'autodiff' supports layers without recursion";
  return &*entry->second;
}

/// A layer within another saves what that one saves; in an entry point the first ones keep their values for longest.
double Differentiator::priceOf(func::CallOp call) const {
  if (price)
    return *price;
  int64_t before = 0;
  for (Operation &op : llvm::make_range(call->getBlock()->begin(), Block::iterator(call)))
    before += isa<func::CallOp>(op);
  return recompute.layers < 0 || before < recompute.layers ? recompute.price : recompute.price / 4;
}

FailureOr<Derivative> Differentiator::makeDerivative(func::FuncOp layer, ArrayRef<bool> active, ArrayRef<bool> seeded) {
  Derivative derivative;
  func::FuncOp joint = derivative.fwd = layer.clone();
  joint.setName((layer.getName() + ".fwd").str());
  joint.setPrivate();
  joint.removeResAttrsAttr();
  symbols.insert(joint, std::next(Block::iterator(layer))); // which numbers the name where it is taken

  Block &body = joint.getBody().front();
  auto ret = cast<func::ReturnOp>(body.getTerminator());
  SmallVector<Value> seeds, sources;
  for (auto [argument, isActive] : llvm::zip(body.getArguments(), active))
    if (isActive)
      sources.push_back(argument);
  for (auto [type, isSeeded] : llvm::zip(joint.getResultTypes(), seeded))
    seeds.push_back(isSeeded ? body.addArgument(type, layer.getLoc()) : Value());
  FailureOr<SmallVector<Value>> cotangents = appendBackward(body, ret, seeds, sources);
  if (failed(cotangents))
    return failure();

  SmallVector<Value> gradients;
  for (auto [source, cotangent] : llvm::zip(sources, *cotangents))
    if (cotangent) {
      derivative.gradients.push_back(cast<BlockArgument>(source).getArgNumber());
      gradients.push_back(cotangent);
    }
  OpBuilder builder = OpBuilder::atBlockEnd(&body);
  func::ReturnOp::create(builder, ret.getLoc(), gradients);
  eraseUnused(body);
  split(layer, ret, derivative);
  return derivative;
}

void Differentiator::split(func::FuncOp layer, func::ReturnOp ret, Derivative &derivative) {
  Block &body = *ret->getBlock();
  unsigned arguments = layer.getNumArguments();
  // Forward values that the backward uses: computed again, or saved.
  llvm::SetVector<Value> used, saved;
  llvm::DenseSet<Operation *> repeated = chooseRepeated(ret, *price, recompute, symbols);
  for (Operation &op : llvm::make_range(std::next(Block::iterator(ret)), body.end()))
    used.insert(op.operand_begin(), op.operand_end());
  for (unsigned i = 0; i < used.size(); ++i) {
    Operation *op = used[i].getDefiningOp();
    if (!op || ret->isBeforeInBlock(op))
      continue;
    if (repeated.contains(op))
      used.insert(op->operand_begin(), op->operand_end());
    else
      saved.insert(used[i]);
  }

  auto bwd = derivative.bwd = func::FuncOp::create(layer.getLoc(), (layer.getName() + ".bwd").str(),
                                                   FunctionType::get(layer.getContext(), {}, {}));
  bwd.setPrivate();
  Block &backward = *bwd.addEntryBlock();
  IRMapping mapping;
  auto pass = [&](Value value) { mapping.map(value, backward.addArgument(value.getType(), value.getLoc())); };
  for (unsigned i = 0; i < arguments; ++i)
    if (used.contains(body.getArgument(i))) {
      derivative.arguments.push_back(i);
      pass(body.getArgument(i));
    }
  SmallVector<Value> results(ret.getOperands());
  for (Value value : saved) {
    auto place = llvm::find(results, value);
    derivative.results.push_back(place - results.begin());
    if (place == results.end())
      results.push_back(value);
    pass(value);
  }
  for (BlockArgument cotangent : body.getArguments().drop_front(arguments))
    pass(cotangent);

  OpBuilder builder = OpBuilder::atBlockEnd(&backward);
  for (Operation &op : llvm::make_range(body.begin(), Block::iterator(ret)))
    if (repeated.contains(&op))
      builder.clone(op, mapping);
  backward.getOperations().splice(backward.end(), body.getOperations(), std::next(Block::iterator(ret)), body.end());
  bwd.walk([&](Operation *op) {
    for (OpOperand &operand : op->getOpOperands())
      operand.set(mapping.lookupOrDefault(operand.get()));
  });
  bwd.setType(
      FunctionType::get(bwd.getContext(), backward.getArgumentTypes(), backward.getTerminator()->getOperandTypes()));
  symbols.insert(bwd, std::next(Block::iterator(derivative.fwd)));

  body.eraseArguments(arguments, body.getNumArguments() - arguments);
  ret->setOperands(results);
  eraseUnused(body);
  derivative.fwd.setType(FunctionType::get(bwd.getContext(), body.getArgumentTypes(), ret.getOperandTypes()));
}
