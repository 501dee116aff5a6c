//===- CommandLine.cpp - Arguments as CLI11 reads them, mistakes in our words ---------===//
// CLI11 tells what is wrong by the type of what it throws and a sentence; the sentences are turned into ours here.
//===--------------------------------------------------------------------------------===//
#include "xf/Runtime/CommandLine.h"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <iostream>
#include <numeric>
#include <regex>

using namespace xf::runtime;
using namespace std::string_literals;

/// Letters to add, drop or change.
static size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i + 1);
    for (size_t j = 0; j < b.size(); ++j) {
      size_t change = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      row[j + 1] = std::min({row[j] + 1, row[j + 1] + 1, change});
    }
  }
  return row.back();
}

/// "; did you mean '--learning-rate'?", where an option is near.
static std::string suggestion(const CLI::App &app, const std::string &wrong) {
  std::string nearest;
  size_t least = std::max<size_t>(wrong.size() / 3, 2) + 1;
  for (const CLI::Option *option : app.get_options()) {
    std::string name = option->get_name();
    if (size_t away = distance(name, wrong); option->nonpositional() && away < least) {
      least = away;
      nearest = name;
    }
  }
  return nearest.empty() ? "" : fmt::format("; did you mean '{}'?", nearest);
}

/// What CLI11 says, in our words.
static std::string describe(const CLI::App &app, const CLI::ExtrasError &error) {
  std::string text = error.what(), argument = text.substr(text.find(": ") + 2);
  if (size_t option = (" " + argument).find(" -"); option != text.npos) // before its value, wherever that is listed
    argument = argument.substr(option);
  else
    return fmt::format("unexpected argument '{}'", argument);
  std::string name = argument.substr(0, argument.find_first_of("= "));
  return fmt::format("unknown option '{}'{}", name, suggestion(app, name));
}

static std::string describe(const CLI::ParseError &error) {
  std::string text = error.what();
  static const std::pair<std::regex, const char *> sentences[] = {
      {std::regex("Could not convert: (\\S+) = ([^]*)"), "$1: expected a whole number, but got '$2'"},
      {std::regex("(\\S+): Value ([^]*) not in range (\\S+) to (\\S+)"),
       "$1: expected a whole number from $3 to $4, but got '$2'"},
      {std::regex("(\\S+): ([^]*) not in \\{(.*)\\}"), "$1: expected one of $3, but got '$2'"},
      {std::regex("(\\S+): \\d+ required \\S+ missing"), "$1: expected a value"},
      {std::regex("Expected exactly 1 arguments to (\\S+), got (\\d+)"), "$1: expected one value, but got $2"},
      {std::regex("(\\S+): At Most 1 required but received (\\d+)"), "$1: expected one value, but got $2"},
      {std::regex("(\\S+): Should be true/false or a number"), "$1: expected no value"},
  };
  for (const auto &[theirs, ours] : sentences)
    if (std::regex_match(text, theirs))
      return std::regex_replace(text, theirs, ours);
  return text;
}

/// An output that is one of the inputs, if there is one: what was to be read would be gone.
static std::optional<std::string> findOverwritten(const CLI::App &app, std::initializer_list<const char *> outputs) {
  auto isOutput = [&](const CLI::Option *option) {
    return std::any_of(outputs.begin(), outputs.end(), [&](const char *name) { return option->check_name(name); });
  };
  // A state may be replaced by the one after it; the others are no files, or have a message of their own.
  auto isRead = [&](const CLI::Option *option) {
    constexpr const char *others[] = {"--model", "--gpu", "--cpu", "--schedules"};
    return !isOutput(option) && std::none_of(std::begin(others), std::end(others),
                                             [&](const char *name) { return option->check_name(name); });
  };
  for (const CLI::Option *output : app.get_options(isOutput))
    for (const std::string &written : output->results())
      for (const CLI::Option *input : app.get_options())
        for (const std::string &read : input->results()) {
          std::error_code none;
          if (isRead(input) && std::filesystem::is_regular_file(written, none) &&
              std::filesystem::equivalent(written, read, none))
            return fmt::format("expected {} to be another file than {}, but both are '{}'", output->get_name(),
                               input->get_name(), written);
        }
  return std::nullopt;
}

Expected<std::optional<int>> xf::runtime::parseCommandLine(CLI::App &app, int argc, char **argv,
                                                           std::initializer_list<const char *> outputs) {
  auto commands = app.get_subcommands([&](CLI::App *each) { return argc > 1 && each->get_name() == argv[1]; });
  const CLI::App &command = commands.empty() ? app : *commands.front();
  auto mistake = [&](const std::string &text) {
    return userError(
        fmt::format("{}; see {}{} --help", text, argv[0], commands.empty() ? "" : " " + command.get_name()));
  };
  // CLI11 would take the next argument for the value.
  for (int i = 1; i < argc && argv[i] != "--"s; ++i)
    if (std::string argument = argv[i]; argument.starts_with('-') && argument.find('=') == argument.size() - 1)
      return mistake(fmt::format("expected a value after '{}', but there is none", argument));
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success &help) {
    int code = app.exit(help);
    return std::cout << std::flush ? Expected<std::optional<int>>(code) : userError("can't write to stdout");
  } catch (const CLI::ExtrasError &error) {
    return mistake(describe(command, error));
  } catch (const CLI::ParseError &error) {
    return mistake(describe(error));
  }
  if (std::optional<std::string> overwritten = findOverwritten(command, outputs))
    return mistake(*overwritten);
  return std::optional<int>();
}
