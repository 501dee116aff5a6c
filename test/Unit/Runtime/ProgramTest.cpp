//===- ProgramTest.cpp - Parsing a program's description -----------------------------===//
#include "Toy.h"

#include <gtest/gtest.h>

using namespace xf::runtime;
using nlohmann::json;

static const int64_t kernelCount = xf::toy::kernels().size();

TEST(Program, ParsesTheToy) {
  Expected<Program> program = parseProgram(xf::toy::programJson(), kernelCount);
  ASSERT_TRUE(program) << program.error().message;
  EXPECT_EQ(program->kind, "sequence_to_sequence");
  EXPECT_EQ(program->parameters.size(), 4u);
  const Function *step = program->function("train_step");
  ASSERT_TRUE(step);
  EXPECT_TRUE(step->usesGradients && step->usesMoments && step->usesParameters);
  EXPECT_FALSE(program->function("encode")->usesGradients);
  EXPECT_EQ(program->function("nothing"), nullptr);
  EXPECT_EQ(step->slots[0].bytes.at(std::vector<int64_t>{7, 3, 10, 3}), 10 * 16 * 4);
}

/// Breaks one thing in the toy's description and returns the message.
static std::string messageAfter(const std::function<void(json &)> &breakIt) {
  json program = json::parse(xf::toy::programJson());
  breakIt(program);
  Expected<Program> parsed = parseProgram(program.dump(), kernelCount);
  if (parsed)
    return "accepted";
  EXPECT_EQ(parsed.error().exitCode, 2);
  EXPECT_EQ(parsed.error().message.find("the program's description is malformed: "), 0u);
  return parsed.error().message;
}

TEST(Program, RejectsWhatBreaksTheContract) {
  struct Case {
    const char *message;
    std::function<void(json &)> breakIt;
  };
  auto step = [](json &p) -> json & { return p["functions"][2]; };
  auto addLoop = [](json &function, json loop) {
    function["dims"].push_back("chunk");
    for (json &size : function["sizes"])
      size.push_back(0);
    function["loops"] = json::array({std::move(loop)});
  };
  const Case cases[] = {
      {"expected 'abi' 3, but got 1", [](json &p) { p["abi"] = 1; }},
      {"expected 13 kernels, as many as the object has, but got 12", [](json &p) { p["kernels"].erase(0); }},
      {"key 'name' not found", [](json &p) { p.erase("name"); }},
      {"listed twice", [](json &p) { p["parameters"][1]["name"] = "source_embedding.weight"; }},
      {"parameter 'source_embedding.weight' has extent 0", [](json &p) { p["parameters"][0]["shape"][0] = 0; }},
      {"overlaps the one before it", [](json &p) { p["parameters"][1]["offset"] = 16; }},
      {"expected parameters to end within 100 elements", [](json &p) { p["parameter_elements"] = 100; }},
      {"unknown initialiser 'magic'", [](json &p) { p["parameters"][0]["init"]["kind"] = "magic"; }},
      {"expected element type", [&](json &p) { step(p)["inputs"][0]["type"] = "f16"; }},
      {"tensor 'source_ids' of 'train_step' is listed twice",
       [&](json &p) { step(p)["inputs"][1]["name"] = "source_ids"; }},
      {"unknown dim 'pixels'", [&](json &p) { step(p)["inputs"][0]["shape"][0] = "pixels"; }},
      {"is the extent of no input", [&](json &p) { step(p)["dims"].push_back("more"); }},
      {"expected an affine size of 'train_step' to have 5 terms", [&](json &p) { step(p)["sizes"][0] = {1}; }},
      {"size 9999 of 'train_step' is out of range", [&](json &p) { step(p)["slots"][0]["size"] = 9999; }},
      {"outside its lifetime", [&](json &p) { step(p)["slots"][0]["last"] = 1; }},
      {"has the lifetime [5, 4]", [&](json &p) { step(p)["slots"][3]["first"] = 5, step(p)["slots"][3]["last"] = 4; }},
      {"calls kernel 99, there are 13", [&](json &p) { step(p)["dispatches"][0]["kernel"] = 99; }},
      {"operand 'slot' 44 of dispatch 0",
       [&](json &p) { step(p)["dispatches"][0]["operands"][7] = json::array({"slot", 44}); }},
      {"unknown operand 'register'",
       [&](json &p) { step(p)["dispatches"][0]["operands"][7] = json::array({"register", 0}); }},
      {"touches -8 bytes at 0 of slot",
       [&](json &p) { step(p)["dispatches"][0]["operands"][0] = json::array({"slot", 0, 0, -8}); }},
      {"operand 'parameter' 16 of dispatch 0 in 'train_step' has 99999 elements, there are ",
       [&](json &p) { step(p)["dispatches"][0]["operands"][7] = json::array({"parameter", 16, 99999}); }},
      {"writes operand 9, there are 9", [&](json &p) { step(p)["dispatches"][0]["writes"][0] = 9; }},
      {"a loop of 'train_step' takes 24 rows of dim 2 as dim 4",
       [&](json &p) { addLoop(step(p), {{"dim", 4}, {"of", 2}, {"rows", 24}, {"begin", 0}, {"end", 1}}); }},
      {"a loop of 'train_step' takes 16 rows of dim 2 as dim 1",
       [&](json &p) { addLoop(step(p), {{"dim", 1}, {"of", 2}, {"rows", 16}, {"begin", 0}, {"end", 1}}); }},
      {"a loop of 'train_step' takes 16 rows of dim 5 as dim 4",
       [&](json &p) { addLoop(step(p), {{"dim", 4}, {"of", 5}, {"rows", 16}, {"begin", 0}, {"end", 1}}); }},
      {"as dim 4, in dispatches 3 to 99",
       [&](json &p) { addLoop(step(p), {{"dim", 4}, {"of", 2}, {"rows", 16}, {"begin", 3}, {"end", 99}}); }},
      {"dispatch 0 in 'train_step' sees a chunk of operand 0 with rows of 4 bytes",
       [&](json &p) { step(p)["dispatches"][0]["chunks"] = json::array({json::array({0, 4})}); }},
      {"unknown operation '%' in a formula of 'train_step'",
       [&](json &p) { step(p)["formulas"] = json::array({json::array({"%", 1, 2})}); }},
      {"unknown dim 'pixels' of 'train_step'", [&](json &p) { step(p)["formulas"] = json::array({"pixels"}); }},
      {"formula 7 of 'train_step' is out of range", [&](json &p) { step(p)["dispatches"][0]["flops"] = 7; }},
      {"'train_step' requires 'odd' of an input", [&](json &p) { step(p)["requirements"][0]["kind"] = "odd"; }},
      {"'train_step' requires something of input 9, there are 7",
       [&](json &p) { step(p)["requirements"][0]["input"] = 9; }},
      {"'train_step' requires 'below' of 'random'", [&](json &p) { step(p)["requirements"][3]["input"] = 5; }},
      {"expected 7 numbers of a tensor map, but got 2", [](json &p) { p["kernels"][0]["maps"] = {{0, 1}}; }},
      {"has no operand 99 of 8 x 8",
       [&](json &p) { p["kernels"][size_t(step(p)["dispatches"][0]["kernel"])]["maps"] = {{99, 8, 8, 16, 1, 1, 2}}; }},
      {"calls kernel 99, there are 13",
       [&](json &p) {
         json other = step(p)["dispatches"][0];
         other["kernel"] = 99;
         step(p)["dispatches"][0]["otherwise"] = {{"where", 0}, {"dispatch", other}};
       }},
      {"size 9999 of 'train_step' is out of range",
       [&](json &p) {
         step(p)["dispatches"][0]["otherwise"] = {{"where", 9999}, {"dispatch", step(p)["dispatches"][0]}};
       }},
      {"has tile 0", [&](json &p) { step(p)["dispatches"][0]["grid"][0][1] = 0; }},
  };
  for (const Case &c : cases)
    EXPECT_NE(messageAfter(c.breakIt).find(c.message), std::string::npos)
        << "wanted: " << c.message << "\n   got: " << messageAfter(c.breakIt);
  EXPECT_FALSE(parseProgram("{", 0));
  EXPECT_FALSE(parseProgram("", 0));
}

TEST(Program, CutsRowsIntoNearlyEqualChunks) {
  for (int64_t rows : {16, 48, 512})
    for (int64_t total : {0, 1, 15, 16, 17, 47, 48, 49, 100, 511, 512, 513, 1024, 1025, 5000}) {
      int64_t chunk = Loop{.rows = rows}.chunk(total);
      EXPECT_LE(chunk, rows);
      EXPECT_EQ(chunk == 0, total == 0);
      EXPECT_TRUE(chunk % 16 == 0 || chunk == total) << chunk << " of " << total;
      // No more chunks than there must be.
      EXPECT_EQ(total ? (total + chunk - 1) / chunk : 0, (total + rows - 1) / rows) << total << " by " << rows;
    }
  EXPECT_EQ(Loop{.rows = 512}.chunk(1024), 512);
  EXPECT_EQ(Loop{.rows = 512}.chunk(1025), 352);
}
