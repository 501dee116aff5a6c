//===- Attention.cpp - attention's kernels on a GPU ------------------------------------===//
#include "Attention.h"
#include "Device.h"
#include "xf/Runtime/Philox.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

using namespace xf::gpu;

namespace {
struct Matrix {
  int64_t rows, columns, heads;
  std::vector<float> values;
  uint64_t address;
};

/// A batch on the device, and attention over it in double precision.
struct Batch {
  const Attention &a;
  Device device;
  std::vector<int32_t> queryOffsets{0}, keyOffsets{0};
  Matrix query, key, value, cotangent;
  uint64_t queryOffsetsAt, keyOffsetsAt, lengthsAt, randomAt;
  // Of (query row, head): log_sum_exp and outputs, and what a sum of as many terms may be off by.
  std::vector<double> sums, outputs, magnitudes;
  int64_t outputColumns;

  explicit Batch(const Attention &a) : a(a), outputColumns(a.heads * a.valueFeatures) {
    for (auto [counts, offsets] : {std::pair(&a.queryCounts, &queryOffsets), {&a.keyCounts, &keyOffsets}})
      for (int64_t count : *counts)
        offsets->push_back(offsets->back() + int32_t(count));
    queryOffsetsAt = device.put(queryOffsets), keyOffsetsAt = device.put(keyOffsets);
    lengthsAt = device.put(a.lengths);
    randomAt = device.put(std::vector<int64_t>{a.seed, a.step});
    int64_t keyHeads = a.heads / a.sharers;
    query = make(queryOffsets, a.heads, a.features, a.noQueries);
    key = make(keyOffsets, keyHeads, a.features, a.noKeys);
    value = make(keyOffsets, keyHeads, a.valueFeatures, a.noKeys);
    cotangent = make(queryOffsets, a.heads, a.valueFeatures, a.noQueries);
    attend();
  }

  /// The same numbers for a sequence wherever it stands. Of rows without numbers our own are zeros.
  Matrix make(const std::vector<int32_t> &offsets, int64_t heads, int64_t features, std::array<int64_t, 2> without) {
    Matrix matrix{offsets.back(), heads * features, heads, {}, 0};
    std::vector<uint16_t> halves;
    for (size_t s = 0; s + 1 < offsets.size(); ++s) {
      device.state = uint32_t(features + offsets[s + 1] - offsets[s]);
      for (int64_t i = 0; i < (offsets[s + 1] - offsets[s]) * matrix.columns; ++i) {
        halves.push_back(toBfloat(device.random()));
        matrix.values.push_back(ofBfloat(halves.back()));
      }
    }
    constexpr uint16_t noNumber = 0x7fc0;
    for (int64_t i = without[0] * matrix.columns; i < without[1] * matrix.columns; ++i)
      halves[i] = noNumber, matrix.values[i] = 0;
    matrix.address = device.put(halves);
    return matrix;
  }

  double dot(const Matrix &x, int64_t row, const Matrix &y, int64_t otherRow, int64_t head) const {
    int64_t features = x.columns / x.heads;
    const float *ofX = &x.values[row * x.columns + firstOf(x, head)],
                *ofY = &y.values[otherRow * y.columns + firstOf(y, head)];
    double sum = 0;
    for (int64_t c = 0; c < features; ++c)
      sum += double(ofX[c]) * ofY[c];
    return sum;
  }
  /// The first column that a head of the queries has there.
  int64_t firstOf(const Matrix &matrix, int64_t head) const {
    return head / (a.heads / matrix.heads) * (matrix.columns / matrix.heads);
  }

  /// body(row, head, key row) of all pairs that see each other.
  void forPairs(const std::function<void(int64_t, int64_t, int64_t)> &body) const {
    for (size_t s = 0; s + 1 < queryOffsets.size(); ++s) {
      int64_t queries = queryOffsets[s + 1] - queryOffsets[s], keys = keyOffsets[s + 1] - keyOffsets[s];
      for (int64_t i = 0; i < queries; ++i)
        for (int64_t head = 0; head < a.heads; ++head)
          for (int64_t j = 0; j < keys; ++j)
            if (int64_t distance = j - (i + keys - queries), row = queryOffsets[s] + i;
                (!a.causal || distance <= 0) && (a.window < 0 || std::abs(distance) <= a.window) &&
                (a.lengths.empty() || j < a.lengths[row]) &&
                (a.left != Attention::Window || std::abs(distance) <= 40) &&
                (a.left != Attention::Causal || distance <= 0) && (a.left != Attention::Blocks || j / 128 % 2 == 0))
              body(row, head, keyOffsets[s] + j);
    }
  }
  double product(int64_t row, int64_t head, int64_t keyRow) const {
    return a.scale * dot(query, row, key, keyRow, head);
  }
  /// What an uneven region multiplies it by.
  double unevenness(int64_t row, int64_t keyRow) const {
    auto end = std::ranges::upper_bound(queryOffsets, row) - queryOffsets.begin(); // of the sequence
    int64_t firstKey = keyOffsets[end - 1];
    double query = double(row - queryOffsets[end] + keyOffsets[end] - firstKey), key = double(keyRow - firstKey);
    return 1 + 1 / (query + 1) + 1 / (key + 1);
  }
  double score(int64_t row, int64_t head, int64_t keyRow) const {
    double x = product(row, head, keyRow);
    if (a.isUneven)
      return x * unevenness(row, keyRow);
    if (a.isOfHead) {
      auto firstKey = *std::prev(std::ranges::upper_bound(keyOffsets, keyRow));
      return x + double(head * (keyRow - firstKey)) / 100;
    }
    if (!a.hasRegion)
      return x;
    size_t s = size_t(std::ranges::upper_bound(queryOffsets, row) - queryOffsets.begin());
    return 4 * std::tanh(x / 4) + double(keyOffsets[s] - keyRow - (queryOffsets[s] - row)) * -0.05;
  }
  double derivative(int64_t row, int64_t head, int64_t keyRow) const {
    if (a.isUneven)
      return unevenness(row, keyRow);
    double t = std::tanh(product(row, head, keyRow) / 4);
    return a.hasRegion ? 1 - t * t : 1;
  }
  /// What dropout makes of a probability: docs/Program.md has its counters.
  double kept(double p, int64_t row, int64_t head, int64_t keyRow) const {
    if (a.rate == 0)
      return p;
    auto j = uint32_t(keyRow - *std::prev(std::ranges::upper_bound(keyOffsets, keyRow)));
    std::array<uint32_t, 4> words =
        xf::runtime::philox({uint32_t(a.step), uint32_t(a.site), uint32_t(row * a.heads + head), j / 64 * 16 + j % 16},
                            {uint32_t(a.seed), uint32_t(a.seed >> 32)});
    return words[j % 64 / 16] >= a.rate * 4294967296.0 ? p / (1 - a.rate) : 0;
  }
  double probability(int64_t row, int64_t head, int64_t keyRow) const {
    return std::exp(score(row, head, keyRow) - sums[row * a.heads + head]);
  }

  void attend() {
    sums.assign(query.rows * a.heads, 0);
    forPairs([&](int64_t row, int64_t head, int64_t keyRow) {
      sums[row * a.heads + head] += std::exp(score(row, head, keyRow));
    });
    for (double &sum : sums) // of a query that sees no key +inf
      sum = sum > 0 ? std::log(sum) : std::numeric_limits<double>::infinity();
    outputs.assign(query.rows * outputColumns, 0);
    magnitudes = outputs;
    forPairs([&](int64_t row, int64_t head, int64_t keyRow) {
      double p = kept(probability(row, head, keyRow), row, head, keyRow);
      int64_t output = row * outputColumns + head * a.valueFeatures;
      for (int64_t c = 0; c < a.valueFeatures; ++c) {
        double term = p * value.values[keyRow * value.columns + firstOf(value, head) + c];
        outputs[output + c] += term;
        magnitudes[output + c] += std::abs(term);
      }
    });
  }

  /// An argument of a kernel: an array of dynamically or statically many rows, or a number.
  struct Argument {
    uint64_t value;
    int64_t rows, columns;
    enum { Dynamic, Static, Number } kind = Dynamic;
  };
  /// Those that all kernels have after their matrices.
  void addCommon(std::vector<Argument> &arguments) const {
    for (uint64_t offsets : {queryOffsetsAt, keyOffsetsAt})
      arguments.push_back({offsets, int64_t(queryOffsets.size()), 1});
    if (!a.lengths.empty())
      arguments.push_back({lengthsAt, queryOffsets.back(), 1});
    if (a.rate > 0) {
      arguments.push_back({randomAt, 2, 1, Argument::Static});
      arguments.push_back({uint64_t(a.site), 1, 1, Argument::Number});
    }
  }
  void run(const std::string &ptx, std::vector<Argument> arguments, int64_t blocks) {
    auto sumOf = [&](const std::vector<std::array<int64_t, 3>> &terms) {
      int64_t sum = 0;
      for (auto [operand, dimension, factor] : terms)
        sum += factor * (operand < 0 ? 1 : dimension == 0 ? arguments[operand].rows : arguments[operand].columns);
      return sum;
    };
    if (!a.gridSum.empty())
      blocks = (sumOf(a.gridSum) + 127) / 128;
    if (int64_t elements = sumOf(a.workspace))
      arguments.push_back({device.allocate(elements * 4), elements, 1});
    std::vector<TensorMap> maps;
    for (auto [operand, rows, boxColumns] : a.maps)
      maps.push_back(mapOf(arguments[operand].value, std::max<int64_t>(arguments[operand].rows, 1),
                           arguments[operand].columns, rows, boxColumns));
    std::vector<uint64_t> parameters;
    for (const Argument &argument : arguments)
      if (argument.kind != Argument::Number)
        parameters.push_back(argument.value);
    for (const Argument &argument : arguments)
      if (argument.kind == Argument::Dynamic)
        parameters.push_back(uint64_t(argument.rows));
    for (const Argument &argument : arguments)
      if (argument.kind == Argument::Number)
        parameters.push_back(argument.value);
    device.run(ptx, blocks, parameters, maps, a.shared);
  }
};

Attention::Result resultOf(const std::vector<float> &values, const std::vector<int32_t> &offsets, int64_t columns) {
  Attention::Result result;
  for (float value : values)
    result.bits.push_back(toBfloat(value));
  for (int32_t offset : offsets)
    result.firstOf.push_back(offset * columns);
  return result;
}

std::string compare(const char *name, const std::vector<float> &values, const std::vector<double> &expected,
                    const std::vector<double> &magnitudes, int64_t columns, double tolerance) {
  for (size_t i = 0; i < values.size(); ++i)
    if (!(values[i] == expected[i] || std::abs(values[i] - expected[i]) <= tolerance * magnitudes[i]))
      return std::string(name) + " (" + std::to_string(i / columns) + ", " + std::to_string(i % columns) + ") is " +
             std::to_string(values[i]) + ", not " + std::to_string(expected[i]);
  return "";
}
} // namespace

std::string Attention::forward(const std::string &ptx) {
  Batch batch(*this);
  int64_t rows = batch.query.rows, keyRows = batch.key.rows;
  uint64_t result = batch.device.allocate(rows * batch.outputColumns * 2),
           sums = batch.device.allocate(rows * heads * 4);
  try {
    std::vector<Batch::Argument> arguments{{batch.query.address, rows, batch.query.columns},
                                           {batch.key.address, keyRows, batch.key.columns},
                                           {batch.value.address, keyRows, batch.value.columns}};
    batch.addCommon(arguments);
    arguments.push_back({result, rows, batch.outputColumns});
    arguments.push_back({sums, rows, heads});
    batch.run(ptx, arguments, (rows + blockRows - 1) / blockRows * heads);
    std::vector<float> outputs = batch.device.read(result, rows, batch.outputColumns, true);
    results = {resultOf(outputs, batch.queryOffsets, batch.outputColumns)};
    std::string wrong = compare("result", outputs, batch.outputs, batch.magnitudes, batch.outputColumns, 1e-2);
    std::vector<double> one(rows * heads, 1);
    return !wrong.empty()
               ? wrong
               : compare("log_sum_exp", batch.device.read(sums, rows, heads, false), batch.sums, one, heads, 1e-4);
  } catch (const Fault &fault) {
    return fault.what();
  }
}

std::string Attention::backward(const std::string &ptx) {
  Batch batch(*this);
  int64_t rows = batch.query.rows, keyRows = batch.key.rows;
  // What the forward has left: rounded results, and log_sum_exp.
  Matrix forward{rows, batch.outputColumns, heads, {}, 0};
  std::vector<uint16_t> halves;
  for (double output : batch.outputs)
    halves.push_back(toBfloat(float(output))), forward.values.push_back(ofBfloat(halves.back()));
  forward.address = batch.device.put(halves);
  uint64_t sums = batch.device.put(std::vector<float>(batch.sums.begin(), batch.sums.end()));

  std::vector<double> corrections(rows * heads);
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t head = 0; head < heads; ++head)
      corrections[row * heads + head] = batch.dot(batch.cotangent, row, forward, row, head);
  struct Gradient {
    const char *name;
    const Matrix &of;
    uint64_t address;
    std::vector<double> expected, magnitudes;
    /// A row of x, with a factor, for the head.
    void add(const Batch &batch, int64_t row, int64_t head, double factor, const Matrix &x, int64_t xRow, double size) {
      int64_t to = row * of.columns + batch.firstOf(of, head), from = xRow * x.columns + batch.firstOf(x, head);
      for (int64_t c = 0; c < x.columns / x.heads; ++c) {
        double other = x.values[from + c];
        expected[to + c] += factor * other;
        magnitudes[to + c] += size * std::abs(other);
      }
    }
  };
  auto gradientOf = [&](const char *name, const Matrix &of) {
    std::vector<double> zeros(of.values.size());
    return Gradient{name, of, batch.device.allocate(int64_t(of.values.size()) * 2), zeros, zeros};
  };
  Gradient gradients[] = {gradientOf("query's gradient", batch.query), gradientOf("key's gradient", batch.key),
                          gradientOf("value's gradient", batch.value)};
  batch.forPairs([&](int64_t row, int64_t head, int64_t keyRow) {
    double p = batch.probability(row, head, keyRow), correction = corrections[row * heads + head];
    double dP = batch.kept(batch.dot(batch.cotangent, row, batch.value, keyRow, head), row, head, keyRow);
    double factor = scale * p * batch.derivative(row, head, keyRow);
    double dS = factor * (dP - correction), size = factor * (std::abs(dP) + std::abs(correction));
    gradients[0].add(batch, row, head, dS, batch.key, keyRow, size);
    gradients[1].add(batch, keyRow, head, dS, batch.query, row, size);
    double kept = batch.kept(p, row, head, keyRow);
    gradients[2].add(batch, keyRow, head, kept, batch.cotangent, row, kept);
  });
  try {
    std::vector<Batch::Argument> arguments{{batch.cotangent.address, rows, batch.cotangent.columns},
                                           {batch.query.address, rows, batch.query.columns},
                                           {batch.key.address, keyRows, batch.key.columns},
                                           {batch.value.address, keyRows, batch.value.columns},
                                           {forward.address, rows, forward.columns},
                                           {sums, rows, heads}};
    batch.addCommon(arguments);
    for (const Gradient &gradient : gradients)
      arguments.push_back({gradient.address, gradient.of.rows, gradient.of.columns});
    batch.run(ptx, arguments, (rows + blockRows) / blockRows * heads);
    results.clear();
    for (const Gradient &gradient : gradients) {
      std::vector<float> values = batch.device.read(gradient.address, gradient.of.rows, gradient.of.columns, true);
      results.push_back(
          resultOf(values, &gradient.of == &batch.query ? batch.queryOffsets : batch.keyOffsets, gradient.of.columns));
      std::string wrong =
          compare(gradient.name, values, gradient.expected, gradient.magnitudes, gradient.of.columns, 1e-2);
      if (!wrong.empty())
        return wrong;
    }
  } catch (const Fault &fault) {
    return fault.what();
  }
  return "";
}
