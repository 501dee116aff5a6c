// Primitive ops in the words of their definitions; what they compute is compared with doubles in test/Unit/Schedule.
// RUN: xf-opt %s --convert-xf-to-linalg --split-input-file | FileCheck %s

// Nothing of xf is left of any op but those of the optimizer (and what is no computation).
// RUN: xf-opt %source/test/Dialect/XF/roundtrip.mlir --convert-xf-to-linalg | FileCheck %s --check-prefix=LEFT
// LEFT-NOT: xf.{{(linear|pack|matmul|column_sum|layer_norm|attention|cached_attention|cache_write|cross_entropy|log_softmax|mean|learning_rate|dropout|add|multiply|cast|reshape|relu|gelu|gelu_tanh|silu|tanh|embedding|position_ids|sinusoidal|rotary_angles|rotary)(_backward|_parameter_backward|_weights)?}} %

// CHECK-LABEL: @linear
// CHECK-SAME: %[[X:.*]]: tensor<?x512xf32>, %[[W:.*]]: tensor<64x512xf32>, %[[B:.*]]: tensor<64xf32>
// CHECK: %[[START:.*]] = linalg.generic {{.*}}["parallel", "parallel"]} ins(%[[B]]
// CHECK: linalg.generic
// CHECK-SAME: iterator_types = ["parallel", "parallel", "reduction"]
// CHECK-SAME: ins(%[[X]], %[[W]] {{.*}} outs(%[[START]]
// CHECK: arith.mulf
// CHECK: arith.addf
func.func @linear(%x: tensor<?x512xf32>, %w: tensor<64x512xf32>, %b: tensor<64xf32>) -> tensor<?x64xf32> {
  %y = xf.linear %x, %w bias %b : (tensor<?x512xf32>, tensor<64x512xf32>, tensor<64xf32>) -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----
// Rows are cut and put together by way of what counts their pieces.
// CHECK-LABEL: @reshape
// CHECK: %[[E:.*]] = tensor.expand_shape %{{.*}} {{\[\[}}0], [1, 2]] output_shape [%{{.*}}, 3, 4] : tensor<?x12xf32> into tensor<?x3x4xf32>
// CHECK: %[[P:.*]] = tensor.collapse_shape %[[E]] {{\[\[}}0, 1], [2]] : tensor<?x3x4xf32> into tensor<?x4xf32>
// CHECK: %[[N:.*]] = arith.div{{.*}}
// CHECK: %[[B:.*]] = tensor.expand_shape %[[P]] {{\[\[}}0, 1], [2]] output_shape [%[[N]], 3, 4] : tensor<?x4xf32> into tensor<?x3x4xf32>
// CHECK: tensor.collapse_shape %[[B]] {{\[\[}}0], [1, 2]] : tensor<?x3x4xf32> into tensor<?x12xf32>
func.func @reshape(%x: tensor<?x12xf32>) -> tensor<?x12xf32> {
  %p = xf.reshape %x : tensor<?x12xf32> to tensor<?x4xf32>
  %y = xf.reshape %p : tensor<?x4xf32> to tensor<?x12xf32>
  return %y : tensor<?x12xf32>
}

// -----
// A sum over rows runs in their order; without rows it is the zero that it begins with.
// CHECK-DAG: #[[MATRIX:.*]] = affine_map<(d0, d1) -> (d0, d1)>
// CHECK-DAG: #[[COLUMN:.*]] = affine_map<(d0, d1) -> (d1)>
// CHECK-LABEL: @column_sum
// CHECK: %[[ZERO:.*]] = linalg.fill
// CHECK: linalg.generic {indexing_maps = [#[[MATRIX]], #[[COLUMN]]], iterator_types = ["reduction", "parallel"]}
// CHECK-SAME: outs(%[[ZERO]]
func.func @column_sum(%x: tensor<?x17xf32>) -> tensor<17xf32> {
  %s = xf.column_sum %x : (tensor<?x17xf32>) -> tensor<17xf32>
  return %s : tensor<17xf32>
}

// -----
// Rows are written in the order of the list.
// CHECK-LABEL: @embedding_backward
// CHECK-SAME: %[[DY:.*]]: tensor<?x8xf32>, %[[IDS:.*]]: tensor<?xi32>, %[[INTO:.*]]: tensor<50x8xf32>
// CHECK: scf.for %[[T:.*]] = {{.*}} iter_args(%[[TABLE:.*]] = %[[INTO]])
// CHECK: %[[ID:.*]] = tensor.extract %[[IDS]][%[[T]]]
// CHECK: %[[ROW:.*]] = arith.index_cast %[[ID]]
// CHECK-DAG: tensor.extract_slice %[[DY]][%[[T]], 0] [1, 8]
// CHECK-DAG: tensor.extract_slice %[[TABLE]][%[[ROW]], 0] [1, 8]
// CHECK: linalg.generic
// CHECK: tensor.insert_slice %{{.*}} into %[[TABLE]][%[[ROW]], 0]
func.func @embedding_backward(%dy: tensor<?x8xf32>, %ids: tensor<?xi32>, %into: tensor<50x8xf32>) -> tensor<50x8xf32> {
  %g = xf.embedding_backward %dy, %ids into %into scale(2.0) : (tensor<?x8xf32>, tensor<?xi32>, tensor<50x8xf32>) -> tensor<50x8xf32>
  return %g : tensor<50x8xf32>
}

// -----
// Dropout draws its numbers in the body: ten rounds of Philox on the indices of the element.
// CHECK-LABEL: @dropout
// CHECK: linalg.generic
// CHECK-DAG: linalg.index 0
// CHECK-DAG: linalg.index 1
// CHECK: scf.for
// CHECK-COUNT-2: arith.mului_extended
// CHECK: scf.yield
// CHECK: arith.cmpi uge
// CHECK: linalg.yield
func.func @dropout(%x: tensor<?x8xf32>, %random: tensor<2xi64>, %site: i64) -> tensor<?x8xf32> {
  %y = xf.dropout %x, %random, %site rate(0.1) : tensor<?x8xf32>, tensor<2xi64>
  return %y : tensor<?x8xf32>
}

// -----
// The optimizer works on parameters by name: it stays.
// CHECK: xf.global_norm
func.func @norm(%g: tensor<8x8xf32>) -> tensor<f32> {
  %n = xf.global_norm %g : (tensor<8x8xf32>) -> tensor<f32>
  return %n : tensor<f32>
}
