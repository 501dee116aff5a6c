// Attention for GPUs: on tensor cores where memory holds bf16, and what is refused.
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

// -----

func.func private @trained(%do: tensor<?x8xf32>, %q: tensor<?x8xf32>, %k: tensor<?x8xf32>, %v: tensor<?x8xf32>, %o: tensor<?x8xf32>, %lse: tensor<?x2xf32>, %qo: tensor<?xi32>, %ko: tensor<?xi32>, %slopes: tensor<2xf32>)
    -> (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x2xf32>) attributes {xf.kernel = #xf<kernel attention_backward>} {
  // expected-error @+1 {{'xf.attention_backward' op has gradients of captured tensors, which stage 'schedule' can't compute for a GPU; compile with --target=cpu, or capture no parameter in a score region}}
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
