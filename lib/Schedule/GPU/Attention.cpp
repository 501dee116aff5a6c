//===- Attention.cpp - schedule of attention's forward for GPUs -----------===//
// The plain form of FlashAttention (Dao et al. 2022): a block takes one head of one sequence, its warps a query each,
// with running maximum and sum over 64 keys at a time. While scores are computed a thread has a key, then features.
//===----------------------------------------------------------------------===//
#include "Attention.h"
#include "AttentionTensorCore.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include <cmath>

namespace mlir::xf {

AttentionBlock::AttentionBlock(Emitter &e, int64_t heads, int64_t sharers, Value head)
    : e(e), heads(heads), sharers(sharers), head(head), keyHead(sharers == 1 ? head : e.div(head, e.index(sharers))) {}

AttentionBlock::AttentionBlock(Emitter &e, ArrayRef<Value> tile, Value queryOffsets, Value keyOffsets, int64_t heads,
                               int64_t sharers)
    : AttentionBlock(e, heads, sharers, tile[1]) {
  if (auto schedule = dyn_cast_or_null<PlainAttentionScheduleAttr>(e.kernel->getAttr("xf.schedule")))
    isTight = schedule.getTight();
  for (auto [offsets, start, count] :
       {std::tuple(queryOffsets, &queryStart, &queryCount), {keyOffsets, &keyStart, &keyCount}}) {
    auto [first, rows] = rowsOf(e, offsets, tile[0]);
    *start = e.toIndex(first);
    *count = e.toIndex(rows);
  }
}

Value AttentionBlock::dot(Value x, Value xRow, Value y, Value yRow, int64_t features, Side ySide) {
  // 16 bytes of both at a time, or 8, where heads begin at multiples of them: a thread's rows are its own.
  auto shareOf = [&](Value memory) -> int64_t {
    auto type = cast<MemRefType>(memory.getType());
    int64_t share = 128 / type.getElementTypeBitWidth();
    return pitchOf(type) % share == 0 && features % share == 0 ? share : 1;
  };
  int64_t share = std::min(shareOf(x), shareOf(y));
  auto load = [&](Value memory, Value row, Value at) -> SmallVector<Value> {
    if (share == 1)
      return {e.load(memory, {row, at})};
    Type element = getElementTypeOrSelf(memory.getType());
    llvm::Align alignment(share * element.getIntOrFloatBitWidth() / 8);
    Value loaded = vector::LoadOp::create(e.b, e.loc, VectorType::get({share}, element), memory, ValueRange{row, at},
                                          /*nontemporal=*/false, alignment);
    SmallVector<Value> numbers;
    for (int64_t i = 0; i < share; ++i)
      numbers.push_back(e.widen(vector::ExtractOp::create(e.b, e.loc, loaded, i)));
    return numbers;
  };
  return loop(e.index(0), e.index(features), share, e.f32(0), [&](Value c, ValueRange carried) {
    Value at = column(c, features, OfQueries), sum = carried[0];
    Value other = ySide == OfKeys && sharers > 1 ? column(c, features, OfKeys) : at;
    for (auto [a, b] : llvm::zip(load(x, xRow, at), load(y, yRow, other)))
      sum = e.fma(a, b, sum);
    return SmallVector<Value>{sum};
  })[0];
}

SmallVector<Value> AttentionBlock::accumulate(ValueRange sums, Value weights, Value begin, Value end, Value matrix,
                                              Side side, function_ref<Value(Value)> rowOf, int64_t features) {
  return loop(begin, end, 1, sums, [&](Value i, ValueRange carried) {
    Value weight = e.fromLane(weights, e.toI32(i)), row = rowOf(i);
    SmallVector<Value> next;
    forVectors(features, [&](int64_t v, int64_t lanes) {
      Value at = column(e.index(v * e.registers.width), features, side);
      next.push_back(e.fma(weight, e.loadVector(matrix, {row, at}, lanes), carried[v]));
    });
    return next;
  });
}

SmallVector<Value> AttentionBlock::loop(Value begin, Value end, int64_t step, ValueRange initial,
                                        Emitter::LoopBody body) {
  return e.loop(begin, end, step, initial, [&](Value i, ValueRange carried) {
    if (isTight) // LLVM drops what loops are annotated with on its way to PTX
      LLVM::InlineAsmOp::create(e.b, e.loc, TypeRange(), ValueRange(), ".pragma \"nounroll\";", "",
                                /*has_side_effects=*/true, /*is_align_stack=*/false,
                                LLVM::tailcallkind::TailCallKind::None, LLVM::AsmDialectAttr(), ArrayAttr());
    return body(i, carried);
  });
}

SmallVector<Value> AttentionBlock::forColumns(ScoreRegion &region, bool areQueries, Value row, Value begin, Value end,
                                              int64_t step, ValueRange initial, Emitter::LoopBody body) {
  Value shift = areQueries ? e.sub(keyCount, queryCount) : Value();
  RegionSteps steps(e, region, /*areKeys=*/areQueries, shift, step);
  if (!steps)
    return e.loop(begin, end, step, initial, body);
  auto nextFrom = [&](Value column) { return steps.next({row, row}, column, end); };
  SmallVector<Value> state{nextFrom(begin)};
  llvm::append_range(state, initial);
  state = e.loopWhile(
      state, [&](ValueRange now) { return e.compare(arith::CmpIPredicate::slt, now[0], end); },
      [&](ValueRange now) {
        SmallVector<Value> carried = body(now[0], now.drop_front()), next{nextFrom(e.add(now[0], e.index(step)))};
        llvm::append_range(next, carried);
        return next;
      });
  return SmallVector<Value>(llvm::drop_begin(state));
}

void AttentionBlock::forVectors(int64_t features, function_ref<void(int64_t, int64_t)> body) {
  for (int64_t v = 0; v * e.registers.width < features; ++v)
    body(v, std::min(e.registers.width, features - v * e.registers.width));
}

namespace {
/// One query over keys: what the ops that attend have in common.
struct Query {
  ScoreRegion region;
  Value query = {}, key = {}, value = {}, result = {}, logSumExp = {}; // memory; the last two may be null
  int64_t dK = 0, dV = 0;
  Value row = {}, position = {}; // in the batch; and the key that it stands at
  KeyRange keys = {};
  function_ref<Value(Value)> keyRow = {}; // of a key's number
  Value scale = {};
};

void emitQuery(Emitter &e, AttentionBlock &block, Query &q, ProbabilityDropout *dropout) {
  int64_t width = e.registers.width;
  if (q.region)
    q.region.setQuery(q.position);
  Value none = e.f32(-1e30), begin = e.index(0);
  if (q.keys.begin) // dropout draws for 64 keys at once
    begin = e.sub(q.keys.begin, e.make<arith::RemSIOp>(q.keys.begin, e.index(AttentionBlock::step)));
  SmallVector<Value> initial{none, e.f32(0)};
  block.forVectors(q.dV, [&](int64_t, int64_t) { initial.push_back(e.f32(0)); });
  auto step = [&](Value j, ValueRange carried) {
    SmallVector<Value> scores, seen;
    for (int64_t v = 0; v < AttentionBlock::step / width; ++v) {
      Value own = e.add(e.add(j, e.index(v * width)), e.lane());
      seen.push_back(block.isIn(own, q.keys));
      scores.push_back(block.where(seen.back(), none, [&] {
        Value score = e.mul(block.dot(q.query, q.row, q.key, q.keyRow(own), q.dK, block.OfKeys), q.scale);
        return q.region ? e.mul(q.region.applyTo(score, e.toI32(own))[0], e.f32(M_LOG2E)) : score;
      }));
      if (q.region)
        seen.back() = e.make<arith::AndIOp>(seen.back(), q.region.isScore(scores.back()));
    }
    Value most = e.maximum(scores[0], scores[1]);
    Value now = e.maximum(carried[0], e.reduce(vector::CombiningKind::MAXNUMF, most));
    Value correction = emitExp2(e, e.sub(carried[0], now)), sum;
    SmallVector<Value> keeps, weights;
    if (dropout)
      keeps = dropout->keeps(e.add(e.mul(q.row, e.index(block.heads)), block.head), j);
    for (auto [v, score] : llvm::enumerate(scores)) {
      Value p = e.select(seen[v], emitExp2(e, e.sub(score, now)), e.f32(0));
      sum = sum ? e.add(sum, p) : p;
      weights.push_back(dropout ? dropout->apply(keeps[v], p) : p);
    }
    SmallVector<Value> next{now, e.fma(carried[1], correction, e.reduce(vector::CombiningKind::ADD, sum))}, outputs;
    for (Value output : carried.drop_front(2))
      outputs.push_back(e.mul(output, correction));
    // The turn may begin before the first key that is seen, and end after the last.
    Value turnBegin = q.keys.begin ? e.make<arith::MaxSIOp>(j, q.keys.begin) : j;
    for (auto [v, weight] : llvm::enumerate(weights)) {
      Value first = e.add(j, e.index(v * width));
      Value skipped = e.make<arith::MaxSIOp>(e.sub(turnBegin, first), e.index(0));
      outputs = block.accumulate(
          outputs, weight, skipped, e.min(e.sub(q.keys.end, first), e.index(width)), q.value, block.OfKeys,
          [&](Value k) { return q.keyRow(e.add(first, k)); }, q.dV);
    }
    llvm::append_range(next, outputs);
    return next;
  };
  SmallVector<Value> sums = block.forColumns(q.region, /*areQueries=*/false, q.position, begin, q.keys.end,
                                             AttentionBlock::step, initial, step);
  // A query that sees no key: zeros, and +inf so that the backward's probabilities vanish.
  Value total = sums[1], sees = e.compare(arith::CmpFPredicate::UGT, total, e.f32(0));
  if (q.result) {
    Value inverse = e.div(e.f32(1), total);
    block.forVectors(q.dV, [&](int64_t v, int64_t lanes) {
      e.storeVector(e.select(sees, e.mul(sums[2 + v], inverse), e.f32(0)), q.result,
                    {q.row, block.column(e.index(v * width), q.dV, block.OfQueries)}, lanes);
    });
  }
  if (q.logSumExp) {
    Value sum = e.fma(sums[0], e.f32(M_LN2), emitLog(e, total));
    e.onFirstLane([&] {
      e.store(e.select(sees, sum, e.f32(std::numeric_limits<float>::infinity())), q.logSumExp, {q.row, block.head});
    });
  }
}

template <typename OpT> Query queryOf(Emitter &e, OpT op, Value head) {
  Query q{.region = ScoreRegion(e, op.getScore(), op.getCaptures(), head)};
  q.query = e.placeOf(op.getQuery());
  q.key = e.placeOf(op.getKey());
  q.value = e.placeOf(op.getValue());
  q.result = e.placeOf(op.getResult());
  q.dK = op.getKeyFeatures();
  q.dV = op.getValueFeatures();
  q.scale = e.f32(op.getScale().convertToDouble() * (q.region ? 1 : M_LOG2E));
  return q;
}

void emit(Emitter &e, AttentionOp op) {
  int64_t heads = op.getHeads();
  AttentionBlock block(e, e.splitTile({e.index(heads)}), e.placeOf(op.getQueryOffsets()), e.placeOf(op.getKeyOffsets()),
                       heads, sharersOf(op));
  AttentionMasks masks(e, op);
  ProbabilityDropout dropout(e, op.getRandom(), op.getSite(), op.getRate());
  Query q = queryOf(e, op, block.head);
  q.logSumExp = e.placeOf(op.getLogSumExp());
  auto keyRow = [&](Value key) { return e.add(block.keyStart, key); };
  q.keyRow = keyRow;
  e.rows(e.index(0), block.queryCount, [&](Value i) {
    q.row = e.add(block.queryStart, i);
    q.keys = masks.visible(e, i, block.queryStart, block.queryCount, block.keyCount);
    q.position = block.position(i);
    emitQuery(e, block, q, dropout ? &dropout : nullptr);
  });
  e.finish(
      {{static_cast<int64_t>(cast<BlockArgument>(op.getQueryOffsets()).getArgNumber()), 0, -1, 1}, {-1, heads, 0, 1}});
}

/// The warps of a block: those heads that share one of keys, or some of them.
int64_t warpsOf(CachedAttentionOp op) {
  constexpr int64_t most = 8;
  int64_t warps = std::min(sharersOf(op), most);
  while (sharersOf(op) % warps)
    --warps;
  return warps;
}

/// A query over listed rows: a warp each. Heads that share keys are one block's: what one has read is in its
/// processor's cache for the others.
void emit(Emitter &e, CachedAttentionOp op) {
  int64_t heads = op.getHeads(), warps = warpsOf(op);
  SmallVector<Value> tile = e.splitTile({e.index(heads / warps)});
  if (warps > 1)
    tile[1] = e.add(e.mul(tile[1], e.index(warps)), e.warp());
  AttentionBlock block(e, heads, sharersOf(op), tile[1]);
  Value rows = e.placeOf(op.getRows()), offsets = e.placeOf(op.getRowOffsets());
  Query q = queryOf(e, op, block.head);
  q.row = tile[0];
  Value begin = e.toIndex(e.load(offsets, q.row)), end = e.toIndex(e.load(offsets, e.add(q.row, e.index(1))));
  q.keys = {{}, e.sub(end, begin)};
  if (std::optional<int64_t> window = op.getWindow())
    q.keys.begin = e.make<arith::MaxSIOp>(e.sub(q.keys.end, e.index(*window + 1)), e.index(0));
  q.position = e.sub(q.keys.end, e.index(1));
  auto keyRow = [&](Value key) { return e.toIndex(e.load(rows, e.add(begin, key))); };
  q.keyRow = keyRow;
  emitQuery(e, block, q, nullptr);
  e.finish(
      {{static_cast<int64_t>(cast<BlockArgument>(op.getQuery()).getArgNumber()), 0, 0, 1}, {-1, heads / warps, 0, 1}});
}

/// To look at: a block a head.
void emit(Emitter &e, AttentionWeightsOp op) {
  int64_t width = e.registers.width, dK = op.getKeyFeatures();
  Value query = e.placeOf(op.getQuery()), key = e.placeOf(op.getKey()), result = e.placeOf(op.getResult());
  AttentionBlock block(e, op.getHeads(), sharersOf(op), e.tile());
  Value queries = e.dim(query, 0), keyCount = e.dim(key, 0), scale = e.f32(op.getScale().convertToDouble());
  AttentionMasks masks(e, op);
  ScoreRegion region(e, op.getScore(), op.getCaptures(), block.head);
  e.rows(e.index(0), queries, [&](Value i) {
    KeyRange keys = masks.visible(e, i, e.index(0), queries, keyCount);
    if (region)
      region.setQuery(e.add(i, e.sub(keyCount, queries)));
    /// Over all keys, a thread's own at a time: the score, or what is given where it isn't seen.
    auto overKeys = [&](ValueRange initial, double otherwise, auto body) {
      return e.loop(e.index(0), keyCount, width, initial, [&](Value first, ValueRange carried) {
        Value j = e.add(first, e.lane());
        Value score = block.where(block.isIn(j, keys), e.f32(otherwise), [&] {
          Value product = e.mul(block.dot(query, i, key, j, dK, block.OfKeys), scale);
          return region ? region.applyTo(product, e.toI32(j))[0] : product;
        });
        return body(j, score, carried);
      });
    };
    using Values = SmallVector<Value>;
    Value most = overKeys(e.f32(-1e30), -1e30, [&](Value, Value score, ValueRange carried) {
      return Values{e.maximum(carried[0], score)};
    })[0];
    most = e.reduce(vector::CombiningKind::MAXNUMF, most);
    auto probability = [&](Value j, Value score) {
      Value seen = block.isIn(j, keys);
      if (region)
        seen = e.make<arith::AndIOp>(seen, region.isScore(score));
      return e.select(seen, emitExp(e, e.sub(score, most)), e.f32(0));
    };
    Value total = overKeys(e.f32(0), 0, [&](Value j, Value score, ValueRange carried) {
      return Values{e.add(carried[0], probability(j, score))};
    })[0];
    total = e.reduce(vector::CombiningKind::ADD, total);
    overKeys(ValueRange(), 0, [&](Value j, Value score, ValueRange) {
      Value p = probability(j, score), sees = e.compare(arith::CmpFPredicate::UGT, total, e.f32(0));
      e.when(e.compare(arith::CmpIPredicate::slt, j, keyCount),
             [&] { e.store(e.select(sees, e.div(p, total), e.f32(0)), result, {block.head, i, j}); });
      return Values();
    });
  });
  e.finish({{-1, static_cast<int64_t>(op.getHeads()), 0, 1}});
}
} // namespace

RegisterFile blockOfAttention(func::FuncOp kernel, RegisterFile block) {
  Attribute schedule = kernel->getAttr("xf.schedule");
  if (isa_and_nonnull<WarpgroupAttentionScheduleAttr>(schedule))
    block.warps = warpgroupWarps;
  else if (isa_and_nonnull<TensorCoreAttentionScheduleAttr>(schedule))
    block.warps = tensorCoreWarps;
  else if (auto plain = dyn_cast_or_null<PlainAttentionScheduleAttr>(schedule))
    block.warps = plain.getRows();
  return block;
}

LogicalResult scheduleAttentionGPU(func::FuncOp kernel, const RegisterFile &registers) {
  RegisterFile block = blockOfAttention(kernel, registers);
  if (auto op = dyn_cast<CachedAttentionOp>(kernel.getBody().front().front()))
    block.warps = warpsOf(op);
  scheduleForward(kernel, block, [&](Emitter &e, auto op) {
    if constexpr (std::is_same_v<decltype(op), AttentionOp>)
      if (Attribute schedule = e.kernel->getAttr("xf.schedule"); !isa<PlainAttentionScheduleAttr>(schedule))
        return isa<WarpgroupAttentionScheduleAttr>(schedule) ? emitWarpgroupAttention(e, op)
                                                             : emitAttentionTensorCore(e, op);
    emit(e, op);
  });
  return success();
}
} // namespace mlir::xf
