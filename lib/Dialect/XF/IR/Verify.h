//===- Verify.h - what constraints are told with ----------------*- C++ -*-===//
#ifndef XF_LIB_DIALECT_XF_IR_VERIFY_H
#define XF_LIB_DIALECT_XF_IR_VERIFY_H

#include "xf/Dialect/XF/IR/XF.h"

namespace mlir::xf {

/// `tensor<?x512>` as `? x 512`.
std::string shapeString(Type type);

/// `tensor<?x512xf32>` as `? x 512 of f32`.
std::string typeString(Type type);

LogicalResult expectFinite(Operation *op, StringRef what, APFloat number);
} // namespace mlir::xf

#endif
