// The interpreter as a program: inputs by name, results in print or in a file, the stages input and autodiff where they are needed, and mistakes.
// RUN: %python %S/Inputs/tensors.py write %t.safetensors x=F32:2x2:1,2,3,4 labels=I32:2:0,1 arg0=F64::2.5 random=I64:2:0,1 hyper=F32:8:0.5,0,0,0,0.5,0.5,1,0
// RUN: xf-interpret %s --entry=loss --input=%t.safetensors | FileCheck %s --check-prefix=LOSS
// LOSS:      loss []
// LOSS-NEXT:   0.693147181
// LOSS-NEXT: token_nll [2]
// LOSS-NEXT:   0.693147181 0.693147181

// RUN: xf-interpret %s --entry=gradients --input=%t.safetensors | FileCheck %s --check-prefix=GRADIENTS
// GRADIENTS:      grad.w [2, 2]
// GRADIENTS-NEXT:   0.5 0.5
// GRADIENTS-NEXT:   -0.5 -0.5

// A step of Adam at rate 0.5: its first is rate * g / (|g| + epsilon). The file holds the new state, from which the next step goes on.
// RUN: xf-interpret %s --entry=train_step --input=%t.safetensors --output=%t.state.safetensors
// RUN: xf-interpret %s --entry=get --model=%t.state.safetensors | FileCheck %s --check-prefix=STATE
// STATE:      result0 [2, 2]
// STATE-NEXT:   -0.166666667 -0.166666667
// STATE-NEXT:   0.166666667 0.166666667

// RUN: xf-interpret %s --entry=scalar --input=%t.safetensors --trace | FileCheck %s --check-prefix=TRACE
// TRACE:      xf.relu []
// TRACE-NEXT:   2.5
// TRACE-NEXT: result0 []

// By their names in the model; of a large one the corners.
// RUN: %python %S/Inputs/tensors.py write %t.text.safetensors ids=I32:2:1,5 offsets=I32:2:0,2 labels=I32:2:5,6
// RUN: xf-interpret preset:transformer-char-lm,layers=1,vocabulary=65 --entry=loss --input=%t.text.safetensors --trace | FileCheck %s --check-prefix=NAMED
// NAMED: {{^}}embedding.weight xf.get_param [65, 128]
// NAMED-NEXT: {{^  [-0-9.e]+ [-0-9.e]+ [-0-9.e]+ \.\.\. [-0-9.e]+ [-0-9.e]+ [-0-9.e]+$}}
// NAMED-NEXT: {{^  [-0-9.e]+ }}
// NAMED-NEXT: {{^  [-0-9.e]+ }}
// NAMED-NEXT: {{^  \.\.\.$}}
// NAMED-NEXT: {{^  [-0-9.e]+ }}
// NAMED: {{^}}decoder.0.attention.query xf.linear [2, 128]
// RUN: not xf-interpret %t.nowhere.mlir --entry=loss 2>&1 | FileCheck %s --check-prefix=NOFILE
// NOFILE: xf-interpret: error: can't read '{{.*}}nowhere.mlir': No such file or directory

// RUN: not xf-interpret preset:transformer-tiny,vocabulary=20 --entry=nothing 2>&1 | FileCheck %s --check-prefix=NOTHING
// NOTHING: xf-interpret: error: the module has no function 'nothing'; it has encoder_layer, decoder_layer, model, loss, 
// RUN: not xf-interpret %s --entry=loss 2>&1 | FileCheck %s --check-prefix=NO-INPUT
// NO-INPUT: xf-interpret: error: 'loss' takes 'x': give it with --input=FILE.safetensors
// RUN: %python %S/Inputs/tensors.py write %t.wrong.safetensors x=F32:2x3:1,2,3,4,5,6 labels=I32:2:0,1
// RUN: not xf-interpret %s --entry=loss --input=%t.wrong.safetensors 2>&1 | FileCheck %s --check-prefix=SHAPE
// SHAPE: xf-interpret: error: expected 'x' to be tensor<?x2xf32>, but got [2, 3]
// RUN: %python %S/Inputs/tensors.py write %t.label.safetensors x=F32:2x2:1,2,3,4 labels=I32:2:0,7
// RUN: not xf-interpret %s --entry=loss --input=%t.label.safetensors 2>&1 | FileCheck %s --check-prefix=LABEL
// LABEL: xf-interpret.mlir:{{.*}}: error: expected 'labels' to be at least 0 and less than the features of 'logits' (2), but got 7 at 1
// RUN: not xf-interpret %s --entry=loss --input=%t.safetensors --model=%t.safetensors 2>&1 | FileCheck %s --check-prefix=MODEL
// MODEL: xf-interpret: error: expected '{{.*}}' to hold the parameter 'w'

module attributes {xf.config = {d_model = 2 : i64}} {
  xf.param @w : tensor<2x2xf32> zeros(0.0)
  func.func @loss(%x: tensor<?x2xf32> {xf.name = "x"}, %labels: tensor<?xi32> {xf.name = "labels"}) -> (tensor<f32> {xf.name = "loss"}, tensor<?xf32> {xf.name = "token_nll"}) attributes {xf.entry} {
    %w = xf.get_param @w : tensor<2x2xf32>
    %logits = xf.linear %x, %w : (tensor<?x2xf32>, tensor<2x2xf32>) -> tensor<?x2xf32>
    %token_loss, %nll, %lse = xf.cross_entropy %logits, %labels : (tensor<?x2xf32>, tensor<?xi32>) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
    %loss = xf.mean %token_loss : (tensor<?xf32>) -> tensor<f32>
    return %loss, %nll : tensor<f32>, tensor<?xf32>
  }
  func.func @model(%x: tensor<?x2xf32> {xf.name = "x"}, %labels: tensor<?xi32> {xf.name = "labels"}) -> (tensor<f32> {xf.name = "loss"}, tensor<?xf32> {xf.name = "token_nll"}) attributes {xf.entry} {
    %loss, %nll = func.call @loss(%x, %labels) : (tensor<?x2xf32>, tensor<?xi32>) -> (tensor<f32>, tensor<?xf32>)
    %w = xf.get_param @w : tensor<2x2xf32>
    %logits = xf.linear %x, %w : (tensor<?x2xf32>, tensor<2x2xf32>) -> tensor<?x2xf32>
    %token_loss, %token_nll, %lse = xf.cross_entropy %logits, %labels : (tensor<?x2xf32>, tensor<?xi32>) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
    %mean = xf.mean %token_loss : (tensor<?xf32>) -> tensor<f32>
    return %mean, %nll : tensor<f32>, tensor<?xf32>
  }
  func.func @get() -> tensor<2x2xf32> {
    %w = xf.get_param @w : tensor<2x2xf32>
    return %w : tensor<2x2xf32>
  }
  func.func @scalar(%x: tensor<f32>) -> tensor<f32> {
    %y = xf.relu %x : tensor<f32>
    return %y : tensor<f32>
  }
}
