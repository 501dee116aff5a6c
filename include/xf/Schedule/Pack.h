//===- Pack.h - where a packed weight has what ------------------*- C++ -*-===//
// xf.pack to i8 puts a panel's 32 scales before its rows; products read them there. A row of the weight is a column of
// a panel.
//===----------------------------------------------------------------------===//
#ifndef XF_SCHEDULE_PACK_H
#define XF_SCHEDULE_PACK_H

#include "xf/Schedule/Emitter.h"

namespace mlir::xf {

/// A packed weight's memory as f32 numbers, some of which are scales.
Value viewAsScales(Emitter &e, Value packed);

/// Where in them the scales of a panel begin.
Value scalesOfPanel(Emitter &e, Value packed, Value panel);

/// A vector of the weight's row `row` at `column`: its first `count` numbers, and zeros beyond.
Value loadRowOfPacked(Emitter &e, Value packed, Value row, Value column, int64_t count);
} // namespace mlir::xf

#endif
