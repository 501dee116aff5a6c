// What the verifiers of Optimizer.td refuse, and in which words: a case a constraint, named after it.
// RUN: xf-opt %s --split-input-file --verify-diagnostics

// xf.learning_rate C1
func.func @f(%r: tensor<2xi64>, %h: tensor<7xf32>) {
  // expected-error@+1 {{'xf.learning_rate' op expected 'hyper' to match the eight settings of a step (8), but got 7}}
  %y = xf.learning_rate %r, %h d_model(8) : (tensor<2xi64>, tensor<7xf32>) -> tensor<f32>
  return
}

// -----

// xf.adam C1
xf.param @w : tensor<4xf32> zeros(0.0)
func.func @f(%g: tensor<4xf32>, %n: tensor<f32>, %r: tensor<2xi64>, %h: tensor<8xf32>) {
  // expected-error@+1 {{'xf.adam' op expected a gradient for each of 2 parameters, but got 1}}
  xf.adam %g parameters [@w, @w] norm(%n) learning_rate(%n) state(%r, %h) : tensor<4xf32>, tensor<f32>, tensor<f32>, tensor<2xi64>, tensor<8xf32>
  return
}

// -----

// xf.adam C1
xf.param @w : tensor<4xf32> zeros(0.0)
func.func @f(%g: tensor<5xf32>, %n: tensor<f32>, %r: tensor<2xi64>, %h: tensor<8xf32>) {
  // expected-error@+1 {{'xf.adam' op expected the gradient of 'w' to be 4 of f32, but got 5 of f32}}
  xf.adam %g parameters [@w] norm(%n) learning_rate(%n) state(%r, %h) : tensor<5xf32>, tensor<f32>, tensor<f32>, tensor<2xi64>, tensor<8xf32>
  return
}

// -----

// xf.adam C2
xf.param @w : tensor<4xf32> zeros(0.0)
func.func @f(%g: tensor<4xf32>, %n: tensor<f32>, %r: tensor<3xi64>, %h: tensor<8xf32>) {
  // expected-error@+1 {{'xf.adam' op expected 'random' to match seed and step (2), but got 3}}
  xf.adam %g parameters [@w] norm(%n) learning_rate(%n) state(%r, %h) : tensor<4xf32>, tensor<f32>, tensor<f32>, tensor<3xi64>, tensor<8xf32>
  return
}
