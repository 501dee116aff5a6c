// Heads that share those of keys and values have no schedule yet: one error of stage `schedule` that says so.
// RUN: not xf-opt %s --xf-schedule-cpu 2>&1 | FileCheck %s
// RUN: not xf-opt %s --xf-schedule-gpu=gpu=sm_80 2>&1 | FileCheck %s
// CHECK: 'xf.attention' op has no schedule yet where heads (4) share those of keys and values (2)
func.func private @kernel(%q: tensor<?x8xf32>, %k: tensor<?x4xf32>, %o: tensor<?xi32>) -> tensor<?x8xf32> attributes {xf.kernel = #xf<kernel attention>} {
  %y, %lse = xf.attention %q, %k, %k offsets(%o, %o) heads(4) key_value_heads(2) scale(1.0) : (tensor<?x8xf32>, tensor<?x4xf32>, tensor<?x4xf32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?x8xf32>, tensor<?x4xf32>)
  return %y : tensor<?x8xf32>
}
