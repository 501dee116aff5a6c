//===- LineReader.cpp - Lines of stdin, as a model reads them ---------------------------------===//
// Blocks of bytes are read only where no line is left, or to see whether one is there.
//===-----------------------------------------------------------------------------------------===//
#include "LineReader.h"

#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>
#include <utility>

using namespace xf::runtime;

Expected<LineReader::Line> LineReader::nextLine(bool wait) {
  size_t searched = begin, end;
  while ((end = buffer.find('\n', searched)) == buffer.npos && !sawEnd) {
    pollfd input = {STDIN_FILENO, POLLIN, 0};
    if (!wait && poll(&input, 1, 0) == 0)
      return Line();
    buffer.erase(0, std::exchange(begin, 0));
    searched = buffer.size();
    constexpr size_t block = size_t(1) << 16;
    buffer.resize(searched + block);
    ssize_t count = read(STDIN_FILENO, buffer.data() + searched, block);
    buffer.resize(searched + size_t(std::max<ssize_t>(count, 0)));
    if (count < 0 && errno != EINTR)
      return userError(fmt::format("can't read standard input: {}", std::strerror(errno)));
    sawEnd = count == 0;
  }
  if (atEnd())
    return Line();
  end = std::min(end, buffer.size()); // the last line may have no end
  Line line = std::string_view(buffer).substr(begin, end - begin);
  begin = std::min(end + 1, buffer.size());
  return line;
}

Expected<std::vector<std::vector<int32_t>>> LineReader::next(size_t most, bool wait) {
  std::vector<std::vector<int32_t>> texts;
  others.clear();
  while (texts.size() < most && !broken) {
    Expected<Line> line = nextLine(wait && texts.empty());
    if (line && !*line)
      break;
    Expected<std::vector<int32_t>> ids = line ? encoder.encode(**line) : line.error();
    if (ids) {
      texts.push_back(std::move(*ids));
      others.push_back(encoder.behindTab);
    } else {
      broken = ids.error();
    }
  }
  if (broken && texts.empty())
    return *broken;
  return texts;
}
