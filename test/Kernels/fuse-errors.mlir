// What stages `fuse` and `outline` do not take.
// RUN: xf-opt %s --xf-fuse --xf-outline -split-input-file -verify-diagnostics

func.func @f(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %z = scf.execute_region -> tensor<?x8xf32> {
    // expected-error@+1 {{'xf.relu' op expected to be in a group after stage 'fuse'}}
    %y = xf.relu %x : tensor<?x8xf32>
    scf.yield %y : tensor<?x8xf32>
  }
  return %z : tensor<?x8xf32>
}

// -----

func.func @f(%x: tensor<4x8xf32>) -> tensor<?x8xf32> {
  %y = xf.group elementwise "cast" {
    %r = xf.relu %x : tensor<4x8xf32>
    // expected-error@unknown {{'tensor.cast' op expected an op of a kernel where an extent comes from}}
    %c = tensor.cast %r : tensor<4x8xf32> to tensor<?x8xf32>
    xf.yield %c : tensor<?x8xf32>
  } : tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
