//===- LineReader.h - Lines of stdin, as a model reads them -----------------------------------===//
// Taken as they come: a filter waits for no line that it does not need.
//===-----------------------------------------------------------------------------------------===//
#ifndef XF_RUNTIME_COMMANDS_LINEREADER_H
#define XF_RUNTIME_COMMANDS_LINEREADER_H

#include "xf/Runtime/Text/LineEncoder.h"

namespace xf::runtime {

/// Lines of stdin as token ids.
class LineReader {
public:
  /// As LineEncoder.
  LineReader(const Vocabulary &vocabulary, int64_t maxTokens, LineEncoder::TooLong tooLong,
             const Vocabulary *afterTab = nullptr)
      : encoder(vocabulary, maxTokens, tooLong, afterTab, "standard input, ") {}

  /// The lines that are there, at most `most` of them, without marks; those that are skipped are empty. Waits for the
  /// first one if asked to: otherwise, and at the end, there may be none. A line that is no text is an error, once
  /// those before it have been given.
  Expected<std::vector<std::vector<int32_t>>> next(size_t most = 2048, bool wait = true);
  /// Whether all lines have been given.
  bool atEnd() const { return sawEnd && begin == buffer.size(); }

  /// What stood behind the tabs of the lines that `next` gave last.
  const std::vector<std::vector<int32_t>> &behindTabs() const { return others; }

  /// As LineEncoder's.
  std::optional<std::string> describeUnknown() { return encoder.describeUnknown(atEnd()); }
  std::optional<std::string> describeTooLong() const { return encoder.describeTooLong(); }

private:
  using Line = std::optional<std::string_view>;
  /// The next line of the buffer, which is filled as far as needed; none where that would mean waiting, or at the end.
  Expected<Line> nextLine(bool wait);

  LineEncoder encoder;
  std::vector<std::vector<int32_t>> others;
  std::string buffer;
  size_t begin = 0; // of what has not been given
  bool sawEnd = false;
  std::optional<Error> broken; // what is wrong with the line after those that were given
};

} // namespace xf::runtime

#endif // XF_RUNTIME_COMMANDS_LINEREADER_H
