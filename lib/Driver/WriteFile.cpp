//===- WriteFile.cpp - files that appear whole or not at all --------------===//
#include "xf/Driver/WriteFile.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/raw_ostream.h"

namespace mlir::xf {
llvm::Error writeFile(StringRef path, function_ref<void(raw_ostream &)> write) {
  namespace fs = llvm::sys::fs;
  if (fs::exists(path) && !fs::is_regular_file(path)) { // a device or a pipe, which must stay what it is
    std::error_code code;
    llvm::raw_fd_ostream stream(path, code);
    if (!code) {
      write(stream);
      stream.close();
      code = stream.error();
      stream.clear_error();
    }
    return llvm::errorCodeToError(code);
  }
  llvm::Expected<fs::TempFile> file = fs::TempFile::create(path + ".tmp-%%%%%%", fs::all_read | fs::all_write);
  if (!file)
    return file.takeError();
  llvm::raw_fd_ostream stream(file->FD, /*shouldClose=*/false);
  write(stream);
  stream.flush();
  if (std::error_code code = stream.error()) {
    stream.clear_error(); // or the stream's destructor would end the process
    return llvm::joinErrors(llvm::errorCodeToError(code), file->discard());
  }
  return file->keep(path);
}
} // namespace mlir::xf
