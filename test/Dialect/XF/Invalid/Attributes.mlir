// What modules and functions may carry of this dialect, and in which words the rest is refused.
// RUN: xf-opt %s --split-input-file --verify-diagnostics

// expected-error@+1 {{expected 'xf.kind' of a module to be text, but got 5 : i64}}
module attributes {xf.kind = 5} {}

// -----

// expected-error@+1 {{unknown attribute 'xf.knid' of a module; known: xf.kind, xf.config, xf.options}}
module attributes {xf.knid = "encoder"} {}

// -----

// expected-error@+1 {{expected 'xf.dims' of argument 0 to be a list of names, but got [1]}}
func.func private @f(tensor<?xf32> {xf.dims = [1]})

// -----

// expected-error@+1 {{expected 'xf.dims' of argument 1 to be a list of names, but got [""]}}
func.func private @f(f32, tensor<?xf32> {xf.dims = [""]})

// -----

// expected-error@+1 {{expected 'xf.name' of argument 0 to be a name, but got ""}}
func.func private @f(tensor<?xf32> {xf.name = ""})

// -----

// expected-error@+1 {{unknown attribute 'xf.nmae' of argument 0; known: xf.name, xf.dims, xf.kept, xf.parameter}}
func.func private @f(tensor<?xf32> {xf.nmae = "x"})

// -----

// expected-error@+1 {{expected 'xf.in_place' of result 0 to be a number, but got "0"}}
func.func private @f() -> (tensor<?xf32> {xf.in_place = "0"})

// -----

// expected-error@+1 {{expected 'xf.extents' of result 0 to be a list of two numbers each, but got [array<i64: 0>]}}
func.func private @f() -> (tensor<?xf32> {xf.extents = [array<i64: 0>]})

// -----

// expected-error@+1 {{expected 'xf.scratch' of a function to be a number, but got -64 : i64}}
func.func private @f() attributes {xf.scratch = -64 : i64}

// -----

// expected-error@+1 {{expected 'xf.grid' of a function to be a list of four numbers each, but got array<i64: 0, 0, 0, 4>}}
func.func private @f() attributes {xf.grid = array<i64: 0, 0, 0, 4>}

// -----

// expected-error@+1 {{expected 'xf.kernel' of a function to be the kind of a kernel, but got "matmul"}}
func.func private @f() attributes {xf.kernel = "matmul"}

// -----

// expected-error@+1 {{expected 'xf.inputs' of a function to be a list of names, types and extents, but got [{name = "x", type = memref<?xf32>}]}}
func.func private @f() attributes {xf.dims = ["n"], xf.inputs = [{name = "x", type = memref<?xf32>}]}

// -----

// expected-error@+1 {{expected 'xf.inputs' to be about the inputs and in the dimensions of 'f', but got {extents = [array<i64: 0, 1>], name = "x", type = memref<?xf32>}}}
func.func private @f() attributes {xf.dims = ["n", "m"], xf.inputs = [{extents = [array<i64: 0, 1>], name = "x", type = memref<?xf32>}]}

// -----

// expected-error@+1 {{expected 'xf.requirements' to be about the inputs and in the dimensions of 'f', but got #xf.requirement<below, input = 1, size = [20], of = "the vocabulary">}}
func.func private @f() attributes {xf.dims = [], xf.inputs = [{name = "x", type = memref<4xi32>}], xf.requirements = [#xf.requirement<below, input = 1, size = [20], of = "the vocabulary">]}

// -----

func.func @f() {
  // expected-error@+1 {{expected 'xf.entry' to be of a module or a function}}
  return {xf.entry}
}
