// Where a layer's forward is cut, by the price of a byte that is saved. A token's normalised row takes 32 bytes and 12 operations a byte; the
// row behind relu 128 bytes, and 24 operations a byte to multiply again.
// RUN: xf-opt %s --xf-autodiff="price=0" | FileCheck %s --check-prefix=NONE
// RUN: xf-opt %s --xf-autodiff="price=16" | FileCheck %s --check-prefix=NORM
// RUN: xf-opt %s --xf-autodiff="price=40" | FileCheck %s --check-prefix=ALL
// RUN: xf-opt %s --xf-autodiff="price=64 layers=1" | FileCheck %s --check-prefix=FIRST

// NONE-LABEL: func.func private @layer.fwd(
// NONE:         %[[N:.*]] = xf.layer_norm
// NONE:         %[[H:.*]] = xf.relu
// NONE:         %[[Y:.*]] = xf.linear %[[H]]
// NONE:         return %[[Y]], %[[H]], %[[N]]
// NONE-LABEL: func.func private @layer.bwd(
// NONE-NOT:     xf.relu %
// NONE-NOT:     xf.layer_norm %

// Products of ever longer sums cost more a byte.
// NORM-LABEL: func.func private @layer.fwd(
// NORM:         %[[H:.*]] = xf.relu
// NORM:         %[[Y:.*]] = xf.linear %[[H]]
// NORM:         return %[[Y]], %[[H]] :
// NORM-LABEL: func.func private @layer.bwd(
// NORM-NOT:     xf.relu %
// NORM:         xf.layer_norm %

// ALL-LABEL:  func.func private @layer.fwd(
// ALL:          return %{{[0-9a-z_]+}} :
// ALL-LABEL:  func.func private @layer.bwd(
// ALL:          xf.layer_norm %
// ALL:          xf.linear
// ALL:          xf.relu %

// The first of two layers pays 64, the second a quarter of it.
// FIRST:      call @layer.fwd_0({{.*}}) -> tensor<?x8xf32>
// FIRST:      call @layer.fwd({{.*}}) -> (tensor<?x8xf32>, tensor<?x32xf32>)
module attributes {xf.kind = "language_model", xf.config = {d_model = 8 : i64}} {
  xf.param @gain : tensor<8xf32> ones(0.0)
  xf.param @bias : tensor<8xf32> zeros(0.0)
  xf.param @in : tensor<32x8xf32> xavier_uniform(1.0)
  xf.param @out : tensor<8x32xf32> xavier_uniform(1.0)

  func.func private @layer(%x: tensor<?x8xf32>, %gain: tensor<8xf32>, %bias: tensor<8xf32>, %in: tensor<32x8xf32>, %out: tensor<8x32xf32>) -> tensor<?x8xf32> {
    %n = xf.layer_norm %x, %gain, %bias epsilon(1.0e-5) : (tensor<?x8xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<?x8xf32>
    %l = xf.linear %n, %in : (tensor<?x8xf32>, tensor<32x8xf32>) -> tensor<?x32xf32>
    %h = xf.relu %l : tensor<?x32xf32>
    %y = xf.linear %h, %out : (tensor<?x32xf32>, tensor<8x32xf32>) -> tensor<?x8xf32>
    return %y : tensor<?x8xf32>
  }

  func.func @model(%x: tensor<?x8xf32> {xf.name = "x"}, %labels: tensor<?xi32> {xf.name = "labels"}) -> (tensor<f32> {xf.name = "loss"}) attributes {xf.entry} {
    %gain = xf.get_param @gain : tensor<8xf32>
    %bias = xf.get_param @bias : tensor<8xf32>
    %in = xf.get_param @in : tensor<32x8xf32>
    %out = xf.get_param @out : tensor<8x32xf32>
    %x0 = xf.add %x, %x : tensor<?x8xf32>
    %x1 = func.call @layer(%x0, %gain, %bias, %in, %out) : (tensor<?x8xf32>, tensor<8xf32>, tensor<8xf32>, tensor<32x8xf32>, tensor<8x32xf32>) -> tensor<?x8xf32>
    %x2 = func.call @layer(%x1, %gain, %bias, %in, %out) : (tensor<?x8xf32>, tensor<8xf32>, tensor<8xf32>, tensor<32x8xf32>, tensor<8x32xf32>) -> tensor<?x8xf32>
    %token_loss, %nll, %lse = xf.cross_entropy %x2, %labels : (tensor<?x8xf32>, tensor<?xi32>) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
    %loss = xf.mean %token_loss : (tensor<?xf32>) -> tensor<f32>
    return %loss : tensor<f32>
  }
}
