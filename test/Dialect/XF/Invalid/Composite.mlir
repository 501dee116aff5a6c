// What the verifiers of Composite.td refuse, and in which words: a case a constraint, named after it.
// RUN: xf-opt %s --split-input-file --verify-diagnostics

// xf.embed C1
func.func @f(%ids: tensor<6xi32>, %o: tensor<?xi32>) {
  // expected-error@+1 {{'xf.embed' op expected 'result' to match the number of tokens (6), but got 5}}
  %x = xf.embed "embedding" (%ids, %o) vocabulary(10) positions(none) : (tensor<6xi32>, tensor<?xi32>) -> tensor<5x8xf32>
  return
}

// -----

// xf.embed C2
func.func @f(%ids: tensor<?xi32>, %o: tensor<?xi32>) {
  // expected-error@+1 {{'xf.embed' op expected learned positions to give their name and max_positions, as in positions(learned, "positions", 512)}}
  %x = xf.embed "embedding" (%ids, %o) vocabulary(10) positions(learned) : (tensor<?xi32>, tensor<?xi32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.embed C3
func.func @f(%ids: tensor<?xi32>, %o: tensor<?xi32>) {
  // expected-error@+1 {{'xf.embed' op expected positions that count from 1 to be sinusoidal, but got 'none'}}
  %x = xf.embed "embedding" (%ids, %o) vocabulary(10) positions(none) first(1) : (tensor<?xi32>, tensor<?xi32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.multi_head_attention C1
func.func @f(%q: tensor<6x8xf32>, %k: tensor<6x8xf32>, %v: tensor<5x8xf32>, %o: tensor<?xi32>) {
  // expected-error@+1 {{'xf.multi_head_attention' op expected 'value' to match the rows of 'key' (6), but got 5}}
  %y = xf.multi_head_attention "attention" (%q, %k, %v) offsets(%o, %o) heads(2) head_dims(4, 4) : (tensor<6x8xf32>, tensor<6x8xf32>, tensor<5x8xf32>, tensor<?xi32>, tensor<?xi32>) -> tensor<6x8xf32>
  return
}

// -----

// xf.multi_head_attention C2
func.func @f(%q: tensor<?x8xf32>, %k: tensor<?x8xf32>, %v: tensor<?x8xf32>, %o: tensor<?xi32>) {
  // expected-error@+1 {{'xf.multi_head_attention' op expected heads to be at least 1, but got 0}}
  %y = xf.multi_head_attention "attention" (%q, %k, %v) offsets(%o, %o) heads(0) head_dims(4, 4) : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.multi_head_attention C3
func.func @f(%q: tensor<6x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x8xf32>, %o: tensor<?xi32>) {
  // expected-error@+1 {{'xf.multi_head_attention' op expected 'result' to match the rows of 'query' (6), but got 7}}
  %y = xf.multi_head_attention "attention" (%q, %k, %v) offsets(%o, %o) heads(2) head_dims(4, 4) : (tensor<6x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>, tensor<?xi32>, tensor<?xi32>) -> tensor<7x8xf32>
  return
}

// -----

// xf.multi_head_attention C4
func.func @f(%x: tensor<?x8xf32>, %o: tensor<?xi32>) {
  // expected-error@+1 {{'xf.multi_head_attention' op expected window to be from 0 to 1073741824, but got -1}}
  %y = xf.multi_head_attention "attention" (%x, %x, %x) offsets(%o, %o) heads(2) head_dims(4, 4) window(-1) : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.multi_head_attention C5
func.func @f(%x: tensor<6x8xf32>, %o: tensor<?xi32>, %n: tensor<5xi32>) {
  // expected-error@+1 {{'xf.multi_head_attention' op expected 'lengths' to match the rows of 'query' (6), but got 5}}
  %y = xf.multi_head_attention "attention" (%x, %x, %x) offsets(%o, %o) heads(2) head_dims(4, 4) lengths(%n) : (tensor<6x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>, tensor<?xi32>, tensor<?xi32>, tensor<5xi32>) -> tensor<6x8xf32>
  return
}

// -----

// xf.multi_head_attention C6
func.func @f(%x: tensor<?x8xf32>, %o: tensor<?xi32>) {
  // expected-error@+1 {{'xf.multi_head_attention' op expected its score region to end in xf.yield of 1 x 'f32', the score}}
  %y = xf.multi_head_attention "attention" (%x, %x, %x) offsets(%o, %o) heads(2) head_dims(4, 4) score {
  ^bb0(%score: f32, %head: index, %query: index, %key: index):
    xf.yield
  } : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.feed_forward C1
func.func @f(%x: tensor<?x8xf32>) {
  // expected-error@+1 {{'xf.feed_forward' op expected hidden to be at least 1, but got 0}}
  %y = xf.feed_forward "feed_forward" (%x) hidden(0) relu : (tensor<?x8xf32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.feed_forward C2
func.func @f(%x: tensor<?x8xf32>) {
  // expected-error@+1 {{'xf.feed_forward' op expected 'result' to have shape ? x 8 (that of 'x'), but got ? x 4}}
  %y = xf.feed_forward "feed_forward" (%x) hidden(4) relu : (tensor<?x8xf32>) -> tensor<?x4xf32>
  return
}

// -----

// xf.add_norm C1
func.func @f(%x: tensor<?x8xf32>, %s: tensor<?x4xf32>) {
  // expected-error@+1 {{'xf.add_norm' op expected 'sublayer' to have shape ? x 8 (that of 'x'), but got ? x 4}}
  %y = xf.add_norm "norm" (%x, %s) : (tensor<?x8xf32>, tensor<?x4xf32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.norm C1
func.func @f(%x: tensor<?x8xf32>) {
  // expected-error@+1 {{'xf.norm' op expected 'result' to have shape ? x 8 (that of 'x'), but got ? x 4}}
  %y = xf.norm "norm" (%x) : (tensor<?x8xf32>) -> tensor<?x4xf32>
  return
}

// -----

// xf.residual C1
func.func @f(%x: tensor<?x8xf32>, %s: tensor<?x4xf32>) {
  // expected-error@+1 {{'xf.residual' op expected 'sublayer' to have shape ? x 8 (that of 'x'), but got ? x 4}}
  %y = xf.residual "residual" (%x, %s) : (tensor<?x8xf32>, tensor<?x4xf32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.project C1
func.func @f(%x: tensor<6x8xf32>) {
  // expected-error@+1 {{'xf.project' op expected 'result' to match the rows of 'x' (6), but got 5}}
  %y = xf.project "projection" (%x) : (tensor<6x8xf32>) -> tensor<5x9xf32>
  return
}

// -----

// xf.norm C2
func.func @f(%x: tensor<?x8xf32>) {
  // expected-error@+1 {{'xf.norm' op expected epsilon to be a number that is not negative, but got -1.00}}
  %y = xf.norm "n" (%x) epsilon(-1.0) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.add_norm C2
func.func @f(%x: tensor<?x8xf32>) {
  // expected-error@+1 {{'xf.add_norm' op expected epsilon to be a number that is not negative, but got INF}}
  %y = xf.add_norm "n" (%x, %x) epsilon(0x7F800000) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.embed C4
func.func @f(%ids: tensor<?xi32>) {
  // expected-error@+1 {{'xf.embed' op expected vocabulary to be at most 2147483647, but got 2147483648}}
  %y = xf.embed "e" (%ids, %ids) vocabulary(2147483648) positions(none) : (tensor<?xi32>, tensor<?xi32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.embed C4
func.func @f(%ids: tensor<?xi32>) {
  // expected-error@+1 {{'xf.embed' op expected max_positions to be at least 1, but got -5}}
  %y = xf.embed "e" (%ids, %ids) vocabulary(20) positions(learned, "p", -5) : (tensor<?xi32>, tensor<?xi32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.embed C5
func.func @f(%ids: tensor<?xi32>) {
  // expected-error@+1 {{'xf.embed' op expected scale to be finite, but got INF}}
  %y = xf.embed "e" (%ids, %ids) vocabulary(20) positions(none) scale(0x7F800000) : (tensor<?xi32>, tensor<?xi32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.multi_head_attention C2
func.func @f(%x: tensor<?x8xf32>, %o: tensor<?xi32>) {
  // expected-error@+1 {{'xf.multi_head_attention' op expected heads * d_v to be at most 2147483647, but got 2147483648}}
  %y = xf.multi_head_attention "a" (%x, %x, %x) offsets(%o, %o) heads(32768) head_dims(8, 65536) : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x8xf32>
  return
}

// -----

// A word that is none of its kind, said once.
func.func @f(%x: tensor<?x8xf32>) {
  // expected-error@+1 {{custom op 'xf.feed_forward' expected 'activation' to be one of relu, gelu, gelu_tanh, silu, but got 'geluu'}}
  %y = xf.feed_forward "f" (%x) hidden(16) geluu : (tensor<?x8xf32>) -> tensor<?x8xf32>
  return
}

// -----

func.func @f(%x: tensor<?x8xf32>) {
  // expected-error@+1 {{custom op 'xf.feed_forward' expected 'activation' to be one of relu, gelu, gelu_tanh, silu, but got none}}
  %y = xf.feed_forward "f" (%x) hidden(16) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.multi_head_attention C2
func.func @f(%x: tensor<?x8xf32>, %o: tensor<?xi32>) {
  // expected-error@+1 {{'xf.multi_head_attention' op expected key_value_heads to divide heads (4), but got 3}}
  %y = xf.multi_head_attention "attention" (%x, %x, %x) offsets(%o, %o) heads(4) key_value_heads(3) head_dims(4, 4) : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.multi_head_attention C2
func.func @f(%x: tensor<?x8xf32>, %o: tensor<?xi32>) {
  // expected-error@+1 {{'xf.multi_head_attention' op expected key_value_heads to be at least 1, but got 0}}
  %y = xf.multi_head_attention "attention" (%x, %x, %x) offsets(%o, %o) heads(4) key_value_heads(0) head_dims(4, 4) : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.multi_head_attention C8
func.func @f(%x: tensor<?x8xf32>, %o: tensor<?xi32>) {
  // expected-error@+1 {{'xf.multi_head_attention' op expected 'rms' with 'qk_norm' alone, which it says more of}}
  %y = xf.multi_head_attention "a" (%x, %x, %x) offsets(%o, %o) heads(2) head_dims(4, 4) rms : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.multi_head_attention C8
func.func @f(%x: tensor<?x8xf32>, %o: tensor<?xi32>) {
  // expected-error@+1 {{'xf.multi_head_attention' op expected 'epsilon' with 'qk_norm' alone, which it says more of}}
  %y = xf.multi_head_attention "a" (%x, %x, %x) offsets(%o, %o) heads(2) head_dims(4, 4) epsilon(1.0e-6) : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.multi_head_attention C8
func.func @f(%x: tensor<?x8xf32>, %o: tensor<?xi32>) {
  // expected-error@+1 {{'xf.multi_head_attention' op expected epsilon to be a number that is not negative, but got -1}}
  %y = xf.multi_head_attention "a" (%x, %x, %x) offsets(%o, %o) heads(2) head_dims(4, 4) qk_norm epsilon(-1.0) : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.multi_head_attention C7
func.func @f(%x: tensor<?x8xf32>, %o: tensor<?xi32>, %a: tensor<?x3xf32>) {
  // expected-error@+1 {{'xf.multi_head_attention' op expected d_k to be even and at least 2 for rotary positions, but got 3}}
  %y = xf.multi_head_attention "a" (%x, %x, %x) offsets(%o, %o) heads(2) head_dims(3, 4) rotary(%a) : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>, tensor<?x3xf32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.multi_head_attention C7
func.func @f(%x: tensor<?x8xf32>, %o: tensor<?xi32>, %a: tensor<?x8xf32>) {
  // expected-error@+1 {{'xf.multi_head_attention' op expected 'angles' to have shape ? x 4 (the rows of 'query' x d_k), but got ? x 8}}
  %y = xf.multi_head_attention "a" (%x, %x, %x) offsets(%o, %o) heads(2) head_dims(4, 4) rotary(%a) : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.multi_head_attention C7
func.func @f(%x: tensor<?x8xf32>, %o: tensor<?xi32>, %p: tensor<?xi32>, %a: tensor<?x4xf32>) {
  // expected-error@+1 {{'xf.multi_head_attention' op expected 'rotary' where queries and keys are in the same sequences, but got offsets of queries and others of keys}}
  %y = xf.multi_head_attention "a" (%x, %x, %x) offsets(%o, %p) heads(2) head_dims(4, 4) rotary(%a) : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>, tensor<?x4xf32>) -> tensor<?x8xf32>
  return
}
