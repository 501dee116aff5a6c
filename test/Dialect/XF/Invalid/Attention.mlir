// What the verifiers of Attention.td refuse, and in which words: a case a constraint, named after it.
// RUN: xf-opt %s --split-input-file --verify-diagnostics

// xf.attention C1
func.func @f(%q: tensor<?x8xf32>, %k: tensor<?x8xf32>, %v: tensor<?x8xf32>, %o: tensor<?xi32>) {
  // expected-error@+1 {{'xf.attention' op expected the features of 'query' to be a multiple of heads (3), but got 8}}
  %y, %lse = xf.attention %q, %k, %v offsets(%o, %o) heads(3) scale(1.0) : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?x8xf32>, tensor<?x3xf32>)
  return
}

// -----

// xf.attention C2
func.func @f(%q: tensor<?x8xf32>, %k: tensor<?x6xf32>, %v: tensor<?x8xf32>, %o: tensor<?xi32>) {
  // expected-error@+1 {{'xf.attention' op expected 'key' head dim to match 'query' (4), but got 3}}
  %y, %lse = xf.attention %q, %k, %v offsets(%o, %o) heads(2) scale(1.0) : (tensor<?x8xf32>, tensor<?x6xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?x8xf32>, tensor<?x2xf32>)
  return
}

// -----

// xf.attention C3
func.func @f(%q: tensor<?x8xf32>, %k: tensor<6x8xf32>, %v: tensor<5x8xf32>, %o: tensor<?xi32>) {
  // expected-error@+1 {{'xf.attention' op expected 'value' to match the rows of 'key' (6), but got 5}}
  %y, %lse = xf.attention %q, %k, %v offsets(%o, %o) heads(2) scale(1.0) : (tensor<?x8xf32>, tensor<6x8xf32>, tensor<5x8xf32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?x8xf32>, tensor<?x2xf32>)
  return
}

// -----

// xf.attention C4
func.func @f(%q: tensor<?x8xf32>, %k: tensor<?x8xf32>, %v: tensor<?x6xf32>, %o: tensor<?xi32>) {
  // expected-error@+1 {{'xf.attention' op expected 'result' to have shape ? x 6 (the rows of 'query' x the features of 'value'), but got ? x 8}}
  %y, %lse = xf.attention %q, %k, %v offsets(%o, %o) heads(2) scale(1.0) : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x6xf32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?x8xf32>, tensor<?x2xf32>)
  return
}

// -----

// xf.attention C5
func.func @f(%q: tensor<?x8xf32>, %o: tensor<?xi32>, %random: tensor<2xi64>, %site: i64) {
  // expected-error@+1 {{'xf.attention' op expected dropout to be at least 0 and less than 1, but got 1.50}}
  %y, %lse = xf.attention %q, %q, %q offsets(%o, %o) heads(2) scale(1.0) dropout(1.5, %random, %site) : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>, tensor<2xi64>, i64) -> (tensor<?x8xf32>, tensor<?x2xf32>)
  return
}

// -----

// xf.attention C5
func.func @f(%q: tensor<?x8xf32>, %o: tensor<?xi32>) {
  // expected-error@+1 {{'xf.attention' op expected dropout to give its random state and site, as in dropout(0.1, %random, %site)}}
  %y, %lse = "xf.attention"(%q, %q, %q, %o, %o) ({}) {heads = 2 : i64, scale = 1.0 : f32, rate = 0.1 : f32, operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 0, 0, 0, 0>} : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?x8xf32>, tensor<?x2xf32>)
  return
}

// -----

// xf.attention C6
func.func @f(%q: tensor<?x8xf32>, %o: tensor<?xi32>) {
  // expected-error@+1 {{'xf.attention' op expected window to be from 0 to 1073741824, but got 1073741825}}
  %y, %lse = xf.attention %q, %q, %q offsets(%o, %o) heads(2) scale(1.0) window(1073741825) : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?x8xf32>, tensor<?x2xf32>)
  return
}

// -----

// xf.attention C7
func.func @f(%q: tensor<6x8xf32>, %o: tensor<?xi32>, %n: tensor<5xi32>) {
  // expected-error@+1 {{'xf.attention' op expected 'lengths' to match the rows of 'query' (6), but got 5}}
  %y, %lse = xf.attention %q, %q, %q offsets(%o, %o) heads(2) scale(1.0) lengths(%n) : (tensor<6x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>, tensor<?xi32>, tensor<?xi32>, tensor<5xi32>) -> (tensor<6x8xf32>, tensor<6x2xf32>)
  return
}

// -----

// xf.attention C8
func.func @f(%q: tensor<?x8xf32>, %o: tensor<?xi32>, %t: tensor<2xf32>) {
  // expected-error@+1 {{'xf.attention' op expected captured tensors to have a score region}}
  %y, %lse = "xf.attention"(%q, %q, %q, %o, %o, %t) ({}) {heads = 2 : i64, scale = 1.0 : f32, operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 0, 0, 0, 1>} : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>, tensor<2xf32>) -> (tensor<?x8xf32>, tensor<?x2xf32>)
  return
}

// -----

// xf.attention C8
func.func @f(%q: tensor<?x8xf32>, %o: tensor<?xi32>) {
  // expected-error@+1 {{'xf.attention' op expected captured tensor 0 to be of 'f32' or i32, with static extents that are not 0 and at most 268435456 elements, but got 'tensor<?xi32>'}}
  %y, %lse = xf.attention %q, %q, %q offsets(%o, %o) heads(2) scale(1.0) score(%o) {
  ^bb0(%score: f32, %head: index, %query: index, %key: index, %t: tensor<?xi32>):
    xf.yield %score : f32
  } : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?x8xf32>, tensor<?x2xf32>)
  return
}

// -----

// xf.attention C9
func.func @f(%q: tensor<?x8xf32>, %o: tensor<?xi32>) {
  // expected-error@+1 {{'xf.attention' op expected its score region to take (score, head, query, key, captured tensors) of types 'f32', 'index', 'index', 'index', but got 'f32', 'index'}}
  %y, %lse = xf.attention %q, %q, %q offsets(%o, %o) heads(2) scale(1.0) score {
  ^bb0(%score: f32, %head: index):
    xf.yield %score : f32
  } : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?x8xf32>, tensor<?x2xf32>)
  return
}

// -----

// xf.attention C9
func.func @f(%q: tensor<?x8xf32>, %o: tensor<?xi32>) {
  // expected-error@+1 {{'xf.attention' op expected its score region to end in xf.yield of 1 x 'f32', the score}}
  %y, %lse = xf.attention %q, %q, %q offsets(%o, %o) heads(2) scale(1.0) score {
  ^bb0(%score: f32, %head: index, %query: index, %key: index):
    xf.yield %score, %score : f32, f32
  } : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?x8xf32>, tensor<?x2xf32>)
  return
}

// -----

// xf.attention C10
func.func @f(%q: tensor<?x8xf32>, %o: tensor<?xi32>) {
  // expected-note@+1 {{the score region of this op}}
  %y, %lse = xf.attention %q, %q, %q offsets(%o, %o) heads(2) scale(1.0) score {
  ^bb0(%score: f32, %head: index, %query: index, %key: index):
    // expected-error@+1 {{'math.sqrt' op can't stand in a score region: that takes numbers of 'f32', i32, index and i1; arith's constant, addf, subf, mulf, divf, negf, maximumf, minimumf, cmpf, select, addi, subi, muli, maxsi, minsi, cmpi, andi, ori, xori, index_cast, sitofp and fptosi; math's absf, exp, exp2, log and tanh; and tensor.extract of what is captured}}
    %s = math.sqrt %score : f32
    xf.yield %s : f32
  } : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?x8xf32>, tensor<?x2xf32>)
  return
}

// -----

// xf.attention C10
func.func @f(%q: tensor<?x8xf32>, %o: tensor<?xi32>) {
  %y, %lse = xf.attention %q, %q, %q offsets(%o, %o) heads(2) scale(1.0) score {
  ^bb0(%score: f32, %head: index, %query: index, %key: index):
    // expected-error@+1 {{'arith.constant' op can't stand in a score region: that counts from -2147483648 to 2147483647, but got 4294967297}}
    %far = arith.constant 4294967297 : index
    xf.yield %score : f32
  } : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?x8xf32>, tensor<?x2xf32>)
  return
}

// -----

// xf.attention C10
func.func @f(%q: tensor<?x8xf32>, %o: tensor<?xi32>, %t: tensor<2xf32>) {
  // expected-note@+1 {{the score region of this op}}
  %y, %lse = xf.attention %q, %q, %q offsets(%o, %o) heads(2) scale(1.0) score(%t) {
  ^bb0(%score: f32, %head: index, %query: index, %key: index, %t: tensor<2xf32>):
    // expected-error@+1 {{'arith.extf' op can't stand in a score region}}
    %s = arith.extf %score : f32 to f64
    xf.yield %score : f32
  } : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>, tensor<2xf32>) -> (tensor<?x8xf32>, tensor<?x2xf32>)
  return
}

// -----

// xf.attention_backward C1
func.func @f(%dy: tensor<?x6xf32>, %q: tensor<?x8xf32>, %lse: tensor<?x2xf32>, %o: tensor<?xi32>) {
  // expected-error@+1 {{'xf.attention_backward' op expected 'cotangent' to have shape ? x 8 (the rows of 'query' x the features of 'value'), but got ? x 6}}
  %dq, %dk, %dv = xf.attention_backward %dy, %q, %q, %q, %q, %lse offsets(%o, %o) heads(2) scale(1.0) : (tensor<?x6xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x2xf32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>)
  return
}

// -----

// xf.attention_backward C2
func.func @f(%dy: tensor<?x8xf32>, %q: tensor<?x8xf32>, %lse: tensor<?x2xf32>, %o: tensor<?xi32>) {
  // expected-error@+1 {{'xf.attention_backward' op expected 'query_gradient' to have shape ? x 8 (that of the operand), but got ? x 6}}
  %dq, %dk, %dv = xf.attention_backward %dy, %q, %q, %q, %q, %lse offsets(%o, %o) heads(2) scale(1.0) : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x2xf32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?x6xf32>, tensor<?x8xf32>, tensor<?x8xf32>)
  return
}

// -----

// xf.attention_backward C2
func.func @f(%q: tensor<?x8xf32>, %lse: tensor<?x2xf32>, %o: tensor<?xi32>, %t: tensor<2x3xf32>) {
  // expected-error@+1 {{'xf.attention_backward' op expected gradients of 1 captured tensors, as xf.add_gradient names, but got 0}}
  %dq, %dk, %dv = xf.attention_backward %q, %q, %q, %q, %q, %lse offsets(%o, %o) heads(2) scale(1.0) score(%t) {
  ^bb0(%score: f32, %head: index, %query: index, %key: index, %t: tensor<2x3xf32>):
    %one = arith.constant 1.0 : f32
    %zero = arith.constant 0 : index
    xf.add_gradient %one at %t[%head, %zero] : tensor<2x3xf32>
    xf.yield %score, %one : f32, f32
  } : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x2xf32>, tensor<?xi32>, tensor<?xi32>, tensor<2x3xf32>) -> (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>)
  return
}

// -----

// xf.attention_backward C2
func.func @f(%q: tensor<?x8xf32>, %lse: tensor<?x2xf32>, %o: tensor<?xi32>, %t: tensor<2x3xf32>) {
  // expected-error@+1 {{'xf.attention_backward' op expected 'captured gradient' to have shape ? x 6 (a row an offset x the captured tensor's elements, for every head where heads share it), but got ? x 5}}
  %dq, %dk, %dv, %dt = xf.attention_backward %q, %q, %q, %q, %q, %lse offsets(%o, %o) heads(2) scale(1.0) score(%t) {
  ^bb0(%score: f32, %head: index, %query: index, %key: index, %t: tensor<2x3xf32>):
    %one = arith.constant 1.0 : f32
    %zero = arith.constant 0 : index
    xf.add_gradient %one at %t[%head, %zero] : tensor<2x3xf32>
    xf.yield %score, %one : f32, f32
  } : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x2xf32>, tensor<?xi32>, tensor<?xi32>, tensor<2x3xf32>) -> (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x5xf32>)
  return
}

// -----

// xf.attention_backward C2
func.func @f(%q: tensor<?x8xf32>, %lse: tensor<?x2xf32>, %o: tensor<?xi32>, %t: tensor<3xf32>) {
  // expected-error@+1 {{'xf.attention_backward' op expected 'captured gradient' to have shape ? x 6 (a row an offset x the captured tensor's elements, for every head where heads share it), but got ? x 3}}
  %dq, %dk, %dv, %dt = xf.attention_backward %q, %q, %q, %q, %q, %lse offsets(%o, %o) heads(2) scale(1.0) score(%t) {
  ^bb0(%score: f32, %head: index, %query: index, %key: index, %t: tensor<3xf32>):
    %one = arith.constant 1.0 : f32
    xf.add_gradient %one at %t[%key] : tensor<3xf32>
    xf.yield %score, %one : f32, f32
  } : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x2xf32>, tensor<?xi32>, tensor<?xi32>, tensor<3xf32>) -> (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x3xf32>)
  return
}

// -----

// xf.attention_backward C3
func.func @f(%q: tensor<?x8xf32>, %lse: tensor<?x2xf32>, %o: tensor<?xi32>) {
  // expected-error@+1 {{'xf.attention_backward' op expected its score region to end in xf.yield of 2 x 'f32', the score and its derivative}}
  %dq, %dk, %dv = xf.attention_backward %q, %q, %q, %q, %q, %lse offsets(%o, %o) heads(2) scale(1.0) score {
  ^bb0(%score: f32, %head: index, %query: index, %key: index):
    xf.yield %score : f32
  } : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x2xf32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>)
  return
}

// -----

// xf.add_gradient C1
func.func @f(%q: tensor<?x8xf32>, %lse: tensor<?x2xf32>, %o: tensor<?xi32>, %t: tensor<2x3xf32>) {
  %dq, %dk, %dv, %dt = xf.attention_backward %q, %q, %q, %q, %q, %lse offsets(%o, %o) heads(2) scale(1.0) score(%t) {
  ^bb0(%score: f32, %head: index, %query: index, %key: index, %t: tensor<2x3xf32>):
    %one = arith.constant 1.0 : f32
    %zero = arith.constant 0 : index
    // expected-error@+1 {{'xf.add_gradient' op expected an index for each extent of 'capture' (2), but got 1}}
    xf.add_gradient %one at %t[%head] : tensor<2x3xf32>
    xf.yield %score, %one : f32, f32
  } : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x2xf32>, tensor<?xi32>, tensor<?xi32>, tensor<2x3xf32>) -> (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x6xf32>)
  return
}

// -----

// xf.attention_weights C3
func.func @f(%q: tensor<?x8xf32>) {
  // expected-error@+1 {{'xf.attention_weights' op expected its score region to end in xf.yield of 1 x 'f32', the score}}
  %y = xf.attention_weights %q, %q heads(2) scale(1.0) score {
  ^bb0(%score: f32, %head: index, %query: index, %key: index):
    xf.yield
  } : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<2x?x?xf32>
  return
}

// -----

// xf.cached_attention C5
func.func @f(%q: tensor<?x8xf32>, %r: tensor<?xi32>, %o: tensor<?xi32>) {
  // expected-error@+1 {{'xf.cached_attention' op expected its score region to end in xf.yield of 1 x 'f32', the score}}
  %y = xf.cached_attention %q, %q, %q rows(%r, %o) heads(2) scale(1.0) score {
  ^bb0(%score: f32, %head: index, %query: index, %key: index):
    xf.yield
  } : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.attention_weights C1
func.func @f(%q: tensor<?x8xf32>, %k: tensor<?x6xf32>) {
  // expected-error@+1 {{'xf.attention_weights' op expected 'key' head dim to match 'query' (4), but got 3}}
  %y = xf.attention_weights %q, %k heads(2) scale(1.0) : (tensor<?x8xf32>, tensor<?x6xf32>) -> tensor<2x?x?xf32>
  return
}

// -----

// xf.attention_weights C2
func.func @f(%q: tensor<?x8xf32>) {
  // expected-error@+1 {{'xf.attention_weights' op expected 'result' to have shape 2 x ? x ? (heads x query tokens x key tokens), but got 4 x ? x ?}}
  %y = xf.attention_weights %q, %q heads(2) scale(1.0) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<4x?x?xf32>
  return
}

// -----

// xf.cached_attention C1
func.func @f(%q: tensor<?x8xf32>, %k: tensor<?x6xf32>, %v: tensor<?x8xf32>, %r: tensor<?xi32>, %o: tensor<?xi32>) {
  // expected-error@+1 {{'xf.cached_attention' op expected 'key' head dim to match 'query' (4), but got 3}}
  %y = xf.cached_attention %q, %k, %v rows(%r, %o) heads(2) scale(1.0) : (tensor<?x8xf32>, tensor<?x6xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.cached_attention C2
func.func @f(%q: tensor<?x8xf32>, %k: tensor<?x8xf32>, %v: tensor<?x6xf32>, %r: tensor<?xi32>, %o: tensor<?xi32>) {
  // expected-error@+1 {{'xf.cached_attention' op expected 'result' to have shape ? x 6 (the rows of 'query' x the features of 'value'), but got ? x 8}}
  %y = xf.cached_attention %q, %k, %v rows(%r, %o) heads(2) scale(1.0) : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x6xf32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.cached_attention C3
func.func @f(%q: tensor<?x8xf32>, %k: tensor<6x8xf32>, %v: tensor<5x8xf32>, %r: tensor<?xi32>, %o: tensor<?xi32>) {
  // expected-error@+1 {{'xf.cached_attention' op expected 'value' to match the rows of 'key' (6), but got 5}}
  %y = xf.cached_attention %q, %k, %v rows(%r, %o) heads(2) scale(1.0) : (tensor<?x8xf32>, tensor<6x8xf32>, tensor<5x8xf32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.cached_attention C4
func.func @f(%q: tensor<?x8xf32>, %r: tensor<?xi32>, %o: tensor<?xi32>) {
  // expected-error@+1 {{'xf.cached_attention' op expected window to be from 0 to 1073741824, but got -2}}
  %y = xf.cached_attention %q, %q, %q rows(%r, %o) heads(2) scale(1.0) window(-2) : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.cache_write C1
func.func @f(%c: tensor<?x8xf32>, %x: tensor<?x4xf32>, %s: tensor<?xi32>) {
  // expected-error@+1 {{'xf.cache_write' op expected 'x' to match the features of 'cache' (8), but got 4}}
  %y = xf.cache_write %c, %x slots(%s) : (tensor<?x8xf32>, tensor<?x4xf32>, tensor<?xi32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.attention C1
func.func @f(%x: tensor<?x8xf32>, %o: tensor<?xi32>) {
  // expected-error@+1 {{'xf.attention' op expected scale to be finite, but got INF}}
  %y, %s = xf.attention %x, %x, %x offsets(%o, %o) heads(2) scale(0x7F800000) : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?x8xf32>, tensor<?x2xf32>)
  return
}

// -----

// xf.attention_weights C1
func.func @f(%x: tensor<?x8xf32>) {
  // expected-error@+1 {{'xf.attention_weights' op expected scale to be finite, but got nan}}
  %p = xf.attention_weights %x, %x heads(2) scale(0x7FC00000) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<2x?x?xf32>
  return
}

// -----

// xf.attention C1
func.func @f(%q: tensor<?x8xf32>, %k: tensor<?x6xf32>, %v: tensor<?x6xf32>, %o: tensor<?xi32>) {
  // expected-error@+1 {{'xf.attention' op expected key_value_heads to divide heads (4), but got 3}}
  %y, %lse = xf.attention %q, %k, %v offsets(%o, %o) heads(4) key_value_heads(3) scale(1.0) : (tensor<?x8xf32>, tensor<?x6xf32>, tensor<?x6xf32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?x8xf32>, tensor<?x4xf32>)
  return
}

// -----

// xf.attention C1
func.func @f(%q: tensor<?x8xf32>, %k: tensor<?x8xf32>, %v: tensor<?x8xf32>, %o: tensor<?xi32>) {
  // expected-error@+1 {{'xf.attention' op expected key_value_heads to be at least 1, but got 0}}
  %y, %lse = xf.attention %q, %k, %v offsets(%o, %o) heads(4) key_value_heads(0) scale(1.0) : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?x8xf32>, tensor<?x4xf32>)
  return
}

// -----

// xf.attention C1
func.func @f(%q: tensor<?x8xf32>, %k: tensor<?x5xf32>, %v: tensor<?x4xf32>, %o: tensor<?xi32>) {
  // expected-error@+1 {{'xf.attention' op expected the features of 'key' to be a multiple of key_value_heads (2), but got 5}}
  %y, %lse = xf.attention %q, %k, %v offsets(%o, %o) heads(4) key_value_heads(2) scale(1.0) : (tensor<?x8xf32>, tensor<?x5xf32>, tensor<?x4xf32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?x8xf32>, tensor<?x4xf32>)
  return
}

// -----

// xf.attention C1
func.func @f(%q: tensor<?x8xf32>, %k: tensor<?x4xf32>, %v: tensor<?x5xf32>, %o: tensor<?xi32>) {
  // expected-error@+1 {{'xf.attention' op expected the features of 'value' to be a multiple of key_value_heads (2), but got 5}}
  %y, %lse = xf.attention %q, %k, %v offsets(%o, %o) heads(4) key_value_heads(2) scale(1.0) : (tensor<?x8xf32>, tensor<?x4xf32>, tensor<?x5xf32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?x8xf32>, tensor<?x4xf32>)
  return
}

// -----

// xf.attention C2
func.func @f(%q: tensor<?x8xf32>, %k: tensor<?x8xf32>, %v: tensor<?x8xf32>, %o: tensor<?xi32>) {
  // expected-error@+1 {{'xf.attention' op expected 'key' head dim to match 'query' (2), but got 4}}
  %y, %lse = xf.attention %q, %k, %v offsets(%o, %o) heads(4) key_value_heads(2) scale(1.0) : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?x16xf32>, tensor<?x4xf32>)
  return
}

// -----

// xf.attention C4
func.func @f(%q: tensor<?x8xf32>, %k: tensor<?x4xf32>, %v: tensor<?x6xf32>, %o: tensor<?xi32>) {
  // expected-error@+1 {{'xf.attention' op expected 'result' to have shape ? x 12 (the rows of 'query' x heads * the head dim of 'value'), but got ? x 6}}
  %y, %lse = xf.attention %q, %k, %v offsets(%o, %o) heads(4) key_value_heads(2) scale(1.0) : (tensor<?x8xf32>, tensor<?x4xf32>, tensor<?x6xf32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?x6xf32>, tensor<?x4xf32>)
  return
}

// -----

// xf.attention_backward C1
func.func @f(%dy: tensor<?x4xf32>, %q: tensor<?x8xf32>, %k: tensor<?x4xf32>, %lse: tensor<?x4xf32>, %o: tensor<?xi32>) {
  // expected-error@+1 {{'xf.attention_backward' op expected 'cotangent' to have shape ? x 8 (the rows of 'query' x heads * the head dim of 'value'), but got ? x 4}}
  %dq, %dk, %dv = xf.attention_backward %dy, %q, %k, %k, %q, %lse offsets(%o, %o) heads(4) key_value_heads(2) scale(1.0) : (tensor<?x4xf32>, tensor<?x8xf32>, tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x8xf32>, tensor<?x4xf32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?x8xf32>, tensor<?x4xf32>, tensor<?x4xf32>)
  return
}

// -----

// xf.attention_backward C2
func.func @f(%dy: tensor<?x8xf32>, %q: tensor<?x8xf32>, %k: tensor<?x4xf32>, %lse: tensor<?x4xf32>, %o: tensor<?xi32>) {
  // expected-error@+1 {{'xf.attention_backward' op expected 'key_gradient' to have shape ? x 4 (that of the operand), but got ? x 8}}
  %dq, %dk, %dv = xf.attention_backward %dy, %q, %k, %k, %q, %lse offsets(%o, %o) heads(4) key_value_heads(2) scale(1.0) : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x8xf32>, tensor<?x4xf32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x4xf32>)
  return
}

// -----

// xf.attention_weights C1
func.func @f(%q: tensor<?x8xf32>, %k: tensor<?x6xf32>) {
  // expected-error@+1 {{'xf.attention_weights' op expected key_value_heads to divide heads (4), but got 3}}
  %y = xf.attention_weights %q, %k heads(4) key_value_heads(3) scale(1.0) : (tensor<?x8xf32>, tensor<?x6xf32>) -> tensor<4x?x?xf32>
  return
}

// -----

// xf.cached_attention C1
func.func @f(%q: tensor<?x8xf32>, %k: tensor<?x8xf32>, %r: tensor<?xi32>, %o: tensor<?xi32>) {
  // expected-error@+1 {{'xf.cached_attention' op expected 'key' head dim to match 'query' (2), but got 4}}
  %y = xf.cached_attention %q, %k, %k rows(%r, %o) heads(4) key_value_heads(2) scale(1.0) : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x16xf32>
  return
}

// -----

// xf.cached_attention C2
func.func @f(%q: tensor<?x8xf32>, %k: tensor<?x4xf32>, %r: tensor<?xi32>, %o: tensor<?xi32>) {
  // expected-error@+1 {{'xf.cached_attention' op expected 'result' to have shape ? x 8 (the rows of 'query' x heads * the head dim of 'value'), but got ? x 4}}
  %y = xf.cached_attention %q, %k, %k rows(%r, %o) heads(4) key_value_heads(2) scale(1.0) : (tensor<?x8xf32>, tensor<?x4xf32>, tensor<?x4xf32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x4xf32>
  return
}
