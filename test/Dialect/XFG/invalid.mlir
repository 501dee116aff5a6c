// A case a constraint, named after it.
// RUN: xf-opt %s --split-input-file --verify-diagnostics

// expected-error@+1 {{expected elements of bf16 or f32, but got 'f16'}}
func.func private @tile(!xfg.tile<64x64xf16>)

// -----

// expected-error@+1 {{expected elements of bf16, but got 'f32'}}
func.func private @fragment(!xfg.fragment<64x16xf32>)

// -----

// expected-error@+1 {{expected columns to be 32, but got 64}}
func.func private @map(!xfg.tensor_map<64x64xf32>)

// -----

// expected-error@+1 {{expected columns to be a multiple of 32 up to 65536, but got 16}}
func.func private @tile(!xfg.tile<64x16xbf16>)

// -----

// expected-error@+1 {{expected panels of a multiple of 8 rows, at least 64, but got 32}}
func.func private @tile(!xfg.tile<64x64xbf16, of 32>)

// -----

// expected-error@+1 {{expected rows x columns, but got 3 extents}}
func.func private @tile(!xfg.tile<2x64x64xbf16>)

// -----

// expected-error@+1 {{expected rows to be a multiple of 8 up to 256, but got 512}}
func.func private @map(!xfg.tensor_map<512x64xbf16>)

// -----

// expected-error@+1 {{expected columns to be a multiple of 32 up to 64, but got 128}}
func.func private @map(!xfg.tensor_map<64x128xbf16>)

// -----

// expected-error@+1 {{expected rows to be 64, but got 128}}
func.func private @accumulator(!xfg.accumulator<128x64xf32>)

// -----

// expected-error@+1 {{expected columns to be a multiple of 8 up to 256, but got 12}}
func.func private @accumulator(!xfg.accumulator<64x12xf32>)

// -----

// expected-error@+1 {{expected columns to be a multiple of 16 up to 256, but got 24}}
func.func private @fragment(!xfg.fragment<64x24xbf16>)

// -----

// expected-error@+1 {{expected 1 to 16 stages, but got 17}}
func.func private @ring(!xfg.ring<17, <64x64xbf16>>)

// -----

// expected-error@+1 {{expected whole tiles, but got '!xfg.tile<64x64xbf16, of 128>'}}
func.func private @ring(!xfg.ring<2, <64x64xbf16, of 128>>)

// -----

// xfg.create_ring C1
func.func @f() {
  // expected-error@+1 {{expected 'offset' to be a multiple of 1024, but got 512}}
  %ring = xfg.create_ring at 512 consumers 1 : !xfg.ring<2, <64x64xbf16>>
  return
}

// -----

// xfg.create_ring C2
func.func @f() {
  // expected-error@+1 {{expected 'consumers' to be at least 1, but got 0}}
  %ring = xfg.create_ring at 0 consumers 0 : !xfg.ring<2, <64x64xbf16>>
  return
}

// -----

// xfg.create_tile C1
func.func @f() {
  // expected-error@+1 {{expected 'offset' to be a multiple of 1024, but got 8}}
  %tile = xfg.create_tile at 8 : !xfg.tile<64x64xbf16>
  return
}

// -----

// xfg.create_memory C1
func.func @f() {
  // expected-error@+1 {{expected 'offset' to be a multiple of 16, but got 8}}
  %memory = xfg.create_memory at 8 : memref<2xf32, 3>
  return
}

// -----

// xfg.create_memory C2
func.func @f() {
  // expected-error@+1 {{expected 'memory' to have known extents, but got 'memref<?xf32, 3>'}}
  %memory = xfg.create_memory at 16 : memref<?xf32, 3>
  return
}

// -----

// xfg.stage C1
func.func @f(%ring: !xfg.ring<2, <64x64xbf16>>, %turn: index) {
  // expected-error@+1 {{expected 'tile' to be one of the 1 of a stage, but got 1}}
  %tile = xfg.stage %ring[%turn], 1 : !xfg.ring<2, <64x64xbf16>> -> !xfg.tile<64x64xbf16>
  return
}

// -----

// xfg.stage C1
func.func @f(%ring: !xfg.ring<2, <64x64xbf16>>, %turn: index) {
  // expected-error@+1 {{expected 'result' to be '!xfg.tile<64x64xbf16>', but got '!xfg.tile<128x64xbf16>'}}
  %tile = xfg.stage %ring[%turn], 0 : !xfg.ring<2, <64x64xbf16>> -> !xfg.tile<128x64xbf16>
  return
}

// -----

// xfg.view C1
func.func @f(%ring: !xfg.ring<2, <64x64xbf16>>) {
  // expected-error@+1 {{expected 'result' to have 2 stages of 8192 bytes, but got 2 of 16384}}
  %view = xfg.view %ring : !xfg.ring<2, <64x64xbf16>> as !xfg.ring<2, <128x64xbf16>>
  return
}

// -----

// xfg.acquire C1
func.func @f(%ring: !xfg.ring<2, <64x64xbf16>>, %turn: index) {
  // expected-error@+1 {{expected 'tile' to be one of the 1 of a stage, but got 1}}
  xfg.acquire %ring[%turn] tiles 2 : !xfg.ring<2, <64x64xbf16>>
  return
}

// -----

// xfg.read_elements C1
func.func @f(%tile: !xfg.tile<128x64xbf16>) {
  // expected-error@+1 {{expected 32 results and a tile of 64 x 64, but got 32 and 128 x 64}}
  %e:32 = xfg.read_elements %tile : !xfg.tile<128x64xbf16>
  return
}

// -----

// xfg.read_elements C1, of bf16
func.func @f(%tile: !xfg.tile<64x32xf32>) {
  // expected-error@+1 {{expected a tile of bf16, but got '!xfg.tile<64x32xf32>'}}
  %e:16 = xfg.read_elements %tile : !xfg.tile<64x32xf32>
  return
}

// -----

// xfg.subtile C1
func.func @f(%tile: !xfg.tile<128x64xbf16>, %i: index) {
  // expected-error@+1 {{expected 'result' to be a part of '!xfg.tile<128x64xbf16>', but got '!xfg.tile<64x64xbf16>'}}
  %part = xfg.subtile %tile[%i, %i] : !xfg.tile<128x64xbf16> -> !xfg.tile<64x64xbf16>
  return
}

// -----

// xfg.copy_in C1
func.func @f(%map: !xfg.tensor_map<64x64xbf16>, %ring: !xfg.ring<2, <64x64xbf16>>, %i: index) {
  // expected-error@+1 {{expected 'tile' to be one of the 1 of a stage, but got 2}}
  xfg.copy_in %map[%i, %i] to %ring[%i], 2 : !xfg.tensor_map<64x64xbf16>, !xfg.ring<2, <64x64xbf16>>
  return
}

// -----

// xfg.subtile C1, of panels of 64 columns
func.func @f(%tile: !xfg.tile<64x64xbf16>, %i: index) {
  // expected-error@+1 {{expected 'result' to be a part of '!xfg.tile<64x64xbf16>', but got '!xfg.tile<64x32xbf16>'}}
  %part = xfg.subtile %tile[%i, %i] : !xfg.tile<64x64xbf16> -> !xfg.tile<64x32xbf16>
  return
}

// -----

// xfg.copy_in C2, of panels of 32 columns
func.func @f(%map: !xfg.tensor_map<64x64xbf16>, %ring: !xfg.ring<2, <64x96xbf16>>, %i: index) {
  // expected-error@+1 {{expected boxes of 'map' to be the tile's panels (64 x 32 of 'bf16'), but got 64 x 64 of 'bf16'}}
  xfg.copy_in %map[%i, %i] to %ring[%i], 0 : !xfg.tensor_map<64x64xbf16>, !xfg.ring<2, <64x96xbf16>>
  return
}

// -----

// xfg.copy_in C2
func.func @f(%map: !xfg.tensor_map<128x64xbf16>, %ring: !xfg.ring<2, <64x64xbf16>>, %i: index) {
  // expected-error@+1 {{expected boxes of 'map' to be the tile's panels (64 x 64 of 'bf16'), but got 128 x 64 of 'bf16'}}
  xfg.copy_in %map[%i, %i] to %ring[%i], 0 : !xfg.tensor_map<128x64xbf16>, !xfg.ring<2, <64x64xbf16>>
  return
}

// -----

// xfg.copy_out C1
func.func @f(%map: !xfg.tensor_map<128x64xbf16>, %tile: !xfg.tile<64x64xbf16>, %i: index) {
  // expected-error@+1 {{expected boxes of 'map' to be the tile's panels (64 x 64 of 'bf16'), but got 128 x 64 of 'bf16'}}
  xfg.copy_out %tile to %map[%i, %i] : !xfg.tile<64x64xbf16>, !xfg.tensor_map<128x64xbf16>
  return
}

// -----

// xfg.copy_out C1, of elements
func.func @f(%map: !xfg.tensor_map<64x32xbf16>, %tile: !xfg.tile<64x32xf32>, %i: index) {
  // expected-error@+1 {{expected boxes of 'map' to be the tile's panels (64 x 32 of 'f32'), but got 64 x 32 of 'bf16'}}
  xfg.copy_out %tile to %map[%i, %i] : !xfg.tile<64x32xf32>, !xfg.tensor_map<64x32xbf16>
  return
}

// -----

// xfg.copy_out C2
func.func @f(%map: !xfg.tensor_map<64x64xbf16>, %tile: !xfg.tile<64x64xbf16>, %i: index) {
  // expected-error@+1 {{expected a tile of f32 whose numbers are added, but got '!xfg.tile<64x64xbf16>'}}
  xfg.copy_out %tile adds to %map[%i, %i] : !xfg.tile<64x64xbf16>, !xfg.tensor_map<64x64xbf16>
  return
}

// -----

// xfg.read C2
func.func @read(%t: !xfg.tile<64x64xf32>, %i: index) {
  // expected-error@+1 {{expected a tile of bf16, but got '!xfg.tile<64x64xf32>'}}
  %x = xfg.read %t[%i, %i] : !xfg.tile<64x64xf32> -> vector<8xbf16>
  return
}

// -----

// xfg.mma C4
func.func @f(%a: !xfg.tile<64x64xbf16>, %b: !xfg.tile<64x64xf32>, %c: !xfg.accumulator<64x64xf32>) {
  // expected-error@+1 {{expected a tile of bf16, but got '!xfg.tile<64x64xf32>'}}
  %0 = xfg.mma %a, %b, %c : !xfg.tile<64x64xbf16>, !xfg.tile<64x64xf32>, !xfg.accumulator<64x64xf32>
  return
}

// -----

// xfg.read C1
func.func @read(%t: !xfg.tile<64x64xbf16>, %i: index) {
  // expected-error@+1 {{expected 1, 2, 4 or 8 vectors, but got 3}}
  %x:3 = xfg.read %t[%i, %i] : !xfg.tile<64x64xbf16> -> vector<8xbf16>, vector<8xbf16>, vector<8xbf16>
  return
}

// -----

// xfg.accumulator C1
func.func @accumulator(%x: f32) {
  // expected-error@+1 {{expected 4 values for 8 columns, but got 2}}
  %a = xfg.accumulator %x, %x : !xfg.accumulator<64x8xf32>
  return
}

// -----

// xfg.fragment C1
func.func @f(%x: f32) {
  // expected-error@+1 {{expected 8 values for 16 columns, but got 2}}
  %p = xfg.fragment %x, %x : !xfg.fragment<64x16xbf16>
  return
}

// -----

// xfg.mma C1
func.func @f(%a: !xfg.tile<64x64xbf16>, %b: !xfg.tile<128x64xbf16>, %c: !xfg.accumulator<64x64xf32>) {
  // expected-error@+1 {{expected 'a' and 'b' to agree on a multiple of 16, but got 64 and 128}}
  %sum = xfg.mma %a, %b, %c : !xfg.tile<64x64xbf16>, !xfg.tile<128x64xbf16>, !xfg.accumulator<64x64xf32>
  return
}

// -----

// xfg.mma C2
func.func @f(%a: !xfg.tile<64x64xbf16>, %b: !xfg.tile<128x64xbf16>, %c: !xfg.accumulator<64x64xf32>) {
  // expected-error@+1 {{expected 'accumulator' to be 64 x 128, with 64 rows, but got '!xfg.accumulator<64x64xf32>'}}
  %sum = xfg.mma %a, %b, %c transpose_b : !xfg.tile<64x64xbf16>, !xfg.tile<128x64xbf16>, !xfg.accumulator<64x64xf32>
  return
}

// -----

// xfg.mma C3
func.func @f(%a: !xfg.fragment<64x64xbf16>, %b: !xfg.tile<64x64xbf16>, %c: !xfg.accumulator<64x64xf32>) {
  // expected-error@+1 {{expected 'a' to be in shared memory where it is transposed}}
  %sum = xfg.mma %a, %b, %c transpose_a : !xfg.fragment<64x64xbf16>, !xfg.tile<64x64xbf16>, !xfg.accumulator<64x64xf32>
  return
}

// -----

// xfg.elements C1
func.func @f(%c: !xfg.accumulator<64x8xf32>) {
  // expected-error@+1 {{expected 4 results for 8 columns, but got 1}}
  %e = "xfg.elements"(%c) : (!xfg.accumulator<64x8xf32>) -> f32
  return
}

// -----

// xfg.write C1
func.func @f(%x: f32, %tile: !xfg.tile<64x64xbf16>) {
  // expected-error@+1 {{expected 32 values and a tile of 64 x 64, but got 1 and 64 x 64}}
  xfg.write %x to %tile : !xfg.tile<64x64xbf16>
  return
}

// -----

// xfg.write C1, of panels of 32 columns
func.func @f(%x: f32, %tile: !xfg.tile<64x32xbf16>) {
  // expected-error@+1 {{expected 16 values and a tile of 64 x 32, but got 1 and 64 x 32}}
  xfg.write %x to %tile : !xfg.tile<64x32xbf16>
  return
}

// -----

// xfg.roles C1
func.func @f() {
  // expected-error@+1 {{expected 'producer_registers' to be a multiple of 8 from 24 to 256, but got 20}}
  xfg.roles producer 20 {
    xfg.fence
  } consumers 232 {
    xfg.fence
  }
  return
}

// -----

// xfg.barrier C1
func.func @f(%i: index) {
  // expected-error@+1 {{expected 'threads' to be a multiple of 32, but got 100}}
  xfg.barrier %i threads 100
  return
}

// -----

// xfg.copy_run_out C1
func.func @f(%sums: memref<?xf32>, %i: index) {
  %numbers = xfg.create_memory at 0 : memref<3xf32, 3>
  // expected-error@+1 {{expected 'from' and 'to' to be of f32, and a multiple of 4 of it to be copied, but got 'memref<3xf32, 3>' and 'memref<?xf32>'}}
  xfg.copy_run_out %numbers to %sums[%i] : memref<3xf32, 3>, memref<?xf32>
  return
}
