// What a dispatch costs: the operations of its kernel's ops; bytes of operands as far as they are read, and of results.
// RUN: xf-opt %s --xf-plan --split-input-file | FileCheck %s

// 2 x 8 x 4 and one for relu a token; reads x and w, writes the result.
// CHECK-DAG: #[[LINEAR:.*]] = affine_map<()[s0] -> (s0 * 68, s0 * 48 + 128)>
func.func private @linear(%x: tensor<?x8xf32>, %w: tensor<4x8xf32>) -> (tensor<?x4xf32> {xf.extents = [array<i64: 0, 0>]}) attributes {xf.kernel = #xf<kernel matmul>} {
  %0 = xf.linear %x, %w : (tensor<?x8xf32>, tensor<4x8xf32>) -> tensor<?x4xf32>
  %1 = xf.relu %0 : tensor<?x4xf32>
  return %1 : tensor<?x4xf32>
}
// Of a table only the rows of the tokens are read.
// CHECK-DAG: #[[EMBEDDING:.*]] = affine_map<()[s0] -> (s0 * 8, s0 * 68)>
func.func private @embedding(%ids: tensor<?xi32>, %table: tensor<1000x8xf32>) -> (tensor<?x8xf32> {xf.extents = [array<i64: 0, 0>]}) attributes {xf.kernel = #xf<kernel row>} {
  %0 = xf.embedding %ids, %table : (tensor<?xi32>, tensor<1000x8xf32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}
// Pairs of a query and a key in sequences of equal lengths, half of them where it is causal: 2 (8 + 8) and 4 a head each.
// CHECK-DAG: #[[ATTENTION:.*]] = affine_map<()[s0, s1] -> (((s0 + (s0 * s0) floordiv (s1 - 1)) floordiv 2) * 40, s0 * 72 + s1 * 8)>
func.func private @attention(%x: tensor<?x8xf32>, %offsets: tensor<?xi32>, %again: tensor<?xi32>) -> (tensor<?x8xf32> {xf.extents = [array<i64: 0, 0>]}, tensor<?x2xf32> {xf.extents = [array<i64: 0, 0>]}) attributes {xf.kernel = #xf<kernel attention>} {
  %0, %1 = xf.attention %x, %x, %x offsets(%offsets, %again) heads(2) scale(0.5) causal : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?x8xf32>, tensor<?x2xf32>)
  return %0, %1 : tensor<?x8xf32>, tensor<?x2xf32>
}
// A cache is read where rows are listed, and written where tokens are put.
// CHECK-DAG: #[[WRITE:.*]] = affine_map<()[s0, s1, s2, s3] -> (0, s0 * 68)>
// CHECK-DAG: #[[CACHED:.*]] = affine_map<()[s0, s1, s2, s3] -> (s2 * 40, s0 * 64 + s2 * 68 + s3 * 4)>
func.func private @cache_write(%cache: tensor<?x8xf32>, %x: tensor<?x8xf32>, %slots: tensor<?xi32>) -> (tensor<?x8xf32> {xf.extents = [array<i64: 0, 0>], xf.in_place = 0 : i64}) attributes {xf.kernel = #xf<kernel scatter>} {
  %0 = xf.cache_write %cache, %x slots(%slots) : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}
func.func private @cached_attention(%x: tensor<?x8xf32>, %keys: tensor<?x8xf32>, %values: tensor<?x8xf32>, %rows: tensor<?xi32>, %offsets: tensor<?xi32>) -> (tensor<?x8xf32> {xf.extents = [array<i64: 0, 0>]}) attributes {xf.kernel = #xf<kernel attention>} {
  %0 = xf.cached_attention %x, %keys, %values rows(%rows, %offsets) heads(2) scale(0.5) : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// Four heads of queries and two of keys: what they compute is of the four, what they read of the two.
// CHECK-DAG: #[[GROUPED:.*]] = affine_map<()[s0, s1, s2, s3] -> (s2 * 48, s0 * 64 + s2 * 36 + s3 * 4)>
func.func private @grouped(%x: tensor<?x8xf32>, %keys: tensor<?x4xf32>, %values: tensor<?x4xf32>, %rows: tensor<?xi32>, %offsets: tensor<?xi32>) -> (tensor<?x8xf32> {xf.extents = [array<i64: 0, 0>]}) attributes {xf.kernel = #xf<kernel attention>} {
  %0 = xf.cached_attention %x, %keys, %values rows(%rows, %offsets) heads(4) key_value_heads(2) scale(0.5) : (tensor<?x8xf32>, tensor<?x4xf32>, tensor<?x4xf32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// CHECK-LABEL: func.func @entry
// CHECK: xf.dispatch @linear {{.*}} cost #[[LINEAR]]
func.func @entry(%x: tensor<?x8xf32> {xf.name = "x", xf.dims = ["tokens"]}, %w: tensor<4x8xf32>) -> tensor<?x4xf32> attributes {xf.entry} {
  %0 = xf.dispatch @linear "linear" (%x, %w) : (tensor<?x8xf32>, tensor<4x8xf32>) -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}
// CHECK-LABEL: func.func @embed
// CHECK: xf.dispatch @embedding {{.*}} cost #[[EMBEDDING]]
func.func @embed(%ids: tensor<?xi32> {xf.name = "ids", xf.dims = ["tokens"]}, %table: tensor<1000x8xf32>) -> tensor<?x8xf32> attributes {xf.entry} {
  %0 = xf.dispatch @embedding "embedding" (%ids, %table) : (tensor<?xi32>, tensor<1000x8xf32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}
// CHECK-LABEL: func.func @attend
// CHECK: xf.dispatch @attention {{.*}} cost #[[ATTENTION]]
func.func @attend(%x: tensor<?x8xf32> {xf.name = "x", xf.dims = ["tokens"]}, %offsets: tensor<?xi32> {xf.name = "offsets", xf.dims = ["offsets"]}) -> (tensor<?x8xf32>, tensor<?x2xf32>) attributes {xf.entry} {
  %0, %1 = xf.dispatch @attention "attention" (%x, %offsets, %offsets) : (tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?x8xf32>, tensor<?x2xf32>)
  return %0, %1 : tensor<?x8xf32>, tensor<?x2xf32>
}
// CHECK-LABEL: func.func @decode_grouped
// CHECK: xf.dispatch @grouped {{.*}} cost #[[GROUPED]]
func.func @decode_grouped(%x: tensor<?x8xf32> {xf.name = "x", xf.dims = ["rows"]}, %cache: tensor<?x4xf32> {xf.name = "cache", xf.dims = ["cache_tokens"]},
                          %list: tensor<?xi32> {xf.name = "list", xf.dims = ["cache_rows"]}, %offsets: tensor<?xi32> {xf.name = "offsets", xf.dims = ["rows_plus_1"]}) -> tensor<?x8xf32> attributes {xf.entry} {
  %0 = xf.dispatch @grouped "attention" (%x, %cache, %cache, %list, %offsets) : (tensor<?x8xf32>, tensor<?x4xf32>, tensor<?x4xf32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}
// CHECK-LABEL: func.func @decode(
// CHECK: xf.dispatch @cache_write {{.*}} cost #[[WRITE]]
// CHECK: xf.dispatch @cached_attention {{.*}} cost #[[CACHED]]
func.func @decode(%x: tensor<?x8xf32> {xf.name = "x", xf.dims = ["rows"]}, %cache: tensor<?x8xf32> {xf.name = "cache", xf.dims = ["cache_tokens"]}, %slots: tensor<?xi32> {xf.name = "slots", xf.dims = ["rows"]},
                  %list: tensor<?xi32> {xf.name = "list", xf.dims = ["cache_rows"]}, %offsets: tensor<?xi32> {xf.name = "offsets", xf.dims = ["rows_plus_1"]}) -> tensor<?x8xf32> attributes {xf.entry} {
  %0 = xf.dispatch @cache_write "write" (%cache, %x, %slots) : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>) -> tensor<?x8xf32>
  %1 = xf.dispatch @cached_attention "attention" (%x, %0, %0, %list, %offsets) : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x8xf32>
  return %1 : tensor<?x8xf32>
}

// -----
// The optimizer and copies go over all of their operands: seven arenas of 1,024 numbers and Adam's four small ones.
// CHECK-DAG: #[[FILL:.*]] = affine_map<() -> (0, 256)>
// CHECK-DAG: #[[SQUARES:.*]] = affine_map<() -> (128, 4100)>
// CHECK-DAG: #[[NORM:.*]] = affine_map<() -> (1, 8)>
// CHECK-DAG: #[[ADAM:.*]] = affine_map<() -> (1088, 28728)>
// CHECK: xf.dispatch @fill{{.*}} cost #[[FILL]]
// CHECK: xf.dispatch @squared_sums{{.*}} cost #[[SQUARES]]
// CHECK: xf.dispatch @gradient_norm{{.*}} cost #[[NORM]]
// CHECK: xf.dispatch @adam{{.*}} cost #[[ADAM]]
xf.param @w : tensor<8x8xf32> xavier_uniform(1.0)
func.func @train(%random: tensor<2xi64>, %hyper: tensor<8xf32>, %lr: tensor<f32>) -> (tensor<f32> {xf.name = "gradient_norm"}) attributes {xf.entry} {
  %g = arith.constant dense<1.0> : tensor<8x8xf32>
  %norm = xf.global_norm %g : (tensor<8x8xf32>) -> tensor<f32>
  xf.adam %g parameters [@w] norm(%norm) learning_rate(%lr) state(%random, %hyper) : tensor<8x8xf32>, tensor<f32>, tensor<f32>, tensor<2xi64>, tensor<8xf32>
  return %norm : tensor<f32>
}
