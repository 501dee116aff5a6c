//===- Repeat.cpp - How long a call takes -------------------------------------------------------===//
// What `--repeat` prints. Alone in its file: benchmarks are linked with one that Google Benchmark times
// (tools/xf-bench).
//===--------------------------------------------------------------------------------===//
#include "Commands.h"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>

using namespace xf::runtime;

Expected<void> xf::runtime::measure(Session &session, int runs, const std::function<Expected<void>()> &call) {
  using Clock = std::chrono::steady_clock;
  std::vector<double> seconds;
  for (int run = -2; run < runs; ++run) {
    if (run == 0) // what warms up is in no profile
      session.restartProfile();
    Clock::time_point start = Clock::now();
    if (Expected<void> ran = call(); !ran)
      return ran;
    if (run >= 0)
      seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
  }
  std::sort(seconds.begin(), seconds.end());
  size_t half = seconds.size() / 2;
  double median = seconds.size() % 2 ? seconds[half] : (seconds[half - 1] + seconds[half]) / 2;
  say("repeat: median_s={:.6f} best_s={:.6f} runs={} peak_rss_mib={}\n", median, seconds.front(), seconds.size(),
      peakResidentBytes() >> 20);
  return {};
}
