//===- ExecutorTest.cpp - Running functions of the toy program -----------------------===//
#include "Toy.h"
#include "xf/Runtime/Parameters.h"

#include <cmath>
#include <cstring>
#include <gtest/gtest.h>

using namespace xf;
using namespace xf::runtime;

namespace {
struct ToyModel {
  Program program;
  Team team;
  Executor executor;
  ModelState state;

  explicit ToyModel(int threads)
      : program(std::move(*parseProgram(toy::programJson(), toy::kernels().size()))), team(threads),
        executor(program, toy::kernels(), team),
        state(std::move(*ModelState::allocate(program, {.gradients = true, .moments = true}))) {
    (void)bool(state.initialize(program, 3));
  }
  const Function &operator[](std::string_view name) { return *program.function(name); }
};

struct Batch {
  std::vector<int32_t> sourceIds, sourceOffsets{0}, targetIds, targetOffsets{0}, labels;
  std::vector<int64_t> random = {5, 1};
  std::vector<float> hyper = {0.1f, 4, 0, 1, 0.9f, 0.98f, 1e-9f, 0};

  explicit Batch(int sequences) {
    for (int b = 0; b < sequences; ++b) {
      for (int i = 0; i < 2 + b % 4; ++i)
        sourceIds.push_back(4 + (7 * b + 3 * i) % 20);
      for (int i = 0; i < 1 + b % 5; ++i) {
        targetIds.push_back(i ? 4 + (5 * b + i) % 20 : 1);
        labels.push_back(4 + (5 * b + i + 1) % 20);
      }
      sourceOffsets.push_back(sourceIds.size());
      targetOffsets.push_back(targetIds.size());
    }
  }
  std::vector<TensorView> views() {
    auto ids = [](std::string_view name, std::vector<int32_t> &values) {
      return TensorView{name, ElementType::I32, {int64_t(values.size())}, values.data()};
    };
    return {ids("labels", labels),
            ids("source_ids", sourceIds),
            ids("source_offsets", sourceOffsets),
            ids("target_ids", targetIds),
            ids("target_offsets", targetOffsets),
            {"random", ElementType::I64, {2}, random.data()},
            {"hyper", ElementType::F32, {8}, hyper.data()}};
  }
};

TensorView scalar(std::string_view name, float &value) { return {name, ElementType::F32, {}, &value}; }
} // namespace

TEST(Executor, RunsAndKeepsTheBitsAtAnyThreadCount) {
  std::vector<float> expected;
  for (int threads : {1, 2, 3, 8}) {
    ToyModel model(threads);
    Batch batch(33);
    std::vector<float> losses;
    for (int step = 1; step <= 5; ++step) {
      batch.random[1] = step;
      float loss = 0, norm = 0;
      Expected<void> ran =
          model.executor.run(model["train_step"], batch.views(),
                             std::vector{scalar("loss", loss), scalar("gradient_norm", norm)}, model.state.arenas());
      ASSERT_TRUE(ran) << ran.error().message;
      EXPECT_GT(norm, 0);
      losses.push_back(loss);
    }
    float *parameters = model.state.arenas().parameters.here();
    losses.insert(losses.end(), parameters, parameters + toy::elements);
    EXPECT_LT(losses[4], losses[0]);
    if (expected.empty())
      expected = losses;
    EXPECT_EQ(std::memcmp(losses.data(), expected.data(), losses.size() * 4), 0) << threads << " threads";
  }
}

TEST(Executor, NamesWhatDoesNotBind) {
  ToyModel model(1);
  struct Case {
    const char *message;
    std::function<void(std::vector<TensorView> &)> breakIt;
  };
  const Case cases[] = {
      {"'loss' needs the input 'labels' (i32 [target_tokens]), which is missing", [](auto &v) { v.erase(v.begin()); }},
      {"expected input 'labels' of 'loss' to be i32 [target_tokens], but got f32 [9]",
       [](auto &v) { v[0].type = ElementType::F32; }},
      {"expected input 'labels' of 'loss' to be i32 [target_tokens], but got i32 [9, 1]",
       [](auto &v) { v[0].shape = {9, 1}; }},
      {"expected 'target_tokens' of input 'labels' to match 'target_ids' (9), but got 8",
       [](auto &v) { v[0].shape = {8}; }},
  };
  for (const Case &c : cases) {
    Batch batch(4);
    batch.labels.resize(9), batch.targetIds.resize(9), batch.targetOffsets.back() = 9;
    std::vector<TensorView> views = batch.views();
    c.breakIt(views);
    Expected<void> ran = model.executor.run(model["loss"], views, {}, model.state.arenas());
    ASSERT_FALSE(ran);
    EXPECT_EQ(ran.error().message, c.message);
    EXPECT_EQ(ran.error().exitCode, 1);
  }
  Batch batch(4);
  batch.hyper.resize(7);
  std::vector<TensorView> views = batch.views();
  views.back().shape = {7};
  Expected<void> ran = model.executor.run(model["train_step"], views, {}, model.state.arenas());
  ASSERT_FALSE(ran);
  EXPECT_EQ(ran.error().message, "expected extent 0 of input 'hyper' of 'train_step' to be 8, but got 7");
}

TEST(Executor, WorkspaceIsThePlan) {
  ToyModel model(1);
  Batch batch(8);
  const Function &function = model["gradients"];
  std::vector<int64_t> dims = std::move(*model.executor.bind(function, batch.views()));
  EXPECT_EQ(dims[2], int64_t(batch.targetIds.size()));
  std::vector<Interval> intervals;
  for (const Slot &slot : function.slots)
    intervals.push_back({slot.bytes.at(dims), slot.first, slot.last});
  EXPECT_EQ(workspaceBytes(function, dims), planArena(intervals).totalBytes);
  EXPECT_GT(workspaceBytes(function, dims), 0);
}

TEST(Executor, EmptyBatchRunsNoTiles) {
  ToyModel model(2);
  Batch batch(0);
  float loss = 7;
  Expected<void> ran =
      model.executor.run(model["loss"], batch.views(), std::vector{scalar("loss", loss)}, model.state.arenas());
  ASSERT_TRUE(ran) << ran.error().message;
  EXPECT_EQ(loss, 0);
}

TEST(Executor, FindsTheFirstTensorThatIsNotFinite) {
  for (int threads : {1, 3}) {
    ToyModel model(threads);
    Batch batch(9);
    Expected<std::optional<NonFinite>> clean =
        model.executor.findNonFinite(model["gradients"], batch.views(), model.state.arenas());
    ASSERT_TRUE(clean);
    EXPECT_FALSE(*clean);
    model.state.arenas().parameters.here()[toy::projection + 5] = INFINITY;
    Expected<std::optional<NonFinite>> found =
        model.executor.findNonFinite(model["gradients"], batch.views(), model.state.arenas());
    ASSERT_TRUE(found);
    ASSERT_TRUE(*found);
    EXPECT_EQ((*found)->label, "loss.cross_entropy");
    EXPECT_EQ((*found)->tensor, "token_nll");
  }
}

TEST(Executor, ProfileCountsEveryDispatch) {
  ToyModel model(2);
  Batch batch(9);
  Report profile(model.program);
  profile.limits = {.threads = 2, .flops = 1, .bytes = 1};
  model.executor.profile(profile);
  for (int i = 0; i < 3; ++i)
    ASSERT_TRUE(model.executor.run(model["loss"], batch.views(), {}, model.state.arenas()));
  std::string report = profile.text();
  EXPECT_NE(report.find("cross_entropy      3"), std::string::npos) << report;
  EXPECT_EQ(report.find("adam"), std::string::npos);
}

namespace {
/// Doubles its rows into a temporary, whose rows become the output, and adds all up.
constexpr const char *chunked = R"({
  "abi": 3, "name": "chunked", "kind": "functions", "target": {"triple": "t", "cpu": "c", "features": []},
  "parameters": [], "parameter_elements": 0, "kernels": [{"name": "double"}, {"name": "copy"}, {"name": "sum"}],
  "functions": [{
    "name": "run", "dims": ["rows", "chunk"], "loops": [{"dim": 1, "of": 0, "rows": 16, "begin": 0, "end": 3}],
    "inputs": [{"name": "x", "type": "f32", "shape": ["rows", 2]}],
    "outputs": [{"name": "y", "type": "f32", "shape": ["rows", 2]}, {"name": "sum", "type": "f32", "shape": []}],
    "sizes": [[0, 0, 8], [0, 0, 1]], "slots": [{"name": "doubled", "type": "f32", "size": 0, "first": 0, "last": 2}],
    "dispatches": [
      {"kernel": 0, "label": "double", "operands": [["input", 0], ["slot", 0]], "chunks": [[0, 8]], "writes": [1], "dims": [1], "scalars": [], "grid": [[1, 4]]},
      {"kernel": 1, "label": "copy", "operands": [["slot", 0], ["output", 0]], "chunks": [[1, 8]], "writes": [1], "dims": [1], "scalars": [], "grid": [[1, 4]]},
      {"kernel": 2, "label": "sum", "operands": [["slot", 0], ["output", 1]], "writes": [1], "dims": [1], "scalars": [], "grid": []}]
  }]})";

const float *from(void *const *buffers) { return static_cast<const float *>(buffers[0]); }
float *to(void *const *buffers) { return static_cast<float *>(buffers[1]); }

template <int factor>
void scaleRows(void *const *buffers, const int64_t *dims, const int64_t *, int64_t begin, int64_t end, void *) {
  for (int64_t i = begin * 4 * 2; i < std::min(end * 4, dims[0]) * 2; ++i)
    to(buffers)[i] = factor * from(buffers)[i];
}
void addRows(void *const *buffers, const int64_t *dims, const int64_t *, int64_t, int64_t, void *) {
  for (int64_t i = 0; i < dims[0] * 2; ++i)
    to(buffers)[0] += from(buffers)[i];
}
} // namespace

TEST(Executor, RepeatsALoopForEveryChunk) {
  const KernelFunction kernels[] = {scaleRows<2>, scaleRows<1>, addRows};
  Expected<Program> program = parseProgram(chunked, 3);
  ASSERT_TRUE(program) << program.error().message;
  const Function &function = program->functions[0];
  for (int threads : {1, 3})
    for (int64_t rows : {0, 1, 16, 17, 45, 1000}) {
      Team team(threads);
      Executor executor(*program, kernels, team);
      std::vector<float> x(rows * 2), y(rows * 2, -1);
      for (int64_t i = 0; i < rows * 2; ++i)
        x[i] = float(i);
      float sum = 0;
      std::vector<TensorView> inputs{{"x", ElementType::F32, {rows, 2}, x.data()}};
      std::vector<TensorView> outputs{{"y", ElementType::F32, {rows, 2}, y.data()},
                                      {"sum", ElementType::F32, {}, &sum}};
      Expected<void> ran = executor.run(function, inputs, outputs, {});
      ASSERT_TRUE(ran) << ran.error().message;
      for (int64_t i = 0; i < rows * 2; ++i)
        ASSERT_EQ(y[i], 2 * float(i)) << rows << " rows";
      EXPECT_EQ(sum, float(rows * 2 * (rows * 2 - 1)));
      EXPECT_LE(workspaceBytes(function, *executor.bind(function, inputs)), 16 * 8) << "memory for one chunk";

      // What isn't finite in a later chunk is found there.
      if (rows) {
        x.back() = INFINITY;
        Expected<std::optional<NonFinite>> found = executor.findNonFinite(function, inputs, {});
        ASSERT_TRUE(found && *found);
        EXPECT_EQ((*found)->label, "double");
        EXPECT_EQ((*found)->tensor, "doubled");
      }
    }
}

// More than 8 rows are doubled by another kernel, in other tiles and beside memory of its own.
TEST(Executor, TakesTheKernelThatABatchWants) {
  constexpr const char *either = R"({
    "abi": 3, "name": "either", "kind": "functions", "target": {"triple": "t", "cpu": "c", "features": []},
    "parameters": [], "parameter_elements": 0, "kernels": [{"name": "few"}, {"name": "many"}],
    "functions": [{
      "name": "run", "dims": ["rows"],
      "inputs": [{"name": "x", "type": "f32", "shape": ["rows", 2]}],
      "outputs": [{"name": "y", "type": "f32", "shape": ["rows", 2]}],
      "sizes": [[0, 1], [0, 8], [-8, 1]],
      "slots": [{"name": "scaled", "type": "f32", "size": 1, "first": 0, "last": 1},
                {"name": "own", "type": "f32", "size": 0, "first": 1, "last": 1}],
      "dispatches": [
        {"kernel": 0, "label": "scale", "operands": [["input", 0], ["slot", 0]], "writes": [1], "dims": [0], "scalars": [], "grid": [[0, 4]]},
        {"kernel": 0, "label": "scale", "operands": [["slot", 0], ["output", 0]], "writes": [1], "dims": [0], "scalars": [], "grid": [[0, 4]],
         "otherwise": {"where": 2, "dispatch":
          {"kernel": 1, "label": "scale", "operands": [["slot", 0], ["output", 0], ["slot", 1]], "writes": [1, 2], "dims": [0], "scalars": [], "grid": [[0, 4]]}}}]
    }]})";
  const KernelFunction kernels[] = {scaleRows<2>, scaleRows<3>};
  Expected<Program> program = parseProgram(either, 2);
  ASSERT_TRUE(program) << program.error().message;
  const Function &function = program->functions[0];
  Team team(2);
  for (int64_t rows : {0, 1, 8, 9, 100}) {
    Executor executor(*program, kernels, team);
    Report profile(*program);
    profile.limits = {.threads = 2, .flops = 1, .bytes = 1};
    executor.profile(profile);
    std::vector<float> x(rows * 2), y(rows * 2, -1);
    for (int64_t i = 0; i < rows * 2; ++i)
      x[i] = float(i);
    std::vector<TensorView> inputs{{"x", ElementType::F32, {rows, 2}, x.data()}},
        outputs{{"y", ElementType::F32, {rows, 2}, y.data()}};
    Expected<void> ran = executor.run(function, inputs, outputs, {});
    ASSERT_TRUE(ran) << ran.error().message;
    for (int64_t i = 0; i < rows * 2; ++i)
      ASSERT_EQ(y[i], (rows > 8 ? 6 : 4) * float(i)) << rows << " rows";
    EXPECT_EQ(profile.text().find("many") != std::string::npos, rows > 8) << profile.text();
    Report planned(*program);
    planned.add(function, *executor.bind(function, inputs));
    EXPECT_EQ(planned.text().find("many") != std::string::npos, rows > 8) << planned.text();
    if (rows) { // doubled twice it is too large, tripled and doubled sooner
      x.back() = 2e38f;
      Expected<std::optional<NonFinite>> found = executor.findNonFinite(function, inputs, {});
      ASSERT_TRUE(found && *found);
      EXPECT_EQ((*found)->tensor, "scaled");
      x.back() = 1e38f;
      found = executor.findNonFinite(function, inputs, {});
      ASSERT_TRUE(found && *found);
      EXPECT_EQ((*found)->tensor, "y");
    }
  }
}

namespace {
void addOne(void *const *buffers, const int64_t *, const int64_t *, int64_t, int64_t, void *) { to(buffers)[0] += 1; }
} // namespace

// More of them than one phase holds: worker 0 computes them, and waits for nobody.
TEST(Executor, RunsManyStepsOfOneTile) {
  std::string dispatches;
  for (int i = 0; i < 100; ++i)
    dispatches +=
        std::string(i ? "," : "") + R"({"kernel": 0, "label": "add", "operands": [["output", 0], ["output", 0]],
                                                  "writes": [1], "dims": [], "scalars": [], "grid": []})";
  Expected<Program> program = parseProgram(R"({
    "abi": 3, "name": "ones", "kind": "functions", "target": {"triple": "t", "cpu": "c", "features": []},
    "parameters": [], "parameter_elements": 0, "kernels": [{"name": "add"}],
    "functions": [{"name": "run", "dims": [], "inputs": [], "outputs": [{"name": "sum", "type": "f32", "shape": []}],
                   "sizes": [], "slots": [], "dispatches": [)" +
                                               dispatches + "]}]}",
                                           1);
  ASSERT_TRUE(program) << program.error().message;
  const KernelFunction kernels[] = {addOne};
  for (int threads : {1, 3}) {
    Team team(threads);
    Executor executor(*program, kernels, team);
    float sum = 0;
    Expected<void> ran = executor.run(program->functions[0], {}, std::vector{scalar("sum", sum)}, {});
    ASSERT_TRUE(ran) << ran.error().message;
    EXPECT_EQ(sum, 100) << threads << " threads";
  }
}
