//===- Memory.cpp - Pages for arenas, and how many there are ------------------------===//
// mmap with huge pages advised, and the three places a limit can come from on Linux.
//===--------------------------------------------------------------------------------===//
#include "xf/Runtime/Memory.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <fstream>
#include <limits>
#include <sstream>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

using namespace xf::runtime;

static constexpr int64_t hugePage = int64_t(2) << 20;

void Pages::release() {
  if (mapping.data)
    munmap(mapping.data, mapping.mapped);
  mapping = {};
}

Expected<Pages> Pages::allocate(int64_t bytes) {
  Pages pages;
  if (bytes <= 0)
    return pages;
  bool huge = bytes >= hugePage;
  int64_t mapped = bytes + (huge ? hugePage : 0);
  auto map = [](int64_t size) {
    return mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  };
  void *base = map(mapped);
  if (base == MAP_FAILED && huge) { // where the address space is limited there may be no room to align in
    huge = false;
    base = map(mapped = bytes);
  }
  if (base == MAP_FAILED)
    return userError(fmt::format("not enough memory: needs {}, and {} is available", formatBytes(bytes),
                                 formatBytes(availableMemory())));
  auto *data = static_cast<char *>(base);
  if (huge) {
    // What lies before and behind the aligned part goes back: it would count against a limit of the address space.
    auto address = reinterpret_cast<uintptr_t>(base);
    int64_t before = int64_t((address + hugePage - 1) / hugePage * hugePage - address);
    int64_t page = sysconf(_SC_PAGESIZE), end = (before + bytes + page - 1) / page * page;
    data += before;
    if (before > 0)
      munmap(base, before);
    if (end < mapped)
      munmap(static_cast<char *>(base) + end, mapped - end);
    mapped = end - before;
    // Only whole huge pages: the tail would round resident memory up to the next 2 MiB.
    madvise(data, bytes / hugePage * hugePage, MADV_HUGEPAGE);
  }
  pages.mapping = {data, bytes, mapped};
  return pages;
}

Expected<void> Pages::reserve(int64_t bytes) {
  if (bytes <= mapping.bytes)
    return {};
  release(); // first: the old and the new need not fit together
  Expected<Pages> grown = allocate(bytes);
  if (!grown)
    return grown.error();
  *this = std::move(*grown);
  return {};
}

void Pages::takeSmallPages() { madvise(mapping.data, mapping.mapped, MADV_NOHUGEPAGE); }

void Pages::drop(int64_t offset, int64_t bytes) {
  int64_t page = sysconf(_SC_PAGESIZE), begin = (offset + page - 1) / page * page, end = (offset + bytes) / page * page;
  if (begin >= end)
    return;
  madvise(mapping.data + begin, end - begin, MADV_DONTNEED);
  mprotect(mapping.data + begin, end - begin, PROT_NONE); // zeros would be wrong weights
}

static constexpr int64_t unlimited = std::numeric_limits<int64_t>::max() / 2; // that something may be added to

/// The value after `key` in a file of lines "key value [kB]", in bytes.
static int64_t field(const char *path, const std::string &key) {
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string name, unit;
    int64_t value;
    if (words >> name >> value && name == key)
      return words >> unit && unit == "kB" ? value * 1024 : value;
  }
  return unlimited;
}

static int64_t number(const char *path) {
  std::ifstream file(path);
  int64_t value;
  return file >> value ? value : unlimited;
}

int64_t xf::runtime::availableMemory() {
  int64_t available = field("/proc/meminfo", "MemAvailable:");
  if (int64_t limit = number("/sys/fs/cgroup/memory.max"); limit != unlimited) {
    // The page cache is given back under pressure, so it does not count as used.
    int64_t cache = field("/sys/fs/cgroup/memory.stat", "inactive_file");
    int64_t used = number("/sys/fs/cgroup/memory.current") - (cache == unlimited ? 0 : cache);
    available = std::min(available, limit - used);
  }
  rlimit space;
  if (getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY) {
    int64_t used = number("/proc/self/statm");
    if (used != unlimited)
      available = std::min(available, int64_t(space.rlim_cur) - used * sysconf(_SC_PAGESIZE));
  }
  return std::max<int64_t>(available, 0);
}

int64_t xf::runtime::peakResidentBytes() {
  rusage usage;
  return getrusage(RUSAGE_SELF, &usage) == 0 ? int64_t(usage.ru_maxrss) * 1024 : 0;
}

Expected<int64_t> xf::runtime::parseBytes(std::string_view text) {
  double number = 0;
  const char *end = text.data() + text.size();
  auto [unit, error] = std::from_chars(text.data(), end, number, std::chars_format::fixed);
  std::string_view suffix(unit, end - unit), rest;
  size_t power = 0;
  if (!suffix.empty()) {
    power = std::string_view("KMGTPE").find(char(std::toupper(suffix[0]))) + 1; // 0: none of them
    rest = suffix.substr(power ? 1 : 0);
  }
  bool decimal = power && rest == "B", binary = rest.empty() || rest == "iB" || (!power && rest == "B");
  double bytes = number * std::pow(decimal ? 1000.0 : 1024.0, double(power));
  if (error != std::errc() || !(decimal || binary) || (rest == "iB" && !power) || !(bytes >= 1 && bytes <= 0x1p62))
    return userError(fmt::format("expected a number of bytes, such as 2GiB, 512M or 1073741824, but got '{}'", text));
  return int64_t(bytes);
}

std::string xf::runtime::formatBytes(int64_t bytes) {
  double size = double(bytes) / (1 << 20);
  std::string_view unit = "MiB";
  for (std::string_view larger : {"GiB", "TiB"})
    if (size >= 10 * 1024) {
      size /= 1024;
      unit = larger;
    }
  return fmt::format("{:.{}f} {}", size, unit == "MiB" ? 1 : 2, unit);
}
