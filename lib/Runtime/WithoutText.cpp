//===- WithoutText.cpp - Text, of a model that was compiled without vocabularies --------===//
// By itself: of archives the linker takes what is missing, and of two the first.
//===------------------------------------------------------------------------------------===//
#include "xf/Runtime/Text/LibraryText.h"

#include <fmt/format.h>

using namespace xf::runtime;

Expected<std::unique_ptr<LibraryText>> xf::runtime::openText(Session &session) {
  return userError(fmt::format("'{}' was compiled without vocabularies; compile it with --source-vocab and "
                               "--target-vocab, or with --vocab",
                               session.program.name));
}
