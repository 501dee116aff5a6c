//===- Corpus.cpp - Text files as token ids -------------------------------------------===//
// Lines are checked for UTF-8 and NUL bytes before anything is encoded.
//===----------------------------------------------------------------------------------===//
#include "xf/Runtime/Text/Corpus.h"
#include "xf/Runtime/Text/Unicode.h"

#include <algorithm>
#include <fmt/format.h>

using namespace xf::runtime;

Expected<void> xf::runtime::checkLine(std::string_view line, const std::string &place) {
  if (size_t at = line.find('\0'); at != line.npos)
    return userError(fmt::format("{}: NUL byte at byte {}", place, at + 1));
  if (std::optional<size_t> at = findInvalidUtf8(line))
    return userError(fmt::format("{}: invalid UTF-8 at byte {} (0x{:02x})", place, *at + 1, uint8_t(line[*at])));
  return {};
}

std::string_view xf::runtime::withoutByteOrderMark(std::string_view text) {
  constexpr std::string_view mark = "\xEF\xBB\xBF";
  return text.substr(text.starts_with(mark) ? mark.size() : 0);
}

Expected<Lines> Lines::read(const std::string &path) {
  Expected<MappedFile> file = MappedFile::open(path);
  if (!file)
    return file.error();
  std::string_view text = withoutByteOrderMark({file->data().data(), file->data().size()});
  if (text.empty())
    return userError(fmt::format("'{}' is empty, expected a sentence a line", path));
  Lines result;
  while (!text.empty()) {
    size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    if (Expected<void> fine = checkLine(line, fmt::format("'{}', line {}", path, result.lines.size() + 1)); !fine)
      return fine.error();
    result.lines.push_back(line);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
  }
  result.file = std::move(*file);
  result.path = path;
  return result;
}

/// The ids of line `index`, with the place added to an error.
static Expected<std::vector<int32_t>> encodeLine(const Lines &lines, size_t index, const Vocabulary &vocabulary) {
  Expected<std::vector<int32_t>> ids = vocabulary.encode(lines.lines[index]);
  if (!ids)
    return Error{fmt::format("'{}', line {}: {}", lines.path, index + 1, ids.error().message), ids.error().exitCode};
  return ids;
}

Expected<SentencePairs> xf::runtime::readPairs(const std::string &sourcePath, const std::string &targetPath,
                                               const Vocabulary &source, const Vocabulary &target, int64_t maxTokens,
                                               bool sourceEnds) {
  Expected<Lines> sourceLines = Lines::read(sourcePath);
  if (!sourceLines)
    return sourceLines.error();
  Expected<Lines> targetLines = Lines::read(targetPath);
  if (!targetLines)
    return targetLines.error();
  size_t count = sourceLines->lines.size();
  if (count != targetLines->lines.size())
    return userError(fmt::format("expected '{}' to have as many lines as '{}' ({}), but got {}", targetPath, sourcePath,
                                 count, targetLines->lines.size()));
  SentencePairs pairs;
  auto skip = [&](size_t index) {
    if (pairs.skipped++ == 0)
      pairs.firstSkipped = int64_t(index) + 1;
  };
  auto tooLong = [&](const std::vector<int32_t> &ids) { return maxTokens > 0 && int64_t(ids.size()) > maxTokens; };
  for (size_t i = 0; i < count; ++i) {
    if (std::max(sourceLines->lines[i].size(), targetLines->lines[i].size()) > maxLineBytes) {
      skip(i);
      continue;
    }
    Expected<std::vector<int32_t>> sourceIds = encodeLine(*sourceLines, i, source);
    if (!sourceIds)
      return sourceIds.error();
    Expected<std::vector<int32_t>> targetIds = encodeLine(*targetLines, i, target);
    if (!targetIds)
      return targetIds.error();
    if (tooLong(*sourceIds) || tooLong(*targetIds)) {
      skip(i);
      continue;
    }
    if (sourceEnds)
      sourceIds->push_back(source.eos());
    pairs.source.push_back(std::move(*sourceIds));
    pairs.target.push_back(std::move(*targetIds));
  }
  if (pairs.size() == 0)
    return userError(fmt::format("all {} pairs of '{}' and '{}' are too long", count, sourcePath, targetPath));
  return pairs;
}

Expected<TokenStream> xf::runtime::readStream(const std::string &path, const Vocabulary &vocabulary, bool isWhole) {
  Expected<Lines> lines = Lines::read(path);
  if (!lines)
    return lines.error();
  TokenStream stream;
  stream.lines = int64_t(lines->lines.size());
  stream.ids.push_back(vocabulary.bos());
  if (isWhole) {
    Expected<std::vector<int32_t>> ids =
        vocabulary.encode(withoutByteOrderMark({lines->file.data().data(), lines->file.data().size()}));
    if (!ids)
      return userError(fmt::format("'{}': {}", path, ids.error().message));
    stream.ids.insert(stream.ids.end(), ids->begin(), ids->end());
    stream.ids.push_back(vocabulary.eos());
    return stream;
  }
  for (size_t i = 0; i < lines->lines.size(); ++i) {
    if (lines->lines[i].size() > maxLineBytes) {
      if (stream.skipped++ == 0)
        stream.firstSkipped = int64_t(i) + 1;
      continue;
    }
    Expected<std::vector<int32_t>> ids = encodeLine(*lines, i, vocabulary);
    if (!ids)
      return ids.error();
    stream.ids.insert(stream.ids.end(), ids->begin(), ids->end());
    stream.ids.push_back(vocabulary.eos());
  }
  if (stream.ids.size() == 1)
    return userError(fmt::format("all {} lines of '{}' are too long", lines->lines.size(), path));
  return stream;
}

std::optional<std::string> xf::runtime::describeSkipped(int64_t skipped, int64_t firstSkipped, int64_t total,
                                                        std::string_view unit) {
  if (skipped == 0)
    return std::nullopt;
  return fmt::format("skipped {} of {} {}, which were too long (first: line {})", skipped, total, unit, firstSkipped);
}

void UnknownTokens::add(std::span<const int32_t> ids) {
  all += int64_t(ids.size());
  unknown += std::count(ids.begin(), ids.end(), vocabulary.unknown());
}

std::optional<std::string> UnknownTokens::describe() const {
  if (unknown * 10 <= all)
    return std::nullopt;
  return fmt::format("{:.0f}% of {} tokens are unknown to the vocabulary; is it the one of this text?",
                     100.0 * double(unknown) / double(all), all);
}
