//===- CheckInputs.h - inputs made up for --check ---------------*- C++ -*-===//
// A small batch with sequences of lengths 0, 1 and more, and a step of decoding over it, by the names that
// docs/Program.md gives to the inputs of a model's functions.
//===----------------------------------------------------------------------===//
#ifndef XF_LIB_DRIVER_CHECKINPUTS_H
#define XF_LIB_DRIVER_CHECKINPUTS_H

#include "xf/Reference/Interpreter.h"
#include <optional>

namespace mlir::xf {

/// Initial values of all parameters, moved by random numbers so that none is trivial, as a file of weights.
::xf::runtime::Expected<void> writeMadeUpWeights(ModuleOp module, const std::string &path);

/// An argument of an entry point; nothing where its name says too little.
std::optional<reference::Tensor> makeInput(ModuleOp module, func::FuncOp entry, unsigned argument);

/// The arguments that a training step takes besides its batch.
std::map<std::string, reference::Tensor> stepInputs(bool isNarrow);

} // namespace mlir::xf

#endif // XF_LIB_DRIVER_CHECKINPUTS_H
