//===- PhaseTest.cpp - Which steps need a meeting between them ---------------------------===//
#include "xf/Runtime/Phase.h"
#include "xf/Runtime/Executor.h"

#include <atomic>
#include <chrono>
#include <gtest/gtest.h>
#include <thread>

using namespace xf::runtime;

namespace {
struct Step {
  std::vector<std::span<char>> places;
  std::vector<int64_t> writes;
  bool alone = false;
};

/// Whether the second step may join the first.
bool together(const Step &first, const Step &second) {
  Phase phase;
  EXPECT_TRUE(phase.admits(first.places, first.writes, first.alone));
  bool joined = phase.admits(second.places, second.writes, second.alone);
  EXPECT_EQ(phase.steps(), joined ? 2u : 1u);
  return joined;
}

char memory[64];
std::span<char> bytes(size_t begin, size_t end) { return {memory + begin, memory + end}; }
} // namespace

TEST(Phase, KeepsDependentStepsApart) {
  Step makes{{bytes(0, 16), bytes(16, 32)}, {1}};
  EXPECT_TRUE(together(makes, {{bytes(0, 16), bytes(32, 48)}, {1}})) << "both read one place";
  EXPECT_TRUE(together(makes, {{bytes(32, 48)}, {0}})) << "neighbours do not meet";
  EXPECT_TRUE(together(makes, {{bytes(20, 20)}, {0}})) << "of no bytes";
  EXPECT_FALSE(together(makes, {{bytes(31, 33), bytes(40, 48)}, {1}})) << "reads what was written";
  EXPECT_FALSE(together(makes, {{bytes(40, 48), bytes(8, 12)}, {1}})) << "writes what was read";
  EXPECT_FALSE(together(makes, {{bytes(16, 20)}, {0}})) << "writes what was written";
}

TEST(Phase, OneWorkersStepsKeepTheirOrder) {
  Step makes{{bytes(0, 16)}, {0}, true}, reads{{bytes(0, 16)}, {}, true};
  EXPECT_TRUE(together(makes, reads));
  reads.alone = false;
  EXPECT_FALSE(together(makes, reads));
  EXPECT_FALSE(together(reads, makes));
}

TEST(Phase, Ends) {
  Phase phase;
  Step step{{bytes(0, 16)}, {}};
  for (size_t i = 0; i < Phase::longest; ++i)
    EXPECT_TRUE(phase.admits(step.places, step.writes, false));
  EXPECT_FALSE(phase.admits(step.places, step.writes, false));
}

namespace {
/// Three dispatches of two tiles: `first` and `second` write a slot each, `last` reads both.
constexpr const char *description = R"({
  "abi": 3, "name": "phases", "kind": "functions", "target": {"triple": "t", "cpu": "c", "features": []},
  "parameters": [], "parameter_elements": 0,
  "kernels": [{"name": "first"}, {"name": "second"}, {"name": "last"}],
  "functions": [{
    "name": "run", "dims": [], "inputs": [], "outputs": [], "sizes": [[64], [2]],
    "slots": [{"name": "a", "type": "f32", "size": 0, "first": 0, "last": 2},
              {"name": "b", "type": "f32", "size": 0, "first": 1, "last": 2}],
    "dispatches": [
      {"kernel": 0, "label": "first", "operands": [["slot", 0]], "writes": [0], "dims": [], "scalars": [], "grid": [[1, 1]]},
      {"kernel": 1, "label": "second", "operands": [["slot", 1]], "writes": [0], "dims": [], "scalars": [], "grid": [[1, 1]]},
      {"kernel": 2, "label": "last", "operands": [["slot", 0], ["slot", 1]], "writes": [], "dims": [], "scalars": [], "grid": [[1, 1]]}]
  }]})";

std::atomic<int> done{0}, begunSecond{0};
std::atomic<bool> overlapped{false}, early{false};

/// Tile 0 waits for the second dispatch, which only another worker can begin meanwhile.
void first(void *const *, const int64_t *, const int64_t *, int64_t begin, int64_t end, void *) {
  if (begin == 0) {
    auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!begunSecond && std::chrono::steady_clock::now() < patience)
      std::this_thread::yield();
    overlapped = begunSecond > 0;
  }
  done += int(end - begin);
}
void second(void *const *, const int64_t *, const int64_t *, int64_t begin, int64_t end, void *) {
  ++begunSecond;
  done += int(end - begin);
}
void last(void *const *, const int64_t *, const int64_t *, int64_t, int64_t, void *) { early = early || done != 4; }
} // namespace

TEST(Phase, WorkersGoOnToWhatDependsOnNothing) {
  const KernelFunction kernels[] = {first, second, last};
  Expected<Program> program = parseProgram(description, 3);
  ASSERT_TRUE(program) << program.error().message;
  Team team(2);
  Executor executor(*program, kernels, team);
  for (int i = 0; i < 20; ++i) {
    done = begunSecond = 0;
    overlapped = early = false;
    Expected<void> ran = executor.run(program->functions[0], {}, {}, {});
    ASSERT_TRUE(ran) << ran.error().message;
    EXPECT_TRUE(overlapped) << "the second waited for the first";
    EXPECT_FALSE(early) << "the last did not wait for both";
  }
}
