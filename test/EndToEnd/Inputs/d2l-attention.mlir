// d2l's MultiHeadAttention(100, 5): queries (2, 4, 100), keys and values as many as are valid.
module @d2l {
  func.func @attend(%queries: tensor<?x100xf32> {xf.name = "queries", xf.dims = ["queries"]},
                    %keys: tensor<?x100xf32> {xf.name = "keys", xf.dims = ["keys"]},
                    %query_offsets: tensor<?xi32> {xf.name = "query_offsets", xf.dims = ["offsets"]},
                    %key_offsets: tensor<?xi32> {xf.name = "key_offsets", xf.dims = ["offsets"]})
      -> (tensor<?x100xf32> {xf.name = "result"}) attributes {xf.entry} {
    %a = xf.multi_head_attention "attention" (%queries, %keys, %keys) offsets(%query_offsets, %key_offsets) heads(5) head_dims(20, 20)
      : (tensor<?x100xf32>, tensor<?x100xf32>, tensor<?x100xf32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x100xf32>
    return %a : tensor<?x100xf32>
  }
}
