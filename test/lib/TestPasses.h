//===- TestPasses.h - passes for tests alone --------------------*- C++ -*-===//
#ifndef XF_TEST_LIB_TESTPASSES_H
#define XF_TEST_LIB_TESTPASSES_H

namespace mlir::xf::test {
void registerTestPasses();
void registerFailOnPass();
} // namespace mlir::xf::test

#endif // XF_TEST_LIB_TESTPASSES_H
