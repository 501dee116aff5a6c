//===- Frozen.cpp - Parameters that training leaves alone ---------------------------------------===//
// Patterns of names, and copies around an update.
//===-------------------------------------------------------------------------------------------===//
#include "Frozen.h"

#include <algorithm>
#include <fmt/format.h>
#include <fnmatch.h>
#include <tuple>

using namespace xf::runtime;

/// The fewest letters to change, add or leave out until the pattern matches the name.
static size_t distance(std::string_view pattern, std::string_view name) {
  std::vector<size_t> row(name.size() + 1), next(name.size() + 1);
  for (size_t j = 0; j <= name.size(); ++j)
    row[j] = j;
  for (char letter : pattern) {
    bool any = letter == '*';
    next[0] = row[0] + (any ? 0 : 1);
    for (size_t j = 1; j <= name.size(); ++j) {
      size_t same = letter == '?' || letter == name[j - 1] ? 0 : 1;
      next[j] = any ? std::min(row[j], next[j - 1]) : std::min({row[j - 1] + same, row[j] + 1, next[j - 1] + 1});
    }
    std::swap(row, next);
  }
  return row[name.size()];
}

static Error noMatch(const Program &program, const std::string &pattern) {
  if (std::ranges::any_of(program.parameters,
                          [&](const Parameter &parameter) { return parameter.name.starts_with(pattern + "."); }))
    return userError(fmt::format("no parameter has a name like '{0}'; did you mean '{0}.*'?", pattern));
  std::vector<std::tuple<size_t, size_t, std::string_view>> near; // equals in the order of the model
  for (const Parameter &parameter : program.parameters)
    near.emplace_back(distance(pattern, parameter.name), near.size(), parameter.name);
  std::sort(near.begin(), near.end());
  near.resize(std::min<size_t>(near.size(), 3));
  std::vector<std::string> names;
  for (auto [edits, place, name] : near)
    names.push_back(fmt::format("'{}'", name));
  return userError(fmt::format("no parameter has a name like '{}'; near it are {}", pattern, fmt::join(names, ", ")));
}

Expected<FrozenParameters> FrozenParameters::match(const Program &program, const std::vector<std::string> &patterns) {
  std::vector<bool> used(patterns.size(), false);
  FrozenParameters result;
  for (const Parameter &parameter : program.parameters) {
    bool isFrozen = false;
    for (size_t i = 0; i < patterns.size(); ++i)
      if (fnmatch(patterns[i].c_str(), parameter.name.c_str(), FNM_NOESCAPE) == 0)
        used[i] = isFrozen = true;
    if (!isFrozen)
      continue;
    result.frozen.push_back({parameter.offset, parameter.elements()});
    result.elements += parameter.elements();
  }
  for (size_t i = 0; i < patterns.size(); ++i)
    if (!used[i])
      return noMatch(program, patterns[i]);
  if (!patterns.empty() && result.frozen.size() == program.parameters.size())
    return userError("--freeze leaves no parameter to train");
  return result;
}

Expected<void> FrozenParameters::keep(const ModelArenas &model) {
  kept.resize(3 * elements);
  float *to = kept.data();
  for (Range range : frozen) {
    if (Expected<void> cleared = model.gradients.clear(range.offset, range.elements); !cleared)
      return cleared;
    for (const Arena &arena : {model.parameters, model.firstMoments, model.secondMoments}) {
      if (Expected<void> got = arena.get(range.offset, range.elements, to); !got)
        return got;
      to += range.elements;
    }
  }
  return {};
}

Expected<void> FrozenParameters::restore(const ModelArenas &model) const {
  const float *from = kept.data();
  for (Range range : frozen)
    for (const Arena &arena : {model.parameters, model.firstMoments, model.secondMoments}) {
      if (Expected<void> set = arena.set(range.offset, range.elements, from); !set)
        return set;
      from += range.elements;
    }
  return {};
}
