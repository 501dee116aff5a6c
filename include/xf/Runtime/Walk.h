//===- Walk.h - A call, laid out in memory -----------------------------------------------===//
// What a function's dispatches work on in one call: every pointer, extent and number of tiles, wherever the call's
// tensors lie. The executor walks it with the team, or asks a GPU for it.
//===------------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_WALK_H
#define XF_RUNTIME_WALK_H

#include "xf/Runtime/Plan.h"
#include "xf/Runtime/Program.h"

namespace xf::runtime {

/// Offsets of all slots for a call with these dims.
ArenaPlan planFunction(const Function &function, std::span<const int64_t> dims);

/// Exact bytes of the arena for a call with these dims.
inline int64_t workspaceBytes(const Function &function, std::span<const int64_t> dims) {
  return planFunction(function, dims).totalBytes;
}

/// Where the tensors of a call lie; in a GPU's memory where that computes.
struct Places {
  char *slots = nullptr;
  std::vector<char *> inputs, outputs;
  std::map<Space, char *> arenas;
};

struct Walk {
  struct Step {
    const Dispatch *dispatch;
    size_t buffers, dims; // where its part of `pointers` and `extents` starts
    int64_t tiles;
    int64_t number = 0; // of the function's dispatches: the one that this is, or is in the place of
  };
  std::vector<Step> steps; // those with tiles; loops are unrolled
  std::vector<void *> pointers;
  std::vector<size_t> bytes; // a pointer: how many are there
  std::vector<int64_t> extents;

  void layOut(const Function &function, std::span<const int64_t> dims, const ArenaPlan &plan, const Places &places);
};

} // namespace xf::runtime

#endif // XF_RUNTIME_WALK_H
