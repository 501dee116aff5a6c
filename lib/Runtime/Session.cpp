//===- Session.cpp - A model ready to be run ------------------------------------------===//
// Start-up checks and where parameters come from.
//===--------------------------------------------------------------------------------===//
#include "xf/Runtime/Session.h"
#include "xf/Runtime/Checkpoint.h"
#include "xf/Runtime/Checksum.h"
#include "xf/Runtime/Files.h"
#include "xf/Runtime/Json.h"
#include "xf/Runtime/Loading.h"

#include <filesystem>
#include <fmt/format.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

using namespace xf::runtime;
using nlohmann::json;

Executor &Session::executor() {
  if (!runner) {
    team = std::make_unique<Team>(program.gpu.empty() ? threads : 1);
    runner = std::make_unique<Executor>(program, kernels, *team, images, memory);
  }
  return *runner;
}

void Session::setThreads(int count) {
  threads = count;
  if (!program.gpu.empty()) // which has the model's arrays
    return;
  runner.reset();
  team.reset();
}

Error Session::hasNoDevice(std::string_view asked) const {
  return userError(fmt::format("this {} computes on {}, but got '{}'{}", program.form(),
                               program.hasTwin ? "cuda or cpu" : device + " alone", asked,
                               program.hasTwin ? "" : "; compile with --target=cpu,cuda to choose"));
}

Expected<void> Session::startProfile() {
  if (profile.empty())
    return {};
  if (std::string folder = std::filesystem::path(profile).parent_path(); profile != "-")
    if (Expected<void> writable = makeWritableFolder(folder.empty() ? "." : folder); !writable)
      return writable;
  executor().profile(report);
  Expected<MachineLimits> limits = executor().limits();
  if (!limits)
    return limits.error();
  report.limits = *limits;
  return {};
}

Expected<void> Session::writeProfile() const {
  if (profile.empty())
    return {};
  if (profile != "-")
    return writeFile(profile, report.html());
  say("{}", report.text());
  return {};
}

std::optional<std::span<const char>> Session::blob(std::string_view name) const {
  for (const XfBlob &blob : blobs)
    if (name == blob.name)
      return std::span(static_cast<const char *>(blob.data), size_t(blob.size));
  return std::nullopt;
}

Safetensors::Metadata Session::identity() const {
  json keys = program.model.is_object() ? program.model : json::object();
  Hyper hyper;
  forEachHyper(hyper, hyper, [&](const char *name, auto &, const auto &) { keys.erase(name); });
  // Of training, of the search for a translation, and what other keys or shapes say.
  for (const char *name : {"dropout",
                           "attention_dropout",
                           "activation_dropout",
                           "smoothing",
                           "init",
                           "beam",
                           "length_penalty",
                           "extra_length",
                           "max_tokens",
                           "unit_length",
                           "max_length",
                           "search",
                           "suppress_tokens",
                           "renormalize",
                           "temperature",
                           "top_k",
                           "top_p",
                           "text",
                           "begins",
                           "preset",
                           "hugging_face",
                           "vocabulary"})
    keys.erase(name);
  if (program.kind == "encoder") // whose states are what it computes
    keys.erase("pooling");
  if (keys.contains("heads") && keys.value("key_value_heads", json()) == keys["heads"]) // as without the key
    keys.erase("key_value_heads");
  // Sizes of what other positions have.
  for (auto [name, owner] : {std::pair("max_positions", "learned"), {"max_distance", "relative"}})
    if (keys.value("positions", owner) != owner)
      keys.erase(name);
  for (const char *name : {"vocabulary", "source_vocabulary", "target_vocabulary"})
    if (auto bytes = blob(name)) {
      Checksum checksum;
      checksum.add(*bytes);
      keys[std::string(name) + "_checksum"] = checksum.text();
    }
  return {{"xf.model", keys.dump()}};
}

std::vector<std::string> Session::differences(const Safetensors &file) const {
  std::vector<std::string> found;
  auto text = file.metadata().find("xf.model");
  if (text == file.metadata().end())
    return found;
  json theirs = parseJson(text->second);
  json ours = json::parse(identity().at("xf.model"));
  if (!theirs.is_object())
    return found;
  bool isEdited = false;
  for (const auto &[key, value] : theirs.items()) {
    auto own = ours.find(key);
    if (own == ours.end() || *own == value) // what only one of them has is told by shapes, or was no key then
      continue;
    if (key == "computes") {
      isEdited = true;
      continue;
    }
    constexpr std::string_view suffix = "_vocabulary_checksum";
    std::string side = key.ends_with(suffix) ? key.substr(0, key.size() - suffix.size()) + " " : "";
    found.push_back(key.ends_with("vocabulary_checksum")
                        ? fmt::format("another {}vocabulary", side)
                        : fmt::format("{}={} where this {} has {}", key, value.dump(), program.form(), own->dump()));
  }
  if (isEdited && found.empty()) // no other key says it
    found.push_back("other operations");
  return found;
}

Expected<Safetensors> Session::openModel(const std::string &model) const {
  if (model.empty()) {
    if (auto weights = blob("weights"))
      return Safetensors::parse(*weights, "the embedded weights", /*isMapped=*/true);
    return userError("this executable was compiled without weights; pass --model=RUN or --model=FILE.safetensors");
  }
  Expected<std::string> path = modelFile(model);
  if (!path)
    return path.error();
  Expected<Safetensors> file = Safetensors::open(*path);
  if (file)
    if (std::vector<std::string> others = differences(*file); !others.empty())
      warn(fmt::format("'{}' was trained with {}", *path, fmt::join(others, ", ")));
  return file;
}

Expected<void> Session::prepare(const ModelState &model) {
  const Function *function = program.function("prepare");
  return function && !model.arenas().prepared.isEmpty() ? executor().run(*function, {}, {}, model.arenas())
                                                        : Expected<void>();
}

Expected<ModelState> Session::loadModel(const std::string &model, std::initializer_list<std::string_view> names) {
  std::vector<const Function *> functions;
  ArenaNeeds needs;
  for (std::string_view name : names)
    if (const Function *function = program.function(name)) {
      functions.push_back(function);
      needs.prepared |= function->usesPrepared;
    }
  Expected<Safetensors> file = openModel(model);
  if (!file)
    return file.error();
  Expected<ModelState> state = ModelState::allocate(program, needs);
  if (!state)
    return state;
  Expected<void> loaded = load(*state, functions, *file);
  return loaded ? std::move(state) : loaded.error();
}

Expected<void> Session::load(const ModelState &model, std::span<const Function *const> functions,
                             const Safetensors &file) {
  if (Expected<void> same = checkParameters(program.name, program.parameters, file); !same)
    return same;
  return load(model, functions,
              [&](size_t parameter, float *to) { file.moveReals(*file.find(program.parameters[parameter].name), to); });
}

Expected<void> Session::load(const ModelState &model, std::span<const Function *const> functions, const Fill &fill) {
  Expected<float *> array = model.arenas().parameters.change();
  if (!array)
    return array.error();
  auto get = [&](size_t parameter) { fill(parameter, *array + program.parameters[parameter].offset); };
  if (executor().isForDevice()) {
    for (size_t parameter = 0; parameter < program.parameters.size(); ++parameter)
      get(parameter);
    return prepare(model);
  }
  Loading loading(program, functions);
  if (std::ranges::any_of(loading.steps, [](const Loading::Step &step) { return !step.drops.empty(); }))
    model.arenas().parameters.takeSmallPages();
  std::ranges::for_each(loading.first, get);
  if (loading.steps.empty())
    return {};
  const Function &preparing = *program.function("prepare");
  return executor().observe(preparing, {}, {}, model.arenas(), [&](const Executor::Operands &operands, bool done) {
    const Loading::Step &step = loading.steps[&operands.dispatch - preparing.dispatches.data()];
    if (!done)
      return void(std::ranges::for_each(step.loads, get));
    for (size_t parameter : step.drops)
      model.arenas().parameters.drop(program.parameters[parameter].offset, program.parameters[parameter].elements());
  });
}

int64_t Session::least(Requirement::Kind kind, std::initializer_list<std::string_view> names) const {
  int64_t least = 0;
  for (const Function &function : program.functions)
    for (const Requirement &requirement : function.requirements) {
      bool isNumber = std::all_of(requirement.size.terms.begin() + 1, requirement.size.terms.end(),
                                  [](int64_t coefficient) { return coefficient == 0; });
      if (requirement.kind == kind && isNumber &&
          std::ranges::find(names, function.inputs[requirement.input].name) != names.end())
        least = least ? std::min(least, requirement.size.terms[0]) : requirement.size.terms[0];
    }
  return least;
}

int64_t Session::vocabularySize(std::string_view which) const {
  int64_t source = which == "source" ? least(Requirement::Below, {"source_ids"}) : 0;
  if (program.kind == "classifier") // whose labels are no tokens
    return least(Requirement::Below, {"ids"});
  return source ? source : least(Requirement::Below, {"target_ids", "labels", "ids"});
}

#if defined(__x86_64__)
namespace {
/// Where CPUID shows a feature of LLVM's name. `state`: bits of XCR0 the system must save.
struct Feature {
  const char *name;
  unsigned leaf;
  enum Register { EAX, EBX, ECX, EDX } reg;
  int bit;
  unsigned state = 0;
};
constexpr unsigned ymm = 0x6, zmm = 0xe6;
constexpr Feature features[] = {
    {"sse2", 1, Feature::EDX, 26},
    {"sse3", 1, Feature::ECX, 0},
    {"ssse3", 1, Feature::ECX, 9},
    {"fma", 1, Feature::ECX, 12, ymm},
    {"cx16", 1, Feature::ECX, 13},
    {"sse4.1", 1, Feature::ECX, 19},
    {"sse4.2", 1, Feature::ECX, 20},
    {"movbe", 1, Feature::ECX, 22},
    {"popcnt", 1, Feature::ECX, 23},
    {"avx", 1, Feature::ECX, 28, ymm},
    {"f16c", 1, Feature::ECX, 29, ymm},
    {"bmi", 7, Feature::EBX, 3},
    {"avx2", 7, Feature::EBX, 5, ymm},
    {"bmi2", 7, Feature::EBX, 8},
    {"avx512f", 7, Feature::EBX, 16, zmm},
    {"avx512dq", 7, Feature::EBX, 17, zmm},
    {"adx", 7, Feature::EBX, 19},
    {"avx512ifma", 7, Feature::EBX, 21, zmm},
    {"avx512cd", 7, Feature::EBX, 28, zmm},
    {"sha", 7, Feature::EBX, 29},
    {"avx512bw", 7, Feature::EBX, 30, zmm},
    {"avx512vl", 7, Feature::EBX, 31, zmm},
    {"avx512vbmi", 7, Feature::ECX, 1, zmm},
    {"avx512vbmi2", 7, Feature::ECX, 6, zmm},
    {"gfni", 7, Feature::ECX, 8},
    {"vaes", 7, Feature::ECX, 9, ymm},
    {"vpclmulqdq", 7, Feature::ECX, 10, ymm},
    {"avx512vnni", 7, Feature::ECX, 11, zmm},
    {"avx512bitalg", 7, Feature::ECX, 12, zmm},
    {"avx512vpopcntdq", 7, Feature::ECX, 14, zmm},
    {"lzcnt", 0x80000001, Feature::ECX, 5},
};

bool present(const Feature &feature, unsigned long long savedState) {
  unsigned registers[4] = {};
  if (!__get_cpuid_count(feature.leaf, 0, &registers[0], &registers[1], &registers[2], &registers[3]))
    return false;
  return (registers[feature.reg] >> feature.bit & 1) && (savedState & feature.state) == feature.state;
}

/// XCR0: which vector registers the system saves; 0 where it says nothing.
unsigned long long savedState() {
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1))
    return 0;
  unsigned low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low | (unsigned long long)high << 32;
}
} // namespace

Expected<void> xf::runtime::checkProcessor(const Program &program) {
  if (!program.triple.starts_with("x86_64"))
    return userError(
        fmt::format("this {} was compiled for '{}', this machine is x86_64", program.form(), program.triple));
  if (!program.gpu.empty())
    return {}; // it has no kernels for a processor
  std::vector<std::string> lacking;
  unsigned long long state = savedState();
  for (const std::string &name : program.features)
    // A feature without an entry can't be looked for.
    if (std::none_of(std::begin(features), std::end(features),
                     [&](const Feature &feature) { return name == feature.name && present(feature, state); }))
      lacking.push_back(name);
  if (lacking.empty())
    return {};
  return userError(fmt::format("this {} was compiled for the CPU '{}', this machine lacks {}; compile with an older "
                               "--cpu, such as x86-64-v2",
                               program.form(), program.cpu, fmt::join(lacking, ", ")));
}
#else
Expected<void> xf::runtime::checkProcessor(const Program &) { return {}; }
#endif

std::string xf::runtime::withCommas(int64_t value) {
  std::string digits = std::to_string(value);
  for (int64_t place = int64_t(digits.size()) - 3; place > (value < 0 ? 1 : 0); place -= 3)
    digits.insert(place, ",");
  return digits;
}
