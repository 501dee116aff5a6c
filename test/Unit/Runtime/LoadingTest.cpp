//===- LoadingTest.cpp - In which order predictions come by their weights -------------===//
#include "xf/Runtime/Loading.h"

#include <gtest/gtest.h>

using namespace xf::runtime;

namespace {
using Numbers = std::vector<size_t>;

Operand part(Space space, int64_t index, int64_t elements) { return {space, index, elements}; }

Function calling(std::string name, std::vector<std::vector<Operand>> dispatches) {
  Function function;
  function.name = std::move(name);
  for (std::vector<Operand> &operands : dispatches) {
    Dispatch dispatch;
    for (const Operand &operand : operands) {
      function.usesPrepared |= operand.space == Space::Prepared;
      if (operand.space == Space::Prepared && function.name == "prepare")
        dispatch.writes.push_back(&operand - operands.data());
    }
    dispatch.operands = std::move(operands);
    function.dispatches.push_back(std::move(dispatch));
  }
  return function;
}

/// A table that is read as it is and prepared, two weights that one dispatch prepares together and another the first of
/// them again, a bias, and a weight that nothing reads.
struct Model : testing::Test {
  Program program;
  Model() {
    auto parameter = [&](std::string name, int64_t elements) {
      program.parameters.push_back({std::move(name), {elements}, program.parameterElements, {}});
      program.parameterElements += (elements + 15) / 16 * 16;
    };
    parameter("table", 1000);  // 0
    parameter("query", 100);   // 1008
    parameter("key", 70);      // 1120
    parameter("bias", 3);      // 1200
    parameter("unread", 5000); // 1216
    program.preparedElements = 2000;
    program.functions = {calling("prepare", {{part(Space::Parameter, 1008, 182), part(Space::Prepared, 0, 300)},
                                             {part(Space::Parameter, 0, 1000), part(Space::Prepared, 300, 1000)},
                                             {part(Space::Prepared, 1300, 128), part(Space::Parameter, 1008, 100)}}),
                         calling("decode", {{part(Space::Parameter, 0, 1000), part(Space::Input, 0, 0)},
                                            {part(Space::Parameter, 1200, 3), part(Space::Prepared, 0, 300)}}),
                         calling("loss", {{part(Space::Parameter, 0, 6216)}})};
  }
  Loading loading(std::initializer_list<std::string_view> names) const {
    std::vector<const Function *> functions;
    for (std::string_view name : names)
      functions.push_back(program.function(name));
    return Loading(program, functions);
  }
};
} // namespace

TEST_F(Model, DropsWhatOnlyPrepareReads) {
  Loading decode = loading({"decode"});
  EXPECT_EQ(decode.first, Numbers{3});
  ASSERT_EQ(decode.steps.size(), 3u);
  EXPECT_EQ(decode.steps[0].loads, (Numbers{1, 2}));
  EXPECT_EQ(decode.steps[0].drops, Numbers{2}); // the other one is read again
  EXPECT_EQ(decode.steps[1].loads, Numbers{0});
  EXPECT_EQ(decode.steps[1].drops, Numbers{}); // which the function reads
  EXPECT_EQ(decode.steps[2].loads, Numbers{});
  EXPECT_EQ(decode.steps[2].drops, Numbers{1});
  // 3, 3+170+300, 3+100+300+1000+1000, 3+100+300+1000+1000+128.
  EXPECT_EQ(decode.bytes, 4 * 2531);
}

TEST_F(Model, KeepsAllThatIsReadAsItIs) {
  Loading both = loading({"decode", "loss"});
  EXPECT_EQ(both.first, (Numbers{3, 4}));
  for (const Loading::Step &step : both.steps)
    EXPECT_EQ(step.drops, Numbers{});
  EXPECT_EQ(both.bytes, 4 * (1000 + 100 + 70 + 3 + 5000 + 1428));
}

TEST_F(Model, PreparesNothingThatIsNotRead) {
  Loading loss = loading({"loss"});
  EXPECT_EQ(loss.first, (Numbers{0, 1, 2, 3, 4}));
  EXPECT_TRUE(loss.steps.empty());
  EXPECT_EQ(loss.bytes, 4 * 6173);
  Loading none = loading({});
  EXPECT_TRUE(none.first.empty() && none.steps.empty());
  EXPECT_EQ(none.bytes, 0);
}

TEST_F(Model, PrepareItselfReadsWhatItPrepares) {
  Loading prepare = loading({"prepare"});
  EXPECT_EQ(prepare.steps.size(), 3u);
  for (const Loading::Step &step : prepare.steps)
    EXPECT_EQ(step.drops, Numbers{});
}
