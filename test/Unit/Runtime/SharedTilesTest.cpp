//===- SharedTilesTest.cpp - Who computes which tiles of a step ------------------------===//
#include "xf/Runtime/SharedTiles.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <thread>

using namespace xf::runtime;

TEST(SharedTiles, EveryTileOnce) {
  for (int workers : {1, 2, 3, 8})
    for (int64_t tiles : {1, 2, 7, 64, 1001}) {
      SharedTiles shared(workers);
      std::vector<std::atomic<int>> times(tiles);
      for (int round = 0; round < 3; ++round) {
        shared.reset();
        std::vector<std::thread> threads;
        for (int worker = 0; worker < workers; ++worker)
          threads.emplace_back([&, worker] {
            for (SharedTiles::Range range; !(range = shared.take(worker, tiles)).empty();)
              for (int64_t tile = range.begin; tile < range.end; ++tile)
                ++times[tile];
          });
        for (std::thread &thread : threads)
          thread.join();
      }
      for (std::atomic<int> &count : times)
        ASSERT_EQ(count, 3) << workers << " workers, " << tiles << " tiles";
    }
}

TEST(SharedTiles, OwnTilesFirstAndThenOthers) {
  SharedTiles shared(2);
  auto take = [&](int worker) {
    SharedTiles::Range range = shared.take(worker, 32);
    return std::pair(range.begin, range.end);
  };
  EXPECT_EQ(take(1), std::pair(int64_t(16), int64_t(30)));
  EXPECT_EQ(take(0), std::pair(int64_t(0), int64_t(14)));
  EXPECT_EQ(take(1), std::pair(int64_t(30), int64_t(32)));
  EXPECT_EQ(take(1), std::pair(int64_t(14), int64_t(15)));
  EXPECT_EQ(take(0), std::pair(int64_t(15), int64_t(16)));
  EXPECT_TRUE(shared.take(0, 32).empty());
  shared.reset();
  EXPECT_EQ(take(0), std::pair(int64_t(0), int64_t(14)));
}

TEST(SharedTiles, FewTilesAreTakenAtOnce) {
  SharedTiles shared(2);
  SharedTiles::Range own = shared.take(1, 31);
  EXPECT_EQ(own.begin, 15);
  EXPECT_EQ(own.end, 29) << "16 tiles are not few";
  own = shared.take(0, 31);
  EXPECT_EQ(own.begin, 0);
  EXPECT_EQ(own.end, 15);
}

TEST(SharedTiles, OneWorkerTakesAllAtOnce) {
  SharedTiles shared(1);
  SharedTiles::Range range = shared.take(0, 100);
  EXPECT_EQ(range.begin, 0);
  EXPECT_EQ(range.end, 100);
}
