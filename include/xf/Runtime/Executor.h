//===- Executor.h - Runs the functions of a program ---------------------------------===//
// Binds inputs to a function's dims, plans its arena, and walks its dispatches with the whole team.
// Results depend on the inputs alone: tiles are cut by shape, whoever computes them. For a GPU the same list is
// launched (DeviceRunner.h).
//===--------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_EXECUTOR_H
#define XF_RUNTIME_EXECUTOR_H

#include "xf/Runtime/DeviceRunner.h"
#include "xf/Runtime/Needs.h"
#include "xf/Runtime/Report.h"
#include "xf/Runtime/SharedTiles.h"
#include "xf/Runtime/Team.h"

namespace xf::runtime {

/// Where a value first stopped being finite.
struct NonFinite {
  std::string label; // the dispatch that wrote it
  std::string tensor;
};

class Executor {
public:
  /// `images`: the kernels of a program for a GPU, of whose memory `allowed` bytes may be taken (0: what there is).
  Executor(const Program &program, std::span<const KernelFunction> kernels, Team &team,
           std::span<const XfImage *const> images = {}, int64_t allowed = 0);

  /// The dims that these inputs give the function, or which of them disagree and where.
  Expected<std::vector<int64_t>> bind(const Function &function, std::span<const TensorView> inputs) const;

  /// Bytes of all workers' scratch.
  int64_t scratchSize() const { return scratchBytes * team.size(); }

  /// Looks for the GPU, where one computes; the first call would otherwise.
  Expected<void> open();

  /// Calls `function`. Inputs are found by name, all must be there; outputs that are not asked for are dropped.
  Expected<void> run(const Function &function, std::span<const TensorView> inputs, std::span<const TensorView> outputs,
                     const ModelArenas &model);

  /// The parts of `run`: a call may be prepared while another one runs, and only where a GPU computes it runs after
  /// `start` returns. Outputs are there when it is finished; inputs have been read when it is started.
  Expected<void> prepare(const Function &function, std::span<const TensorView> inputs,
                         std::span<const TensorView> outputs, const ModelArenas &model);
  Expected<void> start();
  Expected<void> finish();

  /// A part of an output that nobody asked for, of the call that is finished, until another one is prepared.
  Expected<void> readOutput(std::string_view name, int64_t offset, int64_t bytes, void *to);

  /// Whether a GPU computes.
  bool isForDevice() const { return !program.gpu.empty(); }

  /// On a GPU, room for the largest calls to come, before the first.
  Expected<void> reserve(std::span<const Call> calls, const ModelArenas &model);

  /// As `run`, but looks at every f32 value that a dispatch wrote; nothing where all are finite.
  Expected<std::optional<NonFinite>> findNonFinite(const Function &function, std::span<const TensorView> inputs,
                                                   const ModelArenas &model);

  /// What a dispatch works on: the memory of its operands, and the values of their dynamic extents, in order.
  struct Operands {
    const Dispatch &dispatch;
    std::span<void *const> buffers;
    std::span<const int64_t> dims;
  };
  /// As `run`, and shows the operands of every dispatch before it runs, and again when it is done; of a GPU's memory
  /// copies, which are made anew each time.
  Expected<void> observe(const Function &function, std::span<const TensorView> inputs,
                         std::span<const TensorView> outputs, const ModelArenas &model,
                         const std::function<void(const Operands &, bool done)> &observer);

  /// From now on, `run` adds the time of every dispatch to `report`.
  void profile(Report &report) { profileReport = &report; }

  /// What the processor or the GPU can do in a second.
  Expected<MachineLimits> limits();
  /// Bytes that calls can take, where they compute.
  Expected<int64_t> availableMemory();

private:
  /// When the team meets after a step.
  struct Meeting {
    size_t inPhase; // the step's number since the team met
    bool meets;     // it waits for all tiles of these steps before the next
  };

  const ArenaPlan &plan(const Function &function, std::span<const int64_t> dims);
  Expected<void> prepareTeam(std::span<const TensorView> inputs, std::span<const TensorView> outputs,
                             const ModelArenas &model);
  /// `observe` is called with 0 before the first step, and with the number of steps that are done after each.
  Expected<void> execute(const std::function<void(size_t)> &observe);
  /// Of the call that runs.
  void addToProfile(std::span<const Walk::Step> steps, std::span<const double> seconds);
  void executeByTeam(const std::function<void(size_t)> &observe);
  /// Of the call that is ready.
  const Walk &walk() const { return runner ? runner->walk() : own; }

  const Program &program;
  std::span<const KernelFunction> kernels;
  std::span<const XfImage *const> images;
  int64_t allowed;
  std::unique_ptr<DeviceRunner> runner; // once a GPU is needed
  Team &team;
  int64_t scratchBytes; // a worker
  std::map<std::pair<const Function *, std::vector<int64_t>>, ArenaPlan> plans;
  Pages arena, scratch, unwanted; // unwanted: outputs nobody asked for
  Call ready, running;
  Walk own;                         // the team's
  std::vector<char *> outputPlaces; // of the team's call
  std::vector<Meeting> meetings;
  std::vector<SharedTiles> tiles; // by number in the phase
  Report *profileReport = nullptr;
};

} // namespace xf::runtime

#endif // XF_RUNTIME_EXECUTOR_H
