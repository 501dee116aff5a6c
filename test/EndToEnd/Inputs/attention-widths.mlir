// Queries, keys and values of three widths, heads of two more: what the presets, where all are d_model wide, can't say.
module @widths attributes {xf.config = {vocabulary = 20 : i64}} {
  func.func @loss(%ids: tensor<?xi32> {xf.name = "ids", xf.dims = ["tokens"]},
                  %offsets: tensor<?xi32> {xf.name = "offsets", xf.dims = ["offsets"]},
                  %labels: tensor<?xi32> {xf.name = "labels", xf.dims = ["tokens"]})
      -> (tensor<f32> {xf.name = "loss"}, tensor<?xf32> {xf.name = "token_nll"}) attributes {xf.entry} {
    %q = xf.embed "queries" (%ids, %offsets) vocabulary(20) positions(sinusoidal) : (tensor<?xi32>, tensor<?xi32>) -> tensor<?x24xf32>
    %k = xf.embed "keys" (%ids, %offsets) vocabulary(20) positions(sinusoidal) : (tensor<?xi32>, tensor<?xi32>) -> tensor<?x40xf32>
    %v = xf.embed "values" (%ids, %offsets) vocabulary(20) positions(none) : (tensor<?xi32>, tensor<?xi32>) -> tensor<?x13xf32>
    %a = xf.multi_head_attention "attention" (%q, %k, %v) offsets(%offsets, %offsets) heads(3) head_dims(5, 7) causal bias
      : (tensor<?x24xf32>, tensor<?x40xf32>, tensor<?x13xf32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x24xf32>
    %b = xf.add_norm "attention_norm" (%q, %a) : (tensor<?x24xf32>, tensor<?x24xf32>) -> tensor<?x24xf32>
    %logits = xf.project "projection" (%b) : (tensor<?x24xf32>) -> tensor<?x20xf32>
    %token_loss, %token_nll, %log_sum_exp = xf.cross_entropy %logits, %labels smoothing(0.1)
      : (tensor<?x20xf32>, tensor<?xi32>) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
    %loss = xf.mean %token_loss : (tensor<?xf32>) -> tensor<f32>
    return %loss, %token_nll : tensor<f32>, tensor<?xf32>
  }
}
