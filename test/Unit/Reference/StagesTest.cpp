//===- StagesTest.cpp - the stages keep what a module computes ------------------===//
// A model's loss, gradients and a step of training before and after each stage that works on tensors.
//===----------------------------------------------------------------------------===//
#include "Harness.h"
#include "TransformerText.h"

using namespace mlir::xf::test;

namespace {
const Tensors batch = {{"source_ids", integers({3, 1, 4, 1, 5})},
                       {"source_offsets", offsets({2, 0, 3})},
                       {"target_ids", integers({2, 7, 1, 8, 2, 8})},
                       {"target_offsets", offsets({1, 1, 4})},
                       {"labels", integers({7, 1, 8, 2, 8, 0})}};

/// The results of every entry point, and the parameters after a step.
Tensors results(Module &module) {
  Tensors all = module.run("loss", batch);
  all.merge(module.run("gradients", batch));
  Tensors inputs = batch;
  inputs["random"] = integers({11, 2});
  inputs["hyper"] = Tensor::reals({8}, 0.5);
  for (auto &[name, tensor] : module.run("train_step", inputs))
    all["train_step." + name] = tensor;
  for (auto &[name, tensor] : module.state.parameters)
    all["parameter." + name] = tensor;
  // The step in two halves, from gradients that are there already.
  for (auto &[name, gradient] : module.state.gradients)
    gradient = module.state.parameters[name].copy();
  inputs["weight"] = Tensor::reals({}, 0.25);
  for (auto &[name, tensor] : module.run("accumulate", inputs))
    all["accumulate." + name] = tensor;
  for (auto &[name, tensor] : module.run("update", inputs))
    all["update." + name] = tensor;
  for (auto &[name, tensor] : module.state.parameters)
    all["updated." + name] = tensor;
  return all;
}

class Stages : public testing::TestWithParam<double> { // of a byte that is saved
protected:
  /// The pipeline, which is to leave ops of type OpT, changes no result.
  template <typename OpT> void expectSame(const char *pipeline) {
    std::string text = transformerText({.d = 6, .heads = 2, .hidden = 5, .layers = 2, .vocabulary = 9, .bias = true});
    Module module(text), transformed(text);
    for (Module *each : {&module, &transformed}) {
      each->randomize(1);
      each->differentiate({each == &module ? 0 : GetParam(), /*layers=*/3});
    }
    transformed.transform(pipeline);
    EXPECT_FALSE((*transformed).lookupSymbol<mlir::func::FuncOp>("gradients").getOps<OpT>().empty());
    Tensors expected = results(module), actual = results(transformed);
    ASSERT_GT(expected.size(), module.state.parameters.size() * 4);
    for (const auto &[name, tensor] : expected) {
      ASSERT_TRUE(actual.contains(name)) << name;
      EXPECT_LE(distance(actual[name], tensor), 1e-9) << name;
    }
  }
};
} // namespace

TEST_P(Stages, Fuse) { expectSame<mlir::xf::GroupOp>("xf-fuse"); }
TEST_P(Stages, Outline) { expectSame<mlir::xf::DispatchOp>("xf-fuse,xf-outline"); }

INSTANTIATE_TEST_SUITE_P(Price, Stages, testing::Values(0, 12, 60, 1e15));

// Two batches in halves are one step on both together.
TEST(Halves, AreAStep) {
  std::string text = transformerText({.d = 6, .heads = 2, .hidden = 5, .layers = 1, .vocabulary = 9, .bias = true});
  Module whole(text), halves(text);
  for (Module *each : {&whole, &halves}) {
    each->randomize(3);
    each->differentiate();
  }
  Tensors first = {{"source_ids", integers({3, 1})},
                   {"source_offsets", offsets({2})},
                   {"target_ids", integers({2})},
                   {"target_offsets", offsets({1})},
                   {"labels", integers({7})}},
          second = {{"source_ids", integers({4, 1, 5})},
                    {"source_offsets", offsets({0, 3})},
                    {"target_ids", integers({7, 1, 8, 2, 8})},
                    {"target_offsets", offsets({1, 4})},
                    {"labels", integers({1, 8, 2, 8, 0})}},
          both = batch;
  for (Tensors *inputs : {&first, &second, &both}) {
    (*inputs)["random"] = integers({0, 1});
    Tensor hyper = Tensor::reals({8});
    constexpr double settings[] = {1, 4, 1, 0.5, 0.9, 0.98, 1e-9, 0.01};
    for (int64_t i = 0; i < 8; ++i)
      hyper[i] = settings[i];
    (*inputs)["hyper"] = hyper;
  }
  first["weight"] = Tensor::reals({}, 1.0 / 6);
  second["weight"] = Tensor::reals({}, 5.0 / 6);
  double loss = 0;
  for (const Tensors &inputs : {first, second}) {
    Tensors results = halves.run("accumulate", inputs);
    loss += results["loss"].scalar() * inputs.at("weight").scalar();
    for (auto &[name, gradient] : halves.state.gradients)
      gradient = results["grad." + name];
  }
  Tensors stepped = whole.run("train_step", both), updated = halves.run("update", second);
  EXPECT_NEAR(loss, stepped["loss"].scalar(), 1e-12);
  for (const char *name : {"gradient_norm", "learning_rate"})
    EXPECT_NEAR(updated[name].scalar(), stepped[name].scalar(), 1e-12) << name;
  for (const auto &[name, tensor] : whole.state.parameters)
    EXPECT_LE(distance(halves.state.parameters[name], tensor), 1e-9) << name;
}
