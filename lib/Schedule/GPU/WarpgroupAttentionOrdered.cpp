//===- WarpgroupAttentionOrdered.cpp - backward with sums in order --------===//
// A block has 128 keys of a sequence and a head of keys, and adds what they give to the gradients of queries to those
// in memory, five products in place of seven; where heads share keys it goes through them in their order. Blocks that
// add to the same queries do it in turn, later keys first, so that a sum is the same every time: a number beside the
// sums says who was the last. Blocks take their work by a ticket, in this order, and wait only for blocks with earlier
// tickets, which run already: nothing can stand still.
//
// What is needed before (D of every query) and after (the sums, rounded, as rows of the result) are works of the same
// launch, with the first and the last tickets. Keys of a block and queries of a step begin with their sequence, so that
// its bits are those that it has alone.
//===----------------------------------------------------------------------===//
#include "WarpgroupAttentionBackward.h"

namespace mlir::xf {
namespace {
int64_t argumentOf(Value tensor) { return cast<BlockArgument>(tensor).getArgNumber(); }

/// Tiles of `size` rows for all sequences: those of sequence s from number offsets[s] / size + s on. Some may be left
/// over, but their number is known of that of rows.
struct SequenceTiles {
  Emitter &e;
  Value offsets, rows; // rows of the batch, i32
  int64_t size;

  Value count() const {
    return e.add(e.make<arith::DivUIOp>(rows, e.i32(size)), e.toI32(e.sub(e.dim(offsets, 0), e.index(1))));
  }
  Value firstOf(Value sequence) const { // i32
    return e.add(e.make<arith::DivUIOp>(e.load(offsets, e.toIndex(sequence)), e.i32(size)), sequence);
  }
  /// The sequence of a tile, and its number there.
  std::pair<Value, Value> find(Value tile) const {
    using Values = SmallVector<Value>;
    Value sequence = e.loopWhile(
        {e.i32(0), e.toI32(e.sub(e.dim(offsets, 0), e.index(2)))},
        [&](ValueRange range) { return e.compare(arith::CmpIPredicate::slt, range[0], range[1]); },
        [&](ValueRange range) {
          Value middle = e.make<arith::ShRSIOp>(e.add(e.add(range[0], range[1]), e.i32(1)), e.i32(1));
          Value isBefore = e.compare(arith::CmpIPredicate::sle, firstOf(middle), tile);
          return Values{e.select(isBefore, middle, range[0]), e.select(isBefore, range[1], e.sub(middle, e.i32(1)))};
        })[0];
    return {sequence, e.sub(tile, firstOf(sequence))};
  }
};

/// What a block is to do, by its ticket: `statistics` first, then blocks of keys, and `results` at last.
struct Ticket {
  enum Counter : int64_t { Tickets, StatisticsDone, KeysDone, Ended, Counters };

  Ticket(Emitter &e, AttentionBackwardOp op)
      : e(e), keyHeads(op.getKeyValueHeadCount()),
        queryTiles{e, e.placeOf(op.getQueryOffsets()), e.toI32(e.dim(e.placeOf(op.getQuery()), 0)), step},
        keyTiles{e, e.placeOf(op.getKeyOffsets()), e.toI32(e.dim(e.placeOf(op.getKey()), 0)), WarpgroupRows::blockRows},
        counters(e.allocateGlobal({Counters}, e.b.getI32Type())) {
    auto space = e.b.getI64IntegerAttr(static_cast<int64_t>(NVVM::NVVMMemorySpace::Shared));
    Value shared = xfg::CreateMemoryOp::create(e.b, e.loc, MemRefType::get({1}, e.b.getI32Type(), AffineMap(), space),
                                               e.allocateDynamic(sizeof(int32_t)));
    e.onFirstThread([&] { e.store(e.countRound(counters, e.index(Tickets), launched()), shared, e.index(0)); });
    e.syncBlock();
    number = e.fromLane(e.load(shared, e.index(0)), e.i32(0));
    ofKeys = e.mul(keyTiles.count(), e.i32(keyHeads));
    Value later = e.sub(number, queryTiles.count());
    keyHead = e.make<arith::RemUIOp>(later, e.i32(keyHeads));
    keyTile = e.sub(e.sub(keyTiles.count(), e.i32(1)), e.make<arith::DivUIOp>(later, e.i32(keyHeads)));
    resultTile = e.sub(later, ofKeys);
  }
  static constexpr int64_t step = 64; // queries

  /// For as many blocks as GridEntry::sum says, some of which have nothing to do.
  void choose(function_ref<void()> statistics, function_ref<void()> keys, function_ref<void()> results) {
    auto isBefore = [&](Value x, Value y) { return e.compare(arith::CmpIPredicate::slt, x, y); };
    auto orElse = [&](Value condition, function_ref<void()> then, function_ref<void()> otherwise) {
      auto branch = scf::IfOp::create(e.b, e.loc, condition, /*withElseRegion=*/true);
      OpBuilder::InsertionGuard guard(e.b);
      e.b.setInsertionPointToStart(branch.thenBlock());
      then();
      e.b.setInsertionPointToStart(branch.elseBlock());
      otherwise();
    };
    orElse(isBefore(number, queryTiles.count()), statistics, [&] {
      orElse(isBefore(resultTile, e.i32(0)), keys, [&] {
        orElse(isBefore(resultTile, queryTiles.count()), results, [&] { e.onFirstThread([&] { end(); }); });
      });
    });
  }
  /// One thread's: a work is done, and waiting for all of a kind.
  void release(Counter counter) { e.releaseOneMore(counters, e.index(counter)); }
  void await(Counter counter) {
    e.awaitRelease(counters, e.index(counter), counter == StatisticsDone ? queryTiles.count() : ofKeys);
  }
  /// And the block's end: the last one leaves the counters as they were.
  void end() {
    Value before = e.countRound(counters, e.index(Ended), launched());
    e.when(e.compare(arith::CmpIPredicate::eq, before, e.sub(launched(), e.i32(1))), [&] {
      for (Counter counter : {StatisticsDone, KeysDone})
        e.store(e.i32(0), counters, e.index(counter));
    });
  }

  Emitter &e;
  int64_t keyHeads;
  SequenceTiles queryTiles, keyTiles;
  Value number, keyHead, keyTile, resultTile;

private:
  Value launched() { return NVVM::GridDimXOp::create(e.b, e.loc, e.b.getI32Type()); }
  Value counters, ofKeys;
};

class Ordered : public WarpgroupBackward {
public:
  Ordered(Emitter &e, AttentionBackwardOp op, Ticket &ticket)
      : WarpgroupBackward(e, op, e.toIndex(ticket.keyHead)), ticket(ticket), sharers(sharersOf(op)),
        tileElements(step * features) {
    int64_t queries = argumentOf(op.getQuery()), offsets = argumentOf(op.getQueryOffsets()),
            keys = argumentOf(op.getKey()), keyOffsets = argumentOf(op.getKeyOffsets());
    // Sums of each tile of queries and head; two statistics of each query and head; and who was the last to add to the
    // sums, a number each.
    Value tiles = e.toIndex(e.mul(ticket.queryTiles.count(), e.i32(heads)));
    firstStatistic = e.mul(tiles, e.index(tileElements));
    firstLast = e.add(firstStatistic, e.mul(e.dim(query, 0), e.index(2 * heads)));
    memory = e.workspace(workspaceInOrder(op));
    // 128 a block: two works a tile of 64 queries, and one a head of keys of a tile of these.
    int64_t keyHeads = ticket.keyHeads;
    e.setGridSum({{queries, 0, 4}, {offsets, 0, 256}, {keys, 0, keyHeads}, {keyOffsets, 0, 128 * keyHeads}});
    gradients = xfg::TileType::get(e.b.getBF16Type(), 2 * WarpgroupRows::blockRows, step);
    gradientTile = xfg::CreateTileOp::create(e.b, e.loc, gradients, e.allocateDynamic(gradients.getBytes()));
    sums.resize(isWide ? 1 : 2); // of wide heads shared memory has room for one slot
    for (Value &slot : sums)
      slot = allocate({features / 8, WarpgroupRows::groupThreads, 4}, e.b.getF32Type());
    e.syncBlock();
  }

  void emit() {
    ticket.choose([&] { emitStatistics(); }, [&] { emitKeys(); }, [&] { emitResults(); });
  }

private:
  enum Barrier : int64_t { Together = 3, Full, Empty = Full + 2 }; // Full and Empty: of each slot of sums
  void emitStatistics();
  void emitKeys();
  void emitResults();

  struct Keys {
    Value sequence, number, isAny; // of the sequence's tiles, and whether it has so many
    Sequence rows;
  };
  /// For the heads of queries that read the block's keys, in their order, of which each is `head` then; what is carried
  /// begins with the turn of the rings.
  Values forHeads(ValueRange initial, function_ref<Values(ValueRange)> body);
  Value headAnew() override;
  ColumnSteps stepsOf(WarpgroupRows &rows, const Keys &keys, Value turn);
  void copy(WarpgroupRows &rows, const Keys &keys);
  void compute(WarpgroupRows &rows, const Keys &keys);
  /// Adds to sums in memory what warpgroups have left.
  void write(WarpgroupRows &rows, const Keys &keys);

  void shareStatistics(WarpgroupRows &rows, const Sequence &sequence, Value number, Value turn, Value place,
                       bool withCorrections) override;
  Values addProducts(WarpgroupRows &rows, Value turn, const KeyTiles &tiles, ArrayRef<Value> probabilities,
                     ArrayRef<Value> differences, ValueRange gradients) override;
  /// Begins to load what the warpgroup shares in a step, and shares it: a step ahead, as memory is far.
  void load(WarpgroupRows &rows, const Sequence &sequence, Value number);
  void shareNext(WarpgroupRows &rows, Value turn);
  /// Of both warpgroups' gradients of scores, in turn `turn`.
  Value gradientsOf(Value turn, Value row, int64_t rows);
  /// The products of gradients of scores with the block's keys, of columns that a warpgroup takes; they lie side by
  /// side from `columnOfGroup` on.
  Values beginQueryGradient(WarpgroupRows &rows, Value turn, Value keys);
  int64_t partColumns() const { return features % 64 == 0 ? 64 : 32; }
  int64_t parts() const { return features == 96 ? 2 : 1; }
  int64_t columnsBetweenGroups() const { return features - partColumns() * parts(); }
  /// Leaves a warpgroup's half of them for the writer.
  void leave(WarpgroupRows &rows, Value turn, ArrayRef<Value> elements);
  void store(WarpgroupRows rows, Value tile, Value accumulator, double factor, Value map, Value matrix,
             int64_t features);
  void barrier(Value number, int64_t warps, bool arrives = false) {
    int64_t threads = WarpgroupRows::groups * WarpgroupRows::groupThreads + warps * 32;
    xfg::BarrierOp::create(e.b, e.loc, number, threads, arrives);
  }
  /// Of the warpgroups that compute and the writer, for the slot of sums of a turn (i32).
  void meetWriter(Barrier barrierOfFirst, Value turn, bool arrives = false) {
    barrier(e.toIndex(e.add(e.i32(barrierOfFirst), slotOf(turn))), /*warps=*/1, arrives);
  }
  Value slotOf(Value turn) { return e.make<arith::AndIOp>(turn, e.i32(static_cast<int32_t>(sums.size()) - 1)); }
  Value sumsOf(Value turn) {
    return e.select(e.compare(arith::CmpIPredicate::eq, slotOf(turn), e.i32(0)), sums.front(), sums.back());
  }
  /// Once for each slot.
  void forSlots(function_ref<void(Value)> body) {
    for (int32_t slot = 0; slot < static_cast<int32_t>(sums.size()); ++slot)
      body(e.i32(slot));
  }
  Value statisticOf(Value kind, Value head, Value row) { // indices
    Value place = e.add(e.mul(kind, e.index(heads)), head);
    return e.add(firstStatistic, e.add(e.mul(place, e.dim(query, 0)), row));
  }
  /// Of a tile of queries and a head: its number, which sums and the last who added lie by.
  Value sumOf(Value tile, Value head) { return e.add(e.mul(e.toIndex(tile), e.index(heads)), head); }

  Ticket &ticket;
  int64_t sharers; // heads of queries that share one of keys and values
  Value shared;    // which of them it is, by forSharers' number; null where heads share none
  int64_t tileElements;
  Value memory, firstStatistic, firstLast;
  xfg::TileType gradients;
  struct {
    SharedQuery query;
    Value statistic, length;
  } next;
  Value gradientTile; // of scores, twice a block's
  Values sums; // slots of a step's: for every 8 columns of the head four numbers a thread, as accumulators have them
};

//===-- Before: D ---------------------------------------------------------===//
/// Of 64 rows, whatever sequences they are of. Four threads share a row's head.
void Ordered::emitStatistics() {
  constexpr int64_t threads = 4, piece = 8;
  Value thread = e.toI32(e.thread()), part = e.make<arith::RemUIOp>(thread, e.i32(threads));
  Value first = e.mul(ticket.number, e.i32(step)), zero = e.i32(0);
  Value rows = e.make<arith::MaxSIOp>(e.min(e.sub(ticket.queryTiles.rows, first), e.i32(step)), zero);
  Value pairs = e.mul(rows, e.i32(heads));
  auto type = VectorType::get(piece, e.b.getBF16Type());
  e.loop(zero, pairs, e.registers.threads() / threads, [&](Value begin) {
    Value own = e.add(begin, e.make<arith::DivUIOp>(thread, e.i32(threads))),
          pair = e.min(own, e.sub(pairs, e.i32(1))); // all go through the exchange below
    Value row = e.toIndex(e.add(first, e.make<arith::DivUIOp>(pair, e.i32(heads)))),
          head = e.make<arith::RemUIOp>(pair, e.i32(heads));
    Values loaded[2];
    for (int64_t i = 0; i < valueFeatures; i += piece * threads)
      for (auto [matrix, vectors] : llvm::zip(std::array{cotangent, forward}, loaded)) {
        Value column = e.add(e.mul(head, e.i32(valueFeatures)), e.add(e.mul(part, e.i32(piece)), e.i32(i)));
        vectors.push_back(vector::LoadOp::create(e.b, e.loc, type, matrix, ValueRange{row, e.toIndex(column)},
                                                 /*nontemporal=*/false, llvm::Align(16)));
      }
    Value sum = e.f32(0);
    for (auto [x, y] : llvm::zip(loaded[0], loaded[1])) {
      Value a = e.widen(x), b = e.widen(y);
      for (int64_t i = 0; i < piece; ++i)
        sum = e.fma(vector::ExtractOp::create(e.b, e.loc, a, i), vector::ExtractOp::create(e.b, e.loc, b, i), sum);
    }
    for (int64_t bit : {1, 2})
      sum = e.add(sum, e.fromPartner(sum, bit));
    auto isPart = [&](int64_t number) {
      return e.make<arith::AndIOp>(e.compare(arith::CmpIPredicate::eq, part, e.i32(number)),
                                   e.compare(arith::CmpIPredicate::slt, own, pairs));
    };
    Value at = e.toIndex(head);
    e.when(isPart(0), [&] {
      e.store(e.mul(e.load(logSumExp, {row, at}), e.f32(-M_LOG2E)), memory, statisticOf(e.index(0), at, row));
    });
    e.when(isPart(1), [&] { e.store(sum, memory, statisticOf(e.index(1), at, row)); });
  });
  // Nobody has added to the sums of as many tiles yet.
  e.elements(e.index(0), e.index(heads),
             [&](Value head) { e.store(e.f32(0), memory, e.add(firstLast, sumOf(ticket.number, head))); });
  e.syncBlock();
  e.onFirstThread([&] {
    ticket.release(Ticket::StatisticsDone);
    ticket.end();
  });
}

//===-- Blocks of keys ----------------------------------------------------===//
void Ordered::emitKeys() {
  auto [sequence, number] = ticket.keyTiles.find(ticket.keyTile);
  Value at = e.toIndex(sequence);
  auto [queryStart, queryCount] = rowsOf(e, queryOffsets, at);
  auto [keyStart, keyCount] = rowsOf(e, keyOffsets, at);
  Keys keys{sequence, number, {}, {queryStart, queryCount, keyStart, keyCount}};
  keys.isAny = e.compare(arith::CmpIPredicate::slt, e.mul(number, e.i32(WarpgroupRows::blockRows)), keyCount);
  auto branch = scf::IfOp::create(e.b, e.loc, keys.isAny, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(e.b);
  e.b.setInsertionPointToStart(branch.elseBlock());
  e.onFirstThread([&] {
    ticket.release(Ticket::KeysDone);
    ticket.end();
  });
  e.b.setInsertionPointToStart(branch.thenBlock());
  e.onFirstThread([&] { ticket.await(Ticket::StatisticsDone); });
  e.syncBlock();
  auto roles = xfg::RolesOp::create(e.b, e.loc, 24, 240);
  auto emit = [&](Region &region, bool computes, void (Ordered::*body)(WarpgroupRows &, const Keys &)) {
    e.b.createBlock(&region);
    WarpgroupRows rows(e, core, keys.number, e.add(keyStart, keyCount), computes, keyStart);
    setFew(rows);
    rows.isTogether = true;
    (this->*body)(rows, keys);
  };
  emit(roles.getProducer(), false, &Ordered::copy);
  emit(roles.getConsumers(), true, &Ordered::compute);
  emit(roles.getWriter(), false, &Ordered::write);
}

Ordered::Values Ordered::forHeads(ValueRange initial, function_ref<Values(ValueRange)> body) {
  if (sharers == 1)
    return body(initial);
  shared = e.mul(ticket.keyHead, e.i32(sharers));
  return forSharers(e, shared, sharers, initial, [&](Value number, ValueRange carried) {
    head = e.toIndex(number);
    if (region)
      region.setHead(head);
    return body(carried);
  });
}

Value Ordered::headAnew() { return shared && isTight ? e.toIndex(e.anew(shared)) : Value(); }

ColumnSteps Ordered::stepsOf(WarpgroupRows &rows, const Keys &keys, Value turn) {
  ColumnSteps steps = rows.stepsOf(keys.rows, masks, region, /*areKeys=*/true, step);
  steps.turn = turn;
  return steps;
}

void Ordered::copy(WarpgroupRows &rows, const Keys &keys) {
  Value keyHead = e.toIndex(ticket.keyHead);
  own.fill(keyBlocks, rows.begin, columnOf(keyHead, features), e.i32(0));
  ownValues.fill(valueBlocks, rows.begin, columnOf(keyHead, valueFeatures), e.i32(0));
  forHeads(e.i32(0), [&](ValueRange turn) {
    return fill(rows, stepsOf(rows, keys, turn[0]), keys.rows.queryStart, head,
                {{&others, querySteps}, {&otherValues, cotangentSteps}});
  });
}

void Ordered::compute(WarpgroupRows &rows, const Keys &keys) {
  KeyTiles tiles{own.await(e.i32(0)), ownValues.await(e.i32(0))};
  Values sums = forHeads({e.i32(0), zeros(features), zeros(valueFeatures)}, [&](ValueRange carried) {
    ColumnSteps steps = stepsOf(rows, keys, carried[0]);
    Step at = steps.first();
    e.when(e.compare(arith::CmpIPredicate::slt, at.number, steps.end), [&] {
      load(rows, keys.rows, at.number);
      shareNext(rows, carried[0]);
    });
    rows.meet();
    // Queries past the sequence's end have a log_sum_exp by which they vanish.
    Values next = rows.forMasked(steps, at, /*masksBegin=*/true, /*masksEnd=*/masks.window.has_value(),
                                 carried.drop_front(), [&](Step now, bool needsMask, ValueRange carried) {
                                   return stepOfKeys(rows, keys.rows, steps, now, tiles, carried, needsMask);
                                 });
    next.insert(next.begin(), steps.turnOf(e, at));
    return next;
  });
  // The other warpgroup has read the block's keys, over which results are written.
  forSlots([&](Value slot) { meetWriter(Empty, slot); });
  unsigned first = e.kernel.getNumArguments();
  store(rows, tiles.keys, sums[1], scale, keyGradient, e.function.getArgument(first + 1), features);
  store(rows, tiles.values, sums[2], kept, valueGradient, e.function.getArgument(first + 2), valueFeatures);
}

void Ordered::write(WarpgroupRows &rows, const Keys &keys) {
  ColumnSteps steps = stepsOf(rows, keys, e.i32(0));
  auto [nextBegin, nextEnd] = rows.stepsOfNext(keys.rows, masks, /*areKeys=*/true, step);
  Value firstTile = ticket.queryTiles.firstOf(keys.sequence), name = e.add(keys.number, e.i32(1));
  Value isFirst = e.compare(arith::CmpIPredicate::eq, e.toI32(e.lane()), e.i32(0));
  forSlots([&](Value slot) { meetWriter(Empty, slot, /*arrives=*/true); });
  // An addition is in memory long after it has read its numbers: the next block of keys is told a step later, and the
  // next addition begins before.
  auto tell = [&](int64_t pending, Value before) {
    xfg::WaitCopiesOp::create(e.b, e.loc, pending, /*written=*/true);
    xfg::FenceCopiesOp::create(e.b, e.loc, /*in_memory=*/true);
    e.when(e.compare(arith::CmpIPredicate::sge, before, e.index(0)), [&] { e.release(memory, before, name); });
  };
  auto writeStep = [&](Step now, ValueRange carried) {
    Value turn = carried[0], before = carried[1], from = sumsOf(turn);
    Value sum = sumOf(e.add(firstTile, now.number), head), to = e.mul(sum, e.index(tileElements)),
          last = e.add(firstLast, sum);
    // The next block of keys comes before this one, if it has such a step. Whoever is the first need not add.
    Value isLater = e.make<arith::AndIOp>(e.compare(arith::CmpIPredicate::sle, nextBegin, now.number),
                                          e.compare(arith::CmpIPredicate::slt, now.number, nextEnd));
    meetWriter(Full, turn);
    e.when(isFirst, [&] {
      auto branch = scf::IfOp::create(e.b, e.loc, isLater, /*withElseRegion=*/true);
      {
        OpBuilder::InsertionGuard guard(e.b);
        e.b.setInsertionPointToStart(branch.thenBlock());
        e.awaitRelease(memory, last, e.add(name, e.i32(1)));
        xfg::FenceCopiesOp::create(e.b, e.loc, /*in_memory=*/true);
        xfg::CopyRunOutOp::create(e.b, e.loc, from, memory, to, /*adds=*/true);
        e.b.setInsertionPointToStart(branch.elseBlock());
        xfg::CopyRunOutOp::create(e.b, e.loc, from, memory, to, /*adds=*/false);
      }
      xfg::WaitCopiesOp::create(e.b, e.loc, 0, /*written=*/false);
    });
    e.syncWarp();
    meetWriter(Empty, turn, /*arrives=*/true);
    e.when(isFirst, [&] { tell(1, before); });
    e.syncWarp();
    return Values{e.add(turn, e.i32(1)), last};
  };
  Value before = forHeads({e.i32(0), e.index(-1)}, [&](ValueRange carried) {
    Step at = steps.first();
    return rows.forSteps(steps, at, steps.end, carried, writeStep);
  })[1];
  e.when(isFirst, [&] {
    tell(0, before);
    ticket.release(Ticket::KeysDone);
    ticket.end();
  });
}

void Ordered::load(WarpgroupRows &rows, const Sequence &sequence, Value number) {
  next.query = sharedQueryOf(rows, sequence, number);
  next.statistic = e.load(memory, statisticOf(e.toIndex(next.query.half), head, next.query.row));
  next.length = lengths ? e.load(masks.lengths, next.query.row) : Value();
}
void Ordered::shareNext(WarpgroupRows &rows, Value turn) {
  Value isFirst = e.compare(arith::CmpIPredicate::eq, next.query.half, e.i32(0));
  Value none = e.select(isFirst, e.f32(-std::numeric_limits<float>::infinity()), e.f32(0));
  share(next.query, placeOf(rows, turn), e.select(next.query.isQuery, next.statistic, none), next.length);
}
/// Those of the step have been shared in the one before, whose barrier others have come to since.
void Ordered::shareStatistics(WarpgroupRows &rows, const Sequence &sequence, Value number, Value, Value, bool) {
  if (dropout)
    rows.meet();
  load(rows, sequence, e.add(number, e.i32(1)));
}

Value Ordered::gradientsOf(Value turn, Value row, int64_t rows) {
  auto type = xfg::TileType::get(e.b.getContext(), rows, step, gradients.getElementType(), gradients.getPanel());
  Value first = e.mul(e.make<arith::AndIOp>(turn, e.i32(1)), e.i32(WarpgroupRows::blockRows));
  return xfg::SubtileOp::create(e.b, e.loc, type, gradientTile, e.toIndex(e.add(first, row)), e.index(0));
}

Ordered::Values Ordered::beginQueryGradient(WarpgroupRows &rows, Value turn, Value keys) {
  auto whole = cast<xfg::TileType>(keys.getType());
  auto part =
      xfg::TileType::get(e.b.getContext(), whole.getRows(), partColumns(), whole.getElementType(), whole.getPanel());
  auto type = xfg::AccumulatorType::get(e.b.getContext(), step, partColumns(), e.b.getF32Type());
  Value a = gradientsOf(turn, e.i32(0), WarpgroupRows::blockRows),
        adds = arith::ConstantIntOp::create(e.b, e.loc, 0, 1);
  Value begin = e.mul(rows.group, e.i32(columnsBetweenGroups()));
  Values results;
  xfg::FenceOp::create(e.b, e.loc);
  for (int64_t i = 0; i < parts(); ++i) {
    Value b =
        xfg::SubtileOp::create(e.b, e.loc, part, keys, e.index(0), e.toIndex(e.add(begin, e.i32(i * partColumns()))));
    Value none = xfg::UndefinedOp::create(e.b, e.loc, type);
    results.push_back(xfg::MmaOp::create(e.b, e.loc, type, a, b, none, adds, /*transposeA=*/true,
                                         /*transposeB=*/false));
  }
  xfg::CommitOp::create(e.b, e.loc);
  return results;
}

void Ordered::leave(WarpgroupRows &rows, Value turn, ArrayRef<Value> elements) {
  // Both warpgroups have some columns in common where a half is no panel.
  int64_t count = features / 4, skipped = (features / 2 - columnsBetweenGroups()) / 2;
  Value isSecond = e.compare(arith::CmpIPredicate::ne, rows.group, e.i32(0));
  meetWriter(Empty, turn);
  Value to = sumsOf(turn), first = e.mul(rows.group, e.i32(count / 4)), thread = e.toIndex(rows.thread());
  for (int64_t i = 0; i < count; i += 4) {
    Values four;
    for (int64_t j = i; j < i + 4; ++j)
      four.push_back(skipped ? e.select(isSecond, elements[skipped + j], elements[j]) : elements[j]);
    Value vector = vector::FromElementsOp::create(e.b, e.loc, VectorType::get(4, e.b.getF32Type()), four);
    vector::StoreOp::create(e.b, e.loc, vector, to,
                            ValueRange{e.toIndex(e.add(first, e.i32(i / 4))), thread, e.index(0)},
                            /*nontemporal=*/false, llvm::Align(16));
  }
  xfg::FenceCopiesOp::create(e.b, e.loc);
  meetWriter(Full, turn, /*arrives=*/true);
}

Ordered::Values Ordered::addProducts(WarpgroupRows &rows, Value turn, const KeyTiles &tiles,
                                     ArrayRef<Value> probabilities, ArrayRef<Value> differences, ValueRange gradients) {
  Value values = beginProduct(e, fragmentOf(e, probabilities), otherValues.tile(turn), valueFeatures, gradients[1],
                              /*transposeB=*/false);
  Value ownGradients = gradientsOf(turn, e.mul(rows.group, e.i32(WarpgroupRows::groupRows)), WarpgroupRows::groupRows);
  xfg::WriteOp::create(e.b, e.loc, differences, ownGradients);
  shareNext(rows, e.add(turn, e.i32(1)));
  xfg::FenceCopiesOp::create(e.b, e.loc);
  barrier(e.index(Together), /*warps=*/0);
  Values done = beginQueryGradient(rows, turn, tiles.keys);
  Value keys = beginProduct(e, fragmentOf(e, differences), others.tile(turn), features, gradients[0],
                            /*transposeB=*/false);
  done.push_back(values);
  auto wait = xfg::WaitOp::create(e.b, e.loc, TypeRange(ValueRange(done)), /*pending=*/1, done);
  done.assign(wait.getResults().begin(), wait.getResults().end());
  values = done.pop_back_val();
  otherValues.release(turn);
  Values elements;
  for (Value part : done)
    llvm::append_range(elements, elementsOf(e, part));
  leave(rows, turn, elements);
  keys = awaitProduct(e, 0, keys);
  others.release(turn);
  return {keys, values};
}

void Ordered::store(WarpgroupRows rows, Value tile, Value accumulator, double factor, Value map, Value matrix,
                    int64_t features) {
  Anew anew(rows, isTight);
  Value keyHead = shared ? e.toIndex(e.make<arith::DivUIOp>(e.sub(shared, e.i32(1)), e.i32(sharers))) : head;
  Values elements = elementsOf(e, accumulator);
  for (Value &element : elements)
    element = e.mul(element, e.f32(factor));
  // Rows past the sequence's end are others'.
  Value isWhole =
      e.compare(arith::CmpIPredicate::sle, e.add(rows.groupBegin, e.i32(WarpgroupRows::groupRows)), rows.end);
  auto branch = scf::IfOp::create(e.b, e.loc, isWhole, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(e.b);
  e.b.setInsertionPointToStart(branch.thenBlock());
  rows.store(elements, tile, map, columnOf(keyHead, features));
  e.b.setInsertionPointToStart(branch.elseBlock());
  rows.store(elements, matrix, columnOf(keyHead, features));
}

//===-- After: sums as rows -----------------------------------------------===//
/// Of a tile of queries, all heads. A thread has pairs of four eighths of columns, and gets four pairs of one.
void Ordered::emitResults() {
  auto [sequence, number] = ticket.queryTiles.find(ticket.resultTile);
  auto [start, count] = rowsOf(e, queryOffsets, e.toIndex(sequence));
  Value begin = e.mul(number, e.i32(step)), rest = e.sub(count, begin);
  e.onFirstThread([&] {
    ticket.await(Ticket::KeysDone);
    ticket.end();
  });
  e.syncBlock();
  Value matrix = e.function.getArgument(e.kernel.getNumArguments());
  constexpr int64_t threads = WarpgroupRows::groupThreads, unit = 32; // columns that four threads have of a row
  Value first = e.add(start, begin);
  auto four = VectorType::get(4, e.b.getF32Type());
  e.when(e.compare(arith::CmpIPredicate::sgt, rest, e.i32(0)), [&] {
    e.elements(e.index(0), e.index(heads * (features / unit) * threads), [&](Value i) {
      Value thread = e.make<arith::RemUIOp>(i, e.index(threads)), units = e.make<arith::DivUIOp>(i, e.index(threads));
      Value unitOfHead = e.make<arith::RemUIOp>(units, e.index(features / unit)),
            head = e.make<arith::DivUIOp>(units, e.index(features / unit));
      Value sum = sumOf(ticket.resultTile, head), last = e.load(memory, e.add(firstLast, sum));
      Value isAny = e.compare(arith::CmpIPredicate::ne, arith::BitcastOp::create(e.b, e.loc, e.b.getI32Type(), last),
                              e.i32(0)); // otherwise nothing was written
      Value from = e.add(e.mul(sum, e.index(tileElements)),
                         e.mul(e.add(e.mul(unitOfHead, e.index(4 * threads)), thread), e.index(4)));
      Values vectors = e.choose(
          isAny,
          [&] {
            Values loaded;
            for (int64_t eighth = 0; eighth < 4; ++eighth)
              loaded.push_back(vector::LoadOp::create(e.b, e.loc, four, memory,
                                                      ValueRange{e.add(from, e.index(eighth * 4 * threads))},
                                                      /*nontemporal=*/false, llvm::Align(16)));
            return loaded;
          },
          [&] { return Values(4, arith::ConstantOp::create(e.b, e.loc, e.b.getZeroAttr(four))); });
      Value lane = e.make<arith::RemUIOp>(e.toI32(thread), e.i32(4));
      Value row = e.add(e.mul(e.make<arith::DivUIOp>(e.toI32(thread), e.i32(32)), e.i32(16)),
                        e.make<arith::DivUIOp>(e.make<arith::RemUIOp>(e.toI32(thread), e.i32(32)), e.i32(4)));
      for (int64_t half : {0, 1}) { // eight rows further
        std::array<Value, 4> pairs;
        for (auto [pair, vector] : llvm::zip_equal(pairs, vectors)) {
          Values two;
          for (int64_t j : {2 * half, 2 * half + 1})
            two.push_back(e.mul(vector::ExtractOp::create(e.b, e.loc, vector, j), e.f32(scale)));
          Value rounded =
              e.narrow(vector::FromElementsOp::create(e.b, e.loc, VectorType::get(2, e.b.getF32Type()), two));
          Value bits = vector::BitCastOp::create(e.b, e.loc, VectorType::get(1, e.b.getI32Type()), rounded);
          pair = vector::ExtractOp::create(e.b, e.loc, bits, 0);
        }
        pairs = exchanged(e, pairs, lane, 1);
        Value own = e.add(row, e.i32(8 * half));
        Value column = e.add(e.mul(e.toI32(head), e.i32(features)),
                             e.add(e.mul(e.toI32(unitOfHead), e.i32(unit)), e.mul(lane, e.i32(8))));
        e.when(e.compare(arith::CmpIPredicate::slt, own, rest), [&] {
          Value words = vector::FromElementsOp::create(e.b, e.loc, VectorType::get(4, e.b.getI32Type()),
                                                       ValueRange(ArrayRef<Value>(pairs)));
          Value eight = vector::BitCastOp::create(e.b, e.loc, VectorType::get(8, e.b.getBF16Type()), words);
          vector::StoreOp::create(e.b, e.loc, eight, matrix,
                                  ValueRange{e.toIndex(e.add(first, own)), e.toIndex(column)},
                                  /*nontemporal=*/false, llvm::Align(16));
        });
      }
    });
  });
}
} // namespace

SmallVector<ExtentTerm> workspaceInOrder(AttentionBackwardOp op) {
  int64_t heads = op.getHeads(), features = op.getKeyFeatures();
  return {{argumentOf(op.getQuery()), 0, heads * (features + 3)},
          {argumentOf(op.getQueryOffsets()), 0, heads * (Ticket::step * features + 1)}};
}

void emitWarpgroupAttentionOrdered(Emitter &e, AttentionBackwardOp op) {
  Ticket ticket(e, op);
  Ordered(e, op, ticket).emit();
  divideByOneInstruction(e);
  e.finish({{GridEntry::sum, 0, 0, 128}});
}
} // namespace mlir::xf
