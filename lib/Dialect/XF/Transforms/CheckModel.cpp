//===- CheckModel.cpp - what a person wrote -------------------------------===//
// Stage `input`, first. What the passes behind it take for granted, and what no stage supports, is said here: in the
// model's words, at the line where it stands, before anything is rewritten.
//===----------------------------------------------------------------------===//
#include "xf/Dialect/XF/IR/Configuration.h"
#include "xf/Dialect/XF/IR/Size.h"
#include "xf/Dialect/XF/IR/XF.h"
#include "xf/Dialect/XF/Transforms/Passes.h"

namespace mlir::xf {
#define GEN_PASS_DEF_CHECKMODELPASS
#include "xf/Dialect/XF/Transforms/Passes.h.inc"
namespace {

class ModelChecker {
public:
  explicit ModelChecker(ModuleOp module) : module(module), symbols(module) {}

  LogicalResult run() {
    if (failed(checkKind()) || failed(checkConfiguration()) || failed(checkNames()))
      return failure();
    for (Operation &op : *module.getBody()) {
      if (auto param = dyn_cast<ParamOp>(op)) {
        if (trains() && cast<RankedTensorType>(param.getType()).getRank() > 2)
          return param.emitError() << "expected the parameter '" << param.getSymName()
                                   << "' to be a matrix, a vector or a number, as gradients are that train a model, "
                                      "but got "
                                   << param.getType();
        continue;
      }
      auto function = dyn_cast<func::FuncOp>(op);
      if (!function)
        return op.emitOpError() << "can't stand in a module of a model: that has functions and xf.param alone";
      if (failed(checkFunction(function)))
        return failure();
    }
    for (auto function : module.getOps<func::FuncOp>())
      if (failed(checkRecursion(function)))
        return failure();
    return success();
  }

private:
  static bool isEntry(func::FuncOp function) { return function->hasAttr("xf.entry"); }

  bool hasEntry(StringRef name) {
    auto function = symbols.lookup<func::FuncOp>(name);
    return function && isEntry(function);
  }
  bool trains() { return hasEntry("model"); }

  //===-- What the module says of itself ------------------------------------===//
  LogicalResult checkKind() {
    auto attribute = module->getAttrOfType<StringAttr>("xf.kind");
    bool saysFunctions = attribute && attribute.getValue() == "functions";
    if (attribute)
      kind = parseModelKind(attribute.getValue());
    if (attribute && !kind && !saysFunctions)
      return module.emitError() << "expected 'xf.kind' to be sequence_to_sequence, language_model, encoder, "
                                   "classifier or functions, but got "
                                << attribute;
    auto model = symbols.lookup<func::FuncOp>("model");
    if (model && !isEntry(model))
      return model.emitError() << "expected 'model' to be an entry point, by the attribute 'xf.entry'";
    if (!kind) {
      if (model && !saysFunctions)
        module.emitWarning() << "the module has no 'xf.kind': what is compiled of it runs functions, as xf.kind = "
                                "\"functions\" would say, and has no commands to train and to predict";
      return success();
    }
    StringRef wanted = *kind == Encoder ? "encode" : "model";
    auto function = symbols.lookup<func::FuncOp>(wanted);
    if (!hasEntry(wanted))
      return module.emitError() << "expected a module of kind " << attribute << " to have the entry point '" << wanted
                                << "' (a function with the attribute 'xf.entry')";
    SmallVector<StringRef> arguments{"ids", "offsets"};
    if (*kind == Pairs)
      arguments = {"source_ids", "source_offsets", "target_ids", "target_offsets"};
    if (*kind != Encoder)
      arguments.push_back("labels");
    for (StringRef argument : arguments)
      if (llvm::none_of(llvm::seq(function.getNumArguments()), [&](unsigned i) {
            auto name = function.getArgAttrOfType<StringAttr>(i, "xf.name");
            return name && name.getValue() == argument;
          }))
        return function.emitError() << "expected '" << wanted << "' of a module of kind " << attribute
                                    << " to have an argument with xf.name = \"" << argument << "\"";
    return success();
  }

  LogicalResult checkConfiguration() {
    auto configuration = module->getAttrOfType<DictionaryAttr>("xf.config");
    for (const ConfigurationKey &key : configurationKeys())
      if (Attribute value = configuration ? configuration.get(key.name) : Attribute(); value && !key.admits(value))
        return module.emitError() << "expected key '" << key.name << "' of 'xf.config' to be " << key.expected()
                                  << ", but got " << value;
    // Others are a person's own, unless one is written nearly as a key.
    for (NamedAttribute each : configuration ? configuration.getValue() : ArrayRef<NamedAttribute>()) {
      StringRef name = each.getName();
      auto distance = [&](const ConfigurationKey &key) { return name.edit_distance(key.name); };
      const ConfigurationKey *nearest =
          llvm::min_element(configurationKeys(), [&](const ConfigurationKey &a, const ConfigurationKey &b) {
            return distance(a) < distance(b);
          });
      if (name != nearest->name && 3 * distance(*nearest) <= name.size())
        return module.emitError() << "unknown key '" << name << "' of 'xf.config'; did you mean '" << nearest->name
                                  << "'?";
    }
    return success();
  }

  /// Names of the entry points that stages derive are taken.
  LogicalResult checkNames() {
    auto reserve = [&](StringRef source, ArrayRef<StringRef> names) -> LogicalResult {
      for (StringRef name : names)
        if (Operation *given = symbols.lookup(name))
          return given->emitError() << "'" << name << "' is derived from " << source
                                    << " and can't be given too: expected another name";
      return success();
    };
    bool predicts = trains() && kind && *kind != Encoder;
    if (trains() &&
        failed(reserve("'model'", {"loss", "quantized_loss", "gradients", "train_step", "accumulate", "update"})))
      return failure();
    if (hasEntry("loss") && failed(reserve("'loss'", {"gradients"})))
      return failure();
    if (predicts && *kind == Classifier && failed(reserve("'model'", {"classify"})))
      return failure();
    predicts &= kind != Classifier;
    if (predicts && failed(reserve("'model'", {"attention", "decode"})))
      return failure();
    if (predicts && *kind == Pairs && failed(reserve("'model'", {"encode"})))
      return failure();
    if ((predicts || hasEntry("encode") || hasEntry("decode")) && failed(reserve("'encode' and 'decode'", {"prepare"})))
      return failure();
    for (auto function : module.getOps<func::FuncOp>())
      for (StringRef suffix : {".evaluate", ".fwd", ".bwd"})
        if (StringRef layer = function.getName(); layer.consume_back(suffix) && symbols.lookup<func::FuncOp>(layer))
          return function.emitError() << "'" << function.getName() << "' is derived from '" << layer
                                      << "' and can't be given too: expected another name";
    return success();
  }

  //===-- Functions ---------------------------------------------------------===//
  LogicalResult checkFunction(func::FuncOp function) {
    if (function.isExternal()) // where a layer is not used it does no harm
      return isEntry(function)
                 ? function.emitError() << "expected the entry point '" << function.getName() << "' to have a body"
                 : success();
    if (!function.getBody().hasOneBlock())
      return function.emitError() << "expected '" << function.getName() << "' to be of one block, but got "
                                  << llvm::range_size(function.getBody())
                                  << ": a model has no branches, so that all it computes is known beforehand";
    if (isEntry(function) && failed(checkNamesOf(function)))
      return failure();
    for (BlockArgument argument : function.getArguments()) {
      if (failed(checkType(argument.getType(), function, "argument " + Twine(argument.getArgNumber()))))
        return failure();
      if (isEntry(function) && !isa<RankedTensorType>(argument.getType()))
        return function.emitError() << "expected argument " << argument.getArgNumber() << " of the entry point '"
                                    << function.getName() << "' to be a tensor, but got " << argument.getType();
    }
    for (Operation &op : function.getBody().front())
      if (failed(checkOp(&op)))
        return failure();
    return success();
  }

  /// Of arguments, and of results: files have one tensor of a name.
  static LogicalResult checkNamesOf(func::FuncOp function) {
    auto check = [&](StringRef what, unsigned count, function_ref<StringAttr(unsigned)> nameOf) -> LogicalResult {
      llvm::StringMap<unsigned> numbers;
      for (unsigned i = 0; i < count; ++i) {
        StringAttr name = nameOf(i);
        if (!name)
          continue;
        if (auto [it, isNew] = numbers.try_emplace(name.getValue(), i); !isNew)
          return function.emitError() << "expected the " << what << "s of '" << function.getName()
                                      << "' to have names of their own, but " << what << " " << it->second << " and "
                                      << what << " " << i << " have xf.name = " << name;
        bool isDerived = llvm::is_contained({"random", "hyper", "weight"}, name.getValue());
        if (what == "argument" && function.getName() == "model" && isDerived)
          return function.emitError() << "expected the arguments of 'model' to have names other than random, hyper and "
                                         "weight, which those of derived entry points are, but got "
                                      << name;
        if (what == "result" && name.getValue().starts_with("grad."))
          return function.emitError() << "expected results of '" << function.getName()
                                      << "' to have names that do not begin with 'grad.', which derived gradients do, "
                                         "but got "
                                      << name;
      }
      return success();
    };
    if (failed(check("argument", function.getNumArguments(),
                     [&](unsigned i) { return function.getArgAttrOfType<StringAttr>(i, "xf.name"); })))
      return failure();
    return check("result", function.getNumResults(),
                 [&](unsigned i) { return function.getResultAttrOfType<StringAttr>(i, "xf.name"); });
  }

  static LogicalResult checkType(Type type, Operation *op, const Twine &what) {
    auto tensor = dyn_cast<RankedTensorType>(type);
    Type element = tensor ? tensor.getElementType() : type;
    if (!(tensor && element.isF32()) && !(tensor && element.isInteger(32)) && !element.isInteger(64))
      return op->emitError() << "expected " << what
                             << " to be a tensor of f32 or i32, or numbers of i64, as models are made of, but got "
                             << type << (element.isBF16() ? ": --precision=bf16 makes it that where it does" : "");
    if (!tensor || hasGoodSize(tensor))
      return success();
    return op->emitError() << "expected " << what << " to have extents from 1 to " << largestExtent << " and at most "
                           << largestSize << " elements, but got " << type;
  }

  LogicalResult checkOp(Operation *op) {
    for (OpResult result : op->getResults())
      if (failed(checkType(result.getType(), op,
                           "result " + Twine(result.getResultNumber()) + " of '" + op->getName().getStringRef() + "'")))
        return failure();
    if (isa<func::ReturnOp>(op) || (isa<arith::AddIOp>(op) && op->getResult(0).getType().isInteger()))
      return success();
    if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
      if (isa<IntegerAttr>(constant.getValue()) || isa<SplatElementsAttr>(constant.getValue()))
        return success();
      return op->emitError() << "expected a constant of one value throughout, as dense<0.5> is: a table of several is "
                                "an xf.param, or arithmetic in a score region";
    }
    if (auto call = dyn_cast<func::CallOp>(op))
      return checkCallee(op, call.getCallee());
    if (auto apply = dyn_cast<ApplyOp>(op))
      return checkCallee(op, apply.getLayer());
    auto primitive = dyn_cast<KernelOpInterface>(op);
    if (primitive && primitive.getKernelKind() == KernelKind::Elementwise)
      for (Type type : op->getOperandTypes())
        if (auto tensor = dyn_cast<RankedTensorType>(type); tensor && tensor.getRank() > 2)
          return op->emitOpError() << "takes matrices, vectors and numbers, but got " << type;
    if (primitive || isa<CompositeOpInterface, ReshapeOp, GetParamOp, GetGradientOp, GetPreparedOp, SetPreparedOp>(op))
      return success();
    return op->emitOpError() << "can't stand in a model: that is made of composite and primitive ops of xf, calls of "
                                "layers, and constants";
  }

  LogicalResult checkCallee(Operation *op, StringRef name) {
    auto callee = symbols.lookup<func::FuncOp>(name); // which symbol verification has found
    auto wrong = [&](const Twine &message) -> LogicalResult {
      InFlightDiagnostic diagnostic = op->emitError() << message;
      diagnostic.attachNote(callee.getLoc()) << "'" << name << "' is here";
      return diagnostic;
    };
    if (callee.isExternal())
      return wrong("expected the layer '" + name + "' to have a body");
    if (isEntry(callee))
      return wrong("expected '" + name + "' to be a layer, but it is an entry point");
    if (isa<func::CallOp>(op) && callee
                                     .walk([](Operation *inner) {
                                       return isa<CompositeOpInterface, ApplyOp>(inner) ? WalkResult::interrupt()
                                                                                        : WalkResult::advance();
                                     })
                                     .wasInterrupted())
      return wrong("expected xf.apply, which gives the parameters of the layer '" + name +
                   "' a name, but got func.call");
    return success();
  }

  /// Depth first; a layer that is met again on the way down applies itself.
  LogicalResult checkRecursion(func::FuncOp function) {
    enum { Below = 1, Done };
    auto [it, isNew] = visited.try_emplace(function, Below);
    if (!isNew)
      return it->second == Done ? success()
                                : function.emitError() << "layer '" << function.getName() << "' applies itself";
    WalkResult result = function.walk([&](Operation *op) {
      StringRef callee;
      if (auto call = dyn_cast<func::CallOp>(op))
        callee = call.getCallee();
      else if (auto apply = dyn_cast<ApplyOp>(op))
        callee = apply.getLayer();
      else
        return WalkResult::advance();
      return WalkResult(checkRecursion(symbols.lookup<func::FuncOp>(callee)));
    });
    visited[function] = Done;
    return failure(result.wasInterrupted());
  }

  ModuleOp module;
  SymbolTable symbols;
  std::optional<ModelKind> kind;
  DenseMap<Operation *, int> visited;
};

struct CheckModelPass : impl::CheckModelPassBase<CheckModelPass> {
  void runOnOperation() override {
    if (failed(ModelChecker(getOperation()).run()))
      signalPassFailure();
  }
};
} // namespace
} // namespace mlir::xf
