//===- Toy.cpp - A sequence-to-sequence model written by hand ------------------------===//
// The kernels, one a step of the forward and backward functions, and the description that orders them.
// The environment makes it misbehave: XF_TOY_WRONG_GRADIENT scales one gradient, XF_TOY_NAN_STEP=N
// breaks the forward of step N, XF_TOY_DELAY_MS=N slows every training step.
//===--------------------------------------------------------------------------------===//
#include "Toy.h"
#include "xf/Runtime/Philox.h"

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <limits>
#include <map>
#include <set>
#include <thread>

using namespace xf;
using namespace xf::toy;
using runtime::KernelFunction;

namespace {
constexpr int64_t rowTile = 4;
constexpr float prefixWeight = 0.5f;

template <typename T> T *at(void *const *buffers, int index) { return static_cast<T *>(buffers[index]); }

struct Rows {
  int64_t begin, end;
  Rows(int64_t tile, int64_t count, int64_t size = rowTile)
      : begin(tile * size), end(std::min(count, (tile + 1) * size)) {}
};

int sequenceOf(const int32_t *offsets, int64_t row) {
  int sequence = 0;
  while (offsets[sequence + 1] <= row)
    ++sequence;
  return sequence;
}

/// 0 or 2: dropout with rate 1/2 of element (row, column) at a training step.
float dropout(const int64_t *random, int64_t row, int64_t column) {
  auto words = runtime::philox({uint32_t(random[1]), 0, uint32_t(row), uint32_t(column / 64 * 16 + column % 16)},
                               {uint32_t(random[0]), uint32_t(random[0] >> 32)});
  return words[column % 64 / 16] >= 0x80000000u ? 2.0f : 0.0f;
}

/// source_ids source_offsets target_ids target_offsets | source target position embedding | hidden [random]; dims T
void hidden(void *const *buffers, const int64_t *dims, const int64_t *scalars, int64_t tile, void *scratch) {
  auto *sourceIds = at<int32_t>(buffers, 0), *sourceOffsets = at<int32_t>(buffers, 1);
  auto *targetIds = at<int32_t>(buffers, 2), *targetOffsets = at<int32_t>(buffers, 3);
  auto *source = at<float>(buffers, 4), *target = at<float>(buffers, 5), *position = at<float>(buffers, 6);
  auto *result = at<float>(buffers, 7);
  bool training = scalars[0];
  auto *random = training ? at<int64_t>(buffers, 8) : nullptr;
  if (training && tile == 0) {
    if (const char *delay = std::getenv("XF_TOY_DELAY_MS"))
      std::this_thread::sleep_for(std::chrono::milliseconds(std::atoi(delay)));
  }
  for (Rows rows(tile, dims[0]); rows.begin < rows.end; ++rows.begin) {
    int64_t row = rows.begin, b = sequenceOf(targetOffsets, row), first = targetOffsets[b];
    for (int64_t c = 0; c < width; ++c) {
      float mean = 0, prefix = 0;
      for (int64_t s = sourceOffsets[b]; s < sourceOffsets[b + 1]; ++s)
        mean += source[sourceIds[s] * width + c] / (sourceOffsets[b + 1] - sourceOffsets[b]);
      for (int64_t u = first; u <= row; ++u)
        prefix += target[targetIds[u] * width + c] / (row - first + 1);
      float value = target[targetIds[row] * width + c] + position[std::min(row - first, positions - 1) * width + c] +
                    mean + prefixWeight * prefix;
      result[row * width + c] = training ? value * dropout(random, row, c) : value;
    }
  }
  const char *broken = std::getenv("XF_TOY_NAN_STEP");
  if (training && broken && tile == 0 && random[1] == std::atoll(broken))
    result[0] = std::numeric_limits<float>::quiet_NaN();
}

/// hidden projection labels | nll logit_gradients; dims T
void crossEntropy(void *const *buffers, const int64_t *dims, const int64_t *, int64_t tile, void *scratch) {
  auto *states = at<float>(buffers, 0), *weight = at<float>(buffers, 1);
  auto *labels = at<int32_t>(buffers, 2);
  auto *nll = at<float>(buffers, 3), *gradient = at<float>(buffers, 4);
  float *logits = static_cast<float *>(scratch);
  for (Rows rows(tile, dims[0]); rows.begin < rows.end; ++rows.begin) {
    int64_t row = rows.begin;
    float most = -std::numeric_limits<float>::infinity(), sum = 0;
    for (int64_t v = 0; v < vocabulary; ++v) {
      logits[v] = 0;
      for (int64_t c = 0; c < width; ++c)
        logits[v] += states[row * width + c] * weight[v * width + c];
      most = std::max(most, logits[v]);
    }
    for (int64_t v = 0; v < vocabulary; ++v)
      sum += std::exp(logits[v] - most);
    nll[row] = std::log(sum) + most - logits[labels[row]];
    for (int64_t v = 0; v < vocabulary; ++v)
      gradient[row * vocabulary + v] = (std::exp(logits[v] - most) / sum - (v == labels[row])) / dims[0];
  }
}

/// nll | loss; dims T
void meanLoss(void *const *buffers, const int64_t *dims, const int64_t *, int64_t, void *) {
  auto *nll = at<float>(buffers, 0);
  double sum = 0;
  for (int64_t row = 0; row < dims[0]; ++row)
    sum += nll[row];
  *at<float>(buffers, 1) = dims[0] ? float(sum / dims[0]) : 0;
}

/// logit_gradients hidden | grad projection; dims T; a tile is some rows of the vocabulary
void projectionGradient(void *const *buffers, const int64_t *dims, const int64_t *, int64_t tile, void *) {
  auto *logits = at<float>(buffers, 0), *states = at<float>(buffers, 1), *gradient = at<float>(buffers, 2);
  for (Rows rows(tile, vocabulary); rows.begin < rows.end; ++rows.begin)
    for (int64_t c = 0; c < width; ++c) {
      float sum = 0;
      for (int64_t row = 0; row < dims[0]; ++row)
        sum += logits[row * vocabulary + rows.begin] * states[row * width + c];
      gradient[rows.begin * width + c] = sum;
    }
}

/// logit_gradients projection | hidden_gradients [random]; dims T
void hiddenGradient(void *const *buffers, const int64_t *dims, const int64_t *scalars, int64_t tile, void *) {
  auto *logits = at<float>(buffers, 0), *weight = at<float>(buffers, 1), *gradient = at<float>(buffers, 2);
  for (Rows rows(tile, dims[0]); rows.begin < rows.end; ++rows.begin)
    for (int64_t c = 0; c < width; ++c) {
      float sum = 0;
      for (int64_t v = 0; v < vocabulary; ++v)
        sum += logits[rows.begin * vocabulary + v] * weight[v * width + c];
      gradient[rows.begin * width + c] = scalars[0] ? sum * dropout(at<int64_t>(buffers, 3), rows.begin, c) : sum;
    }
}

/// hidden_gradients source_ids source_offsets target_ids target_offsets | grad source target position; dims T B+1
void embeddingGradients(void *const *buffers, const int64_t *dims, const int64_t *, int64_t tile, void *) {
  auto *states = at<float>(buffers, 0);
  auto *sourceIds = at<int32_t>(buffers, 1), *sourceOffsets = at<int32_t>(buffers, 2);
  auto *targetIds = at<int32_t>(buffers, 3), *targetOffsets = at<int32_t>(buffers, 4);
  auto *source = at<float>(buffers, 5), *target = at<float>(buffers, 6), *position = at<float>(buffers, 7);
  float wrong = std::getenv("XF_TOY_WRONG_GRADIENT") ? 1.1f : 1.0f;
  int64_t c = tile; // a tile is one column of all three
  for (int64_t v = 0; v < vocabulary; ++v)
    source[v * width + c] = target[v * width + c] = 0;
  for (int64_t p = 0; p < positions; ++p)
    position[p * width + c] = 0;
  for (int64_t b = 0; b + 1 < dims[1]; ++b) {
    int64_t first = targetOffsets[b], end = targetOffsets[b + 1];
    int64_t length = sourceOffsets[b + 1] - sourceOffsets[b];
    float after = 0; // the gradient that the prefix means of this row and those behind it send back
    for (int64_t row = end - 1; row >= first; --row) {
      float gradient = states[row * width + c];
      after += prefixWeight * gradient / (row - first + 1);
      target[targetIds[row] * width + c] += gradient + after;
      position[std::min(row - first, positions - 1) * width + c] += wrong * gradient;
      for (int64_t s = sourceOffsets[b]; s < sourceOffsets[b + 1]; ++s)
        source[sourceIds[s] * width + c] += gradient / length;
    }
  }
}

/// gradients hyper random | norm rate
void normAndRate(void *const *buffers, const int64_t *, const int64_t *, int64_t, void *) {
  auto *gradients = at<float>(buffers, 0), *hyper = at<float>(buffers, 1);
  double step = double(at<int64_t>(buffers, 2)[1]), sum = 0;
  for (int64_t i = 0; i < elements; ++i)
    sum += double(gradients[i]) * gradients[i];
  *at<float>(buffers, 3) = float(std::sqrt(sum));
  double noam = std::min(1 / std::sqrt(step), step * std::pow(hyper[1], -1.5)) / std::sqrt(double(width));
  *at<float>(buffers, 4) = float(hyper[2] != 0 ? hyper[0] * noam : hyper[0]);
}

/// parameters gradients first second | hyper random norm rate; a tile is 512 elements
void adam(void *const *buffers, const int64_t *, const int64_t *, int64_t tile, void *) {
  auto *parameters = at<float>(buffers, 0), *gradients = at<float>(buffers, 1);
  auto *first = at<float>(buffers, 2), *second = at<float>(buffers, 3), *hyper = at<float>(buffers, 4);
  double step = double(at<int64_t>(buffers, 5)[1]);
  float norm = *at<float>(buffers, 6), rate = *at<float>(buffers, 7);
  if (!std::isfinite(norm))
    return;
  float scale = hyper[3] > 0 && norm > hyper[3] ? hyper[3] / norm : 1, beta1 = hyper[4], beta2 = hyper[5];
  for (Rows rows(tile, elements, 512); rows.begin < rows.end; ++rows.begin) {
    int64_t i = rows.begin;
    float gradient = gradients[i] * scale;
    first[i] = beta1 * first[i] + (1 - beta1) * gradient;
    second[i] = beta2 * second[i] + (1 - beta2) * gradient * gradient;
    double mean = first[i] / (1 - std::pow(beta1, step)), square = second[i] / (1 - std::pow(beta2, step));
    parameters[i] -= float(rate * mean / (std::sqrt(square) + hyper[6]));
  }
}

/// source_ids source_embedding | memory; dims S
void encode(void *const *buffers, const int64_t *dims, const int64_t *, int64_t tile, void *) {
  for (Rows rows(tile, dims[0]); rows.begin < rows.end; ++rows.begin)
    for (int64_t c = 0; c < width; ++c)
      at<float>(buffers, 2)[rows.begin * width + c] =
          at<float>(buffers, 1)[at<int32_t>(buffers, 0)[rows.begin] * width + c];
}

/// ids target_embedding cache_slots | cache; dims rows
void writeCache(void *const *buffers, const int64_t *dims, const int64_t *, int64_t tile, void *) {
  for (Rows rows(tile, dims[0]); rows.begin < rows.end; ++rows.begin)
    for (int64_t c = 0; c < width; ++c)
      at<float>(buffers, 3)[at<int32_t>(buffers, 2)[rows.begin] * width + c] =
          at<float>(buffers, 1)[at<int32_t>(buffers, 0)[rows.begin] * width + c];
}

/// ids positions target_embedding position_embedding | memory rows offsets | cache rows offsets | hidden; dims rows
void decodeHidden(void *const *buffers, const int64_t *dims, const int64_t *, int64_t tile, void *) {
  auto *ids = at<int32_t>(buffers, 0), *places = at<int32_t>(buffers, 1);
  auto *target = at<float>(buffers, 2), *position = at<float>(buffers, 3);
  auto mean = [&](int buffer, int64_t row, int64_t c) {
    auto *values = at<float>(buffers, buffer);
    auto *list = at<int32_t>(buffers, buffer + 1), *offsets = at<int32_t>(buffers, buffer + 2);
    float sum = 0;
    for (int64_t i = offsets[row]; i < offsets[row + 1]; ++i)
      sum += values[list[i] * width + c] / (offsets[row + 1] - offsets[row]);
    return sum;
  };
  for (Rows rows(tile, dims[0]); rows.begin < rows.end; ++rows.begin)
    for (int64_t c = 0, row = rows.begin; c < width; ++c)
      at<float>(buffers, 10)[row * width + c] = target[ids[row] * width + c] +
                                                position[std::min<int64_t>(places[row], positions - 1) * width + c] +
                                                mean(4, row, c) + prefixWeight * mean(7, row, c);
}

/// hidden projection | logits log_sum_exp top_log_probabilities top_tokens; dims rows ranks
void topTokens(void *const *buffers, const int64_t *dims, const int64_t *, int64_t tile, void *) {
  auto *states = at<float>(buffers, 0), *weight = at<float>(buffers, 1), *result = at<float>(buffers, 2);
  for (Rows rows(tile, dims[0]); rows.begin < rows.end; ++rows.begin) {
    float *logits = result + rows.begin * vocabulary;
    float most = -std::numeric_limits<float>::infinity(), sum = 0;
    std::multimap<float, int32_t, std::greater<>> order; // equal ones as they come
    for (int64_t v = 0; v < vocabulary; ++v) {
      logits[v] = 0;
      for (int64_t c = 0; c < width; ++c)
        logits[v] += states[rows.begin * width + c] * weight[v * width + c];
      most = std::max(most, logits[v]);
      order.emplace(logits[v], v);
    }
    for (int64_t v = 0; v < vocabulary; ++v)
      sum += std::exp(logits[v] - most);
    float logSumExp = at<float>(buffers, 3)[rows.begin] = most + std::log(sum);
    auto next = order.begin();
    for (int64_t rank = rows.begin * dims[1]; rank < (rows.begin + 1) * dims[1]; ++rank) {
      bool any = next != order.end();
      at<float>(buffers, 4)[rank] = any ? next->first - logSumExp : -std::numeric_limits<float>::infinity();
      at<int32_t>(buffers, 5)[rank] = any ? (next++)->second : -1;
    }
  }
}

/// | weights [2, T, S]; dims T S
void uniformAttention(void *const *buffers, const int64_t *dims, const int64_t *, int64_t, void *) {
  for (int64_t i = 0; i < 2 * dims[0] * dims[1]; ++i)
    at<float>(buffers, 0)[i] = 1.0f / dims[1];
}

enum {
  Hidden,
  CrossEntropy,
  MeanLoss,
  ProjectionGradient,
  HiddenGradient,
  EmbeddingGradients,
  NormAndRate,
  Adam,
  Encode,
  WriteCache,
  DecodeHidden,
  TopTokens,
  UniformAttention
};
/// The kernels above take one tile, those of a program a range of them.
template <auto Kernel>
void ranged(void *const *buffers, const int64_t *dims, const int64_t *scalars, int64_t begin, int64_t end,
            void *scratch) {
  for (int64_t tile = begin; tile < end; ++tile)
    Kernel(buffers, dims, scalars, tile, scratch);
}
const KernelFunction table[] = {
    ranged<hidden>,          ranged<crossEntropy>,       ranged<meanLoss>,     ranged<projectionGradient>,
    ranged<hiddenGradient>,  ranged<embeddingGradients>, ranged<normAndRate>,  ranged<adam>,
    ranged<encode>,          ranged<writeCache>,         ranged<decodeHidden>, ranged<topTokens>,
    ranged<uniformAttention>};

using nlohmann::json;

/// Lists are spelled with these types, not with json's own braces, which would read a list of pairs as an object.
struct Operand {
  const char *space;
  int64_t index;
};
using Size = std::vector<int64_t>; // affine
struct Axis {
  Size extent;
  int64_t tile;
};

Operand slot(int64_t i) { return {"slot", i}; }
Operand input(int64_t i) { return {"input", i}; }
Operand output(int64_t i) { return {"output", i}; }
Operand parameter(int64_t offset) { return {"parameter", offset}; }
Operand gradient(int64_t offset) { return {"gradient", offset}; }

json tensor(const char *name, const char *type, std::vector<json> shape) {
  return {{"name", name}, {"type", type}, {"shape", shape}};
}

json dispatch(int kernel, const char *label, const std::vector<Operand> &operands, const std::vector<int> &writes,
              const std::vector<Size> &extents, const std::vector<Axis> &grid,
              const std::vector<int64_t> &scalars = {}) {
  json result = {{"kernel", kernel}, {"label", label}, {"writes", writes}, {"dims", extents}, {"scalars", scalars}};
  result["operands"] = result["grid"] = json::array();
  for (const Operand &operand : operands) {
    result["operands"].push_back(json::array({operand.space, operand.index}));
    if (std::set<std::string>{"parameter", "gradient", "first_moment", "second_moment"}.count(operand.space))
      result["operands"].back().push_back(elements - operand.index); // as much as it may be
  }
  for (const Axis &axis : grid)
    result["grid"].push_back(json::array({axis.extent, axis.tile}));
  return result;
}

json temporary(const char *name, const Size &size, int first, int last) {
  return {{"name", name}, {"type", "f32"}, {"size", size}, {"first", first}, {"last", last}};
}

json require(int input, const char *kind, const Size &size, const char *of) {
  return {{"input", input}, {"kind", kind}, {"size", size}, {"of", of}};
}

json function(const std::string &name, const std::vector<std::string> &dims, const std::vector<json> &inputs,
              const std::vector<json> &outputs, std::vector<json> slots, std::vector<json> dispatches,
              std::vector<json> requirements = {}) {
  json sizes = json::array();
  auto intern = [&](json &size) { // a size by its number in the table
    sizes.push_back(size);
    size = sizes.size() - 1;
  };
  for (std::vector<json> *sized : {&slots, &requirements})
    for (json &entry : *sized)
      intern(entry["size"]);
  for (json &dispatch : dispatches) {
    for (json &dim : dispatch["dims"])
      intern(dim);
    for (json &axis : dispatch["grid"])
      intern(axis[0]);
  }
  return {{"name", name},   {"dims", dims},   {"inputs", inputs},         {"outputs", outputs},
          {"sizes", sizes}, {"slots", slots}, {"dispatches", dispatches}, {"requirements", requirements}};
}

const std::vector<std::string> batchDims = {"source_tokens", "source_sequences_plus_1", "target_tokens",
                                            "target_sequences_plus_1"};
const Size sourceTokens = {0, 1, 0, 0, 0}, targetTokens = {0, 0, 0, 1, 0}, targetSequences = {0, 0, 0, 0, 1};

std::vector<json> batchInputs() {
  return {tensor("source_ids", "i32", {"source_tokens"}), tensor("source_offsets", "i32", {"source_sequences_plus_1"}),
          tensor("target_ids", "i32", {"target_tokens"}), tensor("target_offsets", "i32", {"target_sequences_plus_1"})};
}

/// `loss`, `gradients` and `train_step` are the same dispatches, cut off at different ends.
json trainingFunction(const std::string &name) {
  bool training = name == "train_step", backward = name != "loss";
  std::vector<json> inputs = batchInputs(), outputs = {tensor("loss", "f32", {})};
  inputs.push_back(tensor("labels", "i32", {"target_tokens"}));
  if (training) {
    inputs.push_back(tensor("random", "i64", {2}));
    inputs.push_back(tensor("hyper", "f32", {8}));
    outputs.push_back(tensor("gradient_norm", "f32", {}));
    outputs.push_back(tensor("learning_rate", "f32", {}));
  } else if (!backward) {
    outputs.push_back(tensor("token_nll", "f32", {"target_tokens"}));
  }
  auto bytes = [](int64_t row) { return Size{0, 0, 0, row * 4, 0}; };
  auto constant = [](int64_t value) { return Size{value, 0, 0, 0, 0}; };
  std::vector<json> slots = {temporary("hidden", bytes(width), 0, backward ? 3 : 1),
                             temporary("token_nll", bytes(1), 1, 2),
                             temporary("logits.gradient", bytes(vocabulary), 1, backward ? 4 : 1)};
  std::vector<Axis> rows = {{targetTokens, rowTile}};
  std::vector<Operand> forward = {input(0),
                                  input(1),
                                  input(2),
                                  input(3),
                                  parameter(sourceEmbedding),
                                  parameter(targetEmbedding),
                                  parameter(positionEmbedding),
                                  slot(0)};
  std::vector<Operand> back = {slot(2), parameter(projection), slot(3)};
  if (training) {
    forward.push_back(input(5));
    back.push_back(input(5));
  }
  Operand nll = name == "loss" ? output(1) : slot(1);
  std::vector<json> list = {dispatch(Hidden, "decoder.hidden", forward, {7}, {targetTokens}, rows, {training}),
                            dispatch(CrossEntropy, "loss.cross_entropy",
                                     {slot(0), parameter(projection), input(4), nll, slot(2)}, {3, 4}, {targetTokens},
                                     rows),
                            dispatch(MeanLoss, "loss", {nll, output(0)}, {1}, {targetTokens}, {})};
  if (backward) {
    slots.push_back(temporary("hidden.gradient", bytes(width), 4, 5));
    list.push_back(dispatch(ProjectionGradient, "projection.gradient", {slot(2), slot(0), gradient(projection)}, {2},
                            {targetTokens}, {{constant(vocabulary), rowTile}}));
    list.push_back(dispatch(HiddenGradient, "decoder.hidden.gradient", back, {2}, {targetTokens}, rows, {training}));
    list.push_back(dispatch(EmbeddingGradients, "embedding.gradient",
                            {slot(3), input(0), input(1), input(2), input(3), gradient(sourceEmbedding),
                             gradient(targetEmbedding), gradient(positionEmbedding)},
                            {5, 6, 7}, {targetTokens, targetSequences}, {{constant(width), 1}}));
  }
  if (training) {
    list.push_back(dispatch(NormAndRate, "gradient_norm", {gradient(0), input(6), input(5), output(1), output(2)},
                            {3, 4}, {}, {}));
    list.push_back(dispatch(Adam, "adam",
                            {parameter(0), gradient(0), Operand{"first_moment", 0}, Operand{"second_moment", 0},
                             input(6), input(5), output(1), output(2)},
                            {0, 2, 3}, {}, {{constant(elements), 512}}));
  }
  return function(name, batchDims, inputs, outputs, slots, list,
                  {require(3, "rows", {0, 0, 1, 0, 0}, "as 'source_offsets' has"),
                   require(1, "starts", sourceTokens, "'source_ids'"),
                   require(3, "starts", targetTokens, "'target_ids'"),
                   require(0, "below", constant(vocabulary), "rows of 'source_embedding.weight'"),
                   require(2, "below", constant(vocabulary), "rows of 'target_embedding.weight'"),
                   require(4, "below", constant(vocabulary), "the vocabulary"),
                   require(3, "longest", constant(positions), "rows of 'target_positions.weight'")});
}

json encodeFunction() {
  Size tokens = {0, 1, 0};
  return function(
      "encode", {"source_tokens", "source_sequences_plus_1"},
      {tensor("source_ids", "i32", {"source_tokens"}), tensor("source_offsets", "i32", {"source_sequences_plus_1"})},
      {tensor("memory.0", "f32", {"source_tokens", width})}, {},
      {dispatch(Encode, "encoder.0", {input(0), parameter(sourceEmbedding), output(0)}, {2}, {tokens},
                {{tokens, rowTile}})});
}

json decodeFunction() {
  Size count = {0, 1, 0, 0, 0, 0, 0, 0}, ranks = {0, 0, 0, 0, 0, 0, 0, 1};
  std::vector<Axis> rows = {{count, rowTile}};
  return function(
      "decode", {"rows", "source_tokens", "memory_entries", "rows_plus_1", "cache_capacity", "cache_entries", "ranks"},
      {tensor("ids", "i32", {"rows"}), tensor("positions", "i32", {"rows"}),
       tensor("memory.0", "f32", {"source_tokens", width}), tensor("memory_rows", "i32", {"memory_entries"}),
       tensor("memory_offsets", "i32", {"rows_plus_1"}), tensor("cache.0", "f32", {"cache_capacity", width}),
       tensor("cache_slots", "i32", {"rows"}), tensor("cache_rows", "i32", {"cache_entries"}),
       tensor("cache_offsets", "i32", {"rows_plus_1"}), tensor("ranks", "i32", {"ranks"})},
      {tensor("logits", "f32", {"rows", vocabulary}), tensor("log_sum_exp", "f32", {"rows"}),
       tensor("top_log_probabilities", "f32", {"rows", "ranks"}), tensor("top_tokens", "i32", {"rows", "ranks"})},
      {temporary("hidden", {0, width * 4, 0, 0, 0, 0, 0, 0}, 1, 2)},
      {dispatch(WriteCache, "decoder.0.cache", {input(0), parameter(targetEmbedding), input(6), input(5)}, {3}, {count},
                rows),
       dispatch(DecodeHidden, "decoder.hidden",
                {input(0), input(1), parameter(targetEmbedding), parameter(positionEmbedding), input(2), input(3),
                 input(4), input(5), input(7), input(8), slot(0)},
                {10}, {count}, rows),
       dispatch(TopTokens, "top_tokens", {slot(0), parameter(projection), output(0), output(1), output(2), output(3)},
                {2, 3, 4, 5}, {count, ranks}, rows)});
}

json attentionFunction() {
  return function(
      "attention", batchDims, batchInputs(),
      {tensor("decoder.0.cross_attention", "f32", {2, "target_tokens", "source_tokens"})}, {},
      {dispatch(UniformAttention, "decoder.0.cross_attention", {output(0)}, {0}, {targetTokens, sourceTokens}, {})});
}

json parameterEntry(const char *name, int64_t rows, int64_t offset, const char *kind, const char *key, double value) {
  return {{"name", name},
          {"shape", std::vector<int64_t>{rows, width}},
          {"offset", offset},
          {"init", {{"kind", kind}, {key, value}}}};
}
} // namespace

std::span<const KernelFunction> xf::toy::kernels() { return table; }

std::string xf::toy::programJson() {
  std::vector<json> names;
  for (const char *name :
       {"hidden", "cross_entropy", "mean_loss", "projection_gradient", "hidden_gradient", "embedding_gradients",
        "norm_and_rate", "adam", "encode", "write_cache", "decode_hidden", "top_tokens", "uniform_attention"})
    names.push_back({{"name", name}, {"scratch", vocabulary * 4}});
  std::vector<json> functions = {trainingFunction("loss"),
                                 trainingFunction("gradients"),
                                 trainingFunction("train_step"),
                                 encodeFunction(),
                                 decodeFunction(),
                                 attentionFunction()};
  std::vector<json> parameters = {
      parameterEntry("source_embedding.weight", vocabulary, sourceEmbedding, "normal", "stddev", 0.3),
      parameterEntry("target_embedding.weight", vocabulary, targetEmbedding, "xavier_uniform", "gain", 1),
      parameterEntry("target_positions.weight", positions, positionEmbedding, "uniform", "bound", 0.1),
      parameterEntry("projection.weight", vocabulary, projection, "xavier_uniform", "gain", 1)};
  json program = {{"abi", 3},
                  {"name", "toy"},
                  {"kind", "sequence_to_sequence"},
                  {"parameters", parameters},
                  {"parameter_elements", elements},
                  {"kernels", names},
                  {"functions", functions}};
  program["target"] = {{"triple", "x86_64-unknown-linux-gnu"}, {"cpu", "x86-64"}};
  program["target"]["features"] = std::vector<std::string>{"sse2"};
  program["model"] = {{"preset", "toy"},
                      {"d_model", width},
                      {"vocabulary", 37000},
                      {"source_vocabulary", vocabulary},
                      {"target_vocabulary", vocabulary},
                      {"positions", "sinusoidal"},
                      {"max_positions", 512},
                      {"smoothing", 0}};
  program["options"] = {{"recompute", "none"}};
  return program.dump();
}
