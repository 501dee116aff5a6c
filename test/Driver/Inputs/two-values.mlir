// After stage `fuse`: one of two functions has a constant that stage `plan` does not take.
module @two_values attributes {xf.kind = "functions"} {
  func.func @fine(%x: tensor<?x8xf32> {xf.name = "x"}) -> (tensor<?x8xf32> {xf.name = "y"}) attributes {xf.entry} {
    %y = xf.group elementwise "relu" {
      %r = xf.relu %x : tensor<?x8xf32>
      xf.yield %r : tensor<?x8xf32>
    } : tensor<?x8xf32>
    return %y : tensor<?x8xf32>
  }
  func.func @wrong(%x: tensor<2xf32> {xf.name = "x"}) -> (tensor<2xf32> {xf.name = "y"}) attributes {xf.entry} {
    %two = arith.constant dense<[1.0, 2.0]> : tensor<2xf32>
    %r = xf.group elementwise "relu" {
      %s = xf.relu %x : tensor<2xf32>
      xf.yield %s : tensor<2xf32>
    } : tensor<2xf32>
    %y = xf.group elementwise "sum" {
      %s = xf.add %r, %two : tensor<2xf32>
      xf.yield %s : tensor<2xf32>
    } : tensor<2xf32>
    return %y : tensor<2xf32>
  }
}
