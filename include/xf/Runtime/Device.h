//===- Device.h - A GPU, through NVIDIA's driver ----------------------------------------===//
// The driver is looked for when a function is first run: an executable for a GPU starts, and says what it is, anywhere.
// Work is done in the order in which it is asked for, on one stream.
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
  /// The first GPU, if it runs what was compiled for `architecture` ("sm_80"), with all kernels loaded.
  static Expected<std::unique_ptr<Device>> open(const Program &program, std::span<const XfImage *const> images);
  ~Device();
  Device(const Device &) = delete;
  Device &operator=(const Device &) = delete;

  /// Makes room for `bytes`; what was there is lost where it grows. `what` needs them.
  Expected<void> reserve(int64_t bytes, const std::string &what);
  /// Where that memory begins: not to be read here.
  char *data() const;

  Expected<void> copyIn(char *to, const void *from, int64_t bytes);
  /// Waits.
  Expected<void> copyOut(void *to, const char *from, int64_t bytes);
  Expected<void> clear(char *to, int64_t bytes);
  /// Runs `blocks` blocks of a kernel; `parameters` point to each of its parameters.
  Expected<void> launch(int64_t kernel, int64_t blocks, void **parameters);
  /// Waits for all that was asked for.
  Expected<void> wait();

private:
  struct State;
  explicit Device(std::unique_ptr<State> state);
  std::unique_ptr<State> state;
};

} // namespace xf::runtime

#endif // XF_RUNTIME_DEVICE_H
