//===- Choices.h - how kernels are cut --------------------------*- C++ -*-===//
// Choosing a schedule, apart from applying it: what caches and registers hold decides, unless the kernel's attribute
// `xf.schedule` says something else. A choice sees the kernel and the target alone.
//===----------------------------------------------------------------------===//
#ifndef XF_SCHEDULE_CHOICES_H
#define XF_SCHEDULE_CHOICES_H

#include "xf/Schedule/Emitter.h"

namespace mlir::xf {

/// Whether a kernel on tensors is what its kind says.
LogicalResult verifyKernel(func::FuncOp kernel);

/// What a schedule is made for. The caches are one core's.
struct ScheduleTarget {
  RegisterFile registers;
  int64_t l1, l2;             // bytes
  bool hasWarpgroups = false; // a GPU with Hopper's own instructions, sm_90a
  bool usesTF32 = false;      // a GPU whose products of f32 may round their factors to tf32
};

/// Of a GPU, named as ptxas does.
ScheduleTarget gpuTarget(StringRef gpu, bool usesTF32);

/// How many neighbours of a row a thread of a GPU loads at once: 16 bytes, where all rows of the matrices among `types`
/// begin at a multiple of them (of f32 beside bf16, what f32 has); otherwise one.
int64_t shareOfThread(ArrayRef<Type> types, int64_t columns);

/// The block of a GPU that computes a kernel on rows, and what its vectors are: a warp's, or the whole block's where a
/// warp's registers don't hold a row.
RegisterFile blockOfRows(func::FuncOp kernel, RegisterFile block);

/// The default for a kernel on tensors, such as #xf.matmul_schedule; null where its kind leaves no choice.
Attribute chooseSchedule(func::FuncOp kernel, const ScheduleTarget &target);

/// That of a product for warpgroups; null where the copy engine can't read its operands, or they are not bf16.
Attribute chooseWarpgroupMatmul(func::FuncOp kernel);
/// That of one by mma.sync; null where its factors are not bf16, nor f32 that may be rounded.
Attribute chooseTensorCoreMatmul(func::FuncOp kernel, bool takesF32);
/// That of any other product.
Attribute chooseBlockMatmul(func::FuncOp kernel);
/// The forms of attention for a GPU: the one that is chosen, and then those that need fewer registers each.
SmallVector<Attribute> attentionForms(func::FuncOp kernel, const ScheduleTarget &target);

/// Where an average sequence has more than so many rows on each side (arguments of the kernel, and those that say where
/// its sequences begin), another form is faster: the first one of a kernel with the attribute `xf.long`.
struct LongForm {
  int64_t rows;
  struct Side {
    unsigned matrix, offsets;
  } sides[2];
  SmallVector<ExtentTerm> workspace; // f32 that it takes while it runs
};
/// That of a kernel on tensors, none of whose operands is widened first; none where the choice needs no batch.
std::optional<LongForm> formForLongSequences(func::FuncOp kernel, const ScheduleTarget &target);

/// What comes after `taken` among the forms of a kernel that is not scheduled yet; null where nothing does.
Attribute scheduleAfter(func::FuncOp kernel, Attribute taken, const ScheduleTarget &target);

/// The schedules beside a default one that give the same bits: one number of it halved or doubled.
SmallVector<Attribute> neighbours(func::FuncOp kernel, Attribute chosen, const ScheduleTarget &target);

/// Sets the default where the kernel has no schedule, and says what is wrong with one that it has, or with the kernel.
LogicalResult setSchedule(func::FuncOp kernel, const ScheduleTarget &target);
} // namespace mlir::xf

#endif
