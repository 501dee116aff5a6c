//===- OpsTest.cpp - ops with known answers ------------------------------------===//
// What neither the differences nor torch's numbers reach: positions, decoding, probabilities, random numbers, and
// errors.
//===----------------------------------------------------------------------------===//
#include "Harness.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Parser/Parser.h"
#include "xf/InitAll.h"
#include "xf/Runtime/Philox.h"
#include <cmath>
#include <fmt/format.h>
#include <limits>

using namespace mlir::xf::test;

namespace {
Tensor reals(std::vector<int64_t> shape, std::vector<double> values) {
  Tensor tensor = Tensor::reals(std::move(shape));
  for (size_t i = 0; i < values.size(); ++i)
    tensor[int64_t(i)] = values[i];
  return tensor;
}

/// Runs `%y = ...` on named arguments ("x: tensor<?x2xf32>").
Tensor evaluate(const std::string &body, const std::string &result,
                const std::vector<std::pair<std::string, std::string>> &arguments, const Tensors &inputs) {
  std::string list;
  for (const auto &[name, type] : arguments)
    list += fmt::format("{}%{}: {} {{xf.name = \"{}\"}}", list.empty() ? "" : ", ", name, type, name);
  Module module(fmt::format("func.func @f({}) -> ({} {{xf.name = \"y\"}}) {{\n{}\nreturn %y : {}\n}}", list, result,
                            body, result));
  return module.run("f", inputs)["y"];
}

void expectValues(const Tensor &tensor, const std::vector<double> &expected, double tolerance = 1e-12) {
  ASSERT_EQ(tensor.elements(), int64_t(expected.size()));
  for (size_t i = 0; i < expected.size(); ++i)
    if (std::isinf(expected[i]))
      EXPECT_EQ(tensor[int64_t(i)], expected[i]) << i;
    else
      EXPECT_NEAR(tensor[int64_t(i)], expected[i], tolerance) << i;
}

const std::string ids = "tensor<?xi32>", pairs = "tensor<?x2xf32>", ones = "tensor<?x1xf32>";
} // namespace

TEST(Ops, PositionIds) {
  Tensor y =
      evaluate("%y = xf.position_ids %ids, %offsets : (tensor<?xi32>, tensor<?xi32>) -> tensor<?xi32>", ids,
               {{"ids", ids}, {"offsets", ids}}, {{"ids", integers({9, 9, 9, 9})}, {"offsets", offsets({1, 0, 3})}});
  for (int64_t t = 0; t < 4; ++t)
    EXPECT_EQ(y.integer(t), (std::vector<int64_t>{0, 0, 1, 2}[t]));
}

TEST(Ops, Sinusoidal) {
  Tensors inputs = {{"p", integers({0, 3})}};
  expectValues(
      evaluate("%y = xf.sinusoidal %p : (tensor<?xi32>) -> tensor<?x4xf32>", "tensor<?x4xf32>", {{"p", ids}}, inputs),
      {0, 1, 0, 1, std::sin(3.0), std::cos(3.0), std::sin(0.03), std::cos(0.03)});
  expectValues(evaluate("%y = xf.sinusoidal %p halves : (tensor<?xi32>) -> tensor<?x4xf32>", "tensor<?x4xf32>",
                        {{"p", ids}}, inputs),
               {0, 0, 1, 1, std::sin(3.0), std::sin(0.0003), std::cos(3.0), std::cos(0.0003)});
  expectValues(evaluate("%y = xf.sinusoidal %p first(2) : (tensor<?xi32>) -> tensor<?x2xf32>", "tensor<?x2xf32>",
                        {{"p", ids}}, inputs),
               {std::sin(2.0), std::cos(2.0), std::sin(5.0), std::cos(5.0)});
}

TEST(Ops, Gelu) {
  expectValues(evaluate("%y = xf.gelu %x : tensor<?x1xf32>", ones, {{"x", ones}}, {{"x", reals({3, 1}, {-1, 0, 2})}}),
               {-0.15865525393145707, 0, 1.9544997361036416});
}

TEST(Ops, Silu) {
  Tensors inputs{{"x", reals({3, 1}, {-1, 0, 2})}, {"dy", reals({3, 1}, {1, 1, 2})}};
  expectValues(evaluate("%y = xf.silu %x : tensor<?x1xf32>", ones, {{"x", ones}}, inputs),
               {-0.2689414213699951, 0, 1.7615941559557646});
  expectValues(evaluate("%y = xf.silu_backward %dy, %x : tensor<?x1xf32>", ones, {{"x", ones}, {"dy", ones}}, inputs),
               {0.07232948812851325, 0.5, 2 * 1.0907842487848955});
}

TEST(Ops, Tanh) {
  Tensors inputs{{"x", reals({3, 1}, {-1, 0, 2})}, {"dy", reals({3, 1}, {1, 1, 2})}};
  expectValues(evaluate("%y = xf.tanh %x : tensor<?x1xf32>", ones, {{"x", ones}}, inputs),
               {-0.7615941559557649, 0, 0.9640275800758169});
  expectValues(evaluate("%h = xf.tanh %x : tensor<?x1xf32>\n%y = xf.tanh_backward %dy, %h : tensor<?x1xf32>", ones,
                        {{"x", ones}, {"dy", ones}}, inputs),
               {0.41997434161402614, 1, 2 * 0.07065082485316443});
}

TEST(Ops, GeluTanh) {
  Tensors inputs{{"x", reals({3, 1}, {-1, 0, 2})}, {"dy", reals({3, 1}, {1, 1, 2})}};
  expectValues(evaluate("%y = xf.gelu_tanh %x : tensor<?x1xf32>", ones, {{"x", ones}}, inputs),
               {-0.15880800939172324, 0, 1.954597694087775});
  expectValues(
      evaluate("%y = xf.gelu_tanh_backward %dy, %x : tensor<?x1xf32>", ones, {{"x", ones}, {"dy", ones}}, inputs),
      {-0.08296408384578255, 0.5, 2 * 1.0860992566236183});
}

TEST(Ops, Multiply) {
  expectValues(evaluate("%y = xf.multiply %a, %b : tensor<?x2xf32>", pairs, {{"a", pairs}, {"b", pairs}},
                        {{"a", reals({2, 2}, {1, 2, 3, 4})}, {"b", reals({2, 2}, {-1, 0, 0.5, 3})}}),
               {-1, 0, 1.5, 12});
}

TEST(Ops, RMSNorm) {
  const std::string fours = "tensor<?x4xf32>";
  expectValues(
      evaluate("%y = xf.layer_norm %x, %w rms epsilon(0.25) : (tensor<?x4xf32>, tensor<4xf32>) -> "
               "tensor<?x4xf32>",
               fours, {{"x", fours}, {"w", "tensor<4xf32>"}},
               {{"x", reals({2, 4}, {1, 2, -3, 4, 0, 0, 0, 0.5})}, {"w", reals({4}, {1, 2, 0.5, -1})}}),
      {0.3592106040535498, 1.4368424162141993, -0.5388159060803247, -1.4368424162141993, 0, 0, 0, -0.8944271909999159});
}

// Numbers of Python's math; those of Llama 3's frequencies by the rule of its authors: one kept, one between, two
// divided.
TEST(Ops, RotaryAngles) {
  expectValues(evaluate("%y = xf.rotary_angles %p theta(10000.0) : (tensor<?xi32>) -> tensor<?x4xf32>",
                        "tensor<?x4xf32>", {{"p", ids}}, {{"p", integers({0, 1, 100000})}}),
               {1, 1, 0, 0, 0.5403023058681398, 0.9999500004166653, 0.8414709848078965, 0.009999833334166664,
                -0.9993608074382124, 0.5623790762907029, 0.03574879797201651, 0.8268795405320025},
               1e-10);
  expectValues(evaluate("%y = xf.rotary_angles %p theta(500000.0) factor(8.0) original(256, 1.0, 4.0) : "
                        "(tensor<?xi32>) -> tensor<?x8xf32>",
                        "tensor<?x8xf32>", {{"p", ids}}, {{"p", integers({3})}}),
               {-0.9899924966004454, 0.9995002970503365, 0.9999998593750032, 0.9999999998011262, 0.1411200080598672,
                0.031609432077928865, 0.0005303300610306882, 1.994360961222162e-05});
  expectValues(evaluate("%y = xf.rotary_angles %p theta(10000.0) factor(2.0) : (tensor<?xi32>) -> tensor<?x2xf32>",
                        pairs, {{"p", ids}}, {{"p", integers({3})}}),
               {std::cos(1.5), std::sin(1.5)});
}

TEST(Ops, Rotary) {
  const std::string type = "tensor<?x8xf32>", angles = "tensor<?x4xf32>";
  Tensors inputs{{"p", integers({3})}, {"x", reals({1, 8}, {1, 2, 3, 4, -1, 0.5, 2, 0})}};
  std::string text = "%a = xf.rotary_angles %p theta(10000.0) : (tensor<?xi32>) -> tensor<?x4xf32>\n";
  Tensor y = evaluate(text + "%y = xf.rotary %x, %a heads(2) : tensor<?x8xf32>, tensor<?x4xf32>", type,
                      {{"p", ids}, {"x", type}}, inputs);
  expectValues(y, {-1.413352520780047, 1.8791180666879925, -2.828857481741469, 4.058191135400942, 0.7077524804807109,
                   0.49977501687449377, -2.121105001260758, 0.01499775010124783});
  Tensor back = evaluate(text + "%y = xf.rotary %x, %a heads(2) inverse : tensor<?x8xf32>, tensor<?x4xf32>", type,
                         {{"p", ids}, {"x", type}}, {{"p", inputs["p"]}, {"x", y}});
  expectValues(back, {1, 2, 3, 4, -1, 0.5, 2, 0});
}

TEST(Ops, Reshape) {
  Tensor x = reals({2, 4}, {1, 2, 3, 4, 5, 6, 7, 8});
  const std::string four = "tensor<?x4xf32>", two = "tensor<?x2xf32>";
  Tensor y = evaluate("%y = xf.reshape %x : tensor<?x4xf32> to tensor<?x2xf32>", two, {{"x", four}}, {{"x", x}});
  EXPECT_EQ(y.shape(), (Tensor::Shape{4, 2}));
  expectValues(y, {1, 2, 3, 4, 5, 6, 7, 8});
  y = evaluate("%y = xf.reshape %x : tensor<?x2xf32> to tensor<?x4xf32>", four, {{"x", two}}, {{"x", y}});
  EXPECT_EQ(y.shape(), x.shape());
  expectValues(y, {1, 2, 3, 4, 5, 6, 7, 8});
}

// Between two numbers the nearer one, in the middle that whose last bit is 0.
TEST(Ops, Cast) {
  Tensor x = reals({2, 2}, {1 + 0x1p-8, 1 + 0x3p-8, 3.3, -0x1.ffp127});
  Tensor y =
      evaluate("%y = xf.cast %x : tensor<?x2xf32> to tensor<?x2xbf16>", "tensor<?x2xbf16>", {{"x", pairs}}, {{"x", x}});
  expectValues(y, {1, 1 + 0x4p-8, 3.296875, -std::numeric_limits<double>::infinity()});
  expectValues(
      evaluate("%y = xf.cast %x : tensor<?x2xbf16> to tensor<?x2xf32>", pairs, {{"x", "tensor<?x2xbf16>"}}, {{"x", y}}),
      {1, 1 + 0x4p-8, 3.296875, -std::numeric_limits<double>::infinity()});
}

TEST(Ops, PackedWeight) {
  // Column c of panel p is row 32 p + c; the columns past the last row are zero.
  Tensor weight = Tensor::reals({33, 2});
  for (int64_t i = 0; i < weight.elements(); ++i)
    weight[i] = double(i + 1);
  Tensor packed = evaluate("%y = xf.pack %w : (tensor<33x2xf32>) -> tensor<2x2x32xf32>", "tensor<2x2x32xf32>",
                           {{"w", "tensor<33x2xf32>"}}, {{"w", weight}});
  EXPECT_EQ(packed[(0 * 2 + 1) * 32 + 31], weight(31, 1));
  EXPECT_EQ(packed[(1 * 2 + 0) * 32 + 0], weight(32, 0));
  EXPECT_EQ(packed[(1 * 2 + 0) * 32 + 1], 0);
  Tensor y =
      evaluate("%y = xf.linear %x, %p : (tensor<?x2xf32>, tensor<2x2x32xf32>) -> tensor<?x33xf32>", "tensor<?x33xf32>",
               {{"x", pairs}, {"p", "tensor<2x2x32xf32>"}}, {{"x", reals({1, 2}, {1, -2})}, {"p", packed}});
  for (int64_t row = 0; row < 33; ++row)
    EXPECT_EQ(y[row], weight(row, 0) - 2 * weight(row, 1)) << row;
  Tensor looked =
      evaluate("%y = xf.embedding %ids, %p scale(0.5) rows(33) : (tensor<?xi32>, tensor<2x2x32xf32>) -> "
               "tensor<?x2xf32>",
               pairs, {{"ids", ids}, {"p", "tensor<2x2x32xf32>"}}, {{"ids", integers({32, 0, 32})}, {"p", packed}});
  expectValues(looked, {32.5, 33, 0.5, 1, 32.5, 33});
}

// What files and memory hold, in every type that a tensor of theirs may have and the interpreter has no own form of.
TEST(Ops, ReadsHalvesAndBytes) {
  uint16_t halves[] = {0x3c00, 0xc100, 0x0001, 0x7c00};
  Tensor numbers = mlir::xf::reference::fromView({"x", ::xf::runtime::ElementType::F16, {4}, halves});
  EXPECT_EQ(numbers[0], 1);
  EXPECT_EQ(numbers[1], -2.5);
  EXPECT_EQ(numbers[2], 0x1p-24);
  EXPECT_EQ(numbers[3], std::numeric_limits<double>::infinity());
  int8_t bytes[] = {-127, 0, 64};
  Tensor integers = mlir::xf::reference::fromView({"q", ::xf::runtime::ElementType::I8, {3}, bytes});
  EXPECT_EQ(integers.integer(0), -127);
  EXPECT_EQ(integers.integer(1), 0);
  EXPECT_EQ(integers.integer(2), 64);
}

TEST(Ops, QuantizedWeight) {
  // Groups of scales 2, 0, .5 and 128; 5 / 2 is 2.5, which goes to the even neighbour.
  Tensor weight = Tensor::reals({3, 33});
  weight(0, 0) = -254, weight(0, 31) = 5, weight(0, 32) = 63.5, weight(2, 0) = 12.7, weight(2, 32) = 127 * 128;
  Tensor packed = evaluate("%y = xf.pack %w : (tensor<3x33xf32>) -> tensor<1x37x32xi8>", "tensor<1x37x32xi8>",
                           {{"w", "tensor<3x33xf32>"}}, {{"w", weight}});
  auto line = [&](int64_t row, int64_t column) { return packed.integer(row * 32 + column); };
  EXPECT_EQ(line(0, 0), 0x00); // 2 is 0x4000
  EXPECT_EQ(line(0, 1), 0x40);
  EXPECT_EQ(line(0, 2), 0); // of a group of zeros
  EXPECT_EQ(line(0, 3), 0);
  EXPECT_EQ(line(2, 0), -127);
  EXPECT_EQ(line(33, 0), 2);
  EXPECT_EQ(line(34, 1), 0x3f); // .5 is 0x3f00
  EXPECT_EQ(line(36, 0), 127);
  EXPECT_EQ(line(2, 1), 0);
  EXPECT_EQ(line(2, 2), 127);
  EXPECT_EQ(line(36, 2), 127);
  EXPECT_EQ(line(2, 3), 0); // of no row
  Tensor x = Tensor::reals({1, 33});
  x(0, 0) = 1, x(0, 31) = -2, x(0, 32) = 4;
  std::string linear = "%y = xf.linear %x, %p : (tensor<?x33xf32>, tensor<1x37x32xi8>) -> tensor<?x3xf32>";
  Tensor y = evaluate(linear, "tensor<?x3xf32>", {{"x", "tensor<?x33xf32>"}, {"p", "tensor<1x37x32xi8>"}},
                      {{"x", x}, {"p", packed}});
  EXPECT_EQ(y[0], -254 - 2 * 4 + 4 * 63.5);
  EXPECT_EQ(y[1], 0);
  double tenth = 127 * 0.10009765625; // .1 of bf16
  EXPECT_EQ(y[2], tenth + 4 * 127 * 128);
  Tensor looked = evaluate("%y = xf.embedding %ids, %p rows(3) : (tensor<?xi32>, tensor<1x37x32xi8>) -> "
                           "tensor<?x33xf32>",
                           "tensor<?x33xf32>", {{"ids", ids}, {"p", "tensor<1x37x32xi8>"}},
                           {{"ids", integers({2, 1})}, {"p", packed}});
  EXPECT_EQ(looked[0], tenth);
  EXPECT_EQ(looked[32], 127 * 128);
  EXPECT_EQ(looked[33], 0);
  Tensor none = evaluate("%p = xf.pack %w : (tensor<1x2xf32>) -> tensor<1x4x32xi8>\n"
                         "%y = xf.linear %x, %p : (tensor<?x2xf32>, tensor<1x4x32xi8>) -> tensor<?x1xf32>",
                         "tensor<?x1xf32>", {{"x", pairs}, {"w", "tensor<1x2xf32>"}},
                         {{"x", reals({1, 2}, {1, 1})}, {"w", reals({1, 2}, {std::nan(""), 1})}});
  EXPECT_TRUE(std::isnan(none[0]));
}

TEST(Ops, MatmulInto) {
  Tensors inputs = {{"a", reals({3, 2}, {1, 2, 3, 4, 5, 6})},
                    {"b", reals({3, 2}, {1, 0, 0, 1, 1, 1})},
                    {"c", reals({2, 2}, {10, 0, 0, 10})}};
  expectValues(evaluate("%y = xf.matmul %a, %b into %c transpose_a : (tensor<?x2xf32>, tensor<?x2xf32>, "
                        "tensor<2x2xf32>) -> tensor<2x2xf32>",
                        "tensor<2x2xf32>", {{"a", pairs}, {"b", pairs}, {"c", "tensor<2x2xf32>"}}, inputs),
               {16, 8, 8, 20});
  expectValues(inputs["c"], {10, 0, 0, 10}); // a value, not a place: what it was made from stays
}

TEST(Ops, EmbeddingBackwardInto) {
  Tensors inputs = {{"dy", reals({3, 1}, {1, 2, 3})}, {"ids", integers({1, 0, 1})}, {"c", reals({2, 1}, {10, 20})}};
  expectValues(evaluate("%y = xf.embedding_backward %dy, %ids into %c scale(2.0) : (tensor<?x1xf32>, tensor<?xi32>, "
                        "tensor<2x1xf32>) -> tensor<2x1xf32>",
                        "tensor<2x1xf32>", {{"dy", ones}, {"ids", ids}, {"c", "tensor<2x1xf32>"}}, inputs),
               {14, 28});
}

// A query without keys gives 0 and +inf, in causal attention also the queries before the first key.
TEST(Ops, AttentionWithoutKeys) {
  std::string text = "%{} = xf.attention %q, %k, %k offsets(%qo, %ko) heads(1) scale(1.0) causal : (tensor<?x1xf32>, "
                     "tensor<?x1xf32>, tensor<?x1xf32>, tensor<?xi32>, tensor<?xi32>) -> "
                     "(tensor<?x1xf32>, tensor<?x1xf32>)";
  Tensors inputs = {
      {"q", reals({4, 1}, {1, 1, 1, 1})}, {"k", reals({1, 1}, {3})}, {"qo", offsets({2, 2})}, {"ko", offsets({0, 1})}};
  std::vector<std::pair<std::string, std::string>> arguments = {{"q", ones}, {"k", ones}, {"qo", ids}, {"ko", ids}};
  double infinity = std::numeric_limits<double>::infinity();
  expectValues(evaluate(fmt::format(fmt::runtime(text), "y, %lse"), ones, arguments, inputs), {0, 0, 0, 3});
  expectValues(evaluate(fmt::format(fmt::runtime(text), "o, %y"), ones, arguments, inputs),
               {infinity, infinity, infinity, 3});
}

// A bound on a score that is no number does not make it one.
TEST(Ops, BoundsOfNoNumber) {
  for (const char *bound : {"maximumf", "minimumf"}) {
    std::string text = fmt::format("%o, %y = xf.attention %q, %k, %k offsets(%qo, %ko) heads(1) scale(1.0) score {{\n"
                                   "^bb0(%score: f32, %head: index, %query: index, %key: index):\n"
                                   "%one = arith.constant 1.0 : f32\n%nothing = arith.divf %score, %score : f32\n"
                                   "%s = arith.{} %nothing, %one : f32\nxf.yield %s : f32\n}} : (tensor<?x1xf32>, "
                                   "tensor<?x1xf32>, tensor<?x1xf32>, tensor<?xi32>, tensor<?xi32>) -> "
                                   "(tensor<?x1xf32>, tensor<?x1xf32>)",
                                   bound);
    Tensors inputs = {{"q", reals({1, 1}, {0})}, {"k", reals({1, 1}, {3})}, {"qo", offsets({1})}, {"ko", offsets({1})}};
    Tensor logSumExp = evaluate(text, ones, {{"q", ones}, {"k", ones}, {"qo", ids}, {"ko", ids}}, inputs);
    EXPECT_TRUE(std::isnan(logSumExp[0])) << bound;
  }
}

// Of five keys, query i of three stands at key i + 2. What it sees by itself, by the masks' words, weighs 1 / how many.
TEST(Ops, MasksOfAttention) {
  Tensors inputs = {{"q", Tensor::reals({3, 1})}, {"k", Tensor::reals({5, 1})}, {"n", integers({-1, 3, 9})}};
  auto weights = [&](const std::string &masks, bool lengths) {
    return evaluate(fmt::format("%y = xf.attention_weights %q, %k heads(1) scale(1.0) {} : (tensor<?x1xf32>, "
                                "tensor<?x1xf32>{}) -> tensor<1x?x?xf32>",
                                masks, lengths ? ", tensor<?xi32>" : ""),
                    "tensor<1x?x?xf32>", {{"q", ones}, {"k", ones}, {"n", ids}}, inputs);
  };
  double half = 0.5, third = 1.0 / 3;
  expectValues(weights("causal", false), {third, third, third, 0, 0, .25, .25, .25, .25, 0, .2, .2, .2, .2, .2});
  expectValues(weights("window(1)", false),
               {0, third, third, third, 0, 0, 0, third, third, third, 0, 0, 0, half, half});
  expectValues(weights("causal window(1)", false), {0, half, half, 0, 0, 0, 0, half, half, 0, 0, 0, 0, half, half});
  expectValues(weights("lengths(%n)", true), {0, 0, 0, 0, 0, third, third, third, 0, 0, .2, .2, .2, .2, .2});
  expectValues(weights("window(1) lengths(%n)", true), {0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, half, half});
}

// Four heads that share two of keys and values, in sequences of 1 query, 1 key and 2 queries, 3 keys: plain attention
// in Python over keys and values written twice, its gradients by complex steps.
TEST(Ops, GroupedHeads) {
  Tensors inputs = {{"q", reals({3, 8}, {-1.25, 0.5,  -0.5, 1.25, 0.25,  -0.75, 1, 0,  -1,   0.75,  -0.25, -1.25,
                                         0.5,   -0.5, 1.25, 0.25, -0.75, 1,     0, -1, 0.75, -0.25, -1.25, 0.5})},
                    {"k", reals({4, 4}, {-1.5, 1, 0, -1, 1.5, 0.5, -0.5, -1.5, 1, 0, -1, 1.5, 0.5, -0.5, -1.5, 1})},
                    {"v", reals({4, 2}, {-2, 1, -1, 2, 0, -2, 1, -1})},
                    {"dy", reals({3, 4}, {-1, 1, 3, 0, 2, -1, 1, 3, 0, 2, -1, 1})},
                    {"qo", offsets({1, 2})},
                    {"ko", offsets({1, 3})}};
  const std::string eights = "tensor<?x8xf32>", fours = "tensor<?x4xf32>",
                    given = "heads(4) key_value_heads(2) scale(0.5)";
  std::vector<std::pair<std::string, std::string>> arguments = {{"q", eights}, {"k", fours}, {"v", pairs},
                                                                {"dy", fours}, {"qo", ids},  {"ko", ids}};
  auto forward = [&](const char *results) {
    return evaluate(fmt::format("{} = xf.attention %q, %k, %v offsets(%qo, %ko) {} : (tensor<?x8xf32>, "
                                "tensor<?x4xf32>, tensor<?x2xf32>, tensor<?xi32>, tensor<?xi32>) -> "
                                "(tensor<?x4xf32>, tensor<?x4xf32>)",
                                results, given),
                    fours, arguments, inputs);
  };
  Tensor result = forward("%y, %lse"), logSumExp = forward("%o, %y");
  expectValues(result, {-2, -2, 1, 1, 0.041639562869196345, 0.2443136723709814, 0.4086841448767022, -0.3077863602429323,
                        -0.041639562869196345, 0.16495373901923205, 0.17253704890839394, -0.9855897973634777});
  expectValues(logSumExp,
               {1.1875, 1, 0.375, 0, 0.5999139483851879, 1.019948871746835, 0.8563488932416534, 0.5282291969385504,
                0.724913948385188, 1.1193380844056782, 0.7288108068424861, 1.9368072227396658});

  inputs["o"] = result, inputs["lse"] = logSumExp;
  arguments.insert(arguments.end(), {{"o", fours}, {"lse", fours}});
  auto backward = [&](const char *results, const std::string &type) {
    return evaluate(fmt::format("{} = xf.attention_backward %dy, %q, %k, %v, %o, %lse offsets(%qo, %ko) {} : "
                                "(tensor<?x4xf32>, tensor<?x8xf32>, tensor<?x4xf32>, tensor<?x2xf32>, "
                                "tensor<?x4xf32>, tensor<?x4xf32>, tensor<?xi32>, tensor<?xi32>) -> "
                                "(tensor<?x8xf32>, tensor<?x4xf32>, tensor<?x2xf32>)",
                                results, given),
                    type, arguments, inputs);
  };
  expectValues(backward("%y, %dk, %dv", eights), {0,
                                                  0,
                                                  0,
                                                  0,
                                                  0,
                                                  0,
                                                  0,
                                                  0,
                                                  -0.3326832088896179,
                                                  -0.33268320888961783,
                                                  0.15551766026330308,
                                                  0.15551766026330308,
                                                  0.2970107178190215,
                                                  -1.2216489532633534,
                                                  0.754857799556966,
                                                  -3.5782614305691856,
                                                  0,
                                                  0,
                                                  -0.3231472140918692,
                                                  -0.3231472140918692,
                                                  -0.2915462232715274,
                                                  1.2514615644970577,
                                                  0.10278681835990709,
                                                  -0.6048005838367944});
  expectValues(backward("%dq, %y, %dv", fours),
               {0, 0, 0, 0, 0.291732296046712, -0.11819543854644966, 1.1811396513218748, 0.30385589143738506,
                0.004142995554160059, -0.00513365871604665, -0.8724104667393714, -0.27873367091963763,
                -0.2958752916008721, 0.12332909726249645, -0.3087291845825031, -0.02512222051774744});
  expectValues(backward("%dq, %dk, %y", pairs), {0, 3, 0.9152880636920955, 1.2712041151615796, 1.0005509412099343,
                                                 1.4864141276087048, 1.084160995097971, 1.2423817572297153});

  // The second sequence alone: its probabilities, and both its queries over its keys in another order.
  std::vector<double> q(8 * 2), k(4 * 3);
  for (int64_t i = 0; i < 16; ++i)
    q[i] = inputs["q"][8 + i];
  for (int64_t i = 0; i < 12; ++i)
    k[i] = inputs["k"][4 + i];
  expectValues(evaluate("%y = xf.attention_weights %q, %k " + given +
                            " : (tensor<?x8xf32>, tensor<?x4xf32>) -> tensor<4x?x?xf32>",
                        "tensor<4x?x?xf32>", {{"q", eights}, {"k", fours}},
                        {{"q", reals({2, 8}, q)}, {"k", reals({3, 4}, k)}}),
               {0.31273035405298855, 0.3328997290248267,  0.3543699169221849,  0.3543699169221849,  0.3328997290248267,
                0.31273035405298855, 0.21872306959481308, 0.31824018843939245, 0.4630367419657945,  0.25427521259046565,
                0.32649583579983665, 0.4192289516096977,  0.5453383271076292,  0.2273308364461854,  0.2273308364461854,
                0.48248241385199203, 0.2749101926475822,  0.2426073935004257,  0.35763970965955033, 0.38070548922158337,
                0.26165480111886624, 0.13542907292729126, 0.3918770161453516,  0.47269391092735713});
  expectValues(evaluate("%y = xf.cached_attention %q, %k, %v rows(%rows, %starts) " + given +
                            " : (tensor<?x8xf32>, tensor<?x4xf32>, tensor<?x2xf32>, tensor<?xi32>, tensor<?xi32>) -> "
                            "tensor<?x4xf32>",
                        fours, {{"q", eights}, {"k", fours}, {"v", pairs}, {"rows", ids}, {"starts", ids}},
                        {{"q", reals({2, 8}, q)},
                         {"k", inputs["k"]},
                         {"v", inputs["v"]},
                         {"rows", integers({3, 1, 2, 2, 3, 1})},
                         {"starts", offsets({3, 3})}}),
               {0.041639562869196345, 0.2443136723709814, 0.4086841448767022, -0.3077863602429323,
                -0.041639562869196345, 0.16495373901923205, 0.17253704890839394, -0.9855897973634777});
}

// The weights of one sequence, and its last query over a cache in another order: what attention gives.
TEST(Ops, WeightsAndCachedAttention) {
  Tensors inputs = {{"q", reals({2, 2}, {1, -1, 0.5, 2})},
                    {"k", reals({3, 2}, {0.3, 1, -1, 0.2, 2, 1})},
                    {"v", reals({3, 2}, {1, 2, 3, 4, 5, 6})},
                    {"qo", offsets({2})},
                    {"ko", offsets({3})}};
  Tensor attended =
      evaluate("%y, %lse = xf.attention %q, %k, %v offsets(%qo, %ko) heads(2) scale(0.5) causal : (tensor<?x2xf32>, "
               "tensor<?x2xf32>, tensor<?x2xf32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?x2xf32>, "
               "tensor<?x2xf32>)",
               pairs, {{"q", pairs}, {"k", pairs}, {"v", pairs}, {"qo", ids}, {"ko", ids}}, inputs);
  Tensor weights = evaluate("%y = xf.attention_weights %q, %k heads(2) scale(0.5) causal : (tensor<?x2xf32>, "
                            "tensor<?x2xf32>) -> tensor<2x?x?xf32>",
                            "tensor<2x?x?xf32>", {{"q", pairs}, {"k", pairs}}, inputs);
  ASSERT_EQ(weights.shape(), (Tensor::Shape{2, 2, 3}));
  for (int64_t h = 0; h < 2; ++h)
    for (int64_t q = 0; q < 2; ++q) {
      double sum = 0, total = 0;
      for (int64_t k = 0; k < 3; ++k) {
        sum += weights[(h * 2 + q) * 3 + k] * inputs["v"](k, h);
        total += weights[(h * 2 + q) * 3 + k];
      }
      EXPECT_NEAR(sum, attended(q, h), 1e-12);
      EXPECT_NEAR(total, 1, 1e-12);
    }
  EXPECT_EQ(weights[2], 0); // the first query does not see the last key

  Tensors cache = {{"q", reals({2, 2}, {0.5, 2, 7, 7})},
                   {"k", reals({4, 2}, {2, 1, 9, 9, 0.3, 1, -1, 0.2})},
                   {"v", reals({4, 2}, {5, 6, 9, 9, 1, 2, 3, 4})},
                   {"rows", integers({2, 3, 0})},
                   {"starts", offsets({3, 0})}};
  expectValues(
      evaluate("%y = xf.cached_attention %q, %k, %v rows(%rows, %starts) heads(2) scale(0.5) : (tensor<?x2xf32>, "
               "tensor<?x2xf32>, tensor<?x2xf32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x2xf32>",
               pairs, {{"q", pairs}, {"k", pairs}, {"v", pairs}, {"rows", ids}, {"starts", ids}}, cache),
      {attended(1, 0), attended(1, 1), 0, 0});

  // With a window, the last two rows of the list: what attention gives that sees them alone.
  cache["late"] = integers({3, 0});
  cache["late_starts"] = offsets({2, 0});
  auto cached = [&](const char *lists) {
    return evaluate(
        fmt::format("%y = xf.cached_attention %q, %k, %v {} : (tensor<?x2xf32>, tensor<?x2xf32>, "
                    "tensor<?x2xf32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x2xf32>",
                    lists),
        pairs,
        {{"q", pairs}, {"k", pairs}, {"v", pairs}, {"rows", ids}, {"starts", ids}, {"late", ids}, {"late_starts", ids}},
        cache);
  };
  Tensor late = cached("rows(%late, %late_starts) heads(2) scale(0.5)");
  expectValues(cached("rows(%rows, %starts) heads(2) scale(0.5) window(1)"), {late[0], late[1], 0, 0});
}

TEST(Ops, CacheWrite) {
  Tensors inputs = {{"cache", reals({3, 1}, {1, 2, 3})}, {"x", reals({2, 1}, {8, 9})}, {"slots", integers({2, 0})}};
  expectValues(evaluate("%y = xf.cache_write %cache, %x slots(%slots) : (tensor<?x1xf32>, tensor<?x1xf32>, "
                        "tensor<?xi32>) -> tensor<?x1xf32>",
                        ones, {{"cache", ones}, {"x", ones}, {"slots", ids}}, inputs),
               {9, 2, 8});
}

TEST(Ops, LogSoftmax) {
  expectValues(evaluate("%y = xf.log_softmax %x : tensor<?x2xf32>", pairs, {{"x", pairs}},
                        {{"x", reals({2, 2}, {0, 0, 1000, 0})}}),
               {-std::log(2), -std::log(2), 0, -1000});
}

TEST(Ops, TopK) {
  // Two blocks, of 64 and of 1; equal logits, and more ranks than tokens.
  Tensor logits = Tensor::reals({1, 65});
  logits[3] = 1, logits[7] = 1, logits[64] = 2;
  std::string types = "(tensor<?x65xf32>) -> (tensor<?x2xf32>, tensor<?x2xf32>)";
  std::string statistics = "%m, %s = xf.block_statistics %x : " + types + "\n";
  Tensors inputs = {{"x", logits}, {"ranks", Tensor::integers({70})}};
  const char *x = "tensor<?x65xf32>";
  double sum = 62 + 2 * std::exp(1), all = sum + std::exp(2);
  expectValues(evaluate("%y, %s = xf.block_statistics %x : " + types, "tensor<?x2xf32>", {{"x", x}}, inputs), {1, 2});
  expectValues(evaluate("%m, %y = xf.block_statistics %x : " + types, "tensor<?x2xf32>", {{"x", x}}, inputs),
               {62 * std::exp(-1) + 2, 1});
  std::string top = " = xf.top_k %x, %m, %s ranks(%ranks) : (tensor<?x65xf32>, tensor<?x2xf32>, tensor<?x2xf32>, "
                    "tensor<?xi32>) -> (tensor<?x?xf32>, tensor<?x?xi32>, tensor<?xf32>)";
  auto run = [&](const char *results, const char *type) {
    return evaluate(statistics + results + top, type, {{"x", x}, {"ranks", ids}}, inputs);
  };
  Tensor tokens = run("%v, %y, %l", "tensor<?x?xi32>"), values = run("%y, %t, %l", "tensor<?x?xf32>");
  expectValues(run("%v, %t, %y", "tensor<?xf32>"), {std::log(all)});
  ASSERT_EQ(tokens.elements(), 70);
  std::vector<int64_t> first, last;
  for (int64_t i : {0, 1, 2, 3, 4})
    first.push_back(tokens.integer(i));
  for (int64_t i : {64, 65, 69})
    last.push_back(tokens.integer(i));
  EXPECT_EQ(first, (std::vector<int64_t>{64, 3, 7, 0, 1}));
  EXPECT_EQ(last, (std::vector<int64_t>{63, -1, -1}));
  EXPECT_NEAR(values[0], 2 - std::log(all), 1e-12);
  EXPECT_NEAR(values[64], -std::log(all), 1e-12);
  EXPECT_EQ(values[65], -std::numeric_limits<double>::infinity());
}

TEST(Ops, MeanOfNothing) {
  expectValues(evaluate("%y = xf.mean %x : (tensor<?xf32>) -> tensor<f32>", "tensor<f32>", {{"x", "tensor<?xf32>"}},
                        {{"x", Tensor::reals({0})}}),
               {0});
}

// docs/Program.md, "Random numbers".
TEST(Ops, DropoutDrawsFromPhilox) {
  int64_t seed = (int64_t(5) << 32) | 9, width = 130;
  Tensors inputs = {{"x", Tensor::reals({2, width}, 1)}, {"random", integers({seed, 3})}};
  std::string type = "tensor<?x130xf32>";
  Tensor y = evaluate("%site = arith.constant 7 : i64\n%y = xf.dropout %x, %random, %site rate(0.25) : "
                      "tensor<?x130xf32>, tensor<2xi64>",
                      type, {{"x", type}, {"random", "tensor<2xi64>"}}, inputs);
  int64_t dropped = 0;
  for (int64_t r = 0; r < 2; ++r)
    for (int64_t c = 0; c < width; ++c) {
      auto words = ::xf::runtime::philox({3, 7, uint32_t(r), uint32_t(c / 64 * 16 + c % 16)}, {9, 5});
      EXPECT_EQ(y(r, c), words[c % 64 / 16] >= 0x40000000u ? 1 / 0.75 : 0) << r << ", " << c;
      dropped += y(r, c) == 0;
    }
  EXPECT_NEAR(double(dropped), 2 * 130 * 0.25, 25);
}

TEST(Ops, LearningRate) {
  auto rate = [](double kind, double warmup, int64_t step) {
    return evaluate("%y = xf.learning_rate %random, %hyper d_model(16) : (tensor<2xi64>, tensor<8xf32>) -> tensor<f32>",
                    "tensor<f32>", {{"random", "tensor<2xi64>"}, {"hyper", "tensor<8xf32>"}},
                    {{"random", integers({0, step})}, {"hyper", reals({8}, {2, warmup, kind})}})
        .scalar();
  };
  EXPECT_DOUBLE_EQ(rate(1, 4, 1), 2.0 / 4 / 8);
  EXPECT_DOUBLE_EQ(rate(1, 4, 16), 2.0 / 4 / 4);
  EXPECT_DOUBLE_EQ(rate(0, 4, 1), 0.5);
  EXPECT_DOUBLE_EQ(rate(0, 4, 9), 2);
  EXPECT_DOUBLE_EQ(rate(0, 0, 1), 2);
  EXPECT_DOUBLE_EQ(rate(2, 4, 1), 2.0 / 8);
  EXPECT_DOUBLE_EQ(rate(2, 4, 16), 2.0 / 4);
  EXPECT_DOUBLE_EQ(rate(3, 4, 1), 2.0 / 4);
  EXPECT_DOUBLE_EQ(rate(3, 4, 4), 2);
  EXPECT_DOUBLE_EQ(rate(3, 4, 16), 1);
  EXPECT_DOUBLE_EQ(rate(3, 0, 4), 1);
  // tensor2tensor's own words: constant * linear_warmup * rsqrt_decay * rsqrt_hidden_size, and without the last factor.
  for (double step : {1.0, 2.0, 7999.0, 8000.0, 8001.0, 100000.0}) {
    double written = 2 * std::min(1.0, step / 8000) / std::sqrt(std::max(step, 8000.0));
    EXPECT_NEAR(rate(1, 8000, int64_t(step)), written / std::sqrt(16.0), 1e-15);
    EXPECT_NEAR(rate(2, 8000, int64_t(step)), written, 1e-15);
  }
}

// Clipped by the norm, with decay; and not a step where the norm is not finite.
TEST(Ops, Adam) {
  Module module(R"(module {
    xf.param @p : tensor<2xf32> ones(1.0)
    func.func @f(%g: tensor<2xf32> {xf.name = "g"}, %random: tensor<2xi64> {xf.name = "random"}, %hyper: tensor<8xf32> {xf.name = "hyper"}) -> (tensor<f32> {xf.name = "norm"}) {
      %n = xf.global_norm %g : (tensor<2xf32>) -> tensor<f32>
      %lr = xf.learning_rate %random, %hyper d_model(1) : (tensor<2xi64>, tensor<8xf32>) -> tensor<f32>
      xf.adam %g parameters [@p] norm(%n) learning_rate(%lr) state(%random, %hyper) : tensor<2xf32>, tensor<f32>, tensor<f32>, tensor<2xi64>, tensor<8xf32>
      return %n : tensor<f32>
    }
  })");
  Tensors inputs = {{"g", reals({2}, {3, 4})},
                    {"random", integers({0, 1})},
                    {"hyper", reals({8}, {0.1, 0, 0, 2.5, 0.9, 0.99, 0.5, 0.01})}};
  EXPECT_DOUBLE_EQ(module.run("f", inputs)["norm"].scalar(), 5);
  // The first step's corrected moments are g' and g'^2, with g' = g / 2.
  expectValues(module.state.parameters["p"], {1 - 0.1 * (1.5 / (1.5 + 0.5) + 0.01), 1 - 0.1 * (2 / (2 + 0.5) + 0.01)});
  expectValues(module.state.firstMoments["p"], {0.15, 0.2});
  expectValues(module.state.secondMoments["p"], {0.0225, 0.04});
  Tensor before = module.state.parameters["p"];
  inputs["g"] = reals({2}, {std::numeric_limits<double>::quiet_NaN(), 4});
  module.run("f", inputs);
  expectValues(module.state.parameters["p"], {before[0], before[1]});
}

// What doesn't fit is said with both values, and where.
TEST(Ops, Errors) {
  struct Case {
    std::string body, result, message;
  };
  std::vector<Case> cases = {{"%y = xf.embedding %ids, %table : (tensor<?xi32>, tensor<3x2xf32>) -> tensor<?x2xf32>",
                              pairs,
                              "expected 'ids' to be at least 0 and less than the rows of 'table' (3), but got 5 at 1"},
                             {"%y = xf.position_ids %ids, %ids : (tensor<?xi32>, tensor<?xi32>) -> tensor<?xi32>", ids,
                              "expected 'offsets' to rise from 0 to at most the number of tokens (2), but got 5 at 1"},
                             {"%y = xf.embed \"e\" (%ids, %ids) vocabulary(3) positions(none) : (tensor<?xi32>, "
                              "tensor<?xi32>) -> tensor<?x2xf32>",
                              pairs,
                              "the interpreter can't run op 'xf.embed'; it supports the primitive ops, that is the "
                              "stages 'input', 'autodiff', 'fuse' and 'outline'"}};
  for (const Case &each : cases) {
    mlir::DialectRegistry registry;
    mlir::xf::registerAllDialects(registry);
    mlir::MLIRContext context(registry);
    std::string message;
    context.getDiagEngine().registerHandler([&](mlir::Diagnostic &diagnostic) {
      message = diagnostic.str();
      return mlir::success();
    });
    auto module = mlir::parseSourceString<mlir::ModuleOp>(
        fmt::format("func.func @f(%ids: tensor<?xi32>, %table: tensor<3x2xf32>) -> {1} {{\n{0}\nreturn %y : {1}\n}}",
                    each.body, each.result),
        mlir::ParserConfig(&context));
    ASSERT_TRUE(module) << message;
    ModelState state;
    mlir::xf::reference::Interpreter interpreter(*module, state);
    EXPECT_TRUE(failed(interpreter.run(interpreter.lookup("f"), {integers({0, 5}), Tensor::reals({3, 2})})));
    EXPECT_EQ(message, each.message);
  }
}
