//===- AttentionChoices.cpp - the forms of attention for GPUs -------------===//
// What a kernel may be, the fastest form that has room in a thread's registers first, and then those that need fewer.
// Which has room is a rule of thumb, by a survey of what ptxas 13.0 says (test/Target/cuda-spills.test); where it finds
// that one has not after all, as with a score region of unusual length, the driver takes the next (Driver/Kernels.cpp).
//===----------------------------------------------------------------------===//
#include "AttentionTensorCore.h"
#include "xf/Schedule/Choices.h"

namespace mlir::xf {
namespace {
/// What the choice is made by: of an op, and what memory holds of it.
struct Attended {
  template <typename OpT>
  Attended(func::FuncOp kernel, OpT op, ArrayRef<std::pair<Value, int64_t>> matrices)
      : context(kernel.getContext()), hasDropout(op.getRandom()), hasRegion(!op.getScore().empty()),
        hasWindow(op.getWindow()), hasLengths(op.getLengths()), isCausal(op.getCausal()),
        sharesKeys(sharersOf(op) > 1) {
    bool areBF16 = true;
    for (auto [matrix, features] : matrices) {
      auto type = cast<RankedTensorType>(kernel.getArgumentTypes()[cast<BlockArgument>(matrix).getArgNumber()]);
      widths.push_back(features);
      areBF16 &= type.getElementType().isBF16();
      if (widths.size() <= 4) // not what the forward has left, of which little is read
        isForTensorCores &= areBF16 && widths.back() <= 128;
    }
    hasVectors = areBF16 && llvm::all_of(widths, [](int64_t width) { return width % 8 == 0; });
    isForWarpgroups = areBF16 && op.getScale().convertToDouble() > 0 && llvm::all_of(widths, [&](int64_t width) {
                        return width == 64 || width == 128 || ((width == 32 || width == 96) && llvm::all_equal(widths));
                      });
    for (auto [value, type] : llvm::zip(op->getBlock()->getTerminator()->getOperands(), kernel.getResultTypes()))
      if (auto result = dyn_cast<OpResult>(value); result && !op.isStatistic(result.getResultNumber()))
        isForWarpgroups &= getElementTypeOrSelf(type).isBF16();
  }
  int64_t widest() const { return *llvm::max_element(widths); }

  Attribute onWarpgroups(int64_t columns, bool inTurn = false, bool isOrdered = false) const {
    return WarpgroupAttentionScheduleAttr::get(context, columns, /*stages=*/2, inTurn, isOrdered);
  }
  Attribute onTensorCores(int64_t rows, bool isTight = false, bool inTurn = false) const {
    return TensorCoreAttentionScheduleAttr::get(context, rows, isTight, inTurn);
  }

  MLIRContext *context;
  bool hasDropout, hasRegion, hasWindow, hasLengths, isCausal, sharesKeys;
  bool isForTensorCores = true, isForWarpgroups = true;
  bool hasVectors;             // whether all rows of heads are read by 16 bytes
  SmallVector<int64_t> widths; // of heads in the matrices
};

void addForward(SmallVector<Attribute> &forms, const Attended &a, bool hasWarpgroups) {
  int64_t extras = a.hasDropout + a.hasRegion + a.hasWindow;
  if (hasWarpgroups && a.isForWarpgroups) {
    if (a.widest() <= 64 || extras <= 1)
      forms.push_back(a.onWarpgroups(128));
    forms.push_back(a.onWarpgroups(64));
  }
  if (!a.isForTensorCores)
    return;
  if (a.widest() <= 64 && extras == 0 && !a.hasLengths)
    forms.push_back(a.onTensorCores(32));
  if (a.widest() <= 64 || a.hasDropout + a.hasRegion == 0)
    forms.push_back(a.onTensorCores(16));
  forms.push_back(a.onTensorCores(16, /*isTight=*/true));
}

void addBackward(SmallVector<Attribute> &forms, const Attended &a, bool hasWarpgroups, bool isLong) {
  int64_t extras = a.hasDropout + a.hasRegion + a.hasWindow;
  if (hasWarpgroups && a.isForWarpgroups) {
    if (isLong)
      forms.push_back(a.onWarpgroups(64, /*inTurn=*/false, /*isOrdered=*/true));
    // Both sums of the widest heads, and the number of the head that keys are shared by, where no mask bounds steps.
    bool isFull = a.sharesKeys && !a.isCausal && a.widths[1] + a.widths[3] == 256;
    if (a.widest() <= 64 ? extras <= 1 : extras == 0 && !a.hasLengths && !isFull)
      forms.push_back(a.onWarpgroups(64));
    forms.push_back(a.onWarpgroups(64, /*inTurn=*/true));
  }
  if (!a.isForTensorCores)
    return;
  // What wants registers, in steps of 16 features.
  int64_t load = 4 * (a.hasDropout + a.hasRegion + !a.hasVectors);
  for (int64_t matrix : {1, 3}) // query and value
    load += llvm::divideCeil(a.widths[matrix], 16);
  bool hasRanges = a.hasLengths || a.hasWindow, isTight = a.hasRegion || load + hasRanges > 12;
  if (load + 3 * (hasRanges || a.isCausal) <= 16) {
    if (!isTight)
      forms.push_back(a.onTensorCores(16));
    forms.push_back(a.onTensorCores(16, /*isTight=*/true));
  }
  forms.push_back(a.onTensorCores(16, /*isTight=*/true, /*inTurn=*/true));
}

Attended attendedOf(func::FuncOp kernel, AttentionBackwardOp op) {
  int64_t features = op.getKeyFeatures(), valueFeatures = op.getValueFeatures();
  return {kernel,
          op,
          {{op.getCotangent(), valueFeatures},
           {op.getQuery(), features},
           {op.getKey(), features},
           {op.getValue(), valueFeatures},
           {op.getForwardResult(), valueFeatures}}};
}
} // namespace

bool isForTensorCores(func::FuncOp kernel, AttentionBackwardOp op) { return attendedOf(kernel, op).isForTensorCores; }

/// Of the backward the one with sums in order: five products in place of seven. It wins where sequences are long and
/// nothing is masked, and loses where they are short or causal (docs/Performance.md). Nobody has measured it where
/// heads share keys. A region may mask blocks, which only the block itself passes over.
std::optional<LongForm> formForLongSequences(func::FuncOp kernel, const ScheduleTarget &target) {
  auto op = dyn_cast<AttentionBackwardOp>(rootOf(kernel));
  if (!op || !op.getCapturedGradients().empty() || !target.hasWarpgroups)
    return std::nullopt;
  Attended a = attendedOf(kernel, op);
  if (!a.isForWarpgroups || a.isCausal || a.hasWindow || a.hasLengths || a.hasDropout || a.hasRegion || a.sharesKeys)
    return std::nullopt;
  auto argument = [](Value tensor) { return cast<BlockArgument>(tensor).getArgNumber(); };
  return LongForm{/*rows=*/1024,
                  {{argument(op.getQuery()), argument(op.getQueryOffsets())},
                   {argument(op.getKey()), argument(op.getKeyOffsets())}},
                  workspaceInOrder(op)};
}

SmallVector<Attribute> attentionForms(func::FuncOp kernel, const ScheduleTarget &target) {
  SmallVector<Attribute> forms;
  Operation *root = rootOf(kernel);
  if (auto op = dyn_cast<AttentionOp>(root))
    addForward(forms,
               Attended(kernel, op,
                        {{op.getQuery(), op.getKeyFeatures()},
                         {op.getKey(), op.getKeyFeatures()},
                         {op.getValue(), op.getValueFeatures()}}),
               target.hasWarpgroups);
  else if (auto op = dyn_cast<AttentionBackwardOp>(root); op && op.getCapturedGradients().empty())
    addBackward(forms, attendedOf(kernel, op), target.hasWarpgroups, kernel->hasAttr("xf.long"));
  else
    return forms;
  for (bool isTight : {false, true})
    forms.push_back(PlainAttentionScheduleAttr::get(kernel.getContext(), target.registers.warps, isTight));
  return forms;
}
} // namespace mlir::xf
