//===- Display.cpp - Progress where a person or a log reads it ----------------------------===//
// The bar, the line, and the signals that end a run after its step.
//===-------------------------------------------------------------------------------------===//
#include "Display.h"

#include <csignal>
#include <cstdio>
#include <fmt/format.h>
#include <unistd.h>

using namespace xf::runtime;

Display::Display() : terminal(isatty(STDERR_FILENO)) {}

void Display::clear() {
  if (drawn)
    fmt::print(stderr, "\r\033[K");
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
  fmt::print(stderr, "{} {}/{}  epoch {}  loss {:.4f}  rate {:.2e}  {:.0f} tokens/s  {} left", bar, glance.step,
             glance.steps, glance.epoch, glance.loss, glance.learningRate, glance.tokensPerSecond, left);
  std::fflush(stderr);
  drawn = true;
  lastDrawn = now;
}

void Display::interval(const TrainingGlance &glance) {
  std::string left = secondsLeft(glance);
  if (!terminal)
    fmt::print(stderr, "step {}/{}  epoch {}  loss {:.4f}  rate {:.3e}  {:.0f} tokens/s  {} left\n", glance.step,
               glance.steps, glance.epoch, glance.loss, glance.learningRate, glance.tokensPerSecond, left);
}

void Display::message(const std::string &text) {
  clear();
  fmt::print(stderr, "{}\n", text);
}

static volatile std::sig_atomic_t signalSeen = 0;

Interrupt::Interrupt() {
  signalSeen = 0;
  struct sigaction action = {};
  action.sa_handler = [](int number) { signalSeen = number; };
  action.sa_flags = SA_RESETHAND | SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

Interrupt::~Interrupt() {
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

int Interrupt::seen() { return signalSeen; }
