// A second kernel for batches of long sequences, which a dispatch names beside its own.
// RUN: split-file %s %t
// RUN: xf-opt %t/model.mlir --xf-add-long-forms=gpu=sm_90a | FileCheck %t/model.mlir
// RUN: xf-opt %t/model.mlir --xf-add-long-forms=gpu=sm_90a --xf-add-long-forms=gpu=sm_90a | FileCheck %t/model.mlir
// RUN: xf-opt %t/model.mlir --xf-add-long-forms=gpu=sm_90a --xf-schedule-gpu=gpu=sm_90a | FileCheck %t/model.mlir --check-prefix=SCHEDULED
// RUN: xf-opt %t/model.mlir --xf-add-long-forms=gpu=sm_80 | FileCheck %t/model.mlir --check-prefix=OLD
// RUN: not xf-opt %t/wrong.mlir --xf-add-long-forms=gpu=sm_90a 2>&1 | FileCheck %t/wrong.mlir

//--- model.mlir
!t = tensor<?x128xbf16>
!ts = tensor<?x2xf32>
!ti = tensor<?xi32>
!m = memref<?x128xbf16>
!s = memref<?x2xf32>
!i = memref<?xi32>
// OLD-NOT: _long
// What a form takes for its sums is known before it is scheduled.
// SCHEDULED-LABEL: func.func private @free(
// SCHEDULED-SAME: xf.schedule = #xf.warpgroup_attention_schedule<columns = 64, stages = 2>
// SCHEDULED-LABEL: func.func private @free_long(
// SCHEDULED-SAME: xf.schedule = #xf.warpgroup_attention_schedule<columns = 64, stages = 2, ordered = true>
// SCHEDULED-SAME: xf.workspace = [array<i64: 1, 0, 134>, array<i64: 6, 0, 8194>]
// CHECK-LABEL: func.func private @free(
// CHECK-NOT: xf.schedule
// CHECK-LABEL: func.func private @free_long(
// CHECK-SAME: attributes {xf.kernel = #xf<kernel attention_backward>, xf.long, xf.workspace = [array<i64: 1, 0, 134>, array<i64: 6, 0, 8194>]}
// CHECK: xf.attention_backward
func.func private @free(%do: !t, %q: !t, %k: !t, %v: !t, %o: !t, %s: !ts, %qo: !ti, %ko: !ti) -> (!t, !t, !t) attributes {xf.kernel = #xf<kernel attention_backward>} {
  %dq, %dk, %dv = xf.attention_backward %do, %q, %k, %v, %o, %s offsets(%qo, %ko) heads(2) scale(0.125) : (!t, !t, !t, !t, !t, !ts, !ti, !ti) -> (!t, !t, !t)
  return %dq, %dk, %dv : !t, !t, !t
}
// CHECK-NOT: _long(
func.func private @causal(%do: !t, %q: !t, %k: !t, %v: !t, %o: !t, %s: !ts, %qo: !ti, %ko: !ti) -> (!t, !t, !t) attributes {xf.kernel = #xf<kernel attention_backward>} {
  %dq, %dk, %dv = xf.attention_backward %do, %q, %k, %v, %o, %s offsets(%qo, %ko) heads(2) scale(0.125) causal : (!t, !t, !t, !t, !t, !ts, !ti, !ti) -> (!t, !t, !t)
  return %dq, %dk, %dv : !t, !t, !t
}
func.func private @window(%do: !t, %q: !t, %k: !t, %v: !t, %o: !t, %s: !ts, %qo: !ti, %ko: !ti) -> (!t, !t, !t) attributes {xf.kernel = #xf<kernel attention_backward>} {
  %dq, %dk, %dv = xf.attention_backward %do, %q, %k, %v, %o, %s offsets(%qo, %ko) heads(2) scale(0.125) window(64) : (!t, !t, !t, !t, !t, !ts, !ti, !ti) -> (!t, !t, !t)
  return %dq, %dk, %dv : !t, !t, !t
}
func.func private @given(%do: !t, %q: !t, %k: !t, %v: !t, %o: !t, %s: !ts, %qo: !ti, %ko: !ti) -> (!t, !t, !t) attributes {xf.kernel = #xf<kernel attention_backward>, xf.schedule = #xf.warpgroup_attention_schedule<columns = 64, stages = 2>} {
  %dq, %dk, %dv = xf.attention_backward %do, %q, %k, %v, %o, %s offsets(%qo, %ko) heads(2) scale(0.125) : (!t, !t, !t, !t, !t, !ts, !ti, !ti) -> (!t, !t, !t)
  return %dq, %dk, %dv : !t, !t, !t
}

// More rows than 1,024 a sequence on each side, of both together: 1,024 * 2 - 1,024 * offsets of each + rows of each.
// CHECK-LABEL: func.func @entry(
// CHECK: xf.dispatch @free "free"{{.*}} writes [8, 9, 10] or @free_long where [2048, 1, 1, -1024, -1024] :
// CHECK: xf.dispatch @free "again"{{.*}} or @free_long where [2048, 1, 1, -1024, -1024] :
// CHECK-NOT: _long
func.func @entry() attributes {xf.entry, xf.dims = ["queries", "keys", "queries_plus_1", "keys_plus_1"]} {
  %do = xf.buffer slot(0) extents [array<i64: 0, 1, 0, 0, 0>] live [0, 9] "do" : !m
  %q = xf.buffer slot(1) extents [array<i64: 0, 1, 0, 0, 0>] live [0, 9] "q" : !m
  %k = xf.buffer slot(2) extents [array<i64: 0, 0, 1, 0, 0>] live [0, 9] "k" : !m
  %o = xf.buffer slot(3) extents [array<i64: 0, 1, 0, 0, 0>] live [0, 9] "o" : !m
  %s = xf.buffer slot(4) extents [array<i64: 0, 1, 0, 0, 0>] live [0, 9] "s" : !s
  %qo = xf.buffer input(0) extents [array<i64: 0, 0, 0, 1, 0>] : !i
  %ko = xf.buffer input(1) extents [array<i64: 0, 0, 0, 0, 1>] : !i
  %dq = xf.buffer slot(5) extents [array<i64: 0, 1, 0, 0, 0>] live [0, 9] "dq" : !m
  %dk = xf.buffer slot(6) extents [array<i64: 0, 0, 1, 0, 0>] live [0, 9] "dk" : !m
  xf.dispatch @free "free" (%do, %q, %k, %k, %o, %s, %qo, %ko, %dq, %dk, %dk) writes [8, 9, 10] : (!m, !m, !m, !m, !m, !s, !i, !i, !m, !m, !m) -> ()
  xf.dispatch @free "again" (%do, %q, %k, %k, %o, %s, %qo, %ko, %dq, %dk, %dk) writes [8, 9, 10] : (!m, !m, !m, !m, !m, !s, !i, !i, !m, !m, !m) -> ()
  xf.dispatch @causal "causal" (%do, %q, %k, %k, %o, %s, %qo, %ko, %dq, %dk, %dk) writes [8, 9, 10] : (!m, !m, !m, !m, !m, !s, !i, !i, !m, !m, !m) -> ()
  xf.dispatch @window "window" (%do, %q, %k, %k, %o, %s, %qo, %ko, %dq, %dk, %dk) writes [8, 9, 10] : (!m, !m, !m, !m, !m, !s, !i, !i, !m, !m, !m) -> ()
  xf.dispatch @given "given" (%do, %q, %k, %k, %o, %s, %qo, %ko, %dq, %dk, %dk) writes [8, 9, 10] : (!m, !m, !m, !m, !m, !s, !i, !i, !m, !m, !m) -> ()
  return
}

// Where no sequence may be so long, there is nothing to choose; a side without a limit is enough.
// CHECK-LABEL: func.func @short(
// CHECK: xf.dispatch @free "free"{{.*}} writes [8, 9, 10] :
// CHECK: return
func.func @short() attributes {xf.entry, xf.dims = ["rows", "rows_plus_1"], xf.inputs = [{extents = [array<i64: 0, 0, 1>], name = "offsets", type = memref<?xi32>}], xf.requirements = [#xf.requirement<longest, input = 0, size = [1024, 0, 0], of = "rows of 'positions.weight'">]} {
  %x = xf.buffer slot(0) extents [array<i64: 0, 1, 0>] live [0, 9] "x" : !m
  %s = xf.buffer slot(4) extents [array<i64: 0, 1, 0>] live [0, 9] "s" : !s
  %qo = xf.buffer input(0) extents [array<i64: 0, 0, 1>] : !i
  xf.dispatch @free "free" (%x, %x, %x, %x, %x, %s, %qo, %qo, %x, %x, %x) writes [8, 9, 10] : (!m, !m, !m, !m, !m, !s, !i, !i, !m, !m, !m) -> ()
  return
}
// CHECK-LABEL: func.func @longer(
// CHECK: xf.dispatch @free "free"{{.*}} or @free_long where [2048, 2, -2048] :
func.func @longer() attributes {xf.entry, xf.dims = ["rows", "rows_plus_1"], xf.inputs = [{extents = [array<i64: 0, 0, 1>], name = "offsets", type = memref<?xi32>}], xf.requirements = [#xf.requirement<longest, input = 0, size = [1025, 0, 0], of = "rows of 'positions.weight'">]} {
  %x = xf.buffer slot(0) extents [array<i64: 0, 1, 0>] live [0, 9] "x" : !m
  %s = xf.buffer slot(4) extents [array<i64: 0, 1, 0>] live [0, 9] "s" : !s
  %qo = xf.buffer input(0) extents [array<i64: 0, 0, 1>] : !i
  xf.dispatch @free "free" (%x, %x, %x, %x, %x, %s, %qo, %qo, %x, %x, %x) writes [8, 9, 10] : (!m, !m, !m, !m, !m, !s, !i, !i, !m, !m, !m) -> ()
  return
}
// CHECK-LABEL: func.func @one_side(
// CHECK: xf.dispatch @free "free"{{.*}} or @free_long where [2048, 2, -1024, -1024] :
func.func @one_side() attributes {xf.entry, xf.dims = ["rows", "rows_plus_1", "others_plus_1"], xf.inputs = [{extents = [array<i64: 0, 0, 1, 0>], name = "offsets", type = memref<?xi32>}, {extents = [array<i64: 0, 0, 0, 1>], name = "others", type = memref<?xi32>}], xf.requirements = [#xf.requirement<longest, input = 0, size = [8, 0, 0, 0], of = "rows of 'positions.weight'">]} {
  %x = xf.buffer slot(0) extents [array<i64: 0, 1, 0, 0>] live [0, 9] "x" : !m
  %s = xf.buffer slot(4) extents [array<i64: 0, 1, 0, 0>] live [0, 9] "s" : !s
  %qo = xf.buffer input(0) extents [array<i64: 0, 0, 1, 0>] : !i
  %ko = xf.buffer input(1) extents [array<i64: 0, 0, 0, 1>] : !i
  xf.dispatch @free "free" (%x, %x, %x, %x, %x, %s, %qo, %ko, %x, %x, %x) writes [8, 9, 10] : (!m, !m, !m, !m, !m, !s, !i, !i, !m, !m, !m) -> ()
  return
}

//--- wrong.mlir
// CHECK: error: 'func.func' op expected kernel 'none' of kind 'attention_backward' to have one op of its kind, but got 0
func.func private @none(%x: tensor<?x128xbf16>) -> tensor<?x128xbf16> attributes {xf.kernel = #xf<kernel attention_backward>} {
  return %x : tensor<?x128xbf16>
}
func.func @entry() attributes {xf.entry, xf.dims = ["rows"]} {
  %x = xf.buffer slot(0) extents [array<i64: 0, 1>] live [0, 9] "x" : memref<?x128xbf16>
  xf.dispatch @none "none" (%x, %x) writes [1] : (memref<?x128xbf16>, memref<?x128xbf16>) -> ()
  return
}
