//===- Display.h - Progress where a person or a log reads it ------------------------------===//
// On a terminal a bar that is drawn over; elsewhere one plain line per interval. Always stderr.
//===-------------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_COMMANDS_DISPLAY_H
#define XF_RUNTIME_COMMANDS_DISPLAY_H

#include <chrono>
#include <cstdint>
#include <string>

namespace xf::runtime {

/// What one look at a training run shows.
struct TrainingGlance {
  int64_t step, steps; // done, and in all
  int64_t epoch;       // the one being trained, from 1
  double loss, learningRate, tokensPerSecond;
};

class Display {
public:
  Display();
  /// Draws the bar where there is a terminal, at most ten times a second.
  void draw(const TrainingGlance &glance);
  /// Prints the interval's line where there is none.
  void interval(const TrainingGlance &glance);
  /// Prints a line of its own, whatever is drawn.
  void message(const std::string &text);

private:
  void clear();
  std::string secondsLeft(const TrainingGlance &glance);

  using Clock = std::chrono::steady_clock;
  bool terminal;
  bool drawn = false;
  Clock::time_point lastDrawn, started = Clock::now();
  int64_t firstStep = -1;
};

/// True once Ctrl-C, a request to end or a terminal that went away was seen; the second Ctrl-C ends at once.
class Interrupt {
public:
  Interrupt();
  ~Interrupt();
  /// 0, or the signal.
  static int seen();
};

} // namespace xf::runtime

#endif // XF_RUNTIME_COMMANDS_DISPLAY_H
