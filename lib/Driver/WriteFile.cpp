//===- WriteFile.cpp - files that appear whole or not at all --------------===//
#include "xf/Driver/WriteFile.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/raw_ostream.h"

namespace mlir::xf {
/// Why not all that was written to it has left; from here on the stream's destructor has nothing to end the process
/// for.
static std::error_code finish(llvm::raw_fd_ostream &stream) {
  stream.flush();
  std::error_code code = stream.error();
  stream.clear_error();
  return code;
}

llvm::Error flushOutput() {
  std::error_code code = finish(llvm::outs());
  return code ? llvm::createStringError(code, "can't write the results to stdout: " + code.message())
              : llvm::Error::success();
}

llvm::Error writeFile(StringRef path, function_ref<void(raw_ostream &)> write, bool isExecutable) {
  namespace fs = llvm::sys::fs;
  if (fs::exists(path) && !fs::is_regular_file(path)) { // a device or a pipe, which must stay what it is
    std::error_code code;
    llvm::raw_fd_ostream stream(path, code);
    if (!code) {
      write(stream);
      code = finish(stream);
    }
    return llvm::errorCodeToError(code);
  }
  llvm::SmallString<256> target(path); // of a link, which stays one
  if (fs::is_symlink_file(path))
    fs::real_path(path, target);
  llvm::Expected<fs::TempFile> file = fs::TempFile::create(
      target + ".tmp-%%%%%%", fs::all_read | fs::all_write | (isExecutable ? fs::all_exe : fs::perms(0)));
  if (!file)
    return file.takeError();
  llvm::raw_fd_ostream stream(file->FD, /*shouldClose=*/false);
  write(stream);
  if (std::error_code code = finish(stream))
    return llvm::joinErrors(llvm::errorCodeToError(code), file->discard());
  return file->keep(target);
}
} // namespace mlir::xf
