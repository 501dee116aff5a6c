// A kernel of each kind that has an inner loop to look at.
!x = tensor<?x512xf32>
!h = tensor<?x2048xf32>
!w = tensor<2048x512xf32>
!l = tensor<?x1000xf32>
!n = tensor<?xf32>
!i = tensor<?xi32>

// Products: NT, with an epilogue of GELU; NN; TN.
func.func @forward(%x: !x {xf.name = "x", xf.dims = ["rows"]}, %w: !w {xf.name = "w"}, %b: tensor<2048xf32> {xf.name = "b"}) -> (!h {xf.name = "y"}) attributes {xf.entry} {
  %0 = xf.linear %x, %w bias %b : (!x, !w, tensor<2048xf32>) -> !h
  %y = xf.gelu %0 : !h
  return %y : !h
}
func.func @backward(%dy: !h {xf.name = "dy", xf.dims = ["rows"]}, %x: !x {xf.name = "x", xf.dims = ["rows"]}, %w: !w {xf.name = "w"}) -> (!x {xf.name = "dx"}, !w {xf.name = "dw"}, tensor<2048xf32> {xf.name = "db"}) attributes {xf.entry} {
  %dx = xf.matmul %dy, %w : (!h, !w) -> !x
  %dw = xf.matmul %dy, %x transpose_a : (!h, !x) -> !w
  %db = xf.column_sum %dy : (!h) -> tensor<2048xf32>
  return %dx, %dw, %db : !x, !w, tensor<2048xf32>
}

// Eight heads of 64.
func.func @attention(%q: !x {xf.name = "q", xf.dims = ["tokens"]}, %do: !x {xf.name = "do", xf.dims = ["tokens"]}, %o: !i {xf.name = "offsets", xf.dims = ["sequences_plus_1"]}) -> (!x {xf.name = "dq"}, !x {xf.name = "dk"}, !x {xf.name = "dv"}) attributes {xf.entry} {
  %y, %lse = xf.attention %q, %q, %q offsets(%o, %o) heads(8) scale(0.125) causal : (!x, !x, !x, !i, !i) -> (!x, tensor<?x8xf32>)
  %dq, %dk, %dv = xf.attention_backward %do, %q, %q, %q, %y, %lse offsets(%o, %o) heads(8) scale(0.125) causal : (!x, !x, !x, !x, !x, tensor<?x8xf32>, !i, !i) -> (!x, !x, !x)
  return %dq, %dk, %dv : !x, !x, !x
}
func.func @decode(%q: !x {xf.name = "q", xf.dims = ["rows"]}, %cache: !x {xf.name = "cache", xf.dims = ["cached"]}, %list: !i {xf.name = "list", xf.dims = ["listed"]}, %o: !i {xf.name = "o", xf.dims = ["rows_plus_1"]}) -> (!x {xf.name = "y"}) attributes {xf.entry} {
  %y = xf.cached_attention %q, %cache, %cache rows(%list, %o) heads(8) scale(0.125) : (!x, !x, !x, !i, !i) -> !x
  return %y : !x
}

// Score regions: a soft cap (tanh), and a trained number a relative position.
func.func @score(%q: !x {xf.name = "q", xf.dims = ["tokens"]}, %do: !x {xf.name = "do", xf.dims = ["tokens"]}, %o: !i {xf.name = "offsets", xf.dims = ["sequences_plus_1"]}, %table: tensor<8x257xf32> {xf.name = "table"})
    -> (!x {xf.name = "dq"}, !x {xf.name = "dk"}, !x {xf.name = "dv"}, tensor<?x2056xf32> {xf.name = "dtable"}) attributes {xf.entry} {
  %y, %lse = xf.attention %q, %q, %q offsets(%o, %o) heads(8) scale(0.125) score(%table) {
  ^bb0(%score: f32, %head: index, %query: index, %key: index, %t: tensor<8x257xf32>):
    %tanh = math.tanh %score : f32
    %far = arith.constant 128 : index
    %distance = arith.subi %key, %query : index
    %place = arith.addi %distance, %far : index
    %bias = tensor.extract %t[%head, %place] : tensor<8x257xf32>
    %s = arith.addf %tanh, %bias : f32
    xf.yield %s : f32
  } : (!x, !x, !x, !i, !i, tensor<8x257xf32>) -> (!x, tensor<?x8xf32>)
  %dq, %dk, %dv, %dt = xf.attention_backward %do, %q, %q, %q, %y, %lse offsets(%o, %o) heads(8) scale(0.125) score(%table) {
  ^bb0(%score: f32, %head: index, %query: index, %key: index, %t: tensor<8x257xf32>):
    %tanh = math.tanh %score : f32
    %far = arith.constant 128 : index
    %distance = arith.subi %key, %query : index
    %place = arith.addi %distance, %far : index
    %bias = tensor.extract %t[%head, %place] : tensor<8x257xf32>
    %s = arith.addf %tanh, %bias : f32
    %one = arith.constant 1.0 : f32
    %square = arith.mulf %tanh, %tanh : f32
    %d = arith.subf %one, %square : f32
    xf.add_gradient %one at %t[%head, %place] : tensor<8x257xf32>
    xf.yield %s, %d : f32, f32
  } : (!x, !x, !x, !x, !x, tensor<?x8xf32>, !i, !i, tensor<8x257xf32>) -> (!x, !x, !x, tensor<?x2056xf32>)
  return %dq, %dk, %dv, %dt : !x, !x, !x, tensor<?x2056xf32>
}

func.func @norm(%x: !x {xf.name = "x", xf.dims = ["rows"]}, %dy: !x {xf.name = "dy", xf.dims = ["rows"]}, %w: tensor<512xf32> {xf.name = "w"}, %b: tensor<512xf32> {xf.name = "b"})
    -> (!x {xf.name = "y"}, !x {xf.name = "dx"}, tensor<512xf32> {xf.name = "dw"}, tensor<512xf32> {xf.name = "db"}) attributes {xf.entry} {
  %y = xf.layer_norm %x, %w, %b : (!x, tensor<512xf32>, tensor<512xf32>) -> !x
  %dx, %mean, %r = xf.layer_norm_backward %dy, %x, %w : (!x, !x, tensor<512xf32>) -> (!x, !n, !n)
  %dw, %db = xf.layer_norm_parameter_backward %dy, %x, %mean, %r : (!x, !x, !n, !n) -> (tensor<512xf32>, tensor<512xf32>)
  return %y, %dx, %dw, %db : !x, !x, tensor<512xf32>, tensor<512xf32>
}
func.func @loss(%x: !l {xf.name = "x", xf.dims = ["rows"]}, %labels: !i {xf.name = "labels", xf.dims = ["rows"]}) -> (!l {xf.name = "dx"}, !l {xf.name = "p"}) attributes {xf.entry} {
  %loss, %nll, %lse = xf.cross_entropy %x, %labels smoothing(0.1) : (!l, !i) -> (!n, !n, !n)
  %dx = xf.cross_entropy_backward %loss, %x, %labels, %lse smoothing(0.1) : (!n, !l, !i, !n) -> !l
  %p = xf.log_softmax %x : !l
  return %dx, %p : !l, !l
}
// The likeliest tokens, of statistics that the projection's epilogue leaves.
func.func @likeliest(%x: !x {xf.name = "x", xf.dims = ["rows"]}, %w: tensor<1000x512xf32> {xf.name = "w"}, %ranks: !i {xf.name = "ranks", xf.dims = ["ranks"]}) -> (tensor<?x?xf32> {xf.name = "values"}, tensor<?x?xi32> {xf.name = "tokens"}, !n {xf.name = "lse"}) attributes {xf.entry} {
  %y = xf.linear %x, %w : (!x, tensor<1000x512xf32>) -> !l
  %m, %s = xf.block_statistics %y : (!l) -> (tensor<?x16xf32>, tensor<?x16xf32>)
  %values, %tokens, %lse = xf.top_k %y, %m, %s ranks(%ranks) : (!l, tensor<?x16xf32>, tensor<?x16xf32>, !i) -> (tensor<?x?xf32>, tensor<?x?xi32>, !n)
  return %values, %tokens, %lse : tensor<?x?xf32>, tensor<?x?xi32>, !n
}
func.func @activation(%x: !x {xf.name = "x", xf.dims = ["rows"]}, %dy: !x {xf.name = "dy", xf.dims = ["rows"]}) -> (!x {xf.name = "dx"}) attributes {xf.entry} {
  %dx = xf.gelu_backward %dy, %x : !x
  return %dx : !x
}

xf.param @p : !w xavier_uniform(1.0)
func.func @train(%g: !w {xf.name = "g"}, %random: tensor<2xi64> {xf.name = "random"}, %hyper: tensor<8xf32> {xf.name = "hyper"}, %lr: tensor<f32> {xf.name = "lr"}) -> (tensor<f32> {xf.name = "gradient_norm"}) attributes {xf.entry} {
  %zero = arith.constant dense<0.0> : !w
  %sum = xf.add %zero, %g : !w
  %norm = xf.global_norm %sum : (!w) -> tensor<f32>
  xf.adam %sum parameters [@p] norm(%norm) learning_rate(%lr) state(%random, %hyper) : !w, tensor<f32>, tensor<f32>, tensor<2xi64>, tensor<8xf32>
  return %norm : tensor<f32>
}
