// Groups: an activation and a residual end in the matrix product's kernel, a norm begins a chain of rows.
// RUN: xf-opt %s --xf-fuse | FileCheck %s
// RUN: xf-opt %s --xf-fuse --xf-outline | FileCheck %s --check-prefix=OUTLINE

// CHECK-LABEL: func.func @layer
// CHECK: xf.group matmul "in" {
// CHECK-NEXT: xf.linear
// CHECK-NEXT: xf.relu
// CHECK: xf.group matmul "out" {
// CHECK-NEXT: xf.linear
// CHECK-NEXT: xf.dropout
// CHECK-NEXT: xf.add
// CHECK: xf.group row "layer_norm" {
// CHECK-NEXT: xf.layer_norm
// OUTLINE-LABEL: func.func @layer
// OUTLINE: xf.dispatch @linear_relu_2048x512 "in"
// OUTLINE: xf.dispatch @linear_dropout_add_512x2048 "out"
// OUTLINE: xf.dispatch @layer_norm_512 "layer_norm"
func.func @layer(%x: tensor<?x512xf32>, %w1: tensor<2048x512xf32>, %b1: tensor<2048xf32>, %w2: tensor<512x2048xf32>, %g: tensor<512xf32>, %b: tensor<512xf32>, %random: tensor<2xi64>, %site: i64) -> tensor<?x512xf32> {
  %0 = xf.linear %x, %w1 bias %b1 : (tensor<?x512xf32>, tensor<2048x512xf32>, tensor<2048xf32>) -> tensor<?x2048xf32> loc("in")
  %1 = xf.relu %0 : tensor<?x2048xf32>
  %2 = xf.linear %1, %w2 : (tensor<?x2048xf32>, tensor<512x2048xf32>) -> tensor<?x512xf32> loc("out")
  %3 = xf.dropout %2, %random, %site rate(0.1) : tensor<?x512xf32>, tensor<2xi64>
  %4 = xf.add %x, %3 : tensor<?x512xf32>
  %5 = xf.layer_norm %4, %g, %b : (tensor<?x512xf32>, tensor<512xf32>, tensor<512xf32>) -> tensor<?x512xf32>
  return %5 : tensor<?x512xf32>
}

// Somebody between waits for the product: the activation stays outside.
// CHECK-LABEL: func.func @used_between
// CHECK: xf.group matmul
// CHECK-NEXT: xf.linear
// CHECK-NEXT: xf.yield
// CHECK: xf.group matmul
// CHECK-NEXT: xf.linear
// CHECK-NEXT: xf.yield
// CHECK: xf.group elementwise
// CHECK-NEXT: xf.gelu
func.func @used_between(%x: tensor<?x8xf32>, %w: tensor<8x8xf32>) -> (tensor<?x8xf32>, tensor<?x8xf32>) {
  %0 = xf.linear %x, %w : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  %1 = xf.linear %0, %w : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  %2 = xf.gelu %0 : tensor<?x8xf32>
  return %1, %2 : tensor<?x8xf32>, tensor<?x8xf32>
}

// An op of a chain of rows goes up to it where another kernel in between waits for the chain; not past what it takes.
// CHECK-LABEL: func.func @moved_up
// CHECK: xf.group row
// CHECK-NEXT: xf.layer_norm_backward
// CHECK-NEXT: xf.dropout
// CHECK: xf.group column
// CHECK: xf.group scatter
// CHECK: xf.group row "embedding"
// CHECK-NEXT: xf.embedding
// CHECK-NEXT: xf.add
func.func @moved_up(%dy: tensor<?x8xf32>, %x: tensor<?x8xf32>, %w: tensor<8xf32>, %random: tensor<2xi64>, %site: i64, %ids: tensor<?xi32>) -> (tensor<?x8xf32>, tensor<8xf32>, tensor<?x8xf32>) {
  %dx, %mean, %r = xf.layer_norm_backward %dy, %x, %w : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<8xf32>) -> (tensor<?x8xf32>, tensor<?xf32>, tensor<?xf32>)
  %dw, %db = xf.layer_norm_parameter_backward %dy, %x, %mean, %r : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xf32>, tensor<?xf32>) -> (tensor<8xf32>, tensor<8xf32>)
  %ds = xf.dropout %dx, %random, %site rate(0.1) : tensor<?x8xf32>, tensor<2xi64>
  %table = xf.embedding_backward %ds, %ids : (tensor<?x8xf32>, tensor<?xi32>) -> tensor<8x8xf32>
  %e = xf.embedding %ids, %table : (tensor<?xi32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  %sum = xf.add %ds, %e : tensor<?x8xf32>
  return %dx, %dw, %sum : tensor<?x8xf32>, tensor<8xf32>, tensor<?x8xf32>
}

// The statistics of blocks of logits are computed with them; what reads them all is a kernel of its own.
// CHECK-LABEL: func.func @predict
// CHECK: %[[PROJECTED:.*]]:3 = xf.group matmul "project" {
// CHECK-NEXT: xf.linear
// CHECK-NEXT: xf.block_statistics
// CHECK: xf.group top_k "top_k" {
// CHECK-NEXT: xf.top_k %[[PROJECTED]]#0, %[[PROJECTED]]#1, %[[PROJECTED]]#2
// OUTLINE-LABEL: func.func @predict
// OUTLINE: xf.dispatch @linear_block_statistics_100x8 "project"
func.func @predict(%x: tensor<?x8xf32>, %w: tensor<100x8xf32>, %ranks: tensor<?xi32>) -> (tensor<?x100xf32>, tensor<?x?xf32>, tensor<?x?xi32>, tensor<?xf32>) {
  %0 = xf.linear %x, %w : (tensor<?x8xf32>, tensor<100x8xf32>) -> tensor<?x100xf32> loc("project")
  %m, %s = xf.block_statistics %0 : (tensor<?x100xf32>) -> (tensor<?x2xf32>, tensor<?x2xf32>)
  %v, %t, %l = xf.top_k %0, %m, %s ranks(%ranks) : (tensor<?x100xf32>, tensor<?x2xf32>, tensor<?x2xf32>, tensor<?xi32>) -> (tensor<?x?xf32>, tensor<?x?xi32>, tensor<?xf32>)
  return %0, %v, %t, %l : tensor<?x100xf32>, tensor<?x?xf32>, tensor<?x?xi32>, tensor<?xf32>
}

// Equal groups share one kernel; a result with a dynamic extent says whose it is, and one that is updated in place which operand.
// OUTLINE-LABEL: func.func @equal
// OUTLINE-COUNT-2: xf.dispatch @matmul_8x8 "matmul"
// OUTLINE: xf.dispatch @embedding_backward_8x8_0 "embedding_backward"
// OUTLINE: func.func private @layer_norm_512({{.*}}) -> (tensor<?x512xf32> {xf.extents = [array<i64: 0, 0>]})
// OUTLINE-NOT: func.func private @matmul_8x8_{{[0-9]}}
// OUTLINE: func.func private @embedding_backward_8x8_0({{.*}}) -> (tensor<8x8xf32> {xf.in_place = 2 : i64}) attributes {xf.kernel = #xf<kernel scatter>}
func.func @equal(%x: tensor<?x8xf32>, %w: tensor<8x8xf32>, %ids: tensor<?xi32>) -> (tensor<?x8xf32>, tensor<8x8xf32>) {
  %0 = xf.matmul %x, %w : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  %1 = xf.matmul %0, %w : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  %2 = xf.embedding_backward %x, %ids into %w : (tensor<?x8xf32>, tensor<?xi32>, tensor<8x8xf32>) -> tensor<8x8xf32>
  return %1, %2 : tensor<?x8xf32>, tensor<8x8xf32>
}

// Angles and what they turn come from memory; a gate ends the later of its products, and what follows a rotary op joins it.
// CHECK-LABEL: func.func @rotary
// CHECK: xf.group elementwise "rotary_angles" {
// CHECK-NEXT: xf.rotary_angles
// CHECK-NEXT: xf.yield
// CHECK: xf.group matmul
// CHECK-NEXT: xf.linear
// CHECK-NEXT: xf.silu
// CHECK-NEXT: xf.yield
// CHECK: xf.group matmul
// CHECK-NEXT: xf.linear
// CHECK-NEXT: xf.multiply
// CHECK-NEXT: xf.yield
// CHECK: xf.group row "rotary" {
// CHECK-NEXT: xf.rotary
// CHECK-NEXT: xf.add
// CHECK-NEXT: xf.yield
func.func @rotary(%x: tensor<?x8xf32>, %w: tensor<8x8xf32>, %positions: tensor<?xi32>) -> tensor<?x8xf32> {
  %angles = xf.rotary_angles %positions theta(10000.0) : (tensor<?xi32>) -> tensor<?x4xf32>
  %0 = xf.linear %x, %w : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  %1 = xf.silu %0 : tensor<?x8xf32>
  %2 = xf.linear %x, %w : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  %3 = xf.multiply %1, %2 : tensor<?x8xf32>
  %4 = xf.rotary %3, %angles heads(2) : tensor<?x8xf32>, tensor<?x4xf32>
  %5 = xf.add %4, %x : tensor<?x8xf32>
  return %5 : tensor<?x8xf32>
}
