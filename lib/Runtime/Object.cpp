//===- Object.cpp - The model that this code is linked with ------------------------------===//
// Which of its programs is meant, and whether this machine runs it.
//===------------------------------------------------------------------------------------===//
#include "xf/Runtime/Session.h"

using namespace xf::runtime;

Expected<std::unique_ptr<Session>> Session::open(std::string_view device, bool isLibrary) {
  bool both = xf_program_json_size > 0 && xf_gpu_program_json_size > 0;
  bool onGPU = xf_gpu_program_json_size > 0 && !(both && device == "cpu");
  Expected<Program> program =
      onGPU ? parseProgram({xf_gpu_program_json, size_t(xf_gpu_program_json_size)}, xf_gpu_kernel_count)
            : parseProgram({xf_program_json, size_t(xf_program_json_size)}, xf_kernel_count);
  if (!program)
    return program.error();
  program->hasTwin = both;
  program->isLibrary = isLibrary;
  if (Expected<void> able = checkProcessor(*program); !able)
    return able.error();
  std::span<const KernelFunction> kernels(xf_kernels, onGPU ? 0 : size_t(xf_kernel_count));
  std::span<const XfImage *const> images(xf_gpu_images, onGPU ? size_t(xf_gpu_kernel_count) : 0);
  return std::make_unique<Session>(std::move(*program), kernels, std::span(xf_blobs, size_t(xf_blob_count)), images);
}
