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
  /// rows x columns numbers, as they are in memory, which is there for some more: an address is needed where there are
  /// none. What is between rows is never written.
  std::vector<float> make(int64_t rows, int64_t columns, bool isNarrow, uint64_t &address) {
    std::vector<float> values(rows * columns);
    size_t width = isNarrow ? 2 : 4;
    address = memory.allocate(rows * rowBytes(columns, isNarrow) + 16);
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t column = 0; column < columns; ++column) {
        uint16_t half = toBfloat(random());
        float &value = values[row * columns + column] = ofBfloat(half);
        uint64_t place = address + row * rowBytes(columns, isNarrow) + column * width;
        Region &region = memory.find(place, width, "test");
        isNarrow ? std::memcpy(region.at(place), &half, 2) : std::memcpy(region.at(place), &value, 4);
        region.setWritten(place, width);
      }
    return values;
  }

  /// From row to row: those of bf16 begin at multiples of 16 bytes.
  static int64_t rowBytes(int64_t columns, bool isNarrow) {
    return isNarrow ? (columns * 2 + 15) / 16 * 16 : columns * 4;
  }
};

TensorMap mapOf(uint64_t address, int64_t rows, int64_t columns, int64_t boxRows) {
  return {TensorMap::known,  64,
          uint32_t(boxRows), 2,
          address,           uint64_t(columns),
          uint64_t(rows),    uint64_t(Device::rowBytes(columns, true))};
}
} // namespace

std::string Product::run(const std::string &ptx) const {
  Device device;
  uint64_t a, b, bias = 0, c;
  std::vector<float> as = transposeA ? device.make(k, m, true, a) : device.make(m, k, true, a),
                     bs = transposeB ? device.make(n, k, true, b) : device.make(k, n, true, b), biases, before;
  if (hasBias)
    biases = device.make(1, n, false, bias);
  before = device.make(hasInto ? m : 0, n, false, c);
  if (!hasInto)
    c = device.memory.allocate(m * Device::rowBytes(n, isNarrow) + 16);
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
        uint64_t at = c + i * Device::rowBytes(n, isNarrow) + j * width;
        Region &region = device.memory.find(at, width, "result");
        if (!region.words[(at - region.address) / Region::unit].written)
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
