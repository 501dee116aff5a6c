//===- Memory.h - Pages for arenas, and how many there are --------------------------===//
// Zeroed anonymous memory in huge pages where the system has them, kept for the whole run: faulting
// an arena in anew at every step costs a fifth of a training step.
//===--------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_MEMORY_H
#define XF_RUNTIME_MEMORY_H

#include "xf/Runtime/Error.h"

#include <cstdint>
#include <string>
#include <string_view>
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

  /// Takes small pages from now on, of which parts here and there can be there alone.
  void takeSmallPages();
  /// Gives back the whole pages inside a part that nothing may touch any more.
  void drop(int64_t offset, int64_t bytes);

  char *data() const { return mapping.data; }
  template <typename T> T *as() const { return reinterpret_cast<T *>(mapping.data); }
  int64_t size() const { return mapping.bytes; }

private:
  void release();

  struct Mapping {
    char *data = nullptr;
    int64_t bytes = 0, mapped = 0; // mapped: in whole pages
  } mapping;
};

/// Bytes this process can still take without swapping or being killed: the least of the machine's, the control group's
/// and the address-space limit's remainder.
int64_t availableMemory();

/// The most this process ever had in memory.
int64_t peakResidentBytes();

/// "1234.5 MiB"; from ten of the next unit on "12.34 GiB" or "12.34 TiB".
std::string formatBytes(int64_t bytes);

/// "2GiB", "512M", "1.5G" or plain bytes: K, M, G and T are powers of 1024, and of 1000 where a B follows them (KB, as
/// in GNU's tools).
Expected<int64_t> parseBytes(std::string_view text);

} // namespace xf::runtime

#endif // XF_RUNTIME_MEMORY_H
