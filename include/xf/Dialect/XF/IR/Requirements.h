//===- Requirements.h - what kernels take to be so --------------*- C++ -*-===//
// Kernels do not look whether integers point at what is there, nor whether their operands have as many rows as each
// other. An op says what it takes to be so (KernelOpInterface); stage `plan` says it of an entry point's inputs, and
// whoever calls that looks.
//===----------------------------------------------------------------------===//
#ifndef XF_DIALECT_XF_IR_REQUIREMENTS_H
#define XF_DIALECT_XF_IR_REQUIREMENTS_H

#include "mlir/IR/Value.h"
#include "llvm/ADT/SmallVector.h"

namespace mlir::xf {
enum class RequirementKind : uint32_t;

/// Of a tensor, by the extent `dim` of another: `size` of RequirementKind is that extent plus `more`.
struct Requirement {
  RequirementKind kind;
  Value tensor, of;
  unsigned dim = 0;
  int64_t more = 0;
};

/// That all operands whose number of rows is not static have the same.
SmallVector<Requirement> requireEqualRows(Operation *op);
} // namespace mlir::xf

#endif
