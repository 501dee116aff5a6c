//===- OrderTest.cpp - Steps that touch the same bytes have an order ------------------===//
#include "xf/Runtime/Order.h"

#include <gtest/gtest.h>
#include <random>

using namespace xf::runtime;

namespace {
struct Steps {
  std::vector<Dispatch> dispatches;
  Walk walk;
  std::vector<char> memory = std::vector<char>(64);

  /// Steps that touch up to four ranges of 64 bytes, and write some of them.
  Steps(size_t count, uint32_t seed) : dispatches(count) {
    std::mt19937 random(seed);
    auto draw = [&](size_t below) { return size_t(random() % below); };
    for (Dispatch &dispatch : dispatches) {
      dispatch.kernel = int64_t(draw(5));
      walk.steps.push_back({&dispatch, walk.pointers.size(), 0, 1});
      dispatch.operands.resize(draw(5));
      for (size_t i = 0; i < dispatch.operands.size(); ++i) {
        size_t begin = draw(60);
        walk.pointers.push_back(memory.data() + begin);
        walk.bytes.push_back(draw(std::min<size_t>(64 - begin, 9)));
        if (draw(3) == 0)
          dispatch.writes.push_back(int64_t(i));
      }
    }
  }

  bool conflict(size_t a, size_t b) const {
    auto touches = [&](size_t step, size_t byte, bool writes) {
      for (size_t i = 0; i < dispatches[step].operands.size(); ++i) {
        size_t place = walk.steps[step].buffers + i,
               begin = size_t(static_cast<char *>(walk.pointers[place]) - memory.data());
        const auto &list = dispatches[step].writes;
        if (byte >= begin && byte < begin + walk.bytes[place] &&
            (!writes || std::find(list.begin(), list.end(), int64_t(i)) != list.end()))
          return true;
      }
      return false;
    };
    for (size_t byte = 0; byte < memory.size(); ++byte)
      if ((touches(a, byte, true) && touches(b, byte, false)) || (touches(a, byte, false) && touches(b, byte, true)))
        return true;
    return false;
  }
};
} // namespace

TEST(Order, IsThatOfConflictsAndNothingElse) {
  for (uint32_t seed = 0; seed < 40; ++seed) {
    Steps steps(24, seed);
    auto single = [](int64_t kernel) { return kernel == 0; };
    std::vector<std::vector<size_t>> order = orderOf(steps.walk, single);
    size_t count = order.size();
    // All ways along what is given, and along the conflicts themselves.
    std::vector<std::vector<bool>> given(count, std::vector<bool>(count)), wanted = given;
    for (size_t b = 0; b < count; ++b) {
      auto follow = [&](std::vector<std::vector<bool>> &ways, size_t a) {
        ways[b][a] = true;
        for (size_t i = 0; i < a; ++i)
          ways[b][i] = ways[b][i] || ways[a][i];
      };
      for (size_t a : order[b]) {
        ASSERT_LT(a, b);
        EXPECT_FALSE(given[b][a]) << "seed " << seed << ": " << a << " before " << b << " is said twice";
        follow(given, a);
      }
      for (size_t a = 0; a < b; ++a)
        if (steps.conflict(a, b) || (steps.dispatches[a].kernel == 0 && steps.dispatches[b].kernel == 0))
          follow(wanted, a);
    }
    EXPECT_EQ(given, wanted) << "seed " << seed;
  }
}
