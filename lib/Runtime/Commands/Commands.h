//===- Commands.h - The commands of an executable --------------------------------------===//
// One file a command; each adds itself with its options and leaves behind what to do when chosen.
// Results go to stdout, everything else to stderr.
//===--------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_COMMANDS_COMMANDS_H
#define XF_RUNTIME_COMMANDS_COMMANDS_H

#include "xf/Runtime/Session.h"

#include <CLI/CLI.hpp>
#include <functional>

namespace xf::runtime {

/// What the chosen command does; the value is the exit code.
using Action = std::function<Expected<int>()>;

void addInfo(CLI::App &app, Session &session, Action &action);
void addRun(CLI::App &app, Session &session, Action &action);
void addGradcheck(CLI::App &app, Session &session, Action &action);

/// `--threads` and `--profile`.
void addExecutionOptions(CLI::App &command, Session &session);
/// `--model`; needed where no weights are embedded.
void addModelOption(CLI::App &command, const Session &session, std::string &model);

/// `--learning-rate`, `--schedule`, `--warmup`, `--clip-norm`.
struct Hyper;
void addHyperOptions(CLI::App &command, Hyper &hyper);

/// Tensors of this process: what goes into functions and comes out.
class OwnedTensor {
public:
  OwnedTensor(std::string name, ElementType type, std::vector<int64_t> shape);
  /// A copy; i64 is narrowed where `as` is i32, an error where a value does not fit.
  static Expected<OwnedTensor> copy(const TensorView &tensor, ElementType as);

  TensorView view() const { return {label, type, shape, storage.get()}; }
  template <typename T> T *as() const { return reinterpret_cast<T *>(storage.get()); }

private:
  std::string label;
  ElementType type;
  std::vector<int64_t> shape;
  std::shared_ptr<char> storage; // 64-byte aligned
};
std::vector<TensorView> viewsOf(std::span<const OwnedTensor> tensors);

/// Whether ids, offsets and rows point at what is there: kernels do not look.
Expected<void> validateIndices(const Session &session, const Function &function, std::span<const TensorView> inputs);

} // namespace xf::runtime

#endif // XF_RUNTIME_COMMANDS_COMMANDS_H
