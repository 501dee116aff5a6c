// A case a constraint, named after it: what the verifiers refuse, and in which words.
// RUN: xf-opt %s --split-input-file --verify-diagnostics

// xf.param C1
// expected-error@+1 {{'xf.param' op expected a tensor of f32 with static shape, but got 'tensor<?x4xf32>'}}
xf.param @w : tensor<?x4xf32> zeros(0.0)

// -----

// xf.get_gradient C1
// expected-note@+1 {{declared here}}
xf.param @w : tensor<2x3xf32> zeros(0.0)
func.func @f() {
  // expected-error@+1 {{'xf.get_gradient' op expected parameter 'w' to have shape 2 x 3, but it is used as 3 x 2}}
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
  // expected-error@+1 {{'xf.get_param' op expected parameter 'w' to have shape 4, but it is used as 5}}
  %w = xf.get_param @w : tensor<5xf32>
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

// xf.linear C1
func.func @f(%x: tensor<?x8xf32>, %w: tensor<9x4xf32>) {
  // expected-error@+1 {{'xf.linear' op expected 'weight' to match the features of 'x' (8), but got 4}}
  %y = xf.linear %x, %w : (tensor<?x8xf32>, tensor<9x4xf32>) -> tensor<?x9xf32>
  return
}

// -----

// xf.linear C2
func.func @f(%x: tensor<?x8xf32>, %w: tensor<9x8xf32>, %b: tensor<8xf32>) {
  // expected-error@+1 {{'xf.linear' op expected 'bias' to match the rows of 'weight' (9), but got 8}}
  %y = xf.linear %x, %w bias %b : (tensor<?x8xf32>, tensor<9x8xf32>, tensor<8xf32>) -> tensor<?x9xf32>
  return
}

// -----

// xf.linear C3
func.func @f(%x: tensor<?x8xf32>, %w: tensor<9x8xf32>) {
  // expected-error@+1 {{'xf.linear' op expected 'result' to have shape ? x 9 (the rows of 'x' x the rows of 'weight'), but got ? x 8}}
  %y = xf.linear %x, %w : (tensor<?x8xf32>, tensor<9x8xf32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.linear C2
func.func @f(%x: tensor<?x8xf32>, %w: tensor<2x8x32xf32>, %b: tensor<32xf32>) {
  // expected-error@+1 {{'xf.linear' op expected 'bias' to match the features of the result (33), but got 32}}
  %y = xf.linear %x, %w bias %b : (tensor<?x8xf32>, tensor<2x8x32xf32>, tensor<32xf32>) -> tensor<?x33xf32>
  return
}

// -----

// xf.linear C4
func.func @f(%x: tensor<?x8xf32>, %w: tensor<1x8x32xf32>) {
  // expected-error@+1 {{'xf.linear' op expected 'weight' to have shape 2 x 8 x 32 (out / 32, rounded up, x in x 32), but got 1 x 8 x 32}}
  %y = xf.linear %x, %w : (tensor<?x8xf32>, tensor<1x8x32xf32>) -> tensor<?x33xf32>
  return
}

// -----

// xf.pack C1
func.func @f(%w: tensor<33x8xf32>) {
  // expected-error@+1 {{'xf.pack' op expected 'result' to have shape 2 x 8 x 32 (the rows of 'weight' / 32, rounded up, x its features x 32), but got 1 x 8 x 32}}
  %p = xf.pack %w : (tensor<33x8xf32>) -> tensor<1x8x32xf32>
  return
}

// -----

// xf.matmul C1
func.func @f(%a: tensor<?x8xf32>, %b: tensor<9x4xf32>) {
  // expected-error@+1 {{'xf.matmul' op expected 'b' to match the contracted extent of 'a' (8), but got 9}}
  %y = xf.matmul %a, %b : (tensor<?x8xf32>, tensor<9x4xf32>) -> tensor<?x4xf32>
  return
}

// -----

// xf.matmul C1
func.func @f(%a: tensor<?x8xf32>, %b: tensor<8x4xf32>, %c: tensor<?x8xf32>) {
  // expected-error@+1 {{'xf.matmul' op expected 'into' to have shape ? x 4 (that of the result), but got ? x 8}}
  %y = xf.matmul %a, %b into %c : (tensor<?x8xf32>, tensor<8x4xf32>, tensor<?x8xf32>) -> tensor<?x4xf32>
  return
}

// -----

// xf.column_sum C1
func.func @f(%x: tensor<?x8xf32>) {
  // expected-error@+1 {{'xf.column_sum' op expected 'result' to have as many elements as 'x' features (8), but got 4 (4)}}
  %y = xf.column_sum %x : (tensor<?x8xf32>) -> tensor<4xf32>
  return
}

// -----

// xf.add C1
func.func @f(%x: tensor<?x8xf32>, %y: tensor<?x4xf32>) {
  // expected-error@+1 {{'xf.add' op requires the same type for all operands and results}}
  %z = "xf.add"(%x, %y) : (tensor<?x8xf32>, tensor<?x4xf32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.relu_backward C1
func.func @f(%x: tensor<?x8xf32>, %y: tensor<?x4xf32>) {
  // expected-error@+1 {{'xf.relu_backward' op requires the same type for all operands and results}}
  %z = "xf.relu_backward"(%x, %y) : (tensor<?x8xf32>, tensor<?x4xf32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.gelu_backward C1
func.func @f(%x: tensor<?x8xf32>, %y: tensor<?x4xf32>) {
  // expected-error@+1 {{'xf.gelu_backward' op requires the same type for all operands and results}}
  %z = "xf.gelu_backward"(%x, %y) : (tensor<?x8xf32>, tensor<?x4xf32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.relu C1
func.func @f(%x: tensor<?x8xf32>) {
  // expected-error@+1 {{'xf.relu' op requires the same type for all operands and results}}
  %z = "xf.relu"(%x) : (tensor<?x8xf32>) -> tensor<?x4xf32>
  return
}

// -----

// xf.cast C1
func.func @f(%x: tensor<?x8xf32>) {
  // expected-error@+1 {{expected 'result' to have shape ? x 8 (that of 'x'), but got ? x 4}}
  %z = xf.cast %x : tensor<?x8xf32> to tensor<?x4xbf16>
  return
}

// -----

// xf.cast C2
func.func @f(%x: tensor<?x8xf32>) {
  // expected-error@+1 {{expected a cast from f32 to bf16 or back, but got one from 'f32' to 'f32'}}
  %z = xf.cast %x : tensor<?x8xf32> to tensor<?x8xf32>
  return
}

// -----

// xf.gelu C1
func.func @f(%x: tensor<?x8xf32>) {
  // expected-error@+1 {{'xf.gelu' op requires the same type for all operands and results}}
  %z = "xf.gelu"(%x) : (tensor<?x8xf32>) -> tensor<?x4xf32>
  return
}

// -----

// xf.log_softmax C1
func.func @f(%x: tensor<?x8xf32>) {
  // expected-error@+1 {{'xf.log_softmax' op requires the same type for all operands and results}}
  %z = "xf.log_softmax"(%x) : (tensor<?x8xf32>) -> tensor<?x4xf32>
  return
}

// -----

// xf.block_statistics C1
func.func @f(%x: tensor<?x100xf32>) {
  // expected-error@+1 {{expected 'sums' to have shape ? x 2 (tokens x ceil(vocabulary / 64)), but got ? x 1}}
  %m, %s = xf.block_statistics %x : (tensor<?x100xf32>) -> (tensor<?x2xf32>, tensor<?x1xf32>)
  return
}

// -----

// xf.top_k C1
func.func @f(%x: tensor<?x100xf32>, %m: tensor<?x3xf32>, %s: tensor<?x2xf32>, %ranks: tensor<?xi32>) {
  // expected-error@+1 {{expected 'maxima' to have shape ? x 2 (tokens x ceil(vocabulary / 64)), but got ? x 3}}
  %v, %t, %l = xf.top_k %x, %m, %s ranks(%ranks) : (tensor<?x100xf32>, tensor<?x3xf32>, tensor<?x2xf32>, tensor<?xi32>) -> (tensor<?x?xf32>, tensor<?x?xi32>, tensor<?xf32>)
  return
}

// -----

// xf.top_k C2
func.func @f(%x: tensor<?x100xf32>, %m: tensor<?x2xf32>, %s: tensor<?x2xf32>, %ranks: tensor<8xi32>) {
  // expected-error@+1 {{expected 'tokens' to have shape ? x 8 (tokens x ranks), but got ? x ?}}
  %v, %t, %l = xf.top_k %x, %m, %s ranks(%ranks) : (tensor<?x100xf32>, tensor<?x2xf32>, tensor<?x2xf32>, tensor<8xi32>) -> (tensor<?x8xf32>, tensor<?x?xi32>, tensor<?xf32>)
  return
}

// -----

// xf.dropout C1
func.func @f(%x: tensor<?x8xf32>, %r: tensor<2xi64>, %s: i64) {
  // expected-error@+1 {{'xf.dropout' op expected rate to be at least 0 and less than 1, but got 1.00}}
  %y = xf.dropout %x, %r, %s rate(1.0) : tensor<?x8xf32>, tensor<2xi64>
  return
}

// -----

// xf.layer_norm C1
func.func @f(%x: tensor<?x8xf32>, %w: tensor<4xf32>, %b: tensor<8xf32>) {
  // expected-error@+1 {{'xf.layer_norm' op expected 'weight' to match the features of 'x' (8), but got 4}}
  %y = xf.layer_norm %x, %w, %b : (tensor<?x8xf32>, tensor<4xf32>, tensor<8xf32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.layer_norm_backward C1
func.func @f(%dy: tensor<?x8xf32>, %x: tensor<?x8xf32>, %w: tensor<4xf32>) {
  // expected-error@+1 {{'xf.layer_norm_backward' op expected 'weight' to match the features of 'x' (8), but got 4}}
  %y, %m, %r = xf.layer_norm_backward %dy, %x, %w : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<4xf32>) -> (tensor<?x8xf32>, tensor<?xf32>, tensor<?xf32>)
  return
}

// -----

// xf.layer_norm_parameter_backward C1
func.func @f(%dy: tensor<?x8xf32>, %x: tensor<?x8xf32>, %m: tensor<?xf32>) {
  // expected-error@+1 {{'xf.layer_norm_parameter_backward' op expected 'weight' to have shape 8 (the features of 'x'), but got 4}}
  %w, %b = xf.layer_norm_parameter_backward %dy, %x, %m, %m : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xf32>, tensor<?xf32>) -> (tensor<4xf32>, tensor<8xf32>)
  return
}

// -----

// A matrix of sums has a row a part.
func.func @f(%dy: tensor<?x8xf32>, %x: tensor<?x8xf32>, %m: tensor<?xf32>) {
  // expected-error@+1 {{'xf.layer_norm_parameter_backward' op expected 'bias' to have shape 5 x 8 (parts x the features of 'x'), but got 8}}
  %w, %b = xf.layer_norm_parameter_backward %dy, %x, %m, %m : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xf32>, tensor<?xf32>) -> (tensor<5x8xf32>, tensor<8xf32>)
  return
}

// -----

// How many parts there are is known.
func.func @f(%dy: tensor<?x8xf32>, %x: tensor<?x8xf32>, %m: tensor<?xf32>) {
  // expected-error@+1 {{'xf.layer_norm_parameter_backward' op expected 'weight' to have shape 8 (the features of 'x'), but got ? x 8}}
  %w, %b = xf.layer_norm_parameter_backward %dy, %x, %m, %m : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xf32>, tensor<?xf32>) -> (tensor<?x8xf32>, tensor<?x8xf32>)
  return
}

// -----

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
  // expected-error@+1 {{'xf.attention' op expected captured tensor 0 to be of 'f32' or i32, with static extents that are not 0, but got 'tensor<?xi32>'}}
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
    // expected-error@+1 {{'math.sqrt' op can't stand in a score region: that takes numbers of 'f32', i32, index and i1, arithmetic of arith and of math's absf, exp, exp2, log and tanh, and reads of captured tensors by tensor.extract}}
    %s = math.sqrt %score : f32
    xf.yield %s : f32
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
  // expected-error@+1 {{'xf.attention_backward' op expected 'captured gradient' to have shape ? x 6 (a row an offset x the captured tensor's elements), but got ? x 5}}
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

// xf.attention_backward C4
func.func @f(%q: tensor<?x8xf32>, %lse: tensor<?x2xf32>, %o: tensor<?xi32>, %t: tensor<3x3xf32>) {
  // expected-error@+1 {{'xf.attention_backward' op expected a captured tensor that is trained to have heads (2) as its first extent, and to be read at the head there: its gradient is summed head by head}}
  %dq, %dk, %dv, %dt = xf.attention_backward %q, %q, %q, %q, %q, %lse offsets(%o, %o) heads(2) scale(1.0) score(%t) {
  ^bb0(%score: f32, %head: index, %query: index, %key: index, %t: tensor<3x3xf32>):
    %one = arith.constant 1.0 : f32
    %zero = arith.constant 0 : index
    xf.add_gradient %one at %t[%head, %zero] : tensor<3x3xf32>
    xf.yield %score, %one : f32, f32
  } : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x2xf32>, tensor<?xi32>, tensor<?xi32>, tensor<3x3xf32>) -> (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x9xf32>)
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

// xf.cross_entropy C1
func.func @f(%x: tensor<6x8xf32>, %l: tensor<5xi32>) {
  // expected-error@+1 {{'xf.cross_entropy' op expected 'labels' to match the rows of 'logits' (6), but got 5}}
  %a, %b, %c = xf.cross_entropy %x, %l : (tensor<6x8xf32>, tensor<5xi32>) -> (tensor<6xf32>, tensor<6xf32>, tensor<6xf32>)
  return
}

// -----

// xf.cross_entropy C2
func.func @f(%x: tensor<?x8xf32>, %l: tensor<?xi32>) {
  // expected-error@+1 {{'xf.cross_entropy' op expected smoothing to be at least 0 and less than 1, but got 1.00}}
  %a, %b, %c = xf.cross_entropy %x, %l smoothing(1.0) : (tensor<?x8xf32>, tensor<?xi32>) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
  return
}

// -----

// xf.cross_entropy_backward C1
func.func @f(%d: tensor<?xf32>, %x: tensor<?x8xf32>, %l: tensor<?xi32>) {
  // expected-error@+1 {{'xf.cross_entropy_backward' op expected 'result' to have shape ? x 8 (that of 'logits'), but got ? x 4}}
  %y = xf.cross_entropy_backward %d, %x, %l, %d : (tensor<?xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xf32>) -> tensor<?x4xf32>
  return
}

// -----

// xf.learning_rate C1
func.func @f(%r: tensor<2xi64>, %h: tensor<7xf32>) {
  // expected-error@+1 {{'xf.learning_rate' op expected 'hyper' to match the eight settings of a step (8), but got 7}}
  %y = xf.learning_rate %r, %h d_model(8) : (tensor<2xi64>, tensor<7xf32>) -> tensor<f32>
  return
}

// -----

// xf.adam C1
xf.param @w : tensor<4xf32> zeros(0.0)
func.func @f(%g: tensor<4xf32>, %n: tensor<f32>, %r: tensor<2xi64>, %h: tensor<8xf32>) {
  // expected-error@+1 {{'xf.adam' op expected a gradient for each of 2 parameters, but got 1}}
  xf.adam %g parameters [@w, @w] norm(%n) learning_rate(%n) state(%r, %h) : tensor<4xf32>, tensor<f32>, tensor<f32>, tensor<2xi64>, tensor<8xf32>
  return
}

// -----

// xf.adam C1
xf.param @w : tensor<4xf32> zeros(0.0)
func.func @f(%g: tensor<5xf32>, %n: tensor<f32>, %r: tensor<2xi64>, %h: tensor<8xf32>) {
  // expected-error@+1 {{'xf.adam' op expected the gradient of 'w' to have shape 4, but got 5}}
  xf.adam %g parameters [@w] norm(%n) learning_rate(%n) state(%r, %h) : tensor<5xf32>, tensor<f32>, tensor<f32>, tensor<2xi64>, tensor<8xf32>
  return
}

// -----

// xf.adam C2
xf.param @w : tensor<4xf32> zeros(0.0)
func.func @f(%g: tensor<4xf32>, %n: tensor<f32>, %r: tensor<3xi64>, %h: tensor<8xf32>) {
  // expected-error@+1 {{'xf.adam' op expected 'random' to match seed and step (2), but got 3}}
  xf.adam %g parameters [@w] norm(%n) learning_rate(%n) state(%r, %h) : tensor<4xf32>, tensor<f32>, tensor<f32>, tensor<3xi64>, tensor<8xf32>
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
