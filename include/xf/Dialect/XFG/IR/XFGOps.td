//===- XFGOps.td - Hopper's copies, barriers and products ------*- tablegen -*-===//
// Between stages `schedule` and `target`: schedules for sm_90a write these ops beside scf, memref and arith, and
// convert-xfg-to-nvvm replaces them.
//===----------------------------------------------------------------------===//
#ifndef XFG_OPS_TD
#define XFG_OPS_TD

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/BuiltinTypeInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"

def XFG_Dialect : Dialect {
  let name = "xfg";
  let cppNamespace = "::mlir::xfg";
  let summary = "Hopper GPUs: bulk copies, rings in shared memory, products of warpgroups";
  let description = [{
    The work of one block of threads on a GPU of architecture sm_90a. A *warpgroup* is 128 threads, four warps, that compute one product together. The first warpgroup of a block copies (one thread of it), the others compute (`xfg.roles`);
    between them is a *ring* of stages in shared memory. Copies and products are asynchronous: a value of theirs is there when something has waited for it.

    A *tile* is a matrix of bf16 in shared memory as the copy engine writes it and tensor cores read it: in panels of 64 columns (128 bytes), one after the other, whose rows of eight 16-byte pieces are swizzled, piece p of row r at place p xor (r mod 8). Where columns are no multiple of 64, panels have 32 (64 bytes), and piece p of four is at p xor (r / 2 mod 4).
    A tile of f32, which no product reads, has panels of 32 columns (128 bytes).
  }];
  let useDefaultTypePrinterParser = 1;
}

//===-- Types ----------------------------------------------------------------===//
class XFG_Type<string name, string typeMnemonic> : TypeDef<XFG_Dialect, name> {
  let mnemonic = typeMnemonic;
  let genVerifyDecl = 1;
}
class XFG_MatrixType<string name, string typeMnemonic> : XFG_Type<name, typeMnemonic> {
  let parameters = (ins "int64_t":$rows, "int64_t":$columns, "::mlir::Type":$elementType);
  let assemblyFormat = "`<` custom<Matrix>($rows, $columns, $elementType) `>`";
}

def XFG_TensorMap : XFG_MatrixType<"TensorMap", "tensor_map"> {
  let summary = "how the copy engine finds boxes of a matrix in memory";
  let description = [{
    A parameter of the kernel, made by the driver for the matrix at hand: its address, extents and pitch. Copies move boxes of `rows` x `columns`; what lies outside of the matrix is read as zero, and not written.
    At most 256 rows of 32 or 64 columns of bf16, or of 32 of f32.
  }];
}
def XFG_Tile : XFG_Type<"Tile", "tile"> {
  let summary = "a matrix in shared memory";
  let description = [{
    `panel` is how many rows the panels have, which is more than `rows` where this is a part of another tile. Rows are multiples of 8, columns of 32.
  }];
  let parameters = (ins "int64_t":$rows, "int64_t":$columns, "::mlir::Type":$elementType, "int64_t":$panel);
  let assemblyFormat = "`<` custom<Tile>($rows, $columns, $elementType, $panel) `>`";
  let builders = [TypeBuilderWithInferredContext<(ins "::mlir::Type":$elementType, "int64_t":$rows, "int64_t":$columns), [{
    return $_get(elementType.getContext(), rows, columns, elementType, rows);
  }]>];
  let extraClassDeclaration = [{
    /// Columns of the panels of a tile of so many of bf16.
    static int64_t panelOf(int64_t columns) { return columns % 64 == 0 ? 64 : 32; }
    int64_t getPanelColumns() const { return getElementType().isF32() ? 32 : panelOf(getColumns()); }
    int64_t getPanels() const { return getColumns() / getPanelColumns(); }
    int64_t getRowBytes() const { return getPanelColumns() * getElementType().getIntOrFloatBitWidth() / 8; }
    int64_t getBytes() const { return getPanelBytes() * getPanels(); }
    int64_t getPanelBytes() const { return getPanel() * getRowBytes(); }
  }];
}
def XFG_Ring : XFG_Type<"Ring", "ring"> {
  let summary = "stages in shared memory, of some tiles each";
  let description = [{
    Stage `turn mod stages` is filled and emptied in turn `turn`, counted from 0 over the whole life of the block.
  }];
  let parameters = (ins "int64_t":$stages, ArrayRefParameter<"TileType">:$tiles);
  let assemblyFormat = "`<` $stages `,` $tiles `>`";
  let extraClassDeclaration = [{
    int64_t getStageBytes() const { return getOffset(getTiles().size()); }
    /// Of a tile in its stage.
    int64_t getOffset(unsigned tile) const {
      int64_t bytes = 0;
      for (TileType before : getTiles().take_front(tile))
        bytes += before.getBytes();
      return bytes;
    }
    /// Tiles, and then two barriers a stage: that it is full, and that it is empty.
    int64_t getBytes() const { return getStages() * (getStageBytes() + 16); }
  }];
}
def XFG_Accumulator : XFG_MatrixType<"Accumulator", "accumulator"> {
  let summary = "64 rows of f32 in the registers of a warpgroup";
  let description = [{
    Element 4 j + 2 h + p of a thread t is that of row 16 (t / 32) + (t mod 32) / 4 + 8 h and column 8 j + 2 (t mod 4) + p. At most 256 columns.
  }];
}
def XFG_Fragment : XFG_MatrixType<"Fragment", "fragment"> {
  let summary = "64 rows of bf16 in the registers of a warpgroup, a product's left operand";
  let description = [{ Elements lie as those of an accumulator. Columns are a multiple of 16. }];
}
def XFG_EightElements : VectorOfLengthAndType<[8], [BF16]>;
def XFG_LeftOperand : AnyTypeOf<[XFG_Tile, XFG_Fragment]>;

//===-- Shared memory ---------------------------------------------------------===//
class XFG_Op<string mnemonic, list<Trait> traits = []> : Op<XFG_Dialect, mnemonic, traits>;
class XFG_PureOp<string mnemonic, list<Trait> traits = []> : XFG_Op<mnemonic, !listconcat([Pure], traits)>;

def XFG_CreateRingOp : XFG_Op<"create_ring"> {
  let summary = "a ring, all of whose stages are empty";
  let description = [{
    Lies `offset` bytes into the block's dynamic shared memory, a multiple of 1024. A stage is empty again when each of `consumers` warpgroups has released it. All threads of the block reach this op, and meet at a barrier before any uses the ring.

    ```mlir
    %ring = xfg.create_ring at 0 consumers 2 : !xfg.ring<4, <128x64xbf16>, <256x64xbf16>>
    ```
    - C1: `offset` is a multiple of 1024. C2: there is a consumer.
  }];
  let arguments = (ins I64Attr:$offset, I64Attr:$consumers);
  let results = (outs XFG_Ring:$ring);
  let assemblyFormat = "`at` $offset `consumers` $consumers attr-dict `:` type($ring)";
  let hasVerifier = 1;
}
def XFG_CreateTileOp : XFG_PureOp<"create_tile"> {
  let summary = "a tile of its own";
  let description = [{
    ```mlir
    %tile = xfg.create_tile at 196608 : !xfg.tile<64x64xbf16>
    ```
    - C1: `offset` is a multiple of 1024.
  }];
  let arguments = (ins I64Attr:$offset);
  let results = (outs XFG_Tile:$tile);
  let assemblyFormat = "`at` $offset attr-dict `:` type($tile)";
  let hasVerifier = 1;
}
def XFG_CreateMemoryOp : XFG_PureOp<"create_memory"> {
  let summary = "numbers in shared memory";
  let description = [{
    Lie `offset` bytes into the block's dynamic shared memory, where rings are: the copy engine asks more of these than any other memory of the block's own before them would leave.

    ```mlir
    %numbers = xfg.create_memory at 81920 : memref<4x2x64xf32, 3>
    ```
    - C1: `offset` is a multiple of 16. C2: the extents are known.
  }];
  let arguments = (ins I64Attr:$offset);
  let results = (outs AnyMemRef:$memory);
  let assemblyFormat = "`at` $offset attr-dict `:` type($memory)";
  let hasVerifier = 1;
}
def XFG_StageOp : XFG_PureOp<"stage"> {
  let summary = "a tile of a stage";
  let description = [{
    ```mlir
    %b = xfg.stage %ring[%turn], 1 : !xfg.ring<4, <128x64xbf16>, <256x64xbf16>> -> !xfg.tile<256x64xbf16>
    ```
    - C1: the stage has such a tile, of this type.
  }];
  let arguments = (ins XFG_Ring:$ring, Index:$turn, I64Attr:$tile);
  let results = (outs XFG_Tile:$result);
  let assemblyFormat = "$ring `[` $turn `]` `,` $tile attr-dict `:` type($ring) `->` type($result)";
  let hasVerifier = 1;
}
def XFG_SubtileOp : XFG_PureOp<"subtile"> {
  let summary = "a part of a tile";
  let description = [{
    From a row that is a multiple of 8 and a column that a panel begins with on.

    ```mlir
    %a = xfg.subtile %tile[%row, %column] : !xfg.tile<128x64xbf16> -> !xfg.tile<64x64xbf16, of 128>
    ```
    - C1: the part is no larger than the tile, and of its panels.
  }];
  let arguments = (ins XFG_Tile:$tile, Index:$row, Index:$column);
  let results = (outs XFG_Tile:$result);
  let assemblyFormat = "$tile `[` $row `,` $column `]` attr-dict `:` type($tile) `->` type($result)";
  let hasVerifier = 1;
}

def XFG_ViewOp : XFG_PureOp<"view"> {
  let summary = "a ring, some of whose stages hold other tiles";
  let description = [{
    Of the same stages: in which turns they hold which tiles is for those to know who fill and read them.

    ```mlir
    %view = xfg.view %ring : !xfg.ring<4, <128x64xbf16>, <256x64xbf16>> as !xfg.ring<4, <128x64xbf16>, <128x64xbf16>, <128x64xbf16>>
    ```
    - C1: it has as many stages, of as many bytes.
  }];
  let arguments = (ins XFG_Ring:$ring);
  let results = (outs XFG_Ring:$result);
  let assemblyFormat = "$ring attr-dict `:` type($ring) `as` type($result)";
  let hasVerifier = 1;
}

//===-- The ring's two sides --------------------------------------------------===//
def XFG_AcquireOp : XFG_Op<"acquire"> {
  let summary = "wait until a stage is empty, to fill it";
  let description = [{
    One thread does this, and then fills the tiles of the stage by `xfg.copy_in`: all, or the first `tiles`.

    ```mlir
    xfg.acquire %ring[%turn] : !xfg.ring<4, <128x64xbf16>, <256x64xbf16>>
    ```
    - C1: the stage has as many tiles.
  }];
  let arguments = (ins XFG_Ring:$ring, Index:$turn, OptionalAttr<I64Attr>:$tiles);
  let assemblyFormat = "$ring `[` $turn `]` (`tiles` $tiles^)? attr-dict `:` type($ring)";
  let hasVerifier = 1;
}
def XFG_CopyInOp : XFG_Op<"copy_in"> {
  let summary = "fill a tile of an acquired stage from memory";
  let description = [{
    By the copy engine, a box for each panel: rows from `row` and columns from `column` on.

    ```mlir
    xfg.copy_in %map[%row, %column] to %ring[%turn], 1 : !xfg.tensor_map<256x64xbf16>, !xfg.ring<4, <128x64xbf16>, <256x64xbf16>>
    ```
    - C1: the stage has such a tile. C2: the map's boxes are its panels.
  }];
  let arguments = (ins XFG_TensorMap:$map, Index:$row, Index:$column, XFG_Ring:$ring, Index:$turn, I64Attr:$tile);
  let assemblyFormat = "$map `[` $row `,` $column `]` `to` $ring `[` $turn `]` `,` $tile attr-dict `:` type($map) `,` type($ring)";
  let hasVerifier = 1;
}
def XFG_AwaitOp : XFG_Op<"await"> {
  let summary = "wait until a stage is full, to read it";
  let description = [{
    ```mlir
    xfg.await %ring[%turn] : !xfg.ring<4, <128x64xbf16>, <256x64xbf16>>
    ```
  }];
  let arguments = (ins XFG_Ring:$ring, Index:$turn);
  let assemblyFormat = "$ring `[` $turn `]` attr-dict `:` type($ring)";
}
def XFG_ReleaseOp : XFG_Op<"release"> {
  let summary = "say that this warpgroup has read a stage";
  let description = [{
    All threads of the warpgroup reach this op, when the products that read the stage are done (`xfg.wait`).

    ```mlir
    xfg.release %ring[%turn] : !xfg.ring<4, <128x64xbf16>, <256x64xbf16>>
    ```
  }];
  let arguments = (ins XFG_Ring:$ring, Index:$turn);
  let assemblyFormat = "$ring `[` $turn `]` attr-dict `:` type($ring)";
}

//===-- Products --------------------------------------------------------------===//
def XFG_UndefinedOp : XFG_PureOp<"undefined"> {
  let summary = "an accumulator whose elements nobody reads";
  let description = [{
    For a sum whose first product does not add to it: to clear 128 registers takes as many instructions, and a fence after them.

    ```mlir
    %none = xfg.undefined : !xfg.accumulator<64x256xf32>
    ```
  }];
  let results = (outs XFG_Accumulator:$result);
  let assemblyFormat = "attr-dict `:` type($result)";
}
def XFG_AccumulatorOp : XFG_PureOp<"accumulator"> {
  let summary = "an accumulator of a thread's elements";
  let description = [{
    The reverse of `xfg.elements`: for sums that are changed between products.

    ```mlir
    %sum = xfg.accumulator %e#0, %e#1, %e#2, %e#3 : !xfg.accumulator<64x8xf32>
    ```
    - C1: there is half a value for each column.
  }];
  let arguments = (ins Variadic<F32>:$values);
  let results = (outs XFG_Accumulator:$result);
  let assemblyFormat = "$values attr-dict `:` type($result)";
  let hasVerifier = 1;
}
def XFG_FragmentOp : XFG_PureOp<"fragment"> {
  let summary = "an accumulator's elements, rounded to bf16, as a product's left operand";
  let description = [{
    `values` are the thread's elements in their order, two for each column.

    ```mlir
    %p = xfg.fragment %e#0, %e#1, %e#2, %e#3, %e#4, %e#5, %e#6, %e#7 : !xfg.fragment<64x16xbf16>
    ```
    - C1: there is half a value for each column, 64 rows of them over 128 threads.
  }];
  let arguments = (ins Variadic<F32>:$values);
  let results = (outs XFG_Fragment:$result);
  let assemblyFormat = "$values attr-dict `:` type($result)";
  let hasVerifier = 1;
}
def XFG_FenceOp : XFG_Op<"fence"> {
  let summary = "order what registers held before the products that follow";
  let description = [{
    Before the first product of a group.

    ```mlir
    xfg.fence
    ```
  }];
  let assemblyFormat = "attr-dict";
}
def XFG_MmaOp : XFG_Op<"mma", [AllTypesMatch<["accumulator", "result"]>]> {
  let summary = "begin a product of a warpgroup";
  let description = [{
    accumulator + a b, of bf16 with sums of f32; a b alone where `adds` is false. a is 64 x k, in shared memory or registers; b is k x n in shared memory; with `transpose_a` it is k x 64 and with `transpose_b` n x k that lies there.
    The result may be another product's accumulator; its elements are there after `xfg.wait`.

    ```mlir
    %sum = xfg.mma %a, %b, %none adds %adds transpose_b : !xfg.tile<64x64xbf16>, !xfg.tile<256x64xbf16>, !xfg.accumulator<64x256xf32>
    ```
    - C1: a and b agree on k. C2: the accumulator is 64 x n, and a has 64 rows. C3: a in registers is not transposed. C4: tiles are of bf16.
  }];
  let arguments = (ins XFG_LeftOperand:$a, XFG_Tile:$b, XFG_Accumulator:$accumulator, Optional<I1>:$adds, UnitAttr:$transpose_a, UnitAttr:$transpose_b);
  let results = (outs XFG_Accumulator:$result);
  let assemblyFormat = "$a `,` $b `,` $accumulator (`adds` $adds^)? (`transpose_a` $transpose_a^)? (`transpose_b` $transpose_b^)? attr-dict `:` type($a) `,` type($b) `,` type($accumulator)";
  let hasVerifier = 1;
}
def XFG_CommitOp : XFG_Op<"commit"> {
  let summary = "make a group of the products begun since the last one";
  let description = [{
    ```mlir
    xfg.commit
    ```
  }];
  let assemblyFormat = "attr-dict";
}
def XFG_WaitOp : XFG_Op<"wait", [AllTypesMatch<["accumulators", "results"]>]> {
  let summary = "wait until all groups of products but the last `pending` are done";
  let description = [{
    The accumulators that are done pass through, so that nothing reads them earlier.

    ```mlir
    %done = xfg.wait 0 for %sum : !xfg.accumulator<64x256xf32>
    ```
  }];
  let arguments = (ins ConfinedAttr<I64Attr, [IntMinValue<0>, IntMaxValue<7>]>:$pending, Variadic<XFG_Accumulator>:$accumulators);
  let results = (outs Variadic<XFG_Accumulator>:$results);
  let assemblyFormat = "$pending (`for` $accumulators^ `:` type($accumulators))? attr-dict";
}
def XFG_PinOp : XFG_Op<"pin"> {
  let summary = "compute a number here, not behind the wait that follows";
  let description = [{
    ptxas moves what a number is computed from down to where that is used, past a wait for products, which then have nothing beside them. It moves nothing past a barrier, not even one that is come to only where the number is less than 0, which it must never be (a sum of powers is not).

    ```mlir
    xfg.pin %x
    ```
  }];
  let arguments = (ins F32:$value);
  let assemblyFormat = "$value attr-dict";
}
def XFG_ElementsOp : XFG_PureOp<"elements"> {
  let summary = "a thread's elements of an accumulator";
  let description = [{
    ```mlir
    %e:32 = xfg.elements %done : !xfg.accumulator<64x64xf32>
    ```
    - C1: there is half a result for each column.
  }];
  let arguments = (ins XFG_Accumulator:$accumulator);
  let results = (outs Variadic<F32>:$results);
  let assemblyFormat = "$accumulator attr-dict `:` custom<Elements>(type($accumulator), type($results))";
  let hasVerifier = 1;
  let builders = [OpBuilder<(ins "::mlir::Value":$accumulator)>];
}

//===-- Threads in tiles ------------------------------------------------------------===//
def XFG_ReadOp : XFG_Op<"read"> {
  let summary = "neighbours in a tile's row, eight a vector";
  let description = [{
    Of n vectors, from a column that is a multiple of 8 n on; each thread its own.

    ```mlir
    %x:2 = xfg.read %tile[%row, %column] : !xfg.tile<64x64xbf16> -> vector<8xbf16>, vector<8xbf16>
    ```
    - C1: there are 1, 2, 4 or 8 vectors. C2: the tile is of bf16.
  }];
  let arguments = (ins XFG_Tile:$tile, Index:$row, Index:$column);
  let results = (outs Variadic<XFG_EightElements>:$results);
  let assemblyFormat = "$tile `[` $row `,` $column `]` attr-dict `:` type($tile) `->` type($results)";
  let hasVerifier = 1;
}
def XFG_ReadElementsOp : XFG_Op<"read_elements"> {
  let summary = "elements of a tile, as those of an accumulator";
  let description = [{
    The reverse of `xfg.write`: all threads of a warpgroup get those elements that they would have of an accumulator.

    ```mlir
    %e:32 = xfg.read_elements %tile : !xfg.tile<64x64xbf16, of 128>
    ```
    - C1: the tile is one panel of 64 rows of bf16, and there is half a result for each column.
  }];
  let arguments = (ins XFG_Tile:$tile);
  let results = (outs Variadic<F32>:$results);
  let assemblyFormat = "$tile attr-dict `:` custom<Elements>(type($tile), type($results))";
  let hasVerifier = 1;
  let builders = [OpBuilder<(ins "::mlir::Value":$tile)>];
}
def XFG_WriteOp : XFG_Op<"write"> {
  let summary = "elements, rounded where the tile is of bf16, into it";
  let description = [{
    All threads of a warpgroup; `values` are as those of an accumulator of the tile's columns, one panel. `xfg.fence_copies` and a barrier come before a copy of the tile.

    ```mlir
    xfg.write %e#0, %e#1, %e#2, %e#3, %e#4, %e#5, %e#6, %e#7, %e#8, %e#9, %e#10, %e#11, %e#12, %e#13, %e#14, %e#15, %e#16, %e#17, %e#18, %e#19, %e#20, %e#21, %e#22, %e#23, %e#24, %e#25, %e#26, %e#27, %e#28, %e#29, %e#30, %e#31 to %tile : !xfg.tile<64x64xbf16>
    ```
    - C1: the tile is one panel of 64 rows, and there is half a value for each column.
  }];
  let arguments = (ins Variadic<F32>:$values, XFG_Tile:$tile);
  let assemblyFormat = "$values `to` $tile attr-dict `:` type($tile)";
  let hasVerifier = 1;
}
def XFG_FenceCopiesOp : XFG_Op<"fence_copies"> {
  let summary = "let the copy engine see what this thread has written to shared memory";
  let description = [{
    With `in_memory` it orders what the engine does to the GPU's memory: what this thread has waited for is done before what others do once they know of it, and what this thread knows of is done before what it asks for next.

    ```mlir
    xfg.fence_copies
    xfg.fence_copies in_memory
    ```
  }];
  let arguments = (ins UnitAttr:$in_memory);
  let assemblyFormat = "(`in_memory` $in_memory^)? attr-dict";
}
def XFG_CopyOutOp : XFG_Op<"copy_out"> {
  let summary = "begin to copy a tile to memory";
  let description = [{
    One thread does this; each copy is a group that `xfg.wait_copies` counts. With `adds` its numbers are added to those that the memory has, there and not here: nothing else may read or write them meanwhile.

    ```mlir
    xfg.copy_out %tile to %map[%row, %column] : !xfg.tile<64x64xbf16>, !xfg.tensor_map<64x64xbf16>
    ```
    - C1: the map's boxes are the tile's panels. C2: numbers that are added are of f32, or the sum would be rounded twice.
  }];
  let arguments = (ins XFG_Tile:$tile, XFG_TensorMap:$map, Index:$row, Index:$column, UnitAttr:$adds);
  let assemblyFormat = "$tile (`adds` $adds^)? `to` $map `[` $row `,` $column `]` attr-dict `:` type($tile) `,` type($map)";
  let hasVerifier = 1;
}
def XFG_CopyRunOutOp : XFG_Op<"copy_run_out"> {
  let summary = "begin to copy numbers in shared memory to a run in memory, or to add them to it";
  let description = [{
    All of `from`, to as many elements of `to` from `first` on, a multiple of 4. One thread does this, as `xfg.copy_out`. Where it `adds`, the engine adds each number by itself: others that add to the same must be known to be done.

    ```mlir
    xfg.copy_run_out %numbers to %sums[%first] adds : memref<16x128x4xf32, 3>, memref<?xf32>
    ```
    - C1: both are of f32, and a multiple of 4 of it is copied.
  }];
  let arguments = (ins AnyMemRef:$from, AnyMemRef:$to, Index:$first, UnitAttr:$adds);
  let assemblyFormat = "$from `to` $to `[` $first `]` (`adds` $adds^)? attr-dict `:` type($from) `,` type($to)";
  let hasVerifier = 1;
}
def XFG_WaitCopiesOp : XFG_Op<"wait_copies"> {
  let summary = "wait until all copies of this thread to memory but the last `pending` have read what they copy";
  let description = [{
    Before a tile is written again, and before the block ends. With `written`, until they are in memory.

    ```mlir
    xfg.wait_copies 0
    xfg.wait_copies 0 written
    ```
  }];
  let arguments = (ins ConfinedAttr<I64Attr, [IntMinValue<0>]>:$pending, UnitAttr:$written);
  let assemblyFormat = "$pending (`written` $written^)? attr-dict";
}

//===-- Warps ------------------------------------------------------------------===//
def XFG_RolesOp : XFG_Op<"roles", [SingleBlock, NoTerminator, NoRegionArguments]> {
  let summary = "the first warpgroup copies, the others compute";
  let description = [{
    One thread of the first warpgroup runs the first region; all threads of the others run the second. Registers go from the one to the others: a multiple of 8 a thread. What is computed may leave by a `writer`: all threads of the first warpgroup's second warp.

    ```mlir
    xfg.roles producer 40 {
      xfg.acquire %ring[%turn] : !xfg.ring<4, <128x64xbf16>>
    } consumers 232 {
      xfg.await %ring[%turn] : !xfg.ring<4, <128x64xbf16>>
    }
    ```
    - C1: registers are multiples of 8 from 24 to 256.
  }];
  let arguments = (ins I64Attr:$producer_registers, I64Attr:$consumer_registers);
  let regions = (region SizedRegion<1>:$producer, SizedRegion<1>:$consumers, MaxSizedRegion<1>:$writer);
  let assemblyFormat = "`producer` $producer_registers $producer `consumers` $consumer_registers $consumers (`writer` $writer^)? attr-dict";
  let hasVerifier = 1;
}
def XFG_BarrierOp : XFG_Op<"barrier"> {
  let summary = "a barrier for some warps of the block";
  let description = [{
    Barrier `number` (1 to 15; 0 is that of the whole block), where `threads` threads meet.

    Warps that only say that they have come (`arrives`) go on at once.

    ```mlir
    xfg.barrier %number threads 128
    xfg.barrier %number threads 288 arrives
    ```
    - C1: `threads` is a multiple of 32.
  }];
  let arguments = (ins Index:$number, I64Attr:$threads, UnitAttr:$arrives);
  let assemblyFormat = "$number `threads` $threads (`arrives` $arrives^)? attr-dict";
  let hasVerifier = 1;
}
#endif
