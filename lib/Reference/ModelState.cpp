//===- ModelState.cpp - parameters and moments of the interpreter ---------===//
// From a seed, by the runtime's own initialisers, or from a safetensors file.
//===----------------------------------------------------------------------===//
#include "xf/Reference/Interpreter.h"
#include "xf/Runtime/Parameters.h"
#include <cstring>
#include <fmt/format.h>

using namespace mlir;
using namespace mlir::xf;
using namespace mlir::xf::reference;
using ::xf::runtime::ElementType;
using ::xf::runtime::Expected;

template <typename T> static T element(const void *data, int64_t index) {
  T value; // a file's tensors may lie at any address
  std::memcpy(&value, static_cast<const char *>(data) + index * int64_t(sizeof(T)), sizeof(T));
  return value;
}

Tensor reference::fromView(const ::xf::runtime::TensorView &view) {
  bool isReal =
      llvm::is_contained({ElementType::F32, ElementType::F64, ElementType::BF16, ElementType::F16}, view.type);
  Tensor tensor = isReal ? Tensor::reals(view.shape) : Tensor::integers(view.shape);
  for (int64_t i = 0; i < tensor.elements(); ++i)
    switch (view.type) {
    case ElementType::F32:
      tensor[i] = element<float>(view.data, i);
      break;
    case ElementType::F64:
      tensor[i] = element<double>(view.data, i);
      break;
    case ElementType::I32:
      tensor.integer(i) = element<int32_t>(view.data, i);
      break;
    case ElementType::I64:
      tensor.integer(i) = element<int64_t>(view.data, i);
      break;
    case ElementType::Bool:
      tensor.integer(i) = element<bool>(view.data, i);
      break;
    case ElementType::BF16:
      tensor[i] = llvm::bit_cast<float>(uint32_t(element<uint16_t>(view.data, i)) << 16);
      break;
    case ElementType::F16:
      tensor[i] =
          llvm::APFloat(llvm::APFloat::IEEEhalf(), llvm::APInt(16, element<uint16_t>(view.data, i))).convertToDouble();
      break;
    case ElementType::I8:
      tensor.integer(i) = element<int8_t>(view.data, i);
      break;
    }
  return tensor;
}

static Tensor::Shape shapeOf(ParamOp param) { return cast<ShapedType>(param.getType()).getShape().vec(); }

static ModelState zeros(ModuleOp module) {
  ModelState state;
  for (ParamOp param : module.getOps<ParamOp>())
    for (ModelState::Tensors *tensors :
         {&state.parameters, &state.gradients, &state.firstMoments, &state.secondMoments})
      (*tensors)[param.getName().str()] = Tensor::reals(shapeOf(param));
  return state;
}

Expected<ModelState> ModelState::initialize(ModuleOp module, uint64_t seed) {
  ::xf::runtime::Program program;
  for (ParamOp param : module.getOps<ParamOp>()) {
    // The two enums name the same initialisers in the same order.
    auto kind = static_cast<::xf::runtime::Initializer::Kind>(param.getInit());
    program.parameters.push_back(
        {param.getName().str(), shapeOf(param), program.parameterElements, {kind, param.getValue().convertToDouble()}});
    program.parameterElements += program.parameters.back().elements();
  }
  Expected<::xf::runtime::ModelState> values = ::xf::runtime::ModelState::allocate(program, {});
  if (!values)
    return values.error();
  if (Expected<void> drawn = values->initialize(program, seed); !drawn)
    return drawn.error();
  ModelState state = zeros(module);
  for (const ::xf::runtime::Parameter &parameter : program.parameters)
    state.parameters[parameter.name] =
        fromView(::xf::runtime::parameterView(parameter, values->arenas().parameters.here(), parameter.name));
  return state;
}

Expected<ModelState> ModelState::load(ModuleOp module, const ::xf::runtime::Safetensors &file) {
  ModelState state = zeros(module);
  for (auto [prefix, tensors, required] :
       {std::tuple("", &state.parameters, true), std::tuple("first_moment.", &state.firstMoments, false),
        std::tuple("second_moment.", &state.secondMoments, false)})
    for (auto &[name, tensor] : *tensors) {
      const ::xf::runtime::TensorView *view = file.find(prefix + name);
      if (!view && !required)
        continue;
      if (!view)
        return ::xf::runtime::userError(fmt::format("expected '{}' to hold the parameter '{}'", file.path(), name));
      if (view->shape != tensor.shape())
        return ::xf::runtime::userError(fmt::format("expected '{}{}' of '{}' to be {}, but got {}", prefix, name,
                                                    file.path(), ::xf::runtime::formatShape(tensor.shape()),
                                                    ::xf::runtime::formatShape(view->shape)));
      tensor = fromView(*view);
    }
  return state;
}

std::string reference::mismatch(const std::string &name, Type type, const Tensor &tensor) {
  auto shaped = dyn_cast<RankedTensorType>(type);
  bool wantsReal = isa<FloatType>(getElementTypeOrSelf(type));
  if (wantsReal != tensor.isReal())
    return fmt::format("expected '{}' to hold {}, but got {}", name, wantsReal ? "real numbers" : "integers",
                       wantsReal ? "integers" : "real numbers");
  ArrayRef<int64_t> expected = shaped ? shaped.getShape() : ArrayRef<int64_t>();
  bool agrees =
      expected.size() == tensor.shape().size() && llvm::all_of(llvm::zip(expected, tensor.shape()), [](auto pair) {
        return ShapedType::isDynamic(std::get<0>(pair)) || std::get<0>(pair) == std::get<1>(pair);
      });
  if (agrees)
    return "";
  std::string typeText;
  llvm::raw_string_ostream(typeText) << type;
  return fmt::format("expected '{}' to be {}, but got {}", name, typeText, ::xf::runtime::formatShape(tensor.shape()));
}

Expected<void> reference::writeTensors(const std::string &path, ArrayRef<std::pair<std::string, Tensor>> tensors) {
  std::vector<::xf::runtime::TensorView> views;
  for (const auto &[name, tensor] : tensors) {
    void *data = !tensor.elements() ? nullptr : tensor.isReal() ? static_cast<void *>(&tensor[0]) : &tensor.integer(0);
    views.push_back({name, tensor.isReal() ? ElementType::F64 : ElementType::I64, tensor.shape(), data});
  }
  return ::xf::runtime::writeSafetensors(path, views);
}
