//===- LibraryText.h - What a library does with text --------------------------------===//
// A model with vocabularies translates lines, or goes on with a text, as its executable does. Of one without them a
// library has none of this code (WithoutText.cpp).
//===----------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_TEXT_LIBRARYTEXT_H
#define XF_RUNTIME_TEXT_LIBRARYTEXT_H

#include "xf/Runtime/Session.h"
#include "xf/Runtime/Text/Vocabulary.h"

namespace xf::runtime {

class LibraryText {
public:
  virtual ~LibraryText() = default;
  /// The best translation of each line, of a program that translates. `options`: "beam=4,length_penalty=0.6".
  virtual Expected<std::vector<std::string>> translate(const ModelState &model, std::span<const char *const> lines,
                                                       std::string_view options) = 0;
  /// The prompt and what follows, of a program that generates.
  virtual Expected<std::string> generate(const ModelState &model, std::string_view prompt,
                                         std::string_view options) = 0;
  /// Of a line that is text.
  virtual Expected<std::vector<int32_t>> encode(const Vocabulary &vocabulary, std::string_view line) const = 0;
  /// A model with one alone has it on both sides.
  virtual const Vocabulary &vocabulary(bool isSource) const = 0;
};

/// The session outlives it.
Expected<std::unique_ptr<LibraryText>> openText(Session &session);

} // namespace xf::runtime

#endif // XF_RUNTIME_TEXT_LIBRARYTEXT_H
