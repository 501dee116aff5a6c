//===- Compile.h - what xf-compile does -------------------------*- C++ -*-===//
// The command line as a structure, and the run. No MLIR here: the tool that parses options needs none.
//===----------------------------------------------------------------------===//
#ifndef XF_DRIVER_COMPILE_H
#define XF_DRIVER_COMPILE_H

#include <cstdint>
#include <string>
#include <vector>

namespace xf {
struct CompileOptions {
  std::string input, output;
  std::string emit = "exe"; // or shared, static, object
  std::vector<std::string> functions;
  std::string vocab, sourceVocab, targetVocab, weights, weightsMap;
  std::string target = "cpu", cpu = "native", recompute = "none"; // target: or cuda
  std::string gpu;                                                // of target cuda; empty: sm_80
  std::string quantize = "none"; // or int8: how predictions read the weights of products
  std::string precision = "f32"; // or bf16: what kernels hand each other; or tf32: what products on a GPU take of it
  std::string compileTo, compileFrom, dumpStages;
  std::string check;           // a folder for what the stages are checked with
  std::string tune, schedules; // a file of schedules to be measured and written, or read
  bool printInput = false, timing = false, verbose = false;
  std::string fit;    // bytes of memory, for which the largest batches are printed
  std::string report; // "-": as text to stdout; a page's file; empty: none
  int64_t reportTokens = 4096,
          reportSequences =
              0; // of the batch that it counts, --tune runs and --recompute is for; 0: sequences of 25 tokens
  bool cache = true;
  unsigned cacheSize = 256; // MiB
  unsigned threads = 0;     // 0: one a core
};

/// Compiles; messages go to stderr. Returns the exit code: 0, 1 (the user's mistake) or 2 (ours).
int compile(const CompileOptions &options);

/// The presets, a line each, for --list-presets.
std::string listPresets();
} // namespace xf

#endif
