// Names become parameters: a layer takes its own as arguments, every application passes them under its prefix, dropouts have sites of their own.
// RUN: xf-opt %s --xf-resolve -split-input-file -verify-diagnostics | FileCheck %s

// CHECK: xf.param @first.feed_forward.in.weight : tensor<16x8xf32> xavier_uniform
// CHECK: xf.param @first.norm.bias : tensor<8xf32> zeros
// CHECK: xf.param @second.feed_forward.in.weight
// CHECK-LABEL: func.func private @layer
// CHECK-SAME: (%[[X:.*]]: tensor<?x8xf32>, %[[RANDOM:.*]]: tensor<2xi64>, %[[SITE:.*]]: i64, %[[W:.*]]: tensor<16x8xf32> {xf.parameter = "feed_forward.in.weight"}
// CHECK: xf.linear %[[X]], %[[W]] :
// CHECK: %[[K0:.*]] = arith.constant 0 : i64
// CHECK: %[[S0:.*]] = arith.addi %[[SITE]], %[[K0]]
// CHECK: xf.dropout %{{.*}}, %[[RANDOM]], %[[S0]] rate(2.500000e-01)
// CHECK: %[[K1:.*]] = arith.constant 1 : i64
// CHECK: arith.addi %[[SITE]], %[[K1]]
// CHECK: xf.layer_norm
func.func private @layer(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %0 = xf.feed_forward "feed_forward" (%x) hidden(16) relu dropout(0.25) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %1 = xf.add_norm "norm" (%x, %0) dropout(0.5) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %1 : tensor<?x8xf32>
}
// CHECK-LABEL: func.func @model
// CHECK-SAME: %[[RANDOM:[^:]*]]: tensor<2xi64> {xf.name = "random"}
// CHECK: %[[B0:.*]] = arith.constant 0 : i64
// CHECK: call @layer(%{{.*}}, %[[RANDOM]], %[[B0]],
// CHECK: %[[B2:.*]] = arith.constant 2 : i64
// CHECK: call @layer(%{{.*}}, %[[RANDOM]], %[[B2]],
func.func @model(%x: tensor<?x8xf32> {xf.name = "x"}) -> tensor<?x8xf32> attributes {xf.entry} {
  %0 = xf.apply @layer as "first" (%x) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %1 = xf.apply @layer as "second" (%0) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  return %1 : tensor<?x8xf32>
}

// -----

// The norm before a sublayer, and what adds the sublayer to its input; embeddings multiplied by another number than the paper's.
// CHECK: xf.param @n.weight : tensor<8xf32> ones
// CHECK: xf.param @n.bias : tensor<8xf32> zeros
// CHECK-LABEL: func.func @model
// CHECK: %[[E:.*]] = xf.embedding %{{.*}}, %{{.*}} : (tensor<?xi32>, tensor<20x8xf32>)
// CHECK: %[[N:.*]] = xf.layer_norm %[[E]], %{{.*}}, %{{.*}} epsilon(9.99999996E-13)
// CHECK: %[[D:.*]] = xf.dropout %[[N]]
// CHECK: xf.add %[[E]], %[[D]]
func.func @model(%ids: tensor<?xi32>, %offsets: tensor<?xi32>) -> tensor<?x8xf32> attributes {xf.entry} {
  %x = xf.embed "e" (%ids, %offsets) vocabulary(20) positions(none) scale(1.0) : (tensor<?xi32>, tensor<?xi32>) -> tensor<?x8xf32>
  %n = xf.norm "n" (%x) epsilon(1.0e-12) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %y = xf.residual "r" (%x, %n) dropout(0.5) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// -----

// What Llama has: an RMS norm has no bias, queries and keys are turned, and the gate is one product more.
// CHECK: xf.param @n.weight : tensor<8xf32> ones
// CHECK-NOT: @n.bias
// CHECK: xf.param @f.gate.weight : tensor<16x8xf32>
// CHECK: xf.param @f.gate.bias
// CHECK: xf.param @f.in.weight : tensor<16x8xf32>
// CHECK-LABEL: func.func @model
// CHECK: %[[N:.*]] = xf.layer_norm %{{[^,]*}}, %{{[^,]*}} rms :
// CHECK: %[[Q:.*]] = xf.linear %[[N]]
// CHECK: %[[K:.*]] = xf.linear %[[N]]
// CHECK: %[[V:.*]] = xf.linear %[[N]]
// CHECK: %[[TQ:.*]] = xf.rotary %[[Q]], %[[A:.*]] heads(4) : tensor<?x24xf32>, tensor<?x6xf32>
// CHECK: %[[TK:.*]] = xf.rotary %[[K]], %[[A]] heads(2) : tensor<?x12xf32>, tensor<?x6xf32>
// CHECK: xf.attention %[[TQ]], %[[TK]], %[[V]]
// CHECK: %[[GATE:.*]] = xf.linear %{{.*}} bias
// CHECK: %[[ACTIVE:.*]] = xf.silu %[[GATE]]
// CHECK: %[[IN:.*]] = xf.linear %{{.*}} bias
// CHECK: %[[H:.*]] = xf.multiply %[[ACTIVE]], %[[IN]]
// CHECK: xf.linear %[[H]]
func.func @model(%x: tensor<?x8xf32>, %offsets: tensor<?xi32>, %angles: tensor<?x6xf32>) -> tensor<?x8xf32> attributes {xf.entry} {
  %n = xf.norm "n" (%x) rms : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %a = xf.multi_head_attention "a" (%n, %n, %n) offsets(%offsets, %offsets) heads(4) key_value_heads(2) head_dims(6, 5) causal rotary(%angles)
    : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>, tensor<?x6xf32>) -> tensor<?x8xf32>
  %f = xf.feed_forward "f" (%a) hidden(16) silu gated bias : (tensor<?x8xf32>) -> tensor<?x8xf32>
  return %f : tensor<?x8xf32>
}

// -----

func.func @model(%x: tensor<?x8xf32>) -> (tensor<?x4xf32>, tensor<?x5xf32>) attributes {xf.entry} {
  // expected-note @below {{declared here}}
  %0 = xf.project "p" (%x) : (tensor<?x8xf32>) -> tensor<?x4xf32>
  // expected-error @below {{expected parameter 'p.weight' to have type 'tensor<4x8xf32>', but it is used here as 'tensor<5x8xf32>'}}
  %1 = xf.project "p" (%x) : (tensor<?x8xf32>) -> tensor<?x5xf32>
  return %0, %1 : tensor<?x4xf32>, tensor<?x5xf32>
}

// -----

// expected-error @below {{expected no dropout in the entry point 'encode': 'model', the one that trains, alone draws random numbers}}
func.func @encode(%ids: tensor<?xi32>, %offsets: tensor<?xi32>) -> tensor<?x8xf32> attributes {xf.entry} {
  %x = xf.embed "e" (%ids, %offsets) vocabulary(20) positions(none) dropout(0.5) : (tensor<?xi32>, tensor<?xi32>) -> tensor<?x8xf32>
  return %x : tensor<?x8xf32>
}

// -----

// expected-note @below {{it is taken here}}
func.func private @"p.weight"() { return }
func.func @encode(%x: tensor<?x8xf32>) -> tensor<?x4xf32> attributes {xf.entry} {
  // expected-error @below {{expected the name of parameter 'p.weight' to be free}}
  %0 = xf.project "p" (%x) : (tensor<?x8xf32>) -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}
