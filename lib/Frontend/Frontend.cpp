//===- Frontend.cpp - where models come from ------------------------------===//
#include "xf/Frontend/Frontend.h"
#include "OtherFormats.h"
#include "mlir/Bytecode/BytecodeReader.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/SourceMgr.h"

namespace mlir::xf {

/// What may have been meant by a file that can't be read.
static std::string hintFor(StringRef input, std::error_code problem) {
  if (problem == std::errc::is_a_directory)
    return "; expected FILE.mlir, preset:NAME, or a folder in Hugging Face's layout, which has a config.json (one of "
           "--dump-stages is for --check)";
  llvm::Expected<std::string> preset = presetText(input);
  if (preset)
    return ("; did you mean 'preset:" + input + "'?").str();
  llvm::consumeError(preset.takeError());
  if (problem == std::errc::no_such_file_or_directory && !input.ends_with(".mlir") && !input.ends_with(".mlirbc"))
    return ("; a model of Hugging Face's hub is a folder once 'hf download " + input + " --local-dir FOLDER' has run")
        .str();
  return "";
}

static OwningOpRef<ModuleOp> parse(std::unique_ptr<llvm::MemoryBuffer> buffer, MLIRContext &context) {
  auto sources = std::make_shared<llvm::SourceMgr>();
  sources->AddNewSourceBuffer(std::move(buffer), llvm::SMLoc());
  return parseSourceFile<ModuleOp>(sources, &context);
}

OwningOpRef<ModuleOp> loadModel(StringRef input, MLIRContext &context) {
  std::unique_ptr<llvm::MemoryBuffer> buffer;
  if (input.consume_front("preset:")) {
    llvm::Expected<std::string> text = presetText(input);
    if (!text)
      return emitError(UnknownLoc::get(&context)) << llvm::toString(text.takeError()), nullptr;
    buffer = llvm::MemoryBuffer::getMemBufferCopy(*text, ("preset:" + input).str());
  } else {
    llvm::ErrorOr<std::unique_ptr<llvm::MemoryBuffer>> file = llvm::MemoryBuffer::getFileOrSTDIN(input);
    if (std::string what = file ? "" : otherFolder(input); !what.empty())
      return emitError(UnknownLoc::get(&context)) << "'" << input << "' " << what, nullptr;
    if (!file)
      return emitError(UnknownLoc::get(&context))
                 << "can't read '" << input << "': " << file.getError().message() << hintFor(input, file.getError()),
             nullptr;
    buffer = std::move(*file);
    StringRef bytes = buffer->getBuffer();
    std::string what = otherFormat(bytes);
    if (bytes.size() > 10 && bytes.substr(4, 5) == StringRef("\0\0\0\0{", 5))
      what = "weights (safetensors), not a model; give the folder that has them beside a config.json, or a model and "
             "--weights=FILE";
    else if (StringRef text = bytes.ltrim(); text.starts_with("{") && !text.starts_with("{-#")) // MLIR's own data
      what = "JSON; give the folder that has it beside the weights";
    if (!what.empty())
      return emitError(UnknownLoc::get(&context)) << "expected a model, but '" << input << "' is " << what, nullptr;
    if (!isBytecode(*buffer) && buffer->getBuffer().contains('\0')) // the parser would show its line, however long
      return emitError(UnknownLoc::get(&context))
                 << "expected '" << input << "' to be a model in MLIR, but it is no text",
             nullptr;
  }
  return parse(std::move(buffer), context);
}

OwningOpRef<ModuleOp> parseModel(StringRef text, StringRef name, MLIRContext &context) {
  return parse(llvm::MemoryBuffer::getMemBufferCopy(text, name), context);
}
} // namespace mlir::xf
