//===- Planned.cpp - kernels that stage `plan` wrote, for GPUs ------------===//
// The optimizer's and those that fill and copy are loops over memory already (lib/Kernels), of a processor's vectors. A
// warp takes a tile of them: every thread follows the numbers, the first one stores them, and a loop over vectors
// becomes one whose turns are 32 wide.
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

  LogicalResult translate(scf::ForOp loop) {
    LogicalResult result = success();
    Value begin = of(loop.getLowerBound()), step = of(loop.getStep());
    bool overVectors = isOverVectors(loop);
    if (overVectors) {
      begin = e.add(begin, e.lane());
      step = e.index(e.registers.width);
    }
    auto next = scf::ForOp::create(e.b, e.loc, begin, of(loop.getUpperBound()), step, of(loop.getInitArgs()));
    values.map(loop.getInductionVar(), next.getInductionVar());
    values.map(loop.getRegionIterArgs(), next.getRegionIterArgs());
    OpBuilder::InsertionGuard guard(e.b);
    if (loop.getInitArgs().empty()) {
      e.b.setInsertionPoint(next.getBody()->getTerminator());
      result = translate(*loop.getBody());
    } else {
      e.b.setInsertionPointToEnd(next.getBody());
      result = translate(*loop.getBody());
      if (succeeded(result))
        scf::YieldOp::create(e.b, e.loc, of(loop.getBody()->getTerminator()->getOperands()));
    }
    values.map(loop.getResults(), next.getResults());
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
        .Case([&](vector::BroadcastOp broadcast) { give(of(broadcast.getSource())); })
        .Case([&](vector::LoadOp load) { give(e.load(of(load.getBase()), of(load.getIndices()))); })
        .Case([&](vector::StoreOp store) {
          e.store(of(store.getValueToStore()), of(store.getBase()), of(store.getIndices()));
        })
        .Case([&](vector::FMAOp fma) { give(e.fma(of(fma.getLhs()), of(fma.getRhs()), of(fma.getAcc()))); })
        .Case([&](vector::ReductionOp sum) { give(e.reduce(sum.getKind(), of(sum.getVector()))); })
        .Case([&](memref::StoreOp store) {
          e.onFirstLane([&] { e.store(of(store.getValue()), of(store.getMemref()), of(store.getIndices())); });
        })
        .Default([&](Operation *) {
          if (op->getNumRegions() || isa<vector::VectorDialect>(op->getDialect()))
            return void(result = failure());
          Operation *copy = e.b.clone(*op, values);
          for (OpResult value : copy->getResults())
            if (isa<VectorType>(value.getType()))
              value.setType(getElementTypeOrSelf(value.getType()));
        });
    if (failed(result))
      return op->emitOpError() << "of a kernel that stage 'plan' made has no form for a GPU at stage 'schedule'";
    return result;
  }

  Emitter &e;
  IRMapping &values;
};
} // namespace

LogicalResult schedulePlannedGPU(func::FuncOp kernel, const RegisterFile &registers) {
  Emitter e(kernel, registers);
  unsigned count = kernel.getNumArguments() - 3; // the tiles, and scratch memory
  IRMapping values;
  for (unsigned i = 0; i < count; ++i)
    values.map(kernel.getArgument(i), e.function.getArgument(i));
  values.map(kernel.getArgument(count), e.tile());
  values.map(kernel.getArgument(count + 1), e.add(e.tile(), e.index(1)));
  if (!kernel.getArgument(count + 2).use_empty())
    return kernel.emitOpError() << "of stage 'plan' needs scratch memory, which it can't have on a GPU";
  if (failed(Translator(e, values).translate(kernel.getBody().front())))
    return e.function.erase(), failure();
  llvm::BitVector unused(e.function.getNumArguments());
  unused.set(count, count + 3);
  (void)e.function.eraseArguments(unused);
  SmallVector<GridEntry> grid;
  for (auto entry : kernel->getAttrOfType<ArrayAttr>("xf.grid").getAsRange<DenseI64ArrayAttr>())
    grid.push_back({entry[0], entry[1], entry[2], entry[3]});
  e.finish(grid);
  return success();
}
} // namespace mlir::xf
