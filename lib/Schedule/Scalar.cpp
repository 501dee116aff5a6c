//===- Scalar.cpp - schedule of small kernels -----------------------------===//
// Means, positions, the learning rate: one tile of plain loops, on a GPU of a block whose threads take turns.
//===----------------------------------------------------------------------===//
#include "xf/Schedule/Emitter.h"
#include "llvm/ADT/TypeSwitch.h"

namespace mlir::xf {

LogicalResult scheduleScalar(func::FuncOp kernel, RegisterFile registers) {
  if (registers.isGPU())
    registers.warps = 32;
  Emitter e(kernel, registers);
  Value out = e.function.getArgument(kernel.getNumArguments());
  Operation *root = &kernel.getBody().front().front();
  SmallVector<GridEntry> grid;
  auto storeNumber = [&](Value number) { e.onFirstThread([&] { e.store(number, out, ValueRange()); }); };
  {
    auto convert = [&](Value integer) -> Value {
      return arith::SIToFPOp::create(e.b, e.loc, e.b.getF32Type(), integer);
    };
    llvm::TypeSwitch<Operation *>(root)
        .Case([&](MeanOp mean) {
          // In double: a batch may have 25,000 tokens.
          Value x = e.placeOf(mean.getX()), n = e.dim(x, 0);
          Type f64 = e.b.getF64Type();
          Value zero = arith::ConstantOp::create(e.b, e.loc, e.b.getF64FloatAttr(0));
          Value sum = e.elements(e.index(0), n, zero, [&](Value i, ValueRange carried) {
            Value wide = arith::ExtFOp::create(e.b, e.loc, f64, e.load(x, i));
            return SmallVector<Value>{e.add(carried[0], wide)};
          })[0];
          if (registers.isGPU())
            sum = e.sumOfBlock(sum);
          Value count =
              arith::SIToFPOp::create(e.b, e.loc, f64,
                                      arith::IndexCastOp::create(e.b, e.loc, e.b.getI64Type(),
                                                                 arith::MaxSIOp::create(e.b, e.loc, n, e.index(1)))
                                          .getResult());
          storeNumber(arith::TruncFOp::create(e.b, e.loc, e.b.getF32Type(), e.div(sum, count)));
        })
        .Case([&](MeanBackwardOp mean) {
          Value n = e.dim(out, 0);
          Value value = e.div(e.load(e.placeOf(mean.getCotangent()), ValueRange()), convert(e.toI32(n)));
          e.elements(e.index(0), n, [&](Value i) { e.store(value, out, i); });
        })
        .Case([&](PositionIdsOp positions) {
          Value offsets = e.placeOf(positions.getOffsets()), first = e.index(0),
                last = e.sub(e.dim(offsets, 0), e.index(1));
          if (registers.isGPU()) {
            first = e.mul(e.tile(), e.index(registers.warps));
            last = e.min(last, e.add(first, e.index(registers.warps)));
            grid.push_back({cast<BlockArgument>(positions.getOffsets()).getArgNumber(), 0, -1, registers.warps});
          }
          e.rows(first, last, [&](Value sequence) {
            Value begin = e.toIndex(e.load(offsets, sequence)),
                  end = e.toIndex(e.load(offsets, e.add(sequence, e.index(1))));
            auto body = [&](Value token) { e.store(e.toI32(e.sub(token, begin)), out, token); };
            registers.isGPU() ? e.loop(e.add(begin, e.lane()), end, registers.width, body)
                              : e.loop(begin, end, 1, body);
          });
        })
        .Case([&](LearningRateOp rate) {
          Value hyper = e.placeOf(rate.getHyper());
          auto setting = [&](int64_t i) { return e.load(hyper, e.index(i)); };
          Value base = setting(0), warmup = setting(1), schedule = setting(2),
                step = convert(e.load(e.placeOf(rate.getRandom()), e.index(1)));
          auto root = [&](Value x) -> Value { return math::SqrtOp::create(e.b, e.loc, x); };
          Value one = e.f32(1), hasWarmup = e.compare(arith::CmpFPredicate::OGT, warmup, e.f32(0));
          Value safeWarmup = e.select(hasWarmup, warmup, one);
          Value decay = e.div(one, root(step)), rise = e.div(step, e.mul(safeWarmup, root(safeWarmup)));
          auto is = [&](float number) { return e.compare(arith::CmpFPredicate::OEQ, schedule, e.f32(number)); };
          Value width = e.f32(1.0 / std::sqrt(static_cast<double>(rate.getDModel())));
          Value scale = e.select(is(1), width, e.select(is(3), root(safeWarmup), one));
          Value falling = e.mul(e.mul(base, scale), e.make<arith::MinNumFOp>(decay, rise));
          Value constant =
              e.mul(base, e.select(hasWarmup, e.make<arith::MinNumFOp>(one, e.div(step, safeWarmup)), one));
          storeNumber(e.select(is(0), constant, falling));
        })
        .DefaultUnreachable("of kind 'scalar'");
  }
  e.finish(grid);
  return success();
}
} // namespace mlir::xf
