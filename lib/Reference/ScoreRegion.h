//===- ScoreRegion.h - a score region in double precision -------*- C++ -*-===//
#ifndef XF_LIB_REFERENCE_SCOREREGION_H
#define XF_LIB_REFERENCE_SCOREREGION_H

#include "Frame.h"
#include "xf/Dialect/XF/IR/Score.h"

namespace mlir::xf::reference {

class ScoreRegion {
public:
  ScoreRegion(Region &region, ValueRange captures, const Frame &frame);

  struct Result {
    double score, derivative; // the second of a backward's region
  };
  /// An element of a captured tensor's gradient, and the derivative by it.
  using Add = llvm::function_ref<void(unsigned capture, int64_t element, double derivative)>;
  /// What the region yields; without one, the score as it is.
  Result apply(double score, int64_t head, int64_t query, int64_t key, Add add = nullptr) const;

private:
  Block *block = nullptr;
  SmallVector<Tensor> captured;
};

} // namespace mlir::xf::reference

#endif // XF_LIB_REFERENCE_SCOREREGION_H
