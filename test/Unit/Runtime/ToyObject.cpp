//===- ToyObject.cpp - The toy program as an object ------------------------------------===//
// The symbols of docs/Program.md, filled before `main`: with the runtime's `main` they make an
// executable with every command.
//===----------------------------------------------------------------------------------===//
#include "Toy.h"

#include <algorithm>
#include <cstdlib>

// Declared const for the runtime, which is another object: these must be filled first.
extern "C" {
struct XfBlob {
  const char *name;
  const void *data;
  int64_t size;
};
char xf_program_json[1 << 16];
int64_t xf_program_json_size;
xf::runtime::KernelFunction xf_kernels[32];
int64_t xf_kernel_count;
XfBlob xf_blobs[1];
int64_t xf_blob_count = 0;
}

[[gnu::constructor]] static void fill() {
  std::string json = xf::toy::programJson();
  // For the test of the start-up check: machines that have these are not made yet.
  if (std::getenv("XF_TOY_TARGET_ARM"))
    json.replace(json.find("x86_64"), 6, "arm_64");
  if (std::getenv("XF_TOY_TARGET_NEWER"))
    json.replace(json.find("sse2"), 4, "sse9");
  if (json.size() > sizeof xf_program_json)
    std::abort();
  std::copy(json.begin(), json.end(), xf_program_json);
  xf_program_json_size = json.size();
  auto kernels = xf::toy::kernels();
  std::copy(kernels.begin(), kernels.end(), xf_kernels);
  xf_kernel_count = kernels.size();
}
