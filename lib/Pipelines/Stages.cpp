//===- Stages.cpp - the path from a model to LLVM -------------------------===//
#include "xf/Pipelines/Stages.h"
#include "mlir/Pass/PassRegistry.h"
#include "xf/Autodiff/Passes.h"
#include "xf/Dialect/XF/Transforms/Passes.h"
#include "xf/Kernels/Passes.h"
#include "xf/Schedule/Passes.h"
#include "xf/Target/Target.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSwitch.h"

using namespace mlir;
using namespace mlir::xf;

namespace {
constexpr StringLiteral names[] = {
#define XF_STAGE(name, description) #name,
#include "xf/Pipelines/Stages.def"
};
constexpr StringLiteral descriptions[] = {
#define XF_STAGE(name, description) description,
#include "xf/Pipelines/Stages.def"
};
} // namespace

StringRef mlir::xf::stageName(Stage stage) { return names[static_cast<int>(stage)]; }

std::optional<Stage> mlir::xf::parseStage(StringRef name) {
  for (int i = 0; i < numStages; ++i)
    if (names[i] == name)
      return static_cast<Stage>(i);
  return std::nullopt;
}

std::optional<Recompute> mlir::xf::parseRecompute(StringRef text) {
  Recompute result;
  if (text == "none")
    return Recompute::None;
  if (text == "full")
    return Recompute::Full;
  if (text.getAsDouble(result.price) || result.price < 0)
    return std::nullopt;
  return result;
}

std::optional<Precision> mlir::xf::parsePrecision(StringRef text) {
  return llvm::StringSwitch<std::optional<Precision>>(text)
      .Case("f32", Precision::F32)
      .Case("bf16", Precision::BF16)
      .Case("tf32", Precision::TF32)
      .Default(std::nullopt);
}

/// The options of a pass that depends on the processor's registers and caches.
template <typename PassOptions> static PassOptions processorOf(const StageOptions &options) {
  CPU cpu = llvm::cantFail(resolveCPU(options.cpu));
  PassOptions result;
  result.vectorWidth = cpu.vectorWidth;
  result.registers = cpu.registers;
  result.l1 = cpu.l1;
  result.l2 = cpu.l2;
  return result;
}

void mlir::xf::buildChooseSchedules(OpPassManager &pm, const StageOptions &options) {
  pm.addPass(createChooseSchedulesPass(processorOf<ChooseSchedulesPassOptions>(options)));
}

void mlir::xf::buildStage(OpPassManager &pm, Stage stage, const StageOptions &options) {
  switch (stage) {
  case Stage::input:
    return buildInputStage(pm, options.weights, options.precision == Precision::BF16);
  case Stage::autodiff:
    return buildAutodiffPipeline(pm, options.recompute);
  case Stage::fuse: {
    ChunkLogitsPassOptions chunks;
    // Rows that fill a GPU, in 512 MiB; the pass counts f32, and of bf16 there are twice as many.
    if (!options.gpu.empty())
      chunks.bytes = int64_t(options.precision == Precision::BF16 ? 1024 : 512) << 20;
    pm.addPass(createChunkLogitsPass(chunks));
    pm.addPass(options.gpu.empty() ? createSumPartsPass() : createSplitCapturedGradientsPass());
    pm.addPass(createFusePass());
    return;
  }
  case Stage::outline:
    pm.addPass(createOutlinePass());
    if (options.precision == Precision::BF16) {
      pm.addPass(createPrecisionPass());
      pm.addPass(createSymbolDCEPass()); // the kernels on f32
    }
    return;
  case Stage::plan:
    pm.addPass(createInlinerPass());
    pm.addPass(createSymbolDCEPass());
    pm.addPass(createPlanPass());
    pm.addPass(createSymbolDCEPass()); // kernels of casts that became one
    pm.addPass(createFindRequirementsPass());
    if (!options.gpu.empty())
      pm.addPass(createAddLongFormsPass({options.gpu}));
    return;
  case Stage::schedule:
    if (!options.gpu.empty()) {
      pm.addPass(createScheduleGPUPass({options.gpu, options.precision == Precision::TF32}));
      return;
    }
    buildChooseSchedules(pm, options);
    pm.addPass(createScheduleCPUPass(processorOf<ScheduleCPUPassOptions>(options)));
    return;
  case Stage::target: {
    EmitProgramPassOptions emit;
    emit.cpu = options.cpu;
    emit.gpu = options.gpu;
    pm.addPass(createEmitProgramPass(emit));
    buildLowerToLLVM(pm);
    return;
  }
  case Stage::link:
    return;
  }
}

namespace {
struct StagePipelineOptions : PassPipelineOptions<StagePipelineOptions> {
  Option<std::string> recompute{
      *this, "recompute",
      llvm::cl::desc("what a backward computes again: none, full, or what costs fewer operations a byte than this"),
      llvm::cl::init("none")};
  Option<std::string> cpu{*this, "cpu", llvm::cl::desc("processor to generate code for"), llvm::cl::init("native")};
  Option<std::string> gpu{*this, "gpu",
                          llvm::cl::desc("GPU to generate kernels for, such as sm_80; none: the processor"),
                          llvm::cl::init("")};
  Option<std::string> precision{
      *this, "precision",
      llvm::cl::desc("what kernels hand each other: f32 or bf16; or tf32, what a GPU's products take of f32"),
      llvm::cl::init("f32")};
};
} // namespace

/// Ends the tool: a pipeline's options have no other way to be refused.
[[noreturn]] static void refuse(const Twine &message) { llvm::report_fatal_error(message, /*gen_crash_diag=*/false); }

static StageOptions optionsOf(const StagePipelineOptions &options) {
  std::optional<Recompute> recompute = parseRecompute(options.recompute);
  if (!recompute)
    refuse("expected recompute to be none, full or a number, but got '" + options.recompute + "'");
  std::optional<Precision> precision = parsePrecision(options.precision);
  if (!precision)
    refuse("expected precision to be f32, bf16 or tf32, but got '" + options.precision + "'");
  if (llvm::Expected<CPU> cpu = resolveCPU(options.cpu); !cpu)
    refuse(llvm::toString(cpu.takeError()));
  if (!options.gpu.empty() && !llvm::is_contained(supportedGPUs(), options.gpu))
    refuse("expected gpu to be one of " + llvm::join(supportedGPUs(), ", ") + ", but got '" + options.gpu + "'");
  return {*recompute, options.cpu, options.gpu, *precision};
}

namespace {
struct WholePipelineOptions : StagePipelineOptions {
  Option<std::string> to{*this, "to", llvm::cl::desc("the last stage"), llvm::cl::init("target")};
};
} // namespace

void mlir::xf::registerStagePipelines() {
  for (int i = 0; i < static_cast<int>(Stage::link); ++i)
    PassPipelineRegistration<StagePipelineOptions>(("xf-stage-" + names[i]).str(), descriptions[i],
                                                   [i](OpPassManager &pm, const StagePipelineOptions &options) {
                                                     buildStage(pm, static_cast<Stage>(i), optionsOf(options));
                                                   });
  PassPipelineRegistration<WholePipelineOptions>("xf-pipeline", "every stage, in order",
                                                 [](OpPassManager &pm, const WholePipelineOptions &options) {
                                                   std::optional<Stage> last = parseStage(options.to);
                                                   if (!last)
                                                     refuse("unknown stage '" + options.to + "'");
                                                   for (int i = 0; i <= static_cast<int>(*last); ++i)
                                                     buildStage(pm, static_cast<Stage>(i), optionsOf(options));
                                                 });
}
