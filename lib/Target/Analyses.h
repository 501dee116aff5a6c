//===- Analyses.h - what LLVM's passes ask of a module ----------*- C++ -*-===//
// For stage `link`: the analysis managers that every pipeline over LLVM's modules needs, for processors and GPUs.
//===----------------------------------------------------------------------===//
#ifndef XF_LIB_TARGET_ANALYSES_H
#define XF_LIB_TARGET_ANALYSES_H

#include "llvm/Passes/PassBuilder.h"

namespace mlir::xf {
struct Analyses {
  explicit Analyses(llvm::TargetMachine &machine) : builder(&machine) {
    builder.registerModuleAnalyses(modules);
    builder.registerCGSCCAnalyses(graph);
    builder.registerFunctionAnalyses(functions);
    builder.registerLoopAnalyses(loops);
    builder.crossRegisterProxies(loops, functions, graph, modules);
  }

  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager graph;
  llvm::ModuleAnalysisManager modules;
  llvm::PassBuilder builder;
};
} // namespace mlir::xf

#endif // XF_LIB_TARGET_ANALYSES_H
