//===- Needs.h - Memory, told before anything runs ----------------------------------===//
// What a model takes for a batch, as a function of its dims alone: the compiler's `--fit`, the executable's `info` and
// the refusal of a batch that is too large are made of the same numbers.
//===--------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_NEEDS_H
#define XF_RUNTIME_NEEDS_H

#include "xf/Runtime/Program.h"

#include <functional>

namespace xf::runtime {

struct Needs {
  int64_t arrays = 0;    // parameters and, as far as they are used, gradients and moments, or weights as prepared
  int64_t workspace = 0; // the arena of temporaries
  int64_t batch = 0;     // what goes in and comes out
  int64_t process = 0;   // the program itself, its threads and their scratch memory; not where a GPU computes
  int64_t kernels = 0;   // what kernels for a GPU bring with them
  // Where a GPU computes all this is of its memory. Of this machine's, besides what the process had before: arrays that
  // are loaded, drawn or saved, and batches, also where the GPU copies from and to.
  int64_t arraysHere = 0, batchesHere = 0;
  /// What is taken before the first call.
  int64_t standing() const { return process + kernels; }
  int64_t total() const { return arrays + workspace + batch + standing(); }
  int64_t here() const { return arraysHere + batchesHere; }
  /// "513.2 MiB (parameters, gradients and moments 72.1 MiB, ...)".
  std::string text() const;
  std::string textHere() const;
};

/// A call, but for its tensors.
struct Call {
  const Function *function = nullptr;
  std::vector<int64_t> dims;
};

/// What calls, one after another, take: of this machine's memory, or of a GPU's where that computes.
Needs needsOf(const Program &program, std::span<const Call> calls, int threads);

/// Bytes of scratch memory that a worker takes, whichever kernel it runs.
int64_t scratchBytes(const Program &program);

/// Bytes of a GPU's memory that all kernels bring with them: they are loaded together.
int64_t ownBytes(const Program &program);

/// What an executable is for: training, or what its model predicts.
struct Use {
  std::string name; // "trains", "infers"
  std::vector<const Function *> functions;
};
std::vector<Use> usesOf(const Program &program);

/// A batch of so many tokens a side in so many sequences.
Needs needsOf(const Program &program, const Use &use, int64_t tokens, int64_t sequences, int threads);

/// Sequences of a batch of which nothing more is known: of 25 tokens.
inline int64_t usualSequences(int64_t tokens) { return std::max<int64_t>(tokens / 25, 1); }

/// The most for which `fits` holds, while for one more, and for `tooMany`, it does not; 0: none.
int64_t largestThatFits(const std::function<bool(int64_t)> &fits, int64_t tooMany);

/// What `--fit` prints: a line for each use. `sequences` 0: as usual.
std::string describeFit(const Program &program, int64_t bytes, int64_t sequences, int threads);

} // namespace xf::runtime

#endif // XF_RUNTIME_NEEDS_H
