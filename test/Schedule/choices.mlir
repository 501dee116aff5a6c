// What is chosen, by extents, registers and caches; and what may be chosen otherwise.
// RUN: split-file %s %t
// RUN: xf-opt %t/default.mlir --xf-choose-schedules | FileCheck %t/default.mlir
// RUN: xf-opt %t/default.mlir --xf-choose-schedules="vector-width=16 registers=32" | FileCheck %t/default.mlir --check-prefix=WIDE
// RUN: xf-opt %t/default.mlir --xf-choose-schedules="l1=49152 l2=262144" | FileCheck %t/default.mlir --check-prefix=CACHES
// RUN: xf-opt %t/default.mlir --xf-stage-schedule=cpu=haswell | FileCheck %t/default.mlir --check-prefix=HASWELL
// RUN: xf-opt %t/default.mlir --xf-schedule-cpu | FileCheck %t/default.mlir --check-prefix=APPLIED
// RUN: not xf-opt %t/default.mlir --xf-schedule-cpu=l1=64 2>&1 | FileCheck %t/default.mlir --check-prefix=TINY
// RUN: not xf-opt %t/default.mlir --xf-choose-schedules=vector-width=32 2>&1 | FileCheck %t/default.mlir --check-prefix=WIDTH
// RUN: xf-opt %t/invalid.mlir --xf-choose-schedules --split-input-file --verify-diagnostics

//--- default.mlir
// TINY: error: expected at least 16 registers, l1 of at least 4096 bytes and l2 no less, but got 16, 64 and 1048576
// WIDTH: error: expected vector-width to be 4, 8 or 16, but got 32
// Columns in equal tiles of at most 128, multiples of the 64 that dropout draws at once; rows that are known too.
// CHECK: @linear({{.*}} xf.schedule = #xf.matmul_schedule<register_rows = 6, rows = 48, columns = 128, block_rows = 48, depth = 300, copy_a = false>
// WIDE: @linear({{.*}} xf.schedule = #xf.matmul_schedule<register_rows = 12, rows = 48, columns = 128, block_rows = 48, depth = 300, copy_a = false>
// A tile of work is 48 rows by 128 columns.
// HASWELL: @linear({{.*}}xf.grid = [array<i64: -1, 1000, 0, 128>, array<i64: 2, 0, 0, 48>]
// APPLIED: @linear({{.*}}xf.grid = [array<i64: -1, 1000, 0, 128>, array<i64: 2, 0, 0, 48>], xf.kernel = #xf<kernel matmul>, xf.schedule = #xf.matmul_schedule<
func.func private @linear(%x: tensor<?x300xf32>, %w: tensor<1000x300xf32>) -> tensor<?x1000xf32> attributes {xf.kernel = #xf<kernel matmul>} {
  %0 = xf.linear %x, %w : (tensor<?x300xf32>, tensor<1000x300xf32>) -> tensor<?x1000xf32>
  return %0 : tensor<?x1000xf32>
}
// A packed weight costs no packing: small tiles, for all workers.
// CHECK: @packed({{.*}} xf.schedule = #xf.matmul_schedule<register_rows = 6, rows = 6, columns = 128, block_rows = 48, depth = 300, copy_a = false>
func.func private @packed(%x: tensor<?x300xf32>, %w: tensor<32x300x32xf32>) -> tensor<?x1000xf32> attributes {xf.kernel = #xf<kernel matmul>} {
  %0 = xf.linear %x, %w : (tensor<?x300xf32>, tensor<32x300x32xf32>) -> tensor<?x1000xf32>
  return %0 : tensor<?x1000xf32>
}
// Few tiles: small ones, for all workers, and where they would still be few those of one register tile. What lies transposed is copied, for more columns.
// CHECK: @gradient({{.*}} xf.schedule = #xf.matmul_schedule<register_rows = 6, rows = 6, columns = 112, block_rows = 96, depth = 2048, copy_a = true>
// CACHES: @gradient({{.*}} xf.schedule = #xf.matmul_schedule<register_rows = 6, rows = 6, columns = 112, block_rows = 96, depth = 512, copy_a = true>
// WIDE: @gradient({{.*}} xf.schedule = #xf.matmul_schedule<register_rows = 12, rows = 12, columns = 128, block_rows = 96, depth = 2048, copy_a = true>
func.func private @gradient(%dy: tensor<?x100xf32>, %x: tensor<?x100xf32>) -> tensor<100x100xf32> attributes {xf.kernel = #xf<kernel matmul>} {
  %0 = xf.matmul %dy, %x transpose_a : (tensor<?x100xf32>, tensor<?x100xf32>) -> tensor<100x100xf32>
  return %0 : tensor<100x100xf32>
}
// Rows a power of two apart share a set of the first cache: 6 have room in its 8 ways of 32 KiB, 12 don't. Longer sums
// than a block is deep are cut into equal ones.
// CHECK: @far({{.*}} columns = 32, block_rows = 48, depth = 2048, copy_a = false>
// CACHES: @far({{.*}} columns = 32, block_rows = 48, depth = 512, copy_a = false>
// WIDE: @far({{.*}} columns = 32, block_rows = 96, depth = 2048, copy_a = true>
func.func private @far(%x: tensor<?x4096xf32>, %w: tensor<32x4096xf32>) -> tensor<?x32xf32> attributes {xf.kernel = #xf<kernel matmul>} {
  %0 = xf.linear %x, %w : (tensor<?x4096xf32>, tensor<32x4096xf32>) -> tensor<?x32xf32>
  return %0 : tensor<?x32xf32>
}
// CHECK: @attention({{.*}} xf.schedule = #xf.attention_schedule<queries = 48, keys = 128, turn = 1024>
// CACHES: @attention({{.*}} xf.schedule = #xf.attention_schedule<queries = 72, keys = 128, turn = 512>
// WIDE: @attention({{.*}} xf.schedule = #xf.attention_schedule<queries = 48, keys = 128, turn = 1024>
func.func private @attention(%x: tensor<?x8xf32>, %offsets: tensor<?xi32>) -> (tensor<?x8xf32>, tensor<?x2xf32>) attributes {xf.kernel = #xf<kernel attention>} {
  %0, %1 = xf.attention %x, %x, %x offsets(%offsets, %offsets) heads(2) scale(0.5) : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?x8xf32>, tensor<?x2xf32>)
  return %0, %1 : tensor<?x8xf32>, tensor<?x2xf32>
}
// CHECK: @row({{.*}} xf.schedule = #xf.row_schedule<rows = 16>
// CACHES: @row({{.*}} xf.schedule = #xf.row_schedule<rows = 24>
// APPLIED: @row({{.*}}xf.grid = [array<i64: 2, 0, 0, 16>]
func.func private @row(%a: tensor<?x512xf32>, %b: tensor<?x512xf32>) -> tensor<?x512xf32> attributes {xf.kernel = #xf<kernel elementwise>} {
  %0 = xf.add %a, %b : tensor<?x512xf32>
  return %0 : tensor<?x512xf32>
}
// What was chosen before stays. A vector is one row, and a sum over rows has nothing to choose.
// CHECK: @given({{.*}} xf.schedule = #xf.row_schedule<rows = 3>
// APPLIED: @given({{.*}}xf.grid = [array<i64: 2, 0, 0, 3>]
func.func private @given(%a: tensor<?x512xf32>, %b: tensor<?x512xf32>) -> tensor<?x512xf32> attributes {xf.kernel = #xf<kernel elementwise>, xf.schedule = #xf.row_schedule<rows = 3>} {
  %0 = xf.add %a, %b : tensor<?x512xf32>
  return %0 : tensor<?x512xf32>
}
// CHECK: @vector({{.*}} attributes {xf.kernel = #xf<kernel elementwise>}
func.func private @vector(%a: tensor<512xf32>) -> tensor<512xf32> attributes {xf.kernel = #xf<kernel elementwise>} {
  %0 = xf.add %a, %a : tensor<512xf32>
  return %0 : tensor<512xf32>
}
// CHECK: @sum({{.*}} attributes {xf.kernel = #xf<kernel column>}
func.func private @sum(%a: tensor<?x512xf32>) -> tensor<512xf32> attributes {xf.kernel = #xf<kernel column>} {
  %0 = xf.column_sum %a : (tensor<?x512xf32>) -> tensor<512xf32>
  return %0 : tensor<512xf32>
}

//--- invalid.mlir
// expected-error@+1 {{expected 'xf.schedule' to be like #xf.row_schedule<rows = 16>, but got #xf.attention_schedule<queries = 48, keys = 128, turn = 512>}}
func.func private @kind(%a: tensor<?x512xf32>) -> tensor<?x512xf32> attributes {xf.kernel = #xf<kernel elementwise>, xf.schedule = #xf.attention_schedule<queries = 48, keys = 128, turn = 512>} {
  %0 = xf.add %a, %a : tensor<?x512xf32>
  return %0 : tensor<?x512xf32>
}

// -----

// expected-error@+1 {{expected 'xf.schedule' to be absent, but got #xf.row_schedule<rows = 16>}}
func.func private @none(%a: tensor<?x512xf32>) -> tensor<512xf32> attributes {xf.kernel = #xf<kernel column>, xf.schedule = #xf.row_schedule<rows = 16>} {
  %0 = xf.column_sum %a : (tensor<?x512xf32>) -> tensor<512xf32>
  return %0 : tensor<512xf32>
}

// -----

// expected-error@+1 {{expected 'columns' of 'xf.schedule' to be a multiple of 64, but got 48}}
func.func private @columns(%a: tensor<?x100xf32>) -> tensor<100x100xf32> attributes {xf.kernel = #xf<kernel matmul>, xf.schedule = #xf.matmul_schedule<register_rows = 6, rows = 48, columns = 48, block_rows = 96, depth = 512, copy_a = true>} {
  %0 = xf.matmul %a, %a transpose_a : (tensor<?x100xf32>, tensor<?x100xf32>) -> tensor<100x100xf32>
  return %0 : tensor<100x100xf32>
}

// -----

// expected-error@+1 {{expected 'depth' of 'xf.schedule' to be a multiple of 8, but got 77}}
func.func private @depth(%a: tensor<?x100xf32>) -> tensor<100x100xf32> attributes {xf.kernel = #xf<kernel matmul>, xf.schedule = #xf.matmul_schedule<register_rows = 6, rows = 48, columns = 112, block_rows = 96, depth = 77, copy_a = true>} {
  %0 = xf.matmul %a, %a transpose_a : (tensor<?x100xf32>, tensor<?x100xf32>) -> tensor<100x100xf32>
  return %0 : tensor<100x100xf32>
}

// -----

// expected-error@+1 {{expected 'keys' of 'xf.schedule' to be 128, by which sums are blocked, but got 64}}
func.func private @keys(%x: tensor<?x8xf32>, %offsets: tensor<?xi32>) -> (tensor<?x8xf32>, tensor<?x2xf32>) attributes {xf.kernel = #xf<kernel attention>, xf.schedule = #xf.attention_schedule<queries = 48, keys = 64, turn = 512>} {
  %0, %1 = xf.attention %x, %x, %x offsets(%offsets, %offsets) heads(2) scale(0.5) : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?x8xf32>, tensor<?x2xf32>)
  return %0, %1 : tensor<?x8xf32>, tensor<?x2xf32>
}

// -----

// expected-error@+1 {{expected 'rows' of a schedule to be at least 1, but got 0}}
func.func private @zero(%a: tensor<?x512xf32>) -> tensor<?x512xf32> attributes {xf.kernel = #xf<kernel elementwise>, xf.schedule = #xf.row_schedule<rows = 0>} {
  %0 = xf.add %a, %a : tensor<?x512xf32>
  return %0 : tensor<?x512xf32>
}
