//===- Emitter.cpp - building a kernel's loops ----------------------------===//
#include "xf/Schedule/Emitter.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "xf/Dialect/XFG/IR/XFG.h"

namespace mlir::xf {

bool isTakenOut(CastOp cast) {
  Value x = cast.getX(), result = cast.getResult();
  bool isRead = isa<BlockArgument>(x),
       isGiven = llvm::is_contained(cast->getBlock()->getTerminator()->getOperands(), result);
  return isRead != isGiven && getElementTypeOrSelf(isRead ? x : result).isBF16();
}

void takeOutCasts(func::FuncOp kernel) {
  for (auto cast : llvm::make_early_inc_range(kernel.getBody().front().getOps<CastOp>())) {
    if (!isTakenOut(cast))
      continue;
    TypedValue<RankedTensorType> x = cast.getX(), result = cast.getResult();
    if (isa<BlockArgument>(x))
      x.setType(result.getType());
    result.replaceAllUsesWith(x);
    cast.erase();
  }
}

Operation *rootOf(func::FuncOp kernel) {
  Block &body = kernel.getBody().front();
  auto ops = body.without_terminator();
  auto root = llvm::find_if(ops, [](Operation &op) { return !isa<CastOp>(op); });
  return root == ops.end() ? &body.front() : &*root;
}

Emitter::Emitter(func::FuncOp kernel, const RegisterFile &registers, bool wholeRange)
    : b(kernel.getContext()), loc(kernel.getLoc()), registers(registers), kernel(kernel) {
  auto memrefOf = [](Type type) -> Type {
    auto tensor = dyn_cast<RankedTensorType>(type);
    return tensor ? Type(memoryOf(tensor)) : type;
  };
  SmallVector<Type> types;
  for (Type type : kernel.getArgumentTypes())
    types.push_back(memrefOf(type));
  for (Type type : kernel.getResultTypes())
    types.push_back(memrefOf(type));
  if (!registers.isGPU())
    types.append({b.getIndexType(), b.getIndexType(), MemRefType::get({ShapedType::kDynamic}, b.getI8Type())});
  b.setInsertionPoint(kernel);
  function = func::FuncOp::create(b, loc, kernel.getName(), b.getFunctionType(types, {}));
  function.setPrivate();
  Block *body = function.addEntryBlock();
  b.setInsertionPointToEnd(body);
  func::ReturnOp::create(b, loc);
  b.setInsertionPoint(body->getTerminator());
  for (BlockArgument argument : kernel.getArguments())
    places[argument] = body->getArgument(argument.getArgNumber());
  for (auto [i, value] : llvm::enumerate(kernel.getBody().front().getTerminator()->getOperands()))
    if (!isa<BlockArgument>(value))
      places.try_emplace(value, body->getArgument(kernel.getNumArguments() + i));
  if (registers.isGPU()) {
    currentTile = toIndex(NVVM::BlockIdXOp::create(b, loc, b.getI32Type()));
    setThread(NVVM::ThreadIdXOp::create(b, loc, b.getI32Type()));
    return;
  }
  if (wholeRange)
    return;
  auto loop = scf::ForOp::create(b, loc, tileBegin(), tileEnd(), index(1));
  currentTile = loop.getInductionVar();
  b.setInsertionPoint(loop.getBody()->getTerminator());
}

void Emitter::setLaunchFacts() {
  llvm::SmallDenseMap<StringRef, std::pair<int64_t, bool>> globals; // bytes, and whether each block has its own
  StringRef form;
  int64_t stages = 0, own = 0, shared = dynamicBytes;
  function.walk([&](Operation *op) {
    if (auto global = dyn_cast<memref::GetGlobalOp>(op); global && !op->use_empty()) {
      auto type = cast<MemRefType>(global.getType());
      globals[global.getName()] = {bytesOf(type), type.getMemorySpace() != Attribute()};
    } else if (auto ring = dyn_cast<xfg::CreateRingOp>(op)) {
      stages = std::max<int64_t>(stages, ring.getRing().getType().getStages());
    } else if (isa<xfg::MmaOp>(op)) {
      form = "wgmma";
    } else if (isa<NVVM::MmaOp>(op)) {
      form = "mma.sync";
    }
  });
  for (auto [name, global] : globals)
    (global.second ? shared : own) += global.first;
  auto note = [&](StringRef name, int64_t number) {
    if (number)
      function->setAttr(name, b.getI64IntegerAttr(number));
  };
  note("xf.threads", registers.threads());
  note("xf.shared", dynamicBytes);
  note("xf.own_bytes", own);
  note("xf.shared_in_all", shared);
  if (auto given = kernel->getAttrOfType<IntegerAttr>("xf.least_blocks"))
    leastBlocks = given.getInt();
  note("xf.least_blocks", leastBlocks);
  note("xf.stages", stages);
  if (!form.empty())
    function->setAttr("xf.form", b.getStringAttr(form));
}

void Emitter::finish(ArrayRef<GridEntry> grid, int64_t blocksPerProcessor) {
  SmallVector<Attribute> entries;
  for (const GridEntry &entry : grid)
    entries.push_back(b.getDenseI64ArrayAttr({entry.operand, entry.dimension, entry.addend, entry.tile}));
  function->setAttr("xf.kernel", kernel->getAttr("xf.kernel"));
  if (Attribute schedule = kernel->getAttr("xf.schedule"))
    function->setAttr("xf.schedule", schedule);
  function->setAttr("xf.grid", b.getArrayAttr(entries));
  function->setAttr("xf.scratch", b.getI64IntegerAttr(scratchBytes));
  if (registers.isGPU())
    setLaunchFacts();
  if (blocksPerProcessor)
    function->setAttr("xf.blocks_per_processor", b.getI64IntegerAttr(blocksPerProcessor));
  if (!tensorMaps.empty())
    function->setAttr("xf.tensor_maps", b.getArrayAttr(tensorMaps));
  if (workspaceSum)
    function->setAttr("xf.workspace", workspaceSum);
  if (gridSum)
    function->setAttr("xf.grid_sum", gridSum);
  kernel.erase();
}

SmallVector<Value> Emitter::splitTile(Value rest, ArrayRef<Value> counts) {
  SmallVector<Value> indices(counts.size() + 1);
  for (int64_t i = counts.size(); i > 0; --i) {
    indices[i] = make<arith::RemSIOp>(rest, counts[i - 1]);
    rest = make<arith::DivSIOp>(rest, counts[i - 1]);
  }
  indices[0] = rest;
  return indices;
}

Value Emitter::allocate(ArrayRef<int64_t> shape) {
  auto type = MemRefType::get(shape, b.getF32Type());
  if (registers.isGPU()) { // each vector's threads their own
    SmallVector<int64_t> shapes{registers.threads() / registers.lanes()};
    shapes.append(shape.begin(), shape.end());
    Value shared = allocateShared(shapes);
    SmallVector<OpFoldResult> offsets(shapes.size(), b.getIndexAttr(0)), sizes,
        strides(shapes.size(), b.getIndexAttr(1));
    for (int64_t size : shapes)
      sizes.push_back(b.getIndexAttr(size));
    offsets[0] = currentWarp;
    sizes[0] = b.getIndexAttr(1);
    auto piece = memref::SubViewOp::inferRankReducedResultType(shape, cast<MemRefType>(shared.getType()), offsets,
                                                               sizes, strides);
    return memref::SubViewOp::create(b, loc, piece, shared, offsets, sizes, strides);
  }
  Value memory =
      memref::ViewOp::create(b, loc, type, function.getArguments().back(), index(scratchBytes), ValueRange());
  scratchBytes += llvm::alignTo(type.getNumElements() * 4, 64);
  return memory;
}

Value Emitter::remembered() {
  assert(scratchBytes == 0 && "it comes first");
  scratchBytes = 64;
  return memref::ViewOp::create(b, loc, MemRefType::get({1}, b.getIndexType()), function.getArguments().back(),
                                index(0), ValueRange());
}

static Attribute sharedSpace(OpBuilder &b) {
  return b.getI64IntegerAttr(static_cast<int64_t>(NVVM::NVVMMemorySpace::Shared));
}

Value Emitter::allocateShared(ArrayRef<int64_t> shape, Type element) {
  auto module = function->getParentOfType<ModuleOp>();
  auto type = MemRefType::get(shape, element ? element : b.getF32Type(), AffineMap(), sharedSpace(b));
  if (dynamicBytes > 0) // all of a block's is one piece
    return xfg::CreateMemoryOp::create(b, loc, type, allocateDynamic(bytesOf(type), 16));
  std::string name = (kernel.getName() + "_shared_" + llvm::Twine(sharedBuffers++)).str();
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(module.getBody());
    memref::GlobalOp::create(b, loc, name, b.getStringAttr("private"), type, b.getUnitAttr(), /*constant=*/false,
                             b.getI64IntegerAttr(16));
  }
  return memref::GetGlobalOp::create(b, loc, type, name);
}

int64_t Emitter::allocateDynamic(int64_t bytes, int64_t alignment) {
  int64_t begin = llvm::alignTo(dynamicBytes, alignment);
  dynamicBytes = begin + bytes;
  return begin;
}

Value Emitter::allocateRow(int64_t columns) {
  auto type = MemRefType::get({columns}, b.getBF16Type(), AffineMap(), sharedSpace(b));
  return xfg::CreateMemoryOp::create(b, loc, type, allocateDynamic(bytesOf(type), 16));
}

Value Emitter::tensorMap(Value memref, int64_t rows, int64_t columns) {
  unsigned number = function.getNumArguments();
  auto type =
      xfg::TensorMapType::get(b.getContext(), rows, columns, cast<MemRefType>(memref.getType()).getElementType());
  (void)function.insertArgument(number, type, DictionaryAttr(), loc);
  int64_t operand = cast<BlockArgument>(memref).getArgNumber();
  tensorMaps.push_back(b.getDenseI64ArrayAttr({operand, rows, columns}));
  return function.getArgument(number);
}

Value Emitter::fma(Value x, Value y, Value z) {
  return isa<VectorType>(x.getType()) ? vector::FMAOp::create(b, loc, x, y, z).getResult()
                                      : math::FmaOp::create(b, loc, x, y, z).getResult();
}

/// A type of numbers, or of vectors of them, with other numbers.
static Type withElement(Type type, Type element) {
  auto vector = dyn_cast<VectorType>(type);
  return vector ? Type(vector.clone(element)) : element;
}

Value Emitter::widen(Value x) {
  Type element = getElementTypeOrSelf(x.getType());
  if (element.isInteger(8))
    return arith::SIToFPOp::create(b, loc, withElement(x.getType(), b.getF32Type()), x);
  if (!element.isBF16())
    return x;
  auto type = dyn_cast<VectorType>(x.getType());
  if (registers.isGPU() && type && type.getNumElements() % 2 == 0) { // in pairs: a shift and a mask
    auto pairs = VectorType::get({type.getNumElements() / 2}, b.getI32Type());
    Value words = vector::BitCastOp::create(b, loc, pairs, x);
    SmallVector<Value> numbers;
    for (int64_t i = 0; i < pairs.getNumElements(); ++i) {
      Value word = vector::ExtractOp::create(b, loc, words, i);
      for (Value bits : {make<arith::ShLIOp>(word, i32(16)), make<arith::AndIOp>(word, i32(-65536))})
        numbers.push_back(arith::BitcastOp::create(b, loc, b.getF32Type(), bits));
    }
    return vector::FromElementsOp::create(b, loc, type.clone(b.getF32Type()), numbers);
  }
  return arith::ExtFOp::create(b, loc, withElement(x.getType(), b.getF32Type()), x);
}

Value Emitter::narrow(Value x) {
  Type type = withElement(x.getType(), b.getBF16Type());
  if (!getElementTypeOrSelf(x.getType()).isF32())
    return x;
  if (registers.isGPU())
    return arith::TruncFOp::create(b, loc, type, x);
  // In integers: for truncf LLVM calls a function for each number on x86, or where the processor has AVX512-BF16 takes
  // an instruction that gives 0 for the smallest ones.
  auto number = [&](int64_t value) { return isa<VectorType>(x.getType()) ? splatI32(value) : i32(value); };
  Value bits = arith::BitcastOp::create(b, loc, withElement(x.getType(), b.getI32Type()), x);
  Value isOdd = make<arith::AndIOp>(make<arith::ShRUIOp>(bits, number(16)), number(1));
  Value rounded = add(bits, add(isOdd, number(0x7fff)));
  Value isNaN = compare(arith::CmpFPredicate::UNO, x, x), quiet = make<arith::OrIOp>(bits, number(0x400000));
  Value upper = make<arith::ShRUIOp>(select(isNaN, quiet, rounded), number(16));
  Value half = arith::TruncIOp::create(b, loc, withElement(x.getType(), b.getI16Type()), upper);
  return arith::BitcastOp::create(b, loc, type, half);
}

Value Emitter::bitcast(Type element, Value vector) {
  auto type = dyn_cast<VectorType>(vector.getType());
  return type ? vector::BitCastOp::create(b, loc, VectorType::get(type.getShape(), element), vector).getResult()
              : arith::BitcastOp::create(b, loc, element, vector).getResult();
}

Value Emitter::laneNumbers() {
  Value first;
  int64_t count = registers.width;
  if (registers.isGPU()) {
    count = registers.perThread;
    first = toI32(make<arith::MulIOp>(currentLane, index(count)));
    if (count == 1)
      return first;
  }
  SmallVector<int32_t> numbers;
  for (int32_t lane = 0; lane < count; ++lane)
    numbers.push_back(lane);
  Value neighbours = arith::ConstantOp::create(b, loc, b.getI32VectorAttr(numbers));
  return first ? add(splat(first), neighbours) : neighbours;
}

Value Emitter::firstLane(Value vector) {
  Value number = isa<VectorType>(vector.getType()) ? vector::ExtractOp::create(b, loc, vector, 0).getResult() : vector;
  if (!registers.isGPU())
    return number;
  if (!registers.isBlockWide())
    return fromLane(number, i32(0));
  Value shared = allocateShared({1});
  onFirstLane([&] { store(number, shared, index(0)); });
  syncBlock();
  return load(shared, index(0));
}

static Value shuffle(Emitter &e, NVVM::ShflKind kind, Value vector, Value lane) {
  return NVVM::ShflOp::create(e.b, e.loc, vector.getType(), e.i32(-1), vector, lane, e.i32(31), kind, UnitAttr());
}

Value Emitter::fromLane(Value number, Value lane) { return shuffle(*this, NVVM::ShflKind::idx, number, lane); }

Value Emitter::ballot(Value condition) {
  return NVVM::VoteSyncOp::create(b, loc, b.getI32Type(), i32(-1), condition,
                                  NVVM::VoteSyncKindAttr::get(b.getContext(), NVVM::VoteSyncKind::ballot));
}

Value Emitter::peersOf(Value number) {
  return NVVM::MatchSyncOp::create(b, loc, b.getI32Type(), i32(-1), number,
                                   NVVM::MatchSyncKindAttr::get(b.getContext(), NVVM::MatchSyncKind::any));
}

Value Emitter::lowestBit(Value bits) {
  Value below = make<arith::AndIOp>(make<arith::XOrIOp>(bits, i32(-1)), sub(bits, i32(1)));
  return make<arith::AndIOp>(populationOf(below), i32(31));
}

Value Emitter::fromPartner(Value number, int64_t bits) {
  return shuffle(*this, NVVM::ShflKind::bfly, number, i32(bits));
}

void Emitter::onFirstWarp(function_ref<void()> body) {
  registers.isGPU() ? when(compare(arith::CmpIPredicate::eq, currentWarp, index(0)), body) : body();
}

void Emitter::onFirstLane(function_ref<void()> body) {
  registers.isGPU() ? when(compare(arith::CmpIPredicate::eq, currentLane, index(0)), body) : body();
}

void Emitter::onFirstThread(function_ref<void()> body) {
  registers.isGPU() ? when(compare(arith::CmpIPredicate::eq, currentThread, index(0)), body) : body();
}

SmallVector<Value> Emitter::elements(Value begin, Value end, ValueRange initial, LoopBody body) {
  return registers.isGPU() ? loop(add(begin, currentThread), end, registers.threads(), initial, body)
                           : loop(begin, end, 1, initial, body);
}

void Emitter::elements(Value begin, Value end, function_ref<void(Value)> body) {
  elements(begin, end, ValueRange(), [&](Value i, ValueRange) {
    body(i);
    return SmallVector<Value>();
  });
}

void Emitter::syncWarp() {
  if (registers.isBlockWide())
    syncBlock();
  else if (registers.isGPU())
    NVVM::SyncWarpOp::create(b, loc, i32(-1));
}

void Emitter::syncBlock() {
  if (registers.isGPU())
    NVVM::Barrier0Op::create(b, loc);
}

/// Of two vectors: what the first keeps and gets where lanes with bit s change places between them, and the second.
static std::pair<SmallVector<int64_t>, SmallVector<int64_t>> exchanges(int64_t width, int64_t s) {
  SmallVector<int64_t> low, high;
  for (int64_t lane = 0; lane < width; ++lane) {
    low.push_back(lane & s ? width + lane - s : lane);
    high.push_back(lane & s ? width + lane : lane + s);
  }
  return {low, high};
}

SmallVector<Value> Emitter::transpose(SmallVector<Value> lines) {
  // A butterfly: in step s, lanes with bit s change places between lines that differ in bit s.
  int64_t width = lines.size();
  for (int64_t s = 1; s < width; s *= 2) {
    auto [low, high] = exchanges(width, s);
    SmallVector<Value> next(width);
    for (int64_t i = 0; i < width; ++i)
      if (!(i & s)) {
        next[i] = vector::ShuffleOp::create(b, loc, lines[i], lines[i + s], low);
        next[i + s] = vector::ShuffleOp::create(b, loc, lines[i], lines[i + s], high);
      }
    lines = next;
  }
  return lines;
}

Value Emitter::reduceLines(SmallVector<Value> lines) {
  // In step s two lines become one, whose lanes with bit s are of the second: half the work of transposing them.
  int64_t width = lines.size();
  for (int64_t s = 1; s < width; s *= 2) {
    auto [low, high] = exchanges(width, s);
    SmallVector<Value> next;
    for (size_t i = 0; i < lines.size(); i += 2)
      next.push_back(add(vector::ShuffleOp::create(b, loc, lines[i], lines[i + 1], low),
                         vector::ShuffleOp::create(b, loc, lines[i], lines[i + 1], high)));
    lines = next;
  }
  return lines[0];
}

Value Emitter::reduce(vector::CombiningKind kind, Value vector) {
  if (registers.isGPU()) { // x + y and y + x are equal bits, so all threads have the same
    auto ofThreads = [&](Value number, int64_t count) {
      for (int64_t distance = count / 2; distance > 0; distance /= 2)
        number = combine(kind, number, fromPartner(number, distance));
      return number;
    };
    if (auto type = dyn_cast<VectorType>(vector.getType())) {
      SmallVector<Value> numbers;
      for (int64_t i = 0; i < type.getNumElements(); ++i)
        numbers.push_back(vector::ExtractOp::create(b, loc, vector, i));
      for (int64_t half = numbers.size() / 2; half > 0; half /= 2)
        for (int64_t i = 0; i < half; ++i)
          numbers[i] = combine(kind, numbers[i], numbers[i + half]);
      vector = numbers[0];
    }
    vector = ofThreads(vector, RegisterFile::warpThreads);
    if (!registers.isBlockWide())
      return vector;
    Value shared = allocateShared({registers.warps});
    Value threads = index(RegisterFile::warpThreads), inWarp = make<arith::RemUIOp>(currentThread, threads);
    when(compare(arith::CmpIPredicate::eq, inWarp, index(0)),
         [&] { store(vector, shared, make<arith::DivUIOp>(currentThread, threads)); });
    syncBlock();
    return ofThreads(load(shared, make<arith::RemUIOp>(currentThread, index(registers.warps))), registers.warps);
  }
  if (kind == vector::CombiningKind::ADD)
    return vector::ReductionOp::create(b, loc, kind, vector, arith::FastMathFlags::reassoc);
  // A tree of our own: LLVM takes a maximum of floats lane by lane.
  for (int64_t half = registers.width / 2; half > 0; half /= 2) {
    SmallVector<int64_t> lanes;
    for (int64_t lane = 0; lane < registers.width; ++lane)
      lanes.push_back((lane + half) % registers.width);
    vector = maximum(vector, vector::ShuffleOp::create(b, loc, vector, vector, lanes));
  }
  return vector::ExtractOp::create(b, loc, vector, 0);
}

SmallVector<Value> Emitter::loop(Value begin, Value end, int64_t step, ValueRange initial, LoopBody body) {
  auto loop = scf::ForOp::create(b, loc, begin, end, like(begin, step), initial);
  OpBuilder::InsertionGuard guard(b);
  // Without carried values the builder has made the terminator.
  if (initial.empty())
    b.setInsertionPoint(loop.getBody()->getTerminator());
  else
    b.setInsertionPointToEnd(loop.getBody());
  SmallVector<Value> next = body(loop.getInductionVar(), loop.getRegionIterArgs());
  if (!initial.empty())
    scf::YieldOp::create(b, loc, next);
  return SmallVector<Value>(loop.getResults());
}

void Emitter::loop(Value begin, Value end, int64_t step, function_ref<void(Value)> body) {
  loop(begin, end, step, ValueRange(), [&](Value i, ValueRange) {
    body(i);
    return SmallVector<Value>();
  });
}

SmallVector<Value> Emitter::loopWhile(ArrayRef<Value> initial, function_ref<Value(ValueRange)> condition,
                                      function_ref<SmallVector<Value>(ValueRange)> body) {
  SmallVector<Type> types(ValueRange(initial).getTypes());
  SmallVector<Location> locations(types.size(), loc);
  auto loop = scf::WhileOp::create(b, loc, types, initial);
  OpBuilder::InsertionGuard guard(b);
  Block *test = b.createBlock(&loop.getBefore(), {}, types, locations);
  Value holds = condition(test->getArguments());
  scf::ConditionOp::create(b, loc, holds, test->getArguments());
  Block *next = b.createBlock(&loop.getAfter(), {}, types, locations);
  SmallVector<Value> values = body(next->getArguments());
  scf::YieldOp::create(b, loc, values);
  return SmallVector<Value>(loop.getResults());
}

Value Emitter::allocateGlobal(ArrayRef<int64_t> shape, Type element) {
  auto module = function->getParentOfType<ModuleOp>();
  auto type = MemRefType::get(shape, element);
  std::string name = (kernel.getName() + "_global_" + llvm::Twine(sharedBuffers++)).str();
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(module.getBody());
    Attribute zero = DenseElementsAttr::get(RankedTensorType::get(shape, element), b.getZeroAttr(element));
    memref::GlobalOp::create(b, loc, name, b.getStringAttr("private"), type, zero, /*constant=*/false,
                             b.getI64IntegerAttr(16));
  }
  return memref::GetGlobalOp::create(b, loc, type, name);
}

void Emitter::setThread(Value number) {
  currentThread = toIndex(number);
  currentWarp = make<arith::DivUIOp>(currentThread, index(registers.lanes()));
  currentLane = make<arith::RemUIOp>(currentThread, index(registers.lanes()));
}

/// An instruction of one result that compilers neither move nor take for another of its kind.
static Value opaque(Emitter &e, StringRef text, ValueRange operands, StringRef constraints) {
  return LLVM::InlineAsmOp::create(e.b, e.loc, e.b.getI32Type(), operands, text, constraints, /*has_side_effects=*/true,
                                   /*is_align_stack=*/false, LLVM::tailcallkind::TailCallKind::None,
                                   LLVM::AsmDialectAttr(), ArrayAttr())
      .getResult(0);
}
Emitter::Numbers Emitter::readNumbersAnew() {
  Numbers before{currentThread, currentWarp, currentLane, currentTile};
  setThread(opaque(*this, "mov.u32 $0, %tid.x;", ValueRange(), "=r"));
  currentTile = toIndex(opaque(*this, "mov.u32 $0, %ctaid.x;", ValueRange(), "=r"));
  return before;
}
Value Emitter::anew(Value number) { return opaque(*this, "mov.b32 $0, $1;", number, "=r,r"); }

static Value addressOf(Emitter &e, Value numbers, Value number) {
  Value start = memref::ExtractAlignedPointerAsIndexOp::create(e.b, e.loc, numbers);
  return e.castTo(e.b.getI64Type(), e.add(start, e.mul(number, e.index(4))));
}
/// An instruction on memory that others look at meanwhile.
static LLVM::InlineAsmOp onShared(Emitter &e, TypeRange results, StringRef text, ValueRange operands,
                                  StringRef constraints) {
  return LLVM::InlineAsmOp::create(e.b, e.loc, results, operands, text, constraints, /*has_side_effects=*/true,
                                   /*is_align_stack=*/false, LLVM::tailcallkind::TailCallKind::None,
                                   LLVM::AsmDialectAttr(), ArrayAttr());
}

Value Emitter::countRound(Value counters, Value number, Value count) {
  // The last sets it to zero. Releases what the threads that this one has met have written, and acquires what the
  // others have.
  return onShared(*this, b.getI32Type(), "atom.acq_rel.gpu.inc.u32 $0, [$1], $2;",
                  {addressOf(*this, counters, number), sub(count, i32(1))}, "=r,l,r,~{memory}")
      .getResult(0);
}

void Emitter::release(Value numbers, Value index, Value number) {
  onShared(*this, {}, "st.release.gpu.global.u32 [$0], $1;", {addressOf(*this, numbers, index), number},
           "l,r,~{memory}");
}
void Emitter::releaseOneMore(Value numbers, Value index) {
  onShared(*this, {}, "red.release.gpu.global.add.u32 [$0], $1;", {addressOf(*this, numbers, index), i32(1)},
           "l,r,~{memory}");
}
void Emitter::awaitRelease(Value numbers, Value index, Value number) {
  Value address = addressOf(*this, numbers, index);
  auto read = [&] {
    return onShared(*this, b.getI32Type(), "ld.acquire.gpu.global.u32 $0, [$1];", address, "=r,l,~{memory}")
        .getResult(0);
  };
  loopWhile(
      {read()}, [&](ValueRange now) { return compare(arith::CmpIPredicate::ne, now[0], number); },
      [&](ValueRange) { return SmallVector<Value>{read()}; });
}

ArrayAttr sumOf(Builder &b, ArrayRef<ExtentTerm> terms) {
  SmallVector<Attribute> entries;
  for (const ExtentTerm &term : terms)
    entries.push_back(b.getDenseI64ArrayAttr({term.operand, term.dimension, term.coefficient}));
  return b.getArrayAttr(entries);
}
Value Emitter::workspace(ArrayRef<ExtentTerm> elements) {
  unsigned number = function.getNumArguments();
  workspaceSum = sumOf(b, elements);
  (void)function.insertArgument(number, MemRefType::get({ShapedType::kDynamic}, b.getF32Type()), DictionaryAttr(), loc);
  return function.getArgument(number);
}
void Emitter::setGridSum(ArrayRef<ExtentTerm> terms) { gridSum = sumOf(b, terms); }

Value Emitter::isLastBlock(Value counters, Value number, int64_t blocks) {
  Value shared = allocateShared({1}, b.getI32Type());
  syncBlock();
  onFirstThread([&] { store(countRound(counters, number, blocks), shared, index(0)); });
  syncBlock();
  return compare(arith::CmpIPredicate::eq, load(shared, index(0)), i32(blocks - 1));
}

Value Emitter::sumOfBlock(Value number) {
  Value shared = allocateShared({registers.threads()}, number.getType());
  store(number, shared, currentThread);
  for (int64_t half = registers.threads() / 2; half > 0; half /= 2) {
    syncBlock();
    when(compare(arith::CmpIPredicate::ult, currentThread, index(half)), [&] {
      Value other = load(shared, add(currentThread, index(half)));
      store(add(load(shared, currentThread), other), shared, currentThread);
    });
  }
  syncBlock();
  return load(shared, index(0));
}

void Emitter::rows(Value begin, Value end, function_ref<void(Value)> body) {
  if (!registers.isGPU())
    return loop(begin, end, 1, body);
  loop(add(begin, currentWarp), end, registers.threads() / registers.lanes(), [&](Value row) {
    body(row);
    if (registers.isBlockWide())
      syncBlock(); // shared memory is written anew
  });
}

SmallVector<Value> Emitter::choose(Value condition, function_ref<SmallVector<Value>()> then,
                                   function_ref<SmallVector<Value>()> otherwise) {
  // The results' types are known once one of the ways is there.
  OpBuilder::InsertionGuard guard(b);
  auto emit = [&](Block &block, function_ref<SmallVector<Value>()> body) {
    b.setInsertionPointToStart(&block);
    SmallVector<Value> values = body();
    scf::YieldOp::create(b, loc, values);
    return llvm::to_vector(ValueRange(values).getTypes());
  };
  auto draft = scf::IfOp::create(b, loc, TypeRange(), condition, /*addThenBlock=*/true, /*addElseBlock=*/true);
  SmallVector<Type> types = emit(*draft.thenBlock(), then);
  emit(*draft.elseBlock(), otherwise);
  b.setInsertionPoint(draft);
  auto branch = scf::IfOp::create(b, loc, types, condition, /*addThenBlock=*/false, /*addElseBlock=*/false);
  branch.getThenRegion().takeBody(draft.getThenRegion());
  branch.getElseRegion().takeBody(draft.getElseRegion());
  draft.erase();
  return SmallVector<Value>(branch.getResults());
}

Value Emitter::where(Value condition, Type type, function_ref<Value()> value) {
  using Values = SmallVector<Value>;
  return choose(
      condition, [&] { return Values{value()}; },
      [&] { return Values{arith::ConstantOp::create(b, loc, b.getZeroAttr(type))}; })[0];
}

void Emitter::when(Value condition, function_ref<void()> body) {
  auto branch = scf::IfOp::create(b, loc, condition);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  body();
}

void Emitter::switchOn(Value value, int64_t cases, function_ref<void(int64_t)> body, function_ref<void()> otherwise) {
  SmallVector<int64_t> labels;
  for (int64_t i = 1; i < cases; ++i)
    labels.push_back(i);
  auto op = scf::IndexSwitchOp::create(b, loc, TypeRange(), value, labels, labels.size());
  OpBuilder::InsertionGuard guard(b);
  for (auto [label, region] : llvm::zip(labels, op.getCaseRegions())) {
    b.createBlock(&region);
    body(label);
    scf::YieldOp::create(b, loc);
  }
  b.createBlock(&op.getDefaultRegion());
  otherwise();
  scf::YieldOp::create(b, loc);
}

void Emitter::columns(int64_t columns, int64_t unroll, function_ref<void(Value, ArrayRef<int64_t>)> body) {
  int64_t step = registers.width * unroll, full = columns / step * step;
  SmallVector<int64_t> lanes(unroll, registers.width);
  if (full == step)
    body(index(0), lanes);
  else if (full > 0)
    loop(index(0), index(full), step, [&](Value column) { body(column, lanes); });
  lanes.clear();
  for (int64_t rest = columns - full; rest > 0; rest -= registers.width)
    lanes.push_back(std::min(rest, registers.width));
  if (!lanes.empty())
    body(index(full), lanes);
}

SmallVector<Value> Emitter::columnsReduce(int64_t columns, ValueRange initial,
                                          function_ref<SmallVector<Value>(Value, int64_t, ValueRange)> body) {
  int64_t full = columns / registers.width * registers.width;
  SmallVector<Value> carried(initial);
  if (full > 0)
    carried = loop(index(0), index(full), registers.width, initial,
                   [&](Value column, ValueRange values) { return body(column, registers.width, values); });
  if (full < columns)
    carried = body(index(full), columns - full, carried);
  return carried;
}
} // namespace mlir::xf
