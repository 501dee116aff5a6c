// What a kernel asks for when it is scheduled: memory while it runs, and as many blocks as a sum of extents says.
// RUN: xf-opt %s --split-input-file --xf-emit-program="cpu=x86-64-v3 gpu=sm_90a" --verify-diagnostics | FileCheck %s

// The workspace is the last operand, and a slot of its dispatch alone: 10 + 67 rows numbers of 4 bytes.
// CHECK: \22dispatches\22:[{\22dims\22:[1,1,3],\22grid\22:{{\[\[}}2,128]],{{.*}}\22operands\22:{{\[\[}}\22input\22,0],[\22slot\22,0],[\22slot\22,1]],\22scalars\22:[],\22writes\22:[1,2]}
// CHECK-SAME: {\22dims\22:[1,1,3],{{.*}}\22operands\22:{{\[\[}}\22slot\22,0],[\22output\22,0],[\22slot\22,2]]
// CHECK-SAME: \22sizes\22:{{\[\[}}0,256],[0,1],[256,4],[10,67],[40,268]]
// CHECK-SAME: \22slots\22:[{\22first\22:0,\22last\22:1,\22name\22:\22between\22,\22size\22:0,\22type\22:\22f32\22},{\22first\22:0,\22last\22:0,\22name\22:\22first\22,\22size\22:4,\22type\22:\22f32\22},{\22first\22:1,\22last\22:1,\22name\22:\22second\22
module {
  func.func private @sum(memref<?x64xf32>, memref<?x64xf32>) attributes {xf.kernel = #xf<kernel attention_backward>, xf.grid = [array<i64: -2, 0, 0, 128>], xf.grid_sum = [array<i64: 0, 0, 4>, array<i64: -1, 0, 256>], xf.workspace = [array<i64: 0, 0, 67>, array<i64: -1, 0, 10>], xf.scratch = 0 : i64, xf.threads = 128 : i64}
  func.func @entry() attributes {xf.entry, xf.dims = ["rows"], xf.inputs = [{extents = [array<i64: 0, 1>], name = "x", type = memref<?x64xf32>}], xf.outputs = [{extents = [array<i64: 0, 1>], name = "y", type = memref<?x64xf32>}]} {
    %x = xf.buffer input(0) extents [array<i64: 0, 1>] : memref<?x64xf32>
    %s = xf.buffer slot(0) extents [array<i64: 0, 1>] live [0, 1] "between" : memref<?x64xf32>
    %y = xf.buffer output(0) extents [array<i64: 0, 1>] : memref<?x64xf32>
    xf.dispatch @sum "first" (%x, %s) writes [1] : (memref<?x64xf32>, memref<?x64xf32>) -> ()
    xf.dispatch @sum "second" (%s, %y) writes [1] : (memref<?x64xf32>, memref<?x64xf32>) -> ()
    return
  }
}

// -----

module {
  func.func private @sum(memref<?x64xf32>, memref<?x64xf32>) attributes {xf.kernel = #xf<kernel attention_backward>, xf.grid = [array<i64: -1, 1, 0, 1>], xf.workspace = [array<i64: 2, 0, 67>], xf.scratch = 0 : i64, xf.threads = 128 : i64}
  func.func @entry() attributes {xf.entry, xf.dims = ["rows"], xf.inputs = [{extents = [array<i64: 0, 1>], name = "x", type = memref<?x64xf32>}], xf.outputs = [{extents = [array<i64: 0, 1>], name = "y", type = memref<?x64xf32>}]} {
    %x = xf.buffer input(0) extents [array<i64: 0, 1>] : memref<?x64xf32>
    %y = xf.buffer output(0) extents [array<i64: 0, 1>] : memref<?x64xf32>
    // expected-error @+1 {{expected 'xf.workspace' of 'sum' to be about its operands, but got array<i64: 2, 0, 67>}}
    xf.dispatch @sum "first" (%x, %y) writes [1] : (memref<?x64xf32>, memref<?x64xf32>) -> ()
    return
  }
}

// -----

module {
  func.func private @sum(memref<?x64xf32>, memref<?x64xf32>) attributes {xf.kernel = #xf<kernel attention_backward>, xf.grid = [array<i64: -2, 0, 0, 128>], xf.scratch = 0 : i64, xf.threads = 128 : i64}
  func.func @entry() attributes {xf.entry, xf.dims = ["rows"], xf.inputs = [{extents = [array<i64: 0, 1>], name = "x", type = memref<?x64xf32>}], xf.outputs = [{extents = [array<i64: 0, 1>], name = "y", type = memref<?x64xf32>}]} {
    %x = xf.buffer input(0) extents [array<i64: 0, 1>] : memref<?x64xf32>
    %y = xf.buffer output(0) extents [array<i64: 0, 1>] : memref<?x64xf32>
    // expected-error @+1 {{expected 'xf.grid' of 'sum' to be about its operands, but got array<i64: -2, 0, 0, 128>}}
    xf.dispatch @sum "first" (%x, %y) writes [1] : (memref<?x64xf32>, memref<?x64xf32>) -> ()
    return
  }
}

// -----

// What runs in a dispatch's place has its own kernel, grid and workspace, in the lifetime of the dispatch; 2 rows - 3 is the form.
// CHECK: \22dispatches\22:[{\22dims\22:[0,0],\22grid\22:{{\[\[}}0,64]],\22kernel\22:0,\22label\22:\22first\22,\22operands\22:{{\[\[}}\22input\22,0],[\22output\22,0]],
// CHECK-SAME: \22otherwise\22:{\22dispatch\22:{\22dims\22:[0,0,2],\22grid\22:{{\[\[}}0,128]],\22kernel\22:1,\22label\22:\22first\22,\22operands\22:{{\[\[}}\22input\22,0],[\22output\22,0],[\22slot\22,0]],\22scalars\22:[],\22writes\22:[1,2]},\22where\22:1},
// CHECK-SAME: \22sizes\22:{{\[\[}}0,1],[-3,2],[0,67],[0,268]]
// CHECK-SAME: \22slots\22:[{\22first\22:0,\22last\22:0,\22name\22:\22first\22,\22size\22:3,\22type\22:\22f32\22}]
module {
  func.func private @sum(memref<?x64xf32>, memref<?x64xf32>) attributes {xf.kernel = #xf<kernel attention_backward>, xf.grid = [array<i64: 0, 0, 0, 64>], xf.scratch = 0 : i64, xf.threads = 128 : i64}
  func.func private @sum_long(memref<?x64xf32>, memref<?x64xf32>) attributes {xf.kernel = #xf<kernel attention_backward>, xf.grid = [array<i64: 0, 0, 0, 128>], xf.workspace = [array<i64: 0, 0, 67>], xf.scratch = 0 : i64, xf.threads = 128 : i64}
  func.func @entry() attributes {xf.entry, xf.dims = ["rows"], xf.inputs = [{extents = [array<i64: 0, 1>], name = "x", type = memref<?x64xf32>}], xf.outputs = [{extents = [array<i64: 0, 1>], name = "y", type = memref<?x64xf32>}]} {
    %x = xf.buffer input(0) extents [array<i64: 0, 1>] : memref<?x64xf32>
    %y = xf.buffer output(0) extents [array<i64: 0, 1>] : memref<?x64xf32>
    xf.dispatch @sum "first" (%x, %y) writes [1] or @sum_long where [-3, 2] : (memref<?x64xf32>, memref<?x64xf32>) -> ()
    return
  }
}

// -----

module {
  func.func private @sum(memref<?x64xf32>, memref<?x64xf32>) attributes {xf.kernel = #xf<kernel attention_backward>, xf.grid = [array<i64: 0, 0, 0, 64>], xf.scratch = 0 : i64, xf.threads = 128 : i64}
  func.func private @sum_long(memref<?x64xf32>, memref<?x64xf32>) attributes {xf.kernel = #xf<kernel attention_backward>, xf.grid = [array<i64: 0, 0, 0, 128>], xf.workspace = [array<i64: 2, 0, 67>], xf.scratch = 0 : i64, xf.threads = 128 : i64}
  func.func @entry() attributes {xf.entry, xf.dims = ["rows"], xf.inputs = [{extents = [array<i64: 0, 1>], name = "x", type = memref<?x64xf32>}], xf.outputs = [{extents = [array<i64: 0, 1>], name = "y", type = memref<?x64xf32>}]} {
    %x = xf.buffer input(0) extents [array<i64: 0, 1>] : memref<?x64xf32>
    %y = xf.buffer output(0) extents [array<i64: 0, 1>] : memref<?x64xf32>
    // expected-error @+1 {{expected 'xf.workspace' of 'sum_long' to be about its operands, but got array<i64: 2, 0, 67>}}
    xf.dispatch @sum "first" (%x, %y) writes [1] or @sum_long where [-3, 2] : (memref<?x64xf32>, memref<?x64xf32>) -> ()
    return
  }
}
