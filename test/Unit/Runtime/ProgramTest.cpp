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
  return parsed.error().message;
}

TEST(Program, RejectsWhatBreaksTheContract) {
  struct Case {
    const char *message;
    std::function<void(json &)> breakIt;
  };
  auto step = [](json &p) -> json & { return p["functions"][2]; };
  const Case cases[] = {
      {"expected 'abi' 1, but got 2", [](json &p) { p["abi"] = 2; }},
      {"expected 13 kernels, as many as the object has, but got 12", [](json &p) { p["kernels"].erase(0); }},
      {"key 'name' not found", [](json &p) { p.erase("name"); }},
      {"listed twice", [](json &p) { p["parameters"][1]["name"] = "source_embedding.weight"; }},
      {"overlaps the one before it", [](json &p) { p["parameters"][1]["offset"] = 16; }},
      {"expected parameters to end within 100 elements", [](json &p) { p["parameter_elements"] = 100; }},
      {"unknown initialiser 'magic'", [](json &p) { p["parameters"][0]["init"]["kind"] = "magic"; }},
      {"expected element type", [&](json &p) { step(p)["inputs"][0]["type"] = "bf16"; }},
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
      {"operand 'parameter' 16 of dispatch 0 in 'train_step' has 99999 elements, there are ",
       [&](json &p) { step(p)["dispatches"][0]["operands"][7] = json::array({"parameter", 16, 99999}); }},
      {"writes operand 9, there are 9", [&](json &p) { step(p)["dispatches"][0]["writes"][0] = 9; }},
      {"unknown operation '%' in a formula of 'train_step'",
       [&](json &p) { step(p)["formulas"] = json::array({json::array({"%", 1, 2})}); }},
      {"unknown dim 'pixels' of 'train_step'", [&](json &p) { step(p)["formulas"] = json::array({"pixels"}); }},
      {"formula 7 of 'train_step' is out of range", [&](json &p) { step(p)["dispatches"][0]["flops"] = 7; }},
      {"has tile 0", [&](json &p) { step(p)["dispatches"][0]["grid"][0][1] = 0; }},
  };
  for (const Case &c : cases)
    EXPECT_NE(messageAfter(c.breakIt).find(c.message), std::string::npos)
        << "wanted: " << c.message << "\n   got: " << messageAfter(c.breakIt);
  EXPECT_FALSE(parseProgram("{", 0));
  EXPECT_FALSE(parseProgram("", 0));
}
