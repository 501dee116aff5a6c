// Stage `plan` fails by what is put together; xf.add is on the way there, and no cast of nothing could be.
func.func @f(%x: tensor<?x8xf32> {xf.name = "x"}, %y: tensor<?x8xf32> {xf.name = "y"}) -> (tensor<?x24xf32> {xf.name = "z"}) attributes {xf.entry} {
  %a = xf.add %x, %y : tensor<?x8xf32>
  %b = xf.relu %a : tensor<?x8xf32>
  %c = xf.reshape %b : tensor<?x8xf32> to tensor<?x24xf32>
  return %c : tensor<?x24xf32>
}
