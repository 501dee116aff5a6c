//===- CUDA.cpp - the images of kernels for GPUs --------------------------===//
// Turns an LLVM-dialect module of one kernel into PTX, that into machine code where the CUDA toolkit's ptxas is found,
// and both into data of an object for the host.
//===----------------------------------------------------------------------===//
#include "Analyses.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "xf/Target/Target.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/InlineAsm.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/Instructions.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Mutex.h"
#include "llvm/Support/Program.h"

namespace mlir::xf {
namespace {
constexpr const char *gpuTriple = "nvptx64-nvidia-cuda";

/// 7.8 is what CUDA 11.8 and every later driver read; Hopper's own instructions came with 12.0, Blackwell with 12.8.
StringRef versionOfPTX(StringRef gpu) {
  return gpu.starts_with("sm_1") ? "87" : isForOneArchitecture(gpu) ? "80" : "78";
}

std::unique_ptr<llvm::TargetMachine> createGPUMachine(StringRef gpu) {
  std::string error;
  llvm::Triple triple(gpuTriple);
  const llvm::Target *target = findTarget(gpuTriple, error);
  std::string features = ("+ptx" + versionOfPTX(gpu)).str();
  return target ? std::unique_ptr<llvm::TargetMachine>(
                      target->createTargetMachine(triple, gpu, features, llvm::TargetOptions(), std::nullopt))
                : nullptr;
}

/// What all threads of a warp or a warpgroup run together must not be copied into the ways of a branch: LLVM knows that
/// of its own instructions, and not of PTX.
void keepTogether(llvm::Module &module) {
  for (llvm::Function &function : module)
    for (llvm::Instruction &instruction : llvm::instructions(function))
      if (auto *call = dyn_cast<llvm::CallInst>(&instruction))
        if (auto *text = dyn_cast<llvm::InlineAsm>(call->getCalledOperand()))
          if (StringRef(text->getAsmString()).contains(".sync.aligned"))
            call->setConvergent();
}

void optimise(llvm::Module &module, llvm::TargetMachine &machine) {
  Analyses analyses(machine);
  analyses.builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O2).run(module, analyses.modules);
}

/// What a program prints, or an error with it.
llvm::Expected<std::string> runProgram(StringRef path, ArrayRef<StringRef> arguments) {
  llvm::SmallString<128> output;
  if (std::error_code code = llvm::sys::fs::createTemporaryFile("xf", "txt", output))
    return llvm::createStringError(code, "can't write a temporary file: " + code.message());
  llvm::scope_exit remover([&] { llvm::sys::fs::remove(output); });
  SmallVector<StringRef> command{path};
  command.append(arguments.begin(), arguments.end());
  std::string message;
  int result =
      llvm::sys::ExecuteAndWait(path, command, std::nullopt, {StringRef(), output.str(), output.str()}, 0, 0, &message);
  auto text = llvm::MemoryBuffer::getFile(output);
  std::string said = text ? (*text)->getBuffer().trim().str() : "";
  if (result != 0)
    return llvm::createStringError("'" + path + "' failed: " + message + said);
  return said;
}

/// What ptxas says of a kernel that is slower than it should be: that registers are in local memory; and that products
/// wait for each other, many times slower (C7510 and others; C7519 says only that it added a fence).
struct Slowness {
  std::string spills, serialized;
  explicit Slowness(StringRef said) {
    for (StringRef line : llvm::split(said, '\n')) {
      int64_t bytes = 0;
      for (StringRef what : {" bytes stack frame", " bytes spill stores", " bytes spill loads"})
        if (size_t at = line.find(what); at != StringRef::npos)
          if (!line.take_front(at).rsplit(' ').second.getAsInteger(10, bytes) && bytes > 0)
            spills = line.trim().str();
      if (line.contains("(C75") && line.contains("serialized"))
        serialized = line.trim().str();
    }
  }
};

/// The machine code that the ptxas of this path makes of `ptx`. `said`: what it says of it.
llvm::Expected<std::string> assemble(StringRef assembler, StringRef ptx, StringRef gpu, std::string &said) {
  llvm::SmallString<128> source, binary;
  int file;
  if (std::error_code code = llvm::sys::fs::createTemporaryFile("xf", "ptx", file, source))
    return llvm::createStringError(code, "can't write a temporary file: " + code.message());
  llvm::scope_exit removeSource([&] { llvm::sys::fs::remove(source); });
  llvm::raw_fd_ostream stream(file, /*shouldClose=*/true);
  stream << ptx;
  stream.close();
  if (std::error_code code = stream.error()) {
    stream.clear_error();
    return llvm::createStringError(code, "can't write a temporary file: " + code.message());
  }
  if (std::error_code code = llvm::sys::fs::createTemporaryFile("xf", "cubin", binary))
    return llvm::createStringError(code, "can't write a temporary file: " + code.message());
  llvm::scope_exit removeBinary([&] { llvm::sys::fs::remove(binary); });
  std::string architecture = ("-arch=" + gpu).str();
  llvm::Expected<std::string> output = runProgram(assembler, {architecture, "-v", source, "-o", binary});
  if (!output)
    return output.takeError();
  said = *output;
  auto code = llvm::MemoryBuffer::getFile(binary, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!code)
    return llvm::createStringError(code.getError(), "can't read what '" + assembler + "' wrote");
  return (*code)->getBuffer().str();
}

/// The machine code of a kernel that is not slow; "" where there is no ptxas. `spills`: what it says of them.
llvm::Expected<std::string> assemble(StringRef ptx, StringRef gpu, std::string &spills) {
  const Assembler &assembler = findAssembler(gpu);
  if (assembler.path.empty())
    return std::string();
  std::string said;
  llvm::Expected<std::string> code = assemble(assembler.path, ptx, gpu, said);
  if (!code)
    return code.takeError();
  Slowness slowness(said);
  if (!slowness.serialized.empty())
    return llvm::createStringError("ptxas makes slow code of it: " + slowness.serialized);
  spills = slowness.spills;
  return code;
}

/// struct XfImage { const char *ptx; int64_t ptxSize; const void *code; int64_t codeSize; }
void addImage(llvm::Module &module, StringRef symbol, StringRef ptx, StringRef code) {
  llvm::LLVMContext &context = module.getContext();
  auto *i64 = llvm::Type::getInt64Ty(context);
  auto addData = [&](StringRef data, bool terminated) {
    auto *value = llvm::ConstantDataArray::getString(context, data, terminated);
    auto *global = new llvm::GlobalVariable(module, value->getType(), true, llvm::GlobalValue::PrivateLinkage, value);
    global->setAlignment(llvm::Align(16));
    return global;
  };
  auto *image = llvm::ConstantStruct::getAnon({addData(ptx, true), llvm::ConstantInt::get(i64, ptx.size()),
                                               addData(code, false), llvm::ConstantInt::get(i64, code.size())});
  auto *global =
      new llvm::GlobalVariable(module, image->getType(), true, llvm::GlobalValue::ExternalLinkage, image, symbol);
  global->setVisibility(llvm::GlobalValue::HiddenVisibility);
}
} // namespace

ArrayRef<StringRef> supportedGPUs() {
  static const StringRef names[] = {"sm_80", "sm_86", "sm_89", "sm_90", "sm_90a", "sm_100", "sm_120"};
  return names;
}

StringRef supportedGPUFor(StringRef architecture) {
  auto numberOf = [](StringRef gpu) {
    unsigned number = 0;
    gpu.consume_front("sm_");
    gpu.consumeInteger(10, number);
    return number;
  };
  StringRef best;
  for (StringRef gpu : supportedGPUs())
    if (isForOneArchitecture(gpu) ? numberOf(gpu) == numberOf(architecture) : numberOf(gpu) <= numberOf(architecture))
      best = gpu;
  return best;
}

const Assembler &findAssembler(StringRef gpu) {
  static llvm::sys::Mutex mutex;
  static llvm::StringMap<Assembler> known;
  std::lock_guard<llvm::sys::Mutex> guard(mutex);
  auto [entry, isNew] = known.try_emplace(gpu);
  Assembler &assembler = entry->second;
  if (!isNew)
    return assembler;
  // Debian's toolkit is on PATH, and older than Hopper; a newer one may lie where NVIDIA puts it.
  StringRef version = versionOfPTX(gpu);
  std::string nothing =
      (".version " + version.take_front(1) + "." + version.drop_front(1) + "\n.target " + gpu + "\n.address_size 64\n")
          .str();
  const char *home = std::getenv("CUDA_HOME");
  std::string toolkit = (home && *home ? home : "/usr/local/cuda") + std::string("/bin");
  StringRef besides = toolkit;
  for (ArrayRef<StringRef> folders : {ArrayRef<StringRef>(), ArrayRef(besides)}) {
    llvm::ErrorOr<std::string> path = llvm::sys::findProgramByName("ptxas", folders);
    if (!path)
      continue;
    llvm::Expected<std::string> said = runProgram(*path, {"--version"});
    if (!said) {
      llvm::consumeError(said.takeError()); // one that can't run is none
      continue;
    }
    std::string unused;
    llvm::Expected<std::string> code = assemble(*path, nothing, gpu, unused);
    if (code)
      return assembler = {*path, *said, ""};
    llvm::consumeError(code.takeError());
    assembler.tooOld = *path;
  }
  return assembler;
}

FailureOr<std::string> emitPTX(ModuleOp module, StringRef gpu, StringRef kernel) {
  std::unique_ptr<llvm::TargetMachine> machine = createGPUMachine(gpu);
  if (!machine)
    return emitError(module.getLoc()) << "this build of LLVM has no target '" << gpuTriple << "'";
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> llvmModule = translateModuleToLLVMIR(module, context, "xf");
  if (!llvmModule)
    return failure();
  llvmModule->setTargetTriple(llvm::Triple(gpuTriple));
  llvmModule->setDataLayout(machine->createDataLayout());
  keepTogether(*llvmModule);
  optimise(*llvmModule, *machine);
  llvm::SmallString<0> ptx;
  llvm::raw_svector_ostream ptxStream(ptx);
  llvm::legacy::PassManager codegen;
  if (machine->addPassesToEmitFile(codegen, ptxStream, nullptr, llvm::CodeGenFileType::AssemblyFile))
    return emitError(module.getLoc()) << "the target '" << gpuTriple << "' can't write assembly";
  codegen.run(*llvmModule);
  // An array that LLVM could not keep in registers; ptxas would tell, but may not be there.
  if (StringRef(ptx).contains("__local_depot"))
    return emitError(module.getLoc()) << "kernel '" << kernel << "' keeps an array in local memory at stage 'link'";
  // libdevice's functions are in no driver: a call that is left would fail where the program runs.
  if (size_t call = StringRef(ptx).find("__nv_"); call != StringRef::npos)
    return emitError(module.getLoc()) << "kernel '" << kernel << "' calls '"
                                      << StringRef(ptx).substr(call, 32).split(',').first
                                      << "' of libdevice at stage 'link'";
  return std::string(ptx);
}

LogicalResult emitImage(ModuleOp module, const CPU &host, StringRef gpu, StringRef kernel,
                        llvm::raw_pwrite_stream &stream, std::string &spills) {
  FailureOr<std::string> ptx = emitPTX(module, gpu, kernel);
  if (failed(ptx))
    return failure();
  llvm::Expected<std::string> code = assemble(*ptx, gpu, spills);
  if (!code)
    return emitError(module.getLoc()) << "kernel '" << kernel
                                      << "' at stage 'link': " << llvm::toString(code.takeError());

  std::unique_ptr<llvm::TargetMachine> hostMachine = createTargetMachine(host);
  llvm::LLVMContext context;
  llvm::Module object("xf", context);
  object.setTargetTriple(llvm::Triple(host.triple));
  object.setDataLayout(hostMachine->createDataLayout());
  addImage(object, imageName(kernel), *ptx, *code);
  llvm::legacy::PassManager write;
  if (hostMachine->addPassesToEmitFile(write, stream, nullptr, llvm::CodeGenFileType::ObjectFile))
    return emitError(module.getLoc()) << "the target '" << host.triple << "' can't write object files";
  write.run(object);
  return success();
}
} // namespace mlir::xf
