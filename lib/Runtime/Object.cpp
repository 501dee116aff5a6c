//===- Object.cpp - The model that this code is linked with ------------------------------===//
// Which of its programs is meant, and whether this machine runs it.
//===------------------------------------------------------------------------------------===//
#include "xf/Runtime/Files.h"
#include "xf/Runtime/Session.h"

#include <malloc.h>

using namespace xf::runtime;

Expected<std::unique_ptr<Session>> Session::open(std::string_view device, bool isLibrary) {
  bool both = xf_program_json_size > 0 && xf_gpu_program_json_size > 0;
  bool onGPU = xf_gpu_program_json_size > 0 && !(both && device == "cpu");
  std::span<const char> text = onGPU ? std::span(xf_gpu_program_json, size_t(xf_gpu_program_json_size))
                                     : std::span(xf_program_json, size_t(xf_program_json_size));
  Expected<Program> program = parseProgram({text.data(), text.size()}, onGPU ? xf_gpu_kernel_count : xf_kernel_count);
  if (!program)
    return program.error();
  // What reading it took goes back before anything else is allocated.
  MappedFile::forget(text, text);
  malloc_trim(0);
  program->hasTwin = both;
  program->isLibrary = isLibrary;
  if (Expected<void> able = checkProcessor(*program); !able)
    return able.error();
  std::span<const KernelFunction> kernels(xf_kernels, onGPU ? 0 : size_t(xf_kernel_count));
  std::span<const XfImage *const> images(xf_gpu_images, onGPU ? size_t(xf_gpu_kernel_count) : 0);
  return std::make_unique<Session>(std::move(*program), kernels, std::span(xf_blobs, size_t(xf_blob_count)), images);
}
