// A kernel by itself is given its entry function; of one that was compiled by itself the program's table needs no more.
// RUN: split-file %s %t
// RUN: xf-opt %t/kernel.mlir --xf-emit-entries | FileCheck %s --check-prefix=KERNEL
// RUN: xf-opt %t/program.mlir --xf-emit-program=cpu=x86-64-v3 | FileCheck %s --check-prefix=PROGRAM

// KERNEL: func.func private @scale({{.*}} attributes {llvm.linkage = #llvm.linkage<internal>} {
// KERNEL: llvm.func hidden @scale.entry({{.*}} {
// KERNEL: call @scale(
// PROGRAM-NOT: func.func
// PROGRAM: \22kernels\22:[{\22name\22:\22scale\22,\22schedule\22:\22\22,\22scratch\22:192,\22shape\22:\22{{[^]]*}}\22}]
// PROGRAM-NOT: func.func
// PROGRAM: llvm.func hidden @scale.entry(!llvm.ptr, !llvm.ptr, !llvm.ptr, i64, i64, !llvm.ptr){{$}}
// PROGRAM: @xf_kernels
// PROGRAM: llvm.mlir.addressof @scale.entry

//--- kernel.mlir
func.func private @scale(%x: memref<8xf32>, %begin: index, %end: index, %scratch: memref<?xi8>)
    attributes {xf.kernel = #xf<kernel elementwise>, xf.grid = [array<i64: -1, 8, 0, 8>], xf.scratch = 192 : i64} {
  return
}

//--- program.mlir
func.func private @scale(tensor<8xf32>) -> tensor<8xf32>
    attributes {xf.kernel = #xf<kernel elementwise>, xf.grid = [array<i64: -1, 8, 0, 8>], xf.scratch = 192 : i64}
func.func @entry() attributes {xf.entry, xf.dims = [], xf.inputs = [], xf.outputs = [{extents = [], name = "y", type = memref<8xf32>}]} {
  %y = xf.buffer output(0) : memref<8xf32>
  xf.dispatch @scale "scale" (%y) writes [0] : (memref<8xf32>) -> ()
  return
}
