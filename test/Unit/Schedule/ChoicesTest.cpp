//===- ChoicesTest.cpp - other choices, the same bits ----------------------------===//
// Every parameter of a schedule that may be chosen, at numbers that the extents cross, against the default.
//===----------------------------------------------------------------------------===//
#include "Compiled.h"

using namespace mlir::xf::test;

namespace {
constexpr const char *text = R"(
func.func @product(%x: tensor<?x300xf32> {xf.name = "x", xf.dims = ["rows"]}, %w: tensor<200x300xf32> {xf.name = "w"}, %b: tensor<200xf32> {xf.name = "b"}, %dy: tensor<?x200xf32> {xf.name = "dy", xf.dims = ["rows"]}, %random: tensor<2xi64> {xf.name = "random"})
    -> (tensor<?x200xf32> {xf.name = "y"}, tensor<200x300xf32> {xf.name = "dw"}) attributes {xf.entry} {
  %site = arith.constant 9 : i64
  %0 = xf.linear %x, %w bias %b : (tensor<?x300xf32>, tensor<200x300xf32>, tensor<200xf32>) -> tensor<?x200xf32>
  %1 = xf.relu %0 : tensor<?x200xf32>
  %y = xf.dropout %1, %random, %site rate(0.2) : tensor<?x200xf32>, tensor<2xi64>
  %dw = xf.matmul %dy, %x transpose_a : (tensor<?x200xf32>, tensor<?x300xf32>) -> tensor<200x300xf32>
  return %y, %dw : tensor<?x200xf32>, tensor<200x300xf32>
}
func.func @rows(%x: tensor<?x300xf32> {xf.name = "x", xf.dims = ["rows"]}, %weight: tensor<300xf32> {xf.name = "weight"}) -> (tensor<?x300xf32> {xf.name = "y"}) attributes {xf.entry} {
  %y = xf.layer_norm %x, %weight, %weight : (tensor<?x300xf32>, tensor<300xf32>, tensor<300xf32>) -> tensor<?x300xf32>
  return %y : tensor<?x300xf32>
}
func.func @attention(%q: tensor<?x40xf32> {xf.name = "q", xf.dims = ["tokens"]}, %offsets: tensor<?xi32> {xf.name = "offsets", xf.dims = ["offsets"]}, %random: tensor<2xi64> {xf.name = "random"})
    -> (tensor<?x40xf32> {xf.name = "o"}, tensor<?x40xf32> {xf.name = "dq"}, tensor<?x40xf32> {xf.name = "dk"}, tensor<?x40xf32> {xf.name = "dv"}) attributes {xf.entry} {
  %site = arith.constant 3 : i64
  %o, %lse = xf.attention %q, %q, %q offsets(%offsets, %offsets) heads(2) scale(0.2) causal dropout(0.1, %random, %site)
    : (tensor<?x40xf32>, tensor<?x40xf32>, tensor<?x40xf32>, tensor<?xi32>, tensor<?xi32>, tensor<2xi64>, i64) -> (tensor<?x40xf32>, tensor<?x2xf32>)
  %dq, %dk, %dv = xf.attention_backward %o, %q, %q, %q, %o, %lse offsets(%offsets, %offsets) heads(2) scale(0.2) causal dropout(0.1, %random, %site)
    : (tensor<?x40xf32>, tensor<?x40xf32>, tensor<?x40xf32>, tensor<?x40xf32>, tensor<?x40xf32>, tensor<?x2xf32>, tensor<?xi32>, tensor<?xi32>, tensor<2xi64>, i64) -> (tensor<?x40xf32>, tensor<?x40xf32>, tensor<?x40xf32>)
  return %o, %dq, %dk, %dv : tensor<?x40xf32>, tensor<?x40xf32>, tensor<?x40xf32>, tensor<?x40xf32>
}
)";

/// What the three functions give with these schedules in place of the default ones.
Tensors results(unsigned vectorWidth, const std::vector<std::string> &schedules) {
  Tensors inputs{{"x", normal({700, 300}, 1)},      {"w", normal({200, 300}, 2)},      {"b", normal({200}, 3)},
                 {"dy", normal({700, 200}, 4)},     {"weight", normal({300}, 5)},      {"q", normal({330, 40}, 6)},
                 {"random", Tensor::integers({2})}, {"offsets", Tensor::integers({4})}};
  for (int64_t i = 0; i < 2; ++i)
    inputs["random"].integer(i) = i + 7;
  for (auto [i, offset] : {std::pair(0, 0), {1, 5}, {2, 5}, {3, 330}})
    inputs["offsets"].integer(i) = offset;
  Compiled compiled(text, vectorWidth, schedules);
  Tensors all;
  for (const char *function : {"product", "rows", "attention"})
    for (auto &[name, tensor] : compiled.run(function, inputs, 2))
      all[std::string(function) + "." + name] = tensor;
  return all;
}
} // namespace

TEST(Choices, KeepBits) {
  for (unsigned width : vectorWidths()) {
    Tensors expected = results(width, {});
    for (const std::vector<std::string> &schedules : std::vector<std::vector<std::string>>{
             {"#xf.matmul_schedule<register_rows = 6, rows = 24, columns = 64, block_rows = 48, depth = 512, copy_a = "
              "true>",
              "#xf.attention_schedule<queries = 24, keys = 128, turn = 96>", "#xf.row_schedule<rows = 1>"},
             {"#xf.matmul_schedule<register_rows = 4, rows = 100, columns = 320, block_rows = 30, depth = 80, copy_a = "
              "false>",
              "#xf.attention_schedule<queries = 100, keys = 128, turn = 70>", "#xf.row_schedule<rows = 333>"}}) {
      Tensors actual = results(width, schedules);
      ASSERT_EQ(actual.size(), 7u);
      for (const auto &[name, tensor] : actual)
        for (int64_t i = 0; i < tensor.elements(); ++i)
          ASSERT_EQ(tensor[i], expected[name][i]) << name << " at " << i << " with " << schedules[0];
    }
  }
}
