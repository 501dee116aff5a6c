//===- Repeat.cpp - `--repeat` timed by Google Benchmark -------------------------------------===//
// Takes the place of lib/Runtime/Commands/Repeat.cpp in benchmarks: the executable measured is otherwise the one that
// xf-compile would have linked. Prints Google Benchmark's JSON on stdout.
//===--------------------------------------------------------------------------------===//
#include "Commands/Commands.h"

#include <algorithm>
#include <benchmark/benchmark.h>
#include <chrono>
#include <cstdio>
#include <cstring>

using namespace xf::runtime;

/// A line of /proc/self/status, in MiB: VmHWM is the peak since `forgetPeak`, VmRSS what is held now.
static double statusMebibytes(const char *key) {
  double kibibytes = 0;
  if (FILE *status = std::fopen("/proc/self/status", "r")) {
    char line[256];
    while (std::fgets(line, sizeof line, status))
      if (std::strncmp(line, key, std::strlen(key)) == 0)
        std::sscanf(line + std::strlen(key), ": %lf", &kibibytes);
    std::fclose(status);
  }
  return kibibytes / 1024;
}

static void forgetPeak() {
  if (FILE *references = std::fopen("/proc/self/clear_refs", "w")) {
    std::fputs("5", references);
    std::fclose(references);
  }
}

Expected<void> xf::runtime::measure(Session &, int runs, const std::function<Expected<void>()> &call) {
  using Clock = std::chrono::steady_clock;
  double before = statusMebibytes("VmHWM"), held = statusMebibytes("VmRSS");
  forgetPeak();
  if (Expected<void> ran = call(); !ran)
    return ran;
  double extra = statusMebibytes("VmHWM") - held; // of the first call, over its inputs and the model
  Clock::time_point start = Clock::now();
  Expected<void> outcome = call();
  if (!outcome)
    return outcome;
  double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  // What takes microseconds is timed a millisecond at a time, for reading the clocks takes one.
  auto iterations = benchmark::IterationCount(1 + 1e-3 / std::max(seconds, 1e-6));
  auto least = [](const std::vector<double> &times) { return *std::min_element(times.begin(), times.end()); };
  benchmark::RegisterBenchmark("call",
                               [&](benchmark::State &state) {
                                 for (auto _ : state)
                                   if (outcome)
                                     outcome = call();
                                 state.counters["extra_mib"] = extra;
                                 state.counters["peak_rss_mib"] = std::max(before, statusMebibytes("VmHWM"));
                               })
      ->Iterations(iterations)
      ->Repetitions(runs)
      ->ComputeStatistics("best", least)
      ->ReportAggregatesOnly()
      ->UseRealTime()
      ->Unit(benchmark::kMillisecond);
  benchmark::JSONReporter reporter;
  benchmark::RunSpecifiedBenchmarks(&reporter);
  return outcome;
}
