//===- Output.cpp - What a command prints --------------------------------------------===//
// stdio, whose error stays with the stream but not the reason, which is kept here.
//===--------------------------------------------------------------------------------===//
#include "xf/Runtime/Output.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

using namespace xf::runtime;

static int failure = 0; // errno of the first write to stdout that failed

static void noteFailure(bool failed) {
  if (failed && failure == 0)
    failure = errno ? errno : EIO;
}

void xf::runtime::writeResults(std::string_view text) {
  if (failure == 0)
    noteFailure(std::fwrite(text.data(), 1, text.size(), stdout) != text.size());
}

void xf::runtime::writeNote(std::string_view text) {
  (void)std::fwrite(text.data(), 1, text.size(), stderr); // unbuffered
}

Expected<void> xf::runtime::flushResults() {
  errno = 0;
  noteFailure(std::fflush(stdout) != 0 || std::ferror(stdout));
  if (failure == 0)
    return {};
  return userError(fmt::format("can't write the results to stdout: {}", std::strerror(failure)));
}
