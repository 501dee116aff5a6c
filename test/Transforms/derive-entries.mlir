// From one model: the loss without dropout, what depends on the source alone, the decoder for one new token, the weights to look at.
// RUN: xf-compile preset:transformer-tiny,layers=1,dropout=0.1,attention_dropout=0.1,vocabulary=20 --compile-to=input | FileCheck %s
// RUN: xf-compile preset:transformer-char-lm,layers=1,dropout=0.1 --compile-to=input | FileCheck %s --check-prefix=LM --implicit-check-not=memory
// RUN: xf-compile preset:transformer-encoder,layers=1 --compile-to=input | FileCheck %s --check-prefix=ENCODER
// RUN: xf-compile preset:transformer-classifier,layers=1,classes=3 --compile-to=input | FileCheck %s --check-prefix=CLASSES
// RUN: xf-compile preset:transformer-char-lm,layers=1,window=3 --compile-to=input | FileCheck %s --check-prefix=WINDOW
// RUN: xf-compile preset:transformer-tiny,layers=1,positions=relative,soft_cap=9 --compile-to=input | FileCheck %s --check-prefix=SCORE
// RUN: xf-opt %s --xf-resolve --xf-derive-entries --split-input-file | FileCheck %s --check-prefix=FREE

// CHECK-LABEL: func.func private @encoder_layer(
// CHECK: xf.attention {{.*}} dropout(1.000000e-01,
// CHECK-LABEL: func.func private @encoder_layer.evaluate(
// CHECK-NOT: xf.dropout
// CHECK: return
// CHECK-LABEL: func.func @model(
// CHECK: xf.dropout
// CHECK-LABEL: func.func @loss(
// CHECK-NOT: tensor<2xi64>
// CHECK: call @encoder_layer.evaluate(
// CHECK-LABEL: func.func @encode(
// CHECK-SAME: -> (tensor<?x128xf32> {xf.kept, xf.name = "memory.0"}, tensor<?x128xf32> {xf.kept, xf.name = "memory.1"})
// CHECK: xf.attention
// CHECK-LABEL: func.func @decode(
// CHECK-SAME: xf.dims = ["rows"], xf.name = "ids"
// CHECK-SAME: xf.dims = ["memory_tokens"], xf.kept, xf.name = "memory.1"
// CHECK-SAME: xf.dims = ["cache_tokens"], xf.kept, xf.name = "cache.1"
// CHECK-SAME: {xf.dims = ["logit_rows"], xf.name = "logit_rows"}
// CHECK-SAME: xf.dims = ["ranks"], xf.name = "ranks"
// CHECK-SAME: xf.name = "logits"
// CHECK-SAME: xf.name = "log_sum_exp"
// CHECK-SAME: tensor<?x?xf32> {xf.name = "top_log_probabilities"}
// CHECK-SAME: tensor<?x?xi32> {xf.name = "top_tokens"}
// CHECK-NOT: xf.attention %
// CHECK: %[[KEYS:.*]] = xf.cache_write
// CHECK: %[[VALUES:.*]] = xf.cache_write
// CHECK: xf.cached_attention %{{.*}}, %[[KEYS]], %[[VALUES]] rows(
// CHECK: xf.cached_attention
// What comes after the last attention is of the rows whose logits are asked for.
// CHECK: %[[ASKED:.*]] = xf.embedding %{{.*}}, %{{.*}} : (tensor<?xi32>, tensor<?x128xf32>) -> tensor<?x128xf32>
// CHECK: %[[OUTPUT:.*]] = xf.linear %[[ASKED]],
// CHECK: %[[RESIDUAL:.*]] = xf.embedding %{{.*}}, %{{.*}} : (tensor<?xi32>, tensor<?x128xf32>) -> tensor<?x128xf32>
// CHECK: xf.add %[[RESIDUAL]], %[[OUTPUT]] :
// CHECK-NOT: xf.embedding
// CHECK: xf.linear
// CHECK: %[[MAXIMA:.*]], %[[SUMS:.*]] = xf.block_statistics %[[LOGITS:.*]] :
// CHECK: xf.top_k %[[LOGITS]], %[[MAXIMA]], %[[SUMS]] ranks(
// CHECK-LABEL: func.func @attention(
// CHECK-SAME: xf.name = "encoder.0.attention"
// CHECK-SAME: xf.name = "decoder.0.attention"
// CHECK-SAME: xf.name = "decoder.0.cross_attention"

// A language model has nothing to encode: what it predicts depends on its own tokens alone.
// LM-LABEL: func.func @model(
// LM-LABEL: func.func @loss(
// LM-NOT: func.func @encode(
// LM-LABEL: func.func @decode(
// LM-SAME: xf.name = "positions"
// LM-SAME: xf.dims = ["cache_tokens"], xf.kept, xf.name = "cache.0"
// LM-SAME: xf.name = "cache_slots"
// LM-SAME: -> (tensor<?x65xf32> {xf.name = "logits"}, tensor<?xf32> {xf.name = "log_sum_exp"}
// LM-COUNT-2: xf.cache_write
// LM: xf.cached_attention
// LM: %[[X:.*]] = xf.embedding %{{.*}}, %{{.*}} : (tensor<?xi32>, tensor<?x128xf32>) -> tensor<?x128xf32>
// LM: xf.linear %[[X]],
// LM: %[[N:.*]] = xf.layer_norm
// LM: xf.linear %[[N]],
// LM-LABEL: func.func @attention(
// LM-SAME: xf.dims = ["tokens"], xf.name = "ids"
// LM-SAME: -> (tensor<4x?x?xf32> {xf.name = "decoder.0.attention"})

// An encoder is its own entry point.
// ENCODER-LABEL: func.func @encode(
// ENCODER-SAME: -> (tensor<?x384xf32> {xf.name = "states"})
// ENCODER-NOT: func.func @{{(model|loss|decode|attention)}}

// A classifier predicts classes' probabilities, from all that its logits depend on.
// CLASSES-LABEL: func.func @loss(
// CLASSES-SAME: tensor<?x3xf32> {xf.name = "log_probabilities"})
// CLASSES-LABEL: func.func @classify(
// CLASSES-SAME: xf.dims = ["sequences"], xf.name = "queries"
// CLASSES-NOT: labels
// CLASSES-SAME: -> (tensor<?x3xf32> {xf.name = "log_probabilities"})
// CLASSES-NOT: xf.dropout
// CLASSES: xf.log_softmax
// CLASSES-NOT: func.func @{{(decode|attention)}}

// A window is that of the rows listed last, and shows in the weights.
// WINDOW-LABEL: func.func @decode(
// WINDOW: xf.cached_attention {{.*}} window(3) :
// WINDOW-LABEL: func.func @attention(
// WINDOW: xf.attention_weights {{.*}} causal window(3) :

// A score region goes where the attention goes; across, what reads the query's number can't, for it is not known.
// SCORE-LABEL: func.func @decode(
// SCORE: xf.cached_attention {{.*}} score(%
// SCORE: xf.cached_attention {{.*}} score {
// SCORE-LABEL: func.func @attention(
// SCORE: xf.attention_weights {{.*}} causal score(%

// A target side that looks ahead trains, but can't decode token by token.
// FREE: func.func @loss(
// FREE-NOT: func.func @decode(
module attributes {xf.kind = "sequence_to_sequence"} {
  func.func @model(%source_ids: tensor<?xi32> {xf.name = "source_ids"}, %source_offsets: tensor<?xi32> {xf.name = "source_offsets"}, %target_ids: tensor<?xi32> {xf.name = "target_ids"},
                   %target_offsets: tensor<?xi32> {xf.name = "target_offsets"}, %labels: tensor<?xi32> {xf.name = "labels"}) -> (tensor<f32> {xf.name = "loss"}) attributes {xf.entry} {
    %x = xf.embed "e" (%target_ids, %target_offsets) vocabulary(20) positions(none) : (tensor<?xi32>, tensor<?xi32>) -> tensor<?x8xf32>
    %a = xf.multi_head_attention "a" (%x, %x, %x) offsets(%target_offsets, %target_offsets) heads(2) head_dims(4, 4)
      : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x8xf32>
    %logits = xf.project "p" (%a) : (tensor<?x8xf32>) -> tensor<?x20xf32>
    %t, %n, %l = xf.cross_entropy %logits, %labels : (tensor<?x20xf32>, tensor<?xi32>) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
    %loss = xf.mean %t : (tensor<?xf32>) -> tensor<f32>
    return %loss : tensor<f32>
  }
}

// -----
// Nor can one that is told how many keys its tokens see: the weights would need it too.
// FREE: func.func @loss(
// FREE-NOT: func.func @{{(decode|attention)}}(
module attributes {xf.kind = "language_model"} {
  func.func @model(%ids: tensor<?xi32> {xf.name = "ids"}, %offsets: tensor<?xi32> {xf.name = "offsets"}, %lengths: tensor<?xi32> {xf.name = "lengths"},
                   %labels: tensor<?xi32> {xf.name = "labels"}) -> (tensor<f32> {xf.name = "loss"}) attributes {xf.entry} {
    %x = xf.embed "e" (%ids, %offsets) vocabulary(20) positions(none) : (tensor<?xi32>, tensor<?xi32>) -> tensor<?x8xf32>
    %a = xf.multi_head_attention "a" (%x, %x, %x) offsets(%offsets, %offsets) heads(2) head_dims(4, 4) lengths(%lengths)
      : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x8xf32>
    %logits = xf.project "p" (%a) : (tensor<?x8xf32>) -> tensor<?x20xf32>
    %t, %n, %l = xf.cross_entropy %logits, %labels : (tensor<?x20xf32>, tensor<?xi32>) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
    %loss = xf.mean %t : (tensor<?xf32>) -> tensor<f32>
    return %loss : tensor<f32>
  }
}

// -----
// FREE: func.func @loss(
// FREE-NOT: func.func @decode(
// FREE: func.func @attention(
module attributes {xf.kind = "sequence_to_sequence"} {
  func.func @model(%source_ids: tensor<?xi32> {xf.name = "source_ids"}, %source_offsets: tensor<?xi32> {xf.name = "source_offsets"}, %target_ids: tensor<?xi32> {xf.name = "target_ids"},
                   %target_offsets: tensor<?xi32> {xf.name = "target_offsets"}, %labels: tensor<?xi32> {xf.name = "labels"}) -> (tensor<f32> {xf.name = "loss"}) attributes {xf.entry} {
    %x = xf.embed "e" (%target_ids, %target_offsets) vocabulary(20) positions(none) : (tensor<?xi32>, tensor<?xi32>) -> tensor<?x8xf32>
    %m = xf.embed "e" (%source_ids, %source_offsets) vocabulary(20) positions(none) : (tensor<?xi32>, tensor<?xi32>) -> tensor<?x8xf32>
    %a = xf.multi_head_attention "a" (%x, %m, %m) offsets(%target_offsets, %source_offsets) heads(2) head_dims(4, 4) score {
    ^bb0(%score: f32, %head: index, %query: index, %key: index):
      %masked = arith.constant 0xFF800000 : f32
      %near = arith.cmpi slt, %query, %key : index
      %s = arith.select %near, %score, %masked : f32
      xf.yield %s : f32
    } : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x8xf32>
    %logits = xf.project "p" (%a) : (tensor<?x8xf32>) -> tensor<?x20xf32>
    %t, %n, %l = xf.cross_entropy %logits, %labels : (tensor<?x20xf32>, tensor<?xi32>) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
    %loss = xf.mean %t : (tensor<?xf32>) -> tensor<f32>
    return %loss : tensor<f32>
  }
}
