//===- Kernels.cpp - each kernel compiled by itself -----------------------===//
#include "xf/Driver/Kernels.h"
#include "mlir/AsmParser/AsmParser.h"
#include "mlir/Parser/Parser.h"
#include "xf/Conversion/Passes.h"
#include "xf/Dialect/XF/IR/XF.h"
#include "xf/Driver/Diagnostics.h"
#include "xf/Driver/Reproducer.h"
#include "xf/InitAll.h"
#include "xf/Schedule/Choices.h"
#include "llvm/Object/ArchiveWriter.h"
#include "llvm/Support/ThreadPool.h"
#include <chrono>

namespace mlir::xf {
namespace {
/// A kernel, and what the program keeps of it.
struct Work {
  Operation *root;                // the function that the program goes on to name
  SmallVector<Operation *> parts; // it, and the symbols that it takes along, in their order
  std::string text;               // a module of the parts
  CompiledKernel kernel;
  std::string messages;
  std::optional<Stage> failed;
};

/// The functions that the program names: kernels that are dispatched, or, after stage `target`, the entry functions in
/// its table.
SetVector<Operation *> findRoots(ModuleOp module, const SymbolTable &symbols, Stage next) {
  SetVector<Operation *> roots;
  if (next != Stage::link)
    module.walk([&](DispatchOp dispatch) {
      roots.insert(symbols.lookup(dispatch.getKernel()));
      if (std::optional<StringRef> otherwise = dispatch.getOtherwise())
        roots.insert(symbols.lookup(*otherwise));
    });
  else if (auto table = symbols.lookup<LLVM::GlobalOp>("xf_kernels"))
    table.walk([&](LLVM::AddressOfOp address) { roots.insert(symbols.lookup(address.getGlobalName())); });
  return roots;
}

/// `op`, and every symbol that it uses.
void collect(Operation *op, const SymbolTable &symbols, SetVector<Operation *> &parts) {
  if (!parts.insert(op))
    return;
  if (std::optional<SymbolTable::UseRange> uses = SymbolTable::getSymbolUses(op))
    for (SymbolTable::SymbolUse use : *uses)
      if (Operation *used = symbols.lookup(use.getSymbolRef().getRootReference()))
        collect(used, symbols, parts);
}

std::string print(ArrayRef<Operation *> parts, bool withLocations) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  stream << "module {\n";
  for (Operation *part : parts) {
    part->print(stream, OpPrintingFlags().useLocalScope().enableDebugInfo(withLocations));
    stream << "\n";
  }
  stream << "}\n";
  return text;
}

void buildTarget(OpPassManager &pm, const StageOptions &options) {
  if (!options.gpu.empty())
    pm.addPass(createConvertXFGToNVVMPass());
  pm.addPass(options.gpu.empty() ? createEmitEntriesPass() : createEmitGPUEntriesPass());
  buildLowerToLLVM(pm);
}

/// All but the kernel that its machine code depends on. The pipelines hold what was derived from the processor.
SmallVector<std::string> environment(Stage next, const KernelOptions &options) {
  std::string pipelines;
  llvm::raw_string_ostream stream(pipelines);
  OpPassManager pm(ModuleOp::getOperationName());
  if (next <= Stage::schedule)
    buildStage(pm, Stage::schedule, options.stages);
  if (next <= Stage::target)
    buildTarget(pm, options.stages);
  pm.printAsTextualPipeline(stream);
  const CPU &cpu = options.cpu;
  SmallVector<std::string> result{pipelines, cpu.triple, cpu.name, cpu.features, std::to_string(cpu.vectorWidth)};
  if (const std::string &gpu = options.stages.gpu; !gpu.empty())
    result.append({gpu, findAssembler(gpu).path, findAssembler(gpu).version});
  return result;
}

/// What a thread compiles its kernels with.
class Worker {
public:
  Worker(Stage next, const KernelOptions &options)
      : next(next), options(options), context(makeRegistry(), MLIRContext::Threading::DISABLED), schedule(&context),
        target(&context) {
    buildStage(schedule, Stage::schedule, options.stages);
    buildTarget(target, options.stages);
  }

  /// A kernel in whose form ptxas keeps registers in local memory gets the next form, which needs fewer; or all that a
  /// thread can have, where a processor was to have room for several blocks.
  void compile(Work &work) {
    llvm::raw_string_ostream stream(work.messages);
    DiagnosticPrinter printer(context, stream);
    diagnostics = &printer;
    StringRef name = SymbolTable::getSymbolName(work.root);
    bool hasAll = false;
    for (Attribute form;;) {
      OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(work.text, &context);
      if (!module) {
        work.failed = next;
        return;
      }
      if (form)
        module->lookupSymbol(name)->setAttr("xf.schedule", form);
      if (hasAll)
        module->lookupSymbol(name)->setAttr(leastBlocks, Builder(&context).getI64IntegerAttr(1));
      Location place = module->lookupSymbol(name)->getLoc();
      std::string spills;
      compile(work, *module, spills, stream);
      if (work.failed || spills.empty())
        return;
      form = formAfter(work);
      if (!form && !hasAll && wantsSeveralBlocks(work)) {
        hasAll = true;
      } else if (!form) {
        // Right, if slower: no model must fail for it. Tests let no kernel of ours come here.
        emitWarning(place) << "kernel '" << name << "' needs more registers than a thread of " << options.stages.gpu
                           << " has, and keeps some in local memory (" << spills
                           << "): its results are right, but it is slower than it should be; please report this line "
                              "and the model";
        return;
      }
      ++times.again;
    }
  }

  KernelTimes times;

private:
  void compile(Work &work, ModuleOp module, std::string &spills, raw_ostream &messages) {
    auto run = [&](Stage stage, double &seconds, function_ref<LogicalResult()> compile) {
      auto start = std::chrono::steady_clock::now();
      if (!work.failed && next <= stage && failed(compile())) {
        work.failed = stage;
        for (Reproducer *each : {&scheduleReproducer, &targetReproducer})
          if (std::string path = each->takePath(); !path.empty()) {
            if (diagnostics->crashed())
              leaveAfterCrash(stage, path);
            messages << "xf-compile: note: " << describeReproducer(path) << "\n";
          }
      }
      seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    };
    run(Stage::schedule, times.schedule, [&] { return schedule.run(module); });
    run(Stage::target, times.target, [&] {
      NamedAttrList facts;
      for (auto function : module.getOps<func::FuncOp>())
        for (StringRef name : launchFacts)
          if (Attribute fact = function->getAttr(name))
            facts.append(name, fact);
      work.kernel.facts.clear();
      llvm::raw_string_ostream(work.kernel.facts) << facts.getDictionary(&context);
      return target.run(module);
    });
    run(Stage::link, times.codegen, [&] {
      llvm::SmallVector<char, 0> object;
      llvm::raw_svector_ostream objectStream(object);
      const std::string &gpu = options.stages.gpu;
      LogicalResult result = gpu.empty() ? emitObject(module, options.cpu, std::nullopt, objectStream)
                                         : emitImage(module, options.cpu, gpu, SymbolTable::getSymbolName(work.root),
                                                     objectStream, spills);
      work.kernel.object.assign(object.begin(), object.end());
      return result;
    });
  }

  bool wantsSeveralBlocks(const Work &work) {
    auto facts = cast<DictionaryAttr>(parseAttribute(work.kernel.facts, &context));
    auto blocks = facts.getAs<IntegerAttr>(leastBlocks);
    return blocks && blocks.getInt() > 1;
  }

  /// What comes after the form that a kernel was compiled in, unless that was given; null where nothing does.
  Attribute formAfter(const Work &work) {
    OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(work.text, &context);
    StringRef name = SymbolTable::getSymbolName(work.root); // not its attribute, which is of another context
    auto kernel = module->lookupSymbol<func::FuncOp>(name);
    if (next != Stage::schedule || kernel->hasAttr("xf.schedule"))
      return {};
    auto facts = cast<DictionaryAttr>(parseAttribute(work.kernel.facts, &context));
    bool usesTF32 = options.stages.precision == Precision::TF32;
    return scheduleAfter(kernel, facts.get("xf.schedule"), gpuTarget(options.stages.gpu, usesTF32));
  }

  static DialectRegistry makeRegistry() {
    DialectRegistry registry;
    registerAllDialects(registry);
    return registry;
  }

  Stage next;
  const KernelOptions &options;
  MLIRContext context;
  const DiagnosticPrinter *diagnostics = nullptr;
  PassManager schedule, target;
  Reproducer scheduleReproducer{schedule}, targetReproducer{target};
};

/// Products and attention become most code; a thread that met one last would leave the others waiting.
size_t expectedCost(const Work &work, Stage next) {
  auto kind = work.root->getAttrOfType<KernelKindAttr>("xf.kernel");
  bool large = kind && llvm::is_contained({KernelKind::Matmul, KernelKind::Attention, KernelKind::AttentionBackward},
                                          kind.getValue());
  return work.text.size() + (next == Stage::schedule && large ? size_t(1) << 32 : 0);
}

void compileAll(SmallVector<Work *> misses, Stage next, const KernelOptions &options, KernelTimes &times) {
  llvm::sort(misses, [&](Work *a, Work *b) { return expectedCost(*a, next) > expectedCost(*b, next); });
  unsigned cores = options.threads ? options.threads : llvm::hardware_concurrency().compute_thread_count();
  times.threads = std::min<size_t>(cores, misses.size());
  std::atomic<size_t> position = 0;
  std::vector<KernelTimes> perThread(times.threads);
  auto work = [&](unsigned thread) {
    Worker worker(next, options);
    for (size_t i; (i = position++) < misses.size();)
      worker.compile(*misses[i]);
    perThread[thread] = worker.times;
  };
  llvm::DefaultThreadPool pool(llvm::hardware_concurrency(times.threads));
  for (unsigned thread = 1; thread < times.threads; ++thread)
    pool.async(work, thread);
  if (times.threads > 0)
    work(0);
  pool.wait();
  for (const KernelTimes &part : perThread) {
    times.schedule += part.schedule;
    times.target += part.target;
    times.codegen += part.codegen;
    times.again += part.again;
  }
}

/// Leaves declarations of the kernels, which the program describes and names.
void reduceToProgram(ModuleOp module, MutableArrayRef<Work> works, Stage next) {
  SetVector<Operation *> taken;
  for (Work &work : works) {
    auto function = cast<FunctionOpInterface>(work.root);
    function.eraseBody();
    if (next != Stage::link) {
      for (StringRef name : launchFacts)
        function->removeAttr(name); // what was expected of a form that it did not get
      for (NamedAttribute fact : cast<DictionaryAttr>(parseAttribute(work.kernel.facts, module.getContext())))
        function->setAttr(fact.getName(), fact.getValue());
    }
    for (Operation *part : work.parts)
      if (part != work.root)
        taken.insert(part);
  }
  for (Operation *part : taken)
    part->erase();
  for (auto kernel : llvm::make_early_inc_range(module.getOps<func::FuncOp>()))
    if (kernel->hasAttr("xf.kernel") && !kernel.isExternal())
      kernel.erase(); // not dispatched
}

LogicalResult writeArchive(ArrayRef<Work> works, std::string &archive) {
  SmallVector<llvm::NewArchiveMember> members;
  std::vector<std::string> names(works.size());
  for (auto [index, work] : llvm::enumerate(works)) {
    names[index] = "kernel" + std::to_string(index) + ".o";
    members.emplace_back(llvm::MemoryBufferRef(work.kernel.object, names[index]));
  }
  auto buffer = llvm::writeArchiveToBuffer(members, llvm::SymtabWritingMode::NormalSymtab, llvm::object::Archive::K_GNU,
                                           /*Deterministic=*/true, /*Thin=*/false);
  if (buffer) {
    archive = (*buffer)->getBuffer();
    return success();
  }
  llvm::errs() << "xf-compile: error: can't make an archive of kernels: " << llvm::toString(buffer.takeError()) << "\n";
  return failure();
}
} // namespace

/// Those of a module before stage `next` that `isTaken`.
static std::vector<Work> worksOf(ModuleOp module, Stage next, function_ref<bool(Operation *)> isTaken) {
  SymbolTable symbols(module);
  std::vector<Work> works;
  for (Operation *root : findRoots(module, symbols, next)) {
    if (!isTaken(root))
      continue;
    Work &work = works.emplace_back();
    work.root = root;
    SetVector<Operation *> parts;
    collect(root, symbols, parts);
    work.parts = parts.takeVector();
    llvm::sort(work.parts, [](Operation *a, Operation *b) { return a->isBeforeInBlock(b); });
  }
  return works;
}

/// By the cache where they are in it. The stage that the first did not pass.
static std::optional<Stage> compile(std::vector<Work> &works, Stage next, const KernelOptions &options,
                                    KernelTimes &times) {
  std::vector<std::string> keys(works.size());
  SmallVector<Work *> misses;
  SmallVector<std::string> around = environment(next, options);
  for (auto [work, key] : llvm::zip(works, keys)) {
    if (options.cache) {
      std::string text = print(work.parts, /*withLocations=*/false);
      SmallVector<StringRef> parts(around.begin(), around.end());
      parts.push_back(text);
      key = options.cache->key(parts);
      if (std::optional<CompiledKernel> found = options.cache->find(key)) {
        work.kernel = std::move(*found);
        continue;
      }
    }
    work.text = print(work.parts, /*withLocations=*/true);
    misses.push_back(&work);
  }
  times.misses = misses.size();
  times.hits = works.size() - misses.size();
  compileAll(misses, next, options, times);

  for (const Work &work : works) {
    llvm::errs() << work.messages;
    if (work.failed)
      return work.failed;
  }
  if (options.cache && !misses.empty()) {
    for (auto [work, key] : llvm::zip(works, keys))
      if (!work.text.empty())
        options.cache->insert(key, work.kernel);
    options.cache->prune();
  }
  return std::nullopt;
}

std::optional<Stage> compileKernels(ModuleOp module, Stage next, const KernelOptions &options, std::string &archive,
                                    KernelTimes &times) {
  if (const std::string &gpu = options.stages.gpu; !gpu.empty())
    if (const std::string &path = findAssembler(gpu).tooOld; !path.empty())
      llvm::errs() << "xf-compile: warning: '" << path << "' is too old for " << gpu
                   << ": without machine code the driver will translate the kernels, which takes a while when the "
                      "executable is first run; install a newer CUDA toolkit\n";
  std::vector<Work> works = worksOf(module, next, [](Operation *) { return true; });
  if (std::optional<Stage> failed = compile(works, next, options, times))
    return failed;
  reduceToProgram(module, works, next);
  if (mlir::failed(writeArchive(works, archive)))
    return Stage::link;
  return std::nullopt;
}

std::optional<Stage> settleForms(ModuleOp module, const KernelOptions &options) {
  if (options.stages.gpu.empty() || findAssembler(options.stages.gpu).path.empty())
    return std::nullopt;
  std::vector<Work> works = worksOf(module, Stage::schedule, [](Operation *kernel) {
    auto kind = kernel->getAttrOfType<KernelKindAttr>("xf.kernel").getValue();
    return (kind == KernelKind::Attention || kind == KernelKind::AttentionBackward) && !kernel->hasAttr("xf.schedule");
  });
  KernelTimes times;
  if (std::optional<Stage> failed = compile(works, Stage::schedule, options, times))
    return failed;
  for (Work &work : works)
    if (Attribute schedule =
            cast<DictionaryAttr>(parseAttribute(work.kernel.facts, module.getContext())).get("xf.schedule"))
      work.root->setAttr("xf.schedule", schedule);
  return std::nullopt;
}
} // namespace mlir::xf
