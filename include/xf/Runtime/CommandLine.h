//===- CommandLine.h - Arguments as CLI11 reads them, mistakes in our words -----------===//
// The one place where arguments are parsed, for executables and tools alike.
//===--------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_COMMANDLINE_H
#define XF_RUNTIME_COMMANDLINE_H

#include "xf/Runtime/Error.h"

#include <CLI/CLI.hpp>
#include <initializer_list>
#include <optional>

namespace xf::runtime {

/// Parses. What comes back is an exit code where nothing is left to do: help was printed. `outputs` are options that
/// name files to write: none may be a file that another option reads.
Expected<std::optional<int>> parseCommandLine(CLI::App &app, int argc, char **argv,
                                              std::initializer_list<const char *> outputs);

} // namespace xf::runtime

#endif // XF_RUNTIME_COMMANDLINE_H
