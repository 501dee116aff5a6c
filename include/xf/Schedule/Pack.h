//===- Pack.h - where a packed weight has what ------------------*- C++ -*-===//
// xf.pack to i8 puts 32 scales before each group of a panel's rows; products read them there. A row of the weight is a
// column of a panel.
//===----------------------------------------------------------------------===//
#ifndef XF_SCHEDULE_PACK_H
#define XF_SCHEDULE_PACK_H

#include "xf/Schedule/Emitter.h"

namespace mlir::xf {

/// Which of a panel's rows of i8 has the numbers `k` of its columns, which are of group `group`.
Value rowOfQuantized(Emitter &e, Value group, Value k);

/// The scales of a packed weight of i8: its memory as numbers of bf16, some of which are scales.
struct Scales {
  Scales(Emitter &e, Value packed);
  /// Where in `numbers` that of a panel's column is, for a group of rows.
  Value place(Value panel, Value group, Value column) const;

  Emitter &e;
  Value numbers;
  int64_t panelSize;
};

/// A vector of the weight's row `row` at `column`: its first `count` numbers, and zeros beyond.
Value loadRowOfPacked(Emitter &e, Value packed, Value row, Value column, int64_t count);
} // namespace mlir::xf

#endif
