//===- TeamTest.cpp - Worker threads that meet at barriers ---------------------------===//
#include "xf/Runtime/Team.h"

#include <gtest/gtest.h>

using namespace xf::runtime;

TEST(Team, EveryWorkerRunsOnce) {
  for (int threads : {1, 2, 3, 8}) {
    Team team(threads);
    ASSERT_EQ(team.size(), threads);
    for (int round = 0; round < 200; ++round) {
      std::vector<std::atomic<int>> seen(threads);
      team.run([&](int worker) { ++seen[worker]; });
      for (auto &count : seen)
        EXPECT_EQ(count, 1);
    }
  }
}

TEST(Team, BarrierSeparatesPhases) {
  for (int threads : {2, 3, 8}) {
    Team team(threads);
    std::vector<int> values(threads, 0);
    std::atomic<int> wrong{0};
    int serials = 0;
    team.run([&](int worker) {
      for (int phase = 1; phase <= 300; ++phase) {
        values[worker] = phase;
        team.barrier([&] { ++serials; });
        for (int value : values)
          wrong += value != phase;
        team.barrier([] {});
      }
    });
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(serials, 300);
  }
}

TEST(Team, DefaultIsTheCores) { EXPECT_EQ(Team(0).size(), Team::availableCores()); }
