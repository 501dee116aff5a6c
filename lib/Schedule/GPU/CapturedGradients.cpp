//===- CapturedGradients.cpp - sums for what scores capture ---------------===//
#include "CapturedGradients.h"
#include "AttentionTensorCore.h"
#include <cmath>

namespace mlir::xf {

//===-- Sums ----------------------------------------------------------------===//
static int64_t sizeOf(AttentionBackwardOp op, unsigned number) { // elements of a head
  return cast<RankedTensorType>(op.getCapturedGradients()[number].getType()).getDimSize(1) /
         static_cast<int64_t>(op.getHeads());
}

int64_t CapturedSums::warpsFor(AttentionBackwardOp op, int64_t most, int64_t bytes, int64_t ofWarp) {
  constexpr int64_t room = 48 << 10; // of a block whose kernel asks for no more
  for (unsigned i = 0; i < op.getCapturedGradients().size(); ++i)
    ofWarp += llvm::alignTo(sizeOf(op, i) * 4, 16);
  return llvm::bit_floor(static_cast<uint64_t>(std::clamp<int64_t>((room - bytes) / ofWarp, 0, most)));
}

CapturedSums::CapturedSums(Emitter &e, AttentionBackwardOp op, Value sequence, Value head, bool inShared)
    : e(e), sequence(sequence), head(head) {
  for (auto [i, capture] : llvm::enumerate(capturesWithGradients(op.getScore()))) {
    int64_t size = sizeOf(op, i);
    sums.push_back({capture, e.placeOf(op.getCapturedGradients()[i]),
                    inShared ? e.allocateShared({e.registers.warps, size}) : Value(), size,
                    !isOfHeads(op.getScore(), capture, op.getHeads())});
    const Sum &sum = sums.back();
    e.loop(e.lane(), e.index(size), e.registers.width,
           [&](Value number) { e.store(e.f32(0), memoryOf(sum), placeOf(sum, number)); });
  }
  e.syncWarp();
}

SmallVector<Value> CapturedSums::placeOf(const Sum &sum, Value number) {
  if (sum.copies)
    return {e.warp(), number};
  return {sequence, e.add(e.mul(head, e.index(sum.size)), number)};
}

void CapturedSums::addWhere(const Sum &sum, Value condition, Value number, Value value) {
  e.when(condition, [&] {
    SmallVector<Value> at = placeOf(sum, number);
    e.store(e.add(e.load(memoryOf(sum), at), value), memoryOf(sum), at);
  });
  e.syncWarp();
}

void CapturedSums::add(unsigned capture, Value element, Value value) {
  const Sum &sum = *llvm::find_if(sums, [&](const Sum &sum) { return sum.capture == capture; });
  auto both = [&](Value x, Value y) { return e.make<arith::AndIOp>(x, y); };
  auto compare = [&](arith::CmpIPredicate predicate, Value x, Value y) { return e.compare(predicate, x, y); };
  Value number = e.toIndex(sum.isShared ? element : e.sub(element, e.toI32(e.mul(head, e.index(sum.size)))));
  Value isThere = compare(arith::CmpIPredicate::sge, element, e.i32(0));
  Value before = e.sub(e.make<arith::ShLIOp>(e.i32(1), e.toI32(e.lane())), e.i32(1));
  // Threads with the same element take turns; most often there is one a thread.
  Value peers = e.peersOf(element), turn = e.populationOf(both(peers, before));
  Value isOther = both(isThere, compare(arith::CmpIPredicate::ne, peers, e.ballot(isThere)));
  Value isOne = compare(arith::CmpIPredicate::eq, e.ballot(isOther), e.i32(0));
  using Values = SmallVector<Value>;
  e.choose(
      isOne,
      [&] { // Distances past the last one share an element: one sum.
        Value total = e.reduce(vector::CombiningKind::ADD, e.select(isThere, value, e.f32(0)));
        Value isFirst = both(isThere, compare(arith::CmpIPredicate::eq, turn, e.i32(0)));
        addWhere(sum, isFirst, number, total);
        return Values();
      },
      [&] {
        e.loopWhile(
            {e.i32(0)},
            [&](ValueRange now) {
              Value waits = both(isThere, compare(arith::CmpIPredicate::sge, turn, now[0]));
              return compare(arith::CmpIPredicate::ne, e.ballot(waits), e.i32(0));
            },
            [&](ValueRange now) {
              Value isNow = both(isThere, compare(arith::CmpIPredicate::eq, turn, now[0]));
              addWhere(sum, isNow, number, value);
              return Values{e.add(now[0], e.i32(1))};
            });
        return Values();
      });
}

void CapturedSums::finish() {
  e.syncBlock();
  for (const Sum &sum : sums)
    if (sum.copies)
      e.elements(e.index(0), e.index(sum.size), [&](Value number) {
        Value total;
        for (int64_t warp = 0; warp < e.registers.warps; ++warp) {
          Value part = e.load(sum.copies, {e.index(warp), number});
          total = total ? e.add(total, part) : part;
        }
        e.store(total, sum.result, {sequence, e.add(e.mul(head, e.index(sum.size)), number)});
      });
}

//===-- Scores by tensor cores ----------------------------------------------===//
namespace {
/// As the backward's first half (AttentionTensorCoreBackward.cpp) computes them, with a warp's 16 queries in registers.
/// What a thread has there of the scores of 32 keys is laid out as a row a query, a thread a key.
class Scores {
public:
  Scores(Emitter &e, AttentionBackwardOp op, ArrayRef<Value> tile, CapturedSums &sums)
      : e(e), sums(sums), core(e), heads(op.getHeads()), head(tile[1]),
        cotangent(matrixOf(e.placeOf(op.getCotangent()))), query(matrixOf(e.placeOf(op.getQuery()))),
        key(matrixOf(e.placeOf(op.getKey()), sharersOf(op))), value(matrixOf(e.placeOf(op.getValue()), sharersOf(op))),
        forward(matrixOf(e.placeOf(op.getForwardResult()))), logSumExp(e.placeOf(op.getLogSumExp())), masks(e, op),
        dropout(e, op.getRandom(), op.getSite(), op.getRate()), region(e, op.getScore(), op.getCaptures(), head),
        copied(e, key.features, value.features, stages), scale(op.getScale().convertToDouble()),
        kept(dropout ? 1 / (1 - dropout.rate.convertToDouble()) : 1) {
    auto [queryStart, queryCount] = rowsOf(e, e.placeOf(op.getQueryOffsets()), tile[0]);
    auto [keyStart, keyCount] = rowsOf(e, e.placeOf(op.getKeyOffsets()), tile[0]);
    sequence = {queryStart, queryCount, keyStart, keyCount};
    // An odd number of numbers a row: eight threads' rows lie in different banks.
    SmallVector<int64_t> shape{e.registers.warps, laidRows, width + 1};
    elements = e.allocateShared(shape, e.b.getI32Type());
    values = e.allocateShared(shape);
  }

  /// Of a block's shared memory: all that its warps share, and what each has.
  static int64_t sharedBytes(int64_t features, int64_t valueFeatures) {
    return stages *
           (SharedRows::bytes(CopiedRows::step, features) + SharedRows::bytes(CopiedRows::step, valueFeatures));
  }
  static constexpr int64_t bytesOfWarp() { return 2 * laidRows * (width + 1) * 4; }

  void emit() {
    int64_t size = e.registers.warps * rowsOfWarp;
    Value tiles = e.make<arith::DivUIOp>(e.add(sequence.queryCount, e.i32(size - 1)), e.i32(size));
    e.loop(e.i32(0), tiles, 1, [&](Value number) {
      RowBlock block(e, core, number, sequence.queryCount, 1);
      block.begin = e.add(block.begin, sequence.queryStart);
      block.end = e.add(block.end, sequence.queryStart);
      block.findRows();
      emitRows(block);
    });
  }

private:
  static constexpr int64_t rowsOfWarp = 16, width = RegisterFile::warpThreads, together = width / 8;
  static constexpr int64_t laidRows = 8, stages = 1; // for the memory that sums take
  struct Addition {
    unsigned capture;
    SmallVector<Value> elements, values; // of one of a thread's rows, in the order of `forThread`
  };

  HeadMatrix matrixOf(Value memory, int64_t sharers = 1) { return HeadMatrix(e, memory, heads, sharers); }
  SmallVector<Fragment> loadLefts(const RowBlock &block, const HeadMatrix &matrix) {
    SmallVector<Fragment> result;
    for (int64_t column = 0; column < matrix.features; column += 16)
      result.push_back(core.loadLeft(matrix, {block.rows[0].number, block.rows[1].number},
                                     {block.rows[0].inside, block.rows[1].inside}, column));
    return result;
  }
  /// The products with a tile's rows from `first` on.
  SmallVector<Fragment> productsOf(ArrayRef<Fragment> left, const SharedRows &rows, Value place, int64_t first) {
    SmallVector<Fragment> products(together, core.zeros());
    for (auto [k, fragment] : llvm::enumerate(left))
      for (int64_t n = 0; n < together; n += 2) {
        Fragment right = core.load(rows, place, first + n * 8, k * 16, /*transposed=*/false);
        core.multiply(products[n], fragment, right[0], right[1]);
        core.multiply(products[n + 1], fragment, right[2], right[3]);
      }
    return products;
  }
  /// body(fragment, column of its two there) for what a thread has of a row.
  static void forThread(function_ref<void(int64_t, int64_t)> body) {
    for (int64_t n = 0; n < together; ++n)
      for (int64_t c = 0; c < 2; ++c)
        body(n, c);
  }

  void emitRows(RowBlock &block) {
    SmallVector<Fragment> queries = loadLefts(block, query), cotangents = loadLefts(block, cotangent);
    SmallVector<Value> shifts, corrections;
    for (auto [number, row] : llvm::enumerate(block.rows)) {
      shifts.push_back(e.where(row.inside, e.b.getF32Type(), [&] {
        return e.mul(e.load(logSumExp, {e.toIndex(row.number), head}), e.f32(-M_LOG2E));
      }));
      corrections.push_back(block.correctionOf(number, cotangent, forward));
    }
    block.forColumns(
        sequence, masks, region, /*areKeys=*/false, copied, {},
        [&](Value keyBegin, Value stage) {
          Value row = e.add(sequence.keyStart, keyBegin), count = e.sub(sequence.keyCount, keyBegin);
          core.copyRows(key, row, count, copied.first, stage);
          core.copyRows(value, row, count, copied.second, stage);
        },
        [&](Value keyBegin, Value stage, Value, ValueRange) {
          Value keyPlace = core.placeOfRight(copied.first, /*transposed=*/false, stage),
                valuePlace = core.placeOfRight(copied.second, /*transposed=*/false, stage);
          SmallVector<Value> keeps; // of each row a bit a key
          for (const RowBlock::Row &row : dropout ? ArrayRef(block.rows) : ArrayRef<RowBlock::Row>()) {
            Value philoxRow = e.add(e.mul(row.number, e.i32(heads)), e.toI32(head));
            keeps.push_back(core.bitsOf(keepsOfStep(e, core, dropout, philoxRow, keyBegin)));
          }
          for (int64_t first = 0; first < CopiedRows::step; first += width) {
            SmallVector<Fragment> scores = productsOf(queries, copied.first, keyPlace, first),
                                  differences = productsOf(cotangents, copied.second, valuePlace, first);
            Value firstKey = e.add(keyBegin, core.pair);
            for (auto [own, row] : llvm::enumerate(block.rows)) {
              region.setQuery(e.toIndex(sequence.positionOf(e, e.sub(row.number, sequence.queryStart))));
              SmallVector<Addition> additions;
              forThread([&](int64_t n, int64_t c) {
                int64_t i = own * 2 + c, column = first + n * 8 + c;
                Value score = e.mul(scores[n][i], e.f32(scale));
                score = region.applyTo(score, e.add(firstKey, e.i32(column)))[0];
                score = block.masked(score, own, firstKey, column);
                Value p = core.exp2(e.fma(score, e.f32(M_LOG2E), shifts[own])), dP = differences[n][i];
                if (dropout)
                  dP = e.mul(e.select(core.isSet(keeps[own], column / 8 * 2 + c), dP, e.f32(0)), e.f32(kept));
                Value ofScore = e.mul(p, e.sub(dP, corrections[own])), isScore = region.isScore(score);
                additions.resize(region.additions().size());
                for (auto [addition, given] : llvm::zip_equal(additions, region.additions())) {
                  addition.capture = given.capture;
                  addition.elements.push_back(e.select(isScore, e.toI32(given.element), e.i32(-1)));
                  addition.values.push_back(e.mul(ofScore, given.derivative));
                }
              });
              for (const Addition &addition : additions)
                addRows(addition);
            }
          }
          return SmallVector<Value>();
        });
  }

  void addRows(const Addition &addition) {
    Value warp = e.warp(), row = e.toIndex(core.group), column = e.toIndex(core.pair);
    int64_t next = 0;
    forThread([&](int64_t n, int64_t c) {
      SmallVector<Value> at{warp, row, e.add(column, e.index(n * 8 + c))};
      e.store(addition.elements[next], elements, at);
      e.store(addition.values[next++], values, at);
    });
    e.syncWarp();
    e.loop(e.index(0), e.index(laidRows), 1, [&](Value row) {
      SmallVector<Value> at{warp, row, e.lane()};
      sums.add(addition.capture, e.load(elements, at), e.load(values, at));
    });
    e.syncWarp();
  }

  Emitter &e;
  CapturedSums &sums;
  TensorCore core;
  int64_t heads;
  Value head;
  HeadMatrix cotangent, query, key, value, forward;
  Value logSumExp;
  AttentionMasks masks;
  ProbabilityDropout dropout;
  ScoreRegion region;
  CopiedRows copied;
  double scale, kept;
  Sequence sequence;
  Value elements, values; // of each warp
};
} // namespace

int64_t warpsOnTensorCores(func::FuncOp kernel, AttentionBackwardOp op) {
  constexpr int64_t mostAdditions = 4; // which lie in registers
  auto adds = op.getScore().front().getOps<AddGradientOp>();
  if (std::distance(adds.begin(), adds.end()) > mostAdditions || !isForTensorCores(kernel, op))
    return 0;
  return CapturedSums::warpsFor(op, tensorCoreWarps, Scores::sharedBytes(op.getKeyFeatures(), op.getValueFeatures()),
                                Scores::bytesOfWarp());
}

void addCapturedByTensorCores(Emitter &e, AttentionBackwardOp op, ArrayRef<Value> tile, CapturedSums &sums) {
  Scores(e, op, tile, sums).emit();
}
} // namespace mlir::xf
