//===- Matmul.cpp - schedule of matrix products for GPUs ------------------===//
// The plain form: a block computes 64 x 64 elements of the result, 4 x 4 a thread, from blocks of A and B that pass
// through shared memory, 16 of k at a time. Each element is the same chain of fused multiply-adds over increasing k as
// on a CPU (lib/Schedule/Matmul.cpp). The elementwise ops of the kernel follow on the block, a warp a row; a result of
// bf16 passes through shared memory to them.
//===----------------------------------------------------------------------===//
#include "xf/Schedule/Elementwise.h"

namespace mlir::xf {
namespace {
constexpr int64_t blockRows = 64, blockColumns = 64, depth = 16, threadRows = 4, threadColumns = 4;
/// Rows of shared memory begin in different banks.
constexpr int64_t padding = 4;

/// A matrix (or its transpose) that is read `depth` deep for rows or columns `count` wide.
struct Factor {
  Value memory;
  bool depthIsRow;     // element (k, i) lies at [k, i], not at [i, k]
  Value extent;        // of i
  bool packed = false; // as xf.pack gives it

  SmallVector<Value> place(Emitter &e, Value k, Value i) const {
    if (packed)
      return {e.make<arith::DivUIOp>(i, e.index(PackOp::columns)), k,
              e.make<arith::RemUIOp>(i, e.index(PackOp::columns))};
    return depthIsRow ? SmallVector<Value>{k, i} : SmallVector<Value>{i, k};
  }
};

class MatmulGPU {
public:
  MatmulGPU(Emitter &e, Factor a, Factor b, Value k) : e(e), a(a), b(b), k(k) {
    sharedA = e.allocateShared({depth, blockRows + padding});
    sharedB = e.allocateShared({depth, blockColumns + padding});
  }

  /// The sums of this thread: element (i, j) is that of row(i), column(j).
  SmallVector<Value> emit(Value rowBegin, Value columnBegin, ValueRange initial) {
    Value row = localRow(0), column = localColumn(0);
    return e.loop(e.index(0), k, depth, initial, [&](Value kBegin, ValueRange carried) {
      fill(a, rowBegin, blockRows, kBegin, sharedA);
      fill(b, columnBegin, blockColumns, kBegin, sharedB);
      e.syncBlock();
      SmallVector<Value> sums(carried);
      for (int64_t step = 0; step < depth; ++step) {
        SmallVector<Value> as, bs;
        for (int64_t i = 0; i < threadRows; ++i)
          as.push_back(e.load(sharedA, {e.index(step), e.add(row, e.index(i))}));
        for (int64_t j = 0; j < threadColumns; ++j)
          bs.push_back(e.load(sharedB, {e.index(step), e.add(column, e.index(j))}));
        for (int64_t i = 0; i < threadRows; ++i)
          for (int64_t j = 0; j < threadColumns; ++j) {
            Value &sum = sums[i * threadColumns + j];
            sum = e.fma(as[i], bs[j], sum);
          }
      }
      e.syncBlock();
      return sums;
    });
  }

  Value localRow(int64_t i) {
    Value group = e.make<arith::DivUIOp>(e.thread(), e.index(blockColumns / threadColumns));
    return e.add(e.mul(group, e.index(threadRows)), e.index(i));
  }
  Value localColumn(int64_t j) {
    Value group = e.make<arith::RemUIOp>(e.thread(), e.index(blockColumns / threadColumns));
    return e.add(e.mul(group, e.index(threadColumns)), e.index(j));
  }
  /// shared[k - kBegin][i - begin] = factor(k, i), zero past the ends. Neighbouring threads read neighbours in memory.
  void fill(const Factor &factor, Value begin, int64_t count, Value kBegin, Value shared) {
    int64_t threads = e.registers.warps * e.registers.width;
    for (int64_t part = 0; part < count * depth / threads; ++part) {
      Value number = e.add(e.thread(), e.index(part * threads));
      int64_t fast = factor.depthIsRow ? count : depth;
      Value slowIndex = e.make<arith::DivUIOp>(number, e.index(fast)),
            fastIndex = e.make<arith::RemUIOp>(number, e.index(fast));
      Value step = factor.depthIsRow ? slowIndex : fastIndex, i = factor.depthIsRow ? fastIndex : slowIndex;
      Value kAt = e.add(kBegin, step), iAt = e.add(begin, i);
      auto isBelow = [&](Value x, Value end) { return e.compare(arith::CmpIPredicate::slt, x, end); };
      Value inside = e.make<arith::AndIOp>(isBelow(kAt, k), isBelow(iAt, factor.extent));
      Value value = e.loadWhere(inside, factor.memory, factor.place(e, kAt, iAt));
      e.store(value, shared, {step, i});
    }
  }

private:
  Emitter &e;
  Factor a, b;
  Value k, sharedA, sharedB;
};
} // namespace

LogicalResult scheduleMatmulGPU(func::FuncOp kernel, const RegisterFile &registers) {
  static_assert(blockRows / threadRows * (blockColumns / threadColumns) == 256, "a block of eight warps");
  Block &body = kernel.getBody().front();
  Operation *root = &body.front();
  auto linear = dyn_cast<LinearOp>(root);
  auto matmul = dyn_cast<MatmulOp>(root);
  if (!linear && !matmul)
    return root->emitOpError() << "can't begin a matmul kernel: stage 'schedule' takes xf.linear and xf.matmul";
  Emitter e(kernel, registers);
  Value aMemory = e.placeOf(root->getOperand(0)), bMemory = e.placeOf(root->getOperand(1)), initial;
  bool packed = linear && linear.isPacked(), transposeA = matmul && matmul.getTransposeA(),
       transposeB = linear || matmul.getTransposeB();
  if (Value given = linear ? linear.getBias() : matmul.getInto())
    initial = e.placeOf(given);
  Value result = root->getResult(0), c = e.placeOf(result);
  // A product that only its epilogue uses is written where the epilogue's result goes, and read back from there.
  int64_t place = -1;
  for (unsigned i = 0; i < kernel.getNumResults(); ++i)
    if (place < 0 && (!c || body.getTerminator()->getOperand(i) == result))
      place = kernel.getNumArguments() + i;
  if (!c)
    c = e.function.getArgument(place);
  int64_t n = cast<RankedTensorType>(result.getType()).getDimSize(1);
  Value m = e.dim(c, 0), columns = e.index(n);
  SmallVector<Value> tile = e.splitTile({e.index(llvm::divideCeil(n, blockColumns))});
  Value rowBegin = e.mul(tile[0], e.index(blockRows)), columnBegin = e.mul(tile[1], e.index(blockColumns));

  MatmulGPU product(e, {aMemory, transposeA, m}, {bMemory, !transposeB || packed, columns, packed},
                    e.dim(aMemory, transposeA ? 0 : 1));
  // The elements of this thread, and whether they are in the result.
  constexpr int64_t count = threadRows * threadColumns;
  SmallVector<Value> rows, columnsOf, inside, sums;
  for (int64_t i = 0; i < threadRows; ++i)
    for (int64_t j = 0; j < threadColumns; ++j) {
      rows.push_back(e.add(rowBegin, product.localRow(i)));
      columnsOf.push_back(e.add(columnBegin, product.localColumn(j)));
      inside.push_back(e.make<arith::AndIOp>(e.compare(arith::CmpIPredicate::slt, rows.back(), m),
                                             e.compare(arith::CmpIPredicate::slt, columnsOf.back(), columns)));
    }
  bool isBias = initial && cast<MemRefType>(initial.getType()).getRank() == 1;
  for (int64_t i = 0; i < count; ++i)
    sums.push_back(!initial ? e.f32(0)
                            : e.loadWhere(inside[i], initial,
                                          isBias ? ValueRange{columnsOf[i]} : ValueRange{rows[i], columnsOf[i]}));
  sums = product.emit(rowBegin, columnBegin, sums);
  bool isTile = Emitter::isNarrow(c);
  if (isTile)
    c = e.allocateShared({blockRows, blockColumns + padding});
  for (int64_t i = 0; i < count; ++i)
    e.when(inside[i], [&] {
      auto [row, column] = isTile
                               ? std::pair(product.localRow(i / threadColumns), product.localColumn(i % threadColumns))
                               : std::pair(rows[i], columnsOf[i]);
      e.store(sums[i], c, {row, column});
    });

  SmallVector<Operation *> epilogue;
  for (Operation &op : llvm::drop_begin(body.without_terminator()))
    epilogue.push_back(&op);
  if (isTile || !epilogue.empty()) {
    e.syncBlock();
    Value rowEnd = e.min(e.add(rowBegin, e.index(blockRows)), m);
    if (failed(emitEpilogue(e, epilogue, result, c, isTile, rowBegin, rowEnd, columnBegin, n, blockColumns)))
      return e.function.erase(), failure();
  }
  e.finish({{place, 0, 0, blockRows}, {-1, n, 0, blockColumns}});
  return success();
}

LogicalResult schedulePackGPU(func::FuncOp kernel, const RegisterFile &registers) {
  auto pack = cast<PackOp>(kernel.getBody().front().front());
  Emitter e(kernel, registers);
  static_assert(PackOp::columns == 32, "a panel's columns are a warp");
  Value weight = e.placeOf(pack.getWeight()), packed = e.placeOf(pack.getResult());
  int64_t out = pack.getWeight().getType().getDimSize(0), in = pack.getWeight().getType().getDimSize(1);
  Value column = e.add(e.mul(e.tile(), e.index(PackOp::columns)), e.lane());
  Value inside = e.compare(arith::CmpIPredicate::slt, column, e.index(out));
  e.rows(e.index(0), e.index(in), [&](Value k) {
    e.storeVector(e.loadWhere(inside, weight, {column, k}), packed, {e.tile(), k, e.index(0)}, PackOp::columns);
  });
  e.finish({{-1, out, 0, PackOp::columns}});
  return success();
}
} // namespace mlir::xf
