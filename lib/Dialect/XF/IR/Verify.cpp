//===- Verify.cpp - the constraints of the ops ----------------------------===//
// What ODS can't say. A check is commented with the name that its constraint has in the op's description; messages
// speak of shapes in the model's words and give both values.
//===----------------------------------------------------------------------===//
#include "Verify.h"
#include "mlir/IR/BuiltinTypes.h"
#include "xf/Dialect/XF/IR/Score.h"
#include "xf/Dialect/XF/IR/Size.h"
#include <cmath>

using namespace mlir;
using namespace mlir::xf;

std::string mlir::xf::shapeString(Type type) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  auto shape = cast<ShapedType>(type).getShape();
  if (shape.empty())
    stream << "scalar";
  llvm::interleave(
      shape, stream, [&](int64_t size) { ShapedType::isDynamic(size) ? stream << "?" : stream << size; }, " x ");
  return text;
}

std::string mlir::xf::typeString(Type type) {
  std::string text = shapeString(type) + " of ";
  llvm::raw_string_ostream(text) << getElementTypeOrSelf(type);
  return text;
}

LogicalResult mlir::xf::expectFinite(Operation *op, StringRef what, APFloat number) {
  if (number.isFinite())
    return success();
  return op->emitOpError() << "expected " << what << " to be finite, but got "
                           << llvm::formatv("{0}", number.convertToDouble()).str();
}

namespace {
/// Two extents agree where they are equal or one of them is only known at run time.
bool agree(int64_t a, int64_t b) { return ShapedType::isDynamic(a) || ShapedType::isDynamic(b) || a == b; }

LogicalResult expectExtent(Operation *op, StringRef what, Value value, unsigned dim, int64_t expected,
                           StringRef whose) {
  int64_t actual = cast<ShapedType>(value.getType()).getDimSize(dim);
  if (agree(actual, expected))
    return success();
  return op->emitOpError() << "expected '" << what << "' to match " << whose << " (" << expected << "), but got "
                           << actual;
}

LogicalResult expectShape(Operation *op, StringRef what, Value value, ArrayRef<int64_t> expected, StringRef whose) {
  auto actual = cast<RankedTensorType>(value.getType());
  bool matches = actual.getRank() == static_cast<int64_t>(expected.size()) &&
                 llvm::all_of(llvm::zip(actual.getShape(), expected), [](auto pair) {
                   // A result's extent must be written as it is known: dynamic where it comes from a dynamic one.
                   return std::get<0>(pair) == std::get<1>(pair);
                 });
  if (matches)
    return success();
  return op->emitOpError() << "expected '" << what << "' to have shape "
                           << shapeString(RankedTensorType::get(expected, actual.getElementType())) << " (" << whose
                           << "), but got " << shapeString(actual);
}

LogicalResult expectRate(Operation *op, StringRef what, APFloat rate) {
  double value = rate.convertToDouble();
  if (value >= 0 && value < 1)
    return success();
  return op->emitOpError() << "expected " << what << " to be at least 0 and less than 1, but got "
                           << llvm::formatv("{0}", value).str();
}

int64_t dimSize(Value value, unsigned dim) { return cast<RankedTensorType>(value.getType()).getDimSize(dim); }

/// A number of rows or columns.
LogicalResult expectSize(Operation *op, StringRef what, int64_t value) {
  if (value < 1)
    return op->emitOpError() << "expected " << what << " to be at least 1, but got " << value;
  if (value > largestExtent)
    return op->emitOpError() << "expected " << what << " to be at most " << largestExtent << ", but got " << value;
  return success();
}

/// What is added to a variance, or to a root.
LogicalResult expectEpsilon(Operation *op, APFloat epsilon) {
  double value = epsilon.convertToDouble();
  if (value >= 0 && std::isfinite(value))
    return success();
  return op->emitOpError() << "expected epsilon to be a number that is not negative, but got "
                           << llvm::formatv("{0}", value).str();
}

/// heads divides the features of `value`; `of` says which heads.
LogicalResult expectHeads(Operation *op, StringRef what, Value value, int64_t heads, StringRef of = "heads") {
  if (failed(expectSize(op, of, heads)))
    return failure();
  if (dimSize(value, 1) % heads == 0)
    return success();
  return op->emitOpError() << "expected the features of '" << what << "' to be a multiple of " << of << " (" << heads
                           << "), but got " << dimSize(value, 1);
}

/// Those of keys and values, where they are told apart.
LogicalResult expectKeyValueHeads(Operation *op, int64_t heads, std::optional<uint64_t> keyValueHeads) {
  if (!keyValueHeads)
    return success();
  if (failed(expectSize(op, "heads", heads)) || failed(expectSize(op, "key_value_heads", *keyValueHeads)))
    return failure();
  if (heads % *keyValueHeads == 0)
    return success();
  return op->emitOpError() << "expected key_value_heads to divide heads (" << heads << "), but got " << *keyValueHeads;
}

/// Query and key agree on d_k, and every head has one; the message speaks of head dims.
template <typename OpT> LogicalResult verifyHeadsOfKeys(OpT op) {
  if (failed(expectKeyValueHeads(op, op.getHeads(), op.getKeyValueHeads())) ||
      failed(expectHeads(op, "query", op.getQuery(), op.getHeads())))
    return failure();
  int64_t queryDim = op.getKeyFeatures(), keyHeads = op.getKeyValueHeadCount(), keyFeatures = dimSize(op.getKey(), 1);
  if (keyFeatures == queryDim * keyHeads)
    return success();
  if (op.getKeyValueHeads() && keyFeatures % keyHeads != 0)
    return expectHeads(op, "key", op.getKey(), keyHeads, "key_value_heads");
  return op.emitOpError() << "expected 'key' head dim to match 'query' (" << queryDim << "), but got "
                          << keyFeatures / keyHeads;
}

/// Features that are turned in pairs.
LogicalResult expectPairs(Operation *op, StringRef what, int64_t features) {
  if (features >= 2 && features % 2 == 0)
    return success();
  return op->emitOpError() << "expected " << what << " to be even and at least 2 for rotary positions, but got "
                           << features;
}

/// Features of which the kernel is made, as those of all models are.
LogicalResult expectKnownFeatures(Operation *op, StringRef what, Value value) {
  if (!ShapedType::isDynamic(dimSize(value, 1)))
    return success();
  return op->emitOpError() << "expected the features of " << what << " to be a number, but got "
                           << shapeString(value.getType());
}

template <typename OpT> LogicalResult verifyWindow(OpT op) {
  constexpr int64_t most = 1 << 30; // sums with a position stay below 2^31
  if (!op.getWindow() || (static_cast<int64_t>(*op.getWindow()) >= 0 && static_cast<int64_t>(*op.getWindow()) <= most))
    return success();
  return op.emitOpError() << "expected window to be from 0 to " << most << ", but got "
                          << static_cast<int64_t>(*op.getWindow());
}

/// Of an op with all masks.
template <typename OpT> LogicalResult verifyMasks(OpT op) {
  if (failed(verifyWindow(op)))
    return failure();
  return op.getLengths()
             ? expectExtent(op, "lengths", op.getLengths(), 0, dimSize(op.getQuery(), 0), "the rows of 'query'")
             : success();
}
} // namespace

//===-- Composite ---------------------------------------------------------===//
LogicalResult EmbedOp::verify() {
  if (failed(expectExtent(*this, "result", getResult(), 0, dimSize(getIds(), 0), "the number of tokens"))) // C1
    return failure();
  if (getPositions() == PositionKind::Learned && (!getPositionsName() || !getMaxPositions())) // C2
    return emitOpError() << "expected learned positions to give their name and max_positions, as in positions(learned, "
                            "\"positions\", 512)";
  bool sinusoidal = getPositions() == PositionKind::Sinusoidal || getPositions() == PositionKind::SinusoidalHalves;
  if (getFirst() != 0 && !sinusoidal) // C3
    return emitOpError() << "expected positions that count from " << getFirst() << " to be sinusoidal, but got '"
                         << stringifyPositionKind(getPositions()) << "'";
  if (failed(expectSize(*this, "vocabulary", getVocabulary())) || // C4
      (getMaxPositions() && failed(expectSize(*this, "max_positions", *getMaxPositions()))) ||
      (getScale() && failed(expectFinite(*this, "scale", *getScale())))) // C5
    return failure();
  return expectRate(*this, "dropout", getDropout());
}

LogicalResult MultiHeadAttentionOp::verify() {
  if (failed(expectExtent(*this, "value", getValue(), 0, dimSize(getKey(), 0), "the rows of 'key'"))) // C1
    return failure();
  for (auto [what, value] :
       {std::pair<StringRef, int64_t>{"heads", getHeads()}, {"d_k", getDK()}, {"d_v", getDV()}}) // C2
    if (failed(expectSize(*this, what, value)))
      return failure();
  if (failed(expectKeyValueHeads(*this, getHeads(), getKeyValueHeads())))
    return failure();
  for (auto [what, width] : {std::pair<StringRef, int64_t>{"heads * d_k", getHeads() * getDK()},
                             {"heads * d_v", getHeads() * getDV()}}) // of factors below 2^31
    if (failed(expectSize(*this, what, width)))
      return failure();
  if (failed(expectExtent(*this, "result", getResult(), 0, dimSize(getQuery(), 0), "the rows of 'query'")) || // C3
      failed(verifyMasks(*this)))                                                                             // C4, C5
    return failure();
  if (getAngles()) { // C7
    if (failed(expectPairs(*this, "d_k", getDK())) ||
        failed(expectShape(*this, "angles", getAngles(), {dimSize(getQuery(), 0), static_cast<int64_t>(getDK())},
                           "the rows of 'query' x d_k")) ||
        failed(expectExtent(*this, "key", getKey(), 0, dimSize(getQuery(), 0), "the rows of 'query'")))
      return failure();
    if (getQueryOffsets() != getKeyOffsets())
      return emitOpError() << "expected 'rotary' where queries and keys are in the same sequences, but got offsets of "
                              "queries and others of keys";
  }
  if (getRms() && !getQkNorm()) // C8
    return emitOpError() << "expected 'rms' with 'qk_norm' alone, which it says more of";
  constexpr float byDefault = 1e-5f;
  if (getEpsilon().convertToFloat() != byDefault && !getQkNorm())
    return emitOpError() << "expected 'epsilon' with 'qk_norm' alone, which it says more of";
  if (failed(expectEpsilon(*this, getEpsilon())))
    return failure();
  return expectRate(*this, "dropout", getDropout());
}

LogicalResult FeedForwardOp::verify() {
  if (failed(expectSize(*this, "hidden", getHidden()))) // C1
    return failure();
  if (failed(expectShape(*this, "result", getResult(), getX().getType().getShape(), "that of 'x'"))) // C2
    return failure();
  return expectRate(*this, "dropout", getDropout());
}

/// x + Dropout(sublayer), normalised or not.
template <typename Op> static LogicalResult verifyResidual(Op op) {
  if (failed(expectShape(op, "sublayer", op.getSublayer(), op.getX().getType().getShape(), "that of 'x'")) || // C1
      failed(expectShape(op, "result", op.getResult(), op.getX().getType().getShape(), "that of 'x'")))
    return failure();
  return expectRate(op, "dropout", op.getDropout());
}
LogicalResult AddNormOp::verify() {
  return failed(verifyResidual(*this)) ? failure() : expectEpsilon(*this, getEpsilon()); // C2
}
LogicalResult ResidualOp::verify() { return verifyResidual(*this); }

LogicalResult NormOp::verify() {
  if (failed(expectShape(*this, "result", getResult(), getX().getType().getShape(), "that of 'x'"))) // C1
    return failure();
  return expectEpsilon(*this, getEpsilon()); // C2
}

LogicalResult ProjectOp::verify() { // C1
  return expectExtent(*this, "result", getResult(), 0, dimSize(getX(), 0), "the rows of 'x'");
}

//===-- Embedding ---------------------------------------------------------===//
LogicalResult EmbeddingOp::verify() {
  if (!isPacked() && getRows()) // C3
    return emitOpError() << "expected 'rows' of a packed table alone, but got " << shapeString(getTable().getType());
  if (isPacked()) {
    if (!getRows() || static_cast<int64_t>(*getRows()) < 0 || static_cast<int64_t>(*getRows()) > largestExtent) // C3
      return emitOpError() << "expected 'rows' of a packed table, from 0 to " << largestExtent << ", but got "
                           << (getRows() ? std::to_string(static_cast<int64_t>(*getRows())) : "none");
    if (failed(expectKnownFeatures(*this, "the result", getResult()))) // C3
      return failure();
    auto matrix = RankedTensorType::get({static_cast<int64_t>(*getRows()), dimSize(getResult(), 1)},
                                        getElementTypeOrSelf(getResult()));
    if (failed(expectShape(*this, "table", getTable(),
                           PackOp::packedType(matrix, getElementTypeOrSelf(getTable())).getShape(), // C3
                           isQuantized() ? "rows / 32, rounded up, x features + 2 for each 32 x 32"
                                         : "rows / 32, rounded up, x features x 32")) ||
        failed(expectExtent(*this, "result", getResult(), 0, dimSize(getIds(), 0), "tokens"))) // C1
      return failure();
  } else if (failed(expectShape(*this, "result", getResult(), {dimSize(getIds(), 0), dimSize(getTable(), 1)},
                                "tokens x the table's features"))) { // C1
    return failure();
  }
  return expectFinite(*this, "scale", getScale()); // C2
}

LogicalResult EmbeddingBackwardOp::verify() {              // C1
  if (!getInto() && getResult().getType().isDynamicDim(0)) // C2
    return emitOpError() << "expected a static vocabulary where there is no 'into' to add to, but got "
                         << shapeString(getResult().getType());
  if (failed(expectExtent(*this, "ids", getIds(), 0, dimSize(getCotangent(), 0), "the rows of 'cotangent'")) ||
      failed(expectShape(*this, "result", getResult(), {dimSize(getResult(), 0), dimSize(getCotangent(), 1)},
                         "vocabulary x the cotangent's features")))
    return failure();
  if (getInto())
    return expectShape(*this, "into", getInto(), getResult().getType().getShape(), "that of the result");
  return success();
}

LogicalResult SinusoidalOp::verify() { // C1
  int64_t features = dimSize(getResult(), 1);
  if (getHalves() && (features % 2 != 0 || features < 4))
    return emitOpError()
           << "expected an even number of features, at least 4, for sinusoidal positions in halves, but got "
           << features;
  return expectShape(*this, "result", getResult(), {dimSize(getPositions(), 0), features}, "tokens x features");
}

LogicalResult RotaryAnglesOp::verify() {
  int64_t features = dimSize(getResult(), 1);
  if (failed(expectKnownFeatures(*this, "the result", getResult())) || // C1
      failed(expectPairs(*this, "features", features)) ||
      failed(expectShape(*this, "result", getResult(), {dimSize(getPositions(), 0), features}, "tokens x features")))
    return failure();
  for (auto [what, value] :
       {std::pair<StringRef, double>{"theta", getTheta().convertToDouble()}, {"factor", getFactor().convertToDouble()}})
    if (!(value > 0 && std::isfinite(value))) // C2
      return emitOpError() << "expected " << what << " to be a number greater than 0, but got "
                           << llvm::formatv("{0}", value).str();
  // The first pair turns by 1, and only with theta below 1 the last one by more.
  double most = std::max(std::pow(getTheta().convertToDouble(), -static_cast<double>(features - 2) / features), 1.0) /
                std::min(getFactor().convertToDouble(), 1.0);
  if (!(most <= 2 * M_PI)) // C2
    return emitOpError() << "expected theta and factor to turn every pair by at most 2 pi a position, but got "
                         << llvm::formatv("{0:e} (theta {1:e}, factor {2:e})", most, getTheta().convertToDouble(),
                                          getFactor().convertToDouble())
                                .str();
  if (!getOriginal() && !getLow() && !getHigh())
    return success();
  if (!getOriginal() || !getLow() || !getHigh()) // C3
    return emitOpError() << "expected 'original' to have three numbers, as in original(8192, 1.0, 4.0)";
  if (static_cast<int64_t>(*getOriginal()) < 1)
    return emitOpError() << "expected 'original' to be of at least 1 position, but got "
                         << static_cast<int64_t>(*getOriginal());
  double low = getLow()->convertToDouble(), high = getHigh()->convertToDouble();
  if (low > 0 && low < high && std::isfinite(high))
    return success();
  return emitOpError() << "expected the factors of 'original' to rise from above 0, but got "
                       << llvm::formatv("{0} and {1}", low, high).str();
}

LogicalResult ReshapeOp::verify() {
  RankedTensorType from = getX().getType(), to = getType();
  if (failed(expectKnownFeatures(*this, "'x'", getX())) ||
      failed(expectKnownFeatures(*this, "the result", getResult())))
    return failure();
  int64_t width = from.getDimSize(1), other = to.getDimSize(1);
  if (width < 1 || other < 1 || (width % other && other % width)) // C1
    return emitOpError() << "expected rows of a width that divides that of 'x', " << width
                         << ", or that it divides, but got " << other;
  if (from.getElementType() != to.getElementType()) // C2
    return emitOpError() << "expected the elements of 'x', " << from.getElementType() << ", but got "
                         << to.getElementType();
  if (from.isDynamicDim(0) != to.isDynamicDim(0) || // C3
      (from.hasStaticShape() && from.getNumElements() != to.getNumElements()))
    return emitOpError() << "expected as many elements as 'x' has, " << shapeString(from) << ", but got "
                         << shapeString(to);
  return success();
}

LogicalResult RotaryOp::verify() {
  if (failed(expectKnownFeatures(*this, "'x'", getX())) || failed(expectHeads(*this, "x", getX(), getHeads()))) // C1
    return failure();
  int64_t features = dimSize(getX(), 1) / static_cast<int64_t>(getHeads());
  if (failed(expectPairs(*this, "the features of a head", features)))
    return failure();
  return expectShape(*this, "angles", getAngles(), {dimSize(getX(), 0), features}, // C2
                     "the rows of 'x' x the features of a head");
}

//===-- Linear ------------------------------------------------------------===//
LogicalResult LinearOp::verify() {
  if (!isQuantized() &&
      failed(expectExtent(*this, "weight", getWeight(), 1, dimSize(getX(), 1), "the features of 'x'"))) // C1
    return failure();
  if (isPacked()) {
    int64_t out = dimSize(getResult(), 1);
    if (failed(expectKnownFeatures(*this, "'x'", getX())) ||
        failed(expectKnownFeatures(*this, "the result", getResult()))) // C4
      return failure();
    if (getBias() && failed(expectExtent(*this, "bias", getBias(), 0, out, "the features of the result"))) // C2
      return failure();
    auto matrix = RankedTensorType::get({out, dimSize(getX(), 1)}, getElementTypeOrSelf(getX()));
    Type element = getElementTypeOrSelf(getWeight().getType());
    if (failed(expectShape(*this, "weight", getWeight(), PackOp::packedType(matrix, element).getShape(), // C4
                           isQuantized() ? "out / 32, rounded up, x in + 2 for each 32 x 32"
                                         : "out / 32, rounded up, x in x 32")))
      return failure();
    return expectShape(*this, "result", getResult(), {dimSize(getX(), 0), out}, "the rows of 'x' x out"); // C3
  }
  if (getBias() &&
      failed(expectExtent(*this, "bias", getBias(), 0, dimSize(getWeight(), 0), "the rows of 'weight'"))) // C2
    return failure();
  return expectShape(*this, "result", getResult(), {dimSize(getX(), 0), dimSize(getWeight(), 0)},
                     "the rows of 'x' x the rows of 'weight'"); // C3
}

LogicalResult PackOp::verify() { // C1
  if (!getWeight().getType().hasStaticShape())
    return emitOpError() << "expected the extents of 'weight' to be numbers, but got "
                         << shapeString(getWeight().getType());
  Type element = getResult().getType().getElementType();
  return expectShape(*this, "result", getResult(), packedType(getWeight().getType(), element).getShape(),
                     isQuantized() ? "the rows of 'weight' / 32, rounded up, x its features + 2 for each 32 x 32"
                                   : "the rows of 'weight' / 32, rounded up, x its features x 32");
}

LogicalResult MatmulOp::verify() { // C1
  unsigned ta = getTransposeA(), tb = getTransposeB();
  if (failed(
          expectExtent(*this, "b", getB(), tb ? 1 : 0, dimSize(getA(), ta ? 0 : 1), "the contracted extent of 'a'")) ||
      failed(expectShape(*this, "result", getResult(), {dimSize(getA(), ta ? 1 : 0), dimSize(getB(), tb ? 0 : 1)},
                         "m x n")))
    return failure();
  if (getInto())
    return expectShape(*this, "into", getInto(), getResult().getType().getShape(), "that of the result");
  return success();
}

LogicalResult ColumnSumOp::verify() { // C1
  auto type = cast<RankedTensorType>(getResult().getType());
  if (type.getNumElements() == dimSize(getX(), 1))
    return success();
  return emitOpError() << "expected 'result' to have as many elements as 'x' features (" << dimSize(getX(), 1)
                       << "), but got " << type.getNumElements() << " (" << shapeString(type) << ")";
}

//===-- Elementwise -------------------------------------------------------===//
LogicalResult CastOp::verify() {
  RankedTensorType x = getX().getType(), result = getType();
  if (failed(expectShape(*this, "result", getResult(), x.getShape(), "that of 'x'"))) // C1
    return failure();
  Type from = x.getElementType(), to = result.getElementType();
  if ((from.isF32() && to.isBF16()) || (from.isBF16() && to.isF32())) // C2
    return success();
  return emitOpError() << "expected a cast from f32 to bf16 or back, but got one from " << from << " to " << to;
}

LogicalResult DropoutOp::verify() { return expectRate(*this, "rate", getRate()); } // C1

//===-- Norm --------------------------------------------------------------===//
static LogicalResult verifyRowStatistics(Operation *op, Value x, Value mean, Value deviation) {
  if (mean && failed(expectShape(op, "mean", mean, {dimSize(x, 0)}, "a number a row of 'x'")))
    return failure();
  return expectShape(op, "reciprocal_deviation", deviation, {dimSize(x, 0)}, "a number a row of 'x'");
}

/// What a norm has where its mean is not taken to be 0, and only there.
static LogicalResult expectUnlessRMS(Operation *op, StringRef what, bool isThere, bool rms) {
  if (isThere != rms)
    return success();
  return op->emitOpError() << "expected " << (rms ? "no " : "") << what << (rms ? " with" : " without")
                           << " 'rms', but got " << (isThere ? "one" : "none");
}

LogicalResult LayerNormOp::verify() {
  if (failed(expectUnlessRMS(*this, "'bias'", getBias() != Value(), getRms())) ||                         // C3
      failed(expectExtent(*this, "weight", getWeight(), 0, dimSize(getX(), 1), "the features of 'x'")) || // C1
      (getBias() && failed(expectExtent(*this, "bias", getBias(), 0, dimSize(getX(), 1), "the features of 'x'"))) ||
      failed(expectEpsilon(*this, getEpsilon()))) // C2
    return failure();
  return expectShape(*this, "result", getResult(), getX().getType().getShape(), "that of 'x'");
}

LogicalResult LayerNormBackwardOp::verify() {
  if (failed(expectUnlessRMS(*this, "result 'mean'", getMean() != Value(), getRms())) ||                     // C2
      failed(expectShape(*this, "cotangent", getCotangent(), getX().getType().getShape(), "that of 'x'")) || // C1
      failed(expectExtent(*this, "weight", getWeight(), 0, dimSize(getX(), 1), "the features of 'x'")) ||
      failed(expectShape(*this, "result", getResult(), getX().getType().getShape(), "that of 'x'")))
    return failure();
  return verifyRowStatistics(*this, getX(), getMean(), getReciprocalDeviation());
}

LogicalResult LayerNormParameterBackwardOp::verify() {
  if (!getMean() != !getBias()) // C2
    return emitOpError() << "expected a gradient of 'bias' with 'mean', and none without, but got "
                         << (getBias() ? "one without" : "none with");
  SmallVector<int64_t> shape{dimSize(getX(), 1)};
  auto weight = cast<RankedTensorType>(getWeight().getType());
  if (weight.getRank() == 2 && !weight.isDynamicDim(0) && weight.getDimSize(0) > 0)
    shape.insert(shape.begin(), weight.getDimSize(0));
  StringRef why = shape.size() == 2 ? "parts x the features of 'x'" : "the features of 'x'";
  if (failed(expectShape(*this, "x", getX(), getCotangent().getType().getShape(), "that of 'cotangent'")) || // C1
      failed(expectShape(*this, "weight", getWeight(), shape, why)) ||
      (getBias() && failed(expectShape(*this, "bias", getBias(), shape, why))))
    return failure();
  return verifyRowStatistics(*this, getX(), getMean(), getReciprocalDeviation());
}

//===-- Attention ---------------------------------------------------------===//
template <typename OpT> static LogicalResult verifyAttentionOperands(OpT op) {
  if (failed(expectFinite(op, "scale", op.getScale())) || failed(verifyHeadsOfKeys(op)) || // C1, C2
      failed(expectHeads(op, "value", op.getValue(), op.getKeyValueHeadCount(),
                         op.getKeyValueHeads() ? "key_value_heads" : "heads"))) // C1
    return failure();
  return expectExtent(op, "value", op.getValue(), 0, dimSize(op.getKey(), 0), "the rows of 'key'"); // C3
}
template <typename OpT> static LogicalResult verifyAttentionDropout(OpT op) {
  if (failed(expectRate(op, "dropout", op.getRate())))
    return failure();
  if (!op.getRandom() != !op.getSite() || (op.getRate().convertToDouble() > 0 && !op.getRandom()))
    return op.emitOpError() << "expected dropout to give its random state and site, as in dropout(0.1, %random, %site)";
  return success();
}

/// What has a row a query and a block of features a head, as many as values have.
template <typename OpT> static LogicalResult expectOfHeads(OpT op, StringRef what, Value value) {
  int64_t heads = op.getHeads();
  return expectShape(op, what, value, {dimSize(op.getQuery(), 0), heads * op.getValueFeatures()},
                     op.getKeyValueHeadCount() == heads ? "the rows of 'query' x the features of 'value'"
                                                        : "the rows of 'query' x heads * the head dim of 'value'");
}

LogicalResult AttentionOp::verify() {
  if (failed(verifyAttentionOperands(*this)) || failed(expectOfHeads(*this, "result", getResult())) || // C4
      failed(expectShape(*this, "log_sum_exp", getLogSumExp(),
                         {dimSize(getQuery(), 0), static_cast<int64_t>(getHeads())}, "the rows of 'query' x heads")) ||
      failed(verifyMasks(*this))) // C6, C7
    return failure();
  return verifyAttentionDropout(*this); // C5
}

LogicalResult AttentionBackwardOp::verify() {
  if (failed(verifyAttentionOperands(*this)) || failed(verifyMasks(*this)) || // C1
      failed(expectOfHeads(*this, "cotangent", getCotangent())) ||
      failed(expectShape(*this, "forward_result", getForwardResult(), getCotangent().getType().getShape(),
                         "that of 'cotangent'")) ||
      failed(expectShape(*this, "log_sum_exp", getLogSumExp(),
                         {dimSize(getQuery(), 0), static_cast<int64_t>(getHeads())}, "the rows of 'query' x heads")))
    return failure();
  for (auto [what, gradient, operand] :
       {std::tuple<StringRef, Value, Value>{"query_gradient", getQueryGradient(), getQuery()},
        {"key_gradient", getKeyGradient(), getKey()},
        {"value_gradient", getValueGradient(), getValue()}}) // C2
    if (failed(expectShape(*this, what, gradient, cast<RankedTensorType>(operand.getType()).getShape(),
                           "that of the operand")))
      return failure();
  return verifyAttentionDropout(*this);
}

LogicalResult AddGradientOp::verify() { // C1
  int64_t rank = getCapture().getType().getRank(), indices = getIndices().size();
  if (rank == indices)
    return success();
  return emitOpError() << "expected an index for each extent of 'capture' (" << rank << "), but got " << indices;
}

/// Results: one, or with a derivative two.
template <typename OpT> static LogicalResult verifyScoreOf(OpT op, unsigned results = 1) {
  return verifyScore(op, op.getScore(), op.getCaptures(), getElementTypeOrSelf(op.getQuery().getType()), results);
}
LogicalResult MultiHeadAttentionOp::verifyRegions() { return verifyScoreOf(*this); } // C6
LogicalResult AttentionOp::verifyRegions() { return verifyScoreOf(*this); }          // C8, C9, C10
LogicalResult AttentionWeightsOp::verifyRegions() { return verifyScoreOf(*this); }   // C3
LogicalResult CachedAttentionOp::verifyRegions() { return verifyScoreOf(*this); }    // C5
LogicalResult AttentionBackwardOp::verifyRegions() {
  if (failed(verifyScoreOf(*this, 2))) // C3
    return failure();
  SmallVector<unsigned> captures = capturesWithGradients(getScore());
  if (captures.size() != getCapturedGradients().size()) // C2
    return emitOpError() << "expected gradients of " << captures.size()
                         << " captured tensors, as xf.add_gradient names, but got " << getCapturedGradients().size();
  for (auto [capture, sums] : llvm::zip(captures, getCapturedGradients()))
    if (failed(expectShape(
            *this, "captured gradient", sums,
            capturedGradientType(getScore(), getCaptures(), capture, getQueryOffsets(), getHeads()).getShape(),
            "a row an offset x the captured tensor's elements, for every head where heads share it")))
      return failure();
  return success();
}

LogicalResult AttentionWeightsOp::verify() {
  if (failed(expectFinite(*this, "scale", getScale())) || failed(verifyHeadsOfKeys(*this)) ||
      failed(verifyMasks(*this))) // C1
    return failure();
  return expectShape(*this, "result", getResult(),
                     {static_cast<int64_t>(getHeads()), dimSize(getQuery(), 0), dimSize(getKey(), 0)},
                     "heads x query tokens x key tokens"); // C2
}

LogicalResult CachedAttentionOp::verify() {
  if (failed(verifyAttentionOperands(*this)) || // C1, C3
      failed(verifyWindow(*this)))              // C4
    return failure();
  return expectOfHeads(*this, "result", getResult()); // C2
}

LogicalResult CacheWriteOp::verify() { // C1
  if (failed(expectExtent(*this, "x", getX(), 1, dimSize(getCache(), 1), "the features of 'cache'")) ||
      failed(expectExtent(*this, "slots", getSlots(), 0, dimSize(getX(), 0), "the rows of 'x'")))
    return failure();
  return expectShape(*this, "result", getResult(), getCache().getType().getShape(), "that of 'cache'");
}

//===-- Loss and optimizer ------------------------------------------------===//
LogicalResult CrossEntropyOp::verify() {
  for (auto [what, value] : {std::pair<StringRef, Value>{"labels", getLabels()},
                             {"token_loss", getTokenLoss()},
                             {"token_nll", getTokenNll()},
                             {"log_sum_exp", getLogSumExp()}}) // C1
    if (failed(expectExtent(*this, what, value, 0, dimSize(getLogits(), 0), "the rows of 'logits'")))
      return failure();
  return expectRate(*this, "smoothing", getSmoothing()); // C2
}

LogicalResult CrossEntropyBackwardOp::verify() { // C1
  for (auto [what, value] : {std::pair<StringRef, Value>{"cotangent", getCotangent()},
                             {"labels", getLabels()},
                             {"log_sum_exp", getLogSumExp()}})
    if (failed(expectExtent(*this, what, value, 0, dimSize(getLogits(), 0), "the rows of 'logits'")))
      return failure();
  if (failed(expectRate(*this, "smoothing", getSmoothing())))
    return failure();
  return expectShape(*this, "result", getResult(), getLogits().getType().getShape(), "that of 'logits'");
}

LogicalResult BlockStatisticsOp::verify() { // C1
  RankedTensorType type = statisticsType(cast<RankedTensorType>(getLogits().getType()));
  for (auto [what, value] : {std::pair<StringRef, Value>{"maxima", getMaxima()}, {"sums", getSums()}})
    if (failed(expectShape(*this, what, value, type.getShape(), "tokens x ceil(vocabulary / 64)")))
      return failure();
  return success();
}

LogicalResult TopKOp::verify() {
  RankedTensorType statistics = BlockStatisticsOp::statisticsType(cast<RankedTensorType>(getLogits().getType()));
  for (auto [what, value] : {std::pair<StringRef, Value>{"maxima", getMaxima()}, {"sums", getSums()}}) // C1
    if (failed(expectShape(*this, what, value, statistics.getShape(), "tokens x ceil(vocabulary / 64)")))
      return failure();
  int64_t rows = dimSize(getLogits(), 0), ranks = dimSize(getRanks(), 0);
  for (auto [what, value] : {std::pair<StringRef, Value>{"values", getValues()}, {"tokens", getTokens()}}) // C2
    if (failed(expectShape(*this, what, value, {rows, ranks}, "tokens x ranks")))
      return failure();
  return expectShape(*this, "log_sum_exp", getLogSumExp(), {rows}, "the rows of 'logits'");
}

static LogicalResult verifyState(Operation *op, Value random, Value hyper) {
  if (failed(expectExtent(op, "random", random, 0, 2, "seed and step")))
    return failure();
  return expectExtent(op, "hyper", hyper, 0, 8, "the eight settings of a step");
}

LogicalResult LearningRateOp::verify() { return verifyState(*this, getRandom(), getHyper()); } // C1

LogicalResult AdamOp::verify() {
  if (getGradients().size() != getParameters().size()) // C1
    return emitOpError() << "expected a gradient for each of " << getParameters().size() << " parameters, but got "
                         << getGradients().size();
  return verifyState(*this, getRandom(), getHyper()); // C2
}

LogicalResult AdamOp::verifySymbolUses(SymbolTableCollection &symbols) { // C1
  for (auto [gradient, name] : llvm::zip(getGradients(), getParameters().getAsRange<FlatSymbolRefAttr>())) {
    auto param = symbols.lookupNearestSymbolFrom<ParamOp>(*this, name);
    if (!param)
      return emitOpError() << "expected '" << name.getValue() << "' to be a parameter of the module";
    if (param.getType() != gradient.getType())
      return emitOpError() << "expected the gradient of '" << name.getValue() << "' to be "
                           << typeString(param.getType()) << ", but got " << typeString(gradient.getType());
  }
  return success();
}
