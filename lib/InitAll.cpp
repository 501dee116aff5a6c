//===- InitAll.cpp - the one registration point ---------------------------===//
#include "xf/InitAll.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/Func/Extensions/InlinerExtension.h"
#include "mlir/Dialect/Index/IR/IndexDialect.h"
#include "mlir/Dialect/UB/IR/UBOps.h"
#include "mlir/Transforms/Passes.h"
#include "xf/Autodiff/Passes.h"
#include "xf/Conversion/Passes.h"
#include "xf/Dialect/XF/IR/XF.h"
#include "xf/Dialect/XF/Transforms/Passes.h"
#include "xf/Kernels/Passes.h"
#include "xf/Schedule/Passes.h"
#include "xf/Target/Target.h"

void mlir::xf::registerAllDialects(DialectRegistry &registry) {
  registry.insert<XFDialect, arith::ArithDialect, cf::ControlFlowDialect, func::FuncDialect, index::IndexDialect,
                  linalg::LinalgDialect, LLVM::LLVMDialect, math::MathDialect, memref::MemRefDialect, scf::SCFDialect,
                  tensor::TensorDialect, ub::UBDialect, vector::VectorDialect>();
  func::registerInlinerExtension(registry);
}

void mlir::xf::registerAllPasses() {
  registerTransformsPasses();
  registerAutodiffPasses();
  registerXFConversionPasses();
  registerXFKernelsPasses();
  registerXFTransformsPasses();
  registerXFSchedulePasses();
  registerXFTargetPasses();
  registerLowerToLLVMPipeline();
}
