//===- Pack.h - the scales of a quantized weight ----------------*- C++ -*-===//
// xf.pack to i8 puts a panel's 32 scales before its rows; products read them there.
//===----------------------------------------------------------------------===//
#ifndef XF_SCHEDULE_PACK_H
#define XF_SCHEDULE_PACK_H

#include "xf/Schedule/Emitter.h"

namespace mlir::xf {

/// A packed weight's memory as f32 numbers, some of which are scales.
Value viewAsScales(Emitter &e, Value packed);

/// Where in them the scales of a panel begin.
Value scalesOfPanel(Emitter &e, Value packed, Value panel);
} // namespace mlir::xf

#endif
