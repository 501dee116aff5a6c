//===- Columns.cpp - schedule of sums over rows for GPUs ------------------===//
// A tile is a part of the rows, of as many columns as a warp's vector has. The block's warps take turns, what they have
// is summed in the order of their numbers, and the block of a column's parts that comes last sums those in the order of
// theirs: one launch, and the same bits whichever is last.
//===----------------------------------------------------------------------===//
#include "xf/Schedule/Columns.h"
#include "xf/Schedule/Choices.h"

namespace mlir::xf {

LogicalResult scheduleColumnsGPU(func::FuncOp kernel, RegisterFile block) {
  int64_t width = 0;
  if (auto type = dyn_cast<RankedTensorType>(kernel.getArgumentTypes().front()); type && type.getRank() == 2)
    width = type.getDimSize(1);
  block.perThread = shareOfThread(kernel.getArgumentTypes(), width);
  block.width = RegisterFile::warpThreads * block.perThread;
  Emitter e(kernel, block);
  ColumnSums sums(e);
  // So many blocks as keep the largest GPU's memory busy, each with rows enough to be worth one.
  constexpr int64_t wantedBlocks = 512, mostParts = 128;
  bool isWhole = block.perThread == 8 && sums.columns % block.perThread == 0; // by fewer blocks, then
  int64_t rowsAtOnce = isWhole ? 8 : 4;
  if (isWhole)
    e.setLeastBlocks(2);
  int64_t tiles = llvm::divideCeil(sums.columns, block.width),
          parts = llvm::bit_floor(
              static_cast<uint64_t>(std::clamp<int64_t>(wantedBlocks / std::max<int64_t>(tiles, 1), 1, mostParts)));
  int64_t partWidth = std::min<int64_t>(llvm::alignTo(sums.columns, block.perThread), block.width);
  Value partials = e.allocateGlobal({tiles * parts * sums.count, partWidth}, e.b.getF32Type()),
        counters = e.allocateGlobal({tiles}, e.b.getI32Type());
  Value shared = e.allocateShared({block.warps, sums.count, block.width});
  SmallVector<Value> tile = e.splitTile({e.index(parts)});
  Value rows = e.dim(sums.matrix, 0), perPart = e.ceilDiv(rows, parts), begin = e.mul(tile[1], perPart),
        end = e.min(e.add(begin, perPart), rows);
  /// Sums what the warps have, in their order; each sum is one warp's to give on.
  auto sumOfWarps = [&](ValueRange mine, function_ref<void(int64_t sum, Value vector)> give) {
    for (int64_t sum = 0; sum < sums.count; ++sum)
      e.storeVector(mine[sum], shared, {e.warp(), e.index(sum), e.index(0)}, block.width);
    e.syncBlock();
    for (int64_t sum = 0; sum < sums.count; ++sum)
      e.when(e.compare(arith::CmpIPredicate::eq, e.warp(), e.index(sum)), [&] {
        Value total;
        for (int64_t warp = 0; warp < block.warps; ++warp) {
          Value part = e.loadVector(shared, {e.index(warp), e.index(sum), e.index(0)}, block.width);
          total = total ? e.add(total, part) : part;
        }
        give(sum, total);
      });
  };
  auto partialAt = [&](Value part, int64_t sum) {
    Value row = e.add(e.mul(tile[0], e.index(parts)), part);
    return SmallVector<Value>{e.add(e.mul(row, e.index(sums.count)), e.index(sum)), e.index(0)};
  };
  SmallVector<Value> zeros(sums.count, e.splat(0));
  forTileVectors(e, tile[0], sums.columns, block.width, [&](Value column, ArrayRef<int64_t> lanes) {
    // Several rows at once, so that their loads are under way together.
    SmallVector<Value> mine =
        e.loop(e.add(begin, e.warp()), end, block.warps * rowsAtOnce, zeros, [&](Value first, ValueRange carried) {
          SmallVector<SmallVector<Value>> loaded(rowsAtOnce);
          for (auto [i, of] : llvm::enumerate(loaded)) {
            Value row = e.add(first, e.index(i * block.warps));
            of = sums.loadRow(row, column, lanes, i ? e.compare(arith::CmpIPredicate::slt, row, end) : Value());
          }
          SmallVector<Value> next(carried);
          for (ArrayRef<Value> of : loaded)
            next = sums.addRow(of, next);
          return next;
        });
    sumOfWarps(mine, [&](int64_t sum, Value vector) {
      if (parts == 1)
        sums.store(sum, column, lanes, vector);
      else
        e.storeVector(vector, partials, partialAt(tile[1], sum), partWidth);
    });
    if (parts == 1)
      return;
    e.when(e.isLastBlock(counters, tile[0], parts), [&] {
      mine = e.loop(e.warp(), e.index(parts), block.warps, zeros, [&](Value part, ValueRange carried) {
        SmallVector<Value> next;
        for (int64_t sum = 0; sum < sums.count; ++sum)
          next.push_back(e.add(carried[sum], e.loadVector(partials, partialAt(part, sum), partWidth)));
        return next;
      });
      sumOfWarps(mine, [&](int64_t sum, Value vector) { sums.store(sum, column, lanes, vector); });
    });
  });
  e.finish({{-1, sums.columns, 0, block.width}, {-1, parts, 0, 1}});
  return success();
}
} // namespace mlir::xf
