// The object's symbols: description, kernel entry functions, table.
// RUN: xf-opt %s --xf-emit-program=cpu=x86-64-v3 | FileCheck %s
// RUN: xf-opt %s --xf-emit-program=cpu=x86-64-v3 --xf-lower-to-llvm | FileCheck %s --check-prefix=LLVM
// RUN: not xf-opt %s --xf-emit-program=cpu=x86-64-v33 2>&1 | FileCheck %s --check-prefix=CPU

// CPU: unknown cpu 'x86-64-v33'; did you mean 'x86-64-v3'?

// CHECK: llvm.mlir.global external constant @xf_program_json("{\22abi\22:3,\22functions\22:[{\22dims\22:[\22tokens\22],
// The last dispatch writes its second operand; one dynamic extent an operand; two tiles of 32 columns for every 4 rows.
// CHECK-SAME: \22dispatches\22:[{\22bytes\22:1,\22dims\22:[1,1],\22flops\22:0,\22grid\22:{{\[\[}}1,4],[2,32]],\22kernel\22:0,\22label\22:\22copy\22,\22operands\22:{{\[\[}}\22input\22,0],[\22slot\22,0]],\22scalars\22:[7],\22writes\22:[1]}
// CHECK-SAME: \22formulas\22:[0,[\22/\22,[\22*\22,\22tokens\22,\22tokens\22],[\22+\22,\22tokens\22,-1]]]
// CHECK-SAME: \22inputs\22:[{\22name\22:\22x\22,\22shape\22:[\22tokens\22,64],\22type\22:\22f32\22}]
// CHECK-SAME: \22requirements\22:[{\22input\22:0,\22kind\22:\22rows\22,\22of\22:\22as the model has\22,\22size\22:3}]
// CHECK-SAME: \22sizes\22:{{\[\[}}0,256],[0,1],[64,0],[9,0]],\22slots\22:[{\22first\22:0,\22last\22:1,\22name\22:\22copy\22,\22size\22:0,\22type\22:\22f32\22}]
// CHECK-SAME: \22kernels\22:[{\22name\22:\22copy\22,\22schedule\22:\22rows = 4\22,\22scratch\22:128,\22shape\22:\22?x64 -> ?x64\22}]
// CHECK-SAME: \22kind\22:\22functions\22
// CHECK-SAME: \22parameter_elements\22:1024,\22parameters\22:[{\22init\22:{\22gain\22:1,\22kind\22:\22xavier_uniform\22},\22name\22:\22w\22,\22offset\22:0,\22shape\22:[8,8]}]
// CHECK-SAME: \22cpu\22:\22x86-64-v3\22,\22features\22:[{{.*}}\22avx2\22,\22fma\22
// CHECK: @xf_kernel_count(1 : i64)
// CHECK: llvm.func hidden @copy.entry(%{{.*}}: !llvm.ptr, %{{.*}}: !llvm.ptr, %{{.*}}: !llvm.ptr, %{{.*}}: i64, %{{.*}}: i64, %{{.*}}: !llvm.ptr)
// CHECK: llvm.mlir.global external constant @xf_kernels() {{.*}} : !llvm.array<1 x ptr>
// CHECK-NOT: @entry
// CHECK-NOT: xf.param
// LLVM-NOT: unrealized_conversion_cast
// LLVM: llvm.call @copy(
module {
  xf.param @w : tensor<8x8xf32> xavier_uniform(1.0)
  func.func private @copy(%x: memref<?x64xf32>, %scalar: i64, %y: memref<?x64xf32>, %tile: index, %end: index, %scratch: memref<?xi8>)
      attributes {xf.kernel = #xf<kernel elementwise>, xf.schedule = #xf.row_schedule<rows = 4>, xf.grid = [array<i64: 0, 0, 0, 4>, array<i64: -1, 64, 0, 32>], xf.scratch = 128 : i64} {
    %c0 = arith.constant 0 : index
    %v = memref.load %x[%tile, %c0] : memref<?x64xf32>
    memref.store %v, %y[%tile, %c0] : memref<?x64xf32>
    return
  }
  func.func @entry() attributes {xf.entry, xf.dims = ["tokens"], xf.inputs = [{extents = [array<i64: 0, 1>], name = "x", type = memref<?x64xf32>}], xf.requirements = [#xf.requirement<rows, input = 0, size = [9, 0], of = "as the model has">], xf.outputs = [{extents = [array<i64: 0, 1>], name = "y", type = memref<?x64xf32>}]} {
    %c7 = arith.constant 7 : i64
    %x = xf.buffer input(0) extents [array<i64: 0, 1>] : memref<?x64xf32>
    %s = xf.buffer slot(0) extents [array<i64: 0, 1>] live [0, 1] "copy" : memref<?x64xf32>
    %y = xf.buffer output(0) extents [array<i64: 0, 1>] : memref<?x64xf32>
    xf.dispatch @copy "copy" (%x, %c7, %s) writes [2] cost affine_map<()[s0] -> (0, (s0 * s0) floordiv (s0 - 1))> : (memref<?x64xf32>, i64, memref<?x64xf32>) -> ()
    xf.dispatch @copy "copy" (%s, %c7, %y) writes [2] : (memref<?x64xf32>, i64, memref<?x64xf32>) -> ()
    return
  }
}
