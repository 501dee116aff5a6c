//===- Decoder.cpp - Encoding once, decoding token by token ----------------------------===//
// Gives rows of the memory and of the caches out and takes them back, and builds the index lists of `decode` from the
// hypotheses.
//===----------------------------------------------------------------------------------===//
#include "xf/Runtime/Decoder.h"

#include <algorithm>
#include <bit>
#include <cstring>

using namespace xf::runtime;

static TensorView listView(std::string_view name, std::vector<int32_t> &values) {
  return {name, ElementType::I32, {int64_t(values.size())}, values.data()};
}

Decoder::Decoder(Session &session, const ModelState &model)
    : session(session), model(model), decodeFunction(*session.program.function("decode")) {
  for (const TensorType &output : decodeFunction.outputs)
    if (output.name == "logits")
      vocabularySize = output.shape.back().size;
}

Expected<void> Decoder::enter(const Function &function, std::span<const TensorView> inputs) {
  if (!admit)
    return {};
  Expected<std::vector<int64_t>> dims = session.executor().bind(function, inputs);
  if (!dims)
    return dims.error();
  std::vector<int64_t> &most = largest[&function];
  most.resize(dims->size());
  bool grows = false;
  for (size_t i = 0; i < dims->size(); ++i) {
    grows |= (*dims)[i] > most[i];
    most[i] = std::max(most[i], (*dims)[i]);
  }
  return grows ? admit({&function, std::move(*dims)}) : Expected<void>();
}

Expected<void> Decoder::Rows::grow(const Function &decode, int64_t rows, int64_t kept) {
  std::vector<Tensor> grown;
  for (const TensorType &input : decode.inputs) {
    if (!input.name.starts_with(prefix))
      continue;
    std::vector<int64_t> shape = {rows};
    for (size_t axis = 1; axis < input.shape.size(); ++axis)
      shape.push_back(input.shape[axis].size);
    Tensor &tensor = grown.emplace_back(Tensor{input.name, input.type, shape, {}});
    if (Expected<void> room = tensor.arena.reserve(tensor.view().bytes()); !room)
      return room;
    if (kept > 0) {
      const Tensor &before = tensors[grown.size() - 1];
      Expected<const float *> values = before.arena.read();
      if (!values)
        return values.error();
      std::memcpy(tensor.arena.here(), *values, before.view().bytes() / capacity * kept);
    }
  }
  tensors = std::move(grown);
  capacity = rows;
  return {};
}

/// The first of so many rows of the memory that no sentence has, next to each other.
Expected<int32_t> Decoder::placeInMemory(int64_t rows) {
  std::vector<Range> taken;
  std::copy_if(sentences.begin(), sentences.end(), std::back_inserter(taken),
               [](Range range) { return range.begin < range.end; });
  std::sort(taken.begin(), taken.end(), [](Range a, Range b) { return a.begin < b.begin; });
  int64_t place = 0;
  for (Range range : taken) {
    if (range.begin - place >= rows)
      return int32_t(place);
    place = range.end;
  }
  if (place + rows > memory.capacity)
    if (Expected<void> grown = memory.grow(decodeFunction, std::max(2 * memory.capacity, place + rows), place); !grown)
      return grown.error();
  return int32_t(place);
}

Expected<std::vector<int32_t>> Decoder::encode(std::span<const std::vector<int32_t>> sources) {
  std::vector<int32_t> ids, offsets = {0}, numbers;
  for (const std::vector<int32_t> &source : sources) {
    ids.insert(ids.end(), source.begin(), source.end());
    offsets.push_back(int32_t(ids.size()));
  }
  const Function &function = *session.program.function("encode");
  std::vector<TensorView> inputs = {listView("source_ids", ids), listView("source_offsets", offsets)};
  Expected<std::vector<int64_t>> dims = session.executor().bind(function, inputs);
  if (!dims)
    return dims.error();
  if (Expected<void> entered = enter(function, inputs); !entered)
    return entered.error();
  // What is encoded is written where it will be read.
  Expected<int32_t> place = placeInMemory(int64_t(ids.size()));
  if (!place)
    return place.error();
  int32_t first = *place;
  std::vector<TensorView> outputs;
  for (const TensorType &output : function.outputs)
    for (const Rows::Tensor &tensor : memory.tensors)
      if (TensorView whole = tensor.view(); whole.name == output.name) {
        char *begin = static_cast<char *>(whole.data) + whole.bytes() / memory.capacity * first;
        outputs.push_back({output.name, output.type, output.shapeAt(*dims), begin, whole.arena});
      }
  if (Expected<void> ran = session.executor().run(function, inputs, outputs, model.arenas()); !ran)
    return ran.error();
  auto number = sentences.begin();
  for (size_t i = 0; i < sources.size(); ++i) {
    number = std::find_if(number, sentences.end(), [](Range range) { return range.begin == range.end; });
    if (number == sentences.end())
      number = sentences.insert(number, Range());
    *number = {first + offsets[i], first + offsets[i + 1]};
    numbers.push_back(int32_t(number - sentences.begin()));
  }
  return numbers;
}

int32_t Decoder::freeCacheRow() {
  while (used[nextFree])
    ++nextFree;
  used[nextFree] = true;
  return nextFree++;
}

/// Of that many rows or entries of a list, how many a call is made for. A GPU is asked for calls of the same extents by
/// one graph, and hardly minds a few rows more.
static int64_t rounded(int64_t count, int64_t least) {
  int64_t unit = std::max(least, int64_t(std::bit_ceil(uint64_t(count))) / 8);
  return (count + unit - 1) / unit * unit;
}

Expected<Predictions> Decoder::step(std::span<const Hypothesis> hypotheses, int64_t count) {
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
  int64_t size = int64_t(hypotheses.size()), rows = size;
  bool isOnDevice = session.executor().isForDevice();
  if (isOnDevice && size > 1)
    rows = rounded(size, 8);
  int64_t taken = std::count(used.begin(), used.end(), true), needed = taken + rows;
  // Growing copies, on a GPU by way of this machine: room for the tokens of most sentences at once. Not for as many as
  // a prompt has rows: what a large page holds is there, and filled with zeros, where any of it is touched.
  constexpr int64_t usualLength = 64;
  if (needed > caches.capacity) {
    int64_t kept = std::find(used.rbegin(), used.rend(), true).base() - used.begin();
    int64_t sentences =
        isOnDevice ? size : std::count_if(hypotheses.begin(), hypotheses.end(), [](const Hypothesis &each) {
          return each.parent != Hypothesis::rowBefore;
        });
    int64_t more = std::max({needed, 2 * caches.capacity, usualLength * sentences});
    if (Expected<void> grown = caches.grow(decodeFunction, more, kept); !grown)
      return grown.error();
    used.resize(caches.capacity, false);
  }

  std::vector<int32_t> logitRows, ids, positions, memoryRows, memoryOffsets = {0}, cacheSlots, cacheRows,
                                                              cacheOffsets = {0};
  cacheRows.reserve(entries);
  for (size_t row = 0; row < hypotheses.size(); ++row) {
    const Hypothesis &hypothesis = hypotheses[row];
    if (hypothesis.isAsked)
      logitRows.push_back(int32_t(row));
    if (hypothesis.parent == Hypothesis::rowBefore)
      lists[row] = lists[row - 1];
    ids.push_back(hypothesis.token);
    positions.push_back(int32_t(lists[row].size()));
    cacheSlots.push_back(freeCacheRow());
    lists[row].push_back(cacheSlots.back());
    if (!memory.tensors.empty())
      for (int32_t m = sentences[hypothesis.sentence].begin; m < sentences[hypothesis.sentence].end; ++m)
        memoryRows.push_back(m);
    memoryOffsets.push_back(int32_t(memoryRows.size()));
    cacheRows.insert(cacheRows.end(), lists[row].begin(), lists[row].end());
    cacheOffsets.push_back(int32_t(cacheRows.size()));
  }
  // Rows beyond those that were asked for see nothing, and write where nobody reads.
  for (int64_t row = size; row < rows; ++row) {
    ids.push_back(0);
    positions.push_back(0);
    cacheSlots.push_back(freeCacheRow());
    memoryOffsets.push_back(memoryOffsets.back());
    cacheOffsets.push_back(cacheOffsets.back());
  }
  int64_t asked = int64_t(logitRows.size());
  if (isOnDevice && asked > 1)
    logitRows.resize(rounded(asked, 8));
  if (isOnDevice) {
    constexpr int64_t leastEntries = 1024; // of a list of four bytes each: more is not copied faster
    cacheRows.resize(rounded(int64_t(cacheRows.size()), leastEntries));
    memoryRows.resize(rounded(int64_t(memoryRows.size()), leastEntries));
  }
  std::vector<int32_t> ranks(count);
  std::vector<TensorView> inputs = {listView("ids", ids),
                                    listView("ranks", ranks),
                                    listView("logit_rows", logitRows),
                                    listView("positions", positions),
                                    listView("memory_rows", memoryRows),
                                    listView("memory_offsets", memoryOffsets),
                                    listView("cache_slots", cacheSlots),
                                    listView("cache_rows", cacheRows),
                                    listView("cache_offsets", cacheOffsets)};
  for (const Rows *rows : {&memory, &caches})
    for (const Rows::Tensor &tensor : rows->tensors)
      inputs.push_back(tensor.view());
  if (Expected<void> entered = enter(decodeFunction, inputs); !entered)
    return entered.error();
  int64_t predicted = int64_t(logitRows.size());
  logSumExp.resize(predicted);
  values.resize(predicted * count);
  tokens.resize(predicted * count);
  // Logits stay where they are computed: few are looked at.
  std::vector<TensorView> outputs = {
      {"log_sum_exp", ElementType::F32, {predicted}, logSumExp.data()},
      {"top_log_probabilities", ElementType::F32, {predicted, count}, values.data()},
      {"top_tokens", ElementType::I32, {predicted, count}, tokens.data()},
  };
  if (Expected<void> ran = session.executor().run(decodeFunction, inputs, outputs, model.arenas()); !ran)
    return ran.error();
  cached = std::move(lists);
  return Predictions{count, std::span(logSumExp).first(asked), values, tokens};
}

Expected<float> Decoder::logit(int64_t row, int32_t token) {
  float value = 0;
  int64_t place = row * vocabularySize + token;
  Expected<void> read = session.executor().readOutput("logits", place * int64_t(sizeof(float)), sizeof(float), &value);
  return read ? Expected<float>(value) : read.error();
}

Expected<void> Decoder::logits(int64_t row, std::span<float> to) {
  int64_t bytes = vocabularySize * int64_t(sizeof(float));
  return session.executor().readOutput("logits", row * bytes, bytes, to.data());
}
