// What the verifiers of Embedding.td refuse, and in which words: a case a constraint, named after it.
// RUN: xf-opt %s --split-input-file --verify-diagnostics

// xf.embedding C1
func.func @f(%ids: tensor<?xi32>, %t: tensor<9x8xf32>) {
  // expected-error@+1 {{'xf.embedding' op expected 'result' to have shape ? x 8 (tokens x the table's features), but got ? x 4}}
  %y = xf.embedding %ids, %t : (tensor<?xi32>, tensor<9x8xf32>) -> tensor<?x4xf32>
  return
}

// -----

// xf.embedding_backward C1
func.func @f(%dy: tensor<?x8xf32>, %ids: tensor<?xi32>) {
  // expected-error@+1 {{'xf.embedding_backward' op expected 'result' to have shape 9 x 8 (vocabulary x the cotangent's features), but got 9 x 4}}
  %y = xf.embedding_backward %dy, %ids : (tensor<?x8xf32>, tensor<?xi32>) -> tensor<9x4xf32>
  return
}

// -----

// xf.embedding_backward C1
func.func @f(%dy: tensor<?x8xf32>, %ids: tensor<?xi32>, %g: tensor<7x8xf32>) {
  // expected-error@+1 {{'xf.embedding_backward' op expected 'into' to have shape 9 x 8 (that of the result), but got 7 x 8}}
  %y = xf.embedding_backward %dy, %ids into %g : (tensor<?x8xf32>, tensor<?xi32>, tensor<7x8xf32>) -> tensor<9x8xf32>
  return
}

// -----

// xf.sinusoidal C1
func.func @f(%p: tensor<?xi32>) {
  // expected-error@+1 {{'xf.sinusoidal' op expected an even number of features, at least 4, for sinusoidal positions in halves, but got 7}}
  %y = xf.sinusoidal %p halves : (tensor<?xi32>) -> tensor<?x7xf32>
  return
}

// -----

// xf.embedding C2
func.func @f(%ids: tensor<?xi32>, %table: tensor<20x8xf32>) {
  // expected-error@+1 {{'xf.embedding' op expected scale to be finite, but got nan}}
  %y = xf.embedding %ids, %table scale(0x7FC00000) : (tensor<?xi32>, tensor<20x8xf32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.embedding C3
func.func @f(%ids: tensor<?xi32>, %t: tensor<33x8xf32>) {
  // expected-error@+1 {{'xf.embedding' op expected 'rows' of a packed table alone, but got 33 x 8}}
  %y = xf.embedding %ids, %t rows(33) : (tensor<?xi32>, tensor<33x8xf32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.embedding C3
func.func @f(%ids: tensor<?xi32>, %p: tensor<2x8x32xf32>) {
  // expected-error@+1 {{'xf.embedding' op expected 'rows' of a packed table, from 0 to 2147483647, but got none}}
  %y = xf.embedding %ids, %p : (tensor<?xi32>, tensor<2x8x32xf32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.embedding C3
func.func @f(%ids: tensor<?xi32>, %p: tensor<2x8x32xf32>) {
  // expected-error@+1 {{'xf.embedding' op expected 'rows' of a packed table, from 0 to 2147483647, but got -1}}
  %y = xf.embedding %ids, %p rows(-1) : (tensor<?xi32>, tensor<2x8x32xf32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.embedding C3
func.func @f(%ids: tensor<?xi32>, %p: tensor<2x8x32xf32>) {
  // expected-error@+1 {{'xf.embedding' op expected 'table' to have shape 3 x 8 x 32 (rows / 32, rounded up, x features x 32), but got 2 x 8 x 32}}
  %y = xf.embedding %ids, %p rows(65) : (tensor<?xi32>, tensor<2x8x32xf32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.embedding C3, of i8
func.func @f(%ids: tensor<?xi32>, %p: tensor<2x8x32xi8>) {
  // expected-error@+1 {{'xf.embedding' op expected 'table' to have shape 2 x 10 x 32 (rows / 32, rounded up, x features + 2 for each 32 x 32), but got 2 x 8 x 32}}
  %y = xf.embedding %ids, %p rows(33) : (tensor<?xi32>, tensor<2x8x32xi8>) -> tensor<?x8xf32>
  return
}

// -----

// xf.embedding C3
func.func @f(%ids: tensor<?xi32>, %p: tensor<2x8x32xf32>) {
  // expected-error@+1 {{'xf.embedding' op expected the features of the result to be a number, but got ? x ?}}
  %y = xf.embedding %ids, %p rows(33) : (tensor<?xi32>, tensor<2x8x32xf32>) -> tensor<?x?xf32>
  return
}

// -----

// xf.embedding_backward C2
func.func @f(%dy: tensor<?x8xf32>, %ids: tensor<?xi32>) {
  // expected-error@+1 {{'xf.embedding_backward' op expected a static vocabulary where there is no 'into' to add to, but got ? x 8}}
  %g = xf.embedding_backward %dy, %ids : (tensor<?x8xf32>, tensor<?xi32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.rotary_angles C1
func.func @f(%p: tensor<?xi32>) {
  // expected-error@+1 {{'xf.rotary_angles' op expected features to be even and at least 2 for rotary positions, but got 7}}
  %y = xf.rotary_angles %p theta(10000.0) : (tensor<?xi32>) -> tensor<?x7xf32>
  return
}

// -----

// xf.rotary_angles C2
func.func @f(%p: tensor<?xi32>) {
  // expected-error@+1 {{'xf.rotary_angles' op expected theta to be a number greater than 0, but got 0.00}}
  %y = xf.rotary_angles %p theta(0.0) : (tensor<?xi32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.rotary_angles C2
func.func @f(%p: tensor<?xi32>) {
  // expected-error@+1 {{'xf.rotary_angles' op expected factor to be a number greater than 0, but got -2.00}}
  %y = xf.rotary_angles %p theta(10000.0) factor(-2.0) : (tensor<?xi32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.rotary_angles C2
func.func @f(%p: tensor<?xi32>) {
  // expected-error@+1 {{'xf.rotary_angles' op expected theta and factor to turn every pair by at most 2 pi a position, but got 1.000000e+15 (theta 1.000000e-30, factor 1.000000e+00)}}
  %y = xf.rotary_angles %p theta(1.0e-30) : (tensor<?xi32>) -> tensor<?x4xf32>
  return
}

// -----

// xf.rotary_angles C2
func.func @f(%p: tensor<?xi32>) {
  // expected-error@+1 {{'xf.rotary_angles' op expected theta and factor to turn every pair by at most 2 pi a position, but got 1.000000e+01 (theta 1.000000e+04, factor 1.000000e-01)}}
  %y = xf.rotary_angles %p theta(10000.0) factor(0.1) : (tensor<?xi32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.rotary_angles C1
func.func @f(%p: tensor<?xi32>) {
  // expected-error@+1 {{'xf.rotary_angles' op expected the features of the result to be a number, but got ? x ?}}
  %y = xf.rotary_angles %p theta(10000.0) : (tensor<?xi32>) -> tensor<?x?xf32>
  return
}

// -----

// xf.rotary C1
func.func @f(%x: tensor<?x?xf32>, %angles: tensor<?x8xf32>) {
  // expected-error@+1 {{'xf.rotary' op expected the features of 'x' to be a number, but got ? x ?}}
  %y = xf.rotary %x, %angles heads(2) : tensor<?x?xf32>, tensor<?x8xf32>
  return
}

// -----

// xf.rotary_angles C3
func.func @f(%p: tensor<?xi32>) {
  // expected-error@+1 {{'xf.rotary_angles' op expected the factors of 'original' to rise from above 0, but got 4.00 and 1.00}}
  %y = xf.rotary_angles %p theta(10000.0) factor(8.0) original(8192, 4.0, 1.0) : (tensor<?xi32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.rotary_angles C3
func.func @f(%p: tensor<?xi32>) {
  // expected-error@+1 {{'xf.rotary_angles' op expected 'original' to be of at least 1 position, but got 0}}
  %y = xf.rotary_angles %p theta(10000.0) factor(8.0) original(0, 1.0, 4.0) : (tensor<?xi32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.rotary_angles C3
func.func @f(%p: tensor<?xi32>) {
  // expected-error@+1 {{'xf.rotary_angles' op expected 'original' to have three numbers, as in original(8192, 1.0, 4.0)}}
  %y = "xf.rotary_angles"(%p) {theta = 1.0e4, original = 5 : i64} : (tensor<?xi32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.rotary C1
func.func @f(%x: tensor<?x8xf32>, %a: tensor<?x4xf32>) {
  // expected-error@+1 {{'xf.rotary' op expected the features of 'x' to be a multiple of heads (3), but got 8}}
  %y = xf.rotary %x, %a heads(3) : tensor<?x8xf32>, tensor<?x4xf32>
  return
}

// -----

// xf.rotary C1
func.func @f(%x: tensor<?x9xf32>, %a: tensor<?x3xf32>) {
  // expected-error@+1 {{'xf.rotary' op expected the features of a head to be even and at least 2 for rotary positions, but got 3}}
  %y = xf.rotary %x, %a heads(3) : tensor<?x9xf32>, tensor<?x3xf32>
  return
}

// -----

// xf.rotary C2
func.func @f(%x: tensor<?x8xf32>, %a: tensor<?x8xf32>) {
  // expected-error@+1 {{'xf.rotary' op expected 'angles' to have shape ? x 4 (the rows of 'x' x the features of a head), but got ? x 8}}
  %y = xf.rotary %x, %a heads(2) : tensor<?x8xf32>, tensor<?x8xf32>
  return
}
