// The gradients of a norm's parameters are summed by parts where the norm's rows are.
// RUN: xf-opt %s --xf-sum-parts=parts=4 | FileCheck %s
// RUN: xf-opt %s --xf-sum-parts=parts=4 --xf-fuse | FileCheck %s --check-prefix=FUSE
// RUN: xf-opt %s --xf-stage-fuse | FileCheck %s --check-prefix=CPU
// RUN: xf-opt %s --xf-stage-fuse=gpu=sm_80 | FileCheck %s --check-prefix=GPU

// CHECK-LABEL: func.func @norm(
// CHECK: %[[DX:.*]], %[[M:.*]], %[[R:.*]] = xf.layer_norm_backward
// CHECK-NEXT: %[[W:.*]], %[[B:.*]] = xf.layer_norm_parameter_backward %{{.*}}, %{{.*}}, %[[M]], %[[R]] : {{.*}} -> (tensor<4x8xf32>, tensor<4x8xf32>)
// CHECK-NEXT: %[[DW:.*]] = xf.column_sum %[[W]]
// CHECK-NEXT: %[[DB:.*]] = xf.column_sum %[[B]]
// CHECK-NEXT: xf.dropout
// CHECK-NEXT: xf.add %[[DW]]
// CHECK-NEXT: return %{{.*}}, %{{.*}}, %[[DB]]
// FUSE-LABEL: func.func @norm(
// FUSE: xf.group row "layer_norm_backward" {
// FUSE-NEXT: xf.layer_norm_backward
// FUSE-NEXT: xf.layer_norm_parameter_backward
// FUSE-NEXT: xf.dropout
// FUSE: xf.group column
// FUSE: xf.group column
// CPU-LABEL: func.func @norm(
// CPU: xf.layer_norm_parameter_backward {{.*}} -> (tensor<64x8xf32>, tensor<64x8xf32>)
// GPU-LABEL: func.func @norm(
// GPU: xf.layer_norm_parameter_backward {{.*}} -> (tensor<8xf32>, tensor<8xf32>)
func.func @norm(%dy: tensor<?x8xf32>, %x: tensor<?x8xf32>, %w: tensor<8xf32>, %random: tensor<2xi64>, %site: i64) -> (tensor<?x8xf32>, tensor<8xf32>, tensor<8xf32>) {
  %dx, %mean, %r = xf.layer_norm_backward %dy, %x, %w : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<8xf32>) -> (tensor<?x8xf32>, tensor<?xf32>, tensor<?xf32>)
  %dw, %db = xf.layer_norm_parameter_backward %dy, %x, %mean, %r : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xf32>, tensor<?xf32>) -> (tensor<8xf32>, tensor<8xf32>)
  %ds = xf.dropout %dx, %random, %site rate(0.1) : tensor<?x8xf32>, tensor<2xi64>
  %twice = xf.add %dw, %dw : tensor<8xf32>
  return %ds, %twice, %db : tensor<?x8xf32>, tensor<8xf32>, tensor<8xf32>
}

// Rows of another kernel, or of other numbers, are left alone.
// CHECK-LABEL: func.func @apart(
// CHECK: xf.layer_norm_parameter_backward {{.*}} -> (tensor<8xf32>, tensor<8xf32>)
// CHECK: xf.layer_norm_parameter_backward {{.*}} -> (tensor<8xf32>, tensor<8xf32>)
func.func @apart(%dy: tensor<?x8xf32>, %x: tensor<?x8xf32>, %w: tensor<8xf32>, %m: tensor<?xf32>) -> (tensor<8xf32>, tensor<8xf32>) {
  %dw, %db = xf.layer_norm_parameter_backward %dy, %x, %m, %m : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xf32>, tensor<?xf32>) -> (tensor<8xf32>, tensor<8xf32>)
  %dx, %mean, %r = xf.layer_norm_backward %dy, %x, %w : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<8xf32>) -> (tensor<?x8xf32>, tensor<?xf32>, tensor<?xf32>)
  %dw2, %db2 = xf.layer_norm_parameter_backward %dx, %x, %mean, %r : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xf32>, tensor<?xf32>) -> (tensor<8xf32>, tensor<8xf32>)
  return %dw, %db2 : tensor<8xf32>, tensor<8xf32>
}
