//===- xf-interpret.cpp - runs a module in double precision ---------------===//
// The reference interpreter as a program: what a module means, to compare compiled code with.
//===----------------------------------------------------------------------===//
#include "mlir/Pass/PassManager.h"
#include "xf/Autodiff/Passes.h"
#include "xf/Dialect/XF/Transforms/Passes.h"
#include "xf/Driver/Diagnostics.h"
#include "xf/Frontend/Frontend.h"
#include "xf/InitAll.h"
#include "xf/Reference/Interpreter.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/InitLLVM.h"
#include <fmt/format.h>

using namespace mlir;
using namespace mlir::xf;
using reference::Interpreter;
using reference::ModelState;
using reference::Tensor;
using ::xf::runtime::Safetensors;
using ::xf::runtime::TensorView;

static llvm::cl::OptionCategory category("xf-interpret");
static llvm::cl::opt<std::string> inputPath(llvm::cl::Positional,
                                            llvm::cl::desc("FILE.mlir, or preset:NAME[,key=value...]"),
                                            llvm::cl::init("-"), llvm::cl::cat(category));
static llvm::cl::opt<std::string> entry("entry", llvm::cl::desc("The function to run"), llvm::cl::Required,
                                        llvm::cl::cat(category));
static llvm::cl::opt<std::string>
    tensorsPath("input",
                llvm::cl::desc("Its arguments: a safetensors file with them by name (xf.name, or arg0, arg1, ...)"),
                llvm::cl::cat(category));
static llvm::cl::opt<std::string>
    modelPath("model", llvm::cl::desc("The parameters, and moments where it has them: a safetensors file"),
              llvm::cl::cat(category));
static llvm::cl::opt<uint64_t> seed("seed", llvm::cl::desc("Without --model: the seed of the initial parameters"),
                                    llvm::cl::init(0), llvm::cl::cat(category));
static llvm::cl::opt<std::string>
    outputPath("output", llvm::cl::desc("Where the results go, as F64; without it they are printed"),
               llvm::cl::cat(category));
static llvm::cl::opt<bool>
    differentiate("differentiate",
                  llvm::cl::desc("Run the stage 'autodiff' first; implied for the entry points that it makes"),
                  llvm::cl::cat(category));
static llvm::cl::opt<bool> trace("trace",
                                 llvm::cl::desc("Print every value as it is computed, of large ones the corners"),
                                 llvm::cl::cat(category));

static int fail(StringRef message, int exitCode = 1) {
  llvm::errs() << "xf-interpret: error: " << message << "\n";
  return exitCode;
}
static int fail(const ::xf::runtime::Error &error) { return fail(error.message, error.exitCode); }

static std::string nameOf(DictionaryAttr attributes, StringRef fallback, unsigned index) {
  auto name = attributes ? attributes.getAs<StringAttr>("xf.name") : StringAttr();
  return name ? name.str() : (fallback + Twine(index)).str();
}

/// Rows of the last extent's numbers. Of a tensor that is not printed whole, the first and the last of many.
static void print(StringRef name, const Tensor &tensor, bool isWhole = true) {
  constexpr int64_t large = 1000, shown = 3;
  llvm::outs() << name << " " << ::xf::runtime::formatShape(tensor.shape());
  int64_t width = tensor.shape().empty() ? 1 : tensor.shape().back(), rows = width ? tensor.elements() / width : 0;
  isWhole |= tensor.elements() <= large;
  auto leavesOut = [&](int64_t i, int64_t count) { return !isWhole && i >= shown && i < count - shown; };
  for (int64_t row = 0; row < rows; ++row) {
    if (leavesOut(row, rows)) {
      llvm::outs() << (row == shown ? "\n  ..." : "");
      continue;
    }
    for (int64_t column = 0; column < width; ++column) {
      int64_t i = row * width + column;
      if (leavesOut(column, width)) {
        llvm::outs() << (column == shown ? " ..." : "");
        continue;
      }
      llvm::outs() << (column ? " " : "\n  ")
                   << (tensor.isReal() ? fmt::format("{:.9g}", tensor[i]) : fmt::format("{}", tensor.integer(i)));
    }
  }
  llvm::outs() << "\n";
}

/// "encoder.0.attention.query xf.linear": a value by its name in the model, where it has one, and what computes it.
static std::string describe(Operation *op, ArrayRef<Operation *> callers) {
  std::string name;
  auto append = [&](StringRef label) {
    if (!label.empty())
      name += (name.empty() ? "" : ".") + label.str();
  };
  for (Operation *caller : callers)
    append(labelOf(caller->getLoc()));
  auto param = dyn_cast<GetParamOp>(op);
  append(param ? param.getName().str() : labelOf(op->getLoc()));
  return name + (name.empty() ? "" : " ") + op->getName().getStringRef().str();
}

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  llvm::cl::HideUnrelatedOptions(category);
  llvm::cl::ParseCommandLineOptions(argc, argv, "double-precision reference interpreter of xf modules\n");

  DialectRegistry registry;
  registerAllDialects(registry);
  MLIRContext context(registry);
  DiagnosticPrinter diagnostics(context, llvm::errs(), "xf-interpret");
  OwningOpRef<ModuleOp> module = loadModel(inputPath, context);
  if (!module)
    return 1;
  bool isInput = module
                     ->walk([](Operation *op) {
                       return isa<ApplyOp, CompositeOpInterface>(op) ? WalkResult::interrupt() : WalkResult::advance();
                     })
                     .wasInterrupted();
  PassManager manager(&context);
  if (isInput)
    buildInputStage(manager);
  bool isDerived = llvm::is_contained({"gradients", "train_step", "accumulate", "update"}, entry.getValue());
  if (differentiate || (isDerived && !module->lookupSymbol(entry)))
    buildAutodiffPipeline(manager, Recompute::None);
  if (failed(manager.run(*module)))
    return 1;

  auto function = module->lookupSymbol<func::FuncOp>(entry);
  if (!function)
    return fail("the module has no function '" + entry + "'; it has " +
                llvm::join(llvm::map_range(module->getOps<func::FuncOp>(),
                                           [](func::FuncOp function) { return function.getName(); }),
                           ", "));
  ::xf::runtime::Expected<ModelState> state = ModelState::initialize(*module, seed);
  if (!modelPath.empty() && state) {
    auto weights = Safetensors::open(modelPath);
    if (!weights)
      return fail(weights.error());
    state = ModelState::load(*module, *weights);
  }
  if (!state)
    return fail(state.error());

  SmallVector<Tensor> arguments;
  std::optional<::xf::runtime::Expected<Safetensors>> tensors;
  if (!tensorsPath.empty()) {
    tensors.emplace(Safetensors::open(tensorsPath));
    if (!*tensors)
      return fail(tensors->error());
  }
  for (BlockArgument argument : function.getArguments()) {
    std::string name = nameOf(function.getArgAttrDict(argument.getArgNumber()), "arg", argument.getArgNumber());
    const TensorView *view = tensors ? (**tensors).find(name) : nullptr;
    if (!view)
      return fail(
          tensors ? fmt::format("expected '{}' to hold the argument '{}'", std::string(tensorsPath), name)
                  : fmt::format("'{}' takes '{}': give it with --input=FILE.safetensors", std::string(entry), name));
    arguments.push_back(reference::fromView(*view));
    if (std::string wrong = reference::mismatch(name, argument.getType(), arguments.back()); !wrong.empty())
      return fail(wrong);
  }

  Interpreter interpreter(*module, *state);
  if (trace)
    interpreter.setProbe([&](Operation *op, ArrayRef<Tensor> results) {
      for (const Tensor &result : results)
        print(describe(op, interpreter.callStack()), result, /*isWhole=*/false);
    });
  FailureOr<SmallVector<Tensor>> results = interpreter.run(function, arguments);
  if (failed(results))
    return 1;
  std::vector<std::pair<std::string, Tensor>> named;
  for (auto [index, tensor] : llvm::enumerate(*results))
    named.emplace_back(nameOf(function.getResultAttrDict(index), "result", index), tensor);
  bool trains = !function.getOps<AdamOp>().empty();
  if (outputPath.empty()) {
    for (const auto &[name, tensor] : named)
      print(name, tensor);
    return 0;
  }
  for (auto [prefix, values] : {std::pair("", &state->parameters), std::pair("first_moment.", &state->firstMoments),
                                std::pair("second_moment.", &state->secondMoments)})
    if (trains)
      for (const auto &[name, tensor] : *values)
        named.emplace_back(prefix + name, tensor);
  auto written = reference::writeTensors(outputPath, named);
  return written ? 0 : fail(written.error());
}
