//===- Memory.h - Pages for arenas, and how many there are --------------------------===//
// Zeroed anonymous memory in huge pages where the system has them, kept for the whole run: faulting
// an arena in anew at every step costs a fifth of a training step.
//===--------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_MEMORY_H
#define XF_RUNTIME_MEMORY_H

#include "xf/Runtime/Error.h"

#include <cstdint>
#include <string>
#include <utility>

namespace xf::runtime {

class Pages {
public:
  Pages() = default;
  Pages(Pages &&other) noexcept : mapping(std::exchange(other.mapping, {})) {}
  Pages &operator=(Pages &&other) noexcept {
    std::swap(mapping, other.mapping);
    return *this;
  }
  ~Pages() { release(); }

  /// Zeroed memory of at least `bytes`, aligned to 64 bytes (huge pages from 2 MiB on).
  static Expected<Pages> allocate(int64_t bytes);

  /// Makes room for `bytes`; what was there is lost where it grows.
  Expected<void> reserve(int64_t bytes);

  char *data() const { return mapping.data; }
  template <typename T> T *as() const { return reinterpret_cast<T *>(mapping.data); }
  int64_t size() const { return mapping.bytes; }

private:
  void release();

  struct Mapping {
    char *data = nullptr; // aligned, inside [base, base + mapped)
    int64_t bytes = 0;
    void *base = nullptr;
    int64_t mapped = 0;
  } mapping;
};

/// Bytes this process can still take without swapping or being killed: the least of the machine's, the control group's
/// and the address-space limit's remainder.
int64_t availableMemory();

/// The most this process ever had in memory.
int64_t peakResidentBytes();

/// "1234.5 MiB".
std::string mebibytes(int64_t bytes);

} // namespace xf::runtime

#endif // XF_RUNTIME_MEMORY_H
