// Every op in its printed form and in bytecode, and back. The bodies are the examples of the ops' definitions: tools/scripts/check-op-tests.py compares them.
// RUN: xf-opt %s --verify-roundtrip | FileCheck %s

// CHECK: xf.param @encoder.0.attention.query.weight : tensor<512x512xf32> xavier_uniform(1.0
xf.param @encoder.0.attention.query.weight : tensor<512x512xf32> xavier_uniform(1.0)
xf.param @embedding.weight : tensor<37000x512xf32> normal(0.04)
xf.param @w : tensor<512x512xf32> uniform(0.1)
xf.param @b : tensor<512xf32> zeros(0.0)

// CHECK-LABEL: @get_param(
// CHECK: xf.get_param @embedding.weight
func.func @get_param() -> tensor<37000x512xf32> {
  %w = xf.get_param @embedding.weight : tensor<37000x512xf32>
  return %w : tensor<37000x512xf32>
}

// CHECK-LABEL: @get_gradient(
// CHECK: xf.get_gradient @embedding.weight
func.func @get_gradient() -> tensor<37000x512xf32> {
  %g = xf.get_gradient @embedding.weight : tensor<37000x512xf32>
  return %g : tensor<37000x512xf32>
}

// CHECK-LABEL: @set_prepared(
// CHECK: xf.set_prepared @embedding.weight
func.func @set_prepared(%p: tensor<1157x512x32xf32>) {
  xf.set_prepared @embedding.weight, %p : tensor<1157x512x32xf32>
  return
}

// CHECK-LABEL: @get_prepared(
// CHECK: xf.get_prepared @embedding.weight
func.func @get_prepared() -> tensor<1157x512x32xf32> {
  %p = xf.get_prepared @embedding.weight : tensor<1157x512x32xf32>
  return %p : tensor<1157x512x32xf32>
}

func.func private @encoder_layer(%x: tensor<?x512xf32>, %starts: tensor<?xi32>) -> tensor<?x512xf32>
// CHECK-LABEL: @apply(
// CHECK: xf.apply @encoder_layer as "encoder.0"
func.func @apply(%x: tensor<?x512xf32>, %starts: tensor<?xi32>) -> tensor<?x512xf32> {
  %y = xf.apply @encoder_layer as "encoder.0" (%x, %starts) : (tensor<?x512xf32>, tensor<?xi32>) -> tensor<?x512xf32>
  return %y : tensor<?x512xf32>
}

// CHECK-LABEL: @chunked(
// CHECK: xf.chunked rows(512) of(%{{.*}} : tensor<?x8xf32>) into(%{{.*}} : tensor<8x8xf32>) {
// CHECK-NEXT: ^bb0(%{{.*}}: tensor<?x8xf32>, %{{.*}}: tensor<8x8xf32>):
// CHECK: } : tensor<?x8xf32>, tensor<8x8xf32>
func.func @chunked(%x: tensor<?x8xf32>, %zero: tensor<8x8xf32>) -> (tensor<?x8xf32>, tensor<8x8xf32>) {
  %y:2 = xf.chunked rows(512) of(%x : tensor<?x8xf32>) into(%zero : tensor<8x8xf32>) {
  ^bb0(%rows: tensor<?x8xf32>, %sum: tensor<8x8xf32>):
    %0 = xf.relu %rows : tensor<?x8xf32>
    %1 = xf.matmul %0, %0 into %sum transpose_a : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<8x8xf32>
    xf.yield %0, %1 : tensor<?x8xf32>, tensor<8x8xf32>
  } : tensor<?x8xf32>, tensor<8x8xf32>
  return %y#0, %y#1 : tensor<?x8xf32>, tensor<8x8xf32>
}

// CHECK-LABEL: @group(
// CHECK: xf.group matmul "feed_forward.in"
// CHECK: xf.yield
func.func @group(%x: tensor<?x512xf32>, %w: tensor<2048x512xf32>, %b: tensor<2048xf32>) -> tensor<?x2048xf32> {
  %y = xf.group matmul "feed_forward.in" {
    %0 = xf.linear %x, %w bias %b : (tensor<?x512xf32>, tensor<2048x512xf32>, tensor<2048xf32>) -> tensor<?x2048xf32>
    %1 = xf.relu %0 : tensor<?x2048xf32>
    xf.yield %1 : tensor<?x2048xf32>
  } : tensor<?x2048xf32>
  return %y : tensor<?x2048xf32>
}

func.func private @linear_512x64(%x: tensor<?x512xf32>, %w: tensor<64x512xf32>) -> tensor<?x64xf32> attributes {xf.kernel = #xf<kernel matmul>}
// CHECK-LABEL: @dispatch(
// CHECK: xf.dispatch @linear_512x64 "projection"
func.func @dispatch(%x: tensor<?x512xf32>, %w: tensor<64x512xf32>) -> tensor<?x64xf32> {
  %y = xf.dispatch @linear_512x64 "projection" (%x, %w) : (tensor<?x512xf32>, tensor<64x512xf32>) -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// CHECK-LABEL: @buffer(
// CHECK: xf.buffer slot(0) extents [array<i64: 0, 1>] live [0, 3] "attention.query"
// CHECK: xf.dispatch @linear_512x64 "projection"{{.*}} writes [2] cost #{{.*}} :
func.func @buffer() -> memref<?x512xf32> {
  %w = xf.buffer parameter(0) : memref<64x512xf32>
  %y = xf.buffer output(0) extents [array<i64: 0, 1>] : memref<?x64xf32>
  %s = xf.buffer slot(0) extents [array<i64: 0, 1>] live [0, 3] "attention.query" : memref<?x512xf32>
  xf.dispatch @linear_512x64 "projection" (%s, %w, %y) writes [2] cost affine_map<()[s0] -> (s0 * 65536, s0 * 2304 + 131072)> : (memref<?x512xf32>, memref<64x512xf32>, memref<?x64xf32>) -> ()
  return %s : memref<?x512xf32>
}

// CHECK-LABEL: @either(
// CHECK: xf.dispatch @linear_512x64 "projection"{{.*}} writes [2] or @linear_512x64 where [-64, 1] :
func.func @either() attributes {xf.dims = ["rows"]} {
  %x = xf.buffer input(0) extents [array<i64: 0, 1>] : memref<?x512xf32>
  %w = xf.buffer parameter(0) : memref<64x512xf32>
  %y = xf.buffer output(0) extents [array<i64: 0, 1>] : memref<?x64xf32>
  xf.dispatch @linear_512x64 "projection" (%x, %w, %y) writes [2] or @linear_512x64 where [-64, 1] : (memref<?x512xf32>, memref<64x512xf32>, memref<?x64xf32>) -> ()
  return
}

// CHECK-LABEL: @adam(
// CHECK: xf.adam %{{.*}} parameters [@w, @b]
func.func @adam(%g0: tensor<512x512xf32>, %g1: tensor<512xf32>, %n: tensor<f32>, %lr: tensor<f32>, %random: tensor<2xi64>, %hyper: tensor<8xf32>) {
  xf.adam %g0, %g1 parameters [@w, @b] norm(%n) learning_rate(%lr) state(%random, %hyper)
    : tensor<512x512xf32>, tensor<512xf32>, tensor<f32>, tensor<f32>, tensor<2xi64>, tensor<8xf32>
  return
}

// CHECK-LABEL: @project(
// CHECK: xf.project "embedding"
func.func @project(%x: tensor<?x512xf32>) -> tensor<?x37000xf32> {
  %logits = xf.project "embedding" (%x) : (tensor<?x512xf32>) -> tensor<?x37000xf32>
  return %logits : tensor<?x37000xf32>
}

// CHECK-LABEL: @embed(
// CHECK: xf.embed
func.func @embed(%ids: tensor<?xi32>, %offsets: tensor<?xi32>) -> tensor<?x512xf32> {
  %x = xf.embed "embedding" (%ids, %offsets) vocabulary(37000) positions(sinusoidal) dropout(0.1) : (tensor<?xi32>, tensor<?xi32>) -> tensor<?x512xf32>
  return %x : tensor<?x512xf32>
}

// CHECK-LABEL: @multi_head_attention(
// CHECK: xf.multi_head_attention
func.func @multi_head_attention(%x: tensor<?x512xf32>, %o: tensor<?xi32>) -> tensor<?x512xf32> {
  %a = xf.multi_head_attention "attention" (%x, %x, %x) offsets(%o, %o) heads(8) head_dims(64, 64) causal
    : (tensor<?x512xf32>, tensor<?x512xf32>, tensor<?x512xf32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x512xf32>
  return %a : tensor<?x512xf32>
}

// CHECK-LABEL: @feed_forward(
// CHECK: xf.feed_forward
func.func @feed_forward(%x: tensor<?x512xf32>) -> tensor<?x512xf32> {
  %f = xf.feed_forward "feed_forward" (%x) hidden(2048) relu bias : (tensor<?x512xf32>) -> tensor<?x512xf32>
  return %f : tensor<?x512xf32>
}

// CHECK-LABEL: @add_norm(
// CHECK: xf.add_norm
func.func @add_norm(%x: tensor<?x512xf32>, %a: tensor<?x512xf32>) -> tensor<?x512xf32> {
  %y = xf.add_norm "attention_norm" (%x, %a) dropout(0.1) : (tensor<?x512xf32>, tensor<?x512xf32>) -> tensor<?x512xf32>
  return %y : tensor<?x512xf32>
}

// CHECK-LABEL: @norm(
// CHECK: xf.norm "attention_norm"
func.func @norm(%x: tensor<?x512xf32>) -> tensor<?x512xf32> {
  %n = xf.norm "attention_norm" (%x) : (tensor<?x512xf32>) -> tensor<?x512xf32>
  return %n : tensor<?x512xf32>
}

// CHECK-LABEL: @residual(
// CHECK: xf.residual "attention_residual"
func.func @residual(%x: tensor<?x512xf32>, %a: tensor<?x512xf32>) -> tensor<?x512xf32> {
  %y = xf.residual "attention_residual" (%x, %a) dropout(0.1) : (tensor<?x512xf32>, tensor<?x512xf32>) -> tensor<?x512xf32>
  return %y : tensor<?x512xf32>
}

// CHECK-LABEL: @embed_scale(
// CHECK: xf.embed "embedding"{{.*}} scale(1.000000e+00)
func.func @embed_scale(%ids: tensor<?xi32>, %offsets: tensor<?xi32>) -> tensor<?x512xf32> {
  %x = xf.embed "embedding" (%ids, %offsets) vocabulary(60) positions(learned, "positions", 64) scale(1.0) : (tensor<?xi32>, tensor<?xi32>) -> tensor<?x512xf32>
  return %x : tensor<?x512xf32>
}

// CHECK-LABEL: @embed_first(
// CHECK: xf.embed "embedding"{{.*}}sinusoidal_halves) first(1)
func.func @embed_first(%ids: tensor<?xi32>, %offsets: tensor<?xi32>) -> tensor<?x512xf32> {
  %x = xf.embed "embedding" (%ids, %offsets) vocabulary(60) positions(sinusoidal_halves) first(1) : (tensor<?xi32>, tensor<?xi32>) -> tensor<?x512xf32>
  return %x : tensor<?x512xf32>
}

// CHECK-LABEL: @embedding(
// CHECK: xf.embedding
func.func @embedding(%ids: tensor<?xi32>, %table: tensor<37000x512xf32>) -> tensor<?x512xf32> {
  %e = xf.embedding %ids, %table scale(22.6274) : (tensor<?xi32>, tensor<37000x512xf32>) -> tensor<?x512xf32>
  return %e : tensor<?x512xf32>
}

// CHECK-LABEL: @embedding_packed(
// CHECK: xf.embedding %{{.*}}, %{{.*}} rows(37000)
func.func @embedding_packed(%ids: tensor<?xi32>, %p: tensor<1157x544x32xi8>) -> tensor<?x512xf32> {
  %e = xf.embedding %ids, %p rows(37000) : (tensor<?xi32>, tensor<1157x544x32xi8>) -> tensor<?x512xf32>
  return %e : tensor<?x512xf32>
}

// CHECK-LABEL: @embedding_backward(
// CHECK: xf.embedding_backward
func.func @embedding_backward(%dy: tensor<?x512xf32>, %ids: tensor<?xi32>) -> tensor<37000x512xf32> {
  %g = xf.embedding_backward %dy, %ids scale(22.6274) : (tensor<?x512xf32>, tensor<?xi32>) -> tensor<37000x512xf32>
  return %g : tensor<37000x512xf32>
}

// CHECK-LABEL: @position_ids(
// CHECK: xf.position_ids
func.func @position_ids(%ids: tensor<?xi32>, %offsets: tensor<?xi32>) -> tensor<?xi32> {
  %p = xf.position_ids %ids, %offsets : (tensor<?xi32>, tensor<?xi32>) -> tensor<?xi32>
  return %p : tensor<?xi32>
}

// CHECK-LABEL: @sinusoidal(
// CHECK: xf.sinusoidal
func.func @sinusoidal(%positions: tensor<?xi32>) -> tensor<?x512xf32> {
  %s = xf.sinusoidal %positions : (tensor<?xi32>) -> tensor<?x512xf32>
  return %s : tensor<?x512xf32>
}

// CHECK-LABEL: @linear(
// CHECK: xf.linear
func.func @linear(%x: tensor<?x512xf32>, %w: tensor<2048x512xf32>, %b: tensor<2048xf32>) -> tensor<?x2048xf32> {
  %y = xf.linear %x, %w bias %b : (tensor<?x512xf32>, tensor<2048x512xf32>, tensor<2048xf32>) -> tensor<?x2048xf32>
  return %y : tensor<?x2048xf32>
}

// CHECK-LABEL: @pack(
// CHECK: xf.pack
func.func @pack(%w: tensor<2048x512xf32>) -> tensor<64x512x32xf32> {
  %p = xf.pack %w : (tensor<2048x512xf32>) -> tensor<64x512x32xf32>
  return %p : tensor<64x512x32xf32>
}

// CHECK-LABEL: @quantized(
// CHECK: xf.pack {{.*}} -> tensor<64x544x32xi8>
// CHECK: xf.linear {{.*}} tensor<64x544x32xi8>
func.func @quantized(%x: tensor<?x512xf32>, %w: tensor<2048x512xf32>) -> tensor<?x2048xf32> {
  %p = xf.pack %w : (tensor<2048x512xf32>) -> tensor<64x544x32xi8>
  %y = xf.linear %x, %p : (tensor<?x512xf32>, tensor<64x544x32xi8>) -> tensor<?x2048xf32>
  return %y : tensor<?x2048xf32>
}

// CHECK-LABEL: @matmul(
// CHECK: xf.matmul
func.func @matmul(%dy: tensor<?x2048xf32>, %x: tensor<?x512xf32>) -> tensor<2048x512xf32> {
  %dw = xf.matmul %dy, %x transpose_a : (tensor<?x2048xf32>, tensor<?x512xf32>) -> tensor<2048x512xf32>
  return %dw : tensor<2048x512xf32>
}

// CHECK-LABEL: @column_sum(
// CHECK: xf.column_sum
func.func @column_sum(%dy: tensor<?x2048xf32>) -> tensor<2048xf32> {
  %db = xf.column_sum %dy : (tensor<?x2048xf32>) -> tensor<2048xf32>
  return %db : tensor<2048xf32>
}

// CHECK-LABEL: @add(
// CHECK: xf.add
func.func @add(%x: tensor<?x512xf32>, %sublayer: tensor<?x512xf32>) -> tensor<?x512xf32> {
  %y = xf.add %x, %sublayer : tensor<?x512xf32>
  return %y : tensor<?x512xf32>
}

// CHECK-LABEL: @multiply(
// CHECK: xf.multiply
func.func @multiply(%gate: tensor<?x512xf32>, %x: tensor<?x512xf32>) -> tensor<?x512xf32> {
  %y = xf.multiply %gate, %x : tensor<?x512xf32>
  return %y : tensor<?x512xf32>
}

// CHECK-LABEL: @relu(
// CHECK: xf.relu
func.func @relu(%x: tensor<?x2048xf32>) -> tensor<?x2048xf32> {
  %h = xf.relu %x : tensor<?x2048xf32>
  return %h : tensor<?x2048xf32>
}

// CHECK-LABEL: @reshape(
// CHECK: xf.reshape
func.func @reshape(%x: tensor<?x512xf32>) -> tensor<?x64xf32> {
  %heads = xf.reshape %x : tensor<?x512xf32> to tensor<?x64xf32>
  return %heads : tensor<?x64xf32>
}

// CHECK-LABEL: @cast(
// CHECK: xf.cast
func.func @cast(%x: tensor<?x512xf32>) -> tensor<?x512xbf16> {
  %y = xf.cast %x : tensor<?x512xf32> to tensor<?x512xbf16>
  return %y : tensor<?x512xbf16>
}

// CHECK-LABEL: @gelu(
// CHECK: xf.gelu
func.func @gelu(%x: tensor<?x2048xf32>) -> tensor<?x2048xf32> {
  %h = xf.gelu %x : tensor<?x2048xf32>
  return %h : tensor<?x2048xf32>
}

// CHECK-LABEL: @gelu_tanh(
// CHECK: xf.gelu_tanh
func.func @gelu_tanh(%x: tensor<?x2048xf32>) -> tensor<?x2048xf32> {
  %h = xf.gelu_tanh %x : tensor<?x2048xf32>
  return %h : tensor<?x2048xf32>
}

// CHECK-LABEL: @silu(
// CHECK: xf.silu
func.func @silu(%x: tensor<?x2048xf32>) -> tensor<?x2048xf32> {
  %h = xf.silu %x : tensor<?x2048xf32>
  return %h : tensor<?x2048xf32>
}

// CHECK-LABEL: @tanh(
// CHECK: xf.tanh
func.func @tanh(%x: tensor<?x768xf32>) -> tensor<?x768xf32> {
  %h = xf.tanh %x : tensor<?x768xf32>
  return %h : tensor<?x768xf32>
}

// CHECK-LABEL: @relu_backward(
// CHECK: xf.relu_backward
func.func @relu_backward(%dy: tensor<?x2048xf32>, %y: tensor<?x2048xf32>) -> tensor<?x2048xf32> {
  %dx = xf.relu_backward %dy, %y : tensor<?x2048xf32>
  return %dx : tensor<?x2048xf32>
}

// CHECK-LABEL: @gelu_backward(
// CHECK: xf.gelu_backward
func.func @gelu_backward(%dy: tensor<?x2048xf32>, %x: tensor<?x2048xf32>) -> tensor<?x2048xf32> {
  %dx = xf.gelu_backward %dy, %x : tensor<?x2048xf32>
  return %dx : tensor<?x2048xf32>
}

// CHECK-LABEL: @gelu_tanh_backward(
// CHECK: xf.gelu_tanh_backward
func.func @gelu_tanh_backward(%dy: tensor<?x2048xf32>, %x: tensor<?x2048xf32>) -> tensor<?x2048xf32> {
  %dx = xf.gelu_tanh_backward %dy, %x : tensor<?x2048xf32>
  return %dx : tensor<?x2048xf32>
}

// CHECK-LABEL: @silu_backward(
// CHECK: xf.silu_backward
func.func @silu_backward(%dy: tensor<?x2048xf32>, %x: tensor<?x2048xf32>) -> tensor<?x2048xf32> {
  %dx = xf.silu_backward %dy, %x : tensor<?x2048xf32>
  return %dx : tensor<?x2048xf32>
}

// CHECK-LABEL: @tanh_backward(
// CHECK: xf.tanh_backward
func.func @tanh_backward(%dy: tensor<?x768xf32>, %y: tensor<?x768xf32>) -> tensor<?x768xf32> {
  %dx = xf.tanh_backward %dy, %y : tensor<?x768xf32>
  return %dx : tensor<?x768xf32>
}

// CHECK-LABEL: @dropout(
// CHECK: xf.dropout
func.func @dropout(%x: tensor<?x512xf32>, %random: tensor<2xi64>, %site: i64) -> tensor<?x512xf32> {
  %y = xf.dropout %x, %random, %site rate(0.1) : tensor<?x512xf32>, tensor<2xi64>
  return %y : tensor<?x512xf32>
}

// CHECK-LABEL: @layer_norm(
// CHECK: xf.layer_norm
func.func @layer_norm(%x: tensor<?x512xf32>, %weight: tensor<512xf32>, %bias: tensor<512xf32>) -> tensor<?x512xf32> {
  %y = xf.layer_norm %x, %weight, %bias epsilon(1.0e-5) : (tensor<?x512xf32>, tensor<512xf32>, tensor<512xf32>) -> tensor<?x512xf32>
  return %y : tensor<?x512xf32>
}

// CHECK-LABEL: @layer_norm_backward(
// CHECK: xf.layer_norm_backward
func.func @layer_norm_backward(%dy: tensor<?x512xf32>, %x: tensor<?x512xf32>, %weight: tensor<512xf32>) -> (tensor<?x512xf32>, tensor<?xf32>, tensor<?xf32>) {
  %dx, %mean, %r = xf.layer_norm_backward %dy, %x, %weight epsilon(1.0e-5)
    : (tensor<?x512xf32>, tensor<?x512xf32>, tensor<512xf32>) -> (tensor<?x512xf32>, tensor<?xf32>, tensor<?xf32>)
  return %dx, %mean, %r : tensor<?x512xf32>, tensor<?xf32>, tensor<?xf32>
}

// CHECK-LABEL: @layer_norm_parameter_backward(
// CHECK: xf.layer_norm_parameter_backward
func.func @layer_norm_parameter_backward(%dy: tensor<?x512xf32>, %x: tensor<?x512xf32>, %mean: tensor<?xf32>, %r: tensor<?xf32>) -> (tensor<512xf32>, tensor<512xf32>) {
  %dw, %db = xf.layer_norm_parameter_backward %dy, %x, %mean, %r
    : (tensor<?x512xf32>, tensor<?x512xf32>, tensor<?xf32>, tensor<?xf32>) -> (tensor<512xf32>, tensor<512xf32>)
  return %dw, %db : tensor<512xf32>, tensor<512xf32>
}

// CHECK-LABEL: @rms_norm(
// CHECK: xf.layer_norm %{{.*}}, %{{.*}} rms epsilon
func.func @rms_norm(%x: tensor<?x512xf32>, %weight: tensor<512xf32>) -> tensor<?x512xf32> {
  %y = xf.layer_norm %x, %weight rms epsilon(1.0e-6) : (tensor<?x512xf32>, tensor<512xf32>) -> tensor<?x512xf32>
  return %y : tensor<?x512xf32>
}

// CHECK-LABEL: @rms_norm_backward(
// CHECK: %[[DX:.*]], %[[R:.*]] = xf.layer_norm_backward {{.*}} rms
// CHECK: xf.layer_norm_parameter_backward %{{.*}}, %{{.*}}, %[[R]] :
func.func @rms_norm_backward(%dy: tensor<?x512xf32>, %x: tensor<?x512xf32>, %weight: tensor<512xf32>) -> (tensor<?x512xf32>, tensor<512xf32>) {
  %dx, %r = xf.layer_norm_backward %dy, %x, %weight rms : (tensor<?x512xf32>, tensor<?x512xf32>, tensor<512xf32>) -> (tensor<?x512xf32>, tensor<?xf32>)
  %dw = xf.layer_norm_parameter_backward %dy, %x, %r : (tensor<?x512xf32>, tensor<?x512xf32>, tensor<?xf32>) -> tensor<512xf32>
  return %dx, %dw : tensor<?x512xf32>, tensor<512xf32>
}

// CHECK-LABEL: @rotary_angles(
// CHECK: xf.rotary_angles %{{.*}} theta(1.000000e+04) : (tensor<?xi32>) -> tensor<?x64xf32>
// CHECK: xf.rotary_angles %{{.*}} theta(5.000000e+05) factor(8.000000e+00) original(8192, 1.000000e+00, 4.000000e+00) :
func.func @rotary_angles(%positions: tensor<?xi32>) -> (tensor<?x64xf32>, tensor<?x128xf32>) {
  %angles = xf.rotary_angles %positions theta(10000.0) : (tensor<?xi32>) -> tensor<?x64xf32>
  %scaled = xf.rotary_angles %positions theta(500000.0) factor(8.0) original(8192, 1.0, 4.0) : (tensor<?xi32>) -> tensor<?x128xf32>
  return %angles, %scaled : tensor<?x64xf32>, tensor<?x128xf32>
}

// CHECK-LABEL: @rotary(
// CHECK: xf.rotary %{{.*}}, %{{.*}} heads(8) : tensor<?x512xf32>, tensor<?x64xf32>
// CHECK: xf.rotary %{{.*}}, %{{.*}} heads(8) inverse :
func.func @rotary(%x: tensor<?x512xf32>, %angles: tensor<?x64xf32>) -> tensor<?x512xf32> {
  %y = xf.rotary %x, %angles heads(8) : tensor<?x512xf32>, tensor<?x64xf32>
  %z = xf.rotary %y, %angles heads(8) inverse : tensor<?x512xf32>, tensor<?x64xf32>
  return %z : tensor<?x512xf32>
}

// CHECK-LABEL: @gated(
// CHECK: xf.multi_head_attention {{.*}} causal rotary(%{{.*}}) qk_norm rms epsilon(9.99999997E-7)
// CHECK: xf.add_norm {{.*}} rms
// CHECK: xf.norm {{.*}} rms epsilon
// CHECK: xf.feed_forward {{.*}} silu gated
// CHECK: xf.feed_forward {{.*}} gelu_tanh :
func.func @gated(%x: tensor<?x512xf32>, %o: tensor<?xi32>, %angles: tensor<?x64xf32>) -> tensor<?x512xf32> {
  %a = xf.multi_head_attention "attention" (%x, %x, %x) offsets(%o, %o) heads(8) head_dims(64, 64) causal rotary(%angles) qk_norm rms epsilon(1.0e-6)
    : (tensor<?x512xf32>, tensor<?x512xf32>, tensor<?x512xf32>, tensor<?xi32>, tensor<?xi32>, tensor<?x64xf32>) -> tensor<?x512xf32>
  %b = xf.add_norm "attention_norm" (%x, %a) rms : (tensor<?x512xf32>, tensor<?x512xf32>) -> tensor<?x512xf32>
  %n = xf.norm "feed_forward_norm" (%b) rms epsilon(1.0e-6) : (tensor<?x512xf32>) -> tensor<?x512xf32>
  %f = xf.feed_forward "feed_forward" (%n) hidden(1408) silu gated : (tensor<?x512xf32>) -> tensor<?x512xf32>
  %g = xf.feed_forward "other" (%f) hidden(1408) gelu_tanh : (tensor<?x512xf32>) -> tensor<?x512xf32>
  return %g : tensor<?x512xf32>
}

// CHECK-LABEL: @attention(
// CHECK: xf.attention
func.func @attention(%q: tensor<?x512xf32>, %k: tensor<?x512xf32>, %v: tensor<?x512xf32>, %qo: tensor<?xi32>, %ko: tensor<?xi32>) -> (tensor<?x512xf32>, tensor<?x8xf32>) {
  %o, %lse = xf.attention %q, %k, %v offsets(%qo, %ko) heads(8) scale(0.125) causal
    : (tensor<?x512xf32>, tensor<?x512xf32>, tensor<?x512xf32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?x512xf32>, tensor<?x8xf32>)
  return %o, %lse : tensor<?x512xf32>, tensor<?x8xf32>
}

// CHECK-LABEL: @key_value_heads(
// CHECK: xf.attention %{{.*}} heads(8) key_value_heads(2) scale(1.250000e-01) causal :
// CHECK: xf.attention_backward %{{.*}} heads(8) key_value_heads(2) scale(1.250000e-01) causal :
// CHECK: xf.attention_weights %{{.*}} heads(8) key_value_heads(2) scale(1.250000e-01) :
// CHECK: xf.cached_attention %{{.*}} heads(8) key_value_heads(2) scale(1.250000e-01) :
// CHECK: xf.multi_head_attention {{.*}} heads(8) key_value_heads(2) head_dims(64, 64) causal :
func.func @key_value_heads(%q: tensor<?x512xf32>, %k: tensor<?x128xf32>, %v: tensor<?x128xf32>, %qo: tensor<?xi32>, %ko: tensor<?xi32>)
    -> (tensor<?x512xf32>, tensor<?x128xf32>, tensor<8x?x?xf32>, tensor<?x512xf32>, tensor<?x512xf32>) {
  %o, %lse = xf.attention %q, %k, %v offsets(%qo, %ko) heads(8) key_value_heads(2) scale(0.125) causal
    : (tensor<?x512xf32>, tensor<?x128xf32>, tensor<?x128xf32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?x512xf32>, tensor<?x8xf32>)
  %dq, %dk, %dv = xf.attention_backward %q, %q, %k, %v, %o, %lse offsets(%qo, %ko) heads(8) key_value_heads(2) scale(0.125) causal
    : (tensor<?x512xf32>, tensor<?x512xf32>, tensor<?x128xf32>, tensor<?x128xf32>, tensor<?x512xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>)
    -> (tensor<?x512xf32>, tensor<?x128xf32>, tensor<?x128xf32>)
  %w = xf.attention_weights %q, %k heads(8) key_value_heads(2) scale(0.125) : (tensor<?x512xf32>, tensor<?x128xf32>) -> tensor<8x?x?xf32>
  %c = xf.cached_attention %q, %k, %v rows(%qo, %ko) heads(8) key_value_heads(2) scale(0.125)
    : (tensor<?x512xf32>, tensor<?x128xf32>, tensor<?x128xf32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x512xf32>
  %a = xf.multi_head_attention "attention" (%q, %k, %v) offsets(%qo, %ko) heads(8) key_value_heads(2) head_dims(64, 64) causal
    : (tensor<?x512xf32>, tensor<?x128xf32>, tensor<?x128xf32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x512xf32>
  return %dq, %dk, %w, %c, %a : tensor<?x512xf32>, tensor<?x128xf32>, tensor<8x?x?xf32>, tensor<?x512xf32>, tensor<?x512xf32>
}

// CHECK-LABEL: @score(
// CHECK: xf.attention {{.*}} causal score(%{{.*}}) {
// CHECK-NEXT: ^bb0(%[[SCORE:.*]]: f32, %[[HEAD:.*]]: index, %[[QUERY:.*]]: index, %[[KEY:.*]]: index, %[[TABLE:.*]]: tensor<8x129xf32>):
// CHECK: tensor.extract %[[TABLE]][%[[HEAD]], %{{.*}}]
// CHECK: xf.yield %{{.*}} : f32
// CHECK: xf.attention_backward {{.*}} score(%{{.*}}) {
// CHECK: xf.add_gradient %{{.*}} at %{{.*}}[%{{.*}}, %{{.*}}] : tensor<8x129xf32>
// CHECK: xf.yield %{{.*}}, %{{.*}} : f32, f32
// CHECK: xf.attention_weights {{.*}} score {
// CHECK: xf.cached_attention {{.*}} score {
// CHECK: xf.multi_head_attention {{.*}} bias score {
func.func @score(%q: tensor<?x512xf32>, %k: tensor<?x512xf32>, %v: tensor<?x512xf32>, %qo: tensor<?xi32>, %ko: tensor<?xi32>, %bias: tensor<8x129xf32>)
    -> (tensor<?x512xf32>, tensor<?x1032xf32>, tensor<8x129xf32>, tensor<8x?x?xf32>, tensor<?x512xf32>, tensor<?x512xf32>) {
  %y, %sum = xf.attention %q, %k, %v offsets(%qo, %ko) heads(8) scale(0.125) causal score(%bias) {
  ^bb0(%score: f32, %head: index, %query: index, %key: index, %table: tensor<8x129xf32>):
    %distance = arith.subi %query, %key : index
    %b = tensor.extract %table[%head, %distance] : tensor<8x129xf32>
    %biased = arith.addf %score, %b : f32
    xf.yield %biased : f32
  } : (tensor<?x512xf32>, tensor<?x512xf32>, tensor<?x512xf32>, tensor<?xi32>, tensor<?xi32>, tensor<8x129xf32>) -> (tensor<?x512xf32>, tensor<?x8xf32>)
  %dq, %dk, %dv, %sums = xf.attention_backward %y, %q, %k, %v, %y, %sum offsets(%qo, %ko) heads(8) scale(0.125) causal score(%bias) {
  ^bb0(%score: f32, %head: index, %query: index, %key: index, %table: tensor<8x129xf32>):
    %distance = arith.subi %query, %key : index
    %b = tensor.extract %table[%head, %distance] : tensor<8x129xf32>
    %biased = arith.addf %score, %b : f32
    %one = arith.constant 1.0 : f32
    xf.add_gradient %one at %table[%head, %distance] : tensor<8x129xf32>
    xf.yield %biased, %one : f32, f32
  } : (tensor<?x512xf32>, tensor<?x512xf32>, tensor<?x512xf32>, tensor<?x512xf32>, tensor<?x512xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>, tensor<8x129xf32>)
    -> (tensor<?x512xf32>, tensor<?x512xf32>, tensor<?x512xf32>, tensor<?x1032xf32>)
  %gradient = xf.column_sum %sums : (tensor<?x1032xf32>) -> tensor<8x129xf32>
  %w = xf.attention_weights %q, %k heads(8) scale(0.125) score {
  ^bb0(%score: f32, %head: index, %query: index, %key: index):
    %t = math.tanh %score : f32
    xf.yield %t : f32
  } : (tensor<?x512xf32>, tensor<?x512xf32>) -> tensor<8x?x?xf32>
  %c = xf.cached_attention %q, %k, %v rows(%qo, %ko) heads(8) scale(0.125) score {
  ^bb0(%score: f32, %head: index, %query: index, %key: index):
    %t = math.tanh %score : f32
    xf.yield %t : f32
  } : (tensor<?x512xf32>, tensor<?x512xf32>, tensor<?x512xf32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x512xf32>
  %a = xf.multi_head_attention "attention" (%q, %k, %v) offsets(%qo, %ko) heads(8) head_dims(64, 64) bias score {
  ^bb0(%score: f32, %head: index, %query: index, %key: index):
    %t = math.tanh %score : f32
    xf.yield %t : f32
  } : (tensor<?x512xf32>, tensor<?x512xf32>, tensor<?x512xf32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x512xf32>
  return %dq, %sums, %gradient, %w, %c, %a : tensor<?x512xf32>, tensor<?x1032xf32>, tensor<8x129xf32>, tensor<8x?x?xf32>, tensor<?x512xf32>, tensor<?x512xf32>
}

// CHECK-LABEL: @masks(
// CHECK: xf.attention {{.*}} causal window(64) lengths(%{{.*}}) :
// CHECK: xf.attention_backward {{.*}} window(64) lengths(%{{.*}}) :
// CHECK: xf.attention_weights {{.*}} causal window(64) lengths(%{{.*}}) :
// CHECK: xf.cached_attention {{.*}} window(64) :
// CHECK: xf.multi_head_attention {{.*}} causal window(64) lengths(%{{.*}}) bias :
func.func @masks(%x: tensor<?x512xf32>, %o: tensor<?xi32>, %n: tensor<?xi32>) -> (tensor<?x512xf32>, tensor<8x?x?xf32>, tensor<?x512xf32>, tensor<?x512xf32>) {
  %y, %lse = xf.attention %x, %x, %x offsets(%o, %o) heads(8) scale(0.125) causal window(64) lengths(%n)
    : (tensor<?x512xf32>, tensor<?x512xf32>, tensor<?x512xf32>, tensor<?xi32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?x512xf32>, tensor<?x8xf32>)
  %dq, %dk, %dv = xf.attention_backward %x, %x, %x, %x, %y, %lse offsets(%o, %o) heads(8) scale(0.125) window(64) lengths(%n)
    : (tensor<?x512xf32>, tensor<?x512xf32>, tensor<?x512xf32>, tensor<?x512xf32>, tensor<?x512xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>, tensor<?xi32>)
    -> (tensor<?x512xf32>, tensor<?x512xf32>, tensor<?x512xf32>)
  %w = xf.attention_weights %x, %x heads(8) scale(0.125) causal window(64) lengths(%n) : (tensor<?x512xf32>, tensor<?x512xf32>, tensor<?xi32>) -> tensor<8x?x?xf32>
  %c = xf.cached_attention %x, %x, %x rows(%n, %o) heads(8) scale(0.125) window(64)
    : (tensor<?x512xf32>, tensor<?x512xf32>, tensor<?x512xf32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x512xf32>
  %a = xf.multi_head_attention "attention" (%x, %x, %x) offsets(%o, %o) heads(8) head_dims(64, 64) causal window(64) lengths(%n) bias
    : (tensor<?x512xf32>, tensor<?x512xf32>, tensor<?x512xf32>, tensor<?xi32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x512xf32>
  return %dq, %w, %c, %a : tensor<?x512xf32>, tensor<8x?x?xf32>, tensor<?x512xf32>, tensor<?x512xf32>
}

// CHECK-LABEL: @attention_backward(
// CHECK: xf.attention_backward
func.func @attention_backward(%do: tensor<?x512xf32>, %q: tensor<?x512xf32>, %k: tensor<?x512xf32>, %v: tensor<?x512xf32>, %o: tensor<?x512xf32>, %lse: tensor<?x8xf32>, %qo: tensor<?xi32>, %ko: tensor<?xi32>) -> (tensor<?x512xf32>, tensor<?x512xf32>, tensor<?x512xf32>) {
  %dq, %dk, %dv = xf.attention_backward %do, %q, %k, %v, %o, %lse offsets(%qo, %ko) heads(8) scale(0.125) causal
    : (tensor<?x512xf32>, tensor<?x512xf32>, tensor<?x512xf32>, tensor<?x512xf32>, tensor<?x512xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>)
    -> (tensor<?x512xf32>, tensor<?x512xf32>, tensor<?x512xf32>)
  return %dq, %dk, %dv : tensor<?x512xf32>, tensor<?x512xf32>, tensor<?x512xf32>
}

// CHECK-LABEL: @attention_weights(
// CHECK: xf.attention_weights
func.func @attention_weights(%q: tensor<?x512xf32>, %k: tensor<?x512xf32>) -> tensor<8x?x?xf32> {
  %p = xf.attention_weights %q, %k heads(8) scale(0.125) : (tensor<?x512xf32>, tensor<?x512xf32>) -> tensor<8x?x?xf32>
  return %p : tensor<8x?x?xf32>
}

// CHECK-LABEL: @cached_attention(
// CHECK: xf.cached_attention
func.func @cached_attention(%q: tensor<?x512xf32>, %keys: tensor<?x512xf32>, %values: tensor<?x512xf32>, %rows: tensor<?xi32>, %row_offsets: tensor<?xi32>) -> tensor<?x512xf32> {
  %o = xf.cached_attention %q, %keys, %values rows(%rows, %row_offsets) heads(8) scale(0.125)
    : (tensor<?x512xf32>, tensor<?x512xf32>, tensor<?x512xf32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x512xf32>
  return %o : tensor<?x512xf32>
}

// CHECK-LABEL: @cache_write(
// CHECK: xf.cache_write
func.func @cache_write(%cache: tensor<?x512xf32>, %x: tensor<?x512xf32>, %slots: tensor<?xi32>) -> tensor<?x512xf32> {
  %c = xf.cache_write %cache, %x slots(%slots) : (tensor<?x512xf32>, tensor<?x512xf32>, tensor<?xi32>) -> tensor<?x512xf32>
  return %c : tensor<?x512xf32>
}

// CHECK-LABEL: @cross_entropy(
// CHECK: xf.cross_entropy
func.func @cross_entropy(%logits: tensor<?x37000xf32>, %labels: tensor<?xi32>) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>) {
  %loss, %nll, %lse = xf.cross_entropy %logits, %labels smoothing(0.1) : (tensor<?x37000xf32>, tensor<?xi32>) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
  return %loss, %nll, %lse : tensor<?xf32>, tensor<?xf32>, tensor<?xf32>
}

// CHECK-LABEL: @cross_entropy_backward(
// CHECK: xf.cross_entropy_backward
func.func @cross_entropy_backward(%dloss: tensor<?xf32>, %logits: tensor<?x37000xf32>, %labels: tensor<?xi32>, %lse: tensor<?xf32>) -> tensor<?x37000xf32> {
  %dlogits = xf.cross_entropy_backward %dloss, %logits, %labels, %lse smoothing(0.1)
    : (tensor<?xf32>, tensor<?x37000xf32>, tensor<?xi32>, tensor<?xf32>) -> tensor<?x37000xf32>
  return %dlogits : tensor<?x37000xf32>
}

// CHECK-LABEL: @mean(
// CHECK: xf.mean
func.func @mean(%token_loss: tensor<?xf32>) -> tensor<f32> {
  %loss = xf.mean %token_loss : (tensor<?xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// CHECK-LABEL: @mean_backward(
// CHECK: xf.mean_backward
func.func @mean_backward(%dy: tensor<f32>, %x: tensor<?xf32>) -> tensor<?xf32> {
  %dx = xf.mean_backward %dy, %x : (tensor<f32>, tensor<?xf32>) -> tensor<?xf32>
  return %dx : tensor<?xf32>
}

// CHECK-LABEL: @log_softmax(
// CHECK: xf.log_softmax
func.func @log_softmax(%logits: tensor<?x37000xf32>) -> tensor<?x37000xf32> {
  %p = xf.log_softmax %logits : tensor<?x37000xf32>
  return %p : tensor<?x37000xf32>
}

// CHECK-LABEL: @block_statistics(
// CHECK: xf.block_statistics
func.func @block_statistics(%logits: tensor<?x32000xf32>) -> (tensor<?x500xf32>, tensor<?x500xf32>) {
  %m, %s = xf.block_statistics %logits : (tensor<?x32000xf32>) -> (tensor<?x500xf32>, tensor<?x500xf32>)
  return %m, %s : tensor<?x500xf32>, tensor<?x500xf32>
}

// CHECK-LABEL: @top_k(
// CHECK: xf.top_k {{.*}} ranks(
func.func @top_k(%logits: tensor<?x32000xf32>, %m: tensor<?x500xf32>, %s: tensor<?x500xf32>, %ranks: tensor<?xi32>) -> (tensor<?x?xf32>, tensor<?x?xi32>, tensor<?xf32>) {
  %values, %tokens, %lse = xf.top_k %logits, %m, %s ranks(%ranks)
    : (tensor<?x32000xf32>, tensor<?x500xf32>, tensor<?x500xf32>, tensor<?xi32>) -> (tensor<?x?xf32>, tensor<?x?xi32>, tensor<?xf32>)
  return %values, %tokens, %lse : tensor<?x?xf32>, tensor<?x?xi32>, tensor<?xf32>
}

// CHECK-LABEL: @global_norm(
// CHECK: xf.global_norm
func.func @global_norm(%g0: tensor<512x512xf32>, %g1: tensor<512xf32>) -> tensor<f32> {
  %n = xf.global_norm %g0, %g1 : (tensor<512x512xf32>, tensor<512xf32>) -> tensor<f32>
  return %n : tensor<f32>
}

// CHECK-LABEL: @learning_rate(
// CHECK: xf.learning_rate
func.func @learning_rate(%random: tensor<2xi64>, %hyper: tensor<8xf32>) -> tensor<f32> {
  %lr = xf.learning_rate %random, %hyper d_model(512) : (tensor<2xi64>, tensor<8xf32>) -> tensor<f32>
  return %lr : tensor<f32>
}
