//===- TransformerText.h - a Transformer in primitive ops ----------------------===//
// The modules of the shared reference numbers, in the form that the stage `input` leaves them in.
//===----------------------------------------------------------------------------===//
#ifndef XF_TEST_REFERENCE_TRANSFORMERTEXT_H
#define XF_TEST_REFERENCE_TRANSFORMERTEXT_H

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace mlir::xf::test {

struct TransformerSizes {
  int64_t d, heads, hidden, layers = 1, vocabulary = 0;
  bool bias = false; // of the attention's projections
};

/// Writes one function of primitive ops. A parameter becomes a further argument; `parameters` lists them, with their
/// types.
class LayerText {
public:
  explicit LayerText(TransformerSizes sizes) : sizes(sizes) {}

  /// The layers of the paper, post-norm; `x` and the results are names of values.
  std::string attentionLayer(const std::string &name, const std::string &query, const std::string &memory,
                             const std::string &queryOffsets, const std::string &keyOffsets, bool causal);
  std::string addNorm(const std::string &name, const std::string &x, const std::string &sublayer);
  std::string feedForward(const std::string &name, const std::string &x);

  /// The function, after the body has been written: `arguments` are (name, type).
  std::string function(const std::string &name,
                       const std::vector<std::pair<std::string, std::string>> &arguments) const;

  std::string result;                                          // the value it returns
  std::vector<std::pair<std::string, std::string>> parameters; // "attention.query.weight", "tensor<512x512xf32>"

private:
  std::string linear(const std::string &name, const std::string &x, int64_t in, int64_t out, bool bias);
  std::string parameter(const std::string &name, const std::string &type);
  std::string value();
  std::string rows(int64_t width) const;

  TransformerSizes sizes;
  std::string body;
  int values = 0;
};

/// One encoder layer over %x and its offsets.
LayerText encoderLayer(TransformerSizes sizes);
/// A sequence-to-sequence model with one table for both embeddings and the projection: @model and @loss, without
/// dropout.
std::string transformerText(TransformerSizes sizes);

} // namespace mlir::xf::test

#endif // XF_TEST_REFERENCE_TRANSFORMERTEXT_H
