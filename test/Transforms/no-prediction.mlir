// A model that can't predict token by token still trains: a warning says what stands in the way, and where.
// RUN: xf-opt %s --xf-resolve --xf-derive-entries -split-input-file -verify-diagnostics -o /dev/null

module attributes {xf.kind = "language_model"} {
  // expected-warning @below {{'decode' can't be derived from 'model', so what is compiled of it has no command 'generate': it has 0 xf.cross_entropy, and not one, whose logits would be the prediction}}
  func.func @model(%ids: tensor<?xi32> {xf.name = "ids"}, %offsets: tensor<?xi32> {xf.name = "offsets"}) attributes {xf.entry} {
    return
  }
}

// -----

module attributes {xf.kind = "language_model"} {
  xf.param @w : tensor<20x8xf32> zeros(0.0)
  // expected-warning @below {{its logits depend on argument 2, which is neither tokens nor their offsets}}
  func.func @model(%ids: tensor<?xi32> {xf.name = "ids"}, %offsets: tensor<?xi32> {xf.name = "offsets"}, %x: tensor<?x8xf32>, %labels: tensor<?xi32> {xf.name = "labels"}) -> tensor<?xf32> attributes {xf.entry} {
    %w = xf.get_param @w : tensor<20x8xf32>
    %logits = xf.linear %x, %w : (tensor<?x8xf32>, tensor<20x8xf32>) -> tensor<?x20xf32>
    %a, %b, %c = xf.cross_entropy %logits, %labels : (tensor<?x20xf32>, tensor<?xi32>) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
    return %a : tensor<?xf32>
  }
}

// -----

module attributes {xf.kind = "language_model"} {
  xf.param @w : tensor<20x8xf32> zeros(0.0)
  // expected-warning @below {{its logits do not depend on the tokens of the target}}
  func.func @model(%ids: tensor<?xi32> {xf.name = "ids"}, %offsets: tensor<?xi32> {xf.name = "offsets"}, %labels: tensor<?xi32> {xf.name = "labels"}) -> tensor<?xf32> attributes {xf.entry} {
    %w = xf.get_param @w : tensor<20x8xf32>
    %a, %b, %c = xf.cross_entropy %w, %labels : (tensor<20x8xf32>, tensor<?xi32>) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
    return %a : tensor<?xf32>
  }
}

// -----

module attributes {xf.kind = "language_model"} {
  func.func @model(%ids: tensor<?xi32> {xf.name = "ids"}, %offsets: tensor<?xi32> {xf.name = "offsets"}, %labels: tensor<?xi32> {xf.name = "labels"}) -> tensor<?xf32> attributes {xf.entry} {
    %x = xf.embed "e" (%ids, %offsets) vocabulary(20) positions(none) : (tensor<?xi32>, tensor<?xi32>) -> tensor<?x8xf32>
    // expected-warning @below {{tokens of the target attend to later ones}}
    %y, %s = xf.attention %x, %x, %x offsets(%offsets, %offsets) heads(2) scale(1.0) : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?x8xf32>, tensor<?x2xf32>)
    %a, %b, %c = xf.cross_entropy %y, %labels : (tensor<?x8xf32>, tensor<?xi32>) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
    return %a : tensor<?xf32>
  }
}

// -----

module attributes {xf.kind = "language_model"} {
  func.func @model(%ids: tensor<?xi32> {xf.name = "ids"}, %offsets: tensor<?xi32> {xf.name = "offsets"}, %labels: tensor<?xi32> {xf.name = "labels"}) -> tensor<?xf32> attributes {xf.entry} {
    %x = xf.embed "e" (%ids, %offsets) vocabulary(20) positions(none) : (tensor<?xi32>, tensor<?xi32>) -> tensor<?x8xf32>
    // expected-warning @below {{the logits depend on this attention's log_sum_exp}}
    %y, %s = xf.attention %x, %x, %x offsets(%offsets, %offsets) heads(2) scale(1.0) causal : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?x8xf32>, tensor<?x2xf32>)
    %a, %b, %c = xf.cross_entropy %s, %labels : (tensor<?x2xf32>, tensor<?xi32>) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
    return %a : tensor<?xf32>
  }
}

// -----

module attributes {xf.kind = "language_model"} {
  func.func @model(%ids: tensor<?xi32> {xf.name = "ids"}, %offsets: tensor<?xi32> {xf.name = "offsets"}, %labels: tensor<?xi32> {xf.name = "labels"}) -> tensor<?xf32> attributes {xf.entry} {
    %x = xf.embed "e" (%ids, %offsets) vocabulary(20) positions(none) : (tensor<?xi32>, tensor<?xi32>) -> tensor<?x8xf32>
    // expected-warning @below {{this attention's queries are not in the sequences of the target}}
    %y, %s = xf.attention %x, %x, %x offsets(%ids, %offsets) heads(2) scale(1.0) causal : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?x8xf32>, tensor<?x2xf32>)
    %a, %b, %c = xf.cross_entropy %y, %labels : (tensor<?x8xf32>, tensor<?xi32>) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
    return %a : tensor<?xf32>
  }
}

// -----

module attributes {xf.kind = "language_model"} {
  func.func @model(%ids: tensor<?xi32> {xf.name = "ids"}, %offsets: tensor<?xi32> {xf.name = "offsets"}, %labels: tensor<?xi32> {xf.name = "labels"}) -> tensor<?xf32> attributes {xf.entry} {
    %x = xf.embed "e" (%ids, %offsets) vocabulary(20) positions(none) : (tensor<?xi32>, tensor<?xi32>) -> tensor<?x8xf32>
    // expected-warning @below {{how many keys a later token sees ('lengths') is not known}}
    %y, %s = xf.attention %x, %x, %x offsets(%offsets, %offsets) heads(2) scale(1.0) causal lengths(%ids) : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?x8xf32>, tensor<?x2xf32>)
    %a, %b, %c = xf.cross_entropy %y, %labels : (tensor<?x8xf32>, tensor<?xi32>) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
    return %a : tensor<?xf32>
  }
}

// -----

module attributes {xf.kind = "language_model"} {
  func.func @model(%ids: tensor<?xi32> {xf.name = "ids"}, %offsets: tensor<?xi32> {xf.name = "offsets"}, %labels: tensor<?xi32> {xf.name = "labels"}) -> tensor<?xf32> attributes {xf.entry} {
    %x = xf.embed "e" (%ids, %offsets) vocabulary(20) positions(none) : (tensor<?xi32>, tensor<?xi32>) -> tensor<?x8xf32>
    // expected-warning @below {{'xf.column_sum' works on more than a token of the target}}
    %s = xf.column_sum %x : (tensor<?x8xf32>) -> tensor<8xf32>
    %y = xf.linear %x, %x bias %s : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<8xf32>) -> tensor<?x?xf32>
    %a, %b, %c = xf.cross_entropy %y, %labels : (tensor<?x?xf32>, tensor<?xi32>) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
    return %a : tensor<?xf32>
  }
}

// -----

module attributes {xf.kind = "sequence_to_sequence"} {
  func.func @model(%source_ids: tensor<?xi32> {xf.name = "source_ids"}, %source_offsets: tensor<?xi32> {xf.name = "source_offsets"}, %ids: tensor<?xi32> {xf.name = "target_ids"},
                   %offsets: tensor<?xi32> {xf.name = "target_offsets"}, %labels: tensor<?xi32> {xf.name = "labels"}) -> tensor<?xf32> attributes {xf.entry} {
    %m = xf.embed "e" (%source_ids, %source_offsets) vocabulary(20) positions(none) : (tensor<?xi32>, tensor<?xi32>) -> tensor<?x8xf32>
    %x = xf.embed "e" (%ids, %offsets) vocabulary(20) positions(none) : (tensor<?xi32>, tensor<?xi32>) -> tensor<?x8xf32>
    // expected-warning @below {{'decode' can't be derived from 'model', so what is compiled of it has no command 'translate': where a target of unknown length stands among the tokens of its source is not known}}
    %y, %s = xf.attention %x, %m, %m offsets(%offsets, %source_offsets) heads(2) scale(1.0) causal : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?x8xf32>, tensor<?x2xf32>)
    %a, %b, %c = xf.cross_entropy %y, %labels : (tensor<?x8xf32>, tensor<?xi32>) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
    return %a : tensor<?xf32>
  }
}

// -----

module attributes {xf.kind = "language_model"} {
  func.func @model(%ids: tensor<?xi32> {xf.name = "ids"}, %offsets: tensor<?xi32> {xf.name = "offsets"}, %labels: tensor<?xi32> {xf.name = "labels"}) -> tensor<?xf32> attributes {xf.entry} {
    // expected-warning @below {{it predicts one of 8 tokens, but reads 5}}
    %x = xf.embed "e" (%ids, %offsets) vocabulary(5) positions(none) : (tensor<?xi32>, tensor<?xi32>) -> tensor<?x8xf32>
    %a, %b, %c = xf.cross_entropy %x, %labels : (tensor<?x8xf32>, tensor<?xi32>) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
    return %a : tensor<?xf32>
  }
}

// -----

// What decoding has of a source are keys and values. Rows beside the target's are as many only where both are given.
module attributes {xf.kind = "sequence_to_sequence"} {
  func.func @model(%si: tensor<?xi32> {xf.name = "source_ids"}, %so: tensor<?xi32> {xf.name = "source_offsets"}, %ti: tensor<?xi32> {xf.name = "target_ids"}, %to: tensor<?xi32> {xf.name = "target_offsets"}, %labels: tensor<?xi32> {xf.name = "labels"}) -> tensor<?xf32> attributes {xf.entry} {
    %x = xf.embed "e" (%si, %so) vocabulary(20) positions(none) : (tensor<?xi32>, tensor<?xi32>) -> tensor<?x20xf32>
    %y = xf.embed "e" (%ti, %to) vocabulary(20) positions(none) : (tensor<?xi32>, tensor<?xi32>) -> tensor<?x20xf32>
    // expected-warning @below {{'translate': 'xf.add' takes tokens of the source beside those of the target}}
    %z = xf.add %y, %x : tensor<?x20xf32>
    %a, %b, %c = xf.cross_entropy %z, %labels : (tensor<?x20xf32>, tensor<?xi32>) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
    return %a : tensor<?xf32>
  }
}

// -----

module attributes {xf.kind = "sequence_to_sequence"} {
  func.func @model(%si: tensor<?xi32> {xf.name = "source_ids"}, %so: tensor<?xi32> {xf.name = "source_offsets"}, %ti: tensor<?xi32> {xf.name = "target_ids"}, %to: tensor<?xi32> {xf.name = "target_offsets"}, %labels: tensor<?xi32> {xf.name = "labels"}) -> tensor<?xf32> attributes {xf.entry} {
    %x = xf.embed "e" (%si, %so) vocabulary(20) positions(none) : (tensor<?xi32>, tensor<?xi32>) -> tensor<?x20xf32>
    %y = xf.embed "e" (%ti, %to) vocabulary(20) positions(none) : (tensor<?xi32>, tensor<?xi32>) -> tensor<?x20xf32>
    // expected-warning @below {{of this attention's keys and values one is of the target}}
    %z, %s = xf.attention %y, %y, %x offsets(%to, %to) heads(2) scale(1.0) causal : (tensor<?x20xf32>, tensor<?x20xf32>, tensor<?x20xf32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?x20xf32>, tensor<?x2xf32>)
    %a, %b, %c = xf.cross_entropy %z, %labels : (tensor<?x20xf32>, tensor<?xi32>) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
    return %a : tensor<?xf32>
  }
}
