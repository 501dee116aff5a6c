//===- DeviceRunner.h - Calls on a GPU ---------------------------------------------------===//
// Lays out one allocation of a GPU's memory - arenas, which stay there, and behind them room for the call at hand: its
// inputs, outputs and temporaries - and asks for the launches of calls in it: one by one, or as a graph, in which they
// run side by side as far as they can. While a call runs, the next one can be prepared.
//===------------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_DEVICERUNNER_H
#define XF_RUNTIME_DEVICERUNNER_H

#include "xf/Runtime/Device.h"
#include "xf/Runtime/Needs.h"
#include "xf/Runtime/Tensor.h"
#include "xf/Runtime/Walk.h"

namespace xf::runtime {

/// What a call takes of a GPU's memory, besides arenas: offsets of tensors that come and go with it, -1 for those that
/// are in arenas, and of its temporaries.
struct CallRoom {
  std::vector<int64_t> inputs, outputs;
  int64_t inputBytes = 0, slotsBegin = 0, bytes = 0;

  /// `inputs`, `outputs`: none where all come and go.
  CallRoom(const Function &function, std::span<const int64_t> dims, int64_t slotBytes,
           std::span<const TensorView> inputs = {}, std::span<const TensorView> outputs = {});
};

/// Bytes of the arenas that functions use, as they lie there.
int64_t arenaBytesOnDevice(const Program &program, std::span<const Function *const> functions);

class DeviceRunner {
public:
  static Expected<std::unique_ptr<DeviceRunner>> open(const Program &program, std::span<const XfImage *const> images);
  ~DeviceRunner();

  Device &device() { return *gpu; }

  /// Room for each of `calls`, before the first: nothing has to move then.
  Expected<void> reserve(std::span<const Call> calls, const ModelArenas &model);

  /// Makes a call ready, while another one may run. Inputs and outputs are the function's, in order; no data: nobody
  /// asks for that output.
  Expected<void> prepare(const Function &function, std::span<const int64_t> dims, std::span<const TensorView> inputs,
                         std::span<const TensorView> outputs, const ModelArenas &model);
  /// Of the call that is ready.
  const Walk &walk() const;
  const Walk &walkOfRunning() const;
  const ArenaPlan &plan() const;
  char *slots() const;

  /// Asks for the call that is ready. For `observe`, which is called with 0 before the first step and with their number
  /// after each that was asked for, and where it is `timed`, all are asked for one by one.
  Expected<void> start(const std::function<void(size_t)> &observe, bool timed);
  /// Waits for the call that runs, whose outputs are there then.
  Expected<void> finish();
  /// A part of an output that was not asked for, of the call that is finished.
  Expected<void> readOutput(size_t output, int64_t offset, int64_t bytes, void *to);
  /// Seconds that each step of it took, where it was timed.
  Expected<std::vector<double>> secondsOfSteps();

private:
  /// A function called with some dims, and arenas in some places: all that is the same in the next such call.
  struct Shape;
  /// What goes with one call of a shape.
  struct InFlight {
    std::shared_ptr<Shape> shape;
    std::vector<std::pair<Arena, bool>> arenas; // and whether it writes there
    struct Result {
      void *to;
      int64_t offset, bytes; // in the call's room
    };
    std::vector<Result> results;
    std::unique_ptr<Device::Pinned> room; // of inputs and outputs, here
  };

  explicit DeviceRunner(std::unique_ptr<Device> device);
  Expected<void> makeRoom(std::span<const std::pair<Arena, bool>> arenas, int64_t callBytes, const std::string &what);
  Expected<void> makeGraph(Shape &shape);
  Expected<void> ask(const std::function<void(size_t)> &observe, bool timed);
  Expected<void> launchAll(const Shape &shape, const std::function<void(size_t)> &observe, bool timed);

  std::unique_ptr<Device> gpu;
  std::vector<std::weak_ptr<Arena::Content>> residents;
  int64_t callsBegin = 0, calls = 0;
  std::vector<std::shared_ptr<Shape>> shapes; // of late
  InFlight ready, running;
  bool isRunning = false;
};

} // namespace xf::runtime

#endif // XF_RUNTIME_DEVICERUNNER_H
