//===- Stages.h - the path from a model to LLVM -----------------*- C++ -*-===//
// The one table of stages (Stages.def) and the pipeline of each.
//===----------------------------------------------------------------------===//
#ifndef XF_PIPELINES_STAGES_H
#define XF_PIPELINES_STAGES_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/PassManager.h"
#include "xf/Autodiff/Passes.h"
#include "xf/Dialect/XF/Transforms/Passes.h"
#include <optional>

namespace mlir::xf {
enum class Stage {
#define XF_STAGE(name, description) name,
#include "xf/Pipelines/Stages.def"
};
constexpr int numStages = static_cast<int>(Stage::link) + 1;

StringRef stageName(Stage stage);
std::optional<Stage> parseStage(StringRef name);

/// The first and the last of the stages that a module in this form can be given to.
std::pair<Stage, Stage> nextStages(ModuleOp module);

/// What kernels hand each other; TF32: f32, of which a GPU's products take no more bits than that.
enum class Precision { F32, BF16, TF32 };
/// "f32", "bf16" or "tf32".
std::optional<Precision> parsePrecision(StringRef text);

/// What the pipelines of the stages depend on.
struct StageOptions {
  Recompute recompute;
  std::string cpu = "native";
  std::string gpu; // as "sm_80": kernels are for it
  Precision precision = Precision::F32;
  WeightForm weights = WeightForm::Packed; // of predictions
};

/// "none", "full", or a price in operations a byte.
std::optional<Recompute> parseRecompute(StringRef text);

/// Adds the passes of `stage`; `link` has none: it leaves MLIR.
void buildStage(OpPassManager &pm, Stage stage, const StageOptions &options);

/// Adds what stage `schedule` begins with: every kernel gets its choices, as an attribute.
void buildChooseSchedules(OpPassManager &pm, const StageOptions &options);

/// Registers every stage as the pipeline xf-stage-NAME.
void registerStagePipelines();
} // namespace mlir::xf

#endif
