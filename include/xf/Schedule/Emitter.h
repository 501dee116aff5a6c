//===- Emitter.h - building a kernel's loops --------------------*- C++ -*-===//
// What every schedule needs: the kernel's memref form with a place for each tensor of its body, and short names for the
// arithmetic that fills it.
//===----------------------------------------------------------------------===//
#ifndef XF_SCHEDULE_EMITTER_H
#define XF_SCHEDULE_EMITTER_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "xf/Dialect/XF/IR/XF.h"

namespace mlir::xf {

/// The registers that a schedule is made for. On a GPU a tile is the work of a block of `warps` times 32 threads, and a
/// vector is `perThread` neighbours in each of the threads of a warp, or of all of a block: so many as one instruction
/// loads. Elsewhere `warps` is 0, and a tile the work of one thread.
struct RegisterFile {
  int64_t width; // f32 in a vector
  int64_t count;
  int64_t warps = 0, perThread = 1;
  static constexpr int64_t warpThreads = 32;
  bool isGPU() const { return warps > 0; }
  int64_t threads() const { return warps * warpThreads; }
  int64_t lanes() const { return width / perThread; } // threads that share a vector
  bool isBlockWide() const { return lanes() > warpThreads; }
};

/// One entry of a grid: an extent (a dimension of operand `operand`, or the constant `dimension` where operand is -1),
/// plus `addend`, cut into tiles.
struct GridEntry {
  int64_t operand, dimension, addend, tile;
  static constexpr int64_t sum = -2; // as `operand`: of the sum that the emitter was told
};

/// A term of a sum of extents: so many times a dimension of an operand, or (operand -1) the constant `coefficient`.
struct ExtentTerm {
  int64_t operand, dimension, coefficient;
};
/// A sum of them, as `xf.workspace` and `xf.grid_sum` have it.
ArrayAttr sumOf(Builder &b, ArrayRef<ExtentTerm> terms);

/// Whether a cast is between memory and what is computed. What rounds on the way, and a cast from an argument to a
/// result, is a kernel's work.
bool isTakenOut(CastOp cast);
/// Takes such casts out of a kernel that is about to be scheduled: its body is on f32 throughout, and what its memory
/// holds is in the type of the function alone.
void takeOutCasts(func::FuncOp kernel);
/// The first op of a kernel that is no such cast.
Operation *rootOf(func::FuncOp kernel);

/// Builds the scheduled form of one kernel. Construction makes the new function (the old one stays beside it, for its
/// body to be read) and sets the builder into the loop over the tiles it is called for; `wholeRange` leaves that loop
/// to the schedule.
class Emitter {
public:
  Emitter(func::FuncOp kernel, const RegisterFile &registers, bool wholeRange = false);

  /// Replaces the old kernel by the new one with this grid, and the scratch memory that was allocated. On a GPU a
  /// number of `blocksPerProcessor` says that blocks go on from tile to tile, so that no more of them are launched.
  void finish(ArrayRef<GridEntry> grid, int64_t blocksPerProcessor = 0);
  /// What the grid's entry of GridEntry::sum is cut of.
  void setGridSum(ArrayRef<ExtentTerm> terms);

  /// The memref (or i64 scalar) that holds a tensor of the old kernel: an argument, or a value that it returns; null
  /// for values inside.
  Value placeOf(Value tensor) const { return places.lookup(tensor); }
  /// What was chosen for this kernel.
  template <typename AttrT> AttrT schedule() { return cast<AttrT>(kernel->getAttr("xf.schedule")); }
  /// The tiles to compute, and the number of the one that is computed.
  Value tileBegin() { return function.getArgument(function.getNumArguments() - 3); }
  Value tileEnd() { return function.getArgument(function.getNumArguments() - 2); }
  Value tile() { return currentTile; }
  /// `tile` as one index an entry of the grid, given the numbers of tiles of all entries but the first.
  SmallVector<Value> splitTile(Value tile, ArrayRef<Value> counts);
  SmallVector<Value> splitTile(ArrayRef<Value> counts) { return splitTile(tile(), counts); }
  /// The next piece of the scratch memory, f32 of this shape, at a cache line's start.
  Value allocate(ArrayRef<int64_t> shape);
  /// A number (memref<1xindex>) of the worker's: 0 when it begins a dispatch, and what the kernel left there when it
  /// goes on with another range of its tiles. To be asked for before other scratch memory.
  Value remembered();

  //===-- Short names -----------------------------------------------------===//
  Value index(int64_t value) { return arith::ConstantIndexOp::create(b, loc, value); }
  Value i32(int64_t value) { return arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(value)); }
  Value f32(double value) { return arith::ConstantOp::create(b, loc, b.getF32FloatAttr(value)); }
  /// A constant of the type of `integer`.
  Value like(Value integer, int64_t value) {
    return arith::ConstantOp::create(b, loc, b.getIntegerAttr(integer.getType(), value));
  }
  Value splat(double value) { return splat(f32(value)); }
  Value splat(Value scalar) {
    Type type = vectorType(scalar.getType());
    return isa<VectorType>(type) ? vector::BroadcastOp::create(b, loc, type, scalar).getResult() : scalar;
  }
  Value splatI32(int64_t value) { return splat(i32(value)); }
  Value add(Value x, Value y) { return isFloat(x) ? make<arith::AddFOp>(x, y) : make<arith::AddIOp>(x, y); }
  Value sub(Value x, Value y) { return isFloat(x) ? make<arith::SubFOp>(x, y) : make<arith::SubIOp>(x, y); }
  Value mul(Value x, Value y) { return isFloat(x) ? make<arith::MulFOp>(x, y) : make<arith::MulIOp>(x, y); }
  Value div(Value x, Value y) { return isFloat(x) ? make<arith::DivFOp>(x, y) : make<arith::DivSIOp>(x, y); }
  Value min(Value x, Value y) { return make<arith::MinSIOp>(x, y); }
  /// Of floats, one instruction on x86: y where one of the two is NaN.
  Value maximum(Value x, Value y) { return select(compare(arith::CmpFPredicate::OGT, x, y), x, y); }
  Value minimum(Value x, Value y) { return select(compare(arith::CmpFPredicate::OLT, x, y), x, y); }
  Value ceilDiv(Value x, int64_t by) { return make<arith::DivSIOp>(add(x, index(by - 1)), index(by)); }
  Value fma(Value x, Value y, Value z);
  Value select(Value condition, Value x, Value y) { return arith::SelectOp::create(b, loc, condition, x, y); }
  Value compare(arith::CmpFPredicate predicate, Value x, Value y) {
    return arith::CmpFOp::create(b, loc, predicate, x, y);
  }
  Value compare(arith::CmpIPredicate predicate, Value x, Value y) {
    return arith::CmpIOp::create(b, loc, predicate, x, y);
  }
  Value dim(Value memref, int64_t dimension) { return memref::DimOp::create(b, loc, memref, dimension); }
  // Memory may hold bf16; what is loaded and stored is f32.
  Value load(Value memref, ValueRange at) { return widen(memref::LoadOp::create(b, loc, memref, at)); }
  /// condition ? memref[at] : 0, reading nothing there.
  Value loadWhere(Value condition, Value memref, ValueRange at);
  void store(Value value, Value memref, ValueRange at) {
    memref::StoreOp::create(b, loc, isNarrow(memref) ? narrow(value) : value, memref, at);
  }
  static bool isNarrow(Value memref) { return getElementTypeOrSelf(memref.getType()).isBF16(); }
  /// f32 of bf16; other numbers stay.
  Value widen(Value x);
  /// bf16 of f32: the nearest, of two the even one; NaN stays NaN.
  Value narrow(Value x);
  Value toIndex(Value integer) { return castTo(b.getIndexType(), integer); }
  Value toI32(Value index) { return castTo(b.getI32Type(), index); }
  /// An index or i32 as the other, or as it is.
  Value castTo(Type type, Value integer) {
    return integer.getType() == type ? integer : arith::IndexCastOp::create(b, loc, type, integer);
  }
  /// The type of a vector; on a GPU that of a thread's share.
  Type vectorType(Type element) {
    int64_t share = registers.isGPU() ? registers.perThread : registers.width;
    return registers.isGPU() && share == 1 ? element : VectorType::get({share}, element);
  }
  /// The same bits as vector of another element type.
  Value bitcast(Type element, Value vector);
  /// The first number of a vector.
  Value firstLane(Value vector);

  /// A vector from row-major memory; of a partial one (count < width) the other lanes are zero and not read. On a GPU
  /// rows and columns are multiples of `perThread` apart, so that a thread loads its share at once.
  Value loadVector(Value memref, ValueRange at, int64_t count);
  void storeVector(Value vector, Value memref, ValueRange at, int64_t count);
  /// condition ? loadVector : 0; GPUs only.
  Value loadVectorWhere(Value condition, Value memref, ValueRange at, int64_t count);
  /// On a GPU: begins to copy a vector of bf16 into shared memory, a thread its share of 16 bytes, zeros beyond
  /// `count`; and waits for what the thread has begun.
  void copyVector(Value from, ValueRange at, Value to, Value column, int64_t count);
  void waitForCopies();
  /// The elements of these numbers (i32, in row-major order) of memory of static shape.
  Value gather(Value memref, Value numbers);
  /// The first `count` elements of these columns (i32) of a row, zeros beyond; processors only.
  Value gatherOfRow(Value memref, Value row, Value columns, int64_t count);
  /// Asks for a cache line that is read (or written) soon; an address past the end of memory does nothing.
  void prefetch(Value memref, ValueRange at, bool write = false) {
    if (registers.isGPU())
      return; // which has other warps to run meanwhile
    memref::PrefetchOp::create(b, loc, memref, at, write, /*localityHint=*/2, /*isDataCache=*/true);
  }
  /// Of each lane whether it is before `count`; on a GPU one condition where threads have whole shares.
  Value partialMask(int64_t count);
  /// 0, 1, 2, ... of i32.
  Value laneNumbers();
  /// width vectors of width lanes, transposed in registers.
  SmallVector<Value> transpose(SmallVector<Value> lines);
  /// Of width vectors of width lanes the sums of each one's lanes, as a vector, in a fixed order.
  Value reduceLines(SmallVector<Value> lines);
  /// Sum or maximum of two numbers of many; a GPU's maximum leaves NaN to the sums.
  Value combine(vector::CombiningKind kind, Value x, Value y) {
    if (kind == vector::CombiningKind::ADD)
      return add(x, y);
    return registers.isGPU() ? make<arith::MaxNumFOp>(x, y) : maximum(x, y);
  }
  /// Sum or maximum of all lanes, in a fixed order.
  Value reduce(vector::CombiningKind kind, Value vector);

  /// for (i = begin; i < end; i += step) with values carried, of indices or i32; the body returns the next ones.
  using LoopBody = function_ref<SmallVector<Value>(Value i, ValueRange carried)>;
  SmallVector<Value> loop(Value begin, Value end, int64_t step, ValueRange initial, LoopBody body);
  void loop(Value begin, Value end, int64_t step, function_ref<void(Value)> body);
  /// while (condition(carried)) carried = body(carried)
  SmallVector<Value> loopWhile(ArrayRef<Value> initial, function_ref<Value(ValueRange)> condition,
                               function_ref<SmallVector<Value>(ValueRange)> body);
  /// for (row = begin; row < end; ++row), where no row needs another: those that have a vector to themselves, such as
  /// the warps of a GPU's block, take turns.
  void rows(Value begin, Value end, function_ref<void(Value)> body);
  /// condition ? then() : otherwise(), of any number of values.
  SmallVector<Value> choose(Value condition, function_ref<SmallVector<Value>()> then,
                            function_ref<SmallVector<Value>()> otherwise);
  /// condition ? value() : 0
  Value where(Value condition, Type type, function_ref<Value()> value);
  /// if (condition) body
  void when(Value condition, function_ref<void()> body);
  /// switch (value) over 1..cases-1; 0 does nothing.
  void switchOn(Value value, int64_t cases, function_ref<void(int64_t)> body, function_ref<void()> otherwise = [] {});
  /// Columns 0..columns in groups of `unroll` vectors: body(first column, valid lanes of every vector). The last ones
  /// may be partial, known now.
  void columns(int64_t columns, int64_t unroll, function_ref<void(Value column, ArrayRef<int64_t> lanes)> body);
  SmallVector<Value>
  columnsReduce(int64_t columns, ValueRange initial,
                function_ref<SmallVector<Value>(Value column, int64_t lanes, ValueRange carried)> body);

  //===-- The threads of a GPU's block; elsewhere there is one ------------===//
  /// Runs `body` on the threads of the block's first vector alone, on the first thread of each vector, or of the block.
  void onFirstWarp(function_ref<void()> body);
  void onFirstLane(function_ref<void()> body);
  void onFirstThread(function_ref<void()> body);
  /// Makes what the threads of a vector, or of the block, have written visible to the others of it.
  void syncWarp();
  void syncBlock();
  /// The thread's number in the block, and its warp's (the whole block's, where vectors are as wide); GPUs only, as are
  /// those below.
  Value thread() { return currentThread; }
  Value warp() { return currentWarp; }
  Value lane() { return currentLane; } // its number among those that share a vector
  /// These numbers and the tile's; and reads them anew, which gives the ones before: what is computed of them from here
  /// on takes no register before.
  struct Numbers {
    Value thread, warp, lane, tile;
  };
  Numbers readNumbersAnew();
  void setNumbers(const Numbers &numbers) {
    std::tie(currentThread, currentWarp, currentLane, currentTile) =
        std::tie(numbers.thread, numbers.warp, numbers.lane, numbers.tile);
  }
  /// The same number (i32); what is computed of it takes no register before.
  Value anew(Value number);
  /// for (i = begin; i < end; ++i), where no turn needs another: the threads of the block take turns.
  SmallVector<Value> elements(Value begin, Value end, ValueRange initial, LoopBody body);
  void elements(Value begin, Value end, function_ref<void(Value)> body);
  /// What the thread `lane` (i32) of the warp has, or the one whose number differs in the bits `bits`.
  Value fromLane(Value number, Value lane);
  Value fromPartner(Value number, int64_t bits);
  /// Of a condition of each thread of the warp, a bit a thread (i32); and what such bits hold.
  Value ballot(Value condition);
  /// Of the threads of the warp a bit for each that has the same number (i32) as this one.
  Value peersOf(Value number);
  Value populationOf(Value bits) { return math::CtPopOp::create(b, loc, bits); }
  Value lowestBit(Value bits); // its number, 0 where there is none
  Value withoutLowestBit(Value bits) { return make<arith::AndIOp>(bits, sub(bits, i32(1))); }
  /// Memory of the block.
  Value allocateShared(ArrayRef<int64_t> shape, Type element = {});
  /// Memory of all blocks, zero before the first launch; of use where launches of a kernel follow one another.
  Value allocateGlobal(ArrayRef<int64_t> shape, Type element);
  /// How many of `count` have counted by counters[index] (i32) before this thread, in turn: zero again after the last.
  /// It sees what they had written before.
  Value countRound(Value counters, Value index, int64_t count) { return countRound(counters, index, i32(count)); }
  Value countRound(Value counters, Value index, Value count);
  /// Memory of the kernel for as long as it runs, whatever it held before: so many f32, further arguments.
  Value workspace(ArrayRef<ExtentTerm> elements);
  /// numbers[index] (i32) becomes `number`, or one more; who awaits that sees what this thread knew to be written.
  void release(Value numbers, Value index, Value number);
  void releaseOneMore(Value numbers, Value index);
  /// Waits until another block's thread has released `number` there.
  void awaitRelease(Value numbers, Value index, Value number);
  /// Whether this is the last to come here of `blocks` blocks that count by counters[index] (i32, and zero again after
  /// them). It sees what the others had written before.
  Value isLastBlock(Value counters, Value index, int64_t blocks);
  /// The sum of a number of each thread of the block, in a fixed order; all threads have it.
  Value sumOfBlock(Value number);
  /// Where the next `bytes` of the block's dynamic shared memory begin.
  int64_t allocateDynamic(int64_t bytes, int64_t alignment = 1024);
  /// A row of bf16 there, which takes what is asked for later with it.
  Value allocateRow(int64_t columns);
  /// Has ptxas leave room for so many blocks of this kernel on a processor.
  void setLeastBlocks(int64_t blocks) { leastBlocks = blocks; }
  /// A further argument of the function: how the copy engine finds boxes of this operand.
  Value tensorMap(Value memref, int64_t rows, int64_t columns);
  /// Makes vectors those of another element of each row than the thread's own.
  void setLane(Value lane) { currentLane = lane; }

  template <typename OpT> Value make(Value x, Value y) { return OpT::create(b, loc, x, y); }

  OpBuilder b;
  Location loc;
  RegisterFile registers;
  func::FuncOp kernel, function;

private:
  void setThread(Value number);
  static bool isFloat(Value x) { return isa<FloatType>(getElementTypeOrSelf(x.getType())); }
  SmallVector<Value> atShare(ValueRange at);
  /// Notes what a GPU is asked for, and by which form.
  void setLaunchFacts();
  DenseMap<Value, Value> places;
  Value currentTile, currentThread, currentWarp, currentLane;
  int64_t scratchBytes = 0, sharedBuffers = 0, dynamicBytes = 0, leastBlocks = 0;
  SmallVector<Attribute> tensorMaps;
  ArrayAttr workspaceSum, gridSum;
};

/// exp and its like as polynomials on vectors: no call of libm in an inner loop.
Value emitExp(Emitter &e, Value x);
/// 2^x for x below 128; 2^-126 where it would be less.
Value emitExp2(Emitter &e, Value x);
/// log x of normal numbers above 0; infinity and NaN stay.
Value emitLog(Emitter &e, Value x);
/// x times the normal distribution at x; error below 3e-7 of the result, or absolutely where it is below 1.
Value emitGelu(Emitter &e, Value x);
/// Its derivative; absolute error below 2e-7.
Value emitGeluDerivative(Emitter &e, Value x);
/// x times the logistic function at x, or at what gelu_tanh has for x; error below 5e-7 of the result.
Value emitSilu(Emitter &e, Value x);
Value emitGeluTanh(Emitter &e, Value x);
/// Their derivatives; absolute error below 5e-7.
Value emitSiluDerivative(Emitter &e, Value x);
Value emitGeluTanhDerivative(Emitter &e, Value x);
/// Good to 3e-8 of the result before rounding.
Value emitTanh(Emitter &e, Value x);
/// One of these of a number.
Value emitOnNumber(Emitter &e, Value (*function)(Emitter &, Value), Value x);
/// Sine and cosine of x + rest, where rest is what is lost in rounding to x; good to 1e-6 for arguments to 10,000.
std::pair<Value, Value> emitSinCos(Emitter &e, Value x, Value rest);

/// Of four threads of a warp `distance` apart, `number` counted, the i-th numbers (i32): thread t gets of each what it
/// has at t.
std::array<Value, 4> exchanged(Emitter &e, std::array<Value, 4> numbers, Value number, int64_t distance);

/// Philox 4x32-10 as docs/Program.md defines dropout's numbers.
struct Philox {
  /// The four words of a counter (step, site, row, column).
  std::array<Value, 4> evaluate(Value row, Value column);
  /// `random` is the memref of (seed, step), `site` an i64.
  Philox(Emitter &e, Value random, Value site);
  /// The words of `count` vectors of columns from `column` (a multiple of 64) of `row` (an index) on.
  SmallVector<Value> words(Value row, Value column, int64_t count);
  /// On a GPU: the word of each thread's own element.
  Value word(Value row, Value column);
  /// Where a word keeps an element at `rate`: i1 lanes.
  Value keeps(Value word, const APFloat &rate);

  Emitter &e;
  Value keyLow, keyHigh, step, site;
};

/// Rewrites one kernel into its scheduled form; fails with a diagnostic on an op that has no schedule.
LogicalResult scheduleMatmul(func::FuncOp kernel, const RegisterFile &registers);
LogicalResult schedulePack(func::FuncOp kernel, const RegisterFile &registers);
LogicalResult scheduleRows(func::FuncOp kernel, const RegisterFile &registers);
LogicalResult scheduleColumns(func::FuncOp kernel, const RegisterFile &registers);
LogicalResult scheduleScatter(func::FuncOp kernel, const RegisterFile &registers);
LogicalResult scheduleScalar(func::FuncOp kernel, RegisterFile registers);
LogicalResult scheduleTopK(func::FuncOp kernel, const RegisterFile &registers);
LogicalResult scheduleAttention(func::FuncOp kernel, const RegisterFile &registers);
LogicalResult scheduleAttentionBackward(func::FuncOp kernel, const RegisterFile &registers);
/// The forms for a GPU of those whose work is cut otherwise there.
LogicalResult scheduleColumnsGPU(func::FuncOp kernel, RegisterFile block);
LogicalResult scheduleScatterGPU(func::FuncOp kernel, RegisterFile block);
LogicalResult scheduleTopKGPU(func::FuncOp kernel, RegisterFile block);
LogicalResult scheduleMatmulGPU(func::FuncOp kernel, const RegisterFile &registers);
LogicalResult scheduleTensorCoreMatmul(func::FuncOp kernel, const RegisterFile &registers);
LogicalResult scheduleWarpgroupMatmul(func::FuncOp kernel, const RegisterFile &registers);
LogicalResult schedulePackGPU(func::FuncOp kernel, const RegisterFile &registers);
LogicalResult scheduleAttentionGPU(func::FuncOp kernel, const RegisterFile &registers);
LogicalResult scheduleAttentionBackwardGPU(func::FuncOp kernel, const RegisterFile &registers);
/// One that stage `plan` has written.
LogicalResult schedulePlannedGPU(func::FuncOp kernel, RegisterFile block);

} // namespace mlir::xf

#endif
