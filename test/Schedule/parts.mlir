// Sums of parts of the rows: a tile is a part, and there is nothing to choose; what can't be summed so is refused.
// RUN: xf-opt %s --split-input-file --xf-choose-schedules --xf-schedule-cpu --verify-diagnostics | FileCheck %s
// RUN: not xf-opt %s --split-input-file --xf-schedule-gpu=gpu=sm_80 2>&1 | FileCheck %s --check-prefix=GPU

// CHECK-LABEL: func.func private @parts
// CHECK-SAME: xf.grid = [array<i64: -1, 5, 0, 1>]
// CHECK-NOT: xf.schedule
// GPU: 'xf.layer_norm_parameter_backward' op has no schedule by rows: stage 'schedule' can't sum 5 parts of the rows on a GPU
func.func private @parts(%dy: tensor<?x8xf32>, %x: tensor<?x8xf32>, %m: tensor<?xf32>) -> (tensor<5x8xf32>, tensor<5x8xf32>) attributes {xf.kernel = #xf<kernel row>} {
  %w, %b = xf.layer_norm_parameter_backward %dy, %x, %m, %m : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xf32>, tensor<?xf32>) -> (tensor<5x8xf32>, tensor<5x8xf32>)
  return %w, %b : tensor<5x8xf32>, tensor<5x8xf32>
}

// -----

func.func private @two(%dy: tensor<?x8xf32>, %x: tensor<?x8xf32>, %m: tensor<?xf32>) -> (tensor<5x8xf32>, tensor<6x8xf32>) attributes {xf.kernel = #xf<kernel row>} {
  %w, %b = xf.layer_norm_parameter_backward %dy, %x, %m, %m : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xf32>, tensor<?xf32>) -> (tensor<5x8xf32>, tensor<5x8xf32>)
  // expected-error@+1 {{'xf.layer_norm_parameter_backward' op has no schedule by rows: stage 'schedule' can't sum 6 parts of the rows where another op sums 5}}
  %w2, %b2 = xf.layer_norm_parameter_backward %dy, %x, %m, %m : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xf32>, tensor<?xf32>) -> (tensor<6x8xf32>, tensor<6x8xf32>)
  return %w, %w2 : tensor<5x8xf32>, tensor<6x8xf32>
}
