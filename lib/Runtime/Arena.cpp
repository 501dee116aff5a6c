//===- Arena.cpp - A flat array here, and on a GPU too -----------------------------------===//
// The ways between the two sides.
//===------------------------------------------------------------------------------------===//
#include "xf/Runtime/Arena.h"
#include "xf/Runtime/Device.h"

#include <cstring>

using namespace xf::runtime;

Expected<void> Arena::reserve(int64_t bytes) {
  if (bytes <= size())
    return {};
  content = std::make_shared<Content>(); // the old one's place on a GPU is too small
  return content->pages.reserve(bytes);
}

Expected<const float *> Arena::read() const {
  if (Expected<void> home = content->bringHome(); !home)
    return home.error();
  return here();
}

Expected<float *> Arena::change() const {
  if (Expected<void> home = content->bringHome(); !home)
    return home.error();
  content->current = Current::Here;
  return here();
}

Expected<void> Arena::get(int64_t offset, int64_t count, float *to) const {
  if (content->current != Current::There) {
    std::memcpy(to, here() + offset, count * sizeof(float));
    return {};
  }
  return content->device->copyOut(to, content->there + offset * sizeof(float), count * sizeof(float));
}

Expected<void> Arena::set(int64_t offset, int64_t count, const float *from) const {
  if (content->current == Current::Here) {
    std::memcpy(here() + offset, from, count * sizeof(float));
    return {};
  }
  Expected<void> copied = content->device->copyIn(content->there + offset * sizeof(float), from, count * sizeof(float));
  if (copied)
    content->current = Current::There;
  return copied;
}

Expected<void> Arena::clear(int64_t offset, int64_t count) const {
  bool isAll = count * int64_t(sizeof(float)) == size();
  if (content->current == Current::Here && !(isAll && content->there)) {
    std::memset(here() + offset, 0, count * sizeof(float));
    return {};
  }
  Expected<void> cleared = content->device->clear(content->there + offset * sizeof(float), count * sizeof(float));
  if (cleared)
    content->current = Current::There;
  return cleared;
}

void Arena::Content::enter(Device &gpu, char *place) {
  device = &gpu;
  there = place;
}

Expected<void> Arena::Content::leave() {
  if (Expected<void> home = bringHome(); !home)
    return home; // and they stay where they are: what is here is older
  forget();
  return {};
}

void Arena::Content::forget() {
  device = nullptr;
  there = nullptr;
  current = Current::Here;
}

Expected<void> Arena::Content::use(bool writes) {
  if (current == Current::Here) {
    if (Expected<void> copied = device->copyIn(there, pages.data(), pages.size()); !copied)
      return copied;
    current = Current::Both;
  }
  if (writes)
    current = Current::There;
  return {};
}

Expected<void> Arena::Content::bringHome() {
  if (current != Current::There)
    return {};
  if (Expected<void> copied = device->copyOut(pages.data(), there, pages.size()); !copied)
    return copied;
  current = Current::Both;
  return {};
}
