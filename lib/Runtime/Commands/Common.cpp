//===- Common.cpp - What several commands share ----------------------------------------===//
// Shared options, and tensors of this process.
//===--------------------------------------------------------------------------------===//
#include "Commands.h"
#include "xf/Runtime/Checkpoint.h"
#include "xf/Runtime/Files.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <unistd.h>

using namespace xf::runtime;

Expected<ResultFolder> ResultFolder::make(const std::string &path, int64_t bytes) {
  ResultFolder folder;
  std::error_code failure;
  for (std::filesystem::path each = path; !each.empty(); each = each.parent_path()) {
    if (symlink_status(each, failure).type() != std::filesystem::file_type::not_found)
      break;
    folder.made.push_back(each);
  }
  if (Expected<void> writable = makeWritableFolder(path, bytes); !writable)
    return writable.error();
  return folder;
}

ResultFolder::~ResultFolder() {
  for (const std::filesystem::path &each : made)
    rmdir(each.c_str()); // which removes no folder that holds something
}

/// CLI11's own say "not in range 0.000000 to 17976931348623...". `fault(value)` is what was expected, or null.
static CLI::Validator number(const std::function<const char *(double)> &fault) {
  auto check = [=](std::string &text) {
    double value;
    if (!CLI::detail::lexical_cast(text, value) || !std::isfinite(value))
      value = NAN;
    const char *expected = fault(value);
    return expected ? fmt::format("expected {}, but got '{}'", expected, text) : std::string();
  };
  return {check, "NUMBER"};
}

static CLI::Validator number(const char *what, bool (*fine)(double)) {
  return number([=](double value) { // what a whole number can be
    return value > 0x1p62 ? "a number below 4.6e18" : fine(value) ? nullptr : what;
  });
}

CLI::Validator xf::runtime::positiveNumber() {
  return number("a positive number", [](double value) { return value > 0; });
}

CLI::Validator xf::runtime::nonNegativeNumber() {
  return number("a number that is not negative", [](double value) { return value >= 0; });
}

CLI::Validator xf::runtime::share() {
  return number("a number above 0 and at most 1", [](double value) { return value > 0 && value <= 1; });
}

CLI::Option *xf::runtime::addBytesOption(CLI::App &command, const std::string &name, int64_t &bytes,
                                         const std::string &help) {
  return command
      .add_option_function<std::string>(
          name,
          [&bytes, name](const std::string &text) {
            Expected<int64_t> parsed = parseBytes(text);
            if (!parsed)
              throw CLI::ValidationError(name, parsed.error().message);
            bytes = *parsed;
          },
          help)
      ->type_name("BYTES");
}

void xf::runtime::addDeviceOption(CLI::App &command, Session &session) {
  if (session.program.hasTwin) {
    command.add_option("--device", session.device, "Where to compute: cuda, or cpu")
        ->default_str("cuda")
        ->check(CLI::IsMember({"cuda", "cpu"}));
    return;
  }
  // Nothing to choose, and not listed.
  auto take = [&session](const std::string &text) {
    if (text != session.device)
      throw CLI::ValidationError("--device", session.hasNoDevice(text).message);
  };
  command.add_option_function<std::string>("--device", take)->group("");
}

void xf::runtime::addExecutionOptions(CLI::App &command, Session &session) {
  addDeviceOption(command, session);
  command.add_option("--threads", session.threads, "Threads that compute; results are the same at any number")
      ->default_str("one a core")
      ->check(CLI::Range(1, Team::most));
  addBytesOption(command, "--memory", session.memory,
                 session.program.gpu.empty()
                     ? "Refuse a batch for which the process would take more, besides the text it reads (such as 2GiB)"
                     : "Refuse a batch for which more of the GPU's memory would be taken (such as 2GiB)")
      ->default_str("what is available");
  command
      .add_flag("--profile", session.profile,
                "Print each kernel's work, time and share of this machine's limits to stderr, or write them as a page")
      ->transform([](const std::string &file) { return file == "true" ? "-" : file; }) // "true": no file is named
      ->option_text("[=F.html]");
}

void xf::runtime::addModelOption(CLI::App &command, const Session &session, std::string &model) {
  CLI::Option *option = command.add_option("--model", model, "A run's folder or a file of weights (.safetensors)");
  if (session.blob("weights"))
    option->default_str("the embedded weights");
}

std::string xf::runtime::hyperOption(std::string name) {
  std::replace(name.begin(), name.end(), '_', '-');
  return "--" + name;
}

void xf::runtime::addHyperOptions(CLI::App &command, Hyper &hyper) {
  const std::map<std::string, const char *> texts = {
      {"learning_rate",
       "Learning rate: the peak (constant, inverse_sqrt), or a factor on 1/sqrt(step) (rsqrt), and on 1/sqrt(d_model) "
       "too (noam)"},
      {"schedule", "After the warm-up: constant; else falling with the square root of the step"},
      {"warmup", "Steps in which the rate rises, evenly, from 0; 0: none"},
      {"clip_norm", "Largest norm of all gradients together; 0: no limit"},
      {"beta1", "Adam: decay of the first moment"},
      {"beta2", "Adam: decay of the second moment"},
      {"epsilon", "Adam: added to the root of the second moment"},
      {"weight_decay", "Adam: decay of the parameters themselves"}};
  forEachHyper(hyper, hyper, [&](const char *name, auto &setting, const auto &) {
    CLI::Option *option = command.add_option(hyperOption(name), setting, texts.at(name));
    if constexpr (std::is_same_v<decltype(setting), std::string &>)
      option->check(CLI::IsMember(std::vector<std::string>(scheduleNames.begin(), scheduleNames.end())));
    else
      option->check(number([=](double value) { return expectedOfSetting(name, value); }));
  });
}
