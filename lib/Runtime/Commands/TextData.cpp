//===- TextData.cpp - Text as this executable's model reads it --------------------------------===//
// Vocabularies are checked against the model's sizes when they are opened: ids index its embeddings. Lines are checked
// before they are encoded.
//===-----------------------------------------------------------------------------------------===//
#include "TextData.h"

#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>
#include <utility>

using namespace xf::runtime;

/// `which`: "source", "target", or nothing where there is one vocabulary alone.
static Expected<Vocabulary> openSide(const Session &session, const std::string &which) {
  int64_t size = session.vocabularySize(which);
  auto bytes = session.blob(which + "_vocabulary");
  std::string name = bytes ? "the embedded " + which + " vocabulary" : "the embedded vocabulary";
  if (!bytes) // one for all sides
    bytes = session.blob("vocabulary");
  if (!bytes)
    return Vocabulary::ids(size);
  Expected<Vocabulary> vocabulary = Vocabulary::parse(*bytes, name);
  if (vocabulary && vocabulary->size() > size)
    return userError(fmt::format("expected {} to have at most as many tokens as the model ({}), but got {}", name, size,
                                 vocabulary->size()));
  return vocabulary;
}

Expected<Vocabulary> xf::runtime::openVocabulary(const Session &session) { return openSide(session, ""); }

Expected<Vocabularies> xf::runtime::openVocabularies(const Session &session) {
  Expected<Vocabulary> source = openSide(session, "source"), target = openSide(session, "target");
  if (!source)
    return source.error();
  if (!target)
    return target.error();
  bool sourceEnds = session.program.model.value("source_end", true);
  return Vocabularies{std::move(*source), std::move(*target), sourceEnds};
}

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

Expected<std::vector<int32_t>> LineReader::encode(std::string_view line) {
  std::string place = fmt::format("standard input, line {}", ++lines);
  if (lines == 1)
    line = withoutByteOrderMark(line);
  if (Expected<void> valid = checkLine(line, place); !valid)
    return valid.error();
  if (afterTab) {
    size_t tab = std::min(line.find('\t'), line.size());
    Expected<std::vector<int32_t>> behind = afterTab->encode(line.substr(std::min(tab + 1, line.size())));
    if (!behind)
      return userError(fmt::format("{}, behind the tab: {}", place, behind.error().message));
    others.push_back(std::move(*behind));
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

Expected<std::vector<std::vector<int32_t>>> LineReader::next(size_t most, bool wait) {
  std::vector<std::vector<int32_t>> texts;
  others.clear();
  while (texts.size() < most && !broken) {
    Expected<Line> line = nextLine(wait && texts.empty());
    if (line && !*line)
      break;
    Expected<std::vector<int32_t>> ids = line ? encode(**line) : line.error();
    if (ids)
      texts.push_back(std::move(*ids));
    else
      broken = ids.error();
  }
  if (broken && texts.empty())
    return *broken;
  return texts;
}

std::optional<std::string> LineReader::describeUnknown() {
  constexpr int64_t enough = 20;
  if (toldUnknown || (unknown.tokens() < enough && !atEnd()))
    return std::nullopt;
  toldUnknown = true;
  return unknown.describe();
}

std::optional<std::string> LineReader::describeTooLong() const {
  if (tooLong == Skip || longLines == 0)
    return describeSkipped(longLines, firstLong, lines, "lines");
  return fmt::format("cut {} of {} lines, which were too long for the model's {} positions (first: line {})", longLines,
                     lines, maxTokens, firstLong);
}
