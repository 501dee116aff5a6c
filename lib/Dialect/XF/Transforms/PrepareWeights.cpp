//===- PrepareWeights.cpp - weights packed before they are needed ---------===//
// Stage `input`, after DeriveEntries. A prediction reads every weight for few rows, again and again: packing it anew in
// each product would cost as much as the product. `prepare` does it once for parameters that have been loaded.
//===----------------------------------------------------------------------===//
#include "Inline.h"
#include "xf/Dialect/XF/Transforms/Passes.h"

namespace mlir::xf {
#define GEN_PASS_DEF_PREPAREWEIGHTSPASS
#include "xf/Dialect/XF/Transforms/Passes.h.inc"
namespace {

struct PrepareWeightsPass : impl::PrepareWeightsPassBase<PrepareWeightsPass> {
  using PrepareWeightsPassBase::PrepareWeightsPassBase;

  /// What predictions read of a weight.
  RankedTensorType formOf(RankedTensorType weight) {
    if (form == WeightForm::Kept)
      return weight;
    return PackOp::packedType(weight, form == WeightForm::Int8 ? IntegerType::get(&getContext(), 8) : Type());
  }

  void runOnOperation() override {
    SymbolTable symbols(getOperation());
    SetVector<Attribute> prepared; // names
    OpBuilder b(&getContext());
    for (StringRef name : {"encode", "decode"}) {
      auto entry = symbols.lookup<func::FuncOp>(name);
      if (!entry || !entry->hasAttr("xf.entry"))
        continue;
      inlineCalls(entry, symbols);
      for (LinearOp linear : llvm::make_early_inc_range(entry.getOps<LinearOp>()))
        if (auto weight = linear.getWeight().getDefiningOp<GetParamOp>()) {
          b.setInsertionPoint(linear);
          RankedTensorType type = formOf(cast<RankedTensorType>(weight.getType()));
          linear.getWeightMutable().assign(
              GetPreparedOp::create(b, linear.getLoc(), type, weight.getNameAttr()).getResult());
          prepared.insert(weight.getNameAttr());
        }
    }
    if (prepared.empty())
      return;
    b.setInsertionPointToEnd(getOperation().getBody());
    auto prepare = func::FuncOp::create(b, getOperation().getLoc(), "prepare", b.getFunctionType({}, {}));
    prepare->setAttr("xf.entry", b.getUnitAttr());
    b.setInsertionPointToEnd(prepare.addEntryBlock());
    for (Attribute attribute : prepared) {
      auto name = cast<FlatSymbolRefAttr>(attribute);
      auto type = cast<RankedTensorType>(symbols.lookup<ParamOp>(name.getValue()).getType());
      Location loc = NameLoc::get(name.getAttr());
      Value weight = GetParamOp::create(b, loc, type, name);
      if (form != WeightForm::Kept)
        weight = PackOp::create(b, loc, formOf(type), weight);
      SetPreparedOp::create(b, loc, name, weight);
    }
    func::ReturnOp::create(b, prepare.getLoc());
  }
};
} // namespace
} // namespace mlir::xf
