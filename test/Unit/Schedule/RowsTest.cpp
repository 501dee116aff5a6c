//===- RowsTest.cpp - kernels by rows, columns and lists, against doubles -------===//
// Every such kernel at widths around those of vectors and of tiles, and at numbers of rows from none to several tiles.
//===----------------------------------------------------------------------------===//
#include "Compiled.h"
#include <cmath>
#include <fmt/format.h>

using namespace mlir::xf::test;

namespace {
std::string replaced(std::string text, const std::map<std::string, std::string> &names) {
  for (const auto &[name, value] : names)
    for (size_t at = 0; (at = text.find(name, at)) != std::string::npos; at += value.size())
      text.replace(at, name.size(), value);
  return text;
}

int64_t vocabularyOf(int64_t width) { return std::min<int64_t>(width + 3, 53); }

/// R is the type of a number a row, C of a number a column, X of the matrix, T of a table, P of sums of five parts.
std::string withTypes(const std::string &text, int64_t width) {
  return replaced(text, {{"X", fmt::format("tensor<?x{}xf32>", width)},
                         {"C", fmt::format("tensor<{}xf32>", width)},
                         {"T", fmt::format("tensor<{}x{}xf32>", vocabularyOf(width), width)},
                         {"P", fmt::format("tensor<5x{}xf32>", width)},
                         {"R", "tensor<?xf32>"}});
}

/// Kernels whose only width is N.
std::string moduleOfWidth(int64_t width) {
  std::string text = R"(
func.func @norm(%x: X {xf.name = "x", xf.dims = ["rows"]}, %w: C {xf.name = "w"}, %b: C {xf.name = "b"}) -> (X {xf.name = "y"}) attributes {xf.entry} {
  %y = xf.layer_norm %x, %w, %b : (X, C, C) -> X
  return %y : X
}
func.func @add_norm(%x: X {xf.name = "x", xf.dims = ["rows"]}, %s: X {xf.name = "s", xf.dims = ["rows"]}, %w: C {xf.name = "w"}, %b: C {xf.name = "b"}, %random: tensor<2xi64> {xf.name = "random"})
    -> (X {xf.name = "sum"}, X {xf.name = "y"}) attributes {xf.entry} {
  %site = arith.constant 7 : i64
  %0 = xf.dropout %s, %random, %site rate(0.3) : X, tensor<2xi64>
  %1 = xf.add %x, %0 : X
  %y = xf.layer_norm %1, %w, %b epsilon(1.0e-3) : (X, C, C) -> X
  return %1, %y : X, X
}
func.func @norm_backward(%dy: X {xf.name = "s", xf.dims = ["rows"]}, %x: X {xf.name = "x", xf.dims = ["rows"]}, %w: C {xf.name = "w"}, %random: tensor<2xi64> {xf.name = "random"})
    -> (X {xf.name = "dx"}, X {xf.name = "ds"}, R {xf.name = "mean"}, R {xf.name = "r"}, C {xf.name = "dw"}, C {xf.name = "db"}) attributes {xf.entry} {
  %site = arith.constant 5000000000 : i64
  %dx, %mean, %r = xf.layer_norm_backward %dy, %x, %w : (X, X, C) -> (X, R, R)
  %0 = xf.dropout %dx, %random, %site rate(0.1) : X, tensor<2xi64>
  %ds = xf.add %0, %dy : X
  %dw, %db = xf.layer_norm_parameter_backward %dy, %x, %mean, %r : (X, X, R, R) -> (C, C)
  return %dx, %ds, %mean, %r, %dw, %db : X, X, R, R, C, C
}
func.func @twice(%x: X {xf.name = "x", xf.dims = ["rows"]}, %w: C {xf.name = "w"}, %b: C {xf.name = "b"}) -> (X {xf.name = "y"}) attributes {xf.entry} {
  %0 = xf.gelu %x : X
  %1 = xf.layer_norm %0, %w, %b : (X, C, C) -> X
  %2 = xf.add %1, %0 : X
  %3 = xf.layer_norm %2, %w, %b : (X, C, C) -> X
  %4 = xf.add %3, %x : X
  %y = xf.relu %4 : X
  return %y : X
}
func.func @activations(%x: X {xf.name = "x", xf.dims = ["rows"]}, %s: X {xf.name = "s", xf.dims = ["rows"]}) -> (X {xf.name = "relu"}, X {xf.name = "gelu"}, X {xf.name = "relu_backward"}, X {xf.name = "gelu_backward"}) attributes {xf.entry} {
  %0 = xf.relu %x : X
  %1 = xf.gelu %x : X
  %2 = xf.relu_backward %s, %0 : X
  %3 = xf.gelu_backward %s, %x : X
  return %0, %1, %2, %3 : X, X, X, X
}
func.func @gates(%x: X {xf.name = "x", xf.dims = ["rows"]}, %s: X {xf.name = "s", xf.dims = ["rows"]}) -> (X {xf.name = "product"}, X {xf.name = "gelu_tanh"}, X {xf.name = "gelu_tanh_backward"}, X {xf.name = "silu"}, X {xf.name = "silu_backward"}, X {xf.name = "tanh"}, X {xf.name = "tanh_backward"}) attributes {xf.entry} {
  %0 = xf.multiply %x, %s : X
  %1 = xf.gelu_tanh %x : X
  %2 = xf.gelu_tanh_backward %s, %x : X
  %3 = xf.silu %x : X
  %4 = xf.silu_backward %s, %x : X
  %5 = xf.tanh %x : X
  %6 = xf.tanh_backward %s, %5 : X
  return %0, %1, %2, %3, %4, %5, %6 : X, X, X, X, X, X, X
}
func.func @rms_norm(%x: X {xf.name = "x", xf.dims = ["rows"]}, %w: C {xf.name = "w"}) -> (X {xf.name = "y"}) attributes {xf.entry} {
  %y = xf.layer_norm %x, %w rms epsilon(1.0e-6) : (X, C) -> X
  return %y : X
}
func.func @rms_norm_backward(%dy: X {xf.name = "s", xf.dims = ["rows"]}, %x: X {xf.name = "x", xf.dims = ["rows"]}, %w: C {xf.name = "w"}) -> (X {xf.name = "ds"}, R {xf.name = "r"}, C {xf.name = "dw"}) attributes {xf.entry} {
  %dx, %r = xf.layer_norm_backward %dy, %x, %w rms : (X, X, C) -> (X, R)
  %ds = xf.add %dx, %dy : X
  %dw = xf.layer_norm_parameter_backward %dy, %x, %r : (X, X, R) -> C
  return %ds, %r, %dw : X, R, C
}
func.func @loss(%x: X {xf.name = "x", xf.dims = ["rows"]}, %labels: tensor<?xi32> {xf.name = "ids", xf.dims = ["rows"]}) -> (R {xf.name = "token_loss"}, R {xf.name = "nll"}, R {xf.name = "lse"}, X {xf.name = "dx"}, R {xf.name = "plain"}) attributes {xf.entry} {
  %loss, %nll, %lse = xf.cross_entropy %x, %labels smoothing(0.1) : (X, tensor<?xi32>) -> (R, R, R)
  %dx = xf.cross_entropy_backward %nll, %x, %labels, %lse smoothing(0.1) : (R, X, tensor<?xi32>, R) -> X
  %plain, %nll2, %lse2 = xf.cross_entropy %x, %labels : (X, tensor<?xi32>) -> (R, R, R)
  return %loss, %nll, %lse, %dx, %plain : R, R, R, X, R
}
func.func @numbers(%x: X {xf.name = "x", xf.dims = ["rows"]}, %labels: tensor<?xi32> {xf.name = "ids", xf.dims = ["rows"]}) -> (R {xf.name = "sum"}, X {xf.name = "dx"}, R {xf.name = "twice"}) attributes {xf.entry} {
  %0 = xf.gelu %x : X
  %loss, %nll, %lse = xf.cross_entropy %0, %labels smoothing(0.1) : (X, tensor<?xi32>) -> (R, R, R)
  %sum = xf.add %loss, %nll : R
  %dx = xf.cross_entropy_backward %sum, %0, %labels, %lse : (R, X, tensor<?xi32>, R) -> X
  %total = xf.mean %sum : (R) -> tensor<f32>
  %d = xf.mean_backward %total, %sum : (tensor<f32>, R) -> R
  %twice = xf.add %d, %d : R
  return %sum, %dx, %twice : R, X, R
}
func.func @log_softmax(%x: X {xf.name = "x", xf.dims = ["rows"]}) -> (X {xf.name = "p"}) attributes {xf.entry} {
  %p = xf.log_softmax %x : X
  return %p : X
}
func.func @column_sum(%x: X {xf.name = "x", xf.dims = ["rows"]}) -> (C {xf.name = "sum"}) attributes {xf.entry} {
  %s = xf.column_sum %x : (X) -> C
  return %s : C
}
func.func @embed(%ids: tensor<?xi32> {xf.name = "ids", xf.dims = ["rows"]}, %positions: tensor<?xi32> {xf.name = "positions", xf.dims = ["rows"]}, %table: T {xf.name = "table"}, %random: tensor<2xi64> {xf.name = "random"}) -> (X {xf.name = "y"}) attributes {xf.entry} {
  %site = arith.constant 1 : i64
  %e = xf.embedding %ids, %table scale(3.0) : (tensor<?xi32>, T) -> X
  %p = xf.sinusoidal %positions : (tensor<?xi32>) -> X
  %0 = xf.add %e, %p : X
  %y = xf.dropout %0, %random, %site rate(0.5) : X, tensor<2xi64>
  return %y : X
}
func.func @embed_backward(%dy: X {xf.name = "x", xf.dims = ["rows"]}, %ids: tensor<?xi32> {xf.name = "ids", xf.dims = ["rows"]}, %into: T {xf.name = "table"}) -> (T {xf.name = "fresh"}, T {xf.name = "sum"}) attributes {xf.entry} {
  %0 = xf.embedding_backward %dy, %ids scale(2.5) : (X, tensor<?xi32>) -> T
  %1 = xf.embedding_backward %dy, %ids into %into scale(2.5) : (X, tensor<?xi32>, T) -> T
  return %0, %1 : T, T
}
func.func @cache_write(%cache: X {xf.name = "cache", xf.dims = ["slots"]}, %x: X {xf.name = "x", xf.dims = ["rows"]}, %slots: tensor<?xi32> {xf.name = "slots", xf.dims = ["rows"]}) -> (X {xf.name = "result"}) attributes {xf.entry} {
  %0 = xf.cache_write %cache, %x slots(%slots) : (X, X, tensor<?xi32>) -> X
  return %0 : X
}
)";
  if (width % 2 == 0 && width >= 4)
    text += R"(
func.func @halves(%positions: tensor<?xi32> {xf.name = "positions", xf.dims = ["rows"]}) -> (X {xf.name = "y"}) attributes {xf.entry} {
  %y = xf.sinusoidal %positions halves first(1) : (tensor<?xi32>) -> X
  return %y : X
}
)";
  return withTypes(text, width);
}

/// Heads of so many features, turned and turned back, alone and with what follows; `heads` of them have the width.
std::string moduleOfHeads(int64_t heads, int64_t features) {
  std::string text = R"(
func.func @angles(%positions: tensor<?xi32> {xf.name = "positions", xf.dims = ["rows"]}) -> (A {xf.name = "angles"}, A {xf.name = "scaled"}) attributes {xf.entry} {
  %a = xf.rotary_angles %positions theta(10000.0) : (tensor<?xi32>) -> A
  %b = xf.rotary_angles %positions theta(500000.0) factor(8.0) original(256, 1.0, 4.0) : (tensor<?xi32>) -> A
  return %a, %b : A, A
}
func.func @rotary(%x: X {xf.name = "x", xf.dims = ["rows"]}, %s: X {xf.name = "s", xf.dims = ["rows"]}, %positions: tensor<?xi32> {xf.name = "positions", xf.dims = ["rows"]}, %w: C {xf.name = "w"}, %random: tensor<2xi64> {xf.name = "random"})
    -> (X {xf.name = "turned"}, X {xf.name = "back"}, X {xf.name = "y"}) attributes {xf.entry} {
  %site = arith.constant 3 : i64
  %a = xf.rotary_angles %positions theta(10000.0) : (tensor<?xi32>) -> A
  %0 = xf.rotary %x, %a heads(HEADS) : X, A
  %1 = xf.rotary %s, %a heads(HEADS) inverse : X, A
  %2 = xf.dropout %1, %random, %site rate(0.3) : X, tensor<2xi64>
  %3 = xf.add %2, %s : X
  %y = xf.layer_norm %3, %w rms : (X, C) -> X
  return %0, %3, %y : X, X, X
}
)";
  text = replaced(text, {{"HEADS", std::to_string(heads)}});
  return withTypes(replaced(text, {{"A {", fmt::format("tensor<?x{}xf32> {{", features)},
                                   {"A)", fmt::format("tensor<?x{}xf32>)", features)},
                                   {"A, ", fmt::format("tensor<?x{}xf32>, ", features)},
                                   {"A\n", fmt::format("tensor<?x{}xf32>\n", features)}}),
                   heads * features);
}

/// Sums of parts of the rows, beside the rows of two norms; processors only.
std::string moduleOfParts(int64_t width) {
  return withTypes(R"(
func.func @norm_parts(%dy: X {xf.name = "s", xf.dims = ["rows"]}, %x: X {xf.name = "x", xf.dims = ["rows"]}, %w: C {xf.name = "w"}, %random: tensor<2xi64> {xf.name = "random"})
    -> (X {xf.name = "ds"}, P {xf.name = "dw"}, P {xf.name = "db"}, P {xf.name = "dw2"}) attributes {xf.entry} {
  %site = arith.constant 9 : i64
  %0 = xf.dropout %dy, %random, %site rate(0.1) : X, tensor<2xi64>
  %dx, %mean, %r = xf.layer_norm_backward %0, %x, %w : (X, X, C) -> (X, R, R)
  %dw, %db = xf.layer_norm_parameter_backward %0, %x, %mean, %r : (X, X, R, R) -> (P, P)
  %ds = xf.add %dx, %0 : X
  %dx2, %mean2, %r2 = xf.layer_norm_backward %ds, %x, %w : (X, X, C) -> (X, R, R)
  %dw2, %db2 = xf.layer_norm_parameter_backward %ds, %x, %mean2, %r2 : (X, X, R, R) -> (P, P)
  return %ds, %dw, %db, %dw2 : X, P, P, P
}
func.func @rms_norm_parts(%dy: X {xf.name = "s", xf.dims = ["rows"]}, %x: X {xf.name = "x", xf.dims = ["rows"]}, %w: C {xf.name = "w"}) -> (X {xf.name = "dx"}, P {xf.name = "dw"}) attributes {xf.entry} {
  %dx, %r = xf.layer_norm_backward %dy, %x, %w rms : (X, X, C) -> (X, R)
  %dw = xf.layer_norm_parameter_backward %dy, %x, %r : (X, X, R) -> P
  return %dx, %dw : X, P
}
)",
                   width);
}

Tensors inputsOf(int64_t rows, int64_t width) {
  auto ids = [&](int64_t bound, int64_t factor) {
    std::vector<int64_t> values(rows);
    for (int64_t i = 0; i < rows; ++i)
      values[i] = (i * i * factor + i) % bound;
    return integers(values);
  };
  Tensor random = Tensor::integers({2}), slots = Tensor::integers({rows});
  random.integer(0) = 0x123456789abcdef;
  random.integer(1) = 3;
  for (int64_t i = 0; i < rows; ++i)
    slots.integer(i) = rows + 1 - i;
  Tensor x = normal({rows, width}, 1);
  for (int64_t i = 0; i < x.elements(); ++i)
    x[i] = float(3 * x[i] + 1);
  return {{"x", x},
          {"s", normal({rows, width}, 2)},
          {"w", normal({width}, 3)},
          {"b", normal({width}, 4)},
          {"table", normal({vocabularyOf(width), width}, 5)},
          {"cache", normal({rows + 2, width}, 6)},
          {"ids", ids(std::min(width, vocabularyOf(width)), 7)},
          {"positions", ids(10000, 1237)},
          {"slots", slots},
          {"random", random}};
}

constexpr const char *entryPoints[] = {
    "norm",    "add_norm",    "norm_backward",     "twice",          "activations",    "norm_parts",  "loss",
    "numbers", "log_softmax", "column_sum",        "embed",          "embed_backward", "cache_write", "halves",
    "gates",   "rms_norm",    "rms_norm_backward", "rms_norm_parts", "angles",         "rotary"};

class Rows : public testing::TestWithParam<int64_t> {};
} // namespace

static void check(const std::string &text, int64_t width, const std::vector<unsigned> &ways, double tolerance) {
  Module reference(text);
  std::map<unsigned, Compiled> compiled;
  for (unsigned way : ways)
    compiled.try_emplace(way, text, way);
  ASSERT_FALSE(testing::Test::HasFailure());
  for (int64_t rows : {0, 1, 7, 131, 9000}) { // the last: more of one id than a GPU's block lists at a time
    if (rows * width > 100000 || (rows == 9000 && width != 4))
      continue;
    Tensors inputs = inputsOf(rows, width);
    for (const char *entry : entryPoints) {
      if (!(*reference).lookupSymbol(entry))
        continue;
      Tensors expected = reference.run(entry, inputs);
      for (auto &[way, module] : compiled)
        expectClose(module.run(entry, inputs), expected, tolerance,
                    fmt::format("{} of {} rows x {}, vectors of {}", entry, rows, width, way));
    }
  }
}

TEST_P(Rows, AgreeWithDoubles) {
  std::vector<unsigned> ways = vectorWidths();
  ways.push_back(upstream);
  ways.push_back(gpu);
  // Of two columns little is left of a gradient by the norm: the difference of two numbers is all it keeps.
  check(moduleOfWidth(GetParam()), GetParam(), ways, GetParam() == 2 ? 2e-4 : 2e-5);
  ways.pop_back();
  check(moduleOfParts(GetParam()), GetParam(), ways, 2e-4); // sums of 1,800 numbers that cancel
}

// A number that lies between two of bf16 may be rounded to either.
using RowsOfBF16 = Rows;
TEST_P(RowsOfBF16, AgreeWithDoubles) {
  std::vector<unsigned> ways = vectorWidths();
  ways.push_back(gpu);
  check(inBF16(moduleOfWidth(GetParam())), GetParam(), ways, 0x1p-6);
}
INSTANTIATE_TEST_SUITE_P(Columns, RowsOfBF16, testing::Values(1, 17, 100, 512, 2052, 5893),
                         [](const auto &info) { return std::to_string(info.param); });

INSTANTIATE_TEST_SUITE_P(Columns, Rows, testing::Values(1, 2, 4, 17, 64, 100, 512, 2052, 5893),
                         [](const auto &info) { return std::to_string(info.param); });

// Heads whose halves hold vectors, those whose halves don't, and odd ones; one head and several.
class Heads : public testing::TestWithParam<std::tuple<int64_t, int64_t>> {};
TEST_P(Heads, AreTurned) {
  auto [heads, features] = GetParam();
  std::vector<unsigned> ways = vectorWidths();
  ways.push_back(gpu);
  std::string text = moduleOfHeads(heads, features);
  check(inBF16(text), heads * features, ways, 0x1p-6);
  ways.push_back(upstream);
  check(text, heads * features, ways, 2e-5);
}
INSTANTIATE_TEST_SUITE_P(Sizes, Heads,
                         testing::Values(std::tuple(1, 2), std::tuple(3, 6), std::tuple(5, 8), std::tuple(3, 20),
                                         std::tuple(8, 64), std::tuple(12, 128), std::tuple(7, 50)));

// Of positions up to 100,000 cosines and sines keep their last bits.
TEST(RotaryAngles, AreExactFarOut) {
  std::string text = moduleOfHeads(1, 64);
  Module reference(text);
  Tensors inputs = inputsOf(131, 64);
  for (int64_t i = 0; i < 131; ++i)
    inputs["positions"].integer(i) = 100000 - 757 * i;
  Tensors expected = reference.run("angles", inputs);
  for (unsigned way : {vectorWidths().back(), gpu}) {
    Compiled compiled(text, way);
    ASSERT_FALSE(HasFailure());
    for (auto &[name, tensor] : compiled.run("angles", inputs))
      for (int64_t i = 0; i < tensor.elements(); ++i)
        ASSERT_NEAR(tensor[i], expected[name][i], 2e-7) << name << "[" << i << "], vectors of " << way;
  }
}

// A GPU's thread loads eight numbers of bf16 at once: every tail of these, where registers hold rows, and where shared
// memory does.
TEST(RowsInBF16, Tails) {
  std::string text;
  std::vector<std::pair<std::string, int64_t>> entries;
  auto define = [&](const std::string &name, int64_t width, const std::string &body) {
    entries.emplace_back(fmt::format("{}_{}", name, width), width);
    text += withTypes(replaced(body, {{"NAME", entries.back().first}}), width);
  };
  for (int64_t tail = 1; tail < 8; ++tail) {
    define("norm", 8 + tail, R"(
func.func @NAME(%x: X {xf.name = "x", xf.dims = ["rows"]}, %w: C {xf.name = "w"}, %b: C {xf.name = "b"}) -> (X {xf.name = "y"}) attributes {xf.entry} {
  %y = xf.layer_norm %x, %w, %b : (X, C, C) -> X
  return %y : X
}
)");
    define("log_softmax", 1024 + tail, R"(
func.func @NAME(%x: X {xf.name = "x", xf.dims = ["rows"]}) -> (X {xf.name = "p"}) attributes {xf.entry} {
  %p = xf.log_softmax %x : X
  return %p : X
}
)");
  }
  text = inBF16(text);
  Module reference(text);
  Compiled compiled(text, gpu);
  ASSERT_FALSE(HasFailure());
  for (const auto &[entry, width] : entries) {
    Tensors inputs = inputsOf(11, width);
    expectClose(compiled.run(entry, inputs), reference.run(entry, inputs), 0x1p-6, entry);
  }
}

namespace {
/// The gradient of a table of so many words, new and added to another.
std::string gradientOf(int64_t vocabulary, int64_t width) {
  return replaced(R"(
func.func @fresh(%dy: tensor<?xNxf32> {xf.name = "x", xf.dims = ["rows"]}, %ids: tensor<?xi32> {xf.name = "ids", xf.dims = ["rows"]}) -> (tensor<VxNxf32> {xf.name = "sum"}) attributes {xf.entry} {
  %0 = xf.embedding_backward %dy, %ids scale(0.5) : (tensor<?xNxf32>, tensor<?xi32>) -> tensor<VxNxf32>
  return %0 : tensor<VxNxf32>
}
func.func @added(%dy: tensor<?xNxf32> {xf.name = "x", xf.dims = ["rows"]}, %ids: tensor<?xi32> {xf.name = "ids", xf.dims = ["rows"]}, %into: tensor<VxNxf32> {xf.name = "table"}) -> (tensor<VxNxf32> {xf.name = "sum"}) attributes {xf.entry} {
  %0 = xf.embedding_backward %dy, %ids into %into scale(0.5) : (tensor<?xNxf32>, tensor<?xi32>, tensor<VxNxf32>) -> tensor<VxNxf32>
  return %0 : tensor<VxNxf32>
}
)",
                  {{"V", std::to_string(vocabulary)}, {"N", std::to_string(width)}});
}
} // namespace

// Words of a GPU's block that have no token, one, as many as one warp adds, more, and more than are listed at once; and
// what a word's row gets is known from its own tokens, whatever else is in the batch.
class Words : public testing::TestWithParam<std::tuple<int64_t, int64_t, bool>> {};
TEST_P(Words, OfEveryFrequency) {
  auto [vocabulary, width, isNarrow] = GetParam();
  std::string text = gradientOf(vocabulary, width);
  if (isNarrow)
    text = inBF16(text);
  Module reference(text);
  Compiled compiled(text, gpu);
  ASSERT_FALSE(HasFailure());
  Tensor table = normal({vocabulary, width}, 5);
  auto run = [&](const char *entry, const std::vector<int64_t> &ids, const Tensor &x) {
    Tensors inputs{{"x", x}, {"ids", integers(ids)}, {"table", table}};
    Tensors result = compiled.run(entry, inputs);
    expectClose(result, reference.run(entry, inputs), isNarrow ? 0x1p-6 : 2e-5,
                fmt::format("{} of {} tokens, {} words", entry, ids.size(), vocabulary));
    return result["sum"];
  };
  std::vector<int64_t> counts{1, 16, 17, 0, 300, 2, 3, 5}, ids;
  for (int64_t turn = 0; turn < 300; ++turn) // words that are neighbours in a block, and others
    for (size_t word = 0; word < counts.size(); ++word)
      if (turn < counts[word])
        ids.push_back(word * 512 % vocabulary);
      else if (turn % 3 == 0)
        ids.push_back((turn * 7919 + word) % vocabulary);
  Tensor x = normal({static_cast<int64_t>(ids.size()), width}, 6);
  for (const char *entry : {"fresh", "added"}) {
    run(entry, {}, Tensor::reals({0, width}));
    Tensor sum = run(entry, ids, x);
    for (int64_t word : {0l, 512 % vocabulary, 1024 % vocabulary, 2048 % vocabulary}) {
      std::vector<int64_t> own;
      std::vector<double> rows;
      for (size_t token = 0; token < ids.size(); ++token)
        if (ids[token] == word) {
          own.push_back(word);
          for (int64_t column = 0; column < width; ++column)
            rows.push_back(x(token, column));
        }
      Tensor ownX = Tensor::reals({static_cast<int64_t>(own.size()), width});
      for (size_t i = 0; i < rows.size(); ++i)
        ownX[i] = rows[i];
      Tensor alone = run(entry, own, ownX);
      for (int64_t column = 0; column < width; ++column)
        ASSERT_EQ(sum(word, column), alone(word, column)) << entry << " of word " << word;
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Tables, Words,
                         testing::Values(std::tuple(1, 4, false), std::tuple(2, 5, false), std::tuple(40, 524, true),
                                         std::tuple(20011, 8, true), std::tuple(20011, 3, false)));

namespace {
constexpr const char *scalars = R"(
func.func @mean(%x: tensor<?xf32> {xf.name = "x", xf.dims = ["rows"]}) -> (tensor<f32> {xf.name = "mean"}) attributes {xf.entry} {
  %0 = xf.mean %x : (tensor<?xf32>) -> tensor<f32>
  return %0 : tensor<f32>
}
func.func @mean_backward(%dy: tensor<f32> {xf.name = "dy"}, %x: tensor<?xf32> {xf.name = "x", xf.dims = ["rows"]}) -> (tensor<?xf32> {xf.name = "dx"}) attributes {xf.entry} {
  %0 = xf.mean_backward %dy, %x : (tensor<f32>, tensor<?xf32>) -> tensor<?xf32>
  return %0 : tensor<?xf32>
}
func.func @positions(%ids: tensor<?xi32> {xf.name = "ids", xf.dims = ["tokens"]}, %offsets: tensor<?xi32> {xf.name = "offsets", xf.dims = ["sequences_plus_1"]}) -> (tensor<?xi32> {xf.name = "positions"}) attributes {xf.entry} {
  %0 = xf.position_ids %ids, %offsets : (tensor<?xi32>, tensor<?xi32>) -> tensor<?xi32>
  return %0 : tensor<?xi32>
}
func.func @rate(%random: tensor<2xi64> {xf.name = "random"}, %hyper: tensor<8xf32> {xf.name = "hyper"}) -> (tensor<f32> {xf.name = "rate"}) attributes {xf.entry} {
  %0 = xf.learning_rate %random, %hyper d_model(512) : (tensor<2xi64>, tensor<8xf32>) -> tensor<f32>
  return %0 : tensor<f32>
}
)";
}

TEST(Scalars, AgreeWithDoubles) {
  Module reference(scalars);
  Compiled compiled(scalars, 4), onGPU(scalars, gpu);
  ASSERT_FALSE(HasFailure());
  auto check = [&](const char *entry, const Tensors &inputs, const std::string &what) {
    Tensors expected = reference.run(entry, inputs);
    expectClose(compiled.run(entry, inputs), expected, 1e-6, fmt::format("{} of {}", entry, what));
    expectClose(onGPU.run(entry, inputs), expected, 1e-6, fmt::format("{} of {}, on a GPU", entry, what));
  };
  for (int64_t rows : {0, 1, 7, 25000}) {
    Tensors inputs = {{"x", normal({rows}, 1)}, {"dy", normal({}, 2)}};
    check("mean", inputs, fmt::format("{} rows", rows));
    check("mean_backward", inputs, fmt::format("{} rows", rows));
  }
  for (const std::vector<int64_t> &lengths : std::vector<std::vector<int64_t>>{{}, {0}, {5}, {0, 3, 0, 1, 129, 0}}) {
    Tensor starts = offsets(lengths);
    check("positions", {{"ids", Tensor::integers({starts.integer(starts.elements() - 1)})}, {"offsets", starts}},
          fmt::format("{} sequences", lengths.size()));
  }
  for (int64_t step : {1, 399, 4000, 100000})
    for (int schedule : {0, 1})
      for (double warmup : {0., 400., 4000.}) {
        if (schedule == 1 && warmup == 0)
          continue; // noam needs a warmup
        Tensor random = Tensor::integers({2}), hyper = Tensor::reals({8});
        random.integer(1) = step;
        hyper[0] = float(schedule ? 2 : 0.001), hyper[1] = warmup, hyper[2] = schedule;
        check("rate", {{"random", random}, {"hyper", hyper}},
              fmt::format("step {}, schedule {}, warmup {}", step, schedule, warmup));
      }
}

// A row that is no number gives none, and the others what they give without it.
TEST(RowsOfNoNumbers, GiveNone) {
  std::vector<unsigned> ways = vectorWidths();
  ways.push_back(gpu);
  for (auto [width, isNarrow] : {std::pair<int64_t, bool>(100, false), {2052, true}}) {
    std::string text = isNarrow ? inBF16(moduleOfWidth(width)) : moduleOfWidth(width);
    Module reference(text);
    std::map<unsigned, Compiled> compiled;
    for (unsigned way : ways)
      compiled.try_emplace(way, text, way);
    ASSERT_FALSE(HasFailure());
    for (int64_t count : {int64_t(1), width}) { // of the row's numbers
      Tensors inputs = inputsOf(11, width);
      for (const char *name : {"x", "s"})
        for (int64_t i = 0; i < count; ++i)
          inputs[name][4 * width + (7 + i) % width] = std::numeric_limits<double>::quiet_NaN();
      for (const char *entry :
           {"norm", "add_norm", "norm_backward", "twice", "activations", "loss", "numbers", "log_softmax", "column_sum",
            "embed_backward", "gates", "rms_norm", "rms_norm_backward"}) {
        Tensors expected = reference.run(entry, inputs);
        for (auto &[way, module] : compiled)
          expectClose(module.run(entry, inputs), expected, isNarrow ? 0x1p-6 : 2e-5,
                      fmt::format("{} of rows of {}, vectors of {}", entry, width, way));
      }
    }
  }
}

// A row's bits depend on that row alone, whatever its place, its tile and the number of threads.
TEST(RowKernels, KeepTheirBits) {
  std::string text = moduleOfWidth(100);
  Compiled compiled(text, vectorWidths().back());
  ASSERT_FALSE(HasFailure());
  constexpr int64_t rows = 300, width = 100;
  Tensors inputs = inputsOf(rows, width);
  for (const char *entry : {"norm", "twice", "log_softmax", "activations", "loss"}) {
    Tensors all = compiled.run(entry, inputs);
    for (auto &[name, tensor] : compiled.run(entry, inputs, 3))
      for (int64_t i = 0; i < tensor.elements(); ++i)
        ASSERT_EQ(tensor[i], all[name][i]) << entry << ": " << name;
    for (int64_t row : {0, 63, 64, 299}) {
      Tensors one = inputs;
      one["x"] = Tensor::reals({1, width}), one["s"] = one["x"].copy(), one["ids"] = Tensor::integers({1});
      for (int64_t column = 0; column < width; ++column) {
        one["x"](0, column) = inputs["x"](row, column);
        one["s"](0, column) = inputs["s"](row, column);
      }
      one["ids"].integer(0) = inputs["ids"].integer(row);
      for (auto &[name, tensor] : compiled.run(entry, one))
        for (int64_t i = 0; i < tensor.elements(); ++i)
          ASSERT_EQ(tensor[i], all[name][row * tensor.elements() + i]) << entry << ": " << name << " of row " << row;
    }
  }
}

// Sums of parts are cut by the rows alone.
TEST(RowKernels, SumPartsWhateverTheThreads) {
  Compiled compiled(moduleOfParts(100), vectorWidths().back());
  ASSERT_FALSE(HasFailure());
  for (int64_t rows : {3, 300}) {
    Tensors inputs = inputsOf(rows, 100), alone = compiled.run("norm_parts", inputs);
    for (auto &[name, tensor] : compiled.run("norm_parts", inputs, 3))
      for (int64_t i = 0; i < tensor.elements(); ++i)
        ASSERT_EQ(tensor[i], alone[name][i]) << name << " of " << rows << " rows";
  }
}

// Over their whole range: nothing is lost near 0, in the tails, or at an argument that is no number.
TEST(Functions, AreExactToRounding) {
  std::string text = R"(
func.func @gelu(%x: tensor<?x16xf32> {xf.name = "x", xf.dims = ["rows"]}) -> (tensor<?x16xf32> {xf.name = "y"}) attributes {xf.entry} {
  %y = xf.gelu %x : tensor<?x16xf32>
  return %y : tensor<?x16xf32>
}
func.func @gelu_derivative(%x: tensor<?x16xf32> {xf.name = "x", xf.dims = ["rows"]}, %dy: tensor<?x16xf32> {xf.name = "dy", xf.dims = ["rows"]}) -> (tensor<?x16xf32> {xf.name = "y"}) attributes {xf.entry} {
  %y = xf.gelu_backward %dy, %x : tensor<?x16xf32>
  return %y : tensor<?x16xf32>
}
func.func @gelu_tanh(%x: tensor<?x16xf32> {xf.name = "x", xf.dims = ["rows"]}) -> (tensor<?x16xf32> {xf.name = "y"}) attributes {xf.entry} {
  %y = xf.gelu_tanh %x : tensor<?x16xf32>
  return %y : tensor<?x16xf32>
}
func.func @gelu_tanh_derivative(%x: tensor<?x16xf32> {xf.name = "x", xf.dims = ["rows"]}, %dy: tensor<?x16xf32> {xf.name = "dy", xf.dims = ["rows"]}) -> (tensor<?x16xf32> {xf.name = "y"}) attributes {xf.entry} {
  %y = xf.gelu_tanh_backward %dy, %x : tensor<?x16xf32>
  return %y : tensor<?x16xf32>
}
func.func @silu(%x: tensor<?x16xf32> {xf.name = "x", xf.dims = ["rows"]}) -> (tensor<?x16xf32> {xf.name = "y"}) attributes {xf.entry} {
  %y = xf.silu %x : tensor<?x16xf32>
  return %y : tensor<?x16xf32>
}
func.func @silu_derivative(%x: tensor<?x16xf32> {xf.name = "x", xf.dims = ["rows"]}, %dy: tensor<?x16xf32> {xf.name = "dy", xf.dims = ["rows"]}) -> (tensor<?x16xf32> {xf.name = "y"}) attributes {xf.entry} {
  %y = xf.silu_backward %dy, %x : tensor<?x16xf32>
  return %y : tensor<?x16xf32>
}
func.func @tanh(%x: tensor<?x16xf32> {xf.name = "x", xf.dims = ["rows"]}) -> (tensor<?x16xf32> {xf.name = "y"}) attributes {xf.entry} {
  %y = xf.tanh %x : tensor<?x16xf32>
  return %y : tensor<?x16xf32>
}
func.func @relu(%x: tensor<?x16xf32> {xf.name = "x", xf.dims = ["rows"]}) -> (tensor<?x16xf32> {xf.name = "y"}) attributes {xf.entry} {
  %y = xf.relu %x : tensor<?x16xf32>
  return %y : tensor<?x16xf32>
}
func.func @exp(%dy: tensor<?xf32> {xf.name = "ones", xf.dims = ["rows"]}, %x: tensor<?x16xf32> {xf.name = "x", xf.dims = ["rows"]}, %labels: tensor<?xi32> {xf.name = "labels", xf.dims = ["rows"]}, %lse: tensor<?xf32> {xf.name = "zeros", xf.dims = ["rows"]})
    -> (tensor<?x16xf32> {xf.name = "y"}) attributes {xf.entry} {
  %y = xf.cross_entropy_backward %dy, %x, %labels, %lse : (tensor<?xf32>, tensor<?x16xf32>, tensor<?xi32>, tensor<?xf32>) -> tensor<?x16xf32>
  return %y : tensor<?x16xf32>
})";
  Compiled compiled(text, vectorWidths().back());
  ASSERT_FALSE(HasFailure());
  constexpr int64_t rows = 4000;
  Tensor x = Tensor::reals({rows, 16}), labels = Tensor::integers({rows}, 16); // no column is the label
  for (int64_t i = 0; i < x.elements(); ++i)
    x[i] = float((i - x.elements() / 2) * 0.0025); // -80 .. 80
  Tensors inputs = {{"x", x},
                    {"dy", Tensor::reals({rows, 16}, 1)},
                    {"ones", Tensor::reals({rows}, 1)},
                    {"zeros", Tensor::reals({rows})},
                    {"labels", labels}};
  Tensor gelu = compiled.run("gelu", inputs)["y"], derivative = compiled.run("gelu_derivative", inputs)["y"],
         exp = compiled.run("exp", inputs)["y"], silu = compiled.run("silu", inputs)["y"],
         siluDerivative = compiled.run("silu_derivative", inputs)["y"], tanh = compiled.run("tanh", inputs)["y"],
         geluTanh = compiled.run("gelu_tanh", inputs)["y"],
         geluTanhDerivative = compiled.run("gelu_tanh_derivative", inputs)["y"];
  for (int64_t i = 0; i < x.elements(); ++i) {
    ASSERT_NEAR(exp[i] / std::exp(x[i]), 1, 2e-7) << x[i];
    double expected = x[i] / 2 * std::erfc(-x[i] * M_SQRT1_2);
    ASSERT_NEAR(gelu[i], expected, 3e-7 * std::max(1.0, std::abs(expected))) << x[i];
    ASSERT_NEAR(derivative[i],
                std::erfc(-x[i] * M_SQRT1_2) / 2 + x[i] * std::exp(-x[i] * x[i] / 2) / std::sqrt(2 * M_PI), 3e-7)
        << x[i];
    double logistic = 1 / (1 + std::exp(-x[i])), slope = logistic * (1 + x[i] / (1 + std::exp(x[i])));
    ASSERT_NEAR(silu[i], x[i] * logistic, 5e-7 * std::abs(x[i] * logistic)) << x[i];
    ASSERT_NEAR(siluDerivative[i], slope, 5e-7) << x[i];
    double root = std::sqrt(2 / M_PI), u = root * (x[i] + 0.044715 * x[i] * x[i] * x[i]), t = std::tanh(u);
    ASSERT_NEAR(geluTanh[i], x[i] / 2 * (1 + t), 5e-7 * std::max(1.0, std::abs(x[i]))) << x[i];
    ASSERT_NEAR(geluTanhDerivative[i], (1 + t) / 2 + x[i] / 2 * (1 - t * t) * root * (1 + 3 * 0.044715 * x[i] * x[i]),
                5e-7)
        << x[i];
    ASSERT_NEAR(tanh[i], std::tanh(x[i]), 3e-7 * std::abs(std::tanh(x[i]))) << x[i];
    if (std::abs(x[i]) < 0.5)
      ASSERT_NEAR(gelu[i], expected, 3e-7 * std::abs(expected)) << x[i];
  }
  x[5] = std::nan("");
  for (const char *entry : {"gelu", "gelu_derivative", "gelu_tanh", "gelu_tanh_derivative", "silu", "silu_derivative",
                            "tanh", "relu", "exp"})
    EXPECT_TRUE(std::isnan(compiled.run(entry, inputs)["y"][5])) << entry;
  // As large as numbers get: nothing is left of the negative ones, and all of the others.
  for (double large : {3e3, 1e20, 3.4e38, double(std::numeric_limits<float>::infinity())}) {
    x[5] = large, x[6] = -large;
    for (const char *entry : {"gelu_tanh", "silu"}) {
      Tensor y = compiled.run(entry, inputs)["y"];
      EXPECT_EQ(y[5], float(large)) << entry;
      EXPECT_NEAR(y[6], 0, 1e-30) << entry << " of " << -large;
    }
    for (const char *entry : {"gelu_tanh_derivative", "silu_derivative"}) {
      Tensor y = compiled.run(entry, inputs)["y"];
      EXPECT_NEAR(y[5], 1, 5e-7) << entry;
      EXPECT_NEAR(y[6], 0, 1e-30) << entry << " of " << -large;
    }
    Tensor y = compiled.run("tanh", inputs)["y"];
    EXPECT_NEAR(y[5], 1, 2e-7) << large;
    EXPECT_NEAR(y[6], -1, 2e-7) << -large;
  }
}

// To the last bit, whether kernels hand each other bf16 or a model rounds by itself: ties, the largest numbers, those
// below the smallest normal one, infinities; NaN stays NaN.
TEST(Casts, RoundToTheNearest) {
  const std::string model = R"(
func.func @round(%x: tensor<?x24xf32> {xf.name = "x", xf.dims = ["rows"]}) -> (tensor<?x24xf32> {xf.name = "y"}) attributes {xf.entry} {
  %y = xf.cast %x : tensor<?x24xf32> to tensor<?x24xbf16>
  %z = xf.cast %y : tensor<?x24xbf16> to tensor<?x24xf32>
  return %z : tensor<?x24xf32>
})",
                    narrow = inBF16(model);
  Tensor x = Tensor::reals({1, 24});
  const double values[] = {0.0,
                           -0.0,
                           1.0,
                           1 + 0x1p-8,
                           1 + 0x1p-8 + 0x1p-20,
                           1 + 0x3p-8,
                           -1 - 0x3p-8,
                           3.3,
                           0x1.fep127,
                           -0x1.fffffep127,
                           0x1p-126,
                           0x1p-133,
                           0x1p-134,
                           0x1.8p-134,
                           0x1p-149,
                           -0x1.234568p-130,
                           HUGE_VAL,
                           -HUGE_VAL,
                           65504,
                           1e-3,
                           -7e20,
                           0x1.010002p3,
                           0x1.01p3,
                           0x1.03p3};
  for (int64_t i = 0; i < x.elements(); ++i)
    x[i] = float(values[i]);
  Tensors inputs = {{"x", x}};
  Tensor expected = Module(model).run("round", inputs)["y"];
  EXPECT_EQ(expected[3], 1);
  EXPECT_EQ(expected[4], 1 + 0x1p-7);
  EXPECT_EQ(expected[5], 1 + 0x2p-7);
  EXPECT_EQ(expected[9], -HUGE_VAL);
  EXPECT_EQ(expected[12], 0);
  EXPECT_EQ(expected[13], 0x1p-133);
  std::vector<unsigned> ways = vectorWidths();
  ways.push_back(gpu);
  for (const std::string &text : {model, narrow})
    for (unsigned width : ways) {
      Compiled compiled(text, width);
      ASSERT_FALSE(HasFailure());
      Tensor y = compiled.run("round", inputs)["y"];
      for (int64_t i = 0; i < y.elements(); ++i)
        EXPECT_EQ(y[i], expected[i]) << x[i] << ", vectors of " << width;
      Tensors others = {{"x", Tensor::reals({1, 24}, std::nan(""))}};
      EXPECT_TRUE(std::isnan(compiled.run("round", others)["y"][23]));
    }
}
