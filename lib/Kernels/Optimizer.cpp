//===- Optimizer.cpp - kernels over the flat arenas -----------------------===//
// One pass over memory each, in vectors of 16 whatever the target (LLVM splits them where its registers are narrower),
// so that the sums have the same bits everywhere.
//===----------------------------------------------------------------------===//
#include "xf/Kernels/Optimizer.h"
#include "xf/Dialect/XF/IR/XF.h"
#include "xf/Kernels/Parameters.h"

namespace mlir::xf {
namespace {
constexpr int64_t lanes = 16, width = ParameterLayout::blockSize, blocksPerTile = 16;

/// A kernel in scheduled form: a function of `operands`, the range of tiles and the scratch memory, with the body open
/// for building.
struct ScheduledKernel {
  ScheduledKernel(OpBuilder &builder, Location loc, StringRef name, ArrayRef<Type> operands, ArrayRef<Attribute> grid)
      : b(builder), loc(loc) {
    SmallVector<Type> types(operands);
    types.append(
        {builder.getIndexType(), builder.getIndexType(), MemRefType::get({ShapedType::kDynamic}, builder.getI8Type())});
    function = func::FuncOp::create(loc, name, builder.getFunctionType(types, {}));
    function.setPrivate();
    function->setAttr("xf.kernel", KernelKindAttr::get(builder.getContext(), KernelKind::Optimizer));
    function->setAttr("xf.grid", builder.getArrayAttr(grid));
    function->setAttr("xf.scratch", builder.getI64IntegerAttr(0));
    Block *body = function.addEntryBlock();
    builder.setInsertionPointToEnd(body);
    func::ReturnOp::create(builder, loc);
    builder.setInsertionPoint(body->getTerminator());
  }
  Value operand(unsigned i) { return function.getArgument(i); }
  Value index(int64_t value) { return arith::ConstantIndexOp::create(b, loc, value); }
  Value f32(float value) { return arith::ConstantOp::create(b, loc, b.getF32FloatAttr(value)); }
  Value vector(Value scalar) {
    return vector::BroadcastOp::create(b, loc, VectorType::get({lanes}, scalar.getType()), scalar);
  }
  Value load(Value memref, ValueRange indices) {
    return vector::LoadOp::create(b, loc, VectorType::get({lanes}, b.getF32Type()), memref, indices);
  }
  Value scalar(Value memref, ArrayRef<int64_t> position = {}) {
    SmallVector<Value> indices = llvm::map_to_vector(position, [&](int64_t i) { return index(i); });
    return memref::LoadOp::create(b, loc, memref, indices);
  }
  template <typename OpT> Value op(Value a, Value c) { return OpT::create(b, loc, a, c); }

  /// Runs `body(row)` for the rows of these tiles.
  void forRows(int64_t blocks, function_ref<void(Value)> body) {
    auto rowOf = [&](unsigned fromEnd) {
      Value row = op<arith::MulIOp>(function.getArgument(function.getNumArguments() - fromEnd), index(blocksPerTile));
      return op<arith::MinSIOp>(row, index(blocks));
    };
    Value begin = rowOf(3), end = rowOf(2);
    auto loop = scf::ForOp::create(b, loc, begin, end, index(1));
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    body(loop.getInductionVar());
  }

  OpBuilder &b;
  Location loc;
  func::FuncOp function;
};

ArrayAttr rowGrid(OpBuilder &builder, int64_t blocks) {
  return builder.getArrayAttr({builder.getDenseI64ArrayAttr({-1, blocks, 0, blocksPerTile})});
}
MemRefType arenaType(OpBuilder &builder, int64_t blocks) {
  return MemRefType::get({blocks, width}, builder.getF32Type());
}
std::string nameOf(StringRef what, int64_t blocks) {
  return (what + "_" + std::to_string(blocks) + "x" + std::to_string(width)).str();
}
} // namespace

func::FuncOp buildSquaredSumsKernel(OpBuilder &builder, Location loc, int64_t blocks) {
  OpBuilder::InsertionGuard guard(builder);
  ScheduledKernel k(builder, loc, nameOf("squared_sums", blocks),
                    {arenaType(builder, blocks), MemRefType::get({blocks}, builder.getF32Type())},
                    rowGrid(builder, blocks).getValue());
  k.forRows(blocks, [&](Value row) {
    auto loop =
        scf::ForOp::create(builder, loc, k.index(0), k.index(width), k.index(lanes), ValueRange{k.vector(k.f32(0))});
    {
      OpBuilder::InsertionGuard inner(builder);
      builder.setInsertionPointToStart(loop.getBody());
      Value g = k.load(k.operand(0), {row, loop.getInductionVar()});
      scf::YieldOp::create(builder, loc,
                           ValueRange{vector::FMAOp::create(builder, loc, g, g, loop.getRegionIterArg(0))});
    }
    Value sum = vector::ReductionOp::create(builder, loc, vector::CombiningKind::ADD, loop.getResult(0),
                                            arith::FastMathFlags::reassoc);
    memref::StoreOp::create(builder, loc, sum, k.operand(1), row);
  });
  return k.function;
}

func::FuncOp buildNormKernel(OpBuilder &builder, Location loc, int64_t blocks) {
  OpBuilder::InsertionGuard guard(builder);
  ScheduledKernel k(builder, loc, nameOf("gradient_norm", blocks),
                    {MemRefType::get({blocks}, builder.getF32Type()), MemRefType::get({}, builder.getF32Type())}, {});
  // In double: a sum of up to a million blocks keeps its last bits.
  Type f64 = builder.getF64Type();
  Value zero = arith::ConstantOp::create(builder, loc, builder.getF64FloatAttr(0));
  auto loop = scf::ForOp::create(builder, loc, k.index(0), k.index(blocks), k.index(1), ValueRange{zero});
  {
    OpBuilder::InsertionGuard inner(builder);
    builder.setInsertionPointToStart(loop.getBody());
    Value block = memref::LoadOp::create(builder, loc, k.operand(0), loop.getInductionVar());
    Value sum = arith::ExtFOp::create(builder, loc, f64, block);
    scf::YieldOp::create(builder, loc, ValueRange{k.op<arith::AddFOp>(loop.getRegionIterArg(0), sum)});
  }
  Value root = math::SqrtOp::create(builder, loc, loop.getResult(0));
  Value norm = arith::TruncFOp::create(builder, loc, builder.getF32Type(), root);
  memref::StoreOp::create(builder, loc, norm, k.operand(1), ValueRange());
  return k.function;
}

func::FuncOp buildAdamKernel(OpBuilder &builder, Location loc, int64_t blocks) {
  OpBuilder::InsertionGuard guard(builder);
  MemRefType arena = arenaType(builder, blocks), scalarType = MemRefType::get({}, builder.getF32Type());
  ScheduledKernel k(builder, loc, nameOf("adam", blocks),
                    {arena, arena, arena, arena, scalarType, scalarType, MemRefType::get({2}, builder.getI64Type()),
                     MemRefType::get({8}, builder.getF32Type()), arena, arena, arena},
                    rowGrid(builder, blocks).getValue());
  Value norm = k.scalar(k.operand(4)), rate = k.scalar(k.operand(5)), one = k.f32(1), zero = k.f32(0);
  Value clip = k.scalar(k.operand(7), {3}), beta1 = k.scalar(k.operand(7), {4}), beta2 = k.scalar(k.operand(7), {5}),
        epsilon = k.scalar(k.operand(7), {6}), decay = k.scalar(k.operand(7), {7});
  // norm * 0 is 0 for every number, and NaN for infinities and NaN.
  Value finite = arith::CmpFOp::create(builder, loc, arith::CmpFPredicate::OEQ, k.op<arith::MulFOp>(norm, zero), zero);
  Value clips = arith::CmpFOp::create(builder, loc, arith::CmpFPredicate::OGT, clip, zero);
  Value tooLong = arith::CmpFOp::create(builder, loc, arith::CmpFPredicate::OGT, norm, clip);
  Value scale =
      arith::SelectOp::create(builder, loc, k.op<arith::AndIOp>(clips, tooLong), k.op<arith::DivFOp>(clip, norm), one);
  // 1 / (1 - beta^t), in double: beta^t is close to 1 for the first steps.
  Type f64 = builder.getF64Type();
  Value step = k.scalar(k.operand(6), {1});
  auto correction = [&](Value beta) -> Value {
    Value oneWide = arith::ConstantOp::create(builder, loc, builder.getF64FloatAttr(1));
    // By squaring, for the same bits with every C library.
    Value base = arith::ExtFOp::create(builder, loc, f64, beta);
    auto bits = scf::ForOp::create(builder, loc, k.index(0), k.index(63), k.index(1), ValueRange{base, oneWide});
    {
      OpBuilder::InsertionGuard inner(builder);
      builder.setInsertionPointToStart(bits.getBody());
      Value square = bits.getRegionIterArg(0), power = bits.getRegionIterArg(1);
      Value number = arith::IndexCastOp::create(builder, loc, builder.getI64Type(), bits.getInductionVar());
      Value bit = arith::TruncIOp::create(builder, loc, builder.getI1Type(), k.op<arith::ShRUIOp>(step, number));
      Value next = arith::SelectOp::create(builder, loc, bit, k.op<arith::MulFOp>(power, square), power);
      scf::YieldOp::create(builder, loc, ValueRange{k.op<arith::MulFOp>(square, square), next});
    }
    Value inverse = k.op<arith::DivFOp>(oneWide, k.op<arith::SubFOp>(oneWide, bits.getResult(1)));
    return arith::TruncFOp::create(builder, loc, builder.getF32Type(), inverse);
  };
  Value c1 = k.vector(correction(beta1)), c2 = k.vector(correction(beta2)), vScale = k.vector(scale),
        vRate = k.vector(rate), vEpsilon = k.vector(epsilon), vDecay = k.vector(decay);
  Value vBeta1 = k.vector(beta1), vBeta2 = k.vector(beta2), vRest1 = k.vector(k.op<arith::SubFOp>(one, beta1)),
        vRest2 = k.vector(k.op<arith::SubFOp>(one, beta2));
  auto guarded = scf::IfOp::create(builder, loc, finite);
  builder.setInsertionPointToStart(guarded.thenBlock());
  k.forRows(blocks, [&](Value row) {
    auto loop = scf::ForOp::create(builder, loc, k.index(0), k.index(width), k.index(lanes));
    builder.setInsertionPointToStart(loop.getBody());
    SmallVector<Value> at{row, loop.getInductionVar()};
    auto mul = [&](Value a, Value c) { return k.op<arith::MulFOp>(a, c); };
    Value p = k.load(k.operand(0), at), g = mul(k.load(k.operand(1), at), vScale);
    Value m = vector::FMAOp::create(builder, loc, k.load(k.operand(2), at), vBeta1, mul(g, vRest1));
    Value v = vector::FMAOp::create(builder, loc, k.load(k.operand(3), at), vBeta2, mul(mul(g, g), vRest2));
    Value denominator = k.op<arith::AddFOp>(math::SqrtOp::create(builder, loc, mul(v, c2)), vEpsilon);
    Value change = vector::FMAOp::create(builder, loc, vDecay, p, k.op<arith::DivFOp>(mul(m, c1), denominator));
    Value next = k.op<arith::SubFOp>(p, mul(vRate, change));
    for (auto [value, operand] : {std::pair<Value, unsigned>{next, 8}, {m, 9}, {v, 10}})
      vector::StoreOp::create(builder, loc, value, k.operand(operand), at);
  });
  return k.function;
}
} // namespace mlir::xf
