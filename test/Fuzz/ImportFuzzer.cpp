//===- ImportFuzzer.cpp - libFuzzer on the readers of others' vocabularies -------------===//
// Whatever the bytes: a vocabulary that xf reads, or a refusal with a message. The first byte says whose form they are
// in; where a form has two files, a zero lies between them.
//===----------------------------------------------------------------------------------===//
#include "xf/Runtime/Text/ImportVocabulary.h"
#include "xf/Runtime/Text/Vocabulary.h"

#include <cstdlib>

using namespace xf::runtime;

static Expected<std::string> import(int form, std::string_view bytes) {
  size_t zero = std::min(bytes.find('\0'), bytes.size());
  std::string_view first = bytes.substr(0, zero), second = bytes.substr(std::min(zero + 1, bytes.size()));
  switch (form % 4) {
  case 0:
    return importVocabulary(bytes, "fuzz");
  case 1:
    return importBytePairs(first, second, "fuzz");
  case 2:
    return importListedPieces(first, second, "fuzz");
  default:
    return importWordPiece(bytes, WordPieceOptions(), "fuzz");
  }
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0)
    return 0;
  Expected<std::string> imported = import(data[0], {reinterpret_cast<const char *>(data) + 1, size - 1});
  if (!imported)
    return imported.error().message.empty() ? std::abort(), 0 : 0;
  Expected<Vocabulary> vocabulary = Vocabulary::parse(*imported, "imported");
  if (!vocabulary)
    return vocabulary.error().message.empty() ? std::abort(), 0 : 0;
  if (Expected<std::vector<int32_t>> ids = vocabulary->encode("Ein Mann, 42 – läuft \xff."))
    (void)vocabulary->decode(*ids);
  return 0;
}
