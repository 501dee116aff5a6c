//===- Checksum.h - 64 bits that tell bytes from others -----------------------------===//
// Of files, so that a changed bit shows, and of texts and vocabularies, so that a run knows its own.
//===--------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_CHECKSUM_H
#define XF_RUNTIME_CHECKSUM_H

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fmt/format.h>
#include <span>
#include <string>
#include <string_view>

namespace xf::runtime {

/// Four independent lanes of multiply and rotate over 64-bit words: as fast as memory, and any flipped bit shows. Where
/// a part ends counts too.
class Checksum {
public:
  void add(std::string_view part) {
    add(part, [](std::string_view) {});
  }
  /// `done` is called with stretches of the part that have been read.
  template <typename Done> void add(std::string_view part, Done done) {
    constexpr size_t stretch = size_t(4) << 20;
    const char *data = part.data();
    size_t bytes = part.size(), i = 0;
    while (i + 32 <= bytes) {
      size_t begin = i, end = i + std::min(bytes - i, stretch) / 32 * 32;
      for (; i < end; i += 32)
        for (int lane = 0; lane < 4; ++lane)
          mix(lane, word(data + i + 8 * lane, 8));
      done(part.substr(begin, end - begin));
    }
    for (; i < bytes; i += 8)
      mix(0, word(data + i, std::min<size_t>(8, bytes - i)));
    mix(1, bytes);
  }
  template <typename T> void add(std::span<const T> values) {
    add(std::string_view(reinterpret_cast<const char *>(values.data()), values.size_bytes()));
  }
  std::string text() const {
    uint64_t sum = 0;
    for (uint64_t lane : lanes)
      sum = (sum ^ lane ^ (lane >> 31)) * 0x9e3779b97f4a7c15u;
    return fmt::format("{:016x}", sum ^ (sum >> 29));
  }

private:
  static uint64_t word(const char *data, size_t bytes) {
    uint64_t value = 0;
    std::memcpy(&value, data, bytes);
    return value;
  }
  void mix(int lane, uint64_t value) {
    uint64_t mixed = (lanes[lane] ^ value) * 0xd6e8feb86659fd93u;
    lanes[lane] = (mixed << 29) | (mixed >> 35);
  }
  uint64_t lanes[4] = {0x243f6a8885a308d3u, 0x13198a2e03707344u, 0xa4093822299f31d0u, 0x082efa98ec4e6c89u};
};

} // namespace xf::runtime

#endif // XF_RUNTIME_CHECKSUM_H
