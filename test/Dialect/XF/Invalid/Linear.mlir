// What the verifiers of Linear.td refuse, and in which words: a case a constraint, named after it.
// RUN: xf-opt %s --split-input-file --verify-diagnostics

// xf.linear C1
func.func @f(%x: tensor<?x8xf32>, %w: tensor<9x4xf32>) {
  // expected-error@+1 {{'xf.linear' op expected 'weight' to match the features of 'x' (8), but got 4}}
  %y = xf.linear %x, %w : (tensor<?x8xf32>, tensor<9x4xf32>) -> tensor<?x9xf32>
  return
}

// -----

// xf.linear C2
func.func @f(%x: tensor<?x8xf32>, %w: tensor<9x8xf32>, %b: tensor<8xf32>) {
  // expected-error@+1 {{'xf.linear' op expected 'bias' to match the rows of 'weight' (9), but got 8}}
  %y = xf.linear %x, %w bias %b : (tensor<?x8xf32>, tensor<9x8xf32>, tensor<8xf32>) -> tensor<?x9xf32>
  return
}

// -----

// xf.linear C3
func.func @f(%x: tensor<?x8xf32>, %w: tensor<9x8xf32>) {
  // expected-error@+1 {{'xf.linear' op expected 'result' to have shape ? x 9 (the rows of 'x' x the rows of 'weight'), but got ? x 8}}
  %y = xf.linear %x, %w : (tensor<?x8xf32>, tensor<9x8xf32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.linear C2
func.func @f(%x: tensor<?x8xf32>, %w: tensor<2x8x32xf32>, %b: tensor<32xf32>) {
  // expected-error@+1 {{'xf.linear' op expected 'bias' to match the features of the result (33), but got 32}}
  %y = xf.linear %x, %w bias %b : (tensor<?x8xf32>, tensor<2x8x32xf32>, tensor<32xf32>) -> tensor<?x33xf32>
  return
}

// -----

// xf.linear C4
func.func @f(%x: tensor<?x8xf32>, %w: tensor<1x8x32xf32>) {
  // expected-error@+1 {{'xf.linear' op expected 'weight' to have shape 2 x 8 x 32 (out / 32, rounded up, x in x 32), but got 1 x 8 x 32}}
  %y = xf.linear %x, %w : (tensor<?x8xf32>, tensor<1x8x32xf32>) -> tensor<?x33xf32>
  return
}

// -----

// xf.pack C1
func.func @f(%w: tensor<33x8xf32>) {
  // expected-error@+1 {{'xf.pack' op expected 'result' to have shape 2 x 8 x 32 (the rows of 'weight' / 32, rounded up, x its features x 32), but got 1 x 8 x 32}}
  %p = xf.pack %w : (tensor<33x8xf32>) -> tensor<1x8x32xf32>
  return
}

// -----

// xf.pack C1
func.func @f(%w: tensor<?x8xf32>) {
  // expected-error@+1 {{'xf.pack' op expected the extents of 'weight' to be numbers, but got ? x 8}}
  %p = xf.pack %w : (tensor<?x8xf32>) -> tensor<2x8x32xf32>
  return
}

// -----

// xf.linear C4
func.func @f(%x: tensor<?x8xf32>, %w: tensor<2x10x32xi8>) {
  // expected-error@+1 {{'xf.linear' op expected the features of the result to be a number, but got ? x ?}}
  %y = xf.linear %x, %w : (tensor<?x8xf32>, tensor<2x10x32xi8>) -> tensor<?x?xf32>
  return
}

// -----

// xf.pack C1, of i8
func.func @f(%w: tensor<33x8xf32>) {
  // expected-error@+1 {{'xf.pack' op expected 'result' to have shape 2 x 10 x 32 (the rows of 'weight' / 32, rounded up, x its features + 2 for each 32 x 32), but got 2 x 8 x 32}}
  %p = xf.pack %w : (tensor<33x8xf32>) -> tensor<2x8x32xi8>
  return
}

// -----

// xf.linear C4, of i8
func.func @f(%x: tensor<?x8xf32>, %p: tensor<2x8x32xi8>) {
  // expected-error@+1 {{'xf.linear' op expected 'weight' to have shape 2 x 10 x 32 (out / 32, rounded up, x in + 2 for each 32 x 32), but got 2 x 8 x 32}}
  %y = xf.linear %x, %p : (tensor<?x8xf32>, tensor<2x8x32xi8>) -> tensor<?x33xf32>
  return
}

// -----

// xf.matmul C1
func.func @f(%a: tensor<?x8xf32>, %b: tensor<9x4xf32>) {
  // expected-error@+1 {{'xf.matmul' op expected 'b' to match the contracted extent of 'a' (8), but got 9}}
  %y = xf.matmul %a, %b : (tensor<?x8xf32>, tensor<9x4xf32>) -> tensor<?x4xf32>
  return
}

// -----

// xf.matmul C1
func.func @f(%a: tensor<?x8xf32>, %b: tensor<8x4xf32>, %c: tensor<?x8xf32>) {
  // expected-error@+1 {{'xf.matmul' op expected 'into' to have shape ? x 4 (that of the result), but got ? x 8}}
  %y = xf.matmul %a, %b into %c : (tensor<?x8xf32>, tensor<8x4xf32>, tensor<?x8xf32>) -> tensor<?x4xf32>
  return
}

// -----

// xf.column_sum C1
func.func @f(%x: tensor<?x8xf32>) {
  // expected-error@+1 {{'xf.column_sum' op expected 'result' to have as many elements as 'x' features (8), but got 4 (4)}}
  %y = xf.column_sum %x : (tensor<?x8xf32>) -> tensor<4xf32>
  return
}
