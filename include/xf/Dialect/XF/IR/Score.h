//===- Score.h - score regions of attention ---------------------*- C++ -*-===//
// A score region is scalar code between the scaled product of a query and a key and the softmax. What it may be made
// of, and its derivative.
//===----------------------------------------------------------------------===//
#ifndef XF_DIALECT_XF_IR_SCORE_H
#define XF_DIALECT_XF_IR_SCORE_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "xf/Dialect/XF/IR/XF.h"

namespace mlir::xf {

/// The arguments of a region's block before those of the captured tensors.
enum ScoreArgument : unsigned { ScoreValue, ScoreHead, ScoreQuery, ScoreKey, ScoreCaptures };

/// Checks a region, or that there is none, with as many results as the op takes of it.
LogicalResult verifyScore(Operation *op, Region &score, ValueRange captures, Type element, unsigned results);

/// Fills `derivative` with the region of the backward: the score, its derivative by the score, and xf.add_gradient for
/// every read of the captured tensors that are `active`.
void buildScoreDerivative(Region &score, Region &derivative, ArrayRef<bool> active);

/// The numbers of the captured tensors that a backward's region adds to the gradients of, rising.
SmallVector<unsigned> capturesWithGradients(Region &derivative);

/// Whether such a tensor has `heads` as its first extent and gets gradients at the region's head alone there: its
/// elements are each of one head. Others are shared, and have sums for every head.
bool isOfHeads(Region &derivative, unsigned capture, int64_t heads);

/// Floating-point operations of a region for one score.
int64_t scoreFlops(Region &score);

} // namespace mlir::xf

#endif
