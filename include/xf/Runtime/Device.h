//===- Device.h - A GPU, through NVIDIA's driver ----------------------------------------===//
// The driver is looked for when a function is first run: an executable for a GPU starts, and says what it is, anywhere.
// Work is done in the order in which it is asked for, on one stream; nobody waits for it but those who say so. Any
// thread may ask, one at a time, whatever context of the driver it has current: the GPU's primary one is, while it
// asks.
//===--------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_DEVICE_H
#define XF_RUNTIME_DEVICE_H

#include "xf/Runtime/Program.h"

#include <memory>

/// A kernel for GPUs: assembly that any driver translates for a GPU that is as new, and where the compiler had an
/// assembler, machine code for GPUs of one kind. docs/Program.md.
struct XfImage {
  const char *ptx;
  int64_t ptxSize;
  const void *code;
  int64_t codeSize;
};

namespace xf::runtime {

class Device {
public:
  /// The first GPU, if it runs what the program was compiled for, with all kernels loaded.
  static Expected<std::unique_ptr<Device>> open(const Program &program, std::span<const XfImage *const> images);
  ~Device();
  Device(const Device &) = delete;
  Device &operator=(const Device &) = delete;

  /// What it is, and what it can do in a second, by its clocks.
  struct Facts {
    std::string name, architecture; // "NVIDIA H100", "sm_90"
    int64_t memory = 0;             // bytes
    double flops = 0, tensorFlops = 0, bytes = 0;
  };
  const Facts &facts() const;
  /// The first GPU's, whatever runs on it.
  static Expected<Facts> find();
  /// Bytes that may be allocated, and those that are.
  Expected<int64_t> availableMemory() const;

  /// Makes room for `bytes`; what was there is lost. `what` needs them.
  Expected<void> reserve(int64_t bytes, const std::string &what);
  int64_t size() const;
  /// Sets the bytes that are allowed in all, what kernels bring included; 0: what there is.
  void allow(int64_t bytes);
  /// Where that memory begins: not to be read here.
  char *data() const;

  /// Memory here that a GPU copies from and to by itself.
  class Pinned {
  public:
    explicit Pinned(Device &device) : device(device) {}
    ~Pinned();
    Pinned(const Pinned &) = delete;
    /// What was there is lost where it grows; no copy may be under way.
    Expected<void> reserve(int64_t bytes);
    char *data() const { return begin; }

  private:
    Device &device;
    char *begin = nullptr;
    int64_t bytes = 0;
  };

  /// Copies that are done, as all that was asked for before them is, when these return.
  Expected<void> copyIn(char *to, const void *from, int64_t bytes);
  Expected<void> copyOut(void *to, const char *from, int64_t bytes);
  /// Copies from the beginning of pinned memory, and to some place in it, that are done some time until `wait`.
  Expected<void> copyIn(char *to, const Pinned &from, int64_t bytes);
  Expected<void> copyOut(const Pinned &to, int64_t offset, const char *from, int64_t bytes);
  Expected<void> clear(char *to, int64_t bytes);
  /// A kernel's parameter by which its copy engine finds boxes of a matrix.
  struct TensorMap {
    alignas(64) unsigned char bits[128];
  };
  /// Those of a kernel whose operands are at `pointers`, with these dynamic extents.
  Expected<std::vector<TensorMap>> makeMaps(int64_t kernel, void *const *pointers, const int64_t *dims) const;

  /// Runs a kernel for `tiles` tiles; `parameters` point to each of its parameters, which are read at once.
  Expected<void> launch(int64_t kernel, int64_t tiles, void *const *parameters);
  /// Waits for all that was asked for.
  Expected<void> wait();

  /// Launches to be asked for together.
  class Graph {
  public:
    Graph() = default;
    Graph(Graph &&other) noexcept : device(other.device), handle(std::exchange(other.handle, nullptr)) {}
    Graph &operator=(Graph &&other) noexcept {
      std::swap(device, other.device);
      std::swap(handle, other.handle);
      return *this;
    }
    ~Graph();
    explicit operator bool() const { return handle; }

  private:
    friend class Device;
    Device *device = nullptr;
    void *handle = nullptr;
  };
  /// A launch of a graph, and which of those before it it comes after.
  struct Node {
    int64_t kernel, tiles;
    void *const *parameters;
    std::vector<size_t> after;
  };
  /// No graph where the GPU has no memory left for one.
  Expected<Graph> makeGraph(std::span<const Node> nodes);
  /// Whether it had memory for this; if not, nothing was launched.
  Expected<bool> launch(const Graph &graph);
  /// Whether a kernel has memory of its own, so that two launches of it must not run at the same time.
  bool isSingle(int64_t kernel) const;

  /// Notes the time when the work asked for so far is done, as number `index`.
  Expected<void> mark(size_t index);
  /// Seconds between each of the first `count` marks and the one after it; waits for them.
  Expected<std::vector<double>> secondsBetween(size_t count);

private:
  struct State;
  explicit Device(std::unique_ptr<State> state);
  std::unique_ptr<State> state;
};

} // namespace xf::runtime

#endif // XF_RUNTIME_DEVICE_H
