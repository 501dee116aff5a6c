//===- Needs.cpp - Memory, told before anything runs --------------------------------===//
// Sums over what is allocated, all of it known from the program's description; of the process itself, what was measured
// once.
//===--------------------------------------------------------------------------------===//
#include "xf/Runtime/Needs.h"
#include "xf/Runtime/Executor.h"
#include "xf/Runtime/Loading.h"
#include "xf/Runtime/Report.h"

#include <fmt/format.h>
#include <set>

using namespace xf::runtime;

int64_t xf::runtime::scratchBytes(const Program &program) {
  int64_t bytes = 0;
  for (const Kernel &kernel : program.kernels)
    bytes = std::max(bytes, kernel.scratch);
  return (bytes + arenaAlignment - 1) / arenaAlignment * arenaAlignment;
}

int64_t xf::runtime::ownBytes(const Program &program) {
  int64_t bytes = 0;
  for (const Kernel &kernel : program.kernels)
    bytes += kernel.launch.ownBytes;
  return bytes;
}

/// Of what goes in and comes out: by name, for what one function gives another takes.
static int64_t batchBytes(std::span<const Call> calls) {
  std::map<std::string, int64_t> tensors;
  for (const auto &[function, dims] : calls)
    for (const std::vector<TensorType> *types : {&function->inputs, &function->outputs})
      for (const TensorType &type : *types) {
        // Lists of a batch are made of others: for a moment there are two.
        int64_t copies = types == &function->inputs && type.type == ElementType::I32 ? 2 : 1;
        int64_t &bytes = tensors[type.name];
        bytes = std::max(bytes, copies * TensorView{type.name, type.type, type.shapeAt(dims)}.bytes());
      }
  int64_t sum = 0;
  for (const auto &[name, bytes] : tensors)
    sum += bytes;
  return sum;
}

/// Of a GPU's memory: what DeviceRunner allocates there. Gradients, and weights as predictions read them, stay there.
static Needs needsOnDevice(const Program &program, std::span<const Call> calls) {
  Needs needs;
  std::vector<const Function *> functions;
  bool moments = false;
  int64_t pinned = 0;
  for (const auto &[function, dims] : calls) {
    functions.push_back(function);
    moments |= function->usesMoments;
    CallRoom room(*function, dims, workspaceBytes(*function, dims));
    pinned = std::max(pinned, 2 * room.slotsBegin); // of the call that runs, and of the next one
    if (room.bytes > needs.workspace + needs.batch) {
      needs.batch = room.slotsBegin;
      needs.workspace = room.bytes - room.slotsBegin;
    }
  }
  needs.arrays = arenaBytesOnDevice(program, functions);
  needs.kernels = ownBytes(program);
  needs.arraysHere = int64_t(sizeof(float)) * program.parameterElements * (1 + 2 * moments);
  needs.batchesHere = batchBytes(calls) + pinned;
  return needs;
}

Needs xf::runtime::needsOf(const Program &program, std::span<const Call> calls, int threads) {
  if (!program.gpu.empty())
    return needsOnDevice(program, calls);
  // The code, the C library's own, and the description as it is kept (a bit more than four times its text).
  constexpr int64_t code = int64_t(9) << 19, thread = int64_t(64) << 10;
  Needs needs;
  needs.process = code + 42 * program.descriptionBytes / 10 + threads * (thread + scratchBytes(program));
  bool gradients = false, moments = false;
  std::vector<const Function *> functions;
  for (const auto &[function, dims] : calls) {
    functions.push_back(function);
    gradients |= function->usesGradients;
    moments |= function->usesMoments;
    needs.workspace = std::max(needs.workspace, workspaceBytes(*function, dims));
  }
  needs.batch = batchBytes(calls);
  needs.arrays = gradients || moments
                     ? int64_t(sizeof(float)) * program.parameterElements * (1 + gradients + 2 * moments)
                     : Loading(program, functions).bytes;
  return needs;
}

std::string Needs::text() const {
  return fmt::format("{} (parameters and what goes with them {}, workspace {}, batch {}{}{})", formatBytes(total()),
                     formatBytes(arrays), formatBytes(workspace), formatBytes(batch),
                     process ? ", the process " + formatBytes(process) : "",
                     kernels ? ", the kernels' own " + formatBytes(kernels) : "");
}

std::string Needs::textHere() const {
  return fmt::format("{} of this machine's memory besides the process (what is loaded and saved {}, batches {})",
                     formatBytes(here()), formatBytes(arraysHere), formatBytes(batchesHere));
}

std::vector<Use> xf::runtime::usesOf(const Program &program) {
  std::vector<Use> uses;
  auto add = [&](const char *name, std::initializer_list<const char *> functions) {
    Use use{name, {}};
    for (const char *function : functions)
      if (const Function *found = program.function(function))
        use.functions.push_back(found);
    if (!use.functions.empty())
      uses.push_back(std::move(use));
    return !use.functions.empty();
  };
  add("trains", {"train_step"});
  if (program.function("encode") || program.function("decode"))
    add("infers", {"encode", "decode"});
  else if (!add("infers", {"classify"}))
    add("infers", {"loss"});
  return uses;
}

Needs xf::runtime::needsOf(const Program &program, const Use &use, int64_t tokens, int64_t sequences, int threads) {
  std::vector<Call> calls;
  for (const Function *function : use.functions)
    calls.push_back({function, dimsOfBatch(*function, tokens, sequences)});
  return needsOf(program, calls, threads);
}

int64_t xf::runtime::largestThatFits(const std::function<bool(int64_t)> &fits, int64_t tooMany) {
  int64_t most = 0;
  while (tooMany - most > 1) {
    int64_t middle = (most + tooMany) / 2;
    (fits(middle) ? most : tooMany) = middle;
  }
  return most;
}

std::string xf::runtime::describeFit(const Program &program, int64_t bytes, int64_t sequences, int threads) {
  auto sequencesOf = [&](int64_t tokens) { return sequences ? sequences : usualSequences(tokens); };
  std::string of =
      program.gpu.empty() ? fmt::format("with {} thread{}", threads, threads == 1 ? "" : "s") : "of a GPU's memory";
  std::string text =
      fmt::format("{} in {} {}: tokens a side of the largest batch, in {}\n", program.name, formatBytes(bytes), of,
                  sequences ? fmt::format("{} sequences", sequences) : "sequences of 25");
  for (const Use &use : usesOf(program)) {
    auto needs = [&](int64_t tokens) { return needsOf(program, use, tokens, sequencesOf(tokens), threads); };
    int64_t most = largestThatFits([&](int64_t tokens) { return needs(tokens).total() <= bytes; },
                                   std::min(bytes, int64_t(1) << 40));
    text += fmt::format("{:<8} {:>10}  {} {}\n", use.name, most, most ? "needs" : "one token would need",
                        needs(std::max<int64_t>(most, 1)).text());
  }
  return text;
}
