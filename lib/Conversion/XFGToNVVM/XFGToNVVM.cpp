//===- XFGToNVVM.cpp - Hopper's instructions ------------------------------===//
// Stage `target`: each xfg op as the nvvm ops, or the PTX, that it stands for. Tiles and rings become addresses in the
// block's dynamic shared memory, accumulators structures of a thread's elements. Layouts, descriptors and completion
// are those of the PTX manual, "Asynchronous Warpgroup Level Matrix Instructions" and "cp.async.bulk.tensor".
//===----------------------------------------------------------------------===//
#include "mlir/Conversion/LLVMCommon/MemRefBuilder.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Func/Transforms/FuncConversions.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SCF/Transforms/Patterns.h"
#include "mlir/Transforms/DialectConversion.h"
#include "xf/Conversion/Passes.h"
#include "xf/Dialect/XFG/IR/XFG.h"
#include "llvm/ADT/StringExtras.h"

namespace mlir::xf {
#define GEN_PASS_DEF_CONVERTXFGTONVVMPASS
#include "xf/Conversion/Passes.h.inc"
namespace {
using namespace xfg;

constexpr unsigned sharedSpace = static_cast<unsigned>(NVVM::NVVMMemorySpace::Shared),
                   clusterSpace = static_cast<unsigned>(NVVM::NVVMMemorySpace::SharedCluster);
constexpr StringLiteral sharedName = "xf_shared";
constexpr int64_t warpgroup = 128;
constexpr int64_t swizzleBytes = 1024; // eight rows of 128 bytes, after which places repeat

/// Short names for what the patterns write.
struct Writer {
  OpBuilder &b;
  Location loc;

  LLVM::LLVMPointerType pointer(unsigned space) { return LLVM::LLVMPointerType::get(b.getContext(), space); }
  Value i32(int64_t value) { return arith::ConstantIntOp::create(b, loc, value, 32); }
  template <typename OpT> Value make(Value x, Value y) { return OpT::create(b, loc, x, y); }
  Value add(Value x, Value y) { return make<arith::AddIOp>(x, y); }
  Value mul(Value x, int64_t y) { return make<arith::MulIOp>(x, i32(y)); }
  Value toI32(Value index) { return arith::IndexCastOp::create(b, loc, b.getI32Type(), index); }
  Value isEqual(Value x, int64_t y) { return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, x, i32(y)); }
  void when(Value condition, function_ref<void()> body) {
    auto branch = scf::IfOp::create(b, loc, condition);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.thenBlock());
    body();
  }
  Value thread() { return NVVM::ThreadIdXOp::create(b, loc, b.getI32Type()); }
  Value threadOfGroup() { return make<arith::AndIOp>(thread(), i32(warpgroup - 1)); }
  /// The number that all threads of a warp have, known as such.
  Value uniform(Value x) {
    return NVVM::ShflOp::create(b, loc, x.getType(), i32(-1), x, i32(0), i32(31), NVVM::ShflKind::idx, UnitAttr());
  }

  Value at(Value base, Value bytes) {
    return LLVM::GEPOp::create(b, loc, pointer(sharedSpace), b.getI8Type(), base, ArrayRef<LLVM::GEPArg>{bytes});
  }
  Value at(Value base, int64_t bytes) { return at(base, i32(bytes)); }
  Value shared(int64_t offset) {
    Value base = LLVM::AddressOfOp::create(b, loc, pointer(sharedSpace), sharedName);
    return at(base, offset);
  }

  Value stageNumber(RingType ring, Value turn) { return make<arith::RemUIOp>(toI32(turn), i32(ring.getStages())); }
  Value parity(RingType ring, Value turn) {
    return make<arith::AndIOp>(make<arith::DivUIOp>(toI32(turn), i32(ring.getStages())), i32(1));
  }
  Value tileOf(RingType ring, Value base, Value turn, int64_t tile) {
    return at(at(base, mul(stageNumber(ring, turn), ring.getStageBytes())), ring.getOffset(tile));
  }
  enum Side { Full, Empty };
  Value barrier(RingType ring, Value base, Value turn, Side side) {
    int64_t first = ring.getStages() * (ring.getStageBytes() + (side == Empty ? 8 : 0));
    return at(base, add(i32(first), mul(stageNumber(ring, turn), 8)));
  }
  void wait(Value barrier, Value parity) {
    NVVM::MBarrierTryWaitParityOp::create(b, loc, barrier, parity, i32(10000000)); // nanoseconds a try
  }
  Value roundPair(Value low, Value high) {
    auto type = VectorType::get(2, b.getBF16Type());
    Value pair = NVVM::ConvertF32x2ToBF16x2Op::create(
        b, loc, type, high, low, Value(), NVVM::FPRoundingModeAttr::get(b.getContext(), NVVM::FPRoundingMode::RN));
    return LLVM::BitcastOp::create(b, loc, b.getI32Type(), pair);
  }
  SmallVector<Value> fields(Value structure) {
    SmallVector<Value> values;
    for (size_t i = 0, count = cast<LLVM::LLVMStructType>(structure.getType()).getBody().size(); i < count; ++i)
      values.push_back(LLVM::ExtractValueOp::create(b, loc, structure, ArrayRef<int64_t>{int64_t(i)}));
    return values;
  }
  Value structure(Type type, ValueRange values) {
    Value result = LLVM::PoisonOp::create(b, loc, type);
    for (auto [i, value] : llvm::enumerate(values))
      result = LLVM::InsertValueOp::create(b, loc, result, value, ArrayRef<int64_t>{int64_t(i)});
    return result;
  }
  /// An instruction whose registers `values` are read and written, beside `operands` that are read: `text` has the
  /// former as $0, $1, ..., and the others after them.
  Value tied(const llvm::Twine &text, Type type, ValueRange values, ValueRange operands, StringRef constraints) {
    SmallVector<std::string> all(values.size(), "=f");
    if (!constraints.empty())
      all.push_back(constraints.str());
    for (size_t i = 0; i < values.size(); ++i)
      all.push_back(std::to_string(i));
    SmallVector<Value> arguments(operands);
    arguments.append(values.begin(), values.end());
    return LLVM::InlineAsmOp::create(b, loc, type, arguments, text.str(), llvm::join(all, ","),
                                     /*has_side_effects=*/true, /*is_align_stack=*/false, LLVM::TailCallKind::None,
                                     LLVM::AsmDialectAttr::get(b.getContext(), LLVM::AsmDialect::AD_ATT), ArrayAttr())
        .getResult(0);
  }
  /// An instruction without results.
  void act(StringRef text, ValueRange operands, StringRef constraints) {
    LLVM::InlineAsmOp::create(b, loc, TypeRange(), operands, text, constraints, /*has_side_effects=*/true,
                              /*is_align_stack=*/false, LLVM::TailCallKind::None,
                              LLVM::AsmDialectAttr::get(b.getContext(), LLVM::AsmDialect::AD_ATT), ArrayAttr());
  }
};

/// How tensor cores find a matrix of bf16 in a tile: a descriptor of 64 bits. Its upper half is one for all, and the
/// next 16 of k are a few more in the lower one; both are said in the instruction's text, or LLVM would keep each sum
/// in registers of its own over a whole loop.
struct Descriptor {
  Value low;
  TileType tile;
  bool depthIsColumn;

  /// `depthIsColumn`: k runs along the rows of the tile, and 16 of it are 32 bytes of a panel's row.
  Descriptor(Writer &w, Value address, TileType tile, bool depthIsColumn) : tile(tile), depthIsColumn(depthIsColumn) {
    // Of addresses the bits 4 to 17. In units of 16 bytes from bit 16: how far the next panel of m or n is (not used
    // where k runs along rows).
    int64_t panel = depthIsColumn ? 1 : tile.getPanelBytes() / 16;
    Value bits = LLVM::PtrToIntOp::create(w.b, w.loc, w.b.getI32Type(), address);
    bits = w.make<arith::ShRUIOp>(w.make<arith::AndIOp>(bits, w.i32(0x3ffff)), w.i32(4));
    low = w.make<arith::OrIOp>(bits, w.i32(panel << 16));
  }
  /// PTX that sets `name` to the descriptor from k on, where `low` is operand `number`.
  std::string at(StringRef name, int64_t number, int64_t k) const {
    int64_t columns = tile.getPanelColumns(), rowBytes = tile.getRowBytes();
    int64_t bytes = depthIsColumn ? k / columns * tile.getPanelBytes() + k % columns * 2 : k * rowBytes;
    // From bit 32: how far the next eight rows are. From bit 62: swizzled by 128 bytes, or by 64.
    int64_t swizzle = rowBytes == 128 ? 1 : 2, high = swizzle << 30 | 8 * rowBytes / 16;
    return (".reg .b32 " + name + "_low;\n.reg .b64 rd_" + name + ";\nadd.s32 " + name + "_low, $" +
            llvm::Twine(number) + ", " + llvm::Twine(bytes / 16) + ";\nmov.b64 rd_" + name + ", {" + name + "_low, " +
            llvm::Twine(static_cast<uint64_t>(high)) + "};\n")
        .str();
  }
};

Value emitMma(Writer &w, MmaOp op, Value a, Value b, Value accumulator, Value adds) {
  AccumulatorType type = op.getAccumulator().getType();
  auto left = dyn_cast<TileType>(op.getA().getType());
  std::optional<Descriptor> descriptorA;
  if (left)
    descriptorA.emplace(w, a, left, !op.getTransposeA());
  SmallVector<Value> registersA = left ? SmallVector<Value>() : w.fields(a);
  Descriptor descriptorB(w, b, op.getB().getType(), op.getTransposeB());
  int64_t depth = op.getTransposeB() ? op.getB().getType().getColumns() : op.getB().getType().getRows();
  int64_t count = type.getColumns() / 2;
  auto list = [](int64_t first, int64_t count) {
    std::string text;
    for (int64_t i = 0; i < count; ++i)
      text += (i ? ", $" : "$") + std::to_string(first + i);
    return "{" + text + "}";
  };
  for (int64_t k = 0; k < depth; k += 16) {
    SmallVector<Value> operands;
    auto numberOf = [&](Value operand) {
      operands.push_back(operand);
      return count + static_cast<int64_t>(operands.size()) - 1;
    };
    std::string text = "{\n", textA = "rd_a", textAdds = "1";
    if (left)
      text += descriptorA->at("a", numberOf(descriptorA->low), k);
    else
      textA = list(count, 4), operands.append(registersA.begin() + k / 4, registersA.begin() + k / 4 + 4);
    text += descriptorB.at("b", numberOf(descriptorB.low), k);
    if (adds && k == 0)
      textAdds = "$" + std::to_string(numberOf(arith::ExtUIOp::create(w.b, w.loc, w.b.getI32Type(), adds)));
    // The predicate: whether the accumulator counts. Neither operand is negated; then which of them lie transposed.
    std::string transposes =
        std::string(left ? op.getTransposeA() ? ", 1" : ", 0" : "") + (op.getTransposeB() ? ", 0" : ", 1");
    accumulator =
        w.tied(text + ".reg .pred p;\nsetp.ne.b32 p, " + textAdds + ", 0;\nwgmma.mma_async.sync.aligned.m64n" +
                   llvm::Twine(type.getColumns()) + "k16.f32.bf16.bf16 " + list(0, count) + ", " + textA +
                   ", rd_b, p, 1, 1" + transposes + ";\n}",
               accumulator.getType(), w.fields(accumulator), operands,
               llvm::join(SmallVector<StringRef>(operands.size(), "r"), ","));
  }
  return accumulator;
}

void emitCreateRing(Writer &w, CreateRingOp op, Value base) {
  RingType ring = op.getRing().getType();
  w.when(w.isEqual(w.thread(), 0), [&] {
    for (int64_t stage = 0; stage < ring.getStages(); ++stage)
      for (auto [side, arrivals] : {std::pair(Writer::Full, int64_t(1)), {Writer::Empty, int64_t(op.getConsumers())}}) {
        Value turn = arith::ConstantIndexOp::create(w.b, w.loc, stage);
        NVVM::MBarrierInitOp::create(w.b, w.loc, w.barrier(ring, base, turn, side), w.i32(arrivals), Value());
      }
    NVVM::FenceMbarrierInitOp::create(w.b, w.loc);
  });
}

void emitCopyIn(Writer &w, CopyInOp op, Value map, Value base, Value turn) {
  RingType ring = op.getRing().getType();
  TileType tile = ring.getTiles()[op.getTile()];
  Value to = w.tileOf(ring, base, turn, op.getTile()), barrier = w.barrier(ring, base, turn, Writer::Full);
  Value row = w.toI32(op.getRow()), column = w.toI32(op.getColumn());
  for (int64_t panel = 0; panel < tile.getPanels(); ++panel) {
    Value address =
        LLVM::AddrSpaceCastOp::create(w.b, w.loc, w.pointer(clusterSpace), w.at(to, panel * tile.getPanelBytes()));
    NVVM::CpAsyncBulkTensorGlobalToSharedClusterOp::create(
        w.b, w.loc, address, map, ValueRange{w.add(column, w.i32(panel * tile.getPanelColumns())), row}, barrier,
        ValueRange(), Value(), Value(), NVVM::TMALoadModeAttr::get(w.b.getContext(), NVVM::TMALoadMode::TILE),
        w.b.getBoolAttr(false), NVVM::CTAGroupKindAttr(), Value());
  }
}

void emitCopyOut(Writer &w, CopyOutOp op, Value tile, Value map) {
  TileType type = op.getTile().getType();
  Value row = w.toI32(op.getRow()), column = w.toI32(op.getColumn());
  for (int64_t panel = 0; panel < type.getPanels(); ++panel) {
    Value from = w.at(tile, panel * type.getPanelBytes());
    SmallVector<Value> to{w.add(column, w.i32(panel * type.getPanelColumns())), row};
    if (op.getAdds())
      NVVM::CpAsyncBulkTensorReduceOp::create(w.b, w.loc, map, from, NVVM::TMAReduxKind::ADD, NVVM::TMAStoreMode::TILE,
                                              to, Value());
    else
      NVVM::CpAsyncBulkTensorSharedCTAToGlobalOp::create(
          w.b, w.loc, map, from, to, Value(), NVVM::TMAStoreModeAttr::get(w.b.getContext(), NVVM::TMAStoreMode::TILE),
          Value());
  }
  NVVM::CpAsyncBulkCommitGroupOp::create(w.b, w.loc);
}

void emitCopyRunOut(Writer &w, CopyRunOutOp op, Value from, Value to, Value first) {
  auto addressOf = [&](Value memory, Type type) -> Value {
    Value address = memref::ExtractAlignedPointerAsIndexOp::create(w.b, w.loc, memory);
    return arith::IndexCastOp::create(w.b, w.loc, type, address);
  };
  int64_t count = cast<MemRefType>(op.getFrom().getType()).getNumElements();
  Value bytes = w.make<arith::MulIOp>(arith::IndexCastOp::create(w.b, w.loc, w.b.getI64Type(), first),
                                      arith::ConstantIntOp::create(w.b, w.loc, 4, 64));
  Value address = w.add(addressOf(to, w.b.getI64Type()), bytes);
  StringRef text = op.getAdds() ? "cp.reduce.async.bulk.global.shared::cta.bulk_group.add.f32 [$0], [$1], $2;"
                                : "cp.async.bulk.global.shared::cta.bulk_group [$0], [$1], $2;";
  w.act(text, {address, addressOf(from, w.b.getI32Type()), w.i32(count * 4)}, "l,r,r,~{memory}");
  NVVM::CpAsyncBulkCommitGroupOp::create(w.b, w.loc);
}

/// What a piece's number in its row is changed by.
Value swizzleOf(Writer &w, TileType tile, Value row) {
  int64_t pieces = tile.getRowBytes() / 16; // as many rows are 128 bytes as are in a place's repetition, or half
  return w.make<arith::AndIOp>(pieces == 8 ? row : w.make<arith::ShRUIOp>(row, w.i32(1)), w.i32(pieces - 1));
}

/// A piece's place are bits of its address, as rows and tiles begin at multiples of all pieces.
SmallVector<Value> emitRead(Writer &w, ReadOp op, Value tile) {
  TileType type = op.getTile().getType();
  constexpr int64_t pieceBytes = 16;
  int64_t pieces = type.getRowBytes() / pieceBytes;
  Value row = w.toI32(op.getRow()), piece = w.make<arith::DivUIOp>(w.toI32(op.getColumn()), w.i32(8));
  Value panel = w.make<arith::DivUIOp>(piece, w.i32(pieces));
  Value place = w.make<arith::XOrIOp>(w.make<arith::AndIOp>(piece, w.i32(pieces - 1)), swizzleOf(w, type, row));
  Value bytes =
      w.add(w.add(w.mul(panel, type.getPanelBytes()), w.mul(row, type.getRowBytes())), w.mul(place, pieceBytes));
  Value first = LLVM::PtrToIntOp::create(w.b, w.loc, w.b.getI32Type(), w.at(tile, bytes));
  SmallVector<Value> results;
  for (auto [i, result] : llvm::enumerate(op.getResults())) {
    Value address = w.make<arith::XOrIOp>(first, w.i32(static_cast<int64_t>(i) * pieceBytes));
    address = LLVM::IntToPtrOp::create(w.b, w.loc, w.pointer(sharedSpace), address);
    results.push_back(LLVM::LoadOp::create(w.b, w.loc, result.getType(), address, /*alignment=*/pieceBytes));
  }
  return results;
}

/// Where a thread's numbers of a warp's 16 rows lie in a tile of one panel: of f32 pairs of neighbours, those of eight
/// columns and of rows r and r + 8; of bf16 four matrices of 8 x 8, the warp's of 16 columns, of which thread t gives
/// the address of row t mod 16, of the first eight columns or the others.
class Panel {
public:
  Panel(Writer &w, TileType type, Value tile) : w(w) {
    // Read anew, or registers would keep what follows for all places that write.
    Value thread =
        LLVM::InlineAsmOp::create(w.b, w.loc, w.b.getI32Type(), ValueRange(), "mov.u32 $0, %tid.x;", "=r",
                                  /*has_side_effects=*/true, /*is_align_stack=*/false,
                                  LLVM::tailcallkind::TailCallKind::None, LLVM::AsmDialectAttr(), ArrayAttr())
            .getResult(0);
    auto mod = [&](Value x, int64_t by) { return w.make<arith::AndIOp>(x, w.i32(by - 1)); };
    auto shift = [&](Value x, int64_t bits) { return w.make<arith::ShRUIOp>(x, w.i32(bits)); };
    thread = mod(thread, warpgroup);
    Value lane = mod(thread, 32), row = w.mul(shift(thread, 5), 16), bytes = w.i32(0);
    if (type.getElementType().isF32()) {
      row = w.add(row, shift(lane, 2));
      piece = shift(mod(lane, 4), 1);
      bytes = w.mul(mod(lane, 2), pairBytes);
    } else {
      row = w.add(row, mod(lane, 16));
      piece = shift(lane, 4);
    }
    swizzle = swizzleOf(w, type, row);
    begin = w.at(tile, w.add(w.mul(row, type.getRowBytes()), bytes));
  }
  /// From the 16 bytes with this number on.
  Value at(int64_t number) {
    return w.at(begin, w.mul(w.make<arith::XOrIOp>(w.add(piece, w.i32(number)), swizzle), 16));
  }
  static constexpr int64_t pairBytes = 8;

private:
  Writer &w;
  Value piece, swizzle, begin;
};

void emitWrite(Writer &w, TileType type, ValueRange values, Value tile) {
  MLIRContext *context = w.b.getContext();
  Panel panel(w, type, tile);
  if (type.getElementType().isF32()) {
    auto both = VectorType::get(2, w.b.getF32Type());
    for (int64_t column = 0; column < type.getColumns(); column += 8) {
      Value address = panel.at(column / 4);
      for (int64_t half : {0, 1}) { // eight rows further places are the same
        Value numbers = LLVM::PoisonOp::create(w.b, w.loc, both);
        for (int64_t p : {0, 1})
          numbers = LLVM::InsertElementOp::create(w.b, w.loc, numbers, values[column / 2 + half * 2 + p], w.i32(p));
        LLVM::StoreOp::create(w.b, w.loc, numbers, w.at(address, half * 8 * type.getRowBytes()), Panel::pairBytes);
      }
    }
    return;
  }
  for (int64_t column = 0; column < type.getColumns(); column += 16) {
    SmallVector<Value> pairs;
    for (int64_t i = column / 2; i < column / 2 + 8; i += 2)
      pairs.push_back(w.roundPair(values[i], values[i + 1]));
    NVVM::StMatrixOp::create(w.b, w.loc, panel.at(column / 8), pairs,
                             NVVM::MMALayoutAttr::get(context, NVVM::MMALayout::row),
                             NVVM::LdStMatrixShapeAttr::get(context, 8, 8),
                             NVVM::LdStMatrixEltTypeAttr::get(context, NVVM::LdStMatrixEltType::B16));
  }
}

SmallVector<Value> emitReadElements(Writer &w, ReadElementsOp op, Value tile) {
  MLIRContext *context = w.b.getContext();
  TileType type = op.getTile().getType();
  Panel panel(w, type, tile);
  auto four = LLVM::LLVMStructType::getLiteral(context, SmallVector<Type>(4, w.b.getI32Type()));
  SmallVector<Value> results;
  for (int64_t column = 0; column < type.getColumns(); column += 16) {
    Value pairs = NVVM::LdMatrixOp::create(w.b, w.loc, four, panel.at(column / 8), 4, NVVM::MMALayout::row,
                                           NVVM::LdStMatrixShapeAttr::get(context, 8, 8), NVVM::LdStMatrixEltType::B16);
    for (Value pair : w.fields(pairs)) // f32 of bf16: its bits are the upper ones
      for (Value bits : {w.make<arith::ShLIOp>(pair, w.i32(16)), w.make<arith::AndIOp>(pair, w.i32(0xffff0000))})
        results.push_back(LLVM::BitcastOp::create(w.b, w.loc, w.b.getF32Type(), bits));
  }
  return results;
}

/// A barrier, which ptxas moves no wait across, that nobody comes to.
void emitPin(Writer &w, Value value) {
  Value zero = arith::ConstantOp::create(w.b, w.loc, w.b.getF32FloatAttr(0));
  w.when(arith::CmpFOp::create(w.b, w.loc, arith::CmpFPredicate::OLT, value, zero), [&] {
    constexpr int64_t unused = 15;
    LLVM::StoreOp::create(w.b, w.loc, value, w.shared(0));
    NVVM::BarrierOp::create(w.b, w.loc, TypeRange(), w.i32(unused), w.i32(warpgroup), NVVM::BarrierReductionAttr(),
                            Value());
  });
}

void emitRoles(ConversionPatternRewriter &rewriter, Writer &w, RolesOp op) {
  auto setRegisters = [&](int64_t count, NVVM::SetMaxRegisterAction action) {
    NVVM::SetMaxRegisterOp::create(w.b, w.loc, w.b.getI32IntegerAttr(count),
                                   NVVM::SetMaxRegisterActionAttr::get(w.b.getContext(), action));
  };
  auto take = [&](Region &region) {
    rewriter.inlineBlockBefore(&region.front(), w.b.getInsertionBlock(), w.b.getInsertionPoint());
  };
  Value warp = w.uniform(w.make<arith::ShRUIOp>(w.thread(), w.i32(5)));
  auto branch = scf::IfOp::create(
      w.b, w.loc, arith::CmpIOp::create(w.b, w.loc, arith::CmpIPredicate::ult, warp, w.i32(warpgroup / 32)),
      /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(w.b);
  w.b.setInsertionPointToStart(branch.thenBlock());
  setRegisters(op.getProducerRegisters(), NVVM::SetMaxRegisterAction::decrease);
  w.when(w.isEqual(warp, 0), [&] {
    Value elected = NVVM::ElectSyncOp::create(w.b, w.loc, w.b.getI1Type(), Value());
    w.when(elected, [&] { take(op.getProducer()); });
  });
  if (!op.getWriter().empty())
    w.when(w.isEqual(warp, 1), [&] { take(op.getWriter()); });
  w.b.setInsertionPointToStart(branch.elseBlock());
  setRegisters(op.getConsumerRegisters(), NVVM::SetMaxRegisterAction::increase);
  take(op.getConsumers());
}

/// A pattern whose work is a function of the op, what its operands have become, and a Writer before it.
template <typename OpT> struct Lowering : OpConversionPattern<OpT> {
  using Adaptor = typename OpT::Adaptor;
  using Function = std::function<void(ConversionPatternRewriter &, Writer &, OpT, Adaptor)>;
  Lowering(const TypeConverter &types, MLIRContext *context, Function function)
      : OpConversionPattern<OpT>(types, context), function(std::move(function)) {}
  LogicalResult matchAndRewrite(OpT op, Adaptor adaptor, ConversionPatternRewriter &rewriter) const override {
    Writer writer{rewriter, op.getLoc()};
    function(rewriter, writer, op, adaptor);
    return success();
  }
  Function function;
};

/// Patterns of ops whose results are values that a function gives, or that have none.
void addPatterns(RewritePatternSet &patterns, const TypeConverter &types) {
  MLIRContext *context = patterns.getContext();
  auto give = [&]<typename OpT>(auto function) {
    patterns.add<Lowering<OpT>>(types, context,
                                [function](ConversionPatternRewriter &rewriter, Writer &w, OpT op, auto adaptor) {
                                  rewriter.replaceOp(op, function(w, op, adaptor));
                                });
  };
  auto act = [&]<typename OpT>(auto function) {
    patterns.add<Lowering<OpT>>(types, context,
                                [function](ConversionPatternRewriter &rewriter, Writer &w, OpT op, auto adaptor) {
                                  function(w, op, adaptor);
                                  rewriter.eraseOp(op);
                                });
  };
  give.operator()<CreateRingOp>([](Writer &w, CreateRingOp op, auto) {
    Value base = w.shared(op.getOffset());
    emitCreateRing(w, op, base);
    return base;
  });
  give.operator()<CreateTileOp>([](Writer &w, CreateTileOp op, auto) { return w.shared(op.getOffset()); });
  give.operator()<CreateMemoryOp>([context](Writer &w, CreateMemoryOp op, auto) {
    // As what memrefs become at the end of this stage.
    LLVMTypeConverter converter(context);
    auto type = cast<MemRefType>(op.getMemory().getType());
    Value descriptor = MemRefDescriptor::fromStaticShape(w.b, w.loc, converter, type, w.shared(op.getOffset()));
    return UnrealizedConversionCastOp::create(w.b, w.loc, Type(type), descriptor).getResult(0);
  });
  give.operator()<StageOp>([](Writer &w, StageOp op, auto adaptor) {
    return w.tileOf(op.getRing().getType(), adaptor.getRing(), adaptor.getTurn(), op.getTile());
  });
  give.operator()<ViewOp>([](Writer &, ViewOp, auto adaptor) { return adaptor.getRing(); });
  give.operator()<SubtileOp>([](Writer &w, SubtileOp op, auto adaptor) {
    TileType tile = op.getTile().getType();
    int64_t columnBytes = tile.getPanelBytes() / tile.getPanelColumns();
    return w.at(adaptor.getTile(), w.add(w.mul(w.toI32(adaptor.getRow()), tile.getRowBytes()),
                                         w.mul(w.toI32(adaptor.getColumn()), columnBytes)));
  });
  act.operator()<AcquireOp>([](Writer &w, AcquireOp op, auto adaptor) {
    RingType ring = op.getRing().getType();
    Value turn = adaptor.getTurn(), base = adaptor.getRing();
    // Of a barrier that nobody has arrived at yet, the phase before the first counts as complete.
    w.wait(w.barrier(ring, base, turn, Writer::Empty), w.make<arith::XOrIOp>(w.parity(ring, turn), w.i32(1)));
    NVVM::MBarrierArriveExpectTxOp::create(w.b, w.loc, Type(), w.barrier(ring, base, turn, Writer::Full),
                                           w.i32(ring.getOffset(op.getTiles().value_or(ring.getTiles().size()))),
                                           NVVM::MemScopeKindAttr::get(w.b.getContext(), NVVM::MemScopeKind::CTA),
                                           w.b.getBoolAttr(false), Value());
  });
  act.operator()<CopyInOp>([](Writer &w, CopyInOp op, auto adaptor) {
    emitCopyIn(w, op, adaptor.getMap(), adaptor.getRing(), adaptor.getTurn());
  });
  act.operator()<AwaitOp>([](Writer &w, AwaitOp op, auto adaptor) {
    RingType ring = op.getRing().getType();
    w.wait(w.barrier(ring, adaptor.getRing(), adaptor.getTurn(), Writer::Full), w.parity(ring, adaptor.getTurn()));
  });
  act.operator()<ReleaseOp>([](Writer &w, ReleaseOp op, auto adaptor) {
    w.when(w.isEqual(w.threadOfGroup(), 0), [&] {
      NVVM::MBarrierArriveOp::create(
          w.b, w.loc, w.b.getI64Type(),
          w.barrier(op.getRing().getType(), adaptor.getRing(), adaptor.getTurn(), Writer::Empty), Value(),
          NVVM::MemScopeKindAttr::get(w.b.getContext(), NVVM::MemScopeKind::CTA));
    });
  });
  give.operator()<UndefinedOp>([&types](Writer &w, UndefinedOp op, auto) {
    return LLVM::PoisonOp::create(w.b, w.loc, types.convertType(op.getType())).getResult();
  });
  give.operator()<AccumulatorOp>([&types](Writer &w, AccumulatorOp op, auto adaptor) {
    return w.structure(types.convertType(op.getType()), adaptor.getValues());
  });
  give.operator()<FragmentOp>([&types](Writer &w, FragmentOp op, auto adaptor) {
    SmallVector<Value> pairs;
    for (size_t i = 0; i < op.getValues().size(); i += 2)
      pairs.push_back(w.roundPair(adaptor.getValues()[i], adaptor.getValues()[i + 1]));
    return w.structure(types.convertType(op.getType()), pairs);
  });
  act.operator()<FenceOp>([](Writer &w, FenceOp, auto) { NVVM::WgmmaFenceAlignedOp::create(w.b, w.loc); });
  give.operator()<MmaOp>([](Writer &w, MmaOp op, auto adaptor) {
    return emitMma(w, op, adaptor.getA(), adaptor.getB(), adaptor.getAccumulator(), adaptor.getAdds());
  });
  act.operator()<CommitOp>([](Writer &w, CommitOp, auto) { NVVM::WgmmaGroupSyncAlignedOp::create(w.b, w.loc); });
  give.operator()<WaitOp>([](Writer &w, WaitOp op, auto adaptor) {
    // Registers of all accumulators pass through the instruction, or LLVM might read them before it.
    SmallVector<Value> values, results;
    for (Value accumulator : adaptor.getAccumulators())
      llvm::append_range(values, w.fields(accumulator));
    if (values.empty()) {
      NVVM::WgmmaWaitGroupSyncOp::create(w.b, w.loc, op.getPending());
      return results;
    }
    auto type = LLVM::LLVMStructType::getLiteral(w.b.getContext(), SmallVector<Type>(values.size(), w.b.getF32Type()));
    SmallVector<Value> done = w.fields(
        w.tied("wgmma.wait_group.sync.aligned " + llvm::Twine(op.getPending()) + ";", type, values, ValueRange(), ""));
    ArrayRef<Value> rest = done;
    for (Value accumulator : adaptor.getAccumulators()) {
      size_t count = cast<LLVM::LLVMStructType>(accumulator.getType()).getBody().size();
      results.push_back(w.structure(accumulator.getType(), rest.take_front(count)));
      rest = rest.drop_front(count);
    }
    return results;
  });
  act.operator()<PinOp>([](Writer &w, PinOp, auto adaptor) { emitPin(w, adaptor.getValue()); });
  give.operator()<ElementsOp>([](Writer &w, ElementsOp, auto adaptor) { return w.fields(adaptor.getAccumulator()); });
  give.operator()<ReadOp>([](Writer &w, ReadOp op, auto adaptor) { return emitRead(w, op, adaptor.getTile()); });
  give.operator()<ReadElementsOp>(
      [](Writer &w, ReadElementsOp op, auto adaptor) { return emitReadElements(w, op, adaptor.getTile()); });
  act.operator()<WriteOp>([](Writer &w, WriteOp op, auto adaptor) {
    emitWrite(w, op.getTile().getType(), adaptor.getValues(), adaptor.getTile());
  });
  act.operator()<FenceCopiesOp>([](Writer &w, FenceCopiesOp op, auto) {
    MLIRContext *context = w.b.getContext();
    bool inMemory = op.getInMemory();
    NVVM::FenceProxyOp::create(
        w.b, w.loc,
        NVVM::ProxyKindAttr::get(context, inMemory ? NVVM::ProxyKind::async_global : NVVM::ProxyKind::async_shared),
        inMemory ? NVVM::SharedSpaceAttr() : NVVM::SharedSpaceAttr::get(context, NVVM::SharedSpace::shared_cta));
  });
  act.operator()<CopyRunOutOp>([](Writer &w, CopyRunOutOp op, auto adaptor) {
    emitCopyRunOut(w, op, adaptor.getFrom(), adaptor.getTo(), adaptor.getFirst());
  });
  act.operator()<CopyOutOp>(
      [](Writer &w, CopyOutOp op, auto adaptor) { emitCopyOut(w, op, adaptor.getTile(), adaptor.getMap()); });
  act.operator()<WaitCopiesOp>([](Writer &w, WaitCopiesOp op, auto) {
    NVVM::CpAsyncBulkWaitGroupOp::create(w.b, w.loc, w.b.getI32IntegerAttr(op.getPending()),
                                         op.getWritten() ? UnitAttr() : w.b.getUnitAttr());
  });
  act.operator()<BarrierOp>([](Writer &w, BarrierOp op, auto adaptor) {
    if (op.getArrives()) {
      LLVM::CallIntrinsicOp::create(w.b, w.loc, w.b.getStringAttr("llvm.nvvm.barrier.cta.arrive.aligned.count"),
                                    ValueRange{w.toI32(adaptor.getNumber()), w.i32(op.getThreads())});
      return;
    }
    NVVM::BarrierOp::create(w.b, w.loc, TypeRange(), w.toI32(adaptor.getNumber()), w.i32(op.getThreads()),
                            NVVM::BarrierReductionAttr(), Value());
  });
  patterns.add<Lowering<RolesOp>>(types, context, [](ConversionPatternRewriter &rewriter, Writer &w, RolesOp op, auto) {
    emitRoles(rewriter, w, op);
    rewriter.eraseOp(op);
  });
}

struct ConvertXFGToNVVMPass : impl::ConvertXFGToNVVMPassBase<ConvertXFGToNVVMPass> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    MLIRContext *context = &getContext();
    if (!module
             .walk([](Operation *op) {
               return isa<XFGDialect>(op->getDialect()) ? WalkResult::interrupt() : WalkResult::advance();
             })
             .wasInterrupted())
      return; // most kernels
    TypeConverter types;
    auto structure = [=](Type element, int64_t count) -> Type {
      return LLVM::LLVMStructType::getLiteral(context, SmallVector<Type>(count, element));
    };
    types.addConversion([](Type type) { return type; });
    types.addConversion([=](TensorMapType) -> Type { return LLVM::LLVMPointerType::get(context); });
    types.addConversion([=](Type type) -> std::optional<Type> {
      if (isa<TileType, RingType>(type))
        return LLVM::LLVMPointerType::get(context, sharedSpace);
      return std::nullopt; // as the conversions above have it
    });
    types.addConversion(
        [=](AccumulatorType type) { return structure(Float32Type::get(context), type.getColumns() / 2); });
    types.addConversion(
        [=](FragmentType type) { return structure(IntegerType::get(context, 32), type.getColumns() / 4); });

    OpBuilder builder = OpBuilder::atBlockBegin(module.getBody());
    auto none = LLVM::LLVMArrayType::get(builder.getI8Type(), 0);
    LLVM::GlobalOp::create(builder, module.getLoc(), none, /*isConstant=*/false, LLVM::Linkage::External, sharedName,
                           Attribute(), /*alignment=*/swizzleBytes, sharedSpace);

    ConversionTarget target(*context);
    target.addIllegalDialect<XFGDialect>();
    target.markUnknownOpDynamicallyLegal([](Operation *) { return true; });
    target.addDynamicallyLegalOp<func::FuncOp>(
        [&](func::FuncOp op) { return types.isSignatureLegal(op.getFunctionType()) && types.isLegal(&op.getBody()); });
    RewritePatternSet patterns(context);
    populateFunctionOpInterfaceTypeConversionPattern<func::FuncOp>(patterns, types);
    scf::populateSCFStructuralTypeConversionsAndLegality(types, patterns, target);
    addPatterns(patterns, types);
    if (failed(applyPartialConversion(module, target, std::move(patterns))))
      signalPassFailure();
  }
};
} // namespace
} // namespace mlir::xf
