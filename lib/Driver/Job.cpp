//===- Job.cpp - what a command line asks for -----------------------------===//
// What an option may be, and which go together. The user is told before a model is read, and before work is done that
// could not be written.
//===----------------------------------------------------------------------===//
#include "xf/Driver/Job.h"
#include "xf/Driver/Header.h"
#include "xf/Runtime/Device.h"
#include "xf/Runtime/Memory.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

namespace mlir::xf {
namespace {
using llvm::Error;

Error mistake(const llvm::Twine &message) { return llvm::createStringError(llvm::inconvertibleErrorCode(), message); }

class Parser {
public:
  explicit Parser(const ::xf::CompileOptions &options) : options(options) {}

  llvm::Expected<Job> parse() {
    // In this order: what comes later rests on what came before.
    for (auto part : {&Parser::parseStages, &Parser::parseTarget, &Parser::parsePrecision, &Parser::parseRecompute,
                      &Parser::checkKernelOptions, &Parser::checkOutputs, &Parser::parseCPU})
      if (Error error = (this->*part)())
        return std::move(error);
    return std::move(job);
  }

private:
  Error parseStage(const std::string &name, Stage &stage) {
    if (name.empty())
      return Error::success();
    std::optional<Stage> parsed = xf::parseStage(name);
    if (!parsed) {
      std::string known;
      for (int i = 0; i < numStages; ++i)
        known += " " + stageName(static_cast<Stage>(i)).str();
      return mistake("unknown stage '" + name + "'; the stages are" + known);
    }
    stage = *parsed;
    return Error::success();
  }

  /// Where the job starts and ends; --check and --fit end it themselves.
  Error parseStages() {
    if (Error error = parseStage(options.compileFrom, job.from))
      return error;
    if (Error error = parseStage(options.compileTo, job.to))
      return error;
    // A file dumped after a stage goes on with the next one, so equal names mean one stage.
    if (job.from > job.to)
      return mistake("--compile-from=" + options.compileFrom + " lies after --compile-to=" + options.compileTo);
    if (!options.check.empty()) {
      if (job.from > Stage::plan || !options.compileTo.empty() || !options.output.empty())
        return mistake("--check compiles nothing: expected no -o, no --compile-to, and a model before stage "
                       "'schedule'");
      job.to = Stage::plan;
    }
    if (!options.fit.empty()) {
      auto bytes = ::xf::runtime::parseBytes(options.fit);
      if (!bytes)
        return mistake("--fit: " + bytes.error().message);
      job.fitBytes = *bytes;
      if (job.from > Stage::schedule || !options.compileTo.empty() || !options.output.empty())
        return mistake("--fit compiles nothing: expected no -o, no --compile-to, and a model before stage 'target'");
      job.to = Stage::schedule;
    }
    return Error::success();
  }

  Error parseTarget() {
    auto kind = llvm::StringSwitch<std::optional<OutputKind>>(options.emit)
                    .Case("exe", OutputKind::Executable)
                    .Case("shared", OutputKind::Shared)
                    .Case("static", OutputKind::Static)
                    .Case("object", OutputKind::Object)
                    .Default(std::nullopt);
    if (!kind)
      return mistake("unsupported output kind '" + options.emit + "'; supported: exe, shared, static, object");
    job.kind = *kind;
    if (job.kind != OutputKind::Executable && options.output == "-")
      return mistake("--emit=" + options.emit +
                     " writes a C header beside its output: expected -o to name a file, but got "
                     "'-'");

    SmallVector<StringRef> targets;
    StringRef(options.target).split(targets, ',');
    for (StringRef target : targets)
      if (target != "cpu" && target != "cuda")
        return mistake("unsupported target '" + target + "'; supported: cpu, cuda, and cpu,cuda for both");
    if (llvm::is_contained(targets, "cuda")) {
      job.forBoth = llvm::is_contained(targets, "cpu");
      return parseGPU();
    }
    if (!options.gpu.empty())
      return mistake("expected --gpu, which names a GPU, with --target=cuda, but got --target=cpu");
    return Error::success();
  }

  Error parseGPU() {
    std::string target = "--target=" + options.target, &gpu = job.stages.gpu;
    if (job.forBoth && ((job.to != Stage::link && options.check.empty()) ||
                        !(options.report + options.fit + options.dumpStages).empty()))
      return mistake("--report, --fit, --compile-to and --dump-stages are about one target, but got " + target);
    gpu = options.gpu.empty() ? supportedGPUs().front().str() : options.gpu;
    if (gpu == "native") {
      ::xf::runtime::Expected<::xf::runtime::Device::Facts> found = ::xf::runtime::Device::find();
      if (!found)
        return mistake("--gpu=native is the GPU of this machine, but " + found.error().message +
                       "; name one that is supported: " + llvm::join(supportedGPUs(), ", "));
      gpu = supportedGPUFor(found->architecture).str();
      if (gpu.empty())
        return mistake("unsupported GPU '" + found->name + "', which is " + found->architecture +
                       "; supported: " + supportedGPUs().front().str() + " and newer ones");
    }
    if (!llvm::is_contained(supportedGPUs(), StringRef(gpu)))
      return mistake(
          "unsupported GPU '" + gpu + "'; supported: " + llvm::join(supportedGPUs(), ", ") +
          " (newer ones run what is compiled for these, but for sm_90a, which Hopper's own instructions are for)");
    if (!(options.tune + options.schedules).empty())
      return mistake("--tune and --schedules are for processors, but got " + target);
    // A GPU's kernels and the program for the host are modules of different targets.
    if (job.from > Stage::target || job.to == Stage::target)
      return mistake(target + " can't be started from stage 'link' or stopped at 'target': kernels are compiled one by "
                              "one after 'schedule'; supported: --compile-from up to target and --compile-to up to "
                              "schedule");
    return Error::success();
  }

  Error parsePrecision() {
    std::optional<Precision> precision = xf::parsePrecision(options.precision);
    if (!precision)
      return mistake("unsupported precision '" + options.precision + "'; supported: f32, bf16, tf32");
    if (*precision == Precision::TF32 && !job.isForGPU())
      return mistake("--precision=tf32 is for the tensor cores of GPUs: expected --target=cuda, or cpu,cuda for an "
                     "executable that computes in f32 on the processor, but got --target=cpu");
    if (*precision == Precision::TF32 &&
        (job.from > Stage::schedule || (job.to < Stage::schedule && options.check.empty())))
      return mistake("--precision=tf32 needs stage 'schedule'");
    if (*precision == Precision::BF16 && (job.from > Stage::outline || job.to < Stage::outline))
      return mistake("--precision=" + options.precision + " needs stage 'outline'");
    job.stages.precision = *precision;
    bool takesPanels = !job.isForGPU() || job.forBoth || *precision == Precision::F32;
    job.stages.weights = takesPanels ? WeightForm::Packed : WeightForm::Kept;
    return parseQuantize();
  }

  Error parseQuantize() {
    if (options.quantize == "none")
      return Error::success();
    if (options.quantize != "int8")
      return mistake("unsupported quantization '" + options.quantize + "'; supported: none, int8");
    if (job.isForGPU())
      return mistake("--quantize=int8 is for processors: expected --target=cpu, but got --target=" + options.target);
    if (job.from > Stage::input || job.to < Stage::input)
      return mistake("--quantize=int8 needs stage 'input'");
    job.stages.weights = WeightForm::Int8;
    return Error::success();
  }

  Error parseRecompute() {
    Recompute &recompute = job.stages.recompute;
    if (options.recompute == "full")
      recompute = Recompute::Full;
    if (options.reportSequences > options.reportTokens && options.fit.empty())
      return mistake("expected --report-sequences to be at most --report-tokens (" + llvm::Twine(options.reportTokens) +
                     "), but got " + llvm::Twine(options.reportSequences));
    recompute.tokens = options.reportTokens;
    recompute.sequences =
        options.reportSequences ? options.reportSequences : std::max<int64_t>(options.reportTokens / 25, 1);
    if (options.recompute == "none" || options.recompute == "full")
      return Error::success();
    auto bytes = ::xf::runtime::parseBytes(options.recompute);
    if (!bytes)
      return mistake("--recompute: expected none, full, or bytes of memory, such as 2GiB or 512M, but got '" +
                     options.recompute + "'");
    if (job.from > Stage::autodiff || job.to < Stage::autodiff)
      return mistake("--recompute=" + options.recompute + " needs stage 'autodiff'");
    job.recomputeBytes = *bytes;
    return Error::success();
  }

  /// Options about scheduled kernels, and about files that are embedded.
  Error checkKernelOptions() {
    if (options.sourceVocab.empty() != options.targetVocab.empty())
      return mistake("expected --source-vocab and --target-vocab together, or --vocab for both languages, but got --" +
                     llvm::Twine(options.targetVocab.empty() ? "source" : "target") + "-vocab alone");
    if (!options.report.empty() && job.to != Stage::link)
      return mistake("--report tells of scheduled kernels, but --compile-to=" + options.compileTo +
                     " stops before they are complete");
    if (!options.tune.empty() && !options.schedules.empty())
      return mistake("expected --tune, which writes schedules, or --schedules, which reads them, but got both");
    if (!(options.tune + options.schedules).empty() && (job.from > Stage::schedule || job.to < Stage::schedule))
      return mistake("--tune and --schedules need stage 'schedule'");
    if (!options.tune.empty() && options.cpu != "native")
      return mistake("--tune measures this machine, but got --cpu=" + options.cpu);
    if (!options.weightsMap.empty() && options.weights.empty())
      return mistake("--weights-map says how the names of --weights become the model's, but there is no --weights");
    return Error::success();
  }

  Error checkOutputs() {
    bool links = job.to == Stage::link && !options.printInput;
    if (links && options.output.empty() && options.report.empty() && options.tune.empty())
      return mistake("an output file is needed: -o FILE");
    bool writesHeader = links && !options.output.empty() && job.kind != OutputKind::Executable;
    for (const std::string &path :
         {links ? options.output : std::string(), writesHeader ? HeaderNames(options.output).path : std::string(),
          options.report == "-" ? std::string() : options.report, options.tune})
      if (Error error = checkWritable(path))
        return error;
    if (!writesHeader)
      return Error::success();
    // Outputs of both kinds by one name would have one header.
    bool isLibrary = job.kind != OutputKind::Object;
    HeaderNames names(options.output);
    auto there = llvm::MemoryBuffer::getFile(names.path);
    if (there && !(*there)->getBuffer().trim().empty() &&
        !(*there)->getBuffer().contains(HeaderNames::guard(isLibrary)))
      return mistake("can't write '" + names.path + "', the header of '" + options.output +
                     "': it is there, and not that of " + (isLibrary ? "a library" : "an object") +
                     "; name the output otherwise");
    return Error::success();
  }

  /// An empty path is no file.
  static Error checkWritable(const std::string &path) {
    if (path.empty())
      return Error::success();
    llvm::SmallString<256> folder(path);
    llvm::sys::path::remove_filename(folder);
    if (std::error_code code =
            llvm::sys::fs::access(folder.empty() ? "." : folder.str(), llvm::sys::fs::AccessMode::Write))
      return mistake("can't write '" + path + "': " + code.message());
    if (llvm::sys::fs::is_directory(path))
      return mistake("can't write '" + path + "': it is a folder");
    if (llvm::sys::fs::exists(path) && !llvm::sys::fs::is_regular_file(path))
      return mistake("can't write '" + path + "': it is no regular file");
    return Error::success();
  }

  Error parseCPU() {
    llvm::Expected<CPU> cpu = resolveCPU(options.cpu);
    if (!cpu)
      return cpu.takeError();
    job.cpu = *cpu;
    job.stages.cpu = options.cpu;
    if (job.to == Stage::link && !options.output.empty() && job.kind != OutputKind::Object && !cpu->isX86())
      return mistake("can't link for '" + cpu->triple +
                     "', for which no runtime is built; supported: executables and libraries for x86-64, and for '" +
                     options.cpu + "' --emit=object");
    return Error::success();
  }

  const ::xf::CompileOptions &options;
  Job job;
};
} // namespace

llvm::Expected<Job> parseJob(const ::xf::CompileOptions &options) { return Parser(options).parse(); }
} // namespace mlir::xf
