//===- Configuration.h - what a module says of its model --------*- C++ -*-===//
// The kinds of models (`xf.kind`) and the keys of their configuration (`xf.config`): presets are given by them, a model
// that a person wrote is checked by them, and the executable takes its defaults from them.
//===----------------------------------------------------------------------===//
#ifndef XF_DIALECT_XF_IR_CONFIGURATION_H
#define XF_DIALECT_XF_IR_CONFIGURATION_H

#include "mlir/IR/BuiltinAttributes.h"

namespace mlir::xf {

/// A set of kinds has a bit for each.
enum ModelKind : unsigned { Pairs = 1, Language = 2, Encoder = 4, Classifier = 8, AnyKind = 15 };

/// "sequence_to_sequence", "language_model", "encoder" or "classifier".
StringRef nameOf(ModelKind kind);
std::optional<ModelKind> parseModelKind(StringRef name);

/// A key, which kinds of models have it, its value in the paper's base model (empty: none, or what others say), and
/// what it may be: integers from `least` (or a word of `choices`), numbers that are not negative, rates below 1, one of
/// `choices`, or token ids (as text: 2 or 2+7). The last of them are how it is trained, then how it translates, where
/// the options of these commands don't say otherwise, and what its text is.
struct ConfigurationKey {
  const char *name;
  unsigned kinds;
  const char *base;
  enum { Integer, Number, Rate, Choice, Tokens } type;
  int64_t least;
  const char *choices;

  /// "a number from 1 to 10000000", for messages.
  std::string expected() const;
  /// Whether this is a value of it, as a preset gives it and as a module does.
  bool admits(StringRef text) const;
  bool admits(Attribute value) const;
};
ArrayRef<ConfigurationKey> configurationKeys();

} // namespace mlir::xf

#endif
