// Any composite op asks for the stage `input`, any entry point that `autodiff` makes for that; and a function that calls itself ends.
// RUN: %python %S/Inputs/tensors.py write %t.safetensors x=F32:2x2:1,3,0,0 random=I64:2:0,0 hyper=F32:8:0.5,0,0,0,0.5,0.5,1,0
// RUN: xf-interpret %s --entry=norm --input=%t.safetensors | FileCheck %s --check-prefix=NORM
// NORM:      y [2, 2]
// NORM-NEXT:   -0.999995 0.999995
// NORM-NEXT:   0 0
// RUN: sed 's/xf.norm "n" (%x)/xf.residual "n" (%x, %x)/; s/: (!x)/: (!x, !x)/' %s | xf-interpret - --entry=norm --input=%t.safetensors | FileCheck %s --check-prefix=RESIDUAL
// RESIDUAL:      y [2, 2]
// RESIDUAL-NEXT:   2 6
// RUN: xf-interpret preset:transformer-tiny,layers=1,vocabulary=4,d_model=4,d_ff=4,heads=1 --entry=update --input=%t.safetensors | FileCheck %s --check-prefix=UPDATE
// UPDATE: gradient_norm []
// RUN: sed 's/xf.norm.*/call @norm(%x) : (!x) -> !x/' %s | not xf-interpret - --entry=norm --input=%t.safetensors 2>&1 | FileCheck %s --check-prefix=SELF
// SELF: error: layer 'norm' applies itself

!x = tensor<?x2xf32>
func.func @norm(%x: !x {xf.name = "x"}) -> (!x {xf.name = "y"}) attributes {xf.entry} {
  %y = xf.norm "n" (%x) : (!x) -> !x
  return %y : !x
}
