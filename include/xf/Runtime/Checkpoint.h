//===- Checkpoint.h - The state of a training run on disk ----------------------------===//
// RUN/checkpoint-STEP.safetensors holds parameters, both moments, and in its metadata everything else
// that decides the bits to come: step, seed, place in the data, settings, best validation loss.
//===--------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_CHECKPOINT_H
#define XF_RUNTIME_CHECKPOINT_H

#include "xf/Runtime/Parameters.h"

#include <array>
#include <limits>

namespace xf::runtime {

/// How the learning rate goes; each is the number of its place in `hyper`.
inline constexpr std::array<const char *, 4> scheduleNames = {"constant", "noam", "rsqrt", "inverse_sqrt"};

/// The optimizer's settings, the input `hyper` of `train_step`.
struct Hyper {
  double learningRate = 1;
  double warmup = 4000;
  std::string schedule = "noam"; // one of scheduleNames
  double clipNorm = 0;           // 0: none
  double beta1 = 0.9, beta2 = 0.98, epsilon = 1e-9, weightDecay = 0;

  std::array<float, 8> values() const;
};

/// The settings a program asks for where the user says nothing: its model's keys of these names.
Hyper defaultHyper(const Program &program);

/// Calls `visit(name, field of a, field of b)` for every setting.
template <typename Visit> void forEachHyper(Hyper &a, const Hyper &b, Visit visit) {
  visit("learning_rate", a.learningRate, b.learningRate);
  visit("warmup", a.warmup, b.warmup);
  visit("schedule", a.schedule, b.schedule);
  visit("clip_norm", a.clipNorm, b.clipNorm);
  visit("beta1", a.beta1, b.beta1);
  visit("beta2", a.beta2, b.beta2);
  visit("epsilon", a.epsilon, b.epsilon);
  visit("weight_decay", a.weightDecay, b.weightDecay);
}

/// What the setting `name` has to be, where `value` is not; else null.
const char *expectedOfSetting(std::string_view name, double value);

/// A mean over steps.
struct StepMean {
  double sum = 0;
  int64_t steps = 0;

  void add(double value) { sum += value, ++steps; }
  double value() const { return steps ? sum / double(steps) : 0; }
};

/// What a training run is at, besides its arrays.
struct Progress {
  int64_t step = 0;                                          // steps done
  uint64_t seed = 1;                                         // of initialisation, dropout and the order of the data
  int64_t epoch = 0;                                         // epochs done
  int64_t batch = 0;                                         // batches done in this one
  double bestLoss = std::numeric_limits<double>::infinity(); // on the validation set
  int64_t sinceBest = 0;                                     // times it was measured since, and was no better
  int64_t best = 0;                                          // the step of the run's model.safetensors; 0: none yet
  int64_t ended = 0; // the step that was validated and recorded last: an epoch's or the run's end, or within
  StepMean intervalLoss, epochLoss; // since the last record of its kind
  Hyper hyper;
  std::vector<std::string> frozen; // patterns of parameters that stay as they are
  nlohmann::json data;             // how batches are made; another recipe would make the cursor meaningless

  Safetensors::Metadata metadata() const;
  static Expected<Progress> parse(const Safetensors &file);
};

bool isCheckpoint(const Safetensors &file);

/// Loads a checkpoint into `state`, or weights: those leave moments at zero and give `fresh`.
Expected<Progress> loadState(const Program &program, const Safetensors &file, ModelState &state, Progress fresh);

std::string checkpointPath(const std::string &folder, int64_t step);

/// The steps of a folder's checkpoints, newest first.
std::vector<int64_t> checkpointSteps(const std::string &folder);

/// Writes RUN/checkpoint-STEP.safetensors, with `more` in its metadata, and removes all but the newest `keep` up to it.
Expected<void> saveCheckpoint(const std::string &folder, const Program &program, const ModelState &state,
                              const Progress &progress, int64_t keep, const Safetensors::Metadata &more = {});

/// The newest whole checkpoint of a folder; `rejected` gets what was wrong with newer ones. Nothing where it has none.
Expected<std::optional<Safetensors>> newestCheckpoint(const std::string &folder, std::vector<std::string> &rejected);

/// The file that `--model=PATH` means: a file itself, or a run's model.safetensors.
Expected<std::string> modelFile(const std::string &path);

} // namespace xf::runtime

#endif // XF_RUNTIME_CHECKPOINT_H
