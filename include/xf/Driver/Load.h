//===- Load.h - compiled kernels in this process ----------------*- C++ -*-===//
// For what runs kernels while it compiles: measuring schedules, and checking stages.
//===----------------------------------------------------------------------===//
#ifndef XF_DRIVER_LOAD_H
#define XF_DRIVER_LOAD_H

#include "xf/Runtime/Device.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"

namespace mlir::xf {
/// Adds an archive of kernels to what can be looked up, under a name of its own.
llvm::Expected<llvm::orc::JITDylib &> loadArchive(llvm::orc::LLJIT &jit, llvm::StringRef name, llvm::StringRef archive);

/// The entry function of a kernel there.
llvm::Expected<::xf::runtime::KernelFunction> findKernel(llvm::orc::LLJIT &jit, llvm::orc::JITDylib &library,
                                                         llvm::StringRef kernel);
/// The image of a kernel for GPUs there.
llvm::Expected<const XfImage *> findImage(llvm::orc::LLJIT &jit, llvm::orc::JITDylib &library, llvm::StringRef kernel);
} // namespace mlir::xf

#endif
