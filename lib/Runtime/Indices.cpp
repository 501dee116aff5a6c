//===- Indices.cpp - Whether lists of integers point at what is there -------------------===//
// Ids, offsets and rows that come from outside are looked at once before a call.
//===------------------------------------------------------------------------------------===//
#include "xf/Runtime/Session.h"

#include <fmt/format.h>

using namespace xf::runtime;

static const TensorView *find(std::span<const TensorView> tensors, std::string_view name) {
  for (const TensorView &tensor : tensors)
    if (tensor.name == name)
      return &tensor;
  return nullptr;
}

static Expected<void> checkRange(const TensorView &tensor, int64_t limit, std::string_view of) {
  const int32_t *values = static_cast<const int32_t *>(tensor.data);
  for (int64_t i = 0; i < tensor.elements(); ++i)
    if (values[i] < 0 || values[i] >= limit)
      return userError(fmt::format("expected '{}' at index {} to be below {} ({}), but got {}", tensor.name, i, limit,
                                   of, values[i]));
  return {};
}

static Expected<void> checkOffsets(const TensorView &offsets, const TensorView &rows) {
  const int32_t *values = static_cast<const int32_t *>(offsets.data);
  int64_t count = offsets.elements();
  if (count == 0 || values[0] != 0)
    return userError(fmt::format("expected '{}' to start with 0", offsets.name));
  for (int64_t i = 1; i < count; ++i)
    if (values[i] < values[i - 1])
      return userError(fmt::format("expected '{}' not to decrease, but got {} after {} at index {}", offsets.name,
                                   values[i], values[i - 1], i));
  if (values[count - 1] != rows.shape[0])
    return userError(fmt::format("expected '{}' to end with the length of '{}' ({}), but got {}", offsets.name,
                                 rows.name, rows.shape[0], values[count - 1]));
  return {};
}

Expected<void> xf::runtime::validateIndices(const Session &session, const Function &function,
                                            std::span<const TensorView> inputs) {
  // What a list of integers points into: offsets into the rows of another tensor, ids into a vocabulary.
  struct Rule {
    std::string_view name, into;
  };
  constexpr Rule offsets[] = {{"source_offsets", "source_ids"},
                              {"target_offsets", "target_ids"},
                              {"offsets", "ids"},
                              {"memory_offsets", "memory_rows"},
                              {"cache_offsets", "cache_rows"}};
  constexpr Rule rows[] = {{"memory_rows", "memory.0"}, {"cache_rows", "cache.0"}, {"cache_slots", "cache.0"}};
  constexpr Rule ids[] = {{"source_ids", "source"}, {"target_ids", "target"}, {"labels", "target"}, {"ids", "target"}};
  auto given = [&](std::string_view name) { return function.input(name) ? find(inputs, name) : nullptr; };
  for (Rule rule : offsets)
    if (const TensorView *list = given(rule.name), *into = given(rule.into); list && into)
      if (Expected<void> checked = checkOffsets(*list, *into); !checked)
        return checked;
  for (Rule rule : rows)
    if (const TensorView *list = given(rule.name), *into = given(rule.into); list && into)
      if (Expected<void> checked = checkRange(*list, into->shape[0], fmt::format("the rows of '{}'", into->name));
          !checked)
        return checked;
  for (Rule rule : ids)
    if (const TensorView *list = given(rule.name))
      if (int64_t size = session.vocabularySize(rule.into))
        if (Expected<void> checked = checkRange(*list, size, fmt::format("the {} vocabulary", rule.into)); !checked)
          return checked;
  const TensorView *source = given("source_offsets"), *target = given("target_offsets");
  if (source && target && source->shape != target->shape)
    return userError(
        fmt::format("expected as many sequences in 'target_offsets' as in 'source_offsets' ({}), but got {}",
                    source->shape[0] - 1, target->shape[0] - 1));
  if (const TensorView *positions = given("positions"); positions && session.longestTarget())
    if (Expected<void> checked = checkRange(*positions, session.longestTarget(), "the learned positions"); !checked)
      return checked;
  for (auto [offsets, longest] :
       {std::pair(source, session.longestSource()), std::pair(target, session.longestTarget()),
        std::pair(given("offsets"), session.longestTarget())}) {
    if (!offsets || !longest)
      continue;
    const int32_t *values = static_cast<const int32_t *>(offsets->data);
    for (int64_t i = 0; i + 1 < offsets->shape[0]; ++i)
      if (values[i + 1] - values[i] > longest)
        return userError(fmt::format("expected sequences of '{}' to have at most as many tokens as there are learned "
                                     "positions ({}), but sequence {} has {}",
                                     offsets->name, longest, i, values[i + 1] - values[i]));
  }
  return {};
}
