//===- EmitterMemory.cpp - loads and stores of vectors --------------------===//
// Of the emitter of kernels: a vector of a row from memory and back, whole or its first elements, each thread of a GPU
// its own share; what memory holds in bf16 is widened and rounded on the way.
//===----------------------------------------------------------------------===//
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "xf/Dialect/XFG/IR/XFG.h"
#include "xf/Schedule/Emitter.h"

namespace mlir::xf {

/// Of a partial vector, how many threads have a whole share (an index).
static Value wholeShares(Emitter &e, int64_t count) { return e.index(count / e.registers.perThread); }

Value Emitter::partialMask(int64_t count) {
  if (registers.isGPU())
    return count % registers.perThread ? compare(arith::CmpIPredicate::slt, laneNumbers(), splatI32(count))
                                       : compare(arith::CmpIPredicate::slt, currentLane, wholeShares(*this, count));
  SmallVector<bool> lanes(registers.width);
  for (int64_t i = 0; i < registers.width; ++i)
    lanes[i] = i < count;
  return arith::ConstantOp::create(b, loc,
                                   DenseElementsAttr::get(VectorType::get({registers.width}, b.getI1Type()), lanes));
}

Value Emitter::loadWhere(Value condition, Value memref, ValueRange at) {
  return where(condition, b.getF32Type(), [&] { return load(memref, at); });
}

/// `at` with the last index moved on to this thread's share of a vector.
SmallVector<Value> Emitter::atShare(ValueRange at) {
  SmallVector<Value> result(at);
  result.back() = add(result.back(), make<arith::MulIOp>(currentLane, index(registers.perThread)));
  return result;
}

/// What lies at the start of a vector is aligned to a thread's share of it, up to 16 bytes.
static llvm::MaybeAlign alignmentOf(VectorType share) {
  int64_t bytes = share.getNumElements() * share.getElementTypeBitWidth() / 8;
  return llvm::Align(std::min<int64_t>(llvm::PowerOf2Ceil(bytes), 16));
}

/// A thread's share of a vector, where `condition` (null: always).
static Value loadShare(Emitter &e, Value condition, Value memref, ValueRange place) {
  auto share = [&]() -> Value {
    auto vector = dyn_cast<VectorType>(e.vectorType(getElementTypeOrSelf(memref.getType())));
    if (!vector)
      return e.load(memref, place);
    return e.widen(vector::LoadOp::create(e.b, e.loc, vector, memref, place, false, alignmentOf(vector)));
  };
  return condition ? e.where(condition, e.vectorType(e.b.getF32Type()), share) : share();
}

/// In the thread that has the last numbers of a partial vector, fewer than a share, body(number in the share, place).
static void forRest(Emitter &e, int64_t count, ArrayRef<Value> place, function_ref<void(int64_t, ValueRange)> body) {
  for (int64_t i = 0; i < count % e.registers.perThread; ++i) {
    SmallVector<Value> at(place);
    at.back() = e.add(at.back(), e.index(i));
    body(i, at);
  }
}

Value Emitter::loadVector(Value memref, ValueRange at, int64_t count) {
  if (registers.isGPU()) {
    SmallVector<Value> place = atShare(at);
    if (count >= registers.width || count % registers.perThread == 0)
      return loadShare(*this, count >= registers.width ? Value() : partialMask(count), memref, place);
    Value whole = wholeShares(*this, count);
    Value isWhole = compare(arith::CmpIPredicate::slt, currentLane, whole),
          isRest = compare(arith::CmpIPredicate::eq, currentLane, whole);
    Type type = vectorType(isNarrow(memref) ? b.getF32Type() : getElementTypeOrSelf(memref.getType()));
    auto rest = [&] {
      Value share = arith::ConstantOp::create(b, loc, b.getZeroAttr(type));
      forRest(*this, count, place, [&](int64_t i, ValueRange from) {
        share = vector::InsertOp::create(b, loc, load(memref, from), share, i);
      });
      return share;
    };
    using Values = SmallVector<Value>;
    return choose(
        isWhole, [&] { return Values{loadShare(*this, Value(), memref, place)}; },
        [&] { return Values{where(isRest, type, rest)}; })[0];
  }
  Type type = vectorType(getElementTypeOrSelf(memref.getType()));
  if (count >= registers.width)
    return widen(vector::LoadOp::create(b, loc, cast<VectorType>(type), memref, at));
  Value zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(type));
  return widen(vector::MaskedLoadOp::create(b, loc, cast<VectorType>(type), memref, at, partialMask(count), zero));
}

Value Emitter::loadVectorWhere(Value condition, Value memref, ValueRange at, int64_t count) {
  if (count < registers.width && count % registers.perThread) {
    Type element = isNarrow(memref) ? b.getF32Type() : getElementTypeOrSelf(memref.getType());
    return where(condition, vectorType(element), [&] { return loadVector(memref, at, count); });
  }
  if (count < registers.width)
    condition = make<arith::AndIOp>(condition, partialMask(count));
  auto type = dyn_cast<VectorType>(vectorType(getElementTypeOrSelf(memref.getType())));
  if (!type || !isNarrow(memref))
    return loadShare(*this, condition, memref, atShare(at));
  // Zeros as narrow as memory has them, in pairs: several such loads are under way at once.
  auto pairs = VectorType::get({type.getNumElements() / 2}, b.getI32Type());
  Value words = where(condition, pairs, [&]() -> Value {
    Value share = vector::LoadOp::create(b, loc, type, memref, atShare(at), false, alignmentOf(type));
    return vector::BitCastOp::create(b, loc, pairs, share);
  });
  return widen(vector::BitCastOp::create(b, loc, type, words));
}

void Emitter::storeVector(Value vector, Value memref, ValueRange at, int64_t count) {
  if (registers.isGPU()) {
    SmallVector<Value> place = atShare(at);
    auto share = [&] {
      Value stored = isNarrow(memref) ? narrow(vector) : vector;
      if (auto type = dyn_cast<VectorType>(stored.getType()))
        vector::StoreOp::create(b, loc, stored, memref, place, false, alignmentOf(type));
      else
        store(stored, memref, place);
    };
    if (count >= registers.width)
      return share();
    Value whole = wholeShares(*this, count);
    when(compare(arith::CmpIPredicate::slt, currentLane, whole), share);
    if (count % registers.perThread)
      when(compare(arith::CmpIPredicate::eq, currentLane, whole), [&] {
        forRest(*this, count, place,
                [&](int64_t i, ValueRange to) { store(vector::ExtractOp::create(b, loc, vector, i), memref, to); });
      });
    return;
  }
  if (isNarrow(memref))
    vector = narrow(vector);
  if (count >= registers.width)
    vector::StoreOp::create(b, loc, vector, memref, at);
  else
    vector::MaskedStoreOp::create(b, loc, memref, at, partialMask(count), vector);
}

void Emitter::copyVector(Value from, ValueRange at, Value to, Value column, int64_t count) {
  constexpr int64_t bytes = 16, element = 2;
  assert(registers.perThread * element == bytes && "the share of a thread that loads bf16");
  auto addressOf = [&](Value memref, ArrayRef<Value> place, NVVM::NVVMMemorySpace space) -> Value {
    auto [strides, offset] = cast<MemRefType>(memref.getType()).getStridesAndOffset();
    Value number = index(0);
    for (auto [stride, coordinate] : llvm::zip(strides, place))
      number = add(number, mul(coordinate, index(stride)));
    Value address = add(memref::ExtractAlignedPointerAsIndexOp::create(b, loc, memref), mul(number, index(element)));
    return LLVM::IntToPtrOp::create(b, loc, LLVM::LLVMPointerType::get(b.getContext(), static_cast<unsigned>(space)),
                                    castTo(b.getI64Type(), address));
  };
  Value whole = wholeShares(*this, count);
  auto copy = [&] {
    Value filled; // bytes that are read, where that are not all
    if (int64_t rest = count % registers.perThread; rest && count < registers.width)
      filled = select(compare(arith::CmpIPredicate::slt, currentLane, whole), i32(bytes), i32(rest * element));
    NVVM::CpAsyncOp::create(b, loc, addressOf(to, atShare(column), NVVM::NVVMMemorySpace::Shared),
                            addressOf(from, atShare(at), NVVM::NVVMMemorySpace::Global), bytes,
                            NVVM::LoadCacheModifierKind::CG, filled);
  };
  if (count >= registers.width)
    return copy();
  when(compare(arith::CmpIPredicate::slt, currentLane, index(llvm::divideCeil(count, registers.perThread))), copy);
}

void Emitter::waitForCopies() {
  NVVM::CpAsyncCommitGroupOp::create(b, loc);
  NVVM::CpAsyncWaitGroupOp::create(b, loc, 0);
}

Value Emitter::gatherOfRow(Value memref, Value row, Value columns, int64_t count) {
  auto vector = cast<VectorType>(vectorType(getElementTypeOrSelf(memref.getType())));
  Value nothing = arith::ConstantOp::create(b, loc, b.getZeroAttr(vector));
  return widen(vector::GatherOp::create(b, loc, vector, memref, ValueRange{row, index(0)}, columns, partialMask(count),
                                        nothing));
}

Value Emitter::gather(Value memref, Value numbers) {
  auto type = cast<MemRefType>(memref.getType());
  if (registers.isGPU()) {
    auto flat = MemRefType::get({type.getNumElements()}, type.getElementType());
    Value list =
        memref::ReinterpretCastOp::create(b, loc, flat, memref, /*offset=*/0, flat.getShape(), ArrayRef<int64_t>{1});
    return load(list, toIndex(numbers));
  }
  auto vector = cast<VectorType>(vectorType(type.getElementType()));
  SmallVector<Value> origin(type.getRank(), index(0));
  Value nothing = arith::ConstantOp::create(b, loc, b.getZeroAttr(vector));
  return vector::GatherOp::create(b, loc, vector, memref, origin, numbers, partialMask(registers.width), nothing);
}
} // namespace mlir::xf
