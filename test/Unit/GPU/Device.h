//===- Device.h - the GPU that tests of kernels run on ------------------------------------===//
// The emulated one; or with XF_TEST_GPU (`tools/dev test --gpu`) this machine's, through xf's own runtime.
//===--------------------------------------------------------------------------------===//
#ifndef XF_TEST_UNIT_GPU_DEVICE_H
#define XF_TEST_UNIT_GPU_DEVICE_H

#include "Emulator.h"

#include <cstring>

namespace xf::gpu {
inline uint16_t toBfloat(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
inline float ofBfloat(uint16_t half) {
  uint32_t bits = uint32_t(half) << 16;
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

struct Device {
  Memory memory;
  uint32_t state = 1;
  float random() {
    state = state * 1664525u + 1013904223u;
    return float(int(state >> 9) % 2048 - 1024) / 1024;
  }
  /// Room for `bytes`, and a few more: an address is needed where there are none.
  uint64_t allocate(int64_t bytes) { return memory.allocate(uint64_t(bytes) + 16); }
  template <typename T> uint64_t put(const std::vector<T> &values) {
    uint64_t bytes = values.size() * sizeof(T), address = allocate(int64_t(bytes));
    if (bytes > 0) {
      Region &region = memory.find(address, bytes, "test");
      std::memcpy(region.at(address), values.data(), bytes);
      region.setWritten(address, bytes);
    }
    return address;
  }
  /// From row to row: those of bf16 begin at multiples of 16 bytes.
  static int64_t rowBytes(int64_t columns, bool isNarrow) {
    return isNarrow ? (columns * 2 + 15) / 16 * 16 : columns * 4;
  }
  /// rows x columns random numbers that bf16 can hold, or (isExact) just f32, as they are in memory. What is between
  /// rows is never written.
  std::vector<float> make(int64_t rows, int64_t columns, bool isNarrow, uint64_t &address, bool isExact = false) {
    std::vector<float> values(rows * columns);
    uint64_t width = isNarrow ? 2 : 4;
    address = allocate(rows * rowBytes(columns, isNarrow));
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t column = 0; column < columns; ++column) {
        uint16_t half = toBfloat(random());
        float &value = values[row * columns + column] = ofBfloat(half);
        if (isExact)
          value = (random() + random() / 1024) / 2;
        uint64_t place = address + uint64_t(row * rowBytes(columns, isNarrow)) + uint64_t(column) * width;
        Region &region = memory.find(place, width, "test");
        isNarrow ? std::memcpy(region.at(place), &half, 2) : std::memcpy(region.at(place), &value, 4);
        region.setWritten(place, width);
      }
    return values;
  }
  /// Numbers of a result; or a Fault, where one of them was not written.
  std::vector<float> read(uint64_t address, int64_t rows, int64_t columns, bool isNarrow) {
    std::vector<float> values;
    uint64_t width = isNarrow ? 2 : 4;
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t column = 0; column < columns; ++column) {
        uint64_t place = address + uint64_t(row * rowBytes(columns, isNarrow)) + uint64_t(column) * width;
        Region &region = memory.find(place, width, "result");
        for (uint64_t word = 0; word < width / Region::unit; ++word)
          if (!region.words[(place - region.address) / Region::unit + word].written)
            throw Fault("(" + std::to_string(row) + ", " + std::to_string(column) + ") of a result is not written");
        uint16_t half;
        float value;
        isNarrow ? std::memcpy(&half, region.at(place), 2) : std::memcpy(&value, region.at(place), 4);
        values.push_back(isNarrow ? ofBfloat(half) : value);
      }
    return values;
  }

  /// Runs the PTX's kernel to its end: addresses and numbers, then tensor maps, are its parameters. What is wrong is a
  /// Fault.
  void run(const std::string &ptx, int64_t blocks, std::vector<uint64_t> parameters, const std::vector<TensorMap> &maps,
           int64_t shared);
};

inline TensorMap mapOf(uint64_t address, int64_t rows, int64_t columns, int64_t boxRows, int64_t boxColumns = 64,
                       bool isNarrow = true) {
  return {TensorMap::known, uint32_t(boxColumns), uint32_t(boxRows), isNarrow ? 2u : 4u,
          address,          uint64_t(columns),    uint64_t(rows),    uint64_t(Device::rowBytes(columns, isNarrow))};
}
} // namespace xf::gpu

#endif // XF_TEST_UNIT_GPU_DEVICE_H
