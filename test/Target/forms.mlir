// Passes of the last stages say of a module that they are not for what it lacks.
// RUN: xf-opt %s --xf-emit-program=cpu=x86-64-v3 -split-input-file -verify-diagnostics

// expected-error@+1 {{expected 'entry' to be as stage 'plan' leaves it, but it has no 'xf.dims'}}
func.func @entry(%x: tensor<?x8xf32> {xf.name = "x"}) -> (tensor<?x8xf32> {xf.name = "y"}) attributes {xf.entry} {
  return %x : tensor<?x8xf32>
}

// -----

// expected-error@+1 {{expected kernel 'k' to be as stage 'schedule' leaves it, but it has no 'xf.grid'}}
func.func private @k(%x: tensor<?x8xf32>) -> tensor<?x8xf32> attributes {xf.kernel = #xf<kernel elementwise>} {
  return %x : tensor<?x8xf32>
}

// -----

// expected-error@+1 {{expected kernel 'k' to be as stage 'schedule' leaves it, but it is of type '(tensor<?x8xf32>) -> tensor<?x8xf32>'}}
func.func private @k(%x: tensor<?x8xf32>) -> tensor<?x8xf32> attributes {xf.kernel = #xf<kernel elementwise>, xf.grid = [], xf.scratch = 0 : i64} {
  return %x : tensor<?x8xf32>
}

// -----

// expected-error@+1 {{expected kernel 'k' to be as stage 'schedule' leaves it, but it is of type '(tensor<?x8xf32>, index, index, memref<?xi8>) -> ()'}}
func.func private @k(%x: tensor<?x8xf32>, %begin: index, %end: index, %scratch: memref<?xi8>) attributes {xf.kernel = #xf<kernel elementwise>, xf.grid = [], xf.scratch = 0 : i64} {
  return
}

// -----

func.func private @k(%x: memref<8xf32>, %begin: index, %end: index, %scratch: memref<?xi8>) attributes {xf.kernel = #xf<kernel elementwise>, xf.grid = [array<i64: 1, 0, 0, 8>], xf.scratch = 0 : i64} {
  return
}
func.func @entry() attributes {xf.entry, xf.dims = [], xf.inputs = [], xf.outputs = []} {
  %x = xf.buffer slot(0) live [0, 0] : memref<8xf32>
  // expected-error@+1 {{expected 'xf.grid' of 'k' to be about its operands, but got array<i64: 1, 0, 0, 8>}}
  xf.dispatch @k "k" (%x) writes [0] : (memref<8xf32>) -> ()
  return
}

// -----

func.func private @k(%s: i64, %x: memref<8xf32>, %begin: index, %end: index, %scratch: memref<?xi8>) attributes {xf.kernel = #xf<kernel elementwise>, xf.grid = [], xf.scratch = 0 : i64} {
  return
}
func.func @entry(%s: i64) attributes {xf.entry, xf.dims = [], xf.inputs = [], xf.outputs = []} {
  %x = xf.buffer slot(0) live [0, 0] : memref<8xf32>
  // expected-error@+1 {{expected buffers and constants, but got 'i64'}}
  xf.dispatch @k "k" (%s, %x) writes [1] : (i64, memref<8xf32>) -> ()
  return
}
