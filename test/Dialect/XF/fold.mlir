// RUN: xf-opt %s --canonicalize | FileCheck %s

// To f32 and back is exact; to bf16 and back is not.
// CHECK-LABEL: @exact(
// CHECK-SAME: %[[X:.*]]: tensor<?x8xbf16>)
// CHECK-NEXT: call @use(%[[X]])
func.func private @use(tensor<?x8xbf16>)
func.func @exact(%x: tensor<?x8xbf16>) {
  %wide = xf.cast %x : tensor<?x8xbf16> to tensor<?x8xf32>
  %narrow = xf.cast %wide : tensor<?x8xf32> to tensor<?x8xbf16>
  call @use(%narrow) : (tensor<?x8xbf16>) -> ()
  return
}
// A kernel writes its results: what gives its argument writes none.
// CHECK-LABEL: @given(
// CHECK-COUNT-2: xf.cast
func.func @given(%x: tensor<?x8xbf16>) -> tensor<?x8xbf16> {
  %wide = xf.cast %x : tensor<?x8xbf16> to tensor<?x8xf32>
  %narrow = xf.cast %wide : tensor<?x8xf32> to tensor<?x8xbf16>
  return %narrow : tensor<?x8xbf16>
}
// CHECK-LABEL: @rounded(
// CHECK-NEXT: xf.cast
// CHECK-NEXT: xf.cast
func.func @rounded(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %narrow = xf.cast %x : tensor<?x8xf32> to tensor<?x8xbf16>
  %wide = xf.cast %narrow : tensor<?x8xbf16> to tensor<?x8xf32>
  return %wide : tensor<?x8xf32>
}
// 1 + 2^-8 lies between two numbers of bf16, of which 1 is even; 1 + 3 * 2^-8 rounds up.
// CHECK-LABEL: @constants(
// CHECK-DAG: %[[V:.*]] = arith.constant dense<[1.000000e+00, 1.015630e+00]> : tensor<2xbf16>
// CHECK-DAG: %[[S:.*]] = arith.constant dense<2.500000e-01> : tensor<4x8xf32>
// CHECK: return %[[V]], %[[S]]
func.func @constants() -> (tensor<2xbf16>, tensor<4x8xf32>) {
  %v = arith.constant dense<[1.00390625, 1.01171875]> : tensor<2xf32>
  %s = arith.constant dense<0.25> : tensor<4x8xbf16>
  %0 = xf.cast %v : tensor<2xf32> to tensor<2xbf16>
  %1 = xf.cast %s : tensor<4x8xbf16> to tensor<4x8xf32>
  return %0, %1 : tensor<2xbf16>, tensor<4x8xf32>
}
