//===- CPU.cpp - processors, machine code ---------------------------------===//
// Names a processor, and turns an LLVM-dialect module into an object file for it.
//===----------------------------------------------------------------------===//
#include "Analyses.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "xf/Target/Target.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/TargetParser/AArch64TargetParser.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/X86TargetParser.h"
#include "llvm/Transforms/InstCombine/InstCombine.h"
#include "llvm/Transforms/Scalar/EarlyCSE.h"
#include "llvm/Transforms/Scalar/LICM.h"
#include "llvm/Transforms/Scalar/LoopPassManager.h"
#include "llvm/Transforms/Scalar/LoopRotation.h"
#include "llvm/Transforms/Scalar/SROA.h"
#include "llvm/Transforms/Scalar/SeparateConstOffsetFromGEP.h"
#include "llvm/Transforms/Scalar/SimplifyCFG.h"
#include <unistd.h>

namespace mlir::xf {
const llvm::Target *findTarget(StringRef triple, std::string &error) {
  static bool initialised = [] {
    llvm::InitializeAllTargetInfos();
    llvm::InitializeAllTargets();
    llvm::InitializeAllTargetMCs();
    llvm::InitializeAllAsmPrinters();
    llvm::InitializeAllAsmParsers();
    return true;
  }();
  (void)initialised;
  return llvm::TargetRegistry::lookupTarget(llvm::Triple(triple), error);
}

namespace {
/// What the executable checks for: each changes what code is generated, and is known to the runtime's checkProcessor.
constexpr const char *checkedFeatures[] = {"sse4.2",   "popcnt",     "avx",         "avx2",      "fma",
                                           "f16c",     "bmi",        "bmi2",        "lzcnt",     "movbe",
                                           "gfni",     "avx512f",    "avx512vl",    "avx512bw",  "avx512dq",
                                           "avx512cd", "avx512vbmi", "avx512vbmi2", "avx512vnni"};

/// The architectures that code is made for, and LLVM's names of their processors.
struct Architecture {
  llvm::Triple::ArchType type;
  const char *triple; // where this machine is another
  SmallVector<StringRef> processors;
};
SmallVector<Architecture> architectures() {
  SmallVector<Architecture> result{{llvm::Triple::x86_64, "x86_64-unknown-linux-gnu", {}},
                                   {llvm::Triple::aarch64, "aarch64-unknown-linux-gnu", {"aarch64"}}};
  llvm::X86::fillValidCPUArchList(result[0].processors, /*Only64Bit=*/true);
  llvm::AArch64::fillValidCPUArchList(result[1].processors);
  return result;
}

/// A core's caches, in KiB, where they are not the usual ones.
struct Caches {
  llvm::StringLiteral processors; // what their names begin with
  unsigned l1, l2;
};
constexpr Caches unusualCaches[] = {
    {"x86-64-v4", 32, 1024},      {"znver4", 32, 1024},         {"znver5", 48, 1024},
    {"skylake-avx512", 32, 1024}, {"cascadelake", 32, 1024},    {"cooperlake", 32, 1024},
    {"sandybridge", 32, 256},     {"ivybridge", 32, 256},       {"haswell", 32, 256},
    {"broadwell", 32, 256},       {"skylake", 32, 256},         {"icelake-client", 48, 512},
    {"rocketlake", 48, 512},      {"icelake-server", 48, 1280}, {"tigerlake", 48, 1280},
    {"alderlake", 48, 1280},      {"raptorlake", 48, 2048},     {"meteorlake", 48, 2048},
    {"sapphirerapids", 48, 2048}, {"emeraldrapids", 48, 2048},  {"graniterapids", 48, 2048},
    {"neoverse-n", 64, 1024},     {"neoverse-v1", 64, 1024},    {"neoverse-v", 64, 2048},
    {"apple-m", 128, 3072}};

void setCaches(CPU &cpu, bool native) {
  for (const Caches &caches : unusualCaches)
    if (llvm::StringRef(cpu.name).starts_with(caches.processors)) {
      cpu.l1 = caches.l1 << 10;
      cpu.l2 = caches.l2 << 10;
      break;
    }
  if (!native)
    return;
  for (auto [size, name] : {std::pair(&cpu.l1, _SC_LEVEL1_DCACHE_SIZE), {&cpu.l2, _SC_LEVEL2_CACHE_SIZE}})
    if (long known = sysconf(name); known > 0)
      *size = known;
}

/// Sets the triple of the architecture that has a processor of this name.
llvm::Error setTriple(llvm::StringRef name, CPU &cpu) {
  std::string nearest;
  unsigned best = ~0u;
  for (const Architecture &architecture : architectures())
    for (StringRef candidate : architecture.processors) {
      if (candidate == name) {
        if (llvm::Triple(cpu.triple).getArch() != architecture.type)
          cpu.triple = architecture.triple;
        return llvm::Error::success();
      }
      if (unsigned distance = name.edit_distance(candidate); distance < best) {
        best = distance;
        nearest = candidate.str();
      }
    }
  std::string meant = 2 * best > name.size() ? "" : " did you mean '" + nearest + "'?";
  return llvm::createStringError("unknown cpu '" + name.str() + "';" + meant +
                                 " x86-64-v2, x86-64-v3 and x86-64-v4 name levels, aarch64 any of its kind, native "
                                 "this machine");
}
} // namespace

llvm::Expected<CPU> resolveCPU(llvm::StringRef name) {
  CPU cpu;
  cpu.triple = llvm::sys::getDefaultTargetTriple();
  bool native = name.empty() || name == "native";
  if (native) {
    cpu.name = llvm::sys::getHostCPUName().str();
    // A virtual machine may hide features of the processor it names.
    for (auto &feature : llvm::sys::getHostCPUFeatures())
      cpu.features +=
          (cpu.features.empty() ? "" : ",") + std::string(feature.second ? "+" : "-") + feature.first().str();
  } else {
    if (llvm::Error error = setTriple(name, cpu))
      return std::move(error);
    cpu.name = name == "aarch64" ? "generic" : name.str();
  }
  setCaches(cpu, native);
  std::string error;
  const llvm::Target *target = findTarget(cpu.triple, error);
  if (!target)
    return llvm::createStringError(error);
  if (!cpu.isX86()) { // NEON, which every AArch64 has
    cpu.vectorWidth = 4;
    cpu.registers = 32;
    return cpu;
  }
  std::unique_ptr<llvm::MCSubtargetInfo> info(
      target->createMCSubtargetInfo(llvm::Triple(cpu.triple), cpu.name, cpu.features));
  for (const char *feature : checkedFeatures)
    if (info->checkFeatures("+" + std::string(feature)))
      cpu.requirements.push_back(feature);
  bool avx512 = info->checkFeatures("+avx512f") && info->checkFeatures("+avx512vl"),
       avx2 = info->checkFeatures("+avx2") && info->checkFeatures("+fma");
  cpu.vectorWidth = avx512 ? 16 : avx2 ? 8 : 4;
  cpu.registers = avx512 ? 32 : 16;
  return cpu;
}

std::unique_ptr<llvm::TargetMachine> createTargetMachine(const CPU &cpu) {
  std::string error;
  const llvm::Target *target = findTarget(cpu.triple, error);
  llvm::TargetOptions options;
  options.FunctionSections = options.DataSections = true;
  return std::unique_ptr<llvm::TargetMachine>(
      target->createTargetMachine(llvm::Triple(cpu.triple), cpu.name, cpu.features, options, llvm::Reloc::PIC_,
                                  std::nullopt, llvm::CodeGenOptLevel::Default));
}

/// Adds the table `xf_blobs` and the files' bytes: the assembler copies them, so a file of weights does not pass
/// through LLVM's constants.
static void addBlobs(llvm::Module &module, ArrayRef<Blob> blobs) {
  llvm::LLVMContext &context = module.getContext();
  auto *ptr = llvm::PointerType::getUnqual(context);
  auto *i64 = llvm::Type::getInt64Ty(context);
  auto *record = llvm::StructType::get(context, {ptr, ptr, i64});
  SmallVector<llvm::Constant *> records;
  for (auto [index, blob] : llvm::enumerate(blobs)) {
    std::string symbol = "xf_blob_" + std::to_string(index), path;
    for (char c : blob.path)
      path += (c == '"' || c == '\\' ? "\\" : "") + std::string(1, c);
    uint64_t size = 0;
    llvm::sys::fs::file_size(blob.path, size);
    module.appendModuleInlineAsm(".section .rodata." + symbol + ",\"a\"\n.balign 64\n.globl " + symbol + "\n.hidden " +
                                 symbol + "\n" + symbol + ":\n.incbin \"" + path + "\"\n.byte 0\n.text");
    auto *data = new llvm::GlobalVariable(module, llvm::Type::getInt8Ty(context), true,
                                          llvm::GlobalValue::ExternalLinkage, nullptr, symbol);
    data->setVisibility(llvm::GlobalValue::HiddenVisibility);
    auto *name = llvm::ConstantDataArray::getString(context, blob.name);
    auto *nameGlobal = new llvm::GlobalVariable(module, name->getType(), true, llvm::GlobalValue::PrivateLinkage, name);
    records.push_back(llvm::ConstantStruct::get(record, {nameGlobal, data, llvm::ConstantInt::get(i64, size)}));
  }
  auto *table = llvm::ConstantArray::get(llvm::ArrayType::get(record, records.size()), records);
  new llvm::GlobalVariable(module, table->getType(), true, llvm::GlobalValue::ExternalLinkage, table, "xf_blobs");
  new llvm::GlobalVariable(module, i64, true, llvm::GlobalValue::ExternalLinkage,
                           llvm::ConstantInt::get(i64, records.size()), "xf_blob_count");
}

/// Schedules have tiled, vectorised and unrolled; what LLVM has to do is scalar bookkeeping and addresses. Its own O2
/// takes some three times as long and makes slower attention kernels.
static void optimise(llvm::Module &module, llvm::TargetMachine &machine) {
  Analyses analyses(machine);
  llvm::FunctionPassManager passes;
  passes.addPass(llvm::SROAPass(llvm::SROAOptions::PreserveCFG)); // MLIR reads extents through memory
  passes.addPass(llvm::EarlyCSEPass());
  passes.addPass(llvm::SimplifyCFGPass());
  passes.addPass(llvm::InstCombinePass());
  llvm::LoopPassManager rotate;
  rotate.addPass(llvm::LoopRotatePass());
  rotate.addPass(llvm::LICMPass(llvm::LICMOptions()));
  passes.addPass(llvm::createFunctionToLoopPassAdaptor(std::move(rotate), /*UseMemorySSA=*/true));
  // Addresses of a tile become one base and constants, which instructions take as they are.
  passes.addPass(llvm::SeparateConstOffsetFromGEPPass(/*LowerGEP=*/true));
  passes.addPass(llvm::EarlyCSEPass());
  passes.addPass(llvm::createFunctionToLoopPassAdaptor(llvm::LICMPass(llvm::LICMOptions()), /*UseMemorySSA=*/true));
  llvm::createModuleToFunctionPassAdaptor(std::move(passes)).run(module, analyses.modules);
}

LogicalResult emitObject(ModuleOp module, const CPU &cpu, std::optional<ArrayRef<Blob>> blobs,
                         llvm::raw_pwrite_stream &stream) {
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> llvmModule = translateModuleToLLVMIR(module, context, "xf");
  if (!llvmModule)
    return failure();
  std::unique_ptr<llvm::TargetMachine> machine = createTargetMachine(cpu);
  llvmModule->setDataLayout(machine->createDataLayout());
  llvmModule->setTargetTriple(machine->getTargetTriple());
  for (llvm::Function &function : *llvmModule)
    if (!function.isDeclaration()) {
      function.addFnAttr("target-cpu", cpu.name);
      function.addFnAttr("target-features", machine->getTargetFeatureString());
      // The kernels say how wide their vectors are; LLVM must not split them.
      function.addFnAttr("prefer-vector-width", std::to_string(cpu.vectorWidth * 32));
      function.addFnAttr("min-legal-vector-width", std::to_string(cpu.vectorWidth * 32));
      function.addFnAttr(llvm::Attribute::NoUnwind);
    }
  if (blobs)
    addBlobs(*llvmModule, *blobs);

  optimise(*llvmModule, *machine);

  llvm::legacy::PassManager codegen;
  if (machine->addPassesToEmitFile(codegen, stream, nullptr, llvm::CodeGenFileType::ObjectFile))
    return module.emitError() << "the target '" << cpu.triple << "' can't write object files";
  codegen.run(*llvmModule);
  return success();
}
} // namespace mlir::xf
