// A prefix that sees itself whole, and goes on causally (Raffel et al. 2020): `lengths` says how many keys each token sees, those of the
// prefix all of it, the others those up to themselves.
!x = tensor<?x32xf32>
!ids = tensor<?xi32>
module @prefix attributes {xf.kind = "language_model", xf.config = {vocabulary = 20 : i64, d_model = 32 : i64}} {
  func.func private @decoder_layer(%x: !x, %offsets: !ids, %lengths: !ids) -> !x {
    %n = xf.norm "attention_norm" (%x) : (!x) -> !x
    %a = xf.multi_head_attention "attention" (%n, %n, %n) offsets(%offsets, %offsets) heads(2) head_dims(16, 16) lengths(%lengths) : (!x, !x, !x, !ids, !ids, !ids) -> !x
    %y = xf.residual "attention_residual" (%x, %a) : (!x, !x) -> !x
    return %y : !x
  }
  func.func @model(%ids: !ids {xf.name = "ids", xf.dims = ["tokens"]}, %offsets: !ids {xf.name = "offsets", xf.dims = ["offsets"]}, %lengths: !ids {xf.name = "lengths", xf.dims = ["tokens"]},
                   %labels: !ids {xf.name = "labels", xf.dims = ["tokens"]})
      -> (tensor<f32> {xf.name = "loss"}, tensor<?xf32> {xf.name = "token_nll"}) attributes {xf.entry} {
    %x0 = xf.embed "embedding" (%ids, %offsets) vocabulary(20) positions(sinusoidal) : (!ids, !ids) -> !x
    %x1 = xf.apply @decoder_layer as "decoder.0" (%x0, %offsets, %lengths) : (!x, !ids, !ids) -> !x
    %logits = xf.project "embedding" (%x1) : (!x) -> tensor<?x20xf32>
    %token_loss, %token_nll, %log_sum_exp = xf.cross_entropy %logits, %labels : (tensor<?x20xf32>, !ids) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
    %loss = xf.mean %token_loss : (tensor<?xf32>) -> tensor<f32>
    return %loss, %token_nll : tensor<f32>, tensor<?xf32>
  }
}
