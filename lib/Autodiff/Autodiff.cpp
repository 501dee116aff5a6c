//===- Autodiff.cpp - gradients and the training step ---------------------===//
// The pass xf-autodiff: @gradients of @loss; of @model @train_step, and its two halves for steps of several batches,
// @accumulate and @update. What calls and ops become is Differentiate.cpp's.
//===----------------------------------------------------------------------===//
#include "Differentiate.h"
#include "mlir/Transforms/Passes.h"

namespace mlir::xf {
#define GEN_PASS_DEF_AUTODIFFPASS
#include "xf/Autodiff/Passes.h.inc"
} // namespace mlir::xf

using namespace mlir;
using namespace mlir::xf;

namespace {
/// An entry point whose body is a forward, a return, and a backward behind it.
struct Joint {
  func::FuncOp function;
  func::ReturnOp forwardReturn;
  Value loss;
  SmallVector<Value> gradients; // in order of declaration
};

unsigned findLoss(func::FuncOp function) {
  for (unsigned i = 0; i < function.getNumResults(); ++i)
    if (auto name = function.getResultAttrOfType<StringAttr>(i, "xf.name"); name && name.getValue() == "loss")
      return i;
  return 0;
}

Value findArgument(func::FuncOp function, StringRef name) {
  for (BlockArgument argument : function.getArguments())
    if (auto attribute = function.getArgAttrOfType<StringAttr>(argument.getArgNumber(), "xf.name");
        attribute && attribute.getValue() == name)
      return argument;
  return {};
}

class AutodiffPass : public xf::impl::AutodiffPassBase<AutodiffPass> {
public:
  using AutodiffPassBase::AutodiffPassBase;
  void runOnOperation() final;

private:
  /// With `weighted`, of the loss times an argument of this name.
  FailureOr<Joint> differentiate(Differentiator &differentiator, func::FuncOp entry, StringRef name,
                                 bool weighted = false);
  LogicalResult makeGradients(Differentiator &differentiator, func::FuncOp loss);
  LogicalResult makeTrainStep(Differentiator &differentiator, func::FuncOp model);
  LogicalResult makeAccumulate(Differentiator &differentiator, func::FuncOp model);
  void makeUpdate(Differentiator &differentiator, func::FuncOp model);
  /// The optimizer at the end of a function, and what is told of it.
  SmallVector<std::pair<std::string, Value>> appendOptimizer(func::FuncOp function, ValueRange gradients);

  SmallVector<ParamOp> params;
  int64_t width = 0; // d_model, by which learning rates are scaled
};

/// The argument of this name, made where the function has none.
Value getOrInsertArgument(func::FuncOp function, StringRef name, Type type) {
  if (Value argument = findArgument(function, name))
    return argument;
  Builder builder(function.getContext());
  unsigned index = function.getNumArguments();
  (void)function.insertArgument(index, type,
                                builder.getDictionaryAttr(builder.getNamedAttr("xf.name", builder.getStringAttr(name))),
                                function.getLoc());
  return function.getArgument(index);
}

/// Ends the function with these results.
void setResults(func::FuncOp function, ArrayRef<std::pair<std::string, Value>> results) {
  OpBuilder builder = OpBuilder::atBlockEnd(&function.getBody().front());
  auto values = llvm::map_to_vector(results, [](const auto &result) { return result.second; });
  auto ret = func::ReturnOp::create(builder, function.getLoc(), values);
  function.removeResAttrsAttr();
  function.setType(builder.getFunctionType(function.getBody().getArgumentTypes(), ret.getOperandTypes()));
  for (auto [index, result] : llvm::enumerate(results))
    function.setResultAttr(index, "xf.name", builder.getStringAttr(result.first));
}

/// Gives the function its results, in place of the two halves' own ends.
void finish(Joint &joint, ArrayRef<std::pair<std::string, Value>> results) {
  joint.forwardReturn.erase();
  setResults(joint.function, results);
  eraseUnused(joint.function.getBody().front());
}
} // namespace

FailureOr<Joint> AutodiffPass::differentiate(Differentiator &differentiator, func::FuncOp entry, StringRef name,
                                             bool weighted) {
  if (!entry.getBody().hasOneBlock())
    return entry.emitError() << "'" << entry.getName()
                             << "' is not a function of one block; stage 'autodiff' supports straight-line models";
  unsigned lossIndex = findLoss(entry);
  auto scalar = RankedTensorType::get({}, Float32Type::get(&getContext()));
  if (entry.getNumResults() <= lossIndex || entry.getResultTypes()[lossIndex] != scalar)
    return entry.emitError() << "expected the loss of '" << entry.getName() << "' to be its result of type " << scalar
                             << ", but its results are " << entry.getResultTypes();

  Joint joint;
  joint.function = entry.clone();
  joint.function.setName(name);
  differentiator.symbols.insert(joint.function, std::next(Block::iterator(entry)));
  Block &body = joint.function.getBody().front();
  joint.forwardReturn = cast<func::ReturnOp>(body.getTerminator());

  // One value a parameter, so that all its uses meet in one cotangent.
  llvm::MapVector<StringRef, Value> sources;
  for (GetParamOp use : llvm::make_early_inc_range(body.getOps<GetParamOp>()))
    if (auto [entry, isNew] = sources.try_emplace(use.getName(), use); !isNew) {
      use.replaceAllUsesWith(entry->second);
      use.erase();
    }
  OpBuilder builder(joint.forwardReturn);
  SmallVector<Value> seeds(joint.forwardReturn.getNumOperands());
  if (weighted)
    seeds[lossIndex] = getOrInsertArgument(joint.function, "weight", scalar);
  else
    seeds[lossIndex] = arith::ConstantOp::create(builder, entry.getLoc(), DenseElementsAttr::get(scalar, 1.0f));
  joint.loss = joint.forwardReturn.getOperand(lossIndex);
  auto values = llvm::map_to_vector(sources, [](const auto &source) { return source.second; });
  FailureOr<SmallVector<Value>> cotangents = differentiator.appendBackward(body, joint.forwardReturn, seeds, values);
  if (failed(cotangents))
    return failure();
  joint.loss = joint.forwardReturn.getOperand(lossIndex); // a call that gave it has been replaced

  llvm::StringMap<Value> gradients;
  for (auto [source, cotangent] : llvm::zip(sources, *cotangents))
    gradients[source.first] = cotangent;
  for (ParamOp param : params) {
    Value gradient = gradients.lookup(param.getName());
    if (!gradient)
      return param.emitError() << "parameter '" << param.getName() << "' does not reach the loss of '"
                               << entry.getName() << "', so it cannot be trained";
    joint.gradients.push_back(gradient);
  }
  return joint;
}

LogicalResult AutodiffPass::makeGradients(Differentiator &differentiator, func::FuncOp loss) {
  FailureOr<Joint> joint = differentiate(differentiator, loss, "gradients");
  if (failed(joint))
    return failure();
  SmallVector<std::pair<std::string, Value>> results = {{"loss", joint->loss}};
  for (auto [param, gradient] : llvm::zip(params, joint->gradients))
    results.emplace_back(("grad." + param.getName()).str(), gradient);
  finish(*joint, results);
  return success();
}

SmallVector<std::pair<std::string, Value>> AutodiffPass::appendOptimizer(func::FuncOp function, ValueRange gradients) {
  Location loc = function.getLoc();
  OpBuilder builder = OpBuilder::atBlockEnd(&function.getBody().front());
  auto scalar = RankedTensorType::get({}, builder.getF32Type());
  Value random = getOrInsertArgument(function, "random", RankedTensorType::get({2}, builder.getI64Type()));
  Value hyper = getOrInsertArgument(function, "hyper", RankedTensorType::get({8}, builder.getF32Type()));
  auto names = builder.getArrayAttr(llvm::map_to_vector(
      params, [](ParamOp param) -> Attribute { return FlatSymbolRefAttr::get(param.getNameAttr()); }));
  Value norm = GlobalNormOp::create(builder, loc, scalar, gradients);
  Value learningRate = LearningRateOp::create(builder, loc, scalar, random, hyper, width);
  AdamOp::create(builder, loc, gradients, names, norm, learningRate, random, hyper);
  return {{"gradient_norm", norm}, {"learning_rate", learningRate}};
}

LogicalResult AutodiffPass::makeTrainStep(Differentiator &differentiator, func::FuncOp model) {
  FailureOr<Joint> joint = differentiate(differentiator, model, "train_step");
  if (failed(joint))
    return failure();
  SmallVector<std::pair<std::string, Value>> results = appendOptimizer(joint->function, joint->gradients);
  results.insert(results.begin(), {"loss", joint->loss});
  finish(*joint, results);
  return success();
}

LogicalResult AutodiffPass::makeAccumulate(Differentiator &differentiator, func::FuncOp model) {
  FailureOr<Joint> joint = differentiate(differentiator, model, "accumulate", /*weighted=*/true);
  if (failed(joint))
    return failure();
  SmallVector<std::pair<std::string, Value>> results = {{"loss", joint->loss}};
  OpBuilder builder(joint->function);
  for (auto [param, gradient] : llvm::zip(params, joint->gradients)) {
    builder.setInsertionPointToStart(&joint->function.getBody().front());
    Value before = GetGradientOp::create(builder, param.getLoc(), param.getType(), param.getName());
    // As early as can be: until then the gradient takes memory of its own.
    builder.setInsertionPointAfterValue(gradient);
    results.emplace_back(("grad." + param.getName()).str(),
                         AddOp::create(builder, gradient.getLoc(), before, gradient));
  }
  finish(*joint, results);
  return success();
}

void AutodiffPass::makeUpdate(Differentiator &differentiator, func::FuncOp model) {
  OpBuilder builder(&getContext());
  auto function = func::FuncOp::create(model.getLoc(), "update", builder.getFunctionType({}, {}));
  function->setAttr("xf.entry", builder.getUnitAttr());
  differentiator.symbols.insert(function, std::next(Block::iterator(model)));
  builder.setInsertionPointToEnd(function.addEntryBlock());
  SmallVector<Value> gradients = llvm::map_to_vector(params, [&](ParamOp param) -> Value {
    return GetGradientOp::create(builder, param.getLoc(), param.getType(), param.getName());
  });
  setResults(function, appendOptimizer(function, gradients));
}

void AutodiffPass::runOnOperation() {
  params = llvm::to_vector(getOperation().getOps<ParamOp>());
  Differentiator differentiator(getOperation(), {price, layers, tokens, sequences});
  auto lookup = [&](StringRef name) { return differentiator.symbols.lookup<func::FuncOp>(name); };
  if (func::FuncOp loss = lookup("loss"); loss && failed(makeGradients(differentiator, loss)))
    return signalPassFailure();
  if (func::FuncOp model = lookup("model")) {
    auto config = getOperation()->getAttrOfType<DictionaryAttr>("xf.config");
    auto attribute = config ? config.getAs<IntegerAttr>("d_model") : IntegerAttr();
    if (!attribute) {
      getOperation()->emitError() << "expected the module's 'xf.config' to give 'd_model', by which the learning rate "
                                     "of 'train_step' is scaled";
      return signalPassFailure();
    }
    width = attribute.getInt();
    // Each goes right behind @model, the last first.
    makeUpdate(differentiator, model);
    if (failed(makeAccumulate(differentiator, model)) || failed(makeTrainStep(differentiator, model)))
      return signalPassFailure();
    differentiator.symbols.erase(model);
  }
}

void mlir::xf::buildAutodiffPipeline(OpPassManager &manager, const Recompute &recompute) {
  manager.addPass(createAutodiffPass({recompute.price, recompute.layers, recompute.tokens, recompute.sequences}));
  manager.addPass(createAccumulateGradientsPass());
  manager.addPass(createSymbolDCEPass());
  manager.addPass(createCheckAutodiffPass());
}
