//===- Arena.h - A flat array here, and on a GPU too -------------------------------------===//
// Parameters, their gradients and moments, what decoding keeps: arrays that calls work on one after another. Where a
// GPU computes, each has a place in its memory too, and moves only when the other side asks for it.
//===------------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_ARENA_H
#define XF_RUNTIME_ARENA_H

#include "xf/Runtime/Memory.h"

#include <memory>

namespace xf::runtime {

class Device;

/// f32 values, or bf16 in pairs. Copies of an arena are the same one.
class Arena {
public:
  Arena() : content(std::make_shared<Content>()) {}

  /// Makes room for `bytes`, zeros; what was there is lost where it grows.
  Expected<void> reserve(int64_t bytes);
  int64_t size() const { return content->pages.size(); }
  bool isEmpty() const { return size() == 0; }

  /// The values, to be read here until something computes with them.
  Expected<const float *> read() const;
  /// The values, to be changed here: what a GPU has of them is old.
  Expected<float *> change() const;
  /// Some of them, on whichever side they are: copies them out or in, or makes them zeros.
  Expected<void> get(int64_t offset, int64_t count, float *to) const;
  Expected<void> set(int64_t offset, int64_t count, const float *from) const;
  Expected<void> clear(int64_t offset, int64_t count) const;
  Expected<void> clear() const { return clear(0, size() / int64_t(sizeof(float))); }
  /// Before some of them are dropped: where nothing is yet, memory is taken for what is written and no more.
  void takeSmallPages() const { content->pages.takeSmallPages(); }
  /// Gives the memory of some of them back, here: nothing reads them any more.
  void drop(int64_t offset, int64_t count) const {
    content->pages.drop(offset * int64_t(sizeof(float)), count * int64_t(sizeof(float)));
  }
  /// Where they lie here, be they current or not.
  float *here() const { return content->pages.as<float>(); }

private:
  friend class DeviceRunner;
  /// Which side's values are those that count.
  enum class Current { Here, Both, There };
  struct Content {
    Pages pages;
    Device *device = nullptr; // where there is a place on one
    char *there = nullptr;
    Current current = Current::Here;

    /// A place on a GPU, as large as the array; nothing is copied yet.
    void enter(Device &device, char *there);
    /// Brings the values home, if they are not here, and gives the place up; it keeps it where they don't come home.
    Expected<void> leave();
    /// Gives the place up, and the values that are there alone.
    void forget();
    /// Copies them there, if they are not; `writes`: they are about to be changed there.
    Expected<void> use(bool writes);
    Expected<void> bringHome();
  };
  std::shared_ptr<Content> content;
};

/// The flat arrays of a model; those a function does not use may be empty.
struct ModelArenas {
  Arena parameters, gradients, firstMoments, secondMoments;
  Arena prepared; // what `prepare` made of the parameters
};

} // namespace xf::runtime

#endif // XF_RUNTIME_ARENA_H
