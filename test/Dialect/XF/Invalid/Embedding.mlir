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

// xf.embedding_backward C2
func.func @f(%dy: tensor<?x8xf32>, %ids: tensor<?xi32>) {
  // expected-error@+1 {{'xf.embedding_backward' op expected a static vocabulary where there is no 'into' to add to, but got ? x 8}}
  %g = xf.embedding_backward %dy, %ids : (tensor<?x8xf32>, tensor<?xi32>) -> tensor<?x8xf32>
  return
}
