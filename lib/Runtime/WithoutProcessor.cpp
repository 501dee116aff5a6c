//===- WithoutProcessor.cpp - The program for the processor, of a model that has none ----===//
// By itself: of an archive the linker takes what is missing.
//===------------------------------------------------------------------------------------===//
#include "xf/Runtime/Object.h"

const char xf_program_json[] = "";
const int64_t xf_program_json_size = 0;
const xf::runtime::KernelFunction xf_kernels[] = {nullptr};
const int64_t xf_kernel_count = 0;
