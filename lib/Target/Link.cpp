//===- Link.cpp - object + runtime = executable or library ----------------===//
// Stage `link`, or one object of the program and its kernels. lld runs in this process; start-up files and the C++
// library come from the folder that the build fills beside the runtime ("link kit"), so that nothing but the C library
// is looked for on the machine.
//===----------------------------------------------------------------------===//
#include "lld/Common/Driver.h"
#include "xf/Target/MemoryFile.h"
#include "xf/Target/Target.h"
#include "llvm/ObjCopy/ConfigManager.h"
#include "llvm/ObjCopy/ObjCopy.h"
#include "llvm/Object/ArchiveWriter.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include <fcntl.h>
#include <thread>
#include <unistd.h>

LLD_HAS_DRIVER(elf)

namespace mlir::xf {
namespace {
llvm::Error systemError(const llvm::Twine &what) {
  std::error_code code(errno, std::generic_category());
  return llvm::createStringError(code, what + ": " + code.message());
}

/// What lld writes for `arguments`; what it has to say becomes the error. It writes to a pipe: a file it would map, and
/// be killed where the disk is full.
llvm::Expected<std::string> runLinker(std::vector<std::string> arguments) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0)
    return systemError("can't open a pipe");
  std::string output;
  std::thread reader([&output, end = ends[0]] {
    char part[1 << 16];
    for (ssize_t count; (count = read(end, part, sizeof part)) != 0;)
      if (count > 0)
        output.append(part, count);
      else if (errno != EINTR)
        break;
  });
  arguments.insert(arguments.end(), {"-o", "/proc/self/fd/" + std::to_string(ends[1])});
  SmallVector<const char *> pointers{"ld.lld"};
  for (const std::string &argument : arguments)
    pointers.push_back(argument.c_str());
  std::string messages;
  llvm::raw_string_ostream stream(messages);
  lld::Result result = lld::lldMain(pointers, stream, stream, {{lld::Gnu, &lld::elf::link}});
  close(ends[1]); // lld has closed its own: the reader is at the end
  reader.join();
  close(ends[0]);
  if (result.retCode != 0)
    return llvm::createStringError("linking failed: " + llvm::StringRef(messages).trim().str());
  return output;
}

using Arguments = std::vector<std::string>;
using Words = std::initializer_list<std::string>;

/// A relocatable object of objects.
Arguments relocatable(const CPU &cpu, ArrayRef<std::string> objects) {
  Arguments arguments{"-m", cpu.isX86() ? "elf_x86_64" : "aarch64linux", "-r", "--whole-archive"};
  llvm::append_range(arguments, objects);
  return arguments;
}

/// An executable of objects and the runtime, or a shared library of one object that holds it already. The machine's C
/// library is all that is left to be found.
Arguments image(bool isShared, StringRef name, ArrayRef<std::string> objects, StringRef kit) {
  auto file = [&](StringRef part) { return (kit + "/" + part).str(); };
  Arguments arguments{"-m",
                      "elf_x86_64",
                      "--eh-frame-hdr",
                      "--hash-style=gnu",
                      "--gc-sections",
                      "--build-id=none",
                      "-z",
                      "relro",
                      "-z",
                      "now",
                      "-z",
                      "noexecstack"};
  llvm::append_range(arguments, isShared
                                    ? Words{"-shared", "-soname", name.str()}
                                    : Words{"-pie", "-dynamic-linker", "/lib64/ld-linux-x86-64.so.2", file("Scrt1.o")});
  llvm::append_range(arguments, Words{file("crti.o"), file("crtbeginS.o")});
  llvm::append_range(arguments, objects);
  if (!isShared)
    llvm::append_range(arguments, Words{file("libxf_runtime.a"),
                                        "@" + file("instrumentation.rsp"), // empty but in instrumented builds
                                        file("libstdc++.a"), "--start-group", file("libgcc.a"), file("libgcc_eh.a"),
                                        file("libc_nonshared.a"), "--end-group"});
  llvm::append_range(arguments, Words{file("libc_nonshared.a"), "--as-needed"});
  // The C library is the machine's own, found where every Linux with glibc has it.
  for (StringRef library : {"libm.so.6", "libc.so.6", "ld-linux-x86-64.so.2"})
    for (StringRef folder : {"/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib"})
      if (std::string path = (folder + "/" + library).str(); llvm::sys::fs::exists(path)) {
        arguments.push_back(path);
        break;
      }
  llvm::append_range(arguments, Words{file("crtendS.o"), file("crtn.o")});
  return arguments;
}

/// The runtime's symbols that get the model's name: NAME_open and NAME_open_on.
constexpr StringLiteral openPrefix = "xf_library", openSymbols[] = {"xf_library_open", "xf_library_open_on"};

std::string renamed(StringRef symbol, StringRef model) { return (model + symbol.drop_front(openPrefix.size())).str(); }

/// One object of objects, the runtime and the C++ library, whose only symbols that others see are those by the `name`:
/// both kinds of libraries are made of it, and models don't meet in a process.
llvm::Expected<std::string> linkLibraryObject(const CPU &cpu, ArrayRef<std::string> objects, StringRef kit,
                                              StringRef name, bool hasText) {
  auto part = [&](StringRef name) { return (kit + "/" + name).str(); };
  Arguments arguments = relocatable(cpu, objects);
  llvm::append_range(arguments, Words{"--no-whole-archive", "--force-group-allocation", "-u", openSymbols[0].str()});
  if (hasText)
    arguments.push_back(part("libxf_library_text.a"));
  llvm::append_range(arguments, Words{part("libxf_runtime.a"), part("libstdc++.a"), "--start-group", part("libgcc.a"),
                                      part("libgcc_eh.a"), "--end-group"});
  llvm::Expected<std::string> merged = runLinker(arguments);
  if (!merged)
    return merged.takeError();
  auto binary = llvm::object::createBinary(llvm::MemoryBufferRef(*merged, "merged.o"));
  if (!binary)
    return binary.takeError();
  llvm::objcopy::ConfigManager config;
  llvm::objcopy::CommonConfig &changes = config.Common;
  changes.StripDebug = changes.StripUnneeded = true;
  std::vector<std::string> ownSymbols;
  for (StringRef symbol : openSymbols)
    ownSymbols.push_back(renamed(symbol, name));
  auto noPattern = [](llvm::Error error) { return error; };
  for (auto [symbol, own] : llvm::zip_equal(openSymbols, ownSymbols)) {
    changes.SymbolsToRename[symbol] = own;
    if (llvm::Error error = changes.SymbolsToKeepGlobal.addMatcher(
            llvm::objcopy::NameOrPattern::create(symbol, llvm::objcopy::MatchStyle::Literal, noPattern)))
      return std::move(error);
  }
  std::string object;
  llvm::raw_string_ostream stream(object);
  if (llvm::Error error = llvm::objcopy::executeObjcopyOnBinary(config, **binary, stream))
    return std::move(error);
  return object;
}

/// An archive of one member.
llvm::Expected<std::string> archiveOf(StringRef object, StringRef name) {
  llvm::NewArchiveMember member(llvm::MemoryBufferRef(object, name));
  auto archive = llvm::writeArchiveToBuffer(member, llvm::SymtabWritingMode::NormalSymtab, llvm::object::Archive::K_GNU,
                                            /*Deterministic=*/true, /*Thin=*/false);
  if (!archive)
    return archive.takeError();
  return (*archive)->getBuffer().str();
}
} // namespace

llvm::Expected<std::string> linkProgram(OutputKind kind, const CPU &cpu, ArrayRef<StringRef> objects, StringRef kit,
                                        StringRef model, StringRef name, bool hasText) {
  std::vector<MemoryFile> files;
  std::vector<std::string> paths;
  auto add = [&](StringRef content) -> llvm::Error {
    llvm::Expected<MemoryFile> file = MemoryFile::create(content);
    if (!file)
      return file.takeError();
    paths.push_back(file->path());
    files.push_back(std::move(*file));
    return llvm::Error::success();
  };
  for (StringRef object : objects)
    if (llvm::Error error = add(object))
      return std::move(error);
  if (kind == OutputKind::Object)
    return runLinker(relocatable(cpu, paths));
  if (kind == OutputKind::Executable)
    return runLinker(image(/*isShared=*/false, name, paths, kit));
  llvm::Expected<std::string> object = linkLibraryObject(cpu, paths, kit, model, hasText);
  if (!object)
    return object;
  if (kind == OutputKind::Static)
    return archiveOf(*object, model.str() + ".o");
  paths.clear();
  if (llvm::Error error = add(*object))
    return std::move(error);
  // Under its own name, too, which stays where the file gets another one.
  if (StringRef symbol = openSymbols[1]; model != openPrefix)
    paths.push_back(("--defsym=" + symbol + "=" + renamed(symbol, model)).str());
  return runLinker(image(/*isShared=*/true, name, paths, kit));
}
} // namespace mlir::xf
