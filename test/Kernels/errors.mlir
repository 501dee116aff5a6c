// What the stages `fuse`, `outline` and `plan` refuse: modules that stages before them don't make, but that a person may have edited.
// RUN: split-file %s %t
// RUN: xf-opt %t/fuse.mlir --xf-fuse -split-input-file -verify-diagnostics -o /dev/null
// RUN: xf-opt %t/outline.mlir --xf-outline -split-input-file -verify-diagnostics -o /dev/null
// RUN: xf-opt %t/plan.mlir --xf-plan -split-input-file -verify-diagnostics -o /dev/null

//--- fuse.mlir
func.func @f(%x: tensor<?x8xf32>, %yes: i1) -> tensor<?x8xf32> attributes {xf.entry} {
  %y = scf.if %yes -> tensor<?x8xf32> {
    // expected-error @below {{'xf.relu' op expected to be in a group after stage 'fuse'}}
    %0 = xf.relu %x : tensor<?x8xf32>
    scf.yield %0 : tensor<?x8xf32>
  } else {
    scf.yield %x : tensor<?x8xf32>
  }
  return %y : tensor<?x8xf32>
}

//--- outline.mlir
func.func @f(%x: tensor<?x8xf32>) -> tensor<?x8xf32> attributes {xf.entry} {
  %y = xf.group elementwise "sum" {
    // expected-error @unknown {{'arith.addf' op expected an op of a kernel where an extent comes from}}
    %0 = arith.addf %x, %x : tensor<?x8xf32>
    xf.yield %0 : tensor<?x8xf32>
  } : tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

//--- plan.mlir
func.func @f(%x: tensor<?x8xf32>) -> tensor<?x8xf32> attributes {xf.entry} {
  // expected-error @below {{'xf.relu' op can't be planned: stage 'plan' takes dispatches, parameters, constants and the optimizer}}
  %y = xf.relu %x : tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// -----

func.func @f(%x: tensor<?x8xf32>) -> tensor<?x8xf32> attributes {xf.entry} {
  %y = xf.chunked rows(16) of(%x : tensor<?x8xf32>) {
  ^bb0(%rows: tensor<?x8xf32>):
    // expected-error @below {{'xf.chunked' op can't be planned inside of another one}}
    %z = xf.chunked rows(16) of(%rows : tensor<?x8xf32>) {
    ^bb0(%fewer: tensor<?x8xf32>):
      xf.yield %fewer : tensor<?x8xf32>
    } : tensor<?x8xf32>
    xf.yield %z : tensor<?x8xf32>
  } : tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// -----

func.func private @scale(%x: tensor<?x8xf32>, %site: i64) -> (tensor<?x8xf32> {xf.extents = [array<i64: 0, 0>]}) attributes {xf.kernel = #xf<kernel elementwise>} {
  return %x : tensor<?x8xf32>
}
func.func @f(%x: tensor<?x8xf32>, %site: i64) -> tensor<?x8xf32> attributes {xf.entry} {
  // expected-error @below {{'xf.dispatch' op expected its i64 operands to be constants at stage 'plan'}}
  %y = xf.dispatch @scale "scale" (%x, %site) : (tensor<?x8xf32>, i64) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// -----

func.func @f(%x: tensor<8x8xf32>) -> tensor<f32> attributes {xf.entry} {
  // expected-error @below {{'xf.global_norm' op expected an xf.adam of the same gradients: stage 'plan' takes the norm of the whole gradient arena alone}}
  %y = xf.global_norm %x : (tensor<8x8xf32>) -> tensor<f32>
  return %y : tensor<f32>
}
