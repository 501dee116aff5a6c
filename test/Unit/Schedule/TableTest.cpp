//===- TableTest.cpp - rows of packed tables against doubles --------------------===//
// What is looked up where products read: in panels of f32, bf16 and i8, at vocabularies and widths around theirs.
//===----------------------------------------------------------------------------===//
#include "Compiled.h"
#include <fmt/format.h>
#include <random>

using namespace mlir::xf::test;

namespace {
struct Shape {
  int64_t rows, features;
};

/// Looked up plainly and packed, then normalized, which passes over a row again; and, of `QUANTIZED`, in i8.
std::string moduleOf(const Shape &shape) {
  auto entry = [&](const char *name, const std::string &body) {
    return fmt::format("func.func @{0}(%ids: I {{xf.name = \"ids\", xf.dims = [\"tokens\"]}}, %table: T {{xf.name = "
                       "\"table\"}}, %w: W {{xf.name = \"w\"}}) -> (X {{xf.name = \"y\"}}) attributes {{xf.entry}} "
                       "{{\n{1}  return %y : X\n}}\n",
                       name, body);
  };
  std::string packed = "  %p = xf.pack %table : (T) -> P\n", rows = fmt::format(" rows({})", shape.rows),
              norm = "  %y = xf.layer_norm %e, %w rms epsilon(0.5) : (X, W) -> X\n";
  return fmt::format("!I = tensor<?xi32>\n!T = tensor<{0}x{1}xf32>\n!X = tensor<?x{1}xf32>\n!W = tensor<{1}xf32>\n"
                     "!P = tensor<{2}x{1}x32xf32>\n!Q = tensor<{2}x{3}x32xi8>\n",
                     shape.rows, shape.features, (shape.rows + 31) / 32,
                     shape.features + (shape.features + 31) / 32 * 2) +
         entry("plain", "  %y = xf.embedding %ids, %table scale(3.0) : (I, T) -> X\n") +
         entry("packed", packed + "  %y = xf.embedding %ids, %p scale(3.0)" + rows + " : (I, P) -> X\n") +
         entry("normed", packed + "  %e = xf.embedding %ids, %p" + rows + " : (I, P) -> X\n" + norm);
}
std::string quantizedOf(const Shape &shape) {
  std::string text = moduleOf(shape);
  for (auto [from, to] : {std::pair<std::string, std::string>{"(T) -> P", "(T) -> Q"}, {"(I, P)", "(I, Q)"}})
    for (size_t at = text.find(from); at != std::string::npos; at = text.find(from))
      text.replace(at, from.size(), to);
  return text;
}

/// Types of one letter, written out.
std::string spelt(std::string text) {
  std::map<char, std::string> types;
  while (text.starts_with("!")) {
    size_t end = text.find('\n');
    types[text[1]] = text.substr(5, end - 5);
    text.erase(0, end + 1);
  }
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    bool isAlone = !std::isalnum(text[i ? i - 1 : 0]) && i + 1 < text.size() && !std::isalnum(text[i + 1]);
    result += isAlone && types.contains(text[i]) ? types[text[i]] : std::string(1, text[i]);
  }
  return result;
}

class Tables : public testing::TestWithParam<Shape> {
protected:
  /// Ids of which some come again, and the last row's among them.
  Tensors inputs(int64_t tokens) {
    auto [rows, features] = GetParam();
    std::mt19937 random(static_cast<unsigned>(rows * 1000 + features));
    Tensor ids = Tensor::integers({tokens}), table = normal({rows, features}, 1);
    for (int64_t t = 0; t < tokens; ++t)
      ids.integer(t) = t % 3 == 0 ? rows - 1 : static_cast<int64_t>(random() % static_cast<uint64_t>(rows));
    for (int64_t k = 0; k < features; ++k)
      table(0, k) = 0; // of which the scale is 0
    return {{"ids", ids}, {"table", table}, {"w", normal({features}, 2)}};
  }
  /// Each entry, by every way, beside the interpreter.
  void check(const std::string &text, const std::vector<unsigned> &ways, double tolerance) {
    Module reference(text);
    for (unsigned way : ways) {
      Compiled compiled(text, way);
      ASSERT_TRUE(compiled.valid());
      for (int64_t tokens : {0, 1, 50})
        for (const char *entry : {"plain", "packed", "normed"})
          expectClose(compiled.run(entry, inputs(tokens), 3), reference.run(entry, inputs(tokens)), tolerance,
                      fmt::format("{}, {} tokens, vectors of {}", entry, tokens, way));
    }
  }
};
} // namespace

// Scaled by one multiplication: the packed table's numbers are the table's. A norm's sums round.
TEST_P(Tables, AgreeWithDoubles) {
  std::vector<unsigned> ways = vectorWidths();
  ways.push_back(upstream);
  ways.push_back(gpu);
  std::string text = spelt(moduleOf(GetParam()));
  check(text, ways, 2e-6);
  for (unsigned way : ways) {
    Compiled compiled(text, way);
    Tensor plain = compiled.run("plain", inputs(50))["y"], packed = compiled.run("packed", inputs(50), 2)["y"];
    for (int64_t i = 0; i < plain.elements(); ++i)
      ASSERT_EQ(packed[i], plain[i]) << way << " at " << i;
  }
}

// A number that lies between two of bf16 may be rounded to either, once where it is kept and once where it is given.
TEST_P(Tables, OfBF16) {
  std::string text = inBF16(spelt(moduleOf(GetParam())));
  check(text, vectorWidths(), 0x1p-7);
  check(inBF16(spelt(moduleOf(GetParam())), gpu), {gpu}, 0x1p-7);
}

// As xf.pack rounds them, and no further than half a step from what they were.
TEST_P(Tables, OfI8) {
  auto [rows, features] = GetParam();
  std::vector<unsigned> ways = vectorWidths();
  ways.push_back(upstream);
  std::string text = spelt(quantizedOf(GetParam()));
  check(text, ways, 2e-6);
  Tensors all = inputs(50);
  Compiled compiled(text, vectorWidths().back());
  Tensor plain = compiled.run("plain", all)["y"], packed = compiled.run("packed", all)["y"];
  bool isRounded = false;
  for (int64_t t = 0; t < 50; ++t) {
    for (int64_t k = 0; k < features; ++k) {
      double most = 0; // of those that share its scale, which is of bf16
      for (int64_t other = k / 32 * 32; other < std::min(k / 32 * 32 + 32, features); ++other)
        most = std::max(most, std::abs(plain(t, other)));
      EXPECT_LE(std::abs(packed(t, k) - plain(t, k)), most / 127 / 2 * 1.0041);
      isRounded |= packed(t, k) != plain(t, k);
    }
  }
  EXPECT_TRUE(isRounded || features == 1 || rows == 1);
}

INSTANTIATE_TEST_SUITE_P(Extents, Tables,
                         testing::Values(Shape{1, 1}, Shape{31, 3}, Shape{32, 17}, Shape{33, 130}, Shape{97, 40},
                                         Shape{70, 1030}),
                         [](const auto &info) { return fmt::format("{}x{}", info.param.rows, info.param.features); });
