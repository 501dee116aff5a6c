//===- PrepareWeights.cpp - weights packed before they are needed ---------===//
// Stage `input`, after DeriveEntries. A prediction reads every weight for few rows, again and again: packing it anew in
// each product would cost as much as the product. `prepare` does it once for parameters that have been loaded. Tables
// of tokens are read where products find them too: packed, nothing is left to read the parameter.
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

  /// Not of learned positions: their tables are small, and some of their numbers so large that a row of i8 would keep
  /// nothing of the others.
  static bool isOfTokens(EmbeddingOp embedding) {
    Value ids = embedding.getIds();
    auto argument = dyn_cast<BlockArgument>(ids);
    if (!argument)
      return !ids.getDefiningOp<PositionIdsOp>();
    auto entry = embedding->getParentOfType<func::FuncOp>();
    auto name = entry.getArgAttrOfType<StringAttr>(argument.getArgNumber(), "xf.name");
    return !name || name.getValue() != "positions";
  }

  void runOnOperation() override {
    SymbolTable symbols(getOperation());
    SetVector<Attribute> prepared; // names
    OpBuilder b(&getContext());
    auto read = [&](Operation *op, OpOperand &weight) {
      auto param = weight.get().getDefiningOp<GetParamOp>();
      if (!param)
        return;
      b.setInsertionPoint(op);
      RankedTensorType type = formOf(cast<RankedTensorType>(param.getType()));
      weight.set(GetPreparedOp::create(b, op->getLoc(), type, param.getNameAttr()));
      prepared.insert(param.getNameAttr());
    };
    SmallVector<func::FuncOp> entries;
    for (StringRef name : {"encode", "decode", "classify"})
      if (auto entry = symbols.lookup<func::FuncOp>(name); entry && entry->hasAttr("xf.entry"))
        entries.push_back(entry);
    // The loss of what predictions read, beside that of the parameters, which training asks for.
    if (auto loss = symbols.lookup<func::FuncOp>("loss");
        loss && loss->hasAttr("xf.entry") && !entries.empty() && form == WeightForm::Int8) {
      func::FuncOp quantized = loss.clone();
      quantized.setName("quantized_loss");
      symbols.insert(quantized, std::next(loss->getIterator()));
      entries.push_back(quantized);
    }
    for (func::FuncOp entry : entries) {
      inlineCalls(entry, symbols);
      for (LinearOp linear : llvm::make_early_inc_range(entry.getOps<LinearOp>()))
        read(linear, linear.getWeightMutable());
    }
    // One that is only looked up is packed where that makes it smaller: else there is nothing to win.
    for (func::FuncOp entry : entries)
      for (EmbeddingOp embedding : llvm::make_early_inc_range(entry.getOps<EmbeddingOp>())) {
        auto param = embedding.getTable().getDefiningOp<GetParamOp>();
        if (form == WeightForm::Kept || !param || !isOfTokens(embedding) ||
            !(areNarrow || form == WeightForm::Int8 || prepared.contains(param.getNameAttr())))
          continue;
        embedding.setRows(cast<RankedTensorType>(param.getType()).getDimSize(0));
        read(embedding, embedding.getTableMutable());
      }
    if (prepared.empty())
      return;
    b.setInsertionPointToEnd(getOperation().getBody());
    auto prepare = func::FuncOp::create(b, getOperation().getLoc(), "prepare", b.getFunctionType({}, {}));
    prepare->setAttr("xf.entry", b.getUnitAttr());
    b.setInsertionPointToEnd(prepare.addEntryBlock());
    auto typeOf = [&](Attribute name) {
      auto param = symbols.lookup<ParamOp>(cast<FlatSymbolRefAttr>(name).getValue());
      return cast<RankedTensorType>(param.getType());
    };
    // A weight is there in both forms while it is packed: least is taken at once where the largest come first.
    SmallVector<std::pair<int64_t, unsigned>> largestFirst;
    for (auto [number, name] : llvm::enumerate(prepared))
      largestFirst.emplace_back(-typeOf(name).getNumElements(), number);
    llvm::sort(largestFirst);
    for (auto [size, number] : largestFirst) {
      auto name = cast<FlatSymbolRefAttr>(prepared[number]);
      RankedTensorType type = typeOf(name);
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
