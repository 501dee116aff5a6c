//===- Header.h - the C header beside a library or an object ----*- C++ -*-===//
#ifndef XF_DRIVER_HEADER_H
#define XF_DRIVER_HEADER_H

#include "mlir/Support/LLVM.h"
#include "xf/Runtime/Program.h"

namespace mlir::xf {
/// Both follow from the name of the output: of DIR/libcharacter-lm.so they are "character_lm" and DIR/character-lm.h.
struct HeaderNames {
  explicit HeaderNames(StringRef output);
  std::string model, path;

  /// What a header of a library, or of an object, has in it.
  static StringRef guard(bool isLibrary) { return isLibrary ? "XF_LIBRARY_H" : "XF_OBJECT_H"; }
};

/// The header of a program's library, or object: what its functions take and give, and the interface of all libraries
/// (`interface`, the text of Library.h). `gpu`: what it was compiled for, alone or besides a processor.
std::string headerText(const ::xf::runtime::Program &program, StringRef gpu, StringRef model, bool isLibrary,
                       StringRef interface);
} // namespace mlir::xf

#endif
