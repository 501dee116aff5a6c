//===- VocabularyFuzzer.cpp - libFuzzer on the vocabulary reader ----------------------===//
// Whatever the bytes: a vocabulary that encodes and decodes, or a refusal with a message.
//===----------------------------------------------------------------------------------===//
#include "xf/Runtime/Text/Vocabulary.h"

#include <cstdlib>

using namespace xf::runtime;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::span bytes(reinterpret_cast<const char *>(data), size);
  Expected<Vocabulary> vocabulary = Vocabulary::parse(bytes, "fuzz");
  if (!vocabulary)
    return vocabulary.error().message.empty() ? std::abort(), 0 : 0;
  Expected<std::vector<int32_t>> ids = vocabulary->encode("Ein Mann, 42 – läuft \xff.");
  if (!ids)
    return 0;
  for (int32_t id : *ids) {
    if (id < 0 || id >= vocabulary->size())
      std::abort();
    (void)vocabulary->piece(id);
  }
  (void)vocabulary->decode(*ids);
  (void)vocabulary->decode(std::vector<int32_t>{-1, 0, 1, 2, 3, int32_t(vocabulary->size())});
  return 0;
}
