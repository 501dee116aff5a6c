//===- Bleu.cpp - Corpus BLEU ----------------------------------------------------------===//
// Counts clipped n-gram matches; the tokenizer follows the rules of mteval-v13a.pl as sacreBLEU states them.
//===----------------------------------------------------------------------------------===//
#include "xf/Runtime/Text/Bleu.h"
#include "xf/Runtime/Text/Unicode.h"

#include <algorithm>
#include <cmath>
#include <map>

using namespace xf::runtime;

static void replaceAll(std::string &text, std::string_view from, std::string_view to) {
  for (size_t at = 0; (at = text.find(from, at)) != text.npos; at += to.size())
    text.replace(at, from.size(), to);
}

static bool isDigit(char c) { return c >= '0' && c <= '9'; }
/// ASCII punctuation and symbols but `'`, `,`, `-` and `.`, which depend on their neighbours.
static bool isSplitSymbol(char c) {
  return (c >= '{' && c <= '~') || (c >= '[' && c <= '`') || (c >= ' ' && c <= '&') || (c >= '(' && c <= '+') ||
         (c >= ':' && c <= '@') || c == '/';
}
static bool isStop(char c) { return c == '.' || c == ','; }

/// Spaces around the places where two neighbours satisfy `matches`; as with a regular expression's matches, pairs don't
/// overlap.
template <typename Predicate>
static std::string spacePairs(std::string_view text, std::string_view before, std::string_view after,
                              Predicate matches) {
  std::string spaced;
  for (size_t i = 0; i < text.size(); ++i) {
    if (i + 1 < text.size() && matches(text[i], text[i + 1])) {
      spaced += before;
      spaced += text[i];
      spaced += ' ';
      spaced += text[++i];
      spaced += after;
    } else {
      spaced += text[i];
    }
  }
  return spaced;
}

std::string xf::runtime::tokenize13a(std::string_view line) {
  std::string text(line);
  replaceAll(text, "<skipped>", "");
  replaceAll(text, "&quot;", "\"");
  replaceAll(text, "&amp;", "&");
  replaceAll(text, "&lt;", "<");
  replaceAll(text, "&gt;", ">");
  std::string spaced = " ";
  for (char c : text)
    if (isSplitSymbol(c))
      spaced += {' ', c, ' '};
    else
      spaced += c;
  spaced += ' ';
  spaced = spacePairs(spaced, "", " ", [](char a, char b) { return !isDigit(a) && isStop(b); });
  spaced = spacePairs(spaced, " ", "", [](char a, char b) { return isStop(a) && !isDigit(b); });
  spaced = spacePairs(spaced, "", " ", [](char a, char b) { return isDigit(a) && b == '-'; });
  std::string tokens;
  for (std::string_view token : splitWhiteSpace(spaced)) {
    tokens += tokens.empty() ? "" : " ";
    tokens += token;
  }
  return tokens;
}

void Bleu::add(std::string_view hypothesis, std::string_view reference) {
  auto prepare = [&](std::string_view line) {
    std::string text = lowercase ? toLower(line) : std::string(line);
    return tokenizer == BleuTokenizer::V13a ? tokenize13a(text) : text;
  };
  std::string hypothesisText = prepare(hypothesis), referenceText = prepare(reference);
  std::vector<std::string_view> output = splitWhiteSpace(hypothesisText), wanted = splitWhiteSpace(referenceText);
  hypothesisLength += int64_t(output.size());
  referenceLength += int64_t(wanted.size());
  for (size_t n = 1; n <= matches.size(); ++n) {
    auto forEach = [n](const std::vector<std::string_view> &tokens, auto use) {
      for (size_t i = 0; i + n <= tokens.size(); ++i)
        use(std::vector<std::string_view>(tokens.begin() + i, tokens.begin() + i + n));
    };
    std::map<std::vector<std::string_view>, int64_t> left; // what of the reference is not yet matched
    forEach(wanted, [&](auto ngram) { ++left[ngram]; });
    forEach(output, [&](auto ngram) {
      ++totals[n - 1];
      auto found = left.find(ngram);
      if (found != left.end() && found->second > 0) {
        --found->second;
        ++matches[n - 1];
      }
    });
  }
}

BleuScore Bleu::score() const {
  BleuScore result;
  result.hypothesisLength = hypothesisLength;
  result.referenceLength = referenceLength;
  if (hypothesisLength >= referenceLength)
    result.brevityPenalty = 1;
  else if (hypothesisLength > 0)
    result.brevityPenalty = std::exp(1 - double(referenceLength) / double(hypothesisLength));
  if (std::ranges::all_of(matches, [](int64_t count) { return count == 0; }))
    return result;
  double sum = 0, smoothing = 1;
  for (size_t i = 0; i < matches.size(); ++i) {
    if (totals[i] == 0)
      return result; // no hypothesis has so many tokens
    if (matches[i] == 0)
      smoothing *= 2;
    result.precision[i] = 100 * (matches[i] > 0 ? double(matches[i]) : 1 / smoothing) / double(totals[i]);
    sum += std::log(result.precision[i]);
  }
  result.score = result.brevityPenalty * std::exp(sum / double(matches.size()));
  return result;
}
