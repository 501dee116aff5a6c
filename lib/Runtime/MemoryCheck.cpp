//===- MemoryCheck.cpp - Batches that are too large ---------------------------------===//
// What is there is the GPU's memory where it computes, and this machine's besides.
//===----------------------------------------------------------------------------------===//
#include "xf/Runtime/MemoryCheck.h"

#include <fmt/format.h>

using namespace xf::runtime;

Expected<void> xf::runtime::checkMemory(Session &session, const std::string &what, int64_t count,
                                        const std::function<Needs(int64_t)> &needs,
                                        const std::function<std::string(int64_t)> &remedy) {
  Needs needed = needs(count);
  // The process and the kernels have their parts already.
  Expected<int64_t> available = session.executor().availableMemory();
  if (!available)
    return available.error();
  int64_t there = session.memory ? session.memory : *available + needed.standing(), here = runtime::availableMemory();
  auto fits = [&](const Needs &needs) { return needs.total() <= there && needs.here() <= here; };
  if (fits(needed))
    return {};
  std::string message = fmt::format("not enough memory for the batch: {} needs ", what);
  std::string amount = formatBytes(there);
  if (amount == formatBytes(needed.total()))
    amount += fmt::format(", {} bytes less,", needed.total() - there);
  bool isHere = needed.total() <= there; // what is too little
  if (isHere)
    message += fmt::format("{}, and {} is available", needed.textHere(), formatBytes(here));
  else
    message +=
        fmt::format("{}, and {} is {}{}", needed.text(), amount, session.memory ? "allowed (--memory)" : "available",
                    session.program.gpu.empty() ? "" : " on the GPU");
  if (int64_t most = largestThatFits([&](int64_t fewer) { return fits(needs(fewer)); }, count); most > 0)
    message += fmt::format("; {} would fit", remedy(most));
  else if (isHere)
    message += "; give this machine, or the container that it runs in, more";
  return userError(message);
}

Expected<void> xf::runtime::checkAllowed(Session &session, const std::string &what, const Call &call) {
  if (!session.memory)
    return {};
  auto needs = [&](int64_t) {
    Needs needed = needsOf(session.program, std::span(&call, 1), session.teamSize());
    needed.arraysHere = 0; // they are loaded
    return needed;
  };
  return checkMemory(session, what, 1, needs, nullptr);
}
