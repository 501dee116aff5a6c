//===- Safetensors.h - Named tensors in a file ---------------------------------------===//
// The format of Hugging Face's safetensors: eight bytes of header length, a JSON header, and the
// values. Read by mapping and checked in full; written with sorted names, the same bytes for the same
// tensors, and a checksum in the metadata.
//===--------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_SAFETENSORS_H
#define XF_RUNTIME_SAFETENSORS_H

#include "xf/Runtime/Executor.h"
#include "xf/Runtime/Files.h"

namespace xf::runtime {

class Safetensors {
public:
  using Metadata = std::map<std::string, std::string>;

  /// Opens and checks a file, its checksum too where it carries one.
  static Expected<Safetensors> open(const std::string &path);
  /// The same from memory that outlives the result; `path` is what messages call it. `isMapped`: the memory is a
  /// file's, mapped, and need not stay with this process once it was read.
  static Expected<Safetensors> parse(std::span<const char> bytes, const std::string &path, bool isMapped = false);

  /// By name. The data may be at any address: copy before computing on it.
  const std::vector<TensorView> &tensors() const { return views; }
  const TensorView *find(std::string_view name) const;
  /// Copies the values of a tensor of real numbers, once: its pages don't count against this process after.
  void moveReals(const TensorView &tensor, float *to) const;
  const Metadata &metadata() const { return entries; }
  const std::string &path() const { return origin; }

private:
  MappedFile file;
  std::span<const char> mapped; // the file's mapping, if it is one
  std::string origin;
  std::map<std::string, TensorView, std::less<>> byName; // owns the names
  std::vector<TensorView> views;
  Metadata entries;
};

/// Writes `tensors` beside `path` and renames.
Expected<void> writeSafetensors(const std::string &path, std::span<const TensorView> tensors,
                                const Safetensors::Metadata &metadata = {});

} // namespace xf::runtime

#endif // XF_RUNTIME_SAFETENSORS_H
