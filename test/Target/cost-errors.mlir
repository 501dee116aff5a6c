// A cost that the description can't say.
// RUN: xf-opt %s --xf-emit-program=cpu=x86-64-v3 --split-input-file --verify-diagnostics

func.func private @copy(%x: memref<?xf32>, %y: memref<?xf32>, %tile: index, %end: index, %scratch: memref<?xi8>)
    attributes {xf.kernel = #xf<kernel elementwise>, xf.grid = [], xf.scratch = 0 : i64} {
  return
}
func.func @entry() attributes {xf.entry, xf.dims = ["tokens"], xf.inputs = [], xf.outputs = []} {
  %x = xf.buffer input(0) extents [array<i64: 0, 1>] : memref<?xf32>
  // expected-error@+1 {{expected 'cost' to be two sums, products or quotients of 1 symbols at stage 'target', but got affine_map<()[s0] -> (s0 mod 2, 0)>}}
  xf.dispatch @copy "copy" (%x, %x) writes [1] cost affine_map<()[s0] -> (s0 mod 2, 0)> : (memref<?xf32>, memref<?xf32>) -> ()
  return
}

// -----

func.func private @copy(%x: memref<?xf32>, %y: memref<?xf32>, %tile: index, %end: index, %scratch: memref<?xi8>)
    attributes {xf.kernel = #xf<kernel elementwise>, xf.grid = [], xf.scratch = 0 : i64} {
  return
}
func.func @entry() attributes {xf.entry, xf.dims = ["tokens"], xf.inputs = [], xf.outputs = []} {
  %x = xf.buffer input(0) extents [array<i64: 0, 1>] : memref<?xf32>
  // expected-error@+1 {{of 1 symbols at stage 'target', but got affine_map<()[s0, s1] -> (s1, 0)>}}
  xf.dispatch @copy "copy" (%x, %x) writes [1] cost affine_map<()[s0, s1] -> (s1, 0)> : (memref<?xf32>, memref<?xf32>) -> ()
  return
}
