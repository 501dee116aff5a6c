// RUN: xf-opt %s --xf-accumulate-gradients | FileCheck %s

// The later product continues the earlier one's sum.
// CHECK-LABEL: func.func @projections
// CHECK:         %[[Q:.*]] = xf.matmul %[[DQ:.*]], %[[W:.*]] :
// CHECK:         %[[K:.*]] = xf.matmul %{{.*}}, %[[W]] into %[[Q]]
// CHECK-NOT:     xf.add
// CHECK:         return %[[K]]
func.func @projections(%dq: tensor<?x8xf32>, %dk: tensor<?x8xf32>, %w: tensor<8x4xf32>) -> tensor<?x4xf32> {
  %k = xf.matmul %dq, %w : (tensor<?x8xf32>, tensor<8x4xf32>) -> tensor<?x4xf32>
  %q = xf.matmul %dk, %w : (tensor<?x8xf32>, tensor<8x4xf32>) -> tensor<?x4xf32>
  %sum = xf.add %q, %k : tensor<?x4xf32>
  return %sum : tensor<?x4xf32>
}

// A value that is used elsewhere, and an argument, stay as they are.
// CHECK-LABEL: func.func @kept
// CHECK:         xf.embedding_backward %{{.*}}, %{{.*}} :
// CHECK:         xf.add
// CHECK:         xf.embedding_backward %{{.*}}, %{{.*}} :
// CHECK:         xf.add
func.func @kept(%argument: tensor<7x4xf32>, %dy: tensor<?x4xf32>, %ids: tensor<?xi32>) -> (tensor<7x4xf32>, tensor<7x4xf32>, tensor<7x4xf32>) {
  %a = xf.embedding_backward %dy, %ids : (tensor<?x4xf32>, tensor<?xi32>) -> tensor<7x4xf32>
  %sum = xf.add %argument, %a : tensor<7x4xf32>
  %relu = xf.relu %sum : tensor<7x4xf32>
  %b = xf.embedding_backward %dy, %ids : (tensor<?x4xf32>, tensor<?xi32>) -> tensor<7x4xf32>
  %total = xf.add %relu, %b : tensor<7x4xf32>
  return %total, %b, %relu : tensor<7x4xf32>, tensor<7x4xf32>, tensor<7x4xf32>
}
