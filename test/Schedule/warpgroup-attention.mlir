// Attention of bf16 for Hopper's tensor cores: what is chosen by the extents, and which ops have another form.
// RUN: split-file %s %t
// RUN: xf-opt %t/chosen.mlir --xf-schedule-gpu=gpu=sm_90a | FileCheck %t/chosen.mlir
// RUN: xf-opt %t/chosen.mlir --xf-schedule-gpu=gpu=sm_90 | FileCheck %t/chosen.mlir --check-prefix=PLAIN
// RUN: xf-opt %t/given.mlir --xf-schedule-gpu=gpu=sm_90a | FileCheck %t/given.mlir
// RUN: xf-opt %t/plain.mlir --xf-schedule-gpu=gpu=sm_90a | FileCheck %t/plain.mlir
// RUN: xf-opt %t/invalid.mlir --xf-schedule-gpu=gpu=sm_90a --split-input-file --verify-diagnostics

//--- chosen.mlir
!m = tensor<?x128xbf16>
!s = tensor<?x2xf32>
!i = tensor<?xi32>
// PLAIN-NOT: xfg.
// CHECK-LABEL: func.func private @forward
// CHECK-SAME: xf.grid = [array<i64: 0, 0, 0, 128>, array<i64: -1, 2, 0, 1>]
// CHECK-SAME: xf.schedule = #xf.warpgroup_attention_schedule<columns = 128, stages = 2>
// CHECK-SAME: xf.tensor_maps = [array<i64: 0, 128, 64>, array<i64: 1, 128, 64>, array<i64: 2, 128, 64>, array<i64: 5, 64, 64>], xf.threads = 384
// Scores, then outputs of the step before, when it is the warpgroup's turn; probabilities while the latter are on their
// way.
// CHECK: scf.for
// CHECK: xfg.barrier %{{.*}} threads 256{{$}}
// CHECK: xfg.mma {{.*}} transpose_b : !xfg.tile<64x64xbf16, of 128>, <128x64xbf16>, <64x128xf32>
// CHECK: xfg.mma {{.*}} : !xfg.fragment<64x128xbf16>, <128x64xbf16>, <64x64xf32>
// CHECK: xfg.barrier %{{.*}} threads 256 arrives
// CHECK: xfg.wait 1
// CHECK: llvm.nvvm.ex2
// CHECK: xfg.pin
// CHECK: xfg.wait 0
func.func private @forward(%q: !m, %k: !m, %v: !m, %qo: !i, %ko: !i) -> (!m, !s) attributes {xf.kernel = #xf<kernel attention>} {
  %o, %s = xf.attention %q, %k, %v offsets(%qo, %ko) heads(2) scale(0.125) causal : (!m, !m, !m, !i, !i) -> (!m, !s)
  return %o, %s : !m, !s
}
// Steps that a window begins in, those that no mask touches, and those that it ends in. // CHECK-LABEL: func.func private @masked
// CHECK-SAME: xf.schedule = #xf.warpgroup_attention_schedule<columns = 128, stages = 2>
// CHECK-COUNT-3: xfg.pin
func.func private @masked(%q: !m, %k: !m, %v: !m, %qo: !i, %ko: !i, %l: !i, %random: tensor<2xi64>, %site: i64) -> (!m, !s) attributes {xf.kernel = #xf<kernel attention>} {
  %o, %s = xf.attention %q, %k, %v offsets(%qo, %ko) heads(2) scale(0.125) window(3) lengths(%l) dropout(0.1, %random, %site) : (!m, !m, !m, !i, !i, !i, tensor<2xi64>, i64) -> (!m, !s)
  return %o, %s : !m, !s
}
// CHECK-LABEL: func.func private @region
// CHECK-SAME: xf.schedule = #xf.warpgroup_attention_schedule
func.func private @region(%q: !m, %k: !m, %v: !m, %qo: !i, %ko: !i) -> (!m, !s) attributes {xf.kernel = #xf<kernel attention>} {
  %o, %s = xf.attention %q, %k, %v offsets(%qo, %ko) heads(2) scale(0.125) score() {
  ^bb0(%score: bf16, %head: index, %query: index, %key: index):
    %t = math.tanh %score : bf16
    xf.yield %t : bf16
  } : (!m, !m, !m, !i, !i) -> (!m, !s)
  return %o, %s : !m, !s
}
// First a block's rows are queries, then keys: scores transposed, with sums for two gradients.
// CHECK-LABEL: func.func private @backward
// CHECK-SAME: xf.grid = [array<i64: 1, 0, 1, 128>, array<i64: -1, 2, 0, 1>]
// CHECK-SAME: xf.schedule = #xf.warpgroup_attention_schedule<columns = 64, stages = 2>
// CHECK: consumers
// CHECK-COUNT-2: xfg.mma {{.*}} transpose_b : !xfg.tile<64x64xbf16, of 128>, <64x64xbf16>, <64x64xf32>
// CHECK: xfg.mma {{.*}} : !xfg.fragment<64x64xbf16>, <64x64xbf16>, <64x64xf32>
// CHECK: xfg.read
// CHECK-COUNT-2: xfg.mma {{.*}} : !xfg.fragment<64x64xbf16>, <64x64xbf16>, <64x64xf32>
func.func private @backward(%do: !m, %q: !m, %k: !m, %v: !m, %o: !m, %s: !s, %qo: !i, %ko: !i) -> (!m, !m, !m) attributes {xf.kernel = #xf<kernel attention_backward>} {
  %dq, %dk, %dv = xf.attention_backward %do, %q, %k, %v, %o, %s offsets(%qo, %ko) heads(2) scale(0.125) causal : (!m, !m, !m, !m, !m, !s, !i, !i) -> (!m, !m, !m)
  return %dq, %dk, %dv : !m, !m, !m
}

// Wide heads: one product of scores at a time.
// CHECK-LABEL: func.func private @wide
// CHECK-SAME: xf.schedule = #xf.warpgroup_attention_schedule<columns = 64, stages = 2>
// CHECK: xfg.read
// CHECK: xfg.wait 0
// CHECK: xfg.mma {{.*}} transpose_b : !xfg.tile<64x128xbf16, of 128>, <64x128xbf16>, <64x64xf32>
func.func private @wide(%do: !m, %q: !m, %k: !m, %v: !m, %o: !m, %s: tensor<?x1xf32>, %qo: !i, %ko: !i) -> (!m, !m, !m) attributes {xf.kernel = #xf<kernel attention_backward>} {
  %dq, %dk, %dv = xf.attention_backward %do, %q, %k, %v, %o, %s offsets(%qo, %ko) heads(1) scale(0.125) : (!m, !m, !m, !m, !m, tensor<?x1xf32>, !i, !i) -> (!m, !m, !m)
  return %dq, %dk, %dv : !m, !m, !m
}

// Six heads, of which three share one of keys and values: boxes of all of them by one map, and backward the grid of queries.
// CHECK-LABEL: func.func private @shared
// CHECK-SAME: xf.grid = [array<i64: 0, 0, 0, 128>, array<i64: -1, 6, 0, 1>]
// CHECK-SAME: xf.schedule = #xf.warpgroup_attention_schedule<columns = 128, stages = 2>
// CHECK: arith.divui {{.*}} : i32
// CHECK: xfg.copy_in
func.func private @shared(%q: tensor<?x384xbf16>, %k: !m, %v: !m, %qo: !i, %ko: !i) -> (tensor<?x384xbf16>, tensor<?x6xf32>) attributes {xf.kernel = #xf<kernel attention>} {
  %o, %s = xf.attention %q, %k, %v offsets(%qo, %ko) heads(6) key_value_heads(2) scale(0.125) causal : (tensor<?x384xbf16>, !m, !m, !i, !i) -> (tensor<?x384xbf16>, tensor<?x6xf32>)
  return %o, %s : tensor<?x384xbf16>, tensor<?x6xf32>
}
// CHECK-LABEL: func.func private @shared_backward
// CHECK-SAME: xf.grid = [array<i64: 1, 0, 1, 128>, array<i64: -1, 6, 0, 1>]
// CHECK-SAME: xf.schedule = #xf.warpgroup_attention_schedule<columns = 64, stages = 2>
func.func private @shared_backward(%do: tensor<?x384xbf16>, %q: tensor<?x384xbf16>, %k: !m, %v: !m, %o: tensor<?x384xbf16>, %s: tensor<?x6xf32>, %qo: !i, %ko: !i) -> (tensor<?x384xbf16>, !m, !m) attributes {xf.kernel = #xf<kernel attention_backward>} {
  %dq, %dk, %dv = xf.attention_backward %do, %q, %k, %v, %o, %s offsets(%qo, %ko) heads(6) key_value_heads(2) scale(0.125) causal : (tensor<?x384xbf16>, tensor<?x384xbf16>, !m, !m, tensor<?x384xbf16>, tensor<?x6xf32>, !i, !i) -> (tensor<?x384xbf16>, !m, !m)
  return %dq, %dk, %dv : tensor<?x384xbf16>, !m, !m
}

//--- given.mlir
!m = tensor<?x128xbf16>
!s = tensor<?x2xf32>
!i = tensor<?xi32>
// CHECK-LABEL: func.func private @given
// CHECK-SAME: xf.schedule = #xf.warpgroup_attention_schedule<columns = 64, stages = 3>
// CHECK: xfg.mma {{.*}} transpose_b : !xfg.tile<64x64xbf16, of 128>, <64x64xbf16>, <64x64xf32>
func.func private @given(%q: !m, %k: !m, %v: !m, %qo: !i, %ko: !i) -> (!m, !s)
    attributes {xf.kernel = #xf<kernel attention>, xf.schedule = #xf.warpgroup_attention_schedule<columns = 64, stages = 3>} {
  %o, %s = xf.attention %q, %k, %v offsets(%qo, %ko) heads(2) scale(0.125) : (!m, !m, !m, !i, !i) -> (!m, !s)
  return %o, %s : !m, !s
}

// Wide heads with dropout: the gradients of values, and then those of keys.
// CHECK-LABEL: func.func private @wide_backward
// CHECK-SAME: xf.schedule = #xf.warpgroup_attention_schedule<columns = 64, stages = 2, in_turn = true>
func.func private @wide_backward(%do: !m, %q: !m, %k: !m, %v: !m, %o: !m, %s: tensor<?x1xf32>, %qo: !i, %ko: !i, %random: tensor<2xi64>, %site: i64) -> (!m, !m, !m) attributes {xf.kernel = #xf<kernel attention_backward>} {
  %dq, %dk, %dv = xf.attention_backward %do, %q, %k, %v, %o, %s offsets(%qo, %ko) heads(1) scale(0.125) dropout(0.1, %random, %site) : (!m, !m, !m, !m, !m, tensor<?x1xf32>, !i, !i, tensor<2xi64>, i64) -> (!m, !m, !m)
  return %dq, %dk, %dv : !m, !m, !m
}

//--- plain.mlir
!m = tensor<?x128xbf16>
!s = tensor<?x2xf32>
!i = tensor<?xi32>
// Heads whose columns are no panels; and what is told to be no product at all.
// CHECK-NOT: xfg.
// CHECK-LABEL: func.func private @narrow
// CHECK-SAME: xf.schedule = #xf.tensor_core_attention_schedule<rows = 32>
func.func private @narrow(%q: !m, %k: !m, %v: !m, %qo: !i, %ko: !i) -> (!m, tensor<?x8xf32>) attributes {xf.kernel = #xf<kernel attention>} {
  %o, %s = xf.attention %q, %k, %v offsets(%qo, %ko) heads(8) scale(0.125) : (!m, !m, !m, !i, !i) -> (!m, tensor<?x8xf32>)
  return %o, %s : !m, tensor<?x8xf32>
}
// CHECK-LABEL: func.func private @given
// CHECK-SAME: xf.threads = 128
// CHECK-NOT: mma.sync
func.func private @given(%q: !m, %k: !m, %v: !m, %qo: !i, %ko: !i) -> (!m, !s)
    attributes {xf.kernel = #xf<kernel attention>, xf.schedule = #xf.plain_attention_schedule<rows = 4>} {
  %o, %s = xf.attention %q, %k, %v offsets(%qo, %ko) heads(2) scale(0.125) : (!m, !m, !m, !i, !i) -> (!m, !s)
  return %o, %s : !m, !s
}

//--- invalid.mlir
!m = tensor<?x128xbf16>
!s = tensor<?x2xf32>
!i = tensor<?xi32>
// expected-error @+1 {{expected 'columns' of 'xf.schedule' to be 64 backward, as registers have it, but got 128}}
func.func private @columns(%do: !m, %q: !m, %k: !m, %v: !m, %o: !m, %s: !s, %qo: !i, %ko: !i) -> (!m, !m, !m)
    attributes {xf.kernel = #xf<kernel attention_backward>, xf.schedule = #xf.warpgroup_attention_schedule<columns = 128, stages = 2>} {
  %dq, %dk, %dv = xf.attention_backward %do, %q, %k, %v, %o, %s offsets(%qo, %ko) heads(2) scale(0.125) : (!m, !m, !m, !m, !m, !s, !i, !i) -> (!m, !m, !m)
  return %dq, %dk, %dv : !m, !m, !m
}

// -----

!m = tensor<?x128xbf16>
!s = tensor<?x2xf32>
!i = tensor<?xi32>
// expected-error @+1 {{expected 'rows' of 'xf.schedule' to be 16 backward, as registers have it, but got 32}}
func.func private @rows(%do: !m, %q: !m, %k: !m, %v: !m, %o: !m, %s: !s, %qo: !i, %ko: !i) -> (!m, !m, !m)
    attributes {xf.kernel = #xf<kernel attention_backward>, xf.schedule = #xf.tensor_core_attention_schedule<rows = 32>} {
  %dq, %dk, %dv = xf.attention_backward %do, %q, %k, %v, %o, %s offsets(%qo, %ko) heads(2) scale(0.125) : (!m, !m, !m, !m, !m, !s, !i, !i) -> (!m, !m, !m)
  return %dq, %dk, %dv : !m, !m, !m
}

// -----

!m = tensor<?x128xf32>
!s = tensor<?x2xf32>
!i = tensor<?xi32>
// expected-error @+1 {{expected 'xf.schedule' to be like #xf.plain_attention_schedule<rows = 8>, but got #xf.tensor_core_attention_schedule<rows = 16>}}
func.func private @form(%q: !m, %k: !m, %v: !m, %qo: !i, %ko: !i) -> (!m, !s)
    attributes {xf.kernel = #xf<kernel attention>, xf.schedule = #xf.tensor_core_attention_schedule<rows = 16>} {
  %o, %s = xf.attention %q, %k, %v offsets(%qo, %ko) heads(2) scale(0.125) : (!m, !m, !m, !i, !i) -> (!m, !s)
  return %o, %s : !m, !s
}

// -----

// expected-error @+1 {{expected 'rows' to be 16 or 32, but got 64}}
#rows = #xf.tensor_core_attention_schedule<rows = 64>

// -----

// expected-error @+1 {{expected 'rows' to be 1 to 32, but got 33}}
#plain = #xf.plain_attention_schedule<rows = 33>

// -----

// expected-error @+1 {{expected 'columns' to be 64 or 128, but got 96}}
#columns = #xf.warpgroup_attention_schedule<columns = 96, stages = 2>

// -----

// expected-error @+1 {{expected 'stages' of a schedule to be at least 1, but got 0}}
#stages = #xf.warpgroup_attention_schedule<columns = 64, stages = 0>

// -----

// expected-error @+1 {{expected 'stages' of a schedule to be at most 16, but got 17}}
#stages = #xf.warpgroup_attention_schedule<columns = 64, stages = 17>
