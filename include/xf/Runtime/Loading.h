//===- Loading.h - In which order predictions come by their weights -----------------===//
// Most weights are read in their prepared form alone. Such a one is loaded just before `prepare` reads it and given
// back right after, so that predictions never have all weights twice.
//===--------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_LOADING_H
#define XF_RUNTIME_LOADING_H

#include "xf/Runtime/Program.h"

namespace xf::runtime {

struct Loading {
  /// Parameters, by number, that come before a dispatch of `prepare`, and those that nothing reads after it.
  struct Step {
    std::vector<size_t> loads, drops;
  };
  std::vector<size_t> first; // that `prepare` doesn't read
  std::vector<Step> steps;   // a dispatch of `prepare` each; none where its results are not read
  int64_t bytes = 0;         // the most that parameters and prepared weights ever take

  /// For calls of these functions alone. A parameter that none of them reads, in either form, does not come at all.
  Loading(const Program &program, std::span<const Function *const> functions);
};

} // namespace xf::runtime

#endif // XF_RUNTIME_LOADING_H
