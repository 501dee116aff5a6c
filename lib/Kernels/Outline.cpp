//===- Outline.cpp - groups become kernels --------------------------------===//
// Stage `outline`. A kernel is a private function; groups with equal bodies share one, so that a layer applied six
// times, or three projections of one shape, are compiled once.
//===----------------------------------------------------------------------===//
#include "mlir/Transforms/RegionUtils.h"
#include "xf/Kernels/Cost.h"
#include "xf/Kernels/Passes.h"

namespace mlir::xf {
#define GEN_PASS_DEF_OUTLINEPASS
#include "xf/Kernels/Passes.h.inc"
namespace {

class Outliner {
public:
  explicit Outliner(ModuleOp module) : module(module), symbols(module) {}

  LogicalResult outline(GroupOp group) {
    SetVector<Value> captured;
    getUsedValuesDefinedAbove(group.getBody(), captured);
    SmallVector<Value> operands = captured.takeVector();
    FailureOr<func::FuncOp> kernel = getKernel(group, operands);
    if (failed(kernel))
      return failure();
    OpBuilder builder(group);
    auto dispatch = DispatchOp::create(builder, group.getLoc(), group.getResultTypes(), kernel->getName(),
                                       group.getLabel(), operands, DenseI32ArrayAttr(), AffineMapAttr());
    group.replaceAllUsesWith(dispatch.getResults());
    group.erase();
    return success();
  }

private:
  /// Adds to the operands where one is read beside a result that takes its place.
  FailureOr<func::FuncOp> getKernel(GroupOp group, SmallVector<Value> &operands) {
    OpBuilder builder(module.getContext());
    Operation *yield = group.getBody().front().getTerminator();
    auto type = builder.getFunctionType(ValueRange(operands).getTypes(), yield->getOperandTypes());
    auto kernel = func::FuncOp::create(UnknownLoc::get(module.getContext()), "kernel", type);
    kernel.setPrivate();
    kernel->setAttr("xf.kernel", KernelKindAttr::get(module.getContext(), group.getKind()));
    Block *body = kernel.addEntryBlock();
    IRMapping mapping;
    mapping.map(ArrayRef(operands), body->getArguments());
    builder.setInsertionPointToEnd(body);
    for (Operation &op : group.getBody().front().without_terminator())
      builder.clone(op, mapping)->setLoc(UnknownLoc::get(module.getContext()));
    SmallVector<Value> results;
    for (Value value : yield->getOperands())
      results.push_back(mapping.lookup(value));
    func::ReturnOp::create(builder, kernel.getLoc(), results);
    for (auto [index, value] : llvm::enumerate(results)) {
      SmallVector<Attribute> extents;
      auto shape = cast<RankedTensorType>(value.getType()).getShape();
      for (unsigned dim = 0; dim < shape.size(); ++dim)
        if (ShapedType::isDynamic(shape[dim])) {
          FailureOr<std::pair<unsigned, unsigned>> source = traceExtent(value, dim);
          if (failed(source))
            return kernel.erase(), failure();
          extents.push_back(builder.getDenseI64ArrayAttr({source->first, source->second}));
        }
      if (!extents.empty())
        kernel.setResultAttr(index, "xf.extents", builder.getArrayAttr(extents));
      if (auto op = value.getDefiningOp<KernelOpInterface>())
        if (int operand = op.getInPlaceOperand(cast<OpResult>(value).getResultNumber()); operand >= 0)
          if (auto argument = dyn_cast<BlockArgument>(op->getOperand(operand))) {
            unsigned number = argument.getArgNumber();
            // A row is read before it is written; of others, who reads more than what is added to reads a copy.
            if (!argument.hasOneUse() && group.getKind() != KernelKind::Row) {
              number = kernel.getNumArguments();
              if (failed(kernel.insertArgument(number, argument.getType(), {}, argument.getLoc())))
                return kernel.erase(), failure();
              op->setOperand(operand, kernel.getArgument(number));
              operands.push_back(operands[argument.getArgNumber()]);
            }
            kernel.setResultAttr(index, "xf.in_place", builder.getI64IntegerAttr(number));
          }
    }

    // The printed form without names is a key that equal kernels share.
    std::string key;
    llvm::raw_string_ostream stream(key);
    kernel.print(stream, OpPrintingFlags().printGenericOpForm().useLocalScope());
    auto [it, isNew] = kernels.try_emplace(key, kernel);
    if (!isNew) {
      kernel.erase();
      return it->second;
    }
    kernel.setName(nameOf(group));
    symbols.insert(kernel, module.getBody()->end()); // makes the name unique
    return kernel;
  }

  /// What the kernel computes and how wide: linear_relu_2048x512.
  static std::string nameOf(GroupOp group) {
    std::string name;
    unsigned count = 0;
    Operation *root = &group.getBody().front().front();
    for (Operation &op : group.getBody().front().without_terminator())
      if (count++ < 5)
        name += (name.empty() ? "" : "_") + op.getName().stripDialect().str();
    // The widest static shape among the first op's operands and results says the most.
    int64_t best = 0;
    std::string shapeText;
    SmallVector<Type> types(root->getOperandTypes());
    llvm::append_range(types, root->getResultTypes());
    for (Type type : types) {
      auto tensor = dyn_cast<RankedTensorType>(type);
      if (!tensor)
        continue;
      int64_t size = 1;
      std::string text;
      for (int64_t extent : tensor.getShape())
        if (!ShapedType::isDynamic(extent)) {
          size *= extent;
          text += (text.empty() ? "" : "x") + std::to_string(extent);
        }
      if (size > best && !text.empty()) {
        best = size;
        shapeText = text;
      }
    }
    return shapeText.empty() ? name : name + "_" + shapeText;
  }

  ModuleOp module;
  SymbolTable symbols;
  llvm::StringMap<func::FuncOp> kernels;
};

struct OutlinePass : impl::OutlinePassBase<OutlinePass> {
  void runOnOperation() override {
    Outliner outliner(getOperation());
    SmallVector<GroupOp> groups;
    getOperation().walk([&](GroupOp group) { groups.push_back(group); });
    for (GroupOp group : groups)
      if (failed(outliner.outline(group)))
        return signalPassFailure();
  }
};
} // namespace
} // namespace mlir::xf
