//===- Link.cpp - object + runtime = executable ---------------------------===//
// Stage `link`, or one object of the program and its kernels. lld runs in this process; start-up files and the C++
// library come from the folder that the build fills beside the runtime ("link kit"), so that nothing but the C library
// is looked for on the machine.
//===----------------------------------------------------------------------===//
#include "lld/Common/Driver.h"
#include "xf/Target/Target.h"
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
  SmallVector<const char *> pointers;
  for (const std::string &argument : arguments)
    pointers.push_back(argument.c_str());
  std::string messages;
  llvm::raw_string_ostream stream(messages);
  lld::Result result = lld::lldMain(pointers, stream, stream, {{lld::Gnu, &lld::elf::link}});
  if (result.retCode == 0)
    return llvm::Error::success();
  return llvm::createStringError("linking failed: " + llvm::StringRef(messages).trim().str());
}

/// The arguments that make a relocatable object of objects.
std::vector<std::string> objectArguments(const CPU &cpu, ArrayRef<std::string> objects) {
  std::vector<std::string> arguments{"-m", cpu.isX86() ? "elf_x86_64" : "aarch64linux", "-r", "--whole-archive"};
  llvm::append_range(arguments, objects);
  return arguments;
}

/// Those that make an executable of objects, the runtime and the machine's C library.
std::vector<std::string> executableArguments(ArrayRef<std::string> objects, llvm::StringRef kit) {
  auto file = [&](llvm::StringRef name) { return (kit + "/" + name).str(); };
  std::vector<std::string> arguments{"-m",
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
                                     "noexecstack",
                                     "-pie",
                                     "-dynamic-linker",
                                     "/lib64/ld-linux-x86-64.so.2",
                                     file("Scrt1.o"),
                                     file("crti.o"),
                                     file("crtbeginS.o")};
  llvm::append_range(arguments, objects);
  llvm::append_range(arguments, std::initializer_list<std::string>{
                                    file("libxf_runtime.a"),
                                    "@" + file("instrumentation.rsp"), // empty but in sanitizer and coverage builds
                                    file("libstdc++.a"), "--start-group", file("libgcc.a"), file("libgcc_eh.a"),
                                    file("libc_nonshared.a"), "--end-group", "--as-needed"});
  // The C library is the machine's own, found where every Linux with glibc has it.
  for (llvm::StringRef name : {"libm.so.6", "libc.so.6", "ld-linux-x86-64.so.2"})
    for (llvm::StringRef folder : {"/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib"})
      if (std::string path = (folder + "/" + name).str(); llvm::sys::fs::exists(path)) {
        arguments.push_back(path);
        break;
      }
  llvm::append_range(arguments, std::initializer_list<std::string>{file("crtendS.o"), file("crtn.o")});
  return arguments;
}
} // namespace

llvm::Error linkProgram(OutputKind kind, const CPU &cpu, ArrayRef<std::string> objects, llvm::StringRef kit,
                        llvm::StringRef output) {
  llvm::SmallString<256> temporary;
  if (std::error_code code = llvm::sys::fs::createUniqueFile(output + ".tmp-%%%%%%", temporary))
    return systemError("can't write '" + output + "'", code);
  std::vector<std::string> arguments{"ld.lld", "-o", temporary.str().str()};
  llvm::append_range(arguments,
                     kind == OutputKind::Object ? objectArguments(cpu, objects) : executableArguments(objects, kit));
  llvm::Error error = runLinker(arguments);
  if (!error)
    if (std::error_code code = llvm::sys::fs::rename(temporary, output))
      error = systemError("can't write '" + output + "'", code);
  if (error)
    llvm::sys::fs::remove(temporary);
  return error;
}
} // namespace mlir::xf
