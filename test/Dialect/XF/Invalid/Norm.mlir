// What the verifiers of Norm.td refuse, and in which words: a case a constraint, named after it.
// RUN: xf-opt %s --split-input-file --verify-diagnostics

// xf.layer_norm C1
func.func @f(%x: tensor<?x8xf32>, %w: tensor<4xf32>, %b: tensor<8xf32>) {
  // expected-error@+1 {{'xf.layer_norm' op expected 'weight' to match the features of 'x' (8), but got 4}}
  %y = xf.layer_norm %x, %w, %b : (tensor<?x8xf32>, tensor<4xf32>, tensor<8xf32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.layer_norm_backward C1
func.func @f(%dy: tensor<?x8xf32>, %x: tensor<?x8xf32>, %w: tensor<4xf32>) {
  // expected-error@+1 {{'xf.layer_norm_backward' op expected 'weight' to match the features of 'x' (8), but got 4}}
  %y, %m, %r = xf.layer_norm_backward %dy, %x, %w : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<4xf32>) -> (tensor<?x8xf32>, tensor<?xf32>, tensor<?xf32>)
  return
}

// -----

// xf.layer_norm_parameter_backward C1
func.func @f(%dy: tensor<?x8xf32>, %x: tensor<?x8xf32>, %m: tensor<?xf32>) {
  // expected-error@+1 {{'xf.layer_norm_parameter_backward' op expected 'weight' to have shape 8 (the features of 'x'), but got 4}}
  %w, %b = xf.layer_norm_parameter_backward %dy, %x, %m, %m : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xf32>, tensor<?xf32>) -> (tensor<4xf32>, tensor<8xf32>)
  return
}

// -----

// A matrix of sums has a row a part.
func.func @f(%dy: tensor<?x8xf32>, %x: tensor<?x8xf32>, %m: tensor<?xf32>) {
  // expected-error@+1 {{'xf.layer_norm_parameter_backward' op expected 'bias' to have shape 5 x 8 (parts x the features of 'x'), but got 8}}
  %w, %b = xf.layer_norm_parameter_backward %dy, %x, %m, %m : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xf32>, tensor<?xf32>) -> (tensor<5x8xf32>, tensor<8xf32>)
  return
}

// -----

// How many parts there are is known.
func.func @f(%dy: tensor<?x8xf32>, %x: tensor<?x8xf32>, %m: tensor<?xf32>) {
  // expected-error@+1 {{'xf.layer_norm_parameter_backward' op expected 'weight' to have shape 8 (the features of 'x'), but got ? x 8}}
  %w, %b = xf.layer_norm_parameter_backward %dy, %x, %m, %m : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xf32>, tensor<?xf32>) -> (tensor<?x8xf32>, tensor<?x8xf32>)
  return
}

// -----

// xf.layer_norm C2
func.func @f(%x: tensor<?x8xf32>, %w: tensor<8xf32>) {
  // expected-error@+1 {{'xf.layer_norm' op expected epsilon to be a number that is not negative, but got nan}}
  %y = xf.layer_norm %x, %w, %w epsilon(0x7FC00000) : (tensor<?x8xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.layer_norm C3
func.func @f(%x: tensor<?x8xf32>, %w: tensor<8xf32>) {
  // expected-error@+1 {{'xf.layer_norm' op expected no 'bias' with 'rms', but got one}}
  %y = xf.layer_norm %x, %w, %w rms : (tensor<?x8xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.layer_norm C3
func.func @f(%x: tensor<?x8xf32>, %w: tensor<8xf32>) {
  // expected-error@+1 {{'xf.layer_norm' op expected 'bias' without 'rms', but got none}}
  %y = xf.layer_norm %x, %w : (tensor<?x8xf32>, tensor<8xf32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.layer_norm_backward C2
func.func @f(%dy: tensor<?x8xf32>, %x: tensor<?x8xf32>, %w: tensor<8xf32>) {
  // expected-error@+1 {{'xf.layer_norm_backward' op expected no result 'mean' with 'rms', but got one}}
  %y, %m, %r = xf.layer_norm_backward %dy, %x, %w rms : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<8xf32>) -> (tensor<?x8xf32>, tensor<?xf32>, tensor<?xf32>)
  return
}

// -----

// xf.layer_norm_parameter_backward C2
func.func @f(%dy: tensor<?x8xf32>, %x: tensor<?x8xf32>, %r: tensor<?xf32>) {
  // expected-error@+1 {{'xf.layer_norm_parameter_backward' op expected a gradient of 'bias' with 'mean', and none without, but got one without}}
  %w, %b = xf.layer_norm_parameter_backward %dy, %x, %r : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xf32>) -> (tensor<8xf32>, tensor<8xf32>)
  return
}
