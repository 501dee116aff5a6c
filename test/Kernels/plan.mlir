// One list an entry point: calls inlined, parameters and gradients in their arenas, everything else in slots with the dispatches between which they are alive.
// RUN: xf-opt %s --inline --xf-plan | FileCheck %s

xf.param @w : tensor<8x8xf32> xavier_uniform(1.0)
xf.param @b : tensor<3xf32> zeros(1.0)
xf.param @u : tensor<8x8xf32> xavier_uniform(1.0)
xf.param @odd : tensor<2x3xf32> zeros(1.0)

func.func private @linear(%x: tensor<?x8xf32>, %w: tensor<8x8xf32>) -> (tensor<?x8xf32> {xf.extents = [array<i64: 0, 0>]}) attributes {xf.kernel = #xf<kernel matmul>} {
  %0 = xf.linear %x, %w : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}
func.func private @into(%x: tensor<?x8xf32>, %y: tensor<?x8xf32>, %into: tensor<8x8xf32>) -> (tensor<8x8xf32> {xf.in_place = 2 : i64}) attributes {xf.kernel = #xf<kernel matmul>} {
  %0 = xf.matmul %x, %y into %into transpose_a : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<8x8xf32>
  return %0 : tensor<8x8xf32>
}
func.func private @layer(%x: tensor<?x8xf32>, %w: tensor<8x8xf32>) -> tensor<?x8xf32> {
  %0 = xf.dispatch @linear "linear" (%x, %w) : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32> loc("inner")
  return %0 : tensor<?x8xf32>
}

// CHECK: #[[COST:.*]] = affine_map<()[s0] -> (s0 * 8, s0 * 64)>
// The second product's slot begins where the first one's ends; u's place is after w (64 elements) and b (16 with padding).
// CHECK-LABEL: func.func @forward() attributes
// CHECK-SAME: xf.dims = ["tokens"]
// CHECK-SAME: xf.inputs = [{extents = [array<i64: 0, 1>], name = "x", type = memref<?x8xf32>}]
// CHECK-SAME: xf.outputs = [{extents = [array<i64: 0, 1>], name = "y", type = memref<?x8xf32>}]
// CHECK: %[[X:.*]] = xf.buffer input(0) extents [array<i64: 0, 1>] : memref<?x8xf32>
// CHECK: %[[W:.*]] = xf.buffer parameter(0) "w" : memref<8x8xf32>
// CHECK: %[[S0:.*]] = xf.buffer slot(0) extents [array<i64: 0, 1>] live [0, 1] "a.inner" : memref<?x8xf32>
// CHECK: xf.dispatch @linear "a.inner"(%[[X]], %[[W]], %[[S0]]) writes [2]
// CHECK: %[[U:.*]] = xf.buffer parameter(80) "u" : memref<8x8xf32>
// CHECK: %[[S1:.*]] = xf.buffer slot(1) extents [array<i64: 0, 1>] live [1, 2] "b.inner"
// CHECK: xf.dispatch @linear "b.inner"(%[[S0]], %[[U]], %[[S1]])
// CHECK: %[[Y:.*]] = xf.buffer output(0)
// CHECK: xf.dispatch @linear "c.inner"(%[[S1]], %[[U]], %[[Y]])
func.func @forward(%x: tensor<?x8xf32> {xf.name = "x", xf.dims = ["tokens"]}) -> (tensor<?x8xf32> {xf.name = "y"}) attributes {xf.entry} {
  %w = xf.get_param @w : tensor<8x8xf32>
  %u = xf.get_param @u : tensor<8x8xf32>
  %0 = call @layer(%x, %w) : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32> loc("a")
  %1 = call @layer(%0, %u) : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32> loc("b")
  %2 = call @layer(%1, %u) : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32> loc("c")
  return %2 : tensor<?x8xf32>
}

// Rows of another width are the same memory, alive as long as either is; what is updated in place while the other is read is copied.
// CHECK-LABEL: func.func @reshape
// CHECK: %[[S:.*]] = xf.buffer slot(0) extents [array<i64: 0, 1>] live [0, 3] "a.inner" : memref<?x8xf32>
// CHECK: xf.dispatch @linear "a.inner"(%{{.*}}, %{{.*}}, %[[S]]) writes [2]
// CHECK: %[[V:.*]] = xf.buffer slot(0) view extents [array<i64: 0, 2>] live [0, 3] "a.inner" : memref<?x4xf32>
// CHECK: %[[R:.*]] = xf.buffer slot(1) extents [array<i64: 0, 2>] live [1, 3] {{.*}}: memref<?x4xf32>
// CHECK: xf.dispatch @relu "relu"(%[[V]], %[[R]]) writes [1] cost #[[COST]]
// CHECK: %[[B:.*]] = xf.buffer slot(1) view extents [array<i64: 0, 1>] live [1, 3] {{.*}} : memref<?x8xf32>
// CHECK: xf.dispatch @into "into"(%[[B]], %[[S]],
func.func private @relu(%x: tensor<?x4xf32>) -> (tensor<?x4xf32> {xf.extents = [array<i64: 0, 0>]}) attributes {xf.kernel = #xf<kernel elementwise>} {
  %0 = xf.relu %x : tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}
func.func @reshape(%x: tensor<?x8xf32> {xf.name = "x", xf.dims = ["tokens"]}, %sum: tensor<8x8xf32> {xf.name = "sum"}) -> (tensor<8x8xf32> {xf.name = "y"}) attributes {xf.entry} {
  %w = xf.get_param @w : tensor<8x8xf32>
  %0 = call @layer(%x, %w) : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32> loc("a")
  %1 = xf.reshape %0 : tensor<?x8xf32> to tensor<?x4xf32>
  %2 = xf.dispatch @relu "relu" (%1) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  %3 = xf.reshape %2 : tensor<?x4xf32> to tensor<?x8xf32>
  %4 = xf.dispatch @into "into" (%3, %0, %sum) : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<8x8xf32>
  return %4 : tensor<8x8xf32>
}
// CHECK-LABEL: func.func @reshaped_sum
// CHECK: xf.dispatch @into "first"(%{{.*}}, %{{.*}}, %[[Z:.*]], %[[Z]])
// CHECK: xf.dispatch @copy_8x8 "copy for second"(%[[Z]], %[[COPY:.*]]) writes [1]
// CHECK: xf.dispatch @into "second"(%{{.*}}, %{{.*}}, %[[COPY]], %[[COPY]])
// CHECK: %[[V:.*]] = xf.buffer slot({{.*}}) view live {{.*}} : memref<16x4xf32>
// CHECK: xf.dispatch @copy_16x4 "copy of halves"(%[[V]], %{{.*}})
func.func @reshaped_sum(%x: tensor<?x8xf32> {xf.name = "x"}) -> (tensor<8x8xf32> {xf.name = "y"}, tensor<16x4xf32> {xf.name = "halves"}) attributes {xf.entry} {
  %zero = arith.constant dense<0.0> : tensor<8x8xf32>
  %0 = xf.dispatch @into "first" (%x, %x, %zero) : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<8x8xf32>
  %1 = xf.reshape %0 : tensor<8x8xf32> to tensor<16x4xf32>
  %2 = xf.dispatch @into "second" (%x, %x, %0) : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<8x8xf32>
  return %2, %1 : tensor<8x8xf32>, tensor<16x4xf32>
}

// Copies of parameters in bf16 are parts of one slot, which one kernel makes of all of them where most are wanted; but for one whose
// rows would have gaps.
// CHECK-LABEL: func.func @narrow
// CHECK: %[[ALL:.*]] = xf.buffer parameter(0) : memref<1x1024xf32>
// CHECK: %[[COPY:.*]] = xf.buffer slot(0) live [0, 2] "parameters in bf16" : memref<1x1024xbf16>
// CHECK: xf.dispatch @cast_1x1024 "parameters in bf16"(%[[ALL]], %[[COPY]]) writes [1]
// CHECK: %[[NW:.*]] = xf.buffer slot(0) at 0 live [0, 2] "parameters in bf16" : memref<8x8xbf16>
// CHECK: xf.dispatch @linear_bf16 "linear"(%{{.*}}, %[[NW]], %{{.*}})
// CHECK: %[[NU:.*]] = xf.buffer slot(0) at 160 live [0, 2] "parameters in bf16" : memref<8x8xbf16>
// CHECK: xf.dispatch @linear_bf16 "linear"(%{{.*}}, %[[NU]], %{{.*}})
// CHECK: xf.dispatch @cast_2x3 "odd"(%{{.*}}) writes [1] {{.*}} : (memref<2x3xf32>, memref<2x3xbf16, strided<[8, 1]>>)
func.func private @cast_8x8(%x: tensor<8x8xf32>) -> tensor<8x8xbf16> attributes {xf.kernel = #xf<kernel elementwise>} {
  %0 = xf.cast %x : tensor<8x8xf32> to tensor<8x8xbf16>
  return %0 : tensor<8x8xbf16>
}
func.func private @cast_2x3(%x: tensor<2x3xf32>) -> tensor<2x3xbf16> attributes {xf.kernel = #xf<kernel elementwise>} {
  %0 = xf.cast %x : tensor<2x3xf32> to tensor<2x3xbf16>
  return %0 : tensor<2x3xbf16>
}
func.func private @linear_bf16(%x: tensor<?x8xf32>, %w: tensor<8x8xbf16>) -> (tensor<?x8xf32> {xf.extents = [array<i64: 0, 0>]}) attributes {xf.kernel = #xf<kernel matmul>} {
  %wide = xf.cast %w : tensor<8x8xbf16> to tensor<8x8xf32>
  %0 = xf.linear %x, %wide : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}
func.func private @linear_2x3_bf16(%x: tensor<?x3xf32>, %w: tensor<2x3xbf16>) -> (tensor<?x2xf32> {xf.extents = [array<i64: 0, 0>]}) attributes {xf.kernel = #xf<kernel matmul>} {
  %wide = xf.cast %w : tensor<2x3xbf16> to tensor<2x3xf32>
  %0 = xf.linear %x, %wide : (tensor<?x3xf32>, tensor<2x3xf32>) -> tensor<?x2xf32>
  return %0 : tensor<?x2xf32>
}
func.func @narrow(%x: tensor<?x8xf32> {xf.name = "x", xf.dims = ["tokens"]}, %z: tensor<?x3xf32> {xf.name = "z", xf.dims = ["tokens"]})
    -> (tensor<?x8xf32> {xf.name = "y"}, tensor<?x2xf32> {xf.name = "v"}) attributes {xf.entry} {
  %w = xf.get_param @w : tensor<8x8xf32>
  %u = xf.get_param @u : tensor<8x8xf32>
  %odd = xf.get_param @odd : tensor<2x3xf32>
  %nw = xf.dispatch @cast_8x8 "w" (%w) : (tensor<8x8xf32>) -> tensor<8x8xbf16>
  %0 = xf.dispatch @linear_bf16 "linear" (%x, %nw) : (tensor<?x8xf32>, tensor<8x8xbf16>) -> tensor<?x8xf32>
  %nu = xf.dispatch @cast_8x8 "u" (%u) : (tensor<8x8xf32>) -> tensor<8x8xbf16>
  %1 = xf.dispatch @linear_bf16 "linear" (%0, %nu) : (tensor<?x8xf32>, tensor<8x8xbf16>) -> tensor<?x8xf32>
  %no = xf.dispatch @cast_2x3 "odd" (%odd) : (tensor<2x3xf32>) -> tensor<2x3xbf16>
  %2 = xf.dispatch @linear_2x3_bf16 "linear" (%z, %no) : (tensor<?x3xf32>, tensor<2x3xbf16>) -> tensor<?x2xf32>
  return %1, %2 : tensor<?x8xf32>, tensor<?x2xf32>
}

// Gradients that are asked for live in the gradient arena, at the place of their parameter; a sum in place shares its operand's memory.
// CHECK-LABEL: func.func @gradients
// CHECK: %[[G:.*]] = xf.buffer gradient(80)
// CHECK-NEXT: xf.dispatch @fill_8x8_0_000000e_00 "constant"(%[[G]]) writes [0]
// CHECK: xf.dispatch @into "into"(%{{.*}}, %{{.*}}, %[[G]], %[[G]]) writes [3]
func.func @gradients(%x: tensor<?x8xf32> {xf.name = "x"}) -> (tensor<8x8xf32> {xf.name = "grad.u"}) attributes {xf.entry} {
  %zero = arith.constant dense<0.0> : tensor<8x8xf32>
  %0 = xf.dispatch @into "into" (%x, %x, %zero) : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<8x8xf32>
  return %0 : tensor<8x8xf32>
}

// An operand that is read again afterwards is copied before it is updated in place, and so is a parameter, and what a caller gives.
// CHECK-LABEL: func.func @copies
// CHECK: xf.dispatch @copy_8x8 "copy for into"
// CHECK: xf.dispatch @into
func.func @copies(%x: tensor<?x8xf32> {xf.name = "x"}) -> (tensor<8x8xf32> {xf.name = "g"}) attributes {xf.entry} {
  %w = xf.get_param @w : tensor<8x8xf32>
  %0 = xf.dispatch @into "into" (%x, %x, %w) : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<8x8xf32>
  return %0 : tensor<8x8xf32>
}
// CHECK-LABEL: func.func @given
// CHECK: xf.dispatch @copy_8x8 "copy for into"(%{{.*}}, %[[Y:.*]]) writes [1]
// CHECK: xf.dispatch @into "into"(%{{.*}}, %{{.*}}, %[[Y]], %[[Y]]) writes [3]
func.func @given(%x: tensor<?x8xf32> {xf.name = "x"}, %sum: tensor<8x8xf32> {xf.name = "sum"}) -> (tensor<8x8xf32> {xf.name = "y"}) attributes {xf.entry} {
  %0 = xf.dispatch @into "into" (%x, %x, %sum) : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<8x8xf32>
  return %0 : tensor<8x8xf32>
}

// The optimizer works on whole arenas: gradients in their places, then one sum, one norm, one Adam.
// CHECK-LABEL: func.func @train
// CHECK: %[[GRADIENTS:.*]] = xf.buffer gradient(0) : memref<1x1024xf32>
// CHECK: xf.dispatch @squared_sums_1x1024 "squared_sums"(%[[GRADIENTS]]
// CHECK: xf.dispatch @gradient_norm_1x1024 "gradient_norm"
// CHECK: %[[P:.*]] = xf.buffer parameter(0) : memref<1x1024xf32>
// CHECK: xf.dispatch @adam_1x1024 "adam"(%[[P]], %{{.*}}, %[[M:.*]], %[[V:.*]], %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %[[P]], %[[M]], %[[V]]) writes [8, 9, 10]
func.func @train(%x: tensor<?x8xf32>, %random: tensor<2xi64>, %hyper: tensor<8xf32>, %lr: tensor<f32>) -> (tensor<f32> {xf.name = "gradient_norm"}) attributes {xf.entry} {
  %zero = arith.constant dense<0.0> : tensor<8x8xf32>
  %0 = xf.dispatch @into "into" (%x, %x, %zero) : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<8x8xf32>
  %one = arith.constant dense<1.0> : tensor<8x8xf32>
  %b = arith.constant dense<1.0> : tensor<3xf32>
  %norm = xf.global_norm %0, %b, %one : (tensor<8x8xf32>, tensor<3xf32>, tensor<8x8xf32>) -> tensor<f32>
  xf.adam %0, %b, %one parameters [@w, @b, @u] norm(%norm) learning_rate(%lr) state(%random, %hyper)
    : tensor<8x8xf32>, tensor<3xf32>, tensor<8x8xf32>, tensor<f32>, tensor<f32>, tensor<2xi64>, tensor<8xf32>
  return %norm : tensor<f32>
}
