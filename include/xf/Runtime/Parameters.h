//===- Parameters.h - A model's values: initialised, loaded, saved ------------------===//
// The four flat arrays a program works on, and their way from a seed or a file into memory and back.
//===--------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_PARAMETERS_H
#define XF_RUNTIME_PARAMETERS_H

#include "xf/Runtime/Executor.h"
#include "xf/Runtime/Safetensors.h"

namespace xf::runtime {

/// Which of the arrays are there besides the parameters.
struct ArenaNeeds {
  bool gradients = false;
  bool moments = false;
  bool prepared = false; // for functions that predict
};

class ModelState {
public:
  /// All zeros.
  static Expected<ModelState> allocate(const Program &program, ArenaNeeds needs);

  /// Adds the arrays that are not there yet, all zeros.
  Expected<void> reserve(const Program &program, ArenaNeeds needs);

  const ModelArenas &arenas() const { return arrays; }

  /// Fills the parameters as their initialisers say.
  Expected<void> initialize(const Program &program, uint64_t seed);

  /// Loads every parameter by name. Files of checkpoints will do: moments in them are passed over.
  Expected<void> loadParameters(const Program &program, const Safetensors &file);

  /// Moments before the first step, if they are there.
  Expected<void> clearMoments();

  /// Loads both moments; zeros where the file has none at all (a file of weights is a state before its first step).
  Expected<void> loadMoments(const Program &program, const Safetensors &file);

  /// Loads `grad.NAME` of every parameter; zeros where the file has none at all.
  Expected<void> loadGradients(const Program &program, const Safetensors &file);

  /// Each parameter's values as they are here now.
  Expected<std::vector<TensorView>> parameterViews(const Program &program) const;
  /// Parameters as NAME, `first_moment.NAME` and `second_moment.NAME`. `names` keeps the texts alive.
  Expected<std::vector<TensorView>> trainingViews(const Program &program, std::vector<std::string> &names) const;

private:
  ModelArenas arrays;
};

/// Fills a parameter as its initialiser says. Depends on the seed and the parameter's index alone.
void drawParameter(const Program &program, size_t index, uint64_t seed, float *to);

/// Refuses a file whose tensors `prefix` + NAME are not the parameters of `model`, with every mismatch named at once.
Expected<void> checkParameters(std::string_view model, std::span<const Parameter> parameters, const Safetensors &file,
                               std::string_view prefix = "");

/// What names of gradients start with in files.
inline constexpr std::string_view gradientPrefix = "grad.";

/// What weights may be kept in: they are read as f32, by `copyReals`.
bool isReal(ElementType type);
void copyReals(const TensorView &tensor, float *to);

/// A parameter's place in one of the flat arrays, under a name.
TensorView parameterView(const Parameter &parameter, const float *array, std::string_view name);

} // namespace xf::runtime

#endif // XF_RUNTIME_PARAMETERS_H
