// Products by mma.sync: which tile is chosen by the extents, which products take them, and what a schedule may be.
// RUN: split-file %s %t
// RUN: xf-opt %t/chosen.mlir --xf-schedule-gpu=gpu=sm_80 | FileCheck %t/chosen.mlir
// RUN: xf-opt %t/chosen.mlir --xf-schedule-gpu="gpu=sm_80 tf32=true" | FileCheck %t/chosen.mlir
// RUN: xf-opt %t/f32.mlir --xf-schedule-gpu="gpu=sm_90a tf32=true" | FileCheck %t/f32.mlir --check-prefix=TF32
// RUN: xf-opt %t/f32.mlir --xf-schedule-gpu=gpu=sm_90a | FileCheck %t/f32.mlir
// RUN: xf-opt %t/invalid.mlir --xf-schedule-gpu=gpu=sm_80 --split-input-file --verify-diagnostics

//--- chosen.mlir
// CHECK-LABEL: func.func private @forward
// CHECK-SAME: xf.grid = [array<i64: 2, 0, 0, 128>, array<i64: -1, 512, 0, 128>]
// CHECK-SAME: xf.schedule = #xf.tensor_core_schedule<rows = 128, columns = 128, stages = 3>
// CHECK-SAME: xf.threads = 128
// CHECK: nvvm.cp.async.shared.global %{{.*}}, 16, cache = cg
// CHECK: nvvm.ldmatrix
// CHECK: nvvm.mma.sync {{.*}}bf16
func.func private @forward(%x: tensor<?x512xbf16>, %w: tensor<512x512xbf16>) -> tensor<?x512xf32> attributes {xf.kernel = #xf<kernel matmul>} {
  %0 = xf.linear %x, %w : (tensor<?x512xbf16>, tensor<512x512xbf16>) -> tensor<?x512xf32>
  return %0 : tensor<?x512xf32>
}
// A gradient's tiles are few: the smallest of them.
// CHECK-LABEL: func.func private @gradient
// CHECK-SAME: xf.schedule = #xf.tensor_core_schedule<rows = 64, columns = 64, stages = 4>
func.func private @gradient(%x: tensor<?x512xbf16>, %dy: tensor<?x512xbf16>) -> tensor<512x512xf32> attributes {xf.kernel = #xf<kernel matmul>} {
  %0 = xf.matmul %dy, %x transpose_a : (tensor<?x512xbf16>, tensor<?x512xbf16>) -> tensor<512x512xf32>
  return %0 : tensor<512x512xf32>
}
// Factors of two types have the plain form.
// CHECK-LABEL: func.func private @mixed
// CHECK-NOT: nvvm.mma.sync
func.func private @mixed(%x: tensor<?x512xbf16>, %w: tensor<512x512xf32>) -> tensor<?x512xf32> attributes {xf.kernel = #xf<kernel matmul>} {
  %0 = xf.linear %x, %w : (tensor<?x512xbf16>, tensor<512x512xf32>) -> tensor<?x512xf32>
  return %0 : tensor<?x512xf32>
}

//--- f32.mlir
// Of f32 they take factors where these may be rounded. Rows of 63 numbers begin at multiples of 4 bytes.
// CHECK-LABEL: func.func private @odd
// CHECK-NOT: nvvm.mma.sync
// TF32: nvvm.cp.async.shared.global %{{.*}}, 4, cache = ca
// TF32: nvvm.convert.float.to.tf32
// TF32: nvvm.mma.sync {{.*}}tf32
func.func private @odd(%x: tensor<?x63xf32>, %w: tensor<64x63xf32>) -> tensor<?x64xf32> attributes {xf.kernel = #xf<kernel matmul>} {
  %0 = xf.linear %x, %w : (tensor<?x63xf32>, tensor<64x63xf32>) -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}

//--- invalid.mlir
// expected-error@+1 {{expected 'columns' to be 64 or 128, but got 96}}
#columns = #xf.tensor_core_schedule<rows = 64, columns = 96, stages = 3>

// -----

// expected-error@+1 {{expected 'stages' of tiles of 128 x 128 to be 2 to 3, but got 4}}
#stages = #xf.tensor_core_schedule<rows = 128, columns = 128, stages = 4>
