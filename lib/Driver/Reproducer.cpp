//===- Reproducer.cpp - what was being compiled when it failed ------------===//
#include "xf/Driver/Reproducer.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/raw_ostream.h"
#include <unistd.h>

namespace mlir::xf {
namespace {
class FileStream : public ReproducerStream {
public:
  FileStream(StringRef path, int descriptor) : path(path), stream(descriptor, /*shouldClose=*/true) {}
  StringRef description() override { return path; }
  raw_ostream &os() override { return stream; }
  ~FileStream() override {
    stream.flush();
    stream.clear_error(); // or the stream's destructor would end the process
  }

private:
  std::string path;
  llvm::raw_fd_ostream stream;
};
} // namespace

Reproducer::Reproducer(PassManager &pm) {
  pm.enableCrashReproducerGeneration([path = path](std::string &error) -> std::unique_ptr<ReproducerStream> {
    int descriptor;
    llvm::SmallString<128> file;
    if (std::error_code code = llvm::sys::fs::createTemporaryFile("xf-reproducer", "mlir", descriptor, file)) {
      error = code.message();
      return nullptr;
    }
    if (!path->empty()) // of a pass that crashes MLIR writes two: where it does, and where the crash is survived
      llvm::sys::fs::remove(*path);
    *path = file.str();
    return std::make_unique<FileStream>(file, descriptor);
  });
}

std::string describeReproducer(StringRef path) {
  return ("the module and its passes are in '" + path + "': `xf-opt --run-reproducer " + path +
          "` runs them again, `xf-reduce " + path + "` makes the module small")
      .str();
}

void leaveAfterCrash(Stage stage, StringRef reproducer) {
  llvm::outs().flush();
  llvm::errs() << "xf-compile: error: stage '" << stageName(stage) << "' crashed: a defect of xf, not of your input\n";
  if (!reproducer.empty())
    llvm::errs() << "xf-compile: note: " << describeReproducer(reproducer) << "\n";
  _exit(2);
}
} // namespace mlir::xf
