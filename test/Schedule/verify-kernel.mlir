// A kernel that a person changed is refused where it isn't what its kind says, on every target.
// RUN: xf-opt %s --xf-choose-schedules -split-input-file -verify-diagnostics
// RUN: xf-opt %s --xf-schedule-cpu -split-input-file -verify-diagnostics
// RUN: xf-opt %s --xf-schedule-gpu=gpu=sm_80 -split-input-file -verify-diagnostics

// expected-error@+1 {{expected kernel 'k' of kind 'row' to have a body of one block}}
func.func private @k(tensor<?x8xf32>) -> tensor<?x8xf32> attributes {xf.kernel = #xf<kernel row>}

// -----

// expected-error@+1 {{expected kernel 'k' of kind 'elementwise' to take tensors and i64, and to give tensors}}
func.func private @k(%x: tensor<?x8xf32>) attributes {xf.kernel = #xf<kernel elementwise>} {
  return
}

// -----

// expected-error@+1 {{expected kernel 'k' of kind 'elementwise' to take tensors and i64, and to give tensors}}
func.func private @k(%x: memref<?x8xf32>) -> tensor<4x8xf32> attributes {xf.kernel = #xf<kernel elementwise>} {
  %y = arith.constant dense<1.0> : tensor<4x8xf32>
  %z = xf.relu %y : tensor<4x8xf32>
  return %z : tensor<4x8xf32>
}

// -----

// expected-error@+1 {{expected kernel 'k' of kind 'elementwise' to compute what it returns}}
func.func private @k(%x: tensor<?x8xf32>) -> tensor<?x8xf32> attributes {xf.kernel = #xf<kernel elementwise>} {
  %y = xf.relu %x : tensor<?x8xf32>
  return %x : tensor<?x8xf32>
}

// -----

// expected-error@+1 {{expected kernel 'k' of kind 'row' to have ops of its kind, but got 0}}
func.func private @k(%x: tensor<?x8xf32>) -> tensor<?x8xf32> attributes {xf.kernel = #xf<kernel row>} {
  %y = xf.relu %x : tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// -----

// expected-error@+1 {{expected kernel 'k' of kind 'pack' to have no 'xf.relu'}}
func.func private @k(%x: tensor<8x8xf32>) -> tensor<8x8xf32> attributes {xf.kernel = #xf<kernel pack>} {
  %y = xf.relu %x : tensor<8x8xf32>
  return %y : tensor<8x8xf32>
}

// -----

// expected-error@+1 {{expected kernel 'k' of kind 'matmul' to have one op of its kind, but got 2}}
func.func private @k(%x: tensor<?x8xf32>, %w: tensor<8x8xf32>) -> tensor<?x8xf32> attributes {xf.kernel = #xf<kernel matmul>} {
  %y = xf.linear %x, %w : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  %z = xf.linear %y, %w : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  return %z : tensor<?x8xf32>
}

// -----

// expected-error@+1 {{expected kernel 'k' of kind 'column' to have no 'arith.constant'}}
func.func private @k() -> tensor<8xf32> attributes {xf.kernel = #xf<kernel column>} {
  %y = arith.constant dense<1.0> : tensor<8xf32>
  return %y : tensor<8xf32>
}

// -----

// expected-error@+1 {{expected kernel 'k' of kind 'pack' to have no 'arith.constant'}}
func.func private @k(%w: tensor<64x16xf32>) -> tensor<2x16x32xf32> attributes {xf.kernel = #xf<kernel pack>} {
  %zero = arith.constant 0 : i64
  %p = xf.pack %w : (tensor<64x16xf32>) -> tensor<2x16x32xf32>
  return %p : tensor<2x16x32xf32>
}

// -----

// expected-error@+1 {{expected kernel 'k' of kind 'matmul' to begin with its op, but got 'xf.relu'}}
func.func private @k(%x: tensor<?x8xf32>, %w: tensor<8x8xf32>) -> tensor<?x8xf32> attributes {xf.kernel = #xf<kernel matmul>} {
  %y = xf.relu %x : tensor<?x8xf32>
  %z = xf.linear %y, %w : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  return %z : tensor<?x8xf32>
}

// -----

// A rounding on the way, which no schedule of this kind computes.
// expected-error@+1 {{expected kernel 'k' of kind 'top_k' to have no 'xf.cast'}}
func.func private @k(%logits: tensor<?x64xf32>) -> (tensor<?x1xf32>, tensor<?x1xf32>) attributes {xf.kernel = #xf<kernel top_k>} {
  %narrow = xf.cast %logits : tensor<?x64xf32> to tensor<?x64xbf16>
  %wide = xf.cast %narrow : tensor<?x64xbf16> to tensor<?x64xf32>
  %maxima, %sums = xf.block_statistics %wide : (tensor<?x64xf32>) -> (tensor<?x1xf32>, tensor<?x1xf32>)
  return %maxima, %sums : tensor<?x1xf32>, tensor<?x1xf32>
}

// -----

// expected-error@+1 {{expected kernel 'k' of kind 'top_k' to return every result of 'xf.block_statistics', which computes in their memory}}
func.func private @k(%logits: tensor<?x64xf32>) -> tensor<?x1xf32> attributes {xf.kernel = #xf<kernel top_k>} {
  %maxima, %sums = xf.block_statistics %logits : (tensor<?x64xf32>) -> (tensor<?x1xf32>, tensor<?x1xf32>)
  return %maxima : tensor<?x1xf32>
}

// -----

// expected-error@+1 {{expected kernel 'k' of kind 'row' to be given what 'xf.rotary' takes, in memory that it does not write}}
func.func private @k(%x: tensor<?x8xf32>, %angles: tensor<?x4xf32>) -> tensor<?x8xf32> attributes {xf.kernel = #xf<kernel row>} {
  %y = xf.relu %x : tensor<?x8xf32>
  %z = xf.rotary %y, %angles heads(2) : tensor<?x8xf32>, tensor<?x4xf32>
  return %z : tensor<?x8xf32>
}
