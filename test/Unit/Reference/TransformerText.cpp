//===- TransformerText.cpp - a Transformer in primitive ops --------------------===//
#include "TransformerText.h"
#include <cmath>
#include <fmt/format.h>

using namespace mlir::xf::test;

std::string LayerText::value() { return fmt::format("%v{}", values++); }
std::string LayerText::rows(int64_t width) const { return fmt::format("tensor<?x{}xf32>", width); }

std::string LayerText::parameter(const std::string &name, const std::string &type) {
  parameters.emplace_back(name, type);
  return fmt::format("%p{}", parameters.size() - 1);
}

std::string LayerText::linear(const std::string &name, const std::string &x, int64_t in, int64_t out, bool bias) {
  std::string y = value(), weightType = fmt::format("tensor<{}x{}xf32>", out, in),
              biasType = fmt::format("tensor<{}xf32>", out);
  std::string weight = parameter(name + ".weight", weightType);
  std::string biasUse = bias ? " bias " + parameter(name + ".bias", biasType) : "";
  body += fmt::format("{} = xf.linear {}, {}{} : ({}, {}{}) -> {}\n", y, x, weight, biasUse, rows(in), weightType,
                      bias ? ", " + biasType : "", rows(out));
  return y;
}

std::string LayerText::attentionLayer(const std::string &name, const std::string &query, const std::string &memory,
                                      const std::string &queryOffsets, const std::string &keyOffsets, bool causal) {
  std::string q = linear(name + ".query", query, sizes.d, sizes.d, sizes.bias);
  std::string k = linear(name + ".key", memory, sizes.d, sizes.d, sizes.bias);
  std::string v = linear(name + ".value", memory, sizes.d, sizes.d, sizes.bias);
  std::string y = value(), wide = rows(sizes.d);
  body += fmt::format("{0}, {0}_lse = xf.attention {1}, {2}, {3} offsets({4}, {5}) heads({6}) scale({7:.17e}) {8} : "
                      "({9}, {9}, {9}, tensor<?xi32>, tensor<?xi32>) -> ({9}, {10})\n",
                      y, q, k, v, queryOffsets, keyOffsets, sizes.heads, 1 / std::sqrt(double(sizes.d / sizes.heads)),
                      causal ? "causal" : "", wide, rows(sizes.heads));
  return linear(name + ".output", y, sizes.d, sizes.d, sizes.bias);
}

std::string LayerText::addNorm(const std::string &name, const std::string &x, const std::string &sublayer) {
  std::string sum = value(), y = value(), type = fmt::format("tensor<{}xf32>", sizes.d);
  std::string weight = parameter(name + ".weight", type), bias = parameter(name + ".bias", type);
  body += fmt::format("{} = xf.add {}, {} : {}\n", sum, x, sublayer, rows(sizes.d));
  body += fmt::format("{} = xf.layer_norm {}, {}, {} : ({}, {}, {}) -> {}\n", y, sum, weight, bias, rows(sizes.d), type,
                      type, rows(sizes.d));
  return y;
}

std::string LayerText::feedForward(const std::string &name, const std::string &x) {
  std::string hidden = linear(name + ".in", x, sizes.d, sizes.hidden, true), activated = value();
  body += fmt::format("{} = xf.relu {} : {}\n", activated, hidden, rows(sizes.hidden));
  return linear(name + ".out", activated, sizes.hidden, sizes.d, true);
}

std::string LayerText::function(const std::string &name,
                                const std::vector<std::pair<std::string, std::string>> &arguments) const {
  std::string list;
  for (const auto &[argument, type] : arguments)
    list += fmt::format("{}{}: {}", list.empty() ? "" : ", ", argument, type);
  for (size_t i = 0; i < parameters.size(); ++i)
    list += fmt::format(", %p{}: {} {{xf.parameter = \"{}\"}}", i, parameters[i].second, parameters[i].first);
  return fmt::format("func.func private @{}({}) -> {} {{\n{}return {} : {}\n}}\n", name, list, rows(sizes.d), body,
                     result, rows(sizes.d));
}

LayerText mlir::xf::test::encoderLayer(TransformerSizes sizes) {
  LayerText text(sizes);
  std::string attended =
      text.addNorm("attention_norm", "%x", text.attentionLayer("attention", "%x", "%x", "%offsets", "%offsets", false));
  text.result = text.addNorm("feed_forward_norm", attended, text.feedForward("feed_forward", attended));
  return text;
}

namespace {
/// What calling a layer under a name takes: the parameters it declares, and the call.
struct Application {
  std::string declarations, call;
};

Application apply(const LayerText &layer, const std::string &function, const std::string &name,
                  const std::string &result, const std::string &operands, const std::string &types,
                  const std::string &resultType) {
  Application text;
  std::string values = operands, all = types, loads;
  for (size_t i = 0; i < layer.parameters.size(); ++i) {
    const auto &[parameter, type] = layer.parameters[i];
    text.declarations += fmt::format("xf.param @{}.{} : {} xavier_uniform(1.0)\n", name, parameter, type);
    loads += fmt::format("{}_p{} = xf.get_param @{}.{} : {}\n", result, i, name, parameter, type);
    values += fmt::format(", {}_p{}", result, i);
    all += ", " + type;
  }
  text.call = fmt::format("{}{} = func.call @{}({}) : ({}) -> {}\n", loads, result, function, values, all, resultType);
  return text;
}
} // namespace

std::string mlir::xf::test::transformerText(TransformerSizes sizes) {
  LayerText encoder = encoderLayer(sizes), decoder(sizes);
  std::string self = decoder.addNorm("attention_norm", "%x",
                                     decoder.attentionLayer("attention", "%x", "%x", "%offsets", "%offsets", true));
  std::string cross =
      decoder.addNorm("cross_attention_norm", self,
                      decoder.attentionLayer("cross_attention", self, "%memory", "%offsets", "%memory_offsets", false));
  decoder.result = decoder.addNorm("feed_forward_norm", cross, decoder.feedForward("feed_forward", cross));

  std::string wide = fmt::format("tensor<?x{}xf32>", sizes.d), ids = "tensor<?xi32>",
              table = fmt::format("tensor<{}x{}xf32>", sizes.vocabulary, sizes.d);
  std::string logits = fmt::format("tensor<?x{}xf32>", sizes.vocabulary);
  std::string declarations = fmt::format("xf.param @embedding.weight : {} normal(0.1)\n", table),
              body = fmt::format("%table = xf.get_param @embedding.weight : {}\n", table);
  for (std::string side : {"source", "target"})
    body += fmt::format(R"(%{0}_looked_up = xf.embedding %{0}_ids, %table scale({1:.17e}) : ({2}, {3}) -> {4}
      %{0}_positions = xf.position_ids %{0}_ids, %{0}_offsets : ({2}, {2}) -> {2}
      %{0}_waves = xf.sinusoidal %{0}_positions : ({2}) -> {4}
      %{0}_0 = xf.add %{0}_looked_up, %{0}_waves : {4}
)",
                        side, std::sqrt(double(sizes.d)), ids, table, wide);
  for (int64_t i = 0; i < sizes.layers; ++i) {
    Application layer = apply(encoder, "encoder_layer", fmt::format("encoder.{}", i), fmt::format("%source_{}", i + 1),
                              fmt::format("%source_{}, %source_offsets", i), wide + ", " + ids, wide);
    declarations += layer.declarations;
    body += layer.call;
  }
  for (int64_t i = 0; i < sizes.layers; ++i) {
    Application layer = apply(decoder, "decoder_layer", fmt::format("decoder.{}", i), fmt::format("%target_{}", i + 1),
                              fmt::format("%target_{}, %target_offsets, %source_{}, %source_offsets", i, sizes.layers),
                              fmt::format("{0}, {1}, {0}, {1}", wide, ids), wide);
    declarations += layer.declarations;
    body += layer.call;
  }
  body += fmt::format(R"(%logits = xf.linear %target_{0}, %table : ({1}, {2}) -> {3}
      %token_loss, %nll, %lse = xf.cross_entropy %logits, %labels smoothing(0.1) : ({3}, {4}) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
      %loss = xf.mean %token_loss : (tensor<?xf32>) -> tensor<f32>
      return %loss, %nll, %logits : tensor<f32>, tensor<?xf32>, {3}
)",
                      sizes.layers, wide, table, logits, ids);

  std::string text =
      fmt::format("module attributes {{xf.config = {{d_model = {} : i64}}}} {{\n{}", sizes.d, declarations);
  text += encoder.function("encoder_layer", {{"%x", wide}, {"%offsets", ids}});
  text +=
      decoder.function("decoder_layer", {{"%x", wide}, {"%offsets", ids}, {"%memory", wide}, {"%memory_offsets", ids}});
  for (const char *entry : {"model", "loss"}) {
    text += fmt::format("func.func @{}(", entry);
    for (const char *name : {"source_ids", "source_offsets", "target_ids", "target_offsets", "labels"})
      text +=
          fmt::format("{0}%{1}: {2} {{xf.name = \"{1}\"}}", std::string(name) == "source_ids" ? "" : ", ", name, ids);
    text += fmt::format(") -> (tensor<f32> {{xf.name = \"loss\"}}, tensor<?xf32> {{xf.name = \"token_nll\"}}, {} "
                        "{{xf.name = \"logits\"}}) attributes {{xf.entry}} {{\n{}}}\n",
                        logits, body);
  }
  return text + "}\n";
}
