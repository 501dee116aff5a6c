//===- Library.cpp - A compiled model as a library for C ------------------------------===//
// Behind the interface of Library.h: one session and its state, a lock, and the border that neither exceptions nor
// anything but text of errors crosses. The linker gives `xf_library_open` and `xf_library_open_on` the model's name,
// and a shared library has the second by its own name, too.
//===----------------------------------------------------------------------------------===//
#include "xf/Runtime/Library.h"
#include "LibraryDescription.h"
#include "xf/Runtime/Text/LibraryText.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <mutex>
#include <thread>
#include <unistd.h>

using namespace xf::runtime;

namespace {

/// A number that is not negative, with nothing after it.
template <typename T> Expected<T> parseNumber(std::string_view name, std::string_view text) {
  T value{};
  auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || rest != text.data() + text.size() || !(value >= 0) || std::isinf(double(value)))
    return userError(fmt::format("expected '{}' to be a number from 0 on, but got '{}'", name, text));
  return value;
}

extern const xf_model methods; // below

class Model : public xf_model {
public:
  static Expected<std::unique_ptr<Model>> open(const char *device, const char *weights);

  Expected<void> call(std::string_view name, std::span<const xf_tensor> inputs, std::span<const xf_tensor> outputs);
  Expected<void> bind(std::string_view name, std::span<const xf_tensor> inputs, int64_t *dims);
  Expected<void> array(xf_array which, const char *name, float **data);
  void changed();
  /// After what has changed arrays: brings those home that the caller may look at at any time.
  Expected<void> show(Expected<void> done);
  Expected<void> initialize(uint64_t seed);
  Expected<void> load(const std::string &path);
  Expected<void> save(const std::string &path, bool weightsOnly);
  Expected<void> set(std::string_view name, std::string_view value);
  Expected<void> get(std::string_view name, const char **value);
  Expected<void> takeWarnings(const char **text);
  Expected<void> translate(std::span<const char *const> lines, const char *options, const char *const **translations);
  Expected<void> generate(const char *prompt, const char *options, const char **text);
  Expected<void> vocabulary(xf_side side, xf_vocabulary *described);
  Expected<void> encode(xf_side side, const char *line, const int32_t **tokens, int64_t *numTokens);
  Expected<void> decode(xf_side side, std::span<const int32_t> tokens, const char **text);

  std::mutex lock;
  const pid_t process = getpid(); // whose threads, and whose GPU, the model has

  /// Why nothing can be asked of it in a process that was forked from its own.
  Error isElsewhere() const;

private:
  explicit Model(std::unique_ptr<Session> opened) : owned(std::move(opened)), session(*owned), description(session) {
    static_cast<xf_model &>(*this) = methods;
    xf_model::description = &description.description;
    progress.hyper = defaultHyper(session.program);
    session.warn = [this](std::string_view text) { warnings += (warnings.empty() ? "" : "\n") + std::string(text); };
  }

  struct Call {
    const Function *function = nullptr;
    std::vector<TensorView> inputs, outputs;
    std::vector<OwnedTensor> narrowed; // of the inputs, ids that came in 64 bits
    std::vector<int64_t> dims;
  };

  /// Checks all that a call is made of; what the caller leaves to the model is added.
  Expected<Call> check(std::string_view name, std::span<const xf_tensor> inputs, std::span<const xf_tensor> outputs);
  /// Memory for what functions work on, and what they read besides the parameters.
  Expected<void> makeReady(const Function &function);
  Expected<void> load(const Safetensors &file);
  /// Why the model, of another kind or with other functions, can't do what takes these.
  Error cannot(std::string_view what, std::string_view kind, std::string_view needed) const;
  /// What there is to do with text; opened when it is first asked for.
  Expected<LibraryText *> openedText();
  Expected<const Vocabulary *> vocabularyOf(xf_side side);
  /// Keeps what a call gives for this thread.
  const char *const *give(std::vector<std::string> texts);
  Expected<void> visitSetting(std::string_view name, auto use);

  const Arena &arena(int which) const {
    const ModelArenas &all = state.arenas();
    const Arena *arrays[] = {&all.parameters, &all.gradients, &all.firstMoments, &all.secondMoments};
    return *arrays[which];
  }

  std::unique_ptr<Session> owned;
  Session &session;
  Description description;
  ModelState state;
  bool preparedIsOld = true;
  std::array<bool, 4> isShown{}; // to the caller, of each kind of array
  Progress progress;
  std::array<int64_t, 2> random; // what these inputs of a training step are where the caller says nothing
  std::array<float, 8> hyper;
  std::string warnings; // nobody has asked for
  std::unique_ptr<LibraryText> text;
  struct Given {
    std::vector<std::string> texts;
    std::vector<const char *> pointers;
    std::vector<int32_t> tokens;
  };
  std::map<std::thread::id, Given> given; // by the last call of each thread
};

Expected<std::unique_ptr<Model>> Model::open(const char *device, const char *weights) {
  Expected<std::unique_ptr<Session>> session = Session::open(device ? device : "", /*isLibrary=*/true);
  if (!session)
    return session.error();
  if (device && device != (*session)->device)
    return (*session)->hasNoDevice(device);
  std::unique_ptr<Model> model(new Model(std::move(*session)));
  Expected<void> ready = model->state.reserve(model->session.program, {});
  if (ready && !model->session.program.gpu.empty())
    ready = model->session.executor().open();
  if (ready) {
    if (weights)
      ready = model->load(weights);
    else if (auto embedded = model->session.openModel(""))
      ready = model->load(*embedded);
    else if (model->session.blob("weights"))
      ready = embedded.error();
    else
      ready = model->state.initialize(model->session.program, model->progress.seed);
  }
  if (!ready)
    return ready.error();
  return model;
}

Error Model::isElsewhere() const {
  return userError(fmt::format("this process was forked from the one that opened the model, {}",
                               session.program.gpu.empty()
                                   ? "and has none of its threads; open another model here"
                                   : "and a GPU's driver works in no such process; start one by spawn or exec, and "
                                     "open another model there"));
}

static Error nowhereToWrite(std::string_view what) {
  return userError(fmt::format("expected a place to write '{}' to, but got NULL", what));
}

/// The caller's tensors, which must be some of `known`, an `input` or `output` of the function.
static Expected<std::vector<TensorView>> viewsOf(const Function &function, std::string_view kind,
                                                 const std::vector<TensorType> &known,
                                                 std::span<const xf_tensor> tensors) {
  std::vector<TensorView> views;
  if (!tensors.data() && !tensors.empty())
    return userError(fmt::format("expected {} {}s of '{}', but got NULL", tensors.size(), kind, function.name));
  for (const xf_tensor &tensor : tensors) {
    std::string_view name = tensor.name ? tensor.name : "";
    if (std::none_of(known.begin(), known.end(), [&](const TensorType &type) { return type.name == name; })) {
      std::vector<std::string_view> names;
      for (const TensorType &type : known)
        names.push_back(type.name);
      return userError(
          fmt::format("'{}' has no {} '{}'; its {}s are {}", function.name, kind, name, kind, fmt::join(names, ", ")));
    }
    if (std::any_of(views.begin(), views.end(), [&](const TensorView &view) { return view.name == name; }))
      return userError(fmt::format("{} '{}' of '{}' is there twice", kind, name, function.name));
    bool isKnown = (tensor.type >= XF_F32 && tensor.type <= XF_I64) || tensor.type == XF_BF16;
    if (!isKnown || tensor.rank < 0 || (tensor.rank > 0 && !tensor.shape) ||
        std::any_of(tensor.shape, tensor.shape + tensor.rank, [](int64_t extent) { return extent < 0; }))
      return userError(
          fmt::format("expected {} '{}' of '{}' to have a type and extents from 0 on", kind, name, function.name));
    TensorView view{name, ElementType(tensor.type), {tensor.shape, tensor.shape + tensor.rank}, tensor.data};
    if ((!tensor.data && view.elements() > 0) || uintptr_t(tensor.data) % byteWidth(view.type))
      return userError(fmt::format("expected {} '{}' of '{}' to have memory aligned to {} bytes, but got {}", kind,
                                   name, function.name, byteWidth(view.type), fmt::ptr(tensor.data)));
    views.push_back(std::move(view));
  }
  return views;
}

Expected<Model::Call> Model::check(std::string_view name, std::span<const xf_tensor> inputs,
                                   std::span<const xf_tensor> outputs) {
  Call call;
  call.function = name == "prepare" ? nullptr : session.program.function(name);
  if (!call.function) {
    std::vector<std::string_view> names;
    for (const xf_function &each : std::span(description.description.functions, description.description.num_functions))
      names.push_back(each.name);
    return userError(
        fmt::format("'{}' has no function '{}'; it has {}", session.program.name, name, fmt::join(names, ", ")));
  }
  const Function &function = *call.function;
  Expected<std::vector<TensorView>> given = viewsOf(function, "input", function.inputs, inputs);
  if (!given)
    return given.error();
  call.inputs = std::move(*given);
  for (TensorView &input : call.inputs)
    if (input.type == ElementType::I64 && function.inputs[*function.input(input.name)].type == ElementType::I32) {
      Expected<OwnedTensor> copy = OwnedTensor::copy(input, ElementType::I32);
      if (!copy)
        return copy.error();
      input.type = ElementType::I32;
      input.data = call.narrowed.emplace_back(std::move(*copy)).view().data;
    }
  random = {int64_t(progress.seed), progress.step + 1};
  hyper = progress.hyper.values();
  for (const TensorView &own : {TensorView{"random", ElementType::I64, {2}, random.data()},
                                TensorView{"hyper", ElementType::F32, {int64_t(hyper.size())}, hyper.data()}})
    if (function.input(own.name) && std::none_of(call.inputs.begin(), call.inputs.end(),
                                                 [&](const TensorView &input) { return input.name == own.name; }))
      call.inputs.push_back(own);
  Expected<std::vector<int64_t>> dims = session.executor().bind(function, call.inputs);
  if (!dims)
    return dims.error();
  call.dims = std::move(*dims);
  if (Expected<void> valid = checkRequirements(function, call.inputs, call.dims); !valid)
    return valid.error();
  Expected<std::vector<TensorView>> wanted = viewsOf(function, "output", function.outputs, outputs);
  if (!wanted)
    return wanted.error();
  call.outputs = std::move(*wanted);
  for (const TensorView &output : call.outputs) {
    const TensorType &type = function.outputs[*function.output(output.name)];
    std::vector<int64_t> shape = type.shapeAt(call.dims);
    if (output.type != type.type || output.shape != shape)
      return userError(fmt::format("expected output '{}' of '{}' to be {} {}, but got {} {}", output.name,
                                   function.name, xf::runtime::name(type.type), formatShape(shape),
                                   xf::runtime::name(output.type), formatShape(output.shape)));
  }
  return call;
}

Expected<void> Model::bind(std::string_view name, std::span<const xf_tensor> inputs, int64_t *dims) {
  Expected<Call> call = check(name, inputs, {});
  if (!call)
    return call.error();
  if (!dims && !call->dims.empty())
    return nowhereToWrite("dims");
  std::copy(call->dims.begin(), call->dims.end(), dims);
  return {};
}

Expected<void> Model::makeReady(const Function &function) {
  if (Expected<void> room = state.reserve(
          session.program,
          {.gradients = function.usesGradients, .moments = function.usesMoments, .prepared = function.usesPrepared});
      !room)
    return room;
  if (function.usesPrepared && preparedIsOld) {
    if (Expected<void> prepared = session.prepare(state); !prepared)
      return prepared;
    preparedIsOld = false;
  }
  return {};
}

Expected<void> Model::call(std::string_view name, std::span<const xf_tensor> inputs,
                           std::span<const xf_tensor> outputs) {
  Expected<Call> call = check(name, inputs, outputs);
  if (!call)
    return call.error();
  const Function &function = *call->function;
  if (Expected<void> ready = makeReady(function); !ready)
    return ready;
  // Who may look at gradients and moments may write them; of parameters `changed` tells.
  for (int which : {XF_GRADIENT, XF_FIRST_MOMENT, XF_SECOND_MOMENT})
    if (isShown[which])
      if (Expected<float *> home = arena(which).change(); !home)
        return home.error();
  if (Expected<void> ran = session.executor().run(function, call->inputs, call->outputs, state.arenas()); !ran)
    return ran;
  if (function.usesMoments) { // a step
    ++progress.step;
    preparedIsOld = true;
  }
  return {};
}

Expected<void> Model::array(xf_array which, const char *name, float **data) {
  if (which < XF_PARAMETER || which > XF_SECOND_MOMENT)
    return userError(fmt::format("expected an array from 0 to {}, but got {}", int(XF_SECOND_MOMENT), int(which)));
  if (!name) {
    isShown[which] = false;
    return {};
  }
  auto parameter = std::find_if(session.program.parameters.begin(), session.program.parameters.end(),
                                [&](const Parameter &each) { return each.name == name; });
  if (parameter == session.program.parameters.end())
    return userError(fmt::format("'{}' has no parameter '{}'", session.program.name, name));
  if (!data)
    return nowhereToWrite("data");
  const std::vector<Function> &functions = session.program.functions;
  if (which == XF_GRADIENT && std::ranges::none_of(functions, &Function::usesGradients))
    return userError(fmt::format("'{}' has no gradients: none of its functions computes them", session.program.name));
  if (Expected<void> room =
          state.reserve(session.program, {.gradients = which == XF_GRADIENT, .moments = which > XF_GRADIENT});
      !room)
    return room;
  if (Expected<const float *> home = arena(which).read(); !home)
    return home.error();
  *data = arena(which).here() + parameter->offset;
  isShown[which] = true;
  return {};
}

void Model::changed() {
  preparedIsOld = true;
  if (isShown[XF_PARAMETER])
    (void)bool(arena(XF_PARAMETER).change()); // they are at home
}

Expected<void> Model::show(Expected<void> done) {
  for (int which = XF_PARAMETER; which <= XF_SECOND_MOMENT; ++which)
    if (isShown[which])
      if (Expected<const float *> home = arena(which).read(); !home && done)
        done = home.error();
  return done;
}

Expected<void> Model::initialize(uint64_t seed) {
  if (Expected<void> drawn = state.initialize(session.program, seed); !drawn)
    return drawn;
  if (Expected<void> cleared = state.clearMoments(); !cleared)
    return cleared;
  progress.seed = seed;
  progress.step = 0;
  preparedIsOld = true;
  return {};
}

Expected<void> Model::load(const Safetensors &file) {
  if (isCheckpoint(file))
    if (Expected<void> room = state.reserve(session.program, {.moments = true}); !room)
      return room;
  Progress fresh;
  fresh.seed = progress.seed;
  fresh.hyper = progress.hyper;
  Expected<Progress> loaded = loadState(session.program, file, state, std::move(fresh));
  if (!loaded)
    return loaded.error();
  progress = std::move(*loaded);
  preparedIsOld = true;
  return {};
}

Expected<void> Model::load(const std::string &path) {
  if (path.empty()) // which would mean the embedded weights
    return userError("expected weights to be a file (.safetensors) or the folder of a run, but got ''");
  Expected<Safetensors> file = session.openModel(path);
  return file ? load(*file) : file.error();
}

Expected<void> Model::save(const std::string &path, bool weightsOnly) {
  if (Expected<void> room = state.reserve(session.program, {.moments = !weightsOnly}); !room)
    return room;
  std::vector<std::string> names;
  auto views = weightsOnly ? state.parameterViews(session.program) : state.trainingViews(session.program, names);
  if (!views)
    return views.error();
  Safetensors::Metadata metadata = session.identity();
  if (!weightsOnly)
    metadata.merge(progress.metadata());
  return writeSafetensors(path, *views, metadata);
}

Expected<void> Model::visitSetting(std::string_view name, auto use) {
  Expected<void> result = userError("");
  bool found = false;
  forEachSetting(progress, session.threads, [&](std::string_view each, auto &setting) {
    if (each == name) {
      found = true;
      result = use(setting);
    }
  });
  if (found)
    return result;
  std::span names(description.description.settings, description.description.num_settings);
  return userError(fmt::format("no setting '{}'; the settings are {}", name, fmt::join(names, ", ")));
}

Expected<void> Model::set(std::string_view name, std::string_view text) {
  int threads = session.threads;
  Expected<void> done = visitSetting(name, [&](auto &setting) -> Expected<void> {
    if constexpr (std::is_same_v<decltype(setting), std::string &>) {
      if (std::find(scheduleNames.begin(), scheduleNames.end(), text) == scheduleNames.end())
        return userError(
            fmt::format("expected '{}' to be {}, but got '{}'", name, fmt::join(scheduleNames, " or "), text));
      setting = text;
      return {};
    } else {
      auto value = parseNumber<std::remove_reference_t<decltype(setting)>>(name, text);
      if (!value)
        return value.error();
      if (name == "threads" && double(*value) > Team::most)
        return userError(fmt::format("expected 'threads' to be at most {}, but got {}", Team::most, text));
      if (const char *expected = expectedOfSetting(name, double(*value)))
        return userError(fmt::format("expected '{}' to be {}, but got '{}'", name, expected, text));
      setting = *value;
      return {};
    }
  });
  if (threads != session.threads)
    session.setThreads(session.threads); // which are started when they are needed
  return done;
}

Expected<void> Model::get(std::string_view name, const char **value) {
  if (!value)
    return nowhereToWrite("value");
  return visitSetting(name, [&](auto &current) -> Expected<void> {
    *value = *give({fmt::format("{}", current)});
    return {};
  });
}

const char *const *Model::give(std::vector<std::string> texts) {
  Given &mine = given[std::this_thread::get_id()];
  mine.texts = std::move(texts);
  mine.pointers.clear();
  for (const std::string &text : mine.texts)
    mine.pointers.push_back(text.c_str());
  return mine.pointers.data();
}

Expected<void> Model::takeWarnings(const char **text) {
  if (!text)
    return nowhereToWrite("text");
  *text = warnings.empty() ? nullptr : *give({std::exchange(warnings, {})});
  return {};
}

Error Model::cannot(std::string_view what, std::string_view kind, std::string_view needed) const {
  std::vector<std::string_view> names;
  for (const xf_function &each : std::span(description.description.functions, description.description.num_functions))
    names.push_back(each.name);
  return userError(fmt::format("'{}' can't {}: expected a {} with {}, but it is a {} with {}", session.program.name,
                               what, kind, needed, session.program.kind, fmt::join(names, ", ")));
}

Expected<LibraryText *> Model::openedText() {
  if (!text) {
    Expected<std::unique_ptr<LibraryText>> opened = openText(session);
    if (!opened)
      return opened.error();
    text = std::move(*opened);
  }
  return text.get();
}

Expected<void> Model::translate(std::span<const char *const> lines, const char *options,
                                const char *const **translations) {
  if (!session.translates())
    return cannot("translate", "sequence_to_sequence", "encode and decode");
  if (!translations)
    return nowhereToWrite("translations");
  if (!lines.data() && !lines.empty())
    return userError(fmt::format("expected {} lines, but got NULL", lines.size()));
  Expected<LibraryText *> opened = openedText();
  if (!opened)
    return opened.error();
  for (const char *name : {"encode", "decode"})
    if (Expected<void> ready = makeReady(*session.program.function(name)); !ready)
      return ready;
  Expected<std::vector<std::string>> texts = (*opened)->translate(state, lines, options ? options : "");
  if (!texts)
    return texts.error();
  *translations = give(std::move(*texts));
  return {};
}

Expected<void> Model::generate(const char *prompt, const char *options, const char **text) {
  if (!session.generates())
    return cannot("generate", "language_model", "decode");
  if (!text)
    return nowhereToWrite("text");
  Expected<LibraryText *> opened = openedText();
  if (!opened)
    return opened.error();
  if (Expected<void> ready = makeReady(*session.program.function("decode")); !ready)
    return ready;
  Expected<std::string> generated = (*opened)->generate(state, prompt ? prompt : "", options ? options : "");
  if (!generated)
    return generated.error();
  *text = *give({std::move(*generated)});
  return {};
}

Expected<const Vocabulary *> Model::vocabularyOf(xf_side side) {
  if (side != XF_SOURCE && side != XF_TARGET)
    return userError(fmt::format("expected a side from 0 to {}, but got {}", int(XF_TARGET), int(side)));
  Expected<LibraryText *> opened = openedText();
  if (!opened)
    return opened.error();
  return &(*opened)->vocabulary(side == XF_SOURCE);
}

Expected<void> Model::vocabulary(xf_side side, xf_vocabulary *described) {
  Expected<const Vocabulary *> found = vocabularyOf(side);
  if (!found)
    return found.error();
  if (!described)
    return nowhereToWrite("vocabulary");
  *described = {int32_t((*found)->size()), (*found)->unknown(), (*found)->bos(), (*found)->eos()};
  return {};
}

Expected<void> Model::encode(xf_side side, const char *line, const int32_t **tokens, int64_t *numTokens) {
  Expected<const Vocabulary *> found = vocabularyOf(side);
  if (!found)
    return found.error();
  if (!tokens || !numTokens)
    return nowhereToWrite(tokens ? "num_tokens" : "tokens");
  Expected<std::vector<int32_t>> ids = text->encode(**found, line ? line : "");
  if (!ids)
    return ids.error();
  std::vector<int32_t> &mine = given[std::this_thread::get_id()].tokens;
  mine = std::move(*ids);
  *tokens = mine.data();
  *numTokens = int64_t(mine.size());
  return {};
}

Expected<void> Model::decode(xf_side side, std::span<const int32_t> tokens, const char **text) {
  Expected<const Vocabulary *> found = vocabularyOf(side);
  if (!found)
    return found.error();
  if (!text)
    return nowhereToWrite("text");
  if (!tokens.data() && !tokens.empty())
    return userError(fmt::format("expected {} tokens, but got NULL", tokens.size()));
  *text = *give({(*found)->decode(tokens)});
  return {};
}

/// What this thread's last call that failed had to say, as far as there is room. Nothing has to destroy it: with a
/// destructor to run at a thread's end a library stays loaded when it is closed, in place of what its path is then.
static thread_local char message[8192];

static const char *keep(std::string_view text) {
  size_t size = std::min(text.size(), sizeof message - 1);
  while (size < text.size() && size > 0 && (text[size] & 0xC0) == 0x80) // not inside a character
    --size;
  message[text.copy(message, size)] = 0;
  return message;
}

/// Runs `body`, and turns whatever goes wrong into text.
template <typename Body> const char *guarded(Body body) {
  static constexpr char isOurs[] = "{}\nthis is a defect of xf, not of your input";
  try {
    try {
      Expected<void> done = body();
      if (done)
        return nullptr;
      const auto &[text, exitCode] = done.error();
      return keep(exitCode == 2 ? fmt::format(isOurs, text) : text);
    } catch (const Raised &raised) {
      return keep(raised.error.message);
    } catch (const std::bad_alloc &) {
      return keep(fmt::format("not enough memory; {} is available", formatBytes(availableMemory())));
    } catch (const std::exception &unexpected) {
      return keep(fmt::format(isOurs, unexpected.what()));
    }
  } catch (...) {
    return "not enough memory for a message";
  }
}

/// `body(model)`, alone with it.
template <typename Body> const char *locked(xf_model *handle, Body body) {
  return guarded([&]() -> Expected<void> {
    if (!handle)
      return userError("expected a model, but got NULL");
    Model &model = *static_cast<Model *>(handle);
    if (getpid() != model.process)
      return model.isElsewhere(); // and another thread may have held its lock
    std::lock_guard guard(model.lock);
    return body(model);
  });
}

static std::string_view text(const char *string) { return string ? string : ""; }

const xf_model methods = {
    nullptr,
    [](xf_model *handle, const char *function, const xf_tensor *inputs, int32_t numInputs, const xf_tensor *outputs,
       int32_t numOutputs) {
      return locked(handle, [&](Model &model) {
        return model.show(model.call(text(function), {inputs, size_t(std::max(numInputs, 0))},
                                     {outputs, size_t(std::max(numOutputs, 0))}));
      });
    },
    [](xf_model *handle, const char *function, const xf_tensor *inputs, int32_t numInputs, int64_t *dims) {
      return locked(handle, [&](Model &model) {
        return model.bind(text(function), {inputs, size_t(std::max(numInputs, 0))}, dims);
      });
    },
    [](xf_model *handle, xf_array which, const char *parameter, float **data) {
      return locked(handle, [&](Model &model) { return model.array(which, parameter, data); });
    },
    [](xf_model *handle) {
      locked(handle, [](Model &model) {
        model.changed();
        return Expected<void>();
      });
    },
    [](xf_model *handle, uint64_t seed) {
      return locked(handle, [&](Model &model) { return model.show(model.initialize(seed)); });
    },
    [](xf_model *handle, const char *path) {
      return locked(handle, [&](Model &model) { return model.show(model.load(std::string(text(path)))); });
    },
    [](xf_model *handle, const char *path, int32_t weightsOnly) {
      return locked(handle, [&](Model &model) { return model.save(std::string(text(path)), weightsOnly); });
    },
    [](xf_model *handle, const char *name, const char *value) {
      return locked(handle, [&](Model &model) { return model.set(text(name), text(value)); });
    },
    [](xf_model *handle, const char *name, const char **value) {
      return locked(handle, [&](Model &model) { return model.get(text(name), value); });
    },
    [](xf_model *handle) {
      // In a child there are no threads to end, and no GPU to free; its memory goes with the process.
      if (auto *model = static_cast<Model *>(handle); model && getpid() == model->process)
        delete model;
    },
    [](xf_model *handle, const char **text) {
      return locked(handle, [&](Model &model) { return model.takeWarnings(text); });
    },
    [](xf_model *handle, const char *const *lines, int64_t numLines, const char *options,
       const char *const **translations) {
      return locked(handle, [&](Model &model) {
        return model.translate({lines, size_t(std::max<int64_t>(numLines, 0))}, options, translations);
      });
    },
    [](xf_model *handle, const char *prompt, const char *options, const char **text) {
      return locked(handle, [&](Model &model) { return model.generate(prompt, options, text); });
    },
    [](xf_model *handle, xf_side side, xf_vocabulary *vocabulary) {
      return locked(handle, [&](Model &model) { return model.vocabulary(side, vocabulary); });
    },
    [](xf_model *handle, xf_side side, const char *line, const int32_t **tokens, int64_t *numTokens) {
      return locked(handle, [&](Model &model) { return model.encode(side, line, tokens, numTokens); });
    },
    [](xf_model *handle, xf_side side, const int32_t *tokens, int64_t numTokens, const char **text) {
      return locked(handle, [&](Model &model) {
        return model.decode(side, {tokens, size_t(std::max<int64_t>(numTokens, 0))}, text);
      });
    },
};
} // namespace

extern "C" const char *xf_library_open_on(const char *device, const char *weights, xf_model **model) {
  return guarded([&]() -> Expected<void> {
    if (!model)
      return nowhereToWrite("model");
    *model = nullptr;
    Expected<std::unique_ptr<Model>> opened = Model::open(device, weights);
    if (!opened)
      return opened.error();
    *model = opened->release();
    return {};
  });
}

extern "C" const char *xf_library_open(const char *weights, xf_model **model) {
  return xf_library_open_on(nullptr, weights, model);
}
