//===- ProductEpilogue.cpp - tiles of products, and what follows ----------===//
#include "ProductEpilogue.h"

namespace mlir::xf {
static constexpr int64_t warp = RegisterFile::warpThreads,
                         vectors = ProductEpilogue::unit / warp, // of which a thread has so many pairs of columns:
    pairs = warp / 8;

std::pair<Value, Value> divided(Emitter &e, Value x, Value y) {
  Value number = e.toI32(x), by = e.toI32(y);
  return {e.toIndex(e.make<arith::DivUIOp>(number, by)), e.toIndex(e.make<arith::RemUIOp>(number, by))};
}

std::pair<Value, Value> placeInBands(Emitter &e, Value number, Value rowTiles, int64_t columnTiles) {
  constexpr int64_t most = 16; // the root of some hundred processors' tiles
  auto [band, inBand] = divided(e, number, e.index(most * columnTiles));
  Value first = e.mul(band, e.index(most));
  auto [column, row] = divided(e, inBand, e.min(e.index(most), e.sub(rowTiles, first)));
  return {e.add(first, row), column};
}

bool isEpilogueOf(Operation *root, bool takesStatistics) {
  return llvm::all_of(root->getBlock()->without_terminator(), [&](Operation &op) {
    if (&op == root)
      return true;
    // Logits are read where they were stored.
    if (auto blocks = dyn_cast<BlockStatisticsOp>(op))
      return takesStatistics &&
             llvm::is_contained(root->getBlock()->getTerminator()->getOperands(), blocks.getLogits());
    auto kind = dyn_cast<KernelOpInterface>(op);
    return kind && kind.getKernelKind() == KernelKind::Elementwise;
  });
}

ProductEpilogue::ProductEpilogue(Emitter &e, Operation *root)
    : e(e), evaluator(e), root(root), m(e.dim(e.function.getArgument(e.kernel.getNumArguments()), 0)), lane(e.lane()),
      n(cast<RankedTensorType>(root->getResult(0).getType()).getDimSize(1)) {
  kept.assign(e.kernel.getNumResults(), false);
  auto linear = dyn_cast<LinearOp>(root);
  if (Value given = linear ? linear.getBias() : cast<MatmulOp>(root).getInto())
    initial = e.placeOf(given);
  for (Operation &op : llvm::drop_begin(root->getBlock()->without_terminator())) {
    if (auto blocks = dyn_cast<BlockStatisticsOp>(op)) {
      statistics.push_back(blocks);
      continue;
    }
    ops.push_back(&op);
    for (Value operand : op.getOperands())
      if (isa<BlockArgument>(operand))
        evaluator.setMemory(operand, e.placeOf(operand), /*rowLocal=*/false);
  }
}

bool ProductEpilogue::isAddedTo(unsigned result) const {
  auto matmul = dyn_cast<MatmulOp>(root);
  auto into = matmul && matmul.getInto() ? dyn_cast<BlockArgument>(matmul.getInto()) : nullptr;
  auto inPlace = e.kernel.getResultAttrOfType<IntegerAttr>(result, "xf.in_place");
  Value memory = e.function.getArgument(e.kernel.getNumArguments() + result);
  return into && inPlace && inPlace.getInt() == into.getArgNumber() && into.hasOneUse() &&
         root->getBlock()->getTerminator()->getOperand(result) == root->getResult(0) && root->hasOneUse() &&
         cast<MemRefType>(memory.getType()).getElementType().isF32();
}

/// What an op reads at its place, and not numbers that are the same for all places.
static ValueRange placedOperands(Operation *op) {
  return isa<DropoutOp>(op) ? op->getOperands().take_front() : op->getOperands();
}
static bool isMatrix(Value memory) { return cast<MemRefType>(memory.getType()).getRank() == 2; }

/// Whether something is read, or stored, that only rows of the result have.
bool ProductEpilogue::readsRows() const {
  return llvm::is_contained(kept, false) || (initial && isMatrix(initial) && !known.contains(initial)) ||
         llvm::any_of(ops, [&](Operation *op) {
           return llvm::any_of(placedOperands(op),
                               [&](Value operand) { return isa<BlockArgument>(operand) && !known.contains(operand); });
         });
}

SmallVector<std::pair<Value, Value>> ProductEpilogue::matrices() const {
  llvm::MapVector<Value, Value> result;
  auto add = [&](Value operand, Value memory) {
    if (memory && isMatrix(memory) && Emitter::isNarrow(memory))
      result.insert({operand, memory});
  };
  add(initial, initial);
  for (Operation *op : ops)
    for (Value operand : placedOperands(op))
      if (isa<BlockArgument>(operand))
        add(operand, evaluator.memoryOf(operand));
  return result.takeVector();
}

void ProductEpilogue::loadBias(int64_t number, Value columnBegin, int64_t columns) {
  if (!initial || isMatrix(initial) || n % 2 != 0 || number * unit >= columns)
    return;
  Value first = e.add(columnBegin, e.mul(e.make<arith::RemUIOp>(lane, e.index(4)), e.index(2)));
  Type element = cast<MemRefType>(initial.getType()).getElementType();
  SmallVector<Value> loaded;
  for (int64_t pair = 0; pair < vectors * pairs; ++pair) {
    Value column = e.add(first, e.index(number * unit + pair * 8));
    if (n % columns != 0) // what lies past the end is of no use
      column = e.min(column, e.index(n - 2));
    loaded.push_back(vector::LoadOp::create(e.b, e.loc, VectorType::get(2, element), initial, column,
                                            /*nontemporal=*/false,
                                            llvm::MaybeAlign(element.getIntOrFloatBitWidth() / 4)));
  }
  bias[number] = loaded;
}

void ProductEpilogue::emit(Value rowBegin, Value columnBegin, ValueRange elements) {
  forUnits(
      columnBegin, elements, [](int64_t) {},
      [&](int64_t number, Value column, int64_t count, ValueRange sums) {
        compute(number, rowBegin, column, count, sums);
      });
}

void ProductEpilogue::forUnits(Value columnBegin, ValueRange elements, function_ref<void(int64_t)> begin,
                               function_ref<void(int64_t, Value, int64_t, ValueRange)> body) {
  int64_t columns = static_cast<int64_t>(elements.size()) * 2, rest = n % unit;
  for (int64_t number = 0; number < columns / unit; ++number) {
    Value column = e.add(columnBegin, e.index(number * unit));
    ValueRange sums = elements.slice(number * unit / 2, unit / 2);
    begin(number);
    if (n % columns == 0) { // all tiles are whole
      body(number, column, unit, sums);
      continue;
    }
    e.when(isBelow(column, e.index(n / unit * unit)), [&] { body(number, column, unit, sums); });
    if (rest > 0)
      e.when(e.compare(arith::CmpIPredicate::eq, column, e.index(n - rest)), [&] { body(number, column, rest, sums); });
  }
}

SmallVector<SmallVector<Value>> ProductEpilogue::compute(int64_t number, Value rowBegin, Value column, int64_t count,
                                                         ValueRange sums) {
  using Values = SmallVector<Value>;
  Value firstRow = e.add(rowBegin, e.make<arith::DivUIOp>(lane, e.index(4)));
  SmallVector<Values> result(kept.size());
  for (auto [isKept, values] : llvm::zip_equal(kept, result))
    values.resize(isKept ? unit / 2 : 0);
  for (int64_t half : {0, 1}) {
    Value row = e.add(firstRow, e.index(half * 8)), zero = e.f32(0);
    Values numbers = !readsRows()
                         ? computeRow(number, row, column, count, sums, half)
                         : e.choose(
                               isBelow(row, m), [&] { return computeRow(number, row, column, count, sums, half); },
                               [&] { return Values(llvm::count(kept, true) * unit / 4, zero); });
    auto next = numbers.begin();
    for (Values &values : result)
      for (size_t pair = 0; pair < values.size() / 4; ++pair)
        for (int64_t p : {0, 1})
          values[pair * 4 + half * 2 + p] = *next++;
  }
  return result;
}

void ProductEpilogue::emitStatistics(Value rowBegin, int64_t rows, Value columnBegin, int64_t columns) {
  if (statistics.empty())
    return;
  e.syncBlock();
  Value rowEnd = e.min(e.add(rowBegin, e.index(rows)), m);
  auto block = [&](int64_t count) {
    e.rows(rowBegin, rowEnd, [&](Value row) {
      for (BlockStatisticsOp op : statistics)
        emitBlockStatistics(e, op, e.placeOf(op.getLogits()), row, columnBegin, count);
    });
  };
  int64_t rest = n % columns;
  e.when(isBelow(columnBegin, e.index(n - rest)), [&] { block(columns); });
  if (rest > 0)
    e.when(e.compare(arith::CmpIPredicate::eq, columnBegin, e.index(n - rest)), [&] { block(rest); });
}

/// Two vectors of 32 columns, of which a thread has four pairs each: element 4 j + 2 half + p of the accumulators is
/// that of column 8 j + 2 (lane mod 4) + p. Gives what is kept, pair by pair, and stores the rest.
SmallVector<Value> ProductEpilogue::computeRow(int64_t number, Value row, Value column, int64_t count,
                                               ValueRange elements, int64_t half) {
  using Values = SmallVector<Value>;
  SmallVector<int64_t> lanes{std::min(count, warp), std::max(count - warp, int64_t(0))};
  Operation *terminator = root->getBlock()->getTerminator();
  Value pair = e.mul(e.make<arith::RemUIOp>(lane, e.index(4)), e.index(2)), own = e.lane();
  SmallVector<Values> given(kept.size(), Values(unit / 4, e.f32(0)));
  for (int64_t j = 0; j < pairs; ++j) {
    // Of each result and vector, the pair.
    SmallVector<std::array<SmallVector<Value, 2>, vectors>> results(terminator->getNumOperands());
    for (int64_t p : {0, 1}) {
      e.setLane(e.add(pair, e.index(8 * j + p)));
      evaluator.moveTo(row, column, lanes);
      auto placeOf = [&](int64_t v) { return (v * pairs + j) * 4 + half * 2 + p; };
      for (auto &[operand, all] : known)
        if (operand != initial)
          evaluator.set(operand, {all[placeOf(0)], all[placeOf(1)]});
      Values product;
      for (int64_t v = 0; v < vectors; ++v) {
        Value at = e.add(column, e.index(v * warp)), sum = elements[placeOf(v)];
        if (initial && known.contains(initial)) {
          sum = e.add(sum, known[initial][placeOf(v)]);
        } else if (auto it = bias.find(number); it != bias.end()) {
          Value both = e.widen(it->second[v * pairs + j]);
          sum = e.add(sum, vector::ExtractOp::create(e.b, e.loc, both, p));
        } else if (initial) {
          bool isBias = cast<MemRefType>(initial.getType()).getRank() == 1;
          sum = e.add(sum, e.loadVector(initial, isBias ? ValueRange{at} : ValueRange{row, at}, lanes[v]));
        }
        product.push_back(sum);
      }
      evaluator.set(root->getResult(0), product);
      for (Operation *op : ops)
        if (succeeded(status))
          status = evaluator.compute(op);
      for (auto [i, value] : llvm::enumerate(terminator->getOperands()))
        if (succeeded(status) && !value.getDefiningOp<BlockStatisticsOp>())
          for (auto [v, number] : llvm::enumerate(*evaluator.get(value)))
            results[i][v].push_back(number);
    }
    for (auto [i, vectorsOf] : llvm::enumerate(results))
      for (auto [v, numbers] : llvm::enumerate(vectorsOf)) {
        if (numbers.empty() || lanes[v] == 0)
          continue;
        if (kept[i])
          llvm::copy(numbers, given[i].begin() + (v * pairs + j) * 2);
        else
          store(numbers, e.function.getArgument(e.kernel.getNumArguments() + i), row,
                e.add(e.add(column, pair), e.index(v * warp + 8 * j)), lanes[v] == warp ? Value() : e.index(n));
      }
  }
  e.setLane(own);
  Values all;
  for (auto [isKept, values] : llvm::zip_equal(kept, given))
    if (isKept)
      all.append(values);
  return all;
}

/// Two neighbours; as one where rows begin with whole pairs. `end`: of the columns, where they may lie past it.
void ProductEpilogue::store(ArrayRef<Value> numbers, Value memory, Value row, Value column, Value end) {
  auto where = [&](Value at, function_ref<void()> body) { end ? e.when(isBelow(at, end), body) : body(); };
  auto type = cast<MemRefType>(memory.getType());
  Type element = type.getElementType();
  if (pitchOf(type) % 2 != 0 || (end && n % 2 != 0)) {
    for (int64_t p : {0, 1}) {
      Value at = e.add(column, e.index(p));
      where(at, [&] { e.store(numbers[p], memory, {row, at}); });
    }
    return;
  }
  where(column, [&] {
    Value both = vector::FromElementsOp::create(e.b, e.loc, VectorType::get(2, e.b.getF32Type()), numbers);
    auto type = VectorType::get(2, element);
    if (element.isBF16())
      both = arith::TruncFOp::create(e.b, e.loc, type, both);
    vector::StoreOp::create(e.b, e.loc, both, memory, ValueRange{row, column}, /*nontemporal=*/false,
                            llvm::MaybeAlign(type.getElementTypeBitWidth() / 4));
  });
}
} // namespace mlir::xf
