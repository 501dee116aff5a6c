//===- Program.cpp - The description of a compiled model, parsed --------------------===//
// JSON to structs with the invariants of docs/Program.md checked on the way.
//===--------------------------------------------------------------------------------===//
#include "xf/Runtime/Program.h"

#include <algorithm>
#include <fmt/format.h>
#include <set>
#include <stdexcept>

using namespace xf::runtime;
using nlohmann::json;

int64_t xf::runtime::byteWidth(ElementType type) {
  if (type == ElementType::Bool || type == ElementType::I8)
    return 1;
  if (type == ElementType::BF16 || type == ElementType::F16)
    return 2;
  return type == ElementType::I64 || type == ElementType::F64 ? 8 : 4;
}

std::string_view xf::runtime::name(ElementType type) {
  switch (type) {
  case ElementType::F32:
    return "f32";
  case ElementType::I32:
    return "i32";
  case ElementType::I64:
    return "i64";
  case ElementType::F64:
    return "f64";
  case ElementType::Bool:
    return "bool";
  case ElementType::BF16:
    return "bf16";
  case ElementType::F16:
    return "f16";
  case ElementType::I8:
    return "i8";
  }
  return "?";
}

int64_t Parameter::elements() const {
  int64_t count = 1;
  for (int64_t extent : shape)
    count *= extent;
  return count;
}

std::vector<int64_t> TensorType::shapeAt(std::span<const int64_t> dims) const {
  std::vector<int64_t> result;
  for (const Extent &extent : shape)
    result.push_back(extent.at(dims));
  return result;
}

int64_t TensorType::bytesAt(std::span<const int64_t> dims) const {
  int64_t bytes = byteWidth(type);
  for (const Extent &extent : shape)
    bytes *= extent.at(dims);
  return bytes;
}

static std::optional<size_t> find(const std::vector<TensorType> &tensors, std::string_view name) {
  for (size_t i = 0; i < tensors.size(); ++i)
    if (tensors[i].name == name)
      return i;
  return std::nullopt;
}

std::optional<size_t> Function::input(std::string_view name) const { return find(inputs, name); }
std::optional<size_t> Function::output(std::string_view name) const { return find(outputs, name); }
bool Function::writesInput(size_t index) const {
  return std::any_of(dispatches.begin(), dispatches.end(), [&](const Dispatch &dispatch) {
    return std::any_of(dispatch.writes.begin(), dispatch.writes.end(), [&](int64_t write) {
      return dispatch.operands[write].space == Space::Input && dispatch.operands[write].index == int64_t(index);
    });
  });
}

const Function *Program::function(std::string_view name) const {
  for (const Function &function : functions)
    if (function.name == name)
      return &function;
  return nullptr;
}

namespace {
/// Raised inside this file alone: where the text breaks the contract.
struct Malformed : std::runtime_error {
  using std::runtime_error::runtime_error;
};
} // namespace

template <typename... Args> [[noreturn]] static void fail(fmt::format_string<Args...> format, Args &&...args) {
  throw Malformed(fmt::format(format, std::forward<Args>(args)...));
}

namespace {
/// An object's text without the elements of the list under one of its keys, and these, to be parsed one by one: a tree
/// takes many times the memory of its text, and most of a program is in two kinds of lists.
struct ListTaken {
  std::string rest;
  std::vector<std::string_view> elements;

  /// Text that is no JSON the parser of the parts finds out.
  ListTaken(std::string_view text, std::string_view key) {
    size_t begin = text.npos, depth = 0; // begin: of the element at hand
    bool isNext = false, isTaken = false;
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '"') {
        size_t quote = i;
        while (++i < text.size() && text[i] != '"')
          i += text[i] == '\\';
        isNext = depth == 1 && text.substr(quote + 1, i - quote - 1) == key;
      } else if (text[i] == '[' || text[i] == '{') {
        if (++depth == 2 && isNext && text[i] == '[' && !isTaken) {
          isTaken = true;
          rest = text.substr(0, i + 1);
          begin = i + 1;
        }
      } else if (text[i] == ',' || text[i] == ']' || text[i] == '}') {
        isNext = false;
        bool ends = begin != text.npos && depth == 2;
        if (std::string_view element = ends ? text.substr(begin, i - begin) : "";
            element.find_first_not_of(" \t\r\n") != element.npos || (ends && text[i] == ','))
          elements.push_back(element);
        if (ends)
          begin = text[i] == ',' ? i + 1 : text.npos;
        if (ends && text[i] != ',')
          rest += text.substr(i);
        depth -= text[i] != ',';
      }
    }
    if (!isTaken)
      rest = text;
  }
};
} // namespace

static ElementType parseType(const json &value) {
  const auto &text = value.get_ref<const std::string &>();
  if (text == "f32")
    return ElementType::F32;
  if (text == "i32")
    return ElementType::I32;
  if (text == "i64")
    return ElementType::I64;
  if (text == "bf16")
    return ElementType::BF16;
  if (text == "i8") // quantized weights
    return ElementType::I8;
  fail("expected element type 'f32', 'bf16', 'i8', 'i32' or 'i64', but got '{}'", text);
}

static int dimNumber(const json &name, const Function &function) {
  const auto &text = name.get_ref<const std::string &>();
  auto dim = std::find(function.dims.begin(), function.dims.end(), text);
  if (dim == function.dims.end())
    fail("unknown dim '{}' of '{}'", text, function.name);
  return int(dim - function.dims.begin());
}

using Sizes = std::vector<Affine>;

static Sizes parseSizes(const json &list, const Function &function) {
  Sizes sizes;
  for (const json &value : list) {
    sizes.push_back({value.get<std::vector<int64_t>>()});
    if (sizes.back().terms.size() != function.dims.size() + 1)
      fail("expected an affine size of '{}' to have {} terms, but got {}", function.name, function.dims.size() + 1,
           sizes.back().terms.size());
  }
  return sizes;
}

static const Affine &sizeAt(const Sizes &sizes, const json &value, const Function &function) {
  int64_t index = value.get<int64_t>();
  if (index < 0 || index >= int64_t(sizes.size()))
    fail("size {} of '{}' is out of range, there are {}", index, function.name, sizes.size());
  return sizes[index];
}

double Formula::at(std::span<const int64_t> dims) const {
  if (kind == Constant)
    return double(value);
  if (kind == Dim)
    return double(dims[value]);
  double left = operands[0].at(dims), right = operands[1].at(dims);
  return kind == Sum ? left + right : kind == Product ? left * right : right > 0 ? left / right : 0;
}

static Formula parseFormula(const json &value, const Function &function) {
  if (value.is_number_integer())
    return {Formula::Constant, value.get<int64_t>(), {}};
  if (value.is_string())
    return {Formula::Dim, dimNumber(value, function), {}};
  const auto &operation = value.at(0).get_ref<const std::string &>();
  Formula formula;
  if (operation == "+")
    formula.kind = Formula::Sum;
  else if (operation == "*")
    formula.kind = Formula::Product;
  else if (operation == "/")
    formula.kind = Formula::Quotient;
  else
    fail("unknown operation '{}' in a formula of '{}'", operation, function.name);
  for (int operand : {1, 2})
    formula.operands.push_back(parseFormula(value.at(operand), function));
  return formula;
}

static Initializer parseInitializer(const json &value) {
  const auto &kind = value.at("kind").get_ref<const std::string &>();
  if (kind == "xavier_uniform")
    return {Initializer::XavierUniform, value.value("gain", 1.0)};
  if (kind == "normal")
    return {Initializer::Normal, value.at("stddev").get<double>()};
  if (kind == "uniform")
    return {Initializer::Uniform, value.at("bound").get<double>()};
  if (kind == "zeros")
    return {Initializer::Zeros, 0};
  if (kind == "ones")
    return {Initializer::Ones, 0};
  fail("unknown initialiser '{}'", kind);
}

static void parseParameters(const json &root, Program &program) {
  program.parameterElements = root.at("parameter_elements").get<int64_t>();
  std::set<std::string> names;
  for (const json &value : root.at("parameters")) {
    Parameter parameter;
    parameter.name = value.at("name").get<std::string>();
    parameter.shape = value.at("shape").get<std::vector<int64_t>>();
    parameter.offset = value.at("offset").get<int64_t>();
    parameter.init = parseInitializer(value.at("init"));
    if (!names.insert(parameter.name).second)
      fail("parameter '{}' is listed twice", parameter.name);
    for (int64_t extent : parameter.shape)
      if (extent <= 0)
        fail("parameter '{}' has extent {}", parameter.name, extent);
    program.parameters.push_back(std::move(parameter));
  }
  std::vector<const Parameter *> byOffset;
  for (const Parameter &parameter : program.parameters)
    byOffset.push_back(&parameter);
  std::sort(byOffset.begin(), byOffset.end(), [](auto *a, auto *b) { return a->offset < b->offset; });
  int64_t end = 0;
  for (const Parameter *parameter : byOffset) {
    if (parameter->offset < end)
      fail("parameter '{}' overlaps the one before it", parameter->name);
    end = parameter->offset + parameter->elements();
  }
  if (end > program.parameterElements)
    fail("expected parameters to end within {} elements, but they end at {}", program.parameterElements, end);
}

static std::vector<TensorType> parseTensors(const json &list, const Function &function) {
  std::vector<TensorType> tensors;
  for (const json &value : list) {
    TensorType tensor;
    tensor.name = value.at("name").get<std::string>();
    tensor.type = parseType(value.at("type"));
    for (const json &extent : value.at("shape")) {
      if (extent.is_string())
        tensor.shape.push_back({0, dimNumber(extent, function)});
      else
        tensor.shape.push_back({extent.get<int64_t>(), -1});
    }
    if (find(tensors, tensor.name))
      fail("tensor '{}' of '{}' is listed twice", tensor.name, function.name);
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

static Operand parseOperand(const json &value, size_t dispatch, const Function &function, const Program &program) {
  const auto &space = value.at(0).get_ref<const std::string &>();
  int64_t index = value.at(1).get<int64_t>();
  auto checked = [&](Space kind, int64_t count) {
    if (index < 0 || index >= count)
      fail("operand '{}' {} of dispatch {} in '{}' is out of range, there are {}", space, index, dispatch,
           function.name, count);
    return Operand{kind, index, 0};
  };
  auto flat = [&](Space kind, int64_t count) {
    Operand operand = checked(kind, count);
    operand.elements = value.at(2).get<int64_t>();
    if (operand.elements < 0 || operand.elements > count - index)
      fail("operand '{}' {} of dispatch {} in '{}' has {} elements, there are {}", space, index, dispatch,
           function.name, operand.elements, count - index);
    return operand;
  };
  if (space == "slot") {
    Operand operand = checked(Space::Slot, function.slots.size());
    const Slot &slot = function.slots[index];
    if (int64_t(dispatch) < slot.first || int64_t(dispatch) > slot.last)
      fail("dispatch {} in '{}' touches slot '{}' outside its lifetime [{}, {}]", dispatch, function.name, slot.name,
           slot.first, slot.last);
    if (value.size() > 2) {
      operand.offset = value.at(2).get<int64_t>();
      operand.bytes = value.at(3).get<int64_t>();
      if (operand.offset < 0 || operand.bytes <= 0)
        fail("dispatch {} in '{}' touches {} bytes at {} of slot '{}'", dispatch, function.name, operand.bytes,
             operand.offset, slot.name);
    }
    return operand;
  }
  if (space == "input")
    return checked(Space::Input, function.inputs.size());
  if (space == "output")
    return checked(Space::Output, function.outputs.size());
  if (space == "parameter")
    return flat(Space::Parameter, program.parameterElements);
  if (space == "gradient")
    return flat(Space::Gradient, program.parameterElements);
  if (space == "first_moment")
    return flat(Space::FirstMoment, program.parameterElements);
  if (space == "second_moment")
    return flat(Space::SecondMoment, program.parameterElements);
  if (space == "prepared")
    return flat(Space::Prepared, program.preparedElements);
  fail("unknown operand '{}' in '{}'", space, function.name);
}

static Dispatch parseDispatch(const json &value, size_t index, const Sizes &sizes,
                              const std::vector<std::shared_ptr<const Formula>> &formulas, Function &function,
                              const Program &program) {
  Dispatch dispatch;
  dispatch.kernel = value.at("kernel").get<int64_t>();
  if (dispatch.kernel < 0 || dispatch.kernel >= int64_t(program.kernels.size()))
    fail("dispatch {} in '{}' calls kernel {}, there are {}", index, function.name, dispatch.kernel,
         program.kernels.size());
  dispatch.label = value.at("label").get<std::string>();
  for (const json &operand : value.at("operands")) {
    dispatch.operands.push_back(parseOperand(operand, index, function, program));
    Space space = dispatch.operands.back().space;
    function.usesParameters |= space == Space::Parameter || space == Space::Prepared;
    function.usesPrepared |= space == Space::Prepared;
    function.usesGradients |= space == Space::Gradient;
    function.usesMoments |= space == Space::FirstMoment || space == Space::SecondMoment;
  }
  dispatch.writes = value.at("writes").get<std::vector<int64_t>>();
  for (int64_t write : dispatch.writes)
    if (write < 0 || write >= int64_t(dispatch.operands.size()))
      fail("dispatch {} in '{}' writes operand {}, there are {}", index, function.name, write,
           dispatch.operands.size());
  for (const json &dim : value.at("dims"))
    dispatch.dims.push_back(sizeAt(sizes, dim, function));
  dispatch.scalars = value.at("scalars").get<std::vector<int64_t>>();
  for (const BoxedMatrix &map : program.kernels[dispatch.kernel].launch.maps)
    if (map.operand < 0 || map.operand >= int64_t(dispatch.operands.size()) ||
        -1 - std::min(map.rows, map.columns) >= int64_t(dispatch.dims.size()))
      fail("dispatch {} in '{}' has no operand {} of {} x {}", index, function.name, map.operand, map.rows,
           map.columns);
  for (const json &axis : value.at("grid")) {
    dispatch.grid.push_back({sizeAt(sizes, axis.at(0), function), axis.at(1).get<int64_t>()});
    if (dispatch.grid.back().tile <= 0)
      fail("dispatch {} in '{}' has tile {}", index, function.name, dispatch.grid.back().tile);
  }
  dispatch.chunkBytes.resize(dispatch.operands.size());
  for (const json &chunk : value.value("chunks", json::array())) {
    int64_t operand = chunk.at(0).get<int64_t>(), bytes = chunk.at(1).get<int64_t>();
    bool inLoop = std::any_of(function.loops.begin(), function.loops.end(), [&](const Loop &loop) {
      return int64_t(index) >= loop.begin && int64_t(index) < loop.end;
    });
    if (operand < 0 || operand >= int64_t(dispatch.operands.size()) || bytes <= 0 || !inLoop)
      fail("dispatch {} in '{}' sees a chunk of operand {} with rows of {} bytes", index, function.name, operand,
           bytes);
    dispatch.chunkBytes[operand] = bytes;
  }
  for (auto [key, formula] : {std::pair("flops", &dispatch.flops), {"bytes", &dispatch.bytes}})
    if (auto number = value.find(key); number != value.end()) {
      if (number->get<size_t>() >= formulas.size())
        fail("formula {} of '{}' is out of range, there are {}", number->get<size_t>(), function.name, formulas.size());
      *formula = formulas[number->get<size_t>()];
    }
  if (auto otherwise = value.find("otherwise"); otherwise != value.end()) {
    dispatch.where = sizeAt(sizes, otherwise->at("where"), function);
    dispatch.otherwise = std::make_shared<const Dispatch>(
        parseDispatch(otherwise->at("dispatch"), index, sizes, formulas, function, program));
  }
  return dispatch;
}

static Requirement parseRequirement(const json &value, const Sizes &sizes, const Function &function) {
  constexpr std::string_view kinds[] = {"rows", "starts", "below", "longest"};
  const auto &kind = value.at("kind").get_ref<const std::string &>();
  auto found = std::find(std::begin(kinds), std::end(kinds), kind);
  if (found == std::end(kinds))
    fail("'{}' requires '{}' of an input, which is nothing known", function.name, kind);
  Requirement requirement{Requirement::Kind(found - kinds), value.at("input").get<size_t>(),
                          sizeAt(sizes, value.at("size"), function), value.at("of").get<std::string>()};
  if (requirement.input >= function.inputs.size())
    fail("'{}' requires something of input {}, there are {}", function.name, requirement.input, function.inputs.size());
  const TensorType &input = function.inputs[requirement.input];
  if (input.shape.empty() || (requirement.kind != Requirement::Rows && input.type != ElementType::I32))
    fail("'{}' requires '{}' of '{}'", function.name, kind, input.name);
  return requirement;
}

static Function parseFunction(std::string_view text, const Program &program) {
  ListTaken dispatchTexts(text, "dispatches");
  json value = json::parse(dispatchTexts.rest);
  Function function;
  function.name = value.at("name").get<std::string>();
  function.dims = value.at("dims").get<std::vector<std::string>>();
  function.inputs = parseTensors(value.at("inputs"), function);
  function.outputs = parseTensors(value.at("outputs"), function);
  std::vector<bool> bound(function.dims.size(), false);
  for (const TensorType &input : function.inputs)
    for (const Extent &extent : input.shape)
      if (extent.dim >= 0)
        bound[extent.dim] = true;
  int64_t dispatches = int64_t(dispatchTexts.elements.size()), after = 0;
  for (const json &entry : value.value("loops", json::array())) {
    Loop loop{entry.at("dim").get<int>(), entry.at("of").get<int>(), entry.at("rows").get<int64_t>(),
              entry.at("begin").get<int64_t>(), entry.at("end").get<int64_t>()};
    auto isDim = [&](int dim) { return dim >= 0 && dim < int(bound.size()); };
    if (!isDim(loop.dim) || !isDim(loop.of) || bound[loop.dim] || !bound[loop.of] || loop.rows <= 0 || loop.rows % 16 ||
        loop.begin < after || loop.end < loop.begin || loop.end > dispatches)
      fail("a loop of '{}' takes {} rows of dim {} as dim {}, in dispatches {} to {}", function.name, loop.rows,
           loop.of, loop.dim, loop.begin, loop.end);
    after = loop.end;
    bound[loop.dim] = true;
    function.loops.push_back(loop);
  }
  for (size_t i = 0; i < bound.size(); ++i)
    if (!bound[i])
      fail("dim '{}' of '{}' is the extent of no input", function.dims[i], function.name);
  Sizes sizes = parseSizes(value.at("sizes"), function);
  for (const json &entry : value.at("slots")) {
    Slot slot;
    slot.name = entry.at("name").get<std::string>();
    slot.type = parseType(entry.at("type"));
    slot.bytes = sizeAt(sizes, entry.at("size"), function);
    slot.first = entry.at("first").get<int64_t>();
    slot.last = entry.at("last").get<int64_t>();
    if (slot.first < 0 || slot.first > slot.last || slot.last >= dispatches)
      fail("slot '{}' of '{}' has the lifetime [{}, {}], there are {} dispatches", slot.name, function.name, slot.first,
           slot.last, dispatches);
    function.slots.push_back(std::move(slot));
  }
  for (const json &entry : value.value("requirements", json::array()))
    function.requirements.push_back(parseRequirement(entry, sizes, function));
  std::vector<std::shared_ptr<const Formula>> formulas;
  for (const json &entry : value.value("formulas", json::array()))
    formulas.push_back(std::make_shared<const Formula>(parseFormula(entry, function)));
  function.dispatches.reserve(dispatches);
  for (std::string_view entry : dispatchTexts.elements)
    function.dispatches.push_back(
        parseDispatch(json::parse(entry), function.dispatches.size(), sizes, formulas, function, program));
  return function;
}

static Launch parseLaunch(const json &value) {
  Launch launch{value.value("threads", int64_t(0)),
                value.value("shared", int64_t(0)),
                value.value("blocks_per_processor", int64_t(0)),
                {},
                value.value("own_bytes", int64_t(0))};
  for (const json &map : value.value("maps", json::array())) {
    std::vector<int64_t> numbers = map.get<std::vector<int64_t>>();
    if (numbers.size() != 7)
      fail("expected 7 numbers of a tensor map, but got {}", numbers.size());
    launch.maps.push_back({numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5], numbers[6]});
  }
  return launch;
}

static Program parse(std::string_view text, int64_t kernelCount) {
  ListTaken functions(text, "functions");
  json root = json::parse(functions.rest);
  if (int64_t abi = root.at("abi").get<int64_t>(); abi != 3)
    fail("expected 'abi' 3, but got {}", abi);
  Program program;
  program.name = root.at("name").get<std::string>();
  program.kind = root.at("kind").get<std::string>();
  const json &target = root.at("target");
  program.triple = target.at("triple").get<std::string>();
  program.cpu = target.at("cpu").get<std::string>();
  program.gpu = target.value("gpu", std::string());
  program.features = target.at("features").get<std::vector<std::string>>();
  program.model = root.value("model", json::object());
  program.options = root.value("options", json::object());
  parseParameters(root, program);
  program.preparedElements = root.value("prepared_elements", int64_t(0));
  for (const json &value : root.at("kernels"))
    program.kernels.push_back({value.at("name").get<std::string>(), value.value("shape", std::string()),
                               value.value("schedule", std::string()), value.value("scratch", int64_t(0)),
                               value.value("form", std::string()), parseLaunch(value)});
  if (int64_t(program.kernels.size()) != kernelCount)
    fail("expected {} kernels, as many as the object has, but got {}", kernelCount, program.kernels.size());
  for (std::string_view function : functions.elements)
    program.functions.push_back(parseFunction(function, program));
  return program;
}

Expected<Program> xf::runtime::parseProgram(std::string_view text, int64_t kernelCount) {
  try {
    Program program = parse(text, kernelCount);
    program.descriptionBytes = int64_t(text.size());
    return program;
  } catch (const Malformed &malformed) {
    return internalError(fmt::format("the program's description is malformed: {}", malformed.what()));
  } catch (const json::exception &malformed) {
    return internalError(fmt::format("the program's description is malformed: {}", malformed.what()));
  }
}
