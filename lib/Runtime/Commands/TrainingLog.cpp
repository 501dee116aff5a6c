//===- TrainingLog.cpp - RUN/log.jsonl -------------------------------------------------------===//
// Appends whole lines; a half-written last line of a killed run is dropped with the rest.
//===-----------------------------------------------------------------------------------------===//
#include "TrainingLog.h"
#include "xf/Runtime/Files.h"

#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <fstream>

using namespace xf::runtime;
using nlohmann::json;

Expected<TrainingLog> TrainingLog::open(const std::string &path, int64_t step, int64_t ended) {
  std::string kept, line;
  std::ifstream before(path);
  while (std::getline(before, line)) {
    json record = json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (record.is_object() &&
        record.value("step", INT64_MAX) <= (record.value("kind", "") == "interval" ? step : ended))
      kept += line + "\n";
  }
  if (Expected<void> written = writeFile(path, kept); !written)
    return written.error();
  TrainingLog log;
  log.path = path;
  return log;
}

Expected<void> TrainingLog::append(const json &record) {
  std::ofstream file(path, std::ios::app);
  file << record.dump() << std::endl;
  if (!file)
    return userError(fmt::format("can't write '{}': {}", path, std::strerror(errno)));
  return {};
}
