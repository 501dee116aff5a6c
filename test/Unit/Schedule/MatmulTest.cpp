//===- MatmulTest.cpp - products and their epilogues against doubles ------------===//
// Every transposition, bias, `into` and epilogue, at extents around those of register tiles and of blocks.
//===----------------------------------------------------------------------------===//
#include "Compiled.h"
#include <fmt/format.h>

using namespace mlir::xf::test;

namespace {
struct Shape {
  int64_t in, out;
};

std::string moduleOf(const Shape &shape) {
  return fmt::format(R"(
func.func @linear(%x: tensor<?x{0}xf32> {{xf.name = "x", xf.dims = ["rows"]}}, %w: tensor<{1}x{0}xf32> {{xf.name = "w"}}, %b: tensor<{1}xf32> {{xf.name = "b"}}) -> (tensor<?x{1}xf32> {{xf.name = "y"}}, tensor<?x{1}xf32> {{xf.name = "plain"}}) attributes {{xf.entry}} {{
  %y = xf.linear %x, %w bias %b : (tensor<?x{0}xf32>, tensor<{1}x{0}xf32>, tensor<{1}xf32>) -> tensor<?x{1}xf32>
  %plain = xf.linear %x, %w : (tensor<?x{0}xf32>, tensor<{1}x{0}xf32>) -> tensor<?x{1}xf32>
  return %y, %plain : tensor<?x{1}xf32>, tensor<?x{1}xf32>
}}
func.func @packed(%x: tensor<?x{0}xf32> {{xf.name = "x", xf.dims = ["rows"]}}, %w: tensor<{1}x{0}xf32> {{xf.name = "w"}}, %b: tensor<{1}xf32> {{xf.name = "b"}}) -> (tensor<?x{1}xf32> {{xf.name = "y"}}) attributes {{xf.entry}} {{
  %p = xf.pack %w : (tensor<{1}x{0}xf32>) -> tensor<{2}x{0}x32xf32>
  %y = xf.linear %x, %p bias %b : (tensor<?x{0}xf32>, tensor<{2}x{0}x32xf32>, tensor<{1}xf32>) -> tensor<?x{1}xf32>
  return %y : tensor<?x{1}xf32>
}}
func.func @epilogue(%x: tensor<?x{0}xf32> {{xf.name = "x", xf.dims = ["rows"]}}, %w: tensor<{1}x{0}xf32> {{xf.name = "w"}}, %b: tensor<{1}xf32> {{xf.name = "b"}}, %residual: tensor<?x{1}xf32> {{xf.name = "residual", xf.dims = ["rows"]}},
    %random: tensor<2xi64> {{xf.name = "random"}}) -> (tensor<?x{1}xf32> {{xf.name = "product"}}, tensor<?x{1}xf32> {{xf.name = "y"}}) attributes {{xf.entry}} {{
  %site = arith.constant 9 : i64
  %0 = xf.linear %x, %w bias %b : (tensor<?x{0}xf32>, tensor<{1}x{0}xf32>, tensor<{1}xf32>) -> tensor<?x{1}xf32>
  %1 = xf.gelu %0 : tensor<?x{1}xf32>
  %2 = xf.dropout %1, %random, %site rate(0.2) : tensor<?x{1}xf32>, tensor<2xi64>
  %y = xf.add %residual, %2 : tensor<?x{1}xf32>
  return %0, %y : tensor<?x{1}xf32>, tensor<?x{1}xf32>
}}
func.func @backward(%dy: tensor<?x{1}xf32> {{xf.name = "residual", xf.dims = ["rows"]}}, %x: tensor<?x{0}xf32> {{xf.name = "x", xf.dims = ["rows"]}}, %w: tensor<{1}x{0}xf32> {{xf.name = "w"}}, %into: tensor<{1}x{0}xf32> {{xf.name = "into"}})
    -> (tensor<?x{0}xf32> {{xf.name = "dx"}}, tensor<{1}x{0}xf32> {{xf.name = "dw"}}, tensor<{1}x{0}xf32> {{xf.name = "sum"}}) attributes {{xf.entry}} {{
  %0 = xf.matmul %dy, %w : (tensor<?x{1}xf32>, tensor<{1}x{0}xf32>) -> tensor<?x{0}xf32>
  %dx = xf.relu_backward %0, %x : tensor<?x{0}xf32>
  %dw = xf.matmul %dy, %x transpose_a : (tensor<?x{1}xf32>, tensor<?x{0}xf32>) -> tensor<{1}x{0}xf32>
  %sum = xf.matmul %dy, %x into %into transpose_a : (tensor<?x{1}xf32>, tensor<?x{0}xf32>, tensor<{1}x{0}xf32>) -> tensor<{1}x{0}xf32>
  return %dx, %dw, %sum : tensor<?x{0}xf32>, tensor<{1}x{0}xf32>, tensor<{1}x{0}xf32>
}}
func.func @gated(%x: tensor<?x{0}xf32> {{xf.name = "x", xf.dims = ["rows"]}}, %w: tensor<{1}x{0}xf32> {{xf.name = "w"}}, %b: tensor<{1}xf32> {{xf.name = "b"}})
    -> (tensor<?x{1}xf32> {{xf.name = "gate"}}, tensor<?x{1}xf32> {{xf.name = "y"}}) attributes {{xf.entry}} {{
  %0 = xf.linear %x, %w bias %b : (tensor<?x{0}xf32>, tensor<{1}x{0}xf32>, tensor<{1}xf32>) -> tensor<?x{1}xf32>
  %1 = xf.silu %0 : tensor<?x{1}xf32>
  %2 = xf.linear %x, %w : (tensor<?x{0}xf32>, tensor<{1}x{0}xf32>) -> tensor<?x{1}xf32>
  %y = xf.multiply %1, %2 : tensor<?x{1}xf32>
  return %0, %y : tensor<?x{1}xf32>, tensor<?x{1}xf32>
}}
func.func @gated_backward(%dy: tensor<?x{1}xf32> {{xf.name = "residual", xf.dims = ["rows"]}}, %x: tensor<?x{0}xf32> {{xf.name = "x", xf.dims = ["rows"]}}, %w: tensor<{1}x{0}xf32> {{xf.name = "w"}})
    -> (tensor<?x{0}xf32> {{xf.name = "gate"}}, tensor<?x{0}xf32> {{xf.name = "in"}}) attributes {{xf.entry}} {{
  %0 = xf.matmul %dy, %w : (tensor<?x{1}xf32>, tensor<{1}x{0}xf32>) -> tensor<?x{0}xf32>
  %1 = xf.multiply %0, %x : tensor<?x{0}xf32>
  %gate = xf.silu_backward %1, %x : tensor<?x{0}xf32>
  %2 = xf.gelu_tanh %x : tensor<?x{0}xf32>
  %in = xf.multiply %0, %2 : tensor<?x{0}xf32>
  return %gate, %in : tensor<?x{0}xf32>, tensor<?x{0}xf32>
}}
func.func @transposed(%a: tensor<{0}x{1}xf32> {{xf.name = "a"}}, %w: tensor<{1}x{0}xf32> {{xf.name = "w"}}) -> (tensor<{1}x{1}xf32> {{xf.name = "both"}}, tensor<{1}x{1}xf32> {{xf.name = "none"}}) attributes {{xf.entry}} {{
  %both = xf.matmul %a, %w transpose_a transpose_b : (tensor<{0}x{1}xf32>, tensor<{1}x{0}xf32>) -> tensor<{1}x{1}xf32>
  %none = xf.matmul %w, %a : (tensor<{1}x{0}xf32>, tensor<{0}x{1}xf32>) -> tensor<{1}x{1}xf32>
  return %both, %none : tensor<{1}x{1}xf32>, tensor<{1}x{1}xf32>
}}
)",
                     shape.in, shape.out, (shape.out + 31) / 32);
}

class Matmul : public testing::TestWithParam<Shape> {};

void check(const std::string &text, const Shape &shape, const std::vector<unsigned> &ways, double tolerance) {
  auto [in, out] = shape;
  Module reference(text);
  std::map<unsigned, Compiled> compiled;
  for (unsigned way : ways)
    compiled.try_emplace(way, text, way);
  ASSERT_FALSE(testing::Test::HasFailure());
  for (int64_t rows : {0, 1, 5, 6, 13, 100, 301}) {
    Tensor random = Tensor::integers({2});
    Tensors inputs = {{"x", normal({rows, in}, 1)},
                      {"w", normal({out, in}, 2)},
                      {"b", normal({out}, 3)},
                      {"residual", normal({rows, out}, 4)},
                      {"into", normal({out, in}, 5)},
                      {"a", normal({in, out}, 6)},
                      {"random", random}};
    for (const char *entry : {"linear", "packed", "epilogue", "backward", "gated", "gated_backward", "transposed"}) {
      Tensors expected = reference.run(entry, inputs);
      for (auto &[way, module] : compiled)
        expectClose(module.run(entry, inputs), expected,
                    // A gate multiplies the rounding of a sum of so many terms by another such sum.
                    llvm::StringRef(entry).starts_with("gated") ? tolerance * std::max<double>(1, std::sqrt(in) / 10)
                                                                : tolerance,
                    fmt::format("{} of {} rows, {} to {}, vectors of {}", entry, rows, in, out, way));
    }
  }
}
} // namespace

TEST_P(Matmul, AgreesWithDoubles) {
  std::vector<unsigned> ways = vectorWidths();
  ways.push_back(upstream);
  ways.push_back(gpu);
  check(moduleOf(GetParam()), GetParam(), ways, 1e-4);
}

// A number that lies between two of bf16 may be rounded to either.
using MatmulOfBF16 = Matmul;
TEST_P(MatmulOfBF16, AgreesWithDoubles) { check(inBF16(moduleOf(GetParam())), GetParam(), vectorWidths(), 0x1p-7); }
INSTANTIATE_TEST_SUITE_P(Extents, MatmulOfBF16,
                         testing::Values(Shape{1, 1}, Shape{3, 17}, Shape{130, 33}, Shape{520, 200}),
                         [](const auto &info) { return fmt::format("{}to{}", info.param.in, info.param.out); });

// The products of what quantizing leaves of a weight, and not more than half a step an element from those of the
// weight.
using QuantizedMatmul = Matmul;
TEST_P(QuantizedMatmul, AgreesWithDoubles) {
  auto [in, out] = GetParam();
  std::string text = fmt::format(R"(
func.func @quantized(%x: tensor<?x{0}xf32> {{xf.name = "x", xf.dims = ["rows"]}}, %w: tensor<{1}x{0}xf32> {{xf.name = "w"}}, %b: tensor<{1}xf32> {{xf.name = "b"}}) -> (tensor<?x{1}xf32> {{xf.name = "y"}}) attributes {{xf.entry}} {{
  %p = xf.pack %w : (tensor<{1}x{0}xf32>) -> tensor<{2}x{3}x32xi8>
  %0 = xf.linear %x, %p bias %b : (tensor<?x{0}xf32>, tensor<{2}x{3}x32xi8>, tensor<{1}xf32>) -> tensor<?x{1}xf32>
  %y = xf.relu %0 : tensor<?x{1}xf32>
  return %y : tensor<?x{1}xf32>
}}
func.func @whole(%x: tensor<?x{0}xf32> {{xf.name = "x", xf.dims = ["rows"]}}, %w: tensor<{1}x{0}xf32> {{xf.name = "w"}}, %b: tensor<{1}xf32> {{xf.name = "b"}}) -> (tensor<?x{1}xf32> {{xf.name = "y"}}) attributes {{xf.entry}} {{
  %0 = xf.linear %x, %w bias %b : (tensor<?x{0}xf32>, tensor<{1}x{0}xf32>, tensor<{1}xf32>) -> tensor<?x{1}xf32>
  %y = xf.relu %0 : tensor<?x{1}xf32>
  return %y : tensor<?x{1}xf32>
}})",
                                 in, out, (out + 31) / 32, in + (in + 31) / 32 * 2);
  Module reference(text);
  Tensor weight = normal({out, in}, 1);
  for (int64_t k = 0; k < in; ++k)
    weight(out - 1, k) = 0;
  for (int64_t rows : {0, 1, 5, 13}) {
    Tensor x = normal({rows, in}, 2);
    Tensors inputs = {{"x", x}, {"w", weight}, {"b", normal({out}, 3)}};
    Tensors expected = reference.run("quantized", inputs);
    for (unsigned width : vectorWidths()) {
      Compiled compiled(text, width);
      expectClose(compiled.run("quantized", inputs), expected, 1e-4,
                  fmt::format("{} rows, vectors of {}", rows, width));
    }
    expectClose(Compiled(text, upstream).run("quantized", inputs), expected, 1e-4,
                fmt::format("{} rows, linalg", rows));
    Tensor whole = reference.run("whole", inputs)["y"];
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < out; ++c) {
        double bound = 0;
        for (int64_t begin = 0; begin < in; begin += 32) {
          double most = 0, sum = 0;
          for (int64_t k = begin; k < std::min(begin + 32, in); ++k) {
            most = std::max(most, std::abs(weight(c, k)));
            sum += std::abs(x(r, k));
          }
          bound += most / 127 / 2 * sum * 1.004; // the scale is of bf16
        }
        EXPECT_LE(std::abs(whole(r, c) - expected["y"](r, c)), bound * 1.0001);
      }
  }
  // A row's bits are the same whatever comes with it.
  for (unsigned width : vectorWidths()) {
    Compiled compiled(text, width);
    auto run = [&](const Tensor &x) {
      return compiled.run("quantized", {{"x", x}, {"w", weight}, {"b", normal({out}, 3)}})["y"];
    };
    Tensor many = normal({61, in}, 4), together = run(many);
    for (int64_t row : {0, 4, 5, 47, 48, 60}) {
      Tensor alone = Tensor::reals({1, in});
      for (int64_t k = 0; k < in; ++k)
        alone(0, k) = many(row, k);
      Tensor y = run(alone);
      for (int64_t c = 0; c < out; ++c)
        ASSERT_EQ(y(0, c), together(row, c)) << "vectors of " << width << ", row " << row << ", column " << c;
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Extents, QuantizedMatmul,
                         testing::Values(Shape{1, 1}, Shape{3, 17}, Shape{9, 48}, Shape{32, 5}, Shape{33, 64},
                                         Shape{130, 33}, Shape{2100, 40}),
                         [](const auto &info) { return fmt::format("{}to{}", info.param.in, info.param.out); });

// A row's bits depend on that row alone: not on how many come with it (few rows take another path), nor on the threads.
TEST(MatmulKernels, KeepTheirBits) {
  for (auto [in, out, narrow] :
       {std::tuple<int64_t, int64_t, bool>{37, 41, false}, {600, 300, false}, {600, 300, true}}) {
    std::string text = narrow ? inBF16(moduleOf({in, out})) : moduleOf({in, out});
    for (unsigned width : narrow ? std::vector{vectorWidths().back()} : vectorWidths()) {
      Compiled compiled(text, width);
      ASSERT_FALSE(HasFailure());
      auto run = [&](const char *entry, int64_t rows, int threads) {
        Tensors inputs = {{"w", normal({out, in}, 2)},
                          {"b", normal({out}, 3)},
                          {"into", normal({out, in}, 5)},
                          {"random", Tensor::integers({2})}};
        Tensor x = normal({130, in}, 1), residual = normal({130, out}, 4);
        for (auto [name, whole, columns] :
             {std::tuple<const char *, Tensor &, int64_t>{"x", x, in}, {"residual", residual, out}}) {
          Tensor first = Tensor::reals({rows, columns});
          for (int64_t i = 0; i < first.elements(); ++i)
            first[i] = whole[i];
          inputs.emplace(name, first);
        }
        return compiled.run(entry, inputs, threads);
      };
      for (auto [entry, result] : {std::pair<const char *, const char *>{"linear", "y"},
                                   {"packed", "y"},
                                   {"epilogue", "y"},
                                   {"backward", "dx"}}) {
        // A packed weight gives the bits of the weight itself.
        Tensors all = run(entry == std::string("packed") ? "linear" : entry, 130, 1);
        for (int64_t rows : {1, 2, 3, 4, 5, 12, 49, 130}) {
          Tensor some = run(entry, rows, 3)[result];
          for (int64_t i = 0; i < some.elements(); ++i)
            ASSERT_EQ(some[i], all[result][i]) << entry << " of " << rows << " rows, element " << i;
        }
      }
    }
  }
}

// Equal products are one kernel; what a worker has packed it keeps from range to range, and not to the next product.
TEST(MatmulKernels, PackForEachDispatch) {
  std::string text = R"(
func.func @two(%x: tensor<?x100xf32> {xf.name = "x", xf.dims = ["rows"]}, %w: tensor<96x100xf32> {xf.name = "w"}, %v: tensor<96x100xf32> {xf.name = "v"}) -> (tensor<?x96xf32> {xf.name = "y"}, tensor<?x96xf32> {xf.name = "z"}) attributes {xf.entry} {
  %y = xf.linear %x, %w : (tensor<?x100xf32>, tensor<96x100xf32>) -> tensor<?x96xf32>
  %z = xf.linear %x, %v : (tensor<?x100xf32>, tensor<96x100xf32>) -> tensor<?x96xf32>
  return %y, %z : tensor<?x96xf32>, tensor<?x96xf32>
}
)";
  Compiled compiled(text, vectorWidths().back());
  Tensors inputs = {{"x", normal({1000, 100}, 1)}, {"w", normal({96, 100}, 2)}, {"v", normal({96, 100}, 3)}};
  Tensors expected = Module(text).run("two", inputs);
  for (int threads : {1, 3})
    expectClose(compiled.run("two", inputs, threads), expected, 1e-4, fmt::format("on {} threads", threads));
}

INSTANTIATE_TEST_SUITE_P(Extents, Matmul,
                         testing::Values(Shape{1, 1}, Shape{3, 17}, Shape{64, 96}, Shape{130, 33}, Shape{300, 8},
                                         Shape{520, 200}, Shape{2100, 40}),
                         [](const auto &info) { return fmt::format("{}to{}", info.param.in, info.param.out); });
