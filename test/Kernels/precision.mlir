// What becomes bf16, and what does not: the module of a small transformer, where kernels hand each other memory.
// RUN: xf-opt %s --xf-precision --verify-roundtrip | FileCheck %s

// The bias, the statistics of attention and what it captures stay; the weight is cast where a kernel multiplies with it.
// CHECK-LABEL: func.func private @layer(
// CHECK-SAME: %[[X:.*]]: tensor<?x8xbf16>, %{{.*}}: tensor<?xi32>, %[[W:.*]]: tensor<8x8xbf16>, %[[B:.*]]: tensor<8xf32>)
// CHECK-SAME: -> (tensor<?x8xbf16>, tensor<?x2xf32>)
// CHECK: %[[Y:.*]] = xf.dispatch @linear_bf16 "linear"(%[[X]], %[[W]], %[[B]])
// CHECK: %[[A:.*]]:2 = xf.dispatch @attention_bf16 "attention"(%[[Y]], %{{.*}})
// CHECK: return %[[A]]#0, %[[A]]#1
func.func private @layer(%x: tensor<?x8xf32>, %offsets: tensor<?xi32>, %w: tensor<8x8xf32>, %b: tensor<8xf32>) -> (tensor<?x8xf32>, tensor<?x2xf32>) {
  %0 = xf.dispatch @linear "linear"(%x, %w, %b) : (tensor<?x8xf32>, tensor<8x8xf32>, tensor<8xf32>) -> tensor<?x8xf32>
  %1:2 = xf.dispatch @attention "attention"(%0, %offsets) : (tensor<?x8xf32>, tensor<?xi32>) -> (tensor<?x8xf32>, tensor<?x2xf32>)
  return %1#0, %1#1 : tensor<?x8xf32>, tensor<?x2xf32>
}

// An entry point takes and gives f32. A parameter is cast once, before the first product; the table that is looked up in is
// not, and the kernel that computes a result writes f32 itself.
// CHECK-LABEL: func.func @entry(
// CHECK-SAME: -> (tensor<?x8xf32> {xf.name = "states"}, tensor<?x8xf32> {xf.name = "last"}, tensor<8x8xf32> {xf.name = "grad.w"})
// CHECK: %[[P:.*]] = xf.get_param @w : tensor<8x8xf32>
// CHECK: %[[E:.*]] = xf.dispatch @embedding_bf16 "embedding"(%{{.*}}, %[[P]]) : (tensor<?xi32>, tensor<8x8xf32>) -> tensor<?x8xbf16>
// CHECK: %[[C:.*]] = xf.dispatch @cast_8x8 "w"(%[[P]]) : (tensor<8x8xf32>) -> tensor<8x8xbf16>
// CHECK: %[[F:.*]]:2 = call @layer(%[[E]], %{{.*}}, %[[C]], %{{.*}})
// CHECK: %[[G:.*]]:2 = call @layer(%[[F]]#0, %{{.*}}, %[[C]], %{{.*}})
// CHECK: %[[L:.*]] = xf.dispatch @linear_bf16_0 "linear"(%[[G]]#0, %[[C]], %{{.*}}) : (tensor<?x8xbf16>, tensor<8x8xbf16>, tensor<8xf32>) -> tensor<?x8xf32>
// CHECK: %[[D:.*]] = xf.dispatch @gradient_bf16 "gradient"(%[[E]], %[[G]]#0) : (tensor<?x8xbf16>, tensor<?x8xbf16>) -> tensor<8x8xf32>
// CHECK: %[[S:.*]] = xf.dispatch @widen_nx8 "cast"(%[[G]]#0) : (tensor<?x8xbf16>) -> tensor<?x8xf32>
// CHECK: return %[[S]], %[[L]], %[[D]]
xf.param @w : tensor<8x8xf32> normal(1.0)
xf.param @b : tensor<8xf32> zeros(1.0)
func.func @entry(%ids: tensor<?xi32> {xf.name = "ids", xf.dims = ["tokens"]}, %offsets: tensor<?xi32> {xf.name = "offsets", xf.dims = ["sequences"]})
    -> (tensor<?x8xf32> {xf.name = "states"}, tensor<?x8xf32> {xf.name = "last"}, tensor<8x8xf32> {xf.name = "grad.w"}) attributes {xf.entry} {
  %w = xf.get_param @w : tensor<8x8xf32>
  %b = xf.get_param @b : tensor<8xf32>
  %e = xf.dispatch @embedding "embedding"(%ids, %w) : (tensor<?xi32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  %f:2 = func.call @layer(%e, %offsets, %w, %b) : (tensor<?x8xf32>, tensor<?xi32>, tensor<8x8xf32>, tensor<8xf32>) -> (tensor<?x8xf32>, tensor<?x2xf32>)
  %g:2 = func.call @layer(%f#0, %offsets, %w, %b) : (tensor<?x8xf32>, tensor<?xi32>, tensor<8x8xf32>, tensor<8xf32>) -> (tensor<?x8xf32>, tensor<?x2xf32>)
  %l = xf.dispatch @linear "linear"(%g#0, %w, %b) : (tensor<?x8xf32>, tensor<8x8xf32>, tensor<8xf32>) -> tensor<?x8xf32>
  %d = xf.dispatch @gradient "gradient"(%e, %g#0) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<8x8xf32>
  return %g#0, %l, %d : tensor<?x8xf32>, tensor<?x8xf32>, tensor<8x8xf32>
}

// What `prepare` keeps for predictions is bf16, and what reads it.
// CHECK-LABEL: func.func @prepare()
// CHECK: %[[K:.*]] = xf.dispatch @pack_bf16 "pack"(%{{.*}}) : (tensor<8x8xf32>) -> tensor<1x8x32xbf16>
// CHECK: xf.set_prepared @w, %[[K]] : tensor<1x8x32xbf16>
func.func @prepare() attributes {xf.entry} {
  %w = xf.get_param @w : tensor<8x8xf32>
  %p = xf.dispatch @pack "pack"(%w) : (tensor<8x8xf32>) -> tensor<1x8x32xf32>
  xf.set_prepared @w, %p : tensor<1x8x32xf32>
  return
}
// Memory that is updated in place keeps its type.
// CHECK-LABEL: func.func @decode(
// CHECK-SAME: %[[X:[a-z0-9]+]]: tensor<?x8xf32>
// CHECK: xf.get_prepared @w : tensor<1x8x32xbf16>
// CHECK: %[[N:.*]] = xf.dispatch @cast_nx8 "cast"(%[[X]])
// CHECK: xf.dispatch @packed_linear_bf16 "linear"(%[[N]], %{{.*}}) : (tensor<?x8xbf16>, tensor<1x8x32xbf16>) -> tensor<?x8xbf16>
// CHECK: xf.dispatch @cache_write_bf16 "cache"(%{{.*}}) : (tensor<?x8xf32>, tensor<?x8xbf16>, tensor<?xi32>) -> tensor<?x8xf32>
func.func @decode(%x: tensor<?x8xf32> {xf.name = "x"}, %cache: tensor<?x8xf32> {xf.name = "cache"}, %slots: tensor<?xi32> {xf.name = "slots"}) -> (tensor<?x8xf32> {xf.name = "cache"}) attributes {xf.entry} {
  %p = xf.get_prepared @w : tensor<1x8x32xf32>
  %y = xf.dispatch @packed_linear "linear"(%x, %p) : (tensor<?x8xf32>, tensor<1x8x32xf32>) -> tensor<?x8xf32>
  %c = xf.dispatch @cache_write "cache"(%cache, %y, %slots) : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>) -> tensor<?x8xf32>
  return %c : tensor<?x8xf32>
}

// What one call leaves for the next is bf16 in both: nobody else sees it.
// CHECK-LABEL: func.func @encode(
// CHECK-SAME: -> (tensor<?x8xbf16> {xf.kept, xf.name = "memory.0"})
// CHECK: xf.dispatch @linear_bf16 {{.*}} -> tensor<?x8xbf16>
func.func @encode(%x: tensor<?x8xf32> {xf.name = "x"}) -> (tensor<?x8xf32> {xf.kept, xf.name = "memory.0"}) attributes {xf.entry} {
  %w = xf.get_param @w : tensor<8x8xf32>
  %b = xf.get_param @b : tensor<8xf32>
  %y = xf.dispatch @linear "linear"(%x, %w, %b) : (tensor<?x8xf32>, tensor<8x8xf32>, tensor<8xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
// CHECK-LABEL: func.func @step(
// CHECK-SAME: %[[M:[a-z0-9]+]]: tensor<?x8xbf16> {xf.kept, xf.name = "memory.0"}, %[[C:[a-z0-9]+]]: tensor<?x8xbf16> {xf.kept, xf.name = "cache.0"}
// CHECK: xf.dispatch @cache_write_bf16{{.*}}(%[[C]], %[[M]], %{{.*}}) : (tensor<?x8xbf16>, tensor<?x8xbf16>, tensor<?xi32>) -> tensor<?x8xbf16>
func.func @step(%m: tensor<?x8xf32> {xf.kept, xf.name = "memory.0"}, %cache: tensor<?x8xf32> {xf.kept, xf.name = "cache.0"}, %slots: tensor<?xi32> {xf.name = "slots"}) -> (tensor<?x8xf32> {xf.kept, xf.name = "cache.0"}) attributes {xf.entry} {
  %c = xf.dispatch @cache_write "cache"(%cache, %m, %slots) : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>) -> tensor<?x8xf32>
  return %c : tensor<?x8xf32>
}

// An input that is multiplied is cast before, once; what attention gives the caller is widened after it.
// CHECK-LABEL: func.func @given(
// CHECK: %[[X:.*]] = xf.dispatch @cast_nx8 "cast"(%{{.*}}) : (tensor<?x8xf32>) -> tensor<?x8xbf16>
// CHECK: %[[Y:.*]]:2 = xf.dispatch @attention_bf16 "attention"(%[[X]], %{{.*}}) : (tensor<?x8xbf16>, tensor<?xi32>) -> (tensor<?x8xbf16>, tensor<?x2xf32>)
// CHECK: %[[D:.*]] = xf.dispatch @gradient_bf16 "gradient"(%[[X]], %[[Y]]#0) : (tensor<?x8xbf16>, tensor<?x8xbf16>) -> tensor<8x8xf32>
// CHECK: %[[Z:.*]] = xf.dispatch @widen_nx8 "cast"(%[[Y]]#0)
// CHECK: return %[[Z]], %[[D]]
func.func @given(%x: tensor<?x8xf32> {xf.name = "x"}, %offsets: tensor<?xi32> {xf.name = "offsets"}) -> (tensor<?x8xf32> {xf.name = "y"}, tensor<8x8xf32> {xf.name = "d"}) attributes {xf.entry} {
  %y:2 = xf.dispatch @attention "attention"(%x, %offsets) : (tensor<?x8xf32>, tensor<?xi32>) -> (tensor<?x8xf32>, tensor<?x2xf32>)
  %d = xf.dispatch @gradient "gradient"(%x, %y#0) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<8x8xf32>
  return %y#0, %d : tensor<?x8xf32>, tensor<8x8xf32>
}

// A constant is f32, and cast for a product.
// CHECK-LABEL: func.func @constant(
// CHECK: %[[C:.*]] = arith.constant dense<5.0{{.*}}> : tensor<8x8xf32>
// CHECK: %[[N:.*]] = xf.dispatch @cast_8x8 "cast"(%[[C]]) : (tensor<8x8xf32>) -> tensor<8x8xbf16>
// CHECK: xf.dispatch @linear_bf16{{.*}} "linear"(%{{.*}}, %[[N]], %{{.*}})
func.func @constant(%x: tensor<?x8xf32> {xf.name = "x"}, %b: tensor<8xf32> {xf.name = "b"}) -> (tensor<?x8xf32> {xf.name = "y"}) attributes {xf.entry} {
  %c = arith.constant dense<5.0> : tensor<8x8xf32>
  %y = xf.dispatch @linear "linear"(%x, %c, %b) : (tensor<?x8xf32>, tensor<8x8xf32>, tensor<8xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// A kernel begins and ends with casts, and computes f32.
// CHECK-LABEL: func.func private @linear_bf16(
// CHECK-SAME: %[[KX:.*]]: tensor<?x8xbf16>, %[[KW:.*]]: tensor<8x8xbf16>, %[[KB:.*]]: tensor<8xf32>) -> (tensor<?x8xbf16>
// CHECK-DAG: %[[FX:.*]] = xf.cast %[[KX]] : tensor<?x8xbf16> to tensor<?x8xf32>
// CHECK-DAG: %[[FW:.*]] = xf.cast %[[KW]] : tensor<8x8xbf16> to tensor<8x8xf32>
// CHECK: %[[FY:.*]] = xf.linear %[[FX]], %[[FW]] bias %[[KB]]
// CHECK: %[[KY:.*]] = xf.cast %[[FY]] : tensor<?x8xf32> to tensor<?x8xbf16>
// CHECK: return %[[KY]]
func.func private @linear(%x: tensor<?x8xf32>, %w: tensor<8x8xf32>, %b: tensor<8xf32>) -> (tensor<?x8xf32> {xf.extents = [array<i64: 0, 0>]}) attributes {xf.kernel = #xf<kernel matmul>} {
  %y = xf.linear %x, %w bias %b : (tensor<?x8xf32>, tensor<8x8xf32>, tensor<8xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
func.func private @packed_linear(%x: tensor<?x8xf32>, %w: tensor<1x8x32xf32>) -> (tensor<?x8xf32> {xf.extents = [array<i64: 0, 0>]}) attributes {xf.kernel = #xf<kernel matmul>} {
  %y = xf.linear %x, %w : (tensor<?x8xf32>, tensor<1x8x32xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
func.func private @pack(%w: tensor<8x8xf32>) -> tensor<1x8x32xf32> attributes {xf.kernel = #xf<kernel pack>} {
  %p = xf.pack %w : (tensor<8x8xf32>) -> tensor<1x8x32xf32>
  return %p : tensor<1x8x32xf32>
}
func.func private @attention(%x: tensor<?x8xf32>, %offsets: tensor<?xi32>) -> (tensor<?x8xf32> {xf.extents = [array<i64: 0, 0>]}, tensor<?x2xf32> {xf.extents = [array<i64: 0, 0>]}) attributes {xf.kernel = #xf<kernel attention>} {
  %y, %sum = xf.attention %x, %x, %x offsets(%offsets, %offsets) heads(2) scale(0.5)
    : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?x8xf32>, tensor<?x2xf32>)
  return %y, %sum : tensor<?x8xf32>, tensor<?x2xf32>
}
func.func private @embedding(%ids: tensor<?xi32>, %table: tensor<8x8xf32>) -> (tensor<?x8xf32> {xf.extents = [array<i64: 0, 0>]}) attributes {xf.kernel = #xf<kernel row>} {
  %y = xf.embedding %ids, %table : (tensor<?xi32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
func.func private @gradient(%dy: tensor<?x8xf32>, %x: tensor<?x8xf32>) -> tensor<8x8xf32> attributes {xf.kernel = #xf<kernel matmul>} {
  %y = xf.matmul %dy, %x transpose_a : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<8x8xf32>
  return %y : tensor<8x8xf32>
}
func.func private @cache_write(%cache: tensor<?x8xf32>, %x: tensor<?x8xf32>, %slots: tensor<?xi32>) -> (tensor<?x8xf32> {xf.extents = [array<i64: 0, 0>], xf.in_place = 0 : i64}) attributes {xf.kernel = #xf<kernel scatter>} {
  %y = xf.cache_write %cache, %x slots(%slots) : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
