//===- Attention.cpp - reference: attention -------------------------------===//
#include "ScoreRegion.h"
#include <cmath>
#include <limits>

using namespace mlir;
using namespace mlir::xf;
using namespace mlir::xf::reference;

/// The head of keys and values that a head of the query reads.
template <typename OpT> static int64_t keyHeadOf(OpT op, int64_t head) {
  return head / (static_cast<int64_t>(op.getHeads()) / op.getKeyValueHeadCount());
}

/// The scaled product of a query's block of features for a head with a key's.
template <typename OpT>
static double score(OpT op, const Tensor &query, int64_t q, const Tensor &key, int64_t k, int64_t head) {
  int64_t width = op.getKeyFeatures(), ofQuery = head * width, ofKey = keyHeadOf(op, head) * width;
  double sum = 0;
  for (int64_t c = 0; c < width; ++c)
    sum += query(q, ofQuery + c) * key(k, ofKey + c);
  return op.getScale().convertToDouble() * sum;
}

namespace {
/// Keys begin <= j < end of a sequence.
struct Keys {
  int64_t begin, end;
};
} // namespace

/// Whether it is one that a score region masks: -inf, or as good as that.
static bool isMasked(double score) { return score <= -1e30; }

/// log sum exp over the keys a query sees; +inf without any (or where a score region has masked all), so that
/// exp(score - it) vanishes.
static double logSumExpOfKeys(llvm::function_ref<double(int64_t)> scoreOf, Keys visible) {
  SmallVector<double> scores;
  for (int64_t j = visible.begin; j < visible.end; ++j)
    if (double score = scoreOf(j); !isMasked(score))
      scores.push_back(score);
  return scores.empty() ? std::numeric_limits<double>::infinity()
                        : logSumExp([&](int64_t i) { return scores[i]; }, scores.size());
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
/// One query, in one head.
struct Query {
  int64_t row, head, keyHead;
  int64_t firstKey; // the row of its sequence's first key
  int64_t position; // the key of its sequence that it stands at
  Keys visible;
};

/// What attention and its backward have in common: who sees whom, and with which probability.
template <typename OpT> struct Scores {
  Scores(OpT op, Frame &frame)
      : op(op), query(frame[op.getQuery()]), key(frame[op.getKey()]), value(frame[op.getValue()]),
        queryOffsets(frame[op.getQueryOffsets()]), keyOffsets(frame[op.getKeyOffsets()]),
        lengths(frame.find(op.getLengths())), random(frame.find(op.getRandom())),
        site(op.getSite() ? frame[op.getSite()].integer(0) : 0), region(op.getScore(), op.getCaptures(), frame),
        heads(op.getHeads()), scale(op.getScale().convertToDouble()), rate(op.getRate().convertToDouble()) {}

  LogicalResult verify() const {
    if (failed(expectOffsets(op, "query_offsets", queryOffsets, query.rows())) ||
        failed(expectOffsets(op, "key_offsets", keyOffsets, key.rows())) ||
        failed(expectRows(op, "key_offsets", keyOffsets, queryOffsets.rows(), "'query_offsets'")) ||
        (lengths && failed(expectRows(op, "lengths", *lengths, query.rows(), "'query'"))))
      return failure();
    return expectRows(op, "value", value, key.rows(), "'key'");
  }

  void forEachQuery(llvm::function_ref<void(int64_t sequence, const Query &)> visit) const {
    for (int64_t b = 0; b + 1 < queryOffsets.rows(); ++b) {
      int64_t firstQuery = queryOffsets.integer(b), queries = queryOffsets.integer(b + 1) - firstQuery;
      int64_t firstKey = keyOffsets.integer(b), keys = keyOffsets.integer(b + 1) - firstKey;
      for (int64_t i = 0; i < queries; ++i)
        for (int64_t h = 0; h < heads; ++h)
          visit(b, {firstQuery + i, h, keyHeadOf(op, h), firstKey, i + keys - queries,
                    visibleKeys(op, lengths, firstQuery + i, i, queries, keys)});
    }
  }
  /// Of the query with the j-th key of its sequence.
  ScoreRegion::Result at(const Query &q, int64_t j, ScoreRegion::Add add = nullptr) const {
    return region.apply(score(op, query, q.row, key, q.firstKey + j, q.head), q.head, q.position, j, add);
  }
  double mask(const Query &q, int64_t j) const {
    return random ? dropoutFactor(*random, site, rate, q.row * heads + q.head, j) : 1;
  }

  mutable OpT op; // accessors of ops are not const
  const Tensor &query, &key, &value, &queryOffsets, &keyOffsets, *lengths, *random;
  int64_t site;
  ScoreRegion region;
  int64_t heads;
  double scale, rate;
};
} // namespace

LogicalResult reference::evaluate(AttentionOp op, Frame &frame) {
  Scores scores(op, frame);
  if (failed(scores.verify()))
    return failure();
  int64_t width = op.getValueFeatures();
  Tensor result = Tensor::reals({scores.query.rows(), scores.heads * width});
  Tensor lse = Tensor::reals({scores.query.rows(), scores.heads}, std::numeric_limits<double>::infinity());
  scores.forEachQuery([&](int64_t, const Query &q) {
    lse(q.row, q.head) = logSumExpOfKeys([&](int64_t j) { return scores.at(q, j).score; }, q.visible);
    for (int64_t j = q.visible.begin; j < q.visible.end; ++j) {
      double probability = dropped(std::exp(scores.at(q, j).score - lse(q.row, q.head)), scores.mask(q, j));
      for (int64_t c = 0; c < width; ++c)
        result(q.row, q.head * width + c) += probability * scores.value(q.firstKey + j, q.keyHead * width + c);
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
  int64_t keyWidth = op.getKeyFeatures(), valueWidth = op.getValueFeatures();
  SmallVector<unsigned> trained = capturesWithGradients(op.getScore());
  SmallVector<Tensor> captured;
  SmallVector<int64_t> partOfHead; // where what a head shares with others begins: its number times that
  for (unsigned capture : trained) {
    bool isShared = !isOfHeads(op.getScore(), capture, scores.heads);
    int64_t elements = frame[op.getCaptures()[capture]].elements();
    captured.push_back(Tensor::reals({scores.queryOffsets.rows(), isShared ? scores.heads * elements : elements}));
    partOfHead.push_back(isShared ? elements : 0);
  }
  scores.forEachQuery([&](int64_t sequence, const Query &q) {
    // Where the features of the head begin.
    int64_t ofResult = q.head * valueWidth, ofValue = q.keyHead * valueWidth, ofQuery = q.head * keyWidth,
            ofKey = q.keyHead * keyWidth;
    double delta = 0; // sum_j P dP
    for (int64_t c = 0; c < valueWidth; ++c)
      delta += cotangent(q.row, ofResult + c) * forward(q.row, ofResult + c);
    for (int64_t j = q.visible.begin; j < q.visible.end; ++j) {
      int64_t k = q.firstKey + j;
      ScoreRegion::Result score = scores.at(q, j);
      if (isMasked(score.score))
        continue; // masked, whatever the region's derivative is
      double probability = std::exp(score.score - lse(q.row, q.head)), mask = scores.mask(q, j), dProbability = 0;
      for (int64_t c = 0; c < valueWidth; ++c) {
        dValue(k, ofValue + c) += dropped(probability, mask) * cotangent(q.row, ofResult + c);
        dProbability += cotangent(q.row, ofResult + c) * scores.value(k, ofValue + c);
      }
      double ofScore = probability * (dropped(dProbability, mask) - delta),
             dProduct = scores.scale * score.derivative * ofScore;
      scores.at(q, j, [&](unsigned capture, int64_t element, double derivative) {
        int64_t number = llvm::find(trained, capture) - trained.begin();
        captured[number](sequence, q.head * partOfHead[number] + element) += ofScore * derivative;
      });
      for (int64_t c = 0; c < keyWidth; ++c) {
        dQuery(q.row, ofQuery + c) += dProduct * scores.key(k, ofKey + c);
        dKey(k, ofKey + c) += dProduct * scores.query(q.row, ofQuery + c);
      }
    }
  });
  for (auto [result, tensor] : llvm::zip(op.getCapturedGradients(), captured))
    frame.set(result, tensor);
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
  ScoreRegion region(op.getScore(), op.getCaptures(), frame);
  Tensor result = Tensor::reals({heads, queries, keys});
  for (int64_t h = 0; h < heads; ++h)
    for (int64_t q = 0; q < queries; ++q) {
      auto scoreOf = [&](int64_t k) {
        return region.apply(score(op, query, q, key, k, h), h, q + keys - queries, k).score;
      };
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
  int64_t heads = op.getHeads(), width = op.getValueFeatures();
  ScoreRegion region(op.getScore(), op.getCaptures(), frame);
  Tensor result = Tensor::reals({query.rows(), heads * width});
  for (int64_t q = 0; q < query.rows(); ++q)
    for (int64_t h = 0; h < heads; ++h) {
      auto row = [&](int64_t j) { return rows.integer(offsets.integer(q) + j); };
      auto scoreOf = [&](int64_t j) {
        return region.apply(score(op, query, q, key, row(j), h), h, offsets.integer(q + 1) - offsets.integer(q) - 1, j)
            .score;
      };
      int64_t count = offsets.integer(q + 1) - offsets.integer(q);
      Keys visible = {op.getWindow() ? std::max<int64_t>(0, count - 1 - *op.getWindow()) : 0, count};
      double lse = logSumExpOfKeys(scoreOf, visible);
      for (int64_t j = visible.begin; j < visible.end; ++j)
        for (int64_t c = 0; c < width; ++c)
          result(q, h * width + c) += std::exp(scoreOf(j) - lse) * value(row(j), keyHeadOf(op, h) * width + c);
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
