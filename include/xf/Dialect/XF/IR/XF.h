//===- XF.h - the xf dialect ------------------------------------*- C++ -*-===//
// The ops that describe a Transformer. Definitions and their documentation are in the .td files beside this one.
//===----------------------------------------------------------------------===//
#ifndef XF_DIALECT_XF_IR_XF_H
#define XF_DIALECT_XF_IR_XF_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "xf/Dialect/XF/IR/Extents.h"
#include "xf/Dialect/XF/IR/Memory.h"
#include "xf/Dialect/XF/IR/Requirements.h"

#include "xf/Dialect/XF/IR/XFEnums.h.inc"
#define GET_ATTRDEF_CLASSES
#include "xf/Dialect/XF/IR/XFAttrs.h.inc"
#include "xf/Dialect/XF/IR/XFDialect.h.inc"
#include "xf/Dialect/XF/IR/XFInterfaces.h.inc"
#define GET_OP_CLASSES
#include "xf/Dialect/XF/IR/XFOps.h.inc"

namespace mlir::xf {
/// The name a location gives: NameLocs joined by '.', outermost call first ("encoder.0.attention.query"), or "" where
/// there is none.
std::string labelOf(Location loc);
} // namespace mlir::xf

#endif
