//===- TopKTest.cpp - the likeliest tokens against doubles ----------------------===//
// Logits are small integers, so that many are equal, in f32 as in f64: which of them come first is compared exactly.
//===----------------------------------------------------------------------------===//
#include "Compiled.h"
#include <cmath>
#include <fmt/format.h>

using namespace mlir::xf::test;

namespace {
/// A projection whose epilogue computes the statistics, plain, packed and after another op; and statistics alone.
std::string moduleOf(int64_t in, int64_t out) {
  int64_t blocks = (out + 63) / 64;
  std::string statistics = fmt::format("(tensor<?x{0}xf32>) -> (tensor<?x{1}xf32>, tensor<?x{1}xf32>)", out, blocks);
  std::string end = fmt::format(R"(
  %m, %s = xf.block_statistics %y : {2}
  %values, %tokens, %lse = xf.top_k %y, %m, %s ranks(%ranks)
    : (tensor<?x{0}xf32>, tensor<?x{1}xf32>, tensor<?x{1}xf32>, tensor<?xi32>) -> (tensor<?x?xf32>, tensor<?x?xi32>, tensor<?xf32>)
  return %y, %values, %tokens, %lse : tensor<?x{0}xf32>, tensor<?x?xf32>, tensor<?x?xi32>, tensor<?xf32>
}}
)",
                                out, blocks, statistics);
  std::string text;
  for (auto [name, body] : {std::pair("plain", "%y = xf.linear %x, %w : (X, W) -> Y"),
                            {"packed", "%p = xf.pack %w : (W) -> P\n  %y = xf.linear %x, %p : (X, P) -> Y"},
                            {"activated", "%0 = xf.linear %x, %w : (X, W) -> Y\n  %y = xf.relu %0 : Y"},
                            {"alone", "%z = xf.relu %logits : Y\n  %y = xf.add %z, %z : Y"}}) {
    std::string function =
        fmt::format("func.func @{}(%x: X {{xf.name = \"x\", xf.dims = [\"rows\"]}}, %w: W {{xf.name = "
                    "\"w\"}}, %logits: Y {{xf.name = \"logits\", xf.dims = [\"rows\"]}}, %ranks: "
                    "tensor<?xi32> {{xf.name = \"ranks\", xf.dims = [\"ranks\"]}}) -> (Y {{xf.name = "
                    "\"y\"}}, tensor<?x?xf32> {{xf.name = \"values\"}}, tensor<?x?xi32> {{xf.name = "
                    "\"tokens\"}}, tensor<?xf32> {{xf.name = \"lse\"}}) attributes {{xf.entry}} {{\n  {}",
                    name, body) +
        end;
    for (auto [from, to] : {std::pair("X", fmt::format("tensor<?x{}xf32>", in)),
                            {"W", fmt::format("tensor<{}x{}xf32>", out, in)},
                            {"P", fmt::format("tensor<{}x{}x32xf32>", (out + 31) / 32, in)},
                            {"Y", fmt::format("tensor<?x{}xf32>", out)}})
      for (size_t at = 0; (at = function.find(from, at)) != function.npos; at += to.size())
        function.replace(at, 1, to);
    text += function;
  }
  return text;
}

Tensor smallIntegers(std::vector<int64_t> shape, int64_t factor) {
  Tensor tensor = Tensor::reals(std::move(shape));
  for (int64_t i = 0; i < tensor.elements(); ++i)
    tensor[i] = double((i * i % 101 * factor + i) % 5 - 2);
  return tensor;
}
} // namespace

TEST(TopK, AgreesWithDoubles) {
  for (auto [in, out] : {std::pair<int64_t, int64_t>{2, 1}, {3, 63}, {3, 65}, {17, 200}, {5, 1000}}) {
    std::string text = moduleOf(in, out);
    Module reference(text);
    std::vector<unsigned> ways = vectorWidths();
    ways.push_back(upstream);
    ways.push_back(gpu);
    for (unsigned way : ways) {
      if (way == upstream && out > 200) // which compares all with all
        continue;
      Compiled compiled(text, way);
      ASSERT_FALSE(HasFailure());
      for (int64_t rows : {0, 1, 3, 61})
        for (int64_t ranks : {1, 8, 70}) {
          Tensors inputs = {{"x", smallIntegers({rows, in}, 3)},
                            {"w", smallIntegers({out, in}, 7)},
                            {"logits", smallIntegers({rows, out}, 11)},
                            {"ranks", Tensor::integers({ranks})}};
          for (const char *entry : {"plain", "packed", "activated", "alone"}) {
            std::string what = fmt::format("{}: {} of {} logits, {} rows, vectors of {}", entry, ranks, out, rows, way);
            Tensors expected = reference.run(entry, inputs), actual = compiled.run(entry, inputs);
            for (const char *name : {"y", "values", "lse"})
              for (int64_t i = 0; i < expected[name].elements(); ++i)
                if (std::isinf(expected[name][i]))
                  ASSERT_EQ(actual[name][i], expected[name][i]) << what << ": " << name << " " << i;
                else
                  ASSERT_NEAR(actual[name][i], expected[name][i], 2e-5) << what << ": " << name << " " << i;
            ASSERT_EQ(actual["tokens"].elements(), rows * ranks);
            for (int64_t i = 0; i < rows * ranks; ++i)
              ASSERT_EQ(actual["tokens"].integer(i), expected["tokens"].integer(i)) << what << ", rank " << i % ranks;
          }
        }
    }
  }
}

// A row's bits depend on that row alone: not on how many come with it, nor on the threads; the packed weight's are the
// same.
TEST(TopK, KeepsItsBits) {
  constexpr int64_t in = 40, out = 1000, rows = 130;
  Compiled compiled(moduleOf(in, out), vectorWidths().back());
  ASSERT_FALSE(HasFailure());
  Tensor x = normal({rows, in}, 1);
  auto run = [&](const char *entry, int64_t count, int threads) {
    Tensor first = Tensor::reals({count, in});
    for (int64_t i = 0; i < first.elements(); ++i)
      first[i] = x[i];
    return compiled.run(entry,
                        {{"x", first},
                         {"w", normal({out, in}, 2)},
                         {"logits", Tensor::reals({count, out})},
                         {"ranks", Tensor::integers({9})}},
                        threads);
  };
  Tensors all = run("plain", rows, 1);
  for (const char *entry : {"plain", "packed"})
    for (int64_t count : {1, 2, 5, 64, 130}) {
      Tensors some = run(entry, count, 3);
      for (const char *name : {"y", "values", "lse"})
        for (int64_t i = 0; i < some[name].elements(); ++i)
          ASSERT_EQ(some[name][i], all[name][i]) << entry << ", " << count << " rows: " << name << " " << i;
      for (int64_t i = 0; i < some["tokens"].elements(); ++i)
        ASSERT_EQ(some["tokens"].integer(i), all["tokens"].integer(i));
    }
}

// What is no number is no token, but does not go unseen.
TEST(TopK, ShowsWhatIsNoNumber) {
  Compiled compiled(moduleOf(2, 65), vectorWidths().back());
  ASSERT_FALSE(HasFailure());
  Tensor w = smallIntegers({65, 2}, 7);
  w(64, 0) = std::nan("");
  Tensors found = compiled.run("plain", {{"x", Tensor::reals({1, 2}, 1)},
                                         {"w", w},
                                         {"logits", Tensor::reals({1, 65})},
                                         {"ranks", Tensor::integers({65})}});
  EXPECT_TRUE(std::isnan(found["lse"][0]));
  for (int64_t i = 0; i < 65; ++i)
    EXPECT_NE(found["tokens"].integer(i), 64);
}
