// RUN: xf-opt %s --test-xf-seed-gradient-error | FileCheck %s
// RUN: not xf-opt %s --test-xf-seed-gradient-error=op=xf.nothing 2>&1 | FileCheck %s --check-prefix=NOTHING
// NOTHING: error: no op 'xf.nothing' whose result could be made wrong
// CHECK: %[[DX:.*]], %{{.*}}, %{{.*}} = xf.layer_norm_backward
// CHECK: %[[WRONG:.*]] = xf.add %[[DX]], %[[DX]]
// CHECK: return %[[WRONG]]
func.func @backward(%dy: tensor<?x4xf32>, %w: tensor<4xf32>) -> tensor<?x4xf32> {
  %dx, %mean, %r = xf.layer_norm_backward %dy, %dy, %w : (tensor<?x4xf32>, tensor<?x4xf32>, tensor<4xf32>) -> (tensor<?x4xf32>, tensor<?xf32>, tensor<?xf32>)
  return %dx : tensor<?x4xf32>
}
