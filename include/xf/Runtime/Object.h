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
extern const char xf_program_json[];
extern const int64_t xf_program_json_size;
extern const xf::runtime::KernelFunction xf_kernels[];
extern const int64_t xf_kernel_count;
/// The kernels of a program for GPUs; missing where they are the processor's.
extern const XfImage *const xf_images[] __attribute__((weak));
extern const XfBlob xf_blobs[];
extern const int64_t xf_blob_count;
}

#endif // XF_RUNTIME_OBJECT_H
