//===- Schedule.cpp - a schedule for every kernel -------------------------===//
// Stage `schedule`: chooses (Choices.cpp), and applies by the kernel's kind.
//===----------------------------------------------------------------------===//
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "xf/Dialect/XFG/IR/XFG.h"
#include "xf/Schedule/Choices.h"
#include "xf/Schedule/Passes.h"

namespace mlir::xf {
#define GEN_PASS_DEF_CHOOSESCHEDULESPASS
#define GEN_PASS_DEF_SCHEDULECPUPASS
#define GEN_PASS_DEF_SCHEDULEGPUPASS
#include "xf/Schedule/Passes.h.inc"

ScheduleTarget gpuTarget(StringRef gpu, bool usesTF32) {
  // Threads have at most 255 registers, of which these schedules use few; a block's shared memory is its cache.
  return {{/*width=*/32, /*count=*/32, /*warps=*/8}, /*l1=*/48 << 10, /*l2=*/48 << 10, gpu == "sm_90a", usesTF32};
}

namespace {
LogicalResult schedule(func::FuncOp kernel, const ScheduleTarget &target) {
  if (failed(setSchedule(kernel, target)))
    return failure();
  takeOutCasts(kernel);
  const RegisterFile &registers = target.registers;
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
  case KernelKind::TopK:
    return scheduleTopK(kernel, registers);
  case KernelKind::Optimizer:
    return kernel.emitOpError() << "expected kernels over the arenas to be scheduled by stage 'plan'";
  }
  return failure();
}

/// A GPU's: rows and elementwise kernels have the forms of every other target, on vectors of warps and blocks.
LogicalResult scheduleGPU(func::FuncOp kernel, ScheduleTarget target) {
  if (kernel->hasAttr("xf.grid"))
    return schedulePlannedGPU(kernel, target.registers);
  if (failed(verifyKernel(kernel)))
    return failure();
  takeOutCasts(kernel);
  auto kind = cast<KernelKindAttr>(kernel->getAttr("xf.kernel")).getValue();
  if (kind == KernelKind::Elementwise || kind == KernelKind::Row)
    target.registers = blockOfRows(kernel, target.registers);
  if (failed(setSchedule(kernel, target)))
    return failure();
  const RegisterFile &block = target.registers;
  switch (kind) {
  case KernelKind::Matmul:
    if (kernel->getAttrOfType<WarpgroupScheduleAttr>("xf.schedule"))
      return scheduleWarpgroupMatmul(kernel, block);
    return kernel->getAttrOfType<TensorCoreScheduleAttr>("xf.schedule") ? scheduleTensorCoreMatmul(kernel, block)
                                                                        : scheduleMatmulGPU(kernel, block);
  case KernelKind::Elementwise:
  case KernelKind::Row:
    return scheduleRows(kernel, block);
  case KernelKind::Column:
    return scheduleColumnsGPU(kernel, block);
  case KernelKind::Scatter:
    return scheduleScatterGPU(kernel, block);
  case KernelKind::Scalar:
    return scheduleScalar(kernel, block);
  case KernelKind::Attention:
    return scheduleAttentionGPU(kernel, block);
  case KernelKind::AttentionBackward:
    return scheduleAttentionBackwardGPU(kernel, block);
  case KernelKind::Pack:
    return schedulePackGPU(kernel, block);
  case KernelKind::TopK:
    return scheduleTopKGPU(kernel, block);
  case KernelKind::Optimizer:
    return kernel.emitOpError() << "expected kernels over the arenas to be scheduled by stage 'plan'";
  }
  return failure();
}

/// Whether a block has the shared memory that a scheduled kernel asks for.
LogicalResult checkSharedMemory(ModuleOp module, StringRef kernel) {
  constexpr int64_t most = 227 << 10; // on Hopper, the only GPU whose kernels ask for it
  auto scheduled = module.lookupSymbol<func::FuncOp>(kernel);
  auto bytes = scheduled->getAttrOfType<IntegerAttr>("xf.shared");
  if (!bytes || bytes.getInt() <= most)
    return success();
  return scheduled.emitOpError() << "expected 'xf.schedule' to need at most " << most
                                 << " bytes of shared memory, but it needs " << bytes.getInt()
                                 << "; fewer 'stages' or 'columns' need less";
}

/// Calls `work` on the kernels that have no grid yet.
LogicalResult forKernels(ModuleOp module, const ScheduleTarget &target,
                         function_ref<LogicalResult(func::FuncOp, const ScheduleTarget &)> work) {
  int64_t width = target.registers.width;
  if (width != 4 && width != 8 && width != 16)
    return module.emitError() << "expected vector-width to be 4, 8 or 16, but got " << width;
  if (target.registers.count < 16 || target.l1 < 4096 || target.l2 < target.l1)
    return module.emitError() << "expected at least 16 registers, l1 of at least 4096 bytes and l2 no less, but got "
                              << target.registers.count << ", " << target.l1 << " and " << target.l2;
  for (auto kernel : llvm::to_vector(module.getOps<func::FuncOp>()))
    if (kernel->hasAttr("xf.kernel") && !kernel->hasAttr("xf.grid") && failed(work(kernel, target)))
      return failure();
  return success();
}

struct ChooseSchedulesPass : impl::ChooseSchedulesPassBase<ChooseSchedulesPass> {
  using ChooseSchedulesPassBase::ChooseSchedulesPassBase;
  void runOnOperation() override {
    if (failed(forKernels(getOperation(), {{vectorWidth, registers}, l1, l2}, setSchedule)))
      signalPassFailure();
  }
};

struct ScheduleGPUPass : impl::ScheduleGPUPassBase<ScheduleGPUPass> {
  using ScheduleGPUPassBase::ScheduleGPUPassBase;
  void runOnOperation() override {
    ScheduleTarget target = gpuTarget(gpu, tf32);
    for (auto kernel : llvm::to_vector(getOperation().getOps<func::FuncOp>()))
      if (kernel->hasAttr("xf.kernel") && !kernel->hasAttr("xf.threads"))
        if (std::string name = kernel.getName().str();
            failed(scheduleGPU(kernel, target)) || failed(checkSharedMemory(getOperation(), name)))
          return signalPassFailure();
  }
};

struct ScheduleCPUPass : impl::ScheduleCPUPassBase<ScheduleCPUPass> {
  using ScheduleCPUPassBase::ScheduleCPUPassBase;
  void runOnOperation() override {
    if (failed(forKernels(getOperation(), {{vectorWidth, registers}, l1, l2}, schedule)))
      signalPassFailure();
  }
};
} // namespace
} // namespace mlir::xf
