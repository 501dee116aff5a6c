//===- Commands.h - The commands of an executable --------------------------------------===//
// One file a command; each adds itself with its options and leaves behind what to do when chosen.
// Results go to stdout, everything else to stderr.
//===--------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_COMMANDS_COMMANDS_H
#define XF_RUNTIME_COMMANDS_COMMANDS_H

#include "xf/Runtime/MemoryCheck.h"
#include "xf/Runtime/Output.h"
#include "xf/Runtime/Session.h"
#include "xf/Runtime/Tensor.h"

#include <CLI/CLI.hpp>
#include <filesystem>
#include <functional>

namespace xf::runtime {

/// What the chosen command does; the value is the exit code.
using Action = std::function<Expected<int>()>;

void addInfo(CLI::App &app, Session &session, Action &action);
void addRun(CLI::App &app, Session &session, Action &action);
void addGradcheck(CLI::App &app, Session &session, Action &action);
void addTrain(CLI::App &app, Session &session, Action &action);
void addAverage(CLI::App &app, Session &session, Action &action);
void addReport(CLI::App &app, Session &session, Action &action);
void addEvaluate(CLI::App &app, Session &session, Action &action);
void addTranslate(CLI::App &app, Session &session, Action &action);
void addAttention(CLI::App &app, Session &session, Action &action);
void addGenerate(CLI::App &app, Session &session, Action &action);
void addEmbed(CLI::App &app, Session &session, Action &action);

/// A folder that results go to. One that was made for them, with those above it, goes again where nothing stays in it.
class ResultFolder {
public:
  /// `bytes`: what it has to have room for, if known.
  static Expected<ResultFolder> make(const std::string &path, int64_t bytes = 0);
  ResultFolder(ResultFolder &&other) noexcept : made(std::exchange(other.made, {})) {}
  ResultFolder &operator=(ResultFolder &&) = delete;
  ~ResultFolder();

private:
  ResultFolder() = default;
  std::vector<std::filesystem::path> made; // each in the next
};

/// `--device`, `--threads`, `--memory` and `--profile`.
void addExecutionOptions(CLI::App &command, Session &session);

/// `--device`, where there is a choice; Main.cpp has read it already.
void addDeviceOption(CLI::App &command, Session &session);

/// An option for bytes, as parseBytes reads them.
CLI::Option *addBytesOption(CLI::App &command, const std::string &name, int64_t &bytes, const std::string &help);

/// `--model`; needed where no weights are embedded.
void addModelOption(CLI::App &command, const Session &session, std::string &model);

/// Checks of options that count or measure, whose messages say what was expected.
CLI::Validator positiveNumber();
CLI::Validator nonNegativeNumber();
CLI::Validator share(); // above 0, at most 1

/// `--learning-rate`, `--schedule`, `--warmup`, `--clip-norm` and Adam's own; a setting's option is its name with
/// hyphens.
struct Hyper;
std::string hyperOption(std::string name);
void addHyperOptions(CLI::App &command, Hyper &hyper);

/// Runs `call` this many times after two that warm up, and prints how long they took.
Expected<void> measure(Session &session, int runs, const std::function<Expected<void>()> &call);

} // namespace xf::runtime

#endif // XF_RUNTIME_COMMANDS_COMMANDS_H
