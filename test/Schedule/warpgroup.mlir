// Products of bf16 for Hopper's tensor cores: what is chosen by the extents, and which products have another form.
// RUN: split-file %s %t
// RUN: xf-opt %t/chosen.mlir --xf-schedule-gpu=gpu=sm_90a | FileCheck %t/chosen.mlir
// RUN: xf-opt %t/chosen.mlir --xf-schedule-gpu=gpu=sm_90 | FileCheck %t/chosen.mlir --check-prefix=PLAIN
// RUN: xf-opt %t/plain.mlir --xf-schedule-gpu=gpu=sm_90a | FileCheck %t/plain.mlir
// RUN: xf-opt %t/invalid.mlir --xf-schedule-gpu=gpu=sm_90a --split-input-file --verify-diagnostics

//--- chosen.mlir
// PLAIN-NOT: xfg.
// CHECK-LABEL: func.func private @forward(%{{.*}}: memref<?x512xbf16>, %{{.*}}: memref<512x512xbf16>, %{{.*}}: memref<?x512xf32>, %{{.*}}: !xfg.tensor_map<128x64xbf16>, %{{.*}}: !xfg.tensor_map<128x64xbf16>,
// CHECK-SAME: %[[MAP:[a-z0-9]+]]: !xfg.tensor_map<64x32xf32>) attributes
// CHECK-SAME: xf.blocks_per_processor = 1
// CHECK-SAME: xf.grid = [array<i64: 2, 0, 0, 128>, array<i64: -1, 512, 0, 128>]
// CHECK-SAME: xf.schedule = #xf.warpgroup_schedule<columns = 128, stages = 6, blocks = 1, parts = 1>
// CHECK-SAME: xf.shared = 230400
// CHECK-SAME: xf.tensor_maps = [array<i64: 0, 128, 64>, array<i64: 1, 128, 64>, array<i64: 2, 64, 32>], xf.threads = 384
// CHECK: xfg.mma %{{.*}}, %{{.*}}, %{{.*}} adds %{{.*}} transpose_b
// CHECK: xfg.copy_out %{{.*}} to %[[MAP]]
func.func private @forward(%x: tensor<?x512xbf16>, %w: tensor<512x512xbf16>) -> tensor<?x512xf32> attributes {xf.kernel = #xf<kernel matmul>} {
  %0 = xf.linear %x, %w : (tensor<?x512xbf16>, tensor<512x512xbf16>) -> tensor<?x512xf32>
  return %0 : tensor<?x512xf32>
}
// CHECK-LABEL: func.func private @wide
// CHECK-SAME: xf.schedule = #xf.warpgroup_schedule<columns = 256, stages = 4, blocks = 1, parts = 1>
// CHECK: xfg.mma %{{.*}}, %{{.*}}, %{{.*}} adds %{{.*}} : !xfg.tile<64x64xbf16, of 128>, <64x256xbf16>, <64x256xf32>
func.func private @wide(%x: tensor<?x512xbf16>, %w: tensor<512x2048xbf16>) -> tensor<?x2048xf32> attributes {xf.kernel = #xf<kernel matmul>} {
  %0 = xf.matmul %x, %w : (tensor<?x512xbf16>, tensor<512x2048xbf16>) -> tensor<?x2048xf32>
  return %0 : tensor<?x2048xf32>
}
// Chunks of a large vocabulary have fewer rows than other batches: in narrower tiles all processors have one.
// CHECK-LABEL: func.func private @of_logits
// CHECK-SAME: xf.schedule = #xf.warpgroup_schedule<columns = 128, stages = 6, blocks = 1, parts = 1>
func.func private @of_logits(%x: tensor<?x151936xbf16>, %w: tensor<151936x768xbf16>) -> tensor<?x768xbf16> attributes {xf.kernel = #xf<kernel matmul>} {
  %0 = xf.matmul %x, %w : (tensor<?x151936xbf16>, tensor<151936x768xbf16>) -> tensor<?x768xf32>
  %1 = xf.cast %0 : tensor<?x768xf32> to tensor<?x768xbf16>
  return %1 : tensor<?x768xbf16>
}
// Of 768 columns, in 32 tiles of rows, one wave is four tiles.
// CHECK-LABEL: func.func private @of_thirds
// CHECK-SAME: xf.schedule = #xf.warpgroup_schedule<columns = 192, stages = 4, blocks = 1, parts = 1>
func.func private @of_thirds(%x: tensor<?x768xbf16>, %w: tensor<768x768xbf16>) -> tensor<?x768xbf16> attributes {xf.kernel = #xf<kernel matmul>} {
  %0 = xf.linear %x, %w : (tensor<?x768xbf16>, tensor<768x768xbf16>) -> tensor<?x768xf32>
  %1 = xf.cast %0 : tensor<?x768xf32> to tensor<?x768xbf16>
  return %1 : tensor<?x768xbf16>
}
// A gradient's tiles are few: the smallest of them.
// CHECK-LABEL: func.func private @gradient
// CHECK-SAME: xf.schedule = #xf.warpgroup_schedule<columns = 64, stages = 8, blocks = 1, parts = 1>
// CHECK-SAME: xf.tensor_maps = [array<i64: 1, 64, 64>, array<i64: 0, 64, 64>, array<i64: 2, 64, 32>]
// CHECK: xfg.mma %{{.*}}, %{{.*}}, %{{.*}} adds %{{.*}} transpose_a
func.func private @gradient(%x: tensor<?x512xbf16>, %dy: tensor<?x512xbf16>) -> tensor<512x512xf32> attributes {xf.kernel = #xf<kernel matmul>} {
  %0 = xf.matmul %dy, %x transpose_a : (tensor<?x512xbf16>, tensor<?x512xbf16>) -> tensor<512x512xf32>
  return %0 : tensor<512x512xf32>
}

// What is added to a gradient in its place is added by the copy engine, to tiles as wide as others.
// CHECK-LABEL: func.func private @added
// CHECK-SAME: %[[MAP:[a-z0-9]+]]: !xfg.tensor_map<64x32xf32>) attributes
// CHECK-SAME: xf.schedule = #xf.warpgroup_schedule<columns = 256, stages = 4, blocks = 1, parts = 1>
// CHECK-NOT: memref.load
// CHECK-NOT: vector.load
// CHECK: xfg.copy_out %{{.*}} adds to %[[MAP]]
func.func private @added(%dy: tensor<?x32000xbf16>, %x: tensor<?x512xbf16>, %into: tensor<32000x512xf32>) -> (tensor<32000x512xf32> {xf.in_place = 2 : i64}) attributes {xf.kernel = #xf<kernel matmul>} {
  %0 = xf.matmul %dy, %x into %into transpose_a : (tensor<?x32000xbf16>, tensor<?x512xbf16>, tensor<32000x512xf32>) -> tensor<32000x512xf32>
  return %0 : tensor<32000x512xf32>
}

// Matrices that follow are further stages of the ring, of three boxes each, of which a unit's elements are read before it is computed.
// CHECK-LABEL: func.func private @backward
// CHECK-SAME: !xfg.tensor_map<64x64xbf16>, %[[MAP:[a-z0-9]+]]: !xfg.tensor_map<128x64xbf16>) attributes
// CHECK: %[[VIEW:.*]] = xfg.view %{{.*}} : <4, <128x64xbf16>, <64x256xbf16>> as <4, <128x64xbf16>, <128x64xbf16>, <128x64xbf16>>
// CHECK: xfg.roles
// CHECK: scf.for
// CHECK: scf.for
// CHECK: xfg.acquire %[[VIEW]][%{{.*}}] tiles 3
// CHECK-COUNT-3: xfg.copy_in %[[MAP]]
// CHECK: xfg.acquire %[[VIEW]][%{{.*}}] tiles 1
// CHECK: xfg.copy_in %[[MAP]]
// CHECK: xfg.elements
// CHECK: xfg.await %[[VIEW]]
// CHECK-COUNT-3: xfg.read_elements
// CHECK-NEXT: xfg.fence_copies
// CHECK: xfg.release %[[VIEW]]
// CHECK: xfg.await %[[VIEW]]
// CHECK: xfg.read_elements
// CHECK: xfg.release %[[VIEW]]
func.func private @backward(%dy: tensor<?x512xbf16>, %w: tensor<512x2048xbf16>, %h: tensor<?x2048xbf16>) -> tensor<?x2048xbf16> attributes {xf.kernel = #xf<kernel matmul>} {
  %0 = xf.cast %h : tensor<?x2048xbf16> to tensor<?x2048xf32>
  %1 = xf.matmul %dy, %w : (tensor<?x512xbf16>, tensor<512x2048xbf16>) -> tensor<?x2048xf32>
  %2 = xf.relu_backward %1, %0 : tensor<?x2048xf32>
  %3 = xf.cast %2 : tensor<?x2048xf32> to tensor<?x2048xbf16>
  return %3 : tensor<?x2048xbf16>
}

// Rows of any width begin where the copy engine reads.
// CHECK-LABEL: func.func private @odd(%{{.*}}: memref<?x12xbf16, strided<[16, 1]>>, %{{.*}}: memref<63x12xbf16, strided<[16, 1]>>, %{{.*}}: memref<?x63xbf16, strided<[64, 1]>>
// CHECK-SAME: %[[MAP:[a-z0-9]+]]: !xfg.tensor_map<64x64xbf16>) attributes
// CHECK: xfg.mma
// CHECK: xfg.copy_out %{{.*}} to %[[MAP]]
func.func private @odd(%x: tensor<?x12xbf16>, %w: tensor<63x12xbf16>) -> tensor<?x63xbf16> attributes {xf.kernel = #xf<kernel matmul>} {
  %0 = xf.linear %x, %w : (tensor<?x12xbf16>, tensor<63x12xbf16>) -> tensor<?x63xf32>
  %1 = xf.cast %0 : tensor<?x63xf32> to tensor<?x63xbf16>
  return %1 : tensor<?x63xbf16>
}

//--- plain.mlir
// Operands of f32.
// CHECK-NOT: xfg.
func.func private @f32(%x: tensor<?x64xf32>, %w: tensor<64x64xf32>) -> tensor<?x64xf32> attributes {xf.kernel = #xf<kernel matmul>} {
  %0 = xf.linear %x, %w : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}

//--- invalid.mlir
// expected-error@+1 {{expected 'columns' to be 64, 128, 192 or 256, but got 96}}
#columns = #xf.warpgroup_schedule<columns = 96, stages = 4, blocks = 1, parts = 1>

// -----

// expected-error@+1 {{expected 'stages' of a schedule to be at least 1, but got 0}}
#stages = #xf.warpgroup_schedule<columns = 64, stages = 0, blocks = 1, parts = 1>

// -----

// expected-error@+1 {{expected 'stages' of a schedule to be at most 16, but got 17}}
#stages = #xf.warpgroup_schedule<columns = 64, stages = 17, blocks = 1, parts = 1>

// -----

// expected-error@+1 {{expected 'xf.schedule' to need at most 232448 bytes of shared memory, but it needs 328704; fewer 'stages' or 'columns' need less}}
func.func private @f(%x: tensor<?x512xbf16>, %w: tensor<512x512xbf16>) -> tensor<?x512xf32> attributes {xf.kernel = #xf<kernel matmul>, xf.schedule = #xf.warpgroup_schedule<columns = 64, stages = 12, blocks = 1, parts = 1>} {
  %0 = xf.linear %x, %w : (tensor<?x512xbf16>, tensor<512x512xbf16>) -> tensor<?x512xf32>
  return %0 : tensor<?x512xf32>
}

// -----

// expected-error@+1 {{expected 'parts' of 'xf.schedule' to be 1 of a product whose number of rows is not known, but got 2}}
func.func private @f(%x: tensor<?x512xbf16>, %w: tensor<512x512xbf16>) -> tensor<?x512xf32> attributes {xf.kernel = #xf<kernel matmul>, xf.schedule = #xf.warpgroup_schedule<columns = 64, stages = 4, blocks = 1, parts = 2>} {
  %0 = xf.linear %x, %w : (tensor<?x512xbf16>, tensor<512x512xbf16>) -> tensor<?x512xf32>
  return %0 : tensor<?x512xf32>
}

// -----

// expected-error@+1 {{expected 'blocks' to be 1, or 2 of at most 128 columns, but got 2}}
#blocks = #xf.warpgroup_schedule<columns = 256, stages = 2, blocks = 2, parts = 1>

// -----

// expected-error@+1 {{expected 'parts' to be 1, 2, 4 or 8, but got 3}}
#parts = #xf.warpgroup_schedule<columns = 256, stages = 2, blocks = 1, parts = 3>
