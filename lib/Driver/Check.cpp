//===- Check.cpp - the module after every stage on the same inputs --------===//
// Up to `outline` values are tensors, and the interpreter sees every one. What stages after that make runs as in an
// executable, dispatch by dispatch: a kernel is compared with its own definition on the operands that it was given, so
// that what differs there is its code; where its operands differ already, memory was planned wrongly.
//===----------------------------------------------------------------------===//
#include "xf/Driver/Check.h"
#include "CheckInputs.h"
#include "CheckTensors.h"
#include "xf/Driver/Load.h"
#include "xf/Kernels/Passes.h"
#include "xf/Runtime/Parameters.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include <cmath>
#include <random>

namespace mlir::xf {
namespace runtime = ::xf::runtime;
using reference::Interpreter;
using reference::ModelState;
using reference::Tensor;

namespace {
constexpr int userMistake = 1, ourMistake = 2;

/// Of a function: whether its values are cotangents too.
bool hasCotangents(StringRef function) {
  return function == "train_step" || function == "accumulate" || function == "gradients";
}

std::string joined(StringRef a, StringRef b) { return (a + (a.empty() || b.empty() ? "" : ".") + b).str(); }

StageChecker::Failure failureOf(const runtime::Error &error) { return {error.exitCode, error.message}; }
StageChecker::Failure failureOf(llvm::Error error) { return {ourMistake, llvm::toString(std::move(error))}; }

bool isEntry(func::FuncOp function) { return function->hasAttr("xf.entry") && function.getName() != "prepare"; }

/// Stage `autodiff` makes these of those: their forward is the same.
StringRef madeFrom(StringRef entry) { return entry == "train_step" ? "model" : entry == "gradients" ? "loss" : entry; }
} // namespace

/// The kernels of a program, loaded, with what they run on: a team, or by their images a GPU.
class CompiledProgram {
public:
  CompiledProgram(runtime::Program program, std::vector<runtime::KernelFunction> functions,
                  std::vector<const XfImage *> images, const KernelOptions &options)
      : program(std::move(program)), functions(std::move(functions)), images(std::move(images)),
        precision(options.stages.precision), team(static_cast<int>(options.threads)),
        executor(this->program, this->functions, team, this->images) {}

  /// Whether values are rounded on their way, so that they lose what they were; and a kernel's tolerance.
  bool rounds() const { return precision != Precision::F32; }
  double tolerance() const { return precision == Precision::BF16 ? 1e-2 : precision == Precision::TF32 ? 2e-3 : 1e-4; }
  /// The stages that made its kernels.
  std::string stages(StringRef first) const {
    return ("stages '" + first + "' to 'link'" + (program.gpu.empty() ? "" : " for " + program.gpu)).str();
  }

  const runtime::Program program;
  std::vector<runtime::KernelFunction> functions;
  std::vector<const XfImage *> images;
  const Precision precision;
  runtime::Team team;
  runtime::Executor executor;
  runtime::ModelState state;
  double worst = 0; // relative, of what agrees
  int64_t dispatches = 0;
};

//===-- Inputs ----------------------------------------------------------------===//
StageChecker::Result StageChecker::prepare(ModuleOp module, const std::string &given) {
  weights = given;
  if (std::error_code code = llvm::sys::fs::create_directories(folder, /*IgnoreExisting=*/true, llvm::sys::fs::all_all))
    return Failure{userMistake, "can't write into '" + folder + "': " + code.message()};
  if (weights.empty()) {
    weights = folder + "/weights.safetensors";
    if (!llvm::sys::fs::exists(weights))
      if (auto written = writeMadeUpWeights(module, weights); !written)
        return failureOf(written.error());
  }
  auto file = runtime::Safetensors::open(weights);
  if (!file)
    return failureOf(file.error());
  if (auto state = ModelState::load(module, *file); !state)
    return failureOf(state.error());
  std::string path = folder + "/inputs.safetensors";
  std::map<std::string, Tensor> all; // "ENTRY.ARGUMENT"
  if (llvm::sys::fs::exists(path)) {
    auto file = runtime::Safetensors::open(path);
    if (!file)
      return failureOf(file.error());
    for (const runtime::TensorView &view : file->tensors())
      all.emplace(std::string(view.name), reference::fromView(view));
  }
  bool made = all.empty();
  const std::map<std::string, Tensor> step = stepInputs(isNarrow);
  for (auto entry : module.getOps<func::FuncOp>()) {
    if (!isEntry(entry))
      continue;
    std::string name = entry.getName().str();
    for (BlockArgument argument : entry.getArguments()) {
      auto argumentName = entry.getArgAttrOfType<StringAttr>(argument.getArgNumber(), "xf.name");
      std::string key =
          name + "." + (argumentName ? argumentName.str() : "arg" + std::to_string(argument.getArgNumber()));
      bool isStep = llvm::is_contained({"train_step", "accumulate", "update"}, name);
      if (auto setting = step.find(key.substr(name.size() + 1)); made && isStep && setting != step.end())
        all.emplace(key, setting->second);
      else if (std::optional<Tensor> tensor; made && (tensor = makeInput(module, entry, argument.getArgNumber())))
        all.emplace(key, *tensor);
      auto found = all.find(key);
      if (found == all.end())
        return Failure{userMistake, "expected '" + path + "' to hold '" + key + "', the argument " +
                                        std::to_string(argument.getArgNumber()) + " of '" + name +
                                        "', for which nothing can be made up"};
      if (std::string wrong = reference::mismatch(key, argument.getType(), found->second); !wrong.empty())
        return Failure{userMistake, "'" + path + "': " + wrong};
      inputs[name][key.substr(name.size() + 1)] = found->second;
    }
  }
  // What `autodiff` adds takes what it was made from, and the settings of a step.
  if (inputs.count("loss"))
    inputs["gradients"] = inputs["loss"];
  if (inputs.count("model")) {
    for (const char *name : {"train_step", "accumulate"})
      inputs[name] = inputs["model"];
    for (const char *name : {"train_step", "accumulate", "update"})
      inputs[name].insert(step.begin(), step.end());
  }
  if (made)
    if (auto written =
            reference::writeTensors(path, std::vector<std::pair<std::string, Tensor>>(all.begin(), all.end()));
        !written)
      return failureOf(written.error());
  return std::nullopt;
}

SmallVector<Tensor> StageChecker::argumentsOf(func::FuncOp entry) const {
  SmallVector<Tensor> arguments;
  const Tensors &named = inputs.at(entry.getName().str());
  for (unsigned i = 0; i < entry.getNumArguments(); ++i) {
    auto name = entry.getArgAttrOfType<StringAttr>(i, "xf.name");
    arguments.push_back(named.at(name ? name.str() : "arg" + std::to_string(i)).copy());
  }
  return arguments;
}

ModelState StageChecker::loadState(ModuleOp module) const {
  auto file = runtime::Safetensors::open(weights);
  auto state = file ? ModelState::load(module, *file) : runtime::Expected<ModelState>(file.error());
  if (!state)
    return {};                          // it could be loaded before
  state->gradients = state->parameters; // for functions that go on from gradients
  return std::move(*state);
}

//===-- Interpreted stages ----------------------------------------------------===//
FailureOr<StageChecker::Trace> StageChecker::trace(ModuleOp module, func::FuncOp entry) {
  ModelState state = loadState(module);
  Interpreter interpreter(module, state);
  Trace trace;
  interpreter.setProbe([&](Operation *op, ArrayRef<Tensor> results) {
    std::string label;
    for (Operation *caller : interpreter.callStack()) {
      if (isa<DispatchOp>(caller))
        return; // the ops of a kernel are one to the stages from here on
      label = joined(label, labelOf(caller->getLoc()));
    }
    bool isKernel = isa<GroupOp, DispatchOp>(op);
    if (isa<func::CallOp, GetParamOp, GetGradientOp, GetPreparedOp, ReshapeOp, arith::ConstantOp>(op))
      return;
    std::string own = labelOf(op->getLoc());
    if (own.empty() && isKernel)
      own = op->getAttrOfType<StringAttr>("label").str();
    for (const Tensor &result : results)
      trace.push_back({joined(label, own), isKernel ? "" : op->getName().getStringRef().str(), result});
  });
  FailureOr<SmallVector<Tensor>> results = interpreter.run(entry, argumentsOf(entry));
  if (failed(results))
    return failure();
  for (auto [index, result] : llvm::enumerate(*results)) {
    auto name = entry.getResultAttrOfType<StringAttr>(index, "xf.name");
    trace.push_back({name ? name.str() : "result" + std::to_string(index), "result", result});
  }
  if (entry.getName() == "train_step" || entry.getName() == "update")
    for (const auto &[name, tensor] : state.parameters)
      trace.push_back({name, "result", tensor});
  return trace;
}

StageChecker::Result StageChecker::report(const std::string &message,
                                          ArrayRef<std::pair<std::string, Tensor>> tensors) const {
  std::string path = folder + "/difference.safetensors";
  auto written = reference::writeTensors(path, tensors);
  return Failure{ourMistake, message + (written ? "; both are in '" + path + "'" : "; " + written.error().message)};
}

/// Values of one name are compared whatever their order, which stages may change; each of the fewer has to be among the
/// others, for a stage may add sums on the way, and `autodiff` adds the backward's behind the forward's.
StageChecker::Result StageChecker::compare(const std::string &entry, const Trace &before, const Trace &after,
                                           Stage stage, int64_t &compared) {
  constexpr double tolerance = 1e-9;
  bool rounds = stage == Stage::outline && isNarrow;
  using Values = std::vector<const Tensor *>;
  std::map<std::pair<std::string, std::string>, std::pair<Values, Values>> byName; // before and after
  for (const RecordedValue &recorded : before)
    byName[{recorded.label, recorded.op}].first.push_back(&recorded.value);
  for (const RecordedValue &recorded : after)
    if (auto found = byName.find({recorded.label, recorded.op}); found != byName.end())
      if (auto &[known, now] = found->second; stage != Stage::autodiff || now.size() < known.size())
        now.push_back(&recorded.value);
  std::map<const Tensor *, size_t> order; // in which they are computed
  for (const auto &[index, recorded] : llvm::enumerate(after))
    order[&recorded.value] = index;
  const Tensor *firstExpected = nullptr, *firstActual = nullptr;
  for (const auto &[name, values] : byName) {
    const auto &[known, now] = values;
    bool more = now.size() > known.size();
    for (const Tensor *value : more ? known : now) {
      const Tensor *closest = nullptr;
      double least = std::numeric_limits<double>::infinity();
      for (const Tensor *candidate : more ? now : known)
        if (sameForm(*candidate, *value))
          if (double difference = Difference(*candidate, *value).most; !closest || difference < least) {
            closest = candidate;
            least = difference;
          }
      if (!closest)
        continue; // the rows of a chunk
      ++compared;
      const Tensor *expected = more ? value : closest, *actual = more ? closest : value;
      bool differs = rounds ? isFar(*expected, *actual, hasCotangents(entry))
                            : least > tolerance * std::max(1.0, largest(*expected));
      if (differs && (!firstActual || order[actual] < order[firstActual])) {
        firstExpected = expected;
        firstActual = actual;
      }
    }
  }
  if (!firstActual)
    return std::nullopt;
  const RecordedValue &first = after[order[firstActual]];
  return report("stage '" + stageName(stage).str() + "': '" + first.label + "' (" +
                    (first.op.empty() ? "a kernel" : first.op) + ") of '" + entry +
                    "' is no longer what it was after stage '" + stageName(stageBefore).str() +
                    "': " + describe(*firstExpected, *firstActual),
                {{"expected", *firstExpected}, {"actual", *firstActual}});
}

StageChecker::Result StageChecker::interpret(ModuleOp module, Stage stage) {
  std::map<std::string, Trace> now;
  int64_t values = 0, compared = 0;
  std::string entries;
  for (auto entry : module.getOps<func::FuncOp>()) {
    if (!isEntry(entry))
      continue;
    std::string name = entry.getName().str();
    if (!inputs.count(name))
      return Failure{userMistake, "'" + folder + "' has no inputs for the entry point '" + name + "'"};
    FailureOr<Trace> traced = trace(module, entry);
    if (failed(traced))
      return Failure{ourMistake, "'" + name + "' after stage '" + stageName(stage).str() + "' can't be interpreted"};
    auto known = before.find(stage == Stage::autodiff ? madeFrom(name).str() : name);
    if (known != before.end())
      if (Result differs = compare(name, known->second, *traced, stage, compared))
        return differs;
    values += traced->size();
    entries += (entries.empty() ? "" : " ") + name;
    now[name] = std::move(*traced);
  }
  if (stage == Stage::input) {
    if (module.lookupSymbol("model"))
      training = module.clone();
    llvm::outs() << llvm::formatv("{0,-9} {1} values of {2}\n", stageName(stage), values, entries);
  } else {
    llvm::outs() << llvm::formatv("{0,-9} {1} values, {2} of them known: the same\n", stageName(stage), values,
                                  compared);
  }
  before = std::move(now);
  stageBefore = stage;
  return stage == Stage::autodiff ? checkGradients(module) : std::nullopt;
}

//===-- Gradients -------------------------------------------------------------===//
FailureOr<double> StageChecker::lossOf(ModuleOp module, StringRef function, ModelState &state) {
  Interpreter interpreter(module, state);
  func::FuncOp loss = interpreter.lookup(function);
  FailureOr<SmallVector<Tensor>> results = interpreter.run(loss, argumentsOf(loss));
  if (failed(results))
    return failure();
  return (*results)[0].scalar();
}

StageChecker::Result StageChecker::checkGradients(ModuleOp module) {
  auto find = [&](StringRef entry) {
    Tensors derived;
    for (const RecordedValue &recorded : before.at(entry.str()))
      if (StringRef name = recorded.label; recorded.op == "result" && name.consume_front("grad."))
        derived[name.str()] = recorded.value;
    return derived;
  };
  if (before.count("gradients") && before.count("loss"))
    if (Result wrong = checkSlope(module, "loss", "gradients", find("gradients")))
      return wrong;
  if (!training || !before.count("accumulate"))
    return std::nullopt;
  // Those of training, with what dropout keeps: added to what there was, which is the parameters.
  Tensors derived = find("accumulate");
  double weight = inputs.at("accumulate").at("weight").scalar();
  ModelState state = loadState(module);
  for (auto &[name, tensor] : derived) {
    tensor = tensor.copy();
    for (int64_t i = 0; i < tensor.elements(); ++i)
      tensor[i] = (tensor[i] - state.gradients[name][i]) / weight;
  }
  return checkSlope(*training, "model", "accumulate", derived);
}

/// Gradients have nothing to be compared with but the loss: its change along a random direction, of all parameters
/// together, and where that is wrong of each alone. An error shows in all that lies before it in the model, so the last
/// parameter that has it is named.
StageChecker::Result StageChecker::checkSlope(ModuleOp module, const std::string &loss, const std::string &function,
                                              Tensors derived) {
  constexpr double step = 1e-6, tolerance = 1e-4;
  ModelState state = loadState(module);
  Tensors directions;
  std::mt19937_64 random(1);
  for (const auto &[name, parameter] : state.parameters) {
    Tensor direction = Tensor::reals(parameter.shape());
    for (int64_t i = 0; i < direction.elements(); ++i)
      direction[i] = std::normal_distribution<double>()(random);
    directions[name] = direction;
  }

  /// What the gradient says and what the loss does, along the direction of some parameters.
  auto slopes = [&](ArrayRef<std::string> names) -> FailureOr<std::pair<double, double>> {
    double said = 0, losses[2];
    for (const std::string &name : names)
      for (int64_t i = 0; i < directions[name].elements(); ++i)
        said += derived[name][i] * directions[name][i];
    for (int side : {0, 1}) {
      ModelState moved = state;
      for (const std::string &name : names) {
        Tensor values = state.parameters[name].copy();
        for (int64_t i = 0; i < values.elements(); ++i)
          values[i] += (side ? step : -step) * directions[name][i];
        moved.parameters[name] = values;
      }
      FailureOr<double> found = lossOf(module, loss, moved);
      if (failed(found))
        return failure();
      losses[side] = *found;
    }
    return std::pair(said, (losses[1] - losses[0]) / (2 * step));
  };
  auto agree = [&](std::pair<double, double> slopes) {
    return std::abs(slopes.first - slopes.second) <= tolerance * std::max(0.01, std::abs(slopes.second));
  };
  SmallVector<std::string> names;
  for (ParamOp param : module.getOps<ParamOp>())
    names.push_back(param.getSymName().str());
  FailureOr<std::pair<double, double>> all = slopes(names);
  if (failed(all))
    return Failure{ourMistake, "the loss can't be interpreted"};
  if (agree(*all)) {
    llvm::outs() << llvm::formatv("          {0} of {1} parameters: the slope of {2}\n", function, names.size(), loss);
    return std::nullopt;
  }
  for (const std::string &name : llvm::reverse(names)) {
    FailureOr<std::pair<double, double>> one = slopes(name);
    if (succeeded(one) && !agree(*one))
      return report("stage 'autodiff': 'grad." + name + "' of '" + function + "' is not the derivative of '" + loss +
                        "': along the direction in the file it says " +
                        llvm::formatv("{0}", llvm::format("%.7g", one->first)).str() + ", and the loss changes by " +
                        llvm::formatv("{0}", llvm::format("%.7g", one->second)).str(),
                    {{"actual", derived[name]}, {"direction", directions[name]}});
  }
  return Failure{ourMistake,
                 "stage 'autodiff': the gradients of all parameters together are not the slope of the loss, "
                 "and each one's alone is"};
}

//===-- Compiled stages -------------------------------------------------------===//
StageChecker::Result StageChecker::runCompiled(ModuleOp planned, ModuleOp scheduled, const KernelOptions &options) {
  OwningOpRef<ModuleOp> module = (scheduled ? scheduled : planned).clone();
  Stage next = scheduled ? Stage::target : Stage::schedule;
  const std::string &gpu = options.stages.gpu;
  if (!scheduled && gpu.empty()) {
    PassManager choose(module->getContext());
    buildChooseSchedules(choose, options.stages);
    if (failed(choose.run(*module)))
      return Failure{ourMistake, "stage 'schedule' failed"};
  }
  std::string archive;
  KernelTimes times;
  if (std::optional<Stage> failed = compileKernels(*module, next, options, archive, times))
    return Failure{ourMistake, "stage '" + stageName(*failed).str() + "' failed"};
  SmallVector<std::string> names;
  FailureOr<std::string> json = describeProgram(*module, options.cpu, gpu, names);
  if (failed(json))
    return Failure{ourMistake, "stage 'target' failed"};
  runtime::Expected<runtime::Program> program = runtime::parseProgram(*json, names.size());
  if (!program)
    return failureOf(program.error());
  auto jit = llvm::orc::LLJITBuilder().create();
  if (!jit)
    return failureOf(jit.takeError());
  auto library = loadArchive(**jit, "kernels", archive);
  if (!library)
    return failureOf(library.takeError());
  std::vector<runtime::KernelFunction> functions;
  std::vector<const XfImage *> images;
  for (const std::string &name : names) {
    llvm::Error error = llvm::Error::success();
    auto add = [&](auto found, auto &list) {
      if (found)
        list.push_back(*found);
      else
        error = llvm::joinErrors(std::move(error), found.takeError());
    };
    if (gpu.empty())
      add(findKernel(**jit, *library, name), functions);
    else
      add(findImage(**jit, *library, name), images);
    if (error)
      return failureOf(std::move(error));
  }

  CompiledProgram compiled(std::move(*program), std::move(functions), std::move(images), options);
  for (const runtime::Function &function : compiled.program.functions) {
    if (function.name == "prepare" || !before.count(function.name))
      continue;
    if (Result differs = checkFunction(planned, function, compiled))
      return differs;
  }
  llvm::outs() << llvm::formatv("compiled  {0} dispatches of {1} kernels{2}: within {3} of their definitions\n",
                                compiled.dispatches, names.size(), gpu.empty() ? "" : " for " + gpu,
                                llvm::format("%.1e", compiled.worst));
  return std::nullopt;
}

StageChecker::Result StageChecker::checkFunction(ModuleOp planned, const runtime::Function &function,
                                                 CompiledProgram &compiled) {
  const runtime::Program &program = compiled.program;
  auto state = runtime::ModelState::allocate(program, {true, true, program.preparedElements > 0});
  auto file = runtime::Safetensors::open(weights);
  if (!state || !file)
    return failureOf(state ? file.error() : state.error());
  if (auto loaded = state->loadParameters(program, *file); !loaded)
    return failureOf(loaded.error());
  std::copy_n(state->arenas().parameters.here(), program.parameterElements, state->arenas().gradients.here());
  if (const runtime::Function *prepare = program.function("prepare"))
    if (auto prepared = compiled.executor.run(*prepare, {}, {}, state->arenas()); !prepared)
      return failureOf(prepared.error());

  std::vector<runtime::OwnedTensor> tensors, results;
  for (const runtime::TensorType &input : function.inputs)
    tensors.push_back(toMemory(input, inputs.at(function.name).at(input.name)));
  std::vector<runtime::TensorView> views = runtime::viewsOf(tensors);
  auto dims = compiled.executor.bind(function, views);
  if (!dims)
    return failureOf(dims.error());
  for (const runtime::TensorType &output : function.outputs)
    results.emplace_back(output.name, output.type, output.shapeAt(*dims));

  std::map<std::string, std::vector<const Tensor *>> known; // by label, what kernels gave after `outline`
  for (const RecordedValue &recorded : before.at(function.name))
    if (recorded.op.empty())
      known[recorded.label].push_back(&recorded.value);
  ModelState unused = loadState(planned);
  Interpreter interpreter(planned, unused);
  Result differs;
  func::FuncOp kernel;
  SmallVector<Tensor> operands; // of the dispatch at hand
  Terms terms;
  double made = 0; // of terms so large, by the dispatch at hand
  auto compare = [&](const std::string &label, const Tensor &expected, const Tensor &actual, double made,
                     double tolerance) -> std::optional<std::string> {
    double scale = std::max(largest(expected), made);
    double relative = Difference(expected, actual).most / std::max(scale, 1e-30);
    if (!(relative <= tolerance))
      return "'" + label + "' of '" + function.name + "'";
    compiled.worst = std::max(compiled.worst, relative);
    return std::nullopt;
  };
  auto observe = [&](const runtime::Executor::Operands &memory, bool done) {
    if (differs)
      return;
    const runtime::Dispatch &dispatch = memory.dispatch;
    const std::string &name = program.kernels[dispatch.kernel].name;
    const int64_t *dims = memory.dims.data(), *scalars = dispatch.scalars.data();
    size_t buffer = 0;
    if (!done) {
      kernel = interpreter.lookup(name);
      operands.clear();
      made = 0;
      // Copies, and the optimizer's kernels, are made by `plan` and have no other definition.
      if (!kernel || kernel->hasAttr("xf.grid")) {
        for (const runtime::Operand &operand : dispatch.operands)
          made = std::max(made, terms.of(operand));
        for (int64_t write : dispatch.writes)
          terms.set(dispatch.operands[write], made);
        return;
      }
    } else if (operands.empty()) {
      return;
    }
    SmallVector<Tensor> read;
    for (Type type : kernel.getArgumentTypes()) {
      auto tensor = dyn_cast<RankedTensorType>(type);
      read.push_back(tensor ? fromMemory(tensor, memory.buffers[buffer], dims) : Tensor::integers({}, *scalars++));
      constexpr double share = 0.05;
      if (tensor && !done && read.back().isReal())
        made = std::max({made, share * largest(read.back()), share * terms.of(dispatch.operands[buffer])});
      buffer += tensor != nullptr;
    }
    if (!done) {
      operands = std::move(read);
      return;
    }
    ++compiled.dispatches;
    FailureOr<SmallVector<Tensor>> defined = interpreter.run(kernel, operands);
    if (failed(defined)) {
      differs = Failure{ourMistake, "the kernel '" + name + "' can't be interpreted"};
      return;
    }
    for (auto [index, type] : llvm::enumerate(kernel.getResultTypes())) {
      const runtime::Operand &place = dispatch.operands[buffer];
      Tensor actual = fromMemory(cast<RankedTensorType>(type), memory.buffers[buffer++], dims);
      terms.set(place, made);
      std::vector<std::pair<std::string, Tensor>> shown = {{"expected", (*defined)[index]}, {"actual", actual}};
      for (auto [number, operand] : llvm::enumerate(operands))
        shown.emplace_back("operand." + std::to_string(number), operand);
      if (auto what = compare(dispatch.label, (*defined)[index], actual, made, compiled.tolerance())) {
        differs = report(compiled.stages("schedule") + ": " + *what + " is not what its kernel '" + name +
                             "' is defined to make of its operands: " + describe((*defined)[index], actual),
                         shown);
        return;
      }
      const Tensor *closest = nullptr;
      for (const Tensor *candidate : known[dispatch.label])
        if (sameForm(*candidate, actual))
          if (!closest || Difference(*candidate, actual).most < Difference(*closest, actual).most)
            closest = candidate;
      if (!closest)
        continue;
      shown[0].second = *closest;
      if (compiled.rounds() && !isFar(*closest, actual, hasCotangents(function.name)))
        continue;
      if (auto what = compare(dispatch.label, *closest, actual, made, 1e-3)) {
        differs = report("stage 'plan': " + *what + " is no longer what it was after stage '" +
                             stageName(stageBefore).str() + "', though its kernel '" + name +
                             "' is right: its operands were not: " + describe(*closest, actual),
                         shown);
        return;
      }
    }
  };
  if (auto ran = compiled.executor.observe(function, views, runtime::viewsOf(results), state->arenas(), observe); !ran)
    return failureOf(ran.error());
  if (differs)
    return differs;

  // What comes out at the end; kernels without a definition of their own show here.
  struct Outcome {
    Tensor value;
    double made;
  };
  std::map<std::string, Outcome> outcomes;
  for (auto [index, view] : llvm::enumerate(runtime::viewsOf(results)))
    for (const RecordedValue &recorded : before.at(function.name))
      if (recorded.op == "result" && recorded.label == view.name)
        outcomes[recorded.label] = {view.type == runtime::ElementType::BF16
                                        ? withoutGaps(view, recorded.value.shape().back())
                                        : reference::fromView(view),
                                    terms.of({runtime::Space::Output, static_cast<int64_t>(index)})};
  auto parameters = state->arenas().parameters.change();
  if (!parameters)
    return failureOf(parameters.error());
  if (function.usesMoments)
    for (const runtime::Parameter &parameter : program.parameters)
      outcomes[parameter.name] = {reference::fromView(runtime::parameterView(parameter, *parameters, parameter.name)),
                                  terms.of({runtime::Space::Parameter, 0, program.parameterElements})};
  for (const RecordedValue &recorded : before.at(function.name)) {
    auto outcome = outcomes.find(recorded.label);
    if (recorded.op != "result" || outcome == outcomes.end())
      continue;
    const auto &[value, made] = outcome->second;
    if (!(compiled.rounds() && !isFar(recorded.value, value, hasCotangents(function.name))) &&
        compare(recorded.label, recorded.value, value, made, 1e-3))
      return report(compiled.stages("plan") + ": '" + recorded.label + "' of '" + function.name +
                        "' is no longer what it was after stage '" + stageName(stageBefore).str() +
                        "': " + describe(recorded.value, value),
                    {{"expected", recorded.value}, {"actual", value}});
  }
  return std::nullopt;
}
} // namespace mlir::xf
