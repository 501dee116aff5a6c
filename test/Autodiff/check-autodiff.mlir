// RUN: xf-opt %s --split-input-file --verify-diagnostics --xf-check-autodiff

// expected-error@+1 {{expected 'model' to have become 'train_step'}}
func.func @model() {
  return
}

// -----

xf.param @w : tensor<4xf32> zeros(0.0)
xf.param @b : tensor<4xf32> zeros(0.0)
// expected-error@+1 {{expected 'gradients' to return the loss and 2 gradients, but got 2 results}}
func.func @gradients(%loss: tensor<f32>, %g: tensor<4xf32>) -> (tensor<f32>, tensor<4xf32>) {
  return %loss, %g : tensor<f32>, tensor<4xf32>
}

// -----

xf.param @w : tensor<4xf32> zeros(0.0)
// expected-error@+1 {{expected the gradient of 'w' to be 'tensor<4xf32>', but got 'tensor<5xf32>'}}
func.func @gradients(%loss: tensor<f32>, %g: tensor<5xf32>) -> (tensor<f32>, tensor<5xf32>) {
  return %loss, %g : tensor<f32>, tensor<5xf32>
}

// -----

xf.param @w : tensor<4xf32> zeros(0.0)
// expected-error@+1 {{expected 'train_step' to take one step of Adam on 1 parameters}}
func.func @train_step(%loss: tensor<f32>) -> tensor<f32> {
  return %loss : tensor<f32>
}
