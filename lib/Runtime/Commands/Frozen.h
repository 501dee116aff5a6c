//===- Frozen.h - Parameters that training leaves alone -----------------------------------------===//
// Named by patterns. The optimizer works on whole arrays: what is frozen gives it no gradient, and is put back
// when it is done.
//===-------------------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_COMMANDS_FROZEN_H
#define XF_RUNTIME_COMMANDS_FROZEN_H

#include "xf/Runtime/Parameters.h"

namespace xf::runtime {

class FrozenParameters {
public:
  /// The parameters whose names match one of the patterns (`*` any letters, `?` one); a pattern that matches none is an
  /// error that names the nearest, and so is nothing left to train.
  static Expected<FrozenParameters> match(const Program &program, const std::vector<std::string> &patterns);

  bool empty() const { return frozen.empty(); }
  size_t size() const { return frozen.size(); }
  /// What `keep` takes.
  int64_t bytes() const { return 3 * elements * int64_t(sizeof(float)); }

  /// Before an update: their gradients count nowhere, and their values and moments are kept.
  Expected<void> keep(const ModelArenas &model);
  /// After it: they are as before.
  Expected<void> restore(const ModelArenas &model) const;

private:
  struct Range {
    int64_t offset, elements;
  };
  std::vector<Range> frozen;
  int64_t elements = 0;
  std::vector<float> kept;
};

} // namespace xf::runtime

#endif // XF_RUNTIME_COMMANDS_FROZEN_H
