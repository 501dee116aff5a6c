//===- Product.cpp - a product's kernel on the emulated GPU ------------------------------===//
#include "Product.h"
#include "Emulator.h"

#include <cmath>
#include <cstring>

using namespace xf::gpu;

namespace {
uint16_t toBfloat(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
float ofBfloat(uint16_t half) {
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
  /// count numbers, as they are in memory, which is there for one more: an address is needed where there are none.
  std::vector<float> make(int64_t count, bool isNarrow, uint64_t &address) {
    std::vector<float> values(count);
    size_t width = isNarrow ? 2 : 4;
    address = memory.allocate(count * width + 16);
    for (int64_t i = 0; i < count; ++i) {
      uint16_t half = toBfloat(random());
      values[i] = ofBfloat(half);
      Region &region = memory.find(address + i * width, width, "test");
      isNarrow ? std::memcpy(region.at(address + i * width), &half, 2)
               : std::memcpy(region.at(address + i * width), &values[i], 4);
    }
    if (count > 0)
      memory.find(address, count * width, "test").setWritten(address, count * width);
    return values;
  }
};

TensorMap mapOf(uint64_t address, int64_t rows, int64_t columns, int64_t boxRows) {
  return {TensorMap::known,     64, uint32_t(boxRows), 2, address, uint64_t(columns), uint64_t(rows),
          uint64_t(columns) * 2};
}
} // namespace

std::string Product::run(const std::string &ptx) const {
  Device device;
  uint64_t a, b, bias = 0, c;
  std::vector<float> as = device.make(m * k, true, a), bs = device.make(k * n, true, b), biases, before;
  if (hasBias)
    biases = device.make(n, false, bias);
  before = device.make(hasInto ? m * n : 0, false, c);
  if (!hasInto)
    c = device.memory.allocate(m * n * 4 + 16);
  TensorMap maps[] = {mapOf(a, transposeA ? k : m, transposeA ? m : k, transposeA ? 64 : 128),
                      mapOf(b, transposeB ? n : k, transposeB ? k : n, transposeB ? columns : 64), mapOf(c, m, n, 64)};
  std::vector<uint64_t> parameters{a, b};
  if (hasBias)
    parameters.push_back(bias);
  if (hasInto)
    parameters.push_back(c);
  parameters.push_back(c);
  for (int64_t dim : {transposeA ? k : m, transposeA ? k : m}) // A's and B's, or A's and the result's
    parameters.push_back(uint64_t(dim));
  for (int i = 0; i < (mapsResult ? 3 : 2); ++i)
    parameters.push_back(reinterpret_cast<uint64_t>(&maps[i]));
  try {
    Kernel kernel = parse(ptx, device.memory);
    launch(kernel, uint32_t(blocks), 384, parameters, device.memory, shared);
    size_t width = isNarrow ? 2 : 4;
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < n; ++j) {
        double expected = hasBias ? biases[j] : hasInto ? before[i * n + j] : 0, scale = std::abs(expected);
        for (int64_t l = 0; l < k; ++l) {
          double term = double(as[transposeA ? l * m + i : i * k + l]) * bs[transposeB ? j * k + l : l * n + j];
          expected += term;
          scale += std::abs(term);
        }
        if (hasRelu)
          expected = std::max(expected, 0.0);
        uint64_t at = c + (i * n + j) * width;
        Region &region = device.memory.find(at, width, "result");
        if (!region.words[(at - region.address) / 4].written)
          return "(" + std::to_string(i) + ", " + std::to_string(j) + ") is not written";
        float value;
        uint16_t half;
        std::memcpy(&half, region.at(at), 2);
        isNarrow ? void(value = ofBfloat(half)) : void(std::memcpy(&value, region.at(at), 4));
        if (!(std::abs(value - expected) <= 1e-2 * scale))
          return "(" + std::to_string(i) + ", " + std::to_string(j) + ") is " + std::to_string(value) + ", not " +
                 std::to_string(expected);
      }
  } catch (const Fault &fault) {
    return fault.what();
  }
  return "";
}
