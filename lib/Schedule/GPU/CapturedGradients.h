//===- CapturedGradients.h - sums for what scores capture -------*- C++ -*-===//
// Gradients of tensors that score regions capture are a kernel beside that of attention's other gradients
// (xf-split-captured-gradients). A block takes one head of one sequence; each of its warps adds to sums of its own, in
// the order of its queries and keys, and what the warps have is summed in the order of their numbers.
//===----------------------------------------------------------------------===//
#ifndef XF_LIB_SCHEDULE_GPU_CAPTUREDGRADIENTS_H
#define XF_LIB_SCHEDULE_GPU_CAPTUREDGRADIENTS_H

#include "xf/Schedule/AttentionBlocks.h"

namespace mlir::xf {

class CapturedSums {
public:
  /// Those of a head of a sequence, where a block's warps have them in shared memory; else they are one warp's, in the
  /// results of the kernel. All threads of the block come here.
  CapturedSums(Emitter &e, AttentionBackwardOp op, Value sequence, Value head, bool inShared);

  /// How many warps, `most` at most, find room for their sums in a block's shared memory, besides `bytes` and as many
  /// `ofWarp` for each; 0 where not even one does.
  static int64_t warpsFor(AttentionBackwardOp op, int64_t most, int64_t bytes = 0, int64_t ofWarp = 0);

  /// All threads of a warp: adds what each has to an element (i32) of a tensor, one thread after another. Nothing where
  /// the element is negative.
  void add(unsigned capture, Value element, Value value);
  /// Writes what all warps have.
  void finish();

private:
  struct Sum {
    unsigned capture;
    Value result, copies; // the latter are null where sums lie in the result
    int64_t size;         // elements of the head
    bool isShared;        // with other heads
  };
  SmallVector<Value> placeOf(const Sum &sum, Value number);
  Value memoryOf(const Sum &sum) { return sum.copies ? sum.copies : sum.result; }
  void addWhere(const Sum &sum, Value condition, Value number, Value value);

  Emitter &e;
  Value sequence, head;
  SmallVector<Sum> sums;
};

/// The warps of a block where tensor cores compute the scores that sums are made of; 0 where they can't.
int64_t warpsOnTensorCores(func::FuncOp kernel, AttentionBackwardOp op);
/// Adds all of a head of one sequence, by tensor cores.
void addCapturedByTensorCores(Emitter &e, AttentionBackwardOp op, ArrayRef<Value> tile, CapturedSums &sums);

} // namespace mlir::xf

#endif
