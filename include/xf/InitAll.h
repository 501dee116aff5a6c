//===- InitAll.h - the one registration point ------------------*- C++ -*-===//
// Every dialect, pass and pipeline that xf's tools know.
//===----------------------------------------------------------------------===//
#ifndef XF_INITALL_H
#define XF_INITALL_H

namespace mlir {
class DialectRegistry;
namespace xf {
void registerAllDialects(DialectRegistry &registry);
void registerAllPasses();
} // namespace xf
} // namespace mlir

#endif
