//===- Product.cpp - a product's kernel on the emulated GPU ------------------------------===//
#include "Product.h"
#include "Device.h"

#include <cmath>

using namespace xf::gpu;

std::string Product::run(const std::string &ptx) const {
  Device device;
  uint64_t a, b, bias = 0, c;
  std::vector<float> as = transposeA ? device.make(k, m, true, a) : device.make(m, k, true, a),
                     bs = transposeB ? device.make(n, k, true, b) : device.make(k, n, true, b), biases, before;
  if (hasBias)
    biases = device.make(1, n, false, bias);
  before = device.make(hasInto ? m : 0, n, false, c);
  if (!hasInto)
    c = device.allocate(m * Device::rowBytes(n, isNarrow));
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
    std::vector<float> results = device.read(c, m, n, isNarrow);
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
        if (float value = results[i * n + j]; !(std::abs(value - expected) <= 1e-2 * scale))
          return "(" + std::to_string(i) + ", " + std::to_string(j) + ") is " + std::to_string(value) + ", not " +
                 std::to_string(expected);
      }
  } catch (const Fault &fault) {
    return fault.what();
  }
  return "";
}
