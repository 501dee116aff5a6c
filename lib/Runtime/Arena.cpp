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

Expected<void> Arena::clear() const {
  if (content->there) {
    content->current = Current::There;
    return content->device->clear(content->there, size());
  }
  std::memset(here(), 0, size());
  return {};
}

void Arena::Content::enter(Device &gpu, char *place) {
  device = &gpu;
  there = place;
}

Expected<void> Arena::Content::leave() {
  Expected<void> home = bringHome();
  device = nullptr;
  there = nullptr;
  current = Current::Here;
  return home;
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
  return device->wait();
}
