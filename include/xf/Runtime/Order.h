//===- Order.h - Which steps may run at the same time --------------------------------===//
// A GPU's graph need not run a call's steps one after another: gradients of weights can go beside the gradient that
// goes on, and fill the processors that its last blocks leave idle. What has to wait for what follows from the bytes
// that steps touch, slots that share memory included.
//===--------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_ORDER_H
#define XF_RUNTIME_ORDER_H

#include "xf/Runtime/Walk.h"

#include <functional>

namespace xf::runtime {

/// Of each step, those before it that it must come after; who must come before one of these is left out. Steps of a
/// kernel that is `single` never run at the same time.
std::vector<std::vector<size_t>> orderOf(const Walk &walk, const std::function<bool(int64_t kernel)> &single);

} // namespace xf::runtime

#endif // XF_RUNTIME_ORDER_H
