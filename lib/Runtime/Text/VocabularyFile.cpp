//===- VocabularyFile.cpp - xf's own vocabulary files ---------------------------------===//
// Fields of the first line, and lines one by one; tokens that stand in text.
//===----------------------------------------------------------------------------------===//
#include "VocabularyFile.h"
#include "xf/Runtime/Text/Unicode.h"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>

using namespace xf::runtime;

std::optional<int64_t> xf::runtime::parseNumber(std::string_view text) {
  int64_t value = 0;
  auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  return failure == std::errc() && end == text.data() + text.size() && !text.empty() ? std::optional(value)
                                                                                     : std::nullopt;
}

Error VocabularyFile::wrong(std::string_view problem) const {
  return userError(fmt::format("vocabulary '{}', line {}: {}", name, lines, problem));
}

Expected<void> VocabularyFile::open(std::string_view text, const std::string &path) {
  name = path;
  size_t end = text.find('\n');
  header = splitWhiteSpace(text.substr(0, end));
  if (header.size() > 1 && header[1] != "1")
    return userError(
        fmt::format("vocabulary '{}': expected format version 1, but got '{}'", name, header[1].substr(0, 40)));
  if (end == text.npos || header.size() < 4)
    return userError(fmt::format("vocabulary '{}': expected its first line to be "
                                 "'xf-vocabulary 1 word|split|word-pieces|byte-pairs|listed-pieces KEY=VALUE...'",
                                 name));
  rest = text.substr(end + 1);
  return {};
}

std::string_view VocabularyFile::text(std::string_view key) const {
  for (std::string_view field : header)
    if (field.starts_with(key) && field.substr(key.size()).starts_with('='))
      return field.substr(key.size() + 1);
  return "";
}

std::optional<int64_t> VocabularyFile::field(std::string_view key) const { return parseNumber(text(key)); }

Expected<std::string_view> VocabularyFile::line() {
  ++lines;
  size_t end = rest.find('\n');
  if (end == rest.npos)
    return userError(fmt::format("vocabulary '{}': truncated in line {}", name, lines));
  std::string_view result = rest.substr(0, end);
  rest.remove_prefix(end + 1);
  return result;
}

std::string xf::runtime::escapeToken(std::string_view token) {
  std::string line;
  for (char c : token)
    line += c == '\n' ? "\\n" : c == '\\' ? "\\\\" : std::string(1, c);
  return line;
}

std::string xf::runtime::unescapeToken(std::string_view line) {
  std::string token;
  for (size_t i = 0; i < line.size(); ++i)
    token += line[i] == '\\' && i + 1 < line.size() ? line[++i] == 'n' ? '\n' : line[i] : line[i];
  return token;
}

void SpelledTokens::add(std::string_view token, int32_t id) {
  if (token.empty())
    return;
  auto &candidates = byFirst[uint8_t(token.front())];
  auto shorter = std::find_if(candidates.begin(), candidates.end(),
                              [&](const auto &other) { return other.first.size() < token.size(); });
  candidates.emplace(shorter, token, id);
}

void SpelledTokens::split(std::string_view text, const std::function<void(int32_t, std::string_view)> &part) const {
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    const auto &candidates = byFirst[uint8_t(text[at])];
    auto found = std::find_if(candidates.begin(), candidates.end(),
                              [&](const auto &each) { return text.substr(at).starts_with(each.first); });
    if (found == candidates.end()) {
      ++at;
      continue;
    }
    if (at > begin)
      part(-1, text.substr(begin, at - begin));
    part(found->second, found->first);
    begin = at += found->first.size();
  }
  if (begin < text.size())
    part(-1, text.substr(begin));
}
