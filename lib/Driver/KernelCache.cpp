//===- KernelCache.cpp - kernels compiled before --------------------------===//
#include "xf/Driver/KernelCache.h"
#include "xf/Driver/WriteFile.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/CachePruning.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/EndianStream.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/SHA256.h"
#include "llvm/Support/xxhash.h"
#include <link.h>

namespace mlir::xf {
namespace {
/// An entry is this, the xxh3 of what follows, and then the length of the facts, facts and object.
constexpr StringLiteral magic = "xf-kernel-1\n";

/// The build id that the linker has put into a loaded file; libLLVM and libMLIR make the code as much as we do.
std::string buildId(const dl_phdr_info &info) {
  for (const ElfW(Phdr) &header : ArrayRef(info.dlpi_phdr, info.dlpi_phnum)) {
    if (header.p_type != PT_NOTE)
      continue;
    StringRef notes(reinterpret_cast<const char *>(info.dlpi_addr + header.p_vaddr), header.p_memsz);
    while (notes.size() >= sizeof(ElfW(Nhdr))) {
      ElfW(Nhdr) note;
      memcpy(&note, notes.data(), sizeof(note));
      notes = notes.drop_front(sizeof(note));
      StringRef name = notes.take_front(note.n_namesz);
      notes = notes.drop_front(std::min<size_t>(llvm::alignTo(note.n_namesz, 4), notes.size()));
      StringRef description = notes.take_front(note.n_descsz);
      notes = notes.drop_front(std::min<size_t>(llvm::alignTo(note.n_descsz, 4), notes.size()));
      if (note.n_type == NT_GNU_BUILD_ID && name == StringRef("GNU", 4))
        return description.str();
    }
  }
  return "";
}

/// The build ids of all files this process consists of; empty where one that matters has none.
std::string identifyCompiler() {
  std::string ids;
  dl_iterate_phdr(
      [](dl_phdr_info *info, size_t, void *data) {
        auto &ids = *static_cast<std::string *>(data);
        std::string id = buildId(*info);
        StringRef file = llvm::sys::path::filename(info->dlpi_name);
        bool matters = file.empty() || file.starts_with("libLLVM") || file.starts_with("libMLIR");
        if (matters && id.empty()) {
          ids.clear();
          return 1;
        }
        if (matters)
          ids += id;
        return 0;
      },
      &ids);
  return ids;
}

template <typename T> T read(StringRef &data) {
  T value = llvm::support::endian::read<T, llvm::endianness::little>(data.data());
  data = data.drop_front(sizeof(T));
  return value;
}
} // namespace

std::optional<KernelCache> KernelCache::open(uint64_t maxBytes) {
  llvm::SmallString<256> folder;
  std::string compiler = identifyCompiler();
  // A path that depends on where we are, as an empty HOME makes, is none.
  if (compiler.empty() || !llvm::sys::path::cache_directory(folder) || !llvm::sys::path::is_absolute(folder))
    return std::nullopt;
  llvm::sys::path::append(folder, "xf", "kernels");
  return KernelCache(folder.str().str(), compiler, maxBytes);
}

std::string KernelCache::key(ArrayRef<StringRef> parts) const {
  llvm::SHA256 hash;
  auto add = [&](StringRef part) {
    hash.update(std::to_string(part.size()) + ":"); // or "a", "bc" would be "ab", "c"
    hash.update(part);
  };
  add(compiler);
  for (StringRef part : parts)
    add(part);
  return llvm::toHex(hash.final(), /*LowerCase=*/true);
}

// The prefix is what LLVM's pruning goes by.
std::string KernelCache::pathOf(StringRef key) const { return folder + "/llvmcache-" + key.str(); }

std::optional<CompiledKernel> KernelCache::find(StringRef key) const {
  auto file = llvm::MemoryBuffer::getFile(pathOf(key), /*IsText=*/false, /*RequiresNullTerminator=*/false,
                                          /*IsVolatile=*/true);
  if (!file)
    return std::nullopt;
  StringRef data = (*file)->getBuffer();
  if (!data.consume_front(magic) || data.size() < 2 * sizeof(uint64_t))
    return std::nullopt;
  auto checksum = read<uint64_t>(data);
  if (checksum != llvm::xxh3_64bits(data))
    return std::nullopt;
  CompiledKernel kernel;
  auto factsSize = read<uint64_t>(data);
  kernel.facts = data.take_front(factsSize).str();
  kernel.object = data.drop_front(factsSize).str();
  // The time of the last use is what pruning goes by; file systems note few of the reads.
  int descriptor;
  if (!llvm::sys::fs::openFileForWrite(pathOf(key), descriptor, llvm::sys::fs::CD_OpenExisting,
                                       llvm::sys::fs::OF_Append)) {
    (void)llvm::sys::fs::setLastAccessAndModificationTime(descriptor, std::chrono::system_clock::now());
    llvm::sys::Process::SafelyCloseFileDescriptor(descriptor);
  }
  return kernel;
}

void KernelCache::insert(StringRef key, const CompiledKernel &kernel) const {
  std::string data;
  llvm::raw_string_ostream stream(data);
  llvm::support::endian::Writer writer(stream, llvm::endianness::little);
  writer.write<uint64_t>(kernel.facts.size());
  stream << kernel.facts << kernel.object;
  if (llvm::sys::fs::create_directories(folder))
    return;
  llvm::consumeError(writeFile(pathOf(key), [&](raw_ostream &os) {
    os << magic;
    llvm::support::endian::Writer(os, llvm::endianness::little).write<uint64_t>(llvm::xxh3_64bits(data));
    os << data;
  }));
}

void KernelCache::prune() const {
  llvm::CachePruningPolicy policy;
  policy.Interval = std::chrono::seconds(0);
  policy.Expiration = std::chrono::seconds(0);
  policy.MaxSizePercentageOfAvailableSpace = 0;
  policy.MaxSizeBytes = maxBytes;
  policy.MaxSizeFiles = 0;
  llvm::pruneCache(folder, policy);
}
} // namespace mlir::xf
