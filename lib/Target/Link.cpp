//===- Link.cpp - object + runtime = executable or library ----------------===//
// Stage `link`, or one object of the program and its kernels. lld runs in this process; start-up files and the C++
// library come from the folder that the build fills beside the runtime ("link kit"), so that nothing but the C library
// is looked for on the machine.
//===----------------------------------------------------------------------===//
#include "lld/Common/Driver.h"
#include "xf/Target/Target.h"
#include "llvm/ObjCopy/ConfigManager.h"
#include "llvm/ObjCopy/ObjCopy.h"
#include "llvm/Object/ArchiveWriter.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"

LLD_HAS_DRIVER(elf)

namespace mlir::xf {
namespace {
llvm::Error systemError(const llvm::Twine &what, std::error_code code) {
  return llvm::createStringError(code, what + ": " + code.message());
}

/// Runs lld on `arguments`; what it has to say becomes the error.
llvm::Error runLinker(ArrayRef<std::string> arguments) {
  SmallVector<const char *> pointers{"ld.lld"};
  for (const std::string &argument : arguments)
    pointers.push_back(argument.c_str());
  std::string messages;
  llvm::raw_string_ostream stream(messages);
  lld::Result result = lld::lldMain(pointers, stream, stream, {{lld::Gnu, &lld::elf::link}});
  if (result.retCode == 0)
    return llvm::Error::success();
  return llvm::createStringError("linking failed: " + llvm::StringRef(messages).trim().str());
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

/// One object of objects, the runtime and the C++ library, whose only symbols that others see are those by the `name`:
/// both kinds of libraries are made of it, and models don't meet in a process.
llvm::Error linkLibraryObject(const CPU &cpu, ArrayRef<std::string> objects, const LinkFolders &folders, StringRef name,
                              const std::string &output) {
  auto kit = [&](StringRef name) { return folders.kit + "/" + name.str(); };
  std::string merged = folders.temporary + "/merged.o";
  Arguments arguments = relocatable(cpu, objects);
  llvm::append_range(arguments, Words{"--no-whole-archive", "--force-group-allocation", "-u", openSymbols[0].str(),
                                      kit("libxf_runtime.a"), kit("libstdc++.a"), "--start-group", kit("libgcc.a"),
                                      kit("libgcc_eh.a"), "--end-group", "-o", merged});
  if (llvm::Error error = runLinker(arguments))
    return error;
  llvm::Expected<llvm::object::OwningBinary<llvm::object::Binary>> binary = llvm::object::createBinary(merged);
  if (!binary)
    return binary.takeError();
  llvm::objcopy::ConfigManager config;
  llvm::objcopy::CommonConfig &changes = config.Common;
  changes.InputFilename = merged;
  changes.OutputFilename = output;
  changes.StripDebug = changes.StripUnneeded = true;
  std::vector<std::string> renamed;
  for (StringRef symbol : openSymbols)
    renamed.push_back((name + symbol.drop_front(openPrefix.size())).str());
  auto noPattern = [](llvm::Error error) { return error; };
  for (auto [symbol, own] : llvm::zip_equal(openSymbols, renamed)) {
    changes.SymbolsToRename[symbol] = own;
    if (llvm::Error error = changes.SymbolsToKeepGlobal.addMatcher(
            llvm::objcopy::NameOrPattern::create(symbol, llvm::objcopy::MatchStyle::Literal, noPattern)))
      return error;
  }
  std::error_code code;
  llvm::raw_fd_ostream stream(output, code);
  if (code)
    return systemError("can't write '" + output + "'", code);
  return llvm::objcopy::executeObjcopyOnBinary(config, *binary->getBinary(), stream);
}

/// An archive of one member.
llvm::Error writeArchiveOf(const std::string &object, StringRef output) {
  llvm::Expected<llvm::NewArchiveMember> member = llvm::NewArchiveMember::getFile(object, /*Deterministic=*/true);
  if (!member)
    return member.takeError();
  member->MemberName = llvm::sys::path::filename(object);
  return llvm::writeArchive(output, *member, llvm::SymtabWritingMode::NormalSymtab, llvm::object::Archive::K_GNU,
                            /*Deterministic=*/true, /*Thin=*/false);
}

/// Writes `output`, whatever is there.
llvm::Error link(OutputKind kind, const CPU &cpu, ArrayRef<std::string> objects, const LinkFolders &folders,
                 StringRef model, StringRef name, const std::string &output) {
  auto run = [&](Arguments arguments) {
    llvm::append_range(arguments, Words{"-o", output});
    return runLinker(arguments);
  };
  if (kind == OutputKind::Object)
    return run(relocatable(cpu, objects));
  if (kind == OutputKind::Executable)
    return run(image(/*isShared=*/false, name, objects, folders.kit));
  std::string object = folders.temporary + "/" + model.str() + ".o";
  if (llvm::Error error = linkLibraryObject(cpu, objects, folders, model, object))
    return error;
  if (kind == OutputKind::Static)
    return writeArchiveOf(object, output);
  return run(image(/*isShared=*/true, name, object, folders.kit));
}
} // namespace

llvm::Error linkProgram(OutputKind kind, const CPU &cpu, ArrayRef<std::string> objects, const LinkFolders &folders,
                        StringRef model, StringRef output) {
  llvm::SmallString<256> temporary;
  if (std::error_code code = llvm::sys::fs::createUniqueFile(output + ".tmp-%%%%%%", temporary))
    return systemError("can't write '" + output + "'", code);
  llvm::Error error =
      link(kind, cpu, objects, folders, model, llvm::sys::path::filename(output), temporary.str().str());
  if (!error)
    if (std::error_code code = llvm::sys::fs::rename(temporary, output))
      error = systemError("can't write '" + output + "'", code);
  if (error)
    llvm::sys::fs::remove(temporary);
  return error;
}
} // namespace mlir::xf
