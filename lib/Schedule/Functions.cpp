//===- Functions.cpp - elementary functions and random numbers ------------===//
// On vectors of the target's width. Coefficients: Cephes (exp, log, sin, cos), minimax fits (GELU, tanh); the random
// numbers are Philox 4x32-10 (Salmon et al. 2011).
//===----------------------------------------------------------------------===//
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "xf/Schedule/Emitter.h"

namespace mlir::xf {
namespace {
Value polynomial(Emitter &e, Value x, ArrayRef<double> coefficients) {
  Value result = e.splat(coefficients.front());
  for (double c : coefficients.drop_front())
    result = e.fma(result, x, e.splat(c));
  return result;
}
Type intType(Emitter &e) { return e.vectorType(e.b.getI32Type()); }
Value bitsOf(Emitter &e, Value x) { return e.bitcast(e.b.getI32Type(), x); }
Value ofBits(Emitter &e, Value bits) { return e.bitcast(e.b.getF32Type(), bits); }
} // namespace

/// A GPU's own instruction, which takes subnormal numbers for 0.
static Value byInstruction(Emitter &e, StringRef name, Value x) {
  auto of = [&](Value number) -> Value {
    return LLVM::CallIntrinsicOp::create(e.b, e.loc, e.b.getF32Type(), e.b.getStringAttr("llvm.nvvm." + name),
                                         ValueRange{number})
        .getResult(0);
  };
  auto type = dyn_cast<VectorType>(x.getType());
  if (!type)
    return of(x);
  SmallVector<Value> numbers;
  for (int64_t i = 0; i < type.getNumElements(); ++i)
    numbers.push_back(of(vector::ExtractOp::create(e.b, e.loc, x, i)));
  return vector::FromElementsOp::create(e.b, e.loc, type, numbers);
}

Value emitExp(Emitter &e, Value x) {
  if (e.registers.isGPU()) // what is lost in rounding x log2 e is |x| 2^-24 of a result that is small where |x| is not
    return byInstruction(e, "ex2.approx.ftz.f", e.mul(x, e.splat(1.44269504088896341)));
  // exp x = 2^n exp r, |r| <= ln 2 / 2; ln 2 in two parts so that r keeps its bits.
  x = e.minimum(e.splat(88.72), e.maximum(e.splat(-87.33654), x)); // NaN stays NaN
  Value n = math::RoundEvenOp::create(e.b, e.loc, e.mul(x, e.splat(1.44269504088896341)));
  Value r = e.fma(n, e.splat(-0.693359375), x);
  r = e.fma(n, e.splat(2.12194440e-4), r);
  Value p = polynomial(
      e, r, {1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1});
  p = e.add(e.fma(p, e.mul(r, r), r), e.splat(1));
  Value exponent = arith::FPToSIOp::create(e.b, e.loc, intType(e), n);
  Value bits = bitsOf(e, p);
  bits = e.add(bits, e.make<arith::ShLIOp>(exponent, e.splatI32(23)));
  return ofBits(e, bits);
}

Value emitExp2(Emitter &e, Value x) {
  // 2^x = 2^n 2^r, |r| <= 1/2. From -127 down the bits come out as 0: keys far away, as ALiBi has them, leave no
  // subnormal numbers to calculate with.
  x = e.maximum(e.splat(-127), x); // NaN stays NaN
  Value n = math::RoundEvenOp::create(e.b, e.loc, x);
  Value p = polynomial(e, e.sub(x, n),
                       {1.53458116e-4, 1.33999312e-3, 9.61848896e-3, 5.55032878e-2, 2.40226469e-1, 6.93147206e-1, 1});
  Value exponent = arith::FPToSIOp::create(e.b, e.loc, intType(e), n);
  Value bits = bitsOf(e, p);
  bits = e.add(bits, e.make<arith::ShLIOp>(exponent, e.splatI32(23)));
  return ofBits(e, bits);
}

Value emitLog(Emitter &e, Value x) {
  // x = 2^n (1 + r), 1 + r from sqrt(1/2) to sqrt(2).
  constexpr int32_t rootOfHalf = 0x3f3504f3;
  Value bits = bitsOf(e, x), mantissaBits = e.splatI32(23);
  Value exponent = e.make<arith::ShRSIOp>(e.sub(bits, e.splatI32(rootOfHalf)), mantissaBits);
  Value fraction = ofBits(e, e.sub(bits, e.make<arith::ShLIOp>(exponent, mantissaBits)));
  Value n = arith::SIToFPOp::create(e.b, e.loc, e.vectorType(e.b.getF32Type()), exponent),
        r = e.sub(fraction, e.splat(1)), square = e.mul(r, r);
  Value p = polynomial(e, r,
                       {7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
                        -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1});
  p = e.fma(n, e.splat(-2.12194440e-4), e.mul(p, e.mul(r, square)));
  p = e.add(r, e.fma(square, e.splat(-0.5), p));
  Value finite = e.compare(arith::CmpFPredicate::OLT, x, e.splat(std::numeric_limits<float>::infinity()));
  return e.select(finite, e.fma(n, e.splat(0.693359375), p), x); // infinity and NaN stay
}

/// x / y, for y that is neither subnormal nor above 2^126. On a GPU it is good to 2^-22 of the result: an exact
/// quotient is a branch and a call for each number there, which took more than all else of these functions.
static Value quotient(Emitter &e, Value x, Value y) {
  return e.registers.isGPU() ? e.mul(x, byInstruction(e, "rcp.approx.ftz.f", y)) : e.div(x, y);
}

Value emitGelu(Emitter &e, Value x) {
  // max(x, 0) - |x| times what the normal distribution has beyond |x|: nothing is lost in either tail. The fraction is
  // good to 1e-8 up to 5.5, and the product below 2e-7 from there on.
  Value magnitude = e.minimum(e.splat(5.5), math::AbsFOp::create(e.b, e.loc, x));
  Value beyond =
      quotient(e,
               polynomial(e, magnitude,
                          {2.349655733e-05, -7.293564850e-04, 9.492426179e-03, -6.633771211e-02, 2.626884580e-01,
                           -5.591297746e-01, 5.000000000e-01}),
               polynomial(e, magnitude,
                          {3.409126657e-05, 2.007825788e-05, 5.461244727e-04, -8.874119376e-04, 2.172829583e-02,
                           -5.056323856e-02, 2.697806656e-01, -3.203767836e-01, 1.000000000e+00}));
  return e.sub(e.maximum(e.splat(0), x), e.mul(magnitude, beyond));
}

Value emitGeluDerivative(Emitter &e, Value x) {
  // An odd function about 1/2: x P(x^2) / Q(x^2), good to 3e-9 up to 5.8, where it is 1/2.
  x = e.minimum(e.splat(5.8), e.maximum(e.splat(-5.8), x)); // NaN stays NaN
  Value square = e.mul(x, x);
  Value numerator = polynomial(e, square,
                               {-2.808040606e-11, 1.153316553e-08, 8.916976526e-07, 3.205909525e-05, 1.974057377e-04,
                                1.376364473e-02, -2.289927565e-02, 7.978845239e-01});
  Value denominator = polynomial(
      e, square,
      {3.023409079e-07, 9.682053133e-06, 2.369257563e-04, 3.901964519e-03, 4.379539937e-02, 3.046330512e-01, 1});
  return e.add(quotient(e, e.mul(x, numerator), denominator), e.splat(0.5));
}

/// The logistic function 1 / (1 + exp(-x)) from -88 on, and exp(-x).
static std::pair<Value, Value> emitLogistic(Emitter &e, Value x) {
  Value power = emitExp(e, arith::NegFOp::create(e.b, e.loc, x));
  return {quotient(e, e.splat(1), e.add(e.splat(1), power)), power};
}
/// x where it is at least `least`, NaN included.
static Value atLeast(Emitter &e, double least, Value x) { return e.maximum(e.splat(least), x); }

// Down to where they are below 2^-110 these functions are as they are there: no product of an infinity with 0.
constexpr double leastOfSilu = -87, leastOfGeluTanh = -10;

Value emitSilu(Emitter &e, Value x) {
  x = atLeast(e, leastOfSilu, x);
  return e.mul(x, emitLogistic(e, x).first);
}

Value emitSiluDerivative(Emitter &e, Value x) {
  // s (1 + x (1 - s)), where 1 - s = s exp(-x) loses nothing.
  x = e.minimum(e.splat(-leastOfSilu), atLeast(e, leastOfSilu, x));
  auto [s, power] = emitLogistic(e, x);
  return e.mul(s, e.fma(x, e.mul(s, power), e.splat(1)));
}

// (1 + tanh u) / 2 is the logistic function of 2 u = x (a + b x^2).
constexpr double cubicA = 1.5957691216057308, cubicB = 0.071354816272600247;

Value emitGeluTanh(Emitter &e, Value x) {
  x = atLeast(e, leastOfGeluTanh, x);
  Value twice = e.mul(x, e.fma(e.mul(x, x), e.splat(cubicB), e.splat(cubicA)));
  return e.mul(x, emitLogistic(e, twice).first);
}

Value emitGeluTanhDerivative(Emitter &e, Value x) {
  x = e.minimum(e.splat(-leastOfGeluTanh), atLeast(e, leastOfGeluTanh, x));
  Value square = e.mul(x, x), twice = e.mul(x, e.fma(square, e.splat(cubicB), e.splat(cubicA))),
        slope = e.fma(square, e.splat(3 * cubicB), e.splat(cubicA));
  auto [s, power] = emitLogistic(e, twice);
  return e.mul(s, e.fma(e.mul(x, slope), e.mul(s, power), e.splat(1)));
}

Value emitTanh(Emitter &e, Value x) {
  // x P(x^2) / Q(x^2) up to 8.7, where it is 1.
  x = e.minimum(e.splat(8.7), e.maximum(e.splat(-8.7), x)); // NaN stays NaN
  Value square = e.mul(x, x);
  Value numerator =
      polynomial(e, square, {1.389709741e-8, 2.099344742e-5, 3.518720752e-3, 1.340044726e-1, 9.999999853e-1});
  Value denominator = polynomial(e, square, {7.996308744e-7, 3.323609773e-4, 2.596480582e-2, 4.673376754e-1, 1});
  return quotient(e, e.mul(x, numerator), denominator);
}

Value emitOnNumber(Emitter &e, Value (*function)(Emitter &, Value), Value x) {
  Value result = function(e, e.splat(x));
  return isa<VectorType>(result.getType()) ? vector::ExtractOp::create(e.b, e.loc, result, 0).getResult() : result;
}

std::pair<Value, Value> emitSinCos(Emitter &e, Value x, Value rest) {
  // x = n pi/2 + r; pi/2 in two parts, exact products by fma.
  Value n = math::RoundEvenOp::create(e.b, e.loc, e.mul(x, e.splat(0.636619772367581343)));
  Value r = e.fma(n, e.splat(-1.57079637050628662109375), x);
  r = e.add(e.fma(n, e.splat(4.37113900018624283e-8), r), rest);
  Value square = e.mul(r, r);
  Value sine = polynomial(e, square, {-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1});
  sine = e.fma(e.mul(sine, square), r, r);
  Value cosine = polynomial(e, square, {2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2});
  cosine = e.fma(cosine, e.mul(square, square), e.fma(square, e.splat(-0.5), e.splat(1)));
  Value quadrant = arith::FPToSIOp::create(e.b, e.loc, intType(e), n);
  auto bit = [&](Value value, int64_t mask) {
    return e.compare(arith::CmpIPredicate::ne, e.make<arith::AndIOp>(value, e.splatI32(mask)), e.splatI32(0));
  };
  Value swapped = bit(quadrant, 1);
  Value sineOut = e.select(swapped, cosine, sine), cosineOut = e.select(swapped, sine, cosine);
  Value sineNegative = bit(quadrant, 2), cosineNegative = bit(e.add(quadrant, e.splatI32(1)), 2);
  auto negate = [&](Value condition, Value value) {
    return e.select(condition, arith::NegFOp::create(e.b, e.loc, value), value);
  };
  return {negate(sineNegative, sineOut), negate(cosineNegative, cosineOut)};
}

Philox::Philox(Emitter &e, Value random, Value siteNumber) : e(e) {
  auto low = [&](Value wide) -> Value { return arith::TruncIOp::create(e.b, e.loc, e.b.getI32Type(), wide); };
  Value seed = e.load(random, e.index(0));
  Value shift = arith::ConstantOp::create(e.b, e.loc, e.b.getI64IntegerAttr(32));
  keyLow = low(seed);
  keyHigh = low(e.make<arith::ShRUIOp>(seed, shift));
  step = low(e.load(random, e.index(1)));
  site = low(siteNumber);
}

std::array<Value, 4> Philox::evaluate(Value row, Value column) {
  constexpr int64_t multiplier0 = 0xD2511F53, multiplier1 = 0xCD9E8D57, weyl0 = 0x9E3779B9, weyl1 = 0xBB67AE85;
  auto constant = [&](int64_t value) { return e.i32(static_cast<int32_t>(value)); };
  auto spread = [&](Value number) { return isa<VectorType>(column.getType()) ? e.splat(number) : number; };
  std::array<Value, 4> c = {spread(step), spread(site), row, column};
  Value k0 = keyLow, k1 = keyHigh;
  for (int round = 0; round < 10; ++round) {
    if (round > 0) {
      k0 = e.add(k0, constant(weyl0));
      k1 = e.add(k1, constant(weyl1));
    }
    auto product0 = arith::MulUIExtendedOp::create(e.b, e.loc, c[0], spread(constant(multiplier0)));
    auto product1 = arith::MulUIExtendedOp::create(e.b, e.loc, c[2], spread(constant(multiplier1)));
    auto exclusiveOr = [&](Value x, Value y, Value z) { return e.make<arith::XOrIOp>(e.make<arith::XOrIOp>(x, y), z); };
    c = {exclusiveOr(product1.getHigh(), c[1], spread(k0)), product1.getLow(),
         exclusiveOr(product0.getHigh(), c[3], spread(k1)), product0.getLow()};
  }
  return c;
}

Value Philox::word(Value row, Value column) {
  auto part = [&](Value number, int64_t divisor) { return e.make<arith::DivUIOp>(number, e.i32(divisor)); };
  auto rest = [&](Value number, int64_t divisor) { return e.make<arith::RemUIOp>(number, e.i32(divisor)); };
  column = e.toI32(column);
  Value group = e.mul(part(column, 64), e.i32(16));
  std::array<Value, 4> words = evaluate(e.toI32(row), e.add(group, rest(column, 16)));
  Value number = part(rest(column, 64), 16), result = words[0];
  for (int64_t i = 1; i < 4; ++i)
    result = e.select(e.compare(arith::CmpIPredicate::eq, number, e.i32(i)), words[i], result);
  return result;
}

std::array<Value, 4> exchanged(Emitter &e, std::array<Value, 4> numbers, Value number, int64_t distance) {
  for (int64_t bit : {1, 2}) { // those whose numbers differ in it: each keeps half, and gives the other half
    Value isSet = e.compare(arith::CmpIPredicate::ne, e.make<arith::AndIOp>(number, e.i32(bit)), e.i32(0));
    for (int64_t i = 0; i < 4; ++i)
      if (!(i & bit)) {
        Value taken = e.fromPartner(e.select(isSet, numbers[i], numbers[i + bit]), distance * bit);
        numbers[i] = e.select(isSet, taken, numbers[i]);
        numbers[i + bit] = e.select(isSet, numbers[i + bit], taken);
      }
  }
  return numbers;
}

SmallVector<Value> Philox::words(Value row, Value column, int64_t count) {
  int64_t width = e.registers.width, parts = std::max<int64_t>(16 / width, 1);
  SmallVector<Value> result;
  if (e.registers.isGPU()) {
    Value thread = e.toI32(e.lane()), rowNumber = e.toI32(row);
    if (e.registers.perThread == 1 && e.registers.isBlockWide()) {
      for (int64_t vector = 0; vector < count; ++vector)
        result.push_back(word(row, e.add(column, e.add(e.lane(), e.index(vector * width)))));
      return result;
    }
    if (e.registers.perThread == 1) { // a warp has two words of each counter: a half the one, a half the other
      Value low = e.compare(arith::CmpIPredicate::slt, thread, e.i32(16)),
            number = e.make<arith::AndIOp>(thread, e.i32(15));
      for (int64_t vector = 0; vector < count; vector += 2) {
        Value base = e.toI32(e.make<arith::DivSIOp>(e.add(column, e.index(vector * width)), e.index(4)));
        std::array<Value, 4> c = evaluate(rowNumber, e.add(base, number));
        result.append({e.select(low, c[0], c[1]), e.select(low, c[2], c[3])});
      }
      return result;
    }
    // A counter's words are for columns 16 apart. Of the threads that have 64 columns, four with the same place in 16
    // columns want the same counters, each its quarter's word: each draws every fourth of them, and they exchange.
    int64_t share = e.registers.perThread, inPlace = 16 / share;
    Value place = e.make<arith::RemUIOp>(thread, e.i32(inPlace)),
          quarter = e.make<arith::RemUIOp>(e.make<arith::DivUIOp>(thread, e.i32(inPlace)), e.i32(4)),
          group = e.make<arith::DivUIOp>(thread, e.i32(4 * inPlace));
    Value first = e.add(e.mul(group, e.i32(16)), e.add(e.mul(place, e.i32(share)), quarter));
    for (int64_t vector = 0; vector < count; ++vector) {
      Value base = e.toI32(e.make<arith::DivSIOp>(e.add(column, e.index(vector * width)), e.index(4)));
      SmallVector<Value> mine;
      for (int64_t i = 0; i < share; i += 4)
        llvm::append_range(mine,
                           exchanged(e, evaluate(rowNumber, e.add(base, e.add(first, e.i32(i)))), quarter, inPlace));
      result.push_back(
          vector::FromElementsOp::create(e.b, e.loc, cast<VectorType>(e.vectorType(e.b.getI32Type())), mine));
    }
    return result;
  }
  Value base = e.toI32(e.make<arith::DivSIOp>(column, e.index(4)));
  result.resize(4 * parts);
  for (int64_t part = 0; part < parts; ++part) {
    SmallVector<int32_t> lanes;
    for (int64_t lane = 0; lane < width; ++lane)
      lanes.push_back(part * width + lane);
    Value laneNumbers = arith::ConstantOp::create(e.b, e.loc, e.b.getI32VectorAttr(lanes));
    std::array<Value, 4> c = evaluate(e.splat(e.toI32(row)), e.add(e.splat(base), laneNumbers));
    for (int64_t word = 0; word < 4; ++word)
      result[word * parts + part] = c[word];
  }
  return result;
}

Value Philox::keeps(Value word, const APFloat &rate) {
  // word >= rate 2^32 for an integer word: at least the next integer.
  double bound = std::ceil(rate.convertToDouble() * 4294967296.0);
  return e.compare(arith::CmpIPredicate::uge, word, e.splatI32(static_cast<int32_t>(static_cast<uint32_t>(bound))));
}
} // namespace mlir::xf
