//===- Schedule.cpp - a schedule for every kernel -------------------------===//
// Stage `schedule`: chooses by the kernel's kind.
//===----------------------------------------------------------------------===//
#include "xf/Schedule/Emitter.h"
#include "xf/Schedule/Passes.h"

namespace mlir::xf {
#define GEN_PASS_DEF_SCHEDULECPUPASS
#include "xf/Schedule/Passes.h.inc"
namespace {

LogicalResult schedule(func::FuncOp kernel, const RegisterFile &registers) {
  switch (cast<KernelKindAttr>(kernel->getAttr("xf.kernel")).getValue()) {
  case KernelKind::Matmul:
    return scheduleMatmul(kernel, registers);
  case KernelKind::Elementwise:
  case KernelKind::Row:
    return scheduleRows(kernel, registers);
  case KernelKind::Column:
    return scheduleColumns(kernel, registers);
  case KernelKind::Scatter:
    return scheduleScatter(kernel, registers);
  case KernelKind::Scalar:
    return scheduleScalar(kernel, registers);
  case KernelKind::Attention:
    return scheduleAttention(kernel, registers);
  case KernelKind::AttentionBackward:
    return scheduleAttentionBackward(kernel, registers);
  case KernelKind::Pack:
    return schedulePack(kernel, registers);
  case KernelKind::Optimizer:
    return kernel.emitOpError() << "expected kernels over the arenas to be scheduled by stage 'plan'";
  }
  return failure();
}

struct ScheduleCPUPass : impl::ScheduleCPUPassBase<ScheduleCPUPass> {
  using ScheduleCPUPassBase::ScheduleCPUPassBase;
  void runOnOperation() override {
    if (vectorWidth != 4 && vectorWidth != 8 && vectorWidth != 16) {
      getOperation().emitError() << "expected vector-width to be 4, 8 or 16, but got " << vectorWidth;
      return signalPassFailure();
    }
    for (auto kernel : llvm::to_vector(getOperation().getOps<func::FuncOp>()))
      if (kernel->hasAttr("xf.kernel") && !kernel->hasAttr("xf.grid") &&
          failed(schedule(kernel, {vectorWidth, registers})))
        return signalPassFailure();
  }
};
} // namespace
} // namespace mlir::xf
