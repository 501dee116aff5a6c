//===- Choices.cpp - how kernels are cut ----------------------------------===//
// The cost model: what is used again should still be in the cache that it is read from, and tiles of work should be
// many enough to share and few enough to be worth their packing.
//===----------------------------------------------------------------------===//
#include "xf/Schedule/Choices.h"
#include "xf/Schedule/Elementwise.h"
#include "xf/Schedule/RegisterTile.h"

#include <numeric>

namespace mlir::xf {
namespace {
constexpr int64_t element = sizeof(float);

/// The multiple of `unit` that cuts `extent` into equal tiles no larger than `most`.
int64_t balanced(int64_t extent, int64_t most, int64_t unit) {
  extent = std::max<int64_t>(extent, 1);
  int64_t tiles = llvm::divideCeil(extent, std::max(most, unit));
  return llvm::alignTo(llvm::divideCeil(extent, tiles), unit);
}

struct ProductExtents {
  int64_t m, k, n; // m and k may be dynamic
  bool transposed; // A lies as k x m
};
ProductExtents extentsOf(Operation *root) {
  auto result = cast<RankedTensorType>(root->getResult(0).getType());
  auto a = cast<RankedTensorType>(root->getOperand(0).getType());
  auto matmul = dyn_cast<MatmulOp>(root);
  bool transposed = matmul && matmul.getTransposeA();
  return {a.getDimSize(transposed ? 1 : 0), a.getDimSize(transposed ? 0 : 1), result.getDimSize(1), transposed};
}

/// Whether a block of A is copied before it is multiplied: where it is transposed, so that no step of k lies on a page
/// of its own; or where rows lie so far apart that those of a register tile don't find room in a set of the first
/// cache.
bool copiesA(const ProductExtents &extents, int64_t registerRows, const ScheduleTarget &target) {
  if (extents.transposed || ShapedType::isDynamic(extents.k) || extents.k == 0)
    return extents.transposed;
  // A way is a page, as its address is looked for before it is translated; caches larger than that have 4 ways at
  // least.
  constexpr int64_t page = 4096;
  int64_t ways = target.l1 <= 12 * page ? target.l1 / page : 4, setsOfRows = page / std::gcd(page, extents.k * element);
  return llvm::divideCeilSigned(registerRows, setsOfRows) > ways;
}

/// Columns of a tile that is not the whole width: whole panels, and for dropout whole groups of the 64 that it draws.
int64_t columnUnit(int64_t panel) { return std::max<int64_t>(panel, 64); }

Attribute chooseMatmul(Operation *root, const ScheduleTarget &target) {
  ProductExtents extents = extentsOf(root);
  int64_t registerRows = rowsOfTile(target.registers), panel = 2 * target.registers.width;
  // The block of B that a worker has packed is read from the second cache or the third, in order and ahead of need, so
  // that it may be as large as the second; longer sums than it is deep are carried from block to block in C. Where A is
  // copied, more columns make more of each copy.
  bool copyA = copiesA(extents, registerRows, target);
  int64_t mostColumns = copyA ? 256 : 128, most = llvm::alignDown(target.l2 / (128 * element), target.registers.width);
  int64_t depth = ShapedType::isDynamic(extents.k) || extents.k == 0
                      ? most
                      : std::min(extents.k, balanced(extents.k, most, target.registers.width));
  int64_t columns = balanced(extents.n, mostColumns, extents.n > mostColumns ? columnUnit(panel) : panel);
  // A tile of work costs the packing of its columns at worst, and a passage of the packed block in any case; 48 rows
  // are worth it, and few enough to share.
  constexpr int64_t mostRows = 48;
  int64_t rows = ShapedType::isDynamic(extents.m) ? mostRows : balanced(extents.m, mostRows, registerRows);
  // But a worker computes its tiles as one range: where there are few, or nothing is packed, smaller ones leave nobody
  // idle.
  constexpr int64_t fewTiles = 32;
  auto linear = dyn_cast<LinearOp>(root);
  auto tilesOf = [&](int64_t rows) { return llvm::divideCeil(extents.m, rows) * llvm::divideCeil(extents.n, columns); };
  if (linear && linear.isPacked())
    rows = registerRows;
  else if (!ShapedType::isDynamic(extents.m) && tilesOf(rows) < fewTiles)
    rows = std::min(rows, tilesOf(2 * registerRows) < fewTiles / 2 ? registerRows : 2 * registerRows);
  // A block of A is read once a panel, from the second cache; a copy is no further from it than its row.
  int64_t blockRows = copyA ? 96 : 48;
  return MatmulScheduleAttr::get(root->getContext(), registerRows, rows, columns, blockRows, depth, copyA);
}

Attribute chooseAttention(Operation *root, const ScheduleTarget &target) {
  // Sums over keys are blocked by `keys`: one number everywhere, for equal bits everywhere.
  constexpr int64_t keys = 128;
  // A block of scores takes three quarters of the first cache; a turn's queries and sums, of 64 features a head, are as
  // large as the second: they come in order, and every turn fetches the keys and values of a long sequence anew. More
  // than 1,024 measured no better.
  int64_t registerRows = rowsOfTile(target.registers);
  int64_t queries = std::max(target.l1 * 3 / 4 / (keys * element) / registerRows, int64_t(1)) * registerRows;
  int64_t turn = std::max(std::min<int64_t>(target.l2 / (2 * 64 * element), 1024), queries);
  return AttentionScheduleAttr::get(root->getContext(), queries, keys, turn);
}

Attribute chooseRows(Block &body, const ScheduleTarget &target) {
  auto type = cast<RankedTensorType>(body.getTerminator()->getOperand(0).getType());
  int64_t columns = columnsOfRows(body);
  if (type.getRank() > 2 || (columns == 0 && type.hasStaticShape()))
    return {}; // refused, or one row
  if (sumsOfParts(body))
    return {}; // a tile is a part
  if (target.registers.isGPU())
    return RowScheduleAttr::get(body.getParentOp()->getContext(),
                                target.registers.threads() / target.registers.lanes());
  int64_t rows = std::clamp<int64_t>(target.l1 / (element * std::max<int64_t>(columns, 1)), 1, 256);
  return RowScheduleAttr::get(body.getParentOp()->getContext(), rows);
}

} // namespace

int64_t shareOfThread(ArrayRef<Type> types, int64_t columns) {
  int64_t share = 0;
  for (Type type : types)
    if (auto tensor = dyn_cast<RankedTensorType>(type); tensor && tensor.getRank() == 2) {
      int64_t most = tensor.getElementType().isBF16() ? 8 : 4;
      share = pitchOf(memoryOf(tensor)) % most == 0 ? std::min(share ? share : most, most) : 1;
      if (share == 1)
        return 1;
    }
  if (share == 0) // vectors
    share = columns % 4 == 0 ? 4 : 1;
  return columns >= share ? share : columns >= 4 ? 4 : 1;
}

RegisterFile blockOfRows(func::FuncOp kernel, RegisterFile block) {
  Block &body = kernel.getBody().front();
  auto type = cast<RankedTensorType>(body.getTerminator()->getOperand(0).getType());
  int64_t columns = columnsOfRows(body);
  bool isVector = columns == 0 && type.hasStaticShape();
  if (isVector)
    columns = type.getNumElements();
  SmallVector<Type> types(kernel.getArgumentTypes());
  llvm::append_range(types, kernel.getResultTypes());
  block.perThread = shareOfThread(types, columns);
  for (auto rotary : body.getOps<RotaryOp>())
    while (!holdsHalves(rotary, block.perThread))
      block.perThread = block.perThread == 8 ? 4 : 1;
  int64_t warp = RegisterFile::warpThreads * block.perThread, most = block.perThread == 1 ? 16 : 32 / block.perThread;
  if (takesSums(body) && columns > most * warp) { // a row that a warp's registers don't hold is a block's
    // Where shared memory has it, a processor has several blocks: some compute while others read. Where the block's
    // registers don't hold it either, they are better used by fewer threads.
    bool isCopied = block.perThread == 8 && !copiedRows(body).empty();
    int64_t mostWarps = isCopied ? 8 : columns > most * warp * 32 ? 16 : 32;
    block.warps = std::clamp<int64_t>(llvm::PowerOf2Ceil(llvm::divideCeil(columns, most / 2 * warp)), 2, mostWarps);
  } else if (!isVector) {
    return block.width = warp, block;
  }
  block.width = block.warps * warp;
  return block;
}

Attribute chooseSchedule(func::FuncOp kernel, const ScheduleTarget &target) {
  Block &body = kernel.getBody().front();
  Operation *root = rootOf(kernel);
  switch (cast<KernelKindAttr>(kernel->getAttr("xf.kernel")).getValue()) {
  case KernelKind::Matmul:
    if (target.registers.isGPU()) {
      Attribute warpgroups = target.hasWarpgroups ? chooseWarpgroupMatmul(kernel) : Attribute();
      Attribute tensorCores = warpgroups ? warpgroups : chooseTensorCoreMatmul(kernel, target.usesTF32);
      return tensorCores || !isa<LinearOp, MatmulOp>(root) ? tensorCores : chooseBlockMatmul(kernel);
    }
    return isa<LinearOp, MatmulOp>(root) ? chooseMatmul(root, target) : Attribute();
  case KernelKind::Attention:
  case KernelKind::AttentionBackward:
    if (target.registers.isGPU()) {
      SmallVector<Attribute> forms = attentionForms(kernel, target);
      return forms.empty() ? Attribute() : forms[0];
    }
    return isa<AttentionOp, AttentionBackwardOp>(root) ? chooseAttention(root, target) : Attribute();
  case KernelKind::Elementwise:
  case KernelKind::Row:
    return chooseRows(body, target);
  default:
    return {};
  }
}

Attribute scheduleAfter(func::FuncOp kernel, Attribute taken, const ScheduleTarget &target) {
  auto kind = cast<KernelKindAttr>(kernel->getAttr("xf.kernel")).getValue();
  if (kind != KernelKind::Attention && kind != KernelKind::AttentionBackward)
    return {};
  func::FuncOp copy = kernel.clone();
  takeOutCasts(copy);
  SmallVector<Attribute> forms = attentionForms(copy, target);
  copy.erase();
  auto *next = llvm::find(forms, taken);
  return next == forms.end() || ++next == forms.end() ? Attribute() : *next;
}

SmallVector<Attribute> neighbours(func::FuncOp kernel, Attribute chosen, const ScheduleTarget &target) {
  MLIRContext *context = kernel.getContext();
  SmallVector<Attribute> result;
  auto add = [&](Attribute schedule) {
    if (schedule != chosen && !llvm::is_contained(result, schedule))
      result.push_back(schedule);
  };
  if (auto matmul = dyn_cast<MatmulScheduleAttr>(chosen)) {
    int64_t panel = 2 * target.registers.width, unit = columnUnit(panel),
            width = llvm::alignTo(std::max<int64_t>(extentsOf(rootOf(kernel)).n, 1), panel);
    auto with = [&](int64_t rows, int64_t columns, int64_t blockRows) {
      add(MatmulScheduleAttr::get(context, matmul.getRegisterRows(), rows, columns, blockRows, matmul.getDepth(),
                                  matmul.getCopyA()));
    };
    int64_t rows = matmul.getRows(), columns = matmul.getColumns(), blockRows = matmul.getBlockRows();
    for (int64_t other : {std::max<int64_t>(rows / 2, 1), rows * 2})
      with(other, columns, std::max(blockRows, other));
    for (int64_t other : {static_cast<int64_t>(llvm::alignTo(columns / 2, unit)), columns * 2})
      with(rows, std::min(other, width), blockRows);
    for (int64_t other : {blockRows / 2, blockRows * 2})
      with(rows, columns, std::max(other, rows));
    add(MatmulScheduleAttr::get(context, matmul.getRegisterRows(), rows, columns, blockRows, matmul.getDepth(),
                                !matmul.getCopyA()));
  } else if (auto attention = dyn_cast<AttentionScheduleAttr>(chosen)) {
    int64_t queries = attention.getQueries(), keys = attention.getKeys(), turn = attention.getTurn();
    for (int64_t other : {queries / 2, queries * 2})
      add(AttentionScheduleAttr::get(context, std::max<int64_t>(other, 1), keys, turn));
    if (isa<AttentionBackwardOp>(rootOf(kernel)))
      return result; // it has no turns
    for (int64_t other : {turn / 2, turn * 2})
      add(AttentionScheduleAttr::get(context, queries, keys, std::max(other, queries)));
  } else if (auto row = dyn_cast<RowScheduleAttr>(chosen)) {
    for (int64_t other : {row.getRows() / 2, row.getRows() * 2})
      add(RowScheduleAttr::get(context, std::max<int64_t>(other, 1)));
  }
  return result;
}

LogicalResult setSchedule(func::FuncOp kernel, const ScheduleTarget &target) {
  if (failed(verifyKernel(kernel)))
    return failure();
  Attribute chosen = chooseSchedule(kernel, target), given = kernel->getAttr("xf.schedule");
  if (!given) {
    if (chosen)
      kernel->setAttr("xf.schedule", chosen);
    return success();
  }
  SmallVector<Attribute> forms{chosen};
  if (chosen && target.registers.isGPU() && isa<AttentionOp, AttentionBackwardOp>(rootOf(kernel)))
    forms = attentionForms(kernel, target);
  if (llvm::none_of(forms, [&](Attribute form) { return form && form.getTypeID() == given.getTypeID(); })) {
    InFlightDiagnostic error = kernel.emitOpError() << "expected 'xf.schedule' to be ";
    chosen ? error << "like " << chosen : error << "absent";
    return error << ", but got " << given;
  }
  if (auto matmul = dyn_cast<MatmulScheduleAttr>(given)) {
    ProductExtents extents = extentsOf(rootOf(kernel));
    int64_t width = target.registers.width, columns = matmul.getColumns(), depth = matmul.getDepth();
    bool wholeWidth = columns >= extents.n, wholeDepth = !ShapedType::isDynamic(extents.k) && depth >= extents.k;
    for (auto [name, value, unit] :
         {std::tuple("columns", columns, wholeWidth ? 2 * width : columnUnit(2 * width)),
          {"depth", depth, wholeDepth ? 1 : width}}) // B is packed by square blocks of vectors
      if (value % unit != 0)
        return kernel.emitOpError() << "expected '" << name << "' of 'xf.schedule' to be a multiple of " << unit
                                    << ", but got " << value;
  }
  if (auto matmul = dyn_cast<WarpgroupScheduleAttr>(given); matmul && matmul.getParts() > 1)
    if (auto result = cast<RankedTensorType>(rootOf(kernel)->getResult(0).getType()); result.isDynamicDim(0))
      return kernel.emitOpError() << "expected 'parts' of 'xf.schedule' to be 1 of a product whose number of rows is "
                                     "not known, but got "
                                  << matmul.getParts();
  auto backward = dyn_cast<AttentionBackwardOp>(rootOf(kernel));
  if (auto attention = dyn_cast<WarpgroupAttentionScheduleAttr>(given); attention && backward)
    if (attention.getColumns() != 64)
      return kernel.emitOpError() << "expected 'columns' of 'xf.schedule' to be 64 backward, as registers have it, "
                                     "but got "
                                  << attention.getColumns();
  if (auto attention = dyn_cast<TensorCoreAttentionScheduleAttr>(given); attention && backward)
    if (attention.getRows() != 16)
      return kernel.emitOpError()
             << "expected 'rows' of 'xf.schedule' to be 16 backward, as registers have it, but got "
             << attention.getRows();
  if (auto attention = dyn_cast<AttentionScheduleAttr>(given))
    if (int64_t keys = cast<AttentionScheduleAttr>(chosen).getKeys(); attention.getKeys() != keys)
      return kernel.emitOpError() << "expected 'keys' of 'xf.schedule' to be " << keys
                                  << ", by which sums are blocked, but got " << attention.getKeys();
  return success();
}
} // namespace mlir::xf
