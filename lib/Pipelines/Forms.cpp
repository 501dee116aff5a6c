//===- Forms.cpp - which stage takes a module next ------------------------===//
// Each stage leaves something in the module that only the next one takes. Where a module has none of it, such as a
// function of one op, more stages than one may take it.
//===----------------------------------------------------------------------===//
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "xf/Dialect/XF/IR/XF.h"
#include "xf/Pipelines/Stages.h"

namespace mlir::xf {
std::pair<Stage, Stage> nextStages(ModuleOp module) {
  for (StringRef description : {"xf_program_json", "xf_gpu_program_json"})
    if (isa_and_nonnull<LLVM::GlobalOp>(module.lookupSymbol(description)))
      return {Stage::link, Stage::link};
  bool isPlanned = false, isScheduled = true;
  for (auto function : module.getOps<func::FuncOp>()) {
    isPlanned |= function->hasAttr("xf.inputs");
    isScheduled &= !function->hasAttr("xf.kernel") || function->hasAttr("xf.grid");
  }
  if (isPlanned)
    return {Stage::schedule, isScheduled ? Stage::target : Stage::schedule};
  bool hasComposites = false, hasGroups = false, hasDispatches = false;
  module.walk([&](Operation *op) {
    hasComposites |=
        isa<EmbedOp, MultiHeadAttentionOp, AddNormOp, NormOp, ResidualOp, FeedForwardOp, ProjectOp, ApplyOp>(op);
    hasGroups |= isa<GroupOp>(op);
    hasDispatches |= isa<DispatchOp>(op);
  });
  if (hasComposites)
    return {Stage::input, Stage::input};
  if (hasGroups)
    return {Stage::outline, Stage::outline};
  if (hasDispatches)
    return {Stage::plan, Stage::plan};
  // Of a model the first stages leave other functions.
  if (module.lookupSymbol("model")) {
    Stage next = module.lookupSymbol("loss") ? Stage::autodiff : Stage::input;
    return {next, next};
  }
  return {module.lookupSymbol("gradients") ? Stage::fuse : Stage::input, Stage::fuse};
}
} // namespace mlir::xf
