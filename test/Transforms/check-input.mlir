// What stage `input` refuses of the ops that stay: a number of features that is not known, integers that nobody could look at before they are used, and rows that stay cut.
// RUN: xf-opt %s --xf-check-input -split-input-file -verify-diagnostics

// expected-error @below {{expected the features of 'x' of 'f' to be known at stage 'input', but got 'tensor<?x?xf32>'}}
func.func @f(%x: tensor<?x?xf32> {xf.name = "x"}, %w: tensor<?xf32>) -> tensor<?x?xf32> {
  // expected-error @below {{'xf.layer_norm' op expected the features of its result to be known at stage 'input', but got 'tensor<?x?xf32>'}}
  %y = xf.layer_norm %x, %w, %w : (tensor<?x?xf32>, tensor<?xf32>, tensor<?xf32>) -> tensor<?x?xf32>
  return %y : tensor<?x?xf32>
}

// -----

// expected-error @below {{expected the features of 'argument 1' of 'f' to be known at stage 'input', but got 'tensor<8x?xf32>'}}
func.func @f(%x: tensor<8x8xf32>, %y: tensor<8x?xf32>) {
  return
}

// -----

// Weights to look at and the likeliest tokens have as many columns as there are keys and ranks.
func.func @f(%x: tensor<?x8xf32>, %m: tensor<?x1xf32>, %ranks: tensor<?xi32>) -> (tensor<2x?x?xf32>, tensor<?x?xi32>) {
  %w = xf.attention_weights %x, %x heads(2) scale(0.5) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<2x?x?xf32>
  %values, %tokens, %lse = xf.top_k %x, %m, %m ranks(%ranks) : (tensor<?x8xf32>, tensor<?x1xf32>, tensor<?x1xf32>, tensor<?xi32>) -> (tensor<?x?xf32>, tensor<?x?xi32>, tensor<?xf32>)
  return %w, %tokens : tensor<2x?x?xf32>, tensor<?x?xi32>
}

// -----

func.func @other(%ids: tensor<3xi32>) {
  return
}
func.func @layer(%ids: tensor<?xi32>) {
  return
}
func.func @f(%ids: tensor<?xi32>, %offsets: tensor<?xi32>, %table: tensor<4x8xf32>) -> tensor<?x8xf32> {
  %numbers = xf.position_ids %ids, %offsets : (tensor<?xi32>, tensor<?xi32>) -> tensor<?xi32>
  call @layer(%numbers) : (tensor<?xi32>) -> ()
  %x = xf.embedding %numbers, %table : (tensor<?xi32>, tensor<4x8xf32>) -> tensor<?x8xf32>
  // expected-error @below {{'xf.position_ids' op expected integers that say where something is to come from outside, or of xf.position_ids}}
  %again = xf.position_ids %ids, %numbers : (tensor<?xi32>, tensor<?xi32>) -> tensor<?xi32>
  %sevens = arith.constant dense<7> : tensor<3xi32>
  // expected-error @below {{'func.call' op expected integers that say where something is to come from outside, or of xf.position_ids}}
  call @other(%sevens) : (tensor<3xi32>) -> ()
  // expected-error @below {{'xf.embedding' op expected integers that say where something is to come from outside, or of xf.position_ids}}
  %y = xf.embedding %sevens, %table : (tensor<3xi32>, tensor<4x8xf32>) -> tensor<3x8xf32>
  return %x : tensor<?x8xf32>
}

// -----

func.func @layer(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  // expected-error @below {{'xf.get_param' op expected in an entry point: a layer names its parameters in composite ops, or takes them as arguments}}
  %w = xf.get_param @w : tensor<8x8xf32>
  // expected-error @below {{'xf.norm' op can't stay after stage 'input': that leaves primitive ops}}
  %y = xf.norm "n" (%x) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
xf.param @w : tensor<8x8xf32> xavier_uniform(1.0)

// -----

xf.param @a : tensor<1048576x1048576xf32> zeros(0.0)
// expected-error @below {{expected the model's parameters to have at most 1099511627776 elements in all, but with 'b' they have 1099511627777}}
xf.param @b : tensor<1xf32> zeros(0.0)

// -----

// expected-error @below {{expected the parameter 'none' to have elements, but got 'tensor<0x4xf32>'}}
xf.param @none : tensor<0x4xf32> zeros(0.0)

// -----

// Rows that xf.reshape cuts are put together again where they were cut, and go with rows that were cut alike.
func.func @layer(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  return %x : tensor<?x8xf32>
}
func.func @f(%x: tensor<?x24xf32>, %y: tensor<?x8xf32>, %w: tensor<8x8xf32>, %o: tensor<?xi32>) -> (tensor<?x24xf32>, tensor<?x8xf32>, tensor<9x8xf32>) {
  %cut = xf.reshape %x : tensor<?x24xf32> to tensor<?x8xf32>
  %linear = xf.linear %cut, %w : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  %again = xf.reshape %linear : tensor<?x8xf32> to tensor<?x4xf32>
  // expected-error @below {{'xf.reshape' op expected rows that another xf.reshape of 'f' has cut, for 5 become one here, but got 6 of each}}
  %odd = xf.reshape %again : tensor<?x4xf32> to tensor<?x20xf32>
  %whole = xf.reshape %again : tensor<?x4xf32> to tensor<?x24xf32>
  // expected-error @below {{'xf.reshape' op expected rows that another xf.reshape of 'f' has cut, for 2 become one here, but got whole ones}}
  %wide = xf.reshape %whole : tensor<?x24xf32> to tensor<?x48xf32>
  // expected-error @below {{'xf.add' op expected operands whose rows are cut alike by xf.reshape, but got 1 and 3 of each}}
  %sum = xf.add %linear, %y : tensor<?x8xf32>
  // expected-error @below {{'func.call' op expected rows that no xf.reshape has cut, or that another has put together again, but got 3 of each}}
  %called = call @layer(%linear) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  // expected-error @below {{'xf.attention' op expected operands whose rows are cut alike by xf.reshape, but got 1 and 3 of each}}
  %attended, %lse = xf.attention %linear, %linear, %linear offsets(%o, %o) heads(1) scale(1.0)
    : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?x8xf32>, tensor<?x1xf32>)
  %constant = arith.constant dense<1.0> : tensor<3x24xf32>
  %static = xf.reshape %constant : tensor<3x24xf32> to tensor<9x8xf32>
  // expected-error @below {{'func.return' op expected rows that no xf.reshape has cut, or that another has put together again, but got 3 of each}}
  return %whole, %cut, %static : tensor<?x24xf32>, tensor<?x8xf32>, tensor<9x8xf32>
}
