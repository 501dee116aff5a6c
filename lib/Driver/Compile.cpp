//===- Compile.cpp - what xf-compile does ---------------------------------===//
// Takes a model through the stages, from any border to any other, and writes what was asked for: beside the output and
// renamed, so that nothing half-written is ever seen.
//===----------------------------------------------------------------------===//
#include "xf/Driver/Compile.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "xf/Driver/Check.h"
#include "xf/Driver/Diagnostics.h"
#include "xf/Driver/Embedded.h"
#include "xf/Driver/Functions.h"
#include "xf/Driver/Header.h"
#include "xf/Driver/Job.h"
#include "xf/Driver/Reproducer.h"
#include "xf/Driver/Tune.h"
#include "xf/Driver/WriteFile.h"
#include "xf/Frontend/Frontend.h"
#include "xf/InitAll.h"
#include "xf/Kernels/Planned.h"
#include "xf/Pipelines/Stages.h"
#include "xf/Runtime/Needs.h"
#include "xf/Runtime/Parameters.h"
#include "xf/Runtime/Report.h"
#include "xf/Target/Target.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Path.h"
#include <chrono>
#include <deque>
#include <limits>

namespace mlir::xf {
namespace {
constexpr int userMistake = 1, ourMistake = 2;

int fail(int code, const llvm::Twine &message) {
  llvm::errs() << "xf-compile: error: " << message << "\n";
  return code;
}
int fail(const ::xf::runtime::Error &error) { return fail(error.exitCode, error.message); }

class Compilation {
public:
  explicit Compilation(const ::xf::CompileOptions &options) : options(options) {}

  int run() {
    llvm::Expected<Job> parsed = parseJob(options);
    if (!parsed)
      return fail(userMistake, llvm::toString(parsed.takeError()));
    job = std::move(*parsed);
    DialectRegistry registry;
    registerAllDialects(registry);
    MLIRContext context(registry);
    context.printOpOnDiagnostic(options.verbose); // a model may be long, and is not yet what it will be
    DiagnosticPrinter printer(context, llvm::errs());
    diagnostics = &printer;
    auto start = std::chrono::steady_clock::now();
    OwningOpRef<ModuleOp> module;
    if (int code = load(context, module))
      return code;
    record("load", start);
    if (options.printInput)
      return print(*module);
    if (!options.check.empty())
      return check(module);

    for (int i = static_cast<int>(job.from); i <= static_cast<int>(job.to); ++i) {
      auto stage = static_cast<Stage>(i);
      start = std::chrono::steady_clock::now();
      // A preset's parameters are declared by stage input.
      if (stage == std::max(job.from, Stage::autodiff))
        if (int code = loadWeights(*module))
          return code;
      if (stage == Stage::autodiff)
        if (int code = setRecompute(*module))
          return code;
      keepForProcessor(*module, stage);
      if (stage == Stage::schedule) {
        if (int code = setSchedules(*module))
          return code;
        if (!options.tune.empty() && options.output.empty() && options.report.empty())
          return 0;
      }
      // From here on kernels go their own ways, unless someone wants to see them together.
      bool isSeen = !options.dumpStages.empty(), isLast = stage == Stage::schedule && job.isForGPU();
      if (stage == Stage::link || (stage >= Stage::schedule && job.to == Stage::link && (!isSeen || isLast))) {
        if (isSeen && isLast) {
          OwningOpRef<ModuleOp> scheduled = module->clone();
          if (int code = runStage(*scheduled, stage))
            return code;
          if (int code = dump(*scheduled, i))
            return code;
        }
        if (int code = link(module, stage))
          return code;
        break;
      }
      if (int code = runStage(*module, stage))
        return code;
      record(stageName(stage), start);
      if (!options.dumpStages.empty())
        if (int code = dump(*module, i))
          return code;
    }
    if (!options.fit.empty()) {
      if (int code = fit(*module))
        return code;
    } else if (job.to != Stage::link) {
      if (int code = write(*module))
        return code;
    }
    if (options.timing)
      for (const Time &time : times)
        llvm::errs() << llvm::format("%-10s %8.3f s%s\n", time.name.c_str(), time.seconds, time.note.c_str());
    return 0;
  }

private:
  int load(MLIRContext &context, OwningOpRef<ModuleOp> &module) {
    input = options.input;
    if (!options.check.empty() && job.from == Stage::input)
      if (std::optional<std::string> path = dumped(Stage::input))
        input = *path;
    if (isHuggingFace(input))
      if (int code = openFolder())
        return code;
    if (auto opened = files.openVocabularies(folder ? &*folder : nullptr, input); !opened)
      return fail(opened.error());
    module = folder ? parseModel(folderText, input, context) : loadModel(input, context);
    if (!module)
      return userMistake;
    if (input == options.input)
      if (int code = checkForm(*module))
        return code;
    if (job.from == Stage::target)
      if (int code = checkTarget(*module, input))
        return code;
    // After `plan` entry points are part of the program; before it they are functions that say so.
    if (job.from <= Stage::outline && llvm::none_of(module->getOps<func::FuncOp>(), [](func::FuncOp function) {
          return function->hasAttr("xf.entry");
        }))
      return fail(userMistake, "expected '" + options.input +
                                   "' to have an entry point (a function with the attribute "
                                   "'xf.entry'), but it has none");
    return 0;
  }

  /// Reads a folder of Hugging Face's.
  int openFolder() {
    auto read = readHuggingFace(input, options.weights, /*withVocabulary=*/options.vocab.empty());
    if (!read)
      return fail(read.error());
    folder = std::move(*read);
    llvm::Expected<std::string> text = modelText(folder->model);
    if (!text)
      return fail(userMistake, folder->model.origin + ": " + llvm::toString(text.takeError()));
    folderText = *text;
    for (const std::string &warning : folder->warnings)
      llvm::errs() << "xf-compile: warning: " << warning << "\n";
    for (const std::string &note : options.verbose ? folder->notes : std::vector<std::string>())
      llvm::errs() << "xf-compile: " << note << "\n";
    // Commands that need weights would ask for them by names that only this compiler can map.
    if (job.to == Stage::link && !options.output.empty() && !options.printInput && folder->weights.empty() &&
        options.weights.empty())
      return fail(userMistake,
                  "expected weights in '" + input +
                      "' (model.safetensors, or model.safetensors.index.json and what it names), but there "
                      "are none; --weights=FILE.safetensors gives them, and --print-input, --compile-to "
                      "and --fit need none");
    return 0;
  }

  /// Whether it is the stage to begin with that takes this module next.
  int checkForm(ModuleOp module) {
    auto [first, last] = nextStages(module);
    if (job.from >= first && job.from <= last)
      return 0;
    std::string next = stageName(first == Stage::input ? first : last).str();
    return fail(userMistake, "'" + options.input + "' is a module before stage '" + next +
                                 "': expected --compile-from=" + next + ", but got " +
                                 (options.compileFrom.empty() ? "none" : stageName(job.from)));
  }

  int loadWeights(ModuleOp module) {
    auto loaded = files.loadWeights(module, folder ? &*folder : nullptr);
    return loaded ? 0 : fail(loaded.error());
  }

  int runStage(ModuleOp module, Stage stage) {
    PassManager pm(module.getContext());
    buildStage(pm, stage, job.stages);
    if (stage == Stage::fuse)
      if (llvm::Error error = selectFunctions(module, options.functions))
        return fail(userMistake, llvm::toString(std::move(error)));
    if (stage == Stage::schedule)
      if (std::optional<Stage> failed = settleForms(module, kernelOptions()))
        return failStage(*failed);
    Reproducer reproducer(pm);
    unsigned errors = diagnostics->errors();
    if (succeeded(pm.run(module)))
      return 0;
    std::string path = reproducer.takePath();
    if (diagnostics->crashed())
      leaveAfterCrash(stage, path);
    return failStage(stage, diagnostics->errors() == errors, path);
  }

  /// `silently`: without a word of what is wrong.
  int failStage(Stage stage, bool silently = false, StringRef reproducer = "") {
    // What a person wrote is checked until gradients exist; a failure after that is the compiler's.
    bool isTheirs = !silently && (stage <= Stage::autodiff || stage == job.from);
    fail(isTheirs ? userMistake : ourMistake, "stage '" + stageName(stage) + "' failed");
    if (isTheirs && !reproducer.empty())
      llvm::sys::fs::remove(reproducer);
    else if (!reproducer.empty())
      llvm::errs() << "xf-compile: note: " << describeReproducer(reproducer) << "\n";
    return isTheirs ? userMistake : ourMistake;
  }

  /// The module after a stage, in a folder that --dump-stages wrote; nothing where the input is none, or has not this
  /// stage.
  std::optional<std::string> dumped(Stage stage) const {
    std::string path = dumpPath(options.input, stage);
    return llvm::sys::fs::exists(path) ? std::optional(path) : std::nullopt;
  }

  /// A module after `schedule` is for one kind of machine.
  int checkTarget(ModuleOp module, const std::string &path) {
    bool isForGPU = llvm::any_of(module.getOps<func::FuncOp>(),
                                 [](func::FuncOp function) { return function->hasAttr("xf.threads"); });
    if (isForGPU == job.isForGPU() && !job.forBoth)
      return 0;
    return fail(userMistake, "'" + path + "' was scheduled for " + (isForGPU ? "a GPU" : "a processor") +
                                 ", but got --target=" + options.target);
  }

  /// Runs the module after every stage on the same inputs.
  int check(OwningOpRef<ModuleOp> &module) {
    if (job.isForGPU())
      if (auto found = ::xf::runtime::Device::find(); !found)
        return fail(userMistake, "--check runs the kernels of --target=" + options.target + " on an NVIDIA GPU, but " +
                                     found.error().message + "; --target=cpu runs those for the processor");
    StageChecker checker(options.check, job.stages.precision == Precision::BF16);
    auto exitCode = [](const StageChecker::Result &result) {
      return result ? fail(result->exitCode, result->message) : 0;
    };
    OwningOpRef<ModuleOp> scheduled;
    Stage first = static_cast<Stage>(std::max(static_cast<int>(job.from) - 1, 0));
    for (int i = static_cast<int>(first); i <= static_cast<int>(Stage::schedule); ++i) {
      auto stage = static_cast<Stage>(i);
      if (std::optional<std::string> path = dumped(stage)) {
        OwningOpRef<ModuleOp> &target = stage == Stage::schedule ? scheduled : module;
        target = loadModel(*path, *(*module)->getContext());
        if (!target)
          return userMistake;
      } else if (stage >= job.from && stage <= Stage::plan) {
        keepForProcessor(*module, stage);
        if (int code = runStage(*module, stage))
          return code;
      }
      if (stage == first) {
        if (int code = loadWeights(*module))
          return code;
        if (int code = exitCode(checker.prepare(*module, files.weights())))
          return code;
      }
      if (stage <= Stage::outline)
        if (int code = exitCode(checker.interpret(*module, stage)))
          return code;
    }
    if (scheduled)
      if (int code = checkTarget(*scheduled, options.input))
        return code;
    if (int code = exitCode(checker.runCompiled(*module, scheduled ? *scheduled : ModuleOp(), kernelOptions())))
      return code;
    if (!job.forBoth)
      return 0;
    if (int code = turnToProcessor(module, Stage::schedule))
      return code;
    return exitCode(checker.runCompiled(*module, ModuleOp(), kernelOptions()));
  }

  /// The cheapest of the policies with which the workspace of a training step stays within the bytes given.
  int setRecompute(ModuleOp module) {
    std::string text = options.recompute;
    if (job.recomputeBytes) {
      if (!module.lookupSymbol("model"))
        return fail(userMistake,
                    "--recompute=" + options.recompute + " is about training, but the model does not train");
      int64_t least = std::numeric_limits<int64_t>::max();
      int failure = 0;
      auto fits = [&](double price, int64_t layers) {
        Recompute &recompute = job.stages.recompute;
        recompute.price = price;
        recompute.layers = layers;
        FailureOr<int64_t> workspace = trainingWorkspace(module);
        if (failed(workspace)) {
          failure = failStage(Stage::autodiff);
          return true;
        }
        least = std::min(least, *workspace);
        return *workspace <= job.recomputeBytes;
      };
      constexpr double dearest = 1 << 16; // operations a byte: a product with sums of 128K terms
      double price = 0;
      while (!fits(price, -1)) {
        if (price > dearest)
          return fail(userMistake, "--recompute=" + options.recompute + ": a training step on " +
                                       std::to_string(job.tokens()) + " tokens a side in " +
                                       std::to_string(job.sequences()) + " sequences needs a workspace of " +
                                       ::xf::runtime::formatBytes(least) + " (" + std::to_string(least) +
                                       " bytes) at least; --report-tokens makes the batch smaller");
        price = price ? 4 * price : 1;
      }
      if (failure)
        return failure;
      // Of the layers, only as many as have to pay that price.
      if (price > 1) {
        int64_t layers = llvm::range_size(cast<func::FuncOp>(module.lookupSymbol("model")).getOps<func::CallOp>());
        int64_t tooFew = 0;
        while (layers - tooFew > 1) {
          int64_t middle = (layers + tooFew) / 2;
          (fits(price, middle) ? layers : tooFew) = middle;
        }
        fits(price, layers);
      }
      text = llvm::formatv("{0} at {1} tokens", options.recompute, job.tokens());
      if (options.verbose)
        llvm::errs() << llvm::formatv("recompute: {0} operations a byte that is not kept, for the first {1} layers\n",
                                      price, job.stages.recompute.layers);
    }
    setOption(module, "precision", options.precision);
    if (options.quantize != "none") {
      if (!module.lookupSymbol("prepare"))
        return fail(
            userMistake,
            "--quantize=" + options.quantize +
                " is about the weights that 'encode', 'decode' and 'classify' read, but the model has none of them");
      setOption(module, "quantize", options.quantize);
    }
    setOption(module, "recompute", text);
    return 0;
  }

  /// Notes in the program what it was compiled with.
  static void setOption(ModuleOp module, StringRef name, StringRef value) {
    NamedAttrList all(module->getAttrOfType<DictionaryAttr>("xf.options"));
    all.set(name, StringAttr::get(module.getContext(), value));
    module->setAttr("xf.options", all.getDictionary(module.getContext()));
  }

  /// What a training step takes with the policy at hand.
  FailureOr<int64_t> trainingWorkspace(ModuleOp module) {
    OwningOpRef<ModuleOp> copy = module.clone();
    for (auto entry : llvm::make_early_inc_range(copy->getOps<func::FuncOp>()))
      if (entry->hasAttr("xf.entry") && entry.getName() != "model")
        entry.erase();
    PassManager pm(module.getContext());
    for (Stage stage : {Stage::autodiff, Stage::fuse, Stage::outline, Stage::plan})
      buildStage(pm, stage, job.stages);
    if (failed(pm.run(*copy)))
      return failure();
    auto step = copy->lookupSymbol<func::FuncOp>("train_step");
    return workspaceAt(step, dimsOfBatch(step, job.tokens(), job.sequences()));
  }

  /// A preset or a folder is shown as it was written, with the names a reader recognises; a file as the module it
  /// holds.
  int print(ModuleOp module) {
    StringRef preset(input);
    if (folder)
      return writeOutput(options.output.empty() ? "-" : options.output, [&](raw_ostream &os) { os << folderText; });
    if (!preset.consume_front("preset:"))
      return write(module);
    return writeOutput(options.output.empty() ? "-" : options.output,
                       [&](raw_ostream &os) { os << cantFail(presetText(preset)); });
  }

  static std::string dumpPath(const std::string &folder, Stage stage) {
    return folder + "/" + std::to_string(static_cast<int>(stage) + 1) + "-" + stageName(stage).str() + ".mlir";
  }

  int dump(ModuleOp module, int index) {
    if (std::error_code code = llvm::sys::fs::create_directories(options.dumpStages, true, llvm::sys::fs::all_all))
      return fail(userMistake, "can't write into '" + options.dumpStages + "': " + code.message());
    return writeFile(module, dumpPath(options.dumpStages, static_cast<Stage>(index)));
  }

  int write(ModuleOp module) { return writeFile(module, options.output.empty() ? "-" : options.output); }

  int writeFile(ModuleOp module, const std::string &path) {
    return writeOutput(path, [&](raw_ostream &os) {
      module.print(os, OpPrintingFlags().enableDebugInfo(!options.printInput, /*prettyForm=*/false));
    });
  }

  int writeOutput(const std::string &path, function_ref<void(raw_ostream &)> write, bool isExecutable = false) {
    if (path == "-") {
      write(llvm::outs());
      return 0;
    }
    if (llvm::Error error = xf::writeFile(path, write, isExecutable))
      return fail(userMistake, "can't write '" + path + "': " + llvm::toString(std::move(error)));
    if (options.verbose)
      llvm::errs() << "xf-compile: wrote '" << path << "'\n";
    return 0;
  }

  /// Gives kernels the schedules of a file, which is measured first where that is asked for.
  int setSchedules(ModuleOp module) {
    const std::string &path = options.tune.empty() ? options.schedules : options.tune;
    if (path.empty())
      return 0;
    if (!options.tune.empty())
      if (llvm::Error error = tuneSchedules(module, kernelOptions(), job.tokens(), job.sequences(), path))
        return fail(userMistake, llvm::toString(std::move(error)));
    llvm::Expected<AppliedSchedules> applied = applySchedules(module, job.cpu, path);
    if (!applied)
      return fail(userMistake, llvm::toString(applied.takeError()));
    if (options.verbose)
      llvm::errs() << llvm::formatv("schedules: {0} of '{1}' used, {2} for kernels that this model has not\n",
                                    applied->used, path, applied->unknown);
    return 0;
  }

  KernelOptions kernelOptions() const {
    KernelOptions result{job.stages, job.cpu, std::nullopt, options.threads};
    if (options.cache)
      result.cache = KernelCache::open(uint64_t(options.cacheSize) << 20);
    return result;
  }

  /// From stage `fuse` on what is best for a GPU is not for a processor: of two targets each has a module of its own.
  void keepForProcessor(ModuleOp module, Stage next) {
    if (job.forBoth && next == std::max(job.from, Stage::fuse))
      forProcessor = {module.clone(), next};
  }

  /// Of two targets goes on with the second, up to stage `next`.
  int turnToProcessor(OwningOpRef<ModuleOp> &module, Stage next) {
    job.stages.gpu.clear();
    if (forProcessor.first)
      module = std::move(forProcessor.first);
    if (job.stages.precision == Precision::TF32) { // which processors have not
      job.stages.precision = Precision::F32;
      setOption(*module, "precision", "f32");
    }
    for (; forProcessor.second < next; forProcessor.second = Stage(int(forProcessor.second) + 1))
      if (int code = runStage(*module, forProcessor.second))
        return code;
    return 0;
  }

  /// The module before stage `next` becomes the executable.
  int link(OwningOpRef<ModuleOp> &module, Stage next) {
    std::deque<std::string> objects, archives; // of one program or two
    std::string gpu = job.stages.gpu;
    auto add = [&](ModuleOp module) {
      return compileProgram(module, next, objects.emplace_back(), archives.emplace_back());
    };
    if (job.forBoth) {
      OwningOpRef<ModuleOp> forGPU = module->clone();
      if (int code = add(*forGPU))
        return code;
      if (int code = turnToProcessor(module, next))
        return code;
    }
    if (int code = add(*module))
      return code;
    if (options.output.empty())
      return 0;
    std::vector<StringRef> parts(objects.begin(), objects.end());
    parts.insert(parts.end(), archives.begin(), archives.end());

    auto start = std::chrono::steady_clock::now();
    std::string executable = llvm::sys::fs::getMainExecutable(nullptr, reinterpret_cast<void *>(&::xf::compile));
    std::string kit = (llvm::sys::path::parent_path(llvm::sys::path::parent_path(executable)) + "/lib/xf").str();
    HeaderNames names(options.output);
    llvm::Expected<std::string> linked = linkProgram(job.kind, job.cpu, parts, kit, names.model,
                                                     llvm::sys::path::filename(options.output), files.hasText());
    if (llvm::Error error = linked.takeError()) {
      int code = ourMistake;
      std::string message;
      llvm::handleAllErrors(std::move(error), [&](const llvm::ErrorInfoBase &info) {
        message += info.message();
        if (info.convertToErrorCode().category() == std::generic_category()) // the system's: a limit
          code = userMistake;
      });
      return fail(code, message);
    }
    bool isImage = job.kind == OutputKind::Executable || job.kind == OutputKind::Shared;
    if (int code = writeOutput(options.output, [&](raw_ostream &os) { os << *linked; }, isImage))
      return code;
    if (job.kind != OutputKind::Executable)
      if (int code = writeHeader(*module, names, gpu, kit + "/Library.h"))
        return code;
    record("link", start);
    return 0;
  }

  /// Makes the object of the program that the module before stage `next` is, for the target at hand, and the archive
  /// of its kernels. Files go along with the one for the processor, or the only one.
  int compileProgram(ModuleOp module, Stage next, std::string &program, std::string &kernels) {
    if (auto known = files.checkVocabularies(module); !known)
      return fail(known.error());
    auto start = std::chrono::steady_clock::now();
    if (next == Stage::schedule && !job.isForGPU()) {
      // Here, and not with each kernel: the program tells what was chosen.
      PassManager choose(module.getContext());
      buildChooseSchedules(choose, job.stages);
      if (failed(choose.run(module)))
        return failStage(next);
    }
    KernelTimes kernelTimes;
    if (std::optional<Stage> failed = compileKernels(module, next, kernelOptions(), kernels, kernelTimes))
      return failStage(*failed);
    std::string note = llvm::formatv("  {0} from the cache, {1} compiled", kernelTimes.hits, kernelTimes.misses);
    if (kernelTimes.misses > 0)
      note += llvm::formatv(" on {0} thread(s)", kernelTimes.threads);
    if (kernelTimes.again > 0)
      note += llvm::formatv(", {0} times again for want of registers", kernelTimes.again);
    record(job.forBoth ? job.isForGPU() ? "kernels (cuda)" : "kernels (cpu)" : "kernels", start, note);
    if (kernelTimes.misses > 0)
      for (auto [name, seconds] : {std::pair("  schedule", kernelTimes.schedule),
                                   {"  target", kernelTimes.target},
                                   {"  codegen", kernelTimes.codegen}})
        times.push_back({name, seconds, "  (all threads)"});

    if (!options.report.empty())
      if (int code = report(module, next))
        return code;
    if (options.output.empty())
      return 0;
    start = std::chrono::steady_clock::now();
    if (next <= Stage::target)
      if (int code = runStage(module, Stage::target))
        return code;
    llvm::SmallVector<char, 0> object;
    llvm::raw_svector_ostream stream(object);
    bool withFiles = !job.forBoth || !job.isForGPU();
    if (failed(emitObject(module, job.cpu, withFiles ? std::optional(files.blobs()) : std::nullopt, stream)))
      return ourMistake;
    program = stream.str();
    record("program", start);
    return 0;
  }

  /// The C header of a module after `target`.
  int writeHeader(ModuleOp module, const HeaderNames &names, StringRef gpu, const std::string &interface) {
    auto value = [&](StringRef symbol) { return module.lookupSymbol<LLVM::GlobalOp>(symbol).getValueAttr(); };
    std::string prefix = job.isForGPU() ? "xf_gpu_" : "xf_";
    auto program = ::xf::runtime::parseProgram(cast<StringAttr>(value(prefix + "program_json")).str(),
                                               cast<IntegerAttr>(value(prefix + "kernel_count")).getInt());
    if (!program)
      return fail(ourMistake, program.error().message);
    llvm::ErrorOr<std::unique_ptr<llvm::MemoryBuffer>> common = llvm::MemoryBuffer::getFile(interface);
    if (!common)
      return fail(ourMistake, "can't read '" + interface + "': " + common.getError().message());
    return writeOutput(names.path, [&](raw_ostream &os) {
      os << headerText(*program, gpu, names.model, job.kind != OutputKind::Object, (*common)->getBuffer());
    });
  }

  /// The program as its runtime will see it, of a module whose kernels have grids.
  int describe(ModuleOp module, std::optional<::xf::runtime::Program> &program) {
    SmallVector<std::string> kernels;
    FailureOr<std::string> json = describeProgram(module, job.cpu, job.stages.gpu, kernels);
    if (failed(json))
      return failStage(Stage::target);
    auto parsed = ::xf::runtime::parseProgram(*json, kernels.size());
    if (!parsed)
      return fail(ourMistake, parsed.error().message);
    program = std::move(*parsed);
    return 0;
  }

  /// The largest batches that so much memory is enough for.
  int fit(ModuleOp module) {
    std::optional<::xf::runtime::Program> program;
    if (int code = describe(module, program))
      return code;
    int threads = ::xf::runtime::Team::sizeOf(options.threads);
    return writeOutput("-", [&](raw_ostream &os) {
      os << ::xf::runtime::describeFit(*program, job.fitBytes, options.reportSequences, threads);
    });
  }

  /// What the program's kernels compute and move in one call of each function.
  int report(ModuleOp module, Stage next) {
    if (next == Stage::link)
      return fail(userMistake,
                  "--report needs the module before stage 'target', which turns the list of dispatches into data");
    namespace runtime = ::xf::runtime;
    std::optional<runtime::Program> program;
    if (int code = describe(module, program))
      return code;
    int64_t tokens = job.tokens(), sequences = job.sequences();
    runtime::Report report(*program);
    report.heading =
        llvm::formatv("one call with {0} tokens a side in {1} sequences of equal length", tokens, sequences);
    for (const runtime::Function &function : program->functions)
      report.add(function, runtime::dimsOfBatch(function, tokens, sequences));
    bool asText = options.report == "-";
    return writeOutput(options.report, [&](raw_ostream &os) { os << (asText ? report.text() : report.html()); });
  }

  struct Time {
    std::string name;
    double seconds;
    std::string note;
  };
  void record(StringRef name, std::chrono::steady_clock::time_point start, std::string note = "") {
    double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (options.verbose)
      llvm::errs() << "xf-compile: " << name << llvm::formatv(": {0:f2} s", seconds) << note << "\n";
    times.push_back({name.str(), seconds, std::move(note)});
  }

  const ::xf::CompileOptions &options;
  const DiagnosticPrinter *diagnostics = nullptr;
  Job job; // once there are two programs to make, of the one at hand
  std::pair<OwningOpRef<ModuleOp>, Stage> forProcessor{nullptr, Stage::link}; // of two targets; before this stage
  std::string input;                                                          // with the sizes of the vocabularies
  std::optional<HuggingFaceModel> folder;                                     // that the input is
  std::string folderText;                                                     // its module
  EmbeddedFiles files{options};
  std::vector<Time> times;
};
} // namespace

} // namespace mlir::xf

int xf::compile(const CompileOptions &options) {
  int code = mlir::xf::Compilation(options).run();
  if (llvm::Error error = mlir::xf::flushOutput())
    code = std::max(code, mlir::xf::fail(mlir::xf::userMistake, llvm::toString(std::move(error))));
  llvm::errs().clear_error(); // whoever reads it may go
  return code;
}

std::string xf::listPresets() { return mlir::xf::listPresets(); }
