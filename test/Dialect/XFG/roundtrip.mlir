// Every op as it is printed, which is as its definition shows it.
// RUN: xf-opt %s | xf-opt | FileCheck %s
// RUN: xf-opt %s --mlir-print-op-generic | xf-opt | FileCheck %s

// CHECK-LABEL: @copies
func.func @copies(%map: !xfg.tensor_map<256x64xbf16>, %out: !xfg.tensor_map<64x64xbf16>, %added: !xfg.tensor_map<64x32xf32>, %turn: index, %row: index, %column: index, %sums: memref<?xf32>) {
  // CHECK: %[[RING:.*]] = xfg.create_ring at 0 consumers 2 : <4, <128x64xbf16>, <256x64xbf16>>
  %ring = xfg.create_ring at 0 consumers 2 : !xfg.ring<4, <128x64xbf16>, <256x64xbf16>>
  // CHECK: xfg.create_tile at 196608 : <64x64xbf16>
  %tile = xfg.create_tile at 196608 : !xfg.tile<64x64xbf16>
  // CHECK: xfg.create_memory at 196608 : memref<2x64xf32, 3>
  %memory = xfg.create_memory at 196608 : memref<2x64xf32, 3>
  // CHECK: xfg.roles producer 40 {
  xfg.roles producer 40 {
    // CHECK: xfg.acquire %[[RING]][%[[TURN:.*]]] : <4, <128x64xbf16>, <256x64xbf16>>
    xfg.acquire %ring[%turn] : !xfg.ring<4, <128x64xbf16>, <256x64xbf16>>
    // CHECK: xfg.copy_in %{{.*}}[%{{.*}}, %{{.*}}] to %[[RING]][%[[TURN]]], 1 : <256x64xbf16>, <4, <128x64xbf16>, <256x64xbf16>>
    xfg.copy_in %map[%row, %column] to %ring[%turn], 1 : !xfg.tensor_map<256x64xbf16>, !xfg.ring<4, <128x64xbf16>, <256x64xbf16>>
    // CHECK: %[[VIEW:.*]] = xfg.view %[[RING]] : <4, <128x64xbf16>, <256x64xbf16>> as <4, <128x64xbf16>, <128x64xbf16>, <128x64xbf16>>
    %view = xfg.view %ring : !xfg.ring<4, <128x64xbf16>, <256x64xbf16>> as !xfg.ring<4, <128x64xbf16>, <128x64xbf16>, <128x64xbf16>>
    // CHECK: xfg.acquire %[[VIEW]][%[[TURN]]] tiles 2 : <4, <128x64xbf16>, <128x64xbf16>, <128x64xbf16>>
    xfg.acquire %view[%turn] tiles 2 : !xfg.ring<4, <128x64xbf16>, <128x64xbf16>, <128x64xbf16>>
  // CHECK: } consumers 232 {
  } consumers 232 {
    // CHECK: xfg.await %[[RING]][%[[TURN]]] : <4, <128x64xbf16>, <256x64xbf16>>
    xfg.await %ring[%turn] : !xfg.ring<4, <128x64xbf16>, <256x64xbf16>>
    // CHECK: xfg.release %[[RING]][%[[TURN]]] : <4, <128x64xbf16>, <256x64xbf16>>
    xfg.release %ring[%turn] : !xfg.ring<4, <128x64xbf16>, <256x64xbf16>>
  }
  // CHECK: xfg.read_elements %{{.*}} : !xfg.tile<64x64xbf16>
  %e:32 = xfg.read_elements %tile : !xfg.tile<64x64xbf16>
  // CHECK: xfg.fence_copies
  xfg.fence_copies
  // CHECK: xfg.fence_copies in_memory
  xfg.fence_copies in_memory
  // CHECK: xfg.barrier %{{.*}} threads 128
  xfg.barrier %turn threads 128
  // CHECK: xfg.barrier %{{.*}} threads 288 arrives
  xfg.barrier %turn threads 288 arrives
  // CHECK: xfg.copy_out %{{.*}} to %{{.*}}[%{{.*}}, %{{.*}}] : <64x64xbf16>, <64x64xbf16>
  xfg.copy_out %tile to %out[%row, %column] : !xfg.tile<64x64xbf16>, !xfg.tensor_map<64x64xbf16>
  %numbers = xfg.create_tile at 196608 : !xfg.tile<64x32xf32>
  // CHECK: xfg.copy_out %{{.*}} adds to %{{.*}}[%{{.*}}, %{{.*}}] : <64x32xf32>, <64x32xf32>
  xfg.copy_out %numbers adds to %added[%row, %column] : !xfg.tile<64x32xf32>, !xfg.tensor_map<64x32xf32>
  // CHECK: xfg.wait_copies 0
  xfg.wait_copies 0
  // CHECK: xfg.roles producer 40 {
  // CHECK: } consumers 232 {
  // CHECK: } writer {
  xfg.roles producer 40 {
    xfg.fence
  } consumers 232 {
    xfg.fence
  } writer {
    // CHECK: xfg.copy_run_out %{{.*}} to %{{.*}}[%{{.*}}] adds : memref<2x64xf32, 3>, memref<?xf32>
    xfg.copy_run_out %memory to %sums[%row] adds : memref<2x64xf32, 3>, memref<?xf32>
    // CHECK: xfg.copy_run_out %{{.*}} to %{{.*}}[%{{.*}}] : memref<2x64xf32, 3>, memref<?xf32>
    xfg.copy_run_out %memory to %sums[%row] : memref<2x64xf32, 3>, memref<?xf32>
    // CHECK: xfg.wait_copies 0 written
    xfg.wait_copies 0 written
  }
  return
}

// CHECK-LABEL: @products
func.func @products(%ring: !xfg.ring<4, <128x64xbf16>, <256x64xbf16>>, %tile: !xfg.tile<64x64xbf16>, %turn: index, %row: index, %column: index, %adds: i1) {
  // CHECK: %[[A:.*]] = xfg.stage %{{.*}}[%{{.*}}], 0 : <4, <128x64xbf16>, <256x64xbf16>> -> <128x64xbf16>
  %both = xfg.stage %ring[%turn], 0 : !xfg.ring<4, <128x64xbf16>, <256x64xbf16>> -> !xfg.tile<128x64xbf16>
  // CHECK: xfg.subtile %[[A]][%{{.*}}, %{{.*}}] : <128x64xbf16> -> <64x64xbf16, of 128>
  %a = xfg.subtile %both[%row, %column] : !xfg.tile<128x64xbf16> -> !xfg.tile<64x64xbf16, of 128>
  %b = xfg.stage %ring[%turn], 1 : !xfg.ring<4, <128x64xbf16>, <256x64xbf16>> -> !xfg.tile<256x64xbf16>
  // CHECK: xfg.undefined : <64x256xf32>
  %none = xfg.undefined : !xfg.accumulator<64x256xf32>
  // CHECK: xfg.fence
  xfg.fence
  // CHECK: xfg.mma %{{.*}}, %{{.*}}, %{{.*}} adds %{{.*}} transpose_b : !xfg.tile<64x64xbf16, of 128>, <256x64xbf16>, <64x256xf32>
  %sum = xfg.mma %a, %b, %none adds %adds transpose_b : !xfg.tile<64x64xbf16, of 128>, !xfg.tile<256x64xbf16>, !xfg.accumulator<64x256xf32>
  // CHECK: xfg.commit
  xfg.commit
  // CHECK: xfg.wait 1
  xfg.wait 1
  // CHECK: xfg.wait 0 for %{{.*}} : !xfg.accumulator<64x256xf32>
  %done = xfg.wait 0 for %sum : !xfg.accumulator<64x256xf32>
  // CHECK: %{{.*}}:128 = xfg.elements %{{.*}} : !xfg.accumulator<64x256xf32>
  %all:128 = xfg.elements %done : !xfg.accumulator<64x256xf32>
  // CHECK: xfg.accumulator {{.*}} : <64x8xf32>
  %scaled = xfg.accumulator %all#0, %all#1, %all#2, %all#3 : !xfg.accumulator<64x8xf32>
  // CHECK: xfg.pin %{{.*}}#0
  xfg.pin %all#0
  // CHECK: xfg.fragment {{.*}} : <64x16xbf16>
  %p = xfg.fragment %all#0, %all#1, %all#2, %all#3, %all#4, %all#5, %all#6, %all#7 : !xfg.fragment<64x16xbf16>
  // CHECK: %{{.*}}:2 = xfg.read %{{.*}}[%{{.*}}, %{{.*}}] : <64x64xbf16> -> vector<8xbf16>, vector<8xbf16>
  %x:2 = xfg.read %tile[%row, %column] : !xfg.tile<64x64xbf16> -> vector<8xbf16>, vector<8xbf16>
  // CHECK: xfg.write {{.*}} to %{{.*}} : <64x64xbf16>
  xfg.write %all#0, %all#1, %all#2, %all#3, %all#4, %all#5, %all#6, %all#7, %all#8, %all#9, %all#10, %all#11, %all#12, %all#13, %all#14, %all#15, %all#16, %all#17, %all#18, %all#19, %all#20, %all#21, %all#22, %all#23, %all#24, %all#25, %all#26, %all#27, %all#28, %all#29, %all#30, %all#31 to %tile : !xfg.tile<64x64xbf16>
  return
}
