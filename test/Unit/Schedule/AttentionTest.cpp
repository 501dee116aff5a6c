//===- AttentionTest.cpp - attention kernels against doubles --------------------===//
// Batches with empty sequences, queries without keys, blocks of queries and keys that are full, begun, and crossed.
//===----------------------------------------------------------------------------===//
#include "Compiled.h"
#include <cmath>
#include <fmt/format.h>

using namespace mlir::xf::test;

namespace {
struct Shape {
  int64_t heads, keyFeatures, valueFeatures; // of one head
  bool causal;
  double rate;
  int64_t window = -1; // or none
  bool lengths = false;
};

std::string windowOf(const Shape &shape) { return shape.window < 0 ? "" : fmt::format(" window({})", shape.window); }
std::string masksOf(const Shape &shape) {
  return (shape.causal ? " causal" : "") + windowOf(shape) + (shape.lengths ? " lengths(%n)" : "");
}

std::string attributesOf(const Shape &shape) {
  return fmt::format("offsets(%qo, %ko) heads({}) scale({:.7f}){}{}", shape.heads,
                     1 / std::sqrt(double(shape.keyFeatures)), masksOf(shape),
                     shape.rate > 0 ? fmt::format(" dropout({}, %random, %site)", shape.rate) : "");
}

std::string moduleOf(const Shape &shape) {
  std::string attributes = attributesOf(shape), lengths = shape.lengths ? ", tensor<?xi32>" : "",
              more = lengths + (shape.rate > 0 ? ", tensor<2xi64>, i64" : "");
  std::string k = fmt::format("tensor<?x{}xf32>", shape.heads * shape.keyFeatures),
              v = fmt::format("tensor<?x{}xf32>", shape.heads * shape.valueFeatures),
              lse = fmt::format("tensor<?x{}xf32>", shape.heads);
  return fmt::format(R"(
func.func @attention(%q: {0} {{xf.name = "q", xf.dims = ["queries"]}}, %k: {0} {{xf.name = "k", xf.dims = ["keys"]}}, %v: {1} {{xf.name = "v", xf.dims = ["keys"]}},
    %qo: tensor<?xi32> {{xf.name = "qo", xf.dims = ["sequences_plus_1"]}}, %ko: tensor<?xi32> {{xf.name = "ko", xf.dims = ["sequences_plus_1"]}},
    %n: tensor<?xi32> {{xf.name = "n", xf.dims = ["queries"]}}, %random: tensor<2xi64> {{xf.name = "random"}}) -> ({1} {{xf.name = "o"}}, {2} {{xf.name = "lse"}}) attributes {{xf.entry}} {{
  %site = arith.constant 3 : i64
  %o, %lse = xf.attention %q, %k, %v {3} : ({0}, {0}, {1}, tensor<?xi32>, tensor<?xi32>{4}) -> ({1}, {2})
  return %o, %lse : {1}, {2}
}}
func.func @attention_backward(%do: {1} {{xf.name = "do", xf.dims = ["queries"]}}, %q: {0} {{xf.name = "q", xf.dims = ["queries"]}}, %k: {0} {{xf.name = "k", xf.dims = ["keys"]}}, %v: {1} {{xf.name = "v", xf.dims = ["keys"]}},
    %o: {1} {{xf.name = "o", xf.dims = ["queries"]}}, %lse: {2} {{xf.name = "lse", xf.dims = ["queries"]}},
    %qo: tensor<?xi32> {{xf.name = "qo", xf.dims = ["sequences_plus_1"]}}, %ko: tensor<?xi32> {{xf.name = "ko", xf.dims = ["sequences_plus_1"]}},
    %n: tensor<?xi32> {{xf.name = "n", xf.dims = ["queries"]}}, %random: tensor<2xi64> {{xf.name = "random"}}) -> ({0} {{xf.name = "dq"}}, {0} {{xf.name = "dk"}}, {1} {{xf.name = "dv"}}) attributes {{xf.entry}} {{
  %site = arith.constant 3 : i64
  %dq, %dk, %dv = xf.attention_backward %do, %q, %k, %v, %o, %lse {3}
    : ({1}, {0}, {0}, {1}, {1}, {2}, tensor<?xi32>, tensor<?xi32>{4}) -> ({0}, {0}, {1})
  return %dq, %dk, %dv : {0}, {0}, {1}
}}
func.func @weights(%q: {0} {{xf.name = "q", xf.dims = ["queries"]}}, %k: {0} {{xf.name = "k", xf.dims = ["keys"]}}, %n: tensor<?xi32> {{xf.name = "n", xf.dims = ["queries"]}}) -> (tensor<{5}x?x?xf32> {{xf.name = "p"}}) attributes {{xf.entry}} {{
  %p = xf.attention_weights %q, %k heads({5}) scale(0.3){6} : ({0}, {0}{7}) -> tensor<{5}x?x?xf32>
  return %p : tensor<{5}x?x?xf32>
}}
func.func @cached(%q: {0} {{xf.name = "q", xf.dims = ["queries"]}}, %k: {0} {{xf.name = "k", xf.dims = ["keys"]}}, %v: {1} {{xf.name = "v", xf.dims = ["keys"]}},
    %rows: tensor<?xi32> {{xf.name = "rows", xf.dims = ["listed"]}}, %row_offsets: tensor<?xi32> {{xf.name = "row_offsets", xf.dims = ["queries_plus_1"]}}) -> ({1} {{xf.name = "o"}}) attributes {{xf.entry}} {{
  %o = xf.cached_attention %q, %k, %v rows(%rows, %row_offsets) heads({5}) scale(0.3){8} : ({0}, {0}, {1}, tensor<?xi32>, tensor<?xi32>) -> {1}
  return %o : {1}
}}
)",
                     k, v, lse, attributes, more, shape.heads, masksOf(shape), lengths, windowOf(shape));
}

Tensors inputsOf(const Shape &shape, const std::vector<int64_t> &queries, const std::vector<int64_t> &keys) {
  Tensor queryOffsets = offsets(queries), keyOffsets = offsets(keys);
  int64_t queryRows = queryOffsets.integer(queries.size()), keyRows = keyOffsets.integer(keys.size());
  Tensor random = Tensor::integers({2});
  random.integer(0) = 11, random.integer(1) = 2;
  // Query r of the cache reads r % 7 rows.
  std::vector<int64_t> lengths, rows;
  for (int64_t r = 0; r < queryRows; ++r) {
    lengths.push_back(keyRows ? r % 7 * (r % 7) * 5 : 0);
    for (int64_t i = 0; i < lengths.back(); ++i)
      rows.push_back((r * 13 + i * 5) % keyRows);
  }
  // Lengths of none, of fewer than none, of some, of all and of more.
  std::vector<int64_t> visible;
  for (int64_t r = 0; r < queryRows; ++r)
    visible.push_back(r % 5 == 0 ? 1 << 20 : r * 37 % 150 - 9);
  return {{"q", normal({queryRows, shape.heads * shape.keyFeatures}, 1)},
          {"k", normal({keyRows, shape.heads * shape.keyFeatures}, 2)},
          {"v", normal({keyRows, shape.heads * shape.valueFeatures}, 3)},
          {"do", normal({queryRows, shape.heads * shape.valueFeatures}, 4)},
          {"qo", queryOffsets},
          {"ko", keyOffsets},
          {"n", integers(visible)},
          {"random", random},
          {"rows", integers(rows)},
          {"row_offsets", offsets(lengths)}};
}

class Attention : public testing::TestWithParam<Shape> {};
} // namespace

TEST_P(Attention, AgreesWithDoubles) {
  const Shape &shape = GetParam();
  std::string text = moduleOf(shape);
  Module reference(text);
  std::vector<unsigned> ways = vectorWidths();
  ways.push_back(upstream);
  std::map<unsigned, Compiled> compiled;
  for (unsigned way : ways)
    compiled.try_emplace(way, text, way);
  ASSERT_FALSE(HasFailure());
  struct Batch {
    std::vector<int64_t> queries, keys;
  };
  for (const Batch &batch : std::vector<Batch>{
           {{}, {}}, {{1}, {1}}, {{0, 5, 3, 1, 0}, {4, 0, 9, 1, 0}}, {{97}, {130}}, {{7, 130, 2}, {64, 129, 257}}}) {
    Tensors inputs = inputsOf(shape, batch.queries, batch.keys);
    auto check = [&](const char *entry) {
      Tensors expected = reference.run(entry, inputs);
      for (auto &[way, module] : compiled)
        expectClose(
            module.run(entry, inputs), expected, 2e-5,
            fmt::format("{} of {} sequences of {}.. queries, {} heads of {} and {}, masks '{}', dropout {}, vectors "
                        "of {}",
                        entry, batch.queries.size(), batch.queries.empty() ? 0 : batch.queries[0], shape.heads,
                        shape.keyFeatures, shape.valueFeatures, masksOf(shape), shape.rate, way));
      return expected;
    };
    Tensors forward = check("attention");
    inputs["o"] = rounded(forward["o"]);
    inputs["lse"] = rounded(forward["lse"]);
    check("attention_backward");
    check("cached");
    if (batch.queries.size() == 1)
      check("weights");
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, Attention,
                         testing::Values(Shape{2, 64, 64, false, 0}, Shape{2, 64, 64, true, 0}, Shape{3, 5, 7, true, 0},
                                         Shape{1, 1, 1, false, 0}, Shape{2, 8, 24, true, 0.25},
                                         Shape{2, 33, 16, false, 0.1}, Shape{2, 33, 16, false, 0, 9},
                                         Shape{1, 16, 8, true, 0.2, 20}, Shape{1, 4, 5, false, 0, 0},
                                         Shape{2, 8, 8, false, 0.1, 1 << 30}, Shape{2, 33, 16, false, 0.1, -1, true},
                                         Shape{1, 7, 16, true, 0, 40, true}),
                         [](const auto &info) { return std::to_string(info.index); });
