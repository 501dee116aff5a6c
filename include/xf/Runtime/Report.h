//===- Report.h - What kernels compute, move and take --------------------------------===//
// Sums over dispatches, a line for each kernel of each function, as text and as a page. The compiler
// (`--report`) counts one call for stated dims; the executable (`--profile`) adds the time of calls and sets it
// against the roofline of this machine.
//===--------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_REPORT_H
#define XF_RUNTIME_REPORT_H

#include "xf/Runtime/Program.h"
#include "xf/Runtime/Team.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace xf::runtime {

/// What this machine can do in a second, with all workers of a team.
struct MachineLimits {
  int threads = 0;
  double flops = 0, bytes = 0;
  std::string gpu = {}; // its name, where that computes
  /// The least time that so much work takes; of a limit that is 0 nothing is known (a part of a GPU may not tell).
  double seconds(double flops, double bytes) const {
    auto least = [](double amount, double limit) { return limit > 0 ? amount / limit : 0; };
    return std::max(least(flops, this->flops), least(bytes, this->bytes));
  }
};

/// Multiply-adds in registers, and reading memory that no cache holds: some tenths of a second.
Expected<MachineLimits> measureLimits(Team &team);

/// The dims of a batch of so many tokens a side; a call that decodes has a row a sequence.
std::vector<int64_t> dimsOfBatch(const Function &function, int64_t tokens, int64_t sequences);

class Report {
public:
  explicit Report(const Program &program) : program(program) {}

  std::string heading;                 // under the program's name
  std::optional<MachineLimits> limits; // where seconds are measured

  void add(const Function &function, const Dispatch &dispatch, std::span<const int64_t> dims, double seconds = 0);
  /// Forgets what was added.
  void clear() { lines.clear(); }
  /// Every dispatch of one call.
  void add(const Function &function, std::span<const int64_t> dims);

  std::string text() const;
  /// One page that needs nothing else.
  std::string html() const;

private:
  /// The dispatches of one kernel in one function.
  struct Line {
    int64_t kernel = 0, calls = 0;
    double flops = 0, bytes = 0, seconds = 0;
    std::string shape = {}; // of the first
    std::string schedule = {};
    std::vector<std::string> words = {}; // what the model calls them, numbers as *
    void add(const Line &other);
  };
  struct Cell {
    std::string text;
    double share = 0; // drawn as a bar
  };
  struct Table {
    std::string title;
    std::vector<std::vector<Cell>> rows; // the sum last
  };
  struct Column {
    const char *title;
    bool isNumber;
  };

  std::vector<Column> columns() const;
  std::vector<Table> tables() const;
  std::vector<Cell> cells(const std::string &name, const Line &line, double functionSeconds) const;
  std::string subtitle() const;

  const Program &program;
  std::map<std::pair<const Function *, int64_t>, Line> lines; // by function and kernel
};

} // namespace xf::runtime

#endif // XF_RUNTIME_REPORT_H
