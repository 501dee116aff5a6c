//===- Display.cpp - Progress where a person or a log reads it ----------------------------===//
// The bar, the line, and the signals that end a run after its step.
//===-------------------------------------------------------------------------------------===//
#include "Display.h"
#include "xf/Runtime/Output.h"

#include <csignal>
#include <unistd.h>

using namespace xf::runtime;

Display::Display() : terminal(isatty(STDERR_FILENO)) {}

void Display::clear() {
  if (drawn)
    say("\r\033[K");
  drawn = false;
}

/// "1:02:03" or "2:03": time left at the speed so far.
std::string Display::secondsLeft(const TrainingGlance &glance) {
  if (firstStep < 0)
    firstStep = glance.step;
  int64_t done = glance.step - firstStep;
  if (done <= 0)
    return "-:--";
  double elapsed = std::chrono::duration<double>(Clock::now() - started).count();
  auto seconds = int64_t(elapsed / double(done) * double(glance.steps - glance.step));
  int64_t hours = seconds / 3600, minutes = seconds / 60 % 60;
  return hours ? fmt::format("{}:{:02}:{:02}", hours, minutes, seconds % 60)
               : fmt::format("{}:{:02}", minutes, seconds % 60);
}

void Display::draw(const TrainingGlance &glance) {
  std::string left = secondsLeft(glance); // also where nothing is drawn: the first call sets the start
  Clock::time_point now = Clock::now();
  if (!terminal || (drawn && now - lastDrawn < std::chrono::milliseconds(100)))
    return;
  clear();
  constexpr int64_t width = 24;
  int64_t filled = glance.steps ? width * glance.step / glance.steps : width;
  std::string bar;
  for (int64_t i = 0; i < width; ++i)
    bar += i < filled ? "━" : "╌";
  say("{} {}/{}  epoch {}  loss {:.4f}  rate {:.2e}  {:.0f} tokens/s  {} left", bar, glance.step, glance.steps,
      glance.epoch, glance.loss, glance.learningRate, glance.tokensPerSecond, left);
  drawn = true;
  lastDrawn = now;
}

void Display::interval(const TrainingGlance &glance) {
  std::string left = secondsLeft(glance);
  if (!terminal)
    say("step {}/{}  epoch {}  loss {:.4f}  rate {:.3e}  {:.0f} tokens/s  {} left\n", glance.step, glance.steps,
        glance.epoch, glance.loss, glance.learningRate, glance.tokensPerSecond, left);
}

void Display::message(const std::string &text) {
  clear();
  say("{}\n", text);
}

static volatile std::sig_atomic_t signalSeen = 0;
static constexpr int numbers[] = {SIGINT, SIGTERM, SIGHUP};

Interrupt::Interrupt() {
  signalSeen = 0;
  struct sigaction action = {};
  action.sa_handler = [](int number) { signalSeen = number; };
  action.sa_flags = SA_RESETHAND | SA_RESTART;
  for (int number : numbers) {
    struct sigaction before;
    sigaction(number, nullptr, &before);
    if (number != SIGHUP || before.sa_handler != SIG_IGN) // as nohup has it
      sigaction(number, &action, nullptr);
  }
}

Interrupt::~Interrupt() {
  for (int number : numbers) {
    struct sigaction now;
    sigaction(number, nullptr, &now);
    if (now.sa_handler != SIG_IGN)
      std::signal(number, SIG_DFL);
  }
}

int Interrupt::seen() { return signalSeen; }
