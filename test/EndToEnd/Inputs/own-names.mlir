// A model whose configuration says what is not so, and a function whose inputs are called by names of their own.
module @own_names attributes {xf.kind = "language_model", xf.config = {d_model = 16 : i64, vocabulary = 9999999 : i64}} {
  func.func @model(%ids: tensor<?xi32> {xf.name = "ids", xf.dims = ["tokens"]}, %offsets: tensor<?xi32> {xf.name = "offsets", xf.dims = ["offsets"]},
                   %labels: tensor<?xi32> {xf.name = "labels", xf.dims = ["labels"]}) -> (tensor<f32> {xf.name = "loss"}, tensor<?xf32> {xf.name = "token_nll"}) attributes {xf.entry} {
    %x = xf.embed "embedding" (%ids, %offsets) vocabulary(20) positions(learned, "places", 4) : (tensor<?xi32>, tensor<?xi32>) -> tensor<?x16xf32>
    %logits = xf.project "projection" (%x) bias : (tensor<?x16xf32>) -> tensor<?x30xf32>
    %token_loss, %token_nll, %log_sum_exp = xf.cross_entropy %logits, %labels : (tensor<?x30xf32>, tensor<?xi32>) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
    %loss = xf.mean %token_loss : (tensor<?xf32>) -> tensor<f32>
    return %loss, %token_nll : tensor<f32>, tensor<?xf32>
  }
  func.func @look_up(%words: tensor<?xi32> {xf.name = "words"}, %starts: tensor<?xi32> {xf.name = "starts"}, %more: tensor<?x16xf32> {xf.name = "more"})
      -> (tensor<?x16xf32> {xf.name = "vectors"}) attributes {xf.entry} {
    %x = xf.embed "embedding" (%words, %starts) vocabulary(20) positions(learned, "places", 4) : (tensor<?xi32>, tensor<?xi32>) -> tensor<?x16xf32>
    %y = xf.add %x, %more : tensor<?x16xf32>
    return %y : tensor<?x16xf32>
  }
}
