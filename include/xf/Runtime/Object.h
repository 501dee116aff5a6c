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
/// The program for the processor, and the one for GPUs; one of them may be missing.
extern const char xf_program_json[] __attribute__((weak));
extern const int64_t xf_program_json_size __attribute__((weak));
extern const xf::runtime::KernelFunction xf_kernels[] __attribute__((weak));
extern const int64_t xf_kernel_count __attribute__((weak));
extern const char xf_gpu_program_json[] __attribute__((weak));
extern const int64_t xf_gpu_program_json_size __attribute__((weak));
extern const XfImage *const xf_gpu_images[] __attribute__((weak));
extern const int64_t xf_gpu_kernel_count __attribute__((weak));
extern const XfBlob xf_blobs[];
extern const int64_t xf_blob_count;
}

#endif // XF_RUNTIME_OBJECT_H
