//===- MemoryCheck.h - Batches that are too large -----------------------------------===//
// Refused before anything runs, by what they would need (Needs.h) and what there is, or may be taken.
//===----------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_MEMORYCHECK_H
#define XF_RUNTIME_MEMORYCHECK_H

#include "xf/Runtime/Session.h"

namespace xf::runtime {

/// Refuses a batch, counted as `count`, where there is less memory than `needs(count)`. The message begins with what
/// needs it, and ends with the largest count that `remedy` can name.
Expected<void> checkMemory(Session &session, const std::string &what, int64_t count,
                           const std::function<Needs(int64_t)> &needs,
                           const std::function<std::string(int64_t)> &remedy);

/// Refuses a call that takes more than --memory allows, where that is given.
Expected<void> checkAllowed(Session &session, const std::string &what, const Call &call);

} // namespace xf::runtime

#endif // XF_RUNTIME_MEMORYCHECK_H
