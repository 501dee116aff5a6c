//===- Limits.cpp - What this machine can do in a second -----------------------------===//
// The runtime is built for the oldest processor it runs on; the loop of multiply-adds exists for newer ones too.
//===--------------------------------------------------------------------------------===//
#include "xf/Runtime/Memory.h"
#include "xf/Runtime/Report.h"

#include <chrono>

using namespace xf::runtime;

namespace {
constexpr int64_t rounds = 2'000'000, sumsEach = 12; // more sums than multiply-adds are under way at once

template <int lanes> struct Vector {
  typedef float Type __attribute__((vector_size(lanes * sizeof(float))));
};

template <int lanes> [[gnu::always_inline]] inline float multiplyAdds() {
  using Floats = typename Vector<lanes>::Type;
  volatile float factor = 0.5f;
  Floats x = Floats{} + factor, sums[sumsEach];
  for (int i = 0; i < sumsEach; ++i)
    sums[i] = Floats{} + float(i);
  for (int64_t round = 0; round < rounds; ++round)
    for (Floats &sum : sums)
      sum = sum * x + x;
  Floats total{};
  for (Floats sum : sums)
    total += sum;
  return total[0];
}

float baseline() { return multiplyAdds<4>(); }
#if defined(__x86_64__)
[[gnu::target("avx2,fma")]] float avx2() { return multiplyAdds<8>(); }
[[gnu::target("avx512f")]] float avx512() { return multiplyAdds<16>(); }
#endif

/// The widest loop that this processor has, and its floats in a vector.
std::pair<float (*)(), int64_t> widest() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f"))
    return {avx512, 16};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return {avx2, 8};
#endif
  return {baseline, 4};
}

/// The least seconds of some runs of `body` by all workers.
double best(Team &team, const std::function<void(int)> &body) {
  using Clock = std::chrono::steady_clock;
  double least = 1e30;
  for (int run = 0; run < 5; ++run) {
    Clock::time_point start = Clock::now();
    team.run(body);
    least = std::min(least, std::chrono::duration<double>(Clock::now() - start).count());
  }
  return least;
}
} // namespace

Expected<MachineLimits> xf::runtime::measureLimits(Team &team) {
  constexpr int64_t bytes = 256 << 20;
  Expected<Pages> memory = Pages::allocate(bytes);
  if (!memory)
    return memory.error();
  int64_t count = bytes / int64_t(sizeof(float)) / team.size() / 64 * 64; // of each worker
  std::vector<double> results(team.size() * 8);                           // a cache line apart
  MachineLimits limits{.threads = team.size()};
  auto [loop, lanes] = widest();
  double seconds = best(team, [&, loop = loop](int worker) { results[worker * 8] = loop(); });
  limits.flops = double(2 * rounds * sumsEach * lanes * team.size()) / seconds;

  auto part = [&](int worker) { return memory->as<float>() + worker * count; };
  team.run([&](int worker) { std::fill_n(part(worker), count, 1.0f); }); // pages that were never written are all one
  seconds = best(team, [&](int worker) {
    using Floats = Vector<16>::Type;
    Floats sums[4] = {};
    auto *values = reinterpret_cast<const Floats *>(part(worker));
    for (int64_t i = 0; i < count / 16; i += 4)
      for (int j = 0; j < 4; ++j)
        sums[j] += values[i + j];
    results[worker * 8] = (sums[0] + sums[1] + sums[2] + sums[3])[0];
  });
  limits.bytes = double(count * int64_t(sizeof(float)) * team.size()) / seconds;
  return limits;
}
