//===- Object.h - The symbols a compiled model provides -------------------------------===//
// docs/Program.md: one description, the kernels, and the embedded files.
//===--------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_OBJECT_H
#define XF_RUNTIME_OBJECT_H

#include "xf/Runtime/Device.h"

extern "C" {
struct XfBlob {
  const char *name;
  const void *data;
  int64_t size;
};
/// The program for the processor, and the one for GPUs. Of one that a model has not the runtime has an empty one
/// (WithoutProcessor.cpp, WithoutGPU.cpp), which the linker takes then: nothing is left to be found in other models.
extern const char xf_program_json[];
extern const int64_t xf_program_json_size;
extern const xf::runtime::KernelFunction xf_kernels[];
extern const int64_t xf_kernel_count;
extern const char xf_gpu_program_json[];
extern const int64_t xf_gpu_program_json_size;
extern const XfImage *const xf_gpu_images[];
extern const int64_t xf_gpu_kernel_count;
extern const XfBlob xf_blobs[];
extern const int64_t xf_blob_count;
}

#endif // XF_RUNTIME_OBJECT_H
