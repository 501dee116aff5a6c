//===- SafetensorsFuzzer.cpp - libFuzzer on the safetensors reader -------------------===//
// Whatever the bytes: accepted with every view inside them, or refused with a message.
//===----------------------------------------------------------------------------------===//
#include "xf/Runtime/Safetensors.h"

#include <cstdlib>

using namespace xf::runtime;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::span bytes(reinterpret_cast<const char *>(data), size);
  Expected<Safetensors> file = Safetensors::parse(bytes, "fuzz");
  if (!file)
    return file.error().message.empty() ? std::abort(), 0 : 0;
  for (const TensorView &tensor : file->tensors()) {
    const char *begin = static_cast<const char *>(tensor.data);
    if (tensor.bytes() < 0 || begin < bytes.data() || begin + tensor.bytes() > bytes.data() + bytes.size())
      std::abort();
    if (file->find(tensor.name) == nullptr)
      std::abort();
  }
  return 0;
}
