//===- Elementwise.cpp - values of a chain of ops along a row -------------===//
// What each elementwise op, and the last pass of each row op, computes on vectors: the formulas of the op definitions.
//===----------------------------------------------------------------------===//
#include "xf/Schedule/Elementwise.h"
#include "xf/Schedule/Pack.h"
#include "llvm/ADT/TypeSwitch.h"
#include <cmath>

namespace mlir::xf {

void Evaluator::moveTo(Value newRow, Value newColumn, ArrayRef<int64_t> newLanes) {
  row = newRow;
  firstColumn = newColumn;
  lanes.assign(newLanes.begin(), newLanes.end());
  computed.clear();
}

SmallVector<Value> Evaluator::at(const Memory &place, Value atColumn) {
  if (place.rowLocal)
    return {atColumn};
  return place.tileRow ? SmallVector<Value>{e.sub(row, place.tileRow), e.sub(atColumn, place.tileColumn)}
                       : SmallVector<Value>{row, atColumn};
}

FailureOr<SmallVector<Value>> Evaluator::get(Value tensor) {
  if (auto it = computed.find(tensor); it != computed.end())
    return it->second;
  auto it = memory.find(tensor);
  bool isNumber = it == memory.end()
                      ? numbers.contains(tensor)
                      : !it->second.rowLocal && cast<MemRefType>(it->second.memref.getType()).getRank() == 1;
  if (isNumber)
    return computed[tensor] = SmallVector<Value>(lanes.size(), rowNumber(tensor));
  if (it == memory.end())
    return failure();
  SmallVector<Value> values;
  for (auto [vector, count] : llvm::enumerate(lanes))
    values.push_back(e.loadVector(it->second.memref, at(it->second, column(vector)),
                                  it->second.isPadded ? int64_t(llvm::alignTo(count, e.registers.perThread)) : count));
  return computed[tensor] = values;
}

void Evaluator::store(Value tensor) {
  const Memory &m = memory[tensor];
  for (auto [vector, value] : llvm::enumerate(computed[tensor]))
    e.storeVector(value, m.memref, at(m, column(vector)), lanes[vector]);
}

void Evaluator::storeTo(Value tensor, Value matrix) {
  for (auto [vector, value] : llvm::enumerate(computed[tensor]))
    e.storeVector(value, matrix, {row, column(vector)}, lanes[vector]);
}

FailureOr<SmallVector<Value>> Evaluator::map(ValueRange operands,
                                             function_ref<Value(ArrayRef<Value>, int64_t)> function) {
  SmallVector<SmallVector<Value>> inputs;
  for (Value operand : operands) {
    FailureOr<SmallVector<Value>> values = get(operand);
    if (failed(values))
      return failure();
    inputs.push_back(*values);
  }
  SmallVector<Value> results;
  for (size_t vector = 0; vector < lanes.size(); ++vector) {
    SmallVector<Value> arguments;
    for (auto &input : inputs)
      arguments.push_back(input[vector]);
    results.push_back(function(arguments, vector));
  }
  return results;
}

FailureOr<SmallVector<Value>> Evaluator::waves(Operation *op, Value positions, int64_t first) {
  Value number = e.load(memory.lookup(positions).memref, row);
  if (first)
    number = e.add(number, arith::ConstantIntOp::create(e.b, e.loc, first, 32));
  Value position = e.splat(arith::SIToFPOp::create(e.b, e.loc, e.b.getF32Type(), number).getResult());
  return map(ValueRange(), [&](ArrayRef<Value>, int64_t vector) {
    auto entry = [&](int64_t table) { return e.loadVector(rowNumbers[op][table], column(vector), lanes[vector]); };
    // The product's own rounding error, and what the frequency's took: an argument of 100,000 keeps its last bits.
    Value angle = e.mul(position, entry(0));
    Value rest = e.fma(position, entry(1), e.fma(position, entry(0), arith::NegFOp::create(e.b, e.loc, angle)));
    auto [sine, cosine] = emitSinCos(e, angle, rest);
    return e.select(e.compare(arith::CmpFPredicate::OGT, entry(2), e.splat(0.5)), sine, cosine);
  });
}

FailureOr<SmallVector<Value>> Evaluator::turned(RotaryOp op) {
  Value x = e.placeOf(op.getX()),
        angles = e.placeOf(op.getAngles()); // not a copy of a row, of which others write parts
  int64_t features = op.getAngles().getType().getDimSize(1), half = features / 2;
  // Where a thread's vector begins: its share, or all of it.
  Value share = e.registers.isGPU() ? e.mul(e.lane(), e.index(e.registers.perThread)) : e.index(0);
  bool hasTables = rowNumbers.contains(op);
  return map(op.getX(), [&](ArrayRef<Value> own, int64_t vector) {
    int64_t count = lanes[vector];
    Value cosine, sine, other;
    if (hasTables) { // row numbers: by column the other one, that of its angles, and the sign of the sine
      auto entry = [&](int64_t table) { return e.loadVector(rowNumbers[op][table], column(vector), count); };
      Value pair = entry(1);
      other = e.gatherOfRow(x, row, entry(0), count);
      cosine = e.gatherOfRow(angles, row, pair, count);
      sine = e.mul(e.gatherOfRow(angles, row, e.add(pair, e.splatI32(half)), count), entry(2));
    } else {
      Value begin = e.add(column(vector), share), place = e.make<arith::RemUIOp>(begin, e.index(features));
      Value isFirst = e.compare(arith::CmpIPredicate::ult, place, e.index(half));
      Value pair = e.select(isFirst, place, e.sub(place, e.index(half)));
      auto load = [&](Value from, Value at) { return e.loadVector(from, {row, e.sub(at, share)}, count); };
      other = load(x, e.select(isFirst, e.add(begin, e.index(half)), e.sub(begin, e.index(half))));
      cosine = load(angles, pair);
      double sign = op.getInverse() ? -1 : 1;
      sine = e.mul(load(angles, e.add(pair, e.index(half))), e.splat(e.select(isFirst, e.f32(-sign), e.f32(sign))));
    }
    return e.fma(own[0], cosine, e.mul(other, sine));
  });
}

LogicalResult Evaluator::compute(Operation *op) {
  using Arguments = ArrayRef<Value>;
  using Values = FailureOr<SmallVector<Value>>;
  auto numbers = [&](unsigned i) { return e.splat(rowNumbers[op][i]); };
  auto minus = [&](Value x, unsigned i) { return i < rowNumbers[op].size() ? e.sub(x, numbers(i)) : x; };
  auto ofNumbers = [&](function_ref<Value(Arguments)> function) {
    return map(op->getOperands(), [&](Arguments x, int64_t) { return function(x); });
  };
  Values result =
      llvm::TypeSwitch<Operation *, Values>(op)
          .Case([&](AddOp) { return ofNumbers([&](Arguments x) { return e.add(x[0], x[1]); }); })
          .Case([&](MultiplyOp) { return ofNumbers([&](Arguments x) { return e.mul(x[0], x[1]); }); })
          .Case([&](CastOp cast) {
            bool rounds = cast.getType().getElementType().isBF16();
            return ofNumbers([&](Arguments x) { return rounds ? e.widen(e.narrow(x[0])) : x[0]; });
          })
          .Case([&](ReluOp) { return ofNumbers([&](Arguments x) { return e.maximum(e.splat(0), x[0]); }); })
          .Case([&](ReluBackwardOp) {
            return ofNumbers([&](Arguments x) {
              return e.select(e.compare(arith::CmpFPredicate::OGT, x[1], e.splat(0)), x[0], e.splat(0));
            });
          })
          .Case([&](GeluOp) { return ofNumbers([&](Arguments x) { return emitGelu(e, x[0]); }); })
          .Case([&](GeluBackwardOp) {
            return ofNumbers([&](Arguments x) { return e.mul(x[0], emitGeluDerivative(e, x[1])); });
          })
          .Case([&](GeluTanhOp) { return ofNumbers([&](Arguments x) { return emitGeluTanh(e, x[0]); }); })
          .Case([&](GeluTanhBackwardOp) {
            return ofNumbers([&](Arguments x) { return e.mul(x[0], emitGeluTanhDerivative(e, x[1])); });
          })
          .Case([&](SiluOp) { return ofNumbers([&](Arguments x) { return emitSilu(e, x[0]); }); })
          .Case([&](SiluBackwardOp) {
            return ofNumbers([&](Arguments x) { return e.mul(x[0], emitSiluDerivative(e, x[1])); });
          })
          .Case([&](TanhOp) { return ofNumbers([&](Arguments x) { return emitTanh(e, x[0]); }); })
          .Case([&](TanhBackwardOp) {
            return ofNumbers([&](Arguments x) {
              Value y = x[1];
              return e.mul(x[0], e.sub(e.splat(1), e.mul(y, y)));
            });
          })
          .Case([&](DropoutOp dropout) {
            Philox philox(e, memory.lookup(dropout.getRandom()).memref, memory.lookup(dropout.getSite()).memref);
            SmallVector<Value> words = philox.words(row, firstColumn, lanes.size());
            Value scale = e.splat(1.0 / (1.0 - dropout.getRate().convertToDouble()));
            return map(dropout.getX(), [&](Arguments x, int64_t vector) {
              return e.select(philox.keeps(words[vector], dropout.getRate()), e.mul(x[0], scale), e.splat(0));
            });
          })
          .Case([&](EmbeddingOp embedding) {
            Value id = e.toIndex(e.load(memory.lookup(embedding.getIds()).memref, row));
            Value scale = e.splat(embedding.getScale().convertToDouble());
            Value table = memory.lookup(embedding.getTable()).memref;
            SmallVector<Value> values;
            for (auto [vector, count] : llvm::enumerate(lanes)) {
              Value x = embedding.isPacked() ? loadRowOfPacked(e, table, id, column(vector), count)
                                             : e.loadVector(table, {id, column(vector)}, count);
              values.push_back(e.mul(x, scale));
            }
            return Values(values);
          })
          .Case([&](SinusoidalOp sinusoidal) {
            return waves(op, sinusoidal.getPositions(), static_cast<int64_t>(sinusoidal.getFirst()));
          })
          .Case([&](RotaryAnglesOp angles) { return waves(op, angles.getPositions(), /*first=*/0); })
          .Case([&](RotaryOp rotary) { return turned(rotary); })
          .Case([&](LayerNormOp norm) { // row numbers: 1 / deviation, mean (of an RMS norm none)
            return map(norm.getX(), [&](Arguments x, int64_t vector) {
              Value h = e.mul(minus(x[0], 1), numbers(0)), weight = columnNumber(norm.getWeight(), vector);
              return norm.getBias() ? e.fma(h, weight, columnNumber(norm.getBias(), vector)) : e.mul(h, weight);
            });
          })
          .Case([&](LayerNormBackwardOp norm) { // row numbers: 1 / deviation, mean g h, mean, mean g (or neither)
            return map({norm.getCotangent(), norm.getX()}, [&](Arguments x, int64_t vector) {
              Value h = e.mul(minus(x[1], 2), numbers(0)), g = e.mul(x[0], columnNumber(norm.getWeight(), vector));
              return e.mul(numbers(0), e.sub(minus(g, 3), e.mul(h, numbers(1))));
            });
          })
          .Case([&](LogSoftmaxOp softmax) { // row number: log sum exp
            return map(softmax.getLogits(), [&](Arguments x, int64_t) { return e.sub(x[0], numbers(0)); });
          })
          .Case([&](CrossEntropyBackwardOp backward) {
            Value scale = rowNumber(backward.getCotangent()), sum = rowNumber(backward.getLogSumExp());
            double smoothing = backward.getSmoothing().convertToDouble();
            double uniform = smoothing / cast<RankedTensorType>(backward.getLogits().getType()).getDimSize(1);
            Value label = e.splat(e.load(memory.lookup(backward.getLabels()).memref, row));
            Value lane = e.laneNumbers();
            return map(backward.getLogits(), [&](Arguments x, int64_t vector) {
              Value isLabel = e.compare(arith::CmpIPredicate::eq, e.add(e.splat(e.toI32(column(vector))), lane), label);
              Value wanted = e.select(isLabel, e.splat(1 - smoothing + uniform), e.splat(uniform));
              return e.mul(scale, e.sub(emitExp(e, e.sub(x[0], sum)), wanted));
            });
          })
          .Default([&](Operation *) { return failure(); });
  if (failed(result))
    return op->emitOpError() << "has no schedule by rows: stage 'schedule' can't compute it";
  computed[op->getResult(0)] = *result;
  return success();
}

LogicalResult Evaluator::addTo(LayerNormParameterBackwardOp sums, Value part) {
  FailureOr<SmallVector<Value>> cotangent = get(sums.getCotangent()), x = get(sums.getX());
  if (failed(cotangent) || failed(x))
    return failure();
  Value mean = sums.getMean() ? rowNumber(sums.getMean()) : Value(), r = rowNumber(sums.getReciprocalDeviation());
  auto add = [&](Value result, function_ref<Value(Value sum, size_t vector)> next) {
    if (Value place = e.placeOf(result)) // where it is, and anybody wants it
      for (auto [vector, count] : llvm::enumerate(lanes)) {
        SmallVector<Value> at{part, column(vector)};
        e.storeVector(next(e.loadVector(place, at, count), vector), place, at, count);
      }
  };
  add(sums.getWeight(), [&](Value sum, size_t vector) {
    Value d = mean ? e.sub((*x)[vector], mean) : (*x)[vector];
    return e.fma((*cotangent)[vector], e.mul(d, r), sum);
  });
  add(sums.getBias(), [&](Value sum, size_t vector) { return e.add(sum, (*cotangent)[vector]); });
  return success();
}

int64_t unrollFor(ArrayRef<Operation *> ops, const RegisterFile &registers) {
  if (registers.perThread > 1)
    return 16 / registers.perThread; // loads that are under way at once
  if (llvm::any_of(ops, llvm::IsaPred<DropoutOp>))
    return 64 / registers.width;
  // The terms of a function fill 16 registers; two at once need 32.
  bool hasFunction = llvm::any_of(ops, llvm::IsaPred<GeluOp, GeluTanhOp, GeluTanhBackwardOp, SiluBackwardOp, TanhOp,
                                                     CrossEntropyBackwardOp, SinusoidalOp, RotaryAnglesOp>);
  return hasFunction && registers.count < 32 ? 1 : 2;
}

LogicalResult emitEpilogue(Emitter &e, ArrayRef<Operation *> ops, Value product, Value c, bool isTile, Value rowBegin,
                           Value rowEnd, Value columnBegin, int64_t columns, int64_t columnsPerTile) {
  Evaluator evaluator(e);
  for (Operation *op : ops)
    for (Value operand : op->getOperands())
      if (isa<BlockArgument>(operand))
        evaluator.setMemory(operand, e.placeOf(operand), /*rowLocal=*/false);
  isTile ? evaluator.setTile(product, c, rowBegin, columnBegin) : evaluator.setMemory(product, c, false);
  Operation *terminator = e.kernel.getBody().front().getTerminator();
  SmallVector<Operation *> elementwise;
  SmallVector<BlockStatisticsOp> statistics;
  for (Operation *op : ops)
    if (auto blocks = dyn_cast<BlockStatisticsOp>(op))
      statistics.push_back(blocks);
    else
      elementwise.push_back(op);
  // Results of this block that are still to be stored, by their numbers.
  SmallVector<std::pair<unsigned, Value>> results;
  for (auto [i, value] : llvm::enumerate(terminator->getOperands()))
    if (llvm::is_contained(elementwise, value.getDefiningOp()) || (isTile && value == product))
      results.emplace_back(i, value);
  LogicalResult result = success();
  auto block = [&](int64_t count) {
    e.rows(rowBegin, rowEnd, [&](Value row) {
      if (!results.empty())
        e.columns(count, unrollFor(elementwise, e.registers), [&](Value column, ArrayRef<int64_t> lanes) {
          evaluator.moveTo(row, e.add(columnBegin, column), lanes);
          for (Operation *op : elementwise)
            if (succeeded(result))
              result = evaluator.compute(op);
          for (auto [i, value] : results)
            if (succeeded(result) && succeeded(evaluator.get(value)))
              evaluator.storeTo(value, e.function.getArgument(e.kernel.getNumArguments() + i));
        });
      if (!results.empty() && !statistics.empty())
        e.syncWarp();
      for (BlockStatisticsOp op : statistics) {
        bool isHere = op.getLogits() == product && !isTile;
        emitBlockStatistics(e, op, isHere ? c : e.placeOf(op.getLogits()), row, columnBegin, count);
      }
    });
  };
  int64_t remainder = columns % columnsPerTile;
  if (remainder == 0 || columns < columnsPerTile) {
    block(std::min(columns, columnsPerTile));
    return result;
  }
  auto branch =
      scf::IfOp::create(e.b, e.loc, e.compare(arith::CmpIPredicate::eq, columnBegin, e.index(columns - remainder)),
                        /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(e.b);
  e.b.setInsertionPointToStart(branch.thenBlock());
  block(remainder);
  e.b.setInsertionPointToStart(branch.elseBlock());
  block(columnsPerTile);
  return result;
}
} // namespace mlir::xf
