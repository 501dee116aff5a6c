//===- Matmul.cpp - schedule of matrix products for GPUs ------------------===//
// The plain form: a block of 256 threads computes 64 x 64 or 128 x 128 elements of the result from blocks of A and B
// that pass through shared memory, 16 of k at a time; the next ones are loaded while these are multiplied. A thread has
// 4 x 4 elements of each 64 x 64, so that it reads four neighbours at once. Each element is the same chain of fused
// multiply-adds over increasing k as on a CPU (lib/Schedule/Matmul.cpp). The elementwise ops of the kernel follow on
// the block, a warp a row; a result of bf16 passes through shared memory to them.
//===----------------------------------------------------------------------===//
#include "xf/Schedule/Choices.h"
#include "xf/Schedule/Elementwise.h"

namespace mlir::xf {
namespace {
constexpr int64_t part = 64, depth = 16, threads = 256;
/// Neighbours that a thread reads at once.
constexpr int64_t quad = 4;
/// Rows of shared memory begin in different banks.
constexpr int64_t padding = 4;

bool hasQuads(Value memory) {
  auto type = cast<MemRefType>(memory.getType());
  return type.getRank() == 2 && type.getElementType().isF32() && !type.isDynamicDim(1) && pitchOf(type) % quad == 0;
}
Value loadQuad(Emitter &e, Value memory, ValueRange at) {
  return vector::LoadOp::create(e.b, e.loc, VectorType::get(quad, e.b.getF32Type()), memory, at, /*nontemporal=*/false,
                                llvm::MaybeAlign(quad * 4));
}
void storeQuad(Emitter &e, ValueRange numbers, Value memory, ValueRange at) {
  auto type = VectorType::get(quad, e.b.getF32Type());
  vector::StoreOp::create(e.b, e.loc, vector::FromElementsOp::create(e.b, e.loc, type, numbers), memory, at,
                          /*nontemporal=*/false, llvm::MaybeAlign(quad * 4));
}
SmallVector<Value> numbersOf(Emitter &e, Value vector) {
  return llvm::to_vector_of<Value>(vector::ToElementsOp::create(e.b, e.loc, vector).getResults());
}

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
  /// Whether four neighbours in memory are wholly inside or outside of the matrix, and begin at 16 bytes.
  bool isOfQuads() const { return hasQuads(memory) && cast<MemRefType>(memory.getType()).getDimSize(1) % quad == 0; }
};

class MatmulGPU {
public:
  MatmulGPU(Emitter &e, Factor a, Factor b, Value k, int64_t parts)
      : e(e), a(a), b(b), k(k), parts(parts), elements(quad * parts) {
    sharedA = e.allocateShared({2 * depth, part * parts + padding});
    sharedB = e.allocateShared({2 * depth, part * parts + padding});
  }

  /// The sums of this thread: element (i, j) is that of localRow(i), localColumn(j).
  SmallVector<Value> emit(Value rowBegin, Value columnBegin, ValueRange initial) {
    auto load = [&](Value kBegin) {
      SmallVector<Value> numbers = loadNext(a, rowBegin, kBegin);
      numbers.append(loadNext(b, columnBegin, kBegin));
      return numbers;
    };
    SmallVector<Value> carried(initial);
    carried.append(load(e.index(0)));
    carried.push_back(e.index(0)); // where this turn's blocks lie in shared memory: there are two, written in turn
    Value row = localRow(0), column = localColumn(0);
    carried = e.loop(e.index(0), k, depth, carried, [&](Value kBegin, ValueRange carried) {
      SmallVector<Value> sums(carried.take_front(initial.size()));
      Value begin = carried.back();
      ValueRange loaded = carried.drop_front(initial.size()).drop_back();
      store(a, loaded.take_front(loaded.size() / 2), sharedA, begin);
      store(b, loaded.drop_front(loaded.size() / 2), sharedB, begin);
      e.syncBlock();
      SmallVector<Value> next = load(e.add(kBegin, e.index(depth)));
      for (int64_t step = 0; step < depth; ++step) {
        Value at = e.add(begin, e.index(step));
        SmallVector<Value> as = read(sharedA, at, row), bs = read(sharedB, at, column);
        for (int64_t i = 0; i < elements; ++i)
          for (int64_t j = 0; j < elements; ++j) {
            Value &sum = sums[i * elements + j];
            sum = e.fma(as[i], bs[j], sum);
          }
      }
      sums.append(next);
      sums.push_back(e.sub(e.index(depth), begin));
      return sums;
    });
    carried.truncate(initial.size());
    return carried;
  }

  Value localRow(int64_t i) { return local(e.make<arith::DivUIOp>(e.thread(), e.index(part / quad)), i); }
  Value localColumn(int64_t j) { return local(e.make<arith::RemUIOp>(e.thread(), e.index(part / quad)), j); }

private:
  /// Element i of a thread's: four neighbours of each 64.
  Value local(Value number, int64_t i) {
    return e.add(e.mul(number, e.index(quad)), e.index(i / quad * part + i % quad));
  }
  SmallVector<Value> read(Value shared, Value step, Value first) {
    SmallVector<Value> numbers;
    for (int64_t i = 0; i < parts; ++i)
      numbers.append(numbersOf(e, loadQuad(e, shared, {step, e.add(first, e.index(i * part))})));
    return numbers;
  }

  /// This thread's share of a block, neighbours in memory: body(step, i) of the first of each.
  void forShare(const Factor &factor, function_ref<void(Value step, Value i)> body) {
    int64_t count = part * parts, wide = factor.isOfQuads() ? quad : 1,
            fast = (factor.depthIsRow ? count : depth) / wide;
    for (int64_t turn = 0; turn < count * depth / threads / wide; ++turn) {
      Value number = e.add(e.thread(), e.index(turn * threads));
      Value slowIndex = e.make<arith::DivUIOp>(number, e.index(fast)),
            fastIndex = e.mul(e.make<arith::RemUIOp>(number, e.index(fast)), e.index(wide));
      factor.depthIsRow ? body(slowIndex, fastIndex) : body(fastIndex, slowIndex);
    }
  }
  /// factor(k, i) of this thread's share from kBegin and `begin` on, zero past the ends.
  SmallVector<Value> loadNext(const Factor &factor, Value begin, Value kBegin) {
    SmallVector<Value> numbers;
    forShare(factor, [&](Value step, Value i) {
      Value kAt = e.add(kBegin, step), iAt = e.add(begin, i);
      auto isBelow = [&](Value x, Value end) { return e.compare(arith::CmpIPredicate::slt, x, end); };
      Value inside = e.make<arith::AndIOp>(isBelow(kAt, k), isBelow(iAt, factor.extent));
      SmallVector<Value> at = factor.place(e, kAt, iAt);
      if (!factor.isOfQuads())
        return numbers.push_back(e.loadWhere(inside, factor.memory, at));
      Type type = VectorType::get(quad, e.b.getF32Type());
      numbers.append(numbersOf(e, e.where(inside, type, [&] { return loadQuad(e, factor.memory, at); })));
    });
    return numbers;
  }
  /// shared[begin + step][i] = the numbers of loadNext.
  void store(const Factor &factor, ValueRange numbers, Value shared, Value begin) {
    int64_t wide = factor.isOfQuads() ? quad : 1;
    forShare(factor, [&](Value step, Value i) {
      Value at = e.add(begin, step);
      if (wide > 1 && factor.depthIsRow)
        storeQuad(e, numbers.take_front(wide), shared, {at, i});
      else
        for (int64_t n = 0; n < wide; ++n)
          e.store(numbers[n], shared, {e.add(at, e.index(n)), i});
      numbers = numbers.drop_front(wide);
    });
  }

  Emitter &e;
  Factor a, b;
  Value k, sharedA, sharedB;
  int64_t parts, elements; // of each side: 64s of the block, and what a thread has
};
} // namespace

LogicalResult scheduleMatmulGPU(func::FuncOp kernel, const RegisterFile &registers) {
  static_assert(part / quad * (part / quad) == threads, "a block of eight warps");
  Block &body = kernel.getBody().front();
  Operation *root = &body.front();
  auto linear = dyn_cast<LinearOp>(root);
  auto matmul = dyn_cast<MatmulOp>(root);
  if (linear && linear.isQuantized())
    return linear.emitOpError() << "has no schedule for a GPU: stage 'schedule' takes quantized weights for processors "
                                   "alone";
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
  auto schedule = kernel->getAttrOfType<BlockScheduleAttr>("xf.schedule");
  int64_t parts = schedule ? schedule.getSide() / part : 1, blockRows = part * parts, blockColumns = part * parts;
  Value m = e.dim(c, 0), columns = e.index(n);
  SmallVector<Value> tile = e.splitTile({e.index(llvm::divideCeil(n, blockColumns))});
  Value rowBegin = e.mul(tile[0], e.index(blockRows)), columnBegin = e.mul(tile[1], e.index(blockColumns));

  MatmulGPU product(e, {aMemory, transposeA, m}, {bMemory, !transposeB || packed, columns, packed},
                    e.dim(aMemory, transposeA ? 0 : 1), parts);
  bool isTile = Emitter::isNarrow(c);
  // The elements of this thread, four neighbours at a time where a row begins and ends with whole ones.
  const int64_t side = quad * parts;
  auto isBelow = [&](Value x, Value end) { return e.compare(arith::CmpIPredicate::slt, x, end); };
  auto forElements = [&](int64_t wide, function_ref<void(int64_t, int64_t, Value)> body) {
    for (int64_t i = 0; i < side; ++i)
      for (int64_t j = 0; j < side; j += wide)
        body(i, j,
             e.make<arith::AndIOp>(isBelow(e.add(rowBegin, product.localRow(i)), m),
                                   isBelow(e.add(columnBegin, product.localColumn(j)), columns)));
  };
  auto isOfQuads = [&](Value memory) { return hasQuads(memory) && n % quad == 0; };
  SmallVector<Value> sums;
  bool isBias = initial && cast<MemRefType>(initial.getType()).getRank() == 1;
  bool readsQuads = initial && !isBias && isOfQuads(initial);
  forElements(readsQuads ? quad : 1, [&](int64_t i, int64_t j, Value inside) {
    Value row = e.add(rowBegin, product.localRow(i)), column = e.add(columnBegin, product.localColumn(j));
    if (readsQuads)
      sums.append(numbersOf(e, e.where(inside, VectorType::get(quad, e.b.getF32Type()),
                                       [&] { return loadQuad(e, initial, {row, column}); })));
    else
      sums.push_back(initial ? e.loadWhere(inside, initial, isBias ? ValueRange{column} : ValueRange{row, column})
                             : e.f32(0));
  });
  sums = product.emit(rowBegin, columnBegin, sums);
  if (isTile)
    c = e.allocateShared({blockRows, blockColumns + padding});
  bool writesQuads = !isTile && isOfQuads(c);
  forElements(writesQuads ? quad : 1, [&](int64_t i, int64_t j, Value inside) {
    e.when(inside, [&] {
      Value row = product.localRow(i), column = product.localColumn(j);
      SmallVector<Value> at = isTile ? SmallVector<Value>{row, column}
                                     : SmallVector<Value>{e.add(rowBegin, row), e.add(columnBegin, column)};
      if (writesQuads)
        storeQuad(e, ArrayRef(sums).slice(i * side + j, quad), c, at);
      else
        e.store(sums[i * side + j], c, at);
    });
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

Attribute chooseBlockMatmul(func::FuncOp kernel) {
  // As a rule a batch has some thousand rows, and a GPU some hundred processors.
  constexpr int64_t usualRows = 4096, large = 2 * part, processors = 128;
  auto result = cast<RankedTensorType>(rootOf(kernel)->getResult(0).getType());
  auto isNarrow = [](Type type) { return getElementTypeOrSelf(type).isBF16(); };
  int64_t m = result.isDynamicDim(0) ? usualRows : result.getDimSize(0),
          tiles = llvm::divideCeilSigned(m, large) * llvm::divideCeilSigned(result.getDimSize(1), large);
  bool isLarge = tiles >= processors && llvm::none_of(kernel.getResultTypes(), isNarrow) &&
                 rootOf(kernel)->getBlock()->getOps<BlockStatisticsOp>().empty();
  return BlockScheduleAttr::get(kernel.getContext(), isLarge ? large : part);
}

LogicalResult schedulePackGPU(func::FuncOp kernel, const RegisterFile &registers) {
  auto pack = cast<PackOp>(kernel.getBody().front().front());
  if (pack.isQuantized())
    return pack.emitOpError() << "has no schedule for a GPU: stage 'schedule' quantizes weights for processors alone";
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
