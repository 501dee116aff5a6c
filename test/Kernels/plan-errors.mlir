// What stage `plan` does not take.
// RUN: xf-opt %s --xf-plan --xf-find-requirements -split-input-file -verify-diagnostics

func.func @f() -> (tensor<2xf32> {xf.name = "x"}) attributes {xf.entry} {
  // expected-error@+1 {{'arith.constant' op expected a tensor constant to hold one value throughout at stage 'plan'}}
  %x = arith.constant dense<[1.0, 2.0]> : tensor<2xf32>
  return %x : tensor<2xf32>
}

// -----

func.func @f(%x: tensor<?x8xf32> {xf.name = "x"}) -> (tensor<?x8xf32> {xf.name = "y"}) attributes {xf.entry} {
  // expected-error@+1 {{'xf.relu' op can't be planned: stage 'plan' takes dispatches, parameters, constants and the optimizer}}
  %y = xf.relu %x : tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// -----

func.func @f(%x: tensor<?x8xf32> {xf.name = "x"}) -> (tensor<?x8xf32> {xf.name = "y"}) attributes {xf.entry} {
  %y = xf.chunked rows(16) of(%x : tensor<?x8xf32>) {
  ^bb0(%r: tensor<?x8xf32>):
    // expected-error@+1 {{'xf.chunked' op can't be planned inside of another one}}
    %s = xf.chunked rows(16) of(%r : tensor<?x8xf32>) {
    ^bb0(%t: tensor<?x8xf32>):
      xf.yield %t : tensor<?x8xf32>
    } : tensor<?x8xf32>
    xf.yield %s : tensor<?x8xf32>
  } : tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// -----

func.func @f(%x: tensor<?x8xf32> {xf.name = "x"}) -> (tensor<?x24xf32> {xf.name = "y"}) attributes {xf.entry} {
  // expected-error@+1 {{'xf.reshape' op expected rows that 3 at a time become one, as those of an xf.reshape the other way are, but got any number of them}}
  %y = xf.reshape %x : tensor<?x8xf32> to tensor<?x24xf32>
  return %y : tensor<?x24xf32>
}

// -----

func.func @f(%x: tensor<?x8xf32> {xf.name = "x"}) -> (tensor<?x8xf32> {xf.name = "y"}) attributes {xf.entry} {
  %y = xf.chunked rows(16) of(%x : tensor<?x8xf32>) {
  ^bb0(%r: tensor<?x8xf32>):
    // expected-error@+1 {{'xf.reshape' op can't be planned among chunks of rows: stage 'plan' knows it of whole tensors alone}}
    %s = xf.reshape %r : tensor<?x8xf32> to tensor<?x4xf32>
    xf.yield %r : tensor<?x8xf32>
  } : tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// -----

func.func @f(%x: tensor<?x8xf32> {xf.name = "x"}) -> (tensor<?x4xf32> {xf.name = "y"}) attributes {xf.entry} {
  %s = xf.reshape %x : tensor<?x8xf32> to tensor<?x4xf32>
  // expected-error@+1 {{'xf.chunked' op can't be planned of rows that an xf.reshape has made}}
  %y = xf.chunked rows(16) of(%s : tensor<?x4xf32>) {
  ^bb0(%r: tensor<?x4xf32>):
    xf.yield %r : tensor<?x4xf32>
  } : tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// -----

func.func @f(%x: tensor<?x6xbf16> {xf.name = "x"}) -> (tensor<?x3xbf16> {xf.name = "y"}) attributes {xf.entry} {
  // expected-error@+1 {{'xf.reshape' op can't be planned where there are gaps between rows, as of 'tensor<?x6xbf16>' or 'tensor<?x3xbf16>'}}
  %y = xf.reshape %x : tensor<?x6xbf16> to tensor<?x3xbf16>
  return %y : tensor<?x3xbf16>
}

// -----

xf.param @w : tensor<8xf32> zeros(0.0)
func.func @f(%g: tensor<8xf32> {xf.name = "g"}) -> (tensor<f32> {xf.name = "norm"}) attributes {xf.entry} {
  // expected-error@+1 {{'xf.global_norm' op expected an xf.adam of the same gradients: stage 'plan' takes the norm of the whole gradient arena alone}}
  %norm = xf.global_norm %g : (tensor<8xf32>) -> tensor<f32>
  return %norm : tensor<f32>
}

// -----

func.func private @k(%x: tensor<?x8xf32>, %random: tensor<2xi64>, %site: i64) -> (tensor<?x8xf32> {xf.extents = [array<i64: 0, 0>]}) attributes {xf.kernel = #xf<kernel elementwise>} {
  %y = xf.dropout %x, %random, %site rate(0.5) : tensor<?x8xf32>, tensor<2xi64>
  return %y : tensor<?x8xf32>
}
func.func @f(%x: tensor<?x8xf32> {xf.name = "x"}, %random: tensor<2xi64> {xf.name = "random"}, %site: i64) -> (tensor<?x8xf32> {xf.name = "y"}) attributes {xf.entry} {
  // expected-error@+1 {{'xf.dispatch' op expected its i64 operands to be constants at stage 'plan'}}
  %y = xf.dispatch @k "k" (%x, %random, %site) : (tensor<?x8xf32>, tensor<2xi64>, i64) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// -----

func.func private @fill(%x: tensor<4xi32>) -> tensor<4xi32> attributes {xf.kernel = #xf<kernel scalar>} {
  return %x : tensor<4xi32>
}
func.func private @k(%ids: tensor<4xi32>, %table: tensor<9x8xf32>) -> tensor<4x8xf32> attributes {xf.kernel = #xf<kernel row>} {
  %y = xf.embedding %ids, %table : (tensor<4xi32>, tensor<9x8xf32>) -> tensor<4x8xf32>
  return %y : tensor<4x8xf32>
}
// expected-error@+1 {{'xf.dispatch' op expected integers that say where something is to come from outside}}
func.func @f(%ids: tensor<4xi32> {xf.name = "ids"}, %table: tensor<9x8xf32> {xf.name = "table"}) -> (tensor<4x8xf32> {xf.name = "y"}) attributes {xf.entry} {
  %computed = xf.dispatch @fill "fill" (%ids) : (tensor<4xi32>) -> tensor<4xi32>
  %y = xf.dispatch @k "k" (%computed, %table) : (tensor<4xi32>, tensor<9x8xf32>) -> tensor<4x8xf32>
  return %y : tensor<4x8xf32>
}
