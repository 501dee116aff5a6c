// What can't be differentiated is said where it stands.
// RUN: xf-opt %s --split-input-file --verify-diagnostics --xf-autodiff

module attributes {xf.config = {d_model = 4 : i64}} {
  // expected-error@+1 {{parameter 'unused' does not reach the loss of 'loss', so it cannot be trained}}
  xf.param @unused : tensor<4xf32> zeros(0.0)
  func.func @loss(%x: tensor<?xf32>) -> (tensor<f32> {xf.name = "loss"}) attributes {xf.entry} {
    %loss = xf.mean %x : (tensor<?xf32>) -> tensor<f32>
    return %loss : tensor<f32>
  }
}

// -----

module {
  xf.param @w : tensor<4x4xf32> zeros(0.0)
  func.func @loss(%x: tensor<?x4xf32>, %labels: tensor<?xi32>) -> tensor<f32> attributes {xf.entry} {
    %w = xf.get_param @w : tensor<4x4xf32>
    %y = xf.linear %x, %w : (tensor<?x4xf32>, tensor<4x4xf32>) -> tensor<?x4xf32>
    // expected-error@+1 {{op 'xf.log_softmax' has no derivative; stage 'autodiff' supports calls of layer functions and the ops with a differentiation rule, such as xf.linear and xf.attention}}
    %p = xf.log_softmax %y : tensor<?x4xf32>
    %l, %nll, %lse = xf.cross_entropy %p, %labels : (tensor<?x4xf32>, tensor<?xi32>) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
    %loss = xf.mean %l : (tensor<?xf32>) -> tensor<f32>
    return %loss : tensor<f32>
  }
}

// -----

module {
  xf.param @w : tensor<4x4xf32> zeros(0.0)
  func.func @loss(%x: tensor<?x4xf32>, %labels: tensor<?xi32>) -> tensor<f32> attributes {xf.entry} {
    %w = xf.get_param @w : tensor<4x4xf32>
    %y = xf.linear %x, %w : (tensor<?x4xf32>, tensor<4x4xf32>) -> tensor<?x4xf32>
    // expected-error@+1 {{result 'log_sum_exp' of op 'xf.cross_entropy' has no derivative; stage 'autodiff' supports losses of its other results}}
    %l, %nll, %lse = xf.cross_entropy %y, %labels : (tensor<?x4xf32>, tensor<?xi32>) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
    %loss = xf.mean %lse : (tensor<?xf32>) -> tensor<f32>
    return %loss : tensor<f32>
  }
}

// -----

module {
  xf.param @w : tensor<4x4xf32> zeros(0.0)
  func.func private @layer(%x: tensor<?x4xf32>, %w: tensor<4x4xf32>) -> tensor<?x4xf32> {
    %y = func.call @layer(%x, %w) : (tensor<?x4xf32>, tensor<4x4xf32>) -> tensor<?x4xf32>
    // expected-error@+1 {{'layer' calls itself; stage 'autodiff' supports layers without recursion}}
    %z = func.call @layer(%y, %w) : (tensor<?x4xf32>, tensor<4x4xf32>) -> tensor<?x4xf32>
    return %z : tensor<?x4xf32>
  }
  func.func @loss(%x: tensor<?x4xf32>, %labels: tensor<?xi32>) -> tensor<f32> attributes {xf.entry} {
    %w = xf.get_param @w : tensor<4x4xf32>
    %x0 = xf.linear %x, %w : (tensor<?x4xf32>, tensor<4x4xf32>) -> tensor<?x4xf32>
    %y = func.call @layer(%x0, %w) : (tensor<?x4xf32>, tensor<4x4xf32>) -> tensor<?x4xf32>
    %l, %nll, %lse = xf.cross_entropy %y, %labels : (tensor<?x4xf32>, tensor<?xi32>) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
    %loss = xf.mean %l : (tensor<?xf32>) -> tensor<f32>
    return %loss : tensor<f32>
  }
}

// -----

module {
  // expected-error@+1 {{expected the loss of 'loss' to be its result of type 'tensor<f32>', but its results are 'tensor<?xf32>'}}
  func.func @loss(%x: tensor<?xf32>) -> tensor<?xf32> attributes {xf.entry} {
    return %x : tensor<?xf32>
  }
}

// -----

// expected-error@+1 {{expected the module's 'xf.config' to give 'd_model', by which the learning rate of 'train_step' is scaled}}
module {
  func.func @model(%x: tensor<?xf32>) -> tensor<f32> attributes {xf.entry} {
    %loss = xf.mean %x : (tensor<?xf32>) -> tensor<f32>
    return %loss : tensor<f32>
  }
}

// -----

// Angles of parameters.
module {
  xf.param @a : tensor<3x4xf32> zeros(0.0)
  func.func @loss(%x: tensor<3x8xf32>, %labels: tensor<3xi32>) -> tensor<f32> attributes {xf.entry} {
    %a = xf.get_param @a : tensor<3x4xf32>
    // expected-error@+1 {{operand 'angles' of op 'xf.rotary' has no derivative; stage 'autodiff' supports angles of positions, that is of xf.rotary_angles, and not of parameters}}
    %y = xf.rotary %x, %a heads(2) : tensor<3x8xf32>, tensor<3x4xf32>
    %l, %nll, %lse = xf.cross_entropy %y, %labels : (tensor<3x8xf32>, tensor<3xi32>) -> (tensor<3xf32>, tensor<3xf32>, tensor<3xf32>)
    %loss = xf.mean %l : (tensor<3xf32>) -> tensor<f32>
    return %loss : tensor<f32>
  }
}
