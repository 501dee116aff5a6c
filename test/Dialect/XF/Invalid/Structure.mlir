// What the verifiers of Structure.td refuse, and in which words: a case a constraint, named after it.
// RUN: xf-opt %s --split-input-file --verify-diagnostics

// xf.param C1
// expected-error@+1 {{'xf.param' op expected a tensor of f32 with static shape, but got 'tensor<?x4xf32>'}}
xf.param @w : tensor<?x4xf32> zeros(0.0)

// -----

// xf.get_gradient C1
// expected-note@+1 {{declared here}}
xf.param @w : tensor<2x3xf32> zeros(0.0)
func.func @f() {
  // expected-error@+1 {{'xf.get_gradient' op expected parameter 'w' to be 2 x 3 of f32, but it is used as 3 x 2 of f32}}
  %g = xf.get_gradient @w : tensor<3x2xf32>
  return
}

// -----

// xf.get_prepared C1
func.func @f() {
  // expected-error@+1 {{'xf.get_prepared' op expected 'missing' to be a parameter of the module}}
  %p = xf.get_prepared @missing : tensor<1x4x32xf32>
  return
}

// -----

// xf.get_prepared C1
// expected-note@+1 {{declared here}}
xf.param @w : tensor<33x4xf32> zeros(0.0)
func.func @f() {
  // expected-error@+1 {{'xf.get_prepared' op expected a form of parameter 'w' of shape 33 x 4, but got 1 x 4 x 32}}
  %p = xf.get_prepared @w : tensor<1x4x32xf32>
  return
}

// -----

// xf.set_prepared C1
// expected-note@+1 {{declared here}}
xf.param @w : tensor<33x4xf32> zeros(0.0)
func.func @f(%p: tensor<2x5x32xf32>) {
  // expected-error@+1 {{'xf.set_prepared' op expected a form of parameter 'w' of shape 33 x 4, but got 2 x 5 x 32}}
  xf.set_prepared @w, %p : tensor<2x5x32xf32>
  return
}

// -----

// xf.get_param C1
func.func @f() {
  // expected-error@+1 {{'xf.get_param' op expected 'missing' to be a parameter of the module}}
  %w = xf.get_param @missing : tensor<4xf32>
  return
}

// -----

// xf.get_param C1
// expected-note@+1 {{declared here}}
xf.param @w : tensor<4xf32> zeros(0.0)
func.func @f() {
  // expected-error@+1 {{'xf.get_param' op expected parameter 'w' to be 4 of f32, but it is used as 4 of bf16}}
  %w = xf.get_param @w : tensor<4xbf16>
  return
}

// -----

// xf.apply C1
func.func @f(%x: tensor<?x8xf32>) {
  // expected-error@+1 {{'xf.apply' op expected 'layer' to be a layer function of the module}}
  %y = xf.apply @layer as "encoder.0" (%x) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.apply C1
// expected-note@+1 {{layer defined here}}
func.func private @layer(%x: tensor<?x4xf32>) -> tensor<?x4xf32>
func.func @f(%x: tensor<?x8xf32>) {
  // expected-error@+1 {{'xf.apply' op expected operand 0 of layer 'layer' to be 'tensor<?x4xf32>', but got 'tensor<?x8xf32>'}}
  %y = xf.apply @layer as "encoder.0" (%x) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.apply C1
// expected-note@+1 {{layer defined here}}
func.func private @layer() -> tensor<?x4xf32>
func.func @f(%x: tensor<?x8xf32>) {
  // expected-error@+1 {{'xf.apply' op expected 0 operands for layer 'layer', but got 1}}
  %y = xf.apply @layer as "encoder.0" (%x) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.dispatch C1
func.func @f(%x: tensor<?x8xf32>) {
  // expected-error@+1 {{'xf.dispatch' op expected 'f' to be a kernel of the module}}
  %y = xf.dispatch @f "name" (%x) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.chunked C1
func.func @chunked(%x: tensor<?x8xf32>, %t: tensor<4x8xf32>, %s: tensor<8x8xf32>) {
  // expected-error@+1 {{expected 'rows' to be a multiple of 16, but got 24}}
  %y:2 = xf.chunked rows(24) of(%x : tensor<?x8xf32>) into(%s : tensor<8x8xf32>) {
  ^bb0(%r: tensor<?x8xf32>, %sum: tensor<8x8xf32>):
    xf.yield %r, %sum : tensor<?x8xf32>, tensor<8x8xf32>
  } : tensor<?x8xf32>, tensor<8x8xf32>
  return
}

// -----

// xf.chunked C1
func.func @chunked(%x: tensor<?x8xf32>, %t: tensor<4x8xf32>, %s: tensor<8x8xf32>) {
  // expected-error@+1 {{expected 'rows' to be a multiple of 16, but got 0}}
  %y:2 = xf.chunked rows(0) of(%x : tensor<?x8xf32>) into(%s : tensor<8x8xf32>) {
  ^bb0(%r: tensor<?x8xf32>, %sum: tensor<8x8xf32>):
    xf.yield %r, %sum : tensor<?x8xf32>, tensor<8x8xf32>
  } : tensor<?x8xf32>, tensor<8x8xf32>
  return
}

// -----

// xf.chunked C2
func.func @chunked(%x: tensor<?x8xf32>, %t: tensor<4x8xf32>, %s: tensor<8x8xf32>) {
  // expected-error@+1 {{expected tensor 0 to have a dynamic number of rows and other extents static, but got 'tensor<4x8xf32>'}}
  %y:2 = xf.chunked rows(16) of(%t : tensor<4x8xf32>) into(%s : tensor<8x8xf32>) {
  ^bb0(%r: tensor<4x8xf32>, %sum: tensor<8x8xf32>):
    xf.yield %r, %sum : tensor<4x8xf32>, tensor<8x8xf32>
  } : tensor<4x8xf32>, tensor<8x8xf32>
  return
}

// -----

// xf.chunked C3
func.func @chunked(%x: tensor<?x8xf32>, %t: tensor<4x8xf32>, %s: tensor<8x8xf32>) {
  // expected-error@+1 {{expected its body to take 'tensor<?x8xf32>', 'tensor<8x8xf32>', but got 'tensor<?x8xf32>', 'tensor<8x4xf32>'}}
  %y:2 = xf.chunked rows(16) of(%x : tensor<?x8xf32>) into(%s : tensor<8x8xf32>) {
  ^bb0(%r: tensor<?x8xf32>, %sum: tensor<8x4xf32>):
    xf.yield %r, %s : tensor<?x8xf32>, tensor<8x8xf32>
  } : tensor<?x8xf32>, tensor<8x8xf32>
  return
}

// -----

// xf.chunked C4
func.func @chunked(%x: tensor<?x8xf32>, %t: tensor<4x8xf32>, %s: tensor<8x8xf32>) {
  // expected-error@+1 {{expected its body to yield 'tensor<?x8xf32>', 'tensor<8x8xf32>', but got 'tensor<8x8xf32>', 'tensor<?x8xf32>'}}
  %y:2 = xf.chunked rows(16) of(%x : tensor<?x8xf32>) into(%s : tensor<8x8xf32>) {
  ^bb0(%r: tensor<?x8xf32>, %sum: tensor<8x8xf32>):
    xf.yield %sum, %r : tensor<8x8xf32>, tensor<?x8xf32>
  } : tensor<?x8xf32>, tensor<8x8xf32>
  return
}

// -----

// xf.chunked C4
func.func @chunked(%x: tensor<?x8xf32>, %t: tensor<4x8xf32>, %s: tensor<8x8xf32>) {
  // expected-error@+1 {{expected its body to end with the sums 'tensor<8x8xf32>', but got 'tensor<?x8xf32>'}}
  %y:1 = xf.chunked rows(16) of(%x : tensor<?x8xf32>) into(%s : tensor<8x8xf32>) {
  ^bb0(%r: tensor<?x8xf32>, %sum: tensor<8x8xf32>):
    xf.yield %r : tensor<?x8xf32>
  } : tensor<?x8xf32>
  return
}

// -----

// xf.chunked C4
func.func @chunked(%x: tensor<?x8xf32>, %t: tensor<4x8xf32>, %s: tensor<8x8xf32>) {
  // expected-error@+1 {{expected result 0 to have a dynamic number of rows and other extents static, but got 'tensor<8x8xf32>'}}
  %y:2 = xf.chunked rows(16) of(%x : tensor<?x8xf32>) into(%s : tensor<8x8xf32>) {
  ^bb0(%r: tensor<?x8xf32>, %sum: tensor<8x8xf32>):
    xf.yield %sum, %sum : tensor<8x8xf32>, tensor<8x8xf32>
  } : tensor<8x8xf32>, tensor<8x8xf32>
  return
}

// -----

// xf.param C2
// expected-error@+1 {{'xf.param' op expected extents up to 2147483647 and at most 1099511627776 elements, but got 'tensor<2305843009213693952x16xf32>'}}
xf.param @w : tensor<2305843009213693952x16xf32> xavier_uniform(1.0)

// -----

// xf.param C3
// expected-error@+1 {{'xf.param' op expected the value of its initial distribution to be finite, but got nan}}
xf.param @w : tensor<4xf32> normal(0x7FC00000)

// -----

// xf.param C3
// expected-error@+1 {{'xf.param' op expected 'normal' to be given a number that is not negative, but got -0.10}}
xf.param @w : tensor<4xf32> normal(-0.1)

// -----

// xf.chunked C2
func.func @chunked() {
  // expected-error@+1 {{expected at least one tensor in 'of'}}
  "xf.chunked"() <{operandSegmentSizes = array<i32: 0, 0>, rows = 16 : i64}> ({
    xf.yield
  }) : () -> ()
  return
}

// -----

// xf.chunked C4
func.func @chunked(%x: tensor<?x8xf32>, %s: tensor<8x8xf32>) {
  // expected-error@+1 {{expected at least as many results as 'into' has tensors, 2, but got 1}}
  %y = xf.chunked rows(16) of(%x : tensor<?x8xf32>) into(%s, %s : tensor<8x8xf32>, tensor<8x8xf32>) {
  ^bb0(%r: tensor<?x8xf32>, %sum: tensor<8x8xf32>, %other: tensor<8x8xf32>):
    xf.yield %sum : tensor<8x8xf32>
  } : tensor<8x8xf32>
  return
}

// -----

// xf.dispatch C2
func.func private @k(memref<4xf32>) attributes {xf.kernel = #xf<kernel scalar>}
func.func @f() {
  %x = xf.buffer input(0) : memref<4xf32>
  // expected-error@+1 {{'xf.dispatch' op expected 'writes' to be numbers of its 1 operands, but got 1}}
  xf.dispatch @k "k" (%x) writes [1] : (memref<4xf32>) -> ()
  return
}

// -----

// xf.dispatch C3
func.func private @k(memref<4xf32>) attributes {xf.kernel = #xf<kernel scalar>}
func.func @f(%x: memref<4xf32>) {
  // expected-error@+1 {{'xf.dispatch' op expected memory from xf.buffer, but got an operand of 'memref<4xf32>'}}
  xf.dispatch @k "k" (%x) writes [0] : (memref<4xf32>) -> ()
  return
}

// -----

// xf.dispatch C1
func.func private @k(memref<4xf32>) attributes {xf.kernel = #xf<kernel scalar>}
func.func private @other(memref<4xf32>) attributes {xf.kernel = #xf<kernel row>}
func.func @f() attributes {xf.dims = ["rows"]} {
  %x = xf.buffer input(0) : memref<4xf32>
  // expected-error@+1 {{'xf.dispatch' op expected 'other' to be a kernel of the module, of the kind that 'k' has}}
  xf.dispatch @k "k" (%x) writes [0] or @other where [1, 1] : (memref<4xf32>) -> ()
  return
}

// -----

// xf.dispatch C4
func.func private @k(memref<4xf32>) attributes {xf.kernel = #xf<kernel scalar>}
func.func @f() {
  %x = xf.buffer input(0) : memref<4xf32>
  // expected-error@+1 {{'xf.dispatch' op expected 'otherwise' and 'where' together, in a function with 'xf.dims'}}
  xf.dispatch @k "k" (%x) writes [0] or @k where [1, 1] : (memref<4xf32>) -> ()
  return
}

// -----

// xf.dispatch C4
func.func private @k(memref<4xf32>) attributes {xf.kernel = #xf<kernel scalar>}
func.func @f() attributes {xf.dims = ["rows"]} {
  %x = xf.buffer input(0) : memref<4xf32>
  // expected-error@+1 {{'xf.dispatch' op expected 'otherwise' and 'where' together, in a function with 'xf.dims'}}
  "xf.dispatch"(%x) {kernel = @k, label = "k", writes = array<i32: 0>, otherwise = @k} : (memref<4xf32>) -> ()
  return
}

// -----

// xf.dispatch C4
func.func private @k(memref<4xf32>) attributes {xf.kernel = #xf<kernel scalar>}
func.func @f() attributes {xf.dims = ["rows"]} {
  %x = xf.buffer input(0) : memref<4xf32>
  // expected-error@+1 {{'xf.dispatch' op expected 'where' to be a form of 2 numbers, one more than 'f' has dimensions, but got 3}}
  xf.dispatch @k "k" (%x) writes [0] or @k where [1, 1, 1] : (memref<4xf32>) -> ()
  return
}

// -----

// xf.buffer C1
func.func @f() {
  // expected-error@+1 {{'xf.buffer' op expected 'index' to be at least 0, but got -1}}
  %x = xf.buffer input(-1) : memref<4xf32>
  return
}

// -----

// xf.buffer C2
func.func @f() {
  // expected-error@+1 {{'xf.buffer' op expected 'extents' to have a form for each of 1 dynamic extents, but got 0}}
  %x = xf.buffer input(0) : memref<?x4xf32>
  return
}

// -----

// xf.buffer C2
func.func @f() attributes {xf.dims = ["tokens"]} {
  // expected-error@+1 {{'xf.buffer' op expected 'extents' to be forms of 2 numbers, one more than 'f' has dimensions, but got 3}}
  %x = xf.buffer input(0) extents [array<i64: 0, 1, 0>] : memref<?x4xf32>
  return
}

// -----

// xf.buffer C3
func.func @f() {
  // expected-error@+1 {{'xf.buffer' op expected 'live' to be the first and the last dispatch that touch a slot}}
  %x = xf.buffer slot(0) : memref<4xf32>
  return
}

// -----

// expected-error@+1 {{expected 'side' to be 64 or 128, but got 32}}
func.func private @f() attributes {xf.schedule = #xf.block_schedule<side = 32>}
