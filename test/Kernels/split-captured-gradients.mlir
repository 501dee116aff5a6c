// For GPUs gradients of captured tensors are a kernel beside the backward, which keeps its forms.
// RUN: xf-opt %s --xf-split-captured-gradients | FileCheck %s
// RUN: xf-opt %s --xf-stage-fuse | FileCheck %s --check-prefix=CPU
// RUN: xf-opt %s --xf-stage-fuse=gpu=sm_80 | FileCheck %s --check-prefix=GPU

!m = tensor<?x128xf32>
!s = tensor<?x2xf32>
!i = tensor<?xi32>
!t = tensor<2x9xf32>
// What the gradient of the table alone needs goes with it.
// CHECK-LABEL: func.func @trained(
// CHECK: %[[DQ:.*]], %[[DK:.*]], %[[DV:.*]] = xf.attention_backward
// CHECK: math.tanh
// CHECK-NOT: math.exp
// CHECK-NOT: xf.add_gradient
// CHECK: %{{.*}}, %{{.*}}, %{{.*}}, %[[T:.*]] = xf.attention_backward
// CHECK: math.exp
// CHECK: xf.add_gradient
// CHECK: return %[[DQ]], %[[DK]], %[[DV]], %[[T]]
// CPU-LABEL: func.func @trained(
// CPU-COUNT-1: xf.group
// CPU-NOT: xf.group
// GPU-LABEL: func.func @trained(
// GPU-COUNT-2: xf.group attention_backward
func.func @trained(%do: !m, %q: !m, %k: !m, %v: !m, %o: !m, %lse: !s, %qo: !i, %ko: !i, %table: !t) -> (!m, !m, !m, tensor<?x18xf32>) {
  %dq, %dk, %dv, %dt = xf.attention_backward %do, %q, %k, %v, %o, %lse offsets(%qo, %ko) heads(2) scale(0.125) score(%table) {
  ^bb0(%score: f32, %head: index, %query: index, %key: index, %captured: !t):
    %bias = tensor.extract %captured[%head, %key] : !t
    %small = math.tanh %bias : f32
    %s = arith.addf %score, %small : f32
    %one = arith.constant 1.0 : f32
    %steep = math.exp %bias : f32
    xf.add_gradient %steep at %captured[%head, %key] : !t
    xf.yield %s, %one : f32, f32
  } : (!m, !m, !m, !m, !m, !s, !i, !i, !t) -> (!m, !m, !m, tensor<?x18xf32>)
  return %dq, %dk, %dv, %dt : !m, !m, !m, tensor<?x18xf32>
}

// Without any nothing changes.
// CHECK-LABEL: func.func @others(
// CPU-LABEL: func.func @others(
// CHECK-COUNT-1: xf.attention_backward
// CHECK-NOT: xf.attention_backward
func.func @others(%do: !m, %q: !m, %k: !m, %v: !m, %o: !m, %lse: !s, %qo: !i, %ko: !i) -> (!m, !m, !m) {
  %dq, %dk, %dv = xf.attention_backward %do, %q, %k, %v, %o, %lse offsets(%qo, %ko) heads(2) scale(0.125) : (!m, !m, !m, !m, !m, !s, !i, !i) -> (!m, !m, !m)
  return %dq, %dk, %dv : !m, !m, !m
}
