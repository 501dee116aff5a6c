//===- InitAll.cpp - the one registration point ---------------------------===//
#include "xf/InitAll.h"
#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/FuncToLLVM/ConvertFuncToLLVM.h"
#include "mlir/Conversion/IndexToLLVM/IndexToLLVM.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/MemRefToLLVM/MemRefToLLVM.h"
#include "mlir/Conversion/NVVMToLLVM/NVVMToLLVM.h"
#include "mlir/Conversion/UBToLLVM/UBToLLVM.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVM.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/Func/Extensions/InlinerExtension.h"
#include "mlir/Dialect/Index/IR/IndexDialect.h"
#include "mlir/Dialect/UB/IR/UBOps.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/NVVM/NVVMToLLVMIRTranslation.h"
#include "mlir/Transforms/Passes.h"
#include "xf/Autodiff/Passes.h"
#include "xf/Conversion/Passes.h"
#include "xf/Dialect/XF/IR/XF.h"
#include "xf/Dialect/XF/Transforms/Passes.h"
#include "xf/Dialect/XFG/IR/XFG.h"
#include "xf/Kernels/Passes.h"
#include "xf/Pipelines/Stages.h"
#include "xf/Schedule/Passes.h"
#include "xf/Target/Target.h"

void mlir::xf::registerAllDialects(DialectRegistry &registry) {
  registry
      .insert<XFDialect, xfg::XFGDialect, arith::ArithDialect, cf::ControlFlowDialect, func::FuncDialect,
              index::IndexDialect, linalg::LinalgDialect, LLVM::LLVMDialect, math::MathDialect, memref::MemRefDialect,
              NVVM::NVVMDialect, scf::SCFDialect, tensor::TensorDialect, ub::UBDialect, vector::VectorDialect>();
  func::registerInlinerExtension(registry);
  // What convert-to-llvm finds its patterns by.
  registerConvertFuncToLLVMInterface(registry);
  arith::registerConvertArithToLLVMInterface(registry);
  cf::registerConvertControlFlowToLLVMInterface(registry);
  index::registerConvertIndexToLLVMInterface(registry);
  registerConvertMathToLLVMInterface(registry);
  registerConvertMemRefToLLVMInterface(registry);
  registerConvertNVVMToLLVMInterface(registry);
  ub::registerConvertUBToLLVMInterface(registry);
  vector::registerConvertVectorToLLVMInterface(registry);
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
  registerNVVMDialectTranslation(registry);
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
  registerStagePipelines();
}
