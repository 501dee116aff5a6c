//===- Session.h - A model ready to be run --------------------------------------------===//
// What every command works with: the program, its kernels and embedded files, and the team and
// executor that are started when first needed.
//===--------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_SESSION_H
#define XF_RUNTIME_SESSION_H

#include "xf/Runtime/Object.h"
#include "xf/Runtime/Output.h"
#include "xf/Runtime/Parameters.h"

#include <functional>
#include <memory>

namespace xf::runtime {

class Session {
public:
  Session(Program program, std::span<const KernelFunction> kernels, std::span<const XfBlob> blobs,
          std::span<const XfImage *const> images = {})
      : program(std::move(program)), kernels(kernels), blobs(blobs), images(images) {}
  /// The model that this code is linked with: its program for "cpu", or, where it has one for GPUs, that one.
  static Expected<std::unique_ptr<Session>> open(std::string_view device, bool isLibrary);

  const Program program;

  /// Options that all commands share; they take effect when the executor starts.
  std::string device = program.gpu.empty() ? "cpu" : "cuda"; // which program this is
  int threads = 0;                                           // 0: one a core
  int64_t memory = 0;                                        // bytes that may be taken; 0: what there is
  std::string profile;                                       // "-": as text to stderr; a page's file; empty: none

  /// Where warnings go: a library has them asked for.
  std::function<void(std::string_view)> warn = [](std::string_view text) { say("warning: {}\n", text); };

  Executor &executor();
  /// Measures this machine and lets the executor time what it runs, if `profile` asks for it.
  Expected<void> startProfile();
  /// Forgets what was timed so far.
  void restartProfile() { report.clear(); }
  /// Writes what was timed.
  Expected<void> writeProfile() const;
  /// Another number of threads from now on; where a GPU computes, one is enough.
  void setThreads(int count);
  int teamSize() const { return Team::sizeOf(program.gpu.empty() ? threads : 1); }

  /// That there is no such device to choose.
  Error hasNoDevice(std::string_view asked) const;

  /// An embedded file, if it is there.
  std::optional<std::span<const char>> blob(std::string_view name) const;

  /// What weights say of the model they were trained as, besides shapes: its keys that change what it computes, and
  /// its vocabularies' checksums.
  Safetensors::Metadata identity() const;
  /// Where what a file says of its model is not this one: "heads=4 where this executable has heads=2".
  std::vector<std::string> differences(const Safetensors &file) const;

  /// Parameters of `model` (a file or a run's folder; empty: the embedded weights). Warns of weights of a model that
  /// computes other things.
  Expected<Safetensors> openModel(const std::string &model) const;
  /// The same, loaded for calls of these functions and no others; of names that the program has not, nothing.
  Expected<ModelState> loadModel(const std::string &model, std::initializer_list<std::string_view> functions);
  /// Has `fill` write the parameters that the functions read, and computes what they read besides them. What is read
  /// in its prepared form alone is gone then, but where a GPU computes (Loading.h).
  using Fill = std::function<void(size_t parameter, float *to)>;
  Expected<void> load(const ModelState &model, std::span<const Function *const> functions, const Fill &fill);
  /// The same from a file, which must have the model's parameters.
  Expected<void> load(const ModelState &model, std::span<const Function *const> functions, const Safetensors &file);
  /// Computes what predictions read besides the parameters, of parameters that are all there, where `model` has room.
  Expected<void> prepare(const ModelState &model);

  /// Whether the program has what translating, or generating text, takes.
  bool translates() const { return program.kind == "sequence_to_sequence" && has("encode") && has("decode"); }
  bool generates() const { return program.kind == "language_model" && has("decode"); }

  /// Tokens that the model knows, by its tables and losses: `which` is "source" or "target"; the only side answers for
  /// both. 0: it reads none.
  int64_t vocabularySize(std::string_view which) const;

  /// Tokens that a side can have, marks included, where positions are learned; 0: any number. What a language model
  /// reads is its target, and its only side.
  int64_t longestSource() const { return least(Requirement::Longest, {"source_offsets"}); }
  int64_t longestTarget() const {
    int64_t longest = least(Requirement::Longest, {"target_offsets", "offsets"});
    return longest ? longest : least(Requirement::Below, {"positions"}); // where there is `decode` alone
  }

private:
  bool has(std::string_view function) const { return program.function(function) != nullptr; }
  /// The smallest number that a function sets an input of such a name; 0: there is none.
  int64_t least(Requirement::Kind kind, std::initializer_list<std::string_view> names) const;

  std::span<const KernelFunction> kernels;
  std::span<const XfBlob> blobs;
  std::span<const XfImage *const> images;
  std::unique_ptr<Team> team;
  std::unique_ptr<Executor> runner;
  Report report{program};
};

/// Whether ids, offsets and rows point at what is there, given inputs that are bound to `dims`: kernels do not look.
Expected<void> checkRequirements(const Function &function, std::span<const TensorView> inputs,
                                 std::span<const int64_t> dims);

/// Whether this machine has what the program was compiled for; the message names what it lacks.
Expected<void> checkProcessor(const Program &program);

/// "1,234,944".
std::string withCommas(int64_t value);

} // namespace xf::runtime

#endif // XF_RUNTIME_SESSION_H
