//===- Compiled.h - modules compiled into this process --------------------------===//
// Takes the text of a module through the stages from fuse to target, and runs its entry points with the runtime's
// executor: for comparison with the reference interpreter.
//===----------------------------------------------------------------------------===//
#ifndef XF_TEST_SCHEDULE_COMPILED_H
#define XF_TEST_SCHEDULE_COMPILED_H

#include "Harness.h"
#include "xf/Runtime/Executor.h"
#include <memory>

namespace llvm::orc {
class LLJIT;
}

namespace mlir::xf::test {

/// Widths of vectors that this machine can run. Each stands for a form: 4 for NEON's 32 registers, 8 for AVX2's 16,
/// 16 for AVX-512's 32.
std::vector<unsigned> vectorWidths();

/// In place of a width: kernels by convert-xf-to-linalg and upstream's lowering of linalg, not by our schedules.
constexpr unsigned upstream = 0;

/// In place of a width: kernels for a GPU, which test/lib/GPU emulates.
constexpr unsigned gpu = 32;

class Compiled {
public:
  /// Kernels take the first of `schedules` (attributes) that is of their kind, else the default.
  Compiled(const std::string &text, unsigned vectorWidth, const std::vector<std::string> &schedules = {});
  ~Compiled();

  /// Calls an entry point with inputs by xf.name; returns its results so. Parameters are those of `model`; gradients
  /// come back as grad.NAME.
  Tensors run(std::string_view function, const Tensors &inputs, int threads = 1, const ModelState *model = nullptr);
  bool valid() const { return program.has_value(); }

private:
  std::unique_ptr<llvm::orc::LLJIT> jit;
  std::optional<::xf::runtime::Program> program;
  std::span<const ::xf::runtime::KernelFunction> kernels;
  std::span<const XfImage *const> images;
};

/// The text of a module whose entry points call what they were, kernels of bf16 (xf-precision) for such a width: what
/// they give is cast.
std::string inBF16(const std::string &text, unsigned way = upstream);

/// The values that f32 can hold.
Tensor rounded(Tensor tensor);
/// Normal values, in f32.
Tensor normal(std::vector<int64_t> shape, uint64_t seed);

/// Every element within `tolerance` of max(1, |expected|), and no number where none is expected.
void expectClose(const Tensors &actual, const Tensors &expected, double tolerance, const std::string &what);

} // namespace mlir::xf::test

#endif // XF_TEST_SCHEDULE_COMPILED_H
