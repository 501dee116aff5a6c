//===- Product.cpp - a product's kernel on a GPU ---------------------------------------===//
#include "Product.h"
#include "Device.h"

#include <cmath>

using namespace xf::gpu;

std::string Product::module(const std::string &schedule) const {
  auto matrix = [](bool isDynamic, int64_t rows, int64_t columns, const std::string &element) {
    return "tensor<" + (isDynamic ? "?" : std::to_string(rows)) + "x" + std::to_string(columns) + "x" + element + ">";
  };
  std::string factor = isTF32 ? "f32" : "bf16";
  std::string a = matrix(true, 0, transposeA ? m : k, factor),
              b = isPacked ? "tensor<" + std::to_string((n + 31) / 32) + "x" + std::to_string(k) + "x32x" + factor + ">"
                  : transposeB ? matrix(false, n, k, factor)
                               : matrix(transposeA, k, n, factor),
              c = matrix(!transposeA, m, n, isNarrow ? "bf16" : "f32"), bias = "tensor<" + std::to_string(n) + "xf32>";
  std::string arguments = "%a: " + a + ", %b: " + b, types = a + ", " + b,
              operation = hasBias || isPacked ? "xf.linear %a, %b" : "xf.matmul %a, %b";
  if (hasBias) {
    arguments += ", %bias: " + bias;
    types += ", " + bias;
    operation += " bias %bias";
  } else if (hasInto) {
    arguments += ", %into: " + c;
    types += ", " + c;
    operation += " into %into";
  }
  if (!hasBias && !isPacked)
    operation += std::string(transposeA ? " transpose_a" : "") + (transposeB ? " transpose_b" : "");
  std::string body = "%0 = " + operation + " : (" + types + ") -> " + c + "\n", last = "%0";
  if (hasRelu) {
    body += "%1 = xf.relu %0 : " + c + "\n";
    last = "%1";
  }
  if (hasOther) {
    arguments += ", %other: " + c;
    body += "%2 = xf.relu_backward " + last + ", %other : " + c + "\n";
    last = "%2";
  }
  return "func.func private @product(" + arguments + ") -> (" + c + (hasInto ? " {xf.in_place = 2 : i64}" : "") +
         ") attributes {xf.kernel = #xf<kernel matmul>, xf.schedule = " + schedule + "} {\n" + body + "return " + last +
         " : " + c + "\n}\n";
}

std::string Product::run(const std::string &ptx, std::vector<float> *given) const {
  Device device;
  uint64_t a, b, bias = 0, other = 0, c;
  auto make = [&](int64_t rows, int64_t columns, uint64_t &address) {
    return device.make(rows, columns, !isTF32, address, /*isExact=*/isTF32);
  };
  std::vector<float> bs, biases, before;
  if (isPacked) { // as rows of 32 columns, a panel's k after another's; zeros beside the last
    std::vector<float> panels = make((n + 31) / 32 * k, 32, b);
    for (int64_t i = 0; i < k * n; ++i)
      bs.push_back(panels[((i % n) / 32 * k + i / n) * 32 + i % n % 32]);
  } else {
    bs = transposeB ? make(n, k, b) : make(k, n, b);
  }
  std::vector<float> as = transposeA ? make(k, m, a) : make(m, k, a); // the first rows are the same, however many
  if (hasBias)
    biases = device.make(1, n, false, bias);
  before = device.make(hasInto ? m : 0, n, isNarrow, c);
  if (!hasInto)
    c = device.allocate(m * Device::rowBytes(n, isNarrow));
  std::vector<float> others = device.make(hasOther ? m : 0, n, isNarrow, other);
  std::vector<TensorMap> known{mapOf(a, transposeA ? k : m, transposeA ? m : k, transposeA ? 64 : 128),
                               mapOf(b, transposeB ? n : k, transposeB ? k : n, transposeB ? columns : 64),
                               mapOf(c, m, n, 64, isNarrow ? 64 : 32, isNarrow)};
  if (hasInto && isNarrow)
    known.push_back(mapOf(c, m, n, 128));
  known.push_back(mapOf(other, m, n, 128));
  known.resize(maps);
  std::vector<uint64_t> parameters{a, b};
  if (hasBias)
    parameters.push_back(bias);
  if (hasInto)
    parameters.push_back(c);
  if (hasOther)
    parameters.push_back(other);
  parameters.push_back(c);
  // Of A and B; or of A, what is added to, the other matrix, and the result.
  parameters.insert(parameters.end(), 2 + (transposeA ? 0 : hasInto + hasOther), uint64_t(transposeA ? k : m));
  try {
    int64_t tiles = (m + rows - 1) / rows * ((n + columns - 1) / columns);
    device.run(ptx, blocks > 0 ? blocks : tiles, parameters, known, shared);
    std::vector<float> results = device.read(c, m, n, isNarrow);
    if (given)
      *given = results;
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
        if (hasOther && !(others[i * n + j] > 0))
          expected = 0;
        double allowed = tolerance > 0 ? tolerance : isTF32 && !isNarrow ? 2e-3 : 1e-2;
        if (float value = results[i * n + j]; !(std::abs(value - expected) <= allowed * scale))
          return "(" + std::to_string(i) + ", " + std::to_string(j) + ") is " + std::to_string(value) + ", not " +
                 std::to_string(expected);
      }
  } catch (const Fault &fault) {
    return fault.what();
  }
  return "";
}
