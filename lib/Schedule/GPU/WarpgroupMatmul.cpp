//===- WarpgroupMatmul.cpp - products on Hopper's tensor cores ------------===//
// A block's first warpgroup has the copy engine bring blocks of A and B of 64 of k into a ring in shared memory; two
// others, of 64 rows each, multiply them (xfg, docs/DialectG.md). Blocks stay for as many tiles as there are, so that
// copies for the next tile go on while the last one's results are finished. The kernel's elementwise ops are computed
// on the accumulators (ProductEpilogue.h); matrices that they read come through the ring too, behind a tile's last
// blocks.
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

  /// A tile, or a part of its sums: `blocks` blocks of k from `firstBlock` on. `turn` counts the blocks that came
  /// before it in this block of threads.
  struct Work {
    Value rowBegin, columnBegin, tile, part, firstBlock, blocks, turn;
  };

  /// Has a matrix of bf16, of the result's extents, come with each tile: boxes of 64 columns of all its rows, as many
  /// in a stage as it has room for.
  void addMatrix(Value memory) {
    matrices.push_back(e.tensorMap(memory, blockRows, unit));
    auto type = cast<xfg::RingType>(ring.getType());
    int64_t rest = type.getStageBytes() % boxType().getBytes();
    boxesOfStage = type.getStageBytes() / boxType().getBytes();
    SmallVector<xfg::TileType> boxes(boxesOfStage, boxType());
    if (rest > 0)
      boxes.push_back(xfg::TileType::get(tileA.getElementType(), rest / boxType().getRowBytes(), unit));
    boxRing = xfg::ViewOp::create(e.b, e.loc, xfg::RingType::get(e.b.getContext(), type.getStages(), boxes), ring);
  }

  /// What computes a tile's results: before the products begin, and with their sums.
  struct Finish {
    function_ref<void(Value columnBegin)> begin;
    function_ref<void(const Work &work, Value rowBegin, ValueRange elements)> end;
  };
  /// All tiles of the result, m x n, that fall to this block; `end` is when a thread that computes has done all.
  void emit(Value m, int64_t n, Finish finish, function_ref<void()> end) {
    rowTiles = e.ceilDiv(m, blockRows);
    int64_t parts = schedule.getParts();
    columnTiles = llvm::divideCeil(n, columns);
    Value works = e.mul(rowTiles, e.index(columnTiles * parts));
    // Who has nothing to add adds a block past the end, zeros, and no branch comes between products and their results.
    Value isEmpty = e.compare(arith::CmpIPredicate::eq, k, e.index(0));
    pastEnd = e.select(isEmpty, e.index(1), e.index(0));
    blocks = atLeastOne(e.ceilDiv(k, depth));
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
    forWorks(works, [&](const Work &work) {
      e.loop(e.index(0), work.blocks, 1, [&](Value block) { fill(work, block); });
      for (int64_t stage = 0; stage < boxStages(); ++stage)
        fillBoxes(work, stage);
    });
    e.b.createBlock(&roles.getConsumers());
    forWorks(works, [&](const Work &work) {
      Value rowBegin = e.add(work.rowBegin, e.mul(groupNumber(), e.index(groupRows)));
      finish.begin(work.columnBegin);
      SmallVector<Value> elements = multiply(work);
      auto finishTile = [&](ValueRange elements) { finish.end(work, rowBegin, elements); };
      parts > 1 ? addParts(work, elements, finishTile) : finishTile(elements);
    });
    end();
  }

  /// The elements that a thread of a group has of each matrix in a unit of a tile; for all units, in turn.
  SmallVector<SmallVector<Value>> readMatrices(const Work &work, int64_t number) {
    SmallVector<SmallVector<Value>> result;
    for (int64_t i = 0, count = static_cast<int64_t>(matrices.size()); i < count; ++i) {
      int64_t box = number * count + i, last = boxes() - 1, inStage = box % boxesOfStage;
      Value turn = boxTurn(work, box / boxesOfStage);
      if (inStage == 0)
        xfg::AwaitOp::create(e.b, e.loc, boxRing, turn);
      Value all = xfg::StageOp::create(e.b, e.loc, boxType(), boxRing, turn, inStage);
      auto part = xfg::TileType::get(e.b.getContext(), groupRows, unit, tileA.getElementType(), blockRows);
      Value own = xfg::SubtileOp::create(e.b, e.loc, part, all, e.mul(groupNumber(), e.index(groupRows)), e.index(0));
      llvm::append_range(result.emplace_back(), xfg::ReadElementsOp::create(e.b, e.loc, own).getResults());
      if (box < last && inStage < boxesOfStage - 1)
        continue;
      xfg::FenceCopiesOp::create(e.b, e.loc); // the engine writes there next
      xfg::BarrierOp::create(e.b, e.loc, e.add(groupNumber(), e.index(1)), group);
      xfg::ReleaseOp::create(e.b, e.loc, boxRing, turn);
    }
    return result;
  }

private:
  Value groupNumber() { return groupOf(e); }
  xfg::TileType boxType() { return xfg::TileType::get(tileA.getElementType(), blockRows, unit); }
  int64_t boxes() { return columns / unit * static_cast<int64_t>(matrices.size()); } // of a tile
  int64_t boxStages() { return llvm::divideCeil(boxes(), boxesOfStage); }
  Value boxTurn(const Work &work, int64_t stage) { return e.add(e.add(work.turn, work.blocks), e.index(stage)); }
  Value atLeastOne(Value x) { return e.make<arith::MaxSIOp>(x, e.index(1)); }

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
    work.firstBlock = pastEnd;
    if (int64_t parts = schedule.getParts(); parts > 1) {
      std::tie(work.tile, work.part) = divided(e, work.tile, e.index(parts));
      Value length = e.ceilDiv(blocks, parts);
      Value first = e.min(e.mul(work.part, length), blocks);
      work.firstBlock = e.add(pastEnd, first);
      work.blocks = atLeastOne(e.min(e.sub(blocks, first), length));
    }
    auto [row, column] = placeInBands(e, work.tile, rowTiles, columnTiles);
    work.rowBegin = e.mul(row, e.index(blockRows));
    work.columnBegin = e.mul(column, e.index(columns));
    body(work);
    scf::YieldOp::create(e.b, e.loc, boxTurn(work, boxStages()));
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
    Value turn = e.add(work.turn, block), kBegin = e.mul(e.add(work.firstBlock, block), e.index(depth));
    xfg::AcquireOp::create(e.b, e.loc, ring, turn, IntegerAttr());
    auto copy = [&](Value map, bool depthIsRow, Value begin, int64_t tile) {
      xfg::CopyInOp::create(e.b, e.loc, map, depthIsRow ? kBegin : begin, depthIsRow ? begin : kBegin, ring, turn,
                            tile);
    };
    copy(mapA, transposeA, work.rowBegin, 0);
    copy(mapB, !transposeB, work.columnBegin, 1);
  }

  void fillBoxes(const Work &work, int64_t stage) {
    Value turn = boxTurn(work, stage);
    int64_t first = stage * boxesOfStage, count = std::min(boxesOfStage, boxes() - first),
            each = static_cast<int64_t>(matrices.size());
    xfg::AcquireOp::create(e.b, e.loc, boxRing, turn, e.b.getI64IntegerAttr(count));
    for (int64_t i = 0; i < count; ++i) {
      Value column = e.add(work.columnBegin, e.index((first + i) / each * unit));
      xfg::CopyInOp::create(e.b, e.loc, matrices[(first + i) % each], work.rowBegin, column, boxRing, turn, i);
    }
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
    release(e.sub(e.add(turn, blocks), e.index(1)));
    return llvm::to_vector_of<Value>(xfg::ElementsOp::create(e.b, e.loc, done.getResult(0)).getResults());
  }

  Emitter &e;
  WarpgroupScheduleAttr schedule;
  int64_t columns, columnTiles = 0, boxesOfStage = 1;
  bool transposeA, transposeB;
  SmallVector<Value> matrices; // maps
  Value k, mapA, mapB, ring, boxRing, rowTiles, blocks, pastEnd, partials, counters;
  int64_t staticRows;
  xfg::TileType tileA, tileB;
};

/// What follows a product, on a warpgroup's accumulators. Results leave by the copy engine, 128 bytes of a group's rows
/// at a time, while the next ones are computed; where they can't, their threads write them.
class WarpgroupEpilogue {
public:
  /// `byGroups`: all threads of a group are there, and not some warps of it.
  WarpgroupEpilogue(Emitter &e, Operation *root, bool byGroups) : product(e, root), e(e) {
    thread = e.make<arith::RemUIOp>(e.thread(), e.index(group));
    unsigned first = e.kernel.getNumArguments();
    int64_t bytes = 0;
    for (unsigned i = 0; i < e.kernel.getNumResults(); ++i) {
      Value memory = e.function.getArgument(first + i);
      auto type = cast<MemRefType>(memory.getType());
      Result &result = results.emplace_back();
      // Rows begin at multiples of 16 bytes.
      if (!byGroups || pitchOf(type) * type.getElementTypeBitWidth() % 128 != 0)
        continue;
      result.adds = product.isAddedTo(i);
      product.keep(i, result.adds);
      int64_t columns = type.getElementType().isF32() ? unit / 2 : unit;
      result.map = e.tensorMap(memory, groupRows, columns);
      result.slots = xfg::TileType::get(type.getElementType(), slots * groups * groupRows, columns);
      bytes = result.slots.getBytes();
    }
    if (bytes == 0)
      return;
    hasCopies = true;
    int64_t offset = e.allocateDynamic(bytes);
    for (Result &result : results)
      if (result.map)
        result.staging = xfg::CreateTileOp::create(e.b, e.loc, result.slots, offset);
  }

  /// `give` is called before each unit, whether the result has it or not.
  void emit(Value rowBegin, Value columnBegin, ValueRange elements, function_ref<void(int64_t number)> give) {
    Value warpRow = e.add(rowBegin, e.mul(e.make<arith::DivUIOp>(thread, e.index(warp)), e.index(16)));
    int64_t copiesOfUnit = 0;
    for (const Result &result : results)
      copiesOfUnit += result.map ? unit / result.slots.getColumns() : 0;
    product.forUnits(columnBegin, elements, give, [&](int64_t number, Value column, int64_t count, ValueRange sums) {
      SmallVector<SmallVector<Value>> kept = product.compute(number, warpRow, column, count, sums);
      int64_t copies = number * copiesOfUnit;
      for (auto [result, values] : llvm::zip_equal(results, kept))
        for (int64_t begin = 0; result.map && succeeded(product.status) && begin < count;) {
          int64_t columns = result.slots.getColumns();
          copyOut(result, rowBegin, e.add(column, e.index(begin)), ValueRange(values).slice(begin / 2, columns / 2),
                  copies++);
          begin += columns;
        }
    });
  }
  /// Once all has been emitted.
  void emitEnd() {
    if (hasCopies)
      onOneThread([&] { xfg::WaitCopiesOp::create(e.b, e.loc, 0); });
  }

  ProductEpilogue product;

private:
  struct Result {
    Value map, staging; // null where its threads write it
    xfg::TileType slots;
    bool adds = false;
  };

  void onOneThread(function_ref<void()> body) { e.when(e.compare(arith::CmpIPredicate::eq, thread, e.index(0)), body); }

  /// `copies`: of this tile, before this one.
  void copyOut(const Result &result, Value rowBegin, Value column, ValueRange values, int64_t copies) {
    Value number = groupOf(e), barrier = e.add(number, e.index(1));
    // The copies of the tile before are long done, whatever their number was.
    onOneThread([&] { xfg::WaitCopiesOp::create(e.b, e.loc, copies == 0 ? 0 : slots - 1); });
    xfg::BarrierOp::create(e.b, e.loc, barrier, group);
    auto part = xfg::TileType::get(e.b.getContext(), groupRows, result.slots.getColumns(),
                                   result.slots.getElementType(), slots * groups * groupRows);
    Value row = e.mul(e.add(number, e.index(copies % slots * groups)), e.index(groupRows));
    Value slot = xfg::SubtileOp::create(e.b, e.loc, part, result.staging, row, e.index(0));
    xfg::WriteOp::create(e.b, e.loc, values, slot);
    xfg::FenceCopiesOp::create(e.b, e.loc);
    xfg::BarrierOp::create(e.b, e.loc, barrier, group);
    onOneThread([&] { xfg::CopyOutOp::create(e.b, e.loc, slot, result.map, rowBegin, column, result.adds); });
  }

  Emitter &e;
  Value thread;
  SmallVector<Result> results;
  bool hasCopies = false;
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
  SmallVector<std::pair<Value, Value>> matrices;
  if (schedule.getParts() == 1) // all of a group read them
    matrices = epilogue.product.matrices();
  for (auto [_, memory] : matrices)
    product.addMatrix(memory);
  auto begin = [&](Value columnBegin) {
    if (schedule.getParts() == 1)
      epilogue.product.loadBias(0, columnBegin, schedule.getColumns());
  };
  auto finish = [&](const WarpgroupMatmul::Work &work, Value rowBegin, ValueRange elements) {
    epilogue.emit(rowBegin, work.columnBegin, elements, [&](int64_t number) {
      for (auto [matrix, read] : llvm::zip_equal(matrices, product.readMatrices(work, number)))
        epilogue.product.give(matrix.first, read);
      if (schedule.getParts() == 1)
        epilogue.product.loadBias(number + 1, work.columnBegin, schedule.getColumns());
    });
  };
  product.emit(epilogue.product.rows(), n, {begin, finish}, [&] { epilogue.emitEnd(); });
  if (failed(epilogue.product.status))
    return e.function.erase(), failure();
  SmallVector<GridEntry> grid{{kernel.getNumArguments(), 0, 0, blockRows}, {-1, n, 0, schedule.getColumns()}};
  if (schedule.getParts() > 1)
    grid.push_back({-1, schedule.getParts(), 0, 1});
  e.finish(grid, schedule.getBlocks());
  return success();
}

/// Cycles that an H100 takes for an m x n x k product in tiles of so many columns: waves of tiles over its processors,
/// each as long as tensor cores take for the blocks of k or the second cache takes to bring them, and then results
/// leave.
static int64_t costOf(int64_t m, int64_t n, int64_t k, int64_t columns, int64_t resultBytes) {
  // Bytes a cycle: of the second cache to all processors and to one, and of results; fits of what was measured
  // (docs/Rationale.md).
  constexpr int64_t processors = 132, toAll = 5600, toOne = 80, ofResults = 27, begin = 500;
  int64_t tiles = llvm::divideCeil(std::max<int64_t>(m, 1), blockRows) * llvm::divideCeil(n, columns);
  int64_t rate = std::min(toOne, toAll / std::min(tiles, processors)), bytes = (blockRows + columns) * depth * 2;
  int64_t ofBlock = std::max(depth / 16 * columns, bytes / rate);
  return llvm::divideCeil(tiles, processors) *
         (begin + llvm::divideCeil(k, depth) * ofBlock + blockRows * columns * resultBytes / ofResults);
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
  // Batches have some thousand rows, or fewer; logits come in chunks (xf-chunk-logits).
  int64_t m = result.getDimSize(0), n = result.getDimSize(1), columns = 0, best = 0,
          k = cast<RankedTensorType>(root->getOperand(0).getType())
                  .getDimSize(matmul && matmul.getTransposeA() ? 0 : 1);
  constexpr int64_t usualRows = 4096, chunk = 256 << 20; // bf16 in 512 MiB
  int64_t batch = std::min(usualRows, chunk / std::max({m, n, k, int64_t(1)}));
  m = ShapedType::isDynamic(m) ? batch : m;
  k = ShapedType::isDynamic(k) ? batch : k;
  int64_t resultBytes = 0; // of all results' elements at a place
  for (Type type : kernel.getResultTypes())
    resultBytes += getElementTypeOrSelf(type).getIntOrFloatBitWidth() / 8;
  for (int64_t candidate : {256, 192, 128, 64})
    if (int64_t cost = costOf(m, n, k, candidate, resultBytes); columns == 0 || cost < best)
      best = cost, columns = candidate;
  // All of the shared memory that a block may have, but for what results on their way take.
  constexpr int64_t sharedBytes = 192 << 10;
  return WarpgroupScheduleAttr::get(kernel.getContext(), columns, sharedBytes / ((blockRows + columns) * depth * 2),
                                    /*blocks=*/1, /*parts=*/1);
}
} // namespace mlir::xf
