// Functions of numbers on a GPU: quotients by its own instruction, and not by the branch and the call of an exact one,
// of which a thread of a product's would have 128.
// RUN: xf-opt %s --xf-schedule-gpu=gpu=sm_90a | FileCheck %s --implicit-check-not=arith.divf

// CHECK-LABEL: func.func private @product
// CHECK: xfg.wait 0
// CHECK-COUNT-32: llvm.nvvm.rcp.approx.ftz.f
func.func private @product(%x: tensor<?x64xbf16>, %w: tensor<64x64xbf16>) -> tensor<?x64xbf16> attributes {xf.kernel = #xf<kernel matmul>} {
  %y = xf.linear %x, %w : (tensor<?x64xbf16>, tensor<64x64xbf16>) -> tensor<?x64xf32>
  %g = xf.gelu %y : tensor<?x64xf32>
  %n = xf.cast %g : tensor<?x64xf32> to tensor<?x64xbf16>
  return %n : tensor<?x64xbf16>
}
// CHECK-LABEL: func.func private @rows
// CHECK-COUNT-6: llvm.nvvm.rcp.approx.ftz.f
func.func private @rows(%x: tensor<?x33xf32>) -> tensor<?x33xf32> attributes {xf.kernel = #xf<kernel elementwise>} {
  %a = xf.gelu_backward %x, %x : tensor<?x33xf32>
  %b = xf.gelu_tanh %a : tensor<?x33xf32>
  %c = xf.gelu_tanh_backward %b, %a : tensor<?x33xf32>
  %d = xf.silu %c : tensor<?x33xf32>
  %e = xf.silu_backward %d, %c : tensor<?x33xf32>
  %f = xf.tanh %e : tensor<?x33xf32>
  return %f : tensor<?x33xf32>
}
