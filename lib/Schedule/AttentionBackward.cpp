//===- AttentionBackward.cpp - schedule of attention's backward -----------===//
// FlashAttention-2 (Dao 2023) on one head of one sequence: for a block of keys, over the blocks of queries, scores and
// probabilities are computed again from log_sum_exp. All three gradients are sums of this task alone, taken in the
// order of the blocks, accumulated in the results themselves.
//===----------------------------------------------------------------------===//
#include "xf/Schedule/AttentionBlocks.h"

namespace mlir::xf {
namespace {
constexpr int64_t queriesPerBlock = 48, keysPerBlock = AttentionTask::keysPerBlock;

void emitBackward(Emitter &e, AttentionBackwardOp op) {
  AttentionTask task(e, e.placeOf(op.getQueryOffsets()), e.placeOf(op.getKeyOffsets()), op.getHeads(), op.getCausal());
  int64_t width = e.registers.width, heads = op.getHeads();
  int64_t dK = op.getQuery().getType().getDimSize(1) / heads, dV = op.getValue().getType().getDimSize(1) / heads;
  int64_t panel = AttentionTask::vectors * width, panels = keysPerBlock / panel;
  Value packedKeys = e.allocate({panels, dK, panel}), packedValues = e.allocate({panels, dV, panel});
  // P (with dropout) and dS (with the scale): what the three products contract with.
  Value probabilities = e.allocate({queriesPerBlock, keysPerBlock}),
        differences = e.allocate({queriesPerBlock, keysPerBlock});
  Value cotangent = e.placeOf(op.getCotangent()), query = e.placeOf(op.getQuery()), key = e.placeOf(op.getKey()),
        value = e.placeOf(op.getValue());
  Value forward = e.placeOf(op.getForwardResult()), logSumExp = e.placeOf(op.getLogSumExp());
  unsigned firstResult = e.kernel.getNumArguments();
  Value dQuery = e.function.getArgument(firstResult), dKey = e.function.getArgument(firstResult + 1),
        dValue = e.function.getArgument(firstResult + 2);
  ProbabilityDropout dropout{e, std::nullopt, op.getRate()};
  bool drops = op.getRandom() && !op.getRate().isZero();
  if (drops)
    dropout.philox.emplace(e, e.placeOf(op.getRandom()), e.placeOf(op.getSite()));
  int64_t step = task.stepWidth(drops);

  auto clear = [&](Value matrix, Value start, Value count, int64_t features) {
    e.loop(e.index(0), count, 1, [&](Value i) {
      e.columns(features, 1, [&](Value c, ArrayRef<int64_t> lanes) {
        e.storeVector(e.splat(0), matrix, {e.add(start, i), task.column(c, features)}, lanes[0]);
      });
    });
  };
  clear(dQuery, task.queryStart, task.queryCount, dK);
  clear(dKey, task.keyStart, task.keyCount, dK);
  clear(dValue, task.keyStart, task.keyCount, dV);

  /// sums[i, :] += sum over k of a(i, k) rows[k, :]
  auto accumulate = [&](Value sums, Value sumStart, Value rowEnd, Value rows, Value rowStart, Value kEnd,
                        int64_t features, function_ref<Value(Value, Value)> a) {
    e.columns(features, AttentionTask::vectors, [&](Value c, ArrayRef<int64_t> lanes) {
      auto columnOf = [&](int64_t v) { return task.column(e.add(c, e.index(v * width)), features); };
      emitTiles(e, e.index(0), rowEnd, e.index(0), kEnd,
                {AttentionTask::rows, static_cast<int64_t>(lanes.size()),
                 [&](Value i, int64_t v) { return e.loadVector(sums, {e.add(sumStart, i), columnOf(v)}, lanes[v]); }, a,
                 [&](Value k, int64_t v) { return e.loadVector(rows, {e.add(rowStart, k), columnOf(v)}, lanes[v]); },
                 [&](Value i, int64_t v, Value sum) {
                   e.storeVector(sum, sums, {e.add(sumStart, i), columnOf(v)}, lanes[v]);
                 }});
    });
  };

  e.loop(e.index(0), task.keyCount, keysPerBlock, [&](Value keyBegin) {
    Value count = e.min(e.sub(task.keyCount, keyBegin), e.index(keysPerBlock));
    task.packTransposed(key, dK, keyBegin, count, packedKeys);
    task.packTransposed(value, dV, keyBegin, count, packedValues);
    Value keyRow = e.add(task.keyStart, keyBegin);
    e.loop(e.index(0), task.queryCount, queriesPerBlock, [&](Value queryBegin) {
      Value queryEnd = e.min(e.add(queryBegin, e.index(queriesPerBlock)), task.queryCount);
      auto block = [&] {
        task.scoreProduct(query, dK, queryBegin, queryEnd, packedKeys, count, probabilities);
        task.scoreProduct(cotangent, dV, queryBegin, queryEnd, packedValues, count, differences);
        Value stepEnd = e.mul(e.ceilDiv(count, step), e.index(step));
        Value scale = e.splat(op.getScale().convertToDouble());
        e.loop(queryBegin, queryEnd, 1, [&](Value i) {
          Value r = e.sub(i, queryBegin), row = e.add(task.queryStart, i), visible = task.visibleInBlock(i, keyBegin);
          Value sum = e.splat(e.load(logSumExp, {row, task.head}));
          Value products = e.columnsReduce(dV, e.splat(0), [&](Value c, int64_t lanes, ValueRange carried) {
            SmallVector<Value> at{row, task.column(c, dV)};
            return SmallVector<Value>{
                e.fma(e.loadVector(cotangent, at, lanes), e.loadVector(forward, at, lanes), carried[0])};
          })[0];
          Value d = e.splat(e.reduce(vector::CombiningKind::ADD, products));
          e.loop(e.index(0), stepEnd, step, [&](Value j) {
            SmallVector<Value> keeps;
            if (drops)
              keeps = dropout.keeps(e.add(e.mul(row, e.index(heads)), task.head), e.add(keyBegin, j));
            for (int64_t v = 0; v < step / width; ++v) {
              Value at = e.add(j, e.index(v * width));
              Value s =
                  e.fma(e.loadVector(probabilities, {r, at}, width), scale, arith::NegFOp::create(e.b, e.loc, sum));
              Value p = e.select(task.laneMask(at, visible), emitExp(e, s), e.splat(0));
              Value dp = e.loadVector(differences, {r, at}, width), dropped = p;
              if (drops) {
                dp = e.select(keeps[v], e.mul(dp, dropout.factor()), e.splat(0));
                dropped = e.select(keeps[v], e.mul(p, dropout.factor()), e.splat(0));
              }
              Value ds = e.select(task.laneMask(at, visible), e.mul(e.mul(p, e.sub(dp, d)), scale), e.splat(0));
              e.storeVector(dropped, probabilities, {r, at}, width);
              e.storeVector(ds, differences, {r, at}, width);
            }
          });
        });
        Value queries = e.sub(queryEnd, queryBegin), queryRow = e.add(task.queryStart, queryBegin);
        accumulate(dValue, keyRow, count, cotangent, queryRow, queries, dV,
                   [&](Value j, Value i) { return e.load(probabilities, {i, j}); });
        accumulate(dKey, keyRow, count, query, queryRow, queries, dK,
                   [&](Value j, Value i) { return e.load(differences, {i, j}); });
        accumulate(dQuery, queryRow, queries, key, keyRow, count, dK,
                   [&](Value i, Value j) { return e.load(differences, {i, j}); });
      };
      if (task.causal)
        e.when(e.compare(arith::CmpIPredicate::sgt, task.visibleKeys(e.sub(queryEnd, e.index(1))), keyBegin), block);
      else
        block();
    });
  });
  e.finish(
      {{static_cast<int64_t>(cast<BlockArgument>(op.getQueryOffsets()).getArgNumber()), 0, -1, 1}, {-1, heads, 0, 1}});
}
} // namespace

LogicalResult scheduleAttentionBackward(func::FuncOp kernel, const RegisterFile &registers) {
  Operation *root = &kernel.getBody().front().front();
  Block &body = kernel.getBody().front();
  auto op = dyn_cast<AttentionBackwardOp>(root);
  // Every result must be there: the gradients are also the memory that they are summed in.
  if (!op || root->getNextNode() != body.getTerminator() ||
      !llvm::equal(body.getTerminator()->getOperands(), root->getResults()))
    return root->emitOpError()
           << "has no schedule: stage 'schedule' takes xf.attention_backward alone, with all of its results used";
  Emitter e(kernel, registers);
  emitBackward(e, op);
  return success();
}
} // namespace mlir::xf
