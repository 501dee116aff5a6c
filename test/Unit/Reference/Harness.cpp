//===- Harness.cpp - modules from text, differentiated and run -----------------===//
#include "Harness.h"
#include "../../lib/TestPasses.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "xf/InitAll.h"
#include <cmath>

using namespace mlir;
using namespace mlir::xf::test;

static DialectRegistry &dialects() {
  static DialectRegistry registry = [] {
    DialectRegistry all;
    mlir::xf::registerAllDialects(all);
    return all;
  }();
  return registry;
}

Module::Module(const std::string &text) : context(dialects()) {
  context.getDiagEngine().registerHandler([](Diagnostic &diagnostic) {
    ADD_FAILURE() << diagnostic.str();
    return success();
  });
  module = parseSourceString<ModuleOp>(text, ParserConfig(&context));
  EXPECT_TRUE(module) << text;
  if (module)
    state = *ModelState::initialize(*module, 0);
}

void Module::differentiate(const mlir::xf::Recompute &recompute) {
  PassManager manager(&context);
  mlir::xf::buildAutodiffPipeline(manager, recompute);
  EXPECT_TRUE(succeeded(manager.run(*module)));
}

void Module::transform(const std::string &pipeline) {
  [[maybe_unused]] static bool registered = (mlir::xf::registerAllPasses(), registerTestPasses(), true);
  PassManager manager(&context);
  EXPECT_TRUE(succeeded(parsePassPipeline(pipeline, manager)));
  EXPECT_TRUE(succeeded(manager.run(*module)));
}

void Module::randomize(uint64_t seed) {
  std::mt19937_64 engine(seed);
  std::normal_distribution<double> normal;
  for (auto &[name, tensor] : state.parameters)
    for (int64_t i = 0; i < tensor.elements(); ++i)
      tensor[i] = normal(engine);
}

Tensors Module::run(llvm::StringRef name, const Tensors &inputs) {
  mlir::xf::reference::Interpreter interpreter(*module, state);
  func::FuncOp function = interpreter.lookup(name);
  if (!function) {
    ADD_FAILURE() << "no function " << name.str();
    return {};
  }
  SmallVector<Tensor> arguments;
  for (unsigned i = 0; i < function.getNumArguments(); ++i) {
    auto input = inputs.find(function.getArgAttrOfType<StringAttr>(i, "xf.name").str());
    if (input == inputs.end()) {
      ADD_FAILURE() << "no input for argument " << i << " of " << name.str();
      return {};
    }
    arguments.push_back(input->second);
  }
  FailureOr<SmallVector<Tensor>> results = interpreter.run(function, arguments);
  Tensors named;
  for (auto [index, tensor] : llvm::enumerate(succeeded(results) ? *results : SmallVector<Tensor>()))
    named[function.getResultAttrOfType<StringAttr>(index, "xf.name").str()] = tensor;
  return named;
}

Tensor mlir::xf::test::integers(std::vector<int64_t> values) {
  Tensor tensor = Tensor::integers({int64_t(values.size())});
  for (size_t i = 0; i < values.size(); ++i)
    tensor.integer(int64_t(i)) = values[i];
  return tensor;
}

Tensor mlir::xf::test::offsets(const std::vector<int64_t> &lengths) {
  std::vector<int64_t> starts = {0};
  for (int64_t length : lengths)
    starts.push_back(starts.back() + length);
  return integers(starts);
}

double mlir::xf::test::distance(const Tensor &a, const Tensor &b) {
  EXPECT_EQ(a.shape(), b.shape());
  double difference = 0, norm = 0;
  for (int64_t i = 0; i < b.elements() && a.shape() == b.shape(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    norm += b[i] * b[i];
  }
  return std::sqrt(difference) / std::max(std::sqrt(norm), 1e-6);
}
