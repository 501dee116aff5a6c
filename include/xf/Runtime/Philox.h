//===- Philox.h - Counter-based random numbers ---------------------------------------===//
// Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011): four words for a
// counter and a key, with no state. Initial values, dropout and sampling all draw from it.
//===--------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_PHILOX_H
#define XF_RUNTIME_PHILOX_H

#include <array>
#include <cstdint>

namespace xf::runtime {

constexpr std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    uint64_t product0 = uint64_t(0xD2511F53u) * counter[0], product1 = uint64_t(0xCD9E8D57u) * counter[2];
    counter = {uint32_t(product1 >> 32) ^ counter[1] ^ key[0], uint32_t(product1),
               uint32_t(product0 >> 32) ^ counter[3] ^ key[1], uint32_t(product0)};
    key = {key[0] + 0x9E3779B9u, key[1] + 0xBB67AE85u}; // the golden ratio and sqrt(3) - 1
  }
  return counter;
}

} // namespace xf::runtime

#endif // XF_RUNTIME_PHILOX_H
