//===- WarpgroupMatmul.cpp - products on Hopper's tensor cores ------------===//
// A block's first warpgroup has the copy engine bring blocks of A and B of 64 of k into a ring in shared memory; two
// others, of 64 rows each, multiply them (xfg, docs/DialectG.md). Blocks stay for as many tiles as there are, so that
// copies for the next tile go on while the last one's results are finished. The kernel's elementwise ops are computed
// on the accumulators (ProductEpilogue.h).
//===----------------------------------------------------------------------===//
#include "ProductEpilogue.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "xf/Dialect/XFG/IR/XFG.h"
#include "xf/Schedule/Choices.h"

namespace mlir::xf {
namespace {
constexpr int64_t groups = 2, groupRows = 64, blockRows = groups * groupRows, depth = 64, group = 128, warp = 32,
                  warps = groups * group / warp; // that compute
constexpr int64_t unit = ProductEpilogue::unit;  // of columns, which results leave by
constexpr int64_t slots = 2;                     // of a group's results on their way

/// The number of the thread's warpgroup among those that compute.
Value groupOf(Emitter &e) { return e.sub(e.make<arith::DivUIOp>(e.thread(), e.index(group)), e.index(1)); }

class WarpgroupMatmul {
public:
  WarpgroupMatmul(Emitter &e, WarpgroupScheduleAttr schedule, Value a, Value b, bool transposeA, bool transposeB)
      : e(e), schedule(schedule), columns(schedule.getColumns()), transposeA(transposeA), transposeB(transposeB),
        k(e.dim(a, transposeA ? 0 : 1)), staticRows(cast<MemRefType>(a.getType()).getDimSize(transposeA ? 1 : 0)) {
    Type element = cast<MemRefType>(a.getType()).getElementType();
    auto tileOf = [&](bool depthIsRow, int64_t extent) {
      return depthIsRow ? xfg::TileType::get(element, depth, extent) : xfg::TileType::get(element, extent, depth);
    };
    tileA = tileOf(transposeA, blockRows);
    tileB = tileOf(!transposeB, columns);
    mapA = e.tensorMap(a, tileA.getRows(), unit);
    mapB = e.tensorMap(b, tileB.getRows(), unit);
    auto type = xfg::RingType::get(e.b.getContext(), schedule.getStages(), {tileA, tileB});
    ring = xfg::CreateRingOp::create(e.b, e.loc, type, e.allocateDynamic(type.getBytes()), groups);
    e.syncBlock();
  }

  using Finish = function_ref<void(Value rowBegin, Value columnBegin, ValueRange elements)>;
  /// All tiles of the result, m x n, that fall to this block; `end` is when a thread that computes has done all.
  void emit(Value m, int64_t n, Finish finish, function_ref<void()> end) {
    rowTiles = e.ceilDiv(m, blockRows);
    int64_t parts = schedule.getParts();
    columnTiles = llvm::divideCeil(n, columns);
    Value works = e.mul(rowTiles, e.index(columnTiles * parts));
    blocks = e.ceilDiv(k, depth);
    if (parts > 1) { // then m is known
      int64_t tiles = llvm::divideCeil(staticRows, blockRows) * columnTiles;
      partials = e.allocateGlobal({tiles * warps, parts, columns / 2, warp}, e.b.getF32Type());
      counters = e.allocateGlobal({tiles * warps}, e.b.getI32Type());
    }
    // Of the 65,536 of a processor, 168 a thread of one block, or 80 of two.
    auto [own, theirs] = schedule.getBlocks() == 1 ? std::pair(40, 232) : std::pair(24, 104);
    auto roles = xfg::RolesOp::create(e.b, e.loc, own, theirs);
    OpBuilder::InsertionGuard guard(e.b);
    e.b.createBlock(&roles.getProducer());
    forWorks(works,
             [&](const Work &work) { e.loop(e.index(0), work.blocks, 1, [&](Value block) { fill(work, block); }); });
    e.b.createBlock(&roles.getConsumers());
    forWorks(works, [&](const Work &work) {
      SmallVector<Value> elements = multiply(work);
      auto finishTile = [&](ValueRange elements) {
        finish(e.add(work.rowBegin, e.mul(groupNumber(), e.index(groupRows))), work.columnBegin, elements);
      };
      parts > 1 ? addParts(work, elements, finishTile) : finishTile(elements);
    });
    end();
  }

private:
  Value groupNumber() { return groupOf(e); }

  /// A tile, or a part of its sums: `blocks` blocks of k from `firstBlock` on. `turn` counts the blocks that came
  /// before it in this block of threads.
  struct Work {
    Value rowBegin, columnBegin, tile, part, firstBlock, blocks, turn;
  };

  /// Those of this block of threads: parts vary fastest.
  void forWorks(Value works, function_ref<void(const Work &)> body) {
    Value step = e.toIndex(NVVM::GridDimXOp::create(e.b, e.loc, e.b.getI32Type()));
    auto loop = scf::ForOp::create(e.b, e.loc, e.tile(), works, step, ValueRange(e.index(0)));
    OpBuilder::InsertionGuard guard(e.b);
    e.b.setInsertionPointToEnd(loop.getBody());
    Work work;
    work.turn = loop.getRegionIterArg(0);
    work.tile = loop.getInductionVar();
    work.blocks = blocks;
    if (int64_t parts = schedule.getParts(); parts > 1) {
      std::tie(work.tile, work.part) = divided(e, work.tile, e.index(parts));
      Value length = e.ceilDiv(blocks, parts);
      work.firstBlock = e.min(e.mul(work.part, length), blocks);
      work.blocks = e.min(e.sub(blocks, work.firstBlock), length);
    }
    auto [row, column] = placeInBands(e, work.tile, rowTiles, columnTiles);
    work.rowBegin = e.mul(row, e.index(blockRows));
    work.columnBegin = e.mul(column, e.index(columns));
    body(work);
    scf::YieldOp::create(e.b, e.loc, e.add(work.turn, work.blocks));
  }

  /// Leaves the elements of this part in memory. Whichever warp is the last of its rows and columns adds all parts, in
  /// their order, and goes on with the sums.
  void addParts(const Work &work, ValueRange elements, function_ref<void(ValueRange)> finish) {
    int64_t parts = schedule.getParts();
    Value thread = e.sub(e.thread(), e.index(group)); // among those that compute
    Value lane = e.make<arith::RemUIOp>(thread, e.index(warp));
    Value number = e.add(e.mul(work.tile, e.index(warps)), e.make<arith::DivUIOp>(thread, e.index(warp)));
    for (auto [i, element] : llvm::enumerate(elements))
      e.store(element, partials, {number, work.part, e.index(i), lane});
    e.syncWarp();
    Value isFirst = e.compare(arith::CmpIPredicate::eq, lane, e.index(0));
    auto count = scf::IfOp::create(e.b, e.loc, TypeRange(e.b.getI32Type()), isFirst, /*withElseRegion=*/true);
    {
      OpBuilder::InsertionGuard guard(e.b);
      e.b.setInsertionPointToStart(count.elseBlock());
      scf::YieldOp::create(e.b, e.loc, e.i32(0));
      e.b.setInsertionPointToStart(count.thenBlock());
      scf::YieldOp::create(e.b, e.loc, e.countRound(counters, number, parts));
    }
    Value before = e.fromLane(count.getResult(0), e.i32(0));
    e.syncWarp();
    e.when(e.compare(arith::CmpIPredicate::eq, before, e.i32(parts - 1)), [&] {
      // A loop: unrolled, ptxas would load all parts before it adds, to more registers than there are.
      auto partOf = [&](Value part, size_t i) { return e.load(partials, {number, part, e.index(i), lane}); };
      SmallVector<Value> sums;
      for (size_t i = 0; i < elements.size(); ++i)
        sums.push_back(partOf(e.index(0), i));
      sums = e.loop(e.index(1), e.index(parts), 1, sums, [&](Value part, ValueRange carried) {
        SmallVector<Value> next;
        for (auto [i, sum] : llvm::enumerate(carried))
          next.push_back(e.add(sum, partOf(part, i)));
        return next;
      });
      finish(sums);
    });
  }

  void fill(const Work &work, Value block) {
    Value turn = e.add(work.turn, block);
    if (work.firstBlock)
      block = e.add(work.firstBlock, block);
    Value kBegin = e.mul(block, e.index(depth));
    xfg::AcquireOp::create(e.b, e.loc, ring, turn);
    auto copy = [&](Value map, bool depthIsRow, Value begin, int64_t tile) {
      xfg::CopyInOp::create(e.b, e.loc, map, depthIsRow ? kBegin : begin, depthIsRow ? begin : kBegin, ring, turn,
                            tile);
    };
    copy(mapA, transposeA, work.rowBegin, 0);
    copy(mapB, !transposeB, work.columnBegin, 1);
  }

  /// The elements of this thread of its group's rows.
  SmallVector<Value> multiply(const Work &work) {
    Value turn = work.turn, blocks = work.blocks;
    auto type = xfg::AccumulatorType::get(e.b.getContext(), groupRows, columns, e.b.getF32Type());
    auto release = [&](Value turn) { xfg::ReleaseOp::create(e.b, e.loc, ring, turn); };
    Value rows = e.mul(groupNumber(), e.index(groupRows)), zero = e.index(0);
    auto part = xfg::TileType::get(e.b.getContext(), transposeA ? depth : groupRows, transposeA ? groupRows : depth,
                                   tileA.getElementType(), tileA.getPanel());
    Value sum = xfg::UndefinedOp::create(e.b, e.loc, type);
    sum = e.loop(zero, blocks, 1, sum, [&](Value block, ValueRange carried) -> SmallVector<Value> {
      Value now = e.add(turn, block), isLater = e.compare(arith::CmpIPredicate::ne, block, zero);
      xfg::AwaitOp::create(e.b, e.loc, ring, now);
      Value a = xfg::StageOp::create(e.b, e.loc, tileA, ring, now, 0),
            b = xfg::StageOp::create(e.b, e.loc, tileB, ring, now, 1);
      a = xfg::SubtileOp::create(e.b, e.loc, part, a, transposeA ? zero : rows, transposeA ? rows : zero);
      xfg::FenceOp::create(e.b, e.loc);
      Value next = xfg::MmaOp::create(e.b, e.loc, type, a, b, carried[0], isLater, transposeA, transposeB);
      xfg::CommitOp::create(e.b, e.loc);
      xfg::WaitOp::create(e.b, e.loc, TypeRange(), /*pending=*/1, ValueRange());
      e.when(isLater, [&] { release(e.sub(now, e.index(1))); });
      return {next};
    })[0];
    auto done = xfg::WaitOp::create(e.b, e.loc, TypeRange(type), /*pending=*/0, sum);
    Value isAny = e.compare(arith::CmpIPredicate::ne, blocks, zero);
    e.when(isAny, [&] { release(e.sub(e.add(turn, blocks), e.index(1))); });
    return llvm::map_to_vector(xfg::ElementsOp::create(e.b, e.loc, done.getResult(0)).getResults(),
                               [&](Value element) { return e.select(isAny, element, e.f32(0)); });
  }

  Emitter &e;
  WarpgroupScheduleAttr schedule;
  int64_t columns, columnTiles = 0;
  bool transposeA, transposeB;
  Value k, mapA, mapB, ring, rowTiles, blocks, partials, counters;
  int64_t staticRows;
  xfg::TileType tileA, tileB;
};

/// What follows a product, on a warpgroup's accumulators. Results of bf16 leave by the copy engine, 64 columns of a
/// group's rows at a time, while the next ones are computed; others are written by their threads.
class WarpgroupEpilogue {
public:
  /// `byGroups`: all threads of a group are there, and not some warps of it.
  WarpgroupEpilogue(Emitter &e, Operation *root, bool byGroups) : product(e, root), e(e) {
    thread = e.make<arith::RemUIOp>(e.thread(), e.index(group));
    unsigned first = e.kernel.getNumArguments();
    for (unsigned i = 0; i < e.kernel.getNumResults(); ++i) {
      Value memory = e.function.getArgument(first + i);
      bool isCopied = byGroups && cast<MemRefType>(memory.getType()).getElementType().isBF16();
      maps.push_back(isCopied ? e.tensorMap(memory, groupRows, unit) : Value());
      if (isCopied)
        product.keep(i);
    }
    if (llvm::none_of(maps, [](Value map) { return !!map; }))
      return;
    tile = xfg::TileType::get(e.b.getBF16Type(), groupRows, unit);
    auto all = xfg::TileType::get(e.b.getBF16Type(), slots * groups * groupRows, unit);
    staging = xfg::CreateTileOp::create(e.b, e.loc, all, e.allocateDynamic(all.getBytes()));
  }

  void emit(Value rowBegin, Value columnBegin, ValueRange elements) {
    Value warpRow = e.add(rowBegin, e.mul(e.make<arith::DivUIOp>(thread, e.index(warp)), e.index(16)));
    product.forUnits(columnBegin, elements, [&](int64_t number, Value column, int64_t count, ValueRange sums) {
      SmallVector<SmallVector<Value>> kept = product.compute(warpRow, column, count, sums);
      int64_t copies = number * llvm::count_if(maps, [](Value map) { return !!map; });
      for (auto [map, values] : llvm::zip_equal(maps, kept))
        if (map && succeeded(product.status))
          copyOut(map, rowBegin, column, values, copies++);
    });
  }
  /// Once all has been emitted.
  void emitEnd() {
    if (staging)
      onOneThread([&] { xfg::WaitCopiesOp::create(e.b, e.loc, 0); });
  }

  ProductEpilogue product;

private:
  void onOneThread(function_ref<void()> body) { e.when(e.compare(arith::CmpIPredicate::eq, thread, e.index(0)), body); }

  /// `copies`: of this tile, before this one.
  void copyOut(Value map, Value rowBegin, Value column, ValueRange values, int64_t copies) {
    Value number = groupOf(e), barrier = e.add(number, e.index(1));
    // The copies of the tile before are long done, whatever their number was.
    onOneThread([&] { xfg::WaitCopiesOp::create(e.b, e.loc, copies == 0 ? 0 : slots - 1); });
    xfg::BarrierOp::create(e.b, e.loc, barrier, group);
    auto part =
        xfg::TileType::get(e.b.getContext(), groupRows, unit, tile.getElementType(), slots * groups * groupRows);
    Value row = e.mul(e.add(number, e.index(copies % slots * groups)), e.index(groupRows));
    Value slot = xfg::SubtileOp::create(e.b, e.loc, part, staging, row, e.index(0));
    xfg::WriteOp::create(e.b, e.loc, values, slot);
    xfg::FenceCopiesOp::create(e.b, e.loc);
    xfg::BarrierOp::create(e.b, e.loc, barrier, group);
    onOneThread([&] { xfg::CopyOutOp::create(e.b, e.loc, slot, map, rowBegin, column); });
  }

  Emitter &e;
  Value thread, staging;
  SmallVector<Value> maps; // of results that are copied
  xfg::TileType tile;
};
} // namespace

LogicalResult scheduleWarpgroupMatmul(func::FuncOp kernel, const RegisterFile &target) {
  RegisterFile registers = target;
  registers.width = warp;
  registers.perThread = 1;
  registers.warps = (groups + 1) * group / warp;
  Operation *root = &kernel.getBody().front().front();
  auto linear = dyn_cast<LinearOp>(root);
  auto matmul = dyn_cast<MatmulOp>(root);
  Emitter e(kernel, registers);
  Value a = e.placeOf(root->getOperand(0)), b = e.placeOf(root->getOperand(1));
  auto schedule = e.schedule<WarpgroupScheduleAttr>();
  WarpgroupMatmul product(e, schedule, a, b, matmul && matmul.getTransposeA(), linear || matmul.getTransposeB());
  WarpgroupEpilogue epilogue(e, root, schedule.getParts() == 1);
  int64_t n = epilogue.product.columns();
  product.emit(
      epilogue.product.rows(), n,
      [&](Value rowBegin, Value columnBegin, ValueRange elements) { epilogue.emit(rowBegin, columnBegin, elements); },
      [&] { epilogue.emitEnd(); });
  if (failed(epilogue.product.status))
    return e.function.erase(), failure();
  SmallVector<GridEntry> grid{{kernel.getNumArguments(), 0, 0, blockRows}, {-1, n, 0, schedule.getColumns()}};
  if (schedule.getParts() > 1)
    grid.push_back({-1, schedule.getParts(), 0, 1});
  e.finish(grid, schedule.getBlocks());
  return success();
}

Attribute chooseWarpgroupMatmul(func::FuncOp kernel) {
  Operation *root = rootOf(kernel);
  auto linear = dyn_cast<LinearOp>(root);
  auto matmul = dyn_cast<MatmulOp>(root);
  if ((!linear && !matmul) || (linear && linear.isPacked()))
    return {};
  for (Value operand : root->getOperands().take_front(2)) {
    auto cast = operand.getDefiningOp<CastOp>();
    auto argument = dyn_cast<BlockArgument>(cast ? cast.getX() : operand);
    auto type = argument ? dyn_cast<RankedTensorType>(kernel.getArgumentTypes()[argument.getArgNumber()]) : nullptr;
    if (!type || !type.getElementType().isBF16() || type.isDynamicDim(1) || type.getDimSize(1) == 0)
      return {};
  }
  if (!isEpilogueOf(root, /*takesStatistics=*/false))
    return {};
  auto result = cast<RankedTensorType>(root->getResult(0).getType());
  if (result.isDynamicDim(1))
    return {};
  // Few waves of blocks over the processors of the chip, each as long as its tiles are wide and a little more: a tile's
  // beginning and end. Batches that are packed have some thousand rows.
  constexpr int64_t processors = 132, usualRows = 4096, edge = 32;
  // With 8, gradients of 512 x 512 take .76 of the time where sums have 8,192 terms, and 1.66 where they have 1,024, on
  // an H100: nobody knows how many a batch has, and steps gain nothing.
  constexpr int64_t mostParts = 1;
  int64_t m = result.isDynamicDim(0) ? usualRows : result.getDimSize(0), n = result.getDimSize(1), best = 0,
          columns = 0, parts = 1;
  bool writesF32 = llvm::any_of(kernel.getResultTypes(), [](Type type) { return getElementTypeOrSelf(type).isF32(); });
  for (int64_t candidate : {256, 128, 64}) {
    // For what is read besides, and for a weight's gradient in f32, there are no registers then.
    if (candidate == 256 && matmul && (matmul.getInto() || (matmul.getTransposeA() && writesF32)))
      continue;
    int64_t tiles = llvm::divideCeil(std::max<int64_t>(m, 1), blockRows) * llvm::divideCeil(n, candidate);
    // A gradient's sums are long, over all rows of a batch, and its tiles are few.
    int64_t ways =
        result.isDynamicDim(0)
            ? 1
            : static_cast<int64_t>(llvm::bit_floor<uint64_t>(std::clamp<int64_t>(processors / tiles, 1, mostParts)));
    int64_t cost = llvm::divideCeil(tiles * ways, processors) * (candidate + edge) * 8 / ways;
    if (columns == 0 || cost < best)
      best = cost, columns = candidate, parts = ways;
  }
  // All of the shared memory that a block may have, but for what results on their way take.
  constexpr int64_t sharedBytes = 192 << 10;
  return WarpgroupScheduleAttr::get(kernel.getContext(), columns, sharedBytes / ((blockRows + columns) * depth * 2),
                                    /*blocks=*/1, parts);
}
} // namespace mlir::xf
