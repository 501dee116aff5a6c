//===- Resolve.cpp - composite ops to primitive ones ----------------------===//
// Stage `input`, once the model is checked: names become parameters. A layer stays one function, compiled once,
// whatever it is applied as.
//===----------------------------------------------------------------------===//
#include "xf/Dialect/XF/IR/XF.h"
#include "xf/Dialect/XF/Transforms/Passes.h"
#include "llvm/ADT/TypeSwitch.h"
#include <cmath>

namespace mlir::xf {
#define GEN_PASS_DEF_RESOLVEPASS
#include "xf/Dialect/XF/Transforms/Passes.h.inc"
namespace {

struct Parameter {
  std::string name;
  RankedTensorType type;
  InitKind init;
  float value;
  Location declared;
};

/// What a caller of a resolved function must pass besides the operands.
struct Signature {
  SmallVector<Parameter> parameters;
  int64_t sites = 0; // dropouts inside; the function takes %random and %site where there are any
};

class Resolver {
public:
  explicit Resolver(ModuleOp module) : module(module), symbols(module) {}

  LogicalResult run() {
    for (auto function : llvm::to_vector(module.getOps<func::FuncOp>())) {
      if (function.isExternal())
        continue;
      // MLIR's default is public, but nobody calls a layer from outside.
      function->hasAttr("xf.entry") ? function.setPublic() : function.setPrivate();
      if (failed(resolve(function)))
        return failure();
    }
    return success();
  }

private:
  /// The function that is being resolved.
  struct Scope {
    func::FuncOp function;
    bool isEntry;
    Signature signature;
    llvm::StringMap<Value> values; // of parameters by name
    Value random, site;
    OpBuilder b;
  };

  LogicalResult resolve(func::FuncOp function) {
    if (!signatures.try_emplace(function).second)
      return success();
    Scope scope{function, function->hasAttr("xf.entry"), {}, {}, {}, {}, OpBuilder(function)};
    // Callees first: what they need decides what this function takes.
    WalkResult callees = function.walk([&](ApplyOp apply) {
      auto callee = symbols.lookup<func::FuncOp>(apply.getLayer());
      return failed(resolve(callee)) ? WalkResult::interrupt() : WalkResult::advance();
    });
    if (callees.wasInterrupted())
      return failure();
    bool draws = false;
    function.walk([&](Operation *op) {
      if (auto apply = dyn_cast<ApplyOp>(op))
        draws |= signatures[symbols.lookup<func::FuncOp>(apply.getLayer())].sites > 0;
      if (auto composite = dyn_cast<CompositeOpInterface>(op))
        draws |= !composite.getDropout().isZero();
    });
    if (scope.isEntry && draws && function.getName() != "model")
      return function.emitError() << "expected no dropout in the entry point '" << function.getName()
                                  << "': 'model', the one that trains, alone draws random numbers";
    addRandom(scope, draws);
    for (Operation &op : llvm::make_early_inc_range(function.getBody().front()))
      if (failed(rewrite(scope, &op)))
        return failure();
    signatures[function] = scope.signature;
    return success();
  }

  void addRandom(Scope &scope, bool draws) {
    func::FuncOp function = scope.function;
    auto randomType = RankedTensorType::get({2}, scope.b.getI64Type());
    auto addArgument = [&](Type type, DictionaryAttr attributes) {
      (void)function.insertArgument(function.getNumArguments(), type, attributes, function.getLoc());
      return function.getArguments().back();
    };
    if (scope.isEntry) {
      // The model in its training form takes the random state whether it draws or not: the optimizer counts steps by
      // it.
      if (function.getName() == "model")
        scope.random = addArgument(
            randomType, scope.b.getDictionaryAttr(scope.b.getNamedAttr("xf.name", scope.b.getStringAttr("random"))));
      return;
    }
    if (!draws)
      return;
    scope.random = addArgument(randomType, {});
    scope.site = addArgument(scope.b.getI64Type(), {});
  }

  /// Reserves `count` sites and returns the first.
  Value takeSites(Scope &scope, Location loc, int64_t count) {
    Value offset = arith::ConstantOp::create(scope.b, loc, scope.b.getI64IntegerAttr(scope.signature.sites));
    scope.signature.sites += count;
    return scope.site ? arith::AddIOp::create(scope.b, loc, scope.site, offset).getResult() : offset;
  }

  FailureOr<Value> parameter(Scope &scope, Parameter p, Location user) {
    auto conflict = [&](Type other, Location declared) -> LogicalResult {
      if (other == p.type)
        return success();
      InFlightDiagnostic diagnostic = emitError(user) << "expected parameter '" << p.name << "' to have type " << other
                                                      << ", but it is used here as " << p.type;
      diagnostic.attachNote(declared) << "declared here";
      return failure();
    };
    if (auto it = scope.values.find(p.name); it != scope.values.end()) {
      auto *known = llvm::find_if(scope.signature.parameters, [&](const Parameter &q) { return q.name == p.name; });
      return failed(conflict(known->type, known->declared)) ? FailureOr<Value>(failure())
                                                            : FailureOr<Value>(it->second);
    }
    scope.signature.parameters.push_back(p);
    Value value;
    if (scope.isEntry) {
      if (auto declared = symbols.lookup<ParamOp>(p.name)) {
        if (failed(conflict(declared.getType(), declared.getLoc())))
          return failure();
      } else if (Operation *other = symbols.lookup(p.name)) {
        InFlightDiagnostic diagnostic = emitError(user)
                                        << "expected the name of parameter '" << p.name << "' to be free";
        diagnostic.attachNote(other->getLoc()) << "it is taken here";
        return diagnostic;
      } else {
        OpBuilder::InsertionGuard guard(scope.b);
        scope.b.setInsertionPointToStart(module.getBody());
        if (lastParam)
          scope.b.setInsertionPointAfter(lastParam);
        lastParam = ParamOp::create(scope.b, p.declared, p.name, p.type, p.init, APFloat(p.value));
        symbols.insert(lastParam);
      }
      OpBuilder::InsertionGuard guard(scope.b);
      scope.b.setInsertionPointToStart(&scope.function.getBody().front());
      value = GetParamOp::create(scope.b, p.declared, p.type, p.name);
    } else {
      auto attributes = scope.b.getDictionaryAttr(scope.b.getNamedAttr("xf.parameter", scope.b.getStringAttr(p.name)));
      (void)scope.function.insertArgument(scope.function.getNumArguments(), p.type, attributes, p.declared);
      value = scope.function.getArguments().back();
    }
    return scope.values[p.name] = value;
  }

  /// Whether the model's key `init` asks for the initial values of torch's layers: the module says it once for all, as
  /// torch.nn does.
  bool startsAsTorch() {
    auto config = module->getAttrOfType<DictionaryAttr>("xf.config");
    auto init = config ? config.getAs<StringAttr>("init") : StringAttr();
    return init && init.getValue() == "torch";
  }

  /// y = x W^T (+ b) with parameters `name.weight`, `name.bias`.
  FailureOr<Value> linear(Scope &scope, Location user, const std::string &name, Value x, int64_t out, bool bias) {
    auto xType = cast<RankedTensorType>(x.getType());
    Location loc = NameLoc::get(scope.b.getStringAttr(name), user);
    auto [weightInit, weightBound, biasInit, biasBound] =
        std::tuple(InitKind::XavierUniform, 1.0f, InitKind::Zeros, 0.0f);
    if (startsAsTorch()) {
      weightInit = biasInit = InitKind::Uniform;
      weightBound = biasBound = static_cast<float>(1 / std::sqrt(xType.getDimSize(1)));
    }
    FailureOr<Value> weight =
        parameter(scope,
                  {name + ".weight", RankedTensorType::get({out, xType.getDimSize(1)}, xType.getElementType()),
                   weightInit, weightBound, user},
                  user);
    if (failed(weight))
      return failure();
    Value biasValue;
    if (bias) {
      FailureOr<Value> value = parameter(
          scope, {name + ".bias", RankedTensorType::get({out}, xType.getElementType()), biasInit, biasBound, user},
          user);
      if (failed(value))
        return failure();
      biasValue = *value;
    }
    return LinearOp::create(scope.b, loc, x, *weight, biasValue).getResult();
  }

  Value dropout(Scope &scope, Location user, const std::string &name, Value x, const APFloat &rate) {
    if (rate.isZero())
      return x;
    Location loc = NameLoc::get(scope.b.getStringAttr(name), user);
    return DropoutOp::create(scope.b, loc, x.getType(), x, scope.random, takeSites(scope, user, 1),
                             scope.b.getF32FloatAttr(rate.convertToFloat()));
  }

  LogicalResult rewrite(Scope &scope, Operation *op) {
    scope.b.setInsertionPoint(op);
    if (auto apply = dyn_cast<ApplyOp>(op))
      return rewriteApply(scope, apply);
    if (!isa<CompositeOpInterface>(op))
      return success();
    auto result =
        llvm::TypeSwitch<Operation *, FailureOr<Value>>(op)
            .Case([&](EmbedOp embed) { return rewriteEmbed(scope, embed); })
            .Case([&](MultiHeadAttentionOp attention) { return rewriteAttention(scope, attention); })
            .Case([&](FeedForwardOp feedForward) { return rewriteFeedForward(scope, feedForward); })
            .Case([&](AddNormOp addNorm) { return rewriteNorm(scope, addNorm, rewriteResidual(scope, addNorm)); })
            .Case([&](NormOp norm) { return rewriteNorm(scope, norm, norm.getX()); })
            .Case([&](ResidualOp residual) { return rewriteResidual(scope, residual); })
            .Case([&](ProjectOp project) {
              return linear(scope, op->getLoc(), project.getName().str(), project.getX(),
                            project.getResult().getType().getDimSize(1), project.getBias());
            })
            .Default([](Operation *op) { return op->emitOpError() << "has no decomposition"; });
    if (failed(result))
      return failure();
    if (result->getType() != op->getResult(0).getType())
      return op->emitOpError() << "expected its result to have type " << result->getType() << ", but got "
                               << op->getResult(0).getType();
    op->getResult(0).replaceAllUsesWith(*result);
    op->erase();
    return success();
  }

  FailureOr<Value> rewriteEmbed(Scope &scope, EmbedOp op) {
    Location loc = op.getLoc();
    RankedTensorType type = op.getResult().getType();
    int64_t features = type.getDimSize(1);
    std::string name = op.getName().str();
    bool isSmall = op.getInit() == InitKind::Normal && !startsAsTorch();
    float deviation = isSmall ? static_cast<float>(1 / std::sqrt(features)) : 1;
    auto table = [&](const std::string &tableName, int64_t rows) {
      auto tableType = RankedTensorType::get({rows, features}, type.getElementType());
      return parameter(scope, {tableName + ".weight", tableType, op.getInit(), deviation, loc}, loc);
    };
    FailureOr<Value> weights = table(name, op.getVocabulary());
    if (failed(weights))
      return failure();
    auto at = [&](const std::string &what) { return NameLoc::get(scope.b.getStringAttr(what), loc); };
    Value x = EmbeddingOp::create(scope.b, at(name), type, op.getIds(), *weights,
                                  op.getScale().value_or(APFloat(static_cast<float>(std::sqrt(features)))),
                                  /*rows=*/IntegerAttr());
    if (op.getPositions() != PositionKind::None) {
      Value ids = PositionIdsOp::create(scope.b, at(name + ".positions"), op.getIds().getType(), op.getIds(),
                                        op.getOffsets()),
            positions;
      if (op.getPositions() == PositionKind::Learned) {
        FailureOr<Value> positionTable = table(op.getPositionsName()->str(), *op.getMaxPositions());
        if (failed(positionTable))
          return failure();
        positions = EmbeddingOp::create(scope.b, at(op.getPositionsName()->str()), type, ids, *positionTable,
                                        APFloat(1.0f), /*rows=*/IntegerAttr());
      } else {
        positions = SinusoidalOp::create(scope.b, at(name + ".positions"), type, ids,
                                         op.getPositions() == PositionKind::SinusoidalHalves, op.getFirst());
      }
      x = AddOp::create(scope.b, at(name), type, x, positions);
    }
    return dropout(scope, loc, name + ".dropout", x, op.getDropout());
  }

  FailureOr<Value> rewriteAttention(Scope &scope, MultiHeadAttentionOp op) {
    Location loc = op.getLoc();
    std::string name = op.getName().str();
    int64_t heads = op.getHeads(), keyHeads = op.getKeyValueHeads().value_or(heads);
    SmallVector<Value> projected;
    for (auto [what, input, width] :
         {std::tuple<const char *, Value, int64_t>{".query", op.getQuery(), heads * op.getDK()},
          {".key", op.getKey(), keyHeads * op.getDK()},
          {".value", op.getValue(), keyHeads * op.getDV()}}) {
      FailureOr<Value> value = linear(scope, loc, name + what, input, width, op.getBias());
      if (failed(value))
        return failure();
      projected.push_back(*value);
    }
    if (op.getQkNorm())
      for (auto [what, heads] : {std::pair(".query_norm", &projected[0]), {".key_norm", &projected[1]}}) {
        FailureOr<Value> normed = normOfHeads(scope, loc, name + what, *heads, op);
        if (failed(normed))
          return failure();
        *heads = *normed;
      }
    if (op.getAngles())
      for (Value &turned : MutableArrayRef(projected).take_front(2)) {
        int64_t width = cast<RankedTensorType>(turned.getType()).getDimSize(1);
        turned = RotaryOp::create(scope.b, NameLoc::get(scope.b.getStringAttr(name + ".rotary"), loc), turned,
                                  op.getAngles(), width / static_cast<int64_t>(op.getDK()));
      }
    auto queryType = cast<RankedTensorType>(projected[0].getType());
    auto resultType = RankedTensorType::get({queryType.getDimSize(0), heads * static_cast<int64_t>(op.getDV())},
                                            queryType.getElementType());
    auto sumType = RankedTensorType::get({queryType.getDimSize(0), heads}, queryType.getElementType());
    bool drops = !op.getDropout().isZero();
    Value site = drops ? takeSites(scope, loc, 1) : Value();
    auto attention = AttentionOp::create(
        scope.b, NameLoc::get(scope.b.getStringAttr(name), loc), TypeRange{resultType, sumType}, projected[0],
        projected[1], projected[2], op.getQueryOffsets(), op.getKeyOffsets(), op.getLengths(),
        drops ? scope.random : Value(), site, op.getCaptures(), op.getHeadsAttr(), op.getKeyValueHeadsAttr(),
        scope.b.getF32FloatAttr(static_cast<float>(1 / std::sqrt(op.getDK()))), op.getCausalAttr(), op.getWindowAttr(),
        op.getDropoutAttr());
    attention.getScore().takeBody(op.getScore());
    return linear(scope, loc, name + ".output", attention.getResult(), op.getResult().getType().getDimSize(1),
                  op.getBias());
  }

  /// Of every head of a token by itself.
  FailureOr<Value> normOfHeads(Scope &scope, Location loc, const std::string &name, Value x, MultiHeadAttentionOp op) {
    auto type = cast<RankedTensorType>(x.getType());
    auto features = static_cast<int64_t>(op.getDK()), rows = type.getDimSize(0), heads = type.getDimSize(1) / features;
    auto rowsOfHeads =
        RankedTensorType::get({type.isDynamicDim(0) ? rows : rows * heads, features}, type.getElementType());
    auto at = NameLoc::get(scope.b.getStringAttr(name), loc);
    FailureOr<Value> normed =
        norm(scope, loc, name, ReshapeOp::create(scope.b, at, rowsOfHeads, x), op.getRms(), op.getEpsilon());
    return failed(normed) ? normed : FailureOr<Value>(ReshapeOp::create(scope.b, at, type, *normed).getResult());
  }

  static Value activate(Scope &scope, Location at, ActivationKind kind, Value x) {
    switch (kind) {
    case ActivationKind::Relu:
      return ReluOp::create(scope.b, at, x.getType(), x);
    case ActivationKind::Gelu:
      return GeluOp::create(scope.b, at, x.getType(), x);
    case ActivationKind::GeluTanh:
      return GeluTanhOp::create(scope.b, at, x.getType(), x);
    case ActivationKind::Silu:
      return SiluOp::create(scope.b, at, x.getType(), x);
    }
    return {};
  }

  FailureOr<Value> rewriteFeedForward(Scope &scope, FeedForwardOp op) {
    Location loc = op.getLoc();
    std::string name = op.getName().str();
    auto project = [&](const char *what) {
      return linear(scope, loc, name + what, op.getX(), op.getHidden(), op.getBias());
    };
    FailureOr<Value> hidden = project(op.getGated() ? ".gate" : ".in");
    if (failed(hidden))
      return failure();
    auto at = [&](const char *what) { return NameLoc::get(scope.b.getStringAttr(name + what), loc); };
    Value active = activate(scope, at(".activation"), op.getActivation(), *hidden);
    if (op.getGated()) {
      FailureOr<Value> in = project(".in");
      if (failed(in))
        return failure();
      active = MultiplyOp::create(scope.b, at(".gate"), active.getType(), active, *in);
    }
    return linear(scope, loc, name + ".out", dropout(scope, loc, name + ".dropout", active, op.getDropout()),
                  op.getX().getType().getDimSize(1), op.getBias());
  }

  /// x + Dropout(sublayer), of xf.add_norm or xf.residual.
  template <typename Op> Value rewriteResidual(Scope &scope, Op op) {
    std::string name = op.getName().str();
    Value dropped = dropout(scope, op.getLoc(), name + ".dropout", op.getSublayer(), op.getDropout());
    auto at = NameLoc::get(scope.b.getStringAttr(name), op.getLoc());
    return AddOp::create(scope.b, at, op.getX().getType(), op.getX(), dropped);
  }

  /// Of xf.norm or xf.add_norm.
  template <typename Op> FailureOr<Value> rewriteNorm(Scope &scope, Op op, Value x) {
    return norm(scope, op.getLoc(), op.getName().str(), x, op.getRms(), op.getEpsilon());
  }

  /// LayerNorm(x) or RMSNorm(x).
  FailureOr<Value> norm(Scope &scope, Location loc, const std::string &name, Value x, bool rms, APFloat epsilon) {
    auto type = cast<RankedTensorType>(x.getType());
    auto vector = RankedTensorType::get({type.getDimSize(1)}, type.getElementType());
    FailureOr<Value> weight = parameter(scope, {name + ".weight", vector, InitKind::Ones, 1, loc}, loc), bias = Value();
    if (!rms)
      bias = parameter(scope, {name + ".bias", vector, InitKind::Zeros, 0, loc}, loc);
    if (failed(weight) || failed(bias))
      return failure();
    return LayerNormOp::create(scope.b, NameLoc::get(scope.b.getStringAttr(name), loc), type, x, *weight, *bias, rms,
                               epsilon)
        .getResult();
  }

  LogicalResult rewriteApply(Scope &scope, ApplyOp op) {
    auto callee = symbols.lookup<func::FuncOp>(op.getLayer());
    const Signature &signature = signatures[callee];
    SmallVector<Value> operands(op.getOperands());
    if (signature.sites > 0)
      operands.append({scope.random, takeSites(scope, op.getLoc(), signature.sites)});
    for (Parameter p : signature.parameters) {
      p.name = (op.getName() + "." + p.name).str();
      FailureOr<Value> value = parameter(scope, p, op.getLoc());
      if (failed(value))
        return failure();
      operands.push_back(*value);
    }
    auto call = func::CallOp::create(scope.b, NameLoc::get(scope.b.getStringAttr(op.getName()), op.getLoc()),
                                     callee.getName(), op.getResultTypes(), operands);
    op.replaceAllUsesWith(call.getResults());
    op.erase();
    return success();
  }

  ModuleOp module;
  SymbolTable symbols;
  DenseMap<Operation *, Signature> signatures;
  ParamOp lastParam;
};

struct ResolvePass : impl::ResolvePassBase<ResolvePass> {
  void runOnOperation() override {
    if (failed(Resolver(getOperation()).run()))
      signalPassFailure();
  }
};
} // namespace
} // namespace mlir::xf
