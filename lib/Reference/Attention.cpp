//===- Attention.cpp - reference: attention -------------------------------===//
#include "Frame.h"
#include <cmath>
#include <limits>

using namespace mlir;
using namespace mlir::xf;
using namespace mlir::xf::reference;

/// The scaled product of a query's and a key's h-th block of features.
static double score(const Tensor &query, int64_t q, const Tensor &key, int64_t k, int64_t head, int64_t heads,
                    double scale) {
  int64_t width = query.columns() / heads;
  double sum = 0;
  for (int64_t c = head * width; c < (head + 1) * width; ++c)
    sum += query(q, c) * key(k, c);
  return scale * sum;
}

namespace {
/// Keys begin <= j < end of a sequence.
struct Keys {
  int64_t begin, end;
};
} // namespace

/// log sum exp over the keys a query sees; +inf without any, so that exp(score - it) vanishes.
static double logSumExpOfKeys(llvm::function_ref<double(int64_t)> scoreOf, Keys visible) {
  return visible.begin < visible.end
             ? logSumExp([&](int64_t j) { return scoreOf(visible.begin + j); }, visible.end - visible.begin)
             : std::numeric_limits<double>::infinity();
}

/// What query i (of the sequence; row `row` of `lengths`) sees under the masks of `op`.
template <typename OpT>
static Keys visibleKeys(OpT op, const Tensor *lengths, int64_t row, int64_t i, int64_t queries, int64_t keys) {
  int64_t position = i + keys - queries;
  Keys visible = {0, keys};
  if (op.getCausal())
    visible.end = std::min(visible.end, position + 1);
  if (std::optional<int64_t> window = op.getWindow())
    visible = {std::max<int64_t>(0, position - *window), std::min(visible.end, position + *window + 1)};
  if (lengths)
    visible.end = std::min(visible.end, lengths->integer(row));
  return {visible.begin, std::max(visible.begin, visible.end)};
}

namespace {
/// What attention and its backward have in common: who sees whom, and with which probability.
template <typename OpT> struct Scores {
  Scores(OpT op, Frame &frame)
      : op(op), query(frame[op.getQuery()]), key(frame[op.getKey()]), value(frame[op.getValue()]),
        queryOffsets(frame[op.getQueryOffsets()]), keyOffsets(frame[op.getKeyOffsets()]),
        lengths(frame.find(op.getLengths())), random(frame.find(op.getRandom())),
        site(op.getSite() ? frame[op.getSite()].integer(0) : 0), heads(op.getHeads()),
        scale(op.getScale().convertToDouble()), rate(op.getRate().convertToDouble()) {}

  LogicalResult verify() const {
    if (failed(expectOffsets(op, "query_offsets", queryOffsets, query.rows())) ||
        failed(expectOffsets(op, "key_offsets", keyOffsets, key.rows())) ||
        failed(expectRows(op, "key_offsets", keyOffsets, queryOffsets.rows(), "'query_offsets'")) ||
        (lengths && failed(expectRows(op, "lengths", *lengths, query.rows(), "'query'"))))
      return failure();
    return expectRows(op, "value", value, key.rows(), "'key'");
  }

  /// Calls visit(query row, head, first key row, the keys that it sees).
  void forEachQuery(llvm::function_ref<void(int64_t, int64_t, int64_t, Keys)> visit) const {
    for (int64_t b = 0; b + 1 < queryOffsets.rows(); ++b) {
      int64_t firstQuery = queryOffsets.integer(b), queries = queryOffsets.integer(b + 1) - firstQuery;
      int64_t firstKey = keyOffsets.integer(b), keys = keyOffsets.integer(b + 1) - firstKey;
      for (int64_t i = 0; i < queries; ++i)
        for (int64_t h = 0; h < heads; ++h)
          visit(firstQuery + i, h, firstKey, visibleKeys(op, lengths, firstQuery + i, i, queries, keys));
    }
  }
  double at(int64_t q, int64_t h, int64_t k) const { return score(query, q, key, k, h, heads, scale); }
  /// The dropout factor of the j-th key of a query.
  double mask(int64_t q, int64_t h, int64_t j) const {
    return random ? dropoutFactor(*random, site, rate, q * heads + h, j) : 1;
  }

  mutable OpT op; // accessors of ops are not const
  const Tensor &query, &key, &value, &queryOffsets, &keyOffsets, *lengths, *random;
  int64_t site, heads;
  double scale, rate;
};
} // namespace

LogicalResult reference::evaluate(AttentionOp op, Frame &frame) {
  Scores scores(op, frame);
  if (failed(scores.verify()))
    return failure();
  Tensor result = Tensor::reals({scores.query.rows(), scores.value.columns()});
  Tensor lse = Tensor::reals({scores.query.rows(), scores.heads}, std::numeric_limits<double>::infinity());
  int64_t width = scores.value.columns() / scores.heads;
  scores.forEachQuery([&](int64_t q, int64_t h, int64_t firstKey, Keys visible) {
    lse(q, h) = logSumExpOfKeys([&](int64_t j) { return scores.at(q, h, firstKey + j); }, visible);
    for (int64_t j = visible.begin; j < visible.end; ++j) {
      double probability = std::exp(scores.at(q, h, firstKey + j) - lse(q, h)) * scores.mask(q, h, j);
      for (int64_t c = h * width; c < (h + 1) * width; ++c)
        result(q, c) += probability * scores.value(firstKey + j, c);
    }
  });
  frame.set(op.getResult(), result);
  frame.set(op.getLogSumExp(), lse);
  return success();
}

LogicalResult reference::evaluate(AttentionBackwardOp op, Frame &frame) {
  Scores scores(op, frame);
  const Tensor &cotangent = frame[op.getCotangent()], &forward = frame[op.getForwardResult()],
               &lse = frame[op.getLogSumExp()];
  if (failed(scores.verify()) || failed(expectRows(op, "cotangent", cotangent, scores.query.rows(), "'query'")))
    return failure();
  Tensor dQuery = Tensor::reals(scores.query.shape()), dKey = Tensor::reals(scores.key.shape()),
         dValue = Tensor::reals(scores.value.shape());
  int64_t keyWidth = scores.key.columns() / scores.heads, valueWidth = scores.value.columns() / scores.heads;
  scores.forEachQuery([&](int64_t q, int64_t h, int64_t firstKey, Keys visible) {
    double delta = 0; // sum_j P dP
    for (int64_t c = h * valueWidth; c < (h + 1) * valueWidth; ++c)
      delta += cotangent(q, c) * forward(q, c);
    for (int64_t j = visible.begin; j < visible.end; ++j) {
      int64_t k = firstKey + j;
      double probability = std::exp(scores.at(q, h, k) - lse(q, h)), mask = scores.mask(q, h, j), dProbability = 0;
      for (int64_t c = h * valueWidth; c < (h + 1) * valueWidth; ++c) {
        dValue(k, c) += mask * probability * cotangent(q, c);
        dProbability += mask * cotangent(q, c) * scores.value(k, c);
      }
      double dScore = scores.scale * probability * (dProbability - delta);
      for (int64_t c = h * keyWidth; c < (h + 1) * keyWidth; ++c) {
        dQuery(q, c) += dScore * scores.key(k, c);
        dKey(k, c) += dScore * scores.query(q, c);
      }
    }
  });
  frame.set(op.getQueryGradient(), dQuery);
  frame.set(op.getKeyGradient(), dKey);
  frame.set(op.getValueGradient(), dValue);
  return success();
}

LogicalResult reference::evaluate(AttentionWeightsOp op, Frame &frame) {
  const Tensor &query = frame[op.getQuery()], &key = frame[op.getKey()];
  int64_t heads = op.getHeads(), queries = query.rows(), keys = key.rows();
  const Tensor *lengths = frame.find(op.getLengths());
  if (lengths && failed(expectRows(op, "lengths", *lengths, queries, "'query'")))
    return failure();
  Tensor result = Tensor::reals({heads, queries, keys});
  for (int64_t h = 0; h < heads; ++h)
    for (int64_t q = 0; q < queries; ++q) {
      auto scoreOf = [&](int64_t k) { return score(query, q, key, k, h, heads, op.getScale().convertToDouble()); };
      Keys visible = visibleKeys(op, lengths, q, q, queries, keys);
      double lse = logSumExpOfKeys(scoreOf, visible);
      for (int64_t k = visible.begin; k < visible.end; ++k)
        result[(h * queries + q) * keys + k] = std::exp(scoreOf(k) - lse);
    }
  frame.set(op.getResult(), result);
  return success();
}

LogicalResult reference::evaluate(CachedAttentionOp op, Frame &frame) {
  const Tensor &query = frame[op.getQuery()], &key = frame[op.getKey()], &value = frame[op.getValue()],
               &rows = frame[op.getRows()], &offsets = frame[op.getRowOffsets()];
  if (failed(expectIds(op, "rows", rows, key.rows(), "the rows of 'key'")) ||
      failed(expectOffsets(op, "row_offsets", offsets, rows.rows())) ||
      failed(expectRows(op, "row_offsets", offsets, query.rows() + 1, "'query' and one more")) ||
      failed(expectRows(op, "value", value, key.rows(), "'key'")))
    return failure();
  int64_t heads = op.getHeads(), width = value.columns() / heads;
  Tensor result = Tensor::reals({query.rows(), value.columns()});
  for (int64_t q = 0; q < query.rows(); ++q)
    for (int64_t h = 0; h < heads; ++h) {
      auto row = [&](int64_t j) { return rows.integer(offsets.integer(q) + j); };
      auto scoreOf = [&](int64_t j) { return score(query, q, key, row(j), h, heads, op.getScale().convertToDouble()); };
      int64_t count = offsets.integer(q + 1) - offsets.integer(q);
      Keys visible = {op.getWindow() ? std::max<int64_t>(0, count - 1 - *op.getWindow()) : 0, count};
      double lse = logSumExpOfKeys(scoreOf, visible);
      for (int64_t j = visible.begin; j < visible.end; ++j)
        for (int64_t c = h * width; c < (h + 1) * width; ++c)
          result(q, c) += std::exp(scoreOf(j) - lse) * value(row(j), c);
    }
  frame.set(op.getResult(), result);
  return success();
}

LogicalResult reference::evaluate(CacheWriteOp op, Frame &frame) {
  const Tensor &x = frame[op.getX()], &slots = frame[op.getSlots()];
  Tensor result = frame[op.getCache()].copy();
  if (failed(expectIds(op, "slots", slots, result.rows(), "the rows of 'cache'")) ||
      failed(expectRows(op, "slots", slots, x.rows(), "'x'")))
    return failure();
  for (int64_t r = 0; r < x.rows(); ++r)
    for (int64_t c = 0; c < x.columns(); ++c)
      result(slots.integer(r), c) = x(r, c);
  frame.set(op.getResult(), result);
  return success();
}
