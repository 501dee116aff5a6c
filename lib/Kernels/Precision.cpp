//===- Precision.cpp - bf16 between kernels -------------------------------===//
// Last pass of stage `outline`. What kernels hand each other, and what products and attention multiply, becomes bf16 in
// memory; what they compute stays f32: a kernel begins and ends with casts. Everything else keeps its type.
//===----------------------------------------------------------------------===//
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "xf/Kernels/Passes.h"
#include "llvm/ADT/EquivalenceClasses.h"

namespace mlir::xf {
#define GEN_PASS_DEF_PRECISIONPASS
#include "xf/Kernels/Passes.h.inc"
namespace {

RankedTensorType withElement(Value value, Type element) {
  return cast<RankedTensorType>(value.getType()).clone(element);
}

class Narrower {
public:
  explicit Narrower(ModuleOp module)
      : module(module), symbols(module), f32(Float32Type::get(module.getContext())),
        bf16(BFloat16Type::get(module.getContext())) {
    for (auto function : module.getOps<func::FuncOp>())
      if (!function.isExternal() && !function->hasAttr("xf.kernel"))
        functions.push_back(function);
  }

  void run() {
    for (func::FuncOp function : functions)
      function.walk([&](Operation *op) {
        for (Value result : op->getResults())
          add(result);
        for (Region &region : op->getRegions())
          for (BlockArgument argument : region.getArguments())
            add(argument);
      });
    for (func::FuncOp function : functions)
      function.walk([&](Operation *op) { visit(op); });
    unifyKept();
    SmallVector<Value> narrow;
    for (const auto *member : classes)
      if (isNarrow(member->getData()))
        narrow.push_back(member->getData());
    for (func::FuncOp function : functions)
      insertCasts(function);
    for (Value value : narrow)
      value.setType(withElement(value, bf16));
    for (func::FuncOp function : functions)
      function.setFunctionType(FunctionType::get(module.getContext(), function.front().getArgumentTypes(),
                                                 function.front().getTerminator()->getOperandTypes()));
    module.walk([&](DispatchOp dispatch) { dispatch.setKernel(kernelFor(dispatch)); });
  }

private:
  //===-- Which values: those that hand each other memory are of one type ---===//
  static bool isEntry(Operation *function) { return function && function->hasAttr("xf.entry"); }
  static bool isEntryArgument(Value value) {
    auto argument = dyn_cast<BlockArgument>(value);
    return argument && isEntry(dyn_cast<func::FuncOp>(argument.getOwner()->getParentOp()));
  }
  /// A value that others give in f32: where bf16 is wanted of it, it is cast.
  static bool isGiven(Value value) {
    Operation *op = value.getDefiningOp();
    return (isEntryArgument(value) && !keptName(value)) || isa_and_nonnull<GetParamOp, arith::ConstantOp>(op);
  }
  /// The name of what an entry point is given by another call, or gives to one; null for what others see.
  static StringAttr keptName(Value value) {
    auto argument = dyn_cast<BlockArgument>(value);
    auto entry = argument && isEntryArgument(value) ? cast<func::FuncOp>(argument.getOwner()->getParentOp()) : nullptr;
    return entry && entry.getArgAttr(argument.getArgNumber(), "xf.kept")
               ? entry.getArgAttrOfType<StringAttr>(argument.getArgNumber(), "xf.name")
               : nullptr;
  }
  static StringAttr keptName(OpOperand &given) {
    auto entry = dyn_cast<func::FuncOp>(given.getOwner()->getParentOp());
    return isa<func::ReturnOp>(given.getOwner()) && isEntry(entry) &&
                   entry.getResultAttr(given.getOperandNumber(), "xf.kept")
               ? entry.getResultAttrOfType<StringAttr>(given.getOperandNumber(), "xf.name")
               : nullptr;
  }

  void add(Value value) {
    auto type = dyn_cast<RankedTensorType>(value.getType());
    if (!type || type.getElementType() != f32 || isGiven(value))
      return;
    classes.insert(value);
    // Rows of a batch are as many as the batch has; what else is a matrix is a weight, if products alone read it.
    bool isActivation = type.getRank() == 2 && type.isDynamicDim(0);
    if (!isActivation && !isWeight(value))
      pinned.insert(value);
  }

  /// Whether products alone read `value`.
  bool isWeight(Value value) {
    return llvm::all_of(value.getUses(), [&](OpOperand &use) {
      return isa<func::CallOp, SetPreparedOp>(use.getOwner()) || isFactor(use);
    });
  }
  /// Whether the kernel of a dispatch takes this operand as a factor of products, and as nothing else.
  bool isFactor(OpOperand &use) {
    auto dispatch = dyn_cast<DispatchOp>(use.getOwner());
    if (!dispatch)
      return false;
    Value argument = kernelOf(dispatch).getArgument(use.getOperandNumber());
    return llvm::all_of(argument.getUses(), [](OpOperand &use) {
      auto op = dyn_cast<KernelOpInterface>(use.getOwner());
      return op && op.isFactor(use.getOperandNumber());
    });
  }

  void unify(Value a, Value b) {
    if (!classes.contains(a) || !classes.contains(b)) {
      pinned.insert(a);
      pinned.insert(b);
    } else {
      classes.unionSets(a, b);
    }
  }
  void unify(ValueRange a, ValueRange b) {
    for (auto [x, y] : llvm::zip_equal(a, b))
      unify(x, y);
  }

  void visit(Operation *op) {
    if (auto call = dyn_cast<func::CallOp>(op)) {
      auto callee = symbols.lookup<func::FuncOp>(call.getCallee());
      for (auto [operand, argument] : llvm::zip(call.getOperands(), callee.getArguments()))
        if (!isGiven(operand))
          unify(operand, argument);
      unify(call.getResults(), callee.front().getTerminator()->getOperands());
    } else if (auto chunked = dyn_cast<ChunkedOp>(op)) {
      Block &body = chunked.getBody().front();
      unify(chunked->getOperands(), body.getArguments());
      unify(chunked.getResults(), body.getTerminator()->getOperands());
      unify(chunked.getSums(), chunked.getInto());
    } else if (auto dispatch = dyn_cast<DispatchOp>(op)) {
      visitDispatch(dispatch);
    } else if (auto reshape = dyn_cast<ReshapeOp>(op)) {
      unify(reshape.getX(), reshape.getResult());
      if (hasGaps(memoryOf(withElement(reshape.getX(), bf16))) || hasGaps(memoryOf(withElement(reshape, bf16))))
        pinned.insert(reshape); // what has gaps is not what lies row after row
    } else if (!isa<func::ReturnOp, YieldOp, SetPreparedOp>(op)) {
      pinned.insert(op->operand_begin(), op->operand_end());
    }
  }

  /// What calls hand each other is of one type in all entry points.
  void unifyKept() {
    DenseMap<StringAttr, Value> byName;
    auto meet = [&](StringAttr name, Value value) {
      if (Value &first = byName[name])
        unify(first, value);
      else
        first = value;
    };
    for (func::FuncOp function : functions) {
      for (BlockArgument argument : function.getArguments())
        if (StringAttr name = keptName(argument))
          meet(name, argument);
      for (OpOperand &given : function.front().getTerminator()->getOpOperands())
        if (StringAttr name = keptName(given))
          meet(name, given.get());
    }
  }

  void visitDispatch(DispatchOp dispatch) {
    func::FuncOp kernel = kernelOf(dispatch);
    for (auto [result, value] : llvm::zip(dispatch.getResults(), kernel.front().getTerminator()->getOperands())) {
      unsigned number = result.getResultNumber();
      auto op = value.getDefiningOp<KernelOpInterface>();
      // A kernel itself can give the caller f32, but for attention: its forms for tensor cores write what they read.
      bool isOutput = result.hasOneUse() && isa<func::ReturnOp>(*result.user_begin()) &&
                      !keptName(*result.use_begin()) && isEntry(dispatch->getParentOp()) &&
                      !(op && op.getKernelKind() == KernelKind::Attention) &&
                      !(op && op.getKernelKind() == KernelKind::AttentionBackward);
      if (isOutput || (op && op.isStatistic(cast<OpResult>(value).getResultNumber())))
        pinned.insert(result);
      if (auto inPlace = kernel.getResultAttrOfType<IntegerAttr>(number, "xf.in_place"))
        unify(result, dispatch->getOperand(inPlace.getInt()));
    }
  }

  bool isNarrow(Value value) {
    if (!classes.contains(value))
      return false;
    if (pinnedLeaders.empty())
      for (Value each : pinned)
        if (classes.contains(each))
          pinnedLeaders.insert(classes.getLeaderValue(each));
    return !pinnedLeaders.contains(classes.getLeaderValue(value));
  }

  //===-- Casts where the types of two values meet -------------------------===//
  void insertCasts(func::FuncOp function) {
    DenseMap<Value, Value> casts; // of given values
    function.walk([&](Operation *op) {
      for (OpOperand &use : op->getOpOperands())
        if (Value value = use.get(); isGiven(value) && wantsNarrow(use)) {
          Value &narrow = casts[value];
          if (!narrow)
            narrow = emitCast(value, bf16, function.front().findAncestorOpInBlock(*op));
          use.set(narrow);
        }
    });
    if (isEntry(function))
      for (OpOperand &use : function.front().getTerminator()->getOpOperands())
        if (isNarrow(use.get()) && !keptName(use))
          use.set(emitCast(use.get(), f32, use.getOwner()));
  }

  bool wantsNarrow(OpOperand &use) {
    if (auto call = dyn_cast<func::CallOp>(use.getOwner()))
      return isNarrow(symbols.lookup<func::FuncOp>(call.getCallee()).getArgument(use.getOperandNumber()));
    if (isa<SetPreparedOp>(use.getOwner()))
      return true;
    return cast<RankedTensorType>(use.get().getType()).getRank() == 2 && isFactor(use);
  }

  /// A dispatch before `op` of a kernel that does nothing else.
  Value emitCast(Value value, Type element, Operation *op) {
    OpBuilder b(op);
    RankedTensorType from = withElement(value, element == f32 ? bf16 : f32), to = withElement(value, element);
    std::string name = element == f32 ? "widen" : "cast";
    for (auto [number, extent] : llvm::enumerate(to.getShape()))
      name += (number ? "x" : "_") + (ShapedType::isDynamic(extent) ? "n" : std::to_string(extent));
    Location loc = value.getLoc();
    if (auto param = value.getDefiningOp<GetParamOp>())
      loc = NameLoc::get(param.getNameAttr().getAttr());
    if (!symbols.lookup(name))
      symbols.insert(buildCastKernel(name, from, to));
    std::string label = labelOf(loc);
    return DispatchOp::create(b, loc, to, name, label.empty() ? "cast" : label, value, DenseI32ArrayAttr(),
                              AffineMapAttr())
        .getResult(0);
  }

  //===-- Kernels ------------------------------------------------------------===//
  func::FuncOp kernelOf(DispatchOp dispatch) { return symbols.lookup<func::FuncOp>(dispatch.getKernel()); }

  /// The kernel of a dispatch for the types that its operands and results have now.
  StringRef kernelFor(DispatchOp dispatch) {
    func::FuncOp kernel = kernelOf(dispatch);
    auto type = FunctionType::get(module.getContext(), dispatch.getOperandTypes(), dispatch.getResultTypes());
    if (type == kernel.getFunctionType())
      return kernel.getName();
    func::FuncOp &variant = variants[{kernel, type}];
    if (!variant) {
      variant = kernel.clone();
      Block &body = variant.front();
      OpBuilder b = OpBuilder::atBlockBegin(&body);
      Location loc = b.getUnknownLoc();
      for (BlockArgument argument : body.getArguments()) {
        Type computed = argument.getType(), wanted = type.getInput(argument.getArgNumber());
        if (wanted == computed)
          continue;
        argument.setType(wanted);
        auto cast = CastOp::create(b, loc, computed, argument);
        argument.replaceAllUsesExcept(cast.getResult(), cast);
      }
      b.setInsertionPoint(body.getTerminator());
      for (OpOperand &given : body.getTerminator()->getOpOperands())
        if (Type wanted = type.getResult(given.getOperandNumber()); wanted != given.get().getType())
          given.set(CastOp::create(b, loc, wanted, given.get()));
      variant.setFunctionType(type);
      variant.setName((kernel.getName() + "_bf16").str());
      symbols.insert(variant, std::next(Block::iterator(kernel)));
    }
    return variant.getName();
  }

  ModuleOp module;
  SymbolTable symbols;
  Type f32, bf16;
  SmallVector<func::FuncOp> functions;
  llvm::EquivalenceClasses<Value> classes;
  DenseSet<Value> pinned, pinnedLeaders; // to f32
  DenseMap<std::pair<Operation *, Type>, func::FuncOp> variants;
};

struct PrecisionPass : impl::PrecisionPassBase<PrecisionPass> {
  void runOnOperation() override {
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (function->hasAttr("xf.inputs")) {
        function.emitError() << "expected '" << function.getName()
                             << "' to be of tensors: stage 'plan' comes after this pass";
        return signalPassFailure();
      }
    Narrower(getOperation()).run();
  }
};
} // namespace

func::FuncOp buildCastKernel(StringRef name, RankedTensorType from, RankedTensorType to) {
  OpBuilder b(from.getContext());
  Location loc = b.getUnknownLoc();
  auto kernel = func::FuncOp::create(loc, name, b.getFunctionType(from, to));
  kernel.setPrivate();
  kernel->setAttr("xf.kernel", KernelKindAttr::get(b.getContext(), KernelKind::Elementwise));
  b.setInsertionPointToEnd(kernel.addEntryBlock());
  func::ReturnOp::create(b, loc, CastOp::create(b, loc, to, kernel.getArgument(0)).getResult());
  SmallVector<Attribute> extents;
  for (int64_t dim = 0; dim < to.getRank(); ++dim)
    if (to.isDynamicDim(dim))
      extents.push_back(b.getDenseI64ArrayAttr({0, dim}));
  if (!extents.empty())
    kernel.setResultAttr(0, "xf.extents", b.getArrayAttr(extents));
  return kernel;
}
} // namespace mlir::xf
