// What the verifiers of Elementwise.td refuse, and in which words: a case a constraint, named after it.
// RUN: xf-opt %s --split-input-file --verify-diagnostics

// xf.add C1
func.func @f(%x: tensor<?x8xf32>, %y: tensor<?x4xf32>) {
  // expected-error@+1 {{'xf.add' op requires the same type for all operands and results}}
  %z = "xf.add"(%x, %y) : (tensor<?x8xf32>, tensor<?x4xf32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.relu_backward C1
func.func @f(%x: tensor<?x8xf32>, %y: tensor<?x4xf32>) {
  // expected-error@+1 {{'xf.relu_backward' op requires the same type for all operands and results}}
  %z = "xf.relu_backward"(%x, %y) : (tensor<?x8xf32>, tensor<?x4xf32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.gelu_backward C1
func.func @f(%x: tensor<?x8xf32>, %y: tensor<?x4xf32>) {
  // expected-error@+1 {{'xf.gelu_backward' op requires the same type for all operands and results}}
  %z = "xf.gelu_backward"(%x, %y) : (tensor<?x8xf32>, tensor<?x4xf32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.relu C1
func.func @f(%x: tensor<?x8xf32>) {
  // expected-error@+1 {{'xf.relu' op requires the same type for all operands and results}}
  %z = "xf.relu"(%x) : (tensor<?x8xf32>) -> tensor<?x4xf32>
  return
}

// -----

// xf.reshape C1
func.func @f(%x: tensor<?x12xf32>) {
  // expected-error@+1 {{'xf.reshape' op expected rows of a width that divides that of 'x', 12, or that it divides, but got 8}}
  %z = xf.reshape %x : tensor<?x12xf32> to tensor<?x8xf32>
  return
}

// -----

// xf.reshape C2
func.func @f(%x: tensor<?x12xf32>) {
  // expected-error@+1 {{'xf.reshape' op expected the elements of 'x', 'f32', but got 'bf16'}}
  %z = xf.reshape %x : tensor<?x12xf32> to tensor<?x4xbf16>
  return
}

// -----

// xf.reshape C3
func.func @f(%x: tensor<?x12xf32>) {
  // expected-error@+1 {{'xf.reshape' op expected as many elements as 'x' has, ? x 12, but got 9 x 4}}
  %z = xf.reshape %x : tensor<?x12xf32> to tensor<9x4xf32>
  return
}

// -----

// xf.reshape C3
func.func @f(%x: tensor<3x12xf32>) {
  // expected-error@+1 {{'xf.reshape' op expected as many elements as 'x' has, 3 x 12, but got 8 x 4}}
  %z = xf.reshape %x : tensor<3x12xf32> to tensor<8x4xf32>
  return
}

// -----

// xf.cast C1
func.func @f(%x: tensor<?x8xf32>) {
  // expected-error@+1 {{expected 'result' to have shape ? x 8 (that of 'x'), but got ? x 4}}
  %z = xf.cast %x : tensor<?x8xf32> to tensor<?x4xbf16>
  return
}

// -----

// xf.cast C2
func.func @f(%x: tensor<?x8xf32>) {
  // expected-error@+1 {{expected a cast from f32 to bf16 or back, but got one from 'f32' to 'f32'}}
  %z = xf.cast %x : tensor<?x8xf32> to tensor<?x8xf32>
  return
}

// -----

// xf.gelu C1
func.func @f(%x: tensor<?x8xf32>) {
  // expected-error@+1 {{'xf.gelu' op requires the same type for all operands and results}}
  %z = "xf.gelu"(%x) : (tensor<?x8xf32>) -> tensor<?x4xf32>
  return
}

// -----

// xf.dropout C1
func.func @f(%x: tensor<?x8xf32>, %r: tensor<2xi64>, %s: i64) {
  // expected-error@+1 {{'xf.dropout' op expected rate to be at least 0 and less than 1, but got 1.00}}
  %y = xf.dropout %x, %r, %s rate(1.0) : tensor<?x8xf32>, tensor<2xi64>
  return
}

// -----

// xf.multiply C1
func.func @f(%x: tensor<?x8xf32>, %y: tensor<?x4xf32>) {
  // expected-error@+1 {{'xf.multiply' op requires the same type for all operands and results}}
  %z = "xf.multiply"(%x, %y) : (tensor<?x8xf32>, tensor<?x4xf32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.gelu_tanh C1
func.func @f(%x: tensor<?x8xf32>) {
  // expected-error@+1 {{'xf.gelu_tanh' op requires the same type for all operands and results}}
  %z = "xf.gelu_tanh"(%x) : (tensor<?x8xf32>) -> tensor<?x4xf32>
  return
}

// -----

// xf.silu C1
func.func @f(%x: tensor<?x8xf32>) {
  // expected-error@+1 {{'xf.silu' op requires the same type for all operands and results}}
  %z = "xf.silu"(%x) : (tensor<?x8xf32>) -> tensor<?x4xf32>
  return
}

// -----

// xf.tanh C1
func.func @f(%x: tensor<?x8xf32>) {
  // expected-error@+1 {{'xf.tanh' op requires the same type for all operands and results}}
  %z = "xf.tanh"(%x) : (tensor<?x8xf32>) -> tensor<?x4xf32>
  return
}

// -----

// xf.tanh_backward C1
func.func @f(%x: tensor<?x8xf32>, %y: tensor<?x4xf32>) {
  // expected-error@+1 {{'xf.tanh_backward' op requires the same type for all operands and results}}
  %z = "xf.tanh_backward"(%x, %y) : (tensor<?x8xf32>, tensor<?x4xf32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.gelu_tanh_backward C1
func.func @f(%x: tensor<?x8xf32>, %y: tensor<?x4xf32>) {
  // expected-error@+1 {{'xf.gelu_tanh_backward' op requires the same type for all operands and results}}
  %z = "xf.gelu_tanh_backward"(%x, %y) : (tensor<?x8xf32>, tensor<?x4xf32>) -> tensor<?x8xf32>
  return
}

// -----

// xf.silu_backward C1
func.func @f(%x: tensor<?x8xf32>, %y: tensor<?x4xf32>) {
  // expected-error@+1 {{'xf.silu_backward' op requires the same type for all operands and results}}
  %z = "xf.silu_backward"(%x, %y) : (tensor<?x8xf32>, tensor<?x4xf32>) -> tensor<?x8xf32>
  return
}
