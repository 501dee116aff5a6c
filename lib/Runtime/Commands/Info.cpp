//===- Info.cpp - The command `info` ----------------------------------------------------===//
// What the executable is: parameters, vocabulary, memory as a function of tokens, target, options.
//===--------------------------------------------------------------------------------===//
#include "Commands.h"
#include "xf/Runtime/Loading.h"

#include <fmt/format.h>
#include <utility>

using namespace xf::runtime;

static void line(std::string_view what, std::string_view text) { printResult("{:<14} {}\n", what, text); }

/// "key=value key=value" of a flat JSON object, on as many lines as it fills.
static void keys(std::string_view what, const nlohmann::json &object) {
  constexpr size_t most = 100 - 15; // columns, behind `what`
  std::string text;
  for (const auto &[key, value] : object.items()) {
    if (key == "computes") // for files of weights
      continue;
    std::string item = key + "=" + (value.is_string() ? value.get<std::string>() : value.dump());
    if (!text.empty() && text.size() + 1 + item.size() > most) {
      line(std::exchange(what, ""), text);
      text.clear();
    }
    text += (text.empty() ? "" : " ") + item;
  }
  line(what, text);
}

namespace {
struct InfoOptions {
  int64_t fit = 0, tokens = 0, sequences = 0;
};
} // namespace

/// What each function takes for one batch.
static void printWorkspaces(Session &session, const InfoOptions &options) {
  int64_t sequences = options.sequences ? options.sequences : usualSequences(options.tokens);
  for (const Function &function : session.program.functions)
    if (function.name != "prepare")
      line("  " + function.name,
           fmt::format("workspace {} bytes",
                       withCommas(workspaceBytes(function, dimsOfBatch(function, options.tokens, sequences)))));
  for (const Use &use : usesOf(session.program)) {
    Needs needs = needsOf(session.program, use, options.tokens, sequences, session.teamSize());
    line("  " + use.name, "in " + needs.text() + (session.program.gpu.empty() ? "" : ", and " + needs.textHere()));
  }
}

/// " (12 on tensor cores by mma.sync, 3 by wgmma)".
static std::string forms(const Program &program) {
  std::map<std::string_view, int> counts;
  for (const Kernel &kernel : program.kernels)
    if (!kernel.form.empty())
      ++counts[kernel.form];
  std::string text;
  for (auto [form, count] : counts)
    text += fmt::format("{}{} by {}", text.empty() ? " (on tensor cores " : ", ", count, form);
  return text.empty() ? text : text + ")";
}

/// "'NVIDIA H100' (sm_90, 79.65 GiB) is here".
static std::string gpuHere() {
  Expected<Device::Facts> found = Device::find();
  return found ? fmt::format("'{}' ({}, {}) is here", found->name, found->architecture, formatBytes(found->memory))
               : "here is none: " + found.error().message;
}

static int64_t bytesOfPredictions(const Program &program) {
  std::vector<const Function *> functions;
  for (const char *name : {"encode", "decode", "classify"})
    if (const Function *function = program.function(name))
      functions.push_back(function);
  return Loading(program, functions).bytes;
}

static Expected<int> info(Session &session, const InfoOptions &options) {
  if (options.sequences && !options.tokens && !options.fit)
    return userError("--sequences is of a batch: expected --tokens or --fit as well");
  if (options.tokens && options.sequences > options.tokens)
    return userError(
        fmt::format("expected --sequences to be at most --tokens ({}), but got {}", options.tokens, options.sequences));
  if (options.fit) {
    printResult("{}", describeFit(session.program, options.fit, options.sequences, session.teamSize()));
    return 0;
  }
  const Program &program = session.program;
  int64_t elements = 0;
  for (const Parameter &parameter : program.parameters)
    elements += parameter.elements();
  int64_t bytes = program.parameterElements * 4;
  line("model", fmt::format("{} ({})", program.name, program.kind));
  keys("configuration", program.model);
  line("parameters",
       fmt::format("{} in {} tensors, {}", withCommas(elements), program.parameters.size(), formatBytes(bytes)));
  if (int64_t source = session.vocabularySize("source"), target = session.vocabularySize("target"); source || target) {
    bool any = session.blob("vocabulary") || session.blob("source_vocabulary") || session.blob("target_vocabulary");
    std::string embedded = any ? "embedded" : "none embedded: text commands read and write token ids";
    line("vocabulary",
         source == target ? fmt::format("{} ({})", withCommas(source), embedded)
                          : fmt::format("source {}, target {} ({})", withCommas(source), withCommas(target), embedded));
  }
  line("weights", session.blob("weights") ? "embedded" : "none embedded: pass --model");
  line("target", program.gpu.empty()
                     ? fmt::format("{}, CPU {} ({})", program.triple, program.cpu, fmt::join(program.features, " "))
                     : fmt::format("{}, GPU {} {}; {}", program.triple, program.gpu,
                                   program.gpu.ends_with("a") ? "alone" : "and newer", gpuHere()));
  if (program.hasTwin)
    line("devices", fmt::format("cuda, cpu; this is --device={}", session.device));
  if (!program.options.empty())
    keys("compiled with", program.options);
  std::vector<std::string_view> names;
  for (const Function &function : program.functions)
    if (function.name != "prepare") // called where it is needed
      names.push_back(function.name);
  line("functions", fmt::format("{}; {} kernels{}", fmt::join(names, " "), program.kernels.size(), forms(program)));
  std::string memory = fmt::format("parameters {}", formatBytes(bytes));
  if (program.function("train_step"))
    memory += fmt::format("; training adds gradients and moments, {}", formatBytes(3 * bytes));
  if (program.function("train_step") && !program.gpu.empty())
    memory += fmt::format("; checkpoints take {} of this machine's", formatBytes(3 * bytes));
  if (program.preparedElements && !program.gpu.empty())
    memory += fmt::format("; predicting adds weights as it reads them, {}", formatBytes(4 * program.preparedElements));
  else if (program.preparedElements)
    memory += fmt::format("; where it predicts, weights take {}", formatBytes(bytesOfPredictions(program)));
  line("memory", memory);
  if (options.tokens) {
    printWorkspaces(session, options);
    return 0;
  }
  for (const char *name : {"train_step", "loss", "encode", "classify"})
    if (const Function *function = program.function(name)) {
      std::vector<std::string> sizes;
      for (int64_t tokens : {1024, 4096, 16384})
        sizes.push_back(fmt::format(
            "{} tokens {}", withCommas(tokens),
            formatBytes(workspaceBytes(*function, dimsOfBatch(*function, tokens, usualSequences(tokens))))));
      line(fmt::format("  {}", name), fmt::format("workspace for {}", fmt::join(sizes, ", ")));
    }
  return 0;
}

void xf::runtime::addInfo(CLI::App &app, Session &session, Action &action) {
  auto options = std::make_shared<InfoOptions>();
  CLI::App *command = app.add_subcommand("info", "Print what this executable is, and what memory it takes");
  addDeviceOption(*command, session);
  command->add_option("--tokens", options->tokens, "Print the exact memory for a batch of so many tokens a side")
      ->default_str("for some")
      ->check(CLI::Range(1, 1 << 30));
  command->add_option("--sequences", options->sequences, "In so many sequences")
      ->default_str("one in 25 tokens")
      ->check(CLI::Range(1, 1 << 30));
  addBytesOption(*command, "--fit", options->fit, "Print the largest batch that takes no more memory (such as 2GiB)");
  command->add_option("--threads", session.threads, "Threads that compute, each with memory of its own")
      ->default_str("one a core")
      ->check(CLI::Range(1, Team::most));
  command->callback([&session, &action, options] { action = [&session, options] { return info(session, *options); }; });
}
