//===- Attention.cpp - attention as linalg --------------------------------===//
// The plain form: the scores of all queries with all keys of the batch in memory, and for every query the range of keys
// that it sees. Loops: query t, head h, key j, feature d.
//===----------------------------------------------------------------------===//
#include "TensorBuilder.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "xf/Dialect/XF/IR/Score.h"

namespace mlir::xf {
namespace {
enum Loop : unsigned { t, h, j, d };

/// tokens x (heads * features) as tokens x heads x features.
Value splitHeads(TensorBuilder &b, Value x, int64_t heads) {
  auto type = cast<RankedTensorType>(x.getType());
  int64_t features = type.getDimSize(1) / heads;
  SmallVector<OpFoldResult> sizes = {tensor::getMixedSize(b, b.getLoc(), x, 0), b.getIndexAttr(heads),
                                     b.getIndexAttr(features)};
  auto split = RankedTensorType::get({type.getDimSize(0), heads, features}, type.getElementType());
  return tensor::ExpandShapeOp::create(b, split, x, ArrayRef<ReassociationIndices>{{0}, {1, 2}}, sizes);
}
Value mergeHeads(TensorBuilder &b, Value x) {
  return tensor::CollapseShapeOp::create(b, x, ArrayRef<ReassociationIndices>{{0}, {1, 2}});
}

/// Heads of the query that share one of keys and values.
template <typename OpT> int64_t headsPerKey(OpT op) {
  return static_cast<int64_t>(op.getHeads()) / op.getKeyValueHeadCount();
}
/// tokens x (K * features) as tokens x heads x features, what each head of `query` reads: of the rows that `row` gives
/// for loop 0, as many as `rows` has.
template <typename OpT>
Value splitKeys(TensorBuilder &b, OpT op, Value x, Value query, Value rows,
                function_ref<Number(ArrayRef<Number>)> row) {
  Value split = splitHeads(b, x, op.getKeyValueHeadCount());
  Value read = b.empty({{rows, 0}, {query, 1}, {split, 2}}, getElementTypeOrSelf(x.getType()));
  return b.map(elements(read), perRow(rows), [&](ArrayRef<Number> v) {
    Number head = b.index(1);
    int64_t shared = headsPerKey(op);
    return b.element(split, {row(v), shared == 1 ? head : head / static_cast<double>(shared), b.index(2)});
  });
}
template <typename OpT> Value splitKeys(TensorBuilder &b, OpT op, Value x, Value query) {
  if (headsPerKey(op) == 1)
    return splitHeads(b, x, op.getHeads());
  Value rows = b.empty({{x, 0}}, b.getI32Type());
  return splitKeys(b, op, x, query, rows, [&](ArrayRef<Number>) { return b.index(0); });
}
/// A gradient of what splitKeys gave, tokens x heads x features, as one of its operand: sums over heads that share one.
Value mergeKeys(TensorBuilder &b, AttentionBackwardOp op, Value x) {
  if (headsPerKey(op) == 1)
    return mergeHeads(b, x);
  auto type = cast<RankedTensorType>(x.getType());
  int64_t keyHeads = op.getKeyValueHeadCount(), shared = headsPerKey(op), features = type.getDimSize(2);
  SmallVector<OpFoldResult> sizes = {tensor::getMixedSize(b, b.getLoc(), x, 0), b.getIndexAttr(keyHeads),
                                     b.getIndexAttr(shared), b.getIndexAttr(features)};
  auto groups = RankedTensorType::get({type.getDimSize(0), keyHeads, shared, features}, type.getElementType());
  Value split = tensor::ExpandShapeOp::create(b, groups, x, ArrayRef<ReassociationIndices>{{0}, {1, 2}, {3}}, sizes);
  Value zeros = b.filled(b.empty({{split, 0}, {split, 1}, {split, 3}}, type.getElementType()), 0);
  return mergeHeads(
      b, b.reduce({zeros, {0, 1, 3}}, elements(split), [](ArrayRef<Number> v, Number sum) { return sum + v[0]; }));
}

/// All numbers of a list but the last, or but the first.
Value leaveOut(TensorBuilder &b, Value list, bool first) {
  Value one = arith::ConstantIndexOp::create(b, 1), count = tensor::DimOp::create(b, list, 0);
  OpFoldResult size = arith::SubIOp::create(b, count, one).getResult(), offset = b.getIndexAttr(first);
  return tensor::ExtractSliceOp::create(b, list, offset, size, OpFoldResult(b.getIndexAttr(1)));
}

/// Query t sees keys begin[t] <= j < end[t]; those of its sequence begin at first[t], and it stands at place[t].
struct Visible {
  /// Of packed batches.
  template <typename OpT> Visible(TensorBuilder &b, OpT op, Value query, Value queryOffsets, Value keyOffsets) {
    SmallVector<Indexed> offsets; // by sequence: where its queries begin and end, and its keys
    for (Value list : {queryOffsets, keyOffsets})
      offsets.append({perColumn(leaveOut(b, list, false)), perColumn(leaveOut(b, list, true))});
    auto find = [&](TensorBuilder::Body body) {
      Value zeros = b.filled(b.empty({{query, 0}}, b.getI32Type()), 0);
      return b.reduce(perRow(zeros), offsets, [&](ArrayRef<Number> v, Number found) {
        Number token = b.index(t).toInteger(32);
        return select((v[0] <= token) & (token < v[1]), body(v), found);
      });
    };
    first = find([](ArrayRef<Number> v) { return v[2]; });
    Value last = find([](ArrayRef<Number> v) { return v[3]; });
    place = find([&](ArrayRef<Number> v) { return b.index(t).toInteger(32) + v[3] - v[1]; });
    if (!op.getCaptures().empty())
      sequence = find([&](ArrayRef<Number>) { return b.index(1).toInteger(32); });
    begin = first, end = last;
    mask(b, op);
  }
  /// Of one sequence.
  Visible(TensorBuilder &b, AttentionWeightsOp op) {
    auto count = [&](Value x) { return b.number(tensor::DimOp::create(b, x, 0)).toInteger(32); };
    auto perQuery = [&](function_ref<Number()> body) {
      return b.map(perRow(b.empty({{op.getQuery(), 0}}, b.getI32Type())), {}, [&](ArrayRef<Number>) { return body(); });
    };
    first = begin = perQuery([&] { return b.constant(b.getI32Type(), 0); });
    end = perQuery([&] { return count(op.getKey()); });
    place = perQuery([&] { return b.index(t).toInteger(32) + count(op.getKey()) - count(op.getQuery()); });
    mask(b, op);
  }
  /// Of lists: the last keys of each.
  Visible(TensorBuilder &b, CachedAttentionOp op)
      : first(leaveOut(b, op.getRowOffsets(), false)), begin(first), end(leaveOut(b, op.getRowOffsets(), true)) {
    place = perQuery(b, op.getQuery(), end, end, [](Number end, Number) { return end - 1; });
    if (std::optional<int64_t> window = op.getWindow())
      begin = perQuery(b, op.getQuery(), first, place, [&](Number first, Number place) {
        return maximum(first, place - static_cast<double>(*window));
      });
  }

  /// body(x[t], y[t]) for every query.
  static Value perQuery(TensorBuilder &b, Value query, Value x, Value y, function_ref<Number(Number, Number)> body) {
    return b.map(perRow(b.empty({{query, 0}}, b.getI32Type())), {perRow(x), perRow(y)},
                 [&](ArrayRef<Number> v) { return body(v[0], v[1]); });
  }

  /// Narrows begin and end to what the masks of `op` leave.
  template <typename OpT> void mask(TensorBuilder &b, OpT op) {
    double radius = op.getWindow().value_or(0);
    auto narrow = [&](Value bound, Value other, function_ref<Number(Number, Number)> body) {
      return perQuery(b, op.getQuery(), bound, other, body);
    };
    if (op.getCausal())
      end = narrow(end, place, [&](Number end, Number place) { return minimum(end, place + 1); });
    if (op.getWindow()) {
      begin = narrow(begin, place, [&](Number begin, Number place) { return maximum(begin, place - radius); });
      end = narrow(end, place, [&](Number end, Number place) { return minimum(end, place + (radius + 1)); });
    }
    if (op.getLengths()) {
      Value last =
          narrow(first, op.getLengths(), [](Number first, Number length) { return first + minimum(length, 1 << 30); });
      end = narrow(end, last, [](Number end, Number last) { return minimum(end, last); });
    }
  }

  SmallVector<Indexed> indexed() const { return {{begin, {t}}, {end, {t}}}; }
  /// In a body of the loops t, h, j whose inputs end in begin and end.
  static Number test(TensorBuilder &b, ArrayRef<Number> inputs) {
    Number key = b.index(j).toInteger(32);
    return (inputs.end()[-2] <= key) & (key < inputs.end()[-1]);
  }

  Value first, begin, end, place;
  Value sequence; // of a query, where score regions capture
};

/// What a score region yields, in a body; `place`, `key` and `first` are rows of the key. What it adds to gradients of
/// captured tensors goes to `add`.
template <typename OpT>
SmallVector<Number> inlineScore(TensorBuilder &b, OpT op, Number score, Number head, Number place, Number key,
                                Number first,
                                function_ref<void(AddGradientOp, Number element, Number derivative)> add = nullptr) {
  Block &block = op.getScore().front();
  IRMapping mapping;
  auto bind = [&](unsigned argument, Number number) { mapping.map(block.getArgument(argument), number.get()); };
  bind(ScoreValue, score);
  bind(ScoreHead, head);
  bind(ScoreQuery, (place - first).toInteger(0));
  bind(ScoreKey, (key - first).toInteger(0));
  for (auto [argument, capture] : llvm::zip(block.getArguments().drop_front(ScoreCaptures), op.getCaptures()))
    mapping.map(argument, capture);
  // Outside of the tensor, the nearest element.
  auto indicesOf = [&](Value tensor, ValueRange indices) {
    SmallVector<Number> inside;
    for (auto [index, extent] : llvm::zip(indices, cast<RankedTensorType>(tensor.getType()).getShape()))
      inside.push_back(maximum(minimum(b.number(mapping.lookup(index)), static_cast<double>(extent - 1)), 0));
    return inside;
  };
  for (Operation &inner : block.without_terminator()) {
    if (auto read = dyn_cast<tensor::ExtractOp>(inner)) {
      mapping.map(read.getResult(),
                  b.element(mapping.lookup(read.getTensor()), indicesOf(read.getTensor(), read.getIndices())).get());
    } else if (auto gradient = dyn_cast<AddGradientOp>(inner)) {
      if (!add)
        continue;
      Number element = b.constant(b.getIndexType(), 0);
      for (auto [index, extent] : llvm::zip(indicesOf(gradient.getCapture(), gradient.getIndices()),
                                            gradient.getCapture().getType().getShape()))
        element = element * static_cast<double>(extent) + index;
      add(gradient, element, b.number(mapping.lookup(gradient.getDerivative())));
    } else {
      b.clone(inner, mapping);
    }
  }
  return llvm::map_to_vector(block.getTerminator()->getOperands(),
                             [&](Value value) { return b.number(mapping.lookup(value)); });
}

/// What every form of attention begins with. `query` and `key` have split heads.
struct Scores {
  template <typename OpT>
  Scores(TensorBuilder &b, OpT op, Value query, Value key, const Visible &visible)
      : b(b), type(getElementTypeOrSelf(query.getType())), query(query), key(key), visible(visible),
        scale(op.getScale().convertToDouble()) {
    products = b.contract({b.filled(emptyBlock(), 0), {t, h, j}}, {query, {t, h, d}}, {key, {j, h, d}});
    if (op.getScore().empty())
      return;
    auto yielded = [&](unsigned number) {
      return b.map({emptyBlock(), {t, h, j}}, {{products, {t, h, j}}, {visible.place, {t}}, {visible.first, {t}}},
                   [&](ArrayRef<Number> v) {
                     return inlineScore(b, op, v[0] * scale, b.index(h), v[1], b.index(j).toInteger(32), v[2])[number];
                   });
    };
    Value scores = yielded(0);
    if (isa<AttentionBackwardOp>(op))
      derivative = yielded(1);
    products = scores;
    scale = 1;
  }
  Value emptyBlock() { return b.empty({{query, 0}, {query, 1}, {key, 0}}, type); }
  Value emptyRows() { return b.empty({{query, 0}, {query, 1}}, type); }
  Value emptyLike(Value x) { return b.empty({{x, 0}, {x, 1}, {x, 2}}, type); }

  Value logSumExp() {
    SmallVector<Indexed> inputs = {{products, {t, h, j}}};
    inputs.append(visible.indexed());
    Value most = b.reduce({b.filled(emptyRows(), -std::numeric_limits<double>::infinity()), {t, h}}, inputs,
                          [&](ArrayRef<Number> v, Number most) {
                            return select(Visible::test(b, v), maximum(most, v[0] * scale), most);
                          });
    inputs.insert(inputs.begin() + 1, {most, {t, h}});
    Value sum = b.reduce({b.filled(emptyRows(), 0), {t, h}}, inputs, [&](ArrayRef<Number> v, Number sum) {
      return sum + select(Visible::test(b, v), exp(v[0] * scale - v[1]), 0);
    });
    return b.map({emptyRows(), {t, h}}, {{most, {t, h}}, {sum, {t, h}}}, [](ArrayRef<Number> v) {
      return select(v[1] > 0, v[0] + log(v[1]), std::numeric_limits<double>::infinity());
    });
  }

  Value probabilities(Value logSumExp) {
    SmallVector<Indexed> inputs = {{products, {t, h, j}}, {logSumExp, {t, h}}};
    inputs.append(visible.indexed());
    return b.map({emptyBlock(), {t, h, j}}, inputs,
                 [&](ArrayRef<Number> v) { return select(Visible::test(b, v), exp(v[0] * scale - v[1]), 0); });
  }

  /// A block times dropout's factors.
  Value drop(Value block, Value random, Value site, APFloat rate) {
    if (!random)
      return block;
    Dropout dropout(b, random, site, rate);
    int64_t heads = cast<RankedTensorType>(query.getType()).getDimSize(1);
    return b.map({emptyBlock(), {t, h, j}}, {{block, {t, h, j}}, {visible.first, {t}}}, [&](ArrayRef<Number> v) {
      Number row = b.index(t) * heads + b.index(h);
      return v[0] * dropout.factor(row, b.index(j).toInteger(32) - v[1], type);
    });
  }

  /// block V, of split heads.
  Value weigh(Value block, Value value) {
    Value zeros = b.filled(b.empty({{query, 0}, {query, 1}, {value, 2}}, type), 0);
    return b.contract({zeros, {t, h, d}}, {block, {t, h, j}}, {value, {j, h, d}});
  }

  TensorBuilder &b;
  Type type;
  Value query, key, products; // of the two; where there is a score region, what it makes of them
  Value derivative;           // of the region of a backward
  Visible visible;
  double scale;
};
} // namespace

Results lower(AttentionOp op, TensorBuilder &b) {
  Visible visible(b, op, op.getQuery(), op.getQueryOffsets(), op.getKeyOffsets());
  Value query = splitHeads(b, op.getQuery(), op.getHeads());
  Scores scores(b, op, query, splitKeys(b, op, op.getKey(), query), visible);
  Value logSumExp = scores.logSumExp();
  Value weights = scores.drop(scores.probabilities(logSumExp), op.getRandom(), op.getSite(), op.getRate());
  return {mergeHeads(b, scores.weigh(weights, splitKeys(b, op, op.getValue(), query))), logSumExp};
}

/// 0 where nobody sees a key, be the derivative infinite there.
static Number timesDerivative(Number cotangent, Number derivative) {
  return select(cotangent == 0, 0, cotangent * derivative);
}

/// Sums for captured tensors, a row a sequence, one score after another.
static SmallVector<Value> addCapturedGradients(TensorBuilder &b, AttentionBackwardOp op, Value query, Value key,
                                               const Visible &visible, Value ofScores) {
  Type type = getElementTypeOrSelf(query.getType());
  Value products = b.contract({b.filled(b.empty({{query, 0}, {query, 1}, {key, 0}}, type), 0), {t, h, j}},
                              {query, {t, h, d}}, {key, {j, h, d}});
  SmallVector<unsigned> trained = capturesWithGradients(op.getScore());
  SmallVector<Value> sums;
  for (unsigned i = 0; i < trained.size(); ++i)
    sums.push_back(b.filled(b.empty(op, 3 + i), 0));
  auto bound = [&](int64_t value) { return arith::ConstantIndexOp::create(b, value).getResult(); };
  SmallVector<Value> zeros(3, bound(0)), ones(3, bound(1)),
      ends{tensor::DimOp::create(b, query, 0), bound(op.getHeads()), tensor::DimOp::create(b, key, 0)};
  return llvm::to_vector(
      scf::buildLoopNest(
          b, b.getLoc(), zeros, ends, ones, sums,
          [&](OpBuilder &inner, Location loc, ValueRange at, ValueRange carried) {
            TensorBuilder body(loc, inner);
            SmallVector<Value> next(carried);
            auto of = [&](Value perQuery) { return body.element(perQuery, body.number(at[0])); };
            SmallVector<Number> all = llvm::map_to_vector(at, [&](Value i) { return body.number(i); });
            Number score = body.element(products, all) * op.getScale().convertToDouble();
            Number cotangent = body.element(ofScores, all);
            Number row = of(visible.sequence).toInteger(0);
            inlineScore(body, op, score, body.number(at[1]), of(visible.place), body.number(at[2]).toInteger(32),
                        of(visible.first), [&](AddGradientOp add, Number element, Number derivative) {
                          unsigned capture = cast<BlockArgument>(add.getCapture()).getArgNumber() - ScoreCaptures;
                          auto elements = static_cast<double>(add.getCapture().getType().getNumElements());
                          Value &sum = next[llvm::find(trained, capture) - trained.begin()];
                          if (!isOfHeads(op.getScore(), capture, op.getHeads()))
                            element = body.number(at[1]) * elements + element;
                          Number more = body.element(sum, {row, element}) + timesDerivative(cotangent, derivative);
                          sum = tensor::InsertOp::create(body, more.get(), sum, ValueRange{row.get(), element.get()});
                        });
            return scf::ValueVector(next.begin(), next.end());
          })
          .results);
}

Results lower(AttentionBackwardOp op, TensorBuilder &b) {
  auto split = [&](Value x) { return splitHeads(b, x, op.getHeads()); };
  Visible visible(b, op, op.getQuery(), op.getQueryOffsets(), op.getKeyOffsets());
  double scale = op.getScale().convertToDouble();
  Value query = split(op.getQuery()), key = splitKeys(b, op, op.getKey(), query),
        value = splitKeys(b, op, op.getValue(), query);
  Value cotangent = split(op.getCotangent()), result = split(op.getForwardResult());
  Scores scores(b, op, query, key, visible);
  auto drop = [&](Value block) { return scores.drop(block, op.getRandom(), op.getSite(), op.getRate()); };

  Value weights = scores.probabilities(op.getLogSumExp());
  Value correction = b.contract({b.filled(scores.emptyRows(), 0), {0, 1}}, elements(cotangent), elements(result));
  Value valueGradient =
      b.contract({b.filled(scores.emptyLike(value), 0), {j, h, d}}, {drop(weights), {t, h, j}}, {cotangent, {t, h, d}});
  Value ofWeights =
      b.contract({b.filled(scores.emptyBlock(), 0), {t, h, j}}, {cotangent, {t, h, d}}, {value, {j, h, d}});
  double factor = scores.derivative ? 1 : scale;
  Value ofScores = b.map({scores.emptyBlock(), {t, h, j}},
                         {{weights, {t, h, j}}, {drop(ofWeights), {t, h, j}}, {correction, {t, h}}},
                         [&](ArrayRef<Number> v) { return v[0] * (v[1] - v[2]) * factor; });
  SmallVector<Value> captured;
  if (!op.getCapturedGradients().empty())
    captured = addCapturedGradients(b, op, query, key, visible, ofScores);
  if (scores.derivative)
    ofScores = b.map({scores.emptyBlock(), {t, h, j}}, {{ofScores, {t, h, j}}, {scores.derivative, {t, h, j}}},
                     [&](ArrayRef<Number> v) { return timesDerivative(v[0], v[1]) * scale; });
  Value queryGradient = scores.weigh(ofScores, key);
  Value keyGradient =
      b.contract({b.filled(scores.emptyLike(key), 0), {j, h, d}}, {ofScores, {t, h, j}}, {query, {t, h, d}});
  Results results{mergeHeads(b, queryGradient), mergeKeys(b, op, keyGradient), mergeKeys(b, op, valueGradient)};
  llvm::append_range(results, captured);
  return results;
}

Results lower(AttentionWeightsOp op, TensorBuilder &b) {
  Value query = splitHeads(b, op.getQuery(), op.getHeads());
  Visible visible(b, op);
  Scores scores(b, op, query, splitKeys(b, op, op.getKey(), query), visible);
  Value weights = scores.probabilities(scores.logSumExp());
  return {b.map({b.empty(op), {h, t, j}}, {{weights, {t, h, j}}}, [](ArrayRef<Number> v) { return v[0]; })};
}

Results lower(CachedAttentionOp op, TensorBuilder &b) {
  Visible visible(b, op);
  Value query = splitHeads(b, op.getQuery(), op.getHeads());
  auto listed = [&](Value cache) {
    return splitKeys(b, op, cache, query, op.getRows(), [](ArrayRef<Number> row) { return row[0].toInteger(0); });
  };
  Scores scores(b, op, query, listed(op.getKey()), visible);
  return {mergeHeads(b, scores.weigh(scores.probabilities(scores.logSumExp()), listed(op.getValue())))};
}
} // namespace mlir::xf
