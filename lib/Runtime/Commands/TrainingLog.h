//===- TrainingLog.h - RUN/log.jsonl ---------------------------------------------------------===//
// A record a line, appended as it comes. A resumed run first drops what was written behind the
// checkpoint it goes on from, so that every step is told once.
//===-----------------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_COMMANDS_TRAININGLOG_H
#define XF_RUNTIME_COMMANDS_TRAININGLOG_H

#include "xf/Runtime/Error.h"

#include <cstdint>
#include <nlohmann/json.hpp>

namespace xf::runtime {

class TrainingLog {
public:
  /// Opens the log with the records of intervals kept up to `step`, and of ends of epochs and validations up to
  /// `ended`.
  static Expected<TrainingLog> open(const std::string &path, int64_t step, int64_t ended);
  Expected<void> append(const nlohmann::json &record);

private:
  std::string path;
};

} // namespace xf::runtime

#endif // XF_RUNTIME_COMMANDS_TRAININGLOG_H
