//===- Files.cpp - Files read whole and written whole -------------------------------===//
// POSIX calls with the system's own reason in every message.
//===--------------------------------------------------------------------------------===//
#include "xf/Runtime/Files.h"
#include "xf/Runtime/Memory.h"
#include "xf/Runtime/Output.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

using namespace xf::runtime;

static Error systemError(std::string_view doing, const std::string &path) {
  return userError(fmt::format("can't {} '{}': {}", doing, path, std::strerror(errno)));
}

namespace {
/// A descriptor that closes itself.
struct Descriptor {
  int number;
  ~Descriptor() {
    if (number >= 0)
      close(number);
  }
};
} // namespace

MappedFile::~MappedFile() {
  if (!bytes.empty())
    munmap(const_cast<char *>(bytes.data()), bytes.size());
}

static bool writeAll(int file, std::string_view part) {
  while (!part.empty()) {
    ssize_t written = write(file, part.data(), std::min<size_t>(part.size(), size_t(1) << 30));
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0)
      return false;
    part.remove_prefix(written);
  }
  return true;
}

/// All that comes from a pipe, as a file in memory; false with errno.
static bool receive(Descriptor &pipe) {
  Descriptor whole{memfd_create("xf-input", MFD_CLOEXEC)};
  if (whole.number < 0)
    return false;
  std::vector<char> buffer(size_t(1) << 16);
  for (;;) {
    ssize_t count = read(pipe.number, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0 || (count > 0 && !writeAll(whole.number, {buffer.data(), size_t(count)})))
      return false;
    if (count == 0)
      return std::swap(pipe.number, whole.number), true;
  }
}

Expected<MappedFile> MappedFile::open(const std::string &path) {
  bool isStandard = path == "-";
  Descriptor file{isStandard ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0) : ::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  struct stat status;
  if (file.number < 0 || fstat(file.number, &status) != 0)
    return systemError("open", path);
  if (S_ISDIR(status.st_mode)) {
    errno = EISDIR;
    return systemError("open", path);
  }
  if (isStandard || S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode)) {
    if (!receive(file) || fstat(file.number, &status) != 0)
      return systemError("read", path);
  } else if (!S_ISREG(status.st_mode)) {
    return userError(fmt::format("can't read '{}': expected a file or a pipe", path));
  }
  MappedFile mapped;
  if (status.st_size == 0)
    return mapped;
  void *address = mmap(nullptr, status.st_size, PROT_READ, MAP_PRIVATE, file.number, 0);
  if (address == MAP_FAILED)
    return systemError("map", path);
  mapped.bytes = {static_cast<const char *>(address), size_t(status.st_size)};
  return mapped;
}

void MappedFile::forget(std::span<const char> part, std::span<const char> file) {
  // To read a number can map all of the piece in which the system keeps it: as much as a huge page. And whole pages
  // inside the file: those at its ends belong to its neighbours too.
  constexpr uintptr_t piece = uintptr_t(2) << 20;
  auto page = uintptr_t(sysconf(_SC_PAGESIZE)), address = reinterpret_cast<uintptr_t>(part.data()),
       fileBegin = reinterpret_cast<uintptr_t>(file.data());
  uintptr_t begin = std::max(address / piece * piece, (fileBegin + page - 1) / page * page),
            end =
                std::min((address + part.size() + piece - 1) / piece * piece, (fileBegin + file.size()) / page * page);
  if (begin < end)
    madvise(reinterpret_cast<void *>(begin), end - begin, MADV_DONTNEED);
}

FolderLock::~FolderLock() {
  if (descriptor >= 0)
    close(descriptor);
}

Expected<FolderLock> FolderLock::take(const std::string &path) {
  FolderLock lock(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (lock.descriptor < 0)
    return systemError("open the folder", path);
  // Some file systems have no locks; then there is none.
  if (flock(lock.descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
    return userError(fmt::format("another process writes to the folder '{}'; wait for it, or name another one", path));
  return lock;
}

Expected<void> xf::runtime::writeFile(const std::string &path, std::span<const std::string_view> parts) {
  if (path == "-") {
    for (std::string_view part : parts)
      writeResults(part);
    return flushResults();
  }
  struct stat status;
  bool exists = stat(path.c_str(), &status) == 0;
  if (exists && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) {
    Descriptor file{::open(path.c_str(), O_WRONLY | O_CLOEXEC)};
    bool complete = file.number >= 0;
    for (std::string_view part : parts)
      complete = complete && writeAll(file.number, part);
    return complete ? Expected<void>() : systemError("write", path);
  }
  // A link stays one. A fixed name: what a killed process left is overwritten by the next.
  std::error_code failure;
  std::filesystem::path target = exists ? std::filesystem::canonical(path, failure) : std::filesystem::path();
  if (!exists || failure)
    target = path;
  std::string beside = (target.parent_path() / ("." + target.filename().string() + ".partial")).string();
  {
    Descriptor file{::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)};
    if (file.number < 0)
      return systemError("write", path);
    bool complete = true;
    for (std::string_view part : parts)
      complete = complete && writeAll(file.number, part);
    if (!complete || fsync(file.number) != 0) {
      Error error = systemError("write", path);
      unlink(beside.c_str());
      return error;
    }
  }
  if (rename(beside.c_str(), target.c_str()) != 0) {
    Error error = systemError("write", path);
    unlink(beside.c_str());
    return error;
  }
  std::string folder = target.has_parent_path() ? target.parent_path().string() : ".";
  Descriptor directory{::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (directory.number >= 0)
    fsync(directory.number);
  return {};
}

Expected<void> xf::runtime::makeWritableFolder(const std::string &path, int64_t bytes) {
  std::error_code failure;
  std::filesystem::create_directories(path, failure);
  if (failure)
    return userError(fmt::format("can't make the folder '{}': {}", path, failure.message()));
  // Asking the system beats looking at permission bits: read-only mounts and quotas say so here.
  std::string probe = path + "/.writable";
  Descriptor file{::open(probe.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)};
  if (file.number < 0)
    return systemError("write to the folder", path);
  unlink(probe.c_str());
  struct statvfs status;
  if (statvfs(path.c_str(), &status) == 0) {
    int64_t free = int64_t(status.f_bavail) * int64_t(status.f_frsize);
    if (free < bytes)
      return userError(fmt::format("can't write to the folder '{}': {} (needs {}, has {})", path, std::strerror(ENOSPC),
                                   formatBytes(bytes), formatBytes(free)));
  }
  return {};
}
