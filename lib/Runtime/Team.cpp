//===- Team.cpp - Worker threads that run one function together --------------------===//
// The threads, and waiting by spinning first and on a Linux futex after.
//===--------------------------------------------------------------------------------===//
#include "xf/Runtime/Team.h"
#include "xf/Runtime/Error.h"

#include <algorithm>
#include <climits>
#include <fmt/format.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

using namespace xf::runtime;

static void pauseBriefly() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

static void futex(std::atomic<uint32_t> *word, int operation, uint32_t value) {
  syscall(SYS_futex, reinterpret_cast<uint32_t *>(word), operation | FUTEX_PRIVATE_FLAG, value, nullptr, nullptr, 0);
}

void Gate::wait(uint32_t old, int spins) {
  for (int i = 0; i < spins; ++i) {
    if (word.load(std::memory_order_acquire) != old)
      return;
    pauseBriefly();
  }
  // Sequentially consistent with `open`: either it sees the sleeper, or the kernel sees the new word.
  sleepers.fetch_add(1);
  while (word.load() == old)
    futex(&word, FUTEX_WAIT, old);
  sleepers.fetch_sub(1);
}

void Gate::open() {
  word.fetch_add(1);
  if (sleepers.load() != 0)
    futex(&word, FUTEX_WAKE, INT_MAX);
}

int Team::availableCores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0)
    return std::max(1, CPU_COUNT(&set));
  return std::max(1u, std::thread::hardware_concurrency());
}

Team::Team(int requested) : workers(sizeOf(requested)) {
  // A spin of this length is about 50 microseconds; where threads share a core it would keep the awaited one from
  // running.
  spins = workers <= availableCores() ? 1500 : 0;
  // Signals are the main thread's: Ctrl-C must not land on a worker inside a kernel.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  threads.reserve(workers);
  std::optional<std::system_error> refusal;
  try {
    for (int worker = 1; worker < workers; ++worker)
      threads.emplace_back([this, worker] { work(worker); });
  } catch (const std::system_error &refused) {
    refusal = refused;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (!refusal)
    return;
  size_t started = threads.size() + 1;
  stop();
  throw Raised(userError(fmt::format("can't start {} threads, the system allows {} here: {}; ask for fewer (--threads, "
                                     "or a library's setting 'threads')",
                                     workers, started, refusal->code().message())));
}

Team::~Team() { stop(); }

void Team::stop() {
  stopping = true;
  start.open();
  for (std::thread &thread : threads)
    thread.join();
}

void Team::work(int worker) {
  for (uint32_t round = 0;; ++round) {
    start.wait(round, spins);
    if (stopping)
      return;
    (*task)(worker);
    if (running.fetch_sub(1, std::memory_order_acq_rel) == 1)
      finished.open();
  }
}

void Team::run(const std::function<void(int)> &body) {
  if (workers == 1)
    return body(0);
  task = &body;
  running.store(workers - 1, std::memory_order_relaxed);
  uint32_t round = finished.value();
  start.open();
  body(0);
  finished.wait(round, spins);
}
