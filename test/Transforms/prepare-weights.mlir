// What predicts reads packed weights, which `prepare` makes; the loss and what only looks reads the weights themselves.
// RUN: xf-compile preset:transformer-tiny,layers=1,vocabulary=20,tied=true --compile-to=input | FileCheck %s
// RUN: xf-compile preset:transformer-encoder,layers=1 --compile-to=input | FileCheck %s --check-prefix=ENCODER
// RUN: xf-opt %s --xf-prepare-weights | FileCheck %s --check-prefix=FREE
// RUN: xf-compile preset:transformer-tiny,layers=1,vocabulary=20,tied=true --target=cuda --precision=bf16 --compile-to=outline | FileCheck %s --check-prefix=COPIED

// RUN: xf-compile preset:transformer-tiny,layers=1,vocabulary=20,tied=true --quantize=int8 --compile-to=input | FileCheck %s --check-prefix=INT8

// RUN: xf-compile preset:transformer-classifier,layers=1,vocabulary=20 --compile-to=input | FileCheck %s --check-prefix=CLASSES
// CLASSES-LABEL: func.func @loss(
// CLASSES-NOT: xf.get_prepared
// CLASSES-LABEL: func.func @classify(
// CLASSES: %[[QUERY:.*]] = xf.get_prepared @encoder.0.attention.query.weight
// CLASSES: xf.linear %{{.*}}, %[[QUERY]]
// CLASSES-NOT: xf.get_param @encoder.0.attention.query.weight
// CLASSES-LABEL: func.func @prepare(

// Of i8 with --quantize, and a loss of them.
// INT8-LABEL: func.func @loss(
// INT8-NOT: xf.get_prepared
// INT8-LABEL: func.func @quantized_loss(
// INT8: %[[OWN:.*]] = xf.get_prepared @embedding.weight : tensor<1x136x32xi8>
// INT8-NOT: xf.get_param @embedding.weight
// INT8: xf.linear %{{.*}}, %[[OWN]]
// INT8-LABEL: func.func @decode(
// INT8: %[[TABLE:.*]] = xf.get_prepared @embedding.weight : tensor<1x136x32xi8>
// INT8: xf.embedding %{{.*}}, %[[TABLE]]{{.*}} rows(20)
// INT8-NOT: xf.get_param @embedding.weight
// INT8: xf.linear %{{.*}}, %[[TABLE]]
// INT8-LABEL: func.func @prepare(
// INT8: xf.pack %{{.*}} : (tensor<20x128xf32>) -> tensor<1x136x32xi8>

// CHECK-LABEL: func.func @loss(
// CHECK-NOT: xf.get_prepared
// CHECK-LABEL: func.func @encode(
// CHECK: %[[QUERY:.*]] = xf.get_prepared @encoder.0.attention.query.weight : tensor<4x128x32xf32>
// CHECK: xf.linear %{{.*}}, %[[QUERY]]
// CHECK-NOT: xf.get_param @encoder.0.attention.query.weight
// CHECK-LABEL: func.func @decode(
// Looked up and multiplied by, it is one packed weight.
// CHECK: %[[TABLE:.*]] = xf.get_prepared @embedding.weight : tensor<1x128x32xf32>
// CHECK: xf.embedding %{{.*}}, %[[TABLE]] scale({{.*}}) rows(20)
// CHECK-NOT: xf.get_param @embedding.weight
// CHECK-LABEL: func.func @attention(
// CHECK-NOT: xf.get_prepared
// The largest first, for a weight is there twice while it is packed.
// CHECK-LABEL: func.func @prepare() attributes {xf.entry}
// CHECK-NEXT: %[[LARGEST:.*]] = xf.get_param @encoder.0.feed_forward.{{.*}}.weight
// CHECK: %[[WEIGHT:.*]] = xf.get_param @encoder.0.attention.query.weight
// CHECK: %[[PACKED:.*]] = xf.pack %[[WEIGHT]]
// CHECK: xf.set_prepared @encoder.0.attention.query.weight, %[[PACKED]]
// Once a parameter, however many read it.
// CHECK-COUNT-1: xf.set_prepared @embedding.weight
// CHECK-NOT: xf.set_prepared @embedding.weight

// For a GPU's tensor cores a copy in bf16, not in panels.
// COPIED-LABEL: func.func @decode(
// COPIED: xf.get_prepared @embedding.weight : tensor<20x128xbf16>
// COPIED-LABEL: func.func @prepare(
// COPIED: %[[COPY:.*]] = xf.dispatch @cast_20x128 "embedding.weight"(%{{.*}}) : (tensor<20x128xf32>) -> tensor<20x128xbf16>
// COPIED: xf.set_prepared @embedding.weight, %[[COPY]] : tensor<20x128xbf16>

// A table that nothing multiplies by is looked up as it is, unless packing makes it narrower.
// RUN: xf-compile preset:transformer-encoder,layers=1,vocabulary=50 --precision=bf16 --compile-to=outline | FileCheck %s --check-prefix=NARROW
// NARROW-LABEL: func.func @encode(
// NARROW: xf.get_prepared @embedding.weight : tensor<2x384x32xbf16>
// ENCODER-LABEL: func.func @encode(
// ENCODER-NOT: call
// ENCODER: xf.embedding %{{.*}} : (tensor<?xi32>, tensor<{{[0-9]+}}x{{[0-9]+}}xf32>)
// ENCODER-NOT: call
// ENCODER: xf.get_prepared @encoder.0.feed_forward.in.weight
// ENCODER-LABEL: func.func @prepare(

// Learned positions are looked up as they are.
// RUN: xf-compile preset:gpt2-small,layers=1,d_model=16,heads=2,d_k=8,d_v=8,d_ff=24,vocabulary=50 --quantize=int8 --compile-to=input | FileCheck %s --check-prefix=PLACES
// PLACES-LABEL: func.func @decode(
// PLACES-DAG: xf.get_prepared @{{.*}} : tensor<2x18x32xi8>
// PLACES-DAG: xf.embedding %{{.*}} : (tensor<?xi32>, tensor<{{[0-9]+}}x16xf32>) -> tensor<?x16xf32>

// A weight that is not a parameter stays.
// FREE-LABEL: func.func @encode(
// FREE: xf.linear %{{.*}}, %{{.*}} : (tensor<?x4xf32>, tensor<8x4xf32>) -> tensor<?x8xf32>
// FREE-LABEL: func.func @decode(
// FREE: xf.get_prepared @v : tensor<1x8x32xf32>
func.func @encode(%x: tensor<?x4xf32>, %w: tensor<8x4xf32>) -> tensor<?x8xf32> attributes {xf.entry} {
  %y = xf.linear %x, %w : (tensor<?x4xf32>, tensor<8x4xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
xf.param @v : tensor<8x8xf32> zeros(0.0)
func.func @decode(%x: tensor<?x8xf32>) -> tensor<?x8xf32> attributes {xf.entry} {
  %w = xf.get_param @v : tensor<8x8xf32>
  %y = xf.linear %x, %w : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
func.func @other() {
  return
}
