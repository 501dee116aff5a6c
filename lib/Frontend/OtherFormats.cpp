//===- OtherFormats.cpp - what was given in place of a model --------------===//
#include "OtherFormats.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include <set>

using llvm::StringRef;

namespace mlir::xf {

/// Files that say what they are by how they begin.
constexpr struct {
  StringRef begin, what;
} formats[] = {
    {"version https://git-lfs", "a pointer of Git LFS, not the file itself; 'git lfs pull' in its folder fetches it"},
    {"GGUF", "a GGUF file (llama.cpp's), which is not read; give the folder in Hugging Face's layout that it was made "
             "of (--quantize=int8 makes its weights small)"},
    {"PK\3\4", "a zip archive; unpack it and give the folder with the config.json. If torch.save wrote it (.bin, .pt), "
               "transformers' save_pretrained writes model.safetensors"},
    {"\x1f\x8b", "compressed by gzip; unpack it"},
    {"\x80\x02", "a pickle of Python's, which is a program; transformers' save_pretrained writes model.safetensors"},
    {"\x89HDF", "a file of TensorFlow's (HDF5); transformers' save_pretrained writes model.safetensors"},
    {"<!DOCTYPE html", "a web page; the download went wrong (perhaps the model asks for a login)"},
    {"<!doctype html", "a web page; the download went wrong (perhaps the model asks for a login)"},
    {"<html", "a web page; the download went wrong (perhaps the model asks for a login)"},
};

std::string otherFormat(StringRef bytes) {
  for (const auto &format : formats)
    if (bytes.starts_with(format.begin))
      return format.what.str();
  return "";
}

std::string otherFormatOf(const std::string &path) {
  auto file = llvm::MemoryBuffer::getFileSlice(path, /*MapSize=*/64, /*Offset=*/0);
  return file ? otherFormat((*file)->getBuffer()) : "";
}

/// The names in a folder, in their order.
static std::set<std::string> namesIn(const llvm::Twine &folder) {
  std::set<std::string> names;
  std::error_code code;
  for (llvm::sys::fs::directory_iterator it(folder, code), end; !code && it != end; it.increment(code))
    names.insert(llvm::sys::path::filename(it->path()).str());
  return names;
}

static const std::string *ending(const std::set<std::string> &names, std::initializer_list<StringRef> ends) {
  for (const std::string &name : names)
    for (StringRef end : ends)
      if (StringRef(name).ends_with(end))
        return &name;
  return nullptr;
}

static std::string adapter(StringRef folder) {
  return llvm::formatv("has an adapter (LoRA), not a model; merge it with what it adapts: python3 -c 'from peft import "
                       "AutoPeftModelForCausalLM as M; "
                       "M.from_pretrained(\"{0}\").merge_and_unload().save_pretrained(\"merged\")'",
                       folder);
}

std::string otherFolder(StringRef folder) {
  std::set<std::string> names = namesIn(folder);
  if (names.contains("adapter_config.json"))
    return adapter(folder);
  if (names.contains("snapshots")) {
    std::set<std::string> snapshots = namesIn(folder + "/snapshots");
    return llvm::formatv("is a model in Hugging Face's cache; give its snapshot '{0}/snapshots/{1}'", folder,
                         snapshots.empty() ? "..." : *snapshots.begin());
  }
  if (names.contains("modules.json"))
    for (const std::string &name : names)
      if (llvm::sys::fs::exists(folder + "/" + name + "/config.json") && StringRef(name).starts_with("0_"))
        return llvm::formatv("is in sentence-transformers' older layout, with the model in '{0}/{1}'; what "
                             "sentence-transformers' SentenceTransformer(...).save writes today is read",
                             folder, name);
  if (const std::string *file = ending(names, {".gguf"}))
    return llvm::formatv("has no config.json, and '{0}' is {1}", *file, otherFormat("GGUF"));
  if (names.contains("params.json"))
    return "has no config.json but a params.json: a model as its makers keep it; give the folder in Hugging Face's "
           "layout (transformers has scripts that convert it)";
  if (const std::string *file = ending(names, {".safetensors", "pytorch_model.bin", "tokenizer.json"}))
    return llvm::formatv("has '{0}' but no config.json, which says what model it is of; copy it from where that came "
                         "from",
                         *file);
  return "";
}

std::string otherWeights(StringRef folder) {
  std::set<std::string> names = namesIn(folder);
  if (names.contains("adapter_config.json"))
    return ("'" + folder + "' ").str() + adapter(folder);
  if (const std::string *file = ending(names, {"pytorch_model.bin", "pytorch_model.bin.index.json"}))
    return llvm::formatv("'{0}/{1}' is not read, for it is a program; transformers writes model.safetensors: python3 "
                         "-c 'from transformers import AutoModelForPreTraining as M; "
                         "M.from_pretrained(\"{0}\").save_pretrained(\"{0}\")'",
                         folder, *file);
  if (const std::string *file = ending(names, {".gguf"}))
    return llvm::formatv("'{0}/{1}' is {2}", folder, *file, otherFormat("GGUF"));
  if (const std::string *file = ending(names, {".h5", ".msgpack", ".pth", ".pt", ".onnx", ".ckpt.index"}))
    return llvm::formatv("'{0}/{1}' is not read; transformers' save_pretrained writes model.safetensors", folder,
                         *file);
  return "";
}
} // namespace mlir::xf
