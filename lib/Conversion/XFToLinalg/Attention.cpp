//===- Attention.cpp - attention as linalg --------------------------------===//
// The plain form: the scores of all queries with all keys of the batch in memory, and for every query the range of keys
// that it sees. Loops: query t, head h, key j, feature d.
//===----------------------------------------------------------------------===//
#include "TensorBuilder.h"

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

/// All numbers of a list but the last, or but the first.
Value leaveOut(TensorBuilder &b, Value list, bool first) {
  Value one = arith::ConstantIndexOp::create(b, 1), count = tensor::DimOp::create(b, list, 0);
  OpFoldResult size = arith::SubIOp::create(b, count, one).getResult(), offset = b.getIndexAttr(first);
  return tensor::ExtractSliceOp::create(b, list, offset, size, OpFoldResult(b.getIndexAttr(1)));
}

/// Query t sees keys begin[t] <= j < end[t]; those of its sequence begin at first[t].
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
    Value ahead = find([](ArrayRef<Number> v) { return v[3] - v[1]; }); // from a query to the key that it stands at
    begin = first, end = last;
    mask(b, op, ahead);
  }
  /// Of one sequence.
  Visible(TensorBuilder &b, AttentionWeightsOp op) {
    auto count = [&](Value x) { return b.number(tensor::DimOp::create(b, x, 0)).toInteger(32); };
    auto perQuery = [&](function_ref<Number()> body) {
      return b.map(perRow(b.empty({{op.getQuery(), 0}}, b.getI32Type())), {}, [&](ArrayRef<Number>) { return body(); });
    };
    first = begin = perQuery([&] { return b.constant(b.getI32Type(), 0); });
    end = perQuery([&] { return count(op.getKey()); });
    mask(b, op, perQuery([&] { return count(op.getKey()) - count(op.getQuery()); }));
  }
  /// Of lists: the last keys of each.
  Visible(TensorBuilder &b, CachedAttentionOp op)
      : first(leaveOut(b, op.getRowOffsets(), false)), begin(first), end(leaveOut(b, op.getRowOffsets(), true)) {
    if (std::optional<int64_t> window = op.getWindow())
      begin = b.map(perRow(b.empty({{op.getQuery(), 0}}, b.getI32Type())), {perRow(first), perRow(end)},
                    [&](ArrayRef<Number> v) { return maximum(v[0], v[1] - (static_cast<double>(*window) + 1)); });
  }

  /// Narrows begin and end to what the masks of `op` leave.
  template <typename OpT> void mask(TensorBuilder &b, OpT op, Value ahead) {
    std::optional<int64_t> window = op.getWindow();
    auto narrow = [&](Value bound, Value other, function_ref<Number(Number, Number)> body) {
      return b.map(perRow(b.empty({{op.getQuery(), 0}}, b.getI32Type())), {perRow(bound), perRow(other)},
                   [&](ArrayRef<Number> v) { return body(v[0], v[1]); });
    };
    auto position = [&](Number ahead) { return b.index(0).toInteger(32) + ahead; };
    double radius = window.value_or(0);
    if (op.getCausal())
      end = narrow(end, ahead, [&](Number end, Number ahead) { return minimum(end, position(ahead) + 1); });
    if (window) {
      begin =
          narrow(begin, ahead, [&](Number begin, Number ahead) { return maximum(begin, position(ahead) - radius); });
      end = narrow(end, ahead, [&](Number end, Number ahead) { return minimum(end, position(ahead) + (radius + 1)); });
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

  Value first, begin, end;
};

/// What every form of attention begins with. `query` and `key` have split heads.
struct Scores {
  Scores(TensorBuilder &b, Value query, Value key, const Visible &visible, double scale)
      : b(b), type(getElementTypeOrSelf(query.getType())), query(query), key(key), visible(visible), scale(scale) {
    products = b.contract({b.filled(emptyBlock(), 0), {t, h, j}}, {query, {t, h, d}}, {key, {j, h, d}});
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
  Value query, key, products;
  Visible visible;
  double scale;
};
} // namespace

Results lower(AttentionOp op, TensorBuilder &b) {
  Visible visible(b, op, op.getQuery(), op.getQueryOffsets(), op.getKeyOffsets());
  Scores scores(b, splitHeads(b, op.getQuery(), op.getHeads()), splitHeads(b, op.getKey(), op.getHeads()), visible,
                op.getScale().convertToDouble());
  Value logSumExp = scores.logSumExp();
  Value weights = scores.drop(scores.probabilities(logSumExp), op.getRandom(), op.getSite(), op.getRate());
  return {mergeHeads(b, scores.weigh(weights, splitHeads(b, op.getValue(), op.getHeads()))), logSumExp};
}

Results lower(AttentionBackwardOp op, TensorBuilder &b) {
  auto split = [&](Value x) { return splitHeads(b, x, op.getHeads()); };
  Visible visible(b, op, op.getQuery(), op.getQueryOffsets(), op.getKeyOffsets());
  double scale = op.getScale().convertToDouble();
  Value query = split(op.getQuery()), key = split(op.getKey()), value = split(op.getValue());
  Value cotangent = split(op.getCotangent()), result = split(op.getForwardResult());
  Scores scores(b, query, key, visible, scale);
  auto drop = [&](Value block) { return scores.drop(block, op.getRandom(), op.getSite(), op.getRate()); };

  Value weights = scores.probabilities(op.getLogSumExp());
  Value correction = b.contract({b.filled(scores.emptyRows(), 0), {0, 1}}, elements(cotangent), elements(result));
  Value valueGradient =
      b.contract({b.filled(scores.emptyLike(value), 0), {j, h, d}}, {drop(weights), {t, h, j}}, {cotangent, {t, h, d}});
  Value ofWeights =
      b.contract({b.filled(scores.emptyBlock(), 0), {t, h, j}}, {cotangent, {t, h, d}}, {value, {j, h, d}});
  Value ofScores = b.map({scores.emptyBlock(), {t, h, j}},
                         {{weights, {t, h, j}}, {drop(ofWeights), {t, h, j}}, {correction, {t, h}}},
                         [&](ArrayRef<Number> v) { return v[0] * (v[1] - v[2]) * scale; });
  Value queryGradient = scores.weigh(ofScores, key);
  Value keyGradient =
      b.contract({b.filled(scores.emptyLike(key), 0), {j, h, d}}, {ofScores, {t, h, j}}, {query, {t, h, d}});
  return {mergeHeads(b, queryGradient), mergeHeads(b, keyGradient), mergeHeads(b, valueGradient)};
}

Results lower(AttentionWeightsOp op, TensorBuilder &b) {
  Value query = op.getQuery(), key = op.getKey();
  Visible visible(b, op);
  Scores scores(b, splitHeads(b, query, op.getHeads()), splitHeads(b, key, op.getHeads()), visible,
                op.getScale().convertToDouble());
  Value weights = scores.probabilities(scores.logSumExp());
  return {b.map({b.empty(op), {h, t, j}}, {{weights, {t, h, j}}}, [](ArrayRef<Number> v) { return v[0]; })};
}

Results lower(CachedAttentionOp op, TensorBuilder &b) {
  Visible visible(b, op);
  auto listed = [&](Value cache) {
    Value split = splitHeads(b, cache, op.getHeads());
    Value rows = b.empty({{op.getRows(), 0}, {split, 1}, {split, 2}}, getElementTypeOrSelf(split.getType()));
    return b.map(elements(rows), perRow(op.getRows()),
                 [&](ArrayRef<Number> row) { return b.element(split, {row[0].toInteger(0), b.index(1), b.index(2)}); });
  };
  Scores scores(b, splitHeads(b, op.getQuery(), op.getHeads()), listed(op.getKey()), visible,
                op.getScale().convertToDouble());
  return {mergeHeads(b, scores.weigh(scores.probabilities(scores.logSumExp()), listed(op.getValue())))};
}
} // namespace mlir::xf
