//===- TorchReferenceTest.cpp - against numbers from torch ----------------------===//
// Outputs, gradients and steps of Adam of small layers and models, computed by torch in double precision from float32
// values: by the interpreter and, where a case is a layer alone, by compiled code too (test/EndToEnd/reference.test has
// executables for whole models). They lie in the shared data, not in the repository: without it these tests are
// skipped.
//===----------------------------------------------------------------------------===//
#include "../Schedule/Compiled.h"
#include "TransformerText.h"
#include <cmath>
#include <cstdlib>
#include <fmt/format.h>

using namespace mlir::xf::test;
using mlir::xf::reference::fromView;

namespace {
constexpr double tolerance = 1e-6;         // relative, of a whole tensor
constexpr double compiledTolerance = 2e-6; // in single precision

/// The numbers of the valid rows of a padded batch.
Tensor validRows(const std::vector<int64_t> &lengths, int64_t length) {
  std::vector<int64_t> rows;
  for (size_t b = 0; b < lengths.size(); ++b)
    for (int64_t t = 0; t < lengths[b]; ++t)
      rows.push_back(int64_t(b) * length + t);
  return integers(rows);
}

/// Rows of a table, as packed activations.
Tensor gather(const Tensor &table, const Tensor &rows) {
  Tensor result = Tensor::reals({rows.elements(), table.shape().back()});
  for (int64_t t = 0; t < result.rows(); ++t)
    for (int64_t c = 0; c < result.columns(); ++c)
      result(t, c) = table[rows.integer(t) * result.columns() + c];
  return result;
}

class TorchReference : public testing::Test {
protected:
  /// Opens a case; skips the test where there is none.
  void open(const std::string &name) {
    const char *folder = std::getenv("XF_SHARED_DATA");
    std::string path = std::string(folder ? folder : "../shared/data") + "/torch-reference/" + name + ".safetensors";
    if (FILE *probe = std::fopen(path.c_str(), "rb"))
      std::fclose(probe);
    else
      GTEST_SKIP() << "no shared data: '" << path << "' is absent";
    auto opened = ::xf::runtime::Safetensors::open(path);
    ASSERT_TRUE(opened) << opened.error().message;
    for (const ::xf::runtime::TensorView &view : opened->tensors())
      file[std::string(view.name)] = fromView(view);
  }
  /// The tensors whose names begin with `prefix`, by the rest of the name.
  Tensors under(const std::string &prefix) const {
    Tensors found;
    for (const auto &[name, tensor] : file)
      if (name.starts_with(prefix))
        found[name.substr(prefix.size())] = tensor;
    return found;
  }
  void setParameters(Module &module) {
    Tensors parameters = under("param.");
    for (auto &[name, tensor] : module.state.parameters)
      if (auto found = parameters.find(name); found != parameters.end())
        tensor = found->second.copy();
  }
  /// Each expected tensor is there and agrees.
  static void expectNear(const Tensors &expected, const Tensors &actual, const std::string &prefix = "",
                         double limit = tolerance) {
    EXPECT_FALSE(expected.empty());
    for (const auto &[name, tensor] : expected) {
      ASSERT_TRUE(actual.contains(prefix + name)) << prefix + name;
      const Tensor &given = actual.find(prefix + name)->second;
      // A key's bias has no gradient but rounding, which is of its own size.
      if (limit == compiledTolerance && name.ends_with("key.bias"))
        EXPECT_LE(distance(given, tensor) * 1e-6, 1e-5) << prefix + name;
      else
        EXPECT_LE(distance(given, tensor), limit) << prefix + name;
    }
  }
  /// The module that layerModule() made, differentiated, gives the case's output and gradients, in doubles and compiled
  /// for every form of vectors. Rows of the case's tensors: those computed, and those that %x is made of.
  void expectLayer(Module &module, const Tensors &inputs, const Tensor &rows, const Tensor &parameterRows) {
    Tensor output = gather(file["output.output"], rows), x = gather(file["grad.input.x"], parameterRows);
    auto check = [&](const Tensors &loss, const Tensors &gradients, double limit) {
      expectNear({{"output", output}}, loss, "", limit);
      expectNear(under("grad.param."), gradients, "grad.", limit);
      expectNear({{"x", x}}, gradients, "grad.", limit);
    };
    check(module.run("loss", inputs), module.run("gradients", inputs), tolerance);
    module.transform("cse"); // what gave the cotangent that was replaced
    std::string text;
    llvm::raw_string_ostream(text) << *module;
    for (unsigned width : vectorWidths()) {
      SCOPED_TRACE(fmt::format("compiled for vectors of {}", width));
      Compiled compiled(text, width);
      if (compiled.valid())
        check(compiled.run("loss", inputs, 1, &module.state), compiled.run("gradients", inputs, 2, &module.state),
              compiledTolerance);
    }
  }

  Tensors file;
};

/// A module that applies `layer` to rows of the parameter @x, `count` of them in all: %x are the rows `query_rows`,
/// %memory the rows `key_rows`.
std::string layerModule(const LayerText &layer, int64_t count, int64_t width) {
  std::string text = fmt::format(
      "module {{\nxf.param @x : tensor<{0}x{1}xf32> zeros(0.0)\nxf.param @projection : tensor<2x{1}xf32> ones(1.0)\n",
      count, width);
  std::string wide = fmt::format("tensor<?x{}xf32>", width), ids = "tensor<?xi32>",
              table = fmt::format("tensor<{}x{}xf32>", count, width);
  text += layer.function("layer", {{"%x", wide}, {"%memory", wide}, {"%offsets", ids}, {"%memory_offsets", ids}});
  std::string loads, operands = "%x, %memory, %query_offsets, %key_offsets",
                     types = fmt::format("{0}, {0}, {1}, {1}", wide, ids), arguments;
  for (size_t i = 0; i < layer.parameters.size(); ++i) {
    const auto &[name, type] = layer.parameters[i];
    text += fmt::format("xf.param @{} : {} zeros(0.0)\n", name, type);
    loads += fmt::format("%p{} = xf.get_param @{} : {}\n", i, name, type);
    operands += fmt::format(", %p{}", i);
    types += ", " + type;
  }
  for (auto [name, dim] : {std::pair("query_rows", "queries"),
                           {"key_rows", "keys"},
                           {"query_offsets", "offsets"},
                           {"key_offsets", "offsets"},
                           {"labels", "queries"}})
    arguments += fmt::format("{0}%{1}: {2} {{xf.name = \"{1}\", xf.dims = [\"{3}\"]}}", arguments.empty() ? "" : ", ",
                             name, ids, dim);
  return text +
         fmt::format(
             R"(func.func @loss({0}) -> (tensor<f32> {{xf.name = "loss"}}, {1} {{xf.name = "output"}}) attributes {{xf.entry}} {{
    {2}
    %table = xf.get_param @x : {3}
    %x = xf.embedding %query_rows, %table : (tensor<?xi32>, {3}) -> {1}
    %memory = xf.embedding %key_rows, %table : (tensor<?xi32>, {3}) -> {1}
    %y = func.call @layer({4}) : ({5}) -> {1}
    %projection = xf.get_param @projection : tensor<2x{6}xf32>
    %logits = xf.linear %y, %projection : ({1}, tensor<2x{6}xf32>) -> tensor<?x2xf32>
    %token_loss, %nll, %lse = xf.cross_entropy %logits, %labels : (tensor<?x2xf32>, tensor<?xi32>) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
    %loss = xf.mean %token_loss : (tensor<?xf32>) -> tensor<f32>
    return %loss, %y : tensor<f32>, {1}
  }}
}})",
             arguments, wide, loads, table, operands, types, width);
}

/// Replaces the cotangent of the layer's result in @gradients by an argument, so that the gradients are those of
/// sum(result * cotangent).
void takeCotangent(Module &module) {
  auto gradients = (*module).lookupSymbol<mlir::func::FuncOp>("gradients");
  for (auto call : gradients.getOps<mlir::func::CallOp>())
    if (call.getCallee() == "layer.bwd") {
      mlir::OpOperand &cotangent = call->getOpOperand(call.getNumOperands() - 1);
      unsigned index = gradients.getNumArguments();
      mlir::Builder builder(call.getContext());
      auto attributes =
          builder.getDictionaryAttr({builder.getNamedAttr("xf.dims", builder.getStrArrayAttr({"queries"})),
                                     builder.getNamedAttr("xf.name", builder.getStringAttr("cotangent"))});
      ASSERT_TRUE(succeeded(gradients.insertArgument(index, cotangent.get().getType(), attributes, call.getLoc())));
      cotangent.set(gradients.getArgument(index));
      return;
    }
  FAIL() << "no call of @layer.bwd";
}
} // namespace

TEST_F(TorchReference, MultiHeadAttention) {
  open("mha_valid_lengths");
  if (IsSkipped())
    return;
  LayerText layer({.d = 60, .heads = 3, .hidden = 0});
  layer.result = layer.attentionLayer("attention", "%x", "%memory", "%offsets", "%memory_offsets", false);
  for (const mlir::xf::Recompute &recompute : {mlir::xf::Recompute::None, mlir::xf::Recompute::Full}) {
    Module module(layerModule(layer, 15, 60));
    setParameters(module);
    module.state.parameters["x"] = gather(file["input.x"], validRows({5, 5, 5}, 5));
    module.differentiate(recompute);
    takeCotangent(module);
    Tensors inputs = {{"query_rows", validRows({5, 5, 5}, 5)},
                      {"key_rows", validRows({4, 1, 5}, 5)},
                      {"query_offsets", offsets({5, 5, 5})},
                      {"key_offsets", offsets({4, 1, 5})},
                      {"labels", Tensor::integers({15})},
                      {"cotangent", gather(file["cotangent.output"], validRows({5, 5, 5}, 5))}};
    expectLayer(module, inputs, inputs["query_rows"], inputs["query_rows"]);
  }
}

TEST_F(TorchReference, EncoderLayerPostNorm) {
  open("encoder_layer_post_norm");
  if (IsSkipped())
    return;
  std::vector<int64_t> lengths = {2, 6, 5};
  Module module(layerModule(encoderLayer({.d = 32, .heads = 4, .hidden = 56, .bias = true}), 18, 32));
  setParameters(module);
  module.state.parameters["x"] = gather(file["input.x"], validRows({6, 6, 6}, 6));
  module.differentiate();
  takeCotangent(module);
  Tensor rows = validRows(lengths, 6);
  Tensors inputs = {{"query_rows", rows},
                    {"key_rows", rows},
                    {"query_offsets", offsets(lengths)},
                    {"key_offsets", offsets(lengths)},
                    {"labels", Tensor::integers({13})},
                    {"cotangent", gather(file["cotangent.output"], rows)}};
  expectLayer(module, inputs, rows, validRows({6, 6, 6}, 6));
}

TEST_F(TorchReference, SequenceToSequenceTied) {
  open("sequence_to_sequence_tied");
  if (IsSkipped())
    return;
  for (const mlir::xf::Recompute &recompute : {mlir::xf::Recompute::None, mlir::xf::Recompute::Full}) {
    Module module(transformerText({.d = 40, .heads = 5, .hidden = 72, .layers = 2, .vocabulary = 50}));
    setParameters(module);
    module.differentiate(recompute);
    Tensors results = module.run("loss", under("input."));
    for (const char *name : {"loss", "token_nll", "logits"})
      EXPECT_LE(distance(results[name], file[std::string("output.") + name]), tolerance) << name;
    expectNear(under("grad.param."), module.run("gradients", under("input.")), "grad.");
  }
}

TEST_F(TorchReference, Adam) {
  open("adam");
  if (IsSkipped())
    return;
  Module module(transformerText({.d = 24, .heads = 3, .hidden = 40, .layers = 2, .vocabulary = 37}));
  setParameters(module);
  module.differentiate();
  Tensor hyper = Tensor::reals({8});
  // Rate, warmup, noam, clip norm, both betas, epsilon, decay.
  constexpr double settings[] = {1, 4, 1, 1, 0.9, 0.98, 1e-9, 0};
  for (int64_t i = 0; i < 8; ++i)
    hyper[i] = settings[i];
  expectNear(under("step1.grad."), module.run("gradients", under("input.step1.")), "grad.");
  for (int64_t step = 1; step <= 3; ++step) {
    Tensors inputs = under(fmt::format("input.step{}.", step));
    inputs["random"] = integers({0, step});
    inputs["hyper"] = hyper;
    Tensors results = module.run("train_step", inputs);
    for (const char *name : {"loss", "gradient_norm", "learning_rate"})
      EXPECT_LE(distance(results[name], file[fmt::format("step{}.{}", step, name)]), tolerance)
          << name << " of step " << step;
    expectNear(under(fmt::format("step{}.param.", step)), module.state.parameters);
  }
  expectNear(under("step3.first_moment."), module.state.firstMoments);
  expectNear(under("step3.second_moment."), module.state.secondMoments);
}

// A seed and the initialisers alone give the parameters, as in a compiled model.
TEST(ModelState, InitialisersDependOnTheSeed) {
  const char *text = "module { xf.param @w : tensor<30x20xf32> xavier_uniform(2.0)\nxf.param @e : tensor<50x40xf32> "
                     "normal(0.5)\nxf.param @n : tensor<3xf32> ones(1.0) }";
  Module module(text), other(text);
  other.state = *mlir::xf::reference::ModelState::initialize(*other, 1);
  double square = 0;
  for (int64_t i = 0; i < 600; ++i)
    EXPECT_LE(std::abs(module.state.parameters["w"][i]), 2 * std::sqrt(6.0 / 50));
  for (int64_t i = 0; i < 2000; ++i)
    square += module.state.parameters["e"][i] * module.state.parameters["e"][i] / 2000;
  EXPECT_NEAR(std::sqrt(square), 0.5, 0.03);
  EXPECT_EQ(module.state.parameters["n"][2], 1);
  EXPECT_GT(distance(module.state.parameters["w"], other.state.parameters["w"]), 0.5);
}
