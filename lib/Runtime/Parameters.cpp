//===- Parameters.cpp - A model's values: initialised, loaded, saved ----------------===//
// Initialisers on Philox, and loading by name with every mismatch named at once.
//===--------------------------------------------------------------------------------===//
#include "xf/Runtime/Parameters.h"
#include "xf/Runtime/Philox.h"

#include <array>
#include <cmath>
#include <cstring>
#include <fmt/format.h>
#include <numbers>
#include <set>

using namespace xf::runtime;

static constexpr std::string_view firstPrefix = "first_moment.", secondPrefix = "second_moment.";

Expected<ModelState> ModelState::allocate(const Program &program, ArenaNeeds needs) {
  ModelState state;
  Expected<void> reserved = state.reserve(program, needs);
  return reserved ? Expected<ModelState>(std::move(state)) : reserved.error();
}

Expected<void> ModelState::reserve(const Program &program, ArenaNeeds needs) {
  for (auto [needed, arena] :
       {std::pair(true, &arrays.parameters), std::pair(needs.gradients, &arrays.gradients),
        std::pair(needs.moments, &arrays.firstMoments), std::pair(needs.moments, &arrays.secondMoments),
        std::pair(needs.prepared, &arrays.prepared)}) {
    int64_t elements = arena == &arrays.prepared ? program.preparedElements : program.parameterElements;
    if (Expected<void> room = needed ? arena->reserve(elements * int64_t(sizeof(float))) : Expected<void>(); !room)
      return room;
  }
  return {};
}

Expected<void> ModelState::clearMoments() {
  Expected<void> first = arrays.firstMoments.clear();
  return first ? arrays.secondMoments.clear() : first;
}

/// In (0, 1), never at an end: its logarithm is finite.
static double unitInterval(uint32_t word) { return (word + 0.5) * 0x1p-32; }

static float draw(const Initializer &init, double bound, const std::array<uint32_t, 4> &words, int lane) {
  switch (init.kind) {
  case Initializer::Zeros:
    return 0;
  case Initializer::Ones:
    return 1;
  case Initializer::Normal: {
    // Box and Muller: two words make two values.
    double radius = std::sqrt(-2 * std::log(unitInterval(words[lane & 2])));
    double angle = 2 * std::numbers::pi * unitInterval(words[(lane & 2) + 1]);
    return float(init.value * radius * (lane & 1 ? std::sin(angle) : std::cos(angle)));
  }
  case Initializer::XavierUniform:
  case Initializer::Uniform:
    return float((2 * unitInterval(words[lane]) - 1) * bound);
  }
  return 0;
}

void xf::runtime::drawParameter(const Program &program, size_t index, uint64_t seed, float *to) {
  const Parameter &parameter = program.parameters[index];
  double bound = parameter.init.value;
  if (parameter.init.kind == Initializer::XavierUniform) {
    // Glorot and Bengio 2010; weights are (out, in).
    double fanOut = parameter.shape.empty() ? 1 : parameter.shape.front();
    double fanIn = parameter.shape.empty() ? 1 : parameter.shape.back();
    bound = parameter.init.value * std::sqrt(6 / (fanIn + fanOut));
  }
  std::array<uint32_t, 4> words{};
  for (int64_t i = 0; i < parameter.elements(); ++i) {
    if (i % 4 == 0)
      words = philox({uint32_t(i / 4), uint32_t(index), 0, 0x696e6974 /* 'init' */},
                     {uint32_t(seed), uint32_t(seed >> 32)});
    to[i] = draw(parameter.init, bound, words, i % 4);
  }
}

Expected<void> ModelState::initialize(const Program &program, uint64_t seed) {
  Expected<float *> array = arrays.parameters.change();
  if (!array)
    return array.error();
  for (size_t index = 0; index < program.parameters.size(); ++index)
    drawParameter(program, index, seed, *array + program.parameters[index].offset);
  return {};
}

TensorView xf::runtime::parameterView(const Parameter &parameter, const float *array, std::string_view name) {
  return {name, ElementType::F32, parameter.shape, const_cast<float *>(array) + parameter.offset};
}

/// "a, b, c" of the first ten, and how many there are.
static std::string listNames(const std::vector<std::string> &names) {
  constexpr size_t shown = 10;
  size_t count = std::min(names.size(), shown);
  std::string text = fmt::format("{}", fmt::join(names.begin(), names.begin() + count, ", "));
  return names.size() > shown ? fmt::format("{}, ... ({} in all)", text, names.size()) : text;
}

bool xf::runtime::isReal(ElementType type) {
  return type == ElementType::F32 || type == ElementType::BF16 || type == ElementType::F16 || type == ElementType::F64;
}

/// An IEEE half: five bits of exponent, ten of fraction.
static float fromHalf(uint16_t half) {
  int exponent = half >> 10 & 31, fraction = half & 1023;
  float value = exponent == 31 ? (fraction ? NAN : INFINITY)
                               : std::ldexp(float(exponent ? 1024 + fraction : fraction), std::max(exponent, 1) - 25);
  return half >> 15 ? -value : value;
}

void xf::runtime::copyReals(const TensorView &tensor, float *to) {
  const char *data = static_cast<const char *>(tensor.data); // as it lies in a file: aligned to nothing
  if (tensor.type == ElementType::F32) {
    std::memcpy(to, data, tensor.bytes());
    return;
  }
  for (int64_t i = 0, count = tensor.elements(); i < count; ++i)
    if (tensor.type == ElementType::BF16) {
      std::memset(to + i, 0, 2);
      std::memcpy(reinterpret_cast<char *>(to + i) + 2, data + 2 * i, 2);
    } else if (tensor.type == ElementType::F16) {
      uint16_t half;
      std::memcpy(&half, data + 2 * i, 2);
      to[i] = fromHalf(half);
    } else {
      double value;
      std::memcpy(&value, data + 8 * i, 8);
      to[i] = float(value);
    }
}

Expected<void> xf::runtime::checkParameters(std::string_view model, std::span<const Parameter> parameters,
                                            const Safetensors &file, std::string_view prefix) {
  std::vector<std::string> wrong, missing, unexpected;
  std::set<std::string, std::less<>> known;
  for (const Parameter &parameter : parameters) {
    std::string name = std::string(prefix) + parameter.name;
    const TensorView *tensor = file.find(name);
    if (!tensor)
      missing.push_back(name);
    else if (!isReal(tensor->type) || tensor->shape != parameter.shape)
      wrong.push_back(fmt::format("expected '{}' to be f32 {}, but got {} {}", name, formatShape(parameter.shape),
                                  xf::runtime::name(tensor->type), formatShape(tensor->shape)));
    known.insert(std::move(name));
  }
  if (prefix.empty())
    for (const TensorView &tensor : file.tensors())
      if (!known.contains(tensor.name) && !tensor.name.starts_with(firstPrefix) &&
          !tensor.name.starts_with(secondPrefix))
        unexpected.emplace_back(tensor.name);
  if (wrong.empty() && missing.empty() && unexpected.empty())
    return {};
  std::string message = fmt::format("'{}' does not match the model '{}'", file.path(), model);
  constexpr size_t shown = 10;
  for (size_t i = 0; i < std::min(wrong.size(), shown); ++i)
    message += "\n  " + wrong[i];
  if (wrong.size() > shown)
    message += fmt::format("\n  ... and {} more of another shape", wrong.size() - shown);
  if (!missing.empty())
    message += "\n  missing: " + listNames(missing);
  if (!unexpected.empty())
    message += "\n  unexpected: " + listNames(unexpected);
  return userError(message);
}

/// Copies `prefix` + NAME for every parameter from the file into `array`.
static Expected<void> load(const Program &program, const Safetensors &file, std::string_view prefix,
                           const Arena &arena) {
  if (Expected<void> same = checkParameters(program.name, program.parameters, file, prefix); !same)
    return same;
  Expected<float *> array = arena.change();
  if (!array)
    return array.error();
  for (const Parameter &parameter : program.parameters) {
    const TensorView *tensor = file.find(std::string(prefix) + parameter.name);
    file.moveReals(*tensor, *array + parameter.offset);
  }
  return {};
}

Expected<void> ModelState::loadParameters(const Program &program, const Safetensors &file) {
  return load(program, file, "", arrays.parameters);
}

/// Whether the name of any of the file's tensors starts so.
static bool holds(const Safetensors &file, std::string_view prefix) {
  return std::any_of(file.tensors().begin(), file.tensors().end(),
                     [&](const TensorView &tensor) { return tensor.name.starts_with(prefix); });
}

Expected<void> ModelState::loadGradients(const Program &program, const Safetensors &file) {
  return holds(file, gradientPrefix) ? load(program, file, gradientPrefix, arrays.gradients) : Expected<void>();
}

Expected<void> ModelState::loadMoments(const Program &program, const Safetensors &file) {
  if (!holds(file, firstPrefix) && !holds(file, secondPrefix))
    return clearMoments();
  if (Expected<void> second = checkParameters(program.name, program.parameters, file, secondPrefix); !second)
    return second;
  if (Expected<void> first = load(program, file, firstPrefix, arrays.firstMoments); !first)
    return first;
  return load(program, file, secondPrefix, arrays.secondMoments);
}

Expected<std::vector<TensorView>> ModelState::parameterViews(const Program &program) const {
  Expected<const float *> values = arrays.parameters.read();
  if (!values)
    return values.error();
  std::vector<TensorView> views;
  for (const Parameter &parameter : program.parameters)
    views.push_back(parameterView(parameter, *values, parameter.name));
  return views;
}

Expected<std::vector<TensorView>> ModelState::trainingViews(const Program &program,
                                                            std::vector<std::string> &names) const {
  names.clear();
  names.reserve(2 * program.parameters.size()); // views point into it
  Expected<std::vector<TensorView>> views = parameterViews(program);
  Expected<const float *> first = arrays.firstMoments.read(), second = arrays.secondMoments.read();
  for (const Expected<const float *> *moments : {&first, &second})
    if (views && !*moments)
      return moments->error();
  if (!views)
    return views;
  for (const Parameter &parameter : program.parameters)
    for (auto [prefix, moments] : {std::pair(firstPrefix, *first), std::pair(secondPrefix, *second)})
      views->push_back(parameterView(parameter, moments, names.emplace_back(std::string(prefix) + parameter.name)));
  return views;
}
