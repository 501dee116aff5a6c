//===- LineEncoder.cpp - Lines that a model is to read ------------------------------===//
// Lines are checked before they are encoded.
//===----------------------------------------------------------------------------------===//
#include "xf/Runtime/Text/LineEncoder.h"

#include <fmt/format.h>

using namespace xf::runtime;

Expected<std::vector<int32_t>> LineEncoder::encode(std::string_view line) {
  std::string place = fmt::format("{}line {}", input, ++lines);
  if (lines == 1)
    line = withoutByteOrderMark(line);
  if (Expected<void> valid = checkLine(line, place); !valid)
    return valid.error();
  if (afterTab) {
    size_t tab = std::min(line.find('\t'), line.size());
    Expected<std::vector<int32_t>> behind = afterTab->encode(line.substr(std::min(tab + 1, line.size())));
    if (!behind)
      return userError(fmt::format("{}, behind the tab: {}", place, behind.error().message));
    behindTab = std::move(*behind);
    line = line.substr(0, tab);
  }
  bool isLong = line.size() > maxLineBytes;
  if (isLong) {
    size_t end = tooLong == Cut ? maxLineBytes : 0;
    while (end > 0 && (line[end] & 0xC0) == 0x80) // not inside a character
      --end;
    line = line.substr(0, end);
  }
  Expected<std::vector<int32_t>> ids = vocabulary.encode(line);
  if (!ids)
    return userError(fmt::format("{}: {}", place, ids.error().message));
  unknown.add(*ids);
  if (maxTokens && int64_t(ids->size()) > maxTokens) {
    isLong = true;
    ids->resize(tooLong == Cut ? maxTokens : 0);
  }
  if (isLong && !longLines++)
    firstLong = lines;
  return ids;
}

std::optional<std::string> LineEncoder::describeUnknown(bool isAll) {
  constexpr int64_t enough = 20;
  if (toldUnknown || (unknown.tokens() < enough && !isAll))
    return std::nullopt;
  toldUnknown = true;
  return unknown.describe();
}

std::optional<std::string> LineEncoder::describeTooLong() const {
  if (tooLong == Skip || longLines == 0)
    return describeSkipped(longLines, firstLong, lines, "lines");
  return fmt::format("cut {} of {} lines, which were too long for the model's {} positions (first: line {})", longLines,
                     lines, maxTokens, firstLong);
}
