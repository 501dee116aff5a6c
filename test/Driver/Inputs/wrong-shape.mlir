// One name for tables of two sizes.
module @wrong attributes {xf.kind = "language_model", xf.config = {d_model = 16 : i64}} {
  func.func @model(%ids: tensor<?xi32> {xf.name = "ids"}, %offsets: tensor<?xi32> {xf.name = "offsets"}, %labels: tensor<?xi32> {xf.name = "labels"}) -> tensor<?x16xf32> attributes {xf.entry} {
    %a = xf.embed "shared" (%ids, %offsets) vocabulary(100) positions(sinusoidal) : (tensor<?xi32>, tensor<?xi32>) -> tensor<?x16xf32>
    %b = xf.embed "shared" (%ids, %offsets) vocabulary(90) positions(sinusoidal) : (tensor<?xi32>, tensor<?xi32>) -> tensor<?x16xf32>
    %c = xf.add %a, %b : tensor<?x16xf32>
    return %c : tensor<?x16xf32>
  }
}
