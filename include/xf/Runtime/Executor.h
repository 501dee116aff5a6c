//===- Executor.h - Runs the functions of a program ---------------------------------===//
// Binds inputs to a function's dims, plans its arena, and walks its dispatches with the whole team.
// Results depend on the inputs alone: tiles are cut by shape, whoever computes them. For a GPU the same list is
// launched, on one allocation that inputs and arenas are copied into and results out of, call by call.
//===--------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_EXECUTOR_H
#define XF_RUNTIME_EXECUTOR_H

#include "xf/Runtime/Device.h"
#include "xf/Runtime/Memory.h"
#include "xf/Runtime/Plan.h"
#include "xf/Runtime/Program.h"
#include "xf/Runtime/Report.h"
#include "xf/Runtime/SharedTiles.h"
#include "xf/Runtime/Team.h"
#include "xf/Runtime/Tensor.h"

#include <map>

namespace xf::runtime {

/// The flat arrays of a model; those a function does not use may be null.
struct ModelArenas {
  float *parameters = nullptr;
  float *gradients = nullptr;
  float *firstMoments = nullptr;
  float *secondMoments = nullptr;
  float *prepared = nullptr; // what `prepare` made of the parameters
};

/// Where a value first stopped being finite.
struct NonFinite {
  std::string label; // the dispatch that wrote it
  std::string tensor;
};

/// Offsets of all slots for a call with these dims.
ArenaPlan planFunction(const Function &function, std::span<const int64_t> dims);

/// Exact bytes of the arena for a call with these dims.
inline int64_t workspaceBytes(const Function &function, std::span<const int64_t> dims) {
  return planFunction(function, dims).totalBytes;
}

class Executor {
public:
  /// `images`: the kernels of a program for a GPU.
  Executor(const Program &program, std::span<const KernelFunction> kernels, Team &team,
           std::span<const XfImage *const> images = {});

  /// The dims that these inputs give the function, or which of them disagree and where.
  Expected<std::vector<int64_t>> bind(const Function &function, std::span<const TensorView> inputs) const;

  /// Bytes of all workers' scratch.
  int64_t scratchSize() const { return scratchBytes * team.size(); }

  /// Calls `function`. Inputs are found by name, all must be there; outputs that are not asked for are dropped.
  Expected<void> run(const Function &function, std::span<const TensorView> inputs, std::span<const TensorView> outputs,
                     const ModelArenas &model);

  /// As `run`, but looks at every f32 value that a dispatch wrote; nothing where all are finite.
  Expected<std::optional<NonFinite>> findNonFinite(const Function &function, std::span<const TensorView> inputs,
                                                   const ModelArenas &model);

  /// What a dispatch works on: the memory of its operands, and the values of their dynamic extents, in order.
  struct Operands {
    const Dispatch &dispatch;
    std::span<void *const> buffers;
    std::span<const int64_t> dims;
  };
  /// As `run`, and shows the operands of every dispatch before it runs, and again when it is done.
  Expected<void> observe(const Function &function, std::span<const TensorView> inputs,
                         std::span<const TensorView> outputs, const ModelArenas &model,
                         const std::function<void(const Operands &, bool done)> &observer);

  /// From now on, `run` adds the time of every dispatch to `report`.
  void profile(Report &report) { profileReport = &report; }

private:
  struct Step {
    const Dispatch *dispatch;
    KernelFunction kernel;
    size_t buffers, dims; // where its part of `pointers` and `extents` starts
    int64_t tiles;
    size_t inPhase; // its number among the steps since the team met
    bool meets;     // the team waits for all tiles of these steps before the next
  };

  const ArenaPlan &plan(const Function &function, std::span<const int64_t> dims);
  Expected<void> prepare(const Function &function, std::span<const TensorView> inputs,
                         std::span<const TensorView> outputs, const ModelArenas &model);
  Expected<void> prepareDevice(const Function &function, const ArenaPlan &layout, const ModelArenas &model);
  Expected<void> execute(const std::function<void(size_t)> &observe);
  void executeByTeam(const std::function<void(size_t)> &observe);
  Expected<void> executeOnDevice(const std::function<void(size_t)> &observe);
  bool isForDevice() const { return !program.gpu.empty(); }

  const Program &program;
  /// Where the tensors of the call that is prepared lie; a GPU's memory where it computes.
  struct Places {
    char *slots = nullptr;
    std::vector<char *> inputs, outputs;
    std::map<Space, char *> arenas;
  };
  /// What lies both here and on the GPU, and which way it goes, before the call and after.
  struct Mirror {
    void *host;
    char *device;
    int64_t bytes;
    bool in, out;
  };

  std::span<const KernelFunction> kernels;
  std::span<const XfImage *const> images;
  std::unique_ptr<Device> device; // once a function has run
  std::vector<Mirror> mirrors;
  Places places;
  Team &team;
  int64_t scratchBytes; // a worker
  std::map<std::pair<const Function *, std::vector<int64_t>>, ArenaPlan> plans;
  Pages arena, scratch, unwanted; // unwanted: outputs nobody asked for
  std::vector<int64_t> dims;      // of the call that is prepared
  std::vector<Step> steps;
  std::vector<void *> pointers;
  std::vector<size_t> bytes; // a pointer: how many are there
  std::vector<int64_t> extents;
  std::vector<SharedTiles> tiles; // by number in the phase
  Report *profileReport = nullptr;
};

} // namespace xf::runtime

#endif // XF_RUNTIME_EXECUTOR_H
