//===- AttentionBackward.cpp - schedule of attention's backward for GPUs --===//
// The plain form of FlashAttention-2 (Dao 2023): a block takes one head of one sequence. First each of its warps sums a
// query's gradient over the keys, then a key's and its value's over the queries; probabilities are computed again from
// log_sum_exp both times. Nothing is shared, so nothing needs an order but each sum's own. Where heads share keys,
// their blocks share the sums of a sequence's keys, each of which goes through the queries of all these heads.
//===----------------------------------------------------------------------===//
#include "Attention.h"
#include "AttentionTensorCore.h"
#include "CapturedGradients.h"
#include <cmath>

namespace mlir::xf {
namespace {
class BackwardBlock {
public:
  BackwardBlock(Emitter &e, AttentionBackwardOp op, ArrayRef<Value> tile)
      : e(e),
        block(e, tile, e.placeOf(op.getQueryOffsets()), e.placeOf(op.getKeyOffsets()), op.getHeads(), sharersOf(op)),
        masks(e, op), dropout(e, op.getRandom(), op.getSite(), op.getRate()),
        region(e, op.getScore(), op.getCaptures(), block.head), scale(op.getScale().convertToDouble()),
        cotangent(e.placeOf(op.getCotangent())), query(e.placeOf(op.getQuery())), key(e.placeOf(op.getKey())),
        value(e.placeOf(op.getValue())), forward(e.placeOf(op.getForwardResult())),
        logSumExp(e.placeOf(op.getLogSumExp())), dK(op.getKeyFeatures()), dV(op.getValueFeatures()) {}

  void emit(Value dQuery, Value dKey, Value dValue) {
    int64_t width = e.registers.width;
    e.rows(e.index(0), block.queryCount, [&](Value i) {
      Value row = e.add(block.queryStart, i), correction = correctionOf(row);
      KeyRange keys = visible(i);
      auto step = [&](Value first, ValueRange carried) {
        Value j = e.add(first, e.lane()), seen = block.isIn(j, keys);
        Value difference = block.where(seen, e.f32(0), [&] { return terms(row, j, correction).difference; });
        return block.accumulate(
            carried, difference, e.index(0), e.min(e.sub(keys.end, first), e.index(width)), key, block.OfKeys,
            [&](Value k) { return e.add(block.keyStart, e.add(first, k)); }, dK);
      };
      write(dQuery, row, forKeys(i, keys, zeros(dK), step), dK, block.OfQueries);
    });
    SmallVector<Value> initial = zeros(dK);
    size_t split = initial.size();
    llvm::append_range(initial, zeros(dV));
    Value begin = e.index(0), end = block.keyCount;
    if (block.sharers > 1) { // the block's share of the keys
      Value number = e.make<arith::RemSIOp>(block.head, e.index(block.sharers));
      auto beginOf = [&](Value number) { return e.div(e.mul(block.keyCount, number), e.index(block.sharers)); };
      begin = beginOf(number), end = beginOf(e.add(number, e.index(1)));
    }
    e.rows(begin, end, [&](Value j) {
      SmallVector<Value> sums = forHeads(initial, [&](ValueRange carried) { return addQueries(j, carried, split); });
      Value row = e.add(block.keyStart, j);
      write(dKey, row, ArrayRef(sums).take_front(split), dK, block.OfKeys);
      write(dValue, row, ArrayRef(sums).drop_front(split), dV, block.OfKeys);
    });
  }

  /// What is added to gradients of captured tensors, and nothing else.
  void addCaptured(CapturedSums &sums) {
    block.isTight = true; // a kernel that has one form
    e.rows(e.index(0), block.queryCount, [&](Value i) {
      Value row = e.add(block.queryStart, i), correction = correctionOf(row);
      KeyRange keys = visible(i);
      forKeys(i, keys, {}, [&](Value first, ValueRange) {
        Value j = e.add(first, e.lane());
        using Values = SmallVector<Value>;
        SmallVector<unsigned> captures;
        Values pairs = e.choose(
            block.isIn(j, keys),
            [&] {
              Values result;
              Terms t = terms(row, j, correction);
              for (const ScoreRegion::Addition &addition : region.additions()) {
                captures.push_back(addition.capture);
                Value element = e.select(t.isScore, e.toI32(addition.element), e.i32(-1));
                result.append({element, e.mul(t.ofScore, addition.derivative)});
              }
              return result;
            },
            [&] {
              Values result;
              for (size_t i = 0; i < captures.size(); ++i)
                result.append({e.i32(-1), e.f32(0)});
              return result;
            });
        for (auto [number, capture] : llvm::enumerate(captures))
          sums.add(capture, pairs[2 * number], pairs[2 * number + 1]);
        return Values();
      });
    });
  }

private:
  /// For the heads that share the block's keys, in their order: the block's head is each of them.
  SmallVector<Value> forHeads(ValueRange initial, function_ref<SmallVector<Value>(ValueRange)> body) {
    if (block.sharers == 1)
      return body(initial);
    Value first = e.mul(block.keyHead, e.index(block.sharers));
    return e.loop(first, e.add(first, e.index(block.sharers)), 1, initial, [&](Value head, ValueRange carried) {
      block.head = head;
      if (region)
        region.setHead(head);
      return body(carried);
    });
  }
  /// The sums for a key, and for its value from `split` on, and what the head's queries add to them.
  SmallVector<Value> addQueries(Value j, ValueRange sums, size_t split) {
    int64_t width = e.registers.width;
    return block.forColumns(region, /*areQueries=*/true, j, e.index(0), block.queryCount, width, sums,
                            [&](Value first, ValueRange carried) {
                              // Past the last query the last one again, which no sum takes.
                              Value i = e.min(e.add(first, e.lane()), e.sub(block.queryCount, e.index(1)));
                              Value row = e.add(block.queryStart, i), seen = block.isIn(j, visible(i));
                              using Values = SmallVector<Value>;
                              Values pair = e.choose(
                                  seen,
                                  [&] {
                                    if (region)
                                      region.setQuery(block.position(i));
                                    Terms t = terms(row, j, correctionOf(row));
                                    return Values{t.probability, t.difference};
                                  },
                                  [&] { return Values{e.f32(0), e.f32(0)}; });
                              Value count = e.min(e.sub(block.queryCount, first), e.index(width));
                              auto rowOf = [&](Value k) { return e.add(block.queryStart, e.add(first, k)); };
                              Values next = block.accumulate(carried.take_front(split), pair[1], e.index(0), count,
                                                             query, block.OfQueries, rowOf, dK);
                              llvm::append_range(next, block.accumulate(carried.drop_front(split), pair[0], e.index(0),
                                                                        count, cotangent, block.OfQueries, rowOf, dV));
                              return next;
                            });
  }
  /// For the keys that a query sees, by vectors.
  SmallVector<Value> forKeys(Value query, KeyRange keys, ValueRange initial, Emitter::LoopBody body) {
    if (region)
      region.setQuery(block.position(query));
    return block.forColumns(region, /*areQueries=*/false, block.position(query), keys.begin ? keys.begin : e.index(0),
                            keys.end, e.registers.width, initial, body);
  }
  /// P, with dropout, and dS of one query (a row of the batch) and one key (of the sequence); with a region also what
  /// this is before its derivative and the scale, and whether the region leaves a score.
  struct Terms {
    Value probability, difference, ofScore = {}, isScore = {};
  };
  Terms terms(Value row, Value j, Value correction) {
    Value keyRow = e.add(block.keyStart, j);
    Value score = e.mul(block.dot(query, row, key, keyRow, dK, block.OfKeys), e.f32(region ? scale : scale * M_LOG2E)),
          derivative;
    if (region) {
      SmallVector<Value> yielded = region.applyTo(score, e.toI32(j));
      score = e.mul(yielded[0], e.f32(M_LOG2E));
      derivative = yielded[1];
    }
    Value sum = e.mul(e.load(logSumExp, {row, block.head}), e.f32(M_LOG2E));
    Value p = emitExp2(e, e.sub(score, sum)), dp = block.dot(cotangent, row, value, keyRow, dV, block.OfKeys);
    Value isScore = region ? region.isScore(score) : Value();
    if (region)
      p = e.select(isScore, p, e.f32(0));
    Value kept = p;
    if (dropout) {
      Value keep = dropout.keep(e.add(e.mul(row, e.index(block.heads)), block.head), j);
      dp = dropout.apply(keep, dp);
      kept = dropout.apply(keep, p);
    }
    if (region) {
      Value ofScore = e.mul(p, e.add(dp, correction)), difference = e.mul(ofScore, e.mul(derivative, e.f32(scale)));
      return {kept, e.select(isScore, difference, e.f32(0)), ofScore, isScore};
    }
    return {kept, e.mul(p, e.fma(dp, e.f32(scale), correction))};
  }
  /// What dS subtracts from scale dP, or with a region from dP: D = sum of dP P = sum of the result times its
  /// cotangent.
  Value correctionOf(Value row) {
    return e.mul(block.dot(cotangent, row, forward, row, dV, block.OfQueries), e.f32(region ? -1 : -scale));
  }
  KeyRange visible(Value i) { return masks.visible(e, i, block.queryStart, block.queryCount, block.keyCount); }

  SmallVector<Value> zeros(int64_t features) {
    SmallVector<Value> result;
    block.forVectors(features, [&](int64_t, int64_t) { result.push_back(e.f32(0)); });
    return result;
  }
  void write(Value matrix, Value row, ArrayRef<Value> sums, int64_t features, AttentionBlock::Side side) {
    block.forVectors(features, [&](int64_t v, int64_t lanes) {
      e.storeVector(sums[v], matrix, {row, block.column(e.index(v * e.registers.width), features, side)}, lanes);
    });
  }

  Emitter &e;
  AttentionBlock block;
  AttentionMasks masks;
  ProbabilityDropout dropout;
  ScoreRegion region;
  double scale;
  Value cotangent, query, key, value, forward, logSumExp;
  int64_t dK, dV;
};

/// A kernel of gradients of captured tensors alone. Their last row is of no sequence.
void emitCaptured(func::FuncOp kernel, AttentionBackwardOp op, RegisterFile block) {
  int64_t onTensorCores = warpsOnTensorCores(kernel, op),
          warps = onTensorCores ? onTensorCores : CapturedSums::warpsFor(op, block.warps);
  block.warps = std::max<int64_t>(warps, 1);
  Emitter e(kernel, block);
  SmallVector<Value> tile = e.splitTile({e.index(static_cast<int64_t>(op.getHeads()))});
  CapturedSums sums(e, op, tile[0], tile[1], /*inShared=*/warps > 0);
  Value sequences = e.sub(e.dim(e.placeOf(op.getQueryOffsets()), 0), e.index(1));
  e.when(e.compare(arith::CmpIPredicate::slt, tile[0], sequences), [&] {
    onTensorCores ? addCapturedByTensorCores(e, op, tile, sums) : BackwardBlock(e, op, tile).addCaptured(sums);
  });
  sums.finish();
  e.finish({{static_cast<int64_t>(cast<BlockArgument>(op.getQueryOffsets()).getArgNumber()), 0, 0, 1},
            {-1, static_cast<int64_t>(op.getHeads()), 0, 1}});
}
} // namespace

LogicalResult scheduleAttentionBackwardGPU(func::FuncOp kernel, const RegisterFile &registers) {
  if (auto op = dyn_cast<AttentionBackwardOp>(rootOf(kernel)); op && op.isOfCapturesAlone())
    return emitCaptured(kernel, op, registers), success();
  FailureOr<AttentionBackwardOp> found = backwardOf(kernel);
  if (failed(found))
    return failure();
  AttentionBackwardOp op = *found;
  if (!op.getCapturedGradients().empty())
    return op.emitOpError()
           << "has gradients of captured tensors beside others, for which stage 'schedule' has no form "
              "for a GPU: expected stage 'fuse' to have made them a kernel of their own (--target=cuda)";
  unsigned first = kernel.getNumArguments();
  Emitter e(kernel, blockOfAttention(kernel, registers));
  Attribute schedule = kernel->getAttr("xf.schedule");
  if (auto warpgroups = dyn_cast<WarpgroupAttentionScheduleAttr>(schedule))
    return (warpgroups.getOrdered() ? emitWarpgroupAttentionOrdered : emitWarpgroupAttentionHalves)(e, op), success();
  if (isa<TensorCoreAttentionScheduleAttr>(schedule))
    return emitAttentionBackwardTensorCore(e, op), success();
  BackwardBlock(e, op, e.splitTile({e.index(static_cast<int64_t>(op.getHeads()))}))
      .emit(e.function.getArgument(first), e.function.getArgument(first + 1), e.function.getArgument(first + 2));
  e.finish({{static_cast<int64_t>(cast<BlockArgument>(op.getQueryOffsets()).getArgNumber()), 0, -1, 1},
            {-1, static_cast<int64_t>(op.getHeads()), 0, 1}});
  return success();
}
} // namespace mlir::xf
