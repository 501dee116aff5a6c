//===- Target.h - from scheduled kernels to an object -----------*- C++ -*-===//
// The stages target and link: the program's description, the lowering to LLVM, machine code, and the executable.
//===----------------------------------------------------------------------===//
#ifndef XF_TARGET_TARGET_H
#define XF_TARGET_TARGET_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"
#include "llvm/Support/Error.h"
#include "llvm/Target/TargetMachine.h"

namespace mlir::xf {
#define GEN_PASS_DECL
#include "xf/Target/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "xf/Target/Passes.h.inc"

/// The processor that code is made for.
struct CPU {
  std::string triple, name;               // name as LLVM's -mcpu knows it; "native" is resolved
  std::string features;                   // LLVM's "+avx2,+fma,..."
  std::vector<std::string> requirements;  // what the executable checks at start-up, in LLVM's words
  unsigned vectorWidth = 4;               // f32 in a register
  unsigned registers = 16;                // vector registers
  unsigned l1 = 32 << 10, l2 = 512 << 10; // bytes of a core's caches of data

  bool isX86() const { return llvm::Triple(triple).isX86(); }
};

/// Resolves `name` ("native", "x86-64-v3", "znver4", "neoverse-n1", ...) or says what is wrong with it.
llvm::Expected<CPU> resolveCPU(llvm::StringRef name);

/// LLVM's target of this triple; null, and an error, where it has none.
const llvm::Target *findTarget(llvm::StringRef triple, std::string &error);

/// A machine that generates position-independent code for `cpu`.
std::unique_ptr<llvm::TargetMachine> createTargetMachine(const CPU &cpu);

/// For how many blocks a processor must have registers; given before `schedule`, it is not chosen there.
constexpr llvm::StringLiteral leastBlocks = "xf.least_blocks";

/// What stage `schedule` says of a kernel's launch, in attributes of its function.
constexpr llvm::StringLiteral launchFacts[] = {
    "xf.schedule",    "xf.grid",      "xf.scratch", "xf.threads", "xf.shared",        "xf.blocks_per_processor",
    "xf.tensor_maps", "xf.own_bytes", "xf.form",    "xf.stages",  "xf.shared_in_all", "xf.workspace",
    "xf.grid_sum",    leastBlocks};

/// Whether a module, or a kernel alone, has what stages `plan` and `schedule` leave for `target`.
LogicalResult checkScheduled(ModuleOp module);
LogicalResult checkScheduled(func::FuncOp kernel);

/// The description of docs/Program.md, as JSON, of a module after `schedule`; `kernels` receives the kernels in the
/// order of their numbers.
FailureOr<std::string> describeProgram(ModuleOp module, const CPU &cpu, StringRef gpu,
                                       SmallVectorImpl<std::string> &kernels);

/// Adds the passes that take scheduled kernels and their entry functions to the LLVM dialect.
void buildLowerToLLVM(OpPassManager &pm);

/// Registers buildLowerToLLVM as the pipeline xf-lower-to-llvm.
void registerLowerToLLVMPipeline();

/// A file to carry inside the executable under a name ("source_vocabulary", "weights").
struct Blob {
  std::string name, path;
};

/// Translates a module after `target` to LLVM IR, optimises it, and writes an object file. The table of files is in the
/// program's object; kernels compiled by themselves go without.
LogicalResult emitObject(ModuleOp module, const CPU &cpu, std::optional<ArrayRef<Blob>> blobs,
                         llvm::raw_pwrite_stream &stream);

/// GPUs that kernels are compiled for, as LLVM and ptxas name them.
ArrayRef<StringRef> supportedGPUs();
/// The one of these whose kernels run best on a GPU of `architecture` ("sm_90"); "" where none run on it.
StringRef supportedGPUFor(StringRef architecture);
/// Whether code for it runs on GPUs of this architecture alone, as that for sm_90a does.
inline bool isForOneArchitecture(StringRef gpu) { return gpu.ends_with("a"); }

/// The CUDA toolkit's assembler for a GPU, on PATH, in $CUDA_HOME or in /usr/local/cuda, and what tells it from another
/// version of it; "" where there is none, and the driver will translate. `tooOld`: the path of one that knows no such
/// GPU, where it is all there is.
struct Assembler {
  std::string path, version, tooOld;
};
const Assembler &findAssembler(StringRef gpu);

/// The function of a kernel's image that is launched, and the symbol of the image in its object for the host.
constexpr llvm::StringLiteral gpuEntryName = "xf_kernel";
inline std::string imageName(StringRef kernel) { return (kernel + ".image").str(); }

/// The PTX of a module of one kernel, after xf-emit-gpu-entries and buildLowerToLLVM.
FailureOr<std::string> emitPTX(ModuleOp module, StringRef gpu, StringRef kernel);

/// Writes the object for the host that holds the image of one kernel: its PTX, and what ptxas makes of it where it is
/// found (`struct XfImage` of lib/Runtime). `spills`: what ptxas says of registers that it keeps in local memory, ""
/// where there are none.
LogicalResult emitImage(ModuleOp module, const CPU &host, StringRef gpu, StringRef kernel,
                        llvm::raw_pwrite_stream &stream, std::string &spills);

enum class OutputKind { Executable, Shared, Static, Object };

/// The file `name` that objects (the program's, and an archive of its kernels) are linked to, for all but an object
/// with the runtime, whose parts and the C++ library's lie in the folder `kit`. A library's symbols are `model`_open
/// and `model`_open_on, which a shared one has as `xf_library_open_on`, too. Nothing is written: whoever does can tell
/// a full disk.
llvm::Expected<std::string> linkProgram(OutputKind kind, const CPU &cpu, ArrayRef<StringRef> objects, StringRef kit,
                                        StringRef model, StringRef name,
                                        bool hasText); // a library translates and generates, where its model does
} // namespace mlir::xf

#endif
