//===- XFG.h - the xfg dialect ----------------------------------*- C++ -*-===//
// What a block of a Hopper GPU does with its shared memory, copy engine and tensor cores. Definitions and their
// documentation are in XFGOps.td.
//===----------------------------------------------------------------------===//
#ifndef XF_DIALECT_XFG_IR_XFG_H
#define XF_DIALECT_XFG_IR_XFG_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "xf/Dialect/XFG/IR/XFGDialect.h.inc"
#define GET_TYPEDEF_CLASSES
#include "xf/Dialect/XFG/IR/XFGTypes.h.inc"
#define GET_OP_CLASSES
#include "xf/Dialect/XFG/IR/XFGOps.h.inc"

#endif
