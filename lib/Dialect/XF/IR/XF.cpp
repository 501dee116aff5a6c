//===- XF.cpp - the dialect, its attributes and interfaces ----------------===//
// Registration. Verifiers are in Verify.cpp; what an op computes is written in its definition (the .td files).
//===----------------------------------------------------------------------===//
#include "xf/Dialect/XF/IR/XF.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Transforms/InliningUtils.h"
#include "xf/Dialect/XF/IR/Score.h"
#include <cmath>
#include <numbers>

using namespace mlir;
using namespace mlir::xf;

#include "xf/Dialect/XF/IR/XFEnums.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "xf/Dialect/XF/IR/XFAttrs.cpp.inc"
#include "xf/Dialect/XF/IR/XFDialect.cpp.inc"
#include "xf/Dialect/XF/IR/XFInterfaces.cpp.inc"

/// The (query, key) pairs that attention has scores of, in sequences of equal lengths; without offsets in one sequence.
/// A window is counted whole, as in sequences that are much longer.
static AffineExpr scorePairs(Value query, Value key, Value offsets, bool causal, std::optional<int64_t> window,
                             const Extents &extent) {
  AffineExpr queries = extent(query, 0), pairs = queries * extent(key, 0);
  if (window)
    return queries * (causal ? *window + 1 : 2 * *window + 1);
  if (offsets)
    pairs = pairs.floorDiv(extent(offsets, 0) - 1);
  return causal ? (pairs + queries).floorDiv(2) : pairs;
}

SmallVector<Requirement> mlir::xf::requireEqualRows(Operation *op) {
  SmallVector<Requirement> required;
  Value first;
  for (Value operand : op->getOperands()) {
    auto type = dyn_cast<RankedTensorType>(operand.getType());
    if (!type || type.getRank() == 0 || !type.isDynamicDim(0))
      continue;
    if (first)
      required.push_back({RequirementKind::Rows, operand, first});
    else
      first = operand;
  }
  return required;
}

/// Of an op with queries and keys in sequences.
template <typename Op> static SmallVector<Requirement> attentionRequirements(Op op) {
  SmallVector<Requirement> required{{RequirementKind::Rows, op.getValue(), op.getKey()},
                                    {RequirementKind::Rows, op.getKeyOffsets(), op.getQueryOffsets()},
                                    {RequirementKind::Starts, op.getQueryOffsets(), op.getQuery()},
                                    {RequirementKind::Starts, op.getKeyOffsets(), op.getKey()}};
  if (op.getLengths())
    required.push_back({RequirementKind::Rows, op.getLengths(), op.getQuery()});
  return required;
}

/// `score(%captured, ...) { ^bb0(...): ... }`, or nothing. Names of the region are its own.
static ParseResult parseScore(OpAsmParser &parser, SmallVectorImpl<OpAsmParser::UnresolvedOperand> &captures,
                              Region &score) {
  if (failed(parser.parseOptionalKeyword("score")))
    return success();
  if (failed(parser.parseOperandList(captures, OpAsmParser::Delimiter::OptionalParen)))
    return failure();
  return parser.parseRegion(score, /*arguments=*/{}, /*enableNameShadowing=*/true);
}
static void printScore(OpAsmPrinter &printer, Operation *, OperandRange captures, Region &score) {
  if (score.empty())
    return;
  printer << " score";
  if (!captures.empty())
    printer << "(" << captures << ")";
  printer << " ";
  printer.printRegion(score);
}

#define GET_OP_CLASSES
#include "xf/Dialect/XF/IR/XFOps.cpp.inc"

std::string mlir::xf::labelOf(Location loc) {
  if (auto name = dyn_cast<NameLoc>(loc)) {
    std::string child = isa<FileLineColLoc, UnknownLoc>(name.getChildLoc()) ? "" : labelOf(name.getChildLoc());
    return child.empty() ? name.getName().str() : child;
  }
  if (auto call = dyn_cast<CallSiteLoc>(loc)) {
    std::string caller = labelOf(call.getCaller()), callee = labelOf(call.getCallee());
    return caller.empty() || callee.empty() ? caller + callee : caller + "." + callee;
  }
  if (auto fused = dyn_cast<FusedLoc>(loc))
    for (Location part : fused.getLocations())
      if (std::string label = labelOf(part); !label.empty())
        return label;
  return "";
}

Operation *XFDialect::materializeConstant(OpBuilder &builder, Attribute value, Type type, Location loc) {
  return arith::ConstantOp::materialize(builder, value, type, loc);
}

/// A cast back gives what was cast; to f32 and back loses nothing. (But for a kernel, which can't give its argument.)
/// Constants are cast now.
OpFoldResult CastOp::fold(FoldAdaptor adaptor) {
  Type element = getType().getElementType();
  if (auto inner = getX().getDefiningOp<CastOp>(); inner && inner.getX().getType() == getType() && element.isBF16()) {
    auto isTerminator = [](Operation *user) { return user->hasTrait<OpTrait::IsTerminator>(); };
    bool isGiven = llvm::any_of((*this)->getUsers(), isTerminator);
    return isGiven && isa<BlockArgument>(inner.getX()) ? Value() : inner.getX();
  }
  auto values = dyn_cast_or_null<DenseElementsAttr>(adaptor.getX());
  if (!values)
    return {};
  return values.mapValues(element, [&](const APFloat &value) {
    APFloat result = value;
    bool isExact;
    result.convert(cast<FloatType>(element).getFloatSemantics(), APFloat::rmNearestTiesToEven, &isExact);
    return result.bitcastToAPInt();
  });
}

namespace {
/// Layers are functions that calls may be replaced by: every op may be inlined.
struct XFInlinerInterface : DialectInlinerInterface {
  using DialectInlinerInterface::DialectInlinerInterface;
  bool isLegalToInline(Operation *, Operation *, bool) const final { return true; }
  bool isLegalToInline(Region *, Region *, bool, IRMapping &) const final { return true; }
  bool isLegalToInline(Operation *, Region *, bool, IRMapping &) const final { return true; }
};
} // namespace

void XFDialect::initialize() {
  addInterfaces<XFInlinerInterface>();
  addAttributes<
#define GET_ATTRDEF_LIST
#include "xf/Dialect/XF/IR/XFAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "xf/Dialect/XF/IR/XFOps.cpp.inc"
      >();
}

void LinearOp::build(OpBuilder &builder, OperationState &state, Value x, Value weight, Value bias) {
  auto xType = cast<RankedTensorType>(x.getType());
  auto result = RankedTensorType::get({xType.getDimSize(0), cast<RankedTensorType>(weight.getType()).getDimSize(0)},
                                      xType.getElementType());
  build(builder, state, result, x, weight, bias);
}

SmallVector<double> RotaryAnglesOp::getFrequencies() {
  int64_t features = getResult().getType().getDimSize(1);
  double factor = getFactor().convertToDouble();
  SmallVector<double> frequencies;
  for (int64_t i = 0; i < features / 2; ++i) {
    double frequency =
        std::pow(getTheta().convertToDouble(), -2 * static_cast<double>(i) / static_cast<double>(features));
    double kept = 0; // the part that no factor divides
    if (getOriginal()) {
      double low = getLow()->convertToDouble(), high = getHigh()->convertToDouble(),
             turns = static_cast<double>(*getOriginal()) * frequency / (2 * std::numbers::pi);
      kept = std::clamp((turns - low) / (high - low), 0.0, 1.0);
    }
    frequencies.push_back(frequency * ((1 - kept) / factor + kept));
  }
  return frequencies;
}

RankedTensorType PackOp::packedType(RankedTensorType weight, Type element) {
  element = element ? element : weight.getElementType();
  int64_t rows = weight.getDimSize(1);
  if (element.isInteger(8))
    rows += (rows + group - 1) / group * scaleRows;
  return RankedTensorType::get({(weight.getDimSize(0) + columns - 1) / columns, rows, columns}, element);
}

RankedTensorType BlockStatisticsOp::statisticsType(RankedTensorType logits) {
  return RankedTensorType::get({logits.getDimSize(0), (logits.getDimSize(1) + columns - 1) / columns},
                               logits.getElementType());
}

void DispatchOp::getEffects(SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>> &effects) {
  // On tensors a dispatch is a value, unless it is there for its effect on the arenas alone.
  if (getWrites() || getNumResults() == 0) {
    effects.emplace_back(MemoryEffects::Read::get());
    effects.emplace_back(MemoryEffects::Write::get());
  }
}
