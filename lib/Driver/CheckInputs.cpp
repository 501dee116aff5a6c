//===- CheckInputs.cpp - inputs made up for --check -----------------------===//
// Random numbers come from the names: the same files every time.
//===----------------------------------------------------------------------===//
#include "CheckInputs.h"
#include "xf/Dialect/XF/IR/Configuration.h"
#include <random>

namespace mlir::xf {
namespace runtime = ::xf::runtime;
using reference::Tensor;

namespace {
// Sentence pairs; the hypotheses of a decoding step, one a sentence, have read as many tokens before as their number.
constexpr int64_t sourceLengths[] = {4, 1, 6, 2}, targetLengths[] = {3, 5, 1, 0}, hypotheses = 3, cacheRows = 9;

std::mt19937_64 generatorFor(StringRef name) {
  uint64_t seed = 0;
  for (char c : name) // not llvm::hash_value, which differs between runs
    seed = seed * 31 + static_cast<unsigned char>(c);
  return std::mt19937_64(seed);
}

Tensor list(ArrayRef<int64_t> values) {
  Tensor tensor = Tensor::integers({static_cast<int64_t>(values.size())});
  for (auto [index, value] : llvm::enumerate(values))
    tensor.integer(index) = value;
  return tensor;
}

Tensor offsets(ArrayRef<int64_t> lengths) {
  SmallVector<int64_t> starts{0};
  for (int64_t length : lengths)
    starts.push_back(starts.back() + length);
  return list(starts);
}

Tensor normal(StringRef name, Tensor::Shape shape) {
  auto generator = generatorFor(name);
  std::normal_distribution<float> distribution; // as f32: what is compiled gets the same
  Tensor tensor = Tensor::reals(std::move(shape));
  for (int64_t i = 0; i < tensor.elements(); ++i)
    tensor[i] = distribution(generator);
  return tensor;
}
} // namespace

runtime::Expected<void> writeMadeUpWeights(ModuleOp module, const std::string &path) {
  auto state = reference::ModelState::initialize(module, 0);
  if (!state)
    return state.error();
  std::vector<runtime::OwnedTensor> tensors;
  for (const auto &[name, parameter] : state->parameters) {
    Tensor noise = normal(name, parameter.shape());
    runtime::OwnedTensor &tensor = tensors.emplace_back(name, runtime::ElementType::F32, parameter.shape());
    for (int64_t i = 0; i < parameter.elements(); ++i)
      tensor.as<float>()[i] = static_cast<float>(parameter[i] + 0.1 * noise[i]);
  }
  return runtime::writeSafetensors(path, runtime::viewsOf(tensors));
}

static std::optional<ModelKind> kindOf(ModuleOp module) {
  auto kind = module->getAttrOfType<StringAttr>("xf.kind");
  return kind ? parseModelKind(kind.getValue()) : std::nullopt;
}

std::optional<Tensor> makeInput(ModuleOp module, func::FuncOp entry, unsigned argument) {
  auto nameAttr = entry.getArgAttrOfType<StringAttr>(argument, "xf.name");
  StringRef name = nameAttr ? nameAttr.getValue() : "";
  bool decodes = entry.getName() == "decode";
  // Weights of attention are shown of one sentence.
  size_t count = entry.getName() == "attention" ? 1 : std::size(sourceLengths);
  auto source = ArrayRef(sourceLengths).take_front(count), target = ArrayRef(targetLengths).take_front(count);
  auto config = module->getAttrOfType<DictionaryAttr>("xf.config");
  auto vocabulary = [&](StringRef side) -> int64_t {
    for (const std::string &key : {(side + "_vocabulary").str(), std::string("vocabulary")})
      if (auto size = config ? config.getAs<IntegerAttr>(key) : IntegerAttr())
        return size.getInt();
    return 0;
  };
  auto ids = [&](StringRef side, int64_t count) -> std::optional<Tensor> {
    int64_t size = vocabulary(side);
    if (size < 1)
      return std::nullopt;
    auto generator = generatorFor(name);
    Tensor tensor = Tensor::integers({count});
    for (int64_t i = 0; i < count; ++i)
      tensor.integer(i) = static_cast<int64_t>(generator() % static_cast<uint64_t>(size));
    return tensor;
  };
  auto total = [](ArrayRef<int64_t> lengths) { return std::accumulate(lengths.begin(), lengths.end(), int64_t(0)); };

  if (name == "source_ids")
    return ids("source", total(source));
  if (name == "source_offsets")
    return offsets(source);
  if (name == "target_offsets")
    return offsets(target);
  if (name == "offsets")
    return offsets(target);
  if (name == "queries")
    return list(SmallVector<int64_t>(target.size(), 0));
  if (name == "labels" && kindOf(module) == Classifier) { // of two classes, which there are at least
    SmallVector<int64_t> labels;
    for (size_t i = 0; i < target.size(); ++i)
      labels.push_back(i % 2);
    return list(labels);
  }
  if (name == "query_offsets")
    return offsets(SmallVector<int64_t>(target.size(), 1));
  if (name == "ids" && decodes)
    return ids("target", hypotheses);
  if (name == "ids" || name == "target_ids" || name == "labels")
    return ids("target", total(target));
  if (name == "random")
    return list({7, 1});
  if (name == "positions")
    return list({0, 1, 2});
  if (name == "memory_rows") {
    SmallVector<int64_t> rows(total(source.take_front(hypotheses)));
    std::iota(rows.begin(), rows.end(), 0);
    return list(rows);
  }
  if (name == "memory_offsets")
    return offsets(source.take_front(hypotheses));
  if (name == "cache_slots")
    return list({3, 4, 5});
  if (name == "cache_rows")
    return list({3, 0, 4, 1, 2, 5});
  if (name == "cache_offsets")
    return offsets({1, 2, 3});
  if (name == "logit_rows") // some of them, in another order
    return list({2, 0});
  if (name == "ranks")
    return list({0, 1, 2, 3});
  if (name == "lengths") { // of keys that each token sees
    SmallVector<int64_t> lengths(total(target));
    std::iota(lengths.begin(), lengths.end(), -1);
    return list(lengths);
  }

  auto type = dyn_cast<RankedTensorType>(entry.getArgumentTypes()[argument]);
  if (!type || !isa<FloatType>(type.getElementType()))
    return std::nullopt;
  int64_t rows = name.starts_with("memory.") ? total(source) : name.starts_with("cache.") ? cacheRows : total(target);
  Tensor::Shape shape = type.getShape().vec();
  for (int64_t &size : shape)
    size = ShapedType::isDynamic(size) ? rows : size;
  return normal(name, shape);
}

std::map<std::string, Tensor> stepInputs(bool isNarrow) {
  Tensor hyper = Tensor::reals({8});
  // Learning rate, warm-up, constant schedule, clipping, Adam's four; epsilon so large that rounding stays small: some
  // gradients are 0 but for it (the bias of a key).
  const float values[] = {0.5f, 0.0f, 0.0f, 1.0f, 0.9f, 0.98f, isNarrow ? 0.1f : 1e-3f, 0.0f};
  std::copy(std::begin(values), std::end(values), &hyper[0]);
  return {{"hyper", hyper}, {"random", list({7, 1})}, {"weight", Tensor::reals({}, 0.25)}};
}
} // namespace mlir::xf
