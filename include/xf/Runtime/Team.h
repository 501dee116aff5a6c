//===- Team.h - Worker threads that run one function together ----------------------===//
// SPMD: `run` starts the same function on every worker (the caller is worker 0) and returns when all
// are done; inside, workers meet at `barrier`. Waiting spins for a few microseconds and then sleeps
// on a futex, so that short kernels are cheap and an oversubscribed machine is not burnt.
//===--------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_TEAM_H
#define XF_RUNTIME_TEAM_H

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

namespace xf::runtime {

/// A word that threads wait on until it changes.
class Gate {
public:
  uint32_t value() const { return word.load(std::memory_order_acquire); }
  /// Returns when the word is no longer `old`.
  void wait(uint32_t old, int spins);
  void open();

private:
  std::atomic<uint32_t> word{0};
  std::atomic<uint32_t> sleepers{0};
};

class Team {
public:
  static constexpr int most = 1024;

  /// `threads` workers in all, at most `most`; 0 means one a core this process may use. Raises an error where the
  /// system refuses one.
  explicit Team(int threads);
  ~Team();
  Team(const Team &) = delete;
  Team &operator=(const Team &) = delete;

  int size() const { return workers; }

  /// Runs `body(worker)` on every worker.
  void run(const std::function<void(int)> &body);

  /// Meets all workers; the last to arrive calls `serial` before any leaves.
  template <typename Serial> void barrier(Serial serial) {
    if (workers == 1)
      return serial();
    uint32_t generation = meeting.value();
    if (arrived.fetch_add(1, std::memory_order_acq_rel) + 1 == workers) {
      serial();
      arrived.store(0, std::memory_order_relaxed);
      meeting.open();
      return;
    }
    meeting.wait(generation, spins);
  }

  static int availableCores();
  /// How many workers a team of so many has.
  static int sizeOf(int threads) { return threads > 0 ? threads : availableCores(); }

private:
  void stop();
  void work(int worker);

  int workers;
  int spins;
  std::atomic<int> arrived{0};
  alignas(64) Gate meeting;
  alignas(64) Gate start;
  alignas(64) Gate finished;
  std::atomic<int> running{0};
  std::atomic<bool> stopping{false};
  const std::function<void(int)> *task = nullptr;
  std::vector<std::thread> threads;
};

} // namespace xf::runtime

#endif // XF_RUNTIME_TEAM_H
