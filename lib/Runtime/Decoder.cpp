//===- Decoder.cpp - Encoding once, decoding token by token ----------------------------===//
// Builds the index lists of `decode` from the hypotheses, and gives cache rows out and takes them back.
//===----------------------------------------------------------------------------------===//
#include "xf/Runtime/Decoder.h"

#include <algorithm>
#include <cstring>

using namespace xf::runtime;

static TensorView listView(std::string_view name, std::vector<int32_t> &values) {
  return {name, ElementType::I32, {int64_t(values.size())}, values.data()};
}

Decoder::Decoder(Session &session, const ModelState &model)
    : session(session), model(model), decodeFunction(*session.program.function("decode")) {
  for (const TensorType &output : decodeFunction.outputs)
    if (output.name == "log_probabilities")
      vocabularySize = output.shape.back().size;
}

void Decoder::restart() {
  cached.clear();
  used.assign(capacity, false);
  nextFree = 0;
}

Expected<void> Decoder::encode(std::span<const std::vector<int32_t>> sources) {
  std::vector<int32_t> ids;
  sourceOffsets = {0};
  for (const std::vector<int32_t> &source : sources) {
    ids.insert(ids.end(), source.begin(), source.end());
    sourceOffsets.push_back(int32_t(ids.size()));
  }
  restart();
  const Function &function = *session.program.function("encode");
  std::vector<TensorView> inputs = {listView("source_ids", ids), listView("source_offsets", sourceOffsets)};
  Expected<std::vector<int64_t>> dims = session.executor().bind(function, inputs);
  if (!dims)
    return dims.error();
  memory.clear();
  for (const TensorType &output : function.outputs)
    memory.emplace_back(output.name, output.type, output.shapeAt(*dims));
  return session.executor().run(function, inputs, viewsOf(memory), model.arenas());
}

Expected<void> Decoder::growCaches(int64_t rows) {
  std::vector<OwnedTensor> grown;
  // What lies behind the last row in use is not touched, here or there.
  int64_t kept = std::find(used.rbegin(), used.rend(), true).base() - used.begin();
  for (const TensorType &input : decodeFunction.inputs) {
    if (!input.name.starts_with("cache.") || input.type != ElementType::F32)
      continue;
    std::vector<int64_t> shape = {rows};
    for (size_t axis = 1; axis < input.shape.size(); ++axis)
      shape.push_back(input.shape[axis].size);
    grown.emplace_back(input.name, input.type, shape);
    if (!caches.empty()) {
      TensorView before = caches[grown.size() - 1].view();
      std::memcpy(grown.back().as<char>(), before.data, capacity ? before.bytes() / capacity * kept : 0);
    }
  }
  caches = std::move(grown);
  capacity = rows;
  used.resize(rows, false);
  return {};
}

int32_t Decoder::freeCacheRow() {
  while (used[nextFree])
    ++nextFree;
  used[nextFree] = true;
  return nextFree++;
}

Expected<std::span<const float>> Decoder::step(std::span<const Hypothesis> hypotheses) {
  // Rows that no hypothesis continues are free again.
  std::vector<std::vector<int32_t>> lists(hypotheses.size());
  std::fill(used.begin(), used.end(), false);
  nextFree = 0;
  int64_t entries = 0;
  for (size_t row = 0; row < hypotheses.size(); ++row) {
    if (hypotheses[row].parent >= 0)
      lists[row] = cached[hypotheses[row].parent];
    for (int32_t cacheRow : lists[row])
      used[cacheRow] = true;
    entries += lists[row].size() + 1;
  }
  int64_t taken = std::count(used.begin(), used.end(), true), needed = taken + int64_t(hypotheses.size());
  // Memory that is never touched costs nothing, and growing copies: room for the tokens of most sentences at once.
  constexpr int64_t tokens = 64;
  if (needed > capacity)
    if (Expected<void> grown = growCaches(std::max({needed, 2 * capacity, tokens * int64_t(hypotheses.size())}));
        !grown)
      return grown.error();

  std::vector<int32_t> ids, positions, memoryRows, memoryOffsets = {0}, cacheSlots, cacheRows, cacheOffsets = {0};
  cacheRows.reserve(entries);
  for (size_t row = 0; row < hypotheses.size(); ++row) {
    const Hypothesis &hypothesis = hypotheses[row];
    if (hypothesis.parent == Hypothesis::rowBefore)
      lists[row] = lists[row - 1];
    ids.push_back(hypothesis.token);
    positions.push_back(int32_t(lists[row].size()));
    cacheSlots.push_back(freeCacheRow());
    lists[row].push_back(cacheSlots.back());
    if (!memory.empty())
      for (int32_t m = sourceOffsets[hypothesis.sentence]; m < sourceOffsets[hypothesis.sentence + 1]; ++m)
        memoryRows.push_back(m);
    memoryOffsets.push_back(int32_t(memoryRows.size()));
    cacheRows.insert(cacheRows.end(), lists[row].begin(), lists[row].end());
    cacheOffsets.push_back(int32_t(cacheRows.size()));
  }
  std::vector<TensorView> inputs = {listView("ids", ids),
                                    listView("positions", positions),
                                    listView("memory_rows", memoryRows),
                                    listView("memory_offsets", memoryOffsets),
                                    listView("cache_slots", cacheSlots),
                                    listView("cache_rows", cacheRows),
                                    listView("cache_offsets", cacheOffsets)};
  for (const std::vector<OwnedTensor> *tensors : {&memory, &caches})
    for (const OwnedTensor &tensor : *tensors)
      inputs.push_back(tensor.view());
  logProbabilities.resize(hypotheses.size() * vocabularySize);
  std::vector<TensorView> outputs = {
      {"log_probabilities", ElementType::F32, {int64_t(hypotheses.size()), vocabularySize}, logProbabilities.data()}};
  if (Expected<void> ran = session.executor().run(decodeFunction, inputs, outputs, model.arenas()); !ran)
    return ran.error();
  cached = std::move(lists);
  return std::span<const float>(logProbabilities);
}
