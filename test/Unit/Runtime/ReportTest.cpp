//===- ReportTest.cpp - What kernels compute, move and take --------------------------===//
#include "xf/Runtime/Report.h"
#include "xf/Runtime/Memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace xf::runtime;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

namespace {
/// Two dispatches of a product and one of attention, whose work goes with the square of a sequence's length.
constexpr const char *description = R"({
  "abi": 3, "name": "a<b", "kind": "functions", "target": {"triple": "t", "cpu": "c", "features": []},
  "parameters": [], "parameter_elements": 0,
  "kernels": [{"name": "linear_512x512", "shape": "?x512, 512x512 -> ?x512"}, {"name": "attention_512"}],
  "functions": [{
    "name": "loss", "dims": ["tokens", "offsets"],
    "inputs": [{"name": "x", "type": "f32", "shape": ["tokens"]}, {"name": "o", "type": "i32", "shape": ["offsets"]}], "outputs": [],
    "sizes": [[0, 1, 0]], "slots": [],
    "formulas": [["*", "tokens", 524288], ["+", ["*", "tokens", 4096], 1048576],
                 ["*", ["/", ["*", "tokens", "tokens"], ["+", "offsets", -1]], 2048]],
    "dispatches": [
      {"kernel": 0, "label": "encoder.0.query", "operands": [], "writes": [], "dims": [0, 0], "scalars": [], "grid": [], "flops": 0, "bytes": 1},
      {"kernel": 0, "label": "encoder.1.query", "operands": [], "writes": [], "dims": [0, 0], "scalars": [], "grid": [], "flops": 0, "bytes": 1},
      {"kernel": 1, "label": "encoder.0.attention", "operands": [], "writes": [], "dims": [], "scalars": [], "grid": [], "flops": 2}]
  }]})";

struct ReportTest : testing::Test {
  Expected<Program> program = parseProgram(description, 2);
  const Function &loss() { return program->functions[0]; }
};
} // namespace

TEST_F(ReportTest, CountsTheWorkOfABatch) {
  ASSERT_TRUE(program) << program.error().message;
  Report report(*program);
  report.heading = "a heading";
  std::vector<int64_t> dims = dimsOfBatch(loss(), 1000, 10);
  EXPECT_EQ(dims, (std::vector<int64_t>{1000, 11}));
  report.add(loss(), dims);
  std::string text = report.text();
  EXPECT_THAT(text, HasSubstr("a<b: a heading"));
  // 2 x 524,288 x 1,000 operations; 2 x (4,096,000 + 1,048,576) bytes.
  EXPECT_THAT(
      text, ContainsRegex(
                "linear_512x512 +2 +1\\.049 +9\\.81 +101\\.91  1000x512, 512x512 -> 1000x512 +encoder\\.\\*\\.query"));
  // 10 sequences of 100 tokens: 2,048 x 100 x 100 x 10.
  EXPECT_THAT(text, ContainsRegex("attention_512 +1 +0\\.205 +0\\.00 +- +encoder\\.\\*\\.attention"));
  EXPECT_THAT(text, ContainsRegex("sum +3 +1\\.253"));
  EXPECT_THAT(text, Not(HasSubstr("GFLOP/s")));
}

TEST_F(ReportTest, SetsTimeAgainstTheLimits) {
  ASSERT_TRUE(program);
  Report report(*program);
  report.limits = {.threads = 2, .flops = 100e9, .bytes = 20e9};
  std::vector<int64_t> dims = dimsOfBatch(loss(), 1000, 10);
  // 0.524 GFLOP in 10 ms: 52.4 of 100 GFLOP/s; the bytes alone would take 0.26 ms.
  report.add(loss(), loss().dispatches[0], dims, 0.010);
  report.add(loss(), loss().dispatches[2], dims, 0.030);
  std::string text = report.text();
  EXPECT_THAT(text, HasSubstr("2 threads: 100.0 GFLOP/s, 20.0 GB/s"));
  EXPECT_THAT(text, ContainsRegex("linear_512x512 .* 10\\.000 +52\\.4 +0\\.5 +52\\.4% +25\\.0%"));
  EXPECT_LT(text.find("attention_512"), text.find("linear_512x512")) << "what takes longest comes first";
  EXPECT_THAT(text, ContainsRegex("sum .* 40\\.000 .* 100\\.0%"));

  std::string page = report.html();
  EXPECT_THAT(page, HasSubstr("<title>a&lt;b</title>"));
  EXPECT_THAT(page, HasSubstr("--share: 52.4%"));
  EXPECT_THAT(page, HasSubstr("1000x512, 512x512 -&gt; 1000x512"));
  EXPECT_THAT(page, Not(HasSubstr("<script"))) << "nothing but the page itself";
  EXPECT_THAT(page, Not(HasSubstr("http")));
}

TEST(Report, SizesAreInUnitsThatCanBeRead) {
  constexpr int64_t mebibyte = int64_t(1) << 20;
  EXPECT_EQ(formatBytes(0), "0.0 MiB");
  EXPECT_EQ(formatBytes(10239 * mebibyte), "10239.0 MiB");
  EXPECT_EQ(formatBytes(10240 * mebibyte), "10.00 GiB");
  EXPECT_EQ(formatBytes(18912 * mebibyte), "18.47 GiB");
  EXPECT_EQ(formatBytes((10240 * mebibyte << 10) - mebibyte), "10240.00 GiB");
  EXPECT_EQ(formatBytes(10240 * mebibyte << 10), "10.00 TiB");
}

TEST(MachineLimits, AreThoseOfAProcessor) {
  Team team(1);
  Expected<MachineLimits> limits = measureLimits(team);
  ASSERT_TRUE(limits) << limits.error().message;
  EXPECT_GT(limits->flops, 1e9);
  EXPECT_LT(limits->flops, 1e12);
  EXPECT_GT(limits->bytes, 1e8);
  EXPECT_LT(limits->bytes, 1e12);
  EXPECT_DOUBLE_EQ((MachineLimits{1, 10, 5}.seconds(20, 5)), 2);
  EXPECT_DOUBLE_EQ((MachineLimits{1, 10, 5}.seconds(20, 20)), 4);
}
