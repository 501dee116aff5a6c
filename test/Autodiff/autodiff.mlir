// The pass on a model of two applications of one layer, with a tied embedding and dropout. The layer is differentiated once.
// RUN: xf-opt %s --xf-autodiff | FileCheck %s
// RUN: xf-opt %s --xf-autodiff="price=1e15" | FileCheck %s --check-prefix=FULL
// RUN: xf-opt %s -p "builtin.module(xf-autodiff,xf-accumulate-gradients,symbol-dce)" | FileCheck %s --check-prefix=STAGE

module @language_model attributes {xf.kind = "language_model", xf.config = {d_model = 4 : i64}} {
  xf.param @embedding.weight : tensor<7x4xf32> normal(0.5)
  xf.param @layer.0.weight : tensor<4x4xf32> xavier_uniform(1.0)
  xf.param @layer.1.weight : tensor<4x4xf32> xavier_uniform(1.0)

  // The forward saves what the backward uses: relu's result, and of the rest nothing.
  // CHECK-LABEL: func.func private @layer.fwd
  // CHECK:         %[[SITE:.*]] = arith.addi
  // CHECK:         %[[RELU:.*]] = xf.relu
  // CHECK:         %[[OUT:.*]] = xf.dropout %[[RELU]], %{{.*}}, %[[SITE]]
  // CHECK:         return %[[OUT]], %[[RELU]]
  // CHECK-LABEL: func.func private @layer.bwd(
  // CHECK-SAME:    %[[X:[^:]*]]: tensor<?x4xf32>, %[[W:[^:]*]]: tensor<4x4xf32>, %[[RANDOM:[^:]*]]: tensor<2xi64>, %{{.*}}: i64, %[[SAVED:[^:]*]]: tensor<?x4xf32>, %[[COTANGENT:[^:]*]]: tensor<?x4xf32>)
  // CHECK-SAME:    -> (tensor<?x4xf32>, tensor<4x4xf32>)
  // CHECK:         arith.addi
  // CHECK:         %[[D:.*]] = xf.dropout %[[COTANGENT]], %[[RANDOM]]
  // CHECK:         %[[R:.*]] = xf.relu_backward %[[D]], %[[SAVED]]
  // CHECK-DAG:     %[[DX:.*]] = xf.matmul %[[R]], %[[W]] :
  // CHECK-DAG:     %[[DW:.*]] = xf.matmul %[[R]], %[[X]] transpose_a
  // CHECK:         return %[[DX]], %[[DW]]

  // At a high price it saves nothing, and the backward begins with the layer.
  // FULL-LABEL:  func.func private @layer.fwd
  // FULL-SAME:     -> tensor<?x4xf32> {
  // FULL-LABEL:  func.func private @layer.bwd(
  // FULL:          xf.linear
  // FULL:          %[[RELU:.*]] = xf.relu
  // FULL-NOT:      xf.dropout %[[RELU]]
  // FULL:          xf.relu_backward %{{.*}}, %[[RELU]]
  func.func private @layer(%x: tensor<?x4xf32>, %w: tensor<4x4xf32> {xf.parameter = "weight"}, %random: tensor<2xi64>, %site: i64) -> tensor<?x4xf32> {
    %one = arith.constant 1 : i64
    %next = arith.addi %site, %one : i64
    %h = xf.linear %x, %w : (tensor<?x4xf32>, tensor<4x4xf32>) -> tensor<?x4xf32>
    %r = xf.relu %h : tensor<?x4xf32>
    %y = xf.dropout %r, %random, %next rate(0.1) : tensor<?x4xf32>, tensor<2xi64>
    return %y : tensor<?x4xf32>
  }

  // STAGE-NOT: @model
  // CHECK-LABEL: func.func @train_step(
  // CHECK-SAME:    %[[RANDOM:[^:]*]]: tensor<2xi64> {xf.name = "random"}, %[[HYPER:[^:]*]]: tensor<8xf32> {xf.name = "hyper"})
  // CHECK-SAME:    -> (tensor<f32> {xf.name = "loss"}, tensor<f32> {xf.name = "gradient_norm"}, tensor<f32> {xf.name = "learning_rate"}) attributes {xf.entry}
  // CHECK:         %[[TABLE:.*]] = xf.get_param @embedding.weight
  // CHECK-NOT:     xf.get_param @embedding.weight
  // CHECK:         %[[FIRST:.*]]:2 = call @layer.fwd
  // CHECK:         %[[SECOND:.*]]:2 = call @layer.fwd
  // CHECK:         %[[LOSS:.*]] = xf.mean
  // CHECK:         %[[PROJECTED:.*]] = xf.matmul %{{.*}}, %[[SECOND]]#0 transpose_a
  // CHECK:         %[[B1:.*]]:2 = call @layer.bwd(%[[FIRST]]#0, {{.*}}, %[[SECOND]]#1, %
  // CHECK:         %[[B0:.*]]:2 = call @layer.bwd(%{{.*}}, %[[FIRST]]#1, %[[B1]]#0)
  // CHECK:         %[[LOOKED_UP:.*]] = xf.embedding_backward %[[B0]]#0
  // CHECK:         %[[TIED:.*]] = xf.add %[[PROJECTED]], %[[LOOKED_UP]]
  // STAGE:         xf.embedding_backward %{{.*}}, %{{.*}} into
  // CHECK:         %[[NORM:.*]] = xf.global_norm %[[TIED]], %[[B0]]#1, %[[B1]]#1
  // CHECK:         %[[RATE:.*]] = xf.learning_rate %[[RANDOM]], %[[HYPER]] d_model(4)
  // CHECK:         xf.adam %[[TIED]], %[[B0]]#1, %[[B1]]#1 parameters [@embedding.weight, @layer.0.weight, @layer.1.weight] norm(%[[NORM]]) learning_rate(%[[RATE]])
  // CHECK:         return %[[LOSS]], %[[NORM]], %[[RATE]]
  func.func @model(%ids: tensor<?xi32> {xf.name = "ids"}, %labels: tensor<?xi32> {xf.name = "labels"}, %random: tensor<2xi64> {xf.name = "random"})
      -> (tensor<f32> {xf.name = "loss"}, tensor<?xf32> {xf.name = "token_nll"}) attributes {xf.entry} {
    %table = xf.get_param @embedding.weight : tensor<7x4xf32>
    %w0 = xf.get_param @layer.0.weight : tensor<4x4xf32>
    %w1 = xf.get_param @layer.1.weight : tensor<4x4xf32>
    %site0 = arith.constant 0 : i64
    %site1 = arith.constant 2 : i64
    %x0 = xf.embedding %ids, %table scale(2.0) : (tensor<?xi32>, tensor<7x4xf32>) -> tensor<?x4xf32>
    %x1 = func.call @layer(%x0, %w0, %random, %site0) : (tensor<?x4xf32>, tensor<4x4xf32>, tensor<2xi64>, i64) -> tensor<?x4xf32>
    %x2 = func.call @layer(%x1, %w1, %random, %site1) : (tensor<?x4xf32>, tensor<4x4xf32>, tensor<2xi64>, i64) -> tensor<?x4xf32>
    %tied = xf.get_param @embedding.weight : tensor<7x4xf32>
    %logits = xf.linear %x2, %tied : (tensor<?x4xf32>, tensor<7x4xf32>) -> tensor<?x7xf32>
    %token_loss, %nll, %lse = xf.cross_entropy %logits, %labels smoothing(0.1) : (tensor<?x7xf32>, tensor<?xi32>) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
    %loss = xf.mean %token_loss : (tensor<?xf32>) -> tensor<f32>
    return %loss, %nll : tensor<f32>, tensor<?xf32>
  }

  // The layer's other form: on the way here only its weight is active, so it has a pair of its own.
  // CHECK:         func.func @gradients(
  // CHECK-SAME:    -> (tensor<f32> {xf.name = "loss"}, tensor<7x4xf32> {xf.name = "grad.embedding.weight"}, tensor<4x4xf32> {xf.name = "grad.layer.0.weight"}, tensor<4x4xf32> {xf.name = "grad.layer.1.weight"}) attributes {xf.entry}
  // CHECK:         %[[GRADIENT:.*]] = call @layer.bwd_{{[0-9]+}}(
  func.func @loss(%x: tensor<?x4xf32> {xf.name = "x"}, %labels: tensor<?xi32> {xf.name = "labels"}, %random: tensor<2xi64> {xf.name = "random"}) -> (tensor<f32> {xf.name = "loss"})
      attributes {xf.entry} {
    %table = xf.get_param @embedding.weight : tensor<7x4xf32>
    %w0 = xf.get_param @layer.0.weight : tensor<4x4xf32>
    %w1 = xf.get_param @layer.1.weight : tensor<4x4xf32>
    %site = arith.constant 0 : i64
    %x1 = func.call @layer(%x, %w0, %random, %site) : (tensor<?x4xf32>, tensor<4x4xf32>, tensor<2xi64>, i64) -> tensor<?x4xf32>
    %x2 = func.call @layer(%x1, %w1, %random, %site) : (tensor<?x4xf32>, tensor<4x4xf32>, tensor<2xi64>, i64) -> tensor<?x4xf32>
    %logits = xf.linear %x2, %table : (tensor<?x4xf32>, tensor<7x4xf32>) -> tensor<?x7xf32>
    %token_loss, %nll, %lse = xf.cross_entropy %logits, %labels : (tensor<?x7xf32>, tensor<?xi32>) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
    %loss = xf.mean %token_loss : (tensor<?xf32>) -> tensor<f32>
    return %loss : tensor<f32>
  }
}
