//===- Compile.cpp - one kernel for sm_90a, as PTX ---------------------------------------===//
#include "Compile.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "xf/Conversion/Passes.h"
#include "xf/Dialect/XF/IR/XF.h"
#include "xf/InitAll.h"
#include "xf/Schedule/Passes.h"
#include "xf/Target/Target.h"
#include <gtest/gtest.h>

using namespace mlir;

static MLIRContext &context() {
  static MLIRContext *context = [] {
    DialectRegistry registry;
    xf::registerAllDialects(registry);
    return new MLIRContext(registry, MLIRContext::Threading::DISABLED);
  }();
  return *context;
}

CompiledKernel::CompiledKernel(const std::string &text) {
  OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(text, &context());
  PassManager passes(&context());
  passes.addPass(xf::createScheduleGPUPass({"sm_90a"}));
  if (!module || failed(passes.run(*module))) {
    ADD_FAILURE() << text;
    return;
  }
  auto function = *module->getOps<func::FuncOp>().begin();
  if (auto bytes = function->getAttrOfType<IntegerAttr>("xf.shared"))
    shared = bytes.getInt();
  if (auto array = function->getAttrOfType<ArrayAttr>("xf.tensor_maps"))
    for (auto map : array.getAsRange<DenseI64ArrayAttr>())
      maps.push_back({map[0], map[1], map[2]});
  PassManager lowering(&context());
  lowering.addPass(xf::createConvertXFGToNVVMPass());
  lowering.addPass(xf::createEmitGPUEntriesPass());
  xf::buildLowerToLLVM(lowering);
  FailureOr<std::string> made = failure();
  if (succeeded(lowering.run(*module)))
    made = xf::emitPTX(*module, "sm_90a", "kernel");
  if (failed(made))
    ADD_FAILURE() << "no PTX of " << text;
  else
    ptx = *made;
}

std::string CompiledKernel::seeded(const std::string &from, const std::string &to) const {
  std::string result = ptx;
  size_t at = result.find(from);
  EXPECT_NE(at, result.npos) << from;
  for (; at != result.npos; at = result.find(from, at + to.size()))
    result.replace(at, from.size(), to);
  return result;
}
