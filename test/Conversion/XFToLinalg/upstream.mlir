// What convert-xf-to-linalg leaves is upstream's own: its bufferization, its loops and its runner take it to numbers.
// RUN: xf-opt %s --convert-xf-to-linalg \
// RUN:   | mlir-opt --one-shot-bufferize="bufferize-function-boundaries function-boundary-type-conversion=identity-layout-map" --convert-bufferization-to-memref --convert-linalg-to-loops --expand-strided-metadata --lower-affine \
// RUN:     --convert-scf-to-cf --convert-math-to-llvm --convert-math-to-libm --convert-arith-to-llvm --finalize-memref-to-llvm --convert-func-to-llvm --convert-cf-to-llvm --reconcile-unrealized-casts \
// RUN:   | mlir-runner -e main --entry-point-result=void --shared-libs=%llvm/lib/libmlir_runner_utils.so,%llvm/lib/libmlir_c_runner_utils.so | FileCheck %s

func.func private @printMemrefF32(%x: tensor<*xf32>) attributes {llvm.emit_c_interface}

func.func private @attend(%x: tensor<?x2xf32>, %offsets: tensor<?xi32>) -> tensor<?x2xf32> {
  %o, %lse = xf.attention %x, %x, %x offsets(%offsets, %offsets) heads(2) scale(1.0) causal
    : (tensor<?x2xf32>, tensor<?x2xf32>, tensor<?x2xf32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?x2xf32>, tensor<?x2xf32>)
  return %o : tensor<?x2xf32>
}
func.func private @norm(%x: tensor<?x2xf32>, %g: tensor<2xf32>, %b: tensor<2xf32>) -> tensor<?x2xf32> {
  %y = xf.layer_norm %x, %g, %b epsilon(0.0) : (tensor<?x2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<?x2xf32>
  return %y : tensor<?x2xf32>
}

func.func private @heads(%x: tensor<?x2xf32>, %g: tensor<1xf32>) -> tensor<?x2xf32> {
  %h = xf.reshape %x : tensor<?x2xf32> to tensor<?x1xf32>
  %n = xf.layer_norm %h, %g rms epsilon(0.0) : (tensor<?x1xf32>, tensor<1xf32>) -> tensor<?x1xf32>
  %y = xf.reshape %n : tensor<?x1xf32> to tensor<?x2xf32>
  return %y : tensor<?x2xf32>
}

func.func @main() {
  %x = arith.constant dense<[[1.0, 2.0], [3.0, 5.0], [7.0, 11.0]]> : tensor<3x2xf32>
  %offsets = arith.constant dense<[0, 2, 3]> : tensor<3xi32>
  %g = arith.constant dense<[1.0, 2.0]> : tensor<2xf32>
  %b = arith.constant dense<[0.5, 0.0]> : tensor<2xf32>
  %dynamic = tensor.cast %x : tensor<3x2xf32> to tensor<?x2xf32>
  %starts = tensor.cast %offsets : tensor<3xi32> to tensor<?xi32>

  // The second query's scores are 3 and 9, so that key 1 weighs 1 / (1 + exp(3 - 9)), and 10 and 25 in the other head.
  // CHECK: {{\[\[}}1, {{ *}}2]
  // CHECK-NEXT: [2.995{{[0-9]*}}, {{ *}}5]
  // CHECK-NEXT: [7, {{ *}}11]
  %o = call @attend(%dynamic, %starts) : (tensor<?x2xf32>, tensor<?xi32>) -> tensor<?x2xf32>
  %o_any = tensor.cast %o : tensor<?x2xf32> to tensor<*xf32>
  call @printMemrefF32(%o_any) : (tensor<*xf32>) -> ()

  // Of two features, one lies a deviation under the mean and one above.
  // CHECK-COUNT-3: [-0.5, {{ *}}2]
  %n = call @norm(%dynamic, %g, %b) : (tensor<?x2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<?x2xf32>
  %n_any = tensor.cast %n : tensor<?x2xf32> to tensor<*xf32>
  call @printMemrefF32(%n_any) : (tensor<*xf32>) -> ()

  // A head of one feature is its weight, but for the sign.
  // CHECK-COUNT-3: [1.5, {{ *}}1.5]
  %one = arith.constant dense<1.5> : tensor<1xf32>
  %h = call @heads(%dynamic, %one) : (tensor<?x2xf32>, tensor<1xf32>) -> tensor<?x2xf32>
  %h_any = tensor.cast %h : tensor<?x2xf32> to tensor<*xf32>
  call @printMemrefF32(%h_any) : (tensor<*xf32>) -> ()
  return
}
