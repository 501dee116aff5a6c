//===- XFG.cpp - the xfg dialect ------------------------------------------===//
// Registration, types, and the constraints that ODS can't say, each by the name that it has in the op's description.
//===----------------------------------------------------------------------===//
#include "xf/Dialect/XFG/IR/XFG.h"
#include "mlir/IR/DialectImplementation.h"
#include "mlir/IR/OpImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlir::xfg;

#include "xf/Dialect/XFG/IR/XFGDialect.cpp.inc"

//===-- Types -------------------------------------------------------------===//
/// 128x64xbf16
static ParseResult parseMatrix(AsmParser &parser, int64_t &rows, int64_t &columns, Type &elementType) {
  SmallVector<int64_t> shape;
  llvm::SMLoc loc = parser.getCurrentLocation();
  if (parser.parseDimensionList(shape, /*allowDynamic=*/false) || parser.parseType(elementType))
    return failure();
  if (shape.size() != 2)
    return parser.emitError(loc) << "expected rows x columns, but got " << shape.size() << " extents";
  rows = shape[0];
  columns = shape[1];
  return success();
}
static void printMatrix(AsmPrinter &printer, int64_t rows, int64_t columns, Type elementType) {
  printer << rows << "x" << columns << "x" << elementType;
}
/// 64x64xbf16, of 128
static ParseResult parseTile(AsmParser &parser, int64_t &rows, int64_t &columns, Type &elementType, int64_t &panel) {
  if (parseMatrix(parser, rows, columns, elementType))
    return failure();
  panel = rows;
  if (failed(parser.parseOptionalComma()))
    return success();
  return failure(parser.parseKeyword("of") || parser.parseInteger(panel));
}
static void printTile(AsmPrinter &printer, int64_t rows, int64_t columns, Type elementType, int64_t panel) {
  printMatrix(printer, rows, columns, elementType);
  if (panel != rows)
    printer << ", of " << panel;
}

using EmitError = function_ref<InFlightDiagnostic()>;
static LogicalResult verifyMatrix(EmitError emitError, int64_t rows, int64_t rowUnit, int64_t mostRows, int64_t columns,
                                  int64_t columnUnit, int64_t mostColumns, Type elementType, bool takesBF16,
                                  bool takesF32) {
  if (!(takesBF16 && elementType.isBF16()) && !(takesF32 && elementType.isF32()))
    return emitError() << "expected elements of " << (takesBF16 ? "bf16" : "") << (takesBF16 && takesF32 ? " or " : "")
                       << (takesF32 ? "f32" : "") << ", but got " << elementType;
  for (auto [name, value, unit, most] :
       {std::tuple("rows", rows, rowUnit, mostRows), {"columns", columns, columnUnit, mostColumns}})
    if (value < unit || value % unit != 0 || value > most) {
      auto error = emitError() << "expected " << name << " to be ";
      unit == most ? error << unit : error << "a multiple of " << unit << " up to " << most;
      return error << ", but got " << value;
    }
  return success();
}
constexpr int64_t most = 1 << 16;

LogicalResult TensorMapType::verify(EmitError emitError, int64_t rows, int64_t columns, Type elementType) {
  return verifyMatrix(emitError, rows, 8, 256, columns, 32, elementType.isF32() ? 32 : 64, elementType, true, true);
}
LogicalResult TileType::verify(EmitError emitError, int64_t rows, int64_t columns, Type elementType, int64_t panel) {
  if (panel < rows || panel % 8 != 0)
    return emitError() << "expected panels of a multiple of 8 rows, at least " << rows << ", but got " << panel;
  return verifyMatrix(emitError, rows, 8, most, columns, 32, most, elementType, true, true);
}
LogicalResult RingType::verify(EmitError emitError, int64_t stages, ArrayRef<TileType> tiles) {
  if (stages < 1 || stages > 16)
    return emitError() << "expected 1 to 16 stages, but got " << stages;
  for (TileType tile : tiles)
    if (tile.getPanel() != tile.getRows())
      return emitError() << "expected whole tiles, but got " << tile;
  return success();
}
LogicalResult AccumulatorType::verify(EmitError emitError, int64_t rows, int64_t columns, Type elementType) {
  return verifyMatrix(emitError, rows, 64, 64, columns, 8, 256, elementType, false, true);
}
LogicalResult FragmentType::verify(EmitError emitError, int64_t rows, int64_t columns, Type elementType) {
  return verifyMatrix(emitError, rows, 64, 64, columns, 16, 256, elementType, true, false);
}

#define GET_TYPEDEF_CLASSES
#include "xf/Dialect/XFG/IR/XFGTypes.cpp.inc"

//===-- Ops ---------------------------------------------------------------===//
static ParseResult parseElements(OpAsmParser &parser, Type &accumulator, SmallVectorImpl<Type> &results) {
  if (parser.parseType(accumulator))
    return failure();
  int64_t columns = 0;
  if (auto type = dyn_cast<AccumulatorType>(accumulator))
    columns = type.getColumns();
  else if (auto type = dyn_cast<TileType>(accumulator))
    columns = type.getColumns();
  results.assign(columns / 2, parser.getBuilder().getF32Type());
  return success();
}
static void printElements(OpAsmPrinter &printer, Operation *, Type accumulator, TypeRange) { printer << accumulator; }

static LogicalResult verifyOffset(Operation *op, int64_t offset) {
  if (offset >= 0 && offset % 1024 == 0)
    return success();
  return op->emitOpError() << "expected 'offset' to be a multiple of 1024, but got " << offset;
}
static LogicalResult verifyStage(Operation *op, RingType ring, int64_t tile) {
  if (tile >= 0 && tile < static_cast<int64_t>(ring.getTiles().size()))
    return success();
  return op->emitOpError() << "expected 'tile' to be one of the " << ring.getTiles().size() << " of a stage, but got "
                           << tile;
}
static LogicalResult verifyBoxes(Operation *op, TensorMapType map, TileType tile) {
  Type element = tile.getElementType();
  if (map.getRows() == tile.getRows() && map.getColumns() == tile.getPanelColumns() && map.getElementType() == element)
    return success();
  return op->emitOpError() << "expected boxes of 'map' to be the tile's panels (" << tile.getRows() << " x "
                           << tile.getPanelColumns() << " of " << element << "), but got " << map.getRows() << " x "
                           << map.getColumns() << " of " << map.getElementType();
}
static LogicalResult verifyNarrow(Operation *op, TileType tile) {
  if (tile.getElementType().isBF16())
    return success();
  return op->emitOpError() << "expected a tile of bf16, but got " << tile;
}

LogicalResult CreateRingOp::verify() {
  if (failed(verifyOffset(*this, getOffset()))) // C1
    return failure();
  if (getConsumers() < 1) // C2
    return emitOpError() << "expected 'consumers' to be at least 1, but got " << getConsumers();
  return success();
}

LogicalResult CreateTileOp::verify() { return verifyOffset(*this, getOffset()); } // C1

LogicalResult CreateMemoryOp::verify() {
  if (getOffset() % 16 != 0) // C1
    return emitOpError() << "expected 'offset' to be a multiple of 16, but got " << getOffset();
  auto type = dyn_cast<MemRefType>(getMemory().getType());
  if (!type || !type.hasStaticShape()) // C2
    return emitOpError() << "expected 'memory' to have known extents, but got " << getMemory().getType();
  return success();
}

LogicalResult StageOp::verify() { // C1
  if (failed(verifyStage(*this, getRing().getType(), getTile())))
    return failure();
  if (TileType tile = getRing().getType().getTiles()[getTile()]; getResult().getType() != tile)
    return emitOpError() << "expected 'result' to be " << tile << ", but got " << getResult().getType();
  return success();
}

LogicalResult ViewOp::verify() { // C1
  RingType ring = getRing().getType(), result = getResult().getType();
  if (ring.getStages() == result.getStages() && ring.getStageBytes() == result.getStageBytes())
    return success();
  return emitOpError() << "expected 'result' to have " << ring.getStages() << " stages of " << ring.getStageBytes()
                       << " bytes, but got " << result.getStages() << " of " << result.getStageBytes();
}

LogicalResult AcquireOp::verify() { // C1
  return getTiles() ? verifyStage(*this, getRing().getType(), *getTiles() - 1) : success();
}

LogicalResult SubtileOp::verify() { // C1
  TileType tile = getTile().getType(), part = getResult().getType();
  if (part.getRows() <= tile.getRows() && part.getColumns() <= tile.getColumns() &&
      part.getPanel() == tile.getPanel() && part.getPanelColumns() == tile.getPanelColumns())
    return success();
  return emitOpError() << "expected 'result' to be a part of " << tile << ", but got " << part;
}

LogicalResult CopyInOp::verify() {
  RingType ring = getRing().getType();
  if (failed(verifyStage(*this, ring, getTile()))) // C1
    return failure();
  return verifyBoxes(*this, getMap().getType(), ring.getTiles()[getTile()]); // C2
}

LogicalResult CopyOutOp::verify() {
  if (getAdds() && !getTile().getType().getElementType().isF32()) // C2
    return emitOpError() << "expected a tile of f32 whose numbers are added, but got " << getTile().getType();
  return verifyBoxes(*this, getMap().getType(), getTile().getType()); // C1
}

LogicalResult CopyRunOutOp::verify() { // C1
  auto from = dyn_cast<MemRefType>(getFrom().getType()), to = dyn_cast<MemRefType>(getTo().getType());
  if (from && to && from.hasStaticShape() && from.getElementType().isF32() && to.getElementType().isF32() &&
      from.getNumElements() % 4 == 0)
    return success();
  return emitOpError() << "expected 'from' and 'to' to be of f32, and a multiple of 4 of it to be copied, but got "
                       << getFrom().getType() << " and " << getTo().getType();
}

static LogicalResult verifyValues(Operation *op, int64_t columns) {
  if (int64_t count = columns / 2; count != op->getNumOperands())
    return op->emitOpError() << "expected " << count << " values for " << columns << " columns, but got "
                             << op->getNumOperands();
  return success();
}
LogicalResult AccumulatorOp::verify() { return verifyValues(*this, getResult().getType().getColumns()); } // C1
LogicalResult FragmentOp::verify() { return verifyValues(*this, getResult().getType().getColumns()); }    // C1

LogicalResult MmaOp::verify() {
  auto tile = dyn_cast<TileType>(getA().getType());
  if (!tile && getTransposeA()) // C3
    return emitOpError() << "expected 'a' to be in shared memory where it is transposed";
  for (TileType each : {tile, getB().getType()})
    if (each && failed(verifyNarrow(*this, each))) // C4
      return failure();
  auto fragment = dyn_cast<FragmentType>(getA().getType());
  std::pair<int64_t, int64_t> a = tile ? std::pair(tile.getRows(), tile.getColumns())
                                       : std::pair(fragment.getRows(), fragment.getColumns()),
                              b(getB().getType().getRows(), getB().getType().getColumns());
  if (getTransposeA())
    std::swap(a.first, a.second);
  if (getTransposeB())
    std::swap(b.first, b.second);
  if (a.second != b.first || a.second % 16 != 0) // C1
    return emitOpError() << "expected 'a' and 'b' to agree on a multiple of 16, but got " << a.second << " and "
                         << b.first;
  AccumulatorType accumulator = getAccumulator().getType();
  if (a.first != 64 || accumulator.getColumns() != b.second) // C2
    return emitOpError() << "expected 'accumulator' to be " << a.first << " x " << b.second
                         << ", with 64 rows, but got " << accumulator;
  return success();
}

void ElementsOp::build(OpBuilder &builder, OperationState &state, Value accumulator) {
  build(builder, state,
        SmallVector<Type>(cast<AccumulatorType>(accumulator.getType()).getColumns() / 2, builder.getF32Type()),
        accumulator);
}
LogicalResult ElementsOp::verify() { // C1
  if (int64_t count = getAccumulator().getType().getColumns() / 2; count != static_cast<int64_t>(getNumResults()))
    return emitOpError() << "expected " << count << " results for " << count * 2 << " columns, but got "
                         << getNumResults();
  return success();
}

LogicalResult ReadOp::verify() {
  if (failed(verifyNarrow(*this, getTile().getType()))) // C2
    return failure();
  if (size_t count = getNumResults(); count == 1 || count == 2 || count == 4 || count == 8) // C1
    return success();
  return emitOpError() << "expected 1, 2, 4 or 8 vectors, but got " << getNumResults();
}

/// Whether `count` numbers are a thread's of a tile of one panel.
static LogicalResult verifyPanel(Operation *op, TileType tile, size_t count, StringRef name) {
  int64_t panel = tile.getPanelColumns();
  if (tile.getRows() == 64 && tile.getColumns() == panel && static_cast<int64_t>(count) == panel / 2)
    return success();
  return op->emitOpError() << "expected " << panel / 2 << " " << name << " and a tile of 64 x " << panel << ", but got "
                           << count << " and " << tile.getRows() << " x " << tile.getColumns();
}
LogicalResult WriteOp::verify() { return verifyPanel(*this, getTile().getType(), getValues().size(), "values"); } // C1

void ReadElementsOp::build(OpBuilder &builder, OperationState &state, Value tile) {
  build(builder, state, SmallVector<Type>(cast<TileType>(tile.getType()).getColumns() / 2, builder.getF32Type()), tile);
}
LogicalResult ReadElementsOp::verify() { // C1
  TileType tile = getTile().getType();
  return failed(verifyNarrow(*this, tile)) ? failure() : verifyPanel(*this, tile, getNumResults(), "results");
}

LogicalResult RolesOp::verify() { // C1
  for (auto [name, count] :
       {std::pair("producer_registers", getProducerRegisters()), {"consumer_registers", getConsumerRegisters()}})
    if (count < 24 || count > 256 || count % 8 != 0)
      return emitOpError() << "expected '" << name << "' to be a multiple of 8 from 24 to 256, but got " << count;
  return success();
}

LogicalResult BarrierOp::verify() { // C1
  if (getThreads() < 32 || getThreads() % 32 != 0)
    return emitOpError() << "expected 'threads' to be a multiple of 32, but got " << getThreads();
  return success();
}

#define GET_OP_CLASSES
#include "xf/Dialect/XFG/IR/XFGOps.cpp.inc"

void XFGDialect::initialize() {
  addTypes<
#define GET_TYPEDEF_LIST
#include "xf/Dialect/XFG/IR/XFGTypes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "xf/Dialect/XFG/IR/XFGOps.cpp.inc"
      >();
}
