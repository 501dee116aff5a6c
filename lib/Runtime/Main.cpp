//===- Main.cpp - The executable's entry ------------------------------------------------===//
// Reads the description, offers the commands that the model's functions make possible, and is the
// only place that prints errors and turns them into exit codes.
//===--------------------------------------------------------------------------------===//
#include "Commands/Classes.h"
#include "xf/Runtime/CommandLine.h"

#include <algorithm>
#include <csignal>
#include <exception>
#include <fmt/format.h>

using namespace xf::runtime;

static int fail(const Error &error) {
  (void)bool(flushResults());
  say("error: {}{}\n", error.message, error.exitCode == 2 ? "\nthis is a defect of xf, not of your input" : "");
  return error.exitCode;
}

/// What `--device` asks for, before it is known which commands there are: they follow from the program.
static std::string_view askedDevice(int argc, char **argv) {
  constexpr std::string_view option = "--device";
  for (int i = 1; i < argc; ++i) {
    std::string_view argument = argv[i];
    if (argument == option && i + 1 < argc)
      return argv[i + 1];
    if (argument.starts_with(option) && argument.substr(option.size()).starts_with('='))
      return argument.substr(option.size() + 1);
  }
  return "";
}

static Expected<int> start(int argc, char **argv) {
  Expected<std::unique_ptr<Session>> opened = Session::open(askedDevice(argc, argv), /*isLibrary=*/false);
  if (!opened)
    return opened.error();
  Session &session = **opened;

  CLI::App app(fmt::format("{}: a model compiled by xf", session.program.name));
  app.require_subcommand(1);
  app.option_defaults()->always_capture_default();
  if (!session.program.gpu.empty())
    app.footer("The first GPU computes; CUDA_VISIBLE_DEVICES=N in the environment takes another one.");
  Action action;
  auto has = [&](std::string_view function) { return session.program.function(function) != nullptr; };
  addInfo(app, session, action);
  // Batches of text have these; a model that takes more gets it from `run`, or a library's caller.
  constexpr std::string_view kindsOfText[] = {"sequence_to_sequence", "language_model", "classifier"};
  auto reads = [&](std::string_view name) {
    constexpr std::string_view known[] = {"source_ids", "source_offsets", "target_ids",   "target_offsets",
                                          "ids",        "offsets",        "labels",       "random",
                                          "hyper",      "queries",        "query_offsets"};
    const Function *function = session.program.function(name);
    return std::ranges::count(kindsOfText, session.program.kind) && function &&
           std::ranges::all_of(function->inputs,
                               [&](const TensorType &input) { return std::ranges::count(known, input.name) > 0; });
  };
  if (reads("train_step"))
    addTrain(app, session, action);
  if (has("train_step")) {
    addAverage(app, session, action);
    addReport(app, session, action);
  }
  if (reads("loss"))
    addEvaluate(app, session, action);
  if (session.translates())
    addTranslate(app, session, action);
  if (session.translates() && has("attention"))
    addAttention(app, session, action);
  if (session.generates())
    addGenerate(app, session, action);
  if (session.program.kind == "encoder" && has("encode"))
    addEmbed(app, session, action);
  if (reads("classify"))
    addClassify(app, session, action);
  addRun(app, session, action);
  if (has("loss") && has("gradients"))
    addGradcheck(app, session, action);

  std::vector<std::string> commands;
  for (const CLI::App *command : app.get_subcommands([](const CLI::App *) { return true; }))
    commands.push_back(command->get_name());
  std::string first = argc > 1 ? argv[1] : "";
  bool asksHelp = first == "-h" || first == "--help" || first == "--help-all";
  if (!asksHelp && std::find(commands.begin(), commands.end(), first) == commands.end())
    return userError(fmt::format("{}; this executable has {} (they follow from the model, and from xf-compile's "
                                 "--functions)",
                                 first.empty()     ? "expected a command"
                                 : first[0] == '-' ? "expected a command before '" + first + "'"
                                                   : "there is no command '" + first + "'",
                                 fmt::join(commands, ", ")));
  Expected<std::optional<int>> done = parseCommandLine(app, argc, argv, {"--output", "--profile"});
  if (!done)
    return done.error();
  if (*done)
    return **done;
  if (Expected<void> started = session.startProfile(); !started)
    return started.error();
  Expected<int> code = action();
  if (Expected<void> written = session.writeProfile(); !written && code)
    return written.error();
  return code;
}

int main(int argc, char **argv) {
  std::signal(SIGPIPE, SIG_DFL); // as other filters do: `translate | head` ends quietly
  std::signal(SIGXFSZ, SIG_IGN); // a limit of files' sizes is an error of the write
  try {
    Expected<int> code = start(argc, argv);
    if (!code)
      return fail(code.error());
    if (Expected<void> flushed = flushResults(); !flushed)
      return fail(flushed.error());
    return *code;
  } catch (const Raised &raised) {
    return fail(raised.error);
  } catch (const std::bad_alloc &) {
    return fail(userError(fmt::format("not enough memory; {} is available", formatBytes(availableMemory()))));
  } catch (const std::exception &unexpected) {
    return fail(internalError(unexpected.what()));
  }
}
