//===- Header.cpp - the C header beside a library or an object ------------===//
// A comment that says what this model's functions take and give, the interface that all libraries share, and the
// declaration of what this one alone has.
//===----------------------------------------------------------------------===//
#include "xf/Driver/Header.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Path.h"

namespace mlir::xf {
namespace runtime = ::xf::runtime;

HeaderNames::HeaderNames(StringRef output) {
  StringRef stem = llvm::sys::path::stem(output);
  bool isLibrary = output.ends_with(".so") || output.ends_with(".a");
  if (isLibrary && stem.size() > 3)
    stem.consume_front("lib");
  llvm::SmallString<128> header(llvm::sys::path::parent_path(output));
  llvm::sys::path::append(header, stem + ".h");
  path = header.str();
  for (char c : stem)
    model += llvm::isAlnum(c) ? c : '_';
  if (model.empty() || llvm::isDigit(model.front()))
    model.insert(0, "_");
}

/// What docs/Program.md lists: {0} for each of an object's programs.
constexpr StringLiteral objectSymbols = R"(#ifndef XF_OBJECT_H
#define XF_OBJECT_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif

typedef struct XfBlob {{
  const char *name;
  const void *data;
  int64_t size;
} XfBlob;
{0}
extern const XfBlob xf_blobs[];
extern const int64_t xf_blob_count;

#ifdef __cplusplus
}
#endif

#endif /* XF_OBJECT_H */
)";

constexpr StringLiteral processorSymbols = R"(
typedef void (*XfKernel)(void *const *buffers, const int64_t *dims, const int64_t *scalars, int64_t begin, int64_t end,
                         void *scratch);
extern const char xf_program_json[];
extern const int64_t xf_program_json_size;
extern const XfKernel xf_kernels[];
extern const int64_t xf_kernel_count;
)";

constexpr StringLiteral gpuSymbols = R"(
typedef struct XfImage {
  const char *ptx;
  int64_t ptx_size;
  const void *code;
  int64_t code_size;
} XfImage;
extern const char xf_gpu_program_json[];
extern const int64_t xf_gpu_program_json_size;
extern const XfImage *const xf_gpu_images[];
extern const int64_t xf_gpu_kernel_count;
)";

constexpr StringLiteral opener = R"(
#ifndef XF_OPEN_{0}
#define XF_OPEN_{0}
#ifdef __cplusplus
extern "C" {{
#endif
/* Opens this model: with the weights of a file or a run's folder, or with those that it was compiled with (NULL); where
 * there are none, parameters are drawn from seed 1. */
const char *{0}_open(const char *weights, xf_model **model);
/* On this device: "cpu", "cuda", or the GPU where the model was compiled for one (NULL, and the above). */
const char *{0}_open_on(const char *device, const char *weights, xf_model **model);
#ifdef __cplusplus
}
#endif
#endif
)";

/// "source_ids i32 [source_tokens]".
static std::string describe(const runtime::TensorType &type, const runtime::Function &function) {
  std::string shape =
      llvm::join(llvm::map_range(type.shape,
                                 [&](const runtime::Extent &extent) {
                                   return extent.dim < 0 ? std::to_string(extent.size) : function.dims[extent.dim];
                                 }),
                 ", ");
  return llvm::formatv("{0} {1} [{2}]", type.name, std::string(runtime::name(type.type)), shape);
}

std::string headerText(const runtime::Program &program, StringRef gpu, StringRef model, bool isLibrary,
                       StringRef interface) {
  std::string comment;
  llvm::raw_string_ostream os(comment);
  SmallVector<std::string> devices;
  if (program.gpu.empty())
    devices.push_back(program.cpu);
  if (!gpu.empty())
    devices.push_back("GPU " + gpu.str());
  os << llvm::formatv("The model '{0}' ({1}), compiled by xf for {2} ({3}).\n\n", program.name, program.kind,
                      program.triple, llvm::join(devices, ", "));
  for (const runtime::Function &function : program.functions) {
    if (isLibrary && function.name == "prepare")
      continue; // called where it is needed
    os << "Function '" << function.name << "'\n";
    for (const runtime::TensorType &type : function.inputs)
      os << "  takes " << describe(type, function) << "\n";
    for (const runtime::TensorType &type : function.outputs)
      os << "  gives " << describe(type, function) << "\n";
  }
  os << "Parameters\n";
  for (const runtime::Parameter &parameter : program.parameters)
    os << llvm::formatv("  {0} [{1}]\n", parameter.name,
                        llvm::make_range(parameter.shape.begin(), parameter.shape.end()));

  std::string text = "/*";
  for (StringRef line : llvm::split(StringRef(comment).rtrim(), '\n')) {
    // Names are the user's, and may hold what ends a comment.
    std::string safe = line.str();
    for (size_t at; (at = safe.find("*/")) != std::string::npos;)
      safe.replace(at, 2, "* /");
    text += (text == "/*" ? " " : line.empty() ? " *" : " * ") + safe + "\n";
  }
  text += " */\n";
  if (!isLibrary)
    return text + llvm::formatv(objectSymbols.data(), (program.gpu.empty() ? processorSymbols.str() : "") +
                                                          (gpu.empty() ? "" : gpuSymbols.str()))
                      .str();
  return text + interface.str() + llvm::formatv(opener.data(), model).str();
}
} // namespace mlir::xf
