//===- Indices.cpp - Whether a call's inputs point at what is there -------------------===//
// Ids, offsets and rows that come from outside are looked at once before a call. What they have to be is in the
// program's description: the compiler found it in the kernels that read them.
//===------------------------------------------------------------------------------------===//
#include "xf/Runtime/Session.h"

#include <fmt/format.h>

using namespace xf::runtime;

static Expected<void> checkBelow(const TensorView &tensor, int64_t size, std::string_view of) {
  const int32_t *values = static_cast<const int32_t *>(tensor.data);
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    if (values[i] >= 0 && values[i] < size)
      continue;
    if (size == 0)
      return userError(fmt::format("expected no numbers in '{}', for there are no {}, but got {} at index {}",
                                   tensor.name, of, values[i], i));
    return userError(fmt::format("expected '{}' at index {} to be from 0 to {} ({}), but got {}", tensor.name, i,
                                 size - 1, of, values[i]));
  }
  return {};
}

static Expected<void> checkStarts(const TensorView &offsets, int64_t rows, std::string_view of) {
  const int32_t *values = static_cast<const int32_t *>(offsets.data);
  int64_t count = offsets.elements();
  if (count == 0 || values[0] != 0)
    return userError(fmt::format("expected '{}' to start with 0, but got {}", offsets.name,
                                 count ? std::to_string(values[0]) : "nothing"));
  for (int64_t i = 1; i < count; ++i)
    if (values[i] < values[i - 1])
      return userError(fmt::format("expected '{}' not to decrease, but got {} after {} at index {}", offsets.name,
                                   values[i], values[i - 1], i));
  if (values[count - 1] != rows)
    return userError(fmt::format("expected '{}' to end with the length of {} ({}), but got {}", offsets.name, of, rows,
                                 values[count - 1]));
  return {};
}

static Expected<void> checkLongest(const TensorView &offsets, int64_t size, std::string_view of) {
  const int32_t *values = static_cast<const int32_t *>(offsets.data);
  for (int64_t i = 0; i + 1 < offsets.elements(); ++i)
    if (values[i + 1] - values[i] > size)
      return userError(fmt::format("expected sequences of '{}' to have at most as many tokens as there are {} ({}), "
                                   "but sequence {} has {}",
                                   offsets.name, of, size, i, values[i + 1] - values[i]));
  return {};
}

Expected<void> xf::runtime::checkRequirements(const Function &function, std::span<const TensorView> inputs,
                                              std::span<const int64_t> dims) {
  for (const Requirement &requirement : function.requirements) {
    const TensorType &type = function.inputs[requirement.input];
    const TensorView &input = *std::ranges::find(inputs, type.name, &TensorView::name);
    int64_t size = requirement.size.at(dims);
    Expected<void> checked;
    switch (requirement.kind) {
    case Requirement::Rows:
      if (input.shape[0] != size)
        return userError(fmt::format("expected '{}' to have length {}, {}, but got {}", input.name, size,
                                     requirement.of, input.shape[0]));
      break;
    case Requirement::Starts:
      checked = checkStarts(input, size, requirement.of);
      break;
    case Requirement::Below:
      checked = checkBelow(input, size, requirement.of);
      break;
    case Requirement::Longest:
      checked = checkLongest(input, size, requirement.of);
      break;
    }
    if (!checked)
      return checked;
  }
  return {};
}
