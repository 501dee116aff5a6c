//===- Rows.cpp - schedule of row and elementwise kernels -----------------===//
// A tile is some rows. Each row is passed over as few times as its reductions need: a row op begins with the sums over
// its operands' row, and its last, elementwise pass takes the ops that follow along. Values that a later pass needs
// live in the result they belong to, or in a row of scratch memory; all others stay in registers. A GPU's registers, or
// for long rows of bf16 its shared memory, hold whole rows: there each operand is read once. A row's result depends on
// that row alone; where sums of parts of the rows are wanted too, a tile is a part.
//===----------------------------------------------------------------------===//
#include "xf/Schedule/Elementwise.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/xxhash.h"
#include <cmath>

namespace mlir::xf {
namespace {

/// Whether a matrix has columns of its own.
bool isTable(Operation *op, Value value) {
  auto embedding = dyn_cast<EmbeddingOp>(op);
  auto rotary = dyn_cast<RotaryOp>(op);
  return (embedding && embedding.getTable() == value) || (rotary && rotary.getAngles() == value);
}

/// The ops for which `reduce` sums over a row, and which begin a pass therefore.
bool sumsRows(Operation *op) { return isa<LayerNormOp, LayerNormBackwardOp, LogSoftmaxOp, CrossEntropyOp>(op); }

/// One pass over the columns, after what its first op computes of the whole row.
struct Pass {
  Operation *first = nullptr;
  SmallVector<Operation *> ops;
};

class RowSchedule {
public:
  explicit RowSchedule(Emitter &e) : e(e), evaluator(e) {}

  LogicalResult run() {
    Block &body = e.kernel.getBody().front();
    columns = columnsOfRows(body);
    auto first = cast<RankedTensorType>(body.getTerminator()->getOperand(0).getType());
    if (first.getRank() > 2)
      return body.front().emitOpError()
             << "can't be scheduled by rows: stage 'schedule' takes matrices, vectors and numbers, but got " << first;
    // A vector of static size is one row; other vectors have one number a row.
    bool isVector = columns == 0 && first.hasStaticShape();
    if (isVector)
      columns = first.getNumElements();
    if (e.registers.isBlockWide() && e.registers.perThread == 8)
      copied = copiedRows(body);
    if (e.registers.isGPU() && takesSums(body) && columns > 0 && copied.empty()) {
      int64_t width = e.registers.width;
      for (int64_t column = 0; column < columns; column += width)
        wholeRow.push_back(std::min(width, columns - column));
      constexpr int64_t most = 32; // of a row's numbers that a thread keeps
      if (static_cast<int64_t>(wholeRow.size()) * e.registers.perThread > most)
        wholeRow.clear();
    }
    parts = sumsOfParts(body);
    for (Operation &op : body.without_terminator())
      if (auto sums = dyn_cast<LayerNormParameterBackwardOp>(op);
          sums && (e.registers.isGPU() || sums.getParts() != parts.getParts()))
        return sums.emitOpError() << "has no schedule by rows: stage 'schedule' can't sum " << sums.getParts()
                                  << " parts of the rows "
                                  << (e.registers.isGPU()
                                          ? "on a GPU"
                                          : "where another op sums " + std::to_string(parts.getParts()));
    passes.emplace_back();
    for (Operation &op : body.without_terminator()) {
      bool givesNumber = !isVector && cast<RankedTensorType>(op.getResult(0).getType()).getRank() == 1;
      if (givesNumber || sumsRows(&op)) {
        passes.emplace_back();
        passes.back().first = &op;
      }
      if (!givesNumber)
        passes.back().ops.push_back(&op);
    }

    assignMemory(body, isVector);
    for (BlockArgument argument : copied)
      evaluator.setPaddedRow(argument, e.allocateRow(llvm::alignTo(columns, e.registers.perThread)));
    if (int64_t blocks = blocksOfProcessor(body); blocks > 1)
      e.setLeastBlocks(blocks);
    Value place = e.function.getArgument(e.kernel.getNumArguments());
    if (isVector) {
      LogicalResult result = success();
      e.onFirstWarp([&] { result = emitRow(e.index(0)); });
      if (failed(result))
        return failure();
      e.finish({});
      return success();
    }
    if (parts) {
      Value rows = e.dim(e.placeOf(parts.getX()), 0), each = e.ceilDiv(rows, parts.getParts());
      clearSums(body);
      Value begin = e.mul(e.tile(), each);
      LogicalResult result = success();
      e.rows(begin, e.min(e.add(begin, each), rows), [&](Value row) { result = emitRow(row); });
      if (failed(result))
        return failure();
      e.finish({{-1, parts.getParts(), 0, 1}});
      return success();
    }
    int64_t rowsPerTile = e.schedule<RowScheduleAttr>().getRows();
    Value begin = e.mul(e.tile(), e.index(rowsPerTile)),
          end = e.min(e.add(begin, e.index(rowsPerTile)), e.dim(place, 0));
    LogicalResult result = success();
    e.rows(begin, end, [&](Value row) { result = emitRow(row); });
    if (failed(result))
      return failure();
    e.finish({{static_cast<int64_t>(e.kernel.getNumArguments()), 0, 0, rowsPerTile}});
    return success();
  }

private:
  /// How many blocks of a GPU's processor are enough for memory's latency where each thread waits for all that it has
  /// read; as many as have registers for it.
  int64_t blocksOfProcessor(Block &body) {
    auto isNorm = llvm::IsaPred<LayerNormOp, LayerNormBackwardOp>;
    if (!copied.empty() && llvm::none_of(body.without_terminator(), isNorm))
      return 3; // some compute while others read
    auto isSimple = llvm::IsaPred<LayerNormOp, LayerNormBackwardOp, DropoutOp, AddOp, CastOp, ReluOp, ReluBackwardOp>;
    if (wholeRow.empty() || e.registers.isBlockWide() || !llvm::all_of(body.without_terminator(), isSimple))
      return 1;
    constexpr int64_t wanted = 40 << 10, registers = 64 << 10, mostThreads = 2048; // bytes under way, and a processor's
    int64_t matrices = 0, bytes = 0, threads = e.registers.threads();
    for (BlockArgument argument : body.getArguments())
      if (auto type = dyn_cast<RankedTensorType>(argument.getType()); type && type.getRank() == 2) {
        ++matrices;
        bytes += e.registers.warps * columns * (Emitter::isNarrow(e.placeOf(argument)) ? 2 : 4);
      }
    int64_t numbers = matrices * static_cast<int64_t>(wholeRow.size()) * e.registers.perThread,
            blocks = std::min<int64_t>(llvm::divideCeil(wanted, std::max<int64_t>(bytes, 1)), mostThreads / threads);
    // What ptxas 13.0 needs without a spill: more for two operands, and for parts of vectors.
    int64_t needed = (matrices == 1 ? numbers + 32 : numbers * 7 / 4 + 24) + (columns % e.registers.width ? 16 : 0);
    while (blocks > 1 && registers / (threads * blocks) / 8 * 8 < needed)
      --blocks;
    return blocks;
  }

  /// A number becomes a vector of one.
  Value placeOf(Value tensor) {
    Value place = e.placeOf(tensor);
    auto type = place ? dyn_cast<MemRefType>(place.getType()) : MemRefType();
    if (!type || type.getRank() > 0)
      return place;
    return memref::ReinterpretCastOp::create(e.b, e.loc, MemRefType::get({1}, type.getElementType()), place,
                                             /*offset=*/int64_t(0), /*sizes=*/ArrayRef<int64_t>{1},
                                             /*strides=*/ArrayRef<int64_t>{1});
  }

  void clearSums(Block &body) {
    for (auto sums : body.getOps<LayerNormParameterBackwardOp>())
      for (Value result : sums->getResults())
        if (Value place = e.placeOf(result))
          e.columns(columns, 1, [&](Value column, ArrayRef<int64_t> lanes) {
            e.storeVector(e.splat(0), place, {e.tile(), column}, lanes[0]);
          });
  }

  void assignMemory(Block &body, bool isVector) {
    for (BlockArgument argument : body.getArguments())
      evaluator.setMemory(argument, placeOf(argument), isVector);
    for (auto [number, pass] : llvm::enumerate(passes))
      for (Operation *op : pass.ops) {
        if (isa<LayerNormParameterBackwardOp>(op))
          continue;
        Value value = op->getResult(0);
        if (Value place = placeOf(value)) {
          evaluator.setMemory(value, place, isVector);
          stored.insert(value);
          continue;
        }
        bool neededLater = llvm::any_of(value.getUsers(), [&](Operation *user) {
          return llvm::any_of(ArrayRef(passes).drop_front(number + 1), [&](const Pass &later) {
            return later.first == user || llvm::is_contained(later.ops, user);
          });
        });
        if (!neededLater || !wholeRow.empty())
          continue;
        evaluator.setMemory(value, e.allocate({columns}), /*rowLocal=*/true);
        stored.insert(value);
      }
    for (Pass &pass : passes)
      for (Operation *op : pass.ops)
        if (auto sinusoidal = dyn_cast<SinusoidalOp>(op))
          setTables(sinusoidal);
        else if (auto angles = dyn_cast<RotaryAnglesOp>(op))
          setTables(angles);
        else if (auto rotary = dyn_cast<RotaryOp>(op); rotary && !e.registers.isGPU())
          setTables(rotary);
  }

  void setTables(SinusoidalOp op) {
    bool halves = op.getHalves();
    setTables(
        op, "sinusoidal",
        [&](int64_t column) {
          double exponent = halves ? static_cast<double>(column % (columns / 2)) / (columns / 2 - 1)
                                   : static_cast<double>(column / 2 * 2) / columns;
          return std::pow(10000.0, -exponent);
        },
        [&](int64_t column) { return halves ? column < columns / 2 : column % 2 == 0; });
  }
  void setTables(RotaryAnglesOp op) {
    SmallVector<double> frequencies = op.getFrequencies();
    setTables(
        op, "rotary", [&](int64_t column) { return frequencies[column % (columns / 2)]; },
        [&](int64_t column) { return column >= columns / 2; });
  }
  /// Tables of every column's frequency, what rounding took from it, and 1 where the column takes the sine.
  void setTables(Operation *op, const char *kind, function_ref<double(int64_t)> frequencyOf,
                 function_ref<bool(int64_t)> takesSine) {
    SmallVector<float> frequencies, rests, sines;
    for (int64_t column = 0; column < columns; ++column) {
      double frequency = frequencyOf(column);
      frequencies.push_back(frequency);
      rests.push_back(frequency - frequencies.back());
      sines.push_back(takesSine(column));
    }
    evaluator.setRowNumbers(op,
                            {table<float>(kind, frequencies), table<float>(kind, rests), table<float>(kind, sines)});
  }
  /// Tables of every column's other one in its head, the column of their angle, and the sign of its sine; none where
  /// vectors hold halves of heads.
  void setTables(RotaryOp op) {
    if (holdsHalves(op, e.registers.width))
      return;
    SmallVector<int32_t> others, pairs;
    SmallVector<float> signs;
    int64_t features = op.getAngles().getType().getDimSize(1), half = features / 2;
    for (int64_t column = 0; column < columns; ++column) {
      int64_t place = column % features;
      bool isFirst = place < half;
      others.push_back(isFirst ? column + half : column - half);
      pairs.push_back(isFirst ? place : place - half);
      signs.push_back(isFirst != op.getInverse() ? -1 : 1);
    }
    evaluator.setRowNumbers(
        op, {table<int32_t>("columns", others), table<int32_t>("columns", pairs), table<float>("rotary", signs)});
  }

  template <typename T> Value table(const char *kind, ArrayRef<T> values) {
    auto module = e.function->getParentOfType<ModuleOp>();
    auto bytes = llvm::ArrayRef(reinterpret_cast<const uint8_t *>(values.data()), values.size() * sizeof(T));
    std::string name = (llvm::Twine(kind) + "_" + llvm::Twine(columns) + "_" +
                        llvm::utohexstr(llvm::xxh3_64bits(bytes), /*LowerCase=*/true))
                           .str();
    Type element = std::is_same_v<T, float> ? Type(e.b.getF32Type()) : e.b.getI32Type();
    auto type = MemRefType::get({columns}, element);
    if (!module.lookupSymbol(name)) {
      OpBuilder::InsertionGuard guard(e.b);
      e.b.setInsertionPointToStart(module.getBody());
      auto data = DenseElementsAttr::get(RankedTensorType::get({columns}, element), values);
      memref::GlobalOp::create(e.b, e.loc, name, e.b.getStringAttr("private"), type, data, /*constant=*/true,
                               e.b.getI64IntegerAttr(64));
    }
    return memref::GetGlobalOp::create(e.b, e.loc, type, name);
  }

  LogicalResult emitRow(Value row) {
    LogicalResult result = success();
    for (BlockArgument argument : copied)
      e.columns(columns, /*unroll=*/4, [&](Value column, ArrayRef<int64_t> lanes) {
        for (auto [vector, count] : llvm::enumerate(lanes)) {
          Value place = e.add(column, e.index(vector * e.registers.width));
          e.copyVector(e.placeOf(argument), {row, place}, evaluator.memoryOf(argument), place, count);
        }
      });
    if (!copied.empty())
      e.waitForCopies(); // a thread reads again what it has copied itself
    evaluator.moveTo(row, e.index(0), wholeRow);
    for (Pass &pass : passes) {
      if (pass.first && failed(reduce(pass.first, row)))
        return failure();
      if (pass.ops.empty())
        continue;
      auto compute = [&] {
        for (Operation *op : pass.ops) {
          if (failed(result))
            return;
          if (auto sums = dyn_cast<LayerNormParameterBackwardOp>(op)) {
            result = evaluator.addTo(sums, e.tile());
            continue;
          }
          result = evaluator.compute(op);
          if (succeeded(result) && stored.contains(op->getResult(0)))
            evaluator.store(op->getResult(0));
        }
      };
      if (!wholeRow.empty()) {
        compute();
        continue;
      }
      e.columns(columns, unrollFor(pass.ops, e.registers), [&](Value column, ArrayRef<int64_t> lanes) {
        evaluator.moveTo(row, column, lanes);
        compute();
      });
    }
    return result;
  }

  /// Sums (or the maximum) of functions of the operands' vectors over the row; lanes past the end count as `neutral`.
  /// Up to `sideBySide` sums run so, that an addition needn't wait for the one before it.
  SmallVector<Value> rowReduce(Value row, ValueRange operands, ArrayRef<vector::CombiningKind> kinds,
                               function_ref<SmallVector<Value>(ArrayRef<Value>, Value column, int64_t lanes)> terms,
                               int64_t sideBySide = 4) {
    int64_t width = e.registers.width;
    int64_t chains = llvm::bit_floor(static_cast<uint64_t>(std::clamp<int64_t>(columns / width, 1, sideBySide)));
    auto combine = [&](size_t i, Value x, Value y) { return e.combine(kinds[i], x, y); };
    SmallVector<Value> neutral, carried;
    for (vector::CombiningKind kind : kinds)
      neutral.push_back(e.splat(kind == vector::CombiningKind::ADD ? 0.0 : -std::numeric_limits<float>::infinity()));
    for (int64_t chain = 0; chain < chains; ++chain)
      carried.append(neutral);
    /// Takes the vector at `column`, of a whole row its number, into one chain of `sums`.
    auto take = [&](Value column, int64_t lanes, int64_t chain, SmallVector<Value> &sums, int64_t number = 0) {
      if (wholeRow.empty())
        evaluator.moveTo(row, column, {lanes});
      SmallVector<Value> inputs;
      for (Value operand : operands)
        inputs.push_back((*evaluator.get(operand))[number]);
      for (auto [i, term] : llvm::enumerate(terms(inputs, column, lanes))) {
        Value &sum = sums[chain * kinds.size() + i];
        Value next = lanes < width ? e.select(e.partialMask(lanes), term, neutral[i]) : term;
        bool isFirst = number < chains && !wholeRow.empty() && !e.registers.isBlockWide();
        sum = isFirst ? next : combine(i, sum, next);
      }
    };
    int64_t step = chains * width, full = wholeRow.empty() ? columns / step * step : columns;
    for (auto [number, lanes] : llvm::enumerate(wholeRow))
      take(e.index(number * width), lanes, number % chains, carried, number);
    if (full > 0 && wholeRow.empty())
      carried = e.loop(e.index(0), e.index(full), step, carried, [&](Value column, ValueRange values) {
        SmallVector<Value> sums(values);
        for (int64_t chain = 0; chain < chains; ++chain)
          take(e.add(column, e.index(chain * width)), width, chain, sums);
        return sums;
      });
    for (int64_t column = full, chain = 0; column < columns; column += width, ++chain)
      take(e.index(column), std::min(width, columns - column), chain, carried);
    SmallVector<Value> results;
    for (size_t i = 0; i < kinds.size(); ++i) {
      for (int64_t half = chains / 2; half > 0; half /= 2)
        for (int64_t chain = 0; chain < half; ++chain) {
          Value &sum = carried[chain * kinds.size() + i];
          sum = combine(i, sum, carried[(chain + half) * kinds.size() + i]);
        }
      results.push_back(e.reduce(kinds[i], carried[i]));
    }
    return results;
  }

  void storeNumber(Value tensor, Value number, Value row) {
    evaluator.setNumber(tensor, number);
    if (Value place = e.placeOf(tensor))
      e.onFirstLane([&] { e.store(number, place, row); });
  }

  LogicalResult reduce(Operation *op, Value row) {
    auto sum = vector::CombiningKind::ADD;
    Value count = e.f32(columns);
    auto meanOf = [&](Value x) {
      return e.div(
          rowReduce(row, x, sum, [](ArrayRef<Value> v, Value, int64_t) { return SmallVector<Value>{v[0]}; })[0], count);
    };
    auto reciprocalDeviation = [&](Value squares, const APFloat &epsilon) {
      Value variance = e.add(e.div(squares, count), e.f32(epsilon.convertToDouble()));
      return e.div(e.f32(1), math::SqrtOp::create(e.b, e.loc, variance));
    };
    if (auto norm = dyn_cast<LayerNormOp>(op)) {
      Value mean = norm.getRms() ? Value() : meanOf(norm.getX());
      Value squares = rowReduce(row, norm.getX(), sum, [&](ArrayRef<Value> v, Value, int64_t) {
        Value d = mean ? e.sub(v[0], e.splat(mean)) : v[0];
        return SmallVector<Value>{e.mul(d, d)};
      })[0];
      SmallVector<Value> numbers{reciprocalDeviation(squares, norm.getEpsilon())};
      if (mean)
        numbers.push_back(mean);
      evaluator.setRowNumbers(op, numbers);
    } else if (auto norm = dyn_cast<LayerNormBackwardOp>(op)) {
      Value mean = norm.getRms() ? Value() : meanOf(norm.getX());
      // What the cotangent has to do with x needs no deviation yet: one pass sums it and the squares.
      SmallVector<vector::CombiningKind> kinds(mean ? 3 : 2, sum);
      SmallVector<Value> sums = rowReduce(
          row, {norm.getCotangent(), norm.getX()}, kinds, [&](ArrayRef<Value> v, Value column, int64_t lanes) {
            Value g = e.mul(v[0], e.loadVector(e.placeOf(norm.getWeight()), column, lanes)),
                  d = mean ? e.sub(v[1], e.splat(mean)) : v[1];
            SmallVector<Value> terms{e.mul(g, d), e.mul(d, d)};
            if (mean)
              terms.push_back(g);
            return terms;
          });
      Value r = reciprocalDeviation(sums[1], norm.getEpsilon());
      SmallVector<Value> numbers{r, e.mul(e.div(sums[0], count), r)};
      if (mean) {
        numbers.append({mean, e.div(sums[2], count)});
        storeNumber(norm.getMean(), mean, row);
      }
      evaluator.setRowNumbers(op, numbers);
      storeNumber(norm.getReciprocalDeviation(), r, row);
    } else if (isa<LogSoftmaxOp, CrossEntropyOp>(op)) {
      Value logits = op->getOperand(0);
      auto loss = dyn_cast<CrossEntropyOp>(op);
      Value label, labelLogit;
      if (loss) {
        label = e.toIndex(e.load(e.placeOf(loss.getLabels()), row));
        if (evaluator.hasMemory(logits)) {
          e.syncWarp(); // another thread may have computed it, and may write its gradient there
          labelLogit = evaluator.element(logits, label);
          e.syncWarp();
        } else {
          Value none = e.splat(-std::numeric_limits<float>::infinity()), number = e.splat(e.toI32(label));
          labelLogit =
              rowReduce(row, logits, vector::CombiningKind::MAXNUMF, [&](ArrayRef<Value> v, Value column, int64_t) {
                Value here = e.add(e.splat(e.toI32(column)), e.laneNumbers());
                return SmallVector<Value>{e.select(e.compare(arith::CmpIPredicate::eq, here, number), v[0], none)};
              })[0];
        }
      }
      Value most = rowReduce(row, logits, vector::CombiningKind::MAXNUMF,
                             [](ArrayRef<Value> v, Value, int64_t) { return SmallVector<Value>{v[0]}; })[0];
      // An exponential takes longer than an addition, and its registers.
      SmallVector<Value> sums = rowReduce(
          row, logits, {sum, sum},
          [&](ArrayRef<Value> v, Value, int64_t) {
            Value distance = e.sub(v[0], e.splat(most));
            return SmallVector<Value>{emitExp(e, distance), distance};
          },
          /*sideBySide=*/e.registers.count / 16);
      Value logSum = emitOnNumber(e, emitLog, sums[0]), logSumExp = e.add(most, logSum);
      evaluator.setRowNumbers(op, logSumExp);
      if (!loss)
        return success();
      Value nll = e.sub(logSum, e.sub(labelLogit, most));
      double smoothing = loss.getSmoothing().convertToDouble();
      // Mean over v of -log p[v] = log sum exp - mean of logits, both measured from the maximum.
      Value uniform = e.sub(logSum, e.div(sums[1], count));
      Value total = smoothing == 0 ? nll : e.add(e.mul(nll, e.f32(1 - smoothing)), e.mul(uniform, e.f32(smoothing)));
      storeNumber(loss.getTokenLoss(), total, row);
      storeNumber(loss.getTokenNll(), nll, row);
      storeNumber(loss.getLogSumExp(), logSumExp, row);
    } else { // an elementwise op on numbers
      if (wholeRow.empty())
        evaluator.moveTo(row, e.index(0), {1});
      if (failed(evaluator.compute(op)))
        return failure();
      Value lanes = evaluator.get(op->getResult(0))->front();
      storeNumber(op->getResult(0), e.firstLane(lanes), row);
    }
    return success();
  }

  Emitter &e;
  Evaluator evaluator;
  std::vector<Pass> passes;
  DenseSet<Value> stored;
  LayerNormParameterBackwardOp parts; // or null
  int64_t columns = 0;
  SmallVector<int64_t> wholeRow;     // lanes of its vectors, where registers hold a row
  SmallVector<BlockArgument> copied; // whose rows lie in shared memory
};
} // namespace

bool takesSums(Block &body) {
  return llvm::any_of(body, [](Operation &op) { return sumsRows(&op); });
}

SmallVector<BlockArgument> copiedRows(Block &body) {
  constexpr int64_t most = (99 << 10) - 1024, element = 2; // any GPU's from sm_80 on, less what sums need
  SmallVector<BlockArgument> rows;
  int64_t bytes = 0;
  bool hasMatrix = false; // computed before: it would have to be kept, and has another form
  for (Operation &op : body.without_terminator()) {
    if (sumsRows(&op))
      for (Value operand : op.getOperands()) {
        auto type = cast<RankedTensorType>(operand.getType());
        if (type.getRank() != 2 || llvm::is_contained(rows, operand))
          continue;
        if (hasMatrix || !isa<BlockArgument>(operand))
          return {};
        rows.push_back(cast<BlockArgument>(operand));
        bytes += llvm::alignTo(type.getDimSize(1) * element, 16);
      }
    hasMatrix |= cast<RankedTensorType>(op.getResult(0).getType()).getRank() == 2;
  }
  return bytes <= most ? rows : SmallVector<BlockArgument>();
}

LayerNormParameterBackwardOp sumsOfParts(Block &body) {
  auto sums = body.getOps<LayerNormParameterBackwardOp>();
  return sums.empty() ? LayerNormParameterBackwardOp() : *sums.begin();
}

int64_t columnsOfRows(Block &body) {
  int64_t columns = 0;
  for (Operation &op : body.without_terminator())
    for (Value value : llvm::concat<Value>(SmallVector<Value>(op.getOperands()), SmallVector<Value>(op.getResults())))
      if (auto type = dyn_cast<RankedTensorType>(value.getType()); type && type.getRank() == 2 && !isTable(&op, value))
        columns = type.getDimSize(1);
  return columns;
}

LogicalResult scheduleRows(func::FuncOp kernel, const RegisterFile &registers) {
  Emitter e(kernel, registers);
  if (succeeded(RowSchedule(e).run()))
    return success();
  e.function.erase();
  return failure();
}
} // namespace mlir::xf
