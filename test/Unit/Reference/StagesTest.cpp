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
  return all;
}

class Stages : public testing::TestWithParam<mlir::xf::Recompute> {
protected:
  /// The pipeline, which is to leave ops of type OpT, changes no result.
  template <typename OpT> void expectSame(const char *pipeline) {
    std::string text = transformerText({.d = 6, .heads = 2, .hidden = 5, .layers = 2, .vocabulary = 9, .bias = true});
    Module module(text), transformed(text);
    for (Module *each : {&module, &transformed}) {
      each->randomize(1);
      each->differentiate(each == &module ? mlir::xf::Recompute::None : GetParam());
    }
    transformed.transform(pipeline);
    EXPECT_FALSE((*transformed).lookupSymbol<mlir::func::FuncOp>("gradients").getOps<OpT>().empty());
    Tensors expected = results(module), actual = results(transformed);
    ASSERT_GT(expected.size(), module.state.parameters.size() * 2);
    for (const auto &[name, tensor] : expected) {
      ASSERT_TRUE(actual.contains(name)) << name;
      EXPECT_LE(distance(actual[name], tensor), 1e-9) << name;
    }
  }
};
} // namespace

TEST_P(Stages, Fuse) { expectSame<mlir::xf::GroupOp>("xf-fuse"); }
TEST_P(Stages, Outline) { expectSame<mlir::xf::DispatchOp>("xf-fuse,xf-outline"); }

INSTANTIATE_TEST_SUITE_P(Recompute, Stages, testing::Values(mlir::xf::Recompute::None, mlir::xf::Recompute::Full),
                         [](const auto &info) { return info.param == mlir::xf::Recompute::None ? "None" : "Full"; });
