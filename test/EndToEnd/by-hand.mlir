// Modules as a person may write them: sums in place of what is read too, two losses, a layer applied twice.
// RUN: rm -rf %t && split-file %s %t && cd %t
// What is written in place of an operand is that operand's alone: another reader of it finds what was there.
// RUN: xf-compile residual.mlir --check=residual
// RUN: xf-compile epilogue.mlir --check=epilogue
// An input is the caller's: a second call finds it as it was.
// RUN: xf-opt epilogue.mlir --xf-pipeline=to=plan | FileCheck %s --check-prefix=PLAN
// PLAN: %[[T:.*]] = xf.buffer input(2)
// PLAN: %[[SUM:.*]] = xf.buffer output(0)
// PLAN: xf.dispatch @copy{{.*}} "copy for matmul"(%[[T]], %[[SUM]])
// RUN: xf-compile losses.mlir --check=losses
// RUN: xf-compile applied.mlir -o applied && ./applied info | FileCheck %s --check-prefix=APPLIED
// APPLIED: attention{{.*}}{{$}}

//--- residual.mlir
module @residual attributes {xf.kind = "encoder", xf.config = {d_model = 64 : i64, vocabulary = 20 : i64}} {
  func.func @encode(%ids: tensor<?xi32> {xf.name = "ids", xf.dims = ["tokens"]}, %offsets: tensor<?xi32> {xf.name = "offsets", xf.dims = ["offsets"]}) -> (tensor<?x64xf32> {xf.name = "states"}) attributes {xf.entry} {
    %x = xf.embed "e" (%ids, %offsets) vocabulary(20) positions(none) : (tensor<?xi32>, tensor<?xi32>) -> tensor<?x64xf32>
    %w = xf.get_param @w : tensor<64x64xf32>
    %y = xf.matmul %x, %w into %x transpose_b : (tensor<?x64xf32>, tensor<64x64xf32>, tensor<?x64xf32>) -> tensor<?x64xf32>
    return %y : tensor<?x64xf32>
  }
  xf.param @w : tensor<64x64xf32> normal(0.1)
}

//--- epilogue.mlir
module @epilogue attributes {xf.config = {d_model = 8 : i64}} {
  func.func @sum(%x: tensor<?x8xf32> {xf.name = "x", xf.dims = ["n"]}, %w: tensor<8x8xf32> {xf.name = "w"}, %t: tensor<?x8xf32> {xf.name = "t", xf.dims = ["n"]}) -> (tensor<?x8xf32> {xf.name = "product"}, tensor<?x8xf32> {xf.name = "sum"}) attributes {xf.entry} {
    %product = xf.matmul %x, %w into %t : (tensor<?x8xf32>, tensor<8x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
    %sum = xf.add %product, %t : tensor<?x8xf32>
    return %product, %sum : tensor<?x8xf32>, tensor<?x8xf32>
  }
}

//--- losses.mlir
module @losses attributes {xf.kind = "language_model", xf.config = {d_model = 8 : i64, vocabulary = 20 : i64}} {
  func.func @model(%ids: tensor<?xi32> {xf.name = "ids", xf.dims = ["tokens"]}, %offsets: tensor<?xi32> {xf.name = "offsets", xf.dims = ["offsets"]}, %labels: tensor<?xi32> {xf.name = "labels", xf.dims = ["tokens"]}) -> (tensor<f32> {xf.name = "loss"}, tensor<?xf32> {xf.name = "token_nll"}) attributes {xf.entry} {
    %x = xf.embed "e" (%ids, %offsets) vocabulary(20) positions(none) : (tensor<?xi32>, tensor<?xi32>) -> tensor<?x8xf32>
    %tied = xf.project "e" (%x) : (tensor<?x8xf32>) -> tensor<?x20xf32>
    %loss0, %nll0, %sum0 = xf.cross_entropy %tied, %labels : (tensor<?x20xf32>, tensor<?xi32>) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
    %first = xf.mean %loss0 : (tensor<?xf32>) -> tensor<f32>
    %own = xf.project "head" (%x) : (tensor<?x8xf32>) -> tensor<?x20xf32>
    %loss1, %nll1, %sum1 = xf.cross_entropy %own, %labels : (tensor<?x20xf32>, tensor<?xi32>) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
    %second = xf.mean %loss1 : (tensor<?xf32>) -> tensor<f32>
    %loss = xf.add %first, %second : tensor<f32>
    return %loss, %nll0 : tensor<f32>, tensor<?xf32>
  }
}

//--- applied.mlir
module @applied attributes {xf.kind = "language_model", xf.config = {d_model = 8 : i64, vocabulary = 20 : i64}} {
  func.func @model(%ids: tensor<?xi32> {xf.name = "ids", xf.dims = ["tokens"]}, %offsets: tensor<?xi32> {xf.name = "offsets", xf.dims = ["offsets"]}, %labels: tensor<?xi32> {xf.name = "labels", xf.dims = ["tokens"]}) -> (tensor<f32> {xf.name = "loss"}, tensor<?xf32> {xf.name = "token_nll"}) attributes {xf.entry} {
    %x = xf.embed "e" (%ids, %offsets) vocabulary(20) positions(none) : (tensor<?xi32>, tensor<?xi32>) -> tensor<?x8xf32>
    %a = xf.multi_head_attention "a" (%x, %x, %x) offsets(%offsets, %offsets) heads(2) head_dims(4, 4) causal : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x8xf32>
    %b = xf.multi_head_attention "a" (%a, %a, %a) offsets(%offsets, %offsets) heads(2) head_dims(4, 4) causal : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x8xf32>
    %logits = xf.project "e" (%b) : (tensor<?x8xf32>) -> tensor<?x20xf32>
    %losses, %nll, %sums = xf.cross_entropy %logits, %labels : (tensor<?x20xf32>, tensor<?xi32>) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
    %loss = xf.mean %losses : (tensor<?xf32>) -> tensor<f32>
    return %loss, %nll : tensor<f32>, tensor<?xf32>
  }
}
