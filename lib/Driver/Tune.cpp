//===- Tune.cpp - schedules measured on this machine ----------------------===//
// Kernels are compiled as for the executable, loaded into this process, and run by a team as the executable runs them;
// the runs of one kernel's schedules alternate, so that what else the machine does meets them all.
//===----------------------------------------------------------------------===//
#include "xf/Driver/Tune.h"
#include "mlir/AsmParser/AsmParser.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "xf/Dialect/XF/IR/XF.h"
#include "xf/Driver/Load.h"
#include "xf/Driver/WriteFile.h"
#include "xf/Kernels/Planned.h"
#include "xf/Runtime/Memory.h"
#include "xf/Runtime/SharedTiles.h"
#include "xf/Runtime/Team.h"
#include "xf/Schedule/Choices.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/SHA256.h"
#include <chrono>
#include <cstring>

namespace mlir::xf {
namespace {
namespace json = llvm::json;
namespace runtime = ::xf::runtime;

constexpr int64_t fileVersion = 1;

/// What a kernel computes, whatever its name in this module.
std::string keyOf(func::FuncOp kernel) {
  OwningOpRef<func::FuncOp> copy = kernel.clone();
  copy->setName("kernel");
  (*copy)->removeAttr("xf.schedule");
  std::string text;
  llvm::raw_string_ostream stream(text);
  copy->print(stream, OpPrintingFlags().printGenericOpForm().useLocalScope());
  return llvm::toHex(llvm::SHA256::hash(llvm::arrayRefFromStringRef(text)), /*LowerCase=*/true);
}

ScheduleTarget targetOf(const CPU &cpu) { return {{cpu.vectorWidth, cpu.registers}, cpu.l1, cpu.l2}; }

std::string textOf(Attribute attribute) {
  std::string text;
  llvm::raw_string_ostream(text) << attribute;
  return text;
}

/// A call of a kernel with memory of its own.
class Call {
public:
  Call(DispatchOp dispatch, KernelKind kind, ArrayRef<int64_t> functionDims)
      : dispatch(dispatch), functionDims(functionDims) {
    int64_t bytes = 0;
    DenseMap<Value, int64_t> offsets;
    for (Value operand : dispatch->getOperands()) {
      auto type = dyn_cast<MemRefType>(operand.getType());
      if (!type) {
        APInt value;
        matchPattern(operand, m_ConstantInt(&value));
        scalars.push_back(value.getSExtValue());
        continue;
      }
      for (int64_t dim = 0; dim < type.getRank(); ++dim)
        if (type.isDynamicDim(dim))
          dims.push_back(extentAt(operand, dim, functionDims));
      if (offsets.try_emplace(operand, bytes).second)
        bytes += llvm::alignTo(elementsAt(operand, functionDims) * type.getElementTypeBitWidth() / 8, 64);
    }
    if (runtime::Expected<runtime::Pages> pages = runtime::Pages::allocate(bytes))
      memory = std::move(*pages);
    else
      return;
    uint32_t state = 1;
    for (Value operand : dispatch->getOperands()) {
      auto type = dyn_cast<MemRefType>(operand.getType());
      if (!type)
        continue;
      char *data = memory.data() + offsets.lookup(operand);
      buffers.push_back(data);
      int64_t count = elementsAt(operand, functionDims);
      for (int64_t i = 0; i < count; ++i)
        if (type.getElementType().isF32()) // from -1 to 1
          reinterpret_cast<float *>(data)[i] = static_cast<int32_t>(state = state * 1664525 + 1013904223) * 0x1p-31f;
        else if (type.getElementType().isInteger(32)) // attention's are offsets; 0 is an id and a label everywhere
          reinterpret_cast<int32_t *>(data)[i] =
              kind == KernelKind::Attention || kind == KernelKind::AttentionBackward
                  ? i * extentAt(dispatch->getOperand(0), 0, functionDims) / std::max<int64_t>(count - 1, 1)
                  : 0;
        else if (type.getElementType().isBF16())
          reinterpret_cast<uint16_t *>(data)[i] = 0x3f80 | i % 64; // 1 and a little
        else
          reinterpret_cast<int64_t *>(data)[i] = 1;
    }
  }

  bool hasMemory() const { return memory.data() != nullptr; }

  int64_t tiles(ArrayAttr grid) const {
    int64_t tiles = 1;
    for (auto entry : grid.getAsRange<DenseI64ArrayAttr>()) {
      int64_t extent = entry[0] < 0 ? entry[1] : extentAt(dispatch->getOperand(entry[0]), entry[1], functionDims);
      tiles *= llvm::divideCeil(extent + entry[2], entry[3]);
    }
    return tiles;
  }

  DispatchOp dispatch;
  SmallVector<int64_t> functionDims, dims, scalars;
  SmallVector<void *> buffers;

private:
  runtime::Pages memory;
};

/// One of a kernel's schedules, compiled.
struct Trial {
  Attribute schedule;
  runtime::KernelFunction function = nullptr;
  ArrayAttr grid = {};
  int64_t scratch = 0;
  double best = 1e30; // seconds
};

struct Subject {
  func::FuncOp kernel;
  DispatchOp dispatch; // the largest
  SmallVector<int64_t> dims;
  SmallVector<Trial> trials; // the default first
};

/// The kernels that have a choice, each with the dispatch that works on most.
std::vector<Subject> findSubjects(ModuleOp module, const ScheduleTarget &target, int64_t tokens, int64_t sequences) {
  SymbolTable symbols(module);
  llvm::MapVector<Operation *, Subject> subjects;
  for (auto entry : module.getOps<func::FuncOp>()) {
    if (!entry->hasAttr("xf.entry"))
      continue;
    SmallVector<int64_t> dims = dimsOfBatch(entry, tokens, sequences);
    entry.walk([&](DispatchOp dispatch) {
      auto kernel = symbols.lookup<func::FuncOp>(dispatch.getKernel());
      if (kernel->hasAttr("xf.grid") || !chooseSchedule(kernel, target))
        return;
      auto work = [](DispatchOp dispatch, ArrayRef<int64_t> dims) {
        int64_t elements = 0;
        for (Value operand : dispatch->getOperands())
          elements += isa<MemRefType>(operand.getType()) ? elementsAt(operand, dims) : 0;
        return elements;
      };
      Subject &subject = subjects[kernel];
      if (!subject.dispatch || work(dispatch, dims) > work(subject.dispatch, subject.dims)) {
        subject.kernel = kernel;
        subject.dispatch = dispatch;
        subject.dims.assign(dims.begin(), dims.end());
      }
    });
  }
  std::vector<Subject> result;
  for (auto &[kernel, subject] : subjects) {
    subject.trials.push_back({chooseSchedule(subject.kernel, target)});
    for (Attribute schedule : neighbours(subject.kernel, subject.trials[0].schedule, target))
      subject.trials.push_back({schedule});
    result.push_back(std::move(subject));
  }
  return result;
}

/// Compiles the trials number `number` of all kernels and loads them.
llvm::Error compileTrials(ModuleOp module, std::vector<Subject> &subjects, size_t number, const KernelOptions &options,
                          llvm::orc::LLJIT &jit) {
  OwningOpRef<ModuleOp> copy = module.clone();
  SymbolTable symbols(*copy);
  llvm::StringSet<> wanted;
  for (Subject &subject : subjects)
    if (number < subject.trials.size()) {
      wanted.insert(subject.kernel.getName());
      symbols.lookup(subject.kernel.getName())->setAttr("xf.schedule", subject.trials[number].schedule);
    }
  // One dispatch says that a kernel is to be compiled.
  copy->walk([&](DispatchOp dispatch) {
    if (!wanted.erase(dispatch.getKernel()))
      dispatch.erase();
  });
  std::string archive;
  KernelTimes times;
  if (compileKernels(*copy, Stage::schedule, options, archive, times))
    return llvm::createStringError("a schedule can't be compiled");
  llvm::Expected<llvm::orc::JITDylib &> library = loadArchive(jit, std::to_string(number), archive);
  if (!library)
    return library.takeError();
  SymbolTable compiled(*copy);
  for (Subject &subject : subjects) {
    if (number >= subject.trials.size())
      continue;
    auto function = findKernel(jit, *library, subject.kernel.getName());
    if (!function)
      return function.takeError();
    Trial &trial = subject.trials[number];
    auto kernel = compiled.lookup<func::FuncOp>(subject.kernel.getName());
    trial.function = *function;
    trial.grid = kernel->getAttrOfType<ArrayAttr>("xf.grid");
    trial.scratch = kernel->getAttrOfType<IntegerAttr>("xf.scratch").getInt();
  }
  return llvm::Error::success();
}

/// The best time of every trial: all of them in turn, for about a second.
llvm::Error measure(Subject &subject, runtime::Team &team) {
  using Clock = std::chrono::steady_clock;
  Call call(subject.dispatch, cast<KernelKindAttr>(subject.kernel->getAttr("xf.kernel")).getValue(), subject.dims);
  int64_t scratchBytes = 64;
  for (const Trial &trial : subject.trials)
    scratchBytes = std::max(scratchBytes, trial.scratch);
  runtime::Expected<runtime::Pages> scratch = runtime::Pages::allocate(scratchBytes * team.size());
  if (!call.hasMemory() || !scratch)
    return llvm::createStringError("not enough memory for '" + subject.kernel.getName().str() +
                                   "'; --report-tokens makes the batch smaller");
  runtime::SharedTiles shared(team.size());
  Clock::time_point begin = Clock::now();
  constexpr int mostRounds = 300, leastRounds = 5;
  for (int round = 0; round < mostRounds; ++round) {
    if (round >= leastRounds && Clock::now() - begin > std::chrono::seconds(1))
      break;
    for (Trial &trial : subject.trials) {
      int64_t tiles = call.tiles(trial.grid);
      shared.reset();
      Clock::time_point start = Clock::now();
      team.run([&](int worker) {
        char *mine = scratch->data() + worker * scratchBytes;
        std::memset(mine, 0, sizeof(int64_t));
        for (runtime::SharedTiles::Range range; !(range = shared.take(worker, tiles)).empty();)
          trial.function(call.buffers.data(), call.dims.data(), call.scalars.data(), range.begin, range.end, mine);
      });
      trial.best = std::min(trial.best, std::chrono::duration<double>(Clock::now() - start).count());
    }
  }
  return llvm::Error::success();
}

/// What a file of schedules holds.
struct Entry {
  std::string kernel, schedule;
};
bool fromJSON(const json::Value &value, Entry &entry, json::Path path) {
  json::ObjectMapper map(value, path);
  return map && map.map("kernel", entry.kernel) && map.map("schedule", entry.schedule);
}
struct File {
  int64_t version = 0;
  std::string cpu;
  std::vector<Entry> kernels;
};
bool fromJSON(const json::Value &value, File &file, json::Path path) {
  json::ObjectMapper map(value, path);
  return map && map.map("xf_schedules", file.version) && map.map("cpu", file.cpu) && map.map("kernels", file.kernels);
}
} // namespace

llvm::Error tuneSchedules(ModuleOp module, const KernelOptions &options, int64_t tokens, int64_t sequences,
                          StringRef path) {
  ScheduleTarget target = targetOf(options.cpu);
  std::vector<Subject> subjects = findSubjects(module, target, tokens, sequences);
  auto jit = llvm::orc::LLJITBuilder().create();
  if (!jit)
    return jit.takeError();
  size_t most = 0;
  for (const Subject &subject : subjects)
    most = std::max(most, subject.trials.size());
  for (size_t number = 0; number < most; ++number)
    if (llvm::Error error = compileTrials(module, subjects, number, options, **jit))
      return error;

  runtime::Team team(options.threads);
  json::Array kernels;
  for (Subject &subject : subjects) {
    if (llvm::Error error = measure(subject, team))
      return error;
    const Trial &standard = subject.trials.front();
    const Trial *best = &standard;
    for (const Trial &trial : subject.trials)
      if (trial.best < best->best && trial.best < 0.97 * standard.best) // less is noise
        best = &trial;
    llvm::errs() << llvm::format("%10.3f ms %6.2fx  ", best->best * 1e3, standard.best / best->best)
                 << subject.kernel.getName() << " " << best->schedule << "\n";
    kernels.push_back(json::Object{{"kernel", keyOf(subject.kernel)},
                                   {"name", subject.kernel.getName()},
                                   {"schedule", textOf(best->schedule)},
                                   {"seconds", best->best},
                                   {"default_seconds", standard.best}});
  }
  json::Value file =
      json::Object{{"xf_schedules", fileVersion}, {"cpu", options.cpu.name}, {"kernels", std::move(kernels)}};
  if (llvm::Error error = writeFile(path, [&](raw_ostream &os) { os << llvm::formatv("{0:2}\n", file); }))
    return llvm::createStringError("can't write '" + path.str() + "': " + llvm::toString(std::move(error)));
  return llvm::Error::success();
}

llvm::Expected<AppliedSchedules> applySchedules(ModuleOp module, const CPU &cpu, StringRef path) {
  auto failure = [&](const llvm::Twine &what) { return llvm::createStringError(("'" + path + "': " + what).str()); };
  auto text = llvm::MemoryBuffer::getFile(path, /*IsText=*/true);
  if (!text)
    return llvm::createStringError(("can't read '" + path + "': " + text.getError().message()).str());
  llvm::Expected<json::Value> value = json::parse((*text)->getBuffer());
  if (!value)
    return failure(llvm::toString(value.takeError()));
  File file;
  json::Path::Root root("schedules");
  if (!fromJSON(*value, file, root))
    return failure(llvm::toString(root.getError()));
  if (file.version != fileVersion)
    return failure("expected 'xf_schedules' to be " + llvm::Twine(fileVersion) + ", but got " +
                   llvm::Twine(file.version));
  if (file.cpu != cpu.name)
    return failure("these schedules were measured on the CPU '" + file.cpu + "', but the target is '" + cpu.name + "'");
  llvm::StringMap<std::pair<const Entry *, bool>> byKey; // and whether a kernel has it
  for (const Entry &entry : file.kernels)
    byKey[entry.kernel] = {&entry, false};
  for (auto kernel : module.getOps<func::FuncOp>()) {
    if (!kernel->hasAttr("xf.kernel") || kernel->hasAttr("xf.grid"))
      continue;
    auto found = byKey.find(keyOf(kernel));
    if (found == byKey.end())
      continue;
    auto &[entry, used] = found->second;
    Attribute schedule = parseAttribute(entry->schedule, module.getContext());
    if (!schedule)
      return failure("kernels[" + llvm::Twine(entry - file.kernels.data()) + "].schedule can't be read: '" +
                     entry->schedule + "'");
    kernel->setAttr("xf.schedule", schedule);
    if (mlir::failed(setSchedule(kernel, targetOf(cpu))))
      return failure("kernels[" + llvm::Twine(entry - file.kernels.data()) + "].schedule does not fit its kernel '" +
                     kernel.getName() + "'");
    used = true;
  }
  AppliedSchedules applied;
  for (const auto &each : byKey)
    ++(each.second.second ? applied.used : applied.unknown);
  return applied;
}
} // namespace mlir::xf
