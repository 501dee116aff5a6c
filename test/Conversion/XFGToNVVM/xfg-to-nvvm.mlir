// RUN: xf-opt %s --convert-xfg-to-nvvm --cse --canonicalize | FileCheck %s

// CHECK: llvm.mlir.global external @xf_shared() {addr_space = 3 : i32, alignment = 1024 : i64} : !llvm.array<0 x i8>

// Stages of 128 x 64 and 64 x 64 of bf16, 24576 bytes; after three of them their barriers.
// CHECK-LABEL: func.func @ring(
// CHECK-SAME: %[[MAP:.*]]: !llvm.ptr,
func.func @ring(%map: !xfg.tensor_map<128x64xbf16>, %turn: index) {
  // CHECK-DAG: %[[BASE:.*]] = llvm.mlir.addressof @xf_shared
  // CHECK-DAG: %[[BYTES:.*]] = arith.constant 24576 : i32
  // CHECK-DAG: %[[FULL:.*]] = arith.constant 73728 : i32
  // CHECK-DAG: %[[EMPTY:.*]] = arith.constant 73752 : i32
  // CHECK-COUNT-6: nvvm.mbarrier.init
  // CHECK: nvvm.fence.mbarrier.init
  %ring = xfg.create_ring at 0 consumers 2 : !xfg.ring<3, <128x64xbf16>, <64x64xbf16>>
  // CHECK: nvvm.shfl.sync
  // CHECK: scf.if
  // CHECK: nvvm.setmaxregister decrease 40
  // CHECK: nvvm.elect.sync
  xfg.roles producer 40 {
    // CHECK: nvvm.mbarrier.try_wait.parity
    // CHECK: nvvm.mbarrier.arrive.expect_tx %{{.*}}, %[[BYTES]]
    xfg.acquire %ring[%turn] : !xfg.ring<3, <128x64xbf16>, <64x64xbf16>>
    // CHECK: nvvm.cp.async.bulk.tensor.shared.cluster.global %{{.*}}, %[[MAP]], %{{.*}}, box[
    xfg.copy_in %map[%turn, %turn] to %ring[%turn], 0 : !xfg.tensor_map<128x64xbf16>, !xfg.ring<3, <128x64xbf16>, <64x64xbf16>>
  // CHECK: } else {
  // CHECK: nvvm.setmaxregister increase 232
  } consumers 232 {
    // CHECK: nvvm.mbarrier.try_wait.parity
    xfg.await %ring[%turn] : !xfg.ring<3, <128x64xbf16>, <64x64xbf16>>
    // CHECK: scf.if
    // CHECK: nvvm.mbarrier.arrive
    xfg.release %ring[%turn] : !xfg.ring<3, <128x64xbf16>, <64x64xbf16>>
  }
  return
}

// Descriptors: swizzled by 128 bytes (bit 62), eight rows are 1024 bytes (64 units of 16 from bit 32); from bit 16 how far
// the next 64 columns of a transposed operand are (64 rows of 128 bytes: 512 units). The next 16 of k are 32 bytes along a
// row, 2 units, or 16 rows, 128 units.
// CHECK-LABEL: func.func @products(
func.func @products(%a: !xfg.tile<64x64xbf16>, %b: !xfg.tile<32x64xbf16, of 64>, %c: !xfg.tile<64x128xbf16>, %x: f32, %adds: i1) -> f32 {
  // CHECK-DAG: arith.constant 65536 : i32
  // CHECK-DAG: arith.constant 33554432 : i32
  %zero = xfg.undefined : !xfg.accumulator<64x32xf32>
  %wide = xfg.undefined : !xfg.accumulator<64x128xf32>
  // CHECK: nvvm.wgmma.fence.aligned
  xfg.fence
  // Only the first 16 of k may be those that nothing is added to.
  // CHECK: %[[ADDS:.*]] = arith.extui
  // CHECK: add.s32 a_low, $16, 0;\0Amov.b64 rd_a, {a_low, 1073741888};{{.*}}setp.ne.b32 p, $18, 0;{{.*}}%[[ADDS]],
  // CHECK: add.s32 a_low, $16, 2;{{.*}}add.s32 b_low, $17, 2;{{.*}}setp.ne.b32 p, 1, 0;
  // CHECK-COUNT-2: wgmma.mma_async.sync.aligned.m64n32k16.f32.bf16.bf16 {$0, {{.*}}$15}, rd_a, rd_b, p, 1, 1, 0, 0;
  %0 = xfg.mma %a, %b, %zero adds %adds transpose_b : !xfg.tile<64x64xbf16>, !xfg.tile<32x64xbf16, of 64>, !xfg.accumulator<64x32xf32>
  // CHECK-COUNT-4: wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {$0, {{.*}}$63}, rd_a, rd_b, p, 1, 1, 1, 1;
  %1 = xfg.mma %a, %c, %wide transpose_a : !xfg.tile<64x64xbf16>, !xfg.tile<64x128xbf16>, !xfg.accumulator<64x128xf32>
  // CHECK: nvvm.convert.f32x2.to.bf16x2
  %p = xfg.fragment %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x : !xfg.fragment<64x64xbf16>
  // CHECK-COUNT-4: wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {$0, {{.*}}$63}, {$64, $65, $66, $67}, rd_b, p, 1, 1, 1;
  %2 = xfg.mma %p, %c, %1 : !xfg.fragment<64x64xbf16>, !xfg.tile<64x128xbf16>, !xfg.accumulator<64x128xf32>
  // CHECK: nvvm.wgmma.commit.group.sync.aligned
  xfg.commit
  // CHECK: nvvm.wgmma.wait.group.sync.aligned 1
  xfg.wait 1
  // CHECK: llvm.inline_asm has_side_effects asm_dialect = att "wgmma.wait_group.sync.aligned 0;"
  %3:2 = xfg.wait 0 for %0, %2 : !xfg.accumulator<64x32xf32>, !xfg.accumulator<64x128xf32>
  %e:16 = xfg.elements %3#0 : !xfg.accumulator<64x32xf32>
  // A barrier in a branch that no thread takes.
  // CHECK: %[[ELEMENT:.*]] = llvm.extractvalue %{{.*}}[3] : !llvm.struct
  // CHECK: %[[LESS:.*]] = arith.cmpf olt, %[[ELEMENT]]
  // CHECK: scf.if %[[LESS]]
  // CHECK: nvvm.barrier id
  xfg.pin %e#3
  // Elements that are put together and taken apart again are themselves.
  %s = xfg.accumulator %e#0, %e#1, %e#2, %e#3 : !xfg.accumulator<64x8xf32>
  %f:4 = xfg.elements %s : !xfg.accumulator<64x8xf32>
  // CHECK: return %[[ELEMENT]]
  return %f#3 : f32
}

// Panels of 32 columns: swizzled by 64 bytes (2 from bit 62), eight rows are 512 bytes (32 units), the next 32 columns of
// a transposed operand 96 rows of 64 bytes (384 units). Of k the third 16 are in the next panel, or 32 rows on (128).
// CHECK-LABEL: func.func @narrow(
func.func @narrow(%a: !xfg.tile<64x96xbf16>, %b: !xfg.tile<96x32xbf16>, %map: !xfg.tensor_map<64x32xbf16>, %x: f32, %i: index) -> f32 {
  // CHECK-DAG: arith.constant 25165824 : i32
  // CHECK: add.s32 a_low, $16, 0;\0Amov.b64 rd_a, {a_low, 2147483680};
  // CHECK: add.s32 a_low, $16, 2;
  // CHECK: add.s32 a_low, $16, 256;{{.*}}add.s32 b_low, $17, 128;
  %none = xfg.undefined : !xfg.accumulator<64x32xf32>
  %0 = xfg.mma %a, %b, %none : !xfg.tile<64x96xbf16>, !xfg.tile<96x32xbf16>, !xfg.accumulator<64x32xf32>
  // Row r's places change by r / 2.
  // CHECK: arith.shrui
  // CHECK-COUNT-2: nvvm.stmatrix
  %part = xfg.subtile %a[%i, %i] : !xfg.tile<64x96xbf16> -> !xfg.tile<64x32xbf16>
  xfg.write %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x to %part : !xfg.tile<64x32xbf16>
  // CHECK-COUNT-3: nvvm.cp.async.bulk.tensor.global.shared.cta
  xfg.copy_out %a to %map[%i, %i] : !xfg.tile<64x96xbf16>, !xfg.tensor_map<64x32xbf16>
  %e:16 = xfg.elements %0 : !xfg.accumulator<64x32xf32>
  return %e#0 : f32
}

// What an accumulator's threads would have of a tile; of a stage that is not filled as many bytes are expected as its first tiles have.
// CHECK-LABEL: func.func @elements(
func.func @elements(%ring: !xfg.ring<2, <64x64xbf16>, <128x64xbf16>>, %i: index) -> f32 {
  %view = xfg.view %ring : !xfg.ring<2, <64x64xbf16>, <128x64xbf16>> as !xfg.ring<2, <64x64xbf16>, <64x64xbf16>, <64x64xbf16>>
  // CHECK: %[[BYTES:.*]] = arith.constant 16384 : i32
  // CHECK: nvvm.mbarrier.arrive.expect_tx %{{.*}}, %[[BYTES]]
  xfg.acquire %view[%i] tiles 2 : !xfg.ring<2, <64x64xbf16>, <64x64xbf16>, <64x64xbf16>>
  %tile = xfg.stage %view[%i], 2 : !xfg.ring<2, <64x64xbf16>, <64x64xbf16>, <64x64xbf16>> -> !xfg.tile<64x64xbf16>
  // CHECK: nvvm.ldmatrix
  // CHECK: %[[PAIR:.*]] = llvm.extractvalue %{{.*}}[0]
  // CHECK: %[[BITS:.*]] = arith.shli %[[PAIR]]
  // CHECK: llvm.bitcast %[[BITS]] : i32 to f32
  // CHECK-COUNT-3: nvvm.ldmatrix
  %e:32 = xfg.read_elements %tile : !xfg.tile<64x64xbf16>
  return %e#0 : f32
}

// Of f32 a row of 128 bytes is 32 columns; two neighbours of a row, and of the row eight further, are stored at once.
// CHECK-LABEL: func.func @sums(
func.func @sums(%map: !xfg.tensor_map<64x32xf32>, %x: f32, %i: index) {
  %tile = xfg.create_tile at 2048 : !xfg.tile<64x64xf32>
  %part = xfg.subtile %tile[%i, %i] : !xfg.tile<64x64xf32> -> !xfg.tile<64x32xf32>
  // CHECK: llvm.store %{{.*}}, %{{.*}} {alignment = 8 : i64} : vector<2xf32>, !llvm.ptr<3>
  // CHECK: llvm.getelementptr %{{.*}}[1024]
  // CHECK-COUNT-7: llvm.store %{{.*}}, %{{.*}} {alignment = 8 : i64} : vector<2xf32>, !llvm.ptr<3>
  xfg.write %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x to %part : !xfg.tile<64x32xf32>
  // CHECK-COUNT-2: nvvm.cp.async.bulk.tensor.reduce {{.*}} {redKind = #nvvm.tma_redux_kind<add>}
  xfg.copy_out %tile adds to %map[%i, %i] : !xfg.tile<64x64xf32>, !xfg.tensor_map<64x32xf32>
  return
}

// Piece p of row r is at place p xor (r mod 8), which is that of 16 bytes; the piece beside it at one that differs in a bit.
// CHECK-LABEL: func.func @read(
func.func @read(%tile: !xfg.tile<64x64xbf16>, %i: index, %j: index) -> (vector<8xbf16>, vector<8xbf16>) {
  // CHECK: arith.xori
  // CHECK: %[[FIRST:.*]] = llvm.ptrtoint
  // CHECK: llvm.load %{{.*}} {alignment = 16 : i64} : !llvm.ptr<3> -> vector<8xbf16>
  // CHECK: arith.xori %[[FIRST]], %c16_i32
  // CHECK: llvm.load %{{.*}} {alignment = 16 : i64} : !llvm.ptr<3> -> vector<8xbf16>
  %x:2 = xfg.read %tile[%i, %j] : !xfg.tile<64x64xbf16> -> vector<8xbf16>, vector<8xbf16>
  return %x#0, %x#1 : vector<8xbf16>, vector<8xbf16>
}

// CHECK-LABEL: func.func @results(
func.func @results(%map: !xfg.tensor_map<64x64xbf16>, %x: f32, %i: index) -> f32 {
  %tile = xfg.create_tile at 2048 : !xfg.tile<64x64xbf16>
  // CHECK-COUNT-4: nvvm.stmatrix
  xfg.write %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x to %tile : !xfg.tile<64x64xbf16>
  // CHECK: nvvm.fence.proxy {kind = #nvvm.proxy_kind<async.shared>, space = #nvvm.shared_space<cta>}
  xfg.fence_copies
  // CHECK: nvvm.barrier id = %{{.*}} number_of_threads = %{{.*}}
  xfg.barrier %i threads 128
  // CHECK: nvvm.cp.async.bulk.tensor.global.shared.cta
  // CHECK: nvvm.cp.async.bulk.commit.group
  xfg.copy_out %tile to %map[%i, %i] : !xfg.tile<64x64xbf16>, !xfg.tensor_map<64x64xbf16>
  // CHECK: nvvm.cp.async.bulk.wait_group 0 {read}
  xfg.wait_copies 0
  // CHECK: llvm.getelementptr %{{.*}}[4096] : (!llvm.ptr<3>) -> !llvm.ptr<3>, i8
  // CHECK: builtin.unrealized_conversion_cast %{{.*}} : !llvm.struct<(ptr<3>, ptr<3>, i64, array<1 x i64>, array<1 x i64>)> to memref<8xf32, 3>
  %numbers = xfg.create_memory at 4096 : memref<8xf32, 3>
  %y = memref.load %numbers[%i] : memref<8xf32, 3>
  return %y : f32
}

// What leaves by a warp of its own: a run of numbers, which is in memory before others may know of it.
// CHECK-LABEL: func.func @writer(
func.func @writer(%sums: memref<?xf32>, %i: index) {
  %numbers = xfg.create_memory at 0 : memref<8x4xf32, 3>
  // CHECK: nvvm.setmaxregister decrease 40
  // CHECK: arith.cmpi eq, %{{.*}}, %c1_i32
  xfg.roles producer 40 {
  } consumers 232 {
    // CHECK-DAG: llvm.call_intrinsic "llvm.nvvm.barrier.cta.arrive.aligned.count"
    xfg.barrier %i threads 288 arrives
  } writer {
    // CHECK-DAG: cp.reduce.async.bulk.global.shared::cta.bulk_group.add.f32 [$0], [$1], $2;
    // CHECK-DAG: nvvm.cp.async.bulk.wait_group 0{{$}}
    // CHECK-DAG: nvvm.fence.proxy {kind = #nvvm.proxy_kind<async.global>}
    xfg.copy_run_out %numbers to %sums[%i] adds : memref<8x4xf32, 3>, memref<?xf32>
    xfg.wait_copies 0 written
    xfg.fence_copies in_memory
  }
  return
}
