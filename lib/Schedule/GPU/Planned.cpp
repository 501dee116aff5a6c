//===- Planned.cpp - kernels that stage `plan` wrote, for GPUs ------------===//
// The optimizer's and those that fill and copy are loops over memory already (lib/Kernels), of a processor's vectors. A
// block takes a tile of them: its warps take the rows in turns, a loop over vectors becomes one over a warp's, all
// threads follow the numbers, and a sum of numbers is the block's.
//===----------------------------------------------------------------------===//
#include "mlir/IR/IRMapping.h"
#include "xf/Schedule/Emitter.h"
#include "llvm/ADT/TypeSwitch.h"

namespace mlir::xf {
namespace {
class Translator {
public:
  Translator(Emitter &e, IRMapping &values) : e(e), values(values) {}

  LogicalResult translate(Block &block) {
    for (Operation &op : block.without_terminator())
      if (failed(translate(&op)))
        return failure();
    return success();
  }

private:
  Value of(Value value) { return values.lookup(value); }
  SmallVector<Value> of(ValueRange range) {
    return llvm::map_to_vector(range, [&](Value v) { return of(v); });
  }

  /// A loop whose body loads or stores whole vectors at its induction variable.
  static bool isOverVectors(scf::ForOp loop) {
    return llvm::any_of(loop.getBody()->getOperations(), llvm::IsaPred<vector::LoadOp, vector::StoreOp>);
  }
  /// A loop over rows that are such loops.
  static bool isOverRows(scf::ForOp loop) {
    return loop.getInitArgs().empty() && llvm::any_of(loop.getBody()->getOps<scf::ForOp>(), isOverVectors);
  }
  /// A loop that adds up numbers from memory, from zero on.
  static bool isSum(scf::ForOp loop) {
    if (loop.getInitArgs().size() != 1 || !isa<FloatType>(loop.getInitArgs()[0].getType()) ||
        !matchPattern(loop.getInitArgs()[0], m_AnyZeroFloat()))
      return false;
    auto sum = loop.getBody()->getTerminator()->getOperand(0).getDefiningOp<arith::AddFOp>();
    Value carried = loop.getRegionIterArg(0);
    return sum && carried.hasOneUse() && (sum.getLhs() == carried || sum.getRhs() == carried);
  }

  LogicalResult translate(scf::ForOp loop) {
    LogicalResult result = success();
    Value begin = of(loop.getLowerBound()), end = of(loop.getUpperBound());
    auto body = [&](Value i, ValueRange carried) {
      values.map(loop.getInductionVar(), i);
      values.map(loop.getRegionIterArgs(), carried);
      if (succeeded(result))
        result = translate(*loop.getBody());
      return failed(result) ? SmallVector<Value>(carried) : of(loop.getBody()->getTerminator()->getOperands());
    };
    if (isOverRows(loop)) {
      isInRow = true;
      e.rows(begin, end, [&](Value row) { body(row, {}); });
      isInRow = false;
      return result;
    }
    SmallVector<Value> initial = of(loop.getInitArgs()), results;
    if (isSum(loop)) {
      results = e.elements(begin, end, initial, body);
      results[0] = e.sumOfBlock(results[0]);
    } else if (isOverVectors(loop)) {
      results = e.loop(begin, end, e.registers.width, initial, body);
    } else if (std::optional<int64_t> step = getConstantIntValue(loop.getStep())) {
      results = e.loop(begin, end, *step, initial, body);
    } else {
      return failure();
    }
    values.map(loop.getResults(), results);
    return result;
  }

  LogicalResult translate(Operation *op) {
    LogicalResult result = success();
    auto give = [&](Value value) { values.map(op->getResult(0), value); };
    llvm::TypeSwitch<Operation *>(op)
        .Case([&](scf::ForOp loop) { result = translate(loop); })
        .Case([&](scf::IfOp branch) {
          if (branch.getNumResults() || !branch.getElseRegion().empty())
            return void(result = failure());
          e.when(of(branch.getCondition()), [&] { result = translate(*branch.thenBlock()); });
        })
        .Case([&](vector::BroadcastOp broadcast) { give(e.splat(of(broadcast.getSource()))); })
        .Case([&](vector::LoadOp load) {
          give(e.loadVector(of(load.getBase()), of(load.getIndices()), e.registers.width));
        })
        .Case([&](vector::StoreOp store) {
          e.storeVector(of(store.getValueToStore()), of(store.getBase()), of(store.getIndices()), e.registers.width);
        })
        .Case([&](vector::FMAOp fma) { give(e.fma(of(fma.getLhs()), of(fma.getRhs()), of(fma.getAcc()))); })
        .Case([&](vector::ReductionOp sum) { give(e.reduce(sum.getKind(), of(sum.getVector()))); })
        .Case([&](memref::StoreOp store) {
          auto once = [&] { e.store(of(store.getValue()), of(store.getMemref()), of(store.getIndices())); };
          isInRow ? e.onFirstLane(once) : e.onFirstThread(once);
        })
        .Default([&](Operation *) {
          if (op->getNumRegions() || isa<vector::VectorDialect>(op->getDialect()))
            return void(result = failure());
          Operation *copy = e.b.clone(*op, values);
          for (OpResult value : copy->getResults())
            if (isa<VectorType>(value.getType()))
              value.setType(e.vectorType(getElementTypeOrSelf(value.getType())));
        });
    if (failed(result))
      return op->emitOpError() << "of a kernel that stage 'plan' made has no form for a GPU at stage 'schedule'";
    return result;
  }

  Emitter &e;
  IRMapping &values;
  bool isInRow = false;
};

/// A kernel that fills or copies: its one store, where that is at the innermost of loops over the whole memory.
memref::StoreOp findFill(func::FuncOp kernel) {
  memref::StoreOp found;
  int64_t loops = 0, others = 0;
  kernel.walk([&](Operation *op) {
    if (auto store = dyn_cast<memref::StoreOp>(op))
      found = store;
    loops += isa<scf::ForOp>(op);
    others += !isa<scf::ForOp, scf::YieldOp, memref::StoreOp, memref::LoadOp, memref::DimOp, arith::ConstantOp,
                   func::ReturnOp, func::FuncOp>(op);
  });
  bool isWhole = found && others == 0 && loops == cast<MemRefType>(found.getMemRefType()).getRank() &&
                 llvm::all_of(found.getIndices(), llvm::IsaPred<BlockArgument>);
  return isWhole ? found : memref::StoreOp();
}

/// Fills or copies memory as it lies, 16 bytes a thread where rows are multiples of them; or where there are gaps
/// between rows, number by number.
SmallVector<GridEntry> emitFill(Emitter &e, IRMapping &values, memref::StoreOp store) {
  Value to = values.lookup(store.getMemref());
  auto type = cast<MemRefType>(to.getType());
  auto load = store.getValue().getDefiningOp<memref::LoadOp>();
  Type element = type.getElementType();
  auto valueOf = [&](function_ref<Value(Value from)> read) {
    return load ? read(values.lookup(load.getMemref())) : e.b.clone(*store.getValue().getDefiningOp())->getResult(0);
  };
  if (type.getRank() == 0) {
    e.onFirstThread(
        [&] { e.store(valueOf([&](Value from) { return e.load(from, ValueRange()); }), to, ValueRange()); });
    return {};
  }
  // Rows of a known length; where they are not, the memory is one block's.
  Value elements = e.index(1);
  int64_t columns = 1;
  for (int64_t dim = 0; dim < type.getRank(); ++dim) {
    elements = e.mul(elements, e.dim(to, dim));
    columns *= dim == 0 ? 1 : type.getDimSize(dim);
  }
  bool isCut = !llvm::any_of(type.getShape().drop_front(), ShapedType::isDynamic) && columns > 0;
  constexpr int64_t wanted = 8192; // elements of a tile
  int64_t rows = isCut ? std::max<int64_t>(wanted / columns, 1) : 0;
  Value begin = e.index(0), end = elements;
  if (isCut) {
    begin = e.mul(e.tile(), e.index(rows * columns));
    end = e.min(e.add(begin, e.index(rows * columns)), elements);
  }
  int64_t share = 128 / element.getIntOrFloatBitWidth();
  bool isWide = isCut && (columns % share == 0 ||
                          (type.getRank() == 1 && type.hasStaticShape() && type.getDimSize(0) % share == 0));
  auto flat = [&](Value memory) -> Value {
    SmallVector<OpFoldResult> sizes{elements}, strides{e.b.getIndexAttr(1)};
    auto flatType = MemRefType::get({ShapedType::kDynamic}, element);
    return memref::ReinterpretCastOp::create(e.b, e.loc, flatType, memory, OpFoldResult(e.b.getIndexAttr(0)), sizes,
                                             strides);
  };
  Value from = load ? values.lookup(load.getMemref()) : Value();
  if (hasGaps(type)) {
    e.elements(begin, end, [&](Value i) {
      SmallVector<Value> at{e.make<arith::DivUIOp>(i, e.index(columns)), e.make<arith::RemUIOp>(i, e.index(columns))};
      e.store(valueOf([&](Value) { return e.load(from, at); }), to, at);
    });
    return {{cast<BlockArgument>(store.getMemref()).getArgNumber(), 0, 0, rows}};
  }
  Value flatTo = flat(to), flatFrom = load ? flat(from) : Value();
  if (!isWide) {
    e.elements(begin, end, [&](Value i) { e.store(valueOf([&](Value) { return e.load(flatFrom, i); }), flatTo, i); });
  } else {
    auto vector = VectorType::get({share}, element);
    Value first = e.add(begin, e.mul(e.thread(), e.index(share)));
    e.loop(first, end, e.registers.threads() * share, [&](Value i) {
      Value value = load ? vector::LoadOp::create(e.b, e.loc, vector, flatFrom, i, false, llvm::Align(16)).getResult()
                         : vector::BroadcastOp::create(e.b, e.loc, vector, valueOf({})).getResult();
      vector::StoreOp::create(e.b, e.loc, value, flatTo, i, false, llvm::Align(16));
    });
  }
  int64_t operand = cast<BlockArgument>(store.getMemref()).getArgNumber();
  return isCut ? SmallVector<GridEntry>{{operand, 0, 0, rows}} : SmallVector<GridEntry>();
}
} // namespace

LogicalResult schedulePlannedGPU(func::FuncOp kernel, RegisterFile block) {
  auto grid = kernel->getAttrOfType<ArrayAttr>("xf.grid").getAsRange<DenseI64ArrayAttr>();
  memref::StoreOp fill = findFill(kernel);
  if (!fill && grid.empty())
    block.warps = 32; // alone on the GPU
  block.perThread = 4;
  block.width = RegisterFile::warpThreads * block.perThread;
  Emitter e(kernel, block);
  unsigned count = kernel.getNumArguments() - 3; // the tiles, and scratch memory
  IRMapping values;
  for (unsigned i = 0; i < count; ++i)
    values.map(kernel.getArgument(i), e.function.getArgument(i));
  values.map(kernel.getArgument(count), e.tile());
  values.map(kernel.getArgument(count + 1), e.add(e.tile(), e.index(1)));
  if (!kernel.getArgument(count + 2).use_empty())
    return kernel.emitOpError() << "of stage 'plan' needs scratch memory, which it can't have on a GPU";
  SmallVector<GridEntry> entries;
  if (fill)
    entries = emitFill(e, values, fill);
  else if (failed(Translator(e, values).translate(kernel.getBody().front())))
    return e.function.erase(), failure();
  else
    for (auto entry : grid)
      entries.push_back({entry[0], entry[1], entry[2], entry[3]});
  llvm::BitVector unused(e.function.getNumArguments());
  unused.set(count, count + 3);
  (void)e.function.eraseArguments(unused);
  e.finish(entries);
  return success();
}
} // namespace mlir::xf
