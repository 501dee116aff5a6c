//===- VerifySchedules.cpp - the constraints of schedules -----------------===//
// Of attributes that a person may write, or a file of tuned schedules: what no kernel could be made with.
//===----------------------------------------------------------------------===//
#include "xf/Dialect/XF/IR/XF.h"

using namespace mlir;
using namespace mlir::xf;

static LogicalResult verifyPositive(function_ref<InFlightDiagnostic()> emitError,
                                    ArrayRef<std::pair<const char *, int64_t>> parameters) {
  for (auto [name, value] : parameters)
    if (value < 1)
      return emitError() << "expected '" << name << "' of a schedule to be at least 1, but got " << value;
  return success();
}

static LogicalResult verifyStages(function_ref<InFlightDiagnostic()> emitError, int64_t stages) {
  constexpr int64_t most = 16; // of a ring
  if (stages > most)
    return emitError() << "expected 'stages' of a schedule to be at most " << most << ", but got " << stages;
  return verifyPositive(emitError, {{"stages", stages}});
}

LogicalResult MatmulScheduleAttr::verify(function_ref<InFlightDiagnostic()> emitError, int64_t registerRows,
                                         int64_t rows, int64_t columns, int64_t blockRows, int64_t depth, bool copyA) {
  return verifyPositive(emitError, {{"register_rows", registerRows},
                                    {"rows", rows},
                                    {"columns", columns},
                                    {"block_rows", blockRows},
                                    {"depth", depth}});
}

LogicalResult AttentionScheduleAttr::verify(function_ref<InFlightDiagnostic()> emitError, int64_t queries, int64_t keys,
                                            int64_t turn) {
  return verifyPositive(emitError, {{"queries", queries}, {"keys", keys}, {"turn", turn}});
}

LogicalResult BlockScheduleAttr::verify(function_ref<InFlightDiagnostic()> emitError, int64_t side) {
  if (side != 64 && side != 128)
    return emitError() << "expected 'side' to be 64 or 128, but got " << side;
  return success();
}

LogicalResult WarpgroupScheduleAttr::verify(function_ref<InFlightDiagnostic()> emitError, int64_t columns,
                                            int64_t stages, int64_t blocks, int64_t parts) {
  if (blocks < 1 || blocks > 2 || (blocks == 2 && columns > 128))
    return emitError() << "expected 'blocks' to be 1, or 2 of at most 128 columns, but got " << blocks;
  if (parts != 1 && parts != 2 && parts != 4 && parts != 8)
    return emitError() << "expected 'parts' to be 1, 2, 4 or 8, but got " << parts;
  if (columns != 64 && columns != 128 && columns != 192 && columns != 256)
    return emitError() << "expected 'columns' to be 64, 128, 192 or 256, but got " << columns;
  return verifyStages(emitError, stages);
}

LogicalResult TensorCoreScheduleAttr::verify(function_ref<InFlightDiagnostic()> emitError, int64_t rows,
                                             int64_t columns, int64_t stages) {
  for (auto [name, value] : {std::pair("rows", rows), {"columns", columns}})
    if (value != 64 && value != 128)
      return emitError() << "expected '" << name << "' to be 64 or 128, but got " << value;
  // What a block has without asking for more.
  int64_t most = (48 << 10) / (64 * (rows + columns));
  if (stages < 2 || stages > most)
    return emitError() << "expected 'stages' of tiles of " << rows << " x " << columns << " to be 2 to " << most
                       << ", but got " << stages;
  return success();
}

LogicalResult WarpgroupAttentionScheduleAttr::verify(function_ref<InFlightDiagnostic()> emitError, int64_t columns,
                                                     int64_t stages, bool inTurn, bool ordered) {
  if (columns != 64 && columns != 128)
    return emitError() << "expected 'columns' to be 64 or 128, but got " << columns;
  if (inTurn && ordered)
    return emitError() << "expected 'in_turn' or 'ordered', but got both";
  return verifyStages(emitError, stages);
}

LogicalResult TensorCoreAttentionScheduleAttr::verify(function_ref<InFlightDiagnostic()> emitError, int64_t rows,
                                                      bool tight, bool inTurn) {
  if (rows != 16 && rows != 32)
    return emitError() << "expected 'rows' to be 16 or 32, but got " << rows;
  return success();
}

LogicalResult PlainAttentionScheduleAttr::verify(function_ref<InFlightDiagnostic()> emitError, int64_t rows,
                                                 bool tight) {
  if (rows < 1 || rows > 32)
    return emitError() << "expected 'rows' to be 1 to 32, but got " << rows;
  return success();
}

LogicalResult RowScheduleAttr::verify(function_ref<InFlightDiagnostic()> emitError, int64_t rows) {
  return verifyPositive(emitError, {{"rows", rows}});
}
