//===- Files.h - Files read whole and written whole ---------------------------------===//
// Reading maps a file; writing goes to a file beside the target that is synced and renamed, so that
// what stands under a name is always complete, whenever the process is killed.
//===--------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_FILES_H
#define XF_RUNTIME_FILES_H

#include "xf/Runtime/Error.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace xf::runtime {

/// A file's bytes, mapped read-only; of a pipe, or of standard input ("-"), all that comes.
class MappedFile {
public:
  MappedFile() = default;
  MappedFile(MappedFile &&other) noexcept : bytes(std::exchange(other.bytes, {})) {}
  MappedFile &operator=(MappedFile &&other) noexcept {
    std::swap(bytes, other.bytes);
    return *this;
  }
  ~MappedFile();

  static Expected<MappedFile> open(const std::string &path);
  std::span<const char> data() const { return bytes; }

  /// Gives back the memory of this part of a file's mapping, and of what else of `file`, which is mapped and holds it,
  /// came along when it was read; all can still be read, from the file again.
  static void forget(std::span<const char> part, std::span<const char> file);

private:
  std::span<const char> bytes;
};

/// One process at a time may have a folder; it is free again when this goes, or the process.
class FolderLock {
public:
  static Expected<FolderLock> take(const std::string &path);
  FolderLock(FolderLock &&other) noexcept : descriptor(std::exchange(other.descriptor, -1)) {}
  FolderLock &operator=(FolderLock &&) = delete;
  ~FolderLock();

private:
  explicit FolderLock(int descriptor) : descriptor(descriptor) {}
  int descriptor;
};

/// Replaces `path` by the parts in order, durably and all at once; what is no regular file (/dev/stdout) is written to,
/// and "-" is standard output.
Expected<void> writeFile(const std::string &path, std::span<const std::string_view> parts);
inline Expected<void> writeFile(const std::string &path, std::string_view text) {
  return writeFile(path, std::span(&text, 1));
}

/// Makes the folder (and those above it) and checks that files can be written there; `bytes` more if known.
Expected<void> makeWritableFolder(const std::string &path, int64_t bytes = 0);

} // namespace xf::runtime

#endif // XF_RUNTIME_FILES_H
