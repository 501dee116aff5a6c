//===- Toy.h - A sequence-to-sequence model written by hand --------------------------===//
// A description and kernels in C++, with every function a compiled model has, so that the runtime is
// tested without the compiler. A target token sees itself, its position, the mean of the tokens before it
// and the mean of the source: enough to learn to translate one word into another.
//===--------------------------------------------------------------------------------===//
#ifndef XF_TEST_TOY_H
#define XF_TEST_TOY_H

#include "xf/Runtime/Program.h"

namespace xf::toy {

inline constexpr int64_t width = 16, vocabulary = 24, positions = 64;

/// Elements of the flat arrays; parameters are 1024 apart.
inline constexpr int64_t sourceEmbedding = 0, targetEmbedding = 1024, positionEmbedding = 2048, projection = 3072,
                         elements = 4096;

std::string programJson();
std::span<const runtime::KernelFunction> kernels();

} // namespace xf::toy

#endif // XF_TEST_TOY_H
