// Attention for GPUs: on tensor cores where memory holds bf16, gradients of captured tensors by a kernel of their own, and what is refused.
// RUN: xf-opt %s -xf-schedule-gpu -split-input-file -verify-diagnostics | FileCheck %s

// CHECK-LABEL: func.func private @narrow
// CHECK-SAME: xf.grid = [array<i64: 0, 0, 0, 128>, array<i64: -1, 2, 0, 1>]
// CHECK-SAME: xf.threads = 128
// CHECK: nvvm.cp.async.shared.global
// CHECK: nvvm.ldmatrix
// CHECK: nvvm.mma.sync
func.func private @narrow(%q: tensor<?x64xbf16>, %k: tensor<?x64xbf16>, %v: tensor<?x64xbf16>, %qo: tensor<?xi32>, %ko: tensor<?xi32>) -> (tensor<?x64xbf16>, tensor<?x2xf32>)
    attributes {xf.kernel = #xf<kernel attention>} {
  %o, %lse = xf.attention %q, %k, %v offsets(%qo, %ko) heads(2) scale(0.25) causal
    : (tensor<?x64xbf16>, tensor<?x64xbf16>, tensor<?x64xbf16>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?x64xbf16>, tensor<?x2xf32>)
  return %o, %lse : tensor<?x64xbf16>, tensor<?x2xf32>
}

// Heads of more features than registers hold.
// CHECK-LABEL: func.func private @wide
// CHECK-NOT: nvvm.mma.sync
// CHECK: return
func.func private @wide(%q: tensor<?x144xbf16>, %k: tensor<?x144xbf16>, %v: tensor<?x144xbf16>, %qo: tensor<?xi32>, %ko: tensor<?xi32>) -> (tensor<?x144xbf16>, tensor<?x1xf32>)
    attributes {xf.kernel = #xf<kernel attention>} {
  %o, %lse = xf.attention %q, %k, %v offsets(%qo, %ko) heads(1) scale(0.25)
    : (tensor<?x144xbf16>, tensor<?x144xbf16>, tensor<?x144xbf16>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?x144xbf16>, tensor<?x1xf32>)
  return %o, %lse : tensor<?x144xbf16>, tensor<?x1xf32>
}

// Gradients of captured tensors alone: four warps with sums of their own, which all heads' tables have.
// CHECK-LABEL: func.func private @captured
// CHECK-SAME: xf.grid = [array<i64: 6, 0, 0, 1>, array<i64: -1, 2, 0, 1>]
// CHECK-SAME: xf.threads = 128
// CHECK: memref.get_global {{.*}} : memref<4x9xf32, 3>
// CHECK: nvvm.mma.sync
// CHECK: nvvm.match.sync any
func.func private @captured(%do16: tensor<?x64xbf16>, %q16: tensor<?x64xbf16>, %k16: tensor<?x64xbf16>, %v16: tensor<?x64xbf16>, %o16: tensor<?x64xbf16>, %lse: tensor<?x2xf32>, %qo: tensor<?xi32>, %ko: tensor<?xi32>, %table: tensor<2x9xf32>)
    -> tensor<?x18xf32> attributes {xf.kernel = #xf<kernel attention_backward>} {
  %do = xf.cast %do16 : tensor<?x64xbf16> to tensor<?x64xf32>
  %q = xf.cast %q16 : tensor<?x64xbf16> to tensor<?x64xf32>
  %k = xf.cast %k16 : tensor<?x64xbf16> to tensor<?x64xf32>
  %v = xf.cast %v16 : tensor<?x64xbf16> to tensor<?x64xf32>
  %o = xf.cast %o16 : tensor<?x64xbf16> to tensor<?x64xf32>
  %dq, %dk, %dv, %dt = xf.attention_backward %do, %q, %k, %v, %o, %lse offsets(%qo, %ko) heads(2) scale(0.5) score(%table) {
  ^bb0(%score: f32, %head: index, %query: index, %key: index, %captured: tensor<2x9xf32>):
    %bias = tensor.extract %captured[%head, %key] : tensor<2x9xf32>
    %s = arith.addf %score, %bias : f32
    %one = arith.constant 1.0 : f32
    xf.add_gradient %one at %captured[%head, %key] : tensor<2x9xf32>
    xf.yield %s, %one : f32, f32
  } : (tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x2xf32>, tensor<?xi32>, tensor<?xi32>, tensor<2x9xf32>) -> (tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x18xf32>)
  return %dt : tensor<?x18xf32>
}

// One warp, for the room that it takes.
// CHECK-LABEL: func.func private @shared
// CHECK-SAME: xf.threads = 32
// CHECK: memref.get_global {{.*}} : memref<1x7000xf32, 3>
// CHECK: nvvm.mma.sync
func.func private @shared(%do16: tensor<?x64xbf16>, %q16: tensor<?x64xbf16>, %k16: tensor<?x64xbf16>, %v16: tensor<?x64xbf16>, %o16: tensor<?x64xbf16>, %lse: tensor<?x2xf32>, %qo: tensor<?xi32>, %ko: tensor<?xi32>, %table: tensor<7000xf32>)
    -> tensor<?x14000xf32> attributes {xf.kernel = #xf<kernel attention_backward>} {
  %do = xf.cast %do16 : tensor<?x64xbf16> to tensor<?x64xf32>
  %q = xf.cast %q16 : tensor<?x64xbf16> to tensor<?x64xf32>
  %k = xf.cast %k16 : tensor<?x64xbf16> to tensor<?x64xf32>
  %v = xf.cast %v16 : tensor<?x64xbf16> to tensor<?x64xf32>
  %o = xf.cast %o16 : tensor<?x64xbf16> to tensor<?x64xf32>
  %dq, %dk, %dv, %dt = xf.attention_backward %do, %q, %k, %v, %o, %lse offsets(%qo, %ko) heads(2) scale(0.5) score(%table) {
  ^bb0(%score: f32, %head: index, %query: index, %key: index, %captured: tensor<7000xf32>):
    %bias = tensor.extract %captured[%key] : tensor<7000xf32>
    %s = arith.addf %score, %bias : f32
    %one = arith.constant 1.0 : f32
    xf.add_gradient %one at %captured[%key] : tensor<7000xf32>
    xf.yield %s, %one : f32, f32
  } : (tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x2xf32>, tensor<?xi32>, tensor<?xi32>, tensor<7000xf32>) -> (tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x14000xf32>)
  return %dt : tensor<?x14000xf32>
}

// And one that sums in the result, where not even that has room.
// CHECK-LABEL: func.func private @large
// CHECK-SAME: xf.threads = 32
// CHECK-NOT: nvvm.mma.sync
// CHECK: nvvm.match.sync any
// CHECK: return
func.func private @large(%do16: tensor<?x64xbf16>, %q16: tensor<?x64xbf16>, %k16: tensor<?x64xbf16>, %v16: tensor<?x64xbf16>, %o16: tensor<?x64xbf16>, %lse: tensor<?x2xf32>, %qo: tensor<?xi32>, %ko: tensor<?xi32>, %table: tensor<2x20000xf32>)
    -> tensor<?x40000xf32> attributes {xf.kernel = #xf<kernel attention_backward>} {
  %do = xf.cast %do16 : tensor<?x64xbf16> to tensor<?x64xf32>
  %q = xf.cast %q16 : tensor<?x64xbf16> to tensor<?x64xf32>
  %k = xf.cast %k16 : tensor<?x64xbf16> to tensor<?x64xf32>
  %v = xf.cast %v16 : tensor<?x64xbf16> to tensor<?x64xf32>
  %o = xf.cast %o16 : tensor<?x64xbf16> to tensor<?x64xf32>
  %dq, %dk, %dv, %dt = xf.attention_backward %do, %q, %k, %v, %o, %lse offsets(%qo, %ko) heads(2) scale(0.5) score(%table) {
  ^bb0(%score: f32, %head: index, %query: index, %key: index, %captured: tensor<2x20000xf32>):
    %bias = tensor.extract %captured[%head, %key] : tensor<2x20000xf32>
    %s = arith.addf %score, %bias : f32
    %one = arith.constant 1.0 : f32
    xf.add_gradient %one at %captured[%head, %key] : tensor<2x20000xf32>
    xf.yield %s, %one : f32, f32
  } : (tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x2xf32>, tensor<?xi32>, tensor<?xi32>, tensor<2x20000xf32>) -> (tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x40000xf32>)
  return %dt : tensor<?x40000xf32>
}

// Of single queries over a cache: heads that share keys are warps of a block, as many as divide their number and are eight at most.
// CHECK-LABEL: func.func private @cached
// CHECK-SAME: xf.grid = [array<i64: 0, 0, 0, 1>, array<i64: -1, 4, 0, 1>]
// CHECK-SAME: xf.threads = 192
func.func private @cached(%q: tensor<?x192xf32>, %k: tensor<?x16xf32>, %v: tensor<?x16xf32>, %rows: tensor<?xi32>, %ro: tensor<?xi32>) -> tensor<?x192xf32>
    attributes {xf.kernel = #xf<kernel attention>} {
  %o = xf.cached_attention %q, %k, %v rows(%rows, %ro) heads(24) key_value_heads(2) scale(0.25) : (tensor<?x192xf32>, tensor<?x16xf32>, tensor<?x16xf32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x192xf32>
  return %o : tensor<?x192xf32>
}
// CHECK-LABEL: func.func private @cached_alone
// CHECK-SAME: xf.grid = [array<i64: 0, 0, 0, 1>, array<i64: -1, 24, 0, 1>]
// CHECK-SAME: xf.threads = 32
func.func private @cached_alone(%q: tensor<?x192xf32>, %k: tensor<?x192xf32>, %v: tensor<?x192xf32>, %rows: tensor<?xi32>, %ro: tensor<?xi32>) -> tensor<?x192xf32>
    attributes {xf.kernel = #xf<kernel attention>} {
  %o = xf.cached_attention %q, %k, %v rows(%rows, %ro) heads(24) scale(0.25) : (tensor<?x192xf32>, tensor<?x192xf32>, tensor<?x192xf32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x192xf32>
  return %o : tensor<?x192xf32>
}

// -----

func.func private @trained(%do: tensor<?x8xf32>, %q: tensor<?x8xf32>, %k: tensor<?x8xf32>, %v: tensor<?x8xf32>, %o: tensor<?x8xf32>, %lse: tensor<?x2xf32>, %qo: tensor<?xi32>, %ko: tensor<?xi32>, %slopes: tensor<2xf32>)
    -> (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x2xf32>) attributes {xf.kernel = #xf<kernel attention_backward>} {
  // expected-error @+1 {{'xf.attention_backward' op has gradients of captured tensors beside others, for which stage 'schedule' has no form for a GPU: expected stage 'fuse' to have made them a kernel of their own (--target=cuda)}}
  %dq, %dk, %dv, %ds = xf.attention_backward %do, %q, %k, %v, %o, %lse offsets(%qo, %ko) heads(2) scale(0.5) score(%slopes) {
  ^bb0(%score: f32, %head: index, %query: index, %key: index, %captured: tensor<2xf32>):
    %slope = tensor.extract %captured[%head] : tensor<2xf32>
    %s = arith.addf %score, %slope : f32
    %one = arith.constant 1.0 : f32
    xf.add_gradient %one at %captured[%head] : tensor<2xf32>
    xf.yield %s, %one : f32, f32
  } : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x2xf32>, tensor<?xi32>, tensor<?xi32>, tensor<2xf32>) -> (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x2xf32>)
  return %dq, %dk, %dv, %ds : tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x2xf32>
}
