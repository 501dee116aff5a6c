//===- TensorCore.cpp - products of a warp, in registers ------------------===//
#include "TensorCore.h"

namespace mlir::xf {
Value pointerOf(Emitter &e, Value memory, NVVM::NVVMMemorySpace space) {
  Value address = memref::ExtractAlignedPointerAsIndexOp::create(e.b, e.loc, memory);
  address = arith::IndexCastOp::create(e.b, e.loc, e.b.getI64Type(), address);
  auto type = LLVM::LLVMPointerType::get(e.b.getContext(), static_cast<unsigned>(space));
  return LLVM::IntToPtrOp::create(e.b, e.loc, type, address);
}

SmallVector<Value> flattened(ArrayRef<Fragment> fragments) {
  SmallVector<Value> values;
  for (const Fragment &fragment : fragments)
    llvm::append_range(values, fragment);
  return values;
}
SmallVector<Fragment> fragmentsOf(ValueRange values) {
  SmallVector<Fragment> fragments;
  for (; !values.empty(); values = values.drop_front(4))
    fragments.push_back({values[0], values[1], values[2], values[3]});
  return fragments;
}

HeadMatrix::HeadMatrix(Emitter &e, Value memory, int64_t heads, int64_t sharers)
    : heads(heads), sharers(sharers), first(0) {
  auto type = cast<MemRefType>(memory.getType());
  pitch = pitchOf(type);
  features = perHead = type.getDimSize(1) / (heads / sharers);
  element = type.getElementType();
  this->memory = pointerOf(e, memory, NVVM::NVVMMemorySpace::Global);
}

HeadMatrix HeadMatrix::from(int64_t column) const {
  HeadMatrix result = *this;
  result.first += column;
  result.features -= column;
  return result;
}

HeadMatrix HeadMatrix::of(Value head) const {
  HeadMatrix result = *this;
  result.head = head;
  return result;
}

Value HeadMatrix::headThere(Emitter &e) const {
  if (head)
    return head;
  Value ofBlock = e.toI32(headOf(e, heads));
  return sharers == 1 ? ofBlock : e.make<arith::DivUIOp>(ofBlock, e.i32(sharers));
}

SharedRows::SharedRows(Emitter &e, int64_t rows, int64_t features, int64_t stages)
    : rows(rows), features(features), pitch(pitchOf(features)) {
  Value memory = e.allocateShared({stages * rows, pitch / 2}, e.b.getBF16Type());
  pointer = pointerOf(e, memory, NVVM::NVVMMemorySpace::Shared);
}

TensorCore::TensorCore(Emitter &e) : e(e) { findThread(); }

void TensorCore::findThread() {
  Value lane = e.laneNumbers();
  group = e.make<arith::DivUIOp>(lane, e.i32(4));
  pair = e.make<arith::AndIOp>(e.mul(lane, e.i32(2)), e.i32(6));
}

//===-- Fragments ---------------------------------------------------------===//
static Fragment unpack(Emitter &e, Value values) {
  Fragment result;
  for (int64_t i = 0; i < 4; ++i)
    result[i] = LLVM::ExtractValueOp::create(e.b, e.loc, values, i);
  return result;
}
static Type fourOf(Emitter &e, Type element) {
  return LLVM::LLVMStructType::getLiteral(e.b.getContext(), SmallVector<Type>(4, element));
}

void TensorCore::multiply(Fragment &sums, const Fragment &left, Value right0, Value right1, bool isTF32) {
  using NVVM::MMALayout;
  NVVM::MMATypes type = isTF32 ? NVVM::MMATypes::tf32 : NVVM::MMATypes::bf16;
  Value values = NVVM::MmaOp::create(e.b, e.loc, fourOf(e, e.b.getF32Type()), ValueRange(ArrayRef<Value>(left)),
                                     ValueRange{right0, right1}, ValueRange(ArrayRef<Value>(sums)),
                                     {16, 8, isTF32 ? 8 : 16}, std::nullopt, std::nullopt, std::array{type, type},
                                     std::array{MMALayout::row, MMALayout::col});
  sums = unpack(e, values);
}

Value TensorCore::toTF32(Value bits) {
  return NVVM::ConvertFloatToTF32Op::create(e.b, e.loc, e.b.getI32Type(), e.bitcast(e.b.getF32Type(), bits),
                                            NVVM::FPRoundingMode::RNA, NVVM::SaturationMode::NONE);
}

Value TensorCore::pack(Value low, Value high) {
  Value both = NVVM::ConvertF32x2ToBF16x2Op::create(e.b, e.loc, VectorType::get({2}, e.b.getBF16Type()), high, low,
                                                    Value(), NVVM::FPRoundingMode::RN);
  return LLVM::BitcastOp::create(e.b, e.loc, e.b.getI32Type(), both);
}

Fragment TensorCore::leftOf(const Fragment &columns0, const Fragment &columns8) {
  return {pack(columns0[0], columns0[1]), pack(columns0[2], columns0[3]), pack(columns8[0], columns8[1]),
          pack(columns8[2], columns8[3])};
}

Value TensorCore::bitsOf(ArrayRef<Value> conditions) {
  Value bits = e.i32(0);
  for (auto [number, condition] : llvm::enumerate(conditions))
    bits = e.make<arith::OrIOp>(bits, e.select(condition, e.i32(int64_t(1) << number), e.i32(0)));
  return LLVM::InlineAsmOp::create(e.b, e.loc, e.b.getI32Type(), ValueRange{bits}, "mov.b32 $0, $1;", "=r,r",
                                   /*has_side_effects=*/false, /*is_align_stack=*/false,
                                   LLVM::tailcallkind::TailCallKind::None, LLVM::AsmDialectAttr(), ArrayAttr())
      .getResult(0);
}

Value TensorCore::ofRow(Value x, function_ref<Value(Value, Value)> combine) {
  for (int64_t bits : {1, 2})
    x = combine(x, e.fromPartner(x, bits));
  return x;
}

Value TensorCore::approximate(StringRef function, Value x) {
  return LLVM::CallIntrinsicOp::create(e.b, e.loc, e.b.getF32Type(), e.b.getStringAttr(function), ValueRange{x})
      .getResult(0);
}

Value TensorCore::at(Value pointer, Value bytes) {
  return LLVM::GEPOp::create(e.b, e.loc, pointer.getType(), e.b.getI8Type(), pointer, ArrayRef<LLVM::GEPArg>{bytes});
}
Value TensorCore::at(Value pointer, int64_t bytes) {
  return LLVM::GEPOp::create(e.b, e.loc, pointer.getType(), e.b.getI8Type(), pointer,
                             ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(bytes)});
}

Value TensorCore::stageOffset(const SharedRows &tile, Value stage, Value offset) {
  return stage ? e.add(e.mul(stage, e.i32(tile.rows * tile.pitch)), offset) : offset;
}

Value TensorCore::placeOfLeft(const SharedRows &tile, Value stage) {
  // Eight threads after eight give the rows of: the upper left block, the lower left one, and those on the right.
  return placeOfRight(tile, /*transposed=*/true, stage);
}

Value TensorCore::placeOfLeftAt(const SharedRows &tile, Value row) {
  return at(placeOfLeft(tile), e.mul(row, e.i32(tile.pitch)));
}

Value TensorCore::placeOfRight(const SharedRows &tile, bool transposed, Value stage) {
  // Blocks of 8 x 8: the first right fragment's two, then the second one's. As the tile has them these lie beside each
  // other, transposed one below the other.
  Value lane = e.laneNumbers(), inBlock = e.make<arith::RemUIOp>(lane, e.i32(8)),
        odd = e.make<arith::RemUIOp>(e.make<arith::DivUIOp>(lane, e.i32(8)), e.i32(2)),
        second = e.make<arith::DivUIOp>(lane, e.i32(16));
  Value below = transposed ? odd : second, beside = transposed ? second : odd;
  Value offset = e.add(e.mul(e.add(inBlock, e.mul(below, e.i32(8))), e.i32(tile.pitch)), e.mul(beside, e.i32(16)));
  return at(tile.pointer, stageOffset(tile, stage, offset));
}

Fragment TensorCore::load(const SharedRows &tile, Value place, int64_t row, int64_t column, bool transposed) {
  return loadMatrices(at(place, row * tile.pitch + column * 2), transposed);
}

Fragment TensorCore::loadMatrices(Value address, bool transposed) {
  auto shape = NVVM::LdStMatrixShapeAttr::get(e.b.getContext(), 8, 8);
  auto layout = transposed ? NVVM::MMALayout::col : NVVM::MMALayout::row;
  return unpack(e, NVVM::LdMatrixOp::create(e.b, e.loc, fourOf(e, e.b.getI32Type()), address, 4, layout, shape,
                                            NVVM::LdStMatrixEltType::B16));
}

//===-- Memory ------------------------------------------------------------===//
Value TensorCore::addressOf(const HeadMatrix &matrix, Value row, Value column) {
  Value element = e.add(e.mul(e.toIndex(row), e.index(matrix.pitch)), e.toIndex(e.add(matrix.begin(e), column)));
  Value number = arith::IndexCastOp::create(e.b, e.loc, e.b.getI64Type(), element);
  return LLVM::GEPOp::create(e.b, e.loc, matrix.memory.getType(), matrix.element, matrix.memory,
                             ArrayRef<LLVM::GEPArg>{number});
}

static Value isFeature(Emitter &e, int64_t features, Value column) {
  return e.compare(arith::CmpIPredicate::slt, column, e.i32(features));
}

Value TensorCore::loadBits(const HeadMatrix &matrix, Value row, Value inside, Value column) {
  auto conditionAt = [&](Value column) { return e.make<arith::AndIOp>(inside, isFeature(e, matrix.features, column)); };
  if (matrix.hasPairs())
    return e.where(conditionAt(column), e.b.getI32Type(), [&] {
      return LLVM::LoadOp::create(e.b, e.loc, e.b.getI32Type(), addressOf(matrix, row, column), /*alignment=*/4);
    });
  auto element = [&](Value column) -> Value {
    Value bits = e.where(conditionAt(column), e.b.getI16Type(), [&] {
      return LLVM::LoadOp::create(e.b, e.loc, e.b.getI16Type(), addressOf(matrix, row, column), /*alignment=*/2);
    });
    return arith::ExtUIOp::create(e.b, e.loc, e.b.getI32Type(), bits);
  };
  Value high = e.make<arith::ShLIOp>(element(e.add(column, e.i32(1))), e.i32(16));
  return e.make<arith::OrIOp>(element(column), high);
}

Fragment TensorCore::loadLeft(const HeadMatrix &matrix, std::array<Value, 2> rows, std::array<Value, 2> inside,
                              int64_t column) {
  Fragment result;
  for (int64_t part = 0; part < 4; ++part)
    result[part] = loadBits(matrix, rows[part % 2], inside[part % 2], e.add(pair, e.i32(column + part / 2 * 8)));
  return result;
}

std::array<Value, 2> TensorCore::widened(Value pair) {
  return {e.bitcast(e.b.getF32Type(), e.make<arith::ShLIOp>(pair, e.i32(16))),
          e.bitcast(e.b.getF32Type(), e.make<arith::AndIOp>(pair, e.i32(-65536)))};
}

std::array<Value, 2> TensorCore::loadPair(const HeadMatrix &matrix, Value row, Value inside, int64_t column) {
  Value first = e.add(pair, e.i32(column));
  if (matrix.element.isBF16()) {
    return widened(loadBits(matrix, row, inside, first));
  }
  auto element = [&](Value column) {
    Value condition = e.make<arith::AndIOp>(inside, isFeature(e, matrix.features, column));
    return e.where(condition, e.b.getF32Type(), [&] {
      return LLVM::LoadOp::create(e.b, e.loc, e.b.getF32Type(), addressOf(matrix, row, column), /*alignment=*/4);
    });
  };
  return {element(first), element(e.add(first, e.i32(1)))};
}

void TensorCore::storePair(const HeadMatrix &matrix, Value row, Value inside, int64_t column, Value x, Value y) {
  Value first = e.add(pair, e.i32(column));
  auto store = [&](Value column, Value bits, unsigned alignment) {
    e.when(e.make<arith::AndIOp>(inside, isFeature(e, matrix.features, column)),
           [&] { LLVM::StoreOp::create(e.b, e.loc, bits, addressOf(matrix, row, column), alignment); });
  };
  bool isBF16 = matrix.element.isBF16();
  if (isBF16 && matrix.hasPairs())
    return store(first, pack(x, y), 4);
  Value column1 = e.add(first, e.i32(1));
  if (!isBF16) {
    store(first, x, 4);
    return store(column1, y, 4);
  }
  Value bits = pack(x, y);
  auto half = [&](Value value) -> Value { return arith::TruncIOp::create(e.b, e.loc, e.b.getI16Type(), value); };
  store(first, half(bits), 2);
  store(column1, half(e.make<arith::ShRUIOp>(bits, e.i32(16))), 2);
}

Value TensorCore::partOfDot(const HeadMatrix &x, const HeadMatrix &y, Value row, Value inside, Value half) {
  using Values = SmallVector<Value>;
  auto part = [&](const HeadMatrix &matrix, Value column, int64_t count) {
    Values elements;
    if (count == 8) { // in vectors
      Type four = VectorType::get({4}, e.b.getI32Type());
      Value pairs = LLVM::LoadOp::create(e.b, e.loc, four, addressOf(matrix, row, column), /*alignment=*/16);
      for (int64_t i = 0; i < 4; ++i)
        llvm::append_range(elements, widened(LLVM::ExtractElementOp::create(e.b, e.loc, pairs, e.i32(i))));
      return elements;
    }
    Value element = LLVM::LoadOp::create(e.b, e.loc, matrix.element, addressOf(matrix, row, column));
    elements.push_back(matrix.element.isBF16() ? arith::ExtFOp::create(e.b, e.loc, e.b.getF32Type(), element)
                                               : element);
    return elements;
  };
  int64_t count = x.hasVectors() && y.hasVectors() ? 8 : 1;
  return e.where(inside, e.b.getF32Type(), [&] {
    return e.loop(e.mul(half, e.i32(count)), e.i32(x.features), 2 * count, e.f32(0),
                  [&](Value column, ValueRange carried) {
                    Value sum = carried[0];
                    for (auto [a, b] : llvm::zip(part(x, column, count), part(y, column, count)))
                      sum = e.fma(a, b, sum);
                    return Values{sum};
                  })[0];
  });
}

void TensorCore::copyRows(const HeadMatrix &matrix, Value row, Value count, const SharedRows &tile, Value stage) {
  // A thread takes 16 bytes, or one pair, of every so many rows, which lie as many bytes apart.
  bool hasVectors = matrix.hasVectors();
  int64_t columns = hasVectors ? 8 : 2, perRow = llvm::alignTo(tile.features, 16) / columns;
  int64_t threads = e.registers.warps * e.registers.width,
          threadsPerRow = std::min<int64_t>(llvm::PowerOf2Ceil(perRow), threads), step = threads / threadsPerRow;
  assert(tile.rows % step == 0 && "a tile's rows are shared by a block's threads");
  for (int64_t firstPart = 0; firstPart < perRow; firstPart += threadsPerRow) {
    Value thread = e.toI32(e.thread()), tileRow = e.make<arith::DivUIOp>(thread, e.i32(threadsPerRow)),
          part = e.add(e.make<arith::RemUIOp>(thread, e.i32(threadsPerRow)), e.i32(firstPart)),
          column = e.mul(part, e.i32(columns));
    Value from = addressOf(matrix, e.add(row, tileRow), column), left = e.sub(count, tileRow);
    Value offset = e.add(e.mul(tileRow, e.i32(tile.pitch)), e.mul(column, e.i32(2)));
    Value to = at(tile.pointer, stageOffset(tile, stage, offset));
    auto isLeft = [&](Value passed) { return e.compare(arith::CmpIPredicate::sgt, left, passed); };
    auto copy = [&] {
      if (!hasVectors)
        return e.loop(e.i32(0), e.i32(tile.rows), step, [&](Value passed) {
          Value bits = loadBits(matrix, e.add(e.add(row, tileRow), passed), isLeft(passed), column);
          LLVM::StoreOp::create(e.b, e.loc, bits, at(to, e.mul(passed, e.i32(tile.pitch))), /*alignment=*/4);
        });
      for (int64_t passed = 0; passed < tile.rows; passed += step) {
        Value inside = isLeft(e.i32(passed));
        if (tile.features % 16 != 0)
          inside = e.make<arith::AndIOp>(inside, isFeature(e, tile.features, column));
        this->copy(at(to, passed * tile.pitch), at(from, passed * matrix.pitch * 2), 16,
                   e.select(inside, e.i32(16), e.i32(0)));
      }
    };
    perRow < firstPart + threadsPerRow ? e.when(e.compare(arith::CmpIPredicate::slt, part, e.i32(perRow)), copy)
                                       : copy();
  }
}

void TensorCore::copy(Value to, Value from, int64_t bytes, Value count) {
  auto cache = bytes == 16 ? NVVM::LoadCacheModifierKind::CG : NVVM::LoadCacheModifierKind::CA;
  NVVM::CpAsyncOp::create(e.b, e.loc, to, from, bytes, cache, count);
}

void TensorCore::commitCopies() { NVVM::CpAsyncCommitGroupOp::create(e.b, e.loc); }
void TensorCore::waitForCopies(int64_t pending) { NVVM::CpAsyncWaitGroupOp::create(e.b, e.loc, pending); }
} // namespace mlir::xf
