//===- WithoutGPU.cpp - The program for GPUs, of a model that has none -------------------===//
// By itself: of an archive the linker takes what is missing.
//===------------------------------------------------------------------------------------===//
#include "xf/Runtime/Object.h"

const char xf_gpu_program_json[] = "";
const int64_t xf_gpu_program_json_size = 0;
const XfImage *const xf_gpu_images[] = {nullptr};
const int64_t xf_gpu_kernel_count = 0;
