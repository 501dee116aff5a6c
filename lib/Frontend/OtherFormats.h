//===- OtherFormats.h - what was given in place of a model ------*- C++ -*-===//
// Files and folders that people have at hand and that are no models here, known by their first bytes or what lies in
// them; each with what to do about it.
//===----------------------------------------------------------------------===//
#ifndef XF_FRONTEND_OTHERFORMATS_H
#define XF_FRONTEND_OTHERFORMATS_H

#include "llvm/ADT/StringRef.h"
#include <string>

namespace mlir::xf {

/// "a zip archive; unpack it": what a file with these bytes is, where a model, its weights or its tokens are expected.
/// Nothing where it is none of what is known.
std::string otherFormat(llvm::StringRef bytes);

/// The same of a file's first bytes; nothing where it can't be read.
std::string otherFormatOf(const std::string &path);

/// "has no config.json, ...": what a folder is that has none. Nothing where it is none of what is known.
std::string otherFolder(llvm::StringRef folder);

/// What a folder in Hugging Face's layout has in place of weights in safetensors; nothing where it has nothing.
std::string otherWeights(llvm::StringRef folder);
} // namespace mlir::xf

#endif
