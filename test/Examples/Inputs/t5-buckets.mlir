// T5's relative positions (Raffel et al. 2020): near tokens have a bias each, those further away share one in buckets that grow, and all layers
// share the table, which is trained.
!x = tensor<?x32xf32>
!ids = tensor<?xi32>
!table = tensor<2x32xf32>
module @t5_buckets attributes {xf.kind = "language_model", xf.config = {vocabulary = 20 : i64, d_model = 32 : i64}} {
  xf.param @decoder.relative_bias.weight : !table normal(0.1)
  func.func private @decoder_layer(%x: !x, %offsets: !ids, %biases: !table) -> !x {
    %n = xf.norm "attention_norm" (%x) : (!x) -> !x
    %a = xf.multi_head_attention "attention" (%n, %n, %n) offsets(%offsets, %offsets) heads(2) head_dims(16, 16) causal score(%biases) {
    ^bb0(%score: f32, %head: index, %query: index, %key: index, %biases: !table):
      // Distances 0 to 15 are buckets; from 16 on, 16 + 16 log(distance / 16) / log(128 / 16), at most 31: a read past the end is of the last.
      %distance = arith.subi %query, %key : index
      %exact = arith.constant 16 : index
      %i = arith.index_cast %distance : index to i32
      %d = arith.sitofp %i : i32 to f32
      %sixteenth = arith.constant 0.0625 : f32
      %ratio = arith.mulf %d, %sixteenth : f32
      %log = math.log %ratio : f32
      %buckets = arith.constant 7.6943736 : f32
      %beyond = arith.mulf %log, %buckets : f32
      %b = arith.fptosi %beyond : f32 to i32
      %more = arith.index_cast %b : i32 to index
      %far = arith.addi %exact, %more : index
      %near = arith.cmpi slt, %distance, %exact : index
      %bucket = arith.select %near, %distance, %far : index
      %bias = tensor.extract %biases[%head, %bucket] : !table
      %biased = arith.addf %score, %bias : f32
      xf.yield %biased : f32
    } : (!x, !x, !x, !ids, !ids, !table) -> !x
    %y = xf.residual "attention_residual" (%x, %a) : (!x, !x) -> !x
    return %y : !x
  }
  func.func @model(%ids: !ids {xf.name = "ids", xf.dims = ["tokens"]}, %offsets: !ids {xf.name = "offsets", xf.dims = ["offsets"]}, %labels: !ids {xf.name = "labels", xf.dims = ["tokens"]})
      -> (tensor<f32> {xf.name = "loss"}, tensor<?xf32> {xf.name = "token_nll"}) attributes {xf.entry} {
    %x0 = xf.embed "embedding" (%ids, %offsets) vocabulary(20) positions(none) : (!ids, !ids) -> !x
    %biases = xf.get_param @decoder.relative_bias.weight : !table
    %x1 = xf.apply @decoder_layer as "decoder.0" (%x0, %offsets, %biases) : (!x, !ids, !table) -> !x
    %x2 = xf.apply @decoder_layer as "decoder.1" (%x1, %offsets, %biases) : (!x, !ids, !table) -> !x
    %logits = xf.project "embedding" (%x2) : (!x) -> tensor<?x20xf32>
    %token_loss, %token_nll, %log_sum_exp = xf.cross_entropy %logits, %labels : (tensor<?x20xf32>, !ids) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
    %loss = xf.mean %token_loss : (tensor<?xf32>) -> tensor<f32>
    return %loss, %token_nll : tensor<f32>, tensor<?xf32>
  }
}
