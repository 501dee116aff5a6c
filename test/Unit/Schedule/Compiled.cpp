//===- Compiled.cpp - modules compiled into this process ------------------------===//
#include "Compiled.h"
#include "mlir/AsmParser/AsmParser.h"
#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Arith/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Bufferization/Pipelines/Passes.h"
#include "mlir/Dialect/Bufferization/Transforms/FuncBufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Bufferization/Transforms/Passes.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/Linalg/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Dialect/SCF/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Tensor/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "xf/Driver/Kernels.h"
#include "xf/Runtime/Parameters.h"
#include "xf/Target/Target.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include <cmath>
#include <cstring>

using namespace mlir;
using namespace mlir::xf::test;
namespace runtime = ::xf::runtime;

std::vector<unsigned> mlir::xf::test::vectorWidths() {
  llvm::Expected<CPU> native = resolveCPU("native");
  std::vector<unsigned> widths;
  for (unsigned width : {4, 8, 16})
    if (width <= native->vectorWidth)
      widths.push_back(width);
  return widths;
}

/// Kernels in their scheduled form, one tile, with bodies on tensors still: what upstream can lower.
static void takeMemrefs(ModuleOp module) {
  for (auto kernel : llvm::to_vector(module.getOps<func::FuncOp>())) {
    if (!kernel->hasAttr("xf.kernel") || kernel->hasAttr("xf.grid"))
      continue;
    OpBuilder b(kernel);
    Location loc = kernel.getLoc();
    SmallVector<Type> types;
    for (Type type : llvm::concat<const Type>(kernel.getArgumentTypes(), kernel.getResultTypes()))
      if (auto tensor = dyn_cast<RankedTensorType>(type))
        types.push_back(MemRefType::get(tensor.getShape(), tensor.getElementType()));
      else
        types.push_back(type);
    types.append({b.getIndexType(), b.getIndexType(), MemRefType::get({ShapedType::kDynamic}, b.getI8Type())});
    auto function = func::FuncOp::create(b, loc, kernel.getName(), b.getFunctionType(types, {}));
    function.setPrivate();
    function->setAttr("xf.kernel", kernel->getAttr("xf.kernel"));
    function->setAttr("xf.grid", b.getArrayAttr({}));
    function->setAttr("xf.scratch", b.getI64IntegerAttr(0));
    Block *block = function.addEntryBlock();
    b.setInsertionPointToEnd(block);
    IRMapping values;
    for (BlockArgument argument : kernel.getArguments()) {
      Value given = block->getArgument(argument.getArgNumber());
      values.map(argument, isa<MemRefType>(given.getType())
                               ? bufferization::ToTensorOp::create(b, loc, argument.getType(), given, true).getResult()
                               : given);
    }
    for (Operation &op : kernel.front().without_terminator())
      b.clone(op, values);
    for (auto [i, value] : llvm::enumerate(kernel.front().getTerminator()->getOperands()))
      bufferization::MaterializeInDestinationOp::create(b, loc, Type(), values.lookupOrDefault(value),
                                                        block->getArgument(kernel.getNumArguments() + i),
                                                        /*restrict=*/true, /*writable=*/true);
    func::ReturnOp::create(b, loc);
    kernel.erase();
  }
}

/// What a GPU's pipeline has before kernels are made.
static std::string beforeFusion(unsigned way) {
  return way == mlir::xf::test::gpu ? "xf-split-captured-gradients," : "";
}

Compiled::Compiled(const std::string &text, unsigned vectorWidth, const std::vector<std::string> &schedules) {
  Module source(text);
  if (testing::Test::HasFailure())
    return;
  bool isForGPU = vectorWidth == gpu;
  source.transform(beforeFusion(vectorWidth) + "xf-fuse,xf-outline,inline,xf-plan");
  std::string archive;
  if (isForGPU) {
    KernelOptions options;
    options.stages.gpu = "sm_80";
    options.cpu = llvm::cantFail(resolveCPU("native"));
    options.threads = 1;
    KernelTimes times;
    if (compileKernels(*source, Stage::schedule, options, archive, times)) {
      ADD_FAILURE() << "no kernels";
      return;
    }
  } else if (vectorWidth == upstream) {
    DialectRegistry models;
    models.insert<bufferization::BufferizationDialect>();
    arith::registerBufferizableOpInterfaceExternalModels(models);
    linalg::registerBufferizableOpInterfaceExternalModels(models);
    scf::registerBufferizableOpInterfaceExternalModels(models);
    tensor::registerBufferizableOpInterfaceExternalModels(models);
    (*source).getContext()->appendDialectRegistry(models);
    (*source).getContext()->loadDialect<bufferization::BufferizationDialect>();
    [[maybe_unused]] static bool registered =
        (bufferization::registerBufferizationPasses(), bufferization::registerBufferizationPipelines(),
         registerLinalgPasses(), registerConvertBufferizationToMemRefPass(),
         memref::registerExpandStridedMetadataPass(), registerLowerAffinePass(), registerConvertMathToLibmPass(), true);
    takeMemrefs(*source);
    source.transform(
        "convert-xf-to-linalg,one-shot-bufferize,buffer-deallocation-pipeline,convert-bufferization-to-memref,"
        "func.func(convert-linalg-to-loops),expand-strided-metadata,lower-affine,convert-math-to-libm");
  } else {
    std::string options =
        "{vector-width=" + std::to_string(vectorWidth) + " registers=" + (vectorWidth == 8 ? "16" : "32") + "}";
    source.transform("xf-choose-schedules" + options);
    for (auto kernel : (*source).getOps<func::FuncOp>())
      for (const std::string &text : schedules)
        if (Attribute schedule = parseAttribute(text, kernel.getContext()), chosen = kernel->getAttr("xf.schedule");
            schedule && chosen && schedule.getTypeID() == chosen.getTypeID())
          kernel->setAttr("xf.schedule", schedule);
    source.transform("xf-schedule-cpu" + options);
  }
  source.transform(std::string("xf-emit-program") + (isForGPU ? "{gpu=sm_80}" : "") + ",xf-lower-to-llvm");
  llvm::Expected<CPU> cpu = resolveCPU(vectorWidth == 8 ? "x86-64-v3" : "native");
  cpu->vectorWidth = std::clamp(vectorWidth, 4u, 16u);
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream stream(bytes);
  if (testing::Test::HasFailure() || failed(emitObject(*source, *cpu, ArrayRef<Blob>(), stream))) {
    ADD_FAILURE() << "no object";
    return;
  }
  auto object = llvm::MemoryBuffer::getMemBufferCopy(stream.str(), "object");

  jit = llvm::cantFail(llvm::orc::LLJITBuilder().create());
  if (isForGPU) {
    auto buffer = llvm::MemoryBuffer::getMemBufferCopy(archive, "kernels.a");
    llvm::cantFail(jit->linkStaticLibraryInto(jit->getMainJITDylib(), std::move(buffer)));
  }
  llvm::cantFail(jit->addObjectFile(std::move(object)));
  auto symbol = [&]<typename T>(const char *name) {
    std::string whole = std::string(isForGPU ? "xf_gpu_" : "xf_") + name;
    return reinterpret_cast<const T *>(llvm::cantFail(jit->lookup(whole)).getValue());
  };
  int64_t count = *symbol.operator()<int64_t>("kernel_count");
  std::string_view json(symbol.operator()<char>("program_json"), *symbol.operator()<int64_t>("program_json_size"));
  if (isForGPU)
    images = {symbol.operator()<const XfImage *>("images"), size_t(count)};
  else
    kernels = {symbol.operator()<runtime::KernelFunction>("kernels"), size_t(count)};
  runtime::Expected<runtime::Program> parsed = runtime::parseProgram(json, count);
  if (parsed)
    program = std::move(*parsed);
  else
    ADD_FAILURE() << parsed.error().message;
}

Compiled::~Compiled() = default;

/// The element of a runtime tensor, whatever its type.
template <typename Function> static void visit(const runtime::OwnedTensor &tensor, Function function) {
  switch (tensor.view().type) {
  case runtime::ElementType::F32:
    return function(tensor.as<float>());
  case runtime::ElementType::I32:
    return function(tensor.as<int32_t>());
  case runtime::ElementType::I64:
    return function(tensor.as<int64_t>());
  default:
    FAIL() << "programs have no such tensors";
  }
}

Tensors Compiled::run(std::string_view name, const Tensors &inputs, int threads, const ModelState *model) {
  Tensors results;
  const runtime::Function *function = program->function(name);
  if (!function) {
    ADD_FAILURE() << "no entry point " << name;
    return results;
  }
  std::vector<runtime::OwnedTensor> given, wanted;
  for (const runtime::TensorType &input : function->inputs) {
    const Tensor &from = inputs.find(input.name)->second;
    visit(given.emplace_back(input.name, input.type, from.shape()), [&](auto *to) {
      for (int64_t i = 0; i < from.elements(); ++i)
        if (from.isReal())
          to[i] = from[i];
        else
          to[i] = from.integer(i);
    });
  }
  runtime::Team team(threads);
  runtime::Executor executor(*program, kernels, team, images);
  auto dims = executor.bind(*function, runtime::viewsOf(given));
  if (!dims) {
    ADD_FAILURE() << dims.error().message;
    return results;
  }
  for (const runtime::TensorType &output : function->outputs) {
    wanted.emplace_back(output.name, output.type, output.shapeAt(*dims));
    // What a kernel forgets to write is seen.
    std::memset(wanted.back().view().data, 0xff, wanted.back().view().bytes());
  }
  runtime::Expected<runtime::ModelState> state =
      runtime::ModelState::allocate(*program, {.gradients = function->usesGradients});
  if (!state) {
    ADD_FAILURE() << state.error().message;
    return results;
  }
  std::vector<runtime::TensorView> parameters = *state->parameterViews(*program);
  if (model)
    for (const runtime::TensorView &view : parameters)
      for (int64_t i = 0; i < view.elements(); ++i)
        static_cast<float *>(view.data)[i] = model->parameters.find(view.name)->second[i];
  runtime::Expected<void> ran =
      executor.run(*function, runtime::viewsOf(given), runtime::viewsOf(wanted), state->arenas());
  if (!ran)
    ADD_FAILURE() << ran.error().message;
  for (const runtime::OwnedTensor &output : wanted) {
    bool real = output.view().type == runtime::ElementType::F32;
    Tensor tensor = real ? Tensor::reals(output.view().shape) : Tensor::integers(output.view().shape);
    visit(output, [&](auto *from) {
      for (int64_t i = 0; i < tensor.elements(); ++i)
        if (real)
          tensor[i] = from[i];
        else
          tensor.integer(i) = from[i];
    });
    results[std::string(output.view().name)] = tensor;
  }
  if (function->usesGradients)
    for (const runtime::Parameter &parameter : program->parameters)
      results["grad." + parameter.name] =
          reference::fromView(runtime::parameterView(parameter, state->arenas().gradients.here(), parameter.name));
  return results;
}

std::string mlir::xf::test::inBF16(const std::string &text, unsigned way) {
  Module module(text);
  for (auto function : llvm::to_vector((*module).getOps<func::FuncOp>())) {
    if (!function->hasAttr("xf.entry"))
      continue;
    OpBuilder b(function);
    auto entry = func::FuncOp::create(b, function.getLoc(), function.getName(), function.getFunctionType());
    entry->setAttrs(function->getAttrs());
    Block *body = entry.addEntryBlock();
    function->removeAttr("xf.entry");
    function.setName((function.getName() + ".inner").str());
    function.setPrivate();
    b.setInsertionPointToEnd(body);
    auto call = func::CallOp::create(b, function.getLoc(), function, body->getArguments());
    func::ReturnOp::create(b, function.getLoc(), call.getResults());
  }
  module.transform(beforeFusion(way) + "xf-fuse,xf-outline,xf-precision");
  std::string result;
  llvm::raw_string_ostream(result) << *module;
  return result;
}

Tensor mlir::xf::test::rounded(Tensor tensor) {
  for (int64_t i = 0; i < tensor.elements(); ++i)
    tensor[i] = float(tensor[i]);
  return tensor;
}

Tensor mlir::xf::test::normal(std::vector<int64_t> shape, uint64_t seed) {
  std::mt19937_64 engine(seed);
  std::normal_distribution<double> distribution;
  Tensor tensor = Tensor::reals(std::move(shape));
  for (int64_t i = 0; i < tensor.elements(); ++i)
    tensor[i] = distribution(engine);
  return rounded(tensor);
}

void mlir::xf::test::expectClose(const Tensors &actual, const Tensors &expected, double tolerance,
                                 const std::string &what) {
  for (const auto &[name, wanted] : expected) {
    ASSERT_TRUE(actual.contains(name)) << what << ": no result " << name;
    const Tensor &got = actual.find(name)->second;
    ASSERT_EQ(got.shape(), wanted.shape()) << what << ": " << name;
    double worst = 0;
    int64_t where = -1;
    for (int64_t i = 0; i < wanted.elements(); ++i) {
      double x = got.isReal() ? got[i] : got.integer(i), y = wanted.isReal() ? wanted[i] : wanted.integer(i);
      double error = x == y || (std::isnan(x) && std::isnan(y)) ? 0 : std::abs(x - y) / std::max(1.0, std::abs(y));
      if (std::isnan(error))
        error = std::numeric_limits<double>::infinity();
      if (error > worst) {
        worst = error;
        where = i;
      }
    }
    if (worst > tolerance)
      ADD_FAILURE() << what << ": " << name << "[" << where << "] is "
                    << (got.isReal() ? got[where] : got.integer(where)) << " instead of "
                    << (wanted.isReal() ? wanted[where] : wanted.integer(where));
  }
}
