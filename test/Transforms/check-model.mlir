// What a person wrote is checked before anything is rewritten, and told of in the model's words.
// RUN: xf-opt %s --xf-check-model -split-input-file -verify-diagnostics -o /dev/null
// Layers need not say that they are private, which MLIR's functions are not by themselves: nothing of them is left where nobody calls them.
// RUN: xf-compile preset:transformer-tiny,layers=1,vocabulary=20 --print-input | sed 's/func.func private/func.func/' > %t.mlir
// RUN: xf-compile %t.mlir --compile-to=plan | FileCheck %s --check-prefix=PRIVATE
// PRIVATE-NOT: @encoder_layer
// PRIVATE: func.func @loss(

// expected-error @below {{expected 'xf.kind' to be sequence_to_sequence, language_model, encoder, classifier or functions, but got "seq2seq"}}
module attributes {xf.kind = "seq2seq"} {}

// -----

// Who says so is not warned.
module attributes {xf.kind = "functions"} {
  func.func @model(%x: tensor<?x8xf32>) attributes {xf.entry} {
    return
  }
}

// -----

// expected-error @below {{expected a module of kind "language_model" to have the entry point 'model' (a function with the attribute 'xf.entry')}}
module attributes {xf.kind = "language_model"} {}

// -----

module attributes {xf.kind = "encoder"} {
  // expected-error @below {{expected 'encode' of a module of kind "encoder" to have an argument with xf.name = "offsets"}}
  func.func @encode(%ids: tensor<?xi32> {xf.name = "ids"}) -> tensor<?xi32> attributes {xf.entry} {
    return %ids : tensor<?xi32>
  }
}

// -----

// expected-warning @below {{the module has no 'xf.kind': what is compiled of it runs functions, as xf.kind = "functions" would say, and has no commands to train and to predict}}
module {
  func.func @model(%x: tensor<?x8xf32>) attributes {xf.entry} {
    return
  }
}

// -----

// expected-error @below {{expected key 'd_model' of 'xf.config' to be a number from 1 to 10000000, but got 0 : i64}}
module attributes {xf.config = {d_model = 0}} {}

// -----

// expected-error @below {{expected key 'vocabulary' of 'xf.config' to be a number from 3 to 10000000, but got -20 : i64}}
module attributes {xf.config = {vocabulary = -20}} {}

// -----

// expected-error @below {{expected key 'vocabulary' of 'xf.config' to be a number from 3 to 10000000, but got "20"}}
module attributes {xf.config = {vocabulary = "20"}} {}

// -----

// expected-error @below {{expected key 'window' of 'xf.config' to be a number from 0 to 10000000, or none, but got "some"}}
module attributes {xf.config = {window = "some"}} {}

// -----

// expected-error @below {{expected key 'warmup' of 'xf.config' to be a number from 0 to 10000000, but got 4.000000e+00 : f64}}
module attributes {xf.config = {warmup = 4.0}} {}

// -----

// expected-error @below {{expected key 'beta1' of 'xf.config' to be at least 0 and less than 1, but got 7 : i64}}
module attributes {xf.config = {beta1 = 7}} {}

// -----

// expected-error @below {{expected key 'clip_norm' of 'xf.config' to be a number that is not negative, but got 0x7FF8000000000000 : f64}}
module attributes {xf.config = {clip_norm = 0x7FF8000000000000 : f64}} {}

// -----

// expected-error @below {{expected key 'schedule' of 'xf.config' to be one of noam, constant, rsqrt, inverse_sqrt, but got "cosine"}}
module attributes {xf.config = {schedule = "cosine"}} {}

// -----

// expected-error @below {{unknown key 'lerning_rate' of 'xf.config'; did you mean 'learning_rate'?}}
module attributes {xf.config = {lerning_rate = 3.0}} {}

// -----

// Keys that xf does not know are the model's own, and what is right passes.
module attributes {xf.config = {author = "me", tied = false, window = "none", vocabulary = 20, beta1 = 0.9, clip_norm = 1, schedule = "rsqrt"}} {}

// -----

// Derived entry points keep their names.
module attributes {xf.kind = "language_model"} {
  func.func @model(%ids: tensor<?xi32> {xf.name = "ids"}, %offsets: tensor<?xi32> {xf.name = "offsets"}, %labels: tensor<?xi32> {xf.name = "labels"}) attributes {xf.entry} {
    return
  }
  // expected-error @below {{'decode' is derived from 'model' and can't be given too: expected another name}}
  func.func private @decode(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
    return %x : tensor<?x8xf32>
  }
}

// -----

module attributes {xf.kind = "sequence_to_sequence"} {
  func.func @model(%a: tensor<?xi32> {xf.name = "source_ids"}, %b: tensor<?xi32> {xf.name = "source_offsets"}, %c: tensor<?xi32> {xf.name = "target_ids"},
                   %d: tensor<?xi32> {xf.name = "target_offsets"}, %e: tensor<?xi32> {xf.name = "labels"}) attributes {xf.entry} {
    return
  }
  // expected-error @below {{'encode' is derived from 'model' and can't be given too: expected another name}}
  xf.param @encode : tensor<4xf32> zeros(0.0)
}

// -----

// expected-warning @below {{the module has no 'xf.kind'}}
module {
  func.func @model() attributes {xf.entry} { return }
  // expected-error @below {{'train_step' is derived from 'model' and can't be given too: expected another name}}
  func.func private @train_step() { return }
}

// -----

// expected-warning @below {{the module has no 'xf.kind'}}
module {
  func.func @model() attributes {xf.entry} { return }
  // expected-error @below {{'quantized_loss' is derived from 'model' and can't be given too: expected another name}}
  func.func private @quantized_loss() { return }
}

// -----

func.func @loss() attributes {xf.entry} { return }
// expected-error @below {{'gradients' is derived from 'loss' and can't be given too: expected another name}}
func.func @gradients() attributes {xf.entry} { return }

// -----

func.func @encode() attributes {xf.entry} { return }
// expected-error @below {{'prepare' is derived from 'encode' and 'decode' and can't be given too: expected another name}}
func.func private @prepare() { return }

// -----

func.func private @layer() { return }
// expected-error @below {{'layer.evaluate' is derived from 'layer' and can't be given too: expected another name}}
func.func private @layer.evaluate() { return }

// -----

// expected-error @below {{'memref.global' op can't stand in a module of a model: that has functions and xf.param alone}}
memref.global @g : memref<4xf32>

// -----

// expected-error @below {{expected the entry point 'f' to have a body}}
func.func private @f() attributes {xf.entry}

// -----

// expected-error @below {{expected 'model' to be an entry point, by the attribute 'xf.entry'}}
func.func @model() { return }

// -----

// A layer that nobody applies does no harm.
// expected-note @below {{'layer' is here}}
func.func private @layer(%x: tensor<?x8xf32>) -> tensor<?x8xf32>
func.func @f(%x: tensor<?x8xf32>) -> tensor<?x8xf32> attributes {xf.entry} {
  // expected-error @below {{expected the layer 'layer' to have a body}}
  %0 = xf.apply @layer as "l" (%x) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// -----

// expected-note @below {{'g' is here}}
func.func @g(%x: tensor<?x8xf32>) -> tensor<?x8xf32> attributes {xf.entry} {
  return %x : tensor<?x8xf32>
}
func.func @f(%x: tensor<?x8xf32>) -> tensor<?x8xf32> attributes {xf.entry} {
  // expected-error @below {{expected 'g' to be a layer, but it is an entry point}}
  %0 = call @g(%x) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// -----

// expected-note @below {{'layer' is here}}
func.func private @layer(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %0 = xf.norm "n" (%x) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}
func.func @f(%x: tensor<?x8xf32>) -> tensor<?x8xf32> attributes {xf.entry} {
  // expected-error @below {{expected xf.apply, which gives the parameters of the layer 'layer' a name, but got func.call}}
  %0 = call @layer(%x) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// -----

// expected-error @below {{layer 'loop' applies itself}}
func.func private @loop(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %0 = xf.apply @loop as "again" (%x) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// -----

// expected-error @below {{layer 'one' applies itself}}
func.func private @one(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %0 = call @other(%x) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}
func.func private @other(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %0 = call @one(%x) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// -----

// expected-error @below {{expected 'f' to be of one block, but got 2: a model has no branches, so that all it computes is known beforehand}}
func.func @f(%x: tensor<?x8xf32>) -> tensor<?x8xf32> attributes {xf.entry} {
  cf.br ^bb1
^bb1:
  return %x : tensor<?x8xf32>
}

// -----

func.func @f(%x: tensor<?x8xf32>) -> tensor<?x8xf32> attributes {xf.entry} {
  %yes = arith.constant 1 : i64
  // expected-error @below {{'xf.group' op can't stand in a model: that is made of composite and primitive ops of xf, calls of layers, and constants}}
  %0 = xf.group elementwise "relu" {
    %1 = xf.relu %x : tensor<?x8xf32>
    xf.yield %1 : tensor<?x8xf32>
  } : tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// -----

func.func @f(%x: tensor<?x8xf32>) -> tensor<?x8xf32> attributes {xf.entry} {
  // expected-error @below {{'arith.addf' op can't stand in a model: that is made of composite and primitive ops of xf, calls of layers, and constants}}
  %0 = arith.addf %x, %x : tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// -----

func.func @f() -> tensor<2xi32> attributes {xf.entry} {
  // expected-error @below {{expected a constant of one value throughout, as dense<0.5> is: a table of several is an xf.param, or arithmetic in a score region}}
  %0 = arith.constant dense<[1, 2]> : tensor<2xi32>
  return %0 : tensor<2xi32>
}

// -----

// expected-error @below {{expected argument 0 to be a tensor of f32 or i32, or numbers of i64, as models are made of, but got 'tensor<?x8xf16>'}}
func.func @f(%x: tensor<?x8xf16>) attributes {xf.entry} {
  return
}

// -----

// expected-error @below {{expected argument 0 to be a tensor of f32 or i32, or numbers of i64, as models are made of, but got 'tensor<?x8xbf16>': --precision=bf16 makes it that where it does}}
func.func @f(%x: tensor<?x8xbf16>) attributes {xf.entry} {
  return
}

// -----

func.func @f() attributes {xf.entry} {
  // expected-error @below {{expected result 0 of 'arith.constant' to be a tensor of f32 or i32, or numbers of i64, as models are made of, but got 'f32'}}
  %0 = arith.constant 1.0 : f32
  return
}

// -----

// expected-error @below {{expected argument 0 to have extents from 1 to 2147483647 and at most 1099511627776 elements, but got 'tensor<?x0xf32>'}}
func.func @f(%x: tensor<?x0xf32>) attributes {xf.entry} {
  return
}

// -----

// expected-error @below {{expected argument 0 to have extents from 1 to 2147483647 and at most 1099511627776 elements, but got 'tensor<?x4611686018427387904xf32>'}}
func.func @f(%x: tensor<?x4611686018427387904xf32>) attributes {xf.entry} {
  return
}

// -----

// expected-error @below {{expected argument 0 to have extents from 1 to 2147483647 and at most 1099511627776 elements, but got 'tensor<2147483647x1024xf32>'}}
func.func @f(%x: tensor<2147483647x1024xf32>) attributes {xf.entry} {
  return
}

// -----

// expected-error @below {{expected the arguments of 'f' to have names of their own, but argument 0 and argument 2 have xf.name = "x"}}
func.func @f(%x: tensor<?xf32> {xf.name = "x"}, %y: tensor<?xf32> {xf.name = "y"}, %z: tensor<?xf32> {xf.name = "x"}) attributes {xf.entry} {
  return
}

// -----

// expected-error @below {{expected the results of 'f' to have names of their own, but result 0 and result 1 have xf.name = "x"}}
func.func @f(%x: tensor<?xf32>) -> (tensor<?xf32> {xf.name = "x"}, tensor<?xf32> {xf.name = "x"}) attributes {xf.entry} {
  return %x, %x : tensor<?xf32>, tensor<?xf32>
}

// -----

// expected-error @below {{expected results of 'f' to have names that do not begin with 'grad.', which derived gradients do, but got "grad.x"}}
func.func @f(%x: tensor<?xf32>) -> (tensor<?xf32> {xf.name = "grad.x"}) attributes {xf.entry} {
  return %x : tensor<?xf32>
}

// -----

// expected-error @below {{expected argument 0 of the entry point 'f' to be a tensor, but got 'i64'}}
func.func @f(%site: i64) attributes {xf.entry} {
  return
}

// -----

func.func @f(%x: tensor<?x4x8xf32>) attributes {xf.entry} {
  // expected-error @below {{'xf.relu' op takes matrices, vectors and numbers, but got 'tensor<?x4x8xf32>'}}
  %0 = xf.relu %x : tensor<?x4x8xf32>
  return
}

// -----

// expected-warning @below {{the module has no 'xf.kind'}}
module {
  // expected-error @below {{expected the arguments of 'model' to have names other than random, hyper and weight, which those of derived entry points are, but got "random"}}
  func.func @model(%random: tensor<2xi64> {xf.name = "random"}) attributes {xf.entry} {
    return
  }
}

// -----

// expected-warning @below {{the module has no 'xf.kind'}}
module {
  // expected-error @below {{expected the parameter 'w' to be a matrix, a vector or a number, as gradients are that train a model, but got 'tensor<2x3x4xf32>'}}
  xf.param @w : tensor<2x3x4xf32> zeros(0.0)
  func.func @model() attributes {xf.entry} {
    return
  }
}
