// A loss whose logits nothing else uses goes by chunks; kernels, memory and the description follow.
// RUN: xf-opt %s --xf-chunk-logits=bytes=12288 | FileCheck %s
// RUN: xf-opt %s --xf-chunk-logits=bytes=12288 --xf-chunk-logits --xf-fuse --xf-outline --xf-plan | FileCheck %s --check-prefix=PLAN
// RUN: xf-opt %s --xf-chunk-logits=bytes=12288 --symbol-dce --xf-stage-fuse --xf-stage-outline --xf-stage-plan --xf-stage-schedule=cpu=x86-64-v3 --xf-emit-program=cpu=x86-64-v3 | FileCheck %s --check-prefix=JSON
!x = tensor<?x8xf32>
!z = tensor<?x64xf32>
!w = tensor<64x8xf32>
!n = tensor<?xf32>
!i = tensor<?xi32>

// 12,288 bytes are 48 rows of 64 logits. The mean's backward needs the labels' number alone, and comes before the loss.
// CHECK-LABEL: func.func @training(
// CHECK-SAME: %[[X:.*]]: tensor<?x8xf32> {{.*}}, %[[W:.*]]: tensor<64x8xf32> {{.*}}, %[[LABELS:.*]]: tensor<?xi32> {{.*}}, %[[OLD:.*]]: tensor<64x8xf32>
// CHECK: %[[ONE:.*]] = arith.constant dense<1.0{{.*}}> : tensor<f32>
// CHECK: %[[D:.*]] = xf.mean_backward %[[ONE]], %[[LABELS]]
// CHECK: %[[ZERO:.*]] = arith.constant dense<0.0{{.*}}> : tensor<64xf32>
// CHECK: %[[R:.*]]:4 = xf.chunked rows(48) of(%[[X]], %[[LABELS]], %[[D]] : {{.*}}) into(%[[OLD]], %[[ZERO]] : tensor<64x8xf32>, tensor<64xf32>) {
// CHECK-NEXT: ^bb0(%[[XC:.*]]: tensor<?x8xf32>, %[[LC:.*]]: tensor<?xi32>, %[[DC:.*]]: tensor<?xf32>, %[[DW:.*]]: tensor<64x8xf32>, %[[DB:.*]]: tensor<64xf32>):
// CHECK-NEXT: %[[Z:.*]] = xf.linear %[[XC]], %[[W]] bias
// CHECK-NEXT: %[[LOSS:.*]], %{{.*}}, %[[LSE:.*]] = xf.cross_entropy %[[Z]], %[[LC]]
// CHECK-NEXT: %[[DZ:.*]] = xf.cross_entropy_backward %[[DC]], %[[Z]], %[[LC]], %[[LSE]]
// CHECK-NEXT: %[[DX:.*]] = xf.matmul %[[DZ]], %[[W]] :
// CHECK-NEXT: %[[SUM:.*]] = xf.matmul %[[DZ]], %[[XC]] into %[[DW]] transpose_a
// CHECK-NEXT: %[[C:.*]] = xf.column_sum %[[DZ]]
// CHECK-NEXT: %[[BIAS:.*]] = xf.add %[[DB]], %[[C]]
// CHECK-NEXT: xf.yield %[[LOSS]], %[[DX]], %[[SUM]], %[[BIAS]]
// CHECK: xf.mean %[[R]]#0
// CHECK: return %{{.*}}, %[[R]]#1, %[[R]]#2, %[[R]]#3

// The logits have memory for a chunk, and the loss and its backward one kernel; the logits' gradient takes their place; what chunks share lives through the loop; rows lie where
// those of all chunks do.
// PLAN-LABEL: func.func @training() attributes
// PLAN-SAME: xf.dims = ["tokens", "tokens.chunk0"]
// PLAN-SAME: xf.loops = [array<i64: 1, 0, 48, 4, 11>]
// PLAN: %[[DW:.*]] = xf.buffer output(2) : memref<64x8xf32>
// PLAN: %[[X:.*]] = xf.buffer input(0) chunk extents [array<i64: 0, 0, 1>] : memref<?x8xf32>
// PLAN: %[[Z:.*]] = xf.buffer slot({{[0-9]+}}) extents [array<i64: 0, 0, 1>] live [4, 8] "linear" : memref<?x64xf32>
// PLAN: xf.dispatch @linear_64x8 "linear"(%[[X]],
// PLAN: %[[ALL:.*]] = xf.buffer slot([[NUMBER:[0-9]+]]) extents [array<i64: 0, 1, 0>] live [4, 11] "cross_entropy" : memref<?xf32>
// PLAN: %[[PART:.*]] = xf.buffer slot([[NUMBER]]) chunk extents [array<i64: 0, 0, 1>] live [4, 11] "cross_entropy" : memref<?xf32>
// PLAN: xf.dispatch @cross_entropy_cross_entropy_backward_64 "cross_entropy"(%[[Z]], %{{.*}}, %{{.*}}, %[[PART]], %[[Z]]) writes [3, 4]
// PLAN: xf.dispatch @matmul_64x8 "matmul"(%[[Z]],
// PLAN: xf.dispatch @matmul_64x8_{{.*}} "matmul"(%[[Z]], %[[X]], %[[DW]], %[[DW]]) writes [3]
// PLAN: xf.dispatch @mean "mean"(%[[ALL]],

// JSON: \22chunks\22:{{\[\[}}0,32]],
// JSON-SAME: \22loops\22:[{\22begin\22:4,\22dim\22:1,\22end\22:11,\22of\22:0,\22rows\22:48}]
func.func @training(%x: !x {xf.name = "x", xf.dims = ["tokens"]}, %w: !w {xf.name = "w"}, %b: tensor<64xf32> {xf.name = "b"}, %labels: !i {xf.name = "labels", xf.dims = ["tokens"]}, %old: !w {xf.name = "old"})
    -> (tensor<f32> {xf.name = "loss"}, !x {xf.name = "dx"}, !w {xf.name = "dw"}, tensor<64xf32> {xf.name = "db"}) attributes {xf.entry} {
  %z = xf.linear %x, %w bias %b : (!x, !w, tensor<64xf32>) -> !z
  %loss, %nll, %lse = xf.cross_entropy %z, %labels : (!z, !i) -> (!n, !n, !n)
  %mean = xf.mean %loss : (!n) -> tensor<f32>
  %one = arith.constant dense<1.0> : tensor<f32>
  %d = xf.mean_backward %one, %loss : (tensor<f32>, !n) -> !n
  %dz = xf.cross_entropy_backward %d, %z, %labels, %lse : (!n, !z, !i, !n) -> !z
  %dx = xf.matmul %dz, %w : (!z, !w) -> !x
  %dw = xf.matmul %dz, %x into %old transpose_a : (!z, !x, !w) -> !w
  %db = xf.column_sum %dz : (!z) -> tensor<64xf32>
  return %mean, %dx, %dw, %db : tensor<f32>, !x, !w, tensor<64xf32>
}

// Two losses that share the constant of their means' gradients: it comes before both.
// CHECK-LABEL: func.func private @two_losses(
// CHECK: %[[ONE:.*]] = arith.constant dense<1.0{{.*}}> : tensor<f32>
// CHECK: xf.mean_backward %[[ONE]]
// CHECK: xf.chunked
// CHECK: xf.mean_backward %[[ONE]]
// CHECK: xf.chunked
func.func private @two_losses(%x: !x, %w: !w, %labels: !i) -> (!n, !n, !x, !x) {
  %z0 = xf.linear %x, %w : (!x, !w) -> !z
  %loss0, %nll0, %lse0 = xf.cross_entropy %z0, %labels : (!z, !i) -> (!n, !n, !n)
  %z1 = xf.linear %x, %w : (!x, !w) -> !z
  %loss1, %nll1, %lse1 = xf.cross_entropy %z1, %labels : (!z, !i) -> (!n, !n, !n)
  %one = arith.constant dense<1.0> : tensor<f32>
  %d0 = xf.mean_backward %one, %loss0 : (tensor<f32>, !n) -> !n
  %dz0 = xf.cross_entropy_backward %d0, %z0, %labels, %lse0 : (!n, !z, !i, !n) -> !z
  %dx0 = xf.matmul %dz0, %w : (!z, !w) -> !x
  %d1 = xf.mean_backward %one, %loss1 : (tensor<f32>, !n) -> !n
  %dz1 = xf.cross_entropy_backward %d1, %z1, %labels, %lse1 : (!n, !z, !i, !n) -> !z
  %dx1 = xf.matmul %dz1, %w : (!z, !w) -> !x
  return %loss0, %loss1, %dx0, %dx1 : !n, !n, !x, !x
}

// Who asks for the logits gets them.
// CHECK-LABEL: func.func private @logits_escape(
// CHECK-NOT: xf.chunked
func.func private @logits_escape(%x: !x, %w: !w, %labels: !i) -> (!n, !z) {
  %z = xf.linear %x, %w : (!x, !w) -> !z
  %loss, %nll, %lse = xf.cross_entropy %z, %labels : (!z, !i) -> (!n, !n, !n)
  return %loss, %z : !n, !z
}
// CHECK-LABEL: func.func private @gradient_escapes(
// CHECK-NOT: xf.chunked
func.func private @gradient_escapes(%x: !x, %w: !w, %labels: !i, %d: !n) -> (!n, !z) {
  %z = xf.linear %x, %w : (!x, !w) -> !z
  %loss, %nll, %lse = xf.cross_entropy %z, %labels : (!z, !i) -> (!n, !n, !n)
  %dz = xf.cross_entropy_backward %d, %z, %labels, %lse : (!n, !z, !i, !n) -> !z
  return %loss, %dz : !n, !z
}
// The gradient of the loss depends on the loss.
// CHECK-LABEL: func.func private @cotangent_waits(
// CHECK-NOT: xf.chunked
func.func private @cotangent_waits(%x: !x, %w: !w, %labels: !i) -> (!n, !x) {
  %z = xf.linear %x, %w : (!x, !w) -> !z
  %loss, %nll, %lse = xf.cross_entropy %z, %labels : (!z, !i) -> (!n, !n, !n)
  %d = xf.add %loss, %nll : !n
  %dz = xf.cross_entropy_backward %d, %z, %labels, %lse : (!n, !z, !i, !n) -> !z
  %dx = xf.matmul %dz, %w : (!z, !w) -> !x
  return %loss, %dx : !n, !x
}
// A projection is what has weights.
// CHECK-LABEL: func.func private @given_logits(
// CHECK-NOT: xf.chunked
func.func private @given_logits(%z: !z, %labels: !i) -> !n {
  %loss, %nll, %lse = xf.cross_entropy %z, %labels : (!z, !i) -> (!n, !n, !n)
  return %loss : !n
}
// Without a backward, all that is asked for.
// CHECK-LABEL: func.func private @evaluation(
// CHECK: xf.chunked rows(48) of(%{{.*}}, %{{.*}} : tensor<?x8xf32>, tensor<?xi32>) {
// CHECK: %[[LOSS:.*]], %[[NLL:.*]], %[[LSE:.*]] = xf.cross_entropy
// CHECK-NEXT: xf.yield %[[NLL]], %[[LSE]] :
func.func private @evaluation(%x: !x, %w: !w, %labels: !i) -> (!n, !n) {
  %z = xf.linear %x, %w : (!x, !w) -> !z
  %loss, %nll, %lse = xf.cross_entropy %z, %labels : (!z, !i) -> (!n, !n, !n)
  return %nll, %lse : !n, !n
}
