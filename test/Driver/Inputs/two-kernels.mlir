// For tests of schedules: a product and a kernel on rows.
func.func @f(%x: tensor<?x64xf32> {xf.name = "x", xf.dims = ["tokens"]}, %w: tensor<200x64xf32> {xf.name = "w"}) -> (tensor<?x200xf32> {xf.name = "y"}, tensor<?x64xf32> {xf.name = "z"}) attributes {xf.entry} {
  %0 = xf.linear %x, %w : (tensor<?x64xf32>, tensor<200x64xf32>) -> tensor<?x200xf32>
  %y = xf.relu %0 : tensor<?x200xf32>
  %z = xf.add %x, %x : tensor<?x64xf32>
  return %y, %z : tensor<?x200xf32>, tensor<?x64xf32>
}
