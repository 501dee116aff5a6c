//===- LongForms.cpp - a second kernel for long sequences -----------------===//
// How long sequences are is known with a batch alone. Where a kernel's fastest form depends on it, a dispatch names a
// kernel of each form, and the runtime takes one by the batch's extents.
//===----------------------------------------------------------------------===//
#include "xf/Schedule/Choices.h"
#include "xf/Schedule/Passes.h"

namespace mlir::xf {
#define GEN_PASS_DEF_ADDLONGFORMSPASS
#include "xf/Schedule/Passes.h.inc"

namespace {
BufferOp bufferOf(DispatchOp dispatch, unsigned operand) {
  return dispatch->getOperand(operand).getDefiningOp<BufferOp>();
}

/// Above 0 where the rows of both sides are more than `form.rows` for each sequence and side.
SmallVector<int64_t> whereLong(DispatchOp dispatch, const LongForm &form, size_t dims) {
  SmallVector<int64_t> where(dims + 1, 0);
  auto add = [&](unsigned operand, int64_t factor) {
    BufferOp buffer = bufferOf(dispatch, operand);
    if (int64_t rows = cast<MemRefType>(buffer.getType()).getDimSize(0); !ShapedType::isDynamic(rows))
      where[0] += factor * rows;
    else
      for (auto [sum, term] : llvm::zip_equal(where, buffer.getExtentForm(0)))
        sum += factor * term;
  };
  for (LongForm::Side side : form.sides) {
    add(side.matrix, 1);
    add(side.offsets, -form.rows);
    where[0] += form.rows; // offsets are one more than sequences
  }
  return where;
}

/// Whether the function takes sequences that are long enough.
bool mayBeLong(func::FuncOp entry, DispatchOp dispatch, const LongForm &form) {
  auto requirements = entry->getAttrOfType<ArrayAttr>("xf.requirements");
  for (LongForm::Side side : form.sides) {
    BufferOp offsets = bufferOf(dispatch, side.offsets);
    auto isShort = [&](RequirementAttr requirement) {
      ArrayRef<int64_t> size = requirement.getSize();
      return requirement.getKind() == RequirementKind::Longest && offsets.getKind() == BufferKind::Input &&
             requirement.getInput() == static_cast<int64_t>(offsets.getIndex()) && size[0] <= form.rows &&
             llvm::all_of(size.drop_front(), [](int64_t term) { return term == 0; });
    };
    if (!requirements || llvm::none_of(requirements.getAsRange<RequirementAttr>(), isShort))
      return true;
  }
  return false;
}

struct AddLongFormsPass : impl::AddLongFormsPassBase<AddLongFormsPass> {
  using AddLongFormsPassBase::AddLongFormsPassBase;

  void runOnOperation() override {
    SymbolTable symbols(getOperation());
    DenseMap<Operation *, std::optional<LongForm>> forms;
    DenseMap<Operation *, func::FuncOp> copies;
    WalkResult result = getOperation().walk([&](DispatchOp dispatch) {
      auto entry = dispatch->getParentOfType<func::FuncOp>();
      auto dims = entry->getAttrOfType<ArrayAttr>("xf.dims");
      auto kernel = symbols.lookup<func::FuncOp>(dispatch.getKernel());
      if (!dims || dispatch.getOtherwise() || kernel->hasAttr("xf.schedule") || kernel->hasAttr("xf.grid"))
        return WalkResult::advance();
      auto [form, isNew] = forms.try_emplace(kernel);
      if (isNew) {
        if (failed(verifyKernel(kernel)))
          return WalkResult::interrupt();
        func::FuncOp bare = kernel.clone();
        takeOutCasts(bare);
        form->second = formForLongSequences(bare, gpuTarget(gpu, /*usesTF32=*/false));
        bare.erase();
      }
      if (!form->second || !mayBeLong(entry, dispatch, *form->second))
        return WalkResult::advance();
      func::FuncOp &copy = copies[kernel];
      if (!copy) {
        copy = kernel.clone();
        copy.setName((kernel.getName() + "_long").str());
        Builder b(&getContext());
        copy->setAttr("xf.long", b.getUnitAttr());
        copy->setAttr("xf.workspace", sumOf(b, form->second->workspace)); // for who asks before it is scheduled
        symbols.insert(copy, std::next(kernel->getIterator()));
      }
      dispatch.setOtherwise(copy.getName());
      dispatch.setWhere(whereLong(dispatch, *form->second, dims.size()));
      return WalkResult::advance();
    });
    if (result.wasInterrupted())
      signalPassFailure();
  }
};
} // namespace
} // namespace mlir::xf
