//===- Output.h - What a command prints ----------------------------------------------===//
// Results go to stdout, where a failure is an error: a full disk must not pass for success. All else goes to stderr,
// where one is not: a run outlives whoever read its progress. fmt's own print throws for both.
//===--------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_OUTPUT_H
#define XF_RUNTIME_OUTPUT_H

#include "xf/Runtime/Error.h"

#include <fmt/format.h>
#include <string_view>

namespace xf::runtime {

void writeResults(std::string_view text);
void writeNote(std::string_view text);

/// Whether all results so far have left this process; what prints many asks now and then.
Expected<void> flushResults();

/// To stdout.
template <typename... Args> void printResult(fmt::format_string<Args...> format, Args &&...args) {
  writeResults(fmt::format(format, std::forward<Args>(args)...));
}

/// To stderr.
template <typename... Args> void say(fmt::format_string<Args...> format, Args &&...args) {
  writeNote(fmt::format(format, std::forward<Args>(args)...));
}

} // namespace xf::runtime

#endif // XF_RUNTIME_OUTPUT_H
