//===- GradientTest.cpp - every rule against differences ------------------------===//
// The gradient that differentiation derives, run in double precision, against central differences: for every op with a
// rule, at random widths, with sequences of length 0 and 1 among them. Each op stands in a layer function, so that the
// way through
// @LAYER.fwd and @LAYER.bwd is what is tested, and all its real operands are parameters.
//===----------------------------------------------------------------------------===//
#include "Harness.h"
#include <cmath>
#include <fmt/format.h>

using namespace mlir::xf::test;
using mlir::xf::Recompute;

namespace {
/// One layer around an op: its parameters (name, type), its body, which computes %y, and what else it reads.
struct Layer {
  std::vector<std::pair<std::string, std::string>> parameters;
  std::string body;
  int64_t rows, width; // of %y
  Tensors inputs = {};
};

class Random {
public:
  explicit Random(uint64_t seed) : engine(seed) {}
  int64_t upTo(int64_t low, int64_t high) { return std::uniform_int_distribution<int64_t>(low, high)(engine); }
  std::vector<int64_t> ids(int64_t count, int64_t bound) {
    std::vector<int64_t> values(count);
    for (int64_t &value : values)
      value = upTo(0, bound - 1);
    return values;
  }

private:
  std::mt19937_64 engine;
};

std::string matrix(int64_t rows, int64_t columns) { return fmt::format("tensor<{}x{}xf32>", rows, columns); }
std::string vector(int64_t size) { return fmt::format("tensor<{}xf32>", size); }

/// The type of an input, as a function declares it.
std::string typeOf(const Tensor &tensor, llvm::StringRef name) {
  return fmt::format("tensor<{}x{}>", tensor.elements(), name == "random" ? "i64" : "i32");
}

/// @loss: the mean cross-entropy of `%y projection^T`, so that every element of %y has a cotangent of its own.
std::string moduleText(const Layer &layer) {
  std::string text = "module {\n", parameters, inputs, arguments, types, uses;
  auto join = [](std::string &list, const std::string &item) { list += (list.empty() ? "" : ", ") + item; };
  for (const auto &[name, type] : layer.parameters) {
    text += fmt::format("xf.param @{} : {} normal(1.0)\n", name, type);
    join(parameters, fmt::format("%{}: {}", name, type));
    join(arguments, "%" + name);
    join(types, type);
    uses += fmt::format("%{0} = xf.get_param @{0} : {1}\n", name, type);
  }
  for (const auto &[name, tensor] : layer.inputs) {
    std::string type = typeOf(tensor, name);
    join(parameters, fmt::format("%{}: {}", name, type));
    join(arguments, "%" + name);
    join(types, type);
    inputs += fmt::format("%{0}: {1} {{xf.name = \"{0}\"}}, ", name, type);
  }
  std::string y = matrix(layer.rows, layer.width), logits = matrix(layer.rows, 3), rows = vector(layer.rows),
              labels = fmt::format("tensor<{}xi32>", layer.rows);
  text += fmt::format("xf.param @projection : {} normal(1.0)\n", matrix(3, layer.width));
  text += fmt::format("func.func private @layer({}) -> {} {{\n{}\nreturn %y : {}\n}}\n", parameters, y, layer.body, y);
  text += fmt::format(
      R"(func.func @loss({0}%labels: {1} {{xf.name = "labels"}}) -> (tensor<f32> {{xf.name = "loss"}}) attributes {{xf.entry}} {{
    {2}
    %projection = xf.get_param @projection : {3}
    %y = func.call @layer({4}) : ({5}) -> {6}
    %logits = xf.linear %y, %projection : ({6}, {3}) -> {7}
    %token_loss, %nll, %lse = xf.cross_entropy %logits, %labels smoothing(0.1) : ({7}, {1}) -> ({8}, {8}, {8})
    %loss = xf.mean %token_loss : ({8}) -> tensor<f32>
    return %loss : tensor<f32>
  }}
}})",
      inputs, labels, uses, matrix(3, layer.width), arguments, types, y, logits, rows);
  return text;
}

/// d loss / d parameter[i] by central differences.
double difference(Module &module, const Tensors &inputs, Tensor &parameter, int64_t i) {
  constexpr double step = 1e-5;
  double value = parameter[i], losses[2];
  for (int side : {0, 1}) {
    parameter[i] = value + (side ? step : -step);
    losses[side] = module.run("loss", inputs)["loss"].scalar();
  }
  parameter[i] = value;
  return (losses[1] - losses[0]) / (2 * step);
}

void checkModule(const std::string &text, const Tensors &inputs, uint64_t seed) {
  for (const Recompute &recompute : {Recompute::None, Recompute{15}, Recompute{40}, Recompute::Full}) {
    Module module(text);
    module.randomize(seed);
    module.differentiate(recompute);
    if (testing::Test::HasFailure())
      return;
    Tensors gradients = module.run("gradients", inputs);
    for (auto &[name, parameter] : module.state.parameters) {
      ASSERT_TRUE(gradients.contains("grad." + name));
      const Tensor &gradient = gradients["grad." + name];
      ASSERT_EQ(gradient.shape(), parameter.shape());
      for (int64_t i = 0; i < parameter.elements(); ++i)
        ASSERT_NEAR(gradient[i], difference(module, inputs, parameter, i), 1e-6)
            << name << "[" << i << "] with seed " << seed << " of\n"
            << text;
    }
  }
}

void check(const Layer &layer, Random &random, uint64_t seed) {
  Tensors inputs = layer.inputs;
  inputs["labels"] = integers(random.ids(layer.rows, 3));
  checkModule(moduleText(layer), inputs, seed);
}

constexpr uint64_t seeds = 6;
template <typename MakeLayer> void checkAll(MakeLayer make) {
  for (uint64_t seed = 0; seed < seeds && !testing::Test::HasFatalFailure(); ++seed) {
    Random random(seed);
    check(make(random), random, seed);
  }
}

Layer activation(Random &random, const char *name) {
  int64_t rows = random.upTo(0, 4), width = random.upTo(1, 7);
  return {{{"x", matrix(rows, width)}}, fmt::format("%y = {} %x : {}", name, matrix(rows, width)), rows, width};
}

/// Attention over a batch with an empty sequence, one of queries without keys, and one of length 1.
Layer attention(Random &random, std::string masks, double rate) {
  bool causal = masks == "causal";
  std::vector<int64_t> queries = {2, 0, 1, 3}, keys = {random.upTo(1, 4), 2, causal ? 1 : 0, random.upTo(1, 4)};
  // Heads with keys and values of their own, or in groups that share them.
  int64_t keyHeads = random.upTo(1, 3), group = random.upTo(0, 1) ? random.upTo(1, 3) : 1, heads = keyHeads * group;
  int64_t keyWidth = keyHeads * random.upTo(1, 3), valueWidth = keyHeads * random.upTo(1, 3);
  int64_t queryRows = 6, keyRows = keys[0] + keys[1] + keys[2] + keys[3];
  std::string q = matrix(queryRows, group * keyWidth), k = matrix(keyRows, keyWidth), v = matrix(keyRows, valueWidth),
              y = matrix(queryRows, group * valueWidth);
  Layer layer{{{"query", q}, {"key", k}, {"value", v}},
              "",
              queryRows,
              group * valueWidth,
              {{"query_offsets", offsets(queries)}, {"key_offsets", offsets(keys)}}};
  bool lengths = masks.find("lengths") != std::string::npos;
  if (lengths)
    layer.inputs["n"] = integers({random.upTo(0, 4), 0, 1, -1, 2, random.upTo(0, 4)});
  if (rate > 0) {
    layer.inputs["random"] = integers({random.upTo(0, 1 << 30), 3});
    layer.body = "%site = arith.constant 5 : i64\n";
  }
  layer.body += fmt::format(
      "%y, %lse = xf.attention %query, %key, %value offsets(%query_offsets, %key_offsets) heads({}) {} "
      "scale(0.7) {} {} : ({}, {}, {}, tensor<5xi32>, tensor<5xi32>{}{}) -> ({}, {})",
      heads, group > 1 ? fmt::format("key_value_heads({})", keyHeads) : "", masks,
      rate > 0 ? fmt::format("dropout({}, %random, %site)", rate) : "", q, k, v, lengths ? ", tensor<6xi32>" : "",
      rate > 0 ? ", tensor<2xi64>, i64" : "", y, matrix(queryRows, heads));
  return layer;
}
} // namespace

TEST(Gradient, Linear) {
  checkAll([](Random &random) -> Layer {
    int64_t rows = random.upTo(0, 4), in = random.upTo(1, 5), out = random.upTo(1, 5);
    bool bias = random.upTo(0, 1);
    Layer layer{{{"x", matrix(rows, in)}, {"w", matrix(out, in)}}, "", rows, out};
    if (bias)
      layer.parameters.emplace_back("b", vector(out));
    layer.body = fmt::format("%y = xf.linear %x, %w {} : ({}, {}{}) -> {}", bias ? "bias %b" : "", matrix(rows, in),
                             matrix(out, in), bias ? ", " + vector(out) : "", matrix(rows, out));
    return layer;
  });
}

TEST(Gradient, Add) {
  checkAll([](Random &random) -> Layer {
    int64_t rows = random.upTo(0, 4), width = random.upTo(1, 5);
    std::string type = matrix(rows, width);
    return {{{"a", type}, {"b", type}},
            fmt::format("%s = xf.add %a, %b : {0}\n%y = xf.add %s, %a : {0}", type),
            rows,
            width};
  });
}

TEST(Gradient, Relu) {
  checkAll([](Random &random) { return activation(random, "xf.relu"); });
}
TEST(Gradient, Gelu) {
  checkAll([](Random &random) { return activation(random, "xf.gelu"); });
}

TEST(Gradient, GeluTanh) {
  checkAll([](Random &random) { return activation(random, "xf.gelu_tanh"); });
}
TEST(Gradient, Silu) {
  checkAll([](Random &random) { return activation(random, "xf.silu"); });
}

TEST(Gradient, Tanh) {
  checkAll([](Random &random) { return activation(random, "xf.tanh"); });
}

// Of both factors, of one, and of a square.
TEST(Gradient, Multiply) {
  checkAll([](Random &random) -> Layer {
    int64_t rows = random.upTo(0, 4), width = random.upTo(1, 5);
    std::string type = matrix(rows, width);
    return {{{"a", type}, {"b", type}},
            fmt::format("%p = xf.multiply %a, %b : {0}\n%s = xf.multiply %b, %b : {0}\n%y = xf.add %p, %s : {0}", type),
            rows,
            width};
  });
}

// Of rounding, which has no slope of its own, the derivative is that of x: cast back by the cotangent's cast.
TEST(Gradient, CastPassesItOn) {
  Random random(0);
  std::string type = matrix(3, 5);
  auto gradientOf = [&](const std::string &body) {
    Module module(moduleText({{{"x", type}}, body, 3, 5}));
    module.randomize(0);
    for (int64_t i = 0; i < 15; ++i)
      module.state.parameters["x"][i] = double(i) / 16 - 0.5; // which bf16 can hold
    module.differentiate();
    return module.run("gradients", {{"labels", integers({0, 2, 1})}})["grad.x"];
  };
  Tensor plain = gradientOf("%y = xf.add %x, %x : " + type);
  Tensor cast = gradientOf(fmt::format(
      "%n = xf.cast %x : {0} to tensor<3x5xbf16>\n%w = xf.cast %n : tensor<3x5xbf16> to {0}\n%y = xf.add %w, %x : {0}",
      type));
  for (int64_t i = 0; i < plain.elements(); ++i)
    EXPECT_NEAR(cast[i], plain[i], 0x1p-8 * std::abs(plain[i])) << i; // half of it is rounded on its way
}

TEST(Gradient, Dropout) {
  checkAll([](Random &random) -> Layer {
    int64_t rows = random.upTo(1, 3), width = random.upTo(60, 70); // past the 64 columns that one counter covers
    std::string type = matrix(rows, width);
    return {
        {{"x", type}},
        fmt::format("%site = arith.constant 3 : i64\n%y = xf.dropout %x, %random, %site rate(0.4) : {}, tensor<2xi64>",
                    type),
        rows,
        width,
        {{"random", integers({random.upTo(0, 1 << 30), 2})}}};
  });
}

TEST(Gradient, Embedding) {
  checkAll([](Random &random) -> Layer {
    int64_t rows = random.upTo(0, 6), vocabulary = random.upTo(1, 4), width = random.upTo(1, 5);
    std::string table = matrix(vocabulary, width), y = matrix(rows, width), ids = fmt::format("tensor<{}xi32>", rows);
    return {{{"table", table}},
            fmt::format("%y = xf.embedding %ids, %table scale(1.5) : ({}, {}) -> {}", ids, table, y),
            rows,
            width,
            {{"ids", integers(random.ids(rows, vocabulary))}}};
  });
}

TEST(Gradient, LayerNorm) {
  checkAll([](Random &random) -> Layer {
    int64_t rows = random.upTo(0, 4), width = random.upTo(2, 7);
    std::string x = matrix(rows, width), w = vector(width);
    return {{{"x", x}, {"w", w}, {"b", w}},
            fmt::format("%y = xf.layer_norm %x, %w, %b epsilon(1.0e-2) : ({0}, {1}, {1}) -> {0}", x, w),
            rows,
            width};
  });
}

TEST(Gradient, RMSNorm) {
  checkAll([](Random &random) -> Layer {
    int64_t rows = random.upTo(0, 4), width = random.upTo(1, 7);
    std::string x = matrix(rows, width), w = vector(width);
    return {{{"x", x}, {"w", w}},
            fmt::format("%y = xf.layer_norm %x, %w rms epsilon(1.0e-2) : ({0}, {1}) -> {0}", x, w),
            rows,
            width};
  });
}

// A norm of every head: rows are cut, and put together again.
TEST(Gradient, Reshape) {
  checkAll([](Random &random) -> Layer {
    int64_t rows = random.upTo(0, 4), heads = random.upTo(1, 3), features = random.upTo(1, 4);
    std::string x = matrix(rows, heads * features), split = matrix(rows * heads, features), w = vector(features);
    return {{{"x", x}, {"w", w}},
            fmt::format("%s = xf.reshape %x : {0} to {1}\n"
                        "%n = xf.layer_norm %s, %w rms epsilon(1.0e-2) : ({1}, {2}) -> {1}\n"
                        "%y = xf.reshape %n : {1} to {0}",
                        x, split, w),
            rows,
            heads * features};
  });
}

TEST(Gradient, Rotary) {
  checkAll([](Random &random) -> Layer {
    int64_t rows = random.upTo(0, 4), heads = random.upTo(1, 3), features = 2 * random.upTo(1, 4);
    std::string x = matrix(rows, heads * features), angles = matrix(rows, features);
    return {{{"x", x}},
            fmt::format("%a = xf.rotary_angles %positions theta(100.0) : (tensor<{}xi32>) -> {}\n"
                        "%y = xf.rotary %x, %a heads({}) : {}, {}",
                        rows, angles, heads, x, angles),
            rows,
            heads * features,
            {{"positions", integers(random.ids(rows, 50))}}};
  });
}

TEST(Gradient, Attention) {
  checkAll([](Random &random) { return attention(random, "", 0); });
}
TEST(Gradient, CausalAttention) {
  checkAll([](Random &random) { return attention(random, "causal", 0); });
}
TEST(Gradient, AttentionWithDropout) {
  checkAll([](Random &random) { return attention(random, random.upTo(0, 1) ? "causal" : "", 0.3); });
}
TEST(Gradient, MaskedAttention) {
  checkAll([](Random &random) {
    std::string window = fmt::format("window({})", random.upTo(0, 2));
    const std::string masks[] = {window, "causal " + window, "lengths(%n)", "causal " + window + " lengths(%n)"};
    return attention(random, masks[random.upTo(0, 3)], random.upTo(0, 1) ? 0.3 : 0);
  });
}

// Score regions: every rule of their derivative, by the score and by what is captured.
TEST(Gradient, AttentionScore) {
  struct Region {
    const char *captured, *body; // captured: the type of %table, or nothing
  };
  const Region regions[] = {
      {"", R"(%third = arith.constant 0.33 : f32
       %a = arith.mulf %score, %third : f32
       %b = math.tanh %a : f32
       %c = arith.divf %b, %third : f32
       %d = arith.divf %third, %c : f32
       %e = arith.subf %c, %d : f32
       %f = math.absf %e : f32
       %s = math.log %f : f32)"},
      {"", R"(%half = arith.constant 0.5 : f32
       %a = arith.maximumf %score, %half : f32
       %b = arith.minimumf %score, %half : f32
       %c = math.exp %b : f32
       %d = math.exp2 %a : f32
       %e = arith.negf %d : f32
       %ahead = arith.cmpi sgt, %key, %query : index
       %s = arith.select %ahead, %c, %e : f32)"},
      {"tensor<HEADSx4xf32>", R"(%two = arith.constant 2 : index
       %distance = arith.subi %key, %query : index
       %index = arith.addi %distance, %two : index
       %a = tensor.extract %table[%head, %index] : tensor<HEADSx4xf32>
       %b = tensor.extract %table[%head, %two] : tensor<HEADSx4xf32>
       %c = arith.mulf %a, %score : f32
       %d = arith.mulf %b, %b : f32
       %s = arith.addf %c, %d : f32)"},
      {"tensor<5xf32>", R"(%a = tensor.extract %table[%key] : tensor<5xf32>
       %b = tensor.extract %table[%head] : tensor<5xf32>
       %c = arith.mulf %a, %score : f32
       %s = arith.addf %b, %c : f32)"},
      {"tensor<HEADSx2xf32>", R"(%zero = arith.constant 0 : index
       %a = tensor.extract %table[%head, %zero] : tensor<HEADSx2xf32>
       %b = tensor.extract %table[%key, %query] : tensor<HEADSx2xf32>
       %c = arith.mulf %a, %score : f32
       %s = arith.addf %b, %c : f32)"},
      {"", R"(%zero = arith.constant 0 : index
       %masked = arith.constant 0xFF800000 : f32
       %seen = arith.cmpi ne, %key, %zero : index
       %s = arith.select %seen, %score, %masked : f32)"},
      {"", "%s = arith.constant 1.0 : f32"},
  };
  for (const Region &region : regions)
    checkAll([&](Random &random) {
      Layer layer = attention(random, random.upTo(0, 1) ? "causal" : "", random.upTo(0, 1) ? 0.3 : 0);
      auto replace = [](std::string text, const std::string &what, const std::string &by) {
        for (size_t at; (at = text.find(what)) != std::string::npos;)
          text.replace(at, what.size(), by);
        return text;
      };
      std::string heads = layer.body.substr(layer.body.find("heads(") + 6, 1),
                  type = replace(region.captured, "HEADS", heads);
      if (!type.empty())
        layer.parameters.emplace_back("table", type);
      std::string score = fmt::format(
          "score{} {{\n^bb0(%score: f32, %head: index, %query: index, %key: index{}):\n{}\nxf.yield %s : f32\n}} : (",
          type.empty() ? "" : "(%table)", type.empty() ? "" : ", %table: " + type,
          replace(region.body, "HEADS", heads));
      size_t colon = layer.body.rfind(" : (");
      layer.body = layer.body.substr(0, colon + 1) + score + layer.body.substr(colon + 4);
      if (!type.empty())
        layer.body.insert(layer.body.rfind(") -> ("), ", " + type);
      return layer;
    });
}

// token_nll and token_loss both lead to the loss, one value is used three times, and the layer with two parameters is
// used twice.
TEST(Gradient, SharedValues) {
  for (uint64_t seed = 0; seed < 3; ++seed)
    checkModule(R"(module {
      xf.param @table : tensor<5x4xf32> normal(1.0)
      xf.param @w : tensor<4x4xf32> normal(1.0)
      func.func private @layer(%x: tensor<?x4xf32>, %w: tensor<4x4xf32>) -> tensor<?x4xf32> {
        %h = xf.linear %x, %w : (tensor<?x4xf32>, tensor<4x4xf32>) -> tensor<?x4xf32>
        %g = xf.gelu %h : tensor<?x4xf32>
        %y = xf.add %g, %x : tensor<?x4xf32>
        return %y : tensor<?x4xf32>
      }
      func.func @loss(%ids: tensor<?xi32> {xf.name = "ids"}, %labels: tensor<?xi32> {xf.name = "labels"}) -> (tensor<f32> {xf.name = "loss"}) attributes {xf.entry} {
        %table = xf.get_param @table : tensor<5x4xf32>
        %w = xf.get_param @w : tensor<4x4xf32>
        %x = xf.embedding %ids, %table : (tensor<?xi32>, tensor<5x4xf32>) -> tensor<?x4xf32>
        %x1 = func.call @layer(%x, %w) : (tensor<?x4xf32>, tensor<4x4xf32>) -> tensor<?x4xf32>
        %x2 = func.call @layer(%x1, %w) : (tensor<?x4xf32>, tensor<4x4xf32>) -> tensor<?x4xf32>
        %logits = xf.linear %x2, %table : (tensor<?x4xf32>, tensor<5x4xf32>) -> tensor<?x5xf32>
        %token_loss, %nll, %lse = xf.cross_entropy %logits, %labels smoothing(0.2) : (tensor<?x5xf32>, tensor<?xi32>) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
        %a = xf.mean %token_loss : (tensor<?xf32>) -> tensor<f32>
        %b = xf.mean %nll : (tensor<?xf32>) -> tensor<f32>
        %loss = xf.add %a, %b : tensor<f32>
        return %loss : tensor<f32>
      }
    })",
                {{"ids", integers({1, 4, 1, 0})}, {"labels", integers({4, 1, 0, 2})}}, seed);
}

// These tests can fail: a derivative that is wrong differs from the differences.
TEST(Gradient, SeededErrorIsFound) {
  Layer layer{{{"x", matrix(2, 3)}}, "%y = xf.gelu %x : " + matrix(2, 3), 2, 3};
  Tensors inputs = {{"labels", integers({0, 2})}};
  Module module(moduleText(layer));
  module.randomize(0);
  module.differentiate();
  module.transform("test-xf-seed-gradient-error{op=xf.gelu_backward}");
  Tensor &x = module.state.parameters["x"];
  Tensor gradient = module.run("gradients", inputs)["grad.x"];
  double largest = 0;
  for (int64_t i = 0; i < x.elements(); ++i)
    largest = std::max(largest, std::abs(gradient[i] - difference(module, inputs, x, i)));
  EXPECT_GT(largest, 1e-3);
}
