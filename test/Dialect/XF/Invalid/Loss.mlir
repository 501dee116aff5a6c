// What the verifiers of Loss.td refuse, and in which words: a case a constraint, named after it.
// RUN: xf-opt %s --split-input-file --verify-diagnostics

// xf.log_softmax C1
func.func @f(%x: tensor<?x8xf32>) {
  // expected-error@+1 {{'xf.log_softmax' op requires the same type for all operands and results}}
  %z = "xf.log_softmax"(%x) : (tensor<?x8xf32>) -> tensor<?x4xf32>
  return
}

// -----

// xf.block_statistics C1
func.func @f(%x: tensor<?x100xf32>) {
  // expected-error@+1 {{expected 'sums' to have shape ? x 2 (tokens x ceil(vocabulary / 64)), but got ? x 1}}
  %m, %s = xf.block_statistics %x : (tensor<?x100xf32>) -> (tensor<?x2xf32>, tensor<?x1xf32>)
  return
}

// -----

// xf.top_k C1
func.func @f(%x: tensor<?x100xf32>, %m: tensor<?x3xf32>, %s: tensor<?x2xf32>, %ranks: tensor<?xi32>) {
  // expected-error@+1 {{expected 'maxima' to have shape ? x 2 (tokens x ceil(vocabulary / 64)), but got ? x 3}}
  %v, %t, %l = xf.top_k %x, %m, %s ranks(%ranks) : (tensor<?x100xf32>, tensor<?x3xf32>, tensor<?x2xf32>, tensor<?xi32>) -> (tensor<?x?xf32>, tensor<?x?xi32>, tensor<?xf32>)
  return
}

// -----

// xf.top_k C2
func.func @f(%x: tensor<?x100xf32>, %m: tensor<?x2xf32>, %s: tensor<?x2xf32>, %ranks: tensor<8xi32>) {
  // expected-error@+1 {{expected 'tokens' to have shape ? x 8 (tokens x ranks), but got ? x ?}}
  %v, %t, %l = xf.top_k %x, %m, %s ranks(%ranks) : (tensor<?x100xf32>, tensor<?x2xf32>, tensor<?x2xf32>, tensor<8xi32>) -> (tensor<?x8xf32>, tensor<?x?xi32>, tensor<?xf32>)
  return
}

// -----

// xf.cross_entropy C1
func.func @f(%x: tensor<6x8xf32>, %l: tensor<5xi32>) {
  // expected-error@+1 {{'xf.cross_entropy' op expected 'labels' to match the rows of 'logits' (6), but got 5}}
  %a, %b, %c = xf.cross_entropy %x, %l : (tensor<6x8xf32>, tensor<5xi32>) -> (tensor<6xf32>, tensor<6xf32>, tensor<6xf32>)
  return
}

// -----

// xf.cross_entropy C2
func.func @f(%x: tensor<?x8xf32>, %l: tensor<?xi32>) {
  // expected-error@+1 {{'xf.cross_entropy' op expected smoothing to be at least 0 and less than 1, but got 1.00}}
  %a, %b, %c = xf.cross_entropy %x, %l smoothing(1.0) : (tensor<?x8xf32>, tensor<?xi32>) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
  return
}

// -----

// xf.cross_entropy_backward C1
func.func @f(%d: tensor<?xf32>, %x: tensor<?x8xf32>, %l: tensor<?xi32>) {
  // expected-error@+1 {{'xf.cross_entropy_backward' op expected 'result' to have shape ? x 8 (that of 'logits'), but got ? x 4}}
  %y = xf.cross_entropy_backward %d, %x, %l, %d : (tensor<?xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xf32>) -> tensor<?x4xf32>
  return
}
